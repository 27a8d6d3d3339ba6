//! Reads a stream in its order, without a gap, and without waiting for what has come already.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use async_nats::jetstream::Message;
use async_nats::jetstream::consumer::pull::{Ordered, OrderedConfig, OrderedError};
use async_nats::jetstream::consumer::{DeliverPolicy, ReplayPolicy};
use async_nats::jetstream::stream::Stream;
use futures_util::StreamExt as _;
use futures_util::stream::ReadyChunks;
use tokio::time::timeout;

/// The most messages that are given at once.
const TOGETHER_MAX: usize = 256;

/// After how long a silence it is asked whether the stream has more. A consumer ends with its server, and
/// nobody says so.
const SILENCE_MAX: Duration = Duration::from_secs(1);

/// How long a message may be under way that the stream has.
const UNDER_WAY_MAX: Duration = Duration::from_millis(250);

/// A stream that is read from some message on.
pub(super) struct Reading {
    stream: Stream,
    messages: ReadyChunks<Ordered>,
    /// The last message that was read.
    read: u64,
}

impl Reading {
    /// Reads what comes behind a message.
    ///
    /// # Errors
    /// If NATS does not answer.
    pub(super) async fn behind(stream: Stream, read: u64) -> anyhow::Result<Self> {
        let consumer = stream
            .create_consumer(OrderedConfig {
                deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: read + 1 },
                replay_policy: ReplayPolicy::Instant,
                ..OrderedConfig::default()
            })
            .await?;
        let messages = consumer.messages().await?.ready_chunks(TOGETHER_MAX);
        Ok(Self { stream, messages, read })
    }

    /// Waits for more, and gives it: each message with its sequence. Behind an error the stream is to be read
    /// anew, after the last message that was given. May be dropped and asked again.
    pub(super) async fn next(&mut self) -> (Vec<(u64, Message)>, anyhow::Result<()>) {
        let chunk = match self.next_chunk().await {
            Ok(chunk) => chunk,
            Err(error) => return (Vec::new(), Err(error)),
        };
        let mut given = Vec::with_capacity(chunk.len());
        for message in chunk {
            let message = message.map_err(anyhow::Error::from);
            match message.and_then(|message| Ok((self.take(&message)?, message))) {
                Ok(next) => given.push(next),
                Err(error) => return (given, Err(error)),
            }
        }
        (given, Ok(()))
    }

    /// Takes a message if it is the next, and gives its sequence.
    fn take(&mut self, message: &Message) -> anyhow::Result<u64> {
        let sequence = message.info().map_err(|error| anyhow::anyhow!("{error}"))?.stream_sequence;
        check_next(self.read, sequence)?;
        self.read = sequence;
        Ok(sequence)
    }

    async fn next_chunk(&mut self) -> anyhow::Result<Vec<Result<Message, OrderedError>>> {
        let mut patience = SILENCE_MAX;
        loop {
            if let Ok(chunk) = timeout(patience, self.messages.next()).await {
                return chunk.context("it has ended");
            }
            // While NATS does not answer there is nothing to be had by another consumer either.
            let end = self.stream.info().await.map_or(self.read, |info| info.state.last_sequence);
            let is_behind = end > self.read;
            ensure!(
                !is_behind || patience == SILENCE_MAX,
                "the messages behind {} do not come, and {end} is the last",
                self.read
            );
            // What came while it was asked is under way.
            patience = if is_behind { UNDER_WAY_MAX } else { SILENCE_MAX };
        }
    }
}

/// Checks that a message is the next of its stream. Messages go at the beginning of a stream alone; a server
/// that was behind may have left some out, and the stream is to be read anew behind the last that came.
fn check_next(read: u64, sequence: u64) -> anyhow::Result<()> {
    ensure!(sequence == read + 1, "the message behind {read} did not come");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_that_does_not_follow_the_last_is_none_to_go_on_with() {
        assert!(check_next(4, 5).is_ok());
        for left_out_or_repeated in [6, 4, 1] {
            let refused = check_next(4, left_out_or_repeated).map_err(|error| error.to_string());
            assert_eq!(refused, Err("the message behind 4 did not come".to_owned()));
        }
    }
}
