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

/// Tests whether a text is a number, with or without separators, and no name or feature code.
pub fn is_dialled(text: &str) -> bool {
    cleaned::Cleaned::of(text).is_some()
}
