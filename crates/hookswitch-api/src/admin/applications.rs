//! Applications: who may ask for tokens, how, and for what.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use hookswitch_server::auth::{APPLICATION, Application, GrantType, Scopes};
use hookswitch_server::secret;
use hookswitch_store::Expected;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Admin, Records, check_name, json};
use crate::request::{Content, Segments};
use crate::{Api, Problem, openapi};

/// The most redirect addresses of an application, and the longest, in bytes.
const REDIRECTS_MAX: usize = 20;
const REDIRECT_BYTES_MAX: usize = 2000;

/// Settings of a new application.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct ApplicationEntry {
    name: String,
    /// The account whose users it is for.
    account_id: String,
    grants: Vec<GrantType>,
    #[serde(default)]
    redirect_uris: Vec<String>,
    #[schema(value_type = Vec<String>)]
    scopes: Scopes,
    /// Has no secret: a page in a browser, an app on a phone. It stays so.
    #[serde(default)]
    public: bool,
    #[serde(default)]
    disabled: bool,
}

/// An application.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ApplicationBody {
    client_id: String,
    name: String,
    account_id: String,
    grants: Vec<GrantType>,
    redirect_uris: Vec<String>,
    #[schema(value_type = Vec<String>)]
    scopes: Scopes,
    public: bool,
    disabled: bool,
    /// Shown once, when it is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    client_secret: Option<String>,
}

impl ApplicationBody {
    fn of(client_id: String, application: Application, client_secret: Option<String>) -> Self {
        Self {
            client_id,
            name: application.name,
            account_id: application.account,
            grants: application.grants,
            redirect_uris: application.redirect_uris,
            scopes: application.scopes,
            public: application.secret.is_none(),
            disabled: application.disabled,
            client_secret,
        }
    }
}

impl ApplicationEntry {
    fn check(&self, api: &Api) -> Result<(), Problem> {
        check_name("name", &self.name)?;
        check_account(api, &self.account_id)?;
        if self.grants.is_empty() {
            return Err(Problem::field(
                "grants",
                "grants is empty; allow one at least, such as \"jwt-bearer\"",
            ));
        }
        if self.redirect_uris.len() > REDIRECTS_MAX || !self.redirect_uris.iter().all(|uri| is_redirect(uri))
        {
            let message = "redirectUris must be at most 20 addresses as https://app.example/done, \
                           http://localhost:8000/done or com.example.app:/done, without # and spaces";
            return Err(Problem::field("redirectUris", message));
        }
        if self.public && self.grants.contains(&GrantType::Password) {
            return Err(Problem::field(
                "grants",
                "A public application may not use \"password\"; leave it out",
            ));
        }
        Ok(())
    }

    fn into_application(self, secret: Option<String>) -> Application {
        Application {
            name: self.name,
            account: self.account_id,
            secret,
            grants: self.grants,
            redirect_uris: self.redirect_uris,
            scopes: self.scopes,
            disabled: self.disabled,
            is_console: false,
        }
    }
}

/// Checks that the directory has an account.
pub(super) fn check_account(api: &Api, id: &str) -> Result<(), Problem> {
    let known = api.directory().accounts().any(|account| account.id().to_string() == id);
    if known {
        return Ok(());
    }
    let message = format!("accountId {:?} is no account of the directory; add it there first", cut(id));
    Err(Problem::field("accountId", message))
}

/// A text from outside, as far as a message shows it.
fn cut(text: &str) -> String {
    text.chars().take(40).collect()
}

/// An absolute address without a fragment (RFC 6749 §3.1.2): of https, of http on this machine, or
/// with the scheme of an app, which has a point (RFC 8252 §7.1).
fn is_redirect(text: &str) -> bool {
    let plain = text.bytes().all(|byte| byte.is_ascii_graphic() && !b"#\"'<>\\`{}|^".contains(&byte));
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    if !plain || text.len() > REDIRECT_BYTES_MAX || rest.is_empty() {
        return false;
    }
    let host = text.parse::<Uri>().ok().and_then(|uri| uri.host().map(str::to_owned));
    match scheme {
        "https" => host.is_some(),
        "http" => host.is_some_and(|host| matches!(&*host, "localhost" | "127.0.0.1" | "[::1]")),
        _ => {
            scheme.contains('.')
                && scheme.starts_with(|c: char| c.is_ascii_alphabetic())
                && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
        }
    }
}

/// A new secret, and its hash.
async fn new_secret() -> Result<(String, String), Problem> {
    let made = tokio::task::spawn_blocking(|| {
        let secret = secret::token()?;
        let hash = secret::hash(&secret)?;
        anyhow::Ok((secret, hash))
    });
    made.await.ok().and_then(Result::ok).ok_or_else(Problem::internal)
}

/// Lists the applications.
#[utoipa::path(get, path = "/admin/v1/applications", tag = "Admin", security(("admin" = [])),
    responses((status = 200, body = Records<ApplicationBody>), openapi::Refusals))]
