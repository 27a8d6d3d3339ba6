//! WebSockets: what idle ones cost, how fast they connect, how fast notifications reach many beside a bare
//! broadcast over the same library, and how long one takes from the HEP datagram to the frame.
//!
//! `cargo bench --bench gateway [SOCKETS]`. Clients and server share the machine.

mod support;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::SinkExt as _;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

use support::{Agent, call, metrics, now, serve, stop};

/// Sockets that are told of every call, and the calls.
const SUBSCRIBERS: usize = 200;
const CALLS: u64 = 250;

/// Events of a call, after its messages.
const EVENTS: usize = 8;

/// Calls whose events are timed.
const TIMED: u64 = 500;

fn main() {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some("broadcast") {
        return broadcast();
    }
    // Cargo passes --bench.
    let sockets = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(10_000);
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).expect("the limit can be raised");
    let directory = std::env::temp_dir().join(format!("hookswitch-bench-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("the directory for temporary files takes another");
    idle(&directory.join("idle"), sockets);
    fan_out(&directory.join("fan-out"));
    for durability in ["strict", "relaxed"] {
        latency(&directory.join(durability), durability);
    }
    slow(&directory.join("slow"));
    std::fs::remove_dir_all(&directory).ok();
}

/// A server and what is needed to log in.
struct Running {
    process: std::process::Child,
    http: SocketAddr,
    hep: SocketAddr,
    access: String,
}

impl Running {
    fn start(home: &Path, settings: &[(&str, &str)]) -> Self {
        let made =
            Command::new(env!("CARGO_BIN_EXE_hookswitch")).arg("init").arg(home).arg("--json").output();
        let made: Value = serde_json::from_slice(&made.expect("init runs").stdout).expect("JSON");
        let mut config = std::fs::read_to_string(home.join("hookswitch.toml")).expect("the configuration");
        config.push_str("[[hep.source]]\nname = \"benchmark\"\nmessages_per_second = 100000000\n");
        std::fs::write(home.join("hookswitch.toml"), config).expect("it can be written");
        let (process, http, hep, _) = serve(home, &[], &[&SETTINGS[..], settings].concat());
        let text = |key: &str| made[key].as_str().expect("init prints it");
        let basic = STANDARD.encode(format!("{}:{}", text("client_id"), text("client_secret")));
        let form = format!(
            "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion={}",
            text("jwt")
        );
        let head =
            format!("Authorization: Basic {basic}\r\nContent-Type: application/x-www-form-urlencoded\r\n");
        let answer = post(http, "/restapi/oauth/token", &head, &form);
        let access = answer["access_token"].as_str().expect("a token").to_owned();
        Self { process, http, hep, access }
    }

    fn token(&self) -> String {
        let head = format!("Authorization: Bearer {}\r\n", self.access);
        let answer = post(self.http, "/restapi/oauth/wstoken", &head, "");
        answer["ws_access_token"].as_str().expect("a token").to_owned()
    }

    /// Resident memory, in bytes.
    fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).expect("Linux");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a line");
        1024 * line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).expect("a number")
    }
}

fn post(to: SocketAddr, path: &str, head: &str, body: &str) -> Value {
    let mut stream = TcpStream::connect(to).expect("the server listens");
    let length = body.len();
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{head}Content-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
    serde_json::from_str(body).unwrap_or_else(|_| panic!("{answer}"))
}

/// A WebSocket as lean as can be, so that what is measured is the other side.
struct Socket {
    stream: TcpStream,
    buffer: Vec<u8>,
    start: usize,
}

