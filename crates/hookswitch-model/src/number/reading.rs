//! The ways in which digits can be understood, and which of them counts.

use super::E164;
use super::plans::{Numbers, Rewriting, Shape};

/// Certainty of a reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Certainty {
    /// It has the form of a number.
    Formed,
    /// The numbering plan has room for it.
    Possible,
    /// It is of a kind of number that is given out.
    Assigned,
}

/// Readings of digits: the surest one, as long as no other is as sure.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Readings {
    best: Option<(E164, Certainty)>,
    /// Another number is as sure.
    is_ambiguous: bool,
}

impl Readings {
    /// Takes a reading in.
    pub(super) fn add(&mut self, reading: Option<(E164, Certainty)>) {
        let Some((number, certainty)) = reading else { return };
        match self.best {
            Some((_, best)) if best > certainty => {}
            Some((other, best)) if best == certainty => self.is_ambiguous |= other != number,
            _ => *self = Self { best: Some((number, certainty)), is_ambiguous: false },
        }
    }

    /// Takes other readings in.
    pub(super) fn add_all(&mut self, others: Self) {
        self.add(others.best);
        let is_their_best =
            others.best.is_some_and(|(_, theirs)| self.best.is_some_and(|(_, best)| best == theirs));
        self.is_ambiguous |= others.is_ambiguous && is_their_best;
    }

    /// Gives the number, if the digits can mean but one. A wrong number is worse than none.
    pub(super) fn number(&self) -> Option<E164> {
        self.certain().map(|(number, _)| number)
    }

    /// Gives it with its certainty.
    pub(super) fn certain(&self) -> Option<(E164, Certainty)> {
        self.best.filter(|_| !self.is_ambiguous)
    }
}

/// The national numbers of a country or an account.
#[derive(Clone, Copy, Debug)]
pub(super) enum National {
    /// Those of the numbering plan; without any prefix from so many digits on.
    Plan { numbers: &'static Numbers, whole_from: usize, dials_whole: bool },
    /// All of these lengths; bit n is set for n digits.
    Lengths(u32),
    /// All that are long enough, if a prefix stands before them.
    Any,
}

/// The digits of a national number and its country code, below which it is no subscriber's.
const SUBSCRIBER_DIGITS_MIN: usize = 7;

/// From this length on, digits that begin with the country's code are taken for a whole number where its
/// lengths are not known.
const WITH_COUNTRY_MIN: usize = 11;

/// From this length on, digits are no local number anywhere.
const BEYOND_LOCAL: usize = 9;

/// Dialling rules: the settings of an account, or the habits of a country.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dialling<'a> {
    pub(super) code: &'a str,
    pub(super) international: &'a [Shape],
    pub(super) national_prefixes: &'a [Rewriting],
    pub(super) national: National,
}

