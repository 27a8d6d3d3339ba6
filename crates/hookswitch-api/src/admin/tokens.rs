//! Admin tokens: who else may use the admin API, and how much.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use hookswitch_server::auth::ADMIN_TOKEN;
use hookswitch_server::secret::{self, Digest};
use hookswitch_store::Expected;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::access::{AdminToken, Role};
use super::{Admin, Records, check_name, json};
use crate::request::{Content, Segments};
use crate::{Api, Problem, openapi};

/// Length of the part of a token's digest that names it.
const ID_CHARS: usize = 16;

/// Settings of a new admin token.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TokenEntry {
    /// Owner or purpose.
    label: String,
    #[serde(default)]
    role: Role,
}

/// An admin token.
#[derive(Serialize, ToSchema)]
#[schema(as = AdminToken)]
pub(crate) struct TokenBody {
    id: String,
    label: String,
    role: Role,
    /// Shown once, when it is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

impl TokenBody {
    fn of(digest: &str, kept: AdminToken, token: Option<String>) -> Self {
        Self { id: digest[..ID_CHARS].to_owned(), label: kept.label, role: kept.role, token }
    }
}

/// Lists the admin tokens.
#[utoipa::path(get, path = "/admin/v1/tokens", tag = "Admin", security(("admin" = [])),
    responses((status = 200, body = Records<TokenBody>), openapi::Refusals))]
pub(crate) async fn list(State(api): State<Api>, _: Admin) -> Result<Json<Records<TokenBody>>, Problem> {
    let tokens = api.documents::<AdminToken>(ADMIN_TOKEN).await?.into_iter();
    Ok(Json(Records { records: tokens.map(|(digest, kept)| TokenBody::of(&digest, kept, None)).collect() }))
}

/// Makes an admin token; the answer alone shows it.
#[utoipa::path(post, path = "/admin/v1/tokens", tag = "Admin", security(("admin" = [])),
    request_body = TokenEntry, responses((status = 201, body = TokenBody), openapi::Refusals))]
pub(crate) async fn add(
    State(api): State<Api>,
    _: Admin,
    content: Content,
) -> Result<(StatusCode, Json<TokenBody>), Problem> {
    let entry: TokenEntry = json(&content)?;
    check_name("label", &entry.label)?;
    let token = secret::token().map_err(|_| Problem::internal())?;
    let digest = Digest::of(token.as_bytes()).to_string();
    let kept = AdminToken { label: entry.label, role: entry.role };
    api.put(ADMIN_TOKEN, &digest, Expected::Absent, &kept).await?;
    Ok((StatusCode::CREATED, Json(TokenBody::of(&digest, kept, Some(token)))))
}

/// Takes an admin token back; the last of the role full stays.
#[utoipa::path(delete, path = "/admin/v1/tokens/{tokenId}", tag = "Admin", security(("admin" = [])),
    params(("tokenId" = String, Path, description = "Its id")),
    responses((status = 204, description = "Gone"), openapi::Refusals))]
pub(crate) async fn remove(
    State(api): State<Api>,
    _: Admin,
    Segments([id]): Segments<1>,
) -> Result<StatusCode, Problem> {
    let tokens = api.documents::<AdminToken>(ADMIN_TOKEN).await?;
    let (digest, kept) = tokens
        .iter()
        .find(|(digest, _)| digest.get(..ID_CHARS) == Some(&*id))
        .ok_or_else(|| Problem::unknown("tokenId", &id))?;
    let full = tokens.iter().filter(|(_, kept)| kept.role == Role::Full).count();
    if kept.role == Role::Full && full == 1 {
        let message = "This is the last admin token that may change anything; make another first";
        return Err(Problem::conflict(message));
    }
    api.remove(ADMIN_TOKEN, digest).await?;
    Ok(StatusCode::NO_CONTENT)
}
