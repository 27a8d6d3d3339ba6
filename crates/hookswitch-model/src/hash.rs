//! The one keyed hash from which ids are derived, so that the same input gives the same ids.

use std::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher13};

/// Hashes length-prefixed parts under a purpose, to 128 bits.
#[derive(Clone, Debug)]
pub struct IdHash(SipHasher13);

impl IdHash {
    /// Starts a hash; different purposes give unrelated ids.
    pub fn new(purpose: &str) -> Self {
        // Fixed keys: ids must be the same on every machine. Tables that an attacker could fill
        // are keyed by other, random hashers.
        Self(SipHasher13::new_with_keys(0x686f_6f6b_7377_6974, 0x6368_2d69_6473_2d31))
            .part(purpose.as_bytes())
    }

    /// Adds a part.
    #[must_use]
    pub fn part(mut self, bytes: &[u8]) -> Self {
        self.0.write_u64(bytes.len() as u64);
        self.0.write(bytes);
        self
    }

    /// Adds a number.
    #[must_use]
    pub fn number(mut self, number: u64) -> Self {
        self.0.write_u64(number);
        self
    }

    /// The 128 bits.
    pub fn u128(&self) -> u128 {
        self.0.finish128().as_u128()
    }

    /// The lower 64 bits.
    pub fn u64(&self) -> u64 {
        self.u128() as u64
    }
}
