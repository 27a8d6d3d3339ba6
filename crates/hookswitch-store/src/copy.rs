//! Copies a store from one engine to the other, as it is: every position, revision and mark stays what it
//! was, so what rests on them (progress, attempts, tokens of WebSockets) goes on.
//!
//! The rows go in chunks, in one order. Each chunk is written together with how far the copy has come with
//! it, so one that was interrupted goes on there, and nothing is written twice. A copy is known by the
//! checksum of what is copied: the target takes the rest of the same copy, and of no other.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use anyhow::{bail, ensure};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::damage::Harm;
use super::metrics::Metrics;
use super::nats::CopyInto;
use super::progress::{feed_change, feed_id};
use super::rows::{Chunk, DocumentRow, END, IS_FEED, KINDS_OF_LOG, Rows, insert_documents};
use super::seal;
use super::settings::{Durability, Engine, StoreSettings};
use super::sqlite::{self, Lock};
use super::summary::Summary;
use super::writer::follow_to;
use super::{Change, Document, LogEnds, Nats, Options, Partition, Reader, Store, Wanted, WriterThread};

/// While a store is copied nothing of it is swept.
const KEPT: Duration = Duration::from_secs(100 * 365 * 86_400);

/// A saved state of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// Partition of the state.
    pub partition: Partition,
    /// The last input in it.
    pub position: u64,
    /// The version of the state, as its writer counts them.
    pub version: u32,
    /// The state as it was saved.
    pub bytes: Vec<u8>,
}

/// Phase of a copy; phases come one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    Documents,
    Inputs,
    Events,
    Attempts,
    Spans,
    /// The documents that deliveries write down.
    Progress,
    /// Positions up to which the logs were swept, and the saved states; nothing comes behind it.
    Last,
}

impl Phase {
    const ALL: [Self; 7] = [
        Self::Documents,
        Self::Inputs,
        Self::Events,
        Self::Attempts,
        Self::Spans,
        Self::Progress,
        Self::Last,
    ];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Documents => "documents",
            Self::Inputs => "inputs",
            Self::Events => "events",
            Self::Attempts => "attempts",
            Self::Spans => "spans",
            Self::Progress => "progress",
            Self::Last => "last",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Phase {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|phase| phase.as_str() == text).ok_or(())
    }
}

/// Progress of a copy: all phases before this one, and of this one what is not behind the number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Come {
    pub(super) phase: Phase,
    pub(super) until: u64,
}

impl Come {
    /// Progress at which nothing is copied.
    pub(super) const NOTHING: Self = Self { phase: Phase::Documents, until: 0 };

    /// Progress at which all rows are copied.
    pub(super) const BEFORE_LAST: Self = Self { phase: Phase::Progress, until: END };

    /// The phase that goes on, and behind what; none when all is copied.
    fn next(self) -> Option<Self> {
        if self.until < END {
            return Some(self);
        }
        let next = Phase::ALL.into_iter().find(|phase| *phase > self.phase)?;
        Some(Self { phase: next, until: 0 })
    }
}

/// A store that is copied; nobody writes it meanwhile.
pub struct CopySource {
    reader: Reader,
    states: Vec<State>,
    summary: Summary,
    /// Lock that keeps others out, and the copy of a cluster's log.
    held: Held,
}

enum Held {
    Directory { _lock: Lock },
    Cluster(Box<(Store, WriterThread)>),
}

/// Store that is copied to.
pub struct CopyTarget {
    side: Side,
    come: Come,
    partitions: u8,
}

enum Side {
    Sqlite {
        connection: Box<Connection>,
        id: String,
        sessions: HashMap<hookswitch_model::TelephonySessionId, i64>,
        _lock: Lock,
    },
    Nats {
        into: Box<CopyInto>,
        nats: Box<Nats>,
        directory: PathBuf,
    },
}

fn options(settings: &StoreSettings) -> Options {
    let partitions = settings.partitions();
    Options {
        durability: Durability::Strict,
        partitions,
        is_copy: false,
        signals_kept: KEPT,
        events_kept: KEPT,
    }
}

