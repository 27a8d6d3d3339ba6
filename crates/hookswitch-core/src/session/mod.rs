//! The parties of one call, from the first sign of it to the last hang-up.
//!
//! The machine knows no protocol: it reads [`SignalKind`]s and writes [`Event`]s. What it cannot
//! decide yet waits in its queue, and with it all that came later in the same session, so that the
//! events of a session always come out in the order of their times:
//! * whether the far end of a called leg is the callee or a server that passes the call on,
//! * why an offer was withdrawn from a target.
//!
//! Both are settled by the next signal that tells, or after [`CAUSE_WAIT`] of signal time.
//!
//! Start reading at `Session::apply`; who is offered the call is in `attempt.rs`, how parties end in
//! `ends.rs`, and how calls are moved, picked up and parked in `moves.rs`.

mod attempt;
mod context;
mod ends;
mod fit;
mod moves;
mod parties;
mod party;
mod people;
mod phase;
mod progress;
mod reason;
mod resumption;
mod timer;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hookswitch_model::{
    Cause, Causes, Direction, Event, InputRef, LegCreated, LegId, Origin, RingOutRole, Rule, SessionFacts,
    SignalKind, Timestamp, Transfer,
};
use serde::{Deserialize, Serialize};

pub(crate) use self::attempt::Follows;
pub(crate) use self::context::{Context, NewLeg};
pub(crate) use self::fit::{CalleeFit, Fit};
pub(crate) use self::moves::{CrossSessionEffect, MovedParty};
use self::parties::Parties;
pub(crate) use self::parties::{CALLER, PartyIndex};
pub(crate) use self::party::{Destination, PartyRef};
use self::party::{PartyCertainty, PartyIntent, PartyState};
use self::phase::Step;
pub(crate) use self::resumption::LiveParties;
use self::timer::{Timer, TimerTable};
use crate::directory::{Account, Kind, Resolved};
use crate::number::NumberKey;

/// Time that an undecided change may wait for the signal that decides it, in signal time.
pub(crate) const CAUSE_WAIT: Duration = Duration::from_millis(500);

/// Time for which an unanswered call may go without a sign of life: longer than Timer C, which is itself
/// over 3 minutes (RFC 3261 §16.6).
pub(crate) const RING_MAX: Duration = Duration::from_secs(240);

/// Time that an answered call may go without a sign of life when it has no session timer.
pub(crate) const ANSWERED_SILENT_MAX: Duration = Duration::from_secs(24 * 3600);

/// Time that a caller may take to try again after a challenge or a redirection, and a party that was
/// transferred to place its new call: Timer B and F of RFC 3261 §17.1, 64 times T1.
pub(crate) const RETRY_MAX: Duration = Duration::from_secs(32);

/// The most legs a session can have at once; further ones are refused and counted.
pub(crate) const LEGS_PER_SESSION_MAX: usize = 256;

/// A party of a session that has not left, and the legs that it has.
#[derive(Clone, Debug)]
pub struct LiveParty {
    /// As it stands, which may not be told yet.
    pub party: hookswitch_model::Party,
    /// Its open legs, in the order in which they came.
    pub legs: Vec<LegId>,
}

/// Key of a session among all that are open.
pub(crate) type SessionKey = u64;

