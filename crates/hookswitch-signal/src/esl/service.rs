//! Services of the switch on a channel: queues, mailboxes, menus, fax, conferences, supervision,
//! recordings.

use std::sync::Arc;

use hookswitch_model::{
    Cause, Direction, FarEnd, LegCreated, LegId, Mailbox, Reason, RecordingId, Service as Called, Signal,
    SignalKind,
};

use super::action;
use super::channel::{Calling, Channel, Leg, Moment, Number, Queue, Service, ServiceKind, Standby};
use super::message::{Event, Key};
use super::tracker::EslTracker;
use crate::switch::{ID_BYTES_MAX, created, is_short, text};

/// The most recordings of a channel at once.
const RECORDINGS_MAX: usize = 16;

impl EslTracker {
    /// The dialplan executes an application on a channel.
    pub(super) fn executes(&mut self, number: Number, event: &Event<'_>, now: Moment, out: &mut Vec<Signal>) {
        let data = event.get(Key::ApplicationData);
        let application = event.get(Key::Application);
        // The application runs at the far end of a loopback; who has called into it is meant.
        let Some(real) = self.real(number) else { return };
        match application {
            "intercept" => self.intercepts(real, data, now, out),
            "pickup" => self.picks_up(real, data, now, out),
            "eavesdrop" | "three_way" => self.supervises(real, data, now, out),
            "userspy" => self.supervises_user(real, data, now, out),
            "record_session_mask" => self.masks(real, data, true, now, out),
            "record_session_unmask" => self.masks(real, data, false, now, out),
            "transfer" => self.transfers(real, data, now, out),
            "att_xfer" => self.consults(real, data),
            "valet_park" => self.goes_to_park(real, now),
            "sleep" => self.pauses(real, data, now),
            "voicemail" => self.goes_to_mailbox(real, data, now, out),
            "lua" => self.runs_script(real, event, now, out),
            "rxfax" => self.receives_fax(real, now, out),
            "ivr" => self.offers_menu(real, now, out),
            "play_and_get_digits" | "read" => self.asks_for_digits(real, now, out),
            "bridge" => {
                if data.contains(":_:")
                    && data.len() <= 16 * ID_BYTES_MAX
                    && let Some(channel) = self.channels.get_mut(&real)
                {
                    channel.enterprise = Some(data.into());
                }
            }
            _ => {}
        }
    }

    /// Tells of something of the switch's own as of somebody who is called from a channel.
    fn call_service(
        &mut self,
        number: Number,
        kind: ServiceKind,
        how: LegCreated,
        now: Moment,
        out: &mut Vec<Signal>,
    ) -> LegId {
        self.goes_on(number, now, out);
        let of = self.leg(number);
        let leg = self.next_leg();
        if let Some(channel) = self.channels.get_mut(&number) {
            channel.service = Some(Service { kind, leg });
        }
        let created = LegCreated { of: Some(of), ..how };
        out.push(self.signal(leg, SignalKind::Created(Box::new(created)), now));
        leg
    }

    /// The number under which a service was called: the last one within the switch.
    fn service_number(&self, number: Number) -> Arc<str> {
        let channel = &self.channels[&number];
        if is_short(&channel.dialled) { channel.dialled.clone() } else { channel.first_dialled.clone() }
    }

    fn is_told(&mut self, number: Number, out: &mut Vec<Signal>) -> bool {
        self.ensure_told(number, out);
        self.channels.get(&number).is_some_and(Channel::is_live)
    }

    fn has_service(&self, number: Number, kind: ServiceKind) -> bool {
        let service = self.channels.get(&number).and_then(|channel| channel.service);
        service.is_some_and(|service| service.kind == kind)
    }

    /// The caller is sent to a mailbox: `default pbx.example.com 1002`; with `check` before, its owner listens.
    fn goes_to_mailbox(&mut self, number: Number, data: &str, now: Moment, out: &mut Vec<Signal>) {
        let words: Vec<&str> = data.split_ascii_whitespace().take(5).collect();
        let [profile, domain, .., owner] = words[..] else { return };
        if words.len() < 3 || matches!(profile, "check" | "auth") || words.contains(&"check") {
            return;
        }
        self.mailbox_takes(number, owner, domain, now, out);
    }

