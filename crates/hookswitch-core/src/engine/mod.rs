//! The machine: signals and time in, events out.

mod crossing;
mod join;
mod opening;
mod recording;
mod resumption;

use std::collections::{BTreeSet, HashMap, VecDeque};

use foldhash::fast::RandomState;
use hookswitch_model::{
    AccountId, Cause, ClockId, Event, LegId, Origin, Rule, Signal, SignalKind, TelephonySessionId, Timestamp,
};
use serde::{Deserialize, Serialize};

use self::join::{IndexEntries, Joiner};
use self::resumption::PresumedOver;
use crate::directory::Directory;
pub use crate::policy::{MissedCallPolicy, Policy, SESSIONS_MAX};
pub use crate::session::LiveParty;
use crate::session::{Context, LiveParties, NewLeg, Session, SessionKey};

/// Number of unanswered sessions that are found at one look over all of them, to be ended one by one.
const SHED_AHEAD: usize = 1024;

/// Counts of signals that went through the engine. `signals` is the sum of `applied`, `without_leg` and `refused`;
/// `sessions` is the sum of `closed` and the sessions that are open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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

/// Names a conference room of an account: by its extension, or by a hash of its address.
type RoomKey = u128;

/// The open sessions.
pub(crate) type Sessions = HashMap<SessionKey, Box<OpenSession>, RandomState>;

/// An open session and what must be cleared away with it.
#[derive(Serialize, Deserialize)]
pub(crate) struct OpenSession {
    pub(crate) session: Session,
    kept: IndexEntries,
    /// The clock of the source that opened it; its timers go by it.
    clock: ClockId,
    /// Time when its timer fires.
    armed: Option<Timestamp>,
    /// Its parties as they stood before they were ended for want of a message.
    stood: Option<Box<LiveParties>>,
}

/// All sessions of all accounts, as one machine.
///
/// Its state can be saved between inputs and read again; it goes on as if nothing had been.
/// Does no IO and reads no clock. After each `handle_*`, drain [`Engine::poll_event`], then come
/// back no later than [`Engine::poll_timeout`]. The same signals give the same events.
#[derive(Serialize, Deserialize)]
pub struct Engine {
    #[serde(skip, default = "Directory::empty")]
    directory: Directory,
    #[serde(skip)]
    policy: Policy,
    sessions: Sessions,
    legs: HashMap<LegId, SessionKey, RandomState>,
    joiner: Joiner,
    /// The session of each conference room that somebody is in.
    conferences: HashMap<(AccountId, RoomKey), SessionKey, RandomState>,
    /// The sessions in which a call was parked.
    parked: Vec<SessionKey>,
    /// The codes that the switch answered last, and when.
    takers: Vec<(Timestamp, SessionKey)>,
    /// The sessions in which an offer was withdrawn and it is not clear who took the call.
    taken: Vec<SessionKey>,
    /// The sessions whose ends were inferred and that may go on.
    presumed_over: PresumedOver,
    /// Time when each session wants to be woken, by its clock; an entry may be early, never late.
    timers: BTreeSet<(ClockId, Timestamp, SessionKey)>,
    next_key: SessionKey,
    /// The unanswered sessions that are ended next when there is no room, the oldest first.
    to_shed: VecDeque<SessionKey>,
    /// Number of calls that are refused without a look for one to end, because there was none.
    not_to_look: usize,
    #[serde(skip)]
    events: VecDeque<Event>,
    counters: Counters,
}

