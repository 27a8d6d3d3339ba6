//! State of the channels of one FreeSWITCH, and how it changes.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use foldhash::fast::RandomState;
use hookswitch_model::{AccountId, Alias, Cause, InputRef, LegId, Signal, SignalKind, SipData, Timestamp};
use serde::{Deserialize, Serialize};

use super::call::domain_of_caller;
use super::channel::{Calling, Channel, Leg, Moment, Number};
use super::listing::AskedDialog;
use super::message::{Event, Key, Kind, Message};
use super::moves::Parked;
use crate::deferred::Deferred;
use crate::switch::{
    CHANNELS_MAX, ChannelView, Counters, EXPLANATION_WAIT, ID_BYTES_MAX, PIPES_MAX, SILENT_MAX, text,
};

/// Number of events that are remembered by their numbers, so that none is applied twice: several connections of one
/// switch may tell of the same.
const REMEMBERED: usize = 128;

/// The most users whose names are remembered.
const NAMES_MAX: usize = 10_000;

/// Follows the channels of one FreeSWITCH, and tells in signals what happens to them.
///
/// Does no IO and reads no clock: after each `handle_*`, come back no later than
/// [`EslTracker::poll_timeout`]. Its state is plain data.
#[derive(Serialize, Deserialize)]
pub struct EslTracker {
    pub(super) account: AccountId,
    pub(super) source: u16,
    pub(super) channels: HashMap<Number, Channel, RandomState>,
    by_uuid: HashMap<Box<str>, Number, RandomState>,
    pub(super) parked: Vec<Parked>,
    pub(super) waits: Deferred<Waiting>,
    next_number: Number,
    pub(super) leavings: u64,
    core: Box<str>,
    /// That core was heard of on the present connection.
    pub(super) knows_core: bool,
    sequences: VecDeque<u64>,
    /// Names of users, by domain and user, as the switch has told them last.
    names: BTreeMap<(Box<str>, Box<str>), Arc<str>>,
    /// SIP dialogs of channels that were asked for.
    pub(super) dialogs: BTreeMap<Box<str>, AskedDialog>,
    /// Channels that have ended lately.
    pub(super) ended: VecDeque<(Timestamp, Box<str>)>,
    pub(super) counters: Counters,
}

/// Change that waits for an explanation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Waiting {
    /// To tell that a channel calls: it may take the place of another.
    Call(Number),
    /// To tell that a channel has ended.
    End(Number),
    /// To tell that a channel is parked: it may be for an instant.
    Park(Number),
    /// To tell that a channel is taken off hold: it may be about to end.
    Resume(Number),
    /// To tell that a channel was answered: it may fetch a parked call.
    Answer(Number),
    /// To tell that a channel is lost, or has ended unseen: it may come back.
    Recovery(Number),
}

impl EslTracker {
    /// Follows the FreeSWITCH whose legs are numbered in `source`, and whose calls are those of an account.
    pub fn new(account: AccountId, source: u16) -> Self {
        Self {
            account,
            source,
            channels: HashMap::default(),
            by_uuid: HashMap::default(),
            parked: Vec::new(),
            waits: Deferred::default(),
            next_number: 1,
            leavings: 0,
            core: Box::from(""),
            knows_core: false,
            sequences: VecDeque::new(),
            names: BTreeMap::new(),
            dialogs: BTreeMap::new(),
            ended: VecDeque::new(),
            counters: Counters::default(),
        }
    }

    /// Applies what came at `at`, one message or several, and adds what it tells to `out`.
    pub fn handle(&mut self, bytes: &[u8], at: Timestamp, input: InputRef, out: &mut Vec<Signal>) {
        self.handle_time(at, out);
        let mut rest = bytes;
        loop {
            let (message, after) = Message::split(rest);
            self.handle_message(&message, Moment { at, input }, out);
            rest = after.trim_ascii_start();
            if rest.is_empty() {
                return;
            }
        }
    }

