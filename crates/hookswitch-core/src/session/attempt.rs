//! Attempts: who is called, and which calls of a switch go on from it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hookswitch_model::number::Form;
use hookswitch_model::{
    Cause, Direction, Endpoint, FarEnd, LegCreated, Party, Reason, RingOutRole, Rule, StatusCode, Timestamp,
};

use super::ends::Settled;
use super::party::{Destination, Moving, PartyCertainty, PartyState};
use super::phase::Step;
use super::timer::Timer;
use super::{
    CALLER, Context, LEGS_PER_SESSION_MAX, LegRole, NewLeg, PartyIndex, Purpose, Sender, Session, people,
};
use crate::directory::{Kind, Resolved};
use crate::number::{NumberKey, agree};

/// Two targets that were offered the call within this time are members of one group, which a switch
/// calls in one go; a later one, or one with Diversion, is where the call was forwarded to.
pub(super) const GROUP_SPAN: Duration = Duration::from_millis(20);

/// Placer of the call that a transfer asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Follows {
    /// The phone of this party.
    OwnPhone(PartyIndex),
    /// The switch.
    Switch,
}

impl Session {
    /// Adds the switch's own end of a call that belongs to this session.
    pub(crate) fn add_switch_leg(&mut self, leg: NewLeg<'_>, rule: Rule, ctx: &Context) {
        self.touch(ctx);
        // The call goes on from where the caller's leg arrived: no callee is there.
        self.confirm_caller();
        self.discard_servers(leg.src);
        self.add_leg(LegRole::Switch(rule), leg);
    }

    /// Adds a further leg of who is at the end of a leg already.
    pub(crate) fn add_same_party_leg(&mut self, same_as: usize, leg: NewLeg<'_>, ctx: &Context) {
        self.touch(ctx);
        let role = self.legs[same_as].role;
        self.add_leg(role, leg);
    }

    /// Adds a leg to a target; `of` is the role of the calling leg in the same SIP call. False when
    /// the session is full.
    pub(crate) fn attempt(&mut self, leg: NewLeg<'_>, of: LegRole, ctx: &Context) -> bool {
        self.touch(ctx);
        self.timers.stop(Timer::Retry);
        if self.legs.len() >= LEGS_PER_SESSION_MAX {
            return false;
        }
        if of == LegRole::Switch(Rule::RingOutSeen) && !self.legs.iter().any(|leg| leg.called) {
            self.add_leg(LegRole::Party(CALLER), leg);
            return true;
        }
        self.dial_on(&leg);
        let mut person = self.called(&leg);
        let mailbox = self.mailbox_owner(&leg, &person);
        if let Some(owner) = &mailbox {
            person = owner.clone();
        }
        let Some(certainty) = self.certainty(&leg, of, &person, mailbox.is_some()) else {
            self.add_leg(LegRole::Server, leg).of_party = matches!(of, LegRole::Party(_));
            return true;
        };
        let certainty = if self.has_just_left(&person) { PartyCertainty::Confirmed } else { certainty };
        if matches!(of, LegRole::Switch(_)) {
            self.discard_servers(leg.src);
        }
        if certainty == PartyCertainty::Confirmed {
            if matches!(of, LegRole::Switch(_)) && !self.reported {
                self.give_up_unheard(&person, ctx);
            }
            self.revive(&person);
            self.settle_waiting(Settled::OfferedOn, ctx);
            self.leave_services(&person, ctx);
            self.park_ran_out(&person, ctx);
        }
        self.drop_redirected(&person);
        let same = self.parties.other_indices().find(|&party| {
            let state = &self.parties[party];
            state.is_live()
                && state.party.direction == Direction::Inbound
                && state.party.status.code != StatusCode::Parked
                && !(state.moving.is_some() && mailbox.is_none())
                && (state.certainty == PartyCertainty::Confirmed) == (certainty == PartyCertainty::Confirmed)
                && state.is_person(&person)
        });
        let same = same.or_else(|| self.complete(&leg, &person));
        let party = match same {
            Some(party) => {
                self.parties[party].handed_over = false;
                party
            }
            None if self.parties.is_full() => return false,
            None => self.add_target(&leg, of, &person, certainty, ctx),
        };
        let added = self.add_leg(LegRole::Party(party), leg);
        added.of_party = matches!(of, LegRole::Party(_));
        if mailbox.is_some() {
            added.purpose = Purpose::Mailbox;
        }
        self.flush_discarded();
        true
    }

