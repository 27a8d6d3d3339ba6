//! Calls that both an Asterisk and its SIP tell of.

use std::time::Duration;

use hookswitch_model::{Event, Note, Rule, SwitchLink};
use hookswitch_pipeline::Switch;
use hookswitch_signal::pairing::Counters;

use super::calls::{ANSWERED, ANSWERED_TOLD, RINGS, RINGS_TOLD};
use hookswitch_flows::asterisk::asterisk;
use hookswitch_flows::ladder::{Ladder, ladder, written};
use hookswitch_flows::told::{self, SIP, StoryResult, assert_told};

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

fn both(told: &[StoryResult], sip: &Ladder) -> (Vec<Event>, Counters) {
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
    let goes_on = "30.000 PeerStatus Peer=PJSIP/101\n";
    let story = asterisk(&[RINGS, ANSWERED, HANGS_UP, goes_on].concat());
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

/// The call of [`SIP`] ten seconds later, of which the switch tells nothing before its list.
const UNSEEN: &str = "
    10.000 Unseen a PJSIP/101 Exten=102 state=6
    10.000 Unseen b PJSIP/102 of=a state=6
";

const LATER_SIP_TOLD: &str = "
    9.980 out 101 Setup
    10.005 inb 102 Setup
    10.019 inb 102 Proceeding
    10.021 out 101 Proceeding
    10.999 inb 102 Answered
    11.001 out 101 Answered
    14.999 out 101 Disconnected
    15.001 inb 102 Disconnected
";

/// A text whose lines begin with seconds, so many seconds later.
fn later(text: &str, seconds: f64) -> String {
    let line = |line: &str| {
        let (at, rest) = line.trim().split_once(' ')?;
        Some(format!("{:.3} {rest}\n", at.parse::<f64>().ok()? + seconds))
    };
    text.lines().filter_map(line).collect()
}

#[test]
fn a_call_that_begins_before_the_first_login_is_told_once() {
    let told = [UNSEEN, &listed(13), &later(HANGS_UP, 10.0)].concat();
    let sip = later(SIP, 10.0);
    let (events, counters) = outages(&told, &sip, &[(0.0, LOST), (12.9, SwitchLink::Up)]);
    assert_told(&events, LATER_SIP_TOLD);
    assert_eq!((counters.sip_calls, counters.alone, counters.joined_by_numbers), (2, 2, 0));
    // In two transcripts, of which one begins later, nothing says when the connection was made.
    let (events, _) = both(&asterisk(&told).told, &ladder(&sip));
    assert_told(&events, LATER_SIP_TOLD);
}

#[test]
fn a_call_that_begins_during_an_outage_and_rings_when_the_switch_comes_back_is_told_once() {
    // The list comes while 102 rings.
    let told = [
        "
        10.000 Unseen a PJSIP/101 Exten=102 state=4
        10.000 Unseen b PJSIP/102 of=a state=5
        10.500 List
        10.501 CoreShowChannel a Application=Dial
        10.501 CoreShowChannel b Application=AppDial
        10.502 CoreShowChannelsComplete ListItems=2
        11.000 Newstate b 6
        11.002 Newstate a 6
        11.003 BridgeEnter b one
        11.004 BridgeEnter a one
        ",
        &later(HANGS_UP, 10.0),
    ];
    let links = [(0.0, SwitchLink::Up), (5.0, LOST), (10.4, SwitchLink::Up)];
    let (events, _) = outages(&told.concat(), &later(SIP, 10.0), &links);
    assert_told(&events, LATER_SIP_TOLD);
}

#[test]
fn a_target_that_is_called_after_the_switch_came_back_belongs_to_the_call_that_sip_tells() {
    // The dialplan waits, and calls 102 when the switch is heard again.
    let sip = later(SIP, 10.0).replace("9.9", "6.9");
    let told = "
        7.000 Unseen a PJSIP/101 Exten=102 state=4
        9.000 List
        9.001 CoreShowChannel a Application=Wait
        9.002 CoreShowChannelsComplete ListItems=1
    ";
    let told = [
        told,
        &later(RINGS, 10.0).replace("10.000 Newchannel a PJSIP/101 Exten=102", ""),
        &later(ANSWERED, 10.0),
    ];
    let told = [&*told.concat(), &later(HANGS_UP, 10.0)].concat();
    let (events, _) = outages(&told, &sip, &[(0.0, LOST), (8.9, SwitchLink::Up)]);
    assert_told(&events, &LATER_SIP_TOLD.replace("9.980", "6.980"));
}

#[test]
fn a_call_that_ends_during_an_outage_ends_as_sip_shows_it() {
    let (events, _) = outages(&[RINGS, ANSWERED].concat(), SIP, &[(-10.0, SwitchLink::Up), (3.0, LOST)]);
    let ends = "
        4.999 out 101 Disconnected
        5.001 inb 102 Disconnected
    ";
    assert_told(&events, &[RINGS_TOLD, ANSWERED_TOLD, ends].concat());
    // The list names it no more, which is no news.
    let told = [RINGS, ANSWERED, "60.000 List\n60.001 CoreShowChannelsComplete ListItems=0\n"].concat();
    let links = [(-10.0, SwitchLink::Up), (3.0, LOST), (59.0, SwitchLink::Up)];
    let (events, _) = outages(&told, SIP, &links);
    assert_told(&events, &[RINGS_TOLD, ANSWERED_TOLD, ends].concat());
}

#[test]
fn a_call_that_is_answered_during_an_outage_is_answered_as_sip_shows_it() {
    let (events, _) = outages(RINGS, SIP, &[(-10.0, SwitchLink::Up), (0.5, LOST)]);
    assert_told(
        &events,
        &[
            RINGS_TOLD,
            "
            0.999 inb 102 Answered
            1.001 out 101 Answered
            4.999 out 101 Disconnected
            5.001 inb 102 Disconnected
            ",
        ]
        .concat(),
    );
}

#[test]
fn a_call_goes_on_as_sip_shows_it_when_the_events_of_the_switch_break_off() {
    // A transcript ends in the middle of the call, and nothing says that the connection was lost.
    let (events, _) = both(&asterisk(&[RINGS, ANSWERED].concat()).told, &ladder(SIP));
    let ends = "
        4.999 out 101 Disconnected
        5.001 inb 102 Disconnected
    ";
    assert_told(&events, &[RINGS_TOLD, ANSWERED_TOLD, ends].concat());
}

#[test]
fn a_call_of_which_a_lost_switch_could_not_tell_is_told_as_sip_shows_it() {
    let sip = format!(
        "{SIP}
        10.000 carol > pbx INVITE 104 call=3
        10.005 pbx > dave INVITE 104@dave call=4 from=103 name=Cy
        10.019 dave > pbx 180 call=4
        10.021 pbx > carol 180 call=3
        20.000 carol > pbx CANCEL call=3
        20.001 pbx > carol 200 call=3 for=CANCEL
        20.002 pbx > carol 487 call=3 for=INVITE
        20.003 carol > pbx ACK call=3
        20.004 pbx > dave CANCEL call=4
        20.005 dave > pbx 487 call=4 for=INVITE
        20.006 pbx > dave ACK call=4
        "
    );
    let story = [RINGS, ANSWERED, HANGS_UP].concat();
    // The switch falls silent, and later it is known that the connection was lost.
    let (events, _) = outages(&story, &sip, &[(-10.0, SwitchLink::Up), (60.0, LOST)]);
    let of_dave = |event: &&Event| written(std::slice::from_ref(event))[0].contains("inb 104");
    let dave: Vec<String> =
        events.iter().filter(of_dave).flat_map(|event| written(std::slice::from_ref(event))).collect();
    assert_eq!(dave.len(), 3, "{dave:?}");
    assert!(dave[2].contains("Disconnected/Cancelled missed"), "{dave:?}");
}

/// The Call-IDs of both parties, as each of their events has them.
fn call_ids(events: &[Event], direction: &str) -> Vec<Option<String>> {
    let own = events.iter().filter(|event| event.party.direction.as_str() == direction);
    own.map(|event| event.party.sip.as_ref().map(|sip| sip.call_id.to_string())).collect()
}

#[test]
fn a_call_id_that_the_dialplan_names_is_told_from_the_beginning_without_sip() {
    // What is set with an underscore is inherited by who is called, and is not theirs.
    for (variable, inherited) in
        [("SIPCALLID", ""), ("_SIPCALLID", "SIPCALLID"), ("__SIPCALLID", "__SIPCALLID")]
    {
        let inherits = match inherited {
            "" => String::new(),
            name => format!("0.0042 VarSet b Variable={name} Value=id-of-a\n"),
        };
        let named = format!(
            "
            0.000 Newchannel a PJSIP/101 Exten=102
            0.001 Newexten a Set({variable}=id-of-a)
            0.001 VarSet a Variable={variable} Value=id-of-a
            0.004 Newchannel b PJSIP/102 of=a
            {inherits}
            0.0045 VarSet b Variable=SIPCALLID Value=id-of-b
            "
        );
        let rings = RINGS.replace("0.000 Newchannel a PJSIP/101 Exten=102", &named);
        let rings = rings.replacen("    0.004 Newchannel b PJSIP/102 of=a\n    0.005", "    0.005", 1);
        let events = asterisk(&[&*rings, ANSWERED, HANGS_UP].concat()).events();
        assert_told(&events, &[RINGS_TOLD, ANSWERED_TOLD, HANGS_UP_TOLD].concat());
        for (direction, id) in [("Outbound", "id-of-a"), ("Inbound", "id-of-b")] {
            let ids = call_ids(&events, direction);
            assert!(
                ids.iter().skip(1).all(|it| it.as_deref() == Some(id)),
                "{variable} {direction}: {ids:?}"
            );
        }
    }
}

#[test]
fn a_call_id_that_the_switch_names_for_a_bridge_is_told_without_sip() {
    let named = "
        1.005 VarSet b Variable=BRIDGEPVTCALLID Value=id-of-a
        1.006 VarSet a Variable=BRIDGEPVTCALLID Value=id-of-b
    ";
    let events = asterisk(&[RINGS, ANSWERED, named, HANGS_UP].concat()).events();
    assert_told(&events, &[RINGS_TOLD, ANSWERED_TOLD, HANGS_UP_TOLD].concat());
    assert_eq!(call_ids(&events, "Outbound").last(), Some(&Some("id-of-a".to_owned())));
    assert_eq!(call_ids(&events, "Inbound").last(), Some(&Some("id-of-b".to_owned())));
}
