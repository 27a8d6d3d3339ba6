//! An IP packet as its UDP datagram or TCP segment.

use std::net::{IpAddr, SocketAddr};

use etherparse::{IpNumber, Ipv6ExtensionSlice, LaxIpSlice, TcpSlice, UdpSlice, ip_number};

use super::fragment::Fragment;
use super::tunnel;
use super::unread::Unread;

/// Contents of an IP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packet<'a> {
    Udp {
        src: SocketAddr,
        dst: SocketAddr,
        payload: &'a [u8],
    },
    Tcp(Segment<'a>),
    /// Another IP packet.
    Tunnel(&'a [u8]),
    /// Neither UDP nor TCP, nor a tunnel that is understood.
    OtherProtocol(Unread),
    /// A part of a larger packet.
    Fragment(Fragment<'a>),
    /// Headers that are cut or contradict themselves.
    Damaged,
}

/// One TCP segment (RFC 9293 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment<'a> {
    pub(super) src: SocketAddr,
    pub(super) dst: SocketAddr,
    /// The sequence number of the segment, that is of its SYN if it has one.
    pub(super) sequence: u32,
    /// Byte up to which the sender has received the other direction, if it says so.
    pub(super) acknowledged: Option<u32>,
    pub(super) syn: bool,
    pub(super) fin: bool,
    pub(super) rst: bool,
    pub(super) payload: &'a [u8],
    /// Bytes that were sent behind `payload` but not captured.
    pub(super) cut: u32,
}

/// Reads the headers of an IPv4 or IPv6 packet. Lengths are taken from the IP header, so that
/// padding is not payload; a packet that was cut is given as far as it goes.
#[inline]
pub(super) fn read(packet: &[u8]) -> Packet<'_> {
    let Ok((ip, stopped)) = LaxIpSlice::from_slice(packet) else {
        return Packet::Damaged;
    };
    let body = ip.payload();
    if body.fragmented {
        return fragment(&ip).map_or(Packet::Damaged, Packet::Fragment);
    }
    if stopped.is_some() {
        return Packet::Damaged;
    }
    let cut = if body.incomplete { cut_bytes(&ip, packet.len()) } else { 0 };
    transport(ip.source_addr(), ip.destination_addr(), body.ip_number.0, body.payload, cut)
}

/// Reads what an IP packet carries.
#[inline]
pub(super) fn transport(src: IpAddr, dst: IpAddr, protocol: u8, body: &[u8], cut: u32) -> Packet<'_> {
    match IpNumber(protocol) {
        ip_number::UDP => match UdpSlice::from_slice_lax(body) {
            Ok(udp) => {
                let (from, to, payload) = (udp.source_port(), udp.destination_port(), udp.payload());
                let (src, dst) = (SocketAddr::new(src, from), SocketAddr::new(dst, to));
                tunnel::udp(to, payload).map_or(Packet::Udp { src, dst, payload }, Packet::Tunnel)
            }
            Err(_) => Packet::Damaged,
        },
        ip_number::TCP => match TcpSlice::from_slice(body) {
            Ok(tcp) => Packet::Tcp(Segment {
                src: SocketAddr::new(src, tcp.source_port()),
                dst: SocketAddr::new(dst, tcp.destination_port()),
                sequence: tcp.sequence_number(),
                acknowledged: tcp.ack().then(|| tcp.acknowledgment_number()),
                syn: tcp.syn(),
                fin: tcp.fin(),
                rst: tcp.rst(),
                payload: tcp.payload(),
                cut,
            }),
            Err(_) => Packet::Damaged,
        },
        ip_number::IPV4 | ip_number::IPV6 => Packet::Tunnel(body),
        ip_number::GRE => match tunnel::gre(body) {
            Ok(inner) => Packet::Tunnel(inner),
            Err(ethertype) => Packet::OtherProtocol(Unread::Gre(ethertype)),
        },
        // An error of ICMP quotes the packet that it is about; that is no packet on the wire.
        IpNumber(number) => Packet::OtherProtocol(Unread::IpProtocol(number)),
    }
}

/// The piece of a datagram that a packet is.
fn fragment<'a>(ip: &LaxIpSlice<'a>) -> Option<Fragment<'a>> {
    let (id, offset, more) = match ip {
        LaxIpSlice::Ipv4(ip) => {
            let header = ip.header();
            let offset = usize::from(header.fragments_offset().byte_offset());
            (u32::from(header.identification()), offset, header.more_fragments())
        }
        LaxIpSlice::Ipv6(ip) => {
            ip.extensions().clone().into_iter().find_map(|extension| match extension {
                Ipv6ExtensionSlice::Fragment(part) => Some((
                    part.identification(),
                    usize::from(part.fragment_offset().byte_offset()),
                    part.more_fragments(),
                )),
                _ => None,
            })?
        }
    };
    let body = ip.payload();
    if body.incomplete {
        return None;
    }
    let (src, dst) = (ip.source_addr(), ip.destination_addr());
    Some(Fragment { src, dst, id, protocol: body.ip_number.0, offset, more, payload: body.payload })
}

/// Returns the number of bytes of the IP packet that were not captured.
fn cut_bytes(ip: &LaxIpSlice<'_>, captured: usize) -> u32 {
    let sent = match ip {
        LaxIpSlice::Ipv4(ip) => usize::from(ip.header().total_len()),
        LaxIpSlice::Ipv6(ip) => IPV6_HEADER_BYTES + usize::from(ip.header().payload_length()),
    };
    u32::try_from(sent.saturating_sub(captured)).unwrap_or(u32::MAX)
}

