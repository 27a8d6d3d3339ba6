//! Listing of what goes on in the switch: at the beginning of a connection, and after one was
//! lost.
//!
//! An answer does not say what it answers, so the connection writes the question into it, by [`named`].

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use hookswitch_model::{
    Alias, Caller, Cause, Direction, InputRef, LegCreated, LegId, Signal, SignalKind, SipData, Timestamp,
};
use serde::{Deserialize, Serialize};

use super::channel::{Calling, Channel, Leg, Moment, Number, is_plumbing};
use super::message::{Message, Text};
use super::tracker::{EslTracker, Waiting};
use crate::switch::{ID_BYTES_MAX, created, text};

/// Questions up to the list of channels, in this order: whether it is the core that was known, before what
/// has gone with another; and where calls are parked before who has gone, for that tells who has parked them.
pub const QUESTIONS: [&str; 3] = [CORE, PARKED, CHANNELS];

/// Questions behind the list of channels: of where calls are parked once more, for those that were not known
/// before.
pub const FURTHER: [&str; 5] = [CALLS, PARKED, CONFERENCES, FIFOS, QUEUES];

/// Questions behind a list of channels that is asked for again.
pub const AGAIN: [&str; 1] = [CALLS];

/// Asks for the channels that go on. FreeSWITCH answers from a table that may be up to a second behind its calls.
pub const CHANNELS: &str = "show channels as json";

/// Asks for the queues.
pub const QUEUES: &str = "callcenter_config queue list";

const CORE: &str = "global_getvar core_uuid";
const CALLS: &str = "show calls as json";
const PARKED: &str = "valet_info";
const CONFERENCES: &str = "conference json_list";
const FIFOS: &str = "fifo list";

/// Asks for the callers of a queue, whose name follows.
pub const MEMBERS: &str = "callcenter_config queue list members ";

/// Asks for a variable of a channel: the id of the channel follows, and the name of the variable.
const VARIABLE: &str = "uuid_getvar ";

/// Variables that name the SIP dialog of a channel.
const DIALOG: [&str; 3] = ["sip_call_id", "sip_from_tag", "sip_to_tag"];

/// The header that names the question in an answer.
const QUESTION: &str = "Answer-To";

/// Time that the ids of channels that have ended are remembered: the table may still name them.
const ENDED_FOR: Duration = Duration::from_secs(10);

/// The most of them.
const ENDED_MAX: usize = 10_000;

/// Lag of the table of channels: what has begun since then need not be in it.
const LIST_LAG: Duration = Duration::from_secs(2);

/// Time that the calls of a core that is gone may come back in the one that has taken its place
/// (`sofia recover`), before they are told to be lost.
const RECOVERY_WAIT: Duration = Duration::from_secs(10);

/// The most channels whose dialogs are asked for on a connection, and the most dialogs that wait for their channel.
const DIALOGS_MAX: usize = 2_000;

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

/// What was asked for, as a [`EslTracker`] takes it: an answer without a text.
pub(super) fn note(question: &str, out: &mut Vec<u8>) {
    let head = format!("{QUESTION}: {question}\nContent-Type: api/response\nContent-Length: 0\n\n");
    out.extend_from_slice(head.as_bytes());
}

/// Returns what is asked about the SIP dialog of each channel that a list names, but of those that were asked about: what
/// is known of a call by its SIP alone is this call.
pub fn questions_of_channels(answer: &Message<'_>, asked: &mut BTreeSet<Box<str>>) -> Vec<String> {
    let text = String::from_utf8_lossy(answer.body());
    let Ok(list) = serde_json::from_str::<Rows<'_>>(&text) else { return Vec::new() };
    let mut questions = Vec::new();
    for Row { uuid, name, .. } in &list.rows {
        let uuid = &*uuid.0;
        let is_word = !uuid.is_empty() && uuid.len() <= ID_BYTES_MAX && !uuid.contains(char::is_whitespace);
        if is_word && name.0.starts_with("sofia/") && asked.len() < DIALOGS_MAX && asked.insert(uuid.into()) {
            questions.extend(DIALOG.map(|variable| format!("{VARIABLE}{uuid} {variable}")));
        }
    }
    questions
}

/// Returns `true` if a question is one of those that [`questions_of_channels`] gives.
pub fn is_of_channel(question: &str) -> bool {
    question.starts_with(VARIABLE)
}

/// Returns what is asked about each queue that the answer to [`QUEUES`] lists.
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
    #[serde(borrow)]
    b_callstate: Text<'a>,
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

/// SIP dialog of a channel that may not be known yet, as far as it was said.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct AskedDialog {
    call_id: Option<Arc<str>>,
    from_tag: Option<Arc<str>>,
    to_tag: Option<Arc<str>>,
}

