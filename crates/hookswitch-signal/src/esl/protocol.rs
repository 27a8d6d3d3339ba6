//! The conversation on a connection to an event socket: log-in, questions of what goes on, and what comes.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use hookswitch_model::ActionId;
use serde::Deserialize;

use super::command::{command, events};
use super::{Frames, Message, action, listing};
use crate::switch::{
    Acted, Action, ActionOptions, CannotAct, ProtocolError, ProtocolEvent, Refusal, Secret, SwitchProtocol,
    Transmit, without_quotations,
};

/// First bytes of a FreeSWITCH's event socket.
pub(super) const GREETING: &[u8] = b"Content-Type: auth/request";

/// Asked for a sign of life; answered by a number.
pub(super) const LIFE: &str = "uptime";

/// Settings that a source has beside those of all switches.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Options {
    pub(super) user: Option<String>,
    pub(super) password: Option<Secret>,
    #[serde(default)]
    pub(super) format: EventFormat,
    #[serde(flatten)]
    pub(super) actions: ActionOptions,
}

/// The form in which a FreeSWITCH writes its events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum EventFormat {
    #[default]
    Json,
    Plain,
}

impl EventFormat {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Plain => "plain",
        }
    }
}

/// How long after the log-in the calls are listed again: the first list may lack those that have just begun.
const LIST_AGAIN_AFTER: Duration = Duration::from_secs(2);

/// Number of times that they are listed again.
const LISTS_AGAIN: u8 = 2;

/// Phase of the log-in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Greeting,
    Password,
    Events,
    Up,
}

/// What to do about commands that a user may not send.
const MAY_NOT_ACT: &str = "the source has control = true, and its user may not send all commands that act on calls; name \
                           them in its esl-allowed-api, or give the password of the event socket itself";

/// An action on a call that is under way.
struct Acting {
    id: ActionId,
    /// Its commands that are not answered yet, in their order.
    commands: VecDeque<String>,
    /// The best answer so far.
    best: Option<Acted>,
    /// What the tracker is told when it was taken.
    taken: Option<String>,
}

/// Conversation with one event socket.
pub(super) struct EslProtocol {
    name: String,
    address: String,
    options: Options,
    frames: Frames,
    phase: Phase,
    transmit: VecDeque<Vec<u8>>,
    /// Questions that are not answered yet, in this order.
    asked: VecDeque<String>,
    /// The list of channels, until what was asked about each of them is answered.
    list: Vec<u8>,
    /// Channels that were asked about.
    known: BTreeSet<Box<str>>,
    /// How often the list is still to be asked for.
    lists_again: u8,
    /// It was answered once.
    was_listed: bool,
    /// The user may not ask about channels.
    may_not_ask: bool,
    /// Actions on calls that are under way: the commands of each that are among [`EslProtocol::asked`], in its order,
    /// and the best answer so far.
    acting: VecDeque<Acting>,
    /// The commands that our user may send, where the switch has said so.
    allowed: Option<String>,
    /// What of them is missing, until it is told.
    missing: Option<String>,
    /// What was asked for, as the tracker is to know it.
    notes: VecDeque<String>,
    /// What was answered, and is not told yet.
    answered: VecDeque<(ActionId, Acted)>,
}

impl EslProtocol {
    pub(super) fn new(name: &str, address: &str, options: Options) -> Self {
        Self {
            name: name.to_owned(),
            address: address.to_owned(),
            options,
            frames: Frames::default(),
            phase: Phase::Greeting,
            transmit: VecDeque::new(),
            asked: VecDeque::new(),
            list: Vec::new(),
            known: BTreeSet::new(),
            lists_again: LISTS_AGAIN,
            was_listed: false,
            may_not_ask: false,
            acting: VecDeque::new(),
            allowed: None,
            missing: None,
            notes: VecDeque::new(),
            answered: VecDeque::new(),
        }
    }

