//! Channels meet, and calls are moved: held, transferred, parked, picked up.

use std::sync::Arc;
use std::time::Duration;

use hookswitch_model::{Cause, LegId, LegRelation, Signal, SignalKind, Transfer};
use serde::{Deserialize, Serialize};

use super::channel::{Calling, Channel, Consultation, Joins, Leg, Moment, Number, is_same_domain};
use super::message::{Event, Key};
use super::tracker::{EslTracker, Waiting};
use crate::switch::{ID_BYTES_MAX, text};

/// Time for which a channel must stay parked to count as such: commands and transfers park for an instant too.
const PARK_WAIT: Duration = Duration::from_millis(200);

/// The most calls that are parked at once; further ones are parked without a place to fetch them from.
const PARKED_MAX: usize = 10_000;

/// A call that is parked.
#[derive(Serialize, Deserialize)]
pub(super) struct Parked {
    pub(super) parkee: Number,
    /// The leg of who has parked it.
    pub(super) parker: LegId,
    /// Where, if that is known.
    pub(super) slot: Option<Arc<str>>,
    /// It was taken, or about to be.
    pub(super) taken: bool,
}

impl EslTracker {
    pub(super) fn bridged(&mut self, event: &Event<'_>, now: Moment, out: &mut Vec<Signal>) -> bool {
        let a = self.number(event.first([Key::BridgeA, Key::UniqueId]));
        let b = self.number(event.first([Key::BridgeB, Key::OtherLeg]));
        let Some((a, b)) = a.zip(b) else { return false };
        for (own, peer) in [(a, b), (b, a)] {
            self.is_confirmed(own, now, out);
            self.consultation_ends(own, peer);
            self.leaves_park(own, peer, now, out);
            self.waits.forget(|waiting| *waiting == Waiting::Park(own));
            if let Some(channel) = self.channels.get_mut(&own) {
                channel.last_seen = now.at;
                channel.listed = true;
                channel.peer = Some(peer);
                channel.sent = None;
                channel.to_be_parked = None;
                channel.enterprise = None;
                channel.taken_from = None;
                channel.picks = None;
                channel.left = channel.left.filter(|_| channel.hung_up.is_some());
            }
            self.tell_answer(own, out);
        }
        for own in [a, b] {
            self.found_called(own, now, out);
        }
        true
    }

    pub(super) fn holds(&mut self, number: Number, now: Moment, out: &mut Vec<Signal>) {
        self.stays_unheld(number, out);
        let Some(channel) = self.channels.get_mut(&number).filter(|channel| channel.hung_up.is_none()) else {
            return;
        };
        if !std::mem::replace(&mut channel.holds, true) {
            self.told(number, SignalKind::Held, now, out);
        }
    }

    /// A channel that is active again was taken off hold. FreeSWITCH says "unheld" before each hang-up and
    /// transfer as well, so that one which does not become active is believed only after a while.
    pub(super) fn state_changes(
        &mut self,
        number: Number,
        event: &Event<'_>,
        now: Moment,
        out: &mut Vec<Signal>,
    ) {
        match event.get(Key::CallState) {
            "ACTIVE" => self.resumes(number, now, out),
            // All that is said of a hold when the media bypass the switch, as in `bypass-media`.
            "HELD" => self.holds(number, now, out),
            "UNHELD" => self.is_unheld(number, now),
            _ => {}
        }
    }

    /// A channel is taken off hold, unless it is about to end or to be moved.
    fn is_unheld(&mut self, number: Number, now: Moment) {
        let Some(channel) = self.channels.get_mut(&number) else { return };
        if channel.holds && channel.hung_up.is_none() && channel.unheld.is_none() {
            channel.unheld = Some(now);
            self.wait(Waiting::Resume(number), now);
        }
    }

    /// Tells that a channel was taken off hold, once that is certain.
    pub(super) fn stays_unheld(&mut self, number: Number, out: &mut Vec<Signal>) {
        if let Some(moment) = self.channels.get(&number).and_then(|channel| channel.unheld) {
            self.resumes(number, moment, out);
        }
    }

