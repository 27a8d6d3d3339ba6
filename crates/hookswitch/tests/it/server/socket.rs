//! A client of the WebSocket gateway that looks at every frame, and a proxy that cuts connections.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message, WebSocket, client::client_with_config};

use super::{PATIENCE, Server};

/// A connection.
pub(super) struct Socket {
    pub(super) inner: WebSocket<TcpStream>,
    /// The handle as the SDKs keep it: the one of the highest sequence.
    pub(super) wsc: Option<(String, u64)>,
    /// Notifications that came while something else was waited for.
    pub(super) notifications: Vec<Value>,
    requests: usize,
}

impl Server {
    /// A token to connect with.
    #[track_caller]
    pub(super) fn socket_token(&self, access_token: &str) -> String {
        let answer = self.call(access_token, "POST", "/restapi/oauth/wstoken", None);
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.text("ws_access_token")
    }
}

impl Socket {
    /// Connects; whatever is wrong is said in the first frame.
    #[track_caller]
    pub(super) fn open(to: SocketAddr, token: &str, wsc: Option<&str>) -> Self {
        let wsc = wsc.map(|wsc| format!("&wsc={wsc}")).unwrap_or_default();
        Self::open_at(to, &format!("?access_token={token}{wsc}"), WebSocketConfig::default())
    }

