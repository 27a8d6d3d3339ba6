//! Fit of a call that a switch places to an open session.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hookswitch_model::{Direction, FarEnd, LegCreated, Timestamp};

use super::party::{PartyCertainty, PartyState};
use super::timer::Timer;
use super::{CALLER, CAUSE_WAIT, Leg, LegRole, Session};
use crate::number::{NumberKey, agree, ends_with, is_dialled, is_short};

/// How long after the caller's INVITE a leg may be joined when only the called number agrees.
const CALLEE_ONLY_WINDOW: Duration = Duration::from_secs(10);

/// How long after something happened to a call the switch places a leg because of it.
const STIR_SPAN: Duration = Duration::from_millis(100);

/// Time that a switch may take to place the first leg of a call.
const PLACE_MAX: Duration = Duration::from_secs(2);

/// Two legs to one target that are placed within this time lead to two phones behind one address; a
/// later one is another call's.
const FORK_SPAN: Duration = Duration::from_millis(50);

/// Fit of a new call to a session: what comes first weighs more than all that follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Fit {
    caller: CallerFit,
    /// No other leg of the session leads to this target yet.
    is_new_target: bool,
    /// The switch has just received the call, or something has just happened to it.
    pub(crate) is_expected: bool,
    pub(crate) callee: CalleeFit,
    /// The display names are the same.
    name: bool,
    /// How surely it comes from where the caller's leg arrived.
    host: u32,
}

/// Likeness of the caller of a new call and the caller of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum CallerFit {
    /// Nothing: the switch shows another number, as it does to a trunk.
    Differs,
    /// Both withhold their number.
    Withheld,
    /// The number that is shown ends with the extension of the caller, as direct numbers do.
    Ending,
    /// The number, or the extension that it leads to.
    Same,
}

/// Likeness of the callee of a new call and the number that the caller of a session dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum CalleeFit {
    Differs,
    /// The number that was dialled ends with it, as direct numbers end with extensions.
    Ending,
    /// The number, or the extension that it leads to; of the callee or of who diverted the call to it.
    Same,
}

impl Fit {
    /// Returns how well a new call fits a session; `None` if it cannot belong to it.
    pub(crate) fn of(session: &Session, leg: &LegCreated, at: Timestamp) -> Option<Self> {
        let caller = session.caller_fit(leg);
        let (own, diverted) = (session.callee_fit(leg), session.diverted_fit(leg));
        let callee = own.max(diverted);
        let is_diverted = diverted > own;
        let is_expected = session.expects_leg(at);
        let fits = match (caller, callee) {
            (CallerFit::Same, CalleeFit::Same) => true,
            (CallerFit::Same, _) => is_expected || !session.has_ringing_targets(at),
            // Who is called instead may be where the caller calls from, and is called when nobody answers.
            (_, CalleeFit::Same) if is_diverted => is_expected || !session.has_ringing_targets(at),
            (_, CalleeFit::Ending) if is_diverted => is_expected,
            // Who was called and calls back the switch begins a call.
            _ if session.comes_from(session.switch_address(leg.dst)) => false,
            (_, CalleeFit::Same) => at.since(session.started) <= CALLEE_ONLY_WINDOW,
            (CallerFit::Withheld, _) => true,
            _ => false,
        };
        if !fits || session.waits_for_retry() || (callee == CalleeFit::Differs && session.is_call_in(leg)) {
            return None;
        }
        let rings_since = session.rings_since(leg);
        if rings_since.is_some_and(|since| at.since(since) > FORK_SPAN) {
            return None; // a switch calls a phone once for a call
        }
        let host = session.goes_on_from(&session.sender(leg))?;
        let name = session.caller().name.is_some() && session.caller().name == leg.caller.name;
        Some(Self { caller, is_new_target: rings_since.is_none(), is_expected, callee, name, host })
    }

    /// Returns `true` if nothing but the caller's number agrees.
    pub(crate) fn is_by_caller_alone(self) -> bool {
        self.caller == CallerFit::Same && self.callee == CalleeFit::Differs
    }

    /// Returns `true` if no number of the call agrees, because it is withheld.
    pub(crate) fn is_without_number(self) -> bool {
        self.caller != CallerFit::Same && self.callee != CalleeFit::Same
    }
}

impl Session {
    fn caller_fit(&self, leg: &LegCreated) -> CallerFit {
        let Some(theirs) = leg.caller.number.as_deref() else {
            let both = self.withholds && leg.caller.withheld;
            return if both { CallerFit::Withheld } else { CallerFit::Differs };
        };
        let own = self.caller().phone_number.as_deref().or(self.hidden_number.as_deref());
        match own {
            Some(own) if agree(own, theirs) => CallerFit::Same,
            Some(own) if ends_with(theirs, own) => CallerFit::Ending,
            None if self.withholds && leg.caller.withheld => CallerFit::Withheld,
            _ => CallerFit::Differs,
        }
    }

