//! Attempts to deliver, by subscription: which there were, and how many.

use std::str::FromStr;
use std::time::Duration;

use hookswitch_model::{SubscriptionId, Timestamp};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension as _, params, params_from_iter};

use super::tables;
use crate::journal::AttemptOutcome;
use crate::{Reader, StoreError};

/// Number of attempts that are added in one transaction.
const ATTEMPTS_AT_ONCE: i64 = 1000;

/// Point up to which the attempts of the log were followed, and what stood there.
const FOLLOWED: &str = "attempts";
const MARK: &str = "attempts.mark";

/// The attempts that are wanted: those of a subscription that meet all that is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptQuery {
    /// To whom.
    pub subscription: SubscriptionId,
    /// How it ended.
    pub outcome: Option<AttemptOutcome>,
    /// Whether it failed, in whatever way.
    pub failed: Option<bool>,
    /// The status of the answer.
    pub status: Option<u16>,
    /// How long after the event it ended at the earliest.
    pub late: Option<Duration>,
    /// Time when it began at the earliest.
    pub from: Option<Timestamp>,
    /// Before when it began.
    pub to: Option<Timestamp>,
}

/// An attempt that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FoundAttempt {
    /// Its number in the log.
    pub number: u64,
    /// How long after the event it ended.
    pub lag: Duration,
    /// Place where the list goes on behind it.
    pub cursor: AttemptCursor,
}

/// A place in the list of attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttemptCursor {
    at: i64,
    number: i64,
}

impl std::fmt::Display for AttemptCursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.at, self.number)
    }
}

impl FromStr for AttemptCursor {
    type Err = super::query::NoCursor;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (at, number) = text.split_once('.').ok_or(super::query::NoCursor)?;
        let read = |text: &str| text.parse().map_err(|_| super::query::NoCursor);
        Ok(Self { at: read(at)?, number: read(number)? })
    }
}

/// How many attempts there were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AttemptCounts {
    /// Those that the receiver took.
    pub delivered: u64,
    /// All others.
    pub failed: u64,
    /// The longest lag of one that was taken.
    pub lag_max: Duration,
}

impl AttemptQuery {
    /// All attempts of a subscription.
    pub const fn of(subscription: SubscriptionId) -> Self {
        Self { subscription, outcome: None, failed: None, status: None, late: None, from: None, to: None }
    }

    fn conditions(&self) -> (String, Vec<Value>) {
        let mut wanted = vec!["subscription = ?"];
        let mut values: Vec<Value> = vec![self.subscription.as_u128().to_be_bytes().to_vec().into()];
        match self.failed {
            Some(true) => wanted.push("outcome <> 'delivered'"),
            Some(false) => wanted.push("outcome = 'delivered'"),
            None => {}
        }
        let mut add = |condition, value: Option<Value>| {
            if let Some(value) = value {
                wanted.push(condition);
                values.push(value);
            }
        };
        add("outcome = ?", self.outcome.map(|outcome| outcome.as_str().to_owned().into()));
        add("status = ?", self.status.map(|status| i64::from(status).into()));
        add("lag >= ?", self.late.map(|late| micros(late).into()));
        add("at >= ?", self.from.map(|from| from.as_micros().into()));
        add("at < ?", self.to.map(|to| to.as_micros().into()));
        (wanted.join(" AND "), values)
    }

    /// Attempts behind a cursor, the newest first.
    pub(super) fn find(
        &self,
        connection: &Connection,
        after: Option<AttemptCursor>,
        limit: usize,
    ) -> rusqlite::Result<Vec<FoundAttempt>> {
        let (mut wanted, mut values) = self.conditions();
        if let Some(AttemptCursor { at, number }) = after {
            wanted.push_str(" AND (at, number) < (?, ?)");
            values.extend([at.into(), number.into()]);
        }
        values.push(i64::try_from(limit).unwrap_or(i64::MAX).into());
        let mut statement = connection.prepare_cached(&format!(
            "SELECT number, lag, at FROM attempts WHERE {wanted} ORDER BY at DESC, number DESC LIMIT ?"
        ))?;
        let found = statement.query_map(params_from_iter(values), |row| {
            let number: i64 = row.get(0)?;
            Ok(FoundAttempt {
                number: number.cast_unsigned(),
                lag: Duration::from_micros(row.get::<_, i64>(1)?.unsigned_abs()),
                cursor: AttemptCursor { at: row.get(2)?, number },
            })
        })?;
        found.collect()
    }

    /// Returns the number of them.
    pub(super) fn count(&self, connection: &Connection) -> rusqlite::Result<AttemptCounts> {
        let (wanted, values) = self.conditions();
        let mut statement = connection.prepare_cached(&format!(
            "SELECT count(*) FILTER (WHERE outcome = 'delivered'), count(*) FILTER (WHERE outcome <> 'delivered'), \
             coalesce(max(lag) FILTER (WHERE outcome = 'delivered'), 0) FROM attempts WHERE {wanted}"
        ))?;
        statement.query_row(params_from_iter(values), |row| {
            let number = |column| row.get::<_, i64>(column).map(i64::unsigned_abs);
            Ok(AttemptCounts {
                delivered: number(0)?,
                failed: number(1)?,
                lag_max: Duration::from_micros(number(2)?),
            })
        })
    }
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

/// Adds attempts that the log has and the index does not; gives how many.
pub(super) fn follow(connection: &mut Connection, reader: &Reader) -> Result<u64, StoreError> {
    let transaction = connection.transaction()?;
    let mut after = tables::state(&transaction, FOLLOWED)?.unwrap_or(0);
    if after > 0 && mark_of(reader, after)? != tables::state(&transaction, MARK)? {
        // Numbers begin anew when all attempts are gone.
        transaction.execute("DELETE FROM attempts", [])?;
        after = 0;
    }
    let mut read = reader.connection().prepare_cached(
        "SELECT a.rowid, a.subscription, a.event, a.at, a.outcome, a.status, \
         max(0, a.at + a.duration - coalesce(e.arrival, a.at)) \
         FROM attempts a LEFT JOIN events e ON e.position = a.event WHERE a.rowid > ? ORDER BY a.rowid LIMIT ?",
    )?;
    let mut put =
        transaction.prepare_cached("INSERT OR REPLACE INTO attempts VALUES (?, ?, ?, ?, ?, ?, ?)")?;
    let mut rows = read.query([after, ATTEMPTS_AT_ONCE])?;
    let mut added = 0;
    while let Some(row) = rows.next()? {
        after = row.get(0)?;
        let values: Vec<Value> = (0..7).map(|column| row.get(column)).collect::<rusqlite::Result<_>>()?;
        put.execute(params_from_iter(values))?;
        added += 1;
    }
    drop((rows, put));
    if added > 0 {
        tables::set_state(&transaction, FOLLOWED, after)?;
        if let Some(mark) = mark_of(reader, after)? {
            tables::set_state(&transaction, MARK, mark)?;
        }
    }
    transaction.commit()?;
    Ok(added)
}

/// Returns what tells the attempt of a log from another under the same number.
fn mark_of(reader: &Reader, number: i64) -> rusqlite::Result<Option<i64>> {
    let mut statement =
        reader.connection().prepare_cached("SELECT at + event FROM attempts WHERE rowid = ?")?;
    statement.query_row([number], |row| row.get(0)).optional()
}

/// Removes the attempts to tell of events up to a position.
pub(super) fn sweep(connection: &Connection, until: u64) -> rusqlite::Result<()> {
    connection.execute("DELETE FROM attempts WHERE event <= ?", params![until.cast_signed()])?;
    Ok(())
}
