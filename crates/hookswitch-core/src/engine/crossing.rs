//! Events in several sessions at once: transfers, pickups, parked calls that are taken, conferences.

use std::sync::Arc;

use hookswitch_model::{AccountId, ConferenceRole, LegId, Origin, Reason, Rule, Transfer};

use super::opening::conference_facts;
use super::{Engine, OpenSession, RoomKey};
use crate::directory::Kind;
use crate::hash::IdHash;
use crate::session::{
    CALLER, CAUSE_WAIT, Context, CrossSessionEffect, Destination, LegRole, MovedParty, PartyIndex, PartyRef,
    Session, SessionKey,
};

impl Engine {
    /// A party asked for its call to be moved: to a number, or to the far end of another call of its own.
    pub(super) fn transfer_asked(
        &mut self,
        key: SessionKey,
        index: usize,
        transfer: &Transfer,
        ctx: &Context,
    ) {
        let consulted =
            transfer.consulted.and_then(|leg| self.leg_for(leg, ctx)).filter(|&(other, _)| other != key);
        let ends = consulted.and_then(|(other, other_index)| {
            let mine = self.session(key)?.legs[index].role.party()?;
            let theirs = self.session(other)?.legs[other_index].role.party()?;
            Some((PartyRef { session: key, party: mine }, PartyRef { session: other, party: theirs }))
        });
        // To connect a call with the place where one has just called to park it is to park it.
        let parks = |theirs: &PartyRef| {
            // Where the switch says that who called there is parked, who is moved is parked there in turn.
            self.sessions.get(&theirs.session).is_some_and(|open| {
                open.session.dialled.kind == Kind::Park && !open.session.is_parked(theirs.party)
            })
        };
        if let Some((mine, theirs)) = ends.filter(|(_, theirs)| parks(theirs)) {
            let number = self.sessions[&theirs.session].session.dialled.number.clone();
            if let Some(session) = self.session(mine.session) {
                session.park_at(mine.party, &number, ctx);
            }
            return;
        }
        let Some((mine, theirs)) = ends else {
            let Some(open) = self.sessions.get_mut(&key) else { return };
            let OpenSession { session, kept, .. } = &mut **open;
            session.transfer_asked(index, transfer, ctx);
            let moved = session.moved_number();
            for number in [Some(&transfer.to), moved.as_ref()].into_iter().flatten() {
                self.joiner.expect(session.facts.account, number, key, kept);
            }
            return;
        };
        for (own, other) in [(mine, theirs), (theirs, mine)] {
            let Some(peer) = self.session(other.session).map(|session| session.peer(other.party)) else {
                continue;
            };
            if let Some(session) = self.session(own.session) {
                session.set_moving(own.party, Destination::Call(other, peer), transfer.by_code, ctx);
            }
        }
    }

    /// The caller's leg of a call was answered though none of its targets was. If a target of a call that looks the
    /// same was, at this moment, and not its caller, the two were taken for each other: they change places. Gives
    /// the session and the place in it of the leg then.
    pub(super) fn uncross(
        &mut self,
        key: SessionKey,
        index: usize,
        ctx: &Context,
    ) -> Option<(SessionKey, usize)> {
        let session = &self.sessions.get(&key)?.session;
        let leg = &session.legs[index];
        if leg.role != LegRole::Party(CALLER) || !session.rings_unanswered() {
            return None;
        }
        let leg = leg.id;
        let mut crossed = self.joiner.twins(session).iter().copied().filter(|&other| {
            let open = self.sessions.get(&other).filter(|_| other != key);
            open.is_some_and(|open| open.session.waits_for_answer(ctx.at) && open.session.is_twin_of(session))
        });
        let (other, None) = (crossed.next()?, crossed.next()) else { return None };
        let [Some(one), Some(two)] = self.sessions.get_disjoint_mut([&key, &other]) else { return None };
        one.session.swap_callers(&mut two.session);
        for (session, key) in [(&one.session, key), (&two.session, other)] {
            for leg in &session.legs {
                self.legs.insert(leg.id, key);
            }
        }
        self.settle(key);
        Some((other, self.session(other)?.leg(leg)?))
    }

    /// Carries out what a signal brought about in more than one session.
    pub(super) fn cross(&mut self, key: SessionKey, ctx: &Context) {
        let Some(session) = self.session(key) else { return };
        let account = session.facts.account;
        let effect = session.effect.take();
        if session.parked().is_some() && !self.parked.contains(&key) {
            self.parked.push(key);
        }
        match effect.map(|effect| *effect) {
            Some(CrossSessionEffect::Transferred { mover }) => self.transferred(key, mover, ctx),
            Some(CrossSessionEffect::Failed { other }) => {
                if let Some(session) = self.session(other.session) {
                    session.cancel_transfer(other.party);
                }
            }
            Some(CrossSessionEffect::Retrieved { parked }) => self.retrieved(key, parked, ctx),
            None => {}
        }
        self.find_taker(key, account, ctx);
        if let Some(session) = self.session(key) {
            session.caller_stays_alone(ctx);
        }
    }

