//! Expected result of a recording, as its `meta.json` says it.
//!
//! [`compare`] looks at sessions, parties, their direction, their statuses with reasons, `missedCall`, that `Gone`
//! names a peer, and that something is recorded or parked where the recording says so; [`fields`] at numbers,
//! names and roles. Origin and mute stand there for people, and are not compared.

use std::fmt::Write as _;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{
    Party as StoryResult, Session as ToldSession, Status as ToldStatus, Wanted, all_paired, show_all,
};

#[derive(Deserialize)]
struct Meta {
    expected: Expected,
    #[serde(default)]
    participants: Vec<Participant>,
}

#[derive(Deserialize)]
struct Participant {
    name: Option<String>,
    /// Of a phone; groups, queues and rooms have none.
    address: Option<String>,
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
    #[serde(default)]
    latitude: Vec<String>,
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
    name: String,
    /// Number of who it is, where they are of the account.
    #[serde(default)]
    owner: String,
    #[serde(default)]
    from: Side,
    #[serde(default)]
    to: Side,
    conference_role: Option<String>,
    #[serde(default)]
    conference_role_also_ok: Vec<String>,
    ring_out_role: Option<String>,
    #[serde(default, rename = "mutedSequence")]
    _muted_sequence: IgnoredAny,
}

/// Facts that a recording leaves open.
struct Open {
    /// Names of people.
    names: Vec<String>,
    latitude: Vec<String>,
}

impl Open {
    /// Returns `true` if a number is named as one that may be told as who was called.
    fn leaves(&self, number: Option<&str>) -> bool {
        let lines = self.latitude.iter().filter(|line| line.starts_with("to may be "));
        number.is_some_and(|number| lines.flat_map(|line| line.split([' ', '.'])).any(|word| word == number))
    }
}

/// One side of a leg.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Side {
    phone_number: Option<String>,
    name: Option<String>,
    #[serde(default, rename = "extension")]
    _extension: IgnoredAny,
    #[serde(default, rename = "deviceOf")]
    _device: IgnoredAny,
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
    /// Peer of a `Gone` party; compared is that there is one.
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
    let Meta { expected, .. } = serde_json::from_str(meta).expect("meta.json says what is expected");
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

/// Compares the numbers, names and roles of each party with those of a recording whose sessions and statuses are
/// told as they were. Gives a line for each value that differs: the party, the field, what was expected and told.
///
/// The number dialled from outside must be shown (contract events §11). Where another number was dialled than that
/// of who is called, a ring group's for one, both are right, and so is a number that the recording leaves open. Names
/// are compared of people, where they are told with their number; those of queues and rooms are the directory's.
///
/// # Panics
///
/// If the text is not that of a `meta.json`.
pub fn fields(meta: &str, told: &[ToldSession]) -> Vec<String> {
    let Meta { expected, participants } =
        serde_json::from_str(meta).expect("meta.json says what is expected");
    let people = participants.into_iter().filter(|participant| participant.address.is_some());
    let names = people.filter_map(|person| person.name).collect();
    let open = Open { names, latitude: expected.latitude };
    let accepted = std::iter::once(&expected.sessions).chain(&expected.also_accepted);
    let differences = accepted.filter_map(|sessions| {
        let pairs: Vec<(&Session, &ToldSession)> = sessions
            .iter()
            .flat_map(|session| told.iter().map(move |told| (session, told)))
            .filter(|(session, told)| session.fits(told))
            .collect();
        (!pairs.is_empty()).then(|| {
            let of = |told: &ToldSession| {
                let fitting = pairs.iter().filter(|(_, other)| other.id == told.id);
                fitting
                    .map(|(session, told)| session.fields(&told.parties, &open))
                    .min_by_key(Vec::len)
                    .unwrap_or_default()
            };
            told.iter().flat_map(of).collect::<Vec<String>>()
        })
    });
    differences.min_by_key(Vec::len).unwrap_or_default()
}

fn parties(told: &[ToldSession]) -> impl Iterator<Item = &StoryResult> {
    told.iter().flat_map(|session| &session.parties)
}

fn statuses(told: &[ToldSession]) -> impl Iterator<Item = &ToldStatus> {
    parties(told).flat_map(|party| &party.statuses)
}

impl Session {
    fn fits(&self, told: &ToldSession) -> bool {
        all_paired(&self.parties, &told.parties, |party| party.may_be_missing, Party::fits)
    }

    /// Returns what differs in the fields of parties, by the pairing of them in which the least does.
    fn fields(&self, told: &[StoryResult], open: &Open) -> Vec<String> {
        fn least(told: &[StoryResult], left: &[&Party], open: &Open) -> Option<Vec<String>> {
            let Some((first, rest)) = told.split_first() else { return Some(Vec::new()) };
            let pairings = (0..left.len()).filter(|&place| left[place].fits(first)).filter_map(|place| {
                let mut others = left.to_vec();
                let party = others.remove(place);
                let mut differences = party.fields(first, open);
                differences.extend(least(rest, &others, open)?);
                Some(differences)
            });
            pairings.min_by_key(Vec::len)
        }
        least(told, &self.parties.iter().collect::<Vec<_>>(), open).unwrap_or_default()
    }
}

