//! Whether the server lives, whether it takes work, and its counters.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use hookswitch_store::Health;
use serde::Serialize;

use super::Api;

/// What `/readyz` answers.
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

/// The counters, in the text format of OpenMetrics.
#[utoipa::path(get, path = "/metrics", tag = "Operation", security(()),
    responses((status = 200, content_type = "application/openmetrics-text", body = String)))]
pub(super) async fn metrics(State(api): State<Api>) -> impl IntoResponse {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], api.metrics.text())
}
