//! Identities of those who ask, as the table of rights knows them.

use hookswitch_model::{AccountId, ExtensionId};

use super::{ConsoleRole, Scopes};

/// A user and the application that acts for them, as both are at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The account of the user.
    pub account: AccountId,
    /// The extension of the user.
    pub extension: ExtensionId,
    /// The application permissions that are granted.
    pub scopes: Scopes,
    /// The user permissions.
    pub permissions: Scopes,
    /// Set if the user has the role of an administrator of the account.
    pub admin: bool,
    /// The role of the user in the console.
    pub console: ConsoleRole,
}
