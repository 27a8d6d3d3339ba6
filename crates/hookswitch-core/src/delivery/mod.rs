//! Deliveries: what is due to whom and when, decided here and carried out elsewhere.
//!
//! Each subscription has a queue of its own, which is fed from the event log. It is ordered within a
//! telephony session; sessions go beside each other, and a failure holds back its own session only. A
//! queue is small: while its receiver is slow or dead, the events stay in the log and are read again
//! from where the queue stopped. What has been done is told as [`Progress`], which is enough to go on
//! after a crash: what was acknowledged is not sent again, and everything else is.
//!
//! Does no IO and reads no clock. Times are of a clock that only goes on. After each `handle_*`, drain
//! the `poll_*`, then come back no later than [`Deliveries::poll_timeout`].

mod attempt;
mod places;
mod queue;
pub mod redelivery;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

pub use attempt::{Due, InFlight, LaneKey, Next, Outcome, after};
use foldhash::fast::RandomState;
use hookswitch_model::{Logged, SubscriptionId, TelephonySessionId, Timestamp};
pub use queue::{QUEUE_ENTRIES_MAX, QUEUE_EVENTS_MAX, Wanted};

use self::places::{Admission, Peers, Places};
use self::queue::Queue;
use crate::audience::{Audience, Listener};
use crate::subscription::{Subscription, SubscriptionStatus};

/// Policy of deliveries.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The waits before attempt 2, 3 and so on; the last repeats.
    pub schedule: Vec<Duration>,
    /// The longest wait that a receiver may ask for.
    pub retry_after_max: Duration,
    /// Time for which a receiver may fail without a success in between.
    pub blacklist_after: Duration,
    /// How often a blacklisted receiver is tried.
    pub revalidate_every: Duration,
    /// The most attempts at once for one subscription.
    pub parallel_max: usize,
    /// The most attempts at once for all that have waited for less than a quarter of a second; of others there may
    /// be seven times as many, and few at a host that does not answer. When half of them are in use, each subscription
    /// may have one and each host an eighth.
    pub in_flight_max: usize,
    /// Time for which news that a call is being set up or rings is of use; always, if none.
    pub ringing_kept: Option<Duration>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            schedule: [1, 2, 5, 10, 30, 60, 120, 300].map(Duration::from_secs).to_vec(),
            retry_after_max: Duration::from_secs(3600),
            blacklist_after: Duration::from_secs(600),
            revalidate_every: Duration::from_secs(900),
            parallel_max: 32,
            in_flight_max: 512,
            ringing_kept: None,
        }
    }
}

/// Progress of a subscription in the event log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// All events up to this position were looked at.
    pub read: u64,
    /// Set if it then followed the log as it grew: all that others have looked at, it has too.
    pub live: bool,
    /// Of those that it hears of, the positions that are neither delivered nor given up.
    pub open: Vec<u64>,
}

/// Events that are due to one subscription.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Number of notifications that are known to be neither delivered nor given up.
    pub pending: usize,
    /// Number of events of the log that it has not looked at; it may hear of some of them.
    pub unread: u64,
    /// Time when the event came about that has waited longest, of those that are held in memory.
    pub oldest: Option<Timestamp>,
    /// Since when no attempt has succeeded, if the last has failed.
    pub failing_since: Option<Timestamp>,
}

/// Counts of notifications. `matched` is the sum of `acknowledged`, `expired`, `dropped` and those
/// that are pending; `attempted` that of `acknowledged`, `failed`, and those in flight or overtaken by a
/// blacklisting or the end of their subscription.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Events that a subscription hears of.
    pub matched: u64,
    /// Attempts that began.
    pub attempted: u64,
    /// Notifications that their receiver has taken.
    pub acknowledged: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Notifications that were too old to be sent.
    pub expired: u64,
    /// Notifications whose subscription ended before they could be delivered.
    pub dropped: u64,
}

/// Stage of a notification that is neither delivered nor given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Its turn has not come.
    Queued,
    /// An attempt is under way.
    Sending,
    /// The last attempt failed, and the next is made then.
    Waiting(Timestamp),
}

