//! Store of a server: the signal log (inputs), the event log (outputs) and documents.
//!
//! A [`Batch`] is some inputs and all that followed from them, written as one: after a crash the
//! logs hold all of it or nothing. It names the position it expects to be at, so that an owner of
//! the log that was replaced without noticing is refused. What is told to the outside waits for
//! the commit: acknowledgements are sent by the store, and events are read back from its log.
//!
//! `sqlite` is the engine of a server alone and of each node's copy, `nats` the log of a cluster; `record`
//! has the stored shapes, and `calls` what calls are searched by. No type of either engine leaves this crate. Start at [`Store`].

mod backup;
mod batch;
mod calls;
mod changed;
pub mod clock;
mod copy;
mod damage;
mod end;
mod journal;
mod metrics;
mod nats;
mod options;
mod partition;
mod progress;
pub mod random;
mod record;
mod retention;
mod rows;
mod schema;
mod seal;
mod settings;
mod shared;
mod sqlite;
mod summary;
mod tail;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;
mod writer;

use std::borrow::Cow;
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError};
use std::thread::JoinHandle;

use anyhow::Context as _;
use hookswitch_model::{Logged, TelephonySessionId};
use tokio::sync::{mpsc, oneshot, watch};

pub use self::backup::{Backup, backup};
pub use self::batch::{Acknowledge, Batch, IngestId};
pub use self::calls::{
    AttemptCounts, AttemptCursor, AttemptQuery, CallCounts, CallCursor, CallIndex, CallQuery, FigureQuery,
    Figures, FoundAttempt, FoundCall, PartyQuery, index_calls,
};
pub use self::changed::{Changed, DocumentUpdate, FollowDocuments};
pub use self::copy::{CopySource, CopyTarget, State, check_apart};
pub use self::damage::{Damage, Harm};
pub use self::journal::{ANSWER_BYTES_MAX, Attempt, AttemptOutcome, Journal, Span};
pub use self::metrics::Metrics;
use self::nats::{Awaited, Publish, Publisher, STREAM_DOCUMENTS, STREAM_LOG, StreamConsumer};
pub use self::nats::{
    Brought, Examined, IntakeReader, LeaseTable, Nats, Node, Owner, Refused, Wanted, Weakness,
};
pub use self::options::Options;
pub use self::partition::Partition;
pub use self::progress::{PROGRESS, ProgressRecord, REDELIVERY, feed_change, feed_id};
pub use self::record::{Columns, Input, Message, RecordError, Sender, Settings, Source, kind, write_link};
pub use self::settings::{Durability, Engine, NatsSettings, StoreSettings};
use self::shared::Shared;
use self::sqlite::{Lock, Readers};
pub use self::sqlite::{Log, LoggedInput, Reader};
pub use self::summary::Summary;
use self::writer::{Write, Writer};

/// Time that a copy may take to come to where the documents end, before what it has is taken for all.
const FIND_WITHIN: std::time::Duration = std::time::Duration::from_secs(1);

/// Number of batches that may wait for the disk. More would not be written sooner, only told later.
const WRITES_AHEAD: usize = 4;

/// Ends of the logs. A position counts from 1; 0 is an empty log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ends {
    /// The last input.
    pub signals: u64,
    /// The last event.
    pub events: u64,
}

/// Ends of the logs of all partitions.
#[derive(Clone, Debug, PartialEq, Eq)]
struct LogEnds {
    /// The last input of each partition.
    inputs: Vec<u64>,
    /// The last event.
    events: u64,
}

impl LogEnds {
    fn of(&self, partition: Partition) -> Ends {
        let signals = self.inputs.get(partition.index()).copied().unwrap_or(partition.start());
        Ends { signals, events: self.events }
    }

    fn set(&mut self, partition: Partition, ends: Ends) {
        if let Some(input) = self.inputs.get_mut(partition.index()) {
            *input = ends.signals;
        }
        self.events = ends.events;
    }
}

/// Health of the store: it takes what comes in, or why it does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// It can.
    Good,
    /// The disk refuses, and why; nothing is accepted until it takes what waits.
    Failing(Arc<str>),
}

/// Condition on a document for a change to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Anything.
    Any,
    /// Not there.
    Absent,
    /// At this revision.
    Revision(u64),
}

