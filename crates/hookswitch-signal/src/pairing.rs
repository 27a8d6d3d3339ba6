//! One call that two sources tell of: the switch itself, and a capture agent that sees its SIP.
//!
//! What the switch says decides. Of SIP the dialog is taken, by which a call can be found again, and the
//! calls that the switch says nothing of: it refused them before there was a channel, or they went past
//! it. A SIP call and a channel belong together by the Call-ID where the switch names it, and else by their
//! numbers and the moment.
//!
//! Without a connection to the switch SIP decides alone, also how a call ends that the switch has told of. What
//! was told as SIP shows it stays so when the switch is heard again: its channel stands aside.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::RandomState;
use hookswitch_model::number::NumberKey;
use hookswitch_model::{
    AccountId, Alias, Cause, Direction, InputRef, LegCreated, LegId, Note, Signal, SignalKind, SipData,
    Timestamp,
};
use serde::{Deserialize, Serialize};

/// How long before or after a SIP request its channel may be told of.
const MATCH_WINDOW: Duration = Duration::from_secs(2);

/// Time that a SIP call that was refused waits for its channel.
const REFUSED_WAIT: Duration = Duration::from_millis(300);

/// Time that one side may go on when the other says that the call has ended.
const END_WAIT: Duration = Duration::from_secs(2);

/// Time for which a switch may say nothing while a call goes through it, before the call is told as SIP shows it. A
/// connection that does not answer is given up before.
const SWITCH_SILENT_MAX: Duration = Duration::from_secs(70);

/// The most SIP calls that are known at once; further ones are passed on as they are.
const CALLS_MAX: usize = 1_000_000;

/// The most signals of a SIP call that are held.
const HELD_MAX: usize = 256;

/// The most addresses of the switch that are known.
const ADDRESSES_MAX: usize = 64;

/// The most SIP calls or channels that are looked at for a partner, the latest.
const CANDIDATES_MAX: usize = 256;

/// Time for which a SIP call is remembered of which nothing is heard.
const SILENT_MAX: Duration = Duration::from_secs(25 * 3600);

/// Counts of the SIP calls beside a switch that tells of its calls itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// SIP calls that came in.
    pub sip_calls: u64,
    /// Of these, calls of a channel by the Call-ID that the switch named.
    pub joined_by_id: u64,
    /// Of these, calls of a channel by numbers and moment.
    pub joined_by_numbers: u64,
    /// Of these, calls of which the switch said nothing: it refused them, or they went past it.
    pub alone: u64,
    /// Of these, calls through the switch that no channel was found for. They are not told of.
    pub unmatched: u64,
    /// Calls of which the two sources say what cannot both be.
    pub disagreements: u64,
}

