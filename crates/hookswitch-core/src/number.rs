//! Numbers and names of the called and calling, and how two of them are compared.
//!
//! Switches add and take away prefixes, so texts are never compared as they are: [`NumberKey`] is what
//! stays the same, and [`agree`] tells numbers apart which differ in their area code alone.

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::hash::IdHash;

/// The last digits of a number that are compared: enough to tell subscribers apart, few enough to
/// be the same with and without trunk, country and outside-line prefixes.
const COMPARED_DIGITS: usize = 7;

/// The last digits that are compared of two numbers which have more: the subscriber's number and most of
/// the area code, and no prefix.
const AREA_DIGITS: usize = 9;

/// A number or name, reduced to what stays the same when switches rewrite it: the last seven digits of a
/// number, or a hash of a name without regard to case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct NumberKey(u64);

impl NumberKey {
    /// The key of a number, or of the user part of an address.
    pub(crate) fn of(number: &str) -> Self {
        let mut digits = [0u8; COMPARED_DIGITS];
        let mut count = 0;
        for byte in number.bytes().rev() {
            match byte {
                b'0'..=b'9' if count < COMPARED_DIGITS => {
                    digits[count] = byte;
                    count += 1;
                }
                b'0'..=b'9' | b'+' | b'-' | b'.' | b'(' | b')' | b' ' => {}
                _ => return Self(IdHash::new("name").part(number.to_lowercase().as_bytes()).u64()),
            }
        }
        Self(digits[..count].iter().fold(count as u64, |key, &digit| key << 8 | u64::from(digit)))
    }

    /// The key as a number, to be hashed with other things.
    pub(crate) const fn as_u64(self) -> u64 {
        self.0
    }
}

/// Tests whether two numbers are the same but for what switches add and take away; more surely than by
/// [`NumberKey`] where both have an area code.
pub(crate) fn agree(one: &str, other: &str) -> bool {
    let digits = |number: &str| -> SmallVec<[u8; 24]> {
        let digits = number.bytes().filter(u8::is_ascii_digit).skip_while(|&digit| digit == b'0');
        digits.collect()
    };
    if NumberKey::of(one) != NumberKey::of(other) {
        return false;
    }
    if one == other {
        return true;
    }
    let (one, other) = (digits(one), digits(other));
    let mut ends = one.iter().rev().zip(other.iter().rev()).take(AREA_DIGITS);
    one.len().min(other.len()) <= AREA_DIGITS || ends.all(|(one, other)| one == other)
}

/// What stands where there is no number: a place in a dialplan, and words of networks and switches for numbers
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
pub(crate) fn is_shown(number: &str) -> bool {
    !NO_NUMBERS.iter().any(|word| number.eq_ignore_ascii_case(word))
}

/// Tests whether a long number ends with a short one of at least two digits.
pub(crate) fn ends_with(long: &str, short: &str) -> bool {
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
