//! Event filters: which party events a subscription hears of (contract subscriptions §1).

mod calls;
mod error;
mod explanation;
mod family;
mod index;
mod projection;
mod query;

use std::fmt;
use std::sync::Arc;

use hookswitch_model::number::{E164, Form};
use hookswitch_model::{AccountId, CallChange, Direction, Event, ExtensionId, StatusCode};

use crate::directory::Directory;

pub use calls::CallsFilter;
pub use error::FilterError;
pub use explanation::{Explanation, Finding};
pub use index::{FilterIndex, Match};
pub use projection::{Projection, Projections};

/// The shortest threshold and interval of a renewal reminder, in seconds: how often the server looks.
pub const REMINDER_SECS_MIN: u64 = 10;

/// One event filter, read once and matched many times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventFilter {
    /// The telephony sessions of an account or an extension.
    TelephonySessions(TelephonyFilter),
    /// The calls of an extension, or of those of an account: presence, rings and missed calls.
    Calls(CallsFilter),
    /// Reminders that the subscription is about to expire.
    Reminder {
        /// How long before the end the reminders begin, in seconds.
        threshold_secs: u64,
        /// The time between two of them, in seconds.
        interval_secs: u64,
    },
    /// Events of another kind (messages and so on), which never come.
    Other(String),
}

/// A filter of telephony sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TelephonyFilter {
    account: AccountId,
    extension: Option<ExtensionId>,
    direction: Option<Direction>,
    status: Option<StatusCode>,
    /// Without its `+`.
    phone_number: Option<Box<str>>,
    missed_call: bool,
    with_recordings: bool,
    sip_data: bool,
    /// As it was written.
    query: Box<str>,
}

/// Whom `~` stands for in a filter.
#[derive(Clone, Copy, Debug)]
pub struct Own {
    /// The subscriber's account.
    pub account: AccountId,
    /// The subscriber's extension.
    pub extension: ExtensionId,
}

/// The part of a filter that an event did not pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clause {
    /// The filter is for events of another kind.
    Kind,
    /// The event is of another account.
    Account,
    /// The party is another extension, or outside.
    Extension,
    /// `direction`
    Direction,
    /// `statusCode`
    StatusCode,
    /// `phoneNumber`
    PhoneNumber,
    /// `missedCall`
    MissedCall,
    /// `withRecordings`
    WithRecordings,
    /// Event that is no change of the extension's calls, which the filter asks for.
    Change,
}

impl fmt::Display for Clause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kind => "the filter is not for telephony sessions",
            Self::Account => "the event belongs to another account",
            Self::Extension => "the party is not this extension",
            Self::Direction => "the party has the other direction",
            Self::StatusCode => "the party has another status",
            Self::PhoneNumber => "neither side has this number",
            Self::MissedCall => "the call is not missed",
            Self::WithRecordings => "the party has no recordings",
            Self::Change => "the event is no such change of the extension's calls",
        })
    }
}

