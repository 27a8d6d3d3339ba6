//! Tests of the account that a call belongs to, as a directory tells.

use hookswitch_core::directory::Directory;
use hookswitch_model::Event;

use hookswitch_flows::ladder::{Ladder, run_with, written};

const DIRECTORY: &str = r#"
[[account]]
id = 310001016
country_code = "1"
outside_prefix = "9"
domains = ["north.example"]
codes = ["72"]
[[account.extension]]
number = "101"
name = "Ann Lee"
[[account.extension]]
number = "102"
name = "Bo Roy"
numbers = ["+14155559002"]
[[account.trunk]]
addresses = ["10.0.200.30"]

[[account]]
id = 420002027
country_code = "49"
domains = ["south.example"]
[[account.extension]]
number = "102"
name = "Zoe Quill"
numbers = ["+493012345678"]
"#;

fn told(flow: &str) -> Vec<Event> {
    let flow = Ladder::with_domain(flow, "10.0.200.20");
    run_with(&Directory::parse(DIRECTORY).expect("a directory"), &flow.packets)
}

#[test]
fn one_extension_number_is_two_people_in_two_accounts() {
    for (domain, account, name) in
        [("north.example", 310_001_016, "Bo Roy"), ("south.example", 420_002_027, "Zoe Quill")]
    {
        let events = told(&format!("0.000 trunk > bob INVITE 102@{domain}\n0.100 bob > trunk 486"));
        assert!(!events.is_empty());
        for event in &events {
            assert_eq!(event.session.account.as_u64(), account, "{domain}");
            assert_eq!(event.party.to.name.as_deref(), Some(name), "{domain}");
        }
    }
}

#[test]
fn a_direct_number_tells_the_account_and_the_extension() {
    let events = told("0.000 proxy > bob INVITE +493012345678 from=+4989123456\n0.100 bob > proxy 486");
    let callee = &events[1].party;
    assert_eq!(events[0].session.account.as_u64(), 420_002_027);
    assert_eq!(callee.to.name.as_deref(), Some("Zoe Quill"));
    assert!(callee.extension.is_some());
}

#[test]
fn a_trunk_cannot_pass_for_an_extension() {
    let events = told("0.000 trunk > pbx INVITE 102 from=101\n0.100 pbx > trunk 486");
    assert_eq!(events[0].party.from.extension, None);
    assert_eq!(events[0].party.from.name, None);
    // And what is dialled into one is outside, however short.
    let events =
        told("0.000 alice > trunk INVITE 112\n0.600 trunk > alice 180\n0.700 alice > bob OPTIONS x call=2");
    assert_eq!(written(&events).first().map(String::as_str), Some("0.000 out 101 Setup"));
    assert!(events.iter().all(|event| event.party.to.extension.is_none()));
}

#[test]
fn numbers_are_shown_in_e164_however_they_were_dialled() {
    let events = told(
        "
        0.000 alice > pbx INVITE 914155550199
        0.050 pbx > trunk INVITE 14155550199@trunk call=2 from=4155559000
        0.500 trunk > pbx 180 call=2
        0.510 pbx > alice 180
        ",
    );
    assert_eq!(
        written(&events),
        ["0.000 out 101 Setup", "0.050 inb +14155550199 Proceeding", "0.510 out 101 Proceeding"]
    );
    assert_eq!(events[0].party.to.phone_number.as_deref(), Some("+14155550199"));
    assert_eq!(events[0].party.from.name.as_deref(), Some("Ann Lee"));
}

#[test]
fn a_number_of_the_company_that_the_switch_answers_has_no_party() {
    let events = told(
        "
        0.000 trunk > pbx INVITE +14155559000
        0.100 pbx > trunk 200
        4.000 pbx > bob INVITE 102@bob call=2 from=+14155550100
        4.500 bob > pbx 180 call=2
        6.000 bob > pbx 200 call=2
        9.000 trunk > pbx BYE
        9.010 pbx > bob BYE call=2
        ",
    );
    assert_eq!(
        written(&events),
        [
            "0.000 out +14155550100 Setup",
            "0.100 out +14155550100 Answered",
            "4.000 inb 102 Setup",
            "4.500 inb 102 Proceeding",
            "6.000 inb 102 Answered",
            "9.000 out +14155550100 Disconnected",
            "9.010 inb 102 Disconnected",
        ]
    );
}

#[test]
fn a_feature_code_is_nobody() {
    for code in ["72102", "*8"] {
        let events = told(&format!(
            "
            0.000 alice > pbx INVITE {code}
            0.010 pbx > alice 407
            0.020 alice > pbx ACK
            0.030 alice > pbx INVITE {code}
            0.100 pbx > alice 200
            2.000 alice > pbx BYE
            "
        ));
        assert_eq!(
            written(&events),
            ["0.000 out 101 Setup", "0.100 out 101 Answered", "2.000 out 101 Disconnected"]
        );
    }
}
