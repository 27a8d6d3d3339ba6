//! Home of a new leg: a call that is open, or a new one.

use std::sync::Arc;

use hookswitch_model::{
    AccountId, Alias, ClockId, Direction, ExtensionId, LegCreated, LegRelation, Origin, RingOutRole, Rule,
    SessionFacts, SessionId, TelephonySessionId, Timestamp,
};

use super::join::{IndexEntries, Joined};
use super::{Engine, OpenSession, RoomKey};
use crate::directory::Kind;
use crate::hash::IdHash;
use crate::session::{Context, Follows, LegRole, NewLeg, Opening, PartyRef, Session, SessionKey};

/// Session that a new leg belongs to.
enum Found {
    /// In this session.
    In(SessionKey),
    /// In a session that is full.
    Full,
    /// In none that is known.
    Nowhere,
}

impl From<Option<SessionKey>> for Found {
    /// A session that took the leg; none if it is full.
    fn from(taken: Option<SessionKey>) -> Self {
        taken.map_or(Self::Full, Self::In)
    }
}

impl Engine {
    pub(super) fn create(
        &mut self,
        clock: ClockId,
        account: AccountId,
        leg: NewLeg<'_>,
        ctx: &Context,
    ) -> Option<SessionKey> {
        let key = match leg.direction {
            Direction::Outbound => Found::from(self.create_calling(clock, account, leg, ctx)),
            Direction::Inbound => self.create_called(leg, ctx),
        };
        let key = match key {
            Found::In(key) => key,
            Found::Full => {
                self.counters.refused += 1;
                return None;
            }
            Found::Nowhere => {
                self.counters.without_leg += 1;
                return None;
            }
        };
        self.counters.applied += 1;
        self.legs.insert(leg.id, key);
        // A caller who claims the domain of another account has the switch repeat that claim on its own legs.
        let claimed = if ctx.account.is_some() { None } else { self.directory.claimed(&leg) };
        if let Some(open) = self.sessions.get_mut(&key) {
            let OpenSession { session, kept, .. } = &mut **open;
            let account = session.facts.account;
            self.joiner.add_aliases(account, &leg.aliases, key, kept);
            let is_switchs = session.facts.origin == Origin::RingOut || session.was_placed_elsewhere();
            let reached = match leg.direction {
                Direction::Inbound => leg.dst,
                Direction::Outbound => leg.src.filter(|_| is_switchs),
            };
            let switch = session.switch_address(leg.src).filter(|_| session.is_rewritten_target(&leg));
            if let Some(switch) = switch {
                self.joiner.add_target(account, switch.ip(), &leg.callee, key, kept);
            }
            let claimed = claimed.filter(|&claimed| claimed != account);
            if let Some(claimed) = claimed {
                self.joiner.add_aliases(claimed, &leg.aliases, key, kept);
            }
            if let Some(host) = session.switch_address(reached) {
                self.joiner.add_host(account, host.ip(), session, key, kept);
                if let Some(claimed) = claimed {
                    self.joiner.add_host(claimed, host.ip(), session, key, kept);
                }
            }
        }
        Some(key)
    }

    /// The session of a leg to somebody who is called, if the calling leg is known.
    fn create_called(&mut self, leg: NewLeg<'_>, ctx: &Context) -> Found {
        if let Some(LegRelation::SamePartyAs(same)) = leg.place
            && let Some((key, index)) = self.leg_for(same, ctx)
            && let Some(session) = self.session(key)
        {
            session.add_same_party_leg(index, leg, ctx);
            return Found::In(key);
        }
        let Some((key, index)) = leg.of.and_then(|of| self.leg_for(of, ctx)) else {
            return Found::Nowhere;
        };
        let Some(session) = self.session(key) else { return Found::Nowhere };
        let role = session.legs[index].role;
        Found::from(session.attempt(leg, role, ctx).then_some(key))
    }

