//! Comparison of two numbers, or of names in place of numbers.
//!
//! Switches add and take away prefixes, so texts are never compared as they are: [`NumberKey`] is what
//! stays the same, and [`agree`] tells numbers apart which differ in their area code alone.

use serde::{Deserialize, Serialize};

use super::cleaned::Cleaned;
use crate::hash::IdHash;

/// The last digits of a number that are compared: enough to tell subscribers apart, few enough to
/// be the same with and without trunk, country and outside-line prefixes.
const COMPARED_DIGITS: usize = 7;

/// The last digits that are compared of two numbers which have more: the subscriber's number and most of
/// the area code, and no prefix.
const AREA_DIGITS: usize = 9;

/// The most digits of a number that is dialled within a phone system. Longer ones are subscriber numbers,
/// which have at least seven digits nearly everywhere.
pub(super) const SHORT_DIGITS_MAX: usize = 6;

/// A number or name, reduced to what stays the same when switches rewrite it: the last seven digits of a
/// number, or a hash of a name without regard to case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct NumberKey(u64);

impl NumberKey {
    /// The key of a number, or of the user part of an address.
    pub fn of(number: &str) -> Self {
        let Some(cleaned) = Cleaned::of(number) else {
            return Self(IdHash::new("name").part(number.to_lowercase().as_bytes()).u64());
        };
        let digits = cleaned.digits();
        let compared = &digits[digits.len().saturating_sub(COMPARED_DIGITS)..];
        Self(compared.iter().rev().fold(compared.len() as u64, |key, &digit| key << 8 | u64::from(digit)))
    }

    /// The key as a number, to be hashed with other things.
    pub const fn as_u64(self) -> u64 {
        self.0
    }
}

/// Tests whether two numbers are the same but for what switches add and take away; more surely than by
/// [`NumberKey`] where both have an area code.
pub fn agree(one: &str, other: &str) -> bool {
    if NumberKey::of(one) != NumberKey::of(other) {
        return false;
    }
    if one == other {
        return true;
    }
    let (Some(one), Some(other)) = (Cleaned::of(one), Cleaned::of(other)) else { return true };
    let (one, other) = (without_zeros(one.digits()), without_zeros(other.digits()));
    let mut ends = one.iter().rev().zip(other.iter().rev()).take(AREA_DIGITS);
    one.len().min(other.len()) <= AREA_DIGITS || ends.all(|(one, other)| one == other)
}

/// Takes off what is dialled before an area or another country in most of the world.
fn without_zeros(digits: &[u8]) -> &[u8] {
    let zeros = digits.iter().take_while(|&&digit| digit == b'0').count();
    &digits[zeros..]
}

/// Tests whether a number is as short as those that are dialled within a phone system.
pub fn is_short(number: &str) -> bool {
    (1..=SHORT_DIGITS_MAX).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit())
}

/// Texts in the place of a number: a place in a dialplan, and words of networks and switches for numbers
/// that are unknown or withheld.
const NO_NUMBERS: [&str; 10] = [
    "",
    "s",
    "anonymous",
    "unavailable",
    "restricted",
    "unknown",
    "private",
    "withheld",
    "asterisk",
    "<unknown>",
];

/// Tests whether a text may be shown as the number of somebody.
pub fn is_shown(number: &str) -> bool {
    !NO_NUMBERS.iter().any(|word| number.eq_ignore_ascii_case(word))
}

/// Tests whether a long number ends with a short one of at least two digits.
pub fn ends_with(long: &str, short: &str) -> bool {
    short.len() >= 2
        && long.len() >= short.len() + 3
        && short.bytes().all(|byte| byte.is_ascii_digit())
        && long.ends_with(short)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_do_not_matter_and_short_numbers_are_whole() {
        for (one, other) in
            [("+14155550123", "914155550123"), ("+1 (415) 555-0123", "4155550123"), ("Alice", "alice")]
        {
            assert_eq!(NumberKey::of(one), NumberKey::of(other), "{one} {other}");
        }
        for (one, other) in [("101", "1101"), ("alice", "alice2")] {
            assert_ne!(NumberKey::of(one), NumberKey::of(other), "{one} {other}");
        }
    }

    #[test]
    fn what_stands_around_the_digits_does_not_matter() {
        for other in
            ["030/23125000", "*31#03023125000", "03023125000#", "03023125000p12", "+49\u{a0}3023125000"]
        {
            assert_eq!(NumberKey::of("+493023125000"), NumberKey::of(other), "{other}");
            assert!(agree("+493023125000", other), "{other}");
        }
        for other in ["*3023125000", "*8", "23125000x"] {
            assert_ne!(NumberKey::of("+493023125000"), NumberKey::of(other), "{other}");
        }
    }

    #[test]
    fn numbers_agree_whatever_prefix_they_have_and_differ_by_their_area() {
        for (one, other) in [
            ("+14155550123", "914155550123"),
            ("+14155550123", "94155550123"),
            ("+14155550123", "5550123"),
            ("+493012345678", "03012345678"),
            ("+493012345678", "00493012345678"),
            ("101", "101"),
            ("alice", "Alice"),
        ] {
            assert!(agree(one, other) && agree(other, one), "{one} {other}");
        }
        for (one, other) in [("+14155550123", "+12135550123"), ("101", "1101"), ("alice", "bob")] {
            assert!(!agree(one, other), "{one} {other}");
        }
    }

    #[test]
    fn words_that_stand_for_no_number_are_not_shown() {
        assert!(["101", "+14155550123", "*72", "alice", "conference"].into_iter().all(is_shown));
        assert!(!["", "s", "Anonymous", "unavailable", "RESTRICTED"].into_iter().any(is_shown));
    }

    #[test]
    fn a_direct_number_ends_with_the_extension() {
        assert!(ends_with("+16505550102", "102"));
        for (long, short) in [("102", "102"), ("+16505550102", "2"), ("+16505550102", "bob")] {
            assert!(!ends_with(long, short), "{long} {short}");
        }
    }
}
