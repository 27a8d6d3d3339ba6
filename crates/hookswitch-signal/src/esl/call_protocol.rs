//! The conversation on a connection that a FreeSWITCH has made for one call (the dialplan application `socket`).

use std::collections::VecDeque;

use super::command::{command, events};
use super::protocol::{EventFormat, is_reply};
use super::{Frames, Message, lost_channel};
use crate::switch::{ConnectionEnd, ProtocolError, ProtocolEvent, SwitchProtocol, Transmit};

/// For how many seconds what comes of a call is told after its hang-up.
const LINGER_SECONDS: &str = "10";

/// The headers that name the caller's channel in the events of its call.
const HEADERS: [&str; 5] = [
    "Unique-ID",
    "Other-Leg-Unique-ID",
    "Channel-Call-UUID",
    "CC-Member-Session-UUID",
    "variable_cc_member_session_uuid",
];

/// The variable that says where a call goes on in the dialplan.
const NEXT: &str = "variable_hookswitch_next";

/// Conversation about one call.
pub(super) struct CallProtocol {
    format: EventFormat,
    frames: Frames,
    transmit: VecDeque<Vec<u8>>,
    /// Commands that are sent one after the other, each when the one before was taken.
    commands: VecDeque<String>,
    /// The command that is not answered yet; none before the channel is known.
    asked: Option<String>,
    /// Report of the switch about the channel at the beginning, until it is told.
    begun: Option<Vec<u8>>,
    uuid: String,
    /// Place where the call goes on in the dialplan, as it is sent.
    next: Option<String>,
    is_up: bool,
    /// The channel has ended.
    is_down: bool,
}

impl CallProtocol {
    pub(super) fn new(format: EventFormat) -> Result<Self, ProtocolError> {
        Ok(Self {
            format,
            frames: Frames::default(),
            transmit: [command(&["connect"])?.into_bytes()].into(),
            commands: VecDeque::new(),
            asked: None,
            begun: None,
            uuid: String::new(),
            next: None,
            is_up: false,
            is_down: false,
        })
    }

    /// Takes an answer during the log-in; true when it is done.
    fn handle_login(&mut self, bytes: &[u8]) -> Result<bool, ProtocolError> {
        let message = Message::new(bytes);
        if !is_reply(&message) {
            return Ok(false);
        }
        if let Some(command) = self.asked.take() {
            let answer = String::from_utf8_lossy(message.header("Reply-Text").unwrap_or_default());
            let words = command.trim_end();
            if !answer.starts_with("+OK") {
                return Err(ProtocolError(format!(
                    "{words:?} is refused: {answer}; call `socket` with async full"
                )));
            }
        } else {
            self.begin(bytes)?;
        }
        if let Some(command) = self.commands.pop_front() {
            self.transmit.push_back(command.clone().into_bytes());
            self.asked = Some(command);
            return Ok(false);
        }
        // The call waits for what is said here, and goes on where its dialplan says.
        self.transmit.extend(self.next.take().map(String::into_bytes));
        self.is_up = true;
        Ok(true)
    }

    /// Takes what the switch says of the channel at the beginning.
    fn begin(&mut self, bytes: &[u8]) -> Result<(), ProtocolError> {
        let channel = Message::new(bytes);
        let Some(uuid) = channel.channel_data("Unique-ID") else {
            return Err(ProtocolError("what has connected is no call of a FreeSWITCH".to_owned()));
        };
        if uuid.is_empty() || uuid.contains(char::is_whitespace) {
            return Err(ProtocolError("the call that has connected has no id".to_owned()));
        }
        self.commands.push_back(command(&["linger", LINGER_SECONDS])?);
        for header in HEADERS {
            self.commands.push_back(command(&["filter", header, &uuid])?);
        }
        self.commands.push_back(events(self.format.as_str())?);
        if let Some(next) = channel.channel_data(NEXT).filter(|next| !next.is_empty()) {
            let lines = ["sendmsg", "call-command: execute", "execute-app-name: transfer"];
            let argument = command(&["execute-app-arg:", &next])?;
            self.next = Some(format!("{}\n{argument}", lines.join("\n")));
        }
        self.uuid = uuid.into_owned();
        self.begun = Some(bytes.to_vec());
        Ok(())
    }
}

impl SwitchProtocol for CallProtocol {
    fn handle_input(&mut self, bytes: &[u8]) {
        self.frames.push(bytes);
    }

    fn poll_event(&mut self, out: &mut Vec<u8>) -> Result<Option<ProtocolEvent>, ProtocolError> {
        if self.is_up
            && let Some(begun) = self.begun.take()
        {
            out.extend_from_slice(&begun);
            return Ok(Some(ProtocolEvent::Message));
        }
        while !self.is_up {
            let Some(message) = self.frames.next_message().map(<[u8]>::to_vec) else { return Ok(None) };
            if self.handle_login(&message)? {
                return Ok(Some(ProtocolEvent::LoggedIn));
            }
        }
        let Some(bytes) = self.frames.next_message() else { return Ok(None) };
        let message = Message::new(bytes);
        if message.content_type() == b"text/disconnect-notice" {
            if message.header("Content-Disposition") == Some(b"linger") {
                self.is_down = true;
                return Ok(Some(ProtocolEvent::PassedOver));
            }
            return Err(ProtocolError("the switch says that it closes the connection".to_owned()));
        }
        if message.counts() {
            out.extend_from_slice(bytes);
            return Ok(Some(ProtocolEvent::Message));
        }
        Ok(Some(ProtocolEvent::PassedOver))
    }

    fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmit.pop_front().map(Transmit::Bytes)
    }

    fn probe(&mut self) {
        self.transmit.extend(command(&["getvar", "uuid"]).ok().map(String::into_bytes)); // it is one line
    }

    fn handle_end(&mut self, out: &mut Vec<u8>) -> ConnectionEnd {
        if self.is_down {
            return ConnectionEnd::Expected;
        }
        if !self.uuid.is_empty() {
            lost_channel(&self.uuid, out);
        }
        ConnectionEnd::Lost
    }
}
