//! The console in Chromium, over a real server with real calls and receivers. What the pages do is in
//! `tests/console/`; how they look is kept in `target/tmp/console`.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use super::client::exchange;
use super::clients::tool;
use super::nats::Nats;
use super::partitions::{is_settled, share, twins, until};
use super::receiver::{Receiver, Reply};
use super::traffic::{Agent, Way, call};
use super::{Home, Server, hostile, root, wait_for};

const SESSIONS: &str = "/restapi/v1.0/account/~/telephony/sessions";
const PASSWORD: &str = "a password of ours";

/// The most of a hostile string that goes into one field of a datagram, in bytes.
const FIELD_BYTES_MAX: usize = 8 * 1024;

/// Runs a script with what it is to know, does what it asks for, and gives what it has found; none if there
/// is no browser here.
#[track_caller]
fn browse(script: &str, given: &Value, mut does: impl FnMut(&str) -> Value) -> Option<Value> {
    let modules = tool("npm/node_modules")?;
    let chromium =
        ["/usr/bin/chromium", "/usr/bin/chromium-browser"].into_iter().find(|path| Path::new(path).exists());
    let Some(chromium) = chromium.filter(|_| modules.join("playwright-core").exists()) else {
        println!("skipped: there is no Chromium, or no playwright-core; make setup installs both");
        return None;
    };
    let mut process = Command::new("node")
        .arg(root().join("crates/hookswitch/tests/console").join(script))
        .env("CONSOLE_MODULES", modules)
        .env("CONSOLE_CHROMIUM", chromium)
        .env("CONSOLE_GIVEN", given.to_string())
        .env("CONSOLE_SHOTS", Path::new(env!("CARGO_TARGET_TMPDIR")).join("console"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("node runs");
    let mut input = process.stdin.take().expect("a pipe");
    let mut found = Value::Null;
    for line in BufReader::new(process.stdout.take().expect("a pipe")).lines().map_while(Result::ok) {
        let said: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{script} says {line}"));
        if let Some(step) = said["step"].as_str() {
            writeln!(input, "{}", does(step)).expect("it listens");
        } else {
            found = said["found"].clone();
        }
    }
    let ended = process.wait().expect("it ends");
    assert!(
        ended.success(),
        "{script} has failed; what it saw last is target/tmp/console/failed-{script}.png"
    );
    Some(found)
}

/// Subscribes an address to some events, and gives the id.
#[track_caller]
fn subscribe(server: &Server, home: &Home, receiver: &Receiver, query: &str) -> String {
    let token = server.log_in(home).text("access_token");
    let body = json!({
        "eventFilters": [format!("{SESSIONS}{query}")],
        "deliveryMode": {"transportType": "WebHook", "address": receiver.url()},
    });
    let made = server.call(&token, "POST", "/restapi/v1.0/subscription", Some(&body));
    assert_eq!(made.status, 200, "{made:?}");
    made.text("id")
}

fn server_url(server: &Server) -> String {
    format!("http://{}", server.http())
}

/// A receiver that answers notifications with this status and text until it is well.
fn failing(status: u16, text: impl Fn() -> String + Send + Sync + 'static) -> (Receiver, Arc<AtomicBool>) {
    let well = Arc::new(AtomicBool::new(false));
    let is_well = well.clone();
    let receiver = Receiver::new(move |posted| {
        if posted.token().is_some() || is_well.load(Ordering::Relaxed) {
            Reply::good(posted)
        } else {
            Reply::Full(status, Vec::new(), text())
        }
    });
    (receiver, well)
}

#[test]
fn a_call_is_seen_as_it_goes_on_and_a_missing_webhook_is_traced_to_its_cause() {
    let home = Home::new("console-calls");
    let server = Server::start_dev(&home);
    let good = Receiver::good();
    let (bad, well) = failing(503, || "<b>out of order</b>".to_owned());
    subscribe(&server, &home, &good, "");
    subscribe(&server, &home, &good, "?statusCode=Answered");
    let failing = subscribe(&server, &home, &bad, "");
    let given = json!({"server": server_url(&server), "admin": home.made("admin_token"), "failing": failing});
    let mut agent = Agent::new(server.hep(), 1);
    let messages = call("console").map(|(way, message)| {
        (way, message.replace("From: <sip", "From: \"<script>alert('Ann')</script>\" <sip"))
    });
    let another = call("another").map(|(way, message)| (way, message.replace("sip:101@", "sip:103@")));
    let found = browse("calls.mjs", &given, |step| {
        let sent = match step {
            "ring" => &messages[..2],
            "answer" => &messages[2..4],
            "hang up" => &messages[4..],
            "another" => &another[..],
            "mend" => {
                well.store(true, Ordering::Relaxed);
                &[]
            }
            "count" => return json!(bad.count()),
            other => panic!("{other} is not known"),
        };
        for (way, message) in sent {
            assert!(agent.send(*way, message));
        }
        Value::Null
    });
    if let Some(found) = found {
        println!("the ladder has {found}");
    }
}

#[test]
fn two_hundred_hostile_strings_do_no_harm_in_any_view() {
    let home = Home::new("console-hostile");
    home.configure("[[hep.source]]\nname = \"<img src=x onerror=alert(1)>\"\naddresses = [\"127.0.0.1\"]\n");
    let server = Server::start_dev(&home);
    let strings: Vec<String> =
        hostile::strings().iter().map(|bytes| String::from_utf8_lossy(bytes).into_owned()).collect();
    let said = std::sync::atomic::AtomicUsize::new(0);
    let answers = strings.clone();
    let (receiver, _) =
        failing(500, move || answers[said.fetch_add(1, Ordering::Relaxed) % answers.len()].clone());
    let subscription = subscribe(&server, &home, &receiver, "");
    let mut agent = Agent::new(server.hep(), 1);
    let mut calls = 0;
    for (number, bytes) in hostile::strings().iter().enumerate() {
        let quoted: Vec<u8> =
            bytes.iter().copied().filter(|byte| !b"\r\n".contains(byte)).take(FIELD_BYTES_MAX).collect();
        let escaped: Vec<u8> = quoted
            .iter()
            .flat_map(|&byte| if b"\"\\".contains(&byte) { vec![b'\\', byte] } else { vec![byte] })
            .collect();
        for (way, message) in call(&format!("hostile-{number}")) {
            let message = message
                .replacen("From: <sip", "From: \"@@\" <sip", 1)
                .replacen("To: <sip", "To: \"@@\" <sip", 1)
                .replacen("Content-Length", "User-Agent: %%\r\nSubject: %%\r\nContent-Length", 1)
                .replacen("180 Ringing", "180 %%", 1);
            let frame = agent.frame_of(way, &fill(&message, &escaped, &quoted));
            agent.send_raw(&frame);
        }
        calls += 1;
        home_keeps_up(&server, calls);
    }
    // What JSON carries can have ends of lines too.
    for (number, string) in strings.iter().enumerate() {
        let (name, leg) = (string.chars().take(1000).collect::<String>(), format!("ingest-{number}"));
        let signals = json!([
            {"id": format!("{leg}1"), "leg": leg, "kind": "created", "direction": "outbound", "callee": "102",
                "caller": {"number": "101", "name": name}},
            {"id": format!("{leg}2"), "leg": format!("{leg}b"), "kind": "created", "direction": "inbound", "of": leg,
                "callee": "102", "caller": {"number": "101", "name": name}},
            {"id": format!("{leg}3"), "leg": format!("{leg}b"), "kind": "ended"},
            {"id": format!("{leg}4"), "leg": leg, "kind": "ended"},
        ]);
        let posted = server.call(
            home.made("admin_token"),
            "POST",
            "/ingest/v1/signals",
            Some(&json!({"signals": signals})),
        );
        if posted.status == 200 {
            calls += 1;
        } else {
            assert_eq!(posted.status, 400, "{posted:?}");
        }
    }
    println!("{calls} calls");
    let open = || server.admin(&home, "GET", "/status", &Value::Null).body["openCalls"].clone();
    wait_for(|| (open() == 0).then_some(()), || format!("the end of calls: {}", open()));
    let given = json!({
        "server": server_url(&server), "admin": home.made("admin_token"), "subscription": subscription, "calls": calls,
    });
    let found = browse("hostile.mjs", &given, |_| Value::Null);
    if let Some(found) = found {
        assert!(found["visited"].as_u64() >= Some(200), "{found}");
        println!("script runs 0, dialogs 0, requests to foreign hosts 0, markup 0 in {found}");
    }
}

/// Puts bytes in place of the marks.
fn fill(message: &str, quoted: &[u8], plain: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (place, part) in message.split("@@").enumerate() {
        if place > 0 {
            bytes.extend_from_slice(quoted);
        }
        for (place, part) in part.split("%%").enumerate() {
            if place > 0 {
                bytes.extend_from_slice(plain);
            }
            bytes.extend_from_slice(part.as_bytes());
        }
    }
    bytes
}

/// Waits until the messages of so many calls were read, so that the kernel drops none.
#[track_caller]
fn home_keeps_up(server: &Server, calls: u64) {
    if calls.is_multiple_of(10) {
        let read = || server.sum("hookswitch_hep_frames_total");
        wait_for(|| (read() >= calls * 6).then_some(()), || format!("{} frames", calls * 6));
    }
}

#[test]
fn people_sign_in_and_see_the_buttons_that_they_may_use() {
    let home = Home::new("console-roles");
    let server = Server::start_dev(&home);
    let account: u64 = home.made("account_id").parse().expect("a number");
    let directory = server.admin(&home, "GET", &format!("/accounts/{account}/extensions/102"), &Value::Null);
    let (first, second) =
        (home.made("extension_id").parse().expect("a number"), directory.body["id"].as_u64());
    server.user(&home, account, first, json!({"admin": true}));
    server.user(&home, account, second.expect("an id"), json!({}));
    let (_, watcher) = server.admin_token(&home, "read-only");
    let subscription = subscribe(&server, &home, &Receiver::good(), "");
    let session = place(&server, &home);
    let given = json!({
        "server": server_url(&server), "admin": home.made("admin_token"), "watcher": watcher,
        "subscription": subscription, "session": session, "password": PASSWORD,
    });
    browse("roles.mjs", &given, |_| Value::Null);
}

/// Places a call, waits for its end, and gives its session.
#[track_caller]
fn place(server: &Server, home: &Home) -> String {
    let mut agent = Agent::new(server.hep(), 1);
    for (way, message) in call("placed") {
        assert!(agent.send(way, &message));
    }
    home.events_at_least(8);
    let listed = server.admin(home, "GET", "/sessions", &Value::Null);
    listed.body["records"][0]["telephonySessionId"].as_str().expect("an id").to_owned()
}

#[test]
fn every_view_can_be_used_by_everybody() {
    let home = Home::new("console-accessible");
    let server = Server::start_dev(&home);
    let (bad, _well) = failing(503, || "out of order".to_owned());
    let subscription = subscribe(&server, &home, &bad, "");
    subscribe(&server, &home, &Receiver::good(), "?statusCode=Answered");
    let mut agent = Agent::new(server.hep(), 1);
    let ringing = call("ringing").map(|(way, message)| (way, message.replace("sip:101@", "sip:103@")));
    for (way, message) in &ringing[..2] {
        assert!(*way == Way::Back || agent.send(*way, message));
    }
    let session = place(&server, &home);
    let given = json!({
        "server": server_url(&server), "admin": home.made("admin_token"), "subscription": subscription,
        "session": session,
    });
    if let Some(found) = browse("accessible.mjs", &given, |_| Value::Null) {
        println!("nothing serious in {found}");
    }
}

/// How many calls go on at once, at how many extensions, and how often some end and others begin.
const CALLS: u64 = 1_000;
const EXTENSIONS: u64 = 700;
const TURNS: u64 = 20;
const CHANGED: u64 = 25;

#[test]
fn a_thousand_calls_change_on_the_wallboard_and_no_frame_is_long() {
    let home = Home::new("console-wallboard");
    let mut directory = String::from(
        "[[account]]\nid = 310001016\n[[account.extension]]\nnumber = \"600\"\nname = \"Sales\"\nkind = \"queue\"\n",
    );
    for number in 0..EXTENSIONS {
        let _ = write!(
            directory,
            "[[account.extension]]\nnumber = \"{}\"\nname = \"Agent {number}\"\n",
            1000 + number
        );
    }
    std::fs::write(home.directory.join("directory.toml"), directory).expect("it can be written");
    let server = Server::start_dev(&home);
    // One of four calls is to the queue, the others to an extension each, of which some have two.
    let called =
        |call: u64| if call.is_multiple_of(4) { 600 } else { 1000 + (call - call / 4 - 1) % EXTENSIONS };
    let leg = |call: u64| format!("call-{call}");
    let begun = |call: u64| {
        let (a, b, callee) = (leg(call), format!("{}-b", leg(call)), called(call).to_string());
        let caller = json!({"number": format!("+4930{}", 1_000_000 + call)});
        json!([
            {"id": format!("{a}1"), "leg": a, "kind": "created", "direction": "outbound", "callee": callee, "caller": caller},
            {"id": format!("{a}2"), "leg": b, "kind": "created", "direction": "inbound", "of": a, "callee": callee, "caller": caller},
            {"id": format!("{a}3"), "leg": b, "kind": "ringing"},
        ])
    };
    let one = |call: u64, kind: &str| json!([{"id": format!("{}{kind}", leg(call)), "leg": format!("{}-b", leg(call)), "kind": kind}]);
    let ended = |call: u64| json!([{"id": format!("{}e", leg(call)), "leg": format!("{}-b", leg(call)), "kind": "ended"}, {"id": format!("{}f", leg(call)), "leg": leg(call), "kind": "ended"}]);
    let post = |signals: Vec<Value>| {
        let signals: Vec<Value> =
            signals.into_iter().flat_map(|part| part.as_array().cloned().unwrap_or_default()).collect();
        for part in signals.chunks(60) {
            let posted = server.call(
                home.made("admin_token"),
                "POST",
                "/ingest/v1/signals",
                Some(&json!({"signals": part})),
            );
            assert_eq!(posted.status, 200, "{posted:?}");
        }
    };
    post((0..CALLS).map(begun).collect());
    let places: std::collections::BTreeSet<u64> = (0..CALLS).map(called).collect();
    let given = json!({
        "server": server_url(&server), "admin": home.made("admin_token"), "calls": CALLS, "tiles": places.len(), "turns": TURNS,
    });
    let mut next = 0;
    let found = browse("wallboard.mjs", &given, |step| {
        if step == "answer first" {
            // By name the first: Agent 0.
            let first = (0..CALLS).find(|&call| called(call) == 1000).expect("a call");
            let second = (first + 1..CALLS).find(|&call| called(call) == 1000);
            post(std::iter::once(first).chain(second).map(|call| one(call, "answered")).collect());
        } else {
            // As many end as begin, at the same places.
            post((next..next + CHANGED).map(ended).collect());
            post((next..next + CHANGED).map(|call| begun(call + 4 * EXTENSIONS)).collect());
            next += CHANGED;
        }
        Value::Null
    });
    if let Some(found) = found {
        println!("with {CALLS} calls: {found}");
    }
}

#[test]
fn the_nodes_of_a_cluster_are_seen_and_partitions_moved() {
    let nats = Nats::start("console-cluster");
    let [home, twin] = twins("console-cluster");
    let (a, _b) = (nats.node(&home, "a"), nats.node(&twin, "b"));
    until(&a, &home, "both to have a share", |said| is_settled(said, 2) && share(said, "b") > 0);
    let (_, watcher) = a.admin_token(&home, "read-only");
    let given = json!({"server": server_url(&a), "admin": home.made("admin_token"), "watcher": watcher});
    if let Some(found) = browse("cluster.mjs", &given, |_| Value::Null) {
        println!("nothing serious in {found}");
    }
}

#[test]
fn its_files_are_served_under_a_strict_policy_and_asked_for_once() {
    let home = Home::new("console-files");
    let server = Server::start(&home);
    let get = |path: &str, headers: &[(&str, &str)]| exchange(server.http(), "GET", path, headers, b"");
    let to = |path: &str| get(path, &[]).headers.get("location").cloned();
    assert_eq!((to("/"), to("/console")), (Some("/console/".into()), Some("/console/".into())));
    let page = get("/console/", &[]);
    let mut names = vec![String::new()];
    for part in page.text.split('"') {
        if part.rsplit_once('.').is_some_and(|(_, kind)| ["js", "css", "svg"].contains(&kind)) {
            names.push(part.to_owned());
        }
    }
    assert_eq!(names.len(), 7, "{names:?}");
    let mut seen = 0;
    while seen < names.len() {
        let answer = get(&format!("/console/{}", names[seen]), &[]);
        assert_eq!(answer.status, 200, "{}", names[seen]);
        let policy = &answer.headers["content-security-policy"];
        for part in [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "connect-src 'self'",
            "img-src 'self'",
            "form-action 'none'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
        ] {
            assert!(policy.split("; ").any(|own| own == part), "{part} is not in {policy}");
        }
        assert!(!policy.contains("unsafe") && !policy.contains('*') && !policy.contains(':'), "{policy}");
        assert_eq!(answer.headers["x-content-type-options"], "nosniff");
        assert_eq!(answer.headers["referrer-policy"], "no-referrer");
        assert_eq!(answer.headers["cache-control"], "no-cache");
        let tag = &*answer.headers["etag"];
        let again = get(&format!("/console/{}", names[seen]), &[("If-None-Match", tag)]);
        assert_eq!((again.status, &*again.text), (304, ""), "{}", names[seen]);
        // Nothing of others, nothing inline, and no way for text to become markup.
        for foreign in [
            "https://",
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            " style=",
            "onclick=\"",
        ] {
            let there = answer.text.replace("https://other.example/hook", "").contains(foreign);
            assert!(!there, "{foreign} in {}", names[seen]);
        }
        for import in answer.text.split(" from \"./").skip(1) {
            let name = import.split('"').next().unwrap_or_default().to_owned();
            if !names.contains(&name) {
                names.push(name);
            }
        }
        seen += 1;
    }
    assert!(seen >= 15, "{names:?}");
    for path in ["/console/other.js", "/console/..%2f..%2fetc%2fpasswd", "/console/a/b"] {
        assert_eq!(get(path, &[]).status, 404, "{path}");
    }
}
