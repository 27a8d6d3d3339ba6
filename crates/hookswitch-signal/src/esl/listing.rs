//! What the switch answers when it is asked what goes on: at the beginning of a connection, and after one was
//! lost.
//!
//! An answer does not say what it answers, so the connection writes the question into it, by [`named`].

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use hookswitch_model::{
    Alias, Caller, Cause, Direction, InputRef, LegCreated, LegId, Signal, SignalKind, Timestamp,
};
use serde::Deserialize;

use super::channel::{Calling, Channel, Leg, Moment, Number, is_plumbing};
use super::message::{Message, Text};
use super::tracker::EslTracker;
use crate::switch::{created, text};

/// What is asked, in this order: where calls are parked before who has gone, for that tells who has parked
/// them, and again for those that were not known before.
pub const QUESTIONS: [&str; 7] =
    [PARKED, CHANNELS, CALLS, PARKED, CONFERENCES, FIFOS, "callcenter_config queue list"];

/// What is asked again some time later: FreeSWITCH answers from a table that may be behind its calls.
pub const AGAIN: [&str; 2] = [CHANNELS, CALLS];

const CHANNELS: &str = "show channels as json";
const CALLS: &str = "show calls as json";
const PARKED: &str = "valet_info";
const CONFERENCES: &str = "conference json_list";
const FIFOS: &str = "fifo list";

/// Asks for the callers of a queue, whose name follows.
pub const MEMBERS: &str = "callcenter_config queue list members ";

/// The header that names the question in an answer.
const QUESTION: &str = "Answer-To";

/// How long the ids of channels that have ended are remembered: the table may still name them.
const ENDED_FOR: Duration = Duration::from_secs(10);

/// The most of them.
const ENDED_MAX: usize = 10_000;

/// The most queues whose callers are asked for.
const QUEUES_MAX: usize = 1_000;

/// An answer as a [`EslTracker`] takes it: with its question in it.
pub fn named(question: &str, answer: &Message<'_>, out: &mut Vec<u8>) {
    let body = answer.body();
    let head =
        format!("{QUESTION}: {question}\nContent-Type: api/response\nContent-Length: {}\n\n", body.len());
    out.extend_from_slice(head.as_bytes());
    out.extend_from_slice(body);
}

/// What is asked about each queue that the answer to the last of [`QUESTIONS`] lists.
pub fn questions_of_queues(answer: &Message<'_>) -> Vec<String> {
    let text = String::from_utf8_lossy(answer.body());
    let names = Table::new(&text).rows().filter_map(|row| Some(*row.first()?));
    let names = names.filter(|name| !name.is_empty() && !name.contains(char::is_whitespace));
    names.take(QUEUES_MAX).map(|name| format!("{MEMBERS}{name}")).collect()
}

impl Message<'_> {
    /// The question that it answers, if it is an answer that was [`named`].
    pub fn question(&self) -> Option<Cow<'_, str>> {
        if self.content_type() != b"api/response" {
            return None;
        }
        self.header(QUESTION).map(String::from_utf8_lossy)
    }
}

/// The channels, or the calls, that go on.
#[derive(Deserialize)]
struct Rows<'a> {
    #[serde(default, borrow)]
    rows: Vec<Row<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Row<'a> {
    #[serde(borrow)]
    uuid: Text<'a>,
    #[serde(borrow)]
    direction: Text<'a>,
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    cid_name: Text<'a>,
    #[serde(borrow)]
    cid_num: Text<'a>,
    #[serde(borrow)]
    dest: Text<'a>,
    #[serde(borrow)]
    presence_id: Text<'a>,
    #[serde(borrow)]
    callstate: Text<'a>,
    /// The caller's channel.
    #[serde(borrow)]
    call_uuid: Text<'a>,
    /// Of a call: who is talked with.
    #[serde(borrow)]
    b_uuid: Text<'a>,
}

#[derive(Deserialize)]
struct Conference<'a> {
    #[serde(default, borrow)]
    conference_name: Text<'a>,
    #[serde(default, borrow)]
    members: Vec<Member<'a>>,
}

#[derive(Deserialize)]
struct Member<'a> {
    #[serde(default, borrow)]
    uuid: Text<'a>,
    #[serde(default)]
    flags: Flags,
}

#[derive(Deserialize)]
#[serde(default)]
struct Flags {
    can_speak: bool,
    is_moderator: bool,
}

impl Default for Flags {
    fn default() -> Self {
        Self { can_speak: true, is_moderator: false }
    }
}

