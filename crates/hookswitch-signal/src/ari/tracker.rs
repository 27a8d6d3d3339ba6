//! From events to signals: the rules are those of the manager, what ARI leaves out is concluded.

use std::collections::{BTreeMap, BTreeSet};

use hookswitch_model::{AccountId, InputRef, LegId, Signal, Timestamp};
use serde::{Deserialize, Serialize};

use super::event::{Channel, Event, LISTING, LISTING_BEGINS, RECORDING};
use super::manager::Message;
use crate::ami::AmiTracker;
use crate::switch::{
    CHANNELS_MAX, CHECK_EVERY, ChannelView, Counters, ID_BYTES_MAX, SILENT_MAX, SwitchTracker,
};

/// The most channels that are remembered to have ended while a list was asked for.
const ENDED_MAX: usize = 10_000;

/// Tracks the channels of one Asterisk by its ARI.
#[derive(Serialize, Deserialize)]
pub struct AriTracker {
    /// The rules of Asterisk's channels.
    rules: AmiTracker,
    /// By their ids.
    channels: BTreeMap<Box<str>, Known>,
    /// Channels that have ended since a list was asked for, which may still name them.
    ended: Option<BTreeSet<Box<str>>>,
    /// Time when it is looked for channels that have fallen silent.
    check_at: Timestamp,
    counters: Counters,
}

/// Facts about a channel that say more than its events.
#[derive(Default, Serialize, Deserialize)]
struct Known {
    name: Box<str>,
    exten: Box<str>,
    /// It was called by another, and rings.
    is_called: bool,
    is_up: bool,
    /// The application that the dialplan runs on it.
    application: Box<str>,
    /// Data that it was given.
    data: Box<str>,
    /// It waits in a queue.
    in_queue: bool,
    /// The lot that it is parked in.
    lot: Option<Box<str>>,
    /// It was heard of since a list was asked for.
    listed: bool,
    last_seen: Timestamp,
}

/// Context in which an event is applied: its time, and the signals that come of it.
struct Output<'a> {
    at: Timestamp,
    input: InputRef,
    signals: &'a mut Vec<Signal>,
}

impl AriTracker {
    /// Tells the rules what the manager would say.
    fn tell(&mut self, message: &Message, out: &mut Output<'_>) {
        self.rules.handle(message.bytes(), out.at, out.input, out.signals);
    }

    /// Notes what every event shows of its channel.
    fn note(&mut self, channel: &Channel<'_>, now: Timestamp) {
        let id = &*channel.id;
        if id.is_empty() || id.len() > ID_BYTES_MAX || channel.name.len() > ID_BYTES_MAX {
            return;
        }
        if self.channels.len() >= CHANNELS_MAX && !self.channels.contains_key(id) {
            return;
        }
        let known = self.channels.entry(id.into()).or_default();
        if *known.name != *channel.name {
            known.name = (&*channel.name).into();
        }
        if *known.exten != *channel.dialplan.exten {
            known.exten = (&*channel.dialplan.exten).into();
        }
        known.is_up = channel.state == "Up";
        known.listed = true; // what is heard of goes on
        known.last_seen = now;
    }

    /// Applies an event.
    fn apply(&mut self, event: &Event<'_>, out: &mut Output<'_>) {
        match &*event.kind {
            "Dial" => self.dial(event, out),
            "BridgeBlindTransfer" => {
                if let Some(mover) = &event.channel {
                    let external = if event.is_external { "Yes" } else { "No" };
                    let message = Message::event("BlindTransfer")
                        .with("Result", &event.result)
                        .with("TransfererUniqueid", &mover.id)
                        .with("IsExternal", external)
                        .with("Extension", &event.exten);
                    self.tell(&message, out);
                }
            }
            "BridgeAttendedTransfer" => {
                if let (Some(first), Some(second)) =
                    (&event.transferer_first_leg, &event.transferer_second_leg)
                {
                    let message = Message::event("AttendedTransfer")
                        .with("Result", &event.result)
                        .with("OrigTransfererUniqueid", &first.id)
                        .with("SecondTransfererUniqueid", &second.id);
                    self.tell(&message, out);
                }
            }
            LISTING_BEGINS => {
                self.ended = Some(BTreeSet::new());
                self.channels.values_mut().for_each(|known| known.listed = false);
                self.tell(&Message::list_follows(), out);
            }
            LISTING => self.listing(event, out),
            _ => {
                if let Some(channel) = &event.channel {
                    self.apply_to(channel, event, out);
                }
            }
        }
    }

