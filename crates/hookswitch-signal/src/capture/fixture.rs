//! Builds packets and files for tests.

use std::net::{IpAddr, SocketAddr};

pub(super) const A: &str = "192.0.2.1:5060";
pub(super) const B: &str = "192.0.2.2:5070";

/// A SIP request with a body, told from others by its number.
pub(super) fn sip(number: usize, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("MESSAGE sip:b@b SIP/2.0\r\nCall-ID: {number}\r\nl: {length}\r\n\r\n{body}").into_bytes()
}

/// Writes an IP packet.
pub(super) fn ip(src: SocketAddr, dst: SocketAddr, protocol: u8, body: &[u8]) -> Vec<u8> {
    match (src.ip(), dst.ip()) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            let total = (20 + body.len() as u16).to_be_bytes();
            let head = [0x45, 0, total[0], total[1], 0, 0, 0x40, 0, 64, protocol, 0, 0];
            [&head[..], &src.octets(), &dst.octets(), body].concat()
        }
        (IpAddr::V6(src), IpAddr::V6(dst)) => {
            let length = (body.len() as u16).to_be_bytes();
            let head = [0x60, 0, 0, 0, length[0], length[1], protocol, 64];
            [&head[..], &src.octets(), &dst.octets(), body].concat()
        }
        _ => panic!("addresses of one family"),
    }
}

/// Writes an IP packet with a UDP datagram.
pub(super) fn udp(src: &str, dst: &str, payload: &[u8]) -> Vec<u8> {
    let (src, dst): (SocketAddr, SocketAddr) = (src.parse().unwrap(), dst.parse().unwrap());
    ip(src, dst, 17, &udp_body(src, dst, payload))
}

/// Writes a UDP datagram.
pub(super) fn udp_body(src: SocketAddr, dst: SocketAddr, payload: &[u8]) -> Vec<u8> {
    let length = 8 + payload.len() as u16;
    let mut body = Vec::new();
    for field in [src.port(), dst.port(), length, 0] {
        body.extend(field.to_be_bytes());
    }
    body.extend(payload);
    body
}

pub(super) const FIN: u8 = 1;
pub(super) const SYN: u8 = 2;
pub(super) const RST: u8 = 4;
pub(super) const ACK: u8 = 16;

/// Writes an IP packet with a TCP segment: sequence number, acknowledgement, flags.
pub(super) fn tcp(src: &str, dst: &str, head: (u32, u32, u8), payload: &[u8]) -> Vec<u8> {
    let (src, dst): (SocketAddr, SocketAddr) = (src.parse().unwrap(), dst.parse().unwrap());
    let (sequence, acknowledged, flags) = head;
    let mut body = Vec::new();
    body.extend(src.port().to_be_bytes());
    body.extend(dst.port().to_be_bytes());
    body.extend(sequence.to_be_bytes());
    body.extend(acknowledged.to_be_bytes());
    body.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    body.extend(payload);
    ip(src, dst, 6, &body)
}

/// Writes a HEP frame of the given generic chunks.
pub(super) fn frame(chunks: &[(u16, &[u8])]) -> Vec<u8> {
    let mut bytes = b"HEP3\0\0".to_vec();
    for (chunk, value) in chunks {
        bytes.extend([0, 0]);
        bytes.extend(chunk.to_be_bytes());
        bytes.extend((value.len() as u16 + 6).to_be_bytes());
        bytes.extend(*value);
    }
    let total = bytes.len() as u16;
    bytes[4..6].copy_from_slice(&total.to_be_bytes());
    bytes
}

/// A HEP frame with a SIP payload from [`A`] to [`B`] over UDP, and the correlation id `call-1`.
pub(super) fn sip_frame(micros: u64, payload: &[u8]) -> Vec<u8> {
    frame(&[
        (1, &[2]),
        (2, &[17]),
        (3, &[192, 0, 2, 1]),
        (4, &[192, 0, 2, 2]),
        (7, &5060_u16.to_be_bytes()),
        (8, &5070_u16.to_be_bytes()),
        (9, &((micros / 1_000_000) as u32).to_be_bytes()),
        (10, &((micros % 1_000_000) as u32).to_be_bytes()),
        (11, &[1]),
        (12, &[0, 0, 7, 0xd1]),
        (17, b"call-1"),
        (15, payload),
    ])
}

/// The time of the first packet of a file, in seconds; each later one comes a millisecond after.
pub(super) const START: u32 = 1_700_000_000;

pub(super) const RAW_IP: u32 = 101;

/// Writes numbers in one of the two byte orders.
#[derive(Clone, Copy)]
pub(super) struct Order {
    pub(super) big_endian: bool,
}

pub(super) const LITTLE: Order = Order { big_endian: false };
pub(super) const BIG: Order = Order { big_endian: true };

impl Order {
    fn words(self, words: &[u32]) -> Vec<u8> {
        let bytes = |word: &u32| if self.big_endian { word.to_be_bytes() } else { word.to_le_bytes() };
        words.iter().flat_map(bytes).collect()
    }

