//! The task that carries deliveries out: reads the event log as it grows, makes the requests that
//! `hookswitch_core::delivery` decides on, and keeps on disk what was acknowledged.
//!
//! Nothing here waits for a receiver or for the disk: requests, reads and writes are tasks of their own,
//! and report back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hookswitch_core::delivery::{
    Change, Counters, Deliveries, Due, InFlight, Outcome, Policy, Progress, Wanted, Work,
};
use hookswitch_core::filter::{EventFilter, Projection};
use hookswitch_core::notification::{SERVER_ID, Subscriber};
use hookswitch_core::subscription::Subscription;
use hookswitch_model::{CallChange, Event, Logged, SubscriptionId, Timestamp};
use hookswitch_store::{Attempt, Journal, Partition, Store, StoreError, feed_change};
use tokio::sync::{mpsc, oneshot, watch};

use crate::call_changes::CallChanges;
use crate::config::Webhooks as Settings;
use crate::health::{Health, Outcomes};
use crate::subscriptions::{Command, Delivery, StoredSubscription, Subscriptions, progress_change};
use crate::telemetry::Metrics;
use crate::webhook::{Endpoint, Webhooks};
use crate::{clock, secret};

/// Number of events that are read from the log at once.
const READ_EVENTS: usize = 500;

/// Time to wait after a read or a write that failed.
const PAUSE: Duration = Duration::from_millis(500);

/// Interval at which progress is written at most: a crash sends again what was taken in this time.
const SAVE_EVERY: Duration = Duration::from_millis(10);

/// Time that attempts wait to be written down when nothing else is to be written.
const JOURNAL_EVERY: Duration = Duration::from_millis(250);

/// The most attempts that wait to be written down; what a disk refuses for longer is not told.
const JOURNAL_MAX: usize = 20_000;

/// The usual length of a notification, so that its buffer need not grow.
const NOTIFICATION_BYTES: usize = 1536;

/// Returns how deliveries are made, by the configuration.
pub(crate) fn policy(settings: &Settings) -> Policy {
    Policy {
        schedule: settings.retry_waits.iter().map(|wait| wait.0).collect(),
        retry_after_max: settings.retry_after_max.0,
        blacklist_after: settings.blacklist_after.0,
        revalidate_every: settings.revalidate_every.0,
        parallel_max: settings.parallel_max,
        in_flight_max: settings.in_flight_max,
        ringing_kept: Some(settings.ringing_kept.0).filter(|kept| !kept.is_zero()),
    }
}

/// Check that this node owns a partition at this moment.
pub(crate) type Lease = Arc<dyn Fn() -> bool + Send + Sync>;

/// The deliveries of a partition and what they work with.
pub(crate) struct Deliverer {
    machine: Deliveries,
    store: Store,
    changes: Arc<CallChanges>,
    /// Partition whose subscriptions it serves, and the lease on it.
    partition: Partition,
    lease: Lease,
    subscriptions: Arc<Subscriptions>,
    webhooks: Webhooks,
    metrics: Arc<Metrics>,
    endpoints: BTreeMap<SubscriptionId, Receiver>,
    /// How the attempts of late went.
    outcomes: BTreeMap<SubscriptionId, Outcomes>,
    reports: mpsc::UnboundedSender<Report>,
    counted: Counters,
    /// Share of the gauges.
    shown: [i64; 3],
    /// Set if the log is being read for all.
    reading: bool,
    /// Set if progress is being written.
    saving: bool,
    /// Time when it may be written again.
    next_save: Instant,
    /// Progress that could not be written.
    unsaved: BTreeMap<SubscriptionId, Progress>,
    /// Attempts that are not written down yet, and when they are at the latest.
    journal: Vec<Attempt>,
    next_journal: Instant,
    /// AttemptGuard when no write is under way.
    removed: Vec<oneshot::Sender<()>>,
    /// Point up to which the log was handed out when that was last written.
    saved_feed: u64,
}

