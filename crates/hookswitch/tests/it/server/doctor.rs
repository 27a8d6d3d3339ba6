//! `hookswitch doctor`: each thing that it looks at, in order and out of order.

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use serde_json::{Value, json};

use super::freeswitch::FreeSwitch;
use super::nats::Nats;
use super::receiver::{Receiver, Reply};
use super::traffic::{Agent, EVENTS_OF_CALL, call};
use super::{Home, Server, ended, path, wait_for, without_test_sizes};

/// Findings, and the status that the command has ended with.
struct Found {
    status: i32,
    findings: Vec<Value>,
}

impl Found {
    /// The states and texts of what was found of a thing.
    fn of(&self, check: &str) -> Vec<(&str, &str)> {
        let found = self.findings.iter().filter(|finding| finding["check"] == check);
        found.map(|finding| (text(&finding["state"]), text(&finding["found"]))).collect()
    }

    /// Asserts that something was found in a state, with these words, and that there is something to do
    /// about it if it is not well.
    #[track_caller]
    fn has(&self, check: &str, state: &str, words: &str) {
        let finding = self.findings.iter().find(|finding| {
            finding["check"] == check && finding["state"] == state && text(&finding["found"]).contains(words)
        });
        let finding =
            finding.unwrap_or_else(|| panic!("no {check} is {state}, {words:?}: {:#?}", self.findings));
        assert_eq!(finding["fix"].is_string(), state != "ok", "{finding}");
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// A port that nobody has.
fn free_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port")
}

fn command(home: &Home, variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hookswitch"));
    let (http, hep) = (free_port(), free_port());
    without_test_sizes(&mut command)
        .args(["doctor", "--config", path(&home.config())])
        .env("HOOKSWITCH_SERVER__LISTEN", http.to_string())
        .env("HOOKSWITCH_HEP__LISTEN", hep.to_string())
        .envs(variables.iter().copied())
        .stdin(Stdio::null());
    command
}

#[track_caller]
fn run(command: &mut Command) -> Found {
    let output = command.args(["--format", "json"]).output().expect("the program starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(said, "");
    let out = String::from_utf8(output.stdout).expect("UTF-8");
    let findings: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let status = output.status.code().expect("a status");
    let worst = |state: &str| findings.iter().any(|finding| finding["state"] == state);
    let expected = if worst("failed") { 2 } else { i32::from(worst("warning")) };
    assert_eq!(status, expected, "{findings:#?}");
    Found { status, findings }
}

#[track_caller]
fn doctor(home: &Home, variables: &[(&str, &str)]) -> Found {
    run(&mut command(home, variables))
}

/// The doctor of a server that runs.
#[track_caller]
fn beside(home: &Home, server: &Server, more: &[&str]) -> Found {
    let (http, hep) = (server.addresses["HTTP"].to_string(), server.hep().to_string());
    let variables = [("HOOKSWITCH_SERVER__LISTEN", &*http), ("HOOKSWITCH_HEP__LISTEN", &*hep)];
    run(command(home, &variables).args(more))
}

#[test]
fn a_new_directory_is_well() {
    let home = Home::new("doctor-new");
    let found = doctor(&home, &[]);
    assert!(found.status < 2, "{:#?}", found.findings);
    found.has("config", "ok", "can be used");
    found.has("files", "ok", "secret.key is its owner's alone (0600)");
    found.has("files", "ok", "data is its owner's alone (0700)");
    found.has("ports", "ok", "is free for HTTP");
    found.has("ports", "ok", "is free for HEP");
    found.has("store", "ok", "and is whole");
    assert_eq!(found.of("ports").len(), 3);
    for check in ["clock", "open files", "receive buffer", "disk"] {
        assert!(!found.of(check).is_empty(), "{check}");
    }
    let left = std::fs::read_dir(home.directory.join("data")).expect("it is there");
    let probe = |name: std::ffi::OsString| name.to_string_lossy().starts_with("doctor-");
    assert!(!left.map(|entry| entry.expect("an entry").file_name()).any(probe), "nothing is left");

    // People read the same, with what to do below.
    std::fs::set_permissions(home.directory.join("secret.key"), std::fs::Permissions::from_mode(0o644))
        .expect("it is ours");
    let output = command(&home, &[]).output().expect("the program starts");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert_eq!(output.status.code(), Some(2), "{text}");
    let at = text.find("failed   files           others can get at ").unwrap_or_else(|| panic!("{text}"));
    let mend = text[at..].lines().nth(1).unwrap_or_default();
    assert!(mend.trim_start().starts_with("→ chmod 0600 "), "{text}");
}

#[test]
fn a_running_server_is_well_and_hears_what_is_sent_to_it() {
    let home = Home::new("doctor-running");
    let server = Server::start(&home);
    let token = home.directory.join("token");
    std::fs::write(&token, home.made("admin_token")).expect("a file");
    let found = beside(&home, &server, &["--admin-token-file", path(&token)]);
    assert!(found.status < 2, "{:#?}", found.findings);
    found.has("ports", "ok", "is taken, and the server runs");
    found.has("HEP", "ok", "arrives");
    found.has("store", "ok", "and is whole");
    found.has("webhooks", "ok", "0 subscriptions");
    // Its probe was counted, and has opened nothing.
    let counted = || (server.sum("hookswitch_hep_frames_total") == 1).then_some(());
    wait_for(counted, || "the probe".to_owned());
    assert_eq!(server.count("hookswitch_hep_frames_total{outcome=\"accepted\"}"), 0);
    assert_eq!(home.store("events"), "");
    server.stop();
}

#[test]
fn settings_that_cannot_be_used_fail_and_dangerous_ones_are_named() {
    let home = Home::new("doctor-settings");
    let hep = SocketAddr::from(([0, 0, 0, 0], free_port().port())).to_string();
    let http = SocketAddr::from(([0, 0, 0, 0], free_port().port())).to_string();
    let found = doctor(
        &home,
        &[
            ("HOOKSWITCH_WEBHOOKS__ALLOW", "[\"10.0.0.0/8\"]"),
            ("HOOKSWITCH_OAUTH__PASSWORD_GRANT", "true"),
            ("HOOKSWITCH_STORE__DURABILITY", "relaxed"),
            ("HOOKSWITCH_HEP__LISTEN", &hep),
            ("HOOKSWITCH_SERVER__LISTEN", &http),
        ],
    );
    for words in [
        "webhooks.allow",
        "oauth.password_grant",
        "store.durability is relaxed",
        "HEP is taken from everybody",
        "where tokens can be read on the way",
    ] {
        found.has("config", "warning", words);
    }
    assert_eq!(found.status, 1, "{:#?}", found.findings);

    std::fs::write(home.directory.join("directory.toml"), "[[account]]\nid = \"x\"\n").expect("a file");
    doctor(&home, &[]).has("config", "failed", "directory.toml, line 2");
    home.configure("\n[stroe]\n");
    let found = doctor(&home, &[]);
    found.has("config", "failed", "[stroe]");
    assert_eq!((found.status, found.findings.len()), (2, 1));
}

#[test]
fn files_that_others_can_read_or_that_are_damaged_fail() {
    let home = Home::new("doctor-files");
    let set = |name: &str, mode: u32| {
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(home.directory.join(name), permissions).expect("it is ours");
    };
    set("secret.key", 0o640);
    set("data", 0o755);
    home.configure(
        "\n[[ami.source]]\nname = \"m\"\naddress = \"127.0.0.1:1\"\nuser = \"me\"\nsecret = \"it\"\n",
    );
    set("hookswitch.toml", 0o604);
    let found = doctor(&home, &[]);
    found.has("files", "failed", "secret.key (mode 0640)");
    found.has("files", "failed", "data (mode 0755)");
    found.has("files", "failed", "hookswitch.toml (mode 0604)");
    // The password of an event socket is as secret; a FreeSWITCH that connects has none.
    for (name, source, state) in [
        ("password", "address = \"127.0.0.1:1\"\npassword = \"it\"", Some("failed")),
        ("none", "connects_from = [\"127.0.0.1\"]", None),
    ] {
        let home = Home::new(&format!("doctor-files-{name}"));
        home.configure(&format!("\n[[esl.source]]\nname = \"f\"\n{source}\n"));
        let permissions = std::fs::Permissions::from_mode(0o644);
        std::fs::set_permissions(home.config(), permissions).expect("it is ours");
        let found = doctor(&home, &[("HOOKSWITCH_ESL__LISTEN", &free_port().to_string())]);
        let files = found.of("files");
        let own = files.iter().find(|(_, text)| text.contains("hookswitch.toml"));
        assert_eq!(own.map(|(state, _)| *state), state, "{files:?}");
    }
    std::fs::write(home.directory.join("secret.key"), "short").expect("it is ours");
    doctor(&home, &[]).has("files", "failed", "has 5 bytes, and a key has 32");
}

#[test]
fn ports_that_somebody_else_has_and_addresses_of_others_fail() {
    let home = Home::new("doctor-ports");
    let http = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let hep = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let of = |address: std::io::Result<SocketAddr>| address.expect("an address").to_string();
    let variables = [
        ("HOOKSWITCH_SERVER__LISTEN", of(http.local_addr())),
        ("HOOKSWITCH_HEP__LISTEN", of(hep.local_addr())),
    ];
    // Whoever has the port of HTTP says nothing, as a Hookswitch would.
    thread::spawn(move || http.incoming().for_each(drop));
    let variables: Vec<(&str, &str)> = variables.iter().map(|(name, value)| (*name, &**value)).collect();
    let found = doctor(&home, &variables);
    found.has("ports", "failed", "cannot be had for HTTP: Address already in use");
    found.has("ports", "failed", "cannot be had for HEP: Address already in use");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let (taken, free) = (of(listener.local_addr()), free_port().to_string());
    for (address, state, words) in [
        (&taken, "failed", "cannot be had for ESL: Address already in use"),
        (&free, "ok", "is free for ESL"),
    ] {
        doctor(&home, &[("HOOKSWITCH_ESL__LISTEN", &**address)]).has("ports", state, words);
    }
    let elsewhere = [("HOOKSWITCH_SERVER__LISTEN", "192.0.2.1:8080")];
    doctor(&home, &elsewhere).has("ports", "failed", "Cannot assign requested address");
}

#[test]
fn limits_of_the_machine_are_named() {
    let home = Home::new("doctor-limits");
    let mut limited = Command::new("prlimit");
    let inner = command(&home, &[]);
    limited.arg("--nofile=900").arg(inner.get_program()).args(inner.get_args());
    limited.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    without_test_sizes(&mut limited);
    run(&mut limited).has("open files", "warning", "900 may be open");
    // More than any kernel gives.
    let found = doctor(&home, &[("HOOKSWITCH_HEP__RECEIVE_BUFFER_BYTES", "2147483647")]);
    found.has("receive buffer", "warning", "instead of 2147483647");
}

#[test]
fn a_disk_that_takes_nothing_fails_and_one_that_will_be_full_is_named() {
    let home = Home::new("doctor-disk");
    let nowhere = home.directory.join("secret.key/data");
    let found = doctor(&home, &[("HOOKSWITCH_STORE__DIRECTORY", path(&nowhere))]);
    found.has("disk", "failed", "nothing can be written");

    let server = Server::start(&home);
    server.play("captures/answered-call.pcap");
    home.events_at_least(10);
    server.stop();
    doctor(&home, &[]).has("disk", "ok", "too little yet");
    // As if much had come in during the last quarter of an hour; and all is to be kept for a hundred years.
    let database = database(&home);
    database.execute("UPDATE events SET arrival = arrival - 900000000", []).expect("it is ours");
    let much = "INSERT INTO documents VALUES ('padding', '1', 1, hex(randomblob(10000000)))";
    database.execute(much, []).expect("it is ours");
    let found = doctor(&home, &[("HOOKSWITCH_STORE__EVENTS_KEPT", "36500d")]);
    found.has("disk", "warning", "may be needed: what is kept grows at the rate");
}

#[test]
fn a_store_that_is_damaged_newer_or_foreign_fails() {
    let home = Home::new("doctor-store");
    let server = Server::start(&home);
    let mut agent = Agent::new(server.hep(), 1);
    for number in 0..200 {
        for (way, message) in call(&format!("damaged-{number}")) {
            assert!(agent.send(way, &message));
        }
    }
    home.events_at_least(100 * EVENTS_OF_CALL);
    server.stop();
    // The clock of that agent is years behind.
    doctor(&home, &[]).has("clock", "warning", "s behind the clock here");
    let version: i64 = database(&home)
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .expect("it says how new it is");
    database(&home).pragma_update(None, "user_version", 99).expect("it is ours");
    doctor(&home, &[]).has("store", "failed", "written by a newer Hookswitch (its schema is 99");
    let database = database(&home);
    database.pragma_update(None, "user_version", version).expect("it is ours");
    database.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).expect("it is ours");
    drop(database);
    let file = file(&home);
    let mut bytes = std::fs::read(&file).expect("it is there");
    let length = bytes.len();
    bytes[length / 3..length / 3 + 20_000].fill(0x5a);
    std::fs::write(&file, bytes).expect("it is ours");
    doctor(&home, &[]).has("store", "failed", "");
    std::fs::write(&file, "no database at all, but long enough to be read as one").expect("it is ours");
    doctor(&home, &[]).has("store", "failed", "");
}

fn file(home: &Home) -> PathBuf {
    home.directory.join("data/hookswitch.db")
}

fn database(home: &Home) -> rusqlite::Connection {
    rusqlite::Connection::open(file(home)).expect("it can be opened")
}

#[test]
fn what_sets_the_clock_is_asked() {
    if Path::new("/run/systemd/timesync/synchronized").exists() {
        eprintln!("skipped: systemd-timesyncd has set the clock of this machine");
        return;
    }
    let home = Home::new("doctor-clock");
    let tools = home.directory.join("tools");
    std::fs::create_dir(&tools).expect("a directory");
    let asked = || run(command(&home, &[]).env("PATH", &tools));
    asked().has("clock", "warning", "cannot be told");
    symlink("/bin/sh", tools.join("sh")).expect("a link");
    for (answer, state, words) in [("yes", "ok", "is synchronised"), ("no", "warning", "is not synchronised")]
    {
        let tool = tools.join("timedatectl");
        std::fs::write(&tool, format!("#!/bin/sh\necho {answer}\n")).expect("a file");
        std::fs::set_permissions(&tool, std::fs::Permissions::from_mode(0o755)).expect("it is ours");
        asked().has("clock", state, words);
    }
}

#[test]
fn switches_that_do_not_answer_or_are_something_else_fail() {
    let home = Home::new("doctor-switches");
    let greets = |greeting: &'static str| {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                stream.write_all(greeting.as_bytes()).ok();
            }
        });
        address
    };
    let addresses = [
        ("cut", greets("Asterisk Call Manager/11.0.0\r\n")),
        ("other", greets("SSH-2.0-OpenSSH_9.2\r\n")),
        ("closed", free_port()),
    ];
    for (name, address) in addresses {
        home.configure(&format!(
            "\n[[ami.source]]\nname = \"{name}\"\naddress = \"{address}\"\nuser = \"me\"\nsecret = \"it\"\n"
        ));
    }
    for (name, address) in [
        ("cut off", greets("Content-Type: auth/request\n\n")),
        (
            "strange",
            greets("Content-Type: text/rude-rejection\nContent-Length: 24\n\nAccess Denied, go away.\n"),
        ),
        ("away", free_port()),
    ] {
        home.configure(&format!(
            "\n[[esl.source]]\nname = \"{name}\"\naddress = \"{address}\"\npassword = \"it\"\n"
        ));
    }
    // One that connects is not looked for.
    home.configure("\n[[esl.source]]\nname = \"caller\"\nconnects_from = [\"127.0.0.1\"]\n");
    let found = doctor(&home, &[("HOOKSWITCH_ESL__LISTEN", &free_port().to_string())]);
    found.has("ESL", "failed", "cut off at ");
    found.has("ESL", "failed", "the log-in was cut: ");
    found.has("ESL", "failed", "does not let this machine in; see apply-inbound-acl");
    found.has("ESL", "failed", "Connection refused");
    assert_eq!(found.of("ESL").len(), 3);
    found.has("AMI", "failed", "the log-in was cut: ");
    found.has("AMI", "failed", "other at ");
    found.has("AMI", "failed", "Connection refused");
}

