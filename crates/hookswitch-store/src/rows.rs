//! Rows of a store as they stand there, for a store that is to say the same: positions, revisions and
//! marks are those of the rows, and nothing is counted anew.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use hookswitch_model::{Logged, TelephonySessionId, Timestamp};
use rusqlite::{Connection, Transaction, params};
use serde::{Deserialize, Serialize};

use super::journal::{self, Journal};
use super::partition::Partition;
use super::progress::{PROGRESS, REDELIVERY};
use super::seal::{self, EventSeal, InputSeal};
use super::writer::number;
use super::{LogEnds, StoreError, record};

/// The most rows that are read at once.
const ROWS_MAX: u64 = 2_000;

/// The bytes behind which no more rows are read at once; one row may be longer.
const BYTES_MAX: usize = 256 * 1024;

/// Kinds of documents that deliveries write down; in a cluster they stand in the log.
pub(crate) const KINDS_OF_LOG: [&str; 2] = [PROGRESS, REDELIVERY];

/// The documents of how far the log was handed out by partitions, which another engine has other ones of.
pub(super) const IS_FEED: &str = "kind = 'progress' AND (id = 'feed' OR id LIKE 'feed.%')";

/// Some rows of a store.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Rows {
    inputs: Vec<InputRow>,
    events: Vec<EventRow>,
    /// Ids of posted signals: the source, the id, the position of the signal.
    ids: Vec<(u16, String, u64)>,
    pub(super) journal: Journal,
    pub(super) documents: Vec<DocumentRow>,
    /// Point up to which logs were swept.
    swept: Vec<(String, u64)>,
    /// Bytes that the ranges of the rows are of.
    #[serde(skip)]
    pub(super) bytes: Vec<u8>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct InputRow {
    position: u64,
    kind: u8,
    source: u16,
    at: i64,
    arrival: i64,
    place: (u32, u32),
    body: (u32, u32),
    /// The last event that it caused.
    event: Option<u64>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct EventRow {
    position: u64,
    arrival: i64,
    body: (u32, u32),
}

/// A document with its kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct DocumentRow {
    pub(super) kind: String,
    pub(super) id: String,
    pub(super) revision: u64,
    pub(super) content: String,
}

impl DocumentRow {
    /// Returns `true` if deliveries write it down.
    pub(super) fn is_of_log(&self) -> bool {
        KINDS_OF_LOG.contains(&&*self.kind)
    }
}

/// Rows to read: behind which, and up to which; behind [`END`] there is nothing.
pub(super) struct Chunk {
    pub(super) rows: Rows,
    pub(super) until: u64,
}

/// Behind all rows.
pub(super) const END: u64 = i64::MAX.cast_unsigned();

