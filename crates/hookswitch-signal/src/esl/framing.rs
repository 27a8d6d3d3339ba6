//! From the bytes of a connection to messages.

use super::message;

/// The longest message that is read, in bytes; FreeSWITCH's own are below 64 KiB, but for listings of all
/// channels. What is longer is left out.
pub const MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The longest headers of a message.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// Begins the answer to a command, and with it all that FreeSWITCH sends before events were asked for.
const TYPE: &[u8] = b"Content-Type: ";

/// Cuts what a connection brings into messages: headers, an empty line, and as many bytes as
/// `Content-Length` says.
///
/// However the bytes are cut into pieces, the messages are the same. Memory is bounded by
/// [`MESSAGE_BYTES_MAX`] and what is pushed at once.
#[derive(Debug, Default)]
pub struct Frames {
    buffer: Vec<u8>,
    /// Start of what is not given out yet.
    start: usize,
    /// Number of bytes that the message has that begins here, once that is known.
    wanted: Option<usize>,
    /// Bytes that are still to be thrown away.
    to_skip: usize,
    /// Bytes that were thrown away.
    skipped: u64,
    /// The outcome of a login was given out; the rest of its answer begins here.
    in_login_answer: bool,
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

    /// The answer to a login, up to its `Reply-Text`, as soon as that is complete; or another message.
    ///
    /// The answer to `userauth` names all that the user is allowed, and FreeSWITCH (1.11, mod_event_socket.c)
    /// writes it into 512 bytes: what is longer is cut anywhere behind `Reply-Text`, with the empty line at its
    /// end. What comes next then begins in the middle of a line. So the rest is passed over, up to the empty
    /// line or to the next message, whichever is first; no length or time decides, and what is to follow the
    /// login can be sent at once.
    pub fn next_login_answer(&mut self) -> Option<&[u8]> {
        if !self.is_at_message() {
            return None;
        }
        let Some(length) = outcome_len(&self.buffer[self.start..]) else { return self.next_message() };
        let start = self.start;
        self.start += length;
        self.in_login_answer = true;
        Some(&self.buffer[start..self.start])
    }

