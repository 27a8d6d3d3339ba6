//! Stories told by a FreeSWITCH in short lines, and the events that they must give.
//!
//! Each line is one event: a time in seconds, what happens, to which channel, and words that say more:
//!
//! ```text
//! 0.000 create a 101>102                      channel a, whose phone has called 102
//! 0.000 create a +442079460123@external>+16465550102
//! 0.010 create b to=102 of=a                  channel b, to the phone 102 on behalf of a
//! 0.020 progress b                            b rings
//! 1.000 bridge a b                            a and b talk
//! 2.000 execute a voicemail(default_x_102)    the dialplan executes an application
//! 2.000 hangup b USER_BUSY term_status=486    CHANNEL_HANGUP, and
//! 2.001 complete b USER_BUSY                  CHANNEL_HANGUP_COMPLETE; `ends` is both
//! 2.000 valet a Action=hold                   a CUSTOM event
//! ```
//!
//! `Key=Value` puts in a header, `key=value` a variable, with `_` for a space in it; `@b` is the id of b.

use std::collections::HashMap;
use std::fmt::Write as _;

use hookswitch_core::directory::Directory;
use hookswitch_model::Event;
use hookswitch_pipeline::Switch;
use hookswitch_signal::esl::{Frames, Message, listing};

use crate::ladder::{ACCOUNT, START_MICROS, by_time, lines, side_by_side, written};
use crate::told::{self, StoryResult, in_world};

/// Story told by a FreeSWITCH, as JSON and as plain events.
pub struct Story {
    pub told: Vec<StoryResult>,
    pub plain: Vec<StoryResult>,
}

#[derive(Default)]
struct Channel {
    fields: Vec<(String, String)>,
}

/// Reads a story.
pub fn freeswitch(text: &str) -> Story {
    Story::in_world(text, 0)
}

impl Story {
    /// Reads a story as it would be told of other people and channels.
    pub fn in_world(text: &str, world: u8) -> Self {
        let text = in_world(text, world);
        let mut channels = HashMap::new();
        let (mut told, mut plain) = (Vec::new(), Vec::new());
        for (number, line) in lines(&text).enumerate() {
            let (at_micros, mut fields) = event(line, world, &mut channels);
            fields.push(("Event-Sequence".to_owned(), (number + 1 + 1000 * usize::from(world)).to_string()));
            let is_data = fields[0].1 == "CHANNEL_DATA";
            told.push(StoryResult {
                at_micros,
                message: if is_data { reply(&fields) } else { json(&fields) },
            });
            plain.push(StoryResult { at_micros, message: encoded(&fields) });
        }
        Self { told, plain }
    }

    /// Asserts the events, written as for ladders; and that they are the same of plain events, when every
    /// message comes twice, when the state is saved and read after each, and when the bytes come in pieces.
    #[track_caller]
    pub fn tells(&self, expected: &str) {
        let expected = by_time(lines(expected).map(str::to_owned).collect());
        let assert_told = |how: &str, events: &[Event]| {
            let told = by_time(written(events));
            assert!(told == expected, "{how}\n{}", side_by_side(&expected, &told));
        };
        let directory = Directory::built_in(ACCOUNT);
        assert_told("", &run(&directory, &self.told, false));
        assert_told("of plain events", &run(&directory, &self.plain, false));
        let twice: Vec<StoryResult> =
            self.told.iter().flat_map(|told| [told.clone(), told.clone()]).collect();
        assert_told("with every message twice", &run(&directory, &twice, false));
        assert_told("saved and read after each message", &run(&directory, &self.told, true));
        assert_told("in pieces of seven bytes", &run(&directory, &in_pieces(&self.told, 7), false));
    }
}

