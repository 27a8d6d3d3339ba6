//! The admin API: what an operator sets up and sees, under a token of its own.
//!
//! Accounts, extensions and sources live in the files; the API edits those, with their comments, and
//! what it would write is checked as the files are. Applications, users and credentials live in the store.

pub(super) mod access;
pub(super) mod applications;
pub(super) mod attempts;
pub(super) mod clock;
pub(super) mod cluster;
pub(super) mod directory;
pub(super) mod events;
pub(super) mod extensions;
pub(super) mod figures;
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

use hookswitch_store::{Change, Expected, StoreError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::access::{Access, Admin, Operator, Reader};
pub(crate) use self::file::Files;
pub(crate) use self::subscriptions::SubscriptionStates;
use super::request::Content;
use super::{Api, Problem};

/// The longest name or label, in characters.
const NAME_CHARS_MAX: usize = 200;

/// Returns what the store says, for a caller.
fn kept(error: StoreError) -> Problem {
    match error {
        StoreError::Conflict { kind, id } => {
            Problem::conflict(format!("The {kind} {id} has changed meanwhile; read it, and change it again"))
        }
        StoreError::Failing(cause) => Problem::unavailable(format!("The store cannot be written: {cause}")),
        error => {
            tracing::error!(%error, "an admin API lookup failed");
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
    pub(super) async fn documents<T: DeserializeOwned + Send + 'static>(
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
        self.oauth.tell_changed(kind);
        Ok(())
    }

    /// Takes a document away.
    async fn remove(&self, kind: &'static str, id: &str) -> Result<(), Problem> {
        let change = Change { kind: kind.into(), id: id.to_owned(), expected: Expected::Any, content: None };
        self.store.change(vec![change]).await.map_err(kept)?;
        self.oauth.tell_changed(kind);
        Ok(())
    }
}

/// The resources.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(directory::accounts, directory::add_account))
        .routes(routes!(directory::account, directory::replace_account, directory::remove_account))
        .routes(routes!(directory::extensions, directory::add_extension))
        .routes(routes!(directory::extension, directory::replace_extension, directory::remove_extension))
        .routes(routes!(applications::list, applications::add))
        .routes(routes!(applications::read, applications::replace, applications::remove))
        .routes(routes!(applications::renew_secret))
        .routes(routes!(users::list))
        .routes(routes!(users::read, users::replace, users::remove))
        .routes(routes!(users::jwts, users::add_jwt))
        .routes(routes!(users::remove_jwt))
        .routes(routes!(sources::list_sources, sources::add))
        .routes(routes!(sources::read, sources::replace, sources::remove))
        .routes(routes!(clock::read, clock::advance))
        .routes(routes!(status::me))
        .routes(routes!(status::status))
        .routes(routes!(cluster::read))
        .routes(routes!(cluster::move_partition))
        .routes(routes!(cluster::drain_node))
        .routes(routes!(live::live))
        .routes(routes!(extensions::list))
        .routes(routes!(subscriptions::list))
        .routes(routes!(subscriptions::read, subscriptions::remove))
        .routes(routes!(subscriptions::pause))
        .routes(routes!(attempts::list))
        .routes(routes!(figures::read))
        .routes(routes!(subscriptions::resume))
        .routes(routes!(subscriptions::test))
        .routes(routes!(subscriptions::renew))
        .routes(routes!(tokens::list, tokens::add))
        .routes(routes!(tokens::remove))
        .routes(routes!(sessions::list))
        .routes(routes!(sessions::table))
        .routes(routes!(sessions::read))
        .routes(routes!(sessions::capture))
        .routes(routes!(events::read))
        .routes(routes!(filter_trials::run))
        .routes(routes!(redeliveries::list, redeliveries::add))
        .routes(routes!(redeliveries::read, redeliveries::cancel))
        .routes(routes!(redeliveries::resume))
}

/// The files, shared.
pub(crate) type SharedFiles = Arc<Files>;
