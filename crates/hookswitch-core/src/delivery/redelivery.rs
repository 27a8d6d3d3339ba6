//! Notifications that are sent again on request: one after the other, and with an end.
//!
//! Unlike a queue it gives up: somebody waits for it, sees where it stopped, and lets it go on.

use std::time::Duration;

use hookswitch_model::Timestamp;

use super::attempt::{Next, Outcome, after};

/// The waits before attempt 2, 3 and so on; after the last attempt the redelivery has failed.
pub const WAITS: [Duration; 4] =
    [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(5), Duration::from_secs(10)];

/// The longest wait that a receiver may ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);

/// The times between notifications.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Spacing {
    /// The next follows when the one before was taken.
    #[default]
    None,
    /// As between their events, or longer.
    Original,
}

/// What follows from an attempt of a redelivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The receiver has it; the next event is due.
    Taken,
    /// It is tried again then.
    RetryAt(Timestamp),
    /// The redelivery has failed at this event.
    Failed,
}

/// Schedule of notifications that are sent again, and the rules when one fails. Reads no clock.
#[derive(Clone, Debug)]
pub struct Schedule {
    spacing: Spacing,
    /// Time when the last event was sent first, and when it had happened.
    last: Option<(Timestamp, Timestamp)>,
    /// Attempts at the event that is sent.
    attempts: u32,
}

impl Schedule {
    /// A redelivery that has sent nothing, or goes on behind an event that happened then.
    pub fn new(spacing: Spacing, behind: Option<Timestamp>, now: Timestamp) -> Self {
        Self { spacing, last: behind.map(|at| (now, at)), attempts: 0 }
    }

    /// Returns the time when the next event, which happened at `at`, is to be sent.
    pub fn due(&self, at: Timestamp, now: Timestamp) -> Timestamp {
        match (self.spacing, self.last) {
            (Spacing::Original, Some((sent, before))) => (sent + at.since(before)).max(now),
            _ => now,
        }
    }

    /// An attempt at an event that happened at `at` begins; gives its number, which counts from 1.
    pub fn begin(&mut self, at: Timestamp, now: Timestamp) -> u32 {
        if self.attempts == 0 {
            // Events of several clocks may run back; the gaps do not.
            let at = self.last.map_or(at, |(_, before)| at.max(before));
            self.last = Some((now, at));
        }
        self.attempts += 1;
        self.attempts
    }

    /// Takes how the attempt went. `random` spreads the wait.
    pub fn handle_outcome(&mut self, outcome: &Outcome, random: u32, now: Timestamp) -> Step {
        let next = after(self.attempts, outcome, &WAITS, RETRY_AFTER_MAX, random, now);
        match next {
            // An event that is in the log no longer cannot be sent, and holds nobody back.
            Next::Done | Next::Expired => {
                self.attempts = 0;
                Step::Taken
            }
            Next::RetryAt { at, .. } if (self.attempts as usize) <= WAITS.len() => Step::RetryAt(at),
            Next::RetryAt { .. } | Next::Gone => Step::Failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_micros(secs * 1_000_000)
    }

    fn status(status: u16) -> Outcome {
        Outcome::Response { status, retry_after: None }
    }

    /// Returns the time when each of some events is taken by a receiver that answers in a second, all going well.
    fn times(spacing: Spacing, events: &[i64]) -> Vec<i64> {
        let mut now = at(1000);
        let mut schedule = Schedule::new(spacing, None, now);
        let send = |&event: &i64| {
            now = schedule.due(at(event), now);
            let sent = now;
            assert_eq!(schedule.begin(at(event), now), 1);
            now = now + Duration::from_secs(1);
            assert_eq!(schedule.handle_outcome(&status(200), 0, now), Step::Taken);
            sent.as_micros() / 1_000_000 - 1000
        };
        events.iter().map(send).collect()
    }

    #[test]
    fn without_spacing_each_follows_when_the_one_before_was_taken() {
        assert_eq!(times(Spacing::None, &[5, 6, 90, 90]), [0, 1, 2, 3]);
    }

    #[test]
    fn original_spacing_keeps_the_gaps_also_when_clocks_run_back() {
        assert_eq!(times(Spacing::Original, &[5, 35, 36, 90]), [0, 30, 31, 85]);
        // Three at once take as long as the receiver does; the gap after them begins with the last.
        assert_eq!(times(Spacing::Original, &[5, 5, 5, 15]), [0, 1, 2, 12]);
        assert_eq!(times(Spacing::Original, &[50, 20, 60]), [0, 1, 11]);
    }

    #[test]
    fn a_redelivery_that_goes_on_keeps_the_gap_to_the_last_that_was_taken() {
        let schedule = Schedule::new(Spacing::Original, Some(at(5)), at(1000));
        assert_eq!(schedule.due(at(25), at(1000)), at(1020));
    }

    #[test]
    fn an_event_that_is_never_taken_ends_the_redelivery_after_some_attempts() {
        let mut now = at(0);
        let mut schedule = Schedule::new(Spacing::Original, None, now);
        let mut waits = Vec::new();
        loop {
            let number = schedule.begin(at(7), now);
            match schedule.handle_outcome(&status(500), 20, now) {
                Step::RetryAt(next) => {
                    waits.push(next.since(now).as_secs());
                    now = next;
                }
                step => {
                    assert_eq!((step, number), (Step::Failed, 5));
                    break;
                }
            }
        }
        assert_eq!(waits, [1, 2, 5, 10]);
    }

    #[test]
    fn who_is_gone_is_not_asked_again_and_who_asks_for_time_gets_it() {
        let mut schedule = Schedule::new(Spacing::None, None, at(0));
        schedule.begin(at(7), at(0));
        let later = Outcome::Response { status: 503, retry_after: Some(Duration::from_secs(30)) };
        assert_eq!(schedule.handle_outcome(&later, 20, at(0)), Step::RetryAt(at(30)));
        schedule.begin(at(7), at(30));
        assert_eq!(schedule.handle_outcome(&status(410), 20, at(30)), Step::Failed);
        let mut schedule = Schedule::new(Spacing::None, None, at(0));
        schedule.begin(at(7), at(0));
        assert_eq!(schedule.handle_outcome(&Outcome::Missing, 20, at(0)), Step::Taken);
    }
}