    /// Applies an event about one channel.
    fn apply_to(&mut self, channel: &Channel<'_>, event: &Event<'_>, out: &mut Output<'_>) {
        self.note(channel, out.at);
        let named = |name: &str| Message::event(name).with_channel("", channel);
        match &*event.kind {
            "ChannelCreated" => self.tell(&named("Newchannel"), out),
            "ChannelStateChange" => {
                self.picks_up(channel, out);
                self.tell(&named("Newstate"), out);
                self.name_call(channel, out);
            }
            "ChannelDialplan" => self.executes(channel, event, out),
            "ChannelHangupRequest" if !event.soft => {
                self.tell(&named("HangupRequest").with_number("TechCause", event.tech_cause), out);
            }
            "ChannelDestroyed" => {
                let message = named("Hangup").with_number("Cause", event.cause);
                self.leaves_queue(channel, out);
                self.tell(&message.with_number("TechCause", event.tech_cause), out);
                self.forget(&channel.id);
            }
            "ChannelEnteredBridge" => self.enters_bridge(channel, event, out),
            "ChannelLeftBridge" => self.tell(&named("BridgeLeave"), out),
            "ChannelHold" => self.tell(&named("Hold"), out),
            "ChannelUnhold" => self.tell(&named("Unhold"), out),
            "ChannelDtmfReceived" => self.tell(&named("DTMFEnd").with("Digit", &event.digit), out),
            "ChannelVarset" => self.variable_set(channel, event, out),
            _ => {}
        }
    }

    fn forget(&mut self, id: &str) {
        self.channels.remove(id);
        if let Some(ended) = self.ended.as_mut().filter(|ended| ended.len() < ENDED_MAX) {
            ended.insert(id.into());
        }
    }

    /// One channel calls another, or the call of it goes on or ends.
    fn dial(&mut self, event: &Event<'_>, out: &mut Output<'_>) {
        let Some(peer) = &event.peer else { return };
        self.note(peer, out.at);
        let name = match &*event.dialstatus {
            "" => "DialBegin",
            "RINGING" | "PROGRESS" | "PROCEEDING" => "DialState",
            _ => "DialEnd",
        };
        if name == "DialBegin"
            && let Some(known) = self.channels.get_mut(&*peer.id)
        {
            known.is_called = true;
        }
        let mut message = Message::event(name);
        if let Some(caller) = &event.caller {
            self.note(caller, out.at);
            message = message.with_channel("", caller);
        }
        message = message
            .with_channel("Dest", peer)
            .with("DialString", &event.dialstring)
            .with("DialStatus", &event.dialstatus)
            .with("Forward", &event.forward);
        self.tell(&message, out);
        for channel in event.caller.iter().chain([peer]) {
            self.name_call(channel, out);
        }
    }

    /// Tells the SIP Call-ID of a channel, if it is known.
    fn name_call(&mut self, channel: &Channel<'_>, out: &mut Output<'_>) {
        if !channel.protocol_id.is_empty() {
            let message = Message::event("VarSet").with_channel("", channel);
            self.tell(&message.with("Variable", "SIPCALLID").with("Value", &channel.protocol_id), out);
        }
    }

