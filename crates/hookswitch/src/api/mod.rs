//! HTTP: what operators and switches ask of the server. One file for each resource.

mod body;
mod health;
mod ingest;
pub(crate) mod listener;
mod problem;

use std::sync::mpsc::SyncSender;
use std::sync::{Arc, RwLock};

use axum::Router;
use axum::extract::Request;
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{get, post};
use tower_http::catch_panic::CatchPanicLayer;

pub(crate) use self::ingest::IngestAccess;
pub(crate) use self::problem::Problem;
use crate::run::Intake;
use crate::store::Store;
use crate::telemetry::Metrics;

/// The longest address of a request, in bytes.
const URI_BYTES_MAX: usize = 8 * 1024;

/// What the resources share.
#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) store: Store,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) intake: SyncSender<Intake>,
    /// The ingest keys that hold; replaced as a whole when the configuration is read again.
    pub(crate) keys: Arc<RwLock<Arc<IngestAccess>>>,
}

/// All resources.
pub(crate) fn router(api: Api) -> Router {
    Router::new()
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(health::metrics))
        .route("/ingest/v1/signals", post(ingest::post))
        .fallback(async || Problem::not_found())
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
        .layer(middleware::from_fn(limit_uri))
        .layer(CatchPanicLayer::custom(|_| Problem::internal().response()))
        .with_state(api)
}

/// Refuses addresses that are longer than any resource has.
async fn limit_uri(request: Request, next: Next) -> Response {
    let uri = request.uri();
    let length = uri.path().len() + uri.query().map_or(0, str::len);
    if length > URI_BYTES_MAX {
        Problem::uri_too_long(URI_BYTES_MAX).response()
    } else {
        next.run(request).await
    }
}
