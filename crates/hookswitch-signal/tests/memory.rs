//! Captures that claim to hold much more than they do: what can be read is read, what is wrong is told
//! with its place, and memory is bounded.

#![expect(clippy::disallowed_macros, reason = "what was measured is printed")]

use std::io::{self, Cursor, Read};
use std::sync::{Mutex, PoisonError};

use hookswitch_signal::capture::{Counters, Reader, WarningKind};
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATED: PeakAlloc = PeakAlloc;

/// The allocator counts for all threads, so one test runs at a time.
static MEASURED: Mutex<()> = Mutex::new(());

/// Memory that a capture may take, whatever it holds.
const MEMORY_BYTES_MAX: usize = 64 << 20;

/// Bytes after the part of a file that matters, so that something is there to be believed in.
const FILLING_BYTES: u64 = 200 << 20;

const MESSAGE: &[u8] = b"BYE sip:a@b SIP/2.0\r\nl: 0\r\n\r\n";

/// Result of reading a file.
struct Outcome {
    messages: usize,
    warnings: Vec<(u64, WarningKind)>,
    counters: Counters,
    peak_bytes: usize,
}

/// Reads a file that is made while it is read.
fn read(name: &str, file: impl Read) -> Outcome {
    let _one = MEASURED.lock().unwrap_or_else(PoisonError::into_inner);
    let before = ALLOCATED.current_usage();
    ALLOCATED.reset_peak_usage();
    let mut reader = Reader::new(file).expect("a capture");
    let mut messages = 0;
    while reader.advance().expect("memory can be read") {
        assert!(reader.current().is_some());
        messages += 1;
    }
    assert_eq!(reader.counters().balance(), Ok(()));
    let outcome = Outcome {
        messages,
        warnings: reader.warnings().iter().map(|warning| (warning.offset, warning.kind.clone())).collect(),
        counters: *reader.counters(),
        peak_bytes: ALLOCATED.peak_usage().saturating_sub(before),
    };
    println!(
        "{name:60} {messages:7} messages {:3} warnings {:6} KiB at most",
        outcome.warnings.len(),
        outcome.peak_bytes >> 10
    );
    assert!(outcome.peak_bytes <= MEMORY_BYTES_MAX, "{name}: {} bytes", outcome.peak_bytes);
    outcome
}

/// The byte order of a file.
#[derive(Clone, Copy, Debug)]
enum Order {
    Little,
    Big,
}

impl Order {
    fn words(self, words: &[u32]) -> Vec<u8> {
        let write = |word: &u32| match self {
            Self::Little => word.to_le_bytes(),
            Self::Big => word.to_be_bytes(),
        };
        words.iter().flat_map(write).collect()
    }

    /// The header of a pcap of raw IP packets.
    fn pcap(self, nanoseconds: bool) -> Vec<u8> {
        let version = match self {
            Self::Little => 4 << 16 | 2,
            Self::Big => 2 << 16 | 4,
        };
        self.words(&[if nanoseconds { 0xa1b2_3c4d } else { 0xa1b2_c3d4 }, version, 0, 0, 262_144, 101])
    }

    fn record(self, packet: &[u8]) -> Vec<u8> {
        let length = packet.len() as u32;
        [&self.words(&[1_700_000_000, 999_999_999, length, length])[..], packet].concat()
    }

    fn block(self, kind: u32, body: &[u8]) -> Vec<u8> {
        let padded = [body, &[0; 3][..body.len().wrapping_neg() % 4]].concat();
        let length = 12 + padded.len() as u32;
        [self.words(&[kind, length]), padded, self.words(&[length])].concat()
    }

    fn section(self) -> Vec<u8> {
        self.block(0x0a0d_0d0a, &self.words(&[0x1a2b_3c4d, 1, u32::MAX, u32::MAX]))
    }

    /// An interface of raw IP packets with a clock of 2 to the power of `resolution` ticks a second.
    fn interface(self, resolution: u8) -> Vec<u8> {
        let (link, option) = match self {
            Self::Little => (101, 1 << 16 | 9),
            Self::Big => (101 << 16, 9 << 16 | 1),
        };
        let head = self.words(&[link, 262_144, option]);
        self.block(1, &[&head[..], &[0x80 | resolution, 0, 0, 0], &self.words(&[0])].concat())
    }

    fn packet(self, interface: u32, packet: &[u8]) -> Vec<u8> {
        let length = packet.len() as u32;
        self.block(6, &[&self.words(&[interface, 0, 7, length, length])[..], packet].concat())
    }
}

const ORDERS: [Order; 2] = [Order::Little, Order::Big];

