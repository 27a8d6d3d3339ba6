//! PDUs as Wireshark exports them (link type 252, `LINKTYPE_WIRESHARK_UPPER_PDU`): tags that say what was around
//! a PDU, each with a length, and then the PDU.
//!
//! See <https://www.tcpdump.org/linktypes/LINKTYPE_WIRESHARK_UPPER_PDU.html>.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::sniff::{self, Sniff};

/// The number of the link type.
pub(super) const LINK: u16 = 252;

/// A PDU and what is said of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pdu<'a> {
    /// The name of what reads it in Wireshark, without the padding.
    dissector: &'a [u8],
    /// The sender, if its address is given; port 0 if the port is not.
    pub(super) src: Option<SocketAddr>,
    /// The receiver, likewise.
    pub(super) dst: Option<SocketAddr>,
    /// It came in a TCP stream.
    pub(super) is_tcp: bool,
    payload: &'a [u8],
}

/// Content of a PDU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content<'a> {
    Sip(&'a [u8]),
    /// An IP packet.
    Ip(&'a [u8]),
    /// An Ethernet frame.
    Ethernet(&'a [u8]),
    Other,
}

/// Reads the tags; none if they have no end, or one claims more than there is.
pub(super) fn parse(mut frame: &[u8]) -> Option<Pdu<'_>> {
    let (mut src, mut dst, mut src_port, mut dst_port) = (None, None, 0, 0);
    let (mut dissector, mut is_tcp) = (&[][..], false);
    loop {
        let [t0, t1, l0, l1, rest @ ..] = frame else { return None };
        let (value, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes([*l0, *l1])))?;
        frame = rest;
        match u16::from_be_bytes([*t0, *t1]) {
            0 => break,
            12..=14 => dissector = text(value),
            20 | 22 => src = address(value),
            21 | 23 => dst = address(value),
            24 => is_tcp = number(value) == Some(2),
            25 => src_port = port(value),
            26 => dst_port = port(value),
            _ => {}
        }
    }
    let (src, dst) =
        (src.map(|ip| SocketAddr::new(ip, src_port)), dst.map(|ip| SocketAddr::new(ip, dst_port)));
    Some(Pdu { dissector, src, dst, is_tcp, payload: frame })
}

impl<'a> Pdu<'a> {
    /// Returns what it is: SIP by its content, as everywhere, and packets by their name.
    pub(super) fn content(&self) -> Content<'a> {
        let payload = sniff::skip_keep_alive(self.payload);
        if sniff::start_line(payload) == Sniff::Sip {
            return Content::Sip(payload);
        }
        match self.dissector {
            b"ip" | b"ipv6" | b"raw_ip" => Content::Ip(self.payload),
            name if name == b"eth" || name.starts_with(b"eth_") => Content::Ethernet(self.payload),
            _ => Content::Other,
        }
    }
}

/// A string without the zeros that fill it up.
fn text(value: &[u8]) -> &[u8] {
    &value[..value.iter().position(|&byte| byte == 0).unwrap_or(value.len())]
}

fn address(value: &[u8]) -> Option<IpAddr> {
    if let Ok(four) = <[u8; 4]>::try_from(value) {
        return Some(Ipv4Addr::from(four).into());
    }
    <[u8; 16]>::try_from(value).ok().map(|six| Ipv6Addr::from(six).into())
}

fn number(value: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(value.try_into().ok()?))
}

fn port(value: &[u8]) -> u16 {
    number(value).and_then(|port| u16::try_from(port).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::fixture::exported;
    use super::*;

    #[test]
    fn tags_say_who_sent_what_to_whom() {
        let bytes = exported("sip", "192.0.2.1:5060", "192.0.2.2:5070", 2, b"SIP/2.0 200 OK\r\n\r\n");
        let pdu = parse(&bytes).unwrap();
        assert_eq!(pdu.src, Some("192.0.2.1:5060".parse().unwrap()));
        assert_eq!(pdu.dst, Some("192.0.2.2:5070".parse().unwrap()));
        assert!(pdu.is_tcp);
        assert_eq!(pdu.content(), Content::Sip(b"SIP/2.0 200 OK\r\n\r\n"));
        let bytes = exported("sip_udp", "[::1]:1", "[::2]:7", 3, b"SIP/2.0 200 OK");
        let pdu = parse(&bytes).unwrap();
        assert_eq!((pdu.src, pdu.is_tcp), (Some("[::1]:1".parse().unwrap()), false));
    }

    #[test]
    fn other_contents_are_told_by_their_name() {
        let content = |name: &str| {
            let bytes = exported(name, "192.0.2.1:1", "192.0.2.2:1", 3, b"E...");
            parse(&bytes).unwrap().content() == Content::Ip(b"E...")
        };
        assert!(content("ip") && content("ipv6") && !content("rtp"));
        let bytes = exported("eth_withoutfcs", "192.0.2.1:1", "192.0.2.2:1", 3, b"??");
        assert_eq!(parse(&bytes).unwrap().content(), Content::Ethernet(b"??"));
        let bytes = exported("rtp", "192.0.2.1:1", "192.0.2.2:1", 3, b"\x80");
        assert_eq!(parse(&bytes).unwrap().content(), Content::Other);
    }

    #[test]
    fn no_length_of_a_tag_is_believed() {
        let bytes = exported("sip", "192.0.2.1:5060", "192.0.2.2:5070", 2, b"");
        for cut in 0..bytes.len() {
            assert_eq!(parse(&bytes[..cut]), None);
        }
        assert_eq!(parse(&[0, 12, 255, 255, 1]), None);
        let without = parse(&[0, 20, 0, 3, 1, 2, 3, 0, 25, 0, 4, 0, 1, 0, 0, 0, 0, 0, 0]).unwrap();
        assert_eq!((without.src, without.dst), (None, None));
    }
}
