//! Comparison of what `hookswitch replay` prints with what was expected of a recording or a case.
//!
//! [`sessions`] reads the notifications; [`recording`] and [`case`] say what counts as the same.

pub mod case;
pub mod recording;

use std::collections::BTreeSet;
use std::fmt::Write as _;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// A session as its notifications tell it.
#[derive(Debug)]
pub struct Session {
    id: String,
    origin: String,
    began: Timestamp,
    sequence: u64,
    parties: Vec<Party>,
}

/// A party as its notifications tell it, with the fields of the last one.
#[derive(Debug)]
struct Party {
    id: String,
    direction: String,
    from: Option<String>,
    to: Option<String>,
    /// Name of its own side.
    name: Option<String>,
    /// Names of both sides.
    from_name: Option<String>,
    to_name: Option<String>,
    account: String,
    extension: Option<String>,
    ring_out_role: Option<String>,
    conference_role: Option<String>,
    is_queue_call: bool,
    is_missed: bool,
    /// At least one notification had recordings.
    was_recorded: bool,
    statuses: Vec<Status>,
    /// Seconds from the first event of the session to its first `Answered`.
    answered_after: Option<f64>,
    /// Seconds from the first event of the session to its last event.
    ended_after: f64,
}

/// A status of a party; one that is sent again with nothing changed is the same.
#[derive(Debug)]
struct Status {
    code: String,
    reason: Option<String>,
    has_peer: bool,
    park: Option<String>,
    /// The party had missed the call when the status was first told.
    is_missed: bool,
}

impl Party {
    /// Number of its own side.
    fn number(&self) -> Option<&str> {
        if self.direction == "Outbound" { self.from.as_deref() } else { self.to.as_deref() }
    }
}

/// Reads the notifications of one or several replays of the same input, one a line.
///
/// # Errors
///
/// If the `sequence` of a session does not rise.
///
/// # Panics
///
/// If a line is no notification.
pub fn sessions(notifications: &str) -> Result<Vec<Session>, String> {
    let (mut sessions, mut seen) = (Vec::<Session>::new(), BTreeSet::new());
    for line in notifications.lines() {
        let notification: Value = serde_json::from_str(line).expect("a notification is JSON");
        let (body, party) = (&notification["body"], &notification["body"]["parties"][0]);
        let id = text(&body["telephonySessionId"]).expect("an id");
        let sequence = body["sequence"].as_u64().expect("a sequence");
        // Another replay for another account tells of the same session once more.
        if !seen.insert((id.clone(), text(&party["accountId"]), sequence)) {
            continue;
        }
        let at = text(&body["eventTime"]).and_then(|time| time.parse().ok()).expect("a time");
        let place = sessions.iter().position(|session| session.id == id).unwrap_or_else(|| {
            let origin = text(&body["origin"]["type"]).expect("an origin");
            sessions.push(Session { id: id.clone(), origin, began: at, sequence: 0, parties: Vec::new() });
            sessions.len() - 1
        });
        let session = &mut sessions[place];
        if sequence <= session.sequence {
            return Err(format!("sequence {sequence} of {id} follows {}", session.sequence));
        }
        session.sequence = sequence;
        session.tell(party, at);
    }
    Ok(sessions)
}

impl Session {
    fn tell(&mut self, told: &Value, at: Timestamp) {
        let id = text(&told["id"]).expect("an id");
        let after = at.duration_since(self.began).as_secs_f64();
        let place = self.parties.iter().position(|party| party.id == id);
        let direction = text(&told["direction"]).expect("a direction");
        let own = if direction == "Outbound" { &told["from"] } else { &told["to"] };
        let mut party = Party {
            id,
            from: text(&told["from"]["phoneNumber"]),
            to: text(&told["to"]["phoneNumber"]),
            name: text(&own["name"]),
            from_name: text(&told["from"]["name"]),
            to_name: text(&told["to"]["name"]),
            direction,
            account: text(&told["accountId"]).expect("an account"),
            extension: text(&told["extensionId"]),
            ring_out_role: text(&told["ringOutRole"]),
            conference_role: text(&told["conferenceRole"]),
            is_queue_call: told["queueCall"] == true,
            is_missed: told["missedCall"] == true,
            was_recorded: told["recordings"].as_array().is_some_and(|recordings| !recordings.is_empty()),
            statuses: Vec::new(),
            answered_after: None,
            ended_after: after,
        };
        if let Some(old) = place.map(|place| &mut self.parties[place]) {
            party.was_recorded |= old.was_recorded;
            party.statuses = std::mem::take(&mut old.statuses);
            party.answered_after = old.answered_after;
        }
        party.enter(&told["status"], after);
        match place {
            Some(place) => self.parties[place] = party,
            None => self.parties.push(party),
        }
    }
}