#[test]
fn a_freeswitch_is_logged_in_to_and_asked_what_the_server_asks() {
    let home = Home::new("doctor-freeswitch");
    let (good, wrong, strict) = (FreeSwitch::new(), FreeSwitch::new(), FreeSwitch::new());
    for (name, pbx) in [("good", &good), ("wrong", &wrong), ("strict", &strict)] {
        home.configure(&pbx.configuration().replace("\"pbx\"", &format!("{name:?}")));
    }
    let peers = [
        thread::spawn(move || {
            let no_module = "-ERR callcenter_config Command not found!\n";
            good.accept_login(&[("callcenter_config queue list", no_module)]);
        }),
        thread::spawn(move || wrong.accept().reply("-ERR invalid")),
        thread::spawn(move || strict.accept_and_refuse_questions()),
    ];
    let found = doctor(&home, &[]);
    for peer in peers {
        peer.join().expect("the doctor has said what was expected");
    }
    found.has("ESL", "ok", "answers what it is asked; it has no callcenter_config");
    found.has("ESL", "failed", "refuses the password of \"wrong\": -ERR invalid");
    found.has("ESL", "warning", "does not answer \"show channels as json\"");
    assert!(found.of("ESL").iter().all(|(_, text)| !text.contains("not-to-be-logged")));
}

