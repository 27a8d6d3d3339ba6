//! The lines of the README, run as they stand there with the build of the test; only ports are those of the test.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use serde_json::{Value, json};

use super::{Home, PATIENCE, Server, by_session, path, root, wait_for, without_test_sizes};

/// A section of the README.
fn section(title: &str) -> String {
    let text = std::fs::read_to_string(root().join("README.md")).expect("the README is there");
    let section = text.split(&format!("\n## {title}\n")).nth(1).expect("the section is there");
    section.split("\n## ").next().unwrap_or_default().to_owned()
}

/// The blocks of a section in a language.
fn blocks(section: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    section.split(&fence).skip(1).filter_map(|rest| Some(rest.split_once("```")?.0.to_owned())).collect()
}

/// The commands of a section, in its order: each line of its blocks for a shell with the indented lines that belong
/// to it, and what the text names of the program.
pub(super) fn commands(section: &str) -> Vec<String> {
    let mut commands = Vec::new();
    for (number, part) in section.split("```").enumerate() {
        if number % 2 == 0 {
            let spans = part.split('`').skip(1).step_by(2);
            commands.extend(spans.filter(|span| span.starts_with("hookswitch ")).map(str::to_owned));
        } else if let Some(lines) = part.strip_prefix("sh\n") {
            for line in lines.lines() {
                match commands.last_mut().filter(|_| line.starts_with(' ')) {
                    Some(command) => command.extend(["\n", line]),
                    None => commands.push(line.to_owned()),
                }
            }
        }
    }
    commands
}

/// A directory in which the lines find what they find in the repository, and the program of the test as the one
/// that was built.
pub(super) struct Checkout(PathBuf);

impl Checkout {
    pub(super) fn new(name: &str) -> Self {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("readme").join(name);
        if directory.exists() {
            std::fs::remove_dir_all(&directory).expect("an old directory goes away");
        }
        std::fs::create_dir_all(directory.join("target/release")).expect("a directory");
        std::fs::create_dir_all(directory.join("bin")).expect("a directory");
        for name in ["captures", "docs"] {
            symlink(root().join(name), directory.join(name)).expect("a link");
        }
        for name in ["target/release/hookswitch", "bin/hookswitch"] {
            symlink(env!("CARGO_BIN_EXE_hookswitch"), directory.join(name)).expect("a link");
        }
        Self(directory)
    }

    /// Returns where it is.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// A shell that runs some lines there.
    pub(super) fn shell(&self, lines: &str) -> Command {
        let mut command = shell(lines);
        let others = std::env::var("PATH").unwrap_or_default();
        command.current_dir(&self.0).env("PATH", format!("{}:{others}", path(&self.0.join("bin"))));
        command
    }

    /// Returns what lines print, which end well.
    #[track_caller]
    pub(super) fn run(&self, lines: &str) -> String {
        let done = self.shell(lines).output().expect("bash runs");
        let printed = String::from_utf8_lossy(&done.stdout).into_owned();
        assert!(done.status.success(), "{lines}{printed}{}", String::from_utf8_lossy(&done.stderr));
        printed
    }
}

/// A shell that runs some lines in the repository, ended with the test.
pub(super) struct Shell(Child);

impl Drop for Shell {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn shell(lines: &str) -> Command {
    let mut command = Command::new("bash");
    without_test_sizes(&mut command).args(["-euc", lines]).current_dir(root()).stdin(Stdio::null());
    command
}

impl Shell {
    /// Starts a command whose output is read line by line.
    pub(super) fn start(command: &mut Command) -> (Self, Receiver<String>) {
        let mut shell = Self(command.stdout(Stdio::piped()).spawn().expect("bash runs"));
        let printed = BufReader::new(shell.0.stdout.take().expect("a pipe")).lines();
        let (sender, lines) = channel();
        thread::spawn(move || printed.map_while(Result::ok).try_for_each(|line| sender.send(line)));
        (shell, lines)
    }

    /// Presses Ctrl-C, and waits until the command has ended well.
    #[track_caller]
    pub(super) fn interrupt(mut self) {
        let pid = self.0.id().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().expect("kill runs").success());
        let ended = wait_for(|| self.0.try_wait().expect("it can be waited for"), || "the end".to_owned());
        assert!(ended.success(), "{ended}");
    }
}

/// The next lines of a receiver.
#[track_caller]
pub(super) fn take(lines: &Receiver<String>, count: usize) -> String {
    let next = |_| lines.recv_timeout(PATIENCE).expect("another line") + "\n";
    (0..count).map(next).collect()
}

/// A line that only a change of this file makes a test run.
fn unknown(command: &str) -> ! {
    panic!("no test runs this line of the README: {command}")
}

