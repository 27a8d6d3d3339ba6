//! The WebSocket clients as their users have them, with connections and servers that go under them.
//!
//! Each check is made once more with the rule switched off that it guards, and must fail then.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::clients::{run_as_user, tool};
use super::socket::{Proxy, check_complete};
use super::traffic::{Agent, EVENTS_OF_CALL, call};
use super::{Home, Server, root};

/// Time that a client may take to come back: it looks every few seconds whether it is connected.
const COMES_BACK_WITHIN: Duration = Duration::from_secs(25);

/// Time that an event may take to come when nothing is wrong.
const COMES_WITHIN: Duration = Duration::from_secs(10);

/// A published client, and what it has printed.
struct Client {
    process: Child,
    lines: Receiver<String>,
    heard: Vec<Value>,
    errors: std::sync::Arc<Mutex<String>>,
}

impl Client {
    fn start(command: &mut Command, home: &Home, proxy: &Proxy) -> Self {
        let command = run_as_user(command, home, proxy.address).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().expect("the client starts");
        let (sender, lines) = channel();
        let output = BufReader::new(process.stdout.take().expect("a pipe"));
        thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let errors = std::sync::Arc::new(Mutex::new(String::new()));
        let wrong = BufReader::new(process.stderr.take().expect("a pipe"));
        let said = errors.clone();
        thread::spawn(move || {
            for line in wrong.lines().map_while(Result::ok) {
                said.lock().expect("no panic").extend([&*line, "\n"]);
            }
        });
        Self { process, lines, heard: Vec::new(), errors }
    }

    fn ready(&self) -> Result<(), String> {
        let line = self.lines.recv_timeout(COMES_BACK_WITHIN);
        if line.as_deref() == Ok("ready") { Ok(()) } else { Err(self.why("it is not ready")) }
    }

    /// Waits until it has heard of so many events in all, and nothing was lost, doubled or out of order.
    fn hear(&mut self, count: usize, within: Duration) -> Result<(), String> {
        while self.heard.len() < count {
            let line = self.lines.recv_timeout(within);
            let line = line.map_err(|_| self.why(&format!("{} of {count} events came", self.heard.len())))?;
            if line != "ready" {
                self.heard.push(serde_json::from_str(&line).map_err(|error| format!("{line}: {error}"))?);
            }
        }
        let heard: Vec<Value> = self.heard.iter().map(|one| json!([{}, one])).collect();
        check_complete(&heard);
        Ok(())
    }

    fn why(&self, what: &str) -> String {
        format!("{what}: {}", self.errors.lock().expect("no panic"))
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

fn node(client: &str) -> Option<Command> {
    let modules = tool("npm/node_modules")?;
    let mut command = Command::new("node");
    command.arg(script("notifications.js")).env("NODE_PATH", modules).env("CLIENT", client);
    Some(command)
}

fn script(name: &str) -> PathBuf {
    root().join("crates/hookswitch/tests/clients").join(name)
}

/// A server behind a proxy, with one of its rules switched off perhaps.
struct Behind<'a> {
    home: &'a Home,
    proxy: Proxy,
    rule: Option<&'static str>,
    recovery: &'static str,
}

impl Behind<'_> {
    fn start(&self) -> Server {
        let url = format!("http://{}", self.proxy.address);
        let mut variables = vec![
            ("HOOKSWITCH_SERVER__PUBLIC_URL", &*url),
            ("HOOKSWITCH_WEBSOCKET__RECOVERY_TIME", self.recovery),
            ("HOOKSWITCH_WEBSOCKET__RECOVERY_MESSAGES", "100000"),
        ];
        variables.extend(self.rule.map(|rule| ("TEST_WITHOUT_RULE", rule)));
        Server::start_with(self.home, &variables)
    }
}

fn place(agent: &mut Agent, id: &str) {
    for (way, message) in call(id) {
        agent.send(way, &message);
    }
}

/// A client that subscribes, loses its connection and then its server, and hears of everything.
fn follow_calls(name: &str, client: &str, rule: Option<&'static str>) -> Result<(), String> {
    let Some(mut command) = node(client) else {
        return if rule.is_none() { Ok(()) } else { Err("skipped".into()) };
    };
    let home = Home::new(name);
    let behind = Behind { home: &home, proxy: Proxy::new(), rule, recovery: "60s" };
    let mut server = behind.start();
    behind.proxy.lead_to(server.http());
    let mut client = Client::start(&mut command, &home, &behind.proxy);
    client.ready()?;
    let mut agent = Agent::new(server.hep(), 1);
    place(&mut agent, "connected");
    client.hear(EVENTS_OF_CALL, COMES_WITHIN)?;
    // A call is missed while there is no connection.
    behind.proxy.cut();
    place(&mut agent, "cut");
    home.events(2 * EVENTS_OF_CALL);
    behind.proxy.lead_to(server.http());
    client.hear(2 * EVENTS_OF_CALL, COMES_BACK_WITHIN)?;
    // The server is killed in the middle of a call.
    let messages = call("killed");
    for (way, message) in &messages[..3] {
        agent.send(*way, message);
    }
    client.hear(2 * EVENTS_OF_CALL + 6, COMES_WITHIN)?;
    server.kill();
    behind.proxy.cut();
    let server = behind.start();
    agent.send_to(server.hep());
    for (way, message) in &messages[3..] {
        agent.send(*way, message);
    }
    home.events(3 * EVENTS_OF_CALL);
    behind.proxy.lead_to(server.http());
    client.hear(3 * EVENTS_OF_CALL, COMES_BACK_WITHIN)?;
    // It goes on as if nothing had been.
    place(&mut agent, "again");
    client.hear(4 * EVENTS_OF_CALL, COMES_WITHIN)
}

