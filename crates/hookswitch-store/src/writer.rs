//! The one thread that writes: whatever came while the last commit was synced goes into the next.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use hookswitch_model::{Logged, TelephonySessionId};
use rusqlite::{Connection, OptionalExtension as _, Transaction, TransactionBehavior, params};
use tokio::sync::oneshot;

use super::batch::Batch;
use super::end::EndFile;
use super::journal::{self, Journal};
use super::metrics::Metrics;
use super::nats::{Entry, Fence, STREAM_LOG, SavedDocuments};
use super::options::Options;
use super::partition::Partition;
use super::retention::Retention;
use super::rows::{DocumentRow, KINDS_OF_LOG, insert_documents};
use super::seal::{self, EventSeal, InputSeal};
use super::{Change, Changed, Ends, Expected, LogEnds, Shared, StoreError, session_key, sqlite};
use crate::clock;

/// Time for which a disk that refuses is left alone before it is tried again.
const RETRY_AFTER: Duration = Duration::from_millis(250);

/// Time that the writer waits for work before it looks for what is older than it is kept.
const IDLE: Duration = Duration::from_secs(1);

/// Rows that are swept at once at least; more when more came in.
const SWEEP_ROWS_MIN: u64 = 2_000;

/// The most sessions whose numbers are remembered.
const SESSIONS_MAX: usize = 200_000;

/// Request to the writer.
pub(super) enum Write {
    Batch(Batch),
    /// Changes of documents, and what is written down beside them.
    Documents {
        changes: Vec<Change>,
        journal: Journal,
        done: oneshot::Sender<Result<Vec<u64>, StoreError>>,
    },
    Snapshot {
        partition: Partition,
        position: u64,
        version: u32,
        state: Vec<u8>,
        /// Set if all inputs of the partition that the log has are applied.
        is_followed: bool,
    },
    /// Contents of a stream up to the message that was `seen`, in its order; a start would go on behind `resume`.
    Follow {
        stream: &'static str,
        seen: u64,
        resume: u64,
        /// Condition that the next messages must rest on.
        fence: Fence,
        entries: Vec<Entry>,
    },
    /// Documents that a stream no longer has, as they were when they were saved.
    Documented {
        stream: &'static str,
        snapshot: SavedDocuments,
    },
}

pub(super) struct Writer {
    directory: PathBuf,
    /// None after a failure, until the database is open again.
    connection: Option<Connection>,
    ends: LogEnds,
    options: Options,
    shared: Arc<Shared>,
    metrics: Metrics,
    /// The numbers of sessions.
    sessions: HashMap<TelephonySessionId, i64>,
    /// Condition that the streams' messages must rest on, as it is written.
    fence: Fence,
    /// Rows written since the last sweep.
    unswept: u64,
    retention: Retention,
    /// Place where it is noted up to where inputs and events were acknowledged; none for a copy, which can be read again.
    end: Option<EndFile>,
}

impl Writer {
    pub(super) fn new(
        directory: PathBuf,
        connection: Connection,
        (ends, end): (LogEnds, Option<EndFile>),
        options: Options,
        shared: Arc<Shared>,
        metrics: Metrics,
    ) -> Self {
        let connection = Some(connection);
        let (sessions, fence, retention) = (HashMap::new(), Fence::default(), Retention::default());
        Self {
            directory,
            connection,
            ends,
            options,
            shared,
            metrics,
            sessions,
            fence,
            unswept: 0,
            retention,
            end,
        }
    }

    /// Writes until nobody can ask any more, or the store is to stop.
    pub(super) fn run(mut self, writes: &Receiver<Write>) {
        let mut swept = clock::now();
        loop {
            match writes.recv_timeout(IDLE) {
                Ok(first) => {
                    let group = std::iter::once(first).chain(writes.try_iter()).collect();
                    if !self.write_surely(group) {
                        return;
                    }
                }
                Err(RecvTimeoutError::Timeout) if self.shared.is_stopping() => break,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if swept.elapsed() >= IDLE {
                swept = clock::now();
                self.sweep();
            }
        }
        if let Some(connection) = self.connection.take() {
            // Then the next start need not read the log. It is read all the same if this fails.
            connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).ok();
        }
    }

