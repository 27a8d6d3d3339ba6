//! Whole files, read from their first byte to their last.

use std::io::{self, Read};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hookswitch_model::Timestamp;
use proptest::prelude::*;

use super::fixture::{
    A, ACK, B, BIG, FIN, LITTLE, Order, RAW_IP, RST, START, SYN, frame, ip, sip, sip_frame, tcp, udp,
};
use super::{Counters, Reader, Transport, Warning};

/// What was read from a file.
#[derive(Debug)]
struct Outcome {
    messages: Vec<Message>,
    counters: Counters,
    warnings: Vec<Warning>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Message {
    micros: i64,
    transport: Transport,
    from: String,
    to: String,
    packet: u64,
    correlation: Option<Vec<u8>>,
    payload: Vec<u8>,
}

impl Outcome {
    fn payloads(&self) -> Vec<&[u8]> {
        self.messages.iter().map(|message| &message.payload[..]).collect()
    }

    fn warnings(&self) -> Vec<String> {
        self.warnings.iter().map(ToString::to_string).collect()
    }
}

fn read(file: &[u8]) -> Outcome {
    let mut reader = Reader::new(file).unwrap();
    let mut messages = Vec::new();
    while reader.advance().unwrap() {
        let message = reader.current().unwrap();
        messages.push(Message {
            micros: message.time.as_micros(),
            transport: message.transport,
            from: message.src.to_string(),
            to: message.dst.to_string(),
            packet: message.packet,
            correlation: message.correlation.map(<[u8]>::to_vec),
            payload: message.payload.to_vec(),
        });
    }
    assert!(reader.current().is_none());
    let counters = *reader.counters();
    assert_eq!(counters.balance(), Ok(()), "{counters:?}");
    assert_eq!(counters.messages, messages.len() as u64);
    Outcome { messages, counters, warnings: reader.warnings().to_vec() }
}

fn read_packets(packets: &[Vec<u8>]) -> Outcome {
    read(&LITTLE.pcap(false, RAW_IP, packets))
}

const START_MICROS: i64 = START as i64 * 1_000_000;

#[test]
fn pcap_is_read_in_both_byte_orders_and_resolutions() {
    let packets = [udp(A, B, &sip(1, "one")), udp("[::1]:1", "[::2]:2", &sip(2, ""))];
    for (order, nanoseconds) in [(LITTLE, false), (LITTLE, true), (BIG, false), (BIG, true)] {
        let outcome = read(&order.pcap(nanoseconds, RAW_IP, &packets));
        assert_eq!(outcome.payloads(), [sip(1, "one"), sip(2, "")]);
        let [one, two] = &outcome.messages[..] else { panic!() };
        assert_eq!((one.micros, two.micros), (START_MICROS, START_MICROS + 1000));
        assert_eq!((&one.from[..], &one.to[..], one.packet), (A, B, 1));
        assert_eq!((&two.from[..], &two.to[..], two.packet), ("[::1]:1", "[::2]:2", 2));
        assert_eq!((one.transport, &one.correlation), (Transport::Udp, &None));
    }
}

#[test]
fn a_file_without_packets_has_no_messages() {
    for file in [BIG.pcap(false, 1, &[]), LITTLE.section()] {
        let outcome = read(&file);
        assert_eq!(outcome.counters, Counters::default());
        assert!(outcome.warnings.is_empty());
    }
}

#[test]
fn pcapng_is_read_with_its_sections_interfaces_and_clocks() {
    let micros = START_MICROS.unsigned_abs() + 500_000;
    let mut file = Vec::new();
    for (number, order) in [LITTLE, BIG].into_iter().enumerate() {
        let message = |part: usize| udp(A, B, &sip(number * 10 + part, "x"));
        file.extend(order.section());
        file.extend(order.block(0x0bad, b"a block of a type nobody knows"));
        file.extend(order.interface(101, None, 0));
        file.extend(order.interface(101, Some(9), 0));
        file.extend(order.interface(101, Some(0x8a), 100));
        file.extend(order.interface(147, Some(3), 0));
        file.extend(order.enhanced_packet(0, micros, &message(0)));
        file.extend(order.enhanced_packet(1, micros * 1000 + 999, &message(1)));
        file.extend(order.enhanced_packet(2, (u64::from(START) - 100) * 1024 + 512, &message(2)));
        file.extend(order.simple_packet(&message(3)));
        file.extend(order.enhanced_packet(3, 1, b"of a link type that is not understood"));
        file.extend(order.enhanced_packet(4, 1, b"of an interface that is not described"));
    }
    let outcome = read(&file);
    assert_eq!(outcome.messages.len(), 8);
    for (message, number) in outcome.messages.iter().zip([0, 1, 2, 3, 10, 11, 12, 13]) {
        assert_eq!(message.payload, sip(number, "x"));
        assert_eq!(message.micros, START_MICROS + 500_000);
    }
    assert_eq!((outcome.counters.unsupported_links, outcome.counters.damaged), (2, 2));
    let [link, interface, _] = &outcome.warnings()[..] else { panic!() };
    assert!(link.ends_with("packets of link type 147 are not understood and are skipped"), "{link}");
    assert!(interface.contains("interface 4"), "{interface}");
}

#[test]
fn everything_read_is_counted_once() {
    let mut fragment = udp(A, B, &sip(0, ""));
    fragment[6] = 0x20;
    let (src, dst) = (A.parse().unwrap(), B.parse().unwrap());
    let quoted = ip(src, dst, 1, &[&[3, 3, 0, 0, 0, 0, 0, 0][..], &udp(A, B, &sip(0, ""))].concat());
    let packets = [
        udp(A, B, &[b"\r\n\r\n", &sip(1, "")[..]].concat()),
        udp(A, B, b"\r\n\r\n"),
        udp(A, B, b"\0"),
        udp(A, B, b""),
        udp(A, B, b"\x80\x08\x00\x01"),
        udp(A, B, &sip_frame(1, &sip(2, ""))),
        udp(A, B, &sip_frame(1, b"not SIP")),
        udp(A, B, &frame(&[(11, &[5]), (15, b"{}")])),
        udp(A, B, &frame(&[(11, &[1]), (16, b"??")])),
        udp(A, B, &frame(&[(11, &[1]), (15, &sip(0, ""))])),
        udp(A, B, b"HEP3\0\x07?"),
        quoted,
        fragment,
        b"E".to_vec(),
        tcp(A, B, (0, 0, SYN), b""),
        tcp(A, B, (1, 0, ACK), &[&sip(3, "")[..], b"\r\n\r\n?"].concat()),
        tcp(A, B, (1, 0, ACK), b"MESS"),
        tcp(B, A, (7, 0, ACK), b"\x16\x03\x01"),
    ];
    let outcome = read_packets(&packets);
    assert_eq!(outcome.payloads(), [sip(1, ""), sip(2, ""), sip(3, "")]);
    let stream = sip(3, "").len() as u64;
    let expected = Counters {
        packets: 18,
        udp: 11,
        tcp: 4,
        other_protocols: 1,
        fragments: 1,
        damaged: 1,
        udp_sip: 1,
        udp_hep: 6,
        udp_other: 4,
        hep_sip: 1,
        hep_not_sip: 2,
        hep_damaged: 3,
        tcp_sip: 1,
        tcp_bytes: stream + 5 + 4 + 3,
        tcp_message_bytes: stream,
        tcp_keep_alive_bytes: 4,
        tcp_skipped_bytes: 1 + 3,
        tcp_retransmitted_bytes: 4,
        messages: 3,
        ..Counters::default()
    };
    assert_eq!(outcome.counters, expected);
}

/// An IPv4 packet in pieces of `size` bytes.
fn pieces(packet: &[u8], size: usize) -> Vec<Vec<u8>> {
    let (head, body) = packet.split_at(20);
    let count = body.chunks(size).count();
    let piece = |(number, part): (usize, &[u8])| {
        let mut head = head.to_vec();
        head[2..4].copy_from_slice(&(20 + part.len() as u16).to_be_bytes());
        let more = if number + 1 < count { 0x2000 } else { 0 };
        head[6..8].copy_from_slice(&((number * size / 8) as u16 | more).to_be_bytes());
        [&head[..], part].concat()
    };
    body.chunks(size).enumerate().map(piece).collect()
}

#[test]
fn datagrams_in_pieces_are_read_when_the_last_piece_comes() {
    let message = sip(1, &"long ".repeat(500));
    let mut packets = pieces(&udp(A, B, &message), 512);
    let count = packets.len() as u64;
    packets.swap(0, 3);
    packets.insert(1, packets[0].clone());
    let outcome = read_packets(&packets);
    assert_eq!(outcome.payloads(), [&message[..]]);
    assert_eq!((&outcome.messages[0].from[..], outcome.messages[0].packet), (A, count + 1));
    assert_eq!((outcome.counters.fragments, outcome.counters.udp), (count, 1));
    let outcome = read_packets(&packets[..packets.len() - 1]);
    assert_eq!((outcome.messages.len(), outcome.counters.fragments), (0, count));
    // One piece says something else of the same place.
    packets[1] = pieces(&udp(A, B, &sip(2, &"x".repeat(3000))), 256)[7].clone();
    let outcome = read_packets(&packets);
    assert_eq!((outcome.messages.len(), outcome.counters.fragmented_void), (0, 1));
    // A HEP frame in pieces, and a segment in pieces.
    let hep = pieces(&udp(A, B, &sip_frame(1, &message)), 1024);
    let segment = pieces(&tcp(A, B, (1, 0, ACK), &message), 1024);
    assert_eq!(read_packets(&hep).payloads(), [&message[..]]);
    assert_eq!(read_packets(&segment).payloads(), [&message[..]]);
}

#[test]
fn packets_in_packets_are_read_but_not_without_end() {
    let (src, dst) = ("192.0.2.8:0".parse().unwrap(), "192.0.2.9:0".parse().unwrap());
    let packed = |packet: Vec<u8>| ip(src, dst, 4, &packet);
    let plain = udp(A, B, &sip(1, ""));
    let deep = |levels| (0..levels).fold(plain.clone(), |packet, _| packed(packet));
    let outcome = read_packets(&[plain.clone(), deep(1), deep(8), deep(9), deep(50)]);
    assert_eq!(outcome.payloads(), [sip(1, ""), sip(1, ""), sip(1, "")]);
    assert!(outcome.messages.iter().all(|message| message.from == A));
    assert_eq!(outcome.counters.other_protocols, 2);
    let in_pieces = pieces(&packed(udp(A, B, &sip(2, &"long ".repeat(500)))), 512);
    assert_eq!(read_packets(&in_pieces).messages.len(), 1);
}

#[test]
fn old_and_compressed_hep_is_read_wherever_it_comes() {
    let head = [1, 16, 2, 17, 0x13, 0xc4, 0x13, 0xce, 192, 0, 2, 1, 192, 0, 2, 2];
    let old = [&head[..], &sip(1, "old")].concat();
    let packed = miniz_oxide::deflate::compress_to_vec_zlib(&sip(2, "packed"), 6);
    let packed = frame(&[
        (3, &[192, 0, 2, 1]),
        (4, &[192, 0, 2, 2]),
        (7, &5060_u16.to_be_bytes()),
        (8, &5070_u16.to_be_bytes()),
        (16, &packed),
        (17, b"call-2"),
    ]);
    for file in [datagrams(&[old.clone(), packed.clone()]), lines(&[old, packed])] {
        let outcome = read(&file);
        assert_eq!(outcome.payloads(), [sip(1, "old"), sip(2, "packed")]);
        assert!(outcome.messages.iter().all(|message| (&message.from[..], &message.to[..]) == (A, B)));
        assert_eq!(outcome.messages[1].correlation.as_deref(), Some(&b"call-2"[..]));
    }
}

#[test]
fn ten_thousand_interfaces_are_told_apart() {
    let mut file = LITTLE.section();
    for number in 0..10_000 {
        file.extend(LITTLE.interface(101, Some(if number % 2 == 0 { 6 } else { 9 }), 0));
    }
    let micros = START_MICROS.unsigned_abs();
    file.extend(LITTLE.enhanced_packet(9_998, micros, &udp(A, B, &sip(1, ""))));
    file.extend(LITTLE.enhanced_packet(9_999, micros * 1000, &udp(A, B, &sip(2, ""))));
    let outcome = read(&file);
    let times: Vec<_> = outcome.messages.iter().map(|message| message.micros).collect();
    assert_eq!(times, [START_MICROS; 2]);
}

#[test]
fn a_truncated_file_ends_with_what_was_readable() {
    let packets = [udp(A, B, &sip(1, "")), udp(A, B, &sip(2, ""))];
    let file = LITTLE.pcap(false, RAW_IP, &packets);
    let second = 24 + 16 + packets[0].len();
    for cut in [second + 1, second + 16, file.len() - 1] {
        let outcome = read(&file[..cut]);
        assert_eq!(outcome.payloads(), [sip(1, "")]);
        assert_eq!(outcome.warnings(), [format!("at byte {second}: the file ends inside a record")]);
    }
    assert!(read(&file[..second]).warnings.is_empty());
}

#[test]
fn a_length_that_cannot_be_is_not_believed() {
    let packets = [udp(A, B, &sip(1, "")), udp(A, B, &sip(2, ""))];
    let mut file = LITTLE.pcap(false, RAW_IP, &packets);
    let second = 24 + 16 + packets[0].len();
    file[second + 8..second + 12].copy_from_slice(&[0xff; 4]);
    let outcome = read(&file);
    assert_eq!(outcome.payloads(), [sip(1, "")]);
    assert!(outcome.warnings()[0].contains("claims 4294967295 bytes"));

    let mut file = [LITTLE.section(), LITTLE.interface(101, None, 0)].concat();
    let packet = file.len();
    file.extend(LITTLE.enhanced_packet(0, 1, &packets[0]));
    file.extend(LITTLE.enhanced_packet(0, 1, &packets[1]));
    file[packet + 20..packet + 24].copy_from_slice(&[0xff; 4]);
    let outcome = read(&file);
    assert_eq!(outcome.payloads(), [sip(2, "")]);
    assert_eq!(
        outcome.warnings(),
        [format!("at byte {packet}: a packet claims more bytes than its block has")]
    );
}

#[test]
fn a_cut_datagram_is_yielded_as_far_as_it_goes() {
    let packet = udp(A, B, &sip(1, "body"));
    let outcome = read_packets(&[packet[..packet.len() - 2].to_vec()]);
    assert_eq!(outcome.payloads(), [&sip(1, "body")[..sip(1, "body").len() - 2]]);
}

#[test]
fn a_failing_input_is_an_error_once() {
    struct Failing<'a>(&'a [u8]);
    impl Read for Failing<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            match self.0.read(buffer)? {
                0 => Err(io::Error::other("the disk is gone")),
                count => Ok(count),
            }
        }
    }
    let file = LITTLE.pcap(false, RAW_IP, &[udp(A, B, &sip(1, &"v=0\r\n".repeat(200)))]);
    let mut reader = Reader::new(Failing(&file)).unwrap();
    assert!(reader.advance().unwrap());
    assert_eq!(reader.advance().unwrap_err().to_string(), "the disk is gone");
    assert!(reader.current().is_none());
    assert!(!reader.advance().unwrap());
}