/// Receiver of the notifications of a subscription, and what they have in common.
struct Receiver {
    endpoint: Arc<Endpoint>,
    /// Without and with the `sipData` of parties.
    subscriber: Arc<Subscriber>,
    /// As the reminders want it.
    subscription: Subscription,
}

/// Report of a task that was begun.
enum Report {
    Outcome(InFlight, Outcome, Option<Box<Attempt>>),
    /// Events that were read for one subscription, with or without the changes of calls.
    Read(SubscriptionId, Wanted, Result<(Vec<Logged>, u64), StoreError>, bool),
    /// The next events for all, and up to where there are no others; likewise.
    Feed(Result<(Vec<Logged>, u64), StoreError>, bool),
    Saved(Result<(), StoreError>, Vec<(SubscriptionId, Progress)>, Vec<Attempt>, u64),
    Validated(SubscriptionId, bool),
}

impl Deliverer {
    /// Deliveries from where the log ends.
    pub(crate) fn new(
        (store, changes): (Store, Arc<CallChanges>),
        (partition, lease): (Partition, Lease),
        subscriptions: Arc<Subscriptions>,
        webhooks: Webhooks,
        policy: Policy,
        metrics: Arc<Metrics>,
    ) -> (Self, Reports) {
        let (reports, receiver) = mpsc::unbounded_channel();
        let feed = store.ends().events;
        let deliverer = Self {
            machine: Deliveries::new(policy, feed),
            store,
            changes,
            partition,
            lease,
            subscriptions,
            webhooks,
            metrics,
            endpoints: BTreeMap::new(),
            outcomes: BTreeMap::new(),
            reports,
            counted: Counters::default(),
            shown: [0; 3],
            reading: false,
            saving: false,
            next_save: clock::now(),
            unsaved: BTreeMap::new(),
            journal: Vec::new(),
            next_journal: clock::now(),
            removed: Vec::new(),
            saved_feed: feed,
        };
        (deliverer, Reports(receiver))
    }

    /// Delivers until told to stop; then waits for the requests that are under way, and keeps how they went.
    pub(crate) async fn run(
        mut self,
        mut commands: mpsc::UnboundedReceiver<Command>,
        Reports(mut reports): Reports,
        mut stop: watch::Receiver<bool>,
    ) {
        let mut events = self.store.follow_events();
        let mut moves = clock::follow_moves();
        loop {
            moves.borrow_and_update();
            self.go_on(*events.borrow_and_update());
            let wake = self.machine.poll_timeout().map(clock::instant_of);
            let save = self.machine.has_progress().then_some(self.next_save);
            let journal = (!self.journal.is_empty()).then_some(self.next_journal);
            let save = save.into_iter().chain(journal).min().filter(|_| !self.saving);
            let wake = wake.into_iter().chain(save).min();
            let wake = tokio::time::sleep_until(wake.unwrap_or_else(|| clock::now() + PAUSE * 2).into());
            tokio::select! {
                biased;
                _ = stop.wait_for(|&stop| stop) => break,
                Some(command) = commands.recv() => self.command(command),
                Some(report) = reports.recv() => {
                    self.report(report);
                    // What else has come in is taken before the next round.
                    while let Ok(report) = reports.try_recv() {
                        self.report(report);
                    }
                }
                changed = events.changed() => if changed.is_err() { break },
                _ = moves.changed() => {}
                () = wake => {}
            }
        }
        self.finish(&mut reports).await;
    }

    /// Does all that can be done now. `end` is how far the log goes.
    fn go_on(&mut self, end: u64) {
        let now = clock::steady();
        self.machine.handle_time(now);
        if end > self.machine.feed() && !self.reading {
            self.read_feed();
        }
        while let Some(work) = self.machine.poll_work(now) {
            self.begin(work, now);
        }
        while let Some(change) = self.machine.poll_change() {
            self.keep(change);
        }
        self.save();
        self.count();
    }

