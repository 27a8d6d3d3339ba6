//! Which inputs of the signal log belong to some calls.
//!
//! All messages of the calls, and not only those that caused an event: what is found by Call-IDs, channels
//! and legs, and what those lead to.

use std::collections::{BTreeSet, HashSet};
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use foldhash::fast::RandomState;
use hookswitch_model::{AccountId, Logged, Timestamp};
use hookswitch_signal::capture::Transport;
use hookswitch_signal::sip;
use hookswitch_signal::switch::{CallNames, Switch, sip_name};
use hookswitch_store::{Input, Log, LoggedInput, Partition, Reader, Sender, Settings};
use serde_json::Value;

use crate::explain::Sources;

/// How long before the first cause and after the last event inputs are looked at: a call has retransmissions
/// and answers behind its end (RFC 3261 §17.1.1.2: 32 s).
const BEFORE: Duration = Duration::from_secs(10);
const AFTER: Duration = Duration::from_secs(40);

/// The most inputs of a capture.
const INPUTS_MAX: usize = 200_000;

/// How often names that were found are looked for again.
const ROUNDS_MAX: usize = 8;

/// An input of a capture.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) at: Timestamp,
    pub(super) body: Vec<u8>,
    pub(super) kind: Kind,
}

/// What an input came by.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    Sip {
        agent: u16,
        transport: Transport,
        src: SocketAddr,
        dst: SocketAddr,
        correlation: Option<Vec<u8>>,
    },
    /// The number tells the connections of several switches apart.
    Switch(Switch, u16),
    Posted,
}

/// The inputs of a capture, in the order in which they came.
#[derive(Clone, Debug, Default)]
pub(super) struct Chosen(pub(super) Vec<Message>);

/// What belongs to some calls.
pub(super) struct Selected {
    pub(super) chosen: Chosen,
    /// The directory and the policy that held.
    pub(super) settings: Settings,
    /// Whose the calls are of which the directory knows nothing.
    pub(super) account: AccountId,
    /// Whether the signal log is whole in that time.
    pub(super) is_whole: bool,
}

/// The names by which inputs of a call are found.
type Names = HashSet<Vec<u8>, RandomState>;

