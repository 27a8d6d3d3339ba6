//! The conversation on a manager connection: greeting, challenge, log-in, and what goes on.

use std::collections::VecDeque;

use hookswitch_model::ActionId;
use serde::Deserialize;

use super::login::{INVENTORY_ID, action, action_with_id, answer};
use super::{Frames, Message, action as actions, inventory};
use crate::switch::{
    Acted, Action, ActionOptions, CannotAct, Inventory, ProtocolError, ProtocolEvent, Refusal, Secret,
    SwitchProtocol, Transmit, without_quotations,
};

/// First bytes of an Asterisk's manager.
pub(super) const GREETING: &[u8] = b"Asterisk Call Manager";

/// Classes of events that are asked for.
const EVENTS: &str = "system,call,agent,dialplan,dtmf";

/// Questions after the log-in: what began or ended while nobody listened.
const LISTINGS: [&str; 3] = ["CoreShowChannels", "ParkedCalls", "QueueStatus"];

/// Settings that a source has beside those of all switches.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Options {
    pub(super) user: String,
    pub(super) secret: Secret,
    #[serde(default)]
    pub(super) plain_login: bool,
    pub(super) events: Option<String>,
    #[serde(default = "yes")]
    pub(super) fill_directory: bool,
    #[serde(flatten)]
    pub(super) actions: ActionOptions,
}

const fn yes() -> bool {
    true
}

/// Phase of the log-in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Greeting,
    Challenge,
    Login,
    Up,
}

/// Conversation with one manager.
pub(super) struct AmiProtocol {
    address: String,
    options: Options,
    frames: Frames,
    phase: Phase,
    transmit: VecDeque<Vec<u8>>,
    questions: Questions,
    acting: Acting,
}

/// Actions on calls that are under way.
#[derive(Default)]
struct Acting {
    /// Number of answers that are due to each, and the best of those that have come.
    open: Vec<(ActionId, usize, Option<Acted>)>,
    /// What was asked for, as the tracker is to know it.
    notes: VecDeque<String>,
    /// What was answered, and is not told yet.
    answered: VecDeque<(ActionId, Acted)>,
    /// It was asked for the list of what we may ask for, and has not given it.
    lists_rights: bool,
}

/// Id of the question of what we may ask for.
const RIGHTS_ID: &str = "hookswitch-rights";

/// The actions by which calls are acted on.
const ACTIONS: [&str; 9] = [
    "BlindTransfer",
    "Bridge",
    "Hangup",
    "MixMonitor",
    "MixMonitorMute",
    "MuteAudio",
    "Originate",
    "Park",
    "Redirect",
];

/// What to do about actions that a manager does not list as those that its user may ask for.
const MAY_NOT_ACT: &str = "the source has control = true, and its user may not ask for all that acts on calls; give it \
                           write = reporting,system,call,originate in manager.conf, and load the modules of the actions";

/// Returns what a list of the actions that we may ask for lacks.
fn missing_rights(list: &Message<'_>) -> ProtocolEvent {
    let missing: Vec<&str> = ACTIONS.into_iter().filter(|name| list.value(name).is_none()).collect();
    if missing.is_empty() {
        return ProtocolEvent::PassedOver;
    }
    let question = "ListCommands".to_owned();
    ProtocolEvent::Refused(Refusal {
        question,
        text: format!("without {}", missing.join(", ")),
        hint: MAY_NOT_ACT,
    })
}

impl Acting {
    /// Takes the answer to an action, which is told when all answers have come that are due to it.
    fn take(&mut self, message: &Message<'_>) {
        let Some((id, _)) = message.value("ActionID").and_then(actions::read_id) else { return };
        let Some(at) = self.open.iter().position(|(open, ..)| *open == id) else { return };
        let (_, due, best) = &mut self.open[at];
        *due -= 1;
        *best = Some(Acted::and(best.take(), actions::answer(message)));
        if *due == 0 {
            let (id, _, best) = self.open.swap_remove(at);
            self.answered.push_back((id, best.unwrap_or(Acted::Taken)));
        }
    }
}

