//! Switches that report their own calls: [`Adapter`] is what each of them is; [`crate::adapters`] lists them.
//!
//! Here is also what the trackers of their channels have in common: how they number channels, what they have
//! told of them, and how they read numbers and names.

mod action;
mod adapter;
mod connection;
mod quotation;

use std::sync::Arc;
use std::time::Duration;

pub(crate) use hookswitch_model::number::is_short;
use hookswitch_model::{Caller, Direction, FarEnd, InputRef, LegCreated, LegId, Timestamp};
use serde::{Deserialize, Serialize};

pub use self::action::{Acted, Action, CannotAct, End, RecordingStep, Target, Then, is_word};
pub(crate) use self::action::{ActionOptions, check_actions, with_action_keys};
pub use self::adapter::{
    Adapter, COMMON_KEYS, CallNames, ChannelView, Inventory, Options, Replacements, SettingsError,
    SourceSettings, SwitchTracker, Transcript, Words, sip_name,
};
pub(crate) use self::adapter::{Secret, is_one_line};
pub use self::connection::{
    ConnectionEnd, HttpRequest, ProtocolError, ProtocolEvent, Refusal, SwitchConnection, SwitchProtocol,
    Transmit,
};
pub use self::quotation::without_quotations;

/// The longest number or name that is kept, in bytes; what is longer is cut.
const TEXT_BYTES_MAX: usize = 256;

/// The most channels that are followed at once; further ones are not, and counted.
pub(crate) const CHANNELS_MAX: usize = 1_000_000;

/// The longest id of a channel that is kept, in bytes; Asterisk's are as long at most (AST_MAX_UNIQUEID), and
/// those of FreeSWITCH shorter.
pub(crate) const ID_BYTES_MAX: usize = 256;

/// The most plumbing between a channel and who it calls on behalf of.
pub(crate) const PIPES_MAX: usize = 16;

/// Time that the end of a leg waits for what explains it. Switches tell of one instant on several channels in
/// no fixed order; what belongs together comes within some 40 ms.
pub(crate) const EXPLANATION_WAIT: Duration = Duration::from_millis(100);

/// Time for which a channel is kept of which nothing is heard, and how often that is looked at.
pub(crate) const SILENT_MAX: Duration = Duration::from_secs(24 * 3600);
pub(crate) const CHECK_EVERY: Duration = Duration::from_secs(3600);

/// Counts of the messages of one switch. `messages` is the sum of the others but `channels_refused`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Messages that came in.
    pub messages: u64,
    /// Events that say something about a call, and were applied.
    pub applied: u64,
    /// Events that say nothing about calls, and replies.
    pub passed_over: u64,
    /// Messages that were told before.
    pub repeated: u64,
    /// Events about a channel of which nothing is known.
    pub stray: u64,
    /// Channels that found the table full.
    pub channels_refused: u64,
}

/// Names a channel in the tracker; the number of its leg.
pub(crate) type Number = u64;

/// Time of a report, and the message that brought it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Moment {
    pub(crate) at: Timestamp,
    pub(crate) input: InputRef,
}

/// Report about a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Leg {
    /// Nothing: it is not known whether it calls or is called, or it leads to nobody.
    Untold,
    /// Channel that calls.
    Calling,
    /// Channel that is called.
    Called,
    /// Channel that has ended.
    Ended,
}

/// Caller of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Calling {
    Channel(Number),
    /// The switch itself, on somebody's behalf; the leg that stands for it once it was told.
    Switch(Option<LegId>),
}

/// Service that the switch itself gives on a channel, which counts as somebody who is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Service {
    pub(crate) kind: ServiceKind,
    pub(crate) leg: LegId,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ServiceKind {
    Menu,
    Mailbox,
    Fax,
}

/// The queue that a caller waits in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Queue {
    pub(crate) leg: LegId,
    /// An agent was connected.
    pub(crate) connected: bool,
}

/// A value as text; none if it stands for nothing.
pub(crate) fn text(value: &[u8]) -> Option<Arc<str>> {
    if value.is_empty() || value == b"<unknown>" {
        return None;
    }
    let text = String::from_utf8_lossy(value);
    let mut end = text.len().min(TEXT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    Some(Arc::from(&text[..end]))
}

/// Returns `true` if somebody may have dialled it: `s`, `h` and `BUSY` are places in a dialplan.
pub(crate) fn is_dialled(exten: &str) -> bool {
    let mut bytes = exten.bytes().peekable();
    let begins = bytes.peek().is_some_and(|byte| byte.is_ascii_digit() || b"+*#".contains(byte));
    begins && bytes.all(|byte| byte.is_ascii_digit() || b"+*#".contains(&byte))
}

/// Seconds since 1970 with six digits behind the point, as transcripts have them.
pub(crate) fn seconds(at: Timestamp) -> String {
    let micros = at.as_micros();
    format!("{}.{:06}", micros.div_euclid(1_000_000), micros.rem_euclid(1_000_000))
}

/// A leg of which nothing is known but which way it goes.
pub(crate) fn created(direction: Direction) -> LegCreated {
    LegCreated {
        direction,
        of: None,
        caller: Caller::default(),
        callee: Arc::from(""),
        callee_name: None,
        callee_host: None,
        src: None,
        dst: None,
        sent_by: None,
        endpoint: None,
        endpoint_domain: None,
        agent: None,
        far_end: FarEnd::Endpoint,
        aliases: Vec::new(),
        sip: None,
        ring_out_role: None,
        service: None,
        from_queue: false,
        reported: true,
        found_running: false,
        sent_by_server: false,
        place: None,
        mailbox: None,
        diverted_by: None,
        called_first: None,
        offer: None,
        is_automaton: false,
    }
}