/// HEP frames as lines of JSON, all of which arrived at second 7.
fn lines(frames: &[Vec<u8>]) -> Vec<u8> {
    let line = |frame: &Vec<u8>| {
        format!("{{\"t\": 7.25, \"src\": \"{A}\", \"b64\": \"{}\"}}\n", STANDARD.encode(frame))
    };
    frames.iter().map(line).collect::<String>().into_bytes()
}

/// HEP frames in one TCP stream, cut into segments of 100 bytes.
fn stream(frames: &[Vec<u8>]) -> Vec<u8> {
    let bytes = frames.concat();
    let segments = bytes.chunks(100).enumerate();
    let packets: Vec<_> = segments.map(|(at, part)| tcp(B, A, (at as u32 * 100, 0, ACK), part)).collect();
    LITTLE.pcap(false, RAW_IP, &packets)
}

fn datagrams(frames: &[Vec<u8>]) -> Vec<u8> {
    let packets: Vec<_> = frames.iter().map(|frame| udp(B, A, frame)).collect();
    LITTLE.pcap(false, RAW_IP, &packets)
}

#[test]
fn hep_is_read_however_it_was_carried() {
    let frames: Vec<_> = (1..4).map(|n| sip_frame(n as u64 * 1000, &sip(n, "body"))).collect();
    for file in [frames.concat(), lines(&frames), stream(&frames), datagrams(&frames)] {
        let outcome = read(&file);
        assert_eq!(outcome.messages.len(), 3);
        for (message, (n, micros)) in outcome.messages.iter().zip([(1, 1000), (2, 2000), (3, 3000)]) {
            assert_eq!(message.payload, sip(n, "body"));
            assert_eq!(message.micros, micros);
            assert_eq!((&message.from[..], &message.to[..]), (A, B));
            assert_eq!(message.correlation.as_deref(), Some(&b"call-1"[..]));
            assert_eq!(message.transport, Transport::Udp);
        }
    }
    let packets: Vec<_> = read(&lines(&frames)).messages.iter().map(|m| m.packet).collect();
    assert_eq!(packets, [1, 2, 3]);
}

