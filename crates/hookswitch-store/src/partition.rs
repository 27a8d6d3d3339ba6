//! The machines among which the sources of a cluster are divided.

use std::fmt;
use std::ops::RangeInclusive;

use hookswitch_model::AccountId;
use serde::{Deserialize, Serialize};

/// The bits of a position that count the inputs of a partition; its number stands above them. Positions
/// so stay below 2⁵³, which every reader of JSON can hold.
const COUNT_BITS: u32 = 48;

/// One of the machines among which sources are divided; a server alone has one, number 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Partition(u8);

impl Partition {
    /// The most that there can be.
    pub const COUNT_MAX: u8 = 32;

    /// All of a number of partitions.
    pub fn all(count: u8) -> impl Iterator<Item = Self> {
        (0..count.min(Self::COUNT_MAX)).map(Self)
    }

    /// Returns where an account belongs among a number of partitions: the same on every node, for as long as the
    /// number stays.
    pub fn of(account: AccountId, count: u8) -> Self {
        // The multiplier of splitmix64; neighbouring accounts come to different partitions.
        let mixed = (account.as_u64() ^ account.as_u64() >> 31).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Self(((mixed >> 32) % u64::from(count.clamp(1, Self::COUNT_MAX))) as u8)
    }

    /// Returns whose an input at this position is.
    pub const fn of_position(position: u64) -> Self {
        Self((position >> COUNT_BITS) as u8)
    }

    /// Its number, from 0.
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// The position before its first input.
    pub const fn start(self) -> u64 {
        (self.0 as u64) << COUNT_BITS
    }

    /// The positions of its inputs.
    pub const fn positions(self) -> RangeInclusive<u64> {
        self.start() + 1..=self.start() + ((1 << COUNT_BITS) - 1)
    }

    /// The numbers that its sources may have, `in_all` of them divided among all partitions.
    pub fn sources(self, count: u8, in_all: u16) -> RangeInclusive<u16> {
        let share = in_all / u16::from(count.clamp(1, Self::COUNT_MAX));
        let before = u16::from(self.0) * share;
        before + 1..=before + share
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl TryFrom<usize> for Partition {
    type Error = ();

    fn try_from(index: usize) -> Result<Self, ()> {
        u8::try_from(index).ok().filter(|&index| index < Self::COUNT_MAX).map(Self).ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_spread_over_all_partitions() {
        for count in [1, 2, 3, 8, 32] {
            let mut found = vec![0_u32; usize::from(count)];
            for id in 310_000_000..310_010_000 {
                found[Partition::of(AccountId::new(id), count).index()] += 1;
            }
            let fair = 10_000 / u32::from(count);
            assert!(found.iter().all(|&n| n > fair * 8 / 10 && n < fair * 12 / 10), "{count}: {found:?}");
        }
    }

    #[test]
    fn positions_and_sources_of_partitions_do_not_meet() {
        let all: Vec<Partition> = Partition::all(Partition::COUNT_MAX).collect();
        for pair in all.windows(2) {
            assert!(pair[0].positions().end() < pair[1].positions().start());
            assert!(pair[0].sources(32, 65_535).end() < pair[1].sources(32, 65_535).start());
        }
        assert!(*all[31].positions().end() < 1 << 53);
        assert_eq!(Partition::default().positions().start(), &1);
        assert_eq!(Partition::default().sources(1, 65_535), 1..=65_535);
    }
}
