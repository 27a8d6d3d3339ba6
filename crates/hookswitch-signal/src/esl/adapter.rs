//! FreeSWITCH's event socket as one of the adapters.

use std::borrow::Cow;
use std::io::Write as _;

use hookswitch_model::{AccountId, ActionId, InputRef, LegId, Signal, Timestamp};

use super::call_protocol::CallProtocol;
use super::protocol::{EslProtocol, GREETING, Options};
use super::{EslTracker, Message, action, anonymise, names};
use crate::switch::{
    Action, Adapter, CallNames, CannotAct, ChannelView, Counters, Replacements, Secret, SettingsError,
    SourceSettings, SwitchProtocol, SwitchTracker, Transcript, Words, check_actions, is_one_line, seconds,
    with_action_keys,
};

/// FreeSWITCH, by its event socket.
pub(crate) struct Esl;

impl Esl {
    fn options(settings: &SourceSettings<'_>) -> Result<Options, SettingsError> {
        settings.options.read(settings.name)
    }
}

impl Adapter for Esl {
    fn name(&self) -> &'static str {
        "esl"
    }

    fn words(&self) -> &'static Words {
        &Words {
            product: "a FreeSWITCH",
            protocol: "ESL",
            peer: "event socket",
            connection: "event socket connection",
            connections: "event sockets",
            accepted: "connection of a call",
            transcript: "FreeSWITCH's event socket",
        }
    }

    fn summary_name(&self) -> &'static str {
        "freeswitch"
    }

    fn transcript(&self) -> Transcript {
        Transcript::TimedBlocks
    }

    fn begins_transcript(&self, start: &[u8]) -> bool {
        start.trim_ascii_start().starts_with(b"=== ")
    }

    fn write_entry(&self, at: Timestamp, message: &[u8], out: &mut Vec<u8>) {
        let message = as_text(message);
        let _ = writeln!(out, "=== {} {at} in {}", seconds(at), message.len()); // as above
        out.extend_from_slice(&message);
        out.push(b'\n');
    }

    fn title(&self, message: &[u8]) -> String {
        Message::new(message).title()
    }

    fn lists_all_calls(&self, message: &[u8]) -> bool {
        Message::new(message).content_type() == b"api/response"
    }

    fn call_names(&self, message: &[u8]) -> CallNames {
        names::call_names(message)
    }

    fn anonymise(&self, message: &[u8], others: &mut dyn Replacements) -> Vec<u8> {
        anonymise::message(others, message)
    }

    fn keys(&self) -> &'static [&'static str] {
        const ALL: [&str; 12] = with_action_keys(["user", "password", "format"]);
        &ALL
    }

    fn may_connect(&self) -> bool {
        true
    }

    fn check(&self, settings: &SourceSettings<'_>) -> Result<(), SettingsError> {
        let Options { user, password, actions, .. } = Self::options(settings)?;
        check_actions(settings.name, &actions)?;
        let name = settings.name;
        let refuse = |said: String| Err(SettingsError(said));
        if !user.as_deref().is_none_or(is_one_line)
            || !password.as_ref().is_none_or(|password| is_one_line(password.expose()))
        {
            return refuse(format!(
                "user or password of the ESL source {name:?} hold a line end; write each on one line"
            ));
        }
        if settings.address.is_empty() {
            if !settings.may_connect {
                return refuse(format!(
                    "the ESL source {name:?} has neither address nor connects_from; give the address of its event \
                     socket"
                ));
            }
            if password.is_some() || user.is_some() || settings.over_tls {
                return refuse(format!(
                    "the ESL source {name:?} connects by itself, so that user, password and tls_ca are of no use; \
                     leave them out"
                ));
            }
            return Ok(());
        }
        if settings.may_connect {
            return refuse(format!("the ESL source {name:?} has address and connects_from; leave one out"));
        }
        if !settings.has_port() {
            return refuse(format!(
                "{:?} is no address of an event socket; write it as \"192.0.2.10:8021\"",
                settings.address
            ));
        }
        if password.is_none() {
            return refuse(format!(
                "the ESL source {name:?} has no password; give that of event_socket.conf.xml"
            ));
        }
        if user.is_some_and(|user| !user.contains('@') || user.contains([':', ' '])) {
            return refuse(format!(
                "the user of the ESL source {name:?} is none; write it as \"hookswitch@pbx.example.com\""
            ));
        }
        Ok(())
    }

    fn has_secret(&self, settings: &SourceSettings<'_>) -> bool {
        Self::options(settings).is_ok_and(|options| options.password.as_ref().map(Secret::expose).is_some())
    }

    fn check_action(&self, settings: &SourceSettings<'_>, action: &Action) -> Result<(), CannotAct> {
        let options = Self::options(settings).map_err(|error| CannotAct::new(error.to_string()))?;
        action::write(ActionId::from_bits(0), action, &options.actions).map(drop)
    }

    fn acts(&self) -> bool {
        true
    }

    fn greeting(&self) -> &'static [u8] {
        GREETING
    }

    fn connect(&self, settings: &SourceSettings<'_>) -> Result<Box<dyn SwitchProtocol>, SettingsError> {
        Ok(Box::new(EslProtocol::new(settings.name, settings.address, Self::options(settings)?)))
    }

    fn accept(&self, settings: &SourceSettings<'_>) -> Result<Box<dyn SwitchProtocol>, SettingsError> {
        let protocol = CallProtocol::new(Self::options(settings)?.format);
        Ok(Box::new(protocol.map_err(|error| SettingsError(error.to_string()))?))
    }
}

