//! A store is copied from SQLite to NATS and back, and is what it was.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::nats::Nats;
use super::receiver::Receiver;
use super::traffic::EVENTS_OF_CALL;
use super::webhooks::{Dev, place, wait_for_count};
use super::{Home, Server, hookswitch, path, wait_for, without_test_sizes};

/// Messages that are written before a kill, in turn: of what takes many messages now some, now all.
const BETWEEN_KILLS: [u64; 4] = [2, 5, 9, 40];

/// The configuration of the same server with its store elsewhere.
pub(super) fn elsewhere(home: &Home, name: &str, directory: &str, nats: Option<(&Nats, &str)>) -> PathBuf {
    let mut text = std::fs::read_to_string(home.config()).expect("the configuration is there");
    text = text.replace("# directory = \"data\"", &format!("directory = \"{directory}\""));
    if let Some((nats, prefix)) = nats {
        text = text
            .replace("# engine = \"sqlite\"", "engine = \"nats\"")
            .replace("# durability = \"strict\"", "durability = \"relaxed\"")
            .replace(
                "[nats]\n",
                &format!("[nats]\nservers = [\"nats://{}\"]\nprefix = \"{prefix}\"\n", nats.clients),
            )
            .replace("[cluster]\n", "[cluster]\npartitions = 4\nnode = \"one\"\n");
    }
    let path = home.directory.join(name);
    std::fs::write(&path, text).expect("the configuration can be written");
    path
}

fn copying(from: &Path, to: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hookswitch"));
    without_test_sizes(&mut command).args(["store", "copy", "--from", path(from), "--to", path(to)]);
    command.stdin(Stdio::null());
    command
}

