//! The same signalling twice: what comes in again with the same times is told once.

use serde_json::{Value, json};

use super::hep::balance;
use super::nats::Nats;
use super::traffic::{Agent, EVENTS_OF_CALL, call};
use super::{Home, PATIENCE, Server, hookswitch, path, wait_for};

const CAPTURE: &str = "captures/answered-call.pcap";

/// How many events it gives.
const EVENTS: usize = 10;

#[test]
fn signalling_that_comes_in_again_is_told_once_and_the_store_is_whole() {
    let home = Home::new("twice-original");
    let mut server = Server::start(&home);
    server.play(CAPTURE);
    let once = home.events(EVENTS);
    server.play(CAPTURE);
    repeated(&server, EVENTS);
    assert_eq!(home.events(EVENTS), once);
    assert_eq!(server.count("hookswitch_events_total"), 2 * EVENTS as u64);
    assert_eq!(server.count("hookswitch_event_log_rows_total"), EVENTS as u64);
    balance(&server);
    let status = server.call(home.made("admin_token"), "GET", "/admin/v1/status", None);
    let journey = status.body["journey"].as_array().expect("a journey").clone();
    let events = journey.iter().find(|stage| stage["name"] == "events").expect("events");
    assert_eq!(events["outcomes"], json!({"stored": EVENTS, "repeated": EVENTS}), "{events}");
    assert_eq!(status.body["store"]["events"], EVENTS, "{status:?}");
    // Another call has the next position.
    server.play("captures/busy-call.pcap");
    home.events(EVENTS + 4);
    assert!(home.store("check").ends_with(" give the 14 events of the log, and 10 that it has already\n"));

    server.kill();
    server = Server::start(&home);
    server.play(CAPTURE);
    repeated(&server, EVENTS);
    server.play("captures/direct-call.pcap");
    home.events(EVENTS + 4 + 8);
    balance(&server);
    assert_eq!(warnings(server), [EVENTS as u64], "one warning, with how many");
    let server = Server::start(&home);
    assert_eq!(server.restored["inputs"], json!(0), "from the state that was saved");
    server.play("captures/direct-call.pcap");
    repeated(&server, 8);
    server.play(CAPTURE);
    repeated(&server, 8 + EVENTS);
    assert_eq!(warnings(server), [8 + EVENTS as u64]);
    let checked = home.store("check");
    assert!(checked.ends_with(" give the 22 events of the log, and 38 that it has already\n"), "{checked}");
}

#[test]
fn an_agent_that_sends_a_capture_again_is_told_once() {
    let home = Home::new("twice-agent");
    let server = Server::start(&home);
    for number in 0..2_u8 {
        let mut agent = Agent::new(server.hep(), 7);
        for id in ["one", "two"] {
            for (way, message) in call(id) {
                agent.send(way, &message);
            }
        }
        // Both are forgotten, and its clock goes back to the beginning.
        let mut agent = agent.ahead(1 + i64::from(number));
        for (way, message) in call(&format!("later-{number}")) {
            agent.send(way, &message);
        }
        home.events_at_least((3 + usize::from(number)) * EVENTS_OF_CALL);
    }
    assert_eq!(home.events(4 * EVENTS_OF_CALL).len(), 4 * EVENTS_OF_CALL);
    repeated(&server, 2 * EVENTS_OF_CALL);
    balance(&server);
    assert_eq!(warnings(server), [2 * EVENTS_OF_CALL as u64]);
    home.store("check");
}

#[test]
fn signals_that_are_posted_again_under_other_ids_are_told_once() {
    let home = Home::new("twice-posted");
    let server = Server::start(&home);
    let signals = |ids: &str| {
        let signal = |number: usize, rest: Value| {
            let mut signal =
                json!({"id": format!("{ids}-{number}"), "at": format!("2026-03-01T12:00:0{number}Z")});
            signal.as_object_mut().expect("an object").extend(rest.as_object().expect("one").clone());
            signal
        };
        json!({"signals": [
            signal(1, json!({"leg": "a", "kind": "created", "direction": "outbound", "callee": "102"})),
            signal(2, json!({"leg": "b", "kind": "created", "direction": "inbound", "of": "a", "callee": "102"})),
            signal(3, json!({"leg": "b", "kind": "answered"})),
            signal(4, json!({"leg": "a", "kind": "answered"})),
            signal(5, json!({"leg": "b", "kind": "ended", "cause": "hung_up"})),
            signal(6, json!({"leg": "a", "kind": "ended", "cause": "hung_up"})),
        ]})
    };
    let mut counts = Vec::new();
    for ids in ["one", "two"] {
        let answer = server.call(home.made("admin_token"), "POST", "/ingest/v1/signals", Some(&signals(ids)));
        assert_eq!(answer.body, json!({"accepted": 6, "repeated": 0}));
        counts.push(home.store("events").lines().count());
    }
    assert!(counts[0] >= 6 && counts[0] == counts[1], "{counts:?}");
    repeated(&server, counts[0]);
    balance(&server);
    server.stop();
    home.store("check");
}

