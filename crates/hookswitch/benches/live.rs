//! Throughput of the server by HEP over UDP, beside a bare sink that reads the same datagrams and writes
//! the same rows; and how long it takes to start with a large log.
//!
//! `cargo bench --bench live [CALLS]`. Sender, server and sink share the machine. At most `WINDOW`
//! datagrams are on their way, so that none is lost; a run that loses one says so and fails.

mod support;

use std::io::{IoSliceMut, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg, setsockopt, sockopt};
use rusqlite::{Connection, params};

use support::{Agent, call, metrics, now, serve, stop};

/// Datagrams on their way at most.
const WINDOW: u64 = 8_000;

/// Bytes that the sockets ask the kernel for.
const BUFFER_BYTES: usize = 64 * 1024 * 1024;

/// Messages of one call.
const MESSAGES: u64 = 6;

fn main() {
    // Cargo passes --bench.
    let calls = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(50_000);
    let directory = std::env::temp_dir().join(format!("hookswitch-bench-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("the directory for temporary files takes another");
    let messages = calls * MESSAGES;
    println!(
        "{calls} answered calls, {messages} SIP messages of about 520 bytes, at most {WINDOW} on their way"
    );
    let home = directory.join("home");
    let made =
        Command::new(env!("CARGO_BIN_EXE_hookswitch")).arg("init").arg(&home).output().expect("init runs");
    assert!(made.status.success());
    let (live, drops) = server(&home, calls);
    assert_eq!(drops, 0, "datagrams were lost");
    // What followed from the inputs was written as well.
    let inputs = sink(&directory.join("inputs.db"), calls, None);
    let bare = sink(&directory.join("all.db"), calls, Some(&home.join("data/hookswitch.db")));
    let rate = |took: Duration| u128::from(messages) * 1_000_000 / took.as_micros();
    println!("bare recvmmsg sink, the rows of inputs alone:  {:>7} messages/s", rate(inputs));
    println!("bare recvmmsg sink, the same rows of all kinds: {:>6} messages/s", rate(bare));
    println!("hookswitch serve:                              {:>7} messages/s", rate(live));
    println!(
        "ratio: {} % of the same rows, {} % of the inputs alone",
        100 * rate(live) / rate(bare),
        100 * rate(live) / rate(inputs)
    );
    start(&home);
    acknowledgements(&home);
    std::fs::remove_dir_all(&directory).ok();
}

/// Sends all calls to an address; `stored` says how many messages have been taken.
fn send(to: SocketAddr, calls: u64, stored: impl Fn() -> u64) -> Duration {
    let mut agent = Agent::new("127.0.0.1", to);
    let started = now();
    let (mut sent, mut taken) = (0, 0);
    for number in 0..calls {
        for (back, message) in call(number) {
            while sent - taken >= WINDOW {
                taken = stored();
                if sent - taken >= WINDOW {
                    thread::sleep(Duration::from_micros(200));
                }
            }
            agent.send(back, &message);
            sent += 1;
        }
    }
    while stored() < sent {
        assert!(started.elapsed() < Duration::from_secs(600), "{} of {sent} messages were taken", stored());
        thread::sleep(Duration::from_millis(1));
    }
    started.elapsed()
}

/// The rows that a call has in each table but that of the inputs, as the server has written them.
struct Rows {
    events: Vec<Vec<u8>>,
    session: Vec<u8>,
}

impl Rows {
    /// The rows of the calls in a log, divided by their number.
    fn of_a_call(log: &Path, calls: u64) -> Self {
        let connection = Connection::open(log).expect("the log of the server");
        let count = |table: &str| -> u64 {
            let text = format!("SELECT count(*) FROM {table}");
            connection.query_row(&text, [], |row| row.get::<_, i64>(0)).expect("a table").unsigned_abs()
        };
        let mut statement =
            connection.prepare("SELECT body FROM events ORDER BY position LIMIT ?").expect("a table");
        let events = statement
            .query_map([(count("events") / calls).cast_signed()], |row| row.get(0))
            .and_then(Iterator::collect)
            .expect("events");
        let session =
            connection.query_row("SELECT id FROM sessions LIMIT 1", [], |row| row.get(0)).expect("a session");
        Self { events, session }
    }

    /// Writes the rows of the call with this number.
    fn write(&self, transaction: &rusqlite::Transaction<'_>, call: i64) -> rusqlite::Result<()> {
        let mut id = self.session.clone();
        id[..8].copy_from_slice(&call.wrapping_mul(0x9e37_79b9_7f4a_7c15_u64.cast_signed()).to_be_bytes());
        transaction.prepare_cached("INSERT INTO sessions VALUES (?, ?)")?.execute(params![call, id])?;
        let mut event = transaction.prepare_cached("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?)")?;
        let first = call * i64::try_from(self.events.len()).unwrap_or_default();
        for (number, body) in (0_i64..).zip(&self.events) {
            event.execute(params![first + number, call, number + 2, call, call, body])?;
        }
        Ok(())
    }
}

/// Reads datagrams and writes the rows of inputs, in groups that are synced; with the log of a server
/// also the rows of the other tables that it has of these calls. Nothing else.
fn sink(file: &Path, calls: u64, log: Option<&Path>) -> Duration {
    let rows = log.map(|log| Rows::of_a_call(log, calls));
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    setsockopt(&socket, sockopt::RcvBufForce, &BUFFER_BYTES)
        .or_else(|_| setsockopt(&socket, sockopt::RcvBuf, &BUFFER_BYTES))
        .expect("a socket option");
    socket.set_read_timeout(Some(Duration::from_millis(20))).expect("a socket option");
    let to = socket.local_addr().expect("it has an address");
    let connection = Connection::open(file).expect("a database");
    for (pragma, value) in [("journal_mode", "WAL"), ("synchronous", "FULL"), ("wal_autocheckpoint", "16384")]
    {
        connection.pragma_update(None, pragma, value).expect("a pragma");
    }
    connection
        .execute_batch(
            "CREATE TABLE signals (position INTEGER PRIMARY KEY, kind INTEGER NOT NULL, source INTEGER NOT NULL, \
             at INTEGER NOT NULL, arrival INTEGER NOT NULL, place BLOB NOT NULL, body BLOB NOT NULL, event INTEGER); \
             CREATE TABLE events (position INTEGER PRIMARY KEY, session INTEGER NOT NULL, sequence INTEGER NOT NULL, \
             at INTEGER NOT NULL, arrival INTEGER NOT NULL, body BLOB NOT NULL); \
             CREATE UNIQUE INDEX events_by_session ON events (session, sequence); \
             CREATE TABLE sessions (number INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE)",
        )
        .expect("a table");
    let stored = Arc::new(AtomicU64::new(0));
    let over = Arc::new(AtomicBool::new(false));
    let (sender, batches) = std::sync::mpsc::sync_channel::<Vec<Vec<u8>>>(64);
    let reading = thread::spawn({
        let over = over.clone();
        move || {
            let mut buffers = vec![vec![0; 65_535]; 64];
            let mut headers = MultiHeaders::<SockaddrStorage>::preallocate(64, None);
            while !over.load(Ordering::Relaxed) {
                let mut slices: Vec<[IoSliceMut<'_>; 1]> =
                    buffers.iter_mut().map(|buffer| [IoSliceMut::new(buffer)]).collect();
                let flags = MsgFlags::MSG_WAITFORONE;
                let Ok(received) = recvmmsg(socket.as_raw_fd(), &mut headers, slices.iter_mut(), flags, None)
                else {
                    continue;
                };
                let batch =
                    received.map(|message| message.iovs().next().unwrap_or_default().to_vec()).collect();
                if sender.send(batch).is_err() {
                    break;
                }
            }
        }
    });
    let writing = thread::spawn({
        let stored = stored.clone();
        let mut connection = connection;
        move || {
            let mut position = 0_i64;
            while let Ok(first) = batches.recv() {
                let transaction = connection.transaction().expect("a transaction");
                {
                    let mut insert = transaction
                        .prepare_cached("INSERT INTO signals VALUES (?, 1, 1, ?, ?, ?, ?, ?)")
                        .expect("a statement");
                    for datagram in std::iter::once(first).chain(batches.try_iter().take(64)).flatten() {
                        position += 1;
                        // Where it was seen has 16 bytes; the rest is the message.
                        let message = &datagram[datagram.len().min(100)..];
                        insert
                            .execute(params![
                                position,
                                position,
                                position,
                                &datagram[..16],
                                message,
                                position
                            ])
                            .expect("a row");
                        if let Some(rows) = rows.as_ref().filter(|_| position % MESSAGES.cast_signed() == 0) {
                            rows.write(&transaction, position / MESSAGES.cast_signed()).expect("rows");
                        }
                    }
                }
                transaction.commit().expect("a commit");
                stored.store(position.unsigned_abs(), Ordering::Relaxed);
            }
        }
    });
    let took = send(to, calls, || stored.load(Ordering::Relaxed));
    over.store(true, Ordering::Relaxed);
    reading.join().expect("no panic");
    writing.join().expect("no panic");
    took
}

/// Sends all calls to a server; how long it took, and how many datagrams were lost.
fn server(home: &Path, calls: u64) -> (Duration, u64) {
    let mut config = std::fs::read_to_string(home.join("hookswitch.toml")).expect("the configuration");
    config += "[[hep.source]]\nname = \"benchmark\"\nmessages_per_second = 100000000\n";
    std::fs::write(home.join("hookswitch.toml"), config).expect("it can be written");
    let (mut process, http, hep, _) = serve(home, &[], &[]);
    let count = |name: &str| -> u64 {
        let text = metrics(http);
        let line = text.lines().find(|line| line.starts_with(name) && line[name.len()..].starts_with(' '));
        line.and_then(|line| line.rsplit_once(' ')).and_then(|(_, number)| number.parse().ok()).unwrap_or(0)
    };
    // The settings and the sender are two rows.
    let stored = || count("hookswitch_signal_log_rows_total").saturating_sub(2);
    let took = send(hep, calls, stored);
    let drops =
        count("hookswitch_hep_kernel_drops_total") + count("hookswitch_hep_frames_total{outcome=\"busy\"}");
    let syncs = count("hookswitch_store_commit_seconds_count");
    println!("the server made {syncs} commits, and {} events", count("hookswitch_events_total"));
    stop(&mut process);
    (took, drops)
}

/// Starts the server again on its log.
fn start(home: &Path) {
    let (mut process, http, _, ready) = serve(home, &[], &[]);
    println!("start to ready with the log of this run: {ready} ms ({})", http.ip());
    // And as after a power cut in the middle of the interval of saved states.
    process.kill().expect("it runs");
    process.wait().expect("it ends");
}

/// Measures how long posts take until they are answered, and so on disk, at 1,000 signals a second.
fn acknowledgements(home: &Path) {
    const CLIENTS: u32 = 20;
    const POSTS: u32 = 250;
    let token = "benchmark";
    let mut config = std::fs::read_to_string(home.join("hookswitch.toml")).expect("the configuration");
    // printf %s benchmark | sha256sum
    let digest = "0e89820860c342f2c7ec694d144023b10301c2accdd078cb5167a06d0c3d5bcc";
    config.extend(["[[ingest.key]]\nname = \"bench\"\nsha256 = \"", digest, "\"\n"]);
    std::fs::write(home.join("hookswitch.toml"), config).expect("it can be written");
    let (mut process, http, ..) = serve(home, &[], &[]);
    let client = |client: u32| {
        let mut stream = TcpStream::connect(http).expect("the server listens");
        stream.set_nodelay(true).expect("a socket option");
        let started = now();
        let mut took = Vec::new();
        for post in 0..POSTS {
            let due = Duration::from_millis(u64::from(post) * 20 + u64::from(client));
            thread::sleep(due.saturating_sub(started.elapsed()));
            let body = format!(
                "{{\"signals\":[{{\"id\":\"{client}-{post}\",\"leg\":\"{client}-{post}\",\"kind\":\"created\",\
                 \"direction\":\"outbound\",\"callee\":\"102\",\"caller\":{{\"number\":\"101\"}}}}]}}"
            );
            let request = format!(
                "POST /ingest/v1/signals HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            let sent = now();
            stream.write_all(request.as_bytes()).expect("the server reads");
            let mut answer = [0; 4096];
            let read = stream.read(&mut answer).expect("the server answers");
            took.push(sent.elapsed());
            assert!(
                answer[..read].starts_with(b"HTTP/1.1 200"),
                "{}",
                String::from_utf8_lossy(&answer[..read])
            );
        }
        took
    };
    let mut took: Vec<Duration> = thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS).map(|number| scope.spawn(move || client(number))).collect();
        clients.into_iter().flat_map(|client| client.join().expect("no panic")).collect()
    });
    took.sort_unstable();
    let at = |share: usize| took[(took.len() - 1) * share / 100];
    println!(
        "posts at 1,000 signals a second: answered in {:?} (p50), {:?} (p99), {:?} at most",
        at(50),
        at(99),
        at(100)
    );
    let text = metrics(http);
    for name in ["hookswitch_store_commit_seconds_sum", "hookswitch_store_commit_seconds_count"] {
        println!("{}", text.lines().find(|line| line.starts_with(name)).unwrap_or_default());
    }
    stop(&mut process);
}
