//! Connects, makes the streams and buckets that are not there, and checks those that are.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use async_nats::ConnectOptions;
use async_nats::jetstream::context::{CreateStreamErrorKind, GetStreamErrorKind};
use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType};
use async_nats::jetstream::{self, Context, ErrorCode};

use super::durability::{self, Weakness};
use super::streams::{
    ACK_TIMEOUT, HEADER_BYTES, Nats, PART_BYTES_MAX, documents_stream, intake_stream, intake_subject,
    log_stream,
};
use crate::partition::Partition;
use crate::settings::{Durability, NatsSettings as Settings, StoreSettings};

/// Settings that the streams are to have.
pub struct Wanted {
    /// Durability that an acknowledgement must promise.
    pub durability: Durability,
    /// Number of partitions.
    pub partitions: u8,
    /// Time for which events are kept.
    pub kept: Duration,
    /// Time for which a lease is good that is not renewed.
    pub lease: Duration,
}

impl Wanted {
    /// Returns what the settings of a store want.
    pub fn of(settings: &StoreSettings) -> Self {
        Self {
            durability: settings.durability,
            partitions: settings.partitions_of_cluster,
            kept: settings.events_kept.max(settings.signals_kept),
            lease: settings.lease,
        }
    }
}

/// A connection to NATS that is worth what the settings ask for.
pub(super) struct Connection {
    pub(super) jetstream: Context,
    part_bytes_max: usize,
    /// The version of the server that is connected to.
    pub(super) version: String,
    /// Setting that is not required and would be better.
    pub(super) weakness: Option<Weakness>,
}

impl Nats {
    /// Connects, makes what is not there, and checks what is.
    ///
    /// # Errors
    /// A sentence that names what does not fit, and the fix.
    pub async fn connect(settings: &Settings, wanted: &Wanted) -> anyhow::Result<Self> {
        let connection = Connection::open(settings, wanted.durability).await?;
        if let Some(Weakness { found, fix }) = connection.weakness {
            tracing::warn!("{found}; {fix}");
        }
        for stream in streams(settings, wanted) {
            bring(&connection.jetstream, stream).await?;
        }
        connection.into_nats(settings, wanted).await
    }
}

impl Connection {
    /// Connects, and checks what an acknowledgement is worth.
    ///
    /// # Errors
    /// A sentence that names what does not fit, and the fix.
    pub(super) async fn open(settings: &Settings, durability: Durability) -> anyhow::Result<Self> {
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
        tokio::time::timeout(settings.connect_timeout, client.flush())
            .await
            .with_context(|| format!("no NATS answers at {servers}; start it, or set nats.servers"))?
            .context("the connection to NATS failed")?;
        let info = client.server_info();
        let weakness = durability::check(durability, settings, &info.version, &info.server_id).await?;
        let part_bytes_max = PART_BYTES_MAX.min(info.max_payload.saturating_sub(HEADER_BYTES)).max(4096);
        let jetstream = jetstream::context::ContextBuilder::new()
            .timeout(ACK_TIMEOUT)
            .ack_timeout(ACK_TIMEOUT)
            .build(client);
        Ok(Self { jetstream, part_bytes_max, version: info.version, weakness })
    }

    /// The streams and buckets, which are there.
    ///
    /// # Errors
    /// If a bucket is not there, or NATS does not answer.
    pub(super) async fn into_nats(self, settings: &Settings, wanted: &Wanted) -> anyhow::Result<Nats> {
        let Self { jetstream, part_bytes_max, .. } = self;
        let prefix = settings.prefix.clone();
        let leases =
            jetstream.get_key_value(leases(&prefix)).await.context("cannot use the bucket of leases")?;
        let states = jetstream
            .get_object_store(states(&prefix))
            .await
            .context("cannot use the bucket of saved states")?;
        let Wanted { partitions, kept, .. } = *wanted;
        let patience = settings.connect_timeout;
        Ok(Nats { jetstream, prefix, partitions, part_bytes_max, kept, patience, leases, states })
    }
}

fn leases(prefix: &str) -> String {
    format!("{prefix}_leases")
}

fn states(prefix: &str) -> String {
    format!("{prefix}_states")
}

