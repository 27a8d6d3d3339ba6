//! A backup: the database of a data directory as it is at one moment, copied beside its writer.

use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use rusqlite::Connection;
use rusqlite::backup::{Backup as Pages, StepResult};

use super::seal;
use super::sqlite::{self, FILE, Reader};

/// The name of the copy until it is whole.
const PART: &str = "hookswitch.db.part";

/// Contents of a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backup {
    /// Its size in bytes.
    pub bytes: u64,
    /// The position of the last event in it; 0 if it holds none.
    pub last_event: u64,
}

/// Copies the database of a data directory into another directory, which is made if it is not there, and looks
/// whether the copy is whole. A server may run on the first; what it writes meanwhile is not in the copy.
///
/// # Errors
/// If either cannot be used, the second has a database already, or the copy is damaged. Nothing of the name
/// `hookswitch.db` is left then.
pub fn backup(directory: &Path, into: &Path, partitions: u8) -> anyhow::Result<Backup> {
    let target = into.join(FILE);
    ensure!(!target.exists(), "{} is there already; name a directory that has no backup", target.display());
    let from = Reader::of(directory, partitions)?;
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(into)
        .with_context(|| format!("cannot make the directory {}", into.display()))?;
    let part = into.join(PART);
    let copied = copy(&from, &part, partitions).with_context(|| format!("cannot write {}", part.display()));
    let backup = match copied {
        Ok(backup) => backup,
        Err(error) => {
            fs::remove_file(&part).ok();
            return Err(error);
        }
    };
    fs::rename(&part, &target).with_context(|| format!("cannot write {}", target.display()))?;
    File::open(into).and_then(|directory| directory.sync_all())?;
    Ok(backup)
}

fn copy(from: &Reader, part: &Path, partitions: u8) -> anyhow::Result<Backup> {
    if part.exists() {
        fs::remove_file(part)?;
    }
    let file = sqlite::private_file(part)?;
    let mut to = Connection::open(part)?;
    {
        let pages = Pages::new(from.connection(), &mut to)?;
        // All at once is what the source is at one moment; in pieces it would begin anew with each commit.
        let step = pages.step(-1)?;
        ensure!(step == StepResult::Done, "the database is locked by another program; try again");
    }
    // One file, which needs no log beside it.
    to.pragma_update(None, "journal_mode", "DELETE")?;
    let found: String = to.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    ensure!(found == "ok", "the database is damaged ({found}); run `hookswitch store check`");
    if let Some(damage) = seal::check(&to)?.first() {
        bail!("the database is damaged: {damage}");
    }
    let last_event = sqlite::ends(&to, partitions)?.events;
    drop(to);
    file.sync_all()?;
    Ok(Backup { bytes: file.metadata()?.len(), last_event })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::super::Durability;
    use super::*;

    fn directory(name: &str) -> std::path::PathBuf {
        let directory = std::env::temp_dir().join(format!("hookswitch-backup-{name}-{}", std::process::id()));
        fs::remove_dir_all(&directory).ok();
        directory
    }

    #[test]
    fn a_backup_is_of_one_moment_while_others_write() {
        let (live, into) = (directory("live"), directory("into"));
        fs::create_dir_all(&live).expect("a directory");
        let connection = sqlite::open(&live, Durability::Relaxed).expect("a store");
        // Each transaction writes a pair.
        let body = [0; 4000];
        let write = |connection: &Connection, position: i64| {
            let sum = seal::EventSeal { position, sequence: 1, at: 0, arrival: 0, body: &body }.sum(0);
            connection.execute_batch(&format!(
                "BEGIN; INSERT INTO sessions VALUES ({position}, randomblob(16)); \
                 INSERT INTO events VALUES ({position}, {position}, 1, 0, 0, zeroblob(4000), 0, {sum}); COMMIT"
            ))
        };
        for position in 1..=200 {
            write(&connection, position).expect("it is written");
        }
        let stop = &AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(move || {
                let mut position = 201;
                while !stop.load(Ordering::Relaxed) {
                    write(&connection, position).expect("it is written");
                    position += 1;
                }
            });
            for number in 0..5 {
                let into = into.join(number.to_string());
                let made = backup(&live, &into, 1).expect("a backup");
                let copy = Connection::open(into.join(FILE)).expect("it opens");
                let count = |table: &str| {
                    let sql = format!("SELECT count(*) FROM {table}");
                    copy.query_row(&sql, [], |row| row.get::<_, i64>(0)).expect("a count").cast_unsigned()
                };
                assert!(made.last_event >= 200);
                assert_eq!((count("events"), count("sessions")), (made.last_event, made.last_event));
                assert_eq!(fs::read_dir(&into).expect("a directory").count(), 1, "one file");
            }
            stop.store(true, Ordering::Relaxed);
        });
        let again = backup(&live, &into.join("0"), 1).expect_err("there is one");
        assert!(again.to_string().contains("is there already"), "{again}");
        for directory in [live, into] {
            fs::remove_dir_all(directory).expect("it goes");
        }
    }
}
