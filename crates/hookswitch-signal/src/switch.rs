//! What the followers of switches have in common, whatever protocol a switch speaks: how they number its
//! channels, what they have told of them, and how they read numbers and names.

use std::sync::Arc;
use std::time::Duration;

use hookswitch_model::{
    AccountId, Caller, Direction, FarEnd, InputRef, LegCreated, LegId, Signal, Timestamp,
};
use serde::{Deserialize, Serialize};

use crate::{ami, esl};

/// The longest number or name that is kept, in bytes; what is longer is cut.
const TEXT_BYTES_MAX: usize = 256;

/// The most digits of a number within the switch; longer ones are subscriber numbers.
const SHORT_DIGITS_MAX: usize = 6;

/// The most channels that are followed at once; further ones are not, and counted.
pub(crate) const CHANNELS_MAX: usize = 1_000_000;

/// The longest id of a channel that is kept, in bytes; Asterisk's are as long at most (AST_MAX_UNIQUEID), and
/// those of FreeSWITCH shorter.
pub(crate) const ID_BYTES_MAX: usize = 256;

/// The most plumbing between a channel and who it calls on behalf of.
pub(crate) const PIPES_MAX: usize = 16;

/// How long the end of a leg waits for what explains it. Switches tell of one instant on several channels in
/// no fixed order; what belongs together comes within some 40 ms.
pub(crate) const EXPLANATION_WAIT: Duration = Duration::from_millis(100);

/// How long a channel is kept of which nothing is heard, and how often that is looked at.
pub(crate) const SILENT_MAX: Duration = Duration::from_secs(24 * 3600);
pub(crate) const CHECK_EVERY: Duration = Duration::from_secs(3600);

/// What became of the messages of one switch. `messages` is the sum of the others but `channels_refused`.
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

/// Follows the channels of one switch, whatever it speaks.
///
/// Does no IO and reads no clock: after each `handle_*`, come back no later than
/// [`Follower::poll_timeout`]. Its state is plain data.
#[derive(Serialize, Deserialize)]
pub enum Follower {
    /// An Asterisk, by its manager.
    Asterisk(Box<ami::Follower>),
    /// A FreeSWITCH, by its event socket.
    FreeSwitch(Box<esl::Follower>),
}

impl Follower {
    /// Follows the Asterisk whose legs are numbered in `source`, and whose calls are those of an account.
    pub fn asterisk(account: AccountId, source: u16) -> Self {
        Self::Asterisk(Box::new(ami::Follower::new(account, source)))
    }

    /// Follows a FreeSWITCH likewise.
    pub fn freeswitch(account: AccountId, source: u16) -> Self {
        Self::FreeSwitch(Box::new(esl::Follower::new(account, source)))
    }

    /// Applies what came at `at`, and adds what it tells to `out`.
    pub fn handle(&mut self, bytes: &[u8], at: Timestamp, input: InputRef, out: &mut Vec<Signal>) {
        match self {
            Self::Asterisk(follower) => follower.handle(bytes, at, input, out),
            Self::FreeSwitch(follower) => follower.handle(bytes, at, input, out),
        }
    }

    /// Lets time pass: tells what has waited for an explanation long enough.
    pub fn handle_time(&mut self, now: Timestamp, out: &mut Vec<Signal>) {
        match self {
            Self::Asterisk(follower) => follower.handle_time(now, out),
            Self::FreeSwitch(follower) => follower.handle_time(now, out),
        }
    }

    /// A connection to the switch was made: what it names when it is asked goes on.
    pub fn connected(&mut self) {
        match self {
            Self::Asterisk(_) => {} // its list of channels has a beginning of its own
            Self::FreeSwitch(follower) => follower.connected(),
        }
    }

    /// When [`Follower::handle_time`] wants to be called at the latest.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        match self {
            Self::Asterisk(follower) => follower.poll_timeout(),
            Self::FreeSwitch(follower) => follower.poll_timeout(),
        }
    }

    /// Tells all that waits: nothing more will be heard.
    pub fn finish(&mut self, out: &mut Vec<Signal>) {
        match self {
            Self::Asterisk(follower) => follower.finish(out),
            Self::FreeSwitch(follower) => follower.finish(out),
        }
    }

    /// What became of the messages.
    pub fn counters(&self) -> Counters {
        match self {
            Self::Asterisk(follower) => follower.counters(),
            Self::FreeSwitch(follower) => follower.counters(),
        }
    }

    /// How many channels are followed.
    pub fn channels(&self) -> usize {
        match self {
            Self::Asterisk(follower) => follower.channels(),
            Self::FreeSwitch(follower) => follower.channels(),
        }
    }
}

/// Names a channel in the follower; the number of its leg.
pub(crate) type Number = u64;

/// When something was told, and by which message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Moment {
    pub(crate) at: Timestamp,
    pub(crate) input: InputRef,
}

/// What was told of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Leg {
    /// Nothing: it is not known whether it calls or is called, or it leads to nobody.
    Untold,
    /// That it calls.
    Calling,
    /// That it is called.
    Called,
    /// That it has ended.
    Ended,
}

/// Who calls a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Calling {
    Channel(Number),
    /// The switch itself, on somebody's behalf; the leg that stands for it once it was told.
    Switch(Option<LegId>),
}

/// What the switch itself does on a channel that counts as somebody who is called.
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

/// Whether a number is one within the switch.
pub(crate) fn is_short(number: &str) -> bool {
    (1..=SHORT_DIGITS_MAX).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether somebody may have dialled it: `s`, `h` and `BUSY` are places in a dialplan.
pub(crate) fn is_dialled(exten: &str) -> bool {
    let mut bytes = exten.bytes().peekable();
    let begins = bytes.peek().is_some_and(|byte| byte.is_ascii_digit() || b"+*#".contains(byte));
    begins && bytes.all(|byte| byte.is_ascii_digit() || b"+*#".contains(&byte))
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
