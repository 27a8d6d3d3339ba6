//! `hookswitch replay`: the notifications of the calls in captures.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};
use std::thread::{self, ScopedJoinHandle};

use anyhow::{Context as _, anyhow, ensure};
use clap::ValueEnum;
use hookswitch_core::directory::{Account, Directory};
use hookswitch_core::engine::{Engine, Policy};
use hookswitch_core::filter::{EventFilter, Own, Projection};
use hookswitch_core::notification::Subscriber;
use hookswitch_model::{AccountId, ClockId, Event, ExtensionId, InputRef, Signal, Timestamp};
use hookswitch_pipeline::{Clocks, Pipeline, Sources, Switch, SwitchSource};
use hookswitch_signal::capture::{Captured, Transport};
use hookswitch_signal::ingest::Posted;
use hookswitch_signal::sip::lossy;
use serde::Serialize;

use super::causes::Messages;
use super::no_calls::{NoCalls, Refusals};
use super::table::Table;
use super::{ACCOUNT, Captures, FILTER, note, shows_progress, warn};
use crate::source::batch::{Batch, Read};
use crate::source::captures::CaptureFiles;

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
    /// How the notifications are printed
    #[arg(long, value_enum, default_value_t = Format::Json, conflicts_with = "summary")]
    format: Format,
    /// Print one JSON object of counts instead of the notifications
    #[arg(long)]
    summary: bool,
    /// Let the clock run on to this time (ISO 8601) when the captures have ended, so that timers fire
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
    /// One notification a line, as compact JSON
    Json,
    /// A table for each call
    Text,
}

/// What `--summary` prints.
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

/// What is counted where a switch has told of itself.
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

/// Where the events of a replay go.
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

/// Why no event was printed.
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

/// The events that `replay` prints for some files, up to a time.
///
/// # Errors
/// If a file cannot be read.
pub(crate) fn events(
    mut files: CaptureFiles,
    directory: Directory,
    account: AccountId,
    until: Option<Timestamp>,
) -> anyhow::Result<Vec<Event>> {
    let (sources, mut engine) = pipeline(directory, account, files.has_manager()).into_halves();
    let mut reading = Reading::of(sources, until);
    let (mut signals, mut steps, mut batch) = (Vec::new(), Vec::new(), Batch::default());
    while let Some((captured, input)) = files.next()? {
        batch.push(&captured, input);
        for (captured, input, message) in batch.iter() {
            reading.read(&captured, input, message, false, &mut signals, &mut steps);
        }
        batch.clear();
    }
    reading.finish(&mut signals, &mut steps);
    for step in steps {
        match step {
            Step::Signal(signal) => engine.handle_signal(ClockId::default(), &signal),
            Step::Time(at) => engine.handle_time(ClockId::default(), at),
            Step::Message { .. } => {}
        }
    }
    run_on(&mut engine, until);
    engine.finish();
    Ok(std::iter::from_fn(|| engine.poll_event()).collect())
}

/// Lets the clock run on to a time, timer by timer, as that of a server does.
fn run_on(engine: &mut Engine, until: Option<Timestamp>) {
    let clock = ClockId::default();
    while let Some(due) = engine.poll_timeout(clock).filter(|&due| until.is_some_and(|until| due <= until)) {
        engine.handle_time(clock, due);
    }
}

/// What a thread gives at its end; its panic goes on here.
fn joined<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// How many steps are handed over at once, and how many may be ahead of the machine.
const STEPS_AT_ONCE: usize = 256;
const STEPS_AHEAD: usize = 16 * STEPS_AT_ONCE;

/// What the reading side tells the machine, in its order.
enum Step {
    Signal(Signal),
    /// Time has come so far, and nothing happened.
    Time(Timestamp),
    /// What an input was, for the explanations.
    Message {
        input: InputRef,
        packet: u64,
        start_line: Box<str>,
    },
}

/// How many batches of messages may wait to be read.
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

/// The source of the SIP messages of all captures.
const SIP: u16 = 0;

/// The source under which the legs are numbered that a kind of switch tells of.
fn source_of(switch: Switch) -> u16 {
    let number = u16::MAX - switch.index() as u16;
    if number > POSTED { number } else { number - 1 }
}

/// The source under which the legs are numbered of which signals were posted.
const POSTED: u16 = u16::MAX - 2;

/// The pipeline of a replay; where a switch tells of its calls itself, all SIP is taken for that of its calls.
fn pipeline(directory: Directory, account: AccountId, has_switch: bool) -> Pipeline {
    let mut pipeline = Pipeline::new(directory, Policy::default(), Clocks::One);
    let sources = pipeline.sources_mut();
    sources.add_agent(SIP, "captures", account);
    sources.add_posted(POSTED, account);
    if has_switch {
        for &switch in Switch::ALL {
            let source = SwitchSource { switch, account, agents: Some("captures"), pairs_as: u16::MAX };
            sources.add_switch(source_of(switch), source);
        }
    }
    pipeline
}