async fn connect(settings: &StoreSettings) -> anyhow::Result<Nats> {
    let nats = Nats::connect(&settings.nats, &Wanted::of(settings)).await?;
    let nodes = nats.nodes().await?;
    ensure!(
        nodes.is_empty(),
        "the node {} runs on the log {:?} in NATS; stop all nodes, and wait for cluster.lease",
        nodes.join(", "),
        settings.nats.prefix
    );
    Ok(nats)
}

impl CopySource {
    /// Opens the store of a configuration, and reads all of it once.
    ///
    /// # Errors
    /// If a server runs, or there is nothing.
    pub async fn open(settings: &StoreSettings) -> anyhow::Result<Self> {
        let directory = &settings.directory;
        let (held, states) = match settings.engine {
            Engine::Sqlite => {
                let reader = Reader::of(directory, 1)?; // else the lock would make the directory
                check_copied(reader.connection(), directory)?;
                (Held::Directory { _lock: Lock::take(directory)? }, None)
            }
            Engine::Nats => {
                let nats = connect(settings).await?;
                ensure!(
                    !nats.is_new().await?,
                    "NATS has no log {:?}; set nats.prefix to that of the cluster",
                    settings.nats.prefix
                );
                let joined =
                    Box::pin(Store::join(directory, options(settings), nats.clone(), Metrics::default()))
                        .await;
                let (store, writer) = joined?;
                for partition in Partition::all(settings.partitions_of_cluster) {
                    ensure!(
                        nats.intake_end(partition).await? <= store.intake_of(partition)?,
                        "partition {partition} has not taken all that came in for it; start the cluster, and stop it \
                         when no signals come in"
                    );
                }
                let states = nats.saved_states().await?;
                (Held::Cluster(Box::new((store, writer))), Some(states))
            }
        };
        let reader = Reader::of(directory, settings.partitions())?;
        // What is damaged must not be sealed anew as if it were right.
        if let Some(damage) = reader.damaged_rows()?.iter().find(|damage| damage.harm != Harm::Cut) {
            bail!("{}: {damage}", directory.display());
        }
        let states = states.map_or_else(|| states_of(reader.connection()), Ok)?;
        let summary = Summary::of(reader.connection(), &states)?;
        Ok(Self { reader, states, summary, held })
    }

    /// Its rows.
    pub const fn reader(&self) -> &Reader {
        &self.reader
    }

    /// The saved states of its partitions.
    pub fn states(&self) -> &[State] {
        &self.states
    }

    /// Returns what it holds.
    pub const fn summary(&self) -> &Summary {
        &self.summary
    }

