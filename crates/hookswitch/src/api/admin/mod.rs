//! The admin API: what an operator sets up, under a token of its own.
//!
//! Accounts, extensions and sources live in the files; the API edits those, with their comments, and
//! what it would write is checked as the files are. Applications, users and credentials live in the store.

pub(super) mod applications;
pub(super) mod directory;
pub(super) mod events;
mod file;
pub(super) mod filter_trials;
pub(super) mod redeliveries;
pub(super) mod sessions;
pub(super) mod sources;
pub(super) mod subscriptions;
pub(super) mod users;

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::header;
use axum::http::request::Parts;
use axum::routing::{get, post};
use hookswitch_model::AccountId;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub(crate) use self::file::Files;
use super::request::Content;
use super::routes::Routes;
use super::{Api, Problem};
use crate::secret::Digest;
use crate::store::{Change, Expected, StoreError};

/// The longest name or label, in characters.
const NAME_CHARS_MAX: usize = 200;

/// Whoever has the admin token.
pub(crate) struct Admin;

/// Who asks, and what they may see.
#[derive(Clone, Debug)]
pub(crate) struct Access {
    /// The only account that is seen and touched; all without it.
    pub(crate) account: Option<AccountId>,
}

/// Whoever may see what happens.
pub(crate) struct Reader(pub(crate) Access);

impl FromRequestParts<Api> for Reader {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        Admin::from_request_parts(parts, api).await.map(|_| Self(Access { account: None }))
    }
}

/// Whoever may also act on it: test, renew, redeliver.
pub(crate) struct Operator(pub(crate) Access);

impl FromRequestParts<Api> for Operator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        Admin::from_request_parts(parts, api).await.map(|_| Self(Access { account: None }))
    }
}

impl FromRequestParts<Api> for Admin {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let value = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = value.and_then(|value| value.split_once(' '));
        let token = token.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        let token = token.ok_or_else(Problem::unauthorized)?.1.trim();
        let digest = Digest::of(token.as_bytes()).to_string();
        let known = api.store.read_async(move |reader| reader.document("admin_token", &digest)).await;
        match known.map_err(kept)? {
            Some(_) => Ok(Self),
            None => Err(Problem::unauthorized()),
        }
    }
}

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
        let read = |document: crate::store::Document| match serde_json::from_str(&document.content) {
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
        let change = Change { kind, id: id.to_owned(), expected, content: Some(content) };
        self.store.change(vec![change]).await.map_err(kept)?;
        // A grant may have rested on it.
        self.oauth.tell_ended();
        Ok(())
    }

    /// Takes a document away.
    async fn remove(&self, kind: &'static str, id: &str) -> Result<(), Problem> {
        let change = Change { kind, id: id.to_owned(), expected: Expected::Any, content: None };
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
        .route("/admin/v1/subscriptions", get(subscriptions::list))
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
