//! This node among others: it says that it lives, and takes, renews and gives back the leases of
//! partitions.
//!
//! A lease says who should work, so that work goes on when a node is gone. It is not what keeps two nodes
//! from writing: that is the sequence of the partition's subject, which the server checks.
//!
//! `keeper` is the task that keeps the leases; [`LeaseTable`](hookswitch_store::LeaseTable) is what it knows of them, `orders` what
//! operators want, and `assign` says from both who should own what. `owned` does the work for what this
//! node owns. What comes in is divided by the `router` among lanes, one for each partition.

mod assign;
mod lane;
mod lease_keeper;
mod member;
mod partition_worker;
mod placement;
mod router;
mod spool;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hookswitch_store::Partition;
pub use hookswitch_store::{Node, Owner};
use tokio::sync::{oneshot, watch};

use self::assign::wanted;
use self::lease_keeper::Keeper;
pub(crate) use self::member::Member;
pub(crate) use self::partition_worker::{Lanes, Switch, Work};
pub use self::placement::Placement;
pub(crate) use self::router::Router;
use crate::clock;

/// Duty of the owner of this module.
pub(crate) enum Duty {
    /// This node has the lease of a partition.
    Begin(Partition),
    /// It has it no longer. Told back when no more is done for it; with `orderly` the lease is held until
    /// then, else another node may have it already.
    End { partition: Partition, orderly: bool, done: oneshot::Sender<()> },
}

/// Identity of this node, and the life of its leases.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub name: String,
    pub url: String,
    pub partitions: u8,
    pub(crate) lease: Duration,
}

/// View of the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// Number of partitions.
    pub count: u8,
    /// The nodes that live.
    pub nodes: BTreeMap<String, Node>,
    /// The owners of partitions that have one.
    pub owners: BTreeMap<Partition, Owner>,
    /// Orders of operators.
    pub orders: Placement,
}

impl View {
    /// All partitions.
    pub fn partitions(&self) -> impl Iterator<Item = Partition> {
        Partition::all(self.count)
    }

    /// The node that owns a partition.
    pub fn owner(&self, partition: Partition) -> Option<&str> {
        self.owners.get(&partition).map(|owner| &*owner.node)
    }

    /// The node that should own a partition; none if no node lives.
    pub fn wanted(&self, partition: Partition) -> Option<&str> {
        wanted(partition, &self.nodes, &self.orders.pins)
    }

    /// Returns the number of partitions that a node owns.
    pub fn share(&self, node: &str) -> usize {
        self.owners.values().filter(|owner| owner.node == node).count()
    }
}

/// A lease that this node has.
struct Held {
    /// At which revision it was taken: a lease that is taken again is another.
    taken: u64,
    revision: u64,
    owner: Owner,
    /// Until when it is good, whatever happens to the connection.
    until: Instant,
    /// Set if it is given back as soon as nothing more is done under it.
    is_ending: bool,
}

/// Membership of this node, shared with those who must know whether it owns a partition.
pub struct Membership {
    name: String,
    held: Mutex<HashMap<Partition, Held>>,
    view: watch::Sender<Arc<View>>,
}

impl Membership {
    /// A node of this name that owns nothing yet.
    pub fn new(name: String) -> Self {
        Self { name, held: Mutex::default(), view: watch::Sender::default() }
    }

    /// Returns what this node is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns `true` if the lease of a partition is good at this moment. A process that was stopped for a while
    /// finds here that it is not.
    pub(crate) fn owns(&self, partition: Partition) -> bool {
        self.held().get(&partition).is_some_and(|held| clock::now() < held.until)
    }

    /// The partitions whose leases this node has.
    pub(crate) fn owned(&self) -> Vec<Partition> {
        let mut owned: Vec<Partition> = self.held().keys().copied().collect();
        owned.sort_unstable();
        owned
    }

    /// Returns what is known of the cluster.
    pub fn view(&self) -> Arc<View> {
        self.view.borrow().clone()
    }

    fn held(&self) -> MutexGuard<'_, HashMap<Partition, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
