//! The first start, the start of every day, and the end.

use std::os::unix::fs::PermissionsExt as _;

use super::{Home, Server, hookswitch, path, wait_for};

const CAPTURES: [&str; 4] = [
    "captures/answered-call.pcap",
    "captures/busy-call.pcap",
    "captures/cancelled-call.pcap",
    "captures/direct-call.pcap",
];

#[test]
fn the_log_holds_what_replay_prints() {
    let home = Home::new("play");
    let server = Server::start(&home);
    let mut expected = String::new();
    for capture in CAPTURES {
        server.play(capture);
        let directory = home.directory.join("directory.toml");
        let output = hookswitch(&["replay", capture, "--directory", path(&directory)]);
        expected += &String::from_utf8(output.stdout).expect("UTF-8");
        // The calls of a capture are told in their order; those of two may mix.
        wait_for(
            || (home.store("events").lines().count() == expected.lines().count()).then_some(()),
            || format!("{capture} in the log"),
        );
    }
    assert_same(&home.store("events"), &expected);
    assert_eq!(expected.lines().count(), 28);
    server.stop();
    assert_same(&home.store("events"), &expected);
    assert!(home.store("check").ends_with("give the 28 events of the log\n"), "{}", home.store("check"));
}

#[test]
fn a_capture_that_is_played_with_its_timing_gives_the_same() {
    let home = Home::new("timing");
    let server = Server::start(&home);
    let to = server.hep().to_string();
    let capture = "captures/answered-call.pcap";
    let output = hookswitch(&["play", capture, "--to", &to, "--speed", "4", "--original-times"]);
    assert!(output.status.success());
    let directory = home.directory.join("directory.toml");
    let replayed = hookswitch(&["replay", capture, "--directory", path(&directory)]);
    home.events(10);
    assert_same(&home.store("events"), &String::from_utf8_lossy(&replayed.stdout));
}

/// Asserts that two outputs are the same, or shows the first lines that differ.
#[track_caller]
fn assert_same(found: &str, expected: &str) {
    for (found, expected) in found.lines().zip(expected.lines()) {
        assert_eq!(found, expected);
    }
    assert_eq!(found.lines().count(), expected.lines().count());
}

#[test]
fn init_prints_what_a_first_user_needs_and_keeps_it_from_others() {
    let home = Home::new("init");
    for key in [
        "server",
        "hep",
        "client_id",
        "client_secret",
        "jwt",
        "account_id",
        "extension_id",
        "extension_number",
        "admin_token",
    ] {
        assert!(!home.made(key).is_empty(), "{key}");
    }
    assert_eq!(home.made.as_object().map(serde_json::Map::len), Some(9));
    assert_eq!((home.made("server"), home.made("hep")), ("http://127.0.0.1:8080", "127.0.0.1:9060"));
    assert_eq!((home.made("account_id"), home.made("extension_number")), ("310001016", "101"));
    for file in ["hookswitch.toml", "directory.toml", "secret.key", "data/hookswitch.db", "data/lock"] {
        let mode = home.directory.join(file).metadata().expect(file).permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    // Secrets are in no file; what is stored are digests.
    for file in ["hookswitch.toml", "data/hookswitch.db"] {
        let bytes = std::fs::read(home.directory.join(file)).expect(file);
        for key in ["client_secret", "jwt", "admin_token"] {
            let secret = home.made(key).as_bytes();
            assert!(!bytes.windows(secret.len()).any(|window| window == secret), "{key} is in {file}");
        }
    }
    let again = hookswitch(&["init", path(&home.directory)]);
    assert_eq!(again.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&again.stderr).contains("has a hookswitch.toml already"));
}

#[test]
fn what_cannot_be_used_is_refused_at_the_start() {
    let home = Home::new("refused");
    home.configure("[stroe]\n");
    let output = hookswitch(&["serve", "--config", path(&home.config())]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("did you mean [store]?"));

    let home = Home::new("refused-second");
    let _server = Server::start(&home);
    let output = hookswitch(&["serve", "--config", path(&home.config())]);
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("another Hookswitch has the data directory"), "{said}");
}

#[test]
fn a_store_of_a_newer_version_is_refused_and_left_alone() {
    let home = Home::new("newer");
    let database = home.directory.join("data/hookswitch.db");
    let connection = rusqlite::Connection::open(&database).expect("the database opens");
    connection.pragma_update(None, "user_version", 99).expect("it can be written");
    drop(connection);
    let output = hookswitch(&["serve", "--config", path(&home.config())]);
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("written by a newer Hookswitch (its schema is 99"), "{said}");
}

