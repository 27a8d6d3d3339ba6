//! The life of a party: called, answered, ended.

use hookswitch_model::{Cause, Reason, Timestamp};
use serde::{Deserialize, Serialize};

/// Phase of the life of a party. Its status code, which the API shows, says more of an answered one: on
/// hold, parked, in a mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum PartyPhase {
    /// Calls, or is called; no leg of it was answered.
    Unanswered,
    /// Was answered, and has not left.
    Answered,
    /// Has left unanswered; its end waits for its cause.
    Ending(PendingEnd),
    /// Has left.
    Ended {
        /// A leg of it was answered.
        answered: bool,
        /// The refusal by which it left, if it did.
        failure: Option<Failure>,
    },
}

/// End of a party that waits for its cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PendingEnd {
    /// The cause as the leg told it.
    pub(super) cause: Cause,
    /// Moment at which the leg ended.
    pub(super) at: Timestamp,
}

/// Refusal of a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Failure {
    pub(super) at: Timestamp,
    pub(super) reason: Reason,
}

/// Step from one phase to another.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    /// A leg was answered.
    Answer,
    /// The last leg ended, and it may yet be told why.
    AwaitCause(PendingEnd),
    /// The same person is called again.
    TakeBackEnd,
    /// The last leg ended, or nobody was there; with the refusal, if it was one.
    End(Option<Failure>),
}

impl PartyPhase {
    /// The phase after a step. A step that the phase does not allow changes nothing.
    #[must_use]
    pub(super) fn after(self, step: Step) -> Self {
        match (self, step) {
            (Self::Unanswered, Step::Answer) => Self::Answered,
            (Self::Unanswered, Step::AwaitCause(end)) => Self::Ending(end),
            (Self::Ending(_), Step::TakeBackEnd) => Self::Unanswered,
            (Self::Unanswered | Self::Ending(_), Step::End(failure)) => {
                Self::Ended { answered: false, failure }
            }
            (Self::Answered, Step::End(_)) => Self::Ended { answered: true, failure: None },
            (
                phase @ (Self::Unanswered | Self::Answered | Self::Ending(_) | Self::Ended { .. }),
                Step::Answer | Step::AwaitCause(_) | Step::TakeBackEnd | Step::End(_),
            ) => phase,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_party_that_has_ended_stays_ended_and_one_that_was_answered_does_not_fail() {
        let at = Timestamp::from_micros(1);
        let failure = Some(Failure { at, reason: Reason::TargetBusy });
        let end = PendingEnd { cause: Cause::Busy, at };
        let steps = [Step::Answer, Step::AwaitCause(end), Step::TakeBackEnd, Step::End(None)];
        for ended in [
            PartyPhase::Unanswered.after(Step::End(failure)),
            PartyPhase::Unanswered.after(Step::AwaitCause(end)).after(Step::End(failure)),
        ] {
            assert_eq!(ended, PartyPhase::Ended { answered: false, failure });
            assert!(steps.into_iter().all(|step| ended.after(step) == ended));
        }
        let answered = PartyPhase::Unanswered.after(Step::Answer);
        assert_eq!(answered.after(Step::AwaitCause(end)), answered);
        assert_eq!(answered.after(Step::End(failure)), PartyPhase::Ended { answered: true, failure: None });
        let pending = PartyPhase::Unanswered.after(Step::AwaitCause(end));
        assert_eq!(pending.after(Step::Answer), pending);
        assert_eq!(pending.after(Step::TakeBackEnd), PartyPhase::Unanswered);
    }
}
