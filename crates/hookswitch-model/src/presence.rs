//! The calls of an extension: what its presence is made of.

use std::sync::Arc;

use crate::event::Event;
use crate::party::StatusCode;
use crate::time::Timestamp;

/// A call in which an extension takes part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActiveCall {
    /// The last event of the extension's party.
    pub event: Arc<Event>,
    /// Time when the party came into being, in signal time.
    pub since: Timestamp,
    /// Set if a device of the extension has rung for it.
    pub rang: bool,
}

/// The change that an event made to the calls of its extension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallChange {
    /// Grows with each change of an extension; the position of the event in the log.
    pub sequence: u64,
    /// The party's call before the event; none if the event began it.
    pub before: Option<ActiveCall>,
    /// The calls of the extension after the event, in the order in which they began; the one that the event ended
    /// is among them.
    pub calls: Arc<[ActiveCall]>,
}

impl CallChange {
    /// The status that the party had before the event.
    pub fn status_before(&self) -> Option<StatusCode> {
        self.before.as_ref().map(|call| call.event.party.status.code)
    }
}
