//! The sources of a pipeline and what follows the calls of each: from inputs to signals.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use hookswitch_model::{AccountId, ClockId, InputRef, LegId, Signal, SwitchLink, Timestamp};
use hookswitch_signal::adapters::{AnyTracker, Switch};
use hookswitch_signal::capture::Captured;
use hookswitch_signal::ingest::{Ingest, Posted};
use hookswitch_signal::pairing::{self, Pairing};
use hookswitch_signal::sip;
use hookswitch_signal::switch::{self, ChannelView, SwitchTracker};
use hookswitch_signal::tracker::{self, SipTracker};
use serde::{Deserialize, Serialize};

use crate::doubles::Doubles;

/// An input of a source that was not added, or of another kind than it was added as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownSource(
    /// The number of the source.
    pub u16,
);

impl fmt::Display for UnknownSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "source {} is not known as what it sends", self.0)
    }
}

impl std::error::Error for UnknownSource {}

/// Clocks that the timers of a call go by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Clocks {
    /// Each source has a clock of its own, which is its number: what one says of the time moves no other.
    #[default]
    OfEachSource,
    /// All inputs are ordered by one clock, [`ClockId::default`], as those of a replay are.
    One,
}

/// A switch that reports its own calls, as one source.
#[derive(Clone, Copy, Debug)]
pub struct SwitchSource<'a> {
    /// Kind of switch.
    pub switch: Switch,
    /// The account of calls that the directory assigns to nobody.
    pub account: AccountId,
    /// The name of the agents that see its SIP, where there are any.
    pub agents: Option<&'a str>,
    /// The source with which it shares the SIP of these agents; itself where it is the only one.
    pub pairs_as: u16,
}

/// All sources: a tracker for each, and what brings together a switch and its SIP.
#[derive(Default, Serialize, Deserialize)]
pub struct Sources {
    by_number: BTreeMap<u16, Source>,
    /// By [`SwitchSource::pairs_as`].
    pairings: BTreeMap<u16, Pairing>,
    /// The pairing of the SIP that the agents of a name see.
    beside: BTreeMap<String, u16>,
    clocks: Clocks,
    /// Time that a SIP response waits for its request; none for the default.
    late_wait: Option<Duration>,
    #[serde(skip)]
    raw: Vec<Signal>,
    #[serde(skip)]
    doubles: Doubles,
}

#[derive(Serialize, Deserialize)]
enum Source {
    Agent { name: Box<str>, tracker: Box<SipTracker> },
    Switch { tracker: Box<AnyTracker>, pairs_as: u16, has_agents: bool, outage: Option<Outage> },
    Posted(Box<Ingest>),
}

/// The time without a connection to a switch.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Outage {
    /// Time when its calls end; none when they have ended, or go on for as long as it takes.
    until: Option<Timestamp>,
    /// Input that told of it.
    input: InputRef,
}

impl Source {
    fn handle_time(
        &mut self,
        pairings: &mut BTreeMap<u16, Pairing>,
        beside: &BTreeMap<String, u16>,
        now: Timestamp,
        raw: &mut Vec<Signal>,
        out: &mut Vec<Signal>,
    ) {
        match self {
            Self::Agent { name, tracker } => {
                tracker.handle_time(now, raw);
                pass_on(pairings, beside, name, now, raw, out);
            }
            Self::Switch { tracker, pairs_as, outage, .. } => {
                tracker.handle_time(now, raw);
                if let Some(Outage { until, input }) = outage
                    && let Some(at) = until.take_if(|until| *until <= now)
                {
                    tracker.handle_lost(at, *input, raw);
                }
                if let Some(pairing) = pairings.get_mut(pairs_as) {
                    pairing.handle_switch(raw.drain(..), out);
                    pairing.handle_time(now, out);
                }
            }
            Self::Posted(_) => {}
        }
    }
}

/// Passes on the signals of an agent, through the pairing with the switch beside which it stands.
fn pass_on(
    pairings: &mut BTreeMap<u16, Pairing>,
    beside: &BTreeMap<String, u16>,
    name: &str,
    now: Timestamp,
    raw: &mut Vec<Signal>,
    out: &mut Vec<Signal>,
) {
    match beside.get(name).and_then(|pairs_as| pairings.get_mut(pairs_as)) {
        Some(pairing) if !raw.is_empty() => pairing.handle_sip(raw.drain(..), now, out),
        Some(_) => {}
        None => out.append(raw),
    }
}

