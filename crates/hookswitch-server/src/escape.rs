//! Text from outside, as logs and terminals may show it.
//!
//! A caller chooses names, numbers and headers. Shown as they are, they could write lines of a log, move the
//! cursor, answer on behalf of the reader or turn the text around.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, Write};

/// Returns `true` if a character acts instead of being shown: controls (C0, DEL, C1), ends of lines and paragraphs,
/// and what changes the direction of text (UAX #9).
fn acts(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The text with a replacement character in the place of each that acts.
pub fn plain(text: &str) -> Cow<'_, str> {
    if text.contains(acts) { Cow::Owned(text.replace(acts, "\u{fffd}")) } else { Cow::Borrowed(text) }
}

/// A JSON text on one line, in which what acts is escaped: it says the same.
pub fn json(text: &str) -> Cow<'_, str> {
    escaped(text, |c, out| {
        let mut units = [0; 2];
        for unit in c.encode_utf16(&mut units) {
            let _ = write!(out, "\\u{unit:04x}"); // a String takes all
        }
    })
}

/// A line of a log, in which what acts is escaped.
fn line(text: &str) -> Cow<'_, str> {
    escaped(text, |c, out| out.extend(c.escape_unicode()))
}

fn escaped(text: &str, escape: impl Fn(char, &mut String)) -> Cow<'_, str> {
    if !text.contains(acts) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if acts(c) { escape(c, &mut out) } else { out.push(c) }
    }
    Cow::Owned(out)
}

/// Writer of log lines: one record with each call, and each of them becomes one line.
pub(crate) struct LogLines<W> {
    pub out: W,
    /// Set if records are JSON.
    pub json: bool,
}

impl<W: Write> Write for LogLines<W> {
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(record);
        let text = text.strip_suffix('\n').unwrap_or(&text);
        let mut text = if self.json { json(text) } else { line(text) }.into_owned();
        text.push('\n');
        // In one piece, so that what others write to the same place does not come between.
        self.out.write_all(text.as_bytes())?;
        Ok(record.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = "A\r\nB\u{1b}[2J\u{9b}31m\u{7f}\u{2028}\u{202e}\"é";

    #[test]
    fn nothing_that_is_shown_acts() {
        assert_eq!(plain(HOSTILE), "A\u{fffd}\u{fffd}B\u{fffd}[2J\u{fffd}31m\u{fffd}\u{fffd}\u{fffd}\"é");
        assert!(matches!(plain("Ann Lee"), Cow::Borrowed("Ann Lee")));
        assert_eq!(json("\"\u{9b}\u{2028}\""), "\"\\u009b\\u2028\"");
    }

    #[test]
    fn a_record_is_a_line() {
        let mut out = Vec::new();
        for json in [false, true] {
            let record = format!("{HOSTILE}\n");
            LogLines { out: &mut out, json }.write_all(record.as_bytes()).expect("memory takes all");
        }
        let text = String::from_utf8(out).expect("UTF-8");
        let lines: Vec<&str> = text.split_terminator('\n').collect();
        assert_eq!(lines[0], "A\\u{d}\\u{a}B\\u{1b}[2J\\u{9b}31m\\u{7f}\\u{2028}\\u{202e}\"é");
        assert_eq!(lines[1], "A\\u000d\\u000aB\\u001b[2J\\u009b31m\\u007f\\u2028\\u202e\"é");
    }
}
