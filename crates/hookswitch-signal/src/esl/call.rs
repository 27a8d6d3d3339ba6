//! A channel comes into being, rings, is answered and ends.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use hookswitch_model::{
    Alias, Caller, Cause, Direction, LegCreated, LegId, LegRelation, Reason, RingOutRole, Signal, SignalKind,
    Timestamp,
};

use super::cause::HangupCause;
use super::channel::{
    Calling, Channel, Confirmation, Leg, Moment, Number, ServiceKind, is_plumbing, is_same_domain,
};
use super::message::{Event, Key};
use super::tracker::{EslTracker, Waiting, dialog, own_name};
use crate::sip::percent_decode;
use crate::switch::{EXPLANATION_WAIT, ID_BYTES_MAX, created, is_dialled, is_short, text};

/// Time that a target that did not take the call waits for what the dialplan does next, once the switch has
/// answered the caller: a mailbox may come.
const FALLBACK_WAIT: Duration = Duration::from_millis(500);

/// The longest pause that it waits for on top of that, when the dialplan says that it pauses.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Time that who has sent a call elsewhere waits for what comes of it there, and then for a slot: an announcement may
/// come first.
const SLOT_WAIT: Duration = Duration::from_millis(500);

/// Time that one side of an attended transfer waits for the other.
const JOIN_WAIT: Duration = Duration::from_millis(500);

/// Number that a caller has dialled first. A trunk may be reached by the name of its account, while the number
/// stands in To; a dialplan that is written in place of a number (`answer,intercept:…`) is none.
fn first_dialled(event: &Event<'_>, is_trunk: bool) -> Arc<str> {
    let (dialled, to) = (unescaped(event.get(Key::DestinationNumber)), event.get(Key::SipToUser));
    let in_place = (is_trunk && is_long(to) && !is_long(&dialled)) || is_inline(&dialled);
    let number = match in_place {
        true if is_dialled(to) => to,
        true => "",
        false => &*dialled,
    };
    text(number.as_bytes()).unwrap_or_else(|| Arc::from(""))
}

/// Domain of the switch's directory whose call it is: what was set on the channel, or the context that bears its
/// name. Of a phone the host of From is its domain as well.
pub(super) fn domain_of_caller<'a>(event: &'a Event<'_>, is_users: bool) -> &'a str {
    let named = event.get(Key::DomainName);
    if !named.is_empty() {
        return named;
    }
    let contexts = [event.get(Key::UserContext), event.get(Key::CallerContext)];
    let context = contexts.into_iter().find(|context| context.contains('.'));
    context.unwrap_or_else(|| if is_users { event.get(Key::SipFromHost) } else { "" })
}

/// User and host of a contact: `<sip:102@192.0.2.9:5060>`.
fn contact(contact: &str) -> Option<(&str, &str)> {
    let uri = contact.split('<').next_back()?.split('>').next()?;
    let (_, address) = uri.split_once(':')?;
    let (user, host) = address.split_once('@')?;
    let host = host.split([';', ':', '?']).next()?;
    (!user.is_empty()).then_some((user, host))
}

/// Returns `true` if it is a dialplan and no number.
fn is_inline(dialled: &str) -> bool {
    dialled.contains([',', ':']) && dialled.contains("intercept:")
}

/// Returns `true` if it is a subscriber's number.
fn is_long(number: &str) -> bool {
    is_dialled(number) && !is_short(number) && !number.starts_with(['*', '#'])
}

/// A number as it was dialled: dial strings escape it as in a URI.
fn unescaped(number: &str) -> Cow<'_, str> {
    match percent_decode(number.as_bytes()) {
        Cow::Borrowed(_) => Cow::Borrowed(number),
        Cow::Owned(bytes) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
    }
}

/// Returns `true` if a cause says why a target did not take a call.
const fn says_why(cause: Cause) -> bool {
    matches!(
        cause,
        Cause::NoAnswer
            | Cause::Busy
            | Cause::Rejected
            | Cause::Failed
            | Cause::UnknownNumber
            | Cause::Blocked
    )
}

/// Texts in place of a number that is not known.
const NO_NUMBERS: [&str; 4] = ["0000000000", "anonymous", "unknown", "restricted"];