/// Brings together what the SIP tracker and the tracker of a switch tell.
///
/// Does no IO and reads no clock: come back no later than [`Pairing::poll_timeout`]. Its state is plain
/// data.
#[derive(Default, Serialize, Deserialize)]
pub struct Pairing {
    calls: HashMap<LegId, SipCall, RandomState>,
    /// The SIP call of each SIP leg, by the caller's leg.
    by_leg: HashMap<LegId, LegId, RandomState>,
    by_call_id: HashMap<Arc<str>, LegId, RandomState>,
    /// The channels whose Call-ID the switch has named before its SIP was seen.
    named: HashMap<Arc<str>, LegId, RandomState>,
    channels: HashMap<LegId, Channel, RandomState>,
    /// Legs of the switch whose calls are told as SIP shows them.
    aside: HashSet<LegId, RandomState>,
    /// SIP calls that are told as SIP shows them, and whose channels were not heard of.
    alone: BTreeSet<LegId>,
    /// SIP calls that may still find their channel, and channels that may find their SIP call.
    held: VecDeque<LegId>,
    unmatched: VecDeque<LegId>,
    due: VecDeque<(Timestamp, Due)>,
    /// Deadlines later than what is looked at in between.
    silent: VecDeque<(Timestamp, LegId)>,
    /// Place where the switch is, as its calls have shown.
    addresses: Vec<SocketAddr>,
    /// The connection to the switch is lost.
    is_lost: bool,
    /// Time when the switch said something last.
    heard: Option<Timestamp>,
    counters: Counters,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Due {
    /// A SIP call has waited for its channel.
    Decide(LegId),
    /// A SIP call has ended, and its channel must have.
    Ended(LegId),
    /// A channel has ended some time ago.
    Forget(LegId),
}

#[derive(Serialize, Deserialize)]
struct SipCall {
    legs: Vec<LegId>,
    sip: Arc<SipData>,
    caller: Option<Arc<str>>,
    callee: Arc<str>,
    src: Option<SocketAddr>,
    dst: Option<SocketAddr>,
    /// The far end of the caller asked for credentials, so it is the switch.
    challenged: bool,
    begun: Timestamp,
    last: Timestamp,
    held: Vec<Signal>,
    fate: Fate,
    /// How its callee's end refused it, or that it is over.
    ended: Option<(Timestamp, Cause)>,
    answered: bool,
    /// The last message of it.
    input: InputRef,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Fate {
    /// It waits for its channel.
    Held,
    /// It is the call of this channel.
    Of(LegId),
    /// No channel was told of, and it is told of as SIP shows it.
    Alone,
    /// The same, and its channel, which was heard of later, stands aside.
    Before(LegId),
    /// No channel was found for it, though there must be one.
    Unmatched,
}

#[derive(Serialize, Deserialize)]
struct Channel {
    account: AccountId,
    calls: bool,
    /// Caller, and callee.
    caller: Option<Arc<str>>,
    callee: Arc<str>,
    endpoint: Option<Arc<str>>,
    at: Timestamp,
    sip: Option<LegId>,
    /// Its Call-ID, as the switch has named it.
    named: Option<Arc<str>>,
    /// The switch has told its dialog.
    has_dialog: bool,
    answered: bool,
    ended: Option<Timestamp>,
}

impl Pairing {
    /// The connection to the switch is up, or it is lost: then SIP goes its own way.
    pub fn set_connected(&mut self, connected: bool, out: &mut Vec<Signal>) {
        self.is_lost = !connected;
        if !connected {
            self.release_all(out);
        }
    }

    /// Notes that the switch has said something, whether it is about calls that are followed or not.
    pub fn note_switch(&mut self, at: Timestamp) {
        self.heard = self.heard.max(Some(at));
    }

    /// Takes what the SIP tracker tells of one message, which came at `now` by the clock of the switch;
    /// the agent that saw it may have another.
    pub fn handle_sip(
        &mut self,
        signals: impl IntoIterator<Item = Signal>,
        now: Timestamp,
        out: &mut Vec<Signal>,
    ) {
        self.handle_time(now, out);
        for signal in signals {
            self.sip(signal, now, out);
        }
    }

    /// Takes what the tracker of the switch tells.
    pub fn handle_switch(&mut self, signals: impl IntoIterator<Item = Signal>, out: &mut Vec<Signal>) {
        for signal in signals {
            self.handle_time(signal.at, out);
            self.switch(signal, out);
        }
    }

    /// Lets time pass: what has found no partner in time goes its own way.
    pub fn handle_time(&mut self, now: Timestamp, out: &mut Vec<Signal>) {
        while let Some(&(_, due)) = self.due.front().filter(|(at, _)| *at <= now) {
            self.due.pop_front();
            match due {
                Due::Decide(call) => self.decide(call, now, out),
                Due::Ended(call) => self.compare_end(call, now, out),
                Due::Forget(channel) => {
                    if let Some(id) = self.channels.remove(&channel).and_then(|channel| channel.named) {
                        self.named.remove(&id);
                    }
                    self.unmatched.retain(|other| *other != channel);
                }
            }
        }
        while let Some(&(_, call)) = self.silent.front().filter(|(at, _)| *at <= now) {
            self.silent.pop_front();
            match self.calls.get(&call) {
                Some(known) if now.since(known.last) < SILENT_MAX => {
                    self.silent.push_back((now + SILENT_MAX, call));
                }
                _ => self.forget(call),
            }
        }
    }

