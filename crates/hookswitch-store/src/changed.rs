//! Documents that change, by whichever node, for who follows them.

use std::borrow::Cow;

use tokio::sync::broadcast::{self, error::RecvError};
use tokio::sync::watch;

/// Number of those that may wait for somebody to look at them; who comes later looks at all.
const WAITING_MAX: usize = 1024;

/// A document that has changed: its kind and its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// The kind, as [`Change::kind`](crate::Change::kind) has it.
    pub kind: Cow<'static, str>,
    /// The id among those of its kind.
    pub id: String,
    /// Set if it is there no longer.
    pub gone: bool,
}

/// News for one who follows the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DocumentUpdate {
    /// This one has.
    One(Changed),
    /// More have changed than waited: any may have.
    Any,
}

/// Tells all who follow.
pub(super) struct ChangedDocuments(broadcast::Sender<Changed>);

impl Default for ChangedDocuments {
    fn default() -> Self {
        Self(broadcast::Sender::new(WAITING_MAX))
    }
}

impl ChangedDocuments {
    /// Tells who follows.
    pub(super) fn tell(&self, documents: impl Iterator<Item = Changed>) {
        for changed in documents {
            self.0.send(changed).ok(); // nobody does on a server alone
        }
    }

    /// Follows from now on.
    pub(super) fn follow(&self) -> FollowDocuments {
        FollowDocuments(self.0.subscribe())
    }
}

/// Follows the documents that change.
pub struct FollowDocuments(broadcast::Receiver<Changed>);

impl FollowDocuments {
    /// Waits for the next; none when the store is closed. May be dropped and asked again.
    pub async fn next(&mut self) -> Option<DocumentUpdate> {
        match self.0.recv().await {
            Ok(changed) => Some(DocumentUpdate::One(changed)),
            Err(RecvError::Lagged(_)) => Some(DocumentUpdate::Any),
            Err(RecvError::Closed) => None,
        }
    }

    /// The same, and none when told to stop.
    pub async fn next_until(&mut self, stop: &mut watch::Receiver<bool>) -> Option<DocumentUpdate> {
        tokio::select! {
            told = self.next() => told,
            _ = stop.wait_for(|&stop| stop) => None,
        }
    }
}