    /// Writes a group, however often it takes. False when the store stops before the disk has taken it.
    fn write_surely(&mut self, group: Vec<Write>) -> bool {
        let started = clock::now();
        let mut answers = Vec::new();
        let mut passed_over = loop {
            let error = match self.write(&group, &mut answers) {
                Ok(passed_over) => break passed_over,
                Err(error) => error,
            };
            // Counted before anybody sees that the disk refuses.
            for write in &group {
                if let Write::Batch(batch) = write {
                    self.metrics.failures.inc_by(batch.inputs.len() as u64);
                }
            }
            // Who waits is told; what waits is kept.
            self.fail(&error);
            if self.shared.is_stopping() {
                tracing::error!("stopping, and the disk has not taken what came last: {error}");
                return false;
            }
            std::thread::sleep(RETRY_AFTER);
        };
        self.shared.recovered();
        if passed_over > 0 {
            tracing::warn!(
                events = passed_over,
                "events were handed in that the log has; they are not written again"
            );
        }
        let metrics = self.metrics.clone();
        let mut count_events = |batch: &Batch| {
            let events = batch.events.len() as u64;
            let missing = passed_over.min(events);
            passed_over -= missing;
            metrics.events_stored.inc_by(events - missing);
        };
        self.metrics.commit_seconds.observe(started.elapsed().as_secs_f64());
        let mut answers = answers.into_iter();
        for write in group {
            match write {
                Write::Batch(batch) => {
                    self.unswept += batch.inputs.len() as u64;
                    self.metrics.signals_stored.inc_by(batch.inputs.len() as u64);
                    count_events(&batch);
                    for acknowledge in batch.waiting {
                        acknowledge();
                    }
                }
                Write::Documents { done, .. } => {
                    if let Some(answer) = answers.next() {
                        done.send(answer).ok();
                    }
                }
                Write::Follow { stream, seen, entries, .. } => {
                    self.followed(entries, &mut count_events);
                    self.shared.set_followed(stream, seen);
                }
                Write::Documented { stream, snapshot } => {
                    let of_log = stream == STREAM_LOG;
                    let documents = snapshot.documents.into_iter();
                    let documents = documents.filter(|document| document.is_of_log() == of_log);
                    self.shared.changed.tell(documents.map(changed));
                    if !of_log && self.shared.followed(stream) < snapshot.documents_at {
                        self.shared.set_followed(stream, snapshot.documents_at);
                    }
                }
                Write::Snapshot { .. } => {}
            }
        }
        true
    }

