//! Summary of a store, in figures that two stores can be compared by.

use std::fmt::{self, Write as _};

use ring::digest::{Context, SHA256};
use rusqlite::Connection;
use rusqlite::types::ValueRef;

use super::copy::State;
use super::rows::IS_FEED;

/// Parts that are counted, and the rows of each in the one order in which they are summed.
const PARTS: [(&str, &str); 7] = [
    // Without those of how far partitions have handed the log out, which are others on each side.
    (
        "documents",
        "SELECT kind, id, revision, content FROM documents WHERE NOT ({IS_FEED}) ORDER BY kind, id",
    ),
    (
        "inputs",
        "SELECT position, kind, source, at, arrival, place, body, event FROM signals ORDER BY position",
    ),
    ("ids of posted signals", "SELECT source, id, position FROM ingest_ids ORDER BY source, id"),
    (
        "events",
        "SELECT e.position, s.id, e.sequence, e.at, e.arrival, e.body \
         FROM events e JOIN sessions s ON s.number = e.session ORDER BY e.position",
    ),
    (
        "attempts",
        "SELECT event, subscription, number, at, duration, outcome, status, error, answer, address, redelivery \
         FROM attempts ORDER BY event, subscription, at",
    ),
    (
        "stretches of WebSockets",
        "SELECT subscription, first, last, at_first, at_last, connection, count FROM streams \
         ORDER BY subscription, first",
    ),
    // How far the logs were swept; not shown.
    ("", "SELECT log, position FROM swept WHERE position > 0 ORDER BY log"),
];

/// The counts of all that a store holds, and a checksum over it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    counts: Vec<(&'static str, u64)>,
    /// SHA-256 in hex.
    checksum: String,
}

impl Summary {
    /// Reads all rows.
    pub(super) fn of(connection: &Connection, states: &[State]) -> rusqlite::Result<Self> {
        // All parts as they are at one moment.
        let transaction = connection.unchecked_transaction()?;
        let mut sum = Context::new(&SHA256);
        let mut counts = Vec::new();
        for (name, sql) in PARTS {
            let mut statement = transaction.prepare(&sql.replace("{IS_FEED}", IS_FEED))?;
            let columns = statement.column_count();
            let mut rows = statement.query([])?;
            let mut count = 0;
            while let Some(row) = rows.next()? {
                for column in 0..columns {
                    add(&mut sum, row.get_ref(column)?);
                }
                count += 1;
            }
            sum.update(b"#");
            if !name.is_empty() {
                counts.push((name, count));
            }
        }
        for State { partition, position, version, bytes } in states {
            add(&mut sum, ValueRef::Integer(i64::try_from(partition.index()).unwrap_or(i64::MAX)));
            add(&mut sum, ValueRef::Integer(position.cast_signed()));
            add(&mut sum, ValueRef::Integer(i64::from(*version)));
            add(&mut sum, ValueRef::Blob(bytes));
        }
        counts.push(("saved states", states.len() as u64));
        let mut checksum = String::new();
        for byte in sum.finish().as_ref() {
            write!(checksum, "{byte:02x}").expect("writing to memory does not fail");
        }
        Ok(Self { counts, checksum })
    }

    /// Returns the count under a name.
    pub(super) fn count(&self, name: &str) -> u64 {
        self.counts.iter().find(|(counted, _)| *counted == name).map_or(0, |&(_, count)| count)
    }

    /// SHA-256 over all, in hex.
    pub fn checksum(&self) -> &str {
        &self.checksum
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, count)) in self.counts.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{count} {name}")?;
        }
        Ok(())
    }
}

/// Adds a value so that no two rows look alike.
fn add(sum: &mut Context, value: ValueRef<'_>) {
    let (kind, bytes) = match value {
        ValueRef::Null => (b'n', &[][..]),
        ValueRef::Integer(number) => {
            sum.update(b"i");
            sum.update(&number.to_be_bytes());
            return;
        }
        ValueRef::Real(number) => {
            sum.update(b"r");
            sum.update(&number.to_be_bytes());
            return;
        }
        ValueRef::Text(text) => (b't', text),
        ValueRef::Blob(bytes) => (b'b', bytes),
    };
    sum.update(&[kind]);
    sum.update(&(bytes.len() as u64).to_be_bytes());
    sum.update(bytes);
}
