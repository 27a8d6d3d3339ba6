//! Numbers and names of parties: what a phone, a line or a trunk is called is no number.

use hookswitch_core::filter::Projection;
use hookswitch_core::notification::Subscriber;
use hookswitch_flows::asterisk::asterisk;
use hookswitch_model::{Direction, Event, ExtensionId, Party};

/// An account with phones that are called by other names, a gateway that is called by a number, and a menu.
const NAMED: &str = r#"
[[account]]
id = 310001016
country_code = "1"
outside_prefix = "9"
[[account.extension]]
number = "101"
name = "Ann Lee"
[[account.extension]]
number = "102"
name = "Bo Roy"
numbers = ["+16505550102"]
users = ["b9w3mzpl"]
[[account.extension]]
number = "33"
name = "Line three"
[[account.extension]]
number = "620"
name = "Support"
kind = "queue"
numbers = ["+16505550120"]
[[account.extension]]
number = "610"
name = "Sales"
kind = "ring_group"
numbers = ["+16505550110"]
[[account.trunk]]
endpoints = ["trunk", "701", "DAHDI/34"]
"#;

/// Direction, numbers of both sides, and the extension, of each party at its end; `-` is none.
fn shown(events: &[Event]) -> Vec<String> {
    let mut parties: Vec<&Party> = Vec::new();
    for event in events {
        match parties.iter_mut().find(|party| party.id == event.party.id) {
            Some(party) => *party = &event.party,
            None => parties.push(&event.party),
        }
    }
    let number = |number: &Option<std::sync::Arc<str>>| number.as_deref().unwrap_or("-").to_owned();
    parties
        .iter()
        .map(|party| {
            let way = if party.direction == Direction::Outbound { "out" } else { "inb" };
            let who = if party.extension.is_some() { "inside" } else { "outside" };
            let (from, to) = (number(&party.from.phone_number), number(&party.to.phone_number));
            format!("{way} {from} > {to} {who}")
        })
        .collect()
}

/// Returns what is shown of a call of channel `a` to the phone of 102, which answers.
fn call(begins: &str, target: &str) -> String {
    format!(
        "{begins}
        0.010 Newchannel b {target} of=a
        0.012 DialBegin a>b DialString=b
        0.020 Newstate b 5
        0.021 DialState a>b RINGING
        1.000 Newstate b 6
        1.001 DialEnd a>b ANSWER
        1.002 Newstate a 6
        1.003 BridgeEnter b one
        1.003 BridgeEnter a one
        5.000 HangupRequest a 16
        5.001 Hangup a 16
        5.002 Hangup b 16
        "
    )
}

#[test]
fn the_number_of_a_line_is_no_phone_number_and_who_calls_comes_late() {
    for (line, state, directory) in
        [("33", 9, true), ("34", 9, true), ("33", 9, false), ("33", 4, true), ("i1/5550123", 4, false)]
    {
        let begins = format!(
            "
            -3.000 Newchannel a DAHDI/{line}-1 state={state} number=<unknown>
            0.003 Newstate a 4 number=+14155550123
            0.004 Newexten a NoOp(x)
            0.005 Newexten a Dial(PJSIP/102) exten=102
            "
        );
        let story = asterisk(&call(&begins, "PJSIP/102"));
        let story = if directory { story.with_directory(NAMED) } else { story };
        let told = shown(&story.events());
        assert_eq!(
            told,
            ["out +14155550123 > - outside", "inb +14155550123 > 102 inside"],
            "{line} {directory}"
        );
    }
}

#[test]
fn a_gateway_that_is_called_by_a_number_brings_the_numbers_of_others() {
    let begins = "
        0.000 Newchannel a SIP/701 Exten=101 number=+14155550123
        0.002 Newexten a Dial(SIP/102) exten=102
    ";
    let told = shown(&asterisk(&call(begins, "SIP/102")).with_directory(NAMED).events());
    assert_eq!(told, ["out +14155550123 > 101 outside", "inb +14155550123 > 102 inside"]);
}

#[test]
fn a_phone_that_shows_the_number_of_the_company_is_known_by_its_name() {
    let begins = "
        0.000 Newchannel a PJSIP/101 Exten=102 number=+16505550100
        0.002 Newexten a Dial(PJSIP/102)
    ";
    for directory in [false, true] {
        let story = asterisk(&call(begins, "PJSIP/102"));
        let story = if directory { story.with_directory(NAMED) } else { story };
        assert_eq!(shown(&story.events()), ["out 101 > 102 inside", "inb 101 > 102 inside"], "{directory}");
    }
}

#[test]
fn a_phone_with_another_name_has_the_number_of_its_extension_and_else_the_one_that_it_shows() {
    let begins = "
        0.000 Newchannel a PJSIP/101 Exten=102
        0.002 Newexten a Dial(PJSIP/b9w3mzpl)
    ";
    for (target, directory, number) in [
        ("PJSIP/b9w3mzpl", true, "102"),
        ("PJSIP/b9w3mzpl number=102", false, "102"),
        ("PJSIP/0004f2aabbcc number=107", false, "107"),
        ("PJSIP/b9w3mzpl", false, "-"),
    ] {
        let story = asterisk(&call(begins, target));
        let story = if directory { story.with_directory(NAMED) } else { story };
        let told = shown(&story.events());
        assert_eq!(
            told,
            ["out 101 > 102 inside".to_owned(), format!("inb 101 > {number} inside")],
            "{target}"
        );
    }
}

