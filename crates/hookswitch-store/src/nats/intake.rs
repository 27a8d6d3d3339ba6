//! Intake of nodes that do not own the partition of what came in: a subject for each partition, which its owner reads.

use std::collections::VecDeque;

use anyhow::Context as _;
use async_nats::jetstream::Message;

use super::reading::Reading;
use super::streams::{Nats, PART, WHOLE, before_first, header};
use super::wire::{Open, read_part};
use crate::partition::Partition;

impl Nats {
    /// Hands something over to the owner of a partition, whoever that is; it is in the stream when this
    /// returns. Gives its sequence.
    ///
    /// # Errors
    /// If NATS does not take it. It may be in the stream all the same.
    pub async fn forward(&self, partition: Partition, message: Vec<u8>) -> anyhow::Result<u64> {
        Ok(self.publish(&self.intake_subject(partition), message, None).await?)
    }

    /// The sequence of the last message that was handed over for a partition; 0 if none is there.
    ///
    /// # Errors
    /// If NATS does not answer.
    pub async fn intake_end(&self, partition: Partition) -> anyhow::Result<u64> {
        let stream = self.intake_stream(partition).await?;
        let state = &stream.cached_info().state;
        Ok(if state.messages == 0 { 0 } else { state.last_sequence })
    }

    /// Reads what was handed over for a partition behind a message, as far as it is there.
    ///
    /// # Errors
    /// If NATS does not answer.
    pub async fn read_intake(&self, partition: Partition, after: u64) -> anyhow::Result<IntakeReader> {
        let stream = self.intake_stream(partition).await?;
        let read = after.max(before_first(&stream.cached_info().state));
        let reading = Reading::behind(stream, read).await?;
        Ok(IntakeReader { reading, come: VecDeque::new(), open: Open::default() })
    }

    /// Removes what was taken, up to a message.
    ///
    /// # Errors
    /// If NATS does not answer.
    pub async fn purge_intake(&self, partition: Partition, until: u64) -> anyhow::Result<()> {
        self.intake_stream(partition).await?.purge().sequence(until + 1).await?;
        Ok(())
    }
}

/// Reader of what is handed over for a partition, one message after the other.
pub struct IntakeReader {
    reading: Reading,
    /// Messages that have come and were not given yet.
    come: VecDeque<(u64, Message)>,
    /// Nodes hand over beside each other, so that the parts of their messages may be mixed.
    open: Open,
}

/// Contents of a message of the intake.
pub struct Brought {
    /// Sequence of the message in its stream.
    pub sequence: u64,
    /// Bytes that were handed over, if they are whole with it.
    pub whole: Option<Vec<u8>>,
    /// Position behind which a reader may go on and misses nothing that is not whole yet.
    pub resume: u64,
}

impl IntakeReader {
    /// Waits for the next message.
    ///
    /// # Errors
    /// If the stream cannot be read; then it is to be read anew.
    pub async fn next(&mut self) -> anyhow::Result<Brought> {
        let (sequence, message) = loop {
            if let Some(next) = self.come.pop_front() {
                break next;
            }
            self.come = self.reading.next().await?.into();
        };
        let part = read_part(header(&message, PART)).context("a part of a message does not say which")?;
        let of = header(&message, WHOLE).unwrap_or_default();
        let whole = self.open.take((of, of), sequence, part, &message.payload);
        Ok(Brought { sequence, whole, resume: self.open.resume(sequence) })
    }
}
