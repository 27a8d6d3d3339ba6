//! Telephone numbers: in E.164, as they are dialled in a country, how the one is read from the other, and
//! how two of them are compared ([`NumberKey`], [`agree`]).
//!
//! [`DialPlan::read`] is where a number that stands in a message becomes an [`E164`], or stays what it is.
//! What it knows of countries ([`Country`]) stands in `plans.tsv`, which is made from the metadata of
//! libphonenumber; `README.md` beside it says how.

mod cleaned;
mod context;
mod dial_plan;
mod e164;
mod key;
mod plans;
mod reading;

pub use context::in_context;
pub use dial_plan::{DialPlan, DialSettings, Form};
pub use e164::E164;
pub use key::{NumberKey, agree, ends_with, is_short, is_shown};
pub use plans::Country;

/// Gives the digits of a number, and its `+`, without what people write around them; none for what is no
/// number. A `tel:` before it and a `phone-context` behind it (RFC 3966) are understood.
pub fn plain(text: &str) -> Option<String> {
    let has_scheme = text.get(..4).is_some_and(|scheme| scheme.eq_ignore_ascii_case("tel:"));
    let text = if has_scheme { &text[4..] } else { text };
    let context = text.split(';').skip(1).filter_map(|parameter| parameter.split_once('='));
    let context = context.filter(|(name, _)| name.eq_ignore_ascii_case("phone-context")).last();
    if let Some(number) = context.and_then(|(_, context)| in_context(text, context)) {
        return Some(number.as_str().to_owned());
    }
    let cleaned = cleaned::Cleaned::of(text)?;
    let digits = cleaned.digits().iter().copied().map(char::from);
    Some(cleaned.has_plus.then_some('+').into_iter().chain(digits).collect())
}

/// Tests whether a text is a number, with or without separators, and no name or feature code.
pub fn is_dialled(text: &str) -> bool {
    cleaned::Cleaned::of(text).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_plain_without_what_is_written_around_it() {
        for (text, number) in [
            ("+49 (30) 23125-000", Some("+493023125000")),
            ("tel:+49-30-23125000", Some("+493023125000")),
            ("TEL:23125000;phone-context=+49-30", Some("+493023125000")),
            ("tel:112;phone-context=+49", Some("112")),
            ("0049 30 23125000", Some("00493023125000")),
            ("101", Some("101")),
            ("alice", None),
            ("tel:", None),
            ("", None),
        ] {
            assert_eq!(plain(text).as_deref(), number, "{text}");
        }
    }
}
