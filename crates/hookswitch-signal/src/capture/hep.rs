//! HEP, the Homer encapsulation: one captured payload and where it was seen.
//!
//! A frame of version 3 is `HEP3`, a total length, and chunks of vendor, type, length and value, all numbers
//! big-endian. Versions 1 and 2 are a fixed header before the payload, and come as datagrams only.
//! See <https://github.com/sipcapture/HEP>.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use hookswitch_model::Timestamp;

use super::sniff::{self, Sniff};
use super::{Captured, Transport, framing};

/// The first bytes of a frame.
pub const MAGIC: &[u8; 4] = b"HEP3";

/// Bytes before the first chunk: the magic and the total length.
pub const HEADER_BYTES: usize = 6;

/// One frame: what was captured, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The IP protocol of the captured packet: 6 is TCP, 17 UDP.
    pub ip_protocol: Option<u8>,
    /// The sender, if its address is given; port 0 if the port is not.
    pub src: Option<SocketAddr>,
    /// The receiver, likewise.
    pub dst: Option<SocketAddr>,
    /// Time when the agent saw the packet. Asterisk stamps what it receives in whole milliseconds.
    pub time: Option<Timestamp>,
    /// Type of the payload: 1 is SIP, 5 an RTCP report as JSON, 100 a log line.
    pub protocol_type: Option<u8>,
    /// The correlation id (chunk 17), often a Call-ID.
    pub correlation: Option<&'a [u8]>,
    /// The id that the agent gives itself (chunk 12).
    pub agent: Option<u32>,
    /// The key by which the agent shows that it may send (chunk 14), as plain text.
    pub key: Option<&'a [u8]>,
    /// The payload.
    pub payload: Payload<'a>,
}

/// The payload of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload<'a> {
    /// The frame has none.
    Missing,
    /// As captured (chunk 15).
    Plain(&'a [u8]),
    /// Compressed by the agent (chunk 16).
    Compressed(&'a [u8]),
}

impl Frame<'_> {
    /// The protocol type of SIP.
    pub const SIP: u8 = 1;

    /// Returns what carried the message. TLS, WebSocket and SCTP are reported under many numbers, and
    /// whole messages come out of each, so all but TCP read as datagrams.
    pub fn transport(&self) -> Transport {
        if self.ip_protocol == Some(6) { Transport::Tcp } else { Transport::Udp }
    }

    /// Returns `true` if the payload is a piece of a stream, in which several messages may stand one behind the other.
    pub fn is_of_stream(&self) -> bool {
        !matches!(self.ip_protocol, None | Some(17))
    }
}

/// Reason why bytes are not a HEP frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HepError {
    /// A frame of version 1 or 2 ends inside its header.
    #[error("HEP frame of version 1 or 2 ends inside its header")]
    Short,
    /// A compressed payload is damaged or too long.
    #[error("HEP payload that is compressed (chunk 16) is damaged or longer than {limit} bytes")]
    Compressed {
        /// The most bytes that it may hold.
        limit: usize,
    },
    /// The magic is another.
    #[error("the bytes do not begin with HEP3")]
    Magic,
    /// The frame is longer than what arrived, or shorter than its own header.
    #[error("HEP frame claims {claimed} bytes where {actual} are")]
    Length {
        /// The total length of the frame, in bytes.
        claimed: u16,
        /// The bytes that arrived.
        actual: usize,
    },
    /// A chunk ends outside its frame, or before its own header.
    #[error("HEP chunk at byte {offset} of its frame claims {claimed} bytes")]
    Chunk {
        /// Place where the chunk begins in its frame.
        offset: usize,
        /// The length of the chunk with its header, in bytes.
        claimed: u16,
    },
    /// A chunk of fixed size has another.
    #[error("HEP chunk of type {chunk} has {actual} bytes")]
    ChunkSize {
        /// The type of the chunk.
        chunk: u16,
        /// The length of its value, in bytes.
        actual: usize,
    },
}

/// Returns `true` if a datagram is a frame of any version, as far as its first bytes tell.
pub fn is_frame(datagram: &[u8]) -> bool {
    datagram.starts_with(MAGIC) || Old::of(datagram).is_some()
}

/// The header of versions 1 and 2.
struct Old {
    version: u8,
    header_bytes: usize,
}

