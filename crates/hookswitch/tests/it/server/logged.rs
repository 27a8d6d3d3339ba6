//! A server whose log is read as it is written.

use std::fs::File;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use super::{Home, path, wait_for, without_test_sizes};

/// A server whose log goes into a file as it is.
pub(super) struct Logged {
    process: Child,
    log: PathBuf,
}

impl Logged {
    pub(super) fn start(home: &Home, level: &str, format: &str) -> Self {
        let log = home.directory.join(format!("log.{format}"));
        let mut command = Command::new(env!("CARGO_BIN_EXE_hookswitch"));
        let process = without_test_sizes(&mut command)
            .args(["serve", "--dev", "--config", path(&home.config())])
            .env("HOOKSWITCH_SERVER__LISTEN", "127.0.0.1:0")
            .env("HOOKSWITCH_HEP__LISTEN", "127.0.0.1:0")
            .env("HOOKSWITCH_LOG__LEVEL", level)
            .env("HOOKSWITCH_LOG__FORMAT", format)
            .stdin(Stdio::null())
            .stderr(File::create(&log).expect("a file"))
            .spawn()
            .expect("the server starts");
        let server = Self { process, log };
        wait_for(|| server.text().contains("ready").then_some(()), || "the server".to_owned());
        server
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).expect("the log is there")).into_owned()
    }

    /// Returns where it listens for something.
    pub(super) fn address(&self, what: &str) -> SocketAddr {
        let text = self.text();
        let line = text.lines().find(|line| line.contains(&format!("\"{what}\""))).expect("it listens");
        let rest = &line[line.find("127.0.0.1:").expect("an address")..];
        let end = rest.find(|c: char| c != '.' && c != ':' && !c.is_ascii_digit()).unwrap_or(rest.len());
        rest[..end].parse().expect("an address")
    }

    /// Stops it, and gives its log.
    pub(super) fn stop(mut self) -> Vec<u8> {
        let told = Command::new("kill").args(["-TERM", &self.process.id().to_string()]).status();
        assert!(told.expect("kill runs").success());
        let ended = wait_for(|| self.process.try_wait().expect("a child"), || "the end".to_owned());
        assert!(ended.success(), "{ended}");
        std::fs::read(&self.log).expect("the log is there")
    }
}

impl Drop for Logged {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}
