//! Checksums of rows: each row of a log carries one, over what it holds and over that of the row before it.
//!
//! A row is looked at whenever it is read, so that what a disk has changed is never told. That each row names the
//! one before it shows rows that were removed, wherever positions may have gaps of their own.

use hookswitch_model::{Logged, TelephonySessionId};
use ring::digest::{Context, SHA256};
use rusqlite::{Connection, OptionalExtension as _, Statement, Transaction};

use super::damage::{Damage, Harm};
use super::partition::Partition;
use super::sqlite;

/// An input as it is sealed: all but the mark of what it caused, which is set later.
#[derive(Clone, Copy)]
pub(super) struct InputSeal<'a> {
    pub(super) position: i64,
    pub(super) kind: u8,
    pub(super) source: u16,
    pub(super) at: i64,
    pub(super) arrival: i64,
    pub(super) place: &'a [u8],
    pub(super) body: &'a [u8],
}

/// An event as it is sealed.
#[derive(Clone, Copy)]
pub(super) struct EventSeal<'a> {
    pub(super) position: i64,
    pub(super) sequence: u32,
    pub(super) at: i64,
    pub(super) arrival: i64,
    pub(super) body: &'a [u8],
}

impl InputSeal<'_> {
    /// Its checksum behind a row with this one; 0 for a row that has none before it.
    pub(super) fn sum(self, before: i64) -> i64 {
        let numbers =
            [before, self.position, i64::from(self.kind), i64::from(self.source), self.at, self.arrival];
        sum(&numbers, &[self.place, self.body])
    }
}

impl EventSeal<'_> {
    /// Its checksum behind a row with this one; 0 for a row that has none before it.
    pub(super) fn sum(self, before: i64) -> i64 {
        sum(&[before, self.position, i64::from(self.sequence), self.at, self.arrival], &[self.body])
    }
}

/// A checksum of a saved state.
pub(super) fn of_state(position: u64, version: u32, state: &[u8]) -> i64 {
    sum(&[position.cast_signed(), i64::from(version)], &[state])
}

/// A checksum of a message of a stream, as its header has it.
pub(super) fn of_message(message: &[u8]) -> String {
    format!("{:016x}", sum(&[], &[message]))
}

/// 64 bits of SHA-256, never 0.
fn sum(numbers: &[i64], parts: &[&[u8]]) -> i64 {
    let mut context = Context::new(&SHA256);
    let mut head = [0_u8; 64];
    let lengths = parts.iter().map(|part| i64::try_from(part.len()).unwrap_or(i64::MAX));
    let mut used = 0;
    for (place, number) in head.chunks_exact_mut(8).zip(numbers.iter().copied().chain(lengths)) {
        place.copy_from_slice(&number.to_le_bytes());
        used += 8;
    }
    context.update(&head[..used]);
    for part in parts {
        context.update(part);
    }
    let digest = context.finish();
    let mut first = [0; 8];
    first.copy_from_slice(&digest.as_ref()[..8]);
    match i64::from_le_bytes(first) {
        0 => 1,
        sum => sum,
    }
}

/// The checksum of the last row of a table before a position; 0 if there is none.
pub(super) fn last(connection: &Connection, table: &str, before: i64) -> rusqlite::Result<i64> {
    let sql = format!("SELECT sum FROM {table} WHERE position < ? ORDER BY position DESC LIMIT 1");
    Ok(connection.prepare_cached(&sql)?.query_row([before], |row| row.get(0)).optional()?.unwrap_or(0))
}

/// The columns of an input that are sealed, then the checksum before and its own.
const INPUTS: &str =
    "SELECT position, kind, source, at, arrival, place, body, before, sum FROM signals ORDER BY position";

/// The columns of an event that are sealed, likewise.
const EVENTS: &str =
    "SELECT position, sequence, at, arrival, body, before, sum FROM events ORDER BY position";

/// Seals all rows as they are, for a store that has none sealed.
pub(super) fn all(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    let inputs = transaction.prepare("UPDATE signals SET before = ?, sum = ? WHERE position = ?")?;
    chain(inputs, |after| read_inputs(transaction, after))?;
    let events = transaction.prepare("UPDATE events SET before = ?, sum = ? WHERE position = ?")?;
    chain(events, |after| read_events(transaction, after))?;
    let states = transaction
        .prepare("SELECT position, version, state FROM snapshots")?
        .query_map([], |row| Ok((row.get::<_, i64>(0)?, row.get(1)?, row.get::<_, Vec<u8>>(2)?)))?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    for (position, version, state) in states {
        let sum = of_state(position.cast_unsigned(), version, &state);
        transaction.execute("UPDATE snapshots SET sum = ? WHERE position = ?", [sum, position])?;
    }
    Ok(())
}

