//! Telephone numbers as they are dialled, and in E.164.

use std::sync::Arc;

/// E.164 has at most 15 digits (ITU-T E.164 §6).
const E164_DIGITS_MAX: usize = 15;

/// The shortest number that is taken for a subscriber's, and not for one that is dialled inside.
const SUBSCRIBER_DIGITS_MIN: usize = 7;

/// What may stand before the digits of E.164 when a number is dialled: an outside line and the
/// international prefix. Longer texts are not looked at.
const DIALLED_MAX: usize = E164_DIGITS_MAX + 9;

/// The digits of a national number of the North American Numbering Plan.
const NORTH_AMERICAN_DIGITS: usize = 10;

/// From this length on, digits that begin with the country's code are taken for a whole number, as
/// trunks send it without the `+`.
const WITH_COUNTRY_MIN: usize = 11;

/// How numbers are dialled from an account.
#[derive(Clone, Debug, Default)]
pub(super) struct DialPlan {
    /// The code of the country; none means that only numbers with `+` are understood.
    pub(super) country_code: Option<Box<str>>,
    /// What is dialled for another country, such as `00` or `011`.
    pub(super) international_prefix: Box<str>,
    /// What is dialled before a number of the country, such as `0` or `1`; empty when nothing is.
    pub(super) national_prefix: Box<str>,
    /// The digits that give an outside line; empty when none are needed.
    pub(super) outside_prefix: Box<str>,
}

impl DialPlan {
    /// The number in E.164 with `+`; none when it is a short number, a name or no number.
    pub(super) fn e164(&self, dialled: &str) -> Option<Arc<str>> {
        if is_e164(dialled) {
            return Some(Arc::from(dialled));
        }
        let country = self.country_code.as_deref()?;
        if dialled.len() > DIALLED_MAX || !dialled.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let outside = Some(&*self.outside_prefix).filter(|prefix| !prefix.is_empty());
        let after_outside = outside.and_then(|prefix| dialled.strip_prefix(prefix));
        [after_outside, Some(dialled)]
            .into_iter()
            .flatten()
            .find_map(|digits| self.after_outside_line(country, digits))
    }

    fn after_outside_line(&self, country: &str, digits: &str) -> Option<Arc<str>> {
        let north_american = country == "1";
        let written = |country: &str, rest: &str| {
            let number = format!("+{country}{rest}");
            (is_e164(&number) && !rest.starts_with('0')).then(|| Arc::from(number))
        };
        let is_national = |rest: &str| {
            if north_american {
                rest.len() == NORTH_AMERICAN_DIGITS && !rest.starts_with(['0', '1'])
            } else {
                rest.len() + country.len() >= SUBSCRIBER_DIGITS_MIN
            }
        };
        if let Some(rest) = digits.strip_prefix(&*self.international_prefix)
            && let Some(number) = written("", rest)
        {
            return Some(number);
        }
        if !self.national_prefix.is_empty()
            && let Some(rest) = digits.strip_prefix(&*self.national_prefix).filter(|rest| is_national(rest))
        {
            return written(country, rest);
        }
        if digits.len() >= WITH_COUNTRY_MIN && digits.starts_with(country) {
            return written("", digits);
        }
        if north_american && is_national(digits) { written(country, digits) } else { None }
    }
}

/// Whether a text is a number in E.164 with its `+`.
pub(super) fn is_e164(text: &str) -> bool {
    text.strip_prefix('+').is_some_and(|digits| {
        (SUBSCRIBER_DIGITS_MIN..=E164_DIGITS_MAX).contains(&digits.len())
            && digits.bytes().all(|byte| byte.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_understood_as_they_are_dialled_in_the_country() {
        let north_america = ("1", "011", "1");
        let germany = ("49", "00", "0");
        for ((country, international, national), outside, dialled, e164) in [
            (north_america, "", "4155550123", Some("+14155550123")),
            (north_america, "", "14155550123", Some("+14155550123")),
            (north_america, "9", "914155550123", Some("+14155550123")),
            (north_america, "9", "94155550123", Some("+14155550123")),
            (north_america, "9", "4155550123", Some("+14155550123")),
            (north_america, "", "011442079460000", Some("+442079460000")),
            (north_america, "9", "9011442079460000", Some("+442079460000")),
            (north_america, "", "+442079460000", Some("+442079460000")),
            (north_america, "", "5550123", None),
            (north_america, "", "101", None),
            (north_america, "", "911", None),
            (north_america, "9", "9911", None),
            (north_america, "", "alice", None),
            (north_america, "", "*72", None),
            (north_america, "", "99999999999999999999999999999999", None),
            (north_america, "", "", None),
            (germany, "0", "003012345678", Some("+493012345678")),
            (germany, "", "03012345678", Some("+493012345678")),
            (germany, "", "0014155550123", Some("+14155550123")),
            (germany, "0", "00014155550123", Some("+14155550123")),
            (germany, "", "493012345678", Some("+493012345678")),
            (germany, "", "12345678", None),
            (germany, "", "112", None),
        ] {
            let plan = DialPlan {
                country_code: Some(country.into()),
                international_prefix: international.into(),
                national_prefix: national.into(),
                outside_prefix: outside.into(),
            };
            assert_eq!(plan.e164(dialled).as_deref(), e164, "+{country} {outside} {dialled}");
        }
        assert_eq!(DialPlan::default().e164("4155550123"), None);
        assert_eq!(DialPlan::default().e164("+4155550123").as_deref(), Some("+4155550123"));
    }
}
