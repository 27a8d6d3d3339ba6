//! `POST /restapi/oauth/token`: a grant of one kind or another becomes a pair of tokens.

use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use hookswitch_server::auth::{Claimed, Form, Refusal, TokenResponse};

use crate::Api;
use crate::request::{Client, FormBody};

/// Parameters that must not be in a URL, where logs and proxies see them.
const SECRET: [&str; 9] = [
    "access_token",
    "assertion",
    "client_assertion",
    "client_secret",
    "code",
    "code_verifier",
    "password",
    "refresh_token",
    "username",
];

/// Gives tokens.
#[utoipa::path(
    post, path = "/restapi/oauth/token", tag = "OAuth",
    request_body(content_type = "application/x-www-form-urlencoded", content = super::super::openapi::TokenForm),
    security((), ("client" = [])),
    responses(
        (status = 200, description = "The tokens", body = TokenResponse),
        (status = "4XX", description = "Refused", body = super::super::openapi::OAuthError),
        (status = "5XX", description = "Not now", body = super::super::openapi::OAuthError),
    )
)]
pub(crate) async fn post(
    State(api): State<Api>,
    RawQuery(query): RawQuery,
    Client(from): Client,
    headers: HeaderMap,
    FormBody(body): FormBody,
) -> Result<Response, Refusal> {
    let oauth = &api.oauth;
    let form = Form::body(&headers, &body)?;
    if let Some(name) = Form::query(query.as_deref())?.any_of(&SECRET) {
        let description = format!("{name} is in the URL, where others see it; send it in the body");
        return Err(Refusal::invalid_request("CMN-101", description));
    }
    let claimed = Claimed::read(&headers, &form)?;
    let client_id = claimed.client_id.clone();
    let whose = ["client", &*client_id];
    let granted = oauth.guarded(&whose, from, oauth.grant(claimed, &form, from));
    granted.await.map(IntoResponse::into_response)
}
