//! HTTP: what operators and switches ask of the server. One file for each resource.

pub(crate) mod admin;
mod body;
mod console;
mod gateway;
mod health;
mod ingest;
pub(crate) mod listener;
mod meter;
pub(crate) mod oauth;
mod openapi;
mod people;
mod platform;
mod presence;
pub(crate) mod principal;
mod problem;
mod request;
pub(crate) mod scope;
mod subscription;
pub(crate) mod telephony;

use std::sync::mpsc::SyncSender;
use std::sync::{Arc, RwLock};

use axum::Router;
use axum::extract::Request;
use axum::middleware::{self, Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::any;
use hookswitch_core::directory::Directory;
use hookswitch_model::Timestamp;
use hookswitch_store::Store;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) use self::ingest::IngestAccess;
use self::oauth::OAuth;
use self::oauth::throttle::Throttle;
pub(crate) use self::problem::Problem;
use self::telephony::Calls;
use crate::cluster::Membership;
use crate::gateway::Gateway;
use crate::rates::Rates;
use crate::redelivery::Redeliveries;
use crate::run::Intake;
use crate::subscriptions::Subscriptions;
use crate::telemetry::Metrics;
use crate::webhook::Webhooks;

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
    pub(crate) oauth: Arc<OAuth>,
    /// Counts the requests of an application for a user.
    pub(crate) requests: Arc<Throttle>,
    pub(crate) people: People,
    pub(crate) calls: Arc<Calls>,
    pub(crate) files: admin::SharedFiles,
    pub(crate) subscriptions: Arc<Subscriptions>,
    pub(crate) webhooks: Webhooks,
    pub(crate) redeliveries: Arc<Redeliveries>,
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) rates: Arc<Rates>,
    /// The nodes that share the work; none of a server that is alone.
    pub(crate) cluster: Option<Arc<Membership>>,
    /// When the server was started.
    pub(crate) started: Timestamp,
    /// By which clients reach the server, without a slash at its end.
    pub(crate) public_url: Arc<str>,
}

/// The directory that holds; replaced as a whole when it is read again.
pub(crate) type People = Arc<RwLock<Arc<Directory>>>;

/// All resources.
pub(crate) fn router(api: Api) -> Router {
    let platform = Router::from(platform())
        // What is not there gets the headers as well.
        .route("/restapi/{*rest}", any(async || Problem::not_found()))
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
        .layer(from_fn_with_state(api.clone(), meter::meter))
        .layer(meter::cors());
    Router::from(operation())
        .merge(platform)
        .merge(console::router())
        .fallback(async || Problem::not_found())
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
        .layer(middleware::from_fn(limit_uri))
        .layer(CatchPanicLayer::custom(|_| Problem::internal().response()))
        .with_state(api)
}

/// The resources that operators and switches use.
fn operation() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(health::alive))
        .routes(routes!(health::ready))
        .routes(routes!(health::metrics))
        .routes(routes!(ingest::post))
        .routes(routes!(openapi::document))
        .routes(routes!(openapi::page))
        .merge(gateway::routes())
        .merge(admin::routes())
}

/// The resources that SDKs and widgets use.
fn platform() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(platform::version))
        .routes(routes!(platform::status))
        .routes(routes!(platform::client_info))
        .routes(routes!(people::account))
        .routes(routes!(people::extension))
        .routes(routes!(people::devices))
        .routes(routes!(presence::account))
        .routes(routes!(presence::extension))
        .merge(telephony::routes())
        .merge(subscription::routes())
        .merge(oauth::routes())
        .merge(gateway::token_routes())
}

/// Refuses addresses that are longer than any resource has.
async fn limit_uri(request: Request, next: Next) -> Response {
    let uri = request.uri();
    let length = uri.path().len() + uri.query().map_or(0, |query| "?".len() + query.len());
    if length > URI_BYTES_MAX {
        Problem::uri_too_long(URI_BYTES_MAX).response()
    } else {
        next.run(request).await
    }
}
