//! The lines of the README, run as they stand there; only ports and directories are those of the test.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::thread;

use serde_json::Value;

use super::{Home, PATIENCE, Server, hookswitch, path, root, without_test_sizes};

/// The blocks of a section that are for a shell.
fn blocks(section: &str) -> Vec<String> {
    let text = std::fs::read_to_string(root().join("README.md")).expect("the README is there");
    let section = text.split(&format!("\n## {section}\n")).nth(1).expect("the section is there");
    let section = section.split("\n## ").next().unwrap_or_default();
    section.split("```sh\n").skip(1).filter_map(|rest| Some(rest.split_once("```")?.0.to_owned())).collect()
}

/// A shell that runs some lines in the repository, ended with the test.
struct Shell(Child);

impl Drop for Shell {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn shell(lines: &str) -> Command {
    let mut command = Command::new("bash");
    let lines = lines.replace("target/release/hookswitch", env!("CARGO_BIN_EXE_hookswitch"));
    without_test_sizes(&mut command).args(["-euc", &lines]).current_dir(root()).stdin(Stdio::null());
    command
}

#[test]
fn the_lines_of_the_readme_lead_from_init_to_notifications() {
    let blocks = blocks("As a server");
    let [start, receiver, subscribe, _listen] = &blocks[..] else { panic!("{blocks:?}") };
    let [build, init, serve] = &start.lines().collect::<Vec<_>>()[..] else { panic!("{start}") };
    assert_eq!(*build, "cargo build --release --locked");

    // `Home::new` has cleared the directory; the README's line makes it again.
    let home = Home::new("readme");
    std::fs::remove_dir_all(&home.directory).expect("it goes away");
    let directory = path(&home.directory);
    let made = shell(&init.replace(" pbx", &format!(" {directory}"))).output().expect("bash runs");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let made = String::from_utf8_lossy(&made.stdout).into_owned();
    let made: BTreeMap<&str, &str> = made.lines().filter_map(|line| line.split_once(' ')).collect();
    let server = Server::spawn(
        &mut shell(&format!("exec {}", serve.replace(" pbx/", &format!(" {directory}/")))),
        &[],
    );

    let mut command = shell(&format!("exec {}", receiver.replace("9000", "0").trim()));
    let mut receiver =
        Shell(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("bash runs"));
    let mut listening = String::new();
    let mut said = BufReader::new(receiver.0.stderr.take().expect("a pipe"));
    said.read_line(&mut listening).expect("it says where it listens");
    let port = listening.trim().trim_end_matches('/').rsplit(':').next().expect("a port").to_owned();
    let printed = BufReader::new(receiver.0.stdout.take().expect("a pipe")).lines();
    let (sender, notifications) = channel();
    thread::spawn(move || printed.map_while(Result::ok).try_for_each(|line| sender.send(line)));

    let lines = subscribe
        .replace("127.0.0.1:8080", &server.http().to_string())
        .replace("127.0.0.1:9060", &server.hep().to_string())
        .replace(":9000/", &format!(":{port}/"));
    let done = shell(&lines)
        .env("CLIENT_ID", made["client_id"].trim())
        .env("CLIENT_SECRET", made["client_secret"].trim())
        .env("JWT", made["jwt"].trim())
        .output()
        .expect("bash runs");
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(done.status.success() && said.contains("sent 23 messages"), "{said}");
    let subscription: Value = serde_json::from_slice(&done.stdout).expect("curl prints JSON");
    assert_eq!(subscription["status"], "Active", "{subscription}");

    // The webhook is sent exactly what replay prints, but for who is told, and when.
    let people = home.directory.join("directory.toml");
    let replayed =
        hookswitch(&["replay", "captures/answered-call.pcap", "--directory", path(&people)]).stdout;
    let replayed = String::from_utf8_lossy(&replayed).into_owned();
    assert_eq!(replayed.lines().count(), 10);
    for expected in replayed.lines() {
        let posted = notifications.recv_timeout(PATIENCE).expect("another notification");
        let [posted, expected] =
            [&*posted, expected].map(|text| serde_json::from_str::<Value>(text).expect("JSON"));
        assert_eq!(posted["subscriptionId"], subscription["id"]);
        assert_eq!((&posted["event"], &posted["body"]), (&expected["event"], &expected["body"]));
    }
}

#[test]
fn the_example_of_a_receiver_takes_what_is_signed_and_nothing_else() {
    let home = Home::new("readme-signed");
    let mut command = Command::new(env!("CARGO_BIN_EXE_hookswitch"));
    command.args(["serve", "--dev", "--config"]).arg(home.config());
    let server = Server::spawn(&mut command, &[]);
    let token = server.log_in(&home).text("access_token");
    let secrets =
        ["whsec_YSBzZWNyZXQgdGhhdCBub2JvZHkgZ3Vlc3Nlcw==", "whsec_YW5vdGhlciBvbmUgdGhhdCBpcyB3cm9uZyBoZXJl"];
    let mut receivers = Vec::new();
    for known in secrets {
        let mut command = shell(&format!("exec python3 docs/examples/receiver.py 0 {known}"));
        let mut receiver =
            Shell(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("bash runs"));
        let mut listening = String::new();
        BufReader::new(receiver.0.stderr.take().expect("a pipe")).read_line(&mut listening).expect("a line");
        let address = listening.trim().rsplit(' ').next().expect("an address");
        let body = serde_json::json!({
            "eventFilters": ["/restapi/v1.0/account/~/telephony/sessions"],
            "deliveryMode": {"transportType": "WebHook", "address": address, "signingSecret": secrets[0]},
        });
        let taken = server.call(&token, "POST", "/restapi/v1.0/subscription", Some(&body));
        assert_eq!(taken.status, 200, "{taken:?}");
        receivers.push(receiver);
    }
    server.play("captures/busy-call.pcap");
    let mut lines = BufReader::new(receivers[0].0.stdout.take().expect("a pipe")).lines();
    for _ in 0..4 {
        assert!(lines.next().expect("a line").expect("text").contains("telephonySessionId"));
    }
    // To the other it was sent as well, and refused there: nothing was printed.
    let failed =
        || (server.count("hookswitch_webhook_notifications_total{stage=\"failed\"}") > 0).then_some(());
    super::wait_for(failed, || "a refusal".to_owned());
    receivers[1].0.kill().expect("it runs");
    let mut printed = String::new();
    let mut out = receivers[1].0.stdout.take().expect("a pipe");
    std::io::Read::read_to_string(&mut out, &mut printed).expect("text");
    assert_eq!(printed, "");
}

#[test]
fn the_example_in_node_prints_a_live_call() {
    let Some(modules) = super::clients::tool("npm/node_modules") else { return };
    let page = std::fs::read_to_string(root().join("docs/websocket.md")).expect("the page is there");
    let script = page.split("```js\n").nth(1).and_then(|rest| rest.split_once("```")).expect("a script").0;
    let file = std::fs::read_to_string(root().join("docs/examples/live.js")).expect("the example is there");
    assert!(file.ends_with(script), "the page shows what the file has");
    let home = Home::new("readme-node");
    let server = Server::start(&home);
    let mut command = Command::new("node");
    command.arg(root().join("docs/examples/live.js")).env("NODE_PATH", modules).stdout(Stdio::piped());
    let mut node =
        Shell(super::clients::run_as_user(&mut command, &home, server.http()).spawn().expect("node"));
    let mut lines = BufReader::new(node.0.stdout.take().expect("a pipe")).lines().map_while(Result::ok);
    assert_eq!(lines.next().as_deref(), Some("ready"));
    server.play("captures/answered-call.pcap");
    let printed: Vec<String> = lines.take(10).collect();
    assert_eq!(printed.first().map(String::as_str), Some("2 Setup"));
    assert_eq!(printed.last().map(String::as_str), Some("11 Disconnected"));
}

#[test]
fn the_first_minute_of_the_readme_shows_calls() {
    let blocks = blocks("One minute");
    let [demo, once, replay, _own] = &blocks[..] else { panic!("{blocks:?}") };
    assert_eq!(demo, "make demo\n");
    let makefile = std::fs::read_to_string(root().join("Makefile")).expect("the Makefile is there");
    assert!(makefile.contains("demo:\n\tcargo build --release --locked\n\ttarget/release/hookswitch demo\n"));
    for (lines, expected) in [(once, "104 notifications of 13 calls"), (replay, "Disconnected")] {
        let done = shell(lines).output().expect("bash runs");
        let printed = String::from_utf8_lossy(&done.stdout).into_owned();
        assert!(done.status.success() && printed.contains(expected), "{lines}{printed}");
    }
}
