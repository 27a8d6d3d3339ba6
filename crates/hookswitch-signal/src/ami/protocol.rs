//! The conversation on a manager connection: greeting, challenge, log-in, and what goes on.

use std::collections::VecDeque;

use serde::Deserialize;

use super::login::{INVENTORY_ID, action, action_with_id, answer};
use super::{Frames, Message, inventory};
use crate::switch::{
    Inventory, ProtocolError, ProtocolEvent, Refusal, Secret, SwitchProtocol, without_quotations,
};

/// What an Asterisk's manager says first.
pub(super) const GREETING: &[u8] = b"Asterisk Call Manager";

/// Classes of events that are asked for.
const EVENTS: &str = "system,call,agent,dialplan,dtmf";

/// What is asked after the log-in: what began or ended while nobody listened.
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
}

const fn yes() -> bool {
    true
}

/// How far the log-in is.
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
    /// What the switch says of itself, while it is asked.
    inventory: Option<Inventory>,
}

impl AmiProtocol {
    pub(super) fn new(address: &str, options: Options) -> Self {
        let inventory = options.fill_directory.then(Inventory::default);
        Self {
            address: address.to_owned(),
            options,
            frames: Frames::default(),
            phase: Phase::Greeting,
            transmit: VecDeque::new(),
            inventory,
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
        if self.inventory.is_some() {
            for name in inventory::QUESTIONS {
                text.push_str(&action(name, &[])?);
            }
            // Answers come in the order of the questions: when this has come, all have.
            text.push_str(&action_with_id("Ping", INVENTORY_ID, &[])?);
        }
        self.send(text);
        Ok(())
    }
}

/// Takes a message after the log-in.
fn handle_message(inventory: &mut Option<Inventory>, bytes: &[u8], out: &mut Vec<u8>) -> ProtocolEvent {
    let message = Message::new(bytes);
    if message.counts() {
        out.extend_from_slice(bytes);
        return ProtocolEvent::Message;
    }
    if message.value("ActionID") == Some(INVENTORY_ID.as_bytes())
        && let Some(inventory) = inventory.take()
    {
        return ProtocolEvent::Inventory(Box::new(inventory));
    }
    if let Some(inventory) = inventory {
        inventory::take(inventory, &message);
    }
    if message.response() == Some(b"Error") {
        return ProtocolEvent::Refused(Refusal {
            question: String::new(),
            text: said(&message),
            hint: "the manager refuses an action; its user needs write = reporting to be asked what goes on, and \
                   write = reporting,system,call to be asked for its phones",
        });
    }
    ProtocolEvent::PassedOver
}

/// What the manager says of an action, without what it quotes and without long numbers.
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
        let message = self.frames.next_message();
        Ok(message.map(|message| handle_message(&mut self.inventory, message, out)))
    }

    fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.transmit.pop_front()
    }

    fn probe(&mut self) {
        self.transmit.extend(action("Ping", &[]).ok().map(String::into_bytes)); // it has no values
    }
}
