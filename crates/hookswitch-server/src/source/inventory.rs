//! Phones, mailboxes, queues and parking lots of a switch, as it lists them itself. They fill what the directory
//! file leaves out, and change nothing that the file says.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use hookswitch_core::directory::Directory;
use hookswitch_signal::switch::Inventory;
use toml_edit::{ArrayOfTables, DocumentMut, Item, Table, value};

/// The longest number of an extension.
const NUMBER_DIGITS_MAX: usize = 8;

/// Writes the text of a directory file with what it leaves out of an account.
///
/// # Errors
/// If the text, or what comes of it, is no directory.
pub(crate) fn fill(inventory: &Inventory, directory: &str, account: u64) -> anyhow::Result<String> {
    let mut document: DocumentMut = directory.parse().context("the directory file is no TOML")?;
    let accounts = document.get_mut("account").and_then(Item::as_array_of_tables_mut);
    let is_it =
        |table: &&mut Table| table.get("id").and_then(Item::as_integer) == i64::try_from(account).ok();
    let Some(table) = accounts.and_then(|accounts| accounts.iter_mut().find(is_it)) else {
        return Ok(directory.to_owned()); // the file says nothing of this account
    };
    let trunks = texts(table.get("trunk"), "endpoints");
    let extensions = table.entry("extension").or_insert(Item::ArrayOfTables(ArrayOfTables::new()));
    let Some(extensions) = extensions.as_array_of_tables_mut() else { return Ok(directory.to_owned()) };
    add_missing(inventory, extensions, &trunks);
    for extension in extensions.iter_mut() {
        complete(inventory, extension);
    }
    let filled = document.to_string();
    Directory::parse(&filled).map_err(|error| anyhow::anyhow!("{error}"))?;
    Ok(filled)
}

/// Adds phones and queues whose numbers nobody has.
fn add_missing(inventory: &Inventory, extensions: &mut ArrayOfTables, trunks: &BTreeSet<String>) {
    let known: BTreeSet<String> = extensions
        .iter()
        .filter_map(|extension| Some(extension.get("number")?.as_str()?.to_owned()))
        .collect();
    let mut users = BTreeSet::new();
    for extension in extensions.iter() {
        users.extend(list(extension.get("users")));
    }
    let mut found: BTreeMap<&str, Table> = BTreeMap::new();
    let own = inventory.endpoints.iter().map(|endpoint| (endpoint, endpoint));
    // A hint says whose number it is; without one a phone is reached by its name.
    for (number, endpoint) in inventory.hints.iter().chain(own) {
        let taken =
            trunks.contains(endpoint) || users.contains(endpoint) || !inventory.endpoints.contains(endpoint);
        let under_hint = number == endpoint && inventory.hints.values().any(|other| other == endpoint);
        let under_hint = under_hint && inventory.hints.get(number) != Some(endpoint);
        if taken || under_hint || known.contains(number) || !is_number(number) {
            continue;
        }
        let mut table = extension(number);
        if number != endpoint {
            table.insert("users", value(toml_edit::Array::from_iter([endpoint.as_str()])));
        }
        found.entry(number).or_insert(table);
    }
    for queue in inventory.queues.iter().filter(|queue| is_number(queue) && !known.contains(*queue)) {
        let mut table = extension(queue);
        table.insert("kind", value("queue"));
        found.entry(queue).or_insert(table);
    }
    for table in found.into_values() {
        extensions.push(table);
    }
}

/// Gives an extension what it does not say: the name and the mailbox, and the slots of a place to park.
fn complete(inventory: &Inventory, extension: &mut Table) {
    let number = extension.get("number").and_then(Item::as_str).unwrap_or_default().to_owned();
    let kind = extension.get("kind").and_then(Item::as_str).unwrap_or("user").to_owned();
    if let Some(name) = inventory.mailboxes.get(&number).filter(|_| kind == "user") {
        if !name.is_empty() && !extension.contains_key("name") {
            extension.insert("name", value(name));
        }
        if !extension.contains_key("mailbox") {
            extension.insert("mailbox", value(true));
        }
    }
    if kind == "park" && !extension.contains_key("slots") && !inventory.lots.is_empty() {
        let slots = inventory.lots.iter().map(|(first, last)| format!("{first}-{last}"));
        extension.insert("slots", value(slots.collect::<toml_edit::Array>()));
    }
}

fn extension(number: &str) -> Table {
    let mut table = Table::new();
    table.insert("number", value(number));
    table
}

fn is_number(text: &str) -> bool {
    (1..=NUMBER_DIGITS_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The texts of a list.
fn list(item: Option<&Item>) -> Vec<String> {
    let array = item.and_then(Item::as_array);
    array.into_iter().flatten().filter_map(|text| Some(text.as_str()?.to_owned())).collect()
}

/// The texts of the lists under a key of some tables.
fn texts(tables: Option<&Item>, key: &str) -> BTreeSet<String> {
    let tables = tables.and_then(Item::as_array_of_tables);
    tables.into_iter().flatten().flat_map(|table| list(table.get(key))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"# By hand.
[[account]]
id = 7
[[account.extension]]
number = "101"
name = "Ann Lee"
[[account.extension]]
number = "102"
mailbox = false
[[account.extension]]
number = "700"
kind = "park"
[[account.extension]]
number = "105"
users = ["desk-5"]
[[account.trunk]]
endpoints = ["4711"]
"#;

    fn inventory() -> Inventory {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let pairs = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|&(one, other)| (one.to_owned(), other.to_owned())).collect()
        };
        Inventory {
            endpoints: texts(&["101", "103", "desk-4", "desk-5", "4711", "carrier"]),
            hints: pairs(&[("104", "desk-4"), ("205", "desk-5")]),
            mailboxes: pairs(&[("101", "Ann of the switch"), ("102", "Bo \"B\" Roy")]),
            queues: texts(&["620", "support"]),
            lots: [("701".to_owned(), "709".to_owned())].into(),
        }
    }

    #[test]
    fn what_the_file_leaves_out_is_filled_and_what_it_says_stays() {
        let filled = fill(&inventory(), FILE, 7).expect("a directory");
        let added = r#"
[[account.extension]]
number = "103"
[[account.extension]]
number = "104"
users = ["desk-4"]
[[account.extension]]
number = "620"
kind = "queue"
"#;
        let squeezed = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(squeezed(&filled).contains(&squeezed(added)), "{filled}");
        assert!(filled.contains("name = \"Ann Lee\"\nmailbox = true"), "{filled}");
        assert!(filled.contains("mailbox = false\nname = 'Bo \"B\" Roy'"), "{filled}");
        assert!(filled.contains("slots = [\"701-709\"]"), "{filled}");
        assert!(filled.starts_with("# By hand.\n"));
        for nobody in ["4711\"\n[", "205", "carrier", "support", "900"] {
            assert!(!filled.contains(&format!("number = \"{nobody}")), "{nobody}: {filled}");
        }
        assert_eq!(fill(&inventory(), &filled, 7).expect("a directory"), filled, "once is enough");
    }

    #[test]
    fn a_file_that_says_nothing_of_the_account_stays_as_it_is() {
        assert_eq!(fill(&inventory(), FILE, 8).expect("a directory"), FILE);
        assert!(fill(&inventory(), "not = [toml", 7).is_err());
        assert_eq!(fill(&Inventory::default(), FILE, 7).expect("a directory"), FILE);
    }
}