    /// The dialplan executes an application on a channel.
    fn executes(&mut self, channel: &Channel<'_>, event: &Event<'_>, out: &mut Output<'_>) {
        let (application, data) = (&*event.dialplan_app, &*event.dialplan_app_data);
        if application != "Queue" {
            self.leaves_queue(channel, out);
        }
        if let Some(known) = self.channels.get_mut(&*channel.id) {
            known.application = application.into();
            known.data = data.chars().take(ID_BYTES_MAX).collect::<String>().into();
        }
        let message = Message::event("Newexten").with_channel("", channel);
        self.tell(&message.with("Application", application).with("AppData", data), out);
        match application {
            "Queue" => {
                if let Some(known) = self.channels.get_mut(&*channel.id) {
                    known.in_queue = true;
                }
                let queue = data.split(',').next().unwrap_or_default();
                let message = Message::event("QueueCallerJoin").with_channel("", channel);
                self.tell(&message.with("Queue", queue), out);
            }
            "ChanSpy" | "ExtenSpy" => self.spies(channel, data, out),
            "StopMixMonitor" => self.tell(&Message::event("MixMonitorStop").with_channel("", channel), out),
            _ => {}
        }
    }

    /// A caller does not wait in a queue any more: an agent was connected, or the dialplan goes on.
    fn leaves_queue(&mut self, channel: &Channel<'_>, out: &mut Output<'_>) {
        let Some(known) = self.channels.get_mut(&*channel.id) else { return };
        if std::mem::take(&mut known.in_queue) {
            self.tell(&Message::event("QueueCallerLeave").with_channel("", channel), out);
        }
    }

    /// A supervisor listens to the channel whose name begins as the application was given; ARI does not say to
    /// which, so that one must be meant.
    fn spies(&mut self, spyer: &Channel<'_>, data: &str, out: &mut Output<'_>) {
        let prefix = data.split(',').next().unwrap_or_default();
        if prefix.is_empty() {
            return;
        }
        let is_meant = |known: &Known| {
            let rest = known.name.strip_prefix(prefix);
            known.is_up && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
        };
        let mut meant = self.channels.iter().filter(|(id, known)| ***id != *spyer.id && is_meant(known));
        let (Some((id, _)), None) = (meant.next(), meant.next()) else { return };
        let message =
            Message::event("ChanSpyStart").with("SpyerUniqueid", &spyer.id).with("SpyeeUniqueid", id);
        self.tell(&message, out);
    }

    /// A channel that the dialplan lets pick a call up has got it: which, ARI does not say, so that one of the
    /// extension must ring alone.
    fn picks_up(&mut self, taker: &Channel<'_>, out: &mut Output<'_>) {
        let Some(known) = self.channels.get(&*taker.id) else { return };
        if &*known.application != "Pickup" || taker.state != "Up" {
            return;
        }
        let wanted: Vec<&str> =
            known.data.split('&').map(|target| target.split('@').next().unwrap_or_default()).collect();
        let is_meant = |known: &Known| {
            known.is_called && !known.is_up && (wanted == [""] || wanted.contains(&&*known.exten))
        };
        let mut meant = self.channels.iter().filter(|(id, known)| ***id != *taker.id && is_meant(known));
        let (Some((id, _)), None) = (meant.next(), meant.next()) else { return };
        let message = Message::event("Pickup").with_channel("", taker).with("TargetUniqueid", id);
        self.tell(&message, out);
    }

    fn enters_bridge(&mut self, channel: &Channel<'_>, event: &Event<'_>, out: &mut Output<'_>) {
        let Some(bridge) = &event.bridge else { return };
        if bridge.class == "parking" {
            self.is_parked(channel, &bridge.name, out);
        } else {
            self.is_fetched(channel, out);
        }
        self.leaves_queue(channel, out);
        let message = Message::event("BridgeEnter")
            .with_channel("", channel)
            .with("BridgeUniqueid", &bridge.id)
            .with("BridgeType", &bridge.class);
        self.tell(&message, out);
        if bridge.creator == "ConfBridge" {
            let message = Message::event("ConfbridgeJoin").with_channel("", channel);
            self.tell(&message.with("Conference", &bridge.name), out);
        }
        self.name_call(channel, out);
    }

    /// A channel comes into the bridge of a parking lot. ARI does not name the slot.
    fn is_parked(&mut self, channel: &Channel<'_>, lot: &str, out: &mut Output<'_>) {
        let Some(known) = self.channels.get_mut(&*channel.id) else { return };
        known.lot = Some(lot.into());
        let message = Message::event("ParkedCall").with("ParkeeUniqueid", &channel.id);
        self.tell(&message.with("Parkinglot", lot), out);
    }

