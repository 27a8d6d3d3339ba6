//! The admin API: what an operator sets up and sees, under a token of its own.
//!
//! Accounts, extensions and sources live in the files; the API edits those, with their comments, and
//! what it would write is checked as the files are. Applications, users and credentials live in the store.

pub(super) mod access;
pub(super) mod applications;
pub(super) mod cluster;
pub(super) mod directory;
pub(super) mod events;
mod file;
pub(super) mod filter_trials;
pub(super) mod live;
pub(super) mod redeliveries;
pub(super) mod sessions;
pub(super) mod sources;
pub(super) mod status;
pub(super) mod subscriptions;
pub(super) mod tokens;
pub(super) mod users;

use std::sync::Arc;

use axum::routing::{get, post};
use hookswitch_store::{Change, Expected, StoreError};
use serde::Serialize;
use serde::de::DeserializeOwned;

use self::access::{Access, Admin, Operator, Reader};
pub(crate) use self::file::Files;
use super::request::Content;
use super::routes::Routes;
use super::{Api, Problem};

/// The longest name or label, in characters.
const NAME_CHARS_MAX: usize = 200;

/// What the store says, for a caller.
fn kept(error: StoreError) -> Problem {
    match error {
        StoreError::Conflict { kind, id } => {
            Problem::conflict(format!("The {kind} {id} has changed meanwhile; read it, and change it again"))
        }
        StoreError::Failing(cause) => Problem::unavailable(format!("The store cannot be written: {cause}")),
        error => {
            tracing::error!(%error, "the store does not give what the admin API needs");
            Problem::internal()
        }
    }
}

/// A list of things.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct Records<T: utoipa::ToSchema> {
    records: Vec<T>,
}

/// Reads a body of JSON.
///
/// # Errors
/// 400 with the field that is wrong and what may stand there.
fn json<T: DeserializeOwned>(content: &Content) -> Result<T, Problem> {
    serde_json::from_slice(&content.0).map_err(|error| {
        let message = format!("The body cannot be used: {error}; /openapi.json shows every field");
        if error.is_data() { Problem::invalid(message) } else { Problem::no_json(message) }
    })
}

/// Checks a name that people read.
fn check_name(field: &'static str, text: &str) -> Result<(), Problem> {
    let length = text.chars().count();
    if text.trim().is_empty() || length > NAME_CHARS_MAX || text.chars().any(char::is_control) {
        let message =
            format!("{field} must have 1 to {NAME_CHARS_MAX} characters, and no control characters");
        return Err(Problem::field(field, message));
    }
    Ok(())
}

impl Api {
    /// The documents of a kind, each read as a type, with their ids.
    async fn documents<T: DeserializeOwned + Send + 'static>(
        &self,
        kind: &'static str,
    ) -> Result<Vec<(String, T)>, Problem> {
        let documents = self.store.read_async(move |reader| reader.documents(kind)).await.map_err(kept)?;
        let read = |document: hookswitch_store::Document| match serde_json::from_str(&document.content) {
            Ok(content) => Some((document.id, content)),
            Err(error) => {
                tracing::error!(kind, id = document.id, %error, "a document cannot be read");
                None
            }
        };
        Ok(documents.into_iter().filter_map(read).collect())
    }

    /// A document with its revision.
    async fn document<T: DeserializeOwned + Send + 'static>(
        &self,
        kind: &'static str,
        id: &str,
    ) -> Result<Option<(u64, T)>, Problem> {
        let key = id.to_owned();
        let found = self.store.read_async(move |reader| reader.document(kind, &key)).await.map_err(kept)?;
        let read = found.map(|document| {
            serde_json::from_str(&document.content).map(|content| (document.revision, content)).map_err(
                |error| {
                    tracing::error!(kind, id, %error, "a document cannot be read");
                    Problem::internal()
                },
            )
        });
        read.transpose()
    }

    /// Puts a document in place of what was there at a revision.
    async fn put(
        &self,
        kind: &'static str,
        id: &str,
        expected: Expected,
        content: &impl Serialize,
    ) -> Result<(), Problem> {
        let content = serde_json::to_string(content).map_err(|_| Problem::internal())?;
        let change = Change { kind: kind.into(), id: id.to_owned(), expected, content: Some(content) };
        self.store.change(vec![change]).await.map_err(kept)?;
        // A grant may have rested on it.
        self.oauth.tell_ended();
        Ok(())
    }

    /// Takes a document away.
    async fn remove(&self, kind: &'static str, id: &str) -> Result<(), Problem> {
        let change = Change { kind: kind.into(), id: id.to_owned(), expected: Expected::Any, content: None };
        self.store.change(vec![change]).await.map_err(kept)?;
        // A grant may have rested on it.
        self.oauth.tell_ended();
        Ok(())
    }
}