    /// The far end of a target's leg wants more digits, so it is a switch; who was called there is known when
    /// the number is complete.
    pub(super) fn wants_more_digits(&mut self, index: usize) {
        self.legs[index].ended = true;
        self.is_incomplete = true;
        if let LegRole::Party(party) = self.legs[index].role {
            if self.parties[party].certainty == PartyCertainty::Unconfirmed {
                self.discard_party(party);
            } else {
                self.parties[party].is_incomplete = true;
            }
        }
    }

    /// Takes the digits that complete the number that was dialled (RFC 3578).
    fn dial_on(&mut self, leg: &LegCreated) {
        if self.is_incomplete && is_longer(&leg.callee, &self.dialled.number) {
            self.is_incomplete = false;
            self.dialled = self.account.callee(leg);
            self.parties[CALLER].party.to = self.called_endpoint(leg);
        }
    }

    /// Gives the party of an incomplete number the digits of a new leg that completes it.
    fn complete(&mut self, leg: &LegCreated, person: &Resolved) -> Option<PartyIndex> {
        let party = self.parties.other_indices().find(|&party| {
            let state = &self.parties[party];
            let number = state.party.to.phone_number.as_deref();
            state.is_incomplete
                && state.is_live()
                && !self.has_leg(party)
                && number.is_some_and(|number| is_longer(&person.number, number))
        })?;
        let state = &mut self.parties[party];
        state.is_incomplete = false;
        state.party.to = people::called_endpoint(leg, person);
        state.party.extension = person.extension;
        state.kind = person.kind;
        Some(party)
    }

    /// Tests whether the end of this person waits for its cause: the next leg leads to another phone of theirs.
    fn has_just_left(&self, person: &Resolved) -> bool {
        self.parties.others().any(|state| {
            let pending = state.pending_end().map(|end| end.cause);
            pending.is_some_and(|cause| cause != Cause::AnsweredElsewhere) && state.is_person(person)
        })
    }

    /// The switch turns to somebody else: it has given up whom it has called and who has not rung, whom it cannot cancel
    /// (RFC 3261 §9.1).
    fn give_up_unheard(&mut self, person: &Resolved, ctx: &Context) {
        for party in self.parties.other_indices() {
            let role = LegRole::Party(party);
            let state = &self.parties[party];
            if !state.is_unheard(ctx.at)
                || state.is_person(person)
                || state.round != self.round
                || !self.legs.iter().any(|leg| leg.role == role && !leg.ended)
                || self.legs.iter().any(|leg| leg.role == role && leg.of_party)
            {
                continue;
            }
            self.legs.iter_mut().filter(|leg| leg.role == role).for_each(|leg| leg.ended = true);
            self.target_ended(party, Cause::NoAnswer, ctx);
        }
    }

    /// Forgets the far ends from which the call goes on: no callee is there. Whom a switch has called is one of them
    /// if the next call leaves from there.
    fn discard_servers(&mut self, src: Option<SocketAddr>) {
        let src = self.switch_address(src).map(|src| src.ip());
        for party in self.parties.other_indices() {
            let may_be_elsewhere = |leg: &super::Leg| {
                leg.role == LegRole::Party(party) && !leg.of_party && leg.dst.map(|dst| dst.ip()) != src
            };
            if self.parties[party].certainty == PartyCertainty::Unconfirmed
                && !self.legs.iter().any(may_be_elsewhere)
            {
                self.discard_party(party);
            }
        }
    }

