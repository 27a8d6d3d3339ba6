//! Cost of the network engine beside the embedded one: the same calls by HEP into a server alone, into one
//! node on one NATS server, and into three nodes on three NATS servers that keep each message three times.
//!
//! `cargo bench --bench cluster [CALLS]`. Senders, nodes and NATS servers share the machine, so that three
//! nodes show what each call costs, and not what three machines could do. Each node takes the calls of the
//! partitions that it owns; a last run sends all to one node, which hands over what is not its own.

mod support;

use std::fmt::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use support::{Agent, call, metrics, now, serve, stop};

/// Datagrams on their way at most.
const WINDOW: u64 = 4_000;

/// Messages of one call, and events that they tell.
const MESSAGES: u64 = 6;
const EVENTS: u64 = 8;

/// Each is the account of an agent.
const ACCOUNTS: [u64; 6] = [1001, 2001, 3001, 4001, 5001, 6001];

fn main() {
    // Cargo passes --bench.
    let calls = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(12_000);
    let directory = std::env::temp_dir().join(format!("hookswitch-bench-cluster-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("the directory for temporary files takes another");
    println!("{calls} answered calls, {} messages, {} events", calls * MESSAGES, calls * EVENTS);
    let alone = run("alone", &directory, 0, 1, calls, true);
    let one = run("one node, one NATS server", &directory, 1, 1, calls, true);
    let three = run("three nodes, three NATS servers", &directory, 3, 3, calls, true);
    let forwarded = run("the same, all sent to one node", &directory, 3, 3, calls, false);
    let percent = |rate: u64| 100 * rate / alone.max(1);
    println!(
        "of the server alone: one node {} %, three nodes {} %, handed over {} %",
        percent(one),
        percent(three),
        percent(forwarded)
    );
    std::fs::remove_dir_all(&directory).ok();
}

fn free() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address")
}

/// Starts NATS servers; gives their addresses.
fn nats(directory: &Path, count: usize) -> (Vec<Child>, Vec<SocketAddr>) {
    let addresses: Vec<(SocketAddr, SocketAddr)> = (0..count).map(|_| (free(), free())).collect();
    let routes: Vec<String> = addresses.iter().map(|(_, route)| format!("nats://{route}")).collect();
    let start = |(index, (client, route)): (usize, &(SocketAddr, SocketAddr))| {
        let mut command = Command::new("/usr/sbin/nats-server");
        command.args(["--addr", "127.0.0.1", "--jetstream", "--port", &client.port().to_string()]);
        command
            .args(["--name", &format!("n{index}"), "--store_dir"])
            .arg(directory.join(format!("js{index}")));
        if count > 1 {
            command.args(["--cluster_name", "bench", "--cluster", &format!("nats://{route}")]);
            command.args(["--routes", &routes.join(",")]);
        }
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("nats-server can be started")
    };
    let processes = addresses.iter().enumerate().map(start).collect();
    (processes, addresses.into_iter().map(|(client, _)| client).collect())
}

/// The settings of a node; each agent is known by its key.
fn home(directory: &Path, name: &str, servers: &[SocketAddr]) -> PathBuf {
    let home = directory.join(name);
    let made =
        Command::new(env!("CARGO_BIN_EXE_hookswitch")).arg("init").arg(&home).output().expect("init runs");
    assert!(made.status.success());
    let file = home.join("hookswitch.toml");
    let mut text = std::fs::read_to_string(&file).expect("init has made it");
    text = text.replace("# durability = \"strict\"", "durability = \"relaxed\"");
    if !servers.is_empty() {
        let urls: Vec<String> = servers.iter().map(|server| format!("\"nats://{server}\"")).collect();
        text = text
            .replace("# engine = \"sqlite\"", "engine = \"nats\"")
            .replace("# node = \"\"", &format!("node = \"{name}\""))
            .replace("# partitions = 8", "partitions = 6")
            .replace("# replicas = 1", &format!("replicas = {}", servers.len()))
            .replace("# servers = [\"nats://127.0.0.1:4222\"]", &format!("servers = [{}]", urls.join(", ")));
    }
    for account in ACCOUNTS {
        write!(
            text,
            "\n[[hep.source]]\nname = \"of {account}\"\naddresses = [\"127.0.{}.1\"]\naccount = {account}\n\
             messages_per_second = 1000000\n",
            account / 1000
        )
        .expect("memory takes it");
    }
    std::fs::write(&file, text).expect("it can be written");
    home
}

/// Runs one layout, and gives the messages a second.
fn run(what: &str, directory: &Path, servers: usize, nodes: usize, calls: u64, owned: bool) -> u64 {
    let directory = directory.join(what.replace(' ', "-"));
    std::fs::create_dir_all(&directory).expect("a directory can be made");
    let (mut processes, addresses) =
        if servers > 0 { nats(&directory, servers) } else { (Vec::new(), Vec::new()) };
    if servers > 0 {
        thread::sleep(Duration::from_secs(5)); // until JetStream has a leader
    }
    let homes: Vec<PathBuf> =
        (0..nodes).map(|index| home(&directory, &format!("node{index}"), &addresses)).collect();
    for other in &homes[1..] {
        std::fs::copy(homes[0].join("secret.key"), other.join("secret.key")).expect("the key can be copied");
    }
    let running: Vec<(Child, SocketAddr, SocketAddr)> = homes
        .iter()
        .map(|home| {
            let (process, http, hep, _) = serve(home, &[], &[]);
            (process, http, hep)
        })
        .collect();
    if servers > 0 {
        thread::sleep(Duration::from_secs(8)); // until every partition is where it stays
    }
    let stored = |http: SocketAddr| number(http, "hookswitch_signal_log_rows_total");
    let before: Vec<u64> = running.iter().map(|(_, http, _)| stored(*http)).collect();
    let events_before = number(running[0].1, "hookswitch_event_log_rows_total");
    let mut agents: Vec<Agent> = ACCOUNTS
        .iter()
        .map(|account| {
            let to = if owned && servers > 0 { owner(&running, *account) } else { 0 };
            Agent::new(&format!("127.0.{}.1", account / 1000), running[to].2)
        })
        .collect();
    let started = now();
    let (mut sent, mut taken) = (0, 0);
    for number in 0..calls {
        let agent = &mut agents[number as usize % ACCOUNTS.len()];
        for (back, message) in call(number) {
            while sent - taken >= WINDOW {
                taken = stored(running[0].1).saturating_sub(before[0]).min(sent);
                if sent - taken >= WINDOW {
                    thread::sleep(Duration::from_millis(1));
                }
            }
            agent.send(back, &message);
            sent += 1;
        }
    }
    for ((_, http, _), before) in running.iter().zip(before) {
        while stored(*http) < before + sent {
            assert!(
                started.elapsed() < Duration::from_secs(600),
                "{} of {sent} messages were taken",
                stored(*http) - before
            );
            thread::sleep(Duration::from_millis(1));
        }
    }
    let took = started.elapsed();
    let events = number(running[0].1, "hookswitch_event_log_rows_total") - events_before;
    assert!(events >= calls * EVENTS, "{events} events of {calls} calls");
    let rate =
        |count: u64| u64::try_from(u128::from(count) * 1_000_000 / took.as_micros()).unwrap_or(u64::MAX);
    println!("{what}: {} messages/s, {} events/s", rate(sent), rate(events));
    if servers > 0 {
        let (stored, copy) = (bytes(&directory.join("js0")), bytes(&homes[0].join("data")));
        println!("  each NATS server has {} bytes a message, and each node {}", stored / sent, copy / sent);
    }
    for (mut process, ..) in running {
        stop(&mut process);
    }
    for process in &mut processes {
        process.kill().ok();
        process.wait().ok();
    }
    rate(sent)
}

/// Returns the number of bytes that the files of a directory have.
fn bytes(directory: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(directory) else { return 0 };
    let of = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(found) if found.is_dir() => bytes(&entry.path()),
        Ok(found) => found.len(),
        Err(_) => 0,
    };
    entries.flatten().map(of).sum()
}

/// A counter or gauge of a server.
fn number(http: SocketAddr, name: &str) -> u64 {
    let text = metrics(http);
    let line = text.lines().find(|line| line.rsplit_once(' ').is_some_and(|(key, _)| key == name));
    line.and_then(|line| line.rsplit_once(' ')?.1.parse().ok()).unwrap_or_else(|| panic!("no {name}"))
}

/// The node that has the partition of an account: the one whose machine takes a message without handing it over.
fn owner(running: &[(Child, SocketAddr, SocketAddr)], account: u64) -> usize {
    for (index, (_, http, hep)) in running.iter().enumerate() {
        let forwarded = |http| number(http, "hookswitch_cluster_forwarded_total");
        let (before, stored) = (forwarded(*http), number(*http, "hookswitch_signal_log_rows_total"));
        let mut agent = Agent::new(&format!("127.0.{}.1", account / 1000), *hep);
        let [(back, message), ..] = call(9_000_000 + account);
        agent.send(back, &message);
        while number(*http, "hookswitch_signal_log_rows_total") == stored {
            thread::sleep(Duration::from_millis(2));
        }
        if forwarded(*http) == before {
            return index;
        }
    }
    panic!("somebody owns the partition of {account}")
}
