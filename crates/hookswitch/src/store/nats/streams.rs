//! The streams and buckets of a cluster: made when they are not there, and checked when they are.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use async_nats::jetstream::Message;
use async_nats::jetstream::context::{
    CreateStreamErrorKind, PublishAckFuture, PublishError, PublishErrorKind,
};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::object_store::GetErrorKind;
use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, State, StorageType, Stream};
use async_nats::jetstream::{self, Context, kv, object_store};
use async_nats::{ConnectOptions, HeaderValue};
use bytes::Bytes;
use futures_util::TryStreamExt as _;
use tokio::io::AsyncReadExt as _;

use super::durability;
use super::wire::write_part;
use crate::cluster::NODE;
use crate::config::{Durability, Nats as Settings};
use crate::secret;
use crate::store::partition::Partition;

/// Under which name the copy notes how far it has followed the log, and how far the documents.
pub(crate) const STREAM_LOG: &str = "log";
pub(crate) const STREAM_DOCUMENTS: &str = "documents";

/// The header that says which part of a message this is, and the one that says of which.
pub(super) const PART: &str = "Hookswitch-Part";
pub(super) const WHOLE: &str = "Hookswitch-Whole";

/// The longest part of a message. Servers take 1 MiB at most by default, and replicate shorter ones sooner.
const PART_BYTES_MAX: usize = 512 * 1024;

/// What a message takes beside its payload.
const HEADER_BYTES: usize = 1024;

/// How long an acknowledgement may take. A server that lost its leader needs some seconds to have another.
const ACK_TIMEOUT: Duration = Duration::from_secs(5);

/// A NATS with the streams and buckets of one cluster.
#[derive(Clone)]
pub(crate) struct Nats {
    jetstream: Context,
    prefix: String,
    partitions: u8,
    part_bytes_max: usize,
    /// How long the log is kept.
    kept: Duration,
    /// Leases and nodes; what nobody renews is gone.
    leases: kv::Store,
    states: object_store::ObjectStore,
}

/// What the streams are to be.
pub(crate) struct Wanted {
    pub(crate) durability: Durability,
    pub(crate) partitions: u8,
    /// How long events are kept.
    pub(crate) kept: Duration,
    /// How long a lease is good that is not renewed.
    pub(crate) lease: Duration,
}