#[test]
fn datagrams_that_do_not_arrive_fail() {
    let home = Home::new("doctor-arrival");
    let server = Server::start(&home);
    let elsewhere = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let http = server.addresses["HTTP"].to_string();
    let hep = elsewhere.local_addr().expect("an address").to_string();
    let found = doctor(&home, &[("HOOKSWITCH_SERVER__LISTEN", &http), ("HOOKSWITCH_HEP__LISTEN", &hep)]);
    found.has("HEP", "failed", "does not arrive");
}

#[test]
fn receivers_that_are_blacklisted_are_named_and_a_wrong_token_fails() {
    let home = Home::new("doctor-webhooks");
    let mut command = Command::new(env!("CARGO_BIN_EXE_hookswitch"));
    command.args(["serve", "--dev", "--config"]).arg(home.config());
    let server = Server::spawn(&mut command, &[]);
    let receiver = Receiver::new(|posted| match posted.token() {
        Some(_) => Reply::good(posted),
        None => Reply::Status(410),
    });
    let token = server.log_in(&home).text("access_token");
    let body = json!({
        "eventFilters": ["/restapi/v1.0/account/~/telephony/sessions"],
        "deliveryMode": {"transportType": "WebHook", "address": receiver.url()},
    });
    let made = server.call(&token, "POST", "/restapi/v1.0/subscription", Some(&body));
    assert_eq!(made.status, 200, "{made:?}");
    let file = home.directory.join("token");
    std::fs::write(&file, home.made("admin_token")).expect("a file");
    let asked = || beside(&home, &server, &["--admin-token-file", path(&file)]);
    asked().has("webhooks", "ok", "1 subscriptions");
    server.play("captures/answered-call.pcap");
    let blacklisted = || {
        asked().findings.iter().any(|finding| finding["check"] == "webhooks" && finding["state"] == "warning")
    };
    wait_for(|| blacklisted().then_some(()), || "the blacklist".to_owned());
    asked().has("webhooks", "warning", &made.text("id"));
    std::fs::write(&file, "wrong").expect("a file");
    asked().has("webhooks", "failed", "answers 401");
}

