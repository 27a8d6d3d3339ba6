//! Calls that both an Asterisk and its SIP tell of.

use std::time::Duration;

use hookswitch_model::{Event, Note, Rule, SwitchLink};
use hookswitch_pipeline::Switch;
use hookswitch_signal::pairing::Counters;

use super::calls::{ANSWERED, ANSWERED_TOLD, RINGS, RINGS_TOLD};
use hookswitch_flows::asterisk::asterisk;
use hookswitch_flows::ladder::{Ladder, ladder, written};
use hookswitch_flows::told::{self, SIP, Told, assert_told};

const HANGS_UP: &str = "
    5.000 HangupRequest a 16
    5.001 BridgeLeave a one
    5.002 Hangup a 16
    5.003 Hangup b 16
";

const HANGS_UP_TOLD: &str = "
    5.002 out 101 Disconnected
    5.003 inb 102 Disconnected
";

fn both(told: &[Told], sip: &Ladder) -> (Vec<Event>, Counters) {
    told::both(Switch::Ami, told, sip)
}

#[test]
fn one_call_is_one_session_with_the_dialogs_that_sip_shows() {
    let story = asterisk(&[RINGS, ANSWERED, HANGS_UP].concat());
    let (events, counters) = both(&story.told, &ladder(SIP));
    assert_told(&events, &[RINGS_TOLD, ANSWERED_TOLD, HANGS_UP_TOLD].concat());
    assert_eq!((counters.sip_calls, counters.joined_by_numbers, counters.alone), (2, 2, 0));
    assert_eq!(counters.disagreements, 0);
    let call_ids: Vec<&str> =
        events.iter().filter_map(|event| Some(&*event.party.sip.as_ref()?.call_id)).collect();
    assert!(call_ids.len() >= 7, "{call_ids:?}");
    let last = events.last().expect("events");
    assert!(last.notes.iter().eq([Note::SipJoinedByNumbers]), "{:?}", last.notes);
}

#[test]
fn the_call_id_that_the_switch_names_counts_more_than_numbers() {
    let sip = ladder(SIP);
    let (events, _) = both(&asterisk(&[RINGS, ANSWERED, HANGS_UP].concat()).told, &sip);
    let call_id = |direction: &str| {
        let event = events.iter().rev().find(|event| event.party.direction.as_str() == direction);
        event.and_then(|event| event.party.sip.clone()).expect("a dialog").call_id.to_string()
    };
    let (callers, targets) = (call_id("Outbound"), call_id("Inbound"));
    assert_ne!(callers, targets);
    // What each channel is told of is the Call-ID of whom it talks with.
    let named = format!(
        "
        1.005 VarSet b Variable=BRIDGEPVTCALLID Value={callers}
        1.006 VarSet a Variable=BRIDGEPVTCALLID Value={targets}
        "
    );
    let (events, counters) = both(&asterisk(&[RINGS, ANSWERED, &named, HANGS_UP].concat()).told, &sip);
    assert_told(&events, &[RINGS_TOLD, ANSWERED_TOLD, HANGS_UP_TOLD].concat());
    assert_eq!((counters.joined_by_id, counters.joined_by_numbers), (2, 0));
    // Should the numbers have been wrong, the names put it right.
    let named = format!(
        "
        1.005 VarSet b Variable=BRIDGEPVTCALLID Value={targets}
        1.006 VarSet a Variable=BRIDGEPVTCALLID Value={callers}
        "
    );
    let (events, _) = both(&asterisk(&[RINGS, ANSWERED, &named, HANGS_UP].concat()).told, &sip);
    let swapped = events.iter().rev().find(|event| event.party.direction.as_str() == "Outbound");
    assert_eq!(&*swapped.and_then(|event| event.party.sip.clone()).expect("a dialog").call_id, targets);
}

#[test]
fn a_number_that_nobody_has_is_refused_before_there_is_a_channel() {
    let sip = ladder(
        "
        0.000 alice > pbx INVITE 199
        0.005 pbx > alice 401
        0.006 alice > pbx ACK
        0.010 alice > pbx INVITE 199
        0.020 pbx > alice 404
        0.021 alice > pbx ACK
        ",
    );
    let story = asterisk("0.005 ChallengeSent Service=PJSIP\n9.000 PeerStatus Peer=PJSIP/101");
    let (events, counters) = both(&story.told, &sip);
    assert_told(
        &events,
        "
        0.000 out 101 Setup
        0.020 out 101 Disconnected/NoSuchUser
        ",
    );
    assert_eq!((counters.sip_calls, counters.alone), (1, 1));
}

