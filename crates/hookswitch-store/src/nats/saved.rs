//! All documents as they were at a moment, saved beside the streams.
//!
//! So the stream of documents need not be kept for ever, and a node that joins late has what deliveries
//! wrote down before the log begins. Any node may save: each saves under the sequence at which its copy
//! stands, the highest is the one that counts, and nothing is purged that it does not have.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use futures_util::TryStreamExt as _;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::streams::{Nats, STREAM_DOCUMENTS, within};
use crate::rows::DocumentRow;
use crate::{Reader, Store, clock};

/// The version of what is saved.
const VERSION: u8 = 1;

/// Beginning of the objects' names; the sequence follows.
const NAME: &str = "documents.";

/// Number of changes of documents that are made before they are saved again.
const CHANGES_MAX: u64 = 10_000;

/// They are saved so many times while the log keeps a message, so that no progress is lost with it.
const TIMES_KEPT: u32 = 4;

/// Interval between checks whether they are to be saved, in seconds: at another time on each node.
const LOOK_EVERY_SECS: std::ops::Range<u64> = 30..90;

/// All documents, and where the streams stood that they follow from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SavedDocuments {
    pub documents_at: u64,
    pub log_at: u64,
    /// The last change that counted.
    pub changed: u64,
    pub documents: Vec<DocumentRow>,
}

/// Facts about saved documents that are known without reading them.
struct Known {
    name: String,
    /// Place where the stream of documents stood.
    at: u64,
    /// Time when they were saved, in seconds since 1970.
    saved: i64,
}

/// Saves the documents now and then, until the server stops.
pub(crate) async fn keep(nats: Nats, store: Store, mut stop: watch::Receiver<bool>) {
    let every = nats.kept() / TIMES_KEPT;
    let mut at = 0;
    let mut looked_at = clock::now();
    loop {
        let wait = Duration::from_secs(fastrand::u64(LOOK_EVERY_SECS)).min(every);
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            _ = stop.wait_for(|&stop| stop) => return,
        }
        let changes = store.shared().followed(STREAM_DOCUMENTS).saturating_sub(at);
        if changes < CHANGES_MAX && looked_at.elapsed() < every / 2 {
            continue;
        }
        looked_at = clock::now();
        match save_if_due(&nats, &store, every).await {
            Ok(saved) => at = saved,
            Err(error) => tracing::warn!("the documents are not saved: {error:#}; trying again"),
        }
    }
}

/// Saves the documents if no node has done so of late; gives where the stream stood that is saved.
async fn save_if_due(nats: &Nats, store: &Store, every: Duration) -> anyhow::Result<u64> {
    if let Some(known) = all(nats).await?.into_iter().max_by_key(|known| known.at) {
        let age = clock::wall().as_micros() / 1_000_000 - known.saved;
        let is_new = age < i64::try_from(every.as_secs()).unwrap_or(i64::MAX);
        if is_new && store.shared().followed(STREAM_DOCUMENTS).saturating_sub(known.at) < CHANGES_MAX {
            return Ok(known.at);
        }
    }
    save(nats, store).await
}

/// Saves the documents of this node's copy, and lets their stream begin there; gives where that is.
///
/// # Errors
/// If NATS does not take them, or the copy cannot be read.
pub(crate) async fn save(nats: &Nats, store: &Store) -> anyhow::Result<u64> {
    let saved = store.read_async(Reader::all_documents).await?;
    let at = saved.documents_at;
    let object = postcard::to_extend(&saved, vec![VERSION])?;
    let count = saved.documents.len();
    drop(saved);
    nats.states.put(format!("{NAME}{at:020}").as_str(), &mut &*object).await?;
    // The last change stays: by its sequence the next is checked.
    nats.stream(STREAM_DOCUMENTS).await?.purge().sequence(at.max(1)).await?;
    for older in all(nats).await?.into_iter().filter(|known| known.at < at) {
        nats.states.delete(&older.name).await.ok(); // another node was first, or the next does it
    }
    tracing::info!(documents = count, sequence = at, "the documents are saved");
    Ok(at)
}

/// The documents that were saved last; none if none were. `heard` is called whenever some of them has come.
///
/// # Errors
/// If they cannot be read.
pub(super) async fn newest(nats: &Nats, heard: impl Fn()) -> anyhow::Result<Option<SavedDocuments>> {
    loop {
        let newest = all(nats).await?.into_iter().max_by_key(|known| known.at);
        let Some(Known { name, .. }) = newest else { return Ok(None) };
        let found = nats.object(&name, &heard).await.context("the saved documents cannot be read")?;
        let Some(bytes) = found else { continue }; // a newer one was saved meanwhile
        let (&version, saved) = bytes.split_first().context("the saved documents are damaged")?;
        ensure!(
            version == VERSION,
            "the saved documents are of form {version}, which this Hookswitch does not know; start the newer one"
        );
        return Ok(Some(postcard::from_bytes(saved).context("the saved documents are damaged")?));
    }
}

/// Up to where the documents were saved that were saved last; 0 if none were.
///
/// # Errors
/// If NATS does not say.
pub(super) async fn last(nats: &Nats) -> anyhow::Result<u64> {
    Ok(all(nats).await?.into_iter().map(|known| known.at).max().unwrap_or(0))
}

async fn all(nats: &Nats) -> anyhow::Result<Vec<Known>> {
    let objects =
        async { nats.states.list().await?.try_collect::<Vec<_>>().await.map_err(anyhow::Error::from) };
    let objects = within(objects).await?.context("the saved documents cannot be listed")?;
    let known = objects.into_iter().filter(|object| !object.deleted).filter_map(|object| {
        let at = object.name.strip_prefix(NAME)?.parse().ok()?;
        let saved = if let Some(modified) = object.modified { modified.unix_timestamp() } else { 0 };
        Some(Known { name: object.name, at, saved })
    });
    Ok(known.collect())
}