impl Party {
    fn enter(&mut self, told: &Value, after: f64) {
        let status = Status {
            code: text(&told["code"]).expect("a code"),
            reason: text(&told["reason"]),
            has_peer: told["peerId"].is_object(),
            park: text(&told["parkData"]).filter(|park| !park.is_empty()),
            is_missed: self.is_missed,
        };
        if status.code == "Answered" {
            self.answered_after.get_or_insert(after);
        }
        match self.statuses.last_mut() {
            Some(last) if last.code == status.code && last.reason == status.reason => {
                last.has_peer |= status.has_peer;
                last.park = status.park.or_else(|| last.park.take());
            }
            _ => self.statuses.push(status),
        }
    }
}

/// A text that was expected, where it matters.
#[derive(Debug, Default)]
enum Wanted {
    /// The key is absent: any is right.
    #[default]
    Any,
    /// This one, or none.
    Is(Option<String>),
}

impl<'de> Deserialize<'de> for Wanted {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Option::deserialize(deserializer).map(Self::Is)
    }
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

/// Writes a party as a line of a difference shows it.
fn show(party: &Party) -> String {
    let mut line = format!("{} {}", party.direction, party.number().unwrap_or("-"));
    for status in &party.statuses {
        let _ = write!(line, " {}", status.code);
        if let Some(reason) = &status.reason {
            let _ = write!(line, "/{reason}");
        }
    }
    line + if party.is_missed { ", missed" } else { "" }
}

/// Writes the difference of sessions that were expected and told, one a line.
fn show_all(mut difference: String, expected: impl Iterator<Item = Vec<String>>, told: &[Session]) -> String {
    let told = told.iter().map(|session| session.parties.iter().map(show).collect());
    for (what, sessions) in [("expected", expected.collect::<Vec<_>>()), ("told    ", told.collect())] {
        if sessions.is_empty() {
            let _ = writeln!(difference, "    {what} nothing");
        }
        for parties in sessions {
            let _ = writeln!(difference, "    {what} {}", parties.join(" | "));
        }
    }
    difference
}

/// Tells whether each of what was told can be paired with another of what was expected, such that what may
/// not be missing has one.
fn all_paired<E, T>(
    expected: &[E],
    told: &[T],
    may_be_missing: impl Fn(&E) -> bool,
    fits: impl Fn(&E, &T) -> bool,
) -> bool {
    let fits = |one: &&E, other: &T| fits(one, other);
    let every: Vec<&E> = expected.iter().collect();
    let needed: Vec<&E> = expected.iter().filter(|one| !may_be_missing(one)).collect();
    pairs(&every, told, &fits) == told.len() && pairs(&needed, told, &fits) == needed.len()
}

/// Counts the pairs of the largest pairing, found by augmenting paths.
fn pairs<E, T>(expected: &[E], told: &[T], fits: &impl Fn(&E, &T) -> bool) -> usize {
    fn augment(
        one: usize,
        partners: &mut [Option<usize>],
        seen: &mut [bool],
        fits: &impl Fn(usize, usize) -> bool,
    ) -> bool {
        for other in 0..partners.len() {
            if seen[other] || !fits(one, other) {
                continue;
            }
            seen[other] = true;
            let is_free = partners[other].is_none_or(|partner| augment(partner, partners, seen, fits));
            if is_free {
                partners[other] = Some(one);
                return true;
            }
        }
        false
    }
    let mut partners = vec![None; told.len()];
    (0..expected.len())
        .filter(|&one| {
            let mut seen = vec![false; told.len()];
            augment(one, &mut partners, &mut seen, &|one, other| fits(&expected[one], &told[other]))
        })
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_needed_is_not_replaced_by_what_may_be_missing() {
        let paired = |expected: &[(&str, bool)], told: &[&str]| {
            all_paired(expected, told, |one| one.1, |one, other| one.0.contains(other))
        };
        assert!(paired(&[("a", false), ("b", true)], &["a"]));
        assert!(paired(&[("b", true), ("a", false)], &["a", "b"]));
        assert!(!paired(&[("a", false), ("b", true)], &["b"]));
        assert!(!paired(&[("a", false)], &["a", "a"]));
        assert!(!paired(&[], &["a"]));
        // The first is paired again, so that both are.
        assert!(paired(&[("ab", false), ("a", false)], &["a", "b"]));
    }
}
