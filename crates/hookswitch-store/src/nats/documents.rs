//! Changes documents of a cluster: each change is checked against the copy, and written if the stream
//! stands where the copy stood. If another node was first, it is checked again.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;

use super::race::{LostRace, UNDER_WAY_PAUSE};
use super::streams::{Nats, STREAM_DOCUMENTS};
use super::wire::write_changes;
use crate::{Change, Expected, Journal, Reader, Shared, Store, StoreError, clock, random};

/// Time for which a server that refuses is left alone before it is asked again.
const RETRY_AFTER: Duration = Duration::from_millis(250);

/// Time that a change is tried while NATS does not take it, before who asked for it is told. A stream that has
/// lost its leader needs some seconds to have another.
const TRY_FOR: Duration = Duration::from_secs(8);

/// Makes changes of documents, all or none; gives their new revisions once this node's copy has them.
///
/// # Errors
/// If a document is not as expected, or NATS does not take it.
pub(crate) async fn change(nats: &Nats, store: &Store, changes: Vec<Change>) -> Result<Vec<u64>, StoreError> {
    let shared: &Arc<Shared> = store.shared();
    let subject = nats.documents_subject();
    let id = u64::from_ne_bytes(random::bytes().map_err(|error| failing(&error.to_string()))?);
    let changes = Arc::new(changes);
    let began = clock::now();
    loop {
        let last = shared.followed(STREAM_DOCUMENTS);
        let checked = changes.clone();
        let revisions = store.read_async(move |reader| check(reader, &checked)).await?;
        let message = write_changes(id, last, &changes, Journal::default());
        let error = match nats.publish(&subject, message, Some(last)).await {
            Ok(sequence) => {
                shared.wait_followed(STREAM_DOCUMENTS, sequence).await.ok_or(StoreError::Closed)?;
                if shared.has_seen_change(id) {
                    return Ok(revisions);
                }
                continue; // another came with it and was first
            }
            Err(error) => error,
        };
        let race = LostRace::of(&error);
        if race != Some(LostRace::Written) {
            if began.elapsed() >= TRY_FOR || shared.is_stopping() {
                return Err(failing(&error.to_string()));
            }
            tokio::time::sleep(if race.is_some() { UNDER_WAY_PAUSE } else { RETRY_AFTER }).await;
        }
        // Another node was first; or this change is in the stream, and only its acknowledgement was lost.
        if let Ok(end) = nats.last_sequence(STREAM_DOCUMENTS, &subject).await {
            shared.wait_followed(STREAM_DOCUMENTS, end).await.ok_or(StoreError::Closed)?;
            if shared.has_seen_change(id) {
                return Ok(revisions);
            }
        }
    }
}

/// Writes the first documents of a cluster; false if it has some.
///
/// # Errors
/// If NATS does not take them.
pub(crate) async fn bring(nats: &Nats, changes: &[Change]) -> anyhow::Result<bool> {
    let began = clock::now();
    loop {
        // A message that is not taken leaves a trace in servers of NATS 2.9: one that is killed after it may
        // have the last messages twice when it comes back. So none is sent for nothing.
        if nats.end(STREAM_DOCUMENTS).await? > 0 {
            return Ok(false);
        }
        let message = write_changes(0, 0, changes, Journal::default());
        let Err(error) = nats.publish(&nats.documents_subject(), message, Some(0)).await else {
            return Ok(true);
        };
        // Those of another node that are under way are not there yet, and may never be.
        if LostRace::of(&error).is_none() || began.elapsed() >= TRY_FOR {
            return Err(error).context("NATS does not take the first documents");
        }
        tokio::time::sleep(UNDER_WAY_PAUSE).await;
    }
}

/// Writes changes that were checked when this message was the last, as a server takes them that has looked
/// before it writes, and not when it writes.
#[cfg(test)]
pub(crate) async fn change_late(nats: &Nats, after: u64, changes: &[Change]) -> u64 {
    let message = write_changes(1, after, changes, Journal::default());
    nats.publish(&nats.documents_subject(), message, None).await.expect("it is taken")
}

/// Writes how far deliveries have come, and what was done. Who comes last is right: a node that was
/// replaced without noticing can only make its successor send again what was sent.
///
/// # Errors
/// If NATS does not take it.
pub(crate) async fn record(nats: &Nats, changes: &[Change], journal: Journal) -> Result<(), StoreError> {
    let message = write_changes(0, 0, changes, journal);
    let published = nats.publish(&nats.progress_subject(), message, None).await;
    published.map(drop).map_err(|error| failing(&error.to_string()))
}

fn failing(error: &str) -> StoreError {
    StoreError::Failing(format!("NATS does not take it: {error}").into())
}

/// The revisions that the documents would have after the changes, if all are as expected.
fn check(reader: &Reader, changes: &[Change]) -> Result<Vec<u64>, StoreError> {
    let check = |change: &Change| {
        let found = reader.document(&change.kind, &change.id)?.map(|document| document.revision);
        let fits = match change.expected {
            Expected::Any => true,
            Expected::Absent => found.is_none(),
            Expected::Revision(revision) => found == Some(revision),
        };
        if fits {
            Ok(found.unwrap_or(0) + 1)
        } else {
            Err(StoreError::Conflict { kind: change.kind.clone(), id: change.id.clone() })
        }
    };
    changes.iter().map(check).collect()
}
