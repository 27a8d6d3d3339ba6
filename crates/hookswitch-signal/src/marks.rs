//! All places of one or two bytes in a text, found in one pass.

use crate::byte_set::{BLOCK, ByteSet};

/// Number of bytes that are looked at in one go: as many as a word has bits.
const GROUP: usize = 64;

/// The places in some bytes where `A` or `B` stands: each byte is compared once, however many there are.
pub(crate) struct Marks<'a, const A: u8, const B: u8 = A> {
    bytes: &'a [u8],
    /// Place where the group starts that was compared last.
    group: usize,
    /// A bit for each byte of it that is one of the two, the first in the lowest.
    hits: u64,
}

impl<'a, const A: u8, const B: u8> Marks<'a, A, B> {
    const SET: ByteSet<2> = ByteSet::of(&[A, B]);

    /// The places from `at` on.
    #[inline]
    pub(crate) fn new(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, group: at, hits: Self::hits(bytes, at) }
    }

    /// The first place at `at` or after; the length if there is none. `at` never runs back.
    #[expect(clippy::inline_always, reason = "the bytes of the set are constants where it is used")]
    #[inline(always)]
    pub(crate) fn find(&mut self, mut at: usize) -> usize {
        while at < self.bytes.len() {
            let passed = at.wrapping_sub(self.group);
            if passed < GROUP {
                let hits = self.hits >> passed;
                if hits != 0 {
                    return at + hits.trailing_zeros() as usize;
                }
                at = self.group + GROUP;
            } else {
                self.group = at;
                self.hits = Self::hits(self.bytes, at);
            }
        }
        self.bytes.len()
    }

    /// A bit for each of the bytes from `at` on that is one of the two.
    #[inline]
    fn hits(bytes: &[u8], at: usize) -> u64 {
        let rest = bytes.get(at..).unwrap_or_default();
        if let Some(group) = rest.first_chunk() {
            return Self::hits_of(group);
        }
        let mut group = [0; GROUP];
        group[..rest.len()].copy_from_slice(rest);
        // A 0 that is asked for stands behind the end too.
        Self::hits_of(&group) & !(u64::MAX << rest.len())
    }

    #[inline]
    fn hits_of(group: &[u8; GROUP]) -> u64 {
        let (blocks, _) = group.as_chunks::<BLOCK>();
        let blocks = blocks.iter().rev();
        blocks.fold(0, |hits, block| hits << BLOCK | u64::from(Self::SET.hits(block)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_place_is_found_from_wherever_it_is_looked_for() {
        for length in [0, 1, 15, 63, 64, 65, 127, 128, 129, 200] {
            for gap in [1, 2, 7, 31, 64, 70] {
                let mark = |at: usize| {
                    if at % gap == gap - 1 { if at.is_multiple_of(2) { b'\n' } else { 0 } } else { b'a' }
                };
                let bytes: Vec<u8> = (0..length).map(mark).collect();
                for from in 0..=length {
                    for step in [1, 3, 65] {
                        let mut marks = Marks::<b'\n', 0>::new(&bytes, from);
                        for at in (from..=length + 1).step_by(step) {
                            let found = (at..length).find(|&at| bytes[at] != b'a').unwrap_or(length);
                            assert_eq!(marks.find(at), found, "from {from} at {at} of {length}, every {gap}");
                        }
                    }
                }
            }
        }
    }
}