impl Sources {
    /// No sources.
    pub fn new(clocks: Clocks) -> Self {
        Self { clocks, ..Self::default() }
    }

    /// Returns whose time the timers of a signal's call go by.
    pub fn clock_of(&self, signal: &Signal) -> ClockId {
        self.clock(signal.leg.source())
    }

    /// The clock of a source.
    pub fn clock(&self, number: u16) -> ClockId {
        match self.clocks {
            Clocks::OfEachSource => ClockId(number),
            Clocks::One => ClockId::default(),
        }
    }

    /// Adds a capture agent, or a capture, that sends SIP messages.
    pub fn add_agent(&mut self, number: u16, name: &str, account: AccountId) {
        let mut tracker = Box::new(SipTracker::new(account, number));
        if let Some(wait) = self.late_wait {
            tracker.set_late_wait(wait);
        }
        self.by_number.insert(number, Source::Agent { name: name.into(), tracker });
    }

    /// Sets how long a SIP response that is reported before its request waits for it;
    /// [`tracker::LATE_MAX`] by default, 0 for not at all.
    pub fn set_late_wait(&mut self, wait: Duration) {
        self.late_wait = Some(wait);
        for source in self.by_number.values_mut() {
            if let Source::Agent { tracker, .. } = source {
                tracker.set_late_wait(wait);
            }
        }
    }

    /// Adds a switch that reports its own calls.
    pub fn add_switch(&mut self, number: u16, source: SwitchSource<'_>) {
        let SwitchSource { switch, account, agents, pairs_as } = source;
        if let Some(agents) = agents {
            self.beside.insert(agents.to_owned(), pairs_as);
        }
        self.pairings.entry(pairs_as).or_default();
        let tracker = Box::new(switch.tracker(account, number));
        let has_agents = agents.is_some();
        self.by_number.insert(number, Source::Switch { tracker, pairs_as, has_agents, outage: None });
    }

    /// Adds somebody who posts signals.
    pub fn add_posted(&mut self, number: u16, account: AccountId) {
        self.by_number.insert(number, Source::Posted(Box::new(Ingest::new(account, number))));
    }

    /// The channel of a leg that a switch has told of; none if SIP alone, or a client, told of it.
    pub fn channel(&self, leg: LegId) -> Option<ChannelView> {
        match self.by_number.get(&leg.source())? {
            Source::Switch { tracker, .. } => tracker.channel(leg),
            Source::Agent { .. } | Source::Posted(_) => None,
        }
    }

    /// The leg of the channel that a switch names so.
    pub fn leg_of(&self, number: u16, id: &str) -> Option<LegId> {
        match self.by_number.get(&number)? {
            Source::Switch { tracker, .. } => tracker.leg_of(id),
            Source::Agent { .. } | Source::Posted(_) => None,
        }
    }

    /// Forgets a source; its number may be given to another.
    pub fn remove(&mut self, number: u16) {
        self.by_number.remove(&number);
        let is_used = |pairs_as: u16| {
            self.by_number
                .values()
                .any(|source| matches!(source, Source::Switch { pairs_as: other, .. } if *other == pairs_as))
        };
        self.pairings.retain(|&pairs_as, _| is_used(pairs_as));
        self.beside.retain(|_, pairs_as| self.pairings.contains_key(pairs_as));
    }

