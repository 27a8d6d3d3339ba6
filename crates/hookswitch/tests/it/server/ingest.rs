//! Signals that are posted.

use std::process::Command;
use std::thread;

use serde_json::{Value, json};

use super::{Home, Server, request, wait_for};

fn post(server: &Server, token: &str, body: &Value) -> (u16, Value) {
    post_raw(server, token, body.to_string().as_bytes())
}

fn post_raw(server: &Server, token: &str, body: &[u8]) -> (u16, Value) {
    let token = format!("Bearer {token}");
    let headers = [("Authorization", &*token), ("Content-Type", "application/json")];
    server.request("POST", "/ingest/v1/signals", &headers, body)
}

/// An answered call, told by the switch.
fn call(name: &str) -> Value {
    let (a, b) = (format!("{name}-a"), format!("{name}-b"));
    let signal = |number: u32, rest: Value| {
        let mut signal = json!({
            "id": format!("{name}-{number}"),
            "at": format!("2026-03-01T12:00:{number:02}Z"),
        });
        signal.as_object_mut().expect("an object").extend(rest.as_object().expect("an object").clone());
        signal
    };
    json!({"signals": [
        signal(1, json!({"leg": a, "kind": "created", "direction": "outbound", "callee": "102", "caller": {"number": "101"}})),
        signal(2, json!({"leg": b, "kind": "created", "direction": "inbound", "of": a, "callee": "102", "caller": {"number": "101"}})),
        signal(3, json!({"leg": b, "kind": "ringing"})),
        signal(4, json!({"leg": b, "kind": "answered"})),
        signal(5, json!({"leg": a, "kind": "answered"})),
        signal(6, json!({"leg": b, "kind": "ended", "cause": "hung_up"})),
        signal(7, json!({"leg": a, "kind": "ended", "cause": "hung_up"})),
    ]})
}

#[test]
fn a_posted_call_is_told() {
    let home = Home::new("posted");
    let server = Server::start(&home);
    let answer = post(&server, home.made("admin_token"), &call("one"));
    assert_eq!(answer, (200, json!({"accepted": 7, "repeated": 0})));
    // What was answered is on disk already.
    let text = home.store("events");
    let codes: Vec<String> = text
        .lines()
        .map(|line| {
            let event: Value = serde_json::from_str(line).expect("JSON");
            let party = &event["body"]["parties"][0];
            format!(
                "{} {}",
                party["direction"].as_str().unwrap_or("?"),
                party["status"]["code"].as_str().unwrap_or("?")
            )
        })
        .collect();
    assert_eq!(
        codes,
        [
            "Outbound Setup",
            "Inbound Setup",
            "Inbound Proceeding",
            "Inbound Answered",
            "Outbound Answered",
            "Inbound Disconnected",
            "Outbound Disconnected"
        ]
    );
    let event: Value = serde_json::from_str(text.lines().next().expect("an event")).expect("JSON");
    assert_eq!(event["body"]["eventTime"], "2026-03-01T12:00:01.000Z");
    server.stop();
    home.store("check");
}

#[test]
fn a_hundred_parallel_repeats_count_once() {
    let home = Home::new("repeats");
    let server = Server::start(&home);
    let address = server.addresses["HTTP"];
    let token = format!("Bearer {}", home.made("admin_token"));
    let body = call("same").to_string();
    let answers: Vec<(u16, Value)> = thread::scope(|scope| {
        let post =
            || request(address, "POST", "/ingest/v1/signals", &[("Authorization", &token)], body.as_bytes());
        let posts: Vec<_> = (0..100).map(|_| scope.spawn(post)).collect();
        posts.into_iter().map(|post| post.join().expect("no panic").expect("an answer")).collect()
    });
    assert!(answers.iter().all(|(status, _)| *status == 200), "{answers:?}");
    let accepted: u64 = answers.iter().map(|(_, body)| body["accepted"].as_u64().expect("a count")).sum();
    let repeated: u64 = answers.iter().map(|(_, body)| body["repeated"].as_u64().expect("a count")).sum();
    assert_eq!((accepted, repeated), (7, 693));
    assert_eq!(home.store("events").lines().count(), 7);
    // Also after a restart.
    server.stop();
    let server = Server::start(&home);
    assert_eq!(
        post(&server, home.made("admin_token"), &call("same")),
        (200, json!({"accepted": 0, "repeated": 7}))
    );
    assert_eq!(home.store("events").lines().count(), 7);
}

