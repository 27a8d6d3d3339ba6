//! The task that keeps this node's leases.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use futures_util::future::{join, join_all};
use hookswitch_store::{DocumentUpdate, LeaseTable, Nats, Node, Owner, Partition, Refused, Store};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep_until, timeout};

use super::assign::wanted;
use super::placement::Placement;
use super::{Duty, Held, Identity, Membership, View};
use crate::clock;
use crate::telemetry::Metrics;

/// How often in the life of a lease it is renewed.
const RENEWALS: u32 = 3;

/// Time that the work under a lease may take to end before the lease is given back all the same. A state is
/// saved meanwhile; without it the next owner only has more to read.
const END_MAX: Duration = Duration::from_secs(10);

/// After how long a lease that should have run out is tried for again: the server looks for what has run
/// out a few times a second.
const RETRY_AFTER: Duration = Duration::from_millis(100);

/// Keeps this node's leases.
///
/// One task does it all, and waits for no one else: duties are queued, and every request to NATS has its
/// time, so that no lease runs out because something else takes long.
pub(crate) struct Keeper {
    identity: Identity,
    /// Tells this start of the node from others.
    start: u64,
    leases: LeaseTable,
    store: Store,
    membership: Arc<Membership>,
    metrics: Arc<Metrics>,
    duties: mpsc::Sender<Duty>,
    /// Duties that are not told yet.
    untold: VecDeque<Duty>,
    /// Leases that are given back, each by when it was taken, once nothing more is done under them.
    endings: JoinSet<(Partition, u64)>,
    /// Leases that NATS is told to have back.
    releases: JoinSet<()>,
    orders: Placement,
    /// The revision at which this node said last that it lives.
    said: u64,
    /// Set if NATS took it.
    is_reached: bool,
    /// Before when a lease is not tried for again.
    not_before: HashMap<Partition, Instant>,
    leaves: bool,
}

impl Keeper {
    /// A keeper that tells `duties` what is to be done, and follows the orders in a store.
    pub(super) fn new(
        identity: Identity,
        nats: &Nats,
        store: Store,
        membership: Arc<Membership>,
        duties: mpsc::Sender<Duty>,
        metrics: Arc<Metrics>,
    ) -> Self {
        // Without random bytes the time tells starts apart, which is what they are for.
        let start =
            crate::secret::random().map_or(clock::wall().as_micros().cast_unsigned(), u64::from_be_bytes);
        let leases = nats.lease_table(identity.lease, identity.lease / RENEWALS);
        Self {
            identity,
            start,
            leases,
            store,
            membership,
            metrics,
            duties,
            untold: VecDeque::new(),
            endings: JoinSet::new(),
            releases: JoinSet::new(),
            orders: Placement::default(),
            said: 0,
            is_reached: false,
            not_before: HashMap::new(),
            leaves: false,
        }
    }