#[test]
fn each_line_of_the_first_minute_runs() {
    let checkout = Checkout::new("minute");
    let makefile = std::fs::read_to_string(root().join("Makefile")).expect("the Makefile is there");
    let demo = makefile.split("\ndemo:\n").nth(1).expect("a recipe");
    let demo: Vec<&str> = demo.lines().map_while(|line| line.strip_prefix('\t')).collect();
    let mut commands = commands(&section("One minute"));
    let made = commands.iter().position(|command| command == "make demo").expect("it is the first");
    commands.splice(made..=made, demo.iter().map(|line| (*line).to_owned()));

    let mut count = 0;
    for command in &commands {
        match command.as_str() {
            "cargo build --release --locked" => {} // it is the build of the test
            "target/release/hookswitch demo" | "hookswitch demo" => {
                let (demo, lines) = Shell::start(&mut checkout.shell(&format!("exec {command}")));
                assert!(take(&lines, 1).contains("/console/#token="));
                demo.interrupt();
            }
            "target/release/hookswitch demo --once --speed 0" => {
                assert!(checkout.run(command).contains("104 notifications of 13 calls"));
            }
            "target/release/hookswitch replay captures/answered-call.pcap" => {
                let printed = checkout.run(command);
                assert_eq!(by_session(&printed).iter().map(Vec::len).collect::<Vec<_>>(), [10]);
            }
            "sudo tcpdump -i any -w calls.pcap port 5060" => {
                // Nobody calls here; what it would have written is there.
                let written = checkout.0.join("calls.pcap");
                std::fs::copy(root().join("captures/answered-call.pcap"), written).expect("a copy");
            }
            "target/release/hookswitch replay calls.pcap --format text" => {
                assert!(checkout.run(command).contains("Disconnected"));
            }
            _ => unknown(command),
        }
        count += 1;
    }
    assert_eq!(count, 7, "{commands:#?}");
}

#[test]
fn each_line_for_a_server_runs_and_a_capture_that_is_played_again_is_told_again() {
    let checkout = Checkout::new("server");
    let section = section("As a server");
    let commands = commands(&section);
    let (mut count, mut script) = (0, String::new());
    let mut made = BTreeMap::new();
    let (mut server, mut receiver) = (None, None);
    for command in &commands {
        count += 1;
        let play = "target/release/hookswitch play captures/answered-call.pcap --to 127.0.0.1:9060";
        match command.as_str() {
            "cargo build --release --locked" => {} // it is the build of the test
            "target/release/hookswitch init pbx" => {
                let printed = checkout.run(command);
                let words = printed.lines().filter_map(|line| line.split_once(' '));
                made.extend(words.map(|(key, value)| (key.to_owned(), value.trim().to_owned())));
                assert_eq!((&*made["server"], &*made["hep"]), ("http://127.0.0.1:8080", "127.0.0.1:9060"));
            }
            "target/release/hookswitch serve --dev --config pbx/hookswitch.toml" => {
                server = Some(Server::spawn(&mut checkout.shell(&format!("exec {command}")), &[]));
            }
            "hookswitch doctor --config pbx/hookswitch.toml" => {
                let server: &Server = server.as_ref().expect("it was started");
                let mut doctor = checkout.shell(command);
                doctor.env("HOOKSWITCH_SERVER__LISTEN", server.http().to_string());
                doctor.env("HOOKSWITCH_HEP__LISTEN", server.hep().to_string());
                let done = doctor.output().expect("bash runs");
                let printed = String::from_utf8_lossy(&done.stdout).into_owned();
                // What it finds wrong with the machine of the test is no failure.
                assert!(matches!(done.status.code(), Some(0 | 1)), "{printed}");
                assert!(printed.contains("ok") && !printed.contains("failed"), "{printed}");
            }
            "python3 docs/examples/receiver.py 9000" => {
                let command = format!("exec {}", command.replace("9000", "0"));
                let mut command = checkout.shell(&command);
                let (mut shell, lines) = Shell::start(command.stderr(Stdio::piped()));
                let mut listening = String::new();
                let mut said = BufReader::new(shell.0.stderr.take().expect("a pipe"));
                said.read_line(&mut listening).expect("it says where it listens");
                let port = listening.trim().trim_end_matches('/').rsplit(':').next().expect("a port");
                receiver = Some((port.to_owned(), lines, shell));
            }
            _ if command.starts_with("TOKEN=$(curl ") || command.starts_with("curl ") => {
                script.extend([command, "\n"]);
            }
            _ if command == play => {
                let server: &Server = server.as_ref().expect("it was started");
                let (port, lines, _shell) = receiver.as_ref().expect("it was started");
                // Once as it stands there, and once more at once.
                let lines_of_readme = format!("{}{command}\n{command}\n", std::mem::take(&mut script))
                    .replace("127.0.0.1:8080", &server.http().to_string())
                    .replace("127.0.0.1:9060", &server.hep().to_string())
                    .replace(":9000/", &format!(":{port}/"));
                let mut shell = checkout.shell(&lines_of_readme);
                shell.env("CLIENT_ID", &made["client_id"]).env("CLIENT_SECRET", &made["client_secret"]);
                let done = shell.env("JWT", &made["jwt"]).output().expect("bash runs");
                let said = String::from_utf8_lossy(&done.stderr).into_owned();
                assert!(done.status.success(), "{said}");
                assert_eq!(said.matches("sent 23 messages").count(), 2, "{said}");
                let subscription: Value = serde_json::from_slice(&done.stdout).expect("curl prints JSON");
                assert_eq!(subscription["status"], "Active", "{subscription}");
                // Both times it is told exactly what replay prints, but for ids and times.
                let printed = checkout
                    .run("hookswitch replay captures/answered-call.pcap --directory pbx/directory.toml");
                let once = by_session(&printed);
                assert_eq!(once.iter().map(Vec::len).collect::<Vec<_>>(), [10]);
                assert_eq!(by_session(&take(lines, 20)), [once.clone(), once].concat());
            }
            "target/release/hookswitch listen --login login.json" => {
                let server: &Server = server.as_ref().expect("it was started");
                // What `init --json` would have printed.
                let mut login = json!(made);
                login["server"] = format!("http://{}", server.http()).into();
                std::fs::write(checkout.0.join("login.json"), login.to_string()).expect("it is written");
                let (_listen, lines) = Shell::start(&mut checkout.shell(&format!("exec {command}")));
                let listens = || (server.count("hookswitch_websocket_subscriptions") == 1).then_some(());
                wait_for(listens, || "the subscription of listen".to_owned());
                checkout.run(&play.replace("127.0.0.1:9060", &server.hep().to_string()));
                let rows = take(&lines, 10);
                // And who was told before is told a third time.
                let (_, lines, _) = receiver.as_ref().expect("it was started");
                let posted = by_session(&take(lines, 10));
                assert_eq!(posted.iter().map(Vec::len).collect::<Vec<_>>(), [10]);
                for (row, event) in rows.lines().zip(&posted[0]) {
                    let code = event[1]["parties"][0]["status"]["code"].as_str().expect("a code");
                    assert!(row.contains(code), "{code} is not in {row}");
                }
            }
            _ => unknown(command),
        }
    }
    assert_eq!((count, &*script), (9, ""), "each was run: {commands:#?}");
    let server: Server = server.expect("it was started");
    assert_eq!(server.count("hookswitch_events_total"), 30);
    server.stop();
    assert!(checkout.run("hookswitch store check --config pbx/hookswitch.toml").contains("30 events"));
}