/// The streams of a cluster, and those behind its buckets.
pub(super) fn streams(settings: &Settings, wanted: &Wanted) -> Vec<Config> {
    let Settings { prefix, replicas, .. } = settings;
    let make = |name: String, subjects: Vec<String>, kept: Duration| Config {
        name,
        description: Some(format!("Hookswitch, {} partitions", wanted.partitions)),
        subjects,
        retention: RetentionPolicy::Limits,
        discard: DiscardPolicy::Old,
        max_age: kept,
        storage: StorageType::File,
        num_replicas: *replicas,
        allow_direct: true,
        deny_delete: true,
        ..Config::default()
    };
    let of_log = vec![format!("{prefix}.log.*"), format!("{prefix}.progress")];
    let mut all = vec![
        make(log_stream(prefix), of_log, wanted.kept),
        make(documents_stream(prefix), vec![format!("{prefix}.documents")], Duration::ZERO),
    ];
    // Each partition has its own, so that a gap in what is read of it shows.
    all.extend(
        Partition::all(wanted.partitions)
            .map(|one| make(intake_stream(prefix, one), vec![intake_subject(prefix, one)], wanted.kept)),
    );
    // Buckets are made as streams, so that they are checked as those are; and one that forgets after seconds
    // needs a short window for duplicates too, which the client's own call does not set.
    let bucket = leases(prefix);
    all.push(Config {
        name: format!("KV_{bucket}"),
        description: Some("Who owns which partition, and which nodes live".to_owned()),
        subjects: vec![format!("$KV.{bucket}.>")],
        discard: DiscardPolicy::New,
        max_messages_per_subject: 1,
        max_age: wanted.lease,
        duplicate_window: wanted.lease,
        allow_rollup: true,
        num_replicas: *replicas,
        allow_direct: true,
        deny_delete: true,
        ..Config::default()
    });
    let bucket = states(prefix);
    all.push(Config {
        name: format!("OBJ_{bucket}"),
        description: Some("Saved states of partitions, and documents".to_owned()),
        subjects: vec![format!("$O.{bucket}.C.>"), format!("$O.{bucket}.M.>")],
        discard: DiscardPolicy::New,
        storage: StorageType::File,
        allow_rollup: true,
        num_replicas: *replicas,
        allow_direct: true,
        ..Config::default()
    });
    all
}

/// Makes a stream, or checks the one that is there and brings its limits up to date.
///
/// # Errors
/// A sentence that names what does not fit, and the fix.
pub(super) async fn bring(jetstream: &Context, wanted: Config) -> anyhow::Result<()> {
    let name = wanted.name.clone();
    let Err(error) = jetstream.create_stream(wanted.clone()).await else { return Ok(()) };
    let found = match error.kind() {
        CreateStreamErrorKind::JetStream(_) => find(jetstream, &name).await.ok().flatten(),
        _ => None,
    };
    let found = found.ok_or(error).with_context(|| {
        format!(
            "cannot make the stream {name}; does the server have JetStream, and enough servers for nats.replicas?"
        )
    })?;
    if let Some(change) = compare(found, wanted)? {
        jetstream
            .update_stream(change)
            .await
            .with_context(|| format!("cannot bring the limits of the stream {name} up to date"))?;
        tracing::info!(stream = name, "the limits of a stream are brought up to date");
    }
    Ok(())
}

/// A stream as it is; none if it is not there.
///
/// # Errors
/// If NATS does not say.
pub(super) async fn find(jetstream: &Context, name: &str) -> anyhow::Result<Option<Config>> {
    match jetstream.get_stream(name).await {
        Ok(stream) => Ok(Some(stream.cached_info().config.clone())),
        Err(error) => match error.kind() {
            GetStreamErrorKind::JetStream(answer) if answer.error_code() == ErrorCode::STREAM_NOT_FOUND => {
                Ok(None)
            }
            _ => Err(error).with_context(|| {
                format!("cannot ask for the stream {name}; does the server have JetStream?")
            }),
        },
    }
}

/// Returns what is to be changed of a stream that is there, if anything.
///
/// # Errors
/// A sentence that names what does not fit, and the fix.
pub(super) fn compare(found: Config, wanted: Config) -> anyhow::Result<Option<Config>> {
    let name = &wanted.name;
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
    let change = Config {
        max_age: wanted.max_age,
        num_replicas: wanted.num_replicas,
        duplicate_window: if wanted.duplicate_window.is_zero() {
            found.duplicate_window
        } else {
            wanted.duplicate_window
        },
        subjects: wanted.subjects,
        ..found.clone()
    };
    let is_same = change.max_age == found.max_age
        && change.num_replicas == found.num_replicas
        && change.duplicate_window == found.duplicate_window
        && change.subjects == found.subjects;
    Ok((!is_same).then_some(change))
}
