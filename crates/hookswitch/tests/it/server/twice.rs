//! The same signalling twice: a capture that is played again is told again, and what comes in again with the
//! same times is told once.

use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use hookswitch_model::Timestamp;
use hookswitch_signal::capture::hep;
use serde_json::{Value, json};

use super::hep::balance;
use super::nats::Nats;
use super::traffic::{Agent, EVENTS_OF_CALL, call};
use super::{Home, PATIENCE, Server, by_session, hookswitch, path, root, wait_for, without_test_sizes};

const CAPTURE: &str = "captures/answered-call.pcap";

/// Number of messages that the capture has, and how many events they give.
const MESSAGES: usize = 23;
const EVENTS: usize = 10;

/// Length of the capture in microseconds.
const LENGTH: i64 = 5_500_000;

#[test]
fn a_capture_that_is_played_again_is_told_again() {
    let captures = ["answered-call", "busy-call", "cancelled-call", "direct-call"];
    for name in captures {
        let capture = format!("captures/{name}.pcap");
        let home = Home::new(&format!("twice-{name}"));
        let server = Server::start(&home);
        let alone = replayed(&home, &capture);
        server.play_now(&capture);
        server.play_now(&capture);
        home.events(2 * alone.iter().map(Vec::len).sum::<usize>());
        assert_eq!(told(&home), [alone.clone(), alone].concat(), "{name}");
        balance(&server);
        assert_eq!(server.count("hookswitch_events_repeated_total"), 0);
        server.stop();
        home.store("check");
    }
}

#[test]
fn a_play_is_sent_with_the_time_of_now_and_the_spacing_of_the_capture() {
    let captured = stamps(&["play", CAPTURE, "--speed", "0", "--original-times"], None);
    assert_eq!(captured.times.len(), MESSAGES);
    let spacing = |times: &[i64]| times.iter().map(|at| at - times[0]).collect::<Vec<i64>>();
    assert!((LENGTH..LENGTH + 100_000).contains(spacing(&captured.times).last().expect("times")));
    let mut agents = vec![captured.agent];

    // As fast as goes, and faster than it was: what was played is just over when the play is.
    for speed in ["0", "40"] {
        let played = stamps(&["play", CAPTURE, "--speed", speed], None);
        assert_eq!(spacing(&played.times), spacing(&captured.times), "{speed}");
        let last = played.times.last().expect("times");
        assert!((played.began..=played.ended).contains(last), "{speed}: {last} {played:?}");
        agents.push(played.agent);
    }
    // The length of standard input is not known before it is played.
    let bytes = std::fs::read(root().join(CAPTURE)).expect("it is there");
    let piped = stamps(&["play", "-", "--speed", "0"], Some(&bytes));
    assert_eq!(spacing(&piped.times), spacing(&captured.times));
    assert!((piped.began..=piped.ended).contains(&piped.times[0]), "{piped:?}");
    agents.push(piped.agent);
    // With its timing the first message is sent with the time of now, and each at its time.
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("twice-timing.pcap");
    std::fs::write(&file, cut(CAPTURE, 6)).expect("it is written");
    let timed = stamps(&["play", path(&file)], None);
    assert_eq!(spacing(&timed.times), spacing(&captured.times)[..6]);
    assert!((timed.began..=timed.ended).contains(&timed.times[0]), "{timed:?}");
    for (at, came) in timed.times.iter().zip(&timed.arrivals) {
        assert!(came - at >= -1_000, "none is sent before its time: {timed:?}");
    }
    agents.push(timed.agent);

    agents.sort_unstable();
    agents.dedup();
    assert_eq!(agents.len(), 5, "each play is another agent: {agents:x?}");
}

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
    server.play_now(CAPTURE);
    let twice = home.events(2 * EVENTS);
    assert_eq!(twice[..EVENTS], once);
    server.kill();
    server = nats.node(&home, "n1");
    server.play(CAPTURE);
    repeated(&server, EVENTS);
    assert_eq!(home.events(2 * EVENTS), twice);
    assert_eq!(warnings(server), [EVENTS as u64]);
    // A node that comes new reads the same.
    let other = Home::new("twice-nats-other");
    let server = nats.node(&other, "n2");
    assert_eq!(other.events(2 * EVENTS), twice);
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
        hookswitch_store::testing::reseal(&home.directory.join("data"));
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
    let said = String::from_utf8_lossy(&check().stdout).into_owned();
    assert!(said.starts_with("events 3 to 3 are missing in the middle of the log"), "{said}");
    hookswitch_store::testing::reseal(&home.directory.join("data"));
    let said = String::from_utf8_lossy(&check().stderr).into_owned();
    assert!(said.contains("the event log has 4 where 3 should be"), "{said}");
    let other = "UPDATE events SET position = 3, session = 2, sequence = 99 WHERE position = 22";
    database.execute(other, []).expect("it is ours");
    hookswitch_store::testing::reseal(&home.directory.join("data"));
    let said = String::from_utf8_lossy(&check().stderr).into_owned();
    assert!(said.contains("event 3 of the log differs"), "{said}");
}