    /// A script is run. That of FusionPBX for its mailboxes says in variables what it does and for whom, as in
    /// `script-mailbox`; when its owner listens (`check`), nobody is called.
    fn runs_script(&mut self, number: Number, event: &Event<'_>, now: Moment, out: &mut Vec<Signal>) {
        let mut words = event.get(Key::ApplicationData).split_ascii_whitespace();
        let is_mailbox = words.next() == Some("app.lua") && words.next() == Some("voicemail");
        if is_mailbox && matches!(event.get(Key::VoicemailAction), "save" | "leave") {
            self.mailbox_takes(number, event.get(Key::VoicemailId), event.get(Key::DomainName), now, out);
        }
    }

    /// The mailbox of a user takes the call.
    fn mailbox_takes(
        &mut self,
        number: Number,
        owner: &str,
        domain: &str,
        now: Moment,
        out: &mut Vec<Signal>,
    ) {
        self.belongs_to(number, domain, out);
        if !self.is_told(number, out) || self.has_service(number, ServiceKind::Mailbox) {
            return;
        }
        let Some(of) = text(owner.as_bytes()) else { return };
        // Whom the mailbox belongs to is the party that did not take the call.
        self.end_failed_targets_of(number, Some(now), out);
        let mailbox = LegCreated {
            callee: of.clone(),
            endpoint_domain: text(domain.as_bytes()),
            mailbox: Some(Mailbox { of, cause: None }),
            ..created(Direction::Inbound)
        };
        let leg = self.call_service(number, ServiceKind::Mailbox, mailbox, now, out);
        out.push(self.signal(leg, SignalKind::Answered { to_tag: None }, now));
    }

    pub(super) fn receives_fax(&mut self, number: Number, now: Moment, out: &mut Vec<Signal>) {
        if !self.is_told(number, out) || self.has_service(number, ServiceKind::Fax) {
            return;
        }
        let fax = LegCreated {
            callee: self.service_number(number),
            service: Some(Called::Fax),
            ..created(Direction::Inbound)
        };
        let leg = self.call_service(number, ServiceKind::Fax, fax, now, out);
        out.push(self.signal(leg, SignalKind::FaxStarted, now));
    }

    /// The caller may dial: a menu.
    pub(super) fn offers_menu(&mut self, number: Number, now: Moment, out: &mut Vec<Signal>) {
        if !self.is_told(number, out) || self.channels[&number].service.is_some() {
            return;
        }
        let menu = LegCreated {
            callee: self.service_number(number),
            service: Some(Called::Menu),
            ..created(Direction::Inbound)
        };
        let leg = self.call_service(number, ServiceKind::Menu, menu, now, out);
        out.push(self.signal(leg, SignalKind::Answered { to_tag: None }, now));
    }

    /// The caller is to key digits: a menu if the directory says so, else what asks for a code.
    fn asks_for_digits(&mut self, number: Number, now: Moment, out: &mut Vec<Signal>) {
        let calls = |channel: &Channel| channel.calls && channel.answered && channel.service.is_none();
        if !self.channels.get(&number).is_some_and(calls) || !self.is_told(number, out) {
            return;
        }
        let callee = self.service_number(number);
        let menu = LegCreated { callee, far_end: FarEnd::Switch, ..created(Direction::Inbound) };
        let leg = self.call_service(number, ServiceKind::Menu, menu, now, out);
        out.push(self.signal(leg, SignalKind::Answered { to_tag: None }, now));
    }

