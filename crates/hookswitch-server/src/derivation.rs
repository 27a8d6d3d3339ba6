//! From inputs to events: what runs live, after a restart, and when a log is checked.
//!
//! Everything that the machine goes by comes in as an [`Input`], in the order of the signal log, so
//! the log alone gives the same events again.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use hookswitch_core::directory::Directory;
use hookswitch_core::engine::{self, LiveParty, MissedCallPolicy, Policy};
use hookswitch_model::{AccountId, ClockId, Event, InputRef, LegId, TelephonySessionId, Timestamp};
use hookswitch_pipeline::{Clocks, Pipeline, Switch, SwitchSource, UnknownSource};
use hookswitch_signal::capture::{Captured, Transport};
use hookswitch_signal::ingest::Posted;
use hookswitch_signal::{sip, tracker};
use hookswitch_store::{Input, Message, Sender, Settings, Source};
use serde::{Deserialize, Serialize};

use crate::control::{LocatedCall, LocatedChannel, LocatedParty};

/// The most sources; a sender beyond them is refused.
pub(crate) const SOURCES_MAX: usize = 8192;

/// Reason why an input cannot be applied. None of it can happen to a log that this program has written.
#[derive(Debug, thiserror::Error)]
pub enum DerivationError {
    /// It comes from a source that the log does not name.
    #[error("input {position} comes from source {source_number}, which the log does not name")]
    UnknownSource {
        /// Position of the input in the log.
        position: u64,
        /// The number of the source.
        source_number: u16,
    },
    /// It comes before the settings.
    #[error("input {position} comes before the directory and the policy")]
    WithoutSettings {
        /// Position of the input in the log.
        position: u64,
    },
    /// It names a switch of which nothing is known.
    #[error("input {position} names a switch by {adapter:?}, for which there is no adapter")]
    UnknownAdapter {
        /// Position of the input in the log.
        position: u64,
        /// The name of the adapter.
        adapter: String,
    },
    /// The directory cannot be read.
    #[error("the directory at input {position} cannot be read: {cause}")]
    Directory {
        /// Position of the input in the log.
        position: u64,
        /// Mistake in the directory.
        cause: hookswitch_core::directory::DirectoryError,
    },
}

/// The version of saved states; a state of another version is not read. Raised with every change of
/// what the machine or the trackers keep.
pub const STATE_VERSION: u32 = 9;

/// The pipeline, with who its sources are and the settings that it goes by.
#[derive(Serialize, Deserialize)]
pub struct Derivation {
    pipeline: Pipeline,
    sources: BTreeMap<u16, OpenSource>,
    /// The settings that hold.
    settings: Option<Settings>,
}

/// The time of the last input of a source, and when that came in by the clock of this machine.
type Newest = Option<(Timestamp, Timestamp)>;

#[derive(Serialize, Deserialize)]
struct OpenSource {
    sender: Sender,
    newest: Newest,
}

impl Default for Derivation {
    fn default() -> Self {
        // The first input has the directory and the policy.
        let directory = Directory::built_in(AccountId::new(0));
        let pipeline = Pipeline::new(directory, Policy::default(), Clocks::OfEachSource);
        Self { pipeline, sources: BTreeMap::new(), settings: None }
    }
}

impl Derivation {
    /// The state, to be read by [`Derivation::read`]; all events have been taken.
    ///
    /// # Panics
    /// Never: writing to memory does not fail.
    pub fn state(&self) -> Vec<u8> {
        postcard::to_stdvec(self).expect("writing to memory does not fail")
    }

