//! A directory that goes away with the command.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use hookswitch_server::secret;
use nix::sys::statvfs::{Statvfs, statvfs};

/// Directory of files in memory, on Linux.
const MEMORY: &str = "/dev/shm";

/// Room that there must be in memory: containers may have little.
const ROOM_BYTES_MIN: u64 = 256 * 1024 * 1024;

/// A new directory that is removed with all that is in it.
pub(super) struct TemporaryDirectory(PathBuf);

impl TemporaryDirectory {
    /// Names a directory for the files of a command, which makes it. The name is random, so that nobody can have made
    /// it before.
    pub(super) fn new(command: &str) -> anyhow::Result<Self> {
        Self::within(&std::env::temp_dir(), command)
    }

    /// The same in memory, where there is room; else with the files of other programs.
    pub(super) fn in_memory(command: &str) -> anyhow::Result<Self> {
        let memory = Path::new(MEMORY);
        let is_set = std::env::var_os("TMPDIR").is_some();
        let bytes = |found: Statvfs| found.blocks_available().saturating_mul(found.fragment_size());
        let room = statvfs(memory).map_or(0, bytes);
        if is_set || room < ROOM_BYTES_MIN { Self::new(command) } else { Self::within(memory, command) }
    }

    fn within(directory: &Path, command: &str) -> anyhow::Result<Self> {
        let name = format!("hookswitch-{command}-{}", secret::token()?);
        Ok(Self(directory.join(name)))
    }

    /// Returns where it is.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file in it, and gives its path.
    pub(super) fn write(&self, name: &str, text: &str) -> anyhow::Result<PathBuf> {
        let path = self.0.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }
}

impl Drop for TemporaryDirectory {
    fn drop(&mut self) {
        let path: &Path = &self.0;
        if let Err(error) = fs::remove_dir_all(path)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            eprintln!("hookswitch: warning: cannot remove {} ({error}); please do", path.display());
        }
    }
}
