//! Frame of every answer of the API: who asked is found out, their requests are counted, and the
//! answer gets its id, what is left of the limit, and what browsers need to hand it out
//! (contract auth §5, §8).

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hookswitch_server::auth::{Allowance, Principal, WINDOW};
use hookswitch_server::websocket::Caller;
use hookswitch_server::{clock, secret};
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::request::client_address;
use super::{Api, Problem};

const GROUP: HeaderName = HeaderName::from_static("x-rate-limit-group");
const LIMIT: HeaderName = HeaderName::from_static("x-rate-limit-limit");
const REMAINING: HeaderName = HeaderName::from_static("x-rate-limit-remaining");
const SECONDS: HeaderName = HeaderName::from_static("x-rate-limit-window");
const REQUEST_ID: HeaderName = HeaderName::from_static("rcrequestid");
const ROUTING_KEY: HeaderName = HeaderName::from_static("routingkey");

/// Requests that are counted together.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Group {
    Light,
    Medium,
    Heavy,
    Auth,
}

impl Group {
    fn of(method: &Method, path: &str) -> Self {
        if path.starts_with("/restapi/oauth/") {
            Self::Auth
        } else if path.ends_with("/call-out") || path.ends_with("/conference") {
            Self::Heavy
        } else if method == Method::POST && path.ends_with("/subscription") {
            Self::Medium
        } else {
            Self::Light
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Light => "light",
            Self::Medium => "medium",
            Self::Heavy => "heavy",
            Self::Auth => "auth",
        }
    }
}

/// Counts a request, hands it on with who makes it, and completes the answer.
pub(super) async fn meter(State(api): State<Api>, mut request: Request, next: Next) -> Response {
    let group = Group::of(request.method(), request.uri().path());
    // A token for a WebSocket is asked for at every reconnect of every client, and is not counted.
    let exempt = request.uri().path() == "/restapi/oauth/wstoken";
    let allowance = if group == Group::Auth && !exempt {
        // By the address as well: whoever asks much, asks for nobody else.
        let from = client_address(request.extensions()).to_string();
        count(&api, group, &client(request.headers()), &from)
    } else {
        // Of a request over a WebSocket it is known who makes it.
        let principal = match request.extensions().get::<Caller>() {
            Some(caller) => api.oauth.of_grant(caller.grant.clone()).await,
            None => api.oauth.authenticate(request.headers()).await,
        };
        let allowance = match &principal {
            Ok(who) if !exempt => count(&api, group, &who.client_id, &who.extension.to_string()),
            _ => api.requests.look(&[], clock::now()),
        };
        let known: Result<Principal, Arc<Problem>> = principal.map_err(Arc::new);
        request.extensions_mut().insert(known);
        allowance
    };
    let mut response = match allowance.wait {
        Some(wait) => {
            Problem::too_many(u32::try_from(wait.as_secs()).unwrap_or(u32::MAX).max(1)).into_response()
        }
        None => next.run(request).await,
    };
    complete(response.headers_mut(), group, allowance);
    response
}

fn count(api: &Api, group: Group, client: &str, extension: &str) -> Allowance {
    api.requests.take(&[group.name(), client, extension], clock::now())
}

/// Returns which client a request to the token endpoint says that it is from; proved or not.
fn client(headers: &HeaderMap) -> String {
    let value = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let text = value.and_then(|value| value.split_once(' ')).map(|(_, text)| text.trim());
    let decoded = text.and_then(|text| STANDARD.decode(text).ok()).and_then(|it| String::from_utf8(it).ok());
    decoded.and_then(|text| text.split_once(':').map(|(client, _)| client.to_owned())).unwrap_or_default()
}

fn complete(headers: &mut HeaderMap, group: Group, allowance: Allowance) {
    headers.insert(GROUP, HeaderValue::from_static(group.name()));
    headers.insert(LIMIT, allowance.limit.into());
    headers.insert(REMAINING, allowance.remaining.into());
    headers.insert(SECONDS, WINDOW.as_secs().into());
    if let Some(id) = secret::token().ok().and_then(|id| HeaderValue::try_from(&id[..22]).ok()) {
        headers.insert(REQUEST_ID, id);
    }
    headers.insert(ROUTING_KEY, HeaderValue::from_static("local"));
}

/// Lets pages of any origin use the API: what they may do hangs on their token, and not on a cookie.
pub(super) fn cors() -> CorsLayer {
    let allowed = ["authorization", "content-type", "client-id", "x-user-agent", "discovery-tag", "accept"];
    let exposed = [
        "retry-after",
        "x-rate-limit-group",
        "x-rate-limit-limit",
        "x-rate-limit-remaining",
        "x-rate-limit-window",
        "discovery-tag",
        "discovery-required",
        "rcrequestid",
        "routingkey",
    ];
    CorsLayer::new()
        .allow_origin(AllowOrigin::mirror_request())
        .allow_credentials(true)
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
        .allow_headers(allowed.map(HeaderName::from_static))
        .expose_headers(exposed.map(HeaderName::from_static))
        .max_age(std::time::Duration::from_secs(600))
}
