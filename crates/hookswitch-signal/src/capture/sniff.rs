//! Tells SIP from everything else by its first line.

/// The longest first line that is looked at. RFC 3261 sets no limit, but no UDP path carries a
/// Request-URI of this length, and a stream without line ends must be given up somewhere.
pub(super) const START_LINE_BYTES_MAX: usize = 8 * 1024;

/// The longest method that is looked at. The longest registered one has 9 characters
/// (`SUBSCRIBE`), the longest of RFC 4475 has 43.
const METHOD_BYTES_MAX: usize = 128;

/// Kind of payload by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sniff {
    /// The beginning of a SIP message, valid or nearly so.
    Sip,
    /// Something else.
    Other,
    /// Too little to tell; on a datagram, something else.
    Unsure,
}

/// Looks whether `bytes` begin with a SIP start line (RFC 3261 §7.1, §7.2), or one that was meant
/// to be: what exactly is wrong with it is for [`crate::sip`] to say.
///
/// More bytes never change an answer other than [`Sniff::Unsure`], so a stream may ask early.
#[inline]
pub(super) fn start_line(bytes: &[u8]) -> Sniff {
    // Most payloads of a capture are RTP, and end here.
    let Some(&first) = bytes.first() else {
        return Sniff::Unsure;
    };
    if !TOKEN[usize::from(first)] {
        return Sniff::Other;
    }
    let prefix = bytes.len().min(VERSION.len());
    if bytes[..prefix].eq_ignore_ascii_case(&VERSION[..prefix]) {
        return if prefix == VERSION.len() { Sniff::Sip } else { Sniff::Unsure };
    }
    request_line(bytes)
}

fn request_line(bytes: &[u8]) -> Sniff {
    let head = &bytes[..bytes.len().min(METHOD_BYTES_MAX + 1)];
    let Some(space) = head.iter().position(|&byte| !TOKEN[usize::from(byte)]) else {
        return if head.len() > METHOD_BYTES_MAX { Sniff::Other } else { Sniff::Unsure };
    };
    if !is_blank(head[space]) {
        return Sniff::Other;
    }
    let seen = &bytes[..bytes.len().min(START_LINE_BYTES_MAX)];
    let end = memchr::memchr(b'\n', seen);
    let line = &seen[..end.unwrap_or(seen.len())];
    let names_version = memchr::memrchr_iter(b'/', line).any(|slash| {
        let before = &line[space..slash.max(space)];
        before.len() > 3
            && before[before.len() - 3..].eq_ignore_ascii_case(&VERSION[..3])
            && is_blank(before[before.len() - 4])
    });
    match (names_version, end) {
        (true, _) => Sniff::Sip,
        (false, None) if seen.len() < START_LINE_BYTES_MAX => Sniff::Unsure,
        (false, _) => Sniff::Other,
    }
}

const VERSION: &[u8] = b"SIP/";

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// The payload behind the line ends that keep a NAT binding open (RFC 5626 §3.5.1, and the NUL
/// that some phones send instead).
#[inline]
pub(super) fn skip_keep_alive(bytes: &[u8]) -> &[u8] {
    match bytes.first() {
        Some(b'\r' | b'\n' | 0) => &bytes[keep_alive_len(bytes)..],
        _ => bytes,
    }
}

/// Returns the number of bytes at the front that are line ends or NULs.
pub(super) fn keep_alive_len(bytes: &[u8]) -> usize {
    bytes.iter().position(|byte| !matches!(byte, b'\r' | b'\n' | 0)).unwrap_or(bytes.len())
}

/// The characters of a token (RFC 3261 §25.1).
const TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let marks = b"-.!%*_+`'~";
    let mut mark = 0;
    while mark < marks.len() {
        table[marks[mark] as usize] = true;
        mark += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn start_lines_are_known_even_when_malformed() {
        for line in [
            "INVITE sip:a@b SIP/2.0",
            "INVITE  sip:a@b  SIP/2.0",
            "OPTIONS sip:a@b SIP/2.0  ",
            "OPTIONS sip:a@b SIP/7.0",
            "INVITE <sip:a@b> SIP/2.0",
            "INVITE sip:a@b; lr SIP/2.0",
            "!interesting-Method0123456789_*+`.%indeed'~ sip:1_unusual.URI~(to-be!sure)@b SIP/2.0",
            "RE%47IST%45R sip:registrar.example.com SIP/2.0",
            "OPTIONS soap.beep://192.0.2.103:3002 SIP/2.0",
            "INVITE sip:a@b sip/2.0",
            "SIP/2.0 200 OK",
            "SIP/2.0 4294967301 better not break the receiver",
            "SIP/2.0 200 ",
            "sip/3 1",
        ] {
            for end in ["\r\nVia: x\r\n", "\nVia: x\n", ""] {
                assert_eq!(start_line(format!("{line}{end}").as_bytes()), Sniff::Sip, "{line}");
            }
        }
    }

    #[test]
    fn other_payloads_are_not_sip() {
        for payload in [
            "\u{1}\0\0\0",
            "GET / HTTP/1.1\r\nX: a SIP/2.0\r\n",
            "NOTIFY * HTTP/1.1\r\n",
            "DESCRIBE rtsp://a RTSP/1.0\r\n",
            "Via: SIP/2.0/UDP a\r\n",
            "a/SIP/2.0\r\n",
            " INVITE sip:a@b SIP/2.0\r\n",
            "INVITE:sip:a@b SIP/2.0\r\n",
            "xSIP/2.0\r\n",
        ] {
            assert_eq!(start_line(payload.as_bytes()), Sniff::Other, "{payload:?}");
        }
        assert_eq!(start_line(&[0x80, 0x08, 0x12]), Sniff::Other);
        assert_eq!(start_line(&[b'a'; METHOD_BYTES_MAX + 1]), Sniff::Other);
        let endless = [b"A ".as_slice(), &[b'a'; START_LINE_BYTES_MAX]].concat();
        assert_eq!(start_line(&endless), Sniff::Other);
    }

    #[test]
    fn keep_alives_are_skipped() {
        assert_eq!(skip_keep_alive(b"\r\n\r\n\0"), b"");
        assert_eq!(skip_keep_alive(b"\r\n\r\nA"), b"A");
        assert_eq!(skip_keep_alive(b"A\r\n"), b"A\r\n");
    }

    proptest! {
        #[test]
        fn more_bytes_never_change_an_answer(
            text in "(INV|SIP/|A |sip:| SIP/|\r\n|[ -~]|\n){0,12}",
            cut in 0..40_usize,
        ) {
            let bytes = text.as_bytes();
            let early = start_line(&bytes[..cut.min(bytes.len())]);
            if early != Sniff::Unsure {
                prop_assert_eq!(early, start_line(bytes));
            }
        }
    }
}