impl EslTracker {
    /// A connection was made: what was known before is known to go on once it is heard of again.
    pub fn connected(&mut self) {
        #[expect(clippy::disallowed_methods, clippy::iter_over_hash_type, reason = "all become the same")]
        for channel in self.channels.values_mut() {
            channel.listed = false;
            channel.is_of_core = true;
        }
    }

    /// Applies an answer.
    pub(super) fn answered(&mut self, question: &str, body: &[u8], now: Moment, out: &mut Vec<Signal>) {
        let text = String::from_utf8_lossy(body);
        match question {
            CHANNELS => {
                if let Ok(list) = serde_json::from_str::<Rows<'_>>(&text) {
                    self.channels_listed(&list.rows, now, out);
                }
            }
            CALLS => {
                if let Ok(list) = serde_json::from_str::<Rows<'_>>(&text) {
                    self.calls_listed(&list.rows, now, out);
                }
            }
            CONFERENCES => {
                for conference in serde_json::from_str::<Vec<Conference<'_>>>(&text).unwrap_or_default() {
                    self.conference_listed(&conference, now, out);
                }
            }
            PARKED => self.parked_listed(&text, now, out),
            FIFOS => self.fifos_listed(&text, now, out),
            _ if question.starts_with(MEMBERS) => self.members_listed(&text, now, out),
            _ => {}
        }
    }

    /// What the list does not name, and was not heard of since it was asked for, has ended; what nobody knew
    /// goes on.
    fn channels_listed(&mut self, rows: &[Row<'_>], now: Moment, out: &mut Vec<Signal>) {
        self.forget_ended(now.at);
        let live = rows.iter().filter(|row| row.callstate.0 != "HANGUP");
        let mut found = Vec::new();
        for row in live {
            if let Some(number) = self.number(&row.uuid.0) {
                if let Some(channel) = self.channels.get_mut(&number) {
                    channel.listed = true;
                    channel.is_of_core = false;
                    channel.last_seen = now.at;
                }
                self.compare(number, row, now, out);
            } else if let Some(number) = self.find(row, now) {
                found.push(number);
            }
        }
        for number in self.in_order() {
            let Some(channel) = self.channels.get(&number) else { continue };
            // What was hung up waits for its explanation, and ends by itself.
            if !channel.listed && channel.hung_up.is_none() {
                self.end_unseen(number, Cause::Unlisted, now, out);
            }
        }
        for &number in &found {
            if self.channels.get(&number).is_some_and(|channel| channel.calls) {
                self.found_caller(number, now, out);
            }
        }
        for &number in &found {
            self.found_called(number, now, out);
        }
        // Until the next list each must be heard of again.
        #[expect(clippy::disallowed_methods, clippy::iter_over_hash_type, reason = "all become the same")]
        for channel in self.channels.values_mut() {
            channel.listed = false;
        }
    }

    /// Ends all that goes on: the switch has not come back.
    pub fn handle_lost(&mut self, at: Timestamp, input: InputRef, out: &mut Vec<Signal>) {
        self.finish(out);
        let mut numbers = self.in_order();
        // Who still rings first, so that who calls has not given up.
        numbers.sort_by_key(|number| {
            let channel = self.channels.get(number);
            !channel.is_some_and(|channel| channel.leg == Leg::Called && !channel.answered)
        });
        for number in numbers {
            self.end_unseen(number, Cause::SwitchLost, Moment { at, input }, out);
        }
    }

    /// Ends a channel, and what the switch did on it, whose end nobody saw.
    pub(super) fn end_unseen(&mut self, number: Number, cause: Cause, now: Moment, out: &mut Vec<Signal>) {
        let Some(channel) = self.channels.get(&number) else { return };
        // Who has parked its call is known to have done so.
        let cause = if channel.moved { Cause::HungUp } else { cause };
        let own = channel.is_told().then(|| self.leg(number));
        let service = channel.service.map(|service| service.leg);
        let queue = channel.queue.map(|queue| queue.leg);
        for leg in own.into_iter().chain(service).chain(queue) {
            out.push(self.signal(leg, SignalKind::Ended(cause), now));
        }
        self.forget_waiting_of(number);
        self.forget(number);
    }

    /// What the list says of a channel that is known, where something was missed.
    fn compare(&mut self, number: Number, row: &Row<'_>, now: Moment, out: &mut Vec<Signal>) {
        let state = &*row.callstate.0;
        if matches!(state, "ACTIVE" | "HELD") {
            self.answers(number, now, out);
        }
        match state {
            "HELD" => self.holds(number, now, out),
            "ACTIVE" => self.resumes(number, now, out),
            _ => {}
        }
    }

    /// Follows a channel that goes on.
    fn find(&mut self, row: &Row<'_>, now: Moment) -> Option<Number> {
        if row.direction.0.is_empty() || self.has_ended(&row.uuid.0) {
            return None;
        }
        let name = &*row.name.0;
        let (user, domain) = row.presence_id.0.split_once('@').unwrap_or_default();
        // `sofia/<profile>/<address>`: a trunk is known by the profile that its calls come in by.
        let place = name.split('/').nth(1).unwrap_or_default();
        let caller = Caller {
            number: text(row.cid_num.0.as_bytes()),
            name: text(row.cid_name.0.as_bytes()),
            ..Caller::default()
        };
        let channel = Channel {
            endpoint: text(if user.is_empty() { place } else { user }.as_bytes())
                .filter(|_| !is_plumbing(name)),
            is_users: !user.is_empty(),
            domain: text(domain.as_bytes()),
            caller,
            first_dialled: text(row.dest.0.as_bytes()).unwrap_or_else(|| Arc::from("")),
            answered: matches!(&*row.callstate.0, "ACTIVE" | "HELD" | "UNHELD"),
            early: &row.callstate.0 == "EARLY",
            holds: &row.callstate.0 == "HELD",
            found: true,
            found_of: (*row.call_uuid.0 != *row.uuid.0).then(|| row.call_uuid.0.as_ref().into()),
            ..Channel::new(&row.uuid.0, name, row.direction.0 == "inbound", now)
        };
        self.insert(Channel { dialled: channel.first_dialled.clone(), ..channel })
    }

    fn found_caller(&mut self, number: Number, now: Moment, out: &mut Vec<Signal>) {
        let Some(channel) = self.channels.get_mut(&number) else { return };
        let (early, holds) = (channel.early, channel.holds);
        channel.untold_answer = channel.answered.then_some(now);
        self.ensure_told(number, out);
        if early {
            self.rings(number, now, out);
        }
        if holds {
            self.told(number, SignalKind::Held, now, out);
        }
    }

    /// A called leg goes on whose call was not seen to begin; nothing if it is not known yet who calls it.
    fn found_called(&mut self, number: Number, now: Moment, out: &mut Vec<Signal>) {
        let Some(channel) = self.channels.get(&number) else { return };
        if !channel.found || channel.calls || channel.is_plumbing || channel.leg != Leg::Untold {
            return;
        }
        let of = channel.found_of.as_deref().and_then(|of| self.number(of));
        let caller = [of, channel.peer].into_iter().flatten().filter_map(|caller| self.real(caller));
        let mut told = caller
            .filter(|&caller| caller != number && self.channels.get(&caller).is_some_and(Channel::is_told));
        let Some(caller) = told.next() else { return };
        let callee = match &channel.endpoint {
            Some(user) if channel.is_users => user.clone(),
            _ => channel.first_dialled.clone(),
        };
        let (answered, early, holds) = (channel.answered, channel.early, channel.holds);
        let created = LegCreated {
            of: Some(self.leg(caller)),
            callee,
            endpoint: channel.endpoint.clone().or_else(|| Some(Arc::from(""))),
            endpoint_domain: channel.domain.clone(),
            aliases: vec![Alias::Channel(channel.uuid.as_bytes().into())],
            found_running: true,
            ..created(Direction::Inbound)
        };
        if let Some(channel) = self.channels.get_mut(&number) {
            channel.leg = Leg::Called;
            channel.called_by = Some(Calling::Channel(caller));
        }
        let leg: LegId = self.leg(number);
        out.push(self.signal(leg, SignalKind::Created(Box::new(created)), now));
        if answered || early {
            out.push(self.signal(leg, SignalKind::Ringing { to_tag: None }, now));
        }
        if answered {
            out.push(self.signal(leg, SignalKind::Answered { to_tag: None }, now));
        }
        if holds {
            out.push(self.signal(leg, SignalKind::Held, now));
        }
    }

    /// Who talks with whom.
    fn calls_listed(&mut self, rows: &[Row<'_>], now: Moment, out: &mut Vec<Signal>) {
        for row in rows {
            let Some((a, b)) = self.number(&row.uuid.0).zip(self.number(&row.b_uuid.0)) else { continue };
            for (own, peer) in [(a, b), (b, a)] {
                if let Some(channel) = self.channels.get_mut(&own) {
                    channel.peer = Some(peer);
                }
            }
            self.found_called(a, now, out);
            self.found_called(b, now, out);
        }
    }

    fn conference_listed(&mut self, conference: &Conference<'_>, now: Moment, out: &mut Vec<Signal>) {
        let Some(room) = text(conference.conference_name.0.as_bytes()) else { return };
        for member in &conference.members {
            if let Some(number) = self.number(&member.uuid.0) {
                self.enters_room(number, room.clone(), member.flags.is_moderator, now, out);
                self.is_muted(number, !member.flags.can_speak, now, out);
            }
        }
    }

    /// `<extension uuid="...">6001</extension>`
    fn parked_listed(&mut self, xml: &str, now: Moment, out: &mut Vec<Signal>) {
        for (tag, content) in tags(xml, "extension") {
            if let Some(number) = attribute(tag, "uuid").and_then(|uuid| self.number(uuid)) {
                self.parked(number, text(content.trim().as_bytes()), now, out);
            }
        }
    }

    /// `<fifo name="..."><callers><caller uuid="..." status="WAITING">`
    fn fifos_listed(&mut self, xml: &str, now: Moment, out: &mut Vec<Signal>) {
        for fifo in xml.split("<fifo ").skip(1) {
            let Some(name) = attribute(fifo, "name") else { continue };
            for (caller, _) in tags(fifo, "caller") {
                let waits = attribute(caller, "status").is_none_or(|status| status == "WAITING");
                let number = attribute(caller, "uuid").and_then(|uuid| self.number(uuid));
                if let Some(number) = number.filter(|_| waits) {
                    self.enters_queue(number, name, true, now, out);
                }
            }
        }
    }

    /// The callers of a queue: a table with `|` between its columns.
    fn members_listed(&mut self, text: &str, now: Moment, out: &mut Vec<Signal>) {
        let table = Table::new(text);
        let columns = table.column("queue").zip(table.column("session_uuid")).zip(table.column("state"));
        let Some(((queue, uuid), state)) = columns else { return };
        for row in table.rows() {
            let value = |column: usize| row.get(column).copied().unwrap_or_default();
            if let Some(number) = self.number(value(uuid))
                && matches!(value(state), "Waiting" | "Trying")
            {
                self.enters_queue(number, value(queue), true, now, out);
            }
        }
    }

    /// Remembers for a while that a channel has ended.
    pub(super) fn remember_ended(&mut self, uuid: Box<str>, at: Timestamp) {
        if self.ended.len() >= ENDED_MAX {
            self.ended.pop_front();
        }
        self.ended.push_back((at, uuid));
    }

    fn forget_ended(&mut self, now: Timestamp) {
        while self.ended.front().is_some_and(|(at, _)| now.since(*at) > ENDED_FOR) {
            self.ended.pop_front();
        }
    }

    fn has_ended(&self, uuid: &str) -> bool {
        self.ended.iter().any(|(_, ended)| **ended == *uuid)
    }
}

/// A table: names of columns, rows, and a line that says that it is complete.
struct Table<'a> {
    columns: Vec<&'a str>,
    lines: &'a str,
}