impl Party {
    fn fits(&self, told: &StoryResult) -> bool {
        let is_direction = self.direction == "either"
            || self.direction.split('/').any(|direction| direction == told.direction)
            || self.direction_also_ok.contains(&told.direction);
        let is_missed = self.external || self.missed_call.is_none_or(|missed| missed == told.is_missed);
        is_direction && is_missed && fits_line(&self.statuses, &told.statuses, self.external)
    }

    /// Returns what differs in its numbers, names and roles.
    fn fields(&self, told: &StoryResult, open: &Open) -> Vec<String> {
        let mut differences = Vec::new();
        let mut differs = |field: &str, expected: &Option<String>, told: Option<&str>| {
            let shown = |text: Option<&str>| text.unwrap_or("none").to_owned();
            let (expected, told) = (shown(expected.as_deref()), shown(told));
            differences.push(format!("{} {field}: expected {expected}, told {told}", self.name));
        };
        // Who is dialled by the number of a group may show the group's or their own.
        let is_outside =
            |side: &Side| side.phone_number.as_ref().is_some_and(|number| number.starts_with('+'));
        let from_outside = is_outside(&self.from) && is_outside(&self.to);
        let own = |number: Option<&str>| number == Some(self.owner.as_str());
        let (from, to) = (told.from.as_deref(), told.to.as_deref());
        // Who is called first on whose behalf the switch calls another is on both sides of their leg.
        let initiator = told.ring_out_role.as_deref() == Some("Initiator");
        let is_from = self.from.phone_number.is_none() || self.from.phone_number.as_deref() == from;
        if !(is_from || initiator) {
            differs("from.phoneNumber", &self.from.phone_number, from);
        }
        let is_to = self.to.phone_number.is_none() || self.to.phone_number.as_deref() == to;
        let is_open = open.leaves(to) || initiator && self.from.phone_number.as_deref() == to;
        if !(is_to || !from_outside && own(to) || is_open) {
            differs("to.phoneNumber", &self.to.phone_number, to);
        }
        for (field, side, number, name) in
            [("from.name", &self.from, from, &told.from_name), ("to.name", &self.to, to, &told.to_name)]
        {
            if let (Some(expected), Some(told)) = (&side.name, name)
                && side.phone_number.as_deref() == number
                && open.names.contains(expected)
                && expected != told
            {
                differs(field, &side.name, Some(told));
            }
        }
        let roles = [
            ("conferenceRole", &self.conference_role, &told.conference_role, &self.conference_role_also_ok),
            ("ringOutRole", &self.ring_out_role, &told.ring_out_role, &Vec::new()),
        ];
        for (field, expected, told, also_ok) in roles {
            let is_also_ok = told.as_ref().is_some_and(|told| also_ok.contains(told));
            if expected.is_some() && expected != told && !is_also_ok {
                differs(field, expected, told.as_deref());
            }
        }
        for number in [from, to].into_iter().flatten() {
            if number.bytes().any(|byte| !b"+*#0123456789".contains(&byte)) {
                differs("a number", &None, Some(number));
            }
        }
        differences
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

    /// Returns what a call is expected to be that 101 makes to 102, who answers and is hung up on.
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
    fn each_number_name_and_role_that_differs_is_named() {
        let side = |number: &str, name: &str| format!(r#"{{"phoneNumber":"{number}","name":"{name}"}}"#);
        let differences = |from: &str, to: &str, role: &str| {
            let (ann, bo) = (side("+14155550123", "Pat"), side("+16505550102", "Bo"));
            let meta = format!(
                r#"{{"participants":[{{"name":"Bo","address":"a"}},{{"name":"Pat","address":"b"}}],
                "expected":{{"sessions":[{{"parties":[{{"party":"A2","owner":"102","direction":"Inbound",
                "from":{ann},"to":{bo},"ringOutRole":"Target","statuses":[{{"code":"Setup"}}]}}]}}]}}}}"#
            );
            let line = format!(
                r#"{{"body":{{"telephonySessionId":"s-1","sequence":2,"eventTime":"2026-11-22T20:35:00.000Z","origin":{{"type":"Call"}},"parties":[{{"id":"p-1","accountId":"1","direction":"Inbound","from":{from},"to":{to},"ringOutRole":"{role}","missedCall":false,"status":{{"code":"Setup"}}}}]}}}}"#
            );
            fields(&meta, &sessions(&line).expect("the sequence rises"))
        };
        let (pat, bo) = (side("+14155550123", "Pat"), side("+16505550102", "Bo"));
        assert_eq!(differences(&pat, &bo, "Target"), [""; 0]);
        for (from, to, role, field) in [
            (side("+14155550124", "Pat"), bo.clone(), "Target", "from.phoneNumber"),
            (side("+14155550123", "Ann"), bo.clone(), "Target", "from.name"),
            (pat.clone(), side("102", "Bo"), "Target", "to.phoneNumber"),
            (pat.clone(), side("+16505550102", "Cy"), "Target", "to.name"),
            (pat.clone(), bo.clone(), "Initiator", "ringOutRole"),
        ] {
            let told = differences(&from, &to, role);
            assert!(told.len() == 1 && told[0].starts_with(&format!("A2 {field}")), "{field} {told:?}");
        }
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
