//! From inputs to events: what runs live, after a restart, and when a log is checked.
//!
//! Everything that the machine goes by comes in as an [`Input`], in the order of the signal log, so
//! the log alone gives the same events again.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use anyhow::Context as _;
use hookswitch_core::directory::Directory;
use hookswitch_core::engine::{self, Engine, MissedCallPolicy, Policy};
use hookswitch_model::{AccountId, ClockId, Event, InputRef, Signal, Timestamp};
use hookswitch_signal::capture::Captured;
use hookswitch_signal::ingest::{Ingest, Posted};
use hookswitch_signal::pairing::Pairing;
use hookswitch_signal::tracker::{self, Tracker};
use hookswitch_signal::{sip, switch};
use serde::{Deserialize, Serialize};

use crate::store::record::{Input, Message, Sender, Settings, Source};

/// The most sources; a sender beyond them is refused.
pub(crate) const SOURCES_MAX: usize = 8192;

/// Why an input cannot be applied. None of it can happen to a log that this program has written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DerivationError {
    #[error("input {position} comes from source {source_number}, which the log does not name")]
    UnknownSource { position: u64, source_number: u16 },
    #[error("input {position} comes before the directory and the policy")]
    WithoutSettings { position: u64 },
    #[error("the directory at input {position} cannot be read: {cause}")]
    Directory { position: u64, cause: hookswitch_core::directory::DirectoryError },
}

/// The version of saved states; a state of another version is not read. Raised with every change of
/// what the machine or the trackers keep.
pub(crate) const STATE_VERSION: u32 = 5;

/// The machine with all that stands before it: one tracker for each source of messages.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Derivation {
    engine: Option<Engine>,
    sources: BTreeMap<u16, OpenSource>,
    /// The switch whose SIP the agents of a name see.
    beside: BTreeMap<String, u16>,
    #[serde(skip)]
    signals: Vec<Signal>,
    /// The settings that hold.
    settings: Option<Settings>,
}

/// The time of the last input of a source, and when that came in by the clock of this machine.
type Newest = Option<(Timestamp, Timestamp)>;

#[derive(Serialize, Deserialize)]
struct OpenSource {
    sender: Sender,
    follower: Follower,
    newest: Newest,
}

/// What follows the calls of a source.
#[derive(Serialize, Deserialize)]
enum Follower {
    Messages(Box<Tracker>),
    Signals(Box<Ingest>),
    Switch(Box<Switch>),
}

impl Follower {
    fn switch(follower: switch::Follower) -> Self {
        Self::Switch(Box::new(Switch { follower, pairing: Pairing::default() }))
    }
}

/// A switch that tells of its calls itself, and what SIP shows of them.
#[derive(Serialize, Deserialize)]
struct Switch {
    follower: switch::Follower,
    pairing: Pairing,
}

impl Derivation {
    /// The state, to be read by [`Derivation::read`]; all events have been taken.
    pub(crate) fn state(&self) -> Vec<u8> {
        postcard::to_stdvec(self).expect("writing to memory does not fail")
    }

    /// Goes on from a state that was saved.
    ///
    /// # Errors
    /// If the state is damaged, or of another version.
    pub(crate) fn read(state: &[u8]) -> anyhow::Result<Self> {
        let mut read: Self = postcard::from_bytes(state).context("the saved state cannot be read")?;
        if let Some(settings) = read.settings.take() {
            read.apply_settings(0, settings)?;
        }
        Ok(read)
    }

    /// Applies an input that was read from the log.
    ///
    /// # Errors
    /// If the log does not hold what the input rests on.
    pub(crate) fn apply(
        &mut self,
        position: u64,
        arrival: Timestamp,
        input: &Input<'_>,
    ) -> Result<(), DerivationError> {
        match input {
            Input::Message(message) => {
                // Only messages that were understood are in the log.
                if let Ok(sip) = sip::Message::parse(message.payload) {
                    self.apply_message(position, arrival, message, &sip)?;
                }
                Ok(())
            }
            Input::Signal { source, at, json } => match Posted::parse(json) {
                // Likewise.
                Ok(posted) => self.apply_posted(position, arrival, *source, *at, posted),
                Err(_) => Ok(()),
            },
            Input::Manager { source, at, message } => {
                self.apply_told(position, arrival, *source, *at, message)
            }
            Input::Link { source, at, is_up } => {
                let (switch, newest) = self.switch(position, *source)?;
                *newest = Some((*at, arrival));
                let mut signals = Vec::new();
                if *is_up {
                    switch.follower.connected();
                }
                switch.pairing.set_connected(*is_up, &mut signals);
                self.apply_signals(position, ClockId(*source), *at, &signals)
            }
            Input::Tick { clock, at } => {
                if let Ok((switch, _)) = self.switch(position, clock.0) {
                    let (mut told, mut signals) = (Vec::new(), Vec::new());
                    switch.follower.handle_time(*at, &mut told);
                    switch.pairing.handle_switch(told, &mut signals);
                    switch.pairing.handle_time(*at, &mut signals);
                    return self.apply_signals(position, *clock, *at, &signals);
                }
                let engine = self.engine.as_mut().ok_or(DerivationError::WithoutSettings { position })?;
                engine.handle_time(*clock, *at);
                Ok(())
            }
            Input::Settings(settings) => self.apply_settings(position, settings.clone()),
            Input::Source(source) => {
                self.add_source(source.clone());
                Ok(())
            }
            Input::Forgotten { source } => {
                self.sources.remove(source);
                self.beside.retain(|_, switch| switch != source);
                Ok(())
            }
        }
    }

