//! One channel calls another.

use std::sync::Arc;

use hookswitch_model::{Alias, Caller, Cause, Direction, LegCreated, LegId, RingOutRole, Signal, SignalKind};

use super::call::{Side, created};
use super::cause::DialEnd;
use super::channel::{Asks, Calling, ChannelKind, Leg, Moment, Number, State};
use super::message::{Event, Key};
use super::text;
use super::tracker::{AmiTracker, Waiting};
use crate::switch::PIPES_MAX;

impl AmiTracker {
    pub(super) fn dial_begins(&mut self, event: &Event<'_>, now: Moment, out: &mut Vec<Signal>) -> bool {
        let known = self.number(event.get(Key::DestUniqueid));
        let Some(target) = known.or_else(|| self.add_target(event, now)) else { return false };
        let uniqueid = event.get(Key::Uniqueid);
        let caller = if uniqueid.is_empty() {
            let caller = self.originator(target).or_else(|| self.recalled_for(target));
            caller.map_or(Calling::Switch(None), Calling::Channel)
        } else {
            // Its beginning may not have been seen.
            let caller = self.number(uniqueid).or_else(|| self.add(event, Side::Own, now));
            let Some(caller) = caller else { return false };
            Calling::Channel(caller)
        };
        if let Calling::Channel(caller) = caller {
            self.note(caller, event, now);
            self.goes_on(caller, now, out);
        }
        let forwarder = match caller {
            Calling::Channel(caller) => self.channels.get_mut(&caller).and_then(|caller| {
                caller.called.get_or_insert(target);
                caller.forwarder.take()
            }),
            Calling::Switch(_) => None,
        };
        let Some(channel) = self.channels.get_mut(&target) else { return false };
        if channel.called_by.is_some() || channel.leg != Leg::Untold {
            return true;
        }
        channel.called_by = Some(caller);
        channel.diverted_by = forwarder;
        channel.last_seen = now.at;
        if let (State::Down, Some(state)) = (channel.state, State::read(event.get(Key::DestChannelState))) {
            channel.state = state;
        }
        self.waits.forget(|waiting| *waiting == Waiting::Call(target));
        if self.channels[&target].endpoint().is_some() {
            self.offer(target, event, now, out);
        }
        true
    }

    /// For whom a channel is called that the switch calls without a caller: an application (ARI, Page) names the
    /// call that it belongs to.
    fn originator(&self, target: Number) -> Option<Number> {
        let oldest = self.number(&self.channels.get(&target)?.linkedid).filter(|&oldest| oldest != target)?;
        let oldest = self.in_front(oldest)?;
        (oldest != target && self.channels.get(&oldest)?.hung_up.is_none()).then_some(oldest)
    }

    /// Follows a channel whose beginning was not seen. It may show the number that was dialled.
    fn add_target(&mut self, event: &Event<'_>, now: Moment) -> Option<Number> {
        let target = self.add(event, Side::Dest, now)?;
        let dialled = text::text(event.get(Key::Exten));
        if let Some(channel) = self.channels.get_mut(&target)
            && channel.caller.number == dialled
        {
            channel.caller.number = None;
        }
        Some(target)
    }

    /// Ends what a channel did before: it calls somebody else.
    fn goes_on(&mut self, number: Number, now: Moment, out: &mut Vec<Signal>) {
        // Who moved the call here leaves it before the new target comes.
        while let Some(Waiting::End(mover)) = self.waits.find(|waiting| match waiting {
            Waiting::End(mover) => {
                self.channels.get(mover).is_some_and(|mover| mover.moved && mover.peer == Some(number))
            }
            _ => false,
        }) {
            self.end(mover, out);
        }
        self.leave_service(number, now, out);
    }

