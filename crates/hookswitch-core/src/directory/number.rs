//! Telephone numbers as they are dialled, and in E.164.

use std::sync::Arc;

use phonenumber::country;

/// E.164 has at most 15 digits (ITU-T E.164 §6); with what is dialled before them it is no more than
/// this. Longer texts are not looked at.
const DIALLED_MAX: usize = 24;

/// The shortest number that can be a subscriber's.
const SUBSCRIBER_MIN: usize = 7;

/// How numbers are dialled from an account.
#[derive(Clone, Debug, Default)]
pub(super) struct DialPlan {
    /// The country whose rules hold; none means that only numbers with `+` are understood.
    country: Option<country::Id>,
    /// The digits that give an outside line.
    outside_prefix: Option<Box<str>>,
}

impl DialPlan {
    /// The plan of a country by its ISO 3166 code; none if there is no such country.
    pub(super) fn of(country: Option<&str>, outside_prefix: Option<&str>) -> Option<Self> {
        let country = match country {
            Some(code) => Some(code.to_ascii_uppercase().parse().ok()?),
            None => None,
        };
        Some(Self { country, outside_prefix: outside_prefix.map(Box::from) })
    }

    /// The number in E.164 with `+`; none when it is a short number, a name or no number.
    pub(super) fn e164(&self, dialled: &str) -> Option<Arc<str>> {
        if is_e164(dialled) {
            return Some(Arc::from(dialled));
        }
        let country = self.country?;
        // Only plain digits reach the library, and not many of them.
        let digits = dialled.len() <= DIALLED_MAX && dialled.bytes().all(|byte| byte.is_ascii_digit());
        if !digits || dialled.len() < SUBSCRIBER_MIN {
            return None;
        }
        let without = self.outside_prefix.as_deref().and_then(|prefix| dialled.strip_prefix(prefix));
        [without, Some(dialled)].into_iter().flatten().find_map(|digits| valid(country, digits))
    }
}

fn valid(country: country::Id, digits: &str) -> Option<Arc<str>> {
    let number = phonenumber::parse(Some(country), digits).ok()?;
    let is_valid = phonenumber::is_valid(&number);
    is_valid.then(|| Arc::from(number.format().mode(phonenumber::Mode::E164).to_string()))
}

/// Whether a text is a number in E.164 with its `+`.
pub(super) fn is_e164(text: &str) -> bool {
    text.strip_prefix('+').is_some_and(|digits| {
        (SUBSCRIBER_MIN..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_understood_as_they_are_dialled_in_the_country() {
        let plan = |country, outside| DialPlan::of(Some(country), outside).expect("a country");
        for (country, outside, dialled, e164) in [
            ("US", None, "4155550123", Some("+14155550123")),
            ("US", None, "14155550123", Some("+14155550123")),
            ("us", Some("9"), "914155550123", Some("+14155550123")),
            ("US", None, "011442079460000", Some("+442079460000")),
            ("US", Some("9"), "9011442079460000", Some("+442079460000")),
            ("DE", Some("0"), "003012345678", Some("+493012345678")),
            ("DE", None, "03012345678", Some("+493012345678")),
            ("DE", None, "0014155550123", Some("+14155550123")),
            ("US", None, "+442079460000", Some("+442079460000")),
            ("US", None, "101", None),
            ("US", None, "555", None),
            ("US", None, "alice", None),
            ("US", None, "*72", None),
            ("US", None, "99999999999999999999999999999999", None),
        ] {
            assert_eq!(plan(country, outside).e164(dialled).as_deref(), e164, "{country} {dialled}");
        }
        assert!(DialPlan::of(Some("XX"), None).is_none());
        assert_eq!(DialPlan::default().e164("4155550123"), None);
    }
}