impl Old {
    /// The header that a datagram begins with: version, length, address family, protocol, ports,
    /// addresses, and in version 2 the time.
    fn of(datagram: &[u8]) -> Option<Self> {
        let &[version @ (1 | 2), length, family, 6 | 17, ..] = datagram else { return None };
        // AF_INET everywhere, AF_INET6 of Linux, FreeBSD and macOS.
        let fits = matches!((length, family), (16, 2) | (40, 10 | 28 | 30));
        let header_bytes = usize::from(length);
        (fits && datagram.len() >= header_bytes).then_some(Self { version, header_bytes })
    }
}

/// Reads a frame of version 1 or 2.
fn parse_old<'a>(datagram: &'a [u8], old: &Old) -> Option<Frame<'a>> {
    let port = |at: usize| Some(u16::from_be_bytes(datagram.get(at..at + 2)?.try_into().ok()?));
    let addresses = datagram.get(8..old.header_bytes)?;
    let (src, dst): (IpAddr, IpAddr) = match (addresses.first_chunk(), addresses.last_chunk()) {
        (Some(src), Some(dst)) if addresses.len() == 8 => {
            (Ipv4Addr::from(*src).into(), Ipv4Addr::from(*dst).into())
        }
        _ => {
            let (src, dst) = addresses.split_first_chunk::<16>()?;
            (Ipv6Addr::from(*src).into(), Ipv6Addr::from(*dst.first_chunk()?).into())
        }
    };
    let behind = &datagram[old.header_bytes..];
    let (mut time, mut payload) = (None, behind);
    if old.version == 2 {
        // Seconds, microseconds and the agent's id, in the byte order of the agent's machine, which
        // nearly always is the little one; some agents pad the header to 12 bytes.
        let (seconds, rest) = behind.split_first_chunk()?;
        let (micros, rest) = rest.split_first_chunk()?;
        let little = u32::from_le_bytes(*micros) < 1_000_000;
        let number =
            |bytes: &[u8; 4]| if little { u32::from_le_bytes(*bytes) } else { u32::from_be_bytes(*bytes) };
        let at = i64::from(number(seconds)) * 1_000_000 + i64::from(number(micros));
        time = Some(Timestamp::from_micros(at));
        payload = rest.get(2..)?;
        payload = payload.strip_prefix(&[0, 0]).unwrap_or(payload);
    }
    Some(Frame {
        ip_protocol: datagram.get(3).copied(),
        src: Some(SocketAddr::new(src, port(4)?)),
        dst: Some(SocketAddr::new(dst, port(6)?)),
        time,
        protocol_type: None,
        correlation: None,
        agent: None,
        key: None,
        payload: Payload::Plain(payload),
    })
}

/// Undoes the compression of a payload (chunk 16, RFC 1950).
///
/// # Errors
/// If it is damaged, or longer than a datagram can be.
pub fn inflate(payload: &[u8]) -> Result<Vec<u8>, HepError> {
    miniz_oxide::inflate::decompress_to_vec_zlib_with_limit(payload, INFLATED_BYTES_MAX)
        .map_err(|_| HepError::Compressed { limit: INFLATED_BYTES_MAX })
}

/// The most that a compressed payload may hold: what fits into a datagram.
const INFLATED_BYTES_MAX: usize = 64 * 1024;

