//! Errors of texts that are no event filters that can be used.

use hookswitch_model::{AccountId, ExtensionId};
use thiserror::Error;

/// Why a text is not an event filter that can be used; each names the filter and the fix.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FilterError {
    /// The path is none that is known.
    #[error(
        "event filter {0:?} is not understood; write /restapi/v1.0/account/~/telephony/sessions or \
         /restapi/v1.0/account/~/extension/ID/telephony/sessions"
    )]
    Path(String),
    /// The family is a misspelling of one that is served.
    #[error("event filter {filter:?} is not understood; write {meant} behind the account or the extension")]
    NearMiss {
        /// The whole filter.
        filter: String,
        /// The family that was meant.
        meant: &'static str,
    },
    /// The number of an extension stands where its id belongs.
    #[error("event filter {filter:?} has the number of an extension where its id belongs; write {id}")]
    ExtensionNumber {
        /// The whole filter.
        filter: String,
        /// The id of the extension.
        id: ExtensionId,
    },
    /// No extension of the account has the id.
    #[error(
        "event filter {filter:?} is for an extension that the account does not have; write ~ or an id of GET …/extension"
    )]
    UnknownExtension {
        /// The whole filter.
        filter: String,
    },
    /// An id is neither `~` nor decimal digits.
    #[error("event filter {filter:?} names {id:?} where an id belongs; write ~ or decimal digits")]
    Id {
        /// The whole filter.
        filter: String,
        /// Text in the place of the id.
        id: String,
    },
    /// The account is another one.
    #[error("event filter {filter:?} names another account than {account}; write ~ or that account's id")]
    OtherAccount {
        /// The whole filter.
        filter: String,
        /// The subscriber's account.
        account: AccountId,
    },
    /// A known parameter has a value that it cannot have.
    #[error("event filter {filter:?} has {name}={value:?}; {name} takes {allowed}")]
    Value {
        /// The whole filter.
        filter: String,
        /// The parameter.
        name: &'static str,
        /// Its value, decoded.
        value: String,
        /// Values that it may have.
        allowed: &'static str,
    },
    /// A parameter stands twice.
    #[error("event filter {filter:?} has {name} twice; write one filter for each value")]
    Repeated {
        /// The whole filter.
        filter: String,
        /// The parameter.
        name: &'static str,
    },
    /// A part of the query is no `name=value`.
    #[error("event filter {filter:?} has {part:?} in its query; write name=value, joined by &, without !")]
    Query {
        /// The whole filter.
        filter: String,
        /// The part.
        part: String,
    },
    /// The times of a renewal reminder do not fit.
    #[error(
        "event filter {filter:?} asks for a reminder that cannot be kept; give threshold and interval in \
         seconds, each {min} at least, and interval half of threshold at most"
    )]
    Reminder {
        /// The whole filter.
        filter: String,
        /// The shortest time.
        min: u64,
    },
}

impl FilterError {
    /// The error code of the API (contract subscriptions §3).
    pub const fn code(&self) -> &'static str {
        match self {
            Self::OtherAccount { .. } => "SUB-406",
            Self::ExtensionNumber { .. } | Self::UnknownExtension { .. } => "SUB-408",
            Self::Reminder { .. } => "SUB-516",
            _ => "SUB-508",
        }
    }

    /// The status of HTTP that goes with the code.
    pub const fn status(&self) -> u16 {
        match self {
            Self::OtherAccount { .. } | Self::UnknownExtension { .. } => 403,
            _ => 400,
        }
    }
}
