//! Standing of a node's copy: it may go on with it or not.

use std::path::Path;

use anyhow::ensure;

use super::saved;
use super::streams::{Nats, STREAM_DOCUMENTS, STREAM_LOG, before_first};

/// The standing of a directory as the copy of a log; that of a new one is the default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CopyStanding {
    /// Set if it has the log of a server alone.
    pub is_of_one_server: bool,
    /// Point up to which the log was followed.
    pub log: u64,
    /// Point up to which the documents were followed.
    pub documents: u64,
}

impl CopyStanding {
    /// Returns how far a stream was followed.
    pub fn followed(&self, stream: &str) -> u64 {
        if stream == STREAM_DOCUMENTS { self.documents } else { self.log }
    }

    /// Checks the directory by itself.
    ///
    /// # Errors
    /// A sentence that says that it is no copy, and the fix.
    fn check(&self, directory: &Path) -> anyhow::Result<()> {
        ensure!(
            !self.is_of_one_server,
            "{} has the store of a server alone, and a node needs a directory for its copy; set store.directory to an \
             empty one, and bring the store over with `hookswitch store copy`",
            directory.display()
        );
        Ok(())
    }

    /// Checks that a stream which ends there goes on where the copy stands.
    ///
    /// # Errors
    /// A sentence that says that it does not, and the fix.
    fn check_end(&self, directory: &Path, stream: &str, end: u64) -> anyhow::Result<()> {
        let resume = self.followed(stream);
        ensure!(
            end >= resume,
            "{} has the copy of another log, or NATS has lost its end: message {resume} of {stream} is here, and {end} \
             is the last there; set store.directory to an empty directory",
            directory.display()
        );
        Ok(())
    }

    /// Checks that a node may go on with the copy when its streams are new.
    ///
    /// # Errors
    /// A sentence that names what does not fit, and the fix.
    pub(super) fn check_new(&self, directory: &Path) -> anyhow::Result<()> {
        self.check(directory)?;
        [STREAM_LOG, STREAM_DOCUMENTS].iter().try_for_each(|stream| self.check_end(directory, stream, 0))
    }
}

impl Nats {
    /// Checks that the streams go on where a copy stands.
    ///
    /// # Errors
    /// A sentence that names what does not fit, and the fix.
    pub async fn check_standing(&self, directory: &Path, standing: &CopyStanding) -> anyhow::Result<()> {
        self.check_copied().await?;
        standing.check(directory)?;
        for stream in [STREAM_LOG, STREAM_DOCUMENTS] {
            let found = self.stream(stream).await?;
            let state = &found.cached_info().state;
            standing.check_end(directory, stream, state.last_sequence)?;
            let begin = before_first(state);
            ensure!(
                stream != STREAM_DOCUMENTS
                    || begin <= standing.documents
                    || saved::last(self).await? >= begin,
                "changes of documents up to {begin} are gone, and no saved documents have them; start with a copy of the \
                 store.directory of a node that has them"
            );
        }
        Ok(())
    }
}
