//! The tables of the index.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::Context as _;
use rusqlite::{Connection, OptionalExtension as _, Transaction, params};

use super::entry::{Entry, Word};
use crate::sqlite::private_file;

/// The version of the tables; an index of another is made anew.
const VERSION: i32 = 2;

const TABLES: &str = "
    -- How far the event log was followed, and what stood there.
    CREATE TABLE state (
        name TEXT PRIMARY KEY,
        value INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE calls (
        number INTEGER PRIMARY KEY, -- position of the first event that is kept
        id TEXT NOT NULL UNIQUE,
        session_id TEXT NOT NULL,
        account INTEGER NOT NULL,
        start INTEGER NOT NULL,     -- microseconds since 1970
        ended INTEGER,              -- absent while it goes on
        last INTEGER NOT NULL,      -- position of the last event
        recorded INTEGER NOT NULL,
        words BLOB NOT NULL         -- numbers of its words, eight bytes each
    );
    CREATE INDEX calls_by_start ON calls (start, number);
    CREATE INDEX calls_by_account ON calls (account, start, number);
    CREATE INDEX calls_open ON calls (start, number) WHERE ended IS NULL;
    CREATE INDEX calls_by_session_id ON calls (session_id);
    CREATE TABLE parties (
        call INTEGER NOT NULL,
        party INTEGER NOT NULL,
        extension INTEGER,
        direction TEXT NOT NULL,
        code TEXT NOT NULL,
        reason TEXT,
        missed INTEGER NOT NULL,
        answered INTEGER NOT NULL,
        voice_mail INTEGER NOT NULL,
        PRIMARY KEY (call, party)
    ) WITHOUT ROWID;
    CREATE INDEX parties_by_extension ON parties (extension, call) WHERE extension IS NOT NULL;
    CREATE INDEX parties_by_reason ON parties (reason, call) WHERE reason IS NOT NULL;
    CREATE INDEX parties_missed ON parties (call) WHERE missed = 1;
    -- Numbers, names, Call-IDs and sources, each once, and the calls that have them.
    CREATE TABLE words (
        number INTEGER PRIMARY KEY,
        kind INTEGER NOT NULL,
        text TEXT NOT NULL,
        UNIQUE (kind, text)
    );
    CREATE TABLE uses (
        word INTEGER NOT NULL,
        call INTEGER NOT NULL,
        PRIMARY KEY (word, call)
    ) WITHOUT ROWID;
    -- Attempts to deliver, as far as they are searched by it; the log has the rest under the same number.
    CREATE TABLE attempts (
        number INTEGER PRIMARY KEY,
        subscription BLOB NOT NULL,
        event INTEGER NOT NULL,
        at INTEGER NOT NULL,
        outcome TEXT NOT NULL,
        status INTEGER,
        lag INTEGER NOT NULL        -- microseconds from the event to the end of the attempt
    );
    CREATE INDEX attempts_by_subscription ON attempts (subscription, at, number);
    CREATE INDEX attempts_failed ON attempts (subscription, at, number) WHERE outcome <> 'delivered';
    CREATE INDEX attempts_by_event ON attempts (event);
";

/// Opens the index for writing; false if it has no tables of this version and is empty now.
pub(super) fn open(path: &Path) -> anyhow::Result<(Connection, bool)> {
    let name = path.display();
    match try_open(path) {
        Ok((connection, VERSION)) => return Ok((connection, true)),
        Ok((_, _)) => {}
        // Nothing is lost with a file that cannot be read.
        Err(error) => tracing::warn!("the index of calls {name} is made anew: {error:#}"),
    }
    remove(path)?;
    let (connection, _) = try_open(path).with_context(|| format!("cannot open {name}"))?;
    connection.execute_batch(TABLES)?;
    connection.pragma_update(None, "user_version", VERSION)?;
    Ok((connection, false))
}

fn try_open(path: &Path) -> anyhow::Result<(Connection, i32)> {
    private_file(path)?;
    let connection = Connection::open(path)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "cache_size", -64 * 1024)?;
    connection.set_prepared_statement_cache_capacity(32);
    let version = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    Ok((connection, version))
}