/// Copies, and gives what is printed.
#[track_caller]
fn copied(from: &Path, to: &Path) -> String {
    let output = copying(from, to).output().expect("the program starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Copies in vain, and gives what is said.
#[track_caller]
fn refused(from: &Path, to: &Path) -> String {
    let output = copying(from, to).output().expect("the program starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{said}");
    said
}

/// The counts and the checksum that a copy printed at its end.
#[track_caller]
fn figures(printed: &str) -> (&str, &str) {
    let mut lines = printed.lines().filter(|line| !line.starts_with("the copy goes on"));
    let counts = lines.next().expect("counts");
    let checksum = lines.next().and_then(|line| line.strip_prefix("both sides have the SHA-256 "));
    (counts, checksum.expect("a checksum"))
}

/// Returns what a store says: its events, and why the first and the last of its sessions came about.
#[track_caller]
fn story(config: &Path) -> Vec<String> {
    let said = |arguments: &[&str]| {
        let arguments = [arguments, &["--config", path(config)]].concat();
        let output = hookswitch(&arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    let events = said(&["store", "events"]);
    let session = |line: &str| {
        let event: Value = serde_json::from_str(line).expect("JSON");
        event["body"]["telephonySessionId"].as_str().expect("an id").to_owned()
    };
    let sessions = [events.lines().next(), events.lines().last()].map(|line| session(line.expect("events")));
    let mut all: Vec<String> =
        sessions.iter().map(|id| said(&["explain", id, "--format", "json", "--raw", "--all"])).collect();
    all.push(events);
    all
}

/// Moves the events of a store, and what is about them, to positions that a long life would have given them.
fn age(home: &Home, by: i64) {
    let database = home.directory.join("data").join("hookswitch.db");
    let connection = rusqlite::Connection::open(database).expect("a database");
    // Backwards, so that no position is taken yet.
    connection
        .execute_batch(&format!(
            "CREATE TEMP TABLE moved AS SELECT * FROM events; DELETE FROM events;
             UPDATE moved SET position = position + {by}; INSERT INTO events SELECT * FROM moved ORDER BY position;
             UPDATE signals SET event = event + {by};
             UPDATE attempts SET event = event + {by};
             UPDATE swept SET position = position + {by} WHERE log IN ('events', 'attempts');
             UPDATE documents SET content = json_set(content, '$.read', json_extract(content, '$.read') + {by})
                 WHERE kind = 'progress';"
        ))
        .expect("they are moved");
    drop(connection);
    hookswitch_store::testing::reseal(&home.directory.join("data"));
}

/// A server of SQLite that has told a receiver of calls, and was stopped.
fn told(home: &Home, receiver: &Receiver, calls: usize) {
    let dev = Dev::start(home);
    dev.subscribe(receiver);
    place(&mut dev.agent(), (0..calls).map(|number| format!("call-{number}")));
    wait_for_count(receiver, calls * EVENTS_OF_CALL);
    dev.server.stop();
}

#[test]
fn a_store_goes_to_nats_and_back_and_every_subscriber_goes_on_where_it_was() {
    let home = Home::new("copied");
    let nats = Nats::start(home.name());
    let receiver = Receiver::good();
    told(&home, &receiver, 20);
    let (a, b) = (home.config(), elsewhere(&home, "b.toml", "data-b", Some((&nats, "x"))));
    let c = elsewhere(&home, "c.toml", "data-c", None);

    let there = copied(&a, &b);
    let (counts, checksum) = figures(&there);
    let events = 20 * EVENTS_OF_CALL;
    assert!(counts.contains(&format!("{events} events, {events} attempts")), "{counts}");
    assert!(counts.contains("1 saved states; 0 calls open"), "{counts}");
    let again = copied(&a, &b);
    assert!(again.starts_with("the copy goes on where it was"), "{again}");
    assert_eq!(figures(&again), (counts, checksum), "it was whole already");
    let back = copied(&b, &c);
    assert_eq!(figures(&back), (counts, checksum));
    assert_eq!(story(&b), story(&a));
    assert_eq!(story(&c), story(&a));
    let d = elsewhere(&home, "d.toml", "data-d", Some((&nats, "y")));
    assert_eq!(figures(&copied(&c, &d)), (counts, checksum));
    assert_eq!(story(&d), story(&a));
    let output = hookswitch(&["store", "check", "--config", path(&c)]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    // It goes on as the server that it was copied from would have.
    let mut command = Command::new(env!("CARGO_BIN_EXE_hookswitch"));
    let server = Server::spawn(command.args(["serve", "--dev", "--config", path(&c)]), &[]);
    place(&mut super::traffic::Agent::new(server.hep(), 1), std::iter::once("one-more".to_owned()));
    wait_for_count(&receiver, events + EVENTS_OF_CALL);
    server.stop();
    assert_eq!(receiver.count(), events + EVENTS_OF_CALL, "nothing is told twice");
    // And so does a node of the cluster.
    let mut command = Command::new(env!("CARGO_BIN_EXE_hookswitch"));
    let node = Server::spawn(command.args(["serve", "--dev", "--config", path(&d)]), &[]);
    place(&mut super::traffic::Agent::new(node.hep(), 1), std::iter::once("another".to_owned()));
    wait_for_count(&receiver, events + 2 * EVENTS_OF_CALL);
    node.stop();
    assert_eq!(receiver.count(), events + 2 * EVENTS_OF_CALL, "nothing is told twice");
    let used = refused(&a, &c);
    assert!(used.contains("was the target used since?"), "{used}");
}

#[test]
fn a_copy_that_was_killed_goes_on_where_it_was_and_doubles_nothing() {
    let home = Home::new("copy-killed");
    let nats = Nats::start(home.name());
    let receiver = Receiver::good();
    // An input that takes several messages.
    let directory = home.directory.join("directory.toml");
    let mut text = std::fs::read_to_string(&directory).expect("init has made it");
    text.extend(std::iter::repeat_n("# a comment of which there are many\n", 50_000));
    std::fs::write(&directory, text).expect("it can be written");
    told(&home, &receiver, 600);
    let (a, b) = (home.config(), elsewhere(&home, "b.toml", "data-b", Some((&nats, "x"))));
    let c = elsewhere(&home, "c.toml", "data-c", None);

    let (kills, there) = killed(&a, &b, || nats.messages());
    assert!(kills >= 3, "{kills}");
    let database = home.directory.join("data-c").join("hookswitch.db");
    let rows = || {
        let count = || {
            let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
            let connection = rusqlite::Connection::open_with_flags(&database, flags)?;
            let count = "SELECT (SELECT count(*) FROM signals) + (SELECT count(*) FROM events) \
                         + (SELECT count(*) FROM attempts)";
            connection.query_row(count, [], |row| row.get::<_, i64>(0))
        };
        count().map_or(0, i64::unsigned_abs) / 500
    };
    let (kills, back) = killed(&b, &c, rows);
    assert!(kills >= 3, "{kills}");
    assert_eq!(figures(&back), figures(&there));
    assert_eq!(story(&c), story(&a));
    assert_eq!(story(&b), story(&a));
}

/// Copies, and kills the copy whenever some more is written, until one comes to its end; how often it was
/// killed, and what the last printed.
fn killed(from: &Path, to: &Path, written: impl Fn() -> u64) -> (usize, String) {
    let mut kills = 0;
    loop {
        let mut process =
            copying(from, to).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        let enough = written() + BETWEEN_KILLS[kills % BETWEEN_KILLS.len()];
        let ended = loop {
            if let Some(ended) = process.try_wait().expect("it can be waited for") {
                break Some(ended);
            }
            if written() >= enough {
                process.kill().expect("it runs");
                process.wait().expect("it ends");
                break None;
            }
            std::thread::sleep(Duration::from_millis(1));
        };
        let Some(ended) = ended else {
            kills += 1;
            assert!(kills < 200, "it comes no further");
            continue;
        };
        let output = process.wait_with_output().expect("it has ended");
        assert!(ended.success(), "{}", String::from_utf8_lossy(&output.stderr));
        return (kills, String::from_utf8(output.stdout).expect("UTF-8"));
    }
}

#[test]
fn a_copy_is_refused_while_a_server_runs_and_into_a_store_that_has_something() {
    let home = Home::new("copy-refused");
    let nats = Nats::start(home.name());
    let (a, b) = (home.config(), elsewhere(&home, "b.toml", "data-b", Some((&nats, "x"))));
    let c = elsewhere(&home, "c.toml", "data-c", None);
    let running = Server::start(&home);
    let said = refused(&a, &b);
    assert!(said.contains("another Hookswitch has the data directory"), "{said}");
    let said = refused(&b, &a);
    assert!(said.contains("NATS has no log \"x\""), "{said}");
    running.stop();
    let said = refused(&a, &a);
    assert!(said.contains("give the copy a store.directory of its own"), "{said}");

    copied(&a, &b);
    nats.publish("$KV.x_leases.node.seven", r#"{"url":"","version":"1","draining":false}"#);
    let said = refused(&b, &c);
    assert!(said.contains("the node seven runs on the log \"x\""), "{said}");
    let gone = || {
        let output = copying(&b, &c).output().expect("the program starts");
        output.status.success().then_some(())
    };
    wait_for(gone, || "the end of the lease".to_owned());

    // Another store goes into none of them.
    let other = Home::new("copy-other");
    let said = refused(&other.config(), &b);
    assert!(said.contains("a copy of another store"), "{said}");
    let said = refused(&other.config(), &c);
    assert!(said.contains("a copy of another store"), "{said}");
    let said = refused(&other.config(), &a);
    assert!(said.contains("has a store already"), "{said}");
    let taken = elsewhere(&home, "taken.toml", "data", Some((&nats, "y")));
    let said = refused(&other.config(), &taken);
    assert!(said.contains("has the store of a server alone"), "{said}");
}

#[test]
fn no_server_starts_on_a_part_of_a_copy() {
    let home = Home::new("copy-part");
    let receiver = Receiver::good();
    told(&home, &receiver, 300);
    let c = elsewhere(&home, "c.toml", "data-c", None);
    let database = home.directory.join("data-c").join("hookswitch.db");
    let mut process =
        copying(&home.config(), &c).stderr(Stdio::null()).stdout(Stdio::null()).spawn().expect("it starts");
    let begun = || {
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
        let connection = rusqlite::Connection::open_with_flags(&database, flags).ok()?;
        connection.query_row("SELECT 1 FROM signals", [], |_| Ok(())).ok()
    };
    wait_for(begun, || "the first inputs".to_owned());
    process.kill().expect("it runs");
    process.wait().expect("it ends");
    let output = hookswitch(&["serve", "--config", path(&c)]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("has a part of a copy"), "{said}");
    let printed = copied(&home.config(), &c);
    assert!(printed.starts_with("the copy goes on"), "{printed}");
    assert_eq!(story(&c), story(&home.config()));
}

#[test]
fn a_stream_is_filled_until_what_it_adds_stands_behind_what_was_copied() {
    let home = Home::new("copy-aged");
    let nats = Nats::start(home.name());
    let receiver = Receiver::good();
    told(&home, &receiver, 3);
    // More than 300 messages, and not a whole number of them.
    age(&home, 20_000_000);
    let (a, b) = (home.config(), elsewhere(&home, "b.toml", "data-b", Some((&nats, "x"))));
    copied(&a, &b);
    assert_eq!(story(&b), story(&a));
    let mut command = Command::new(env!("CARGO_BIN_EXE_hookswitch"));
    let node = Server::spawn(command.args(["serve", "--dev", "--config", path(&b)]), &[]);
    place(&mut super::traffic::Agent::new(node.hep(), 1), std::iter::once("behind".to_owned()));
    wait_for_count(&receiver, 4 * EVENTS_OF_CALL);
    node.stop();
    assert_eq!(receiver.count(), 4 * EVENTS_OF_CALL, "nothing is told twice");
    let after = hookswitch(&["store", "events", "--config", path(&b), "--after", "20000024"]).stdout;
    assert_eq!(
        String::from_utf8_lossy(&after).lines().count(),
        EVENTS_OF_CALL,
        "what is new stands behind it all"
    );
}
