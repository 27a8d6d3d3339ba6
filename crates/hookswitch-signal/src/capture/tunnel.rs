//! What an IP packet carries another packet in: GRE, GTP-U and VXLAN.

use super::link::{self, Ip};

/// How deep packets may be packed into each other; more is an attack, or nonsense.
pub(super) const TUNNELS_MAX: usize = 8;

/// The UDP port of user data in mobile networks (3GPP TS 29.281 §4.4.2).
pub(super) const GTP_U_PORT: u16 = 2152;

/// The UDP port of VXLAN (RFC 7348 §5).
pub(super) const VXLAN_PORT: u16 = 4789;

/// The IP packet in a GRE packet (RFC 2784, RFC 2890); none if it carries something else.
pub(super) fn gre(packet: &[u8]) -> Option<&[u8]> {
    let [flags, version, t0, t1, ..] = packet else { return None };
    // Version 1 is PPTP; source routes are out of use (RFC 2784 §2.3).
    if version & 7 != 0 || flags & 0x40 != 0 {
        return None;
    }
    let optional = [0x80, 0x20, 0x10].iter().filter(|&&flag| flags & flag != 0).count() * 4;
    let inner = packet.get(4 + optional..)?;
    match u16::from_be_bytes([*t0, *t1]) {
        0x0800 | 0x86dd => Some(inner),
        // Transparent Ethernet bridging.
        0x6558 => ethernet(inner),
        _ => None,
    }
}

/// The IP packet in a GTP-U message (3GPP TS 29.281 §5); none if it carries none.
pub(super) fn gtp_u(message: &[u8]) -> Option<&[u8]> {
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
    message.get(at..).filter(|inner| matches!(inner.first(), Some(byte) if matches!(byte >> 4, 4 | 6)))
}

/// The IP packet in a VXLAN packet (RFC 7348 §5).
pub(super) fn vxlan(packet: &[u8]) -> Option<&[u8]> {
    match packet {
        [0x08, 0, 0, 0, _, _, _, _, frame @ ..] => ethernet(frame),
        _ => None,
    }
}

fn ethernet(frame: &[u8]) -> Option<&[u8]> {
    match link::ip(link::ETHERNET, frame) {
        Ip::Packet(packet) => Some(packet),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gre_is_read_with_its_optional_fields() {
        for (head, inner) in [
            (&[0, 0, 8, 0][..], Some(&b"E..."[..])),
            (&[0xb0, 0, 8, 0, 1, 1, 0, 0, 2, 2, 2, 2, 3, 3, 3, 3], Some(b"E...")),
            (&[0x20, 0, 0x86, 0xdd, 2, 2, 2, 2], Some(b"E...")),
            (&[&[0, 0, 0x65, 0x58][..], &[0; 12], &[8, 0]].concat(), Some(b"E...")),
            (&[0, 1, 0x88, 0x0b], None),
            (&[0x40, 0, 8, 0], None),
            (&[0, 0, 0x88, 0x47], None),
        ] {
            assert_eq!(gre(&[head, b"E..."].concat()), inner, "{head:?}");
        }
        assert_eq!(gre(&[0xb0, 0, 8]), None);
        assert_eq!(gre(&[0xb0, 0, 8, 0, 1]), None);
    }

    #[test]
    fn gtp_u_is_read_with_its_optional_fields() {
        let plain = [0x30, 255, 0, 4, 0, 0, 0, 1];
        let sequence = [0x32, 255, 0, 8, 0, 0, 0, 1, 0, 1, 0, 0];
        let extended = [0x34, 255, 0, 12, 0, 0, 0, 1, 0, 1, 0, 0x85, 1, 0, 0, 0];
        for head in [&plain[..], &sequence, &extended] {
            assert_eq!(gtp_u(&[head, b"E..."].concat()), Some(&b"E..."[..]), "{head:?}");
        }
        assert_eq!(gtp_u(&[&[0x30, 1][..], &plain[2..], b"E..."].concat()), None);
        assert_eq!(gtp_u(&[&plain[..], b"?"].concat()), None);
        assert_eq!(gtp_u(&[0x34, 255, 0, 12, 0, 0, 0, 1, 0, 1, 0, 0x85, 0, 0, 0, 0]), None);
        assert_eq!(gtp_u(&[0x34, 255]), None);
    }

    #[test]
    fn vxlan_is_read() {
        let packet = [&[8, 0, 0, 0, 0, 0, 7, 0][..], &[0; 12], &[8, 0], b"E..."].concat();
        assert_eq!(vxlan(&packet), Some(&b"E..."[..]));
        assert_eq!(vxlan(&packet[1..]), None);
    }
}