    fn command(&mut self, command: Command) {
        let now = clock::steady();
        match command {
            Command::Add(kept, progress) => self.add(*kept, progress, now),
            Command::Update(subscription) => {
                if let Some(receiver) = self.endpoints.get_mut(&subscription.id) {
                    receiver.subscription = subscription.clone();
                }
                self.machine.update(&subscription, now);
            }
            Command::Remove(id, done) => {
                self.endpoints.remove(&id);
                self.outcomes.remove(&id);
                self.machine.remove(id);
                self.unsaved.remove(&id);
                self.removed.push(done);
            }
            Command::Health(asked) => {
                let health = self.endpoints.keys().filter_map(|&id| {
                    let backlog = self.machine.backlog(id)?;
                    Some((
                        id,
                        Health { backlog, outcomes: self.outcomes.get(&id).cloned().unwrap_or_default() },
                    ))
                });
                asked.send(health.collect()).ok(); // whoever asked has gone
            }
            Command::Validated(id, passed) => self.machine.handle_validation(id, passed, now),
            Command::Stages(asked, answer) => {
                let stages = asked
                    .into_iter()
                    .map(|(id, session, position)| self.machine.stage(id, session, position, now));
                answer.send(stages.collect()).ok(); // whoever asked has gone
            }
        }
    }

    fn add(&mut self, kept: StoredSubscription, progress: Progress, now: Timestamp) {
        let id = kept.subscription.id;
        let Delivery::WebHook(webhook) = &kept.delivery else { return };
        let endpoint = match webhook.endpoint(self.webhooks.guard()) {
            Ok(endpoint) => Arc::new(endpoint),
            Err(error) => {
                tracing::error!(subscription.id = %id, ?error, "a subscription cannot be served by this configuration");
                return;
            }
        };
        let owner = kept.subscription.owner.extension;
        let subscriber = Arc::new(Subscriber::new(id, owner, SERVER_ID));
        let subscription = kept.subscription.clone();
        let host = endpoint.url.authority();
        let receiver = Receiver { endpoint, subscriber, subscription };
        self.endpoints.insert(id, receiver);
        self.machine.add(kept.subscription, &host, progress, now);
    }

    fn report(&mut self, report: Report) {
        let now = clock::steady();
        match report {
            Report::Outcome(attempt, outcome, written) => {
                if self.journal.len() < JOURNAL_MAX {
                    self.journal.extend(written.map(|written| *written));
                }
                if self.endpoints.contains_key(&attempt.subscription()) {
                    self.outcomes.entry(attempt.subscription()).or_default().note(&outcome, clock::wall());
                }
                // A success needs no chance, and a call of the system is not free.
                let taken = matches!(outcome, Outcome::Response { status: 200..300, .. });
                let random = if taken { 0 } else { secret::random().map_or(0, u32::from_ne_bytes) };
                self.machine.handle_outcome(attempt, &outcome, random, now);
            }
            // Somebody has asked for changes of calls meanwhile.
            Report::Read(id, wanted, Ok(_), false) if self.machine.wants_changes_for(id) => {
                self.read(id, wanted, Duration::ZERO);
            }
            Report::Feed(Ok(_), false) if self.machine.wants_changes() => self.reading = false,
            Report::Read(id, wanted, Ok((read, end)), _) => {
                self.machine.handle_read(id, &wanted, &read, end, now);
            }
            Report::Read(id, wanted, Err(error), _) => {
                tracing::warn!(subscription.id = %id, %error, "the event log cannot be read");
                self.read(id, wanted, PAUSE);
            }
            Report::Feed(read, _) => {
                self.reading = false;
                match read {
                    Ok((read, end)) => {
                        for logged in &read {
                            self.machine.handle_event(logged, now);
                        }
                        self.machine.handle_end(end);
                    }
                    Err(error) => tracing::warn!(%error, "the event log cannot be read"),
                }
            }
            Report::Saved(done, progress, mut journal, feed) => {
                self.saving = false;
                match done {
                    Ok(()) => self.saved_feed = feed,
                    Err(error) => {
                        tracing::warn!(%error, "what was delivered is not on disk; it is written again");
                        journal.append(&mut self.journal);
                        journal.truncate(JOURNAL_MAX);
                        self.journal = journal;
                        for (id, progress) in progress {
                            self.unsaved.entry(id).or_insert(progress);
                        }
                    }
                }
            }
            Report::Validated(id, passed) => self.machine.handle_validation(id, passed, now),
        }
    }

