//! Stories told by an Asterisk in short lines, and the events that they must give.
//!
//! Each line is one event: a time in seconds, its name, and words that say what it is about:
//!
//! ```text
//! 0.000 Newchannel a PJSIP/101 Exten=102      channel a, whose phone has called 102
//! 0.010 Newchannel b PJSIP/102 of=a           channel b, that belongs to the call of a
//! 0.010 DialBegin a>b DialString=102          a calls b
//! 0.020 Newstate b 5                          b rings
//! 1.000 DialEnd a>b ANSWER
//! 1.000 BridgeEnter a one Swap=b              a comes into bridge one, in the place of b
//! 2.000 Hangup b 16 603                       with the cause, and the SIP status behind it
//! 2.000 Newexten a Dial(PJSIP/102,15)         the dialplan executes an application
//! 2.000 BlindTransfer Transferer:b Transferee:a Extension=103
//! ```
//!
//! `Unseen` is a new channel of which nothing is told, and `List` the answer that a list of channels follows.
//!
//! `a`, `>b` and `Prefix:c` put in all fields that such an event has of a channel; `Key=Value` puts in one,
//! with `_` for a space. Of a new channel, `name` and `number` are what it shows; `exten=` and `number=` of
//! another event are what its channel has from there on.

use std::collections::HashMap;
use std::fmt::Write as _;

use hookswitch_core::directory::Directory;
use hookswitch_model::Event;
use hookswitch_pipeline::Switch;
use hookswitch_signal::ami::Frames;

use crate::ladder::{ACCOUNT, START_MICROS, by_time, lines, side_by_side, written};
use crate::told::{self, StoryResult, in_world};

/// Names of people; a phone shows the one of its number.
const NAMES: [(&str, &str); 4] =
    [("101", "Ann Lee"), ("102", "Bo Roy"), ("103", "Cy Day"), ("104", "Di Fox")];

/// Story told by an Asterisk.
pub struct Story {
    pub told: Vec<StoryResult>,
    directory: Option<&'static str>,
}

#[derive(Default)]
struct Channel {
    name: String,
    state: u8,
    number: String,
    caller_name: String,
    exten: String,
    uniqueid: String,
    linkedid: String,
}

/// Reads a story.
pub fn asterisk(text: &str) -> Story {
    Story::in_world(text, 0)
}

impl Story {
    /// Reads a story as it would be told of other people and channels.
    pub fn in_world(text: &str, world: u8) -> Self {
        let text = in_world(text, world);
        let mut channels = HashMap::new();
        let told = lines(&text).filter_map(|line| event(line, world, &mut channels)).collect();
        Self { told, directory: None }
    }

    #[must_use]
    pub fn with_directory(self, file: &'static str) -> Self {
        Self { directory: Some(file), ..self }
    }

    /// Asserts the events, written as for ladders; and that they are the same when every message comes
    /// twice, when the state is saved and read after each, and when the bytes come in pieces.
    #[track_caller]
    pub fn tells(&self, expected: &str) {
        let expected = by_time(lines(expected).map(str::to_owned).collect());
        let assert_told = |how: &str, events: &[Event]| {
            let told = by_time(written(events));
            assert!(told == expected, "{how}\n{}", side_by_side(&expected, &told));
        };
        assert_told("", &self.run(&self.told, false));
        let twice: Vec<StoryResult> =
            self.told.iter().flat_map(|told| [told.clone(), told.clone()]).collect();
        assert_told("with every message twice", &self.run(&twice, false));
        assert_told("saved and read after each message", &self.run(&self.told, true));
        assert_told("in pieces of seven bytes", &self.run(&self.in_pieces(7), false));
    }

    pub fn events(&self) -> Vec<Event> {
        self.run(&self.told, false)
    }

