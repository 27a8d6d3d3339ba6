//! A message of a FreeSWITCH's event socket, with what is read of it and nothing else.

use std::fmt::Write as _;

use super::names::{CHANNEL_IDS, is_uuid};
use super::{Message, action, listing, lost_channel};
use serde_json::Value;

use crate::switch::Replacements;

/// Headers and variables whose values say what happens and name nobody.
const KEPT: [&str; 26] = [
    "Event-Name",
    "Event-Subclass",
    "Action",
    "Application",
    "variable_att_xfer_result",
    "Call-Direction",
    "Channel-Call-State",
    "CC-Action",
    "CC-Cancel-Reason",
    "CC-Cause",
    "variable_endpoint_disposition",
    "Event-Sequence",
    "FIFO-Action",
    "Hangup-Cause",
    "variable_sip_hangup_disposition",
    "Caller-Privacy-Hide-Number",
    "Media-Bug-Function",
    "Media-Bug-Target",
    "Member-Type",
    "variable_originate_disposition",
    "variable_hangup_cause_q850",
    "variable_sip_term_status",
    "variable_transfer_disposition",
    "variable_voicemail_action",
    "Speak",
    "Content-Type",
];

/// Those whose values are numbers, users or endpoints, with a domain behind some.
const ADDRESSES: [&str; 13] = [
    "Caller-Caller-ID-Number",
    "Caller-Destination-Number",
    "variable_dialed_user",
    "variable_user_name",
    "variable_sip_auth_username",
    "variable_sip_gateway_name",
    "variable_sofia_profile_name",
    "Channel-Presence-ID",
    "Valet-Extension",
    "CC-Queue",
    "FIFO-Name",
    "variable_sip_to_user",
    "variable_voicemail_id",
];

/// Writes a message anew, or several.
pub(super) fn message(all: &mut dyn Replacements, bytes: &[u8]) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::new(), bytes);
    loop {
        let (message, after) = Message::split(rest);
        write(all, &message, &mut out);
        rest = after.trim_ascii_start();
        if rest.is_empty() {
            return out;
        }
    }
}

fn write(all: &mut dyn Replacements, message: &Message<'_>, out: &mut Vec<u8>) {
    if let Some(question) = message.question() {
        let question = match question.strip_prefix(listing::MEMBERS) {
            Some(queue) => format!("{}{}", listing::MEMBERS, address(all, queue)),
            None if question.starts_with(action::NOTE) => {
                let mut words = question.split(' ');
                let first = words.next().unwrap_or_default().to_owned();
                words.fold(first, |note, word| {
                    let other = match word {
                        word if is_uuid(word) => id(all, word),
                        word if word.contains('/') => all.word(word),
                        word => all.user(word),
                    };
                    format!("{note} {other}")
                })
            }
            None => question.into_owned(),
        };
        let body = answer(all, &String::from_utf8_lossy(message.body()));
        let bare = wrapped("api/response", &body);
        listing::named(&question, &Message::new(bare.as_bytes()), out);
    } else if let Some(uuid) = message.lost() {
        lost_channel(&id(all, &uuid), out);
    } else if let Some(values) = message.values_read() {
        let application = values.iter().find(|(key, _)| *key == "Application").map(|(_, value)| &**value);
        let values = values
            .iter()
            .filter_map(|(key, text)| Some((*key, value(all, key, application.unwrap_or_default(), text)?)));
        let values: Vec<(&str, String)> = values.collect();
        let text = match message.content_type() {
            b"text/event-json" => {
                let members = values.into_iter().map(|(key, value)| (key.to_owned(), Value::String(value)));
                wrapped("text/event-json", &Value::Object(members.collect()).to_string())
            }
            b"command/reply" => format!("{}Content-Type: command/reply\n\n", lines(&values)),
            _ => wrapped("text/event-plain", &format!("{}\n", lines(&values))),
        };
        out.extend_from_slice(text.as_bytes());
    } else {
        out.extend_from_slice(b"Content-Type: text/other\n\n"); // nothing of a call
    }
}

fn wrapped(content_type: &str, body: &str) -> String {
    format!("Content-Length: {}\nContent-Type: {content_type}\n\n{body}", body.len())
}

/// Headers as plain events have them, encoded as in a URL.
fn lines(values: &[(&str, String)]) -> String {
    let mut text = String::new();
    for (key, value) in values {
        let _ = write!(text, "{key}: ");
        for byte in value.bytes() {
            let _ = match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => {
                    write!(text, "{}", char::from(byte))
                }
                _ => write!(text, "%{byte:02X}"),
            };
        }
        text.push('\n');
    }
    text
}

/// Returns `true` if a text is one word, as those are that say what happens.
fn is_word(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_:".contains(&byte))
}