    /// Applies a message that was understood.
    ///
    /// # Errors
    /// If its source is not known.
    pub(crate) fn apply_message(
        &mut self,
        position: u64,
        arrival: Timestamp,
        message: &Message<'_>,
        sip: &sip::Message<'_>,
    ) -> Result<(), DerivationError> {
        let number = message.source;
        let beside = &self.beside;
        let source = self.sources.get_mut(&number);
        let source = source.ok_or(DerivationError::UnknownSource { position, source_number: number })?;
        let engine = self.engine.as_mut().ok_or(DerivationError::WithoutSettings { position })?;
        let Follower::Messages(tracker) = &mut source.follower else {
            return Err(DerivationError::UnknownSource { position, source_number: number });
        };
        source.newest = Some((message.at, arrival));
        let captured = Captured {
            time: message.at,
            transport: message.transport,
            src: message.src,
            dst: message.dst,
            packet: position,
            correlation: message.correlation,
            payload: message.payload,
        };
        let input = InputRef { source: number, number: position };
        tracker.handle(sip, &captured, input, &mut self.signals);
        let clock = ClockId(number);
        let Sender::Hep { name, .. } = &source.sender else { return Ok(()) };
        if let Some(switch) = beside.get(name).copied() {
            let told = std::mem::take(&mut self.signals);
            let mut signals = Vec::new();
            if let Ok((switch, _)) = self.switch(position, switch) {
                switch.pairing.handle_sip(told, arrival, &mut signals);
            }
            return self.apply_signals(position, clock, message.at, &signals);
        }
        if self.signals.is_empty() {
            engine.handle_time(clock, message.at);
        }
        for signal in self.signals.drain(..) {
            engine.handle_signal(clock, &signal);
        }
        Ok(())
    }

    /// Applies a signal that was posted and understood.
    ///
    /// # Errors
    /// If its source is not known.
    pub(crate) fn apply_posted(
        &mut self,
        position: u64,
        arrival: Timestamp,
        number: u16,
        at: Timestamp,
        posted: Posted,
    ) -> Result<(), DerivationError> {
        let source = self.sources.get_mut(&number);
        let Some(OpenSource { follower: Follower::Signals(ingest), newest, .. }) = source else {
            return Err(DerivationError::UnknownSource { position, source_number: number });
        };
        let engine = self.engine.as_mut().ok_or(DerivationError::WithoutSettings { position })?;
        *newest = Some((at, arrival));
        let signal = ingest.handle(posted, at, InputRef { source: number, number: position });
        engine.handle_signal(ClockId(number), &signal);
        Ok(())
    }

    /// Applies what a switch has told.
    ///
    /// # Errors
    /// If its source is not known.
    pub(crate) fn apply_told(
        &mut self,
        position: u64,
        arrival: Timestamp,
        number: u16,
        at: Timestamp,
        message: &[u8],
    ) -> Result<(), DerivationError> {
        let input = InputRef { source: number, number: position };
        let (switch, newest) = self.switch(position, number)?;
        *newest = Some((at, arrival));
        let (mut told, mut signals) = (Vec::new(), Vec::new());
        switch.follower.handle(message, at, input, &mut told);
        switch.pairing.handle_switch(told, &mut signals);
        switch.pairing.handle_time(at, &mut signals);
        self.apply_signals(position, ClockId(number), at, &signals)
    }

    /// A source that is a switch, and the time of its last input.
    fn switch(&mut self, position: u64, number: u16) -> Result<(&mut Switch, &mut Newest), DerivationError> {
        match self.sources.get_mut(&number) {
            Some(OpenSource { follower: Follower::Switch(switch), newest, .. }) => Ok((switch, newest)),
            _ => Err(DerivationError::UnknownSource { position, source_number: number }),
        }
    }

    fn apply_signals(
        &mut self,
        position: u64,
        clock: ClockId,
        at: Timestamp,
        signals: &[Signal],
    ) -> Result<(), DerivationError> {
        let engine = self.engine.as_mut().ok_or(DerivationError::WithoutSettings { position })?;
        for signal in signals {
            // What SIP shows may have waited for the switch, and is timed by the agent all the same.
            engine.handle_signal(ClockId(signal.leg.source()), signal);
        }
        engine.handle_time(clock, at);
        Ok(())
    }

