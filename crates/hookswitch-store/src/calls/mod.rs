//! Index of the calls whose events are kept, and of the attempts to deliver these: what both are searched by, in a
//! database of its own.
//!
//! It is derived: a thread reads the event log behind the writer and folds each call into a row, its parties and the
//! words that it can be found by. The writer of the store knows nothing of it, and nothing is lost with it; it is made
//! anew from the events whenever it does not fit them. Start at [`CallIndex`].

mod attempts;
mod entry;
mod figures;
mod follow;
mod query;
mod tables;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use tokio::sync::watch;

pub use self::attempts::{AttemptCounts, AttemptCursor, AttemptQuery, FoundAttempt};
pub use self::figures::{FigureQuery, Figures};
use self::follow::StreamConsumer;
pub use self::query::{CallCounts, CallCursor, CallQuery, FoundCall, PartyQuery};
use super::shared::Shared;
use super::sqlite::{Lock, Readers};
use super::{Reader, Store, StoreError};

/// The database of the index in the data directory.
pub(super) const FILE: &str = "calls.db";

/// Time that whoever searches waits until the index has what the log had when they asked.
const WAIT_MAX: Duration = Duration::from_secs(2);

/// The most idle connections that are kept.
const IDLE_MAX: usize = 4;

/// The index of calls, for whoever searches. Cheap to clone.
#[derive(Clone)]
pub struct CallIndex(Arc<Inner>);

struct Inner {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
    /// The last event that it has.
    followed: watch::Sender<u64>,
    /// Number of those that wait for it.
    waiting: Mutex<usize>,
    wake: Condvar,
}

impl CallIndex {
    /// The index of a directory that nothing follows yet.
    fn of(directory: &Path) -> Self {
        Self(Arc::new(Inner {
            path: directory.join(FILE),
            idle: Mutex::default(),
            followed: watch::Sender::new(0),
            waiting: Mutex::new(0),
            wake: Condvar::new(),
        }))
    }

    /// Waits until the index has the events up to a position, for two seconds at most; gives how many of them it does
    /// not have then.
    pub async fn reach(&self, position: u64) -> u64 {
        let mut followed = self.0.followed.subscribe();
        if *followed.borrow() < position {
            let _waiting = Waiting::begin(&self.0);
            tokio::time::timeout(WAIT_MAX, followed.wait_for(|&followed| followed >= position)).await.ok();
        }
        position.saturating_sub(*self.0.followed.borrow())
    }

    /// Calls that a query asks for behind a cursor, the newest first, so many at most.
    ///
    /// # Errors
    /// If the index cannot be read.
    pub fn find(
        &self,
        query: &CallQuery,
        after: Option<CallCursor>,
        limit: usize,
    ) -> Result<Vec<FoundCall>, StoreError> {
        self.read(|connection| query.find(connection, after, limit))
    }

    /// Returns the number of calls that a query asks for.
    ///
    /// # Errors
    /// If the index cannot be read.
    pub fn count(&self, query: &CallQuery) -> Result<CallCounts, StoreError> {
        self.read(|connection| query.count(connection))
    }

    /// Attempts that a query asks for behind a cursor, the newest first, so many at most.
    ///
    /// # Errors
    /// If the index cannot be read.
    pub fn find_attempts(
        &self,
        query: &AttemptQuery,
        after: Option<AttemptCursor>,
        limit: usize,
    ) -> Result<Vec<FoundAttempt>, StoreError> {
        self.read(|connection| query.find(connection, after, limit))
    }

    /// Returns the number of attempts that a query asks for.
    ///
    /// # Errors
    /// If the index cannot be read.
    pub fn count_attempts(&self, query: &AttemptQuery) -> Result<AttemptCounts, StoreError> {
        self.read(|connection| query.count(connection))
    }

    /// The counts of calls and deliveries in a number of spans.
    ///
    /// # Errors
    /// If the index cannot be read.
    pub fn figures(&self, query: &FigureQuery) -> Result<Vec<Figures>, StoreError> {
        self.read(|connection| query.read(connection))
    }

    /// The last event that it has.
    pub fn followed(&self) -> u64 {
        *self.0.followed.borrow()
    }

    fn read<T>(&self, read: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        let idle = self.0.idle.lock().ok().and_then(|mut idle| idle.pop());
        let connection = if let Some(connection) = idle {
            connection
        } else {
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            Connection::open_with_flags(&self.0.path, flags)?
        };
        let read = read(&connection)?;
        if let Ok(mut idle) = self.0.idle.lock()
            && idle.len() < IDLE_MAX
        {
            idle.push(connection);
        }
        Ok(read)
    }

    /// Forgets connections to a file that is not there any more.
    fn forget_connections(&self) {
        self.0.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Waits until somebody asks, or for so long.
    fn rest(&self, longest: Duration) {
        let waiting = self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.0.wake.wait_timeout_while(waiting, longest, |waiting| *waiting == 0));
    }
}

/// Somebody who waits for the index, until it is dropped.
struct Waiting<'a>(&'a Inner);

impl<'a> Waiting<'a> {
    fn begin(inner: &'a Inner) -> Self {
        *inner.waiting.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        inner.wake.notify_one();
        Self(inner)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        *self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
    }
}

impl Store {
    /// Opens the index of calls, which is made if there is none that fits the log, and starts the thread that follows
    /// the events; it ends when the store is closed.
    ///
    /// # Errors
    /// If the index cannot be written.
    pub fn index_calls(&self) -> anyhow::Result<(CallIndex, JoinHandle<()>)> {
        let directory = self.readers.directory();
        let index = CallIndex::of(directory);
        let (readers, shared): (Arc<Readers>, Arc<Shared>) = (self.readers.clone(), self.shared.clone());
        let follower = readers.with(|reader| Ok(StreamConsumer::open(index.clone(), reader)))??;
        let thread = std::thread::Builder::new().name("call-index".into());
        let thread = thread.spawn(move || follower.run(&readers, &shared))?;
        Ok((index, thread))
    }
}

/// Makes the index of calls of a directory anew; gives how many events and how many calls it has.
///
/// # Errors
/// If a server has the directory, or a file cannot be read or written.
pub fn index_calls(directory: &Path, partitions: u8) -> anyhow::Result<(u64, u64)> {
    let _lock = Lock::take(directory)?;
    let reader = Reader::of(directory, partitions)?;
    let index = CallIndex::of(directory);
    tables::remove(&index.0.path)?;
    let mut follower = StreamConsumer::open(index.clone(), &reader)?;
    let mut events = 0;
    loop {
        match follower.step(&reader, Reader::events_after)? {
            0 => break,
            read => events += read,
        }
    }
    let counts = index.count(&CallQuery::default())?;
    Ok((events, counts.total))
}

#[cfg(test)]
mod tests;