#[test]
fn a_batch_with_a_mistake_is_refused_whole() {
    let home = Home::new("mistake");
    let server = Server::start(&home);
    let token = home.made("admin_token");
    let mut batch = call("half");
    batch["signals"][6]["kind"] = "exploded".into();
    let (status, body) = post(&server, token, &batch);
    assert_eq!((status, &body["errorCode"]), (400, &"CMN-101".into()));
    let message = body["message"].as_str().expect("a message");
    assert!(message.starts_with("signals[6]: unknown variant `exploded`"), "{message}");
    for (raw, status, code) in [
        (&b"{"[..], 400, "CMN-103"),
        (b"", 400, "CMN-103"),
        (b"\xff\xfe", 400, "CMN-103"),
        (b"{\"signals\": []}", 400, "CMN-101"),
        (b"{\"signals\": [], \"signals\": []}", 400, "CMN-101"),
        (b"{\"other\": []}", 400, "CMN-101"),
    ] {
        let (answered, body) = post_raw(&server, token, raw);
        assert_eq!(
            (answered, &body["errorCode"]),
            (status, &code.into()),
            "{}",
            String::from_utf8_lossy(raw)
        );
    }
    let deep = format!("{{\"signals\": [{}1{}]}}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(post_raw(&server, token, deep.as_bytes()).0, 400);
    let (status, body) = post_raw(&server, token, &vec![b' '; 10 * 1024 * 1024]);
    assert_eq!((status, &body["errorCode"]), (413, &"CMN-101".into()));
    assert_eq!(home.store("events"), "");
    assert_eq!(post(&server, token, &call("whole")).0, 200);
    super::hep::balance(&server);
}

/// The SHA-256 digest of a key, in hexadecimal digits.
pub(super) fn digest(key: &str) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, key.as_bytes());
    digest.as_ref().iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}

/// An ingest key for one account, as a configuration has it.
pub(super) fn key_of(account: u64, name: &str, key: &str) -> String {
    format!("\n[[ingest.key]]\nname = \"{name}\"\nsha256 = \"{}\"\naccount = {account}\n", digest(key))
}

#[test]
fn only_the_holder_of_a_key_may_post() {
    let home = Home::new("keys");
    home.configure(&key_of(420_002_027, "switch", "sesame"));
    let server = Server::start(&home);
    for token in ["", "sesamo", home.made("jwt"), home.made("client_secret")] {
        let (status, body) = post(&server, token, &call("refused"));
        assert_eq!((status, &body["errorCode"]), (401, &"TokenInvalid".into()), "{token:?}");
        assert_eq!(body["errors"][0]["errorCode"], "OAU-129");
    }
    let (status, _) = server.request("POST", "/ingest/v1/signals", &[], b"{}");
    assert_eq!(status, 401);
    assert_eq!(post(&server, "sesame", &call("key")).0, 200);
    // Two clients may use the same ids.
    assert_eq!(post(&server, home.made("admin_token"), &call("key")).1["accepted"], 7);
    let events = home.events(14);
    assert_eq!(events[0]["body"]["parties"][0]["accountId"], "420002027");
    assert_eq!(events[7]["body"]["parties"][0]["accountId"], home.made("account_id"));
}

const NORTH: u64 = 310_001_016;
const SOUTH: u64 = 420_002_027;

/// A server with two accounts, for each of which somebody has a key, and a key for both.
fn home_of_two_accounts(name: &str) -> Home {
    let home = Home::new(name);
    let account = |id: u64, name: &str, number: &str| {
        format!(
            "[[account]]\nid = {id}\ncountry_code = \"1\"\ndomains = [\"{name}.example\"]\n\
             [[account.extension]]\nnumber = \"101\"\nnumbers = [\"{number}\"]\n\
             [[account.extension]]\nnumber = \"102\"\n"
        )
    };
    let directory = account(NORTH, "north", "+14155550101") + &account(SOUTH, "south", "+14155550201");
    std::fs::write(home.directory.join("directory.toml"), directory).expect("it can be written");
    home.configure(&key_of(NORTH, "switch of the north", "north"));
    home.configure(&key_of(SOUTH, "switch of the south", "south"));
    home.configure(&format!("\n[[ingest.key]]\nname = \"both\"\nsha256 = \"{}\"\n", digest("both")));
    home
}

/// A part of a call.
fn part(call: &Value, signals: std::ops::Range<usize>) -> Value {
    json!({"signals": call["signals"].as_array().expect("signals")[signals]})
}

