//! The ports, and a server that runs.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use hookswitch_server::config::Config;
use serde_json::Value;

use super::Findings;

/// Time that a server may take for an answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// Interval between checks whether a datagram was counted.
const PAUSE: Duration = Duration::from_millis(50);

/// Begins a HEP frame and is none: it is counted, and changes nothing.
const PROBE: &[u8] = b"HEP3\0\x06";

/// Returns `true` if a Hookswitch answers where this configuration has it listen.
pub(super) fn is_running(config: &Config) -> bool {
    get(config, "/healthz", None).is_ok_and(|(status, body)| status == 200 && body.contains("\"alive\""))
}

/// Checks that each port is free, or is that of the server of this configuration.
pub(super) fn check_ports(config: &Config, running: bool, findings: &mut Findings) {
    let tcp = |address: SocketAddr| TcpListener::bind(address).map(drop);
    let udp = |address: SocketAddr| UdpSocket::bind(address).map(drop);
    let mut check =
        |what: &str, key: &str, kind: &str, address: SocketAddr, opened: io::Result<()>| match opened {
            Ok(()) => findings.ok("ports", format!("{kind} {address} is free for {what}")),
            Err(error) if error.kind() == ErrorKind::AddrInUse && running => {
                findings.ok("ports", format!("{kind} {address} is taken, and the server runs"));
            }
            Err(error) => {
                let fix = match error.kind() {
                    ErrorKind::AddrInUse => format!("end what has it (ss -lpn), or set {key}"),
                    ErrorKind::PermissionDenied => {
                        format!("give a port above 1023 in {key}, or the capability CAP_NET_BIND_SERVICE")
                    }
                    _ => format!("set {key} to an address of this machine"),
                };
                findings.failed("ports", format!("{kind} {address} cannot be had for {what}: {error}"), fix);
            }
        };
    let http = config.server.listen;
    check("HTTP", "server.listen", "TCP", http, tcp(http));
    if let Some(address) = config.hep.listen.0 {
        check("HEP", "hep.listen", "TCP", address, tcp(address));
        check("HEP", "hep.listen", "UDP", address, udp(address));
    }
    if let Some(address) = config.hep.tls_listen.0 {
        check("HEP over TLS", "hep.tls_listen", "TCP", address, tcp(address));
    }
    for (switch, section) in config.switches.sections() {
        if let Some(address) = section.listen.0 {
            let (name, what) = (switch.adapter().name(), switch.adapter().words().protocol);
            check(what, &format!("{name}.listen"), "TCP", address, tcp(address));
        }
    }
}

/// Checks that a datagram that is sent to the running server arrives.
pub(super) fn check_arrival(config: &Config, findings: &mut Findings) {
    let Some(listens) = config.hep.listen.0 else { return };
    let to = reachable(listens);
    match arrives(config, to) {
        Ok(true) => findings.ok("HEP", format!("a datagram to {to} arrives")),
        Ok(false) => findings.failed(
            "HEP",
            format!("a datagram to {to} does not arrive"),
            "look for a packet filter (nft list ruleset), and whether the server has hep.listen as it is now",
        ),
        Err(error) => findings.failed(
            "HEP",
            format!("no datagram can be sent to {to}: {error:#}"),
            "look whether the server has hep.listen as it is now",
        ),
    }
}

fn arrives(config: &Config, to: SocketAddr) -> anyhow::Result<bool> {
    let received = || -> anyhow::Result<u64> {
        let (_, text) = get(config, "/metrics", None)?;
        let name = "hookswitch_hep_frames_received_total{transport=\"udp\"} ";
        let count =
            text.lines().find_map(|line| line.strip_prefix(name)).context("the server counts no frames")?;
        Ok(count.parse()?)
    };
    let from: IpAddr = if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((from, 0))?;
    let before = received()?;
    socket.send_to(PROBE, to)?;
    for _ in 0..PATIENCE.as_millis() / PAUSE.as_millis() {
        if received()? > before {
            return Ok(true);
        }
        thread::sleep(PAUSE);
    }
    Ok(false)
}

/// Returns how the receivers of webhooks are, as the running server has it.
///
/// # Errors
/// If the file with the token cannot be read.
pub(super) fn check_webhooks(config: &Config, token: &Path, findings: &mut Findings) -> anyhow::Result<()> {
    let name = token.display();
    let token = std::fs::read_to_string(token).with_context(|| format!("cannot read {name}"))?;
    let records = match get(config, "/admin/v1/subscriptions", Some(token.trim())) {
        Ok((200, body)) => serde_json::from_str::<Value>(&body).unwrap_or_default()["records"].take(),
        Ok((status, _)) => {
            findings.failed(
                "webhooks",
                format!("the server answers {status} to the token of {name}"),
                "give a file with an admin token alone, such as hookswitch init has shown",
            );
            return Ok(());
        }
        Err(error) => {
            findings.failed("webhooks", format!("the server does not tell: {error}"), "run this again");
            return Ok(());
        }
    };
    let records = records.as_array().map(Vec::as_slice).unwrap_or_default();
    let mut well = 0;
    for record in records {
        if record["status"] != "Blacklisted" {
            well += 1;
            continue;
        }
        findings.warning(
            "webhooks",
            format!(
                "the receiver of subscription {} has failed for so long that it is blacklisted",
                record["id"]
            ),
            "see to the receiver, and renew the subscription; what is due to it waits in the event log",
        );
    }
    if well > 0 || records.is_empty() {
        findings.ok("webhooks", format!("{well} subscriptions are told of their events"));
    }
    Ok(())
}

/// Returns where something that listens everywhere can be reached from here.
fn reachable(listens: SocketAddr) -> SocketAddr {
    let ip = match listens.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listens.port())
}

/// Asks the server for something, in HTTP/1.0 so that the answer ends with the connection.
fn get(config: &Config, path: &str, token: Option<&str>) -> anyhow::Result<(u16, String)> {
    let to = reachable(config.server.listen);
    let mut stream = TcpStream::connect_timeout(&to, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let authorization = token.map_or(String::new(), |token| format!("Authorization: Bearer {token}\r\n"));
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: {to}\r\n{authorization}\r\n").as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").context("this is no answer of HTTP")?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Ok((status.context("this is no answer of HTTP")?, body.to_owned()))
}
