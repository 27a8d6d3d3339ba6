//! Options that a store is opened with.

use std::time::Duration;

use super::settings::Durability;

/// Options of the store about its data.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Durability of a batch before it is acknowledged.
    pub durability: Durability,
    /// Number of machines; alone, one.
    pub partitions: u8,
    /// Set if it is the copy of a log that is elsewhere, and the saved states are.
    pub is_copy: bool,
    /// Time for which inputs are kept.
    pub signals_kept: Duration,
    /// Time for which events are kept.
    pub events_kept: Duration,
}
