//! Services of the switch on a channel: queues, mailboxes, menus, fax, conferences, supervision,
//! recordings.

use std::sync::Arc;

use hookswitch_model::{
    Cause, Direction, FarEnd, LegCreated, Mailbox, Reason, RecordingId, Service as Called, Signal, SignalKind,
};

use super::call::created;
use super::channel::{Asks, Calling, Channel, Leg, Moment, Number, Queue, Service, ServiceKind};
use super::message::{Event, Key};
use super::text;
use super::tracker::AmiTracker;

impl AmiTracker {
    /// The dialplan executes an application on a channel.
    pub(super) fn executes(&mut self, number: Number, event: &Event<'_>, now: Moment, out: &mut Vec<Signal>) {
        let application = event.get(Key::Application);
        // What stands for a called leg is no dialplan.
        if matches!(application, b"AppDial" | b"AppDial2" | b"AppQueue") {
            return;
        }
        let Some(channel) = self.channels.get_mut(&number) else { return };
        if let Some(exten) = text::text(event.get(Key::Exten)).filter(|exten| text::is_dialled(exten)) {
            channel.dialled = Some(exten);
        }
        let data = event.get(Key::AppData);
        channel.asks = asks(application, data);
        if channel.endpoint().is_none() {
            if application == b"VoiceMail" {
                self.goes_to_mailbox(number, data, now, out);
            }
            self.end_rivals(Calling::Channel(number), out);
            return;
        }
        self.ensure_told(number, out);
        match application {
            b"VoiceMail" => self.goes_to_mailbox(number, data, now, out),
            b"ReceiveFAX" | b"RxFAX" => self.receives_fax(number, now, out),
            b"ParkedCall" => self.wants_parked(number, data, now, out),
            b"BackGround" | b"Background" => {
                if let Some(channel) = self.channels.get_mut(&number) {
                    channel.plays.get_or_insert(now);
                }
            }
            b"WaitExten" => self.offers_menu(number, now, out),
            b"Read" => self.asks_for_digits(number, now, out),
            _ => {
                let kind = self.channels.get(&number).and_then(|channel| channel.service);
                // Menus go on through many applications, until somebody is called.
                if kind.is_some_and(|service| service.kind != ServiceKind::Menu) {
                    self.leave_service(number, now, out);
                }
            }
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
    ) -> hookswitch_model::LegId {
        self.leave_service(number, now, out);
        let of = self.leg(self.in_front(number).unwrap_or(number));
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
        let last = channel.dialled.as_ref().filter(|dialled| text::is_short(dialled));
        last.unwrap_or(&channel.first_dialled).clone()
    }

    fn is_told(&self, number: Number) -> bool {
        self.channels.get(&number).is_some_and(Channel::is_told)
    }

    fn has_service(&self, number: Number, kind: ServiceKind) -> bool {
        let service = self.channels.get(&number).and_then(|channel| channel.service);
        service.is_some_and(|service| service.kind == kind)
    }

    /// The caller is sent to a mailbox: `AppData` is `102@default,us`, or several with `&` between.
    fn goes_to_mailbox(&mut self, number: Number, data: &[u8], now: Moment, out: &mut Vec<Signal>) {
        let data = text::lossy(data);
        let mailbox = data.split([',', '&', '@']).next().unwrap_or_default();
        let of = text::text(mailbox.as_bytes());
        let caller = self.in_front(number);
        let is_told = caller.is_some_and(|caller| self.is_told(caller));
        let Some(of) = of.filter(|_| is_told && !self.has_service(number, ServiceKind::Mailbox)) else {
            return;
        };
        let mailbox = LegCreated {
            callee: of.clone(),
            mailbox: Some(Mailbox { of, cause: None }),
            ..created(Direction::Inbound)
        };
        let leg = self.call_service(number, ServiceKind::Mailbox, mailbox, now, out);
        out.push(self.signal(leg, SignalKind::Answered { to_tag: None }, now));
    }

    /// A message was left in a mailbox, in `<folder>/<context>/<mailbox>/INBOX/msg0000`. After a transfer that is all
    /// that shows the mailbox, if it comes first in the dialplan: the application that is shown is the one before.
    pub(super) fn message_was_left(
        &mut self,
        number: Number,
        file: &[u8],
        now: Moment,
        out: &mut Vec<Signal>,
    ) {
        let mailbox = file.rsplit(|&byte| byte == b'/').nth(2).unwrap_or_default();
        self.goes_to_mailbox(number, mailbox, now, out);
    }

    fn receives_fax(&mut self, number: Number, now: Moment, out: &mut Vec<Signal>) {
        if !self.is_told(number) || self.has_service(number, ServiceKind::Fax) {
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

    pub(super) fn fax_goes_on(
        &mut self,
        number: Number,
        event: &Event<'_>,
        now: Moment,
        out: &mut Vec<Signal>,
    ) {
        self.ensure_told(number, out);
        if event.get(Key::Operation) == b"receive" {
            self.receives_fax(number, now, out);
        }
    }

    /// The caller may dial: a menu.
    fn offers_menu(&mut self, number: Number, now: Moment, out: &mut Vec<Signal>) {
        let Some(channel) = self.channels.get(&number) else { return };
        if channel.service.is_some() || channel.leg != Leg::Calling {
            return;
        }
        let since = channel.plays.unwrap_or(now);
        let menu = LegCreated {
            callee: self.service_number(number),
            service: Some(Called::Menu),
            ..created(Direction::Inbound)
        };
        let leg = self.call_service(number, ServiceKind::Menu, menu, since, out);
        out.push(self.signal(leg, SignalKind::Answered { to_tag: None }, since));
    }

    /// The caller is to key digits: a menu if the directory says so, else what asks for a code.
    fn asks_for_digits(&mut self, number: Number, now: Moment, out: &mut Vec<Signal>) {
        let is_caller = |channel: &Channel| channel.leg == Leg::Calling && channel.service.is_none();
        if !self.channels.get(&number).is_some_and(is_caller) {
            return;
        }
        let callee = self.service_number(number);
        let menu = LegCreated { callee, far_end: FarEnd::Switch, ..created(Direction::Inbound) };
        let leg = self.call_service(number, ServiceKind::Menu, menu, now, out);
        out.push(self.signal(leg, SignalKind::Answered { to_tag: None }, now));
    }

    pub(super) fn dials_digit(&mut self, number: Number, now: Moment, out: &mut Vec<Signal>) {
        if let Some(channel) = self.channels.get_mut(&number) {
            channel.digit = Some(now.at);
        }
        if self.channels.get(&number).is_some_and(|channel| channel.plays.is_some()) {
            self.offers_menu(number, now, out);
        }
    }

    pub(super) fn queue_entered(
        &mut self,
        number: Number,
        event: &Event<'_>,
        now: Moment,
        out: &mut Vec<Signal>,
    ) {
        self.ensure_told(number, out);
        // Who was called first by the switch may wait behind the half of a pipe.
        let Some(caller) = self.in_front(number).filter(|&caller| self.is_told(caller)) else { return };
        if self.channels.get(&number).is_some_and(|channel| channel.queue.is_some()) {
            return;
        }
        self.leave_service(number, now, out);
        let (of, leg) = (self.leg(caller), self.next_leg());
        // A queue that has no number within the switch is known by its name.
        let dialled = self.service_number(number);
        let name = text::text(event.get(Key::Queue));
        let callee = if text::is_short(&dialled) { dialled } else { name.clone().unwrap_or(dialled) };
        let queue = LegCreated {
            of: Some(of),
            callee,
            callee_name: name,
            service: Some(Called::Queue),
            ..created(Direction::Inbound)
        };
        if let Some(channel) = self.channels.get_mut(&number) {
            channel.queue = Some(Queue { leg, connected: false });
        }
        out.push(self.signal(leg, SignalKind::Created(Box::new(queue)), now));
        out.push(self.signal(leg, SignalKind::Answered { to_tag: None }, now));
    }

    pub(super) fn agent_connected(&mut self, number: Number) {
        if let Some(queue) = self.channels.get_mut(&number).and_then(|channel| channel.queue.as_mut()) {
            queue.connected = true;
        }
    }

    pub(super) fn queue_left(&mut self, number: Number, now: Moment, out: &mut Vec<Signal>) {
        let Some(channel) = self.channels.get_mut(&number) else { return };
        let Some(queue) = channel.queue.take() else { return };
        let gives_up = channel.asked_to_hang_up || channel.hung_up.is_some();
        let reason = if gives_up { Reason::Cancelled } else { Reason::Timeout };
        // Where an agent has answered, the queue has left already.
        out.push(self.signal(queue.leg, SignalKind::Ended(Cause::Named(reason)), now));
    }

    pub(super) fn conference_entered(
        &mut self,
        number: Number,
        event: &Event<'_>,
        now: Moment,
        out: &mut Vec<Signal>,
    ) {
        self.accepts(number, now, out);
        self.pipe_accepts(number, now, out);
        self.leave_service(number, now, out);
        let number = self.in_front(number).unwrap_or(number);
        let Some(room) = text::text(event.get(Key::Conference)) else { return };
        let owns = event.says_yes(Key::Admin);
        self.told(number, SignalKind::Focus { room, owns }, now, out);
        if event.says_yes(Key::Muted) {
            self.told(number, SignalKind::Muted(true), now, out);
        }
    }

    pub(super) fn spies(&mut self, event: &Event<'_>, now: Moment, out: &mut Vec<Signal>) -> bool {
        let spyer = self.number(event.get(Key::SpyerUniqueid));
        let spyee = self.number(event.get(Key::SpyeeUniqueid));
        let Some((spyer, spyee)) = spyer.zip(spyee) else { return false };
        self.ensure_told(spyer, out);
        let mailbox = self.channels.get(&spyee).and_then(|channel| channel.service);
        if let Some(mailbox) = mailbox.filter(|service| service.kind == ServiceKind::Mailbox) {
            // The owner of a mailbox listens to the message as it is left.
            out.push(self.signal(mailbox.leg, SignalKind::Screened, now));
        } else if self.is_told(spyee) {
            let whom = self.leg(spyee);
            self.told(spyer, SignalKind::Supervises { whom }, now, out);
        }
        true
    }

    pub(super) fn recording(
        &mut self,
        number: Number,
        active: bool,
        begins: bool,
        now: Moment,
        out: &mut Vec<Signal>,
    ) {
        self.ensure_told(number, out);
        let whose = self.in_front(number).unwrap_or(number);
        let Some(channel) = self.channels.get_mut(&number) else { return };
        let (id, whose) = match channel.recording {
            Some(recording) => recording,
            None if !begins => return,
            None => {
                let id = recording_id(&channel.uniqueid, channel.recordings);
                channel.recordings += 1;
                // Who is in front of the half of a pipe may change; who is recorded does not.
                *channel.recording.insert((id, whose))
            }
        };
        self.told(whose, SignalKind::Recording { id, active }, now, out);
    }

    pub(super) fn recording_ends(&mut self, number: Number, now: Moment, out: &mut Vec<Signal>) {
        self.recording(number, false, false, now, out);
        if let Some(channel) = self.channels.get_mut(&number) {
            channel.recording = None;
        }
    }
}

/// Returns `true` if an application asks those for whom it calls to accept the call. Options of `Dial` are the third argument,
/// and what they take stands in parentheses: `PJSIP/102,20,tTU(accept^s^1)`.
fn asks(application: &[u8], data: &[u8]) -> Asks {
    if application == b"FollowMe" {
        return Asks::AfterDial;
    }
    let options = data.split(|&byte| byte == b',').nth(2).filter(|_| application == b"Dial");
    let mut depth = 0_u32;
    for &byte in options.unwrap_or_default() {
        match byte {
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            b'U' | b'M' | b'P' | b'p' if depth == 0 => return Asks::WithinDial,
            _ => {}
        }
    }
    Asks::No
}

/// The id of a recording: the digits of the channel's id, and which recording of it this is.
fn recording_id(uniqueid: &[u8], count: u32) -> RecordingId {
    let digits = uniqueid.iter().filter(|byte| byte.is_ascii_digit());
    let number =
        digits.fold(1, |number: u64, &digit| number.wrapping_mul(10).wrapping_add(u64::from(digit - b'0')));
    RecordingId::new((number.wrapping_mul(10).wrapping_add(u64::from(count))) & (u64::MAX >> 11))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dial_asks_by_its_options_and_not_by_what_they_take() {
        for (application, data, expected) in [
            ("Dial", "PJSIP/102,20,tTU(accept^s^1)", Asks::WithinDial),
            ("Dial", "PJSIP/102&Local/9@fm/n,20,M(confirm)", Asks::WithinDial),
            ("Dial", "PJSIP/102,20,b(callid^s^1)tT", Asks::No),
            ("Dial", "PJSIP/102,20,L(30000:1000)b(PUM^s^1)", Asks::No),
            ("Dial", "PJSIP/MUP,20", Asks::No),
            ("FollowMe", "102,ds", Asks::AfterDial),
            ("Queue", "support,tT,U(x)", Asks::No),
        ] {
            assert_eq!(asks(application.as_bytes(), data.as_bytes()), expected, "{application}({data})");
        }
    }
}
