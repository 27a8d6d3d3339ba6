//! The thread that keeps the index at the end of the event log.

use std::collections::HashMap;
use std::collections::hash_map::Entry as MapEntry;
use std::time::Duration;

use hookswitch_model::{Logged, TelephonySessionId};
use rusqlite::{Connection, Transaction};

use super::entry::{Entry, Word};
use super::{CallIndex, attempts, tables};
use crate::shared::Shared;
use crate::sqlite::Readers;
use crate::{Reader, StoreError, clock};

/// Number of events that are read at once, and become one transaction.
const EVENTS_AT_ONCE: usize = 1000;

/// Number of calls that are removed in one transaction.
const REMOVED_AT_ONCE: u32 = 500;

/// Number of calls and words that are remembered; beyond, all are forgotten and read again when they are needed.
const CALLS_MAX: usize = 20_000;
const WORDS_MAX: usize = 100_000;

/// Time that it waits for events when it has them all: a page of new calls a moment later costs nobody anything.
const IDLE: Duration = Duration::from_millis(100);

/// Factor of the time that it took to write some events, for which it leaves the machine to others while nobody waits.
const REST_TIMES: u32 = 3;

/// Time that it waits even if somebody waits for it, when there is nothing to read.
const PAUSE: Duration = Duration::from_millis(1);

/// Time that it waits after a failure.
const FAILED_WAIT: Duration = Duration::from_millis(500);

/// What follows the events of one store.
pub(super) struct StreamConsumer {
    index: CallIndex,
    connection: Connection,
    /// The last event that the index has.
    followed: u64,
    /// Point up to which the event log was swept when the index was.
    swept: u64,
    sources: Sources,
    open: HashMap<TelephonySessionId, OpenCall>,
    words: HashMap<Word, i64>,
}

/// A call that may change.
struct OpenCall {
    entry: Entry,
    words: Vec<i64>,
    fresh: Vec<Word>,
}

/// Names of sources by their numbers, from which input on.
#[derive(Default)]
struct Sources(HashMap<u16, Vec<(u64, String)>>);

impl Sources {
    fn read(reader: &Reader) -> Result<Self, StoreError> {
        let mut names: HashMap<u16, Vec<(u64, String)>> = HashMap::new();
        for (position, source) in reader.sources_of_log()? {
            names.entry(source.number).or_default().push((position, source.sender.name().to_owned()));
        }
        Ok(Self(names))
    }

    /// The name of the source of an input.
    fn name(&self, number: u16, position: u64) -> Option<String> {
        let names = self.0.get(&number)?;
        names.iter().rev().find(|(from, _)| *from <= position).map(|(_, name)| name.clone())
    }
}

/// Returns what tells the event of a log from that of another log at the same position.
fn mark(logged: &Logged) -> i64 {
    let session = logged.event.session.id.as_u128();
    ((session ^ (session >> 64)) as u64 ^ u64::from(logged.event.sequence)).cast_signed()
}

impl StreamConsumer {
    /// Opens the index beside its log; one that does not fit the log is made anew.
    pub(super) fn open(index: CallIndex, reader: &Reader) -> anyhow::Result<Self> {
        let path = &index.0.path;
        let (mut connection, is_there) = tables::open(path)?;
        if is_there && !fits(&connection, reader)? {
            tracing::info!("the index of calls does not belong to this log, and is rebuilt");
            drop(connection);
            tables::remove(path)?;
            index.forget_connections();
            (connection, _) = tables::open(path)?;
        }
        let number = |name| Ok::<_, rusqlite::Error>(tables::state(&connection, name)?.unwrap_or(0));
        let (followed, swept) = (number("followed")?.cast_unsigned(), number("swept")?.cast_unsigned());
        index.0.followed.send_replace(followed);
        let sources = Sources::default();
        let (open, words) = (HashMap::new(), HashMap::new());
        Ok(Self { index, connection, followed, swept, sources, open, words })
    }

