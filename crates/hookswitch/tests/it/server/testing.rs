//! The local double: a server for a test, calls that come when a test wants them, and the page that tells of it.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::Receiver as Lines;

use serde_json::{Value, json};

use super::client::{JWT_BEARER, basic, form};
use super::readme::{Checkout, Shell, commands, take};
use super::receiver::Receiver;
use super::{path, request, root, wait_for, without_test_sizes};

/// A server that goes away, with what it has printed.
struct Ephemeral {
    process: Child,
    printed: Value,
    temporary: PathBuf,
}

impl Ephemeral {
    #[track_caller]
    fn start(name: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let temporary = Path::new(env!("CARGO_TARGET_TMPDIR")).join("ephemeral").join(name);
        if temporary.exists() {
            std::fs::remove_dir_all(&temporary).expect("an old directory goes away");
        }
        std::fs::create_dir_all(&temporary).expect("a new one can be made");
        let mut command = Command::new(env!("CARGO_BIN_EXE_hookswitch"));
        command.args(["serve", "--ephemeral"]).args(arguments);
        command.env("TMPDIR", &temporary).envs(variables.iter().copied());
        let mut process = without_test_sizes(&mut command)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut line = String::new();
        let mut out = BufReader::new(process.stdout.take().expect("a pipe"));
        out.read_line(&mut line).expect("it can be read");
        let printed = serde_json::from_str(&line).expect("it prints JSON");
        Self { process, printed, temporary }
    }

    fn get(&self, key: &str) -> &str {
        self.printed[key].as_str().expect(key)
    }

    fn api(&self) -> SocketAddr {
        self.get("server").strip_prefix("http://").and_then(|text| text.parse().ok()).expect("an address")
    }

    /// Posts JSON with a token.
    #[track_caller]
    fn post(&self, path: &str, token: &str, body: &Value) -> (u16, Value) {
        let token = format!("Bearer {token}");
        let headers = [("Authorization", &*token), ("Content-Type", "application/json")];
        request(self.api(), "POST", path, &headers, body.to_string().as_bytes()).expect("an answer")
    }

    /// The file that commands take as --login.
    fn login(&self) -> PathBuf {
        let file = self.temporary.join("login.json");
        std::fs::write(&file, self.printed.to_string()).expect("it is written");
        file
    }

    /// Returns what `hookswitch trigger` tells of a call, as JSON.
    #[track_caller]
    fn trigger(&self, arguments: &[&str]) -> Value {
        let login = self.login();
        let words = [&["trigger"], arguments, &["--json", "--login", path(&login)]].concat();
        let output = super::hookswitch(&words);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {said}");
        serde_json::from_slice(&output.stdout).expect("JSON")
    }

    /// A token of the application.
    #[track_caller]
    fn access(&self) -> String {
        let basic = basic(self.get("client_id"), self.get("client_secret"));
        let form = form(&[("grant_type", JWT_BEARER), ("assertion", self.get("jwt"))]);
        let headers = [("Authorization", &*basic), ("Content-Type", "application/x-www-form-urlencoded")];
        let answer = request(self.api(), "POST", "/restapi/oauth/token", &headers, form.as_bytes());
        let (status, body) = answer.expect("an answer");
        assert_eq!(status, 200, "{body}");
        body["access_token"].as_str().expect("a token").to_owned()
    }

    /// Stops it with a signal, and gives what is left of it.
    #[track_caller]
    fn stop(mut self, signal: &str) -> Vec<String> {
        let pid = self.process.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().expect("kill runs").success());
        let ended =
            wait_for(|| self.process.try_wait().expect("it can be waited for"), || "the end".to_owned());
        assert!(ended.success(), "{ended}");
        let left = self.temporary.read_dir().expect("it can be read");
        left.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
    }
}

