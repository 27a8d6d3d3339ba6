//! `POST /ingest/v1/signals`: signals of switches that have no adapter; `docs/ingest.md` is the schema.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use hookswitch_model::AccountId;
use hookswitch_signal::ingest::{IngestError, Posted};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::oneshot;

use super::admin::access::{ADMIN_TOKEN, AdminToken, Role};
use super::{Api, Problem, body, oauth};
use crate::clock;
use crate::config::{Config, IngestKey};
use crate::run::{Accepted, Intake, PostedBatch};
use crate::secret::Digest;
use crate::source::count::{Drop, SourceCount, SourceCounts};
use crate::store::Health;
use crate::store::record::Sender;

/// The longest body of this resource.
const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The name of the source of signals that are posted with the admin token.
const ADMIN: &str = "admin";

/// Who may post signals, and how many at once.
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

    /// Whose key has this digest.
    fn sender(&self, digest: &Digest) -> Option<Sender> {
        let key = self.keys.iter().find(|key| key.sha256.is(digest))?;
        let account = key.account.map_or(self.account, |account| account.0);
        Some(Sender::Ingest { name: key.name.clone(), account: account.as_u64() })
    }
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
    let sender = authorize(&api, &access, &headers).await?;
    let body = body::read(&headers, body, BODY_BYTES_MAX).await?;
    let signals = match read(&body, access.signals_max) {
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

async fn authorize(api: &Api, access: &IngestAccess, headers: &HeaderMap) -> Result<Sender, Problem> {
    let token = bearer(headers).ok_or_else(Problem::unauthorized)?;
    let digest = Digest::of(token);
    if let Some(sender) = access.sender(&digest) {
        return Ok(sender);
    }
    let admin = api
        .store
        .find(move |reader| oauth::read::<AdminToken>(reader, ADMIN_TOKEN, &digest.to_string()))
        .await;
    match admin {
        Ok(Some(token)) if token.role != Role::Full => Err(Problem::read_only()),
        Ok(Some(_)) => Ok(Sender::Ingest { name: ADMIN.to_owned(), account: access.account.as_u64() }),
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

/// Reads all signals of a body; else how many there were, and what is wrong.
fn read(body: &[u8], signals_max: usize) -> Result<Signals, (usize, Problem)> {
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
        let posted = posted.map_err(|error: IngestError| {
            (count, Problem::invalid(format!("signals[{index}]: {error}; none of the batch is accepted")))
        })?;
        Ok((posted, json.to_owned()))
    };
    signals.into_iter().enumerate().map(read).collect()
}