    /// Follows until the store is closed.
    pub(super) fn run(mut self, readers: &Readers, shared: &Shared) {
        let mut has_failed = false;
        while !shared.is_stopping() {
            let began = clock::now();
            let step = readers.with(|reader| {
                self.step(reader, |reader, after, limit| match shared.tail.after(after, limit) {
                    Some(newest) => Ok(newest),
                    None => reader.events_after(after, limit),
                })
            });
            match step {
                Ok(read) => {
                    has_failed = false;
                    let full = read as usize >= EVENTS_AT_ONCE;
                    self.index.rest(if full { began.elapsed() * REST_TIMES } else { IDLE });
                    if read == 0 {
                        std::thread::sleep(PAUSE);
                    }
                }
                Err(error) => {
                    if !std::mem::replace(&mut has_failed, true) {
                        tracing::error!(%error, "the index of calls cannot be kept; searches miss what came since");
                    }
                    std::thread::sleep(FAILED_WAIT);
                }
            }
        }
    }

    /// Adds some events and attempts, and removes what the log does not have any more; gives how many there were.
    pub(super) fn step(
        &mut self,
        reader: &Reader,
        events_after: impl FnOnce(&Reader, u64, usize) -> Result<Vec<Logged>, StoreError>,
    ) -> Result<u64, StoreError> {
        let done = self.try_step(reader, events_after);
        if done.is_err() {
            // What was not committed is not in the tables.
            self.forget();
            self.followed = tables::state(&self.connection, "followed")?.unwrap_or(0).cast_unsigned();
        }
        done
    }

    fn try_step(
        &mut self,
        reader: &Reader,
        events_after: impl FnOnce(&Reader, u64, usize) -> Result<Vec<Logged>, StoreError>,
    ) -> Result<u64, StoreError> {
        self.sweep(reader)?;
        let attempts = attempts::follow(&mut self.connection, reader)?;
        let events = events_after(reader, self.followed, EVENTS_AT_ONCE)?;
        let Some(last) = events.last() else {
            // Nothing is behind this, or all that was is gone.
            self.index.0.followed.send_replace(self.followed.max(self.swept));
            return Ok(attempts);
        };
        self.sources = Sources::read(reader)?;
        self.add(reader, &events)?;
        self.followed = last.position;
        self.index.0.followed.send_replace(self.followed);
        Ok(attempts.max(events.len() as u64))
    }

    /// Adds events, in the order of the log.
    fn add(&mut self, reader: &Reader, events: &[Logged]) -> Result<(), StoreError> {
        if self.open.len() > CALLS_MAX || self.words.len() > WORDS_MAX {
            self.forget();
        }
        let Self { connection, open, words, sources, followed, .. } = self;
        let transaction = connection.transaction()?;
        let mut touched: Vec<TelephonySessionId> = Vec::new();
        for logged in events {
            let id = logged.event.session.id;
            let call = match open.entry(id) {
                MapEntry::Occupied(known) => known.into_mut(),
                MapEntry::Vacant(place) => {
                    let known = known(&transaction, reader, id, *followed, sources)?;
                    if known.is_some() {
                        // Words that it alone had are gone until it is written.
                        words.clear();
                    }
                    place.insert(known.unwrap_or_else(|| OpenCall::new(Entry::begin(logged))))
                }
            };
            let fresh = call.entry.add(logged, |number, position| sources.name(number, position));
            call.fresh.extend(fresh);
            touched.push(id);
        }
        touched.sort_unstable();
        touched.dedup();
        for id in touched {
            let Some(call) = open.get_mut(&id) else { continue };
            call.write(&transaction, words)?;
            if call.entry.end().is_some() {
                open.remove(&id);
            }
        }
        if let Some(last) = events.last() {
            tables::set_state(&transaction, "followed", last.position.cast_signed())?;
            tables::set_state(&transaction, "mark", mark(last))?;
        }
        Ok(transaction.commit()?)
    }

