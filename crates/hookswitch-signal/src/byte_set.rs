//! Searches in short texts that need no set-up.

use wide::u8x16;

/// Number of bytes that are compared at once.
pub(crate) const BLOCK: usize = 16;

/// A few bytes to search for, a block at a time.
///
/// The parts of a header are short, so that a search which is set up anew for each would spend its
/// time on that; this one is compiled into the place where it is used.
pub(crate) struct ByteSet<const N: usize> {
    bytes: [u8; N],
    /// Set if the blank and all controls below it are in the set.
    controls: bool,
    /// Membership of each byte in the set.
    table: [bool; 256],
}

impl<const N: usize> ByteSet<N> {
    /// These bytes.
    pub(crate) const fn of(bytes: &[u8; N]) -> Self {
        let mut table = [false; 256];
        let mut index = 0;
        while index < N {
            table[bytes[index] as usize] = true;
            index += 1;
        }
        Self { bytes: *bytes, controls: false, table }
    }

    /// The blank, all controls below it, and these bytes.
    pub(crate) const fn controls_and(bytes: &[u8; N]) -> Self {
        let mut set = Self::of(bytes);
        let mut control = 0;
        while control <= b' ' as usize {
            set.table[control] = true;
            control += 1;
        }
        set.controls = true;
        set
    }

    /// Returns where the first byte of the set is, at `at` or after; the length if there is none.
    #[expect(clippy::inline_always, reason = "the bytes of the set are constants where it is used")]
    #[inline(always)]
    pub(crate) fn find(&self, bytes: &[u8], mut at: usize) -> usize {
        while let Some(block) = bytes.get(at..at + BLOCK).and_then(<[u8]>::first_chunk) {
            let hits = self.hits(block);
            if hits != 0 {
                return at + hits.trailing_zeros() as usize;
            }
            at += BLOCK;
        }
        match bytes.last_chunk() {
            // The last block reaches back over bytes that were looked at.
            Some(block) if at <= bytes.len() => {
                let hits = self.hits(block) >> (BLOCK - (bytes.len() - at));
                if hits == 0 { bytes.len() } else { at + hits.trailing_zeros() as usize }
            }
            _ => self.find_one_by_one(bytes, at),
        }
    }

    #[inline(never)]
    fn find_one_by_one(&self, bytes: &[u8], at: usize) -> usize {
        let rest = bytes.get(at..).unwrap_or_default();
        rest.iter().position(|&byte| self.table[usize::from(byte)]).map_or(bytes.len(), |length| at + length)
    }

    /// A bit for each byte of the block that is in the set, the first in the lowest.
    #[inline]
    pub(crate) fn hits(&self, block: &[u8; BLOCK]) -> u32 {
        let block = u8x16::new(*block);
        let mut hits = u8x16::default();
        for byte in self.bytes {
            hits |= block.cmp_eq(u8x16::splat(byte));
        }
        if self.controls {
            hits |= block.min(u8x16::splat(b' ')).cmp_eq(block);
        }
        hits.move_mask().cast_unsigned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_byte_of_the_set_is_found_at_any_place_and_length() {
        let set = ByteSet::controls_and(b";\xff");
        for length in 0..70 {
            let mut bytes = vec![b'a'; length];
            for from in 0..=length {
                assert_eq!(set.find(&bytes, from), length);
            }
            assert_eq!(set.find(&bytes, length + 1), length);
            for at in 0..length {
                for stop in [b';', 0xff, b' ', b'\n', 0] {
                    bytes[at] = stop;
                    for from in 0..=length {
                        let found = if from <= at { at } else { length };
                        assert_eq!(set.find(&bytes, from), found, "{stop} at {at} of {length} from {from}");
                    }
                    bytes[length - 1] = b';';
                    assert_eq!(set.find(&bytes, 0), at);
                    bytes[length - 1] = b'a';
                }
                bytes[at] = b'a';
            }
        }
        for byte in 0..=u8::MAX {
            let found = usize::from(!(byte <= b' ' || byte == b';' || byte == 0xff));
            assert_eq!(set.find(&[byte], 0), found);
            assert_eq!(set.find(&[[byte; 16], [b';'; 16]].concat(), 0), 16 * found);
        }
    }
}
