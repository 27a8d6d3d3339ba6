//! A real nats-server on loopback.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::{Home, PATIENCE, Server, request, wait_for};

/// A nats-server of its own, ended with the test.
pub(super) struct Nats {
    process: Child,
    directory: PathBuf,
    /// Where clients connect to, and its monitor.
    pub(super) clients: SocketAddr,
    monitor: SocketAddr,
}

impl Nats {
    /// Starts one on free ports; its files are in a directory of this name.
    #[track_caller]
    pub(super) fn start(name: &str) -> Self {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("nats").join(name);
        std::fs::remove_dir_all(&directory).ok();
        std::fs::create_dir_all(&directory).expect("a directory can be made");
        let process = Command::new("/usr/sbin/nats-server")
            .args(["--addr", "127.0.0.1", "--port", "-1", "--http_port", "-1", "--jetstream", "--store_dir"])
            .args([&directory, Path::new("--ports_file_dir"), &directory])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("nats-server can be started; ci/setup installs it");
        let file = directory.join(format!("nats-server_{}.ports", process.id()));
        let told = || serde_json::from_str::<Value>(&std::fs::read_to_string(&file).ok()?).ok();
        let told = wait_for(told, || "the ports of nats-server".to_owned());
        let address = |what: &str| {
            let url = told[what][0].as_str().expect("an address");
            url.rsplit_once('/').expect("a URL").1.parse().expect("an address")
        };
        let (clients, monitor) = (address("nats"), address("monitoring"));
        Self { process, directory, clients, monitor }
    }

    /// Starts a server as a node.
    #[track_caller]
    pub(super) fn node(&self, home: &Home, name: &str) -> Server {
        let servers = format!("[\"nats://{}\"]", self.clients);
        let variables = [
            ("HOOKSWITCH_STORE__ENGINE", "nats"),
            ("HOOKSWITCH_STORE__DURABILITY", "relaxed"),
            ("HOOKSWITCH_NATS__SERVERS", &servers),
            ("HOOKSWITCH_CLUSTER__NODE", name),
            ("HOOKSWITCH_CLUSTER__LEASE", "2s"),
        ];
        Server::start_with(home, &variables)
    }

    /// How many messages all streams have.
    pub(super) fn messages(&self) -> u64 {
        let (_, streams) = request(self.monitor, "GET", "/jsz", &[], b"").expect("it answers");
        streams["messages"].as_u64().expect("a number")
    }

    /// Publishes a message as a node does that says that it lives.
    pub(super) fn publish(&self, subject: &str, payload: &str) {
        let mut stream = TcpStream::connect(self.clients).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
        let length = payload.len();
        let said =
            format!("CONNECT {{\"verbose\":false}}\r\nPUB {subject} {length}\r\n{payload}\r\nPING\r\n");
        stream.write_all(said.as_bytes()).expect("it is sent");
        let mut answer = Vec::new();
        let mut part = [0; 4096];
        while !answer.windows(6).any(|window| window == b"PONG\r\n") {
            let read = stream.read(&mut part).expect("an answer");
            assert!(read > 0, "{}", String::from_utf8_lossy(&answer));
            answer.extend_from_slice(&part[..read]);
        }
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
        std::fs::remove_dir_all(&self.directory).ok();
    }
}
