//! `hookswitch store`: what a server has kept, read beside it or after it.

use std::io::Write;
use std::iter::Peekable;
use std::path::PathBuf;

use anyhow::{Context as _, anyhow, bail, ensure};
use clap::Subcommand;
use hookswitch_core::filter::{EventFilter, Own, Projection};
use hookswitch_core::notification::Subscriber;
use hookswitch_model::{Event, ExtensionId};
use hookswitch_server::config::{Config, FILTER};
use hookswitch_server::derivation::Derivation;
use hookswitch_store::{Backup as Made, Input, Partition, Reader};

use super::copy::Copy;

/// Number of events that are read at once.
const EVENTS_AT_ONCE: usize = 1000;

/// Number of damaged places that are printed.
const DAMAGE_SHOWN: usize = 20;

/// The arguments of the command.
#[derive(clap::Args)]
pub(super) struct Store {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Print the events of the log as notifications, as `replay` prints those of captures
    Events(Events),
    /// Derive the events of the log again from the inputs and compare them
    Check(Check),
    /// Make the index of calls, by which the console searches, anew from the events
    ///
    /// A server makes it by itself where there is none that fits the log. No server may run on the store meanwhile.
    Index(Check),
    /// Copy the database as it is now into a directory, beside a server that runs
    ///
    /// With it go the key and the two TOML files that the configuration names: all that a server needs to go on
    /// elsewhere, secrets included. The copy is checked.
    Backup(Backup),
    /// Copy the store of one configuration to the engine of another, and compare both
    ///
    /// Between SQLite and NATS, either way. No server may run on either side. A copy that was interrupted goes on where
    /// it was when the command is given again. At the end both sides are read, and must have the same checksum.
    Copy(Copy),
}

#[derive(clap::Args)]
struct Events {
    /// The configuration of the server
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Event filter; an event that passes any of them is printed, once [default: all events of all
    /// accounts]
    #[arg(long = "filter", value_name = "EVENT_FILTER")]
    filters: Vec<String>,
    /// Print those behind this position
    #[arg(long, value_name = "POSITION", default_value_t = 0)]
    after: u64,
}

#[derive(clap::Args)]
struct Backup {
    /// The configuration of the server
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Where the backup goes; made if it is not there
    directory: PathBuf,
}

#[derive(clap::Args)]
struct Check {
    /// The configuration of the server
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

impl Store {
    /// Prints what the arguments ask for.
    pub(super) fn run(self, out: &mut impl Write) -> anyhow::Result<()> {
        match self.command {
            Command::Events(events) => events.run(out),
            Command::Check(check) => check.run(out),
            Command::Index(index) => index.make_index(out),
            Command::Backup(backup) => backup.run(out),
            Command::Copy(copy) => copy.run(out),
        }
    }
}

impl Events {
    fn run(self, out: &mut impl Write) -> anyhow::Result<()> {
        let config = Config::load(&self.config)?;
        let settings = hookswitch_server::settings(&config)?;
        let account = hookswitch_server::default_account(&settings);
        let owner = ExtensionId::new(account.as_u64());
        let own = Own { account, extension: owner };
        let filters = self.filters.iter().map(|filter| EventFilter::parse(filter, own));
        let filters = filters.collect::<Result<Vec<_>, _>>()?;
        let mut shown: Vec<String> = filters.iter().map(ToString::to_string).collect();
        if shown.is_empty() {
            shown.push(EventFilter::parse(FILTER, own)?.to_string());
        }
        let subscriber = Subscriber::of_replay(&shown, owner);
        let reader = Reader::of(&config.store.directory, config.partitions())?;
        let mut position = self.after;
        let mut line = Vec::new();
        loop {
            let events = reader.events_after(position, EVENTS_AT_ONCE)?;
            let Some(last) = events.last() else { return Ok(()) };
            position = last.position;
            for logged in &events {
                let projection = Projection::of(&filters, &logged.event);
                if projection.is_none() && !filters.is_empty() {
                    continue;
                }
                line.clear();
                subscriber.write(&logged.event, projection.unwrap_or_default(), logged.event.at, &mut line);
                super::write_line(out, &mut line)?;
            }
        }
    }
}

impl Backup {
    fn run(self, out: &mut impl Write) -> anyhow::Result<()> {
        let config = Config::load(&self.config)?;
        let into = &self.directory;
        let made = hookswitch_store::backup(&config.store.directory, into, config.partitions())?;
        let files = [&self.config, &config.oauth.key_file, &config.directory.file];
        for file in files.into_iter().filter(|file| !file.as_os_str().is_empty()) {
            let name = file.file_name().ok_or_else(|| anyhow!("{} names no file", file.display()))?;
            // Modes are copied, so that the key stays its owner's.
            std::fs::copy(file, into.join(name))
                .with_context(|| format!("cannot copy {} into {}", file.display(), into.display()))?;
        }
        let Made { bytes, last_event } = made;
        writeln!(out, "{}: {bytes} bytes, events up to {last_event}; whole", into.display())?;
        Ok(())
    }
}

impl Check {
    fn make_index(self, out: &mut impl Write) -> anyhow::Result<()> {
        let config = Config::load(&self.config)?;
        let (events, calls) = hookswitch_store::index_calls(&config.store.directory, config.partitions())?;
        writeln!(out, "{calls} calls of {events} events are in the index")?;
        Ok(())
    }

