//! The switches that are connected to.

use std::io::Read as _;
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use anyhow::Context as _;
use hookswitch_server::config::Config;

use super::Findings;

/// How long a switch may take to greet.
const PATIENCE: Duration = Duration::from_secs(3);

/// Whether each switch is there and says what it should say first. One that connects by itself is not looked for.
pub(super) fn check_switches(config: &Config, findings: &mut Findings) {
    for (switch, source) in config.switches.sources().filter(|(_, source)| !source.connects()) {
        // Behind TLS, the greeting would need a handshake with its certificates; the log tells of those.
        let wanted = if source.tls_ca.is_some() { b"" } else { switch.adapter().greeting() };
        let wanted = String::from_utf8_lossy(wanted);
        check(switch.adapter().words().protocol, &source.name, &source.address, &wanted, findings);
    }
}

fn check(check: &'static str, name: &str, address: &str, wanted: &str, findings: &mut Findings) {
    match greeting(address, wanted.len()) {
        Ok(said) if said.starts_with(wanted.as_bytes()) => {
            let greets = if wanted.is_empty() { "" } else { " and greets" };
            findings.ok(check, format!("{name} at {address} takes connections{greets}"));
        }
        Ok(said) => findings.failed(
            check,
            format!("{name} at {address} says {:?}, and not {wanted:?}", String::from_utf8_lossy(&said)),
            "compare the address with the port that the switch listens on",
        ),
        Err(error) => findings.failed(
            check,
            format!("{name} at {address} cannot be reached: {error:#}"),
            "look whether the switch listens there for this machine, and for packet filters on the way",
        ),
    }
}

/// Connects, and reads so many octets of what is said first, or what came in time.
fn greeting(address: &str, wanted: usize) -> anyhow::Result<Vec<u8>> {
    let mut found = address.to_socket_addrs().with_context(|| format!("{address} has no address"))?;
    let address = found.next().context("the name has no address")?;
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut said = vec![0; wanted];
    let mut length = 0;
    while length < wanted {
        match stream.read(&mut said[length..]) {
            Ok(0) | Err(_) => break,
            Ok(read) => length += read,
        }
    }
    said.truncate(length);
    Ok(said)
}
