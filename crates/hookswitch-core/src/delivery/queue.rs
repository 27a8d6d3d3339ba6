//! Queue of one subscription: ordered within a session, sessions beside each other.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::RandomState;
use hookswitch_model::{CallChange, Event, Logged, StatusCode, TelephonySessionId, Timestamp};
use smallvec::SmallVec;

use super::attempt::{Due, InFlight, LaneKey, Next, Outcome, after};
use super::places::{Answers, Peers};
use super::{Backlog, Counters, Policy, Progress, Stage};
use crate::filter::{Projection, Projections};
use crate::subscription::{Blacklisting, Subscription, SubscriptionStatus};

/// The most notifications of which a queue knows; the rest stays in the log and is read again. With
/// their sessions they take 0.5 MiB.
pub const QUEUE_ENTRIES_MAX: usize = 2048;

/// The most events that a queue holds in memory, 0.5 MiB of usual ones. What waits beyond them, or
/// behind a failure, is read from the log again when its time comes.
pub const QUEUE_EVENTS_MAX: usize = 512;

/// How many failures without a success between them make a receiver count as down.
const DOWN_AFTER: u32 = 10;

/// How many failures in a row let a receiver be tried by fewer attempts at once.
const SLOWER_AFTER: u32 = 5;

/// The attempts at once with which a receiver begins.
const WINDOW_FIRST: usize = 8;

/// The longest wait between two attempts at a receiver that is down, so that its return is noticed.
const DOWN_WAIT_MAX: Duration = Duration::from_secs(30);

/// The queue of one subscription.
#[derive(Debug)]
pub(super) struct Queue {
    pub(super) subscription: Subscription,
    pub(super) peers: Peers,
    pub(super) answers: Answers,
    lanes: HashMap<LaneKey, Lane, RandomState>,
    /// The sessions whose next notification can be sent.
    ready: VecDeque<LaneKey>,
    /// The sessions whose next notification waits, and until when.
    waiting: BTreeSet<(Timestamp, LaneKey)>,
    /// The positions of all events of which something is neither delivered nor given up, each with how many
    /// notifications.
    open: BTreeMap<u64, u8>,
    /// How many notifications that are.
    pending: usize,
    /// Of those, the ones that must be read from the log before they can be queued.
    parked: VecDeque<u64>,
    /// Number of events that are held in memory.
    events: usize,
    in_flight: usize,
    /// Number of attempts that may be under way at once.
    window: usize,
    /// Failures since the last success.
    failures: u32,
    failing_since: Option<Timestamp>,
    /// Nothing is sent before this.
    paused_until: Option<Timestamp>,
    reading: Reading,
    /// Set if a read of the log is under way.
    pub(super) fetching: bool,
    /// Outcomes of attempts from before the queue was emptied do not count.
    epoch: u32,
    next_validation: Option<Timestamp>,
    validating: bool,
    /// Time when the owner was last reminded.
    reminded: Timestamp,
    /// Time when it is next looked at, if the timers know.
    pub(super) armed: Option<Timestamp>,
    /// Set if it stands among those that have something to send.
    pub(super) listed: bool,
    /// Set if its progress has changed since it was last taken.
    pub(super) dirty: bool,
}

/// Place from which the queue gets further events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    /// They are handed to it as they come.
    Live,
    /// It reads the log itself, behind this position.
    Behind(u64),
}

/// The notifications of one session.
#[derive(Debug)]
struct Lane {
    entries: VecDeque<Entry>,
    /// Attempts at the first.
    attempts: u32,
    state: LaneState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LaneState {
    Ready,
    InFlight,
    Waiting { until: Timestamp, asked: bool },
}

#[derive(Debug)]
struct Entry {
    position: u64,
    /// Time when its event came about, by the clock of the server.
    arrival: Timestamp,
    /// Set if it tells of a call that is not answered yet.
    ringing: bool,
    projection: Projection,
    event: Option<Arc<Event>>,
    change: Option<Arc<CallChange>>,
}

/// Request of a queue to read from the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// The events at these positions, as far as they are still there.
    At(Vec<u64>),
    /// Some events behind this position.
    After(u64),
}