    /// A caller waits in a queue; `found` says that this has gone on for some time.
    pub(super) fn enters_queue(
        &mut self,
        number: Number,
        name: &str,
        found: bool,
        now: Moment,
        out: &mut Vec<Signal>,
    ) {
        let domain = name.split_once('@').map_or("", |(_, domain)| domain);
        self.belongs_to(number, if domain.contains('.') { domain } else { "" }, out);
        if !self.is_told(number, out) || self.channels[&number].queue.is_some() {
            return;
        }
        self.goes_on(number, now, out);
        let (of, leg) = (self.leg(number), self.next_leg());
        // A queue that has no number within the switch is known by its name.
        let dialled = self.service_number(number);
        let name = text(name.split('@').next().unwrap_or_default().as_bytes());
        let callee = if is_short(&dialled) { dialled } else { name.clone().unwrap_or(dialled) };
        let queue = LegCreated {
            of: Some(of),
            callee,
            callee_name: name,
            service: Some(Called::Queue),
            found_running: found,
            ..created(Direction::Inbound)
        };
        if let Some(channel) = self.channels.get_mut(&number) {
            channel.queue = Some(Queue { leg, connected: false });
        }
        out.push(self.signal(leg, SignalKind::Created(Box::new(queue)), now));
        out.push(self.signal(leg, SignalKind::Answered { to_tag: None }, now));
    }

    fn is_connected(&mut self, number: Number) {
        if let Some(queue) = self.channels.get_mut(&number).and_then(|channel| channel.queue.as_mut()) {
            queue.connected = true;
        }
    }

    fn leaves_queue(&mut self, number: Number, reason: Reason, now: Moment, out: &mut Vec<Signal>) {
        let Some(queue) = self.channels.get_mut(&number).and_then(|channel| channel.queue.take()) else {
            return;
        };
        // Where an agent has answered, the queue has left already.
        out.push(self.signal(queue.leg, SignalKind::Ended(Cause::Named(reason)), now));
    }

    pub(super) fn call_center(&mut self, event: &Event<'_>, now: Moment, out: &mut Vec<Signal>) -> bool {
        let member = event.get(Key::CcMember);
        if member.is_empty() {
            return true; // it is about an agent
        }
        let Some(number) = self.number(member) else { return false };
        match event.get(Key::CcAction) {
            "member-queue-start" => self.enters_queue(number, event.get(Key::CcQueue), false, now, out),
            "bridge-agent-start" => {
                self.is_connected(number);
                if let Some(agent) = self.number(event.get(Key::CcAgentUuid)) {
                    self.takes_member(agent, number, now, out);
                }
            }
            "bridge-agent-end" => {
                if let Some(agent) = self.number(event.get(Key::CcAgentUuid))
                    && self.channels[&agent].standby.is_some_and(|standby| standby.member == number)
                {
                    // A caller who has hung up has left before the agent.
                    self.end(number, out);
                    self.leaves_member(agent, number, now, out);
                }
            }
            "member-queue-end" => {
                let gone = self.channels[&number].hung_up.is_some();
                let joins = self.channels[&number].joins.is_some();
                let reason = match (event.get(Key::CcCause), event.get(Key::CcCancelReason)) {
                    ("Terminated", _) => Reason::AgentAnswered,
                    // Who asked for this call has left it to another, who waits in its place.
                    _ if joins => Reason::AttendedTransfer,
                    (_, "TIMEOUT" | "NO_AGENT_TIMEOUT") if !gone => Reason::Timeout,
                    _ => Reason::Cancelled,
                };
                self.leaves_queue(number, reason, now, out);
            }
            _ => {}
        }
        true
    }

    /// An agent who waits on the line, and is not called, takes the call of a queue.
    fn takes_member(&mut self, agent: Number, member: Number, now: Moment, out: &mut Vec<Signal>) {
        let Some(channel) = self.channels.get(&agent) else { return };
        let is_called =
            matches!(channel.called_by, Some(Calling::Channel(by)) if self.real(by) == Some(member));
        if is_called || agent == member || channel.standby.is_some() || !self.is_told(agent, out) {
            return;
        }
        let (of, leg, channel) = (self.leg(member), self.next_leg(), &self.channels[&agent]);
        let own = channel.caller.number.clone().filter(|_| channel.calls);
        let user = channel.endpoint.clone().filter(|_| channel.is_users);
        let created = LegCreated {
            of: Some(of),
            callee: user.or(own).unwrap_or_else(|| Arc::from("")),
            endpoint: channel.endpoint.clone().or_else(|| Some(Arc::from(""))),
            endpoint_domain: channel.domain.clone(),
            from_queue: true,
            ..created(Direction::Inbound)
        };
        if let Some(channel) = self.channels.get_mut(&agent) {
            channel.standby = Some(Standby { leg, member });
        }
        out.push(self.signal(leg, SignalKind::Created(Box::new(created)), now));
        out.push(self.signal(leg, SignalKind::Answered { to_tag: None }, now));
    }