    /// Tests whether a switch passes a call on that comes from outside, to the number that was dialled: another switch
    /// may be there.
    fn is_passed_on(&self, leg: &LegCreated, person: &Resolved) -> bool {
        let caller = &self.parties[CALLER].party;
        !self.reported
            && leg.far_end != FarEnd::Endpoint
            && caller.extension.is_none()
            && caller.direction == Direction::Outbound
            && person.extension.is_none()
            && !self.has_targets()
            && agree(&self.dialled.number, &person.number)
    }

    /// Returns who is called. What a source knows goes before what the directory says, and before what it does not
    /// say: a service that it does not list is one of the account all the same (contract events §10).
    fn called(&self, leg: &LegCreated) -> Resolved {
        let person = self.account.callee(leg);
        match leg.service {
            None => person,
            Some(service) => Resolved { kind: Kind::from(service), ..self.as_extension(person, &leg.callee) },
        }
    }

    /// The same, as an extension of the account, whether the directory lists it or not.
    fn as_extension(&self, person: Resolved, number: &str) -> Resolved {
        if person.extension.is_some() || number.is_empty() {
            return person;
        }
        Resolved { extension: Some(self.account.derived_extension(number)), internal: true, ..person }
    }

    /// Returns whether somebody is at the end of a new leg; none if a server is.
    fn certainty(
        &self,
        leg: &LegCreated,
        of: LegRole,
        person: &Resolved,
        mailbox: bool,
    ) -> Option<PartyCertainty> {
        Some(match (person.kind, of, leg.far_end) {
            // A service that nobody has a number for is nobody that the API could show.
            _ if leg.service.is_some() && person.extension.is_none() && !mailbox => return None,
            // What the directory names as a service is a party, though the switch itself answers.
            (Kind::Menu | Kind::Queue | Kind::Voicemail | Kind::Fax, ..) => PartyCertainty::Confirmed,
            _ if mailbox => PartyCertainty::Confirmed,
            (Kind::RingGroup | Kind::Park | Kind::Conference, ..) => return None,
            (_, LegRole::Switch(_), _) if self.is_passed_on(leg, person) => PartyCertainty::Unconfirmed,
            (_, LegRole::Switch(_), _) | (_, _, FarEnd::Endpoint) => PartyCertainty::Confirmed,
            // A switch may answer the call itself; then there is no callee.
            (_, _, FarEnd::Switch) => return None,
            _ if person.extension.is_none() && self.account.is_trunk(leg.src) => return None,
            (_, _, far_end)
                if (self.challenged || far_end == FarEnd::Server) && (person.internal || person.is_code) =>
            {
                return None;
            }
            _ => PartyCertainty::Unconfirmed,
        })
    }

    /// Returns whose mailbox a leg leads to: the request says so (RFC 4458), or it leads to a mailbox of the
    /// directory and says who sent the call there.
    fn mailbox_owner(&self, leg: &LegCreated, person: &Resolved) -> Option<Resolved> {
        let of = match (&leg.mailbox, &leg.diverted_by) {
            (Some(mailbox), _) => &mailbox.of,
            (None, Some(diverted_by)) if person.kind == Kind::Voicemail => diverted_by,
            _ => return None,
        };
        let owner = (!self.account.is_foreign(leg)).then(|| self.account.resolve(of, None))?;
        // The switch itself says that there is a mailbox, and whose.
        let owner = if leg.reported { self.as_extension(owner, of) } else { owner };
        Some(owner).filter(|owner| owner.extension.is_some())
    }