#[test]
fn what_the_switch_says_counts_and_the_contradiction_is_noted() {
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
    let story =
        asterisk(&[RINGS, "2.004 DialEnd a>b BUSY\n2.005 Hangup b 17 486\n2.012 Hangup a 17 486"].concat());
    let (events, counters) = both(&story.told, &sip);
    assert_told(
        &events,
        &[
            RINGS_TOLD,
            "
            2.005 inb 102 Disconnected/TargetBusy missed
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
fn a_call_through_the_switch_that_finds_no_channel_is_not_told_a_second_time() {
    // The switch shows another number than SIP does.
    let sip = format!(
        "{SIP}
        10.000 carol > pbx INVITE 555 call=3
        10.020 pbx > carol 200 call=3
        10.030 carol > pbx ACK call=3
        20.000 carol > pbx BYE call=3
        20.010 pbx > carol 200 call=3
        "
    );
    let story = asterisk(&[RINGS, ANSWERED, HANGS_UP].concat());
    let (events, counters) = both(&story.told, &ladder(&sip));
    assert_told(&events, &[RINGS_TOLD, ANSWERED_TOLD, HANGS_UP_TOLD].concat());
    assert_eq!((counters.sip_calls, counters.unmatched, counters.alone), (3, 1, 0));
}

#[test]
fn a_call_that_goes_past_the_switch_is_told_as_sip_shows_it() {
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
    let story = asterisk(&[RINGS, ANSWERED, HANGS_UP].concat());
    let (events, counters) = both(&story.told, &ladder(&sip));
    assert_eq!(counters.alone, 1);
    let of_dave = events.iter().filter(|event| written(std::slice::from_ref(event))[0].contains("inb 104"));
    assert_eq!(of_dave.count(), 4);
}

/// As an Asterisk lists the call while it goes on.
const LISTED: &str = "
    AT.000 List
    AT.001 CoreShowChannel a Application=Dial BridgeId=one
    AT.001 CoreShowChannel b Application=AppDial BridgeId=one
    AT.002 CoreShowChannelsComplete ListItems=2
";

const NO_SIP: &str = "";

const LOST: SwitchLink = SwitchLink::Lost { lost_after: Some(Duration::from_secs(900)) };

/// The list at a time.
fn listed(at: u32) -> String {
    LISTED.replace("AT", &at.to_string())
}

fn outages(told: &str, sip: &str, links: &[(f64, SwitchLink)]) -> (Vec<Event>, Counters) {
    told::with_outages(Switch::Ami, &asterisk(told).told, &ladder(sip), links)
}

#[test]
fn calls_of_a_switch_that_does_not_come_back_end_as_lost() {
    let (events, _) = outages(&[RINGS, ANSWERED].concat(), NO_SIP, &[(-1.0, SwitchLink::Up), (10.0, LOST)]);
    assert_told(
        &events,
        &[
            RINGS_TOLD,
            ANSWERED_TOLD,
            "
            910.000 out 101 Disconnected/CallDropped
            910.000 inb 102 Disconnected/CallDropped
            ",
        ]
        .concat(),
    );
    assert!(events.iter().rev().take(2).all(|event| event.rule == Rule::SwitchLost));
}

#[test]
fn a_call_that_rings_when_its_switch_is_lost_for_good_is_missed() {
    let soon = SwitchLink::Lost { lost_after: Some(Duration::from_secs(60)) };
    let (events, _) = outages(RINGS, NO_SIP, &[(-1.0, SwitchLink::Up), (0.5, soon)]);
    assert_told(
        &events,
        &[
            RINGS_TOLD,
            "
            60.500 inb 102 Disconnected/NoAnswer missed
            60.500 out 101 Disconnected/NoAnswer
            ",
        ]
        .concat(),
    );
}

#[test]
fn a_connection_that_comes_back_in_time_ends_no_call() {
    let told = [RINGS, ANSWERED, &listed(800), &HANGS_UP.replace(" 5.", " 1005.")].concat();
    let links = [(-1.0, SwitchLink::Up), (10.0, LOST), (20.0, LOST), (799.0, SwitchLink::Up)];
    let (events, _) = outages(&told, NO_SIP, &links);
    assert_told(&events, &[RINGS_TOLD, ANSWERED_TOLD, &HANGS_UP_TOLD.replace(" 5.", " 1005.")].concat());
}
