//! SQLite behind the doors: one file, one writer, readers beside it.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use anyhow::{Context as _, anyhow};
use hookswitch_model::{Logged, SubscriptionId, TelephonySessionId, Timestamp};
use nix::fcntl::{Flock, FlockArg};
use rusqlite::{Connection, OpenFlags, OptionalExtension as _, params};

use super::damage::Damage;
use super::end;
use super::journal::{self, Attempt, Span};
use super::nats::{CopyStanding, Fence, STREAM_DOCUMENTS, STREAM_LOG, SavedDocuments};
use super::partition::Partition;
use super::record::{self, Columns, Input, Sender, Source};
use super::rows::Rows;
use super::schema::OF_NOTE;
use super::seal::{self, EventSeal, InputSeal};
use super::settings::Durability;
use super::{Document, LogEnds, StoreError, schema, session_key};

/// The database in the data directory.
pub(crate) const FILE: &str = "hookswitch.db";

/// The file that is locked while a server has the directory.
const LOCK: &str = "lock";

/// Pages of the log before they are moved into the database: 64 MiB. Moving seldom costs least, and
/// a restart reads the log in a moment.
const CHECKPOINT_PAGES: i32 = 16 * 1024;

/// Statements that a connection keeps prepared.
const STATEMENTS_KEPT: usize = 64;

