//! A server as a member of a cluster: starts what keeps its leases and does its work, and stops it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::partition_worker::{Duties, Work};
use super::{Identity, Keeper};
use crate::clock;

/// Number of duties that may wait.
const DUTIES_AHEAD: usize = 64;

/// Time that what is on its way to other nodes may take at the end; what takes longer waits on disk.
const DRAIN_WITHIN: Duration = Duration::from_secs(2);

/// Interval between checks whether it has arrived.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// The tasks of a member.
pub(crate) struct Member {
    work: Arc<Work>,
    stop: watch::Sender<bool>,
    keeper: JoinHandle<()>,
    duties: JoinHandle<()>,
    stop_lanes: watch::Sender<bool>,
    lanes: Vec<JoinHandle<()>>,
}

impl Member {
    /// Begins to take leases and to do the work for them.
    pub(crate) fn start(identity: Identity, work: Arc<Work>) -> Self {
        let (stop, stopped) = watch::channel(false);
        let stop_lanes = watch::Sender::new(false);
        let lanes = work.start_lanes(&stop_lanes);
        let (duties, told) = mpsc::channel(DUTIES_AHEAD);
        let keeper = Keeper::new(
            identity,
            &work.nats,
            work.store.clone(),
            work.membership.clone(),
            duties,
            work.metrics.clone(),
        );
        let keeper = tokio::spawn(keeper.run(stopped));
        let duties = tokio::spawn(Duties::new(work.clone()).run(told));
        Self { work, stop, keeper, duties, stop_lanes, lanes }
    }

    /// Gives all partitions to other nodes, for so long at most.
    pub(crate) async fn leave(&mut self, grace: Duration) {
        self.stop.send_replace(true);
        let ended = async {
            (&mut self.keeper).await.ok(); // a panic in it is told by its own hook
            (&mut self.duties).await.ok();
        };
        if tokio::time::timeout(grace, ended).await.is_err() {
            tracing::warn!("the work for some partitions has not ended in time; other nodes take it over");
        }
    }

    /// Hands over what still waits, or writes it to disk. Nothing must come in any more.
    pub(crate) async fn close(self) {
        let began = clock::now();
        while !self.work.is_drained() && began.elapsed() < DRAIN_WITHIN {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        self.stop_lanes.send_replace(true);
        for lane in self.lanes {
            lane.await.ok(); // a panic in it is told by its own hook
        }
    }
}
