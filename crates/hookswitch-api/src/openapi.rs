//! Forms, answers and errors as the document of the API describes them, for all resources.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Response, ResponseBuilder};
use utoipa::{IntoParams, ToSchema};

/// The form of the token endpoint.
#[derive(Deserialize, ToSchema)]
#[expect(dead_code, reason = "it is described here, and read by oauth/form.rs")]
pub(super) struct TokenForm {
    /// `urn:ietf:params:oauth:grant-type:jwt-bearer`, `authorization_code`, `refresh_token` or `password`.
    grant_type: String,
    /// The JWT credential of a user.
    assertion: Option<String>,
    refresh_token: Option<String>,
    code: Option<String>,
    redirect_uri: Option<String>,
    code_verifier: Option<String>,
    username: Option<String>,
    password: Option<String>,
    extension: Option<String>,
    /// For clients without a secret; others send Basic authentication.
    client_id: Option<String>,
    client_secret: Option<String>,
    /// Permissions with spaces between them; all of the application without it.
    scope: Option<String>,
    /// Seconds; what cannot be is taken to the nearest that can.
    access_token_ttl: Option<String>,
    refresh_token_ttl: Option<String>,
    endpoint_id: Option<String>,
}

/// The form of revocation.
#[derive(Deserialize, ToSchema)]
#[expect(dead_code, reason = "it is described here, and read by oauth/form.rs")]
pub(super) struct RevokeForm {
    /// An access or a refresh token; its grant ends.
    token: String,
    client_id: Option<String>,
}

/// Signals that are posted; `docs/ingest.md` has their fields.
#[derive(Deserialize, ToSchema)]
#[expect(dead_code, reason = "it is described here, and read by ingest.rs")]
pub(super) struct SignalsBody {
    #[schema(value_type = Vec<Object>)]
    signals: Vec<Value>,
}

/// An object with nothing in it.
#[derive(Serialize, ToSchema)]
pub(super) struct Empty {}

/// What an application asks for.
#[derive(Deserialize, IntoParams)]
#[expect(dead_code, reason = "it is described here, and read by oauth/form.rs")]
pub(super) struct AuthorizeQuery {
    /// `code`.
    response_type: String,
    client_id: String,
    /// One that is registered, letter by letter.
    redirect_uri: String,
    state: Option<String>,
    code_challenge: Option<String>,
    /// `S256` or `plain`.
    code_challenge_method: Option<String>,
}

/// What the page to log in sends.
#[derive(Deserialize, ToSchema)]
#[expect(dead_code, reason = "it is described here, and read by oauth/form.rs")]
pub(super) struct LoginForm {
    /// A phone number, an extension number, or both as `number*extension`.
    user: String,
    pass: String,
    /// `code`.
    response_type: String,
    client_id: String,
    redirect_uri: String,
    state: Option<String>,
    code_challenge: Option<String>,
    code_challenge_method: Option<String>,
}

/// An error of OAuth.
#[derive(Serialize, ToSchema)]
pub(super) struct OAuthError {
    /// The name of RFC 6749 §5.2.
    error: String,
    error_description: String,
    errors: Vec<ErrorDetail>,
}

/// An error elsewhere.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "the names are those of the wire")]
pub(super) struct Error {
    error_code: String,
    message: String,
    errors: Vec<ErrorDetail>,
    permission_name: Option<String>,
    parameter_name: Option<String>,
}

/// What is wrong.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ErrorDetail {
    /// `docs/errors.md` has a paragraph for each.
    error_code: String,
    message: String,
    permission_name: Option<String>,
    parameter_name: Option<String>,
    parameter_value: Option<String>,
}

/// Every answer but a good one.
pub(super) struct Refusals;

impl utoipa::IntoResponses for Refusals {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let one = |description: &str| {
            let schema = Ref::from_schema_name("Error");
            let content = ContentBuilder::new().schema(Some(schema)).build();
            RefOr::T(
                ResponseBuilder::new().description(description).content("application/json", content).build(),
            )
        };
        BTreeMap::from([
            ("4XX".to_owned(), one("Refused, and why")),
            ("5XX".to_owned(), one("The server cannot do it now")),
        ])
    }
}
