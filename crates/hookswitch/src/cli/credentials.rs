//! Credentials of applications, users and operators: made here once, and stored as digests.

use anyhow::Context as _;
use hookswitch_model::{AccountId, ExtensionId};
use hookswitch_server::auth::{ADMIN_TOKEN, APPLICATION, CREDENTIAL, USER, issue_assertion};
use hookswitch_server::clock;
use hookswitch_server::config::Config;
use hookswitch_server::secret::{self, Digest, Key};
use hookswitch_store::{Change, Expected};
use serde::Serialize;
use serde_json::{Value, json};

/// Life of a JWT, in days.
const JWT_DAYS: i64 = 10 * 365;

const SECONDS_PER_DAY: i64 = 86_400;

/// Scopes of an application that is made here.
pub(super) const SCOPES: [&str; 6] = [
    "CallControl",
    "ReadAccounts",
    "ReadCallLog",
    "ReadPresence",
    "SubscriptionWebhook",
    "WebSocketsSubscription",
];

/// The ways in which such an application gets tokens.
pub(super) const GRANTS: [&str; 3] = ["jwt-bearer", "authorization_code", "refresh_token"];

/// Credentials of a program, and the user it acts for. Secrets are shown once.
#[derive(Serialize)]
pub(super) struct Credentials {
    pub(super) server: String,
    pub(super) hep: String,
    pub(super) client_id: String,
    pub(super) client_secret: String,
    pub(super) jwt: String,
    pub(super) account_id: String,
    pub(super) extension_id: String,
    pub(super) extension_number: String,
}

/// The extension that logs in.
pub(super) struct Holder<'a> {
    pub(super) account: AccountId,
    pub(super) extension: ExtensionId,
    pub(super) number: &'a str,
}

impl Credentials {
    /// Makes an application and a JWT for an extension, and the documents of both.
    ///
    /// # Errors
    /// If the operating system has no random bytes.
    pub(super) fn make(
        config: &Config,
        key: &Key,
        holder: &Holder<'_>,
        application: &str,
        label: &str,
    ) -> anyhow::Result<(Self, Vec<Change>)> {
        let (client_id, client_secret) = (secret::token()?, secret::token()?);
        let now = clock::wall().as_micros() / 1_000_000;
        let expires = now + JWT_DAYS * SECONDS_PER_DAY;
        let jwt_id = secret::token()?;
        let jwt = issue_assertion(key, holder.extension, &jwt_id, now, expires);
        let changes = vec![
            added(
                APPLICATION,
                &client_id,
                &json!({
                    "name": application,
                    "account": holder.account.to_string(),
                    "secret": secret::hash(&client_secret)?,
                    "grants": GRANTS,
                    "redirect_uris": [],
                    "scopes": SCOPES,
                }),
            ),
            // A JWT is good as long as the document with its id is there.
            added(
                CREDENTIAL,
                &jwt_id,
                &json!({"extension": holder.extension.to_string(), "label": label, "expires": expires}),
            ),
        ];
        let made = Self {
            server: config.public_url(config.server.listen),
            hep: config.hep.listen.0.map(|address| address.to_string()).unwrap_or_default(),
            client_id,
            client_secret,
            jwt,
            account_id: holder.account.to_string(),
            extension_id: holder.extension.to_string(),
            extension_number: holder.number.to_owned(),
        };
        Ok((made, changes))
    }

    /// Each value with its name, in the order in which they are printed.
    pub(super) fn rows(&self) -> [(&'static str, &str); 8] {
        [
            ("server", &self.server),
            ("hep", &self.hep),
            ("client_id", &self.client_id),
            ("client_secret", &self.client_secret),
            ("jwt", &self.jwt),
            ("account_id", &self.account_id),
            ("extension_id", &self.extension_id),
            ("extension_number", &self.extension_number),
        ]
    }
}

/// The document of a new user.
pub(super) fn user(holder: &Holder<'_>, admin: bool) -> Change {
    let content =
        json!({"account": holder.account.to_string(), "extension_number": holder.number, "admin": admin});
    added(USER, &holder.extension.to_string(), &content)
}

/// Makes an admin token, and its document.
///
/// # Errors
/// If the operating system has no random bytes.
pub(super) fn admin_token(label: &str, role: &str) -> anyhow::Result<(String, Change)> {
    let token = secret::token().context("cannot make a token")?;
    let digest = Digest::of(token.as_bytes()).to_string();
    Ok((token, added(ADMIN_TOKEN, &digest, &json!({"label": label, "role": role}))))
}

fn added(kind: &'static str, id: &str, content: &Value) -> Change {
    Change {
        kind: kind.into(),
        id: id.to_owned(),
        expected: Expected::Absent,
        content: Some(content.to_string()),
    }
}
