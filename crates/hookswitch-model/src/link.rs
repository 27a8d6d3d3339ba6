//! The connection to a switch that reports its own calls.

use std::time::Duration;

/// State of the connection to a switch, as it changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SwitchLink {
    /// It was made.
    Up,
    /// It is lost, or was not made yet.
    Lost {
        /// Time that the calls of the switch go on without it; none for as long as it takes.
        lost_after: Option<Duration>,
    },
}

impl SwitchLink {
    /// Returns `true` if the connection was made.
    pub const fn is_up(self) -> bool {
        matches!(self, Self::Up)
    }
}