/// The state of one call.
#[derive(Serialize, Deserialize)]
pub(crate) struct Session {
    pub(crate) facts: Arc<SessionFacts>,
    /// Not part of a saved state: [`Session::relink`] gives it back.
    #[serde(skip, default = "Account::none")]
    account: Arc<Account>,
    pub(crate) started: Timestamp,
    /// Time when the last signal of the call came, and what told it.
    last_sign: Timestamp,
    last_input: InputRef,
    /// In the order in which they came into the call; the first is the caller, or the initiator of a
    /// RingOut call.
    parties: Parties,
    pub(crate) legs: Vec<Leg>,
    queue: VecDeque<Box<Draft>>,
    /// The time of the last change, and of the last one that was told.
    changed: Timestamp,
    told: Timestamp,
    sequence: u32,
    numbers: u32,
    /// The number that the caller dialled.
    pub(crate) dialled: Resolved,
    /// The caller withholds their number.
    pub(crate) withholds: bool,
    /// Number that the caller withholds, where the network asserts it all the same.
    hidden_number: Option<Arc<str>>,
    /// The far end of the caller's leg asked for credentials.
    challenged: bool,
    /// Running timers, beside the one for silence.
    timers: TimerTable,
    /// Name that the server at the far end of the caller's leg calls itself.
    served_by: Option<Arc<str>>,
    /// The round of the targets that are offered the call next.
    round: u8,
    /// The number that the caller dialled is not complete, and more digits may come.
    is_incomplete: bool,
    /// The caller was answered though no target had been, and the engine has not yet said by whom.
    answered_alone: bool,
    /// The parked call that the caller is about to take.
    retrieves: Option<PartyRef>,
    /// A call to this number belongs to the session, until then: the phone system, or somebody in a
    /// conference, asked for it.
    awaits: Option<(NumberKey, Timestamp)>,
    /// The switch itself reports the call: nothing is guessed that it would tell.
    pub(crate) reported: bool,
    /// Effect of the present signal on other sessions; the engine carries it out.
    #[serde(skip)]
    pub(crate) effect: Option<Box<CrossSessionEffect>>,
}

/// One connection between the phone system and one end of the call.
#[derive(Serialize, Deserialize)]
pub(crate) struct Leg {
    pub(crate) id: LegId,
    pub(crate) role: LegRole,
    pub(crate) sender: Sender,
    dst: Option<SocketAddr>,
    /// Another address of the far end, behind a translation of addresses.
    also_at: Option<Box<SocketAddr>>,
    /// It leads to somebody who is called.
    called: bool,
    /// It leads to a target in the SIP call of a party itself, not in one that the switch placed.
    of_party: bool,
    purpose: Purpose,
    /// Fingerprint of the session description that its sender offered.
    offer: Option<u64>,
    /// Time for which it may be silent, where a session timer runs on it.
    silent_max: Option<Duration>,
    /// It is the switch's, which has stopped the media of who is at its far end, and nobody was seen to ask for
    /// that by SIP.
    holds: bool,
    ended: bool,
    /// Time when who was called by it declined, was busy or sent the call elsewhere, and which.
    decided: Option<(Timestamp, Cause)>,
}

/// Placer of a call, as far as its messages show.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sender {
    /// Source of its messages.
    pub(crate) src: Option<SocketAddr>,
    /// Address at which it says it listens.
    pub(crate) sent_by: Option<SocketAddr>,
    /// Name that it calls itself.
    pub(crate) agent: Option<Arc<str>>,
}

/// Role of a leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum LegRole {
    /// A party's, by its place among the parties.
    Party(PartyIndex),
    /// The switch's own end of a call that it placed, and why that call belongs to the session.
    Switch(Rule),
    /// A server's that the call arrived at.
    Server,
}

impl LegRole {
    /// The party, if it is one's.
    pub(crate) fn party(self) -> Option<PartyIndex> {
        match self {
            Self::Party(party) => Some(party),
            Self::Switch(_) | Self::Server => None,
        }
    }
}

/// Meaning of the answer of a leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Purpose {
    /// Its party talks.
    Talk,
    /// The mailbox of its party has taken the call.
    Mailbox,
    /// The call of its party is parked.
    Park,
    /// The peer of its party hears music.
    Music,
    /// Its party, who is on hold with music, takes the call back.
    Resume,
}

/// A change that waits to be told.
#[derive(Serialize, Deserialize)]
struct Draft {
    party: PartyIndex,
    at: Timestamp,
    after: hookswitch_model::Party,
    rule: Rule,
    causes: Causes,
    /// The timer that brought it about, or until which it waited.
    timer: Option<Timer>,
}

/// Kind of call that a session begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Opening {
    /// Somebody calls.
    Call,
    /// Somebody calls, or the switch places a leg of one of several calls that it may belong to.
    Unclear,
    /// The phone system calls somebody on whose behalf it will call another.
    RingOut,
    /// Somebody calls to take a parked call.
    Retrieval(PartyRef),
}