    /// A channel that was parked talks again, with who has fetched it if somebody's dialplan has asked for it.
    fn is_fetched(&mut self, channel: &Channel<'_>, out: &mut Output<'_>) {
        let Some(known) = self.channels.get_mut(&*channel.id) else { return };
        let Some(lot) = known.lot.take() else { return };
        let asks = |known: &Known| {
            &*known.application == "ParkedCall"
                && matches!(known.data.split(',').next(), Some(asked) if asked.is_empty() || *asked == *lot)
        };
        let mut fetchers = self.channels.iter().filter(|(id, known)| ***id != *channel.id && asks(known));
        let fetcher = match (fetchers.next(), fetchers.next()) {
            (Some((id, _)), None) => Some(id.clone()),
            _ => None,
        };
        let message = Message::event(if fetcher.is_some() { "UnParkedCall" } else { "ParkedCallTimeOut" })
            .with("ParkeeUniqueid", &channel.id)
            .with("RetrieverUniqueid", fetcher.as_deref().unwrap_or_default());
        self.tell(&message, out);
    }

    fn variable_set(&mut self, channel: &Channel<'_>, event: &Event<'_>, out: &mut Output<'_>) {
        if event.variable == RECORDING {
            let name = if event.value.is_empty() { "MixMonitorStop" } else { "MixMonitorStart" };
            self.tell(&Message::event(name).with_channel("", channel), out);
        } else if event.variable.contains("CALLID") {
            let message = Message::event("VarSet").with_channel("", channel);
            self.tell(&message.with("Variable", &event.variable).with("Value", &event.value), out);
        }
    }

    /// Applies the list of what goes on.
    fn listing(&mut self, event: &Event<'_>, out: &mut Output<'_>) {
        let ended = self.ended.take().unwrap_or_default();
        let bridges: BTreeMap<&str, &str> = event
            .bridges
            .iter()
            .flat_map(|bridge| bridge.channels.iter().map(move |channel| (&**channel, &*bridge.id)))
            .collect();
        let channels: Vec<&Channel<'_>> =
            event.channels.iter().filter(|channel| !ended.contains(&*channel.id)).collect();
        for channel in &channels {
            self.note(channel, out.at);
            let calls = |other: &&&Channel<'_>| {
                matches!(&*other.dialplan.app_name, "Dial" | "Queue")
                    && other.id != channel.id
                    && other.caller.number == channel.connected.number
            };
            // ARI does not say which call a channel belongs to: one that is called shows who calls.
            let is_called = channel.dialplan.app_name.starts_with("App");
            let caller = channels.iter().find(calls).filter(|_| is_called);
            let oldest = caller.map_or(&*channel.id, |caller| &*caller.id);
            let message = Message::event("CoreShowChannel")
                .with("Linkedid", oldest)
                .with_channel("", channel)
                .with("Application", &channel.dialplan.app_name)
                .with("ApplicationData", &channel.dialplan.app_data)
                .with("BridgeId", bridges.get(&*channel.id).copied().unwrap_or_default());
            self.tell(&message, out);
        }
        // Two empty lists say the same, and the manager's rules pass over a message that comes twice.
        let complete = Message::event("CoreShowChannelsComplete");
        self.tell(&complete.with("ListItems", &channels.len().to_string()), out);
        self.channels.retain(|_, known| known.listed);
    }
}

impl SwitchTracker for AriTracker {
    fn new(account: AccountId, source: u16) -> Self {
        Self {
            rules: AmiTracker::new(account, source),
            channels: BTreeMap::new(),
            ended: None,
            check_at: Timestamp::default(),
            counters: Counters::default(),
        }
    }

    fn handle(&mut self, message: &[u8], at: Timestamp, input: InputRef, out: &mut Vec<Signal>) {
        self.handle_time(at, out);
        self.counters.messages += 1;
        let Some(event) = Event::read(message) else {
            self.counters.passed_over += 1;
            return;
        };
        let before = self.rules.counters();
        self.apply(&event, &mut Output { at, input, signals: out });
        let after = self.rules.counters();
        self.counters.channels_refused = after.channels_refused;
        // One event may be several messages of a manager, or none.
        if after.applied > before.applied {
            self.counters.applied += 1;
        } else if after.stray > before.stray {
            self.counters.stray += 1;
        } else if after.repeated > before.repeated {
            self.counters.repeated += 1;
        } else {
            self.counters.passed_over += 1;
        }
    }

