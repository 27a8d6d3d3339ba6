//! The processes of a cluster: NATS servers, nodes, and the links between them.

use std::fmt::Write as _;
use std::fs::File;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use super::super::client::{Answer, call};
use super::super::ingest::key_of;
use super::super::nats::{DEBIAN, program};
use super::super::reading::token;
use super::super::receiver::{Receiver, now};
use super::super::socket::Proxy;
use super::super::webhooks::{SESSIONS, SUBSCRIPTION};
use super::super::{Home, path, request, wait_for, without_test_sizes};

/// Number of accounts; their ids are the number, and 001 behind it.
pub(super) const ACCOUNTS: u64 = 6;

/// Time for which a lease is good.
pub(super) const LEASE: Duration = Duration::from_secs(3);

/// An address that is free now, for TCP and UDP. Connections get their own ports from 32768 on, so that none
/// takes it before it is used; and each is given once.
fn free() -> SocketAddr {
    const PORTS: std::ops::Range<u32> = 10_000..32_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let first = std::process::id().wrapping_mul(97);
    loop {
        let number = first.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % PORTS.len() as u32;
        let port = u16::try_from(PORTS.start + number).expect("a port");
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        if TcpListener::bind(address).is_ok() && UdpSocket::bind(address).is_ok() {
            return address;
        }
    }
}

/// Sends a signal to a process by its own id.
fn signal(process: &Child, name: &str) {
    let done = Command::new("kill").args([&format!("-{name}"), &process.id().to_string()]).status();
    assert!(done.expect("kill runs").success());
}

/// A NATS server, which may be down.
pub(super) struct Nats {
    pub(super) address: SocketAddr,
    program: PathBuf,
    arguments: Vec<String>,
    log: PathBuf,
    process: Option<Child>,
}

impl Nats {
    /// So many servers of a version with JetStream, started.
    pub(super) fn start(version: &str, directory: &Path, count: usize) -> Vec<Self> {
        let addresses: Vec<(SocketAddr, SocketAddr)> = (0..count).map(|_| (free(), free())).collect();
        let routes: Vec<String> = addresses.iter().map(|(_, route)| format!("nats://{route}")).collect();
        let server = |(index, (address, route)): (usize, &(SocketAddr, SocketAddr))| {
            let store = directory.join(format!("nats-{index}"));
            let mut arguments: Vec<String> = ["--addr", "127.0.0.1", "--port"].map(str::to_owned).into();
            arguments.push(address.port().to_string());
            arguments.extend(["--jetstream", "--store_dir", path(&store), "--name"].map(str::to_owned));
            arguments.push(format!("n{index}"));
            if count > 1 {
                arguments.extend(["--cluster_name", "test", "--cluster"].map(str::to_owned));
                arguments.push(format!("nats://{route}"));
                arguments.extend(["--routes".to_owned(), routes.join(","), "--no_advertise".to_owned()]);
            }
            let log = directory.join(format!("nats-{index}.log"));
            let mut server =
                Self { address: *address, program: program(version), arguments, log, process: None };
            server.run();
            server
        };
        addresses.iter().enumerate().map(server).collect()
    }

    pub(super) fn run(&mut self) {
        let log = File::options().create(true).append(true).open(&self.log).expect("a log");
        let process = Command::new(&self.program)
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        self.process = Some(process.expect("nats-server can be started; ci/setup installs it"));
    }

