//! Recorded calls through real switches, from `recordings/` at the root of the repository.
//!
//! `recordings/README.md` has what was recorded and how. Whatever is missing there ends the test that asks for
//! it: a test that checked nothing would say that all is well.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Ending of a file that is packed.
const PACKED: &str = "xz";

/// One recorded call: a folder with `meta.json` and the packed files of all that watched it.
#[derive(Clone, Debug)]
pub struct Recording {
    /// Switch that the call went through: `asterisk` or `freeswitch`.
    pub switch: String,
    /// Name of the folder, which says what happens.
    pub name: String,
    folder: PathBuf,
}

/// Folder of all recordings.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../recordings")
}

/// Directory of accounts and extensions of a switch, written for its recordings.
pub fn directory(switch: &str) -> PathBuf {
    root().join(switch).join("directory.toml")
}

/// All recordings of a switch, by name.
///
/// # Panics
///
/// If there is none, or a folder has no `meta.json`.
pub fn all(switch: &str) -> Vec<Recording> {
    let folder = root().join(switch);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let folders =
        entries.map(|entry| entry.expect("the folder can be read").path()).filter(|path| path.is_dir());
    let mut recordings: Vec<Recording> = folders.map(|folder| Recording::open(switch, folder)).collect();
    assert!(!recordings.is_empty(), "{} has no recordings", folder.display());
    recordings.sort_by(|one, other| one.name.cmp(&other.name));
    recordings
}

impl Recording {
    /// Finds the recording of a name.
    ///
    /// # Panics
    ///
    /// If it is not there.
    pub fn named(switch: &str, name: &str) -> Self {
        Self::open(switch, root().join(switch).join(name))
    }

    fn open(switch: &str, folder: PathBuf) -> Self {
        assert!(folder.join("meta.json").exists(), "{} has no meta.json", folder.display());
        let name = folder.file_name().and_then(|name| name.to_str()).expect("a name").to_owned();
        Self { switch: switch.to_owned(), name, folder }
    }

    /// Gives a file as it was recorded: `ami.log`, `esl.log`, `hep.jsonl` or `sip.pcap`.
    ///
    /// # Panics
    ///
    /// If it is not there, or damaged.
    pub fn read(&self, file: &str) -> Vec<u8> {
        unpacked(&self.folder.join(format!("{file}.{PACKED}")))
    }

    /// Writes a file as it was recorded below a folder, and gives its path; several tests may do so at a time.
    ///
    /// # Panics
    ///
    /// As [`Recording::read`], and if it cannot be written.
    pub fn unpack(&self, file: &str, into: &Path) -> PathBuf {
        let path = into.join(&self.switch).join(&self.name).join(file);
        let bytes = self.read(file);
        if fs::read(&path).is_ok_and(|there| there == bytes) {
            return path;
        }
        write_whole(&path, &bytes);
        path
    }

    /// Returns what `meta.json` says.
    ///
    /// # Panics
    ///
    /// If it is not JSON.
    pub fn meta(&self) -> String {
        fs::read_to_string(self.folder.join("meta.json")).expect("meta.json can be read")
    }
}

/// Unpacks a file.
fn unpacked(path: &Path) -> Vec<u8> {
    let packed = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut bytes = Vec::new();
    lzma_rust2::XzReader::new(&*packed, false)
        .read_to_end(&mut bytes)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    bytes
}

/// Writes a file such that nobody reads half of it.
fn write_whole(path: &Path, bytes: &[u8]) {
    static WRITTEN: AtomicU64 = AtomicU64::new(0);
    let folder = path.parent().expect("a file is in a folder");
    fs::create_dir_all(folder).expect("a folder can be made");
    let number = WRITTEN.fetch_add(1, Ordering::Relaxed);
    let part = path.with_extension(format!("{}-{number}", std::process::id()));
    fs::write(&part, bytes).expect("a file can be written");
    fs::rename(&part, path).expect("a file can be renamed");
}