/// The lock on a data directory; ends with the process, however that ends.
pub(crate) struct Lock(#[expect(dead_code, reason = "it is held, not used")] Flock<File>);

impl Lock {
    /// Makes the directory if it is not there, and takes it for this process alone.
    pub(crate) fn take(directory: &Path) -> anyhow::Result<Self> {
        let name = directory.display();
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .with_context(|| format!("cannot make the data directory {name}"))?;
        let file = private_file(&directory.join(LOCK))
            .with_context(|| format!("cannot write in the data directory {name}"))?;
        let lock = Flock::lock(file, FlockArg::LockExclusiveNonblock);
        let lock = lock.map_err(|_| {
            anyhow!("another Hookswitch has the data directory {name}; stop it, or set store.directory")
        })?;
        Ok(Self(lock))
    }
}

/// Opens a file that only its owner can read, and makes it if it is not there.
pub(crate) fn private_file(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().create(true).truncate(false).read(true).write(true).mode(0o600).open(path)
}

/// Tells whether a directory has a database.
pub(crate) fn is_there(directory: &Path) -> bool {
    directory.join(FILE).exists()
}

/// Opens the database of a directory for writing.
pub(crate) fn open(directory: &Path, durability: Durability) -> anyhow::Result<Connection> {
    let path = directory.join(FILE);
    let name = path.display().to_string();
    // SQLite gives its log the mode of the database.
    private_file(&path).with_context(|| format!("cannot open {name}"))?;
    let mut connection = Connection::open(&path).with_context(|| format!("cannot open {name}"))?;
    prepare(&mut connection, durability).with_context(|| format!("cannot open {name}"))?;
    schema::migrate(&mut connection, &name)?;
    Ok(connection)
}

fn prepare(connection: &mut Connection, durability: Durability) -> rusqlite::Result<()> {
    connection.pragma_update(None, "journal_mode", "WAL")?;
    let synchronous = match durability {
        Durability::Strict => "FULL",
        Durability::Relaxed => "NORMAL",
    };
    connection.pragma_update(None, "synchronous", synchronous)?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    connection.pragma_update(None, "cache_size", -64 * 1024)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    Ok(())
}

/// Returns where the logs end, that of inputs for each of a number of partitions.
pub(super) fn ends(connection: &Connection, partitions: u8) -> rusqlite::Result<LogEnds> {
    // Swept rows leave the ends where they were.
    let end = |table: &str, log: &str, first: u64, last: u64| {
        connection.query_row(
            &format!(
                "SELECT max(coalesce((SELECT max(position) FROM {table} WHERE position BETWEEN ?1 AND ?2), 0), \
                 coalesce((SELECT position FROM swept WHERE log = ?3), 0), \
                 coalesce((SELECT max(last) FROM lost WHERE log = ?3), 0))"
            ),
            params![first.cast_signed(), last.cast_signed(), log],
            |row| row.get::<_, i64>(0).map(i64::cast_unsigned),
        )
    };
    let inputs = Partition::all(partitions).map(|partition| {
        let positions = partition.positions();
        let found = end("signals", &swept_signals(partition), *positions.start(), *positions.end())?;
        Ok(found.max(partition.start()))
    });
    let inputs = inputs.collect::<rusqlite::Result<_>>()?;
    Ok(LogEnds { inputs, events: end("events", "events", 0, i64::MAX.cast_unsigned())? })
}

/// Returns `true` if a store holds nothing.
pub(super) fn is_empty(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row(
        "SELECT NOT EXISTS (SELECT 1 FROM signals) AND NOT EXISTS (SELECT 1 FROM events) \
         AND NOT EXISTS (SELECT 1 FROM documents) AND NOT EXISTS (SELECT 1 FROM snapshots)",
        [],
        |row| row.get(0),
    )
}

/// Under which name it stands how far the inputs of a partition were swept.
pub(super) fn swept_signals(partition: Partition) -> String {
    if partition == Partition::default() { "signals".to_owned() } else { format!("signals.{partition}") }
}

/// Under which name it stands which change of documents was the last that counted.
pub(super) const CHANGED: &str = "changed";

/// Under which name it stands where the last term of a partition began.
pub(super) fn term(partition: Partition) -> String {
    format!("term.{partition}")
}

/// Returns how far a stream was followed; 0 if it was not.
pub(super) fn followed(connection: &Connection, stream: &str) -> rusqlite::Result<u64> {
    let sequence = connection
        .prepare_cached("SELECT sequence FROM followed WHERE name = ?")?
        .query_row([stream], |row| row.get::<_, i64>(0))
        .optional()?;
    Ok(sequence.map_or(0, i64::cast_unsigned))
}

/// Connections that read beside the writer, kept for the next who reads.
pub(super) struct Readers {
    path: PathBuf,
    partitions: u8,
    idle: Mutex<Vec<Reader>>,
}

/// The most idle connections that are kept.
const IDLE_MAX: usize = 8;

impl Readers {
    pub(super) fn new(directory: &Path, partitions: u8) -> Self {
        Self { path: directory.join(FILE), partitions, idle: Mutex::new(Vec::new()) }
    }

    /// The data directory.
    pub(super) fn directory(&self) -> &Path {
        self.path.parent().unwrap_or(&self.path)
    }

    pub(super) fn with<T>(
        &self,
        read: impl FnOnce(&Reader) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let idle = self.idle.lock().ok().and_then(|mut idle| idle.pop());
        let reader = match idle {
            Some(reader) => reader,
            None => Reader::open(&self.path, self.partitions)?,
        };
        let result = read(&reader);
        if result.is_ok()
            && let Ok(mut idle) = self.idle.lock()
            && idle.len() < IDLE_MAX
        {
            idle.push(reader);
        }
        result
    }
}

/// A connection that reads, how many partitions there are, and the data directory.
pub struct Reader(Connection, u8, Option<PathBuf>);

/// A log by its table.
#[derive(Clone, Copy, Debug)]
pub enum Log {
    /// The inputs of a partition.
    Signals(Partition),
    /// The events.
    Events,
}

impl Log {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Signals(_) => "signals",
            Self::Events => "events",
        }
    }
}

/// An input with its place in the log.
pub struct LoggedInput<'a> {
    /// Its position in the signal log.
    pub position: u64,
    /// Time when it came in, by the clock of the server.
    pub arrival: Timestamp,
    /// The input as it is stored.
    pub columns: Columns<'a>,
}

impl Reader {
    /// Opens the database of a data directory beside its writer, if there is one.
    pub fn of(directory: &Path, partitions: u8) -> anyhow::Result<Self> {
        let path = directory.join(FILE);
        let name = path.display();
        anyhow::ensure!(path.exists(), "there is no {name}; name the configuration of a server that has run");
        let reader = Self::open(&path, partitions).with_context(|| format!("cannot open {name}"))?;
        schema::check_current(&reader.0, &name.to_string())?;
        Ok(reader)
    }

