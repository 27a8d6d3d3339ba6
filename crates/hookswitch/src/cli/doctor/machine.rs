//! The machine: its clock, its limits and its disk.

use std::fs;
use std::io::Write as _;
use std::net::{Ipv4Addr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use hookswitch_server::config::Config;
use hookswitch_server::{clock, secret};
use hookswitch_store::Reader;
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::socket::sockopt::{RcvBuf, RcvBufForce};
use nix::sys::socket::{getsockopt, setsockopt};
use nix::sys::statvfs::statvfs;

use super::Findings;

/// Written by systemd-timesyncd when it has set the clock.
const TIMESYNC: &str = "/run/systemd/timesync/synchronized";

/// Descriptors for what is no connection: files, listeners, the store.
const FILES_BESIDE: usize = 256;

/// Number of writes that are synced to measure the disk, and the time that they may take.
const SYNCS: u32 = 5;
const SYNC_SLOW: Duration = Duration::from_millis(50);

/// Room that there must be on disk, whatever is kept.
const FREE_MIN: u64 = 1 << 30;

/// Time that something must have been kept for its rate to say something.
const RATE_OVER_MIN: Duration = Duration::from_secs(600);

/// Checks that the clock is set by others.
pub(super) fn check_clock(findings: &mut Findings) {
    let set = Path::new(TIMESYNC).exists().then_some(true).or_else(|| {
        let mut command = Command::new("timedatectl");
        command
            .args(["show", "--property=NTPSynchronized", "--value"])
            .stdin(Stdio::null())
            .stderr(Stdio::null());
        let output = command.output().ok().filter(|output| output.status.success())?;
        Some(output.stdout.starts_with(b"yes"))
    });
    match set {
        Some(true) => findings.ok("clock", "the clock is synchronised"),
        Some(false) => findings.warning(
            "clock",
            "the clock is not synchronised, and calls would have wrong times",
            "run a time service: apt install systemd-timesyncd, or chrony",
        ),
        None => findings.warning(
            "clock",
            "whether the clock is synchronised cannot be told: there is no timedatectl here, as in most containers",
            "see to it that the host of this machine has a time service",
        ),
    }
}

/// Checks that there are descriptors for all connections that the settings allow.
pub(super) fn check_open_files(config: &Config, findings: &mut Findings) {
    let wanted = (config.hep.connections_max
        + config.switches.sections().map(|(_, section)| section.connections_max).sum::<usize>()
        + config.websocket.connections_max
        + config.webhooks.in_flight_max
        + FILES_BESIDE) as u64;
    match getrlimit(Resource::RLIMIT_NOFILE) {
        Ok((_, hard)) if hard >= wanted => {
            findings.ok("open files", format!("{hard} may be open, and {wanted} may be needed"));
        }
        Ok((_, hard)) => findings.warning(
            "open files",
            format!("{hard} may be open, and the settings allow {wanted}"),
            format!("set LimitNOFILE={wanted} in the unit of the service (or ulimit -Hn), or lower websocket.connections_max"),
        ),
        Err(error) => findings.warning("open files", format!("the limit cannot be read: {error}"), "run ulimit -Hn"),
    }
}

/// Checks that the kernel gives HEP the buffer that it is asked for.
pub(super) fn check_receive_buffer(config: &Config, findings: &mut Findings) {
    let asked = config.hep.receive_buffer_bytes;
    if config.hep.listen.0.is_none() {
        return;
    }
    let given = || -> anyhow::Result<usize> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        if setsockopt(&socket, RcvBufForce, &asked).is_err() {
            setsockopt(&socket, RcvBuf, &asked)?;
        }
        Ok(getsockopt(&socket, RcvBuf)? / 2) // the kernel reports twice what it was asked for
    };
    match given() {
        Ok(given) if given >= asked => {
            findings
                .ok("receive buffer", format!("the kernel gives HEP the {asked} bytes that it is asked for"));
        }
        Ok(given) => findings.warning(
            "receive buffer",
            format!(
                "the kernel gives HEP {given} bytes instead of {asked}; a burst of datagrams may be lost"
            ),
            format!("sysctl -w net.core.rmem_max={asked}, and the same in /etc/sysctl.d"),
        ),
        Err(error) => findings.failed(
            "receive buffer",
            format!("no receive buffer of {asked} bytes can be had: {error:#}"),
            "set hep.receive_buffer_bytes to 33554432",
        ),
    }
}