impl AskedDialog {
    fn read(&self) -> Option<SipData> {
        let (call_id, from_tag) = self.call_id.clone().zip(self.from_tag.clone())?;
        Some(SipData { call_id, from_tag, to_tag: self.to_tag.clone() })
    }
}

impl EslTracker {
    /// A connection was made: what was known before is known to go on once it is heard of again.
    pub fn connected(&mut self) {
        self.knows_core = false;
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
            CORE => self.restarts(text.trim(), now, out),
            _ if question.starts_with(MEMBERS) => self.members_listed(&text, now, out),
            _ if self.is_acted_on(question, now, out) => {}
            _ => {
                if let Some((uuid, variable)) =
                    question.strip_prefix(VARIABLE).and_then(|asked| asked.split_once(' '))
                {
                    self.dialog_answered(uuid, variable, text.trim(), now, out);
                }
            }
        }
    }

    /// The SIP dialog of a channel, which may be named by the list that comes next.
    fn dialog_answered(
        &mut self,
        uuid: &str,
        variable: &str,
        value: &str,
        now: Moment,
        out: &mut Vec<Signal>,
    ) {
        let Some(value) = text(value.as_bytes())
            .filter(|value| !value.starts_with('-') && **value != *"_undef_" && value.len() <= ID_BYTES_MAX)
        else {
            return;
        };
        let is_known = self.dialogs.contains_key(uuid);
        if uuid.len() > ID_BYTES_MAX || (!is_known && self.dialogs.len() >= DIALOGS_MAX) {
            return;
        }
        let dialog = self.dialogs.entry(uuid.into()).or_default();
        match variable {
            "sip_call_id" => dialog.call_id = Some(value),
            "sip_from_tag" => dialog.from_tag = Some(value),
            "sip_to_tag" => dialog.to_tag = Some(value),
            _ => return,
        }
        if let (Some(sip), Some(number)) = (dialog.read(), self.number(uuid)) {
            self.has_dialog(number, sip, now, out);
        }
    }

    /// Ends what the list does not name and was not heard of since it was asked for; what nobody knew
    /// goes on.
    fn channels_listed(&mut self, rows: &[Row<'_>], now: Moment, out: &mut Vec<Signal>) {
        self.forget_ended(now.at);
        let live = rows.iter().filter(|row| row.callstate.0 != "HANGUP");
        let mut found = Vec::new();
        for row in live {
            if let Some(number) = self.number(&row.uuid.0) {
                self.is_back(number);
                let Some(channel) = self.channels.get_mut(&number) else { continue };
                let was_heard = std::mem::replace(&mut channel.listed, true);
                channel.is_of_core = false;
                channel.last_seen = now.at;
                self.compare(number, row, was_heard, now, out);
            } else if let Some(number) = self.find(row, now) {
                found.push(number);
            }
        }
        for number in self.in_order() {
            let Some(channel) = self.channels.get(&number) else { continue };
            // What was hung up waits for its explanation, and ends by itself.
            let waits = channel.hung_up.is_some() || channel.missed.is_some();
            if channel.listed || waits || now.at.since(channel.begun.at) < LIST_LAG {
                continue;
            }
            if self.knows_core {
                self.end_unseen(number, Cause::Unlisted, now, out);
            } else {
                // Whether it has ended or is lost says the next event.
                self.is_missed(number, Cause::Unlisted, now);
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
        self.dialogs.clear();
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
        let standby = channel.standby.map(|standby| standby.leg);
        for leg in own.into_iter().chain(service).chain(queue).chain(standby) {
            out.push(self.signal(leg, SignalKind::Ended(cause), now));
        }
        self.forget_waiting_of(number);
        self.forget(number);
    }

    /// Compares what the list says of a channel that is known, where something was missed. An event may be newer than the
    /// list.
    fn compare(
        &mut self,
        number: Number,
        row: &Row<'_>,
        was_heard: bool,
        now: Moment,
        out: &mut Vec<Signal>,
    ) {
        let state = &*row.callstate.0;
        if matches!(state, "ACTIVE" | "HELD") {
            self.answers(number, now, out);
        }
        match state {
            _ if was_heard => {}
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
        let sip = self.dialogs.get(&*row.uuid.0).and_then(AskedDialog::read);
        let channel = Channel {
            endpoint: text(if user.is_empty() { place } else { user }.as_bytes())
                .filter(|_| !is_plumbing(name)),
            is_users: !user.is_empty(),
            domain: text(domain.as_bytes()),
            caller,
            sip: sip.map(Arc::new),
            first_dialled: text(row.dest.0.as_bytes()).unwrap_or_else(|| Arc::from("")),
            answered: matches!(&*row.callstate.0, "ACTIVE" | "HELD" | "UNHELD"),
            // A caller's channel is RINGING from its beginning on.
            early: &row.callstate.0 == "EARLY"
                || (&row.callstate.0 == "RINGING" && row.direction.0 == "outbound"),
            holds: &row.callstate.0 == "HELD",
            found: true,
            found_of: (*row.call_uuid.0 != *row.uuid.0).then(|| row.call_uuid.0.as_ref().into()),
            ..Channel::new(&row.uuid.0, name, row.direction.0 == "inbound", now)
        };
        self.insert(Channel { dialled: channel.first_dialled.clone(), ..channel })
    }

    /// A caller's leg goes on whose call was not seen to begin.
    pub(super) fn found_caller(&mut self, number: Number, now: Moment, out: &mut Vec<Signal>) {
        let Some(channel) = self.channels.get_mut(&number) else { return };
        let (early, holds) = (channel.early, channel.holds);
        channel.untold_answer = channel.answered.then_some(now);
        self.ensure_told(number, out);
        self.tell_found_call_id(number, now, out);
        if early {
            self.rings(number, now, out);
        }
        if holds {
            self.told(number, SignalKind::Held, now, out);
        }
    }

    /// A called leg goes on whose call was not seen to begin; nothing if it is not known yet who calls it.
    pub(super) fn found_called(&mut self, number: Number, now: Moment, out: &mut Vec<Signal>) {
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
            sip: channel.sip.clone(),
            found_running: true,
            ..created(Direction::Inbound)
        };
        if let Some(channel) = self.channels.get_mut(&number) {
            channel.leg = Leg::Called;
            channel.called_by = Some(Calling::Channel(caller));
        }
        let leg: LegId = self.leg(number);
        out.push(self.signal(leg, SignalKind::Created(Box::new(created)), now));
        self.tell_found_call_id(number, now, out);
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

    /// Takes in who talks with whom.
    fn calls_listed(&mut self, rows: &[Row<'_>], now: Moment, out: &mut Vec<Signal>) {
        for row in rows {
            let Some((a, b)) = self.number(&row.uuid.0).zip(self.number(&row.b_uuid.0)) else { continue };
            for (own, peer, state) in [(a, b, &row.callstate), (b, a, &row.b_callstate)] {
                if let Some(channel) = self.channels.get_mut(&own) {
                    channel.peer = Some(peer);
                    // What of a call that was recovered is in no state talks all the same.
                    channel.answered |= channel.found && channel.leg == Leg::Untold && state.0 == "DOWN";
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

    /// Another core answers than the one that had these channels. They may come back with `sofia recover`, by the
    /// same ids; what does not is lost.
    pub(super) fn core_is_gone(&mut self, now: Moment, out: &mut Vec<Signal>) {
        for number in self.in_order() {
            let Some(channel) = self.channels.get(&number).filter(|channel| channel.is_of_core) else {
                continue;
            };
            if channel.hung_up.is_some() {
                self.ends_by(number, Cause::Lost, now, out);
            } else {
                self.is_missed(number, Cause::Lost, now);
            }
        }
    }

    /// The core that had these channels still answers: what its list did not name has ended.
    pub(super) fn core_is_same(&mut self, out: &mut Vec<Signal>) {
        for number in self.in_order() {
            let missed = self.channels.get(&number).and_then(|channel| channel.missed);
            if let Some((moment, Cause::Unlisted)) = missed {
                self.end_unseen(number, Cause::Unlisted, moment, out);
            }
        }
    }

    /// Nothing is heard of a channel, which ends by this cause unless it comes back.
    fn is_missed(&mut self, number: Number, cause: Cause, now: Moment) {
        let Some(channel) = self.channels.get_mut(&number) else { return };
        let since = channel.missed.map_or(now, |(since, _)| since);
        if channel.missed.replace((since, cause)).is_none() {
            self.waits.wait_until(now.at + RECOVERY_WAIT, Waiting::Recovery(number));
        }
    }

    /// A channel that was missed goes on.
    pub(super) fn is_back(&mut self, number: Number) {
        let Some(channel) = self.channels.get_mut(&number) else { return };
        if channel.missed.take().is_some() {
            self.waits.forget(|waiting| *waiting == Waiting::Recovery(number));
        }
    }

    /// A channel that was missed has not come back.
    pub(super) fn stays_away(&mut self, number: Number, out: &mut Vec<Signal>) {
        match self.channels.get(&number).and_then(|channel| channel.missed) {
            Some((moment, Cause::Unlisted)) => self.end_unseen(number, Cause::Unlisted, moment, out),
            Some((moment, cause)) => self.ends_by(number, cause, moment, out),
            None => {}
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
