//! Numbers as parties show them: what is no number is not shown as one.

use std::sync::Arc;

use hookswitch_core::directory::Directory;
use hookswitch_flows::freeswitch::{freeswitch, run};
use hookswitch_flows::ladder::ACCOUNT;
use hookswitch_model::{Direction, Event};

fn told(story: &str) -> Vec<Event> {
    let events = run(&Directory::built_in(ACCOUNT), &freeswitch(story).told, false);
    assert!(!events.is_empty(), "nothing is told of\n{story}");
    events
}

/// Numbers of both sides of the last party with a direction: from and to.
fn numbers(events: &[Event], direction: Direction) -> (Option<&str>, Option<&str>) {
    let party = &events.iter().rfind(|event| event.party.direction == direction).expect("a party").party;
    (party.from.phone_number.as_deref(), party.to.phone_number.as_deref())
}

#[test]
fn a_trunk_that_is_reached_by_its_account_has_the_number_in_to() {
    for (dialled, to) in
        [("carrier-account", "+16465550102"), ("1000", "+16465550102"), ("+16465550102", "1000")]
    {
        let events = told(&format!(
            "
            0.000 create a +442079460123@external>{dialled} sip_to_user={to}
            0.001 answer a
            2.000 ends a NORMAL_CLEARING disposition=recv_bye
            "
        ));
        assert_eq!(
            numbers(&events, Direction::Outbound),
            (Some("+442079460123"), Some("+16465550102")),
            "{dialled}"
        );
    }
}

#[test]
fn what_a_phone_dials_is_what_it_dials() {
    for (dialled, to) in [("740", "+16465550102"), ("*98", "101")] {
        let events = told(&format!(
            "
            0.000 create a 101>{dialled} sip_to_user={to}
            0.001 answer a
            2.000 ends a NORMAL_CLEARING disposition=recv_bye
            "
        ));
        assert_eq!(numbers(&events, Direction::Outbound), (Some("101"), Some(dialled)));
    }
}

#[test]
fn a_number_that_a_dial_string_escapes_is_the_number() {
    let events = told(
        "
        0.000 create a 101>913125550188
        0.004 create b sofia/external/x Caller-Destination-Number=%2B13125550188 Caller-Caller-ID-Number=%2B16465550100 sip_gateway_name=carrier of=a
        0.020 progress b
        1.000 answer b
        1.002 answer a
        1.004 bridge a b
        5.000 ends a NORMAL_CLEARING disposition=recv_bye
        5.001 ends b NORMAL_CLEARING disposition=send_bye
        ",
    );
    assert_eq!(numbers(&events, Direction::Inbound).1, Some("+13125550188"));
}

#[test]
fn who_takes_a_call_by_replaces_has_dialled_no_dialplan() {
    let events = told(
        "
        0.000 create a 101>102
        0.004 create b to=102 of=a number=101
        0.020 progress b
        2.000 create c 103>answer,intercept:b0000000-0000-4000-8000-000000000000 sip_to_user=102
        2.001 execute c intercept(@b)
        2.002 answer c
        2.004 hangup b LOSE_RACE
        2.005 complete b LOSE_RACE disposition=send_cancel
        2.010 answer a
        2.020 bridge a c
        5.000 ends a NORMAL_CLEARING disposition=recv_bye
        5.500 ends c NORMAL_CLEARING disposition=send_bye
        ",
    );
    let sessions: std::collections::BTreeSet<_> = events.iter().map(|event| event.session.id).collect();
    assert_eq!(sessions.len(), 1, "the pickup is a party of the call");
    let sides = events.iter().flat_map(|event| [&event.party.from, &event.party.to]);
    for side in sides {
        let number = side.phone_number.as_deref().unwrap_or_default();
        assert!(number.bytes().all(|byte| byte.is_ascii_digit()), "{number}");
    }
    assert_eq!(numbers(&events, Direction::Inbound), (Some("101"), Some("103")));
}