    fn apply_settings(&mut self, position: u64, settings: Settings) -> Result<(), DerivationError> {
        let account = AccountId::new(settings.account);
        let directory = match &settings.directory {
            None => Directory::built_in(account),
            Some(text) => {
                Directory::parse(text).map_err(|cause| DerivationError::Directory { position, cause })?
            }
        };
        let policy = policy(&settings);
        match &mut self.engine {
            Some(engine) => engine.set_rules(directory, policy),
            None => self.engine = Some(Engine::new(directory, policy)),
        }
        self.settings = Some(settings);
        Ok(())
    }

    fn add_source(&mut self, source: Source) {
        let Source { number, sender } = source;
        if let Sender::Ami { hep: Some(hep), .. } | Sender::Esl { hep: Some(hep), .. } = &sender {
            self.beside.insert(hep.clone(), number);
        }
        let follower = match sender {
            Sender::Hep { account, .. } => {
                Follower::Messages(Box::new(Tracker::new(AccountId::new(account), number)))
            }
            Sender::Ami { account, .. } => {
                Follower::switch(switch::Follower::asterisk(AccountId::new(account), number))
            }
            Sender::Esl { account, .. } => {
                Follower::switch(switch::Follower::freeswitch(AccountId::new(account), number))
            }
            Sender::Ingest { account, .. } => {
                Follower::Signals(Box::new(Ingest::new(AccountId::new(account), number)))
            }
        };
        self.sources.insert(number, OpenSource { sender, follower, newest: None });
    }

    /// The next event, in the order in which they came about.
    pub(crate) fn poll_event(&mut self) -> Option<Event> {
        self.engine.as_mut()?.poll_event()
    }

    /// When a clock wants a tick at the latest.
    pub(crate) fn poll_timeout(&self, clock: ClockId) -> Option<Timestamp> {
        let engine = self.engine.as_ref()?.poll_timeout(clock);
        let switch = match self.sources.get(&clock.0).map(|source| &source.follower) {
            Some(Follower::Switch(switch)) => {
                let (follower, pairing) = (switch.follower.poll_timeout(), switch.pairing.poll_timeout());
                follower.into_iter().chain(pairing).min()
            }
            _ => None,
        };
        engine.into_iter().chain(switch).min()
    }

    /// The settings that hold, if any were told.
    pub(crate) fn settings(&self) -> Option<&Settings> {
        self.settings.as_ref()
    }

    /// All sources with their numbers.
    pub(crate) fn sources(&self) -> impl Iterator<Item = (u16, &Sender)> {
        self.sources.iter().map(|(&number, source)| (number, &source.sender))
    }

    /// The time of the last input of a source, and when that came in by the clock of this machine.
    pub(crate) fn newest(&self, source: u16) -> Option<(Timestamp, Timestamp)> {
        self.sources.get(&source)?.newest
    }

    /// One of these numbers that no source has; none when there are too many. Numbers are given again as late as
    /// can be, because legs are named by them.
    pub(crate) fn free_source(&self, among: RangeInclusive<u16>) -> Option<u16> {
        if self.sources.len() >= SOURCES_MAX {
            return None;
        }
        let last = self.sources.range(among.clone()).next_back().map(|(&last, _)| last);
        let next = last.map_or(Some(*among.start()), |last| last.checked_add(1));
        let is_free = |number: &u16| !self.sources.contains_key(number);
        next.filter(|next| among.contains(next)).or_else(|| among.into_iter().find(is_free))
    }

    /// Sources that were silent since before, and have no call whose timer runs.
    pub(crate) fn silent_since(&self, before: Timestamp) -> Vec<u16> {
        let is_silent = |(&number, source): (&u16, &OpenSource)| {
            let silent = source.newest.is_some_and(|(_, arrival)| arrival < before);
            (silent && self.poll_timeout(ClockId(number)).is_none()).then_some(number)
        };
        self.sources.iter().filter_map(is_silent).collect()
    }

    /// What became of the messages of a source.
    pub(crate) fn tracker_counters(&self, source: u16) -> tracker::Counters {
        match self.sources.get(&source).map(|source| &source.follower) {
            Some(Follower::Messages(tracker)) => tracker.counters(),
            Some(Follower::Signals(_) | Follower::Switch(_)) | None => tracker::Counters::default(),
        }
    }

    /// What went through the machine.
    pub(crate) fn engine_counters(&self) -> engine::Counters {
        self.engine.as_ref().map(Engine::counters).unwrap_or_default()
    }

    /// How many sessions are open.
    pub(crate) fn open_sessions(&self) -> usize {
        self.engine.as_ref().map_or(0, Engine::open_sessions)
    }
}

fn policy(settings: &Settings) -> Policy {
    Policy {
        missed_calls: if settings.answered_elsewhere_is_missed {
            MissedCallPolicy::AnsweredElsewhereIsMissed
        } else {
            MissedCallPolicy::Standard
        },
        explicit_reasons: settings.explicit_reasons,
        join_by_numbers: settings.join_by_numbers,
        sessions_max: settings.sessions_max,
    }
}
