//! Moves of a call: transferred, taken over, joined, parked and retrieved.

use std::sync::Arc;

use hookswitch_model::{
    Cause, ConferenceRole, Direction, Origin, Party, Peer, Reason, Rule, StatusCode, Timestamp, Transfer,
};

use super::party::{Destination, Moving, PartyCertainty, PartyIntent, PartyRef, PartyState};
use super::timer::Timer;
use super::{
    CALLER, CAUSE_WAIT, Context, Draft, Leg, LegRole, NewLeg, PartyIndex, Purpose, RETRY_MAX, Session, people,
};
use crate::directory::{Kind, Resolved};
use crate::number::NumberKey;

/// The most characters of a code that names nobody, as `*8` for the calls of one's group.
const GROUP_CODE_LENGTH_MAX: usize = 3;

/// Effect of a signal on two sessions at once.
pub(crate) enum CrossSessionEffect {
    /// The attended transfer that this party asked for is complete.
    Transferred { mover: PartyIndex },
    /// The attended transfer failed whose other leg is this party's.
    Failed { other: PartyRef },
    /// The caller has taken a parked call.
    Retrieved { parked: PartyRef },
}

impl Session {
    /// A party asked for its call to be moved, and the other side agreed to try. Attended transfers are
    /// set up by the engine, which knows the other session.
    pub(super) fn move_asked(&mut self, party: PartyIndex, transfer: &Transfer, ctx: &Context) {
        let target = self.account.resolve(&transfer.to, transfer.to_host.as_deref());
        let to = if target.kind == Kind::Park {
            Destination::Park(self.account.park_slot(&transfer.to))
        } else {
            Destination::Number(NumberKey::of(&transfer.to))
        };
        self.set_moving(party, to, transfer.by_code, ctx);
    }

    /// The party's call is to be parked where a number leads.
    pub(crate) fn park_at(&mut self, party: PartyIndex, number: &str, ctx: &Context) {
        let slot = self.account.park_slot(number);
        self.set_moving(party, Destination::Park(slot), false, ctx);
    }

    /// Notes where the call of a party is to be moved.
    pub(crate) fn set_moving(&mut self, party: PartyIndex, to: Destination, by_code: bool, ctx: &Context) {
        if self.parties[party].is_live() {
            self.round = self.round.saturating_add(1);
            let moving = Moving { to, by_code, until: ctx.at + RETRY_MAX, left_by: None };
            self.parties[party].moving = Some(Box::new(moving));
        }
    }

    /// The source says how a transfer went.
    pub(super) fn move_done(&mut self, party: PartyIndex, succeeded: bool, ctx: &Context) {
        let state = &mut self.parties[party];
        let Some(moving) = &state.moving else { return };
        match moving.to.clone() {
            _ if !state.is_live() => {}
            Destination::Call(other, _) if !succeeded => {
                state.moving = None;
                self.effect = Some(Box::new(CrossSessionEffect::Failed { other }));
            }
            _ if !succeeded => state.moving = None,
            Destination::Call(..) => self.complete_transfer(party),
            Destination::Park(slot) => self.park(party, slot, Rule::CallParked, ctx),
            Destination::Number(_) => self.mover_may_leave(party, ctx),
        }
    }

    /// The blind transfer of a party has succeeded: it leaves when its leg ends, or soon.
    fn mover_may_leave(&mut self, mover: PartyIndex, ctx: &Context) {
        self.timers.start_once(Timer::Leave(mover), ctx.at + CAUSE_WAIT);
    }

    /// The target of a blind transfer has answered.
    pub(super) fn transfer_answered(&mut self, target: PartyIndex, ctx: &Context) {
        let round = self.parties[target].round;
        if round == 0 || round != self.round {
            return;
        }
        let moves = |state: &PartyState| {
            let to = state.moving.as_ref().map(|moving| &moving.to);
            state.is_answered() && matches!(to, Some(Destination::Number(_)))
        };
        if let Some(mover) = self.parties.position(moves).filter(|&mover| mover != target) {
            self.mover_may_leave(mover, ctx);
        }
    }

