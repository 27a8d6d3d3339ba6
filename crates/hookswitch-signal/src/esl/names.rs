//! Names by which a message of an event socket belongs to calls.

use super::{Message, action};
use crate::switch::{CallNames, sip_name};

/// Headers and variables of FreeSWITCH whose values are ids of channels.
pub(super) const CHANNEL_IDS: [&str; 13] = [
    "Unique-ID",
    "Other-Leg-Unique-ID",
    "Bridge-A-Unique-ID",
    "Bridge-B-Unique-ID",
    "Bridge-To-UUID",
    "CC-Member-Session-UUID",
    "CC-Agent-UUID",
    "variable_cc_member_session_uuid",
    "variable_fifo_bridge_uuid",
    "variable_originating_leg_uuid",
    "variable_originator",
    "variable_other_loopback_leg_uuid",
    "Channel-Call-UUID",
];

/// Headers and variables in which an id of a channel stands beside other words.
const WITH_IDS: [&str; 3] = ["Application-Data", "variable_transfer_to", "variable_transfer_history"];

/// Returns `true` if a word is an id as FreeSWITCH makes them: 32 hexadecimal digits in five groups.
pub(super) fn is_uuid(word: &str) -> bool {
    word.len() == 36
        && word.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

fn channel_id(id: &str) -> Vec<u8> {
    [b"esl:", id.as_bytes()].concat()
}

/// Names in one message, or in several.
pub(super) fn call_names(bytes: &[u8]) -> CallNames {
    let mut names = CallNames::default();
    let mut rest = bytes;
    while !rest.is_empty() {
        let (message, after) = Message::split(rest);
        rest = after.trim_ascii_start();
        if let Some(note) = message.question().filter(|question| question.starts_with(action::NOTE)) {
            names.leading.extend(note.split(' ').filter(|word| is_uuid(word)).map(channel_id));
            continue;
        }
        if message.question().is_some() {
            let text = String::from_utf8_lossy(message.body());
            let words = text.split(|c: char| c.is_whitespace() || "\"<>|,=".contains(c));
            names.listed.extend(words.filter(|word| !word.is_empty()).map(channel_id));
            continue;
        }
        names.leading.extend(message.lost().map(|id| channel_id(&id)));
        names.leading.extend(message.find("Channel-Call-UUID").map(|id| channel_id(&id)));
        for (key, value) in message.values_read().unwrap_or_default() {
            if CHANNEL_IDS.contains(&key) {
                names.leading.push(channel_id(&value));
            } else if WITH_IDS.contains(&key) {
                let words = value.split(|c: char| !c.is_ascii_hexdigit() && c != '-');
                names.leading.extend(words.filter(|word| is_uuid(word)).map(channel_id));
            } else if key == "variable_sip_call_id" {
                names.leading.push(sip_name(value.as_bytes()));
            }
        }
    }
    names
}
