//! `hookswitch store copy`: a store from one engine to the other.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use hookswitch_server::config::Config;
use hookswitch_server::derivation::{Derivation, STATE_VERSION};
use hookswitch_store::{CopySource, CopyTarget, Input, LoggedInput, Partition, StoreSettings, check_apart};
use indicatif::{ProgressBar, ProgressStyle};

use super::{shows_progress, warn};

/// The arguments of the command.
#[derive(clap::Args)]
pub(super) struct Copy {
    /// The configuration of the server whose store is copied; no server may run on it
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    /// The configuration of the server that goes on with the copy; its store must be empty, or hold a part
    /// of this copy
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
}

impl Copy {
    /// Copies, and compares both sides.
    pub(super) fn run(&self, out: &mut impl Write) -> anyhow::Result<()> {
        let [from, to] =
            [Config::load(&self.from)?, Config::load(&self.to)?].map(|config| config.store_settings());
        check_apart(&from, &to)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(copy(&from, &to, out))
    }
}

async fn copy(from: &StoreSettings, to: &StoreSettings, out: &mut impl Write) -> anyhow::Result<()> {
    let source = Box::pin(CopySource::open(from)).await.context("cannot open the store of --from")?;
    let open = open_calls(&source).context("cannot count the calls that are open")?;
    if open > 0 {
        warn(&[format!(
            "{open} calls are open; they go on in partition 0 alone, and what comes for them in another partition is the \
             beginning of another call: better copy when no call is open"
        )]);
    }
    let mut target =
        Box::pin(CopyTarget::open(to, &source)).await.context("cannot open the store of --to")?;
    if target.goes_on() {
        writeln!(out, "the copy goes on where it was")?;
        out.flush()?;
    }
    let progress = progress_bar();
    let filled = target.fill(&source, |all, copied| {
        progress.set_length(all);
        progress.set_position(copied);
    });
    let filled = filled.await;
    progress.finish_and_clear();
    filled?;
    let was = source.summary().clone();
    source.close();
    let is = Box::pin(target.summary(to)).await.context("the copy cannot be read back")?;
    if is != was {
        bail!(
            "the copy is not what was copied: {was} (SHA-256 {}) became {is} (SHA-256 {}); was the target used since? Copy \
             again to an empty one",
            was.checksum(),
            is.checksum()
        );
    }
    writeln!(out, "{was}; {open} calls open")?;
    writeln!(out, "both sides have the SHA-256 {}", was.checksum())?;
    Ok(())
}

/// Returns the number of calls that are open where the logs of a store end.
fn open_calls(source: &CopySource) -> anyhow::Result<usize> {
    let mut open = 0;
    for partition in source.partitions()? {
        open += derivation(source, partition)?.open_sessions();
    }
    Ok(open)
}

fn derivation(source: &CopySource, partition: Partition) -> anyhow::Result<Derivation> {
    let saved = source.states().iter().find(|state| state.partition == partition);
    let saved = saved.filter(|state| state.version == STATE_VERSION);
    let saved = saved.and_then(|state| Some((Derivation::read(&state.bytes).ok()?, state.position)));
    let whole = saved.is_none();
    let (mut derivation, after) = saved.unwrap_or_default();
    let apply = |logged: LoggedInput<'_>| {
        derivation.apply(logged.position, logged.arrival, &Input::read(logged.columns)?)?;
        while derivation.poll_event().is_some() {}
        Ok(())
    };
    if whole {
        source.reader().kept_inputs(partition, apply)?;
    } else {
        source.reader().inputs(partition, after, apply)?;
    }
    Ok(derivation)
}

fn progress_bar() -> ProgressBar {
    if !shows_progress() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} rows {per_sec} {eta}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::no_length().with_style(style)
}