    /// An agent who waits on the line is done with the call of a queue.
    pub(super) fn leaves_member(
        &mut self,
        agent: Number,
        member: Number,
        now: Moment,
        out: &mut Vec<Signal>,
    ) {
        let Some(channel) = self.channels.get_mut(&agent) else { return };
        if let Some(standby) = channel.standby.take_if(|standby| standby.member == member) {
            out.push(self.signal(standby.leg, SignalKind::Ended(Cause::HungUp), now));
        }
    }

    pub(super) fn fifo(&mut self, number: Number, event: &Event<'_>, now: Moment, out: &mut Vec<Signal>) {
        match event.get(Key::FifoAction) {
            "push" => self.enters_queue(number, event.get(Key::FifoName), false, now, out),
            "bridge-caller-start" | "caller_pop" => {
                self.is_connected(number);
                self.leaves_queue(number, Reason::AgentAnswered, now, out);
            }
            "abort" => self.leaves_queue(number, Reason::Cancelled, now, out),
            "timeout" => self.leaves_queue(number, Reason::Timeout, now, out),
            _ => {}
        }
    }

    pub(super) fn conference(
        &mut self,
        number: Number,
        event: &Event<'_>,
        now: Moment,
        out: &mut Vec<Signal>,
    ) {
        match event.get(Key::Action) {
            "add-member" => {
                if let Some(room) = text(event.get(Key::ConferenceName).as_bytes()) {
                    let owns = event.get(Key::MemberType) == "moderator";
                    self.enters_room(number, room, owns, now, out);
                    self.is_muted(number, event.get(Key::Speak) == "false", now, out);
                }
            }
            "del-member" => {
                if let Some(channel) = self.channels.get_mut(&number) {
                    channel.in_room = false;
                }
            }
            "mute-member" => self.is_muted(number, true, now, out),
            "unmute-member" => self.is_muted(number, false, now, out),
            _ => {}
        }
    }

    pub(super) fn enters_room(
        &mut self,
        number: Number,
        room: Arc<str>,
        owns: bool,
        now: Moment,
        out: &mut Vec<Signal>,
    ) {
        self.is_confirmed(number, now, out);
        self.goes_on(number, now, out);
        let Some(channel) = self.channels.get_mut(&number) else { return };
        if !std::mem::replace(&mut channel.in_room, true) {
            self.told(number, SignalKind::Focus { room, owns }, now, out);
        }
    }

    pub(super) fn is_muted(&mut self, number: Number, muted: bool, now: Moment, out: &mut Vec<Signal>) {
        let Some(channel) = self.channels.get_mut(&number) else { return };
        if std::mem::replace(&mut channel.muted, muted) != muted {
            self.told(number, SignalKind::Muted(muted), now, out);
        }
    }

    fn supervises(&mut self, number: Number, data: &str, now: Moment, out: &mut Vec<Signal>) {
        let Some(whom) = data.split_ascii_whitespace().find_map(|word| self.number(word)) else { return };
        self.supervises_channel(number, whom, now, out);
    }

    /// The holder of a channel supervises whatever a user does: `1001@pbx.example.com`.
    fn supervises_user(&mut self, number: Number, data: &str, now: Moment, out: &mut Vec<Signal>) {
        let data = data.split_ascii_whitespace().next().unwrap_or_default();
        let (user, domain) = data.split_once('@').unwrap_or((data, ""));
        let is_users = |whom: &Number| {
            let channel = &self.channels[whom];
            channel.is_users
                && channel.answered
                && channel.is_live()
                && channel.endpoint.as_deref() == Some(user)
                && (domain.is_empty() || channel.domain.as_deref().is_none_or(|own| own == domain))
        };
        if let Some(whom) = self.in_order().into_iter().rfind(is_users) {
            self.supervises_channel(number, whom, now, out);
        }
    }

