//! Support for the benchmarks of a running server.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Instant;

use hookswitch_model::Timestamp;
use hookswitch_signal::capture::{Captured, Transport, hep};

#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// The messages of an answered call, and which of them come back.
pub(crate) fn call(number: u64) -> [(bool, String); 6] {
    let message = |start: &str, cseq: &str, tag: &str| {
        let branch = cseq.replace(' ', "-");
        format!(
            "{start}\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK-{number}-{branch};rport\r\n\
             Max-Forwards: 70\r\nFrom: \"Ann Lee\" <sip:101@pbx.example>;tag=a{number}\r\n\
             To: <sip:102@pbx.example>{tag}\r\nCall-ID: {number}-benchmark@192.0.2.1\r\nCSeq: {cseq}\r\n\
             Contact: <sip:101@192.0.2.1:5060>\r\nUser-Agent: hookswitch benchmark\r\n\
             Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE\r\nSupported: timer\r\nContent-Length: 0\r\n\r\n",
        )
    };
    let tag = ";tag=b";
    [
        (false, message("INVITE sip:102@pbx.example SIP/2.0", "1 INVITE", "")),
        (true, message("SIP/2.0 180 Ringing", "1 INVITE", tag)),
        (true, message("SIP/2.0 200 OK", "1 INVITE", tag)),
        (false, message("ACK sip:102@pbx.example SIP/2.0", "1 ACK", tag)),
        (false, message("BYE sip:102@pbx.example SIP/2.0", "2 BYE", tag)),
        (true, message("SIP/2.0 200 OK", "2 BYE", tag)),
    ]
}

/// A capture agent.
pub(crate) struct Agent {
    socket: UdpSocket,
    time: i64,
    frame: Vec<u8>,
}

impl Agent {
    /// One that sends from an address to another.
    pub(crate) fn new(address: &str, to: SocketAddr) -> Self {
        let socket = UdpSocket::bind((address, 0)).expect("a free port");
        socket.connect(to).expect("an address");
        Self { socket, time: 1_700_000_000_000_000, frame: Vec::new() }
    }

    /// Sends a message as HEP, a millisecond after the one before by its clock.
    pub(crate) fn send(&mut self, back: bool, message: &str) {
        let ways = ["192.0.2.1:5060", "192.0.2.2:5060"].map(|text| text.parse().expect("an address"));
        let [mut src, mut dst]: [SocketAddr; 2] = ways;
        if back {
            std::mem::swap(&mut src, &mut dst);
        }
        self.time += 1000;
        let captured = Captured {
            time: Timestamp::from_micros(self.time),
            transport: Transport::Udp,
            src,
            dst,
            packet: 0,
            correlation: None,
            payload: message.as_bytes(),
        };
        self.frame.clear();
        hep::write(&captured, 1, None, &mut self.frame).expect("it fits");
        self.socket.send(&self.frame).expect("the datagram leaves");
    }
}

#[expect(clippy::zombie_processes, reason = "who calls waits; when this panics the benchmark is over")]
pub(crate) fn serve(
    home: &Path,
    arguments: &[&str],
    settings: &[(&str, &str)],
) -> (Child, SocketAddr, SocketAddr, u64) {
    let mut process = Command::new(env!("CARGO_BIN_EXE_hookswitch"))
        .args(["serve", "--config"])
        .arg(home.join("hookswitch.toml"))
        .args(arguments)
        .envs([
            ("HOOKSWITCH_SERVER__LISTEN", "127.0.0.1:0"),
            ("HOOKSWITCH_HEP__LISTEN", "127.0.0.1:0"),
            ("HOOKSWITCH_HEP__RECEIVE_BUFFER_BYTES", "67108864"),
            ("HOOKSWITCH_LOG__FORMAT", "json"),
        ])
        .envs(settings.iter().copied())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the server starts");
    let mut lines = BufReader::new(process.stderr.take().expect("a pipe")).lines();
    let (mut http, mut hep) = (None, None);
    loop {
        let line = lines.next().expect("the server says that it is ready").expect("text");
        let line: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        if line["message"].as_str().is_some_and(|text| text.contains("is restored")) {
            println!(
                "state restored in {} ms, of {} inputs behind the saved one",
                line["milliseconds"], line["inputs"]
            );
        }
        let address = line["address"].as_str().and_then(|address| address.parse().ok());
        match line["what"].as_str() {
            Some("HTTP") => http = address,
            Some("HEP over UDP") => hep = address,
            _ => {}
        }
        if line["message"] == "ready" {
            thread::spawn(move || lines.for_each(drop));
            let milliseconds = line["milliseconds"].as_u64().unwrap_or_default();
            return (process, http.expect("HTTP"), hep.expect("HEP"), milliseconds);
        }
    }
}

pub(crate) fn stop(process: &mut Child) {
    Command::new("kill").arg(process.id().to_string()).status().expect("kill runs");
    process.wait().expect("it ends");
}

pub(crate) fn metrics(http: SocketAddr) -> String {
    let mut stream = TcpStream::connect(http).expect("the server listens");
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").expect("it reads");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("it answers");
    text
}
