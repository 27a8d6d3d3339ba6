//! `POST /restapi/oauth/revoke`: a token is given back, and with it all of its grant (RFC 7009).

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use hookswitch_server::auth::{Claimed, Form, Refusal};

use crate::Api;
use crate::request::{Client, FormBody};

/// Ends a grant; a token that is not known is as good as ended.
#[utoipa::path(
    post, path = "/restapi/oauth/revoke", tag = "OAuth",
    request_body(content_type = "application/x-www-form-urlencoded", content = super::super::openapi::RevokeForm),
    security((), ("client" = [])),
    responses(
        (status = 200, description = "The token is good for nothing any more", body = super::super::openapi::Empty),
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
    let query = Form::query(query.as_deref())?;
    if query.text("client_secret").is_some() {
        let description = "client_secret is in the URL, where others see it; send it in the body";
        return Err(Refusal::invalid_request("CMN-101", description));
    }
    // SDKs send the token in the query with an empty body, which then has no type.
    let form = if body.is_empty() { Form::default() } else { Form::body(&headers, &body)? };
    let token = form.text("token").or_else(|| query.text("token")).map(str::to_owned);
    let token = token.map_or_else(|| form.required("token").map(str::to_owned), Ok)?;
    let claimed = Claimed::read(&headers, &form)?;
    let client_id = claimed.client_id.clone();
    let oauth = &api.oauth;
    let revoke = async {
        let (client_id, _) = claimed.prove(oauth, from).await?;
        oauth.revoke(&client_id, &token).await
    };
    oauth.guarded(&["client", &client_id], from, revoke).await?;
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(serde_json::json!({}))).into_response())
}
