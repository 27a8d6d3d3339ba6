use wide::u8x16;

/// How many bytes are looked at in one go: as many as a word has bits.
const BLOCK: usize = 64;

/// The line ends of some bytes, found in one pass: each block is compared once, however many lines end in it.
pub(super) struct LineEnds<'a> {
    bytes: &'a [u8],
    /// Where the block starts that was compared last.
    block: usize,
    /// A bit for each byte of it that ends a line, the first in the lowest.
    ends: u64,
}

impl<'a> LineEnds<'a> {
    /// The line ends at `at` and after.
    pub(super) fn new(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, block: at, ends: ends(bytes, at) }
    }

    /// Where the first line ends at `at` or after; the length if none does. `at` never runs back.
    #[expect(clippy::inline_always, reason = "each line passes here, in one place")]
    #[inline(always)]
    pub(super) fn find(&mut self, mut at: usize) -> usize {
        while at < self.bytes.len() {
            let passed = at.wrapping_sub(self.block);
            if passed < BLOCK {
                let ends = self.ends >> passed;
                if ends != 0 {
                    return at + ends.trailing_zeros() as usize;
                }
                at = self.block + BLOCK;
            } else {
                self.block = at;
                self.ends = ends(self.bytes, at);
            }
        }
        self.bytes.len()
    }
}

/// A bit for each of the bytes from `at` on that ends a line.
#[inline]
fn ends(bytes: &[u8], at: usize) -> u64 {
    let rest = bytes.get(at..).unwrap_or_default();
    if let Some(block) = rest.first_chunk() {
        return ends_of(block);
    }
    let mut block = [0; BLOCK];
    block[..rest.len()].copy_from_slice(rest);
    ends_of(&block)
}

#[inline]
fn ends_of(block: &[u8; BLOCK]) -> u64 {
    let (parts, _) = block.as_chunks();
    let mask = |part: &[u8; 16]| u8x16::new(*part).cmp_eq(u8x16::splat(b'\n')).move_mask();
    parts.iter().rev().fold(0, |ends, part| ends << 16 | u64::from(mask(part).cast_unsigned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_end_is_found_from_wherever_it_is_looked_for() {
        for length in [0, 1, 15, 63, 64, 65, 127, 128, 129, 200] {
            for gap in [1, 2, 7, 31, 64, 70] {
                let bytes: Vec<u8> =
                    (0..length).map(|at| if at % gap == gap - 1 { b'\n' } else { b'a' }).collect();
                for from in 0..=length {
                    for step in [1, 3, 65] {
                        let mut ends = LineEnds::new(&bytes, from);
                        for at in (from..=length + 1).step_by(step) {
                            let found = (at..length).find(|&at| bytes[at] == b'\n').unwrap_or(length);
                            assert_eq!(ends.find(at), found, "from {from} at {at} of {length}, every {gap}");
                        }
                    }
                }
            }
        }
    }
}
