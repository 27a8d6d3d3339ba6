//! Real nats-servers on loopback for tests, alone or three that are a cluster.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use crate::NatsSettings;

/// The version of Debian's package, which is at the path of the system.
pub const DEBIAN: &str = "2.9.10";

/// The newest version that `ci/setup` installs.
pub const NEWEST: &str = "2.15.1";

/// Time that a start may take. A cluster elects a leader first.
const STARTS_WITHIN: Duration = Duration::from_secs(60);

/// A new directory for a test.
///
/// # Panics
/// If the system refuses, as a test does.
pub fn directory(name: &str) -> PathBuf {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("hookswitch-{name}-{}-{number}", std::process::id()));
    std::fs::remove_dir_all(&path).ok();
    std::fs::create_dir_all(&path).expect("a directory can be made");
    path
}

/// A nats-server of its own, or three, ended with the test.
pub struct Server {
    processes: Vec<Child>,
    /// Address that clients connect to.
    urls: Vec<String>,
    /// The address of the figures of each.
    monitors: Vec<SocketAddr>,
    directory: PathBuf,
}

impl Server {
    /// One of Debian's.
    ///
    /// # Panics
    /// If the system refuses, as a test does.
    pub fn start() -> Self {
        Self::start_as(DEBIAN, 1)
    }

    /// So many of a version.
    ///
    /// # Panics
    /// If the system refuses, as a test does.
    pub fn start_as(version: &str, count: usize) -> Self {
        let directory = directory("nats");
        let ports: Vec<[SocketAddr; 3]> = (0..count).map(|_| [free(), free(), free()]).collect();
        let routes: Vec<String> = ports.iter().map(|[.., route]| format!("nats://{route}")).collect();
        let start = |(index, [clients, monitor, route]): (usize, &[SocketAddr; 3])| {
            let mut command = Command::new(program(version));
            command
                .args(["--addr", "127.0.0.1", "--port", &clients.port().to_string()])
                .args(["--http_port", &monitor.port().to_string(), "--name", &format!("n{index}")])
                .args([
                    Path::new("--jetstream"),
                    Path::new("--store_dir"),
                    &directory.join(index.to_string()),
                ])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            if count > 1 {
                command.args(["--cluster_name", "test", "--cluster", &format!("nats://{route}")]);
                command.args(["--routes", &routes.join(","), "--no_advertise"]);
            }
            command.spawn().expect("nats-server can be started; ci/setup installs it")
        };
        let processes = ports.iter().enumerate().map(start).collect();
        let server = Self {
            processes,
            urls: ports.iter().map(|[clients, ..]| format!("nats://{clients}")).collect(),
            monitors: ports.iter().map(|&[_, monitor, _]| monitor).collect(),
            directory,
        };
        let deadline = crate::clock::now() + STARTS_WITHIN;
        for &monitor in &server.monitors {
            while !get(monitor, "/healthz").is_ok_and(|answer| answer.starts_with("HTTP/1.0 200 ")) {
                assert!(crate::clock::now() < deadline, "nats-server {version} is ready");
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        let said = server.figures(0)["version"].as_str().unwrap_or_default().to_owned();
        assert_eq!(said, version, "the tests name the version that they run with");
        server
    }

    /// Lets the first stand still, or go on.
    ///
    /// # Panics
    /// If the system refuses, as a test does.
    pub fn pause(&self, is_paused: bool) {
        let signal = if is_paused { "-STOP" } else { "-CONT" };
        let told = Command::new("kill").args([signal, &self.processes[0].id().to_string()]).status();
        assert!(told.is_ok_and(|status| status.success()), "nats-server is there");
    }

    /// Returns what one of them says of itself.
    fn figures(&self, index: usize) -> serde_json::Value {
        let answer = get(self.monitors[index], "/varz").expect("it answers");
        let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
        serde_json::from_str(body).expect("JSON")
    }

    /// Returns the number of messages that the first was sent.
    ///
    /// # Panics
    /// If the system refuses, as a test does.
    pub fn messages(&self) -> u64 {
        self.figures(0)["in_msgs"].as_u64().expect("a count")
    }

    /// Returns what a node is to know of them.
    pub fn settings(&self) -> NatsSettings {
        NatsSettings {
            servers: self.urls.clone(),
            credentials: PathBuf::new(),
            tls_ca: PathBuf::new(),
            prefix: "test".into(),
            replicas: self.urls.len(),
            connect_timeout: Duration::from_secs(10),
            monitors: vec![],
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        for process in &mut self.processes {
            process.kill().ok();
            process.wait().ok();
        }
        std::fs::remove_dir_all(&self.directory).ok();
    }
}

/// Returns where the program of a version is.
fn program(version: &str) -> PathBuf {
    if version == DEBIAN {
        return PathBuf::from("/usr/sbin/nats-server");
    }
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tools/nats");
    tools.join(version).join("bin/nats-server")
}

/// An address that is free now. Connections get their own ports from 32768 on, so that none takes it before
/// it is used; and each is given once.
fn free() -> SocketAddr {
    const PORTS: std::ops::Range<u32> = 10_000..32_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let first = std::process::id().wrapping_mul(97);
    loop {
        let number = first.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % PORTS.len() as u32;
        let port = u16::try_from(PORTS.start + number).expect("a port");
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

/// Returns what a monitor answers, in HTTP/1.0 so that the answer ends with the connection.
fn get(monitor: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(monitor)?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// Seals the rows of a store anew, after a test has changed them on purpose.
///
/// # Panics
/// If there is no store.
pub fn reseal(directory: &Path) {
    let mut connection = crate::sqlite::open(directory, crate::Durability::Relaxed).expect("a store");
    let transaction = connection.transaction().expect("nobody else writes");
    crate::seal::all(&transaction).expect("rows can be read");
    transaction.commit().expect("it is written");
}
