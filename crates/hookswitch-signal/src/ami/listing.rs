//! Listing of what goes on in the switch: at the beginning of a connection, and after
//! one was lost.

use std::collections::BTreeMap;

use hookswitch_model::{Alias, Cause, Direction, LegCreated, Signal, SignalKind};

use super::call::{Side, created};
use super::channel::{Calling, Leg, Moment, Number, State};
use super::message::{Event, Key, Message};
use super::tracker::AmiTracker;

/// Returns `true` if a response says that a list of all channels follows.
pub(super) fn begins(message: &Message<'_>) -> bool {
    message.response() == Some(b"Success")
        && message.value("EventList").is_some_and(|list| list.eq_ignore_ascii_case(b"start"))
        && message.value("Message").is_some_and(|text| text.starts_with(b"Channels"))
}

impl AmiTracker {
    pub(super) fn listing_begins(&mut self) {
        #[expect(clippy::disallowed_methods, clippy::iter_over_hash_type, reason = "all become the same")]
        for channel in self.channels.values_mut() {
            channel.listed = false;
        }
    }

    /// A channel of the list.
    pub(super) fn listed(&mut self, event: &Event<'_>, now: Moment, out: &mut Vec<Signal>) -> bool {
        let known = self.number(event.get(Key::Uniqueid));
        let number = if let Some(number) = known {
            self.new_state(number, event, now, out);
            if !event.get(Key::BridgeId).is_empty() {
                self.accepts(number, now, out);
            }
            number
        } else {
            let Some(number) = self.add(event, Side::Own, now) else { return true };
            if let Some(channel) = self.channels.get_mut(&number) {
                channel.found = true;
                channel.is_called = event.get(Key::Application).starts_with(b"App");
            }
            number
        };
        if let Some(channel) = self.channels.get_mut(&number) {
            channel.listed = true;
            channel.last_seen = now.at;
            let bridge = event.get(Key::BridgeId);
            if channel.found && !bridge.is_empty() {
                channel.bridge = Some(bridge.into());
                self.bridges.entry(bridge.into()).or_default().push(number);
            }
        }
        true
    }

    /// The list is complete: what it does not name has ended, and what nobody knew goes on.
    pub(super) fn listing_ends(&mut self, now: Moment, out: &mut Vec<Signal>) -> bool {
        let numbers = self.in_order();
        for &number in &numbers {
            if self.channels.get(&number).is_some_and(|channel| !channel.listed) {
                self.end_unseen(number, Cause::Unlisted, now, out);
            }
        }
        let mut pairs = BTreeMap::new();
        #[expect(
            clippy::disallowed_methods,
            clippy::iter_over_hash_type,
            reason = "a channel is in one bridge"
        )]
        for members in self.bridges.values() {
            if let [one, other] = members[..] {
                pairs.insert(one, other);
                pairs.insert(other, one);
            }
        }
        let found = |channel: &super::channel::Channel| channel.found && channel.leg == Leg::Untold;
        for &number in &numbers {
            let Some(channel) = self.channels.get_mut(&number).filter(|channel| found(channel)) else {
                continue;
            };
            channel.peer = channel.peer.or(pairs.get(&number).copied());
            if !channel.is_called {
                let is_up = channel.state == State::Up;
                channel.answered = is_up.then_some(now);
                self.ensure_told(number, out);
            }
        }
        for &number in &numbers {
            if self.channels.get(&number).is_some_and(found) {
                self.found_called(number, now, out);
            }
        }
        true
    }

    /// Ends a channel, and what the switch did on it, whose end nobody saw.
    pub(super) fn end_unseen(&mut self, number: Number, cause: Cause, now: Moment, out: &mut Vec<Signal>) {
        let Some(channel) = self.channels.get(&number) else { return };
        let own = channel.is_told().then(|| self.leg(number));
        let service = channel.service.map(|service| service.leg);
        let queue = channel.queue.map(|queue| queue.leg);
        for leg in own.into_iter().chain(service).chain(queue) {
            out.push(self.signal(leg, SignalKind::Ended(cause), now));
        }
        self.forget(number);
    }

    /// A called leg goes on whose call was not seen to begin. Who calls it is the oldest channel of its call.
    fn found_called(&mut self, number: Number, now: Moment, out: &mut Vec<Signal>) {
        let channel = &self.channels[&number];
        let (Some(endpoint), true) = (channel.endpoint().cloned(), channel.is_called) else { return };
        let caller = self.number(&channel.linkedid).filter(|&caller| caller != number);
        let caller = caller
            .or(channel.peer)
            .filter(|caller| self.channels.get(caller).is_some_and(super::channel::Channel::is_told));
        let Some(caller) = caller else { return };
        let state = channel.state;
        let created = LegCreated {
            of: Some(self.leg(caller)),
            callee: endpoint.clone(),
            callee_name: channel.caller.name.clone(),
            endpoint: Some(endpoint),
            aliases: vec![Alias::Channel(channel.uniqueid.clone())],
            found_running: true,
            ..created(Direction::Inbound)
        };
        if let Some(channel) = self.channels.get_mut(&number) {
            channel.leg = Leg::Called;
            channel.called_by = Some(Calling::Channel(caller));
        }
        let leg = self.leg(number);
        out.push(self.signal(leg, SignalKind::Created(Box::new(created)), now));
        if matches!(state, State::Rings | State::Up) {
            out.push(self.signal(leg, SignalKind::Ringing { to_tag: None }, now));
        }
        if state == State::Up {
            out.push(self.signal(leg, SignalKind::Answered { to_tag: None }, now));
        }
    }
}