    /// Tells that a phone or trunk is called.
    fn offer(&mut self, target: Number, event: &Event<'_>, now: Moment, out: &mut Vec<Signal>) {
        let mut diverted_by = self.channels[&target].diverted_by.clone();
        let called_by = self.channels[&target].called_by;
        let caller = match called_by {
            Some(Calling::Channel(caller)) => self.behind(caller, &mut diverted_by),
            other => other,
        };
        let callee = self.callee(target, event);
        let channel = &self.channels[&target];
        let name = channel.caller.name.clone().filter(|_| channel.caller.number.as_ref() == Some(&callee));
        let name = name.or_else(|| text::is_short(&callee).then(|| channel.caller.name.clone()).flatten());
        let endpoint = channel.endpoint().cloned();
        let uniqueid = channel.uniqueid.clone();
        let (of, from_queue) = match caller {
            Some(Calling::Channel(caller)) => {
                self.ensure_told(caller, out);
                if !self.channels[&caller].is_told() {
                    return;
                }
                let waits = |by| matches!(by, Some(Calling::Channel(by)) if self.waits_in_queue(by));
                (self.leg(caller), waits(called_by))
            }
            Some(Calling::Switch(Some(leg))) => (leg, false),
            Some(Calling::Switch(None)) | None => {
                let leg = self.call_on_behalf(&callee, endpoint.clone(), &uniqueid, now, out);
                self.remember_switch(target, leg);
                (leg, false)
            }
        };
        if let Some(Calling::Channel(caller)) = caller
            && let Some(caller) = self.channels.get_mut(&caller)
        {
            caller.targets.push(target);
        }
        let Some(channel) = self.channels.get_mut(&target) else { return };
        channel.offered_for = match caller {
            Some(Calling::Channel(caller)) => Some(caller),
            _ => None,
        };
        channel.leg = Leg::Called;
        let (state, answered) = (channel.state, channel.answered.take());
        let shown = text::number(event.get(Key::CallerIDNum)).filter(|shown| !text::is_withheld(shown));
        let created = LegCreated {
            of: Some(of),
            caller: Caller { number: shown, ..Caller::default() },
            callee,
            callee_name: name,
            endpoint,
            aliases: vec![Alias::Channel(uniqueid)],
            from_queue,
            diverted_by,
            ..created(Direction::Inbound)
        };
        let leg = self.leg(target);
        out.push(self.signal(leg, SignalKind::Created(Box::new(created)), now));
        self.tell_call_id(target, now, out);
        if matches!(state, State::Rings | State::Up) {
            out.push(self.signal(leg, SignalKind::Ringing { to_tag: None }, now));
        }
        if state == State::Up {
            let moment = answered.unwrap_or(now);
            out.push(self.signal(leg, SignalKind::Answered { to_tag: None }, moment));
        }
    }

    /// Returns `true` if a channel waits in a queue, or whoever calls through the pipe that it belongs to.
    fn waits_in_queue(&self, mut number: Number) -> bool {
        for _ in 0..PIPES_MAX {
            let Some(channel) = self.channels.get(&number) else { return false };
            if channel.queue.is_some_and(|queue| !queue.connected) {
                return true;
            }
            let ChannelKind::Local { second, .. } = channel.kind else { return false };
            let Some(other) = self.other_end(number).and_then(|other| self.channels.get(&other)) else {
                return false;
            };
            number = match (second, other.called_by, other.called) {
                (true, Some(Calling::Channel(caller)), _) | (false, _, Some(caller)) => caller,
                _ => return false,
            };
        }
        false
    }

    /// Tells that the switch calls somebody on whose behalf it will call another.
    fn call_on_behalf(
        &mut self,
        callee: &Arc<str>,
        endpoint: Option<Arc<str>>,
        uniqueid: &[u8],
        now: Moment,
        out: &mut Vec<Signal>,
    ) -> LegId {
        let leg = self.next_leg();
        let created = LegCreated {
            caller: Caller { number: Some(callee.clone()), ..Caller::default() },
            callee: callee.clone(),
            endpoint,
            aliases: vec![Alias::Channel(uniqueid.into())],
            ring_out_role: Some(RingOutRole::Initiator),
            sent_by_server: true,
            ..created(Direction::Outbound)
        };
        out.push(self.signal(leg, SignalKind::Created(Box::new(created)), now));
        leg
    }

