//! Inputs of the signal log that belong to some calls.
//!
//! All messages of the calls, and not only those that caused an event: what is found by Call-IDs, channels
//! and legs, and what those lead to.

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use foldhash::fast::RandomState;
use hookswitch_model::{AccountId, Logged, Timestamp};
use hookswitch_signal::sip;
use hookswitch_signal::switch::{CallNames, sip_name};
use hookswitch_store::{Input, Log, LoggedInput, Partition, Reader, Sender};
use serde_json::Value;

use super::Sources;

/// How long before the first cause and after the last event inputs are looked at: a call has retransmissions
/// and answers behind its end (RFC 3261 §17.1.1.2: 32 s).
const BEFORE: Duration = Duration::from_secs(10);
const AFTER: Duration = Duration::from_secs(40);

/// Number of rounds in which names that were found are looked for again.
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

/// Facts about the inputs of some calls, gathered before they are taken out of the log.
pub(crate) struct Belonging {
    /// The stretch of the log in which they are.
    first: u64,
    last: u64,
    causes: BTreeSet<u64>,
    /// Number of the causes that are kept.
    found: usize,
    names: Names,
    account: Option<u64>,
    sources: Sources,
    /// Set if what is about the calls of all accounts is left out.
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

    /// Returns `true` if the log has all inputs that caused an event.
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

/// Returns `true` if one of the names of an input is among those of some calls.
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
