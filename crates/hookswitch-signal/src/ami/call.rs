//! A channel comes into being, rings, is answered and ends.

use std::sync::Arc;

use hookswitch_model::{Alias, Caller, Cause, Direction, LegCreated, LegRelation, Signal, SignalKind};

use super::cause::{DialEnd, HangupCause};
use super::channel::{Asks, Calling, Channel, ChannelKind, Leg, Moment, Number, ServiceKind, State};
use super::message::{Event, Key};
use super::text::{self, ChannelName};
use super::tracker::{AmiTracker, Waiting};
pub(super) use crate::switch::created;
use crate::switch::{EXPLANATION_WAIT, PIPES_MAX};

/// Channel of an event that is meant: some events name two.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Own,
    Dest,
}

impl AmiTracker {
    pub(super) fn new_channel(&mut self, event: &Event<'_>, now: Moment) -> bool {
        if self.number(event.get(Key::Uniqueid)).is_none()
            && let Some(number) = self.add(event, Side::Own, now)
            && self.channels[&number].state == State::Calls
        {
            self.calls(number, now);
        }
        true
    }

    /// A channel calls. It is told of soon, even if nothing else is; but a line that has brought no number yet, nor
    /// says where it leads, only when the dialplan runs: the number comes between the first two rings.
    fn calls(&mut self, number: Number, now: Moment) {
        let channel = &self.channels[&number];
        let says_something = channel.caller.number.is_some()
            || channel.caller.withheld
            || text::is_dialled(&channel.first_dialled);
        if channel.endpoint().is_some() && says_something {
            self.wait(Waiting::Call(number), now);
        }
    }

    /// Follows a channel that an event names.
    pub(super) fn add(&mut self, event: &Event<'_>, side: Side, now: Moment) -> Option<Number> {
        let key = |own, dest| event.get(if side == Side::Own { own } else { dest });
        let name = text::lossy(key(Key::Channel, Key::DestChannel));
        let kind = match ChannelName::of(&name) {
            ChannelName::Endpoint { technology, name } => {
                ChannelKind::Endpoint { technology: technology.into(), name: text::text(name.as_bytes())? }
            }
            ChannelName::Local { pipe, second } => ChannelKind::Local { pipe: pipe.into(), second },
            ChannelName::Inner => return None,
        };
        let exten = text::text(key(Key::Exten, Key::DestExten));
        let number = text::number(key(Key::CallerIDNum, Key::DestCallerIDNum));
        let withheld = number.as_deref().is_some_and(text::is_withheld);
        let caller = Caller {
            number: number.filter(|_| !withheld),
            name: text::name(key(Key::CallerIDName, Key::DestCallerIDName)).filter(|_| !withheld),
            host: None,
            withheld,
        };
        let state = State::read(key(Key::ChannelState, Key::DestChannelState)).unwrap_or(State::Down);
        self.insert(Channel {
            uniqueid: key(Key::Uniqueid, Key::DestUniqueid).into(),
            linkedid: key(Key::Linkedid, Key::DestLinkedid).into(),
            kind,
            state,
            dialled: exten.clone().filter(|exten| text::is_dialled(exten)),
            first_dialled: exten.unwrap_or_else(|| Arc::from("s")),
            caller,
            begun: now,
            leg: Leg::Untold,
            answered: None,
            called_by: None,
            dial_end: None,
            diverted_by: None,
            forwarder: None,
            bridge: None,
            peer: None,
            holds: false,
            digit: None,
            asked_to_hang_up: false,
            left: None,
            moved: false,
            recalls: Vec::new(),
            called: None,
            targets: Vec::new(),
            offered_for: None,
            is_given_up: false,
            picked_up: None,
            is_taken: false,
            asks: Asks::No,
            hung_up: None,
            service: None,
            queue: None,
            plays: None,
            recording: None,
            recordings: 0,
            call_id: None,
            last_seen: now.at,
            found: false,
            is_called: false,
            listed: true,
        })
    }

    /// Tells that a channel calls, if that was not told and nobody has called it.
    pub(super) fn ensure_told(&mut self, number: Number, out: &mut Vec<Signal>) {
        self.tell_call(number, None, out);
    }