    fn handle_time(&mut self, now: Timestamp, out: &mut Vec<Signal>) {
        self.rules.handle_time(now, out);
        if now >= self.check_at {
            self.check_at = now + CHECK_EVERY;
            self.channels.retain(|_, known| now.since(known.last_seen) < SILENT_MAX);
        }
    }

    fn handle_lost(&mut self, at: Timestamp, input: InputRef, out: &mut Vec<Signal>) {
        self.rules.handle_lost(at, input, out);
        self.channels.clear();
    }

    fn poll_timeout(&self) -> Option<Timestamp> {
        self.rules.poll_timeout()
    }

    fn finish(&mut self, out: &mut Vec<Signal>) {
        self.rules.finish(out);
    }

    fn counters(&self) -> Counters {
        self.counters
    }

    fn channels(&self) -> usize {
        self.rules.channels()
    }

    fn channel(&self, leg: LegId) -> Option<ChannelView> {
        self.rules.channel(leg)
    }

    fn leg_of(&self, id: &str) -> Option<LegId> {
        self.rules.leg_of(id)
    }
}

#[cfg(test)]
mod tests {
    use hookswitch_model::{Cause, SignalKind};
    use serde_json::{Value, json};

    use super::*;

    fn channel(id: &str, name: &str, state: &str, exten: &str) -> Value {
        let number = name.trim_start_matches("PJSIP/").split('-').next();
        json!({
            "id": id, "name": name, "state": state, "caller": {"name": "", "number": number},
            "dialplan": {"exten": exten, "app_name": ""},
        })
    }

    fn about(kind: &str, channel: &Value) -> Value {
        json!({"type": kind, "channel": channel})
    }

    fn runs(channel: &Value, application: &str, data: &str) -> Value {
        json!({
            "type": "ChannelDialplan", "channel": channel, "dialplan_app": application, "dialplan_app_data": data,
        })
    }

    fn listing(channels: &[Value]) -> Value {
        json!({"type": LISTING, "channels": channels, "bridges": []})
    }

    /// Signals of some events, one every 10 ms, as their kinds.
    fn told(events: &[Value]) -> Vec<String> {
        let mut tracker = AriTracker::new(AccountId::new(1), 3);
        let mut signals = Vec::new();
        let mut at = Timestamp::from_micros(1_700_000_000_000_000);
        for (number, event) in (1..).zip(events) {
            at = at + std::time::Duration::from_millis(10);
            let input = InputRef { source: 3, number };
            tracker.handle(event.to_string().as_bytes(), at, input, &mut signals);
        }
        tracker.finish(&mut signals);
        let counters = tracker.counters();
        let sum = counters.applied + counters.passed_over + counters.repeated + counters.stray;
        assert_eq!((counters.messages, sum), (events.len() as u64, events.len() as u64));
        let kind = |signal: &Signal| match &signal.kind {
            SignalKind::Created(created) => format!("created {}", created.callee),
            SignalKind::Ended(Cause::Unlisted) => "unlisted".to_owned(),
            SignalKind::Ended(_) => "ended".to_owned(),
            SignalKind::Answered { .. } => "answered".to_owned(),
            SignalKind::Ringing { .. } => "ringing".to_owned(),
            SignalKind::PickedUp { .. } => "picked up".to_owned(),
            SignalKind::Supervises { .. } => "supervises".to_owned(),
            other => format!("{other:?}"),
        };
        signals.iter().map(kind).collect()
    }

    #[test]
    fn a_channel_that_ends_while_a_list_is_asked_for_is_not_found_in_it() {
        let calling = channel("1.1", "PJSIP/101-1", "Up", "102");
        let begins = json!({"type": LISTING_BEGINS});
        assert_eq!(
            told(&[begins.clone(), listing(std::slice::from_ref(&calling))]),
            ["created 102", "answered"]
        );
        let events = [begins, about("ChannelDestroyed", &calling), listing(&[calling])];
        assert_eq!(told(&events), [""; 0]);
    }