impl EslTracker {
    pub(super) fn created(&mut self, event: &Event<'_>, now: Moment, out: &mut Vec<Signal>) -> bool {
        if let Some(number) = self.number(event.get(Key::UniqueId)) {
            self.is_back(number); // recovered, its id is the same
            return true;
        }
        let Some(number) = self.add(event, now) else { return false };
        if event.get(Key::Recovered) == "true" {
            self.is_recovered(number, now, out);
            self.note(number, event, now, out);
            return true;
        }
        if self.channels[&number].calls {
            self.learns_name(number, event);
        }
        let channel = &self.channels[&number];
        if channel.calls {
            let is_code = channel.first_dialled.starts_with(['*', '#']);
            if channel.is_plumbing {
            } else if is_code || is_inline(event.get(Key::DestinationNumber)) || channel.domain.is_none() {
                // It may take the place of somebody, or be the call of a tenant whom the dialplan names; either is
                // said at once.
                self.wait(Waiting::Call(number), now);
            } else {
                self.ensure_told(number, out);
            }
        } else {
            self.called(number, event, now, out);
        }
        self.note(number, event, now, out);
        true
    }

    /// The switch has recovered a call that is not known: it goes on, and no CHANNEL_ANSWER follows. Whom its caller
    /// talks with is said when they are connected again.
    fn is_recovered(&mut self, number: Number, now: Moment, out: &mut Vec<Signal>) {
        let Some(channel) = self.channels.get_mut(&number) else { return };
        channel.found = true;
        channel.answered = true;
        if channel.calls {
            self.found_caller(number, now, out);
        }
    }

    /// A channel begins to tell of itself, on a connection of its own.
    pub(super) fn begins_here(&mut self, event: &Event<'_>, now: Moment, out: &mut Vec<Signal>) -> bool {
        let known = self.number(event.get(Key::UniqueId)).is_some();
        if !self.created(event, now, out) {
            return false;
        }
        if let Some(number) = self.number(event.get(Key::UniqueId)) {
            if known {
                self.note(number, event, now, out);
            }
            if event.get(Key::CallState) == "ACTIVE" {
                self.answers(number, now, out);
            }
        }
        true
    }

    /// The connection of a channel was lost before its end: nobody tells of it any more, nor of who it talks
    /// with or calls.
    pub(super) fn lost(&mut self, uuid: &str, now: Moment, out: &mut Vec<Signal>) {
        let Some(lost) = self.number(uuid) else { return };
        for number in self.in_order() {
            let Some(channel) = self.channels.get(&number) else { continue };
            let is_part = number == lost
                || channel.peer == Some(lost)
                || channel.called_by == Some(Calling::Channel(lost));
            if is_part && channel.hung_up.is_none() {
                self.end_unseen(number, Cause::Unlisted, now, out);
            }
        }
    }

    /// Follows a channel that an event describes.
    fn add(&mut self, event: &Event<'_>, now: Moment) -> Option<Number> {
        let name = event.get(Key::ChannelName);
        let calls = event.get(Key::CallDirection) == "inbound";
        let presence = event.get(Key::PresenceId);
        let (user, domain) = match presence.split_once('@') {
            Some(presence) => presence,
            None if calls => {
                let user = event.first([Key::UserName, Key::SipAuthUsername]);
                (user, domain_of_caller(event, !user.is_empty()))
            }
            None => (event.get(Key::DialedUser), event.get(Key::DialedDomain)),
        };
        let place = event.first([Key::GatewayName, Key::ProfileName]);
        let number = &*unescaped(event.get(Key::CallerIdNumber));
        let says_nothing = NO_NUMBERS.iter().any(|word| number.eq_ignore_ascii_case(word));
        let hides = event.get(Key::HideNumber) == "true" || (says_nothing && number != NO_NUMBERS[0]);
        let own_name = own_name(event, Some(user)).filter(|_| calls);
        let shown_name = own_name.or_else(|| text(event.get(Key::CallerIdName).as_bytes()));
        let caller = Caller {
            number: text(number.as_bytes()).filter(|_| !says_nothing),
            name: shown_name.filter(|_| !hides && !says_nothing),
            host: None,
            withheld: hides && calls,
        };
        let first_dialled = first_dialled(event, calls && user.is_empty());
        let dialled = text(event.get(Key::DestinationNumber).as_bytes()).unwrap_or_else(|| Arc::from(""));
        let asks = !calls && !event.get(Key::ConfirmBy).is_empty();
        self.insert(Channel {
            confirmation: if asks { Confirmation::Asked } else { Confirmation::None },
            endpoint: text(if user.is_empty() { place } else { user }.as_bytes())
                .filter(|_| !is_plumbing(name)),
            is_users: !user.is_empty(),
            domain: text(domain.as_bytes()),
            caller,
            first_dialled,
            dialled,
            sip: dialog(event).map(Arc::new),
            ..Channel::new(event.get(Key::UniqueId), name, calls, now)
        })
    }

