//! Event filters: which party events a subscription hears of (contract subscriptions §1).

use std::fmt;

use hookswitch_model::{AccountId, Event, ExtensionId};
use thiserror::Error;

/// One event filter, read once and matched many times.
///
/// Understands the account and the extension level, without query parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventFilter {
    account: AccountId,
    extension: Option<ExtensionId>,
}

/// Whom `~` stands for in a filter.
#[derive(Clone, Copy, Debug)]
pub struct Own {
    /// The subscriber's account.
    pub account: AccountId,
    /// The subscriber's extension.
    pub extension: ExtensionId,
}

/// Why a text is not an event filter that can be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FilterError {
    /// The path is none of the two forms.
    #[error(
        "event filter {0:?} is not understood; write /restapi/v1.0/account/~/telephony/sessions or \
         /restapi/v1.0/account/~/extension/ID/telephony/sessions"
    )]
    Path(String),
    /// An id is neither `~` nor decimal digits.
    #[error("event filter {filter:?} names {id:?} where an id belongs; write ~ or decimal digits")]
    Id {
        /// The whole filter.
        filter: String,
        /// What stands in the place of the id.
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
    /// Query parameters are not supported.
    #[error("event filter {0:?} has query parameters, which are not supported; remove the part from '?' on")]
    Query(String),
}

impl EventFilter {
    /// Reads a filter; `~` stands for the subscriber's own ids.
    pub fn parse(text: &str, own: Own) -> Result<Self, FilterError> {
        let path = text.strip_suffix('/').unwrap_or(text);
        if path.contains('?') {
            return Err(FilterError::Query(text.to_owned()));
        }
        let bad = || FilterError::Path(text.to_owned());
        let rest = path.strip_prefix("/restapi/v1.0/account/").ok_or_else(bad)?;
        let rest = rest.strip_suffix("/telephony/sessions").ok_or_else(bad)?;
        let (account, extension) = match rest.split_once('/') {
            None => (rest, None),
            Some((account, rest)) => (account, Some(rest.strip_prefix("extension/").ok_or_else(bad)?)),
        };
        if extension.is_some_and(|extension| extension.contains('/')) {
            return Err(bad());
        }
        let id = |id: &str, own: u64| match id {
            "~" => Ok(own),
            digits if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                digits.parse().map_err(|_| FilterError::Id { filter: text.to_owned(), id: digits.to_owned() })
            }
            other => Err(FilterError::Id { filter: text.to_owned(), id: other.to_owned() }),
        };
        let account = AccountId::new(id(account, own.account.as_u64())?);
        if account != own.account {
            return Err(FilterError::OtherAccount { filter: text.to_owned(), account: own.account });
        }
        let extension = extension.map(|extension| id(extension, own.extension.as_u64())).transpose()?;
        Ok(Self { account, extension: extension.map(ExtensionId::new) })
    }

    /// Whether a subscription with this filter hears of an event (contract events §1.2).
    pub fn matches(&self, event: &Event) -> bool {
        self.account == event.session.account
            && self.extension.is_none_or(|extension| event.party.extension == Some(extension))
    }
}

/// The filter with its ids in place of `~`, as a subscription shows it.
impl fmt::Display for EventFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/restapi/v1.0/account/{}", self.account)?;
        if let Some(extension) = self.extension {
            write!(f, "/extension/{extension}")?;
        }
        f.write_str("/telephony/sessions")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: Own = Own { account: AccountId::new(310_001_016), extension: ExtensionId::new(310_002_016) };

    #[test]
    fn own_ids_stand_in_for_the_tilde() {
        for (text, shown) in [
            (
                "/restapi/v1.0/account/~/telephony/sessions",
                "/restapi/v1.0/account/310001016/telephony/sessions",
            ),
            (
                "/restapi/v1.0/account/~/extension/~/telephony/sessions/",
                "/restapi/v1.0/account/310001016/extension/310002016/telephony/sessions",
            ),
            (
                "/restapi/v1.0/account/310001016/extension/7/telephony/sessions",
                "/restapi/v1.0/account/310001016/extension/7/telephony/sessions",
            ),
        ] {
            assert_eq!(EventFilter::parse(text, OWN).unwrap().to_string(), shown);
        }
    }

    #[test]
    fn a_bad_filter_is_named_in_its_error() {
        for text in [
            "",
            "/restapi/v1.0/account/~/presence",
            "/restapi/v1.0/account/x/telephony/sessions",
            "/restapi/v1.0/account//telephony/sessions",
            "/restapi/v1.0/account/~/extension//telephony/sessions",
            "/restapi/v1.0/account/~/extension/1/2/telephony/sessions",
            "/restapi/v1.0/account/~/queue/1/telephony/sessions",
            "/restapi/v1.0/account/5/telephony/sessions",
            "/restapi/v1.0/account/99999999999999999999/telephony/sessions",
            "/restapi/v1.0/account/~/telephony/sessions?statusCode=Answered",
        ] {
            let error = EventFilter::parse(text, OWN).expect_err(text);
            assert!(error.to_string().contains(&format!("{text:?}")), "{error}");
        }
    }
}
