//! Dial plan of an account: how numbers are dialled from it.

use super::E164;
use super::cleaned::Cleaned;
use super::key::SHORT_DIGITS_MAX;
use super::plans::{Country, Numbers, Rewriting, Shape};
use super::reading::{Certainty, Dialling, National, global};

/// The digits of a national number of the North American Numbering Plan.
const NORTH_AMERICAN_DIGITS: u8 = 10;

/// A local number has no more digits anywhere; where there are some, shorter ones may be local.
const LOCAL_DIGITS_MAX: usize = 8;

/// Settings of an account's dial plan; what is set stands above what the country has.
#[derive(Clone, Debug, Default)]
pub struct DialSettings<'a> {
    /// The country, from which all else is known.
    pub country: Option<Country>,
    /// The country code, digits only.
    pub country_code: Option<&'a str>,
    /// Digits dialled for another country.
    pub international_prefix: Option<&'a str>,
    /// Digits dialled before a national number; empty where nothing is.
    pub national_prefix: Option<&'a str>,
    /// Number of digits that national numbers have, without the national prefix.
    pub national_digits: &'a [u8],
    /// Digits dialled for an outside line.
    pub outside_prefix: Option<&'a str>,
}

/// Form of a number, which says what may stand before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// At a trunk, in a directory or in a filter: as the network has it, without an outside line.
    Network,
    /// A caller's number on the inside: as the network has it, or as it would be dialled to call back.
    Caller,
    /// Dialled on the inside: with the prefix for an outside line, where there is one.
    Dialled,
}

/// Dial plan: how numbers are dialled from an account, and how they are told in E.164.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DialPlan {
    /// The country code; none means that only numbers with `+` are understood.
    code: Option<Box<str>>,
    international: Box<[Shape]>,
    national_prefixes: Box<[Rewriting]>,
    /// The lengths of national numbers, where they are set.
    lengths: u32,
    country: Option<Country>,
    /// The digits that give an outside line; empty when none are needed.
    outside_prefix: Box<str>,
}

impl Default for DialPlan {
    fn default() -> Self {
        Self::new(&DialSettings::default())
    }
}

impl DialPlan {
    /// Makes a dial plan. Prefixes that are left out, of an account without a country, are those of North
    /// America for code 1 and those of nearly everywhere else for others (ITU-T E.164 supplement 2).
    /// A prefix that is no number is never found.
    pub fn new(settings: &DialSettings<'_>) -> Self {
        let habits = settings.country.map(Country::dialling);
        let code = settings.country_code.or(habits.map(|habits| habits.code));
        let (international, national) = if code == Some("1") { ("011", "1") } else { ("00", "0") };
        let strip = |prefix: &str| Rewriting::strip(prefix).filter(|rewriting| !rewriting.strip.is_empty());
        let shape = |prefix: &str| Shape::read(prefix).filter(|shape| !shape.is_empty());
        let mut lengths = settings.national_digits.iter().fold(0, |all, &digits| all | bit(digits));
        if lengths == 0 && habits.is_none() && code == Some("1") {
            lengths = bit(NORTH_AMERICAN_DIGITS);
        }
        Self {
            code: code.map(Box::from),
            international: match (settings.international_prefix, habits) {
                (None, Some(habits)) => habits.international.clone().into(),
                (prefix, _) => shape(prefix.unwrap_or(international)).into_iter().collect(),
            },
            national_prefixes: match (settings.national_prefix, habits) {
                (None, Some(habits)) => habits.national.clone().into(),
                (prefix, _) => strip(prefix.unwrap_or(national)).into_iter().collect(),
            },
            lengths,
            country: settings.country,
            outside_prefix: settings.outside_prefix.unwrap_or_default().into(),
        }
    }

    /// Gives the number in E.164, if the text can mean but one. None is given for short numbers, names,
    /// feature codes, local numbers, and digits that could be the numbers of two people.
    pub fn read(&self, number: &str, form: Form) -> Option<E164> {
        let cleaned = Cleaned::of(self.without_service_code(number))?;
        if cleaned.has_plus {
            return with_plus(cleaned.digits());
        }
        let dialling = self.dialling()?;
        self.read_digits(&dialling, cleaned.digits(), form)
    }