pub(crate) async fn list(
    State(api): State<Api>,
    _: Admin,
) -> Result<Json<Records<ApplicationBody>>, Problem> {
    let applications = api.documents::<Application>(APPLICATION).await?;
    let records =
        applications.into_iter().map(|(id, application)| ApplicationBody::of(id, application, None));
    Ok(Json(Records { records: records.collect() }))
}

/// Adds an application; the answer alone shows its secret.
#[utoipa::path(post, path = "/admin/v1/applications", tag = "Admin", security(("admin" = [])),
    request_body = ApplicationEntry, responses((status = 201, body = ApplicationBody), openapi::Refusals))]
pub(crate) async fn add(
    State(api): State<Api>,
    _: Admin,
    content: Content,
) -> Result<(StatusCode, Json<ApplicationBody>), Problem> {
    let entry: ApplicationEntry = json(&content)?;
    entry.check(&api)?;
    let (shown, hash) = if entry.public {
        (None, None)
    } else {
        let (shown, hash) = new_secret().await?;
        (Some(shown), Some(hash))
    };
    let application = entry.into_application(hash);
    let client_id = secret::token().map_err(|_| Problem::internal())?[..22].to_owned();
    api.put(APPLICATION, &client_id, Expected::Absent, &application).await?;
    Ok((StatusCode::CREATED, Json(ApplicationBody::of(client_id, application, shown))))
}

async fn find(api: &Api, client_id: &str) -> Result<(u64, Application), Problem> {
    let found = api.document::<Application>(APPLICATION, client_id).await?;
    found.ok_or_else(|| Problem::unknown("clientId", client_id))
}

/// Reads an application.
#[utoipa::path(get, path = "/admin/v1/applications/{clientId}", tag = "Admin", security(("admin" = [])),
    params(("clientId" = String, Path, description = "Its id")),
    responses((status = 200, body = ApplicationBody), openapi::Refusals))]
pub(crate) async fn read(
    State(api): State<Api>,
    _: Admin,
    Segments([client_id]): Segments<1>,
) -> Result<Json<ApplicationBody>, Problem> {
    let (_, application) = find(&api, &client_id).await?;
    Ok(Json(ApplicationBody::of(client_id, application, None)))
}

/// Changes an application; its secret stays.
#[utoipa::path(put, path = "/admin/v1/applications/{clientId}", tag = "Admin", security(("admin" = [])),
    params(("clientId" = String, Path, description = "Its id")),
    request_body = ApplicationEntry, responses((status = 200, body = ApplicationBody), openapi::Refusals))]
pub(crate) async fn replace(
    State(api): State<Api>,
    _: Admin,
    Segments([client_id]): Segments<1>,
    content: Content,
) -> Result<Json<ApplicationBody>, Problem> {
    let entry: ApplicationEntry = json(&content)?;
    let (revision, old) = find(&api, &client_id).await?;
    entry.check(&api)?;
    if entry.public != old.secret.is_none() {
        let message = "public cannot be changed; add another application";
        return Err(Problem::field("public", message));
    }
    let application = entry.into_application(old.secret);
    api.put(APPLICATION, &client_id, Expected::Revision(revision), &application).await?;
    Ok(Json(ApplicationBody::of(client_id, application, None)))
}

/// Takes an application away; its tokens are good for nothing from then on.
#[utoipa::path(delete, path = "/admin/v1/applications/{clientId}", tag = "Admin", security(("admin" = [])),
    params(("clientId" = String, Path, description = "Its id")),
    responses((status = 204, description = "Gone"), openapi::Refusals))]
pub(crate) async fn remove(
    State(api): State<Api>,
    _: Admin,
    Segments([client_id]): Segments<1>,
) -> Result<StatusCode, Problem> {
    find(&api, &client_id).await?;
    api.remove(APPLICATION, &client_id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Gives an application another secret; the answer alone shows it.
#[utoipa::path(post, path = "/admin/v1/applications/{clientId}/secret", tag = "Admin", security(("admin" = [])),
    params(("clientId" = String, Path, description = "Its id")),
    responses((status = 200, body = ApplicationBody), openapi::Refusals))]
pub(crate) async fn renew_secret(
    State(api): State<Api>,
    _: Admin,
    Segments([client_id]): Segments<1>,
) -> Result<Json<ApplicationBody>, Problem> {
    let (revision, old) = find(&api, &client_id).await?;
    if old.secret.is_none() {
        return Err(Problem::field("public", "A public application has no secret; add another application"));
    }
    let (shown, hash) = new_secret().await?;
    let application = Application { secret: Some(hash), ..old };
    api.put(APPLICATION, &client_id, Expected::Revision(revision), &application).await?;
    Ok(Json(ApplicationBody::of(client_id, application, Some(shown))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirect_addresses_are_those_that_lead_to_the_application() {
        for good in ["https://app.example/done?x=1", "http://localhost:8000/", "com.example.app:/done"] {
            assert!(is_redirect(good), "{good}");
        }
        for bad in [
            "",
            "app.example",
            "/done",
            "http://app.example/",
            "https://app.example/#x",
            "https://app.example/\r\nX: y",
            "javascript:alert(1)",
            "data:text/html,x",
            "https:",
            "https://app.example/<",
        ] {
            assert!(!is_redirect(bad), "{bad}");
        }
    }
}