/// Each event as account, direction and status.
fn told(events: &[Value]) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or("?").to_owned();
    let told = |event: &Value| {
        let party = &event["body"]["parties"][0];
        let status = format!("{} {}", text(&party["direction"]), text(&party["status"]["code"]));
        (text(&party["accountId"]), status)
    };
    events.iter().map(told).collect()
}

#[test]
fn a_key_with_an_account_is_refused_another_and_nothing_of_the_batch_counts() {
    let home = home_of_two_accounts("key-other-account");
    let server = Server::start(&home);
    for index in 0..7 {
        let mut batch = call("one");
        batch["signals"][index]["account"] = SOUTH.into();
        let (status, body) = post(&server, "north", &batch);
        assert_eq!((status, &body["errorCode"]), (403, &"InsufficientPermissions".into()), "{body}");
        assert_eq!(body["errors"][0]["errorCode"], "CMN-404");
        let message = body["message"].as_str().expect("a message");
        let said =
            format!("signals[{index}]: \"account\" is {SOUTH}, and this key posts for account {NORTH} alone");
        assert!(message.starts_with(&said), "{message}");
    }
    assert_eq!(home.store("events"), "");
    // Neither the ids nor the legs of what was refused are known; its own account may be named.
    let mut batch = call("one");
    batch["signals"][0]["account"] = NORTH.into();
    assert_eq!(post(&server, "north", &batch), (200, json!({"accepted": 7, "repeated": 0})));
    assert!(told(&home.events(7)).iter().all(|(account, _)| *account == NORTH.to_string()));
    super::hep::balance(&server);
    server.stop();
    home.store("check");
}

#[test]
fn a_call_of_a_key_with_an_account_is_of_it_also_when_it_is_to_another() {
    let home = home_of_two_accounts("key-calls-other-account");
    let server = Server::start(&home);
    let to_the_south = |name: &str| {
        let mut call = call(name);
        for signal in [0, 1] {
            call["signals"][signal]["callee"] = "+14155550201".into();
            call["signals"][signal]["caller"]["number"] = "102".into();
        }
        call["signals"][0]["callee_host"] = "south.example".into();
        call
    };
    // That somebody outside is about to ring is not told: who is called is nobody of the north.
    assert_eq!(post(&server, "north", &to_the_south("one")).0, 200);
    let events = told(&home.events(6));
    assert!(events.iter().all(|(account, _)| *account == NORTH.to_string()), "{events:?}");
    // Of a key for both the directory tells whose it is, unless the call says it itself.
    assert_eq!(post(&server, "both", &to_the_south("one")).0, 200);
    let events = told(&home.events(13)[6..]);
    assert!(events.iter().all(|(account, _)| *account == SOUTH.to_string()), "{events:?}");
    let mut named = to_the_south("two");
    named["signals"][0]["account"] = NORTH.into();
    assert_eq!(post(&server, "both", &named).0, 200);
    let events = told(&home.events(19)[13..]);
    assert!(events.iter().all(|(account, _)| *account == NORTH.to_string()), "{events:?}");
    server.stop();
    // The log alone gives the same events again.
    home.store("check");
}