    /// The partitions that have inputs.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn partitions(&self) -> anyhow::Result<Vec<Partition>> {
        let mut found = Vec::new();
        for partition in Partition::all(Partition::COUNT_MAX) {
            let positions = partition.positions();
            let any = self
                .reader
                .connection()
                .query_row(
                    "SELECT position FROM signals WHERE position BETWEEN ? AND ? LIMIT 1",
                    [positions.start().cast_signed(), positions.end().cast_signed()],
                    |_| Ok(()),
                )
                .optional()?;
            if any.is_some() {
                found.push(partition);
            }
        }
        Ok(found)
    }

    /// Returns whether the partitions of a cluster can go on where those of the store end.
    fn check_fits(&self, partitions: u8) -> anyhow::Result<()> {
        if let Some(last) = self.partitions()?.last() {
            let has = last.index() + 1;
            ensure!(
                has <= usize::from(partitions),
                "the store is of {has} partitions at least; set cluster.partitions to as many as the source has"
            );
        }
        let last: u16 = self.reader.connection().query_row(
            "SELECT coalesce(max(source), 0) FROM signals WHERE position <= ?",
            [Partition::default().positions().end().cast_signed()],
            |row| row.get(0),
        )?;
        let may = *Partition::default().sources(partitions, u16::MAX).end();
        ensure!(
            last <= may,
            "the store has numbered its sources up to {last}, and each of {partitions} partitions may number {may}; set \
             cluster.partitions lower"
        );
        Ok(())
    }

    /// Returns how far the log was handed out, for a number of partitions. With another number than here each has
    /// handed out what all have: a live subscription has come so far at least.
    fn feeds(&self, partitions: u8) -> anyhow::Result<Vec<DocumentRow>> {
        let kind = KINDS_OF_LOG[0];
        let mut feeds = Vec::new();
        let mut least = u64::MAX;
        for partition in Partition::all(self.reader.partitions()) {
            let id = feed_id(partition);
            let Some(Document { id, revision, content }) = self.reader.document(kind, &id)? else {
                least = 0;
                continue;
            };
            let feed: serde_json::Value = serde_json::from_str(&content)?;
            least = least.min(feed["read"].as_u64().unwrap_or(0));
            feeds.push(DocumentRow { kind: kind.to_owned(), id, revision, content });
        }
        if partitions == self.reader.partitions() || least == 0 || least == u64::MAX {
            return Ok(feeds);
        }
        let feed = |partition| {
            let Change { id, content, .. } = feed_change(partition, least);
            DocumentRow { kind: kind.to_owned(), id, revision: 1, content: content.unwrap_or_default() }
        };
        Ok(Partition::all(partitions).map(feed).collect())
    }

    /// The rows behind what has come.
    fn read(&self, come: Come, last: Option<&(String, String)>) -> rusqlite::Result<Chunk> {
        let connection = self.reader.connection();
        match come.phase {
            Phase::Documents => Rows::documents_after(connection, false, come.until, last),
            Phase::Inputs => Rows::inputs_after(connection, come.until),
            Phase::Events => Rows::events_after(connection, come.until),
            Phase::Attempts => Rows::attempts_after(connection, come.until),
            Phase::Spans => Rows::spans_after(connection, come.until),
            Phase::Progress => Rows::documents_after(connection, true, come.until, last),
            Phase::Last => Rows::of_swept(connection).map(|rows| Chunk { rows, until: END }),
        }
    }

    /// Returns the number of rows that there are to copy, and how many are copied.
    fn rows(&self, come: Come) -> anyhow::Result<(u64, u64)> {
        let count = |name| self.summary.count(name);
        let all = count("documents")
            + count("inputs")
            + count("events")
            + count("attempts")
            + count("stretches of WebSockets");
        let behind = |sql: &str, until: u64| {
            self.reader.connection().query_row(sql, [until.cast_signed()], |row| row.get::<_, i64>(0))
        };
        let [progress, redelivery] = KINDS_OF_LOG;
        let documents = |which| {
            format!(
                "SELECT min(count(*), ?) FROM documents WHERE kind {which} ('{progress}', '{redelivery}') AND NOT ({IS_FEED})"
            )
        };
        let mut copied = 0;
        for phase in Phase::ALL.into_iter().filter(|phase| *phase <= come.phase) {
            let until = if phase == come.phase { come.until } else { END };
            copied += match phase {
                Phase::Inputs => behind("SELECT count(*) FROM signals WHERE position <= ?", until)?,
                Phase::Events => behind("SELECT count(*) FROM events WHERE position <= ?", until)?,
                Phase::Attempts => behind("SELECT count(*) FROM attempts WHERE rowid <= ?", until)?,
                Phase::Spans => behind("SELECT min(count(*), ?) FROM streams", until)?,
                Phase::Documents => behind(&documents("NOT IN"), until)?,
                Phase::Progress => behind(&documents("IN"), until)?,
                Phase::Last => 0,
            }
            .unsigned_abs();
        }
        Ok((all, copied))
    }

    /// Lets others in again.
    pub fn close(self) {
        if let Held::Cluster(joined) = self.held {
            let (store, writer) = *joined;
            drop(self.reader);
            writer.close(store);
        }
    }
}

impl CopyTarget {
    /// Opens the store of a configuration to copy into it; it must be empty, or hold a part of the same copy.
    ///
    /// # Errors
    /// If a server runs, or something else is there.
    pub async fn open(settings: &StoreSettings, source: &CopySource) -> anyhow::Result<Self> {
        let id = source.summary.checksum().get(..16).unwrap_or_default().to_owned();
        let directory = &settings.directory;
        match settings.engine {
            Engine::Sqlite => {
                let lock = Lock::take(directory)?;
                let connection = sqlite::open(directory, Durability::Strict)?;
                let come = come_in(&connection, &id, directory)?;
                let connection = Box::new(connection);
                let side = Side::Sqlite { connection, id, sessions: HashMap::new(), _lock: lock };
                Ok(Self { side, come, partitions: 1 })
            }
            Engine::Nats => {
                source.check_fits(settings.partitions_of_cluster)?;
                let nats = connect(settings).await?;
                let (into, come) = CopyInto::begin(nats.clone(), id).await?;
                let (into, nats) = (Box::new(into), Box::new(nats));
                let side = Side::Nats { into, nats, directory: directory.clone() };
                Ok(Self { side, come, partitions: settings.partitions_of_cluster })
            }
        }
    }