impl Socket {
    fn open(to: SocketAddr, token: &str) -> Self {
        let mut stream = TcpStream::connect(to).expect("the server listens");
        stream.set_nodelay(true).expect("a socket option");
        let head = format!(
            "GET /ws?access_token={token} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).expect("it reads");
        let mut socket = Self { stream, buffer: Vec::new(), start: 0 };
        loop {
            let end = socket.buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n");
            if let Some(end) = end {
                socket.start = end + 4;
                return socket;
            }
            socket.fill();
        }
    }

    fn fill(&mut self) {
        self.buffer.drain(..std::mem::take(&mut self.start));
        let length = self.buffer.len();
        self.buffer.resize(length + 64 * 1024, 0);
        let read = self.stream.read(&mut self.buffer[length..]).expect("the server goes on");
        assert!(read > 0, "the server has closed the connection");
        self.buffer.truncate(length + read);
    }

    /// The next text; pings are answered.
    fn next(&mut self) -> &[u8] {
        loop {
            let (opcode, from, to) = self.frame();
            self.start = to;
            if opcode == 9 {
                let mut pong = vec![0x8a, 0x80 | u8::try_from(to - from).expect("short"), 0, 0, 0, 0];
                pong.extend_from_slice(&self.buffer[from..to]);
                self.stream.write_all(&pong).expect("it reads");
            } else {
                return &self.buffer[from..to];
            }
        }
    }

    /// Returns where the content of the next frame is.
    fn frame(&mut self) -> (u8, usize, usize) {
        loop {
            let bytes = &self.buffer[self.start..];
            if let [first, length, rest @ ..] = bytes {
                let (length, header) = match (*length, rest) {
                    (126, [a, b, ..]) => (usize::from(u16::from_be_bytes([*a, *b])), 4),
                    (length @ 0..126, _) => (usize::from(length), 2),
                    _ => (usize::MAX / 2, 2),
                };
                let from = self.start + header;
                if self.buffer.len() >= from.saturating_add(length) {
                    return (first & 0x0f, from, from + length);
                }
            }
            self.fill();
        }
    }

    fn send(&mut self, text: &str) {
        let mut frame = vec![0x81, 0x80 | 0x7e];
        frame.extend(u16::try_from(text.len()).expect("short").to_be_bytes());
        frame.extend([0; 4]);
        frame.extend_from_slice(text.as_bytes());
        self.stream.write_all(&frame).expect("it reads");
    }

    fn subscribe(&mut self) {
        let request = json!([
            {"type": "ClientRequest", "messageId": "1", "method": "POST", "path": "/restapi/v1.0/subscription"},
            {"eventFilters": ["/restapi/v1.0/account/~/telephony/sessions"], "deliveryMode": {"transportType": "WebSocket"}},
        ]);
        self.send(&request.to_string());
        assert!(String::from_utf8_lossy(self.next()).contains("\"status\":200"), "it is subscribed");
        // An answer behind the ping: the barrier is open.
        self.send("[{\"type\":\"Heartbeat\",\"messageId\":\"0000000000000000000000000000000000000000000000000000000000000000000000000000\"}]");
        self.next();
    }
}

/// The settings of every run: as many of everything as the benchmark takes, and no pings, which it does not answer.
const SETTINGS: [(&str, &str); 6] = [
    ("HOOKSWITCH_WEBSOCKET__CONNECTIONS_PER_LOGIN_MAX", "100000"),
    ("HOOKSWITCH_WEBSOCKET__CONNECTIONS_MAX", "100000"),
    ("HOOKSWITCH_WEBSOCKET__TOKEN_LIFE", "1h"),
    ("HOOKSWITCH_WEBSOCKET__PING_EVERY", "1h"),
    ("HOOKSWITCH_LIMITS__REQUESTS_PER_MINUTE", "100000000"),
    ("HOOKSWITCH_WEBHOOKS__SUBSCRIPTIONS_MAX", "100000"),
];

/// Measures what idle sockets cost, and how fast they connect.
fn idle(home: &Path, sockets: usize) {
    const CLIENTS: usize = 4;
    let running = Running::start(home, &[]);
    let tokens: Vec<String> = (0..sockets).map(|_| running.token()).collect();
    let before = running.memory();
    let started = now();
    let open: Vec<Socket> = thread::scope(|scope| {
        let chunks = tokens.chunks(sockets.div_ceil(CLIENTS));
        let clients: Vec<_> = chunks
            .map(|tokens| {
                let http = running.http;
                scope.spawn(move || {
                    let open = tokens.iter().map(|token| {
                        let mut socket = Socket::open(http, token);
                        assert!(socket.next().starts_with(b"[{\"type\":\"ConnectionDetails\""));
                        socket.buffer = Vec::new();
                        socket.start = 0;
                        socket
                    });
                    open.collect::<Vec<_>>()
                })
            })
            .collect();
        clients.into_iter().flat_map(|client| client.join().expect("no panic")).collect()
    });
    let took = started.elapsed();
    thread::sleep(Duration::from_secs(1));
    let each = (running.memory() - before) / open.len() as u64;
    println!(
        "{} sockets: {:.0} connects a second, each with its first frame; {each} bytes of the server for each idle one",
        open.len(),
        float(open.len()) / took.as_secs_f64(),
    );
    finish(running);
}

fn float(number: usize) -> f64 {
    f64::from(u32::try_from(number).expect("few"))
}

fn finish(mut running: Running) {
    stop(&mut running.process);
}

/// Sends the messages of a call, each after `pause`, which is told its number.
fn send(agent: &mut Agent, number: u64, mut pause: impl FnMut(usize)) {
    for (step, (back, message)) in call(number).into_iter().enumerate() {
        pause(step);
        agent.send(back, &message);
    }
}

/// Measures how fast notifications reach many sockets, beside a bare broadcast of frames as long.
fn fan_out(home: &Path) {
    let running = Running::start(home, &[]);
    let sockets: Vec<Socket> = (0..SUBSCRIBERS)
        .map(|_| {
            let mut socket = Socket::open(running.http, &running.token());
            socket.next();
            socket.subscribe();
            socket
        })
        .collect();
    let frames = usize::try_from(CALLS).expect("few") * EVENTS;
    let (took, length) = receive(sockets, frames, || {
        let mut agent = Agent::new("127.0.0.1", running.hep);
        for number in 0..CALLS {
            send(&mut agent, number, |_| {});
        }
    });
    let rate = |took: Duration| float(SUBSCRIBERS * frames) / took.as_secs_f64();
    let ours = rate(took);
    let sent = format!("hookswitch_websocket_notifications_total{{stage=\"sent\"}} {}", SUBSCRIBERS * frames);
    assert!(metrics(running.http).contains(&sent), "each was sent once");
    finish(running);
    let mut bare = Command::new(std::env::current_exe().expect("a path"))
        .args(["broadcast", &frames.to_string(), &length.to_string()])
        .stdout(Stdio::piped())
        .stdin(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut address = [0; 5];
    let mut output = bare.stdout.take().expect("a pipe");
    output.read_exact(&mut address).expect("a port");
    let port: u16 = String::from_utf8_lossy(&address).trim().parse().expect("a port");
    let to = SocketAddr::from(([127, 0, 0, 1], port));
    let sockets: Vec<Socket> = (0..SUBSCRIBERS).map(|_| Socket::open(to, "x")).collect();
    let mut begin = bare.stdin.take().expect("a pipe");
    let (took, _) = receive(sockets, frames, || begin.write_all(b"go\n").expect("it reads"));
    bare.kill().ok();
    bare.wait().ok();
    let bare = rate(took);
    println!(
        "{SUBSCRIBERS} sockets, {frames} notifications of {length} bytes to each: {ours:.0} frames a second; \
         a bare broadcast: {bare:.0}; ratio {:.0} %",
        100.0 * ours / bare
    );
}

/// Reads so many frames from each socket; how long it took from the beginning to the last, and how long one was.
fn receive(sockets: Vec<Socket>, frames: usize, begin: impl FnOnce()) -> (Duration, usize) {
    const READERS: usize = 2;
    let ready = Arc::new(Barrier::new(READERS + 1));
    let length = Arc::new(AtomicUsize::new(0));
    let mut shares: Vec<Vec<Socket>> = (0..READERS).map(|_| Vec::new()).collect();
    for (number, socket) in sockets.into_iter().enumerate() {
        shares[number % READERS].push(socket);
    }
    let readers: Vec<_> = shares
        .into_iter()
        .map(|mut share| {
            let (ready, length) = (ready.clone(), length.clone());
            thread::spawn(move || {
                ready.wait();
                // In turn, so that no socket waits for long.
                for _ in 0..frames {
                    for socket in &mut share {
                        length.store(socket.next().len(), Ordering::Relaxed);
                    }
                }
            })
        })
        .collect();
    ready.wait();
    let started = now();
    begin();
    for reader in readers {
        reader.join().expect("no panic");
    }
    (started.elapsed(), length.load(Ordering::Relaxed))
}

/// The other side of the comparison: frames from a channel to every socket, and nothing else.
fn broadcast() {
    let arguments: Vec<usize> =
        std::env::args().skip(2).filter_map(|argument| argument.parse().ok()).collect();
    let [frames, length] = arguments[..] else { panic!("two numbers") };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("it can be");
        println!("{:>5}", listener.local_addr().expect("an address").port());
        let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
        let (sender, _) = tokio::sync::broadcast::channel::<Utf8Bytes>(frames + 1);
        let source = sender.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).ok();
                let mut texts = source.subscribe();
                tokio::spawn(async move {
                    let Ok(mut socket) = tokio_tungstenite::accept_async(stream).await else { return };
                    while let Ok(text) = texts.recv().await {
                        socket.feed(Message::Text(text)).await.expect("it reads");
                        while let Ok(text) = texts.try_recv() {
                            socket.feed(Message::Text(text)).await.expect("it reads");
                        }
                        socket.flush().await.expect("it reads");
                    }
                });
            }
        });
        tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new())).await.ok();
        let text = Utf8Bytes::from("x".repeat(length));
        for _ in 0..frames {
            sender.send(text.clone()).expect("somebody listens");
            tokio::task::yield_now().await;
        }
        tokio::time::sleep(Duration::from_secs(600)).await;
    });
}