impl Rows {
    /// Marks how far the logs were swept.
    pub(super) fn of_swept(connection: &Connection) -> rusqlite::Result<Self> {
        let mut statement = connection.prepare("SELECT log, position FROM swept WHERE position > 0")?;
        let swept =
            statement.query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?.cast_unsigned())))?;
        Ok(Self { swept: swept.collect::<rusqlite::Result<_>>()?, ..Self::default() })
    }

    /// All documents.
    pub(super) fn of_documents(connection: &Connection) -> rusqlite::Result<Self> {
        let mut statement =
            connection.prepare("SELECT kind, id, revision, content FROM documents ORDER BY kind, id")?;
        let documents = statement.query_map([], read_document)?.collect::<rusqlite::Result<_>>()?;
        Ok(Self { documents, ..Self::default() })
    }

    /// Inputs behind a position, and the ids that clients gave to them.
    pub(super) fn inputs_after(connection: &Connection, after: u64) -> rusqlite::Result<Chunk> {
        let mut rows = Self::default();
        let mut statement = connection.prepare_cached(
            "SELECT position, kind, source, at, arrival, place, body, event FROM signals WHERE position > ? \
             ORDER BY position LIMIT ?",
        )?;
        let mut found = statement.query(params![after.cast_signed(), ROWS_MAX.cast_signed()])?;
        let mut until = END;
        while let Some(row) = found.next()? {
            let place = rows.keep(row.get_ref(5)?.as_blob()?);
            let body = rows.keep(row.get_ref(6)?.as_blob()?);
            let input = InputRow {
                position: row.get::<_, i64>(0)?.cast_unsigned(),
                kind: row.get(1)?,
                source: row.get(2)?,
                at: row.get(3)?,
                arrival: row.get(4)?,
                place,
                body,
                event: row.get::<_, Option<i64>>(7)?.map(i64::cast_unsigned),
            };
            let position = input.position;
            rows.inputs.push(input);
            if rows.is_full(rows.inputs.len()) {
                until = position;
                break;
            }
        }
        let mut statement = connection.prepare_cached(
            "SELECT source, id, position FROM ingest_ids WHERE position > ? AND position <= ? ORDER BY position",
        )?;
        let ids = statement.query_map([after.cast_signed(), until.cast_signed()], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get::<_, i64>(2)?.cast_unsigned()))
        })?;
        rows.ids = ids.collect::<rusqlite::Result<_>>()?;
        Ok(Chunk { rows, until })
    }

    /// Events behind a position.
    pub(super) fn events_after(connection: &Connection, after: u64) -> rusqlite::Result<Chunk> {
        let mut rows = Self::default();
        let mut statement = connection.prepare_cached(
            "SELECT position, arrival, body FROM events WHERE position > ? ORDER BY position LIMIT ?",
        )?;
        let mut found = statement.query(params![after.cast_signed(), ROWS_MAX.cast_signed()])?;
        while let Some(row) = found.next()? {
            let position = row.get::<_, i64>(0)?.cast_unsigned();
            let body = rows.keep(row.get_ref(2)?.as_blob()?);
            rows.events.push(EventRow { position, arrival: row.get(1)?, body });
            if rows.is_full(rows.events.len()) {
                return Ok(Chunk { rows, until: position });
            }
        }
        Ok(Chunk { rows, until: END })
    }

    /// Attempts of deliveries, in the order in which they were written down, behind a number of them.
    pub(super) fn attempts_after(connection: &Connection, after: u64) -> rusqlite::Result<Chunk> {
        let (attempts, last) = journal::attempts_after(connection, after, ROWS_MAX)?;
        let until = if (attempts.len() as u64) < ROWS_MAX { END } else { last };
        let rows = Self { journal: Journal { attempts, spans: Vec::new() }, ..Self::default() };
        Ok(Chunk { rows, until })
    }

    /// Stretches of WebSockets, behind a number of them.
    pub(super) fn spans_after(connection: &Connection, after: u64) -> rusqlite::Result<Chunk> {
        let spans = journal::spans_after(connection, after, ROWS_MAX)?;
        let count = spans.len() as u64;
        let until = if count < ROWS_MAX { END } else { after + count };
        let rows = Self { journal: Journal { attempts: Vec::new(), spans }, ..Self::default() };
        Ok(Chunk { rows, until })
    }

    /// These documents.
    pub(super) fn of(documents: Vec<DocumentRow>) -> Self {
        Self { documents, ..Self::default() }
    }

    /// Documents behind a number of them, those that deliveries write down or the others, without feeds; `last` is the one
    /// at that number, if it is known.
    pub(super) fn documents_after(
        connection: &Connection,
        of_log: bool,
        after: u64,
        last: Option<&(String, String)>,
    ) -> rusqlite::Result<Chunk> {
        let which = if of_log { "IN" } else { "NOT IN" };
        let [progress, redelivery] = KINDS_OF_LOG;
        let (kind, id) = last.map_or(("", ""), |(kind, id)| (kind, id));
        let passed_over = if last.is_some() { 0 } else { after.cast_signed() };
        let mut statement = connection.prepare_cached(&format!(
            "SELECT kind, id, revision, content FROM documents WHERE kind {which} (?, ?) AND NOT ({IS_FEED}) \
             AND (kind, id) > (?, ?) ORDER BY kind, id LIMIT ? OFFSET ?"
        ))?;
        let mut found =
            statement.query(params![progress, redelivery, kind, id, ROWS_MAX.cast_signed(), passed_over])?;
        let (mut rows, mut bytes) = (Self::default(), 0);
        while let Some(row) = found.next()? {
            let document = read_document(row)?;
            bytes += document.content.len();
            rows.documents.push(document);
            let count = rows.documents.len() as u64;
            if bytes >= BYTES_MAX || count == ROWS_MAX {
                return Ok(Chunk { rows, until: after + count });
            }
        }
        Ok(Chunk { rows, until: END })
    }

    /// The kind and the id of the last document.
    pub(super) fn last_document(&self) -> Option<(String, String)> {
        self.documents.last().map(|document| (document.kind.clone(), document.id.clone()))
    }

    fn keep(&mut self, bytes: &[u8]) -> (u32, u32) {
        let start = self.bytes.len() as u32;
        self.bytes.extend_from_slice(bytes);
        (start, self.bytes.len() as u32)
    }

    fn is_full(&self, rows: usize) -> bool {
        self.bytes.len() >= BYTES_MAX || rows as u64 == ROWS_MAX
    }

    /// Returns the number of them.
    pub(super) fn len(&self) -> u64 {
        let Journal { attempts, spans } = &self.journal;
        (self.inputs.len() + self.events.len() + attempts.len() + spans.len() + self.documents.len()) as u64
    }

    /// Returns `true` if the ranges of all rows are of the bytes that there are.
    pub(super) fn is_whole(&self) -> bool {
        let inputs = self.inputs.iter().flat_map(|row| [row.place, row.body]);
        let events = self.events.iter().map(|row| row.body);
        inputs.chain(events).all(|range| self.bytes.get(place(range)).is_some())
    }

    /// Inserts the rows; the logs then end where they have rows, or were swept, if that is further.
    pub(super) fn insert(
        &self,
        transaction: &Transaction<'_>,
        ends: &mut LogEnds,
        sessions: &mut HashMap<TelephonySessionId, i64>,
        written: &mut Vec<Logged>,
    ) -> Result<(), StoreError> {
        let mut statement = transaction
            .prepare_cached("INSERT OR IGNORE INTO signals VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")?;
        let first = self.inputs.first().map_or(0, |row| row.position.cast_signed());
        let mut before = seal::last(transaction, "signals", first)?;
        for row in &self.inputs {
            let seal = InputSeal {
                position: row.position.cast_signed(),
                kind: row.kind,
                source: row.source,
                at: row.at,
                arrival: row.arrival,
                place: &self.bytes[place(row.place)],
                body: &self.bytes[place(row.body)],
            };
            let sum = seal.sum(before);
            let InputSeal { position, kind, source, at, arrival, place, body } = seal;
            let event = row.event.map(u64::cast_signed);
            let rows = statement
                .execute(params![position, kind, source, at, arrival, place, body, event, before, sum])?;
            before = if rows > 0 { sum } else { seal::last(transaction, "signals", position + 1)? };
            ends.reach_input(row.position);
        }
        let mut statement =
            transaction.prepare_cached("INSERT OR IGNORE INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?)")?;
        let first = self.events.first().map_or(0, |row| row.position.cast_signed());
        let mut before = seal::last(transaction, "events", first)?;
        for row in &self.events {
            let body = &self.bytes[place(row.body)];
            let event = record::read_event(body)?;
            let seal = EventSeal {
                position: row.position.cast_signed(),
                sequence: event.sequence,
                at: event.at.as_micros(),
                arrival: row.arrival,
                body,
            };
            let sum = seal.sum(before);
            let session = number(transaction, event.session.id, sessions)?;
            let EventSeal { position, sequence, at, arrival, body } = seal;
            let rows =
                statement.execute(params![position, session, sequence, at, arrival, body, before, sum])?;
            before = if rows > 0 { sum } else { seal::last(transaction, "events", position + 1)? };
            if rows > 0 && row.position > ends.events {
                let arrival = Timestamp::from_micros(row.arrival);
                let event = Arc::new(event);
                written.push(Logged { position: row.position, arrival, event, change: None });
                ends.events = row.position;
            }
        }
        let mut statement =
            transaction.prepare_cached("INSERT OR IGNORE INTO ingest_ids VALUES (?, ?, ?)")?;
        for (source, id, position) in &self.ids {
            statement.execute(params![source, id, position.cast_signed()])?;
        }
        journal::write(transaction, &self.journal)?;
        insert_documents(transaction, self.documents.iter())?;
        let mut statement = transaction.prepare_cached(
            "INSERT INTO swept VALUES (?, ?) ON CONFLICT DO UPDATE SET position = max(position, excluded.position)",
        )?;
        for (log, position) in &self.swept {
            statement.execute(params![log, position.cast_signed()])?;
            match log.as_str() {
                "events" => ends.events = ends.events.max(*position),
                log if log.starts_with("signals") => ends.reach_input(*position),
                _ => {}
            }
        }
        Ok(())
    }
}

impl LogEnds {
    /// An input stands there.
    fn reach_input(&mut self, position: u64) {
        let partition = Partition::of_position(position);
        if let Some(end) = self.inputs.get_mut(partition.index()) {
            *end = (*end).max(position);
        }
    }
}

/// Inserts documents as they are, over those that are there.
pub(super) fn insert_documents<'a>(
    transaction: &Transaction<'_>,
    documents: impl Iterator<Item = &'a DocumentRow>,
) -> rusqlite::Result<()> {
    let mut statement = transaction.prepare_cached("INSERT OR REPLACE INTO documents VALUES (?, ?, ?, ?)")?;
    for DocumentRow { kind, id, revision, content } in documents {
        statement.execute(params![kind, id, revision.cast_signed(), content])?;
    }
    Ok(())
}

fn read_document(row: &rusqlite::Row<'_>) -> rusqlite::Result<DocumentRow> {
    let revision = row.get::<_, i64>(2)?.cast_unsigned();
    Ok(DocumentRow { kind: row.get(0)?, id: row.get(1)?, revision, content: row.get(3)? })
}

const fn place((start, end): (u32, u32)) -> Range<usize> {
    start as usize..end as usize
}
