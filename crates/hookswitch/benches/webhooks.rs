//! Speed of the server's posts, beside a bare client that posts the same bodies to the same receiver; and
//! how long a HEP datagram takes until its webhook arrives, beside a sync and a bare request.
//!
//! `cargo bench --bench webhooks [CALLS]`. Receiver, client and server share the machine.

mod support;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use support::{Agent, call, metrics, now};

/// Requests at once, as many as the server makes to one receiver.
const PARALLEL: u64 = 32;

/// Events of one call.
const EVENTS: u64 = 8;

/// Datagrams whose way is timed.
const SAMPLES: usize = 1000;

/// So many in this time, in a second.
fn rate(count: u64, took: Duration) -> u64 {
    count * 1_000_000 / u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(1)
}

fn main() {
    // Cargo passes --bench.
    let calls = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(5_000);
    let directory = std::env::temp_dir().join(format!("hookswitch-bench-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("the directory for temporary files takes another");
    let hook = Hook::start();
    let mut served = Served::start(&directory.join("home"), hook.address);
    throughput(&served, &hook, calls);
    latency(&served, &hook, &directory);
    served.stop();
    std::fs::remove_dir_all(&directory).ok();
}

/// Lets the server post what has gathered in its log, and then a bare client the same number of the same.
fn throughput(served: &Served, hook: &Hook, calls: u64) {
    hook.away.store(true, Ordering::Relaxed);
    let mut agent = Agent::new("127.0.0.1", served.hep);
    for number in 0..calls {
        for (back, message) in call(number) {
            agent.send(back, &message);
        }
        thread::sleep(Duration::from_micros(300)); // so that no datagram is lost
    }
    let total = calls * EVENTS;
    served.wait("hookswitch_events_total", total);
    let before = hook.taken.load(Ordering::Relaxed);
    hook.away.store(false, Ordering::Relaxed);
    // From when a fifth has come, so that the server has found out that the receiver is back.
    let wait = |count: u64| {
        while hook.taken.load(Ordering::Relaxed) - before < count {
            thread::sleep(Duration::from_millis(1));
        }
        now()
    };
    let (first, cpu) = (wait(total / 5), served.cpu());
    let (last, cpu) = (wait(total), served.cpu().saturating_sub(cpu));
    let count = total - total / 5;
    let server = rate(count, last.duration_since(first));
    let body = hook.last_body.lock().expect("no panic").clone();
    let bare = bare(hook.address, &body, count);
    println!("bare keep-alive client, {PARALLEL} connections: {bare:>7} posts/s of {} bytes", body.len());
    println!(
        "hookswitch serve, from its log:         {server:>7} notifications/s, {} µs of processor each",
        cpu.as_micros() / u128::from(count)
    );
    println!("ratio: {} %", 100 * server / bare);
}

/// The rate at which threads post a body that is ready made, each on a connection of its own.
fn bare(to: SocketAddr, body: &[u8], count: u64) -> u64 {
    let request = request(to, body);
    let started = now();
    thread::scope(|scope| {
        for _ in 0..PARALLEL {
            scope.spawn(|| {
                let mut stream = TcpStream::connect(to).expect("the receiver listens");
                stream.set_nodelay(true).expect("a socket option");
                for _ in 0..count / PARALLEL {
                    post(&mut stream, &request);
                }
            });
        }
    });
    rate(count, started.elapsed())
}

/// A request as the server makes it.
fn request(to: SocketAddr, body: &[u8]) -> Vec<u8> {
    let mut request = format!(
        "POST / HTTP/1.1\r\naccept: application/json\r\nuser-agent: RingCentral-Webhook/8.3 (Hookswitch/0.1.0)\r\n\
         content-type: application/json; charset=UTF-8\r\naccept-encoding: UTF-8\r\nhost: {to}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    request.extend(body);
    request
}

fn post(stream: &mut TcpStream, request: &[u8]) {
    stream.write_all(request).expect("the receiver reads");
    let mut answer = [0; 512];
    let read = stream.read(&mut answer).expect("the receiver answers");
    assert!(answer[..read].starts_with(b"HTTP/1.1 200"));
}

/// Times single calls from their first datagram to the first notification.
fn latency(served: &Served, hook: &Hook, directory: &Path) {
    let mut agent = Agent::new("127.0.0.1", served.hep);
    let mut took = Vec::new();
    while hook.arrivals.try_recv().is_ok() {}
    for number in 0..SAMPLES as u64 {
        let started = now();
        for (step, (back, message)) in call(1_000_000_000 + number).into_iter().enumerate() {
            agent.send(back, &message);
            if step == 0 {
                took.push(hook.next().duration_since(started));
            }
        }
        for _ in 1..EVENTS {
            hook.next();
        }
    }
    // A sync of one page, and a request that is ready made.
    let mut file = std::fs::File::create(directory.join("synced")).expect("a file");
    let synced = (0..300).map(|_| {
        let started = now();
        file.write_all(&[7; 4096]).expect("it is written");
        file.sync_data().expect("it is synced");
        started.elapsed()
    });
    let synced: Vec<Duration> = synced.collect();
    let request = request(hook.address, &hook.last_body.lock().expect("no panic").clone());
    let mut stream = TcpStream::connect(hook.address).expect("the receiver listens");
    stream.set_nodelay(true).expect("a socket option");
    let posted = (0..SAMPLES).map(|_| {
        let started = now();
        post(&mut stream, &request);
        started.elapsed()
    });
    let posted: Vec<Duration> = posted.collect();
    let quantiles = |mut took: Vec<Duration>| {
        took.sort_unstable();
        (took[took.len() / 2], took[took.len() * 99 / 100])
    };
    let ((p50, p99), (sync, _), (bare, _)) = (quantiles(took), quantiles(synced), quantiles(posted));
    println!("HEP datagram to webhook: {p50:?} (p50), {p99:?} (p99)");
    println!("a sync here: {sync:?} (p50); a bare request: {bare:?} (p50); both: {:?}", sync + bare);
    println!("ratio: {:.1} of both", p50.as_secs_f64() / (sync + bare).as_secs_f64());
}

/// A receiver that reads what it must and no more.
struct Hook {
    address: SocketAddr,
    away: Arc<AtomicBool>,
    taken: Arc<AtomicU64>,
    last_body: Arc<std::sync::Mutex<Vec<u8>>>,
    arrivals: Receiver<Instant>,
}

impl Hook {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (sender, arrivals) = channel();
        let (away, taken, last_body) =
            <(Arc<AtomicBool>, Arc<AtomicU64>, Arc<std::sync::Mutex<Vec<u8>>>)>::default();
        let hook = Self {
            address,
            away: away.clone(),
            taken: taken.clone(),
            last_body: last_body.clone(),
            arrivals,
        };
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (away, taken, last_body, sender) =
                    (away.clone(), taken.clone(), last_body.clone(), sender.clone());
                thread::spawn(move || serve(stream, &away, &taken, &last_body, &sender).ok());
            }
        });
        hook
    }

    fn next(&self) -> Instant {
        self.arrivals.recv_timeout(Duration::from_secs(30)).expect("a notification")
    }
}

