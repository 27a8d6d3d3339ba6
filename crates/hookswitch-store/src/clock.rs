//! The only place that reads a clock: of the wall for what people read, monotonic for waiting.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{LazyLock, OnceLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hookswitch_model::Timestamp;
use tokio::sync::watch;

/// Time by which the clock was moved on, in microseconds; a server that serves others never moves it.
static AHEAD_MICROS: AtomicU64 = AtomicU64::new(0);

/// Told when it was.
static MOVED: LazyLock<watch::Sender<u64>> = LazyLock::new(|| watch::Sender::new(0));

/// The time by the clock on the wall; it may be set, and must not be waited by.
#[expect(clippy::disallowed_methods, reason = "this is where time comes in")]
pub fn wall() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX)) + ahead()
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

/// Returns what the steady clock showed at an instant that was read already.
pub fn steady_at(instant: Instant) -> Timestamp {
    static START: OnceLock<(Instant, Timestamp)> = OnceLock::new();
    let &(start, at) = START.get_or_init(|| {
        let (start, at) = (now(), wall());
        (start, Timestamp::from_micros(at.as_micros() - i64::try_from(ahead().as_micros()).unwrap_or(0)))
    });
    at + instant.saturating_duration_since(start) + ahead()
}

/// Returns the time when the steady clock will show this time, unless it is moved on before.
pub fn instant_of(at: Timestamp) -> Instant {
    now() + at.since(steady())
}

/// Returns how far the wall and the steady clock were moved on.
pub fn ahead() -> Duration {
    Duration::from_micros(AHEAD_MICROS.load(Ordering::Relaxed))
}

/// Moves the wall and the steady clock on, for tests that do not want to wait. What is under way, such as a request
/// with a deadline, goes by the monotonic clock and does not notice.
pub fn advance(by: Duration) {
    let micros = u64::try_from(by.as_micros()).unwrap_or(u64::MAX);
    AHEAD_MICROS.fetch_add(micros, Ordering::Relaxed);
    MOVED.send_modify(|count| *count += 1);
}

/// Counts how often the clock was moved on; who sleeps until a time of the steady clock looks again at each change.
pub fn follow_moves() -> watch::Receiver<u64> {
    MOVED.subscribe()
}
