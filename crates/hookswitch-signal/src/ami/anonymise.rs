//! A message of an Asterisk's manager, with what is read of it and nothing else.

use std::fmt::Write as _;

use super::lines;
use crate::switch::Replacements;

/// Keys whose values say what happens and name nobody.
const KEPT: [&str; 26] = [
    "Action",
    "Event",
    "Response",
    "EventList",
    "Admin",
    "Application",
    "BridgeType",
    "Cause",
    "ChannelState",
    "DestChannelState",
    "DialStatus",
    "Digit",
    "IsExternal",
    "ListItems",
    "Muted",
    "Operation",
    "Result",
    "State",
    "TechCause",
    "Variable",
    "Message",
    "Status",
    "Priority",
    "Parkinglot",
    "Cause-txt",
    "Restart",
];

/// Keys whose values are numbers or users.
const USERS: [&str; 9] = [
    "CallerIDNum",
    "DestCallerIDNum",
    "Exten",
    "DestExten",
    "Extension",
    "ParkingSpace",
    "Conference",
    "Queue",
    "ConnectedLineNum",
];

/// Keys whose values are names.
const NAMES: [&str; 3] = ["CallerIDName", "DestCallerIDName", "ConnectedLineName"];

/// Keys whose values are channels.
const CHANNELS: [&str; 2] = ["Channel", "DestChannel"];

/// Keys whose values are written by whoever made the dialplan.
const FREE: [&str; 6] = ["AppData", "ApplicationData", "DialString", "ParkerDialString", "Forward", "Value"];

/// Writes a message anew.
pub(super) fn message(all: &mut dyn Replacements, bytes: &[u8]) -> Vec<u8> {
    let mut out = String::new();
    let mut names_call_id = false;
    for (key, value) in lines(bytes) {
        let (key, value) = (String::from_utf8_lossy(key), String::from_utf8_lossy(value));
        let (key, value) = (&*key, &*value);
        names_call_id |= key == "Variable" && value.contains("CALLID");
        let is_id = key.ends_with("niqueid") || key.ends_with("inkedid") || key == "BridgeId";
        let value = if KEPT.contains(&key) {
            value.to_owned()
        } else if is_id {
            id(all, value)
        } else if key == "ActionID" {
            // The channels that an action is about stand in its id.
            let mut parts = value.split('/');
            let first: Vec<&str> = parts.by_ref().take(2).collect();
            parts.fold(first.join("/"), |whole, channel| format!("{whole}/{}", id(all, channel)))
        } else if NAMES.contains(&key) {
            all.name(value)
        } else if USERS.contains(&key) {
            all.user(value)
        } else if CHANNELS.contains(&key) {
            channel(all, value)
        } else if key == "Value" && names_call_id {
            all.word(value)
        } else if FREE.contains(&key) {
            all.free(value)
        } else {
            continue;
        };
        let _ = write!(out, "{key}: {value}\r\n");
    }
    out.push_str("\r\n");
    out.into_bytes()
}

/// An id of a channel or a bridge: digits and points say when it began, and of a name before them whose it is.
fn id(all: &mut dyn Replacements, value: &str) -> String {
    let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit() || b".-".contains(&byte));
    if plain(value) {
        return value.to_owned();
    }
    match value.rsplit_once('-') {
        Some((name, rest)) if plain(rest) => format!("{}-{rest}", all.word(name)),
        _ => all.word(value),
    }
}

/// A channel: `PJSIP/101-00000001`, `Local/102@context-00000002;1`.
fn channel(all: &mut dyn Replacements, value: &str) -> String {
    let Some((technology, rest)) = value.split_once('/') else { return all.free(value) };
    let (place, number) = rest.rsplit_once('-').unwrap_or((rest, ""));
    let place = match place.split_once('@') {
        Some((user, context)) => format!("{}@{}", all.user(user), all.word(context)),
        None => all.user(place),
    };
    let dash = if number.is_empty() { "" } else { "-" };
    format!("{technology}/{place}{dash}{number}")
}
