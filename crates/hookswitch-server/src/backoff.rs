//! Waits before something is tried again.

use std::time::{Duration, Instant};

/// The part of a wait by which it may be longer, so that what failed at one moment is not tried again at one.
const SPREAD: f64 = 0.2;

/// Waits between attempts: twice as long after each failure in a row, up to a longest one, and as short as the
/// first again after a success.
///
/// Reads no clock and draws no random number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backoff {
    first: Duration,
    longest: Duration,
    next: Duration,
}

impl Backoff {
    /// Waits from `first` to `longest`, both without the random part.
    pub(crate) const fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, next: first }
    }

    /// Begins anew with the first wait: an attempt has succeeded.
    pub(crate) fn succeeded(&mut self) {
        self.next = self.first;
    }

    /// The time of the next attempt, after one that ended at `now`; also one that succeeded, so that nobody is
    /// asked without a pause. `random`, from 0 to 1, makes the wait up to a fifth longer.
    pub(crate) fn retry_at(&mut self, now: Instant, random: f64) -> Instant {
        let wait = self.next;
        self.next = (wait * 2).min(self.longest);
        now + wait + wait.mul_f64(SPREAD * random.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    const FIRST: Duration = Duration::from_millis(500);
    const LONGEST: Duration = Duration::from_secs(30);

    fn waits(backoff: &mut Backoff, count: usize, random: f64) -> Vec<u128> {
        let now = clock::now();
        (0..count).map(|_| (backoff.retry_at(now, random) - now).as_millis()).collect()
    }

    #[test]
    fn waits_double_up_to_the_longest() {
        let mut backoff = Backoff::new(FIRST, LONGEST);
        assert_eq!(
            waits(&mut backoff, 9, 0.0),
            [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]
        );
    }

    #[test]
    fn after_a_success_the_first_wait_is_due_again_and_none_is_shorter() {
        let mut backoff = Backoff::new(FIRST, LONGEST);
        waits(&mut backoff, 9, 0.0);
        for _ in 0..10 {
            backoff.succeeded();
            assert_eq!(waits(&mut backoff, 1, 0.0), [500]);
        }
        assert_eq!(waits(&mut backoff, 2, 0.0), [1_000, 2_000]);
    }

    #[test]
    fn a_wait_is_longer_by_chance_but_not_by_much() {
        let mut backoff = Backoff::new(FIRST, LONGEST);
        assert_eq!(waits(&mut backoff, 2, 0.5), [550, 1_100]);
        assert_eq!(waits(&mut backoff, 2, 1.0), [2_400, 4_800]);
        // A number that is none of these changes nothing.
        assert_eq!(waits(&mut backoff, 1, 7.0), [9_600]);
        assert_eq!(waits(&mut backoff, 1, -1.0), [16_000]);
    }
}
