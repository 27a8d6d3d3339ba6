//! The way of what comes in for one partition: to the machine on this node while it owns the partition,
//! over NATS to the owner while it does not. What neither has taken waits here, at the end on disk.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::mpsc::{SyncSender, TrySendError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hookswitch_store::{Nats, Partition};
use tokio::sync::{Notify, oneshot, watch};

use super::spool::{Segment, Spool};
use crate::intake::{ForwardedInput, Intake};
use crate::telemetry::Metrics;

/// The most that waits in memory before it goes to disk.
const FRONT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The most that was handed over and is not in the log yet.
const WINDOW_MAX: usize = 64;

/// Time to wait for a machine or a server that does not take it.
const PAUSE: Duration = Duration::from_millis(20);

/// Route of an input.
#[derive(Clone)]
enum Route {
    /// To the owner, over NATS.
    Forward,
    /// Nowhere, for a moment.
    Hold,
    /// To the machine on this node.
    Local(SyncSender<Intake>),
}

/// Something on its way, and the segment that is gone once it is in the log.
struct Item {
    carried: Arc<ForwardedInput>,
    segment: Option<Segment>,
}

struct State {
    route: Route,
    /// Counts the changes of the route.
    version: u64,
    front: VecDeque<Item>,
    front_bytes: usize,
    spool: Spool,
    /// Number of those that were handed over and are not in the log yet.
    in_hand: usize,
    /// Set if it was said that no more fits.
    is_full: bool,
}

/// The way of one partition.
pub(crate) struct Lane {
    partition: Partition,
    state: Mutex<State>,
    /// Something has come, or the route has changed.
    changed: Notify,
    /// Nothing is in hand.
    idle: Notify,
    metrics: Arc<Metrics>,
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    stop.wait_for(|&stop| stop).await.ok(); // who could tell has gone
}

/// Fate of an input that was handed over: true once it is in the log, or false if it never will be by this way.
type PendingAck = Pin<Box<dyn Future<Output = bool> + Send>>;

