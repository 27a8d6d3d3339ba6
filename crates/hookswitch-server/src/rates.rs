//! Rates of the server per second, for as long as plots look back.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::watch;
use utoipa::ToSchema;

use crate::clock;
use crate::source_counts::SourceKey;
use crate::telemetry::Metrics;

/// Interval between samples.
const SAMPLE_EVERY: Duration = Duration::from_secs(2);

/// Number of samples that are kept: ten minutes.
const SAMPLES_MAX: usize = 300;

/// Rates per second, on the average since the sample before.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Sample {
    /// The end of the span.
    time: String,
    /// Messages of sources that were taken.
    messages: f64,
    /// Messages of sources that were not.
    dropped: f64,
    /// Events that came out.
    events: f64,
    /// Notifications that webhooks have taken.
    delivered: f64,
    /// Requests to webhooks that failed.
    failed: f64,
    /// Notifications that were written to WebSockets.
    streamed: f64,
    /// Calls that go on.
    open_calls: i64,
    /// Notifications that are due to webhooks.
    pending: i64,
}

/// The last samples, and what each source sends in a second.
#[derive(Default)]
pub struct Rates {
    kept: Mutex<RateHistory>,
    newest: watch::Sender<Arc<Sample>>,
}

#[derive(Default)]
struct RateHistory {
    samples: VecDeque<Arc<Sample>>,
    sources: BTreeMap<SourceKey, f64>,
}

/// All counts at a moment.
#[derive(Clone, Copy, Default)]
struct Totals {
    messages: u64,
    dropped: u64,
    events: u64,
    delivered: u64,
    failed: u64,
    streamed: u64,
}

impl Rates {
    /// Samples until told to stop.
    pub async fn follow(self: Arc<Self>, metrics: Arc<Metrics>, mut stop: watch::Receiver<bool>) {
        let mut ticks = tokio::time::interval(SAMPLE_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let (mut before, mut sources_before) = (Totals::default(), BTreeMap::new());
        let mut at = clock::now();
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                _ = stop.wait_for(|&stop| stop) => return,
            }
            let now = clock::now();
            let seconds = now.saturating_duration_since(at).as_secs_f64().max(0.001);
            at = now;
            let mut sources = BTreeMap::new();
            let (mut taken, mut dropped) = (0, 0);
            let mut rates = BTreeMap::new();
            for (key, count) in metrics.sources.all() {
                let messages = count.taken();
                taken += messages;
                dropped += count.drops().map(|(_, count)| count).sum::<u64>();
                rates.insert(key.clone(), per_second(messages, sources_before.get(&key).copied(), seconds));
                sources.insert(key, messages);
            }
            let totals = Totals {
                messages: taken,
                dropped,
                events: metrics.events.get(),
                delivered: metrics.notifications.acknowledged.get(),
                failed: metrics.notifications.failed.get(),
                streamed: metrics.socket_notifications.sent.get(),
            };
            let rate = |of: fn(&Totals) -> u64| per_second(of(&totals), Some(of(&before)), seconds);
            let sample = Arc::new(Sample {
                time: clock::wall().to_string(),
                messages: rate(|totals| totals.messages),
                dropped: rate(|totals| totals.dropped),
                events: rate(|totals| totals.events),
                delivered: rate(|totals| totals.delivered),
                failed: rate(|totals| totals.failed),
                streamed: rate(|totals| totals.streamed),
                open_calls: metrics.sessions_open.get(),
                pending: metrics.notifications_pending.get(),
            });
            (before, sources_before) = (totals, sources);
            {
                let mut kept = self.lock();
                if kept.samples.len() == SAMPLES_MAX {
                    kept.samples.pop_front();
                }
                kept.samples.push_back(sample.clone());
                kept.sources = rates;
            }
            self.newest.send_replace(sample);
        }
    }

    fn lock(&self) -> MutexGuard<'_, RateHistory> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The samples that are kept, the oldest first.
    pub fn samples(&self) -> Vec<Arc<Sample>> {
        self.lock().samples.iter().cloned().collect()
    }

    /// Returns what a source sends in a second.
    pub fn of_source(&self, key: &SourceKey) -> f64 {
        self.lock().sources.get(key).copied().unwrap_or_default()
    }

    /// The newest sample, and a wait for the next.
    pub fn newest(&self) -> watch::Receiver<Arc<Sample>> {
        self.newest.subscribe()
    }
}

/// Returns how much a count has grown in a second; none of a count that is new.
fn per_second(now: u64, before: Option<u64>, seconds: f64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "it is shown with three digits")]
    let grown = now.saturating_sub(before.unwrap_or(now)) as f64;
    (grown / seconds * 10.0).round() / 10.0
}