    /// The holder of a channel takes its call off hold, if it was held.
    pub(super) fn resumes(&mut self, number: Number, now: Moment, out: &mut Vec<Signal>) {
        let Some(channel) = self.channels.get_mut(&number) else { return };
        if channel.unheld.take().is_some() {
            self.waits.forget(|waiting| *waiting == Waiting::Resume(number));
        }
        let resumes = channel.hung_up.is_none() && !channel.moved;
        if resumes && std::mem::take(&mut channel.holds) {
            self.told(number, SignalKind::Resumed, now, out);
        }
    }

    /// Tells that the holder of a channel asks for its call to be moved.
    pub(super) fn ask_to_move(
        &mut self,
        mover: Number,
        to: Arc<str>,
        by_code: bool,
        now: Moment,
        out: &mut Vec<Signal>,
    ) {
        let transfer = Transfer { to, to_host: None, consulted: None, by_code };
        self.told(mover, SignalKind::TransferAsked(Box::new(transfer)), now, out);
        if let Some(channel) = self.channels.get_mut(&mover) {
            channel.moved = true;
        }
    }

    /// A channel ends; its variables say whether its holder has moved the call.
    pub(super) fn asked_to_move(
        &mut self,
        number: Number,
        event: &Event<'_>,
        now: Moment,
        out: &mut Vec<Signal>,
    ) {
        let Some(channel) = self.channels.get(&number).filter(|channel| !channel.moved) else { return };
        let to = event.get(Key::TransferTo);
        let consulted = to.strip_prefix("att:").or_else(|| to.strip_prefix("satt:"));
        if let Some(far_end) = consulted {
            self.attended_transfer(number, far_end, now, out);
        } else if event.get(Key::EndpointDisposition) == "BLIND_TRANSFER" {
            let destination = event.get(Key::TransferDestination);
            let destination = destination.split_once(':').map_or(destination, |(_, number)| number);
            let moved = channel.peer.and_then(|peer| self.channels.get(&peer));
            let to = text(destination.as_bytes()).or_else(|| Some(moved?.dialled.clone()));
            if let Some(channel) = self.channels.get_mut(&number) {
                channel.transfers = Some(to.unwrap_or_else(|| Arc::from("")));
            }
        } else if let Some(consults) = &channel.consults
            && self.leaves_both(number, consults)
        {
            let to = consults.to.clone();
            self.ask_to_move(number, to, true, now, out);
        } else if to.is_empty() {
            self.joins_without_far_end(number, event.get(Key::TransferDisposition), now, out);
        }
    }

    /// Returns `true` if who leaves a consultation leaves the two others together: `att_xfer_result` says only that the
    /// target has answered, which may have gone since (`dtmf-consult-returned`).
    fn leaves_both(&self, number: Number, consults: &Consultation) -> bool {
        let goes_on = |other: &Channel| other.answered && other.hung_up.is_none();
        let waits = consults.waits.and_then(|waits| self.channels.get(&waits));
        let by_target = Some(Calling::Channel(number));
        #[expect(clippy::disallowed_methods, reason = "it is the same in any order")]
        let mut targets = self.channels.values().filter(|other| other.called_by == by_target);
        waits.is_some_and(goes_on) && targets.any(goes_on)
    }

    /// A consultation is over when who asked for it is connected with whom it has left waiting.
    fn consultation_ends(&mut self, own: Number, peer: Number) {
        if let Some(channel) = self.channels.get_mut(&own) {
            channel.consults.take_if(|consults| consults.waits == Some(peer));
        }
    }

    /// One side of an attended transfer whose other call has no far end, as that of a queue, ends: where the
    /// other side has ended too, the transfer is complete.
    fn joins_without_far_end(
        &mut self,
        number: Number,
        disposition: &str,
        now: Moment,
        out: &mut Vec<Signal>,
    ) {
        let (side, other_side) = match disposition {
            "recv_replace" => (Joins::Moves, Joins::Replaced),
            "replaced" => (Joins::Replaced, Joins::Moves),
            _ => return,
        };
        let is_other = |&other: &Number| {
            other != number
                && self.channels.get(&other).is_some_and(|channel| channel.joins == Some(other_side))
                && self.is_same_phone(other, number)
        };
        let other = self.in_order().into_iter().rfind(is_other);
        if let Some(channel) = self.channels.get_mut(&number) {
            channel.joins = Some(side);
        }
        let Some(other) = other else { return };
        let (first, second) = if side == Joins::Moves { (number, other) } else { (other, number) };
        self.joins_calls(first, second, now, out);
        self.end_with_peer(other, out);
    }