    /// The phone of who is transferred was answered where it takes the place of who transfers, who is not needed any
    /// more: an attended transfer is complete when that one hangs up, or soon.
    pub(super) fn replacement_answered(&mut self, leg: usize, party: PartyIndex, ctx: &Context) {
        let moves = |state: &PartyState| {
            let to = state.moving.as_ref().map(|moving| &moving.to);
            state.is_answered() && matches!(to, Some(Destination::Call(..)))
        };
        let is_further = self.legs[..leg].iter().any(|other| other.role == LegRole::Party(party));
        if !is_further || self.legs[leg].called || self.transferee() != Some(party) {
            return;
        }
        if let Some(mover) = self.parties.position(moves) {
            self.mover_may_leave(mover, ctx);
        }
    }

    /// Ends the legs that others had with a party that has gone, where they have newer ones instead.
    pub(crate) fn leave_behind(&mut self, gone: PartyIndex) {
        for party in self.parties.indices().filter(|&party| party != gone) {
            let role = LegRole::Party(party);
            let newest = self.legs.iter().rposition(|leg| leg.role == role && !leg.ended).unwrap_or(0);
            self.legs[..newest].iter_mut().filter(|leg| leg.role == role).for_each(|leg| leg.ended = true);
        }
    }

    /// A party whose transfer has succeeded has not hung up: nobody is at the other end of its leg any more.
    pub(super) fn mover_stays(&mut self, mover: PartyIndex, ctx: &Context) {
        let state = &self.parties[mover];
        let Some(moving) = state.moving.as_ref().filter(|_| state.is_live()) else { return };
        let reason = if moving.by_code { Reason::DtmfTransfer } else { Reason::BlindTransfer };
        // Its leg, and that of a phone which has placed the new call itself, are between the two alone.
        let transferee = self.transferee().map(LegRole::Party);
        let newest = self.legs.iter().rposition(|leg| Some(leg.role) == transferee).unwrap_or(0);
        for (index, leg) in self.legs.iter_mut().enumerate() {
            let is_old = Some(leg.role) == transferee && index < newest;
            leg.ended |= is_old || leg.role == LegRole::Party(mover);
        }
        self.end_party(mover, Cause::Named(reason), Rule::TransferSucceeded, ctx);
    }

    /// Asks the engine to complete an attended transfer.
    pub(super) fn complete_transfer(&mut self, mover: PartyIndex) {
        if self.parties[mover].is_live() {
            self.effect = Some(Box::new(CrossSessionEffect::Transferred { mover }));
        }
    }

    /// Returns where an attended transfer of a party goes, with the party there as it was when it was asked for.
    pub(crate) fn transfer_target(&self, party: PartyIndex) -> Option<(PartyRef, Peer)> {
        match &self.parties[party].moving.as_ref()?.to {
            Destination::Call(other, peer) => Some((*other, *peer)),
            Destination::Number(_) | Destination::Park(_) => None,
        }
    }

    /// The number that the switch shows when it places a call for who is moved by a transfer.
    pub(crate) fn moved_number(&self) -> Option<Arc<str>> {
        self.parties[self.transferee()?].side().phone_number.clone()
    }

    /// Forgets a transfer that failed.
    pub(crate) fn cancel_transfer(&mut self, party: PartyIndex) {
        self.parties[party].moving = None;
    }

    /// Returns how another session names a party of this one.
    pub(crate) fn peer(&mut self, party: PartyIndex) -> Peer {
        let number = self.number(party);
        Peer { session: self.facts.session_id, party: self.facts.id.party(number) }
    }

    /// Returns `true` if a party has parked its call.
    pub(crate) fn is_parked(&self, party: PartyIndex) -> bool {
        self.parties[party].is_live() && self.parties[party].party.status.code == StatusCode::Parked
    }

    /// The party that parked the call, and the slot as it is shown.
    pub(crate) fn parked(&self) -> Option<(PartyIndex, &str)> {
        let party = self.parties.indices().find(|&party| self.is_parked(party))?;
        Some((party, self.parties[party].party.status.park_data.as_deref().unwrap_or_default()))
    }

