//! Tunnels in which an IP packet carries another: GRE with ERSPAN, GTP-U, VXLAN, Geneve and TZSP.

use super::link::{self, Ip};

/// Depth to which packets may be packed into each other; more is an attack, or nonsense.
pub(super) const TUNNELS_MAX: usize = 8;

/// The UDP port of user data in mobile networks (3GPP TS 29.281 §4.4.2).
const GTP_U_PORT: u16 = 2152;

/// The UDP port of VXLAN (RFC 7348 §5), and the one that Linux used before there was one.
const VXLAN_PORT: u16 = 4789;
const VXLAN_PORT_OF_LINUX: u16 = 8472;

/// The UDP port of VXLAN with other contents than Ethernet (draft-ietf-nvo3-vxlan-gpe §9).
const VXLAN_GPE_PORT: u16 = 4790;

/// The UDP port of Geneve (RFC 8926 §3.3).
const GENEVE_PORT: u16 = 6081;

/// The UDP port of TZSP, by which MikroTik's routers mirror packets.
const TZSP_PORT: u16 = 37008;

/// The IP packet in a datagram to a UDP port; none if no tunnel ends there, or it carries something else.
#[inline]
pub(super) fn udp(port: u16, datagram: &[u8]) -> Option<&[u8]> {
    match port {
        GTP_U_PORT => gtp_u(datagram),
        VXLAN_PORT | VXLAN_PORT_OF_LINUX | VXLAN_GPE_PORT => vxlan(datagram),
        GENEVE_PORT => geneve(datagram),
        TZSP_PORT => tzsp(datagram),
        _ => None,
    }
}

/// The tunnel of which the datagrams to a UDP port are.
pub(super) fn name(port: u16) -> Option<&'static str> {
    Some(match port {
        GTP_U_PORT => "GTP-U",
        VXLAN_PORT | VXLAN_PORT_OF_LINUX => "VXLAN",
        VXLAN_GPE_PORT => "VXLAN-GPE",
        GENEVE_PORT => "Geneve",
        TZSP_PORT => "TZSP",
        1701 => "L2TP",
        4500 => "IPsec (NAT traversal)",
        5247 => "CAPWAP",
        _ => return None,
    })
}

/// The IP packet in a GRE packet (RFC 2784, RFC 2890).
///
/// # Errors
/// The EtherType of what it carries instead, or 0 if the header makes no sense.
pub(super) fn gre(packet: &[u8]) -> Result<&[u8], u16> {
    let [flags, version, t0, t1, ..] = packet else { return Err(0) };
    let ethertype = u16::from_be_bytes([*t0, *t1]);
    // Version 1 is PPTP; source routes are out of use (RFC 2784 §2.3).
    if version & 7 != 0 || flags & 0x40 != 0 {
        return Err(ethertype);
    }
    let optional = [0x80, 0x20, SEQUENCE].iter().filter(|&&flag| flags & flag != 0).count() * 4;
    let inner = packet.get(4 + optional..).ok_or(0_u16)?;
    let found = match ethertype {
        TRANSPARENT_ETHERNET => ethernet(inner),
        0x88be => erspan(inner, flags & SEQUENCE != 0),
        0x22eb => erspan_3(inner),
        _ => behind(ethertype, inner),
    };
    found.ok_or(ethertype)
}

/// The flag of a sequence number in the GRE header.
const SEQUENCE: u8 = 0x10;

/// The IP packet in a mirrored frame of ERSPAN type I or II (draft-foschiano-erspan §4.1, §4.2).
///
/// Type II numbers its packets, and has a header of 8 bytes that begins with version 1; type I has none. Some
/// exporters of type II leave the numbers out.
fn erspan(packet: &[u8], numbered: bool) -> Option<&[u8]> {
    let second = || packet.get(8..).filter(|_| packet[0] >> 4 == 1).and_then(ethernet);
    let first = || ethernet(packet);
    if numbered { second().or_else(first) } else { first().or_else(second) }
}

