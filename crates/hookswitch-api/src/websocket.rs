//! `/ws` and the token to connect with: notifications as they come, over a WebSocket (contract websocket).

use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Extension, Json};
use hookswitch_server::Traffic;
use hookswitch_server::auth::Principal;
use hookswitch_server::websocket::{self, ConnectionToken};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Api, Problem, openapi};

/// The resources beside those of the platform.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(connect))
}

/// The resource of the token.
pub(super) fn token_routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(token)).route("/restapi/oauth/wstoken/", post(token))
}

/// Gives a token to open WebSockets with.
#[utoipa::path(post, path = "/restapi/oauth/wstoken", tag = "OAuth",
    responses((status = 200, body = ConnectionToken), openapi::Refusals))]
pub(super) async fn token(
    State(api): State<Api>,
    principal: Principal,
) -> Result<impl IntoResponse, Problem> {
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(api.gateway.token(&principal)?)))
}

/// What an address of `/ws` says.
#[derive(Default)]
struct Query {
    access_token: Option<String>,
    wsc: Option<String>,
}

impl Query {
    fn read(query: Option<&str>) -> Self {
        let mut read = Self::default();
        for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            match &*name {
                "access_token" => read.access_token = Some(value.into_owned()),
                "wsc" => read.wsc = Some(value.into_owned()),
                _ => {}
            }
        }
        read
    }
}

/// Opens a WebSocket. What is wrong with the token is said in the first frame, since clients understand nothing
/// else; pages of foreign origins get no WebSocket.
#[utoipa::path(get, path = "/ws", tag = "WebSocket", security(()),
    params(("access_token" = String, Query, description = "From /restapi/oauth/wstoken"),
        ("wsc" = Option<String>, Query, description = "The handle of the session to go on with")),
    responses((status = 101, description = "A WebSocket"), openapi::Refusals))]
pub(super) async fn connect(
    State(api): State<Api>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    traffic: Option<Extension<Traffic>>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    if let Some(origin) = headers.get(header::ORIGIN) {
        let admitted = headers.get_all(header::ORIGIN).iter().count() == 1
            && origin.to_str().is_ok_and(|origin| api.gateway.admits(origin));
        if !admitted {
            let message = "Pages of this origin may not connect; add it to websocket.origins";
            return Problem::coded(StatusCode::FORBIDDEN, "CMN-401", message).into_response();
        }
    }
    let Ok(upgrade) = upgrade else {
        let message = "This is a WebSocket; connect with a WebSocket client of version 13, over HTTP/1.1";
        let refused = Problem::coded(StatusCode::UPGRADE_REQUIRED, "CMN-101", message).into_response();
        let upgrade = [(header::UPGRADE, "websocket"), (header::SEC_WEBSOCKET_VERSION, "13")];
        return (upgrade, refused).into_response();
    };
    let query = Query::read(query.as_deref());
    let gateway = api.gateway.clone();
    websocket::limit(upgrade).on_upgrade(|socket| {
        let traffic = traffic.map(|Extension(traffic)| traffic);
        gateway.connect((socket, traffic), query.access_token, query.wsc)
    })
}