    fn read_digits(&self, dialling: &Dialling<'_>, digits: &[u8], form: Form) -> Option<E164> {
        let outside = self.outside_prefix.as_bytes();
        let read = |digits: &[u8]| dialling.read(digits);
        let after = digits.strip_prefix(outside).filter(|_| !outside.is_empty());
        let Some(after) = after else {
            // Who needs a prefix for an outside line dials somebody inside by a short number.
            let is_inside = form == Form::Dialled && !outside.is_empty() && digits.len() <= SHORT_DIGITS_MAX;
            return if is_inside { None } else { read(digits).number() };
        };
        let (whole, after_line) = (read(digits), read(after));
        match form {
            Form::Network => whole.number().or_else(|| after_line.number()),
            Form::Caller => {
                let mut both = whole;
                both.add_all(after_line);
                both.number()
            }
            Form::Dialled => {
                // The switch takes the prefix off; if a local number follows, only it knows the area.
                let may_be_local = after.len() <= LOCAL_DIGITS_MAX;
                let sure =
                    whole.certain().filter(|&(_, certainty)| certainty > Certainty::Formed && !may_be_local);
                let sure = sure.map(|(number, _)| number);
                after_line.number().or(sure)
            }
        }
    }

    /// Takes off what withholds or shows the caller's number for one call in North America.
    fn without_service_code<'a>(&self, number: &'a str) -> &'a str {
        let codes: &[&str] = if self.code.as_deref() == Some("1") { &["*67", "*82"] } else { &[] };
        codes.iter().find_map(|code| number.strip_prefix(code)).unwrap_or(number)
    }

    fn dialling(&self) -> Option<Dialling<'_>> {
        let code = self.code.as_deref()?;
        let plan = || Some((self.country?.dialling(), Numbers::of(code.as_bytes())?));
        let national = match plan() {
            _ if self.lengths != 0 => National::Lengths(self.lengths),
            Some((habits, numbers)) => {
                National::Plan { numbers, whole_from: habits.whole_from, dials_whole: habits.dials_whole }
            }
            None => National::Any,
        };
        Some(Dialling {
            code,
            international: &self.international,
            national_prefixes: &self.national_prefixes,
            national,
        })
    }
}

/// Reads digits behind a `+`. What is no number of the country that it begins with stays as it is, but for
/// a prefix of another country that somebody left behind the `+`.
fn with_plus(digits: &[u8]) -> Option<E164> {
    let after_prefix = || global(digits.strip_prefix(b"00")?);
    let read = global(digits).or_else(after_prefix).map(|(number, _)| number);
    read.or_else(|| E164::of(&[digits]))
}

