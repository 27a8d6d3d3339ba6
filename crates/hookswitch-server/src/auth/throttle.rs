//! Throttles: failures of one who may be guessing, and requests of one who may be greedy.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use foldhash::fast::RandomState;

use crate::secret::Digest;

/// Time that is counted, and how long who has had too much waits at most.
pub const WINDOW: Duration = Duration::from_secs(60);

/// The most who are counted at once. Beyond it those are forgotten whose window is over, and then those who may have
/// more; whoever has had too much stays, and who finds no room then has a share of one count in common.
const COUNTED_MAX: usize = 100_000;

/// Number of counts that those share for whom there is no room.
const SHARED: u8 = 64;

/// Interval between looks for those who may be forgotten, while there is no room.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Count of one client in a window.
#[derive(Clone, Copy)]
struct Count {
    since: Instant,
    count: u32,
}

/// Rest of a window's allowance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// Number of those that may pass in a window.
    pub limit: u32,
    /// Number of those that may pass yet.
    pub remaining: u32,
    /// Set when it is used up: how long until the next window.
    pub wait: Option<Duration>,
}

/// Counts in windows, by the digest of who it is.
pub struct Throttle {
    limit: u32,
    counts: Mutex<Counts>,
}

#[derive(Default)]
struct Counts {
    of: HashMap<[u8; 16], Count, RandomState>,
    looked: Option<Instant>,
}

impl Counts {
    /// Makes room, if there is none, and gives the key under which one is counted.
    fn key(&mut self, key: [u8; 16], limit: u32, now: Instant) -> [u8; 16] {
        if self.of.len() < COUNTED_MAX || self.of.contains_key(&key) {
            return key;
        }
        if self.looked.is_none_or(|looked| now.saturating_duration_since(looked) >= LOOK_EVERY) {
            self.looked = Some(now);
            self.of.retain(|_, count| now.saturating_duration_since(count.since) < WINDOW);
            if self.of.len() >= COUNTED_MAX {
                self.of.retain(|_, count| count.count >= limit);
            }
        }
        if self.of.len() < COUNTED_MAX { key } else { [key[0] % SHARED; 16] }
    }
}

impl Throttle {
    /// Lets this many pass in a window.
    pub fn new(limit: u32) -> Self {
        Self { limit, counts: Mutex::default() }
    }

    /// Counts one more, unless that is one too many.
    pub fn take(&self, whose: &[&str], now: Instant) -> Allowance {
        self.count(whose, now, 1)
    }

    /// Returns what is left, without counting.
    pub fn look(&self, whose: &[&str], now: Instant) -> Allowance {
        self.count(whose, now, 0)
    }

    fn count(&self, whose: &[&str], now: Instant, more: u32) -> Allowance {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let key = counts.key(key(whose), self.limit, now);
        let counts = &mut counts.of;
        let fresh = Count { since: now, count: 0 };
        let mut count = counts.get(&key).copied().unwrap_or(fresh);
        let age = now.saturating_duration_since(count.since);
        if age >= WINDOW {
            count = fresh;
        }
        if count.count >= self.limit {
            let wait = Some(WINDOW.saturating_sub(age));
            return Allowance { limit: self.limit, remaining: 0, wait };
        }
        count.count += more;
        if more > 0 {
            counts.insert(key, count);
        }
        Allowance { limit: self.limit, remaining: self.limit - count.count, wait: None }
    }
}

fn key(whose: &[&str]) -> [u8; 16] {
    // Names come from outside, so they are hashed with a hash that nobody can find collisions of.
    Digest::of(whose.join("\0").as_bytes()).prefix()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    #[test]
    fn a_window_lets_so_many_pass_and_the_next_window_as_many_again() {
        let throttle = Throttle::new(2);
        let start = clock::now();
        assert_eq!(throttle.take(&["a"], start).remaining, 1);
        assert_eq!(throttle.take(&["a"], start).remaining, 0);
        assert_eq!(throttle.take(&["a"], start + WINDOW / 2).wait, Some(WINDOW / 2));
        assert_eq!(throttle.take(&["b"], start).wait, None);
        assert_eq!(throttle.take(&["a"], start + WINDOW).wait, None);
    }

    #[test]
    fn who_tries_many_names_does_not_fill_the_memory() {
        let throttle = Throttle::new(2);
        let start = clock::now();
        for name in 0..COUNTED_MAX + 10 {
            throttle.take(&[&name.to_string()], start);
        }
        assert!(throttle.counts.lock().unwrap().of.len() <= COUNTED_MAX + usize::from(SHARED));
    }

    #[test]
    fn a_flood_of_names_pushes_out_no_penalty() {
        let throttle = Throttle::new(2);
        let start = clock::now();
        for _ in 0..2 {
            throttle.take(&["guesser"], start);
        }
        for name in 0..2 * COUNTED_MAX + 10 {
            let later = start + Duration::from_micros(name as u64 * 100);
            throttle.take(&[&name.to_string()], later);
        }
        assert!(throttle.look(&["guesser"], start + WINDOW / 2).wait.is_some());
        assert_eq!(throttle.look(&["somebody new"], start + WINDOW / 2).wait, None);
    }
}