    fn begin(&mut self, work: Work, now: Timestamp) {
        match work {
            Work::Notify(due) => self.notify(due),
            Work::Remind { subscription, due } => self.remind(subscription, due, now),
            Work::Validate(id) => {
                let Some(receiver) = self.endpoints.get(&id) else { return };
                let (webhooks, endpoint, reports) =
                    (self.webhooks.clone(), receiver.endpoint.clone(), self.reports.clone());
                tokio::spawn(async move {
                    let passed = webhooks.validate(&endpoint.url).await.is_ok();
                    reports.send(Report::Validated(id, passed)).ok(); // the server stops
                });
            }
            Work::Read { subscription, wanted } => self.read(subscription, wanted, Duration::ZERO),
        }
    }

    /// Reads from the log for one subscription.
    fn read(&self, id: SubscriptionId, wanted: Wanted, after: Duration) {
        let (store, reports) = (self.store.clone(), self.reports.clone());
        let changes = self.machine.wants_changes_for(id).then(|| self.changes.clone());
        tokio::spawn(async move {
            tokio::time::sleep(after).await;
            let end = store.ends().events;
            let asked = wanted.clone();
            let read = store.read_async(move |reader| match asked {
                Wanted::At(positions) => Ok((reader.events_at(&positions)?, end)),
                Wanted::After(after) => {
                    let read = reader.events_after(after, READ_EVENTS)?;
                    // A full read ends where it ends; one that is not full has seen all.
                    let full = read.len() == READ_EVENTS;
                    let end = read.last().filter(|_| full).map_or(end.max(after), |last| last.position);
                    Ok((read, end))
                }
            });
            let with_changes = changes.is_some();
            let read = match (read.await, changes) {
                (Ok((mut read, end)), Some(changes)) => changes.attach(&mut read).await.map(|()| (read, end)),
                (read, _) => read,
            };
            reports.send(Report::Read(id, wanted, read, with_changes)).ok(); // the server stops
        });
    }

    /// Reads the next events for all.
    fn read_feed(&mut self) {
        self.reading = true;
        let (store, reports, after) = (self.store.clone(), self.reports.clone(), self.machine.feed());
        let changes = self.machine.wants_changes().then(|| self.changes.clone());
        tokio::spawn(async move {
            let end = store.ends().events;
            let mut read = store.events_after(after, READ_EVENTS).await;
            let with_changes = changes.is_some();
            if let (Ok(events), Some(changes)) = (&mut read, changes)
                && let Err(error) = changes.attach(events).await
            {
                read = Err(error);
            }
            if read.is_err() {
                tokio::time::sleep(PAUSE).await;
            }
            // A full read ends where it ends.
            let read = read.map(|read| if read.len() < READ_EVENTS { (read, end) } else { (read, 0) });
            reports.send(Report::Feed(read, with_changes)).ok(); // the server stops
        });
    }