#[test]
fn the_subscriptions_library_misses_nothing_whatever_goes_under_it() {
    follow_calls("sdk-subscriptions", "subscriptions", None).expect("all events");
}

#[test]
fn the_extensible_library_misses_nothing_whatever_goes_under_it() {
    follow_calls("sdk-extensible", "rc-ex", None).expect("all events");
}

#[test]
fn without_recovery_from_the_log_a_client_misses_events() {
    follow_calls("sdk-no-recovery", "subscriptions", Some("recovery")).expect_err("what was missed is lost");
}

/// A client with a blocked event loop, subscribing and coming back while calls go on.
fn follow_while_busy(name: &str, rule: Option<&'static str>) -> Result<(), String> {
    let Some(mut command) = node("subscriptions") else {
        return if rule.is_none() { Ok(()) } else { Err("skipped".into()) };
    };
    let home = Home::new(name);
    let behind = Behind { home: &home, proxy: Proxy::new(), rule, recovery: "60s" };
    let server = behind.start();
    behind.proxy.lead_to(server.http());
    let hep = server.hep();
    let (stop, stopped) = channel::<()>();
    let calls = thread::spawn(move || {
        let mut agent = Agent::new(hep, 1);
        let mut number = 0;
        while stopped.recv_timeout(Duration::from_millis(200)) == Err(RecvTimeoutError::Timeout) {
            place(&mut agent, &format!("busy-{number}"));
            number += 1;
        }
        number
    });
    let mut client = Client::start(command.env("BUSY", "300"), &home, &behind.proxy);
    let followed = (|| {
        client.ready()?;
        client.hear_some(20)?;
        behind.proxy.cut();
        thread::sleep(Duration::from_millis(100)); // some calls are missed
        behind.proxy.lead_to(server.http());
        let before = client.heard.len();
        client.hear_some(before + 80)
    })();
    drop(stop);
    let placed = calls.join().expect("no panic");
    followed?;
    // All that came after the first is there, to the end.
    let logged = home.events(placed * EVENTS_OF_CALL);
    let first = &client.heard[0]["body"];
    let from = logged.iter().position(|event| {
        event["body"]["telephonySessionId"] == first["telephonySessionId"]
            && event["body"]["sequence"] == first["sequence"]
    });
    let wanted = logged.len() - from.ok_or("an event that is not in the log")?;
    client.hear_some(wanted)?;
    for (heard, logged) in client.heard.iter().zip(&logged[from.unwrap_or(0)..]) {
        let same =
            ["telephonySessionId", "sequence"].iter().all(|key| heard["body"][key] == logged["body"][key]);
        if !same {
            return Err(format!("{heard} came where {logged} was due"));
        }
    }
    Ok(())
}

impl Client {
    /// Waits for so many events in all.
    fn hear_some(&mut self, count: usize) -> Result<(), String> {
        while self.heard.len() < count {
            let line = self.lines.recv_timeout(COMES_BACK_WITHIN);
            let line = line.map_err(|_| self.why(&format!("{} of {count} events came", self.heard.len())))?;
            self.heard.push(serde_json::from_str(&line).map_err(|error| format!("{line}: {error}"))?);
        }
        Ok(())
    }
}

#[test]
fn a_client_whose_event_loop_is_blocked_misses_nothing() {
    follow_while_busy("sdk-busy", None).expect("all events");
}

#[test]
fn without_the_barrier_a_client_whose_event_loop_is_blocked_fails() {
    let error = follow_while_busy("sdk-no-barrier", Some("barrier")).expect_err("it fails");
    println!("{error}");
}

