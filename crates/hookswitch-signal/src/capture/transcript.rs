//! Transcript of the connection to a switch, in one of the forms of
//! [`Transcript`](crate::switch::Transcript).

use std::io::{self, Read};
use std::ops::Range;

use hookswitch_model::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::input::{Input, RECORD_BYTES_MAX};
use super::jsonl;

/// Beginning of each line with a time.
const MARK: &[u8] = b";; ";

/// The same, behind the line before it.
const NEXT: &[u8] = b"\n;; ";

/// Beginning of each line before a block of an event socket.
const BLOCK_MARK: &[u8] = b"=== ";

/// The longest line before a block.
const BLOCK_LINE_BYTES_MAX: usize = 256;

/// Result of the next step over the transcript.
#[derive(Debug)]
pub(super) enum Entry {
    Message {
        time: Timestamp,
        place: Range<usize>,
    },
    /// Bytes without a time, or a message that is longer than any.
    Damaged,
    End,
}

/// Steps to the next message that says something.
pub(super) fn next<R: Read>(input: &mut Input<R>) -> io::Result<Entry> {
    loop {
        while input.fill(1)? && input.bytes()[0].is_ascii_whitespace() {
            input.take(1);
        }
        input.begin_record();
        if input.bytes().is_empty() {
            return Ok(Entry::End);
        }
        let Some(length) = entry_len(input)? else {
            skip_entry(input)?;
            return Ok(Entry::Damaged);
        };
        let entry = input.take(length);
        let bytes = input.at(entry.clone());
        let line = memchr::memchr(b'\n', bytes).unwrap_or(bytes.len());
        let Some(time) = time(&bytes[..line]) else { return Ok(Entry::Damaged) };
        let message = bytes[line..].trim_ascii();
        if !message.is_empty() {
            let start = entry.start + (message.as_ptr().addr() - bytes.as_ptr().addr());
            return Ok(Entry::Message { time, place: start..start + message.len() });
        }
    }
}

/// Steps to the next block of an event socket that came in.
pub(super) fn next_block<R: Read>(input: &mut Input<R>) -> io::Result<Entry> {
    loop {
        while input.fill(1)? && input.bytes()[0].is_ascii_whitespace() {
            input.take(1);
        }
        input.begin_record();
        if input.bytes().is_empty() {
            return Ok(Entry::End);
        }
        input.fill(BLOCK_LINE_BYTES_MAX)?;
        let line = &input.bytes()[..input.bytes().len().min(BLOCK_LINE_BYTES_MAX)];
        let end = memchr::memchr(b'\n', line);
        let block = end.and_then(|end| Some((end + 1, Block::read(&line[..end])?)));
        let Some((head, block)) = block.filter(|(_, block)| block.length <= RECORD_BYTES_MAX) else {
            skip_line(input)?;
            return Ok(Entry::Damaged);
        };
        input.take(head);
        let is_whole = input.fill(block.length)?;
        let place = input.take(block.length);
        if !is_whole {
            return Ok(Entry::Damaged);
        }
        if block.came_in {
            return Ok(Entry::Message { time: block.time, place });
        }
    }
}

/// Steps to the next line with a message.
pub(super) fn next_line<R: Read>(input: &mut Input<R>) -> io::Result<Entry> {
    while input.fill(1)? && input.bytes()[0].is_ascii_whitespace() {
        input.take(1);
    }
    input.begin_record();
    if input.bytes().is_empty() {
        return Ok(Entry::End);
    }
    let Some(length) = jsonl::line_len(input)? else {
        jsonl::skip_line(input)?;
        return Ok(Entry::Damaged);
    };
    let entry = input.take(length);
    let bytes = input.at(entry.clone());
    let Ok(TimedEvent { t, event }) = serde_json::from_slice::<TimedEvent<'_>>(bytes) else {
        return Ok(Entry::Damaged);
    };
    let Some(time) = seconds(t.get()) else { return Ok(Entry::Damaged) };
    let event = event.get();
    let start = entry.start + (event.as_ptr().addr() - bytes.as_ptr().addr());
    Ok(Entry::Message { time, place: start..start + event.len() })
}

/// A line of JSON with a message in it.
#[derive(Deserialize)]
struct TimedEvent<'a> {
    #[serde(borrow)]
    t: &'a RawValue,
    #[serde(borrow)]
    event: &'a RawValue,
}

/// Contents of the line before a block.
struct Block {
    time: Timestamp,
    came_in: bool,
    length: usize,
}

impl Block {
    fn read(line: &[u8]) -> Option<Self> {
        let line = std::str::from_utf8(line.strip_prefix(BLOCK_MARK)?).ok()?;
        let mut words = line.split_ascii_whitespace();
        let (time, _, way) = (seconds(words.next()?)?, words.next()?, words.next()?);
        let came_in = match way {
            "in" => true,
            "out" => false,
            _ => return None,
        };
        Some(Self { time, came_in, length: words.next()?.parse().ok()? })
    }
}

/// Steps to the next line that may begin a block.
fn skip_line<R: Read>(input: &mut Input<R>) -> io::Result<()> {
    loop {
        let here = input.bytes();
        let end = memchr::memchr(b'\n', here);
        let count = end.map_or(here.len(), |end| end + 1);
        input.take(count);
        if !input.fill(1)? || (end.is_some() && input.bytes()[0] == BLOCK_MARK[0]) {
            return Ok(());
        }
    }
}

