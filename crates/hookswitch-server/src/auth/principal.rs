//! Principal of a request: the user and the application behind an access token.

use std::sync::Arc;

use hookswitch_model::{AccountId, ExtensionId};

use super::application::ConsoleRole;
use super::identity::Identity;
use super::problem::Problem;
use super::scope::{Scope, Scopes};

/// A user and the application that acts for them.
#[derive(Clone, Debug)]
pub struct Principal {
    /// The account of the user.
    pub account: AccountId,
    /// The extension of the user.
    pub extension: ExtensionId,
    /// The application.
    pub client_id: Arc<str>,
    /// The grant on which the request rests.
    pub grant: Arc<str>,
    /// Scopes that the application was granted.
    pub scopes: Scopes,
    /// Permissions of the user.
    pub permissions: Scopes,
    /// Set if the user may see what is not theirs, within the account.
    pub admin: bool,
    /// Role of the user in the console.
    pub console: ConsoleRole,
    /// The number of the extension.
    pub extension_number: Arc<str>,
    /// Generation: one of the users that had the extension one after the other.
    pub generation: Arc<str>,
}

impl Principal {
    /// Checks that the application was granted this, and that the user may do it.
    ///
    /// # Errors
    /// 403: CMN-401 for the application, CMN-408 for the user.
    pub fn require(&self, scope: Scope) -> Result<(), Problem> {
        if !self.scopes.has(scope) {
            return Err(Problem::scope_missing(scope.name()));
        }
        if !self.permissions.has(scope) {
            return Err(Problem::permission_missing(scope.name()));
        }
        Ok(())
    }

    /// As the table of rights knows them.
    pub const fn identity(&self) -> Identity {
        Identity {
            account: self.account,
            extension: self.extension,
            scopes: self.scopes,
            permissions: self.permissions,
            admin: self.admin,
            console: self.console,
        }
    }

    /// Role of the user in the console.
    pub const fn console(&self) -> ConsoleRole {
        self.console
    }

    /// The number of the extension.
    pub fn extension_number(&self) -> &str {
        &self.extension_number
    }

    /// The account that a path names: `~` or the id of the user's own.
    ///
    /// # Errors
    /// 404 for any other, whether it exists or not.
    pub fn account(&self, path: &str) -> Result<AccountId, Problem> {
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
    pub fn extension(&self, path: &str) -> Result<ExtensionId, Problem> {
        if path == "~" {
            return Ok(self.extension);
        }
        path.parse().map_err(|_| Problem::unknown("extensionId", path))
    }
}