    /// Tells that a channel calls, if that was not told and nobody has called it.
    pub(super) fn ensure_told(&mut self, number: Number, out: &mut Vec<Signal>) {
        self.tell_call(number, None, out);
    }

    /// The same, for a channel that takes its place in an open call.
    pub(super) fn tell_call(&mut self, number: Number, place: Option<LegRelation>, out: &mut Vec<Signal>) {
        let Some(channel) = self.channels.get_mut(&number) else { return };
        if channel.leg != Leg::Untold || !channel.calls || channel.is_plumbing {
            return;
        }
        channel.leg = Leg::Calling;
        let (begun, answered) = (channel.begun, channel.untold_answer.take());
        let channel = &self.channels[&number];
        let user = channel.endpoint.clone().filter(|_| channel.is_users);
        let created = LegCreated {
            // A phone is known by its user; the number that it shows may be the company's.
            caller: Caller {
                number: user.filter(|user| is_short(user)).or(channel.caller.number.clone()),
                ..channel.caller.clone()
            },
            callee: channel.first_dialled.clone(),
            callee_name: self.name_of(&channel.first_dialled, channel.domain.as_deref()),
            endpoint: channel.endpoint.clone().or_else(|| Some(Arc::from(""))),
            endpoint_domain: channel.domain.clone(),
            aliases: vec![Alias::Channel(channel.uuid.as_bytes().into())],
            sip: channel.sip.clone(),
            found_running: channel.found,
            place,
            ..created(Direction::Outbound)
        };
        self.waits.forget(|waiting| *waiting == Waiting::Call(number));
        let leg = self.leg(number);
        out.push(self.signal(leg, SignalKind::Created(Box::new(created)), begun));
        if let Some(moment) = answered {
            out.push(self.signal(leg, SignalKind::Answered { to_tag: None }, moment));
        }
    }

    /// The switch calls somebody: on behalf of another channel, of a queue, or of nobody that is known.
    fn called(&mut self, number: Number, event: &Event<'_>, now: Moment, out: &mut Vec<Signal>) {
        let member = event.first([Key::CcMemberVariable, Key::FifoBridge]);
        let named = event.first([Key::OtherLeg, Key::OriginatingLeg, Key::Originator]);
        let caller = self.number(named).or_else(|| self.number(member));
        let caller = caller.or_else(|| self.enterprise_caller(number));
        let calling = caller.map_or(Calling::Switch(None), Calling::Channel);
        let Some(channel) = self.channels.get_mut(&number) else { return };
        channel.called_by = Some(calling);
        if channel.is_plumbing {
            return;
        }
        let from_queue = !member.is_empty();
        let callee = match &channel.endpoint {
            Some(user) if channel.is_users => user.clone(),
            _ => channel.first_dialled.clone(),
        };
        let (endpoint, domain, uuid) =
            (channel.endpoint.clone(), channel.domain.clone(), channel.uuid.clone());
        // A trunk is shown who calls.
        let caller = if channel.is_users { Caller::default() } else { channel.caller.clone() };
        let behind = match calling {
            Calling::Channel(caller) => self.behind(caller).unwrap_or(Calling::Switch(None)),
            switch @ Calling::Switch(_) => switch,
        };
        let (of, from_queue) = match behind {
            Calling::Channel(caller) => {
                self.goes_on(caller, now, out);
                self.end_failed_targets_of(caller, None, out);
                self.belongs_to(caller, domain.as_deref().unwrap_or_default(), out);
                self.ensure_told(caller, out);
                let Some(caller_channel) = self.channels.get(&caller).filter(|caller| caller.is_told())
                else {
                    return;
                };
                let waits = caller_channel.queue.is_some_and(|queue| !queue.connected);
                (self.leg(caller), from_queue || waits)
            }
            Calling::Switch(Some(leg)) => (leg, from_queue),
            Calling::Switch(None) => {
                let leg = self.call_on_behalf(number, &callee, now, out);
                match calling {
                    Calling::Channel(plumbing) => self.stands_behind(plumbing, leg),
                    Calling::Switch(_) => {
                        if let Some(channel) = self.channels.get_mut(&number) {
                            channel.called_by = Some(Calling::Switch(Some(leg)));
                        }
                    }
                }
                (leg, from_queue)
            }
        };
        if let Some(channel) = self.channels.get_mut(&number) {
            channel.leg = Leg::Called;
            channel.offered_for = match behind {
                Calling::Channel(caller) => Some(caller),
                Calling::Switch(_) => None,
            };
        }
        let user = endpoint.as_deref().filter(|_| self.channels[&number].is_users);
        let created = LegCreated {
            of: Some(of),
            caller,
            callee_name: user.and_then(|user| self.name_of(user, domain.as_deref())),
            callee,
            endpoint: endpoint.or_else(|| Some(Arc::from(""))),
            endpoint_domain: domain,
            aliases: vec![Alias::Channel(uuid.as_bytes().into())],
            from_queue,
            ..created(Direction::Inbound)
        };
        out.push(self.signal(self.leg(number), SignalKind::Created(Box::new(created)), now));
    }