/// The messages, cut out of a connection that brings some bytes at a time.
fn in_pieces(told: &[StoryResult], length: usize) -> Vec<StoryResult> {
    let mut frames = Frames::default();
    let mut whole = told.iter();
    let mut cut = Vec::new();
    let bytes: Vec<u8> = told.iter().flat_map(|told| told.message.iter().copied()).collect();
    for piece in bytes.chunks(length) {
        frames.push(piece);
        while let Some(message) = frames.next_message() {
            let told = whole.next().expect("no more messages than were put in");
            cut.push(StoryResult { message: message.to_vec(), ..*told });
        }
    }
    assert!(whole.next().is_none(), "all messages come out");
    cut
}

/// Sends messages through the product, and checks what must hold whatever they are.
pub fn run(directory: &Directory, told: &[StoryResult], save: bool) -> Vec<Event> {
    told::run(directory, Switch::Esl, told, save)
}

/// The beginning of a connection.
pub fn connects(seconds: f64) -> StoryResult {
    StoryResult { at_micros: at_micros(seconds), message: b"Content-Type: auth/request\n\n".to_vec() }
}

/// Returns what the switch answers to a question, in which `@a` is the id of channel a.
pub fn answer(seconds: f64, question: &str, body: &str) -> StoryResult {
    let with_ids = |text: &str| {
        let mut parts = text.split('@');
        let mut out = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let is_id = part.chars().nth(1).is_none_or(|next| !next.is_ascii_alphanumeric());
            let (letter, rest) = part.split_at(if is_id { part.len().min(1) } else { 0 });
            out.push_str(&if is_id { uuid(letter, 0) } else { "@".to_owned() });
            out.push_str(rest);
        }
        out
    };
    let body = with_ids(body);
    let came = format!("Content-Type: api/response\nContent-Length: {}\n\n{body}", body.len());
    let mut message = Vec::new();
    listing::named(&with_ids(question), &Message::new(came.as_bytes()), &mut message);
    StoryResult { at_micros: at_micros(seconds), message }
}

