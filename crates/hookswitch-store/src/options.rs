//! What a store is opened with.

use std::time::Duration;

use super::settings::Durability;

/// What the store is told about its data.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// What is on disk before a batch is acknowledged.
    pub durability: Durability,
    /// How many machines there are; alone, one.
    pub partitions: u8,
    /// Whether it is the copy of a log that is elsewhere, and the saved states are.
    pub is_copy: bool,
    /// How long inputs are kept.
    pub signals_kept: Duration,
    /// How long events are kept.
    pub events_kept: Duration,
}
