//! State of the store that its writer shows to everybody.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use hookswitch_model::Logged;
use tokio::sync::watch;

use super::batch::Acknowledge;
use super::changed::ChangedDocuments;
use super::metrics::Metrics;
use super::nats::{Entry, STREAM_DOCUMENTS, STREAM_LOG};
use super::partition::Partition;
use super::tail::Tail;
use super::{Ends, Health, LogEnds};

/// Number of changes of documents that are remembered by their ids.
const CHANGES_MAX: usize = 1024;

/// Number of terms of a partition that are remembered.
const TERMS_MAX: usize = 64;

/// State that the writer shows to everybody.
pub(super) struct Shared {
    /// The last input of each partition on disk.
    inputs: Vec<AtomicU64>,
    pub(super) events: watch::Sender<u64>,
    pub(super) tail: Tail<Logged>,
    pub(super) health: watch::Sender<Health>,
    pub(super) stop: watch::Sender<bool>,
    pub(super) changed: ChangedDocuments,
    /// Point up to which the log was followed, and how far the documents.
    followed: [watch::Sender<u64>; 2],
    /// Point up to which the intake of each partition was taken, as far as this process saw.
    taken: Vec<watch::Sender<u64>>,
    /// Told when a term begins.
    begun: watch::Sender<()>,
    notes: Mutex<Notes>,
    metrics: Metrics,
}

/// Notes on what was seen in the streams.
#[derive(Default)]
struct Notes {
    /// Positions at which the newest terms of each partition began.
    terms: HashMap<Partition, BTreeSet<u64>>,
    /// The newest changes of documents that count.
    changes: VecDeque<u64>,
    /// Senders that are told when the log was followed so far, and the term under which that counts.
    waiting: BTreeMap<u64, (TermId, Vec<Acknowledge>)>,
}

/// The term under which something was written.
#[derive(Clone, Copy, Debug)]
pub(super) struct TermId {
    pub(super) partition: Partition,
    /// The message by which it began.
    pub(super) term: u64,
}

impl Notes {
    /// Returns `true` if a message at this sequence, written under a term, counts.
    fn counts(&self, under: TermId, sequence: u64) -> bool {
        let terms = self.terms.get(&under.partition);
        terms.and_then(|terms| terms.range(..sequence).next_back()) == Some(&under.term)
    }
}

impl Shared {
    pub(super) fn new(ends: &LogEnds, [log, documents]: [u64; 2], metrics: Metrics) -> Self {
        Self {
            inputs: ends.inputs.iter().map(|&end| AtomicU64::new(end)).collect(),
            events: watch::Sender::new(ends.events),
            tail: Tail::new(ends.events),
            health: watch::Sender::new(Health::Good),
            stop: watch::Sender::new(false),
            changed: ChangedDocuments::default(),
            followed: [watch::Sender::new(log), watch::Sender::new(documents)],
            taken: ends.inputs.iter().map(|_| watch::Sender::new(0)).collect(),
            begun: watch::Sender::new(()),
            notes: Mutex::default(),
            metrics,
        }
    }

    /// Returns the number of machines.
    pub(super) fn partitions(&self) -> u8 {
        u8::try_from(self.inputs.len()).unwrap_or(u8::MAX)
    }

    /// Returns where the logs end on disk.
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

    /// Notes that what comes in cannot be kept.
    pub(super) fn failing(&self, cause: &str) {
        let health = Health::Failing(cause.into());
        let began = self.health.send_if_modified(|now| std::mem::replace(now, health.clone()) != health);
        self.metrics.failing.set(1);
        if began {
            tracing::error!(cause, "the store cannot be written; intake stops until it can");
        }
    }

    /// Notes that what comes in can be kept.
    pub(super) fn recovered(&self) {
        if self.health.send_if_modified(|now| std::mem::replace(now, Health::Good) != Health::Good) {
            self.metrics.failing.set(0);
            tracing::info!("the store can be written again; intake goes on");
        }
    }

    /// Returns `true` if the server stops.
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
        let mut due = std::mem::replace(&mut notes.waiting, later);
        // Who waits for what does not count is told by being dropped.
        due.retain(|&at, (under, _)| notes.counts(*under, at));
        drop(notes);
        for acknowledge in due.into_values().flat_map(|(_, waiting)| waiting) {
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

    /// Tells who waits when the message of the log at this sequence is applied, if it counts.
    pub(super) fn acknowledge_followed(&self, under: TermId, sequence: u64, waiting: Vec<Acknowledge>) {
        let mut notes = self.notes();
        if self.followed(STREAM_LOG) < sequence {
            notes.waiting.entry(sequence).or_insert_with(|| (under, Vec::new())).1.extend(waiting);
            return;
        }
        let counts = notes.counts(under, sequence);
        drop(notes);
        for acknowledge in waiting.into_iter().filter(|_| counts) {
            acknowledge();
        }
    }

    /// The intake of a partition was taken up to this message.
    pub(super) fn set_taken(&self, partition: Partition, sequence: u64) {
        if let Some(taken) = self.taken.get(partition.index()) {
            taken.send_if_modified(|taken| sequence > std::mem::replace(taken, sequence.max(*taken)));
        }
    }

    /// Returns how far the intake of a partition was taken, and a wait for more.
    pub(super) fn follow_taken(&self, partition: Partition) -> watch::Receiver<u64> {
        // There is one of each partition; of one that is none nothing is ever told.
        self.taken.get(partition.index()).map_or_else(|| watch::channel(0).1, watch::Sender::subscribe)
    }

    /// Waits until another term of the partition has begun than this.
    pub(super) async fn wait_term_over(&self, under: TermId) {
        let mut begun = self.begun.subscribe();
        // Who could tell is this, which goes on.
        begun.wait_for(|()| self.term(under.partition) != under.term).await.ok();
    }

    /// Remembers what others ask for of a message that was read and counts.
    pub(super) fn take_note(&self, entry: &Entry, sequence: u64) {
        match entry {
            Entry::Term(term) => {
                let mut notes = self.notes();
                let terms = notes.terms.entry(term.partition).or_default();
                terms.insert(sequence);
                if terms.len() > TERMS_MAX {
                    terms.pop_first();
                }
                drop(notes);
                self.begun.send_replace(());
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

    /// Returns where the last term of a partition began; 0 if that was not seen.
    pub(super) fn term(&self, partition: Partition) -> u64 {
        self.notes().terms.get(&partition).and_then(BTreeSet::last).copied().unwrap_or(0)
    }

    /// Returns `true` if a change of documents is in the stream and counts.
    pub(super) fn has_seen_change(&self, id: u64) -> bool {
        self.notes().changes.contains(&id)
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