#[test]
fn hep_time_does_not_run_back_by_jitter() {
    let times = [10_000_500, 10_000_000, 9_000_501, 9_000_500, 12_000_000];
    let frames = times.map(|time| sip_frame(time, &sip(1, "")));
    let outcome = read(&frames.concat());
    let micros: Vec<_> = outcome.messages.iter().map(|message| message.micros).collect();
    // A second and more is no jitter.
    assert_eq!(micros, [10_000_500, 10_000_500, 10_000_500, 9_000_500, 12_000_000]);
}

#[test]
fn hep_without_time_stamp_has_the_time_of_its_arrival() {
    let bare = frame(&[(3, &[1, 2, 3, 4]), (4, &[1, 2, 3, 5]), (15, &sip(1, ""))]);
    assert_eq!(read(&lines(std::slice::from_ref(&bare))).messages[0].micros, 7_250_000);
    assert_eq!(read(&datagrams(std::slice::from_ref(&bare))).messages[0].micros, START_MICROS);
    let after = [sip_frame(5, &sip(1, "")), bare].concat();
    assert_eq!(read(&after).messages[1].micros, 5);
}

#[test]
fn damage_between_hep_frames_is_stepped_over() {
    let (one, two) = (sip_frame(1, &sip(1, "")), sip_frame(2, &sip(2, "")));
    let file = [&one[..], b"junk HEP2 junk", &two, b"HEP3\0"].concat();
    let outcome = read(&file);
    assert_eq!(outcome.payloads(), [sip(1, ""), sip(2, "")]);
    assert_eq!(
        outcome.warnings(),
        [
            format!("at byte {}: 14 bytes between HEP frames belong to none of them", one.len()),
            format!("at byte {}: the file ends inside a record", file.len() - 5),
        ]
    );
}