    /// Returns who calls several targets in a way that does not tie them to it, of which this is one.
    fn enterprise_caller(&self, target: Number) -> Option<Number> {
        let target = self.channels.get(&target)?;
        let names = |name: &str, data: &str| {
            data.match_indices(name).any(|(at, _)| {
                let ends = |byte: Option<&u8>| byte.is_none_or(|byte| !byte.is_ascii_alphanumeric());
                let bytes = data.as_bytes();
                ends(bytes.get(at + name.len())) && (at == 0 || ends(bytes.get(at - 1)))
            })
        };
        let calls = |caller: &Channel| {
            let Some(data) = caller.enterprise.as_deref().filter(|_| caller.hung_up.is_none()) else {
                return false;
            };
            if !is_same_domain(caller.domain.as_deref(), target.domain.as_deref()) {
                return false;
            }
            let user = target.endpoint.as_deref().filter(|_| target.is_users);
            [user, Some(&*target.first_dialled)]
                .into_iter()
                .flatten()
                .any(|name| !name.is_empty() && names(name, data))
        };
        let shows_same = |caller: &Channel| caller.caller.number == target.caller.number;
        #[expect(clippy::disallowed_methods, reason = "the greatest is the same in any order")]
        let callers = self.channels.iter().filter(|(_, caller)| calls(caller));
        callers.max_by_key(|(number, caller)| (shows_same(caller), **number)).map(|(&number, _)| number)
    }

    /// Tells that the switch calls somebody on whose behalf it will call another.
    fn call_on_behalf(
        &mut self,
        number: Number,
        callee: &Arc<str>,
        now: Moment,
        out: &mut Vec<Signal>,
    ) -> LegId {
        let leg = self.next_leg();
        let channel = &self.channels[&number];
        let created = LegCreated {
            // Whoever is called first is shown a number only if the command gives one.
            caller: Caller { number: channel.caller.number.clone(), ..Caller::default() },
            callee: callee.clone(),
            endpoint: channel.endpoint.clone(),
            endpoint_domain: channel.domain.clone(),
            aliases: vec![Alias::Channel(channel.uuid.as_bytes().into())],
            ring_out_role: Some(RingOutRole::Initiator),
            sent_by_server: true,
            ..created(Direction::Outbound)
        };
        out.push(self.signal(leg, SignalKind::Created(Box::new(created)), now));
        leg
    }

    /// Ends what a channel did before: it calls somebody else.
    pub(super) fn goes_on(&mut self, number: Number, now: Moment, out: &mut Vec<Signal>) {
        // Who moved the call here leaves it before the new target comes.
        self.end_peers_of(number, out);
        self.leave_service(number, now, out);
    }

    /// Ends the channels that wait and have talked with one.
    pub(super) fn end_peers_of(&mut self, number: Number, out: &mut Vec<Signal>) {
        let mut peers: Vec<Number> = Vec::new();
        #[expect(clippy::iter_over_hash_type, reason = "they are sorted")]
        for (&other, channel) in &self.channels {
            if channel.peer == Some(number) && channel.hung_up.is_some() && other != number {
                peers.push(other);
            }
        }
        peers.sort_unstable();
        for peer in peers {
            self.end(peer, out);
        }
    }

