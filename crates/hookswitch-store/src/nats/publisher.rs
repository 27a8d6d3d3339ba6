//! Writes the batches of one partition to the stream, for as long as this node owns it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use async_nats::jetstream::context::PublishError;
use tokio::sync::mpsc;

use super::race::{LostRace, UNDER_WAY_PAUSE};
use super::streams::{Nats, STREAM_LOG};
use super::wire::{EVENTS_MAX, Term, write_batch, write_term};
use crate::batch::Batch;
use crate::partition::Partition;
use crate::shared::{Shared, TermId};

/// Time for which a server that refuses is left alone before it is asked again.
const RETRY_AFTER: Duration = Duration::from_millis(250);

/// The most bytes of batches that are written as one message.
const TOGETHER_BYTES_MAX: usize = 512 * 1024;

/// Begins a term of this node as the owner of a partition. The copy has all that came before when this
/// returns; gives where the subject stands.
///
/// # Errors
/// If another node was first, or the servers do not answer.
pub(crate) async fn take_over(
    nats: &Nats,
    shared: &Shared,
    partition: Partition,
    node: &str,
) -> anyhow::Result<u64> {
    let subject = nats.log_subject(partition);
    let last = nats.last_sequence(STREAM_LOG, &subject).await?;
    let term = write_term(&Term { partition, node: node.to_owned() });
    let began = nats.publish(&subject, term, Some(last)).await;
    let began = began.context("another node has begun to own the partition, or NATS does not answer")?;
    shared.wait_followed(STREAM_LOG, began).await.context("the server stops")?;
    ensure!(shared.term(partition) == began, "another node has begun to own the partition");
    Ok(began)
}

/// Begins a term of a node that does not wait until its copy has it.
#[cfg(test)]
pub(crate) async fn begin_term(
    nats: &Nats,
    partition: Partition,
    last: Option<u64>,
) -> Result<u64, PublishError> {
    let term = write_term(&Term { partition, node: "racer".into() });
    nats.publish(&nats.log_subject(partition), term, last).await
}

/// Writes a batch as a server takes it that has looked before it writes, and not when it writes.
#[cfg(test)]
pub(crate) async fn write_late(nats: &Nats, batch: &Batch) -> u64 {
    let subject = nats.log_subject(batch.partition);
    nats.publish(&subject, write_batch(batch), None).await.expect("it is taken")
}

/// The writer of one partition.
pub(crate) struct Publisher {
    nats: Nats,
    shared: Arc<Shared>,
    subject: String,
    /// This node's term.
    under: TermId,
    /// Place where the subject stands.
    last: u64,
    work: mpsc::Receiver<Publish>,
}

/// Message to be written.
pub(crate) enum Publish {
    Batch(Batch),
    /// The state after the input at this position, of this version.
    State {
        position: u64,
        version: u32,
        state: Vec<u8>,
    },
}

/// Reason why a batch was not written.
enum Refused {
    /// Another node owns the partition.
    Lost,
    /// The server stops.
    Closed,
}

impl Publisher {
    /// The writer for a term that has begun.
    pub(crate) fn new(
        nats: Nats,
        shared: Arc<Shared>,
        partition: Partition,
        term: u64,
        work: mpsc::Receiver<Publish>,
    ) -> Self {
        let subject = nats.log_subject(partition);
        Self { nats, shared, subject, under: TermId { partition, term }, last: term, work }
    }

    /// Writes until nobody hands in batches any more, or another node owns the partition.
    pub(crate) async fn run(mut self) {
        let mut next = None;
        loop {
            let work = if let Some(work) = next.take() {
                work
            } else {
                tokio::select! {
                    work = self.work.recv() => match work {
                        Some(work) => work,
                        None => return,
                    },
                    () = self.shared.wait_term_over(self.under) => return self.lost(),
                }
            };
            let mut batch = match work {
                Publish::Batch(batch) => batch,
                Publish::State { position, version, state } => {
                    // Without it a successor has more to read, and comes to the same.
                    let partition = self.under.partition;
                    if let Err(error) = self.nats.save_state(partition, position, version, &state).await {
                        tracing::warn!(%partition, "the state is not saved: {error:#}");
                    }
                    continue;
                }
            };
            // Whatever came while the last message was written goes into the next.
            while let Ok(more) = self.work.try_recv() {
                match more {
                    Publish::Batch(more) if fits(&batch, &more) => batch.absorb(more),
                    other => {
                        next = Some(other);
                        break;
                    }
                }
            }
            let written = if batch.inputs.is_empty() {
                Ok(()) // it only has who waits for what was before
            } else {
                batch.term = self.under.term;
                self.write(write_batch(&batch), batch.ends().signals).await
            };
            match written {
                Ok(()) => self.shared.acknowledge_followed(self.under, self.last, batch.waiting),
                Err(Refused::Lost) => return self.lost(),
                Err(Refused::Closed) => return,
            }
        }
    }

    fn lost(&self) {
        tracing::warn!(partition = %self.under.partition, "another node owns the partition now");
    }

    /// Writes a batch, however often it takes; the inputs of the partition end at `end` then.
    async fn write(&mut self, message: Vec<u8>, end: u64) -> Result<(), Refused> {
        loop {
            let error = match self.nats.publish(&self.subject, message.clone(), Some(self.last)).await {
                Ok(sequence) => {
                    self.last = sequence;
                    self.shared.recovered();
                    return Ok(());
                }
                Err(error) => error,
            };
            if self.reconcile(end, &error).await? {
                self.shared.recovered();
                return Ok(());
            }
        }
    }

    /// After a message that may or may not be in the stream: waits for the copy to know, and says whether
    /// it is.
    async fn reconcile(&mut self, end: u64, error: &PublishError) -> Result<bool, Refused> {
        match LostRace::of(error) {
            Some(LostRace::Written) => {}
            // It may be the same message, of which nothing was heard in time.
            Some(LostRace::UnderWay) => tokio::time::sleep(UNDER_WAY_PAUSE).await,
            None => {
                self.shared.failing(&format!("NATS does not take the log: {error}"));
                tokio::time::sleep(RETRY_AFTER).await;
            }
        }
        let last = loop {
            match self.nats.last_sequence(STREAM_LOG, &self.subject).await {
                Ok(last) => break last,
                Err(error) => {
                    self.shared.failing(&format!("NATS does not answer: {error:#}"));
                    tokio::time::sleep(RETRY_AFTER).await;
                }
            }
            if self.shared.is_stopping() {
                return Err(Refused::Closed);
            }
        };
        // Parts of a message that nobody finished are never applied, but what follows them is.
        self.shared.wait_followed(STREAM_LOG, last).await.ok_or(Refused::Closed)?;
        if self.shared.term(self.under.partition) != self.under.term {
            // NATS answers, and what this node has to write goes by other ways.
            self.shared.recovered();
            return Err(Refused::Lost);
        }
        self.last = last;
        Ok(self.shared.ends(self.under.partition).signals >= end)
    }
}

/// Returns `true` if one more batch may be written in the same message.
fn fits(batch: &Batch, more: &Batch) -> bool {
    batch.bytes.len() + more.bytes.len() <= TOGETHER_BYTES_MAX
        && batch.events.len() + more.events.len() <= EVENTS_MAX
}
