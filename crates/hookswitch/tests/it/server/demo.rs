//! The demo, as a newcomer runs it.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::{hookswitch, wait_for, without_test_sizes};

/// An empty directory for what the demo makes.
fn temporary(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("demo").join(name);
    if directory.exists() {
        std::fs::remove_dir_all(&directory).expect("an old directory goes away");
    }
    std::fs::create_dir_all(&directory).expect("a new one can be made");
    directory
}

fn demo(temporary: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hookswitch"));
    without_test_sizes(&mut command)
        .arg("demo")
        .args(arguments)
        .env("TMPDIR", temporary)
        .stdin(Stdio::null());
    command
}

fn is_empty(directory: &Path) -> bool {
    directory.read_dir().expect("it can be read").next().is_none()
}

const LAST: &str = "The server has stopped; nothing is left behind.";

#[test]
fn the_demo_shows_what_replay_prints_and_ends_by_itself() {
    let temporary = temporary("whole");
    let output = demo(&temporary, &["--speed", "0", "--format", "json"]).output().expect("it starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    assert_eq!(said.trim_end(), format!("hookswitch: 28 notifications of 4 calls have arrived. {LAST}"));
    assert!(is_empty(&temporary), "the data is gone");

    // By session, as sessions do not wait for each other.
    let by_session = |text: &[u8]| {
        let mut told: Vec<[String; 4]> = Vec::new();
        for line in String::from_utf8_lossy(text).lines() {
            let body = serde_json::from_str::<Value>(line).expect("JSON")["body"].take();
            let party = &body["parties"][0];
            told.push([
                body["telephonySessionId"].as_str().expect("an id").to_owned(),
                format!("{:>3}", body["sequence"]),
                party["direction"].to_string(),
                party["status"]["code"].to_string(),
            ]);
        }
        told.sort();
        // The ids depend on the account, and the calls are all different.
        let mut calls: Vec<Vec<[String; 3]>> = Vec::new();
        let mut last = String::new();
        for [session, sequence, direction, code] in told {
            if session != last {
                calls.push(Vec::new());
                last = session;
            }
            calls.last_mut().expect("a call").push([sequence, direction, code]);
        }
        calls.sort();
        calls
    };
    let captures =
        ["answered", "cancelled", "busy", "direct"].map(|call| format!("captures/{call}-call.pcap"));
    let mut arguments = vec!["replay"];
    arguments.extend(captures.iter().map(String::as_str));
    let calls = by_session(&output.stdout);
    assert_eq!(calls.iter().map(Vec::len).sum::<usize>(), 28);
    assert_eq!(calls, by_session(&hookswitch(&arguments).stdout));
}

#[test]
fn an_interrupted_demo_leaves_nothing_behind() {
    let temporary = temporary("interrupted");
    let mut process = demo(&temporary, &[]).stdout(Stdio::piped()).spawn().expect("it starts");
    let mut out = BufReader::new(process.stdout.take().expect("a pipe"));
    let mut seen = String::new();
    while !seen.contains("p1 Outbound  101 Ann Lee  Setup") {
        assert!(out.read_line(&mut seen).expect("it can be read") > 0, "{seen}");
    }
    assert!(!is_empty(&temporary), "the data is there while it runs");
    let port =
        seen.split("http://127.0.0.1:").nth(1).and_then(|text| text.split(',').next()).expect("a port");
    let api = format!("127.0.0.1:{port}");
    assert!(std::net::TcpStream::connect(&api).is_ok(), "{api}");
    let told = Command::new("kill").args(["-INT", &process.id().to_string()]).status();
    assert!(told.expect("kill runs").success());
    let ended = wait_for(|| process.try_wait().expect("it can be waited for"), || "the end".to_owned());
    assert!(ended.success(), "{ended}");
    out.read_to_string(&mut seen).expect("it can be read");
    let last = seen.lines().last().unwrap_or_default();
    assert!(last.starts_with("Interrupted. ") && last.ends_with(LAST), "{seen}");
    assert!(is_empty(&temporary), "the data is gone");
    assert!(std::net::TcpStream::connect(&api).is_err(), "nobody listens");
}

#[test]
fn the_demo_does_not_touch_the_data_of_a_server() {
    let temporary = temporary("settings");
    let output = demo(&temporary, &[]).env("HOOKSWITCH_STORE__DIRECTORY", "/var/lib/hookswitch").output();
    let output = output.expect("it starts");
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("run it with env -u HOOKSWITCH_STORE__DIRECTORY"), "{said}");
}
