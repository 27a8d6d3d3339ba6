//! Contents of a capture that nobody looks into.

use std::fmt;

use super::tunnel;

/// The most kinds that are told apart in one file.
const KINDS_MAX: usize = 32;

/// Something that may carry messages and is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unread {
    /// Packets of a link type (`LINKTYPE_`).
    Link(u16),
    /// Frames of an EtherType.
    Ethertype(u16),
    /// Packets of an IP protocol.
    IpProtocol(u8),
    /// GRE packets, by the EtherType of what they carry.
    Gre(u16),
    /// Datagrams to the UDP port of a tunnel, with something else in them than a packet.
    Tunnel(u16),
    /// Packets packed deeper into each other than is followed.
    Depth,
    /// PDUs that Wireshark has exported of another protocol.
    Exported,
    /// Messages of a WebSocket that are compressed (RFC 7692).
    CompressedWebSocket,
    /// TCP streams in TLS, each direction one; `sips` are those of port 5061.
    Tls {
        /// Set if a port is the one of SIP over TLS.
        sips: bool,
    },
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Link(link) => write!(f, "packets of link type {link}"),
            Self::Ethertype(kind) => write!(f, "frames of EtherType 0x{kind:04x}{}", ethertype_name(*kind)),
            Self::IpProtocol(number) => {
                write!(f, "packets of IP protocol {number}{}", protocol_name(*number))
            }
            Self::Gre(kind) => write!(f, "GRE packets with EtherType 0x{kind:04x}{}", ethertype_name(*kind)),
            Self::Tunnel(port) => {
                let name = tunnel::name(*port).unwrap_or("unknown");
                write!(f, "datagrams of {name} (UDP port {port}) without an IP packet")
            }
            Self::Depth => f.write_str("packets in too many tunnels"),
            Self::Exported => f.write_str("exported PDUs of other protocols than SIP"),
            Self::CompressedWebSocket => f.write_str("compressed WebSocket messages (permessage-deflate)"),
            Self::Tls { sips: true } => f.write_str("TCP streams in TLS on port 5061"),
            Self::Tls { sips: false } => f.write_str("TCP streams in TLS on other ports than 5061"),
        }
    }
}

fn ethertype_name(number: u16) -> &'static str {
    match number {
        0x0806 => " (ARP)",
        0x22f3 => " (TRILL)",
        0x880b => " (PPP)",
        0x8863 => " (PPPoE discovery)",
        0x88cc => " (LLDP)",
        0x88e5 => " (MACsec)",
        0x894f => " (NSH)",
        _ => "",
    }
}

fn protocol_name(number: u8) -> &'static str {
    match number {
        1 | 58 => " (ICMP)",
        2 => " (IGMP)",
        50 => " (ESP)",
        51 => " (AH)",
        89 => " (OSPF)",
        112 => " (VRRP)",
        115 => " (L2TP)",
        132 => " (SCTP)",
        _ => "",
    }
}

/// Counts of unread data by kind, in the order in which they came.
#[derive(Default)]
pub(super) struct UnreadCounts(Vec<(Unread, u64)>);

impl UnreadCounts {
    #[cold]
    pub(super) fn add(&mut self, kind: Unread) {
        if let Some((_, count)) = self.0.iter_mut().find(|(known, _)| *known == kind) {
            *count += 1;
        } else if self.0.len() < KINDS_MAX {
            self.0.push((kind, 1));
        }
    }

    pub(super) fn as_slice(&self) -> &[(Unread, u64)] {
        &self.0
    }
}