/// A change of a document; several are made together or not at all.
#[derive(Clone, Debug)]
pub struct Change {
    /// Kind of the document: `application`, `user`.
    pub kind: Cow<'static, str>,
    /// Its id among those of its kind.
    pub id: String,
    /// Condition on the document now.
    pub expected: Expected,
    /// The new content, JSON; none to delete it.
    pub content: Option<String>,
}

/// A document as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Its id among those of its kind.
    pub id: String,
    /// Counts the changes of the document, from 1.
    pub revision: u64,
    /// JSON.
    pub content: String,
}

/// Reason why the store did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk refuses.
    #[error("the store cannot be written: {0}; free space or fix the disk, intake goes on by itself then")]
    Failing(Arc<str>),
    /// A document is not as it was expected to be.
    #[error("the {kind} {id} has changed meanwhile")]
    Conflict {
        /// The kind of the document.
        kind: Cow<'static, str>,
        /// The id of the document.
        id: String,
    },
    /// The server stops.
    #[error("the server is stopping")]
    Closed,
    /// The database says no.
    #[error("the store cannot be read")]
    Engine(#[source] EngineError),
    /// The signal log cannot be read.
    #[error("the signal log cannot be read: {0:#}")]
    Log(anyhow::Error),
    /// Error of a stored record that cannot be read.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// What is stored is not as it was written.
    #[error(transparent)]
    Damaged(#[from] Damage),
}

/// An error of the engine behind a store.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct EngineError(rusqlite::Error);

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Engine(EngineError(error))
    }
}

/// The store, open. Cheap to clone; the writer ends when [`WriterThread::close`] is called.
///
/// It is the one of a partition: where inputs are read or written, they are those of that partition. Alone
/// a server has one.
#[derive(Clone)]
pub struct Store {
    writes: SyncSender<Write>,
    readers: Arc<Readers>,
    shared: Arc<Shared>,
    partition: Partition,
    cluster: Option<Cluster>,
}

/// Parts that a store of a cluster has beside its copy.
#[derive(Clone)]
struct Cluster {
    nats: Nats,
    /// One change of documents at a time: they would only refuse each other.
    changing: Arc<tokio::sync::Mutex<()>>,
    /// Place where batches of the partition go, if this node owns it.
    publisher: Option<mpsc::Sender<Publish>>,
}

/// The thread that writes, and the lock on the directory while it does.
pub struct WriterThread {
    thread: JoinHandle<()>,
    shared: Arc<Shared>,
    _lock: Lock,
}

impl Store {
    /// Opens the store in a directory, which is made if it is not there, and starts its writer.
    ///
    /// # Errors
    /// If the directory cannot be used, another process has it, or a newer version has written it.
    pub fn open(
        directory: &Path,
        options: Options,
        metrics: Metrics,
    ) -> anyhow::Result<(Self, WriterThread)> {
        let lock = Lock::take(directory)?;
        let connection = sqlite::open(directory, options.durability)?;
        copy::check_copied(&connection, directory)?;
        let (ends, end) = end::restored(&connection, directory, options)?;
        let followed = [STREAM_LOG, STREAM_DOCUMENTS].map(|stream| sqlite::followed(&connection, stream));
        let [log, documents] = followed;
        let shared = Arc::new(Shared::new(&ends, [log?, documents?], metrics.clone()));
        let (writes, receiver) = std::sync::mpsc::sync_channel(WRITES_AHEAD);
        let writer =
            Writer::new(directory.to_owned(), connection, (ends, end), options, shared.clone(), metrics);
        let thread = std::thread::Builder::new().name("store".into()).spawn(move || writer.run(&receiver))?;
        let readers = Arc::new(Readers::new(directory, options.partitions));
        check_beside(readers.clone())?;
        let store =
            Self { writes, readers, shared: shared.clone(), partition: Partition::default(), cluster: None };
        Ok((store, WriterThread { thread, shared, _lock: lock }))
    }

