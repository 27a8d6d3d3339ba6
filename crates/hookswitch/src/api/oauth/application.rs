//! Applications and users as they are stored, and how an application proves that it is one.

use axum::http::{HeaderMap, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hookswitch_store::{Reader, StoreError};
use serde::{Deserialize, Serialize};

use super::form::Form;
use super::{OAuth, Refusal};
use crate::api::scope::Scopes;

/// The id of the console, an application that is built in: public, for the users of all accounts, and without a
/// document. Its tokens open the admin API, as far as their user may, and nothing else; those of no other do.
pub(crate) const CONSOLE: &str = "hookswitch-console";

/// An application; its id is its document's.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Application {
    pub(crate) name: String,
    pub(crate) account: String,
    /// The secret, hashed with argon2id; a public client has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) secret: Option<String>,
    pub(crate) grants: Vec<GrantType>,
    #[serde(default)]
    pub(crate) redirect_uris: Vec<String>,
    pub(crate) scopes: Scopes,
    #[serde(default)]
    pub(crate) disabled: bool,
    /// Whether it is the console.
    #[serde(skip)]
    pub(crate) is_console: bool,
}

impl Application {
    /// Finds an application.
    pub(super) fn find(reader: &Reader, id: &str) -> Result<Option<Self>, StoreError> {
        if id == CONSOLE { Ok(Some(Self::console())) } else { read(reader, super::APPLICATION, id) }
    }

    fn console() -> Self {
        Self {
            name: "The Hookswitch console".to_owned(),
            account: String::new(),
            secret: None,
            grants: vec![GrantType::AuthorizationCode, GrantType::RefreshToken],
            redirect_uris: Vec::new(),
            scopes: Scopes::default(),
            disabled: false,
            is_console: true,
        }
    }

    /// Whether it is for the users of an account.
    pub(super) fn serves(&self, account: &str) -> bool {
        self.is_console || self.account == account
    }
}

/// What a user may do in the console.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ConsoleRole {
    /// Nothing: it is closed to them.
    None,
    /// See what happens in their account.
    ReadOnly,
    /// See it, and test, renew and redeliver.
    Full,
}

/// A way to get tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub(crate) enum GrantType {
    #[serde(rename = "jwt-bearer")]
    JwtBearer,
    #[serde(rename = "authorization_code")]
    AuthorizationCode,
    #[serde(rename = "refresh_token")]
    RefreshToken,
    #[serde(rename = "password")]
    Password,
}

/// A user; the id of the document is that of the extension.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct User {
    pub(crate) account: String,
    pub(crate) extension_number: String,
    /// May see all of the account.
    #[serde(default)]
    pub(crate) admin: bool,
    #[serde(default = "all")]
    pub(crate) permissions: Scopes,
    /// The password, hashed with argon2id; without one there is no login by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) password: Option<String>,
    #[serde(default)]
    pub(crate) disabled: bool,
    /// What they may do in the console, where it was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) console: Option<ConsoleRole>,
}

impl User {
    /// What they may do in the console: everything as an administrator and nothing else, unless it was said.
    pub(crate) fn console_role(&self) -> ConsoleRole {
        self.console.unwrap_or(if self.admin { ConsoleRole::Full } else { ConsoleRole::None })
    }
}

fn all() -> Scopes {
    Scopes::ALL
}

/// The JWT credential of a user; the id of the document is its `jti`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Credential {
    pub(crate) extension: String,
    pub(crate) label: String,
    /// Seconds since 1970.
    pub(crate) expires: i64,
    /// The only application that may use it; any without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) client_id: Option<String>,
}

/// Reads a document of a type.
pub(crate) fn read<T: for<'de> Deserialize<'de>>(
    reader: &Reader,
    kind: &str,
    id: &str,
) -> Result<Option<T>, StoreError> {
    let Some(document) = reader.document(kind, id)? else { return Ok(None) };
    Ok(Some(serde_json::from_str(&document.content).map_err(hookswitch_store::RecordError::from)?))
}

/// What a request says about the client that makes it.
pub(super) struct Claimed {
    pub(super) client_id: String,
    secret: Option<String>,
    pub(super) by_header: bool,
}

impl Claimed {
    /// Reads the `Authorization` header, else the form.
    ///
    /// # Errors
    /// If there is neither, the two do not agree, or there is an assertion, which no application has
    /// a key for.
    pub(super) fn read(headers: &HeaderMap, form: &Form) -> Result<Self, Refusal> {
        if form.text("client_assertion").is_some() {
            let description = "Applications have no keys for a client_assertion; send client_id and secret";
            return Err(Refusal::new(
                axum::http::StatusCode::BAD_REQUEST,
                "invalid_client",
                "OAU-123",
                description,
            ));
        }
        let in_form = form.text("client_id");
        let Some(value) = headers.get(header::AUTHORIZATION) else {
            let client_id = in_form.ok_or_else(|| Self::missing(false))?.to_owned();
            let secret = form.text("client_secret").map(str::to_owned);
            return Ok(Self { client_id, secret, by_header: false });
        };
        let basic = value.to_str().ok().and_then(|value| value.split_once(' '));
        let basic = basic.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("basic"));
        let decoded = basic.and_then(|(_, text)| STANDARD.decode(text.trim()).ok());
        let decoded = decoded.and_then(|bytes| String::from_utf8(bytes).ok());
        let (client_id, secret) = decoded
            .as_deref()
            .and_then(|text| text.split_once(':'))
            .filter(|(client_id, _)| !client_id.is_empty())
            .ok_or_else(|| Self::missing(true))?;
        if in_form.is_some_and(|in_form| in_form != client_id) {
            let description = "client_id of the form is another than that of the Authorization header";
            return Err(Refusal::invalid_request("CMN-101", description));
        }
        let secret = Some(secret.to_owned()).filter(|secret| !secret.is_empty());
        Ok(Self { client_id: client_id.to_owned(), secret, by_header: true })
    }

    fn missing(by_header: bool) -> Refusal {
        let description = "Say which client it is: Authorization: Basic base64(client_id:client_secret)";
        Refusal { code: "OAU-123", description: description.into(), ..Refusal::invalid_client(by_header) }
    }

    /// The application, if it is that.
    ///
    /// # Errors
    /// One answer, and after the same time, whatever is wrong.
    pub(super) async fn prove(self, oauth: &OAuth) -> Result<(String, Application), Refusal> {
        let refused = Refusal::invalid_client(self.by_header);
        let id = self.client_id.clone();
        let application = oauth.store.read_async(move |reader| Application::find(reader, &id)).await?;
        let hash = application.as_ref().and_then(|application| application.secret.clone());
        let is_public = application.as_ref().is_some_and(|application| application.secret.is_none());
        let proved = match self.secret {
            None => is_public,
            Some(secret) => oauth.verify(&["client", &self.client_id], &secret, hash).await?,
        };
        let application = application.filter(|_| proved).ok_or(refused)?;
        if application.disabled {
            return Err(Refusal::new(
                axum::http::StatusCode::FORBIDDEN,
                "invalid_client",
                "OAU-167",
                "The application is disabled; an administrator of this server can enable it",
            ));
        }
        Ok((self.client_id, application))
    }
}