    fn handle_message(&mut self, message: &Message<'_>, now: Moment, out: &mut Vec<Signal>) {
        self.counters.messages += 1;
        if let Some(question) = message.question() {
            self.answered(&question, message.body(), now, out);
            self.counters.applied += 1;
            return;
        }
        if let Some(uuid) = message.lost() {
            self.lost(&uuid, now, out);
            self.counters.applied += 1;
            return;
        }
        let Some(event) = message.read() else {
            if message.begins_connection() {
                self.connected();
            }
            self.counters.passed_over += 1;
            return;
        };
        self.restarts(event.get(Key::CoreUuid), now, out);
        let sequence = event.number(Key::EventSequence);
        if sequence > 0 {
            if self.sequences.contains(&sequence) {
                self.counters.repeated += 1;
                return;
            }
            if self.sequences.len() >= REMEMBERED {
                self.sequences.pop_front();
            }
            self.sequences.push_back(sequence);
        }
        if self.apply(&event, now, out) {
            self.counters.applied += 1;
        } else {
            self.counters.stray += 1;
        }
    }

    /// Another core than before: the switch was started again, and what it had is gone, unless it is recovered. A
    /// list of channels may come before the first event of the new one: what it names goes on, as in
    /// `found-after-restart`.
    pub(super) fn restarts(&mut self, core: &str, now: Moment, out: &mut Vec<Signal>) {
        let is_same = *core == *self.core;
        if core.is_empty() || core.len() > ID_BYTES_MAX || (is_same && self.knows_core) {
            return;
        }
        self.knows_core = true;
        if is_same {
            self.core_is_same(out);
            return;
        }
        if !self.core.is_empty() {
            self.core_is_gone(now, out);
            self.sequences.clear();
        }
        self.core = core.into();
    }

    /// Lets time pass: tells what has waited for an explanation long enough.
    pub fn handle_time(&mut self, now: Timestamp, out: &mut Vec<Signal>) {
        while let Some(waiting) = self.waits.take_due(now) {
            if let Waiting::End(number) = waiting
                && let Some(until) = self.held_until(number).filter(|until| *until > now)
            {
                self.waits.wait_until(until, waiting);
                continue;
            }
            self.tell_waiting(waiting, out);
        }
        while let Some(number) = self.waits.take_check(now) {
            let Some(channel) = self.channels.get(&number) else { continue };
            if now.since(channel.last_seen) >= SILENT_MAX {
                self.forget(number);
            } else {
                self.waits.check(number, now);
            }
        }
    }

