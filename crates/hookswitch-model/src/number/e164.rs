//! A number in E.164.

use std::fmt;
use std::ops::RangeInclusive;

/// A number of ITU-T E.164 with its `+`: 7 to 15 digits, country code first.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct E164 {
    /// The `+` and the digits, then zeros.
    text: [u8; 16],
    /// The length of the text.
    length: u8,
}

impl E164 {
    /// The most digits (ITU-T E.164 §6).
    pub(super) const DIGITS_MAX: usize = 15;

    /// The digits that a number has; shorter ones are dialled within a phone system, or call a service.
    const DIGITS: RangeInclusive<usize> = 7..=Self::DIGITS_MAX;

    /// Reads a number that is written in E.164 already, with its `+` and without separators.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('+')?;
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| Self::of(&[digits.as_bytes()]))?
    }

    /// Puts a number together from its digits.
    pub(super) fn of(parts: &[&[u8]]) -> Option<Self> {
        let count: usize = parts.iter().map(|part| part.len()).sum();
        if !Self::DIGITS.contains(&count) {
            return None;
        }
        let mut text = [0; 16];
        text[0] = b'+';
        let digits = parts.iter().copied().flatten();
        for (place, &digit) in text[1..].iter_mut().zip(digits) {
            *place = digit;
        }
        Some(Self { text, length: count as u8 + 1 })
    }

    /// Gives the number with its `+`.
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.text[..usize::from(self.length)]).unwrap_or_default()
    }

    /// Gives the digits, country code first.
    pub(super) fn digits(&self) -> &[u8] {
        &self.text[1..usize::from(self.length)]
    }
}

impl fmt::Display for E164 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for E164 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
