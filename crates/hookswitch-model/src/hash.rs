//! The one keyed hash from which ids are derived, so that the same input gives the same ids.

/// Fixed keys: ids must be the same on every machine. Tables that an attacker could fill are keyed by other, random
/// hashers.
const KEYS: [u64; 2] = [0x686f_6f6b_7377_6974, 0x6368_2d69_6473_2d31];

/// Hashes length-prefixed parts under a purpose, to 128 bits, by SipHash-1-3.
///
/// It is written out here and not taken from a crate, because hashes of a few short parts are made several times for
/// each message: numbers go in as words, and the hash that a purpose begins with is made when the program is built.
#[derive(Clone, Copy, Debug)]
pub struct IdHash {
    state: [u64; 4],
    /// Bytes that make no word yet, the first in the lowest.
    tail: u64,
    /// Number of bytes that went in; its lower three bits say how many are in `tail`.
    length: u64,
}

impl IdHash {
    /// Starts a hash; different purposes give unrelated ids.
    pub const fn new(purpose: &str) -> Self {
        let [low, high] = KEYS;
        let state = [
            low ^ 0x736f_6d65_7073_6575,
            high ^ 0x646f_7261_6e64_6f6d ^ 0xee,
            low ^ 0x6c79_6765_6e65_7261,
            high ^ 0x7465_6462_7974_6573,
        ];
        Self { state, tail: 0, length: 0 }.part(purpose.as_bytes())
    }

    /// Adds a part.
    #[must_use]
    #[inline]
    pub const fn part(mut self, bytes: &[u8]) -> Self {
        self = self.number(bytes.len() as u64);
        let mut rest = bytes;
        while let Some((word, after)) = rest.split_first_chunk() {
            self = self.number(u64::from_le_bytes(*word));
            rest = after;
        }
        let (mut last, mut at) = (0, 0);
        while at < rest.len() {
            last |= (rest[at] as u64) << (8 * at);
            at += 1;
        }
        self.push(last, rest.len() as u64)
    }

    /// Adds a number.
    #[must_use]
    #[inline]
    pub const fn number(self, number: u64) -> Self {
        self.push(number, 8)
    }

    /// The 128 bits.
    #[inline]
    pub const fn u128(&self) -> u128 {
        let mut state = absorbed(self.state, self.length << 56 | self.tail);
        state[2] ^= 0xee;
        state = round(round(round(state)));
        let low = state[0] ^ state[1] ^ state[2] ^ state[3];
        state[1] ^= 0xdd;
        state = round(round(round(state)));
        let high = state[0] ^ state[1] ^ state[2] ^ state[3];
        (high as u128) << 64 | low as u128
    }

    /// The lower 64 bits.
    #[inline]
    pub const fn u64(&self) -> u64 {
        self.u128() as u64
    }

    /// Adds the lowest 0 to 8 bytes of a word; the others are 0.
    #[inline]
    const fn push(mut self, word: u64, bytes: u64) -> Self {
        let held = self.length & 7;
        self.tail |= word << (8 * held);
        if held + bytes >= 8 {
            self.state = absorbed(self.state, self.tail);
            self.tail = if held == 0 { 0 } else { word >> (64 - 8 * held) };
        }
        self.length = self.length.wrapping_add(bytes);
        self
    }
}

/// The state after a word of input.
#[inline]
const fn absorbed(mut state: [u64; 4], word: u64) -> [u64; 4] {
    state[3] ^= word;
    state = round(state);
    state[0] ^= word;
    state
}

/// One SipRound.
#[inline]
const fn round([mut a, mut b, mut c, mut d]: [u64; 4]) -> [u64; 4] {
    a = a.wrapping_add(b);
    c = c.wrapping_add(d);
    b = b.rotate_left(13) ^ a;
    d = d.rotate_left(16) ^ c;
    a = a.rotate_left(32).wrapping_add(d);
    c = c.wrapping_add(b);
    d = d.rotate_left(21) ^ a;
    b = b.rotate_left(17) ^ c;
    [a, b, c.rotate_left(32), d]
}

#[cfg(test)]
mod tests {
    use std::hash::Hasher;

    use siphasher::sip128::{Hasher128, SipHasher13};

    use super::*;

    fn expected(parts: &[&[u8]], number: u64) -> u128 {
        let mut hasher = SipHasher13::new_with_keys(KEYS[0], KEYS[1]);
        for part in parts {
            hasher.write(&(part.len() as u64).to_le_bytes());
            hasher.write(part);
        }
        hasher.write(&number.to_le_bytes());
        hasher.finish128().as_u128()
    }

    #[test]
    fn it_is_siphash_1_3_over_the_lengths_and_bytes_of_the_parts() {
        let bytes: Vec<u8> = (0..=255).collect();
        for first in 0..40 {
            for second in (0..300).step_by(7) {
                let parts = [&b"purpose"[..], &bytes[..first], &bytes[..second.min(256)]];
                let hash = IdHash::new("purpose").part(parts[1]).part(parts[2]).number(u64::MAX - 3);
                assert_eq!(hash.u128(), expected(&parts, u64::MAX - 3), "{first} {second}");
                assert_eq!(hash.u64(), hash.u128() as u64);
            }
        }
        assert_eq!(IdHash::new("").number(0).u128(), expected(&[b""], 0));
    }

    #[test]
    fn another_purpose_or_division_gives_another_hash() {
        let hashes = [
            IdHash::new("a").part(b"bc"),
            IdHash::new("ab").part(b"c"),
            IdHash::new("a").part(b"b").part(b"c"),
            IdHash::new("b").part(b"bc"),
        ];
        let distinct: std::collections::BTreeSet<u128> = hashes.iter().map(IdHash::u128).collect();
        assert_eq!(distinct.len(), hashes.len());
    }
}