impl Session {
    /// Goes by an account as the directory has it, from here on.
    pub(crate) fn relink(&mut self, account: Arc<Account>) {
        self.account = account;
    }

    /// Opens a session with its caller, or with the initiator of a RingOut call.
    pub(crate) fn open(
        facts: Arc<SessionFacts>,
        account: Arc<Account>,
        opening: Opening,
        leg: NewLeg<'_>,
        ctx: &Context,
    ) -> Self {
        let dialled = account.callee(&leg);
        let caller = account.caller(&leg);
        let mut session = Self::empty(facts, account, dialled, ctx);
        let extension = caller.as_ref().and_then(|caller| caller.extension);
        let from = people::caller_endpoint(&leg, caller, &session.account);
        let to = session.called_endpoint(&leg);
        session.reported = leg.reported;
        session.withholds = leg.caller.withheld;
        session.hidden_number = leg.caller.number.clone().filter(|_| leg.caller.withheld);
        let facts = session.facts.clone();
        let (role, rule) = match opening {
            Opening::RingOut => {
                let initiator = session.dialled.extension;
                let mut party = PartyState::new(&facts, Direction::Inbound, initiator, from, to, &leg, ctx);
                party.party.ring_out_role = Some(RingOutRole::Initiator);
                session.parties.add(party);
                (LegRole::Switch(Rule::RingOutSeen), Rule::RingOutSeen)
            }
            Opening::Call | Opening::Unclear | Opening::Retrieval(_) => {
                let mut party = PartyState::new(&facts, Direction::Outbound, extension, from, to, &leg, ctx);
                if let Opening::Retrieval(parked) = opening {
                    party.intent = PartyIntent::PickUp;
                    session.retrieves = Some(parked);
                }
                session.parties.add(party);
                let rule = match opening {
                    _ if leg.found_running => Rule::FoundRunning,
                    Opening::Unclear => Rule::JoinedToNone,
                    _ => Rule::CallSeen,
                };
                (LegRole::Party(CALLER), rule)
            }
        };
        session.add_leg(role, leg);
        if opening == Opening::RingOut {
            // It is told from when the phone rings, and outside from when the call is sent out (contract
            // events §10).
            if session.parties[CALLER].party.extension.is_none() {
                session.draft(CALLER, rule, ctx);
            }
            return session;
        }
        session.draft(CALLER, rule, ctx);
        if session.dialled.is_code {
            // It may be a code to take somebody's call, and then no session of its own.
            session.hold_back(CALLER, ctx.at);
        }
        session
    }

    /// Opens the session of a conference that nobody dialled by a number of the directory; those who are
    /// in it come over from calls of their own.
    pub(crate) fn conference(facts: Arc<SessionFacts>, account: Arc<Account>, ctx: &Context) -> Self {
        let dialled = Resolved::default();
        Self::empty(facts, account, dialled, ctx)
    }

    fn empty(facts: Arc<SessionFacts>, account: Arc<Account>, dialled: Resolved, ctx: &Context) -> Self {
        Self {
            facts,
            account,
            started: ctx.at,
            last_sign: ctx.at,
            last_input: ctx.input,
            parties: Parties::new(),
            legs: Vec::with_capacity(2),
            queue: VecDeque::new(),
            changed: ctx.at,
            told: Timestamp::from_micros(i64::MIN),
            sequence: 1,
            numbers: 0,
            dialled,
            withholds: false,
            hidden_number: None,
            challenged: false,
            timers: TimerTable::default(),
            served_by: None,
            round: 0,
            is_incomplete: false,
            answered_alone: false,
            retrieves: None,
            awaits: None,
            reported: false,
            effect: None,
        }
    }

    /// Returns how the number that was dialled is shown; a conference room by what it is.
    fn called_endpoint(&self, leg: &LegCreated) -> Arc<hookswitch_model::Endpoint> {
        let mut to = people::called_endpoint(leg, &self.dialled);
        if self.dialled.kind == Kind::Conference {
            Arc::make_mut(&mut to).name = Some(Arc::from("Conference"));
        }
        to
    }