    /// Adds a party that is offered the call.
    fn add_target(
        &mut self,
        leg: &LegCreated,
        of: LegRole,
        person: &Resolved,
        certainty: PartyCertainty,
        ctx: &Context,
    ) -> PartyIndex {
        let called_by = match of {
            LegRole::Party(caller) => caller,
            LegRole::Switch(Rule::TransferFollowed) => self.transferee().unwrap_or(CALLER),
            LegRole::Switch(_) | LegRole::Server => CALLER,
        };
        let mut from = self.parties[called_by].side().clone();
        if person.extension.is_none() && from.device.is_some() {
            Arc::make_mut(&mut from).device = None;
        }
        // Who is called while a target of the same caller talks is no alternative to it.
        if self.parties.others().any(|other| {
            other.talks()
                && other.called_by == called_by
                && other.round == self.round
                && other.party.direction == Direction::Inbound
        }) {
            self.round = self.round.saturating_add(1);
        }
        let to = people::called_endpoint(leg, person);
        let (from, to) = self.as_shown(leg, called_by, from, to);
        let mut state =
            PartyState::new(&self.facts, Direction::Inbound, person.extension, from, to, leg, ctx);
        state.certainty = certainty;
        state.called_by = called_by;
        state.round = self.round;
        state.kind = person.kind;
        if self.parties[CALLER].party.ring_out_role.is_some() {
            state.party.ring_out_role = Some(RingOutRole::Target);
            // Nobody has called the initiator but on behalf of the target.
            let from = &mut self.parties[CALLER].party.from;
            if from.phone_number.is_none() && from.extension.is_none() {
                *from = state.party.to.clone();
            }
        }
        let from_queue = leg.from_queue || (self.queue_waits() && matches!(of, LegRole::Switch(_)));
        if from_queue && person.kind == Kind::User {
            // An agent of a queue has no Setup (contract events §10).
            state.party.queue_call = true;
            self.shows_queue(&mut state.party);
        }
        // An agent outside is rung from the beginning, as anybody there.
        let is_told = !state.party.queue_call || state.party.status.code != StatusCode::Setup;
        let party = self.parties.add(state);
        if !is_told {
            return party;
        }
        let rule = match of {
            _ if leg.found_running => Rule::FoundRunning,
            LegRole::Switch(rule) => rule,
            LegRole::Party(_) | LegRole::Server => Rule::CallOffered,
        };
        self.draft(party, rule, ctx);
        party
    }

    /// Returns how both sides of a leg to a target are shown, where the source tells what the network sees (contract
    /// events §11): the number that was dialled from outside, and the number that is shown outside.
    fn as_shown(
        &mut self,
        leg: &LegCreated,
        called_by: PartyIndex,
        mut from: Arc<Endpoint>,
        mut to: Arc<Endpoint>,
    ) -> (Arc<Endpoint>, Arc<Endpoint>) {
        if !self.reported {
            return (from, to); // legs of a switch are found by the numbers of their call
        }
        if to.extension.is_none() {
            let e164 = |number: &Arc<str>| self.account.e164(number, Form::Network);
            let shown: Option<Arc<str>> =
                leg.caller.number.as_ref().and_then(e164).map(|number| Arc::from(number.as_str()));
            if let Some(shown) = shown.filter(|_| from.extension.is_some()) {
                people::show_number(&mut from, shown.clone());
                let caller = &mut self.parties[called_by].party;
                let own =
                    if caller.direction == Direction::Outbound { &mut caller.from } else { &mut caller.to };
                people::show_number(own, shown);
            }
        } else if from.extension.is_none()
            && called_by == CALLER
            && leg.diverted_by.is_none()
            && self.round == 0
        {
            // What is written with its `+` is the whole number that was dialled.
            let caller = &self.parties[CALLER].party;
            let dialled = caller.to.phone_number.as_ref().filter(|_| caller.direction == Direction::Outbound);
            let is_whole = |dialled: &&Arc<str>| caller.to.sent_number.is_none() && dialled.starts_with('+');
            if let Some(dialled) = dialled.filter(is_whole) {
                people::show_number(&mut to, dialled.clone());
            }
        }
        (from, to)
    }

    /// Shows an agent's leg as a call to the queue (contract events §11).
    fn shows_queue(&self, agent: &mut Party) {
        let Some(queue) = self.parties.iter().find(|state| state.kind == Kind::Queue && state.is_live())
        else {
            return;
        };
        let queue = &queue.party.to;
        let to = Arc::make_mut(&mut agent.to);
        to.name.clone_from(&queue.name);
        to.extension = queue.extension;
        // Of what is dialled from outside only a whole number says what was dialled.
        let is_inside = agent.from.extension.is_some();
        let is_dialled = |number: &Arc<str>| is_inside || number.starts_with('+');
        if let Some(number) = queue.phone_number.clone().filter(is_dialled) {
            people::show_number(&mut agent.to, number);
        }
    }