    /// The same, for a channel that takes its place in an open call.
    pub(super) fn tell_call(&mut self, number: Number, place: Option<LegRelation>, out: &mut Vec<Signal>) {
        let Some(channel) = self.channels.get_mut(&number) else { return };
        let calls = matches!(channel.state, State::Calls | State::Up);
        if channel.leg != Leg::Untold || channel.called_by.is_some() || channel.is_called || !calls {
            return;
        }
        let Some(endpoint) = channel.endpoint().cloned() else { return };
        channel.leg = Leg::Calling;
        let (begun, answered) = (channel.begun, channel.answered.take());
        let created = LegCreated {
            caller: channel.caller.clone(),
            callee: if text::is_dialled(&channel.first_dialled) {
                channel.first_dialled.clone()
            } else {
                // A line brings no number; what the dialplan goes to first is where the call leads.
                channel.dialled.clone().unwrap_or_else(|| channel.first_dialled.clone())
            },
            endpoint: Some(endpoint),
            aliases: vec![Alias::Channel(channel.uniqueid.clone())],
            found_running: channel.found,
            place,
            ..created(Direction::Outbound)
        };
        self.waits.forget(|waiting| *waiting == Waiting::Call(number));
        let leg = self.leg(number);
        out.push(self.signal(leg, SignalKind::Created(Box::new(created)), begun));
        self.tell_call_id(number, begun, out);
        if let Some(moment) = answered {
            out.push(self.signal(leg, SignalKind::Answered { to_tag: None }, moment));
        }
    }

    pub(super) fn new_state(
        &mut self,
        number: Number,
        event: &Event<'_>,
        now: Moment,
        out: &mut Vec<Signal>,
    ) {
        let Some(state) = State::read(event.get(Key::ChannelState)) else { return };
        let Some(channel) = self.channels.get_mut(&number) else { return };
        if channel.state == state || channel.state == State::Up {
            return;
        }
        channel.state = state;
        let told = channel.leg;
        let leg = self.leg(number);
        match (state, told) {
            (State::Calls, Leg::Untold) => self.calls(number, now),
            (State::Rings, Leg::Called) => {
                out.push(self.signal(leg, SignalKind::Ringing { to_tag: None }, now));
            }
            (State::Up, Leg::Calling) => {
                // `Dial` answers its caller when the call is taken.
                if let Some(target) =
                    self.channels.get_mut(&number).and_then(|caller| caller.picked_up.take())
                {
                    self.accepts(target, now, out);
                }
                out.push(self.signal(leg, SignalKind::Answered { to_tag: None }, now));
            }
            (State::Up, Leg::Called) => self.picked_up(number, now),
            (State::Up, Leg::Untold) => {
                if let Some(channel) = self.channels.get_mut(&number) {
                    channel.answered = Some(now);
                }
            }
            _ => {}
        }
    }

    /// A phone that was called has picked up. That is no answer yet: the dialplan may have it asked whether it
    /// takes the call (options `U`, `M` and `P` of Dial).
    fn picked_up(&mut self, number: Number, now: Moment) {
        let Some(channel) = self.channels.get_mut(&number) else { return };
        channel.answered = Some(now);
        if let Some(Calling::Channel(caller)) = channel.called_by
            && let Some(caller) = self.channels.get_mut(&caller)
        {
            caller.picked_up = Some(number);
        }
    }

    /// Answers the channel of who has picked up: the attempt has ended so, or they are in a bridge.
    pub(super) fn accepts(&mut self, number: Number, now: Moment, out: &mut Vec<Signal>) {
        if self.is_through_open_pipe(number) {
            return;
        }
        let Some(channel) = self.channels.get_mut(&number).filter(|channel| channel.leg == Leg::Called)
        else {
            return;
        };
        let Some(moment) = channel.answered else { return };
        let is_at_once = now.at.since(moment.at) <= EXPLANATION_WAIT;
        if !is_at_once && channel.asked_to_hang_up {
            // Who hangs up when asked has not accepted, though Asterisk connects the two for an instant.
            channel.dial_end.get_or_insert(DialEnd::NoAnswer);
            return;
        }
        channel.answered = None;
        let called_by = channel.called_by;
        let answered = SignalKind::Answered { to_tag: None };
        if is_at_once {
            out.push(self.signal(self.leg(number), answered.clone(), moment));
        }
        if let Some(Calling::Channel(caller)) = called_by {
            if let Some(caller) = self.channels.get_mut(&caller) {
                caller.picked_up = None;
            }
            self.end_rivals(Calling::Channel(caller), out);
        }
        if !is_at_once {
            out.push(self.signal(self.leg(number), answered, now));
        }
    }