/// The stretch of the log in which the inputs of some events are.
fn stretch(reader: &Reader, events: &[Logged]) -> anyhow::Result<(u64, u64)> {
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
struct Belonging {
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
    fn of(reader: &Reader, events: &[Logged], inputs_max: u64, own_alone: bool) -> anyhow::Result<Self> {
        let (first, last) = stretch(reader, events)?;
        let causes = causes(events);
        let sources = Sources::read(reader)?;
        let (mut names, mut account, mut found) = (Names::default(), None, 0);
        for &position in &causes {
            reader.each_between(position, position, |logged| {
                found += 1;
                names.extend(names_of(&logged, &sources)?.leading);
                account =
                    account.or(sources.sender(logged.columns.source, logged.position).map(Sender::account));
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

    /// Hands out the inputs, in order.
    fn each(
        &self,
        reader: &Reader,
        mut each: impl FnMut(&LoggedInput<'_>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        reader.each_between(self.first, self.last, |logged| {
            let is_one = self.causes.contains(&logged.position)
                || has_one_of(&names_of(&logged, &self.sources)?, &self.names);
            let is_left_out = self.own_alone
                && self.sources.lists_all_calls(logged.position, &Input::read(logged.columns)?);
            if is_one && !is_left_out { each(&logged) } else { Ok(()) }
        })
    }
}

/// The positions of the inputs of some calls, of the log up to `inputs_max` long in that time.
///
/// # Errors
/// If the log cannot be read, is longer, or has none of the causes any more.
pub(crate) fn positions_of_calls(
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

/// The inputs of some calls; with `own_alone` without those that are about the calls of all accounts.
///
/// # Errors
/// If the log cannot be read, or has none of the causes any more.
pub(super) fn of_calls(reader: &Reader, events: &[Logged], own_alone: bool) -> anyhow::Result<Selected> {
    let belonging = Belonging::of(reader, events, u64::MAX, own_alone)?;
    let mut chosen = Chosen::default();
    belonging.each(reader, |logged| chosen.add(logged, &belonging.sources))?;
    let of_call = events.first().map(|logged| logged.event.session.account);
    Ok(Selected {
        chosen,
        settings: settings(reader, belonging.last)?,
        account: belonging.account.map(AccountId::new).or(of_call).unwrap_or(crate::cli::ACCOUNT),
        is_whole: reader.swept_signals(Partition::of_position(belonging.first))? < belonging.first
            && belonging.found == belonging.causes.len(),
    })
}

/// All inputs of the sources that told of some calls, in that time.
///
/// # Errors
/// If the log cannot be read, or has too many.
pub(super) fn of_sources(reader: &Reader, events: &[Logged]) -> anyhow::Result<Chosen> {
    let (first, last) = stretch(reader, events)?;
    let senders = Sources::read(reader)?;
    let sources: BTreeSet<u16> =
        events.iter().flat_map(|logged| logged.event.causes.iter()).map(|cause| cause.source).collect();
    let mut chosen = Chosen::default();
    reader.each_between(first, last, |logged| {
        if sources.contains(&logged.columns.source) { chosen.add(&logged, &senders) } else { Ok(()) }
    })?;
    Ok(chosen)
}

impl Chosen {
    fn add(&mut self, logged: &LoggedInput<'_>, sources: &Sources) -> anyhow::Result<()> {
        let message = match Input::read(logged.columns)? {
            Input::Message(message) => Message {
                at: message.at,
                body: message.payload.to_vec(),
                kind: Kind::Sip {
                    agent: message.source,
                    transport: if message.tcp { Transport::Tcp } else { Transport::Udp },
                    src: message.src,
                    dst: message.dst,
                    correlation: message.correlation.map(<[u8]>::to_vec),
                },
            },
            Input::Manager { at, message, source } => {
                let Some(switch) = sources.switch(source, logged.position) else { return Ok(()) };
                Message { at, body: message.to_vec(), kind: Kind::Switch(switch, source) }
            }
            Input::Signal { at, json, .. } => Message { at, body: json.to_vec(), kind: Kind::Posted },
            _ => return Ok(()),
        };
        ensure!(
            self.0.len() < INPUTS_MAX,
            "the capture would have more than {INPUTS_MAX} messages; the call went on for too long"
        );
        self.0.push(message);
        Ok(())
    }
}

/// The settings that held at a position.
fn settings(reader: &Reader, last: u64) -> anyhow::Result<Settings> {
    let mut held = None;
    reader.notes_until(last, |logged| {
        if let Input::Settings(settings) = Input::read(logged.columns)? {
            held = Some(settings);
        }
        Ok(())
    })?;
    held.context("the signal log does not say which directory was in use")
}

/// The names by which an input belongs to calls.
fn names_of(logged: &LoggedInput<'_>, sources: &Sources) -> anyhow::Result<CallNames> {
    let leading = match Input::read(logged.columns)? {
        Input::Manager { message, source, .. } => {
            let switch = sources.switch(source, logged.position);
            return Ok(switch.map(|switch| switch.adapter().call_names(message)).unwrap_or_default());
        }
        Input::Message(message) => match sip::Message::parse(message.payload) {
            Ok(parsed) => vec![sip_name(parsed.call_id())],
            Err(_) => Vec::new(),
        },
        Input::Signal { json, source, .. } => {
            let mut names = Vec::new();
            posted_names(&serde_json::from_slice(json)?, source, "", &mut names);
            names
        }
        _ => Vec::new(),
    };
    Ok(CallNames { leading, listed: Vec::new() })
}

/// Whether one of the names of an input is among those of some calls.
fn has_one_of(own: &CallNames, names: &Names) -> bool {
    own.leading.iter().chain(&own.listed).any(|name| names.contains(name))
}

fn posted_names(value: &Value, source: u16, key: &str, names: &mut Vec<Vec<u8>>) {
    match value {
        Value::String(text) if matches!(key, "leg" | "of" | "other" | "with" | "consulted") => {
            names.push(format!("leg:{source}:{text}").into_bytes());
        }
        Value::String(text) if matches!(key, "call_ids" | "call_id") => names.push(sip_name(text.as_bytes())),
        Value::Array(values) => values.iter().for_each(|value| posted_names(value, source, key, names)),
        Value::Object(members) => {
            members.iter().for_each(|(key, value)| posted_names(value, source, key, names));
        }
        _ => {}
    }
}