    /// Writes a group as one; `answers` are those to the changes of documents. Gives how many events were passed
    /// over because the log has them.
    fn write(
        &mut self,
        group: &[Write],
        answers: &mut Vec<Result<Vec<u64>, StoreError>>,
    ) -> Result<u64, WriteError> {
        answers.clear();
        let connection = match &mut self.connection {
            Some(connection) => connection,
            closed => {
                let connection = sqlite::open(&self.directory, self.options.durability)?;
                // After a failed sync the kernel may say that pages are on disk which are not. What the
                // log holds is written anew into the database and synced there, before it is believed.
                let busy: i64 =
                    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
                if busy != 0 {
                    return Err(WriteError::Busy);
                }
                self.ends = sqlite::ends(&connection, self.options.partitions)?;
                // A commit that was reported as failed may be there all the same.
                self.shared.tail.restart(self.ends.events);
                closed.insert(connection)
            }
        };
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut ends = self.ends.clone();
        let mut written = Vec::new();
        let mut passed_over = 0;
        for write in group {
            match write {
                Write::Batch(batch) => {
                    let found = ends.of(batch.partition);
                    if batch.after != found && batch.ends().signals <= found.signals {
                        continue; // the commit that was reported as failed has come to the disk
                    }
                    if batch.after != found {
                        return Err(WriteError::NotNext { expected: batch.after, found });
                    }
                    passed_over += insert(&transaction, batch, &mut self.sessions, &mut written)?;
                    ends.set(batch.partition, batch.ends());
                }
                Write::Documents { changes, journal, .. } => {
                    journal::write(&transaction, journal)?;
                    answers.push(change(&transaction, changes)?);
                }
                Write::Snapshot { partition, position, version, state, is_followed } => {
                    let positions = partition.positions();
                    let range = [partition.start().cast_signed(), positions.end().cast_signed()];
                    transaction.execute("DELETE FROM snapshots WHERE position BETWEEN ? AND ?", range)?;
                    let sum = seal::of_state(*position, *version, state);
                    let row = params![position.cast_signed(), version, state, sum];
                    transaction.execute("INSERT INTO snapshots VALUES (?, ?, ?, ?)", row)?;
                    let found = ends.of(*partition);
                    if *is_followed && *position > found.signals {
                        // A partition that was quiet for so long that the log has nothing of it any longer.
                        let row = params![sqlite::swept_signals(*partition), position.cast_signed()];
                        transaction.execute("INSERT OR REPLACE INTO swept VALUES (?, ?)", row)?;
                        ends.set(*partition, Ends { signals: *position, ..found });
                    }
                }
                Write::Follow { stream, resume, fence, entries, .. } => {
                    for entry in entries {
                        match entry {
                            Entry::Batch(batch) => {
                                passed_over +=
                                    follow(&transaction, batch, &mut ends, &mut self.sessions, &mut written)?;
                            }
                            Entry::Changes(changes) => {
                                journal::write(&transaction, &changes.journal)?;
                                for one in &changes.all {
                                    // One that should be the first and is not, is passed over.
                                    change(&transaction, std::slice::from_ref(one))?.ok();
                                }
                            }
                            Entry::Rows(rows) => {
                                rows.insert(&transaction, &mut ends, &mut self.sessions, &mut written)?;
                            }
                            Entry::Term(_) => {}
                        }
                    }
                    follow_to(&transaction, stream, *resume)?;
                    write_fence(&transaction, stream, fence, &mut self.fence)?;
                }
                Write::Documented { stream, snapshot } => restore(&transaction, stream, snapshot)?,
            }
        }
        transaction.commit()?;
        if let Some(end) = &mut self.end {
            end.write(&ends).map_err(anyhow::Error::from)?;
        }
        self.shared.tail.push(written.into_iter().map(|logged| (logged.position, logged)));
        self.shared.committed(&ends);
        self.ends = ends;
        Ok(passed_over)
    }

    /// Counts what was applied of a stream, and tells what has changed.
    fn followed(&mut self, entries: Vec<Entry>, mut count_events: impl FnMut(&Batch)) {
        for entry in entries {
            match entry {
                Entry::Batch(batch) => {
                    self.unswept += batch.inputs.len() as u64;
                    self.metrics.signals_stored.inc_by(batch.inputs.len() as u64);
                    count_events(&batch);
                    self.shared.set_taken(batch.partition, batch.taken);
                }
                Entry::Changes(changes) => {
                    let changed = |change: Change| {
                        let Change { kind, id, content, .. } = change;
                        Changed { kind, id, gone: content.is_none() }
                    };
                    self.shared.changed.tell(changes.all.into_iter().map(changed));
                }
                Entry::Rows(rows) => {
                    let documents = rows.documents.into_iter();
                    self.shared.changed.tell(documents.map(changed));
                }
                Entry::Term(_) => {}
            }
        }
    }

