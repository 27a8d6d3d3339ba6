//! The directory with other names, and with nobody in it who takes no part.

use std::collections::BTreeSet;

use anyhow::Context as _;
use toml::{Table, Value};

use super::Anonymiser;

/// The most numbers of a range of slots.
const SLOTS_MAX: u64 = 1000;

fn list<'a>(table: &'a Table, key: &str) -> impl Iterator<Item = &'a Table> + use<'a> {
    table.get(key).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_table)
}

/// The texts of a list, or the one.
fn texts(table: &Table, key: &str) -> Vec<String> {
    let values = match table.get(key) {
        Some(Value::Array(values)) => &values[..],
        Some(value) => std::slice::from_ref(value),
        None => &[],
    };
    values.iter().filter_map(|value| value.as_str().map(str::to_owned)).collect()
}

/// Returns what feature codes begin with.
pub(super) fn codes(text: &str) -> Vec<String> {
    let table: Table = toml::from_str(text).unwrap_or_default();
    list(&table, "account").flat_map(|account| texts(account, "codes")).collect()
}

/// The digits of a number as it may be written.
fn compact(number: &str) -> String {
    number.chars().filter(|character| character.is_ascii_digit() || *character == '+').collect()
}

/// The slots of a range, or the one.
fn slots(text: &str) -> Vec<String> {
    let range = text.split_once('-').and_then(|(first, last)| {
        let (first_number, last_number) = (first.parse::<u64>().ok()?, last.parse::<u64>().ok()?);
        (last_number.checked_sub(first_number)? < SLOTS_MAX).then_some((
            first.len(),
            first_number,
            last_number,
        ))
    });
    match range {
        Some((width, first, last)) => (first..=last).map(|slot| format!("{slot:0width$}")).collect(),
        None => vec![text.to_owned()],
    }
}

impl Anonymiser {
    /// Returns `true` if a number or a user takes part in the calls.
    fn takes_part(&self, text: &str) -> bool {
        let text = compact_or_word(text);
        let digits = text.strip_prefix('+').unwrap_or(&text);
        let end = &digits[digits.len().saturating_sub(super::SUBSCRIBER_DIGITS)..];
        let known = |text: &str| {
            self.numbers.contains_key(text) || self.words.contains_key(text) || self.originals.contains(text)
        };
        known(digits) || known(&text) || (digits.len() >= super::SUBSCRIBER_DIGITS && known(end))
    }
}

/// A number in its digits, or a user as it is.
fn compact_or_word(text: &str) -> String {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit() || b"+ -./()".contains(&byte));
    if is_number { compact(text) } else { text.to_owned() }
}

/// A directory with some of its accounts alone.
///
/// # Errors
/// If it is none.
pub(in crate::capture) fn of_accounts(text: &str, wanted: &BTreeSet<u64>) -> anyhow::Result<String> {
    let mut table: Table = toml::from_str(text).context("the directory in use cannot be read")?;
    if let Some(accounts) = table.get_mut("account").and_then(Value::as_array_mut) {
        accounts.retain(|account| {
            let id = account.get("id").and_then(Value::as_integer).map(i64::cast_unsigned);
            id.is_some_and(|id| wanted.contains(&id))
        });
    }
    Ok(toml::to_string(&table)?)
}

/// Writes a directory anew.
///
/// # Errors
/// If it is none.
pub(super) fn rewrite(all: &mut Anonymiser, text: &str) -> anyhow::Result<String> {
    let mut table: Table = toml::from_str(text).context("the directory in use cannot be read")?;
    let accounts = table.get_mut("account").and_then(Value::as_array_mut).into_iter().flatten();
    for account in accounts.filter_map(Value::as_table_mut) {
        rename(account, "name", |name| all.name(name));
        replace(account, "domains", |domain| vec![all.host(domain)]);
        for trunk in array(account, "trunk") {
            rename(trunk, "name", |name| all.word(name));
            replace(trunk, "addresses", |address| vec![self::address(all, address)]);
            replace(trunk, "endpoints", |endpoint| vec![all.user(endpoint)]);
        }
        if let Some(extensions) = account.get_mut("extension").and_then(Value::as_array_mut) {
            extensions.retain(|extension| extension.as_table().is_some_and(|it| is_concerned(all, it)));
        }
        for extension in array(account, "extension") {
            rename(extension, "number", |number| all.user(number));
            rename(extension, "name", |name| all.name(name));
            replace(extension, "numbers", |number| vec![all.user(&compact(number))]);
            replace(extension, "users", |user| vec![all.user(user)]);
            replace(extension, "slots", |slot| slots(slot).iter().map(|slot| all.user(slot)).collect());
        }
    }
    Ok(toml::to_string(&table)?)
}

/// Returns `true` if an extension takes part in the calls.
fn is_concerned(all: &Anonymiser, extension: &Table) -> bool {
    let own = extension.get("number").and_then(Value::as_str).map(str::to_owned);
    let slots = texts(extension, "slots").into_iter().flat_map(|slot| slots(&slot));
    let numbers = texts(extension, "numbers").into_iter().chain(texts(extension, "users"));
    own.into_iter().chain(numbers).chain(slots).any(|text| all.takes_part(&text))
}

fn array<'a>(table: &'a mut Table, key: &str) -> impl Iterator<Item = &'a mut Table> + use<'a> {
    let values = table.get_mut(key).and_then(Value::as_array_mut);
    values.into_iter().flatten().filter_map(Value::as_table_mut)
}

fn rename(table: &mut Table, key: &str, make: impl FnOnce(&str) -> String) {
    if let Some(Value::String(text)) = table.get_mut(key) {
        *text = make(text);
    }
}

fn replace(table: &mut Table, key: &str, mut make: impl FnMut(&str) -> Vec<String>) {
    if let Some(value) = table.get_mut(key) {
        // One text may stand for a list of one.
        let values = match &*value {
            Value::Array(values) => &values[..],
            one => std::slice::from_ref(one),
        };
        let made = values.iter().filter_map(Value::as_str).flat_map(&mut make).map(Value::String).collect();
        *value = Value::Array(made);
    }
}

/// An address, with a port or a network.
fn address(all: &mut Anonymiser, text: &str) -> String {
    match text.split_once('/') {
        Some((host, length)) => format!("{}/{length}", all.host(host)),
        None => all.host_port(text),
    }
}
