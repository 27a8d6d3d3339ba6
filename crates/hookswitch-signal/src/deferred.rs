//! Changes that a tracker of channels puts off: what waits for its explanation, and when channels are looked after
//! that have fallen silent.

use std::collections::VecDeque;

use hookswitch_model::Timestamp;
use serde::{Deserialize, Serialize};

use crate::switch::{CHECK_EVERY, Number};

/// Changes that are put off; `W` is what waits for an explanation.
#[derive(Serialize, Deserialize)]
pub(crate) struct Deferred<W> {
    /// In the order of their times; of one time, in the order in which they came.
    waiting: VecDeque<(Timestamp, W)>,
    /// The channels that are followed, and when each is looked after next.
    checks: VecDeque<(Timestamp, Number)>,
}

impl<W> Default for Deferred<W> {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), checks: VecDeque::new() }
    }
}

impl<W: Copy> Deferred<W> {
    /// Lets something wait until a time.
    pub(crate) fn wait_until(&mut self, until: Timestamp, waiting: W) {
        let place = self.waiting.partition_point(|(at, _)| *at <= until);
        self.waiting.insert(place, (until, waiting));
    }

    /// Lets something wait until a time, and behind all that waits: the times of messages may run back a
    /// little.
    pub(crate) fn wait_behind_all(&mut self, until: Timestamp, waiting: W) {
        let until = self.waiting.back().map_or(until, |&(last, _)| last.max(until));
        self.waiting.push_back((until, waiting));
    }

    /// Takes what has waited long enough, the first of it.
    pub(crate) fn take_due(&mut self, now: Timestamp) -> Option<W> {
        let is_due = self.waiting.front().is_some_and(|(until, _)| *until <= now);
        if is_due { self.take_any() } else { None }
    }

    /// Takes what has waited longest, long enough or not.
    pub(crate) fn take_any(&mut self) -> Option<W> {
        self.waiting.pop_front().map(|(_, waiting)| waiting)
    }

    /// Returns what waits and is meant.
    pub(crate) fn find(&self, is_meant: impl Fn(&W) -> bool) -> Option<W> {
        self.waiting.iter().map(|(_, waiting)| *waiting).find(is_meant)
    }

    /// Forgets what waits and is meant.
    pub(crate) fn forget(&mut self, is_meant: impl Fn(&W) -> bool) {
        self.waiting.retain(|(_, waiting)| !is_meant(waiting));
    }

    /// Has a channel looked after, in a while.
    pub(crate) fn check(&mut self, number: Number, now: Timestamp) {
        self.checks.push_back((now + CHECK_EVERY, number));
    }

    /// Takes a channel that is to be looked after now.
    pub(crate) fn take_check(&mut self, now: Timestamp) -> Option<Number> {
        let is_due = self.checks.front().is_some_and(|(due, _)| *due <= now);
        if is_due { self.checks.pop_front().map(|(_, number)| number) } else { None }
    }

    /// Returns the time when the first of it is due.
    pub(crate) fn poll_timeout(&self) -> Option<Timestamp> {
        let waiting = self.waiting.front().map(|&(until, _)| until);
        let check = self.checks.front().map(|&(due, _)| due);
        waiting.into_iter().chain(check).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_due_in_the_order_of_its_times_and_then_as_it_came() {
        let at = Timestamp::from_micros;
        let mut waits = Deferred::default();
        for (until, waiting) in [(30, 'c'), (10, 'a'), (30, 'd'), (20, 'b'), (40, 'x')] {
            waits.wait_until(at(until), waiting);
        }
        waits.wait_behind_all(at(5), 'z');
        waits.forget(|&waiting| waiting == 'x');
        assert_eq!((waits.poll_timeout(), waits.find(|&w| w > 'd')), (Some(at(10)), Some('z')));
        assert_eq!(waits.take_due(at(9)), None);
        let due: Vec<char> = std::iter::from_fn(|| waits.take_due(at(39))).collect();
        assert_eq!(due, ['a', 'b', 'c', 'd']);
        assert_eq!((waits.take_due(at(40)), waits.take_any()), (Some('z'), None));
    }

    #[test]
    fn a_channel_is_looked_after_in_a_while() {
        let mut waits = Deferred::<()>::default();
        let now = Timestamp::from_micros(7);
        waits.check(1, now);
        assert_eq!(waits.take_check(now), None);
        assert_eq!(waits.poll_timeout(), Some(now + CHECK_EVERY));
        assert_eq!((waits.take_check(now + CHECK_EVERY), waits.poll_timeout()), (Some(1), None));
    }
}