impl Drop for Ephemeral {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// The last thing told of each party of the sessions, and how many events there were.
fn ends(told: &Value) -> (Vec<String>, usize) {
    let (mut last, mut count) = (BTreeMap::new(), 0);
    for session in told["sessions"].as_array().expect("sessions") {
        for party in session["session"]["parties"].as_array().expect("parties") {
            let text = |key: &str| party[key].as_str().unwrap_or_default().to_owned();
            let missed = if party["missedCall"] == true { " missed" } else { "" };
            let end = format!("{} {}{missed}", text("statusCode"), text("reason"));
            last.insert(text("id"), end.trim_end().to_owned());
        }
        count += session["events"].as_array().expect("events").len();
    }
    (last.into_values().collect(), count)
}

#[test]
fn an_ephemeral_server_says_how_it_is_reached_and_leaves_nothing_behind() {
    for signal in ["-TERM", "-INT"] {
        let ready = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("ready{signal}.json"));
        std::fs::write(&ready, "of another").expect("it is written");
        let server = Ephemeral::start(&format!("ready{signal}"), &["--ready-file", path(&ready)], &[]);
        let file = wait_for(
            || std::fs::read_to_string(&ready).ok().filter(|text| text.starts_with('{')),
            || "the file".to_owned(),
        );
        assert_eq!(serde_json::from_str::<Value>(&file).expect("JSON"), server.printed);
        assert_eq!(server.printed["pid"], server.process.id());
        let (status, _) = request(server.api(), "GET", "/readyz", &[], b"").expect("an answer");
        assert_eq!(status, 200);
        assert!(server.get("console").starts_with(&format!("{}/console/#token=", server.get("server"))));
        let told = server.trigger(&["answered"]);
        assert_eq!(ends(&told), (vec!["Disconnected".to_owned(), "Disconnected".to_owned()], 8));
        std::fs::remove_file(server.login()).expect("it goes away");
        assert_eq!(server.stop(signal), Vec::<String>::new());
        assert!(!ready.exists(), "nobody takes it for another's");
    }
}

#[test]
fn an_ephemeral_server_takes_settings_and_people_but_no_store_of_others() {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("people.toml");
    let people = "[[account]]\nid = 77\n[[account.extension]]\nnumber = \"201\"\nname = \"Ida Berg\"\n";
    std::fs::write(&directory, people).expect("it is written");
    let variables = [("HOOKSWITCH_SERVER__PUBLIC_URL", "http://hookswitch.test:1/")];
    let server = Ephemeral::start("people", &["--directory", path(&directory)], &variables);
    assert_eq!((server.get("account_id"), server.get("extension_number")), ("77", "201"));
    assert_eq!(server.get("server"), "http://hookswitch.test:1");
    drop(server);
    let mut command = Command::new(env!("CARGO_BIN_EXE_hookswitch"));
    command.args(["serve", "--ephemeral"]).env("HOOKSWITCH_STORE__DIRECTORY", "/var/lib/hookswitch");
    let (status, _, said) = super::ended(without_test_sizes(&mut command));
    assert_eq!(status, Some(2));
    assert!(said.contains("run it with env -u HOOKSWITCH_STORE__DIRECTORY"), "{said}");
}

#[test]
fn a_triggered_call_is_told_by_a_server_as_it_was_asked_for() {
    let server = Ephemeral::start("trigger", &[], &[]);
    for (arguments, expected) in [
        (
            &["missed", "--from", "+4930123456", "--to", "102"][..],
            &["Disconnected NoAnswer", "Disconnected NoAnswer missed"][..],
        ),
        (
            &["attended-transfer"],
            &["Disconnected", "Disconnected", "Gone AttendedTransfer", "Gone AttendedTransfer"],
        ),
        (&["--reason", "RccTransfer"], &["Disconnected", "Disconnected", "Disconnected RccTransfer"]),
        (&["--status", "Hold", "--to", "104"], &["Answered", "Hold"]),
        (&["voicemail", "--status", "VoiceMail"], &["Answered", "VoiceMail missed"]),
    ] {
        let (mut found, _) = ends(&server.trigger(arguments));
        found.sort();
        // What the caller hears of the mailbox depends on how far the call goes.
        if arguments.contains(&"VoiceMail") {
            assert!(found.iter().any(|end| end.starts_with("VoiceMail")), "{found:?}");
            continue;
        }
        assert_eq!(found, expected, "{arguments:?}");
    }
    let told =
        server.trigger(&["answered", "--speed", "1", "--ring", "0.2", "--talk", "0.2", "--name", "Zoë"]);
    let text = told["sessions"][0]["events"][0]["text"].as_str().expect("a row").to_owned();
    assert!(text.contains("Zoë"), "{text}");
    assert!(told["legs"][0].as_str().expect("a leg").starts_with("answered-"));
}

