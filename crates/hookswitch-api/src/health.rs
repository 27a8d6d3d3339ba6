//! Health of the server: it lives, it takes work, and its counters.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use hookswitch_store::Health;
use serde::Serialize;

use super::{Api, metrics};

/// Answer of `/readyz`.
#[derive(Serialize, utoipa::ToSchema)]
struct Readiness {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// The process lives.
#[utoipa::path(get, path = "/healthz", tag = "Operation", security(()), responses((status = 200, body = Readiness)))]
pub(super) async fn alive() -> impl IntoResponse {
    Json(Readiness { status: "alive", reason: None })
}

/// What comes in is kept; else 503 and why.
#[utoipa::path(get, path = "/readyz", tag = "Operation", security(()),
    responses((status = 200, body = Readiness), (status = 503, body = Readiness)))]
pub(super) async fn ready(State(api): State<Api>) -> impl IntoResponse {
    match api.store.health() {
        Health::Good => (StatusCode::OK, Json(Readiness { status: "ready", reason: None })),
        Health::Failing(cause) => {
            let reason = Some(format!("the store cannot be written: {cause}"));
            (StatusCode::SERVICE_UNAVAILABLE, Json(Readiness { status: "not ready", reason }))
        }
    }
}

/// The counters: OpenMetrics, or the classic text form for those who accept `text/plain` alone.
#[utoipa::path(get, path = "/metrics", tag = "Operation", security(()),
    responses((status = 200, content_type = "application/openmetrics-text", body = String)))]
pub(super) async fn counters(State(api): State<Api>, headers: HeaderMap) -> impl IntoResponse {
    let accept = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let (kind, text) = metrics::text(&api, &accept.collect::<Vec<_>>().join(",")).await;
    ([(header::CONTENT_TYPE, kind), (header::VARY, "accept")], text)
}
