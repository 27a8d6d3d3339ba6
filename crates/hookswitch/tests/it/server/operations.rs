//! The page about operating a server: its lines, its proxies and what watches it, with Debian's programs where they are.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use super::client::exchange;
use super::readme::{Checkout, commands};
use super::{Home, Server, path, root, wait_for, without_test_sizes};

/// A program of Debian: installed, or unpacked by ci/setup.
fn program(name: &str) -> Option<PathBuf> {
    let unpacked = root().join("target/tools/debian");
    let mut places: Vec<PathBuf> = ["usr/sbin", "usr/bin"].map(|place| unpacked.join(place)).to_vec();
    places.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    places.push("/usr/sbin".into());
    let found = places.into_iter().map(|place| place.join(name)).find(|file| file.is_file());
    if found.is_none() {
        eprintln!("skipped: {name} is not there; `make setup` brings it");
    }
    found
}

fn example(name: &str) -> PathBuf {
    root().join("docs/examples/operations").join(name)
}

/// A program that is stopped with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // What it has started ends with it only so.
        Command::new("kill").arg(self.0.id().to_string()).status().ok();
        self.0.wait().ok();
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").port()
}

/// A certificate for localhost and its key, made for a test.
fn certificate(directory: &Path) -> (PathBuf, PathBuf) {
    let (certificate, key) = (directory.join("fullchain.pem"), directory.join("key.pem"));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"])
        .args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", "2"])
        .args(["-addext", "basicConstraints=critical,CA:false"])
        .args(["-keyout", path(&key), "-out", path(&certificate)])
        .stderr(Stdio::null())
        .status();
    assert!(made.expect("openssl runs").success());
    (certificate, key)
}

