//! The only place that reads a clock: of the wall for what people read, monotonic for waiting.

use std::sync::OnceLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use hookswitch_model::Timestamp;

/// The time by the clock on the wall; it may be set, and must not be waited by.
#[expect(clippy::disallowed_methods, reason = "this is where time comes in")]
pub fn wall() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

/// The time by a clock that only goes on.
#[expect(clippy::disallowed_methods, reason = "this is where time comes in")]
pub fn now() -> Instant {
    Instant::now()
}

/// The time of the wall when this was first asked, and what has passed since: a clock that only goes on,
/// in the terms of the other. Lifetimes and retries go by it.
pub fn steady() -> Timestamp {
    steady_at(now())
}

/// What the steady clock showed at an instant that was read already.
pub fn steady_at(instant: Instant) -> Timestamp {
    static START: OnceLock<(Instant, Timestamp)> = OnceLock::new();
    let &(start, at) = START.get_or_init(|| (now(), wall()));
    at + instant.saturating_duration_since(start)
}

/// When the steady clock will show this time.
pub fn instant_of(at: Timestamp) -> Instant {
    now() + at.since(steady())
}
