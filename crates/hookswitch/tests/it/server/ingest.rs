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

#[test]
fn only_the_holder_of_a_key_may_post() {
    let home = Home::new("keys");
    // printf %s sesame | sha256sum
    let digest = "d0c04f4b1951e4aeaaec8223ed2039e542f3aae805a6fa7f6d794e5afff5d272";
    home.configure(&format!(
        "[[ingest.key]]\nname = \"switch\"\nsha256 = \"{digest}\"\naccount = 420002027\n"
    ));
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

/// How many requests are watched; `HOOKSWITCH_TEST_ACKS` for more.
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
