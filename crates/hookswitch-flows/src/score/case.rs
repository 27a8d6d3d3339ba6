//! Expected result of a case, as its `expected.json` says it.
//!
//! Parties and sessions may stand in any order. Beside direction, number and statuses, what stands in a party is
//! compared, and a key that is not known is an error: a key that nothing compares would be a promise.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde::Deserialize;

use super::{
    Party as StoryResult, Session as ToldSession, Status as ToldStatus, Wanted, all_paired, show_all,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    sessions: Vec<Session>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Session {
    parties: Vec<Party>,
    origin: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Party {
    direction: String,
    /// Number of its own side, `from` for an Outbound party and `to` for an Inbound one. None if any is right; the
    /// number itself may be none.
    #[serde(default)]
    number: Wanted,
    statuses: Vec<Status>,
    /// Further reasons that the last status may have.
    #[serde(default)]
    reason_also_ok: Vec<Option<String>>,
    /// Codes that may stand between the statuses.
    #[serde(default)]
    may_also_have: Vec<String>,
    #[serde(default)]
    may_be_missing: bool,
    missed_call: Option<bool>,
    /// Both values of `missedCall` are right.
    #[serde(default)]
    missed_also_ok: bool,
    from: Option<String>,
    to: Option<String>,
    name: Option<String>,
    account: Option<String>,
    role: Option<String>,
    conference_role: Option<String>,
    queue_call: Option<bool>,
    recordings: Option<bool>,
    /// Somebody of the session has recordings.
    #[serde(default)]
    recorded_on: bool,
    /// Outside of the account.
    outside: Option<bool>,
    /// Times in seconds after the first event of the session.
    ends_by_seconds: Option<f64>,
    ends_after_seconds: Option<f64>,
    answered_not_before_seconds: Option<f64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Status {
    code: String,
    reason: Option<String>,
    missed_call: Option<bool>,
    #[serde(default)]
    may_be_missing: bool,
}

fn read(expected: &str) -> Result<Expected, String> {
    serde_json::from_str(expected).map_err(|error| format!("    expected.json: {error}\n"))
}

/// Accounts that calls are expected of. A case is replayed once as it is, and once for each of them: a call that
/// is told under the wrong one shows as one too many.
///
/// # Errors
///
/// If the text is not that of an `expected.json`.
pub fn accounts(expected: &str) -> Result<BTreeSet<String>, String> {
    let parties = read(expected)?.sessions.into_iter().flat_map(|session| session.parties);
    Ok(parties.filter_map(|party| party.account).collect())
}

/// Compares what was told with the text of an `expected.json`.
///
/// # Errors
///
/// The difference, if there is one, or why the text is not that of an `expected.json`.
pub fn compare(expected: &str, told: &[ToldSession]) -> Result<(), String> {
    let Expected { sessions } = read(expected)?;
    if all_paired(&sessions, told, |_| false, Session::fits) {
        return Ok(());
    }
    let parties = sessions.iter().map(|session| session.parties.iter().map(Party::show).collect());
    Err(show_all(String::new(), parties, told))
}

impl Session {
    fn fits(&self, told: &ToldSession) -> bool {
        let is_recorded = !self.parties.iter().any(|party| party.recorded_on)
            || told.parties.iter().any(|party| party.was_recorded);
        self.origin.as_ref().is_none_or(|origin| *origin == told.origin)
            && is_recorded
            && all_paired(&self.parties, &told.parties, |party| party.may_be_missing, Party::fits)
    }
}

impl Party {
    fn fits(&self, told: &StoryResult) -> bool {
        let same =
            |expected: &Option<String>, told: Option<&str>| expected.is_none() || expected.as_deref() == told;
        self.direction == told.direction
            && self.fits_number(told)
            && self.fits_line(&self.statuses, &told.statuses)
            && (self.missed_also_ok || self.missed_call.is_none_or(|missed| missed == told.is_missed))
            && same(&self.from, told.from.as_deref())
            && same(&self.to, told.to.as_deref())
            && same(&self.name, told.name.as_deref())
            && same(&self.account, Some(&told.account))
            && same(&self.role, told.ring_out_role.as_deref())
            && same(&self.conference_role, told.conference_role.as_deref())
            && self.queue_call.is_none_or(|queue| queue == told.is_queue_call)
            && self.recordings.is_none_or(|recordings| recordings == told.was_recorded)
            && self.outside.is_none_or(|outside| outside == told.extension.is_none())
            && self.fits_times(told)
    }

    fn fits_number(&self, told: &StoryResult) -> bool {
        match &self.number {
            Wanted::Any => true,
            Wanted::Is(number) => number.as_deref() == told.number(),
        }
    }

    fn fits_times(&self, told: &StoryResult) -> bool {
        self.ends_by_seconds.is_none_or(|by| told.ended_after <= by)
            && self.ends_after_seconds.is_none_or(|after| told.ended_after >= after)
            && self
                .answered_not_before_seconds
                .is_none_or(|from| told.answered_after.is_some_and(|answered| answered >= from))
    }

    /// Tells whether the statuses of a party are those that were expected, in their order.
    fn fits_line(&self, expected: &[Status], told: &[ToldStatus]) -> bool {
        let skipped = |later| {
            told.first().is_some_and(|status| self.may_also_have.contains(&status.code))
                && self.fits_line(expected, later)
        };
        let later = told.get(1..).unwrap_or_default();
        let Some((first, rest)) = expected.split_first() else { return told.is_empty() || skipped(later) };
        first.may_be_missing && self.fits_line(rest, told)
            || told
                .first()
                .is_some_and(|status| first.fits(status, self.also_ok(rest)) && self.fits_line(rest, later))
            || skipped(later)
    }

    /// Further reasons of a status, by what is expected after it.
    fn also_ok(&self, rest: &[Status]) -> &[Option<String>] {
        if rest.is_empty() { &self.reason_also_ok } else { &[] }
    }

    fn show(&self) -> String {
        let number = match &self.number {
            Wanted::Any => "any",
            Wanted::Is(number) => number.as_deref().unwrap_or("-"),
        };
        let mut line = format!("{} {number}", self.direction);
        for status in &self.statuses {
            let reason = status.reason.as_deref().unwrap_or_default();
            let slash = if reason.is_empty() { "" } else { "/" };
            let perhaps = if status.may_be_missing { "?" } else { "" };
            let _ = write!(line, " {}{slash}{reason}{perhaps}", status.code);
        }
        let is_missed = self.missed_call == Some(true)
            || self.statuses.iter().any(|status| status.missed_call == Some(true));
        line + if is_missed { ", missed" } else { "" }
    }
}

impl Status {
    fn fits(&self, told: &ToldStatus, reason_also_ok: &[Option<String>]) -> bool {
        self.code == told.code
            && (self.reason == told.reason || reason_also_ok.contains(&told.reason))
            && self.missed_call.is_none_or(|missed| missed == told.is_missed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::sessions;

    /// Returns what a call tells that 101 makes to 102, whose party has the fields and statuses that are given.
    fn told(fields: &str, statuses: &[&str]) -> Vec<ToldSession> {
        let lines = statuses.iter().enumerate().map(|(index, status)| {
            let (code, reason) = status.split_once('/').unwrap_or((status, ""));
            let reason = if reason.is_empty() { String::new() } else { format!(r#","reason":"{reason}""#) };
            format!(
                r#"{{"body":{{"telephonySessionId":"s-1","sequence":{},"eventTime":"2026-11-22T20:35:0{index}.500Z","origin":{{"type":"Call"}},"parties":[{{"id":"p-1","accountId":"7","direction":"Inbound","from":{{"phoneNumber":"101"}},"to":{{"phoneNumber":"102","name":"Bo"}},{fields}"status":{{"code":"{code}"{reason}}}}}]}}}}"#,
                index + 2
            )
        });
        sessions(&lines.collect::<Vec<_>>().join("\n")).expect("the sequence rises")
    }

    fn fits(party: &str, told: &[ToldSession]) -> bool {
        let expected = format!(r#"{{"sessions":[{{"parties":[{{"direction":"Inbound",{party}}}]}}]}}"#);
        compare(&expected, told).is_ok()
    }

    const STATUSES: &str = r#""statuses":[{"code":"Setup"},{"code":"Proceeding","mayBeMissing":true},
        {"code":"Disconnected","reason":"NoAnswer"}]"#;

    #[test]
    fn each_key_of_a_party_is_compared() {
        let call =
            told(r#""missedCall":true,"queueCall":true,"#, &["Setup", "Proceeding", "Disconnected/NoAnswer"]);
        let with = |more: &str| fits(&format!("{STATUSES},{more}"), &call);
        for right in [
            r#""number":"102""#,
            r#""from":"101","to":"102","name":"Bo","account":"7""#,
            r#""missedCall":true,"queueCall":true,"recordings":false,"outside":true"#,
            r#""missedCall":false,"missedAlsoOk":true"#,
            r#""endsBySeconds":2.0,"endsAfterSeconds":2.0"#,
        ] {
            assert!(with(right), "{right}");
        }
        for wrong in [
            r#""number":"101""#,
            r#""number":null"#,
            r#""from":"102""#,
            r#""to":"101""#,
            r#""name":"Ann""#,
            r#""account":"8""#,
            r#""missedCall":false"#,
            r#""queueCall":false"#,
            r#""recordings":true"#,
            r#""recordedOn":true"#,
            r#""outside":false"#,
            r#""role":"Target""#,
            r#""conferenceRole":"Host""#,
            r#""endsBySeconds":1.9"#,
            r#""endsAfterSeconds":2.1"#,
            r#""answeredNotBeforeSeconds":0"#,
            r#""noSuchKey":true"#,
        ] {
            assert!(!with(wrong), "{wrong}");
        }
    }

    #[test]
    fn statuses_are_exact_in_what_a_case_leaves_open_alone() {
        let exact = |more: &str, statuses: &[&str]| fits(&format!("{STATUSES}{more}"), &told("", statuses));
        assert!(exact("", &["Setup", "Disconnected/NoAnswer"]));
        assert!(exact("", &["Setup", "Setup", "Disconnected/NoAnswer"]), "the same again is no fault");
        assert!(!exact("", &["Setup", "Disconnected"]));
        assert!(!exact("", &["Setup", "Answered", "Disconnected/NoAnswer"]));
        assert!(exact(r#","mayAlsoHave":["Answered"]"#, &["Setup", "Answered", "Disconnected/NoAnswer"]));
        assert!(exact(r#","reasonAlsoOk":[null]"#, &["Setup", "Disconnected"]));
        assert!(!exact(r#","reasonAlsoOk":["Timeout"]"#, &["Setup/Timeout", "Disconnected/NoAnswer"]));
    }
}