    /// Keeps leases until told to stop; then ends the work under them and gives them back.
    pub(super) async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut documents = self.store.follow_documents();
        let mut turns = interval(self.identity.lease / RENEWALS);
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let duties = self.duties.clone();
        loop {
            let next = self.next_end().map(tokio::time::Instant::from_std);
            tokio::select! {
                _ = turns.tick() => self.turn().await,
                () = self.leases.changed() => {}
                told = documents.next() => self.take_orders(told).await,
                Some(Ok((partition, taken))) = self.endings.join_next() => self.give_back(partition, taken),
                Some(_) = self.releases.join_next() => {}
                permit = duties.reserve(), if !self.untold.is_empty() => match permit {
                    Ok(permit) => if let Some(duty) = self.untold.pop_front() {
                        permit.send(duty);
                    },
                    Err(_) => self.untold.clear(), // the server stops
                },
                () = told(&mut stop), if !self.leaves => {
                    self.leaves = true;
                    self.turn().await;
                    self.membership.owned().into_iter().for_each(|partition| self.begin_end(partition));
                }
                () = sleep_until(next.unwrap_or_else(tokio::time::Instant::now)), if next.is_some() => {}
            }
            self.drop_expired();
            self.assign().await;
            self.show();
            if self.leaves && self.untold.is_empty() && self.membership.held().is_empty() {
                break;
            }
        }
        while self.releases.join_next().await.is_some() {}
        if let Err(error) = self.leases.unsay(&self.identity.name).await {
            tracing::debug!("the liveness record of this node will expire by itself: {error:#}");
        }
    }

    /// Returns the time when something runs out next: what this node has, or what others have.
    fn next_end(&self) -> Option<Instant> {
        let now = clock::now();
        let held = self.membership.held().values().map(|held| held.until).min();
        let retried = self.not_before.values().copied().filter(|&at| at > now).min();
        [held, retried, self.leases.next_end(now)].into_iter().flatten().min()
    }

    /// Says that this node lives, and renews its leases.
    async fn turn(&mut self) {
        let follows = self.leases.has_seen(self.said);
        if self.leases.is_said_by_other(&self.identity.name, self.start, self.said) {
            let name = &self.identity.name;
            tracing::error!("another node is called {name}, too; give each its own name in cluster.node");
        }
        let (said, lost) = join(self.say(), self.renew_all()).await;
        for partition in lost {
            tracing::warn!(%partition, "the lease was lost to another node");
            self.end_at_once(partition);
        }
        self.heard(said);
        if self.is_reached
            && !follows
            && let Err(error) = self.leases.follow().await
        {
            tracing::warn!("the leases cannot be followed: {error:#}");
        }
        self.read_orders().await;
    }

    /// Tells others that this node lives, and whether it gives its partitions away.
    async fn say(&self) -> anyhow::Result<u64> {
        let node = Node {
            url: self.identity.url.clone(),
            version: env!("CARGO_PKG_VERSION").into(),
            draining: self.is_draining(),
            start: self.start,
        };
        self.leases.say(&self.identity.name, &node).await
    }

    /// Takes in what NATS answered to that.
    fn heard(&mut self, said: anyhow::Result<u64>) {
        match said {
            Ok(said) => {
                if !self.is_reached {
                    // Others could not say that they live either.
                    self.leases.excuse();
                }
                self.said = said;
                self.is_reached = true;
            }
            Err(error) => {
                tracing::warn!("cannot renew the liveness record of this node: {error:#}");
                self.is_reached = false;
            }
        }
    }

    fn is_draining(&self) -> bool {
        self.leaves || self.orders.drained.contains(&self.identity.name)
    }

    /// Takes in that documents have changed.
    async fn take_orders(&mut self, told: Option<DocumentUpdate>) {
        if let Some(DocumentUpdate::One(changed)) = told
            && !Placement::is_order(&changed.kind)
        {
            return;
        }
        let was_draining = self.is_draining();
        self.read_orders().await;
        if was_draining != self.is_draining() {
            let said = self.say().await;
            self.heard(said);
        }
    }

    async fn read_orders(&mut self) {
        match self.store.read_async(Placement::read).await {
            Ok(orders) => self.orders = orders,
            Err(error) => tracing::warn!(%error, "the placement of the cluster cannot be read"),
        }
    }

    /// Renews all leases at once, and gives those that are lost.
    async fn renew_all(&self) -> Vec<Partition> {
        let all: Vec<_> = {
            let held = self.membership.held();
            let of = |(&partition, held): (&Partition, &Held)| {
                (partition, held.taken, held.owner.clone(), held.revision)
            };
            held.iter().map(of).collect()
        };
        let renewals = all.into_iter().map(async |(partition, taken, owner, revision)| {
            let renewed = timeout(self.patience(), self.renew(partition, &owner, revision)).await;
            match renewed.unwrap_or_else(|_| Err(Refused::Failed(anyhow!("NATS does not answer in time")))) {
                Ok((revision, until)) => {
                    if let Some(held) = self.membership.held().get_mut(&partition)
                        && held.taken == taken
                    {
                        (held.revision, held.until) = (revision, until);
                    }
                    None
                }
                Err(Refused::Taken) => Some(partition),
                Err(Refused::Failed(error)) => {
                    // It is good for a while yet.
                    self.metrics.lease_renewals_failed.inc();
                    tracing::warn!(%partition, "a lease could not be renewed: {error:#}");
                    None
                }
            }
        });
        join_all(renewals).await.into_iter().flatten().collect()
    }

    /// Renews a lease, and gives its revision and until when it is good: counted from when it was asked
    /// for, which was before the server began to count.
    async fn renew(
        &self,
        partition: Partition,
        owner: &Owner,
        revision: u64,
    ) -> Result<(u64, Instant), Refused> {
        let until = clock::now() + self.identity.lease;
        let renewed = self.leases.renew(partition, owner, revision).await;
        let Err(Refused::Taken) = renewed else { return Ok((renewed?, until)) };
        // The answer to the last renewal may have been lost on its way.
        let found = self.leases.read(partition).await.map_err(Refused::Failed)?;
        let found = found.filter(|(found, _)| found == owner).ok_or(Refused::Taken)?;
        let until = clock::now() + self.identity.lease;
        match self.leases.renew(partition, owner, found.1).await {
            Ok(revision) => Ok((revision, until)),
            Err(Refused::Taken) => Err(Refused::Failed(anyhow!("its revision changes"))),
            Err(failed) => Err(failed),
        }
    }

    /// Takes what this node should have and nobody has, and begins to give back what another should have.
    async fn assign(&mut self) {
        if !self.is_reached || !self.leases.has_seen(self.said) {
            return;
        }
        let now = clock::now();
        self.not_before.retain(|_, at| *at > now);
        let nodes = self.leases.nodes(now);
        let mut free = Vec::new();
        for partition in Partition::all(self.identity.partitions) {
            let best = wanted(partition, &nodes, &self.orders.pins);
            let is_own = best == Some(&*self.identity.name);
            if self.membership.held().contains_key(&partition) {
                if best.is_some() && !is_own {
                    self.begin_end(partition);
                }
                continue;
            }
            if !is_own || self.leaves || self.not_before.contains_key(&partition) {
                continue;
            }
            match self.leases.owner(partition, now) {
                None => free.push((partition, None)),
                // The answer came too late, or the lease has run out here and not yet there.
                Some((owner, revision)) if owner.start == self.start => {
                    free.push((partition, Some(revision)));
                }
                Some(_) => {}
            }
        }
        let this = &*self;
        let takes = free
            .into_iter()
            .map(async |(partition, revision)| (partition, this.take(partition, revision).await));
        for (partition, taken) in join_all(takes).await {
            match taken {
                Ok(held) => {
                    tracing::info!(%partition, "this node owns a partition");
                    self.membership.held().insert(partition, held);
                    self.metrics.takeovers.inc();
                    self.untold.push_back(Duty::Begin(partition));
                }
                Err(refused) => {
                    if let Refused::Failed(error) = refused {
                        tracing::warn!(%partition, "a lease could not be taken: {error:#}");
                    }
                    self.not_before.insert(partition, clock::now() + RETRY_AFTER);
                }
            }
        }
    }

    async fn take(&self, partition: Partition, revision: Option<u64>) -> Result<Held, Refused> {
        let owner = Owner::new(self.identity.name.clone(), self.start);
        let until = clock::now() + self.identity.lease;
        let revision = match revision {
            None => self.leases.take(partition, &owner).await?,
            Some(revision) => self.leases.renew(partition, &owner, revision).await?,
        };
        Ok(Held { taken: revision, revision, owner, until, is_ending: false })
    }

    /// Lets the work for a partition end; its lease is given back after that.
    fn begin_end(&mut self, partition: Partition) {
        let taken = match self.membership.held().get_mut(&partition) {
            Some(held) if !held.is_ending => {
                held.is_ending = true;
                held.taken
            }
            _ => return,
        };
        tracing::info!(%partition, "a partition goes to another node");
        let (done, ended) = oneshot::channel();
        self.untold.push_back(Duty::End { partition, orderly: true, done });
        self.endings.spawn(async move {
            timeout(END_MAX, ended).await.ok();
            (partition, taken)
        });
    }

    /// Gives back a lease under which nothing more is done.
    fn give_back(&mut self, partition: Partition, taken: u64) {
        let revision = {
            let mut all = self.membership.held();
            let Some(held) = all.get(&partition).filter(|held| held.taken == taken) else { return };
            let revision = held.revision;
            all.remove(&partition);
            revision
        };
        let given_back = self.leases.give_back(partition, revision);
        self.releases.spawn(async move {
            if let Err(error) = given_back.await {
                tracing::debug!(%partition, "the lease runs out by itself: {error:#}");
            }
        });
    }

    /// Ends the work for partitions whose leases could not be renewed in time.
    fn drop_expired(&mut self) {
        let now = clock::now();
        let is_expired = |(&partition, held): (&Partition, &Held)| (held.until <= now).then_some(partition);
        let expired: Vec<Partition> = self.membership.held().iter().filter_map(is_expired).collect();
        for partition in expired {
            tracing::warn!(%partition, "the lease has run out");
            self.end_at_once(partition);
        }
    }

    /// Ends the work for a partition that another node may have already.
    fn end_at_once(&mut self, partition: Partition) {
        let held = self.membership.held().remove(&partition);
        if held.is_some_and(|held| !held.is_ending) {
            let (done, _) = oneshot::channel();
            self.untold.push_back(Duty::End { partition, orderly: false, done });
        }
    }

    /// Shows everybody how things stand. While NATS is away the nodes stand as they were seen last.
    fn show(&self) {
        let held = self.membership.owned();
        self.metrics.partitions_owned.set(i64::try_from(held.len()).unwrap_or(i64::MAX));
        let (nodes, mut owners) = if self.is_reached {
            let now = clock::now();
            (self.leases.nodes(now), self.leases.owners(now))
        } else {
            let known = self.membership.view();
            (known.nodes.clone(), known.owners.clone())
        };
        owners.retain(|partition, owner| owner.start != self.start || held.contains(partition));
        let view = View { count: self.identity.partitions, nodes, owners, orders: self.orders.clone() };
        self.membership.view.send_if_modified(|known| {
            let is_new = **known != view;
            if is_new {
                *known = Arc::new(view);
            }
            is_new
        });
    }

    fn patience(&self) -> Duration {
        self.identity.lease / RENEWALS
    }
}

/// Waits until told to stop.
async fn told(stop: &mut watch::Receiver<bool>) {
    stop.wait_for(|&stop| stop).await.ok(); // who would tell is gone
}