    /// The media of a party has moved to a party of another session.
    pub(crate) fn go(&mut self, party: PartyIndex, reason: Reason, peer: Peer, rule: Rule, ctx: &Context) {
        if !self.parties[party].is_live() {
            return;
        }
        self.confirm(party);
        self.timers.stop(Timer::Transfer(party));
        let state = &mut self.parties[party];
        state.leave(StatusCode::Gone, Some(reason), None);
        state.party.status.peer = Some(Box::new(peer));
        self.draft(party, rule, ctx);
    }

    /// A party parks its call and keeps its place.
    pub(super) fn park(&mut self, party: PartyIndex, slot: Option<Arc<str>>, rule: Rule, ctx: &Context) {
        let state = &mut self.parties[party];
        if !state.is_live() || !state.was_answered() {
            return;
        }
        let is_parked = state.party.status.code == StatusCode::Parked;
        // Where the slot is announced first, it is known some time after the parking.
        if is_parked && (slot.is_none() || state.party.park.is_some()) {
            return;
        }
        if !is_parked {
            state.enter(StatusCode::Parked, None);
        }
        state.party.status.park_data = Some(slot.clone().unwrap_or_else(|| Arc::from("")));
        state.party.park = slot;
        state.moving = None;
        self.draft(party, rule, ctx);
    }

    /// The source says that nobody took the call in time that a party has parked.
    pub(super) fn park_timed_out(&mut self, party: PartyIndex, ctx: &Context) {
        if self.is_parked(party) {
            let cause = Cause::Named(Reason::Timeout);
            self.end_party(party, cause, Rule::ParkRanOut, ctx);
        }
    }

    /// Ends a parked party that the call comes back to.
    pub(super) fn park_ran_out(&mut self, target: &Resolved, ctx: &Context) {
        for party in self.parties.indices() {
            if self.is_parked(party) && self.parties[party].is_person(target) {
                let cause = Cause::Named(Reason::Timeout);
                self.end_party(party, cause, Rule::ParkRanOut, ctx);
            }
        }
    }

    /// A new leg takes the place of a party: of one that rings (a pickup), of the same person's other
    /// device (a flip), or of one that talks. False when the session is full.
    pub(crate) fn replace(&mut self, party: PartyIndex, leg: NewLeg<'_>, ctx: &Context) -> bool {
        self.touch(ctx);
        let state = &self.parties[party];
        let parks = matches!(state.moving.as_ref().map(|moving| &moving.to), Some(Destination::Park(_)));
        if leg.is_automaton || parks {
            // It is not a person who takes the call: it plays music for somebody who holds, or parks.
            let holds = state.party.status.code == StatusCode::Hold && !parks;
            self.parties[party].moving = None;
            let purpose = if holds { Purpose::Music } else { Purpose::Park };
            self.add_leg(LegRole::Party(party), leg).purpose = purpose;
            return true;
        }
        if self.parties.is_full() {
            return false;
        }
        let taker = self.account.caller(&leg);
        let extension = taker.as_ref().and_then(|taker| taker.extension);
        let flips = state.was_answered() && extension.is_some() && extension == state.party.extension;
        let transferred = state.moving.is_some();
        let reason = match (flips, transferred) {
            (true, _) => Reason::CallFlip,
            (false, true) => Reason::BlindTransfer,
            (false, false) => Reason::Pickup,
        };
        let own = people::caller_endpoint(&leg, taker, &self.account);
        let (direction, peer) = match state.party.direction {
            Direction::Outbound if !flips => (Direction::Inbound, state.party.to.clone()),
            Direction::Outbound => (Direction::Outbound, state.party.to.clone()),
            Direction::Inbound => (Direction::Inbound, state.party.from.clone()),
        };
        let (from, to) = if direction == Direction::Inbound { (peer, own) } else { (own, peer) };
        let mut taking = PartyState::new(&self.facts, direction, extension, from, to, &leg, ctx);
        taking.round = state.round;
        taking.called_by = state.called_by;
        if reason == Reason::Pickup {
            taking.intent = PartyIntent::PickUp;
        }
        let place = self.parties.add(taking);
        self.parties[party].taken = Some((place, reason));
        self.add_leg(LegRole::Party(place), leg);
        if !flips {
            self.draft(place, Rule::TakesPlace, ctx);
        }
        true
    }