#[test]
fn lines_that_are_no_hep_are_warned_of() {
    let good = lines(&[sip_frame(1, &sip(1, ""))]);
    let sip_line = lines(&[sip(2, "")]);
    let half = &good[..good.len() / 2];
    let long = [b"{\"b64\": \"", &vec![b'A'; 3 << 20][..], b"\"}\n"].concat();
    let file = [&good[..], b"\r\n\n", b"{\"t\": 1}\n", &sip_line, &long, &good, half].concat();
    let outcome = read(&file);
    assert_eq!(outcome.payloads(), [sip(1, ""), sip(1, "")]);
    assert_eq!(outcome.messages[1].packet, 5);
    let warnings = outcome.warnings();
    assert_eq!(warnings.len(), 4, "{warnings:?}");
    for (warning, text) in warnings.iter().zip([
        "not a JSON object with a datagram",
        "not a HEP frame",
        "longer than a datagram can be",
        "ends inside a record",
    ]) {
        assert!(warning.contains(text), "{warning}");
    }
}

#[test]
fn warnings_are_bounded() {
    let packets = vec![udp(A, B, b"HEP3\0\x06?"); 5];
    assert!(read_packets(&packets).warnings.is_empty());
    let packets = vec![udp(A, B, b"HEP3\0\x60?"); 100];
    let outcome = read_packets(&packets);
    assert_eq!((outcome.warnings.len(), outcome.counters.warnings_dropped), (64, 36));
}