impl Nats {
    /// Connects, makes what is not there, and checks what is.
    ///
    /// # Errors
    /// A sentence that names what does not fit, and the mend.
    pub(crate) async fn connect(settings: &Settings, wanted: &Wanted) -> anyhow::Result<Self> {
        let servers = settings.servers.join(",");
        let mut options = ConnectOptions::new().name("hookswitch").retry_on_initial_connect();
        if !settings.credentials.as_os_str().is_empty() {
            let name = settings.credentials.display();
            options = options
                .credentials_file(&settings.credentials)
                .await
                .with_context(|| format!("cannot read nats.credentials {name}; give a .creds file"))?;
        }
        if !settings.tls_ca.as_os_str().is_empty() {
            options = options.add_root_certificates(settings.tls_ca.clone()).require_tls(true);
        }
        let client = options
            .connect(&settings.servers)
            .await
            .with_context(|| format!("cannot use NATS at {servers}; check nats.servers"))?;
        tokio::time::timeout(settings.connect_timeout.0, client.flush())
            .await
            .with_context(|| format!("no NATS answers at {servers}; start it, or set nats.servers"))?
            .context("the connection to NATS failed")?;
        let info = client.server_info();
        durability::check(wanted.durability, settings, &info.version, &info.server_id).await?;
        let part_bytes_max = PART_BYTES_MAX.min(info.max_payload.saturating_sub(HEADER_BYTES)).max(4096);
        let jetstream = jetstream::context::ContextBuilder::new()
            .timeout(ACK_TIMEOUT)
            .ack_timeout(ACK_TIMEOUT)
            .build(client);
        let prefix = settings.prefix.clone();
        let replicas = settings.replicas;
        let make = |name: &str, subjects: Vec<String>, kept: Duration| Config {
            name: name.to_owned(),
            description: Some(format!("Hookswitch, {} partitions", wanted.partitions)),
            subjects,
            retention: RetentionPolicy::Limits,
            discard: DiscardPolicy::Old,
            max_age: kept,
            storage: StorageType::File,
            num_replicas: replicas,
            allow_direct: true,
            deny_delete: true,
            ..Config::default()
        };
        let logs = [
            make(
                &log_stream(&prefix),
                vec![format!("{prefix}.log.*"), format!("{prefix}.progress")],
                wanted.kept,
            ),
            make(&documents_stream(&prefix), vec![format!("{prefix}.documents")], Duration::ZERO),
        ];
        // Each partition has its own, so that a gap in what is read of it shows.
        let intakes = Partition::all(wanted.partitions)
            .map(|one| make(&intake_stream(&prefix, one), vec![intake_subject(&prefix, one)], wanted.kept));
        for stream in logs.into_iter().chain(intakes) {
            check_stream(&jetstream, stream).await?;
        }
        // Made as a stream: a bucket that forgets after seconds needs a short window for duplicates too,
        // which the client's own call does not set.
        let bucket = format!("{prefix}_leases");
        let leases = Config {
            name: format!("KV_{bucket}"),
            description: Some("Who owns which partition, and which nodes live".to_owned()),
            subjects: vec![format!("$KV.{bucket}.>")],
            discard: DiscardPolicy::New,
            max_messages_per_subject: 1,
            max_age: wanted.lease,
            duplicate_window: wanted.lease,
            allow_rollup: true,
            num_replicas: replicas,
            allow_direct: true,
            deny_delete: true,
            ..Config::default()
        };
        check_stream(&jetstream, leases).await?;
        let leases = jetstream.get_key_value(bucket).await.context("cannot use the bucket of leases")?;
        let states = jetstream
            .create_object_store(object_store::Config {
                bucket: format!("{prefix}_states"),
                description: Some("Saved states of partitions, and documents".to_owned()),
                storage: StorageType::File,
                num_replicas: replicas,
                ..object_store::Config::default()
            })
            .await
            .context("cannot make the bucket of saved states")?;
        let Wanted { partitions, kept, .. } = *wanted;
        Ok(Self { jetstream, prefix, partitions, part_bytes_max, kept, leases, states })
    }

    /// How many machines there are.
    pub(crate) const fn partitions(&self) -> u8 {
        self.partitions
    }

    /// How long the log is kept.
    pub(super) const fn kept(&self) -> Duration {
        self.kept
    }

    /// Leases and nodes.
    pub(crate) const fn leases(&self) -> &kv::Store {
        &self.leases
    }

    /// Saved states.
    pub(crate) const fn states(&self) -> &object_store::ObjectStore {
        &self.states
    }

    /// The subject of the batches of a partition.
    pub(super) fn log_subject(&self, partition: Partition) -> String {
        format!("{}.log.{partition}", self.prefix)
    }

    /// Whether one node at a time can write to a subject.
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

    /// The stream that the copy notes under this name.
    pub(in crate::store) async fn stream(&self, name: &str) -> anyhow::Result<Stream> {
        let full = match name {
            STREAM_DOCUMENTS => documents_stream(&self.prefix),
            _ => log_stream(&self.prefix),
        };
        Ok(self.jetstream.get_stream(full).await?)
    }

