//! The journal of deliveries: each attempt to deliver a notification, and when connections were sent what.
//!
//! It is written together with how far the deliveries have come, so that the two agree after a crash, and
//! kept for as long as the events that it is about.

use std::sync::Arc;
use std::time::Duration;

use hookswitch_model::{SubscriptionId, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, Transaction, params};
use serde::{Deserialize, Serialize};

/// The most of an answer that is kept, in bytes.
pub const ANSWER_BYTES_MAX: usize = 1024;

/// Rows that are written together.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Journal {
    /// Attempts to deliver by webhook.
    pub attempts: Vec<Attempt>,
    /// Stretches of what was sent over WebSockets.
    pub spans: Vec<Span>,
}

/// An attempt to deliver the notification of an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// The position of the event.
    pub event: u64,
    /// The subscription that was told.
    pub subscription: SubscriptionId,
    /// Counts from 1; again from 1 after a restart or a blacklisting.
    pub number: u32,
    /// Time when it began, by the clock of the server.
    pub at: Timestamp,
    /// Time from the request to the answer, or until it was given up.
    pub duration: Duration,
    /// How it went.
    pub outcome: AttemptOutcome,
    /// The status of HTTP, if there was an answer.
    pub status: Option<u16>,
    /// Reason why there was none.
    pub error: Option<Box<str>>,
    /// How the answer began: [`ANSWER_BYTES_MAX`] at most.
    pub answer: Vec<u8>,
    /// Address that the notification was sent to.
    pub address: Arc<str>,
    /// The redelivery that it was made for.
    pub redelivery: Option<Arc<str>>,
}

/// Outcome of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AttemptOutcome {
    /// The receiver has taken the notification.
    Delivered,
    /// It answered with a status that is none of success.
    Refused,
    /// It did not answer in time.
    TimedOut,
    /// It could not be reached, or the connection was lost.
    Failed,
    /// It says that it is gone for good.
    Gone,
}

impl AttemptOutcome {
    /// All outcomes.
    pub const ALL: [Self; 5] = [Self::Delivered, Self::Refused, Self::TimedOut, Self::Failed, Self::Gone];

    /// The word of the API, under which it is stored too.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Refused => "refused",
            Self::TimedOut => "timedOut",
            Self::Failed => "failed",
            Self::Gone => "gone",
        }
    }
}

/// Span of events that one connection was sent of one subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// The subscription that was told.
    pub subscription: SubscriptionId,
    /// The connection, as the gateway numbers them since its start.
    pub connection: u64,
    /// Time when the first notification was handed to it.
    pub from: Timestamp,
    /// Time when the last notification was handed to it.
    pub to: Timestamp,
    /// The position of the first event. All events from it to the last that the subscription hears of were sent.
    pub first: u64,
    /// The position of the last event.
    pub last: u64,
    /// Number of them.
    pub count: u64,
}

