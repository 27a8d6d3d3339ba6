//! Whole files, read from their first byte to their last.

use std::io::{self, Read};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hookswitch_model::Timestamp;
use proptest::prelude::*;

use super::fixture::{
    A, ACK, B, BIG, FIN, LITTLE, Order, RAW_IP, RST, START, SYN, exported, frame, ip, sip, sip_frame, tcp,
    udp, web_frame,
};
use super::{Counters, Reader, Transport, Unread, Warning};

/// Result of reading a file.
#[derive(Debug)]
struct Outcome {
    messages: Vec<Message>,
    counters: Counters,
    warnings: Vec<Warning>,
    unread: Vec<(Unread, u64)>,
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
    let unread = reader.unread().collect();
    Outcome { messages, counters, warnings: reader.warnings().to_vec(), unread }
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
        tls_streams: 1,
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

/// An Ethernet frame with tags before an IP packet.
fn ethernet(tags: &[u8], packet: &[u8]) -> Vec<u8> {
    [&[2; 12][..], tags, &[8, 0], packet].concat()
}

#[test]
fn mirrored_packets_are_read_however_they_are_packed() {
    let (src, dst) = ("198.51.100.8:0", "198.51.100.9:0");
    let gre = |header: &[u8], frame: &[u8]| {
        ip(src.parse().unwrap(), dst.parse().unwrap(), 47, &[header, frame].concat())
    };
    let to = |port: u16, header: &[u8], frame: &[u8]| {
        udp("198.51.100.8:9", &format!("198.51.100.9:{port}"), &[header, frame].concat())
    };
    let vlan = [0x81, 0, 0, 7];
    let message = |number| udp(A, B, &sip(number, "v=0\r\n"));
    let framed = |number| ethernet(&vlan, &message(number));
    let second = [0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x10, 100, 0, 7, 0, 0, 0, 0];
    let third =
        [0x10, 0, 0x22, 0xeb, 0, 0, 0, 1, 0x20, 100, 0, 7, 0, 0, 0, 9, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
    let packets = [
        gre(&[0, 0, 0x88, 0xbe], &framed(0)),
        gre(&second, &framed(1)),
        gre(&third, &framed(2)),
        gre(&[0, 0, 0x81, 0, 0, 7, 8, 0], &message(3)),
        gre(&[0, 0, 0x88, 0x47, 0, 1, 1, 64], &message(4)),
        to(6081, &[1, 0, 0x65, 0x58, 0, 0, 7, 0, 0, 0, 0, 0], &framed(5)),
        to(4789, &[0x88, 0, 0, 9, 0, 0, 7, 0], &framed(6)),
        to(4790, &[0x0c, 0, 0, 1, 0, 0, 7, 0], &message(7)),
        to(37008, &[1, 0, 0, 1, 1], &framed(8)),
        // A router mirrors what another one mirrors.
        to(37008, &[1, 0, 0, 1, 1], &ethernet(&[], &gre(&second, &framed(9)))),
    ];
    let outcome = read_packets(&packets);
    assert_eq!(outcome.payloads(), (0..10).map(|n| sip(n, "v=0\r\n")).collect::<Vec<_>>());
    assert!(outcome.messages.iter().all(|message| (&message.from[..], &message.to[..]) == (A, B)));
    // The snap length holds for the outer packet.
    let cut: Vec<_> = packets.iter().map(|packet| packet[..packet.len() - 3].to_vec()).collect();
    assert_eq!(read_packets(&cut).messages.len(), 10);

    let tagged = [
        ethernet(&[0x89, 0x26, 0x80, 1, 0, 2], &message(0)),
        ethernet(&[0x81, 0, 0, 7, 0x89, 0x26, 0x80, 1, 0, 2, 0x81, 0, 0, 8], &message(1)),
        ethernet(&[0x89, 0x3f, 0, 0, 0, 1, 0, 0], &message(2)),
    ];
    assert_eq!(read(&LITTLE.pcap(false, 1, &tagged)).messages.len(), 3);
}

#[test]
fn what_is_not_looked_into_is_named_with_how_often_it_came() {
    let (src, dst) = (A.parse().unwrap(), B.parse().unwrap());
    let packets = [
        ip(src, dst, 50, b"secret"),
        ip(src, dst, 50, b"secret"),
        ip(src, dst, 47, &[0, 0, 0x88, 0x0b, 0, 0]),
        udp(A, "192.0.2.2:37008", &[1, 0, 0, 18, 1, 0]),
        udp(A, B, b"\x80\x08"),
        tcp(A, "192.0.2.2:5061", (0, 0, ACK), &[0x16, 3, 1, 0, 9]),
        tcp(A, "192.0.2.2:5061", (5, 0, ACK), &[0x17, 3, 3, 0, 9]),
        tcp("192.0.2.2:443", A, (0, 0, ACK), &[0x17, 3, 3, 0, 9]),
    ];
    let expected = [
        (Unread::IpProtocol(50), 2),
        (Unread::Gre(0x880b), 1),
        (Unread::Tunnel(37008), 1),
        (Unread::Tls { sips: true }, 1),
        (Unread::Tls { sips: false }, 1),
    ];
    assert_eq!(read_packets(&packets).unread, expected);
    let frames = [[&[2; 12][..], &[0x88, 0xe5, 0, 0]].concat()];
    assert_eq!(read(&LITTLE.pcap(false, 1, &frames)).unread, [(Unread::Ethertype(0x88e5), 1)]);
    let names: Vec<_> = expected.iter().map(|(kind, _)| kind.to_string()).collect();
    assert!(names[0].contains("ESP") && names[2].contains("TZSP") && names[3].contains("5061"), "{names:?}");
}

#[test]
fn pdus_that_wireshark_has_exported_are_read() {
    let both = [sip(2, ""), sip(3, "")].concat();
    let pdus = [
        exported("sip", A, B, 3, &sip(1, "v=0\r\n")),
        exported("sip.tcp", A, B, 2, &both),
        exported("ip", "192.0.2.9:0", "192.0.2.8:0", 0, &udp(A, B, &sip(4, ""))),
        exported("eth_withoutfcs", "192.0.2.9:0", "192.0.2.8:0", 0, &ethernet(&[], &udp(A, B, &sip(5, "")))),
        exported("rtp", A, B, 3, b"\x80\x08"),
        [&[0, 12, 0, 4][..], b"sip\0", &[0, 0, 0, 0], &sip(6, "")].concat(),
        vec![0, 12, 0, 200, b's'],
    ];
    let outcome = read(&LITTLE.pcap(false, 252, &pdus));
    let expected = [sip(1, "v=0\r\n"), sip(2, ""), sip(3, ""), sip(4, ""), sip(5, "")];
    assert_eq!(outcome.payloads(), expected);
    assert!(outcome.messages.iter().all(|message| (&message.from[..], &message.to[..]) == (A, B)));
    let transports: Vec<_> = outcome.messages.iter().map(|message| message.transport).collect();
    assert_eq!(transports, [Transport::Udp, Transport::Tcp, Transport::Tcp, Transport::Udp, Transport::Udp]);
    assert_eq!((outcome.counters.exported, outcome.counters.following, outcome.counters.damaged), (3, 1, 2));
    assert_eq!(outcome.unread, [(Unread::Exported, 1)]);
    assert!(outcome.warnings()[0].contains("lacks the address"), "{:?}", outcome.warnings());
}

const UPGRADE: &[u8] = b"GET /ws HTTP/1.1\r\nHost: pbx\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Protocol: sip\r\n\r\n";
const SWITCHED: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Protocol: sip\r\n\r\n";
const KEY: Option<[u8; 4]> = Some([0x11, 0x22, 0x33, 0x44]);

/// A message without Content-Length, as one frame may carry it.
fn framed_sip(number: usize, body: &str) -> Vec<u8> {
    format!("MESSAGE sip:b@b SIP/2.0\r\nCall-ID: {number}\r\n\r\n{body}").into_bytes()
}

#[test]
fn sip_in_a_websocket_is_read_in_both_directions() {
    let client = [
        UPGRADE,
        &web_frame(0x81, KEY, &framed_sip(1, "v=0\r\n")),
        &web_frame(0x82, KEY, &framed_sip(2, "")),
        &web_frame(0x89, KEY, b"ping"),
        &web_frame(0x81, KEY, b"\r\n\r\n"),
        &web_frame(0x81, KEY, &framed_sip(3, &"long ".repeat(1000))),
        &web_frame(0x88, KEY, &[3, 232]),
    ];
    let server =
        [SWITCHED, &web_frame(0x81, None, &framed_sip(4, "v=0\r\n")), &web_frame(0x8a, None, b"ping")];
    let (client, server) = (client.concat(), server.concat());
    let packets = [
        tcp(A, B, (0, 0, SYN), b""),
        tcp(A, B, (1, 1, ACK), &client),
        tcp(B, A, (0, 1, SYN), b""),
        tcp(B, A, (1, 1 + client.len() as u32, ACK), &server),
    ];
    let outcome = read_packets(&packets);
    let expected = [
        framed_sip(1, "v=0\r\n"),
        framed_sip(2, ""),
        framed_sip(3, &"long ".repeat(1000)),
        framed_sip(4, "v=0\r\n"),
    ];
    assert_eq!(outcome.payloads(), expected);
    assert!(outcome.messages.iter().all(|message| message.transport == Transport::Tcp));
    assert_eq!((&outcome.messages[0].from[..], &outcome.messages[3].from[..]), (A, B));
    assert_eq!((outcome.counters.tcp_skipped_bytes, outcome.counters.tcp_keep_alive_bytes), (0, 4));
}

#[test]
fn a_message_in_several_frames_is_put_together_around_pings() {
    let message = framed_sip(1, "v=0\r\n");
    for mask in [None, KEY] {
        let stream = [
            web_frame(0x01, mask, &message[..30]),
            web_frame(0x89, mask, b"ping"),
            web_frame(0x00, mask, &message[30..31]),
            web_frame(0x00, mask, b""),
            web_frame(0x80, mask, &message[31..]),
            web_frame(0x81, mask, &framed_sip(2, "")),
        ];
        let outcome = read_packets(&[tcp(A, B, (0, 0, SYN), b""), tcp(A, B, (1, 0, ACK), &stream.concat())]);
        assert_eq!(outcome.payloads(), [&message[..], &framed_sip(2, "")]);
        assert_eq!(outcome.counters.tcp_skipped_bytes, 0);
        // Another message begins where the rest should be.
        let broken = [&stream[0][..], &stream[5], &stream[4], &stream[5]].concat();
        let outcome = read_packets(&[tcp(A, B, (1, 0, ACK), &broken)]);
        assert_eq!(outcome.payloads(), [framed_sip(2, ""), framed_sip(2, "")]);
    }
    // Frames without end do not fill the memory.
    let mut endless = web_frame(0x01, None, &message);
    endless.extend(web_frame(0x00, None, &[b'x'; 1000]).repeat(100));
    endless.extend([web_frame(0x80, None, b""), web_frame(0x81, None, &framed_sip(3, ""))].concat());
    let packets: Vec<_> = endless
        .chunks(1400)
        .enumerate()
        .map(|(at, part)| tcp(A, B, (at as u32 * 1400, 0, ACK), part))
        .collect();
    assert_eq!(read_packets(&packets).payloads(), [framed_sip(3, "")]);
}

#[test]
fn a_websocket_of_which_no_handshake_was_captured_is_read() {
    let before = [&[9, 9, 9][..], &web_frame(0x81, KEY, b"end of something")].concat();
    let packets = [
        tcp(A, B, (1, 0, ACK), &before),
        tcp(A, B, (1 + before.len() as u32, 0, ACK), &web_frame(0x81, KEY, &framed_sip(1, ""))),
    ];
    assert_eq!(read_packets(&packets).payloads(), [framed_sip(1, "")]);
    // A handshake for something else, or one that is refused, opens none; plain SIP may follow.
    let refused = [&UPGRADE.to_ascii_lowercase()[..], &sip(2, "")].concat();
    assert_eq!(read_packets(&[tcp(A, B, (1, 0, ACK), &refused)]).payloads(), [sip(2, "")]);
    let again = [UPGRADE, UPGRADE, &web_frame(0x81, KEY, &framed_sip(3, ""))].concat();
    assert_eq!(read_packets(&[tcp(A, B, (1, 0, ACK), &again)]).payloads(), [framed_sip(3, "")]);
}

#[test]
fn compressed_messages_of_a_websocket_are_counted_and_warned_of_once() {
    let stream = [
        UPGRADE,
        &web_frame(0xc1, KEY, b"deflated"),
        &web_frame(0x41, KEY, b"deflated in"),
        &web_frame(0x80, KEY, b"two frames"),
        &web_frame(0x81, KEY, &framed_sip(1, "")),
    ];
    let outcome = read_packets(&[tcp(A, B, (0, 0, SYN), b""), tcp(A, B, (1, 0, ACK), &stream.concat())]);
    assert_eq!(outcome.payloads(), [framed_sip(1, "")]);
    assert_eq!(outcome.unread, [(Unread::CompressedWebSocket, 2)]);
    assert_eq!(outcome.warnings.len(), 1);
    assert!(outcome.warnings()[0].contains("permessage-deflate"));
}

#[test]
fn a_websocket_goes_on_behind_a_segment_that_was_lost_or_cut() {
    let frames: Vec<_> = (0..4).map(|n| web_frame(0x81, KEY, &framed_sip(n, "v=0\r\no=- 1\r\n"))).collect();
    let mut at = 1 + UPGRADE.len() as u32;
    let mut packets = vec![tcp(A, B, (0, 0, SYN), b""), tcp(A, B, (1, 0, ACK), UPGRADE)];
    for frame in &frames {
        packets.push(tcp(A, B, (at, 0, ACK), frame));
        at += frame.len() as u32;
    }
    packets.push(tcp(B, A, (0, at, ACK), b"\r\n"));
    packets.push(tcp(B, A, (2, at, ACK), b""));
    let mut lost = packets.clone();
    lost.remove(3);
    assert_eq!(read_packets(&lost).payloads(), [0, 2, 3].map(|n| framed_sip(n, "v=0\r\no=- 1\r\n")));
    let shorter = packets[3].len() - 5;
    packets[3].truncate(shorter);
    let outcome = read_packets(&packets);
    let whole = |n| framed_sip(n, "v=0\r\no=- 1\r\n");
    assert_eq!(outcome.payloads(), [&whole(0)[..], &whole(1)[..whole(1).len() - 5], &whole(2), &whole(3)]);
}

#[test]
fn a_hep_frame_of_tcp_may_hold_several_messages() {
    let piece = [sip(1, "v=0\r\n"), b"\r\n\r\n".to_vec(), sip(2, ""), sip(3, "cut")].concat();
    let of = |protocol: u8, piece: &[u8]| {
        let mut bytes = sip_frame(1000, piece);
        let at = bytes.windows(6).position(|head| head == [0, 0, 0, 2, 0, 7]).unwrap();
        bytes[at + 6] = protocol;
        bytes
    };
    for frame in [of(6, &piece), of(6, &piece[..piece.len() - 2])] {
        let frames = [frame, of(6, &sip(4, ""))];
        for file in [frames.concat(), lines(&frames), stream(&frames), datagrams(&frames)] {
            let outcome = read(&file);
            assert_eq!(outcome.messages.len(), 4);
            assert_eq!(outcome.payloads()[..2], [sip(1, "v=0\r\n"), sip(2, "")]);
            assert!(sip(3, "cut").starts_with(outcome.payloads()[2]));
            assert!(outcome.messages.iter().all(|message| message.micros == 1000));
            assert!(outcome.messages.iter().all(|message| message.correlation.as_deref() == Some(b"call-1")));
            assert_eq!((outcome.counters.hep_sip, outcome.counters.following), (2, 2));
        }
    }
    assert_eq!(read(&of(17, &piece)).messages.len(), 1);
}

#[test]
fn posted_signals_are_counted() {
    let outcome = read(b"{\"t\": 7.5, \"signal\": {\"kind\": \"answered\"}}\n");
    assert_eq!((outcome.counters.posted, outcome.messages[0].micros), (1, 7_500_000));
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
fn samples() -> [Vec<u8>; 6] {
    let frames: Vec<_> = (0..3).map(|n| sip_frame(n as u64, &sip(n, "body"))).collect();
    let whole = (0..4).flat_map(|n| sip(n, "v=0\r\n")).collect::<Vec<_>>();
    let mut packets = vec![tcp(A, B, (99, 0, SYN), b"")];
    for (at, part) in whole.chunks(50).enumerate() {
        packets.push(tcp(A, B, (100 + at as u32 * 50, 0, ACK), part));
        packets.push(udp(A, B, &sip(at, "x")));
    }
    packets.push(udp(A, B, &frames[0]));
    let web = [
        UPGRADE,
        &web_frame(0x01, KEY, &framed_sip(1, "")[..9]),
        &web_frame(0x80, KEY, &framed_sip(1, "")[9..]),
    ];
    for (at, part) in web.concat().chunks(50).enumerate() {
        packets.push(tcp(B, "192.0.2.9:80", (at as u32 * 50, 0, ACK), part));
    }
    packets.push(udp(A, "192.0.2.9:6081", &[&[0, 0, 8, 0, 0, 0, 0, 7][..], &packets[2]].concat()));
    packets.push(tcp("[::1]:9", "[::2]:9", (0, 0, ACK | FIN), &frames[1]));
    let ng = |order: Order| {
        let mut file = [order.section(), order.interface(101, Some(9), 0)].concat();
        for packet in &packets {
            file.extend(order.enhanced_packet(0, 1_700_000_000_000_000_000, packet));
        }
        file.extend(order.simple_packet(&packets[2]));
        file
    };
    let pdus: Vec<_> = (0..4).map(|n| exported("sip", A, B, n, &sip(n as usize, "v=0\r\n"))).collect();
    let pdus = LITTLE.pcap(false, 252, &pdus);
    [LITTLE.pcap(false, RAW_IP, &packets), ng(LITTLE), ng(BIG), frames.concat(), lines(&frames), pdus]
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
        kind in 0..6_usize,
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

/// Cuts of one stream into segments, and the order in which they were captured.
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
    fn the_way_of_a_websocket_through_the_network_does_not_matter(
        messages in conversation(),
        path in path(),
        mask in any::<Option<[u8; 4]>>(),
        parts in 1..40_usize,
    ) {
        let mut bytes = UPGRADE.to_vec();
        for (message, idle) in &messages {
            let count = message.chunks(message.len().div_ceil(parts)).count();
            for (number, part) in message.chunks(message.len().div_ceil(parts)).enumerate() {
                let last = if number + 1 == count { 0x80 } else { 0 };
                bytes.extend(web_frame(last | u8::from(number == 0), mask, part));
                if *idle {
                    bytes.extend(web_frame(0x89, mask, b"\r\nping"));
                }
            }
        }
        let outcome = read_packets(&path.packets(&path.segments(&bytes)));
        let expected: Vec<_> = messages.iter().map(|(message, _)| &message[..]).collect();
        prop_assert_eq!(outcome.payloads(), expected);
        prop_assert_eq!((outcome.counters.tcp_gaps, outcome.counters.tcp_skipped_bytes), (0, 0));
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
            let header = message.windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4;
            if end <= from || to <= at {
                expected.push(&message[..]);
            } else if at + header <= from && to < bytes.len() {
                expected.push(&message[..from - at]);
            }
            at = end + if *idle { 4 } else { 0 };
        }
        // The rest of a message that lost its beginning may look like one. A message that lost its end, and
        // nothing of its header block, comes as far as it goes.
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
    assert_eq!(outcome.payloads(), [&one[..one.len() - 3], &two]);
    assert_eq!((outcome.counters.tcp_gaps, outcome.counters.tcp_missing_bytes), (1, 3));
    assert_eq!((outcome.messages[0].packet, outcome.messages[0].micros), (2, START_MICROS + 1000));
    // Without the end of its header block it is none.
    let mut cut = tcp(A, B, (1, 0, ACK), &one);
    cut.truncate(cut.len() - 8);
    let outcome = read_packets(&[tcp(A, B, (0, 0, SYN), b""), cut]);
    assert!(outcome.payloads().is_empty());
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