/// Reads one frame from the front of `bytes`; what follows it is not looked at.
///
/// # Errors
/// If a length does not fit; unknown chunks are skipped.
pub fn parse(bytes: &[u8]) -> Result<Frame<'_>, HepError> {
    if let Some(old) = Old::of(bytes) {
        return parse_old(bytes, &old).ok_or(HepError::Short);
    }
    let total = frame_len(bytes).ok_or(HepError::Magic)?;
    let length_error = HepError::Length { claimed: total, actual: bytes.len() };
    let frame = bytes.get(..usize::from(total)).ok_or(length_error)?;
    let mut rest = frame.get(HEADER_BYTES..).ok_or(length_error)?;

    let (mut src, mut dst) = (None, None);
    let (mut src_port, mut dst_port) = (0, 0);
    let (mut seconds, mut micros) = (None, 0);
    let mut found = Frame {
        ip_protocol: None,
        src: None,
        dst: None,
        time: None,
        protocol_type: None,
        correlation: None,
        agent: None,
        key: None,
        payload: Payload::Missing,
    };
    while !rest.is_empty() {
        let offset = frame.len() - rest.len();
        let Some(&[v0, v1, t0, t1, l0, l1]) = rest.first_chunk() else {
            return Err(HepError::Chunk { offset, claimed: 0 });
        };
        let claimed = u16::from_be_bytes([l0, l1]);
        let value =
            rest.get(CHUNK_HEADER_BYTES..usize::from(claimed)).ok_or(HepError::Chunk { offset, claimed })?;
        rest = &rest[usize::from(claimed)..];
        if [v0, v1] != GENERIC {
            continue;
        }
        let chunk = u16::from_be_bytes([t0, t1]);
        match chunk {
            2 => found.ip_protocol = Some(u8::from_be_bytes(fixed(chunk, value)?)),
            3 => src = Some(IpAddr::V4(Ipv4Addr::from(fixed(chunk, value)?))),
            4 => dst = Some(IpAddr::V4(Ipv4Addr::from(fixed(chunk, value)?))),
            5 => src = Some(IpAddr::V6(Ipv6Addr::from(fixed(chunk, value)?))),
            6 => dst = Some(IpAddr::V6(Ipv6Addr::from(fixed(chunk, value)?))),
            7 => src_port = u16::from_be_bytes(fixed(chunk, value)?),
            8 => dst_port = u16::from_be_bytes(fixed(chunk, value)?),
            9 => seconds = Some(u32::from_be_bytes(fixed(chunk, value)?)),
            10 => micros = u32::from_be_bytes(fixed(chunk, value)?),
            11 => found.protocol_type = Some(u8::from_be_bytes(fixed(chunk, value)?)),
            12 => found.agent = Some(u32::from_be_bytes(fixed(chunk, value)?)),
            14 => found.key = Some(value),
            15 => found.payload = Payload::Plain(value),
            16 => found.payload = Payload::Compressed(value),
            17 => found.correlation = Some(value),
            _ => {} // the address family (1) is that of the addresses
        }
    }
    found.src = src.map(|ip| SocketAddr::new(ip, src_port));
    found.dst = dst.map(|ip| SocketAddr::new(ip, dst_port));
    found.time =
        seconds.map(|seconds| Timestamp::from_micros(i64::from(seconds) * 1_000_000 + i64::from(micros)));
    Ok(found)
}

/// Takes the SIP message out of a frame. What is compressed is unpacked into `unpacked`.
///
/// # Errors
/// If the frame carries another protocol, is damaged, or does not say who sent the message to whom.
#[inline]
pub fn sip<'a>(frame: &Frame<'a>, unpacked: &'a mut Vec<u8>) -> Result<Sip<'a>, NoSip> {
    if frame.protocol_type.is_some_and(|kind| kind != Frame::SIP) {
        return Err(NoSip::OtherProtocol);
    }
    let payload = match frame.payload {
        Payload::Missing => b"",
        Payload::Plain(payload) => payload,
        Payload::Compressed(payload) => {
            *unpacked = inflate(payload).map_err(NoSip::Damaged)?;
            &**unpacked
        }
    };
    let payload = sniff::skip_keep_alive(payload);
    if sniff::start_line(payload) != Sniff::Sip {
        return Err(NoSip::OtherProtocol);
    }
    let (Some(src), Some(dst)) = (frame.src, frame.dst) else { return Err(NoSip::WithoutAddress) };
    Ok(Sip { src, dst, payload })
}

/// A SIP message in a frame.
#[derive(Clone, Copy, Debug)]
pub struct Sip<'a> {
    /// The sender.
    pub src: SocketAddr,
    /// The receiver.
    pub dst: SocketAddr,
    /// The message.
    pub payload: &'a [u8],
}

impl<'a> Sip<'a> {
    /// The messages in the payload of a frame: one, or several where an agent has sent a segment of TCP as it was.
    pub fn messages(&self, frame: &Frame<'_>) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let is_of_stream = frame.is_of_stream();
        let mut rest = Some(self.payload);
        std::iter::from_fn(move || {
            let bytes = rest.take()?;
            let Some((end, next)) = is_of_stream.then(|| framing::several(bytes)).flatten() else {
                return Some(bytes);
            };
            rest = Some(&bytes[next..]);
            Some(&bytes[..end])
        })
    }
}

/// Reason why a frame gives no SIP message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoSip {
    /// It carries something else: an RTCP report, a log line, a keep-alive.
    OtherProtocol,
    /// It is damaged.
    Damaged(HepError),
    /// It does not say who sent the message to whom.
    WithoutAddress,
}