    /// Ends the targets of a channel that have not taken the call, before another is tried; as of a later
    /// instant if that is when it goes on.
    pub(super) fn end_failed_targets_of(
        &mut self,
        caller: Number,
        at: Option<Moment>,
        out: &mut Vec<Signal>,
    ) {
        let mut targets: Vec<Number> = Vec::new();
        #[expect(clippy::iter_over_hash_type, reason = "they are sorted")]
        for (&number, target) in &self.channels {
            let Some(Calling::Channel(by)) = target.called_by else { continue };
            let fails =
                |told: HangupCause| told.complete || matches!(told.unanswered, Cause::NoAnswer | Cause::Busy);
            if target.hung_up.is_some_and(|(told, _)| fails(told))
                && !target.answered
                && self.real(by) == Some(caller)
            {
                targets.push(number);
            }
        }
        targets.sort_unstable();
        for target in targets {
            let hung_up = self.channels.get_mut(&target).and_then(|target| target.hung_up.as_mut());
            if let (Some((_, moment)), Some(at)) = (hung_up, at) {
                *moment = at;
            }
            self.end(target, out);
        }
    }

    /// The phone of a callee has sent the call to a host that FreeSWITCH does not serve, and FreeSWITCH calls
    /// there on the same channel: `sip_redirected_to` is all that it says of it. Where it serves the host, as in
    /// `forward-302`, the channel ends.
    pub(super) fn goes_elsewhere(
        &mut self,
        number: Number,
        event: &Event<'_>,
        now: Moment,
        out: &mut Vec<Signal>,
    ) {
        let to = event.get(Key::RedirectedTo);
        let Some(channel) = self.channels.get(&number) else { return };
        let is_known = channel.redirected.as_ref().is_some_and(|(known, _)| **known == *to);
        if to.is_empty()
            || to.len() > ID_BYTES_MAX
            || is_known
            || channel.leg != Leg::Called
            || channel.answered
        {
            return;
        }
        let of = match channel.called_by {
            Some(Calling::Channel(caller)) => self.real(caller).map(|caller| self.leg(caller)),
            Some(Calling::Switch(leg)) => leg,
            None => None,
        };
        let (Some(of), Some((user, host))) = (of, contact(to)) else { return };
        let (forwards, left, leg) = (channel.endpoint.clone(), self.leg(number), self.next_leg());
        let created = LegCreated {
            of: Some(of),
            callee: Arc::from(user),
            callee_host: text(host.as_bytes()),
            endpoint: Some(Arc::from("")),
            diverted_by: forwards,
            ..created(Direction::Inbound)
        };
        if let Some(channel) = self.channels.get_mut(&number) {
            channel.redirected = Some((to.into(), leg));
        }
        out.push(self.signal(left, SignalKind::Ended(Cause::Redirected), now));
        out.push(self.signal(leg, SignalKind::Created(Box::new(created)), now));
    }

    pub(super) fn rings(&mut self, number: Number, now: Moment, out: &mut Vec<Signal>) {
        if self.channels.get(&number).is_some_and(|channel| !channel.answered) {
            self.told(number, SignalKind::Ringing { to_tag: None }, now, out);
        }
    }

    pub(super) fn answers(&mut self, number: Number, now: Moment, out: &mut Vec<Signal>) {
        let Some(channel) = self.channels.get_mut(&number) else { return };
        if channel.confirmation != Confirmation::None {
            channel.confirmation = Confirmation::Awaited;
            return;
        }
        if std::mem::replace(&mut channel.answered, true) {
            return;
        }
        let (is_told, fetches) = (channel.is_told(), self.dials_slot(number));
        if let Some(channel) = self.channels.get_mut(&number) {
            channel.untold_answer = Some(now);
        }
        if is_told && fetches {
            self.wait(Waiting::Answer(number), now);
        } else {
            self.tell_answer(number, out);
        }
    }

    /// Tells the answer of a channel that was told, if that has waited.
    pub(super) fn tell_answer(&mut self, number: Number, out: &mut Vec<Signal>) {
        let leg = self.leg(number);
        let Some(channel) = self.channels.get_mut(&number).filter(|channel| channel.is_told()) else {
            return;
        };
        if let Some(moment) = channel.untold_answer.take() {
            out.push(self.signal(leg, SignalKind::Answered { to_tag: None }, moment));
        }
    }

    /// A callee who had to accept the call by a key has done so: the call is connected.
    pub(super) fn is_confirmed(&mut self, number: Number, now: Moment, out: &mut Vec<Signal>) {
        let Some(channel) = self.channels.get_mut(&number) else { return };
        if std::mem::replace(&mut channel.confirmation, Confirmation::None) != Confirmation::Awaited {
            return;
        }
        let called_by = channel.called_by;
        self.answers(number, now, out);
        for other in self.in_order() {
            let Some(channel) = self.channels.get(&other) else { continue };
            let loses = channel.called_by == called_by
                && channel.hung_up.is_some_and(|(told, _)| told.unanswered == Cause::AnsweredElsewhere);
            if loses {
                self.end(other, out);
            }
        }
    }