    fn notify(&self, due: Due) {
        let reports = self.reports.clone();
        if !(self.lease)() {
            // Another node may send it already; if it does not, this one tries again.
            let outcome = Outcome::Failed("this node does not own the partition at the moment".to_owned());
            reports.send(Report::Outcome(due.sent(), outcome, None)).ok(); // the server stops
            return;
        }
        let Some(receiver) = self.endpoints.get(&due.subscription) else {
            // It was removed at this moment.
            reports.send(Report::Outcome(due.sent(), Outcome::Missing, None)).ok();
            return;
        };
        let (endpoint, subscriber) = (receiver.endpoint.clone(), receiver.subscriber.clone());
        let (webhooks, store, changes) = (self.webhooks.clone(), self.store.clone(), self.changes.clone());
        tokio::spawn(async move {
            let (id, number) = (due.subscription, due.attempt);
            let (position, projection) = (due.position, due.projection);
            let held = due.event.clone().map(|event| (event, due.change.clone()));
            // AttemptGuard even if the task should panic, or the session would wait for ever.
            let guard = AttemptGuard { reports, attempt: Some(due.sent()) };
            let found = match held {
                Some(held) => Some(held),
                None => match read_one(&store, &changes, position, projection).await {
                    Ok(found) => found,
                    Err(error) => return guard.tell(Outcome::Failed(error.to_string()), None),
                },
            };
            // A change that nobody can make again is told no more than an event that is gone.
            let is_about_calls = matches!(projection, Projection::Calls { .. });
            let found = found.filter(|(_, change)| change.is_some() || !is_about_calls);
            let Some((event, change)) = found else { return guard.tell(Outcome::Missing, None) };
            let mut body = Vec::with_capacity(NOTIFICATION_BYTES);
            subscriber.write_any((&event, change.as_deref()), projection, clock::wall(), &mut body);
            let sent = webhooks.send(&endpoint, subscriber.id_of(&event, projection), body).await;
            let attempt = sent.attempt(position, id, number, &endpoint);
            guard.tell(sent.outcome, Some(Box::new(attempt)));
        });
    }

    /// Sends a reminder, once: the next follows soon enough.
    fn remind(&self, id: SubscriptionId, due: Timestamp, now: Timestamp) {
        let Some(receiver) = self.endpoints.get(&id) else { return };
        let reminders = receiver.subscription.filters.iter().filter_map(|filter| match filter {
            EventFilter::Reminder { threshold_secs, interval_secs } => {
                Some((*threshold_secs, *interval_secs))
            }
            _ => None,
        });
        let Some((threshold, interval)) = reminders.min() else { return };
        let left = receiver.subscription.expires_in_secs(now);
        let mut body = Vec::new();
        let notification =
            receiver.subscriber.write_reminder(threshold, interval, left, due, clock::wall(), &mut body);
        let (webhooks, endpoint) = (self.webhooks.clone(), receiver.endpoint.clone());
        tokio::spawn(async move {
            let outcome = webhooks.send(&endpoint, notification, body).await.outcome;
            tracing::debug!(subscription.id = %id, ?outcome, "a reminder was sent");
        });
    }

    /// Keeps what has changed by itself.
    fn keep(&mut self, change: Change) {
        let subscriptions = self.subscriptions.clone();
        match change {
            Change::Status(id, standing) => {
                tracing::warn!(subscription.id = %id, ?standing, "the standing of a subscription has changed");
                tokio::spawn(async move {
                    if let Err(error) = subscriptions.set_standing(id, standing).await {
                        tracing::error!(subscription.id = %id, %error, "its standing is not on disk");
                    }
                });
            }
            Change::Expired(id) => {
                self.endpoints.remove(&id);
                self.outcomes.remove(&id);
                self.unsaved.remove(&id);
                tracing::info!(subscription.id = %id, "a subscription has expired");
                tokio::spawn(async move {
                    if let Err(error) = subscriptions.set_expired(id).await {
                        tracing::error!(subscription.id = %id, %error, "its end is not on disk");
                    }
                });
            }
        }
    }

    /// Writes what has come further, while nothing else is being written: what comes meanwhile is
    /// written together.
    fn save(&mut self) {
        if self.saving {
            return;
        }
        for done in self.removed.drain(..) {
            done.send(()).ok(); // whoever asked has gone
        }
        let now = clock::now();
        if now < self.next_save {
            return;
        }
        for (id, progress) in self.machine.take_progress() {
            self.unsaved.insert(id, progress);
        }
        if self.unsaved.is_empty() && (self.journal.is_empty() || now < self.next_journal) {
            return;
        }
        let feed = self.machine.feed();
        let progress: Vec<_> = std::mem::take(&mut self.unsaved).into_iter().collect();
        let mut changes: Vec<_> =
            progress.iter().map(|(id, progress)| progress_change(*id, progress)).collect();
        if feed > self.saved_feed {
            changes.push(feed_change(self.partition, feed));
        }
        self.saving = true;
        self.next_save = now + SAVE_EVERY;
        self.next_journal = now + JOURNAL_EVERY;
        let (store, reports) = (self.store.clone(), self.reports.clone());
        let journal = Journal { attempts: std::mem::take(&mut self.journal), spans: Vec::new() };
        tokio::spawn(async move {
            // Kept until it is on disk.
            let done = store.record(changes, journal.clone()).await.map(drop);
            if done.is_err() {
                tokio::time::sleep(PAUSE).await;
            }
            reports.send(Report::Saved(done, progress, journal.attempts, feed)).ok(); // the server stops
        });
    }

