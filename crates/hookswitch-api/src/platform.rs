//! Resources that SDKs ask for to see whether a server is there (contract call-control §5).

use axum::Json;
use serde::Serialize;
use utoipa::ToSchema;

use super::openapi;
use super::request::Base;

/// The second of the two lists of addresses.
const EXTERNAL: &str = "/.well-known/entry-points/external";

/// The version of the lists of addresses.
const ENTRY_POINTS_VERSION: &str = "1.0.0";

/// Time for which a client keeps the addresses.
const ENTRY_POINTS_SECS: u32 = 86_400;

/// How often, and after how many seconds, a client tries again that got no answer.
const RETRY_COUNT: u32 = 3;
const RETRY_SECS: u32 = 3;

/// After how many seconds it begins anew.
const RETRY_CYCLE_SECS: u32 = 900;

/// The version of the API.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "the names are those of the wire")]
pub(super) struct Version {
    uri: String,
    version_string: &'static str,
    uri_string: &'static str,
}

/// The versions of the API.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "the names are those of the wire")]
pub(super) struct Versions {
    uri: String,
    api_versions: Vec<Version>,
    server_version: &'static str,
}

/// The addresses that a client begins with.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct InitialEntryPoints {
    version: &'static str,
    retry_count: u32,
    /// Seconds.
    retry_interval: u32,
    discovery_api: InitialDiscovery,
    auth_api: InitialAuth,
    core_api: CoreApi,
}

/// Addresses for after the log-in.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct InitialDiscovery {
    default_external_uri: String,
}

/// Address where a client logs in.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct InitialAuth {
    authorization_uri: String,
    default_token_uri: String,
}

/// The addresses for after the log-in.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ExternalEntryPoints {
    version: &'static str,
    /// Seconds, after which a client asks again.
    expires_in: u32,
    retry_count: u32,
    /// Seconds.
    retry_interval: u32,
    /// Seconds.
    retry_cycle_delay: u32,
    discovery_api: ExternalDiscovery,
    auth_api: ExternalAuth,
    core_api: CoreApi,
}

/// Addresses of both lists.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ExternalDiscovery {
    external_uri: String,
    initial_uri: String,
}

/// Address where a client refreshes its log-in.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "the names are those of the wire")]
struct ExternalAuth {
    authorization_uri: String,
    base_uri: String,
    token_uri: String,
}

/// Address of the API.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct CoreApi {
    base_uri: String,
}

impl Version {
    fn at(base: &str) -> Self {
        let uri = format!("{base}/restapi/v1.0");
        Self { uri, version_string: "1.0", uri_string: "v1.0" }
    }
}

/// Tells the version of the API.
#[utoipa::path(get, path = "/restapi/v1.0", tag = "Platform", security(()), responses((status = 200, body = Version)))]
pub(super) async fn version(Base(base): Base) -> Json<Version> {
    Json(Version::at(&base))
}

/// Tells the versions of the API: one.
#[utoipa::path(get, path = "/restapi", tag = "Platform", security(()), responses((status = 200, body = Versions)))]
pub(super) async fn versions(Base(base): Base) -> Json<Versions> {
    let uri = format!("{base}/restapi");
    let server_version = env!("CARGO_PKG_VERSION");
    Json(Versions { uri, api_versions: vec![Version::at(&base)], server_version })
}

/// Tells where clients begin that do not know the addresses yet: here (contract auth §4).
#[utoipa::path(get, path = "/.well-known/entry-points/initial", tag = "Platform", security(()),
    params(("clientId" = Option<String>, Query, description = "Accepted; the answer is the same for all"),
        ("brandId" = Option<String>, Query, description = "Accepted")),
    responses((status = 200, body = InitialEntryPoints)))]
pub(super) async fn initial_entry_points(Base(base): Base) -> Json<InitialEntryPoints> {
    Json(InitialEntryPoints {
        version: ENTRY_POINTS_VERSION,
        retry_count: RETRY_COUNT,
        retry_interval: RETRY_SECS,
        discovery_api: InitialDiscovery { default_external_uri: format!("{base}{EXTERNAL}") },
        auth_api: InitialAuth {
            authorization_uri: format!("{base}/restapi/oauth/authorize"),
            default_token_uri: format!("{base}/restapi/oauth/token"),
        },
        core_api: CoreApi { base_uri: base.to_string() },
    })
}

/// Tells where clients go that have logged in: here as well.
#[utoipa::path(get, path = "/.well-known/entry-points/external", tag = "Platform", security(()),
    responses((status = 200, body = ExternalEntryPoints)))]
pub(super) async fn external_entry_points(Base(base): Base) -> Json<ExternalEntryPoints> {
    Json(ExternalEntryPoints {
        version: ENTRY_POINTS_VERSION,
        expires_in: ENTRY_POINTS_SECS,
        retry_count: RETRY_COUNT,
        retry_interval: RETRY_SECS,
        retry_cycle_delay: RETRY_CYCLE_SECS,
        discovery_api: ExternalDiscovery {
            external_uri: format!("{base}{EXTERNAL}"),
            initial_uri: format!("{base}/.well-known/entry-points/initial"),
        },
        auth_api: ExternalAuth {
            authorization_uri: format!("{base}/restapi/oauth/authorize"),
            base_uri: base.to_string(),
            token_uri: format!("{base}/restapi/oauth/token"),
        },
        core_api: CoreApi { base_uri: base.to_string() },
    })
}

/// Tells that the server is there.
#[utoipa::path(
    get, path = "/restapi/v1.0/status", tag = "Platform", security(()),
    responses((status = 200, body = openapi::Empty))
)]
pub(super) async fn status() -> Json<openapi::Empty> {
    Json(openapi::Empty {})
}

/// Tells what a client is told about itself: nothing.
#[utoipa::path(
    get, path = "/restapi/v1.0/client-info", tag = "Platform", security(()),
    responses((status = 200, body = openapi::Empty))
)]
pub(super) async fn client_info() -> Json<openapi::Empty> {
    Json(openapi::Empty {})
}
