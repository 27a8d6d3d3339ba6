//! Explanation why a filter lets an event pass or not, clause by clause, in the words of the filter.

use std::fmt;

use hookswitch_model::Event;

use super::{Clause, EventFilter, TelephonyFilter, has_number, without_plus};

/// Verdict of each clause of a filter on an event: all clauses when it passes, else those up to the first
/// that it does not pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// In the order in which they are asked: the path from left to right, then the query.
    pub clauses: Vec<Finding>,
}

/// Verdict of one clause on an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Clause.
    pub clause: Clause,
    /// Set if the event passes it.
    pub passed: bool,
    /// The clause as the filter spells it, such as `statusCode=Answered`.
    pub wanted: String,
    /// Value that the event has there, such as `the party is Proceeding`.
    pub found: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.wanted, self.found)
    }
}

impl Explanation {
    /// Returns `true` if the event passes the filter; the same as [`EventFilter::matches`].
    pub fn matched(&self) -> bool {
        self.clauses.iter().all(|finding| finding.passed)
    }

    /// The clause that the event does not pass, if there is one.
    pub fn failed(&self) -> Option<&Finding> {
        self.clauses.iter().find(|finding| !finding.passed)
    }
}

/// The clause that failed; of a filter that passed, all of them.
impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(failed) = self.failed() {
            return failed.fmt(f);
        }
        for (index, finding) in self.clauses.iter().enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            finding.fmt(f)?;
        }
        Ok(())
    }
}

impl EventFilter {
    /// Returns why an event passes the filter or not.
    pub fn explain(&self, event: &Event) -> Explanation {
        let kind = |found: &str| Explanation {
            clauses: vec![Finding {
                clause: Clause::Kind,
                passed: false,
                wanted: self.to_string(),
                found: found.to_owned(),
            }],
        };
        match self {
            Self::TelephonySessions(filter) => filter.explain(event),
            Self::Calls(_) => {
                kind("the filter is for the calls of extensions, which have notifications of their own")
            }
            Self::Reminder { .. } => kind("the filter is for reminders of the subscription's end"),
            Self::Other(_) => kind("the filter is for events of another kind, which are never sent"),
        }
    }
}

impl TelephonyFilter {
    fn explain(&self, event: &Event) -> Explanation {
        let mut clauses = Vec::new();
        let mut ask = |clause, passed, wanted: String, found: String| {
            if clauses.last().is_none_or(|last: &Finding| last.passed) {
                clauses.push(Finding { clause, passed, wanted, found });
            }
        };
        let (account, party) = (event.session.account, &event.party);
        ask(
            Clause::Account,
            self.account == account,
            format!("account/{}", self.account),
            format!("the call belongs to account {account}"),
        );
        if let Some(wanted) = self.extension {
            let found = match party.extension {
                Some(extension) => format!("the party is extension {extension}"),
                None => "the party is outside".to_owned(),
            };
            ask(Clause::Extension, party.extension == self.extension, format!("extension/{wanted}"), found);
        }
        if let Some(wanted) = self.direction {
            let found = format!("the party is {}", party.direction);
            ask(Clause::Direction, party.direction == wanted, format!("direction={wanted}"), found);
        }
        if let Some(wanted) = self.status {
            let found = format!("the party is {}", party.status.code);
            ask(Clause::StatusCode, party.status.code == wanted, format!("statusCode={wanted}"), found);
        }
        if let Some(wanted) = &self.phone_number {
            let passed = has_number(event, wanted);
            ask(Clause::PhoneNumber, passed, format!("phoneNumber={wanted}"), sides(event));
        }
        if self.missed_call {
            let found = if party.missed_call { "the call is missed" } else { "the call is not missed" };
            ask(Clause::MissedCall, party.missed_call, "missedCall=true".to_owned(), found.to_owned());
        }
        if self.with_recordings {
            let passed = !party.recordings.is_empty();
            let found = if passed { "the party has recordings" } else { "the party has no recordings" };
            ask(Clause::WithRecordings, passed, "withRecordings=true".to_owned(), found.to_owned());
        }
        Explanation { clauses }
    }
}

/// The numbers of both sides, with those that were sent where they differ.
fn sides(event: &Event) -> String {
    let side = |endpoint: &hookswitch_model::Endpoint| {
        let shown = endpoint.phone_number.as_deref();
        let sent = endpoint.sent_number.as_deref().filter(|sent| Some(*sent) != shown);
        match (shown.map(without_plus), sent.map(without_plus)) {
            (None, None) => "no number".to_owned(),
            (Some(one), None) | (None, Some(one)) => one.to_owned(),
            (Some(shown), Some(sent)) => format!("{shown}, sent as {sent}"),
        }
    };
    format!("the call is from {} to {}", side(&event.party.from), side(&event.party.to))
}
