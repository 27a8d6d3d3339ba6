use std::ops::Range;

use super::header_table::{Row, Step};
use super::{HeaderName, SipError};
use crate::marks::Marks;

/// Positions of the parts of one message: what a single walk over its header block finds out, before
/// anything is read.
///
/// It holds no bytes, so it may be made on one thread and read on another, where
/// [`super::Message::read`] puts it together with the bytes again.
#[derive(Clone, Debug)]
pub struct Layout {
    start_line: (u32, u32),
    /// Start of the first header line.
    headers: u32,
    body: u32,
    /// Place where the first row's value starts and ends, with the white space around it; 0 and 0 when
    /// absent, for no value starts there.
    slots: [(u32, u32); HeaderName::COUNT],
    /// One bit for each header that has more rows than the first.
    repeated: u64,
    /// The header block has no end.
    is_cut: bool,
}

const _: () = assert!(HeaderName::COUNT <= 64);

impl Layout {
    /// Walks the start line and the header block of a message once; line ends before it are skipped, and lines
    /// that are no headers.
    ///
    /// # Errors
    /// If there is no message, or one that is longer than any.
    pub fn of(datagram: &[u8]) -> Result<Self, SipError> {
        if u32::try_from(datagram.len()).is_err() {
            return Err(SipError::TooLong { actual: datagram.len() });
        }
        let start = datagram.iter().take_while(|byte| matches!(byte, b'\r' | b'\n' | 0)).count();
        if start == datagram.len() {
            return Err(SipError::Empty);
        }
        let mut line_ends = Marks::new(datagram, start);
        let line_end = line_ends.find(start);
        let line = &datagram[start..line_end];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let mut layout = Self {
            start_line: (start as u32, (start + line.len()) as u32),
            headers: line_end as u32 + 1,
            body: 0,
            slots: [(0, 0); HeaderName::COUNT],
            repeated: 0,
            is_cut: false,
        };
        layout.walk(datagram, line_end + 1, &mut line_ends);
        Ok(layout)
    }

    #[inline]
    fn walk(&mut self, datagram: &[u8], mut at: usize, line_ends: &mut Marks<'_, b'\n'>) {
        loop {
            match Row::next(datagram, at, |at| line_ends.find(at)) {
                // A line at the very end may have been folded, and is cut then.
                Step::Row(row) if row.next < datagram.len() => {
                    if let Some(name) = HeaderName::recognise(row.name) {
                        let slot = &mut self.slots[name as usize];
                        if slot.0 == 0 {
                            *slot = (row.value.start as u32, row.value.end as u32);
                        } else {
                            self.repeated |= 1 << name as u8;
                        }
                    }
                    at = row.next;
                }
                Step::End { body } => {
                    self.body = body as u32;
                    return;
                }
                Step::Damaged { next } => at = next,
                Step::Row(_) | Step::Cut => {
                    self.body = datagram.len() as u32;
                    self.is_cut = true;
                    return;
                }
            }
        }
    }

    /// Returns where the start line stands, without its line end.
    pub(super) fn start_line(&self) -> Range<usize> {
        self.start_line.0 as usize..self.start_line.1 as usize
    }

    /// Returns where the first header line starts.
    pub(super) const fn headers(&self) -> usize {
        self.headers as usize
    }

    /// Returns where the body starts.
    pub(super) const fn body(&self) -> usize {
        self.body as usize
    }

    /// Returns where the value of the first row of a header stands, with the white space around it.
    pub(super) fn first(&self, name: HeaderName) -> Option<Range<usize>> {
        let (start, end) = self.slots[name as usize];
        (start != 0).then_some(start as usize..end as usize)
    }

    /// Returns `true` if the header block has no end.
    pub(super) const fn is_cut(&self) -> bool {
        self.is_cut
    }

    pub(super) const fn is_repeated(&self, name: HeaderName) -> bool {
        self.repeated >> name as u8 & 1 == 1
    }
}