impl Queue {
    pub(super) fn new(
        subscription: Subscription,
        peers: Peers,
        progress: Progress,
        feed: u64,
        now: Timestamp,
        policy: &Policy,
    ) -> Self {
        // What is open comes first in its sessions, so nothing is taken live before it is read.
        let caught_up = progress.read >= feed && progress.open.is_empty();
        let reading = if caught_up && !subscription.is_stopped() {
            Reading::Live
        } else {
            Reading::Behind(progress.read.min(feed))
        };
        let mut queue = Self {
            subscription,
            peers,
            answers: Answers::default(),
            lanes: HashMap::default(),
            ready: VecDeque::new(),
            waiting: BTreeSet::new(),
            open: progress.open.iter().map(|&position| (position, 1)).collect(),
            pending: progress.open.len(),
            parked: progress.open.into_iter().collect(),
            events: 0,
            in_flight: 0,
            window: WINDOW_FIRST.min(policy.parallel_max),
            failures: 0,
            failing_since: None,
            paused_until: None,
            reading,
            fetching: false,
            epoch: 0,
            next_validation: None,
            validating: false,
            reminded: now,
            armed: None,
            listed: false,
            dirty: false,
        };
        queue.plan_validation(now, policy);
        queue
    }

    /// Returns what has been done, so that nothing of it is done again, and nothing else is left out.
    pub(super) fn progress(&self, feed: u64) -> Progress {
        let (read, live) = match self.reading {
            Reading::Live => (feed, true),
            Reading::Behind(after) => (after, false),
        };
        Progress { read, live, open: self.open.keys().copied().collect() }
    }

    /// Returns how far the notification of an event has come; none if nothing is to be done for it any more.
    pub(super) fn stage(&self, session: TelephonySessionId, position: u64, now: Timestamp) -> Option<Stage> {
        if !self.open.contains_key(&position) {
            return match self.reading {
                Reading::Behind(after) if position > after => Some(Stage::Queued),
                _ => None,
            };
        }
        let lane = self.lanes.get(&LaneKey::Session(session));
        let lane = lane.filter(|lane| lane.entries.front().is_some_and(|entry| entry.position == position));
        let Some(lane) = lane else { return Some(Stage::Queued) };
        let paused = self.paused_until.filter(|&until| until > now);
        Some(match (lane.state, paused) {
            (LaneState::InFlight, _) => Stage::Sending,
            (LaneState::Waiting { until, .. }, paused) => {
                Stage::Waiting(paused.map_or(until, |paused| paused.max(until)))
            }
            (LaneState::Ready, Some(until)) => Stage::Waiting(until),
            (LaneState::Ready, None) => Stage::Queued,
        })
    }

    /// Returns the number of notifications that are neither delivered nor given up.
    pub(super) fn pending(&self) -> usize {
        self.pending
    }

    /// Returns what is due.
    #[expect(clippy::disallowed_methods, reason = "the least of all is the same in any order")]
    pub(super) fn backlog(&self, feed: u64) -> Backlog {
        let first = |lane: &Lane| lane.entries.front().map(|entry| entry.arrival);
        Backlog {
            pending: self.pending(),
            unread: match self.reading {
                Reading::Live => 0,
                Reading::Behind(after) => feed.saturating_sub(after),
            },
            oldest: self.lanes.values().filter_map(first).min(),
            failing_since: self.failing_since,
        }
    }

    pub(super) fn is_live(&self) -> bool {
        self.reading == Reading::Live
    }

    /// Returns `true` if it can take one more, with its event: one by one, events are dear to read again.
    fn has_room(&self) -> bool {
        self.pending < QUEUE_ENTRIES_MAX && self.events < QUEUE_EVENTS_MAX
    }

