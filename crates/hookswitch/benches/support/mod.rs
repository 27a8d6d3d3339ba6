//! What the benchmarks of a running server have in common.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Instant;

#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// The messages of an answered call.
pub(crate) fn call(number: u64) -> [String; 6] {
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
        message("INVITE sip:102@pbx.example SIP/2.0", "1 INVITE", ""),
        message("SIP/2.0 180 Ringing", "1 INVITE", tag),
        message("SIP/2.0 200 OK", "1 INVITE", tag),
        message("ACK sip:102@pbx.example SIP/2.0", "1 ACK", tag),
        message("BYE sip:102@pbx.example SIP/2.0", "2 BYE", tag),
        message("SIP/2.0 200 OK", "2 BYE", tag),
    ]
}

#[expect(clippy::zombie_processes, reason = "who calls waits; when this panics the benchmark is over")]
pub(crate) fn serve(home: &Path, settings: &[(&str, &str)]) -> (Child, SocketAddr, SocketAddr, u64) {
    let mut process = Command::new(env!("CARGO_BIN_EXE_hookswitch"))
        .args(["serve", "--config"])
        .arg(home.join("hookswitch.toml"))
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
