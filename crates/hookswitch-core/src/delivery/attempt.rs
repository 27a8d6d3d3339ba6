//! One attempt to deliver a notification, and what follows from how it went.

use std::sync::Arc;
use std::time::Duration;

use hookswitch_model::{CallChange, Event, ExtensionId, SubscriptionId, TelephonySessionId, Timestamp};

use crate::filter::Projection;

/// The notifications among which one keeps its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LaneKey {
    /// Those of the parties of a session.
    Session(TelephonySessionId),
    /// Those of the calls of an extension, whichever sessions they are of.
    Extension(ExtensionId),
}

impl LaneKey {
    /// The lane of a notification of an event.
    pub(super) fn of(event: &Event, projection: Projection) -> Self {
        match (projection, event.party.extension) {
            (Projection::Calls { .. }, Some(extension)) => Self::Extension(extension),
            _ => Self::Session(event.session.id),
        }
    }
}

/// A notification whose time has come. It is sent, or its session waits for ever: turn it into an
/// [`InFlight`] when it leaves.
#[derive(Debug)]
#[must_use]
pub struct Due {
    /// For whom.
    pub subscription: SubscriptionId,
    /// Position of its event in the log.
    pub position: u64,
    /// The event; none if it must be read from the log.
    pub event: Option<Arc<Event>>,
    /// The change that the event made to its extension's calls, if the notification is about that and the event is
    /// there.
    pub change: Option<Arc<CallChange>>,
    /// Projection of the event for the subscriber.
    pub projection: Projection,
    /// Counts from 1.
    pub attempt: u32,
    pub(super) lane: LaneKey,
    pub(super) epoch: u32,
    /// The number of its place.
    pub(super) number: u64,
}

/// A notification that is on its way. Only what was sent can have an [`Outcome`].
#[derive(Debug)]
#[must_use]
pub struct InFlight {
    pub(super) subscription: SubscriptionId,
    pub(super) lane: LaneKey,
    pub(super) position: u64,
    pub(super) attempt: u32,
    pub(super) epoch: u32,
    pub(super) number: u64,
}

impl InFlight {
    /// Returns whose attempt it is.
    pub fn subscription(&self) -> SubscriptionId {
        self.subscription
    }
}

impl Due {
    /// The notification leaves.
    pub fn sent(self) -> InFlight {
        let Self { subscription, lane, position, attempt, epoch, number, .. } = self;
        InFlight { subscription, lane, position, attempt, epoch, number }
    }
}

/// Outcome of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The receiver answered.
    Response {
        /// The status of HTTP.
        status: u16,
        /// Time for which it asks to be left alone (`Retry-After`).
        retry_after: Option<Duration>,
    },
    /// It did not answer in time.
    TimedOut,
    /// No answer could be had, and why.
    Failed(String),
    /// The event is in the log no longer: nobody can be told of it.
    Missing,
}

impl Outcome {
    /// Returns why it is a failure, in the words of `blacklistedData` (contract subscriptions §4.4).
    pub fn reason(&self) -> String {
        match self {
            Self::Response { status, .. } => {
                format!("Webhook response is not successful, code: [{status}], reason: [HTTP {status}]")
            }
            Self::TimedOut => "I/O operation is failed. Details: [Read timed out]".to_owned(),
            Self::Failed(why) => format!("I/O operation is failed. Details: [{why}]"),
            Self::Missing => "The event is in the log no longer".to_owned(),
        }
    }
}

/// Next step after an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The receiver has it.
    Done,
    /// It is tried again.
    RetryAt {
        /// When.
        at: Timestamp,
        /// Set if the receiver has asked for this time.
        asked: bool,
    },
    /// The receiver says that it is gone for good.
    Gone,
    /// There is nothing left to send.
    Expired,
}

/// Part of a wait by which it is moved at random, in hundredths: many waits that began together do not
/// end together.
const JITTER_PERCENT: u32 = 20;

/// Decides what follows. Attempts count from 1; `schedule[0]` is the wait before attempt 2, and the last
/// wait repeats. `random` spreads the wait by up to 20 % either way. A receiver may ask for a longer
/// wait, up to `retry_after_max`.
pub fn after(
    attempt: u32,
    outcome: &Outcome,
    schedule: &[Duration],
    retry_after_max: Duration,
    random: u32,
    now: Timestamp,
) -> Next {
    let asked = match outcome {
        Outcome::Response { status: 200..300, .. } => return Next::Done,
        Outcome::Response { status: 410, .. } => return Next::Gone,
        Outcome::Missing => return Next::Expired,
        Outcome::Response { retry_after, .. } => retry_after.map(|asked| asked.min(retry_after_max)),
        Outcome::TimedOut | Outcome::Failed(_) => None,
    };
    let index = (attempt.max(1) - 1) as usize;
    let wait = schedule.get(index).or(schedule.last()).copied().unwrap_or(Duration::from_secs(1));
    let percent = 100 - JITTER_PERCENT + random % (2 * JITTER_PERCENT + 1);
    let wait = wait * percent / 100;
    match asked.filter(|&asked| asked > wait) {
        Some(asked) => Next::RetryAt { at: now + asked, asked: true },
        None => Next::RetryAt { at: now + wait, asked: false },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEDULE: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(5)];
    const NOW: Timestamp = Timestamp::from_micros(0);

    fn next(attempt: u32, outcome: &Outcome, random: u32) -> Next {
        after(attempt, outcome, &SCHEDULE, Duration::from_secs(3600), random, NOW)
    }

    fn status(status: u16, retry_after: Option<u64>) -> Outcome {
        Outcome::Response { status, retry_after: retry_after.map(Duration::from_secs) }
    }

    #[test]
    fn any_2xx_is_success_and_nothing_else_is() {
        for code in 100..600 {
            assert_eq!(next(1, &status(code, None), 0) == Next::Done, (200..300).contains(&code), "{code}");
        }
    }

    #[test]
    fn waits_follow_the_schedule_and_the_last_repeats() {
        // 20 of 0 to 40 is the middle: no jitter.
        let waits: Vec<Next> = (1..=5).map(|attempt| next(attempt, &Outcome::TimedOut, 20)).collect();
        let secs = |secs| Next::RetryAt { at: NOW + Duration::from_secs(secs), asked: false };
        assert_eq!(waits, [secs(1), secs(2), secs(5), secs(5), secs(5)]);
    }

    #[test]
    fn jitter_moves_a_wait_by_a_fifth_at_most() {
        for random in [0, 1, 40, 41, u32::MAX] {
            let Next::RetryAt { at, .. } = next(3, &Outcome::TimedOut, random) else { panic!("a retry") };
            assert!((4_000_000..=6_000_000).contains(&at.as_micros()), "{at:?}");
        }
    }

    #[test]
    fn a_receiver_may_ask_for_a_longer_wait_but_not_for_ever() {
        let at = |secs, asked| Next::RetryAt { at: NOW + Duration::from_secs(secs), asked };
        assert_eq!(next(1, &status(503, Some(60)), 20), at(60, true));
        assert_eq!(next(1, &status(429, Some(0)), 20), at(1, false));
        assert_eq!(next(1, &status(429, Some(u64::MAX)), 20), at(3600, true));
        assert_eq!(next(1, &status(410, Some(60)), 20), Next::Gone);
    }
}
