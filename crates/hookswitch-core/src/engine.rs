//! The machine: signals and time in, events out.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use foldhash::fast::RandomState;
use hookswitch_model::{
    AccountId, Cause, Causes, ClockId, Direction, Event, ExtensionId, LegCreated, LegId, Origin, Place,
    Reason, Rule, SessionFacts, SessionId, Signal, SignalKind, TelephonySessionId, Timestamp, Transfer,
};

use crate::directory::{Directory, Kind};
use crate::hash::IdHash;
use crate::session::join::{Joiner, Kept, SessionKey};
use crate::session::reason::MissedCallPolicy;
use crate::session::{CAUSE_WAIT, Crossing, Destination, LegRole, Opening, PartyRef, Session};

/// The most sessions that are open at once; beyond it the oldest unanswered call ends as
/// `CallDropped`, and if there is none, the new one is refused (reliability F3).
pub const SESSIONS_MAX: usize = 1_000_000;

/// How the machine behaves where users differ.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// When a call counts as missed.
    pub missed_calls: MissedCallPolicy,
    /// Whether an ordinary hang-up has the reason `CallFinished`; none by default, as recorded.
    pub explicit_reasons: bool,
    /// Whether legs without a common id are joined by the heuristic of host, numbers and time.
    pub join_by_numbers: bool,
    /// The most sessions that are open at once.
    pub sessions_max: usize,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            missed_calls: MissedCallPolicy::default(),
            explicit_reasons: false,
            join_by_numbers: true,
            sessions_max: SESSIONS_MAX,
        }
    }
}

/// What went through the machine. `signals` is the sum of `applied`, `without_leg` and `refused`;
/// `sessions` is the sum of `closed` and the sessions that are open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Signals that came in.
    pub signals: u64,
    /// Signals that reached a session.
    pub applied: u64,
    /// Signals about a leg of which nothing is known, or whose session is closed.
    pub without_leg: u64,
    /// Signals that found a table full.
    pub refused: u64,
    /// Sessions that were opened.
    pub sessions: u64,
    /// Sessions that are closed.
    pub closed: u64,
    /// Events that came out.
    pub events: u64,
}

/// The open sessions.
pub(crate) type Sessions = HashMap<SessionKey, Box<OpenSession>, RandomState>;

/// An open session and what must be cleared away with it.
pub(crate) struct OpenSession {
    pub(crate) session: Session,
    kept: Kept,
    /// The clock of the source that opened it; its timers go by it.
    clock: ClockId,
    /// When its timer fires.
    armed: Option<Timestamp>,
}

/// All sessions of all accounts, as one machine.
///
/// Does no IO and reads no clock. After each `handle_*`, drain [`Engine::poll_event`], then come
/// back no later than [`Engine::poll_timeout`]. The same signals give the same events.
pub struct Engine {
    directory: Directory,
    policy: Policy,
    sessions: Sessions,
    legs: HashMap<LegId, SessionKey, RandomState>,
    joiner: Joiner,
    /// The session of each conference room that somebody is in.
    conferences: HashMap<(AccountId, ExtensionId), SessionKey, RandomState>,
    /// The sessions in which a call was parked.
    parked: Vec<SessionKey>,
    /// The codes that the switch answered last, and when.
    takers: Vec<(Timestamp, SessionKey)>,
    /// The sessions in which an offer was withdrawn and it is not clear who took the call.
    taken: Vec<SessionKey>,
    /// When each session wants to be woken, by its clock; an entry may be early, never late.
    timers: BTreeSet<(ClockId, Timestamp, SessionKey)>,
    next_key: SessionKey,
    events: VecDeque<Event>,
    counters: Counters,
}

impl Engine {
    /// A machine without sessions.
    pub fn new(directory: Directory, policy: Policy) -> Self {
        Self {
            directory,
            policy,
            sessions: HashMap::default(),
            legs: HashMap::default(),
            joiner: Joiner::default(),
            conferences: HashMap::default(),
            parked: Vec::new(),
            takers: Vec::new(),
            taken: Vec::new(),
            timers: BTreeSet::new(),
            next_key: 0,
            events: VecDeque::new(),
            counters: Counters::default(),
        }
    }

    /// Applies one signal, timed by `clock`. Timers of that clock that were due before it fire first.
    pub fn handle_signal(&mut self, clock: ClockId, signal: &Signal) {
        self.handle_time(clock, signal.at);
        self.counters.signals += 1;
        let key = match &signal.kind {
            SignalKind::Created(leg) if !self.legs.contains_key(&signal.leg) => {
                self.create(clock, leg, signal)
            }
            _ => self.apply(signal),
        };
        if let Some(key) = key {
            self.settle(key);
        }
    }

