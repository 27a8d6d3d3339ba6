//! What SDKs ask to see whether a server is there (contract call-control §5).

use axum::Json;
use serde::Serialize;
use utoipa::ToSchema;

use super::openapi;

/// The version of the API.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "the names are those of the wire")]
pub(super) struct Version {
    uri: &'static str,
    version_string: &'static str,
    server_version: &'static str,
}

/// Tells the version of the API.
#[utoipa::path(get, path = "/restapi/v1.0", tag = "Platform", security(()), responses((status = 200, body = Version)))]
pub(super) async fn version() -> Json<Version> {
    Json(Version { uri: "/restapi/v1.0", version_string: "1.0", server_version: env!("CARGO_PKG_VERSION") })
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
