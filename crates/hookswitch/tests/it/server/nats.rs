//! A real nats-server on loopback.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::copying::elsewhere;
use super::{Home, PATIENCE, Server, ended, path, request, root, wait_for, without_test_sizes};

/// The version of Debian's package, which is at the path of the system.
pub(super) const DEBIAN: &str = "2.9.10";

/// Returns where the program of a version is.
pub(super) fn program(version: &str) -> PathBuf {
    if version == DEBIAN {
        return PathBuf::from("/usr/sbin/nats-server");
    }
    root().join("target/tools/nats").join(version).join("bin/nats-server")
}

/// A nats-server of its own, ended with the test.
pub(super) struct Nats {
    process: Child,
    directory: PathBuf,
    /// Addresses of clients' connections and of its monitor.
    pub(super) clients: SocketAddr,
    monitor: SocketAddr,
}

impl Nats {
    /// Starts one on free ports; its files are in a directory of this name.
    #[track_caller]
    pub(super) fn start(name: &str) -> Self {
        Self::start_as(DEBIAN, name, "")
    }

    /// One of a version, with more of its configuration.
    #[track_caller]
    fn start_as(version: &str, name: &str, configuration: &str) -> Self {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("nats").join(name);
        std::fs::remove_dir_all(&directory).ok();
        std::fs::create_dir_all(&directory).expect("a directory can be made");
        let file = directory.join("nats.conf");
        std::fs::write(&file, configuration).expect("a file");
        let process = Command::new(program(version))
            .args([
                "--config",
                path(&file),
                "--addr",
                "127.0.0.1",
                "--port",
                "-1",
                "--http_port",
                "-1",
                "--jetstream",
                "--store_dir",
            ])
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

    /// Returns what a node is told of it and of itself, as variables.
    pub(super) fn variables(&self, name: &str) -> [(&'static str, String); 5] {
        [
            ("HOOKSWITCH_STORE__ENGINE", "nats".to_owned()),
            ("HOOKSWITCH_STORE__DURABILITY", "relaxed".to_owned()),
            ("HOOKSWITCH_NATS__SERVERS", format!("[\"nats://{}\"]", self.clients)),
            ("HOOKSWITCH_CLUSTER__NODE", name.to_owned()),
            ("HOOKSWITCH_CLUSTER__LEASE", "2s".to_owned()),
        ]
    }

    /// Starts a server as a node.
    #[track_caller]
    pub(super) fn node(&self, home: &Home, name: &str) -> Server {
        let variables = self.variables(name);
        let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, &**value)).collect();
        Server::start_with(home, &variables)
    }

    /// Returns the number of messages that all streams have.
    pub(super) fn messages(&self) -> u64 {
        self.count("messages")
    }

    /// Returns the count of something in all of JetStream.
    pub(super) fn count(&self, what: &str) -> u64 {
        let (_, figures) = request(self.monitor, "GET", "/jsz", &[], b"").expect("it answers");
        figures[what].as_u64().expect("a number")
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

#[test]
fn a_stream_that_cannot_be_followed_is_named_by_whatever_would_follow_it() {
    // Whoever connects may do all but read one stream.
    let denied = ["hookswitch", "copied"].map(|prefix| {
        let subject = format!("$JS.API.CONSUMER.CREATE.{prefix}_documents");
        format!("\"{subject}\", \"{subject}.>\"")
    });
    let configuration = format!(
        "authorization {{ users = [{{ user: node, password: node, permissions: {{ publish: {{ deny: [{}] }} }} }}] }}\n\
         no_auth_user: node\n",
        denied.join(", ")
    );
    let nats = Nats::start_as(DEBIAN, "not-followed", &configuration);
    let home = Home::new("not-followed");
    let sentence = |prefix: &str| {
        format!(
            "the stream {prefix}_documents cannot be followed: message 0 of 1 is here, and for 2 s no more came"
        )
    };
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hookswitch"));
        let command = without_test_sizes(&mut command).args(arguments).envs(nats.variables("one"));
        let free = [("HOOKSWITCH_SERVER__LISTEN", "127.0.0.1:0"), ("HOOKSWITCH_HEP__LISTEN", "127.0.0.1:0")];
        ended(command.envs(free).env("HOOKSWITCH_NATS__CONNECT_TIMEOUT", "2s"))
    };
    let (config, fix) = (home.config(), "look whether the NATS servers of the stream run");
    let (status, _, said) = run(&["serve", "--config", path(&config)]);
    assert!(status == Some(2) && said.contains(&sentence("hookswitch")) && said.contains(fix), "{said}");
    let (status, found, _) = run(&["doctor", "--config", path(&config)]);
    let expected = "the stream hookswitch_documents cannot be followed";
    assert!(status == Some(2) && found.contains(expected) && found.contains(fix), "{found}");

    // A copy is read back when it is whole.
    let source = Home::new("not-followed-source");
    let target = elsewhere(&source, "copy.toml", "copy", Some((&nats, "copied")));
    let mut command = Command::new(env!("CARGO_BIN_EXE_hookswitch"));
    let command = without_test_sizes(&mut command).env("HOOKSWITCH_NATS__CONNECT_TIMEOUT", "2s");
    let (config, target) = (source.config(), path(&target));
    let (status, _, said) = ended(command.args(["store", "copy", "--from", path(&config), "--to", target]));
    assert!(status == Some(2) && said.contains(&sentence("copied")) && said.contains(fix), "{said}");
}

#[test]
fn strict_durability_is_had_of_a_server_that_syncs_always_and_of_no_other() {
    for (name, configuration) in [("syncs", "jetstream { sync_interval: always }"), ("syncs-later", "")] {
        let nats = Nats::start_as("2.15.1", name, configuration);
        let home = Home::new(&format!("strict-{name}"));
        let monitors = format!("[\"http://{}\"]", nats.monitor);
        let mut variables = nats.variables("one").to_vec();
        variables.push(("HOOKSWITCH_STORE__DURABILITY", "strict".to_owned()));
        variables.push(("HOOKSWITCH_NATS__MONITORS", monitors));
        if !configuration.is_empty() {
            let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, &**value)).collect();
            let server = Server::start_with(&home, &variables);
            wait_for(|| (server.get("/readyz").0 == 200).then_some(()), || "the node".to_owned());
            server.stop();
            continue;
        }
        let mut command = Command::new(env!("CARGO_BIN_EXE_hookswitch"));
        let command = without_test_sizes(&mut command).args(["serve", "--config", path(&home.config())]);
        let (status, _, said) = ended(command.envs(variables));
        let words =
            "acknowledges before it has synced to disk; start it with jetstream { sync_interval: always }";
        assert!(status == Some(2) && said.contains(words), "{said}");
    }
}