    /// Returns the time when [`Pairing::handle_time`] wants to be called at the latest.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        let due = self.due.front().map(|&(at, _)| at);
        due.into_iter().chain(self.silent.front().map(|&(at, _)| at)).min()
    }

    /// Passes on all that waits: nothing more will be heard.
    pub fn finish(&mut self, out: &mut Vec<Signal>) {
        self.release_all(out);
        let due: Vec<(Timestamp, Due)> = self.due.iter().copied().collect();
        for (at, due) in due {
            if let Due::Ended(call) = due {
                self.end_unheard(call, at, out);
            }
        }
    }

    fn release_all(&mut self, out: &mut Vec<Signal>) {
        let all: Vec<LegId> = self.held.iter().copied().collect();
        self.release_together(&all, out);
    }

    fn release_together(&mut self, calls: &[LegId], out: &mut Vec<Signal>) {
        let mut released = Vec::new();
        for &call in calls {
            self.release(call, &mut released);
        }
        released.sort_by_key(|signal| signal.at);
        out.append(&mut released);
    }

    /// Returns what became of the SIP calls.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Returns the number of SIP calls that are known.
    pub fn calls(&self) -> usize {
        self.calls.len()
    }

    fn sip(&mut self, signal: Signal, now: Timestamp, out: &mut Vec<Signal>) {
        if let SignalKind::Created(leg) = &signal.kind {
            let of = leg.of.and_then(|of| self.by_leg.get(&of).copied());
            if leg.direction == Direction::Outbound {
                if !self.open(signal.leg, leg, now) {
                    out.push(signal);
                    return;
                }
            } else if let Some(call) = of {
                self.by_leg.insert(signal.leg, call);
                if let Some(known) = self.calls.get_mut(&call) {
                    known.legs.push(signal.leg);
                }
            }
        }
        let Some(&key) = self.by_leg.get(&signal.leg) else {
            out.push(signal);
            return;
        };
        let Some(call) = self.calls.get_mut(&key) else { return };
        call.last = call.last.max(now);
        call.input = signal.input;
        let at = now;
        let is_callers = signal.leg == key;
        match &signal.kind {
            SignalKind::Challenged => call.challenged = true,
            SignalKind::Answered { to_tag } => {
                call.answered = true;
                if let Some(to_tag) = to_tag.clone().filter(|_| call.sip.to_tag.is_none()) {
                    Arc::make_mut(&mut call.sip).to_tag = Some(to_tag);
                    let (fate, sip) = (call.fate, call.sip.clone());
                    if let Fate::Of(channel) = fate {
                        tell(channel, SignalKind::Dialog(sip), &signal, out);
                    }
                }
            }
            SignalKind::Ended(cause) if !is_callers || call.ended.is_none() => {
                call.ended = Some((at, *cause));
                let due = if is_callers { Some(Due::Ended(key)) } else { None };
                let fate = call.fate;
                if fate == Fate::Held && is_callers {
                    self.wait(at + REFUSED_WAIT, Due::Decide(key));
                } else if let Some(due) = due {
                    self.wait(at + END_WAIT, due);
                }
            }
            _ => {}
        }
        let begins = matches!(&signal.kind, SignalKind::Created(leg) if leg.direction == Direction::Outbound);
        let Some(call) = self.calls.get_mut(&key) else { return };
        match call.fate {
            Fate::Alone | Fate::Before(_) => out.push(signal),
            Fate::Of(channel) if self.is_lost => self.stand_in(channel, key, &signal, out),
            Fate::Of(_) | Fate::Unmatched => {}
            Fate::Held => {
                call.held.push(signal);
                if call.held.len() >= HELD_MAX {
                    self.release(key, out);
                } else if begins {
                    self.find_channel(key, out);
                }
            }
        }
    }

