//! `hookswitch play`: a capture, sent to a running server as a capture agent would send it.

use std::net::{SocketAddr, ToSocketAddrs as _, UdpSocket};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use hookswitch_model::Timestamp;
use hookswitch_server::source::captures::CaptureFiles;
use hookswitch_server::{clock, secret};
use hookswitch_signal::capture::{Captured, hep};

use super::{Captures, shows_progress, warn};

/// Delay at which a message is still sent without waiting.
const SLACK: Duration = Duration::from_micros(200);

/// Messages that are sent without a pause when there is no timing: what a receive buffer of 200 kB
/// holds.
const BURST: u64 = 100;

/// The arguments of the command.
#[derive(clap::Args)]
pub(super) struct Play {
    #[command(flatten)]
    captures: Captures,
    /// Address of the server's HEP port (UDP)
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9060")]
    to: String,
    /// Speed relative to the capture; 0 = no delay
    #[arg(long, value_name = "N", default_value_t = 1.0)]
    speed: f64,
    /// Keep the times of the capture: calls that the server already has give no new events
    #[arg(long)]
    original_times: bool,
    /// The key that the server asks for
    #[arg(long, value_name = "KEY", env = "HOOKSWITCH_HEP_KEY", hide_env_values = true)]
    key: Option<String>,
}

impl Play {
    /// Sends every message, as if it were captured now or with the time at which it was.
    pub(super) fn run(self) -> anyhow::Result<()> {
        check_speed(self.speed)?;
        let to = address(&self.to)?;
        let from: SocketAddr = if to.is_ipv4() { "0.0.0.0:0".parse()? } else { "[::]:0".parse()? };
        let socket = UdpSocket::bind(from).context("cannot open a UDP socket")?;
        socket.connect(to).with_context(|| format!("cannot send to {to}"))?;
        let paths = &self.captures.files;
        let saved = if self.original_times { Duration::ZERO } else { saved_time(paths, self.speed)? };
        let mut files = CaptureFiles::open(paths, shows_progress())?;
        let started = clock::now();
        let key = self.key.as_deref().map(str::as_bytes);
        let Self { speed, original_times, .. } = self;
        let schedule = |first| Schedule::new(first, speed, (!original_times).then_some(saved));
        let Sent { sent, too_long } = send(&mut files, &socket, schedule, key)?;
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

/// Returns whether captures can be played so many times as fast as they were.
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

/// Schedule of a play: when each message is sent, and which time it is sent with.
#[derive(Clone, Copy)]
struct Schedule {
    /// The time of the first message, in the capture and as it is sent.
    captured: Timestamp,
    stamped: Timestamp,
    started: Instant,
    /// Speed relative to the capture; 0 is without pauses.
    speed: f64,
}

impl Schedule {
    /// Begins to play now, with the message of this time. Times are those of the capture, or moved so that the
    /// first lies `moved` before now; the spacing is that of the capture, whatever the speed, because timers and
    /// rules go by it.
    fn new(first: Timestamp, speed: f64, moved: Option<Duration>) -> Self {
        let stamped = moved.map_or(first, |ago| moved_by(clock::wall(), -micros(ago)));
        Self { captured: first, stamped, started: clock::now(), speed }
    }

    /// Returns how long to wait until the message of this time is due.
    fn wait(&self, at: Timestamp) -> Duration {
        if self.speed == 0.0 {
            return Duration::ZERO;
        }
        let due = at.since(self.captured).div_f64(self.speed);
        due.saturating_sub(self.started.elapsed())
    }

    /// The time with which the message of this time is sent.
    fn stamp(&self, at: Timestamp) -> Timestamp {
        moved_by(self.stamped, at.as_micros().saturating_sub(self.captured.as_micros()))
    }
}

fn moved_by(at: Timestamp, micros: i64) -> Timestamp {
    Timestamp::from_micros(at.as_micros().saturating_add(micros))
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// Returns how much shorter than the captures a play of them is. A play begins so long ago by the times that it sends:
/// then none lies in the future, and the last is that of its sending. Zero if the length of the captures is not
/// known before they are played, as that of standard input.
///
/// # Errors
/// If a file cannot be read.
fn saved_time(paths: &[PathBuf], speed: f64) -> anyhow::Result<Duration> {
    let can_be_read_twice = |path: &PathBuf| path != Path::new("-") && path.is_file();
    let is_as_it_was = speed > 0.0 && speed <= 1.0;
    if is_as_it_was || !paths.iter().all(can_be_read_twice) {
        return Ok(Duration::ZERO);
    }
    let mut files = CaptureFiles::open(paths, false)?;
    let mut first = None;
    let mut length = Duration::ZERO;
    while let Some((captured, _)) = files.next()? {
        if captured.transport.is_sip() {
            length = length.max(captured.time.since(*first.get_or_insert(captured.time)));
        }
    }
    Ok(if speed == 0.0 { length } else { length.saturating_sub(length.div_f64(speed)) })
}

/// Number of messages of captures that were sent, and that were not.
struct Sent {
    sent: u64,
    /// Those that no HEP frame can hold.
    too_long: u64,
}

/// Sends every message to where the socket is connected to, by a schedule that begins with the time of the first.
///
/// # Errors
/// If a file cannot be read, or nobody listens.
fn send(
    files: &mut CaptureFiles,
    socket: &UdpSocket,
    schedule: impl Fn(Timestamp) -> Schedule,
    key: Option<&[u8]>,
) -> anyhow::Result<Sent> {
    // Each play is an agent of its own, with a clock of its own.
    let agent = u32::from_be_bytes(secret::random()?);
    let mut begun: Option<Schedule> = None;
    let (mut frame, mut sent, mut too_long) = (Vec::new(), 0_u64, 0_u64);
    while let Some((captured, _)) = files.next()? {
        if !captured.transport.is_sip() {
            continue; // no agent tells of it
        }
        let schedule = begun.get_or_insert_with(|| schedule(captured.time));
        let wait = schedule.wait(captured.time);
        if wait > SLACK {
            thread::sleep(wait);
        } else if schedule.speed == 0.0 && sent % BURST == BURST - 1 {
            thread::sleep(Duration::from_millis(1));
        }
        frame.clear();
        let stamped = Captured { time: schedule.stamp(captured.time), ..captured };
        if hep::write(&stamped, agent, key, &mut frame).is_err() {
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