impl<'a> Table<'a> {
    fn new(text: &'a str) -> Self {
        let (first, lines) = text.split_once('\n').unwrap_or_default();
        Self { columns: first.trim_end().split('|').collect(), lines }
    }

    fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| *column == name)
    }

    fn rows(&self) -> impl Iterator<Item = Vec<&'a str>> + use<'a> {
        let lines = self.lines.lines().filter(|line| line.contains('|'));
        lines.map(|line| line.split('|').collect())
    }
}

/// The tags of a name, and the text behind each up to the next tag.
fn tags<'a>(xml: &'a str, name: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
    xml.split('<').skip(1).filter_map(move |part| {
        let (tag, content) = part.split_once('>')?;
        let attributes = tag.strip_prefix(name)?;
        attributes.starts_with(' ').then_some((attributes, content))
    })
}

/// The value of an attribute: the first one with this name.
fn attribute<'a>(tag: &'a str, name: &str) -> Option<&'a str> {
    let mut rest = tag;
    loop {
        let at = rest.find(name)?;
        let (before, after) = (&rest[..at], &rest[at + name.len()..]);
        if (before.is_empty() || before.ends_with(' '))
            && let Some(value) = after.strip_prefix("=\"")
        {
            return value.split_once('"').map(|(value, _)| value);
        }
        rest = after;
    }
}