/// Something to be done.
#[derive(Debug)]
#[must_use]
pub enum Work {
    /// Send a notification.
    Notify(Due),
    /// Remind the owner that the subscription is about to expire.
    Remind {
        /// Subscription that expires.
        subscription: SubscriptionId,
        /// Time when the reminder was due, which tells it from others.
        due: Timestamp,
    },
    /// Try whether a blacklisted address works again, and tell [`Deliveries::handle_validation`].
    Validate(SubscriptionId),
    /// Read from the log, and tell [`Deliveries::handle_read`].
    Read {
        /// For whom.
        subscription: SubscriptionId,
        /// Events to read.
        wanted: Wanted,
    },
}

/// Something that changed by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A subscription was blacklisted, or is active again.
    Status(SubscriptionId, SubscriptionStatus),
    /// The lifetime of a subscription is over; it is removed.
    Expired(SubscriptionId),
}

/// The deliveries of all subscriptions, as one machine.
#[derive(Debug)]
pub struct Deliveries {
    policy: Policy,
    queues: HashMap<SubscriptionId, Queue, RandomState>,
    audience: Audience,
    /// The position of the last event that was handed in.
    feed: u64,
    /// The subscriptions that have something to send, in turn.
    ready: VecDeque<SubscriptionId>,
    timers: BTreeSet<(Timestamp, SubscriptionId)>,
    work: VecDeque<Work>,
    changes: VecDeque<Change>,
    dirty: BTreeSet<SubscriptionId>,
    places: Places,
    counters: Counters,
    listeners: Vec<Listener>,
}

impl Deliveries {
    /// Deliveries without subscriptions; events are handed in from behind `feed` on.
    pub fn new(policy: Policy, feed: u64) -> Self {
        Self {
            places: Places::new(policy.in_flight_max),
            policy,
            queues: HashMap::default(),
            audience: Audience::default(),
            feed,
            ready: VecDeque::new(),
            timers: BTreeSet::new(),
            work: VecDeque::new(),
            changes: VecDeque::new(),
            dirty: BTreeSet::new(),
            counters: Counters::default(),
            listeners: Vec::new(),
        }
    }

    /// Adds a subscription, which goes on from where it was. `host` is where its notifications go, as a name and a
    /// port: what all that go there have in common.
    pub fn add(&mut self, subscription: Subscription, host: &str, progress: Progress, now: Timestamp) {
        let id = subscription.id;
        let peers = Peers { host: host.into(), owner: Arc::new(subscription.owner.clone()) };
        self.audience.insert(&subscription);
        self.counters.matched += progress.open.len() as u64;
        let queue = Queue::new(subscription, peers, progress, self.feed, now, &self.policy);
        self.queues.insert(id, queue);
        self.settle(id, now);
    }

    /// Takes over other filters, another lifetime and other rights of a subscription. Filters hold for events from
    /// now on; rights for all that is not sent yet: what waits is looked at again, and what may not be told any more
    /// is dropped.
    pub fn update(&mut self, subscription: &Subscription, now: Timestamp) {
        let id = subscription.id;
        let Some(queue) = self.queues.get_mut(&id) else { return };
        queue.subscription.filters.clone_from(&subscription.filters);
        queue.subscription.lifetime = subscription.lifetime;
        queue.subscription.expires = subscription.expires;
        let rights = (subscription.paused.is_some(), &subscription.hearing);
        if (queue.subscription.paused.is_some(), &queue.subscription.hearing) != rights {
            queue.subscription.paused = subscription.paused;
            queue.subscription.hearing.clone_from(&subscription.hearing);
            queue.empty(self.feed);
        }
        self.audience.insert(&queue.subscription);
        self.settle(id, now);
    }

    /// Removes a subscription; what was due to it is dropped.
    pub fn remove(&mut self, id: SubscriptionId) {
        let Some(queue) = self.queues.remove(&id) else { return };
        self.audience.remove(id);
        self.places.forget(&queue.peers.host);
        self.counters.dropped += queue.pending() as u64;
        self.dirty.remove(&id);
        if let Some(armed) = queue.armed {
            self.timers.remove(&(armed, id));
        }
    }

    /// The position of the last event that was handed in.
    pub fn feed(&self) -> u64 {
        self.feed
    }