/// Asks a proxy, and gives the status.
fn asked(port: u16, certificate: &Path, resource: &str) -> String {
    let url = format!("https://localhost:{port}{resource}");
    let output = Command::new("curl")
        .args(["-sS", "-o", "/dev/null", "-w", "%{http_code}", "--cacert", path(certificate), &url])
        .output()
        .expect("curl runs");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Tries what goes through a proxy: plain requests, a login, and a WebSocket that is told of a call.
fn try_proxy(name: &str, start: impl FnOnce(&Path, u16, u16, &Path, &Path) -> Command) {
    let home = Home::new(name);
    let port = free_port();
    let url = format!("https://localhost:{port}");
    let server = Server::start_with(&home, &[("HOOKSWITCH_SERVER__PUBLIC_URL", &url)]);
    let (certificate, key) = certificate(&home.directory);
    let mut command = start(&home.directory, port, server.http().port(), &certificate, &key);
    let proxy = Running(command.stdin(Stdio::null()).spawn().expect("it starts"));
    wait_for(
        || (asked(port, &certificate, "/readyz") == "200").then_some(()),
        || format!("{name} to listen on {port}"),
    );
    assert_eq!(asked(port, &certificate, "/console/"), "200");
    assert_eq!(asked(port, &certificate, "/metrics"), "200", "this machine is inside");
    let login = home.directory.join("login.json");
    let mut made = home.made.clone();
    made["server"] = url.into();
    std::fs::write(&login, made.to_string()).expect("it is written");
    let mut listen = Command::new(env!("CARGO_BIN_EXE_hookswitch"));
    listen.args(["listen", "--count", "8", "--login", path(&login)]).env("SSL_CERT_FILE", &certificate);
    let listen = without_test_sizes(&mut listen);
    let listen = listen.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let listens = || (server.count("hookswitch_websocket_subscriptions") == 1).then_some(());
    wait_for(listens, || "the subscription".to_owned());
    let mut trigger = Command::new(env!("CARGO_BIN_EXE_hookswitch"));
    trigger.args(["trigger", "answered", "--login", path(&login)]).env("SSL_CERT_FILE", &certificate);
    let triggered = without_test_sizes(&mut trigger).output().expect("it starts");
    // The paths of operators and switches are open to this machine.
    assert!(triggered.status.success(), "{}", String::from_utf8_lossy(&triggered.stderr));
    let told = listen.wait_with_output().expect("it ends");
    assert_eq!(String::from_utf8_lossy(&told.stdout).lines().count(), 8);
    drop(proxy);
}

#[test]
fn the_example_for_nginx_carries_requests_and_websockets() {
    let Some(nginx) = program("nginx") else { return };
    try_proxy("nginx", |directory, port, to, certificate, key| {
        let text = std::fs::read_to_string(example("nginx.conf")).expect("it is there");
        let text = text
            .replace("listen 443 ssl", &format!("listen 127.0.0.1:{port} ssl"))
            .replace("127.0.0.1:8080", &format!("127.0.0.1:{to}"))
            .replace("pbx.example", "localhost")
            .replace("/etc/ssl/hookswitch/fullchain.pem", path(certificate))
            .replace("/etc/ssl/hookswitch/key.pem", path(key));
        let place = path(directory);
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {place}/{kind};\n"))
            .concat();
        let whole = format!(
            "daemon off;\nmaster_process off;\npid {place}/nginx.pid;\nerror_log {place}/error.log;\nevents {{}}\n\
             http {{\naccess_log off;\n{temporary}{text}}}\n"
        );
        let file = directory.join("nginx.conf");
        std::fs::write(&file, whole).expect("it is written");
        let mut command = Command::new(nginx);
        command.args(["-p", place, "-e", &format!("{place}/error.log"), "-c", path(&file)]);
        command
    });
}

#[test]
fn the_example_for_caddy_carries_requests_and_websockets() {
    let Some(caddy) = program("caddy") else { return };
    try_proxy("caddy", |directory, port, to, certificate, key| {
        let text = std::fs::read_to_string(example("Caddyfile")).expect("it is there");
        let tls = format!("localhost:{port} {{\n\ttls {} {}\n", path(certificate), path(key));
        let text =
            text.replace("pbx.example {\n", &tls).replace("127.0.0.1:8080", &format!("127.0.0.1:{to}"));
        let file = directory.join("Caddyfile");
        let global = "{\n\tadmin off\n\tauto_https disable_redirects\n}\n";
        std::fs::write(&file, format!("{global}{text}")).expect("it is written");
        let mut command = Command::new(caddy);
        command.args(["run", "--adapter", "caddyfile", "--config", path(&file)]);
        command.env("HOME", directory).env("XDG_DATA_HOME", directory).env("XDG_CONFIG_HOME", directory);
        command.stderr(Stdio::null());
        command
    });
}

#[test]
fn what_watches_the_server_is_understood_by_prometheus_and_names_metrics_that_are_there() {
    if let Some(promtool) = program("promtool") {
        for (kind, file) in [("rules", "alerts.yml"), ("config", "prometheus.yml")] {
            let output = Command::new(&promtool).args(["check", kind, path(&example(file))]).output();
            let output = output.expect("promtool runs");
            assert!(output.status.success(), "{file}: {}", String::from_utf8_lossy(&output.stderr));
        }
    }
    let home = Home::new("metrics-named");
    let server = Server::start(&home);
    let (_, text) = server.get("/metrics");
    let text = text.as_str().expect("text").to_owned();
    for name in
        ["subscriptions", "subscription_pending", "store_bytes", "source_messages", "engine_busy_seconds"]
    {
        assert!(text.contains(&format!("# TYPE hookswitch_{name} ")), "{name}: {text}");
    }
    for name in ["process_resident_memory_bytes", "process_open_fds", "process_cpu_seconds_total"] {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        assert!(line.trim().parse::<f64>().is_ok_and(|value| value > 0.0), "{name} {line}");
    }
    // Who asks for the classic form gets it, and nothing in it is without a description.
    let classic = exchange(server.http(), "GET", "/metrics", &[("Accept", "text/plain")], b"");
    assert_eq!(classic.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    assert!(!classic.text.contains("# EOF"), "{}", classic.text);
    if let Some(promtool) = program("promtool") {
        let mut checking = Command::new(&promtool)
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("promtool runs");
        let mut input = checking.stdin.take().expect("a pipe");
        input.write_all(classic.text.as_bytes()).expect("it reads");
        drop(input);
        let checked = checking.wait_with_output().expect("it ends");
        let said = String::from_utf8_lossy(&checked.stderr);
        assert!(!said.contains("no help text") && !said.contains("error while linting"), "{said}");
    }
    let described: BTreeSet<&str> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    let mut named = 0;
    for file in ["alerts.yml", "grafana-dashboard.json"] {
        let text = std::fs::read_to_string(example(file)).expect("it is there");
        for word in text.split(|c: char| !(c.is_ascii_lowercase() || c == '_')) {
            if word.starts_with("hookswitch_") {
                let plain = word.trim_end_matches("_total").trim_end_matches("_bucket");
                assert!(described.contains(plain), "{file}: there is no {word}");
                named += 1;
            }
        }
    }
    assert!(named > 20, "{named}");
    let dashboard = std::fs::read_to_string(example("grafana-dashboard.json")).expect("it is there");
    let dashboard: Value = serde_json::from_str(&dashboard).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    assert!(
        panels.iter().all(|panel| panel["targets"].as_array().is_some_and(|targets| !targets.is_empty()))
    );
    assert_eq!(dashboard["templating"]["list"][0]["type"], json!("datasource"));
}

#[test]
fn each_line_about_backups_runs_and_what_is_restored_checks() {
    let checkout = Checkout::new("operations");
    checkout.run("hookswitch init pbx");
    let mut command = checkout.shell("exec hookswitch serve --config pbx/hookswitch.toml");
    let server = Server::spawn(&mut command, &[]);
    server.play("captures/answered-call.pcap");
    wait_for(
        || (server.count("hookswitch_event_log_rows_total") == 10).then_some(()),
        || "events".to_owned(),
    );
    let text = std::fs::read_to_string(root().join("docs/operations.md")).expect("the page is there");
    let section = text.split("\n## Backup and restore\n").nth(1).and_then(|rest| rest.split("\n## ").next());
    let lines = commands(section.expect("the section is there"));
    assert_eq!(lines.len(), 7, "{lines:?}");
    let printed = checkout.run(&lines.join("\n"));
    assert!(printed.contains("10 events"), "{printed}");
    server.stop();
    // What was made before is good in it.
    let mut command = checkout.shell("exec hookswitch serve --config restored/hookswitch.toml");
    let server = Server::spawn(&mut command, &[]);
    assert!(!server.warnings.iter().any(|line| line.contains("has no")), "{:?}", server.warnings);
}