    /// Returns `true` if the caller waits in a queue.
    fn queue_waits(&self) -> bool {
        self.parties.iter().any(|state| state.kind == Kind::Queue && state.is_live())
    }

    /// Forgets a far end that sent the caller elsewhere, unless the new target is the same person.
    fn drop_redirected(&mut self, person: &Resolved) {
        for party in self.parties.other_indices() {
            let state = &self.parties[party];
            if state.certainty == PartyCertainty::Unconfirmed
                && !self.has_leg(party)
                && !state.is_person(person)
            {
                self.discard_party(party);
            }
        }
    }

    /// Ends the parties whose place the new target takes: a server that was taken for the callee.
    fn leave_services(&mut self, target: &Resolved, ctx: &Context) {
        for party in self.parties.other_indices() {
            let state = &self.parties[party];
            if state.is_person(target)
                || !state.is_live()
                || state.certainty != PartyCertainty::Confirmed
                || matches!(state.kind, Kind::Queue | Kind::Fax)
            {
                continue;
            }
            let switches =
                self.legs.iter().filter(|leg| matches!(leg.role, LegRole::Switch(_)) && !leg.ended);
            let mut senders = switches.map(|leg| &leg.sender);
            if state.handed_over || senders.any(|sender| self.is_at(party, sender)) {
                let cause = if state.was_answered() || state.kind == Kind::Menu {
                    Cause::Named(Reason::CallerInputRedirect)
                } else {
                    Cause::Redirected
                };
                self.end_party(party, cause, Rule::ServiceLeft, ctx);
            }
        }
    }

    /// Returns `true` if a party is where `sender` calls from: then it is a number of the switch itself.
    fn is_at(&self, party: PartyIndex, sender: &Sender) -> bool {
        let mut legs = self.legs.iter().filter(|leg| leg.role == LegRole::Party(party) && !leg.ended);
        legs.any(|leg| self.reached(leg, sender).is_some())
    }

    /// Returns whether a called leg arrived where `sender` calls from, and how surely, 1 or 2.
    fn reached(&self, leg: &super::Leg, sender: &Sender) -> Option<u32> {
        let src = sender.src.filter(|_| leg.called)?;
        let known = [leg.dst, leg.also_at.as_deref().copied()];
        let mut known = known.into_iter().flatten().filter(|dst| dst.ip() == src.ip());
        let first = known.next()?;
        let dst = known.find(|dst| *dst == src).unwrap_or(first);
        if dst == src || sender.sent_by == Some(dst) {
            return Some(2);
        }
        // Where phones and switch share an address only the port or the product tells them apart.
        let one_product = leg.of_party && self.served_by.is_some() && self.served_by == sender.agent;
        let apart = leg.sender.src.is_none_or(|from| from.ip() != src.ip());
        (one_product || apart).then_some(1)
    }

    /// Returns how surely a call from `sender` goes on from where the caller's call arrived, 1 or 2; none if
    /// it does not, or if the caller already talks with somebody.
    pub(crate) fn goes_on_from(&self, sender: &Sender) -> Option<u32> {
        if !self.parties[CALLER].is_live() {
            return None;
        }
        let talks = |party: PartyIndex| self.parties[party].talks() && !self.is_at(party, sender);
        if self.parties.other_indices().any(|party| talks(party) && self.parties[party].moving.is_none()) {
            return None;
        }
        if let Some(switch) = self.legs.first().filter(|leg| leg.role == LegRole::Switch(Rule::RingOutSeen)) {
            if !self.parties[CALLER].was_answered() {
                return None; // the switch calls on once the initiator has answered
            }
            let (own, theirs) = (switch.sender.src?, sender.src?);
            return (own.ip() == theirs.ip()).then_some(if own == theirs { 2 } else { 1 });
        }
        // The caller's own phone may place a second call; that is no leg of the first.
        let caller = self.legs.iter().find(|leg| leg.role == LegRole::Party(CALLER))?;
        let own = caller.sender.src == sender.src
            || (sender.sent_by.is_some() && sender.sent_by == caller.sender.src);
        if own {
            return None;
        }
        self.legs.iter().filter_map(|leg| self.reached(leg, sender).or_else(|| placed_by(leg, sender))).max()
    }

