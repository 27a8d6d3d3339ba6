//! The directory file: what may stand in it, and what is said about mistakes.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::ops::{Range, RangeInclusive};
use std::sync::Arc;

use hookswitch_model::number::{Country, DialPlan, DialSettings, Form};
use hookswitch_model::{AccountId, DeviceId, ExtensionId};
use serde::Deserialize;
use toml::Spanned;

use super::account::{Account, Extension, Kind};
use super::{Directory, Domains, is_domain};

/// The most slots that one range can stand for.
const SLOTS_MAX: u64 = 1000;

/// Number of digits that a national number can have: E.164 has 15 with the country code, and who has fewer has
/// no number of their own.
const NATIONAL_DIGITS: RangeInclusive<u8> = 4..=14;

/// What is wrong with a directory file, where, and the fix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryError {
    /// The line, from 1.
    pub line: usize,
    /// A sentence that names the thing and the fix.
    pub message: String,
}

impl fmt::Display for DirectoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

impl std::error::Error for DirectoryError {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    account: Vec<AccountTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AccountTable {
    id: Spanned<u64>,
    name: Option<String>,
    country: Option<Spanned<String>>,
    country_code: Option<Spanned<String>>,
    international_prefix: Option<Spanned<String>>,
    national_prefix: Option<Spanned<String>>,
    national_digits: Option<Spanned<toml::Value>>,
    outside_prefix: Option<Spanned<String>>,
    #[serde(default)]
    domains: Vec<Spanned<String>>,
    #[serde(default)]
    codes: Vec<Spanned<String>>,
    #[serde(default)]
    extension: Vec<ExtensionTable>,
    #[serde(default)]
    trunk: Vec<TrunkTable>,
    #[serde(default)]
    switch: Vec<SwitchTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExtensionTable {
    number: Spanned<String>,
    id: Option<Spanned<u64>>,
    name: Option<String>,
    #[serde(default)]
    kind: Kind,
    #[serde(default)]
    numbers: Vec<Spanned<String>>,
    #[serde(default)]
    users: Vec<Spanned<String>>,
    device: Option<Spanned<u64>>,
    #[serde(default)]
    mailbox: bool,
    slots: Option<Spanned<Slots>>,
}

/// Slots of a place to park: one text, or a list.
#[derive(Deserialize)]
#[serde(untagged, expecting = "slots are a text, such as \"701-709\", or a list of them")]
enum Slots {
    One(String),
    Several(Vec<String>),
}

impl Slots {
    fn as_slice(&self) -> &[String] {
        match self {
            Self::One(slot) => std::slice::from_ref(slot),
            Self::Several(slots) => slots,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TrunkTable {
    #[expect(dead_code, reason = "for people who read the file")]
    name: Option<String>,
    #[serde(default)]
    addresses: Vec<Spanned<String>>,
    #[serde(default)]
    endpoints: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SwitchTable {
    #[expect(dead_code, reason = "for people who read the file")]
    name: Option<String>,
    addresses: Vec<Spanned<String>>,
}

/// The text, to find the line of a place in it.
struct Source<'a>(&'a str);

impl Source<'_> {
    fn error(&self, at: Range<usize>, message: impl Into<String>) -> DirectoryError {
        let before = self.0.get(..at.start).unwrap_or(self.0);
        DirectoryError { line: before.matches('\n').count() + 1, message: message.into() }
    }
}

pub(super) fn parse(text: &str) -> Result<Directory, DirectoryError> {
    let source = Source(text);
    let file: File = toml::from_str(text).map_err(|error| {
        let at = error.span().unwrap_or(0..0);
        let said = error.message().trim_end_matches('.');
        let said = said.replace("expected u64", "expected a whole number without quotes");
        source.error(at, format!("{said}; docs/directory.md shows every key"))
    })?;
    if file.account.is_empty() {
        return Err(source.error(0..0, "there is no account; begin one with [[account]] and its id"));
    }
    let mut directory = Directory::empty();
    directory.by_domain = Arc::new(domains(&file.account, &source)?);
    for table in file.account {
        account(&mut directory, table, &source)?;
    }
    Ok(directory)
}

/// Reads whose each domain is.
fn domains(accounts: &[AccountTable], source: &Source<'_>) -> Result<Domains, DirectoryError> {
    let mut domains = Domains::default();
    for table in accounts {
        for domain in &table.domains {
            let name = domain.get_ref().to_ascii_lowercase();
            if name.is_empty() || !is_domain(&name) {
                let message =
                    format!("domain {name:?} is no domain name; addresses belong to a [[account.trunk]]");
                return Err(source.error(domain.span(), message));
            }
            if domains.0.insert(name.clone(), AccountId::new(*table.id.get_ref())).is_some() {
                let message = format!("domain {name:?} is named twice; a domain belongs to one account");
                return Err(source.error(domain.span(), message));
            }
        }
    }
    Ok(domains)
}

fn account(
    directory: &mut Directory,
    table: AccountTable,
    source: &Source<'_>,
) -> Result<(), DirectoryError> {
    let number = *table.id.get_ref();
    let id = AccountId::new(number);
    if number == 0 || directory.accounts.contains_key(&id) {
        let message =
            format!("account id {number} is 0 or used before; give each account a number of its own");
        return Err(source.error(table.id.span(), message));
    }
    let plan = dial_plan(&table, source)?;
    let mut codes = Vec::new();
    for code in &table.codes {
        if !is_dialled(code.get_ref()) {
            let message = format!("code {:?} cannot be dialled; use digits, * and #", code.get_ref());
            return Err(source.error(code.span(), message));
        }
        codes.push(code.get_ref().as_str().into());
    }
    let mut account = Account::listed(id, table.name.map(Arc::from), plan, codes);
    account.country = table.country.as_ref().and_then(|letters| Country::find(letters.get_ref()));
    account.has_domains = !table.domains.is_empty();
    account.domains = directory.by_domain.clone();
    for table in table.extension {
        extension(directory, &mut account, table, source)?;
    }
    for endpoint in table.trunk.iter().flat_map(|trunk| &trunk.endpoints) {
        account.trunk_endpoints.insert(endpoint.clone());
        let owner = directory.by_trunk_endpoint.entry(endpoint.clone()).or_insert(Some(id));
        *owner = owner.filter(|&owner| owner == id);
    }
    for address in table.trunk.iter().flat_map(|trunk| &trunk.addresses) {
        let parsed = socket_address(address.get_ref()).ok_or_else(|| {
            let message = format!(
                "trunk address {:?} is no IP address; write it as \"192.0.2.1\" or \"192.0.2.1:5060\"",
                address.get_ref()
            );
            source.error(address.span(), message)
        })?;
        if directory.trunks.insert(parsed, id).is_some_and(|other| other != id) {
            let message = format!("trunk address {:?} belongs to another account already", address.get_ref());
            return Err(source.error(address.span(), message));
        }
        account.trunks.push(parsed);
    }
    for switch in &table.switch {
        let mut first = None;
        for address in &switch.addresses {
            let parsed = socket_address(address.get_ref()).ok_or_else(|| {
                let message = format!(
                    "switch address {:?} is no IP address; write it as \"192.0.2.1\" or \"192.0.2.1:5060\"",
                    address.get_ref()
                );
                source.error(address.span(), message)
            })?;
            if account.switches.iter().any(|&(known, _)| known == parsed) {
                let message = format!(
                    "switch address {:?} is named twice; it belongs to one switch",
                    address.get_ref()
                );
                return Err(source.error(address.span(), message));
            }
            account.switches.push((parsed, *first.get_or_insert(parsed)));
        }
    }
    directory.add(account);
    Ok(())
}

fn dial_plan(table: &AccountTable, source: &Source<'_>) -> Result<DialPlan, DirectoryError> {
    let country = table.country.as_ref().map(|letters| {
        Country::find(letters.get_ref()).ok_or_else(|| {
            let message = format!(
                "country {:?} is not known; write its two letters in ISO 3166-1, such as \"ES\"",
                letters.get_ref()
            );
            source.error(letters.span(), message)
        })
    });
    let national_digits = national_digits(table, source)?;
    Ok(DialPlan::new(&DialSettings {
        country: country.transpose()?,
        country_code: dialled("country_code", table.country_code.as_ref(), source)?,
        international_prefix: dialled("international_prefix", table.international_prefix.as_ref(), source)?,
        national_prefix: dialled("national_prefix", table.national_prefix.as_ref(), source)?,
        national_digits: &national_digits,
        outside_prefix: dialled("outside_prefix", table.outside_prefix.as_ref(), source)?,
    }))
}

/// Reads a setting that is dialled, or empty.
fn dialled<'a>(
    key: &str,
    value: Option<&'a Spanned<String>>,
    source: &Source<'_>,
) -> Result<Option<&'a str>, DirectoryError> {
    let Some(value) = value else { return Ok(None) };
    if !value.get_ref().is_empty() && !is_dialled(value.get_ref()) {
        let message = format!("{key} {:?} cannot be dialled; give digits", value.get_ref());
        return Err(source.error(value.span(), message));
    }
    Ok(Some(value.get_ref()))
}

/// Reads how many digits national numbers have: a number, or several.
fn national_digits(table: &AccountTable, source: &Source<'_>) -> Result<Vec<u8>, DirectoryError> {
    let Some(setting) = &table.national_digits else { return Ok(Vec::new()) };
    let wrong = |what: &toml::Value| {
        let message = format!(
            "national_digits {what} is no number of digits; write a whole number from {} to {}, or several \
             as [9, 10]",
            NATIONAL_DIGITS.start(),
            NATIONAL_DIGITS.end()
        );
        source.error(setting.span(), message)
    };
    if table.country.is_none() && table.country_code.is_none() {
        let message = "national_digits says nothing without a country; set country or country_code";
        return Err(source.error(setting.span(), message));
    }
    let several = match setting.get_ref() {
        toml::Value::Array(several) if !several.is_empty() => several.as_slice(),
        one => std::slice::from_ref(one),
    };
    let read = |value: &toml::Value| {
        let digits = value.as_integer().and_then(|digits| u8::try_from(digits).ok());
        digits.filter(|digits| NATIONAL_DIGITS.contains(digits)).ok_or_else(|| wrong(value))
    };
    several.iter().map(read).collect()
}

fn extension(
    directory: &mut Directory,
    account: &mut Account,
    table: ExtensionTable,
    source: &Source<'_>,
) -> Result<(), DirectoryError> {
    let number = table.number.get_ref();
    if number.is_empty() || number.chars().any(char::is_whitespace) {
        let message = format!("extension number {number:?} is none; give the digits that are dialled");
        return Err(source.error(table.number.span(), message));
    }
    let mut names: Vec<Arc<str>> = vec![Arc::from(number.to_lowercase())];
    let mut numbers: Vec<Arc<str>> = Vec::new();
    for direct in &table.numbers {
        let e164 = account.e164(direct.get_ref(), Form::Network).ok_or_else(|| {
            let message = format!(
                "number {:?} cannot be understood; write it in E.164, such as \"+14155550123\"",
                direct.get_ref()
            );
            source.error(direct.span(), message)
        })?;
        if directory.by_number.insert(e164, account.id()).is_some() {
            let message = format!("number {e164} is given twice; a number belongs to one extension");
            return Err(source.error(direct.span(), message));
        }
        numbers.push(Arc::from(e164.as_str()));
    }
    names.extend(numbers.iter().cloned());
    names.extend(table.users.iter().map(|user| Arc::from(user.get_ref().to_lowercase())));
    let listed = table.slots.as_ref().map_or(&[][..], |slots| slots.get_ref().as_slice());
    for slot in listed {
        let error = |message| source.error(table.slots.as_ref().map_or(0..0, Spanned::span), message);
        names.extend(slots(slot, table.kind).map_err(error)?);
    }
    names.dedup();
    let id = match &table.id {
        Some(id) if *id.get_ref() == 0 => {
            return Err(
                source.error(id.span(), "extension id 0 is none; give a positive number, or leave it out")
            );
        }
        Some(id) => ExtensionId::new(*id.get_ref()),
        None => account.derived_extension(number),
    };
    let device = match &table.device {
        Some(device) => DeviceId::new(*device.get_ref()),
        None => account.derived_device(id),
    };
    let extension = Extension {
        id,
        device,
        number: Some(Arc::from(number.as_str())),
        phone: table.users.first().map(|user| Arc::from(user.get_ref().as_str())),
        name: table.name.map(Arc::from),
        kind: table.kind,
        numbers,
        mailbox: table.mailbox,
        has_slots: !listed.is_empty(),
    };
    match account.add(extension, &names) {
        None => Ok(()),
        Some(taken) => {
            let message =
                format!("{taken} names two extensions of account {}; each name belongs to one", account.id());
            Err(source.error(table.number.span(), message))
        }
    }
}

/// The numbers of slots in which calls are parked: one, or a range such as `701-709`.
///
/// # Errors
/// If they are none; a sentence that says what to write instead.
fn slots(text: &str, kind: Kind) -> Result<Vec<Arc<str>>, String> {
    if kind != Kind::Park {
        return Err(format!(
            "slots {text:?} belong to an extension of kind \"park\"; set its kind, or leave them out"
        ));
    }
    let Some((first, last)) = text.split_once('-') else {
        return if is_dialled(text) {
            Ok(vec![Arc::from(text)])
        } else {
            Err(format!("slot {text:?} cannot be dialled; write \"701\", or \"701-709\" for several"))
        };
    };
    let range = first.parse::<u64>().ok().zip(last.parse::<u64>().ok());
    let range = range.filter(|&(first, last)| first <= last && last - first < SLOTS_MAX);
    let (from, to) = range.ok_or_else(|| {
        format!("slots {text:?} are no range; write the lower number first, as \"701-709\", and {SLOTS_MAX} at most")
    })?;
    let width = first.len();
    Ok((from..=to).map(|slot| Arc::from(format!("{slot:0width$}"))).collect())
}

fn is_dialled(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'*' | b'#'))
}