    /// The session of a leg of somebody who calls: the call that it belongs to, or a new one.
    fn create_calling(
        &mut self,
        clock: ClockId,
        account: AccountId,
        leg: NewLeg<'_>,
        ctx: &Context,
    ) -> Option<SessionKey> {
        let owner = if ctx.account.is_some() { None } else { self.directory.owner(&leg) };
        let account = owner.unwrap_or(account);
        match self.create_placed(clock, account, leg, ctx) {
            Found::In(key) => return Some(key),
            Found::Full => return None,
            Found::Nowhere => {}
        }
        let mut expecting = self.joiner.expecting(account, &leg.callee);
        if let Some(number) = &leg.caller.number {
            expecting.extend(self.joiner.expecting(account, number));
        }
        for key in expecting {
            let Some(session) = self.session(key) else { continue };
            match session.follows_transfer(&leg, ctx.at) {
                Some(Follows::OwnPhone(party)) => session.add_own_leg(party, leg, ctx),
                Some(Follows::Switch) => session.add_switch_leg(leg, Rule::TransferFollowed, ctx),
                None => continue,
            }
            return Some(key);
        }
        let heuristic = self.policy.join_by_numbers;
        let owner = self.directory.account(account);
        let joined = self.joiner.find(&owner, &leg, ctx.at, &self.sessions, heuristic);
        if let Joined::To(key, rule) = joined {
            self.session(key)?.add_switch_leg(leg, rule, ctx);
            return Some(key);
        }
        if joined == Joined::ToNone
            && heuristic
            && let Some(key) = self.joiner.moved_by(&owner, &leg, &self.sessions)
        {
            self.session(key)?.add_switch_leg(leg, Rule::MovedBySwitch, ctx);
            return Some(key);
        }
        let callee = owner.callee(&leg);
        match callee.kind {
            Kind::Conference => self.enter_conference(clock, account, callee.extension, leg, ctx),
            Kind::Park => {
                let opening = self.parked_at(account, &leg.callee).map_or(Opening::Call, Opening::Retrieval);
                self.open(clock, account, opening, leg, ctx)
            }
            _ => {
                // A switch says itself whom it calls first, who may be outside.
                let rings_out = (leg.reported && leg.ring_out_role == Some(RingOutRole::Initiator))
                    || (leg.sent_by_server && owner.is_inside(&leg) && !leg.caller.withheld);
                let opening = match joined {
                    Joined::Unclear => Opening::Unclear,
                    _ if rings_out => Opening::RingOut,
                    _ => Opening::Call,
                };
                self.open(clock, account, opening, leg, ctx)
            }
        }
    }

    /// The session of a leg whose request says where it belongs.
    fn create_placed(&mut self, clock: ClockId, account: AccountId, leg: NewLeg<'_>, ctx: &Context) -> Found {
        let (named, joins) = match leg.place {
            Some(LegRelation::Replaces(named)) => (named, false),
            Some(LegRelation::Joins(named)) => (named, true),
            Some(LegRelation::SamePartyAs(_)) | None => return Found::Nowhere,
        };
        let Some((key, index)) = self.leg_for(named, ctx) else { return Found::Nowhere };
        let Some(session) = self.session(key) else { return Found::Nowhere };
        if joins {
            return session.join_in(leg, Rule::JoinsCall, ctx).then_some(key).into();
        }
        let LegRole::Party(party) = session.legs[index].role else { return Found::Nowhere };
        if session.takes_back(index, leg, ctx) {
            return Found::In(key);
        }
        if session.is_parked(party) {
            let parked = Opening::Retrieval(PartyRef { session: key, party });
            return self.open(clock, account, parked, leg, ctx).into();
        }
        // The transferred party's phone takes the place of the party that consulted.
        if let Some((other, _)) = session.transfer_target(party)
            && let Some(session) = self.session(other.session)
            && let Some(transferee) = session.transferee()
        {
            session.add_own_leg(transferee, leg, ctx);
            return Found::In(other.session);
        }
        self.session(key).and_then(|session| session.replace(party, leg, ctx).then_some(key)).into()
    }

    /// Adds a caller to the conference room that was called; opens it for the first.
    fn enter_conference(
        &mut self,
        clock: ClockId,
        account: AccountId,
        room: Option<ExtensionId>,
        leg: NewLeg<'_>,
        ctx: &Context,
    ) -> Option<SessionKey> {
        let room = (account, RoomKey::from(room?.as_u64()));
        if let Some(&key) = self.conferences.get(&room)
            && let Some(session) = self.session(key)
        {
            return session.join_in(leg, Rule::ConferenceEntered, ctx).then_some(key);
        }
        let key = self.open(clock, account, Opening::Call, leg, ctx)?;
        self.conferences.insert(room, key);
        Some(key)
    }