    /// Takes the answer to what was asked first, if that is a command of an action: one of several is told when all
    /// have come. The action was taken if any of them was.
    fn take_acted(&mut self, message: &Message<'_>) -> bool {
        let Some(acting) = self.acting.front_mut() else { return false };
        if acting.commands.is_empty() || self.asked.front() != acting.commands.front() {
            return false;
        }
        self.asked.pop_front();
        acting.commands.pop_front();
        acting.best = Some(Acted::and(acting.best.take(), action::answer(message)));
        if acting.commands.is_empty()
            && let Some(Acting { id, best, taken, .. }) = self.acting.pop_front()
        {
            let best = best.unwrap_or(Acted::Taken);
            self.notes.extend(taken.filter(|_| best == Acted::Taken));
            self.answered.push_back((id, best));
        }
        true
    }

    fn send(&mut self, text: String) {
        self.transmit.push_back(text.into_bytes());
    }

    fn ask(&mut self, questions: impl IntoIterator<Item = String>) {
        let mut text = String::new();
        for question in questions {
            // What the switch itself has named may be anything; what cannot be asked is not.
            if let Ok(asks) = command(&["api", &question]) {
                text.push_str(&asks);
                self.asked.push_back(question);
            }
        }
        if !text.is_empty() {
            self.send(text);
        }
    }

    /// Asks what is asked behind the list of channels.
    fn ask_further(&mut self) {
        let is_again = std::mem::replace(&mut self.was_listed, true);
        let questions: &[&str] = if is_again { &listing::AGAIN } else { &listing::FURTHER };
        self.ask(questions.iter().map(|&question| question.to_owned()));
    }

    /// The list of channels, once all that was asked about them is answered.
    fn is_listed(&self) -> bool {
        !self.list.is_empty() && !self.asked.front().is_some_and(|question| listing::is_of_channel(question))
    }

    /// Takes a message during the log-in; true when it is done.
    fn handle_login(&mut self, bytes: &[u8]) -> Result<bool, ProtocolError> {
        let message = Message::new(bytes);
        let Options { user, password, format, .. } = &self.options;
        let (name, address) = (&self.name, &self.address);
        match self.phase {
            Phase::Greeting => {
                match message.content_type() {
                    b"auth/request" => {}
                    b"text/rude-rejection" => {
                        return Err(ProtocolError(format!(
                            "the event socket at {address} does not let this machine in; see apply-inbound-acl in \
                             event_socket.conf.xml"
                        )));
                    }
                    _ => {
                        let said = format!("what answers at {address} is no event socket of a FreeSWITCH");
                        return Err(ProtocolError(said));
                    }
                }
                let password = password.as_ref().map_or("", Secret::expose);
                let login = match user {
                    Some(user) => command(&["userauth", &format!("{user}:{password}")])?,
                    None => command(&["auth", password])?,
                };
                self.send(login);
                self.phase = Phase::Password;
            }
            Phase::Password if is_reply(&message) => {
                let answer = reply(&message);
                if !answer.starts_with("+OK") {
                    // Some repeat what they were told.
                    let password = password.as_ref().map(Secret::expose).filter(|it| !it.is_empty());
                    let answer = password.map_or(answer.clone(), |password| answer.replace(password, "…"));
                    return Err(ProtocolError(format!(
                        "the event socket refuses the password of {name:?}: {answer}; compare it with \
                         event_socket.conf.xml, or with esl-password of the user"
                    )));
                }
                let allowed =
                    message.header("Allowed-API").map(|list| String::from_utf8_lossy(list).into_owned());
                let events = events(format.as_str())?;
                self.allowed = allowed;
                self.send(events);
                self.phase = Phase::Events;
            }
            Phase::Events if is_reply(&message) => {
                let answer = reply(&message);
                if !answer.starts_with("+OK") {
                    return Err(ProtocolError(format!(
                        "the event socket refuses to tell of calls: {answer}; see esl-allowed-events of the user"
                    )));
                }
                self.phase = Phase::Up;
                self.ask(listing::QUESTIONS.map(str::to_owned));
                return Ok(true);
            }
            _ => {}
        }
        Ok(false)
    }

