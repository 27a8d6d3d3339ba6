//! HEP frames whose lengths lie: nothing panics, and nothing is read that is not there.

use std::panic::catch_unwind;

use hookswitch_signal::capture::{Reader, hep};

use crate::messages::{INVITE, RESPONSE};
use crate::{Numbers, size};

/// A frame of version 3 around a payload.
pub(crate) fn frame(payload: &[u8]) -> Vec<u8> {
    chunks(&[
        (1, &[2]),
        (2, &[17]),
        (3, &[192, 0, 2, 1]),
        (4, &[192, 0, 2, 2]),
        (7, &[0x13, 0xc4]),
        (8, &[0x13, 0xce]),
        (9, &[0x65, 0, 0, 1]),
        (10, &[0, 1, 0, 0]),
        (11, &[1]),
        (17, b"correlation"),
        (15, payload),
    ])
}

fn chunks(chunks: &[(u16, &[u8])]) -> Vec<u8> {
    let mut frame = b"HEP3\0\0".to_vec();
    for (kind, value) in chunks {
        frame.extend([0, 0]);
        frame.extend(kind.to_be_bytes());
        frame.extend((value.len() as u16 + 6).to_be_bytes());
        frame.extend(*value);
    }
    let total = frame.len() as u16;
    frame[4..6].copy_from_slice(&total.to_be_bytes());
    frame
}

/// Frames of all versions.
fn frames() -> [Vec<u8>; 5] {
    let old = |version: u8, time: &[u8]| {
        [
            &[version, 16, 2, 17, 0x13, 0xc4, 0x13, 0xc4, 192, 0, 2, 1, 192, 0, 2, 2][..],
            time,
            RESPONSE.as_bytes(),
        ]
        .concat()
    };
    // An empty zlib stream.
    let compressed = [0x78, 0x9c, 0x03, 0, 0, 0, 0, 1];
    [
        frame(INVITE.as_bytes()),
        frame(RESPONSE.as_bytes()),
        chunks(&[(1, &[10]), (2, &[6]), (5, &[0x20; 16]), (6, &[0x21; 16]), (11, &[1]), (16, &compressed)]),
        old(1, b""),
        old(2, &[0, 0, 0, 0x65, 1, 2, 3, 0, 7, 0, 0, 0]),
    ]
}

/// Makes one length lie, or another byte, or cuts the frame.
fn lie(frame: &mut Vec<u8>, numbers: &mut Numbers) {
    if frame.is_empty() {
        return;
    }
    // Where the lengths of a frame of version 3 stand: its own, then those of its chunks.
    let mut lengths = vec![4];
    let mut at = 6;
    while let Some(&[high, low]) = frame.get(at + 4..at + 6).and_then(|bytes| bytes.first_chunk()) {
        lengths.push(at + 4);
        at += usize::from(u16::from_be_bytes([high, low])).max(6);
    }
    match numbers.below(8) {
        0 => frame.truncate(numbers.below(frame.len())),
        1 => {
            let at = numbers.below(frame.len());
            frame[at] = numbers.below(256) as u8;
        }
        kind => {
            let at = lengths[numbers.below(lengths.len())];
            let Some(place) = frame.get_mut(at..at + 2) else { return };
            let true_length = u16::from_be_bytes([place[0], place[1]]);
            let lie = match kind {
                2 => [0, 1, 5, 6, 7, 8, 0x7fff, 0x8000, 0xffff][numbers.below(9)],
                3 => true_length.wrapping_sub(1),
                4 => true_length.wrapping_add(1),
                5 => true_length.wrapping_mul(2),
                _ => numbers.below(0x1_0000) as u16,
            };
            place.copy_from_slice(&lie.to_be_bytes());
        }
    }
}

#[test]
fn no_frame_with_lying_lengths_panics() {
    let frames = frames();
    let mut numbers = Numbers(11);
    let count = size(20_000, 1_000_000);
    let (mut read, mut refused, mut panics) = (0_usize, 0_usize, 0_usize);
    let mut stream = Vec::new();
    for number in 0..count {
        let mut frame = frames[number % frames.len()].clone();
        for _ in 0..=numbers.below(3) {
            lie(&mut frame, &mut numbers);
        }
        match catch_unwind(|| hep::parse(&frame).is_ok()) {
            Ok(true) => read += 1,
            Ok(false) => refused += 1,
            Err(_) => panics += 1,
        }
        // The same frames one after another, as on a connection.
        if stream.is_empty() {
            stream.extend(b"HEP3");
        }
        stream.extend(&frame);
        if stream.len() > 1 << 20 || number + 1 == count {
            let whole = std::mem::take(&mut stream);
            panics += usize::from(catch_unwind(|| drain(&whole)).is_err());
        }
    }
    println!("{count} frames with lying lengths: {read} read, {refused} refused, {panics} panics");
    assert_eq!(panics, 0);
    assert!(read > 0 && refused > count / 4);
}

/// Reads a file to its end; everything in it is counted.
fn drain(file: &[u8]) {
    let mut reader = Reader::new(file).expect("it begins as a frame does");
    while reader.advance().expect("memory can be read") {
        assert!(reader.current().is_some());
    }
    assert_eq!(reader.counters().balance(), Ok(()));
}