    #[test]
    fn a_call_that_a_list_names_is_found_and_ends_when_the_next_does_not_name_it() {
        let begins = json!({"type": LISTING_BEGINS});
        let channel = |id: &str, name: &str, number: &str, connected: &str, exten: &str, app: &str| {
            json!({
                "id": id, "name": name, "state": "Up",
                "caller": {"name": "", "number": number}, "connected": {"name": "", "number": connected},
                "dialplan": {"context": "internal", "exten": exten, "app_name": app, "app_data": ""},
            })
        };
        let running = [
            channel("9.1", "PJSIP/103-00000009", "103", "104", "104", "Dial"),
            channel("9.2", "PJSIP/104-0000000a", "104", "103", "", "AppDial"),
        ];
        let bridges = json!([{"id": "b", "bridge_class": "basic", "channels": ["9.1", "9.2"]}]);
        let list = json!({"type": LISTING, "channels": running, "bridges": bridges});
        let events = [begins.clone(), list, begins, listing(&[])];
        assert_eq!(
            told(&events),
            ["created 104", "answered", "created 104", "ringing", "answered", "unlisted", "unlisted"]
        );
    }

    #[test]
    fn a_channel_that_begins_while_a_list_is_asked_for_is_not_closed_by_it_and_one_that_is_gone_is() {
        let calling = channel("1.1", "PJSIP/101-1", "Ring", "102");
        let begins = json!({"type": LISTING_BEGINS});
        let (created, dials) = (about("ChannelCreated", &calling), runs(&calling, "NoOp", ""));
        let events = [begins.clone(), created.clone(), dials.clone(), listing(&[])];
        assert_eq!(told(&events), ["created 102"]);
        let events = [created, dials, begins, listing(&[])];
        assert_eq!(told(&events), ["created 102", "unlisted"]);
    }

    /// 101 calls 102, whose two phones ring.
    fn two_phones_ring(second: &str) -> Vec<Value> {
        let caller = channel("1.1", "PJSIP/101-1", "Ring", "102");
        let mut events = vec![about("ChannelCreated", &caller), runs(&caller, "Dial", "PJSIP/102")];
        for (id, name, exten) in [("1.2", "PJSIP/102-2", "102"), ("1.3", "PJSIP/105-3", second)] {
            let phone = channel(id, name, "Ringing", exten);
            events.push(json!({"type": "Dial", "dialstatus": "", "caller": caller, "peer": phone}));
        }
        events
    }

    fn picked_up(second: &str) -> usize {
        let mut events = two_phones_ring(second);
        let taker = |state| channel("1.4", "PJSIP/103-4", state, "**102");
        events.push(about("ChannelCreated", &taker("Ring")));
        events.push(runs(&taker("Ring"), "Pickup", "102@internal"));
        events.push(about("ChannelStateChange", &taker("Up")));
        told(&events).iter().filter(|told| *told == "picked up").count()
    }

    #[test]
    fn a_call_is_picked_up_from_the_phone_of_the_number_and_from_none_of_several() {
        assert_eq!((picked_up("105"), picked_up("102")), (1, 0));
    }

    #[test]
    fn a_supervisor_listens_to_the_channel_that_is_meant_and_to_none_of_several() {
        let supervisor = channel("1.4", "PJSIP/103-4", "Up", "*55102");
        let phone = |id, name| channel(id, name, "Up", "s");
        let listens = |phones: &[Value]| {
            let begins = json!({"type": LISTING_BEGINS});
            let mut listed = phones.to_vec();
            listed.push(supervisor.clone());
            let events = [begins, listing(&listed), runs(&supervisor, "ChanSpy", "PJSIP/102,q")];
            told(&events).iter().filter(|told| *told == "supervises").count()
        };
        assert_eq!(listens(&[phone("1.1", "PJSIP/102-1"), phone("1.2", "PJSIP/1021-2")]), 1);
        assert_eq!(listens(&[phone("1.1", "PJSIP/102-1"), phone("1.2", "PJSIP/102-2")]), 0);
    }
}
