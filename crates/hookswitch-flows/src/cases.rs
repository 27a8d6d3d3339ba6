//! Cases: inputs that are easily told wrong, with what is right, from `cases/` at the root of the repository.
//!
//! `cases/README.md` has what a case is. A folder that has none of the files that it needs ends the test.

use std::fs;
use std::path::{Path, PathBuf};

/// Endings of the files of a case that are replayed together; a file named `input` is as well.
const INPUTS: [&str; 6] = ["pcap", "pcapng", "hep", "hep3", "jsonl", "log"];

/// One case: a folder with inputs and `expected.json`.
#[derive(Clone, Debug)]
pub struct Case {
    /// Kind and name: the path of the folder below `cases/`.
    pub name: String,
    folder: PathBuf,
}

/// All cases, by name.
///
/// # Panics
///
/// If there is none.
pub fn all() -> Vec<Case> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../cases");
    let mut cases: Vec<Case> = folders(&root)
        .iter()
        .flat_map(|kind| folders(kind))
        .map(|folder| {
            let name = folder.strip_prefix(&root).expect("it is below").to_str().expect("a name").to_owned();
            Case { name, folder }
        })
        .collect();
    assert!(!cases.is_empty(), "{} has no cases", root.display());
    cases.sort_by(|one, other| one.name.cmp(&other.name));
    cases
}

impl Case {
    /// Files that are replayed together, by name.
    ///
    /// # Panics
    ///
    /// If there is none.
    pub fn inputs(&self) -> Vec<PathBuf> {
        let is_input = |path: &PathBuf| {
            let is = |part: Option<&std::ffi::OsStr>, words: &[&str]| {
                part.and_then(|part| part.to_str()).is_some_and(|part| words.contains(&part))
            };
            is(path.extension(), &INPUTS) || is(path.file_stem(), &["input"])
        };
        let mut files: Vec<PathBuf> = entries(&self.folder).into_iter().filter(is_input).collect();
        assert!(!files.is_empty(), "{} has no input", self.name);
        files.sort();
        files
    }

    /// Directory that the case needs, if it needs one.
    pub fn directory(&self) -> Option<PathBuf> {
        Some(self.folder.join("directory.toml")).filter(|file| file.exists())
    }

    /// Text of `expected.json`.
    ///
    /// # Panics
    ///
    /// If it cannot be read, or `expected.md` is missing: nobody can judge what is not explained.
    pub fn expected(&self) -> String {
        assert!(self.folder.join("expected.md").exists(), "{} has no expected.md", self.name);
        let file = self.folder.join("expected.json");
        fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
    }
}

fn folders(path: &Path) -> Vec<PathBuf> {
    entries(path).into_iter().filter(|path| path.is_dir()).collect()
}

fn entries(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    entries.map(|entry| entry.expect("the folder can be read").path()).collect()
}
