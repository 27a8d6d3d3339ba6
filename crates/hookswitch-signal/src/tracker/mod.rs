//! From SIP messages to signals: what is new in a message about the legs of a call.
//!
//! Follows the INVITE transactions of each call hop by hop (RFC 3261 §17), so that a message that
//! several proxies pass on counts where it arrives, and the dialogs they create (§12), so that only
//! who takes part in a call can change it. Which calls belong together, and what parties and events
//! follow, is not decided here.

mod bindings;
mod call;
mod cause;
mod deadline;
mod fork;
mod identity;
mod late;
mod media;
mod next_try;
mod recordings;
mod referral;
mod repeats;
mod servers;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::RandomState;
use hookswitch_model::{
    AccountId, Cause, Direction, FarEnd, InputRef, LegCreated, LegId, LegRelation, Signal, SignalKind,
    Timestamp,
};
use serde::{Deserialize, Serialize};
use slab::Slab;

use self::bindings::Bindings;
use self::call::{Call, Fingerprints, Hop, HopState, Side};
use self::deadline::{Awaited, Deadlines, NEXT_TRY_MAX, RESPONSE_MAX};
pub use self::late::LATE_MAX;
use self::late::Late;
use self::media::{media_state, silence_max};
use self::recordings::Recordings;
use self::referral::Referrals;
use self::repeats::Repeats;
use self::servers::Servers;
use crate::capture::Captured;
use crate::sip::{Message, Method, StartLine, Uri, lossy};

/// Time for which a message may be repeated, and how long a finished call is remembered for that: 64
/// times T1, after which no retransmission is sent (RFC 3261 §17).
pub const REPEAT_MAX: Duration = Duration::from_secs(32);

/// Interval at which calls are looked at for signs of life.
const CHECK_EVERY: Duration = Duration::from_secs(300);

/// Time for which it is remembered what registrations and challenges told; phones register again within hours.
const LEARNT_MAX: Duration = Duration::from_secs(24 * 3600);

/// Interval between prunings of it.
const SWEEP_EVERY: Duration = Duration::from_secs(3600);

/// Time for which an unanswered call is followed without a message; longer than Timer C.
const UNANSWERED_MAX: Duration = Duration::from_secs(300);

/// Time for which an answered call is followed without a message.
const ANSWERED_MAX: Duration = Duration::from_secs(25 * 3600);

/// The most calls that are followed at once; further ones are counted and passed over.
pub const CALLS_MAX: usize = 2_000_000;

/// The most calls that are remembered with one Call-ID; a switch may use it for each of its legs.
const CALL_ID_USES_MAX: usize = 16;

/// The most INVITE transactions of one call, over all hops and attempts.
const HOPS_MAX: usize = 256;

/// Counts of messages by fate. `messages` is the sum of the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Messages that came in.
    pub messages: u64,
    /// Seen before: sent again, or captured twice.
    pub retransmissions: u64,
    /// Part of a call that is followed.
    pub in_call: u64,
    /// About no call: REGISTER, OPTIONS, SUBSCRIBE and the like.
    pub no_call: u64,
    /// In a call of which the beginning was not seen, or with tags, branch or CSeq that do not fit.
    pub stray: u64,
    /// Of calls that found a table full.
    pub refused: u64,
}

/// Follows all calls of one source of SIP messages.
#[derive(Serialize, Deserialize)]
pub struct SipTracker {
    account: AccountId,
    source: u16,
    /// The newest call with each Call-ID.
    by_call_id: HashMap<Arc<[u8]>, usize, RandomState>,
    calls: Slab<Call>,
    next_leg: u64,
    next_call: u64,
    bindings: Bindings,
    servers: Servers,
    referrals: Referrals,
    recordings: Recordings,
    repeats: Repeats,
    /// Finished calls and when they are forgotten; each with its number.
    finished: VecDeque<(Timestamp, usize, u64)>,
    /// Open calls and when they are looked at; each with its number.
    checks: VecDeque<(Timestamp, usize, u64)>,
    /// Deadlines of open calls.
    deadlines: Deadlines,
    /// Messages that have come before their request.
    late: Late,
    /// The calls whose callers were challenged, by the nonce; each with its number.
    challenges: HashMap<Box<[u8]>, (usize, u64), RandomState>,
    /// Time when registrations and challenges were last looked through.
    swept: Timestamp,
    /// The time of the newest message.
    newest: Timestamp,
    counters: Counters,
}

