//! The demo, as a newcomer runs it.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::{request, wait_for, without_test_sizes};

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
fn the_demo_shows_each_kind_of_call_once_and_ends_by_itself() {
    let temporary = temporary("whole");
    let output = demo(&temporary, &["--once", "--speed", "0", "--format", "json"]).output();
    let output = output.expect("it starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    assert!(
        said.starts_with("hookswitch: 104 notifications of 13 calls have arrived by webhook ("),
        "{said}"
    );
    assert!(said.trim_end().ends_with(&format!("and 104 by WebSocket. {LAST}")), "{said}");
    assert!(is_empty(&temporary), "the data is gone");

    let mut sessions: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    let mut statuses: BTreeMap<String, usize> = BTreeMap::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let body = serde_json::from_str::<Value>(line).expect("JSON")["body"].take();
        let session = body["telephonySessionId"].as_str().expect("an id").to_owned();
        sessions.entry(session).or_default().push(body["sequence"].as_u64().expect("a number"));
        let status = &body["parties"][0]["status"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        *statuses.entry(format!("{} {}", text(&status["code"]), text(&status["reason"]))).or_default() += 1;
    }
    for (session, sequences) in &sessions {
        let expected: Vec<u64> = (2..).take(sequences.len()).collect();
        assert_eq!(*sequences, expected, "{session} is told in order");
    }
    for (status, count) in [
        ("Hold ", 2),
        ("Parked ", 1),
        ("VoiceMail ", 1),
        ("Disconnected BlindTransfer", 1),
        ("Gone AttendedTransfer", 2),
        ("Gone Pickup", 1),
        ("Disconnected Pickup", 1),
        ("Disconnected TargetBusy", 2),
        ("Disconnected Cancelled", 1),
        ("Disconnected AgentAnswered", 2),
    ] {
        assert_eq!(statuses.get(status), Some(&count), "{status}: {statuses:?}");
    }
}

#[test]
fn an_interrupted_demo_leaves_nothing_behind() {
    for signal in ["INT", "TERM"] {
        let temporary = temporary("interrupted");
        let mut process = demo(&temporary, &[]).stdout(Stdio::piped()).spawn().expect("it starts");
        let mut out = BufReader::new(process.stdout.take().expect("a pipe"));
        let mut seen = String::new();
        while !seen.contains("Proceeding") {
            assert!(out.read_line(&mut seen).expect("it can be read") > 0, "{seen}");
        }
        assert!(!is_empty(&temporary), "the data is there while it runs");
        let console = seen.split("Console       http://").nth(1).and_then(|text| text.lines().next());
        let (api, token) = console.and_then(|text| text.split_once("/console/#token=")).expect("an address");
        let api: SocketAddr = api.parse().expect("an address");
        let headers = [("Authorization", &*format!("Bearer {token}"))];
        let (status, _) = request(api, "GET", "/admin/v1/accounts", &headers, b"").expect("an answer");
        assert_eq!(status, 200, "the token is that of an administrator");
        let told = Command::new("kill").args([&format!("-{signal}"), &process.id().to_string()]).status();
        assert!(told.expect("kill runs").success());
        let ended = wait_for(|| process.try_wait().expect("it can be waited for"), || "the end".to_owned());
        assert!(ended.success(), "{ended}");
        out.read_to_string(&mut seen).expect("it can be read");
        let last = seen.lines().last().unwrap_or_default();
        assert!(last.starts_with("Interrupted. ") && last.ends_with(LAST), "{seen}");
        assert!(!seen.contains('\x1b'), "no colours where no terminal is");
        assert!(is_empty(&temporary), "the data is gone");
        assert!(std::net::TcpStream::connect(api).is_err(), "nobody listens");
    }
}

#[test]
fn rows_have_colours_on_a_terminal_of_somebody_who_wants_them() {
    let temporary = temporary("terminal");
    let on_a_terminal = |no_color: &str| {
        let line = format!("{} demo --once --speed 0", env!("CARGO_BIN_EXE_hookswitch"));
        let mut command = Command::new("script");
        command.args(["-qec", &line, "/dev/null"]).env("TMPDIR", &temporary).env("TERM", "xterm");
        let output = without_test_sizes(&mut command).env("NO_COLOR", no_color).stdin(Stdio::null()).output();
        let output = output.expect("script runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && text.contains(LAST), "{text}");
        text
    };
    assert!(on_a_terminal("").contains("Answered\x1b[0m"));
    assert!(!on_a_terminal("1").contains('\x1b'));
}

#[test]
fn a_demo_that_cannot_end_is_not_as_fast_as_goes() {
    let output = demo(&temporary("fast"), &["--speed", "0"]).output().expect("it starts");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("needs --once"));
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
