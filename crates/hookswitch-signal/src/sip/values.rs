use super::text::{quoted_end, trim};
use crate::byte_set::ByteSet;

/// The values of a header row, divided by commas that stand outside quotes and angle brackets
/// (RFC 3261 §7.3.1).
///
/// An empty value, such as two commas leave, is given as such.
#[derive(Clone, Debug)]
pub(super) struct Values<'a> {
    row: &'a [u8],
    /// Start of the next value; `None` behind the last.
    at: Option<usize>,
}

impl<'a> Values<'a> {
    pub(super) const fn new(row: &'a [u8]) -> Self {
        Self { row, at: Some(0) }
    }

    /// Gives the next value and where it starts in the row.
    pub(super) fn next_at(&mut self) -> Option<(usize, &'a [u8])> {
        let start = self.at?;
        let mut at = start;
        let end = loop {
            at = VALUE_STOP.find(self.row, at);
            // What an open quote or bracket hides is for the reader of the value to refuse.
            let closed = match self.row.get(at) {
                None | Some(b',') => break at,
                Some(b'"') => quoted_end(self.row, at),
                Some(_) => Some(BRACKET_END.find(self.row, at) + 1).filter(|&end| end <= self.row.len()),
            };
            match closed {
                Some(after) => at = after,
                None => break self.row.len(),
            }
        };
        self.at = (end < self.row.len()).then_some(end + 1);
        Some((start, trim(&self.row[start..end])))
    }
}

impl<'a> Iterator for Values<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        self.next_at().map(|(_, value)| value)
    }
}

/// End of a value, or beginning of a part that hides commas.
const VALUE_STOP: ByteSet<3> = ByteSet::of(b",\"<");

const BRACKET_END: ByteSet<1> = ByteSet::of(b">");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_in_quotes_and_brackets_divide_nothing() {
        let values: Vec<_> = Values::new(b"\"a, \\\"b\" <sip:c,d@e>;x=\",\" , <sip:f>,").collect();
        assert_eq!(values, [&b"\"a, \\\"b\" <sip:c,d@e>;x=\",\""[..], b"<sip:f>", b""]);
        assert_eq!(Values::new(b"\"open, a").count(), 1);
        assert_eq!(Values::new(b"<open, a").count(), 1);
    }
}
