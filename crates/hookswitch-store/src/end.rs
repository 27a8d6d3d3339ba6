//! The end of the logs that was acknowledged, noted beside the database.
//!
//! A write-ahead log that is deleted or cut takes with it what SQLite had taken, and SQLite cannot know. So
//! after each commit, and before anybody is told of it, the ends of the logs go into a small file. It is not
//! synced: after a crash of the machine it may be behind what is on disk, which does no harm.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use anyhow::Context as _;
use ring::digest::{SHA256, digest};
use rusqlite::{Connection, params};

use super::damage::{Damage, Harm};
use super::options::Options;
use super::partition::Partition;
use super::sqlite::{self, private_file};
use super::{Durability, LogEnds};

/// The file in the data directory.
const FILE: &str = "hookswitch.end";

/// The file is two places that are written in turns, so that a write that is cut leaves the one before.
const PLACE_BYTES: u64 = 512;

/// The file of one who writes it.
pub(super) struct EndFile {
    file: File,
    /// Counts the writes.
    writes: u64,
    /// What was written last.
    written: Option<LogEnds>,
}

impl EndFile {
    /// Notes where the logs end, if they ended elsewhere before.
    pub(super) fn write(&mut self, ends: &LogEnds) -> io::Result<()> {
        if self.written.as_ref() == Some(ends) {
            return Ok(());
        }
        self.writes += 1;
        let mut bytes = self.writes.to_le_bytes().to_vec();
        bytes.push(ends.inputs.len() as u8);
        for end in ends.inputs.iter().chain([&ends.events]) {
            bytes.extend_from_slice(&end.to_le_bytes());
        }
        bytes.extend_from_slice(&digest(&SHA256, &bytes).as_ref()[..8]);
        self.file.write_all_at(&bytes, (self.writes % 2) * PLACE_BYTES)?;
        self.written = Some(ends.clone());
        Ok(())
    }
}

/// Returns what a file says: how often it was written, and the ends.
fn read(file: &File) -> io::Result<Option<(u64, LogEnds)>> {
    let mut bytes = vec![0; 2 * PLACE_BYTES as usize];
    let mut length = 0;
    loop {
        match file.read_at(&mut bytes[length..], length as u64)? {
            0 => break,
            count => length += count,
        }
    }
    let places = bytes.chunks_exact(PLACE_BYTES as usize).filter_map(|place| {
        let (head, rest) = place.split_at(9);
        let count = usize::from(head[8]);
        let bytes = 9 + (count + 1) * 8;
        let sum = place.get(bytes..bytes + 8)?;
        if digest(&SHA256, &place[..bytes]).as_ref()[..8] != *sum {
            return None;
        }
        let number = |bytes: &[u8]| bytes.try_into().map_or(0, u64::from_le_bytes);
        let mut ends: Vec<u64> = rest.chunks_exact(8).take(count + 1).map(number).collect();
        let events = ends.pop()?;
        Some((number(&head[..8]), LogEnds { inputs: ends, events }))
    });
    Ok(places.max_by_key(|(writes, _)| *writes))
}

/// Returns where the logs end for one who goes on with them, and the file in which that is noted from now on.
///
/// Of what was acknowledged and is gone, the positions are not given again, and it is said.
pub(super) fn restored(
    connection: &Connection,
    directory: &Path,
    options: Options,
) -> anyhow::Result<(LogEnds, Option<EndFile>)> {
    if options.is_copy {
        return Ok((sqlite::ends(connection, options.partitions)?, None));
    }
    let path = directory.join(FILE);
    let file = private_file(&path).with_context(|| format!("cannot open {}", path.display()))?;
    let known = read(&file).with_context(|| format!("cannot read {}", path.display()))?;
    let (writes, known) = known.map_or((0, None), |(writes, known)| (writes, Some(known)));
    for (damage, log) in
        known.iter().flat_map(|known| missing(connection, known)).collect::<Result<Vec<_>, _>>()?
    {
        let (first, last) = (damage.first.cast_signed(), damage.last.cast_signed());
        connection.execute("INSERT OR REPLACE INTO lost VALUES (?, ?, ?)", params![log, first, last])?;
        if options.durability == Durability::Relaxed {
            tracing::warn!(
                "{damage}; store.durability is \"relaxed\", so a crash of the machine may have done this"
            );
        } else {
            tracing::error!("{damage}");
        }
    }
    let ends = sqlite::ends(connection, options.partitions)?;
    // A disk that is full later has room for it.
    file.set_len(2 * PLACE_BYTES).with_context(|| format!("cannot write {}", path.display()))?;
    let mut end = EndFile { file, writes, written: None };
    end.write(&ends).with_context(|| format!("cannot write {}", path.display()))?;
    Ok((ends, Some(end)))
}

/// Returns what is known to have been there and is not, each with the name of its log.
fn missing(connection: &Connection, known: &LogEnds) -> Vec<rusqlite::Result<(Damage, String)>> {
    let partitions = u8::try_from(known.inputs.len()).unwrap_or(u8::MAX);
    let found = match sqlite::ends(connection, partitions) {
        Ok(found) => found,
        Err(error) => return vec![Err(error)],
    };
    let cut = |rows, has: u64, had: u64| {
        (has < had).then_some(Damage { rows, first: has + 1, last: had, harm: Harm::Cut })
    };
    let inputs = Partition::all(partitions).zip(found.inputs.iter().zip(&known.inputs));
    let inputs = inputs.filter_map(|(partition, (&has, &had))| {
        cut("inputs", has, had).map(|damage| Ok((damage, sqlite::swept_signals(partition))))
    });
    let events = cut("events", found.events, known.events).map(|damage| Ok((damage, "events".to_owned())));
    inputs.chain(events).collect()
}

/// The ends that were acknowledged, as a directory has them noted.
///
/// What is read of the database after this is not behind it, also beside a server that writes.
pub(super) fn acknowledged(directory: &Path) -> Option<LogEnds> {
    let file = File::open(directory.join(FILE)).ok()?;
    read(&file).ok().flatten().map(|(_, known)| known)
}

/// Returns what was acknowledged and is gone, found now or at an earlier start, as far as it would not be too old.
pub(super) fn lost(connection: &Connection, known: Option<&LogEnds>) -> rusqlite::Result<Vec<Damage>> {
    let mut statement = connection.prepare(
        "SELECT log, first, last FROM lost \
         WHERE last > coalesce((SELECT position FROM swept WHERE swept.log = lost.log), 0) ORDER BY log, first",
    )?;
    let mut found = statement
        .query_map([], |row| {
            let rows = if row.get::<_, String>(0)? == "events" { "events" } else { "inputs" };
            let (first, last): (i64, i64) = (row.get(1)?, row.get(2)?);
            let (first, last) = (first.cast_unsigned(), last.cast_unsigned());
            Ok(Damage { rows, first, last, harm: Harm::Cut })
        })?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    for damage in known.iter().flat_map(|known| missing(connection, known)) {
        found.push(damage?.0);
    }
    Ok(found)
}