impl EventFilter {
    /// Reads a filter; `~` stands for the subscriber's own ids.
    ///
    /// Lenient where nothing is lost by it: an absolute URL, a missing leading part, a slash at the end
    /// and any case of parameters are let pass.
    ///
    /// # Errors
    /// Names the filter, what is wrong with it and the fix.
    pub fn parse(text: &str, own: Own) -> Result<Self, FilterError> {
        let (path, query) = text.split_once('?').unwrap_or((text, ""));
        let bad = || FilterError::Path(text.to_owned());
        let path = local_path(path).ok_or_else(bad)?;
        if path == "subscription/~" {
            return query::reminder(text, query);
        }
        if family::is_of_no_account(path) {
            return Ok(Self::Other(text.to_owned()));
        }
        let id = |id: &str, own: u64| match id {
            "~" => Ok(own),
            digits if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                digits.parse().map_err(|_| FilterError::Id { filter: text.to_owned(), id: digits.to_owned() })
            }
            other => Err(FilterError::Id { filter: text.to_owned(), id: other.to_owned() }),
        };
        let rest = path.strip_prefix("account/").ok_or_else(bad)?;
        let (account, rest) = rest.split_once('/').unwrap_or((rest, ""));
        let account = AccountId::new(id(account, own.account.as_u64())?);
        if account != own.account {
            return Err(FilterError::OtherAccount { filter: text.to_owned(), account: own.account });
        }
        let (extension, family) = match rest.strip_prefix("extension/") {
            None => (None, rest),
            Some(rest) => {
                let (extension, family) = rest.split_once('/').unwrap_or((rest, ""));
                (Some(ExtensionId::new(id(extension, own.extension.as_u64())?)), family)
            }
        };
        if family != family::SESSIONS {
            if !family::is_path(family) {
                return Err(bad());
            }
            if let Some(meant) = family::meant_by(family) {
                return Err(FilterError::NearMiss { filter: text.to_owned(), meant });
            }
            let calls = CallsFilter::read(text, (account, extension), family, query)?;
            let other = || Self::Other(family::resolved(account, extension, family, query));
            return Ok(calls.map_or_else(other, Self::Calls));
        }
        let mut filter = TelephonyFilter {
            account,
            extension,
            direction: None,
            status: None,
            phone_number: None,
            missed_call: false,
            with_recordings: false,
            sip_data: false,
            query: query.into(),
        };
        query::read(text, query, &mut filter)?;
        Ok(Self::TelephonySessions(filter))
    }

    /// Gives the filter with its number in E.164, if the account can tell what it is dialled as: the numbers
    /// of calls are told so. What it shows and what is kept of it has that number too.
    #[must_use]
    pub fn in_directory(self, directory: &Directory) -> Self {
        let Self::TelephonySessions(mut filter) = self else { return self };
        let Some(account) = directory.accounts().find(|account| account.id() == filter.account) else {
            return Self::TelephonySessions(filter);
        };
        let written = query::number_of(&filter.query);
        let number = written.as_deref().and_then(|number| account.e164(number, Form::Network));
        let written = written.as_deref().and_then(E164::parse);
        if let Some(number) = number.filter(|&number| written != Some(number)) {
            filter.query = query::with_number(&filter.query, number).into();
            filter.phone_number = Some(without_plus(number.as_str()).into());
        }
        Self::TelephonySessions(filter)
    }

    /// Checks that a filter for another extension than one's own names one by its id, as far as the account can tell.
    ///
    /// # Errors
    /// Names the id, if the filter has an extension's number in its place; or there is no such extension.
    pub fn check_extension(&self, directory: &Directory, own: ExtensionId) -> Result<(), FilterError> {
        let (Self::TelephonySessions(TelephonyFilter { account, extension: Some(id), .. })
        | Self::Calls(CallsFilter { account, extension: Some(id), .. })) = self
        else {
            return Ok(());
        };
        let account = directory.accounts().find(|known| known.id() == *account);
        let Some(account) = account else { return Ok(()) };
        if *id == own || account.extensions().iter().any(|listed| listed.id == *id) {
            return Ok(());
        }
        let number = Arc::from(id.to_string());
        match account.resolve(&number, None).extension {
            None if account.is_listed() => Err(FilterError::UnknownExtension { filter: self.to_string() }),
            None => Ok(()),
            Some(meant) => Err(FilterError::ExtensionNumber { filter: self.to_string(), id: meant }),
        }
    }

    /// Returns `true` if a subscription with this filter is told of the party of an event (contract events §1.2).
    pub fn matches(&self, event: &Event) -> bool {
        self.failed(event).is_none()
    }

    /// The first part of the filter that an event does not pass; none when it passes.
    pub fn failed(&self, event: &Event) -> Option<Clause> {
        match self {
            Self::TelephonySessions(filter) => filter.failed(event),
            Self::Calls(_) | Self::Reminder { .. } | Self::Other(_) => Some(Clause::Kind),
        }
    }

    /// The notification that it asks for of an event that made this change; none if it does not hear of it.
    pub fn projection_of(&self, event: &Event, change: Option<&CallChange>) -> Option<Projection> {
        let failed = match self {
            Self::Calls(filter) => filter.failed(event, change),
            _ => self.failed(event),
        };
        failed.is_none().then(|| self.projection())
    }

    /// The projection that it asks for of the events that match it.
    pub fn projection(&self) -> Projection {
        match self {
            Self::TelephonySessions(filter) => filter.projection(),
            Self::Calls(filter) => filter.projection(),
            Self::Reminder { .. } | Self::Other(_) => Projection::default(),
        }
    }
}

