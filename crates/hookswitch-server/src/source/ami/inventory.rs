//! What a switch says of its own phones, mailboxes, queues and parking lots. It fills what the directory file
//! leaves out, and changes nothing that the file says.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use hookswitch_core::directory::Directory;
use hookswitch_signal::ami::Message;
use toml_edit::{ArrayOfTables, DocumentMut, Item, Table, value};

/// The most entries of a kind that are taken from a switch.
const ENTRIES_MAX: usize = 100_000;

/// The longest number of an extension.
const NUMBER_DIGITS_MAX: usize = 8;

/// What a switch has said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Inventory {
    endpoints: BTreeSet<String>,
    /// Numbers, and the endpoint that each rings.
    hints: BTreeMap<String, String>,
    /// Numbers of mailboxes, and whose they are.
    mailboxes: BTreeMap<String, String>,
    queues: BTreeSet<String>,
    /// The first and the last slot of each parking lot.
    lots: BTreeSet<(String, String)>,
}

impl Inventory {
    /// The questions whose answers it is made of, beside that about queues, which is asked anyway.
    pub(super) const QUESTIONS: [&str; 4] =
        ["PJSIPShowEndpoints", "ExtensionStateList", "VoicemailUsersList", "Parkinglots"];

    /// Takes a message if it is part of an answer.
    pub(super) fn take(&mut self, message: &Message<'_>) {
        let text = |key| message.value(key).map(|value| String::from_utf8_lossy(value).into_owned());
        match message.event() {
            Some(b"EndpointList") if self.endpoints.len() < ENTRIES_MAX => {
                self.endpoints.extend(text("ObjectName"));
            }
            Some(b"ExtensionStatus") if self.hints.len() < ENTRIES_MAX => {
                let hint = text("Hint").unwrap_or_default();
                // The first device of several is whose number it is.
                let device = hint.split('&').next().unwrap_or_default();
                if let (Some(number), Some(endpoint)) = (text("Exten"), device.strip_prefix("PJSIP/")) {
                    self.hints.insert(number, endpoint.to_owned());
                }
            }
            Some(b"VoicemailUserEntry") if self.mailboxes.len() < ENTRIES_MAX => {
                if let Some(number) = text("VoicemailBox") {
                    self.mailboxes.insert(number, text("Fullname").unwrap_or_default());
                }
            }
            Some(b"QueueParams") if self.queues.len() < ENTRIES_MAX => self.queues.extend(text("Queue")),
            Some(b"Parkinglot") if self.lots.len() < ENTRIES_MAX => {
                self.lots.extend(text("StartSpace").zip(text("StopSpace")));
            }
            _ => {}
        }
    }

    /// The text of a directory file with what it leaves out of an account.
    ///
    /// # Errors
    /// If the text, or what comes of it, is no directory.
    pub(crate) fn fill(&self, directory: &str, account: u64) -> anyhow::Result<String> {
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
        self.add_missing(extensions, &trunks);
        for extension in extensions.iter_mut() {
            self.complete(extension);
        }
        let filled = document.to_string();
        Directory::parse(&filled).map_err(|error| anyhow::anyhow!("{error}"))?;
        Ok(filled)
    }

