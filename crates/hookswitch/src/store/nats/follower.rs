//! Applies what a stream says to this node's copy, in its order.

use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use async_nats::jetstream::Message;
use async_nats::jetstream::consumer::{DeliverPolicy, ReplayPolicy, pull::OrderedConfig};
use async_nats::jetstream::stream::State;
use futures_util::StreamExt as _;
use tokio::sync::watch;

use super::saved;
use super::streams::{Nats, PART, STREAM_DOCUMENTS, WHOLE, before_first, check_next, header};
use super::wire::{Entry, Open, read, read_part};
use crate::store::Shared;
use crate::store::writer::Write;

/// The most messages that are applied in one transaction.
const TOGETHER_MAX: usize = 256;

/// How long to wait before a stream that cannot be read is tried again.
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// Follows one stream.
pub(in crate::store) struct Follower {
    nats: Nats,
    shared: Arc<Shared>,
    writes: SyncSender<Write>,
    stream: &'static str,
    open: Open,
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
        Self { nats, shared, writes, stream, open: Open::default(), read: resume }
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
                    tracing::warn!(
                        stream = self.stream,
                        "the stream cannot be followed: {error:#}; trying again"
                    );
                    tokio::time::sleep(RETRY_AFTER).await;
                }
            }
        }
    }

    /// Follows until the writer has ended.
    async fn follow(&mut self) -> anyhow::Result<()> {
        let stream = self.nats.stream(self.stream).await?;
        if !self.catch_up(&stream.cached_info().state).await? {
            return Ok(());
        }
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
            let mut failed = None;
            for message in chunk {
                match message.map_err(anyhow::Error::from).and_then(|message| self.read(&message)) {
                    Ok(entry) => entries.extend(entry),
                    Err(error) => {
                        failed = Some(error);
                        break;
                    }
                }
            }
            let resume = self.open.resume(self.read);
            let write = Write::Follow { stream: self.stream, seen: self.read, resume, entries };
            if !self.hand_over(write).await {
                return Ok(());
            }
            if let Some(error) = failed {
                return Err(error);
            }
        }
        anyhow::bail!("it has ended")
    }

    /// Brings the copy to where the stream begins, if it is not there yet; false if the writer has ended.
    async fn catch_up(&mut self, state: &State) -> anyhow::Result<bool> {
        let begin = before_first(state);
        if self.read > 0 && self.read >= begin {
            return Ok(true);
        }
        let is_documents = self.stream == STREAM_DOCUMENTS;
        if let Some(snapshot) = saved::newest(&self.nats).await? {
            let at = snapshot.documents_at;
            if !self.hand_over(Write::Documented { stream: self.stream, snapshot }).await {
                return Ok(false);
            }
            if is_documents && at > self.read {
                self.read = at;
                self.open.clear();
            }
        }
        if self.read >= begin {
            return Ok(true);
        }
        ensure!(
            !is_documents,
            "changes of documents up to {begin} are gone, and no saved documents have them"
        );
        self.read = begin;
        self.open.clear();
        let write = Write::Follow { stream: self.stream, seen: begin, resume: begin, entries: Vec::new() };
        Ok(self.hand_over(write).await)
    }

    /// Reads a message; what it says, if it is whole with it.
    fn read(&mut self, message: &Message) -> anyhow::Result<Option<Entry>> {
        let sequence = message.info().map_err(|error| anyhow::anyhow!("{error}"))?.stream_sequence;
        check_next(self.read, sequence)?;
        let part = read_part(header(message, PART)).context("a part of a message does not say which")?;
        // One node at a time writes to the subjects that are fenced; to the others all do.
        let of = if self.nats.is_fenced_subject(&message.subject) { None } else { header(message, WHOLE) };
        let of = of.unwrap_or(&message.subject);
        let whole = self.open.take(of, sequence, part, &message.payload);
        let entry = whole.map(|whole| read(&whole, sequence)).transpose()?;
        if let Some(entry) = &entry {
            self.shared.take_note(entry, sequence);
        }
        self.read = sequence;
        Ok(entry)
    }

    /// Gives the writer what was read; false if it has ended. Waits where waiting harms nobody.
    async fn hand_over(&self, write: Write) -> bool {
        let writes = self.writes.clone();
        tokio::task::spawn_blocking(move || writes.send(write).is_ok()).await.unwrap_or(false)
    }
}
