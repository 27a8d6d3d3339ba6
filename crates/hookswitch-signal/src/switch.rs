//! What the followers of switches have in common, whatever protocol a switch speaks: how they number its
//! channels, what they have told of them, and how they read numbers and names.

use std::sync::Arc;

use hookswitch_model::{Caller, Direction, FarEnd, InputRef, LegCreated, LegId, Timestamp};
use serde::{Deserialize, Serialize};

/// The longest number or name that is kept, in bytes; what is longer is cut.
const TEXT_BYTES_MAX: usize = 256;

/// The most digits of a number within the switch; longer ones are subscriber numbers.
const SHORT_DIGITS_MAX: usize = 6;

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
        is_automaton: false,
    }
}