    /// Somebody joins the call who was not called: by Join (RFC 3911), or in a conference room. False
    /// when the session is full.
    pub(crate) fn join_in(&mut self, leg: NewLeg<'_>, rule: Rule, ctx: &Context) -> bool {
        self.touch(ctx);
        if self.parties.is_full() {
            return false;
        }
        let caller = self.account.caller(&leg);
        let extension = caller.as_ref().and_then(|caller| caller.extension);
        let from = people::caller_endpoint(&leg, caller, &self.account);
        let to = if rule == Rule::ConferenceEntered {
            self.called_endpoint(&leg)
        } else {
            people::called_endpoint(&leg, &self.account.callee(&leg))
        };
        let joining = PartyState::new(&self.facts, Direction::Outbound, extension, from, to, &leg, ctx);
        let place = self.parties.add(joining);
        self.add_leg(LegRole::Party(place), leg);
        self.draft(place, rule, ctx);
        true
    }

    /// The phone of a party places a further call for it: the one that a transfer asked for.
    pub(crate) fn add_own_leg(&mut self, party: PartyIndex, leg: NewLeg<'_>, ctx: &Context) {
        self.touch(ctx);
        self.timers.stop(Timer::Transfer(party));
        self.add_leg(LegRole::Party(party), leg);
    }

    /// A party that had left its peer with music takes the call back, if the leg that is replaced plays
    /// it.
    pub(crate) fn takes_back(&mut self, replaced: usize, leg: NewLeg<'_>, ctx: &Context) -> bool {
        let Leg { role: LegRole::Party(party), purpose: Purpose::Music, .. } = self.legs[replaced] else {
            return false;
        };
        self.add_own_leg(party, leg, ctx);
        if let Some(added) = self.legs.last_mut() {
            added.purpose = Purpose::Resume;
        }
        true
    }

    /// Returns the time when the session last changed.
    pub(crate) fn last_change(&self) -> Timestamp {
        self.changed
    }

    /// The target whose call a code has taken: the code ends with its number, or names nobody and there
    /// is but one.
    pub(crate) fn taken_by_code(&self, code: &str) -> Option<PartyIndex> {
        let mut targets = self.was_taken_from();
        let names = |party: &Party| {
            let to = &party.to;
            let numbers = [to.phone_number.as_deref(), to.sent_number.as_deref()];
            numbers.into_iter().flatten().any(|number| code.len() > number.len() && code.ends_with(number))
        };
        if code.len() <= GROUP_CODE_LENGTH_MAX {
            let (first, _) = targets.next()?;
            return targets.next().is_none().then_some(first);
        }
        targets.find(|(_, party)| names(party)).map(|(index, _)| index)
    }

    /// The target that waits to know who took its call, if the caller is talking to somebody unknown.
    pub(crate) fn was_taken_from(&self) -> impl Iterator<Item = (PartyIndex, &Party)> {
        let caller_answered = self.parties[CALLER].was_answered() && !self.reported;
        self.parties.enumerate().skip(1).filter_map(move |(index, state)| {
            let waiting = state.pending_end()?;
            let taken = (waiting.cause == Cause::AnsweredElsewhere && !self.reported)
                || (waiting.cause == Cause::Withdrawn && caller_answered);
            taken.then_some((index, &state.party))
        })
    }