    fn open(path: &Path, partitions: u8) -> rusqlite::Result<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
        Ok(Self(connection, partitions, path.parent().map(Path::to_owned)))
    }

    /// Returns the number of partitions.
    pub const fn partitions(&self) -> u8 {
        self.1
    }

    /// Hands out the inputs of a partition behind a position, in order, until one is refused.
    pub fn inputs(
        &self,
        partition: Partition,
        after: u64,
        mut each: impl FnMut(LoggedInput<'_>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let positions = partition.positions();
        let after = after.max(partition.start());
        let gone = seal::gone_until(&self.0, partition)?.cast_unsigned();
        let mut last = after;
        self.each_input(
            "position > ? AND position <= ?",
            [after.cast_signed(), positions.end().cast_signed()],
            |logged| {
                if let Some(gap) = seal::gap("inputs", last.max(gone), logged.position) {
                    return Err(gap.into());
                }
                last = logged.position;
                each(logged)
            },
        )
    }

    /// Hands out the inputs of a partition that are kept without a gap, and before them the settings and
    /// sources that they rest on.
    pub fn kept_inputs(
        &self,
        partition: Partition,
        each: impl FnMut(LoggedInput<'_>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let positions = partition.positions();
        self.each_input(
            &format!(
                "position BETWEEN ?1 AND ?2 AND ({OF_NOTE} \
                 OR position > coalesce((SELECT position FROM swept WHERE log = ?3), 0))"
            ),
            params![positions.start().cast_signed(), positions.end().cast_signed(), swept_signals(partition)],
            each,
        )
    }

    /// All sources that the log names, each with the position of the input that names it.
    pub(super) fn sources_of_log(&self) -> Result<Vec<(u64, Source)>, StoreError> {
        let mut sources = Vec::new();
        let kind = record::kind::SOURCE;
        self.each_input(&format!("{OF_NOTE} AND kind = {kind}"), [], |logged| {
            if let Input::Source(source) = Input::read(logged.columns)? {
                sources.push((logged.position, source));
            }
            Ok(())
        })
        .map_err(StoreError::Log)?;
        Ok(sources)
    }

    fn each_input(
        &self,
        which: &str,
        parameters: impl rusqlite::Params,
        mut each: impl FnMut(LoggedInput<'_>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let mut statement = self.0.prepare_cached(&format!(
            "SELECT position, kind, source, at, arrival, place, body, before, sum FROM signals WHERE {which} \
             ORDER BY position",
        ))?;
        let mut rows = statement.query(parameters)?;
        while let Some(row) = rows.next()? {
            let columns = Columns {
                kind: row.get(1)?,
                source: row.get(2)?,
                at: Timestamp::from_micros(row.get(3)?),
                place: row.get_ref(5)?.as_blob()?,
                body: row.get_ref(6)?.as_blob()?,
            };
            let position: i64 = row.get(0)?;
            let Columns { kind, source, at, place, body } = columns;
            let (at, arrival) = (at.as_micros(), row.get(4)?);
            let seal = InputSeal { position, kind, source, at, arrival, place, body };
            seal::take("inputs", position, row.get(8)?, seal.sum(row.get(7)?))?;
            let position = position.cast_unsigned();
            each(LoggedInput { position, arrival: Timestamp::from_micros(row.get(4)?), columns })?;
        }
        Ok(())
    }

    /// Some events behind a position, in order; fewer than `limit` at the end of the log.
    pub fn events_after(&self, after: u64, limit: usize) -> Result<Vec<Logged>, StoreError> {
        let mut last = None;
        self.checked_events(
            "SELECT position, body, arrival, sequence, at, before, sum FROM events WHERE position > ? \
             ORDER BY position LIMIT ?",
            params![after.cast_signed(), i64::try_from(limit).unwrap_or(i64::MAX)],
            |logged, (before, sum)| {
                let known = last.replace((logged.position, sum));
                match known {
                    Some((last, sum)) if before != 0 && before != sum => {
                        Err(seal::missing("events", last, logged.position))
                    }
                    _ => Ok(()),
                }
            },
        )
    }

    /// The events at these positions, as far as they are kept, in the order in which they are named.
    pub fn events_at(&self, positions: &[u64]) -> Result<Vec<Logged>, StoreError> {
        let mut found = Vec::with_capacity(positions.len());
        for position in positions {
            let sql =
                "SELECT position, body, arrival, sequence, at, before, sum FROM events WHERE position = ?";
            found.append(&mut self.events(sql, [position.cast_signed()])?);
        }
        Ok(found)
    }

    /// The events of a session that are kept, in the order of their sequence.
    pub fn events_of(&self, session: TelephonySessionId) -> Result<Vec<Logged>, StoreError> {
        self.checked_events(
            "SELECT position, body, arrival, sequence, at, before, sum FROM events \
             WHERE session = (SELECT number FROM sessions WHERE id = ?) ORDER BY sequence",
            [session_key(session)],
            |logged, _| seal::is_of(logged, session),
        )
    }

    /// Some events of a session behind a sequence, in the order of their sequence; so many at most.
    pub fn events_of_after(
        &self,
        session: TelephonySessionId,
        after: u32,
        limit: usize,
    ) -> Result<Vec<Logged>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.checked_events(
            "SELECT position, body, arrival, sequence, at, before, sum FROM events \
             WHERE session = (SELECT number FROM sessions WHERE id = ?1) AND sequence > ?2 \
             ORDER BY sequence LIMIT ?3",
            params![session_key(session), after, limit],
            |logged, _| seal::is_of(logged, session),
        )
    }

    /// The sequence of the last event of a session that is kept; 0 if none is.
    pub fn last_sequence(&self, session: TelephonySessionId) -> Result<u32, StoreError> {
        let mut statement = self.0.prepare_cached(
            "SELECT max(sequence) FROM events WHERE session = (SELECT number FROM sessions WHERE id = ?)",
        )?;
        let last: Option<u32> = statement.query_row([session_key(session)], |row| row.get(0))?;
        Ok(last.unwrap_or(0))
    }

    /// Returns whether an event of this session and sequence stands at or before a position.
    pub fn has_event(
        &self,
        session: TelephonySessionId,
        sequence: u32,
        until: u64,
    ) -> Result<bool, StoreError> {
        let mut statement = self.0.prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM events WHERE session = (SELECT number FROM sessions WHERE id = ?) \
             AND sequence = ? AND position <= ?)",
        )?;
        let parameters = params![session_key(session), sequence, until.cast_signed()];
        Ok(statement.query_row(parameters, |row| row.get(0))?)
    }

    fn events(&self, sql: &str, parameters: impl rusqlite::Params) -> Result<Vec<Logged>, StoreError> {
        self.checked_events(sql, parameters, |_, _| Ok(()))
    }

    /// Events whose checksums are right; `is_right` is given each, the checksum before it and its own.
    fn checked_events(
        &self,
        sql: &str,
        parameters: impl rusqlite::Params,
        mut is_right: impl FnMut(&Logged, (i64, i64)) -> Result<(), Damage>,
    ) -> Result<Vec<Logged>, StoreError> {
        let mut statement = self.0.prepare_cached(sql)?;
        let mut rows = statement.query(parameters)?;
        let mut events = Vec::new();
        while let Some(row) = rows.next()? {
            let position: i64 = row.get(0)?;
            let body = row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?;
            let (arrival, sequence, at) = (row.get(2)?, row.get(3)?, row.get(4)?);
            let seal = EventSeal { position, sequence, at, arrival, body };
            let (before, sum) = (row.get(5)?, row.get(6)?);
            seal::take("events", position, sum, seal.sum(before))?;
            let position = position.cast_unsigned();
            let event = Arc::new(record::read_event(body)?);
            let logged = Logged { position, arrival: Timestamp::from_micros(arrival), event, change: None };
            is_right(&logged, (before, sum))?;
            events.push(logged);
        }
        Ok(events)
    }

    /// Sessions that began before one, the newest first, each with its number; all from the newest on
    /// without a number.
    pub fn sessions_before(
        &self,
        before: Option<i64>,
        limit: usize,
    ) -> Result<Vec<(i64, TelephonySessionId)>, StoreError> {
        let mut statement = self.0.prepare_cached(
            "SELECT number, id FROM sessions WHERE number < ? ORDER BY number DESC LIMIT ?",
        )?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let sessions = statement.query_map([before.unwrap_or(i64::MAX), limit], |row| {
            Ok((row.get(0)?, TelephonySessionId::new(u128::from_be_bytes(row.get(1)?))))
        })?;
        Ok(sessions.collect::<rusqlite::Result<_>>()?)
    }

    /// Hands out what names each event, the newest first, until one is the one that was looked for; gives
    /// its position.
    pub fn find_event(
        &self,
        mut is_it: impl FnMut(TelephonySessionId, u32) -> bool,
    ) -> Result<Option<u64>, StoreError> {
        let mut statement = self.0.prepare_cached(
            "SELECT e.position, s.id, e.sequence FROM events e JOIN sessions s ON s.number = e.session \
             ORDER BY e.position DESC",
        )?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let session = TelephonySessionId::new(u128::from_be_bytes(row.get(1)?));
            if is_it(session, row.get(2)?) {
                return Ok(Some(row.get::<_, i64>(0)?.cast_unsigned()));
            }
        }
        Ok(None)
    }

    /// The first position of a log at or behind which everything came in at this time or later; the
    /// position behind its end if nothing did.
    pub fn position_since(&self, log: Log, at: Timestamp) -> Result<u64, StoreError> {
        let (from, to) = match log {
            Log::Signals(partition) => (partition.start() + 1, *partition.positions().end()),
            Log::Events => (1, i64::MAX.cast_unsigned()),
        };
        let log = log.as_str();
        let (first, last) = self.0.query_row(
            &format!(
                "SELECT coalesce(min(position), ?1), coalesce(max(position), ?1 - 1) FROM {log} \
                 WHERE position BETWEEN ?1 AND ?2"
            ),
            [from.cast_signed(), to.cast_signed()],
            |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)),
        )?;
        // Rows come in by the clock on the wall, which is set back seldom and a little.
        let mut next = self.0.prepare_cached(&format!(
            "SELECT arrival FROM {log} WHERE position >= ? ORDER BY position LIMIT 1"
        ))?;
        let (mut low, mut high) = (first, last + 1);
        while low < high {
            let middle = low + (high - low) / 2;
            let arrival: i64 = next.query_row([middle], |row| row.get(0))?;
            if arrival < at.as_micros() {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low.cast_unsigned())
    }

    /// Hands out the inputs between two positions, these included, until one is refused.
    pub fn each_between(
        &self,
        first: u64,
        last: u64,
        each: impl FnMut(LoggedInput<'_>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        self.each_input("position BETWEEN ? AND ?", [first.cast_signed(), last.cast_signed()], each)
    }

    /// Hands out the settings and sources up to a position, until one is refused.
    pub fn notes_until(
        &self,
        last: u64,
        each: impl FnMut(LoggedInput<'_>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        self.each_input(&format!("{OF_NOTE} AND position <= ?"), [last.cast_signed()], each)
    }

    /// The attempts to tell of an event, in the order in which they were made.
    pub fn attempts_of(&self, event: u64) -> Result<Vec<Attempt>, StoreError> {
        Ok(journal::attempts_of(&self.0, event)?)
    }

    /// The attempt of a number that the index of calls has found, if it is kept.
    pub fn attempt(&self, number: u64) -> Result<Option<Attempt>, StoreError> {
        Ok(journal::attempt(&self.0, number)?)
    }

    /// The stretch in which a subscription was sent the event at this position, if one was written; else
    /// the next one behind it.
    pub fn span_at(&self, subscription: SubscriptionId, position: u64) -> Result<Option<Span>, StoreError> {
        Ok(journal::span_at(&self.0, subscription, position)?)
    }

    /// Returns how far a log was swept; of `attempts`, the event behind which they are written down.
    pub fn swept(&self, log: &str) -> Result<u64, StoreError> {
        let mut statement = self.0.prepare_cached("SELECT position FROM swept WHERE log = ?")?;
        let swept = statement.query_row([log], |row| row.get::<_, i64>(0)).optional()?;
        Ok(swept.unwrap_or(0).cast_unsigned())
    }

    /// Returns how far the inputs of a partition were swept.
    pub fn swept_signals(&self, partition: Partition) -> Result<u64, StoreError> {
        self.swept(&swept_signals(partition))
    }

    /// Returns the number of these ids that a sender of a partition has given to signals already.
    pub fn known_ids(
        &self,
        partition: Partition,
        sender: &Sender,
        ids: &[String],
    ) -> Result<usize, StoreError> {
        let mut number = None;
        let positions = partition.positions();
        let range = [positions.start().cast_signed(), positions.end().cast_signed()];
        self.each_input("kind = 5 AND position BETWEEN ? AND ?", range, |logged| {
            if let Input::Source(source) = Input::read(logged.columns)?
                && source.sender == *sender
            {
                number = Some(source.number);
            }
            Ok(())
        })
        .map_err(StoreError::Log)?;
        let Some(number) = number else { return Ok(0) };
        let mut known = 0;
        for id in ids {
            known += usize::from(self.ingest_id(number, id)?.is_some());
        }
        Ok(known)
    }

    /// Returns where the signal is to which a client has given this id.
    pub fn ingest_id(&self, source: u16, id: &str) -> Result<Option<u64>, StoreError> {
        let mut statement =
            self.0.prepare_cached("SELECT position FROM ingest_ids WHERE source = ? AND id = ?")?;
        let position = statement.query_row(params![source, id], |row| row.get::<_, i64>(0)).optional()?;
        Ok(position.map(i64::cast_unsigned))
    }

    /// Returns how far a stream was followed; 0 if it was not.
    pub(super) fn followed(&self, stream: &str) -> Result<u64, StoreError> {
        Ok(followed(&self.0, stream)?)
    }

    /// Returns what the next messages of the streams must rest on to count.
    pub(super) fn fence(&self) -> Result<Fence, StoreError> {
        let mut fence = Fence { changed: followed(&self.0, CHANGED)?, ..Fence::default() };
        for partition in Partition::all(Partition::COUNT_MAX) {
            let term = followed(&self.0, &term(partition))?;
            if term > 0 {
                fence.terms.insert(partition, term);
            }
        }
        Ok(fence)
    }

    /// All documents, and where the streams stood that they follow from.
    pub(super) fn all_documents(&self) -> Result<SavedDocuments, StoreError> {
        let transaction = self.0.unchecked_transaction()?;
        let documents_at = followed(&transaction, STREAM_DOCUMENTS)?;
        let log_at = followed(&transaction, STREAM_LOG)?;
        let changed = followed(&transaction, CHANGED)?;
        let documents = Rows::of_documents(&transaction)?.documents;
        Ok(SavedDocuments { documents_at, log_at, changed, documents })
    }

    /// Returns where it stands as the copy of a log. Documents that `hookswitch init` has made are brought to a log.
    pub(super) fn standing(&self) -> Result<CopyStanding, StoreError> {
        let [log, documents] = [followed(&self.0, STREAM_LOG)?, followed(&self.0, STREAM_DOCUMENTS)?];
        let has_own = log == 0 && documents == 0 && !is_empty(&self.0)?;
        Ok(CopyStanding { is_of_one_server: has_own && self.first_documents()?.is_empty(), log, documents })
    }

    /// The connection, for who reads rows as they are.
    pub(super) const fn connection(&self) -> &Connection {
        &self.0
    }

    /// A document, if it is there.
    pub fn document(&self, kind: &str, id: &str) -> Result<Option<Document>, StoreError> {
        let mut statement =
            self.0.prepare_cached("SELECT id, revision, content FROM documents WHERE kind = ? AND id = ?")?;
        Ok(statement.query_row([kind, id], read_document).optional()?)
    }

    /// All documents of a store that has no log yet, as `hookswitch init` leaves it; none of another, or of a
    /// copy.
    pub(super) fn first_documents(&self) -> Result<Vec<(String, Document)>, StoreError> {
        let is_used = "SELECT EXISTS (SELECT 1 FROM signals) OR EXISTS (SELECT 1 FROM events) \
                       OR EXISTS (SELECT 1 FROM followed)";
        if self.0.query_row(is_used, [], |row| row.get(0))? {
            return Ok(Vec::new());
        }
        let mut statement =
            self.0.prepare_cached("SELECT id, revision, content, kind FROM documents ORDER BY kind, id")?;
        let documents = statement.query_map([], |row| Ok((row.get(3)?, read_document(row)?)))?;
        Ok(documents.collect::<rusqlite::Result<_>>()?)
    }

    /// All documents of a kind, in the order of their ids.
    pub fn documents(&self, kind: &str) -> Result<Vec<Document>, StoreError> {
        let mut statement = self
            .0
            .prepare_cached("SELECT id, revision, content FROM documents WHERE kind = ? ORDER BY id")?;
        let documents = statement.query_map([kind], read_document)?;
        Ok(documents.collect::<rusqlite::Result<_>>()?)
    }

    /// The newest state of a partition that was saved: the position of the last input in it, its version,
    /// its bytes.
    pub fn snapshot(&self, partition: Partition) -> Result<Option<(u64, u32, Vec<u8>)>, StoreError> {
        let mut statement = self.0.prepare_cached(
            "SELECT position, version, state, sum FROM snapshots WHERE position BETWEEN ? AND ? \
             ORDER BY position DESC LIMIT 1",
        )?;
        let read = |row: &rusqlite::Row<'_>| {
            let (position, version): (i64, u32) = (row.get(0)?, row.get(1)?);
            let (state, sum): (Vec<u8>, i64) = (row.get(2)?, row.get(3)?);
            Ok((position.cast_unsigned(), version, state, sum))
        };
        let positions = partition.positions();
        // A state may have been saved before the first input.
        let range = [partition.start().cast_signed(), positions.end().cast_signed()];
        let Some((position, version, state, sum)) = statement.query_row(range, read).optional()? else {
            return Ok(None);
        };
        if sum != seal::of_state(position, version, &state) {
            tracing::error!(position, "a saved state is damaged (checksum); the inputs are read instead");
            return Ok(None);
        }
        Ok(Some((position, version, state)))
    }

    /// Inputs and events that are damaged or missing, or were acknowledged and are gone; all rows are read.
    pub fn damaged_rows(&self) -> Result<Vec<Damage>, StoreError> {
        let known = self.2.as_deref().and_then(end::acknowledged);
        let transaction = self.0.unchecked_transaction()?;
        let mut found = end::lost(&transaction, known.as_ref())?;
        found.append(&mut seal::check(&transaction)?);
        Ok(found)
    }
}