    /// Opens the copy that this node keeps of the log of a cluster, and follows the streams. All that was
    /// in them is in the copy when this returns.
    ///
    /// # Errors
    /// As [`Store::open`], and if NATS cannot be used as it is set up.
    pub async fn join(
        directory: &Path,
        options: Options,
        nats: Nats,
        metrics: Metrics,
    ) -> anyhow::Result<(Self, WriterThread)> {
        let options = Options { durability: Durability::Relaxed, is_copy: true, ..options };
        let (mut store, writer) = Self::open(directory, options, metrics)?;
        let standing = store.read(Reader::standing)?;
        nats.check_standing(directory, &standing).await?;
        store.bring_first_documents(&nats).await?;
        for stream in [STREAM_LOG, STREAM_DOCUMENTS] {
            let resume = standing.followed(stream);
            let end = nats.end(stream).await?;
            if end > resume {
                tracing::info!(stream, messages = end - resume, "reading what this node does not have");
            }
            let fence = store.read(Reader::fence)?;
            let (shared, writes) = (store.shared.clone(), store.writes.clone());
            let follower = StreamConsumer::new(nats.clone(), shared, writes, stream, (resume, fence));
            let following = follower.following();
            tokio::spawn(follower.run(store.shared.stop.subscribe()));
            let awaited = Awaited { stream, name: &nats.stream_name(stream), end, patience: nats.patience() };
            following.wait(&store.shared, awaited).await?;
        }
        store.cluster = Some(Cluster { nats: nats.clone(), changing: Arc::default(), publisher: None });
        tokio::spawn(nats::keep_documents(nats, store.clone(), store.shared.stop.subscribe()));
        Ok((store, writer))
    }

    /// Brings what `hookswitch init` has made to a cluster that has no documents yet; one that has some keeps
    /// its own.
    async fn bring_first_documents(&self, nats: &Nats) -> anyhow::Result<()> {
        let first = self.read(Reader::first_documents)?;
        if first.is_empty() {
            return Ok(());
        }
        let change = |(kind, document): (String, Document)| Change {
            kind: kind.into(),
            id: document.id,
            expected: Expected::Absent,
            content: Some(document.content),
        };
        let changes: Vec<Change> = first.into_iter().map(change).collect();
        if nats::bring(nats, &changes).await? {
            tracing::info!(
                documents = changes.len(),
                "the documents of this directory are the first of the cluster"
            );
        } else {
            tracing::info!(
                "the cluster has documents already; those that `hookswitch init` has made here are dropped"
            );
        }
        let gone = |change: Change| Change { expected: Expected::Any, content: None, ..change };
        self.write_documents(changes.into_iter().map(gone).collect(), Journal::default()).await?;
        Ok(())
    }

    /// The store of a partition that this node owns from now on; another owner is fenced off. The task
    /// ends when nothing is written any more, because nobody asks or because another node owns the
    /// partition.
    ///
    /// # Errors
    /// If another node was first, or NATS does not answer.
    pub async fn own(
        &self,
        partition: Partition,
        node: &str,
    ) -> anyhow::Result<(Self, tokio::task::JoinHandle<()>)> {
        let cluster = self.cluster.as_ref().context("a server alone has all partitions")?;
        let nats = &cluster.nats;
        let term = nats::take_over(nats, &self.shared, partition, node).await?;
        if let Some(saved) = nats.saved_state(partition).await? {
            let copy::State { position, version, bytes: state, .. } = saved;
            let known = self.read_async(move |reader| reader.snapshot(partition)).await?;
            if known.is_none_or(|(known, ..)| known < position) {
                let write = Write::Snapshot { partition, position, version, state, is_followed: true };
                let writes = self.writes.clone();
                let sent = tokio::task::spawn_blocking(move || writes.send(write).is_ok()).await;
                anyhow::ensure!(sent.unwrap_or(false), "the server stops");
                // It is there when this is done.
                self.write_documents(Vec::new(), Journal::default()).await?;
            }
        }
        let (publisher, work) = mpsc::channel(WRITES_AHEAD);
        let run = Publisher::new(nats.clone(), self.shared.clone(), partition, term, work).run();
        let cluster = Some(Cluster { publisher: Some(publisher), ..cluster.clone() });
        Ok((Self { partition, cluster, ..self.clone() }, tokio::spawn(run)))
    }

    /// The NATS of the cluster; none of a server alone.
    pub fn nats(&self) -> Option<&Nats> {
        self.cluster.as_ref().map(|cluster| &cluster.nats)
    }

    /// Returns which partition it is the store of.
    pub const fn partition(&self) -> Partition {
        self.partition
    }

    /// Returns the number of machines.
    pub fn partitions(&self) -> u8 {
        self.shared.partitions()
    }

