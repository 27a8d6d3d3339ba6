//! `hookswitch play`: a capture, sent to a running server as a capture agent would send it.

use std::net::{SocketAddr, ToSocketAddrs as _, UdpSocket};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use hookswitch_model::Timestamp;
use hookswitch_signal::capture::hep;

use super::{Captures, shows_progress, warn};
use crate::clock;
use crate::secret;
use crate::source::captures::CaptureFiles;

/// How far a message may be behind its time before it is sent without waiting.
const SLACK: Duration = Duration::from_micros(200);

/// Messages that are sent without a pause when there is no timing: what a receive buffer of 200 kB
/// holds.
const BURST: u64 = 100;

/// The arguments of the command.
#[derive(clap::Args)]
pub(super) struct Play {
    #[command(flatten)]
    captures: Captures,
    /// Where to send: the address of a server's HEP port (UDP)
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9060")]
    to: String,
    /// How many times as fast as it was; 0 for as fast as goes
    #[arg(long, value_name = "N", default_value_t = 1.0)]
    speed: f64,
    /// The key that the server asks for
    #[arg(long, value_name = "KEY", env = "HOOKSWITCH_HEP_KEY", hide_env_values = true)]
    key: Option<String>,
}

impl Play {
    /// Sends every message with the time at which it was captured.
    pub(super) fn run(self) -> anyhow::Result<()> {
        check_speed(self.speed)?;
        let to = address(&self.to)?;
        let from: SocketAddr = if to.is_ipv4() { "0.0.0.0:0".parse()? } else { "[::]:0".parse()? };
        let socket = UdpSocket::bind(from).context("cannot open a UDP socket")?;
        socket.connect(to).with_context(|| format!("cannot send to {to}"))?;
        let mut files = CaptureFiles::open(&self.captures.files, shows_progress())?;
        let started = clock::now();
        let key = self.key.as_deref().map(str::as_bytes);
        let Sent { sent, too_long } = send(&mut files, &socket, self.speed, key)?;
        files.done();
        warn(&files.warnings());
        let seconds = started.elapsed().as_secs_f64();
        eprintln!("hookswitch: sent {sent} messages to {to} in {seconds:.1} s");
        if too_long > 0 {
            eprintln!(
                "hookswitch: warning: {too_long} messages are too long for a HEP frame and were not sent"
            );
        }
        Ok(())
    }
}

/// Whether captures can be played so many times as fast as they were.
///
/// # Errors
/// If not.
pub(super) fn check_speed(speed: f64) -> anyhow::Result<()> {
    ensure!(
        speed == 0.0 || (1.0..=1e6).contains(&speed),
        "a speed of {speed} cannot be played; give 0, or 1 and more: slower than it was, timers would fire"
    );
    Ok(())
}

/// How many messages of captures were sent, and how many were not.
struct Sent {
    sent: u64,
    /// Those that no HEP frame can hold.
    too_long: u64,
}

/// Sends every message to where the socket is connected to, `speed` times as fast as it was.
///
/// # Errors
/// If a file cannot be read, or nobody listens.
fn send(
    files: &mut CaptureFiles,
    socket: &UdpSocket,
    speed: f64,
    key: Option<&[u8]>,
) -> anyhow::Result<Sent> {
    // Each play is an agent of its own, with a clock of its own.
    let agent = u32::from_be_bytes(secret::random()?);
    let started = clock::now();
    let mut first: Option<Timestamp> = None;
    let (mut frame, mut sent, mut too_long) = (Vec::new(), 0_u64, 0_u64);
    while let Some((captured, _)) = files.next()? {
        let due = captured.time.since(*first.get_or_insert(captured.time));
        if speed > 0.0 {
            let wait = due.div_f64(speed).saturating_sub(started.elapsed());
            if wait > SLACK {
                thread::sleep(wait);
            }
        } else if sent % BURST == BURST - 1 {
            thread::sleep(Duration::from_millis(1));
        }
        if !captured.transport.is_sip() {
            continue; // no agent tells of it
        }
        frame.clear();
        if hep::write(&captured, agent, key, &mut frame).is_err() {
            too_long += 1;
            continue;
        }
        socket.send(&frame).with_context(|| match socket.peer_addr() {
            Ok(to) => format!("cannot send to {to}; start the server, or name its HEP address with --to"),
            Err(_) => "cannot send".to_owned(),
        })?;
        sent += 1;
    }
    Ok(Sent { sent, too_long })
}

fn address(text: &str) -> anyhow::Result<SocketAddr> {
    let mut found = text
        .to_socket_addrs()
        .with_context(|| format!("{text:?} is no address; write it as 127.0.0.1:9060"))?;
    found.next().with_context(|| format!("{text:?} has no address; write it as 127.0.0.1:9060"))
}
