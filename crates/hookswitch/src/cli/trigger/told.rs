//! Events that a session machine tells of a script, before it is posted.

use hookswitch_core::directory::Directory;
use hookswitch_core::engine::Policy;
use hookswitch_model::{ClockId, Event, InputRef, Reason, StatusCode, Timestamp};
use hookswitch_pipeline::{Clocks, Pipeline};
use hookswitch_server::config::ACCOUNT;
use hookswitch_signal::ingest::Posted;

use super::calls::Step;

/// The source of the signals.
const SOURCE: u16 = 0;

/// Time that the clock runs on behind the last signal: longer than an end waits for its cause.
const SETTLED_MICROS: i64 = 700_000;

/// The events of a script, by a machine whose extensions are all short numbers.
pub(super) struct PredictedEvents(Vec<Event>);

impl PredictedEvents {
    /// Runs the steps through a machine.
    pub(super) fn of(steps: &[Step]) -> Self {
        let directory = Directory::built_in(ACCOUNT);
        let mut pipeline = Pipeline::new(directory, Policy::default(), Clocks::One);
        pipeline.sources_mut().add_posted(SOURCE, ACCOUNT);
        let clock = ClockId::default();
        let micros = |step: &Step| i64::try_from(step.at).unwrap_or(i64::MAX).saturating_mul(1000);
        for (number, step) in (0..).zip(steps) {
            let mut signal = step.signal.clone();
            signal["id"] = number.to_string().into();
            let at = Timestamp::from_micros(micros(step));
            let input = InputRef { source: SOURCE, number };
            // The scripts are in the words of the ingest, which a test asserts of each.
            if let Ok(posted) = Posted::parse(signal.to_string().as_bytes()) {
                pipeline.handle_posted(SOURCE, posted, at, input).ok();
            }
        }
        let last = steps.last().map_or(0, micros);
        let end = Timestamp::from_micros(last.saturating_add(SETTLED_MICROS));
        while let Some(due) = pipeline.poll_timeout(clock).filter(|&due| due <= end) {
            pipeline.handle_time(clock, due);
        }
        Self(std::iter::from_fn(|| pipeline.poll_event()).collect())
    }

    /// Returns `true` if a party comes to a status.
    pub(super) fn has_status(&self, status: StatusCode) -> bool {
        self.0.iter().any(|event| event.party.status.code == status)
    }

    /// Returns `true` if a party has a reason.
    pub(super) fn has_reason(&self, reason: Reason) -> bool {
        self.0.iter().any(|event| event.party.status.reason == Some(reason))
    }

    /// The events.
    #[cfg(test)]
    pub(super) fn events(&self) -> &[Event] {
        &self.0
    }
}