    /// Returns `true` if a channel was called through a pipe into which somebody calls who asks whether the call is accepted, and
    /// nobody has accepted it yet.
    fn is_through_open_pipe(&self, mut number: Number) -> bool {
        for _ in 0..PIPES_MAX {
            let Some(Calling::Channel(by)) = self.channels.get(&number).and_then(|channel| channel.called_by)
            else {
                return false;
            };
            let is_second = |by: &Channel| matches!(by.kind, ChannelKind::Local { second: true, .. });
            if !self.channels.get(&by).is_some_and(is_second) {
                return false;
            }
            let Some(first) = self.other_end(by) else { return false };
            let Some((first_end, Calling::Channel(caller))) =
                self.channels.get(&first).and_then(|end| Some((end, end.called_by?)))
            else {
                return false;
            };
            let asks = self.channels.get(&caller).is_some_and(|caller| caller.asks != Asks::No);
            if asks && !first_end.is_taken {
                return true;
            }
            number = first;
        }
        false
    }

    /// The first end of a pipe has taken the call, and with it who was called through the pipe.
    pub(super) fn pipe_accepts(&mut self, mut first: Number, now: Moment, out: &mut Vec<Signal>) {
        for _ in 0..PIPES_MAX {
            match self.channels.get_mut(&first) {
                Some(channel) if channel.endpoint().is_none() => channel.is_taken = true,
                _ => return,
            }
            let target = self.other_end(first).and_then(|second| self.channels.get(&second)?.called);
            let Some(target) = target else { return };
            if self.channels.get(&target).is_some_and(|target| target.endpoint().is_some()) {
                self.accepts(target, now, out);
                return;
            }
            first = target;
        }
    }

    /// Tells the ends of targets of a channel that were waiting for who takes the call, or for where it goes.
    pub(super) fn end_rivals(&mut self, caller: Calling, out: &mut Vec<Signal>) {
        while let Some(Waiting::End(other)) = self.waits.find(|waiting| match waiting {
            Waiting::End(other) => self
                .channels
                .get(other)
                .is_some_and(|other| other.called_by == Some(caller) && !other.is_answered()),
            _ => false,
        }) {
            self.end(other, out);
        }
    }

    /// The other end of a channel asks for its end, or has confirmed that it was refused.
    pub(super) fn asks_to_hang_up(&mut self, number: Number, event: &Event<'_>) {
        self.begins_to_leave(number);
        let Some(channel) = self.channels.get_mut(&number) else { return };
        channel.asked_to_hang_up |= matches!(event.number(Key::TechCause), 0 | 487);
        if channel.asked_to_hang_up {
            for target in channel.targets.clone() {
                if let Some(target) = self.channels.get_mut(&target) {
                    target.is_given_up = true;
                }
            }
        }
    }

    /// Notes which channel of a call leaves first.
    pub(super) fn begins_to_leave(&mut self, number: Number) {
        if let Some(channel) = self.channels.get_mut(&number)
            && channel.left.is_none()
        {
            channel.left = Some(self.leavings);
            self.leavings += 1;
        }
    }