    /// The holder of a channel joins the far end of it with that of another call of its own.
    fn attended_transfer(&mut self, first: Number, far_end: &str, now: Moment, out: &mut Vec<Signal>) {
        let Some(second) = self.consultation(first, far_end) else { return };
        self.joins_calls(first, second, now, out);
    }

    /// The far end of a channel takes the place of another channel of the same holder.
    fn joins_calls(&mut self, first: Number, second: Number, now: Moment, out: &mut Vec<Signal>) {
        let dialled = self.channels[&second].first_dialled.clone();
        self.are_joined(first, second, dialled, now, out);
    }

    /// The far ends of two calls of one holder were joined.
    pub(super) fn are_joined(
        &mut self,
        first: Number,
        second: Number,
        dialled: Arc<str>,
        now: Moment,
        out: &mut Vec<Signal>,
    ) {
        let transfer =
            Transfer { to: dialled, to_host: None, consulted: Some(self.leg(second)), by_code: false };
        self.ensure_told(second, out);
        self.told(first, SignalKind::TransferAsked(Box::new(transfer)), now, out);
        self.told(first, SignalKind::TransferDone { succeeded: true }, now, out);
        for mover in [first, second] {
            if let Some(mover) = self.channels.get_mut(&mover) {
                mover.moved = true;
            }
        }
    }

    /// The other call of who holds a channel, whose far end is `far_end`, or which is itself named so.
    fn consultation(&self, first: Number, far_end: &str) -> Option<Number> {
        let is_holders = |&number: &Number| {
            number != first
                && self.channels.get(&number).is_some_and(Channel::is_told)
                && self.is_same_phone(number, first)
        };
        let named = self.number(far_end);
        let far = named.and_then(|far| self.channels.get(&far));
        let caller = far.and_then(|far| match far.called_by? {
            Calling::Channel(caller) => self.real(caller),
            Calling::Switch(_) => None,
        });
        let peer = far.and_then(|far| far.peer);
        if let Some(found) = [named, peer, caller].into_iter().flatten().find(is_holders) {
            return Some(found);
        }
        #[expect(clippy::disallowed_methods, reason = "the greatest is the same in any order")]
        let others = self.channels.keys().copied().filter(is_holders);
        // The call that it made last.
        others.max()
    }

    /// Returns `true` if the call of who talked with a channel was sent elsewhere by a command, so that this one is
    /// released by the switch.
    pub(super) fn was_sent_by_command(&self, number: Number) -> bool {
        let Some(channel) = self.channels.get(&number) else { return false };
        let Some((told, _)) = channel.hung_up else { return false };
        let Some(peer) = channel.peer.and_then(|peer| self.channels.get(&peer)) else { return false };
        !told.by_phone && !channel.moved && peer.hung_up.is_none() && peer.sent.is_some()
    }

    /// The dialplan, or the holder of a channel by a feature code, moves a call.
    pub(super) fn transfers(&mut self, number: Number, data: &str, now: Moment, out: &mut Vec<Signal>) {
        let mut words = data.split_ascii_whitespace();
        let whose = words.next().unwrap_or_default();
        if whose == "-bleg" || whose == "-both" {
            let to = text(words.next().unwrap_or_default().as_bytes()).unwrap_or_else(|| Arc::from(""));
            self.ask_to_move(number, to, true, now, out);
        }
    }

    pub(super) fn consults(&mut self, number: Number, data: &str) {
        let target = data.rsplit('/').next().unwrap_or(data);
        let target = target.split(['@', ',', '|']).next().unwrap_or_default();
        if let Some(channel) = self.channels.get_mut(&number)
            && let Some(to) = text(target.as_bytes())
        {
            channel.consults = Some(Consultation { to, waits: channel.peer });
        }
    }

