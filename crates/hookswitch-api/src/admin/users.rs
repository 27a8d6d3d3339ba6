//! Users: which extensions may log in, what they may do, and their JWT credentials.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use hookswitch_model::ExtensionId;
use hookswitch_server::auth::{
    APPLICATION, Application, CREDENTIAL, ConsoleRole, Credential, Scopes, USER, User,
};
use hookswitch_server::{clock, secret};
use hookswitch_store::Expected;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::applications::check_account;
use super::{Admin, Records, check_name, json};
use crate::request::{Content, Segments};
use crate::{Api, Problem, openapi};

/// Length of a password in characters (NIST SP 800-63B §5.1.1.2).
const PASSWORD_CHARS: std::ops::RangeInclusive<usize> = 8..=256;

/// The longest life of a JWT, in days.
const JWT_DAYS_MAX: u32 = 3650;

/// Settings of a new user.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct UserEntry {
    account_id: String,
    /// May see all of the account.
    #[serde(default)]
    admin: bool,
    /// All without it.
    #[schema(value_type = Vec<String>)]
    #[serde(default = "all")]
    permissions: Scopes,
    /// Never shown; a user who is changed without one keeps the one they have.
    #[schema(min_length = 8, max_length = 256)]
    password: Option<String>,
    #[serde(default)]
    disabled: bool,
    /// Role in the console. Without it, an administrator may do everything there, and others nothing.
    console: Option<ConsoleRole>,
}

fn all() -> Scopes {
    Scopes::ALL
}

/// A user.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UserBody {
    extension_id: String,
    account_id: String,
    extension_number: String,
    admin: bool,
    #[schema(value_type = Vec<String>)]
    permissions: Scopes,
    has_password: bool,
    disabled: bool,
    console: ConsoleRole,
}

/// Settings of a new JWT.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct JwtEntry {
    /// Purpose.
    label: String,
    /// 3650 without it.
    #[schema(minimum = 1, maximum = 3650)]
    days: Option<u32>,
    /// The only application that may use it; any without.
    client_id: Option<String>,
}

/// A JWT credential.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct JwtBody {
    id: String,
    label: String,
    /// Seconds since 1970.
    expires: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<String>,
    /// Shown once, when it is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    jwt: Option<String>,
}

impl UserBody {
    fn of(extension_id: String, user: User) -> Self {
        Self {
            console: user.console_role(),
            extension_id,
            account_id: user.account,
            extension_number: user.extension_number,
            admin: user.admin,
            permissions: user.permissions,
            has_password: user.password.is_some(),
            disabled: user.disabled,
        }
    }
}

impl JwtBody {
    fn of(id: String, credential: Credential, jwt: Option<String>) -> Self {
        let Credential { label, expires, client_id, .. } = credential;
        Self { id, label, expires, client_id, jwt }
    }
}

async fn find(api: &Api, id: &str) -> Result<(u64, User), Problem> {
    let found = api.document::<User>(USER, id).await?;
    found.ok_or_else(|| Problem::unknown("extensionId", id))
}

/// Lists the users.
#[utoipa::path(get, path = "/admin/v1/users", tag = "Admin", security(("admin" = [])),
    responses((status = 200, body = Records<UserBody>), openapi::Refusals))]
pub(crate) async fn list(State(api): State<Api>, _: Admin) -> Result<Json<Records<UserBody>>, Problem> {
    let users = api.documents::<User>(USER).await?;
    Ok(Json(Records { records: users.into_iter().map(|(id, user)| UserBody::of(id, user)).collect() }))
}

/// Reads a user.
#[utoipa::path(get, path = "/admin/v1/users/{extensionId}", tag = "Admin", security(("admin" = [])),
    params(("extensionId" = String, Path, description = "The extension")),
    responses((status = 200, body = UserBody), openapi::Refusals))]
pub(crate) async fn read(
    State(api): State<Api>,
    _: Admin,
    Segments([id]): Segments<1>,
) -> Result<Json<UserBody>, Problem> {
    let (_, user) = find(&api, &id).await?;
    Ok(Json(UserBody::of(id, user)))
}

/// Makes an extension a user, or changes one.
#[utoipa::path(put, path = "/admin/v1/users/{extensionId}", tag = "Admin", security(("admin" = [])),
    params(("extensionId" = String, Path, description = "The extension")),
    request_body = UserEntry, responses((status = 200, body = UserBody), openapi::Refusals))]
pub(crate) async fn replace(
    State(api): State<Api>,
    _: Admin,
    Segments([id]): Segments<1>,
    content: Content,
) -> Result<Json<UserBody>, Problem> {
    let entry: UserEntry = json(&content)?;
    check_account(&api, &entry.account_id)?;
    let extension: ExtensionId = id.parse().map_err(|_| Problem::unknown("extensionId", &id))?;
    let directory = api.directory();
    let account = directory.accounts().find(|account| account.id().to_string() == entry.account_id);
    let listed =
        account.and_then(|account| account.extensions().iter().find(|listed| listed.id == extension));
    let listed = listed.ok_or_else(|| Problem::unknown("extensionId", &id))?;
    let old = api.document::<User>(USER, &id).await?;
    let expected = old.as_ref().map_or(Expected::Absent, |(revision, _)| Expected::Revision(*revision));
    // What was given to somebody of another account is not theirs.
    let same = old.map(|(_, user)| user).filter(|user| user.account == entry.account_id);
    let generation = match &same {
        Some(user) => user.generation.clone(),
        None => secret::token().map_err(|_| Problem::internal())?,
    };
    let password = match entry.password {
        None => same.and_then(|user| user.password),
        Some(password) => Some(hash(password, same.and_then(|user| user.password)).await?),
    };
    let user = User {
        account: entry.account_id,
        extension_number: listed.number.as_deref().unwrap_or_default().to_owned(),
        admin: entry.admin,
        permissions: entry.permissions,
        password,
        disabled: entry.disabled,
        console: entry.console,
        generation,
    };
    api.put(USER, &id, expected, &user).await?;
    Ok(Json(UserBody::of(id, user)))
}

