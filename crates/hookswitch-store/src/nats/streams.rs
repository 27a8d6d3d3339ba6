//! The streams and buckets of a cluster, and what is asked of them.

use std::time::Duration;

use anyhow::Context as _;
use async_nats::HeaderValue;
use async_nats::jetstream::context::{PublishAckFuture, PublishError};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::object_store::GetErrorKind;
use async_nats::jetstream::stream::{State, Stream};
use async_nats::jetstream::{Context, Message, kv, object_store};
use bytes::Bytes;
use futures_util::TryStreamExt as _;
use tokio::io::AsyncReadExt as _;

use super::leases::NODE;
use super::wire::write_part;
use crate::partition::Partition;
use crate::random;

/// Under which name the copy notes how far it has followed the log, and how far the documents.
pub(crate) const STREAM_LOG: &str = "log";
pub(crate) const STREAM_DOCUMENTS: &str = "documents";

/// The header that says which part of a message this is, and the one that says of which.
/// A checksum of a part, which nodes of earlier versions neither write nor ask for.
const SUM: &str = "Hookswitch-Sum";
pub(super) const PART: &str = "Hookswitch-Part";
pub(super) const WHOLE: &str = "Hookswitch-Whole";

/// The longest part of a message. Servers take 1 MiB at most by default, and replicate shorter ones sooner.
pub(super) const PART_BYTES_MAX: usize = 512 * 1024;

/// Bytes that a message takes beside its payload.
pub(super) const HEADER_BYTES: usize = 1024;

/// Time that an acknowledgement may take. A server that lost its leader needs some seconds to have another.
pub(super) const ACK_TIMEOUT: Duration = Duration::from_secs(5);

/// A NATS with the streams and buckets of one cluster.
#[derive(Clone)]
pub struct Nats {
    pub(super) jetstream: Context,
    pub(super) prefix: String,
    pub(super) partitions: u8,
    pub(super) part_bytes_max: usize,
    /// Time for which the log is kept.
    pub(super) kept: Duration,
    /// Time for which it may bring nothing while it is waited for.
    pub(super) patience: Duration,
    /// Leases and nodes; what nobody renews is gone.
    pub(crate) leases: kv::Store,
    pub(super) states: object_store::ObjectStore,
}

impl Nats {
    /// Returns the number of machines.
    pub const fn partitions(&self) -> u8 {
        self.partitions
    }

    /// Returns how long it may bring nothing while it is waited for.
    pub const fn patience(&self) -> Duration {
        self.patience
    }

    /// Returns how long the log is kept.
    pub(super) const fn kept(&self) -> Duration {
        self.kept
    }

    /// The subject of the batches of a partition.
    pub(super) fn log_subject(&self, partition: Partition) -> String {
        format!("{}.log.{partition}", self.prefix)
    }

    /// Returns `true` if one node at a time can write to a subject.
    pub(super) fn is_fenced_subject(&self, subject: &str) -> bool {
        subject != self.progress_subject()
    }

    /// The subject of what comes in for a partition at nodes that do not own it.
    pub(super) fn intake_subject(&self, partition: Partition) -> String {
        intake_subject(&self.prefix, partition)
    }

    /// The stream of what comes in for a partition at nodes that do not own it.
    pub(super) async fn intake_stream(&self, partition: Partition) -> anyhow::Result<Stream> {
        Ok(self.jetstream.get_stream(intake_stream(&self.prefix, partition)).await?)
    }

    /// The subject of what deliveries keep.
    pub(super) fn progress_subject(&self) -> String {
        format!("{}.progress", self.prefix)
    }

    /// The subject of changes of documents.
    pub(super) fn documents_subject(&self) -> String {
        format!("{}.documents", self.prefix)
    }

    /// Returns what the stream is called in NATS that the copy notes under this name.
    pub fn stream_name(&self, name: &str) -> String {
        match name {
            STREAM_DOCUMENTS => documents_stream(&self.prefix),
            _ => log_stream(&self.prefix),
        }
    }

    /// The stream that the copy notes under this name.
    pub async fn stream(&self, name: &str) -> anyhow::Result<Stream> {
        Ok(self.jetstream.get_stream(self.stream_name(name)).await?)
    }

    /// The sequence of the last message of a stream.
    pub async fn end(&self, name: &str) -> anyhow::Result<u64> {
        Ok(self.stream(name).await?.cached_info().state.last_sequence)
    }

    /// The sequence of the last message of a subject; 0 if it has none.
    pub(super) async fn last_sequence(&self, stream: &str, subject: &str) -> anyhow::Result<u64> {
        use async_nats::jetstream::stream::LastRawMessageErrorKind;
        match self.stream(stream).await?.get_last_raw_message_by_subject(subject).await {
            Ok(message) => Ok(message.sequence),
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(0),
            Err(error) => Err(error.into()),
        }
    }

