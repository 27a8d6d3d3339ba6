//! `hookswitch replay`: the notifications of the calls in captures.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread::{self, ScopedJoinHandle};

use anyhow::{Context as _, anyhow, ensure};
use clap::ValueEnum;
use hookswitch_core::directory::{Account, Directory};
use hookswitch_core::engine::Engine;
use hookswitch_core::filter::{EventFilter, Own, Projection};
use hookswitch_core::notification::Subscriber;
use hookswitch_model::{AccountId, ClockId, Event, ExtensionId, Timestamp};
use hookswitch_server::config::{ACCOUNT, FILTER};
use hookswitch_server::source::batch::Batch;
use hookswitch_server::source::captures::CaptureFiles;
use hookswitch_server::source::replay::{
    Reading, SIP, STEPS_AHEAD, STEPS_AT_ONCE, Step, pipeline, run_on, source_of,
};
use hookswitch_signal::adapters::Switch;
use serde::Serialize;

use super::causes::Messages;
use super::no_calls::NoCalls;
use super::table::Table;
use super::{Captures, note, shows_progress, warn};

/// The arguments of the command.
#[derive(clap::Args)]
pub(super) struct Replay {
    #[command(flatten)]
    captures: Captures,
    /// Event filter; an event that passes any of them is printed, once
    #[arg(long = "filter", value_name = "EVENT_FILTER", default_value = FILTER)]
    filters: Vec<String>,
    /// Directory of accounts and extensions, a TOML file; without it short numbers and names are the
    /// extensions of one account
    #[arg(long, value_name = "FILE")]
    directory: Option<PathBuf>,
    /// Account id: decimal digits; what `~` in a filter stands for, and whose the calls are that the
    /// directory knows nothing of [default: the first of the directory, else 310001016]
    #[arg(long, value_name = "ID")]
    account: Option<AccountId>,
    /// Output format of the notifications
    #[arg(long, value_enum, default_value_t = Format::Json, conflicts_with = "summary")]
    format: Format,
    /// Print one JSON object of counts instead of the notifications
    #[arg(long)]
    summary: bool,
    /// After the end of the captures, let the clock run on to this time (ISO 8601), so that timers fire
    #[arg(long, value_name = "TIME")]
    until: Option<Until>,
    /// Add to each event the messages that caused it and the rule
    #[arg(long, conflicts_with = "summary")]
    explain: bool,
}

/// A time in an argument.
#[derive(Clone, Copy)]
struct Until(Timestamp);

impl std::str::FromStr for Until {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let at: jiff::Timestamp =
            text.parse().map_err(|_| "give a time as 2026-11-24T02:51:20.602Z, with its zone")?;
        Ok(Self(Timestamp::from_micros(at.as_microsecond())))
    }
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One notification per line, as compact JSON
    Json,
    /// One table per call
    Text,
}

/// Summary that `--summary` prints.
#[derive(Default, Serialize)]
struct Summary {
    packets: u64,
    sip_messages: u64,
    malformed: u64,
    #[serde(skip_serializing_if = "is_zero")]
    cut: u64,
    retransmissions: u64,
    sessions: u64,
    events: u64,
    by_status: BTreeMap<&'static str, u64>,
    by_reason: BTreeMap<&'static str, u64>,
    open_sessions: u64,
    /// By [`summary_name`](hookswitch_signal::switch::Adapter::summary_name).
    #[serde(flatten)]
    switches: BTreeMap<&'static str, SwitchSummary>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// Counts of calls that a switch has told of itself.
#[derive(Serialize)]
struct SwitchSummary {
    messages: u64,
    events: u64,
    passed_over: u64,
    repeated: u64,
    stray: u64,
    channels_left: usize,
    sip_calls: u64,
    joined_by_call_id: u64,
    joined_by_numbers: u64,
    alone: u64,
    unmatched: u64,
    disagreements: u64,
}

impl Summary {
    fn count(&mut self, event: &Event) {
        self.events += 1;
        *self.by_status.entry(event.party.status.code.as_str()).or_default() += 1;
        if let Some(reason) = event.party.status.reason {
            *self.by_reason.entry(reason.as_str()).or_default() += 1;
        }
    }
}

/// Destination of the events of a replay.
struct Output<'a> {
    filters: Vec<EventFilter>,
    subscriber: Subscriber,
    summary: Summary,
    table: Table,
    messages: Option<Messages>,
    options: &'a Replay,
    line: Vec<u8>,
    /// Events that passed a filter.
    passed: u64,
}

