//! Work of a node for the partitions that it owns: it begins and ends the machine, the deliveries, the
//! connections to switches and the redeliveries of each.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use std::{io, thread};

use anyhow::Context as _;
use hookswitch_store::{Brought, IntakeReader, Nats, Partition, Settings, Store};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use super::lane::Lane;
use super::spool::Spool;
use super::{Duty, Membership};
use crate::call_changes::CallChanges;
use crate::clock;
use crate::deliver::Deliverer;
use crate::intake::{ForwardedInput, INTAKE_AHEAD, Intake};
use crate::redelivery::Redeliveries;
use crate::run::EngineLoop;
use crate::subscriptions::Subscriptions;
use crate::telemetry::Metrics;
use crate::webhook::Webhooks;

/// Time to wait before something is tried again that did not go.
const RETRY_AFTER: Duration = Duration::from_millis(300);

/// Time that a machine may take that is busy before it is asked again.
const BUSY_PAUSE: Duration = Duration::from_millis(2);

/// After how many messages of the intake those that were taken are removed from the stream.
const PURGE_EVERY: u64 = 1000;

/// The ways of all partitions.
pub(crate) type Lanes = Arc<[Arc<Lane>]>;

/// Told of the partitions that this node works for.
pub(crate) type Switch = Box<dyn Fn(Vec<Partition>) + Send + Sync>;

/// Parts that the work for a partition needs.
pub(crate) struct Work {
    pub store: Store,
    pub nats: Nats,
    pub membership: Arc<Membership>,
    pub(crate) lanes: Lanes,
    pub settings: Arc<Mutex<Settings>>,
    pub(crate) snapshot_every: Duration,
    pub subscriptions: Arc<Subscriptions>,
    pub changes: Arc<CallChanges>,
    pub webhooks: Webhooks,
    pub policy: hookswitch_core::delivery::Policy,
    pub redeliveries: Arc<Redeliveries>,
    /// Makes the connections to the switches of the partitions that this node works for, and ends others.
    pub switch: Switch,
    /// The partitions that this node works for.
    pub(crate) working: Mutex<Vec<Partition>>,
    pub metrics: Arc<Metrics>,
}

impl Work {
    /// The lanes of all partitions, with what an earlier process has left on disk.
    ///
    /// # Errors
    /// If the directory cannot be used.
    pub(crate) fn lanes(
        directory: &Path,
        partitions: u8,
        bytes_max: u64,
        metrics: &Arc<Metrics>,
    ) -> io::Result<Lanes> {
        let lane = |partition: Partition| {
            let bytes_max = bytes_max / u64::from(partitions.max(1));
            let spool = Spool::open(directory, &partition.to_string(), bytes_max)?;
            Ok(Arc::new(Lane::new(partition, spool, metrics.clone())))
        };
        Partition::all(partitions).map(lane).collect::<io::Result<Vec<_>>>().map(Arc::from)
    }

    /// Begins to hand over what comes in, until told to stop.
    pub(crate) fn start_lanes(&self, stop: &watch::Sender<bool>) -> Vec<JoinHandle<()>> {
        let run = |lane: &Arc<Lane>| tokio::spawn(lane.clone().run(self.nats.clone(), stop.subscribe()));
        self.lanes.iter().map(run).collect()
    }

    /// Returns `true` if all that came in is in the log, or with other nodes.
    pub(crate) fn is_drained(&self) -> bool {
        self.lanes.iter().all(|lane| lane.is_empty())
    }

    fn lane(&self, partition: Partition) -> &Lane {
        &self.lanes[partition.index()]
    }

    fn set_working(&self, partition: Partition, working: bool) {
        let all = {
            let mut all = self.working.lock().unwrap_or_else(PoisonError::into_inner);
            all.retain(|&one| one != partition);
            if working {
                all.push(partition);
            }
            all.clone()
        };
        (self.switch)(all);
    }

