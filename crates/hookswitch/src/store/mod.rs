//! The doors to what is kept: the signal log (inputs), the event log (outputs) and documents.
//!
//! A [`Batch`] is some inputs and all that followed from them, written as one: after a crash the
//! logs hold all of it or nothing. It names the position it expects to be at, so that an owner of
//! the log that was replaced without noticing is refused. What is told to the outside waits for
//! the commit: acknowledgements are sent by the store, and events are read back from its log.
//!
//! [`sqlite`] is the engine behind the doors, [`record`] the stored shapes.

mod batch;
mod journal;
pub(crate) mod record;
mod schema;
mod sqlite;
mod tail;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError};
use std::thread::JoinHandle;

use hookswitch_core::delivery::Logged;
use hookswitch_model::TelephonySessionId;
use tokio::sync::{oneshot, watch};

pub(crate) use self::batch::{Batch, IngestId};
pub(crate) use self::journal::{ANSWER_BYTES_MAX, Attempt, AttemptOutcome, Journal, Span};
use self::sqlite::{Lock, Readers};
pub(crate) use self::sqlite::{Log, LoggedInput, Reader};
use self::tail::Tail;
pub(crate) use self::writer::Options;
use self::writer::{Write, Writer};
use crate::config::Durability;
use crate::telemetry::Metrics;

/// How many batches may wait for the disk. More would not be written sooner, only told later.
const WRITES_AHEAD: usize = 4;

/// Where the logs end. A position counts from 1; 0 is an empty log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ends {
    /// The last input.
    pub(crate) signals: u64,
    /// The last event.
    pub(crate) events: u64,
}

/// Whether what comes in can be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Health {
    /// It can.
    Good,
    /// The disk refuses, and why; nothing is accepted until it takes what waits.
    Failing(Arc<str>),
}

/// What a document must be for a change to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    /// Anything.
    Any,
    /// Not there.
    Absent,
    /// At this revision.
    Revision(u64),
}

/// A change of a document; several are made together or not at all.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    /// What the document is: `application`, `user`.
    pub(crate) kind: &'static str,
    /// Its id among those of its kind.
    pub(crate) id: String,
    pub(crate) expected: Expected,
    /// The new content, JSON; none to delete it.
    pub(crate) content: Option<String>,
}

/// A document as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Document {
    pub(crate) id: String,
    /// Counts the changes of the document, from 1.
    pub(crate) revision: u64,
    /// JSON.
    pub(crate) content: String,
}