/// The resources.
pub(super) fn routes() -> Routes {
    let accounts = "/admin/v1/accounts";
    let account = "/admin/v1/accounts/{accountId}";
    let extensions = "/admin/v1/accounts/{accountId}/extensions";
    let extension = "/admin/v1/accounts/{accountId}/extensions/{extensionNumber}";
    Routes::default()
        .route(accounts, get(directory::accounts).post(directory::add_account))
        .route(
            account,
            get(directory::account).put(directory::replace_account).delete(directory::remove_account),
        )
        .route(extensions, get(directory::extensions).post(directory::add_extension))
        .route(
            extension,
            get(directory::extension).put(directory::replace_extension).delete(directory::remove_extension),
        )
        .route("/admin/v1/applications", get(applications::list).post(applications::add))
        .route(
            "/admin/v1/applications/{clientId}",
            get(applications::read).put(applications::replace).delete(applications::remove),
        )
        .route("/admin/v1/applications/{clientId}/secret", post(applications::renew_secret))
        .route("/admin/v1/users", get(users::list))
        .route("/admin/v1/users/{extensionId}", get(users::read).put(users::replace).delete(users::remove))
        .route("/admin/v1/users/{extensionId}/jwts", get(users::jwts).post(users::add_jwt))
        .route("/admin/v1/users/{extensionId}/jwts/{jwtId}", axum::routing::delete(users::remove_jwt))
        .route("/admin/v1/sources", get(sources::list_sources).post(sources::add))
        .route("/admin/v1/sources/{name}", get(sources::read).put(sources::replace).delete(sources::remove))
        .route("/admin/v1/me", get(status::me))
        .route("/admin/v1/status", get(status::status))
        .route("/admin/v1/cluster", get(cluster::read))
        .route("/admin/v1/cluster/partitions/{partition}", post(cluster::move_partition))
        .route("/admin/v1/cluster/nodes/{node}", post(cluster::drain_node))
        .route("/admin/v1/live", get(live::live))
        .route("/admin/v1/subscriptions", get(subscriptions::list))
        .route("/admin/v1/subscriptions/{subscriptionId}", get(subscriptions::read))
        .route("/admin/v1/subscriptions/{subscriptionId}/test", post(subscriptions::test))
        .route("/admin/v1/subscriptions/{subscriptionId}/renew", post(subscriptions::renew))
        .route("/admin/v1/tokens", get(tokens::list).post(tokens::add))
        .route("/admin/v1/tokens/{tokenId}", axum::routing::delete(tokens::remove))
        .route("/admin/v1/sessions", get(sessions::list))
        .route("/admin/v1/sessions/{telephonySessionId}", get(sessions::read))
        .route("/admin/v1/sessions/{telephonySessionId}/capture", get(sessions::capture))
        .route("/admin/v1/events/{eventId}", get(events::read))
        .route("/admin/v1/filter-trials", post(filter_trials::run))
        .route("/admin/v1/redeliveries", get(redeliveries::list).post(redeliveries::add))
        .route("/admin/v1/redeliveries/{redeliveryId}", get(redeliveries::read).delete(redeliveries::cancel))
        .route("/admin/v1/redeliveries/{redeliveryId}/resume", post(redeliveries::resume))
}

/// The files, shared.
pub(crate) type SharedFiles = Arc<Files>;
