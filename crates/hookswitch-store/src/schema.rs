//! The tables, and how those of older versions become the ones of this.

use anyhow::{Context as _, bail, ensure};
use rusqlite::Connection;

use super::seal;

/// Marks the file as one of ours (`PRAGMA application_id`): "Hksw".
const APPLICATION: i32 = 0x486b_7377;

/// The inputs that say who and what the others are about, by the columns of `signals`. The index of them has the
/// same words; a list of numbers in place of the range would cost a table of its own for each row that is inserted.
pub(super) const OF_NOTE: &str = "kind BETWEEN 4 AND 6";

/// Each brings the tables from one version to the next; the first from nothing to 1.
const MIGRATIONS: &[&str] = &["
    -- Inputs of the machine, in the order in which it took them. Times are microseconds since 1970.
    CREATE TABLE signals (
        position INTEGER PRIMARY KEY,
        kind INTEGER NOT NULL,      -- 1 SIP message, 2 posted signal, 3 tick of a clock, 4 settings, 5 source, 6 source forgotten
        source INTEGER NOT NULL,
        at INTEGER NOT NULL,        -- when it happened, by the clock of the source
        arrival INTEGER NOT NULL,   -- when it came in, by the clock of the server
        place BLOB NOT NULL,        -- of a message: transport, addresses, correlation
        body BLOB NOT NULL,         -- the message; JSON of the other kinds
        event INTEGER               -- the last event that it caused; it is kept as long as that
    );
    -- What is told to subscribers, in the order in which it came about.
    CREATE TABLE events (
        position INTEGER PRIMARY KEY,
        session INTEGER NOT NULL,   -- number of the session
        sequence INTEGER NOT NULL,
        at INTEGER NOT NULL,
        arrival INTEGER NOT NULL,
        body BLOB NOT NULL
    );
    -- Sessions are numbered as they come, so that this index grows at its end.
    CREATE UNIQUE INDEX events_by_session ON events (session, sequence);
    CREATE TABLE sessions (
        number INTEGER PRIMARY KEY,
        id BLOB NOT NULL UNIQUE
    );
    -- Ids that clients have given to signals, so that a repeat is recognised.
    CREATE TABLE ingest_ids (
        source INTEGER NOT NULL,
        id TEXT NOT NULL,
        position INTEGER NOT NULL,
        PRIMARY KEY (source, id)
    ) WITHOUT ROWID;
    CREATE INDEX ingest_ids_by_position ON ingest_ids (position);
    CREATE TABLE documents (
        kind TEXT NOT NULL,
        id TEXT NOT NULL,
        revision INTEGER NOT NULL,
        content TEXT NOT NULL,      -- JSON
        PRIMARY KEY (kind, id)
    ) WITHOUT ROWID;
    -- The state of the machine after the input at a position; only the newest is kept.
    CREATE TABLE snapshots (
        position INTEGER PRIMARY KEY,
        version INTEGER NOT NULL,
        state BLOB NOT NULL
    );
    -- How far the logs were swept of what is older than it is kept.
    CREATE TABLE swept (
        log TEXT PRIMARY KEY,
        position INTEGER NOT NULL
    ) WITHOUT ROWID;
    INSERT INTO swept VALUES ('signals', 0), ('events', 0);
", "
    -- What was done to deliver notifications; kept as long as the events are.
    CREATE TABLE attempts (
        event INTEGER NOT NULL,     -- position of the event
        subscription BLOB NOT NULL,
        number INTEGER NOT NULL,    -- counts from 1
        at INTEGER NOT NULL,        -- when it began, by the clock of the server
        duration INTEGER NOT NULL,  -- microseconds
        outcome TEXT NOT NULL,      -- delivered, refused, timedOut, failed, gone
        status INTEGER,             -- of HTTP
        error TEXT,
        answer BLOB,                -- how it began
        address TEXT NOT NULL,
        redelivery TEXT             -- the redelivery that it was made for
    );
    -- Events come in order, so that this grows near its end.
    CREATE UNIQUE INDEX attempts_by_event ON attempts (event, subscription, at);
    CREATE INDEX failures_by_subscription ON attempts (subscription, at) WHERE outcome <> 'delivered';
    -- What WebSockets were sent, in stretches of time.
    CREATE TABLE streams (
        subscription BLOB NOT NULL,
        first INTEGER NOT NULL,     -- positions of events
        last INTEGER NOT NULL,
        at_first INTEGER NOT NULL,
        at_last INTEGER NOT NULL,
        connection INTEGER NOT NULL,
        count INTEGER NOT NULL,
        PRIMARY KEY (subscription, first)
    ) WITHOUT ROWID;
    -- The inputs that say who and what the others are about.
    CREATE INDEX signals_of_note ON signals (position) WHERE kind IN (4, 5, 6);
    -- Of events up to here nobody has written down what was done.
    INSERT INTO swept SELECT 'attempts', max(position) FROM
        (SELECT position FROM swept WHERE log = 'events' UNION ALL SELECT max(position) FROM events);
", "
    -- How far the streams of a cluster were followed.
    CREATE TABLE followed (
        name TEXT PRIMARY KEY,
        sequence INTEGER NOT NULL
    ) WITHOUT ROWID;
", "
    DROP INDEX signals_of_note;
    CREATE INDEX signals_of_note ON signals (position) WHERE kind BETWEEN 4 AND 6;
", "
    -- A checksum of each row, and that of the row before it; 0 for none.
    ALTER TABLE signals ADD COLUMN before INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE signals ADD COLUMN sum INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE events ADD COLUMN before INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE events ADD COLUMN sum INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE snapshots ADD COLUMN sum INTEGER NOT NULL DEFAULT 0;
    -- What was acknowledged and is gone; its positions are not given again.
    CREATE TABLE lost (
        log TEXT NOT NULL,          -- as in swept
        first INTEGER NOT NULL,
        last INTEGER NOT NULL,
        PRIMARY KEY (log, last)
    ) WITHOUT ROWID;
"];

/// The version of the tables from which on rows are sealed.
const SEALED: usize = 5;

/// Checks that a database that is only read has the tables of this program; `name` is the file, for errors.
pub(super) fn check_current(connection: &Connection, name: &str) -> anyhow::Result<()> {
    let version = check(connection, name)?;
    ensure!(
        usize::try_from(version) == Ok(MIGRATIONS.len()),
        "{name} was written by an older Hookswitch; start the server of this version once"
    );
    Ok(())
}

/// The version of the tables; `name` is the file, for errors.
///
/// # Errors
/// If they are those of another program, or of a newer version of this one.
pub(super) fn check(connection: &Connection, name: &str) -> anyhow::Result<i32> {
    let pragma = |connection: &Connection, name: &str| {
        connection.pragma_query_value(None, name, |row| row.get::<_, i32>(0))
    };
    let application = pragma(connection, "application_id")?;
    let version = pragma(connection, "user_version")?;
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if application != APPLICATION && tables > 0 {
        bail!("{name} is the database of another program; set store.directory to a directory of Hookswitch")
    }
    let known = MIGRATIONS.len();
    if usize::try_from(version).map_or(true, |version| version > known) {
        bail!(
            "{name} was written by a newer Hookswitch (its schema is {version}, this one knows {known}); \
             start the newer one, or restore a backup that was made before the upgrade"
        )
    }
    Ok(version)
}

/// Brings the tables to the version of this program; `name` is the file, for errors.
pub(super) fn migrate(connection: &mut Connection, name: &str) -> anyhow::Result<()> {
    let version = usize::try_from(check(connection, name)?).unwrap_or_default();
    for (index, migration) in MIGRATIONS.iter().enumerate().skip(version) {
        let to = index + 1;
        let step = || -> rusqlite::Result<()> {
            let transaction = connection.transaction()?;
            transaction.execute_batch(migration)?;
            if to == SEALED {
                seal::all(&transaction)?;
            }
            transaction.pragma_update(None, "application_id", APPLICATION)?;
            transaction.pragma_update(None, "user_version", i32::try_from(to).unwrap_or(i32::MAX))?;
            transaction.commit()
        };
        step_context(step, name, to)?;
    }
    Ok(())
}

fn step_context(step: impl FnOnce() -> rusqlite::Result<()>, name: &str, to: usize) -> anyhow::Result<()> {
    step().with_context(|| format!("cannot bring {name} to schema {to}; nothing was changed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_a_store_of_the_fourth_version_are_all_there_and_sealed() {
        let mut connection = Connection::open_in_memory().expect("memory");
        for tables in &MIGRATIONS[..4] {
            connection.execute_batch(tables).expect("the tables");
        }
        connection.pragma_update(None, "application_id", APPLICATION).expect("a number");
        connection.pragma_update(None, "user_version", 4).expect("a number");
        let rows = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2500)";
        connection
            .execute_batch(&format!(
                "INSERT INTO signals {rows} SELECT i, 1, 1, i, i, x'01', randomblob(50), NULL FROM n; \
                 INSERT INTO events {rows} SELECT 2 * i, i, 1, i, i, randomblob(50) FROM n; \
                 INSERT INTO snapshots VALUES (2500, 1, randomblob(100))"
            ))
            .expect("rows");
        migrate(&mut connection, "a store").expect("it is migrated");
        let one = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0)).expect(sql);
        assert_eq!((one("SELECT count(*) FROM signals"), one("SELECT count(*) FROM events")), (2500, 2500));
        assert_eq!(
            one(
                "SELECT (SELECT count(*) FROM signals WHERE sum = 0) + (SELECT count(*) FROM snapshots WHERE sum = 0)"
            ),
            0
        );
        assert_eq!(seal::check(&connection).expect("rows can be read"), []);
        connection.execute("UPDATE events SET body = x'00' WHERE position = 3000", []).expect("an update");
        connection.execute("DELETE FROM events WHERE position = 4000", []).expect("a row");
        connection.execute("DELETE FROM signals WHERE position = 2000", []).expect("a row");
        let found = seal::check(&connection).expect("rows can be read");
        let found: Vec<_> = found.iter().map(|damage| (damage.rows, damage.first)).collect();
        assert_eq!(found, [("inputs", 2000), ("events", 3000), ("events", 3999)]);
    }

    #[test]
    fn a_store_of_the_first_version_goes_on_as_one_of_this() {
        let mut connection = Connection::open_in_memory().expect("memory");
        connection.execute_batch(MIGRATIONS[0]).expect("the first tables");
        connection.pragma_update(None, "application_id", APPLICATION).expect("a number");
        connection.pragma_update(None, "user_version", 1).expect("a number");
        connection
            .execute_batch(
                "INSERT INTO sessions VALUES (1, x'01'); INSERT INTO events VALUES (7, 1, 2, 0, 0, x'00');",
            )
            .expect("an event");
        migrate(&mut connection, "a store").expect("it is migrated");
        let one = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0)).expect(sql);
        assert_eq!(one("PRAGMA user_version"), i64::try_from(MIGRATIONS.len()).expect("a few"));
        assert_eq!(one("SELECT position FROM events"), 7, "what was there is there");
        assert_eq!(one("SELECT position FROM swept WHERE log = 'attempts'"), 7);
        assert_eq!(one("SELECT count(*) FROM attempts") + one("SELECT count(*) FROM streams"), 0);
        let plan: String = connection
            .query_row(&format!("EXPLAIN QUERY PLAN SELECT body FROM signals WHERE {OF_NOTE}"), [], |row| {
                row.get(3)
            })
            .expect("a plan");
        assert!(plan.contains("signals_of_note"), "{plan}");
        migrate(&mut connection, "a store").expect("nothing is left to do");
    }
}