    fn halves(self, first: u16, second: u16) -> u32 {
        let (first, second) = (u32::from(first), u32::from(second));
        if self.big_endian { first << 16 | second } else { second << 16 | first }
    }

    /// Writes a pcap file.
    pub(super) fn pcap(self, nanoseconds: bool, link: u32, packets: &[Vec<u8>]) -> Vec<u8> {
        let magic = if nanoseconds { 0xa1b2_3c4d } else { 0xa1b2_c3d4 };
        let mut file = self.words(&[magic, self.halves(2, 4), 0, 0, 262_144, link]);
        for (number, packet) in packets.iter().enumerate() {
            let micros = number as u32 * 1000;
            let fraction = if nanoseconds { micros * 1000 + 7 } else { micros };
            let length = packet.len() as u32;
            file.extend(self.words(&[START, fraction, length, length]));
            file.extend(packet);
        }
        file
    }

    /// Writes a block of a pcapng file.
    pub(super) fn block(self, kind: u32, body: &[u8]) -> Vec<u8> {
        let padding = vec![0; body.len().next_multiple_of(4) - body.len()];
        let length = 12 + (body.len() + padding.len()) as u32;
        [&self.words(&[kind, length])[..], body, &padding, &self.words(&[length])].concat()
    }

    pub(super) fn section(self) -> Vec<u8> {
        let body = self.words(&[0x1a2b_3c4d, self.halves(1, 0), u32::MAX, u32::MAX]);
        self.block(0x0a0d_0d0a, &body)
    }

    /// An interface with the resolution of its clock, and an offset in seconds.
    pub(super) fn interface(self, link: u16, resolution: Option<u8>, offset: u32) -> Vec<u8> {
        let mut body = self.words(&[self.halves(link, 0), 0]);
        if let Some(resolution) = resolution {
            body.extend(self.words(&[self.halves(9, 1)]));
            body.extend([resolution, 0, 0, 0]);
        }
        if offset > 0 {
            body.extend(self.words(&[self.halves(14, 8)]));
            body.extend(self.words(&if self.big_endian { [0, offset] } else { [offset, 0] }));
        }
        body.extend(self.words(&[0]));
        self.block(1, &body)
    }

    pub(super) fn enhanced_packet(self, interface: u32, ticks: u64, packet: &[u8]) -> Vec<u8> {
        let length = packet.len() as u32;
        let mut body = self.words(&[interface, (ticks >> 32) as u32, ticks as u32, length, length]);
        body.extend(packet);
        body.resize(body.len().next_multiple_of(4), 0);
        // The flags option, as Linux writes it.
        body.extend(self.words(&[self.halves(2, 4), 1, 0]));
        self.block(6, &body)
    }

    pub(super) fn simple_packet(self, packet: &[u8]) -> Vec<u8> {
        self.block(3, &[&self.words(&[packet.len() as u32])[..], packet].concat())
    }
}

/// Writes a frame of a WebSocket: its first byte, how it is masked, and the payload.
pub(super) fn web_frame(first: u8, mask: Option<[u8; 4]>, payload: &[u8]) -> Vec<u8> {
    let flag = if mask.is_some() { 0x80 } else { 0 };
    let mut frame = vec![first];
    match payload.len() {
        length @ 0..126 => frame.push(flag | length as u8),
        length @ 126..65_536 => {
            frame.push(flag | 0x7e);
            frame.extend((length as u16).to_be_bytes());
        }
        length => {
            frame.push(flag | 0x7f);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    frame.extend(mask.iter().flatten());
    let keys = mask.unwrap_or_default();
    frame.extend(payload.iter().zip(keys.iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}

/// Writes a PDU as Wireshark exports it; port type 2 is TCP, 3 UDP.
pub(super) fn exported(dissector: &str, src: &str, dst: &str, port_type: u32, payload: &[u8]) -> Vec<u8> {
    let (src, dst): (SocketAddr, SocketAddr) = (src.parse().unwrap(), dst.parse().unwrap());
    let mut name = dissector.as_bytes().to_vec();
    name.resize(name.len().next_multiple_of(4), 0);
    let address = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let six = u16::from(src.is_ipv6()) * 2;
    let tags = [
        (12, name),
        (20 + six, address(src.ip())),
        (21 + six, address(dst.ip())),
        (24, port_type.to_be_bytes().to_vec()),
        (25, u32::from(src.port()).to_be_bytes().to_vec()),
        (26, u32::from(dst.port()).to_be_bytes().to_vec()),
        (30, vec![0, 0, 0, 7]),
        (0, Vec::new()),
    ];
    let mut bytes = Vec::new();
    for (tag, value) in tags {
        bytes.extend(u16::to_be_bytes(tag));
        bytes.extend((value.len() as u16).to_be_bytes());
        bytes.extend(value);
    }
    bytes.extend(payload);
    bytes
}
