//! One FreeSWITCH that serves several tenants, each in a domain of its own and with the same numbers; and
//! trunks that the directory names as the switch does.

use hookswitch_core::directory::Directory;
use hookswitch_model::{Direction, Event, ExtensionId};

use hookswitch_flows::freeswitch::{freeswitch, run};

const DIRECTORY: &str = r#"
[[account]]
id = 310001016
country_code = "1"
domains = ["a.example"]
[[account.extension]]
number = "101"
name = "Ann of A"
[[account.extension]]
number = "102"
name = "Bo of A"
mailbox = true
numbers = ["+16505550102"]
[[account.trunk]]
endpoints = ["external", "carrier"]

[[account]]
id = 320002016
country_code = "1"
domains = ["b.example"]
[[account.extension]]
number = "101"
name = "Cy of B"
[[account.extension]]
number = "102"
name = "Di of B"
mailbox = true
[[account.trunk]]
endpoints = ["carrier-of-b"]
"#;

const A: u64 = 310_001_016;
const B: u64 = 320_002_016;

fn told(story: &str) -> Vec<Event> {
    let events = run(&Directory::parse(DIRECTORY).expect("a directory"), &freeswitch(story).told, false);
    assert!(!events.is_empty(), "nothing is told of\n{story}");
    events
}

/// The account, and who each party is: its number, and its name where it is somebody of the account.
fn people(events: &[Event]) -> Vec<(u64, String, Option<String>)> {
    let mut people = Vec::new();
    for event in events {
        let party = &event.party;
        let side = if party.direction == Direction::Outbound { &party.from } else { &party.to };
        let number = side.phone_number.as_deref().unwrap_or("-").to_owned();
        let name = side.name.as_deref().filter(|_| party.extension.is_some()).map(str::to_owned);
        let person = (event.session.account.as_u64(), number, name);
        if !people.contains(&person) {
            people.push(person);
        }
    }
    people
}

fn person(account: u64, number: &str, name: &str) -> (u64, String, Option<String>) {
    (account, number.to_owned(), (!name.is_empty()).then(|| name.to_owned()))
}

#[test]
fn a_call_belongs_to_the_tenant_whose_phone_places_it() {
    for (domain, account, ann, bo) in
        [("a.example", A, "Ann of A", "Bo of A"), ("b.example", B, "Cy of B", "Di of B")]
    {
        for (caller, callee) in [
            (format!("Channel-Presence-ID=101@{domain}"), format!("Channel-Presence-ID=102@{domain}")),
            (
                format!("Channel-Presence-ID= user_name=101 domain_name={domain}"),
                format!("Channel-Presence-ID= dialed_user=102 dialed_domain={domain}"),
            ),
            (
                format!("Channel-Presence-ID=101@{}", domain.to_uppercase()),
                format!("Channel-Presence-ID=102@{}", domain.to_uppercase()),
            ),
        ] {
            let events = told(&format!(
                "
                0.000 create a 101>102 {caller}
                0.004 create b to=102 of=a number=101 {callee}
                0.020 progress b
                1.000 answer b
                1.002 answer a
                1.004 bridge a b
                5.000 ends a NORMAL_CLEARING
                5.000 ends b NORMAL_CLEARING
                "
            ));
            assert_eq!(
                people(&events),
                [person(account, "101", ann), person(account, "102", bo)],
                "{caller} {callee}"
            );
        }
    }
}

#[test]
fn calls_of_two_tenants_at_one_time_stay_apart() {
    let events = told(
        "
        0.000 create a 101>102 Channel-Presence-ID=101@a.example
        0.001 create c 101>102 Channel-Presence-ID=101@b.example
        0.004 create b to=102 of=a number=101 Channel-Presence-ID=102@a.example
        0.005 create d to=102 of=c number=101 Channel-Presence-ID=102@b.example
        0.020 progress b
        0.021 progress d
        1.000 answer d
        1.002 answer c
        1.004 bridge c d
        5.000 ends c NORMAL_CLEARING
        5.000 ends d NORMAL_CLEARING
        6.000 ends a ORIGINATOR_CANCEL
        6.000 ends b ORIGINATOR_CANCEL
        ",
    );
    let of = |account: u64| -> Vec<Event> {
        events.iter().filter(|event| event.session.account.as_u64() == account).cloned().collect()
    };
    assert_eq!(people(&of(A)), [person(A, "101", "Ann of A"), person(A, "102", "Bo of A")]);
    assert_eq!(people(&of(B)), [person(B, "101", "Cy of B"), person(B, "102", "Di of B")]);
    assert!(of(B).iter().all(|event| !event.party.missed_call), "nobody of B has missed a call");
    assert!(of(A).last().is_some_and(|event| event.session.account.as_u64() == A));
}

