//! The server is killed at any moment, and its logs hold whole calls all the same.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::traffic::{Agent, EVENTS_OF_CALL, call};
use super::{Home, Server, request};

/// Returns how often the server is killed; HOOKSWITCH_TEST_KILLS for more.
fn kills() -> u32 {
    std::env::var("HOOKSWITCH_TEST_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(50)
}

#[test]
fn an_open_call_goes_on_after_the_server_was_killed() {
    let home = Home::new("goes-on");
    let mut server = Server::start(&home);
    let mut agent = Agent::new(server.hep(), 1);
    let messages = call("long");
    for (way, message) in &messages[..3] {
        agent.send(*way, message);
    }
    home.events(6);
    server.kill();
    let server = Server::start(&home);
    agent.send_to(server.hep());
    for (way, message) in &messages[3..] {
        agent.send(*way, message);
    }
    let events = home.events(EVENTS_OF_CALL);
    let sequences: Vec<u64> =
        events.iter().map(|event| event["body"]["sequence"].as_u64().expect("it")).collect();
    assert_eq!(sequences, (2..10).collect::<Vec<u64>>());
    assert_eq!(server.count("hookswitch_sessions_open"), 0);
    server.stop();
    home.store("check");
}

#[test]
fn an_open_call_goes_on_from_the_state_that_was_saved() {
    let home = Home::new("saved");
    let server = Server::start(&home);
    let token = format!("Bearer {}", home.made("admin_token"));
    let mut agent = Agent::new(server.hep(), 1);
    let messages = call("long");
    for (way, message) in &messages[..3] {
        agent.send(*way, message);
    }
    // A call of a client too, whose second half comes after the restart.
    let mut second = posted("posted-7");
    let mut first = second.clone();
    first["signals"].as_array_mut().expect("a list").truncate(1);
    second["signals"].as_array_mut().expect("a list").remove(0);
    let post = |server: &Server, batch: &Value| {
        let body = batch.to_string();
        server.request("POST", "/ingest/v1/signals", &[("Authorization", &token)], body.as_bytes())
    };
    assert_eq!(post(&server, &first).0, 200);
    home.events(7);
    server.stop();
    let server = Server::start(&home);
    assert_eq!((&server.restored["inputs"], &server.restored["open_sessions"]), (&json!(0), &json!(2)));
    agent.send_to(server.hep());
    for (way, message) in &messages[3..] {
        agent.send(*way, message);
    }
    assert_eq!(post(&server, &second).0, 200);
    home.events(EVENTS_OF_CALL + 2);
    assert_eq!(server.count("hookswitch_sessions_open"), 0);
    server.stop();
    home.store("check");
}

#[test]
fn kills_at_any_moment_lose_nothing_that_was_accepted_and_repeat_nothing() {
    let home = Home::new("kills");
    let seed = std::process::id();
    eprintln!("seed {seed}");
    let mut random = seed;
    // Where the server is; 0 while it is down.
    let http = Arc::new(AtomicU64::new(0));
    let hep = Arc::new(AtomicU64::new(0));
    let over = Arc::new(AtomicBool::new(false));
    let accepted: Arc<Mutex<Vec<String>>> = Arc::default();
    let token = format!("Bearer {}", home.made("admin_token"));
    let posting = thread::spawn({
        let (http, over, accepted) = (http.clone(), over.clone(), accepted.clone());
        move || {
            for number in 0.. {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                let Ok(port) = u16::try_from(http.load(Ordering::Relaxed)) else { break };
                let id = format!("posted-{number}");
                let batch = posted(&id).to_string();
                let to = ([127, 0, 0, 1], port).into();
                let answer =
                    request(to, "POST", "/ingest/v1/signals", &[("Authorization", &token)], batch.as_bytes());
                match answer {
                    Ok((200, _)) => accepted.lock().expect("no panic").push(id),
                    _ => thread::sleep(Duration::from_millis(5)),
                }
            }
        }
    });
    let sending = thread::spawn({
        let (hep, over) = (hep.clone(), over.clone());
        move || {
            let mut agent = Agent::new(([127, 0, 0, 1], 9).into(), 1);
            for number in 0.. {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                for (way, message) in call(&format!("call-{number}")) {
                    agent.send_to(([127, 0, 0, 1], hep.load(Ordering::Relaxed) as u16).into());
                    agent.send(way, &message);
                }
                thread::sleep(Duration::from_millis(4));
            }
        }
    });
    let kills = kills();
    for _ in 0..kills {
        // The state is saved often, so that kills come before, in and after that.
        let mut server = Server::start_with(&home, &[("HOOKSWITCH_STORE__SNAPSHOT_EVERY", "40ms")]);
        http.store(u64::from(server.addresses["HTTP"].port()), Ordering::Relaxed);
        hep.store(u64::from(server.hep().port()), Ordering::Relaxed);
        random = random.wrapping_mul(1_103_515_245).wrapping_add(12_345);
        thread::sleep(Duration::from_millis(u64::from(random >> 16) % 150));
        server.kill();
    }
    over.store(true, Ordering::Relaxed);
    posting.join().expect("no panic");
    sending.join().expect("no panic");
    let server = Server::start(&home);
    server.stop();

    // The events are those that the inputs give, to the byte and in the order.
    let checked = home.store("check");
    let text = home.store("events");
    let mut sequences: BTreeMap<String, u64> = BTreeMap::new();
    let mut uuids = std::collections::BTreeSet::new();
    for line in text.lines() {
        let event: Value = serde_json::from_str(line).expect("JSON");
        let session = event["body"]["telephonySessionId"].as_str().expect("an id").to_owned();
        let sequence = event["body"]["sequence"].as_u64().expect("a number");
        let last = sequences.entry(session).or_insert(1);
        assert_eq!(sequence, *last + 1, "a gap or a repeat: {line}");
        *last = sequence;
        assert!(uuids.insert(event["uuid"].to_string()), "told twice: {line}");
    }
    let accepted = accepted.lock().expect("no panic");
    assert!(!accepted.is_empty(), "something was accepted");
    eprintln!("{kills} kills: {} batches accepted, {checked}", accepted.len());
    for id in accepted.iter() {
        let names = text.matches(&format!("\"phoneNumber\":\"{}\"", number_of(id))).count();
        assert!(names > 0, "{id} was accepted, and is not told");
    }
}

/// A call of one number, which is that of the batch.
fn posted(id: &str) -> Value {
    json!({"signals": [
        {"id": format!("{id}-1"), "leg": id, "kind": "created", "direction": "outbound", "callee": number_of(id),
         "caller": {"number": "101"}},
        {"id": format!("{id}-2"), "leg": id, "kind": "ended"},
    ]})
}

fn number_of(id: &str) -> String {
    format!("+1415{}", 1_000_000 + id.trim_start_matches("posted-").parse::<u32>().expect("a number"))
}