    /// Without the switch, SIP says how a call goes on that the switch has told of.
    fn stand_in(&mut self, leg: LegId, key: LegId, signal: &Signal, out: &mut Vec<Signal>) {
        let (Some(call), Some(channel)) = (self.calls.get(&key), self.channels.get_mut(&leg)) else { return };
        let is_own = (signal.leg == key) == channel.calls;
        match &signal.kind {
            SignalKind::Ringing { .. } => tell(leg, SignalKind::Ringing { to_tag: None }, signal, out),
            SignalKind::Answered { .. } if !std::mem::replace(&mut channel.answered, true) => {
                tell(leg, SignalKind::Answered { to_tag: None }, signal, out);
            }
            SignalKind::Held | SignalKind::Resumed if is_own => tell(leg, signal.kind.clone(), signal, out),
            SignalKind::Ended(cause) if signal.leg == key && channel.ended.is_none() => {
                channel.ended = Some(signal.at);
                let cause = call.ended.filter(|_| !channel.calls).map_or(*cause, |(_, cause)| cause);
                tell(leg, SignalKind::Ended(cause), signal, out);
            }
            _ => {}
        }
    }

    /// A SIP call begins; false if there is no room to hold it.
    fn open(&mut self, leg: LegId, created: &LegCreated, at: Timestamp) -> bool {
        let Some(sip) = created.sip.clone().filter(|_| self.calls.len() < CALLS_MAX) else {
            return false;
        };
        self.counters.sip_calls += 1;
        self.by_leg.insert(leg, leg);
        self.by_call_id.insert(sip.call_id.clone(), leg);
        let call = SipCall {
            legs: vec![leg],
            sip,
            caller: created.caller.number.clone(),
            callee: created.callee.clone(),
            src: created.src,
            dst: created.dst,
            challenged: false,
            begun: at,
            last: at,
            held: Vec::new(),
            fate: if self.is_lost { Fate::Alone } else { Fate::Held },
            ended: None,
            answered: false,
            input: InputRef::default(),
        };
        self.calls.insert(leg, call);
        if self.is_lost {
            self.counters.alone += 1;
            self.alone.insert(leg);
        } else {
            self.held.push_back(leg);
            self.wait(at + MATCH_WINDOW, Due::Decide(leg));
        }
        self.silent.push_back((at + SILENT_MAX, leg));
        true
    }

    fn switch(&mut self, mut signal: Signal, out: &mut Vec<Signal>) {
        let leg = signal.leg;
        if let SignalKind::Created(created) = &signal.kind
            && let Some(of) = created.of.filter(|of| self.aside.contains(of))
        {
            self.stands_aside_with(leg, of, created, signal.at, out);
        }
        if self.aside.contains(&leg) {
            if matches!(signal.kind, SignalKind::Ended(_)) {
                self.aside.remove(&leg);
                self.wait(signal.at, Due::Forget(leg));
            }
            return;
        }
        match &mut signal.kind {
            SignalKind::Created(created) if !created.sent_by_server && created.endpoint.is_some() => {
                self.open_channel(leg, created, signal.at, signal.account);
                if let Some(named) = created.sip.clone().filter(|_| created.found_running) {
                    // The dialog of a channel that goes on is known: no other will do.
                    if let Some(call) = self.told_by_id(&named) {
                        self.stands_aside(leg, call);
                    } else {
                        out.push(signal);
                    }
                    return;
                }
                if let Some((call, by_id)) = self.find_call(leg) {
                    created.sip = self.calls.get(&call).map(|call| call.sip.clone());
                    out.push(signal.clone());
                    self.pair(call, leg, by_id, &signal, out);
                    return;
                }
                if let Some(call) = self.find_told_call(leg, created.found_running) {
                    self.stands_aside(leg, call);
                    return;
                }
            }
            SignalKind::Named(Alias::CallId(id)) => {
                let id = String::from_utf8_lossy(id).into_owned();
                if let Some(&call) = self.by_call_id.get(&*id) {
                    self.pair(call, leg, true, &signal, out);
                } else if let Some(channel) =
                    self.channels.get_mut(&leg).filter(|channel| channel.sip.is_none())
                {
                    let id: Arc<str> = id.into();
                    channel.named = Some(id.clone());
                    // Of the dialog that is all that is known, as long as no agent has seen it.
                    if !channel.has_dialog {
                        let sip = SipData { call_id: id.clone(), from_tag: Arc::from(""), to_tag: None };
                        tell(leg, SignalKind::Dialog(Arc::new(sip)), &signal, out);
                    }
                    self.named.insert(id, leg);
                    self.unmatched.retain(|other| *other != leg);
                }
                return;
            }
            SignalKind::Dialog(_) => {
                if let Some(channel) = self.channels.get_mut(&leg) {
                    channel.has_dialog = true;
                }
            }
            SignalKind::Answered { .. } => {
                if let Some(channel) = self.channels.get_mut(&leg) {
                    channel.answered = true;
                }
            }
            SignalKind::Ended(cause) => {
                let cause = *cause;
                self.channel_ended(leg, cause, &signal, out);
            }
            _ => {}
        }
        out.push(signal);
    }

