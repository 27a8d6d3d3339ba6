//! Damage of what is stored, in words for people.

use std::fmt;

/// Inputs or events that are not as they were written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The rows: `inputs` or `events`.
    pub rows: &'static str,
    /// The first position that it is about.
    pub first: u64,
    /// The last position that it is about.
    pub last: u64,
    /// The kind of damage.
    pub harm: Harm,
}

/// Kinds of damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Harm {
    /// The checksum differs: bits were changed.
    Altered,
    /// Rows in between were removed.
    Gap,
    /// The end of the log is missing, up to what was acknowledged.
    Cut,
}

impl std::error::Error for Damage {}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rows, first, last, harm } = self;
        match harm {
            Harm::Altered => write!(f, "{rows} {first} to {last} are damaged (checksum) and are not used")?,
            Harm::Gap => write!(f, "{rows} {first} to {last} are missing in the middle of the log")?,
            Harm::Cut => write!(
                f,
                "{rows} {first} to {last} were acknowledged and are gone with the end of the database or of its -wal file"
            )?,
        }
        f.write_str("; keep a copy of the data directory, and restore a backup if they are needed")
    }
}