fn bit(digits: u8) -> u32 {
    1u32.checked_shl(u32::from(digits)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(settings: &DialSettings<'_>, number: &str, form: Form) -> Option<String> {
        DialPlan::new(settings).read(number, form).map(|number| number.to_string())
    }

    fn country(letters: &str) -> DialSettings<'static> {
        let country = Country::find(letters);
        assert!(country.is_some(), "{letters}");
        DialSettings { country, ..DialSettings::default() }
    }

    #[test]
    fn numbers_are_understood_by_the_prefixes_that_are_set() {
        for (code, outside, dialled, e164) in [
            ("1", "", "4155550123", Some("+14155550123")),
            ("1", "", "14155550123", Some("+14155550123")),
            ("1", "9", "914155550123", Some("+14155550123")),
            ("1", "9", "94155550123", Some("+14155550123")),
            ("1", "9", "4155550123", Some("+14155550123")),
            ("1", "9", "9415550123", Some("+19415550123")),
            ("1", "", "011442079460000", Some("+442079460000")),
            ("1", "9", "9011442079460000", Some("+442079460000")),
            ("1", "9", "+442079460000", Some("+442079460000")),
            ("1", "", "*674155550123", Some("+14155550123")),
            ("1", "", "5550123", None),
            ("1", "", "101", None),
            ("1", "", "911", None),
            ("1", "9", "9911", None),
            ("1", "", "alice", None),
            ("1", "", "*72", None),
            ("1", "", "99999999999999999999999999999999", None),
            ("1", "", "999999999999999999999999999999999", None),
            ("1", "", "", None),
            ("49", "0", "003012345678", Some("+493012345678")),
            ("49", "", "03012345678", Some("+493012345678")),
            ("49", "", "0014155550123", Some("+14155550123")),
            ("49", "0", "00014155550123", Some("+14155550123")),
            ("49", "", "493012345678", Some("+493012345678")),
            ("49", "", "12345678", None),
            ("49", "", "112", None),
        ] {
            let settings = DialSettings {
                country_code: Some(code),
                outside_prefix: Some(outside),
                ..DialSettings::default()
            };
            assert_eq!(
                read(&settings, dialled, Form::Dialled).as_deref(),
                e164,
                "+{code} {outside} {dialled}"
            );
        }
        let nothing = DialSettings::default();
        assert_eq!(read(&nothing, "4155550123", Form::Dialled), None);
        assert_eq!(read(&nothing, "+4155550123", Form::Dialled).as_deref(), Some("+4155550123"));
    }

    #[test]
    fn a_country_alone_says_how_its_numbers_are_dialled() {
        for (letters, dialled, e164) in [
            ("ES", "912345678", "+34912345678"),
            ("ES", "34612345678", "+34612345678"),
            ("es", "0014155550123", "+14155550123"),
            ("UK", "02079460018", "+442079460018"),
            // Brazil: a carrier's two digits; an area with the digits of the country.
            ("BR", "0151123456789", "+551123456789"),
            ("BR", "02111961234567", "+5511961234567"),
            ("BR", "5532211234", "+555532211234"),
            ("BR", "55991234567", "+5555991234567"),
            ("BR", "0555532211234", "+555532211234"),
            ("BR", "555532211234", "+555532211234"),
            ("CO", "036012345678", "+576012345678"),
            ("CO", "033211234567", "+573211234567"),
            ("CO", "03211234567", "+573211234567"),
            // Argentina: 15 within the country is 9 before the area from abroad.
            ("AR", "0111523456789", "+5491123456789"),
            ("AR", "111523456789", "+5491123456789"),
            ("AR", "0220215412345", "+5492202412345"),
            ("AR", "01123456789", "+541123456789"),
            // Italy: the 0 is part of the number.
            ("IT", "0612345678", "+390612345678"),
            ("IT", "390612345678", "+390612345678"),
            ("IT", "3123456789", "+393123456789"),
            ("DE", "4930123456", "+4930123456"),
            ("RU", "88001234567", "+78001234567"),
            ("RU", "81081312345678", "+81312345678"),
            ("AG", "4641234", "+12684641234"),
            ("HU", "0612345678", "+3612345678"),
        ] {
            assert_eq!(
                read(&country(letters), dialled, Form::Dialled).as_deref(),
                Some(e164),
                "{letters} {dialled}"
            );
        }
    }

    #[test]
    fn what_could_be_the_numbers_of_two_people_is_left_as_it_is() {
        for (letters, dialled) in [
            // A mobile number, or one of Rome behind the code of Italy.
            ("IT", "3906698371"),
            // A local number of Berlin, or one of Dortmund without the 0.
            ("DE", "23125000"),
            // A number of France or Great Britain without its +, as trunks send it; or one of a German area.
            ("DE", "33612345678"),
            ("DE", "442079460018"),
            ("BR", "0881123456789"),
            ("CO", "0860123456789"),
            ("ES", "101"),
            ("ES", "112"),
            ("ES", "12345678"),
            ("LU", "3501"),
            ("IT", "061234"),
        ] {
            for form in [Form::Network, Form::Caller, Form::Dialled] {
                assert_eq!(read(&country(letters), dialled, form), None, "{letters} {dialled}");
            }
        }
    }

    #[test]
    fn behind_an_outside_line_a_local_number_is_no_national_one() {
        let with_line = DialSettings { outside_prefix: Some("0"), ..country("DE") };
        for (dialled, form, e164) in [
            ("023125000", Form::Dialled, None),
            ("023125000", Form::Network, Some("+4923125000")),
            ("003023125000", Form::Dialled, Some("+493023125000")),
            ("03023125000", Form::Caller, Some("+493023125000")),
            ("03023125000", Form::Network, Some("+493023125000")),
            ("003023125000", Form::Caller, Some("+493023125000")),
            ("0004420794600", Form::Dialled, None),
            ("000442079460018", Form::Dialled, Some("+442079460018")),
            ("000442079460018", Form::Caller, Some("+442079460018")),
            ("00442079460018", Form::Network, Some("+442079460018")),
            // In Greece; or in Berlin, as it would be dialled to call back.
            ("00302310123456", Form::Caller, None),
            ("00302310123456", Form::Network, Some("+302310123456")),
            ("00302310123456", Form::Dialled, Some("+49302310123456")),
        ] {
            assert_eq!(read(&with_line, dialled, form).as_deref(), e164, "{dialled} {form:?}");
        }
        let with_line = DialSettings { outside_prefix: Some("0"), ..country("ES") };
        assert_eq!(read(&with_line, "0912345678", Form::Dialled).as_deref(), Some("+34912345678"));
        let with_line = DialSettings { outside_prefix: Some("9"), ..country("FO") };
        assert_eq!(read(&with_line, "201234", Form::Dialled), None);
        assert_eq!(read(&with_line, "9201234", Form::Dialled).as_deref(), Some("+298201234"));
    }

    #[test]
    fn what_is_set_stands_above_what_the_country_has() {
        let settings = DialSettings { international_prefix: Some("99"), ..country("DE") };
        assert_eq!(read(&settings, "9914155550123", Form::Dialled).as_deref(), Some("+14155550123"));
        assert_eq!(read(&settings, "0014155550123", Form::Dialled), None);
        let settings = DialSettings { national_prefix: Some("9"), ..country("GB") };
        assert_eq!(read(&settings, "92079460018", Form::Dialled).as_deref(), Some("+442079460018"));
        assert_eq!(read(&settings, "02079460018", Form::Dialled), None);
        let settings = DialSettings { national_digits: &[8], ..country("ES") };
        assert_eq!(read(&settings, "11223344", Form::Dialled).as_deref(), Some("+3411223344"));
        assert_eq!(read(&settings, "912345678", Form::Dialled), None);
    }

    #[test]
    fn lengths_tell_national_numbers_without_any_prefix() {
        let settings =
            DialSettings { country_code: Some("34"), national_digits: &[9], ..DialSettings::default() };
        for (dialled, e164) in [
            ("912345678", Some("+34912345678")),
            ("34912345678", Some("+34912345678")),
            ("91234567", None),
            ("9123456789", None),
            // It begins with what is dialled before a national number, so it is no whole one.
            ("012345678", None),
        ] {
            assert_eq!(read(&settings, dialled, Form::Dialled).as_deref(), e164, "{dialled}");
        }
        let settings = DialSettings { country_code: Some("49"), national_digits: &[10, 11], ..settings };
        assert_eq!(read(&settings, "3023125000", Form::Dialled).as_deref(), Some("+493023125000"));
        assert_eq!(read(&settings, "03023125000", Form::Dialled).as_deref(), Some("+493023125000"));
        assert_eq!(read(&settings, "030231250", Form::Dialled), None);
    }

    #[test]
    fn what_stands_around_the_digits_does_not_count() {
        for (number, e164) in [
            ("+49(0)3023125000", Some("+493023125000")),
            ("+49 (0) 30 / 23125-000", Some("+493023125000")),
            ("0049(0)3023125000", Some("+493023125000")),
            ("+00493023125000", Some("+493023125000")),
            ("030/23125000", Some("+493023125000")),
            ("+49\u{a0}30\u{a0}23125000", Some("+493023125000")),
            ("+49\u{2011}30\u{2013}23125000", Some("+493023125000")),
            ("03023125000#", Some("+493023125000")),
            ("03023125000p123", Some("+493023125000")),
            ("03023125000,,12#", Some("+493023125000")),
            ("*31#03023125000", Some("+493023125000")),
            ("#31#03023125000", Some("+493023125000")),
            ("+4402079460018", Some("+442079460018")),
            ("+390612345678", Some("+390612345678")),
            ("+541115 2345-6789", Some("+5491123456789")),
            ("+49112", None),
            ("+4930123456789012", None),
            ("*03023125000", None),
            ("03023125000#1", None),
            ("03023125000paul", None),
            ("0302+3125000", None),
            ("#", None),
            ("+", None),
        ] {
            assert_eq!(read(&country("DE"), number, Form::Network).as_deref(), e164, "{number}");
        }
    }
}
