//! The frames of a WebSocket (RFC 6455 §5.2), in each message of which a SIP message may come (RFC 7118 §5).

use super::framing::MESSAGE_BYTES_MAX;
use super::sniff::{self, START_LINE_BYTES_MAX, Sniff};

/// The longest header block of a handshake that is waited for.
const HANDSHAKE_BYTES_MAX: usize = 8 * 1024;

/// Head of a frame before its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) kind: Kind,
    /// It is the last of its message.
    pub(super) last: bool,
    /// The message is compressed (RFC 7692 §6).
    pub(super) compressed: bool,
    /// How the payload is masked; what a client sends is.
    mask: Option<[u8; 4]>,
    pub(super) header_bytes: usize,
    pub(super) payload_bytes: usize,
}

/// Kind of frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The first of a message, text or binary.
    Data,
    /// A later one of a message.
    Continuation,
    /// A ping, a pong or the end; these may come between the frames of a message.
    Control,
}

/// The bytes are no frame, or one that is longer than any message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NoFrame;

/// Reads the header of the frame at the front; none if more bytes are needed.
///
/// More bytes never change an answer.
pub(super) fn head(bytes: &[u8]) -> Result<Option<Head>, NoFrame> {
    let Some(&first) = bytes.first() else { return Ok(None) };
    let last = first & 0x80 != 0;
    let compressed = first & 0x40 != 0;
    let kind = match first & 0x0f {
        0 => Kind::Continuation,
        1 | 2 => Kind::Data,
        8..=10 => Kind::Control,
        _ => return Err(NoFrame),
    };
    if first & 0x30 != 0 || (compressed && kind != Kind::Data) || (!last && kind == Kind::Control) {
        return Err(NoFrame);
    }
    let Some(&second) = bytes.get(1) else { return Ok(None) };
    let (length, at) = match second & 0x7f {
        126.. if kind == Kind::Control => return Err(NoFrame),
        126 => match bytes.get(2..).and_then(<[u8]>::first_chunk) {
            Some(length) => (usize::from(u16::from_be_bytes(*length)), 4),
            None => return Ok(None),
        },
        127 => match bytes.get(2..).and_then(<[u8]>::first_chunk) {
            Some(length) => (usize::try_from(u64::from_be_bytes(*length)).unwrap_or(usize::MAX), 10),
            None => return Ok(None),
        },
        length => (usize::from(length), 2),
    };
    // A length is written as short as it can be.
    if length > MESSAGE_BYTES_MAX || (at == 4 && length < 126) || (at == 10 && u16::try_from(length).is_ok())
    {
        return Err(NoFrame);
    }
    let (mask, header_bytes) = if second & 0x80 == 0 {
        (None, at)
    } else {
        match bytes.get(at..).and_then(<[u8]>::first_chunk) {
            Some(mask) => (Some(*mask), at + 4),
            None => return Ok(None),
        }
    };
    Ok(Some(Head { kind, last, compressed, mask, header_bytes, payload_bytes: length }))
}

impl Head {
    /// Takes the mask off a payload, or off its beginning.
    pub(super) fn unmask(&self, payload: &mut [u8]) {
        let Some(mask) = self.mask else { return };
        for (byte, key) in payload.iter_mut().zip(mask.iter().cycle()) {
            *byte ^= key;
        }
    }
}

/// Looks whether a frame begins here with a SIP message that begins in it, as where no handshake was seen.
///
/// More bytes never change an answer other than [`Sniff::Unsure`].
pub(super) fn start(bytes: &[u8]) -> Sniff {
    let head = match head(bytes) {
        Ok(Some(head)) if head.kind == Kind::Data && !head.compressed => head,
        Ok(None) => return Sniff::Unsure,
        Ok(Some(_)) | Err(NoFrame) => return Sniff::Other,
    };
    let payload = &bytes[head.header_bytes..];
    let payload = &payload[..payload.len().min(head.payload_bytes).min(START_LINE_BYTES_MAX)];
    let mut first = [payload.first().copied().unwrap_or(b'?')];
    head.unmask(&mut first);
    if !payload.is_empty() && sniff::start_line(&first) == Sniff::Other {
        return Sniff::Other;
    }
    let mut payload = payload.to_vec();
    head.unmask(&mut payload);
    match sniff::start_line(&payload) {
        Sniff::Unsure if payload.len() == head.payload_bytes => Sniff::Other,
        sniffed => sniffed,
    }
}

/// Returns `true` if a stream may begin so that a WebSocket is opened by it: with a GET of HTTP/1.1, or the answer 101.
pub(super) fn may_be_handshake(bytes: &[u8]) -> Sniff {
    const ANSWER: &[u8] = b"HTTP/1.1 101";
    if bytes.starts_with(ANSWER) {
        return Sniff::Sip;
    }
    if ANSWER.starts_with(bytes) {
        return Sniff::Unsure;
    }
    if !bytes.starts_with(b"GET ") {
        return if b"GET ".starts_with(bytes) { Sniff::Unsure } else { Sniff::Other };
    }
    // A request of SIP may have this method too.
    match (memchr::memchr(b'\n', &bytes[..bytes.len().min(HANDSHAKE_BYTES_MAX)]), bytes.len()) {
        (Some(end), _) if bytes[..end].trim_ascii_end().ends_with(b" HTTP/1.1") => Sniff::Sip,
        (None, ..HANDSHAKE_BYTES_MAX) => Sniff::Unsure,
        _ => Sniff::Other,
    }
}

/// Returns `true` if a header block without end is too long to be that of a handshake.
pub(super) fn is_too_long(handshake: &[u8]) -> bool {
    handshake.len() >= HANDSHAKE_BYTES_MAX
}