    fn handle_message(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<ProtocolEvent, ProtocolError> {
        let message = Message::new(bytes);
        if matches!(message.content_type(), b"api/response" | b"command/reply") && self.take_acted(&message) {
            return Ok(ProtocolEvent::PassedOver);
        }
        match message.content_type() {
            b"api/response" => return Ok(self.handle_answer(&message, out)),
            b"command/reply" => {
                // Nothing but questions is sent after the login. What the switch says of one may name who calls.
                let question = self.asked.pop_front().unwrap_or_default();
                let hint = "the event socket refuses a question; esl-allowed-api of the user needs global_getvar, \
                            show, uuid_getvar, valet_info, conference, fifo, callcenter_config and uptime to be \
                            asked what goes on";
                let was_said =
                    listing::is_of_channel(&question) && std::mem::replace(&mut self.may_not_ask, true);
                if question == listing::CHANNELS {
                    self.ask_further();
                }
                let hint = if was_said { "" } else { hint };
                return Ok(ProtocolEvent::Refused(Refusal { question, text: String::new(), hint }));
            }
            b"text/disconnect-notice" => {
                let text = String::from_utf8_lossy(message.body());
                let text = without_quotations(text.lines().next().unwrap_or_default());
                return Err(ProtocolError(format!("the event socket says that it closes: {text}")));
            }
            _ => {}
        }
        if message.counts() {
            out.extend_from_slice(bytes);
            return Ok(ProtocolEvent::Message);
        }
        Ok(ProtocolEvent::PassedOver)
    }

    /// Takes an answer to what was asked: of the list of queues comes what is asked of each.
    fn handle_answer(&mut self, message: &Message<'_>, out: &mut Vec<u8>) -> ProtocolEvent {
        let Some(question) = self.asked.pop_front() else { return ProtocolEvent::PassedOver };
        if message.body().starts_with(b"-") {
            if question == listing::CHANNELS {
                self.ask_further();
            }
            let text = without_quotations(String::from_utf8_lossy(message.body()).trim_end());
            return ProtocolEvent::Refused(Refusal { question, text, hint: "" });
        }
        if question == LIFE {
            return ProtocolEvent::PassedOver;
        }
        if question == listing::CHANNELS {
            // Whoever is in the list is told of by what is known of the dialog as well.
            self.list.clear();
            listing::named(&question, message, &mut self.list);
            if !self.may_not_ask {
                let questions = listing::questions_of_channels(message, &mut self.known);
                self.ask(questions);
            }
            self.ask_further();
            return ProtocolEvent::PassedOver;
        }
        if question == listing::QUEUES {
            self.ask(listing::questions_of_queues(message));
            return ProtocolEvent::PassedOver;
        }
        listing::named(&question, message, out);
        ProtocolEvent::Message
    }
}

pub(super) fn is_reply(message: &Message<'_>) -> bool {
    matches!(message.content_type(), b"command/reply" | b"text/rude-rejection")
}

fn reply(message: &Message<'_>) -> String {
    without_quotations(&String::from_utf8_lossy(message.header("Reply-Text").unwrap_or_default()))
}

impl SwitchProtocol for EslProtocol {
    fn handle_input(&mut self, bytes: &[u8]) {
        self.frames.push(bytes);
    }