    /// Begins all that a partition needs on this node.
    async fn begin(self: &Arc<Self>, partition: Partition) -> anyhow::Result<Owned> {
        let started = clock::now();
        let lane = self.lane(partition);
        lane.hold().await;
        let (store, publisher) = self.store.own(partition, self.membership.name()).await?;
        let machine = {
            let (store, metrics, every) = (store.clone(), self.metrics.clone(), self.snapshot_every);
            let settings = self.settings.lock().unwrap_or_else(PoisonError::into_inner).clone();
            tokio::task::spawn_blocking(move || EngineLoop::restore(&store, metrics, &settings, every))
        };
        let machine = machine.await.context("the machine has panicked")??;
        let commands = self.subscriptions.begin(partition).await?;
        let (intake, inputs) = sync_channel(INTAKE_AHEAD);
        let (running, ended) = oneshot::channel::<()>();
        let run = move || {
            let _running = running; // dropped at the end, also by a panic
            machine.run(&inputs);
        };
        let name = format!("machine-{partition}");
        let thread = thread::Builder::new().name(name).spawn(run)?;
        let (read, seen) = watch::channel(store.intake()?);
        let reader = tokio::spawn(self.clone().read_intake(partition, intake.clone(), read));
        self.catch_up(partition, seen).await;
        lane.route_local(intake.clone());
        let lease = {
            let membership = self.membership.clone();
            Arc::new(move || membership.owns(partition))
        };
        let (deliverer, reports) = Deliverer::new(
            (self.store.clone(), self.changes.clone()),
            (partition, lease),
            self.subscriptions.clone(),
            self.webhooks.clone(),
            self.policy.clone(),
            self.metrics.clone(),
        );
        let (stop, stopped) = watch::channel(false);
        let delivering = tokio::spawn(deliverer.run(commands, reports, stopped));
        self.redeliveries.start(partition);
        self.set_working(partition, true);
        tracing::info!(
            %partition,
            milliseconds = started.elapsed().as_millis() as u64,
            "work on a partition has begun"
        );
        Ok(Owned { partition, intake, thread, ended, publisher, reader, stop, delivering })
    }

    /// Waits until the machine has what was handed over before this node began.
    async fn catch_up(&self, partition: Partition, mut seen: watch::Receiver<u64>) {
        loop {
            match self.nats.intake_end(partition).await {
                Ok(end) => {
                    seen.wait_for(|&seen| seen >= end).await.ok(); // the reader has ended
                    return;
                }
                Err(error) => {
                    tracing::warn!(%partition, "NATS does not say what was handed over: {error:#}");
                    tokio::time::sleep(RETRY_AFTER).await;
                }
            }
        }
    }

    /// Gives the machine what other nodes hand over, for as long as it runs.
    async fn read_intake(
        self: Arc<Self>,
        partition: Partition,
        machine: SyncSender<Intake>,
        seen: watch::Sender<u64>,
    ) {
        let mut after = *seen.borrow();
        loop {
            let error = match self.nats.read_intake(partition, after).await {
                Ok(mut reader) => {
                    match self.hand_in(partition, &mut reader, &machine, &seen, &mut after).await {
                        Ok(()) => return, // the machine has ended
                        Err(error) => error,
                    }
                }
                Err(error) => error,
            };
            tracing::warn!(%partition, "forwarded input cannot be read: {error:#}; trying again");
            tokio::time::sleep(RETRY_AFTER).await;
        }
    }

    /// Gives the machine what was handed over, until it ends. `seen` tells how far that was read, and `after`
    /// is where it goes on.
    async fn hand_in(
        &self,
        partition: Partition,
        reader: &mut IntakeReader,
        machine: &SyncSender<Intake>,
        seen: &watch::Sender<u64>,
        after: &mut u64,
    ) -> anyhow::Result<()> {
        let mut since = 0;
        loop {
            let Brought { sequence, whole, resume } = reader.next().await?;
            match whole.map(|whole| ForwardedInput::read(&whole)) {
                None => {}
                Some(Ok(carried)) => {
                    let mut input = Intake::Forwarded { carried, taken: sequence, resume };
                    loop {
                        match machine.try_send(input) {
                            Ok(()) => break,
                            Err(TrySendError::Full(back)) => input = back,
                            Err(TrySendError::Disconnected(_)) => return Ok(()),
                        }
                        tokio::time::sleep(BUSY_PAUSE).await;
                    }
                }
                Some(Err(error)) => {
                    tracing::error!(%partition, sequence, %error, "forwarded input cannot be read");
                }
            }
            *after = resume;
            seen.send_replace(sequence);
            since += 1;
            if since >= PURGE_EVERY {
                since = 0;
                self.purge(partition).await;
            }
        }
    }

    /// Removes from the intake what is in the log of the partition.
    async fn purge(&self, partition: Partition) {
        let store = self.store.clone();
        let taken = tokio::task::spawn_blocking(move || store.intake_of(partition)).await;
        if let Ok(Ok(taken)) = taken
            && let Err(error) = self.nats.purge_intake(partition, taken).await
        {
            tracing::debug!(%partition, "what was taken stays in the intake: {error:#}");
        }
    }