/// A valid file of each kind, with streams, frames and datagrams in it.
fn samples() -> [Vec<u8>; 5] {
    let frames: Vec<_> = (0..3).map(|n| sip_frame(n as u64, &sip(n, "body"))).collect();
    let whole = (0..4).flat_map(|n| sip(n, "v=0\r\n")).collect::<Vec<_>>();
    let mut packets = vec![tcp(A, B, (99, 0, SYN), b"")];
    for (at, part) in whole.chunks(50).enumerate() {
        packets.push(tcp(A, B, (100 + at as u32 * 50, 0, ACK), part));
        packets.push(udp(A, B, &sip(at, "x")));
    }
    packets.push(udp(A, B, &frames[0]));
    packets.push(tcp("[::1]:9", "[::2]:9", (0, 0, ACK | FIN), &frames[1]));
    let ng = |order: Order| {
        let mut file = [order.section(), order.interface(101, Some(9), 0)].concat();
        for packet in &packets {
            file.extend(order.enhanced_packet(0, 1_700_000_000_000_000_000, packet));
        }
        file.extend(order.simple_packet(&packets[2]));
        file
    };
    [LITTLE.pcap(false, RAW_IP, &packets), ng(LITTLE), ng(BIG), frames.concat(), lines(&frames)]
}