/// Returns what a header or variable has become; none if it is left out.
fn value(all: &mut dyn Replacements, key: &str, application: &str, text: &str) -> Option<String> {
    Some(match key {
        _ if KEPT.contains(&key) => return is_word(text).then(|| text.to_owned()),
        _ if CHANNEL_IDS.contains(&key) => id(all, text),
        // A dialplan in the place of a number names the channel whose call is taken.
        "Caller-Destination-Number" if text.contains("intercept:") => {
            let taken = text.rsplit(':').next().unwrap_or_default();
            format!("answer,intercept:{}", id(all, taken))
        }
        _ if ADDRESSES.contains(&key) => address(all, text),
        "Core-UUID" => id(all, text),
        "variable_sip_redirected_to" => {
            let uri = text.split(['<', '>']).find(|part| part.starts_with("sip")).unwrap_or(text);
            format!("<sip:{}>", address(all, uri))
        }
        // Which key accepts a call does not matter, only that one must.
        "variable_group_confirm_key" => "1".to_owned(),
        "Caller-Caller-ID-Name" => all.name(text),
        "Channel-Name" => channel(all, text),
        "Conference-Name" => room(all, text),
        // A path says whose call was recorded; what counts is that it is the same.
        "Record-File-Path" | "variable_sip_call_id" | "variable_sip_from_tag" | "variable_sip_to_tag" => {
            all.word(text)
        }
        "Application-Data" => data(all, application, text)?,
        "variable_transfer_destination" => match text.split_once(':') {
            Some((_, number)) => format!("blind:{}", all.user(number)),
            None => all.user(text),
        },
        "variable_transfer_to" => {
            let (kind, far_end) = text.split_once(':')?;
            matches!(kind, "att" | "satt").then(|| format!("{kind}:{}", id(all, far_end)))?
        }
        "variable_transfer_history" => history(all, text),
        _ => return None,
    })
}

/// An id of a channel, which is random. Where the Call-ID of a phone serves as one, it is replaced as that is.
fn id(all: &mut dyn Replacements, text: &str) -> String {
    let is_random = text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    if is_random && !(is_uuid(text) && all.is_original(text)) {
        return text.to_owned();
    }
    all.word(text)
}

/// A user or a number, with a host or a queue's profile behind it, or without.
fn address(all: &mut dyn Replacements, text: &str) -> String {
    let text = text.strip_prefix("sips:").or_else(|| text.strip_prefix("sip:")).unwrap_or(text);
    let text = text.split([';', ',']).next().unwrap_or_default();
    match text.rsplit_once(['@', '%']) {
        Some((user, host)) => format!("{}@{}", all.user(user), all.host_port(host)),
        None => all.user(text),
    }
}

/// A channel, or what a dialplan calls: `sofia/internal/101@192.0.2.1:5060`, `loopback/102-a`, `user/101@host`.
fn channel(all: &mut dyn Replacements, text: &str) -> String {
    let Some((technology, rest)) = text.split_once('/') else { return all.user(text) };
    let technology = if is_word(technology) { technology.to_owned() } else { all.word(technology) };
    let ends = rest.rsplit_once('-').filter(|(_, end)| matches!(*end, "a" | "b"));
    let (rest, end) = ends.map_or((rest, String::new()), |(rest, end)| (rest, format!("-{end}")));
    let parts: Vec<String> = rest.split('/').map(|part| address(all, part)).collect();
    format!("{technology}/{}{end}", parts.join("/"))
}

/// A room: a number, with a domain behind it or without.
fn room(all: &mut dyn Replacements, text: &str) -> String {
    match text.split_once('-') {
        Some((number, host)) if !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) => {
            format!("{}-{}", all.user(number), all.host(host))
        }
        _ => all.user(text),
    }
}

/// An entry of what became of a channel: when, which, how and where to, of which the last is written by
/// anybody.
fn history(all: &mut dyn Replacements, text: &str) -> String {
    match text.splitn(4, ':').collect::<Vec<_>>()[..] {
        [at, uuid, how, to] if is_word(how) && at.bytes().all(|byte| byte.is_ascii_digit()) => {
            format!("{at}:{}:{how}:{}", id(all, uuid), all.word(to))
        }
        _ => all.word(text),
    }
}

/// Returns what an application of the dialplan is given; none of what nobody reads.
fn data(all: &mut dyn Replacements, application: &str, text: &str) -> Option<String> {
    let words = text.split_ascii_whitespace();
    Some(match application {
        "intercept" | "eavesdrop" | "three_way" | "userspy" => {
            words.map(|word| reference(all, word)).collect::<Vec<_>>().join(" ")
        }
        "pickup" => address(all, text),
        "record_session_mask" | "record_session_unmask" => all.word(text),
        "transfer" => {
            let words = words.take(2);
            let words = words.map(|word| if is_flag(word) { word.to_owned() } else { address(all, word) });
            words.collect::<Vec<_>>().join(" ")
        }
        "att_xfer" => channel(all, text.rsplit_once('}').map_or(text, |(_, text)| text)),
        // What it does and for whom stands in variables.
        "lua" => text.starts_with("app.lua voicemail").then(|| "app.lua voicemail".to_owned())?,
        "sleep" => return text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.to_owned()),
        "voicemail" => {
            let words: Vec<&str> = words.take(5).collect();
            let last = words.len().saturating_sub(1);
            let plain = |word: &str| matches!(word, "check" | "auth");
            let words = words.iter().enumerate().map(|(place, word)| match place {
                _ if plain(word) => (*word).to_owned(),
                _ if place == last => all.user(word),
                _ => all.host(word),
            });
            words.collect::<Vec<_>>().join(" ")
        }
        "bridge" if text.contains(":_:") => {
            let targets = text.split(":_:").flat_map(|side| side.split([',', '|']));
            // Variables stand in brackets before a target.
            let plain = targets.map(|target| target.rsplit(['}', ']', '>']).next().unwrap_or_default());
            let made: Vec<String> =
                plain.filter(|target| target.contains('/')).map(|target| channel(all, target)).collect();
            if made.len() < 2 { format!("{}:_:", made.concat()) } else { made.join(":_:") }
        }
        _ => return None,
    })
}

