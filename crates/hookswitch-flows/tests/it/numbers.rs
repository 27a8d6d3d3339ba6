//! Numbers of all countries as they are dialled, read by an account that says its country alone.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use hookswitch_core::directory::Directory;
use hookswitch_flows::ladder::{Ladder, run_with};
use hookswitch_model::number::{Country, DialPlan, DialSettings, Form};
use lzma_rust2::XzReader;

const FORMS: [Form; 3] = [Form::Network, Form::Caller, Form::Dialled];

/// A number that is as short as those of extensions may be left as it is dialled.
const SHORT_DIGITS_MAX: usize = 6;

/// A row of the table: a number as it is dialled in a country; its README.md has what stands in it.
struct Dialled<'a> {
    country: &'a str,
    kind: &'a str,
    form: &'a str,
    digits: &'a str,
    e164: &'a str,
}

#[test]
fn a_fixed_or_mobile_number_is_told_in_every_country() {
    let table = table();
    let mut countries = BTreeSet::new();
    let mut wrong = BTreeSet::new();
    for row in rows(&table).filter(|row| row.form == "national" && row.is_fixed_or_mobile()) {
        countries.insert(row.country);
        for form in FORMS {
            let read = row.read(form);
            if read.as_deref() != Some(row.e164) && row.digits.len() > SHORT_DIGITS_MAX {
                wrong.insert(format!("{} {} is {}, read as {read:?}", row.country, row.digits, row.e164));
            }
        }
    }
    assert_eq!(countries.len(), 245);
    assert_eq!(wrong, BTreeSet::new());
}

#[test]
fn no_number_is_taken_for_another_one() {
    let table = table();
    let mut wrong = BTreeSet::new();
    let mut forms: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for row in rows(&table) {
        for form in FORMS {
            let (all, right) = forms.entry(row.form).or_default();
            *all += 1;
            match row.read(form) {
                Some(read) if read == row.e164 => *right += 1,
                Some(read) => {
                    wrong.insert(format!("{} {} is {}, read as {read}", row.country, row.digits, row.e164));
                }
                None => {}
            }
        }
    }
    assert_eq!(wrong, BTreeSet::new());
    // Without a prefix a number may be a local one, and behind the country's code alone another one.
    for (form, at_least) in
        [("abroad", 99), ("carrier", 99), ("national", 99), ("whole", 90), ("with-code", 95)]
    {
        let (all, right) = forms[form];
        assert!(right * 100 >= all * at_least, "{form}: {right} of {all}");
    }
}

impl Dialled<'_> {
    fn is_fixed_or_mobile(&self) -> bool {
        ["fixed_line", "mobile"].contains(&self.kind)
    }

    fn read(&self, form: Form) -> Option<String> {
        let country = Country::find(self.country);
        assert!(country.is_some(), "{}", self.country);
        let plan = DialPlan::new(&DialSettings { country, ..DialSettings::default() });
        plan.read(self.digits, form).map(|number| number.to_string())
    }
}

fn table() -> String {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/numbers/dialled.tsv.xz");
    let packed = std::fs::read(file).unwrap_or_else(|error| panic!("{file}: {error}"));
    let mut table = String::new();
    XzReader::new(&*packed, false).read_to_string(&mut table).expect("a table");
    table
}

fn rows(table: &str) -> impl Iterator<Item = Dialled<'_>> {
    table.lines().map(|row| {
        let cells: Vec<&str> = row.split('\t').collect();
        let &[country, kind, form, digits, e164] = &cells[..] else { panic!("{row}") };
        Dialled { country, kind, form, digits, e164 }
    })
}

const NORTH: &str = r#"
[[account]]
id = 310001016
country = "DE"
[[account.extension]]
number = "101"
[[account.trunk]]
addresses = ["10.0.200.30"]
"#;

#[test]
fn a_number_is_told_however_its_address_is_written() {
    for (user, number) in [
        ("3023125000;phone-context=+49", "+493023125000"),
        ("03023125000;phone-context=+49", "+493023125000"),
        ("23125000;phone-context=+49-30", "+493023125000"),
        ("23125000;phone-context=%2B4930", "+493023125000"),
        ("2079460018;phone-context=+44", "+442079460018"),
        ("02079460018;phone-context=+44", "+442079460018"),
        ("112;phone-context=+49", "112"),
        ("911;phone-context=+1", "911"),
        ("101;phone-context=nord.example", "101"),
        ("+49(0)3023125000", "+493023125000"),
        ("0049(0)3023125000", "+493023125000"),
        ("+00493023125000", "+493023125000"),
        ("030%2F23125000", "+493023125000"),
        ("030/23125000", "+493023125000"),
        ("+49%C2%A030%C2%A023125000", "+493023125000"),
        ("03023125000%23", "+493023125000"),
        ("03023125000p123", "+493023125000"),
        ("*31%2303023125000", "+493023125000"),
        ("+49112", "+49112"),
        ("+4930123456789012", "+4930123456789012"),
    ] {
        let flow = format!("0.000 alice > pbx INVITE {user}\n0.600 pbx > alice 486");
        let flow = Ladder::with_domain(&flow, "10.0.200.20");
        let events = run_with(&Directory::parse(NORTH).expect("a directory"), &flow.packets);
        let dialled = events.first().and_then(|event| event.party.to.phone_number.as_deref());
        assert_eq!(dialled, Some(number), "{user}");
    }
}