    /// The holder of a channel takes the call of somebody who rings, or of its own other device.
    pub(super) fn intercepts(&mut self, taker: Number, data: &str, now: Moment, out: &mut Vec<Signal>) {
        let Some(named) = data.split_ascii_whitespace().find_map(|word| self.number(word)) else { return };
        let Some(target) = self.target_of(named, taker) else { return };
        self.takes(taker, target, now, out);
    }

    /// The holder of a channel takes the call of a group, which its own channel waits for.
    pub(super) fn picks_up(&mut self, taker: Number, data: &str, now: Moment, out: &mut Vec<Signal>) {
        let group = data.trim();
        // A group belongs to a domain, which need not be said.
        let (group, domain) = group.split_once('@').map_or((group, None), |(name, of)| (name, Some(of)));
        let domain = domain.or_else(|| self.channels.get(&taker)?.domain.as_deref()).map(str::to_owned);
        let is_groups = |number: &Number, of: &str| {
            let (name, of) = of.split_once('@').map_or((of, None), |(name, of)| (name, Some(of)));
            let caller = self.real(*number).and_then(|caller| self.channels.get(&caller));
            let of =
                of.or_else(|| caller?.domain.as_deref().filter(|_| caller.is_some_and(|it| it.is_users)));
            name == group && is_same_domain(of, domain.as_deref())
        };
        let waits = |number: &Number| {
            self.channels[number].name.strip_prefix("pickup/").is_some_and(|of| is_groups(number, of))
        };
        let was_taken = |number: &Number| {
            self.channels[number].taken_from.as_deref().is_some_and(|of| is_groups(number, of))
        };
        let place = self.in_order().into_iter().find(waits);
        let caller = place.and_then(|place| self.real(place));
        // The place is left as its call is taken, which may be told first.
        let caller = caller.or_else(|| self.in_order().into_iter().rfind(was_taken));
        if let Some(channel) = self.channels.get_mut(&taker) {
            let is_open = caller.is_none() && data.len() <= ID_BYTES_MAX;
            channel.picks = is_open.then(|| data.trim().into());
        }
        let Some(caller) = caller else { return };
        if let Some(channel) = self.channels.get_mut(&caller) {
            channel.taken_from = None;
        }
        if let Some(target) = self.target_of(caller, taker) {
            self.takes(taker, target, now, out);
        }
    }

    /// The call of a group was taken: by whom has said before that it takes one, if somebody has.
    pub(super) fn group_was_picked_up(&mut self, now: Moment, out: &mut Vec<Signal>) {
        for taker in self.in_order() {
            if let Some(group) = self.channels.get(&taker).and_then(|channel| channel.picks.clone()) {
                self.picks_up(taker, &group, now, out);
            }
        }
    }

    /// Returns who is to lose the call that a channel has: who talks with it if that is the taker's own other
    /// device, else who rings for it, first of all whom the taker has dialled.
    fn target_of(&self, named: Number, taker: Number) -> Option<Number> {
        let channel = self.channels.get(&named)?;
        if channel.leg == Leg::Called && !channel.answered {
            return Some(named);
        }
        let peer = channel.peer.filter(|&peer| self.channels.get(&peer).is_some_and(Channel::is_live));
        if let Some(talking) = [peer, Some(named)].into_iter().flatten().find(|&number| {
            self.channels[&number].answered && peer.is_some() && self.is_same_phone(number, taker)
        }) {
            return Some(talking);
        }
        let dialled = &self.channels.get(&taker)?.first_dialled;
        let mut ringing: Vec<Number> = Vec::new();
        #[expect(clippy::iter_over_hash_type, reason = "they are sorted")]
        for (&number, target) in &self.channels {
            let caller = match target.called_by {
                Some(Calling::Channel(caller)) => self.real(caller),
                _ => None,
            };
            if caller == Some(named)
                && target.leg == Leg::Called
                && !target.answered
                && target.hung_up.is_none_or(|(told, _)| told.unanswered == Cause::AnsweredElsewhere)
            {
                ringing.push(number);
            }
        }
        ringing.sort_unstable();
        let is_dialled =
            |number: &&Number| self.endpoint(**number).is_some_and(|endpoint| dialled.ends_with(&**endpoint));
        ringing.iter().find(is_dialled).or(ringing.first()).copied().or(peer)
    }