    /// The numbers that sources of the partition may have.
    pub fn sources(&self) -> RangeInclusive<u16> {
        self.partition.sources(self.shared.partitions(), u16::MAX)
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Documents that have changed, by whichever node.
    pub fn follow_documents(&self) -> FollowDocuments {
        self.shared.changed.follow()
    }

    /// Returns how far the intake of the partition was taken.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn intake(&self) -> Result<u64, StoreError> {
        self.intake_of(self.partition)
    }

    /// Returns how far the intake of any partition was taken.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn intake_of(&self, partition: Partition) -> Result<u64, StoreError> {
        let stream = writer::intake(partition);
        self.read(|reader| reader.followed(&stream))
    }

    /// Returns how far the intake of any partition was taken since this process began, and a wait for more.
    pub fn follow_intake(&self, partition: Partition) -> watch::Receiver<u64> {
        self.shared.follow_taken(partition)
    }

    /// Returns where the logs end on disk.
    pub fn ends(&self) -> Ends {
        self.shared.ends(self.partition)
    }

    /// The position of the last event on disk, and a wait for the next.
    pub fn follow_events(&self) -> watch::Receiver<u64> {
        self.shared.events.subscribe()
    }

    /// Some events behind a position, in order; fewer than `limit` at the end of the log. The newest come
    /// from memory.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub async fn events_after(&self, after: u64, limit: usize) -> Result<Vec<Logged>, StoreError> {
        match self.shared.tail.after(after, limit) {
            Some(newest) => Ok(newest),
            None => self.read_async(move |reader| reader.events_after(after, limit)).await,
        }
    }

    /// Returns whether what comes in can be kept, and a wait for a change of that.
    pub fn follow_health(&self) -> watch::Receiver<Health> {
        self.shared.health.subscribe()
    }

    /// Health of the store: it takes what comes in, or why it does not.
    pub fn health(&self) -> Health {
        self.shared.health.borrow().clone()
    }

    /// Hands a batch to the writer; waits while others are ahead of it. Not to be called where waiting is
    /// harm.
    ///
    /// # Errors
    /// If the writer has ended.
    pub fn append(&self, batch: Batch) -> Result<(), StoreError> {
        match &self.cluster {
            None => self.writes.send(Write::Batch(batch)).map_err(|_| StoreError::Closed),
            Some(cluster) => cluster.publish(Publish::Batch(batch)),
        }
    }

    /// Saves the state after the input at this position; older states are dropped.
    ///
    /// # Errors
    /// If the writer has ended.
    pub fn save_snapshot(&self, position: u64, version: u32, state: Vec<u8>) -> Result<(), StoreError> {
        if let Some(cluster) = &self.cluster {
            // It comes into a copy when the partition is taken over; until its inputs are in the log, nobody
            // knows whether they ever will be.
            return cluster.publish(Publish::State { position, version, state });
        }
        let partition = self.partition;
        let write = Write::Snapshot { partition, position, version, state, is_followed: false };
        self.writes.send(write).map_err(|_| StoreError::Closed)
    }

    /// Makes changes of documents, all or none, and gives the new revisions once they are on disk.
    ///
    /// # Errors
    /// If a document is not as expected, or the disk refuses.
    pub async fn change(&self, changes: Vec<Change>) -> Result<Vec<u64>, StoreError> {
        match &self.cluster {
            None => self.write_documents(changes, Journal::default()).await,
            Some(cluster) => {
                let _one = cluster.changing.lock().await;
                nats::change(&cluster.nats, self, changes).await
            }
        }
    }

    /// Writes down how far deliveries have come, and in the same transaction what was done to deliver.
    /// What is expected of the documents is passed over in a cluster: only the owner of a delivery writes
    /// of it.
    ///
    /// # Errors
    /// If the disk, or NATS, refuses.
    pub async fn record(&self, changes: Vec<Change>, journal: Journal) -> Result<(), StoreError> {
        match &self.cluster {
            None => self.write_documents(changes, journal).await.map(drop),
            Some(cluster) => nats::record(&cluster.nats, &changes, journal).await,
        }
    }

    async fn write_documents(&self, changes: Vec<Change>, journal: Journal) -> Result<Vec<u64>, StoreError> {
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

    /// Returns how large the files are, in bytes: the database of the logs, and the index of calls.
    pub fn sizes(&self) -> [(&'static str, u64); 2] {
        let directory = self.readers.directory();
        let size = |file: &str| {
            let files = [String::from(file), format!("{file}-wal")].into_iter();
            files.filter_map(|name| std::fs::metadata(directory.join(name)).ok()).map(|file| file.len()).sum()
        };
        [("log", size(sqlite::FILE)), ("index", size(calls::FILE))]
    }

    /// Reads on a connection of its own, beside the writer. Blocks; call it where that is no harm.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn read<T>(&self, read: impl FnOnce(&Reader) -> Result<T, StoreError>) -> Result<T, StoreError> {
        self.readers.with(read)
    }

    /// As [`Store::read`], on a thread where blocking is no harm.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub async fn read_async<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Reader) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let store = self.clone();
        let read = tokio::task::spawn_blocking(move || store.read(read));
        read.await.unwrap_or(Err(StoreError::Closed))
    }

    /// The same, for what another node may have written a moment ago: if it is not there, this node's copy is
    /// brought to where the documents end, and it is looked for again.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub async fn find<T: Send + 'static>(
        &self,
        find: impl Fn(&Reader) -> Result<Option<T>, StoreError> + Clone + Send + 'static,
    ) -> Result<Option<T>, StoreError> {
        let found = self.read_async(find.clone()).await?;
        let Some(cluster) = self.cluster.as_ref().filter(|_| found.is_none()) else { return Ok(found) };
        let follow = async {
            let end = cluster.nats.end(STREAM_DOCUMENTS).await.ok()?;
            self.shared.wait_followed(STREAM_DOCUMENTS, end).await
        };
        match tokio::time::timeout(FIND_WITHIN, follow).await {
            Ok(Some(())) => self.read_async(find).await,
            // NATS is away: what this node has is all that can be known.
            Ok(None) | Err(_) => Ok(found),
        }
    }
}

