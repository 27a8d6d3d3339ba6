//! The disk refuses, and takes again.

use std::process::Command;

use serde_json::{Value, json};

use super::{Home, Server, path, wait_for};

/// Size that a file may get while the disk is "full", in KiB. The log of the database reaches it
/// after some dozen commits.
const FULL_KIB: u32 = 600;

/// One call of one leg, by an id.
fn batch(id: &str) -> String {
    json!({"signals": [
        {"id": format!("{id}-1"), "leg": id, "kind": "created", "direction": "outbound", "callee": "102",
         "caller": {"number": "101"}},
        {"id": format!("{id}-2"), "leg": id, "kind": "ended"},
    ]})
    .to_string()
}

#[test]
fn a_full_disk_stops_the_intake_and_costs_nothing_that_was_accepted() {
    let home = Home::new("full");
    // Writing beyond a limit fails with EFBIG, as on a full disk; the limit can be lifted from outside.
    let mut command = Command::new("bash");
    let script = format!("trap '' XFSZ; ulimit -S -f {FULL_KIB}; exec \"$0\" serve --config \"$1\"");
    command.args(["-c", &script, env!("CARGO_BIN_EXE_hookswitch")]).arg(home.config());
    let server = Server::spawn(&mut command, &[]);
    let token = format!("Bearer {}", home.made("admin_token"));
    let post = |id: &str| -> (u16, Value) {
        server.request("POST", "/ingest/v1/signals", &[("Authorization", &token)], batch(id).as_bytes())
    };
    let mut accepted = Vec::new();
    let refused = (0..10_000)
        .map(|number| format!("call-{number}"))
        .find(|id| {
            let (status, body) = post(id);
            match status {
                200 => accepted.push(id.clone()),
                503 => assert_eq!(body["errorCode"], "CMN-201"),
                _ => panic!("{status} {body}"),
            }
            status == 503
        })
        .expect("the disk gets full");
    assert!(accepted.len() > 10, "{}", accepted.len());
    let (status, body) = server.get("/readyz");
    assert_eq!((status, &body["status"]), (503, &"not ready".into()), "{body}");
    assert_eq!(server.get("/healthz").0, 200);
    assert_eq!(server.count("hookswitch_store_failing"), 1);
    assert!(server.count("hookswitch_store_failures_total") > 0);
    server.logged("the store cannot be written");
    // Nothing is answered as accepted, and what was is there.
    assert_eq!(post("while-full").0, 503);
    assert_eq!(home.store("events").lines().count(), 2 * accepted.len());

    let lifted = Command::new("prlimit")
        .args(["--pid", &server.process.id().to_string(), "--fsize=unlimited:unlimited"])
        .status();
    assert!(lifted.expect("prlimit runs").success());
    wait_for(|| (server.get("/readyz").0 == 200).then_some(()), || "the server to be ready again".to_owned());
    // What was refused may have come to the disk meanwhile; sent again, it counts once.
    for id in [&*refused, "while-full"] {
        let (status, body) = post(id);
        assert_eq!(
            (status, body["accepted"].as_u64().unwrap_or(0) + body["repeated"].as_u64().unwrap_or(0)),
            (200, 2)
        );
        accepted.push(id.to_owned());
    }
    assert_eq!(home.store("events").lines().count(), 2 * accepted.len());
    assert_eq!(server.count("hookswitch_store_failing"), 0);
    server.stop();
    home.store("check");
}

#[test]
fn what_is_older_than_it_is_kept_goes_away_and_causes_stay_with_their_events() {
    let home = Home::new("kept");
    let kept = [
        ("HOOKSWITCH_STORE__SIGNALS_KEPT", "1s"),
        ("HOOKSWITCH_STORE__EVENTS_KEPT", "8s"),
        ("HOOKSWITCH_STORE__SNAPSHOT_EVERY", "200ms"),
    ];
    let server = Server::start_with(&home, &kept);
    server.play("captures/answered-call.pcap");
    home.events(10);
    let database = home.directory.join("data/hookswitch.db");
    let rows = |sql: &str| -> i64 {
        let connection = rusqlite::Connection::open(&database).expect("the database opens");
        connection.query_row(sql, [], |row| row.get(0)).expect("a number")
    };
    // 23 messages, of which some caused nothing.
    let causes = rows("SELECT count(*) FROM signals WHERE kind = 1 AND event IS NOT NULL");
    wait_for(
        || (rows("SELECT count(*) FROM signals WHERE kind = 1") == causes).then_some(()),
        || format!("only {causes} inputs, which caused events"),
    );
    assert!((5..23).contains(&causes), "{causes}");
    assert_eq!(rows("SELECT count(*) FROM events"), 10);
    wait_for(
        || (rows("SELECT count(*) FROM events") == 0).then_some(()),
        || "the events to go away".to_owned(),
    );
    assert_eq!(rows("SELECT count(*) FROM signals WHERE kind = 1"), 0);
    assert_eq!(rows("SELECT count(*) FROM sessions"), 0);
    // Positions go on, and the server does, from what it has saved.
    server.stop();
    let server = Server::start_with(&home, &kept);
    server.play("captures/busy-call.pcap");
    home.events(4);
    assert!(rows("SELECT min(position) FROM events") > 10);
}

#[test]
fn a_backup_that_a_running_server_gave_is_a_store_of_its_own() {
    let home = Home::new("backed-up");
    let server = Server::start(&home);
    server.play("captures/answered-call.pcap");
    home.events(10);
    let into = home.directory.join("backup");
    let config = home.config();
    let backup = || super::hookswitch(&["store", "backup", "--config", path(&config), path(&into)]);
    let made = backup();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let said = String::from_utf8_lossy(&made.stdout);
    assert!(said.trim_end().ends_with("bytes, events up to 10; whole"), "{said}");
    let told = home.store("events");
    server.play("captures/busy-call.pcap");
    home.events_at_least(11);
    let again = backup();
    assert!(!again.status.success() && String::from_utf8_lossy(&again.stderr).contains("is there already"));
    server.stop();

    // Restored as docs/server.md says.
    let data = home.directory.join("data");
    for file in std::fs::read_dir(&data).expect("the data directory") {
        std::fs::remove_file(file.expect("a file").path()).expect("the store is lost");
    }
    for name in ["secret.key", "hookswitch.toml", "directory.toml"] {
        let text = |directory: &std::path::Path| std::fs::read(directory.join(name)).expect(name);
        assert_eq!(text(&into), text(&home.directory));
        std::fs::copy(into.join(name), home.directory.join(name)).expect("it is put back");
    }
    std::fs::copy(into.join("hookswitch.db"), data.join("hookswitch.db")).expect("the copy is put in place");
    assert_eq!(home.store("events"), told);
    let server = Server::start(&home);
    home.store("check");
    assert_eq!(server.get("/readyz").0, 200);
    let token = format!("Bearer {}", home.made("admin_token"));
    assert_eq!(server.request("GET", "/admin/v1/status", &[("Authorization", &token)], b"").0, 200);
}
