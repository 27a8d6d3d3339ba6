//! Health of a subscription's deliveries of late: what is shown to those who ask why nothing arrives.

use hookswitch_core::delivery::{Backlog, Outcome};
use hookswitch_model::Timestamp;

/// Number of minutes that are looked back.
const MINUTES: i64 = 60;

const MICROS_PER_MINUTE: i64 = 60_000_000;

/// The attempts of a subscription since the server has started.
#[derive(Clone, Debug)]
pub struct Outcomes {
    /// Time when an attempt succeeded last.
    pub last_success: Option<Timestamp>,
    /// The last attempt that failed.
    pub last_failure: Option<Failure>,
    /// Of each minute which it is, and how many attempts succeeded and failed in it.
    minutes: [(i64, u32, u32); MINUTES as usize],
}

/// An attempt that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Time when it began.
    pub at: Timestamp,
    /// The status of the answer, if there was one.
    pub status: Option<u16>,
    /// In the words of the API.
    pub error: String,
}

/// Health of a subscription: what is due to it, and how the last attempts went.
#[derive(Clone, Debug)]
pub struct Health {
    /// Events that are due to it.
    pub backlog: Backlog,
    /// How the last attempts went.
    pub outcomes: Outcomes,
}

impl Default for Outcomes {
    fn default() -> Self {
        Self { last_success: None, last_failure: None, minutes: [(0, 0, 0); MINUTES as usize] }
    }
}

impl Outcomes {
    /// Notes how an attempt went.
    pub fn note(&mut self, outcome: &Outcome, at: Timestamp) {
        let taken = matches!(outcome, Outcome::Response { status: 200..300, .. });
        let minute = at.as_micros() / MICROS_PER_MINUTE;
        let place = usize::try_from(minute.rem_euclid(MINUTES)).unwrap_or_default();
        let slot = &mut self.minutes[place];
        if slot.0 != minute {
            *slot = (minute, 0, 0);
        }
        if taken {
            slot.1 = slot.1.saturating_add(1);
            self.last_success = Some(at);
        } else {
            slot.2 = slot.2.saturating_add(1);
            let status = match outcome {
                Outcome::Response { status, .. } => Some(*status),
                _ => None,
            };
            self.last_failure = Some(Failure { at, status, error: outcome.reason() });
        }
    }

    /// Returns how many attempts succeeded and failed in the last hour.
    pub fn last_hour(&self, now: Timestamp) -> (u64, u64) {
        let minute = now.as_micros() / MICROS_PER_MINUTE;
        let recent = self.minutes.iter().filter(|(of, ..)| minute - of < MINUTES);
        recent.fold((0, 0), |sum, (_, taken, failed)| (sum.0 + u64::from(*taken), sum.1 + u64::from(*failed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_are_counted_for_an_hour_and_the_last_of_each_kind_is_kept() {
        let minute = |number: i64| Timestamp::from_micros(number * MICROS_PER_MINUTE + 1);
        let answered = |status| Outcome::Response { status, retry_after: None };
        let mut outcomes = Outcomes::default();
        outcomes.note(&answered(200), minute(1000));
        outcomes.note(&answered(503), minute(1000));
        outcomes.note(&Outcome::TimedOut, minute(1059));
        assert_eq!(outcomes.last_hour(minute(1059)), (1, 2));
        assert_eq!(outcomes.last_hour(minute(1060)), (0, 1), "the first minute is over");
        outcomes.note(&answered(204), minute(1060));
        assert_eq!(outcomes.last_hour(minute(1060)), (1, 1), "its place is used again");
        assert_eq!(outcomes.last_success, Some(minute(1060)));
        let failure = outcomes.last_failure.expect("there is one");
        assert_eq!((failure.at, failure.status), (minute(1059), None));
        assert!(failure.error.contains("timed out"), "{}", failure.error);
    }
}
