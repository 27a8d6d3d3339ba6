//! `/console/`: the console, which is static files over the admin API; compiled in, so that it works without any
//! other host. A debug build reads them from where it was built instead, so that a change shows without a build.

use std::borrow::Cow;
use std::sync::LazyLock;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use hookswitch_server::auth::{ConsoleRole, Refusal, USER, User};
use hookswitch_server::secret::Digest;
use serde::Deserialize;
use serde_json::json;

use super::request::{Client, Content};
use super::{Api, Problem};

/// Policy of a page of the console: its own scripts and style sheet, requests to this server, and
/// nothing else. Text can become markup nowhere, since no policy makes trusted types.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; \
                      form-action 'none'; base-uri 'none'; frame-ancestors 'none'; \
                      require-trusted-types-for 'script'; trusted-types 'none'";

/// Number of digits of its digest that tell a file from another.
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
static FILES: &[File] = &files![
    "index.html" is "text/html; charset=utf-8",
    "style.css" is "text/css; charset=utf-8",
    "icon.svg" is "image/svg+xml",
    "app.js" is "text/javascript; charset=utf-8",
    "call.css" is "text/css; charset=utf-8",
    "live.css" is "text/css; charset=utf-8",
    "sign-in.css" is "text/css; charset=utf-8",
    "api.js" is "text/javascript; charset=utf-8",
    "stream.js" is "text/javascript; charset=utf-8",
    "dom.js" is "text/javascript; charset=utf-8",
    "clock.js" is "text/javascript; charset=utf-8",
    "story.js" is "text/javascript; charset=utf-8",
    "columns.js" is "text/javascript; charset=utf-8",
    "export.js" is "text/javascript; charset=utf-8",
    "message.js" is "text/javascript; charset=utf-8",
    "wallboard.js" is "text/javascript; charset=utf-8",
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
static TAGS: LazyLock<Vec<String>> = LazyLock::new(|| FILES.iter().map(|file| tag(file.content)).collect());

/// The entity tag of a content.
fn tag(content: &[u8]) -> String {
    format!("\"{}\"", &Digest::of(content).to_string()[..TAG_DIGITS])
}

impl File {
    /// The content and its tag: of a debug build as the file is now, if it is still there.
    fn read(&self, place: usize) -> (Cow<'static, [u8]>, Cow<'static, str>) {
        #[cfg(debug_assertions)]
        if let Ok(content) =
            std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../../console/").to_owned() + self.name)
        {
            let tag = tag(&content);
            return (content.into(), tag.into());
        }
        (self.content.into(), TAGS[place].as_str().into())
    }
}

/// The resources. They are pages for people and no part of the API, so its document does not have them.
pub(super) fn router() -> Router<Api> {
    Router::new()
        .route("/", get(async || Redirect::to("/console/")))
        .route("/console", get(async || Redirect::permanent("/console/")))
        .route("/console/", get(async |headers: HeaderMap| file("index.html", &headers)))
        .route("/console/server.json", get(server))
        .route("/console/sign-in", post(sign_in))
        .route(
            "/console/{name}",
            get(async |Path(name): Path<String>, headers: HeaderMap| file(&name, &headers)),
        )
}

/// Returns what the console must know before anybody has signed in: in which ways that can be done.
async fn server(State(api): State<Api>) -> impl IntoResponse {
    // Who cannot be found out takes a token.
    let users = api.documents::<User>(USER).await.unwrap_or_default();
    let may =
        |user: &User| !user.disabled && user.password.is_some() && user.console_role() != ConsoleRole::None;
    let has_users = users.iter().any(|(_, user)| may(user));
    let body = json!({"version": env!("CARGO_PKG_VERSION"), "signIn": {"user": has_users, "token": true}});
    ([(header::CACHE_CONTROL, "no-store")], Json(body))
}

/// A user who signs in.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SignIn {
    /// A number or an extension, also as `account*extension`.
    name: String,
    password: String,
}

/// Gives tokens for a name and a password. Applications get theirs in another place, where their users see who asks.
async fn sign_in(
    State(api): State<Api>,
    Client(from): Client,
    Content(body): Content,
) -> Result<Response, Refusal> {
    let wrong = |_| Refusal::invalid_request("CMN-101", "Send a JSON object with name and password");
    let SignIn { name, password } = serde_json::from_slice(&body).map_err(wrong)?;
    api.oauth.sign_in(&name, &password, from).await.map(IntoResponse::into_response)
}

/// A file, or that the browser has it already.
fn file(name: &str, headers: &HeaderMap) -> Response {
    let Some(place) = FILES.iter().position(|file| file.name == name) else {
        return Problem::not_found().response();
    };
    let file = &FILES[place];
    let (content, tag) = file.read(place);
    let known = headers.get(header::IF_NONE_MATCH).and_then(|known| known.to_str().ok());
    let is_known = known.is_some_and(|known| known.split(',').any(|known| known.trim() == &*tag));
    let mut response = if is_known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        ([(header::CONTENT_TYPE, file.kind)], content.into_owned()).into_response()
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
    if let Ok(tag) = HeaderValue::try_from(&*tag) {
        sent.insert(header::ETAG, tag);
    }
    response
}