    pub(super) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().ok();
            process.wait().ok();
        }
    }

    pub(super) fn signal(&self, name: &str) {
        if let Some(process) = &self.process {
            signal(process, name);
        }
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A node, which may be down; it reaches each NATS server by a link of its own.
pub(super) struct Node {
    pub(super) name: String,
    pub(super) home: Home,
    pub(super) http: SocketAddr,
    pub(super) hep: SocketAddr,
    pub(super) links: Vec<Proxy>,
    servers: Vec<SocketAddr>,
    process: Option<Child>,
}

impl Node {
    fn new(test: &str, name: &str, nats: &[Nats], partitions: u8, settings: &str) -> Self {
        let home = Home::new(&format!("cluster-{test}-{name}"));
        let links: Vec<Proxy> = nats.iter().map(|_| Proxy::new()).collect();
        let servers: Vec<SocketAddr> = nats.iter().map(|nats| nats.address).collect();
        let urls: Vec<String> = links.iter().map(|link| format!("nats://{}", link.address)).collect();
        let (http, hep) = (free(), free());
        let text = std::fs::read_to_string(home.config()).expect("the configuration is there");
        let (replicas, lease) = (if nats.len() > 1 { 3 } else { 1 }, LEASE.as_secs());
        let mut text = text
            .replace("# engine = \"sqlite\"", "engine = \"nats\"")
            .replace("# durability = \"strict\"", "durability = \"relaxed\"")
            .replace("# node = \"\"", &format!("node = \"{name}\""))
            .replace("# partitions = 8", &format!("partitions = {partitions}"))
            .replace("# lease = \"3s\"", &format!("lease = \"{lease}s\""))
            .replace("# replicas = 1", &format!("replicas = {replicas}"))
            .replace("# servers = [\"nats://127.0.0.1:4222\"]", &format!("servers = {}", json!(urls)));
        text.push_str(&keys());
        text.push_str(settings);
        std::fs::write(home.config(), text).expect("the configuration can be written");
        std::fs::write(home.directory.join("directory.toml"), directory()).expect("it can be written");
        let node = Self { name: name.to_owned(), home, http, hep, links, servers, process: None };
        (0..nats.len()).for_each(|link| node.join_link(link));
        node
    }

    /// Lets a link through.
    pub(super) fn join_link(&self, link: usize) {
        self.links[link].lead_to(self.servers[link]);
    }

    /// Starts the node; it may not be ready yet.
    pub(super) fn run(&mut self) {
        let log = File::options().create(true).append(true).open(self.log()).expect("a log");
        let mut command = Command::new(env!("CARGO_BIN_EXE_hookswitch"));
        let process = without_test_sizes(&mut command)
            .args(["serve", "--dev", "--config"])
            .arg(self.home.config())
            .env("HOOKSWITCH_SERVER__LISTEN", self.http.to_string())
            .env("HOOKSWITCH_HEP__LISTEN", self.hep.to_string())
            .stdin(Stdio::null())
            .stderr(log)
            .spawn();
        self.process = Some(process.expect("the server starts"));
    }

    pub(super) fn log(&self) -> PathBuf {
        self.home.directory.join("serve.log")
    }

    /// Returns `true` if its log says something.
    pub(super) fn says(&self, text: &str) -> bool {
        std::fs::read_to_string(self.log()).is_ok_and(|log| log.contains(text))
    }

    /// Keeps the server running; one that has ended by itself, as without NATS, is started again, as a supervisor does.
    pub(super) fn keep_running(&mut self) {
        let ended = self.process.as_mut().is_some_and(|it| !matches!(it.try_wait(), Ok(None)));
        if ended {
            self.run();
        }
    }

    /// Waits until it answers.
    #[track_caller]
    pub(super) fn ready(&self) {
        let asked = || {
            let answer = request(self.http, "GET", "/readyz", &[], b"").ok()?;
            (answer.0 == 200).then_some(())
        };
        wait_for(asked, || format!("{} to be ready", self.name));
    }

    pub(super) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().ok();
            process.wait().ok();
        }
    }

    /// Tells it to stop, and waits until it has.
    #[track_caller]
    pub(super) fn stop(&mut self) {
        let Some(mut process) = self.process.take() else { return };
        signal(&process, "TERM");
        let ended = wait_for(|| process.try_wait().expect("it can be waited for"), || "the end".to_owned());
        assert!(ended.success(), "{ended}");
    }

    pub(super) fn signal(&self, name: &str) {
        if let Some(process) = &self.process {
            signal(process, name);
        }
    }

    /// A request with a token.
    #[track_caller]
    pub(super) fn call(&self, token: &str, method: &str, path: &str, body: Option<&Value>) -> Answer {
        call(self.http, token, method, path, body)
    }

    /// Returns how the cluster stands, as this node sees it; none while it does not answer.
    pub(super) fn view(&self, token: &str) -> Option<Value> {
        let authorization = format!("Bearer {token}");
        let headers = [("Authorization", &*authorization)];
        let (status, view) = request(self.http, "GET", "/admin/v1/cluster", &headers, b"").ok()?;
        (status == 200).then_some(view)
    }

    /// All events of its copy of the log, one a line.
    pub(super) fn events(&self) -> String {
        self.home.store("events")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}

/// NATS servers and nodes.
pub(super) struct Cluster {
    pub(super) nats: Vec<Nats>,
    pub(super) nodes: Vec<Node>,
}

impl Cluster {
    /// Starts so many NATS servers and nodes, one after the other.
    #[track_caller]
    pub(super) fn start(test: &str, nats: usize, nodes: usize, partitions: u8) -> Self {
        Self::start_with(test, nats, nodes, partitions, "")
    }

    /// The same, with more settings of all nodes.
    #[track_caller]
    pub(super) fn start_with(test: &str, nats: usize, nodes: usize, partitions: u8, settings: &str) -> Self {
        Self::start_on((DEBIAN, nats), test, nodes, partitions, settings)
    }

    /// The same, on so many NATS servers of a version.
    #[track_caller]
    pub(super) fn start_on(
        (version, nats): (&str, usize),
        test: &str,
        nodes: usize,
        partitions: u8,
        settings: &str,
    ) -> Self {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("server").join(format!("cluster-{test}"));
        if directory.exists() {
            std::fs::remove_dir_all(&directory).expect("an old directory goes away");
        }
        std::fs::create_dir_all(&directory).expect("a directory can be made");
        let nats = Nats::start(version, &directory, nats);
        let node = |index: usize| Node::new(test, &format!("node{index}"), &nats, partitions, settings);
        let mut nodes: Vec<Node> = (1..=nodes).map(node).collect();
        let key = nodes[0].home.directory.join("secret.key");
        for node in &nodes[1..] {
            std::fs::copy(&key, node.home.directory.join("secret.key")).expect("the key can be copied");
        }
        // A cluster of JetStream needs a leader before anything can be made.
        for node in &mut nodes {
            node.run();
            let started = now();
            while request(node.http, "GET", "/readyz", &[], b"").map_or(0, |(status, _)| status) != 200 {
                assert!(started.elapsed() < Duration::from_secs(60), "{} starts", node.name);
                node.keep_running();
                std::thread::sleep(Duration::from_millis(50));
            }
        }
        let cluster = Self { nats, nodes };
        cluster.settled();
        cluster
    }