    pub(super) fn hung_up(&mut self, number: Number, event: &Event<'_>, now: Moment, out: &mut Vec<Signal>) {
        self.begins_to_leave(number);
        self.ensure_told(number, out);
        self.waits.forget(|waiting| matches!(waiting, Waiting::Resumed(of, _) if *of == number));
        let told = HangupCause { cause: event.number(Key::Cause), status: event.number(Key::TechCause) };
        let Some(channel) = self.channels.get_mut(&number) else { return };
        if !channel.is_told() {
            // The half of a pipe that a mailbox has answered takes the message with it.
            if let Some(service) = channel.service.take() {
                out.push(self.signal(service.leg, SignalKind::Ended(Cause::HungUp), now));
            }
            self.end_rivals(Calling::Channel(number), out);
            // Who has talked into a pipe that is gone was not moved.
            let peer = self.waits.find(|waiting| match waiting {
                Waiting::End(peer) => self
                    .channels
                    .get(peer)
                    .is_some_and(|channel| channel.peer == Some(number) && !channel.moved),
                _ => false,
            });
            if let Some(Waiting::End(peer)) = peer {
                self.end(peer, out);
            }
            self.forget(number);
            return;
        }
        if channel.hung_up.is_some() {
            return;
        }
        channel.hung_up = Some((told, now));
        if self.is_explained(number) {
            self.end_with_peer(number, out);
        } else {
            self.wait(Waiting::End(number), now);
        }
    }

    /// Returns `true` if nothing that may still come would say more about the end of a channel.
    fn is_explained(&self, number: Number) -> bool {
        let Some(channel) = self.channels.get(&number) else { return true };
        let Some((told, _)) = channel.hung_up else { return false };
        if told.is_lost() || channel.moved {
            return true;
        }
        if channel.is_answered() {
            // Who talked with somebody may have moved the call; if both have gone, nobody was moved.
            let peer = channel.peer.map(|peer| self.channels.get(&peer));
            return match peer {
                Some(peer) => peer.is_none_or(|peer| peer.hung_up.is_some()),
                None => channel.called.is_none() || channel.asked_to_hang_up,
            };
        }
        match channel.leg {
            Leg::Called => {
                // How the attempt went says more than what the switch was told to send; and one who has picked
                // up may be about to take the call.
                let rival = match channel.called_by {
                    Some(Calling::Channel(caller)) => {
                        self.channels.get(&caller).and_then(|caller| caller.picked_up)
                    }
                    _ => None,
                };
                let is_said = channel.dial_end.is_some() || !told.may_be_chosen();
                (is_said
                    && !self.may_go_to_mailbox(number)
                    && rival.is_none_or(|rival| rival == number)
                    && told.of_called(channel.dial_end).is_some())
                    || channel.called_by.is_some_and(|by| self.has_cancelled(by))
            }
            // Why a call failed its targets say, whichever end is told first.
            _ => (told.cause().is_some() || channel.asked_to_hang_up) && !self.has_ringing_targets(number),
        }
    }

    /// Returns `true` if who has picked up was asked to accept the call and has not, and nobody else who was called has.
    fn was_not_accepted(&self, number: Number) -> bool {
        let is_asked = |channel: &&Channel| channel.answered.is_some() && !channel.is_given_up;
        let Some(channel) = self.channels.get(&number).filter(is_asked) else { return false };
        let Some(caller) = channel.offered_for.and_then(|caller| self.channels.get(&caller)) else {
            return true; // the caller has left, and has not asked to
        };
        let mut others = caller.targets.iter().filter_map(|target| self.channels.get(target));
        !others.any(|other| other.leg == Leg::Called && other.is_answered())
    }

    /// Returns `true` if a target of a caller has neither answered nor ended.
    fn has_ringing_targets(&self, number: Number) -> bool {
        let rings = |target: &Number| {
            self.channels.get(target).is_some_and(|target| target.leg == Leg::Called && !target.is_answered())
        };
        self.channels.get(&number).is_some_and(|caller| caller.targets.iter().any(rings))
    }

    /// Returns `true` if a target was called from a pipe whose dialplan may go on to the mailbox of who was called.
    fn may_go_to_mailbox(&self, number: Number) -> bool {
        let Some(Calling::Channel(pipe)) = self.channels[&number].called_by else { return false };
        let was_taken_back = self.channels[&number].dial_end == Some(DialEnd::Cancelled);
        !was_taken_back
            && self
                .channels
                .get(&pipe)
                .is_some_and(|pipe| pipe.endpoint().is_none() && pipe.hung_up.is_none())
    }