/// Seals the rows of a table one behind the other, by pieces, so that no statement reads what another changes.
fn chain(mut update: Statement<'_>, read: impl Fn(i64) -> rusqlite::Result<Piece>) -> rusqlite::Result<()> {
    let (mut end, mut before) = (0, 0);
    loop {
        let piece = read(end)?;
        let Some(&(last, ..)) = piece.last() else { return Ok(()) };
        for (position, seal) in piece {
            let sum = seal(before);
            update.execute([before, sum, position])?;
            before = sum;
        }
        end = last;
    }
}

/// Rows behind a position, each with what seals it behind another.
type Piece = Vec<(i64, Box<dyn FnOnce(i64) -> i64>)>;

fn read_inputs(connection: &Connection, after: i64) -> rusqlite::Result<Piece> {
    let mut statement = connection.prepare_cached(
        "SELECT position, kind, source, at, arrival, place, body FROM signals WHERE position > ? \
         ORDER BY position LIMIT 1000",
    )?;
    let piece = statement.query_map([after], |row| {
        let position = row.get(0)?;
        let (kind, source, at, arrival) = (row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?);
        let (place, body): (Vec<u8>, Vec<u8>) = (row.get(5)?, row.get(6)?);
        let seal: Box<dyn FnOnce(i64) -> i64> = Box::new(move |before| {
            InputSeal { position, kind, source, at, arrival, place: &place, body: &body }.sum(before)
        });
        Ok((position, seal))
    })?;
    piece.collect()
}

fn read_events(connection: &Connection, after: i64) -> rusqlite::Result<Piece> {
    let mut statement = connection.prepare_cached(
        "SELECT position, sequence, at, arrival, body FROM events WHERE position > ? ORDER BY position LIMIT 1000",
    )?;
    let piece = statement.query_map([after], |row| {
        let (position, sequence, at, arrival) = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
        let body: Vec<u8> = row.get(4)?;
        let seal: Box<dyn FnOnce(i64) -> i64> =
            Box::new(move |before| EventSeal { position, sequence, at, arrival, body: &body }.sum(before));
        Ok((position, seal))
    })?;
    piece.collect()
}

/// Follows the rows of a log, and notes those that are damaged or missing.
struct Chain {
    rows: &'static str,
    /// The last row and its checksum.
    last: Option<(i64, i64)>,
    found: Vec<Damage>,
}

impl Chain {
    /// Takes the next row; `is_kept_whole` says that no row between it and the one before was removed on purpose.
    fn take(&mut self, position: i64, (before, sum, right): (i64, i64, i64), is_kept_whole: bool) {
        let (rows, at) = (self.rows, position.cast_unsigned());
        if sum != right {
            self.found.push(Damage { rows, first: at, last: at, harm: Harm::Altered });
        } else if let Some((last, last_sum)) = self.last
            && is_kept_whole
            && before != 0
            && before != last_sum
        {
            self.found.push(missing(rows, last.cast_unsigned(), at));
        }
        // What stands before the next is not known if this is damaged.
        self.last = (sum == right).then_some((position, sum));
    }
}

/// All that is damaged or missing, as far as rows tell.
pub(super) fn check(connection: &Connection) -> rusqlite::Result<Vec<Damage>> {
    let mut chain = Chain { rows: "inputs", last: None, found: Vec::new() };
    let mut statement = connection.prepare(INPUTS)?;
    let mut rows = statement.query([])?;
    let (mut partition, mut gone) = (None, 0);
    let mut last = 0;
    while let Some(row) = rows.next()? {
        let position: i64 = row.get(0)?;
        let of = Partition::of_position(position.cast_unsigned());
        if partition != Some(of) {
            (partition, chain.last, last) = (Some(of), None, 0);
            gone = gone_until(connection, of)?;
        }
        chain.found.extend(gap("inputs", last.max(gone).cast_unsigned(), position.cast_unsigned()));
        last = position;
        let Some(seal) = input_seal(row) else {
            chain.take(position, (0, 0, 1), false);
            continue;
        };
        let (before, sum) = (row.get(7)?, row.get(8)?);
        chain.take(position, (before, sum, seal.sum(before)), false);
    }
    let mut found = chain.found;
    let mut chain = Chain { rows: "events", last: None, found: Vec::new() };
    let mut statement = connection.prepare(EVENTS)?;
    let mut rows = statement.query([])?;
    let mut is_first = true;
    while let Some(row) = rows.next()? {
        let position: i64 = row.get(0)?;
        let Some(seal) = event_seal(row) else {
            chain.take(position, (0, 0, 1), false);
            continue;
        };
        let (before, sum) = (row.get(5)?, row.get(6)?);
        if std::mem::take(&mut is_first) && before != 0 && events_gone_until(connection)? == 0 {
            chain.found.push(missing("events", 0, position.cast_unsigned()));
        }
        chain.take(position, (before, sum, seal.sum(before)), true);
    }
    found.append(&mut chain.found);
    Ok(found)
}

