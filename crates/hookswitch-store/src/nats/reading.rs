//! Reads a stream in its order, without a gap, as the server says it that leads it.

use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use async_nats::jetstream::Message;
use async_nats::jetstream::consumer::pull::{Ordered, OrderedConfig, OrderedError};
use async_nats::jetstream::consumer::{DeliverPolicy, ReplayPolicy};
use async_nats::jetstream::stream::{ClusterInfo, Stream};
use futures_util::StreamExt as _;
use futures_util::stream::ReadyChunks;
use tokio::time::{sleep, timeout};

use crate::clock;

/// The most messages that are given at once.
const TOGETHER_MAX: usize = 256;

/// After how long a silence it is asked whether the stream has more. A consumer ends with its server, and
/// nobody says so.
const SILENCE_MAX: Duration = Duration::from_secs(1);

/// Time that a message may be under way that the stream has.
const UNDER_WAY_MAX: Duration = Duration::from_millis(250);

/// Interval between attempts to have a consumer at the server that leads the stream. NATS draws lots among the
/// servers that have it.
const TRIES_MAX: u32 = 16;

/// Time to wait before it is asked again who leads a stream that has no leader.
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(50);

/// Time that a stream may have no leader before that is said.
const LEADERLESS_MAX: Duration = Duration::from_secs(5);

/// A stream that is read from some message on.
///
/// A server that led the stream, stood still and went on may have messages that no other has: NATS 2.9 does
/// not take them back. So messages count when the server that gave them leads the stream after it did.
pub(super) struct Reading {
    stream: Stream,
    consumer: Consumer,
    /// The last message that was read.
    read: u64,
    /// Reason why the stream cannot be read on.
    failed: Option<anyhow::Error>,
}

struct Consumer {
    name: String,
    /// The server that has it; none if there is only one.
    server: Option<String>,
    messages: ReadyChunks<Ordered>,
}

impl Reading {
    /// Reads what comes behind a message.
    ///
    /// # Errors
    /// If NATS does not answer.
    pub(super) async fn behind(mut stream: Stream, read: u64) -> anyhow::Result<Self> {
        let consumer = Consumer::make(&mut stream, read).await?;
        Ok(Self { stream, consumer, read, failed: None })
    }

    /// Waits for more, and gives it: each message with its sequence.
    ///
    /// # Errors
    /// If the next message does not come. The stream is to be read anew, behind the last that was given.
    pub(super) async fn next(&mut self) -> anyhow::Result<Vec<(u64, Message)>> {
        loop {
            if let Some(failed) = self.failed.take() {
                return Err(failed);
            }
            let before = self.read;
            let mut given = Vec::new();
            for message in self.next_chunk().await? {
                match message.map_err(anyhow::Error::from).and_then(|message| self.take(message)) {
                    Ok(next) => given.push(next),
                    Err(error) => {
                        self.failed = Some(error);
                        break;
                    }
                }
            }
            if !self.is_led_by_its_server().await? {
                tracing::debug!(before, "another server leads the stream; it is read there");
                self.read = before;
                self.failed = None;
                self.consumer = Consumer::make(&mut self.stream, before).await?;
            } else if !given.is_empty() {
                return Ok(given);
            }
        }
    }

    /// Ends it at once; else its consumer ends by itself some time later.
    pub(super) async fn close(self) {
        self.stream.delete_consumer(&self.consumer.name).await.ok(); // it ends by itself
    }

    /// Takes a message if it is the next.
    fn take(&mut self, message: Message) -> anyhow::Result<(u64, Message)> {
        let info = message.info().map_err(|error| anyhow::anyhow!("{error}"))?;
        ensure!(info.consumer == self.consumer.name, "the consumer was gone, and another was made");
        let sequence = info.stream_sequence;
        check_next(self.read, sequence)?;
        self.read = sequence;
        Ok((sequence, message))
    }

