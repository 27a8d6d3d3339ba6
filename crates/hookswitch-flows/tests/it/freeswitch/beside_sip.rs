//! Calls that both a FreeSWITCH and its SIP tell of.

use hookswitch_model::{Event, Note};
use hookswitch_pipeline::Switch;
use hookswitch_signal::pairing::Counters;

use super::calls::{ANSWERED, ANSWERED_TOLD, RINGS, RINGS_TOLD};
use hookswitch_flows::freeswitch::freeswitch;
use hookswitch_flows::ladder::{Ladder, ladder, written};
use hookswitch_flows::told::{self, SIP, assert_told};

const HANGS_UP: &str = "
    5.000 hangup a NORMAL_CLEARING
    5.001 hangup b NORMAL_CLEARING
    5.002 complete b NORMAL_CLEARING disposition=send_bye
    5.003 complete a NORMAL_CLEARING disposition=recv_bye
";

const HANGS_UP_TOLD: &str = "
    5.000 out 101 Disconnected
    5.001 inb 102 Disconnected
";

fn both(story: &str, sip: &Ladder) -> (Vec<Event>, Counters) {
    told::both(Switch::Esl, &freeswitch(story).told, sip)
}

/// The Call-ID that a party shows at last.
fn call_id(events: &[Event], direction: &str) -> String {
    let last = events.iter().rev().find(|event| event.party.direction.as_str() == direction);
    last.and_then(|event| event.party.sip.clone()).expect("a dialog").call_id.to_string()
}

#[test]
fn one_call_is_one_session_with_the_dialogs_that_sip_shows() {
    let (events, counters) = both(&[RINGS, ANSWERED, HANGS_UP].concat(), &ladder(SIP));
    assert_told(&events, &[RINGS_TOLD, ANSWERED_TOLD, HANGS_UP_TOLD].concat());
    assert_eq!((counters.sip_calls, counters.joined_by_numbers, counters.alone), (2, 2, 0));
    assert_eq!(counters.disagreements, 0);
    let with_dialog = events.iter().filter(|event| event.party.sip.is_some()).count();
    assert!(with_dialog >= 7, "{with_dialog}");
    assert_ne!(call_id(&events, "Outbound"), call_id(&events, "Inbound"));
}

#[test]
fn the_call_id_that_freeswitch_names_counts_more_than_numbers() {
    let sip = ladder(SIP);
    let (events, _) = both(&[RINGS, ANSWERED, HANGS_UP].concat(), &sip);
    let (callers, targets) = (call_id(&events, "Outbound"), call_id(&events, "Inbound"));
    let named = |a: &str, b: &str| {
        let answered = ANSWERED
            .replace("answer a", &format!("answer a sip_call_id={a}"))
            .replace("answer b", &format!("answer b sip_call_id={b}"));
        both(&[RINGS, &answered, HANGS_UP].concat(), &sip)
    };
    let (events, counters) = named(&callers, &targets);
    assert_told(&events, &[RINGS_TOLD, ANSWERED_TOLD, HANGS_UP_TOLD].concat());
    assert_eq!((counters.joined_by_id, counters.joined_by_numbers), (2, 0));
    // Should the numbers have been wrong, the names put it right.
    let (events, _) = named(&targets, &callers);
    assert_eq!(call_id(&events, "Outbound"), targets);
}

#[test]
fn what_freeswitch_says_counts_and_the_contradiction_is_noted() {
    // The phone was declined in SIP, and the switch says that it was busy.
    let sip = ladder(
        "
        -0.010 alice > pbx INVITE 102
        0.005 pbx > bob INVITE 102@bob call=2 from=101 name=Alice
        0.019 bob > pbx 180 call=2
        2.000 bob > pbx 603 call=2
        2.001 pbx > bob ACK call=2
        2.010 pbx > alice 486
        2.011 alice > pbx ACK
        ",
    );
    let busy = "
        2.004 ends b USER_BUSY disposition=recv_refuse term_status=486
        2.012 ends a USER_BUSY originate_disposition=USER_BUSY disposition=send_refuse
    ";
    let (events, counters) = both(&[RINGS, busy].concat(), &sip);
    assert_told(
        &events,
        &[
            RINGS_TOLD,
            "
            2.004 inb 102 Disconnected/TargetBusy missed
            2.012 out 101 Disconnected/TargetBusy
            ",
        ]
        .concat(),
    );
    assert_eq!(counters.disagreements, 1);
    let refused = events.iter().find(|event| event.party.status.reason.is_some()).expect("an end");
    assert!(refused.notes.iter().any(|note| note == Note::SourcesDisagree), "{:?}", refused.notes);
}

#[test]
fn calls_that_freeswitch_says_nothing_of_are_told_as_sip_shows_them() {
    let sip = format!(
        "{SIP}
        10.000 carol > dave INVITE 104 call=3
        10.100 dave > carol 180 call=3
        11.000 dave > carol 200 call=3
        11.010 carol > dave ACK call=3
        20.000 carol > dave BYE call=3
        20.010 dave > carol 200 call=3
        "
    );
    let (events, counters) = both(&[RINGS, ANSWERED, HANGS_UP].concat(), &ladder(&sip));
    assert_eq!(counters.alone, 1);
    let of_dave = events.iter().filter(|event| written(std::slice::from_ref(event))[0].contains("inb 104"));
    assert_eq!(of_dave.count(), 4);
}