/// One message and where it was seen.
struct Seen<'m, 'a> {
    message: &'m Message<'a>,
    captured: &'m Captured<'a>,
    input: InputRef,
    print: u64,
    /// The newest call with its Call-ID.
    newest: Option<usize>,
}

impl SipTracker {
    /// Follows the calls of an account in the messages of the source with this number.
    pub fn new(account: AccountId, source: u16) -> Self {
        Self {
            account,
            source,
            by_call_id: HashMap::default(),
            calls: Slab::new(),
            next_leg: 0,
            next_call: 0,
            bindings: Bindings::default(),
            servers: Servers::default(),
            referrals: Referrals::default(),
            recordings: Recordings::default(),
            repeats: Repeats::default(),
            finished: VecDeque::new(),
            checks: VecDeque::new(),
            deadlines: Deadlines::default(),
            late: Late::default(),
            challenges: HashMap::default(),
            swept: Timestamp::default(),
            newest: Timestamp::default(),
            counters: Counters::default(),
        }
    }

    /// Returns where the messages went.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Returns the number of calls that are followed, finished ones that are remembered for their repeats among them.
    pub fn calls(&self) -> usize {
        self.calls.len()
    }

    /// Lets time pass where no message comes that would do so: ends what has waited in vain, and forgets what
    /// is over.
    pub fn handle_time(&mut self, now: Timestamp, out: &mut Vec<Signal>) {
        self.release_due(now, out);
        self.handle_deadlines(now, out);
        self.forget(now);
    }

    /// Decides what waits for further messages: the input has ended. Open calls stay open.
    pub fn finish(&mut self, out: &mut Vec<Signal>) {
        self.release_all(out);
        self.end_all_awaited(self.newest, out);
    }

    /// The time of the newest message.
    pub fn newest(&self) -> Timestamp {
        self.newest
    }