impl Lane {
    /// A lane that forwards.
    pub(super) fn new(partition: Partition, spool: Spool, metrics: Arc<Metrics>) -> Self {
        let state = State {
            route: Route::Forward,
            version: 0,
            front: VecDeque::new(),
            front_bytes: 0,
            spool,
            in_hand: 0,
            is_full: false,
        };
        Self { partition, state: Mutex::new(state), changed: Notify::new(), idle: Notify::new(), metrics }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The machine on this node, while it owns the partition.
    pub(super) fn local(&self) -> Option<SyncSender<Intake>> {
        match &self.lock().route {
            Route::Local(machine) => Some(machine.clone()),
            Route::Forward | Route::Hold => None,
        }
    }

    /// Returns `true` if nothing waits or is in hand.
    pub(super) fn is_empty(&self) -> bool {
        let state = self.lock();
        state.in_hand == 0 && state.front.is_empty() && state.spool.is_empty()
    }

    /// Adds something behind all that waits. What does not fit is lost, counted, and said.
    pub(super) fn push(&self, carried: ForwardedInput) {
        let mut state = self.lock();
        if state.spool.is_empty() && state.front_bytes < FRONT_BYTES_MAX {
            state.front_bytes += carried.len_bytes();
            state.front.push_back(Item { carried: Arc::new(carried), segment: None });
            drop(state);
            self.changed.notify_one();
            return;
        }
        let (was_empty, messages) = (state.spool.is_empty(), carried.len() as u64);
        let (kept, error) = match state.spool.push(&carried) {
            Ok(kept) => (kept, None),
            Err(error) => (false, Some(error)),
        };
        if was_empty && kept {
            tracing::warn!(partition = %self.partition, "what comes in waits on disk: no machine takes it");
        }
        if !kept {
            self.metrics.spool_dropped.inc_by(messages);
            if !std::mem::replace(&mut state.is_full, true) {
                let error =
                    error.map_or_else(|| "cluster.spool_bytes are in use".to_owned(), |e| e.to_string());
                tracing::error!(partition = %self.partition, error, "no more can wait on disk: what comes in is lost until a machine takes it");
            }
        }
        drop(state);
        self.changed.notify_one();
    }

    /// Sends it to the machine on this node from now on.
    pub(super) fn route_local(&self, machine: SyncSender<Intake>) {
        self.set(Route::Local(machine));
    }

    /// Sends it to the owner from now on.
    pub(super) fn route_forward(&self) {
        self.set(Route::Forward);
    }

    /// Holds what comes; returns when all that was handed over is in the log, or waits here again.
    pub(super) async fn hold(&self) {
        self.set(Route::Hold);
        loop {
            let idle = self.idle.notified();
            if self.lock().in_hand == 0 {
                return;
            }
            tokio::select! {
                () = idle => {}
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
    }

    fn set(&self, route: Route) {
        let mut state = self.lock();
        state.route = route;
        state.version += 1;
        drop(state);
        self.changed.notify_one();
    }

    /// The next to be handed over, with its route; none while there is nothing, or none may be.
    fn next(&self, window: Option<u64>) -> Option<(Item, Route, u64)> {
        let mut state = self.lock();
        // What was handed over by another way must be in the log first, or the order would be lost.
        if window.is_some_and(|version| version != state.version) || matches!(state.route, Route::Hold) {
            return None;
        }
        if state.front.is_empty()
            && let Some((all, segment)) = state.spool.pop()
        {
            let count = all.len();
            let mut segment = segment;
            for (index, carried) in all.into_iter().enumerate() {
                state.front_bytes += carried.len_bytes();
                let segment = segment.take_if(|_| index + 1 == count);
                state.front.push_back(Item { carried: Arc::new(carried), segment });
            }
            if state.spool.is_empty() {
                state.is_full = false;
                tracing::info!(partition = %self.partition, "nothing waits on disk any longer");
            }
        }
        let item = state.front.pop_front()?;
        state.front_bytes = state.front_bytes.saturating_sub(item.carried.len_bytes());
        state.in_hand += 1;
        Some((item, state.route.clone(), state.version))
    }

    /// Puts back the newest, before all that waits.
    fn give_back(&self, item: Item) {
        let mut state = self.lock();
        state.in_hand -= 1;
        state.front_bytes += item.carried.len_bytes();
        state.front.push_front(item);
    }

    /// Puts back what was not taken, in its order, before all that waits.
    fn put_back(&self, items: impl DoubleEndedIterator<Item = Item>) {
        let mut state = self.lock();
        for item in items.rev() {
            state.front_bytes += item.carried.len_bytes();
            state.front.push_front(item);
        }
        state.in_hand = 0;
        drop(state);
        self.idle.notify_waiters();
    }

    /// Hands over what comes until told to stop; then writes to disk what was not taken.
    pub(super) async fn run(self: Arc<Self>, nats: Nats, mut stop: watch::Receiver<bool>) {
        let mut window: VecDeque<(Item, PendingAck)> = VecDeque::new();
        let mut version = 0;
        loop {
            let may = window.len() < WINDOW_MAX;
            let found = if may { self.next((!window.is_empty()).then_some(version)) } else { None };
            if let Some((item, route, by)) = found {
                version = by;
                if let Some(kept) = self.hand_over(&item, route, &nats) {
                    window.push_back((item, kept));
                    continue;
                }
                // It is busy, or has ended: what was taken goes on, the rest waits.
                self.give_back(item);
                if window.is_empty() {
                    self.idle.notify_waiters();
                    tokio::time::sleep(PAUSE / 10).await;
                } else if !self.settle(&mut window).await {
                    tokio::time::sleep(PAUSE).await;
                }
                continue;
            }
            if window.is_empty() {
                self.idle.notify_waiters();
                tokio::select! {
                    () = self.changed.notified() => {}
                    () = stopped(&mut stop) => break,
                    () = tokio::time::sleep(PAUSE * 10) => {}
                }
                continue;
            }
            let full = window.len() >= WINDOW_MAX;
            tokio::select! {
                settled = self.settle(&mut window) => if !settled {
                    tokio::time::sleep(PAUSE).await;
                },
                () = self.changed.notified(), if !full => {}
                () = stopped(&mut stop) => break,
            }
        }
        self.put_back(std::mem::take(&mut window).into_iter().map(|(item, _)| item));
        self.save();
    }

    /// Waits for the oldest that was handed over. False if it was not taken: then it waits here again, and
    /// all that was handed over behind it.
    async fn settle(&self, window: &mut VecDeque<(Item, PendingAck)>) -> bool {
        let Some((_, kept)) = window.front_mut() else { return true };
        if kept.await {
            if let Some((item, _)) = window.pop_front() {
                item.segment.into_iter().for_each(Segment::remove);
            }
            self.lock().in_hand -= 1;
            return true;
        }
        self.put_back(std::mem::take(window).into_iter().map(|(item, _)| item));
        false
    }

    /// Begins to hand something over; none if it is not taken now.
    fn hand_over(&self, item: &Item, route: Route, nats: &Nats) -> Option<PendingAck> {
        match route {
            Route::Hold => None,
            Route::Local(machine) => {
                let (done, kept) = oneshot::channel();
                let done = Box::new(move || {
                    done.send(()).ok(); // the lane has ended
                });
                match machine.try_send(Intake::ForwardedInput(item.carried.clone(), done)) {
                    Ok(()) => Some(Box::pin(async move { kept.await.is_ok() })),
                    Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => None,
                }
            }
            Route::Forward => {
                let (nats, carried, partition) = (nats.clone(), item.carried.clone(), self.partition);
                let count = carried.len() as u64;
                let metrics = self.metrics.clone();
                Some(Box::pin(async move {
                    match nats.forward(partition, carried.write()).await {
                        Ok(_) => {
                            metrics.forwarded.inc_by(count);
                            true
                        }
                        Err(error) => {
                            tracing::debug!(%partition, %error, "what came in could not be handed over; it is tried again");
                            false
                        }
                    }
                }))
            }
        }
    }

    /// Writes to disk what waits.
    fn save(&self) {
        let mut state = self.lock();
        let State { front, spool, .. } = &mut *state;
        let saved = spool.put_back(front.iter().map(|item| &*item.carried)).and_then(|()| spool.flush());
        if saved.is_ok() {
            // What was read from the disk is there anew.
            front.drain(..).filter_map(|item| item.segment).for_each(Segment::remove);
        }
        if let Err(error) = saved {
            tracing::error!(partition = %self.partition, %error, "what waited cannot be written to disk and is lost");
        }
    }
}
