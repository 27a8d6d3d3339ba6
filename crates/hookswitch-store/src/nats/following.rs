//! Progress along a stream, for those who wait until all of it is in the copy.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

use super::reading::advice;
use crate::{Health, Shared, clock};

/// Interval between checks whether a stream still brings something.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The progress of one follower.
pub(crate) struct Following {
    state: Mutex<State>,
}

struct State {
    /// Time when the stream brought something last.
    heard: Instant,
    /// The last message that was handed to the writer.
    handed: u64,
    /// Reason why the stream cannot be followed, and since when; none if it has gone on since.
    failure: Option<(Instant, String)>,
}

/// A stream that is waited for.
#[derive(Clone, Copy)]
pub(crate) struct Awaited<'a> {
    /// The name that the copy notes it under.
    pub stream: &'static str,
    /// Its name in NATS.
    pub name: &'a str,
    /// The last message that is waited for.
    pub end: u64,
    /// Time for which the stream may bring nothing.
    pub patience: Duration,
}

impl Following {
    /// The progress of a follower that begins behind a message.
    pub(super) fn new(resume: u64) -> Self {
        Self { state: Mutex::new(State { heard: clock::now(), handed: resume, failure: None }) }
    }

    /// NATS has brought something.
    pub(super) fn heard(&self) {
        self.state().heard = clock::now();
    }

    /// The writer has the messages up to this one.
    pub(super) fn handed(&self, sequence: u64) {
        let mut state = self.state();
        if sequence > state.handed {
            *state = State { heard: clock::now(), handed: sequence, failure: None };
        }
    }

    /// The stream could not be followed.
    pub(super) fn failed(&self, error: &anyhow::Error) {
        let mut state = self.state();
        let since = state.failure.as_ref().map_or_else(clock::now, |(since, _)| *since);
        state.failure = Some((since, format!("{error:#}")));
    }

    /// Waits until the copy has a stream up to a message. A disk that is slow is waited for.
    ///
    /// # Errors
    /// A sentence that names the stream and the fix, if it brings nothing for as long as that may take; or if
    /// the disk refuses what it brings.
    pub(crate) async fn wait(&self, shared: &Shared, awaited: Awaited<'_>) -> anyhow::Result<()> {
        let Awaited { stream, name, end, patience } = awaited;
        let mut refused = None;
        loop {
            let followed = shared.wait_followed(stream, end);
            if let Ok(followed) = tokio::time::timeout(LOOK_EVERY, followed).await {
                return followed.context("the server stops");
            }
            if let Health::Failing(cause) = &*shared.health.borrow() {
                let since = *refused.get_or_insert_with(clock::now);
                ensure!(
                    since.elapsed() < patience,
                    "the copy of the stream {name} cannot be written: {cause}; free space or fix the disk, and start again"
                );
                continue;
            }
            refused = None;
            let here = shared.followed(stream);
            let state = self.state();
            let (since, why) = match &state.failure {
                Some((since, why)) => (*since, &**why),
                None => (state.heard, "NATS brings nothing"),
            };
            ensure!(
                state.handed > here || since.elapsed() < patience,
                "the stream {name} cannot be followed: message {here} of {end} is here, and for {} s no more came: {why}; {}",
                patience.as_secs(),
                advice(name)
            );
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
