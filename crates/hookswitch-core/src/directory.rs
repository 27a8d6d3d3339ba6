//! Who a number belongs to: the built-in directory of a single account.

use std::sync::Arc;

use hookswitch_model::{AccountId, DeviceId, ExtensionId};

use crate::hash::IdHash;

/// The most digits a number can have and still be a short number, that is, an extension's. Longer
/// ones are subscriber numbers, which have at least seven digits.
pub const SHORT_NUMBER_DIGITS_MAX: usize = 6;

/// Maps what signalling shows to extensions of the account.
///
/// This is the built-in directory, for use without any configuration: short numbers and
/// alphanumeric users are extensions, which come into being as they are seen; the rest is outside.
/// Ids are derived from account and number, so they are the same in every run.
#[derive(Clone, Debug)]
pub struct Directory {
    account: AccountId,
}

/// Whom a number or user belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The number as the API shows it.
    pub number: Arc<str>,
    /// The extension, when it is one of the account.
    pub extension: Option<ExtensionId>,
}

impl Directory {
    /// The built-in directory of one account.
    pub fn new(account: AccountId) -> Self {
        Self { account }
    }

    /// The account that the directory is for.
    pub fn account(&self) -> AccountId {
        self.account
    }

    /// Whom a number or SIP user belongs to.
    pub fn resolve(&self, user: &Arc<str>) -> Resolved {
        Resolved { number: user.clone(), extension: is_extension(user).then(|| self.extension_id(user)) }
    }

    /// The device of an extension; the built-in directory gives each extension one.
    pub fn device(&self, extension: ExtensionId) -> DeviceId {
        DeviceId::new(self.decimal("device", &extension.as_u64().to_be_bytes()))
    }

    fn extension_id(&self, user: &str) -> ExtensionId {
        ExtensionId::new(self.decimal("extension", user.to_lowercase().as_bytes()))
    }

    /// Twelve to thirteen digits that end with the suffix of the account.
    fn decimal(&self, purpose: &str, bytes: &[u8]) -> u64 {
        let hash = IdHash::new(purpose).number(self.account.as_u64()).part(bytes).u64();
        (100_000_000 + hash % 9_900_000_000) * 1000 + self.account.suffix()
    }
}

/// Whether the built-in directory takes a user part for an extension.
fn is_extension(user: &str) -> bool {
    let dialled = |c: char| c.is_ascii_digit() || matches!(c, '*' | '#' | '+' | '-' | '.' | '(' | ')' | ' ');
    if user.is_empty() || user.eq_ignore_ascii_case("anonymous") || user.eq_ignore_ascii_case("unknown") {
        return false;
    }
    if user.chars().all(dialled) {
        return user.starts_with(|c: char| c.is_ascii_digit())
            && user.len() <= SHORT_NUMBER_DIGITS_MAX
            && user.chars().all(|c| c.is_ascii_digit());
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_numbers_and_alphanumeric_users_are_extensions_and_the_rest_is_outside() {
        for inside in ["101", "7", "123456", "alice", "bob.smith", "line-7", "Ann", "0"] {
            assert!(is_extension(inside), "{inside}");
        }
        for outside in [
            "+14155550123",
            "14155550123",
            "4155550",
            "anonymous",
            "Anonymous",
            "",
            "*72",
            "#31#101",
            "(415) 555",
        ] {
            assert!(!is_extension(outside), "{outside}");
        }
    }

    #[test]
    fn ids_are_stable_and_end_with_the_suffix_of_the_account() {
        let directory = Directory::new(AccountId::new(310_001_016));
        let ann = directory.resolve(&Arc::from("101")).extension.expect("a short number");
        assert_eq!(ann.as_u64() % 1000, 16);
        assert_eq!(directory.resolve(&Arc::from("101")).extension, Some(ann));
        assert_ne!(Directory::new(AccountId::new(1)).resolve(&Arc::from("101")).extension, Some(ann));
    }
}