#[test]
fn the_clock_of_an_ephemeral_server_is_moved_on_and_that_of_no_other() {
    let server = Ephemeral::start("clock", &[], &[]);
    let admin = server.get("admin_token").to_owned();
    let receiver = Receiver::good();
    let access = server.access();
    let subscribe = |seconds: u64, filters: &[&str]| {
        let body = json!({"eventFilters": filters, "expiresIn": seconds,
            "deliveryMode": {"transportType": "WebHook", "address": receiver.url()}});
        let (status, made) = server.post("/restapi/v1.0/subscription", &access, &body);
        assert_eq!(status, 200, "{made}");
    };
    let sessions = "/restapi/v1.0/account/~/telephony/sessions";
    subscribe(3600, &[sessions, "/restapi/v1.0/subscription/~?threshold=600&interval=300"]);
    // A call that nobody ends, and one that is parked.
    server.trigger(&["--status", "Answered"]);
    let (status, shown) = server.post("/admin/v1/clock", &admin, &json!({"advance": "55m"}));
    assert_eq!((status, &shown["aheadSeconds"]), (200, &json!(3300.0)));
    wait_for(
        || {
            let is_reminder = |event: &str| event.starts_with("/restapi/v1.0/subscription/");
            let told = receiver.notifications();
            told.iter().any(|one| one.json()["event"].as_str().is_some_and(is_reminder)).then_some(())
        },
        || "the reminder".to_owned(),
    );
    let (_, _) = server.post("/admin/v1/clock", &admin, &json!({"advance": "2d"}));
    // The call ends, and nobody is told: the subscription has ended before.
    let open = || {
        let (_, page) = server.read("/admin/v1/sessions", &admin);
        page["records"].as_array().expect("sessions").iter().all(|one| one["isOpen"] == false).then_some(page)
    };
    let page = wait_for(open, || "the end of the call".to_owned());
    let parties = page["records"][0]["parties"].as_array().expect("parties").clone();
    assert!(parties.iter().all(|party| party["reason"] == "CallDropped"), "{parties:?}");
    let listed = server.read("/restapi/v1.0/subscription", &server.access()).1;
    assert_eq!(listed["records"], json!([]), "it has expired");
    let (status, _) = server.read("/restapi/v1.0/subscription", &access);
    assert_eq!(status, 401, "so has the token");
    for body in [json!({"advance": "soon"}), json!({"advance": "99999d"}), json!({})] {
        assert_eq!(server.post("/admin/v1/clock", &admin, &body).0, 400, "{body}");
    }

    let home = super::Home::new("clock");
    let other = super::Server::start_dev(&home);
    let token = format!("Bearer {}", home.made("admin_token"));
    let headers = [("Authorization", &*token)];
    let (status, body) = other.request("POST", "/admin/v1/clock", &headers, b"{\"advance\": \"1h\"}");
    assert_eq!(status, 409, "{body}");
    assert_eq!(other.request("GET", "/admin/v1/clock", &headers, b"").1["aheadSeconds"], 0.0);
}

impl Ephemeral {
    #[track_caller]
    fn read(&self, path: &str, token: &str) -> (u16, Value) {
        let token = format!("Bearer {token}");
        request(self.api(), "GET", path, &[("Authorization", &token)], b"").expect("an answer")
    }
}

/// A command that runs beside others, and what it says.
fn beside(checkout: &Checkout, command: &str) -> (Shell, Lines<String>) {
    Shell::start(&mut checkout.shell(&format!("exec {command} 2>&1")))
}

#[test]
fn each_line_of_the_page_about_testing_runs() {
    let checkout = Checkout::new("testing");
    let text = std::fs::read_to_string(root().join("docs/testing.md")).expect("the page is there");
    let ready = checkout.path().join("ready.json");
    let (mut server, mut receiver, mut listener) = (None, None, None);
    let (mut count, mut script) = (0, String::new());
    let mut port = String::new();
    for command in commands(&text) {
        count += 1;
        match command.as_str() {
            "hookswitch serve --ephemeral --ready-file ready.json" => {
                server = Some(Shell::start(&mut checkout.shell(&format!("exec {command}"))));
                wait_for(|| ready.exists().then_some(()), || "the server".to_owned());
            }
            "python3 docs/examples/receiver.py 9000" => {
                let (shell, lines) = beside(&checkout, &command.replace("9000", "0"));
                let first = take(&lines, 1);
                port = first.trim().trim_end_matches('/').rsplit(':').next().expect("a port").to_owned();
                receiver = Some((shell, lines));
            }
            _ if command.starts_with("hookswitch subscribe ") => {
                let printed = checkout.run(&command.replace("9000", &port));
                assert!(printed.contains("\"status\":\"Active\""), "{printed}");
                checkout.run("hookswitch trigger busy --login ready.json");
                let (_, lines) = receiver.as_ref().expect("it was started");
                assert!(take(lines, 4).contains("TargetBusy"));
            }
            _ if command.starts_with("hookswitch listen --forward-to ") => {
                let (shell, lines) = beside(&checkout, &command.replace("9000", &port));
                let said = take(&lines, 2);
                assert!(said.contains("whsec_") && said.contains("listening"), "{said}");
                checkout.run("hookswitch trigger busy --login ready.json");
                assert!(take(&lines, 4).contains("TargetBusy"));
                // Once by webhook, and once by what is forwarded.
                let (_, lines) = receiver.as_ref().expect("it was started");
                assert_eq!(take(lines, 8).matches("TargetBusy").count(), 4);
                listener = Some(shell);
            }
            _ if command.starts_with("hookswitch trigger ") => {
                let printed = checkout.run(&command);
                assert!(printed.starts_with("s-") && printed.lines().count() > 2, "{command}: {printed}");
            }
            _ if command.contains("ready.json\"))[") => script.extend([&*command, "\n"]),
            _ if command.starts_with("curl ") => {
                let printed = checkout.run(&format!("{script}{command}"));
                assert!(printed.contains("\"aheadSeconds\":691200.0"), "{printed}");
            }
            "hookswitch play calls.pcap --to" => {} // it is played in other tests
            "node --test docs/examples/testing/calls.test.mjs" => {
                assert!(checkout.run(&command).contains("# fail 0"));
            }
            "python3 -m unittest docs/examples/testing/test_calls.py" | "docs/examples/testing/calls.sh" => {
                checkout.run(&command);
            }
            _ => panic!("no test runs this line of docs/testing.md: {command}"),
        }
    }
    assert_eq!(count, 16);
    drop(listener);
    server.expect("it was started").0.interrupt();
    assert!(!ready.exists());
}