#[test]
fn the_directory_and_the_sources_are_read_again_at_a_hangup() {
    let home = Home::new("hangup");
    let server = Server::start(&home);
    server.play(CAPTURES[1]);
    let before = home.events(4);
    let directory = home.directory.join("directory.toml");
    let text = std::fs::read_to_string(&directory).expect("the directory file is there");
    std::fs::write(
        &directory,
        text.replacen("number = \"101\"", "number = \"101\"\nname = \"Ann Renamed\"", 1),
    )
    .expect("it can be written");
    server.signal("HUP");
    server.logged("are read again");
    server.play(CAPTURES[2]);
    let after = home.events(before.len() + 6);
    assert_ne!(before[0]["body"]["parties"][0]["from"]["name"], "Ann Renamed");
    assert_eq!(after[before.len()]["body"]["parties"][0]["from"]["name"], "Ann Renamed");

    // A mistake changes nothing, and is said.
    let good = std::fs::read_to_string(&directory).expect("the directory file is there");
    std::fs::write(&directory, "[[account]]\n").expect("it can be written");
    server.signal("HUP");
    server.logged("nothing has changed");
    std::fs::write(&directory, good).expect("it can be written");
    server.play(CAPTURES[3]);
    assert_eq!(home.events(after.len() + 8).len(), after.len() + 8);
    server.stop();
    home.store("check");
}

#[test]
fn sockets_may_be_inherited() {
    let home = Home::new("inherited");
    // Opens the sockets as a supervisor does, and becomes the server (LISTEN_FDS, LISTEN_PID).
    let supervisor = r"
import os, socket, sys
sockets = [socket.socket(type=kind) for kind in (socket.SOCK_STREAM, socket.SOCK_STREAM, socket.SOCK_DGRAM)]
for number, each in enumerate(sockets):
    each.bind(('127.0.0.1', 0))
    if each.type == socket.SOCK_STREAM:
        each.listen()
    print(each.getsockname()[1], file=sys.stderr)
    os.dup2(os.dup(each.fileno()), 50 + number)
for number in range(3):
    os.dup2(50 + number, 3 + number)
os.environ.update(LISTEN_FDS='3', LISTEN_PID=str(os.getpid()))
sys.stderr.flush()
os.execv(sys.argv[1], sys.argv[1:])
";
    let mut command = std::process::Command::new("python3");
    command
        .args(["-c", supervisor, env!("CARGO_BIN_EXE_hookswitch"), "serve", "--config"])
        .arg(home.config());
    let server = Server::spawn(&mut command, &[]);
    let ports = ["HTTP", "HEP over TCP", "HEP over UDP"].map(|what| u64::from(server.addresses[what].port()));
    assert_eq!(server.said, ports.map(serde_json::Value::from));
    assert_eq!(server.get("/healthz").0, 200);
    server.play(CAPTURES[1]);
    home.events(4);
}

#[test]
fn the_server_answers_whether_it_lives_and_is_ready() {
    let home = Home::new("health");
    let server = Server::start(&home);
    assert_eq!(server.get("/healthz"), (200, serde_json::json!({"status": "alive"})));
    assert_eq!(server.get("/readyz"), (200, serde_json::json!({"status": "ready"})));
    let (status, body) = server.get("/nowhere");
    assert_eq!((status, &body["errorCode"]), (404, &"CMN-120".into()));
    let (status, _) = server.request("POST", "/healthz", &[], b"");
    assert_eq!(status, 405);
    let (status, _) = server.get(&format!("/healthz?{}", "x".repeat(9 * 1024)));
    assert_eq!(status, 414);
    let header = "x".repeat(17 * 1024);
    let (status, _) = server.request("GET", "/healthz", &[("X-Long", &header)], b"");
    assert_eq!(status, 431);
    let many: Vec<(&str, &str)> = (0..110).map(|_| ("X-Many", "1")).collect();
    assert_eq!(server.request("GET", "/healthz", &many, b"").0, 431);
    assert_eq!(server.get("/healthz").0, 200);
}

#[test]
fn a_port_that_another_hookswitch_has_is_said_to_be_its() {
    let (home, other) = (Home::new("port"), Home::new("port-other"));
    let server = Server::start(&home);
    let start = |address: &str| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_hookswitch"));
        command.args(["serve", "--config", path(&other.config())]).env("HOOKSWITCH_SERVER__LISTEN", address);
        let (status, _, said) = super::ended(super::without_test_sizes(&mut command));
        assert_eq!(status, Some(2), "{said}");
        said
    };
    let said = start(&server.addresses["HTTP"].to_string());
    assert!(said.contains("another Hookswitch listens there: stop it, or set server.listen"), "{said}");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let said = start(&taken.local_addr().expect("an address").to_string());
    assert!(said.contains("free the port, or set server.listen"), "{said}");
}
