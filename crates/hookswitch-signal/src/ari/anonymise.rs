//! An event of ARI, with what is read of it and nothing else.

use serde_json::Value;

use super::event::RECORDING;
use crate::switch::Replacements;

/// Members whose values say what happens and name nobody.
const KEPT: [&str; 17] = [
    "type",
    "state",
    "dialstatus",
    "bridge_class",
    "bridge_type",
    "creator",
    "result",
    "is_external",
    "cause",
    "tech_cause",
    "soft",
    "digit",
    "dialplan_app",
    "app_name",
    "variable",
    "priority",
    "technology",
];

/// Members that are events' channels, their parts, and lists.
const PARTS: [&str; 12] = [
    "channel",
    "channels",
    "peer",
    "bridge",
    "bridges",
    "caller",
    "connected",
    "dialplan",
    "transferer_first_leg",
    "transferer_second_leg",
    "transferee",
    "transfer_target",
];

/// Writes an event anew.
pub(super) fn message(all: &mut dyn Replacements, bytes: &[u8]) -> Vec<u8> {
    let mut event: Value = serde_json::from_slice(bytes).unwrap_or_default();
    let names_call =
        event["variable"].as_str().is_some_and(|name| name.contains("CALLID") || name == RECORDING);
    rewrite(all, "", "event", names_call, &mut event);
    event.to_string().into_bytes()
}

/// Rewrites a value; `key` is where it stands, and `part` what that is in.
fn rewrite(all: &mut dyn Replacements, part: &str, key: &str, names_call: bool, value: &mut Value) {
    match value {
        Value::Object(members) => {
            members
                .retain(|name, _| KEPT.contains(&&**name) || PARTS.contains(&&**name) || is_replaced(name));
            // The caller of a dial is a channel, and that of a channel a person.
            let part = if members.contains_key("state") { "channel" } else { key };
            for (name, value) in members {
                rewrite(all, part, name, names_call, value);
            }
        }
        Value::Array(values) => {
            for value in values {
                rewrite(all, part, key, names_call, value);
            }
        }
        Value::String(text) => {
            *text = match (part, key) {
                (_, key) if KEPT.contains(&key) => return,
                ("caller" | "connected", "name") => all.name(text),
                ("bridge" | "bridges", "name") | (_, "number" | "exten") => all.user(text),
                (_, "name") => channel(all, text),
                ("bridge" | "bridges", "channels") | (_, "id") => id(all, text),
                (_, "protocol_id") => all.word(text),
                (_, "value") if names_call => all.word(text),
                _ => all.free(text),
            };
        }
        _ => {}
    }
}

/// Returns `true` if a member is read, and names somebody or may.
fn is_replaced(name: &str) -> bool {
    ["id", "name", "number", "exten", "protocol_id", "value", "dialstring", "forward", "app_data"]
        .contains(&name)
        || name == "dialplan_app_data"
}

/// An id of a channel or a bridge: digits and points say when it began, and of a name before them whose it is.
fn id(all: &mut dyn Replacements, text: &str) -> String {
    let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit() || b".-".contains(&byte));
    match text.rsplit_once('-') {
        _ if plain(text) => text.to_owned(),
        Some((name, rest)) if plain(rest) => format!("{}-{rest}", all.word(name)),
        _ => all.word(text),
    }
}

/// A channel: `PJSIP/101-00000001`, `Local/102@context-00000002;1`.
fn channel(all: &mut dyn Replacements, text: &str) -> String {
    let Some((technology, rest)) = text.split_once('/') else { return all.free(text) };
    let (place, number) = rest.rsplit_once('-').unwrap_or((rest, ""));
    let place = match place.split_once('@') {
        Some((user, context)) => format!("{}@{}", all.user(user), all.word(context)),
        None => all.user(place),
    };
    let dash = if number.is_empty() { "" } else { "-" };
    format!("{technology}/{place}{dash}{number}")
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    /// Puts a text in brackets that say what it was taken for.
    struct Brackets;

    impl Replacements for Brackets {
        fn user(&mut self, text: &str) -> String {
            format!("<user {}>", text.len())
        }

        fn name(&mut self, text: &str) -> String {
            format!("<name {}>", text.len())
        }

        fn word(&mut self, text: &str) -> String {
            format!("<word {}>", text.len())
        }

        fn host(&mut self, text: &str) -> String {
            format!("<host {}>", text.len())
        }

        fn host_port(&mut self, text: &str) -> String {
            self.host(text)
        }

        fn free(&mut self, text: &str) -> String {
            format!("<free {}>", text.len())
        }

        fn ip(&mut self, ip: IpAddr) -> IpAddr {
            ip
        }

        fn is_original(&self, _: &str) -> bool {
            false
        }
    }

    #[test]
    fn what_names_somebody_is_replaced_and_what_nobody_reads_is_left_out() {
        let event = br#"{"type": "Dial", "dialstatus": "", "dialstring": "102", "asterisk_id": "02:00", "application": "x",
            "caller": {"id": "pbx1-1795379667.0", "name": "PJSIP/101-00000000", "state": "Ring", "protocol_id": "a@b",
            "caller": {"name": "Ann Lee", "number": "101"}, "accountcode": "acme",
            "dialplan": {"context": "acme", "exten": "102", "app_name": "Dial", "app_data": "PJSIP/102,15"}},
            "peer": {"id": "1795379667.1", "name": "Local/102@acme-00000001;1", "state": "Down"}}"#;
        let made: Value = serde_json::from_slice(&message(&mut Brackets, event)).expect("JSON");
        let expected = serde_json::json!({
            "type": "Dial", "dialstatus": "", "dialstring": "<free 3>",
            "caller": {
                "id": "<word 4>-1795379667.0", "name": "PJSIP/<user 3>-00000000", "state": "Ring",
                "protocol_id": "<word 3>", "caller": {"name": "<name 7>", "number": "<user 3>"},
                "dialplan": {"exten": "<user 3>", "app_name": "Dial", "app_data": "<free 12>"},
            },
            "peer": {"id": "1795379667.1", "name": "Local/<user 3>@<word 4>-00000001;1", "state": "Down"},
        });
        assert_eq!(made, expected);
    }
}
