//! Status of the server: who asks, what comes in and goes out, and where something is lost.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use hookswitch_server::clock;
use hookswitch_server::rates::Sample;
use hookswitch_server::source_counts::{SourceCount, SourceKey};
use hookswitch_server::telemetry::Counts as _;
use hookswitch_store::Health;
use serde::Serialize;
use utoipa::ToSchema;

use super::access::{Access, Reader, Role};
use crate::{Api, Problem, openapi};

/// Holder of a token of the admin API.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Me {
    role: Role,
    /// The only account that is seen; all without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    account_id: Option<String>,
    /// For people.
    name: String,
}

/// State of the server.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Status {
    version: &'static str,
    uptime_seconds: u64,
    store: StoreStatus,
    /// Calls that go on.
    open_calls: usize,
    /// Inputs at each stage and what became of them. Not shown to users when there are several accounts, of which
    /// they see one.
    #[serde(skip_serializing_if = "Option::is_none")]
    journey: Option<Vec<Stage>>,
    /// The last minutes, the oldest first; of the whole server, as the journey.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Sample>>)]
    rates: Option<Vec<Arc<Sample>>>,
    sources: Vec<SourceStatus>,
}

/// State of the store: it takes what comes in, or why it does not.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct StoreStatus {
    is_writable: bool,
    /// Reason, if not.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// Inputs that were ever written.
    inputs: u64,
    /// Events that were ever written.
    events: u64,
}

/// A stage of the journey from what a phone system emits to what subscribers get.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Stage {
    name: &'static str,
    /// Inputs since the server has started.
    received: u64,
    /// Counts of what became of them; the sum is what came in, but for what is on its way.
    outcomes: BTreeMap<&'static str, u64>,
}

/// A source and what it sends.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct SourceStatus {
    name: String,
    /// `hep`, `ingest`, `ami` or `esl`.
    kind: &'static str,
    /// Of a source that the server connects to.
    #[serde(skip_serializing_if = "Option::is_none")]
    connected: Option<bool>,
    /// Those that were taken since the server has started.
    messages: u64,
    per_second: f64,
    /// Those that were not, by cause.
    dropped: BTreeMap<&'static str, u64>,
    /// Time when something came last.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_time: Option<String>,
}

/// Tells who asks, and what they may.
#[utoipa::path(get, path = "/admin/v1/me", tag = "Console", security(("admin" = [])),
    responses((status = 200, body = Me), openapi::Refusals))]
pub(crate) async fn me(Reader(access): Reader) -> Json<Me> {
    let account_id = access.account.map(|account| account.to_string());
    Json(Me { role: access.role, account_id, name: access.name })
}

/// Tells how the server is doing.
#[utoipa::path(get, path = "/admin/v1/status", tag = "Console", security(("admin" = [])),
    responses((status = 200, body = Status), openapi::Refusals))]
pub(crate) async fn status(State(api): State<Api>, Reader(access): Reader) -> Result<Json<Status>, Problem> {
    let whole = sees_whole(&api, &access);
    Ok(Json(Status {
        version: env!("CARGO_PKG_VERSION"),
        uptime_seconds: clock::steady().since(api.started).as_secs(),
        store: store(&api),
        open_calls: api.calls.count(access.account)?,
        journey: whole.then(|| journey(&api)),
        rates: whole.then(|| api.rates.samples()),
        sources: sources(&api, &access),
    }))
}

/// Returns `true` if figures of the whole server tell an access nothing of accounts that it does not see.
pub(super) fn sees_whole(api: &Api, access: &Access) -> bool {
    let directory = api.directory();
    access.account.is_none_or(|own| directory.accounts().all(|account| account.id() == own))
}

fn store(api: &Api) -> StoreStatus {
    let reason = match api.store.health() {
        Health::Good => None,
        Health::Failing(cause) => Some(cause.to_string()),
    };
    let ends = api.store.ends();
    StoreStatus { is_writable: reason.is_none(), reason, inputs: ends.signals, events: ends.events }
}

fn journey(api: &Api) -> Vec<Stage> {
    let metrics = &api.metrics;
    let sum = |counts: &[(&'static str, u64)]| counts.iter().map(|(_, count)| count).sum::<u64>();
    let of = |name, received, counts: Vec<(&'static str, u64)>| Stage {
        name,
        received,
        outcomes: counts.into_iter().collect(),
    };
    let frames = metrics.frames.all();
    let messages = metrics.messages.all();
    let signals = metrics.signals.all();
    let notifications = &metrics.notifications;
    let sockets = &metrics.socket_notifications;
    let pending = metrics.notifications_pending.get().unsigned_abs();
    vec![
        of("hepFrames", sum(&metrics.frames_received.all()), frames),
        of("sipMessages", metrics.frames.accepted.get(), messages),
        of("signals", sum(&signals), signals),
        of(
            "events",
            metrics.events.get(),
            vec![("stored", metrics.store.events_stored.get()), ("repeated", metrics.events_repeated.get())],
        ),
        of(
            "webhookNotifications",
            notifications.matched.get(),
            vec![
                ("acknowledged", notifications.acknowledged.get()),
                ("expired", notifications.expired.get()),
                ("dropped", notifications.dropped.get()),
                ("pending", pending),
            ],
        ),
        of("webSocketNotifications", sockets.matched.get(), vec![("sent", sockets.sent.get())]),
    ]
}

fn sources(api: &Api, access: &Access) -> Vec<SourceStatus> {
    let shown = |(key, count): (SourceKey, Arc<SourceCount>)| SourceStatus {
        per_second: api.rates.of_source(&key),
        kind: key.0,
        name: key.1,
        connected: count.connected(),
        messages: count.taken(),
        dropped: count.drops().filter(|(_, count)| *count > 0).collect(),
        last_time: count.heard().map(|at| at.to_string()),
    };
    let seen = |(_, count): &(SourceKey, Arc<SourceCount>)| access.sees(count.account());
    api.metrics.sources.all().into_iter().filter(seen).map(shown).collect()
}
