//! Retention: what is older than it is kept goes, in the order of the logs.
//!
//! How old something is, is asked of a [`LogTime`], which a clock that leaps ahead does not carry along at
//! once; and an event that a subscription is still to be sent stays beyond its time, for as long again.

use std::time::{Duration, Instant};

use hookswitch_model::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Transaction, TransactionBehavior, params};

use super::options::Options;
use super::partition::Partition;
use super::progress::{PROGRESS, ProgressRecord};
use super::schema::OF_NOTE;
use super::{journal, record, sqlite};
use crate::clock;

/// Lead on the log that a clock is believed at once; beyond, it must have been so for as long.
const LEAP_MAX: Duration = Duration::from_secs(3600);

/// Time for which a finding of what is due is good for, where it lets something go less soon.
const DUE_GOOD_FOR: Duration = Duration::from_secs(60);

/// Factor by which an event that is still due is kept longer than others, at most.
const DUE_KEPT_TIMES: u32 = 2;

/// Rule of what is deleted, and when.
#[derive(Default)]
pub(super) struct Retention {
    time: Option<LogTime>,
    due: Option<Due>,
}

/// The last event that nobody is to be sent any more, when that was asked.
struct Due {
    behind: i64,
    asked: Instant,
}

/// The time by which the age of what is stored is told: that of the newest row and what has passed since, as
/// long as the clock on the wall is far ahead of it.
struct LogTime {
    shown: Timestamp,
    at: Instant,
    /// Since when the clock on the wall has been far ahead.
    ahead: Option<Instant>,
}

impl LogTime {
    fn new(newest: Timestamp, at: Instant) -> Self {
        Self { shown: newest, at, ahead: None }
    }

    fn now(&mut self, wall: Timestamp, at: Instant) -> Timestamp {
        let passed = self.shown + at.saturating_duration_since(self.at);
        let is_ahead = wall > passed + LEAP_MAX;
        let ahead = is_ahead.then(|| self.ahead.unwrap_or(at));
        let is_believed = ahead.is_none_or(|since| at.saturating_duration_since(since) >= LEAP_MAX);
        if is_ahead && self.ahead.is_none() {
            tracing::warn!(
                ahead_secs = wall.since(passed).as_secs(),
                "the clock is far ahead of what was stored last, by a leap or after a long stop; nothing is removed by it for an hour"
            );
        }
        self.ahead = ahead.filter(|_| !is_believed);
        (self.shown, self.at) = (if is_believed { wall } else { passed }, at);
        self.shown
    }
}

impl Retention {
    /// Removes up to `rows` of each log that are older than they are kept; true if sessions were removed.
    pub(super) fn sweep(
        &mut self,
        connection: &mut Connection,
        options: Options,
        rows: u64,
    ) -> rusqlite::Result<bool> {
        // A clock that was moved on by order has not leapt.
        self.sweep_at(connection, options, rows, (clock::wall(), clock::now() + clock::ahead()))
    }

    fn sweep_at(
        &mut self,
        connection: &mut Connection,
        options: Options,
        rows: u64,
        (wall, at): (Timestamp, Instant),
    ) -> rusqlite::Result<bool> {
        let time = match &mut self.time {
            Some(time) => time,
            none => none.insert(LogTime::new(newest(connection)?.unwrap_or(wall), at)),
        };
        let now = time.now(wall, at);
        let sweep = Sweep { now, limit: i64::try_from(rows).unwrap_or(i64::MAX) };
        let (from, until) = self.events(connection, sweep, options.events_kept, at)?;
        let inputs = sweep.inputs(connection, options)?;
        if until <= from && inputs.iter().all(|of| of.until <= of.from) {
            return Ok(false);
        }
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for of in inputs.iter().filter(|of| of.until > of.from) {
            of.remove(&transaction, from)?;
        }
        if until > from {
            remove_events(&transaction, (from, until), &inputs)?;
        }
        transaction.commit()?;
        Ok(until > from)
    }

    /// From where until where the events go.
    fn events(
        &mut self,
        connection: &Connection,
        sweep: Sweep,
        kept: Duration,
        at: Instant,
    ) -> rusqlite::Result<(i64, i64)> {
        let from = swept(connection, "events")?;
        let until = sweep.until(connection, "events", from, i64::MAX, kept)?.unwrap_or(from);
        if until <= from {
            return Ok((from, from));
        }
        // Deliveries only go on, so an older answer lets go less, never more.
        let is_stale = |due: &Due| at.saturating_duration_since(due.asked) >= DUE_GOOD_FOR;
        if self.due.as_ref().is_none_or(|due| due.behind < until && is_stale(due)) {
            self.due = Some(Due { behind: not_due(connection)?, asked: at });
        }
        let behind = self.due.as_ref().map_or(i64::MAX, |due| due.behind);
        if until <= behind {
            return Ok((from, until));
        }
        let longest = kept.saturating_mul(DUE_KEPT_TIMES);
        let too_old = sweep.until(connection, "events", from, until, longest)?.unwrap_or(from);
        Ok((from, behind.max(too_old).clamp(from, until)))
    }
}

