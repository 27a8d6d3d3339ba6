//! What the writer of the store tells everybody.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hookswitch_core::delivery::Logged;
use tokio::sync::watch;

use super::batch::Acknowledge;
use super::changed::ChangedDocuments;
use super::nats::{Entry, STREAM_DOCUMENTS, STREAM_LOG};
use super::partition::Partition;
use super::tail::Tail;
use super::{Ends, Health, LogEnds};
use crate::telemetry::Metrics;

/// How many changes of documents are remembered by their ids.
const CHANGES_MAX: usize = 1024;

/// What the writer tells everybody.
pub(super) struct Shared {
    /// The last input of each partition on disk.
    inputs: Vec<AtomicU64>,
    pub(super) events: watch::Sender<u64>,
    pub(super) tail: Tail<Logged>,
    pub(super) health: watch::Sender<Health>,
    pub(super) stop: watch::Sender<bool>,
    pub(super) changed: ChangedDocuments,
    /// How far the log was followed, and how far the documents.
    followed: [watch::Sender<u64>; 2],
    notes: Mutex<Notes>,
    metrics: Arc<Metrics>,
}

/// What was seen in the streams.
#[derive(Default)]
struct Notes {
    /// Where the last term of each partition began.
    terms: HashMap<Partition, u64>,
    /// The newest changes of documents.
    changes: VecDeque<u64>,
    /// Who is told when the log was followed so far.
    waiting: BTreeMap<u64, Vec<Acknowledge>>,
}

impl Shared {
    pub(super) fn new(ends: &LogEnds, [log, documents]: [u64; 2], metrics: Arc<Metrics>) -> Self {
        Self {
            inputs: ends.inputs.iter().map(|&end| AtomicU64::new(end)).collect(),
            events: watch::Sender::new(ends.events),
            tail: Tail::new(ends.events),
            health: watch::Sender::new(Health::Good),
            stop: watch::Sender::new(false),
            changed: ChangedDocuments::default(),
            followed: [watch::Sender::new(log), watch::Sender::new(documents)],
            notes: Mutex::default(),
            metrics,
        }
    }

    /// How many machines there are.
    pub(super) fn partitions(&self) -> u8 {
        u8::try_from(self.inputs.len()).unwrap_or(u8::MAX)
    }

    /// Where the logs end on disk.
    pub(super) fn ends(&self, partition: Partition) -> Ends {
        let input = self.inputs.get(partition.index());
        let signals = input.map_or(partition.start(), |input| input.load(Ordering::Acquire));
        Ends { signals, events: *self.events.borrow() }
    }

    /// The logs end there on disk.
    pub(super) fn committed(&self, ends: &LogEnds) {
        for (input, &end) in self.inputs.iter().zip(&ends.inputs) {
            input.store(end, Ordering::Release);
        }
        self.events.send_if_modified(|events| std::mem::replace(events, ends.events) != ends.events);
    }

    /// What comes in cannot be kept.
    pub(super) fn failing(&self, cause: &str) {
        let health = Health::Failing(cause.into());
        let began = self.health.send_if_modified(|now| std::mem::replace(now, health.clone()) != health);
        self.metrics.store_failing.set(1);
        if began {
            tracing::error!(cause, "the store cannot be written; intake stops until it can");
        }
    }

    /// What comes in can be kept.
    pub(super) fn recovered(&self) {
        if self.health.send_if_modified(|now| std::mem::replace(now, Health::Good) != Health::Good) {
            self.metrics.store_failing.set(0);
            tracing::info!("the store can be written again; intake goes on");
        }
    }

    /// Whether the server stops.
    pub(super) fn is_stopping(&self) -> bool {
        *self.stop.borrow()
    }

    fn stream(&self, stream: &str) -> &watch::Sender<u64> {
        &self.followed[usize::from(stream == STREAM_DOCUMENTS)]
    }

    /// The last message of a stream that was applied.
    pub(super) fn followed(&self, stream: &str) -> u64 {
        *self.stream(stream).borrow()
    }

    /// The messages of a stream are applied up to this one.
    pub(super) fn set_followed(&self, stream: &str, sequence: u64) {
        let mut notes = self.notes();
        self.stream(stream).send_replace(sequence);
        if stream != STREAM_LOG {
            return;
        }
        let later = notes.waiting.split_off(&(sequence + 1));
        let due = std::mem::replace(&mut notes.waiting, later);
        drop(notes);
        for acknowledge in due.into_values().flatten() {
            acknowledge();
        }
    }

    /// Waits until the messages of a stream are applied up to this one; none if the server stops before.
    pub(super) async fn wait_followed(&self, stream: &str, sequence: u64) -> Option<()> {
        let mut followed = self.stream(stream).subscribe();
        let mut stop = self.stop.subscribe();
        tokio::select! {
            followed = followed.wait_for(|&followed| followed >= sequence) => followed.ok().map(drop),
            _ = stop.wait_for(|&stop| stop) => None,
        }
    }

    /// Tells who waits when the message of the log at this sequence is applied.
    pub(super) fn acknowledge_followed(&self, sequence: u64, waiting: Vec<Acknowledge>) {
        let mut notes = self.notes();
        if self.followed(STREAM_LOG) < sequence {
            notes.waiting.entry(sequence).or_default().extend(waiting);
            return;
        }
        drop(notes);
        for acknowledge in waiting {
            acknowledge();
        }
    }

    /// Remembers what others ask for of a message that was read.
    pub(super) fn take_note(&self, entry: &Entry, sequence: u64) {
        match entry {
            Entry::Term(term) => {
                self.notes().terms.insert(term.partition, sequence);
            }
            Entry::Changes(changes) => {
                let mut notes = self.notes();
                notes.changes.push_back(changes.id);
                if notes.changes.len() > CHANGES_MAX {
                    notes.changes.pop_front();
                }
            }
            Entry::Batch(_) | Entry::Rows(_) => {}
        }
    }

    /// Where the last term of a partition began; 0 if that was not seen.
    pub(super) fn term(&self, partition: Partition) -> u64 {
        self.notes().terms.get(&partition).copied().unwrap_or(0)
    }

    /// Whether a change of documents is in the stream.
    pub(super) fn has_seen_change(&self, id: u64) -> bool {
        self.notes().changes.contains(&id)
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
