//! Captures as a replay reads them: every message of some files through one pipeline, in the order of their
//! times.

use std::fmt;
use std::sync::mpsc::{Receiver, Sender, SyncSender};

use hookswitch_core::directory::Directory;
use hookswitch_core::engine::{Engine, Policy};
use hookswitch_model::{AccountId, ClockId, Event, InputRef, Signal, Timestamp};
use hookswitch_pipeline::{Clocks, Pipeline, Sources, Switch, SwitchSource};
use hookswitch_signal::capture::{Captured, Transport};
use hookswitch_signal::ingest::Posted;
use hookswitch_signal::sip::lossy;

use super::batch::{Batch, Read};
use super::captures::CaptureFiles;

/// Number of refused messages that are named with the reason.
const REASONS_MAX: usize = 3;

/// The first messages that were refused.
#[derive(Default)]
pub struct Refusals(Vec<(InputRef, u64, String)>);

impl Refusals {
    /// Notes a message and why it was refused, if it is one of the first.
    #[cold]
    fn add(&mut self, captured: &Captured<'_>, input: InputRef, reason: &dyn fmt::Display) {
        if self.0.len() < REASONS_MAX {
            self.0.push((input, captured.packet, reason.to_string()));
        }
    }

    /// The first messages that were refused: which, the number of the packet in its file, and why.
    pub fn first(&self) -> &[(InputRef, u64, String)] {
        &self.0
    }
}

/// Number of steps that are handed over at once.
pub const STEPS_AT_ONCE: usize = 256;

/// Number of steps that may be ahead of the machine.
pub const STEPS_AHEAD: usize = 16 * STEPS_AT_ONCE;

/// Step that the reading side hands to the engine, in its order.
pub enum Step {
    /// A signal.
    Signal(Signal),
    /// Time has come so far, and nothing happened.
    Time(Timestamp),
    /// Input, for the explanations.
    Message {
        /// Input.
        input: InputRef,
        /// The number of its packet in the file.
        packet: u64,
        /// The start line of a SIP message, or what another message is about.
        start_line: Box<str>,
    },
}

/// The source of the SIP messages of all captures.
pub const SIP: u16 = 0;

/// The source under which the legs are numbered that a kind of switch tells of.
pub fn source_of(switch: Switch) -> u16 {
    let number = u16::MAX - switch.index() as u16;
    if number > POSTED { number } else { number - 1 }
}

/// The source under which the legs are numbered of which signals were posted.
const POSTED: u16 = u16::MAX - 2;

/// The pipeline of a replay; where a switch tells of its calls itself, all SIP is taken for that of its calls.
pub fn pipeline(directory: Directory, account: AccountId, has_switch: bool) -> Pipeline {
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
pub struct Reading {
    /// Trackers of all sources.
    pub sources: Sources,
    /// Until when the clock runs on behind the last message.
    until: Option<Timestamp>,
    /// SIP messages.
    pub seen: u64,
    /// Messages that are no SIP.
    pub others: u64,
    /// Messages that were not understood.
    pub malformed: u64,
    /// The first of them.
    pub refusals: Refusals,
    /// SIP messages that were captured in part.
    pub cut: u64,
}

impl Reading {
    /// A stage that has seen nothing, and whose clock runs on to a time behind the last message.
    pub fn of(sources: Sources, until: Option<Timestamp>) -> Self {
        Self { sources, until, seen: 0, others: 0, malformed: 0, refusals: Refusals::default(), cut: 0 }
    }

    /// Reads every message, and gives itself back with its counts.
    #[must_use]
    pub fn run(
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

/// The events that `replay` prints for some files, up to a time.
///
/// # Errors
/// If a file cannot be read.
pub fn events(
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
pub fn run_on(engine: &mut Engine, until: Option<Timestamp>) {
    let clock = ClockId::default();
    while let Some(due) = engine.poll_timeout(clock).filter(|&due| until.is_some_and(|until| due <= until)) {
        engine.handle_time(clock, due);
    }
}
