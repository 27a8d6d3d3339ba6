//! What happens in several sessions at once: transfers, pickups, parked calls that are taken, conferences.

use std::sync::Arc;

use hookswitch_model::{AccountId, Causes, LegId, Reason, Rule, Signal, Timestamp, Transfer};

use super::opening::conference_facts;
use super::{Engine, OpenSession, RoomKey};
use crate::directory::Kind;
use crate::hash::IdHash;
use crate::session::join::SessionKey;
use crate::session::{CAUSE_WAIT, Crossing, Destination, LegRole, PartyRef, Session};

impl Engine {
    /// A party asked for its call to be moved: to a number, or to the far end of another call of its own.
    pub(super) fn transfer_asked(
        &mut self,
        key: SessionKey,
        index: usize,
        transfer: &Transfer,
        signal: &Signal,
    ) {
        let policy = self.policy;
        let consulted = transfer.consulted.and_then(|leg| self.leg(leg)).filter(|&(other, _)| other != key);
        let ends = consulted.and_then(|(other, other_index)| {
            let mine = self.session(key)?.legs[index].role.party()?;
            let theirs = self.session(other)?.legs[other_index].role.party()?;
            Some((PartyRef { session: key, party: mine }, PartyRef { session: other, party: theirs }))
        });
        // To connect a call with the place where one has just called to park it is to park it.
        let parks = |theirs: &PartyRef| {
            self.sessions.get(&theirs.session).is_some_and(|open| open.session.dialled.kind == Kind::Park)
        };
        if let Some((mine, theirs)) = ends.filter(|(_, theirs)| parks(theirs)) {
            let number = self.sessions[&theirs.session].session.dialled.number.clone();
            if let Some(session) = self.session(mine.session) {
                session.park_at(mine.party, &number, signal);
            }
            return;
        }
        let Some((mine, theirs)) = ends else {
            let Some(open) = self.sessions.get_mut(&key) else { return };
            let OpenSession { session, kept, .. } = &mut **open;
            session.apply(index, signal, &policy);
            self.joiner.expect(session.facts.account, &transfer.to, key, kept);
            return;
        };
        for (own, other) in [(mine, theirs), (theirs, mine)] {
            let Some(peer) = self.session(other.session).map(|session| session.peer(other.party)) else {
                continue;
            };
            if let Some(session) = self.session(own.session) {
                session.set_moving(own.party, Destination::Call(other, peer), transfer.by_code, signal);
            }
        }
    }

    /// Carries out what a signal brought about in more than one session.
    pub(super) fn cross(&mut self, key: SessionKey) {
        let policy = self.policy;
        let Some(session) = self.session(key) else { return };
        let account = session.facts.account;
        let crossing = session.crossing.take();
        if session.parked().is_some() && !self.parked.contains(&key) {
            self.parked.push(key);
        }
        match crossing.map(|crossing| *crossing) {
            Some(Crossing::Transferred { mover, at, causes }) => self.transferred(key, mover, at, &causes),
            Some(Crossing::Failed { other }) => {
                if let Some(session) = self.session(other.session) {
                    session.stay(other.party);
                }
            }
            Some(Crossing::Retrieved { parked, at, causes }) => self.retrieved(key, parked, at, causes),
            None => {}
        }
        self.find_taker(key, account);
        if let Some(session) = self.session(key) {
            session.caller_stays_alone(&policy);
        }
    }

    /// An attended transfer is complete: both parties of who transferred are gone.
    fn transferred(&mut self, key: SessionKey, mover: usize, at: Timestamp, causes: &Causes) {
        let Some(session) = self.session(key) else { return };
        let Some((other, peer)) = session.transfer_target(mover) else { return };
        let mine = session.peer(mover);
        let (reason, rule) = (Reason::AttendedTransfer, Rule::TransferCompleted);
        session.go(mover, reason, peer, at, causes.clone(), rule);
        if let Some(session) = self.session(other.session) {
            session.go(other.party, reason, mine, at, causes.clone(), rule);
            self.settle(other.session);
        }
    }

