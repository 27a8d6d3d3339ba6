//! A local number and the context in which it is one.

use super::E164;
use super::cleaned::Cleaned;
use super::plans::Numbers;
use super::reading::{Certainty, Dialling, National};

/// Numbers of so few digits are dialled in the whole of a country, and call a service.
const SERVICE_DIGITS_MAX: usize = 3;

/// Reads a local number with the `phone-context` that stands beside it (RFC 3966 §5.1.5).
///
/// A context is the beginning of a global number. What stands before it is not always the whole rest:
/// `030…` in `+49` begins with the prefix that is dialled there, and `112` in `+49` is 112. None is given
/// where context and number make no number together; then it stays as it was dialled.
pub fn in_context(local: &str, context: &str) -> Option<E164> {
    let (local, context) = (Cleaned::of(local)?, Cleaned::of(context)?);
    if local.has_plus || !context.has_plus {
        return None;
    }
    let (numbers, area) = Numbers::behind(context.digits())?;
    if area.is_empty() && local.digits().len() <= SERVICE_DIGITS_MAX {
        return None;
    }
    if let Some(country) = numbers.main_country() {
        let habits = country.dialling();
        let dialled = Dialling {
            code: numbers.code,
            international: &habits.international,
            national_prefixes: &habits.national,
            national: National::Plan { numbers, whole_from: habits.whole_from },
        };
        let with_prefix = dialled.with_prefix(local.digits()).certain();
        if let Some((number, Certainty::Assigned)) = with_prefix {
            return Some(number);
        }
    }
    let number = E164::of(&[context.digits(), local.digits()])?;
    numbers.is_assigned(&number.digits()[numbers.code.len()..]).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_makes_a_local_number_a_global_one() {
        for (local, context, number) in [
            ("03023125000", "+49", Some("+493023125000")),
            ("3023125000", "+49", Some("+493023125000")),
            ("23125000", "+49-30", Some("+493023125000")),
            ("23125000", "+4930", Some("+493023125000")),
            ("02079460018", "+44", Some("+442079460018")),
            ("2079460018", "+44", Some("+442079460018")),
            ("00442079460018", "+49", Some("+442079460018")),
            ("555-1234", "+1-914", Some("+19145551234")),
            ("1234", "+1-914-555", Some("+19145551234")),
            ("0612345678", "+39", Some("+390612345678")),
            ("912345678", "+34", Some("+34912345678")),
        ] {
            assert_eq!(
                in_context(local, context).map(|number| number.to_string()).as_deref(),
                number,
                "{local} {context}"
            );
        }
    }

    #[test]
    fn a_context_leaves_a_number_that_it_does_not_complete() {
        for (local, context) in [
            ("911", "+1"),
            ("112", "+49"),
            ("5551234", "+1"),
            ("101", "nord.example"),
            ("101", "49"),
            ("+493023125000", "+49"),
            ("alice", "+49"),
            ("23125000", "+"),
            ("23125000", "+0"),
            ("23125000", ""),
        ] {
            assert_eq!(in_context(local, context), None, "{local} {context}");
        }
    }
}
