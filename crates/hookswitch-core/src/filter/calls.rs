//! Filters of what happens to the calls of an extension: presence, rings and missed calls.

use std::fmt;

use hookswitch_model::{AccountId, CallChange, Event, ExtensionId};

use super::{Clause, FilterError, Projection, family, query};
use crate::presence::Family;

/// A filter of the calls of an extension, or of those of all extensions of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallsFilter {
    pub(super) account: AccountId,
    pub(super) extension: Option<ExtensionId>,
    family: Family,
    detailed: bool,
    sip_data: bool,
    /// As it was written.
    query: Box<str>,
}

impl CallsFilter {
    /// Reads the filter of a family; none if the path is that of none of them.
    ///
    /// # Errors
    /// Names the parameter that has a value which it cannot have.
    pub(super) fn read(
        filter: &str,
        (account, extension): (AccountId, Option<ExtensionId>),
        path: &str,
        query: &str,
    ) -> Result<Option<Self>, FilterError> {
        let known = Family::ALL.into_iter().find(|family| family.path() == path);
        let Some(family) = known.filter(|family| extension.is_some() || family.is_of_accounts()) else {
            return Ok(None);
        };
        if family == Family::AnsweredElsewhere && query::value(query, "action") != Some(family.action()) {
            return Ok(None);
        }
        let is_presence = family == Family::Presence;
        let flag = |name| if is_presence { query::flag(filter, query, name) } else { Ok(false) };
        let (detailed, sip_data) = (flag("detailedTelephonyState")?, flag("sipData")?);
        Ok(Some(Self { account, extension, family, detailed, sip_data, query: query.into() }))
    }

    /// The account that it is for.
    pub fn account(&self) -> AccountId {
        self.account
    }

    /// The extension that it is for; none if it is for all of the account.
    pub fn extension(&self) -> Option<ExtensionId> {
        self.extension
    }

    /// Returns what it hears of.
    pub fn family(&self) -> Family {
        self.family
    }

    /// The first part of the filter that an event does not pass; none when it passes.
    pub(super) fn failed(&self, event: &Event, change: Option<&CallChange>) -> Option<Clause> {
        let party = &event.party;
        if self.account != event.session.account {
            Some(Clause::Account)
        } else if party.extension.is_none() || self.extension.is_some_and(|own| party.extension != Some(own))
        {
            Some(Clause::Extension)
        } else if change.is_none_or(|change| !self.family.tells(event, change)) {
            Some(Clause::Change)
        } else {
            None
        }
    }

    pub(super) fn projection(&self) -> Projection {
        let Self { family, detailed, sip_data, .. } = *self;
        // The dialogs are those of the calls that are listed.
        Projection::Calls {
            family,
            of_account: self.extension.is_none(),
            detailed: detailed || sip_data,
            sip_data,
        }
    }
}

/// The filter with its ids in place of `~`, as a subscription shows it.
impl fmt::Display for CallsFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&family::resolved(self.account, self.extension, self.family.path(), &self.query))
    }
}