    fn add_leg(&mut self, role: LegRole, leg: NewLeg<'_>) -> &mut Leg {
        self.legs.push(Leg {
            id: leg.id,
            role,
            sender: self.sender(&leg),
            dst: self.switch_address(leg.dst),
            also_at: None,
            called: leg.direction == Direction::Inbound,
            of_party: false,
            purpose: Purpose::Talk,
            offer: leg.offer,
            silent_max: None,
            holds: false,
            ended: false,
            decided: None,
        });
        let last = self.legs.len() - 1;
        &mut self.legs[last]
    }

    /// Notes another address of the far end of a leg; says whether it is news, and the leg the caller's own.
    pub(crate) fn is_also_at(&mut self, index: usize, address: SocketAddr) -> bool {
        let leg = &mut self.legs[index];
        let is_news = leg.called && leg.of_party && leg.also_at.is_none();
        if is_news {
            leg.also_at = Some(Box::new(address));
        }
        is_news
    }

    /// The place of a leg, by its id.
    pub(crate) fn leg(&self, id: LegId) -> Option<usize> {
        self.legs.iter().position(|leg| leg.id == id)
    }

    /// Applies a signal about a leg of the session.
    pub(crate) fn apply(&mut self, index: usize, kind: &SignalKind, ctx: &Context) {
        if !matches!(kind, SignalKind::Note(_) | SignalKind::Dialog(_)) {
            self.touch(ctx);
        }
        let role = self.legs[index].role;
        match kind {
            // A second creation of a leg adds nothing, and what else it is called is for who brings sources together.
            SignalKind::Created(_)
            | SignalKind::Named(_)
            | SignalKind::RecordingSession(_)
            | SignalKind::AlsoAt(_) => {}
            SignalKind::ServedBy(agent) => {
                self.served_by.get_or_insert_with(|| agent.clone());
            }
            SignalKind::Alive { within } => self.legs[index].silent_max = *within,
            SignalKind::ParkRanOut => {
                if let LegRole::Party(party) = role {
                    self.park_timed_out(party, ctx);
                }
            }
            SignalKind::Dialog(sip) => {
                if let LegRole::Party(party) = role {
                    self.parties[party].party.sip = Some(sip.clone());
                }
            }
            SignalKind::Note(note) => {
                if let LegRole::Party(party) = role {
                    self.parties[party].notes.add(*note);
                }
            }
            SignalKind::Challenged | SignalKind::Relayed => {
                self.legs[index].ended = true;
                let challenged = *kind == SignalKind::Challenged;
                if challenged {
                    self.timers.start(Timer::Retry, ctx.at + RETRY_MAX);
                }
                if let LegRole::Party(party) = role {
                    self.challenged |=
                        challenged && self.parties[party].certainty == PartyCertainty::Unconfirmed;
                    self.hand_over(party);
                }
            }
            SignalKind::CancelSent => self.recall(index),
            SignalKind::Incomplete => self.wants_more_digits(index),
            SignalKind::TriedAgain => {
                if role == LegRole::Party(CALLER) {
                    self.timers.start(Timer::Retry, ctx.at + RETRY_MAX);
                    self.wait_for_caller(ctx);
                }
            }
            SignalKind::Ended(cause) => self.leg_ended(index, *cause, ctx),
            SignalKind::Automaton => {
                if let LegRole::Party(party) = role
                    && self.parties[party].certainty == PartyCertainty::Unconfirmed
                {
                    self.discard_party(party);
                }
            }
            SignalKind::TransferAsked(transfer) => self.transfer_asked(index, transfer, ctx),
            SignalKind::Held | SignalKind::Resumed if self.is_switchs(role) => {
                self.switch_holds(index, *kind == SignalKind::Held, ctx);
            }
            _ => {
                if let LegRole::Party(party) = role {
                    match kind {
                        SignalKind::Ringing { .. } | SignalKind::Answered { .. } => {
                            self.progress(index, party, kind, ctx);
                        }
                        SignalKind::TransferDone { succeeded } => self.move_done(party, *succeeded, ctx),
                        _ => self.report(party, kind, ctx),
                    }
                }
            }
        }
        self.flush_discarded();
    }