    /// Returns `true` if a part of the copy, or all of it, was there already.
    pub fn goes_on(&self) -> bool {
        self.come != Come::NOTHING
    }

    /// Copies what is not there yet; `told` hears how many rows there are, and how many are copied.
    ///
    /// # Errors
    /// If one side cannot be read or written. The copy can be taken up again.
    pub async fn fill(&mut self, source: &CopySource, mut told: impl FnMut(u64, u64)) -> anyhow::Result<()> {
        let (all, mut copied) = source.rows(self.come)?;
        told(all, copied);
        let mut last = None;
        while let Some(from) = self.come.next() {
            if from.phase != self.come.phase {
                last = None;
            }
            let Chunk { rows, until } = source.read(from, last.as_ref())?;
            last = rows.last_document().or(last);
            if from.phase == Phase::Last {
                self.finish(source).await?;
            }
            let come = Come { phase: from.phase, until };
            self.write(from, come, &rows).await?;
            self.come = come;
            copied += rows.len();
            told(all, copied);
        }
        Ok(())
    }

    async fn write(&mut self, from: Come, come: Come, rows: &Rows) -> anyhow::Result<()> {
        match &mut self.side {
            Side::Nats { into, .. } => into.write(from, come, rows).await,
            Side::Sqlite { connection, id, sessions, .. } => {
                let transaction = connection.transaction()?;
                // Nobody asks where the logs end.
                let mut ends = LogEnds { inputs: Vec::new(), events: 0 };
                rows.insert(&transaction, &mut ends, sessions, &mut Vec::new())?;
                follow_to(&transaction, &mark(id, come.phase), come.until)?;
                Ok(transaction.commit()?)
            }
        }
    }

    /// Writes what is not written in chunks.
    async fn finish(&mut self, source: &CopySource) -> anyhow::Result<()> {
        let feeds = source.feeds(self.partitions)?;
        match &mut self.side {
            Side::Nats { into, nats, .. } => {
                for State { partition, position, version, bytes } in source.states() {
                    nats.save_state(*partition, *position, *version, bytes).await?;
                }
                let events: i64 = source.reader.connection().query_row(
                    "SELECT max((SELECT coalesce(max(position), 0) FROM events), \
                     (SELECT coalesce(max(position), 0) FROM swept WHERE log IN ('events', 'attempts')))",
                    [],
                    |row| row.get(0),
                )?;
                into.write(Come::BEFORE_LAST, Come::BEFORE_LAST, &Rows::of(feeds)).await?;
                into.reach(events.cast_unsigned()).await
            }
            Side::Sqlite { connection, .. } => {
                let transaction = connection.transaction()?;
                transaction.execute("DELETE FROM snapshots", [])?;
                for State { position, version, bytes, .. } in source.states() {
                    let sum = seal::of_state(*position, *version, bytes);
                    let row = params![position.cast_signed(), version, bytes, sum];
                    transaction.execute("INSERT INTO snapshots VALUES (?, ?, ?, ?)", row)?;
                }
                insert_documents(&transaction, feeds.iter())?;
                Ok(transaction.commit()?)
            }
        }
    }

    /// Reads all that is there, as a server would find it.
    ///
    /// # Errors
    /// If it cannot be read.
    pub async fn summary(self, settings: &StoreSettings) -> anyhow::Result<Summary> {
        match self.side {
            Side::Sqlite { connection, .. } => {
                let states = states_of(&connection)?;
                Ok(Summary::of(&connection, &states)?)
            }
            Side::Nats { nats, directory, .. } => {
                let joined =
                    Box::pin(Store::join(&directory, options(settings), (*nats).clone(), Metrics::default()))
                        .await;
                let (store, writer) = joined?;
                let states = nats.saved_states().await?;
                let reader = Reader::of(&directory, settings.partitions())?;
                let summary = Summary::of(reader.connection(), &states)?;
                drop(reader);
                writer.close(store);
                Ok(summary)
            }
        }
    }
}