#[test]
fn who_has_a_key_of_one_account_reaches_no_call_of_another_by_its_names() {
    let home = home_of_two_accounts("key-names-calls");
    let server = Server::start(&home);
    // Ids, legs, times and names of the SIP call are the same.
    let mut same = call("same");
    same["signals"][0]["sip"] = json!({"call_id": "c1@pbx", "from_tag": "ann"});
    same["signals"][0]["call_ids"] = json!(["c1@pbx"]);
    let mut of_both = call("both");
    of_both["signals"][0]["account"] = SOUTH.into();
    of_both["signals"][0]["call_ids"] = json!(["c1@pbx-2"]);
    for (key, call) in [("south", &same), ("both", &of_both), ("north", &same)] {
        assert_eq!(post(&server, key, &part(call, 0..5)).1["accepted"], 5, "{key}");
    }
    let events = home.events(15);
    let accounts = told(&events);
    assert!(accounts[..10].iter().all(|(account, _)| *account == SOUTH.to_string()), "{accounts:?}");
    assert!(accounts[10..].iter().all(|(account, _)| *account == NORTH.to_string()), "{accounts:?}");
    let session = |event: &Value| event["body"]["telephonySessionId"].clone();
    assert_ne!(session(&events[0]), session(&events[10]));
    // The north ends its own call, and tries all it can on those of the south.
    assert_eq!(post(&server, "north", &part(&same, 5..7)).1["accepted"], 2);
    let attempts: Vec<Value> = ["same-a", "same-b", "both-a", "both-b"]
        .into_iter()
        .flat_map(|leg| {
            [
                json!({"leg": leg, "kind": "held"}),
                json!({"leg": leg, "kind": "transfer_asked", "to": "101"}),
                json!({"leg": leg, "kind": "ended"}),
                json!({"leg": "mine", "kind": "supervises", "whom": leg}),
                json!({"leg": "mine", "kind": "transfer_asked", "to": "101", "consulted": leg}),
                json!({"leg": leg, "kind": "picked_up", "by": "mine"}),
                json!({"leg": leg, "kind": "retrieved", "by": "mine"}),
                json!({"leg": "more", "kind": "created", "direction": "inbound", "of": leg, "callee": "101"}),
            ]
        })
        .collect();
    let mine = json!({"leg": "mine", "kind": "created", "direction": "outbound", "callee": "102",
        "caller": {"number": "101"}, "call_ids": ["c1@pbx", "c1@pbx-2"]});
    let attempts: Vec<Value> = std::iter::once(mine)
        .chain(attempts)
        .chain([json!({"leg": "mine", "kind": "ended"})])
        .enumerate()
        .map(|(number, mut signal)| {
            signal["id"] = format!("attempt {number}").into();
            signal["at"] = format!("2026-03-01T12:00:{:02}Z", 8 + number).into();
            signal
        })
        .collect();
    let count = attempts.len();
    assert_eq!(post(&server, "north", &json!({"signals": attempts})).1["accepted"], count);
    let before = home.store("events").lines().count();
    let later: Vec<Value> = home.events(before).split_off(15);
    assert!(later.len() > 2, "{later:?}");
    assert!(told(&later).iter().all(|(account, _)| *account == NORTH.to_string()), "{later:?}");
    // The calls of the south go on, and end when it says so.
    for (key, call) in [("south", &same), ("both", &of_both)] {
        assert_eq!(post(&server, key, &part(call, 5..7)).1["accepted"], 2);
    }
    let ends = told(&home.events(before + 4)[before..]);
    let end = |status: &str| (SOUTH.to_string(), status.to_owned());
    let both_end = [end("Inbound Disconnected"), end("Outbound Disconnected")];
    assert_eq!(ends, [both_end.clone(), both_end].concat());
    server.stop();
    home.store("check");
}

/// Returns the number of requests that are watched; `HOOKSWITCH_TEST_ACKS` for more.
fn acknowledgements() -> usize {
    std::env::var("HOOKSWITCH_TEST_ACKS").ok().and_then(|count| count.parse().ok()).unwrap_or(300)
}

#[test]
fn no_answer_leaves_before_what_it_accepts_is_synced() {
    if Command::new("strace").arg("-V").output().is_err() {
        eprintln!("skipped: strace is not installed");
        return;
    }
    let home = Home::new("acknowledged");
    let trace = home.directory.join("trace");
    let mut command = Command::new("strace");
    // -D: the server stays the child of the test.
    command.args([
        "-D",
        "-f",
        "-s",
        "24",
        "-e",
        "trace=fsync,fdatasync,recvfrom,read,sendto,write,writev",
        "-o",
    ]);
    command.arg(&trace).arg(env!("CARGO_BIN_EXE_hookswitch"));
    command.arg("serve").arg("--config").arg(home.config());
    let server = Server::spawn(&mut command, &[]);
    let token = home.made("admin_token").to_owned();
    let count = acknowledgements();
    for number in 0..count {
        assert_eq!(post(&server, &token, &call(&format!("call {number}"))).0, 200);
    }
    server.stop();
    let text = wait_for(
        || std::fs::read_to_string(&trace).ok().filter(|text| text.contains("+++ exited with 0 +++")),
        || "the end of the trace".to_owned(),
    );
    let (mut synced, mut answers, mut early) = (false, 0, 0);
    for line in text.lines() {
        if line.contains("\"POST /ingest") {
            synced = false;
        } else if (line.contains("fsync") || line.contains("fdatasync")) && line.ends_with("= 0") {
            synced = true;
        } else if line.contains("\"HTTP/1.1 200") {
            answers += 1;
            early += usize::from(!synced);
        }
    }
    println!("{answers} answers, {early} before the sync");
    assert_eq!((answers, early), (count, 0));
}
