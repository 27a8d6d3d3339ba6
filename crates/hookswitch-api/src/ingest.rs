//! `POST /ingest/v1/signals`: signals of switches that have no adapter; `docs/ingest.md` is the schema.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use hookswitch_model::AccountId;
use hookswitch_server::config::{Config, INGEST_ADMIN, IngestKey};
use hookswitch_server::intake::{Accepted, Intake, PostedBatch};
use hookswitch_server::secret::Digest;
use hookswitch_server::source_counts::{Drop, SourceCount, SourceCounts};
use hookswitch_server::{auth, clock};
use hookswitch_signal::ingest::{IngestError, Posted};
use hookswitch_store::{Health, Sender};
use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};
use tokio::sync::oneshot;

use super::admin::access::{AdminToken, Role};
use super::{Api, Problem, body};

/// The longest body of this resource.
const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Rights to post signals, and how many at once.
pub(crate) struct IngestAccess {
    keys: Vec<IngestKey>,
    /// The account of calls whose signals name none, and whose key has none.
    account: AccountId,
    signals_max: usize,
}

impl IngestAccess {
    /// The access that a configuration gives.
    pub(crate) fn of(config: &Config, account: AccountId, counts: &SourceCounts) -> Self {
        for key in &config.ingest.key {
            counts.of("ingest", &key.name, key.account.map_or(account, |account| account.0));
        }
        Self { keys: config.ingest.key.clone(), account, signals_max: config.ingest.signals_max }
    }

    /// Returns whose key has this digest.
    fn client(&self, digest: &Digest) -> Option<Client> {
        let key = self.keys.iter().find(|key| key.sha256.is(digest))?;
        let only = key.account.map(|account| account.0);
        let account = only.unwrap_or(self.account);
        Some(Client { sender: Sender::Ingest { name: key.name.clone(), account: account.as_u64() }, only })
    }
}

/// Poster of signals.
struct Client {
    sender: Sender,
    /// The only account that it may post into.
    only: Option<AccountId>,
}

/// The body of a request.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Batch<'a> {
    #[serde(borrow)]
    signals: Vec<&'a RawValue>,
}

/// Signals as they were understood, each with its JSON.
type Signals = Vec<(Posted, Box<RawValue>)>;

/// Takes the signals of a request, all or none; answers when they are on disk.
#[utoipa::path(post, path = "/ingest/v1/signals", tag = "Ingest", security(("ingest" = [])),
    request_body(content = super::openapi::SignalsBody),
    responses((status = 200, body = Accepted), super::openapi::Refusals))]
pub(super) async fn post(
    State(api): State<Api>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Accepted>, Problem> {
    let access = api.keys.read().map_err(|_| Problem::internal())?.clone();
    let Client { sender, only } = authorize(&api, &access, &headers).await?;
    let body = body::read(&headers, body, BODY_BYTES_MAX).await?;
    let signals = match read(&body, access.signals_max, only) {
        Ok(signals) => signals,
        Err((count, problem)) => {
            source(&api, &sender).dropped(Drop::Malformed, count as u64, clock::steady());
            api.metrics.posted.refused.inc_by(count as u64);
            return Err(problem);
        }
    };
    let count = signals.len() as u64;
    let source = source(&api, &sender);
    let outcome = hand_in(&api, sender, signals).await;
    if outcome.is_ok() {
        source.messages(count, clock::steady());
    } else {
        source.dropped(Drop::Busy, count, clock::steady());
        api.metrics.posted.refused.inc_by(count);
    }
    outcome.map(Json)
}

/// The counts of whoever posts.
fn source(api: &Api, sender: &Sender) -> Arc<SourceCount> {
    match sender {
        Sender::Ingest { name, account } => api.metrics.sources.of("ingest", name, AccountId::new(*account)),
        _ => Arc::default(),
    }
}

async fn hand_in(
    api: &Api,
    sender: Sender,
    signals: Vec<(Posted, Box<RawValue>)>,
) -> Result<Accepted, Problem> {
    let mut health = api.store.follow_health();
    let failing = |health: &Health| match health {
        Health::Good => None,
        Health::Failing(cause) => {
            Some(Problem::unavailable(format!("The store cannot be written: {cause}; send it again")))
        }
    };
    if let Some(problem) = failing(&health.borrow()) {
        return Err(problem);
    }
    let (accepted, outcome) = oneshot::channel();
    let batch = PostedBatch { sender, signals, accepted };
    if api.intake.try_send(Intake::Posted(batch)).is_err() {
        return Err(Problem::unavailable("The server has more than it can take; send it again"));
    }
    tokio::select! {
        outcome = outcome => outcome
            .map_err(|_| Problem::unavailable("The server could not take it; its log says why; send it again")),
        // What waits may still be written; its ids keep a repeat from counting twice.
        changed = health.wait_for(|health| *health != Health::Good) => match changed {
            Ok(health) => Err(failing(&health).unwrap_or_else(Problem::internal)),
            Err(_) => Err(Problem::unavailable("The server is stopping; send it again")),
        },
    }
}

async fn authorize(api: &Api, access: &IngestAccess, headers: &HeaderMap) -> Result<Client, Problem> {
    let token = bearer(headers).ok_or_else(Problem::unauthorized)?;
    let digest = Digest::of(token);
    if let Some(client) = access.client(&digest) {
        return Ok(client);
    }
    let admin = api
        .store
        .find(move |reader| auth::read::<AdminToken>(reader, auth::ADMIN_TOKEN, &digest.to_string()))
        .await;
    match admin {
        Ok(Some(token)) if token.role != Role::Full => Err(Problem::read_only()),
        Ok(Some(_)) => {
            let sender = Sender::Ingest { name: INGEST_ADMIN.to_owned(), account: access.account.as_u64() };
            Ok(Client { sender, only: None })
        }
        Ok(None) => Err(Problem::unauthorized()),
        Err(error) => {
            tracing::error!(%error, "an admin token could not be looked up");
            Err(Problem::internal())
        }
    }
}

/// The token of `Authorization: Bearer`, whose scheme may be written in any case (RFC 9110 §11.1).
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, token) = value.split_at_checked(BEARER.len())?;
    scheme.eq_ignore_ascii_case(BEARER).then(|| token.trim_ascii())
}

