//! Counters of the store.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};

/// Counters of a store. Clones count together.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// Inputs that are on disk.
    pub signals_stored: Counter,
    /// Events that are on disk.
    pub events_stored: Counter,
    /// 1 while the store cannot be written.
    pub failing: Gauge,
    /// Inputs of batches that the disk refused.
    pub failures: Counter,
    /// Time that commits took, in seconds.
    pub commit_seconds: Histogram,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            signals_stored: Counter::default(),
            events_stored: Counter::default(),
            failing: Gauge::default(),
            failures: Counter::default(),
            commit_seconds: Histogram::new(exponential_buckets(0.0001, 2.0, 15)),
        }
    }
}