    /// Fires the timers that are due when `clock` shows `now`.
    pub fn handle_time(&mut self, clock: ClockId, now: Timestamp) {
        while let Some(at @ (_, due, key)) = self.next_timer(clock) {
            if due > now {
                break;
            }
            self.timers.remove(&at);
            if let Some(open) = self.sessions.get_mut(&key) {
                open.armed = None;
                if open.session.next_deadline() <= now {
                    open.session.handle_time(now, &self.policy);
                }
                self.settle(key);
            }
        }
    }

    /// Decides all that waits for further signals: the input has ended. Open calls stay open.
    pub fn finish(&mut self) {
        let mut keys: Vec<SessionKey> = self.sessions.keys().copied().collect();
        keys.sort_unstable();
        for key in keys {
            if let Some(open) = self.sessions.get_mut(&key) {
                open.session.decide_all(&self.policy);
            }
            self.settle(key);
        }
    }

    /// The next event, in the order in which they came about.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`Engine::handle_time`] wants to be called for this clock at the latest.
    pub fn poll_timeout(&self, clock: ClockId) -> Option<Timestamp> {
        self.next_timer(clock).map(|(_, at, _)| at)
    }

    fn next_timer(&self, clock: ClockId) -> Option<(ClockId, Timestamp, SessionKey)> {
        let from = (clock, Timestamp::from_micros(i64::MIN), SessionKey::MIN);
        self.timers.range(from..).next().copied().filter(|&(of, ..)| of == clock)
    }

    /// How many sessions are open.
    pub fn open_sessions(&self) -> usize {
        self.sessions.len()
    }