    /// Returns the time when [`EslTracker::handle_time`] wants to be called at the latest.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        self.waits.poll_timeout()
    }

    /// Tells all that waits: nothing more will be heard.
    pub fn finish(&mut self, out: &mut Vec<Signal>) {
        while let Some(waiting) = self.waits.take_any() {
            self.tell_waiting(waiting, out);
        }
    }

    /// Returns what became of the messages.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Returns the number of channels that are followed.
    pub fn channels(&self) -> usize {
        self.channels.len()
    }

    /// Applies an event; false if it is about a channel that is not known.
    fn apply(&mut self, event: &Event<'_>, now: Moment, out: &mut Vec<Signal>) -> bool {
        match event.kind {
            Kind::Create => return self.created(event, now, out),
            Kind::Data => return self.begins_here(event, now, out),
            Kind::Shutdown => return self.end_all(Cause::Lost, now, out),
            Kind::CallCenter => return self.call_center(event, now, out),
            Kind::Bridge => return self.bridged(event, now, out),
            _ => {}
        }
        if self.is_place_to_pick_up(event) {
            self.created(event, now, out);
        }
        let Some(number) = self.number(event.get(Key::UniqueId)) else {
            self.ends_unknown(event, now);
            return false;
        };
        self.note(number, event, now, out);
        match event.kind {
            Kind::Progress | Kind::ProgressMedia => {
                self.goes_elsewhere(number, event, now, out);
                self.rings(number, now, out);
            }
            Kind::Answer => {
                self.goes_elsewhere(number, event, now, out);
                self.answers(number, now, out);
            }
            Kind::Hold => self.holds(number, now, out),
            Kind::CallState => self.state_changes(number, event, now, out),
            Kind::Park => self.parks(number, now),
            Kind::Unpark => self.unparks(number),
            Kind::Execute => self.executes(number, event, now, out),
            Kind::HangUp => self.hung_up(number, event, false, now, out),
            Kind::HangUpComplete => self.hung_up(number, event, true, now, out),
            Kind::Destroy => self.destroyed(number, out),
            Kind::RecordStart => self.recording(number, event.get(Key::RecordPath), true, now, out),
            Kind::RecordStop => self.recording(number, event.get(Key::RecordPath), false, now, out),
            Kind::MediaBugStart | Kind::MediaBugStop => self.listens(number, event, now, out),
            Kind::ValetParking => self.valet(number, event, now, out),
            Kind::Fifo => self.fifo(number, event, now, out),
            Kind::Conference => self.conference(number, event, now, out),
            Kind::MenuEnter => self.offers_menu(number, now, out),
            Kind::FaxNegotiated | Kind::FaxPage | Kind::FaxDone => self.receives_fax(number, now, out),
            _ => {}
        }
        true
    }

    /// Returns `true` if an event is of a channel that stands for a group which may pick up a call. FreeSWITCH tells of it when
    /// that is done, and of no CHANNEL_CREATE, as in `picked-up-by-group`.
    fn is_place_to_pick_up(&self, event: &Event<'_>) -> bool {
        matches!(event.kind, Kind::Answer | Kind::HangUp)
            && event.get(Key::ChannelName).starts_with("pickup/")
            && self.number(event.get(Key::UniqueId)).is_none()
    }

    /// A channel that is not known has ended: a list that comes behind may still name it.
    fn ends_unknown(&mut self, event: &Event<'_>, now: Moment) {
        let uuid = event.get(Key::UniqueId);
        let ends = matches!(event.kind, Kind::HangUp | Kind::HangUpComplete | Kind::Destroy);
        if ends && !uuid.is_empty() && uuid.len() <= ID_BYTES_MAX {
            self.remember_ended(uuid.into(), now.at);
        }
    }

    /// The channel with a `Unique-ID`.
    pub(super) fn number(&self, uuid: &str) -> Option<Number> {
        self.by_uuid.get(uuid).copied()
    }

    /// The channel of a leg, as who acts on it names it.
    pub(super) fn channel(&self, leg: LegId) -> Option<ChannelView> {
        let channel = self.channels.get(&leg.number())?;
        if !channel.is_live() || channel.is_plumbing {
            return None;
        }
        let called_by = match channel.called_by {
            Some(Calling::Channel(caller)) => self.real(caller),
            _ => None,
        };
        let peer = channel.peer.filter(|_| channel.answered).and_then(|peer| self.real(peer)).or(called_by);
        let peer = peer.filter(|&peer| peer != leg.number()).and_then(|peer| self.channels.get(&peer));
        let peer = peer.filter(|peer| peer.hung_up.is_none());
        Some(ChannelView {
            id: channel.uuid.to_string(),
            peer: peer.map(|peer| peer.uuid.to_string()),
            is_up: channel.answered,
        })
    }

    /// The leg of a channel.
    pub(super) fn leg(&self, number: Number) -> LegId {
        let redirected = self.channels.get(&number).and_then(|channel| channel.redirected.as_ref());
        redirected.map_or_else(|| LegId::new(self.source, number), |&(_, leg)| leg)
    }

    /// A leg for somebody who has no channel.
    pub(super) fn next_leg(&mut self) -> LegId {
        self.next_number += 1;
        LegId::new(self.source, self.next_number - 1)
    }

    pub(super) fn signal(&self, leg: LegId, kind: SignalKind, moment: Moment) -> Signal {
        Signal { at: moment.at, account: self.account, account_given: false, leg, input: moment.input, kind }
    }

    /// Tells something of a channel whose leg was told.
    pub(super) fn told(&mut self, number: Number, kind: SignalKind, now: Moment, out: &mut Vec<Signal>) {
        self.ensure_told(number, out);
        self.tell_answer(number, out);
        if self.channels.get(&number).is_some_and(Channel::is_told) {
            out.push(self.signal(self.leg(number), kind, now));
        }
    }

    /// Begins to follow a channel; none if there are too many.
    pub(super) fn insert(&mut self, channel: Channel) -> Option<Number> {
        if channel.uuid.is_empty() || channel.uuid.len() > ID_BYTES_MAX {
            return None;
        }
        if self.channels.len() >= CHANNELS_MAX {
            self.counters.channels_refused += 1;
            return None;
        }
        let number = self.next_number;
        self.next_number += 1;
        self.by_uuid.insert(channel.uuid.clone(), number);
        self.waits.check(number, channel.begun.at);
        self.channels.insert(number, channel);
        Some(number)
    }

    /// Forgets a channel.
    pub(super) fn forget(&mut self, number: Number) {
        if let Some(channel) = self.channels.remove(&number) {
            self.by_uuid.remove(&channel.uuid);
            self.parked.retain(|parked| parked.parkee != number);
            self.remember_ended(channel.uuid, channel.last_seen);
        }
    }

    /// Forgets what of a channel waits for an explanation.
    pub(super) fn forget_waiting_of(&mut self, number: Number) {
        self.waits.forget(|waiting| match *waiting {
            Waiting::Call(other)
            | Waiting::End(other)
            | Waiting::Park(other)
            | Waiting::Resume(other)
            | Waiting::Answer(other)
            | Waiting::Recovery(other) => other == number,
        });
    }

    /// The other end of a loopback: as the variable says, else by the name.
    pub(super) fn other_end(&self, number: Number) -> Option<Number> {
        let channel = self.channels.get(&number)?;
        if let Some(other) = &channel.other_end {
            return self.number(other);
        }
        let (pipe, end) = channel.name.rsplit_once('-')?;
        let wanted = match end {
            "a" => "b",
            "b" => "a",
            _ => return None,
        };
        let is_other =
            |other: &Channel| other.is_plumbing && other.name.rsplit_once('-') == Some((pipe, wanted));
        // Of several calls through the same one, the ends that came together.
        #[expect(clippy::disallowed_methods, reason = "the least is the same in any order")]
        let others = self.channels.iter().filter(|(_, other)| is_other(other)).map(|(&other, _)| other);
        others.min_by_key(|&other| (other.abs_diff(number), other))
    }

    /// On whose behalf a channel calls: itself, or who has called into the plumbing that it belongs to.
    pub(super) fn behind(&self, mut number: Number) -> Option<Calling> {
        for _ in 0..PIPES_MAX {
            let channel = self.channels.get(&number)?;
            if !channel.is_plumbing {
                return Some(Calling::Channel(number));
            }
            let called_by = match channel.called_by {
                Some(called_by) => Some(called_by),
                None => self.channels.get(&self.other_end(number)?)?.called_by,
            };
            match called_by {
                Some(Calling::Channel(caller)) => number = caller,
                other => return Some(other.unwrap_or(Calling::Switch(None))),
            }
        }
        None
    }

    /// The switch itself, by this leg, stands behind plumbing: all that is called from it belongs to one call.
    pub(super) fn stands_behind(&mut self, mut number: Number, leg: LegId) {
        for _ in 0..PIPES_MAX {
            let Some(channel) = self.channels.get(&number) else { return };
            match channel.called_by {
                Some(Calling::Channel(caller)) => number = caller,
                Some(Calling::Switch(_)) => {
                    if let Some(channel) = self.channels.get_mut(&number) {
                        channel.called_by = Some(Calling::Switch(Some(leg)));
                    }
                    return;
                }
                None => match self.other_end(number) {
                    Some(other) => number = other,
                    None => return,
                },
            }
        }
    }

    /// The channel of a phone or trunk that stands behind one.
    pub(super) fn real(&self, number: Number) -> Option<Number> {
        match self.behind(number)? {
            Calling::Channel(number) => Some(number),
            Calling::Switch(_) => None,
        }
    }

    /// Notes what every event says of its channel.
    pub(super) fn note(&mut self, number: Number, event: &Event<'_>, now: Moment, out: &mut Vec<Signal>) {
        if self.channels.get(&number).is_some_and(|channel| channel.missed.is_some()) {
            self.is_back(number);
        }
        let Some(channel) = self.channels.get_mut(&number) else { return };
        channel.last_seen = now.at;
        channel.listed = true;
        channel.is_of_core = true;
        let other = event.get(Key::OtherLoopback);
        if !other.is_empty() && other.len() <= ID_BYTES_MAX && channel.is_plumbing {
            channel.other_end = Some(other.into());
        }
        let history = event.get(Key::TransferHistory);
        if !history.is_empty() && *history != *channel.history && history.len() <= ID_BYTES_MAX {
            channel.history = history.into();
            if history.contains(":bl_xfer:") {
                channel.sent = Some(now.at);
            }
        }
        if let Some(dialled) = text(event.get(Key::DestinationNumber).as_bytes())
            && *dialled != *channel.dialled
        {
            channel.dialled = dialled;
            channel.sent = Some(now.at);
        }
        if !event.get(Key::SipCallId).is_empty()
            && !self.knows_dialog(number)
            && let Some(sip) = dialog(event)
        {
            self.has_dialog(number, sip, now, out);
        }
        self.tell_call_id(number, event.get(Key::SipCallId), now, out);
        self.finds_domain(number, event, out);
    }

    /// The dialplan names the tenant to whom the call of a trunk belongs, which was not told yet.
    fn finds_domain(&mut self, number: Number, event: &Event<'_>, out: &mut Vec<Signal>) {
        let Some(channel) = self.channels.get(&number).filter(|channel| channel.leg == Leg::Untold) else {
            return;
        };
        if channel.domain.is_none() {
            self.belongs_to(number, domain_of_caller(event, channel.is_users), out);
        }
    }

    /// Tells a call that waits for the domain to which it belongs.
    pub(super) fn belongs_to(&mut self, number: Number, domain: &str, out: &mut Vec<Signal>) {
        let Some(channel) = self.channels.get_mut(&number) else { return };
        let is_open = channel.leg == Leg::Untold && channel.calls && !channel.is_plumbing;
        if is_open && channel.domain.is_none() && !domain.is_empty() && domain.len() <= ID_BYTES_MAX {
            channel.domain = text(domain.as_bytes());
            self.ensure_told(number, out);
        }
    }

    /// Returns `true` if the SIP dialog of a channel is known in whole.
    fn knows_dialog(&self, number: Number) -> bool {
        let sip = self.channels.get(&number).and_then(|channel| channel.sip.as_ref());
        sip.is_some_and(|sip| sip.to_tag.is_some())
    }

    /// Notes the SIP dialog of a channel, whose To tag comes with its first answer.
    pub(super) fn has_dialog(&mut self, number: Number, sip: SipData, now: Moment, out: &mut Vec<Signal>) {
        if self.knows_dialog(number) {
            return;
        }
        let Some(channel) = self.channels.get_mut(&number) else { return };
        if channel.sip.as_deref() == Some(&sip) {
            return;
        }
        let sip = Arc::new(sip);
        channel.sip = Some(sip.clone());
        if channel.is_told() {
            out.push(self.signal(self.leg(number), SignalKind::Dialog(sip.clone()), now));
        }
        self.tell_call_id(number, &sip.call_id, now, out);
    }

    /// Names the SIP call of a channel that was told, once.
    pub(super) fn tell_call_id(&mut self, number: Number, call_id: &str, now: Moment, out: &mut Vec<Signal>) {
        let Some(channel) = self.channels.get_mut(&number) else { return };
        if !call_id.is_empty() && call_id.len() <= ID_BYTES_MAX && channel.is_told() && !channel.call_id_told
        {
            channel.call_id_told = true;
            let kind = SignalKind::Named(Alias::CallId(call_id.as_bytes().into()));
            out.push(self.signal(self.leg(number), kind, now));
        }
    }

    /// The same of a channel that was found with its dialog.
    pub(super) fn tell_found_call_id(&mut self, number: Number, now: Moment, out: &mut Vec<Signal>) {
        if let Some(sip) = self.channels.get(&number).and_then(|channel| channel.sip.clone()) {
            self.tell_call_id(number, &sip.call_id, now, out);
        }
    }

    /// Remembers the name of the user of a channel: what others are shown when that user calls.
    pub(super) fn learns_name(&mut self, number: Number, event: &Event<'_>) {
        let Some(channel) = self.channels.get(&number).filter(|channel| channel.is_users) else { return };
        let (Some(user), Some(name)) = (&channel.endpoint, own_name(event, channel.endpoint.as_deref()))
        else {
            return;
        };
        let domain = channel.domain.as_deref().unwrap_or_default().to_ascii_lowercase();
        let key = (Box::from(domain), Box::from(&**user));
        if let Some(known) = self.names.get_mut(&key) {
            if *known != name {
                *known = name;
            }
        } else if self.names.len() < NAMES_MAX {
            self.names.insert(key, name);
        }
    }

    /// The name of a user of a domain, if the switch has told it.
    pub(super) fn name_of(&self, user: &str, domain: Option<&str>) -> Option<Arc<str>> {
        if self.names.is_empty() {
            return None;
        }
        let domain = domain.unwrap_or_default().to_ascii_lowercase();
        self.names.get(&(Box::from(domain), Box::from(user))).cloned()
    }

    /// Lets something wait for its explanation.
    pub(super) fn wait(&mut self, waiting: Waiting, now: Moment) {
        self.waits.wait_until(now.at + EXPLANATION_WAIT, waiting);
    }

    fn tell_waiting(&mut self, waiting: Waiting, out: &mut Vec<Signal>) {
        match waiting {
            Waiting::Call(number) => self.ensure_told(number, out),
            Waiting::End(number) => {
                self.parks_somewhere(number, out);
                self.end_with_peer(number, out);
            }
            Waiting::Park(number) => self.stays_parked(number, out),
            Waiting::Resume(number) => self.stays_unheld(number, out),
            Waiting::Answer(number) => self.tell_answer(number, out),
            Waiting::Recovery(number) => self.stays_away(number, out),
        }
    }

    /// The channels in the order in which they came.
    pub(super) fn in_order(&self) -> Vec<Number> {
        #[expect(clippy::disallowed_methods, reason = "they are sorted")]
        let mut numbers: Vec<Number> = self.channels.keys().copied().collect();
        numbers.sort_unstable();
        numbers
    }

    /// Returns `true` if two channels are of one phone or trunk.
    pub(super) fn is_same_phone(&self, number: Number, other: Number) -> bool {
        let name = |number| self.channels.get(&number).map(|channel| (&channel.endpoint, &channel.domain));
        name(number) == name(other)
    }

    /// The name of an endpoint or number, for comparison.
    pub(super) fn endpoint(&self, number: Number) -> Option<&Arc<str>> {
        self.channels.get(&number)?.endpoint.as_ref()
    }
}

/// Name that the directory of the switch gives to the user of a channel. A dialplan that shows another number shows
/// another name with it.
pub(super) fn own_name(event: &Event<'_>, user: Option<&str>) -> Option<Arc<str>> {
    let name = event.get(Key::EffectiveName);
    let is_own = user.is_some_and(|user| event.get(Key::EffectiveNumber) == user && name != user);
    text(name.as_bytes()).filter(|name| is_own && name.len() <= ID_BYTES_MAX)
}

/// SIP dialog of a channel, as an event says it.
pub(super) fn dialog(event: &Event<'_>) -> Option<SipData> {
    let value = |key| {
        Some(event.get(key))
            .filter(|value| value.len() <= ID_BYTES_MAX)
            .and_then(|value| text(value.as_bytes()))
    };
    let (call_id, from_tag) = value(Key::SipCallId).zip(value(Key::SipFromTag))?;
    Some(SipData { call_id, from_tag, to_tag: value(Key::SipToTag) })
}
