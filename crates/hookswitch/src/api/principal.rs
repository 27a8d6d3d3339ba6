//! Who makes a request: the user and the application behind an access token.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use hookswitch_model::{AccountId, ExtensionId};

use super::oauth::ConsoleRole;
use super::scope::{Scope, Scopes};
use super::{Api, Problem};

/// A user and the application that acts for them.
#[derive(Clone, Debug)]
pub(crate) struct Principal {
    pub(crate) account: AccountId,
    pub(crate) extension: ExtensionId,
    pub(crate) client_id: Arc<str>,
    /// The grant on which the request rests.
    pub(crate) grant: Arc<str>,
    /// What the application was granted.
    pub(crate) scopes: Scopes,
    /// What the user may do.
    pub(super) permissions: Scopes,
    /// Whether the user may see what is not theirs, within the account.
    pub(super) admin: bool,
    /// What the user may do in the console.
    pub(super) console: ConsoleRole,
    /// The number of the extension.
    pub(super) extension_number: Arc<str>,
}

impl Principal {
    /// Checks that the application was granted this, and that the user may do it.
    ///
    /// # Errors
    /// 403: CMN-401 for the application, CMN-408 for the user.
    pub(crate) fn require(&self, scope: Scope) -> Result<(), Problem> {
        if !self.scopes.has(scope) {
            return Err(Problem::scope_missing(scope.name()));
        }
        if !self.permissions.has(scope) {
            return Err(Problem::permission_missing(scope.name()));
        }
        Ok(())
    }

    /// What the user may do in the console.
    pub(crate) const fn console(&self) -> ConsoleRole {
        self.console
    }

    /// The number of the extension.
    pub(crate) fn extension_number(&self) -> &str {
        &self.extension_number
    }

    /// Whether the user may see what is not theirs, within the account.
    pub(crate) const fn is_admin(&self) -> bool {
        self.admin
    }

    /// The account that a path names: `~` or the id of the user's own.
    ///
    /// # Errors
    /// 404 for any other, whether it exists or not.
    pub(crate) fn account(&self, path: &str) -> Result<AccountId, Problem> {
        if path == "~" || path.parse() == Ok(self.account) {
            Ok(self.account)
        } else {
            Err(Problem::unknown("accountId", path))
        }
    }

    /// The extension that a path names: `~` is the user's own.
    ///
    /// # Errors
    /// 404 for what is no extension id.
    pub(crate) fn extension(&self, path: &str) -> Result<ExtensionId, Problem> {
        if path == "~" {
            return Ok(self.extension);
        }
        path.parse().map_err(|_| Problem::unknown("extensionId", path))
    }
}

impl FromRequestParts<Api> for Principal {
    type Rejection = Problem;

    /// Takes who the limits were counted for; a request without a good token is refused.
    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        match parts.extensions.get::<Result<Self, Arc<Problem>>>() {
            Some(Ok(principal)) => Ok(principal.clone()),
            Some(Err(problem)) => Err((**problem).clone()),
            None => api.oauth.authenticate(&parts.headers).await,
        }
    }
}