    /// Takes a SIP message, which came in at `arrival`; says whether its signals wait for a switch, so that
    /// others may have come.
    ///
    /// # Errors
    /// If the source is no agent.
    pub fn handle_message(
        &mut self,
        number: u16,
        message: &sip::Message<'_>,
        captured: &Captured<'_>,
        arrival: Timestamp,
        input: InputRef,
        out: &mut Vec<Signal>,
    ) -> Result<bool, UnknownSource> {
        if self.clocks == Clocks::One {
            // What the others wait for has not come by now.
            self.handle_time_of_agents(Some(number), captured.time, out);
        }
        let Some(Source::Agent { name, tracker }) = self.by_number.get_mut(&number) else {
            return Err(UnknownSource(number));
        };
        // Most have no switch beside them, and their signals go straight on.
        let beside = if self.beside.is_empty() { None } else { self.beside.get(&**name).copied() };
        let Some(pairs_as) = beside else {
            let known = out.len();
            tracker.handle(message, captured, input, out);
            if !self.pairings.is_empty() {
                self.doubles.note(number, false, &out[known..], arrival);
            }
            return Ok(false);
        };
        if self.clocks == Clocks::One {
            // What a switch has told may wait for its explanation until here.
            self.handle_time_of_switches(pairs_as, captured.time, out);
        }
        if let Some(Source::Agent { tracker, .. }) = self.by_number.get_mut(&number) {
            tracker.handle(message, captured, input, &mut self.raw);
        }
        if let Some(pairing) = self.pairings.get_mut(&pairs_as) {
            pairing.handle_sip(self.raw.drain(..), arrival, out);
        }
        Ok(true)
    }

    fn handle_time_of_agents(&mut self, but: Option<u16>, now: Timestamp, out: &mut Vec<Signal>) {
        for (&number, source) in &mut self.by_number {
            if matches!(source, Source::Agent { .. }) && Some(number) != but {
                source.handle_time(&mut self.pairings, &self.beside, now, &mut self.raw, out);
            }
        }
    }

    fn handle_time_of_switches(&mut self, pairs: u16, now: Timestamp, out: &mut Vec<Signal>) {
        for source in self.by_number.values_mut() {
            if let Source::Switch { tracker, pairs_as, .. } = source
                && *pairs_as == pairs
            {
                tracker.handle_time(now, &mut self.raw);
            }
        }
        if let Some(pairing) = self.pairings.get_mut(&pairs) {
            pairing.handle_switch(self.raw.drain(..), out);
        }
    }

    /// Takes what a switch reports.
    ///
    /// # Errors
    /// If the source is no switch.
    pub fn handle_switch(
        &mut self,
        number: u16,
        message: &[u8],
        at: Timestamp,
        input: InputRef,
        out: &mut Vec<Signal>,
    ) -> Result<(), UnknownSource> {
        if self.clocks == Clocks::One {
            self.handle_time_of_agents(None, at, out);
        }
        let (tracker, pairing, raw) = self.switch(number)?;
        tracker.handle(message, at, input, raw);
        pairing.note_switch(at);
        let known = out.len();
        pairing.handle_switch(raw.drain(..), out);
        pairing.handle_time(at, out);
        if matches!(self.by_number.get(&number), Some(Source::Switch { has_agents: false, .. })) {
            self.doubles.note(number, true, &out[known..], at);
        }
        Ok(())
    }

    /// Takes an agent and a switch of whose calls one came twice, because the switch does not name the agent; each pair
    /// once.
    pub fn poll_double(&mut self) -> Option<(u16, u16)> {
        self.doubles.take()
    }

    /// Takes a signal that was posted.
    ///
    /// # Errors
    /// If the source posts none.
    pub fn handle_posted(
        &mut self,
        number: u16,
        posted: Posted,
        at: Timestamp,
        input: InputRef,
    ) -> Result<Signal, UnknownSource> {
        match self.by_number.get_mut(&number) {
            Some(Source::Posted(ingest)) => Ok(ingest.handle(posted, at, input)),
            _ => Err(UnknownSource(number)),
        }
    }

    /// Notes that the connection to a switch was made, or was lost.
    ///
    /// # Errors
    /// If the source is no switch.
    pub fn handle_link(
        &mut self,
        number: u16,
        link: SwitchLink,
        at: Timestamp,
        input: InputRef,
        out: &mut Vec<Signal>,
    ) -> Result<(), UnknownSource> {
        let Some(Source::Switch { tracker, pairs_as, outage, .. }) = self.by_number.get_mut(&number) else {
            return Err(UnknownSource(number));
        };
        match link {
            SwitchLink::Up => {
                *outage = None;
                tracker.connected();
            }
            // An outage during which the server was started again goes on.
            SwitchLink::Lost { lost_after } => {
                outage.get_or_insert(Outage { until: lost_after.map(|after| at + after), input });
            }
        }
        let pairing = self.pairings.get_mut(pairs_as).ok_or(UnknownSource(number))?;
        pairing.set_connected(link.is_up(), out);
        Ok(())
    }