/// The input of a row of [`INPUTS`]; none if its columns are not even of the right types.
fn input_seal<'a>(row: &'a rusqlite::Row<'_>) -> Option<InputSeal<'a>> {
    let read = || {
        Some(InputSeal {
            position: row.get(0).ok()?,
            kind: row.get(1).ok()?,
            source: row.get(2).ok()?,
            at: row.get(3).ok()?,
            arrival: row.get(4).ok()?,
            place: row.get_ref(5).ok()?.as_blob().ok()?,
            body: row.get_ref(6).ok()?.as_blob().ok()?,
        })
    };
    read().filter(|_| row.get::<_, i64>(7).is_ok() && row.get::<_, i64>(8).is_ok())
}

/// The event of a row of [`EVENTS`]; none likewise.
fn event_seal<'a>(row: &'a rusqlite::Row<'_>) -> Option<EventSeal<'a>> {
    let read = || {
        Some(EventSeal {
            position: row.get(0).ok()?,
            sequence: row.get(1).ok()?,
            at: row.get(2).ok()?,
            arrival: row.get(3).ok()?,
            body: row.get_ref(4).ok()?.as_blob().ok()?,
        })
    };
    read().filter(|_| row.get::<_, i64>(5).is_ok() && row.get::<_, i64>(6).is_ok())
}

/// The last position up to which inputs of a partition may be missing: they are too old, or are known to be lost.
pub(super) fn gone_until(connection: &Connection, partition: Partition) -> rusqlite::Result<i64> {
    let found: i64 = connection
        .prepare_cached(
            "SELECT max(coalesce((SELECT position FROM swept WHERE log = ?1), 0), \
             coalesce((SELECT max(last) FROM lost WHERE log = ?1), 0))",
        )?
        .query_row([sqlite::swept_signals(partition)], |row| row.get(0))?;
    Ok(found.max(partition.start().cast_signed()))
}

/// The last position up to which events may be missing.
fn events_gone_until(connection: &Connection) -> rusqlite::Result<i64> {
    let sql = "SELECT max(coalesce((SELECT position FROM swept WHERE log = 'events'), 0), \
               coalesce((SELECT max(last) FROM lost WHERE log = 'events'), 0))";
    connection.query_row(sql, [], |row| row.get(0))
}

/// The rows that are missing between two that should follow each other by their numbers.
pub(super) fn gap(rows: &'static str, last: u64, next: u64) -> Option<Damage> {
    (next > last + 1).then(|| missing(rows, last, next))
}

/// Rows that are missing between two.
pub(super) fn missing(rows: &'static str, last: u64, next: u64) -> Damage {
    let first = last + 1;
    Damage { rows, first, last: next.saturating_sub(1).max(first), harm: Harm::Gap }
}

/// Returns whether an event that was found under a session is of it.
pub(super) fn is_of(logged: &Logged, session: TelephonySessionId) -> Result<(), Damage> {
    let at = logged.position;
    let is_of = logged.event.session.id == session;
    is_of.then_some(()).ok_or(Damage { rows: "events", first: at, last: at, harm: Harm::Altered })
}

/// Takes a row that is read of a log: damaged if its checksum says so.
pub(super) fn take(rows: &'static str, position: i64, sum: i64, right: i64) -> Result<(), Damage> {
    let at = position.cast_unsigned();
    if sum == right { Ok(()) } else { Err(Damage { rows, first: at, last: at, harm: Harm::Altered }) }
}