/// The time of a message: the agent's, where the frame has one. A stamp that lies a little behind
/// the message before it is an inaccuracy of the agent, and taken as the time of that message.
pub fn time(stamp: Option<Timestamp>, arrival: Timestamp, before: Option<Timestamp>) -> Timestamp {
    let time = stamp.unwrap_or(arrival);
    match before {
        Some(before) if before.since(time) < JITTER_MAX => time.max(before),
        _ => time,
    }
}

/// Lag that a time stamp may have behind the one before it and still be an inaccuracy of the agent:
/// Asterisk stamps what it receives in whole milliseconds, what it sends in microseconds.
const JITTER_MAX: Duration = Duration::from_secs(1);

/// Appends a frame of version 3 with a SIP message, as a capture agent of this id sends it.
///
/// # Errors
/// If the message is longer than a frame can hold; nothing is appended then.
pub fn write(
    captured: &Captured<'_>,
    agent: u32,
    key: Option<&[u8]>,
    out: &mut Vec<u8>,
) -> Result<(), TooLong> {
    let start = out.len();
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&[0, 0]);
    let mut chunk = |kind: u16, value: &[u8]| {
        out.extend_from_slice(&GENERIC);
        out.extend_from_slice(&kind.to_be_bytes());
        // A length that does not fit is found at the end.
        out.extend_from_slice(&((value.len() + CHUNK_HEADER_BYTES) as u16).to_be_bytes());
        out.extend_from_slice(value);
    };
    let micros = captured.time.as_micros();
    let seconds = u32::try_from(micros.div_euclid(1_000_000)).unwrap_or(u32::MAX);
    let family = if captured.src.is_ipv4() && captured.dst.is_ipv4() { 2 } else { 10 };
    chunk(1, &[family]);
    chunk(2, &[if captured.transport == Transport::Tcp { 6 } else { 17 }]);
    for (address, v4, v6, port) in [(captured.src, 3, 5, 7), (captured.dst, 4, 6, 8)] {
        match address.ip() {
            IpAddr::V4(ip) => chunk(v4, &ip.octets()),
            IpAddr::V6(ip) => chunk(v6, &ip.octets()),
        }
        chunk(port, &address.port().to_be_bytes());
    }
    chunk(9, &seconds.to_be_bytes());
    chunk(10, &(micros.rem_euclid(1_000_000) as u32).to_be_bytes());
    chunk(11, &[Frame::SIP]);
    chunk(12, &agent.to_be_bytes());
    if let Some(key) = key {
        chunk(14, key);
    }
    if let Some(correlation) = captured.correlation {
        chunk(17, correlation);
    }
    chunk(15, captured.payload);
    let Ok(total) = u16::try_from(out.len() - start) else {
        out.truncate(start);
        return Err(TooLong);
    };
    out[start + 4..start + 6].copy_from_slice(&total.to_be_bytes());
    Ok(())
}

/// A message does not fit into a frame, whose length has 16 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the message does not fit into a HEP frame, which has 65,535 bytes at most")]
pub struct TooLong;

/// The total length of the frame that begins here, not yet believed; `None` if none does.
pub fn frame_len(bytes: &[u8]) -> Option<u16> {
    let &[m0, m1, m2, m3, l0, l1] = bytes.first_chunk()?;
    (&[m0, m1, m2, m3] == MAGIC).then(|| u16::from_be_bytes([l0, l1]))
}

fn fixed<const N: usize>(chunk: u16, value: &[u8]) -> Result<[u8; N], HepError> {
    value.try_into().map_err(|_| HepError::ChunkSize { chunk, actual: value.len() })
}

/// Vendor, type and length of a chunk.
const CHUNK_HEADER_BYTES: usize = 6;