/// Returns the time when the newest row of the logs came in.
fn newest(connection: &Connection) -> rusqlite::Result<Option<Timestamp>> {
    let mut newest = None;
    let mut ask = |sql: &str, range: [i64; 2]| {
        let mut statement = connection.prepare_cached(sql)?;
        let found = statement.query_row(range, |row| row.get::<_, i64>(0)).optional()?;
        newest = newest.max(found);
        Ok::<_, rusqlite::Error>(())
    };
    ask(
        "SELECT arrival FROM events WHERE position BETWEEN ? AND ? ORDER BY position DESC LIMIT 1",
        [0, i64::MAX],
    )?;
    for partition in Partition::all(Partition::COUNT_MAX) {
        let range = [partition.start().cast_signed(), partition.positions().end().cast_signed()];
        ask(
            "SELECT arrival FROM signals WHERE position BETWEEN ? AND ? ORDER BY position DESC LIMIT 1",
            range,
        )?;
    }
    Ok(newest.map(Timestamp::from_micros))
}

/// The position of the last event such that no subscription is to be sent it or one before it.
fn not_due(connection: &Connection) -> rusqlite::Result<i64> {
    let mut statement = connection.prepare_cached("SELECT id, content FROM documents WHERE kind = ?")?;
    let mut rows = statement.query([PROGRESS])?;
    let mut behind = i64::MAX;
    while let Some(row) = rows.next()? {
        let id = row.get_ref(0)?.as_str()?;
        let Ok(record) = serde_json::from_str::<ProgressRecord>(row.get_ref(1)?.as_str()?) else { continue };
        let open = record.open.iter().map(|open| open.saturating_sub(1)).min();
        // One that is live has looked at all that was handed out, which the documents of the feeds say.
        let read = (!record.live || id.starts_with("feed")).then_some(record.read);
        for position in [open, read].into_iter().flatten() {
            behind = behind.min(position.cast_signed());
        }
    }
    Ok(behind)
}

/// Returns how far a log was swept.
fn swept(connection: &Connection, log: &str) -> rusqlite::Result<i64> {
    let found = connection
        .prepare_cached("SELECT position FROM swept WHERE log = ?")?
        .query_row([log], |row| row.get(0))
        .optional();
    Ok(found?.unwrap_or(0))
}

/// One sweep: by which time, and how many rows of each log at most.
#[derive(Clone, Copy)]
struct Sweep {
    now: Timestamp,
    limit: i64,
}

impl Sweep {
    /// The last of the oldest rows behind `from`, up to `last`, that is too old. One row is read where the
    /// oldest is young enough.
    fn until(
        self,
        connection: &Connection,
        table: &str,
        from: i64,
        last: i64,
        kept: Duration,
    ) -> rusqlite::Result<Option<i64>> {
        // What a clock that was ahead has stamped says nothing of the rows behind it.
        let (now, before) = (self.now.as_micros(), (self.now - kept).as_micros());
        let oldest = connection
            .prepare_cached(&format!(
                "SELECT arrival FROM {table} WHERE position > ? AND position <= ? AND arrival <= ? \
                 ORDER BY position LIMIT 1"
            ))?
            .query_row([from, last, now], |row| row.get::<_, i64>(0))
            .optional()?;
        if oldest.is_none_or(|oldest| oldest >= before) {
            return Ok(None);
        }
        connection
            .prepare_cached(&format!(
                "SELECT max(position) FROM (SELECT position, arrival FROM {table} \
                 WHERE position > ? AND position <= ? AND arrival <= ? ORDER BY position LIMIT ?) WHERE arrival < ?"
            ))?
            .query_row([from, last, now, self.limit, before], |row| row.get(0))
    }

    /// The inputs that are too old, of each partition.
    fn inputs(self, connection: &Connection, options: Options) -> rusqlite::Result<Vec<Inputs>> {
        // A store that was copied from a cluster has inputs of partitions that go on no longer.
        let all = Partition::all(Partition::COUNT_MAX).map(|partition| {
            // Those of a copy rest on the states that are saved beside the log.
            let goes_on = partition.index() < usize::from(options.partitions) && !options.is_copy;
            let (start, last) = (partition.start().cast_signed(), partition.positions().end().cast_signed());
            let from = swept(connection, &sqlite::swept_signals(partition))?.max(start);
            // Inputs are needed until a snapshot holds what they did.
            let snapshot: Option<i64> = connection
                .prepare_cached("SELECT max(position) FROM snapshots WHERE position BETWEEN ? AND ?")?
                .query_row([start, last], |row| row.get(0))?;
            let last = if goes_on { snapshot.unwrap_or(start) } else { last };
            let until = self.until(connection, "signals", from, last, options.signals_kept)?;
            Ok(Inputs { partition, from, until: until.unwrap_or(from) })
        });
        all.collect()
    }
}