impl Dialling<'_> {
    /// Reads digits that begin with a prefix: for another country, or for a national number.
    pub(super) fn with_prefix(&self, digits: &[u8]) -> Readings {
        let mut readings = self.abroad(digits);
        readings.add_all(self.at_home(digits));
        readings
    }

    /// Reads digits that begin with the prefix for another country.
    fn abroad(&self, digits: &[u8]) -> Readings {
        let mut readings = Readings::default();
        for rest in self.international.iter().filter_map(|prefix| prefix.strip(digits)) {
            let is_open = !matches!(self.national, National::Plan { .. });
            let formed = || E164::of(&[rest]).filter(|_| is_open && rest.first() != Some(&b'0'));
            readings.add(global(rest).or_else(|| Some((formed()?, Certainty::Formed))));
        }
        readings
    }

    /// Reads digits that begin with the prefix of a national number.
    fn at_home(&self, digits: &[u8]) -> Readings {
        let mut readings = Readings::default();
        for rewriting in self.national_prefixes {
            let Some(parts) = rewriting.apply(digits) else { continue };
            let number = self.national(&parts);
            readings.add(number.filter(|&(_, certainty)| {
                certainty == Certainty::Assigned || (rewriting.is_prefix() && !rewriting.strip.is_empty())
            }));
        }
        readings
    }

    /// Reads digits without a `+` before them.
    pub(super) fn read(&self, digits: &[u8]) -> Readings {
        let abroad = self.abroad(digits);
        // A switch calls another country as soon as its prefix is dialled.
        if abroad.certain().is_some_and(|(_, certainty)| certainty == Certainty::Assigned) {
            return abroad;
        }
        let mut readings = abroad;
        readings.add_all(self.at_home(digits));
        let bare = self.bare(digits);
        readings.add(bare);
        readings.add(self.with_code(digits, bare.is_some()));
        readings
    }

    /// Reads digits that are a national number without any prefix.
    pub(super) fn bare(&self, digits: &[u8]) -> Option<(E164, Certainty)> {
        match self.national {
            National::Plan { whole_from, .. } if digits.len() < whole_from => return None,
            National::Any => return None,
            // Where everybody dials a prefix, it may as well be a number of another country without its `+`.
            National::Plan { dials_whole: false, .. } if is_foreign(self.code, digits) => return None,
            National::Lengths(_) if self.has_prefix(digits) => return None,
            National::Plan { .. } | National::Lengths(_) => {}
        }
        self.national(&[digits]).filter(|&(_, certainty)| certainty == Certainty::Assigned)
    }

    /// Reads a number of the country that begins with its code, as trunks send it without the `+`.
    /// One that is so short that it may be local counts only against another reading.
    fn with_code(&self, digits: &[u8], has_other: bool) -> Option<(E164, Certainty)> {
        let rest = digits.strip_prefix(self.code.as_bytes())?;
        let is_whole = match self.national {
            National::Plan { whole_from, .. } => {
                rest.len() >= whole_from
                    || (rest.len() >= SUBSCRIBER_DIGITS_MIN && digits.len() >= BEYOND_LOCAL)
            }
            National::Lengths(_) => true,
            National::Any => digits.len() >= WITH_COUNTRY_MIN,
        };
        if !is_whole && !has_other {
            return None;
        }
        let number = self.national(&[rest]);
        number.filter(|&(_, certainty)| {
            certainty == Certainty::Assigned || matches!(self.national, National::Any)
        })
    }

    fn has_prefix(&self, digits: &[u8]) -> bool {
        self.international.iter().any(|prefix| prefix.strip(digits).is_some())
            || self.national_prefixes.iter().any(|prefix| prefix.apply(digits).is_some())
    }

    /// Puts a national number behind the country code, if it is one.
    fn national(&self, parts: &[&[u8]]) -> Option<(E164, Certainty)> {
        let code = self.code.as_bytes();
        let number = match parts {
            [one] => E164::of(&[code, one]),
            [one, two, three] => E164::of(&[code, one, two, three]),
            _ => None,
        }?;
        let digits = &number.digits()[code.len()..];
        let certainty = match self.national {
            National::Plan { numbers, .. } if numbers.is_assigned(digits) => Certainty::Assigned,
            National::Plan { numbers, .. } if numbers.is_possible(digits) => Certainty::Possible,
            National::Lengths(lengths) if lengths >> digits.len() & 1 == 1 => {
                // In North America neither an area nor an exchange begins with 0 or 1.
                if self.code == "1" && matches!(digits, [b'0' | b'1', ..]) {
                    return None;
                }
                Certainty::Assigned
            }
            National::Any if !digits.starts_with(b"0") => Certainty::Possible,
            _ => return None,
        };
        Some((number, certainty))
    }
}

/// Tests whether digits are a number of another country.
fn is_foreign(code: &str, digits: &[u8]) -> bool {
    let behind = Numbers::behind(digits);
    behind.is_some_and(|(numbers, national)| numbers.code != code && numbers.is_assigned(national))
}

/// Reads a number that begins with a country code. People write national prefixes where none belong,
/// as in `+49 (0)30 …`: they are taken out where the number is one of the country only without.
pub(super) fn global(digits: &[u8]) -> Option<(E164, Certainty)> {
    let (numbers, national) = Numbers::behind(digits)?;
    let number = E164::of(&[digits]);
    if numbers.is_assigned(national) {
        return Some((number?, Certainty::Assigned));
    }
    if let Some(country) = numbers.main_country() {
        let mut readings = Readings::default();
        for rewriting in &country.dialling().national {
            let Some([insert, keep, rest]) = rewriting.apply(national) else { continue };
            let number = E164::of(&[numbers.code.as_bytes(), insert, keep, rest]);
            let assigned =
                number.filter(|number| numbers.is_assigned(&number.digits()[numbers.code.len()..]));
            readings.add(assigned.map(|number| (number, Certainty::Assigned)));
        }
        if readings.certain().is_some() {
            return readings.certain();
        }
    }
    numbers.is_possible(national).then(|| Some((number?, Certainty::Possible)))?
}