    /// Returns `true` if the switch has placed a call of this session from another address than the caller's leg had
    /// reached.
    pub(crate) fn was_placed_elsewhere(&self) -> bool {
        let reached = |src: SocketAddr| {
            self.legs.iter().any(|leg| leg.called && leg.dst.is_some_and(|dst| dst.ip() == src.ip()))
        };
        let last = self.legs.last().filter(|leg| matches!(leg.role, LegRole::Switch(_)) && !leg.called);
        last.and_then(|leg| leg.sender.src).is_some_and(|src| !reached(src))
    }

    /// An address of the switch as the directory joins it with its others.
    pub(crate) fn switch_address(&self, address: Option<SocketAddr>) -> Option<SocketAddr> {
        self.account.switch_address(address)
    }

    /// Returns who places a call; a switch with several addresses is one.
    pub(super) fn sender(&self, leg: &LegCreated) -> Sender {
        Sender {
            src: self.switch_address(leg.src),
            sent_by: self.switch_address(leg.sent_by),
            agent: leg.agent.clone(),
        }
    }

    /// Takes back the end of a person who is now tried on another phone or by another trunk, or whose
    /// mailbox now takes the call.
    fn revive(&mut self, person: &Resolved) {
        for index in self.parties.other_indices() {
            let state = &mut self.parties[index];
            if state.pending_end().is_some_and(|waiting| waiting.cause != Cause::AnsweredElsewhere)
                && state.is_person(person)
            {
                self.take_back_end(index);
            }
        }
    }

    /// Takes back the end of a party that waits.
    pub(super) fn take_back_end(&mut self, index: PartyIndex) {
        let state = &mut self.parties[index];
        state.step(Step::TakeBackEnd);
        self.timers.stop(Timer::EndCause(index));
        if let Some(end) = self.queue.iter().rposition(|draft| draft.party == index) {
            self.queue.remove(end);
        }
    }

    /// Returns whether a new call is one that a transfer asked for, and who places it.
    pub(crate) fn follows_transfer(&self, leg: &LegCreated, at: Timestamp) -> Option<Follows> {
        let key = NumberKey::of(&leg.callee);
        let awaited = self.awaits.is_some_and(|(number, until)| number == key && at <= until);
        let moves_to = |state: &PartyState| match state.moving.as_deref() {
            Some(&Moving { to: Destination::Number(target), until, .. }) if at <= until => Some(target),
            _ => None,
        };
        let mover = self.parties.position(|state| moves_to(state).is_some());
        let to_target = mover.is_some_and(|mover| moves_to(&self.parties[mover]) == Some(key));
        if !to_target && !awaited {
            // A number may stand for several phones: then the switch calls them for who is moved.
            let moved = self.transferee().filter(|_| mover.is_some());
            let caller = leg.caller.number.as_deref().map(NumberKey::of);
            let shown = moved.and_then(|moved| self.parties[moved].side().phone_number.as_deref());
            let for_moved = caller.is_some() && caller == shown.map(NumberKey::of);
            return (for_moved && self.has_switch_at(&self.sender(leg))).then_some(Follows::Switch);
        }
        let sender = self.sender(leg);
        if let Some(party) = self.party_at(&sender).filter(|&party| Some(party) != mover) {
            return Some(Follows::OwnPhone(party));
        }
        if let Some(party) = self.party_on_host(&sender, leg).filter(|&party| Some(party) != mover) {
            return Some(Follows::OwnPhone(party));
        }
        self.has_switch_at(&sender).then_some(Follows::Switch)
    }