#[test]
fn nats_is_looked_at_as_a_node_does_when_it_starts() {
    let home = Home::new("doctor-nats");
    let nats = Nats::start(home.name());
    let own = nats.variables("one");
    let own: Vec<(&str, &str)> = own.iter().map(|(name, value)| (*name, &**value)).collect();
    let found = doctor(&home, &own);
    assert!(found.status < 2, "{:#?}", found.findings);
    found.has("NATS", "ok", "answers as NATS 2.9.10");
    found.has("NATS", "ok", "12 of 12 streams of \"hookswitch\" are not there yet");
    found.has("NATS", "warning", "one NATS server keeps each message");
    assert_eq!((nats.count("streams"), nats.messages()), (0, 0), "nothing is left");

    let node = nats.node(&home, "one");
    wait_for(|| (node.get("/readyz").0 == 200).then_some(()), || "the node".to_owned());
    let [http, hep] = [node.addresses["HTTP"], node.hep()].map(|address| address.to_string());
    let beside = [("HOOKSWITCH_SERVER__LISTEN", &*http), ("HOOKSWITCH_HEP__LISTEN", &*hep)];
    let found = doctor(&home, &[&own[..], &beside].concat());
    assert!(found.status < 2, "{:#?}", found.findings);
    found.has("NATS", "ok", "the 12 streams of \"hookswitch\" fit, and can be followed");
    let consumers = nats.count("consumers");
    doctor(&home, &[&own[..], &beside].concat());
    assert_eq!((nats.count("streams"), nats.count("consumers")), (12, consumers), "nothing is left");
    let found = doctor(&home, &[&own[..], &beside, &[("HOOKSWITCH_CLUSTER__LEASE", "4s")]].concat());
    found.has("NATS", "ok", "the next start changes the limits of KV_hookswitch_leases");
    node.stop();

    // What a node refuses the doctor finds, in the same words.
    let alone = Home::new("doctor-nats-alone");
    let server = Server::start(&alone);
    server.play("captures/answered-call.pcap");
    alone.events_at_least(10);
    server.stop();
    let nobody = format!("[\"nats://{}\"]", free_port());
    for (home, more, words) in [
        (&home, [("HOOKSWITCH_CLUSTER__PARTITIONS", "4")], "set cluster.partitions to the same on all nodes"),
        (&home, [("HOOKSWITCH_STORE__DURABILITY", "strict")], "cannot be told not to (that takes 2.10)"),
        (&home, [("HOOKSWITCH_NATS__REPLICAS", "3")], "; does the server have JetStream, and enough servers"),
        (&home, [("HOOKSWITCH_NATS__PREFIX", "x")], "has the copy of another log, or NATS has lost its end"),
        (&home, [("HOOKSWITCH_NATS__SERVERS", &*nobody)], "no NATS answers at nats://127.0.0.1:"),
        (&alone, [("HOOKSWITCH_NATS__PREFIX", "y")], "has the store of a server alone"),
    ] {
        let mut variables = [&own[..], &more, &[("HOOKSWITCH_NATS__CONNECT_TIMEOUT", "2s")]].concat();
        if more[0].0 == "HOOKSWITCH_NATS__REPLICAS" {
            variables.push(("HOOKSWITCH_NATS__PREFIX", "z"));
        }
        doctor(home, &variables).has("NATS", "failed", words);
        let mut serve = Command::new(env!("CARGO_BIN_EXE_hookswitch"));
        let serve = without_test_sizes(&mut serve).args(["serve", "--config", path(&home.config())]);
        let (status, _, said) = ended(serve.envs(variables).env("HOOKSWITCH_SERVER__LISTEN", "127.0.0.1:0"));
        assert!(status == Some(2) && said.contains(words), "{words}: {said}");
    }
}
