//! Channels meet, and calls are moved: held, transferred, parked, picked up.

use std::sync::Arc;
use std::time::Duration;

use hookswitch_model::{Cause, LegId, LegRelation, Signal, SignalKind, Transfer};
use serde::{Deserialize, Serialize};

use super::channel::{Calling, Channel, Leg, Moment, Number, State};
use super::message::{Event, Key};
use super::text;
use super::tracker::{AmiTracker, Waiting};

/// A hold that comes so soon after a key was pressed is Asterisk's own: a feature code asks for a number.
const FEATURE_SPAN: Duration = Duration::from_millis(300);

/// The most calls that are parked at once; further ones are parked without a place to fetch them from.
const PARKED_MAX: usize = 10_000;

/// A call that is parked.
#[derive(Serialize, Deserialize)]
pub(super) struct Parked {
    pub(super) parkee: Number,
    /// The leg of who has parked it.
    pub(super) parker: LegId,
    pub(super) lot: Box<[u8]>,
    pub(super) slot: Box<[u8]>,
}

impl AmiTracker {
    pub(super) fn bridge_entered(
        &mut self,
        number: Number,
        event: &Event<'_>,
        now: Moment,
        out: &mut Vec<Signal>,
    ) {
        self.accepts(number, now, out);
        self.pipe_accepts(number, now, out);
        let bridge = event.get(Key::BridgeUniqueid);
        let swapped = self.number(event.get(Key::SwapUniqueid)).filter(|&swapped| swapped != number);
        if let Some(swapped) = swapped {
            self.takes_place(number, swapped, out);
            self.stands_for(number, swapped);
        }
        let before = self.channels.get(&number).and_then(|channel| channel.bridge.clone());
        self.leave_bridge(number, before.as_deref());
        if bridge.is_empty() {
            return;
        }
        let members = self.bridges.entry(bridge.into()).or_default();
        let others: Vec<Number> = members.iter().copied().filter(|&other| Some(other) != swapped).collect();
        members.push(number);
        if let Some(channel) = self.channels.get_mut(&number) {
            channel.bridge = Some(bridge.into());
            channel.left = None;
        }
        if event.get(Key::BridgeType) == b"basic" {
            for other in others {
                self.meet(number, other);
            }
        }
    }

    /// Two channels talk with each other.
    fn meet(&mut self, one: Number, other: Number) {
        for (own, peer) in [(one, other), (other, one)] {
            if let Some(channel) = self.channels.get_mut(&own) {
                channel.peer = Some(peer);
            }
        }
    }

    /// A channel of which nothing was told takes the place of another: an INVITE with Replaces.
    fn takes_place(&mut self, number: Number, swapped: Number, out: &mut Vec<Signal>) {
        let is_new = |new: &Channel| new.leg == Leg::Untold && new.endpoint().is_some();
        if !self.channels.get(&number).is_some_and(is_new) {
            return;
        }
        let Some(old) = self.channels.get_mut(&swapped).filter(|old| old.is_told()) else { return };
        old.moved = true;
        self.tell_call(number, Some(LegRelation::Replaces(LegId::new(self.source, swapped))), out);
    }

    /// A channel comes into a bridge in the place of an end of a pipe, which is taken out of the call: who has
    /// called that end has called the channel, and whom it has called the channel has.
    fn stands_for(&mut self, number: Number, swapped: Number) {
        let Some(end) = self.channels.get(&swapped).filter(|end| end.endpoint().is_none()) else { return };
        let (called_by, called) = (end.called_by, end.called);
        if let Some(Calling::Channel(caller)) = called_by
            && let Some(caller) =
                self.channels.get_mut(&caller).filter(|caller| caller.called == Some(swapped))
        {
            caller.called = Some(number);
        }
        if let Some(target) = called.filter(|&target| target != number)
            && let Some(target) = self.channels.get_mut(&target)
            && target.called_by == Some(Calling::Channel(swapped))
        {
            target.called_by = Some(Calling::Channel(number));
        }
    }

    pub(super) fn bridge_left(&mut self, number: Number) {
        self.begins_to_leave(number);
        let bridge = self.channels.get_mut(&number).and_then(|channel| channel.bridge.take());
        self.leave_bridge(number, bridge.as_deref());
    }