/// An address with a port, or one that stands for all ports: port 0.
fn socket_address(text: &str) -> Option<SocketAddr> {
    let address = text.parse().ok();
    address.or_else(|| text.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, 0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"
[[account]]
id = 310001016
name = "North"
country_code = "1"
outside_prefix = "9"
domains = ["north.example"]
codes = ["*8"]

[[account.extension]]
number = "101"
id = 310002016
name = "Ann Lee"
numbers = ["(415) 555-0101"]
users = ["ann", "Phone-7"]
device = 900001016

[[account.extension]]
number = "620"
name = "Support"
kind = "queue"

[[account.trunk]]
name = "carrier"
addresses = ["192.0.2.30", "192.0.2.31:5080"]

[[account]]
id = 420002027
domains = ["south.example"]

[[account.extension]]
number = "101"
name = "Zoe Quill"
"#;

    fn resolve(
        directory: &Directory,
        account: u64,
        user: &str,
        host: Option<&str>,
    ) -> (Option<u64>, String, Option<String>) {
        let account = &directory.accounts[&AccountId::new(account)];
        let resolved = account.resolve(&Arc::from(user), host);
        (
            resolved.extension.map(ExtensionId::as_u64),
            resolved.number.to_string(),
            resolved.name.map(|name| name.to_string()),
        )
    }

    #[test]
    fn an_extension_is_found_by_each_of_its_names() {
        let directory = Directory::parse(FILE).expect("a directory");
        let ann = |number: &str| (Some(310_002_016), number.to_owned(), Some("Ann Lee".to_owned()));
        assert_eq!(resolve(&directory, 310_001_016, "101", None), ann("101"));
        assert_eq!(resolve(&directory, 310_001_016, "ann", Some("north.example")), ann("101"));
        assert_eq!(resolve(&directory, 310_001_016, "phone-7", Some("192.0.2.1")), ann("101"));
        for dialled in ["+14155550101", "4155550101", "14155550101", "914155550101"] {
            assert_eq!(resolve(&directory, 310_001_016, dialled, None), ann("+14155550101"), "{dialled}");
        }
        assert_eq!(
            resolve(&directory, 310_001_016, "914155550199", None),
            (None, "+14155550199".to_owned(), None)
        );
        assert_eq!(resolve(&directory, 310_001_016, "199", None), (None, "199".to_owned(), None));
        assert_eq!(resolve(&directory, 310_001_016, "101", Some("elsewhere.example")).0, None);
        let account = &directory.accounts[&AccountId::new(310_001_016)];
        assert_eq!(account.device(ExtensionId::new(310_002_016)).as_u64(), 900_001_016);
        assert!(account.resolve(&Arc::from("*8102"), None).is_code);
        assert_eq!(account.resolve(&Arc::from("620"), None).kind, Kind::Queue);
    }

    #[test]
    fn a_country_says_how_numbers_are_dialled() {
        let file = FILE
            .replace(
                "country_code = \"1\"\noutside_prefix = \"9\"",
                "country = \"ES\"\noutside_prefix = \"0\"",
            )
            .replace("(415) 555-0101", "912 34 56 78");
        let directory = Directory::parse(&file).expect("a directory");
        let ann = |number: &str| (Some(310_002_016), number.to_owned(), Some("Ann Lee".to_owned()));
        for dialled in ["+34912345678", "912345678", "0912345678", "34912345678", "0034912345678"] {
            assert_eq!(resolve(&directory, 310_001_016, dialled, None), ann("+34912345678"), "{dialled}");
        }
        assert_eq!(resolve(&directory, 310_001_016, "612345678", None).1, "+34612345678");
        assert_eq!(resolve(&directory, 310_001_016, "101", None), ann("101"));
    }

    #[test]
    fn an_extension_is_no_subscriber_of_a_country_with_short_numbers() {
        let file = FILE.replace("country_code = \"1\"\noutside_prefix = \"9\"", "country = \"FO\"");
        let file = file.replace("\"620\"", "\"201234\"").replace("\"(415) 555-0101\"", "");
        let directory = Directory::parse(&file).expect("a directory");
        let account = &directory.accounts[&AccountId::new(310_001_016)];
        let queue = account.resolve(&Arc::from("201234"), None);
        assert_eq!((&*queue.number, queue.kind, queue.internal), ("201234", Kind::Queue, true));
        let outside = account.resolve(&Arc::from("201235"), None);
        assert_eq!((&*outside.number, outside.internal), ("+298201235", false));
    }

    #[test]
    fn lengths_of_national_numbers_are_one_or_several() {
        let with = |setting: &str| {
            FILE.replacen("country_code = \"1\"", setting, 1).replacen("(415) 555-0101", "", 1)
        };
        for setting in
            ["country_code = \"34\"\nnational_digits = 9", "country = \"ES\"\nnational_digits = [8, 9]"]
        {
            let text = with(setting).replace("numbers = [\"\"]", "");
            let directory = Directory::parse(&text).expect(setting);
            assert_eq!(resolve(&directory, 310_001_016, "123456789", None).1, "+34123456789", "{setting}");
        }
    }

    #[test]
    fn accounts_may_have_the_same_extension_numbers() {
        let directory = Directory::parse(FILE).expect("a directory");
        let south = resolve(&directory, 420_002_027, "101", None);
        assert_eq!(south.2.as_deref(), Some("Zoe Quill"));
        assert_ne!(south.0, Some(310_002_016));
        assert!(south.0.is_some_and(|id| id % 1000 == 27));
    }

    #[test]
    fn a_mistake_is_reported_with_its_line_and_the_mend() {
        for (from, to, line, named) in [
            ("name = \"North\"", "nmae = \"North\"", 4, "nmae"),
            ("id = 310001016", "id = \"310001016\"", 3, "a whole number without quotes"),
            ("id = 310001016\nname", "name", 2, "missing field `id`"),
            ("id = 420002027", "id = 310001016", 28, "310001016"),
            ("\"1\"", "\"one\"", 5, "country_code"),
            ("\"9\"", "\"nine\"", 6, "outside_prefix"),
            ("country_code = \"1\"", "country = \"Spain\"", 5, "two letters"),
            ("outside_prefix = \"9\"", "national_digits = 99", 6, "whole number from 4 to 14"),
            ("outside_prefix = \"9\"", "national_digits = [9, \"10\"]", 6, "\"10\""),
            ("outside_prefix = \"9\"", "national_digits = []", 6, "national_digits"),
            ("country_code = \"1\"", "national_digits = 9", 5, "without a country"),
            ("south.example", "north.example", 29, "north.example"),
            ("south.example", "192.0.2.1", 29, "no domain name"),
            ("(415) 555-0101", "555-0101", 14, "E.164"),
            ("number = \"620\"", "number = \"ann\"", 19, "ann"),
            ("kind = \"queue\"", "kind = \"que\"", 21, "unknown variant `que`"),
            ("192.0.2.31:5080", "trunk.example", 25, "trunk.example"),
            (
                "[[account.trunk]]",
                "[[account.switch]]\naddresses = [\"sbc.example\"]\n[[account.trunk]]",
                24,
                "sbc.example",
            ),
            (
                "[[account.trunk]]",
                "[[account.switch]]\naddresses = [\"192.0.2.9\", \"192.0.2.9\"]\n[[account.trunk]]",
                24,
                "named twice",
            ),
            ("[[account.trunk]]", "[[account.trunk", 23, ""),
            ("id = 310002016", "id = 0", 12, "extension id 0"),
            ("\"*8\"", "\"star 8\"", 8, "star 8"),
        ] {
            let error = Directory::parse(&FILE.replacen(from, to, 1)).expect_err(to);
            assert!(error.message.contains(named), "{to}: {error}");
            assert_eq!(error.line, line, "{to}: {error}");
        }
        assert!(Directory::parse("").expect_err("nothing").message.contains("[[account]]"));
    }

    #[test]
    fn slots_are_one_text_or_a_list_of_them() {
        let file = |slots: &str| {
            format!(
                "[[account]]\nid = 7\n[[account.extension]]\nnumber = \"700\"\nkind = \"park\"\nslots = {slots}\n"
            )
        };
        for slots in ["\"701-703\"", "[\"701-703\"]", "[\"701\", \"702-703\"]"] {
            let directory = Directory::parse(&file(slots)).expect(slots);
            let account = directory.accounts().next().expect("an account");
            let found: Vec<u32> = (700..=704).filter(|number| account.is_slot(&number.to_string())).collect();
            assert_eq!(found, [701, 702, 703], "{slots}");
        }
        for (slots, said) in [
            ("\"709-701\"", "line 6: slots \"709-701\" are no range"),
            ("[\"701\", \"x\"]", "line 6: slot \"x\" cannot be dialled"),
            ("701", "slots are a text, such as \"701-709\", or a list of them"),
        ] {
            let error = Directory::parse(&file(slots)).expect_err(slots).to_string();
            assert!(error.contains(said), "{error}");
        }
    }
}