/// The vendor of the chunks that everybody knows; those of others are skipped.
const GENERIC: [u8; 2] = [0, 0];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::fixture::{frame, sip_frame};
    use super::*;

    #[test]
    fn generic_chunks_are_read() {
        let bytes = sip_frame(1_700_000_000_000_123, b"OPTIONS");
        let frame = parse(&bytes).unwrap();
        assert_eq!(frame.src, Some("192.0.2.1:5060".parse().unwrap()));
        assert_eq!(frame.dst, Some("192.0.2.2:5070".parse().unwrap()));
        assert_eq!(frame.time, Some(Timestamp::from_micros(1_700_000_000_000_123)));
        assert_eq!(frame.protocol_type, Some(Frame::SIP));
        assert_eq!(frame.transport(), Transport::Udp);
        assert_eq!(frame.correlation, Some(&b"call-1"[..]));
        assert_eq!(frame.payload, Payload::Plain(b"OPTIONS"));
    }

    #[test]
    fn a_frame_that_is_written_is_read_as_it_was() {
        for (src, dst, transport, correlation) in [
            ("192.0.2.1:5060", "192.0.2.2:5070", Transport::Udp, Some(&b"call-1"[..])),
            ("[2001:db8::1]:5060", "[::1]:1", Transport::Tcp, None),
        ] {
            let captured = Captured {
                time: Timestamp::from_micros(1_700_000_000_000_123),
                transport,
                src: src.parse().unwrap(),
                dst: dst.parse().unwrap(),
                packet: 1,
                correlation,
                payload: b"OPTIONS sip:a SIP/2.0\r\n\r\n",
            };
            let mut bytes = b"before".to_vec();
            write(&captured, 7, Some(b"secret"), &mut bytes).unwrap();
            let frame = parse(&bytes[6..]).unwrap();
            assert_eq!((frame.time, frame.transport()), (Some(captured.time), transport));
            assert_eq!((frame.key, frame.correlation), (Some(&b"secret"[..]), correlation));
            assert_eq!(frame.agent, Some(7));
            let mut unpacked = Vec::new();
            let sip = sip(&frame, &mut unpacked).unwrap();
            assert_eq!((sip.src, sip.dst, sip.payload), (captured.src, captured.dst, captured.payload));
            let long = vec![b'x'; 65_530];
            let before = bytes.clone();
            assert_eq!(write(&Captured { payload: &long, ..captured }, 7, None, &mut bytes), Err(TooLong));
            assert_eq!(bytes, before);
        }
    }

    #[test]
    fn addresses_of_ipv6_and_tcp_are_read() {
        let (a, b) = (Ipv6Addr::LOCALHOST, "2001:db8::1".parse::<Ipv6Addr>().unwrap());
        let bytes = frame(&[(5, &a.octets()), (6, &b.octets()), (8, &[0x13, 0xc4]), (2, &[6])]);
        let frame = parse(&bytes).unwrap();
        assert_eq!(frame.src, Some("[::1]:0".parse().unwrap()));
        assert_eq!(frame.dst, Some("[2001:db8::1]:5060".parse().unwrap()));
        assert_eq!((frame.transport(), frame.time), (Transport::Tcp, None));
    }

    #[test]
    fn chunks_of_vendors_and_unknown_types_are_skipped() {
        let mut bytes = frame(&[(0x7fff, b"??"), (15, b"x")]);
        bytes.extend([0x0a, 0xbc, 0, 15, 0, 7, b'y']);
        let total = bytes.len() as u8;
        bytes[5] = total;
        assert_eq!(parse(&bytes).unwrap().payload, Payload::Plain(b"x"));
    }

    #[test]
    fn lengths_are_checked_before_they_are_believed() {
        assert_eq!(parse(b"HEP2\0\x06"), Err(HepError::Magic));
        assert_eq!(parse(b"HEP3\0"), Err(HepError::Magic));
        assert_eq!(parse(b"HEP3\0\x07"), Err(HepError::Length { claimed: 7, actual: 6 }));
        assert_eq!(parse(b"HEP3\0\x05"), Err(HepError::Length { claimed: 5, actual: 6 }));
        assert_eq!(parse(b"HEP3\0\x0a\0\0\0\x01"), Err(HepError::Chunk { offset: 6, claimed: 0 }));
        for claimed in [0, 5, 8] {
            assert_eq!(
                parse(&[b'H', b'E', b'P', b'3', 0, 13, 0, 0, 0, 15, 0, claimed, 1]),
                Err(HepError::Chunk { offset: 6, claimed: claimed.into() })
            );
        }
        let short = frame(&[(3, &[1, 2, 3])]);
        assert_eq!(parse(&short), Err(HepError::ChunkSize { chunk: 3, actual: 3 }));
    }

    /// A frame of version 1, or of version 2 with its time.
    fn old(version: u8, time: &[u8], payload: &[u8]) -> Vec<u8> {
        let head = [version, 16, 2, 17, 0x13, 0xc4, 0x13, 0xce, 192, 0, 2, 1, 192, 0, 2, 2];
        [&head[..], time, payload].concat()
    }

    #[test]
    fn versions_1_and_2_are_read() {
        let (seconds, micros) = (1_700_000_000_u32, 123_u32);
        let little = [seconds.to_le_bytes(), micros.to_le_bytes()].concat();
        let big = [seconds.to_be_bytes(), micros.to_be_bytes()].concat();
        let at = Some(Timestamp::from_micros(1_700_000_000_000_123));
        for (bytes, time) in [
            (old(1, b"", b"OPTIONS"), None),
            (old(2, &[&little[..], &[7, 0]].concat(), b"OPTIONS"), at),
            (old(2, &[&little[..], &[7, 0, 0, 0]].concat(), b"OPTIONS"), at),
            (old(2, &[&big[..], &[0, 7]].concat(), b"OPTIONS"), at),
        ] {
            assert!(is_frame(&bytes));
            let frame = parse(&bytes).unwrap();
            assert_eq!(frame.src, Some("192.0.2.1:5060".parse().unwrap()));
            assert_eq!(frame.dst, Some("192.0.2.2:5070".parse().unwrap()));
            assert_eq!((frame.time, frame.payload), (time, Payload::Plain(b"OPTIONS")));
        }
        let head = [1, 40, 10, 6, 0, 1, 0, 2];
        let (src, dst) = (Ipv6Addr::LOCALHOST.octets(), Ipv6Addr::UNSPECIFIED.octets());
        let bytes = [&head[..], &src, &dst, b"OPTIONS"].concat();
        let frame = parse(&bytes).unwrap();
        assert_eq!(
            (frame.src, frame.dst),
            (Some("[::1]:1".parse().unwrap()), Some("[::]:2".parse().unwrap()))
        );
        assert_eq!(frame.transport(), Transport::Tcp);
        assert_eq!(parse(&old(2, &little, b"")), Err(HepError::Short));
        assert!(!is_frame(&bytes[..30]) && !is_frame(&[1, 16, 10, 17, 0, 0, 0, 0]));
    }

    #[test]
    fn compressed_payloads_are_read_as_far_as_a_datagram_goes() {
        let packed = miniz_oxide::deflate::compress_to_vec_zlib(b"OPTIONS", 6);
        assert_eq!(inflate(&packed).unwrap(), b"OPTIONS");
        let bomb = miniz_oxide::deflate::compress_to_vec_zlib(&vec![0; 50_000_000], 9);
        assert!(matches!(inflate(&bomb), Err(HepError::Compressed { .. })));
        assert!(inflate(b"not compressed").is_err());
        assert!(inflate(b"").is_err());
    }

    #[test]
    fn a_frame_of_a_stream_may_hold_several_messages() {
        let (one, two) =
            (&b"SIP/2.0 180 Ringing\r\nl: 0\r\n\r\n"[..], &b"SIP/2.0 200 OK\r\nl: 3\r\n\r\nv=0"[..]);
        let both = [one, two].concat();
        let messages = |protocol: u8| {
            let bytes = frame(&[(2, &[protocol]), (3, &[192, 0, 2, 1]), (4, &[192, 0, 2, 2]), (15, &both)]);
            let (frame, mut unpacked) = (parse(&bytes).unwrap(), Vec::new());
            let sip = sip(&frame, &mut unpacked).unwrap();
            sip.messages(&frame).map(<[u8]>::to_vec).collect::<Vec<_>>()
        };
        assert_eq!(messages(6), [one, two]);
        // What follows the body of a datagram is nothing (RFC 3261 §18.3).
        assert_eq!(messages(17), [&both[..]]);
    }

    proptest! {
        #[test]
        fn no_old_bytes_panic(version in 1u8..3, length in prop::sample::select(vec![16u8, 40]), rest in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = parse(&[&[version, length, if length == 16 { 2 } else { 10 }, 17][..], &rest].concat());
        }

        #[test]
        fn no_bytes_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = parse(&bytes);
            bytes.splice(0..0, *b"HEP3\0\x20");
            let _ = parse(&bytes);
        }

        #[test]
        fn no_damage_panics(at in 0..120_usize, to in any::<u8>(), cut in 0..120_usize) {
            let mut bytes = sip_frame(1, b"SIP/2.0 200 OK\r\n\r\n");
            let at = at % bytes.len();
            bytes[at] = to;
            let _ = parse(&bytes);
            let _ = parse(&bytes[..cut % bytes.len()]);
        }
    }
}