    /// An attended transfer is complete: both parties of who transferred are gone.
    fn transferred(&mut self, key: SessionKey, mover: PartyIndex, ctx: &Context) {
        let Some(session) = self.session(key) else { return };
        let Some((other, peer)) = session.transfer_target(mover) else { return };
        let mine = session.peer(mover);
        let (reason, rule) = (Reason::AttendedTransfer, Rule::TransferCompleted);
        session.go(mover, reason, peer, rule, ctx);
        session.leave_behind(mover);
        if let Some(session) = self.session(other.session) {
            session.go(other.party, reason, mine, rule, ctx);
            session.leave_behind(other.party);
            self.settle(other.session);
        }
    }

    /// A parked call was taken: who parked it is gone.
    fn retrieved(&mut self, key: SessionKey, parked: PartyRef, ctx: &Context) {
        let Some(mine) = self.session(key).map(|session| session.peer(CALLER)) else { return };
        if let Some(session) = self.session(parked.session)
            && session.is_parked(parked.party)
        {
            session.go(parked.party, Reason::Pickup, mine, Rule::ParkRetrieved, ctx);
            self.settle(parked.session);
        }
    }

    /// Looks for the two halves of a pickup by code: a target whose offer was withdrawn though its caller
    /// was answered, and a code that the switch answered at the same moment.
    fn find_taker(&mut self, key: SessionKey, account: AccountId, ctx: &Context) {
        let Some(session) = self.sessions.get(&key).map(|open| &open.session) else { return };
        if let Some(at) = session.code_answered() {
            self.takers.retain(|&(since, taker)| taker != key && at.since(since) <= CAUSE_WAIT);
            self.takers.push((at, key));
            self.taken.retain(|taken| self.sessions.contains_key(taken));
            let taken = self.taken.iter().copied().find(|&taken| self.takes(account, key, taken));
            if let Some(taken) = taken {
                self.pick_up(key, taken, ctx);
            }
        } else if session.was_taken_from().next().is_some() {
            let taker =
                self.takers.iter().map(|&(_, taker)| taker).find(|&taker| self.takes(account, taker, key));
            if let Some(taker) = taker {
                self.pick_up(taker, key, ctx);
            } else if !self.taken.contains(&key) {
                self.taken.retain(|taken| self.sessions.contains_key(taken));
                self.taken.push(key);
            }
        }
    }

    /// Returns `true` if a code was dialled to take the call of a session: it ends with the number of who was
    /// called, or it names nobody and there is only one.
    fn takes(&self, account: AccountId, taker: SessionKey, taken: SessionKey) -> bool {
        let (Some(taker), Some(from)) = (self.sessions.get(&taker), self.sessions.get(&taken)) else {
            return false;
        };
        let (taker, from) = (&taker.session, &from.session);
        let (Some(at), true) =
            (taker.code_answered(), taker.facts.account == account && from.facts.account == account)
        else {
            return false;
        };
        from.last_change().since(at).max(at.since(from.last_change())) <= CAUSE_WAIT
            && from.taken_by_code(&taker.dialled.number).is_some()
    }

    /// Moves the caller of a code to the call that it has taken.
    fn pick_up(&mut self, taker: SessionKey, taken: SessionKey, ctx: &Context) {
        let Some(session) = self.sessions.get(&taker).map(|open| &open.session) else { return };
        let Some(at) = session.code_answered() else { return };
        let code = session.dialled.number.clone();
        let ctx = session.context_at(at, ctx.policy);
        let Some(session) = self.sessions.get(&taken).map(|open| &open.session) else { return };
        let Some(target) = session.taken_by_code(&code) else { return };
        self.takers.retain(|&(_, other)| other != taker);
        self.taken.retain(|&other| other != taken);
        let rule = Rule::PickedUpByCode;
        self.move_to(
            PartyRef { session: taker, party: CALLER },
            taken,
            (Reason::Pickup, rule),
            &ctx,
            |session, by| session.picked_up(target, by, rule, &ctx),
        );
    }

    /// A source says that the call of a party that rings was taken by the holder of another leg.
    pub(super) fn picked_up(&mut self, key: SessionKey, index: usize, by: LegId, ctx: &Context) {
        let Some(session) = self.session(key) else { return };
        let Some(target) = session.legs[index].role.party().filter(|&party| session.rings(party)) else {
            return;
        };
        let Some(taker) = self.caller_elsewhere(by, key, ctx) else { return };
        let rule = Rule::PickedUpAsReported;
        self.move_to(
            PartyRef { session: taker, party: CALLER },
            key,
            (Reason::Pickup, rule),
            ctx,
            |session, by| session.picked_up(target, by, rule, ctx),
        );
    }