    fn poll_event(&mut self, out: &mut Vec<u8>) -> Result<Option<ProtocolEvent>, ProtocolError> {
        if self.is_listed() {
            out.append(&mut self.list);
            return Ok(Some(ProtocolEvent::Message));
        }
        if let Some(text) = self.missing.take() {
            let question = "esl-allowed-api".to_owned();
            return Ok(Some(ProtocolEvent::Refused(Refusal { question, text, hint: MAY_NOT_ACT })));
        }
        if let Some(note) = self.notes.pop_front() {
            listing::note(&note, out);
            return Ok(Some(ProtocolEvent::Message));
        }
        if let Some((id, acted)) = self.answered.pop_front() {
            return Ok(Some(ProtocolEvent::Acted(id, acted)));
        }
        loop {
            let message = match self.phase {
                // What the user is allowed may be cut: see `next_login_answer`.
                Phase::Password => self.frames.next_login_answer(),
                _ => self.frames.next_message(),
            };
            let Some(message) = message.map(<[u8]>::to_vec) else { return Ok(None) };
            if self.phase == Phase::Up {
                return self.handle_message(&message, out).map(Some);
            }
            if self.handle_login(&message)? {
                return Ok(Some(ProtocolEvent::LoggedIn));
            }
        }
    }

    fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmit.pop_front().map(Transmit::Bytes)
    }

    fn probe(&mut self) {
        if self.lists_again > 0 {
            self.lists_again -= 1;
            self.ask([listing::CHANNELS.to_owned()]);
        } else {
            self.ask([LIFE.to_owned()]);
        }
    }

    fn act(&mut self, id: ActionId, action: &Action) -> Result<(), CannotAct> {
        let action::Written { commands, note, taken } = action::write(id, action, &self.options.actions)?;
        let mut text = String::new();
        for asks in &commands {
            text.push_str(&command(&[asks]).map_err(|error| CannotAct::new(error.to_string()))?);
        }
        self.notes.extend(note);
        self.asked.extend(commands.iter().cloned());
        self.acting.push_back(Acting { id, commands: commands.into(), best: None, taken });
        self.send(text);
        Ok(())
    }

    fn check_rights(&mut self) {
        let Some(allowed) = &self.allowed else { return };
        let may = |command: &&str| allowed.split([' ', ',']).any(|word| word == *command || word == "ALL");
        let missing: Vec<&str> = action::COMMANDS.into_iter().filter(|command| !may(command)).collect();
        self.missing = (!missing.is_empty()).then(|| format!("without {}", missing.join(" ")));
    }

    fn is_answered(&self) -> bool {
        self.missing.is_none() && self.asked.is_empty() && self.list.is_empty()
    }