    pub(super) fn holds(&mut self, number: Number, now: Moment, out: &mut Vec<Signal>) {
        let resumed = self.waits.find(|waiting| matches!(waiting, Waiting::Resumed(of, _) if *of == number));
        if let Some(Waiting::Resumed(_, moment)) = resumed {
            self.waits.forget(|waiting| matches!(waiting, Waiting::Resumed(of, _) if *of == number));
            self.tell_resumed(number, moment, out);
        }
        // What the half of a pipe does is done by who is in front of it.
        let number = self.in_front(number).unwrap_or(number);
        let Some(channel) = self.channels.get_mut(&number) else { return };
        if channel.digit.is_some_and(|digit| now.at.since(digit) <= FEATURE_SPAN) {
            return;
        }
        channel.holds = true;
        self.told(number, SignalKind::Held, now, out);
    }

    /// A channel takes its call back, or is about to be transferred: Asterisk says so for each transfer.
    pub(super) fn resumes(&mut self, number: Number, now: Moment) {
        let number = self.in_front(number).unwrap_or(number);
        if self.channels.get(&number).is_some_and(|channel| channel.holds && !channel.moved) {
            self.wait(Waiting::Resumed(number, now), now);
        }
    }

    pub(super) fn tell_resumed(&mut self, number: Number, moment: Moment, out: &mut Vec<Signal>) {
        if let Some(channel) = self.channels.get_mut(&number).filter(|channel| !channel.moved) {
            channel.holds = false;
            self.told(number, SignalKind::Resumed, moment, out);
        }
    }

    /// Notes that the call of a channel was moved; what its end means is known.
    fn is_moved(&mut self, number: Number) {
        self.waits.forget(|waiting| matches!(waiting, Waiting::Resumed(of, _) if *of == number));
        if let Some(channel) = self.channels.get_mut(&number) {
            channel.moved = true;
        }
    }

    /// The call that rings on a channel is sent to a number, because somebody has asked for that.
    pub(super) fn is_sent_elsewhere(
        &mut self,
        number: Number,
        to: Arc<str>,
        now: Moment,
        out: &mut Vec<Signal>,
    ) {
        let transfer = Transfer { to, to_host: None, consulted: None, by_code: false };
        self.told(number, SignalKind::TransferAsked(Box::new(transfer)), now, out);
        self.is_moved(number);
    }

    /// The call that rings on a channel was declined, because somebody has asked for that.
    pub(super) fn is_rejected(&mut self, number: Number, now: Moment, out: &mut Vec<Signal>) {
        let Some(channel) = self.channels.get(&number).filter(|channel| channel.leg == Leg::Called) else {
            return;
        };
        if !channel.is_answered() {
            self.told(number, SignalKind::Ended(Cause::Rejected), now, out);
            if let Some(channel) = self.channels.get_mut(&number) {
                channel.leg = Leg::Ended;
            }
        }
    }

    /// The far ends of the calls of two channels were joined, because somebody has asked for that.
    pub(super) fn are_joined(&mut self, first: Number, second: Number, now: Moment, out: &mut Vec<Signal>) {
        let transfer =
            Transfer { to: Arc::from(""), to_host: None, consulted: Some(self.leg(second)), by_code: false };
        self.told(first, SignalKind::TransferAsked(Box::new(transfer)), now, out);
        self.told(first, SignalKind::TransferDone { succeeded: true }, now, out);
        for mover in [first, second] {
            self.is_moved(mover);
            if self.channels.get(&mover).is_some_and(|mover| mover.hung_up.is_some()) {
                self.end(mover, out);
            }
        }
    }

    pub(super) fn blind_transfer(&mut self, event: &Event<'_>, now: Moment, out: &mut Vec<Signal>) -> bool {
        let Some(mover) = self.number(event.get(Key::TransfererUniqueid)) else { return false };
        let leg = self.leg(mover);
        let parks = self.parked.iter().any(|parked| parked.parker == leg);
        if event.get(Key::Result) != b"Success" || parks {
            return true;
        }
        let to = text::text(event.get(Key::Extension)).unwrap_or_else(|| Arc::from(""));
        let by_code = event.get(Key::IsExternal).eq_ignore_ascii_case(b"no");
        let transfer = Transfer { to, to_host: None, consulted: None, by_code };
        self.told(mover, SignalKind::TransferAsked(Box::new(transfer)), now, out);
        self.is_moved(mover);
        true
    }

