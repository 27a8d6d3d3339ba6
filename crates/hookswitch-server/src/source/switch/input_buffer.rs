//! Input of a connection, on its way to the machine.

use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError};
use std::time::Duration;

use anyhow::ensure;
use hookswitch_model::{SwitchLink, Timestamp};
use hookswitch_store::Sender;
use tokio::time::sleep;

use crate::clock;
use crate::intake::{Intake, SwitchBatch};
use crate::source_counts::SourceCount;
use crate::telemetry::Connections;

/// The most bytes that wait for the machine; beyond, the connection is given up, and what goes on is asked
/// for anew.
const PENDING_BYTES_MAX: usize = 128 * 1024 * 1024;

/// Time to wait for a machine that is busy before it is asked again.
pub(super) const BUSY_PAUSE: Duration = Duration::from_millis(2);

/// Collects what a switch tells, and hands it to the machine when that has room.
///
/// A switch gives up whoever does not read, so reading never waits for the machine.
pub(crate) struct InputBuffer {
    intake: SyncSender<Intake>,
    pub(super) counters: Arc<Connections>,
    /// Counts of the source, for people.
    pub(super) count: Arc<SourceCount>,
    /// Time for which calls go on without a connection.
    lost_after: Duration,
    pending: SwitchBatch,
}

impl InputBuffer {
    /// Hands over what `sender` tells; without a connection its calls go on for `lost_after`.
    pub(crate) fn new(
        sender: &Arc<Sender>,
        intake: SyncSender<Intake>,
        counters: Arc<Connections>,
        count: Arc<SourceCount>,
        lost_after: Duration,
    ) -> Self {
        let pending = empty(sender);
        Self { intake, counters, count, lost_after, pending }
    }

    /// The same for another connection.
    pub(crate) fn another(&self) -> Self {
        let (counters, count) = (self.counters.clone(), self.count.clone());
        Self::new(&self.pending.sender, self.intake.clone(), counters, count, self.lost_after)
    }

    /// Tells the machine that the connection is up, before what it brings.
    pub(super) fn is_up(&mut self) {
        self.pending.link = Some(SwitchLink::Up);
    }

    /// The bytes that wait, to append a message to.
    pub(super) fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.pending.bytes
    }

    /// Notes that a message was appended, which came at `at`.
    pub(super) fn message(&mut self, at: Timestamp) {
        self.pending.messages.push((at, self.pending.bytes.len()));
    }

    /// Counts a message that is not about calls: no loss, but a sign of life.
    pub(super) fn pass_over(&mut self) {
        self.counters.messages.passed_over.inc();
        self.count.messages(0, clock::steady());
    }

    /// Checks that the machine keeps up.
    ///
    /// # Errors
    /// If too much waits for it.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        let waits = self.pending.bytes.len();
        ensure!(waits <= PENDING_BYTES_MAX, "the machine cannot keep up: {waits} bytes wait");
        Ok(())
    }

    /// Gives the machine what waits for it; false if it is busy.
    pub(super) fn hand_over(&mut self) -> bool {
        if self.pending.messages.is_empty() && self.pending.link.is_none() {
            return true;
        }
        let count = self.pending.messages.len() as u64;
        let next = empty(&self.pending.sender);
        let batch = std::mem::replace(&mut self.pending, next);
        if let Err(TrySendError::Full(Intake::Switch(batch))) = self.intake.try_send(Intake::Switch(batch)) {
            self.pending = batch;
            return false;
        }
        // It was taken, or the server is stopping.
        self.counters.messages.applied.inc_by(count);
        self.count.messages(count, clock::steady());
        true
    }

    /// Waits until the machine has taken all.
    pub(crate) async fn flush(&mut self) {
        while !self.hand_over() {
            sleep(BUSY_PAUSE).await;
        }
    }

    /// Tells the machine that there is no connection, after all that one has brought.
    pub(super) async fn is_lost(&mut self) {
        self.flush().await;
        self.pending.link = Some(SwitchLink::Lost { lost_after: Some(self.lost_after) });
        self.flush().await;
    }
}

fn empty(sender: &Arc<Sender>) -> SwitchBatch {
    SwitchBatch { sender: sender.clone(), link: None, bytes: Vec::new(), messages: Vec::new() }
}