    /// The call of a target was taken by a party of another session, whose legs move here. Gives the
    /// place of the new party.
    pub(crate) fn picked_up(
        &mut self,
        target: PartyIndex,
        by: MovedParty,
        rule: Rule,
        ctx: &Context,
    ) -> PartyIndex {
        if let Some(ended_at) = self.parties[target].pending_end().map(|end| end.at) {
            let ended = Context { at: ended_at, ..*ctx };
            self.settle_one(target, Cause::Named(Reason::Pickup), true, &ended);
            if let Some(draft) = self.last_draft(target) {
                draft.rule = rule;
                draft.causes.add(ctx.input);
            }
        } else {
            self.parties[target].taken = Some((self.parties.next_index(), Reason::Pickup));
        }
        let from = self.parties[CALLER].side().clone();
        let round = self.parties[target].round;
        self.answered_alone = false;
        self.confirm_caller();
        let place = self.adopt(by, Some(Reason::Pickup), None, rule, ctx);
        let party = &mut self.parties[place];
        party.round = round;
        party.party.direction = Direction::Inbound;
        party.party.to = std::mem::replace(&mut party.party.from, from);
        self.retell(place);
        self.agent_answered(place, ctx);
        place
    }

    /// A supervisor of the party at the end of a leg comes from another session, with its legs. Gives the
    /// place of the new party.
    pub(crate) fn supervised(&mut self, leg: usize, by: MovedParty, ctx: &Context) -> PartyIndex {
        let whom = self.legs[leg].role.party().map(|whom| self.parties[whom].side().clone());
        let place = self.adopt(by, Some(Reason::Supervising), None, Rule::Supervises, ctx);
        let state = &mut self.parties[place];
        state.intent = PartyIntent::Supervise;
        if state.party.direction == Direction::Inbound {
            // The switch has called the supervisor, who is a caller here (contract events §10).
            let party = &mut state.party;
            party.direction = Direction::Outbound;
            party.from = std::mem::replace(&mut party.to, whom.unwrap_or_default());
            self.retell(place);
        }
        place
    }

    /// The caller is about to take a parked call, or has taken it already: then who parked it may go.
    pub(crate) fn takes_parked(&mut self, parked: PartyRef) -> bool {
        let state = &mut self.parties[CALLER];
        if state.was_answered() {
            return true;
        }
        state.intent = PartyIntent::PickUp;
        self.retrieves = Some(parked);
        false
    }

    /// Returns `true` if a party rings.
    pub(crate) fn rings(&self, party: PartyIndex) -> bool {
        let state = &self.parties[party];
        state.party.direction == Direction::Inbound
            && !state.was_answered()
            && (state.is_live() || state.pending_end().is_some())
    }

    /// Takes in a party of another session with its legs, who is answered here.
    pub(crate) fn adopt(
        &mut self,
        by: MovedParty,
        reason: Option<Reason>,
        role: Option<ConferenceRole>,
        rule: Rule,
        ctx: &Context,
    ) -> PartyIndex {
        let MovedParty { mut party, index, legs, untold } = by;
        party.party.ring_out_role = None;
        party.party.account = self.facts.account;
        party.party.conference_role = role.filter(|_| self.facts.origin == Origin::Conference);
        let begins = untold.map(|began| {
            party.enter(StatusCode::Setup, None);
            (began, party.party.clone())
        });
        party.enter(StatusCode::Answered, reason);
        let place = self.parties.add(party);
        self.legs.extend(legs.into_iter().map(|mut leg| {
            leg.role =
                if leg.role == LegRole::Party(index) { LegRole::Party(place) } else { LegRole::Server };
            leg
        }));
        if let Some((began, after)) = begins {
            self.insert_draft(Draft {
                party: place,
                at: began,
                after,
                rule,
                causes: ctx.causes(),
                timer: None,
            });
        }
        let after = self.parties[place].party.clone();
        self.insert_draft(Draft { party: place, at: ctx.at, after, rule, causes: ctx.causes(), timer: None });
        place
    }

    /// Puts a change where its time belongs among those that are not told yet.
    fn insert_draft(&mut self, mut draft: Draft) {
        draft.at = draft.at.max(self.told);
        let behind = self.queue.iter().rposition(|other| other.at <= draft.at).map_or(0, |at| at + 1);
        self.changed = self.changed.max(draft.at);
        self.queue.insert(behind, Box::new(draft));
    }

