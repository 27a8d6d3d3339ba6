//! HTTP: what operators, switches and clients ask of the server. One file for each resource.
//!
//! Start at [`mount`], which gives a server what it answers with. `oauth` has the pages and tokens of OAuth,
//! `telephony` the calls that go on, `admin` what operators set up and see, `console` the console's files,
//! `openapi` the document of all. [`explain`] tells why an event was told and [`capture`] gives a call of the log as
//! files; commands use them beside the API.

mod admin;
mod body;
pub mod capture;
mod console;
mod csv;
pub mod explain;
mod extensions;
mod health;
mod html;
mod ingest;
mod list;
mod meter;
mod metrics;
mod numbers;
mod oauth;
mod openapi;
mod platform;
mod presence;
mod profile;
mod request;
mod sse;
mod subscription;
mod telephony;
mod websocket;

use std::sync::mpsc::SyncSender;
use std::sync::{Arc, RwLock};

use axum::Router;
use axum::extract::Request;
use axum::middleware::{self, Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::any;
use hookswitch_model::{AccountId, Timestamp};
use hookswitch_server::auth::{OAuth, People, Problem, Throttle};
use hookswitch_server::call_changes::CallChanges;
use hookswitch_server::cluster::Membership;
use hookswitch_server::config::Config;
use hookswitch_server::control::Control;
use hookswitch_server::intake::Intake;
use hookswitch_server::rates::Rates;
use hookswitch_server::redelivery::Redeliveries;
use hookswitch_server::rights::Rights;
use hookswitch_server::scans::Scans;
use hookswitch_server::subscriptions::Subscriptions;
use hookswitch_server::telemetry::Metrics;
use hookswitch_server::webhook::Webhooks;
use hookswitch_server::websocket::Gateway;
use hookswitch_server::{Http, Parts, Profile, clock};
use hookswitch_store::{CallIndex, Store};
use tower_http::catch_panic::CatchPanicLayer;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::admin::Files;
use self::ingest::IngestAccess;
use self::telephony::Calls;

/// The longest address of a request, in bytes.
const URI_BYTES_MAX: usize = 8 * 1024;

/// State that the resources share.
#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) store: Store,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) intake: SyncSender<Intake>,
    /// The ingest keys that hold; replaced as a whole when the configuration is read again.
    pub(crate) keys: Arc<RwLock<Arc<IngestAccess>>>,
    pub(crate) oauth: Arc<OAuth>,
    /// The table that all resources ask.
    pub(crate) rights: Rights,
    /// Counts the requests of an application for a user.
    pub(crate) requests: Arc<Throttle>,
    pub(crate) people: People,
    pub(crate) calls: Arc<Calls>,
    /// What calls are searched by.
    pub(crate) index: CallIndex,
    pub(crate) files: admin::SharedFiles,
    pub(crate) subscriptions: Arc<Subscriptions>,
    pub(crate) changes: Arc<CallChanges>,
    pub(crate) webhooks: Webhooks,
    pub(crate) redeliveries: Arc<Redeliveries>,
    pub(crate) control: Arc<Control>,
    /// Turns of requests that read much of the log.
    pub(crate) scans: Scans,
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) rates: Arc<Rates>,
    /// The nodes that share the work; none of a server that is alone.
    pub(crate) cluster: Option<Arc<Membership>>,
    /// Time when the server was started.
    pub(crate) started: Timestamp,
    /// By which clients reach the server, without a slash at its end.
    pub(crate) public_url: Arc<str>,
    /// Set if the clock may be moved on.
    pub(crate) clock_moves: bool,
}

/// Returns what a server answers HTTP with. Begins to follow the log, so it is to be called where tasks can be spawned.
pub fn mount(parts: Parts) -> Http {
    let Parts { config, account, path, reload, stop, store, metrics, .. } = parts;
    let access_of = {
        let metrics = metrics.clone();
        move |config: &Config, account: AccountId| {
            Arc::new(IngestAccess::of(config, account, &metrics.sources))
        }
    };
    let keys = Arc::new(RwLock::new(access_of(&config, account)));
    let calls = Arc::new(Calls::default());
    tokio::spawn(calls.clone().follow(store.clone(), stop.clone()));
    let api = Api {
        store,
        metrics,
        intake: parts.intake,
        keys: keys.clone(),
        oauth: parts.oauth,
        rights: Rights::of(&config.rights),
        requests: Arc::new(Throttle::new(config.limits.requests_per_minute)),
        people: parts.people,
        calls,
        index: parts.index,
        files: Arc::new(Files::new(path, reload)),
        subscriptions: parts.subscriptions,
        changes: parts.changes,
        webhooks: parts.webhooks,
        redeliveries: parts.redeliveries,
        control: parts.control,
        scans: parts.scans,
        gateway: parts.gateway,
        rates: parts.rates,
        cluster: parts.cluster,
        started: clock::steady(),
        public_url: parts.public_url.into(),
        clock_moves: parts.profile == Profile::Ephemeral,
    };
    tokio::spawn(telephony::keep_actions(api.clone(), stop));
    let router = router(api);
    let reloaded = move |config: &Config, account: AccountId| {
        if let Ok(mut keys) = keys.write() {
            *keys = access_of(config, account);
        }
    };
    Http { router, reloaded: Box::new(reloaded) }
}

/// All resources.
fn router(api: Api) -> Router {
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
        .routes(routes!(health::counters))
        .routes(routes!(ingest::post))
        .routes(routes!(openapi::document))
        .routes(routes!(openapi::page))
        .merge(websocket::routes())
        .merge(sse::routes())
        .merge(admin::routes())
}

/// The resources that SDKs and widgets use.
fn platform() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(platform::versions))
        .routes(routes!(platform::version))
        .routes(routes!(platform::initial_entry_points))
        .routes(routes!(platform::external_entry_points))
        .routes(routes!(platform::status))
        .routes(routes!(platform::client_info))
        .routes(routes!(extensions::account))
        .routes(routes!(extensions::extension))
        .routes(routes!(extensions::extensions))
        .routes(routes!(extensions::devices))
        .routes(routes!(numbers::of_extension))
        .routes(routes!(numbers::of_account))
        .routes(routes!(numbers::of_account_v2))
        .routes(routes!(numbers::entries))
        .routes(routes!(numbers::call_queues))
        .routes(routes!(profile::service_info))
        .routes(routes!(profile::dialing_plan))
        .routes(routes!(profile::features))
        .routes(routes!(profile::authz_profile))
        .routes(routes!(profile::caller_id))
        .routes(routes!(profile::forwarding_numbers))
        .routes(routes!(presence::account))
        .routes(routes!(presence::extension))
        .merge(telephony::routes())
        .merge(subscription::routes())
        .merge(oauth::routes())
        .merge(websocket::token_routes())
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
