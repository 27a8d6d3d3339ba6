//! Turns of requests that read much of the log: searches, filter trials, previews of redeliveries.
//!
//! They take processor time from the calls that are going on. So few are at work at once, each takes its turn for one
//! page of the log and then waits behind the others, and a short one is answered before a long one, whoever came first.

use std::sync::Arc;
use std::thread::available_parallelism;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The turns of a server: a page each, in the order in which they are asked for.
#[derive(Clone)]
pub struct Scans(Arc<Semaphore>);

/// A turn that was taken. The next begins when it is dropped.
#[must_use]
pub struct ScanTurn {
    /// None if there are no turns any more: the server stops.
    _permit: Option<OwnedSemaphorePermit>,
}

impl Scans {
    /// Turns for half of the processors.
    pub fn new() -> Self {
        let processors = available_parallelism().map_or(1, usize::from);
        Self::of((processors / 2).max(1))
    }

    fn of(at_once: usize) -> Self {
        Self(Arc::new(Semaphore::new(at_once)))
    }

    /// Waits for a turn, which is for one page.
    pub async fn turn(&self) -> ScanTurn {
        ScanTurn { _permit: self.0.clone().acquire_owned().await.ok() }
    }
}

impl Default for Scans {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn few_are_at_work_and_a_short_one_does_not_wait_for_the_long_ones_before_it() {
        const LONG: usize = 40;
        const PAGES: usize = 50;
        let scans = Scans::of(2);
        let (working, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let read = Arc::new(AtomicUsize::new(0));
        let scan = |pages: usize| {
            let (scans, working, most, read) = (scans.clone(), working.clone(), most.clone(), read.clone());
            tokio::spawn(async move {
                for _ in 0..pages {
                    let _turn = scans.turn().await;
                    most.fetch_max(working.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    tokio::task::yield_now().await;
                    read.fetch_add(1, Ordering::SeqCst);
                    working.fetch_sub(1, Ordering::SeqCst);
                }
            })
        };
        let long: Vec<_> = (0..LONG).map(|_| scan(PAGES)).collect();
        tokio::task::yield_now().await;
        scan(1).await.expect("it ends");
        let before = read.load(Ordering::SeqCst);
        assert!(before <= 2 * LONG, "{before} pages of others came before the only one");
        for one in long {
            one.await.expect("it ends");
        }
        assert_eq!((most.load(Ordering::SeqCst), read.load(Ordering::SeqCst)), (2, LONG * PAGES + 1));
    }
}