    /// Remembers the leg that stands for the switch, where it was called from.
    fn remember_switch(&mut self, target: Number, leg: LegId) {
        let mut number = target;
        // Through pipes, the switch has called the first end of the first one.
        while let Some(channel) = self.channels.get_mut(&number) {
            match channel.called_by {
                Some(Calling::Switch(_)) | None => {
                    channel.called_by = Some(Calling::Switch(Some(leg)));
                    return;
                }
                Some(Calling::Channel(caller)) => {
                    let Some(other) = self.other_end(caller).filter(|&other| other != number) else { return };
                    number = other;
                }
            }
        }
    }

    /// Returns who is called: the phone by its name, or the number that is called through a trunk.
    fn callee(&self, target: Number, event: &Event<'_>) -> Arc<str> {
        let channel = &self.channels[&target];
        let ChannelKind::Endpoint { technology, name } = &channel.kind else { return Arc::from("") };
        let dial = text::lossy(event.get(Key::DialString));
        let number = text::number_in(&dial, technology, name);
        // A phone may be registered at an address that looks like a number; what is called through it does not.
        let is_address = dial.contains("sip:") || dial.contains("sips:");
        if let Some(number) =
            number.filter(|number| !text::is_short(name) || !(is_address || text::is_short(number)))
        {
            return text::text(number.as_bytes()).unwrap_or_else(|| name.clone());
        }
        if text::is_short(name) {
            return name.clone();
        }
        // A phone with a number of its own shows it from its beginning, and any other the number that was
        // dialled, once it is called.
        let own = channel.caller.number.clone().filter(|own| text::is_short(own));
        own.unwrap_or_else(|| name.clone())
    }

    pub(super) fn dial_goes_on(&mut self, event: &Event<'_>, now: Moment, out: &mut Vec<Signal>) -> bool {
        let Some(target) = self.number(event.get(Key::DestUniqueid)) else { return false };
        if !matches!(event.get(Key::DialStatus), b"RINGING" | b"PROGRESS") {
            return true;
        }
        if self.channels[&target].leg == Leg::Called {
            out.push(self.signal(self.leg(target), SignalKind::Ringing { to_tag: None }, now));
        }
        let caller = self.number(event.get(Key::Uniqueid));
        if let Some(Calling::Channel(caller)) = caller.and_then(|caller| self.behind(caller, &mut None))
            && self.channels.get(&caller).is_some_and(|channel| channel.leg == Leg::Calling)
        {
            out.push(self.signal(self.leg(caller), SignalKind::Ringing { to_tag: None }, now));
        }
        true
    }

    pub(super) fn dial_ends(&mut self, event: &Event<'_>, now: Moment, out: &mut Vec<Signal>) -> bool {
        let Some(target) = self.number(event.get(Key::DestUniqueid)) else { return false };
        let status = event.get(Key::DialStatus);
        let forward = event.get(Key::Forward);
        if let Some(caller) = self.number(event.get(Key::Uniqueid)).filter(|_| !forward.is_empty()) {
            let who = self.channels[&target].endpoint().cloned();
            if let Some(caller) = self.channels.get_mut(&caller) {
                caller.forwarder = who;
            }
        }
        if self.channels[&target].endpoint().is_none() {
            self.pipe_dial_ends(target, event, now, out);
            return true;
        }
        let leg = self.leg(target);
        let end = self.dial_end_of(event);
        let Some(channel) = self.channels.get_mut(&target) else { return false };
        if channel.leg != Leg::Called {
            if status == b"ANSWER"
                && let Some(caller) = self.number(event.get(Key::Uniqueid))
            {
                self.answers_uncalled(target, caller, now, out);
            }
            return true;
        }
        if !forward.is_empty() {
            channel.leg = Leg::Ended;
            out.push(self.signal(leg, SignalKind::Ended(Cause::Redirected), now));
            return true;
        }
        if status == b"ANSWER" {
            let by = channel.called_by;
            if channel.state != State::Up {
                channel.state = State::Up;
                channel.answered = Some(now);
            }
            self.accepts(target, now, out);
            if let Some(Calling::Channel(caller)) = by
                && let Some(caller) = self.channels.get_mut(&caller)
            {
                caller.called = Some(target);
            }
            return true;
        }
        if let Some(end) = end
            && channel.dial_end.is_none_or(|before| before == DialEnd::Cancelled)
        {
            channel.dial_end = Some(end);
            if channel.hung_up.is_some() {
                self.end(target, out);
            }
        }
        true
    }