/// Questions of what goes on and of what the switch has, and how far the answers are.
#[derive(Default)]
struct Questions {
    /// How often they were asked.
    rounds: u32,
    /// An answer has come, so that the switch was asked before what it says from here on.
    answered: bool,
    /// It has more to say than when it was asked.
    ask_again: bool,
    /// All its modules are loaded.
    is_booted: bool,
    /// It does not know a question: it has no such module, or has not loaded it yet.
    is_partial: bool,
    /// Inventory so far.
    inventory: Inventory,
    /// It has answered all, and that is not told yet.
    is_complete: bool,
    /// It is told.
    is_told: bool,
    /// Number of signs of life that were asked for since.
    probes: u32,
}

/// Time for which an answer is held that may be one of a switch that still boots, in signs of life that are asked for: one
/// that was booted says so at once, if its user may read the class `system`. After the second the rest is taken to be
/// all that there is.
const PROBES_MAX: u32 = 2;

impl Questions {
    /// Id of the action behind the questions of this round.
    fn id(&self) -> String {
        format!("{INVENTORY_ID}-{}", self.rounds)
    }

    /// Gives what the switch has, once; while it may still boot, that waits.
    fn take(&mut self) -> Option<Box<Inventory>> {
        let is_all = self.is_booted || self.probes >= if self.is_partial { PROBES_MAX } else { 1 };
        if !(self.is_complete && is_all) {
            return None;
        }
        self.is_complete = false;
        self.is_told = true;
        Some(Box::new(std::mem::take(&mut self.inventory)))
    }
}

impl AmiProtocol {
    pub(super) fn new(address: &str, options: Options) -> Self {
        Self {
            address: address.to_owned(),
            options,
            frames: Frames::default(),
            phase: Phase::Greeting,
            transmit: VecDeque::new(),
            questions: Questions::default(),
            acting: Acting::default(),
        }
    }

    fn send(&mut self, text: String) {
        self.transmit.push_back(text.into_bytes());
    }

    /// Sends the log-in, with the secret or with the answer to a challenge.
    fn log_in(&mut self, challenge: Option<&[u8]>) -> Result<(), ProtocolError> {
        let Options { user, secret, events, .. } = &self.options;
        let events = events.as_deref().unwrap_or(EVENTS);
        let login = if let Some(challenge) = challenge {
            let key = answer(challenge, secret.expose());
            let fields = [("AuthType", "MD5"), ("Username", &**user), ("Key", &*key), ("Events", events)];
            action("Login", &fields)?
        } else {
            let fields = [("Username", &**user), ("Secret", secret.expose()), ("Events", events)];
            action("Login", &fields)?
        };
        self.send(login);
        self.phase = Phase::Login;
        Ok(())
    }

    /// Takes a message during the log-in; true when it is done.
    fn handle_login(&mut self, bytes: &[u8]) -> Result<bool, ProtocolError> {
        let message = Message::new(bytes);
        if self.phase == Phase::Greeting {
            if message.event().is_some() {
                return Ok(false);
            }
            if !bytes.starts_with(GREETING) {
                let said = format!("what answers at {} is no manager of an Asterisk", self.address);
                return Err(ProtocolError(said));
            }
            if self.options.plain_login {
                self.log_in(None)?;
            } else {
                self.send(action("Challenge", &[("AuthType", "MD5")])?);
                self.phase = Phase::Challenge;
            }
            return Ok(false);
        }
        if message.response().is_none() {
            return Ok(false);
        }
        if self.phase == Phase::Challenge {
            let Some(challenge) = message.value("Challenge") else {
                let said = "the manager gives no challenge; set plain_login = true for this source";
                return Err(ProtocolError(said.to_owned()));
            };
            self.log_in(Some(challenge))?;
            return Ok(false);
        }
        if message.response() != Some(b"Success") {
            // Some repeat what they were told.
            let text = said(&message).replace(self.options.secret.expose(), "…");
            return Err(ProtocolError(format!(
                "the manager refuses the login of {:?}: {text}; compare user and secret with manager.conf",
                self.options.user
            )));
        }
        self.phase = Phase::Up;
        self.ask()?;
        Ok(true)
    }

    /// Asks for what goes on, and for what the switch has.
    fn ask(&mut self) -> Result<(), ProtocolError> {
        let mut text = String::new();
        for name in LISTINGS {
            text.push_str(&action(name, &[])?);
        }
        let Questions { rounds, is_booted, probes, .. } = self.questions;
        self.questions = Questions { rounds: rounds + 1, is_booted, probes, ..Questions::default() };
        if self.options.fill_directory {
            for name in inventory::QUESTIONS {
                text.push_str(&action(name, &[])?);
            }
            // Answers come in the order of the questions: when this has come, all have.
            text.push_str(&action_with_id("Ping", &self.questions.id(), &[])?);
        }
        self.send(text);
        Ok(())
    }
}