    fn callee_fit(&self, leg: &LegCreated) -> CalleeFit {
        self.number_fit(&leg.callee, leg.callee_host.as_deref())
    }

    /// Returns what a number has in common with the one that was dialled.
    fn number_fit(&self, number: &Arc<str>, host: Option<&str>) -> CalleeFit {
        let dialled = &self.dialled;
        if agree(&dialled.number, number) {
            return CalleeFit::Same;
        }
        let listed = dialled
            .extension
            .is_some_and(|extension| self.account.resolve(number, host).extension == Some(extension));
        match (listed, ends_with(&dialled.number, number)) {
            (true, _) => CalleeFit::Same,
            (false, true) => CalleeFit::Ending,
            (false, false) => CalleeFit::Differs,
        }
    }

    /// Returns what those who sent a new call elsewhere have in common with the number that was dialled, or with a target
    /// that the call was offered to.
    fn diverted_fit(&self, leg: &LegCreated) -> CalleeFit {
        let of = |number: &Arc<str>| {
            let is_target = |state: &PartyState| {
                let to = &state.party.to;
                let numbers = [&to.phone_number, &to.sent_number];
                state.party.direction == Direction::Inbound
                    && numbers.into_iter().flatten().any(|own| agree(own, number))
            };
            if self.parties.others().any(is_target) { CalleeFit::Same } else { self.number_fit(number, None) }
        };
        let senders = [&leg.diverted_by, &leg.called_first];
        senders.into_iter().flatten().map(of).max().unwrap_or(CalleeFit::Differs)
    }

    /// Tests whether a new call from outside enters a phone system, for another subscriber than this call was for:
    /// who placed this one called a carrier, and the carrier calls somebody else.
    fn is_call_in(&self, leg: &LegCreated) -> bool {
        let is_subscriber = |number: &str| is_dialled(number) && !is_short(number);
        leg.far_end == FarEnd::Switch && is_subscriber(&leg.callee) && is_subscriber(&self.dialled.number)
    }

    /// Returns `true` if the last leg leads to a target in a call that the switch has placed, under another number than the
    /// one that was dialled.
    pub(crate) fn is_rewritten_target(&self, leg: &LegCreated) -> bool {
        leg.direction == Direction::Inbound
            && self.legs.last().is_some_and(|last| last.called && !last.of_party)
            && NumberKey::of(&leg.callee) != NumberKey::of(&self.dialled.number)
    }

    /// Returns `true` if caller and dialled number are those of a new call, and the call has just begun and does not ring at its
    /// target yet.
    pub(crate) fn has_both_numbers(&self, leg: &LegCreated, at: Timestamp) -> bool {
        at.since(self.started) <= PLACE_MAX
            && self.caller_fit(leg) == CallerFit::Same
            && self.callee_fit(leg) == CalleeFit::Same
            && self.rings_since(leg).is_none()
    }

    /// Returns `true` if a new call that has both numbers may go on from here though it leaves another address than the
    /// caller's leg had reached: the caller waits, it is the moment, and it is not the caller who calls.
    pub(crate) fn may_go_on_elsewhere(&self, leg: &LegCreated, at: Timestamp) -> bool {
        let caller = &self.parties[CALLER];
        let own = self.legs.iter().find(|leg| leg.role == LegRole::Party(CALLER));
        let (Some(own), Some(src)) = (own, self.switch_address(leg.src)) else { return false };
        // Where phones and switch share one address only the port tells them apart.
        let (Some(from), Some(reached)) = (own.sender.src, self.caller_reached()) else { return false };
        let one_address = from.ip() == reached.ip();
        let is_callers = |address: SocketAddr| {
            if one_address { address == from } else { address.ip() == from.ip() }
        };
        caller.is_live()
            && !caller.was_answered()
            && self.expects_leg(at)
            && !self.waits_for_retry()
            && ![Some(src), leg.sent_by, leg.dst].into_iter().flatten().any(is_callers)
            // What leaves where the caller's leg arrived was judged by that.
            && if one_address { src != reached } else { src.ip() != reached.ip() }
    }

    /// Returns where the caller's leg arrived.
    pub(crate) fn caller_reached(&self) -> Option<SocketAddr> {
        self.legs.iter().find(|leg| leg.called && leg.of_party).and_then(|leg| leg.dst)
    }