fn serve(
    mut stream: TcpStream,
    away: &AtomicBool,
    taken: &AtomicU64,
    last_body: &std::sync::Mutex<Vec<u8>>,
    arrivals: &Sender<Instant>,
) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = Vec::new();
    let mut piece = [0; 16 * 1024];
    loop {
        let (end, length) = loop {
            if let Some(end) = memchr::memmem::find(&buffer, b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&buffer[..end]).to_ascii_lowercase();
                let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
                let length = length.and_then(|length| length.parse::<usize>().ok()).unwrap_or(0);
                if buffer.len() >= end + 4 + length {
                    break (end + 4, length);
                }
            }
            let read = stream.read(&mut piece)?;
            if read == 0 {
                return Ok(());
            }
            buffer.extend(&piece[..read]);
        };
        if length == 0 {
            let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
            let token =
                head.lines().find_map(|line| line.strip_prefix("validation-token: ")).unwrap_or_default();
            let answer = format!("HTTP/1.1 200 OK\r\nvalidation-token: {token}\r\ncontent-length: 0\r\n\r\n");
            stream.write_all(answer.as_bytes())?;
        } else if away.load(Ordering::Relaxed) {
            stream.write_all(b"HTTP/1.1 503 Away\r\ncontent-length: 0\r\n\r\n")?;
        } else {
            arrivals.send(now()).ok();
            if taken.fetch_add(1, Ordering::Relaxed).is_multiple_of(1000) {
                *last_body.lock().expect("no panic") = buffer[end..end + length].to_vec();
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")?;
        }
        buffer.drain(..end + length);
    }
}