/// The IP packet in a mirrored frame of ERSPAN type III (draft-foschiano-erspan §4.3): a header of 12 bytes,
/// and 8 more of the platform if its last bit says so.
fn erspan_3(packet: &[u8]) -> Option<&[u8]> {
    let &[version, _, _, _, _, _, _, _, _, _, frame_type, last, ..] = packet else { return None };
    if version >> 4 != 2 {
        return None;
    }
    let frame = packet.get(if last & 1 == 1 { 20 } else { 12 }..)?;
    match frame_type >> 2 & 0x1f {
        0 => ethernet(frame),
        2 => Some(frame).filter(|packet| link::is_ip(packet)),
        _ => None,
    }
}

/// The IP packet in a GTP-U message (3GPP TS 29.281 §5); none if it carries none.
fn gtp_u(message: &[u8]) -> Option<&[u8]> {
    let [flags, kind, ..] = message else { return None };
    // Version 1, and protocol type GTP; message type 255 carries a packet.
    if flags & 0xf0 != 0x30 || *kind != 255 {
        return None;
    }
    let mut at = 8;
    if flags & 7 != 0 {
        at = 12;
        let mut next = if flags & 4 != 0 { *message.get(11)? } else { 0 };
        while next != 0 {
            let words = usize::from(*message.get(at)?);
            if words == 0 {
                return None;
            }
            at += words * 4;
            next = *message.get(at - 1)?;
        }
    }
    message.get(at..).filter(|inner| link::is_ip(inner))
}

/// The IP packet in a VXLAN packet (RFC 7348 §5).
///
/// Of the flags only those count that say what follows: the others are for group policies
/// (draft-smith-vxlan-group-policy), or of the network alone. With the bit P, the fourth byte names another
/// protocol than Ethernet (draft-ietf-nvo3-vxlan-gpe §3).
fn vxlan(packet: &[u8]) -> Option<&[u8]> {
    let [flags, _, _, next, _, _, _, _, inner @ ..] = packet else { return None };
    if flags & 0x08 == 0 {
        return None;
    }
    match (flags & 0x04 != 0, next) {
        (false, _) | (true, 3) => ethernet(inner),
        (true, 1 | 2) => Some(inner).filter(|packet| link::is_ip(packet)),
        (true, 5) => behind(0x8847, inner),
        _ => None,
    }
}

/// The IP packet in a Geneve packet (RFC 8926 §3.4), behind its options.
fn geneve(packet: &[u8]) -> Option<&[u8]> {
    let [head, _, t0, t1, _, _, _, _, ..] = packet else { return None };
    if head >> 6 != 0 {
        return None;
    }
    let inner = packet.get(8 + usize::from(head & 0x3f) * 4..)?;
    match u16::from_be_bytes([*t0, *t1]) {
        TRANSPARENT_ETHERNET => ethernet(inner),
        ethertype => behind(ethertype, inner),
    }
}

/// The IP packet in a TZSP packet, behind its tagged fields: each has a length but for padding and the end.
fn tzsp(packet: &[u8]) -> Option<&[u8]> {
    let [1, 0 | 1, p0, p1, fields @ ..] = packet else { return None };
    let mut fields = fields;
    let inner = loop {
        fields = match fields {
            [0, rest @ ..] => rest,
            [1, rest @ ..] => break rest,
            [_, length, rest @ ..] => rest.get(usize::from(*length)..)?,
            _ => return None,
        };
    };
    match u16::from_be_bytes([*p0, *p1]) {
        1 => ethernet(inner),
        7 => Some(inner).filter(|packet| link::is_ip(packet)),
        _ => None,
    }
}

/// The EtherType of an Ethernet frame as it is (Transparent Ethernet Bridging).
const TRANSPARENT_ETHERNET: u16 = 0x6558;

fn ethernet(frame: &[u8]) -> Option<&[u8]> {
    packet(link::ethernet(frame))
}

fn behind(ethertype: u16, inner: &[u8]) -> Option<&[u8]> {
    packet(link::behind(ethertype, inner))
}