    /// A parked call was taken: who parked it is gone.
    fn retrieved(&mut self, key: SessionKey, parked: PartyRef, at: Timestamp, causes: Causes) {
        let Some(mine) = self.session(key).map(|session| session.peer(0)) else { return };
        if let Some(session) = self.session(parked.session)
            && session.is_parked(parked.party)
        {
            session.go(parked.party, Reason::Pickup, mine, at, causes, Rule::ParkRetrieved);
            self.settle(parked.session);
        }
    }

    /// Looks for the two halves of a pickup by code: a target whose offer was withdrawn though its caller
    /// was answered, and a code that the switch answered at the same moment.
    fn find_taker(&mut self, key: SessionKey, account: AccountId) {
        let Some(session) = self.sessions.get(&key).map(|open| &open.session) else { return };
        if let Some(at) = session.code_answered() {
            self.takers.retain(|&(since, taker)| taker != key && at.since(since) <= CAUSE_WAIT);
            self.takers.push((at, key));
            self.taken.retain(|taken| self.sessions.contains_key(taken));
            let taken = self.taken.iter().copied().find(|&taken| self.takes(account, key, taken));
            if let Some(taken) = taken {
                self.pick_up(key, taken);
            }
        } else if session.was_taken_from().next().is_some() {
            let taker =
                self.takers.iter().map(|&(_, taker)| taker).find(|&taker| self.takes(account, taker, key));
            if let Some(taker) = taker {
                self.pick_up(taker, key);
            } else if !self.taken.contains(&key) {
                self.taken.retain(|taken| self.sessions.contains_key(taken));
                self.taken.push(key);
            }
        }
    }

    /// Whether a code was dialled to take the call of a session: it ends with the number of who was
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
    fn pick_up(&mut self, taker: SessionKey, taken: SessionKey) {
        let policy = self.policy;
        let Some(session) = self.session(taker) else { return };
        let Some(at) = session.code_answered() else { return };
        let code = session.dialled.number.clone();
        let causes = session.last_cause();
        let by = session.give_up_caller(at, causes.clone());
        let legs: Vec<LegId> = by.leg_ids().collect();
        let Some(session) = self.session(taken) else { return };
        let Some(target) = session.taken_by_code(&code) else { return };
        let place = session.picked_up(target, by, &policy);
        for leg in legs {
            self.legs.insert(leg, taken);
        }
        // The party gets its number in the order of what is told.
        self.settle(taken);
        let Some(peer) = self.session(taken).map(|session| session.peer(place)) else { return };
        self.takers.retain(|&(_, other)| other != taker);
        self.taken.retain(|&other| other != taken);
        if let Some(session) = self.session(taker) {
            if session.is_untold() {
                session.vanish();
            } else {
                session.go(0, Reason::Pickup, peer, at, causes, Rule::PickedUpByCode);
            }
        }
        self.settle(taker);
    }

    /// A call turned out to lead to a conference: its caller goes over to the session of the room.
    pub(super) fn enter_focus(&mut self, key: SessionKey, index: usize, room: &str, signal: &Signal) {
        let Some(open) = self.sessions.get_mut(&key) else { return };
        let (session, clock) = (&mut open.session, open.clock);
        let account = session.facts.account;
        if session.legs[index].role != LegRole::Party(0) || !session.is_only_a_caller() {
            return;
        }
        let causes = Causes::one(signal.input);
        let by = session.give_up_caller(signal.at, causes.clone());
        let legs: Vec<LegId> = by.leg_ids().collect();
        let name = (account, room_key(account, room));
        let known = self.conferences.get(&name).copied().filter(|room| self.sessions.contains_key(room));
        let room = known.unwrap_or_else(|| {
            let facts = Arc::new(conference_facts(account, room, signal.at));
            let session = Session::conference(facts, self.directory.account(account), signal);
            let opened = self.insert(clock, session);
            self.conferences.insert(name, opened);
            opened
        });
        let Some(session) = self.session(room) else { return };
        let place = session.take_in(by, None, Rule::FocusReached);
        for leg in legs {
            self.legs.insert(leg, room);
        }
        self.settle(room);
        let Some(peer) = self.session(room).map(|session| session.peer(place)) else { return };
        if let Some(session) = self.session(key) {
            session.go(0, Reason::Conference, peer, signal.at, causes, Rule::FocusReached);
        }
    }
}

fn room_key(account: AccountId, room: &str) -> RoomKey {
    IdHash::new("room").number(account.as_u64()).part(room.as_bytes()).u128()
}