    /// Tells the end of a channel, and before it that of who it talked with if that left first.
    pub(super) fn end_with_peer(&mut self, number: Number, out: &mut Vec<Signal>) {
        let Some(channel) = self.channels.get(&number) else { return };
        let peer = channel.peer.and_then(|peer| Some((peer, self.channels.get(&peer)?)));
        let peer = peer.filter(|(_, other)| other.hung_up.is_some() && other.peer == Some(number));
        match peer {
            Some((peer, other)) if other.left < channel.left => {
                self.end(peer, out);
                self.end(number, out);
            }
            Some((peer, _)) => {
                self.end(number, out);
                self.end(peer, out);
            }
            None => self.end(number, out),
        }
    }

    /// Tells the end of a channel that was hung up.
    pub(super) fn end(&mut self, number: Number, out: &mut Vec<Signal>) {
        self.waits.forget(|waiting| *waiting == Waiting::End(number));
        let Some(channel) = self.channels.get(&number) else { return };
        let Some((told, moment)) = channel.hung_up else { return };
        let cause = match channel.leg {
            _ if channel.is_answered() && told.is_lost_within() => Cause::Lost,
            _ if channel.is_answered() => Cause::HungUp,
            Leg::Called => {
                let cancelled = channel.called_by.is_some_and(|by| self.has_cancelled(by));
                match told.of_called(channel.dial_end).unwrap_or(Cause::Withdrawn) {
                    Cause::Withdrawn if cancelled => Cause::Cancelled,
                    Cause::Withdrawn if self.was_not_accepted(number) => Cause::NoAnswer,
                    cause => cause,
                }
            }
            _ => told.cause().unwrap_or(match channel.called {
                _ if told.is_cancel() || channel.asked_to_hang_up => Cause::Cancelled,
                Some(_) => Cause::NoAnswer,
                None => Cause::HungUp,
            }),
        };
        let (service, is_told) = (channel.service, channel.is_told());
        if is_told {
            out.push(self.signal(self.leg(number), SignalKind::Ended(cause), moment));
        }
        if let Some(service) = service {
            out.push(self.signal(service.leg, SignalKind::Ended(Cause::HungUp), moment));
        }
        let (caller, called_by) = self
            .channels
            .get(&number)
            .map_or((None, None), |channel| (channel.offered_for, channel.called_by));
        self.forget(number);
        if let Some(caller) = caller.and_then(|caller| self.channels.get_mut(&caller)) {
            caller.targets.retain(|&target| target != number);
        }
        if let Some(Calling::Channel(caller)) = called_by
            && let Some(caller) = self.channels.get_mut(&caller)
        {
            caller.picked_up.take_if(|target| *target == number);
        }
        if let Some(caller) = caller
            && self.waits.find(|waiting| *waiting == Waiting::End(caller)).is_some()
            && self.channels.get(&caller).is_some_and(|caller| !caller.is_answered())
            && self.is_explained(caller)
        {
            self.end_with_peer(caller, out);
        }
    }

    /// Ends what the switch did on a channel itself; the call goes on from it.
    pub(super) fn leave_service(&mut self, number: Number, now: Moment, out: &mut Vec<Signal>) {
        let Some(channel) = self.channels.get_mut(&number) else { return };
        channel.plays = None;
        let Some(service) = channel.service.take() else { return };
        let cause = match service.kind {
            ServiceKind::Menu => Cause::Named(hookswitch_model::Reason::CallerInputRedirect),
            ServiceKind::Mailbox | ServiceKind::Fax => Cause::HungUp,
        };
        out.push(self.signal(service.leg, SignalKind::Ended(cause), now));
    }

    /// The switch goes down, and all calls with it.
    pub(super) fn shut_down(&mut self, now: Moment, out: &mut Vec<Signal>) -> bool {
        let lost = HangupCause { cause: 44, status: 0 };
        for number in self.in_order() {
            if let Some(channel) = self.channels.get_mut(&number) {
                channel.hung_up.get_or_insert((lost, now));
                self.end(number, out);
            }
            self.forget(number);
        }
        true
    }

    /// The channels in the order in which they came.
    pub(super) fn in_order(&self) -> Vec<Number> {
        #[expect(clippy::disallowed_methods, reason = "they are sorted")]
        let mut numbers: Vec<Number> = self.channels.keys().copied().collect();
        numbers.sort_unstable();
        numbers
    }
}
