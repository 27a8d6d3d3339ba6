//! Support for the tests that play a switch.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Home, PATIENCE, Server, wait_for};
use hookswitch_flows::told::StoryResult;

/// A switch that listens on a free port.
pub(super) struct Switch(TcpListener);

/// A connection of a switch.
pub(super) struct Wire {
    stream: TcpStream,
    lines: BufReader<TcpStream>,
}

impl Switch {
    pub(super) fn new() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").expect("a free port"))
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.0.local_addr().expect("an address")
    }

    /// Waits for a connection.
    #[track_caller]
    pub(super) fn accept(&self) -> Wire {
        let (stream, _) = self.0.accept().expect("a connection");
        Wire::new(stream)
    }
}

impl Wire {
    pub(super) fn new(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let lines = BufReader::new(stream.try_clone().expect("the same"));
        Self { stream, lines }
    }

    #[track_caller]
    pub(super) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).expect("it is read");
    }

    /// The lines up to the next empty one.
    #[track_caller]
    pub(super) fn read_block(&mut self) -> String {
        let mut block = String::new();
        while !block.ends_with("\n\n") && !block.ends_with("\r\n\r\n") {
            assert!(self.lines.read_line(&mut block).expect("a block") > 0, "{block:?} ends");
        }
        block
    }

    /// Returns what comes until the other side has closed the connection.
    pub(super) fn rest(&mut self) -> String {
        let mut rest = String::new();
        self.lines.read_to_string(&mut rest).ok(); // as far as it is text, and comes
        rest
    }

    /// Returns `true` if the other side has closed the connection.
    #[track_caller]
    pub(super) fn is_closed(&mut self) -> bool {
        self.lines.read_line(&mut String::new()).is_ok_and(|read| read == 0)
    }

    /// Plays what a switch tells, as fast as goes, with `end` behind each message; the times are those of
    /// arrival.
    #[track_caller]
    pub(super) fn tell(&mut self, told: &[StoryResult], end: &str) {
        for told in told {
            self.send(&told.message);
            self.send(end);
        }
    }

    /// Sends 5,000 times what says nothing, and in the middle of it what `between` does. A switch gives up
    /// who reads slowly.
    #[expect(clippy::disallowed_methods, reason = "what is measured is how long a peer waits")]
    #[track_caller]
    pub(super) fn flood(&mut self, noise: &str, between: impl FnOnce(&mut Self)) {
        let mut slowest = Duration::ZERO;
        let mut between = Some(between);
        for number in 0..5_000 {
            let begun = Instant::now();
            self.send(noise);
            slowest = slowest.max(begun.elapsed());
            if number == 2_500
                && let Some(between) = between.take()
            {
                between(self);
            }
        }
        assert!(slowest < Duration::from_millis(100), "{slowest:?}");
    }
}

/// Loses a connection several times, each time right behind its login, and checks that the next comes after the
/// first wait: neither later nor at once.
#[expect(clippy::disallowed_methods, reason = "what is measured is how long a peer waits")]
#[track_caller]
pub(super) fn outages_are_short<C>(server: &Server, lost: &str, log_in: impl Fn() -> C) {
    let mut connection = log_in();
    for outage in 1..=10 {
        let begun = Instant::now();
        drop(connection);
        let line = server.logged(lost);
        let said = line["again_in_milliseconds"].as_u64().expect("the log says it");
        connection = log_in();
        let waited = begun.elapsed();
        assert!((500..=600).contains(&said), "outage {outage}: {line}");
        // A machine that is busy may take its time; the fourth wait in a row of failures would be 4 s.
        let expected = Duration::from_millis(500)..Duration::from_secs(4);
        assert!(expected.contains(&waited), "outage {outage}: {waited:?}");
    }
}

/// Waits until the status of a server says so of the connection to a source.
#[track_caller]
pub(super) fn connects(server: &Server, home: &Home, kind: &str, name: &str, connected: Option<bool>) {
    let sources = || {
        let status = server.call(home.made("admin_token"), "GET", "/admin/v1/status", None);
        status.body["sources"].as_array().cloned().unwrap_or_default()
    };
    let agrees = |source: &Value| {
        source["kind"] == kind && source["name"] == name && source["connected"].as_bool() == connected
    };
    wait_for(|| sources().iter().any(agrees).then_some(()), || format!("{connected:?}: {:?}", sources()));
}

/// Each event as party and status.
pub(super) fn shown(events: &[Value]) -> Vec<String> {
    events
        .iter()
        .map(|event| {
            let party = &event["body"]["parties"][0];
            let side = if party["direction"] == "Outbound" { "from" } else { "to" };
            format!(
                "{} {} {}",
                party["direction"].as_str().unwrap_or_default(),
                party[side]["phoneNumber"].as_str().unwrap_or_default(),
                party["status"]["code"].as_str().unwrap_or_default()
            )
        })
        .collect()
}