    /// Ends all of it. In order: what has come in is in the log then, the state is saved, and no request is
    /// under way. Else another node may work for the partition already, and nothing is waited for.
    async fn end(&self, owned: Owned, orderly: bool) {
        let Owned { partition, intake, thread, ended, publisher, reader, stop, delivering } = owned;
        self.set_working(partition, false);
        self.redeliveries.stop(partition);
        stop.send_replace(true);
        if orderly {
            delivering.await.ok(); // a panic in it is told by its own hook
        } else {
            delivering.abort();
        }
        self.subscriptions.end(partition);
        let lane = self.lane(partition);
        if orderly {
            lane.hold().await;
        } else {
            lane.route_forward();
        }
        reader.abort();
        let stopping = tokio::task::spawn_blocking(move || intake.send(Intake::Stop).is_ok());
        if orderly {
            ended.await.ok(); // it tells by being dropped
            stopping.await.ok();
            if tokio::task::spawn_blocking(move || thread.join().is_err()).await.unwrap_or(true) {
                tracing::error!(%partition, "the machine has panicked; what it held is not in the log");
            }
            publisher.await.ok();
            lane.route_forward();
        } else {
            publisher.abort();
        }
    }
}

/// A partition that this node works for.
struct Owned {
    partition: Partition,
    intake: SyncSender<Intake>,
    thread: thread::JoinHandle<()>,
    /// Told when the machine has ended.
    ended: oneshot::Receiver<()>,
    /// The task that writes to the log.
    publisher: JoinHandle<()>,
    /// The task that reads what other nodes hand over.
    reader: JoinHandle<()>,
    /// Ends the deliveries.
    stop: watch::Sender<bool>,
    delivering: JoinHandle<()>,
}

/// The task that does what the leases say.
pub(crate) struct Duties {
    work: Arc<Work>,
    partitions: BTreeMap<Partition, mpsc::UnboundedSender<Duty>>,
}

impl Duties {
    /// Nothing is done yet.
    pub(super) const fn new(work: Arc<Work>) -> Self {
        Self { work, partitions: BTreeMap::new() }
    }

    /// Does what comes, each partition beside the others, until nobody can say anything any more and all has
    /// ended.
    pub(super) async fn run(mut self, mut duties: mpsc::Receiver<Duty>) {
        let mut tasks = Vec::new();
        while let Some(duty) = duties.recv().await {
            let partition = match &duty {
                Duty::Begin(partition) | Duty::End { partition, .. } => *partition,
            };
            let work = self.work.clone();
            let of = self.partitions.entry(partition).or_insert_with(|| {
                let (sender, receiver) = mpsc::unbounded_channel();
                tasks.push(tokio::spawn(look_after(work, partition, receiver)));
                sender
            });
            of.send(duty).ok(); // it ends with this task
        }
        self.partitions.clear();
        for task in tasks {
            task.await.ok(); // a panic in it is told by its own hook
        }
    }
}

/// Does what there is to do for one partition.
async fn look_after(work: Arc<Work>, partition: Partition, mut duties: mpsc::UnboundedReceiver<Duty>) {
    let mut owned: Option<Owned> = None;
    // Whether it is to be done, though it is not.
    let mut wanted = false;
    loop {
        let duty = tokio::select! {
            duty = duties.recv() => duty,
            () = machine_ended(&mut owned) => {
                tracing::error!(%partition, "the machine has ended; it begins again from the log");
                if let Some(owned) = owned.take() {
                    work.end(owned, false).await;
                }
                wanted = true;
                continue;
            }
            () = tokio::time::sleep(RETRY_AFTER), if wanted => {
                if work.membership.owns(partition) {
                    wanted = !begin(&work, partition, &mut owned).await;
                }
                continue;
            }
        };
        match duty {
            Some(Duty::Begin(_)) => wanted = !begin(&work, partition, &mut owned).await,
            Some(Duty::End { orderly, done, .. }) => {
                wanted = false;
                if let Some(owned) = owned.take() {
                    work.end(owned, orderly).await;
                }
                work.lane(partition).route_forward();
                done.send(()).ok(); // nobody waits any longer
            }
            None => break,
        }
    }
    if let Some(owned) = owned {
        work.end(owned, false).await;
    }
}

async fn begin(work: &Arc<Work>, partition: Partition, owned: &mut Option<Owned>) -> bool {
    if owned.is_some() {
        return true;
    }
    match work.begin(partition).await {
        Ok(begun) => {
            *owned = Some(begun);
            true
        }
        Err(error) => {
            tracing::warn!(%partition, "the work for a partition cannot begin: {error:#}; trying again");
            work.lane(partition).route_forward();
            false
        }
    }
}

async fn machine_ended(owned: &mut Option<Owned>) {
    match owned {
        Some(owned) => {
            (&mut owned.ended).await.ok(); // it tells by being dropped
        }
        None => std::future::pending().await,
    }
}
