//! A receiver of webhooks, with behaviours good and bad: a real HTTP server on loopback.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned};

/// The time, for tests that measure it.
#[expect(clippy::disallowed_methods, reason = "the test measures time")]
pub(super) fn now() -> Instant {
    Instant::now()
}

/// A request that arrived.
#[derive(Clone, Debug)]
pub(super) struct Posted {
    pub(super) at: Instant,
    pub(super) path: String,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) text: String,
}

impl Posted {
    /// The token of a handshake, if it is one.
    pub(super) fn token(&self) -> Option<&str> {
        self.headers.get("validation-token").map(String::as_str)
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }

    /// The telephony session and the sequence of the event.
    pub(super) fn event(&self) -> (String, u64) {
        let body = &self.json()["body"];
        let session = body["telephonySessionId"].as_str().unwrap_or_default().to_owned();
        (session, body["sequence"].as_u64().unwrap_or_default())
    }
}

/// Reply to a request.
pub(super) enum Reply {
    /// Answered with this status.
    Status(u16),
    /// Answered with this status, headers and body.
    Full(u16, Vec<(&'static str, String)>, String),
    /// Answered so, one octet a second from the body on.
    Slowly(u16, String),
    /// Never answered, for as long as the test runs.
    Hang,
    /// The connection is reset.
    Reset,
}

impl Reply {
    /// As a good receiver does.
    pub(super) fn good(posted: &Posted) -> Self {
        match posted.token() {
            Some(token) => Self::Full(200, vec![("Validation-Token", token.to_owned())], String::new()),
            None => Self::Status(200),
        }
    }
}

type Behaviour = dyn Fn(&Posted) -> Reply + Send + Sync;

/// A running receiver.
pub(super) struct Receiver {
    pub(super) address: SocketAddr,
    received: Arc<Mutex<Vec<Posted>>>,
    connections: Arc<AtomicUsize>,
}

impl Receiver {
    /// One that takes everything.
    pub(super) fn good() -> Self {
        Self::new(Reply::good)
    }

    pub(super) fn new(behaviour: impl Fn(&Posted) -> Reply + Send + Sync + 'static) -> Self {
        Self::listen(Ipv4Addr::LOCALHOST.into(), None, behaviour)
    }

    /// The same on another address, and with TLS if there is a certificate for it.
    pub(super) fn listen(
        at: IpAddr,
        tls: Option<Arc<ServerConfig>>,
        behaviour: impl Fn(&Posted) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind((at, 0)).expect("a free port");
        let address = listener.local_addr().expect("an address");
        let received = Arc::new(Mutex::new(Vec::new()));
        let connections = Arc::new(AtomicUsize::new(0));
        let behaviour: Arc<Behaviour> = Arc::new(behaviour);
        let (store, count) = (received.clone(), connections.clone());
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                count.fetch_add(1, Ordering::Relaxed);
                let (behaviour, store, tls) = (behaviour.clone(), store.clone(), tls.clone());
                thread::spawn(move || match tls {
                    None => serve(&stream, &stream, &*behaviour, &store),
                    Some(config) => {
                        let session = ServerConnection::new(config).map_err(std::io::Error::other)?;
                        serve(StreamOwned::new(session, &stream), &stream, &*behaviour, &store)
                    }
                });
            }
        });
        Self { address, received, connections }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// Returns the number of connections that were made.
    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// All that has arrived.
    pub(super) fn all(&self) -> Vec<Posted> {
        self.received.lock().expect("no panic").clone()
    }

    /// The notifications that have arrived.
    pub(super) fn notifications(&self) -> Vec<Posted> {
        self.all().into_iter().filter(|posted| !posted.text.is_empty()).collect()
    }

    /// Returns the number of notifications that have arrived.
    pub(super) fn count(&self) -> usize {
        let received = self.received.lock().expect("no panic");
        received.iter().filter(|posted| !posted.text.is_empty()).count()
    }
}

/// Serves a connection; `stream` is what is read and written, `socket` what is below.
fn serve(
    stream: impl Read + Write,
    socket: &TcpStream,
    behaviour: &Behaviour,
    store: &Mutex<Vec<Posted>>,
) -> std::io::Result<()> {
    socket.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
        let mut headers = BTreeMap::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(": ") else { break };
            headers.insert(name.to_ascii_lowercase(), value.to_owned());
        }
        let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let text = String::from_utf8_lossy(&body).into_owned();
        let posted = Posted { at: now(), path, headers, text };
        let reply = behaviour(&posted);
        store.lock().expect("no panic").push(posted);
        let head = |status: u16, headers: &[(&str, String)], length: usize| {
            let mut head = format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\n");
            for (name, value) in headers {
                head.extend([name, ": ", value, "\r\n"]);
            }
            head + "\r\n"
        };
        let stream = reader.get_mut();
        match reply {
            Reply::Status(status) => stream.write_all(head(status, &[], 0).as_bytes())?,
            Reply::Full(status, headers, body) => {
                stream.write_all((head(status, &headers, body.len()) + &body).as_bytes())?;
            }
            Reply::Slowly(status, body) => {
                stream.write_all(head(status, &[], body.len()).as_bytes())?;
                for octet in body.as_bytes() {
                    thread::sleep(Duration::from_secs(1));
                    stream.write_all(&[*octet])?;
                }
            }
            Reply::Hang => {
                // Until the client gives up.
                reader.read_line(&mut String::new())?;
                return Ok(());
            }
            Reply::Reset => {
                socket2::SockRef::from(socket).set_linger(Some(Duration::ZERO))?;
                return Ok(());
            }
        }
    }
}