/// A running server with one subscription.
struct Served {
    process: Child,
    http: SocketAddr,
    hep: SocketAddr,
}

impl Served {
    fn start(home: &Path, hook: SocketAddr) -> Self {
        let made =
            Command::new(env!("CARGO_BIN_EXE_hookswitch")).arg("init").arg(home).arg("--json").output();
        let made: Value = serde_json::from_slice(&made.expect("init runs").stdout).expect("JSON");
        let (process, http, hep, _) =
            support::serve(home, &["--dev"], &[("HOOKSWITCH_WEBHOOKS__RETRY_WAITS", "[\"100ms\"]")]);
        let served = Self { process, http, hep };
        let made = |key: &str| made[key].as_str().expect("init prints it");
        let basic = STANDARD.encode(format!("{}:{}", made("client_id"), made("client_secret")));
        let form = format!(
            "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion={}",
            made("jwt")
        );
        let kind = "application/x-www-form-urlencoded";
        let answer = served.ask("POST", "/restapi/oauth/token", &format!("Basic {basic}"), kind, &form);
        let answer: Value = serde_json::from_str(&answer).expect("JSON");
        let body = json!({
            "eventFilters": ["/restapi/v1.0/account/~/telephony/sessions"],
            "deliveryMode": {"transportType": "WebHook", "address": format!("http://{hook}/")},
        });
        let bearer = format!("Bearer {}", answer["access_token"].as_str().expect("a token"));
        let created =
            served.ask("POST", "/restapi/v1.0/subscription", &bearer, "application/json", &body.to_string());
        assert!(created.contains("Active"), "{created}");
        served
    }

    fn ask(&self, method: &str, path: &str, authorization: &str, kind: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(self.http).expect("the server listens");
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: {authorization}\r\n\
             Content-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        answer.split_once("\r\n\r\n").expect("an answer").1.to_owned()
    }

    /// Waits until a counter has come so far.
    fn wait(&self, name: &str, count: u64) {
        let started = now();
        loop {
            let text = metrics(self.http);
            let line =
                text.lines().find(|line| line.starts_with(name) && line[name.len()..].starts_with(' '));
            let found = line.and_then(|line| line.rsplit_once(' ')?.1.parse().ok()).unwrap_or(0);
            if found >= count {
                return;
            }
            assert!(started.elapsed() < Duration::from_secs(60), "{name} is {found} of {count}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// The processor time that it has used.
    fn cpu(&self) -> Duration {
        let text = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id())).unwrap_or_default();
        let fields: Vec<&str> = text.rsplit(") ").next().unwrap_or_default().split(' ').collect();
        let ticks = |index: usize| fields.get(index).and_then(|ticks| ticks.parse::<u64>().ok()).unwrap_or(0);
        Duration::from_millis(10 * (ticks(11) + ticks(12))) // 100 ticks a second, as everywhere on Linux
    }

    fn stop(&mut self) {
        support::stop(&mut self.process);
    }
}
