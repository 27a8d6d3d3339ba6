//! `hookswitch serve`: the server.

use std::path::PathBuf;

/// The arguments of the command.
#[derive(clap::Args)]
pub(super) struct Serve {
    /// The configuration, a file that `hookswitch init` has written or one like it
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// For development: webhooks may go to http addresses of this machine
    #[arg(long)]
    dev: bool,
}

impl Serve {
    /// Serves until told to stop.
    pub(super) fn run(self) -> anyhow::Result<()> {
        hookswitch_server::run(&self.config, self.dev, hookswitch_api::mount)
    }
}
