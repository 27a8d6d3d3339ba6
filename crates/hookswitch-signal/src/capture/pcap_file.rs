//! Writes SIP messages into a pcap file, as if they had been captured on the wire.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use super::link::RAW;
use super::{Captured, Transport};

/// The most bytes of a message in one segment.
const SEGMENT_BYTES: usize = 16 * 1024;

/// The longest datagram: its IPv4 packet has 65,535 bytes with both headers.
const DATAGRAM_BYTES_MAX: usize = 65_507;

const UDP: u8 = 17;
const TCP: u8 = 6;

/// The flags PSH and ACK.
const PUSH_ACK: u8 = 0x18;

/// A pcap file (draft-ietf-opsawg-pcap) of packets that begin with their IP header.
#[derive(Debug)]
pub struct PcapFile {
    bytes: Vec<u8>,
    /// The next sequence number of each direction of a connection.
    sequences: BTreeMap<(SocketAddr, SocketAddr), u32>,
}

impl Default for PcapFile {
    fn default() -> Self {
        let mut bytes = Vec::new();
        bytes.extend(0xa1b2_c3d4_u32.to_le_bytes());
        for version in [2_u16, 4] {
            bytes.extend(version.to_le_bytes());
        }
        for field in [0, 0, 0x0004_0000, u32::from(RAW)] {
            bytes.extend(field.to_le_bytes());
        }
        Self { bytes, sequences: BTreeMap::new() }
    }
}

impl PcapFile {
    /// Adds a SIP message. A stream gets its bytes in order, without the handshake that nobody saw; what no datagram
    /// can hold is written as a stream too.
    pub fn add(&mut self, message: &Captured<'_>) {
        if message.transport == Transport::Udp && message.payload.len() <= DATAGRAM_BYTES_MAX {
            let length = message.payload.len() + 8;
            let mut body = Vec::with_capacity(length);
            for field in [message.src.port(), message.dst.port(), length as u16, 0] {
                body.extend(field.to_be_bytes());
            }
            body.extend(message.payload);
            self.packet(message, UDP, body, 6);
            return;
        }
        let (there, back) = ((message.src, message.dst), (message.dst, message.src));
        for segment in message.payload.chunks(SEGMENT_BYTES) {
            let acknowledged = *self.sequences.entry(back).or_insert(1);
            let sequence = self.sequences.entry(there).or_insert(1);
            let mut body = Vec::with_capacity(segment.len() + 20);
            body.extend(message.src.port().to_be_bytes());
            body.extend(message.dst.port().to_be_bytes());
            body.extend(sequence.to_be_bytes());
            body.extend(acknowledged.to_be_bytes());
            body.extend([0x50, PUSH_ACK, 0xff, 0xff, 0, 0, 0, 0]);
            body.extend(segment);
            *sequence = sequence.wrapping_add(segment.len() as u32);
            self.packet(message, TCP, body, 16);
        }
    }

    /// Gives the bytes of the file.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Adds a packet; the checksum of its transport stands at a place of the body.
    fn packet(&mut self, message: &Captured<'_>, protocol: u8, mut body: Vec<u8>, checksum_at: usize) {
        let (src, dst) = (message.src.ip(), message.dst.ip());
        let addresses: Vec<u8> = match (src, dst) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => [src.octets(), dst.octets()].concat(),
            _ => [v6(src).octets(), v6(dst).octets()].concat(),
        };
        let length = body.len() as u32;
        let sum = checksum(&[&addresses, &length.to_be_bytes(), &[0, protocol], &body]);
        // A checksum of 0 would say that there is none (RFC 768).
        let sum = if sum == 0 && protocol == UDP { 0xffff } else { sum };
        body[checksum_at..checksum_at + 2].copy_from_slice(&sum.to_be_bytes());
        let mut head = if addresses.len() == 8 {
            let total = (20 + body.len() as u16).to_be_bytes();
            vec![0x45, 0, total[0], total[1], 0, 0, 0x40, 0, 64, protocol, 0, 0]
        } else {
            let length = (body.len() as u16).to_be_bytes();
            vec![0x60, 0, 0, 0, length[0], length[1], protocol, 64]
        };
        head.extend(&addresses);
        if addresses.len() == 8 {
            let sum = checksum(&[&head]).to_be_bytes();
            head[10..12].copy_from_slice(&sum);
        }
        let micros = message.time.as_micros();
        let seconds = u32::try_from(micros.div_euclid(1_000_000)).unwrap_or_default();
        let length = (head.len() + body.len()) as u32;
        for field in [seconds, micros.rem_euclid(1_000_000) as u32, length, length] {
            self.bytes.extend(field.to_le_bytes());
        }
        self.bytes.extend(head);
        self.bytes.extend(body);
    }
}