/// Inputs of a partition behind one position up to another, which go; those up to the first went before.
struct Inputs {
    partition: Partition,
    from: i64,
    until: i64,
}

impl Inputs {
    /// Returns `true` if an input went, now or before, but for what an event that is kept needs of it.
    fn went(&self, input: u64) -> bool {
        self.partition.start() < input && input.cast_signed() <= self.until
    }

    /// Removes them but for those of note, and for those that have caused an event behind `events_from`.
    fn remove(&self, transaction: &Transaction<'_>, events_from: i64) -> rusqlite::Result<()> {
        let (start, until) = (self.partition.start().cast_signed(), self.until);
        transaction
            .prepare_cached(&format!(
                "DELETE FROM signals WHERE position > ? AND position <= ? AND NOT ({OF_NOTE}) \
                 AND (event IS NULL OR event <= ?)"
            ))?
            .execute([self.from, until, events_from])?;
        transaction
            .prepare_cached("DELETE FROM ingest_ids WHERE position > ? AND position <= ?")?
            .execute([start, until])?;
        set_swept(transaction, &sqlite::swept_signals(self.partition), until)
    }
}

/// Removes the events behind one position up to another, and of the inputs that went what was kept for them.
fn remove_events(
    transaction: &Transaction<'_>,
    (from, until): (i64, i64),
    inputs: &[Inputs],
) -> rusqlite::Result<()> {
    let mut causes = Vec::new();
    {
        let mut bodies =
            transaction.prepare_cached("SELECT body FROM events WHERE position > ? AND position <= ?")?;
        let mut rows = bodies.query([from, until])?;
        while let Some(row) = rows.next()? {
            // What cannot be read names no causes; they stay.
            let Ok(event) = record::read_event(row.get_ref(0)?.as_blob()?) else { continue };
            let numbers = event.causes.iter().map(|input| input.number);
            causes.extend(numbers.filter(|&input| inputs.iter().any(|of| of.went(input))));
        }
    }
    let mut delete = transaction.prepare_cached(&format!(
        "DELETE FROM signals WHERE position = ? AND event <= ? AND NOT ({OF_NOTE})"
    ))?;
    for input in causes {
        delete.execute([input.cast_signed(), until])?;
    }
    transaction
        .prepare_cached(
            "DELETE FROM sessions WHERE number IN \
             (SELECT session FROM events WHERE position > ?1 AND position <= ?2) \
             AND NOT EXISTS (SELECT 1 FROM events WHERE session = number AND position > ?2)",
        )?
        .execute([from, until])?;
    transaction
        .prepare_cached("DELETE FROM events WHERE position > ? AND position <= ?")?
        .execute([from, until])?;
    journal::sweep(transaction, until)?;
    set_swept(transaction, "events", until)
}