/// Reads anything, and checks what holds of everything.
fn survive(file: &[u8]) {
    if Reader::new(file).is_err() {
        return;
    }
    let outcome = read(file);
    let bytes: usize = outcome.payloads().iter().map(|payload| payload.len()).sum();
    assert!(bytes <= file.len(), "each byte is yielded at most once");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_bytes_panic(kind in 0..6_usize, bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let head: &[u8] = match kind {
            0 => &LITTLE.pcap(false, RAW_IP, &[]),
            1 => &BIG.pcap(true, 1, &[]),
            2 => &[LITTLE.section(), LITTLE.interface(1, None, 0)].concat(),
            3 => b"HEP3",
            4 => b"{",
            _ => b"",
        };
        survive(&[head, &bytes].concat());
    }

    #[test]
    fn no_damage_panics(
        kind in 0..5_usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..12),
        cut in any::<prop::sample::Index>(),
        is_cut in any::<bool>(),
    ) {
        let mut file = samples()[kind].clone();
        for (at, to) in changes {
            let at = at.index(file.len());
            file[at] = to;
        }
        if is_cut {
            file.truncate(cut.index(file.len()));
        }
        survive(&file);
    }
}

/// Where one stream is cut into segments, and in which order they were captured.
#[derive(Clone, Debug)]
struct Path {
    first: u32,
    sizes: Vec<usize>,
    /// By how many places each segment is late.
    delays: Vec<usize>,
    repeated: Vec<bool>,
}

fn path() -> impl Strategy<Value = Path> {
    let first = prop_oneof![any::<u32>(), (0..2000_u32).prop_map(|before| u32::MAX - before)];
    let sizes =
        prop_oneof![prop::collection::vec(1..8_usize, 1..40), prop::collection::vec(1..400_usize, 1..20),];
    let delays = prop::collection::vec(0..12_usize, 1..30);
    let repeated = prop::collection::vec(prop::bool::weighted(0.2), 1..30);
    (first, sizes, delays, repeated).prop_map(|(first, sizes, delays, repeated)| Path {
        first,
        sizes,
        delays,
        repeated,
    })
}

impl Path {
    /// The segments in the order of the stream: offset and bytes.
    fn segments<'a>(&self, bytes: &'a [u8]) -> Vec<(usize, &'a [u8])> {
        let mut segments = Vec::new();
        let mut at = 0;
        for size in self.sizes.iter().cycle() {
            if at == bytes.len() {
                break;
            }
            let end = (at + size).min(bytes.len());
            segments.push((at, &bytes[at..end]));
            at = end;
        }
        segments
    }

    /// The packets as captured, after the SYN.
    fn packets(&self, segments: &[(usize, &[u8])]) -> Vec<Vec<u8>> {
        let mut late: Vec<_> = Vec::new();
        for (number, &(at, bytes)) in segments.iter().enumerate() {
            let sequence = self.first.wrapping_add(1).wrapping_add(at as u32);
            let packet = tcp(A, B, (sequence, 0, ACK), bytes);
            let delay = self.delays[number % self.delays.len()];
            if self.repeated[number % self.repeated.len()] {
                late.push((number + delay / 2 + 5, packet.clone()));
            }
            late.push((number + delay, packet));
        }
        late.sort_by_key(|(place, _)| *place);
        let syn = tcp(A, B, (self.first, 0, SYN), b"");
        std::iter::once(syn).chain(late.into_iter().map(|(_, packet)| packet)).collect()
    }
}