impl TelephonyFilter {
    /// The account whose sessions it asks for.
    pub const fn account(&self) -> AccountId {
        self.account
    }

    /// The extension whose parties it asks for; none for the whole account.
    pub const fn extension(&self) -> Option<ExtensionId> {
        self.extension
    }

    fn projection(&self) -> Projection {
        Projection::Session { sip_data: self.sip_data }
    }

    fn failed(&self, event: &Event) -> Option<Clause> {
        let party = &event.party;
        if self.account != event.session.account {
            Some(Clause::Account)
        } else if self.extension.is_some_and(|extension| party.extension != Some(extension)) {
            Some(Clause::Extension)
        } else if self.direction.is_some_and(|direction| party.direction != direction) {
            Some(Clause::Direction)
        } else if self.status.is_some_and(|status| party.status.code != status) {
            Some(Clause::StatusCode)
        } else if self.phone_number.as_ref().is_some_and(|number| !has_number(event, number)) {
            Some(Clause::PhoneNumber)
        } else if self.missed_call && !party.missed_call {
            Some(Clause::MissedCall)
        } else if self.with_recordings && party.recordings.is_empty() {
            Some(Clause::WithRecordings)
        } else {
            None
        }
    }
}

/// The filter with its ids in place of `~`, as a subscription shows it.
impl fmt::Display for EventFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TelephonySessions(filter) => {
                write!(f, "/restapi/v1.0/account/{}", filter.account)?;
                if let Some(extension) = filter.extension {
                    write!(f, "/extension/{extension}")?;
                }
                f.write_str("/telephony/sessions")?;
                if filter.query.is_empty() { Ok(()) } else { write!(f, "?{}", filter.query) }
            }
            Self::Reminder { threshold_secs, interval_secs } => {
                write!(f, "/restapi/v1.0/subscription/~?threshold={threshold_secs}&interval={interval_secs}")
            }
            Self::Calls(filter) => filter.fmt(f),
            Self::Other(text) => f.write_str(text),
        }
    }
}

/// The numbers of both sides, as shown and as sent, without their `+`.
fn numbers(event: &Event) -> impl Iterator<Item = &str> {
    let sides = [&event.party.to, &event.party.from];
    sides
        .into_iter()
        .flat_map(|side| [side.phone_number.as_deref(), side.sent_number.as_deref()])
        .flatten()
        .map(without_plus)
}

fn has_number(event: &Event, wanted: &str) -> bool {
    numbers(event).any(|number| number == wanted)
}

fn without_plus(number: &str) -> &str {
    number.strip_prefix('+').unwrap_or(number)
}

/// The path behind `/restapi/v1.0/`, without host and slashes around it.
fn local_path(path: &str) -> Option<&str> {
    let path = match path.split_once("://") {
        Some(("https" | "http" | "wss" | "ws", rest)) => rest.split_once('/')?.1,
        Some(_) => return None,
        None => path.strip_prefix('/').unwrap_or(path),
    };
    let path = path.strip_prefix("restapi/v1.0/").unwrap_or(path);
    Some(path.strip_suffix('/').unwrap_or(path))
}

#[cfg(test)]
pub(crate) mod tests;
