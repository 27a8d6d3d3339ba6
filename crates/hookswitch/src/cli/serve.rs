//! `hookswitch serve`: the server.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context as _;
use hookswitch_server::Profile;

use super::ephemeral;

/// The arguments of the command.
#[derive(clap::Args)]
pub(super) struct Serve {
    /// The configuration, a file that `hookswitch init` has written or one like it
    #[arg(long, value_name = "FILE", required_unless_present = "ephemeral")]
    config: Option<PathBuf>,
    /// For development: webhooks may go to http addresses of this machine
    #[arg(long)]
    dev: bool,
    /// For tests: a server on free ports of this machine, with a store of its own that goes away at the end
    ///
    /// Prints one JSON object with addresses, tokens and what an application logs in with, once it is ready. Its clock can
    /// be moved on by POST /admin/v1/clock, and webhooks may go to http addresses of this machine. Settings are taken from
    /// the environment.
    #[arg(long, conflicts_with = "config")]
    ephemeral: bool,
    /// With --ephemeral: write the same object to this file when the server is ready, and remove it at the end
    #[arg(long, value_name = "FILE", requires = "ephemeral")]
    ready_file: Option<PathBuf>,
    /// With --ephemeral: the file of accounts and extensions [default: an account with extensions 101 to 104]
    #[arg(long, value_name = "FILE", requires = "ephemeral")]
    directory: Option<PathBuf>,
}

impl Serve {
    /// Serves until told to stop.
    pub(super) fn run(self, out: &mut impl Write) -> anyhow::Result<()> {
        if self.ephemeral {
            return ephemeral::run(self.directory.as_deref(), self.ready_file.as_deref(), out);
        }
        let config = self.config.context("give --config FILE, or --ephemeral")?;
        let profile = if self.dev { Profile::Development } else { Profile::Production };
        hookswitch_server::run(&config, profile, hookswitch_api::mount)
    }
}