    /// Returns `true` if it is half empty, so that a read brings some.
    fn is_half_empty(&self) -> bool {
        self.pending <= QUEUE_ENTRIES_MAX / 2 && self.events <= QUEUE_EVENTS_MAX / 2
    }

    /// Takes a live event that it hears of, with the notifications that it receives, or falls behind when it has no
    /// room.
    pub(super) fn offer(&mut self, logged: &Logged, projections: &[Projection], counters: &mut Counters) {
        if !self.is_live() {
            return;
        }
        if self.has_room() {
            self.take(logged, projections, counters);
        } else {
            self.reading = Reading::Behind(logged.position - 1);
        }
        self.dirty = true;
    }

    fn take(&mut self, logged: &Logged, projections: &[Projection], counters: &mut Counters) {
        counters.matched += projections.len() as u64;
        self.pending += projections.len();
        self.open.insert(logged.position, u8::try_from(projections.len()).unwrap_or(u8::MAX));
        for &projection in projections {
            self.enter(logged, projection);
        }
    }

    /// Notes that a notification of an event is delivered or given up.
    fn settle(&mut self, position: u64) {
        let Some(count) = self.open.get_mut(&position) else { return };
        *count -= 1;
        if *count == 0 {
            self.open.remove(&position);
        }
        self.pending -= 1;
        self.dirty = true;
    }

    /// Puts a notification of an event behind the others of its lane.
    fn enter(&mut self, logged: &Logged, projection: Projection) {
        let event = &logged.event;
        let session = LaneKey::of(event, projection);
        let change = logged.change.as_ref().filter(|_| matches!(projection, Projection::Calls { .. }));
        let lane = self.lanes.entry(session).or_insert_with(|| {
            self.ready.push_back(session);
            Lane { entries: VecDeque::with_capacity(1), attempts: 0, state: LaneState::Ready }
        });
        let waits = matches!(lane.state, LaneState::Waiting { .. });
        let held = !waits && self.events < QUEUE_EVENTS_MAX;
        self.events += usize::from(held);
        lane.entries.push_back(Entry {
            position: logged.position,
            arrival: logged.arrival,
            ringing: matches!(event.party.status.code, StatusCode::Setup | StatusCode::Proceeding),
            projection,
            event: held.then(|| event.clone()),
            change: change.filter(|_| held).cloned(),
        });
    }

    /// Returns what it wants to read, if it has room for it.
    pub(super) fn wanted(&self) -> Option<Wanted> {
        if self.fetching || self.subscription.is_stopped() {
            return None;
        }
        if !self.parked.is_empty() {
            if self.events > QUEUE_EVENTS_MAX / 2 {
                return None;
            }
            let positions = self.parked.iter().take(QUEUE_EVENTS_MAX).copied().collect();
            return Some(Wanted::At(positions));
        }
        match self.reading {
            Reading::Behind(after) if self.is_half_empty() => Some(Wanted::After(after)),
            _ => None,
        }
    }