/// The value of a key of a YAML file that stands on a line, without its quotes.
fn value<'a>(yaml: &'a str, key: &str) -> Vec<&'a str> {
    let of = |line: &'a str| line.trim().trim_start_matches("- ").strip_prefix(key)?.strip_prefix(": ");
    yaml.lines().filter_map(of).map(|value| value.trim_matches('"')).collect()
}

/// Reads YAML by Python's reader, where there is one.
fn as_json(file: &Path) -> Option<Value> {
    let script = "import json, sys, yaml; print(json.dumps(yaml.load(open(sys.argv[1]), yaml.BaseLoader)))";
    let output = Command::new("python3").args(["-c", script, path(file)]).output().ok()?;
    if !output.status.success() {
        eprintln!("skipped: python3-yaml is not installed");
        return None;
    }
    Some(serde_json::from_slice(&output.stdout).expect("JSON"))
}

#[test]
fn the_examples_for_continuous_integration_have_the_form_of_their_services_and_their_lines_run() {
    let checkout = Checkout::new("services");
    let of = |name: &str| root().join("docs/examples/testing").join(name);
    let text = std::fs::read_to_string(of("github-actions.yml")).expect("it is there");
    assert_eq!(value(&text, "uses"), ["actions/checkout@v4"]);
    if let Some(job) = as_json(&of("github-actions.yml")) {
        let steps = job["jobs"]["test"]["steps"].as_array().expect("steps");
        let lines: Vec<&str> = steps.iter().filter_map(|step| step["run"].as_str()).collect();
        assert_eq!(lines[0], "sudo apt-get install --yes ./hookswitch.deb");
        // The runner starts a shell for each; a process that was started stays.
        let lines = format!("export RUNNER_TEMP=$PWD\n{}\nkill %1\nwait\n", lines[1..].join("\n"));
        let printed = checkout.run(&format!("set -m\n{lines}"));
        assert_eq!(printed.matches("\ns-").count() + 1, 2, "{printed}");
    }
    if let Some(compose) = as_json(&of("compose.yaml")) {
        let service = &compose["services"]["hookswitch"];
        let words = |value: &Value| -> Vec<String> {
            let list = value.as_array().expect("a list").iter();
            list.map(|word| word.as_str().expect("a word").to_owned()).collect()
        };
        let ready = checkout.path().join("ready.json");
        let here = |word: String| word.replace("/run/hookswitch/ready.json", path(&ready));
        let mut command = Command::new(env!("CARGO_BIN_EXE_hookswitch"));
        command.args(words(&service["command"]).into_iter().map(here));
        for (name, value) in service["environment"].as_object().expect("variables") {
            command.env(name, value.as_str().expect("a text"));
        }
        // Ports and names are those of the test.
        command.env("HOOKSWITCH_SERVER__LISTEN", "0.0.0.0:0").env("HOOKSWITCH_HEP__LISTEN", "127.0.0.1:0");
        command.env_remove("HOOKSWITCH_SERVER__PUBLIC_URL");
        let mut process = without_test_sizes(&mut command).stdout(Stdio::null()).spawn().expect("it starts");
        wait_for(|| ready.exists().then_some(()), || "the server".to_owned());
        let check = words(&service["healthcheck"]["test"]);
        assert_eq!(check[..2], ["CMD", "hookswitch"]);
        let check: Vec<String> = check.into_iter().skip(2).map(here).collect();
        let checked =
            Command::new(env!("CARGO_BIN_EXE_hookswitch")).args(&check).output().expect("it starts");
        assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
        Command::new("kill").arg(process.id().to_string()).status().expect("kill runs");
        process.wait().expect("it ends");
        assert_eq!(
            compose["services"]["application"]["depends_on"]["hookswitch"]["condition"],
            "service_healthy"
        );
    }
}