/// The stage of a replay that goes from messages to signals.
struct Reading {
    sources: Sources,
    /// Until when the clock runs on behind the last message.
    until: Option<Timestamp>,
    seen: u64,
    /// Messages that are no SIP.
    others: u64,
    malformed: u64,
    refusals: Refusals,
    /// SIP messages that were captured in part.
    cut: u64,
}

impl Reading {
    fn of(sources: Sources, until: Option<Timestamp>) -> Self {
        Self { sources, until, seen: 0, others: 0, malformed: 0, refusals: Refusals::default(), cut: 0 }
    }

    /// Reads every message, and gives itself back with its counts.
    fn run(
        mut self,
        explain: bool,
        batches: Receiver<Batch>,
        used: &Sender<Batch>,
        sender: &SyncSender<Vec<Step>>,
        done: &Receiver<Vec<Step>>,
    ) -> Self {
        let mut signals = Vec::new();
        let mut steps = Vec::with_capacity(STEPS_AT_ONCE);
        for mut batch in batches {
            for (captured, input, message) in batch.iter() {
                self.read(&captured, input, message, explain, &mut signals, &mut steps);
                if steps.len() >= STEPS_AT_ONCE {
                    let next = done.try_recv().unwrap_or_else(|_| Vec::with_capacity(STEPS_AT_ONCE));
                    if sender.send(std::mem::replace(&mut steps, next)).is_err() {
                        return self; // the machine's stage has failed, and says why
                    }
                }
            }
            batch.clear();
            used.send(batch).ok(); // nobody wants it at the end
        }
        self.finish(&mut signals, &mut steps);
        sender.send(steps).ok();
        self
    }

    /// Tells what waited for something that does not come any more.
    fn finish(&mut self, signals: &mut Vec<Signal>, steps: &mut Vec<Step>) {
        if let Some(until) = self.until {
            self.sources.handle_time(ClockId::default(), until, signals);
        }
        self.sources.finish(signals);
        steps.extend(signals.drain(..).map(Step::Signal));
    }

    /// What is counted of a switch that has told of itself, and of the SIP beside it.
    fn switch_summary(&self, switch: Switch) -> Option<SwitchSummary> {
        let number = source_of(switch);
        let (switch, channels_left) = self.sources.switch_counters(number)?;
        let (pairing, _) = self.sources.pairing_counters(number)?;
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

    fn read(
        &mut self,
        captured: &Captured<'_>,
        input: InputRef,
        message: Option<Read<'_>>,
        explain: bool,
        signals: &mut Vec<Signal>,
        steps: &mut Vec<Step>,
    ) {
        let first_line = if let Some(message) = message {
            self.seen += 1;
            let message = match message {
                Ok(message) => message,
                Err(error) => {
                    self.malformed += 1;
                    self.refusals.add(captured, input, &error);
                    return;
                }
            };
            self.cut += u64::from(message.is_cut());
            let at = captured.time;
            self.sources
                .handle_message(SIP, &message, captured, at, input, signals)
                .expect("the captures were added");
            explain.then(|| lossy(message.start_line()).into())
        } else if captured.transport == Transport::Posted {
            self.others += 1;
            let posted = match Posted::parse(captured.payload) {
                Ok(posted) => posted,
                Err(error) => {
                    self.malformed += 1;
                    self.refusals.add(captured, input, &error);
                    return;
                }
            };
            let at = posted.at.unwrap_or(captured.time);
            let signal = self.sources.handle_posted(POSTED, posted, at, input);
            signals.push(signal.expect("who posts was added"));
            explain.then(|| "a posted signal".into())
        } else if let Transport::Switch(switch) = captured.transport {
            self.others += 1;
            let (payload, at) = (captured.payload, captured.time);
            self.sources
                .handle_switch(source_of(switch), payload, at, input, signals)
                .expect("switches are added where files have what they tell");
            explain.then(|| switch.adapter().title(payload).into())
        } else {
            return; // all else is SIP, and was read
        };
        if let Some(start_line) = first_line {
            steps.push(Step::Message { input, packet: captured.packet, start_line });
        }
        if signals.is_empty() {
            match steps.last_mut() {
                Some(Step::Time(at)) => *at = captured.time.max(*at),
                _ => steps.push(Step::Time(captured.time)),
            }
        }
        steps.extend(signals.drain(..).map(Step::Signal));
    }
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
                switches.filter_map(|&it| Some((name(it), read.switch_summary(it)?))).collect();
            serde_json::to_writer(&mut *out, &self.summary)?;
            writeln!(out)?;
        } else if self.options.format == Format::Text {
            self.table.write(out)?;
        }
        Ok(())
    }
}