    /// Goes on from a state that was saved.
    ///
    /// # Errors
    /// If the state is damaged, or of another version.
    pub fn read(state: &[u8]) -> anyhow::Result<Self> {
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
    pub fn apply(
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
            Input::Link { source, at, link } => {
                self.note(position, *source, *at, arrival)?;
                let input = InputRef { source: *source, number: position };
                let known = self.pipeline.handle_link(*source, *link, *at, input);
                known.map_err(|unknown| unknown_at(position, unknown))
            }
            Input::Tick { clock, at } => {
                self.ready(position)?;
                self.pipeline.handle_time(*clock, *at);
                Ok(())
            }
            Input::Settings(settings) => self.apply_settings(position, settings.clone()),
            Input::Source(source) => self.add_source(position, source.clone()),
            Input::Forgotten { source } => {
                self.sources.remove(source);
                self.pipeline.sources_mut().remove(*source);
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
        self.note(position, number, message.at, arrival)?;
        let captured = Captured {
            time: message.at,
            transport: if message.tcp { Transport::Tcp } else { Transport::Udp },
            src: message.src,
            dst: message.dst,
            packet: position,
            correlation: message.correlation,
            payload: message.payload,
        };
        let input = InputRef { source: number, number: position };
        let known = self.pipeline.handle_message(number, sip, &captured, arrival, input);
        known.map_err(|unknown| unknown_at(position, unknown))
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
        self.note(position, number, at, arrival)?;
        let input = InputRef { source: number, number: position };
        let known = self.pipeline.handle_posted(number, posted, at, input);
        known.map_err(|unknown| unknown_at(position, unknown))
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
        self.note(position, number, at, arrival)?;
        let input = InputRef { source: number, number: position };
        let known = self.pipeline.handle_switch(number, message, at, input);
        known.map_err(|unknown| unknown_at(position, unknown))
    }

    /// Notes when a source was heard of.
    fn note(
        &mut self,
        position: u64,
        number: u16,
        at: Timestamp,
        arrival: Timestamp,
    ) -> Result<(), DerivationError> {
        let source = self.sources.get_mut(&number);
        let source = source.ok_or(DerivationError::UnknownSource { position, source_number: number })?;
        source.newest = Some((at, arrival));
        self.ready(position)
    }

    fn ready(&self, position: u64) -> Result<(), DerivationError> {
        if self.settings.is_none() { Err(DerivationError::WithoutSettings { position }) } else { Ok(()) }
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
        self.pipeline.set_rules(directory, policy);
        let late_requests = Duration::from_millis(settings.late_requests_ms);
        self.pipeline.sources_mut().set_late_wait(late_requests);
        self.settings = Some(settings);
        Ok(())
    }

    fn add_source(&mut self, position: u64, source: Source) -> Result<(), DerivationError> {
        let Source { number, sender } = source;
        let sources = self.pipeline.sources_mut();
        match &sender {
            Sender::Hep { account, name, .. } => sources.add_agent(number, name, AccountId::new(*account)),
            Sender::Switch { adapter, account, hep, .. } => {
                let Some(switch) = Switch::named(adapter) else {
                    return Err(DerivationError::UnknownAdapter { position, adapter: adapter.clone() });
                };
                sources.add_switch(number, switch_source(switch, number, *account, hep.as_deref()));
            }
            Sender::Ingest { account, .. } => sources.add_posted(number, AccountId::new(*account)),
        }
        self.sources.insert(number, OpenSource { sender, newest: None });
        Ok(())
    }

    /// The next event, in the order in which they came about.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.pipeline.poll_event()
    }

    /// The names of an agent and of a switch of whose calls one came twice, each pair once.
    pub(crate) fn poll_double(&mut self) -> Option<(String, String)> {
        let (agent, switch) = self.pipeline.sources_mut().poll_double()?;
        let name = |number: u16| match &self.sources.get(&number)?.sender {
            Sender::Hep { name, .. } | Sender::Switch { name, .. } | Sender::Ingest { name, .. } => {
                Some(name.clone())
            }
        };
        name(agent).zip(name(switch))
    }

    /// Returns the time when a clock wants a tick at the latest.
    pub(crate) fn poll_timeout(&self, clock: ClockId) -> Option<Timestamp> {
        self.pipeline.poll_timeout(clock)
    }

    /// The parties of an open call that have not left, and their channels.
    pub(crate) fn located(&self, session: TelephonySessionId) -> Option<LocatedCall> {
        let name = |number: u16| match &self.sources.get(&number)?.sender {
            Sender::Switch { name, .. } => Some(Arc::<str>::from(&**name)),
            Sender::Hep { .. } | Sender::Ingest { .. } => None,
        };
        let channel = |leg: &LegId| {
            let view = self.pipeline.sources().channel(*leg)?;
            Some(LocatedChannel { source: name(leg.source())?, view })
        };
        let parties = self.pipeline.live_parties(session)?;
        let locate = |LiveParty { party, legs }| LocatedParty {
            party,
            channels: legs.iter().filter_map(channel).collect(),
        };
        Some(LocatedCall { parties: parties.into_iter().map(locate).collect() })
    }

    /// The session of a channel of a source.
    pub(crate) fn session_of_channel(&self, source: &str, channel: &str) -> Option<TelephonySessionId> {
        let is_named = |sender: &Sender| matches!(sender, Sender::Switch { name, .. } if name == source);
        let mut numbers = self.sources.iter().filter(|(_, open)| is_named(&open.sender));
        numbers.find_map(|(&number, _)| self.pipeline.session_of_channel(number, channel))
    }

    /// The settings that hold, if any were told.
    pub fn settings(&self) -> Option<&Settings> {
        self.settings.as_ref()
    }

    /// All sources with their numbers.
    pub fn sources(&self) -> impl Iterator<Item = (u16, &Sender)> {
        self.sources.iter().map(|(&number, source)| (number, &source.sender))
    }

    /// The time of the last input of a source, and when that came in by the clock of this machine.
    pub fn newest(&self, source: u16) -> Option<(Timestamp, Timestamp)> {
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

    /// Agents without a call, those that were silent longest first: of a host, or else of the host that has most of
    /// them; so many at most.
    pub(crate) fn idle_agents(&self, host: Option<IpAddr>, count_max: usize) -> Vec<u16> {
        let mut idle: BTreeMap<IpAddr, Vec<(Option<Timestamp>, u16)>> = BTreeMap::new();
        for (&number, source) in &self.sources {
            let Sender::Hep { address, .. } = &source.sender else { continue };
            let calls = self.pipeline.sources().sip_calls(number);
            if host.is_none_or(|host| host == *address)
                && calls == 0
                && self.poll_timeout(ClockId(number)).is_none()
            {
                let heard = source.newest.map(|(_, arrival)| arrival);
                idle.entry(*address).or_default().push((heard, number));
            }
        }
        let mut most = idle.into_values().max_by_key(Vec::len).unwrap_or_default();
        most.sort_unstable();
        most.into_iter().take(count_max).map(|(_, number)| number).collect()
    }

    /// Returns what became of the messages of a source.
    pub fn tracker_counters(&self, source: u16) -> tracker::Counters {
        self.pipeline.sources().tracker_counters(source)
    }

    /// Returns what went through the machine.
    pub(crate) fn engine_counters(&self) -> engine::Counters {
        self.pipeline.engine_counters()
    }

    /// Returns the number of sessions that are open.
    pub fn open_sessions(&self) -> usize {
        self.pipeline.open_sessions()
    }
}

fn switch_source(switch: Switch, number: u16, account: u64, agents: Option<&str>) -> SwitchSource<'_> {
    SwitchSource { switch, account: AccountId::new(account), agents, pairs_as: number }
}

fn unknown_at(position: u64, unknown: UnknownSource) -> DerivationError {
    DerivationError::UnknownSource { position, source_number: unknown.0 }
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