impl Replay {
    /// Prints what the arguments ask for.
    pub(super) fn run(self, out: &mut impl Write) -> anyhow::Result<()> {
        let (directory, account) = self.directory()?;
        let owner = ExtensionId::new(account.as_u64());
        let own = Own { account, extension: owner };
        let filters = self
            .filters
            .iter()
            .map(|filter| EventFilter::parse(filter, own).map(|filter| filter.in_directory(&directory)))
            .collect::<Result<Vec<_>, _>>()?;
        let shown: Vec<String> = filters.iter().map(ToString::to_string).collect();
        let files = CaptureFiles::open(&self.captures.files, shows_progress())?;
        let (sources, mut engine) = pipeline(directory, account, files.has_manager()).into_halves();
        let mut output = Output {
            filters,
            subscriber: Subscriber::of_replay(&shown, owner),
            summary: Summary::default(),
            table: Table::default(),
            messages: self.explain.then(|| Messages::of(files.names())),
            options: &self,
            line: Vec::with_capacity(2048),
            passed: 0,
        };
        let reading = Reading::of(sources, self.until.map(|until| until.0));
        let explain = self.explain;
        let (files, read) = thread::scope(|scope| {
            let (batch_sender, batches) = mpsc::sync_channel(BATCHES_AHEAD);
            let (used_sender, used) = mpsc::channel();
            let (step_sender, steps) = mpsc::sync_channel(STEPS_AHEAD / STEPS_AT_ONCE);
            let (done_sender, done) = mpsc::channel();
            let files = scope.spawn(move || read_files(files, &batch_sender, &used));
            let reading =
                scope.spawn(move || reading.run(explain, batches, &used_sender, &step_sender, &done));
            for mut steps in steps {
                for step in steps.drain(..) {
                    match step {
                        Step::Signal(signal) => engine.handle_signal(ClockId::default(), &signal),
                        Step::Time(at) => engine.handle_time(ClockId::default(), at),
                        Step::Message { input, packet, start_line } => {
                            if let Some(messages) = &mut output.messages {
                                messages.add(input, packet, start_line);
                            }
                            continue;
                        }
                    }
                    output.take(&mut engine, out)?;
                }
                done_sender.send(steps).ok(); // nobody wants it at the end
            }
            anyhow::Ok((joined(files)?, joined(reading)))
        })?;
        run_on(&mut engine, self.until.map(|until| until.0));
        engine.finish();
        output.take(&mut engine, out)?;
        output.finish(&engine, &read, &files, out)?;
        files.done();
        warn(&files.warnings());
        if output.passed == 0 {
            note(&silence(&engine, &read, &files));
        }
        Ok(())
    }
}

/// Returns why no event was printed.
fn silence(engine: &Engine, read: &Reading, files: &CaptureFiles) -> Vec<String> {
    let calls = engine.counters().sessions;
    if calls > 0 {
        return vec![if calls == 1 {
            "1 call was found, but none of its events passes the filter".to_owned()
        } else {
            format!("{calls} calls were found, but none of their events passes the filter")
        }];
    }
    let no_calls = NoCalls {
        counters: files.counters().collect(),
        sip_messages: read.seen,
        other_messages: read.others,
        malformed: read.malformed,
        refusals: &read.refusals,
        tracked: read.sources.tracker_counters(SIP),
        unread: files.unread(),
        names: files.names(),
    };
    no_calls.lines()
}

