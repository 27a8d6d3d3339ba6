//! Applications and users as they are stored, and how an application proves that it is one.

use std::net::IpAddr;

use axum::http::{HeaderMap, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hookswitch_store::{Reader, StoreError};
use serde::{Deserialize, Serialize};

use super::form::Form;
use super::{OAuth, Refusal};
use crate::auth::Scopes;
use crate::secret::Digest;

/// The id of the console, an application that is built in: public, for the users of all accounts, and without a
/// document. Its tokens open the admin API, as far as their user may, and nothing else; those of no other do.
pub const CONSOLE: &str = "hookswitch-console";

/// An application; its id is its document's.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Application {
    /// The name that users see when they log in.
    pub name: String,
    /// The id of the account whose users it is for.
    pub account: String,
    /// The secret, hashed with argon2id; a public client has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// The ways in which it may get tokens.
    pub grants: Vec<GrantType>,
    /// The addresses to which codes may go.
    #[serde(default)]
    pub redirect_uris: Vec<String>,
    /// Scopes that it may ask for.
    pub scopes: Scopes,
    /// Set if it gets no tokens.
    #[serde(default)]
    pub disabled: bool,
    /// Set if it is the console.
    #[serde(skip)]
    pub is_console: bool,
}

impl Application {
    /// Finds an application.
    pub fn find(reader: &Reader, id: &str) -> Result<Option<Self>, StoreError> {
        if id == CONSOLE { Ok(Some(Self::console())) } else { read(reader, super::APPLICATION, id) }
    }

    pub(super) fn console() -> Self {
        Self {
            name: "The Hookswitch console".to_owned(),
            account: String::new(),
            secret: None,
            grants: vec![GrantType::RefreshToken],
            redirect_uris: Vec::new(),
            scopes: Scopes::default(),
            disabled: false,
            is_console: true,
        }
    }

    /// Returns `true` if it is for the users of an account.
    pub fn serves(&self, account: &str) -> bool {
        self.is_console || self.account == account
    }
}

/// Role of a user in the console.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ConsoleRole {
    /// Nothing: it is closed to them.
    None,
    /// See what happens in their account.
    ReadOnly,
    /// See it, and test, renew and redeliver.
    Full,
}

/// A way to get tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub enum GrantType {
    /// By a JWT of the user (RFC 7523).
    #[serde(rename = "jwt-bearer")]
    JwtBearer,
    /// By a code for a login (RFC 6749 §4.1).
    #[serde(rename = "authorization_code")]
    AuthorizationCode,
    /// By a refresh token (RFC 6749 §6).
    #[serde(rename = "refresh_token")]
    RefreshToken,
    /// By the name and the password of a user (RFC 6749 §4.3).
    #[serde(rename = "password")]
    Password,
}

/// A user; the id of the document is that of the extension.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// The id of the account.
    pub account: String,
    /// The number of the extension.
    pub extension_number: String,
    /// May see all of the account.
    #[serde(default)]
    pub admin: bool,
    /// Permissions of the user.
    #[serde(default = "all")]
    pub permissions: Scopes,
    /// The password, hashed with argon2id; without one there is no login by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// Set if the user may do nothing.
    #[serde(default)]
    pub disabled: bool,
    /// Role in the console, where one was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub console: Option<ConsoleRole>,
    /// Tells the users apart that have the extension one after the other; what was given to one is good for none of
    /// the others. Empty for those of an earlier version.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub generation: String,
}

impl User {
    /// Returns what they may do in the console: everything as an administrator and nothing else, unless it was said.
    pub fn console_role(&self) -> ConsoleRole {
        self.console.unwrap_or(if self.admin { ConsoleRole::Full } else { ConsoleRole::None })
    }

    /// The mark of the password: another whenever it was set anew.
    pub fn password_mark(&self) -> Option<String> {
        self.password.as_deref().map(|hash| Digest::of(hash.as_bytes()).to_string())
    }
}

fn all() -> Scopes {
    Scopes::ALL
}

/// The JWT credential of a user; the id of the document is its `jti`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Credential {
    /// The id of the extension whose user it is for.
    pub extension: String,
    /// The label by which people know it.
    pub label: String,
    /// Seconds since 1970.
    pub expires: i64,
    /// The only application that may use it; any without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// The generation of the user that it was made for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub generation: String,
}

/// Reads a document of a type.
pub fn read<T: for<'de> Deserialize<'de>>(
    reader: &Reader,
    kind: &str,
    id: &str,
) -> Result<Option<T>, StoreError> {
    let Some(document) = reader.document(kind, id)? else { return Ok(None) };
    Ok(Some(serde_json::from_str(&document.content).map_err(hookswitch_store::RecordError::from)?))
}

/// Statement of a request about the client that makes it.
pub struct Claimed {
    /// The id that the client gives.
    pub client_id: String,
    secret: Option<String>,
    pub(super) by_header: bool,
}

impl Claimed {
    /// Reads the `Authorization` header, else the form.
    ///
    /// # Errors
    /// If there is neither, the two do not agree, or there is an assertion, which no application has
    /// a key for.
    pub fn read(headers: &HeaderMap, form: &Form) -> Result<Self, Refusal> {
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
    pub async fn prove(self, oauth: &OAuth, from: IpAddr) -> Result<(String, Application), Refusal> {
        let refused = Refusal::invalid_client(self.by_header);
        let id = self.client_id.clone();
        let application = oauth.store.read_async(move |reader| Application::find(reader, &id)).await?;
        let hash = application.as_ref().and_then(|application| application.secret.clone());
        let is_public = application.as_ref().is_some_and(|application| application.secret.is_none());
        let proved = match self.secret {
            None => is_public,
            Some(secret) => oauth.verify(&["client", &self.client_id], from, &secret, hash).await?,
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