    /// Adds phones and queues whose numbers nobody has.
    fn add_missing(&self, extensions: &mut ArrayOfTables, trunks: &BTreeSet<String>) {
        let known: BTreeSet<String> = extensions
            .iter()
            .filter_map(|extension| Some(extension.get("number")?.as_str()?.to_owned()))
            .collect();
        let mut users = BTreeSet::new();
        for extension in extensions.iter() {
            users.extend(list(extension.get("users")));
        }
        let mut found: BTreeMap<&str, Table> = BTreeMap::new();
        let own = self.endpoints.iter().map(|endpoint| (endpoint, endpoint));
        // A hint says whose number it is; without one a phone is reached by its name.
        for (number, endpoint) in self.hints.iter().chain(own) {
            let taken =
                trunks.contains(endpoint) || users.contains(endpoint) || !self.endpoints.contains(endpoint);
            let under_hint = number == endpoint && self.hints.values().any(|other| other == endpoint);
            let under_hint = under_hint && self.hints.get(number) != Some(endpoint);
            if taken || under_hint || known.contains(number) || !is_number(number) {
                continue;
            }
            let mut table = extension(number);
            if number != endpoint {
                table.insert("users", value(toml_edit::Array::from_iter([endpoint.as_str()])));
            }
            found.entry(number).or_insert(table);
        }
        for queue in self.queues.iter().filter(|queue| is_number(queue) && !known.contains(*queue)) {
            let mut table = extension(queue);
            table.insert("kind", value("queue"));
            found.entry(queue).or_insert(table);
        }
        for table in found.into_values() {
            extensions.push(table);
        }
    }

    /// Gives an extension what it does not say: the name and the mailbox, and the slots of a place to park.
    fn complete(&self, extension: &mut Table) {
        let number = extension.get("number").and_then(Item::as_str).unwrap_or_default().to_owned();
        let kind = extension.get("kind").and_then(Item::as_str).unwrap_or("user").to_owned();
        if let Some(name) = self.mailboxes.get(&number).filter(|_| kind == "user") {
            if !name.is_empty() && !extension.contains_key("name") {
                extension.insert("name", value(name));
            }
            if !extension.contains_key("mailbox") {
                extension.insert("mailbox", value(true));
            }
        }
        if kind == "park" && !extension.contains_key("slots") && !self.lots.is_empty() {
            let slots = self.lots.iter().map(|(first, last)| format!("{first}-{last}"));
            extension.insert("slots", value(slots.collect::<toml_edit::Array>()));
        }
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
        let mut inventory = Inventory::default();
        for text in [
            "Event: EndpointList\r\nObjectName: 101\r\n",
            "Event: EndpointList\r\nObjectName: 103\r\n",
            "Event: EndpointList\r\nObjectName: desk-4\r\n",
            "Event: EndpointList\r\nObjectName: desk-5\r\n",
            "Event: EndpointList\r\nObjectName: 4711\r\n",
            "Event: EndpointList\r\nObjectName: carrier\r\n",
            "Event: ExtensionStatus\r\nExten: 104\r\nHint: PJSIP/desk-4&Custom:x\r\n",
            "Event: ExtensionStatus\r\nExten: 205\r\nHint: PJSIP/desk-5\r\n",
            "Event: ExtensionStatus\r\nExten: 900\r\nHint: Custom:night\r\n",
            "Event: VoicemailUserEntry\r\nVoicemailBox: 101\r\nFullname: Ann of the switch\r\n",
            "Event: VoicemailUserEntry\r\nVoicemailBox: 102\r\nFullname: Bo \"B\" Roy\r\n",
            "Event: QueueParams\r\nQueue: 620\r\n",
            "Event: QueueParams\r\nQueue: support\r\n",
            "Event: Parkinglot\r\nName: default\r\nStartSpace: 701\r\nStopSpace: 709\r\n",
            "Event: Hangup\r\nChannel: PJSIP/999-1\r\n",
            "Event: EndpointList\r\n",
        ] {
            inventory.take(&Message::new(text.as_bytes()));
        }
        inventory
    }

    #[test]
    fn what_the_file_leaves_out_is_filled_and_what_it_says_stays() {
        let filled = inventory().fill(FILE, 7).expect("a directory");
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
        assert_eq!(inventory().fill(&filled, 7).expect("a directory"), filled, "once is enough");
    }

    #[test]
    fn a_file_that_says_nothing_of_the_account_stays_as_it_is() {
        assert_eq!(inventory().fill(FILE, 8).expect("a directory"), FILE);
        assert!(inventory().fill("not = [toml", 7).is_err());
        assert_eq!(Inventory::default().fill(FILE, 7).expect("a directory"), FILE);
    }
}