    /// The next message that is complete.
    pub fn next_message(&mut self) -> Option<&[u8]> {
        loop {
            if !self.is_at_message() {
                return None;
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

    /// Passes over what is no message: empty lines, and the rest of the answer to a login. False while more of
    /// that is to come.
    fn is_at_message(&mut self) -> bool {
        if self.in_login_answer {
            let here = &self.buffer[self.start..];
            match login_rest_len(here) {
                Some(length) => self.start += length,
                None if here.len() > HEAD_BYTES_MAX => self.throw_away(here.len()),
                None => return false,
            }
            self.in_login_answer = false;
        }
        while self.wanted.is_none() && matches!(self.buffer.get(self.start), Some(b'\n' | b'\r')) {
            self.start += 1;
        }
        true
    }

    /// Returns the number of bytes that were thrown away, because a message was too long.
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

/// The length of the first two lines of an answer to a command, when they are there and say what it is and
/// how it went.
fn outcome_len(bytes: &[u8]) -> Option<usize> {
    let first = memchr::memchr(b'\n', bytes)? + 1;
    let second = first + memchr::memchr(b'\n', &bytes[first..])? + 1;
    let is_answer = bytes[..first].trim_ascii_end() == b"Content-Type: command/reply"
        && bytes[first..].starts_with(b"Reply-Text:");
    is_answer.then_some(second)
}

/// The length of what is left of the answer to a login behind its second line: up to the empty line, or to
/// where the next message begins.
fn login_rest_len(bytes: &[u8]) -> Option<usize> {
    let whole = match bytes {
        [b'\n', ..] => Some(1),
        [b'\r', b'\n', ..] => Some(2),
        _ => message::split_head(bytes).map(|(_, rest)| bytes.len() - rest.len()),
    };
    let cut = memchr::memmem::find(bytes, TYPE);
    whole.into_iter().chain(cut).min()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

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

    /// The answer to `userauth` as mod_event_socket.c of FreeSWITCH 1.11 writes it: into 512 bytes, of which one
    /// is a mark that is not sent and one ends the text. Taken from its source, not from a running one.
    fn login_answer(events: &str, api: &str) -> Vec<u8> {
        let reply = format!(
            "~Reply-Text: +OK accepted\nAllowed-Events: {events}\nAllowed-API: {api}\nAllowed-LOG: true\n\n"
        );
        let written = &reply.as_bytes()[..reply.len().min(511)];
        [b"Content-Type: command/reply\n", &written[1..]].concat()
    }

    /// The outcome of a login and the messages behind it, of bytes that come in pieces.
    fn after_login(bytes: &[u8], piece: usize) -> (Vec<u8>, Vec<Vec<u8>>) {
        let (mut frames, mut outcome, mut told) = (Frames::default(), None, Vec::new());
        for piece in bytes.chunks(piece) {
            frames.push(piece);
            if outcome.is_none() {
                outcome = frames.next_login_answer().map(<[u8]>::to_vec);
            }
            if outcome.is_some() {
                told.extend(messages(&mut frames));
            }
        }
        (outcome.expect("the login was answered"), told)
    }

    const ACCEPTED: &[u8] = b"Content-Type: command/reply\nReply-Text: +OK accepted\n";
    const LISTENING: &[u8] = b"Content-Type: command/reply\nReply-Text: +OK event listener enabled json\n\n";
    const EVENT: &[u8] = b"Content-Length: 2\nContent-Type: text/event-json\n\n{}";

    #[test]
    fn a_login_that_is_answered_is_known_though_its_answer_may_be_cut_anywhere() {
        // From an answer that is whole to one that is cut in the list of events: each length moves the cut by
        // a byte, through every name and line end behind the list.
        let mut cut_in = BTreeSet::new();
        for length in 395..500 {
            let events = "CHANNEL_CREATE ".repeat(40)[..length].to_owned();
            let answer = login_answer(&events, "show valet_info conference fifo");
            if !answer.ends_with(b"\n\n") {
                assert_eq!(answer.len(), 538, "28 bytes, and 510 of the 512");
                let line = answer.split(|&byte| byte == b'\n').next_back().expect("a line");
                cut_in.insert(line.split(|&byte| byte == b':').next().map(<[u8]>::to_vec));
            }
            let stream = [&answer[..], LISTENING, EVENT].concat();
            for piece in [1, 7, answer.len(), stream.len()] {
                let (outcome, told) = after_login(&stream, piece);
                assert_eq!(outcome, ACCEPTED);
                assert_eq!(told, [LISTENING, EVENT], "{length} in pieces of {piece}");
            }
        }
        let in_each = [&b""[..], b"Allowed-Events", b"Allowed-API", b"Allowed-LOG", b"Allowed-"];
        assert!(in_each.iter().all(|line| cut_in.contains(&Some(line.to_vec()))), "{cut_in:?}");
    }

    #[test]
    fn a_login_that_is_answered_in_one_line_or_refused_is_followed_by_what_comes_next() {
        let goodbye = b"Content-Type: text/disconnect-notice\nContent-Length: 23\n\nDisconnected, goodbye.\n";
        let refused = b"Content-Type: command/reply\nReply-Text: -ERR invalid\n";
        let windows = b"Content-Type: command/reply\r\nReply-Text: +OK accepted\r\n";
        for (outcome, end, next) in [
            (ACCEPTED, &b"\n"[..], LISTENING),
            (windows, b"\r\n", LISTENING),
            (refused, b"\n", goodbye),
            // It goes down before the events are asked for.
            (ACCEPTED, b"Allowed-Events: CHANN", goodbye),
        ] {
            let stream = [outcome, end, next].concat();
            for piece in 1..=stream.len() {
                assert_eq!(after_login(&stream, piece), (outcome.to_vec(), vec![next.to_vec()]));
            }
        }
        // What is no answer to a command is read as it is elsewhere.
        let rejection = b"Content-Type: text/rude-rejection\nContent-Length: 4\n\nno!\n";
        for piece in 1..=rejection.len() {
            assert_eq!(after_login(rejection, piece), (rejection.to_vec(), vec![]));
        }
    }

    #[test]
    fn the_answer_to_a_login_has_a_bound() {
        let mut frames = Frames::default();
        frames.push(ACCEPTED);
        assert_eq!(frames.next_login_answer(), Some(ACCEPTED));
        let piece = b"Allowed-Events: x\n".repeat(100);
        for _ in 0..HEAD_BYTES_MAX / 100 {
            frames.push(&piece);
            assert_eq!(frames.next_message(), None);
            assert!(frames.buffer.len() <= HEAD_BYTES_MAX + 2 * piece.len());
        }
    }

    /// All messages of a connection that comes in pieces of these lengths, of which the first answers a login.
    fn from_login(bytes: &[u8], cuts: &[usize]) -> Vec<Vec<u8>> {
        let (mut frames, mut told, mut rest) = (Frames::default(), Vec::new(), bytes);
        for cut in cuts.iter().copied().chain([bytes.len()]) {
            let (piece, after) = rest.split_at(cut.min(rest.len()));
            frames.push(piece);
            if told.is_empty() {
                told.extend(frames.next_login_answer().map(<[u8]>::to_vec));
            }
            if !told.is_empty() {
                told.extend(messages(&mut frames));
            }
            rest = after;
        }
        told
    }

    const WORDS: [&str; 12] = [
        "Content-Type: ",
        "command/reply\n",
        "Content-Type: command/reply\nReply-Text: +OK accepted\n",
        "Reply-Text:",
        "Content-Length: 3\n",
        "Allowed-Events: CHANNEL_CREATE",
        "Content-Ty",
        "\n",
        "\r\n",
        "\n\n",
        ":",
        "x",
    ];

    proptest! {
        #[test]
        fn any_cut_of_a_login_gives_the_same_messages(
            words in proptest::collection::vec(0..WORDS.len(), 0..20),
            cuts in proptest::collection::vec(1..40_usize, 0..40),
        ) {
            let text: String = words.into_iter().map(|word| WORDS[word]).collect();
            prop_assert_eq!(from_login(text.as_bytes(), &cuts), from_login(text.as_bytes(), &[]));
        }

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