    /// Publishes a message in as many parts as it takes, if its subject stands at `last`; gives where it
    /// stands then. Without `last` it is published whatever was before.
    ///
    /// # Errors
    /// What the server says, or that it did not; some parts may be in the stream then.
    pub(super) async fn publish(
        &self,
        subject: &str,
        message: Vec<u8>,
        last: Option<u64>,
    ) -> Result<u64, PublishError> {
        self.publish_marked(subject, message, last, None).await
    }

    /// The same, with a header on each part.
    pub(super) async fn publish_marked(
        &self,
        subject: &str,
        message: Vec<u8>,
        mut last: Option<u64>,
        mark: Option<(&str, &str)>,
    ) -> Result<u64, PublishError> {
        let parts = super::wire::parts(message, self.part_bytes_max);
        let count = parts.len();
        let whole = if count > 1 { random::token().unwrap_or_default() } else { String::new() };
        let mut sequence = 0;
        for (number, part) in (1..).zip(parts) {
            sequence =
                self.send_part(subject, part, (number, count, &whole), last, mark).await?.await?.sequence;
            last = last.map(|_| sequence);
        }
        Ok(sequence)
    }

    /// Sends part `number` of `count`; what it gives waits for the acknowledgement.
    pub(super) async fn send_part(
        &self,
        subject: &str,
        part: Bytes,
        (number, count, whole): (usize, usize, &str),
        last: Option<u64>,
        mark: Option<(&str, &str)>,
    ) -> Result<PublishAckFuture, PublishError> {
        let mut message = PublishMessage::build().header(SUM, &*crate::seal::of_message(&part)).payload(part);
        if count > 1 {
            message = message.header(PART, write_part(number, count)).header(WHOLE, whole);
        }
        if let Some((name, value)) = mark {
            message = message.header(name, value);
        }
        if let Some(last) = last {
            message = message.expected_last_subject_sequence(last);
        }
        self.jetstream.send_publish(subject.to_owned(), message).await
    }

    /// Returns what the names of streams and subjects begin with.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The nodes that live.
    pub async fn nodes(&self) -> anyhow::Result<Vec<String>> {
        let keys = async {
            self.leases.keys().await?.try_collect::<Vec<String>>().await.map_err(anyhow::Error::from)
        };
        let keys = within(keys).await?.context("the leases cannot be read")?;
        Ok(keys.iter().filter_map(|key| key.strip_prefix(NODE)).map(str::to_owned).collect())
    }

    /// Reads an object of the bucket of saved states; none if it is not there. `heard` is called whenever some
    /// of it has come.
    ///
    /// # Errors
    /// If NATS does not answer, or another was put in its place meanwhile.
    pub(super) async fn object(&self, name: &str, heard: impl Fn()) -> anyhow::Result<Option<Vec<u8>>> {
        let mut object = match within(self.states.get(name)).await? {
            Ok(object) => object,
            Err(error) if error.kind() == GetErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let mut bytes = Vec::new();
        // Each part in its time: the parts of an object that was replaced never come.
        while within(object.read_buf(&mut bytes)).await?? > 0 {
            heard();
        }
        Ok(Some(bytes))
    }

    /// Returns whether nothing was ever written.
    pub async fn is_new(&self) -> anyhow::Result<bool> {
        Ok(self.end(STREAM_LOG).await? == 0 && self.end(STREAM_DOCUMENTS).await? == 0)
    }
}

/// Waits for an answer of NATS no longer than for an acknowledgement.
pub(super) async fn within<T>(asked: impl Future<Output = T>) -> anyhow::Result<T> {
    tokio::time::timeout(ACK_TIMEOUT, asked).await.context("NATS does not answer in time")
}

/// The sequence before the first message that a stream has.
pub(super) fn before_first(state: &State) -> u64 {
    if state.messages == 0 { state.last_sequence } else { state.first_sequence - 1 }
}

/// Checks that a message is as it was sent.
///
/// # Errors
/// If it is not; its place in the stream is said.
pub(super) fn check_sum(message: &Message, sequence: u64) -> anyhow::Result<()> {
    let is_whole = header(message, SUM).is_none_or(|sum| sum == crate::seal::of_message(&message.payload));
    anyhow::ensure!(
        is_whole,
        "message {sequence} of the stream is damaged (checksum) and is not used; restore the stream from a replica or a \
         backup"
    );
    Ok(())
}

/// A header of a message.
pub(super) fn header<'a>(message: &'a Message, name: &str) -> Option<&'a str> {
    message.headers.as_ref()?.get(name).map(HeaderValue::as_str)
}

pub(super) fn log_stream(prefix: &str) -> String {
    format!("{prefix}_log")
}

pub(super) fn documents_stream(prefix: &str) -> String {
    format!("{prefix}_documents")
}

pub(super) fn intake_stream(prefix: &str, partition: Partition) -> String {
    format!("{prefix}_intake_{partition}")
}

pub(super) fn intake_subject(prefix: &str, partition: Partition) -> String {
    format!("{prefix}.intake.{partition}")
}