/// Messages with keep-alives between them.
fn conversation() -> impl Strategy<Value = Vec<(Vec<u8>, bool)>> {
    prop::collection::vec(("([a-z=: ]{0,20}\r\n){0,8}", any::<bool>()), 1..12).prop_map(|bodies| {
        let number = |(number, (body, idle)): (usize, (String, bool))| (sip(number, &body), idle);
        bodies.into_iter().enumerate().map(number).collect()
    })
}

fn on_the_wire(messages: &[(Vec<u8>, bool)]) -> Vec<u8> {
    let with_idle = |(message, idle): &(Vec<u8>, bool)| {
        let line_ends: &[u8] = if *idle { b"\r\n\r\n" } else { b"" };
        [message, line_ends].concat()
    };
    messages.iter().flat_map(with_idle).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn the_way_of_a_stream_through_the_network_does_not_matter(
        messages in conversation(),
        path in path(),
    ) {
        let bytes = on_the_wire(&messages);
        let outcome = read_packets(&path.packets(&path.segments(&bytes)));
        let expected: Vec<_> = messages.iter().map(|(message, _)| &message[..]).collect();
        prop_assert_eq!(outcome.payloads(), expected);
        prop_assert_eq!(outcome.counters.tcp_gaps, 0);
    }

    #[test]
    fn a_lost_segment_costs_only_the_messages_it_was_part_of(
        messages in conversation(),
        path in path(),
        lost in any::<prop::sample::Index>(),
    ) {
        let bytes = on_the_wire(&messages);
        let mut segments = path.segments(&bytes);
        let (from, part) = segments.remove(lost.index(segments.len()));
        let to = from + part.len();
        let outcome = read_packets(&path.packets(&segments));
        let mut at = 0;
        let mut expected = Vec::new();
        for (message, idle) in &messages {
            let end = at + message.len();
            if end <= from || to <= at {
                expected.push(&message[..]);
            }
            at = end + if *idle { 4 } else { 0 };
        }
        // The rest of a message that lost its beginning may look like one.
        let found: Vec<_> = outcome.payloads().into_iter().filter(|m| m.starts_with(b"MESSAGE ")).collect();
        prop_assert_eq!(found, expected);
    }
}

#[test]
fn a_stream_joined_in_the_middle_is_read_from_the_next_start_line() {
    let (one, two) = (sip(1, "v=0\r\ns=-\r\n"), sip(2, ""));
    let bytes = [&one[30..], &two].concat();
    assert_eq!(read_packets(&[tcp(A, B, (5, 0, ACK), &bytes)]).payloads(), [&two[..]]);
    let packets: Vec<_> = bytes.iter().zip(5..).map(|(byte, at)| tcp(A, B, (at, 0, ACK), &[*byte])).collect();
    assert_eq!(read_packets(&packets).payloads(), [&two[..]]);
}

#[test]
fn ports_may_be_used_again() {
    for (end, isn) in [(FIN, 500), (RST, 500), (ACK, 900_000), (FIN, 4_000_000_000)] {
        let packets = [
            tcp(A, B, (500, 0, SYN), b""),
            tcp(A, B, (501, 0, ACK), &sip(1, "")),
            tcp(A, B, (501 + sip(1, "").len() as u32, 0, end), b"cut sho"),
            tcp(A, B, (isn, 0, SYN), b""),
            tcp(A, B, (isn, 0, SYN), b""),
            tcp(A, B, (isn + 1, 0, ACK), &sip(2, "")),
        ];
        assert_eq!(read_packets(&packets).payloads(), [sip(1, ""), sip(2, "")]);
    }
}