/// An IPv4 packet.
fn ip(protocol: u8, id: u16, fragment: u16, src: u32, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x45, 0];
    packet.extend((20 + body.len() as u16).to_be_bytes());
    packet.extend(id.to_be_bytes());
    packet.extend(fragment.to_be_bytes());
    packet.extend([64, protocol, 0, 0]);
    packet.extend(src.to_be_bytes());
    packet.extend([192, 0, 2, 2]);
    packet.extend(body);
    packet
}

fn udp(payload: &[u8]) -> Vec<u8> {
    let mut body = vec![0x13, 0xc4, 0x13, 0xce];
    body.extend((8 + payload.len() as u16).to_be_bytes());
    body.extend([0, 0]);
    body.extend(payload);
    ip(17, 0, 0, 0xc000_0201, &body)
}

fn tcp(src: u32, sequence: u32, payload: &[u8]) -> Vec<u8> {
    let mut body = vec![0x13, 0xc4, 0x13, 0xce];
    body.extend(sequence.to_be_bytes());
    body.extend([0, 0, 0, 0, 0x50, 0x10, 0xff, 0xff, 0, 0, 0, 0]);
    body.extend(payload);
    ip(6, 0, 0, src, &body)
}

/// A file whose parts are made when they are read.
struct Made<I> {
    parts: I,
    rest: Cursor<Vec<u8>>,
}

impl<I: Iterator<Item = Vec<u8>>> Read for Made<I> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let count = self.rest.read(buffer)?;
            if count > 0 {
                return Ok(count);
            }
            match self.parts.next() {
                Some(part) => self.rest = Cursor::new(part),
                None => return Ok(0),
            }
        }
    }
}

fn made(head: Vec<u8>, parts: impl Iterator<Item = Vec<u8>>) -> impl Read {
    Made { parts, rest: Cursor::new(head) }
}

fn filling() -> impl Read {
    io::repeat(0x41).take(FILLING_BYTES)
}

#[test]
fn a_record_length_that_cannot_be_ends_a_pcap_with_its_place() {
    for order in ORDERS {
        for nanoseconds in [false, true] {
            let good =
                [order.pcap(nanoseconds), order.record(&udp(MESSAGE)), order.record(&udp(MESSAGE))].concat();
            for claimed in [u32::MAX, 1 << 31, 1 << 30, 1 << 20] {
                let bad = order.words(&[1_700_000_000, 0, claimed, claimed]);
                let file = Cursor::new([&good[..], &bad].concat()).chain(filling());
                let outcome = read(&format!("pcap, {order:?}, a record of {claimed} bytes"), file);
                assert_eq!(outcome.messages, 2, "what stands before it is kept");
                let at = good.len() as u64;
                assert_eq!(outcome.warnings, [(at, WarningKind::RecordLength { claimed })]);
            }
        }
    }
}

#[test]
fn empty_records_are_damaged_packets_and_no_end() {
    let order = Order::Little;
    let empty = (0..1_000_000).map(|_| order.record(b""));
    let last = std::iter::once(order.record(&udp(MESSAGE)));
    let outcome = read("pcap, a million empty records", made(order.pcap(false), empty.chain(last)));
    assert_eq!((outcome.messages, outcome.counters.packets), (1, 1_000_001));
}

#[test]
fn a_block_length_that_cannot_be_ends_a_pcapng_with_its_place() {
    for order in ORDERS {
        let good = [order.section(), order.interface(20), order.packet(0, &udp(MESSAGE))].concat();
        let at = good.len() as u64;
        for (kind, claimed, warning) in [
            (6, u32::MAX - 3, WarningKind::RecordLength { claimed: u32::MAX - 3 }),
            (6, u32::MAX, WarningKind::Block),
            (6, 0, WarningKind::Block),
            (6, 8, WarningKind::Block),
            (1, 1 << 31, WarningKind::RecordLength { claimed: 1 << 31 }),
            (0xbad, 0, WarningKind::Block),
            (0xbad, u32::MAX - 3, WarningKind::Truncated),
            (0x0a0d_0d0a, 0, WarningKind::Block),
        ] {
            let bad = order.words(&[kind, claimed]);
            let file = Cursor::new([&good[..], &bad].concat()).chain(filling());
            let outcome = read(&format!("pcapng, {order:?}, block {kind:#x} of {claimed} bytes"), file);
            assert_eq!(outcome.messages, 1, "what stands before it is kept");
            assert_eq!(outcome.warnings, [(at, warning)]);
        }
    }
}