/// Queries of `hookswitch doctor`.
impl Reader {
    /// The version of the tables, if this program can use them.
    pub fn check_version(&self) -> anyhow::Result<i32> {
        schema::check(&self.0, "the database")
    }

    /// Returns what SQLite finds wrong with the file; nothing if it is whole.
    pub fn damage(&self) -> anyhow::Result<Vec<String>> {
        let mut statement = self.0.prepare("PRAGMA quick_check(10)")?;
        let found = statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<Vec<String>>>()?;
        let mut found: Vec<String> = found.into_iter().filter(|line| line != "ok").collect();
        if found.is_empty() {
            found.extend(self.damaged_rows()?.iter().map(ToString::to_string));
        }
        Ok(found)
    }

    /// By how many microseconds the newest messages came later than their stamps say; the median.
    pub fn lag_of_messages(&self, count: u32) -> anyhow::Result<Option<i64>> {
        let mut statement = self
            .0
            .prepare("SELECT arrival - at FROM signals WHERE kind = ? ORDER BY position DESC LIMIT ?")?;
        let lags = statement.query_map((record::kind::MESSAGE, count), |row| row.get(0))?;
        let mut lags = lags.collect::<rusqlite::Result<Vec<i64>>>()?;
        lags.sort_unstable();
        Ok(lags.get(lags.len() / 2).copied())
    }

    /// Returns the time when the oldest event came about that is kept.
    pub fn first_arrival(&self) -> anyhow::Result<Option<Timestamp>> {
        let mut statement = self.0.prepare("SELECT arrival FROM events ORDER BY position LIMIT 1")?;
        Ok(statement.query_row([], |row| row.get(0)).optional()?.map(Timestamp::from_micros))
    }
}

fn read_document(row: &rusqlite::Row<'_>) -> rusqlite::Result<Document> {
    Ok(Document { id: row.get(0)?, revision: row.get::<_, i64>(1)?.cast_unsigned(), content: row.get(2)? })
}