    /// Lets the requests end that are under way, and writes how they went.
    async fn finish(mut self, reports: &mut mpsc::UnboundedReceiver<Report>) {
        (self.next_save, self.next_journal) = (clock::now(), clock::now());
        self.save();
        while self.saving || self.machine.in_flight() > 0 {
            let Some(report) = reports.recv().await else { break };
            self.report(report);
            while let Some(change) = self.machine.poll_change() {
                self.keep(change);
            }
            (self.next_save, self.next_journal) = (clock::now(), clock::now());
            self.save();
            self.count();
        }
    }

    /// Adds what has happened to the counters.
    fn count(&mut self) {
        let (now, before) = (self.machine.counters(), self.counted);
        let metrics = &self.metrics.notifications;
        metrics.matched.inc_by(now.matched - before.matched);
        metrics.attempted.inc_by(now.attempted - before.attempted);
        metrics.acknowledged.inc_by(now.acknowledged - before.acknowledged);
        metrics.failed.inc_by(now.failed - before.failed);
        metrics.expired.inc_by(now.expired - before.expired);
        metrics.dropped.inc_by(now.dropped - before.dropped);
        self.counted = now;
        let pending = now.matched - now.acknowledged - now.expired - now.dropped;
        let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.show([pending.cast_signed(), count(self.machine.in_flight()), count(self.endpoints.len())]);
    }

    /// Shows what is pending, in flight and served, beside what the deliverers of other partitions show.
    fn show(&mut self, now: [i64; 3]) {
        let metrics = &self.metrics;
        let gauges = [&metrics.notifications_pending, &metrics.requests_in_flight, &metrics.subscriptions];
        for ((gauge, now), before) in gauges.into_iter().zip(now).zip(self.shown) {
            gauge.inc_by(now - before);
        }
        self.shown = now;
    }
}

/// Reads an event from the log, with the change that it made if the notification is about that.
async fn read_one(
    store: &Store,
    changes: &CallChanges,
    position: u64,
    projection: Projection,
) -> Result<Option<(Arc<Event>, Option<Arc<CallChange>>)>, StoreError> {
    let mut read = store.read_async(move |reader| reader.events_at(&[position])).await?;
    if matches!(projection, Projection::Calls { .. }) {
        changes.attach(&mut read).await?;
    }
    Ok(read.into_iter().next().map(|logged| (logged.event, logged.change)))
}

impl Drop for Deliverer {
    fn drop(&mut self) {
        self.show([0; 3]);
    }
}

/// Reports of the tasks of a [`Deliverer`].
pub(crate) struct Reports(mpsc::UnboundedReceiver<Report>);

/// An attempt whose outcome is told when it is known, and as a failure if it never will be.
struct AttemptGuard {
    reports: mpsc::UnboundedSender<Report>,
    attempt: Option<InFlight>,
}

impl AttemptGuard {
    fn tell(mut self, outcome: Outcome, written: Option<Box<Attempt>>) {
        self.report(outcome, written);
    }

    fn report(&mut self, outcome: Outcome, written: Option<Box<Attempt>>) {
        if let Some(attempt) = self.attempt.take() {
            self.reports.send(Report::Outcome(attempt, outcome, written)).ok(); // the server stops
        }
    }
}

impl Drop for AttemptGuard {
    fn drop(&mut self) {
        self.report(Outcome::Failed("the request was not finished".to_owned()), None);
    }
}