    fn open_channel(&mut self, leg: LegId, created: &LegCreated, at: Timestamp, account: AccountId) {
        let of = created.of.and_then(|of| self.channels.get(&of));
        let caller = of.map_or_else(|| created.caller.number.clone(), |of| of.caller.clone());
        let channel = Channel {
            account,
            calls: created.direction == Direction::Outbound,
            caller,
            callee: created.callee.clone(),
            endpoint: created.endpoint.clone(),
            at,
            sip: None,
            named: None,
            has_dialog: created.sip.is_some(),
            answered: false,
            ended: None,
        };
        if self.channels.insert(leg, channel).is_none() {
            self.unmatched.push_back(leg);
            if self.unmatched.len() > CANDIDATES_MAX {
                self.unmatched.pop_front();
            }
        }
    }

    /// The SIP call of a channel that was just told of.
    fn find_call(&self, leg: LegId) -> Option<(LegId, bool)> {
        let channel = self.channels.get(&leg)?;
        let fits = |&call: &LegId| Some((fit(channel, self.calls.get(&call)?)?, call));
        // Of those that fit alike the first: a switch serves calls in their order.
        let mut best: Option<(u8, LegId)> = None;
        for (fit, call) in self.held.iter().rev().take(CANDIDATES_MAX).rev().filter_map(fits) {
            if best.is_none_or(|(other, _)| fit > other) {
                best = Some((fit, call));
            }
        }
        best.map(|(_, call)| (call, false))
    }

    /// The SIP call of a channel that was told of as SIP shows it, before the switch was heard.
    fn find_told_call(&self, leg: LegId, found_running: bool) -> Option<LegId> {
        let channel = self.channels.get(&leg)?;
        let latest = if found_running { usize::MAX } else { CANDIDATES_MAX };
        let mut best: Option<(u8, LegId)> = None;
        for &key in self.alone.iter().rev().take(latest) {
            let Some(call) = self.calls.get(&key).filter(|call| call.ended.is_none()) else { continue };
            let apart = channel.at.since(call.begun).max(call.begun.since(channel.at));
            if !(found_running || apart <= MATCH_WINDOW) {
                continue;
            }
            // Of those that fit alike the first.
            if let Some(fit) = fit_of_numbers(channel, call, found_running)
                && best.is_none_or(|(other, _)| fit >= other)
            {
                best = Some((fit, key));
            }
        }
        best.map(|(_, call)| call)
    }

    /// The SIP call of a dialog that was told of as SIP shows it, before the switch was heard.
    fn told_by_id(&self, sip: &SipData) -> Option<LegId> {
        let call = *self.by_call_id.get(&sip.call_id)?;
        let goes_on = self.calls.get(&call).is_some_and(|known| known.ended.is_none());
        (goes_on && self.alone.contains(&call)).then_some(call)
    }

    /// A channel stands aside: its call is told as SIP shows it.
    fn stands_aside(&mut self, leg: LegId, call: LegId) {
        self.aside.insert(leg);
        self.unmatched.retain(|other| *other != leg);
        self.alone.remove(&call);
        if let Some(call) = self.calls.get_mut(&call) {
            call.fate = Fate::Before(leg);
        }
    }