#[test]
fn in_a_cluster_what_comes_in_again_is_told_once() {
    let nats = Nats::start("twice");
    let home = Home::new("twice-nats");
    let mut server = nats.node(&home, "n1");
    server.play(CAPTURE);
    let once = home.events(EVENTS);
    server.play(CAPTURE);
    repeated(&server, EVENTS);
    server.kill();
    server = nats.node(&home, "n1");
    server.play(CAPTURE);
    repeated(&server, EVENTS);
    assert_eq!(home.events(EVENTS), once);
    assert_eq!(warnings(server), [EVENTS as u64]);
    // A node that comes new reads the same.
    let other = Home::new("twice-nats-other");
    let server = nats.node(&other, "n2");
    assert_eq!(other.events(EVENTS), once);
    assert_eq!(warnings(server), [0; 0]);
}

#[test]
fn a_store_in_which_an_older_version_left_positions_free_checks_and_no_other_gap_does() {
    let home = Home::new("twice-older");
    let server = Server::start(&home);
    server.play(CAPTURE);
    home.events(EVENTS);
    server.play(CAPTURE);
    repeated(&server, EVENTS);
    server.play("captures/busy-call.pcap");
    home.events(EVENTS + 4);
    server.stop();
    let database = rusqlite::Connection::open(home.directory.join("data/hookswitch.db")).expect("a database");
    let shift = |after: usize, by: usize| {
        // From the end, because positions are unique.
        let moved = format!("UPDATE events SET position = -position - {by} WHERE position > {after}");
        database.execute(&moved, []).expect("it is ours");
        database.execute("UPDATE events SET position = -position WHERE position < 0", []).expect("likewise");
    };
    let check = || hookswitch(&["store", "check", "--config", path(&home.config())]);
    // As if a count had gone on with each event that was not written again.
    shift(EVENTS, EVENTS);
    assert!(check().status.success(), "{}", String::from_utf8_lossy(&check().stderr));
    shift(2 * EVENTS, 1);
    let said = String::from_utf8_lossy(&check().stderr).into_owned();
    assert!(said.contains("the event log has 22 where 11 should be"), "{said}");
    // Nor does one that lacks an event, or has another in its place.
    database.execute("DELETE FROM events WHERE position = 3", []).expect("it is ours");
    let said = String::from_utf8_lossy(&check().stderr).into_owned();
    assert!(said.contains("the event log has 4 where 3 should be"), "{said}");
    let other = "UPDATE events SET position = 3, session = 2, sequence = 99 WHERE position = 22";
    database.execute(other, []).expect("it is ours");
    let said = String::from_utf8_lossy(&check().stderr).into_owned();
    assert!(said.contains("event 3 of the log differs"), "{said}");
}

/// Waits until so many events were found in the log before they were written.
#[track_caller]
fn repeated(server: &Server, count: usize) {
    let found = || (server.count("hookswitch_events_repeated_total") == count as u64).then_some(());
    wait_for(found, || format!("{count} repeated events"));
}

/// Stops a server, and gives of how many repeated events it has warned since its start; it said nothing worse.
#[track_caller]
fn warnings(mut server: Server) -> Vec<u64> {
    server.signal("TERM");
    let ended =
        wait_for(|| server.process.try_wait().expect("it can be waited for"), || "the end".to_owned());
    assert!(ended.success(), "{ended}");
    let mut counts = Vec::new();
    while let Ok(line) = server.log.lock().expect("no panic").recv_timeout(PATIENCE) {
        assert_ne!(line["level"], "ERROR", "{line}");
        if line["message"].as_str().is_some_and(|text| text.starts_with("the same signalling came in again"))
        {
            assert_eq!(line["level"], "WARN");
            assert!(line["session.id"].as_str().is_some_and(|id| id.starts_with("s-")), "{line}");
            counts.push(line["events"].as_u64().expect("a count"));
        }
    }
    counts
}