/// Measures how long it takes from a datagram to the first frame that tells of it, at a call every 5 ms.
fn latency(home: &Path, durability: &str) {
    let running = Running::start(home, &[("HOOKSWITCH_STORE__DURABILITY", durability)]);
    let took = time_calls(&running, 0);
    finish(running);
    let sync = sync(home);
    println!(
        "HEP datagram to WebSocket frame, {durability} durability: {:?} (p50), {:?} (p99); a sync takes {sync:?} (p50), \
         a loopback datagram and back {:?}",
        percentile(&took, 50),
        percentile(&took, 99),
        loopback()
    );
}

fn percentile(sorted: &[Duration], share: usize) -> Duration {
    sorted[(sorted.len() - 1) * share / 100]
}

/// Measures what clients that do not read cost those who do.
fn slow(home: &Path) {
    const GOOD: usize = 60;
    const SLOW: usize = 20;
    let running = Running::start(home, &[("HOOKSWITCH_WEBSOCKET__SLOW_AFTER", "2s")]);
    for _ in 0..GOOD {
        let mut socket = Socket::open(running.http, &running.token());
        socket.next();
        socket.subscribe();
        // It reads until the server stops.
        thread::spawn(move || while socket.stream.read(&mut [0; 16_384]).is_ok_and(|read| read > 0) {});
    }
    let before = time_calls(&running, 0);
    let _slow: Vec<Socket> = (0..SLOW)
        .map(|_| {
            let mut socket = Socket::open(running.http, &running.token());
            socket2::SockRef::from(&socket.stream).set_recv_buffer_size(4096).expect("a socket option");
            socket.next();
            socket.subscribe();
            socket
        })
        .collect();
    let memory = running.memory();
    let beside = time_calls(&running, 10_000);
    let text = metrics(running.http);
    let cut =
        text.lines().find(|line| line.starts_with("hookswitch_websocket_connections_total{event=\"slow\"}"));
    println!(
        "{GOOD} sockets, a call every 30 ms: {:?} (p99), and beside {SLOW} that do not read {:?} (p99), ratio {:.2}; \
         {} KiB for each of those; cut off: {}",
        percentile(&before, 99),
        percentile(&beside, 99),
        percentile(&beside, 99).as_secs_f64() / percentile(&before, 99).as_secs_f64(),
        running.memory().saturating_sub(memory) / 1024 / SLOW as u64,
        cut.and_then(|line| line.rsplit_once(' ')).map_or("?", |(_, count)| count),
    );
    finish(running);
}