fn is_flag(word: &str) -> bool {
    word.starts_with('-') && is_word(word)
}

/// A word that may be an id of a channel, or say whom else is meant.
fn reference(all: &mut dyn Replacements, word: &str) -> String {
    if is_flag(word) {
        word.to_owned()
    } else if is_uuid(word) {
        id(all, word)
    } else {
        address(all, word)
    }
}

/// An answer to what goes on: JSON, XML, or a table.
fn answer(all: &mut dyn Replacements, text: &str) -> String {
    match text.trim_start().as_bytes().first() {
        Some(b'{' | b'[') => {
            let mut value: Value = serde_json::from_str(text).unwrap_or_default();
            rewrite(all, "", &mut value);
            value.to_string()
        }
        Some(b'<') => xml(all, text),
        _ => table(all, text),
    }
}

/// Rewrites a list of channels, calls or conferences; `key` is where a value stands.
fn rewrite(all: &mut dyn Replacements, key: &str, value: &mut Value) {
    match value {
        Value::Number(number) => {
            let mut text = Value::String(number.to_string());
            rewrite(all, key, &mut text);
            *value = text;
        }
        Value::String(text) => {
            *text = match key {
                "uuid" | "call_uuid" | "b_uuid" => id(all, text),
                "name" => channel(all, text),
                "cid_name" => all.name(text),
                "cid_num" | "dest" | "presence_id" => address(all, text),
                "conference_name" => room(all, text),
                _ if is_word(text) => return,
                _ => String::new(),
            };
        }
        Value::Array(values) => values.iter_mut().for_each(|value| rewrite(all, key, value)),
        Value::Object(members) => {
            members.retain(|name, _| {
                [
                    "rows",
                    "uuid",
                    "direction",
                    "name",
                    "cid_name",
                    "cid_num",
                    "dest",
                    "presence_id",
                    "callstate",
                    "call_uuid",
                    "b_uuid",
                    "conference_name",
                    "members",
                    "flags",
                    "can_speak",
                    "is_moderator",
                ]
                .contains(&&**name)
            });
            members.iter_mut().for_each(|(name, value)| rewrite(all, name, value));
        }
        _ => {}
    }
}

/// Rewrites a list of parked calls, or of the callers of queues: tags with what is read of them.
fn xml(all: &mut dyn Replacements, text: &str) -> String {
    let mut made = String::new();
    for part in text.split('<').skip(1) {
        let (tag, content) = part.split_once('>').unwrap_or((part, ""));
        let name = tag.split_ascii_whitespace().next().unwrap_or_default();
        if !["lots", "lot", "extension", "fifo_report", "fifo", "callers", "caller"]
            .contains(&name.trim_start_matches('/'))
        {
            continue;
        }
        let _ = write!(made, "<{name}");
        // Names of attributes and values take turns between the quotation marks.
        let mut quoted = tag.split('"');
        while let (Some(key), Some(value)) = (quoted.next(), quoted.next()) {
            let key = key.trim_end_matches('=').rsplit(' ').next().unwrap_or_default();
            let value = match key {
                "uuid" => id(all, value),
                "name" if name == "fifo" => address(all, value),
                "status" if is_word(value) => value.to_owned(),
                _ => continue,
            };
            let _ = write!(made, " {key}=\"{value}\"");
        }
        made.push('>');
        if name == "extension" {
            made.push_str(&all.user(content.trim()));
        }
    }
    made
}

/// Rewrites the callers of a queue.
fn table(all: &mut dyn Replacements, text: &str) -> String {
    let mut lines = text.lines().filter(|line| line.contains('|'));
    let columns: Vec<&str> = lines.next().unwrap_or_default().split('|').collect();
    let mut made = "queue|session_uuid|state\n".to_owned();
    for line in lines {
        let row: Vec<&str> = line.split('|').collect();
        let of = |name: &str| {
            let place = columns.iter().position(|column| *column == name)?;
            row.get(place).copied()
        };
        let (queue, uuid, state) = (of("queue"), of("session_uuid"), of("state"));
        let queue = address(all, queue.unwrap_or_default());
        let uuid = id(all, uuid.unwrap_or_default());
        let state = state.filter(|state| is_word(state)).unwrap_or_default();
        let _ = writeln!(made, "{queue}|{uuid}|{state}");
    }
    made
}