#[test]
fn somebody_of_another_tenant_is_nobody_of_this_one() {
    let events = told(
        "
        0.000 create a 101>7102 Channel-Presence-ID=101@a.example
        0.004 create b to=102 of=a number=101 Channel-Presence-ID=102@b.example
        0.020 progress b
        1.000 answer b
        1.002 answer a
        5.000 ends a NORMAL_CLEARING
        5.000 ends b NORMAL_CLEARING
        ",
    );
    let callees: Vec<Option<ExtensionId>> = events
        .iter()
        .filter(|event| event.party.direction == Direction::Inbound)
        .map(|event| event.party.extension)
        .collect();
    assert!(!callees.is_empty() && callees.iter().all(Option::is_none), "{callees:?}");
    assert!(events.iter().all(|event| event.party.to.name.as_deref() != Some("Bo of A")));
}

#[test]
fn the_mailbox_of_another_tenant_is_none_of_this_one() {
    for (domain, expected) in [("a.example", Some("Bo of A")), ("b.example", None)] {
        let events = told(&format!(
            "
            0.000 create a 101>*102 Channel-Presence-ID=101@a.example
            0.100 answer a
            0.110 execute a voicemail(default_{domain}_102)
            5.000 ends a NORMAL_CLEARING
            "
        ));
        let owner = events.iter().find_map(|event| event.party.extension.and(event.party.to.name.clone()));
        assert_eq!(
            owner.as_deref().filter(|name| name.starts_with("Bo") || name.starts_with("Di")),
            expected,
            "{domain}"
        );
    }
}

#[test]
fn a_call_that_the_switch_places_belongs_to_the_tenant_of_who_is_called_first() {
    let events = told(
        "
        0.000 create a to=101 Channel-Presence-ID=101@b.example
        0.100 progress a
        1.000 answer a
        1.010 execute a bridge(user/102@b.example)
        1.020 create b to=102 of=a number=101 Channel-Presence-ID=102@b.example
        1.040 progress b
        2.000 answer b
        2.010 bridge a b
        5.000 ends a NORMAL_CLEARING
        5.000 ends b NORMAL_CLEARING
        ",
    );
    assert_eq!(people(&events), [person(B, "101", "Cy of B"), person(B, "102", "Di of B")]);
}

#[test]
fn a_domain_that_no_account_has_tells_nothing() {
    let events = told(
        "
        0.000 create a 101>102 Channel-Presence-ID=101@pbx.local
        0.004 create b to=102 of=a number=101 Channel-Presence-ID=102@192.0.2.1
        0.020 progress b
        1.000 ends b USER_BUSY term_status=486
        1.000 ends a USER_BUSY
        ",
    );
    assert_eq!(people(&events), [person(A, "101", "Ann of A"), person(A, "102", "Bo of A")]);
}

#[test]
fn a_number_that_a_named_trunk_brings_is_found_in_the_directory() {
    let events = told(
        "
        0.000 create a +442079460123@external>+16505550102
        0.004 create b to=102 of=a number=+442079460123 Channel-Presence-ID=102@a.example
        0.020 progress b
        1.000 answer b
        1.002 answer a
        5.000 ends a NORMAL_CLEARING
        5.000 ends b NORMAL_CLEARING
        ",
    );
    let caller = &events[0].party;
    assert_eq!(caller.extension, None, "who calls by a trunk is outside");
    assert_eq!(caller.to.name.as_deref(), Some("Bo of A"), "the number is Bo's");
    assert!(caller.to.extension.is_some());
}

#[test]
fn a_trunk_that_one_account_has_tells_whose_call_it_is() {
    let events = told(
        "
        0.000 create a +442079460123@carrier-of-b>+16505550199
        0.004 create b to=102 of=a number=+442079460123 Channel-Presence-ID=102@b.example
        0.020 progress b
        1.000 ends a ORIGINATOR_CANCEL
        1.000 ends b ORIGINATOR_CANCEL
        ",
    );
    assert_eq!(people(&events), [person(B, "+442079460123", ""), person(B, "+16505550199", "Di of B")]);
}