    fn run(self, out: &mut impl Write) -> anyhow::Result<()> {
        let config = Config::load(&self.config)?;
        let reader = Reader::of(&config.store.directory, config.partitions())?;
        // Else the first of them would be all that is told.
        let damaged = reader.damaged_rows()?;
        for damage in damaged.iter().take(DAMAGE_SHOWN) {
            writeln!(out, "{damage}")?;
        }
        ensure!(damaged.is_empty(), "the store is damaged in {} places", damaged.len());
        let mut derivation = Derivation::default();
        let mut logged = Logged {
            reader: &reader,
            ahead: Vec::new().into_iter().peekable(),
            position: 0,
            count: 0,
            repeated: 0,
            gap: 0,
        };
        let mut inputs = 0_u64;
        reader.inputs(Partition::default(), 0, |input| {
            inputs += 1;
            ensure!(
                input.position == inputs,
                "the signal log has {} where {inputs} should be; older inputs were removed, and only a log \
                 that is whole can be checked",
                input.position
            );
            derivation.apply(input.position, input.arrival, &Input::read(input.columns)?)?;
            while let Some(event) = derivation.poll_event() {
                logged.compare(&event)?;
            }
            Ok(())
        })?;
        if let Some(extra) = logged.peek()? {
            bail!("event {} is in the log, and no input gives it", extra.position);
        }
        write!(out, "{inputs} inputs give the {} events of the log", logged.count)?;
        if logged.repeated > 0 {
            write!(out, ", and {} that it has already", logged.repeated)?;
        }
        writeln!(out)?;
        Ok(())
    }
}

/// The events of the log, one after the other.
struct Logged<'a> {
    reader: &'a Reader,
    ahead: Peekable<std::vec::IntoIter<hookswitch_model::Logged>>,
    /// Position of the last event that was compared.
    position: u64,
    count: u64,
    /// Events that the inputs give more than once.
    repeated: u64,
    /// How many of them since the last event that was compared.
    gap: u64,
}

impl Logged<'_> {
    fn peek(&mut self) -> anyhow::Result<Option<&hookswitch_model::Logged>> {
        if self.ahead.peek().is_none() {
            self.ahead = self.reader.events_after(self.position, EVENTS_AT_ONCE)?.into_iter().peekable();
        }
        Ok(self.ahead.peek())
    }

    /// Compares an event of the inputs with the next of the log. One that the log has further up was not written
    /// again; older versions left a position free for it.
    fn compare(&mut self, derived: &Event) -> anyhow::Result<()> {
        let of = || format!("{} sequence {}", derived.session.id, derived.sequence);
        let is_next = self.peek()?.is_some_and(|next| *next.event == *derived);
        if !is_next && self.reader.has_event(derived.session.id, derived.sequence, self.position)? {
            self.repeated += 1;
            self.gap += 1;
            return Ok(());
        }
        let expected = self.position + 1;
        let free = std::mem::take(&mut self.gap);
        let next =
            self.peek()?.ok_or_else(|| anyhow!("the inputs give {}, and the log does not have it", of()))?;
        let position = next.position;
        ensure!(
            (expected..=expected + free).contains(&position),
            "the event log has {position} where {expected} should be"
        );
        ensure!(*next.event == *derived, "event {position} of the log differs from {} of the inputs", of());
        self.ahead.next();
        self.position = position;
        self.count += 1;
        Ok(())
    }
}