    /// The messages, cut out of a connection that brings some bytes at a time.
    fn in_pieces(&self, length: usize) -> Vec<StoryResult> {
        let mut frames = Frames::default();
        let mut whole = self.told.iter();
        let mut cut = Vec::new();
        let bytes: Vec<u8> =
            self.told.iter().flat_map(|told| told.message.iter().copied().chain(*b"\r\n")).collect();
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

    pub fn run(&self, told: &[StoryResult], save: bool) -> Vec<Event> {
        let directory = match self.directory {
            Some(file) => Directory::parse(file).expect("a directory"),
            None => Directory::built_in(ACCOUNT),
        };
        run(&directory, told, save)
    }
}

/// Sends messages through the product, and checks what must hold whatever they are.
pub fn run(directory: &Directory, told: &[StoryResult], save: bool) -> Vec<Event> {
    told::run(directory, Switch::Ami, told, save)
}

/// Writes the event of a line, if it is one.
fn event(line: &str, world: u8, channels: &mut HashMap<String, Channel>) -> Option<StoryResult> {
    let mut words = line.split_whitespace();
    let seconds: f64 = words.next().and_then(|word| word.parse().ok()).expect("seconds");
    let name = words.next().expect("the name of an event");
    let rest: Vec<&str> = words.collect();
    let at_micros = START_MICROS + (seconds * 1e6).round() as i64;
    let mut fields = Vec::new();
    match name {
        "Newchannel" => new_channel(&rest, world, channels),
        "Unseen" => {
            new_channel(&rest, world, channels);
            return None;
        }
        "List" => {
            let message = "Response: Success\r\nEventList: start\r\nMessage: Channels will follow\r\n";
            return Some(StoryResult { at_micros, message: message.into() });
        }
        _ => {}
    }
    let own = rest.first().map(|first| first.split('>').next().unwrap_or(first));
    if let Some(number) = rest.iter().find_map(|word| word.strip_prefix("number="))
        && let Some(channel) = own.and_then(|own| channels.get_mut(own))
    {
        number.clone_into(&mut channel.number);
    }
    for (place, word) in rest.iter().enumerate() {
        if word.starts_with("number=") || (name == "Newchannel" && place > 0) {
        } else if let Some((own, dest)) = word.split_once('>') {
            if !own.is_empty() {
                channel_fields("", &channels[own], &mut fields);
            }
            channel_fields("Dest", &channels[dest], &mut fields);
        } else if let Some((prefix, channel)) =
            word.split_once(':').filter(|(_, c)| channels.contains_key(*c))
        {
            channel_fields(prefix, &channels[channel], &mut fields);
        } else if place == 0 && channels.contains_key(*word) {
            let channel = channels.get_mut(*word).expect("it is there");
            if let ("Newstate", Some(state)) = (name, rest.get(1)) {
                channel.state = state.parse().expect("a state");
            }
            if let Some(exten) = rest.iter().find_map(|word| word.strip_prefix("exten=")) {
                exten.clone_into(&mut channel.exten);
            }
            channel_fields("", channel, &mut fields);
        } else if word.starts_with("exten=") {
        } else if let Some((key, value)) = word.split_once('=').filter(|(key, _)| !key.contains('(')) {
            match key {
                "Swap" => fields.push(("SwapUniqueid".to_owned(), channels[value].uniqueid.clone())),
                "Variable" | "Value" => fields.push((key.to_owned(), value.to_owned())),
                _ => fields.push((key.to_owned(), value.replace('_', " "))),
            }
        } else {
            let place = place - usize::from(rest.first().is_some_and(|first| channels.contains_key(*first)));
            let place = place - usize::from(rest.first().is_some_and(|first| first.contains('>')));
            match (name, place) {
                ("Newstate", _) => {}
                ("Hangup" | "HangupRequest", 0) => fields.push(("Cause".to_owned(), (*word).to_owned())),
                ("Hangup" | "HangupRequest", _) => fields.push(("TechCause".to_owned(), (*word).to_owned())),
                ("DialState" | "DialEnd", _) => fields.push(("DialStatus".to_owned(), (*word).to_owned())),
                ("BridgeEnter" | "BridgeLeave", _) => {
                    fields.push(("BridgeUniqueid".to_owned(), format!("{word}-{world}")));
                    let kind = match *word {
                        "parking" => "parking",
                        "room" => "base",
                        _ => "basic",
                    };
                    fields.push(("BridgeType".to_owned(), kind.to_owned()));
                }
                ("Newexten", _) => {
                    let (application, data) = word.split_once('(').unwrap_or((word, ")"));
                    fields.push(("Application".to_owned(), application.to_owned()));
                    let data = data.strip_suffix(')').unwrap_or(data).replace('_', " ");
                    fields.push(("AppData".to_owned(), data));
                }
                _ => panic!("{word:?} in {line:?}"),
            }
        }
    }
    let mut message = format!("Event: {name}\r\nPrivilege: call,all\r\n");
    for (key, value) in fields {
        let _ = write!(message, "{key}: {value}\r\n");
    }
    Some(StoryResult { at_micros, message: message.into_bytes() })
}

fn new_channel(words: &[&str], world: u8, channels: &mut HashMap<String, Channel>) {
    let [letter, place, rest @ ..] = words else { panic!("a channel and where it leads") };
    let value = |key: &str| rest.iter().find_map(|word| word.strip_prefix(key)?.strip_prefix('='));
    let uniqueid = format!("17000{world}.{}", channels.len());
    let linkedid = value("of").map_or(uniqueid.clone(), |of| channels[of].linkedid.clone());
    let endpoint = place.rsplit('/').next().unwrap_or_default();
    let own = if endpoint.bytes().all(|byte| byte.is_ascii_digit()) { endpoint } else { "<unknown>" };
    let number = value("number").unwrap_or(own).to_owned();
    let known = NAMES.iter().find(|(known, _)| number == *known).map_or("<unknown>", |(_, name)| name);
    let channel = Channel {
        name: if place.starts_with("Local/") {
            (*place).to_owned()
        } else {
            format!("{place}-{:08x}", channels.len())
        },
        state: value("state")
            .map_or(if value("of").is_some() { 0 } else { 4 }, |state| state.parse().expect("a state")),
        caller_name: value("name").map_or_else(|| known.to_owned(), |name| name.replace('_', " ")),
        number,
        exten: value("Exten").unwrap_or("s").to_owned(),
        uniqueid,
        linkedid,
    };
    channels.insert((*letter).to_owned(), channel);
}

fn channel_fields(prefix: &str, channel: &Channel, fields: &mut Vec<(String, String)>) {
    for (key, value) in [
        ("Channel", channel.name.clone()),
        ("ChannelState", channel.state.to_string()),
        ("CallerIDNum", channel.number.clone()),
        ("CallerIDName", channel.caller_name.clone()),
        ("ConnectedLineNum", "<unknown>".to_owned()),
        ("Context", "internal".to_owned()),
        ("Exten", channel.exten.clone()),
        ("Priority", "1".to_owned()),
        ("Uniqueid", channel.uniqueid.clone()),
        ("Linkedid", channel.linkedid.clone()),
    ] {
        fields.push((format!("{prefix}{key}"), value));
    }
}
