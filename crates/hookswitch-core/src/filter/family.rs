//! The families of events: what stands in a filter behind its account and extension (contract
//! subscriptions §1).

use hookswitch_model::{AccountId, ExtensionId};

/// The family of telephony sessions.
pub(super) const SESSIONS: &str = "telephony/sessions";

/// The families whose misspelling is refused, because who wrote it would wait for ever.
const SERVED: [&str; 5] = [SESSIONS, "presence", "missed-calls", "start-ring", "stop-ring"];

/// The family of what happens to a call elsewhere, by its `action`.
const TELEPHONY: &str = "telephony";

/// Number of letters that may be wrong for a family to be a misspelling of another.
const WRONG_LETTERS_MAX: usize = 2;

/// Returns `true` if a path is one of a family that belongs to no account: clients ask for them beside others.
pub(super) fn is_of_no_account(path: &str) -> bool {
    ["glip/", "team-messaging/", "ai/", "webinar/", "rcvideo/"].iter().any(|kind| path.starts_with(kind))
}

/// Returns `true` if a text can be the path of a family: segments of letters, digits and signs, none of them empty.
/// Without any, it stands for the account or the extension itself.
pub(super) fn is_path(family: &str) -> bool {
    let is_sign = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~');
    family.is_empty() || family.split('/').all(|segment| !segment.is_empty() && segment.bytes().all(is_sign))
}

/// The family that a misspelt one was meant to be; none if it is one of its own.
pub(super) fn meant_by(family: &str) -> Option<&'static str> {
    if family == TELEPHONY || SERVED.contains(&family) {
        return None;
    }
    let lower = family.to_ascii_lowercase();
    let close = |served: &&&str| distance(&lower, served) <= WRONG_LETTERS_MAX;
    let meant = SERVED.iter().find(close).copied();
    meant.or_else(|| lower.split('/').any(|part| part == TELEPHONY).then_some(SESSIONS))
}

/// A filter of another family with the ids in place of `~`, as a subscription shows it.
pub(super) fn resolved(
    account: AccountId,
    extension: Option<ExtensionId>,
    family: &str,
    query: &str,
) -> String {
    let extension = extension.map_or_else(String::new, |extension| format!("/extension/{extension}"));
    let slash = if family.is_empty() { "" } else { "/" };
    let mark = if query.is_empty() { "" } else { "?" };
    format!("/restapi/v1.0/account/{account}{extension}{slash}{family}{mark}{query}")
}

/// Returns the number of letters that must be changed, added or removed to make one text of another.
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (index, letter) in one.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], index + 1);
        for (column, with) in other.bytes().enumerate() {
            let changed = diagonal + usize::from(letter != with);
            diagonal = row[column + 1];
            row[column + 1] = changed.min(row[column] + 1).min(diagonal + 1);
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelling_is_known_by_its_letters_and_another_family_is_not_taken_for_one() {
        for (family, meant) in [
            ("telephony/session", SESSIONS),
            ("Telephony/Sessions", SESSIONS),
            ("telephony-sessions", SESSIONS),
            ("telefony/sessions", SESSIONS),
            ("telephony/sessions/s-1", SESSIONS),
            ("queue/1/telephony/sessions", SESSIONS),
            ("telephony/calls", SESSIONS),
            ("presense", "presence"),
            ("Presence", "presence"),
            ("missed-call", "missed-calls"),
            ("stopring", "stop-ring"),
        ] {
            assert_eq!(meant_by(family), Some(meant), "{family}");
        }
        for family in [
            "",
            SESSIONS,
            TELEPHONY,
            "presence",
            "presence/line",
            "presence/line/presence",
            "message-store",
            "message-store/instant",
            "directory/contacts",
            "directory/entries",
            "favorite",
            "fax",
            "voicemail",
            "call-log",
            "extension",
            "device",
        ] {
            assert_eq!(meant_by(family), None, "{family}");
        }
    }

    #[test]
    fn a_family_has_segments_and_no_empty_one() {
        for family in ["", "presence", "a-b/c_d/~", "v1.0/x"] {
            assert!(is_path(family), "{family}");
        }
        for family in ["/", "a//b", "a b", "presence;", "pr\u{e9}sence"] {
            assert!(!is_path(family), "{family}");
        }
    }
}