    /// Takes events that it wanted; `end` is how far the log was read.
    pub(super) fn read(
        &mut self,
        wanted: &Wanted,
        read: &[Logged],
        end: u64,
        feed: u64,
        counters: &mut Counters,
    ) {
        self.fetching = false;
        if self.subscription.is_stopped() {
            return;
        }
        match wanted {
            Wanted::At(positions) => {
                for position in positions {
                    if self.parked.front() == Some(position) {
                        self.parked.pop_front();
                    }
                }
                // What the log has no longer cannot be told.
                for position in positions {
                    let found = read.binary_search_by_key(position, |logged| logged.position);
                    let Some(count) = self.open.remove(position) else { continue };
                    self.pending -= usize::from(count);
                    let is_denied = found.is_ok_and(|index| !self.subscription.may_hear(&read[index].event));
                    if is_denied {
                        counters.dropped += u64::from(count);
                        continue;
                    }
                    // Filters that were changed meanwhile hold for later events; what was due is still told.
                    let as_before = !self.subscription.wants_changes();
                    let due = |logged| {
                        let matching = self.subscription.matching(logged);
                        matching
                            .or_else(|| as_before.then(|| Projections::from_elem(Projection::default(), 1)))
                    };
                    let Some(projections) = found.ok().and_then(|index| due(&read[index])) else {
                        counters.expired += u64::from(count);
                        continue;
                    };
                    // It is sent again as a whole: nobody knows which of its notifications were taken.
                    counters.matched -= u64::from(count);
                    self.take(&read[found.unwrap_or_default()], &projections, counters);
                }
            }
            Wanted::After(after) => {
                if self.reading != Reading::Behind(*after) {
                    return;
                }
                let mut until = end.min(feed);
                for logged in read.iter().filter(|logged| logged.position <= feed) {
                    let Some(projections) = self.subscription.matching(logged) else { continue };
                    if !self.has_room() {
                        until = logged.position - 1;
                        break;
                    }
                    self.take(logged, &projections, counters);
                }
                self.reading = if until >= feed { Reading::Live } else { Reading::Behind(until) };
            }
        }
        self.dirty = true;
    }

    /// Returns `true` if something can be sent, with so many attempts at once.
    pub(super) fn can_send(&self, share: usize, now: Timestamp) -> bool {
        !self.ready.is_empty()
            && !self.subscription.is_stopped()
            && self.in_flight < self.window.min(share)
            && self.paused_until.is_none_or(|until| until <= now)
    }

    /// Lets time pass: sessions whose wait is over become ready.
    pub(super) fn handle_time(&mut self, now: Timestamp) {
        while let Some(&(until, session)) = self.waiting.first()
            && until <= now
        {
            self.waiting.pop_first();
            self.make_ready(session);
        }
    }

    fn make_ready(&mut self, session: LaneKey) {
        if let Some(lane) = self.lanes.get_mut(&session) {
            lane.state = LaneState::Ready;
            self.ready.push_back(session);
        }
    }

    /// Returns the time when something changes by time alone.
    pub(super) fn next_time(&self, now: Timestamp) -> Option<Timestamp> {
        let waiting = self.waiting.first().map(|&(until, _)| until);
        let paused = self.paused_until.filter(|&until| until > now && !self.ready.is_empty());
        let sending =
            if self.subscription.is_stopped() { None } else { waiting.into_iter().chain(paused).min() };
        let reminder = self.subscription.next_reminder(self.reminded);
        let validates = !self.validating && !self.subscription.is_withheld();
        let validation = self.next_validation.filter(|_| validates);
        [sending, reminder, validation, Some(self.subscription.expires)].into_iter().flatten().min()
    }

    /// Returns whether the owner is to be reminded; then the reminder counts as sent.
    pub(super) fn take_reminder(&mut self, now: Timestamp) -> Option<Timestamp> {
        let due = self.subscription.next_reminder(self.reminded).filter(|&at| at <= now)?;
        // Of several that were missed one is sent.
        self.reminded = now;
        (!self.subscription.is_stopped()).then_some(due)
    }

    /// Returns `true` if the address is to be validated; then the validation counts as begun.
    pub(super) fn take_validation(&mut self, now: Timestamp) -> bool {
        let due = !self.validating
            && !self.subscription.is_withheld()
            && self.next_validation.is_some_and(|at| at <= now);
        self.validating |= due;
        due
    }

    /// The next notification to be sent, for which `begin` takes a place. Those that are too old to be of use are given up here.
    pub(super) fn next_due(
        &mut self,
        policy: &Policy,
        begin: impl FnOnce(&Peers) -> u64,
        now: Timestamp,
        counters: &mut Counters,
    ) -> Option<Due> {
        let mut settled = SmallVec::<[u64; 4]>::new();
        let due = self.take_due(policy, now, (counters, begin), &mut settled);
        for position in settled {
            self.settle(position);
        }
        due
    }