    pub(super) fn attended_transfer(
        &mut self,
        event: &Event<'_>,
        now: Moment,
        out: &mut Vec<Signal>,
    ) -> bool {
        let first = self.number(event.get(Key::OrigTransfererUniqueid));
        let second = self.number(event.get(Key::SecondTransfererUniqueid));
        let Some((first, second)) = first.zip(second) else { return false };
        // Who brings all three together stays in the call.
        if event.get(Key::Result) != b"Success" || event.get(Key::DestType) == b"Threeway" {
            return true;
        }
        let is_two = first != second;
        let dialled = self.channels.get(&second).and_then(|channel| {
            let target = channel.called.and_then(|target| self.channels.get(&target));
            target.and_then(|target| target.endpoint().cloned()).or_else(|| channel.dialled.clone())
        });
        let transfer = Transfer {
            to: dialled.unwrap_or_else(|| Arc::from("")),
            to_host: None,
            consulted: is_two.then(|| self.leg(second)),
            by_code: !is_two,
        };
        if !is_two {
            self.may_be_recalled(first, event);
        }
        self.told(first, SignalKind::TransferAsked(Box::new(transfer)), now, out);
        if is_two {
            self.told(first, SignalKind::TransferDone { succeeded: true }, now, out);
        }
        for mover in [first, second] {
            self.is_moved(mover);
            if self.channels.get(&mover).is_some_and(|mover| mover.hung_up.is_some()) {
                self.end(mover, out);
            }
        }
        true
    }

    /// Notes whom Asterisk may call again for a channel that was transferred by a code while the target still rang:
    /// who has transferred it, and then the target.
    fn may_be_recalled(&mut self, mover: Number, event: &Event<'_>) {
        let target = self.number(event.get(Key::TransferTargetUniqueid));
        let target = target.and_then(|target| self.in_front(target));
        let endpoints: Vec<Arc<str>> = [Some(mover), target]
            .into_iter()
            .flatten()
            .filter_map(|number| self.channels.get(&number)?.endpoint().cloned())
            .collect();
        if let Some(transferee) = self.number(event.get(Key::TransfereeUniqueid))
            && let Some(transferee) = self.channels.get_mut(&transferee)
        {
            transferee.recalls = endpoints;
        }
    }

    /// For whom Asterisk calls somebody again after a transfer: who waits alone in a bridge for that. Who is called
    /// again comes with a call of its own (`Linkedid`), and nothing says before the answer where it leads.
    pub(super) fn recalled_for(&self, target: Number) -> Option<Number> {
        let endpoint = self.channels.get(&target)?.endpoint()?;
        let waits = |number: &Number| {
            self.channels.get(number).is_some_and(|channel| {
                channel.recalls.contains(endpoint) && channel.is_answered() && channel.hung_up.is_none()
            })
        };
        #[expect(clippy::disallowed_methods, reason = "the least is the same in any order")]
        let mut alone = self.bridges.values().filter_map(|members| match members[..] {
            [number] => Some(number),
            _ => None,
        });
        alone.by_ref().filter(waits).min()
    }

    pub(super) fn parked(&mut self, event: &Event<'_>, now: Moment, out: &mut Vec<Signal>) -> bool {
        let Some(parkee) = self.number(event.get(Key::ParkeeUniqueid)) else { return false };
        let slot = event.get(Key::ParkingSpace);
        if self.parked.iter().any(|parked| parked.parkee == parkee) {
            return true;
        }
        let Some(parker) = self.parker(parkee, event.get(Key::ParkerDialString)) else { return true };
        let kind = SignalKind::Parked { slot: text::text(slot) };
        self.told(parker, kind, now, out);
        self.is_moved(parker);
        if self.parked.len() < PARKED_MAX {
            let lot = event.get(Key::Parkinglot).into();
            let parker = self.leg(parker);
            self.parked.push(Parked { parkee, parker, lot, slot: slot.into() });
        }
        true
    }

    /// Returns who has parked a call: who talked with it, through pipes too. The dial string may name the parked
    /// one itself.
    fn parker(&self, parkee: Number, dial: &[u8]) -> Option<Number> {
        let channel = self.channels.get(&parkee)?;
        let peer = channel.peer.and_then(|peer| self.real(peer));
        let dial = text::lossy(dial);
        let endpoint = dial.rsplit_once('/').map_or(&*dial, |(_, name)| name);
        let named = |number: &Number| {
            self.channels
                .get(number)
                .is_some_and(|channel| channel.endpoint().is_some_and(|name| **name == *endpoint))
        };
        let called = channel.called.and_then(|called| self.real(called));
        let candidates = [peer, called].into_iter().flatten();
        candidates.filter(|&number| number != parkee).find(named).or(peer.filter(|&peer| peer != parkee))
    }