/// Returns `true` if a header block opens a WebSocket for SIP (RFC 6455 §4.1, RFC 7118 §4).
pub(super) fn is_handshake(header: &[u8]) -> bool {
    let (mut upgrades, mut is_sip) = (false, false);
    for line in header.split(|&byte| byte == b'\n') {
        let Some(colon) = memchr::memchr(b':', line) else { continue };
        let has = |wanted: &[u8]| {
            line[colon + 1..]
                .split(|&byte| byte == b',')
                .any(|word| word.trim_ascii().eq_ignore_ascii_case(wanted))
        };
        match line[..colon].trim_ascii_end() {
            name if name.eq_ignore_ascii_case(b"upgrade") => upgrades |= has(b"websocket"),
            name if name.eq_ignore_ascii_case(b"sec-websocket-protocol") => is_sip |= has(b"sip"),
            _ => {}
        }
    }
    upgrades && is_sip
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::fixture::web_frame;
    use super::*;

    #[test]
    fn headers_are_read_with_each_length_and_mask() {
        for (length, header_bytes) in [(0, 2), (125, 2), (126, 4), (65_535, 4), (65_536, 10)] {
            for mask in [None, Some([1, 2, 3, 4])] {
                let bytes = web_frame(0x81, mask, &vec![b'x'; length]);
                let header_bytes = header_bytes + mask.map_or(0, |_| 4);
                let expected = Head {
                    kind: Kind::Data,
                    last: true,
                    compressed: false,
                    mask,
                    header_bytes,
                    payload_bytes: length,
                };
                assert_eq!(head(&bytes), Ok(Some(expected)));
                for cut in 0..header_bytes {
                    assert_eq!(head(&bytes[..cut]), Ok(None), "{cut} of {header_bytes}");
                }
                let mut payload = bytes[header_bytes..].to_vec();
                expected.unmask(&mut payload);
                assert!(payload.iter().all(|&byte| byte == b'x'));
            }
        }
    }

    #[test]
    fn what_breaks_the_protocol_is_no_frame() {
        for bytes in [
            &[0x83, 0][..],       // an opcode nobody knows
            &[0x91, 0],           // a flag nobody knows
            &[0xc9, 0],           // a compressed ping
            &[0xc0, 0],           // a compressed continuation
            &[0x09, 0],           // a ping in pieces
            &[0x89, 126, 0, 200], // a long ping
            &[0x81, 126, 0, 125], // a length that is longer than it has to be
            &[0x81, 127, 0, 0, 0, 0, 0, 0, 255, 255],
            &[0x81, 127, 0, 0, 0, 0, 0, 1, 0, 1], // longer than any message
            &[0x81, 127, 255, 255, 255, 255, 255, 255, 255, 255],
            b"GET /",
        ] {
            assert_eq!(head(bytes), Err(NoFrame), "{bytes:?}");
        }
    }

    #[test]
    fn a_frame_that_begins_as_sip_does_is_known_without_a_handshake() {
        let message = b"OPTIONS sip:a SIP/2.0\r\n\r\n";
        for first in [0x81, 0x82, 0x01, 0x02] {
            for mask in [None, Some([7, 0, 255, 9])] {
                let bytes = web_frame(first, mask, message);
                assert_eq!(start(&bytes), Sniff::Sip);
                assert_eq!(start(&bytes[..1]), Sniff::Unsure);
                assert_eq!(start(&bytes[..9]), Sniff::Unsure);
            }
        }
        for bytes in [
            web_frame(0x81, None, b"{\"a\": 1}"),
            web_frame(0x81, Some([1, 2, 3, 4]), b"OPTIONS"),
            web_frame(0x81, None, b""),
            web_frame(0xc1, None, message),
            web_frame(0x80, None, message),
            web_frame(0x89, None, b"ping"),
        ] {
            assert_eq!(start(&bytes), Sniff::Other, "{bytes:?}");
        }
    }

    #[test]
    fn only_a_handshake_for_sip_opens_a_websocket_for_sip() {
        let request =
            "GET /ws HTTP/1.1\r\nHost: a\r\nupgrade: WebSocket\r\nSec-WebSocket-Protocol: chat, SIP\r\n\r\n";
        let answer =
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nSec-WebSocket-Protocol: sip\r\n\r\n";
        for text in [request, answer] {
            assert_eq!(may_be_handshake(text.as_bytes()), Sniff::Sip);
            assert_eq!(may_be_handshake(&text.as_bytes()[..3]), Sniff::Unsure);
            assert!(is_handshake(text.as_bytes()));
        }
        for text in [
            "GET / HTTP/1.0\r\n\r\n",
            "HTTP/1.1 200 OK\r\n",
            "GET sip:a SIP/2.0\r\n",
            "POST / HTTP/1.1\r\n",
            "HEP3",
        ] {
            assert_eq!(may_be_handshake(text.as_bytes()), Sniff::Other, "{text}");
        }
        assert!(!is_handshake(request.replace("SIP", "sipx").as_bytes()));
        assert!(!is_handshake(request.replace("WebSocket\r", "h2c\r").as_bytes()));
    }

    proptest! {
        #[test]
        fn more_bytes_never_change_an_answer(
            first in prop::sample::select(vec![0x81_u8, 0x01, 0x82, 0xc1]),
            mask in prop::option::of(any::<[u8; 4]>()),
            text in "(INV|SIP/|A |sip:| SIP/|\r\n|[ -~]|\n){0,40}",
            cut in 0..60_usize,
        ) {
            let bytes = web_frame(first, mask, text.as_bytes());
            let early = start(&bytes[..cut.min(bytes.len())]);
            if early != Sniff::Unsure {
                prop_assert_eq!(early, start(&bytes));
            }
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..24)) {
            let _ = (head(&bytes), start(&bytes), may_be_handshake(&bytes), is_handshake(&bytes));
        }
    }
}