    /// The same, with the positions of those that were given up, of which nothing is noted yet.
    fn take_due(
        &mut self,
        policy: &Policy,
        now: Timestamp,
        (counters, begin): (&mut Counters, impl FnOnce(&Peers) -> u64),
        settled: &mut SmallVec<[u64; 4]>,
    ) -> Option<Due> {
        while let Some(session) = self.ready.pop_front() {
            let Some(lane) = self.lanes.get_mut(&session) else { continue };
            while let Some(entry) = lane.entries.front()
                && policy.ringing_kept.is_some_and(|kept| entry.ringing && entry.arrival + kept < now)
            {
                counters.expired += 1;
                self.events -= usize::from(entry.event.is_some());
                settled.push(entry.position);
                lane.entries.pop_front();
                lane.attempts = 0;
            }
            let Some(entry) = lane.entries.front() else {
                self.lanes.remove(&session);
                continue;
            };
            lane.attempts += 1;
            lane.state = LaneState::InFlight;
            self.in_flight += 1;
            counters.attempted += 1;
            return Some(Due {
                subscription: self.subscription.id,
                position: entry.position,
                event: entry.event.clone(),
                change: entry.change.clone(),
                projection: entry.projection,
                attempt: lane.attempts,
                lane: session,
                epoch: self.epoch,
                number: begin(&self.peers),
            });
        }
        None
    }

    /// Takes how an attempt went; true if the receiver is blacklisted for it.
    pub(super) fn handle_outcome(
        &mut self,
        attempt: &InFlight,
        outcome: &Outcome,
        policy: &Policy,
        random: u32,
        now: Timestamp,
        counters: &mut Counters,
    ) -> bool {
        let next = after(attempt.attempt, outcome, &policy.schedule, policy.retry_after_max, random, now);
        if next != Next::Done {
            counters.failed += 1;
        }
        if attempt.epoch != self.epoch {
            // Of several notifications of an event it is not known any more which is left.
            if next == Next::Done
                && self.open.get(&attempt.position) == Some(&1)
                && let Ok(index) = self.parked.binary_search(&attempt.position)
            {
                counters.acknowledged += 1;
                self.parked.remove(index);
                self.settle(attempt.position);
            }
            return false;
        }
        self.in_flight -= 1;
        match next {
            Next::Done => {
                counters.acknowledged += 1;
                self.succeeded(policy);
                self.advance(attempt);
            }
            Next::Expired => {
                counters.expired += 1;
                self.advance(attempt);
            }
            Next::Gone => {
                self.blacklist(outcome, true, now, policy);
                return true;
            }
            Next::RetryAt { at, asked } => {
                let since = *self.failing_since.get_or_insert(now);
                let end = since + policy.blacklist_after;
                if now >= end {
                    self.blacklist(outcome, false, now, policy);
                    return true;
                }
                self.slow_down(policy, now);
                // The attempt that decides is made when the time is over, not after a long wait.
                let at = if asked { at } else { at.min(end) };
                self.retry(attempt.lane, at, asked);
            }
        }
        false
    }

    /// The first of a session is settled; the next can be sent.
    fn advance(&mut self, attempt: &InFlight) {
        self.settle(attempt.position);
        let Some(lane) = self.lanes.get_mut(&attempt.lane) else { return };
        if let Some(entry) = lane.entries.pop_front() {
            self.events -= usize::from(entry.event.is_some());
        }
        lane.attempts = 0;
        if lane.entries.is_empty() {
            self.lanes.remove(&attempt.lane);
        } else {
            self.make_ready(attempt.lane);
        }
    }