/// Takes a message after the log-in.
fn handle_message(questions: &mut Questions, bytes: &[u8], out: &mut Vec<u8>) -> ProtocolEvent {
    let message = Message::new(bytes);
    if message.event() == Some(b"FullyBooted") {
        questions.is_booted = true;
        questions.ask_again |= questions.answered;
        return ProtocolEvent::PassedOver;
    }
    questions.answered |= message.response().is_some();
    questions.is_partial |= is_unknown(&message);
    if message.counts() {
        out.extend_from_slice(bytes);
        return ProtocolEvent::Message;
    }
    inventory::take(&mut questions.inventory, &message);
    if message.value("ActionID") == Some(questions.id().as_bytes()) {
        questions.is_complete = !questions.is_told;
        return questions.take().map_or(ProtocolEvent::PassedOver, ProtocolEvent::Inventory);
    }
    if message.response() == Some(b"Error") && message.value("ActionID").and_then(actions::read_id).is_none()
    {
        let is_forbidden = message.value("Message") == Some(b"Permission denied");
        return ProtocolEvent::Refused(Refusal {
            question: String::new(),
            text: said(&message),
            hint: if is_forbidden { MAY_NOT_ASK } else { "" },
        });
    }
    ProtocolEvent::PassedOver
}

/// Advice about an action that the user may not send.
const MAY_NOT_ASK: &str = "the manager refuses an action; its user needs write = reporting to be asked what goes on, \
                           and write = reporting,system,call to be asked for its phones, or fill_directory = false";

/// Returns `true` if an action is not known: its module is not loaded, or not yet.
fn is_unknown(message: &Message<'_>) -> bool {
    message.response() == Some(b"Error")
        && message.value("Message").is_some_and(|text| text.starts_with(b"Invalid/unknown command"))
}

/// Returns what the manager says of an action, without what it quotes and without long numbers.
fn said(message: &Message<'_>) -> String {
    without_quotations(&String::from_utf8_lossy(message.value("Message").unwrap_or_default()))
}

impl SwitchProtocol for AmiProtocol {
    fn handle_input(&mut self, bytes: &[u8]) {
        self.frames.push(bytes);
    }

    fn poll_event(&mut self, out: &mut Vec<u8>) -> Result<Option<ProtocolEvent>, ProtocolError> {
        while self.phase != Phase::Up {
            let Some(message) = self.frames.next_message().map(<[u8]>::to_vec) else { return Ok(None) };
            if self.handle_login(&message)? {
                return Ok(Some(ProtocolEvent::LoggedIn));
            }
        }
        if let Some(inventory) = self.questions.take() {
            return Ok(Some(ProtocolEvent::Inventory(inventory)));
        }
        if let Some(note) = self.acting.notes.pop_front() {
            out.extend_from_slice(note.as_bytes());
            return Ok(Some(ProtocolEvent::Message));
        }
        if let Some((id, acted)) = self.acting.answered.pop_front() {
            return Ok(Some(ProtocolEvent::Acted(id, acted)));
        }
        let acting = &mut self.acting;
        let message = self.frames.next_message();
        let event = message.map(|message| {
            let read = Message::new(message);
            acting.take(&read);
            if acting.lists_rights && read.value("ActionID") == Some(RIGHTS_ID.as_bytes()) {
                acting.lists_rights = false;
                return missing_rights(&read);
            }
            handle_message(&mut self.questions, message, out)
        });
        if self.questions.ask_again {
            self.ask()?;
        }
        Ok(event)
    }

    fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmit.pop_front().map(Transmit::Bytes)
    }

    fn act(&mut self, id: ActionId, action: &Action) -> Result<(), CannotAct> {
        let written = actions::write(id, action, &self.options.actions)?;
        if actions::counts(&Message::new(written.text.as_bytes())) {
            self.acting.notes.push_back(written.text.clone());
        }
        self.acting.open.push((id, written.answers, None));
        self.send(written.text);
        Ok(())
    }

    fn check_rights(&mut self) {
        self.acting.lists_rights = true;
        self.transmit.extend(action_with_id("ListCommands", RIGHTS_ID, &[]).ok().map(String::into_bytes));
    }

    fn is_answered(&self) -> bool {
        !self.acting.lists_rights
    }

    fn probe(&mut self) {
        self.transmit.extend(action("Ping", &[]).ok().map(String::into_bytes)); // it has no values
        self.questions.probes += 1;
        // It may have loaded more by now, and its user may not be told of that.
        if self.questions.is_complete && self.questions.is_partial && self.questions.probes < PROBES_MAX {
            self.questions.ask_again = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENDPOINT: &str = "Event: EndpointList\r\nObjectName: 101\r\n\r\n";
    const BOOTED: &str = "Event: FullyBooted\r\nStatus: Fully Booted\r\n\r\n";
    const UNKNOWN: &str = "Response: Error\r\nActionID: hookswitch\r\nMessage: Invalid/unknown command: \
                           PJSIPShowEndpoints. Use Action: ListCommands to show available commands.\r\n\r\n";

    fn logged_in() -> AmiProtocol {
        let options = Options {
            user: "me".to_owned(),
            secret: Secret::default(),
            plain_login: true,
            events: None,
            fill_directory: true,
            actions: ActionOptions::default(),
        };
        let mut protocol = AmiProtocol::new("192.0.2.1:5038", options);
        let login =
            "Asterisk Call Manager/11.0.0\r\nResponse: Success\r\nMessage: Authentication accepted\r\n\r\n";
        assert_eq!(says(&mut protocol, login), [ProtocolEvent::LoggedIn]);
        asked(&mut protocol);
        protocol
    }

    /// Returns what comes of what the manager says.
    fn says(protocol: &mut AmiProtocol, text: &str) -> Vec<ProtocolEvent> {
        protocol.handle_input(text.as_bytes());
        let mut events = Vec::new();
        while let Some(event) = protocol.poll_event(&mut Vec::new()).expect("a manager") {
            if event != ProtocolEvent::PassedOver {
                events.push(event);
            }
        }
        events
    }

    /// Names of the actions that are sent.
    fn asked(protocol: &mut AmiProtocol) -> String {
        let mut text = Vec::new();
        while let Some(Transmit::Bytes(bytes)) = protocol.poll_transmit() {
            text.extend(bytes);
        }
        String::from_utf8(text).expect("text")
    }

    fn pong(round: u32) -> String {
        format!("Response: Success\r\nActionID: hookswitch-inventory-{round}\r\nPing: Pong\r\n\r\n")
    }

    fn has_endpoint(events: &[ProtocolEvent]) -> Vec<bool> {
        let inventory = |event: &ProtocolEvent| match event {
            ProtocolEvent::Inventory(inventory) => Some(inventory.endpoints.contains("101")),
            _ => None,
        };
        events.iter().filter_map(inventory).collect()
    }

    #[test]
    fn a_switch_that_was_booted_is_asked_once() {
        let mut protocol = logged_in();
        let events = says(&mut protocol, &[BOOTED, ENDPOINT, &pong(1)].concat());
        assert_eq!(has_endpoint(&events), [true]);
        assert_eq!(asked(&mut protocol), "");
        protocol.probe();
        assert!(has_endpoint(&says(&mut protocol, &pong(1))).is_empty(), "it is told once");
    }

    #[test]
    fn a_switch_that_boots_is_asked_again_when_it_has_and_tells_nothing_before() {
        let mut protocol = logged_in();
        let events = says(&mut protocol, &[UNKNOWN, &pong(1)].concat());
        assert!(
            matches!(&events[..], [ProtocolEvent::Refused(refusal)] if refusal.hint.is_empty()),
            "{events:?}"
        );
        assert!(says(&mut protocol, BOOTED).is_empty());
        let again = asked(&mut protocol);
        for name in ["CoreShowChannels", "QueueStatus", "PJSIPShowEndpoints", "hookswitch-inventory-2"] {
            assert!(again.contains(name), "{again}");
        }
        assert!(says(&mut protocol, &pong(1)).is_empty(), "the answer of the first round");
        assert_eq!(has_endpoint(&says(&mut protocol, &[ENDPOINT, &pong(2)].concat())), [true]);
    }

    #[test]
    fn who_may_not_hear_that_a_switch_has_booted_asks_again_for_some_time() {
        let mut protocol = logged_in();
        says(&mut protocol, &[UNKNOWN, &pong(1)].concat());
        protocol.probe();
        says(&mut protocol, "");
        assert!(asked(&mut protocol).contains("PJSIPShowEndpoints"));
        assert!(has_endpoint(&says(&mut protocol, &[ENDPOINT, UNKNOWN, &pong(2)].concat())).is_empty());
        protocol.probe();
        assert_eq!(has_endpoint(&says(&mut protocol, "")), [true], "the rest is not there");
        // Where all questions are known, the first sign of life is enough.
        let mut protocol = logged_in();
        assert!(says(&mut protocol, &[ENDPOINT, &pong(1)].concat()).is_empty());
        protocol.probe();
        assert_eq!(has_endpoint(&says(&mut protocol, "")), [true]);
    }

    #[test]
    fn an_action_that_is_forbidden_is_said_with_what_to_do() {
        let mut protocol = logged_in();
        let denied = "Response: Error\r\nMessage: Permission denied\r\n\r\n";
        let events = says(&mut protocol, denied);
        assert!(matches!(&events[..], [ProtocolEvent::Refused(refusal)] if refusal.hint == MAY_NOT_ASK));
    }

    fn id() -> ActionId {
        ActionId::from_bits(1)
    }

    fn hang_up(channels: &[&str]) -> Action {
        let channels = channels.iter().map(|&channel| channel.to_owned()).collect();
        Action::HangUp { channels, end: crate::switch::End::Cleared }
    }

    fn response(kind: &str, message: &str) -> String {
        format!("Response: {kind}\r\nActionID: hookswitch-act-{}\r\nMessage: {message}\r\n\r\n", id())
    }

    #[test]
    fn an_action_is_answered_once_all_of_its_parts_are_and_was_taken_if_one_was() {
        let mut protocol = logged_in();
        assert_eq!(protocol.act(id(), &hang_up(&["1.1", "1.2"])), Ok(()));
        assert_eq!(asked(&mut protocol).matches("Action: Hangup").count(), 2);
        assert_eq!(says(&mut protocol, &response("Success", "Channel Hungup")), []);
        // The other channel has gone with the first.
        let events = says(&mut protocol, &response("Error", "No such channel"));
        assert_eq!(events, [ProtocolEvent::Acted(id(), Acted::Taken)]);
        assert_eq!(says(&mut protocol, &response("Success", "Channel Hungup")).len(), 0, "nothing is due");
    }

    #[test]
    fn an_action_that_is_forbidden_is_the_concern_of_who_asked() {
        let mut protocol = logged_in();
        assert_eq!(protocol.act(id(), &hang_up(&["1.1"])), Ok(()));
        let events = says(&mut protocol, &response("Error", "Permission denied"));
        assert!(matches!(&events[..], [ProtocolEvent::Acted(_, Acted::Refused(_))]), "{events:?}");
        assert!(protocol.act(id(), &Action::Answer { own: "1.1".to_owned() }).is_err());
        assert_eq!(
            asked(&mut protocol).matches("PJSIPNotify").count(),
            0,
            "nothing is sent that cannot be done"
        );
    }

    #[test]
    fn rights_that_are_missing_are_named() {
        let mut protocol = logged_in();
        protocol.check_rights();
        assert!(!protocol.is_answered() && asked(&mut protocol).starts_with("Action: ListCommands\r\n"));
        let list = |names: &[&str]| {
            let lines = names.join(": does it. (Priv: all)\r\n") + ": does it. (Priv: all)";
            format!("Response: Success\r\nActionID: hookswitch-rights\r\n{lines}\r\n\r\n")
        };
        let events = says(&mut protocol, &list(&ACTIONS[2..]));
        assert!(
            matches!(&events[..], [ProtocolEvent::Refused(refusal)] if refusal.text == "without BlindTransfer, Bridge"),
            "{events:?}"
        );
        protocol.check_rights();
        assert_eq!(says(&mut protocol, &list(&ACTIONS)), []);
        assert!(protocol.is_answered());
    }

    #[test]
    fn what_no_event_tells_of_is_told_by_the_answer() {
        let mut protocol = logged_in();
        let mute = Action::Mute { own: "1.1".to_owned(), on: true };
        assert_eq!(protocol.act(id(), &mute), Ok(()));
        let answer = format!("Response: Success\r\nActionID: hookswitch-act-{}/mute/1.1\r\n\r\n", id());
        let events = says(&mut protocol, &answer);
        assert_eq!(events, [ProtocolEvent::Message, ProtocolEvent::Acted(id(), Acted::Taken)]);
    }
}
