//! This node among others: it says that it lives, and takes, renews and gives back the leases of
//! partitions.
//!
//! A lease says who should work, so that work goes on when a node is gone. It is not what keeps two nodes
//! from writing: that is the sequence of the partition's subject, which the server checks.

mod assign;
mod carried;
mod lane;
mod member;
mod owned;
mod router;
mod spool;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use async_nats::jetstream::kv;
use futures_util::TryStreamExt as _;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot, watch};

pub(crate) use self::assign::Node;
use self::assign::wanted;
pub(crate) use self::carried::Carried;
pub(crate) use self::member::Member;
pub(crate) use self::owned::{Lanes, Switch, Work};
pub(crate) use self::router::Router;
use crate::clock;
use crate::store::Partition;

/// How often in the life of a lease it is renewed.
const RENEWALS: u32 = 3;

/// What the owner of this module is to do.
pub(crate) enum Duty {
    /// This node has the lease of a partition.
    Begin(Partition),
    /// It has it no longer. Told back when no more is done for it; with `orderly` the lease is held until
    /// then, else another node may have it already.
    End { partition: Partition, orderly: bool, done: oneshot::Sender<()> },
}

/// Who owns a partition, as the bucket has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Owner {
    node: String,
}

/// A lease that this node has.
struct Held {
    revision: u64,
    /// Until when it is good, whatever happens to the connection.
    until: Instant,
}

/// What is known of the cluster, for who asks.
#[derive(Clone, Debug, Default)]
pub(crate) struct View {
    pub(crate) nodes: BTreeMap<String, Node>,
    /// The owners of partitions that have one.
    pub(crate) owners: BTreeMap<Partition, String>,
}

/// What this node shares with those who must know whether it owns a partition.
pub(crate) struct Membership {
    /// What this node is called.
    name: String,
    held: Mutex<HashMap<Partition, Held>>,
    view: Mutex<View>,
    draining: Mutex<bool>,
    pins: Mutex<BTreeMap<Partition, String>>,
}

impl Membership {
    /// A node of this name that owns nothing yet.
    pub(crate) fn new(name: String) -> Self {
        Self {
            name,
            held: Mutex::default(),
            view: Mutex::default(),
            draining: Mutex::default(),
            pins: Mutex::default(),
        }
    }

    /// What this node is called.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Whether the lease of a partition is good at this moment. A process that was stopped for a while
    /// finds here that it is not.
    pub(crate) fn owns(&self, partition: Partition) -> bool {
        lock(&self.held).get(&partition).is_some_and(|held| clock::now() < held.until)
    }

    /// The partitions whose leases this node has.
    pub(crate) fn owned(&self) -> Vec<Partition> {
        let mut owned: Vec<Partition> = lock(&self.held).keys().copied().collect();
        owned.sort_unstable();
        owned
    }

    /// What is known of the cluster.
    pub(crate) fn view(&self) -> View {
        lock(&self.view).clone()
    }

    /// Gives this node's partitions to others, or lets it have some again.
    pub(crate) fn set_draining(&self, draining: bool) {
        *lock(&self.draining) = draining;
    }

    /// Which partitions are to be on which nodes, whatever their hashes say.
    pub(crate) fn set_pins(&self, pins: BTreeMap<Partition, String>) {
        *lock(&self.pins) = pins;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What this node is called and how long leases are good.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) name: String,
    pub(crate) url: String,
    pub(crate) partitions: u8,
    pub(crate) lease: Duration,
}

/// The task that keeps this node's leases.
pub(crate) struct Keeper {
    identity: Identity,
    leases: kv::Store,
    membership: Arc<Membership>,
    duties: mpsc::Sender<Duty>,
    /// Since when nobody has owned a partition.
    free_since: HashMap<Partition, Instant>,
}

impl Keeper {
    /// A keeper that tells `duties` what is to be done.
    pub(crate) fn new(
        identity: Identity,
        leases: kv::Store,
        membership: Arc<Membership>,
        duties: mpsc::Sender<Duty>,
    ) -> Self {
        Self { identity, leases, membership, duties, free_since: HashMap::new() }
    }