#[test]
fn who_is_called_first_is_shown_who_is_called_then() {
    let then = "
        1.000 answer a
        1.011 create b to=102 of=a
        2.000 answer b
        2.010 bridge a b
        4.000 ends b NORMAL_CLEARING disposition=send_bye
        4.001 ends a NORMAL_CLEARING disposition=recv_bye
    ";
    for (first, before) in [("to=101", None), ("to=101 number=100", Some("100"))] {
        let events = told(&format!("0.000 create a {first}\n0.020 progress a\n{then}"));
        assert_eq!(numbers(&events[..1], Direction::Inbound), (before, Some("101")), "{first}");
        let after = before.or(Some("102"));
        assert_eq!(numbers(&events, Direction::Inbound), (after, Some("101")), "{first}");
    }
}

#[test]
fn each_party_has_the_sip_dialog_that_the_switch_says() {
    let events = told(
        "
        0.000 create a 101>102 sip_call_id=ann@x sip_from_tag=a1
        0.004 create b to=102 of=a number=101
        0.020 progress b sip_call_id=bo@x sip_from_tag=s2 sip_to_tag=b2
        0.021 progress a sip_call_id=ann@x sip_from_tag=a1 sip_to_tag=s1
        1.000 answer b sip_call_id=bo@x sip_from_tag=s2 sip_to_tag=b2
        1.002 answer a sip_call_id=ann@x sip_from_tag=a1 sip_to_tag=s1
        1.004 bridge a b
        5.000 ends a NORMAL_CLEARING disposition=recv_bye
        5.001 ends b NORMAL_CLEARING disposition=send_bye
        ",
    );
    let dialog = |event: &Event| {
        let sip = event.party.sip.as_ref()?;
        Some([
            sip.call_id.to_string(),
            sip.from_tag.to_string(),
            sip.to_tag.as_deref().unwrap_or("-").to_owned(),
        ])
    };
    assert_eq!(dialog(&events[0]), Some(["ann@x", "a1", "-"].map(str::to_owned)), "at once");
    let last = |direction| events.iter().rfind(|event| event.party.direction == direction).and_then(dialog);
    assert_eq!(last(Direction::Outbound), Some(["ann@x", "a1", "s1"].map(str::to_owned)));
    assert_eq!(last(Direction::Inbound), Some(["bo@x", "s2", "b2"].map(str::to_owned)));
}

#[test]
fn a_user_has_the_name_by_which_the_switch_knows_it_once_that_was_told() {
    // The phone of 101 shows its number as its name; others are shown the name that the directory has.
    let events = told(
        "
        0.000 create a 101>102 Caller-Caller-ID-Name=101 effective_caller_id_name=Ines effective_caller_id_number=101
        0.004 create b to=102 of=a number=101
        0.020 progress b
        0.100 ends a ORIGINATOR_CANCEL
        0.101 ends b ORIGINATOR_CANCEL
        1.000 create c 102>103 effective_caller_id_name=Jo_Klein effective_caller_id_number=102
        1.100 ends c ORIGINATOR_CANCEL
        2.000 create d 101>102
        2.004 create e to=102 of=d number=101
        2.020 progress e
        2.100 ends d ORIGINATOR_CANCEL
        2.101 ends e ORIGINATOR_CANCEL
        ",
    );
    let name = |name: &Option<Arc<str>>| name.as_deref().unwrap_or("-").to_owned();
    let mut shown: Vec<String> = Vec::new();
    for event in &events {
        let party = &event.party;
        let line =
            format!("{} {}>{}", party.direction.as_str(), name(&party.from.name), name(&party.to.name));
        if shown.last() != Some(&line) {
            shown.push(line);
        }
    }
    assert_eq!(
        shown,
        [
            "Outbound Ines>-",
            "Inbound Ines>-",
            "Outbound Ines>-",
            "Outbound Jo Klein>-",
            "Outbound ->Jo Klein",
            "Inbound ->Jo Klein",
            "Outbound ->Jo Klein",
        ]
    );
}

#[test]
fn a_name_that_a_dialplan_shows_with_another_number_is_not_the_users() {
    let shown = "effective_caller_id_name=Company effective_caller_id_number=+16505550100";
    let events = told(&format!(
        "
        0.000 create a 102>101 {shown} Caller-Caller-ID-Name=Jo
        0.100 ends a ORIGINATOR_CANCEL
        1.000 create c 101>102
        1.100 ends c ORIGINATOR_CANCEL
        "
    ));
    assert!(events.iter().all(|event| event.party.to.name.is_none()));
    assert_eq!(events[0].party.from.name.as_deref(), Some("Jo"));
}