const IPV6_HEADER_BYTES: usize = 40;

#[cfg(test)]
mod tests {
    use super::super::fixture::{ACK, FIN, SYN, ip, tcp, udp, udp_body};
    use super::*;

    const A: &str = "192.0.2.1:5060";
    const B: &str = "192.0.2.2:5070";

    #[test]
    fn datagrams_are_read_without_the_padding_behind_them() {
        let mut packet = udp(A, B, b"hello");
        packet.extend([0; 13]);
        let (src, dst) = (A.parse().unwrap(), B.parse().unwrap());
        assert_eq!(read(&packet), Packet::Udp { src, dst, payload: b"hello" });
    }

    #[test]
    fn datagrams_behind_ipv6_extension_headers_are_read() {
        let (src, dst): (SocketAddr, SocketAddr) = ("[::1]:1".parse().unwrap(), "[::2]:2".parse().unwrap());
        // Hop-by-hop options, then destination options, then UDP.
        let options = [60, 0, 1, 4, 0, 0, 0, 0, 17, 0, 1, 4, 0, 0, 0, 0];
        let packet = ip(src, dst, 0, &[&options[..], &udp_body(src, dst, b"six")].concat());
        assert_eq!(read(&packet), Packet::Udp { src, dst, payload: b"six" });
    }

    #[test]
    fn a_cut_datagram_is_given_as_far_as_it_goes() {
        let packet = udp(A, B, b"hello");
        let Packet::Udp { payload, .. } = read(&packet[..packet.len() - 2]) else { panic!() };
        assert_eq!(payload, b"hel");
        assert_eq!(read(&packet[..27]), Packet::Damaged);
    }

    #[test]
    fn segments_are_read_and_say_what_was_cut() {
        let packet = tcp(A, B, (7, 9, ACK | FIN), b"hello");
        let Packet::Tcp(segment) = read(&packet[..packet.len() - 2]) else { panic!() };
        assert_eq!((segment.sequence, segment.acknowledged), (7, Some(9)));
        assert_eq!((segment.payload, segment.cut), (&b"hel"[..], 2));
        assert!(segment.fin && !segment.syn && !segment.rst);
        let packet = tcp("[::1]:1", "[::2]:2", (7, 9, SYN), b"hello");
        let Packet::Tcp(segment) = read(&packet[..packet.len() - 3]) else { panic!() };
        assert_eq!((segment.acknowledged, segment.cut, segment.syn), (None, 3, true));
    }

    #[test]
    fn fragments_are_told_apart() {
        let parts = |packet: &[u8]| match read(packet) {
            Packet::Fragment(part) => (part.id, part.offset, part.more, part.protocol, part.payload.len()),
            other => panic!("{other:?}"),
        };
        let mut first = udp(A, B, b"hello");
        first[4..8].copy_from_slice(&[1, 2, 0x20, 0]); // more fragments
        assert_eq!(parts(&first), (0x0102, 0, true, 17, 13));
        let mut later = udp(A, B, b"hello");
        later[6..8].copy_from_slice(&[0, 10]);
        assert_eq!(parts(&later), (0, 80, false, 17, 13));
        assert_eq!(read(&later[..30]), Packet::Damaged);
        let (src, dst) = ("[::1]:1".parse().unwrap(), "[::2]:2".parse().unwrap());
        let six = ip(src, dst, 44, &[17, 0, 0, 1, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(parts(&six), (9, 0, true, 17, 8));
        let six = ip(src, dst, 44, &[17, 0, 0, 16, 0, 0, 0, 9, 1, 2]);
        assert_eq!(parts(&six), (9, 16, false, 17, 2));
    }

    #[test]
    fn packets_in_packets_are_handed_out() {
        let inner = udp(A, B, b"hello");
        let (src, dst) = ("192.0.2.8:0".parse().unwrap(), "192.0.2.9:0".parse().unwrap());
        let (src6, dst6) = ("[::8]:0".parse().unwrap(), "[::9]:0".parse().unwrap());
        for packet in [
            ip(src, dst, 4, &inner),
            ip(src6, dst6, 4, &inner),
            ip(src, dst, 47, &[&[0, 0, 8, 0][..], &inner].concat()),
            udp("192.0.2.8:9", "192.0.2.9:6081", &[&[0, 0, 8, 0, 0, 0, 0, 1][..], &inner].concat()),
            udp("192.0.2.8:2152", "192.0.2.9:2152", &[&[0x30, 255, 0, 33, 0, 0, 0, 1][..], &inner].concat()),
        ] {
            assert_eq!(read(&packet), Packet::Tunnel(&inner));
        }
        let six = udp("[::1]:1", "[::2]:2", b"six");
        assert_eq!(read(&ip(src, dst, 41, &six)), Packet::Tunnel(&six));
    }

    #[test]
    fn other_protocols_and_damage_are_told_apart() {
        let (src, dst) = (A.parse().unwrap(), B.parse().unwrap());
        assert_eq!(read(&ip(src, dst, 1, &[8, 0])), Packet::OtherProtocol(Unread::IpProtocol(1)));
        assert_eq!(read(&ip(src, dst, 47, &[0, 0, 8, 6])), Packet::OtherProtocol(Unread::Gre(0x0806)));
        for bytes in [&b""[..], &[0x45; 19], &[0x41; 20], &[0x60; 39], &[0x70; 60]] {
            assert_eq!(read(bytes), Packet::Damaged);
        }
        let short_header = ip(src, dst, 6, &[0; 20]);
        assert_eq!(read(&short_header), Packet::Damaged);
    }
}