const BEARER: &[u8] = b"Bearer ";

/// Reads all signals of a body, of a client that may post into one account alone or into all; else how many
/// there were, and what is wrong.
fn read(body: &[u8], signals_max: usize, only: Option<AccountId>) -> Result<Signals, (usize, Problem)> {
    let Batch { signals } = serde_json::from_slice(body).map_err(|error| {
        let message = format!("The body is not {{\"signals\": [...]}}: {error}");
        (0, if error.is_data() { Problem::invalid(message) } else { Problem::no_json(message) })
    })?;
    let count = signals.len();
    if count == 0 || count > signals_max {
        let message = format!("\"signals\" has {count} entries; send 1 to {signals_max}");
        return Err((count, Problem::invalid(message)));
    }
    let read = |(index, json): (usize, &RawValue)| {
        let posted = Posted::parse(json.get().as_bytes());
        let mut posted = posted.map_err(|error: IngestError| {
            (count, Problem::invalid(format!("signals[{index}]: {error}; none of the batch is accepted")))
        })?;
        match (only, posted.account) {
            (Some(only), Some(account)) if account != only => {
                Err((count, Problem::other_account(index, account, only)))
            }
            (Some(only), None) => {
                posted.account = Some(only);
                let json = with_account(json, only).map_err(|_| (count, Problem::internal()))?;
                Ok((posted, json))
            }
            _ => Ok((posted, json.to_owned())),
        }
    };
    signals.into_iter().enumerate().map(read).collect()
}

/// A signal that names its account, so that the log says whose it is, whatever becomes of the key.
fn with_account(signal: &RawValue, account: AccountId) -> serde_json::Result<Box<RawValue>> {
    let account = to_raw_value(&account.as_u64())?;
    let mut members: BTreeMap<String, &RawValue> = serde_json::from_str(signal.get())?;
    members.insert("account".to_owned(), &account);
    to_raw_value(&members)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONLY: AccountId = AccountId::new(7);

    fn posted(signal: &str, only: Option<AccountId>) -> Result<(Posted, String), Problem> {
        let body = format!("{{\"signals\": [{signal}]}}");
        let mut signals = read(body.as_bytes(), 10, only).map_err(|(_, problem)| problem)?;
        let (posted, json) = signals.pop().expect("one");
        Ok((posted, json.get().to_owned()))
    }

    #[test]
    fn what_is_logged_of_a_key_with_an_account_names_the_account_and_is_else_as_it_was_posted() {
        for signal in [
            r#"{"id": "1", "leg": "a", "kind": "held"}"#,
            r#"{"account": null, "id": "1", "leg": "a", "kind": "held"}"#,
            r#"{"id": "1", "leg": "a", "kind": "held", "acc\u006funt": null}"#,
            r#"{"id": "1", "leg": "a", "kind": "held", "account": 7}"#,
            r#"{"id": "Zo\u00eb \"Z\" \\", "leg": "a", "kind": "created", "direction": "outbound", "callee": "1",
                "caller": {"name": "Zo\u00eb", "withheld": false}}"#,
        ] {
            let (mut alone, _) = posted(signal, None).expect("it fits");
            alone.account = Some(ONLY);
            let (told, json) = posted(signal, Some(ONLY)).expect("it fits");
            assert_eq!(told, alone, "{signal}");
            // The log alone gives the same.
            assert_eq!(Posted::parse(json.as_bytes()).expect("it is read again"), told, "{json}");
        }
    }

    #[test]
    fn what_is_posted_without_such_a_key_is_logged_as_it_is() {
        let signal = r#"{"id": "1",  "leg": "a", "kind": "held", "account": null}"#;
        let (told, json) = posted(signal, None).expect("it fits");
        assert_eq!((told.account, &*json), (None, signal));
    }

    #[test]
    fn another_account_is_refused_however_it_is_written() {
        for signal in [
            r#"{"id": "1", "leg": "a", "kind": "held", "account": 8}"#,
            r#"{"id": "1", "leg": "a", "kind": "ended", "acc\u006funt": 8}"#,
            r#"{"id": "1", "leg": "a", "kind": "created", "direction": "outbound", "callee": "1", "account": 70}"#,
        ] {
            let problem = posted(signal, Some(ONLY)).expect_err("it is another account");
            assert_eq!(problem.status(), 403, "{signal}");
        }
        let twice = r#"{"id": "1", "leg": "a", "kind": "held", "account": 7, "account": 8}"#;
        assert_eq!(posted(twice, Some(ONLY)).expect_err("a key is given twice").status(), 400);
    }
}