impl Replay {
    /// The directory, and the account that `~` stands for.
    fn directory(&self) -> anyhow::Result<(Directory, AccountId)> {
        ensure!(self.account != Some(AccountId::new(0)), "account id 0 is none; give a positive number");
        let Some(path) = &self.directory else {
            let account = self.account.unwrap_or(ACCOUNT);
            return Ok((Directory::built_in(account), account));
        };
        let name = path.display();
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read {name}; name a directory file, which is TOML in UTF-8"))?;
        let directory = Directory::parse(&text).map_err(|error| anyhow!("{name}, {error}"))?;
        let ids: Vec<AccountId> = directory.accounts().map(Account::id).collect();
        let account = self.account.or(ids.first().copied()).unwrap_or(ACCOUNT);
        let listed = || ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        ensure!(ids.contains(&account), "account {account} is not in {name}; it has {}", listed());
        Ok((directory, account))
    }
}

/// Returns what a thread gives at its end; its panic goes on here.
fn joined<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Number of batches of messages that may wait to be read.
const BATCHES_AHEAD: usize = 4;

/// Takes the messages out of the files; batches that were used come back to be filled again.
fn read_files(
    mut files: CaptureFiles,
    batches: &SyncSender<Batch>,
    used: &Receiver<Batch>,
) -> anyhow::Result<CaptureFiles> {
    let mut batch = Batch::default();
    while let Some((captured, input)) = files.next()? {
        batch.push(&captured, input);
        if batch.is_full() {
            let next = used.try_recv().unwrap_or_default();
            if batches.send(std::mem::replace(&mut batch, next)).is_err() {
                return Ok(files); // a later stage has failed, and says why
            }
        }
    }
    // The same holds for the last one.
    batches.send(batch).ok();
    Ok(files)
}

/// Returns what is counted of a switch that has told of itself, and of the SIP beside it.
fn switch_summary(reading: &Reading, switch: Switch) -> Option<SwitchSummary> {
    let number = source_of(switch);
    let (switch, channels_left) = reading.sources.switch_counters(number)?;
    let (pairing, _) = reading.sources.pairing_counters(number)?;
    (switch.messages > 0).then_some(SwitchSummary {
        messages: switch.messages,
        events: switch.applied,
        passed_over: switch.passed_over,
        repeated: switch.repeated,
        stray: switch.stray,
        channels_left,
        sip_calls: pairing.sip_calls,
        joined_by_call_id: pairing.joined_by_id,
        joined_by_numbers: pairing.joined_by_numbers,
        alone: pairing.alone,
        unmatched: pairing.unmatched,
        disagreements: pairing.disagreements,
    })
}

impl Output<'_> {
    /// Takes the events that the machine has ready.
    fn take(&mut self, engine: &mut Engine, out: &mut impl Write) -> anyhow::Result<()> {
        while let Some(event) = engine.poll_event() {
            let Some(projection) = Projection::of(&self.filters, &event) else { continue };
            self.passed += 1;
            if self.options.summary {
                self.summary.count(&event);
            } else if self.options.format == Format::Text {
                let lines = self.messages.as_ref().map(|messages| messages.lines(&event));
                self.table.add(event, lines.unwrap_or_default());
            } else {
                self.line.clear();
                self.subscriber.write(&event, projection, event.at, &mut self.line);
                if let Some(messages) = &self.messages {
                    messages.write(&event, &mut self.line)?;
                }
                super::write_line(out, &mut self.line)?;
            }
        }
        Ok(())
    }

    fn finish(
        &mut self,
        engine: &Engine,
        read: &Reading,
        files: &CaptureFiles,
        out: &mut impl Write,
    ) -> anyhow::Result<()> {
        if self.options.summary {
            self.summary.packets = files.packets();
            self.summary.sip_messages = read.seen;
            self.summary.malformed = read.malformed;
            self.summary.cut = read.cut;
            self.summary.retransmissions = read.sources.tracker_counters(SIP).retransmissions;
            self.summary.sessions = engine.counters().sessions;
            self.summary.open_sessions = engine.open_sessions() as u64;
            let name = |switch: Switch| switch.adapter().summary_name();
            let switches = Switch::ALL.iter();
            self.summary.switches =
                switches.filter_map(|&it| Some((name(it), switch_summary(read, it)?))).collect();
            serde_json::to_writer(&mut *out, &self.summary)?;
            writeln!(out)?;
        } else if self.options.format == Format::Text {
            self.table.write(out)?;
        }
        Ok(())
    }
}