/// The length of the entry that begins here, up to the next line with a time; none if it is too long.
fn entry_len<R: Read>(input: &mut Input<R>) -> io::Result<Option<usize>> {
    let mut searched = 0;
    loop {
        if let Some(at) = memchr::memmem::find(&input.bytes()[searched..], NEXT) {
            return Ok(Some(searched + at + 1));
        }
        let here = input.bytes().len();
        if here >= RECORD_BYTES_MAX {
            return Ok(None);
        }
        if !input.fill(here + 1)? {
            return Ok(Some(here));
        }
        // The mark may have begun in the last bytes.
        searched = here.saturating_sub(NEXT.len() - 1);
    }
}

/// Steps behind an entry that is too long.
fn skip_entry<R: Read>(input: &mut Input<R>) -> io::Result<()> {
    while input.fill(NEXT.len())? {
        if let Some(at) = memchr::memmem::find(input.bytes(), NEXT) {
            input.take(at + 1);
            return Ok(());
        }
        input.take(input.bytes().len() - (NEXT.len() - 1));
    }
    input.take(usize::MAX);
    Ok(())
}

/// The time in a line: its last word, in seconds with up to six digits behind the point.
fn time(line: &[u8]) -> Option<Timestamp> {
    let line = std::str::from_utf8(line.strip_prefix(MARK)?).ok()?;
    seconds(line.trim_end().rsplit(' ').next()?)
}

/// Seconds since 1970, with up to six digits behind the point.
fn seconds(word: &str) -> Option<Timestamp> {
    let (seconds, fraction) = word.split_once('.').unwrap_or((word, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if seconds.is_empty() || seconds.len() > 12 || !digits(seconds) || !digits(fraction) {
        return None;
    }
    let seconds: i64 = seconds.parse().ok()?;
    let micros = fraction.bytes().chain(std::iter::repeat(b'0')).take(6);
    let micros = micros.fold(0, |micros, digit| micros * 10 + i64::from(digit - b'0'));
    Some(Timestamp::from_micros(seconds * 1_000_000 + micros))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(bytes: &[u8]) -> Vec<(i64, String)> {
        let mut input = Input::new(bytes);
        let mut entries = Vec::new();
        loop {
            match next(&mut input).expect("memory") {
                Entry::Message { time, place } => {
                    let text = String::from_utf8_lossy(input.at(place)).into_owned();
                    entries.push((time.as_micros(), text));
                }
                Entry::Damaged => entries.push((0, "damaged".to_owned())),
                Entry::End => return entries,
            }
        }
    }

    #[test]
    fn each_message_has_the_time_before_it() {
        let text = b";; 2026-01-01T00:00:00.5Z 1767225600.5\r\nEvent: A\r\n\r\n;; 2026-01-01T00:00:01Z 1767225601\nEvent: B\nX: ;; 1\n\n;; x 1767225602.123456\n\n";
        assert_eq!(
            entries(text),
            [
                (1_767_225_600_500_000, "Event: A".to_owned()),
                (1_767_225_601_000_000, "Event: B\nX: ;; 1".to_owned())
            ]
        );
    }

    #[test]
    fn blocks_of_an_event_socket_have_a_length_and_what_went_out_is_passed_over() {
        let mut input = Input::new(
            &b"=== 1.5 x in 4\nA: 1\n\n=== 2.0 x out 9\n=== 3 4 in\n=== 3 x in 9\nB\n=== in\n\n=== no\n=== 4 x in 90\nC"[..],
        );
        let mut told = Vec::new();
        loop {
            match next_block(&mut input).expect("memory") {
                Entry::Message { time, place } => {
                    told.push((time.as_micros(), String::from_utf8_lossy(input.at(place)).into_owned()));
                }
                Entry::Damaged => told.push((0, "damaged".to_owned())),
                Entry::End => break,
            }
        }
        let expected =
            [(1_500_000, "A: 1"), (0, "damaged"), (3_000_000, "B\n=== in\n"), (0, "damaged"), (0, "damaged")];
        assert_eq!(told, expected.map(|(time, text)| (time, text.to_owned())));
    }

    #[test]
    fn lines_of_json_have_a_time_and_a_message() {
        let mut input = Input::new(
            &b"{\"t\": 1.5, \"time\": \"x\", \"event\": {\"type\": \"A\", \"t\": 9}}\n\n{\"t\": 2}\n{\"event\": {}, \"t\": 3}\n{\"t\": \"x\", \"event\": {}}\n{\"t\": 4, \"event\""[..],
        );
        let mut told = Vec::new();
        loop {
            match next_line(&mut input).expect("memory") {
                Entry::Message { time, place } => {
                    told.push((time.as_micros(), String::from_utf8_lossy(input.at(place)).into_owned()));
                }
                Entry::Damaged => told.push((0, "damaged".to_owned())),
                Entry::End => break,
            }
        }
        let expected = [
            (1_500_000, "{\"type\": \"A\", \"t\": 9}"),
            (0, "damaged"),
            (3_000_000, "{}"),
            (0, "damaged"),
            (0, "damaged"),
        ];
        assert_eq!(told, expected.map(|(time, text)| (time, text.to_owned())));
    }

    #[test]
    fn what_has_no_time_or_no_end_is_damaged_and_the_rest_is_read() {
        let long =
            [b";; x 1.0\nEvent: A\nX: ", &*vec![b'x'; 3 * RECORD_BYTES_MAX], b"\n;; x 2.0\nEvent: B\n"];
        assert_eq!(entries(&long.concat()), [(0, "damaged".to_owned()), (2_000_000, "Event: B".to_owned())]);
        assert_eq!(
            entries(b";; noon\nEvent: A\n;; x 2.0\nB"),
            [(0, "damaged".to_owned()), (2_000_000, "B".to_owned())]
        );
        assert_eq!(entries(b";; x 99999999999999.0\nA"), [(0, "damaged".to_owned())]);
        assert_eq!(entries(b""), []);
    }
}
