//! Counts of each source: what it has sent, and what of it was not taken, for people who look whether a source is well.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use hookswitch_model::{AccountId, Timestamp};

/// Reason why a message of a source was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Drop {
    /// Without the key of the source, or with another.
    Key,
    /// Beyond what the source may send.
    Rate,
    /// Damaged, or not understood.
    Malformed,
    /// About something else than calls.
    NoCall,
    /// While the machine had no room for more.
    Busy,
}

impl Drop {
    const ALL: [Self; 5] = [Self::Key, Self::Rate, Self::Malformed, Self::NoCall, Self::Busy];

    /// Its name in the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Rate => "rate",
            Self::Malformed => "malformed",
            Self::NoCall => "noCall",
            Self::Busy => "busy",
        }
    }
}

/// Counts of one source. Counting takes no lock.
#[derive(Debug, Default)]
pub struct SourceCount {
    account: AtomicU64,
    messages: AtomicU64,
    dropped: [AtomicU64; Drop::ALL.len()],
    /// Time when something came last, in microseconds of the steady clock; 0 if never.
    heard: AtomicI64,
    /// 0 of a source that has no connection; 1 if it is lost; 2 if it is up.
    connected: AtomicU8,
}

impl SourceCount {
    /// Counts messages that were taken.
    pub fn messages(&self, count: u64, at: Timestamp) {
        self.messages.fetch_add(count, Ordering::Relaxed);
        self.heard.store(at.as_micros(), Ordering::Relaxed);
    }

    /// Counts messages that were not.
    pub fn dropped(&self, cause: Drop, count: u64, at: Timestamp) {
        self.dropped[cause as usize].fetch_add(count, Ordering::Relaxed);
        self.heard.store(at.as_micros(), Ordering::Relaxed);
    }

    /// Notes whether the connection of the source is up.
    pub(crate) fn set_connected(&self, is_up: bool) {
        self.connected.store(if is_up { 2 } else { 1 }, Ordering::Relaxed);
    }

    /// Returns the number of messages that were taken.
    pub fn taken(&self) -> u64 {
        self.messages.load(Ordering::Relaxed)
    }

    /// Returns the number of those that were not, by cause.
    pub fn drops(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Drop::ALL
            .into_iter()
            .map(|cause| (cause.name(), self.dropped[cause as usize].load(Ordering::Relaxed)))
    }

    /// Returns the time when something came last.
    pub fn heard(&self) -> Option<Timestamp> {
        let micros = self.heard.load(Ordering::Relaxed);
        (micros != 0).then(|| Timestamp::from_micros(micros))
    }

    /// Returns whether its connection is up; none of a source that has none.
    pub fn connected(&self) -> Option<bool> {
        match self.connected.load(Ordering::Relaxed) {
            0 => None,
            state => Some(state == 2),
        }
    }

    /// Returns whose its calls are when nothing else tells.
    pub fn account(&self) -> AccountId {
        AccountId::new(self.account.load(Ordering::Relaxed))
    }
}

/// The kind of a source, as the configuration names it, and its name.
pub type SourceKey = (&'static str, String);

/// All sources since the server has started.
#[derive(Debug, Default)]
pub struct SourceCounts(Mutex<BTreeMap<SourceKey, Arc<SourceCount>>>);

impl SourceCounts {
    /// The counts of a source; `account` is whose its calls are when nothing else tells.
    pub fn of(&self, kind: &'static str, name: &str, account: AccountId) -> Arc<SourceCount> {
        let mut sources = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = sources.entry((kind, name.to_owned())).or_default();
        count.account.store(account.as_u64(), Ordering::Relaxed);
        count.clone()
    }

    /// All, by kind and name.
    pub fn all(&self) -> Vec<(SourceKey, Arc<SourceCount>)> {
        let sources = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sources.iter().map(|(key, count)| (key.clone(), count.clone())).collect()
    }
}