#[test]
fn ten_thousand_interfaces_have_ten_thousand_clocks() {
    for order in ORDERS {
        let interfaces = (0..10_000_u32).map(|number| order.interface(number as u8 & 0x3f));
        let packets = (0..10_000).map(|number| order.packet(number, &udp(MESSAGE)));
        let file = made(order.section(), interfaces.chain(packets));
        let outcome = read(&format!("pcapng, {order:?}, 10,000 interfaces"), file);
        assert_eq!((outcome.messages, outcome.warnings.len()), (10_000, 0));
    }
    let many = made(Order::Little.section(), (0..1_000_000).map(|_| Order::Little.interface(20)));
    let outcome = read("pcapng, a million interfaces", many);
    assert_eq!(outcome.warnings.len(), 1);
}

#[test]
fn a_file_cut_anywhere_gives_what_stands_before_the_cut() {
    let _one = MEASURED.lock().unwrap_or_else(PoisonError::into_inner);
    for order in ORDERS {
        let record = order.record(&udp(MESSAGE));
        let packet = order.packet(0, &udp(MESSAGE));
        for (name, head, part) in [
            ("pcap", order.pcap(true), record),
            ("pcapng", [order.section(), order.interface(20)].concat(), packet),
        ] {
            let file = [&head[..], &part, &part, &part].concat();
            for length in head.len()..=file.len() {
                let mut reader = Reader::new(&file[..length]).expect("its header is whole");
                let mut messages = 0;
                while reader.advance().expect("memory can be read") {
                    messages += 1;
                }
                let (whole, left) = ((length - head.len()) / part.len(), (length - head.len()) % part.len());
                assert_eq!(messages, whole, "{name} cut to {length} bytes");
                let warned: Vec<_> = reader.warnings().iter().map(|warning| warning.offset).collect();
                let at = (length - left) as u64;
                assert_eq!(warned, if left == 0 { vec![] } else { vec![at] }, "{name} cut to {length} bytes");
            }
        }
    }
}

#[test]
fn a_compressed_payload_gives_no_more_than_a_datagram_holds() {
    let bomb = miniz_oxide::deflate::compress_to_vec_zlib(&vec![b'A'; 40 << 20], 9);
    let mut frame = b"HEP3\0\0\0\0\0\x0b\0\x07\x01\0\0\0\x10".to_vec();
    frame.extend((bomb.len() as u16 + 6).to_be_bytes());
    frame.extend(bomb);
    let total = frame.len() as u16;
    frame[4..6].copy_from_slice(&total.to_be_bytes());
    let outcome = read("HEP, a payload of 40 MiB compressed", &frame[..]);
    assert_eq!(outcome.messages, 0);
    assert!(matches!(outcome.warnings[..], [(0, WarningKind::Hep(_))]), "{:?}", outcome.warnings);
    // The window of the file, and a datagram.
    assert!(outcome.peak_bytes <= (2 << 20) + (256 << 10));
}

#[test]
fn streams_hold_back_no_more_than_a_message() {
    let order = Order::Little;
    let endless = [b"INVITE sip:a@b SIP/2.0\r\n".to_vec(), vec![b'a'; 1400]].concat();
    let one = (0..100_000_u32).map(|number| {
        let part = if number == 0 { endless.clone() } else { vec![b'a'; endless.len()] };
        order.record(&tcp(0xc000_0201, 1 + number * endless.len() as u32, &part))
    });
    let outcome = read("TCP, a header without end of 140 MB", made(order.pcap(false), one));
    assert_eq!(outcome.messages, 0);
    // The window of the file, and a message with what a buffer has to spare.
    assert!(outcome.peak_bytes <= (2 << 20) + (256 << 10), "{} bytes", outcome.peak_bytes);

    let begun = [b"INVITE sip:a@b SIP/2.0\r\nl: 65000\r\n\r\n".to_vec(), vec![b'a'; 1000]].concat();
    let many = (0..200_000).map(|number| order.record(&tcp(0x0a00_0000 + number, 1, &begun)));
    let outcome = read("TCP, 200,000 messages that were only begun", made(order.pcap(false), many));
    assert_eq!(outcome.messages, 0);
    assert!(outcome.counters.tcp_evicted_streams > 0);

    let holes =
        (0..200_000).map(|number| order.record(&tcp(0x0a00_0000 + number % 100, 1000 * number, &begun)));
    read("TCP, segments with holes between them", made(order.pcap(false), holes));
}

#[test]
fn fragments_that_are_never_completed_are_forgotten() {
    let order = Order::Little;
    let body = [0; 1400];
    let pieces = (0..500_000_u32).map(|number| {
        let (id, src) = (number as u16, 0x0a00_0000 + (number >> 16));
        order.record(&ip(17, id, 0x2000, src, &body))
    });
    let last = std::iter::once(order.record(&udp(MESSAGE)));
    let outcome =
        read("IP, 500,000 first fragments of 1,400 bytes", made(order.pcap(false), pieces.chain(last)));
    assert_eq!(outcome.messages, 1);
    assert_eq!(outcome.counters.fragments, 500_000);
}