/// A message as it came. Where it is no text, it says how long it is as text, which is what is read of it.
fn as_text(bytes: &[u8]) -> Cow<'_, [u8]> {
    let text = match String::from_utf8_lossy(bytes) {
        Cow::Borrowed(_) => return Cow::Borrowed(bytes),
        Cow::Owned(_) => Message::new(bytes),
    };
    let body = String::from_utf8_lossy(text.body());
    let head = &bytes[..bytes.len() - text.body().len()];
    let mut made = Vec::new();
    for line in String::from_utf8_lossy(head).lines().filter(|line| !line.is_empty()) {
        let is_length = line.to_ascii_lowercase().starts_with("content-length:");
        let length = format!("Content-Length: {}", body.len());
        made.extend_from_slice(if is_length { length.as_bytes() } else { line.as_bytes() });
        made.push(b'\n');
    }
    made.push(b'\n');
    made.extend_from_slice(body.as_bytes());
    Cow::Owned(made)
}

impl SwitchTracker for EslTracker {
    fn new(account: AccountId, source: u16) -> Self {
        Self::new(account, source)
    }

    fn handle(&mut self, message: &[u8], at: Timestamp, input: InputRef, out: &mut Vec<Signal>) {
        self.handle(message, at, input, out);
    }

    fn handle_time(&mut self, now: Timestamp, out: &mut Vec<Signal>) {
        self.handle_time(now, out);
    }

    fn connected(&mut self) {
        self.connected();
    }

    fn handle_lost(&mut self, at: Timestamp, input: InputRef, out: &mut Vec<Signal>) {
        self.handle_lost(at, input, out);
    }

    fn poll_timeout(&self) -> Option<Timestamp> {
        self.poll_timeout()
    }

    fn finish(&mut self, out: &mut Vec<Signal>) {
        self.finish(out);
    }

    fn counters(&self) -> Counters {
        self.counters()
    }

    fn channels(&self) -> usize {
        self.channels()
    }

    fn channel(&self, leg: LegId) -> Option<ChannelView> {
        self.channel(leg)
    }

    fn leg_of(&self, id: &str) -> Option<LegId> {
        self.number(id).map(|number| self.leg(number))
    }
}