/// The hash of a password: the one there is, if it is the same password, so that no login ends.
async fn hash(password: String, known: Option<String>) -> Result<String, Problem> {
    if !PASSWORD_CHARS.contains(&password.chars().count()) {
        return Err(Problem::field("password", "password must have 8 to 256 characters"));
    }
    let hashed =
        tokio::task::spawn_blocking(move || match known.filter(|known| secret::verify(&password, known)) {
            Some(known) => Ok(known),
            None => secret::hash(&password),
        });
    let hashed = hashed.await;
    hashed.ok().and_then(Result::ok).ok_or_else(Problem::internal)
}

/// Takes a user away; their tokens are good for nothing from then on.
#[utoipa::path(delete, path = "/admin/v1/users/{extensionId}", tag = "Admin", security(("admin" = [])),
    params(("extensionId" = String, Path, description = "The extension")),
    responses((status = 204, description = "Gone"), openapi::Refusals))]
pub(crate) async fn remove(
    State(api): State<Api>,
    _: Admin,
    Segments([id]): Segments<1>,
) -> Result<StatusCode, Problem> {
    find(&api, &id).await?;
    remove_user(&api, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes the user of an extension away, if there is one, with the JWT credentials.
pub(super) async fn remove_user(api: &Api, id: &str) -> Result<(), Problem> {
    for (jwt, _) in of_user(api, id).await? {
        api.remove(CREDENTIAL, &jwt).await?;
    }
    api.remove(USER, id).await
}

async fn of_user(api: &Api, id: &str) -> Result<Vec<(String, Credential)>, Problem> {
    let mut credentials = api.documents::<Credential>(CREDENTIAL).await?;
    credentials.retain(|(_, credential)| credential.extension == id);
    Ok(credentials)
}

/// Lists the JWT credentials of a user.
#[utoipa::path(get, path = "/admin/v1/users/{extensionId}/jwts", tag = "Admin", security(("admin" = [])),
    params(("extensionId" = String, Path, description = "The extension")),
    responses((status = 200, body = Records<JwtBody>), openapi::Refusals))]
pub(crate) async fn jwts(
    State(api): State<Api>,
    _: Admin,
    Segments([id]): Segments<1>,
) -> Result<Json<Records<JwtBody>>, Problem> {
    find(&api, &id).await?;
    let credentials = of_user(&api, &id).await?.into_iter();
    Ok(Json(Records {
        records: credentials.map(|(id, credential)| JwtBody::of(id, credential, None)).collect(),
    }))
}

/// Makes a JWT credential; the answer alone shows it.
#[utoipa::path(post, path = "/admin/v1/users/{extensionId}/jwts", tag = "Admin", security(("admin" = [])),
    params(("extensionId" = String, Path, description = "The extension")),
    request_body = JwtEntry, responses((status = 201, body = JwtBody), openapi::Refusals))]
pub(crate) async fn add_jwt(
    State(api): State<Api>,
    _: Admin,
    Segments([id]): Segments<1>,
    content: Content,
) -> Result<(StatusCode, Json<JwtBody>), Problem> {
    let entry: JwtEntry = json(&content)?;
    let (_, user) = find(&api, &id).await?;
    check_name("label", &entry.label)?;
    let days = entry.days.unwrap_or(JWT_DAYS_MAX);
    if !(1..=JWT_DAYS_MAX).contains(&days) {
        return Err(Problem::field("days", "days must be 1 to 3650"));
    }
    if let Some(client_id) = &entry.client_id
        && api.document::<Application>(APPLICATION, client_id).await?.is_none()
    {
        return Err(Problem::field("clientId", "clientId is no application; add it first, or leave it out"));
    }
    let extension: ExtensionId = id.parse().map_err(|_| Problem::unknown("extensionId", &id))?;
    let now = clock::wall().as_micros() / 1_000_000;
    let expires = now + i64::from(days) * 86_400;
    let jwt_id = secret::token().map_err(|_| Problem::internal())?;
    let credential = Credential {
        extension: id,
        label: entry.label,
        expires,
        client_id: entry.client_id,
        generation: user.generation,
    };
    api.put(CREDENTIAL, &jwt_id, Expected::Absent, &credential).await?;
    let jwt = api.oauth.assertion(extension, &jwt_id, now, expires);
    Ok((StatusCode::CREATED, Json(JwtBody::of(jwt_id, credential, Some(jwt)))))
}

/// Takes a JWT credential back, with all tokens that rest on it.
#[utoipa::path(delete, path = "/admin/v1/users/{extensionId}/jwts/{jwtId}", tag = "Admin", security(("admin" = [])),
    params(("extensionId" = String, Path, description = "The extension"), ("jwtId" = String, Path, description = "The JWT")),
    responses((status = 204, description = "Gone"), openapi::Refusals))]
pub(crate) async fn remove_jwt(
    State(api): State<Api>,
    _: Admin,
    Segments([id, jwt]): Segments<2>,
) -> Result<StatusCode, Problem> {
    let found = api.document::<Credential>(CREDENTIAL, &jwt).await?;
    found
        .filter(|(_, credential)| credential.extension == id)
        .ok_or_else(|| Problem::unknown("jwtId", &jwt))?;
    api.remove(CREDENTIAL, &jwt).await?;
    Ok(StatusCode::NO_CONTENT)
}
