//! Applies what a stream says to this node's copy, in its order.

use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use async_nats::jetstream::Message;
use async_nats::jetstream::stream::State;
use tokio::sync::watch;

use super::fence::Fence;
use super::following::Following;
use super::reading::Reading;
use super::saved;
use super::streams::{Nats, PART, STREAM_DOCUMENTS, WHOLE, before_first, check_sum, header};
use super::wire::{Entry, Open, read, read_part};
use crate::Shared;
use crate::writer::Write;

/// Time to wait before a stream that cannot be read is tried again.
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// Follows one stream.
pub(crate) struct StreamConsumer {
    nats: Nats,
    shared: Arc<Shared>,
    writes: SyncSender<Write>,
    stream: &'static str,
    open: Open,
    fence: Fence,
    /// The last message that was read.
    read: u64,
    following: Arc<Following>,
}

impl StreamConsumer {
    /// Goes on behind the message at `resume`; what counts must rest on what the fence says.
    pub(crate) fn new(
        nats: Nats,
        shared: Arc<Shared>,
        writes: SyncSender<Write>,
        stream: &'static str,
        (resume, fence): (u64, Fence),
    ) -> Self {
        let following = Arc::new(Following::new(resume));
        Self { nats, shared, writes, stream, open: Open::default(), fence, read: resume, following }
    }

    /// Its progress.
    pub(crate) fn following(&self) -> Arc<Following> {
        self.following.clone()
    }

    /// Follows until told to stop.
    pub(crate) async fn run(mut self, mut stop: watch::Receiver<bool>) {
        loop {
            let followed = tokio::select! {
                followed = self.follow() => followed,
                _ = stop.wait_for(|&stop| stop) => return,
            };
            match followed {
                Ok(()) => return, // the writer has ended
                Err(error) => {
                    self.following.failed(&error);
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
        let mut reading = Reading::behind(stream, self.read).await?;
        loop {
            let messages = reading.next().await?;
            let mut entries = Vec::with_capacity(messages.len());
            let mut failed = None;
            for (sequence, message) in messages {
                match self.read(sequence, &message) {
                    Ok(entry) => entries.extend(entry),
                    Err(error) => {
                        failed = Some(error);
                        break;
                    }
                }
            }
            let resume = self.open.resume(self.read);
            let fence = self.fence.clone();
            let write = Write::Follow { stream: self.stream, seen: self.read, resume, fence, entries };
            if !self.hand_over(write).await {
                return Ok(());
            }
            if let Some(error) = failed {
                return Err(error);
            }
        }
    }

    /// Brings the copy to where the stream begins, if it is not there yet; false if the writer has ended.
    async fn catch_up(&mut self, state: &State) -> anyhow::Result<bool> {
        let begin = before_first(state);
        if self.read > 0 && self.read >= begin {
            return Ok(true);
        }
        let is_documents = self.stream == STREAM_DOCUMENTS;
        if let Some(snapshot) = saved::newest(&self.nats, || self.following.heard()).await? {
            let (at, changed) = (snapshot.documents_at, snapshot.changed);
            if !self.hand_over(Write::Documented { stream: self.stream, snapshot }).await {
                return Ok(false);
            }
            if is_documents && at > self.read {
                self.read = at;
                self.fence.changed = changed;
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
        let (fence, entries) = (self.fence.clone(), Vec::new());
        let write = Write::Follow { stream: self.stream, seen: begin, resume: begin, fence, entries };
        Ok(self.hand_over(write).await)
    }

    /// Reads a message; what it says, if it is whole with it and counts.
    fn read(&mut self, sequence: u64, message: &Message) -> anyhow::Result<Option<Entry>> {
        check_sum(message, sequence)?;
        let part = read_part(header(message, PART)).context("a part of a message does not say which")?;
        let whole = header(message, WHOLE).unwrap_or_default();
        // To the subjects that are fenced one node at a time writes what counts; to the others all do.
        let key = if self.nats.is_fenced_subject(&message.subject) { &message.subject } else { whole };
        let said = self.open.take((key, whole), sequence, part, &message.payload);
        let said = said.map(|said| read(&said, sequence)).transpose()?;
        let counts = said.filter(|entry| {
            let counts = self.fence.takes(self.stream, entry, sequence);
            if !counts {
                tracing::debug!(stream = self.stream, sequence, "a message came too late and does not count");
            }
            counts
        });
        if let Some(entry) = &counts {
            self.shared.take_note(entry, sequence);
        }
        self.read = sequence;
        Ok(counts)
    }

    /// Gives the writer what was read; false if it has ended. Waits where waiting harms nobody.
    async fn hand_over(&self, write: Write) -> bool {
        let writes = self.writes.clone();
        let seen = if let Write::Follow { seen, .. } = &write { Some(*seen) } else { None };
        let sent = tokio::task::spawn_blocking(move || writes.send(write).is_ok()).await.unwrap_or(false);
        if let Some(seen) = seen {
            self.following.handed(seen);
        }
        sent
    }
}