/// Removes the files of an index.
pub(super) fn remove(path: &Path) -> anyhow::Result<()> {
    for suffix in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        match fs::remove_file(&name) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot remove {}", Path::new(&name).display()));
            }
            _ => {}
        }
    }
    Ok(())
}

/// A number that the index remembers.
pub(super) fn state(connection: &Connection, name: &str) -> rusqlite::Result<Option<i64>> {
    let mut statement = connection.prepare_cached("SELECT value FROM state WHERE name = ?")?;
    statement.query_row([name], |row| row.get(0)).optional()
}

/// Remembers a number.
pub(super) fn set_state(connection: &Connection, name: &str, value: i64) -> rusqlite::Result<()> {
    connection.prepare_cached("INSERT OR REPLACE INTO state VALUES (?, ?)")?.execute(params![name, value])?;
    Ok(())
}

/// The number of a word, which is added if it is new.
pub(super) fn word(transaction: &Transaction<'_>, (kind, text): &Word) -> rusqlite::Result<i64> {
    let kind = *kind as u8;
    let mut known = transaction.prepare_cached("SELECT number FROM words WHERE kind = ? AND text = ?")?;
    if let Some(number) = known.query_row(params![kind, text], |row| row.get(0)).optional()? {
        return Ok(number);
    }
    transaction.prepare_cached("INSERT INTO words (kind, text) VALUES (?, ?)")?.insert(params![kind, text])
}

/// Writes a call over what was there of it; `words` are the numbers of all its words, `fresh` those that are new.
pub(super) fn write(
    transaction: &Transaction<'_>,
    entry: &Entry,
    words: &[i64],
    fresh: &[i64],
) -> rusqlite::Result<()> {
    let number = entry.first.cast_signed();
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let mut put = transaction.prepare_cached(
        "INSERT INTO calls VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT (number) DO UPDATE SET \
         ended = excluded.ended, last = excluded.last, recorded = excluded.recorded, words = excluded.words",
    )?;
    put.execute(params![
        number,
        entry.id,
        entry.session_id,
        entry.account.cast_signed(),
        entry.start,
        entry.end(),
        entry.last.cast_signed(),
        entry.recorded,
        bytes,
    ])?;
    let mut put =
        transaction.prepare_cached("INSERT OR REPLACE INTO parties VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)")?;
    for (party, one) in &entry.parties {
        put.execute(params![
            number,
            party,
            one.extension.map(u64::cast_signed),
            one.direction,
            one.code.as_str(),
            one.reason,
            one.missed,
            one.answered,
            one.voice_mail,
        ])?;
    }
    let mut put = transaction.prepare_cached("INSERT OR IGNORE INTO uses VALUES (?, ?)")?;
    for word in fresh {
        put.execute([*word, number])?;
    }
    Ok(())
}

/// Removes a call, and the words that no other has.
pub(super) fn remove_call(transaction: &Transaction<'_>, number: i64) -> rusqlite::Result<()> {
    let mut read = transaction.prepare_cached("SELECT words FROM calls WHERE number = ?")?;
    let words: Option<Vec<u8>> = read.query_row([number], |row| row.get(0)).optional()?;
    for bytes in words.unwrap_or_default().chunks_exact(8) {
        let word = bytes.try_into().map_or(0, i64::from_le_bytes);
        transaction
            .prepare_cached("DELETE FROM uses WHERE word = ? AND call = ?")?
            .execute([word, number])?;
        transaction
            .prepare_cached(
                "DELETE FROM words WHERE number = ?1 AND NOT EXISTS (SELECT 1 FROM uses WHERE word = ?1)",
            )?
            .execute([word])?;
    }
    transaction.prepare_cached("DELETE FROM parties WHERE call = ?")?.execute([number])?;
    transaction.prepare_cached("DELETE FROM calls WHERE number = ?")?.execute([number])?;
    Ok(())
}

/// The number of a call of this id.
pub(super) fn number_of(connection: &Connection, id: &str) -> rusqlite::Result<Option<i64>> {
    let mut statement = connection.prepare_cached("SELECT number FROM calls WHERE id = ?")?;
    statement.query_row([id], |row| row.get(0)).optional()
}
