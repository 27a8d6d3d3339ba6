//! Applies what a stream says to this node's copy, in its order.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use anyhow::Context as _;
use async_nats::jetstream::consumer::{DeliverPolicy, ReplayPolicy, pull::OrderedConfig};
use futures_util::StreamExt as _;
use tokio::sync::watch;

use super::streams::{Nats, PART, WHOLE};
use super::wire::{Assembly, read, read_part};
use crate::store::Shared;
use crate::store::writer::Write;

/// The most messages that are applied in one transaction.
const TOGETHER_MAX: usize = 256;

/// The most messages that are not whole; of more the oldest never will be.
const OPEN_MAX: usize = 64;

/// How long to wait before a stream that cannot be read is tried again.
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// Follows one stream.
pub(in crate::store) struct Follower {
    nats: Nats,
    shared: Arc<Shared>,
    writes: SyncSender<Write>,
    stream: &'static str,
    /// The parts that have come of messages that are not whole, by what they are parts of, and where the
    /// first of them stands.
    open: HashMap<String, (u64, Assembly)>,
    /// The last message that was read.
    read: u64,
}

impl Follower {
    /// Goes on behind the message at `resume`.
    pub(in crate::store) fn new(
        nats: Nats,
        shared: Arc<Shared>,
        writes: SyncSender<Write>,
        stream: &'static str,
        resume: u64,
    ) -> Self {
        Self { nats, shared, writes, stream, open: HashMap::new(), read: resume }
    }

    /// Follows until told to stop.
    pub(in crate::store) async fn run(mut self, mut stop: watch::Receiver<bool>) {
        loop {
            let followed = tokio::select! {
                followed = self.follow() => followed,
                _ = stop.wait_for(|&stop| stop) => return,
            };
            match followed {
                Ok(()) => return, // the writer has ended
                Err(error) => {
                    tracing::warn!(stream = self.stream, "the stream cannot be followed: {error:#}; trying again");
                    tokio::time::sleep(RETRY_AFTER).await;
                }
            }
        }
    }

    /// Follows until the writer has ended.
    async fn follow(&mut self) -> anyhow::Result<()> {
        let stream = self.nats.stream(self.stream).await?;
        let consumer = stream
            .create_consumer(OrderedConfig {
                deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: self.read + 1 },
                replay_policy: ReplayPolicy::Instant,
                ..OrderedConfig::default()
            })
            .await?;
        let mut messages = consumer.messages().await?.ready_chunks(TOGETHER_MAX);
        while let Some(chunk) = messages.next().await {
            let mut entries = Vec::with_capacity(chunk.len());
            for message in chunk {
                let message = message?;
                let sequence = message.info().map_err(|error| anyhow::anyhow!("{error}"))?.stream_sequence;
                let header = |name: &str| {
                    let headers = message.headers.as_ref();
                    headers.and_then(|headers| headers.get(name)).map(async_nats::HeaderValue::as_str)
                };
                let (number, count) =
                    read_part(header(PART)).context("a part of a message does not say which")?;
                // One node at a time writes to the subjects that are fenced; to the others all do.
                let of = if self.nats.is_fenced_subject(&message.subject) { None } else { header(WHOLE) };
                let of = of.unwrap_or(&message.subject).to_owned();
                if let Some(whole) = self.take(&of, sequence, number, count, &message.payload) {
                    let entry = read(&whole, sequence)?;
                    self.shared.take_note(&entry, sequence);
                    entries.push(entry);
                }
                self.read = sequence;
            }
            let resume = self.open.values().map(|(first, _)| first - 1).min().unwrap_or(self.read);
            let write = Write::Follow { stream: self.stream, seen: self.read, resume, entries };
            if !self.hand_over(write).await {
                return Ok(());
            }
        }
        anyhow::bail!("it has ended")
    }

    fn take(
        &mut self,
        of: &str,
        sequence: u64,
        number: u32,
        count: u32,
        part: &[u8],
    ) -> Option<Vec<u8>> {
        if self.open.len() > OPEN_MAX
            && let Some((oldest, _)) = self.open.iter().min_by_key(|(_, (first, _))| *first)
        {
            // Its writer has ended in between.
            let oldest = oldest.clone();
            self.open.remove(&oldest);
        }
        if count == 1 {
            self.open.remove(of);
            return Some(part.to_vec());
        }
        let (first, assembly) =
            self.open.entry(of.to_owned()).or_insert_with(|| (sequence, Assembly::default()));
        if number == 1 {
            *first = sequence;
        }
        let whole = assembly.take(number, count, part);
        if whole.is_some() || number == count {
            self.open.remove(of);
        }
        whole
    }

    /// Gives the writer what was read; false if it has ended. Waits where waiting harms nobody.
    async fn hand_over(&self, write: Write) -> bool {
        let writes = self.writes.clone();
        tokio::task::spawn_blocking(move || writes.send(write).is_ok()).await.unwrap_or(false)
    }
}
