//! `/console/`: the console, which is static files over the admin API; compiled in, so that it works without any
//! other host.

use std::sync::LazyLock;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use axum::{Json, Router};
use hookswitch_server::secret::Digest;
use serde_json::json;

use super::{Api, Problem};

/// What a page of the console may load and do: its own scripts and style sheet, requests to this server, and
/// nothing else. Text can become markup nowhere, since no policy makes trusted types.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; \
                      form-action 'none'; base-uri 'none'; frame-ancestors 'none'; \
                      require-trusted-types-for 'script'; trusted-types 'none'";

/// How many digits of its digest tell a file from another.
const TAG_DIGITS: usize = 32;

/// A file of the console.
struct File {
    name: &'static str,
    kind: &'static str,
    content: &'static [u8],
}

macro_rules! files {
    ($($name:literal is $kind:literal),+ $(,)?) => {
        [$(File {
            name: $name,
            kind: $kind,
            content: include_bytes!(concat!("../../../console/", $name)),
        }),+]
    };
}

/// All files.
static FILES: [File; 17] = files![
    "index.html" is "text/html; charset=utf-8",
    "style.css" is "text/css; charset=utf-8",
    "icon.svg" is "image/svg+xml",
    "app.js" is "text/javascript; charset=utf-8",
    "api.js" is "text/javascript; charset=utf-8",
    "stream.js" is "text/javascript; charset=utf-8",
    "dom.js" is "text/javascript; charset=utf-8",
    "live.js" is "text/javascript; charset=utf-8",
    "calls.js" is "text/javascript; charset=utf-8",
    "call.js" is "text/javascript; charset=utf-8",
    "ladder.js" is "text/javascript; charset=utf-8",
    "subscriptions.js" is "text/javascript; charset=utf-8",
    "trial.js" is "text/javascript; charset=utf-8",
    "sources.js" is "text/javascript; charset=utf-8",
    "cluster.js" is "text/javascript; charset=utf-8",
    "figures.js" is "text/javascript; charset=utf-8",
    "sign-in.js" is "text/javascript; charset=utf-8",
];

/// The entity tags of the files, in their order.
static TAGS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let tag = |file: &File| format!("\"{}\"", &Digest::of(file.content).to_string()[..TAG_DIGITS]);
    FILES.iter().map(tag).collect()
});

/// The resources. They are pages for people and no part of the API, so its document does not have them.
pub(super) fn router() -> Router<Api> {
    Router::new()
        .route("/", get(async || Redirect::to("/console/")))
        .route("/console", get(async || Redirect::permanent("/console/")))
        .route("/console/", get(async |headers: HeaderMap| file("index.html", &headers)))
        .route("/console/server.json", get(server))
        .route(
            "/console/{name}",
            get(async |Path(name): Path<String>, headers: HeaderMap| file(&name, &headers)),
        )
}

/// What the console must know before anybody has signed in: where its codes are sent to.
async fn server(State(api): State<Api>) -> impl IntoResponse {
    let body = json!({"publicUrl": &*api.public_url, "version": env!("CARGO_PKG_VERSION")});
    ([(header::CACHE_CONTROL, "no-store")], Json(body))
}

/// A file, or that the browser has it already.
fn file(name: &str, headers: &HeaderMap) -> Response {
    let Some(place) = FILES.iter().position(|file| file.name == name) else {
        return Problem::not_found().response();
    };
    let (file, tag) = (&FILES[place], &TAGS[place]);
    let known = headers.get(header::IF_NONE_MATCH).and_then(|known| known.to_str().ok());
    let is_known = known.is_some_and(|known| known.split(',').any(|known| known.trim() == tag));
    let mut response = if is_known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        ([(header::CONTENT_TYPE, file.kind)], file.content).into_response()
    };
    let values = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        // Asked again each time, so that a new server is never seen with an old console.
        (header::CACHE_CONTROL, "no-cache"),
    ];
    let sent = response.headers_mut();
    for (name, value) in values {
        sent.insert(name, HeaderValue::from_static(value));
    }
    if let Ok(tag) = HeaderValue::try_from(tag) {
        sent.insert(header::ETAG, tag);
    }
    response
}