    /// Returns `true` if a switch that this call has reached is where `sender` calls from.
    fn has_switch_at(&self, sender: &Sender) -> bool {
        self.legs.iter().any(|leg| {
            self.reached(leg, sender).is_some()
                || (matches!(leg.role, LegRole::Switch(_)) && leg.sender.src == sender.src)
        })
    }

    /// The party whose phone is where `sender` calls from.
    pub(super) fn party_at(&self, sender: &Sender) -> Option<PartyIndex> {
        let at = |address: Option<SocketAddr>| {
            address.is_some() && (address == sender.src || address == sender.sent_by)
        };
        let leg = self.legs.iter().find(|leg| {
            let own = if leg.called { leg.dst } else { leg.sender.src };
            matches!(leg.role, LegRole::Party(party) if self.parties[party].is_live()) && at(own)
        })?;
        match leg.role {
            LegRole::Party(party) => Some(party),
            LegRole::Switch(_) | LegRole::Server => None,
        }
    }

    /// Returns `true` if a call that the switch places is one for the caller, who talks with somebody: it shows the caller's
    /// number and offers the caller's media, and nobody asked for it.
    pub(crate) fn is_moved_by(&self, leg: &LegCreated) -> bool {
        let caller = &self.parties[CALLER];
        let own = self.legs.iter().find(|leg| leg.role == LegRole::Party(CALLER) && !leg.ended);
        let number = caller.side().phone_number.as_deref();
        let talks = caller.is_answered() && caller.party.direction == Direction::Outbound;
        talks
            && leg.offer.is_some()
            && own.is_some_and(|own| own.offer == leg.offer && own.sender.src != self.switch_address(leg.dst))
            && number.zip(leg.caller.number.as_deref()).is_some_and(|(own, theirs)| agree(own, theirs))
            && self.party_at(&self.sender(leg)).is_none()
            && self.has_switch_at(&self.sender(leg))
    }

    /// The party whose phone calls from another port than before, as over a further TCP connection: it is on the
    /// same host, and calls with the party's number.
    fn party_on_host(&self, sender: &Sender, leg: &LegCreated) -> Option<PartyIndex> {
        let caller = leg.caller.number.as_deref()?;
        let src = sender.src?;
        let at = self.legs.iter().find_map(|leg| {
            let party = leg.role.party()?;
            let own = if leg.called { leg.dst } else { leg.sender.src };
            let state = &self.parties[party];
            let number = state.side().phone_number.as_deref()?;
            let is_here = own.is_some_and(|own| own.ip() == src.ip());
            (state.is_live() && is_here && agree(number, caller)).then_some(party)
        })?;
        // A switch may call for a party that is behind the same address.
        let is_switch = |leg: &super::Leg| {
            leg.role != LegRole::Party(at)
                && (self.reached(leg, sender) == Some(2) || placed_by(leg, sender) == Some(2))
        };
        (!self.legs.iter().any(is_switch)).then_some(at)
    }

    /// Returns who is moved by a transfer: the party that talks with the one who asked for it.
    pub(crate) fn transferee(&self) -> Option<PartyIndex> {
        let stays = |state: &PartyState| state.is_answered() && state.moving.is_none() && !state.is_service();
        self.parties.position(stays)
    }
}

/// Returns whether the switch has placed a leg from where `sender` calls, and how surely, 1 or 2.
fn placed_by(leg: &super::Leg, sender: &Sender) -> Option<u32> {
    let (own, theirs) = (leg.sender.src?, sender.src?);
    let is_switchs = matches!(leg.role, LegRole::Switch(_)) && !leg.called;
    // Where phones and switch share an address only the port tells them apart.
    let apart = leg.dst.is_none_or(|dst| dst.ip() != own.ip());
    match own.ip() == theirs.ip() {
        true if is_switchs && own == theirs => Some(2),
        true if is_switchs && apart => Some(1),
        _ => None,
    }
}

/// Tests whether a number is another with more digits.
fn is_longer(number: &str, incomplete: &str) -> bool {
    number.len() > incomplete.len() && number.starts_with(incomplete)
}