    fn succeeded(&mut self, policy: &Policy) {
        self.failing_since = None;
        self.failures = 0;
        self.window = (self.window + 1).min(policy.parallel_max);
        if self.paused_until.take().is_some() {
            // It was down and is back: what waited for that need not wait on.
            let waited: Vec<_> = self.waiting.iter().map(|&(_, session)| session).collect();
            for session in waited {
                let Some(lane) = self.lanes.get(&session) else { continue };
                if let LaneState::Waiting { until, asked: false } = lane.state {
                    self.waiting.remove(&(until, session));
                    self.make_ready(session);
                }
            }
        }
    }

    fn slow_down(&mut self, policy: &Policy, now: Timestamp) {
        self.failures = self.failures.saturating_add(1);
        if self.failures >= SLOWER_AFTER {
            self.window = (self.window / 2).max(1);
        }
        if self.failures >= DOWN_AFTER {
            let index = (self.failures - DOWN_AFTER) as usize;
            let wait =
                policy.schedule.get(index).or(policy.schedule.last()).copied().unwrap_or(DOWN_WAIT_MAX);
            self.paused_until = Some(now + wait.min(DOWN_WAIT_MAX));
        }
    }

    fn retry(&mut self, session: LaneKey, at: Timestamp, asked: bool) {
        let Some(lane) = self.lanes.get_mut(&session) else { return };
        lane.state = LaneState::Waiting { until: at, asked };
        self.waiting.insert((at, session));
        for entry in &mut lane.entries {
            self.events -= usize::from(entry.event.take().is_some());
            entry.change = None;
        }
    }

    fn blacklist(&mut self, outcome: &Outcome, gone: bool, now: Timestamp, policy: &Policy) {
        let blacklisting = Blacklisting { since: now, reason: outcome.reason(), gone };
        self.subscription.standing = SubscriptionStatus::Blacklisted(blacklisting);
        self.plan_validation(now, policy);
    }

    /// Holds nothing in memory but positions; the log has the rest.
    pub(super) fn empty(&mut self, feed: u64) {
        if self.is_live() {
            self.reading = Reading::Behind(feed);
        }
        self.lanes = HashMap::default();
        self.ready = VecDeque::new();
        self.waiting.clear();
        self.parked = self.open.keys().copied().collect();
        self.events = 0;
        self.in_flight = 0;
        self.epoch += 1;
        self.dirty = true;
    }

    fn plan_validation(&mut self, now: Timestamp, policy: &Policy) {
        self.validating = false;
        self.next_validation = match &self.subscription.standing {
            SubscriptionStatus::Blacklisted(Blacklisting { gone: false, .. }) => {
                Some(now + policy.revalidate_every)
            }
            _ => None,
        };
    }

    /// Takes how a validation went; true if the receiver is back.
    pub(super) fn handle_validation(&mut self, passed: bool, policy: &Policy, now: Timestamp) -> bool {
        let back = passed && self.subscription.is_blacklisted();
        if back {
            self.subscription.standing = SubscriptionStatus::Active;
            self.failing_since = None;
            self.failures = 0;
            self.paused_until = None;
            self.window = WINDOW_FIRST.min(policy.parallel_max);
            self.dirty = true;
        }
        self.plan_validation(now, policy);
        back
    }

    /// An upper bound of what it holds in memory, in bytes: the events at their measured size.
    #[cfg(test)]
    #[expect(clippy::disallowed_methods, reason = "a sum is the same in any order")]
    pub(super) fn bytes(&self, event_bytes: usize) -> usize {
        let entries: usize = self.lanes.values().map(|lane| lane.entries.capacity()).sum();
        self.lanes.capacity() * (size_of::<(LaneKey, Lane)>() + 1)
            + entries * size_of::<Entry>()
            + self.ready.capacity() * size_of::<LaneKey>()
            + self.waiting.len() * 2 * size_of::<(Timestamp, LaneKey)>()
            + (self.open.len() * 2 + self.parked.capacity()) * size_of::<u64>()
            + self.events * event_bytes
    }
}
