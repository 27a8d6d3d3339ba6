//! The conversation on a connection to an event socket: log-in, questions of what goes on, and what comes.

use std::collections::VecDeque;

use serde::Deserialize;

use super::command::{command, events};
use super::{Frames, Message, listing};
use crate::switch::{ProtocolError, ProtocolEvent, Refusal, Secret, SwitchProtocol, without_quotations};

/// What a FreeSWITCH's event socket says first.
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

/// How far the log-in is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Greeting,
    Password,
    Events,
    Up,
}

/// Conversation with one event socket.
pub(super) struct EslProtocol {
    name: String,
    address: String,
    options: Options,
    frames: Frames,
    phase: Phase,
    transmit: VecDeque<Vec<u8>>,
    /// What was asked and is not answered yet, in this order.
    asked: VecDeque<String>,
    /// What goes on is asked for once more.
    again: bool,
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
            again: true,
        }
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

    /// Takes a message during the log-in; true when it is done.
    fn handle_login(&mut self, bytes: &[u8]) -> Result<bool, ProtocolError> {
        let message = Message::new(bytes);
        let Options { user, password, format } = &self.options;
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
                let events = events(format.as_str())?;
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
        match message.content_type() {
            b"api/response" => return Ok(self.handle_answer(&message, out)),
            b"command/reply" => {
                // Nothing but questions is sent after the login. What the switch says of one may name who calls.
                let question = self.asked.pop_front().unwrap_or_default();
                return Ok(ProtocolEvent::Refused(Refusal {
                    question,
                    text: String::new(),
                    hint: "the event socket refuses a question; esl-allowed-api of the user needs show, valet_info, \
                           conference, fifo, callcenter_config and uptime to be asked what goes on",
                }));
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
            let text = without_quotations(String::from_utf8_lossy(message.body()).trim_end());
            return ProtocolEvent::Refused(Refusal { question, text, hint: "" });
        }
        if question == LIFE {
            return ProtocolEvent::PassedOver;
        }
        if Some(&*question) == listing::QUESTIONS.last().copied() {
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

    fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.transmit.pop_front()
    }

    fn probe(&mut self) {
        if std::mem::take(&mut self.again) {
            self.ask(listing::AGAIN.map(str::to_owned));
        } else {
            self.ask([LIFE.to_owned()]);
        }
    }
}