    /// Waits for some messages; none if it is to be asked who leads the stream.
    async fn next_chunk(&mut self) -> anyhow::Result<Vec<Result<Message, OrderedError>>> {
        let mut patience = SILENCE_MAX;
        loop {
            if let Ok(chunk) = timeout(patience, self.consumer.messages.next()).await {
                return chunk.context("it has ended");
            }
            // While NATS does not answer there is nothing to be had by another consumer either.
            let Ok(info) = self.stream.info().await else { continue };
            if leader(info.cluster.as_ref()) != self.consumer.server.as_deref() {
                return Ok(Vec::new());
            }
            let end = info.state.last_sequence;
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

    /// Returns whether the server that gives the messages leads the stream. Waits for a leader if there is none.
    ///
    /// # Errors
    /// If none comes; what was read since the last call does not count then.
    async fn is_led_by_its_server(&mut self) -> anyhow::Result<bool> {
        let Some(server) = &self.consumer.server else { return Ok(true) };
        let began = clock::now();
        while began.elapsed() < LEADERLESS_MAX {
            match self.stream.info().await.map(|info| leader(info.cluster.as_ref())) {
                Ok(Some(leader)) => return Ok(leader == server),
                Ok(None) | Err(_) => sleep(ASK_AGAIN_AFTER).await,
            }
        }
        bail!("no NATS server has led the stream for {} s", LEADERLESS_MAX.as_secs())
    }
}

impl Consumer {
    /// Makes one at the server that leads the stream.
    async fn make(stream: &mut Stream, read: u64) -> anyhow::Result<Self> {
        for _ in 0..TRIES_MAX {
            let consumer = stream
                .create_consumer(OrderedConfig {
                    deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: read + 1 },
                    replay_policy: ReplayPolicy::Instant,
                    ..OrderedConfig::default()
                })
                .await?;
            let info = consumer.cached_info();
            let (name, server) = (info.name.clone(), leader(info.cluster.as_ref()).map(str::to_owned));
            if leader(stream.info().await?.cluster.as_ref()) == server.as_deref() {
                let messages = consumer.messages().await?.ready_chunks(TOGETHER_MAX);
                return Ok(Self { name, server, messages });
            }
            stream.delete_consumer(&name).await.ok(); // it ends by itself
        }
        bail!("no consumer is made at the server that leads the stream")
    }
}

/// Returns what to do about a stream that cannot be followed.
pub(super) fn advice(name: &str) -> String {
    format!(
        "look whether the NATS servers of the stream run and one leads it (`nats stream info {name}`), and whether this node \
         may make consumers"
    )
}

/// The server of a cluster that leads a stream or has a consumer; none if the server is alone.
///
/// Since 2.10 a server alone names itself as the leader of its streams and says nothing of the kind of their
/// consumers. A server of a cluster names the cluster with both.
fn leader(cluster: Option<&ClusterInfo>) -> Option<&str> {
    let cluster = cluster?;
    cluster.name.as_deref().filter(|name| !name.is_empty())?;
    cluster.leader.as_deref()
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

    /// Returns what a server says of a stream or a consumer, as JSON.
    fn says(cluster: &str) -> ClusterInfo {
        serde_json::from_str(cluster).expect("it is of a server")
    }

    #[test]
    fn a_server_alone_has_what_it_has_whether_or_not_it_names_itself() {
        // STREAM.INFO of 2.10 to 2.15; CONSUMER.CREATE and all of 2.9 say nothing.
        assert_eq!(leader(Some(&says(r#"{"leader": "n0"}"#))), leader(None));
        let of_stream = says(
            r#"{"name": "t", "raft_group": "S-R3F-NBWQZy2C", "leader": "n1",
                "replicas": [{"name": "n0", "current": true, "active": 1}]}"#,
        );
        let [here, elsewhere] =
            ["n1", "n2"].map(|name| says(&format!(r#"{{"name": "t", "leader": "{name}"}}"#)));
        assert_eq!(leader(Some(&of_stream)), leader(Some(&here)));
        assert_ne!(leader(Some(&of_stream)), leader(Some(&elsewhere)));
        assert_eq!(leader(Some(&says(r#"{"name": "t"}"#))), None, "the servers elect one");
    }

    #[test]
    fn a_message_that_does_not_follow_the_last_is_none_to_go_on_with() {
        assert!(check_next(4, 5).is_ok());
        for left_out_or_repeated in [6, 4, 1] {
            let refused = check_next(4, left_out_or_repeated).map_err(|error| error.to_string());
            assert_eq!(refused, Err("the message behind 4 did not come".to_owned()));
        }
    }
}