fn packet(ip: Ip<'_>) -> Option<&[u8]> {
    match ip {
        Ip::Packet(packet) => Some(packet),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: [u8; 12] = [0x10; 12];

    /// Contents that a tunnel has to give.
    const IP: &[u8] = b"E...";

    /// An Ethernet frame behind a header; with a VLAN tag, so that it must be looked into.
    fn framed(header: &[u8]) -> Vec<u8> {
        [header, &MAC, &[0x81, 0, 0, 7, 8, 0], IP].concat()
    }

    fn bare(header: &[u8]) -> Vec<u8> {
        [header, IP].concat()
    }

    #[test]
    fn gre_is_read_with_its_optional_fields() {
        for packet in [
            bare(&[0, 0, 8, 0]),
            bare(&[0xb0, 0, 8, 0, 1, 1, 0, 0, 2, 2, 2, 2, 3, 3, 3, 3]),
            bare(&[0x20, 0, 0x86, 0xdd, 2, 2, 2, 2]),
            framed(&[0, 0, 0x65, 0x58]),
            bare(&[0, 0, 0x81, 0, 0, 7, 8, 0]),
            bare(&[0, 0, 0x88, 0x47, 0, 1, 1, 64]),
            framed(&[0, 0, 0x88, 0x47, 0, 1, 1, 64, 0, 0, 0, 9]),
        ] {
            assert_eq!(gre(&packet), Ok(IP), "{packet:?}");
        }
        for (packet, error) in [
            (&[0, 1, 0x88, 0x0b, 0, 0, 0, 0][..], 0x880b),
            (&[0x40, 0, 8, 0], 0x0800),
            (&[0, 0, 0x88, 0x47], 0x8847),
            (&[0, 0, 0x65, 0x58, 1], 0x6558),
            (&[0xb0, 0, 8], 0),
            (&[0xb0, 0, 8, 0, 1], 0),
        ] {
            assert_eq!(gre(packet), Err(error), "{packet:?}");
        }
    }

    #[test]
    fn mirrored_frames_of_erspan_are_read_in_all_three_types() {
        let second = [0x10, 100, 0, 7, 0, 0, 0, 0];
        let third = [0x20, 100, 0, 7, 0, 0, 0, 9, 0, 0, 0, 0];
        let platform = [0x20, 100, 0, 7, 0, 0, 0, 9, 0, 0, 0, 1, 0x0c, 0, 0, 0, 0, 0, 0, 0];
        let packet_type = [0x20, 100, 0, 7, 0, 0, 0, 9, 0, 0, 2 << 2, 0];
        for packet in [
            framed(&[0, 0, 0x88, 0xbe]),
            framed(&[&[0x10, 0, 0x88, 0xbe, 0, 0, 0, 1][..], &second].concat()),
            framed(&[&[0, 0, 0x88, 0xbe][..], &second].concat()),
            framed(&[0x10, 0, 0x88, 0xbe, 0, 0, 0, 1]),
            framed(&[&[0x10, 0, 0x22, 0xeb, 0, 0, 0, 1][..], &third].concat()),
            framed(&[&[0x10, 0, 0x22, 0xeb, 0, 0, 0, 1][..], &platform].concat()),
            bare(&[&[0, 0, 0x22, 0xeb][..], &packet_type].concat()),
        ] {
            assert_eq!(gre(&packet), Ok(IP), "{packet:?}");
        }
        let other = [&[0, 0, 0x22, 0xeb, 0x10][..], &third[1..], &MAC, &[8, 0], IP].concat();
        assert_eq!(gre(&other), Err(0x22eb));
        assert_eq!(gre(&[&[0, 0, 0x22, 0xeb][..], &platform[..13]].concat()), Err(0x22eb));
        assert_eq!(gre(&[0x10, 0, 0x88, 0xbe, 0, 0, 0, 1]), Err(0x88be));
    }

    #[test]
    fn gtp_u_is_read_with_its_optional_fields() {
        let plain = [0x30, 255, 0, 4, 0, 0, 0, 1];
        let sequence = [0x32, 255, 0, 8, 0, 0, 0, 1, 0, 1, 0, 0];
        let extended = [0x34, 255, 0, 12, 0, 0, 0, 1, 0, 1, 0, 0x85, 1, 0, 0, 0];
        for head in [&plain[..], &sequence, &extended] {
            assert_eq!(udp(2152, &bare(head)), Some(IP), "{head:?}");
        }
        assert_eq!(gtp_u(&[&[0x30, 1][..], &plain[2..], IP].concat()), None);
        assert_eq!(gtp_u(&[&plain[..], b"?"].concat()), None);
        assert_eq!(gtp_u(&[0x34, 255, 0, 12, 0, 0, 0, 1, 0, 1, 0, 0x85, 0, 0, 0, 0]), None);
        assert_eq!(gtp_u(&[0x34, 255]), None);
    }

    #[test]
    fn vxlan_is_read_with_flags_and_with_other_contents() {
        for (port, packet) in [
            (4789, framed(&[8, 0, 0, 0, 0, 0, 7, 0])),
            (8472, framed(&[8, 0, 0, 0, 0, 0, 7, 0])),
            // A group policy that was applied.
            (4789, framed(&[0x88, 0x08, 0x12, 0x34, 0, 0, 7, 0])),
            (4790, bare(&[0x0c, 0, 0, 1, 0, 0, 7, 0])),
            (4790, bare(&[0x0c, 0, 0, 2, 0, 0, 7, 0])),
            (4790, framed(&[0x0c, 0, 0, 3, 0, 0, 7, 0])),
            (4790, bare(&[0x0c, 0, 0, 5, 0, 0, 7, 0, 0, 1, 1, 64])),
            (4789, bare(&[0x0c, 0, 0, 1, 0, 0, 7, 0])),
        ] {
            assert_eq!(udp(port, &packet), Some(IP), "{packet:?}");
        }
        let packet = framed(&[8, 0, 0, 0, 0, 0, 7, 0]);
        assert_eq!(vxlan(&packet[1..]), None);
        assert_eq!(vxlan(&packet[..7]), None);
        assert_eq!(vxlan(&bare(&[0x0c, 0, 0, 4, 0, 0, 7, 0])), None);
        assert_eq!(vxlan(b"MESSAGE sip:b@b SIP/2.0\r\n\r\n"), None);
        assert_eq!(udp(4788, &packet), None);
    }

    #[test]
    fn geneve_is_read_behind_its_options() {
        for packet in [
            framed(&[0, 0, 0x65, 0x58, 0, 0, 7, 0]),
            framed(&[2, 0x40, 0x65, 0x58, 0, 0, 7, 0, 1, 2, 3, 1, 4, 5, 6, 7]),
            bare(&[0, 0, 8, 0, 0, 0, 7, 0]),
            bare(&[1, 0, 0x86, 0xdd, 0, 0, 7, 0, 1, 2, 3, 0]),
        ] {
            assert_eq!(udp(6081, &packet), Some(IP), "{packet:?}");
        }
        assert_eq!(geneve(&framed(&[0x40, 0, 0x65, 0x58, 0, 0, 7, 0])), None);
        assert_eq!(geneve(&[0x3f, 0, 8, 0, 0, 0, 7, 0, 0x45]), None);
        assert_eq!(geneve(&[0, 0, 8, 6, 0, 0, 7, 0, 0x45]), None);
    }

    #[test]
    fn tzsp_is_read_behind_its_tagged_fields() {
        for packet in [
            framed(&[1, 0, 0, 1, 1]),
            framed(&[1, 1, 0, 1, 0, 0, 10, 1, 0xc0, 40, 4, 0, 0, 0, 9, 1]),
            bare(&[1, 0, 0, 7, 1]),
        ] {
            assert_eq!(udp(37008, &packet), Some(IP), "{packet:?}");
        }
        // Radio frames, a keep-alive, another version, and fields without end.
        for head in [
            &[1, 0, 0, 18, 1][..],
            &[1, 4, 0, 1, 1],
            &[2, 0, 0, 1, 1],
            &[1, 0, 0, 1, 10, 200],
            &[1, 0, 0, 1, 0],
        ] {
            assert_eq!(tzsp(head), None, "{head:?}");
        }
    }

    #[test]
    fn no_length_of_a_tunnel_is_believed() {
        let mut bytes = [0_u8; 24];
        for at in 0..bytes.len() {
            for value in [1, 0x3f, 0x40, 0x88, 0xff] {
                bytes[at] = value;
                for cut in 0..bytes.len() {
                    for port in [2152, 4789, 4790, 6081, 8472, 37008] {
                        udp(port, &bytes[..cut]);
                    }
                    let _ = gre(&bytes[..cut]);
                }
            }
        }
    }
}