    /// The attempt has ended by which the first end of a pipe was called. Who is called through the pipe has taken the
    /// call with it, unless they are to be asked (`FollowMe`), or has it taken back.
    fn pipe_dial_ends(&mut self, first: Number, event: &Event<'_>, now: Moment, out: &mut Vec<Signal>) {
        let caller = self.number(event.get(Key::Uniqueid));
        if event.get(Key::DialStatus) == b"ANSWER" {
            if let Some(caller) = caller.and_then(|caller| self.channels.get_mut(&caller)) {
                caller.called = Some(first);
                if caller.asks == Asks::AfterDial {
                    return;
                }
            }
            self.pipe_accepts(first, now, out);
            return;
        }
        let end = self.dial_end_of(event);
        if let Some(second) = self.other_end(first).and_then(|second| self.channels.get_mut(&second)) {
            second.dial_end = second.dial_end.or(end);
        }
    }

    /// Returns how an attempt has ended. One within a pipe is taken back when that of the pipe has ended, which says more.
    fn dial_end_of(&self, event: &Event<'_>) -> Option<DialEnd> {
        let end = DialEnd::read(event.get(Key::DialStatus))?;
        let caller = self.number(event.get(Key::Uniqueid)).and_then(|caller| self.channels.get(&caller));
        let outer = caller.filter(|caller| caller.endpoint().is_none()).and_then(|pipe| pipe.dial_end);
        Some(outer.filter(|_| end == DialEnd::Cancelled).unwrap_or(end))
    }

    /// Answers a call for who was not called: they have picked it up. A `Pickup` says so as well, but not of an INVITE
    /// with Replaces of a dialog that rings.
    fn answers_uncalled(&mut self, taker: Number, caller: Number, now: Moment, out: &mut Vec<Signal>) {
        if self
            .channels
            .get(&taker)
            .is_none_or(|taker| taker.endpoint().is_none() || taker.called_by.is_some())
        {
            return;
        }
        let by = Some(Calling::Channel(caller));
        let ending = self.waits.find(|waiting| match waiting {
            Waiting::End(target) => self.channels.get(target).is_some_and(|target| target.called_by == by),
            _ => false,
        });
        let ringing = self.channels.get(&caller).and_then(|caller| caller.called).filter(|target| {
            self.channels.get(target).is_some_and(|target| target.leg == Leg::Called && !target.is_answered())
        });
        let target = match ending {
            Some(Waiting::End(target)) => Some(target),
            _ => ringing,
        };
        if let Some(target) = target.filter(|target| !self.channels[target].moved) {
            self.takes_call(taker, target, now, out);
        }
    }

    /// Returns `true` if who calls has taken the call back.
    pub(super) fn has_cancelled(&self, calling: Calling) -> bool {
        let Calling::Channel(caller) = calling else { return false };
        let Some(Calling::Channel(caller)) = self.behind(caller, &mut None) else { return false };
        self.channels.get(&caller).is_some_and(|channel| channel.asked_to_hang_up)
    }
}
