//! The only place that reads a clock: of the wall for what people read, monotonic for waiting.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use hookswitch_model::Timestamp;

/// The time by the clock on the wall; it may be set, and must not be waited by.
#[expect(clippy::disallowed_methods, reason = "this is where time comes in")]
pub(crate) fn wall() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

/// The time by a clock that only goes on.
#[expect(clippy::disallowed_methods, reason = "this is where time comes in")]
pub(crate) fn now() -> Instant {
    Instant::now()
}