    /// The sequence of the last message of a stream.
    pub(in crate::store) async fn end(&self, name: &str) -> anyhow::Result<u64> {
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
        let whole = if count > 1 { secret::token().unwrap_or_default() } else { String::new() };
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
        let mut message = PublishMessage::build().payload(part);
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

    /// What the names of streams and subjects begin with.
    pub(in crate::store) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The nodes that live.
    pub(in crate::store) async fn nodes(&self) -> anyhow::Result<Vec<String>> {
        let keys = async {
            self.leases.keys().await?.try_collect::<Vec<String>>().await.map_err(anyhow::Error::from)
        };
        let keys = within(keys).await?.context("the leases cannot be read")?;
        Ok(keys.iter().filter_map(|key| key.strip_prefix(NODE)).map(str::to_owned).collect())
    }

    /// Reads an object of the bucket of saved states; none if it is not there.
    ///
    /// # Errors
    /// If NATS does not answer, or another was put in its place meanwhile.
    pub(super) async fn object(&self, name: &str) -> anyhow::Result<Option<Vec<u8>>> {
        let mut object = match within(self.states.get(name)).await? {
            Ok(object) => object,
            Err(error) if error.kind() == GetErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let mut bytes = Vec::new();
        // Each part in its time: the parts of an object that was replaced never come.
        while within(object.read_buf(&mut bytes)).await?? > 0 {}
        Ok(Some(bytes))
    }

    /// Whether nothing was ever written.
    pub(in crate::store) async fn is_new(&self) -> anyhow::Result<bool> {
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

/// A header of a message.
pub(super) fn header<'a>(message: &'a Message, name: &str) -> Option<&'a str> {
    message.headers.as_ref()?.get(name).map(HeaderValue::as_str)
}

/// Whether a message was refused because its subject does not stand where it was expected to.
pub(super) fn is_fenced(error: &PublishError) -> bool {
    error.kind() == PublishErrorKind::WrongLastSequence
}

fn log_stream(prefix: &str) -> String {
    format!("{prefix}_log")
}

fn documents_stream(prefix: &str) -> String {
    format!("{prefix}_documents")
}

fn intake_stream(prefix: &str, partition: Partition) -> String {
    format!("{prefix}_intake_{partition}")
}

fn intake_subject(prefix: &str, partition: Partition) -> String {
    format!("{prefix}.intake.{partition}")
}

/// Makes a stream, or checks the one that is there and brings its limits up to date.
async fn check_stream(jetstream: &Context, wanted: Config) -> anyhow::Result<()> {
    let name = wanted.name.clone();
    match jetstream.create_stream(wanted.clone()).await {
        Ok(_) => {}
        Err(error) if matches!(error.kind(), CreateStreamErrorKind::JetStream(_)) => {
            let found = jetstream.get_stream(&name).await.map_err(|_| error).with_context(|| {
                format!(
                    "cannot make the stream {name}; does the server have JetStream, and enough servers for nats.replicas?"
                )
            })?;
            let found = found.cached_info().config.clone();
            ensure!(
                found.description == wanted.description,
                "the stream {name} is of {:?}, and this node is set up for {:?}; set cluster.partitions to the same on all nodes, \
                 or nats.prefix to a name of its own",
                found.description.unwrap_or_default(),
                wanted.description.unwrap_or_default()
            );
            ensure!(
                found.storage == wanted.storage && found.retention == wanted.retention,
                "the stream {name} is not kept in files until its messages are old; set nats.prefix to a name of its own"
            );
            let same = found.max_age == wanted.max_age
                && found.num_replicas == wanted.num_replicas
                && (wanted.duplicate_window.is_zero() || found.duplicate_window == wanted.duplicate_window);
            if !same || found.subjects != wanted.subjects {
                let change = Config {
                    max_age: wanted.max_age,
                    num_replicas: wanted.num_replicas,
                    duplicate_window: if wanted.duplicate_window.is_zero() {
                        found.duplicate_window
                    } else {
                        wanted.duplicate_window
                    },
                    subjects: wanted.subjects,
                    ..found
                };
                jetstream
                    .update_stream(change)
                    .await
                    .with_context(|| format!("cannot bring the limits of the stream {name} up to date"))?;
                tracing::info!(stream = name, "the limits of a stream are brought up to date");
            }
        }
        Err(error) => {
            return Err(error)
                .with_context(|| format!("cannot make the stream {name}; does the server have JetStream?"));
        }
    }
    Ok(())
}