    /// Returns `true` if events are to be handed in with the changes of the calls of extensions: somebody hears of them.
    pub fn wants_changes(&self) -> bool {
        self.audience.wants_changes()
    }

    /// Returns `true` if the same holds for a subscription.
    pub fn wants_changes_for(&self, id: SubscriptionId) -> bool {
        self.queues.get(&id).is_some_and(|queue| queue.subscription.wants_changes())
    }

    /// Takes the next event of the log.
    pub fn handle_event(&mut self, logged: &Logged, now: Timestamp) {
        debug_assert!(logged.position > self.feed, "events come in the order of the log");
        self.feed = logged.position;
        let mut listeners = std::mem::take(&mut self.listeners);
        self.audience.find(logged, &mut listeners);
        for &Listener { subscription: id, ref projections } in &listeners {
            if let Some(queue) = self.queues.get_mut(&id) {
                queue.offer(logged, projections, &mut self.counters);
                self.settle(id, now);
            }
        }
        self.listeners = listeners;
    }

    /// Takes that the log has no other events up to this position: some positions have none.
    pub fn handle_end(&mut self, position: u64) {
        self.feed = self.feed.max(position);
    }

    /// Takes what was read for a subscription; `end` is how far the log was read.
    pub fn handle_read(
        &mut self,
        id: SubscriptionId,
        wanted: &Wanted,
        read: &[Logged],
        end: u64,
        now: Timestamp,
    ) {
        if let Some(queue) = self.queues.get_mut(&id) {
            queue.read(wanted, read, end, self.feed, &mut self.counters);
            self.settle(id, now);
        }
    }

    /// Takes how an attempt went. `random` spreads the retries.
    #[expect(clippy::needless_pass_by_value, reason = "an attempt has one outcome")]
    pub fn handle_outcome(&mut self, attempt: InFlight, outcome: &Outcome, random: u32, now: Timestamp) {
        self.places.end(attempt.number, outcome, |id| self.ready.push_back(id));
        let id = attempt.subscription;
        let Some(queue) = self.queues.get_mut(&id) else {
            self.counters.failed += u64::from(!matches!(outcome, Outcome::Response { status: 200..300, .. }));
            return;
        };
        queue.answers.handle_outcome(outcome);
        let (policy, counters) = (&self.policy, &mut self.counters);
        if queue.handle_outcome(&attempt, outcome, policy, random, now, counters) {
            queue.empty(self.feed);
            self.changes.push_back(Change::Status(id, queue.subscription.standing.clone()));
        }
        self.settle(id, now);
    }

    /// Takes how a validation went: that of a [`Work::Validate`], or one that the owner has asked for.
    pub fn handle_validation(&mut self, id: SubscriptionId, passed: bool, now: Timestamp) {
        if let Some(queue) = self.queues.get_mut(&id) {
            if queue.handle_validation(passed, &self.policy, now) {
                self.changes.push_back(Change::Status(id, SubscriptionStatus::Active));
            }
            self.settle(id, now);
        }
    }

    /// Does what is due by time.
    pub fn handle_time(&mut self, now: Timestamp) {
        self.find_slow(now);
        while let Some(&(at, id)) = self.timers.first()
            && at <= now
        {
            self.timers.pop_first();
            let Some(queue) = self.queues.get_mut(&id) else { continue };
            queue.armed = None;
            if queue.subscription.is_expired(now) {
                self.changes.push_back(Change::Expired(id));
                self.remove(id);
                continue;
            }
            queue.handle_time(now);
            if let Some(due) = queue.take_reminder(now) {
                self.work.push_back(Work::Remind { subscription: id, due });
            }
            if queue.take_validation(now) {
                self.work.push_back(Work::Validate(id));
            }
            self.settle(id, now);
        }
    }