    fn supervises_channel(&mut self, number: Number, whom: Number, now: Moment, out: &mut Vec<Signal>) {
        let Some(whom) = self.real(whom).filter(|&whom| whom != number) else { return };
        if self.has_service(whom, ServiceKind::Mailbox) {
            let leg = self.channels[&whom].service.map(|service| service.leg);
            out.extend(leg.map(|leg| self.signal(leg, SignalKind::Screened, now)));
        } else if self.is_told(whom, out) {
            let whom = self.leg(whom);
            self.told(number, SignalKind::Supervises { whom }, now, out);
        }
    }

    /// Media of a channel is read or changed: its holder is muted.
    pub(super) fn listens(&mut self, number: Number, event: &Event<'_>, now: Moment, out: &mut Vec<Signal>) {
        let mutes = event.get(Key::MediaBugFunction) == "audio" && event.get(Key::MediaBugTarget) == "mute";
        if mutes {
            let starts = event.kind == super::message::Kind::MediaBugStart;
            self.is_muted(number, starts, now, out);
        }
    }

    /// Takes what the event socket was asked for, or has taken, where no event tells of it; false if it is no action.
    pub(super) fn is_acted_on(&mut self, command: &str, now: Moment, out: &mut Vec<Signal>) -> bool {
        let words: Vec<&str> = command.split(' ').collect();
        let number = |uuid: &str| self.number(uuid);
        match words[..] {
            [action::FORWARDS, own, to] => {
                if let Some(own) = number(own) {
                    self.ask_to_move(own, Arc::from(to), false, now, out);
                }
            }
            [action::PARKS, own, peer] => {
                if let Some((own, peer)) = number(own).zip(number(peer)) {
                    self.is_to_be_parked(own, peer, now);
                }
            }
            [action::JOINS, own, other] => {
                if let Some((first, second)) = number(own).zip(number(other)) {
                    self.are_joined(first, second, Arc::from(""), now, out);
                }
            }
            [step @ (action::MUTES | action::UNMUTES), own] => {
                if let Some(own) = number(own) {
                    self.is_muted(own, step == action::MUTES, now, out);
                }
            }
            [step @ (action::MASKS | action::UNMASKS), own, path] => {
                if let Some(own) = number(own) {
                    self.masks(own, path, step == action::MASKS, now, out);
                }
            }
            _ => return false,
        }
        true
    }

    /// Masks what is said, which is kept out of a recording for a while.
    fn masks(&mut self, number: Number, path: &str, masks: bool, now: Moment, out: &mut Vec<Signal>) {
        let key = digest(path);
        let recordings = self.channels.get(&number).map(|channel| &*channel.recordings).unwrap_or_default();
        if let Some(&(_, id)) = recordings.iter().find(|(of, _)| *of == key) {
            self.told(number, SignalKind::Recording { id, active: !masks }, now, out);
        }
    }

    pub(super) fn recording(
        &mut self,
        number: Number,
        path: &str,
        starts: bool,
        now: Moment,
        out: &mut Vec<Signal>,
    ) {
        let Some(number) = self.real(number) else { return };
        // What is recorded in a mailbox is the message.
        if self.has_service(number, ServiceKind::Mailbox) || self.has_service(number, ServiceKind::Fax) {
            return;
        }
        self.ensure_told(number, out);
        let Some(channel) = self.channels.get_mut(&number) else { return };
        let key = digest(path);
        let known = channel.recordings.iter().position(|(of, _)| *of == key);
        let id = match (known, starts) {
            (None, true) if channel.recordings.len() < RECORDINGS_MAX => {
                let count = u64::from(channel.recordings_begun);
                channel.recordings_begun += 1;
                let of = digest(&channel.uuid).rotate_left(7) ^ key ^ count;
                let id = RecordingId::new((of & (u64::MAX >> 11)).max(1));
                channel.recordings.push((key, id));
                id
            }
            (Some(place), false) => channel.recordings.remove(place).1,
            _ => return,
        };
        if channel.leg != Leg::Ended {
            self.told(number, SignalKind::Recording { id, active: starts }, now, out);
        }
    }
}

/// A number that stands for a text (FNV-1a).
fn digest(text: &str) -> u64 {
    let mix = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    text.bytes().fold(0xcbf2_9ce4_8422_2325, mix)
}