/// A client that comes back when its session is gone.
fn come_back_late(name: &str, rule: Option<&'static str>) -> Result<(), String> {
    let Some(mut command) = node("subscriptions") else {
        return if rule.is_none() { Ok(()) } else { Err("skipped".into()) };
    };
    let home = Home::new(name);
    let behind = Behind { home: &home, proxy: Proxy::new(), rule, recovery: "1s" };
    let server = behind.start();
    behind.proxy.lead_to(server.http());
    let mut client = Client::start(&mut command, &home, &behind.proxy);
    client.ready()?;
    let mut agent = Agent::new(server.hep(), 1);
    place(&mut agent, "before");
    client.hear(EVENTS_OF_CALL, COMES_WITHIN)?;
    let count = || server.count("hookswitch_websocket_sessions");
    behind.proxy.cut();
    super::wait_for(|| (count() == 0).then_some(()), || "the session to go".to_owned());
    behind.proxy.lead_to(server.http());
    super::wait_for(|| (count() == 1).then_some(()), || "the client to come back".to_owned());
    thread::sleep(Duration::from_secs(1)); // it subscribes again, or never
    place(&mut agent, "after");
    client.hear(2 * EVENTS_OF_CALL, COMES_WITHIN)
}

#[test]
fn a_client_that_comes_back_too_late_subscribes_again() {
    come_back_late("sdk-late", None).expect("it hears of calls again");
}

#[test]
fn a_client_that_is_not_told_what_became_of_its_session_hears_nothing_more() {
    come_back_late("sdk-no-state", Some("recovery_state")).expect_err("it thinks that it is subscribed");
}

#[test]
fn the_python_sdk_hears_of_a_call() {
    let Some(python) = tool("python/bin/python") else { return };
    let home = Home::new("sdk-python");
    let behind = Behind { home: &home, proxy: Proxy::new(), rule: None, recovery: "60s" };
    let server = behind.start();
    behind.proxy.lead_to(server.http());
    let mut client =
        Client::start(Command::new(python).arg(script("notifications.py")), &home, &behind.proxy);
    client.ready().expect("it subscribes");
    place(&mut Agent::new(server.hep(), 1), "python");
    client.hear(EVENTS_OF_CALL, COMES_WITHIN).expect("all events");
}

#[test]
fn listen_prints_every_notification_whatever_goes_under_it() {
    let home = Home::new("listen");
    let behind = Behind { home: &home, proxy: Proxy::new(), rule: None, recovery: "60s" };
    let mut server = behind.start();
    behind.proxy.lead_to(server.http());
    let login = home.directory.join("login.json");
    std::fs::write(&login, home.made.to_string()).expect("it can be written");
    let total = (4 * EVENTS_OF_CALL).to_string();
    let address = format!("http://{}", behind.proxy.address);
    let mut command = Command::new(env!("CARGO_BIN_EXE_hookswitch"));
    command
        .args(["listen", "--format", "json", "--count", &total, "--server", &address, "--login"])
        .arg(&login);
    let mut client = Client::start(&mut command, &home, &behind.proxy);
    super::wait_for(
        || (server.count("hookswitch_websocket_subscriptions") == 1).then_some(()),
        || "a subscription".to_owned(),
    );
    let mut agent = Agent::new(server.hep(), 1);
    place(&mut agent, "listen");
    client.hear(EVENTS_OF_CALL, COMES_WITHIN).expect("the first call");
    behind.proxy.cut();
    place(&mut agent, "cut");
    home.events(2 * EVENTS_OF_CALL);
    behind.proxy.lead_to(server.http());
    client.hear(2 * EVENTS_OF_CALL, COMES_WITHIN).expect("the second call");
    server.kill();
    behind.proxy.cut();
    let server = behind.start();
    agent.send_to(server.hep());
    place(&mut agent, "killed");
    home.events(3 * EVENTS_OF_CALL);
    behind.proxy.lead_to(server.http());
    client.hear(3 * EVENTS_OF_CALL, COMES_WITHIN).expect("the third call");
    place(&mut agent, "last");
    client.hear(4 * EVENTS_OF_CALL, COMES_WITHIN).expect("the last call");
    let ended =
        super::wait_for(|| client.process.try_wait().expect("it can be asked"), || "the end".to_owned());
    assert!(ended.success(), "{}", client.why("listen"));

    // As rows, and with what is wrong said in a sentence.
    let listen = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hookswitch"));
        command.args(["listen", "--login"]).arg(&login).args(["--server", &address]).args(arguments);
        command.output().expect("the program starts")
    };
    let refused = listen(&["--filter", "nonsense"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("nonsense"), "{refused:?}");
    let count = || server.count("hookswitch_websocket_subscriptions");
    super::wait_for(|| (count() == 0).then_some(()), || "no subscription".to_owned());
    let rows = thread::scope(|scope| {
        let listening = scope.spawn(|| listen(&["--count", "2"]));
        super::wait_for(|| (count() == 1).then_some(()), || "a subscription".to_owned());
        place(&mut agent, "rows");
        listening.join().expect("no panic")
    });
    let rows = String::from_utf8(rows.stdout).expect("UTF-8");
    let rows: Vec<&str> = rows.lines().collect();
    assert_eq!(rows.len(), 2, "{rows:?}");
    assert!(rows[0].ends_with("call 1    2  p1 Outbound  101                      Setup"), "{rows:?}");
    assert!(rows[1].ends_with("call 1    3  p2 Inbound   102                      Setup"), "{rows:?}");
}