    /// A source says that a caller supervises a party of another session.
    pub(super) fn supervises(&mut self, key: SessionKey, index: usize, whom: LegId, ctx: &Context) {
        let Some((supervised, leg)) = self.leg_for(whom, ctx).filter(|&(other, _)| other != key) else {
            return;
        };
        let is_caller =
            self.session(key).is_some_and(|session| session.legs[index].role == LegRole::Party(CALLER));
        if is_caller {
            let ends = (Reason::Supervising, Rule::Supervises);
            self.move_to(PartyRef { session: key, party: CALLER }, supervised, ends, ctx, |session, by| {
                session.supervised(leg, by, ctx)
            });
        }
    }

    /// A source says that a parked call was taken by the holder of another leg.
    pub(super) fn retrieved_by(&mut self, key: SessionKey, index: usize, by: LegId, ctx: &Context) {
        let Some(session) = self.session(key) else { return };
        let Some(party) = session.legs[index].role.party().filter(|&party| session.is_parked(party)) else {
            return;
        };
        let parked = PartyRef { session: key, party };
        let Some(taker) = self.caller_elsewhere(by, key, ctx) else { return };
        if self.session(taker).is_some_and(|session| session.takes_parked(parked)) {
            self.retrieved(taker, parked, ctx);
        }
    }

    /// The session of a caller's leg, when it is another than this one.
    fn caller_elsewhere(&mut self, leg: LegId, than: SessionKey, ctx: &Context) -> Option<SessionKey> {
        let (key, index) = self.leg_for(leg, ctx).filter(|&(key, _)| key != than)?;
        (self.session(key)?.legs[index].role == LegRole::Party(CALLER)).then_some(key)
    }

    /// Lets a party go over to another session, which takes it in; `ends` is what it ends with where it comes
    /// from, if anything was told there.
    fn move_to(
        &mut self,
        PartyRef { session: from, party }: PartyRef,
        to: SessionKey,
        ends: (Reason, Rule),
        ctx: &Context,
        adopt: impl FnOnce(&mut Session, MovedParty) -> PartyIndex,
    ) {
        let Some(session) = self.session(from) else { return };
        let is_discarded = session.is_untold() && party == CALLER && session.is_only_a_caller();
        let by = session.give_up(party);
        let legs: Vec<LegId> = by.leg_ids().collect();
        let Some(session) = self.session(to) else { return };
        let place = adopt(session, by);
        for leg in legs {
            self.legs.insert(leg, to);
        }
        // The party gets its number in the order of what is told.
        self.settle(to);
        let Some(peer) = self.session(to).map(|session| session.peer(place)) else { return };
        if let Some(session) = self.session(from) {
            if is_discarded {
                session.discard();
            } else {
                session.go(party, ends.0, peer, ends.1, ctx);
            }
        }
        self.settle(from);
    }

    /// A call turned out to lead to a conference: its caller goes over to the session of the room.
    pub(super) fn enter_focus(
        &mut self,
        key: SessionKey,
        index: usize,
        room: &str,
        owns: bool,
        ctx: &Context,
    ) {
        let Some(open) = self.sessions.get(&key) else { return };
        let (session, clock) = (&open.session, open.clock);
        let account = session.facts.account;
        let role = if owns { ConferenceRole::Host } else { ConferenceRole::Participant };
        let name = (account, room_key(account, room));
        let owner = self.directory.account(account);
        let listed = owner.resolve(&Arc::from(room), None);
        let listed_as = listed.extension.filter(|_| listed.kind == Kind::Conference);
        let listed_as = listed_as.map(|room| (account, RoomKey::from(room.as_u64())));
        let mut names = [Some(name), listed_as].into_iter().flatten();
        let known = names.find_map(|name| {
            self.conferences.get(&name).copied().filter(|room| self.sessions.contains_key(room))
        });
        if session.facts.origin == Origin::Conference {
            // The number was known to lead to a room; its name is another one of the same room.
            self.conferences.entry(name).or_insert(key);
            if let Some(session) = self.session(key) {
                session.has_conference_role(index, role, ctx);
            }
            return;
        }
        let Some(party) = session.legs[index].role.party() else { return };
        let is_only_a_caller = party == CALLER && session.is_only_a_caller();
        if !is_only_a_caller && !session.reports(party) {
            return;
        }
        let room = known.unwrap_or_else(|| {
            let facts = Arc::new(conference_facts(account, room, ctx.at));
            let session = Session::conference(facts, self.directory.account(account), ctx);
            let opened = self.insert(clock, session);
            self.conferences.extend([Some(name), listed_as].into_iter().flatten().map(|name| (name, opened)));
            opened
        });
        let rule = Rule::FocusReached;
        self.move_to(
            PartyRef { session: key, party },
            room,
            (Reason::Conference, rule),
            ctx,
            |session, by| session.adopt(by, None, Some(role), rule, ctx),
        );
    }
}

fn room_key(account: AccountId, room: &str) -> RoomKey {
    IdHash::new("room").number(account.as_u64()).part(room.as_bytes()).u128()
}
