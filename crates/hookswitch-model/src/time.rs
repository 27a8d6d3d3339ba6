//! Instants of signal time.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// An instant of signal time: whole microseconds since 1970-01-01T00:00:00 UTC.
///
/// Signal time is what the input says (a capture's time stamp, a HEP chunk), never the clock of
/// the machine that runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Timestamp(i64);

impl Timestamp {
    /// Takes microseconds since the Unix epoch.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since the Unix epoch.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// The time from `earlier` to `self`; zero if `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0).max(0).unsigned_abs())
    }
}

/// The clock that a signal is timed by. Sources whose clocks may differ have one each, so that the
/// timers of a call go by the clock of who reports it; a replay has one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ClockId(pub u16);

impl Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, rhs: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(rhs.as_micros()).unwrap_or(i64::MAX)))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;

    fn sub(self, rhs: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(rhs.as_micros()).unwrap_or(i64::MAX)))
    }
}

/// ISO 8601 in UTC with exactly three digits of milliseconds and `Z`, cut and not rounded, as the
/// API writes it (contract events §1): `2024-05-01T09:00:00.030Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Iso::new(*self).as_str())
    }
}

/// A formatted [`Timestamp`], on the stack.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub struct Iso([u8; 24]);

impl Iso {
    /// Formats an instant; years before 0 and after 9999 are written as the nearest of the two.
    pub fn new(at: Timestamp) -> Self {
        const FIRST: i64 = -62_167_219_200_000; // 0000-01-01
        const LAST: i64 = 253_402_300_799_999; // 9999-12-31, the last millisecond
        let millis = at.0.div_euclid(1000).clamp(FIRST, LAST);
        let (days, of_day) = (millis.div_euclid(86_400_000), millis.rem_euclid(86_400_000));
        let (year, month, day) = civil(days);
        let mut text = *b"0000-00-00T00:00:00.000Z";
        let [year, month, day, of_day] = [year, month, day, of_day].map(|part| part.unsigned_abs() as u32);
        let (second, milli) = (of_day / 1000, of_day % 1000);
        for (at, value) in [
            (0, year / 100),
            (2, year % 100),
            (5, month),
            (8, day),
            (11, second / 3600),
            (14, second / 60 % 60),
            (17, second % 60),
            (21, milli % 100),
        ] {
            text[at] = b'0' + (value / 10) as u8;
            text[at + 1] = b'0' + (value % 10) as u8;
        }
        text[20] = b'0' + (milli / 100) as u8;
        Self(text)
    }

    /// The text as bytes, 24 ASCII characters.
    pub const fn as_bytes(&self) -> &[u8; 24] {
        &self.0
    }

    /// The text, 24 ASCII characters.
    #[expect(clippy::missing_panics_doc, reason = "only ASCII is written")]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("only ASCII is written")
    }
}

/// Year, month and day of a day counted from 1970-01-01, in the proleptic Gregorian calendar.
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_written_with_three_digits_of_milliseconds() {
        for (micros, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (1_714_554_000_030_999, "2024-05-01T09:00:00.030Z"),
            (951_782_400_000_000, "2000-02-29T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (i64::MAX, "9999-12-31T23:59:59.999Z"),
            (i64::MIN, "0000-01-01T00:00:00.000Z"),
        ] {
            assert_eq!(Timestamp::from_micros(micros).to_string(), text);
        }
    }
}
