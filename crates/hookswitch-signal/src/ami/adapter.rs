//! Asterisk's manager as one of the adapters.

use std::io::Write as _;

use hookswitch_model::{AccountId, ActionId, InputRef, LegId, Signal, Timestamp};

use super::protocol::{AmiProtocol, GREETING, Options};
use super::{AmiTracker, Message, action, anonymise, lines};
use crate::switch::{
    Action, Adapter, CallNames, CannotAct, ChannelView, Counters, Replacements, SettingsError,
    SourceSettings, SwitchProtocol, SwitchTracker, Transcript, Words, check_actions, is_one_line, seconds,
    sip_name, with_action_keys,
};

/// Asterisk, by its manager.
pub(crate) struct Ami;

impl Ami {
    fn options(settings: &SourceSettings<'_>) -> Result<Options, SettingsError> {
        settings.options.read(settings.name)
    }
}

impl Adapter for Ami {
    fn name(&self) -> &'static str {
        "ami"
    }

    fn words(&self) -> &'static Words {
        &Words {
            product: "an Asterisk",
            protocol: "AMI",
            peer: "manager",
            connection: "manager connection",
            connections: "manager connections",
            accepted: "",
            transcript: "Asterisk's manager",
        }
    }

    fn summary_name(&self) -> &'static str {
        "asterisk"
    }

    fn transcript(&self) -> Transcript {
        Transcript::TimedMessages
    }

    fn begins_transcript(&self, start: &[u8]) -> bool {
        start.trim_ascii_start().starts_with(b";; ")
    }

    fn write_entry(&self, at: Timestamp, message: &[u8], out: &mut Vec<u8>) {
        let _ = write!(out, ";; {at} {}\r\n", seconds(at)); // writing to memory does not fail
        out.extend_from_slice(message.trim_ascii_end());
        out.extend_from_slice(b"\r\n\r\n");
    }

    fn title(&self, message: &[u8]) -> String {
        Message::new(message).title()
    }

    fn call_names(&self, message: &[u8]) -> CallNames {
        let mut names = CallNames::default();
        let mut names_call_id = false;
        for (key, value) in lines(message) {
            let is_id = key.ends_with(b"niqueid") || key.ends_with(b"inkedid");
            if is_id && value.iter().any(u8::is_ascii_digit) {
                names.leading.push([b"ami:", value].concat());
            }
            if key == b"ActionID" {
                let channels = value.split(|&byte| byte == b'/').skip(2);
                names.leading.extend(channels.map(|id| [b"ami:", id].concat()));
            }
            names_call_id |= key == b"Variable" && memchr::memmem::find(value, b"CALLID").is_some();
            if names_call_id && key == b"Value" {
                names.leading.push(sip_name(value));
            }
        }
        names
    }

    fn anonymise(&self, message: &[u8], others: &mut dyn Replacements) -> Vec<u8> {
        anonymise::message(others, message)
    }

    fn keys(&self) -> &'static [&'static str] {
        const OWN: [&str; 5] = ["user", "secret", "plain_login", "events", "fill_directory"];
        const ALL: [&str; 14] = with_action_keys(OWN);
        &ALL
    }

    fn check(&self, settings: &SourceSettings<'_>) -> Result<(), SettingsError> {
        let Options { user, secret, events, actions, .. } = Self::options(settings)?;
        check_actions(settings.name, &actions)?;
        if ![&*user, secret.expose(), events.as_deref().unwrap_or_default()].into_iter().all(is_one_line) {
            return Err(SettingsError(format!(
                "user, secret or events of the AMI source {:?} hold a line end; write each on one line",
                settings.name
            )));
        }
        if !settings.has_port() {
            return Err(SettingsError(format!(
                "{:?} is no address of a manager; write it as \"192.0.2.10:5038\"",
                settings.address
            )));
        }
        Ok(())
    }

    fn exposes_secret(&self, settings: &SourceSettings<'_>) -> Option<&'static str> {
        let is_plain = Self::options(settings).is_ok_and(|options| options.plain_login);
        (is_plain && !settings.over_tls).then_some("set plain_login = false, or tls_ca")
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
        Ok(Box::new(AmiProtocol::new(settings.address, Self::options(settings)?)))
    }
}

impl SwitchTracker for AmiTracker {
    fn new(account: AccountId, source: u16) -> Self {
        Self::new(account, source)
    }

    fn handle(&mut self, message: &[u8], at: Timestamp, input: InputRef, out: &mut Vec<Signal>) {
        self.handle(message, at, input, out);
    }

    fn handle_time(&mut self, now: Timestamp, out: &mut Vec<Signal>) {
        self.handle_time(now, out);
    }

    // Its list of channels has a beginning of its own, so that a connection says nothing more.

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
        self.number(id.as_bytes()).map(|number| self.leg(number))
    }
}
