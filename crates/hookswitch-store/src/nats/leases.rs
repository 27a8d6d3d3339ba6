//! The bucket of leases: what its keys and values are, and what this node has seen of it.
//!
//! All of it is followed as it changes, so that a turn of the keeper reads nothing. What runs out by itself
//! is not told of: a value counts as gone when it was not renewed for as long as it is good.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use async_nats::jetstream::kv::{self, CreateErrorKind, Operation};
use futures_util::StreamExt as _;
use hookswitch_model::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::race::LostRace;
use super::streams::Nats;
use crate::clock;
use crate::partition::Partition;

/// Beginnings of the keys of nodes and of partitions.
pub(super) const NODE: &str = "node.";
const PARTITION: &str = "partition.";

/// Number of changes that may wait to be taken in; more wait with the server.
const CHANGES_AHEAD: usize = 64;

/// A node that lives, as the others see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Address of its API.
    pub url: String,
    /// The version of its program.
    pub version: String,
    /// Set if it gives its partitions to others.
    pub draining: bool,
    /// Number of its start.
    pub start: u64,
}

/// Owner of a partition, as the bucket has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// The name of the node.
    pub node: String,
    /// Number of its start: a name may be used again, and by mistake twice.
    pub start: u64,
    /// Since when it owns the partition, in microseconds of its clock on the wall.
    since: i64,
}

impl Owner {
    /// The owner from now on.
    pub fn new(node: String, start: u64) -> Self {
        Self { node, start, since: clock::wall().as_micros() }
    }

    /// Since when it owns the partition.
    pub fn since(&self) -> Timestamp {
        Timestamp::from_micros(self.since)
    }
}

/// Reason why a lease was not taken or renewed.
pub enum Refused {
    /// Another has it.
    Taken,
    /// The server did not answer, or not with yes or no.
    Failed(anyhow::Error),
}

/// A value that was seen.
struct Seen<T> {
    value: T,
    revision: u64,
    /// Until when it is good unless it is renewed.
    until: Instant,
}

/// The bucket, and what was seen of it.
pub struct LeaseTable {
    store: kv::Store,
    /// Time for which a value is good that is not renewed.
    lease: Duration,
    /// Time for which an answer is waited for.
    patience: Duration,
    changes: Option<mpsc::Receiver<kv::Entry>>,
    /// The last change that was seen.
    seen: u64,
    nodes: BTreeMap<String, Seen<Node>>,
    owners: BTreeMap<Partition, Seen<Owner>>,
}

impl Nats {
    /// The leases of the cluster, which are good for `lease` unless they are renewed; an answer is waited for
    /// no longer than `patience`.
    pub fn lease_table(&self, lease: Duration, patience: Duration) -> LeaseTable {
        LeaseTable::new(self.leases.clone(), lease, patience)
    }
}

impl LeaseTable {
    fn new(store: kv::Store, lease: Duration, patience: Duration) -> Self {
        Self {
            store,
            lease,
            patience,
            changes: None,
            seen: 0,
            nodes: BTreeMap::new(),
            owners: BTreeMap::new(),
        }
    }

    /// Follows the bucket from what is in it.
    pub async fn follow(&mut self) -> anyhow::Result<()> {
        self.changes = None;
        let mut watch = self.within(self.store.watch_with_history(">")).await??;
        let (sender, changes) = mpsc::channel(CHANGES_AHEAD);
        tokio::spawn(async move {
            while let Some(Ok(entry)) = watch.next().await {
                if sender.send(entry).await.is_err() {
                    break;
                }
            }
        });
        self.changes = Some(changes);
        self.seen = 0;
        // Nodes that are gone run out; an owner that is gone would keep others waiting.
        self.owners.clear();
        Ok(())
    }

    /// Waits for the next change, and takes it in. Never ends while the bucket is not followed.
    pub async fn changed(&mut self) {
        let Some(changes) = &mut self.changes else { return std::future::pending().await };
        match changes.recv().await {
            Some(entry) => self.take_in(&entry),
            None => self.changes = None,
        }
    }

    /// Returns `true` if all changes up to this one were seen.
    pub const fn has_seen(&self, revision: u64) -> bool {
        self.changes.is_some() && self.seen >= revision
    }

    fn take_in(&mut self, entry: &kv::Entry) {
        self.seen = self.seen.max(entry.revision);
        let until = clock::now() + self.lease;
        if let Some(name) = entry.key.strip_prefix(NODE) {
            put(&mut self.nodes, name.to_owned(), entry, until);
        } else if let Some(partition) = partition_of(&entry.key) {
            put(&mut self.owners, partition, entry, until);
        }
    }

    /// Returns `true` if another node has said after this revision that it has this name.
    pub fn is_said_by_other(&self, name: &str, start: u64, revision: u64) -> bool {
        self.nodes.get(name).is_some_and(|seen| seen.revision > revision && seen.value.start != start)
    }

    /// The nodes that live.
    pub fn nodes(&self, now: Instant) -> BTreeMap<String, Node> {
        let alive = self.nodes.iter().filter(|(_, seen)| now < seen.until);
        alive.map(|(name, seen)| (name.clone(), seen.value.clone())).collect()
    }