    /// The phone or trunk that talks at the far end of a pipe.
    fn real(&self, number: Number) -> Option<Number> {
        let channel = self.channels.get(&number)?;
        if channel.endpoint().is_some() {
            return Some(number);
        }
        let other = self.channels.get(&self.other_end(number)?)?;
        let peer = other.peer?;
        self.channels.get(&peer)?.endpoint().map(|_| peer)
    }

    pub(super) fn unparked(&mut self, event: &Event<'_>, now: Moment, out: &mut Vec<Signal>) -> bool {
        let Some(parkee) = self.number(event.get(Key::ParkeeUniqueid)) else { return false };
        let retriever = self.number(event.get(Key::RetrieverUniqueid));
        let Some(place) = self.parked.iter().position(|parked| parked.parkee == parkee) else { return true };
        let parked = self.parked.remove(place);
        if let Some(retriever) = retriever {
            self.fetches(retriever, parked.parker, now, out);
        }
        true
    }

    /// A channel is about to fetch a parked call: `AppData` names the lot and the slot, or neither.
    pub(super) fn wants_parked(&mut self, number: Number, data: &[u8], now: Moment, out: &mut Vec<Signal>) {
        let (lot, slot) = match memchr::memchr(b',', data) {
            Some(comma) => (&data[..comma], &data[comma + 1..]),
            None => (data, &[][..]),
        };
        // Without a comma, older versions mean the slot.
        let is_meant = |parked: &&Parked| match (lot, slot) {
            (b"", b"") => true,
            (lot, b"") => *parked.lot == *lot || *parked.slot == *lot,
            (b"", slot) => *parked.slot == *slot,
            (lot, slot) => *parked.lot == *lot && *parked.slot == *slot,
        };
        if let Some(parker) = self.parked.iter().find(is_meant).map(|parked| parked.parker) {
            self.fetches(number, parker, now, out);
        }
    }

    fn fetches(&mut self, retriever: Number, parker: LegId, now: Moment, out: &mut Vec<Signal>) {
        self.ensure_told(retriever, out);
        if self.channels.get(&retriever).is_some_and(Channel::is_told) {
            let by = self.leg(retriever);
            out.push(self.signal(parker, SignalKind::Retrieved { by }, now));
        }
    }

    pub(super) fn park_timed_out(&mut self, event: &Event<'_>, now: Moment, out: &mut Vec<Signal>) -> bool {
        let Some(parkee) = self.number(event.get(Key::ParkeeUniqueid)) else { return false };
        if let Some(place) = self.parked.iter().position(|parked| parked.parkee == parkee) {
            let parked = self.parked.remove(place);
            out.push(self.signal(parked.parker, SignalKind::ParkRanOut, now));
        }
        true
    }

    pub(super) fn park_given_up(&mut self, event: &Event<'_>) -> bool {
        let Some(parkee) = self.number(event.get(Key::ParkeeUniqueid)) else { return false };
        self.parked.retain(|parked| parked.parkee != parkee);
        true
    }

    pub(super) fn picks_up(&mut self, taker: Number, event: &Event<'_>, now: Moment, out: &mut Vec<Signal>) {
        let Some(target) = self.number(event.get(Key::TargetUniqueid)) else { return };
        let target = self.real(target).unwrap_or(target);
        self.takes_call(taker, target, now, out);
    }

    /// A channel that was not offered a call takes it from one that rings.
    pub(super) fn takes_call(&mut self, taker: Number, target: Number, now: Moment, out: &mut Vec<Signal>) {
        if !self.channels.get(&target).is_some_and(|target| target.leg == Leg::Called) {
            return;
        }
        let (target_leg, by) = (self.leg(target), self.leg(taker));
        let untold = self.channels.get(&taker).is_some_and(|taker| taker.leg == Leg::Untold);
        if untold {
            // It has no dialplan of its own: an INVITE with Replaces.
            if let Some(taker) = self.channels.get_mut(&taker)
                && taker.state == State::Down
            {
                taker.state = State::Calls;
            }
            self.tell_call(taker, Some(LegRelation::Replaces(target_leg)), out);
        } else {
            out.push(self.signal(target_leg, SignalKind::PickedUp { by }, now));
        }
        self.is_moved(target);
        if self.channels.get(&target).is_some_and(|target| target.hung_up.is_some()) {
            self.end(target, out);
        }
    }
}