    /// A call is to be moved: by a party, or by the phone system or a conference that calls somebody itself.
    pub(crate) fn transfer_asked(&mut self, index: usize, transfer: &Transfer, ctx: &Context) {
        self.touch(ctx);
        let role = self.legs[index].role;
        if role == LegRole::Switch(Rule::RingOutSeen) || self.facts.origin == Origin::Conference {
            self.awaits = Some((NumberKey::of(&transfer.to), ctx.at + RETRY_MAX));
        } else if let LegRole::Party(party) = role {
            self.move_asked(party, transfer, ctx);
        }
    }

    /// Tests whether at the end of a leg there is no party.
    fn is_switchs(&self, role: LegRole) -> bool {
        role.party().is_none_or(|party| self.parties[party].certainty == PartyCertainty::Discarded)
    }

    /// Notes a sign of life.
    fn touch(&mut self, ctx: &Context) {
        self.last_sign = ctx.at;
        self.last_input = ctx.input;
    }

    /// Holds back what is told of a party until it is clear who that is, and for [`CAUSE_WAIT`] at most.
    fn hold_back(&mut self, party: PartyIndex, at: Timestamp) {
        self.parties[party].certainty = PartyCertainty::Unconfirmed;
        self.timers.start(Timer::Confirmation(party), at + CAUSE_WAIT);
    }

    /// Takes the far end of a party for a person's, and tells what was held back of it.
    fn confirm(&mut self, party: PartyIndex) {
        self.parties[party].certainty = PartyCertainty::Confirmed;
        self.timers.stop(Timer::Confirmation(party));
    }

    /// Returns the time when the session next wants to be woken.
    pub(crate) fn next_deadline(&self) -> Timestamp {
        self.next_timer().0
    }

    /// The timer that runs out first, and when.
    fn next_timer(&self) -> (Timestamp, Timer) {
        let silence = self.silence_timer();
        self.timers.next().map_or(silence, |timer| timer.min(silence))
    }

    /// Returns the time when the call ends for want of a sign of life. While anybody talks, that is after the longest
    /// session timer of its legs (contract events §11).
    fn silence_timer(&self) -> (Timestamp, Timer) {
        if !self.has_answered() {
            return (self.last_sign + RING_MAX, Timer::Ring);
        }
        let longest = self.legs.iter().filter(|leg| !leg.ended).filter_map(|leg| leg.silent_max).max();
        (self.last_sign + longest.unwrap_or(ANSWERED_SILENT_MAX), Timer::Silence)
    }

    /// The parties that were told of and have not left, each with its open legs.
    pub(crate) fn live_parties(&self) -> Vec<LiveParty> {
        let told = self.parties.enumerate().filter(|(_, state)| state.number > 0 && state.is_live());
        told.map(|(index, state)| {
            let legs = self.legs.iter().filter(|leg| leg.role == LegRole::Party(index) && !leg.ended);
            let mut party = state.party.clone();
            party.id = self.facts.id.party(state.number);
            LiveParty { party, legs: legs.map(|leg| leg.id).collect() }
        })
        .collect()
    }

    /// Returns `true` if anybody talks.
    pub(crate) fn has_answered(&self) -> bool {
        self.parties.iter().any(PartyState::is_answered)
    }

    /// Returns `true` if a target was offered the call.
    pub(crate) fn has_targets(&self) -> bool {
        self.parties.others().any(|state| state.certainty == PartyCertainty::Confirmed)
    }

    /// The caller's number, name and display as they were told.
    pub(crate) fn caller(&self) -> &hookswitch_model::Endpoint {
        self.parties[CALLER].side()
    }

