//! One FreeSWITCH that serves several tenants, each in a domain of its own and with the same numbers; and
//! trunks that the directory names as the switch does.

use std::collections::BTreeSet;

use hookswitch_core::directory::Directory;
use hookswitch_model::{Direction, Event, ExtensionId};
use hookswitch_pipeline::Switch;

use hookswitch_flows::freeswitch::{freeswitch, run};
use hookswitch_flows::recordings::Recording;
use hookswitch_flows::told;

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

fn events_of(story: &str) -> Vec<Event> {
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
            let events = events_of(&format!(
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
    let events = events_of(
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
    let events = events_of(
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
        let events = events_of(&format!(
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
    let events = events_of(
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
    let events = events_of(
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
    let events = events_of(
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
    let events = events_of(
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

/// The accounts in which something is told, each once.
fn accounts(events: &[Event]) -> Vec<u64> {
    let mut accounts: Vec<u64> = events.iter().map(|event| event.session.account.as_u64()).collect();
    accounts.sort_unstable();
    accounts.dedup();
    accounts
}

#[test]
fn the_recorded_calls_of_two_tenants_are_told_each_under_its_own_account() {
    let directory = Directory::parse(
        r#"
        [[account]]
        id = 310001016
        country_code = "1"
        domains = ["alpha.example.com"]
        [[account.extension]]
        number = "1001"
        name = "Alpha One"
        [[account.extension]]
        number = "1002"
        name = "Alpha Two"
        [[account]]
        id = 310002016
        country_code = "1"
        domains = ["beta.example.com"]
        [[account.extension]]
        number = "1001"
        name = "Beta One"
        [[account.extension]]
        number = "1002"
        name = "Beta Two"
        "#,
    )
    .expect("a directory");
    let recording = Recording::named("freeswitch", "tenants-same-numbers").read("esl.log");
    let lines = told::notifications(&directory, Switch::Esl, &recording);
    let mut people = BTreeSet::new();
    for line in lines.lines() {
        let told: serde_json::Value = serde_json::from_str(line).expect("JSON");
        let party = &told["body"]["parties"][0];
        let side = if party["direction"] == "Outbound" { "from" } else { "to" };
        let text = |value: &serde_json::Value| value.as_str().unwrap_or("-").to_owned();
        assert!(party["extensionId"].is_string(), "{line}");
        people.insert((
            text(&party["accountId"]),
            text(&told["body"]["telephonySessionId"]),
            text(&party[side]["name"]),
        ));
    }
    let names: Vec<(&str, &str)> =
        people.iter().map(|(account, _, name)| (account.as_str(), name.as_str())).collect();
    let (alpha, beta) = ("310001016", "310002016");
    assert_eq!(names, [(alpha, "Alpha One"), (alpha, "Alpha Two"), (beta, "Beta One"), (beta, "Beta Two")]);
    let sessions: BTreeSet<&str> = people.iter().map(|(_, session, _)| session.as_str()).collect();
    assert_eq!(sessions.len(), 2);
}

#[test]
fn a_call_by_a_trunk_of_all_belongs_to_the_tenant_that_the_dialplan_names() {
    let rest = "
        1.000 answer b
        1.002 answer a
        1.004 bridge a b
        5.000 ends a NORMAL_CLEARING
        5.000 ends b NORMAL_CLEARING
    ";
    for begins in [
        // FusionPBX sets the domain, and sends the call to the context of that name.
        "
        0.000 create a +442079460123@shared>+16505550177
        0.010 execute a set(domain) domain_name=b.example
        0.020 create b to=102 of=a number=+442079460123 Channel-Presence-ID=102@b.example
        0.030 progress b
        ",
        "
        0.000 create a +442079460123@shared>+16505550177
        0.010 execute a log(x) Caller-Context=b.example
        0.020 create b to=102 of=a number=+442079460123 Channel-Presence-ID=102@b.example
        0.030 progress b
        ",
        // Nothing names it but whom it leads to.
        "
        0.000 create a +442079460123@shared>+16505550177
        0.020 create b to=102 of=a number=+442079460123 Channel-Presence-ID=102@b.example
        0.030 progress b
        ",
    ] {
        let events = events_of(&[begins, rest].concat());
        assert_eq!(accounts(&events), [B], "{begins}");
        assert_eq!(
            people(&events),
            [person(B, "+442079460123", ""), person(B, "+16505550177", "Di of B")],
            "{begins}"
        );
        assert_eq!(events[0].at.as_micros() % 1_000_000, 0, "the call begins when it began");
    }
}

#[test]
fn a_queue_belongs_to_the_tenant_whose_caller_waits_in_it_and_so_do_its_agents() {
    for caller in ["101>7100 Channel-Presence-ID=101@b.example", "+442079460123@shared>+16505550177"] {
        let events = events_of(&format!(
            "
            0.000 create a {caller}
            0.010 answer a
            0.020 queue a CC-Action=member-queue-start CC-Queue=support@b.example CC-Member-Session-UUID=@a
            0.100 create b to=102 cc_member_session_uuid=@a Channel-Presence-ID=102@b.example
            0.120 progress b
            1.000 answer b
            1.010 queue b CC-Action=bridge-agent-start CC-Member-Session-UUID=@a CC-Agent-UUID=@b
            1.020 bridge a b
            4.000 ends b NORMAL_CLEARING
            4.010 queue a CC-Action=member-queue-end CC-Cause=Terminated CC-Member-Session-UUID=@a
            4.020 ends a NORMAL_CLEARING
            "
        ));
        assert_eq!(accounts(&events), [B], "{caller}");
        let agent =
            events.iter().filter(|event| event.party.queue_call).find_map(|event| event.party.extension);
        assert!(agent.is_some(), "the agent is Di of B: {caller}");
    }
}

#[test]
fn rooms_and_slots_of_two_tenants_with_the_same_numbers_are_two() {
    let events = events_of(
        "
        0.000 create a 101>3000 Channel-Presence-ID=101@a.example
        0.010 answer a
        0.020 conference a Action=add-member Conference-Name=3000
        0.100 create c 101>3000 Channel-Presence-ID=101@b.example
        0.110 answer c
        0.120 conference c Action=add-member Conference-Name=3000
        4.000 ends a NORMAL_CLEARING
        5.000 ends c NORMAL_CLEARING
        ",
    );
    assert_eq!(accounts(&events), [A, B]);
    for account in [A, B] {
        let of = events.iter().filter(|event| event.session.account.as_u64() == account);
        assert!(of.clone().count() > 3);
        let peers: BTreeSet<_> = of.map(|event| event.party.from.name.clone()).collect();
        assert_eq!(peers.len(), 1, "nobody else is in the room of {account}: {peers:?}");
    }
    // 101 of A parks the call of 102 in 6001; 101 of B dials 6001, where nobody of B waits.
    let events = events_of(
        "
        0.000 create a 102>101 Channel-Presence-ID=102@a.example
        0.004 create b to=101 of=a number=102 Channel-Presence-ID=101@a.example
        0.020 progress b
        1.000 answer b
        1.002 answer a
        1.004 bridge a b
        2.000 execute b transfer(-bleg_6001)
        2.010 execute a valet_park(lot_6001)
        2.020 valet a Action=hold Valet-Extension=6001
        2.030 ends b NORMAL_CLEARING
        3.000 create c 101>6001 Channel-Presence-ID=101@b.example
        3.010 answer c
        3.015 execute c valet_park(lot-b_6001)
        3.020 valet c Action=hold Valet-Extension=6001
        5.000 ends c NORMAL_CLEARING
        6.000 ends a NORMAL_CLEARING
        ",
    );
    let of_b: Vec<&Event> = events.iter().filter(|event| event.session.account.as_u64() == B).collect();
    assert!(!of_b.is_empty());
    assert!(of_b.iter().all(|event| event.party.status.reason.is_none()), "nothing was picked up");
    let answered = of_b.iter().find(|event| event.party.status.code.as_str() == "Answered").expect("it was");
    assert_eq!(answered.at.as_micros() % 1_000_000, 10_000, "and nothing waits for that");
    assert!(events.iter().all(|event| event.party.status.code.as_str() != "Gone"), "nor was it fetched");
}

#[test]
fn a_group_of_one_tenant_is_not_picked_up_by_another() {
    let story = |of_taker: &str, group: &str| {
        format!(
            "
            0.000 create a +442079460123@external>+16505550102
            0.004 create b to=102 of=a number=+442079460123 Channel-Presence-ID=102@a.example
            0.005 create p pickup/{group} of=a
            0.020 progress b
            1.000 create c 101>*8 Channel-Presence-ID=101@{of_taker}
            1.010 execute c pickup(sales@{of_taker})
            1.300 answer c
            6.000 ends c NORMAL_CLEARING
            8.000 ends a ORIGINATOR_CANCEL
            8.000 ends b ORIGINATOR_CANCEL
            8.000 ends p ORIGINATOR_CANCEL
            "
        )
    };
    let is_taken = |story: &str| {
        let has = |event: &Event| event.party.status.reason.is_some_and(|reason| reason.as_str() == "Pickup");
        events_of(story).iter().any(has)
    };
    for group in ["sales@a.example", "sales"] {
        assert!(is_taken(&story("a.example", group)), "{group}");
    }
    assert!(!is_taken(&story("b.example", "sales@a.example")));
}