    fn fail(&mut self, error: &WriteError) {
        self.connection = None;
        self.sessions.clear();
        self.fence = Fence::default();
        self.shared.failing(&error.to_string());
    }

    /// Removes some of what is older than it is kept.
    fn sweep(&mut self) {
        let rows = (2 * std::mem::take(&mut self.unswept)).max(SWEEP_ROWS_MIN);
        let options = self.options;
        let Some(connection) = &mut self.connection else { return };
        match self.retention.sweep(connection, options, rows) {
            Ok(true) => self.sessions.clear(),
            Ok(false) => {}
            // What is too old stays a little longer; a disk that refuses shows when it is written to.
            Err(error) => tracing::warn!(%error, "cannot remove what is older than it is kept"),
        }
    }
}

/// Reason why a group was not written.
#[derive(Debug, thiserror::Error)]
enum WriteError {
    #[error("{0}")]
    Sqlite(#[from] rusqlite::Error),
    #[error("{0:#}")]
    Open(#[from] anyhow::Error),
    #[error("{0}")]
    Rows(#[from] StoreError),
    #[error("somebody reads the database and does not stop")]
    Busy,
    #[error("the log ends at {found:?} and not at {expected:?}; another server has written it")]
    NotNext { expected: Ends, found: Ends },
}

/// Inserts a batch that a stream has brought; gives how many events were passed over because the log has them.
fn follow(
    transaction: &Transaction<'_>,
    batch: &Batch,
    ends: &mut LogEnds,
    sessions: &mut HashMap<TelephonySessionId, i64>,
    written: &mut Vec<Logged>,
) -> rusqlite::Result<u64> {
    let partition = batch.partition;
    let found = ends.of(partition).signals;
    if batch.after.signals < found {
        return Ok(0); // it was applied before the stream was followed from here
    }
    if batch.after.signals > found {
        // The stream does not reach so far back.
        tracing::warn!(%partition, found, after = batch.after.signals, "inputs in between are not in the stream any longer");
        let row = params![sqlite::swept_signals(partition), batch.after.signals.cast_signed()];
        transaction.execute("INSERT OR REPLACE INTO swept VALUES (?, ?)", row)?;
    }
    let passed_over = insert(transaction, batch, sessions, written)?;
    let events = if batch.events.is_empty() { ends.events } else { batch.ends().events };
    ends.set(partition, Ends { signals: batch.ends().signals, events });
    if batch.intake > 0 {
        follow_to(transaction, &intake(partition), batch.intake)?;
    }
    Ok(passed_over)
}

/// Brings documents to where they were saved, if that is further than they are here.
///
/// Those that deliveries write down stand in the log, the others in a stream of their own; each are taken
/// when that stream no longer says what was saved.
fn restore(transaction: &Transaction<'_>, stream: &str, snapshot: &SavedDocuments) -> rusqlite::Result<()> {
    let followed = sqlite::followed(transaction, stream)?;
    let (of_log, of_stream): (Vec<_>, Vec<_>) =
        snapshot.documents.iter().partition(|document| document.is_of_log());
    let [progress, redelivery] = KINDS_OF_LOG;
    if stream == STREAM_LOG {
        if snapshot.log_at > followed {
            transaction.execute("DELETE FROM documents WHERE kind IN (?, ?)", [progress, redelivery])?;
            insert_documents(transaction, of_log.into_iter())?;
        }
        return Ok(());
    }
    if snapshot.documents_at > followed {
        transaction.execute("DELETE FROM documents WHERE kind NOT IN (?, ?)", [progress, redelivery])?;
        insert_documents(transaction, of_stream.into_iter())?;
        // The stream has said where they begin; what the log has said since is newer.
        let mut begin = transaction.prepare_cached("INSERT OR IGNORE INTO documents VALUES (?, ?, ?, ?)")?;
        for document in of_log {
            let DocumentRow { kind, id, revision, content } = document;
            begin.execute(params![kind, id, revision.cast_signed(), content])?;
        }
        drop(begin);
        follow_to(transaction, stream, snapshot.documents_at)?;
        follow_to(transaction, sqlite::CHANGED, snapshot.changed)?;
    }
    Ok(())
}

fn changed(document: DocumentRow) -> Changed {
    Changed { kind: document.kind.into(), id: document.id, gone: false }
}

/// Notes how far a stream was followed.
pub(super) fn follow_to(transaction: &Transaction<'_>, stream: &str, sequence: u64) -> rusqlite::Result<()> {
    transaction
        .prepare_cached("INSERT OR REPLACE INTO followed VALUES (?, ?)")?
        .execute(params![stream, sequence.cast_signed()])?;
    Ok(())
}

/// Notes what the next messages of a stream must rest on, where that is not what was noted last.
fn write_fence(
    transaction: &Transaction<'_>,
    stream: &str,
    fence: &Fence,
    written: &mut Fence,
) -> rusqlite::Result<()> {
    if stream != STREAM_LOG {
        if fence.changed != written.changed {
            follow_to(transaction, sqlite::CHANGED, fence.changed)?;
            written.changed = fence.changed;
        }
        return Ok(());
    }
    for (&partition, &term) in &fence.terms {
        if written.terms.get(&partition) != Some(&term) {
            follow_to(transaction, &sqlite::term(partition), term)?;
            written.terms.insert(partition, term);
        }
    }
    Ok(())
}

/// Under which name it stands how far the intake of a partition was taken.
pub(super) fn intake(partition: Partition) -> String {
    format!("intake.{partition}")
}

/// Inserts a batch; gives how many of its events were passed over because the log has them.
///
/// The machine hands in none of those. A log that an older version has written to NATS has some.
fn insert(
    transaction: &Transaction<'_>,
    batch: &Batch,
    sessions: &mut HashMap<TelephonySessionId, i64>,
    written: &mut Vec<Logged>,
) -> rusqlite::Result<u64> {
    let first = batch.after.signals + 1;
    // The last event that each input of the batch has caused; 0 is none. Inputs of earlier batches that
    // have caused one of these events are marked below.
    let mut caused = vec![0_u64; batch.inputs.len()];
    let mut earlier = Vec::new();
    for (position, row) in (batch.after.events + 1..).zip(&batch.events) {
        for &signal in &row.causes {
            let index = signal.checked_sub(first).and_then(|index| usize::try_from(index).ok());
            match index.and_then(|index| caused.get_mut(index)) {
                Some(event) => *event = position,
                None => earlier.push((signal, position)),
            }
        }
    }
    let mut before =
        if batch.inputs.is_empty() { 0 } else { seal::last(transaction, "signals", first.cast_signed())? };
    let mut statement =
        transaction.prepare_cached("INSERT INTO signals VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")?;
    for ((position, row), event) in (first..).zip(&batch.inputs).zip(caused) {
        let seal = InputSeal {
            position: position.cast_signed(),
            kind: row.kind,
            source: row.source,
            at: row.at.as_micros(),
            arrival: row.arrival.as_micros(),
            place: &batch.bytes[row.place.clone()],
            body: &batch.bytes[row.body.clone()],
        };
        let sum = seal.sum(before);
        let InputSeal { position, kind, source, at, arrival, place, body } = seal;
        let event = (event > 0).then_some(event.cast_signed());
        statement.execute(params![position, kind, source, at, arrival, place, body, event, before, sum])?;
        before = sum;
    }
    if !earlier.is_empty() {
        let mut mark = transaction.prepare_cached("UPDATE signals SET event = ? WHERE position = ?")?;
        for (signal, event) in earlier {
            mark.execute([event.cast_signed(), signal.cast_signed()])?;
        }
    }
    let mut passed_over = 0;
    if !batch.events.is_empty() {
        let mut event =
            transaction.prepare_cached("INSERT OR IGNORE INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?)")?;
        let mut before = seal::last(transaction, "events", (batch.after.events + 1).cast_signed())?;
        for (position, row) in (batch.after.events + 1..).zip(&batch.events) {
            let seal = EventSeal {
                position: position.cast_signed(),
                sequence: row.sequence,
                at: row.at.as_micros(),
                arrival: row.arrival.as_micros(),
                body: &batch.bytes[row.body.clone()],
            };
            let sum = seal.sum(before);
            let session = number(transaction, row.session, sessions)?;
            let EventSeal { sequence, at, arrival, body, .. } = seal;
            let rows =
                event.execute(params![seal.position, session, sequence, at, arrival, body, before, sum])?;
            if rows > 0 {
                before = sum;
                let (arrival, event) = (row.arrival, row.event.clone());
                written.push(Logged { position, arrival, event, change: None });
            } else {
                before = seal::last(transaction, "events", seal.position + 1)?;
                passed_over += 1;
            }
        }
    }
    if !batch.ids.is_empty() {
        let mut statement =
            transaction.prepare_cached("INSERT OR IGNORE INTO ingest_ids VALUES (?, ?, ?)")?;
        for id in &batch.ids {
            statement.execute(params![id.source, id.id, id.position.cast_signed()])?;
        }
    }
    Ok(passed_over)
}

/// The number of a session, which it gets with its first event.
pub(super) fn number(
    transaction: &Transaction<'_>,
    session: TelephonySessionId,
    sessions: &mut HashMap<TelephonySessionId, i64>,
) -> rusqlite::Result<i64> {
    if let Some(&number) = sessions.get(&session) {
        return Ok(number);
    }
    if sessions.len() >= SESSIONS_MAX {
        sessions.clear();
    }
    let key = session_key(session);
    let known = transaction
        .prepare_cached("SELECT number FROM sessions WHERE id = ?")?
        .query_row([key], |row| row.get(0))
        .optional()?;
    let number = if let Some(number) = known {
        number
    } else {
        transaction.prepare_cached("INSERT INTO sessions (id) VALUES (?)")?.execute([key])?;
        transaction.last_insert_rowid()
    };
    sessions.insert(session, number);
    Ok(number)
}

/// Changes documents while nothing else writes.
pub(super) fn amend(connection: &mut Connection, changes: &[Change]) -> anyhow::Result<()> {
    let transaction = connection.transaction()?;
    change(&transaction, changes)??;
    transaction.commit()?;
    Ok(())
}

/// Makes changes of documents if all are as expected.
fn change(
    transaction: &Transaction<'_>,
    changes: &[Change],
) -> rusqlite::Result<Result<Vec<u64>, StoreError>> {
    let mut revisions = Vec::with_capacity(changes.len());
    for change in changes {
        let found = transaction
            .prepare_cached("SELECT revision FROM documents WHERE kind = ? AND id = ?")?
            .query_row([&*change.kind, &change.id], |row| row.get::<_, i64>(0))
            .optional()?
            .map(i64::cast_unsigned);
        let fits = match change.expected {
            Expected::Any => true,
            Expected::Absent => found.is_none(),
            Expected::Revision(revision) => found == Some(revision),
        };
        if !fits {
            return Ok(Err(StoreError::Conflict { kind: change.kind.clone(), id: change.id.clone() }));
        }
        revisions.push(found.unwrap_or(0) + 1);
    }
    for (change, revision) in changes.iter().zip(&revisions) {
        match &change.content {
            Some(content) => transaction
                .prepare_cached("INSERT OR REPLACE INTO documents VALUES (?, ?, ?, ?)")?
                .execute(params![change.kind, change.id, revision.cast_signed(), content])?,
            None => transaction
                .prepare_cached("DELETE FROM documents WHERE kind = ? AND id = ?")?
                .execute([&*change.kind, &change.id])?,
        };
    }
    Ok(Ok(revisions))
}