    /// The owners of partitions that have one.
    pub fn owners(&self, now: Instant) -> BTreeMap<Partition, Owner> {
        let good = self.owners.iter().filter(|(_, seen)| now < seen.until);
        good.map(|(&partition, seen)| (partition, seen.value.clone())).collect()
    }

    /// The owner of a partition, and at which revision.
    pub fn owner(&self, partition: Partition, now: Instant) -> Option<(&Owner, u64)> {
        let seen = self.owners.get(&partition).filter(|seen| now < seen.until)?;
        Some((&seen.value, seen.revision))
    }

    /// Returns the time when something runs out next.
    pub fn next_end(&self, now: Instant) -> Option<Instant> {
        let nodes = self.nodes.values().map(|seen| seen.until);
        let owners = self.owners.values().map(|seen| seen.until);
        nodes.chain(owners).filter(|&until| until > now).min()
    }

    /// Lets all values be good anew: nobody could renew them, since the server was away.
    pub fn excuse(&mut self) {
        let until = clock::now() + self.lease;
        self.nodes.values_mut().for_each(|seen| seen.until = until);
    }

    /// Says that a node lives, and gives the revision of that.
    pub async fn say(&self, name: &str, node: &Node) -> anyhow::Result<u64> {
        let says = serde_json::to_vec(node)?;
        Ok(self.within(self.store.put(node_key(name), says.into())).await??)
    }

    /// Takes back that a node lives.
    pub async fn unsay(&self, name: &str) -> anyhow::Result<()> {
        Ok(self.within(self.store.delete(node_key(name))).await??)
    }

    /// Takes the lease of a partition that nobody has.
    pub async fn take(&self, partition: Partition, owner: &Owner) -> Result<u64, Refused> {
        let key = partition_key(partition);
        let entry = self.within(self.store.entry(&key)).await.map_err(Refused::Failed)?;
        match entry.map_err(Refused::failed)? {
            Some(entry) if entry.operation == Operation::Put => Err(Refused::Taken),
            // One that was given back.
            Some(entry) => self.renew(partition, owner, entry.revision).await,
            // Looked at first: of what a server of NATS 2.9 refuses when it is to be written, a trace stays.
            None => {
                let value = serde_json::to_vec(owner).map_err(Refused::failed)?;
                let create = self.store.create(&key, value.into());
                self.within(create).await.map_err(Refused::Failed)?.map_err(|error| match error.kind() {
                    CreateErrorKind::AlreadyExists => Refused::Taken,
                    _ => Refused::of(error),
                })
            }
        }
    }

    /// Renews the lease of a partition, which stands at a revision.
    pub async fn renew(&self, partition: Partition, owner: &Owner, revision: u64) -> Result<u64, Refused> {
        let value = serde_json::to_vec(owner).map_err(Refused::failed)?;
        let update = self.store.update(partition_key(partition), value.into(), revision);
        self.within(update).await.map_err(Refused::Failed)?.map_err(Refused::of)
    }

    /// Reads who owns a partition, and at which revision.
    pub async fn read(&self, partition: Partition) -> anyhow::Result<Option<(Owner, u64)>> {
        let entry = self.within(self.store.entry(partition_key(partition))).await??;
        let entry = entry.filter(|entry| entry.operation == Operation::Put);
        Ok(entry.and_then(|entry| Some((serde_json::from_slice(&entry.value).ok()?, entry.revision))))
    }

    /// Gives the lease of a partition back, which stands at a revision.
    pub fn give_back(
        &self,
        partition: Partition,
        revision: u64,
    ) -> impl Future<Output = anyhow::Result<()>> + Send + 'static {
        let (store, patience) = (self.store.clone(), self.patience);
        async move {
            let deleted = store.delete_expect_revision(partition_key(partition), Some(revision));
            Ok(within(patience, deleted).await??)
        }
    }

    async fn within<T>(&self, asked: impl Future<Output = T>) -> anyhow::Result<T> {
        within(self.patience, asked).await
    }
}

async fn within<T>(patience: Duration, asked: impl Future<Output = T>) -> anyhow::Result<T> {
    tokio::time::timeout(patience, asked).await.context("NATS does not answer in time")
}

impl Refused {
    /// The refusal of a value that was to follow a revision.
    fn of(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        match LostRace::of(&error) {
            Some(_) => Self::Taken,
            None => Self::failed(error),
        }
    }

    fn failed(error: impl Into<anyhow::Error>) -> Self {
        Self::Failed(error.into())
    }
}

fn put<K: Ord, T: DeserializeOwned>(
    all: &mut BTreeMap<K, Seen<T>>,
    key: K,
    entry: &kv::Entry,
    until: Instant,
) {
    match serde_json::from_slice(&entry.value) {
        Ok(value) if entry.operation == Operation::Put => {
            all.insert(key, Seen { value, revision: entry.revision, until });
        }
        _ => {
            all.remove(&key);
        }
    }
}

fn node_key(name: &str) -> String {
    format!("{NODE}{name}")
}

fn partition_key(partition: Partition) -> String {
    format!("{PARTITION}{partition}")
}

fn partition_of(key: &str) -> Option<Partition> {
    key.strip_prefix(PARTITION)?.parse::<usize>().ok()?.try_into().ok()
}
