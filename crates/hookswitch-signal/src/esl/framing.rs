//! From the bytes of a connection to messages.

use super::message;

/// The longest message that is read, in bytes; FreeSWITCH's own are below 64 KiB, but for listings of all
/// channels. What is longer is left out.
pub const MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The longest headers of a message.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// Cuts what a connection brings into messages: headers, an empty line, and as many bytes as
/// `Content-Length` says.
///
/// However the bytes are cut into pieces, the messages are the same. Memory is bounded by
/// [`MESSAGE_BYTES_MAX`] and what is pushed at once.
#[derive(Debug, Default)]
pub struct Frames {
    buffer: Vec<u8>,
    /// What is not given out yet begins here.
    start: usize,
    /// How many bytes the message has that begins here, once that is known.
    wanted: Option<usize>,
    /// Bytes that are still to be thrown away.
    to_skip: usize,
    /// Bytes that were thrown away.
    skipped: u64,
}

impl Frames {
    /// Adds what the connection has brought.
    pub fn push(&mut self, bytes: &[u8]) {
        let skip = self.to_skip.min(bytes.len());
        self.to_skip -= skip;
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        self.buffer.extend_from_slice(&bytes[skip..]);
    }

    /// The next message that is complete.
    pub fn next_message(&mut self) -> Option<&[u8]> {
        loop {
            while self.wanted.is_none() && matches!(self.buffer.get(self.start), Some(b'\n' | b'\r')) {
                self.start += 1;
            }
            let here = &self.buffer[self.start..];
            let wanted = match self.wanted {
                Some(wanted) => wanted,
                None => match message::split_head(here) {
                    Some((head, rest)) => {
                        let body = message::content_length(head).unwrap_or(0);
                        let wanted = (here.len() - rest.len()).saturating_add(body);
                        if wanted > MESSAGE_BYTES_MAX {
                            self.throw_away(wanted);
                            continue;
                        }
                        *self.wanted.insert(wanted)
                    }
                    None if here.len() > HEAD_BYTES_MAX => {
                        self.throw_away(here.len());
                        continue;
                    }
                    None => return None,
                },
            };
            if here.len() < wanted {
                return None;
            }
            self.wanted = None;
            let start = self.start;
            self.start += wanted;
            return Some(&self.buffer[start..start + wanted]);
        }
    }

    /// How many bytes were thrown away, because a message was too long.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    fn throw_away(&mut self, count: usize) {
        let here = (self.buffer.len() - self.start).min(count);
        self.start += here;
        self.to_skip = count - here;
        self.skipped = self.skipped.saturating_add(count as u64);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn messages(frames: &mut Frames) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| frames.next_message().map(<[u8]>::to_vec)).collect()
    }

    const STREAM: &[u8] = b"Content-Type: auth/request\n\nContent-Length: 7\nContent-Type: text/event-json\n\n{\"\n\n\"}\n\n\nContent-Type: command/reply\r\nReply-Text: +OK\r\n\r\nContent-Length: 3\n\nab";

    #[test]
    fn messages_have_headers_and_as_long_a_body_as_they_say() {
        let mut frames = Frames::default();
        frames.push(STREAM);
        assert_eq!(
            messages(&mut frames),
            [
                &b"Content-Type: auth/request\n\n"[..],
                b"Content-Length: 7\nContent-Type: text/event-json\n\n{\"\n\n\"}\n",
                b"Content-Type: command/reply\r\nReply-Text: +OK\r\n\r\n"
            ]
        );
        frames.push(b"c");
        assert_eq!(messages(&mut frames), [b"Content-Length: 3\n\nabc"]);
    }

    #[test]
    fn what_is_too_long_is_thrown_away_and_the_rest_is_read() {
        let mut frames = Frames::default();
        frames.push(format!("Content-Length: {MESSAGE_BYTES_MAX}\n\nabc").as_bytes());
        assert_eq!(frames.next_message(), None);
        let mut rest = MESSAGE_BYTES_MAX - 3;
        while rest > 0 {
            let piece = vec![b'x'; rest.min(1 << 20)];
            frames.push(&piece);
            rest -= piece.len();
            assert!(frames.buffer.len() <= 1 << 20);
        }
        frames.push(b"A: 1\n\n");
        assert_eq!(messages(&mut frames), [b"A: 1\n\n"]);
        for _ in 0..HEAD_BYTES_MAX {
            frames.push(b"A: 1\n");
            assert_eq!(frames.next_message(), None);
            assert!(frames.buffer.len() <= HEAD_BYTES_MAX + 10);
        }
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