    /// The same of whom such a channel calls, and of what the switch does for it.
    fn stands_aside_with(
        &mut self,
        leg: LegId,
        of: LegId,
        created: &LegCreated,
        at: Timestamp,
        out: &mut Vec<Signal>,
    ) {
        self.aside.insert(leg);
        let (Some(of), Some(_)) = (self.channels.get(&of), created.endpoint.as_ref()) else { return };
        let account = of.account;
        self.open_channel(leg, created, at, account);
        let named = created.sip.as_ref().filter(|_| created.found_running);
        if let Some(call) = named.and_then(|sip| self.told_by_id(sip)) {
            self.stands_aside(leg, call);
        } else if let Some((call, _)) = self.find_call(leg) {
            self.unmatched.retain(|other| *other != leg);
            self.release_as(call, Fate::Before(leg), out);
        } else if let Some(call) = self.find_told_call(leg, true) {
            self.stands_aside(leg, call);
        }
    }

    /// The channel of a SIP call that was just seen.
    fn find_channel(&mut self, call: LegId, out: &mut Vec<Signal>) {
        let Some(known) = self.calls.get(&call) else { return };
        if let Some(&leg) = self.named.get(&known.sip.call_id)
            && let Some(signal) = known.held.first().cloned()
        {
            self.pair(call, leg, true, &signal, out);
            return;
        }
        let mut best: Option<(u8, LegId)> = None;
        for &leg in &self.unmatched {
            let Some(channel) = self.channels.get(&leg) else { continue };
            if let Some(fit) = fit(channel, known)
                && best.is_none_or(|(other, _)| fit > other)
            {
                best = Some((fit, leg));
            }
        }
        if let Some((_, leg)) = best.filter(|(_, leg)| self.aside.contains(leg)) {
            self.unmatched.retain(|other| *other != leg);
            self.release_as(call, Fate::Before(leg), out);
            return;
        }
        if let (Some((_, leg)), Some(signal)) = (best, known.held.first().cloned()) {
            self.pair(call, leg, false, &signal, out);
        }
    }

    /// A SIP call is the call of a channel.
    fn pair(&mut self, key: LegId, leg: LegId, by_id: bool, signal: &Signal, out: &mut Vec<Signal>) {
        let Some(call) = self.calls.get(&key) else { return };
        let before = match call.fate {
            Fate::Of(before) if before == leg => {
                if by_id {
                    // Numbers and moment were right.
                    self.counters.joined_by_numbers = self.counters.joined_by_numbers.saturating_sub(1);
                    self.counters.joined_by_id += 1;
                    tell(leg, SignalKind::Note(Note::SipJoinedById), signal, out);
                }
                return;
            }
            Fate::Of(before) => Some(before),
            Fate::Alone | Fate::Before(_) => return, // it was told of by itself
            Fate::Held | Fate::Unmatched => None,
        };
        let Some(channel) = self.channels.get(&leg) else { return };
        let other = channel.sip;
        let address = if channel.calls { call.dst } else { call.src };
        if let Some(address) = address.filter(|address| !self.addresses.contains(address)) {
            self.addresses.truncate(ADDRESSES_MAX - 1);
            self.addresses.insert(0, address);
        }
        // Where two look alike, each may have been taken for the other.
        for (call, channel) in [(Some(key), Some(leg)), (other, before)] {
            if let Some(call) = call {
                let fate = channel.map_or(Fate::Held, Fate::Of);
                if let Some(call) = self.calls.get_mut(&call) {
                    call.fate = fate;
                    call.held.clear();
                }
                self.held.retain(|held| *held != call);
            }
            if let Some(channel) = channel {
                if let Some(channel) = self.channels.get_mut(&channel) {
                    channel.sip = call;
                }
                self.unmatched.retain(|other| *other != channel);
            }
            if let (Some(call), Some(channel)) = (call, channel)
                && let Some(call) = self.calls.get(&call)
            {
                let sip = call.sip.clone();
                tell(channel, SignalKind::Dialog(sip), signal, out);
                let note = if by_id { Note::SipJoinedById } else { Note::SipJoinedByNumbers };
                tell(channel, SignalKind::Note(note), signal, out);
            }
        }
        if by_id {
            self.counters.joined_by_id += 1;
            if before.is_some() {
                self.counters.joined_by_numbers = self.counters.joined_by_numbers.saturating_sub(1);
            }
        } else {
            self.counters.joined_by_numbers += 1;
        }
    }

