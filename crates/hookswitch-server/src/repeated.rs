//! Events that the log has already: what came in before came in again, with the same times.
//!
//! Then the machine comes to the same sessions and the same sequences once more. The log has each event once, and
//! nobody is told of it again.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use foldhash::fast::RandomState;
use hookswitch_model::TelephonySessionId;
use hookswitch_store::StoreError;

/// Sessions that are remembered before older ones are forgotten: 2 MB of them, twice.
const SESSIONS_MAX: usize = 65_536;

/// Time for which repeats are counted before a warning says how many there were, so that one says it of a whole capture.
const WARNING_AFTER: Duration = Duration::from_secs(10);

/// How long after a warning that begins anew, so that there is one a minute at most.
const QUIET_AFTER_WARNING: Duration = Duration::from_secs(50);

/// The last sequence of each session that the log has, or will have with what is on its way to it.
#[derive(Default)]
pub(crate) struct LoggedSequences {
    newer: Sequences,
    older: Sequences,
    /// The input after which `newer` was begun; all of `older` came with it or before.
    begun: u64,
}

type Sequences = HashMap<TelephonySessionId, u32, RandomState>;

impl LoggedSequences {
    /// Adds an event; false if the log has it. `read` gives the last sequence of the session on disk, 0 if there is
    /// none, and is asked for sessions that are not remembered.
    ///
    /// # Errors
    /// If it cannot be read; the event is taken for the first of its session then.
    pub(crate) fn add(
        &mut self,
        session: TelephonySessionId,
        sequence: u32,
        read: impl FnOnce() -> Result<u32, StoreError>,
    ) -> Result<bool, StoreError> {
        let known = self.newer.get(&session).or_else(|| self.older.get(&session)).copied();
        let last = known.map_or_else(read, Ok);
        let newest = last.as_ref().map_or(sequence, |&last| last.max(sequence));
        self.newer.insert(session, newest);
        Ok(sequence > last?)
    }

    /// Forgets the oldest sessions if there are many, and the log has all of them on disk, where they are found
    /// again. The last event came with this `input`; `stored` gives the last input on disk.
    pub(crate) fn forget_oldest(&mut self, input: u64, stored: impl FnOnce() -> u64) {
        if self.newer.len() >= SESSIONS_MAX && stored() >= self.begun {
            self.older = std::mem::take(&mut self.newer);
            self.begun = input;
        }
    }
}

/// Repeats that no warning has told of yet.
#[derive(Default)]
pub(crate) struct Repeats {
    count: u64,
    /// The session of the last.
    session: Option<TelephonySessionId>,
    /// Time when the first was found, and when the last warning was.
    since: Option<Instant>,
    warned: Option<Instant>,
}

impl Repeats {
    /// Counts one.
    pub(crate) fn add(&mut self, session: TelephonySessionId, now: Instant) {
        self.count += 1;
        self.session = Some(session);
        self.since.get_or_insert(now);
    }

    /// Warns of those that were counted, if that is due or nothing more `is_to_come`.
    pub(crate) fn warn(&mut self, now: Instant, is_to_come: bool) {
        let Some((since, session)) = self.since.zip(self.session) else { return };
        let due = self.warned.map_or(since, |warned| since.max(warned + QUIET_AFTER_WARNING));
        if is_to_come && now.saturating_duration_since(due) < WARNING_AFTER {
            return;
        }
        tracing::warn!(
            events = self.count,
            session.id = %session,
            "the same signalling came in again; its events are in the log already, and are not sent again"
        );
        *self = Self { warned: Some(now), ..Self::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(number: usize) -> TelephonySessionId {
        TelephonySessionId::new(number as u128)
    }

    #[test]
    fn an_event_is_new_once_whether_it_is_on_disk_or_on_its_way() {
        let mut logged = LoggedSequences::default();
        let on_disk = |last| move || Ok(last);
        assert_eq!(logged.add(session(1), 2, on_disk(0)).ok(), Some(true));
        assert_eq!(logged.add(session(1), 2, || unreachable!("it is remembered")).ok(), Some(false));
        assert_eq!(logged.add(session(1), 3, || unreachable!("it is remembered")).ok(), Some(true));
        // One of which the log has a part.
        for (sequence, is_new) in [(2, false), (5, false), (6, true), (5, false), (7, true)] {
            assert_eq!(logged.add(session(2), sequence, on_disk(5)).ok(), Some(is_new), "{sequence}");
        }
    }

    #[test]
    fn a_log_that_cannot_be_read_is_asked_again_for_another_session_alone() {
        let mut logged = LoggedSequences::default();
        assert!(logged.add(session(1), 2, || Err(StoreError::Closed)).is_err());
        assert_eq!(logged.add(session(1), 2, || Ok(0)).ok(), Some(false), "it was taken for new");
    }

    #[test]
    fn sessions_are_forgotten_when_there_are_many_and_those_are_on_disk() {
        let mut logged = LoggedSequences::default();
        // The log on disk has what is forgotten, and the rest is asked for in vain.
        let mut asked = 0;
        let fill = |logged: &mut LoggedSequences, from: usize, stored: u64| {
            for number in from..from + SESSIONS_MAX {
                assert_eq!(logged.add(session(number), 2, || Ok(0)).ok(), Some(true));
                logged.forget_oldest(number as u64 + 1, || stored);
            }
        };
        fill(&mut logged, 0, 0);
        assert_eq!(logged.begun, SESSIONS_MAX as u64);
        fill(&mut logged, SESSIONS_MAX, SESSIONS_MAX as u64 - 1);
        let mut is_known = |logged: &mut LoggedSequences, number: usize| {
            let added = logged.add(session(number), 2, || {
                asked += 1;
                Ok(2)
            });
            assert_eq!(added.ok(), Some(false), "{number}");
        };
        is_known(&mut logged, 0);
        is_known(&mut logged, 2 * SESSIONS_MAX - 1);
        logged.forget_oldest(2 * SESSIONS_MAX as u64, || SESSIONS_MAX as u64);
        for number in [0, 1, SESSIONS_MAX] {
            is_known(&mut logged, number);
        }
        assert_eq!(asked, 1, "that of session 1 alone was forgotten");
    }

    #[test]
    fn a_warning_waits_for_the_rest_of_a_capture_and_comes_once_a_minute() {
        let start = crate::clock::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut repeats = Repeats::default();
        // At these seconds one is found; how many are left to warn of.
        for (seconds, left) in
            [(0, 1), (5, 2), (9, 3), (11, 0), (12, 1), (30, 2), (70, 3), (72, 0), (200, 1), (210, 0)]
        {
            repeats.add(session(1), at(seconds));
            repeats.warn(at(seconds), true);
            assert_eq!(repeats.count, left, "at {seconds} s");
        }
        repeats.add(session(1), at(211));
        repeats.warn(at(211), false);
        assert_eq!(repeats.count, 0, "nothing more is to come");
    }
}
