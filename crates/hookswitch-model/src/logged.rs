//! An event in the log.

use std::sync::Arc;

use crate::event::Event;
use crate::presence::CallChange;
use crate::time::Timestamp;

/// An event as the log has it.
#[derive(Clone, Debug)]
pub struct Logged {
    /// Its position in the log.
    pub position: u64,
    /// Time when it came about, by the clock of the server.
    pub arrival: Timestamp,
    /// Event that happened.
    pub event: Arc<Event>,
    /// The change of the extension's calls, if somebody has followed them up to here; the log itself has none.
    pub change: Option<Arc<CallChange>>,
}