    fn takes(&mut self, taker: Number, target: Number, now: Moment, out: &mut Vec<Signal>) {
        let target_leg = self.leg(target);
        if self.channels.get(&taker).is_some_and(|taker| taker.leg == Leg::Untold) {
            self.tell_call(taker, Some(LegRelation::Replaces(target_leg)), out);
        } else {
            let by = self.leg(taker);
            out.push(self.signal(target_leg, SignalKind::PickedUp { by }, now));
        }
        let Some(channel) = self.channels.get_mut(&target) else { return };
        channel.moved = true;
        if channel.hung_up.is_some_and(|(told, _)| told.complete || !channel.answered) {
            self.end(target, out);
        }
    }

    /// A channel is about to be parked, or to fetch a call that is.
    pub(super) fn goes_to_park(&mut self, number: Number, now: Moment) {
        if let Some(channel) = self.channels.get_mut(&number) {
            channel.to_be_parked = Some(now);
        }
    }

    pub(super) fn valet(&mut self, number: Number, event: &Event<'_>, now: Moment, out: &mut Vec<Signal>) {
        match event.get(Key::Action) {
            "hold" => self.parked(number, text(event.get(Key::ValetExtension).as_bytes()), now, out),
            "bridge" => {
                if let Some(taker) = self.number(event.get(Key::BridgeTo)) {
                    self.leaves_park(number, taker, now, out);
                }
            }
            "exit" => self.park_ends(number, now, out),
            _ => {}
        }
    }

    /// A channel is to be parked by who it talks with, because somebody has asked for that.
    pub(super) fn is_to_be_parked(&mut self, parker: Number, parkee: Number, now: Moment) {
        if let Some(channel) = self.channels.get_mut(&parkee).filter(|channel| channel.peer == Some(parker)) {
            channel.to_be_parked = Some(now);
        }
    }

    /// A channel waits in a slot.
    pub(super) fn parked(
        &mut self,
        parkee: Number,
        slot: Option<Arc<str>>,
        now: Moment,
        out: &mut Vec<Signal>,
    ) {
        if let Some(parked) = self.parked.iter_mut().find(|parked| parked.parkee == parkee) {
            if slot.is_some() && parked.slot.is_none() {
                parked.slot.clone_from(&slot);
                let parker = parked.parker;
                out.push(self.signal(parker, SignalKind::Parked { slot }, now));
            }
            return;
        }
        self.ensure_told(parkee, out);
        let Some(channel) = self.channels.get_mut(&parkee) else { return };
        channel.to_be_parked = None;
        // Who talked with it has parked it; else it has parked itself.
        let peer = channel.peer.filter(|peer| {
            self.channels.get(peer).is_some_and(|peer| peer.is_told() && peer.peer == Some(parkee))
        });
        let parker = peer.unwrap_or(parkee);
        self.told(parker, SignalKind::Parked { slot: slot.clone() }, now, out);
        if self.parked.len() < PARKED_MAX {
            self.parked.push(Parked { parkee, parker: self.leg(parker), slot, taken: false });
        }
        if let Some(peer) = peer
            && let Some(channel) = self.channels.get_mut(&peer)
        {
            channel.moved = true;
            channel.transfers = None;
            if channel.hung_up.is_some() {
                self.end(peer, out);
            }
        }
    }

    /// Parks the call of one who has waited for its slot long enough.
    pub(super) fn parks_somewhere(&mut self, parker: Number, out: &mut Vec<Signal>) {
        let Some(channel) = self.channels.get(&parker) else { return };
        let (Some(parkee), Some((told, _))) = (channel.peer, channel.hung_up) else { return };
        let Some(other) = self.channels.get(&parkee) else { return };
        let waits = other.hung_up.is_none() && other.peer == Some(parker) && channel.answered;
        if let Some(since) = other.to_be_parked.filter(|_| waits && !told.is_lost()) {
            self.parked(parkee, None, since, out);
        }
    }