#[test]
fn a_sequence_number_far_away_is_another_stream() {
    for isn in [10_000_000, 4_000_000_000] {
        let packets = [
            tcp(A, B, (1, 0, ACK), &sip(1, "")),
            tcp(A, B, (1 + sip(1, "").len() as u32, 0, ACK), b"MESSAGE cut sho"),
            tcp(A, B, (isn, 0, ACK), &sip(2, "")),
        ];
        let outcome = read_packets(&packets);
        assert_eq!(outcome.payloads(), [sip(1, ""), sip(2, "")]);
        assert_eq!(outcome.counters.tcp_gaps, 0);
    }
}

#[test]
fn a_hole_that_was_acknowledged_is_not_waited_for() {
    let (one, two) = (sip(1, ""), sip(2, ""));
    let after = 1 + one.len() as u32;
    let packets = [
        tcp(A, B, (0, 0, SYN), b""),
        tcp(A, B, (after, 0, ACK), &two),
        tcp(B, A, (0, after - 1, ACK), b""),
        tcp(B, A, (0, after + two.len() as u32, ACK), b""),
        udp(A, B, &sip(3, "")),
    ];
    let outcome = read_packets(&packets);
    assert_eq!(outcome.payloads(), [two, sip(3, "")]);
    assert_eq!(outcome.messages[0].packet, 2);
    assert_eq!((outcome.counters.tcp_gaps, outcome.counters.tcp_missing_bytes), (1, one.len() as u64));
}

#[test]
fn a_cut_segment_is_a_gap() {
    let (one, two) = (sip(1, "v=0\r\n"), sip(2, ""));
    let mut cut = tcp(A, B, (1, 0, ACK), &one);
    cut.truncate(cut.len() - 3);
    let packets = [tcp(A, B, (0, 0, SYN), b""), cut, tcp(A, B, (1 + one.len() as u32, 0, ACK), &two)];
    let outcome = read_packets(&packets);
    assert_eq!(outcome.payloads(), [two]);
    assert_eq!((outcome.counters.tcp_gaps, outcome.counters.tcp_missing_bytes), (1, 3));
}

#[test]
fn an_unusable_content_length_gives_the_header_block_and_then_the_next_message() {
    let bad = b"MESSAGE sip:b@b SIP/2.0\r\nl: -7\r\n\r\n";
    let bytes = [&bad[..], b"v=0\r\n", &sip(2, "")].concat();
    let outcome = read_packets(&[tcp(A, B, (0, 0, SYN), b""), tcp(A, B, (1, 0, ACK), &bytes)]);
    assert_eq!(outcome.payloads(), [&bad[..], &sip(2, "")]);
}

#[test]
fn streams_beyond_the_bound_are_given_up_with_what_they_hold() {
    let port = |n: u32| format!("10.{}.{}.{}:5060", n >> 16, n >> 8 & 255, n & 255);
    let count = 40_000;
    let packets: Vec<_> =
        (0..count).map(|n| tcp(&port(n), B, (0, 0, ACK), b"MESSAGE sip:b@b SIP/2.0\r\n")).collect();
    let outcome = read_packets(&packets);
    assert_eq!(outcome.counters.tcp_evicted_streams, 8192);
    assert_eq!(outcome.counters.tcp_skipped_bytes, outcome.counters.tcp_bytes);

    // A hole at the beginning, so that the message waits; the eviction gives it up.
    let mut packets = vec![tcp(A, B, (0, 0, SYN), b""), tcp(A, B, (9, 0, ACK), &sip(1, ""))];
    packets.extend((0..count).map(|n| tcp(&port(n), B, (0, 0, SYN), b"")));
    let outcome = read_packets(&packets);
    assert_eq!(outcome.payloads(), [sip(1, "")]);
    assert_eq!(outcome.messages[0].packet, 2);
}

#[test]
fn times_before_the_epoch_and_far_away_are_kept() {
    let ng = [
        LITTLE.section(),
        LITTLE.interface(101, Some(0), 0),
        LITTLE.interface(101, Some(0xff), 0),
        LITTLE.enhanced_packet(0, u64::MAX, &udp(A, B, &sip(1, ""))),
        LITTLE.enhanced_packet(1, u64::MAX, &udp(A, B, &sip(1, ""))),
    ];
    let times: Vec<_> = read(&ng.concat()).messages.iter().map(|message| message.micros).collect();
    assert_eq!(times, [Timestamp::from_micros(i64::MAX).as_micros(), 0]);
}