/// The list of channels, of which each is a letter, whether it calls or is called, its user, the number that was
/// dialled, its state, and if need be the channel that its call began with and who calls: `a inbound 101 102 ACTIVE`.
pub fn channels(seconds: f64, lines: &str) -> StoryResult {
    let row = |line: &str| {
        let mut words = line.split_whitespace();
        let [channel, direction, user, dest, state] = std::array::from_fn(|_| words.next().expect("a word"));
        let (of, caller) = (words.next().unwrap_or(channel), words.next().unwrap_or("101"));
        format!(
            r#"{{"uuid":"@{channel}","direction":"{direction}","name":"sofia/internal/{user}@pbx.example.com","cid_num":"{caller}","dest":"{dest}","presence_id":"{user}@pbx.example.com","callstate":"{state}","call_uuid":"@{of}"}}"#
        )
    };
    let rows: Vec<String> = self::lines(lines).map(row).collect();
    answer(
        seconds,
        listing::CHANNELS,
        &format!(r#"{{"row_count":{},"rows":[{}]}}"#, rows.len(), rows.join(",")),
    )
}

fn at_micros(seconds: f64) -> i64 {
    START_MICROS + (seconds * 1e6).round() as i64
}

fn uuid(letter: &str, world: u8) -> String {
    format!("{letter}{world}000000-0000-4000-8000-000000000000")
}

/// The time and the headers of the event of a line.
fn event(line: &str, world: u8, channels: &mut HashMap<String, Channel>) -> (i64, Vec<(String, String)>) {
    let mut words = line.split_whitespace();
    let seconds: f64 = words.next().and_then(|word| word.parse().ok()).expect("seconds");
    let (what, letter) = (words.next().expect("what happens"), words.next().expect("a channel"));
    let rest: Vec<&str> = words.collect();
    let (name, subclass) = match what {
        "create" => ("CHANNEL_CREATE", ""),
        "data" => ("CHANNEL_DATA", ""),
        "progress" => ("CHANNEL_PROGRESS", ""),
        "early" => ("CHANNEL_PROGRESS_MEDIA", ""),
        "answer" => ("CHANNEL_ANSWER", ""),
        "bridge" => ("CHANNEL_BRIDGE", ""),
        "hold" => ("CHANNEL_HOLD", ""),
        "unhold" => ("CHANNEL_UNHOLD", ""),
        "state" => ("CHANNEL_CALLSTATE", ""),
        "park" => ("CHANNEL_PARK", ""),
        "unpark" => ("CHANNEL_UNPARK", ""),
        "execute" => ("CHANNEL_EXECUTE", ""),
        "hangup" => ("CHANNEL_HANGUP", ""),
        "complete" | "ends" => ("CHANNEL_HANGUP_COMPLETE", ""),
        "destroy" => ("CHANNEL_DESTROY", ""),
        "record" => ("RECORD_START", ""),
        "recorded" => ("RECORD_STOP", ""),
        "bug" => ("MEDIA_BUG_START", ""),
        "unbug" => ("MEDIA_BUG_STOP", ""),
        "shutdown" => ("SHUTDOWN", ""),
        "valet" => ("CUSTOM", "valet_parking::info"),
        "fifo" => ("CUSTOM", "fifo::info"),
        "queue" => ("CUSTOM", "callcenter::info"),
        "conference" => ("CUSTOM", "conference::maintenance"),
        "menu" => ("CUSTOM", "menu::enter"),
        "fax" => ("CUSTOM", "spandsp::rxfaxresult"),
        _ => panic!("{what:?} in {line:?}"),
    };
    let mut fields = vec![("Event-Name".to_owned(), name.to_owned())];
    let mut put = |key: &str, value: String| fields.push((key.to_owned(), value));
    if !subclass.is_empty() {
        put("Event-Subclass", subclass.to_owned());
    }
    if matches!(what, "create" | "data") {
        let created = create(letter, &rest, world);
        channels.insert(letter.to_owned(), created);
    }
    let mut own = Vec::new();
    for word in &rest {
        if let Some((key, value)) = word.split_once('=').filter(|(key, _)| !key.contains('(')) {
            let plain =
                if key.starts_with(char::is_uppercase) { value.to_owned() } else { value.replace('_', " ") };
            let value = value.strip_prefix('@').map_or(plain, |b| uuid(b, world));
            let value = match value.split_once(":@") {
                Some((kind, b)) => format!("{kind}:{}", uuid(b, world)),
                None => value,
            };
            match key {
                "to" | "of" | "number" if matches!(what, "create" | "data") => {}
                _ if key.starts_with(char::is_uppercase) => own.push((key.to_owned(), value)),
                "dest" => own.push(("Caller-Destination-Number".to_owned(), value)),
                "disposition" => {
                    own.push(("variable_sip_hangup_disposition".to_owned(), value.replace(' ', "_")));
                }
                "term_status" => own.push(("variable_sip_term_status".to_owned(), value)),
                "endpoint_disposition" | "transfer_disposition" | "originate_disposition" => {
                    own.push((format!("variable_{key}"), value.replace(' ', "_")));
                }
                _ => own.push((format!("variable_{key}"), value)),
            }
            continue;
        }
        match what {
            "execute" => {
                let (application, data) = word.split_once('(').expect("an application and its data");
                let data = data.strip_suffix(')').unwrap_or(data);
                let data = if data.contains(":_:") { data.to_owned() } else { data.replace('_', " ") };
                let data = data.split('@').enumerate().map(|(place, part)| match place {
                    0 => part.to_owned(),
                    _ if part.len() == 1 => uuid(part, world),
                    _ => format!("@{part}"),
                });
                own.push(("Application".to_owned(), application.to_owned()));
                own.push(("Application-Data".to_owned(), data.collect()));
            }
            "bridge" => {
                own.push(("Bridge-A-Unique-ID".to_owned(), uuid(letter, world)));
                own.push(("Bridge-B-Unique-ID".to_owned(), uuid(word, world)));
            }
            "hangup" | "complete" | "ends" => own.push(("Hangup-Cause".to_owned(), (*word).to_owned())),
            "state" => own.push(("Channel-Call-State".to_owned(), (*word).to_owned())),
            "create" | "data" => {}
            _ => panic!("{word:?} in {line:?}"),
        }
    }
    fields.append(&mut own);
    if let Some(channel) = channels.get(letter) {
        for (key, value) in &channel.fields {
            if !fields.iter().any(|(known, _)| known == key) {
                fields.push((key.clone(), value.clone()));
            }
        }
    }
    (at_micros(seconds), fields)
}

fn create(letter: &str, words: &[&str], world: u8) -> Channel {
    let value = |key: &str| words.iter().find_map(|word| word.strip_prefix(key)?.strip_prefix('='));
    let mut fields = vec![("Unique-ID".to_owned(), uuid(letter, world))];
    let mut put = |key: &str, value: &str| fields.push((key.to_owned(), value.to_owned()));
    if let Some((caller, dialled)) = words.first().and_then(|word| word.split_once('>')) {
        let (number, place) = caller.split_once('@').unwrap_or((caller, "internal"));
        put("Call-Direction", "inbound");
        put("Channel-Name", &format!("sofia/{place}/{number}@pbx.example.com"));
        put("variable_sofia_profile_name", place);
        if place == "internal" {
            put("Channel-Presence-ID", &format!("{number}@pbx.example.com"));
        }
        put("Caller-Caller-ID-Number", number);
        put("Caller-Destination-Number", dialled);
    } else if let Some(name) = words.first().filter(|word| word.contains('/')) {
        put("Channel-Name", name);
        put("Call-Direction", if name.ends_with("-b") { "inbound" } else { "outbound" });
    } else {
        let to = value("to").expect("where it leads");
        put("Call-Direction", "outbound");
        put("Channel-Name", &format!("sofia/internal/{to}@192.0.2.7:5060"));
        put("variable_sofia_profile_name", "internal");
        if to.starts_with('+') {
            put("variable_sip_gateway_name", "carrier");
        } else {
            put("Channel-Presence-ID", &format!("{to}@pbx.example.com"));
        }
        put("Caller-Caller-ID-Number", value("number").unwrap_or("0000000000"));
        put("Caller-Destination-Number", to);
    }
    if let Some(of) = value("of") {
        fields.push(("Other-Leg-Unique-ID".to_owned(), uuid(of, world)));
    }
    Channel { fields }
}

fn json(fields: &[(String, String)]) -> Vec<u8> {
    let fields: serde_json::Map<String, serde_json::Value> =
        fields.iter().map(|(key, value)| (key.clone(), value.clone().into())).collect();
    wrapped("text/event-json", &serde_json::to_string(&fields).expect("JSON"))
}

/// The answer to `connect`: the channel in the headers of a reply.
fn reply(fields: &[(String, String)]) -> Vec<u8> {
    format!(
        "{}Content-Type: command/reply\nReply-Text: %2BOK%0A\nSocket-Mode: async\nControl: full\n\n",
        plain(fields)
    )
    .into_bytes()
}

fn encoded(fields: &[(String, String)]) -> Vec<u8> {
    wrapped("text/event-plain", &(plain(fields) + "\n"))
}

fn plain(fields: &[(String, String)]) -> String {
    let mut body = String::new();
    for (key, value) in fields {
        let _ = write!(body, "{key}: ");
        for byte in value.bytes() {
            let _ = match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => {
                    write!(body, "{}", char::from(byte))
                }
                _ => write!(body, "%{byte:02X}"),
            };
        }
        body.push('\n');
    }
    body
}

fn wrapped(content_type: &str, body: &str) -> Vec<u8> {
    format!("Content-Length: {}\nContent-Type: {content_type}\n\n{body}", body.len()).into_bytes()
}