fn v6(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
}

/// The checksum of IP and what it carries (RFC 1071), of parts that all but the last have an even length.
fn checksum(parts: &[&[u8]]) -> u16 {
    let mut sum = 0_u64;
    for part in parts {
        for pair in part.chunks(2) {
            sum += u64::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or_default()]));
        }
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use hookswitch_model::Timestamp;

    use super::super::Reader;
    use super::super::fixture::sip;
    use super::*;

    /// Reads a file back: time, transport, addresses and bytes of each message.
    fn read(bytes: &[u8]) -> Vec<(i64, Transport, String, String, Vec<u8>)> {
        let mut reader = Reader::new(bytes).unwrap();
        let mut read = Vec::new();
        while reader.advance().unwrap() {
            let message = reader.current().unwrap();
            let (src, dst) = (message.src.to_string(), message.dst.to_string());
            read.push((message.time.as_micros(), message.transport, src, dst, message.payload.to_vec()));
        }
        read
    }

    #[test]
    fn messages_that_are_written_are_read_again_as_they_were() {
        let long = sip(3, &"x".repeat(40_000));
        let cases = [
            (Transport::Udp, "192.0.2.1:5060", "192.0.2.2:5070", sip(1, "one")),
            (Transport::Udp, "[2001:db8::1]:5060", "[2001:db8::2]:5070", sip(2, "")),
            (Transport::Tcp, "192.0.2.1:40000", "192.0.2.2:5060", long),
            (Transport::Tcp, "192.0.2.2:5060", "192.0.2.1:40000", sip(4, "back")),
            (Transport::Tcp, "192.0.2.1:40000", "192.0.2.2:5060", sip(5, "again")),
            (Transport::Udp, "192.0.2.1:5060", "192.0.2.2:5070", sip(6, &"y".repeat(60_001))),
        ];
        let mut file = PcapFile::default();
        let mut expected = Vec::new();
        for (micros, (transport, src, dst, payload)) in (1_700_000_000_123_456..).zip(&cases) {
            file.add(&Captured {
                time: Timestamp::from_micros(micros),
                transport: *transport,
                src: src.parse().unwrap(),
                dst: dst.parse().unwrap(),
                packet: 0,
                correlation: None,
                payload,
            });
            expected.push((micros, *transport, (*src).to_owned(), (*dst).to_owned(), payload.clone()));
        }
        let read = read(&file.into_bytes());
        assert_eq!(read.len(), expected.len());
        for (read, expected) in read.iter().zip(&expected) {
            assert_eq!(
                (&read.0, &read.1, &read.2, &read.3),
                (&expected.0, &expected.1, &expected.2, &expected.3)
            );
            assert!(read.4 == expected.4, "{} bytes are {}", expected.4.len(), read.4.len());
        }
    }

    #[test]
    fn checksums_are_those_of_the_standard() {
        // The example of RFC 1071 §3, and a header whose sum is in it.
        assert_eq!(checksum(&[&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]]), !0xddf2);
        let head =
            [0x45, 0, 0, 0x73, 0, 0, 0x40, 0, 0x40, 0x11, 0xb8, 0x61, 0xc0, 0xa8, 0, 1, 0xc0, 0xa8, 0, 0xc7];
        assert_eq!(checksum(&[&head]), 0);
    }
}