/// Checks that the disk takes what will be kept, and how fast.
pub(super) fn check_disk(config: &Config, findings: &mut Findings) {
    let directory = &config.store.directory;
    let name = directory.display();
    // Before the first start there is only the directory above.
    let there = directory.ancestors().find(|path| path.exists()).unwrap_or(Path::new("."));
    match sync_time(there) {
        Err(error) => {
            findings.failed(
                "disk",
                format!("nothing can be written to {name}: {error}"),
                "see to its owner and mode",
            );
            return;
        }
        Ok(took) if took > SYNC_SLOW => findings.warning(
            "disk",
            format!("a write to {name} is on disk after {} ms; each answer waits for that", took.as_millis()),
            "put store.directory on a local disk that is faster",
        ),
        Ok(took) => {
            let millis = took.as_secs_f64() * 1e3;
            findings.ok("disk", format!("a write to {name} is on disk after {millis:.1} ms"));
        }
    }
    let free = match statvfs(there) {
        Ok(disk) => disk.blocks_available() * disk.fragment_size(),
        Err(error) => {
            findings.failed(
                "disk",
                format!("the room at {name} cannot be read: {error}"),
                "look at the mount",
            );
            return;
        }
    };
    let (wanted, why) =
        wanted(config).unwrap_or((FREE_MIN, "what is kept here is too little yet to reckon with"));
    let (has, needs) = (mebibytes(free), mebibytes(wanted.max(FREE_MIN)));
    if free >= wanted.max(FREE_MIN) {
        findings.ok("disk", format!("{has} MiB are free, and {needs} MiB may be needed: {why}"));
    } else {
        findings.warning(
            "disk",
            format!("{has} MiB are free, and {needs} MiB may be needed: {why}"),
            "make room, or lower store.events_kept and store.signals_kept",
        );
    }
}

/// Returns how much will be needed on top of what is taken, at the rate at which it has grown.
fn wanted(config: &Config) -> Option<(u64, &'static str)> {
    let taken: u64 = fs::read_dir(&config.store.directory)
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.metadata().ok()?.len()))
        .sum();
    let first = Reader::of(&config.store.directory, config.partitions()).ok()?.first_arrival().ok()??;
    let over = clock::wall().since(first);
    if over < RATE_OVER_MIN {
        return None;
    }
    let (kept, over) = (config.store.events_kept.0.as_secs(), over.as_secs());
    let in_all = u128::from(taken) * u128::from(kept) / u128::from(over);
    let wanted = u64::try_from(in_all).unwrap_or(u64::MAX).saturating_sub(taken);
    Some((wanted, "what is kept grows at the rate that it had"))
}

fn mebibytes(bytes: u64) -> u64 {
    bytes >> 20
}

/// The median time until a small write is on disk.
fn sync_time(directory: &Path) -> std::io::Result<Duration> {
    let token = secret::token().map_err(std::io::Error::other)?;
    let probe = Probe(directory.join(format!("doctor-{token}")));
    let mut file = fs::OpenOptions::new().write(true).create_new(true).open(&probe.0)?;
    let mut took = Vec::new();
    for _ in 0..SYNCS {
        let started = clock::now();
        file.write_all(&[0; 4096])?;
        file.sync_data()?;
        took.push(started.elapsed());
    }
    took.sort_unstable();
    Ok(took[took.len() / 2])
}

/// A file that goes away.
struct Probe(PathBuf);

impl Drop for Probe {
    fn drop(&mut self) {
        fs::remove_file(&self.0).ok(); // it may never have been made
    }
}