/// Notes how far a log was swept.
fn set_swept(transaction: &Transaction<'_>, log: &str, position: i64) -> rusqlite::Result<()> {
    transaction
        .prepare_cached("INSERT OR REPLACE INTO swept VALUES (?, ?)")?
        .execute(params![log, position])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{Durability, feed_id, schema};
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const DAY: Duration = Duration::from_secs(86_400);

    fn start() -> Timestamp {
        Timestamp::from_micros(1_700_000_000_000_000)
    }

    /// A store with an event a second, ten of them, that keeps events for seven days.
    struct Stored {
        connection: Connection,
        retention: Retention,
        began: Instant,
    }

    impl Stored {
        fn new() -> Self {
            let mut connection = Connection::open_in_memory().expect("memory");
            schema::migrate(&mut connection, "a store").expect("the tables");
            for position in 1..=10 {
                let at = (start() + SECOND * position).as_micros();
                connection
                    .execute(
                        "INSERT INTO events VALUES (?1, ?1, 1, ?2, ?2, x'00', 0, 0)",
                        params![position, at],
                    )
                    .expect("an event");
            }
            Self { connection, retention: Retention::default(), began: clock::now() }
        }

        fn progress(&self, id: &str, record: &ProgressRecord) {
            let content = serde_json::to_string(record).expect("JSON");
            self.connection
                .execute(
                    "INSERT OR REPLACE INTO documents VALUES (?, ?, 1, ?)",
                    params![PROGRESS, id, content],
                )
                .expect("a document");
        }

        /// Sweeps so long after the start, by the clock of the wall and as time passes; gives what is left.
        fn sweep(&mut self, wall: Duration, passed: Duration) -> Vec<i64> {
            let options = Options {
                durability: Durability::Strict,
                partitions: 1,
                is_copy: false,
                signals_kept: DAY,
                events_kept: 7 * DAY,
            };
            let times = (start() + wall, self.began + passed);
            self.retention.sweep_at(&mut self.connection, options, 1000, times).expect("it sweeps");
            let mut left = self.connection.prepare("SELECT position FROM events").expect("a query");
            left.query_map([], |row| row.get(0)).expect("rows").map(|row| row.expect("a row")).collect()
        }
    }

    fn all() -> Vec<i64> {
        (1..=10).collect()
    }

    #[test]
    fn what_is_older_than_it_is_kept_goes() {
        let mut stored = Stored::new();
        assert_eq!(stored.sweep(10 * SECOND, Duration::ZERO), all());
        assert_eq!(
            stored.sweep(7 * DAY + 5 * SECOND, Duration::from_secs(7 * 86_400 - 5)),
            [5, 6, 7, 8, 9, 10]
        );
        assert_eq!(stored.sweep(8 * DAY, 8 * DAY), [] as [i64; 0]);
    }

    #[test]
    fn a_clock_that_leaps_nine_days_ahead_for_a_quarter_of_a_minute_removes_nothing() {
        let mut stored = Stored::new();
        assert_eq!(stored.sweep(10 * SECOND, Duration::ZERO), all());
        for second in 1..=15 {
            assert_eq!(stored.sweep(9 * DAY + SECOND * second, SECOND * second), all());
        }
        assert_eq!(stored.sweep(26 * SECOND, 16 * SECOND), all());
    }

    #[test]
    fn a_clock_that_is_ahead_at_the_start_is_believed_after_an_hour() {
        let mut stored = Stored::new();
        for minute in 0..60 {
            let passed = Duration::from_secs(60 * minute);
            assert_eq!(stored.sweep(9 * DAY + passed, passed), all(), "after {minute} minutes");
        }
        let passed = Duration::from_secs(3600);
        assert_eq!(stored.sweep(9 * DAY + passed, passed), [] as [i64; 0]);
    }

    #[test]
    fn an_arrival_that_a_clock_ahead_has_stamped_keeps_nothing_behind_it() {
        let mut stored = Stored::new();
        let at = (start() + 9 * DAY).as_micros();
        stored
            .connection
            .execute("UPDATE events SET arrival = ? WHERE position = 1", [at])
            .expect("an update");
        stored.sweep(11 * SECOND, Duration::ZERO);
        assert_eq!(stored.sweep(8 * DAY, 8 * DAY), [] as [i64; 0]);
    }

    #[test]
    fn what_a_subscription_is_still_to_be_sent_is_kept_as_long_again_at_most() {
        let feed = ProgressRecord { read: 10, live: true, open: Vec::new() };
        let cases = [
            ("it waits for an answer to one", ProgressRecord { read: 10, live: true, open: vec![4, 8] }, 4),
            ("it has read up to one", ProgressRecord { read: 6, live: false, open: Vec::new() }, 7),
        ];
        for (which, record, first) in cases {
            let mut stored = Stored::new();
            stored.sweep(10 * SECOND, Duration::ZERO);
            stored.progress(&feed_id(Partition::default()), &feed);
            stored.progress("live", &ProgressRecord { read: 2, live: true, open: Vec::new() });
            stored.progress("behind", &record);
            assert_eq!(stored.sweep(8 * DAY, 8 * DAY), (first..=10).collect::<Vec<_>>(), "{which}");
            assert_eq!(stored.sweep(14 * DAY, 14 * DAY), (first..=10).collect::<Vec<_>>(), "{which}");
            assert_eq!(stored.sweep(15 * DAY, 15 * DAY), [] as [i64; 0], "{which}");
        }
    }

    #[test]
    fn what_was_due_goes_soon_after_it_was_sent() {
        let mut stored = Stored::new();
        stored.sweep(10 * SECOND, Duration::ZERO);
        stored.progress("behind", &ProgressRecord { read: 6, live: false, open: Vec::new() });
        assert_eq!(stored.sweep(8 * DAY, 8 * DAY), [7, 8, 9, 10]);
        stored.progress("behind", &ProgressRecord { read: 10, live: false, open: Vec::new() });
        let later = 8 * DAY + DUE_GOOD_FOR;
        assert_eq!(stored.sweep(later, later), [] as [i64; 0]);
    }
}