/// Under which name it stands how far a copy has come with a phase.
fn mark(id: &str, phase: Phase) -> String {
    format!("copy.{id}.{phase}")
}

/// Returns how far a copy has come in a database, which must have nothing else.
fn come_in(connection: &Connection, id: &str, directory: &Path) -> anyhow::Result<Come> {
    let mut come = None;
    for phase in Phase::ALL {
        let name = mark(id, phase);
        let until = connection
            .query_row("SELECT sequence FROM followed WHERE name = ?", [name], |row| row.get::<_, i64>(0))
            .optional()?;
        come = until.map(|until| Come { phase, until: until.cast_unsigned() }).or(come);
    }
    if let Some(come) = come {
        return Ok(come);
    }
    if sqlite::is_empty(connection)? {
        return Ok(Come::NOTHING);
    }
    let begun = connection
        .query_row("SELECT name FROM followed WHERE name LIKE 'copy.%' LIMIT 1", [], |_| Ok(()))
        .optional()?;
    let directory = directory.display();
    match begun {
        Some(()) => bail!(
            "{directory} has a part of a copy of another store, or of this one before it changed; delete it, or set \
             store.directory of --to to an empty directory"
        ),
        None => bail!("{directory} has a store already; set store.directory of --to to an empty directory"),
    }
}

/// Returns whether a copy into a database was begun and not ended.
///
/// # Errors
/// A sentence that says so.
pub(super) fn check_copied(connection: &Connection, directory: &Path) -> anyhow::Result<()> {
    let is_part: bool = connection.query_row(
        "SELECT EXISTS (SELECT 1 FROM followed WHERE name LIKE 'copy.%') \
         AND NOT EXISTS (SELECT 1 FROM followed WHERE name LIKE 'copy.%.last')",
        [],
        |row| row.get(0),
    )?;
    ensure!(
        !is_part,
        "{} has a part of a copy; give `hookswitch store copy` once more, or delete it",
        directory.display()
    );
    Ok(())
}

fn states_of(connection: &Connection) -> rusqlite::Result<Vec<State>> {
    let mut statement =
        connection.prepare("SELECT position, version, state FROM snapshots ORDER BY position")?;
    let states = statement.query_map([], |row| {
        let position = row.get::<_, i64>(0)?.cast_unsigned();
        let partition = Partition::of_position(position);
        Ok(State { partition, position, version: row.get(1)?, bytes: row.get(2)? })
    })?;
    // Of each partition the newest.
    let states = states.collect::<rusqlite::Result<Vec<_>>>()?;
    let newest: BTreeMap<Partition, State> =
        states.into_iter().map(|state| (state.partition, state)).collect();
    Ok(newest.into_values().collect())
}

/// Returns whether two configurations name the same place.
///
/// # Errors
/// A sentence that says so.
pub fn check_apart(from: &StoreSettings, to: &StoreSettings) -> anyhow::Result<()> {
    let place = |settings: &StoreSettings| {
        let directory = &settings.directory;
        directory.canonicalize().unwrap_or_else(|_| directory.clone())
    };
    ensure!(
        place(from) != place(to),
        "both configurations have their data in {}; give the copy a store.directory of its own",
        place(from).display()
    );
    let both = [from, to].map(|settings| settings.engine == Engine::Nats);
    ensure!(
        both != [true, true] || from.partitions_of_cluster == to.partitions_of_cluster,
        "cluster.partitions is {} on one side and {} on the other; between two logs in NATS it must be the same",
        from.partitions_of_cluster,
        to.partitions_of_cluster
    );
    ensure!(
        both != [true, true] || from.nats.servers != to.nats.servers || from.nats.prefix != to.nats.prefix,
        "both configurations name the log {:?} in NATS; give the copy a nats.prefix of its own",
        from.nats.prefix
    );
    Ok(())
}