    /// Plumbing has lost against another target, and cancels whom it calls.
    fn loses_race(&mut self, plumbing: Number) {
        let ends = [Some(plumbing), self.other_end(plumbing)];
        let calls =
            |by: Option<Calling>| matches!(by, Some(Calling::Channel(by)) if ends.contains(&Some(by)));
        #[expect(
            clippy::disallowed_methods,
            clippy::iter_over_hash_type,
            reason = "each is judged by itself"
        )]
        for channel in self.channels.values_mut() {
            channel.lost_race |= calls(channel.called_by);
        }
    }

    /// Returns `true` if the call of a channel may be taken by anybody of a group, and nobody is known to have.
    fn may_be_picked_up(&self, channel: &Channel) -> bool {
        let Some(Calling::Channel(caller)) = channel.called_by else { return false };
        let is_taken = self.channels.get(&caller).is_some_and(|caller| caller.taken_from.is_some());
        #[expect(clippy::disallowed_methods, reason = "it is the same in any order")]
        let mut others = self.channels.values();
        is_taken
            || others.any(|other| {
                other.called_by == channel.called_by
                    && other.hung_up.is_none()
                    && other.name.starts_with("pickup/")
            })
    }

    /// Returns `true` if somebody who was called with a channel has picked up, and not accepted the call yet.
    fn is_beside_awaited(&self, channel: &Channel) -> bool {
        #[expect(clippy::disallowed_methods, reason = "it is the same in any order")]
        let mut others = self.channels.values();
        others.any(|other| {
            other.confirmation == Confirmation::Awaited
                && other.hung_up.is_none()
                && other.called_by == channel.called_by
        })
    }

    /// Notes which channel of a call leaves first.
    fn begins_to_leave(&mut self, number: Number) {
        if let Some(channel) = self.channels.get_mut(&number)
            && channel.left.is_none()
        {
            channel.left = Some(self.leavings);
            self.leavings += 1;
        }
    }

    pub(super) fn hung_up(
        &mut self,
        number: Number,
        event: &Event<'_>,
        complete: bool,
        now: Moment,
        out: &mut Vec<Signal>,
    ) {
        self.begins_to_leave(number);
        self.ensure_told(number, out);
        self.tell_answer(number, out);
        if complete {
            self.learns_name(number, event);
        }
        let mut told = HangupCause::read(event, complete);
        if told.unanswered != Cause::Redirected {
            self.goes_elsewhere(number, event, now, out);
        }
        let Some(channel) = self.channels.get_mut(&number) else { return };
        if channel.confirmation == Confirmation::Awaited && told.by_phone {
            told.unanswered = Cause::NoAnswer; // it was picked up, and the call not accepted
        }
        if channel.lost_race && told.unanswered == Cause::Cancelled {
            told.unanswered = Cause::AnsweredElsewhere; // its originator is a loopback that was one of several
        }
        let moment = match channel.hung_up {
            Some((HangupCause { complete: true, .. }, _)) => return,
            Some((_, moment)) => moment,
            None => now,
        };
        let first = channel.hung_up.is_none();
        channel.hung_up = Some((told, moment));
        if channel.is_plumbing {
            if told.unanswered == Cause::AnsweredElsewhere {
                self.loses_race(number);
            }
            let Some(channel) = self.channels.get(&number) else { return };
            let (peer, group) = (channel.peer, channel.name.strip_prefix("pickup/").map(Box::from));
            if event.get(Key::HangupCause) == "PICKED_OFF"
                && let Some(Calling::Channel(caller)) = self.behind(number)
                && let Some(caller) = self.channels.get_mut(&caller)
            {
                caller.taken_from = group;
                self.group_was_picked_up(now, out);
            }
            if complete {
                self.forget(number);
            }
            self.peer_ends(peer, out);
            return;
        }
        if !channel.is_told() {
            self.forget(number);
            return;
        }
        self.asked_to_move(number, event, now, out);
        if self.is_explained(number) && self.held_until(number).is_none_or(|until| until <= now.at) {
            self.end_with_peer(number, out);
        } else if first {
            self.wait(Waiting::End(number), now);
        }
        self.peer_ends(self.channels.get(&number).and_then(|channel| channel.peer), out);
    }

    /// Settles what has waited for the end of its peer, if that is clear now.
    fn peer_ends(&mut self, peer: Option<Number>, out: &mut Vec<Signal>) {
        if let Some(peer) = peer
            && self.channels.get(&peer).is_some_and(|peer| peer.hung_up.is_some())
            && self.is_explained(peer)
        {
            self.end_with_peer(peer, out);
        }
    }

    /// Returns `true` if nothing that may still come would say more about the end of a channel.
    fn is_explained(&self, number: Number) -> bool {
        let Some(channel) = self.channels.get(&number) else { return true };
        let Some((told, _)) = channel.hung_up else { return false };
        if !told.complete {
            if channel.moved && !channel.answered {
                return true; // its call was picked up
            }
            // Who has talked with nobody but the switch has moved nothing.
            return channel.answered && channel.peer.is_none() && channel.transfers.is_none();
        }
        if told.is_lost() || channel.moved || !channel.answered {
            return true;
        }
        if channel.joins.is_some() {
            return false; // the other side of a transfer tells where its call has gone
        }
        // Who talked with somebody may have moved the call; if both have gone, nobody was moved.
        match channel.peer.map(|peer| self.channels.get(&peer)) {
            Some(Some(peer)) => peer.hung_up.is_some_and(|(told, _)| told.complete || peer.is_plumbing),
            Some(None) | None => true,
        }
    }

    /// Until when the end of a channel waits for what comes of its call elsewhere.
    pub(super) fn held_until(&self, number: Number) -> Option<Timestamp> {
        let channel = self.channels.get(&number)?;
        let (told, moment) = channel.hung_up?;
        if channel.joins.is_some() && !channel.moved {
            return Some(moment.at + JOIN_WAIT);
        }
        if channel.answered {
            let peer = self.channels.get(&channel.peer?).filter(|peer| peer.hung_up.is_none())?;
            if peer.peer != Some(number) || told.is_lost() {
                return None;
            }
            // Where it has sent its peer shows when the dialplan goes on: it may be to a slot.
            let moves = channel.transfers.as_ref().map(|_| moment.at + SLOT_WAIT);
            return moves.max(peer.to_be_parked.map(|since| since.at + SLOT_WAIT));
        }
        if told.unanswered == Cause::AnsweredElsewhere && !channel.moved {
            // Who accepts the call in its place, or has picked it up, is known when they are connected.
            let by_group = self.may_be_picked_up(channel);
            let waits = by_group || self.is_beside_awaited(channel);
            return waits.then_some(moment.at + EXPLANATION_WAIT);
        }
        // Nobody took the call, and the switch has answered the caller: a mailbox may follow.
        let fails =
            matches!(told.unanswered, Cause::NoAnswer | Cause::Busy | Cause::Rejected | Cause::Failed);
        let Some(Calling::Channel(caller)) = channel.called_by.filter(|_| fails) else { return None };
        let caller = self.channels.get(&self.real(caller)?).filter(|caller| caller.is_live())?;
        let idle = caller.service.is_none() && caller.queue.is_none();
        if !idle {
            return None;
        }
        let wait = if caller.answered { FALLBACK_WAIT } else { EXPLANATION_WAIT };
        let pauses = caller.pauses_until.filter(|_| caller.answered).map(|until| until + FALLBACK_WAIT);
        Some(pauses.map_or(moment.at + wait, |until| until.max(moment.at + wait)))
    }

    /// The dialplan pauses: `sleep 1000`, in milliseconds.
    pub(super) fn pauses(&mut self, number: Number, milliseconds: &str, now: Moment) {
        let pause = milliseconds.trim().parse().map_or(Duration::ZERO, Duration::from_millis);
        if let Some(channel) = self.channels.get_mut(&number) {
            channel.pauses_until = Some(now.at + pause.min(PAUSE_MAX));
        }
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
        // Who it called and did not take the call ends before it.
        if channel.calls || channel.answered {
            let mut failed: Vec<Number> = Vec::new();
            #[expect(clippy::iter_over_hash_type, reason = "they are sorted")]
            for (&other, target) in &self.channels {
                let is_own = target.called_by == Some(Calling::Channel(number));
                if (is_own || target.offered_for == Some(number))
                    && target.hung_up.is_some_and(|(told, _)| told.complete)
                    && !target.answered
                {
                    failed.push(other);
                }
            }
            failed.sort_unstable();
            for target in failed {
                self.end(target, out);
            }
        }
        let Some(channel) = self.channels.get_mut(&number) else { return };
        let transfers = channel.transfers.take().filter(|_| channel.is_told() && !channel.moved);
        let (service, queue, is_told) = (channel.service.take(), channel.queue.take(), channel.is_told());
        let (peer, standby, joins) = (channel.peer, channel.standby.take(), channel.joins);
        let called_by = channel.called_by.filter(|_| !channel.calls && !channel.answered);
        let offered_for = channel.offered_for;
        let refused = channel.refused.filter(|_| channel.calls && told.unanswered == Cause::Withdrawn);
        let cause = match (channel.leg, channel.answered) {
            (_, true) if told.is_lost() => Cause::Lost,
            (_, true) if self.was_sent_by_command(number) => Cause::Named(Reason::RccTransfer),
            (_, true) => Cause::HungUp,
            // Of a group of `:_:` the caller's channel says that it failed, and not why.
            _ => refused.filter(|_| !told.by_phone).unwrap_or(told.unanswered),
        };
        if let Some(Calling::Channel(caller)) = called_by
            && says_why(cause)
            && let Some(caller) = self.real(caller).or(offered_for)
            && let Some(caller) = self.channels.get_mut(&caller)
        {
            caller.refused = Some(cause);
        }
        if let Some(to) = transfers {
            self.ask_to_move(number, to, false, moment, out);
        }
        if is_told {
            out.push(self.signal(self.leg(number), SignalKind::Ended(cause), moment));
        }
        if let Some(service) = service {
            out.push(self.signal(service.leg, SignalKind::Ended(Cause::HungUp), moment));
        }
        if let Some(queue) = queue {
            let reason = match (queue.connected, joins) {
                (true, _) => Reason::AgentAnswered,
                (_, Some(_)) => Reason::AttendedTransfer,
                _ => Reason::Cancelled,
            };
            out.push(self.signal(queue.leg, SignalKind::Ended(Cause::Named(reason)), moment));
        }
        if let Some(standby) = standby {
            out.push(self.signal(standby.leg, SignalKind::Ended(Cause::HungUp), moment));
        }
        if let Some(peer) = peer {
            self.leaves_member(peer, number, moment, out);
        }
        let moved = self.channels.get(&number).is_some_and(|channel| channel.moved);
        if let Some(peer) = self.channels.get(&number).and_then(|channel| channel.peer)
            && let Some(peer) = self.channels.get_mut(&peer)
            && peer.peer == Some(number)
            && moved
        {
            peer.peer = None; // where it is sent now is no doing of a peer's
        }
        self.forget(number);
    }

    /// A channel that is destroyed has ended, even if that was not said.
    pub(super) fn destroyed(&mut self, number: Number, out: &mut Vec<Signal>) {
        let Some(channel) = self.channels.get_mut(&number) else { return };
        if channel.is_plumbing || !channel.is_told() {
            self.forget(number);
        } else if let Some((told, _)) = &mut channel.hung_up {
            told.complete = true;
            if self.is_explained(number) && self.held_until(number).is_none() {
                self.end_with_peer(number, out);
            }
        }
    }

    /// Ends what the switch did on a channel itself; the call goes on from it.
    pub(super) fn leave_service(&mut self, number: Number, now: Moment, out: &mut Vec<Signal>) {
        let Some(channel) = self.channels.get_mut(&number) else { return };
        let Some(service) = channel.service.take() else { return };
        let cause = match service.kind {
            ServiceKind::Menu => Cause::Named(Reason::CallerInputRedirect),
            ServiceKind::Mailbox | ServiceKind::Fax => Cause::HungUp,
        };
        out.push(self.signal(service.leg, SignalKind::Ended(cause), now));
    }

    /// The switch goes down, and all calls with it.
    pub(super) fn end_all(&mut self, cause: Cause, now: Moment, out: &mut Vec<Signal>) -> bool {
        for number in self.in_order() {
            self.ends_by(number, cause, now, out);
        }
        true
    }

    /// A channel ends with all that it had, by a cause that is not its own.
    pub(super) fn ends_by(&mut self, number: Number, cause: Cause, now: Moment, out: &mut Vec<Signal>) {
        let told = HangupCause { unanswered: cause, by_phone: false, complete: true };
        let Some(channel) = self.channels.get_mut(&number) else { return };
        channel.hung_up.get_or_insert((told, now));
        self.end(number, out);
        self.forget_waiting_of(number);
        self.forget(number); // and the place in which it was parked
    }
}