    /// The call that is parked where a number leads, if that is clear.
    fn parked_at(&mut self, account: AccountId, number: &str) -> Option<PartyRef> {
        let owner = self.directory.account(account);
        let slot = owner.park_slot(number);
        let is_slot = owner.is_slot(number);
        let mut unnamed = None;
        for &key in &self.parked {
            let Some(session) = self.sessions.get(&key).map(|open| &open.session) else { continue };
            let Some((party, at)) = session.parked().filter(|_| session.facts.account == account) else {
                continue;
            };
            let parked = PartyRef { session: key, party };
            if slot.as_deref() == Some(at) {
                return Some(parked);
            }
            let may_be = at.is_empty() || !(is_slot || owner.is_slot(at));
            if may_be && unnamed.replace(parked).is_some() {
                return None; // two calls whose slots nobody told
            }
        }
        unnamed
    }

    fn open(
        &mut self,
        clock: ClockId,
        account: AccountId,
        opening: Opening,
        leg: NewLeg<'_>,
        ctx: &Context,
    ) -> Option<SessionKey> {
        if self.sessions.len() >= self.policy.sessions_max && !self.shed(ctx.at) {
            return None;
        }
        let owner = self.directory.account(account);
        let origin = match (opening, leg.ring_out_role) {
            (Opening::RingOut, _) | (_, Some(_)) => Origin::RingOut,
            _ if owner.callee(&leg).kind == Kind::Conference => Origin::Conference,
            _ => Origin::Call,
        };
        let facts = Arc::new(session_facts(account, &leg, ctx.at, origin));
        Some(self.insert(clock, Session::open(facts, owner, opening, leg, ctx)))
    }

    pub(super) fn insert(&mut self, clock: ClockId, session: Session) -> SessionKey {
        let key = self.next_key;
        self.next_key += 1;
        let open = OpenSession { session, kept: IndexEntries::default(), clock, armed: None, stood: None };
        self.sessions.insert(key, Box::new(open));
        self.counters.sessions += 1;
        key
    }
}

/// Derives the ids of the session of a conference that only its focus makes known.
pub(super) fn conference_facts(account: AccountId, room: &str, at: Timestamp) -> SessionFacts {
    let hash = IdHash::new("conference").number(account.as_u64()).number(at.as_micros().cast_unsigned());
    facts(account, &hash.part(room.as_bytes()), Origin::Conference)
}

/// Derives the ids of a session from the leg that opened it.
///
/// `sessionId` is 5000 times a hash plus the account's suffix, so that two sessions never differ by
/// the 1000 to 4000 that client code takes for a RingOut pair (contract events §3), and stays
/// below 2^53, so that JavaScript can hold it.
fn session_facts(account: AccountId, leg: &LegCreated, at: Timestamp, origin: Origin) -> SessionFacts {
    let mut hash = IdHash::new("session").number(account.as_u64()).number(at.as_micros().cast_unsigned());
    let channel = leg.aliases.iter().find_map(|alias| match alias {
        Alias::Channel(id) => Some(id),
        _ => None,
    });
    if let Some(channel) = channel {
        hash = hash.part(channel);
    } else if let Some(sip) = &leg.sip {
        hash = hash.part(sip.call_id.as_bytes()).part(sip.from_tag.as_bytes());
    }
    facts(account, &hash, origin)
}

fn facts(account: AccountId, hash: &IdHash, origin: Origin) -> SessionFacts {
    facts_of(account, TelephonySessionId::new(hash.u128()), origin)
}

/// Derives the other id of a session from its first.
pub(super) fn facts_of(account: AccountId, id: TelephonySessionId, origin: Origin) -> SessionFacts {
    let hash = IdHash::new("sessionId").part(&id.as_u128().to_be_bytes()).u64() >> 24;
    SessionFacts { account, id, session_id: SessionId::new(hash * 5000 + account.suffix()), origin }
}