    fn channel_ended(&mut self, leg: LegId, cause: Cause, signal: &Signal, out: &mut Vec<Signal>) {
        let Some(channel) = self.channels.get_mut(&leg) else { return };
        channel.ended = Some(signal.at);
        let (sip, answered) = (channel.sip, channel.answered);
        self.wait(signal.at + MATCH_WINDOW + END_WAIT, Due::Forget(leg));
        let Some(call) = sip.and_then(|call| self.calls.get(&call)) else { return };
        let disagree = call.answered != answered
            || call.ended.is_some_and(|(_, theirs)| !answered && contradict(cause, theirs));
        if disagree {
            self.counters.disagreements += 1;
            tell(leg, SignalKind::Note(Note::SourcesDisagree), signal, out);
        }
    }

    /// A SIP call has ended some time ago; its channel must have too.
    fn compare_end(&mut self, key: LegId, now: Timestamp, out: &mut Vec<Signal>) {
        if self.end_unheard(key, now, out) {
            self.forget(key);
            return;
        }
        let Some(call) = self.calls.get(&key) else { return };
        if let Fate::Of(leg) = call.fate
            && let Some(channel) = self.channels.get(&leg)
            && channel.ended.is_none()
        {
            self.counters.disagreements += 1;
            let account = channel.account;
            let input = InputRef::default();
            let kind = SignalKind::Note(Note::SourcesDisagree);
            out.push(Signal { at: now, account, account_given: false, leg, input, kind });
        }
        self.forget(key);
    }

    /// A SIP call has ended, and the switch has said nothing since: it is not heard any more, and SIP says how the
    /// call has ended.
    fn end_unheard(&mut self, key: LegId, now: Timestamp, out: &mut Vec<Signal>) -> bool {
        let Some(call) = self.calls.get(&key) else { return false };
        let Some((at, cause)) = call.ended.filter(|(at, _)| self.heard.is_none_or(|heard| heard < *at))
        else {
            return false;
        };
        let Fate::Of(leg) = call.fate else { return false };
        let Some(channel) = self.channels.get_mut(&leg).filter(|channel| channel.ended.is_none()) else {
            return false;
        };
        channel.ended = Some(now);
        let (account, input) = (channel.account, call.input);
        let kind = SignalKind::Ended(cause);
        out.push(Signal { at, account, account_given: false, leg, input, kind });
        true
    }

    /// A SIP call has waited for its channel.
    fn decide(&mut self, key: LegId, now: Timestamp, out: &mut Vec<Signal>) {
        let Some(call) = self.calls.get(&key).filter(|call| call.fate == Fate::Held) else { return };
        let wait = if call.ended.is_some() { REFUSED_WAIT } else { MATCH_WINDOW };
        if self.may_come_late(call, now) {
            self.wait(now + MATCH_WINDOW, Due::Decide(key));
        } else if now.since(call.last) >= wait {
            // Legs of one call go their way together, in the order of time.
            let last = call.last;
            let goes_too = |held: &&LegId| {
                self.calls.get(held).is_some_and(|other| {
                    let has_waited = other.begun <= last && now.since(other.begun) >= MATCH_WINDOW;
                    **held == key || (has_waited && !self.may_come_late(other, now))
                })
            };
            let together: Vec<LegId> = self.held.iter().filter(goes_too).copied().collect();
            self.release_together(&together, out);
        } else {
            let until = call.last + wait;
            self.wait(until, Due::Decide(key));
        }
    }

    /// Returns `true` if a SIP call goes through the switch and is not refused, so that it has a channel.
    fn is_through_switch(&self, call: &SipCall) -> bool {
        let mut ends = [call.src, call.dst].into_iter().flatten();
        ends.any(|address| self.addresses.contains(&address)) && (call.answered || call.ended.is_none())
    }

    /// Returns `true` if the channel of a SIP call may yet be told of: the switch says nothing at all.
    fn may_come_late(&self, call: &SipCall, now: Timestamp) -> bool {
        let is_silent = self.is_through_switch(call) && !self.was_heard_since(call);
        is_silent && now.since(call.begun) < SWITCH_SILENT_MAX
    }

    fn was_heard_since(&self, call: &SipCall) -> bool {
        self.heard.is_some_and(|heard| heard >= call.begun)
    }