impl OpenSession {
    /// Keeps how the parties stand before legs are ended for want of a message.
    fn note_standing(&mut self, at: Timestamp) {
        if self.stood.as_ref().is_none_or(|stood| stood.at() != at) {
            self.stood = Some(Box::new(self.session.standing(at)));
        }
    }
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
            presumed_over: PresumedOver::default(),
            timers: BTreeSet::new(),
            next_key: 0,
            to_shed: VecDeque::new(),
            not_to_look: 0,
            events: VecDeque::new(),
            counters: Counters::default(),
        }
    }

    /// Goes by another directory and policy from here on; open sessions keep what they know of their
    /// parties. A machine whose state was read from where it was saved must be given them first.
    pub fn set_rules(&mut self, directory: Directory, policy: Policy) {
        self.directory = directory;
        self.policy = policy;
        #[expect(
            clippy::disallowed_methods,
            clippy::iter_over_hash_type,
            reason = "sessions do not see each other"
        )]
        for open in self.sessions.values_mut() {
            let account = self.directory.account(open.session.facts.account);
            open.session.relink(account);
        }
        self.presumed_over.relink(&mut self.directory);
    }

    /// Applies one signal, timed by `clock`. Timers of that clock that were due before it fire first.
    pub fn handle_signal(&mut self, clock: ClockId, signal: &Signal) {
        self.handle_time(clock, signal.at);
        self.counters.signals += 1;
        if !self.presumed_over.is_empty() {
            self.resume(signal);
        }
        let key = match &signal.kind {
            SignalKind::Created(leg) if !self.legs.contains_key(&signal.leg) => {
                let ctx = Context::of(signal, self.policy);
                self.create(clock, signal.account, NewLeg { id: signal.leg, created: leg }, &ctx)
            }
            SignalKind::RecordingSession(recording) => self.recording(signal, recording),
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
                    open.stood = open.session.handle_time(now, self.policy);
                    if open.session.effect.is_some() {
                        let ctx = open.session.context_at(open.session.last_sign(), self.policy);
                        self.cross(key, &ctx);
                    }
                }
                self.settle(key);
            } else {
                self.forget_presumed(key);
            }
        }
    }

    /// Decides all that waits for further signals: the input has ended. Open calls stay open.
    pub fn finish(&mut self) {
        #[expect(clippy::disallowed_methods, reason = "they are sorted")]
        let mut keys: Vec<SessionKey> = self.sessions.keys().copied().collect();
        keys.sort_unstable();
        for key in keys {
            if let Some(open) = self.sessions.get_mut(&key) {
                open.session.decide_all(self.policy);
            }
            self.settle(key);
        }
    }

    /// The next event, in the order in which they came about.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Returns the time when [`Engine::handle_time`] wants to be called for this clock at the latest.
    pub fn poll_timeout(&self, clock: ClockId) -> Option<Timestamp> {
        self.next_timer(clock).map(|(_, at, _)| at)
    }

    fn next_timer(&self, clock: ClockId) -> Option<(ClockId, Timestamp, SessionKey)> {
        let from = (clock, Timestamp::from_micros(i64::MIN), SessionKey::MIN);
        self.timers.range(from..).next().copied().filter(|&(of, ..)| of == clock)
    }

    /// Returns the number of sessions that are open.
    pub fn open_sessions(&self) -> usize {
        self.sessions.len()
    }

    /// Returns what went through.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// The parties of an open session that have not left; none if there is no such session. All open sessions are
    /// looked at: it is for what people ask for, and not for what is asked of every call.
    pub fn live_parties(&self, id: TelephonySessionId) -> Option<Vec<LiveParty>> {
        #[expect(clippy::disallowed_methods, reason = "there is one at most")]
        let mut open = self.sessions.values().map(|open| &open.session);
        open.find(|session| session.facts.id == id).map(Session::live_parties)
    }

    /// The session of a leg.
    pub fn session_of(&self, leg: LegId) -> Option<TelephonySessionId> {
        self.leg(leg).and_then(|(key, _)| Some(self.sessions.get(&key)?.session.facts.id))
    }

    /// The session and the place in it of a leg.
    fn leg(&self, id: LegId) -> Option<(SessionKey, usize)> {
        let key = *self.legs.get(&id)?;
        Some((key, self.sessions.get(&key)?.session.leg(id)?))
    }

    /// The same for a signal: who names an account touches no call of another.
    fn leg_for(&self, id: LegId, ctx: &Context) -> Option<(SessionKey, usize)> {
        let (key, index) = self.leg(id)?;
        let account = self.sessions.get(&key)?.session.facts.account;
        ctx.account.is_none_or(|given| given == account).then_some((key, index))
    }

    fn session(&mut self, key: SessionKey) -> Option<&mut Session> {
        self.sessions.get_mut(&key).map(|open| &mut open.session)
    }

    /// Ends the oldest unanswered call to make room; false if all calls are answered.
    fn shed(&mut self, at: Timestamp) -> bool {
        let Some(key) = self.next_to_shed() else { return false };
        if let Some(OpenSession { session, .. }) = self.sessions.get_mut(&key).map(Box::as_mut) {
            let cause = Cause::Named(hookswitch_model::Reason::CallDropped);
            let ctx = session.context_at(at, self.policy);
            session.end_all(cause, Rule::TableFull, &ctx);
            session.decide_all(self.policy);
        }
        self.settle(key);
        true
    }

    /// The oldest unanswered session. All sessions are looked at once for many that are shed, or that are
    /// refused when all are answered, so that a call costs about as much with a full table as without.
    fn next_to_shed(&mut self) -> Option<SessionKey> {
        let unanswered = |sessions: &Sessions, key: SessionKey| {
            sessions.get(&key).is_some_and(|open| !open.session.has_answered())
        };
        while let Some(key) = self.to_shed.pop_front() {
            if unanswered(&self.sessions, key) {
                return Some(key);
            }
        }
        if self.not_to_look > 0 {
            self.not_to_look -= 1;
            return None;
        }
        #[expect(clippy::disallowed_methods, reason = "they are sorted")]
        let mut keys: Vec<SessionKey> =
            self.sessions.keys().copied().filter(|&key| unanswered(&self.sessions, key)).collect();
        self.not_to_look = if keys.is_empty() { SHED_AHEAD } else { 0 };
        if keys.len() > SHED_AHEAD {
            keys.select_nth_unstable(SHED_AHEAD);
            keys.truncate(SHED_AHEAD);
        }
        keys.sort_unstable();
        self.to_shed = keys.into();
        self.to_shed.pop_front()
    }

    fn apply(&mut self, signal: &Signal) -> Option<SessionKey> {
        let ctx = &Context::of(signal, self.policy);
        let Some((key, index)) = self.leg_for(signal.leg, ctx) else {
            self.counters.without_leg += 1;
            return None;
        };
        self.counters.applied += 1;
        let mut key = key;
        match &signal.kind {
            SignalKind::Answered { .. } => {
                let (twin, index) = self.uncross(key, index, ctx).unwrap_or((key, index));
                key = twin;
                self.session(key)?.apply(index, &signal.kind, ctx);
            }
            SignalKind::TransferAsked(transfer) => self.transfer_asked(key, index, transfer, ctx),
            SignalKind::Focus { room, owns } => self.enter_focus(key, index, room, *owns, ctx),
            SignalKind::PickedUp { by } => self.picked_up(key, index, *by, ctx),
            SignalKind::Retrieved { by } => self.retrieved_by(key, index, *by, ctx),
            SignalKind::Supervises { whom } => self.supervises(key, index, *whom, ctx),
            SignalKind::AlsoAt(address) => {
                let OpenSession { session, kept, .. } = &mut **self.sessions.get_mut(&key)?;
                if session.is_also_at(index, *address) {
                    let account = session.facts.account;
                    self.joiner.add_host(account, address.ip(), session, key, kept);
                }
            }
            SignalKind::Note(note) if note.is_of_inferred_end() => {
                let open = self.sessions.get_mut(&key)?;
                open.note_standing(signal.at);
                open.session.apply(index, &signal.kind, ctx);
            }
            kind => self.session(key)?.apply(index, kind, ctx),
        }
        self.cross(key, ctx);
        Some(key)
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
        // It may go on, if nothing has come since.
        let last_sign = session.last_sign();
        open.stood.take_if(|stood| stood.at() != last_sign);
        if open.stood.is_none() {
            for leg in &open.session.legs {
                self.legs.remove(&leg.id);
            }
        }
        if let Some(closed) = self.sessions.remove(&key) {
            if closed.session.facts.origin == Origin::Conference {
                #[expect(clippy::disallowed_methods, reason = "each is judged by itself")]
                self.conferences.retain(|_, room| *room != key);
            }
            self.parked.retain(|parked| *parked != key);
            self.joiner.remove(key, closed.kept);
            if let Some(at) = closed.armed {
                self.timers.remove(&(clock, at, key));
            }
            if let Some(stood) = closed.stood {
                self.presume_over(key, closed.session, clock, stood);
            }
        }
        self.counters.closed += 1;
    }
}
