//! State of the channels of one Asterisk, and how it changes.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hookswitch_model::{AccountId, Alias, Cause, InputRef, LegId, Signal, SignalKind, Timestamp};
use serde::{Deserialize, Serialize};

use super::action::Mark;
use super::channel::{Calling, Channel, ChannelKind, Leg, Moment, Number};
use super::message::{Event, Key, Kind, Message};
use super::moves::Parked;
use super::text;
use super::{action, listing};
use crate::deferred::Deferred;
use crate::switch::{
    CHANNELS_MAX, ChannelView, Counters, EXPLANATION_WAIT, ID_BYTES_MAX, PIPES_MAX, SILENT_MAX,
};

/// Follows the channels of one Asterisk, and tells in signals what happens to them.
///
/// Does no IO and reads no clock: after each `handle_*`, come back no later than
/// [`AmiTracker::poll_timeout`]. Its state is plain data.
#[derive(Serialize, Deserialize)]
pub struct AmiTracker {
    pub(super) account: AccountId,
    pub(super) source: u16,
    pub(super) channels: HashMap<Number, Channel, RandomState>,
    by_uniqueid: HashMap<Box<[u8]>, Number, RandomState>,
    /// The two ends of each pipe.
    pipes: HashMap<Box<str>, [Option<Number>; 2], RandomState>,
    pub(super) bridges: HashMap<Box<[u8]>, Vec<Number>, RandomState>,
    pub(super) parked: Vec<Parked>,
    pub(super) waits: Deferred<Waiting>,
    next_number: Number,
    pub(super) leavings: u64,
    /// The message before.
    last: Vec<u8>,
    pub(super) counters: Counters,
}

/// Change that waits for an explanation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Waiting {
    /// To tell that a channel calls: it may take the place of another.
    Call(Number),
    /// To tell that a channel has ended.
    End(Number),
    /// To tell that its holder takes the call back: a transfer says so too.
    Resumed(Number, Moment),
}

impl AmiTracker {
    /// Follows the Asterisk whose legs are numbered in `source`, and whose calls are those of an account.
    pub fn new(account: AccountId, source: u16) -> Self {
        Self {
            account,
            source,
            channels: HashMap::default(),
            by_uniqueid: HashMap::default(),
            pipes: HashMap::default(),
            bridges: HashMap::default(),
            parked: Vec::new(),
            waits: Deferred::default(),
            next_number: 1,
            leavings: 0,
            last: Vec::new(),
            counters: Counters::default(),
        }
    }

    /// Applies one message that came at `at`, and adds what it tells to `out`.
    pub fn handle(&mut self, message: &[u8], at: Timestamp, input: InputRef, out: &mut Vec<Signal>) {
        self.handle_time(at, out);
        self.counters.messages += 1;
        let read = Message::new(message);
        let Some(event) = read.read() else {
            if listing::begins(&read) {
                self.listing_begins();
            } else if action::counts(&read) {
                self.is_acted_on(&read, Moment { at, input }, out);
            }
            self.counters.passed_over += 1;
            return;
        };
        if self.last == message {
            self.counters.repeated += 1;
            return;
        }
        self.last.clear();
        self.last.extend_from_slice(message);
        if self.apply(&event, Moment { at, input }, out) {
            self.counters.applied += 1;
        } else {
            self.counters.stray += 1;
        }
    }

    /// Lets time pass: tells what has waited for an explanation long enough.
    pub fn handle_time(&mut self, now: Timestamp, out: &mut Vec<Signal>) {
        while let Some(waiting) = self.waits.take_due(now) {
            self.tell_waiting(waiting, out);
        }
        while let Some(number) = self.waits.take_check(now) {
            let Some(channel) = self.channels.get(&number) else { continue };
            if now.since(channel.last_seen) >= SILENT_MAX {
                self.forget(number);
            } else {
                self.waits.check(number, now);
            }
        }
    }

    /// Ends all that goes on: the switch has not come back.
    pub fn handle_lost(&mut self, at: Timestamp, input: InputRef, out: &mut Vec<Signal>) {
        self.finish(out);
        let mut numbers = self.in_order();
        // Who still rings first, so that who calls has not given up.
        numbers.sort_by_key(|number| {
            let channel = self.channels.get(number);
            !channel.is_some_and(|channel| channel.leg == Leg::Called && !channel.is_answered())
        });
        for number in numbers {
            self.end_unseen(number, Cause::SwitchLost, Moment { at, input }, out);
        }
    }

