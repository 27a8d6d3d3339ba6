//! The server as a process: what comes in by real sockets, and what its log holds then.

mod access;
mod addresses;
mod admin;
mod ari;
mod asterisk;
mod call_log;
mod canaries;
mod capture;
mod client;
mod clients;
mod cluster;
mod console;
mod control;
mod copying;
mod crash;
mod credentials;
mod demo;
mod disk;
mod doctor;
mod document;
mod doors;
mod explain;
mod freeswitch;
mod gateway;
mod hep;
mod hostile;
mod ingest;
mod kamailio;
mod limits;
mod logged;
mod nats;
mod oauth;
mod operations;
mod partitions;
mod presence;
mod reading;
mod readme;
mod receiver;
mod redelivery;
mod resolver;
mod rights;
mod sdks;
mod socket;
mod start;
mod switch;
mod tenants;
mod testing;
mod traffic;
mod twice;
mod unharmed;
mod webhooks;

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

/// Time that something may take that is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// A directory that `hookswitch init` has made, with what it printed.
struct Home {
    directory: PathBuf,
    made: Value,
}

impl Home {
    /// Makes the directory of a test.
    fn new(name: &str) -> Self {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("server").join(name);
        if directory.exists() {
            std::fs::remove_dir_all(&directory).expect("an old directory goes away");
        }
        let output = hookswitch(&["init", path(&directory), "--json"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let made = serde_json::from_slice(&output.stdout).expect("init prints JSON");
        Self { directory, made }
    }

    /// Returns the name of the test that it is of.
    fn name(&self) -> &str {
        self.directory.file_name().and_then(|name| name.to_str()).expect("it has a name")
    }

    fn config(&self) -> PathBuf {
        self.directory.join("hookswitch.toml")
    }

    /// Adds lines to the configuration.
    fn configure(&self, lines: &str) {
        let mut text = std::fs::read_to_string(self.config()).expect("the configuration is there");
        text.push_str(lines);
        std::fs::write(self.config(), text).expect("the configuration can be written");
    }

    fn made(&self, key: &str) -> &str {
        self.made[key].as_str().expect("init prints it")
    }

    /// Returns what `hookswitch store` prints.
    #[track_caller]
    fn store(&self, command: &str) -> String {
        let output = hookswitch(&["store", command, "--config", path(&self.config())]);
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    /// Waits until the log holds so many events, or more.
    #[track_caller]
    fn events_at_least(&self, count: usize) {
        let enough = || (self.store("events").lines().count() >= count).then_some(());
        wait_for(enough, || format!("{count} events"));
    }

    /// Waits until the log holds so many events, and gives them.
    #[track_caller]
    fn events(&self, count: usize) -> Vec<Value> {
        let mut found = 0;
        let text = wait_for(
            || {
                let text = self.store("events");
                found = text.lines().count();
                (found >= count).then_some(text)
            },
            || format!("{count} events"),
        );
        assert_eq!(found, count, "{text}");
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }
}

/// A running server.
struct Server {
    process: Child,
    /// Addresses that it listens at, by purpose.
    addresses: BTreeMap<String, SocketAddr>,
    /// State that was restored, as the log tells it.
    restored: Value,
    /// Lines that were written before the log.
    said: Vec<Value>,
    /// Warnings until it was ready.
    warnings: Vec<String>,
    log: Mutex<Receiver<Value>>,
}

impl Server {
    /// Starts the server of a directory on free ports and waits until it is ready.
    #[track_caller]
    fn start(home: &Home) -> Self {
        Self::start_with(home, &[])
    }

    /// The same, with variables of the environment.
    #[track_caller]
    fn start_with(home: &Home, variables: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hookswitch"));
        command.arg("serve").arg("--config").arg(home.config());
        Self::spawn(&mut command, variables)
    }

    /// Starts the server with the development profile: webhooks may go to this machine.
    #[track_caller]
    fn start_dev(home: &Home) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hookswitch"));
        command.arg("serve").arg("--dev").arg("--config").arg(home.config());
        Self::spawn(&mut command, &[])
    }

    #[track_caller]
    fn spawn(command: &mut Command, variables: &[(&str, &str)]) -> Self {
        without_test_sizes(command)
            .env("HOOKSWITCH_SERVER__LISTEN", "127.0.0.1:0")
            .env("HOOKSWITCH_HEP__LISTEN", "127.0.0.1:0")
            .env("HOOKSWITCH_LOG__FORMAT", "json")
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stderr(Stdio::piped());
        let mut process = command.spawn().expect("the server starts");
        let lines = BufReader::new(process.stderr.take().expect("a pipe")).lines();
        let (sender, log) = channel();
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let line = serde_json::from_str(&line).unwrap_or(Value::String(line));
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let (addresses, said, log) = (BTreeMap::new(), Vec::new(), Mutex::new(log));
        let warnings = Vec::new();
        let mut server = Self { process, addresses, restored: Value::Null, said, warnings, log };
        loop {
            let line = server.next_line().expect("the server says that it is ready");
            if let (Some(what), Some(address)) = (line["what"].as_str(), line["address"].as_str()) {
                server.addresses.insert(what.to_owned(), address.parse().expect("an address"));
            }
            if line["message"] == "the state of open calls is restored" {
                server.restored = line.clone();
            }
            if line["level"] == "WARN" {
                server.warnings.extend(line["message"].as_str().map(str::to_owned));
            }
            if !line.is_object() {
                server.said.push(line.clone());
            }
            if line["message"] == "ready" {
                return server;
            }
            assert_ne!(line["level"], "ERROR", "{line}");
        }
    }

    fn next_line(&self) -> Result<Value, RecvTimeoutError> {
        self.log.lock().expect("no panic").recv_timeout(PATIENCE)
    }

    fn hep(&self) -> SocketAddr {
        self.addresses["HEP over UDP"]
    }

    /// Sends captures with their own times, so that what follows is what `replay` prints, as fast as goes.
    #[track_caller]
    fn play(&self, capture: &str) {
        let to = self.hep().to_string();
        let output = hookswitch(&["play", capture, "--to", &to, "--speed", "0", "--original-times"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Sends a request, and gives the status and the body of the answer.
    #[track_caller]
    fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> (u16, Value) {
        request(self.addresses["HTTP"], method, path, headers, body).expect("an answer")
    }

    #[track_caller]
    fn get(&self, path: &str) -> (u16, Value) {
        self.request("GET", path, &[], b"")
    }

    /// A counter, by its name and labels as the metrics write them.
    #[track_caller]
    fn count(&self, name: &str) -> u64 {
        let (_, text) = self.get("/metrics");
        let text = text.as_str().expect("text").to_owned();
        let line = text.lines().find(|line| line.rsplit_once(' ').is_some_and(|(key, _)| key == name));
        let number = line.and_then(|line| line.rsplit_once(' ')).expect(name).1;
        number.parse().expect("a number")
    }

    /// The sum of the counters of a name.
    #[track_caller]
    fn sum(&self, name: &str) -> u64 {
        let (_, text) = self.get("/metrics");
        let text = text.as_str().expect("text").to_owned();
        let of = |line: &str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with('{'));
        let numbers =
            text.lines().filter(|line| of(line)).map(|line| line.rsplit_once(' ').expect("a number").1);
        numbers.map(|number| number.parse::<u64>().expect("a number")).sum()
    }

    /// Ends the server without a warning, as a power cut does.
    fn kill(&mut self) {
        self.process.kill().expect("it runs");
        self.process.wait().expect("it ends");
    }

    /// Sends a signal by its name.
    fn signal(&self, name: &str) {
        let done = Command::new("kill").args([&format!("-{name}"), &self.process.id().to_string()]).status();
        assert!(done.expect("kill runs").success());
    }

    /// Tells the server to stop, and waits until it has.
    #[track_caller]
    fn stop(mut self) {
        self.signal("TERM");
        let ended =
            wait_for(|| self.process.try_wait().expect("it can be waited for"), || "the end".to_owned());
        assert!(ended.success(), "{ended}");
    }

    /// Waits for a line of the log with this message.
    #[track_caller]
    fn logged(&self, message: &str) -> Value {
        loop {
            let line = self.next_line().unwrap_or_else(|_| panic!("no line says {message:?}"));
            if line["message"].as_str().is_some_and(|text| text.contains(message)) {
                return line;
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// Sends a request on a connection of its own.
fn request(
    to: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> std::io::Result<(u16, Value)> {
    let mut stream = TcpStream::connect(to)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\n");
    for (name, value) in headers {
        head.extend([name, ": ", value, "\r\n"]);
    }
    head.extend(["Content-Length: ", &body.len().to_string(), "\r\n\r\n"]);
    stream.write_all(head.as_bytes())?;
    // A server that refuses a body may not read it to its end.
    stream.write_all(body).ok();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).or_else(|error| if answer.is_empty() { Err(error) } else { Ok(0) })?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").ok_or(std::io::ErrorKind::UnexpectedEof)?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or(std::io::ErrorKind::InvalidData)?;
    Ok((status, serde_json::from_str(body).unwrap_or_else(|_| Value::String(body.to_owned()))))
}

/// Removes the variables of the tests, which are no settings of the program: it refuses what it does not know.
fn without_test_sizes(command: &mut Command) -> &mut Command {
    command
        .env_remove("HOOKSWITCH_TEST_SIZE")
        .env_remove("HOOKSWITCH_TEST_KILLS")
        .env_remove("HOOKSWITCH_TEST_ACKS")
        .env_remove("HOOKSWITCH_TEST_FAULTS")
        .env_remove("HOOKSWITCH_TEST_SEED")
}

/// Runs the program in the repository.
fn hookswitch(arguments: &[&str]) -> Output {
    without_test_sizes(&mut Command::new(env!("CARGO_BIN_EXE_hookswitch")))
        .args(arguments)
        .current_dir(root())
        .stdin(Stdio::null())
        .output()
        .expect("the program starts")
}

/// Runs a command that must end in time; gives its status, and what it has printed and said.
#[track_caller]
fn ended(command: &mut Command) -> (Option<i32>, String, String) {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = command.spawn().expect("the program starts");
    let (out, said) = (process.stdout.take().expect("a pipe"), process.stderr.take().expect("a pipe"));
    let out = thread::spawn(|| std::io::read_to_string(out).expect("UTF-8"));
    let said = thread::spawn(|| std::io::read_to_string(said).expect("UTF-8"));
    let started = receiver::now();
    let status = loop {
        if let Some(status) = process.try_wait().expect("it can be waited for") {
            break Some(status);
        }
        if started.elapsed() > PATIENCE {
            process.kill().expect("it runs");
            process.wait().expect("it ends");
            break None;
        }
        thread::sleep(Duration::from_millis(20));
    };
    let (out, said) = (out.join().expect("no panic"), said.join().expect("no panic"));
    let status = status.unwrap_or_else(|| panic!("it does not end: {out}{said}"));
    (status.code(), out, said)
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the repository is there")
}

fn path(path: &Path) -> &str {
    path.to_str().expect("the path is UTF-8")
}

/// Returns what notifications say, by sessions in the order in which those began, and without what names the session and
/// says when it was.
fn by_session(text: &str) -> Vec<Vec<Value>> {
    let mut order = Vec::new();
    let mut sessions: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for line in text.lines() {
        let mut event: Value = serde_json::from_str(line).expect("JSON");
        let body = event["body"].as_object_mut().expect("a body");
        let session = body.remove("telephonySessionId").expect("a session");
        let session = session.as_str().expect("an id").trim_start_matches("s-").to_owned();
        for key in ["sessionId", "eventTime"] {
            body.remove(key).expect("it is there");
        }
        let party = &mut body["parties"][0];
        let id = party["id"].as_str().expect("an id").replace(&session, "");
        party["id"] = id.into();
        // Derived from the session.
        if let Some(pickup) = party["status"]["mobilePickupData"].as_object_mut() {
            pickup.retain(|key, _| key == "ccMailboxes");
        }
        let told = json!([event["event"], event["body"]]);
        if !sessions.contains_key(&session) {
            order.push(session.clone());
        }
        sessions.entry(session).or_default().push(told);
    }
    order.iter().map(|session| sessions[session].clone()).collect()
}

/// Waits until something is there.
#[track_caller]
fn wait_for<T>(mut found: impl FnMut() -> Option<T>, what: impl Fn() -> String) -> T {
    const PAUSE: Duration = Duration::from_millis(20);
    for _ in 0..PATIENCE.as_millis() / PAUSE.as_millis() {
        if let Some(found) = found() {
            return found;
        }
        thread::sleep(PAUSE);
    }
    panic!("waited in vain for {}", what())
}