/// Looks through all rows while the server goes on, and says what is damaged.
fn check_beside(readers: Arc<Readers>) -> std::io::Result<()> {
    let check = move || match readers.with(Reader::damaged_rows) {
        Ok(found) => found.iter().for_each(|damage| tracing::error!("{damage}")),
        Err(error) => tracing::error!("the store cannot be checked: {error}"),
    };
    std::thread::Builder::new().name("store-check".into()).spawn(check).map(drop)
}

impl WriterThread {
    /// Waits until all that was handed over is on disk. A disk that refuses is given up.
    pub fn close(self, store: Store) {
        drop(store);
        self.shared.stop.send_replace(true);
        if self.thread.join().is_err() {
            tracing::error!("the writer of the store has panicked; what it held is not on disk");
        }
    }
}

impl Cluster {
    fn publish(&self, work: Publish) -> Result<(), StoreError> {
        let publisher = self.publisher.as_ref().ok_or(StoreError::Closed)?;
        publisher.blocking_send(work).map_err(|_| StoreError::Closed)
    }
}

/// Looks at the NATS of a configuration as [`Store::join`] does, and leaves it and the directory as they are.
///
/// # Errors
/// The sentence with which a start would end.
pub async fn examine(settings: &StoreSettings) -> anyhow::Result<Examined> {
    let directory = &settings.directory;
    // A directory that cannot be read is a finding of its own.
    let standing = Reader::of(directory, settings.partitions()).and_then(|reader| Ok(reader.standing()?));
    let wanted = Wanted::of(settings);
    Box::pin(Nats::examine(&settings.nats, &wanted, directory, &standing.unwrap_or_default())).await
}

/// Changes documents of a store that no server has open, all or none. The store is made if there is none.
///
/// # Errors
/// If the directory cannot be used, a server has it, or a document is not as expected.
pub fn amend(directory: &Path, changes: &[Change]) -> anyhow::Result<()> {
    let _lock = Lock::take(directory)?;
    let mut connection = sqlite::open(directory, Durability::Strict)?;
    writer::amend(&mut connection, changes)
}

/// Tells whether there is a store in a directory.
pub fn is_there(directory: &Path) -> bool {
    sqlite::is_there(directory)
}

/// The key under which the sessions table has a session.
pub fn session_key(id: TelephonySessionId) -> [u8; 16] {
    id.as_u128().to_be_bytes()
}