    fn probe_after(&self) -> Option<Duration> {
        (self.lists_again == LISTS_AGAIN).then_some(LIST_AGAIN_AFTER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connected() -> EslProtocol {
        let actions = ActionOptions::default();
        let options = Options { user: None, password: None, format: EventFormat::Json, actions };
        let mut protocol = EslProtocol::new("pbx", "192.0.2.1:8021", options);
        protocol.handle_input(b"Content-Type: auth/request\n\n");
        for _ in 0..2 {
            assert_eq!(protocol.poll_event(&mut Vec::new()), Ok(None));
            protocol.handle_input(b"Content-Type: command/reply\nReply-Text: +OK\n\n");
        }
        assert_eq!(protocol.poll_event(&mut Vec::new()), Ok(Some(ProtocolEvent::LoggedIn)));
        protocol
    }

    /// All that was sent, a question a line.
    fn sent(protocol: &mut EslProtocol) -> Vec<String> {
        let mut lines = Vec::new();
        while let Some(Transmit::Bytes(bytes)) = protocol.poll_transmit() {
            let text = String::from_utf8(bytes).expect("it is text");
            lines.extend(text.split("\n\n").filter(|line| !line.is_empty()).map(str::to_owned));
        }
        lines
    }

    fn answer(protocol: &mut EslProtocol, body: &str) {
        let answer = format!("Content-Type: api/response\nContent-Length: {}\n\n{body}", body.len());
        protocol.handle_input(answer.as_bytes());
    }

    /// The questions whose answers were given to the tracker.
    fn answered(protocol: &mut EslProtocol) -> Vec<String> {
        let mut questions = Vec::new();
        loop {
            let mut out = Vec::new();
            match protocol.poll_event(&mut out).expect("it goes on") {
                Some(ProtocolEvent::Message) => {
                    questions.extend(Message::new(&out).question().map(std::borrow::Cow::into_owned));
                }
                Some(_) => {}
                None => return questions,
            }
        }
    }

    const LIST: &str = r#"{"rows":[{"uuid":"u-1","name":"sofia/internal/101@pbx.example.com"},{"uuid":"u-2","name":"loopback/102-a"}]}"#;

    #[test]
    fn a_list_is_told_when_the_dialogs_of_its_channels_are_known() {
        let mut protocol = connected();
        let asked = sent(&mut protocol);
        let asked: Vec<&str> = asked.iter().filter_map(|line| line.strip_prefix("api ")).collect();
        assert_eq!(asked, listing::QUESTIONS);
        for body in ["1f0a3d52", "<lots></lots>", LIST] {
            answer(&mut protocol, body);
        }
        assert_eq!(answered(&mut protocol), listing::QUESTIONS[..2]);
        let asked = sent(&mut protocol);
        let variables =
            ["sip_call_id", "sip_from_tag", "sip_to_tag"].map(|name| format!("uuid_getvar u-1 {name}"));
        assert_eq!(asked[..3], variables.clone().map(|asked| format!("api {asked}")));
        assert_eq!(asked[3..], listing::FURTHER.map(|asked| format!("api {asked}")));
        for body in ["call", "from", "-ERR No such channel!"] {
            answer(&mut protocol, body);
        }
        answer(&mut protocol, "{}");
        let told = answered(&mut protocol);
        assert_eq!(told[..2], variables[..2]);
        assert_eq!(told[2..], [listing::CHANNELS, listing::FURTHER[0]]);
    }

    #[test]
    fn the_list_is_asked_for_twice_again_and_no_channel_is_asked_about_twice() {
        let mut protocol = connected();
        let mut waits = Vec::new();
        for round in 0..4 {
            sent(&mut protocol);
            let of_channel = if round == 0 { 3 } else { 0 };
            let answers = if round == 0 { 2 } else { 0 };
            for body in std::iter::repeat_n("{}", answers).chain([LIST]) {
                answer(&mut protocol, body);
            }
            answered(&mut protocol);
            let asked = sent(&mut protocol);
            if round < 3 {
                let further = if round == 0 { listing::FURTHER.len() } else { listing::AGAIN.len() };
                assert_eq!(asked.len(), of_channel + further, "{asked:?}");
            }
            (0..asked.len()).for_each(|_| answer(&mut protocol, "{}"));
            answered(&mut protocol);
            waits.push(protocol.probe_after());
            protocol.probe();
        }
        assert_eq!(waits, [Some(LIST_AGAIN_AFTER), None, None, None]);
        assert_eq!(sent(&mut protocol), [format!("api {LIFE}")]);
    }

    #[test]
    fn a_user_who_may_not_ask_is_told_of_all_the_same_and_warned_of_once() {
        let mut protocol = connected();
        sent(&mut protocol);
        for body in ["1f0a3d52", "<lots></lots>", LIST] {
            answer(&mut protocol, body);
        }
        answered(&mut protocol);
        for _ in 0..3 {
            protocol.handle_input(b"Content-Type: command/reply\nReply-Text: -ERR permission denied\n\n");
        }
        let mut warnings = 0;
        let mut out = Vec::new();
        while let Some(event) = protocol.poll_event(&mut out).expect("it goes on") {
            warnings +=
                usize::from(matches!(event, ProtocolEvent::Refused(refusal) if !refusal.hint.is_empty()));
        }
        assert_eq!(warnings, 1);
        assert_eq!(Message::new(&out).question().as_deref(), Some(listing::CHANNELS));
    }

    /// Answers all that is asked after the log-in.
    fn idle() -> EslProtocol {
        let mut protocol = connected();
        sent(&mut protocol);
        for body in ["1f0a3d52", "<lots></lots>", "{}"] {
            answer(&mut protocol, body);
        }
        answered(&mut protocol);
        for _ in 0..sent(&mut protocol).len() {
            answer(&mut protocol, "{}");
        }
        answered(&mut protocol);
        assert!(protocol.asked.is_empty(), "{:?}", protocol.asked);
        protocol
    }

    /// Returns what was answered to actions, and the questions whose answers were given to the tracker before.
    fn acted(protocol: &mut EslProtocol) -> (Vec<Acted>, Vec<String>) {
        let (mut acted, mut questions) = (Vec::new(), Vec::new());
        loop {
            let mut out = Vec::new();
            match protocol.poll_event(&mut out).expect("it goes on") {
                Some(ProtocolEvent::Acted(_, one)) => acted.push(one),
                Some(ProtocolEvent::Message) => {
                    questions.extend(Message::new(&out).question().map(std::borrow::Cow::into_owned));
                }
                Some(_) => {}
                None => return (acted, questions),
            }
        }
    }

    #[test]
    fn answers_are_those_of_the_actions_in_the_order_in_which_they_were_asked() {
        let mut protocol = idle();
        let hang_up = |channels: &[&str]| Action::HangUp {
            channels: channels.iter().map(|&channel| channel.to_owned()).collect(),
            end: crate::switch::End::Cleared,
        };
        protocol.probe();
        assert_eq!(protocol.act(ActionId::from_bits(1), &hang_up(&["u-1", "u-2"])), Ok(()));
        assert_eq!(protocol.act(ActionId::from_bits(2), &hang_up(&["u-3"])), Ok(()));
        assert_eq!(sent(&mut protocol).len(), 4);
        answer(&mut protocol, "{}");
        answer(&mut protocol, "+OK");
        assert_eq!(acted(&mut protocol).0, []);
        answer(&mut protocol, "-ERR No such channel!");
        answer(&mut protocol, "-ERR No such channel!");
        assert_eq!(acted(&mut protocol).0, [Acted::Taken, Acted::Gone]);
        assert!(protocol.acting.is_empty());
    }

    #[test]
    fn the_tracker_is_told_what_is_sent_elsewhere_before_it_is_and_who_is_muted_when_that_was_taken() {
        let mut protocol = idle();
        let to = crate::switch::Target::Number("103".to_owned());
        let forward = Action::Forward { own: "u-2".to_owned(), peer: "u-1".to_owned(), to };
        assert_eq!(protocol.act(ActionId::from_bits(1), &forward), Ok(()));
        assert_eq!(acted(&mut protocol), (vec![], vec!["hookswitch-forward u-2 103".to_owned()]));
        assert_eq!(sent(&mut protocol), ["api uuid_transfer u-1 103 XML default"]);
        answer(&mut protocol, "+OK");
        assert_eq!(acted(&mut protocol), (vec![Acted::Taken], vec![]));
        for (body, told) in [("-ERR operation failed", 0), ("+OK Success", 1)] {
            let mute = Action::Mute { own: "u-1".to_owned(), on: true };
            assert_eq!(protocol.act(ActionId::from_bits(2), &mute), Ok(()));
            answer(&mut protocol, body);
            assert_eq!(acted(&mut protocol).1.len(), told, "{body}");
        }
        let call = Action::Call {
            device: "101".to_owned(),
            shows: "102".to_owned(),
            then: crate::switch::Then::Dial("102".to_owned()),
        };
        assert_eq!(protocol.act(ActionId::from_bits(3), &call), Ok(()));
        protocol.handle_input(b"Content-Type: command/reply\nReply-Text: +OK Job-UUID: 1\n\n");
        assert_eq!(acted(&mut protocol).0, [Acted::Taken]);
    }
}