    /// Somebody fetches a parked call.
    fn leaves_park(&mut self, parkee: Number, taker: Number, now: Moment, out: &mut Vec<Signal>) {
        let Some(place) = self.parked.iter().position(|parked| parked.parkee == parkee) else { return };
        if std::mem::replace(&mut self.parked[place].taken, true) {
            return;
        }
        let parker = self.parked[place].parker;
        if parker == self.leg(parkee) {
            self.told(parkee, SignalKind::Resumed, now, out);
            return;
        }
        // What the taker has come for goes before their answer.
        let answer = self.channels.get_mut(&taker).and_then(|taker| taker.untold_answer.take());
        self.ensure_told(taker, out);
        if let Some(channel) = self.channels.get_mut(&taker) {
            channel.to_be_parked = None;
            channel.untold_answer = answer;
        }
        let by = self.leg(taker);
        out.push(self.signal(parker, SignalKind::Retrieved { by }, now));
        self.tell_answer(taker, out);
    }

    /// Returns `true` if somebody dials the slot of a call that waits there.
    pub(super) fn dials_slot(&self, number: Number) -> bool {
        let Some(channel) = self.channels.get(&number).filter(|channel| channel.calls) else { return false };
        // A prefix may stand before it: `*6003`, `park+*5901`.
        let dials = |slot: &str| {
            channel
                .dialled
                .strip_suffix(slot)
                .is_some_and(|before| !before.ends_with(|c: char| c.is_ascii_digit()))
        };
        let is_of_domain = |parkee: Number| {
            let of = self.channels.get(&parkee).filter(|parkee| parkee.is_users);
            is_same_domain(of.and_then(|of| of.domain.as_deref()), channel.domain.as_deref())
        };
        self.parked.iter().any(|parked| {
            !parked.taken && parked.slot.as_deref().is_some_and(dials) && is_of_domain(parked.parkee)
        })
    }

    /// A channel leaves its slot: it was fetched, gives up, or has waited too long.
    fn park_ends(&mut self, parkee: Number, now: Moment, out: &mut Vec<Signal>) {
        let Some(place) = self.parked.iter().position(|parked| parked.parkee == parkee) else { return };
        let parked = self.parked.remove(place);
        let gives_up = self.channels.get(&parkee).is_none_or(|channel| channel.hung_up.is_some());
        if !parked.taken && !gives_up {
            let kind =
                if parked.parker == self.leg(parkee) { SignalKind::Resumed } else { SignalKind::ParkRanOut };
            out.push(self.signal(parked.parker, kind, now));
        }
    }

    /// A channel that has talked is parked by a command.
    pub(super) fn parks(&mut self, number: Number, now: Moment) {
        let peer = self.channels.get(&number).and_then(|channel| channel.peer);
        // Where a transfer waits for its target, the switch parks too.
        if peer.and_then(|peer| self.channels.get(&peer)).is_none_or(|peer| peer.moved) {
            return;
        }
        let Some(channel) = self.channels.get_mut(&number) else { return };
        if channel.is_plumbing || channel.hung_up.is_some() {
            return;
        }
        channel.to_be_parked.get_or_insert(now);
        self.waits.wait_until(now.at + PARK_WAIT, Waiting::Park(number));
    }

    /// A channel that was parked for an instant goes on.
    pub(super) fn unparks(&mut self, number: Number) {
        self.waits.forget(|waiting| *waiting == Waiting::Park(number));
        if let Some(channel) = self.channels.get_mut(&number) {
            channel.to_be_parked = None;
        }
    }

    pub(super) fn stays_parked(&mut self, number: Number, out: &mut Vec<Signal>) {
        let Some(channel) = self.channels.get(&number).filter(|channel| channel.is_live()) else { return };
        if let Some(since) = channel.to_be_parked {
            self.parked(number, None, since, out);
        }
    }
}