    /// Removes calls whose events are gone; one of which some are left is as these tell it.
    fn sweep(&mut self, reader: &Reader) -> Result<(), StoreError> {
        let swept = reader.swept("events")?;
        if swept <= self.swept {
            return Ok(());
        }
        loop {
            self.forget();
            let Self { connection, words, sources, followed, .. } = self;
            let transaction = connection.transaction()?;
            let gone: Vec<(i64, String, i64)> = transaction
                .prepare_cached(
                    "SELECT number, id, last FROM calls WHERE number <= ? ORDER BY number LIMIT ?",
                )?
                .query_map([swept.cast_signed(), REMOVED_AT_ONCE.into()], |row| {
                    Ok((row.get(0)?, row.get(1)?, row.get(2)?))
                })?
                .collect::<rusqlite::Result<_>>()?;
            let is_last = gone.len() < REMOVED_AT_ONCE as usize;
            for (number, id, last) in gone {
                tables::remove_call(&transaction, number)?;
                if last <= swept.cast_signed() {
                    continue;
                }
                let id = TelephonySessionId::parse(&id);
                if let Some(id) = id
                    && let Some(mut left) = from_log(reader, id, *followed, sources)?
                {
                    left.write(&transaction, words)?;
                }
            }
            if is_last {
                attempts::sweep(&transaction, swept)?;
                tables::set_state(&transaction, "swept", swept.cast_signed())?;
            }
            transaction.commit()?;
            if is_last {
                self.swept = swept;
                self.forget();
                return Ok(());
            }
        }
    }

    fn forget(&mut self) {
        self.open.clear();
        self.words.clear();
    }
}

/// Returns whether an index is one of this log.
fn fits(connection: &Connection, reader: &Reader) -> anyhow::Result<bool> {
    let followed = tables::state(connection, "followed")?.unwrap_or(0).cast_unsigned();
    let there = reader.events_at(&[followed])?;
    Ok(match there.first() {
        Some(logged) => tables::state(connection, "mark")? == Some(mark(logged)),
        // It may be gone, with all before it.
        None => followed <= reader.swept("events")?,
    })
}

/// A call that the index has already, as the log tells it up to a position; it is removed, to be written again.
fn known(
    transaction: &Transaction<'_>,
    reader: &Reader,
    id: TelephonySessionId,
    until: u64,
    sources: &Sources,
) -> Result<Option<OpenCall>, StoreError> {
    let Some(number) = tables::number_of(transaction, &id.to_string())? else { return Ok(None) };
    tables::remove_call(transaction, number)?;
    from_log(reader, id, until, sources)
}

fn from_log(
    reader: &Reader,
    id: TelephonySessionId,
    until: u64,
    sources: &Sources,
) -> Result<Option<OpenCall>, StoreError> {
    let mut call: Option<OpenCall> = None;
    for logged in reader.events_of(id)?.iter().filter(|logged| logged.position <= until) {
        let call = call.get_or_insert_with(|| OpenCall::new(Entry::begin(logged)));
        let fresh = call.entry.add(logged, |number, position| sources.name(number, position));
        call.fresh.extend(fresh);
    }
    Ok(call)
}

impl OpenCall {
    const fn new(entry: Entry) -> Self {
        Self { entry, words: Vec::new(), fresh: Vec::new() }
    }

    fn write(
        &mut self,
        transaction: &Transaction<'_>,
        known: &mut HashMap<Word, i64>,
    ) -> rusqlite::Result<()> {
        let mut fresh = Vec::with_capacity(self.fresh.len());
        for word in self.fresh.drain(..) {
            let number = if let Some(number) = known.get(&word) {
                *number
            } else {
                let number = tables::word(transaction, &word)?;
                known.insert(word, number);
                number
            };
            fresh.push(number);
        }
        self.words.extend_from_slice(&fresh);
        tables::write(transaction, &self.entry, &self.words, &fresh)
    }
}