    /// The numbers by which a call may name the caller or who was dialled.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = &str> {
        let (caller, called) = (self.caller(), &self.parties[CALLER].party.to);
        [
            caller.phone_number.as_deref(),
            Some(&*self.dialled.number),
            self.hidden_number.as_deref(),
            called.sent_number.as_deref(),
        ]
        .into_iter()
        .flatten()
    }

    /// The caller's number, be it withheld, and the one that was dialled; none when nobody tells the caller's.
    pub(crate) fn caller_and_dialled(&self) -> Option<(&str, &str)> {
        let caller = self.caller().phone_number.as_deref().or(self.hidden_number.as_deref())?;
        Some((caller, &self.dialled.number))
    }

    /// Returns `true` if every party has ended and every event is out.
    pub(crate) fn is_over(&self) -> bool {
        self.queue.is_empty() && !self.parties.iter().any(PartyState::is_live)
    }

    /// Takes the events that are ready.
    pub(crate) fn take_events(&mut self, out: &mut VecDeque<Event>) {
        while let Some(draft) = self.queue.front() {
            match self.parties[draft.party].certainty {
                PartyCertainty::Unconfirmed => break,
                PartyCertainty::Discarded => {
                    self.queue.pop_front();
                    continue;
                }
                PartyCertainty::Confirmed => {}
            }
            // Of a party whose end waits only the end is held back, and that is its last draft.
            if self.parties[draft.party].pending_end().is_some()
                && self.queue.iter().rposition(|other| other.party == draft.party) == Some(0)
            {
                break;
            }
            let Some(draft) = self.queue.pop_front() else { break };
            self.told = draft.at;
            let number = self.number(draft.party);
            self.sequence += 1;
            let mut notes = self.parties[draft.party].notes;
            if let Some(timer) = draft.timer {
                notes.add(timer.note());
            }
            let mut party = draft.after;
            party.id = self.facts.id.party(number);
            out.push_back(Event {
                session: self.facts.clone(),
                sequence: self.sequence,
                at: draft.at,
                party,
                rule: draft.rule,
                causes: draft.causes,
                notes,
            });
        }
    }

    /// The number in the id of a party, which it gets when it is first told of.
    fn number(&mut self, party: PartyIndex) -> u32 {
        if self.parties[party].number == 0 {
            self.numbers += 1;
            self.parties[party].number = self.numbers;
        }
        self.parties[party].number
    }

    /// Forgets what was drafted for parties that turned out to be servers.
    fn flush_discarded(&mut self) {
        while let Some(draft) = self.queue.front() {
            if self.parties[draft.party].certainty != PartyCertainty::Discarded {
                break;
            }
            self.queue.pop_front();
        }
    }

    fn draft(&mut self, party: PartyIndex, rule: Rule, ctx: &Context) {
        // Signals of several sources may come a little out of order; time does not run back.
        let at = ctx.at.max(self.changed);
        self.changed = at;
        let after = self.parties[party].party.clone();
        self.queue.push_back(Box::new(Draft {
            party,
            at,
            after,
            rule,
            causes: ctx.causes(),
            timer: ctx.timer,
        }));
    }

    /// The far end of a target's leg was a server, so the next target may be the same person.
    fn hand_over(&mut self, index: PartyIndex) {
        if self.parties[index].certainty == PartyCertainty::Unconfirmed {
            self.discard_party(index);
        } else if !self.has_leg(index) {
            self.parties[index].handed_over = true;
        }
    }

    fn discard_party(&mut self, index: PartyIndex) {
        self.parties[index].certainty = PartyCertainty::Discarded;
        self.parties[index].step(Step::End(None));
        for timer in [Timer::Confirmation(index), Timer::EndCause(index), Timer::Transfer(index)] {
            self.timers.stop(timer);
        }
    }

    /// Tests whether a party has a leg that has not ended.
    fn has_leg(&self, party: PartyIndex) -> bool {
        self.legs.iter().any(|leg| leg.role == LegRole::Party(party) && !leg.ended)
    }
}

/// A server has a session for each open call, so that one that grows is paid for a million times.
#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<Session>() <= 352 && size_of::<PartyState>() <= 224);