    /// Returns what is to be done next, fair among subscriptions.
    pub fn poll_work(&mut self, now: Timestamp) -> Option<Work> {
        if let Some(work) = self.work.pop_front() {
            return Some(work);
        }
        self.find_slow(now);
        while let Some(&id) = self.ready.front() {
            let Some(queue) = self.queues.get_mut(&id) else {
                self.ready.pop_front();
                continue;
            };
            let admission = self.places.admission(&queue.peers, queue.answers);
            if admission == Admission::Full {
                return None;
            }
            self.ready.pop_front();
            let share = if let Admission::Quick { share } = admission { share } else { usize::MAX };
            if !queue.can_send(share, now) {
                queue.listed = false;
                continue;
            }
            let slow = admission == Admission::Slow;
            if !slow && !matches!(admission, Admission::Quick { .. }) {
                self.places.hold(admission, &queue.peers, queue.answers, id);
                continue;
            }
            queue.listed = false;
            let places = &mut self.places;
            let begin = |peers: &Peers| places.begin(id, peers, slow, now);
            let due = queue.next_due(&self.policy, begin, now, &mut self.counters);
            self.settle(id, now);
            if let Some(due) = due {
                return Some(Work::Notify(due));
            }
            if let Some(work) = self.work.pop_front() {
                return Some(work);
            }
        }
        None
    }

    /// Returns what has changed by itself.
    pub fn poll_change(&mut self) -> Option<Change> {
        self.changes.pop_front()
    }

    /// Returns the time when [`Deliveries::handle_time`] wants to be called at the latest.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        let timer = self.timers.first().map(|&(at, _)| at);
        // Who is ready waits for a place.
        let place = self.places.poll_timeout().filter(|_| !self.ready.is_empty());
        timer.into_iter().chain(place).min()
    }

    /// Returns `true` if any subscription has come further since the last [`Deliveries::take_progress`].
    pub fn has_progress(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// The subscriptions that have come further since the last call, each with how far.
    pub fn take_progress(&mut self) -> Vec<(SubscriptionId, Progress)> {
        let mut taken = Vec::with_capacity(self.dirty.len());
        for id in std::mem::take(&mut self.dirty) {
            if let Some(queue) = self.queues.get_mut(&id) {
                queue.dirty = false;
                taken.push((id, queue.progress(self.feed)));
            }
        }
        taken
    }

    /// Returns what became of notifications.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Returns the number of notifications that are neither delivered nor given up.
    #[expect(clippy::disallowed_methods, reason = "a sum is the same in any order")]
    pub fn pending(&self) -> usize {
        self.queues.values().map(Queue::pending).sum()
    }

    /// Returns what is due to a subscription.
    pub fn backlog(&self, id: SubscriptionId) -> Option<Backlog> {
        self.queues.get(&id).map(|queue| queue.backlog(self.feed))
    }

    /// Returns how far the notification of an event that a subscription hears of has come; none if nothing is to
    /// be done for it any more, or there is no such subscription.
    pub fn stage(
        &self,
        id: SubscriptionId,
        session: TelephonySessionId,
        position: u64,
        now: Timestamp,
    ) -> Option<Stage> {
        let queue = self.queues.get(&id)?;
        if queue.is_live() && position > self.feed {
            return Some(Stage::Queued);
        }
        queue.stage(session, position, now)
    }

    /// Returns the number of attempts that are under way.
    pub fn in_flight(&self) -> usize {
        self.places.in_flight()
    }

    /// Finds the attempts that have waited for long.
    fn find_slow(&mut self, now: Timestamp) {
        let became_slow = |id| {
            if let Some(queue) = self.queues.get_mut(&id) {
                queue.answers.handle_slow();
            }
        };
        self.places.handle_time(now, became_slow, |id| self.ready.push_back(id));
    }

    /// Brings a queue's place among the ready, its timer and its reads up to date.
    fn settle(&mut self, id: SubscriptionId, now: Timestamp) {
        let Some(queue) = self.queues.get_mut(&id) else { return };
        if !queue.listed && queue.can_send(usize::MAX, now) {
            queue.listed = true;
            self.ready.push_back(id);
        }
        if let Some(wanted) = queue.wanted() {
            queue.fetching = true;
            self.work.push_back(Work::Read { subscription: id, wanted });
        }
        if queue.dirty {
            self.dirty.insert(id);
        }
        let next = queue.next_time(now);
        if next != queue.armed {
            if let Some(armed) = queue.armed {
                self.timers.remove(&(armed, id));
            }
            if let Some(next) = next {
                self.timers.insert((next, id));
            }
            queue.armed = next;
        }
    }
}

#[cfg(test)]
mod tests;
