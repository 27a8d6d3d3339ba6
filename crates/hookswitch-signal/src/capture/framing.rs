//! Framing: where messages begin and end in a stream of bytes.

use super::sniff::{self, Sniff};
use super::{hep, websocket};

/// The longest message taken from a stream, the longest a datagram can be too. A stream is never
/// held back for more.
pub(super) const MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// Front of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Front {
    /// A SIP message of this many bytes.
    Sip(usize),
    /// A header block of this many bytes whose Content-Length cannot be used, so that nobody
    /// knows where the next message begins.
    Unframed(usize),
    /// A HEP frame of this many bytes.
    Hep(usize),
    /// A handshake of this many bytes, behind which the stream is a WebSocket for SIP.
    Handshake(usize),
    /// A frame of a WebSocket, in which a SIP message begins.
    WebFrame,
    /// Neither.
    Other,
    /// Too little to tell.
    Unsure,
    /// The beginning of a message or frame of this many bytes.
    Partial(usize),
}

/// Looks at the front of a stream. `searched` remembers between calls how far the end of the
/// header block has been looked for; it is 0 for a new message.
pub(super) fn front(bytes: &[u8], searched: &mut usize) -> Front {
    if let Some(total) = hep::frame_len(bytes) {
        let total = usize::from(total);
        return match total {
            0..hep::HEADER_BYTES => Front::Other,
            _ if total > bytes.len() => Front::Partial(total),
            _ => Front::Hep(total),
        };
    }
    // A piece of the magic reads as the beginning of a method, so it is waited for below.
    if bytes.starts_with(hep::MAGIC) {
        return Front::Unsure;
    }
    match bytes.first() {
        Some(0x01 | 0x02 | 0x81 | 0x82) => {
            return match websocket::start(bytes) {
                Sniff::Sip => Front::WebFrame,
                Sniff::Other => Front::Other,
                Sniff::Unsure => Front::Unsure,
            };
        }
        Some(b'G' | b'H') => match websocket::may_be_handshake(bytes) {
            Sniff::Sip => return handshake(bytes, searched),
            Sniff::Unsure => return Front::Unsure,
            Sniff::Other => {}
        },
        _ => {}
    }
    match sniff::start_line(bytes) {
        Sniff::Sip => message(bytes, searched),
        Sniff::Other => Front::Other,
        Sniff::Unsure => Front::Unsure,
    }
}

fn message(bytes: &[u8], searched: &mut usize) -> Front {
    let Some(header) = header_len(bytes, searched) else {
        return if bytes.len() >= MESSAGE_BYTES_MAX { Front::Other } else { Front::Unsure };
    };
    match content_length(&bytes[..header]) {
        Some(body) if header + body > MESSAGE_BYTES_MAX => Front::Unframed(header),
        Some(body) if header + body > bytes.len() => Front::Partial(header + body),
        Some(body) => Front::Sip(header + body),
        None => Front::Unframed(header),
    }
}

fn handshake(bytes: &[u8], searched: &mut usize) -> Front {
    match header_len(bytes, searched) {
        Some(header) if websocket::is_handshake(&bytes[..header]) => Front::Handshake(header),
        None if !websocket::is_too_long(bytes) => Front::Unsure,
        _ => Front::Other,
    }
}

/// Divides the bytes of a segment that holds several messages: where the first ends, which its Content-Length
/// must say, and where the next begins. None if there is no other behind it.
pub(super) fn several(bytes: &[u8]) -> Option<(usize, usize)> {
    let header = header_len(bytes, &mut 0)?;
    let end = header + announced(&bytes[..header]).ok()??;
    let behind = bytes.get(end..)?;
    let next = sniff::keep_alive_len(behind);
    (sniff::start_line(&behind[next..]) == Sniff::Sip).then_some((end, end + next))
}

/// Returns `true` if a SIP message begins here of which the whole header block is there.
pub(super) fn has_header_block(bytes: &[u8]) -> bool {
    sniff::start_line(bytes) == Sniff::Sip && header_len(bytes, &mut 0).is_some()
}

/// The length of the header block with the empty line that ends it.
fn header_len(bytes: &[u8], searched: &mut usize) -> Option<usize> {
    let bytes = &bytes[..bytes.len().min(MESSAGE_BYTES_MAX)];
    for at in memchr::memchr_iter(b'\n', bytes.get(*searched..)?) {
        let at = *searched + at;
        match &bytes[at + 1..] {
            [b'\n', ..] => return Some(at + 2),
            [b'\r', b'\n', ..] => return Some(at + 3),
            [] | [b'\r'] => {
                *searched = at;
                return None;
            }
            _ => {}
        }
    }
    *searched = bytes.len();
    None
}

/// The Content-Length of a header block (RFC 3261 §20.14), 0 if there is none; `None` if it cannot be used.
fn content_length(header: &[u8]) -> Option<usize> {
    announced(header).ok().map(Option::unwrap_or_default)
}

/// A Content-Length is not a number, larger than any message, or given twice with two values.
struct Unusable;

