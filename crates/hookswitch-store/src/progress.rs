//! Documents that deliveries write down: how far each has come, and how far the log was handed out.

use serde::{Deserialize, Serialize};

use super::partition::Partition;
use super::{Change, Expected};

/// The kind of documents that say how far a delivery has come.
pub const PROGRESS: &str = "progress";

/// The kind of documents of redeliveries.
pub const REDELIVERY: &str = "redelivery";

/// Progress of one delivery through the event log, as it is stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ProgressRecord {
    /// The position up to which the log was looked at.
    pub read: u64,
    /// Set if it had looked at all that was handed out.
    pub live: bool,
    /// The positions up to there that are not done with.
    pub open: Vec<u64>,
}

impl ProgressRecord {
    /// The change that keeps it in the document of this id.
    ///
    /// # Panics
    /// Never: a record is JSON.
    pub fn change(&self, id: String) -> Change {
        let content = serde_json::to_string(self).expect("a record is JSON");
        Change { kind: PROGRESS.into(), id, expected: Expected::Any, content: Some(content) }
    }
}

/// The document of how far the event log was handed to all subscriptions of a partition that followed it.
pub fn feed_id(partition: Partition) -> String {
    if partition == Partition::default() { "feed".to_owned() } else { format!("feed.{partition}") }
}

/// The change that keeps how far the log was handed out to the subscriptions of a partition.
pub fn feed_change(partition: Partition, read: u64) -> Change {
    ProgressRecord { read, live: true, open: Vec::new() }.change(feed_id(partition))
}