    /// Returns the time when [`SipTracker::handle_time`] wants to be called at the latest.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        self.deadlines.next().into_iter().chain(self.late.next()).min()
    }

    /// Takes a message and appends the signals that it gives.
    pub fn handle(
        &mut self,
        message: &Message<'_>,
        captured: &Captured<'_>,
        input: InputRef,
        out: &mut Vec<Signal>,
    ) {
        self.counters.messages += 1;
        self.newest = captured.time;
        if self.late.is_empty() {
            self.handle_deadlines(captured.time, out);
            self.forget(captured.time);
            if !self.take(message, captured, input, true, out) && !self.late.hold(message, captured, input) {
                self.take(message, captured, input, false, out);
            }
        } else {
            self.handle_beside_late(message, captured, input, out);
        }
    }

    /// Takes a message while others wait for their requests.
    fn handle_beside_late(
        &mut self,
        message: &Message<'_>,
        captured: &Captured<'_>,
        input: InputRef,
        out: &mut Vec<Signal>,
    ) {
        self.handle_time(captured.time, out);
        let waits = self.late.comes_before(message) || !self.take(message, captured, input, true, out);
        if waits && !self.late.hold(message, captured, input) {
            self.take(message, captured, input, false, out);
        }
        if !waits {
            self.release(message.call_id(), captured.time, out);
        }
    }

    /// Takes a message, unless it must wait for its request: then it is false, and nothing has changed.
    fn take(
        &mut self,
        message: &Message<'_>,
        captured: &Captured<'_>,
        input: InputRef,
        may_wait: bool,
        out: &mut Vec<Signal>,
    ) -> bool {
        let newest = self.by_call_id.get(message.call_id()).copied();
        let print = self.repeats.fingerprint(message, captured);
        if self.is_repeated(newest, print) {
            self.counters.retransmissions += 1;
            self.repeated_answer(newest, message, captured, input);
            self.repeated_invite(newest, message, captured, input, out);
            return true;
        }
        let calls_before = self.next_call;
        let seen = Seen { message, captured, input, print, newest };
        let before = self.counters;
        if !self.recording(&seen, out) && !self.handle_call(&seen, may_wait, out) {
            return false;
        }
        match newest {
            Some(newest) => self.calls[newest].seen.add(print),
            None if self.next_call == calls_before => self.repeats.add(print, captured.time),
            None => {}
        }
        debug_assert!(self.counters != before, "every message is counted");
        true
    }

    /// A message that may be of a call; false if it must wait for its request.
    fn handle_call(&mut self, seen: &Seen<'_, '_>, may_wait: bool, out: &mut Vec<Signal>) -> bool {
        let Seen { message, captured, newest, .. } = *seen;
        match message.start() {
            StartLine::Request { method, uri } => match method {
                // A callee's request to a caller without a tag has none either.
                // A callee's request to a caller without a tag has none either.
                Method::Invite
                    if (message.to_tag().is_none() || self.is_retried_with_tag(seen))
                        && self.find_dialog(seen).is_none() =>
                {
                    self.invite(seen, &uri, out);
                }
                Method::Invite | Method::Update => self.change(seen, out),
                Method::Ack => self.ack(seen, out),
                Method::Cancel => self.cancel(seen, cause::of_cancel(message), out),
                Method::Bye => self.bye(seen, out),
                Method::Refer => self.refer(seen, &uri, out),
                Method::Notify => self.notify(seen, out),
                Method::Message => self.message(seen, &uri),
                Method::Prack | Method::Info => self.in_dialog(seen, out),
                // Some ask for a sign of life so (RFC 3261 §11), in the dialog of the call.
                Method::Options if newest.is_some() => self.in_dialog(seen, out),
                _ => self.counters.no_call += 1,
            },
            StartLine::Response { status, .. } => match message.cseq().method {
                Method::Invite => return self.invite_response(seen, status, may_wait, out),
                Method::Update if may_wait && self.is_before_request(seen) => return false,
                Method::Update => self.changed(seen, status, out),
                Method::Refer | Method::Message => self.referred(seen, status, out),
                Method::Bye | Method::Cancel | Method::Prack | Method::Info | Method::Notify => {
                    self.in_dialog(seen, out);
                }
                Method::Options if newest.is_some() => self.in_dialog(seen, out),
                Method::Register => {
                    if matches!(status, 200..=299 | 401 | 407) {
                        self.servers.learn(captured.src, captured.dst, captured.time);
                    }
                    if (200..300).contains(&status) {
                        self.bindings.learn(message, captured.time);
                    }
                    self.counters.no_call += 1;
                }
                _ => self.counters.no_call += 1,
            },
        }
        true
    }

    /// Returns `true` if a message with this fingerprint was seen before.
    fn is_repeated(&self, newest: Option<usize>, print: u64) -> bool {
        match newest {
            Some(newest) => self.same_id(newest).any(|index| self.calls[index].seen.contains(print)),
            None => self.repeats.contains(print),
        }
    }

    /// The call and those that used its Call-ID before, the newest first.
    fn same_id(&self, newest: usize) -> impl Iterator<Item = usize> + '_ {
        std::iter::successors(Some(newest), |&index| self.calls[index].before)
    }

    /// An INVITE outside a dialog: a new call, the next hop of a call, or its caller's next try.
    fn invite(&mut self, seen: &Seen<'_, '_>, uri: &Uri<'_>, out: &mut Vec<Signal>) {
        let message = seen.message;
        let Some(from_tag) = message.from_tag().or(Some(b"")) else { return };
        let branch = message.top_via().unique_branch().unwrap_or_default();
        let cseq = message.cseq().number;
        let (src, dst) = (seen.captured.src, seen.captured.dst);
        let known = self.find(seen, |call| *call.caller_tag == *from_tag);
        let Some(index) = known.or_else(|| self.retried_with_another_tag(seen, out)) else {
            if !self.open_again(seen, uri, out) {
                self.open(seen, uri, out);
            }
            return;
        };
        let call = &mut self.calls[index];
        if call.hop(branch, cseq, src, dst).is_some_and(|hop| call.hops[hop].dst == dst) {
            self.counters.retransmissions += 1;
            return;
        }
        let parent = call.parent_of(seen);
        if parent.is_none() && (call.over || call.is_presumed_over || call.has_lapsed(seen.captured.time)) {
            if call.hops.iter().any(|hop| hop.cseq >= cseq) && !call.is_forked_by(seen) {
                self.counters.stray += 1;
                return;
            }
            self.open(seen, uri, out); // the Call-ID is used again
            return;
        }
        if call.hops.len() >= HOPS_MAX {
            self.counters.refused += 1;
            return;
        }
        self.counters.in_call += 1;
        call.last_seen = seen.captured.time;
        let target = self.next_leg();
        let mut far_end = self.servers.far_end(src, dst);
        if self.turn_from_others(seen, index, parent, uri, out) {
            // Who replaces the Request-URI has looked up where the target is (RFC 3261 §16.5).
            far_end = FarEnd::Endpoint;
        }
        if parent.is_none() {
            self.clear_refusal(index);
        }
        let call = &mut self.calls[index];
        let caller = call.caller;
        call.hops.push(hop(seen, uri, target, parent));
        let place = (index, call.number);
        self.await_response(seen, place, self.calls[index].hops.len() - 1);
        let created = self.created(seen, uri, Direction::Inbound, Some(caller), far_end);
        out.push(signal(self.account, seen, target, SignalKind::Created(Box::new(created))));
    }

    /// An INVITE that is seen again with another destination, as a capture on all interfaces of a host shows it that
    /// translates addresses: both addresses are those of who is called there.
    fn repeated_invite(
        &self,
        newest: Option<usize>,
        message: &Message<'_>,
        captured: &Captured<'_>,
        input: InputRef,
        out: &mut Vec<Signal>,
    ) {
        let is_invite = matches!(message.start(), StartLine::Request { method: Method::Invite, .. });
        let Some(newest) = newest.filter(|_| is_invite && message.to_tag().is_none()) else { return };
        let Some(branch) = message.top_via().unique_branch() else { return };
        let hops = self.same_id(newest).flat_map(|index| &self.calls[index].hops);
        let translated =
            |hop: &&Hop| *hop.branch == *branch && hop.state == HopState::Trying && hop.dst != captured.dst;
        for hop in hops.filter(translated) {
            let (at, account, leg) = (captured.time, self.account, hop.target);
            let kind = SignalKind::AlsoAt(captured.dst);
            out.push(Signal { at, account, account_given: false, leg, input, kind });
        }
    }

    /// Notes that the INVITE of a hop waits for a response.
    fn await_response(&mut self, seen: &Seen<'_, '_>, call: (usize, u64), hop: usize) {
        let due = seen.captured.time + RESPONSE_MAX + NEXT_TRY_MAX;
        self.deadlines.add(due, call, Awaited::Response(hop), seen.input);
    }

    /// The id of a new leg.
    fn next_leg(&mut self) -> LegId {
        self.next_leg += 1;
        LegId::new(self.source, self.next_leg - 1)
    }

    fn open(&mut self, seen: &Seen<'_, '_>, uri: &Uri<'_>, out: &mut Vec<Signal>) {
        let uses = || seen.newest.into_iter().flat_map(|newest| self.same_id(newest));
        if self.calls.len() >= CALLS_MAX || uses().count() >= CALL_ID_USES_MAX {
            self.counters.refused += 1;
            return;
        }
        // A call is known by its Call-ID, From tag and first instant.
        let from_tag = seen.message.from_tag().unwrap_or_default();
        if uses().map(|index| &self.calls[index]).any(|call| call.is(from_tag, seen.captured.time)) {
            self.counters.stray += 1;
            return;
        }
        let (caller, target) = (self.next_leg(), self.next_leg());
        let far_end = self.servers.far_end(seen.captured.src, seen.captured.dst);
        let mut created = self.created(seen, uri, Direction::Outbound, None, far_end);
        created.aliases = identity::aliases(seen.message, seen.captured);
        let offered = LegCreated {
            direction: Direction::Inbound,
            of: Some(caller),
            aliases: Vec::new(),
            place: self.place(seen, Direction::Inbound),
            ..created.clone()
        };
        out.push(signal(self.account, seen, caller, SignalKind::Created(Box::new(created))));
        out.push(signal(self.account, seen, target, SignalKind::Created(Box::new(offered))));
        self.insert(seen, uri, caller, target);
    }

    /// Adds a call with its first INVITE.
    fn insert(&mut self, seen: &Seen<'_, '_>, uri: &Uri<'_>, caller: LegId, target: LegId) {
        self.counters.in_call += 1;
        let number = self.next_call;
        self.next_call += 1;
        let call_id = match seen.newest {
            Some(before) => self.calls[before].key.clone(),
            None => Arc::from(seen.message.call_id()),
        };
        let call = Call {
            number,
            key: call_id.clone(),
            before: seen.newest,
            seen: Fingerprints::of(seen.print),
            caller_tag: seen.message.from_tag().unwrap_or_default().into(),
            opened: seen.captured.time,
            caller,
            hops: vec![hop(seen, uri, target, None)],
            dialogs: Vec::new(),
            over: false,
            is_presumed_over: false,
            answered: false,
            refusal: None,
            timer_told: None,
            last_seen: seen.captured.time,
        };
        let index = self.calls.insert(call);
        self.by_call_id.insert(call_id, index);
        self.checks.push_back((seen.captured.time + CHECK_EVERY, index, number));
        self.await_response(seen, (index, number), 0);
    }

    fn created(
        &self,
        seen: &Seen<'_, '_>,
        uri: &Uri<'_>,
        direction: Direction,
        of: Option<LegId>,
        far_end: FarEnd,
    ) -> LegCreated {
        let message = seen.message;
        let callee = self.bindings.owner(uri).unwrap_or_else(|| identity::callee(uri, &message.to().uri()));
        LegCreated {
            direction,
            of,
            caller: identity::caller(message),
            callee,
            callee_name: None,
            callee_host: identity::domain(uri),
            src: Some(seen.captured.src),
            dst: Some(seen.captured.dst),
            sent_by: identity::sent_by(message),
            endpoint: None,
            endpoint_domain: None,
            agent: message.user_agent().map(|agent| Arc::from(&*lossy(agent))),
            far_end,
            aliases: Vec::new(),
            sip: Some(Arc::new(identity::sip_data(message))),
            ring_out_role: None,
            service: None,
            from_queue: false,
            reported: false,
            found_running: false,
            sent_by_server: direction == Direction::Outbound && self.is_sent_by_server(seen, uri),
            place: self.place(seen, direction),
            mailbox: identity::mailbox(uri),
            diverted_by: identity::diverted_by(message),
            called_first: identity::called_first(message),
            offer: identity::offer(message),
            is_automaton: identity::is_automaton(message),
        }
    }

    /// Returns `true` if a call comes from a server that places it on somebody's behalf: the callee has an account
    /// there, or it calls somebody in that person's own name from an address that is not theirs.
    fn is_sent_by_server(&self, seen: &Seen<'_, '_>, uri: &Uri<'_>) -> bool {
        let message = seen.message;
        let own_name = || {
            let from = message.from().uri().user();
            let contact = message.contact().map(|contact| contact.uri().user());
            from.is_some() && from == uri.user() && contact.is_some_and(|user| user != from)
        };
        self.servers.serves(seen.captured.src, seen.captured.dst) || own_name()
    }

    /// Returns where in an open call the request says that it belongs.
    fn place(&self, seen: &Seen<'_, '_>, direction: Direction) -> Option<LegRelation> {
        let message = seen.message;
        if let Some(replaced) = message.replaces() {
            let (recipient, peer) = self.legs_of_replaced(&replaced, seen.captured.dst)?;
            return Some(match direction {
                Direction::Outbound => LegRelation::Replaces(peer),
                Direction::Inbound => LegRelation::SamePartyAs(recipient),
            });
        }
        let (recipient, _) = self.legs_of(&message.join()?)?;
        Some(match direction {
            Direction::Outbound => LegRelation::Joins(recipient),
            Direction::Inbound => LegRelation::SamePartyAs(recipient),
        })
    }

    /// A response to an INVITE; false if it must wait for its request.
    fn invite_response(
        &mut self,
        seen: &Seen<'_, '_>,
        status: u16,
        may_wait: bool,
        out: &mut Vec<Signal>,
    ) -> bool {
        let message = seen.message;
        let from_tag = message.from_tag().unwrap_or_default();
        let branch = message.top_via().unique_branch().unwrap_or_default();
        let cseq = message.cseq().number;
        // A response goes back the way of its request.
        let (src, dst) = (seen.captured.dst, seen.captured.src);
        let initial = self
            .find(seen, |call| *call.caller_tag == *from_tag && call.hop(branch, cseq, src, dst).is_some());
        let Some(index) = initial else {
            if may_wait && self.is_before_request(seen) {
                return false;
            }
            self.changed(seen, status, out);
            return true;
        };
        self.counters.in_call += 1;
        let account = self.account;
        let call = &mut self.calls[index];
        call.last_seen = seen.captured.time;
        let Some(at) = call.hop(branch, cseq, src, dst) else { return true };
        let goes_on = std::mem::take(&mut call.is_presumed_over);
        let hop = &mut call.hops[at];
        hop.is_heard = true;
        hop.given_up &= !goes_on;
        let (target, first, leaf) = (hop.target, hop.first, !hop.relayed);
        let caller = call.caller;
        let mut tell = |leg: LegId, kind: SignalKind| out.push(signal(account, seen, leg, kind));
        // Only where phones and switch share an address is the product needed to tell them apart.
        let agent = message.server().or(message.user_agent());
        if let Some(agent) = agent.filter(|_| first && src.ip() == dst.ip() && hop.state == HopState::Trying)
        {
            tell(target, SignalKind::ServedBy(Arc::from(&*lossy(agent))));
        }
        let to_tag = message.to_tag().filter(|tag| !tag.is_empty());
        if let (Some(tag), 101..=299) = (to_tag, status) {
            call.learn_dialog(tag, at, cseq, status >= 200);
        }
        if matches!(status, 101..=299) && leaf {
            if identity::is_automaton(message) {
                tell(target, SignalKind::Automaton);
            } else if let Some(room) = identity::focus(message).filter(|_| status >= 200) {
                tell(caller, SignalKind::Focus { room, owns: false });
            }
        }
        let hop = &mut call.hops[at];
        let shown = || to_tag.map(|tag| Arc::from(&*lossy(tag)));
        match status {
            180 | 183 if hop.state <= HopState::Ringing => {
                hop.state = HopState::Ringing;
                if leaf {
                    tell(target, SignalKind::Ringing { to_tag: shown() });
                }
                if first {
                    tell(caller, SignalKind::Ringing { to_tag: shown() });
                }
            }
            // A transaction that was refused is not answered any more (RFC 3261 §17.2.1).
            200..=299 if hop.state != HopState::Failed => {
                let news = hop.state < HopState::Answered;
                hop.state = HopState::Answered;
                call.answered |= first;
                if let Some(dialog) =
                    to_tag.and_then(|tag| call.dialogs.iter_mut().find(|dialog| *dialog.tag == *tag))
                {
                    let another = !std::mem::replace(&mut dialog.answered, true);
                    if another {
                        dialog.unacknowledged = Some(seen.captured.time);
                    }
                    dialog.set_timer(message.session_expires().map(silence_max), another);
                    // A second answer is another fork's, or forged: the caller's ACK tells.
                    dialog.confirmed |= news;
                    if let Some(sdp) = message.sdp() {
                        dialog.sides[Side::Callee as usize].media = Some(media_state(&sdp));
                    }
                }
                let answerer = if leaf { Some(target) } else { call.answerer_behind(at, to_tag) };
                if let Some(answerer) = answerer {
                    tell(answerer, SignalKind::Answered { to_tag: shown() });
                }
                if first {
                    tell(caller, SignalKind::Answered { to_tag: shown() });
                }
                for unheard in call.give_up_unheard_beside(at) {
                    tell(unheard, SignalKind::Ended(Cause::Withdrawn));
                }
                let within = call.timer();
                if call.answered && within != call.timer_told {
                    call.timer_told = within;
                    tell(caller, SignalKind::Alive { within });
                }
            }
            300..=699 if hop.state < HopState::Answered => {
                hop.state = HopState::Failed;
                if matches!(status, 401 | 407) {
                    self.servers.learn(dst, src, seen.captured.time);
                }
                let cancelled = hop.cancelled;
                let again = matches!(status, 401 | 407 | 422) && cancelled.is_none();
                let redirected = status < 400;
                let cause = match cancelled {
                    // Which of its branches' responses a proxy sends on is its choice (RFC 3261 §16.7).
                    Some(cause) => cause,
                    None if status == 487 => Cause::Withdrawn,
                    None => cause::of_response(status, message),
                };
                if leaf {
                    let kind = match status {
                        401 | 407 if again => SignalKind::Challenged,
                        422 if again => SignalKind::Relayed,
                        484 if cancelled.is_none() => SignalKind::Incomplete,
                        _ => SignalKind::Ended(cause),
                    };
                    tell(target, kind);
                }
                if first && !call.goes_on_beside(at) {
                    if again || redirected {
                        tell(caller, SignalKind::TriedAgain);
                        self.await_changed(seen, index);
                    } else {
                        let cause = match cancelled {
                            // Who cancels and says so may see more of the call.
                            Some(Cause::AnsweredElsewhere) => Cause::AnsweredElsewhere,
                            Some(_) => Cause::Cancelled,
                            None => cause,
                        };
                        self.refuse(seen, (index, at), status, cause, out);
                    }
                }
            }
            _ => {}
        }
        true
    }

    fn cancel(&mut self, seen: &Seen<'_, '_>, cause: Cause, out: &mut Vec<Signal>) {
        let message = seen.message;
        let from_tag = message.from_tag().unwrap_or_default();
        let branch = message.top_via().unique_branch().unwrap_or_default();
        let cseq = message.cseq().number;
        let (src, dst) = (seen.captured.src, seen.captured.dst);
        let found = self
            .find(seen, |call| *call.caller_tag == *from_tag && call.hop(branch, cseq, src, dst).is_some());
        let Some(index) = found else {
            self.counters.stray += 1;
            return;
        };
        self.counters.in_call += 1;
        let call = &mut self.calls[index];
        call.last_seen = seen.captured.time;
        if let Some(at) = call.hop(branch, cseq, src, dst) {
            // It takes effect with the 487: the answer may be on its way (RFC 3261 §9.1).
            let hop = &mut call.hops[at];
            let is_first = hop.cancelled.is_none();
            if hop.cancelled.is_none_or(|known| known == Cause::Withdrawn) {
                hop.cancelled = Some(cause);
            }
            if is_first && hop.is_pending() {
                let due = seen.captured.time + RESPONSE_MAX;
                if !hop.relayed && cause != Cause::AnsweredElsewhere {
                    out.push(signal(self.account, seen, hop.target, SignalKind::CancelSent));
                }
                let call = (index, call.number);
                self.deadlines.add(due, call, Awaited::FinalResponse(at), seen.input);
            }
        }
    }

    fn bye(&mut self, seen: &Seen<'_, '_>, out: &mut Vec<Signal>) {
        let Some((index, at, side)) = self.find_dialog(seen) else {
            self.counters.stray += 1;
            return;
        };
        let account = self.account;
        let call = &mut self.calls[index];
        let cseq = seen.message.cseq().number;
        let dialog = &mut call.dialogs[at];
        let state = &mut dialog.sides[side as usize];
        // The next hop of a BYE has the number of the hop before; a first one has a number of its own.
        if state.cseq.is_some_and(|last| cseq < last || (cseq == last && !dialog.ended)) {
            self.counters.stray += 1;
            return;
        }
        self.counters.in_call += 1;
        state.cseq = Some(cseq);
        if dialog.ended {
            return;
        }
        if side == Side::Callee && !dialog.answered {
            self.answered_unseen(seen, index, at, out);
        }
        if self.is_given_up_after_doubt(seen, index, at) {
            self.lose_dialog(seen.captured.time, seen.input, (index, at), None, out);
            return;
        }
        let call = &mut self.calls[index];
        let dialog = &mut call.dialogs[at];
        dialog.ended = true;
        let (target, confirmed) = (dialog.target, dialog.confirmed);
        call.last_seen = seen.captured.time;
        let last = !call.talks_elsewhere(at);
        let caller = call.caller;
        if call.talks_in_another_dialog(at) {
            return; // of two phones behind one hop that have both answered, one is hung up (RFC 3261 §13.2.2.4)
        }
        let mut tell =
            |leg: LegId, cause: Cause| out.push(signal(account, seen, leg, SignalKind::Ended(cause)));
        if last && confirmed {
            // A response of theirs was lost, or they never sent any: who else was called rings no more.
            for pending in call.give_up_pending() {
                tell(pending, Cause::AnsweredElsewhere);
            }
        }
        if !confirmed {
            // The caller may leave an early dialog with a BYE (RFC 3261 §15).
            tell(target, Cause::Withdrawn);
            if last {
                tell(caller, Cause::Cancelled);
            }
        } else if side == Side::Callee {
            tell(target, Cause::HungUp);
            if last {
                // Who is still called has not been given up by the caller.
                tell(caller, Cause::Cleared);
            }
        } else {
            if last {
                tell(caller, Cause::HungUp);
            }
            tell(target, Cause::HungUp);
        }
        if last {
            finish(&mut self.finished, index, call, seen.captured.time);
        }
    }

    /// A message that is part of a call and changes nothing.
    fn in_dialog(&mut self, seen: &Seen<'_, '_>, out: &mut Vec<Signal>) {
        if seen.newest.is_some() {
            self.counters.in_call += 1;
            if let Some((index, at, side)) = self.find_dialog(seen) {
                let refused = matches!(seen.message.start(), StartLine::Response { status: 408 | 481, .. });
                if refused && matches!(seen.message.cseq().method, Method::Info | Method::Options) {
                    self.doubt_dialog(seen, index, at, side);
                }
                self.alive(seen, (index, at, side), out);
            }
        } else if matches!(
            seen.message.cseq().method,
            Method::Notify | Method::Refer | Method::Message | Method::Info
        ) {
            self.counters.no_call += 1;
        } else {
            self.counters.stray += 1;
        }
    }

    /// The newest call with this Call-ID that fits.
    fn find(&self, seen: &Seen<'_, '_>, fits: impl Fn(&Call) -> bool) -> Option<usize> {
        self.same_id(seen.newest?).find(|&index| fits(&self.calls[index]))
    }

    /// The dialog of a message. Who writes no tag is told by that (RFC 3261 §12.1.1): the tag is null.
    fn find_dialog(&self, seen: &Seen<'_, '_>) -> Option<(usize, usize, Side)> {
        let tag = |tag: Option<_>| tag.unwrap_or(&b""[..]);
        let (from, to) = (tag(seen.message.from_tag()), tag(seen.message.to_tag()));
        self.same_id(seen.newest?).find_map(|index| {
            let (dialog, side) = self.calls[index].dialog(from, to)?;
            Some((index, dialog, side))
        })
    }

    /// Forgets finished calls, and open ones of which nothing was heard for too long.
    fn forget(&mut self, now: Timestamp) {
        self.repeats.forget(now);
        if self.swept + SWEEP_EVERY <= now {
            self.swept = now;
            self.servers.forget(now);
            self.bindings.forget(now);
        }
        self.referrals.forget(now);
        self.recordings.forget(now);
        while self.finished.front().is_some_and(|(at, ..)| *at <= now) {
            if let Some((_, index, number)) = self.finished.pop_front()
                && self.is_number(index, number)
            {
                self.remove(index);
            }
        }
        while self.checks.front().is_some_and(|(at, ..)| *at <= now) {
            let Some((_, index, number)) = self.checks.pop_front() else { break };
            if !self.is_number(index, number) {
                continue;
            }
            let call = &self.calls[index];
            let silent_max = if call.answered { ANSWERED_MAX } else { UNANSWERED_MAX };
            if call.last_seen + silent_max <= now {
                self.remove(index);
            } else {
                self.checks.push_back((now + CHECK_EVERY, index, number));
            }
        }
    }

    /// Returns `true` if the call at this place is still the one with this number.
    fn is_number(&self, index: usize, number: u64) -> bool {
        self.calls.get(index).is_some_and(|call| call.number == number)
    }

    fn remove(&mut self, index: usize) {
        self.clear_refusal(index);
        let call = self.calls.remove(index);
        let Some(newest) = self.by_call_id.get_mut(&call.key) else { return };
        if *newest == index {
            match call.before {
                Some(before) => *newest = before,
                None => drop(self.by_call_id.remove(&call.key)),
            }
        } else {
            let newest = *newest;
            let after = self.same_id(newest).find(|&other| self.calls[other].before == Some(index));
            if let Some(after) = after {
                self.calls[after].before = call.before;
            }
        }
    }
}

fn finish(finished: &mut VecDeque<(Timestamp, usize, u64)>, index: usize, call: &mut Call, now: Timestamp) {
    if !call.over {
        call.over = true;
        finished.push_back((now + REPEAT_MAX, index, call.number));
    }
}

fn hop(seen: &Seen<'_, '_>, uri: &Uri<'_>, target: LegId, parent: Option<usize>) -> Hop {
    let message = seen.message;
    let is_forwarded =
        message.vias().nth(1).is_some() || message.max_forwards().is_some_and(|hops| hops < 70);
    Hop {
        branch: seen.message.top_via().unique_branch().unwrap_or_default().into(),
        src: seen.captured.src,
        dst: seen.captured.dst,
        cseq: seen.message.cseq().number,
        request_uri: uri.as_bytes().into(),
        target,
        first: parent.is_none(),
        parent,
        sent: seen.captured.time,
        is_forwarded,
        relayed: false,
        is_heard: false,
        given_up: false,
        state: HopState::Trying,
        cancelled: None,
    }
}

fn signal(account: AccountId, seen: &Seen<'_, '_>, leg: LegId, kind: SignalKind) -> Signal {
    Signal { at: seen.captured.time, account, account_given: false, leg, input: seen.input, kind }
}
