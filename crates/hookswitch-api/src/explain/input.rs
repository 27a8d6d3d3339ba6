//! An input of the signal log, for people: who sent it, when, and what it was.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hookswitch_model::{AccountId, SwitchLink};
use hookswitch_signal::adapters::Switch;
use hookswitch_signal::sip;
use hookswitch_store::{self as store, LoggedInput, Reader, Sender, StoreError};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// The longest summary, in characters.
const SUMMARY_CHARS_MAX: usize = 300;

/// An input of the signal log.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Input {
    /// Position in the signal log.
    pub position: u64,
    pub(crate) source: SourceBody,
    /// Time when it happened, by the clock of the source.
    pub time: String,
    /// Time when it came in, by the clock of the server.
    pub(crate) arrival_time: String,
    /// `sip`, `ingest`, the adapter of a switch such as `ami` or `esl`, `tick`, `link`, `settings` or `source`.
    pub(crate) kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) src: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) dst: Option<String>,
    /// `UDP` or `TCP`.
    #[serde(skip_serializing_if = "Option::is_none")]
    transport: Option<&'static str>,
    /// The start line of a message, the name of an event, the signal that was posted.
    pub summary: String,
    /// Its bytes, if they were asked for: as text, or as base64 when they are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raw: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    is_base64: bool,
}

/// Sender of an input.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub(crate) struct SourceBody {
    number: u16,
    /// `hep`, `ingest`, or the adapter of a switch, such as `ami` or `esl`.
    kind: String,
    pub(crate) name: String,
}

/// Senders by number and time: numbers are given again.
#[derive(Debug, Default)]
pub struct Sources(BTreeMap<(u16, u64), Sender>);

impl Sources {
    /// Reads all that the log names.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn read(reader: &Reader) -> Result<Self, StoreError> {
        let mut sources = BTreeMap::new();
        let read = reader.notes_until(u64::MAX >> 1, |logged| {
            if let Ok(store::Input::Source(source)) = store::Input::read(logged.columns) {
                sources.insert((source.number, logged.position), source.sender);
            }
            Ok(())
        });
        read.map_err(StoreError::Log)?;
        Ok(Self(sources))
    }

    /// Returns who had a number when the input at a position came.
    pub fn sender(&self, number: u16, position: u64) -> Option<&Sender> {
        self.0.range((number, 0)..=(number, position)).next_back().map(|(_, sender)| sender)
    }

    /// The kind of switch that had a number when the input at a position came.
    pub(crate) fn switch(&self, number: u16, position: u64) -> Option<Switch> {
        match self.sender(number, position)? {
            Sender::Switch { adapter, .. } => Switch::named(adapter),
            _ => None,
        }
    }

    /// Returns `true` if an input lists all calls of a switch, whosever they are.
    pub(crate) fn lists_all_calls(&self, position: u64, input: &store::Input<'_>) -> bool {
        let store::Input::Manager { message, source, .. } = input else { return false };
        // Of a source that nobody knows any more all may be in it.
        self.switch(*source, position).is_none_or(|switch| switch.adapter().lists_all_calls(message))
    }

    fn body(&self, number: u16, position: u64) -> SourceBody {
        let sender = self.sender(number, position);
        let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
        SourceBody { number, kind: text(sender.map(Sender::kind)), name: text(sender.map(Sender::name)) }
    }
}

/// The kind of an input of a source, in the word of the API.
fn input_kind(input: &store::Input<'_>, switch: Option<Switch>) -> &'static str {
    match input {
        store::Input::Message(_) => "sip",
        store::Input::Signal { .. } => "ingest",
        store::Input::Manager { .. } => switch.map_or("", |switch| switch.adapter().name()),
        store::Input::Link { .. } => "link",
        store::Input::Tick { .. } => "tick",
        store::Input::Settings(_) => "settings",
        store::Input::Source(_) | store::Input::Forgotten { .. } => "source",
    }
}

impl Input {
    /// Reads an input of the log; for who sees one account alone without the bytes of what is about others too.
    ///
    /// # Errors
    /// If it is of a version that is not known.
    pub fn of(
        logged: &LoggedInput<'_>,
        sources: &Sources,
        raw: bool,
        account: Option<AccountId>,
    ) -> Result<Self, StoreError> {
        let columns = logged.columns;
        let input = store::Input::read(columns)?;
        let source = sources.body(columns.source, logged.position);
        let switch = sources.switch(columns.source, logged.position);
        let (mut src, mut dst, mut transport) = (None, None, None);
        let (summary, bytes) = match &input {
            store::Input::Message(message) => {
                src = Some(message.src.to_string());
                dst = Some(message.dst.to_string());
                transport = Some(if message.tcp { "TCP" } else { "UDP" });
                (first_line(message.payload), message.payload)
            }
            store::Input::Signal { json, .. } => (posted(json), *json),
            store::Input::Manager { message, .. } => {
                (switch.map(|switch| switch.adapter().title(message)).unwrap_or_default(), *message)
            }
            store::Input::Link { link: SwitchLink::Up, .. } => {
                ("the connection was made".to_owned(), &[][..])
            }
            store::Input::Link { .. } => ("the connection was lost".to_owned(), &[][..]),
            store::Input::Tick { .. } => ("a timer was due, and nothing had come".to_owned(), &[][..]),
            store::Input::Settings(_) => ("the directory or the policy was changed".to_owned(), &[][..]),
            store::Input::Source(_) => ("a sender that was new".to_owned(), &[][..]),
            store::Input::Forgotten { .. } => ("a sender was forgotten".to_owned(), &[][..]),
        };
        let text = std::str::from_utf8(bytes).ok();
        let is_seen = account.is_none() || !sources.lists_all_calls(logged.position, &input);
        let wanted = raw && is_seen && !bytes.is_empty();
        let summary = summary.chars().take(SUMMARY_CHARS_MAX).collect();
        Ok(Self {
            position: logged.position,
            time: columns.at.to_string(),
            arrival_time: logged.arrival.to_string(),
            kind: input_kind(&input, switch),
            source,
            src,
            dst,
            transport,
            summary,
            raw: wanted.then(|| text.map_or_else(|| STANDARD.encode(bytes), str::to_owned)),
            is_base64: wanted && text.is_none(),
        })
    }
}

/// The start line of a message.
fn first_line(payload: &[u8]) -> String {
    let end = memchr::memchr2(b'\r', b'\n', payload).unwrap_or(payload.len());
    sip::lossy(&payload[..end]).into_owned()
}

/// Returns what a posted signal says first.
fn posted(json: &[u8]) -> String {
    let signal: Value = serde_json::from_slice(json).unwrap_or_default();
    let words = ["kind", "leg"].map(|key| signal[key].as_str());
    let words: Vec<&str> = words.into_iter().flatten().collect();
    if words.is_empty() { "a signal".to_owned() } else { words.join(" ") }
}
