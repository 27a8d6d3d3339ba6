//! The parties of one call, from the first sign of it to the last hang-up.
//!
//! The machine knows no protocol: it reads [`SignalKind`]s and writes [`Event`]s. What it cannot
//! decide yet waits in its queue, and with it all that came later in the same session, so that the
//! events of a session always come out in the order of their times:
//! * whether the far end of a called leg is the callee or a server that passes the call on,
//! * why an offer was withdrawn from a target.
//!
//! Both are settled by the next signal that tells, or after [`CAUSE_WAIT`] of signal time.

pub(crate) mod join;
mod party;
pub mod reason;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hookswitch_model::{
    Cause, Causes, Direction, Endpoint, Event, FarEnd, InputRef, LegCreated, LegId, Rule, SessionFacts,
    Signal, SignalKind, StatusCode, Timestamp,
};

use self::party::{PartyState, Standing, Waiting};
use self::reason::Role;
use crate::directory::{Account, Resolved};
use crate::engine::Policy;

/// How long an undecided change may wait for the signal that decides it, in signal time.
pub const CAUSE_WAIT: Duration = Duration::from_millis(500);

/// How long an unanswered call may go without a sign of life: longer than Timer C, which is itself
/// over 3 minutes (RFC 3261 §16.6).
pub const RING_MAX: Duration = Duration::from_secs(240);

/// How long an answered call may go without a sign of life when it has no session timer.
pub const ANSWERED_SILENT_MAX: Duration = Duration::from_secs(24 * 3600);

/// How long a caller may take to try again after a challenge or a redirection: Timer B and F of
/// RFC 3261 §17.1, 64 times T1.
pub const RETRY_MAX: Duration = Duration::from_secs(32);

/// Two targets that were offered the call within this time are members of one group; a later one
/// is where the call was forwarded to.
const GROUP_SPAN: Duration = Duration::from_millis(200);

/// The most parties a session can have; further targets are refused and counted (reliability F3).
pub const PARTIES_PER_SESSION_MAX: usize = 64;

/// The most legs a session can have at once; further ones are refused and counted.
pub const LEGS_PER_SESSION_MAX: usize = 256;

/// The state of one call.
pub(crate) struct Session {
    pub(crate) facts: Arc<SessionFacts>,
    account: Arc<Account>,
    pub(crate) started: Timestamp,
    /// When the last signal of the call came, and what told it.
    last_sign: Timestamp,
    last_input: InputRef,
    /// How long the answered call may go without a sign of life.
    silent_max: Duration,
    /// In the order in which they were offered the call; the caller is the first.
    parties: Vec<PartyState>,
    pub(crate) legs: Vec<Leg>,
    queue: VecDeque<Box<Draft>>,
    /// The time of the last change.
    changed: Timestamp,
    sequence: u32,
    numbers: u32,
    /// The number that the caller dialled.
    pub(crate) dialled: Resolved,
    /// The far end of the caller's leg asked for credentials.
    challenged: bool,
    /// The caller must try again until then.
    retry_by: Option<Timestamp>,
    /// What the server at the far end of the caller's leg calls itself.
    pub(crate) served_by: Option<Arc<str>>,
}

/// One connection between the phone system and one end of the call.
pub(crate) struct Leg {
    pub(crate) id: LegId,
    pub(crate) role: LegRole,
    pub(crate) sender: Sender,
    dst: Option<SocketAddr>,
    /// A target's leg in the SIP call of the caller itself, not in one that the switch placed.
    of_caller: bool,
    ended: bool,
}

/// Who places a call, as far as its messages show.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Sender {
    /// Where its messages come from.
    pub(crate) src: Option<SocketAddr>,
    /// Where it says it listens.
    pub(crate) sent_by: Option<SocketAddr>,
    /// What it calls itself.
    pub(crate) agent: Option<Arc<str>>,
}