    /// What went through.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    fn create(&mut self, clock: ClockId, leg: &LegCreated, signal: &Signal) -> Option<SessionKey> {
        let key = match leg.direction {
            Direction::Outbound => self.create_calling(clock, leg, signal),
            Direction::Inbound => {
                let Some(created) = self.create_called(leg, signal) else {
                    self.counters.without_leg += 1;
                    return None;
                };
                created
            }
        };
        let Some(key) = key else {
            self.counters.refused += 1;
            return None;
        };
        self.counters.applied += 1;
        self.legs.insert(signal.leg, key);
        if let Some(open) = self.sessions.get_mut(&key) {
            let OpenSession { session, kept, .. } = &mut **open;
            let account = session.facts.account;
            self.joiner.add_aliases(account, &leg.aliases, key, kept);
            let reached = if leg.direction == Direction::Inbound {
                leg.dst
            } else {
                leg.src.filter(|_| session.facts.origin == Origin::RingOut)
            };
            if let Some(host) = reached {
                self.joiner.add_host(account, host.ip(), session, key, kept);
            }
        }
        Some(key)
    }

    /// The session of a leg to somebody who is called, if the calling leg is known; none inside when
    /// that session is full.
    fn create_called(&mut self, leg: &LegCreated, signal: &Signal) -> Option<Option<SessionKey>> {
        if let Some(Place::SamePartyAs(same)) = leg.place
            && let Some((key, index)) = self.leg(same)
        {
            self.session(key)?.add_same_party_leg(index, leg, signal);
            return Some(Some(key));
        }
        let (key, index) = self.leg(leg.of?)?;
        let policy = self.policy;
        let session = self.session(key)?;
        let role = session.legs[index].role;
        Some(session.offer(leg, role, signal, &policy).then_some(key))
    }

    /// The session of a leg of somebody who calls: the call that it belongs to, or a new one.
    fn create_calling(&mut self, clock: ClockId, leg: &LegCreated, signal: &Signal) -> Option<SessionKey> {
        let account = self.directory.owner(leg).unwrap_or(signal.account);
        if let Some(placed) = self.create_placed(clock, account, leg, signal) {
            return placed;
        }
        for key in self.joiner.expecting(account, &leg.callee) {
            let Some(session) = self.session(key) else { continue };
            match session.follows_transfer(leg, signal.at) {
                Some(Some(party)) => session.add_own_leg(party, leg, signal, None),
                Some(None) => session.add_switch_leg(leg, signal, Rule::TransferFollowed),
                None => continue,
            }
            return Some(key);
        }
        let heuristic = self.policy.join_by_numbers;
        if let Some((key, rule)) = self.joiner.find(account, leg, signal.at, &self.sessions, heuristic) {
            self.session(key)?.add_switch_leg(leg, signal, rule);
            return Some(key);
        }
        let callee = self.directory.account(account).callee(leg);
        match callee.kind {
            Kind::Conference => self.enter_conference(clock, account, callee.extension, leg, signal),
            Kind::Park => {
                let opening = self.parked_at(account, &leg.callee).map_or(Opening::Call, Opening::Retrieval);
                self.open(clock, account, opening, leg, signal)
            }
            _ => {
                let rings_out = leg.sent_by_server
                    && self.directory.account(account).is_inside(leg)
                    && !leg.caller.withheld;
                let opening = if rings_out { Opening::RingOut } else { Opening::Call };
                self.open(clock, account, opening, leg, signal)
            }
        }
    }

    /// The session of a leg whose request says where it belongs; none outside when it does not, or what
    /// it names is not known.
    fn create_placed(
        &mut self,
        clock: ClockId,
        account: AccountId,
        leg: &LegCreated,
        signal: &Signal,
    ) -> Option<Option<SessionKey>> {
        let (named, joins) = match leg.place? {
            Place::Replaces(named) => (named, false),
            Place::Joins(named) => (named, true),
            Place::SamePartyAs(_) => return None,
        };
        let (key, index) = self.leg(named)?;
        let session = self.session(key)?;
        if joins {
            return Some(session.join_in(leg, signal, Rule::JoinsCall).then_some(key));
        }
        let LegRole::Party(party) = session.legs[index].role else { return None };
        if session.is_parked(party) {
            let parked = Opening::Retrieval(PartyRef { session: key, party });
            return Some(self.open(clock, account, parked, leg, signal));
        }
        // The transferred party's phone takes the place of the party that consulted.
        if let Some((other, _)) = session.transfer_target(party)
            && let Some(session) = self.session(other.session)
            && let Some(transferee) = session.transferee()
        {
            session.add_own_leg(transferee, leg, signal, Some(other.party));
            return Some(Some(other.session));
        }
        Some(self.session(key)?.replace(party, leg, signal).then_some(key))
    }

    /// Adds a caller to the conference room that was called; opens it for the first.
    fn enter_conference(
        &mut self,
        clock: ClockId,
        account: AccountId,
        room: Option<ExtensionId>,
        leg: &LegCreated,
        signal: &Signal,
    ) -> Option<SessionKey> {
        let room = (account, room?);
        if let Some(&key) = self.conferences.get(&room)
            && let Some(session) = self.session(key)
        {
            return session.join_in(leg, signal, Rule::ConferenceEntered).then_some(key);
        }
        let key = self.open(clock, account, Opening::Call, leg, signal)?;
        self.conferences.insert(room, key);
        Some(key)
    }

    /// The call that is parked where a number leads, if that is clear.
    fn parked_at(&mut self, account: AccountId, number: &str) -> Option<PartyRef> {
        let slot = self.directory.account(account).park_slot(number);
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
            if at.is_empty() && unnamed.replace(parked).is_some() {
                return None; // two calls whose slots nobody told
            }
        }
        unnamed
    }

    /// The session and the place in it of a leg.
    fn leg(&self, id: LegId) -> Option<(SessionKey, usize)> {
        let key = *self.legs.get(&id)?;
        Some((key, self.sessions.get(&key)?.session.leg(id)?))
    }

    fn session(&mut self, key: SessionKey) -> Option<&mut Session> {
        self.sessions.get_mut(&key).map(|open| &mut open.session)
    }

    fn open(
        &mut self,
        clock: ClockId,
        account: AccountId,
        opening: Opening,
        leg: &LegCreated,
        signal: &Signal,
    ) -> Option<SessionKey> {
        if self.sessions.len() >= self.policy.sessions_max && !self.shed(signal.at) {
            return None;
        }
        let owner = self.directory.account(account);
        let origin = match (opening, leg.ring_out_role) {
            (Opening::RingOut, _) | (_, Some(_)) => Origin::RingOut,
            _ if owner.callee(leg).kind == Kind::Conference => Origin::Conference,
            _ => Origin::Call,
        };
        let facts = Arc::new(session_facts(account, leg, signal.at, origin));
        let key = self.next_key;
        self.next_key += 1;
        let session = Session::open(facts, owner, opening, leg, signal);
        let open = OpenSession { session, kept: Kept::default(), clock, armed: None };
        self.sessions.insert(key, Box::new(open));
        self.counters.sessions += 1;
        Some(key)
    }

    /// Ends the oldest unanswered call to make room; false if all calls are answered.
    fn shed(&mut self, at: Timestamp) -> bool {
        let oldest =
            self.sessions.iter().filter(|(_, open)| !open.session.has_answered()).map(|(&key, _)| key).min();
        let Some(key) = oldest else { return false };
        if let Some(OpenSession { session, .. }) = self.sessions.get_mut(&key).map(Box::as_mut) {
            let cause = Cause::Named(hookswitch_model::Reason::CallDropped);
            session.end_all(cause, at, Rule::TableFull, &self.policy);
            session.decide_all(&self.policy);
        }
        self.settle(key);
        true
    }

    fn apply(&mut self, signal: &Signal) -> Option<SessionKey> {
        let Some((key, index)) = self.leg(signal.leg) else {
            self.counters.without_leg += 1;
            return None;
        };
        self.counters.applied += 1;
        let policy = self.policy;
        if let SignalKind::TransferAsked(transfer) = &signal.kind {
            self.transfer_asked(key, index, transfer, signal);
        } else {
            self.session(key)?.apply(index, signal, &policy);
        }
        self.cross(key);
        Some(key)
    }

    /// A party asked for its call to be moved: to a number, or to the far end of another call of its own.
    fn transfer_asked(&mut self, key: SessionKey, index: usize, transfer: &Transfer, signal: &Signal) {
        let policy = self.policy;
        let consulted = transfer.consulted.and_then(|leg| self.leg(leg)).filter(|&(other, _)| other != key);
        let ends = consulted.and_then(|(other, other_index)| {
            let mine = self.session(key)?.legs[index].role.party()?;
            let theirs = self.session(other)?.legs[other_index].role.party()?;
            Some((PartyRef { session: key, party: mine }, PartyRef { session: other, party: theirs }))
        });
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
    fn cross(&mut self, key: SessionKey) {
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
        let peer = session.peer(place);
        for leg in legs {
            self.legs.insert(leg, taken);
        }
        self.takers.retain(|&(_, other)| other != taker);
        self.taken.retain(|&other| other != taken);
        if let Some(session) = self.session(taker) {
            session.go(0, Reason::Pickup, peer, at, causes, Rule::PickedUpByCode);
        }
        self.settle(taken);
        self.settle(taker);
    }

    /// Takes the events of a session, and closes or arms it.
    fn settle(&mut self, key: SessionKey) {
        let Some(open) = self.sessions.get_mut(&key) else { return };
        let OpenSession { session, armed, clock, .. } = &mut **open;
        let clock = *clock;
        let before = self.events.len();
        session.take_events(&mut self.events);
        self.counters.events += (self.events.len() - before) as u64;
        if !session.is_over() {
            let next = session.next_deadline();
            if armed.is_none_or(|at| at > next) {
                if let Some(at) = armed.replace(next) {
                    self.timers.remove(&(clock, at, key));
                }
                self.timers.insert((clock, next, key));
            }
            return;
        }
        for leg in &session.legs {
            self.legs.remove(&leg.id);
        }
        if let Some(closed) = self.sessions.remove(&key) {
            if closed.session.facts.origin == Origin::Conference {
                self.conferences.retain(|_, room| *room != key);
            }
            self.parked.retain(|parked| *parked != key);
            self.joiner.remove(key, closed.kept);
            if let Some(at) = closed.armed {
                self.timers.remove(&(clock, at, key));
            }
        }
        self.counters.closed += 1;
    }
}

/// Derives the ids of a session from the leg that opened it.
///
/// `sessionId` is 5000 times a hash plus the account's suffix, so that two sessions never differ by
/// the 1000 to 4000 that client code takes for a RingOut pair (contract events §3), and stays
/// below 2^53, so that JavaScript can hold it.
fn session_facts(account: AccountId, leg: &LegCreated, at: Timestamp, origin: Origin) -> SessionFacts {
    let mut hash = IdHash::new("session").number(account.as_u64()).number(at.as_micros().cast_unsigned());
    if let Some(sip) = &leg.sip {
        hash = hash.part(sip.call_id.as_bytes()).part(sip.from_tag.as_bytes());
    }
    let id = TelephonySessionId::new(hash.u128());
    let hash = IdHash::new("sessionId").part(&id.as_u128().to_be_bytes()).u64() >> 24;
    SessionFacts { account, id, session_id: SessionId::new(hash * 5000 + account.suffix()), origin }
}
