//! Every word of a message replaced by what breaks readers, in the manner of the PROTOS test suite c07-sip:
//! nothing panics, and every case is read or refused.

use std::panic::catch_unwind;

use hookswitch_model::{AccountId, InputRef};
use hookswitch_signal::capture::Reader;
use hookswitch_signal::sip::Message;
use hookswitch_signal::tracker::SipTracker;

use crate::messages::{INVITE, NOTIFY, RESPONSE};
use crate::touch::touch;
use crate::{Numbers, size};

/// Returns what stands in the place of a word.
fn anomalies() -> Vec<Vec<u8>> {
    let mut anomalies: Vec<Vec<u8>> = [
        "",
        " ",
        "\t",
        "\0",
        "\r",
        "\n",
        "\r\n",
        "\r\n ",
        "\r\n\r\n",
        "-1",
        "0",
        "00000000000000001",
        "255",
        "256",
        "65535",
        "65536",
        "2147483647",
        "2147483648",
        "4294967295",
        "4294967296",
        "18446744073709551616",
        "99999999999999999999999999",
        "1e9",
        "0x41",
        "%",
        "%0",
        "%00",
        "%zz",
        "%s%n%x%p",
        "\\",
        "\"",
        "\"\\",
        "<",
        ">",
        "<<>>",
        "(",
        "((()",
        "*",
        "@",
        "@@",
        ":",
        "::",
        ";",
        ";;=",
        "=",
        ",",
        ",,",
        "?",
        "&",
        "[",
        "[::",
        "]",
        "/",
        "../../etc/passwd",
        "'; --",
        "\u{feff}",
        "\u{0}\u{7f}",
        "\u{202e}x",
        "\u{1f600}",
        "SIP/2.0",
        "INVITE",
        "sip:",
        "tel:",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec();
    // Overlong, cut and impossible UTF-8.
    anomalies.extend(
        [&b"\xc0\xaf"[..], b"\xe2\x82", b"\xf5\x80\x80\x80", b"\xff\xfe", b"\x80"].map(<[u8]>::to_vec),
    );
    for unit in [
        "a", "9", "%s", "%41", " ", "\t", "\r\n ", "\r\n", "\"", "\\", "<", "(", ",", ";", ":", "@", "[",
        "\0", "\u{e9}",
    ] {
        for bytes in [17, 257, 1025, 4097, 32_769] {
            anomalies.push(unit.repeat(bytes / unit.len()).into_bytes());
        }
    }
    anomalies
}

/// The words of a message and what stands between them, as places in it.
fn words(text: &str) -> Vec<(usize, usize)> {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'+' | b'_');
    let mut words: Vec<(usize, usize)> = Vec::new();
    let bytes = text.as_bytes();
    for at in 0..bytes.len() {
        match words.last_mut() {
            Some((_, end)) if is_word(bytes[at]) && is_word(bytes[*end - 1]) => *end = at + 1,
            _ => words.push((at, at + 1)),
        }
    }
    words
}

/// The part of a message that a place belongs to: its start line, a header by its name, or its body.
fn part(text: &str, at: usize) -> &str {
    if text[..at].contains("\r\n\r\n") {
        return "the body";
    }
    let line = text[..at].rfind("\r\n").map_or(0, |end| end + 2);
    if line == 0 { "the start line" } else { text[line..].split([':', '\r']).next().unwrap_or_default() }
}

#[test]
fn no_anomaly_anywhere_in_a_message_panics() {
    let anomalies = anomalies();
    let mut cases = Vec::new();
    for text in [INVITE, NOTIFY, RESPONSE] {
        for place in words(text) {
            cases.extend((0..anomalies.len()).map(|anomaly| (text, place, anomaly)));
        }
    }
    // Few are spread over all.
    let all = cases.len();
    let mut numbers = Numbers(7);
    while cases.len() > size(6_000, all) {
        let at = numbers.below(cases.len());
        cases.swap_remove(at);
    }
    let (mut read, mut panics) = (0, Vec::new());
    let mut parts: Vec<(&str, usize)> = Vec::new();
    for (text, (start, end), anomaly) in &cases {
        let name = part(text, *start);
        match parts.iter_mut().find(|(known, _)| *known == name) {
            Some((_, count)) => *count += 1,
            None => parts.push((name, 1)),
        }
        let bytes = [&text.as_bytes()[..*start], &anomalies[*anomaly], &text.as_bytes()[*end..]].concat();
        match catch_unwind(|| take(&bytes)) {
            Ok(is_read) => read += usize::from(is_read),
            Err(_) => panics.push(format!("{name}: {:?}", String::from_utf8_lossy(&bytes))),
        }
    }
    println!(
        "{} cases of {all} over {} parts: {read} read, {} refused, {} panics",
        cases.len(),
        parts.len(),
        cases.len() - read - panics.len(),
        panics.len()
    );
    assert!(panics.is_empty(), "{panics:#?}");
    assert!(cases.len() >= 4_500 && parts.len() >= 40, "{parts:?}");
    assert!(read > cases.len() / 10 && read < cases.len() * 9 / 10);
}

/// Takes bytes as the product does, out of a HEP frame, and asks the message for everything.
fn take(bytes: &[u8]) -> bool {
    if let Ok(message) = Message::parse(bytes) {
        touch(&message);
    }
    let frame = crate::frames::frame(bytes);
    let mut reader = Reader::new(&frame[..]).expect("a frame is a capture");
    let mut tracker = SipTracker::new(AccountId::new(1), 0);
    let (mut signals, mut read) = (Vec::new(), false);
    while reader.advance().expect("memory can be read") {
        let captured = reader.current().expect("there is one");
        let Ok(message) = Message::parse(captured.payload) else { continue };
        read = true;
        tracker.handle(&message, &captured, InputRef { source: 0, number: 1 }, &mut signals);
    }
    read
}
