//! The file as a window of bytes that slides over it.

use std::io::{self, ErrorKind, Read};
use std::ops::Range;

/// The longest record that is read as a whole: a packet, a line. The longest packet libpcap
/// writes is 262,144 bytes; a datagram of 65,535 bytes takes 87,380 in base64.
pub(super) const RECORD_BYTES_MAX: usize = 1 << 20;

/// Bytes that are asked from the file at once; many, so that system calls do not count.
const WINDOW_BYTES: usize = 2 * RECORD_BYTES_MAX;

/// A reader with a window of fixed size, so that memory does not depend on what the file says.
pub(super) struct Input<R> {
    source: R,
    window: Vec<u8>,
    start: usize,
    end: usize,
    /// Place where the byte at `start` stands in the file.
    offset: u64,
    /// Place where the record being read begins in the file.
    record_offset: u64,
    at_end: bool,
}

impl<R: Read> Input<R> {
    pub(super) fn new(source: R) -> Self {
        Self {
            source,
            window: vec![0; WINDOW_BYTES],
            start: 0,
            end: 0,
            offset: 0,
            record_offset: 0,
            at_end: false,
        }
    }

    /// Reads until `wanted` bytes (at most [`RECORD_BYTES_MAX`]) are there, or the file ends.
    /// True if they are there.
    pub(super) fn fill(&mut self, wanted: usize) -> io::Result<bool> {
        debug_assert!(wanted <= RECORD_BYTES_MAX, "a record is checked before it is asked for");
        if self.end - self.start >= wanted {
            return Ok(true);
        }
        self.fill_slow(wanted)
    }

    #[cold]
    fn fill_slow(&mut self, wanted: usize) -> io::Result<bool> {
        if self.window.len() - self.start < wanted || self.start == self.end {
            self.window.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        while self.end - self.start < wanted && !self.at_end {
            match self.source.read(&mut self.window[self.end..]) {
                Ok(0) => self.at_end = true,
                Ok(count) => self.end += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(self.end - self.start >= wanted)
    }

    /// The bytes read and not yet consumed.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.window[self.start..self.end]
    }

    /// The next `N` bytes, if [`fill`](Self::fill) has found them.
    pub(super) fn array<const N: usize>(&self) -> Option<[u8; N]> {
        self.bytes().first_chunk().copied()
    }

    /// The place of the next `count` bytes in the window, and steps behind them. The place holds
    /// until the next `fill`.
    pub(super) fn take(&mut self, count: usize) -> Range<usize> {
        let count = count.min(self.end - self.start);
        let taken = self.start..self.start + count;
        self.start = taken.end;
        self.offset += count as u64;
        taken
    }

    /// Steps over `count` bytes, however many; false if the file ends before.
    pub(super) fn skip(&mut self, mut count: u64) -> io::Result<bool> {
        while count > 0 {
            if !self.fill(1)? {
                return Ok(false);
            }
            let here = (self.bytes().len() as u64).min(count);
            self.take(usize::try_from(here).unwrap_or(usize::MAX));
            count -= here;
        }
        Ok(true)
    }

    /// Bytes taken earlier, by their place.
    pub(super) fn at(&self, place: Range<usize>) -> &[u8] {
        self.window.get(place).unwrap_or_default()
    }

    /// The whole window; places are places in it.
    pub(super) fn window(&self) -> &[u8] {
        &self.window
    }

    /// Says that a record begins with the next byte.
    pub(super) fn begin_record(&mut self) {
        self.record_offset = self.offset;
    }

    /// Returns where the record last begun stands in the file.
    pub(super) fn record_offset(&self) -> u64 {
        self.record_offset
    }

    /// Returns where the next byte stands in the file.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_in_order_across_refills() {
        let source: Vec<u8> = (0..5 * WINDOW_BYTES).map(|i| (i / 7) as u8).collect();
        let mut input = Input::new(&source[..]);
        let mut seen = Vec::new();
        let mut size = 1;
        while input.fill(1).unwrap() {
            let wanted = size.min(source.len() - seen.len());
            assert!(input.fill(wanted).unwrap());
            assert_eq!(input.offset(), seen.len() as u64);
            let place = input.take(wanted);
            seen.extend_from_slice(input.at(place));
            size = (size * 3 + 1) % RECORD_BYTES_MAX;
        }
        assert!(seen == source);
    }

    #[test]
    fn skipping_may_go_beyond_the_window_but_not_beyond_the_file() {
        let source = vec![0; 3 * WINDOW_BYTES];
        let mut input = Input::new(&source[..]);
        assert!(input.skip(2 * WINDOW_BYTES as u64 + 1).unwrap());
        assert!(!input.skip(u64::MAX).unwrap());
        assert_eq!(input.offset(), source.len() as u64);
    }
}