#[test]
fn a_caller_by_a_trunk_whose_number_is_not_known_has_none() {
    for number in ["anonymous", "Restricted", "unavailable", "<unknown>"] {
        let begins = format!(
            "
            0.000 Newchannel a PJSIP/trunk Exten=s number={number}
            0.002 Newexten a Dial(PJSIP/102) exten=102
            "
        );
        let told = shown(&asterisk(&call(&begins, "PJSIP/102")).events());
        assert_eq!(told, ["out - > 102 outside", "inb - > 102 inside"], "{number}");
    }
}

#[test]
fn who_is_called_from_outside_shows_the_number_that_was_dialled() {
    for (dialled, directory) in
        [("+16505550102", true), ("+16505550110", true), ("+16505550102", false), ("+16505550199", true)]
    {
        let begins = format!(
            "
            0.000 Newchannel a PJSIP/trunk Exten={dialled} number=+14155550123
            0.001 Newexten a Goto(internal,102,1) exten={dialled}
            0.002 Newexten a Dial(PJSIP/102) exten=102
            "
        );
        let story = asterisk(&call(&begins, "PJSIP/102"));
        let story = if directory { story.with_directory(NAMED) } else { story };
        let told = shown(&story.events());
        assert_eq!(told[1], format!("inb +14155550123 > {dialled} inside"), "{directory}");
    }
}

#[test]
fn who_gets_the_call_of_an_outside_caller_by_a_transfer_was_not_dialled() {
    let call = call(
        "
        0.000 Newchannel a PJSIP/trunk Exten=+16505550102 number=+14155550123
        0.002 Newexten a Dial(PJSIP/102) exten=102
        ",
        "PJSIP/102",
    );
    let (talk, _) = call.split_once("5.000").expect("it ends");
    let story = asterisk(&format!(
        "{talk}
        3.000 BlindTransfer Transferer:b Transferee:a Extension=101 Result=Success IsExternal=Yes
        3.001 Hangup b 16
        3.002 Newexten a Dial(PJSIP/101) exten=101
        3.003 Newchannel c PJSIP/101 of=a
        3.004 DialBegin a>c DialString=101
        3.010 Newstate c 5
        4.000 HangupRequest a 16
        4.001 DialEnd a>c CANCEL
        4.002 Hangup c 16
        4.003 Hangup a 16
        "
    ));
    let told = shown(&story.with_directory(NAMED).events());
    assert_eq!(told[1..], ["inb +14155550123 > +16505550102 inside", "inb +14155550123 > 101 inside"]);
}

#[test]
fn a_call_to_outside_shows_the_number_that_the_switch_shows_there() {
    let call = "
        0.000 Newchannel a PJSIP/101 Exten=914155550123
        0.002 Newexten a Set(CALLERID(num)=+16505550101)
        0.004 Newchannel b PJSIP/trunk of=a
        0.006 DialBegin a>b DialString=+14155550123@trunk number=+16505550101
        0.020 Newstate b 5
        1.000 Newstate b 6
        1.001 DialEnd a>b ANSWER
        1.002 Newstate a 6
        5.000 HangupRequest a 16
        5.001 Hangup a 16
        5.002 Hangup b 16
    ";
    let events = asterisk(call).with_directory(NAMED).events();
    assert_eq!(
        shown(&events),
        ["out +16505550101 > +14155550123 inside", "inb +16505550101 > +14155550123 outside"]
    );
    assert_eq!(events[0].party.from.phone_number.as_deref(), Some("101"), "it was not shown before the call");
}

#[test]
fn an_agent_shows_the_queue_and_not_what_a_direct_call_shows() {
    let queue = |dialled: &str, number: &str, place: &str| {
        format!(
            "
            0.000 Newchannel a PJSIP/{place} Exten={dialled} number={number} name=Olivia_Outside
            0.002 Newexten a Answer() exten=620
            0.003 Newstate a 6
            0.004 Newexten a Queue(support) exten=620
            0.005 QueueCallerJoin a Queue=support
            0.006 Newchannel b PJSIP/102 of=a
            0.007 DialBegin a>b DialString=102
            0.020 Newstate b 5
            2.000 Newstate b 6
            2.001 DialEnd a>b ANSWER
            2.002 AgentConnect a
            2.003 BridgeEnter b one
            2.003 BridgeEnter a one
            5.001 Hangup b 16
            5.002 Hangup a 16
            "
        )
    };
    for (dialled, number, place, shows) in [
        ("+16505550120", "+14155550123", "trunk", "+16505550120"),
        ("620", "101", "101", "620"),
        // Sent to the queue from the number of a group.
        ("16505550110", "+14155550123", "trunk", "102"),
    ] {
        let story = asterisk(&queue(dialled, number, place)).with_directory(NAMED);
        let events = story.events();
        let agent: Vec<&Event> = events.iter().filter(|event| event.party.queue_call).collect();
        assert!(agent.len() == 3, "{dialled}");
        for event in agent {
            let party = &event.party;
            assert_eq!(party.to.phone_number.as_deref(), Some(shows), "{dialled}");
            assert_eq!(party.to.name.as_deref(), Some("Support"));
            assert!(party.to.extension.is_some() && party.to.extension != party.extension);
            let mut json = Vec::new();
            Subscriber::of_replay(&[], ExtensionId::new(1)).write(
                event,
                Projection::default(),
                event.at,
                &mut json,
            );
            let json = String::from_utf8(json).expect("text");
            assert!(json.contains(r#""rcc":false},"queueCall":true,"park":{}"#), "{json}");
            let name = if place == "trunk" { "Olivia Outside" } else { "Ann Lee" };
            let info = format!(
                r#""uiCallInfo":{{"primary":{{"type":"QueueName","value":"Support"}},"additional":{{"type":"CallerIdName","value":"{name}"}}}}}}],"#
            );
            assert!(json.contains(&info), "{json}");
            assert!(!json.contains("mobilePickupData"), "{json}");
        }
    }
}