    /// Corrects who a party is in its changes that are not told yet.
    fn retell(&mut self, place: PartyIndex) {
        let party = &self.parties[place].party;
        let (direction, from, to) = (party.direction, party.from.clone(), party.to.clone());
        for draft in self.queue.iter_mut().filter(|draft| draft.party == place) {
            draft.after.direction = direction;
            draft.after.from = from.clone();
            draft.after.to = to.clone();
        }
    }

    /// The source says which part the holder of a leg has in the conference.
    pub(crate) fn has_conference_role(&mut self, leg: usize, role: ConferenceRole, ctx: &Context) {
        self.touch(ctx);
        if let Some(party) = self.legs[leg].role.party() {
            self.parties[party].party.conference_role = Some(role);
            for draft in self.queue.iter_mut().filter(|draft| draft.party == party) {
                draft.after.conference_role = Some(role);
            }
        }
    }

    /// Gives up a party and its legs, to join another session.
    pub(crate) fn give_up(&mut self, index: PartyIndex) -> MovedParty {
        let is_only_a_caller = index == CALLER && self.is_only_a_caller();
        if is_only_a_caller {
            for party in self.parties.other_indices() {
                self.discard_party(party);
            }
        }
        let untold = (is_only_a_caller && self.is_untold()).then_some(self.started);
        // That it was answered is told where its call went.
        if self.parties[index].party.status.code == StatusCode::Answered
            && self.last_draft(index).is_some_and(|draft| draft.after.status.code == StatusCode::Answered)
        {
            self.forget_last_draft(index);
        }
        let mut legs = std::mem::take(&mut self.legs);
        if !is_only_a_caller {
            let own = |leg: &Leg| leg.role == LegRole::Party(index);
            self.legs = legs.extract_if(.., |leg| !own(leg)).collect();
        }
        MovedParty { party: self.parties[index].duplicate(), index, legs, untold }
    }

    /// Tests whether the source says itself what becomes of a party that has not left.
    pub(crate) fn reports(&self, party: PartyIndex) -> bool {
        self.reported && self.parties[party].is_live()
    }

    /// Returns `true` if nobody but the caller is known to be in the call.
    pub(crate) fn is_only_a_caller(&self) -> bool {
        let state = &self.parties[CALLER];
        self.facts.origin == Origin::Call
            && state.is_live()
            && state.moving.is_none()
            && !self.parties.others().any(|state| state.certainty == PartyCertainty::Confirmed)
    }

    /// Returns `true` if nothing of the session was told.
    pub(crate) fn is_untold(&self) -> bool {
        self.sequence == 1
    }

    /// Ends without a word a session of which nothing was told.
    pub(crate) fn discard(&mut self) {
        self.queue.clear();
        for party in self.parties.indices() {
            self.discard_party(party);
        }
    }

    fn forget_last_draft(&mut self, party: PartyIndex) {
        if let Some(last) = self.queue.iter().rposition(|draft| draft.party == party) {
            self.queue.remove(last);
        }
    }

    /// Returns the time when the caller of a code was answered, by the switch alone.
    pub(crate) fn code_answered(&self) -> Option<Timestamp> {
        let state = &self.parties[CALLER];
        let alone = !self.parties.others().any(|state| state.certainty == PartyCertainty::Confirmed);
        (self.dialled.is_code && state.is_answered() && alone && !self.reported).then_some(self.changed)
    }
}

/// A party that comes from another session, with its legs.
pub(crate) struct MovedParty {
    party: PartyState,
    /// Its place in the session that it comes from.
    index: PartyIndex,
    legs: Vec<Leg>,
    /// Time when its call began, if that was not told in the session that it comes from.
    untold: Option<Timestamp>,
}

impl MovedParty {
    /// The ids of the legs that come along.
    pub(crate) fn leg_ids(&self) -> impl Iterator<Item = hookswitch_model::LegId> {
        self.legs.iter().map(|leg| leg.id)
    }
}