/// Why the store did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// The disk refuses.
    #[error("the store cannot be written: {0}; free space or mend the disk, intake goes on by itself then")]
    Failing(Arc<str>),
    /// A document is not as it was expected to be.
    #[error("the {kind} {id} has changed meanwhile")]
    Conflict { kind: &'static str, id: String },
    /// The server stops.
    #[error("the server is stopping")]
    Closed,
    /// The database says no.
    #[error("the store cannot be read")]
    Sqlite(#[from] rusqlite::Error),
    /// The signal log cannot be read.
    #[error("the signal log cannot be read: {0:#}")]
    Log(anyhow::Error),
    /// What is stored cannot be read.
    #[error(transparent)]
    Record(#[from] record::RecordError),
}

/// The store, open. Cheap to clone; the writer ends when [`WriterThread::close`] is called.
#[derive(Clone)]
pub(crate) struct Store {
    writes: SyncSender<Write>,
    readers: Arc<Readers>,
    shared: Arc<Shared>,
}

/// What the writer tells everybody.
struct Shared {
    signals: AtomicU64,
    events: watch::Sender<u64>,
    tail: Tail<Logged>,
    health: watch::Sender<Health>,
}

impl Shared {
    fn committed(&self, ends: Ends) {
        self.signals.store(ends.signals, Ordering::Release);
        self.events.send_if_modified(|events| std::mem::replace(events, ends.events) != ends.events);
    }
}

/// The thread that writes, and the lock on the directory while it does.
pub(crate) struct WriterThread {
    thread: JoinHandle<()>,
    stop: watch::Sender<bool>,
    _lock: Lock,
}

impl Store {
    /// Opens the store in a directory, which is made if it is not there, and starts its writer.
    ///
    /// # Errors
    /// If the directory cannot be used, another process has it, or a newer version has written it.
    pub(crate) fn open(
        directory: &Path,
        options: Options,
        metrics: Arc<Metrics>,
    ) -> anyhow::Result<(Self, WriterThread)> {
        let lock = Lock::take(directory)?;
        let mut connection = sqlite::open(directory, options.durability)?;
        let ends = sqlite::ends(&mut connection)?;
        let shared = Arc::new(Shared {
            signals: AtomicU64::new(ends.signals),
            events: watch::Sender::new(ends.events),
            tail: Tail::new(ends.events),
            health: watch::Sender::new(Health::Good),
        });
        let (writes, receiver) = std::sync::mpsc::sync_channel(WRITES_AHEAD);
        let stop = watch::Sender::new(false);
        let writer = Writer::new(
            directory.to_owned(),
            connection,
            ends,
            options,
            shared.clone(),
            stop.subscribe(),
            metrics,
        );
        let thread = std::thread::Builder::new().name("store".into()).spawn(move || writer.run(&receiver))?;
        let readers = Arc::new(Readers::new(directory));
        Ok((Self { writes, readers, shared }, WriterThread { thread, stop, _lock: lock }))
    }

    /// Where the logs end on disk.
    pub(crate) fn ends(&self) -> Ends {
        Ends { signals: self.shared.signals.load(Ordering::Acquire), events: *self.shared.events.borrow() }
    }

    /// The position of the last event on disk, and a wait for the next.
    pub(crate) fn follow_events(&self) -> watch::Receiver<u64> {
        self.shared.events.subscribe()
    }

    /// Some events behind a position, in order; fewer than `limit` at the end of the log. The newest come
    /// from memory.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub(crate) async fn events_after(&self, after: u64, limit: usize) -> Result<Vec<Logged>, StoreError> {
        match self.shared.tail.after(after, limit) {
            Some(newest) => Ok(newest),
            None => self.read_async(move |reader| reader.events_after(after, limit)).await,
        }
    }

    /// Whether what comes in can be kept, and a wait for a change of that.
    pub(crate) fn follow_health(&self) -> watch::Receiver<Health> {
        self.shared.health.subscribe()
    }

    /// Whether what comes in can be kept.
    pub(crate) fn health(&self) -> Health {
        self.shared.health.borrow().clone()
    }

    /// Hands a batch to the writer; waits while others are ahead of it.
    ///
    /// # Errors
    /// If the writer has ended.
    pub(crate) fn append(&self, batch: Batch) -> Result<(), StoreError> {
        self.writes.send(Write::Batch(batch)).map_err(|_| StoreError::Closed)
    }

    /// Saves the state after the input at this position; older states are dropped.
    pub(crate) fn save_snapshot(
        &self,
        position: u64,
        version: u32,
        state: Vec<u8>,
    ) -> Result<(), StoreError> {
        self.writes.send(Write::Snapshot { position, version, state }).map_err(|_| StoreError::Closed)
    }

    /// Makes changes of documents, all or none, and gives the new revisions once they are on disk.
    ///
    /// # Errors
    /// If a document is not as expected, or the disk refuses.
    pub(crate) async fn change(&self, changes: Vec<Change>) -> Result<Vec<u64>, StoreError> {
        self.record(changes, Journal::default()).await
    }

    /// The same, and in the same transaction what was done to deliver.
    ///
    /// # Errors
    /// As [`Store::change`].
    pub(crate) async fn record(
        &self,
        changes: Vec<Change>,
        journal: Journal,
    ) -> Result<Vec<u64>, StoreError> {
        let (done, outcome) = oneshot::channel();
        let mut write = Write::Documents { changes, journal, done };
        loop {
            match self.writes.try_send(write) {
                Ok(()) => break,
                Err(TrySendError::Disconnected(_)) => return Err(StoreError::Closed),
                Err(TrySendError::Full(back)) => {
                    if let Health::Failing(cause) = self.health() {
                        return Err(StoreError::Failing(cause));
                    }
                    write = back;
                    tokio::time::sleep(std::time::Duration::from_millis(1)).await;
                }
            }
        }
        outcome.await.unwrap_or(Err(StoreError::Closed))
    }

    /// Reads on a connection of its own, beside the writer. Blocks; call it where that is no harm.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub(crate) fn read<T>(
        &self,
        read: impl FnOnce(&Reader) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.readers.with(read)
    }

    /// As [`Store::read`], on a thread where blocking is no harm.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub(crate) async fn read_async<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Reader) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let store = self.clone();
        let read = tokio::task::spawn_blocking(move || store.read(read));
        read.await.unwrap_or(Err(StoreError::Closed))
    }
}

impl WriterThread {
    /// Waits until all that was handed over is on disk. A disk that refuses is given up.
    pub(crate) fn close(self, store: Store) {
        drop(store);
        self.stop.send_replace(true);
        if self.thread.join().is_err() {
            tracing::error!("the writer of the store has panicked; what it held is not on disk");
        }
    }
}

/// Makes a store with some documents in a directory that has none.
///
/// # Errors
/// If the directory cannot be used, or a document is there already.
pub(crate) fn initialize(directory: &Path, changes: &[Change]) -> anyhow::Result<()> {
    let _lock = Lock::take(directory)?;
    let mut connection = sqlite::open(directory, Durability::Strict)?;
    writer::initialize(&mut connection, changes)
}

/// The key under which the sessions table has a session.
pub(crate) fn session_key(id: TelephonySessionId) -> [u8; 16] {
    id.as_u128().to_be_bytes()
}
