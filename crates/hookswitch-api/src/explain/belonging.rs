//! Which inputs of the signal log belong to some calls.
//!
//! All messages of the calls, and not only those that caused an event: what is found by Call-IDs, channels
//! and legs, and what those lead to.

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use foldhash::fast::RandomState;
use hookswitch_model::{AccountId, Logged, Timestamp};
use hookswitch_signal::{esl, sip};
use hookswitch_store::{Input, Log, LoggedInput, Partition, Reader, Sender};
use serde_json::Value;

use super::{Sources, lists_all_calls};

/// How long before the first cause and after the last event inputs are looked at: a call has retransmissions
/// and answers behind its end (RFC 3261 §17.1.1.2: 32 s).
const BEFORE: Duration = Duration::from_secs(10);
const AFTER: Duration = Duration::from_secs(40);

/// How often names that were found are looked for again.
const ROUNDS_MAX: usize = 8;

/// The names by which inputs of a call are found.
type Names = HashSet<Vec<u8>, RandomState>;

/// The stretch of the log in which the inputs of some events are.
pub(crate) fn stretch(reader: &Reader, events: &[Logged]) -> anyhow::Result<(u64, u64)> {
    let causes = causes(events);
    let (first, last) = (causes.first().copied(), causes.last().copied());
    let (first, last) = (first.context("the events have no causes")?, last.unwrap_or_default());
    let arrivals = events.iter().map(|logged| logged.arrival);
    let (begin, end) = (arrivals.clone().min().unwrap_or_default(), arrivals.max().unwrap_or_default());
    let before = Timestamp::from_micros(begin.as_micros() - BEFORE.as_micros() as i64);
    // A call is in one partition.
    let log = Log::Signals(Partition::of_position(first));
    let from = reader.position_since(log, before)?;
    let to = reader.position_since(log, end + AFTER)?.saturating_sub(1);
    Ok((from.min(first), to.max(last)))
}

fn causes(events: &[Logged]) -> BTreeSet<u64> {
    events.iter().flat_map(|logged| logged.event.causes.iter()).map(|cause| cause.number).collect()
}

/// What is known of the inputs of some calls, before they are taken out of the log.
pub(crate) struct Belonging {
    /// The stretch of the log in which they are.
    first: u64,
    last: u64,
    causes: BTreeSet<u64>,
    /// How many of the causes are kept.
    found: usize,
    names: Names,
    account: Option<u64>,
    sources: Sources,
    /// Whether what is about the calls of all accounts is left out.
    own_alone: bool,
}

impl Belonging {
    /// Follows what the causes name to all that belongs to the calls; `inputs_max` is how long the stretch may be.
    pub(crate) fn of(
        reader: &Reader,
        events: &[Logged],
        inputs_max: u64,
        own_alone: bool,
    ) -> anyhow::Result<Self> {
        let (first, last) = stretch(reader, events)?;
        let causes = causes(events);
        let sources = Sources::read(reader)?;
        let (mut names, mut account, mut found) = (Names::default(), None, 0);
        for &position in &causes {
            reader.each_between(position, position, |logged| {
                found += 1;
                names.extend(names_of(&logged, &sources)?.leading);
                account = account.or(sources.sender(logged.columns.source, logged.position).map(account_of));
                Ok(())
            })?;
        }
        ensure!(
            found > 0,
            "the signal log has none of the messages of this call any more (store.signals_kept)"
        );
        ensure!(
            last - first < inputs_max,
            "so much came in meanwhile that looking through it would take too long"
        );
        for _ in 0..ROUNDS_MAX {
            let before = names.len();
            reader.each_between(first, last, |logged| {
                let own = names_of(&logged, &sources)?;
                if own.leading.iter().any(|name| names.contains(name)) {
                    names.extend(own.leading);
                }
                Ok(())
            })?;
            if names.len() == before {
                break;
            }
        }
        Ok(Self { first, last, causes, found, names, account, sources, own_alone })
    }

    /// The first input of the stretch.
    pub(crate) const fn first(&self) -> u64 {
        self.first
    }

    /// The last input of the stretch.
    pub(crate) const fn last(&self) -> u64 {
        self.last
    }

    /// The account of the source of a cause.
    pub(crate) fn account(&self) -> Option<AccountId> {
        self.account.map(AccountId::new)
    }

    /// All sources that the log names.
    pub(crate) const fn sources(&self) -> &Sources {
        &self.sources
    }

    /// Whether the log has all inputs that caused an event.
    pub(crate) fn has_all_causes(&self) -> bool {
        self.found == self.causes.len()
    }

    /// Hands out the inputs, in order.
    pub(crate) fn each(
        &self,
        reader: &Reader,
        mut each: impl FnMut(&LoggedInput<'_>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        reader.each_between(self.first, self.last, |logged| {
            let is_one = self.causes.contains(&logged.position)
                || names_of(&logged, &self.sources)?.has_one_of(&self.names);
            let is_left_out = self.own_alone && lists_all_calls(&Input::read(logged.columns)?);
            if is_one && !is_left_out { each(&logged) } else { Ok(()) }
        })
    }
}

/// The positions of the inputs of some calls, of the log up to `inputs_max` long in that time.
///
/// # Errors
/// If the log cannot be read, is longer, or has none of the causes any more.
pub(super) fn positions_of_calls(
    reader: &Reader,
    events: &[Logged],
    inputs_max: u64,
) -> anyhow::Result<BTreeSet<u64>> {
    let mut positions = BTreeSet::new();
    Belonging::of(reader, events, inputs_max, false)?.each(reader, |logged| {
        positions.insert(logged.position);
        Ok(())
    })?;
    Ok(positions)
}