    /// Returns `true` if a new call that is charged as this one belongs to it: a number agrees, and the caller waits.
    pub(crate) fn is_charged_with(&self, leg: &LegCreated) -> bool {
        self.parties[CALLER].is_live()
            && !self.parties.others().any(PartyState::talks)
            && (self.caller_fit(leg) >= CallerFit::Ending || self.callee_fit(leg) != CalleeFit::Differs)
    }

    /// Returns `true` if two calls look the same: their events differ in nothing but times and ids.
    pub(crate) fn is_twin_of(&self, other: &Self) -> bool {
        let (caller, theirs) = (self.caller(), other.caller());
        self.dialled.number == other.dialled.number
            && caller.phone_number == theirs.phone_number
            && caller.name == theirs.name
            && self.hidden_number == other.hidden_number
    }

    /// Returns `true` if targets ring and neither the caller nor any of them was answered.
    pub(crate) fn rings_unanswered(&self) -> bool {
        let last_sign = self.last_sign;
        self.has_ringing_targets(last_sign) && !self.parties.iter().any(PartyState::was_answered)
    }

    /// Returns `true` if a target has just answered, and the caller waits for that to arrive.
    pub(crate) fn waits_for_answer(&self, at: Timestamp) -> bool {
        let caller = &self.parties[CALLER];
        caller.is_live()
            && !caller.was_answered()
            && self.parties.others().any(PartyState::talks)
            && at.since(self.last_change()) <= CAUSE_WAIT
    }

    /// Lets the callers of two calls that look the same change places, with their legs.
    pub(crate) fn swap_callers(&mut self, other: &mut Self) {
        let is_callers =
            |leg: &Leg| if leg.called { leg.of_party } else { leg.role == LegRole::Party(CALLER) };
        let [(own, rest), (theirs, their_rest)]: [(Vec<Leg>, Vec<Leg>); 2] =
            [&mut *self, &mut *other].map(|session| session.legs.drain(..).partition(is_callers));
        // Where a caller's own call arrived is a server: its targets are called by the switch.
        let moved = |legs: Vec<Leg>| {
            legs.into_iter().map(|leg| {
                let role = if leg.called { LegRole::Server } else { leg.role };
                Leg { role, ..leg }
            })
        };
        self.legs = moved(theirs).chain(rest).collect();
        other.legs = moved(own).chain(their_rest).collect();
        std::mem::swap(&mut self.parties[CALLER].party.sip, &mut other.parties[CALLER].party.sip);
    }

    /// Returns `true` if the switch is likely to place a leg for this call at this time: it has just received it,
    /// something has just happened to it, or it answered the call itself.
    fn expects_leg(&self, at: Timestamp) -> bool {
        if self.parties[CALLER].was_answered() {
            return true; // an agent is called when one is free
        }
        let within = if self.has_targets() { STIR_SPAN } else { PLACE_MAX };
        at.since(self.last_sign) <= within
    }

    /// Returns `true` if the switch has nothing to serve: it refused the caller's INVITE, and waits for the next.
    fn waits_for_retry(&self) -> bool {
        self.timers.is_running(Timer::Retry) && !self.legs.iter().any(|leg| leg.called && !leg.ended)
    }

    /// Returns `true` if the caller waits for the answer of targets that were offered the call, and that have rung or may yet do.
    fn has_ringing_targets(&self, at: Timestamp) -> bool {
        let rings = |state: &PartyState| {
            state.certainty == PartyCertainty::Confirmed
                && state.is_live()
                && !state.was_answered()
                && (self.reported || !state.is_unheard(at))
        };
        !self.parties[CALLER].was_answered() && self.parties.others().any(rings)
    }

    /// Returns `true` if a leg of the call comes from this address.
    fn comes_from(&self, address: Option<SocketAddr>) -> bool {
        address.is_some() && self.legs.iter().any(|leg| leg.sender.src == address)
    }

    /// Since when a leg of the switch leads to the target of a new call, at the same address.
    fn rings_since(&self, leg: &LegCreated) -> Option<Timestamp> {
        let dst = self.switch_address(leg.dst)?;
        let mut legs =
            self.legs.iter().filter(|own| own.called && !own.of_party && !own.ended && own.dst == Some(dst));
        legs.find_map(|own| {
            let state = &self.parties[own.role.party()?];
            let side = state.side();
            let mut numbers = [&side.phone_number, &side.sent_number].into_iter().flatten();
            let leads_there = numbers.any(|number| NumberKey::of(number) == NumberKey::of(&leg.callee));
            leads_there.then_some(state.offered)
        })
    }
}