impl Server {
    /// Plays a capture as a user does who wants to see its calls now, without pauses.
    #[track_caller]
    fn play_now(&self, capture: &str) {
        let to = self.hep().to_string();
        let output = hookswitch(&["play", capture, "--to", &to, "--speed", "0"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
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

/// The events of the log by sessions, in the order in which those began.
fn told(home: &Home) -> Vec<Vec<Value>> {
    by_session(&home.store("events"))
}

/// The same of a capture as `replay` prints it.
fn replayed(home: &Home, capture: &str) -> Vec<Vec<Value>> {
    let directory = home.directory.join("directory.toml");
    let output = hookswitch(&["replay", capture, "--directory", path(&directory)]);
    by_session(&String::from_utf8(output.stdout).expect("UTF-8"))
}

/// The first packets of a capture in the format of pcap.
fn cut(capture: &str, packets: usize) -> Vec<u8> {
    const HEADER: usize = 24;
    let bytes = std::fs::read(root().join(capture)).expect("it is there");
    let end = (0..packets).fold(HEADER, |at, _| {
        let length = bytes[at + 8..at + 12].try_into().expect("four bytes");
        at + 16 + u32::from_le_bytes(length) as usize
    });
    bytes[..end].to_vec()
}

/// Messages that a play sent.
#[derive(Debug)]
struct Sent {
    agent: u32,
    /// The times of its messages, and when they came, in microseconds.
    times: Vec<i64>,
    arrivals: Vec<i64>,
    /// Time when the program was started, and when it had ended.
    began: i64,
    ended: i64,
}

/// Plays to a socket of the test, with standard input if the arguments name it.
fn stamps(arguments: &[&str], input: Option<&[u8]>) -> Sent {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let to = socket.local_addr().expect("it is bound").to_string();
    let mut command = Command::new(env!("CARGO_BIN_EXE_hookswitch"));
    without_test_sizes(&mut command).args(arguments).args(["--to", &to]).current_dir(root());
    let file: PathBuf = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join(format!("twice-{}", socket.local_addr().expect("it is").port()));
    match input {
        Some(bytes) => {
            std::fs::write(&file, bytes).expect("it is written");
            command.stdin(std::fs::File::open(&file).expect("it is there"));
        }
        None => {
            command.stdin(Stdio::null());
        }
    }
    let mut sent = Sent { agent: 0, times: Vec::new(), arrivals: Vec::new(), began: wall(), ended: 0 };
    let mut buffer = vec![0; 65_536];
    socket.set_read_timeout(Some(Duration::from_millis(100))).expect("it can be set");
    thread::scope(|scope| {
        let play = scope.spawn(|| command.stderr(Stdio::null()).status().expect("it starts"));
        let mut is_over = false;
        while !is_over {
            is_over = play.is_finished();
            while let Ok(length) = socket.recv(&mut buffer) {
                let frame = hep::parse(&buffer[..length]).expect("a frame");
                sent.agent = frame.agent.expect("an agent");
                sent.times.push(frame.time.map(Timestamp::as_micros).expect("a time"));
                sent.arrivals.push(wall());
            }
        }
        assert!(play.join().expect("no panic").success());
    });
    sent.ended = wall();
    std::fs::remove_file(&file).ok();
    sent
}

/// The time by the clock on the wall, in microseconds.
#[expect(clippy::disallowed_methods, reason = "the test measures time")]
fn wall() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    i64::try_from(since.as_micros()).expect("it fits")
}