    /// Returns the time when [`AmiTracker::handle_time`] wants to be called at the latest.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        self.waits.poll_timeout()
    }

    /// Tells all that waits: nothing more will be heard.
    pub fn finish(&mut self, out: &mut Vec<Signal>) {
        while let Some(waiting) = self.waits.take_any() {
            self.tell_waiting(waiting, out);
        }
    }

    /// Returns what became of the messages.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Returns the number of channels that are followed.
    pub fn channels(&self) -> usize {
        self.channels.len()
    }

    /// Applies an event; false if it is about a channel that is not known.
    fn apply(&mut self, event: &Event<'_>, now: Moment, out: &mut Vec<Signal>) -> bool {
        match event.kind {
            Kind::Newchannel => self.new_channel(event, now),
            Kind::DialBegin => self.dial_begins(event, now, out),
            Kind::DialState => self.dial_goes_on(event, now, out),
            Kind::DialEnd => self.dial_ends(event, now, out),
            Kind::CoreShowChannel => self.listed(event, now, out),
            Kind::CoreShowChannelsComplete => self.listing_ends(now, out),
            Kind::Shutdown => self.shut_down(now, out),
            Kind::AttendedTransfer => self.attended_transfer(event, now, out),
            Kind::BlindTransfer => self.blind_transfer(event, now, out),
            Kind::ParkedCall => self.parked(event, now, out),
            Kind::UnParkedCall => self.unparked(event, now, out),
            Kind::ParkedCallTimeOut => self.park_timed_out(event, now, out),
            Kind::ParkedCallGiveUp => self.park_given_up(event),
            Kind::ChanSpyStart => self.spies(event, now, out),
            _ => {
                let Some(number) = self.number(event.get(Key::Uniqueid)) else { return false };
                self.note(number, event, now);
                match event.kind {
                    Kind::Newstate => self.new_state(number, event, now, out),
                    Kind::Newexten => self.executes(number, event, now, out),
                    Kind::Hangup => self.hung_up(number, event, now, out),
                    Kind::HangupRequest => self.asks_to_hang_up(number, event),
                    Kind::BridgeEnter => self.bridge_entered(number, event, now, out),
                    Kind::BridgeLeave => self.bridge_left(number),
                    Kind::Pickup => self.picks_up(number, event, now, out),
                    Kind::Hold => self.holds(number, now, out),
                    Kind::Unhold => self.resumes(number, now),
                    Kind::AgentConnect => self.agent_connected(number),
                    Kind::QueueCallerJoin | Kind::QueueEntry => self.queue_entered(number, event, now, out),
                    Kind::QueueCallerLeave => self.queue_left(number, now, out),
                    Kind::ConfbridgeJoin => self.conference_entered(number, event, now, out),
                    Kind::ConfbridgeMute => self.told(number, SignalKind::Muted(true), now, out),
                    Kind::ConfbridgeUnmute => self.told(number, SignalKind::Muted(false), now, out),
                    Kind::MixMonitorStart => self.recording(number, true, true, now, out),
                    Kind::MixMonitorStop => self.recording_ends(number, now, out),
                    Kind::MixMonitorMute => {
                        self.recording(number, event.get(Key::State) != b"1", false, now, out);
                    }
                    Kind::FAXStatus => self.fax_goes_on(number, event, now, out),
                    Kind::VarSet => self.variable_set(number, event, now, out),
                    Kind::DTMFEnd => self.dials_digit(number, now, out),
                    _ => {}
                }
                true
            }
        }
    }

    /// The channel with a `Uniqueid`.
    pub(super) fn number(&self, uniqueid: &[u8]) -> Option<Number> {
        self.by_uniqueid.get(uniqueid).copied()
    }

    /// The channel of a leg, as who acts on it names it.
    pub(super) fn channel(&self, leg: LegId) -> Option<ChannelView> {
        let channel = self.channels.get(&leg.number())?;
        if channel.hung_up.is_some() || channel.leg == Leg::Ended || channel.endpoint().is_none() {
            return None;
        }
        let is_up = channel.is_answered();
        let talks_with =
            channel.peer.filter(|_| channel.bridge.is_some()).and_then(|peer| self.in_front(peer));
        let called_by = match channel.called_by {
            Some(Calling::Channel(caller)) => self.in_front(caller),
            _ => None,
        };
        let called = channel.called.and_then(|called| self.in_front(called));
        let peer = if is_up { talks_with } else { called_by.or(called) };
        let peer = peer.filter(|&peer| peer != leg.number()).and_then(|peer| self.channels.get(&peer));
        let name = |channel: &Channel| String::from_utf8_lossy(&channel.uniqueid).into_owned();
        Some(ChannelView { id: name(channel), peer: peer.map(name), is_up })
    }

    /// Takes what the manager was asked for, or has taken, where no event tells of it.
    fn is_acted_on(&mut self, message: &Message<'_>, now: Moment, out: &mut Vec<Signal>) {
        let mark = message.value("ActionID").and_then(action::read_id).map(|(_, mark)| mark);
        match mark {
            Some(Mark::Forwards(own)) => {
                if let Some(own) = self.number(own.as_bytes()) {
                    let to = message.value("Exten").and_then(text::text).unwrap_or_else(|| Arc::from(""));
                    self.is_sent_elsewhere(own, to, now, out);
                }
            }
            Some(Mark::Mutes(own, muted)) => {
                if let Some(own) = self.number(own.as_bytes()) {
                    self.told(own, SignalKind::Muted(muted), now, out);
                }
            }
            Some(Mark::Rejects(own)) => {
                if let Some(own) = self.number(own.as_bytes()) {
                    self.is_rejected(own, now, out);
                }
            }
            Some(Mark::Joins(own, other)) => {
                let both = self.number(own.as_bytes()).zip(self.number(other.as_bytes()));
                if let Some((first, second)) = both {
                    self.are_joined(first, second, now, out);
                }
            }
            Some(Mark::Plain) | None => {}
        }
    }

    /// The leg of a channel.
    pub(super) fn leg(&self, number: Number) -> LegId {
        LegId::new(self.source, number)
    }

    /// A leg for somebody who has no channel.
    pub(super) fn next_leg(&mut self) -> LegId {
        self.next_number += 1;
        LegId::new(self.source, self.next_number - 1)
    }

    pub(super) fn signal(&self, leg: LegId, kind: SignalKind, moment: Moment) -> Signal {
        Signal { at: moment.at, account: self.account, account_given: false, leg, input: moment.input, kind }
    }

    /// Tells something of a channel whose leg was told.
    pub(super) fn told(&mut self, number: Number, kind: SignalKind, now: Moment, out: &mut Vec<Signal>) {
        self.ensure_told(number, out);
        if self.channels.get(&number).is_some_and(Channel::is_told) {
            out.push(self.signal(self.leg(number), kind, now));
        }
    }

    /// Begins to follow a channel; none if it leads to nobody or there are too many.
    pub(super) fn insert(&mut self, channel: Channel) -> Option<Number> {
        if channel.uniqueid.is_empty() || channel.uniqueid.len() > ID_BYTES_MAX {
            return None;
        }
        if self.channels.len() >= CHANNELS_MAX {
            self.counters.channels_refused += 1;
            return None;
        }
        let number = self.next_number;
        self.next_number += 1;
        self.by_uniqueid.insert(channel.uniqueid.clone(), number);
        if let ChannelKind::Local { pipe, second } = &channel.kind {
            self.pipes.entry(pipe.clone()).or_default()[usize::from(*second)] = Some(number);
        }
        self.waits.check(number, channel.begun.at);
        self.channels.insert(number, channel);
        Some(number)
    }

    /// Forgets a channel.
    pub(super) fn forget(&mut self, number: Number) {
        let Some(channel) = self.channels.remove(&number) else { return };
        self.by_uniqueid.remove(&channel.uniqueid);
        if let ChannelKind::Local { pipe, second } = &channel.kind
            && let Some(ends) = self.pipes.get_mut(pipe)
        {
            ends[usize::from(*second)] = None;
            if *ends == [None, None] {
                self.pipes.remove(pipe);
            }
        }
        self.leave_bridge(number, channel.bridge.as_deref());
        self.parked.retain(|parked| parked.parkee != number);
    }

    pub(super) fn leave_bridge(&mut self, number: Number, bridge: Option<&[u8]>) {
        if let Some(bridge) = bridge
            && let Some(members) = self.bridges.get_mut(bridge)
        {
            members.retain(|&member| member != number);
            if members.is_empty() {
                self.bridges.remove(bridge);
            }
        }
    }

    /// The other end of a pipe.
    pub(super) fn other_end(&self, number: Number) -> Option<Number> {
        match &self.channels.get(&number)?.kind {
            ChannelKind::Local { pipe, second } => self.pipes.get(pipe)?[usize::from(!second)],
            ChannelKind::Endpoint { .. } => None,
        }
    }

    /// On whose behalf a channel calls: itself, or who is at the far end of the pipes that it belongs to.
    /// `diverted_by` is set to who sent the call into one of them.
    pub(super) fn behind(&self, mut number: Number, diverted_by: &mut Option<Arc<str>>) -> Option<Calling> {
        for _ in 0..PIPES_MAX {
            let channel = self.channels.get(&number)?;
            let ChannelKind::Local { second, .. } = channel.kind else {
                return Some(Calling::Channel(number));
            };
            let other = self.other_end(number)?;
            if second {
                // The dialplan runs here, for who has called the first end.
                let first = self.channels.get(&other)?;
                if diverted_by.is_none() {
                    diverted_by.clone_from(&first.diverted_by);
                }
                number = match first.called_by {
                    Some(Calling::Channel(caller)) => caller,
                    Some(switch) => return Some(switch),
                    None => return self.owner(number).map(Calling::Channel),
                };
            } else {
                // The first end calls, for whom the second has called.
                number = self.channels.get(&other)?.called?;
            }
        }
        None
    }

    /// The phone or trunk in front of a channel: itself, or who is at the far end of the pipes that it belongs to.
    pub(super) fn in_front(&self, number: Number) -> Option<Number> {
        match self.behind(number, &mut None)? {
            Calling::Channel(number) => Some(number),
            Calling::Switch(_) => None,
        }
    }

    /// Returns who has a pipe that nobody is known to have called: a channel of the same call, with the number
    /// that the pipe shows if there is one.
    fn owner(&self, pipe: Number) -> Option<Number> {
        let pipe = self.channels.get(&pipe)?;
        let oldest = self.number(&pipe.linkedid)?;
        let channel = |number: Number| {
            self.channels.get(&number).filter(|channel| channel.endpoint().is_some() && channel.is_told())
        };
        let peer = channel(oldest).and_then(|channel| channel.peer);
        let mut numbers = [Some(oldest), peer].into_iter().flatten();
        let shown = numbers.find(|&number| {
            channel(number).is_some_and(|channel| channel.caller.number == pipe.caller.number)
        });
        shown.or(Some(oldest).filter(|&oldest| channel(oldest).is_some()))
    }

    /// A variable names a SIP Call-ID: that of whom the channel talks with, or its own.
    fn variable_set(&mut self, number: Number, event: &Event<'_>, now: Moment, out: &mut Vec<Signal>) {
        let value = event.get(Key::Value);
        if event.get(Key::Variable) == b"VM_MESSAGEFILE" {
            self.message_was_left(number, value, now, out);
            return;
        }
        let whose = match event.get(Key::Variable) {
            b"BRIDGEPVTCALLID" => self.channels.get(&number).and_then(|channel| channel.peer),
            b"SIPCALLID" | b"__SIPCALLID" | b"_SIPCALLID" => Some(number),
            _ => None,
        };
        let Some(whose) = whose.filter(|_| !value.is_empty() && value.len() <= ID_BYTES_MAX) else { return };
        // Who is called inherits the variables of who calls.
        let oldest = self.channels.get(&whose).and_then(|channel| self.number(&channel.linkedid));
        let is_inherited = oldest.filter(|&oldest| oldest != whose).is_some_and(|oldest| {
            self.channels.get(&oldest).is_some_and(|oldest| oldest.call_id.as_deref() == Some(value))
        });
        if let Some(channel) = self.channels.get_mut(&whose)
            && channel.endpoint().is_some()
            && channel.call_id.is_none()
            && !is_inherited
        {
            channel.call_id = Some(value.into());
            if channel.is_told() {
                self.tell_call_id(whose, now, out);
            }
        }
    }

    /// Tells the SIP Call-ID of a channel, if it is known.
    pub(super) fn tell_call_id(&mut self, number: Number, now: Moment, out: &mut Vec<Signal>) {
        if let Some(id) = self.channels.get(&number).and_then(|channel| channel.call_id.clone()) {
            out.push(self.signal(self.leg(number), SignalKind::Named(Alias::CallId(id)), now));
        }
    }

    /// Notes what every event says of its channel.
    pub(super) fn note(&mut self, number: Number, event: &Event<'_>, now: Moment) {
        if let Some(channel) = self.channels.get_mut(&number) {
            channel.last_seen = now.at;
            // A pipe shows whom it calls for, and a line who calls, some time after its beginning.
            let is_calling = channel.leg == Leg::Untold && event.get(Key::ChannelState) == b"4";
            if channel.caller.number.is_none() && (channel.endpoint().is_none() || is_calling) {
                let number = text::number(event.get(Key::CallerIDNum));
                channel.caller.withheld |= number.as_deref().is_some_and(text::is_withheld);
                channel.caller.number = number.filter(|_| !channel.caller.withheld);
                if is_calling && channel.caller.name.is_none() && !channel.caller.withheld {
                    channel.caller.name = text::name(event.get(Key::CallerIDName));
                }
            }
            let linkedid = event.get(Key::Linkedid);
            if !linkedid.is_empty() && *channel.linkedid != *linkedid && linkedid.len() <= ID_BYTES_MAX {
                channel.linkedid = linkedid.into();
            }
        }
    }

    /// Lets something wait for its explanation.
    pub(super) fn wait(&mut self, waiting: Waiting, now: Moment) {
        self.waits.wait_behind_all(now.at + EXPLANATION_WAIT, waiting);
    }

    fn tell_waiting(&mut self, waiting: Waiting, out: &mut Vec<Signal>) {
        match waiting {
            Waiting::Call(number) => self.ensure_told(number, out),
            Waiting::End(number) => self.end_with_peer(number, out),
            Waiting::Resumed(number, moment) => self.tell_resumed(number, moment, out),
        }
    }
}
