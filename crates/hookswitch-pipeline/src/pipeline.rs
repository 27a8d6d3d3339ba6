//! Sources and session machine behind one another.

use hookswitch_core::directory::Directory;
use hookswitch_core::engine::{Counters, Engine, LiveParty, Policy};
use hookswitch_model::{ClockId, Event, InputRef, Signal, SwitchLink, TelephonySessionId, Timestamp};
use hookswitch_signal::capture::Captured;
use hookswitch_signal::ingest::Posted;
use hookswitch_signal::sip;
use serde::{Deserialize, Serialize};

use crate::sources::{Clocks, Sources, UnknownSource};

/// From inputs to events.
///
/// After each `handle_*`, drain [`Pipeline::poll_event`], then come back no later than
/// [`Pipeline::poll_timeout`]. The same inputs give the same events.
#[derive(Serialize, Deserialize)]
pub struct Pipeline {
    sources: Sources,
    engine: Engine,
    #[serde(skip)]
    signals: Vec<Signal>,
}

impl Pipeline {
    /// A pipeline without sources.
    pub fn new(directory: Directory, policy: Policy, clocks: Clocks) -> Self {
        let engine = Engine::new(directory, policy);
        Self { sources: Sources::new(clocks), engine, signals: Vec::new() }
    }

    /// Goes by another directory and policy from here on; after a saved state was read, by those that it was
    /// saved with.
    pub fn set_rules(&mut self, directory: Directory, policy: Policy) {
        self.engine.set_rules(directory, policy);
    }

    /// The sources.
    pub fn sources(&self) -> &Sources {
        &self.sources
    }

    /// The sources, to add to them.
    pub fn sources_mut(&mut self) -> &mut Sources {
        &mut self.sources
    }

    /// Both halves, to be run on threads of their own.
    pub fn into_halves(self) -> (Sources, Engine) {
        (self.sources, self.engine)
    }

    /// Takes a SIP message that was understood, which came in at `arrival`.
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
    ) -> Result<(), UnknownSource> {
        let (clock, at) = (self.sources.clock(number), captured.time);
        let waits =
            self.sources.handle_message(number, message, captured, arrival, input, &mut self.signals)?;
        if waits {
            self.apply(clock, at);
            return Ok(());
        }
        if self.signals.is_empty() {
            self.engine.handle_time(clock, at);
        }
        for signal in self.signals.drain(..) {
            self.engine.handle_signal(clock, &signal);
        }
        Ok(())
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
    ) -> Result<(), UnknownSource> {
        self.sources.handle_switch(number, message, at, input, &mut self.signals)?;
        self.apply(self.sources.clock(number), at);
        Ok(())
    }

    /// Takes a signal that was posted and understood.
    ///
    /// # Errors
    /// If the source posts none.
    pub fn handle_posted(
        &mut self,
        number: u16,
        posted: Posted,
        at: Timestamp,
        input: InputRef,
    ) -> Result<(), UnknownSource> {
        let signal = self.sources.handle_posted(number, posted, at, input)?;
        self.engine.handle_signal(self.sources.clock(number), &signal);
        Ok(())
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
    ) -> Result<(), UnknownSource> {
        self.sources.handle_link(number, link, at, input, &mut self.signals)?;
        self.apply(self.sources.clock(number), at);
        Ok(())
    }

    /// Lets time pass: a clock has come so far.
    pub fn handle_time(&mut self, clock: ClockId, now: Timestamp) {
        self.sources.handle_time(clock, now, &mut self.signals);
        self.apply(clock, now);
    }

    /// Decides all that waits: nothing more will come.
    pub fn finish(&mut self) {
        self.sources.finish(&mut self.signals);
        for signal in self.signals.drain(..) {
            self.engine.handle_signal(self.sources.clock_of(&signal), &signal);
        }
        self.engine.finish();
    }

    /// The next event, in the order in which they came about.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.engine.poll_event()
    }

    /// Returns the time when a clock wants [`Pipeline::handle_time`] at the latest.
    pub fn poll_timeout(&self, clock: ClockId) -> Option<Timestamp> {
        self.engine.poll_timeout(clock).into_iter().chain(self.sources.poll_timeout(clock)).min()
    }

    /// Returns the number of sessions that are open.
    pub fn open_sessions(&self) -> usize {
        self.engine.open_sessions()
    }

    /// The parties of an open session that have not left; see [`Engine::live_parties`].
    pub fn live_parties(&self, id: TelephonySessionId) -> Option<Vec<LiveParty>> {
        self.engine.live_parties(id)
    }

    /// The session of the channel that a switch names so.
    pub fn session_of_channel(&self, number: u16, id: &str) -> Option<TelephonySessionId> {
        self.engine.session_of(self.sources.leg_of(number, id)?)
    }

    /// Returns what went through the session machine.
    pub fn engine_counters(&self) -> Counters {
        self.engine.counters()
    }

    /// Applies the signals of an input, and lets the clock of its source come so far.
    fn apply(&mut self, clock: ClockId, at: Timestamp) {
        for signal in self.signals.drain(..) {
            // What SIP shows may have waited for the switch, and is timed by the agent all the same.
            self.engine.handle_signal(self.sources.clock_of(&signal), &signal);
        }
        self.engine.handle_time(clock, at);
    }
}
