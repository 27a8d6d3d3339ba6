//! JSON lines of datagrams, as a recorder of a HEP listener writes them: one object a line with
//! the datagram in base64 as `b64`, and the second of its arrival since 1970 as `t`. Or of signals that were
//! posted: the signal as `signal`, and its time as `t`.

use std::borrow::Cow;
use std::io::{self, Read};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hookswitch_model::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::input::{Input, RECORD_BYTES_MAX};
use super::warning::WarningKind;

/// Result of the next step over the lines.
#[derive(Clone, Copy, Debug)]
pub(super) enum Line {
    /// A datagram, in [`JsonLines::datagram`].
    Datagram {
        /// Time when it arrived, if the line says so.
        arrival: Option<Timestamp>,
    },
    /// A posted signal, in [`JsonLines::datagram`].
    Signal {
        /// Time when it happened.
        time: Timestamp,
    },
    Damaged(LineDamage),
    End,
}

/// Reason why a line is not used.
#[derive(Clone, Copy, Debug)]
pub(super) enum LineDamage {
    Malformed,
    Long,
    Truncated,
}

impl From<LineDamage> for WarningKind {
    fn from(kind: LineDamage) -> Self {
        match kind {
            LineDamage::Malformed => Self::Line,
            LineDamage::Long => Self::LongLine,
            LineDamage::Truncated => Self::Truncated,
        }
    }
}

/// The lines of a file, with the datagram of the last one.
#[derive(Default)]
pub(super) struct JsonLines {
    datagram: Vec<u8>,
}

#[derive(Deserialize)]
struct Object<'a> {
    t: Option<f64>,
    #[serde(borrow)]
    b64: Option<Cow<'a, str>>,
    #[serde(borrow)]
    signal: Option<&'a RawValue>,
}

impl JsonLines {
    pub(super) fn datagram(&self) -> &[u8] {
        &self.datagram
    }

    /// Steps to the next line that is not blank.
    pub(super) fn next<R: Read>(&mut self, input: &mut Input<R>) -> io::Result<Line> {
        while input.fill(1)? && input.bytes()[0].is_ascii_whitespace() {
            input.take(1);
        }
        input.begin_record();
        if input.bytes().is_empty() {
            return Ok(Line::End);
        }
        let Some(length) = line_len(input)? else {
            skip_line(input)?;
            return Ok(Line::Damaged(LineDamage::Long));
        };
        let place = input.take(length);
        let complete = !input.take(1).is_empty();
        let line = self.read(input.at(place));
        let damage = if complete { LineDamage::Malformed } else { LineDamage::Truncated };
        Ok(line.unwrap_or(Line::Damaged(damage)))
    }

    /// Decodes a line; `None` if it is not one of ours.
    fn read(&mut self, line: &[u8]) -> Option<Line> {
        let object: Object<'_> = serde_json::from_slice(line).ok()?;
        self.datagram.clear();
        let time = object.t.map(|seconds| Timestamp::from_micros((seconds * 1e6).round() as i64));
        if let Some(signal) = object.signal {
            self.datagram.extend_from_slice(signal.get().as_bytes());
            return Some(Line::Signal { time: time? });
        }
        STANDARD.decode_vec(object.b64?.as_bytes(), &mut self.datagram).ok()?;
        Some(Line::Datagram { arrival: time })
    }
}

/// Steps to the end of a line that is too long.
pub(super) fn skip_line<R: Read>(input: &mut Input<R>) -> io::Result<()> {
    while input.fill(1)? {
        let end = memchr::memchr(b'\n', input.bytes());
        input.take(end.unwrap_or(usize::MAX));
        if end.is_some() {
            break;
        }
    }
    Ok(())
}

/// The length of the line that begins here, without its end; `None` if it is too long.
pub(super) fn line_len<R: Read>(input: &mut Input<R>) -> io::Result<Option<usize>> {
    let mut searched = 0;
    loop {
        if let Some(at) = memchr::memchr(b'\n', &input.bytes()[searched..]) {
            return Ok(Some(searched + at));
        }
        searched = input.bytes().len();
        if searched >= RECORD_BYTES_MAX {
            return Ok(None);
        }
        if !input.fill(searched + 1)? {
            return Ok(Some(searched));
        }
    }
}
