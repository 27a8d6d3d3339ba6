//! Streams that are cut anywhere, and streams whose Content-Length lies: the same messages come out
//! however the bytes arrive, and no length is waited for that cannot be.

use std::io::{self, Read};

use hookswitch_signal::capture::Reader;

use crate::frames::frame;
use crate::messages::{INVITE, NOTIFY, RESPONSE};
use crate::{Numbers, size};

/// A message with the Content-Length that it has.
fn framed(text: &str) -> Vec<u8> {
    let (head, body) = text.split_once("\r\n\r\n").expect("a header block");
    let head: Vec<&str> =
        head.lines().filter(|line| !line.starts_with("l:") && !line.starts_with("Content-Length:")).collect();
    format!("{}\r\nContent-Length: {}\r\n\r\n{body}", head.join("\r\n"), body.len()).into_bytes()
}

fn messages() -> Vec<Vec<u8>> {
    [INVITE, RESPONSE, NOTIFY, RESPONSE, INVITE].map(framed).to_vec()
}

/// A pcap of raw IP packets, each a segment of one TCP stream.
fn pcap(segments: &[&[u8]]) -> Vec<u8> {
    let header: [u32; 6] = [0xa1b2_c3d4, 4 << 16 | 2, 0, 0, 262_144, 101];
    let mut file: Vec<u8> = header.iter().flat_map(|word| word.to_le_bytes()).collect();
    let mut sequence = 1_u32;
    for segment in segments {
        let length = 40 + segment.len() as u32;
        for word in [1_700_000_000, 0, length, length] {
            file.extend(word.to_le_bytes());
        }
        file.extend([0x45, 0]);
        file.extend((length as u16).to_be_bytes());
        file.extend([0, 0, 0x40, 0, 64, 6, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2, 0x13, 0xc4, 0x13, 0xce]);
        file.extend(sequence.to_be_bytes());
        file.extend([0, 0, 0, 0, 0x50, 0x10, 0xff, 0xff, 0, 0, 0, 0]);
        file.extend(*segment);
        sequence = sequence.wrapping_add(segment.len() as u32);
    }
    file
}

fn read(file: impl Read) -> Vec<Vec<u8>> {
    let mut reader = Reader::new(file).expect("a capture");
    let mut messages = Vec::new();
    while reader.advance().expect("memory can be read") {
        messages.push(reader.current().expect("there is one").payload.to_vec());
    }
    messages
}

/// Cuts bytes into pieces of any size.
fn cut<'a>(mut bytes: &'a [u8], numbers: &mut Numbers) -> Vec<&'a [u8]> {
    let longest = [2, 20, 200, 1400][numbers.below(4)];
    let mut pieces = Vec::new();
    while !bytes.is_empty() {
        let (piece, rest) = bytes.split_at((1 + numbers.below(longest)).min(bytes.len()));
        pieces.push(piece);
        bytes = rest;
    }
    pieces
}

/// Gives bytes in pieces, as a connection does.
struct Pieces<'a>(std::vec::IntoIter<&'a [u8]>);

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let piece = self.0.next().unwrap_or_default();
        buffer[..piece.len()].copy_from_slice(piece);
        Ok(piece.len())
    }
}

#[test]
fn a_stream_gives_the_same_messages_however_it_is_cut() {
    let messages = messages();
    let stream = messages.concat();
    let frames: Vec<u8> = messages.iter().flat_map(|message| frame(message)).collect();
    let mut numbers = Numbers(13);
    let count = size(1_000, 10_000);
    let mut pieces = 0;
    for _ in 0..count {
        let segments = cut(&stream, &mut numbers);
        pieces += segments.len();
        assert_eq!(read(&pcap(&segments)[..]), messages, "SIP over TCP");
        let segments = cut(&frames, &mut numbers);
        assert_eq!(read(&pcap(&segments)[..]), messages, "HEP over TCP, captured");
        assert_eq!(read(Pieces(segments.into_iter())), messages, "HEP over TCP, received");
    }
    println!(
        "{count} ways to cut a stream ({pieces} segments): the same {} messages each time",
        messages.len()
    );
}

#[test]
fn after_a_content_length_that_lies_the_next_messages_are_read() {
    let [first, next] = [framed(RESPONSE), framed(NOTIFY)];
    let text = String::from_utf8(first).expect("text");
    for lie in [
        "-1",
        "-4294967295",
        "4294967296",
        "99999999999999999999",
        "65536",
        "",
        "x",
        "0x10",
        "1.5",
        "0\r\nl: 7",
    ] {
        let lying = text.replace("Content-Length: 0", &format!("Content-Length: {lie}")).into_bytes();
        assert!(lying != text.as_bytes());
        let stream = [&lying[..], &next, &next].concat();
        assert_eq!(
            read(&pcap(&stream.chunks(100).collect::<Vec<_>>())[..]),
            [lying, next.clone(), next.clone()],
            "{lie:?}"
        );
    }
    // Without one a message on a stream has no body (RFC 3261 §18.3), and what follows is the next.
    let without = text.replace("Content-Length: 0\r\n", "").into_bytes();
    let stream = [&without[..], &next].concat();
    assert_eq!(read(&pcap(&[&stream])[..]), [without, next]);
}
