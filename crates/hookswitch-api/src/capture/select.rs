//! Inputs of the signal log as a capture takes them out.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use anyhow::{Context as _, ensure};
use hookswitch_model::{AccountId, Logged, Timestamp};
use hookswitch_signal::adapters::Switch;
use hookswitch_signal::capture::Transport;
use hookswitch_store::{Input, LoggedInput, Partition, Reader, Settings};

use crate::explain::{Belonging, Sources, stretch};

/// The most inputs of a capture.
const INPUTS_MAX: usize = 200_000;

/// An input of a capture.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) at: Timestamp,
    pub(super) body: Vec<u8>,
    pub(super) kind: Kind,
}

/// Kind of input.
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

/// Inputs that belong to some calls.
pub(super) struct Selected {
    pub(super) chosen: Chosen,
    /// The directory and the policy that held.
    pub(super) settings: Settings,
    /// Account of the calls of which the directory knows nothing.
    pub(super) account: AccountId,
    /// Set if the signal log is whole in that time.
    pub(super) is_whole: bool,
}

/// The inputs of some calls; with `own_alone` without those that are about the calls of all accounts.
///
/// # Errors
/// If the log cannot be read, or has none of the causes any more.
pub(super) fn of_calls(reader: &Reader, events: &[Logged], own_alone: bool) -> anyhow::Result<Selected> {
    let belonging = Belonging::of(reader, events, u64::MAX, own_alone)?;
    let mut chosen = Chosen::default();
    belonging.each(reader, |logged| chosen.add(logged, belonging.sources()))?;
    let of_call = events.first().map(|logged| logged.event.session.account);
    Ok(Selected {
        chosen,
        settings: settings(reader, belonging.last())?,
        account: belonging.account().or(of_call).unwrap_or(hookswitch_server::config::ACCOUNT),
        is_whole: reader.swept_signals(Partition::of_position(belonging.first()))? < belonging.first()
            && belonging.has_all_causes(),
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