/// Times from the INVITE of some calls to the frame that tells of the caller; sorted. `first` is the number of the first.
fn time_calls(running: &Running, first: u64) -> Vec<Duration> {
    let mut socket = Socket::open(running.http, &running.token());
    socket.next();
    socket.subscribe();
    let mut agent = Agent::new("127.0.0.1", running.hep);
    let mut took = Vec::new();
    for number in first..first + TIMED {
        // The INVITE tells of the caller at once. Who is called may wait for what the far end turns out to be.
        let mut sent = now();
        send(&mut agent, number, |step| {
            if step == 1 {
                socket.next();
                took.push(sent.elapsed());
            }
            thread::sleep(Duration::from_millis(5));
            sent = now();
        });
        for _ in 1..EVENTS {
            socket.next();
        }
    }
    took.sort_unstable();
    took
}

/// Returns how long it takes to write 4 KiB and sync them.
fn sync(directory: &Path) -> Duration {
    let mut file = std::fs::File::create(directory.join("sync")).expect("a file");
    let mut took: Vec<Duration> = (0..200)
        .map(|_| {
            let started = now();
            file.write_all(&[7; 4096]).and_then(|()| file.sync_data()).expect("it is written");
            started.elapsed()
        })
        .collect();
    took.sort_unstable();
    took[100]
}

/// Returns how long a datagram takes to another thread and back.
fn loopback() -> Duration {
    let (one, other) = (UdpSocket::bind("127.0.0.1:0"), UdpSocket::bind("127.0.0.1:0"));
    let (one, other) = (one.expect("a port"), other.expect("a port"));
    one.connect(other.local_addr().expect("an address")).expect("it can be");
    other.connect(one.local_addr().expect("an address")).expect("it can be");
    let echo = thread::spawn(move || {
        let mut bytes = [0; 100];
        for _ in 0..1000 {
            let read = other.recv(&mut bytes).expect("a datagram");
            other.send(&bytes[..read]).expect("it leaves");
        }
    });
    let mut took: Vec<Duration> = (0..1000)
        .map(|_| {
            let started = now();
            one.send(b"ping").expect("it leaves");
            one.recv(&mut [0; 100]).expect("it comes back");
            started.elapsed()
        })
        .collect();
    echo.join().expect("no panic");
    took.sort_unstable();
    took[500]
}
