//! A look at NATS as a node takes one when it starts, which leaves everything as it is.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use async_nats::jetstream::Context;
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::{Config, Stream};

use super::durability::Weakness;
use super::reading::{self, Reading};
use super::setup::{self, Connection, Wanted};
use super::standing::CopyStanding;
use super::streams::{Nats, STREAM_DOCUMENTS, STREAM_LOG, before_first, log_stream};
use crate::random;
use crate::settings::NatsSettings as Settings;

/// A NATS that a node can use.
pub struct Examined {
    /// The version of the server that answered.
    pub version: String,
    /// Number of streams that a node has.
    pub streams: usize,
    /// Number of them that the next start makes.
    pub missing: usize,
    /// Those whose limits the next start changes.
    pub outdated: Vec<String>,
    /// Setting that is not required and would be better.
    pub weakness: Option<Weakness>,
}

impl Nats {
    /// Looks whether a node with this copy could start: all that [`Nats::connect`] and the start after it
    /// check, by the same code. What a start would make or change is tried with a stream that is removed.
    ///
    /// # Errors
    /// The sentence with which the start would end.
    pub async fn examine(
        settings: &Settings,
        wanted: &Wanted,
        directory: &Path,
        standing: &CopyStanding,
    ) -> anyhow::Result<Examined> {
        let connection = Connection::open(settings, wanted.durability).await?;
        let patience = settings.connect_timeout;
        let all = setup::streams(settings, wanted);
        let like = all.first().cloned().unwrap_or_default();
        let (streams, mut missing, mut outdated) = (all.len(), Vec::new(), Vec::new());
        for wanted in all {
            let name = wanted.name.clone();
            match setup::find(&connection.jetstream, &name).await? {
                None => missing.push(name),
                Some(found) => outdated.extend(setup::compare(found, wanted)?.map(|_| name)),
            }
        }
        if !missing.is_empty() || !outdated.is_empty() {
            Box::pin(try_out(&connection.jetstream, &settings.prefix, like, patience)).await?;
        }
        let (version, weakness) = (connection.version.clone(), connection.weakness);
        if missing.contains(&log_stream(&settings.prefix)) {
            standing.check_new(directory)?;
        }
        if missing.is_empty() {
            let nats = connection.into_nats(settings, wanted).await?;
            nats.check_standing(directory, standing).await?;
            for stream in [STREAM_LOG, STREAM_DOCUMENTS] {
                try_to_follow(nats.stream(stream).await?, patience).await?;
            }
        }
        Ok(Examined { version, streams, missing: missing.len(), outdated, weakness })
    }
}

/// Makes a stream as a node does, writes to it, follows it, and removes it.
async fn try_out(jetstream: &Context, prefix: &str, like: Config, patience: Duration) -> anyhow::Result<()> {
    let token = random::token()?;
    let (name, subject) = (format!("{prefix}_doctor_{token}"), format!("{prefix}.doctor.{token}"));
    let config = Config { name: name.clone(), subjects: vec![subject.clone()], ..like };
    setup::bring(jetstream, config).await?;
    let tried = async {
        let message = PublishMessage::build().expected_last_subject_sequence(0);
        let sent = jetstream.send_publish(subject, message).await?;
        sent.await.with_context(|| format!("the stream {name} takes no message"))?;
        try_to_follow(jetstream.get_stream(&name).await?, patience).await
    };
    let tried = tried.await;
    jetstream
        .delete_stream(&name)
        .await
        .with_context(|| format!("the stream {name}, which was made to try, cannot be removed; remove it"))?;
    tried
}

/// Follows a stream as a node does, to its last message.
async fn try_to_follow(stream: Stream, patience: Duration) -> anyhow::Result<()> {
    let info = stream.cached_info();
    let (name, end) = (info.config.name.clone(), info.state.last_sequence);
    let before = end.saturating_sub(1).max(before_first(&info.state));
    let follow = async {
        let mut reading = Reading::behind(stream, before).await?;
        if before < end {
            let given = reading.next().await?;
            ensure!(!given.is_empty(), "nothing is given");
        }
        reading.close().await;
        Ok(())
    };
    let followed = tokio::time::timeout(patience, follow).await;
    followed
        .unwrap_or_else(|_| Err(anyhow::anyhow!("NATS brings nothing")))
        .with_context(|| format!("the stream {name} cannot be followed; {}", reading::advice(&name)))
}
