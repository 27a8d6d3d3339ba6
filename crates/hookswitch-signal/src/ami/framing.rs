//! From the bytes of a connection to messages.

use std::ops::Range;

use crate::byte_set::ByteSet;

/// The longest line that is read, in bytes; what is longer is left out of its message.
pub const LINE_BYTES_MAX: usize = 64 * 1024;

/// The longest message that is read, in bytes; Asterisk's own are below 8 KiB. What is longer is left out.
pub const MESSAGE_BYTES_MAX: usize = 256 * 1024;

/// The greeting, which stands alone on the first line of a connection.
const GREETING: &[u8] = b"Asterisk Call Manager/";

/// Cuts what a connection brings into messages, which end with an empty line.
///
/// However the bytes are cut into pieces, the messages are the same. Memory is bounded by
/// [`MESSAGE_BYTES_MAX`] and what is pushed at once.
#[derive(Debug, Default)]
pub struct Frames {
    buffer: Vec<u8>,
    /// Start of what is not given out yet.
    start: usize,
    /// Place where the line begins that is looked at.
    line: usize,
    /// Up to where its end was looked for.
    searched: usize,
    /// The line is too long, and what comes of it is thrown away.
    is_long: bool,
    /// The message is too long, and what comes of it is thrown away.
    is_endless: bool,
    /// Bytes that were thrown away.
    skipped: u64,
}

impl Frames {
    /// Adds what the connection has brought.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.line -= self.start;
            self.searched -= self.start;
            self.start = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The next message that is complete, without the empty line behind it.
    pub fn next_message(&mut self) -> Option<&[u8]> {
        let place = self.find()?;
        Some(&self.buffer[place])
    }

    /// Returns the number of bytes that were thrown away, because a line or a message was too long.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    fn find(&mut self) -> Option<Range<usize>> {
        loop {
            let found = LINE_END.find(&self.buffer, self.searched);
            if found == self.buffer.len() {
                self.searched = found;
                if self.searched - self.line > LINE_BYTES_MAX {
                    self.cut_line(self.searched);
                }
                return None;
            }
            let end = found + 1;
            if self.is_long || end - self.line > LINE_BYTES_MAX {
                self.cut_line(end);
                self.is_long = false;
                continue;
            }
            let line = &self.buffer[self.line..end];
            let is_empty = matches!(line, b"\n" | b"\r\n");
            let greets = self.line == self.start && line.starts_with(GREETING);
            let message = self.start..if is_empty { self.line } else { end };
            self.line = end;
            self.searched = end;
            if is_empty || greets {
                self.start = end;
                let is_endless = std::mem::take(&mut self.is_endless);
                if is_endless {
                    self.skipped += message.len() as u64;
                } else if !message.is_empty() {
                    return Some(message);
                }
            } else if end - self.start > MESSAGE_BYTES_MAX {
                self.is_endless = true;
                self.skipped += (end - self.start) as u64;
                self.start = end;
            }
        }
    }

    /// Takes the line out that is looked at, up to `end`.
    fn cut_line(&mut self, end: usize) {
        self.skipped += (end - self.line) as u64;
        self.buffer.drain(self.line..end);
        self.searched = self.line;
        self.is_long = true;
    }
}

const LINE_END: ByteSet<1> = ByteSet::of(b"\n");

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn messages(frames: &mut Frames) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| frames.next_message().map(<[u8]>::to_vec)).collect()
    }

    const STREAM: &[u8] = b"Asterisk Call Manager/11.0.0\r\nResponse: Success\r\n\r\n\r\nEvent: A\nX: 1\n\nEvent: B\r\n\r\nEvent";

    #[test]
    fn messages_end_with_an_empty_line_and_the_greeting_with_its_own() {
        let mut frames = Frames::default();
        frames.push(STREAM);
        assert_eq!(
            messages(&mut frames),
            [
                &b"Asterisk Call Manager/11.0.0\r\n"[..],
                b"Response: Success\r\n",
                b"Event: A\nX: 1\n",
                b"Event: B\r\n"
            ]
        );
        frames.push(b": C\r\n\r\n");
        assert_eq!(messages(&mut frames), [b"Event: C\r\n"]);
    }

    #[test]
    fn what_is_too_long_is_thrown_away_and_the_rest_is_read() {
        let mut frames = Frames::default();
        let long = vec![b'x'; 3 * LINE_BYTES_MAX];
        for piece in [&b"Event: A\nX: "[..], &long, b"\nY: 2\n\nEvent: B\n\n"] {
            for bytes in piece.chunks(1000) {
                frames.push(bytes);
                if let Some(message) = frames.next_message() {
                    assert_eq!(message, b"Event: A\nY: 2\n");
                    assert_eq!(frames.next_message(), Some(&b"Event: B\n"[..]));
                }
                assert!(frames.buffer.len() <= LINE_BYTES_MAX + 2000);
            }
        }
        assert_eq!(frames.skipped(), 3 + long.len() as u64 + 1);
        for _ in 0..MESSAGE_BYTES_MAX {
            frames.push(b"A: 1\n");
            assert_eq!(frames.next_message(), None);
            assert!(frames.buffer.len() <= MESSAGE_BYTES_MAX + 10);
        }
        frames.push(b"\nEvent: C\n\n");
        assert_eq!(messages(&mut frames), [b"Event: C\n"]);
    }

    proptest! {
        #[test]
        fn any_cut_gives_the_same_messages(cuts in proptest::collection::vec(1..40_usize, 0..40)) {
            let mut whole = Frames::default();
            whole.push(STREAM);
            let expected = messages(&mut whole);
            let (mut frames, mut told, mut rest) = (Frames::default(), Vec::new(), STREAM);
            for cut in cuts {
                let (piece, after) = rest.split_at(cut.min(rest.len()));
                frames.push(piece);
                told.extend(messages(&mut frames));
                rest = after;
            }
            frames.push(rest);
            told.extend(messages(&mut frames));
            prop_assert_eq!(told, expected);
        }
    }
}
