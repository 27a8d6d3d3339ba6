//! The query of an event filter: its parameters (contract subscriptions §1.1, §1.2).

use std::borrow::Cow;

use hookswitch_model::number::{self, E164};
use hookswitch_model::{Direction, StatusCode};

use super::{EventFilter, FilterError, REMINDER_SECS_MIN, TelephonyFilter, without_plus};

/// The parameters that are known, and what each takes.
const KNOWN: [(&str, &str); 6] = [
    ("direction", "Inbound or Outbound"),
    ("missedCall", "true or false"),
    (
        "phoneNumber",
        "a number in E.164, such as +14155550101, one as it is dialled in the account, or the number of an \
         extension",
    ),
    ("sipData", "true or false"),
    (
        "statusCode",
        "one of Setup, Proceeding, Answered, Disconnected, Gone, Parked, Hold, VoiceMail, FaxReceive and \
         VoiceMailScreening",
    ),
    ("withRecordings", "true or false"),
];

/// Reads the parameters into a filter. Names that are not known are let pass, because other servers
/// may know them.
pub(super) fn read(filter: &str, query: &str, into: &mut TelephonyFilter) -> Result<(), FilterError> {
    let mut seen = [false; KNOWN.len()];
    for part in query.split('&').filter(|part| !part.is_empty()) {
        let broken = || FilterError::Query { filter: filter.to_owned(), part: part.to_owned() };
        let (name, value) = part.split_once('=').ok_or_else(broken)?;
        // A sign whose meaning was never published; to guess it would pass the wrong events.
        if name.contains('!') || value.starts_with('!') {
            return Err(broken());
        }
        let Some(index) = KNOWN.iter().position(|(known, _)| known.eq_ignore_ascii_case(name)) else {
            continue;
        };
        let (name, allowed) = KNOWN[index];
        if std::mem::replace(&mut seen[index], true) {
            return Err(FilterError::Repeated { filter: filter.to_owned(), name });
        }
        let value = decoded(value).ok_or_else(broken)?;
        let wrong =
            || FilterError::Value { filter: filter.to_owned(), name, value: value.to_string(), allowed };
        let flag = || match value.to_ascii_lowercase().as_str() {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(wrong()),
        };
        match name {
            "direction" => {
                into.direction = Some(named(Direction::ALL, Direction::as_str, &value).ok_or_else(wrong)?);
            }
            "statusCode" => {
                into.status = Some(named(StatusCode::ALL, StatusCode::as_str, &value).ok_or_else(wrong)?);
            }
            "phoneNumber" => {
                let number = number(value.trim()).ok_or_else(wrong)?;
                into.phone_number = Some(without_plus(&number).into());
            }
            "missedCall" => into.missed_call = flag()?,
            "sipData" => into.sip_data = flag()?,
            _ => into.with_recordings = flag()?,
        }
    }
    Ok(())
}

/// The value that stands for the legs of conferences, in place of a number (contract events §3).
const CONFERENCE: &str = "conference";

/// Reads a number, or what is dialled in place of one; none for what can be neither.
fn number(value: &str) -> Option<Cow<'_, str>> {
    let is_code = value.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'*' | b'#'));
    if !value.is_empty() && is_code || value == CONFERENCE {
        return Some(Cow::Borrowed(value));
    }
    number::plain(value).map(Cow::Owned)
}

/// Gives the number in a query, as [`read`] understands it, with its `+` if it has one.
pub(super) fn number_of(query: &str) -> Option<String> {
    let mut parts = query.split('&').filter_map(|part| part.split_once('='));
    let (_, value) = parts.find(|(name, _)| is_number(name))?;
    number(decoded(value)?.trim()).map(Cow::into_owned)
}

fn is_number(name: &str) -> bool {
    name.eq_ignore_ascii_case("phoneNumber")
}

/// Gives a query with another number in it.
pub(super) fn with_number(query: &str, number: E164) -> String {
    let part = |part: &str| match part.split_once('=') {
        Some((name, _)) if is_number(name) => format!("{name}=%2B{}", without_plus(number.as_str())),
        _ => part.to_owned(),
    };
    query.split('&').map(part).collect::<Vec<_>>().join("&")
}

/// The value of a parameter, as it is written; none if the query does not have it.
pub(super) fn value<'a>(query: &'a str, wanted: &str) -> Option<&'a str> {
    let mut parts = query.split('&').filter_map(|part| part.split_once('='));
    parts.find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value)
}

/// Reads a parameter that is true or false; false if the query does not have it.
pub(super) fn flag(filter: &str, query: &str, name: &'static str) -> Result<bool, FilterError> {
    match value(query, name) {
        None => Ok(false),
        Some(value) if value.eq_ignore_ascii_case("true") => Ok(true),
        Some(value) if value.eq_ignore_ascii_case("false") => Ok(false),
        Some(value) => Err(FilterError::Value {
            filter: filter.to_owned(),
            name,
            value: value.to_owned(),
            allowed: "true or false",
        }),
    }
}

/// Reads the filter of renewal reminders.
pub(super) fn reminder(filter: &str, query: &str) -> Result<EventFilter, FilterError> {
    let bad = || FilterError::Reminder { filter: filter.to_owned(), min: REMINDER_SECS_MIN };
    let secs = |wanted: &str| {
        let mut parts = query.split('&').filter_map(|part| part.split_once('='));
        let (_, value) = parts.find(|(name, _)| name.eq_ignore_ascii_case(wanted)).ok_or_else(bad)?;
        value.parse::<u64>().ok().filter(|&secs| secs >= REMINDER_SECS_MIN).ok_or_else(bad)
    };
    let (threshold_secs, interval_secs) = (secs("threshold")?, secs("interval")?);
    if interval_secs > threshold_secs / 2 {
        return Err(bad());
    }
    Ok(EventFilter::Reminder { threshold_secs, interval_secs })
}

fn named<T: Copy>(all: &[T], name: impl Fn(T) -> &'static str, value: &str) -> Option<T> {
    all.iter().copied().find(|&one| name(one).eq_ignore_ascii_case(value))
}

/// Undoes percent-encoding. A `+` stays one: it belongs to phone numbers here.
fn decoded(value: &str) -> Option<Cow<'_, str>> {
    if !value.contains('%') {
        return Some(Cow::Borrowed(value));
    }
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        if *first == b'%' {
            let digits = std::str::from_utf8(after.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &after[2..];
        } else {
            bytes.push(*first);
        }
    }
    String::from_utf8(bytes).ok().map(Cow::Owned)
}