    /// Lets time pass at the sources of a clock, where no message comes that would do so: what has waited for
    /// an explanation long enough is told, and what is over is forgotten.
    pub fn handle_time(&mut self, clock: ClockId, now: Timestamp, out: &mut Vec<Signal>) {
        match self.clocks {
            Clocks::OfEachSource => {
                if let Some(source) = self.by_number.get_mut(&clock.0) {
                    source.handle_time(&mut self.pairings, &self.beside, now, &mut self.raw, out);
                }
            }
            Clocks::One => {
                for source in self.by_number.values_mut() {
                    source.handle_time(&mut self.pairings, &self.beside, now, &mut self.raw, out);
                }
            }
        }
    }

    /// Tells all that waits: nothing more will come.
    pub fn finish(&mut self, out: &mut Vec<Signal>) {
        for source in self.by_number.values_mut() {
            match source {
                Source::Agent { name, tracker } => {
                    tracker.finish(&mut self.raw);
                    let now = tracker.newest();
                    pass_on(&mut self.pairings, &self.beside, name, now, &mut self.raw, out);
                }
                Source::Switch { tracker, pairs_as, .. } => {
                    tracker.finish(&mut self.raw);
                    if let Some(pairing) = self.pairings.get_mut(pairs_as) {
                        pairing.handle_switch(self.raw.drain(..), out);
                    }
                }
                Source::Posted(_) => {}
            }
        }
        for pairing in self.pairings.values_mut() {
            pairing.finish(out);
        }
    }

    /// Returns the time when a clock wants [`Sources::handle_time`] at the latest.
    pub fn poll_timeout(&self, clock: ClockId) -> Option<Timestamp> {
        match self.clocks {
            Clocks::OfEachSource => self.timeout(self.by_number.get(&clock.0)?),
            Clocks::One => self.by_number.values().filter_map(|source| self.timeout(source)).min(),
        }
    }

    fn timeout(&self, source: &Source) -> Option<Timestamp> {
        match source {
            Source::Agent { tracker, .. } => tracker.poll_timeout(),
            Source::Switch { tracker, pairs_as, outage, .. } => {
                let pairing = self.pairings.get(pairs_as).and_then(Pairing::poll_timeout);
                let lost = outage.and_then(|outage| outage.until);
                tracker.poll_timeout().into_iter().chain(pairing).chain(lost).min()
            }
            Source::Posted(_) => None,
        }
    }

    /// Returns what became of the messages of an agent; zeros for other sources.
    pub fn tracker_counters(&self, number: u16) -> tracker::Counters {
        match self.by_number.get(&number) {
            Some(Source::Agent { tracker, .. }) => tracker.counters(),
            _ => tracker::Counters::default(),
        }
    }

    /// Returns the number of SIP calls of an agent that are followed, finished ones that are remembered for their repeats among
    /// them.
    pub fn sip_calls(&self, number: u16) -> usize {
        match self.by_number.get(&number) {
            Some(Source::Agent { tracker, .. }) => tracker.calls(),
            _ => 0,
        }
    }

    /// Returns what became of the messages of a switch, and how many of its channels are followed; none for other
    /// sources.
    pub fn switch_counters(&self, number: u16) -> Option<(switch::Counters, usize)> {
        match self.by_number.get(&number)? {
            Source::Switch { tracker, .. } => Some((tracker.counters(), tracker.channels())),
            _ => None,
        }
    }

    /// Returns what was brought together of a switch and its SIP, and how many SIP calls are remembered for that; none
    /// for other sources.
    pub fn pairing_counters(&self, number: u16) -> Option<(pairing::Counters, usize)> {
        let Source::Switch { pairs_as, .. } = self.by_number.get(&number)? else { return None };
        self.pairings.get(pairs_as).map(|pairing| (pairing.counters(), pairing.calls()))
    }

    fn switch(
        &mut self,
        number: u16,
    ) -> Result<(&mut dyn SwitchTracker, &mut Pairing, &mut Vec<Signal>), UnknownSource> {
        let Some(Source::Switch { tracker, pairs_as, .. }) = self.by_number.get_mut(&number) else {
            return Err(UnknownSource(number));
        };
        let pairing = self.pairings.get_mut(pairs_as).ok_or(UnknownSource(number))?;
        Ok((&mut ***tracker, pairing, &mut self.raw))
    }
}