/// The Content-Length of a header block, if there is one.
fn announced(header: &[u8]) -> Result<Option<usize>, Unusable> {
    let mut found = None;
    let mut rest = header;
    while let Some(end) = memchr::memchr(b'\n', rest) {
        let line = &rest[..end];
        rest = &rest[end + 1..];
        if !matches!(line.first(), Some(b'c' | b'C' | b'l' | b'L')) {
            continue;
        }
        let Some(colon) = memchr::memchr(b':', line) else {
            continue;
        };
        let name = line[..colon].trim_ascii_end();
        if !name.eq_ignore_ascii_case(b"content-length") && !name.eq_ignore_ascii_case(b"l") {
            continue;
        }
        let mut value = line[colon + 1..].trim_ascii();
        if value.is_empty() && matches!(rest.first(), Some(b' ' | b'\t')) {
            // Folded (RFC 3261 §7.3.1).
            value = rest[..memchr::memchr(b'\n', rest).ok_or(Unusable)?].trim_ascii();
        }
        let value = decimal(value).ok_or(Unusable)?;
        if found.is_some_and(|found| found != value) {
            return Err(Unusable);
        }
        found = Some(value);
    }
    Ok(found)
}

fn decimal(digits: &[u8]) -> Option<usize> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_usize, |value, digit| match digit {
        b'0'..=b'9' => {
            let value = value * 10 + usize::from(digit - b'0');
            (value <= MESSAGE_BYTES_MAX).then_some(value)
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn front_of(text: &str) -> Front {
        front(text.as_bytes(), &mut 0)
    }

    #[test]
    fn a_message_ends_where_its_content_length_says() {
        for length in [
            "Content-Length: 3",
            "l: 3",
            "L:3",
            "content-length  :  3  ",
            "Content-Length:\r\n 3",
            "Content-Length: 3\r\nl: 003",
        ] {
            let header = format!("SIP/2.0 200 OK\r\n{length}\r\n\r\n");
            assert_eq!(front_of(&format!("{header}abcINVITE")), Front::Sip(header.len() + 3));
            assert_eq!(front_of(&format!("{header}ab")), Front::Partial(header.len() + 3));
        }
    }

    #[test]
    fn a_message_without_content_length_has_no_body() {
        assert_eq!(front_of("SIP/2.0 200 OK\r\nVia: x\r\n\r\nbody"), Front::Sip(26));
        assert_eq!(front_of("SIP/2.0 200 OK\nVia: x\n\nbody"), Front::Sip(23));
        assert_eq!(front_of("SIP/2.0 200 OK\r\n\r\n"), Front::Sip(18));
    }

    #[test]
    fn an_unusable_content_length_gives_the_header_block_alone() {
        for length in ["-1", "", "3, 3", "65536", "99999999999999999999999", "3\r\nl: 4", "0x3"] {
            let header = format!("SIP/2.0 200 OK\r\nContent-Length: {length}\r\n\r\n");
            assert_eq!(front_of(&format!("{header}abc")), Front::Unframed(header.len()));
        }
    }

    #[test]
    fn several_messages_are_divided_where_a_content_length_says() {
        let two = "SIP/2.0 180 Ringing\r\nl: 0\r\n\r\nSIP/2.0 200 OK\r\nl: 0\r\n\r\n";
        assert_eq!(several(two.as_bytes()), Some((29, 29)));
        assert_eq!(several(&two.as_bytes()[29..]), None);
        let apart = two.replacen("\r\n\r\n", "\r\n\r\n\r\n\r\n", 1);
        assert_eq!(several(apart.as_bytes()), Some((29, 33)));
        // The body of a NOTIFY may look like a response; and what follows may be anything.
        assert_eq!(several(two.replace("l: 0\r\n", "").as_bytes()), None);
        assert_eq!(several(two.replace("l: 0", "l: 24").as_bytes()), None);
        assert_eq!(several(two.replace("SIP/2.0 200", "v=0").as_bytes()), None);
        assert_eq!(several(two.replace("l: 0", "l: x").as_bytes()), None);
    }

    #[test]
    fn hep_frames_are_known_by_their_magic() {
        for piece in ["H", "HEP", "HEP3", "HEP3\0"] {
            assert_eq!(front_of(piece), Front::Unsure, "{piece:?}");
        }
        assert_eq!(front_of("HEP3\0\u{8}a"), Front::Partial(8));
        assert_eq!(front_of("HEP3\0\u{8}abc"), Front::Hep(8));
        assert_eq!(front_of("HEP3\0\u{5}abc"), Front::Other);
    }

    #[test]
    fn a_header_block_without_end_is_given_up() {
        let endless = format!("SIP/2.0 200 OK\r\n{}", "a: b\r\n".repeat(MESSAGE_BYTES_MAX / 6));
        let mut searched = 0;
        for cut in [100, 1000, 10_000, 60_000] {
            assert_eq!(front(&endless.as_bytes()[..cut], &mut searched), Front::Unsure);
        }
        assert_eq!(front(endless.as_bytes(), &mut searched), Front::Other);
    }
}
