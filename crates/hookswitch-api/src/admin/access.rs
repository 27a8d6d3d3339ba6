//! Access to the admin API: the holder of an admin token, or a user whom the console acts for.
//!
//! A token of any other application opens nothing here, whatever its user may do: who lets an application
//! read their calls must not hand it the console with that.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::header;
use axum::http::request::Parts;
use hookswitch_model::AccountId;
use hookswitch_server::auth::{ADMIN_TOKEN, CONSOLE, Principal, read};
use hookswitch_server::rights::Action;
use hookswitch_server::secret::Digest;
use serde::{Deserialize, Serialize};

use super::kept;
use crate::{Api, Problem};

/// The longest token that is looked up, in bytes.
const TOKEN_BYTES_MAX: usize = 512;

/// An admin token as it is stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AdminToken {
    /// Owner or purpose.
    pub(crate) label: String,
    #[serde(default)]
    pub(crate) role: Role,
}

/// Level of access to the admin API.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Role {
    /// See and change.
    #[default]
    Full,
    /// See.
    ReadOnly,
}

/// Requester and its permissions.
#[derive(Clone, Debug)]
pub(crate) struct Access {
    pub(crate) role: Role,
    /// The only account that is seen and touched; all without it.
    pub(crate) account: Option<AccountId>,
    /// Name for people.
    pub(crate) name: String,
    held: Held,
}

/// Basis of an access.
#[derive(Clone, Debug)]
enum Held {
    /// The digest of an admin token.
    Token(String),
    /// The grant of a user to the console.
    Grant(Arc<str>),
}

impl Access {
    /// Returns `true` if what belongs to this account is seen. What is not, is answered as unknown.
    pub(crate) fn sees(&self, account: AccountId) -> bool {
        self.account.is_none_or(|own| own == account)
    }

    /// Finds who holds the token of a request.
    async fn of_request(parts: &Parts, api: &Api) -> Result<Self, Problem> {
        let value = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = value.and_then(|value| value.split_once(' '));
        let token = token.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        let token = token.ok_or_else(Problem::unauthorized)?.1.trim();
        if token.len() > TOKEN_BYTES_MAX {
            return Err(Problem::unauthorized());
        }
        let digest = Digest::of(token.as_bytes()).to_string();
        match Self::of_admin_token(api, digest).await? {
            Some(access) => Ok(access),
            None => Self::of_user(api, api.oauth.holder(token).await.map_err(|_| Problem::unauthorized())?),
        }
    }

    async fn of_admin_token(api: &Api, digest: String) -> Result<Option<Self>, Problem> {
        let id = digest.clone();
        let found = api.store.find(move |reader| read::<AdminToken>(reader, ADMIN_TOKEN, &id)).await;
        Ok(found.map_err(kept)?.map(|token| Self {
            role: token.role,
            account: None,
            name: token.label,
            held: Held::Token(digest),
        }))
    }

    fn of_user(api: &Api, principal: Principal) -> Result<Self, Problem> {
        if &*principal.client_id != CONSOLE {
            return Err(Problem::unauthorized());
        }
        api.check(&principal, Action::SeeConsole, principal.account, None)?;
        let operates = api.check(&principal, Action::OperateConsole, principal.account, None).is_ok();
        let role = if operates { Role::Full } else { Role::ReadOnly };
        Ok(Self {
            role,
            account: Some(principal.account),
            name: format!("Extension {}", principal.extension_number()),
            held: Held::Grant(principal.grant),
        })
    }

    /// Renews an access that was given some time ago: what is left of it.
    ///
    /// # Errors
    /// 401 or 403 if it has ended.
    pub(super) async fn renewed(&self, api: &Api) -> Result<Self, Problem> {
        match &self.held {
            Held::Token(digest) => {
                Self::of_admin_token(api, digest.clone()).await?.ok_or_else(Problem::unauthorized)
            }
            Held::Grant(grant) => Self::of_user(api, api.oauth.of_grant(grant.clone()).await?),
        }
    }
}

/// Whoever may see what happens.
pub(crate) struct Reader(pub(crate) Access);

impl FromRequestParts<Api> for Reader {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        Access::of_request(parts, api).await.map(Self)
    }
}

/// Whoever may also act on it: test, renew, redeliver.
pub(crate) struct Operator(pub(crate) Access);

impl FromRequestParts<Api> for Operator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let access = Access::of_request(parts, api).await?;
        if access.role == Role::Full { Ok(Self(access)) } else { Err(Problem::read_only()) }
    }
}

/// Whoever may set up the server: the holder of an admin token of the role full.
pub(crate) struct Admin;

impl FromRequestParts<Api> for Admin {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let Operator(access) = Operator::from_request_parts(parts, api).await?;
        match access.held {
            Held::Token(_) => Ok(Self),
            Held::Grant(_) => Err(Problem::admin_token_only()),
        }
    }
}