    /// A SIP call goes its own way.
    fn release(&mut self, key: LegId, out: &mut Vec<Signal>) {
        let Some(call) = self.calls.get(&key) else {
            self.held.retain(|held| *held != key);
            return;
        };
        // What goes through the switch has a channel, though none was found; but not one that the switch could not
        // tell of.
        let has_channel = self.is_through_switch(call) && self.was_heard_since(call);
        self.release_as(key, if has_channel { Fate::Unmatched } else { Fate::Alone }, out);
    }

    fn release_as(&mut self, key: LegId, fate: Fate, out: &mut Vec<Signal>) {
        self.held.retain(|held| *held != key);
        let Some(call) = self.calls.get_mut(&key).filter(|call| call.fate == Fate::Held) else { return };
        call.fate = fate;
        if fate == Fate::Unmatched {
            call.held.clear();
            self.counters.unmatched += 1;
        } else {
            out.append(&mut call.held);
            self.counters.alone += 1;
        }
        if fate == Fate::Alone {
            self.alone.insert(key);
        }
        if let Some((at, _)) = call.ended {
            self.wait(at + END_WAIT, Due::Ended(key));
        }
    }

    fn forget(&mut self, key: LegId) {
        self.alone.remove(&key);
        let Some(call) = self.calls.remove(&key) else { return };
        for leg in &call.legs {
            self.by_leg.remove(leg);
        }
        if self.by_call_id.get(&call.sip.call_id) == Some(&key) {
            self.by_call_id.remove(&call.sip.call_id);
        }
        if let Fate::Of(channel) = call.fate
            && let Some(channel) = self.channels.get_mut(&channel)
        {
            channel.sip = None;
        }
    }

    fn wait(&mut self, until: Timestamp, due: Due) {
        let place = self.due.partition_point(|(at, _)| *at <= until);
        self.due.insert(place, (until, due));
    }
}

/// Returns how well a SIP call fits a channel; none if it cannot be its call.
fn fit(channel: &Channel, call: &SipCall) -> Option<u8> {
    let apart = channel.at.since(call.last).max(call.last.since(channel.at));
    if apart > MATCH_WINDOW || call.fate != Fate::Held {
        return None;
    }
    fit_of_numbers(channel, call, false)
}

/// The same by the numbers alone. Of a channel that was found, the switch shows where the dialplan has come to, which
/// need not be the number that was dialled.
fn fit_of_numbers(channel: &Channel, call: &SipCall, found_running: bool) -> Option<u8> {
    let same = |one: Option<&Arc<str>>, other: Option<&Arc<str>>| {
        one.zip(other).is_some_and(|(one, other)| NumberKey::of(one) == NumberKey::of(other))
    };
    let endpoint = channel.endpoint.as_ref();
    let caller = same(call.caller.as_ref(), channel.caller.as_ref());
    let callee = same(Some(&call.callee), Some(&channel.callee));
    if channel.calls {
        let caller = caller || same(call.caller.as_ref(), endpoint);
        return match (caller, callee) {
            (true, true) => Some(3),
            (true, false) if found_running => Some(1),
            (false, true) if call.caller.is_none() => Some(1),
            _ => None,
        };
    }
    let callee = callee || same(Some(&call.callee), endpoint);
    match (caller, callee) {
        _ if call.challenged => None,
        (true, true) => Some(3),
        (false, true) => Some(2),
        // Phones may register under names that nobody knows.
        (true, false) => Some(1),
        (false, false) => None,
    }
}

fn tell(leg: LegId, kind: SignalKind, because: &Signal, out: &mut Vec<Signal>) {
    out.push(Signal { leg, kind, ..because.clone() });
}

/// Returns `true` if two causes of one end before an answer cannot both be.
fn contradict(one: Cause, other: Cause) -> bool {
    let says = |cause: Cause| match cause {
        Cause::Busy | Cause::Rejected | Cause::Redirected | Cause::UnknownNumber | Cause::Failed => {
            Some(cause)
        }
        _ => None,
    };
    says(one).zip(says(other)).is_some_and(|(one, other)| one != other)
}
