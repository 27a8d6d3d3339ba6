//! Asterisk's ARI as one of the adapters.

use std::io::Write as _;

use hookswitch_model::Timestamp;
use serde_json::Value;

use super::anonymise;
use super::event::{self, LISTING};
use super::protocol::{AriProtocol, Options};
use crate::switch::{
    Adapter, CallNames, Replacements, SettingsError, SourceSettings, SwitchProtocol, Transcript, Words,
    is_one_line, seconds, sip_name,
};

/// Asterisk, by its ARI.
pub(crate) struct Ari;

impl Ari {
    fn options(settings: &SourceSettings<'_>) -> Result<Options, SettingsError> {
        settings.options.read(settings.name)
    }
}

impl Adapter for Ari {
    fn name(&self) -> &'static str {
        "ari"
    }

    fn words(&self) -> &'static Words {
        &Words {
            product: "an Asterisk",
            protocol: "ARI",
            peer: "ARI",
            connection: "ARI connection",
            connections: "ARI connections",
            accepted: "",
            transcript: "Asterisk's ARI",
        }
    }

    fn transcript(&self) -> Transcript {
        Transcript::JsonLines
    }

    fn begins_transcript(&self, start: &[u8]) -> bool {
        let start = start.trim_ascii_start();
        let place = |member: &str| memchr::memmem::find(start, member.as_bytes());
        let Some(event) = place("\"event\"").filter(|_| start.starts_with(b"{")) else { return false };
        let is_behind = |member| place(member).is_none_or(|place| place > event);
        let object = start[event + 7..].trim_ascii_start().strip_prefix(b":").map(<[u8]>::trim_ascii_start);
        object.is_some_and(|object| object.starts_with(b"{"))
            && is_behind("\"b64\"")
            && is_behind("\"signal\"")
    }

    fn write_entry(&self, at: Timestamp, message: &[u8], out: &mut Vec<u8>) {
        // On one line, however it came.
        let event: Value = serde_json::from_slice(message).unwrap_or_default();
        let _ = writeln!(out, r#"{{"t": {}, "time": "{at}", "event": {event}}}"#, seconds(at)); // memory takes all
    }

    fn title(&self, message: &[u8]) -> String {
        let event: Value = serde_json::from_slice(message).unwrap_or_default();
        let channel =
            ["channel", "peer", "transferer_first_leg"].map(|member| event[member]["name"].as_str());
        let channel = channel.into_iter().flatten().next().unwrap_or_default();
        format!("{} {channel}", event["type"].as_str().unwrap_or_default()).trim_end().to_owned()
    }

    fn lists_all_calls(&self, message: &[u8]) -> bool {
        event::kind(message) == Some(LISTING)
    }

    fn call_names(&self, message: &[u8]) -> CallNames {
        let event: Value = serde_json::from_slice(message).unwrap_or_default();
        let mut found = Vec::new();
        names(&event, &mut found);
        if self.lists_all_calls(message) {
            CallNames { leading: Vec::new(), listed: found }
        } else {
            CallNames { leading: found, listed: Vec::new() }
        }
    }

    fn anonymise(&self, message: &[u8], others: &mut dyn Replacements) -> Vec<u8> {
        anonymise::message(others, message)
    }

    fn keys(&self) -> &'static [&'static str] {
        &["user", "password", "app", "path"]
    }

    fn check(&self, settings: &SourceSettings<'_>) -> Result<(), SettingsError> {
        let Options { user, password, app, path } = Self::options(settings)?;
        let name = settings.name;
        if !is_one_line(&user) || user.contains(':') || !is_one_line(password.expose()) {
            return Err(SettingsError(format!(
                "user or password of the ARI source {name:?} hold a line end, or the user a colon; write each on one \
                 line, as in ari.conf"
            )));
        }
        let is_word = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if app.is_empty() || !app.bytes().all(is_word) {
            return Err(SettingsError(format!(
                "the app of the ARI source {name:?} is none; write letters, digits, \"-\" and \"_\""
            )));
        }
        if !path.starts_with('/')
            || path.ends_with('/')
            || !path.bytes().all(|byte| is_word(byte) || byte == b'/')
        {
            return Err(SettingsError(format!(
                "the path of the ARI source {name:?} is none; write \"/ari\", behind the prefix of http.conf"
            )));
        }
        if !settings.has_port() {
            return Err(SettingsError(format!(
                "{:?} is no address of an ARI; write it as \"192.0.2.10:8088\"",
                settings.address
            )));
        }
        Ok(())
    }

    fn exposes_secret(&self, settings: &SourceSettings<'_>) -> Option<&'static str> {
        let host = settings.address.rsplit_once(':').map_or("", |(host, _)| host);
        let is_own = host.starts_with("127.") || matches!(host, "localhost" | "[::1]");
        (!is_own && !settings.over_tls).then_some("set tls_ca, and the address of tlsbindaddr in http.conf")
    }

    fn greeting(&self) -> &'static [u8] {
        b"" // it waits for a request
    }

    fn connect(&self, settings: &SourceSettings<'_>) -> Result<Box<dyn SwitchProtocol>, SettingsError> {
        Ok(Box::new(AriProtocol::new(settings.address, Self::options(settings)?)))
    }
}

/// Finds the ids of channels and bridges, and SIP Call-IDs.
fn names(value: &Value, found: &mut Vec<Vec<u8>>) {
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                match (&**key, value) {
                    ("id", Value::String(id)) => found.push([b"ari:", id.as_bytes()].concat()),
                    ("protocol_id", Value::String(id)) if !id.is_empty() => {
                        found.push(sip_name(id.as_bytes()));
                    }
                    _ => names(value, found),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| names(value, found)),
        _ => {}
    }
}
