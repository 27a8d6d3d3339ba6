//! What was expected of a recording, as its `meta.json` says it.
//!
//! Compared are sessions, parties, their direction, their statuses with reasons, `missedCall`, that `Gone` names
//! a peer, and that something is recorded or parked where the recording says so. Names, numbers, origin, mute
//! and roles stand there for people, and are not compared: what a source can know of them differs.

use std::fmt::Write as _;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{Party as Told, Session as ToldSession, Status as ToldStatus, Wanted, all_paired, show_all};

#[derive(Deserialize)]
struct Meta {
    expected: Expected,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Expected {
    sessions: Vec<Session>,
    /// Other lists of sessions that are right as well.
    #[serde(default)]
    also_accepted: Vec<Vec<Session>>,
    #[serde(default)]
    must_contain: Vec<MustContain>,
    /// Parties of which at least one shows recordings.
    #[serde(default)]
    recorded_on: Vec<String>,
    #[serde(default, rename = "inPlainWords")]
    _in_plain_words: IgnoredAny,
    #[serde(default, rename = "latitude")]
    _latitude: IgnoredAny,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Session {
    parties: Vec<Party>,
    #[serde(default)]
    may_be_missing: bool,
    #[serde(default, rename = "session")]
    _name: IgnoredAny,
    #[serde(default, rename = "origin")]
    _origin: IgnoredAny,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Party {
    /// `Inbound`, `Outbound`, one of both (`Inbound/Outbound`), or `either`.
    direction: String,
    #[serde(default)]
    direction_also_ok: Vec<String>,
    statuses: Vec<Status>,
    missed_call: Option<bool>,
    /// Outside of the account: its `Setup` may be missing, and whether it missed the call does not matter.
    #[serde(default)]
    external: bool,
    #[serde(default)]
    may_be_missing: bool,
    #[serde(default, rename = "party")]
    _name: IgnoredAny,
    #[serde(default, rename = "owner")]
    _owner: IgnoredAny,
    #[serde(default, rename = "from")]
    _from: IgnoredAny,
    #[serde(default, rename = "to")]
    _to: IgnoredAny,
    #[serde(default, rename = "conferenceRole")]
    _conference_role: IgnoredAny,
    #[serde(default, rename = "conferenceRoleAlsoOk")]
    _conference_role_also_ok: IgnoredAny,
    #[serde(default, rename = "ringOutRole")]
    _ring_out_role: IgnoredAny,
    #[serde(default, rename = "mutedSequence")]
    _muted_sequence: IgnoredAny,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Status {
    code: String,
    #[serde(default)]
    code_also_ok: Vec<String>,
    /// None if any reason is right; the reason itself may be none.
    #[serde(default)]
    reason: Wanted,
    #[serde(default)]
    reason_also_ok: Vec<Option<String>>,
    /// Who a `Gone` party's peer is; compared is that there is one.
    peer: Option<String>,
    #[serde(default)]
    may_be_missing: bool,
    #[serde(default, rename = "parkData")]
    _park_data: IgnoredAny,
    #[serde(default, rename = "recording")]
    _recording: IgnoredAny,
}

/// A status that some party must have had.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct MustContain {
    code: String,
    park_data: Option<String>,
    #[serde(default, rename = "onOneOf")]
    _on_one_of: IgnoredAny,
}

/// Compares what was told with the text of a `meta.json`.
///
/// # Errors
///
/// The difference, if there is one.
///
/// # Panics
///
/// If the text is not that of a `meta.json`.
pub fn compare(meta: &str, told: &[ToldSession]) -> Result<(), String> {
    let Meta { expected } = serde_json::from_str(meta).expect("meta.json says what is expected");
    let mut accepted = std::iter::once(&expected.sessions).chain(&expected.also_accepted);
    let mut difference = String::new();
    if !accepted.any(|sessions| all_paired(sessions, told, |session| session.may_be_missing, Session::fits)) {
        difference.push_str("    the sessions differ\n");
    }
    for must in &expected.must_contain {
        if !statuses(told).any(|status| must.fits(status)) {
            let slot = must.park_data.as_deref().unwrap_or_default();
            let _ = writeln!(difference, "    nobody is {} {slot}", must.code);
        }
    }
    if !expected.recorded_on.is_empty() && !parties(told).any(|party| party.was_recorded) {
        difference.push_str("    nobody is recorded\n");
    }
    if difference.is_empty() {
        return Ok(());
    }
    let parties = expected.sessions.iter().map(|session| session.parties.iter().map(Party::show).collect());
    Err(show_all(difference, parties, told))
}

fn parties(told: &[ToldSession]) -> impl Iterator<Item = &Told> {
    told.iter().flat_map(|session| &session.parties)
}

fn statuses(told: &[ToldSession]) -> impl Iterator<Item = &ToldStatus> {
    parties(told).flat_map(|party| &party.statuses)
}

impl Session {
    fn fits(&self, told: &ToldSession) -> bool {
        all_paired(&self.parties, &told.parties, |party| party.may_be_missing, Party::fits)
    }
}

impl Party {
    fn fits(&self, told: &Told) -> bool {
        let is_direction = self.direction == "either"
            || self.direction.split('/').any(|direction| direction == told.direction)
            || self.direction_also_ok.contains(&told.direction);
        let is_missed = self.external || self.missed_call.is_none_or(|missed| missed == told.is_missed);
        is_direction && is_missed && fits_line(&self.statuses, &told.statuses, self.external)
    }

    fn show(&self) -> String {
        let mut line = self.direction.clone();
        for status in &self.statuses {
            let reason = match &status.reason {
                Wanted::Is(Some(reason)) if reason != "CallFinished" => reason,
                _ => "",
            };
            let slash = if reason.is_empty() { "" } else { "/" };
            let perhaps = if status.may_be_missing { "?" } else { "" };
            let _ = write!(line, " {}{slash}{reason}{perhaps}", status.code);
        }
        line += if self.missed_call == Some(true) { ", missed" } else { "" };
        line + if self.may_be_missing { " (may be missing)" } else { "" }
    }
}

/// Tells whether the statuses of a party are those that were expected, in their order.
fn fits_line(expected: &[Status], told: &[ToldStatus], external: bool) -> bool {
    let Some((first, rest)) = expected.split_first() else { return told.is_empty() };
    let is_told = told
        .split_first()
        .is_some_and(|(status, later)| first.fits(status) && fits_line(rest, later, external));
    let may_be_missing = first.may_be_missing || external && first.code == "Setup";
    is_told || may_be_missing && fits_line(rest, told, external)
}

impl Status {
    fn fits(&self, told: &ToldStatus) -> bool {
        let is_code = self.code == told.code || self.code_also_ok.contains(&told.code);
        let has_peer = self.peer.is_none() || told.code != "Gone" || told.has_peer;
        is_code && has_peer && self.fits_reason(told.reason.as_ref())
    }

    /// A plain end needs no reason, so none is as good as `CallFinished`.
    fn fits_reason(&self, told: Option<&String>) -> bool {
        let Wanted::Is(reason) = &self.reason else { return true };
        let mut accepted = std::iter::once(reason).chain(&self.reason_also_ok);
        accepted.any(|reason| {
            reason.as_ref() == told || told.is_none() && reason.as_deref() == Some("CallFinished")
        })
    }
}

impl MustContain {
    fn fits(&self, told: &ToldStatus) -> bool {
        let is_park = |park: &String| {
            let slot = told.park.as_deref().unwrap_or_default();
            park == slot || park == slot.trim_start_matches('*')
        };
        self.code == told.code && self.park_data.as_ref().is_none_or(is_park)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::sessions;

    /// What a call is expected to be that 101 makes to 102, who answers and is hung up on.
    fn meta(callee: &str, more: &str) -> String {
        let party = |direction: &str, statuses: &str| {
            format!(
                r#"{{"direction":"{direction}","missedCall":false,
                "statuses":[{statuses}]}}"#
            )
        };
        let caller = party(
            "Outbound",
            r#"{"code":"Setup"},{"code":"Proceeding"},{"code":"Answered"},
            {"code":"Disconnected","reason":"CallFinished"}"#,
        );
        let callee = party("Inbound", callee);
        format!(r#"{{"expected":{{{more}"sessions":[{{"parties":[{caller},{callee}]}}]}}}}"#)
    }

    fn told(callee: &[&str]) -> Vec<ToldSession> {
        let caller = ["Setup", "Proceeding", "Answered", "Disconnected"];
        let statuses = caller.iter().map(|status| ("Outbound", status));
        let mut lines = String::new();
        for (index, (direction, status)) in
            statuses.chain(callee.iter().map(|status| ("Inbound", status))).enumerate()
        {
            let (code, reason) = status.split_once('/').unwrap_or((status, ""));
            let reason = if reason.is_empty() { String::new() } else { format!(r#","reason":"{reason}""#) };
            let _ = writeln!(
                lines,
                r#"{{"body":{{"telephonySessionId":"s-1","sequence":{},"eventTime":"2026-11-22T20:35:0{index}.000Z","origin":{{"type":"Call"}},"parties":[{{"id":"p-{direction}","accountId":"1","direction":"{direction}","from":{{}},"to":{{}},"missedCall":false,"status":{{"code":"{code}"{reason}}}}}]}}}}"#,
                index + 2
            );
        }
        sessions(&lines).expect("the sequence rises")
    }

    const CALLEE: &str = r#"{"code":"Setup"},{"code":"Proceeding","mayBeMissing":true},{"code":"Answered"},
        {"code":"Disconnected","reason":"CallFinished"}"#;

    #[test]
    fn a_call_is_exact_in_what_its_recording_leaves_open_alone() {
        let exact = |statuses: &[&str]| compare(&meta(CALLEE, ""), &told(statuses)).is_ok();
        assert!(exact(&["Setup", "Proceeding", "Answered", "Disconnected"]));
        assert!(exact(&["Setup", "Answered", "Disconnected/CallFinished"]));
        assert!(exact(&["Setup", "Setup", "Answered", "Disconnected"]), "the same again is no fault");
        assert!(!exact(&["Setup", "Answered", "Disconnected/CallDropped"]));
        assert!(!exact(&["Setup", "Proceeding", "Disconnected"]));
        assert!(!exact(&["Setup", "Answered", "Hold", "Disconnected"]));
        assert!(!exact(&[]));
    }

    #[test]
    fn what_must_be_parked_or_recorded_is() {
        let statuses = ["Setup", "Proceeding", "Answered", "Disconnected"];
        let difference = |more: &str| compare(&meta(CALLEE, more), &told(&statuses)).expect_err("it differs");
        let parked = difference(r#""mustContain":[{"code":"Parked","parkData":"701","onOneOf":["A1"]}],"#);
        assert!(parked.contains("nobody is Parked 701"), "{parked}");
        let recorded = difference(r#""recordedOn":["A1"],"#);
        assert!(recorded.contains("nobody is recorded"), "{recorded}");
    }
}