    /// The admin token, which is that of the first node.
    pub(super) fn admin(&self) -> &str {
        self.nodes[0].home.made("admin_token")
    }

    /// Returns `true` if every partition is where it should be, in the eyes of all that run.
    pub(super) fn is_settled(&self) -> bool {
        let running = self.nodes.iter().filter(|node| node.process.is_some());
        let views: Option<Vec<Value>> = running.map(|node| node.view(self.admin())).collect();
        let Some(views) = views else { return false };
        let is_settled = |view: &Value| {
            view["partitions"].as_array().is_some_and(|all| all.iter().all(|one| one["isSettled"] == true))
                && view["nodes"] == views[0]["nodes"]
        };
        views.iter().all(is_settled)
    }

    /// Returns what each node sees, and what it and the NATS servers said last: for the message of a failed test.
    pub(super) fn report(&self) -> String {
        let tail = |log: &Path| {
            let text = std::fs::read_to_string(log).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            lines[lines.len().saturating_sub(8)..].join("\n")
        };
        let mut report = String::new();
        for node in &self.nodes {
            let view = node.view(self.admin()).map_or("does not answer".to_owned(), |view| view.to_string());
            write!(report, "\n{}: {view}\n{}", node.name, tail(&node.log())).expect("memory takes it");
        }
        for server in &self.nats {
            write!(report, "\n{}", tail(&server.log)).expect("memory takes it");
        }
        report
    }

    /// Waits until it is so.
    #[track_caller]
    pub(super) fn settled(&self) {
        wait_for(|| self.is_settled().then_some(()), || "a cluster in which all is settled".to_owned());
    }

    /// The index of the node that owns the partition of an account, in the eyes of another node.
    pub(super) fn owner(&self, partition: u64, asked: usize) -> Option<usize> {
        let view = self.nodes[asked].view(self.admin())?;
        let found = view["partitions"].as_array()?.iter().find(|one| one["partition"] == partition)?.clone();
        self.nodes.iter().position(|node| found["owner"] == *node.name)
    }

    /// Waits until the copies of all nodes hold the same, so many events or more, and gives them.
    #[track_caller]
    pub(super) fn same_events(&self, at_least: usize) -> String {
        wait_for(
            || {
                let all: Vec<String> = self.nodes.iter().map(Node::events).collect();
                let same = all.iter().all(|one| *one == all[0]) && all[0].lines().count() >= at_least;
                same.then(|| all[0].clone())
            },
            || format!("{at_least} events on all nodes"),
        )
    }

    /// Subscribes a receiver to the calls of an account, by a node.
    #[track_caller]
    pub(super) fn subscribe(&self, by: usize, account: u64, receiver: &Receiver) -> String {
        let node = &self.nodes[by];
        let scopes = ["CallControl", "SubscriptionWebhook", "WebSocketsSubscription", "ReadAccounts"];
        let entry = json!({"admin": true});
        let token = token(node.http, self.admin(), (account, account + 100, entry), &scopes);
        let body = json!({
            "eventFilters": [SESSIONS],
            "deliveryMode": {"transportType": "WebHook", "address": receiver.url()},
        });
        let answer = node.call(&token, "POST", SUBSCRIPTION, Some(&body));
        assert_eq!(answer.status, 200, "{answer:?}");
        token
    }
}

/// The account of a number from 0.
pub(super) fn account(number: u64) -> u64 {
    (number % ACCOUNTS + 1) * 1000 + 1
}

/// The ingest key of an account.
pub(super) fn key(account: u64) -> String {
    format!("key-of-{account}")
}

fn keys() -> String {
    let key = |account: u64| key_of(account, &format!("of {account}"), &key(account));
    (0..ACCOUNTS).map(account).map(key).collect()
}

fn directory() -> String {
    let of = |account: u64| {
        let extension = |number: u64| {
            format!("[[account.extension]]\nid = {}\nnumber = \"10{number}\"\n", account + 99 + number)
        };
        format!(
            "[[account]]\nid = {account}\nname = \"Account {account}\"\n{}{}\n",
            extension(1),
            extension(2)
        )
    };
    let own = "[[account]]\nid = 310001016\nname = \"My company\"\n\n\
               [[account.extension]]\nnumber = \"101\"\n\n[[account.extension]]\nnumber = \"102\"\n\n";
    own.to_owned() + &(0..ACCOUNTS).map(account).map(of).collect::<String>()
}
