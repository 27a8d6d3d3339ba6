//! What came in at nodes that do not own its partition: a subject for each partition, which its owner reads.

use std::collections::HashMap;

use anyhow::Context as _;
use async_nats::HeaderValue;
use async_nats::jetstream::consumer::pull::{Ordered, OrderedConfig};
use async_nats::jetstream::consumer::{DeliverPolicy, ReplayPolicy};
use futures_util::StreamExt as _;

use super::streams::{Nats, PART, WHOLE};
use super::wire::{Assembly, read_part};
use crate::store::partition::Partition;

impl Nats {
    /// Hands something over to the owner of a partition, whoever that is; it is in the stream when this
    /// returns. Gives its sequence.
    ///
    /// # Errors
    /// If NATS does not take it. It may be in the stream all the same.
    pub(crate) async fn forward(&self, partition: Partition, message: Vec<u8>) -> anyhow::Result<u64> {
        Ok(self.publish(&self.intake_subject(partition), message, None).await?)
    }

    /// The sequence of the last message that was handed over for a partition; 0 if none is there.
    ///
    /// # Errors
    /// If NATS does not answer.
    pub(crate) async fn intake_end(&self, partition: Partition) -> anyhow::Result<u64> {
        self.last_sequence_of(&self.intake_stream_name(), &self.intake_subject(partition)).await
    }

    /// Reads what was handed over for a partition behind a message.
    ///
    /// # Errors
    /// If NATS does not answer.
    pub(crate) async fn read_intake(&self, partition: Partition, after: u64) -> anyhow::Result<IntakeReader> {
        let stream = self.stream_named(&self.intake_stream_name()).await?;
        let consumer = stream
            .create_consumer(OrderedConfig {
                filter_subject: self.intake_subject(partition),
                deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: after + 1 },
                replay_policy: ReplayPolicy::Instant,
                ..OrderedConfig::default()
            })
            .await?;
        Ok(IntakeReader { messages: consumer.messages().await?, open: HashMap::new() })
    }

    /// Removes what was taken, up to a message.
    ///
    /// # Errors
    /// If NATS does not answer.
    pub(crate) async fn purge_intake(&self, partition: Partition, until: u64) -> anyhow::Result<()> {
        let stream = self.stream_named(&self.intake_stream_name()).await?;
        stream.purge().filter(self.intake_subject(partition)).sequence(until + 1).await?;
        Ok(())
    }
}

/// What is handed over for a partition, one message after the other.
pub(crate) struct IntakeReader {
    messages: Ordered,
    /// Nodes hand over beside each other, so that the parts of their messages may be mixed.
    open: HashMap<String, Assembly>,
}

impl IntakeReader {
    /// The next, with its sequence; waits for it.
    ///
    /// # Errors
    /// If the stream cannot be read; then it is to be read anew.
    pub(crate) async fn next(&mut self) -> anyhow::Result<(u64, Vec<u8>)> {
        loop {
            let message = self.messages.next().await.context("it has ended")??;
            let sequence = message.info().map_err(|error| anyhow::anyhow!("{error}"))?.stream_sequence;
            let header = |name: &str| {
                let headers = message.headers.as_ref();
                headers.and_then(|headers| headers.get(name)).map(HeaderValue::as_str)
            };
            let (number, count) =
                read_part(header(PART)).context("a part of a message does not say which")?;
            if count == 1 {
                return Ok((sequence, message.payload.to_vec()));
            }
            let of = header(WHOLE).unwrap_or_default().to_owned();
            let whole = self.open.entry(of.clone()).or_default().take(number, count, &message.payload);
            if number == count {
                self.open.remove(&of);
            }
            if let Some(whole) = whole {
                return Ok((sequence, whole));
            }
        }
    }
}
