//! The reasons for which a session wants to be woken, each with its name and its time.

use hookswitch_model::{Note, Timestamp};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::PartyIndex;

/// Reason of a session to be woken. Of several that are due at once the first of these comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Timer {
    /// Confirmation of a far end that rang or answered and may yet be a server that passes the call on, or
    /// of a caller whose code may yet take somebody's call: [`super::CAUSE_WAIT`] from the first sign.
    Confirmation(PartyIndex),
    /// Cause of the end of a target, which a further offer, an answer or the caller's leaving would tell:
    /// [`super::CAUSE_WAIT`] from the end.
    EndCause(PartyIndex),
    /// Second try of a caller after a challenge or a redirection: [`super::RETRY_MAX`], Timer B of
    /// RFC 3261 §17.1.1.2.
    Retry,
    /// New call of a party whose peer has transferred it and left: [`super::RETRY_MAX`], Timer B again.
    Transfer(PartyIndex),
    /// BYE of a party whose transfer has succeeded: [`super::CAUSE_WAIT`] from the success.
    Leave(PartyIndex),
    /// Offer of a party that a hold by the switch follows from: [`super::CAUSE_WAIT`] from the hold.
    SwitchHold(PartyIndex),
    /// Sign of life of a call that nobody has answered: [`super::RING_MAX`], longer than Timer C of
    /// RFC 3261 §16.6.
    Ring,
    /// Sign of life of an answered call: the longest session timer of its legs (RFC 4028 §10), or
    /// [`super::ANSWERED_SILENT_MAX`] where none runs.
    Silence,
}

impl Timer {
    /// The note on an event that came about because the timer ran out.
    pub(super) const fn note(self) -> Note {
        match self {
            Self::Confirmation(_) => Note::ConfirmationTimer,
            Self::EndCause(_) => Note::EndCauseTimer,
            Self::Retry => Note::RetryTimer,
            Self::Transfer(_) => Note::TransferTimer,
            Self::Leave(_) => Note::LeaveTimer,
            Self::SwitchHold(_) => Note::SwitchHoldTimer,
            Self::Ring => Note::RingTimer,
            Self::Silence => Note::SilenceTimer,
        }
    }
}

/// Running timers of a session, but for [`Timer::Ring`] and [`Timer::Silence`]: every sign of life would
/// start those anew, so they follow from the last one.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct TimerTable(SmallVec<[(Timestamp, Timer); 2]>);

impl TimerTable {
    /// Starts a timer, or starts it anew.
    pub(super) fn start(&mut self, timer: Timer, at: Timestamp) {
        match self.0.iter_mut().find(|(_, running)| *running == timer) {
            Some((due, _)) => *due = at,
            None => self.0.push((at, timer)),
        }
    }

    /// Starts a timer that does not run yet.
    pub(super) fn start_once(&mut self, timer: Timer, at: Timestamp) {
        if !self.is_running(timer) {
            self.0.push((at, timer));
        }
    }

    /// Stops a timer; says whether it ran.
    pub(super) fn stop(&mut self, timer: Timer) -> bool {
        let running = self.0.iter().position(|&(_, running)| running == timer);
        running.map(|place| self.0.swap_remove(place)).is_some()
    }

    /// Tests whether a timer runs.
    pub(super) fn is_running(&self, timer: Timer) -> bool {
        self.0.iter().any(|&(_, running)| running == timer)
    }

    /// The timer that runs out first, and when.
    pub(super) fn next(&self) -> Option<(Timestamp, Timer)> {
        self.0.iter().min().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::super::CALLER;
    use super::*;

    #[test]
    fn the_timer_that_is_due_first_is_next_and_a_stopped_one_is_not() {
        let at = Timestamp::from_micros;
        let mut timers = TimerTable::default();
        timers.start(Timer::Retry, at(7));
        timers.start(Timer::EndCause(CALLER), at(5));
        timers.start(Timer::Confirmation(CALLER), at(5));
        assert_eq!(timers.next(), Some((at(5), Timer::Confirmation(CALLER))));
        timers.start_once(Timer::Confirmation(CALLER), at(1));
        timers.start(Timer::EndCause(CALLER), at(9));
        assert_eq!(timers.next(), Some((at(5), Timer::Confirmation(CALLER))));
        assert!(timers.stop(Timer::Confirmation(CALLER)) && !timers.stop(Timer::Confirmation(CALLER)));
        assert_eq!(timers.next(), Some((at(7), Timer::Retry)));
    }
}
