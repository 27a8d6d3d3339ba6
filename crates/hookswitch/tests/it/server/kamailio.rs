//! A real proxy reports real calls.

use std::collections::BTreeMap;
use std::net::UdpSocket;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::{Home, Server, path, wait_for};

/// Calls that are placed, and how many a second.
const CALLS: usize = 40;
const RATE: usize = 20;

/// A process that ends with the test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // Kamailio ends its children itself when it is asked to.
        Command::new("kill").arg(self.0.id().to_string()).status().ok();
        self.0.wait().ok();
    }
}

fn free_port() -> u16 {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    socket.local_addr().expect("it has an address").port()
}

/// Returns where a program is; Debian keeps servers out of the path of ordinary users.
fn program(name: &str) -> Option<String> {
    let places = ["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin"];
    let found = places.iter().map(|place| format!("{place}/{name}")).find(|file| Path::new(file).exists());
    if found.is_none() {
        eprintln!("skipped: {name} is not installed; ci/setup installs it");
    }
    found
}

#[test]
fn calls_through_kamailio_are_told_as_they_happen() {
    let (Some(kamailio), Some(sipp)) = (program("kamailio"), program("sipp")) else { return };
    let home = Home::new("kamailio");
    let server = Server::start(&home);
    let (proxy, phone, caller) = (free_port(), free_port(), free_port());
    let text = include_str!("kamailio.cfg")
        .replace("@PROXY@", &proxy.to_string())
        .replace("@PHONE@", &phone.to_string())
        .replace("@HEP@", &server.hep().port().to_string());
    let config = home.directory.join("kamailio.cfg");
    std::fs::write(&config, text).expect("the directory takes a file");
    let quiet = |command: &mut Command| {
        command.current_dir(&home.directory).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Process(command.spawn().expect("the program starts"))
    };
    let run = home.directory.join("run");
    std::fs::create_dir(&run).expect("the directory takes another");
    let _proxy = quiet(Command::new(kamailio).args([
        "-DD",
        "-E",
        "-m",
        "64",
        "-f",
        path(&config),
        "-Y",
        path(&run),
        "-w",
        path(&home.directory),
    ]));
    let local = ["-i", "127.0.0.1", "-nostdin"];
    let _phone = quiet(Command::new(&sipp).args(["-sn", "uas", "-p", &phone.to_string()]).args(local));
    // The proxy is up when its port is taken.
    wait_for(
        || UdpSocket::bind(("127.0.0.1", proxy)).is_err().then_some(()),
        || "Kamailio to listen".to_owned(),
    );
    let placed = Command::new(&sipp)
        .args(["-sn", "uac", "-s", "102", "-p", &caller.to_string(), "-d", "300"])
        .args(["-m", &CALLS.to_string(), "-r", &RATE.to_string(), "-timeout", "60"])
        .args(local)
        .arg(format!("127.0.0.1:{proxy}"))
        .current_dir(&home.directory)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .expect("sipp starts");
    assert!(placed.success(), "sipp placed {CALLS} calls: {placed}");

    let ended = |text: &str| text.matches("\"code\":\"Disconnected\"").count();
    let text = wait_for(
        || Some(home.store("events")).filter(|text| ended(text) == 2 * CALLS),
        || format!("{CALLS} calls to end"),
    );
    let mut calls: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in text.lines() {
        let event: serde_json::Value = serde_json::from_str(line).expect("JSON");
        let party = &event["body"]["parties"][0];
        let word = |key: &str| party[key].as_str().expect("a word").to_owned();
        let code = party["status"]["code"].as_str().expect("a word");
        let session = event["body"]["telephonySessionId"].as_str().expect("an id").to_owned();
        calls.entry(session).or_default().push(format!("{} {code}", word("direction")));
    }
    assert_eq!(calls.len(), CALLS);
    for told in calls.values() {
        assert_eq!(
            *told,
            [
                "Outbound Setup",
                "Inbound Setup",
                "Inbound Proceeding",
                "Outbound Proceeding",
                "Inbound Answered",
                "Outbound Answered",
                "Outbound Disconnected",
                "Inbound Disconnected"
            ]
        );
    }
    assert_eq!(server.count("hookswitch_hep_kernel_drops_total"), 0);
    super::hep::balance(&server);
    server.stop();
    home.store("check");
}