    /// Keeps leases until told to stop; then gives them back, one after the other.
    pub(crate) async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let every = self.identity.lease / RENEWALS;
        loop {
            let began = clock::now();
            let turn = tokio::time::timeout(every, self.turn());
            let turned = tokio::select! {
                turned = turn => turned,
                _ = stop.wait_for(|&stop| stop) => break,
            };
            if let Ok(Err(error)) = turned {
                tracing::warn!("the leases cannot be looked after: {error:#}");
            }
            self.drop_expired().await;
            let wait = every.saturating_sub(began.elapsed());
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                _ = stop.wait_for(|&stop| stop) => break,
            }
        }
        self.leave().await;
    }

    /// Renews what this node has, takes what nobody has and it should, gives back what another should have.
    async fn turn(&mut self) -> anyhow::Result<()> {
        let draining = *lock(&self.membership.draining);
        let Identity { name, url, .. } = &self.identity;
        let node = Node { url: url.clone(), version: env!("CARGO_PKG_VERSION").into(), draining };
        let says = serde_json::to_vec(&node)?;
        self.renew_all().await;
        self.leases.put(node_key(name), says.into()).await.context("cannot say that this node lives")?;
        let view = self.read().await?;
        let pins = lock(&self.membership.pins).clone();
        *lock(&self.membership.view) = view.clone();
        let now = clock::now();
        for partition in Partition::all(self.identity.partitions) {
            let held = lock(&self.membership.held).contains_key(&partition);
            let owner = view.owners.get(&partition).map(String::as_str);
            let best = wanted(partition, &view.nodes, &pins);
            if owner.is_some() || held {
                self.free_since.remove(&partition);
            }
            if held {
                if best.is_some_and(|best| best != self.identity.name) {
                    self.give_back(partition).await;
                }
                continue;
            }
            if owner.is_some() {
                continue;
            }
            let free_since = *self.free_since.entry(partition).or_insert(now);
            // The node that should have it may be on its way out without having said so.
            let left_alone = now.duration_since(free_since) > 2 * self.identity.lease && !draining;
            if best == Some(&*self.identity.name) || left_alone {
                self.take(partition).await;
            }
        }
        Ok(())
    }

    async fn read(&self) -> anyhow::Result<View> {
        let mut view = View::default();
        let keys: Vec<String> = self.leases.keys().await?.try_collect().await?;
        for key in keys {
            let Some(value) = self.leases.get(&key).await? else { continue };
            if let Some(name) = key.strip_prefix(NODE) {
                if let Ok(node) = serde_json::from_slice(&value) {
                    view.nodes.insert(name.to_owned(), node);
                }
            } else if let Some(partition) = partition_of(&key)
                && let Ok(owner) = serde_json::from_slice::<Owner>(&value)
            {
                view.owners.insert(partition, owner.node);
            }
        }
        Ok(view)
    }

    async fn renew_all(&self) {
        let all: Vec<(Partition, u64)> =
            lock(&self.membership.held).iter().map(|(&partition, held)| (partition, held.revision)).collect();
        for (partition, revision) in all {
            let asked = clock::now();
            let value = self.owner();
            match self.leases.update(partition_key(partition), value.into(), revision).await {
                Ok(revision) => {
                    let until = asked + self.identity.lease;
                    lock(&self.membership.held).insert(partition, Held { revision, until });
                }
                Err(error) if error.kind() == kv::UpdateErrorKind::WrongLastRevision => {
                    tracing::warn!(%partition, "the lease was lost to another node");
                    self.end(partition, false).await;
                }
                // It is good for a while yet.
                Err(error) => tracing::warn!(%partition, %error, "a lease could not be renewed"),
            }
        }
    }

    /// Ends the work for partitions whose leases could not be renewed in time.
    async fn drop_expired(&self) {
        let now = clock::now();
        let expired: Vec<Partition> = lock(&self.membership.held)
            .iter()
            .filter(|(_, held)| held.until <= now)
            .map(|(&partition, _)| partition)
            .collect();
        for partition in expired {
            tracing::warn!(%partition, "the lease has run out");
            self.end(partition, false).await;
        }
    }

    async fn take(&mut self, partition: Partition) {
        let asked = clock::now();
        match self.leases.create(partition_key(partition), self.owner().into()).await {
            Ok(revision) => {
                let until = asked + self.identity.lease;
                lock(&self.membership.held).insert(partition, Held { revision, until });
                self.free_since.remove(&partition);
                tracing::info!(%partition, "this node owns a partition");
                self.duties.send(Duty::Begin(partition)).await.ok(); // the server stops
            }
            Err(error) if error.kind() == kv::CreateErrorKind::AlreadyExists => {}
            Err(error) => tracing::warn!(%partition, %error, "a lease could not be taken"),
        }
    }

    /// Ends the work for a partition, and lets another node have it.
    async fn give_back(&self, partition: Partition) {
        tracing::info!(%partition, "a partition goes to another node");
        self.end(partition, true).await;
    }

    async fn end(&self, partition: Partition, orderly: bool) {
        if !orderly {
            lock(&self.membership.held).remove(&partition);
        }
        let (done, ended) = oneshot::channel();
        if self.duties.send(Duty::End { partition, orderly, done }).await.is_ok() {
            // A state is saved meanwhile; without it the next owner only has more to read.
            tokio::time::timeout(self.identity.lease / 2, ended).await.ok();
        }
        if let Some(held) = lock_remove(&self.membership.held, partition) {
            let deleted = self.leases.delete_expect_revision(partition_key(partition), Some(held.revision));
            if let Err(error) = deleted.await {
                tracing::debug!(%partition, %error, "the lease runs out by itself");
            }
        }
    }

    async fn leave(self) {
        for partition in self.membership.owned() {
            self.give_back(partition).await;
        }
        self.leases.delete(node_key(&self.identity.name)).await.ok(); // it runs out by itself
    }

    fn owner(&self) -> Vec<u8> {
        serde_json::to_vec(&Owner { node: self.identity.name.clone() }).unwrap_or_default()
    }
}

fn lock_remove(held: &Mutex<HashMap<Partition, Held>>, partition: Partition) -> Option<Held> {
    lock(held).remove(&partition)
}

/// What the keys of nodes begin with, and those of partitions.
pub(crate) const NODE: &str = "node.";
const PARTITION: &str = "partition.";

fn node_key(name: &str) -> String {
    format!("{NODE}{name}")
}

fn partition_key(partition: Partition) -> String {
    format!("{PARTITION}{partition}")
}

fn partition_of(key: &str) -> Option<Partition> {
    key.strip_prefix(PARTITION)?.parse::<usize>().ok()?.try_into().ok()
}