/// Writes a journal. What is there already stays: it was written by a commit that was reported as failed.
pub(super) fn write(transaction: &Transaction<'_>, journal: &Journal) -> rusqlite::Result<()> {
    if !journal.attempts.is_empty() {
        let mut insert = transaction.prepare_cached(
            "INSERT OR IGNORE INTO attempts \
             (event, subscription, number, at, duration, outcome, status, error, answer, address, redelivery) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )?;
        for attempt in &journal.attempts {
            insert.execute(params![
                attempt.event.cast_signed(),
                attempt.subscription.as_u128().to_be_bytes(),
                attempt.number,
                attempt.at.as_micros(),
                i64::try_from(attempt.duration.as_micros()).unwrap_or(i64::MAX),
                attempt.outcome.as_str(),
                attempt.status,
                attempt.error.as_deref(),
                (!attempt.answer.is_empty()).then_some(&*attempt.answer),
                &*attempt.address,
                attempt.redelivery.as_deref(),
            ])?;
        }
    }
    if !journal.spans.is_empty() {
        // A stretch that goes on has grown; a recovery that begins with the same event adds to it.
        let mut insert = transaction.prepare_cached(
            "INSERT INTO streams (subscription, first, last, at_first, at_last, connection, count) \
             VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET last = max(last, excluded.last), \
             at_last = excluded.at_last, connection = excluded.connection, count = max(count, excluded.count)",
        )?;
        for span in &journal.spans {
            insert.execute(params![
                span.subscription.as_u128().to_be_bytes(),
                span.first.cast_signed(),
                span.last.cast_signed(),
                span.from.as_micros(),
                span.to.as_micros(),
                span.connection.cast_signed(),
                span.count.cast_signed(),
            ])?;
        }
    }
    Ok(())
}

/// Removes what is about events up to this position.
pub(super) fn sweep(transaction: &Transaction<'_>, until: i64) -> rusqlite::Result<()> {
    transaction.execute("DELETE FROM attempts WHERE event <= ?", [until])?;
    transaction.execute("DELETE FROM streams WHERE last <= ?", [until])?;
    Ok(())
}

/// The attempts to tell of an event, in the order in which they were made.
pub(super) fn attempts_of(connection: &Connection, event: u64) -> rusqlite::Result<Vec<Attempt>> {
    let mut statement = connection.prepare_cached(
        "SELECT subscription, number, at, duration, outcome, status, error, answer, address, redelivery, event \
         FROM attempts WHERE event = ? ORDER BY at, number",
    )?;
    let attempts = statement.query_map([event.cast_signed()], read_attempt)?;
    attempts.collect()
}

/// Attempts behind a number, in the order in which they were written down, and the number of the last.
pub(super) fn attempts_after(
    connection: &Connection,
    after: u64,
    limit: u64,
) -> rusqlite::Result<(Vec<Attempt>, u64)> {
    let mut statement = connection.prepare_cached(
        "SELECT subscription, number, at, duration, outcome, status, error, answer, address, redelivery, event, rowid \
         FROM attempts WHERE rowid > ? ORDER BY rowid LIMIT ?",
    )?;
    let mut last = after;
    let attempts = statement.query_map([after.cast_signed(), limit.cast_signed()], |row| {
        last = row.get::<_, i64>(11)?.cast_unsigned();
        read_attempt(row)
    })?;
    let attempts = attempts.collect::<rusqlite::Result<_>>()?;
    Ok((attempts, last))
}

/// The attempt of a number, as [`attempts_after`] counts them.
pub(super) fn attempt(connection: &Connection, number: u64) -> rusqlite::Result<Option<Attempt>> {
    let mut statement = connection.prepare_cached(
        "SELECT subscription, number, at, duration, outcome, status, error, answer, address, redelivery, event \
         FROM attempts WHERE rowid = ?",
    )?;
    statement.query_row([number.cast_signed()], read_attempt).optional()
}

fn read_attempt(row: &rusqlite::Row<'_>) -> rusqlite::Result<Attempt> {
    let outcome: String = row.get(4)?;
    let known = AttemptOutcome::ALL.into_iter().find(|known| known.as_str() == outcome);
    Ok(Attempt {
        event: row.get::<_, i64>(10)?.cast_unsigned(),
        subscription: SubscriptionId::from_bits(u128::from_be_bytes(row.get(0)?)),
        number: row.get(1)?,
        at: Timestamp::from_micros(row.get(2)?),
        duration: Duration::from_micros(row.get::<_, i64>(3)?.unsigned_abs()),
        outcome: known.unwrap_or(AttemptOutcome::Failed),
        status: row.get(5)?,
        error: row.get::<_, Option<String>>(6)?.map(String::into_boxed_str),
        answer: row.get::<_, Option<Vec<u8>>>(7)?.unwrap_or_default(),
        address: row.get::<_, String>(8)?.into(),
        redelivery: row.get::<_, Option<String>>(9)?.map(Arc::from),
    })
}

/// Stretches behind a number of them, in the order of their subscriptions.
pub(super) fn spans_after(connection: &Connection, after: u64, limit: u64) -> rusqlite::Result<Vec<Span>> {
    let mut statement = connection.prepare_cached(
        "SELECT first, last, at_first, at_last, connection, count, subscription FROM streams \
         ORDER BY subscription, first LIMIT ? OFFSET ?",
    )?;
    let spans = statement.query_map([limit.cast_signed(), after.cast_signed()], |row| {
        let subscription = SubscriptionId::from_bits(u128::from_be_bytes(row.get(6)?));
        read_span(subscription, row)
    })?;
    spans.collect()
}

fn read_span(subscription: SubscriptionId, row: &rusqlite::Row<'_>) -> rusqlite::Result<Span> {
    let number = |index| row.get::<_, i64>(index).map(i64::cast_unsigned);
    Ok(Span {
        subscription,
        first: number(0)?,
        last: number(1)?,
        from: Timestamp::from_micros(row.get(2)?),
        to: Timestamp::from_micros(row.get(3)?),
        connection: number(4)?,
        count: number(5)?,
    })
}

/// The stretch in which a subscription was sent the event at this position, if one was written; else the
/// next one behind it.
pub(super) fn span_at(
    connection: &Connection,
    subscription: SubscriptionId,
    position: u64,
) -> rusqlite::Result<Option<Span>> {
    // A recovery may have sent again what an earlier connection was sent: the earliest tells when it was new.
    let mut statement = connection.prepare_cached(
        "SELECT first, last, at_first, at_last, connection, count FROM streams \
         WHERE subscription = ? AND last >= ? ORDER BY first LIMIT 1",
    )?;
    let key = subscription.as_u128().to_be_bytes();
    let mut rows = statement.query(params![key, position.cast_signed()])?;
    rows.next()?.map(|row| read_span(subscription, row)).transpose()
}