    #[track_caller]
    pub(super) fn open_at(to: SocketAddr, query: &str, config: WebSocketConfig) -> Self {
        let stream = TcpStream::connect(to).expect("the server listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
        stream.set_nodelay(true).expect("it can be set");
        let (inner, _) =
            client_with_config(format!("ws://{to}/ws{query}"), stream, Some(config)).expect("101");
        Self { inner, wsc: None, notifications: Vec::new(), requests: 0 }
    }

    /// Lets the kernel hold little for it, and tell of each read: with a large buffer it takes nothing new until
    /// a part of the buffer is free, which takes a slow reader seconds.
    pub(super) fn hold_little(&self) {
        let stream = socket2::SockRef::from(self.inner.get_ref());
        stream.set_recv_buffer_size(64 * 1024).expect("it can be set");
    }

    /// The next frame; none when the connection is closed.
    pub(super) fn next(&mut self) -> Option<Value> {
        loop {
            match self.inner.read() {
                Ok(Message::Text(text)) => {
                    let frame: Value = serde_json::from_str(&text).expect("frames are JSON");
                    assert!(frame.is_array(), "{text}");
                    assert_eq!(frame.to_string().len(), text.len(), "frames are compact: {text}");
                    assert!(!text.contains(",--Boundary"), "{text}");
                    if let (Some(token), Some(sequence)) =
                        (frame[0]["wsc"]["token"].as_str(), frame[0]["wsc"]["sequence"].as_u64())
                    {
                        assert!(i32::try_from(sequence).is_ok(), "one SDK reads 32 bits");
                        if self.wsc.as_ref().is_none_or(|(_, last)| *last < sequence) {
                            self.wsc = Some((token.to_owned(), sequence));
                        }
                    }
                    return Some(frame);
                }
                Ok(Message::Binary(_)) => panic!("a binary message ends clients"),
                Ok(_) => {}
                Err(Error::Io(error)) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    panic!("nothing comes")
                }
                Err(Error::ConnectionClosed | Error::AlreadyClosed | Error::Protocol(_) | Error::Io(_)) => {
                    return None;
                }
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// The next frame of a type; notifications before it are kept.
    #[track_caller]
    pub(super) fn expect(&mut self, kind: &str) -> Value {
        loop {
            let frame = self.next().expect("the connection is open");
            if frame[0]["type"] == kind {
                return frame;
            }
            assert_eq!(frame[0]["type"], "ServerNotification", "{frame}");
            self.notifications.push(frame);
        }
    }

    /// Reads to the end, and gives the code with which the server closes.
    #[track_caller]
    pub(super) fn closed(&mut self) -> Option<u16> {
        loop {
            match self.inner.read() {
                Ok(Message::Close(close)) => return close.map(|close| close.code.into()),
                Ok(_) => {}
                Err(error) => panic!("it is not closed: {error}"),
            }
        }
    }

    pub(super) fn send(&mut self, frame: &Value) {
        self.inner.send(Message::text(frame.to_string())).expect("it is sent");
    }

    /// Makes a request, and gives its answer.
    #[track_caller]
    pub(super) fn request(&mut self, method: &str, path: &str, body: Option<Value>) -> Value {
        self.requests += 1;
        let id = format!("ByYz0+ng/{}", self.requests);
        let meta = json!({"type": "ClientRequest", "messageId": id, "method": method, "path": path});
        self.send(&match body {
            Some(body) => json!([meta, body]),
            None => json!([meta]),
        });
        let answer = self.expect("ClientRequest");
        assert_eq!(answer[0]["messageId"], id);
        assert!(answer[0]["headers"].is_object(), "{answer}");
        answer
    }

    /// Subscribes to sessions, and gives the id.
    #[track_caller]
    pub(super) fn subscribe(&mut self) -> String {
        let body = json!({
            "eventFilters": ["/restapi/v1.0/account/~/telephony/sessions"],
            "deliveryMode": {"transportType": "WebSocket"},
        });
        let answer = self.request("POST", "/restapi/v1.0/subscription", Some(body));
        assert_eq!(answer[0]["status"], 200, "{answer}");
        answer[1]["id"].as_str().expect("an id").to_owned()
    }

    /// The next notifications, so many.
    #[track_caller]
    pub(super) fn take(&mut self, count: usize) -> Vec<Value> {
        while self.notifications.len() < count {
            let frame = self.next().expect("the connection is open");
            assert_eq!(frame[0]["type"], "ServerNotification", "{frame}");
            self.notifications.push(frame);
        }
        self.notifications.drain(..count).collect()
    }

    /// Waits for the pong to a ping, so that all that was sent before it has been read.
    #[track_caller]
    pub(super) fn settle(&mut self) {
        self.send(&json!([{"type": "Heartbeat", "messageId": "a/b+c"}]));
        let echo = self.expect("Heartbeat");
        assert_eq!(echo[0]["messageId"], "a/b+c");
    }

    /// Cuts the connection without a word.
    pub(super) fn cut(self) -> Option<(String, u64)> {
        self.inner.get_ref().shutdown(Shutdown::Both).ok();
        self.wsc
    }
}

/// The session and the sequence of a notification.
pub(super) fn event(frame: &Value) -> (String, u64) {
    let body = &frame[1]["body"];
    (
        body["telephonySessionId"].as_str().expect("a session").to_owned(),
        body["sequence"].as_u64().expect("a sequence"),
    )
}

/// Checks that nothing is missing, doubled or out of order, and gives how many sessions there are.
#[track_caller]
pub(super) fn check_complete<'a>(frames: impl IntoIterator<Item = &'a Value>) -> usize {
    let mut last: BTreeMap<String, u64> = BTreeMap::new();
    for frame in frames {
        let (session, sequence) = event(frame);
        let before = last.insert(session.clone(), sequence).unwrap_or(1);
        assert_eq!(sequence, before + 1, "{session}");
    }
    last.len()
}

/// A TCP proxy that stays when servers go, as a supervisor's socket does.
pub(super) struct Proxy {
    pub(super) address: SocketAddr,
    target: Arc<Mutex<SocketAddr>>,
    /// Connections wait while it is set.
    held: Arc<AtomicBool>,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Proxy {
    pub(super) fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let target = Arc::new(Mutex::new(address));
        let held = Arc::new(AtomicBool::new(true));
        let open = Arc::new(Mutex::new(Vec::new()));
        let proxy = Self { address, target: target.clone(), held: held.clone(), open: open.clone() };
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let (target, held, open) = (target.clone(), held.clone(), open.clone());
                thread::spawn(move || {
                    while held.load(Ordering::Acquire) {
                        thread::sleep(Duration::from_millis(10));
                    }
                    let target = *target.lock().expect("no panic");
                    let Ok(server) = TcpStream::connect(target) else { return };
                    let both = [&client, &server].map(|stream| stream.try_clone().expect("a descriptor"));
                    open.lock().expect("no panic").extend(both);
                    let back = (
                        server.try_clone().expect("a descriptor"),
                        client.try_clone().expect("a descriptor"),
                    );
                    thread::spawn(move || pump(back.0, back.1));
                    pump(client, server);
                });
            }
        });
        proxy
    }

    /// Lets connections through to a server.
    pub(super) fn lead_to(&self, server: SocketAddr) {
        *self.target.lock().expect("no panic") = server;
        self.held.store(false, Ordering::Release);
    }

    /// Cuts all connections; new ones wait until there is somewhere to go.
    pub(super) fn cut(&self) {
        self.held.store(true, Ordering::Release);
        for stream in self.open.lock().expect("no panic").drain(..) {
            stream.shutdown(Shutdown::Both).ok();
        }
    }
}

fn pump(mut from: TcpStream, mut to: TcpStream) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    to.shutdown(Shutdown::Both).ok();
    from.shutdown(Shutdown::Both).ok();
}