fn account_of(sender: &Sender) -> u64 {
    match sender {
        Sender::Hep { account, .. }
        | Sender::Ingest { account, .. }
        | Sender::Ami { account, .. }
        | Sender::Esl { account, .. } => *account,
    }
}

/// What an input names calls by.
#[derive(Default)]
struct Own {
    /// What else has one of these names belongs to the same call.
    leading: Vec<Vec<u8>>,
    /// Names that stand side by side for another reason: those of a list of all calls.
    listed: Vec<Vec<u8>>,
}

impl Own {
    fn has_one_of(&self, names: &Names) -> bool {
        self.leading.iter().chain(&self.listed).any(|name| names.contains(name))
    }
}

/// Whether an input came by an event socket.
pub(crate) fn is_event_socket(sources: &Sources, logged: &LoggedInput<'_>) -> bool {
    matches!(sources.sender(logged.columns.source, logged.position), Some(Sender::Esl { .. }))
}

fn names_of(logged: &LoggedInput<'_>, sources: &Sources) -> anyhow::Result<Own> {
    let leading = match Input::read(logged.columns)? {
        Input::Manager { message, .. } if is_event_socket(sources, logged) => {
            return Ok(event_socket_names(message));
        }
        Input::Message(message) => match sip::Message::parse(message.payload) {
            Ok(parsed) => vec![call_id(parsed.call_id())],
            Err(_) => Vec::new(),
        },
        Input::Manager { message, .. } => manager_names(message),
        Input::Signal { json, source, .. } => {
            let mut names = Vec::new();
            posted_names(&serde_json::from_slice(json)?, source, "", &mut names);
            names
        }
        _ => Vec::new(),
    };
    Ok(Own { leading, listed: Vec::new() })
}

fn call_id(id: &[u8]) -> Vec<u8> {
    [b"sip:", id].concat()
}

/// The lines of a message of a manager.
pub(crate) fn lines(message: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    message.split(|&byte| byte == b'\n').filter_map(|line| {
        let colon = line.iter().position(|&byte| byte == b':')?;
        Some((line[..colon].trim_ascii(), line[colon + 1..].trim_ascii()))
    })
}

fn manager_names(message: &[u8]) -> Vec<Vec<u8>> {
    let mut names = Vec::new();
    let mut names_call_id = false;
    for (key, value) in lines(message) {
        let is_id = key.ends_with(b"niqueid") || key.ends_with(b"inkedid");
        if is_id && value.iter().any(u8::is_ascii_digit) {
            names.push([b"ami:", value].concat());
        }
        names_call_id |= key == b"Variable" && memchr::memmem::find(value, b"CALLID").is_some();
        if names_call_id && key == b"Value" {
            names.push(call_id(value));
        }
    }
    names
}

/// Headers and variables of FreeSWITCH whose values are ids of channels.
pub(crate) const CHANNEL_IDS: [&str; 12] = [
    "Unique-ID",
    "Other-Leg-Unique-ID",
    "Bridge-A-Unique-ID",
    "Bridge-B-Unique-ID",
    "Bridge-To-UUID",
    "CC-Member-Session-UUID",
    "variable_cc_member_session_uuid",
    "variable_fifo_bridge_uuid",
    "variable_originating_leg_uuid",
    "variable_originator",
    "variable_other_loopback_leg_uuid",
    "Channel-Call-UUID",
];

/// Headers and variables in which an id of a channel stands beside other words.
const WITH_IDS: [&str; 3] = ["Application-Data", "variable_transfer_to", "variable_transfer_history"];

/// Whether a word is an id as FreeSWITCH makes them: 32 hexadecimal digits in five groups.
pub(crate) fn is_uuid(word: &str) -> bool {
    word.len() == 36
        && word.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

fn channel_id(id: &str) -> Vec<u8> {
    [b"esl:", id.as_bytes()].concat()
}

fn event_socket_names(bytes: &[u8]) -> Own {
    let mut own = Own::default();
    let mut rest = bytes;
    while !rest.is_empty() {
        let (message, after) = esl::Message::split(rest);
        rest = after.trim_ascii_start();
        if message.question().is_some() {
            let text = String::from_utf8_lossy(message.body());
            let words = text.split(|c: char| c.is_whitespace() || "\"<>|,=".contains(c));
            own.listed.extend(words.filter(|word| !word.is_empty()).map(channel_id));
            continue;
        }
        own.leading.extend(message.lost().map(|id| channel_id(&id)));
        own.leading.extend(message.find("Channel-Call-UUID").map(|id| channel_id(&id)));
        for (key, value) in message.values_read().unwrap_or_default() {
            if CHANNEL_IDS.contains(&key) {
                own.leading.push(channel_id(&value));
            } else if WITH_IDS.contains(&key) {
                let words = value.split(|c: char| !c.is_ascii_hexdigit() && c != '-');
                own.leading.extend(words.filter(|word| is_uuid(word)).map(channel_id));
            } else if key == "variable_sip_call_id" {
                own.leading.push(call_id(value.as_bytes()));
            }
        }
    }
    own
}

fn posted_names(value: &Value, source: u16, key: &str, names: &mut Vec<Vec<u8>>) {
    match value {
        Value::String(text) if matches!(key, "leg" | "of" | "other" | "with" | "consulted") => {
            names.push(format!("leg:{source}:{text}").into_bytes());
        }
        Value::String(text) if matches!(key, "call_ids" | "call_id") => names.push(call_id(text.as_bytes())),
        Value::Array(values) => values.iter().for_each(|value| posted_names(value, source, key, names)),
        Value::Object(members) => {
            members.iter().for_each(|(key, value)| posted_names(value, source, key, names));
        }
        _ => {}
    }
}