impl Sender {
    pub(crate) fn of(leg: &LegCreated) -> Self {
        Self { src: leg.src, sent_by: leg.sent_by, agent: leg.agent.clone() }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LegRole {
    /// The leg of the caller.
    Caller,
    /// The leg of a target: its place among the parties.
    Target(usize),
    /// The switch's own end of a call that it placed.
    Switch(Rule),
}

/// A change that waits to be told.
struct Draft {
    party: usize,
    at: Timestamp,
    after: hookswitch_model::Party,
    rule: Rule,
    causes: Causes,
}

impl Session {
    /// Opens a session with its caller.
    pub(crate) fn open(
        facts: Arc<SessionFacts>,
        account: Arc<Account>,
        leg: &LegCreated,
        signal: &Signal,
    ) -> Self {
        let dialled = callee(leg, &account);
        let caller = caller(leg, &account);
        let mut session = Self {
            facts,
            account,
            started: signal.at,
            last_sign: signal.at,
            last_input: signal.input,
            silent_max: ANSWERED_SILENT_MAX,
            parties: Vec::with_capacity(2),
            legs: Vec::with_capacity(2),
            queue: VecDeque::new(),
            changed: signal.at,
            sequence: 1,
            numbers: 0,
            dialled,
            challenged: false,
            retry_by: None,
            served_by: None,
        };
        let extension = caller.as_ref().and_then(|caller| caller.extension);
        let from = caller_endpoint(leg, caller, &session.account);
        let to = called_endpoint(leg, &session.dialled);
        let caller = PartyState::new(&session.facts, Direction::Outbound, extension, from, to, leg, signal);
        session.parties.push(caller);
        session.legs.push(Leg {
            id: signal.leg,
            role: LegRole::Caller,
            sender: Sender::of(leg),
            dst: leg.dst,
            of_caller: false,
            ended: false,
        });
        session.draft(0, signal.at, Rule::CallSeen, Causes::one(signal.input));
        session
    }

    /// Adds the switch's own end of a call that belongs to this session.
    pub(crate) fn add_switch_leg(&mut self, leg: &LegCreated, signal: &Signal, rule: Rule) {
        self.heard(signal);
        self.legs.push(Leg {
            id: signal.leg,
            role: LegRole::Switch(rule),
            sender: Sender::of(leg),
            dst: leg.dst,
            of_caller: false,
            ended: false,
        });
        // The call goes on from where the caller's leg arrived: no callee is there.
        for party in 0..self.parties.len() {
            if self.parties[party].standing == Standing::Unknown {
                self.drop_party(party);
            }
        }
    }

    /// Adds a leg to a target; `of` is the role of the caller's leg in the same SIP call. False when
    /// the session is full.
    pub(crate) fn offer(&mut self, leg: &LegCreated, of: LegRole, signal: &Signal, policy: &Policy) -> bool {
        self.heard(signal);
        self.retry_by = None;
        if self.legs.len() >= LEGS_PER_SESSION_MAX {
            return false;
        }
        let person = callee(leg, &self.account);
        let rule = match of {
            LegRole::Switch(rule) => rule,
            LegRole::Caller | LegRole::Target(_) => Rule::CallOffered,
        };
        let standing = match (of, leg.far_end) {
            (LegRole::Switch(_), _) | (_, FarEnd::Endpoint) => Standing::Endpoint,
            // A switch may answer the call itself; then there is no callee.
            (_, FarEnd::Switch) => Standing::Dropped,
            _ if person.extension.is_none() && self.account.is_trunk(leg.src) => Standing::Dropped,
            (_, far_end)
                if (self.challenged || far_end == FarEnd::Server) && (person.internal || person.is_code) =>
            {
                Standing::Dropped
            }
            _ => Standing::Unknown,
        };
        if standing == Standing::Endpoint {
            self.revive(&person);
            self.settle_waiting(signal, Settled::OfferedTo, policy);
        }
        let same = (1..self.parties.len()).find(|&party| {
            let state = &self.parties[party];
            state.is_live()
                && state.party.direction == Direction::Inbound
                && (state.standing == Standing::Endpoint) == (standing == Standing::Endpoint)
                && state.is_person(&person)
        });
        let party = match same {
            Some(party) => {
                self.parties[party].handed_over = false;
                party
            }
            None if self.parties.len() >= PARTIES_PER_SESSION_MAX => {
                return false;
            }
            None => {
                let party = self.parties.len();
                let mut from = self.parties[0].party.from.clone();
                if person.extension.is_none() && from.device.is_some() {
                    Arc::make_mut(&mut from).device = None;
                }
                let to = called_endpoint(leg, &person);
                let mut state =
                    PartyState::new(&self.facts, Direction::Inbound, person.extension, from, to, leg, signal);
                state.standing = standing;
                if standing == Standing::Dropped {
                    state.ended = true;
                }
                self.parties.push(state);
                if standing != Standing::Dropped {
                    self.draft(party, signal.at, rule, Causes::one(signal.input));
                }
                party
            }
        };
        self.legs.push(Leg {
            id: signal.leg,
            role: LegRole::Target(party),
            sender: Sender::of(leg),
            dst: leg.dst,
            of_caller: of == LegRole::Caller,
            ended: false,
        });
        if standing == Standing::Endpoint {
            self.leave_services(party, signal, policy);
        }
        self.flush_ready();
        true
    }

    /// Ends the parties whose place the new target takes: a server that was taken for the callee.
    fn leave_services(&mut self, target: usize, signal: &Signal, policy: &Policy) {
        for party in 1..self.parties.len() {
            let state = &self.parties[party];
            if party == target || !state.is_live() || state.standing != Standing::Endpoint {
                continue;
            }
            let switches =
                self.legs.iter().filter(|leg| matches!(leg.role, LegRole::Switch(_)) && !leg.ended);
            let mut senders = switches.map(|leg| &leg.sender);
            if state.handed_over || senders.any(|sender| self.is_service(party, sender)) {
                let cause = if state.answered {
                    Cause::Named(hookswitch_model::Reason::CallerInputRedirect)
                } else {
                    Cause::Redirected
                };
                self.end_party(party, cause, signal.at, Causes::one(signal.input), Rule::ServiceLeft, policy);
            }
        }
    }

    /// Whether a party is a number of the switch itself, as seen when the switch calls from there.
    fn is_service(&self, party: usize, sender: &Sender) -> bool {
        let mut legs = self.legs.iter().filter(|leg| leg.role == LegRole::Target(party) && !leg.ended);
        legs.any(|leg| self.reached(leg, sender).is_some())
    }

    /// Whether the leg to a target arrived where `sender` calls from, and how surely, 1 or 2.
    fn reached(&self, leg: &Leg, sender: &Sender) -> Option<u32> {
        let src = sender.src?;
        let dst = leg.dst.filter(|dst| dst.ip() == src.ip())?;
        if dst == src || sender.sent_by == Some(dst) {
            return Some(2);
        }
        // Where phones and switch share an address only the port or the product tells them apart.
        let one_product = leg.of_caller && self.served_by.is_some() && self.served_by == sender.agent;
        let apart = leg.sender.src.is_none_or(|from| from.ip() != src.ip());
        (one_product || apart).then_some(1)
    }

    /// How surely a call from `sender` goes on from where the caller's call arrived, 1 or 2; none if
    /// it does not, or if the caller already talks with somebody.
    pub(crate) fn goes_on_from(&self, sender: &Sender) -> Option<u32> {
        let caller = self.legs.iter().find(|leg| leg.role == LegRole::Caller)?;
        // The caller's own phone may place a second call; that is no leg of the first.
        let own = caller.sender.src == sender.src
            || (sender.sent_by.is_some() && sender.sent_by == caller.sender.src);
        let talks = |party: usize| {
            let state = &self.parties[party];
            state.answered
                && state.is_live()
                && state.standing == Standing::Endpoint
                && !self.is_service(party, sender)
        };
        if own || !self.parties[0].is_live() || (1..self.parties.len()).any(talks) {
            return None;
        }
        let targets = self.legs.iter().filter(|leg| matches!(leg.role, LegRole::Target(_)));
        targets.filter_map(|leg| self.reached(leg, sender)).max()
    }

    /// The place of a leg, by its id.
    pub(crate) fn leg(&self, id: LegId) -> Option<usize> {
        self.legs.iter().position(|leg| leg.id == id)
    }

    /// Applies a signal about a leg of the session.
    pub(crate) fn apply(&mut self, index: usize, signal: &Signal, policy: &Policy) {
        self.heard(signal);
        let role = self.legs[index].role;
        match &signal.kind {
            SignalKind::Created(_) => {} // a second creation of a leg adds nothing
            SignalKind::ServedBy(agent) => {
                self.served_by.get_or_insert_with(|| agent.clone());
            }
            SignalKind::Alive { within } => self.silent_max = *within,
            SignalKind::Challenged => {
                self.legs[index].ended = true;
                self.retry_by = Some(signal.at + RETRY_MAX);
                if let LegRole::Target(party) = role {
                    self.challenged |= self.parties[party].standing == Standing::Unknown;
                    self.hand_over(party);
                }
            }
            SignalKind::Relayed => {
                self.legs[index].ended = true;
                if let LegRole::Target(party) = role {
                    self.hand_over(party);
                }
            }
            SignalKind::TriedAgain => {
                if role == LegRole::Caller {
                    self.retry_by = Some(signal.at + RETRY_MAX);
                }
            }
            SignalKind::Ended(cause) => {
                self.legs[index].ended = true;
                match role {
                    LegRole::Caller => {
                        self.caller_ended(*cause, signal.at, Causes::one(signal.input), policy);
                    }
                    LegRole::Target(party) => {
                        self.target_ended(party, *cause, signal.at, Causes::one(signal.input), policy);
                    }
                    LegRole::Switch(_) => {}
                }
            }
            SignalKind::Ringing { .. } | SignalKind::Answered { .. } => match role {
                LegRole::Caller => self.progress(0, signal, policy),
                LegRole::Target(party) => self.progress(party, signal, policy),
                LegRole::Switch(_) => {}
            },
            _ => match role {
                LegRole::Caller => self.report(0, signal),
                LegRole::Target(party) => self.report(party, signal),
                LegRole::Switch(_) => {}
            },
        }
        self.flush_ready();
    }

    /// Notes a sign of life.
    fn heard(&mut self, signal: &Signal) {
        self.last_sign = signal.at;
        self.last_input = signal.input;
    }

    /// Ringing and answers.
    fn progress(&mut self, index: usize, signal: &Signal, policy: &Policy) {
        let state = &mut self.parties[index];
        if !state.is_live() {
            return;
        }
        let called = state.party.direction == Direction::Inbound;
        let (next, rule, to_tag) = match (&signal.kind, state.party.status.code) {
            (SignalKind::Ringing { to_tag }, StatusCode::Setup) => (
                StatusCode::Proceeding,
                if called { Rule::TargetRings } else { Rule::CallerHearsRinging },
                to_tag,
            ),
            (SignalKind::Answered { to_tag }, StatusCode::Setup | StatusCode::Proceeding) => {
                (StatusCode::Answered, Rule::LegAnswered, to_tag)
            }
            (SignalKind::Ringing { .. }, StatusCode::Proceeding) if state.standing == Standing::Unknown => {
                state.decide_by.get_or_insert(signal.at + CAUSE_WAIT);
                return;
            }
            _ => return, // repeats, and a further target's ringing after the answer
        };
        if state.standing == Standing::Unknown {
            state.decide_by.get_or_insert(signal.at + CAUSE_WAIT);
        }
        state.enter(next, None);
        state.set_to_tag(to_tag.as_ref());
        if next == StatusCode::Answered {
            state.answered = true;
            if called {
                self.settle_waiting(signal, Settled::AnsweredElsewhere, policy);
            } else {
                self.settle_waiting(signal, Settled::CallerAnswered, policy);
            }
        }
        self.draft(index, signal.at, rule, Causes::one(signal.input));
    }

    /// Changes that the source reports as such.
    fn report(&mut self, index: usize, signal: &Signal) {
        use StatusCode as S;
        let state = &mut self.parties[index];
        if !state.is_live() {
            return;
        }
        let called_extension = state.party.direction == Direction::Inbound && state.party.extension.is_some();
        let rule = match (&signal.kind, state.party.status.code) {
            (SignalKind::Held, S::Answered) => {
                state.enter(S::Hold, None);
                Rule::HoldOffered
            }
            (SignalKind::Resumed, S::Hold) => {
                state.enter(S::Answered, None);
                Rule::HoldEnded
            }
            (SignalKind::Parked { slot }, S::Answered | S::Hold) => {
                state.enter(S::Parked, None);
                state.party.status.park_data = Some(slot.clone().unwrap_or_else(|| Arc::from("")));
                state.party.park.clone_from(slot);
                Rule::Reported
            }
            (SignalKind::SentToVoicemail, S::Setup | S::Proceeding) if called_extension => {
                state.enter(S::VoiceMail, None);
                state.party.missed_call = true;
                Rule::Reported
            }
            (SignalKind::Screened, S::VoiceMail) => {
                state.enter(S::VoiceMailScreening, None);
                Rule::Reported
            }
            (SignalKind::FaxStarted, S::Setup | S::Proceeding | S::Answered) if called_extension => {
                state.enter(S::FaxReceive, None);
                state.answered = true;
                Rule::Reported
            }
            (SignalKind::Muted(muted), _) if state.party.muted != *muted => {
                state.party.muted = *muted;
                Rule::Reported
            }
            (SignalKind::Recording { id, active }, S::Answered | S::Hold) => {
                state.record(*id, *active);
                Rule::Reported
            }
            _ => return, // not possible in this status, or nothing new
        };
        self.draft(index, signal.at, rule, Causes::one(signal.input));
    }

    /// The leg of a target ended.
    fn target_ended(&mut self, index: usize, cause: Cause, at: Timestamp, causes: Causes, policy: &Policy) {
        let state = &self.parties[index];
        if !state.is_live() {
            return;
        }
        if state.standing == Standing::Unknown {
            if self.is_callee(index, cause) {
                self.parties[index].standing = Standing::Endpoint;
            } else {
                self.drop_party(index);
                return;
            }
        }
        if self.live_legs(index) > 0 {
            return; // the same person still rings elsewhere
        }
        let state = &self.parties[index];
        if state.answered || state.party.status.code == StatusCode::VoiceMail {
            let cause = after_answer(cause);
            self.end_party(index, cause, at, causes, Rule::LegEnded, policy);
            return;
        }
        let caller_left = !self.parties[0].is_live();
        let answered = self.answered_by_another(index);
        match cause {
            Cause::Withdrawn if answered => {
                self.end_party(index, Cause::AnsweredElsewhere, at, causes, Rule::AnsweredElsewhere, policy);
            }
            Cause::Withdrawn if caller_left => {
                self.end_party(index, Cause::Cancelled, at, causes, Rule::CallerGaveUp, policy);
            }
            Cause::AnsweredElsewhere => {
                self.end_party(index, cause, at, causes, Rule::AnsweredElsewhere, policy);
            }
            Cause::Cancelled => self.end_party(index, cause, at, causes, Rule::CallerGaveUp, policy),
            Cause::Withdrawn => self.wait(index, cause, at, causes, Rule::OfferWithdrawn),
            Cause::Busy | Cause::Rejected | Cause::NoAnswer | Cause::Failed
                if self.others_ring(index) || caller_left =>
            {
                self.end_party(index, cause, at, causes, Rule::TargetRefused, policy);
            }
            Cause::Busy | Cause::Rejected | Cause::NoAnswer | Cause::Failed => {
                self.wait(index, cause, at, causes, Rule::TargetRefused);
            }
            Cause::HungUp => self.end_party(index, Cause::NoAnswer, at, causes, Rule::LegEnded, policy),
            _ => self.end_party(index, cause, at, causes, Rule::TargetRefused, policy),
        }
    }

    /// Whether a far end of which nothing is known is the callee, judged by how its leg ended.
    fn is_callee(&self, index: usize, cause: Cause) -> bool {
        let state = &self.parties[index];
        if state.decide_by.is_some() {
            return true; // it rang, and nobody took the call on from there
        }
        state.party.extension.is_some()
            && matches!(
                cause,
                Cause::Busy | Cause::Rejected | Cause::NoAnswer | Cause::Cancelled | Cause::Withdrawn
            )
    }

    /// The caller's leg ended.
    fn caller_ended(&mut self, cause: Cause, at: Timestamp, causes: Causes, policy: &Policy) {
        if !self.parties[0].is_live() {
            return;
        }
        let gave_up = matches!(cause, Cause::Cancelled | Cause::HungUp | Cause::Withdrawn | Cause::Lost);
        let settled = if gave_up { Settled::CallerLeft } else { Settled::CallFailed };
        self.settle_waiting_at(at, &causes, settled, policy);
        for index in 1..self.parties.len() {
            let state = &self.parties[index];
            if !state.is_live() || state.answered || state.party.status.code == StatusCode::VoiceMail {
                continue;
            }
            let (cause, rule) = if gave_up {
                (Cause::Cancelled, Rule::CallerGaveUp)
            } else {
                (Cause::NoAnswer, Rule::CallFailed)
            };
            if state.standing == Standing::Unknown {
                if !self.is_callee(index, cause) {
                    self.drop_party(index);
                    continue;
                }
                self.parties[index].standing = Standing::Endpoint;
            }
            self.end_party(index, cause, at, causes.clone(), rule, policy);
        }
        for index in 1..self.parties.len() {
            if self.parties[index].standing == Standing::Unknown && self.parties[index].is_live() {
                self.parties[index].standing = Standing::Endpoint;
            }
        }
        if self.parties[0].answered || gave_up {
            self.end_party(0, after_answer(cause), at, causes, Rule::LegEnded, policy);
            return;
        }
        // The last target that failed says why the call did; else the refusal itself.
        let last = self.parties[1..]
            .iter()
            .filter_map(|state| state.failed_with.map(|failed| (failed.at, failed.reason)));
        let last = last.max_by_key(|(at, _)| *at).map(|(_, reason)| reason);
        let role = if self.dialled.internal { Role::CallerInside } else { Role::CallerOutside };
        let reason = last.or_else(|| reason::reason(cause, role));
        self.parties[0].leave(StatusCode::Disconnected, reason);
        self.draft(0, at, Rule::CallFailed, causes);
    }

    /// Tells the end of a party.
    fn end_party(
        &mut self,
        index: usize,
        cause: Cause,
        at: Timestamp,
        causes: Causes,
        rule: Rule,
        policy: &Policy,
    ) {
        let in_group = self.others_ring(index);
        let elsewhere = self.answered_by_another(index);
        self.parties[index].finish(cause, at, in_group, elsewhere, policy);
        self.draft(index, at, rule, causes);
    }

    /// Lets the end of a target wait for its cause, or for whether it belongs to a group.
    fn wait(&mut self, index: usize, cause: Cause, at: Timestamp, causes: Causes, rule: Rule) {
        self.parties[index].waiting = Some(Waiting { cause, at, until: at + CAUSE_WAIT });
        self.parties[index].ended = true;
        self.draft(index, at, rule, causes);
    }

    /// Takes back the end of a person whom the network could not reach and who is now tried by
    /// another way, as switches do that have several trunks.
    fn revive(&mut self, person: &Resolved) {
        for index in 1..self.parties.len() {
            let state = &mut self.parties[index];
            if state.waiting.as_ref().is_some_and(|waiting| waiting.cause == Cause::Failed)
                && state.is_person(person)
            {
                state.waiting = None;
                state.ended = false;
                if let Some(end) = self.queue.iter().rposition(|draft| draft.party == index) {
                    self.queue.remove(end);
                }
            }
        }
    }

    fn settle_waiting(&mut self, signal: &Signal, settled: Settled, policy: &Policy) {
        self.settle_waiting_at(signal.at, &Causes::one(signal.input), settled, policy);
    }

    /// Decides the ends that wait, by what came since.
    fn settle_waiting_at(&mut self, at: Timestamp, evidence: &Causes, settled: Settled, policy: &Policy) {
        for index in 1..self.parties.len() {
            let Some(waiting) = self.parties[index].waiting.take() else { continue };
            let withdrawn = waiting.cause == Cause::Withdrawn;
            let (cause, rule, in_group) = match settled {
                Settled::AnsweredElsewhere if withdrawn => {
                    (Cause::AnsweredElsewhere, Some(Rule::AnsweredElsewhere), false)
                }
                Settled::CallerLeft if withdrawn => (Cause::Cancelled, Some(Rule::CallerGaveUp), false),
                _ if withdrawn => (Cause::NoAnswer, None, false),
                Settled::OfferedTo => {
                    (waiting.cause, None, at.since(self.parties[index].offered) <= GROUP_SPAN)
                }
                _ => (waiting.cause, None, false),
            };
            self.parties[index].ended = false;
            self.parties[index].finish(
                cause,
                waiting.at,
                in_group,
                settled == Settled::AnsweredElsewhere,
                policy,
            );
            let after = self.parties[index].party.clone();
            if let Some(draft) = self.queue.iter_mut().rev().find(|draft| draft.party == index) {
                draft.after = after;
                if let Some(rule) = rule {
                    draft.rule = rule;
                    for input in evidence.iter() {
                        draft.causes.add(input);
                    }
                }
            }
        }
    }

    /// Decides what has waited long enough, and ends what has gone without a sign for too long.
    pub(crate) fn handle_time(&mut self, now: Timestamp, policy: &Policy) {
        self.decide(Some(now), policy);
        if self.retry_by.is_some_and(|by| by <= now) {
            let at = self.retry_by.take().unwrap_or(now);
            self.end_all(Cause::NoAnswer, at, Rule::NotTriedAgain, policy);
        }
        if !self.is_over() && self.silent_until() <= now {
            let at = self.silent_until();
            let (cause, rule) = if self.has_answered() {
                (Cause::Lost, Rule::LostLeg)
            } else {
                (Cause::NoAnswer, Rule::RingTimer)
            };
            self.end_all(cause, at, rule, policy);
        }
        self.flush_ready();
    }

    /// Decides all that waits: nothing more will be heard.
    pub(crate) fn decide_all(&mut self, policy: &Policy) {
        self.decide(None, policy);
        self.flush_ready();
    }

    /// Decides what has waited until `now`, or all.
    fn decide(&mut self, now: Option<Timestamp>, policy: &Policy) {
        let due = |until: Timestamp| now.is_none_or(|now| until <= now);
        for index in 1..self.parties.len() {
            let state = &mut self.parties[index];
            if state.standing == Standing::Unknown && state.decide_by.is_some_and(due) {
                state.standing = Standing::Endpoint;
            }
        }
        if self.parties.iter().any(|state| state.waiting.as_ref().is_some_and(|waiting| due(waiting.until))) {
            let at = self.last_sign;
            self.settle_waiting_at(at, &Causes::default(), Settled::InTime, policy);
        }
    }

    /// Ends every party that is left, targets first.
    pub(crate) fn end_all(&mut self, cause: Cause, at: Timestamp, rule: Rule, policy: &Policy) {
        // Nothing came since; the last sign of life is what the end is inferred from.
        let input = Causes::one(self.last_input);
        self.settle_waiting_at(at, &input, Settled::CallFailed, policy);
        for index in (1..self.parties.len()).chain([0]) {
            if self.parties[index].standing == Standing::Unknown {
                if self.is_callee(index, cause) {
                    self.parties[index].standing = Standing::Endpoint;
                } else {
                    self.drop_party(index);
                }
            }
            if self.parties[index].is_live() {
                let party_cause = match cause {
                    Cause::Lost if !self.parties[index].answered => Cause::NoAnswer,
                    other => other,
                };
                self.end_party(index, party_cause, at, input.clone(), rule, policy);
            }
        }
    }

    /// When the session next wants to be woken.
    pub(crate) fn next_deadline(&self) -> Timestamp {
        let mut next = self.silent_until();
        for by in self.parties.iter().flat_map(|state| {
            let decide = state.decide_by.filter(|_| state.standing == Standing::Unknown);
            [decide, state.waiting.as_ref().map(|waiting| waiting.until)]
        }) {
            next = by.map_or(next, |by| next.min(by));
        }
        self.retry_by.map_or(next, |by| next.min(by))
    }

    fn silent_until(&self) -> Timestamp {
        self.last_sign + if self.has_answered() { self.silent_max } else { RING_MAX }
    }

    /// Whether anybody talks.
    pub(crate) fn has_answered(&self) -> bool {
        self.parties.iter().any(|state| state.answered && state.is_live())
    }

    /// Whether a target was offered the call.
    pub(crate) fn has_targets(&self) -> bool {
        self.parties[1..].iter().any(|state| state.standing == Standing::Endpoint)
    }

    /// The caller's number, name and display as they were told.
    pub(crate) fn caller(&self) -> &Endpoint {
        &self.parties[0].party.from
    }

    /// Whether every party has ended and every event is out.
    pub(crate) fn is_over(&self) -> bool {
        self.queue.is_empty() && self.parties.iter().all(|state| state.ended)
    }

    /// Takes the events that are ready.
    pub(crate) fn take_events(&mut self, out: &mut VecDeque<Event>) {
        while let Some(draft) = self.queue.front() {
            match self.parties[draft.party].standing {
                Standing::Unknown => break,
                Standing::Dropped => {
                    self.queue.pop_front();
                    continue;
                }
                Standing::Endpoint => {}
            }
            // Of a party whose end waits only the end is held back, and that is its last draft.
            if self.parties[draft.party].waiting.is_some()
                && self.queue.iter().rposition(|other| other.party == draft.party) == Some(0)
            {
                break;
            }
            let Some(draft) = self.queue.pop_front() else { break };
            let state = &mut self.parties[draft.party];
            if state.number == 0 {
                self.numbers += 1;
                state.number = self.numbers;
            }
            self.sequence += 1;
            let mut party = draft.after;
            party.id = self.facts.id.party(state.number);
            out.push_back(Event {
                session: self.facts.clone(),
                sequence: self.sequence,
                at: draft.at,
                party,
                rule: draft.rule,
                causes: draft.causes,
            });
        }
    }

    /// Forgets what was drafted for parties that turned out to be servers.
    fn flush_ready(&mut self) {
        while let Some(draft) = self.queue.front() {
            if self.parties[draft.party].standing != Standing::Dropped {
                break;
            }
            self.queue.pop_front();
        }
    }

    fn draft(&mut self, party: usize, at: Timestamp, rule: Rule, causes: Causes) {
        // Signals of several sources may come a little out of order; time does not run back.
        let at = at.max(self.changed);
        self.changed = at;
        let after = self.parties[party].party.clone();
        self.queue.push_back(Box::new(Draft { party, at, after, rule, causes }));
    }

    /// The far end of a target's leg was a server, so the next target may be the same person.
    fn hand_over(&mut self, index: usize) {
        if self.parties[index].standing == Standing::Unknown {
            self.drop_party(index);
        } else if self.live_legs(index) == 0 {
            self.parties[index].handed_over = true;
        }
    }

    fn drop_party(&mut self, index: usize) {
        self.parties[index].standing = Standing::Dropped;
        self.parties[index].ended = true;
    }

    fn live_legs(&self, party: usize) -> usize {
        self.legs.iter().filter(|leg| leg.role == LegRole::Target(party) && !leg.ended).count()
    }

    fn others_ring(&self, index: usize) -> bool {
        self.parties[1..].iter().enumerate().any(|(other, state)| {
            other + 1 != index && state.is_live() && !state.answered && state.standing == Standing::Endpoint
        })
    }

    fn answered_by_another(&self, index: usize) -> bool {
        self.parties[1..].iter().enumerate().any(|(other, state)| {
            other + 1 != index && state.answered && state.standing == Standing::Endpoint && state.is_live()
        })
    }
}

/// What decided an end that waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Settled {
    /// Another target answered.
    AnsweredElsewhere,
    /// The caller's leg was answered, though no target had.
    CallerAnswered,
    /// The caller left.
    CallerLeft,
    /// The caller was refused.
    CallFailed,
    /// The call was offered to a further target.
    OfferedTo,
    /// Nothing came in time.
    InTime,
}

/// The cause of an end after an answer: what refuses a call is then an ordinary hang-up.
fn after_answer(cause: Cause) -> Cause {
    match cause {
        Cause::Lost | Cause::Named(_) => cause,
        _ => Cause::HungUp,
    }
}

/// Who calls. What comes from a trunk is outside, whatever number it says.
fn caller(leg: &LegCreated, account: &Account) -> Option<Resolved> {
    let number = leg.caller.number.as_ref()?;
    Some(if account.is_trunk(leg.src) {
        account.outside(number)
    } else {
        account.resolve(number, leg.caller.host.as_deref())
    })
}

/// Who is called. What goes to a trunk is outside: short numbers are emergency calls there.
fn callee(leg: &LegCreated, account: &Account) -> Resolved {
    if account.is_trunk(leg.dst) {
        account.outside(&leg.callee)
    } else {
        account.resolve(&leg.callee, leg.callee_host.as_deref())
    }
}

/// How somebody who is called is shown.
fn called_endpoint(leg: &LegCreated, person: &Resolved) -> Arc<Endpoint> {
    Arc::new(Endpoint {
        phone_number: Some(person.number.clone()),
        sent_number: Some(leg.callee.clone()).filter(|sent| *sent != person.number),
        name: person.name.clone(),
        extension: person.extension,
        device: None,
    })
}

/// How the caller is shown.
fn caller_endpoint(leg: &LegCreated, known: Option<Resolved>, account: &Account) -> Arc<Endpoint> {
    if leg.caller.withheld {
        return Arc::new(Endpoint { name: Some(Arc::from("Anonymous")), ..Endpoint::default() });
    }
    let extension = known.as_ref().and_then(|known| known.extension);
    let (number, name) = known.map_or((None, None), |known| (Some(known.number), known.name));
    Arc::new(Endpoint {
        sent_number: leg.caller.number.clone().filter(|sent| number.as_ref() != Some(sent)),
        phone_number: number,
        name: name.or_else(|| leg.caller.name.clone()),
        extension,
        device: extension.map(|extension| account.device(extension)),
    })
}