#[test]
fn the_readme_is_short_shows_what_is_printed_and_repeats_lines_that_other_tests_run() {
    let readme = std::fs::read_to_string(root().join("README.md")).expect("it is there");
    let words = readme.split_whitespace().count();
    assert!(words <= 700, "{words} words");
    let shown = blocks(&readme, "text");
    let (command, table) = shown[0].split_once('\n').expect("a command and a table");
    let command = command.strip_prefix("$ hookswitch ").expect("a command");
    let printed = super::hookswitch(&command.split(' ').collect::<Vec<_>>());
    assert_eq!(String::from_utf8_lossy(&printed.stdout), table);
    for (title, page) in [("Install", "docs/operations.md"), ("As a local double", "docs/testing.md")] {
        let page = std::fs::read_to_string(root().join(page)).expect("it is there");
        let known = commands(&page);
        let lines = commands(&section(title));
        assert!(lines.len() > 2, "{title}: {lines:?}");
        for line in lines {
            assert!(known.contains(&line), "{title}: {line}");
        }
    }
}

#[test]
fn the_index_of_the_documentation_names_every_page() {
    let index = std::fs::read_to_string(root().join("docs/README.md")).expect("it is there");
    for entry in root().join("docs").read_dir().expect("it can be read") {
        let file = entry.expect("an entry").path();
        let name = file.file_name().and_then(|name| name.to_str()).expect("UTF-8");
        if file.extension().is_some_and(|extension| extension == "md") && name != "README.md" {
            assert!(index.contains(&format!("]({name})")), "{name} is not in docs/README.md");
        }
    }
}

#[test]
fn each_table_of_the_readme_is_one_of_the_configuration() {
    let checkout = Checkout::new("tables");
    let tables = blocks(&section("As a server"), "toml");
    assert_eq!(tables.len(), 2, "{tables:?}");
    checkout.run("hookswitch init pbx");
    let config = checkout.0.join("pbx/hookswitch.toml");
    let made = std::fs::read_to_string(&config).expect("init has made it");
    for table in tables {
        let reads = |table: &str| {
            std::fs::write(&config, format!("{made}\n{table}")).expect("it is written");
            let lines = "hookswitch store events --config pbx/hookswitch.toml";
            checkout.shell(lines).output().expect("bash runs").status.success()
        };
        assert!(!reads(&table.replace("name =", "nmae =")), "a mistake would be seen");
        assert!(reads(&table), "{table}");
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
