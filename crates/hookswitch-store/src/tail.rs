//! The end of the event log, in memory: who follows the log reads the newest events here, and none of
//! them again for each follower from the database.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// Number of events that are kept; about 32 MiB after a burst. A commit that waits for the disk has thousands under load,
/// and who follows the log would read them from the database, each for itself.
const EVENTS_MAX: usize = 32 * 1024;

/// The last events of the log.
pub(super) struct Tail<T>(Mutex<Events<T>>);

struct Events<T> {
    /// All events of the log behind this position are here.
    after: u64,
    /// Each with its position.
    newest: VecDeque<(u64, T)>,
}

impl<T: Clone> Tail<T> {
    /// Of a log that ends there.
    pub(super) fn new(end: u64) -> Self {
        Self(Mutex::new(Events { after: end, newest: VecDeque::new() }))
    }

    /// Begins anew where the log ends.
    pub(super) fn restart(&self, end: u64) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) =
            Events { after: end, newest: VecDeque::new() };
    }

    /// Adds what was written, in the order of the log.
    pub(super) fn push(&self, written: impl Iterator<Item = (u64, T)>) {
        let mut events = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for event in written {
            if events.newest.len() == EVENTS_MAX
                && let Some((oldest, _)) = events.newest.pop_front()
            {
                events.after = oldest;
            }
            events.newest.push_back(event);
        }
    }

    /// The first events behind a position, as many as asked for at most; none if older ones are asked
    /// for than are here.
    pub(super) fn after(&self, after: u64, limit: usize) -> Option<Vec<T>> {
        let events = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if after < events.after {
            return None;
        }
        let first = events.newest.partition_point(|&(position, _)| position <= after);
        Some(events.newest.range(first..).take(limit).map(|(_, event)| event.clone()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_given_and_older_ones_are_not_known() {
        let tail = Tail::new(10);
        let event = |position| (position, position);
        assert_eq!(tail.after(10, 5), Some(vec![]));
        assert_eq!(tail.after(9, 5), None);
        // One was told before, and is not in the log again.
        tail.push([11, 12, 14].into_iter().map(event));
        assert_eq!(tail.after(10, 2), Some(vec![11, 12]));
        assert_eq!(tail.after(12, 5), Some(vec![14]));
        assert_eq!(tail.after(13, 5), Some(vec![14]));
        tail.push((15..15 + EVENTS_MAX as u64).map(event));
        assert_eq!(tail.after(13, 5), None, "the first of them is gone");
        assert_eq!(tail.after(14, 1), Some(vec![15]));
        tail.restart(99_999);
        assert_eq!((tail.after(99_998, 1), tail.after(99_999, 1)), (None, Some(vec![])));
    }
}
