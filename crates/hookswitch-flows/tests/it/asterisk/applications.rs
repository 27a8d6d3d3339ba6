//! Calls that software makes and moves, and phones that take calls without a word of the switch.

use super::calls::{ANSWERED, ANSWERED_TOLD, RINGS, RINGS_TOLD};
use hookswitch_flows::asterisk::asterisk;

fn story(parts: &[&str], told: &[&str]) {
    asterisk(&parts.concat()).tells(&told.concat());
}

#[test]
fn a_leg_that_an_application_calls_belongs_to_the_call_that_it_names() {
    story(
        &["
            0.000 Newchannel a PJSIP/101 Exten=670
            0.002 Newexten a Stasis(observer,one)
            0.700 Newchannel b PJSIP/102 of=a
            0.700 Newexten b AppDial2((Outgoing_Line))
            0.701 DialBegin >b DialString=102
            0.702 DialState >b RINGING
            0.703 Newstate b 5
            1.700 Newstate b 6
            1.701 DialEnd >b ANSWER
            2.000 Newstate a 6
            2.001 BridgeEnter a one
            2.002 BridgeEnter b one
            4.000 HangupRequest a
            4.001 Hangup a 16
            4.200 Hangup b 16
        "],
        &["
            0.000 out 101 Setup
            0.701 inb 102 Setup
            0.702 inb 102 Proceeding
            1.700 inb 102 Answered
            2.000 out 101 Answered
            4.001 out 101 Disconnected
            4.200 inb 102 Disconnected
        "],
    );
}

#[test]
fn a_leg_that_names_a_call_that_is_over_is_a_call_of_its_own() {
    story(
        &[
            RINGS,
            ANSWERED,
            "
            5.000 Hangup a 16
            5.001 Hangup b 16
            6.000 Newchannel c PJSIP/103 of=a
            6.001 DialBegin >c DialString=103
            6.010 Newstate c 5
            8.000 DialEnd >c NOANSWER
            8.001 Hangup c 0
            ",
        ],
        &[
            RINGS_TOLD,
            ANSWERED_TOLD,
            "
            5.000 out 101 Disconnected
            5.001 inb 102 Disconnected
            #2 6.010 inb 103 Proceeding [RingOut Initiator]
            #2 8.001 inb 103 Disconnected/NoAnswer
            ",
        ],
    );
}

#[test]
fn a_ringing_call_that_an_invite_takes_without_a_pickup_event_is_picked_up() {
    story(
        &[
            RINGS,
            "
            2.000 Newchannel c PJSIP/103 Exten=102
            2.001 Newstate c 6
            2.002 Unhold c
            2.003 Newexten c AppDial((Outgoing_Line))
            2.010 Hangup b 0
            2.012 DialEnd a>c ANSWER
            2.013 Newstate a 6
            2.014 BridgeEnter c one
            2.014 BridgeEnter a one
            5.000 HangupRequest a 16
            5.001 Hangup a 16
            5.002 Hangup c 16
            ",
        ],
        &[
            RINGS_TOLD,
            "
            2.000 inb 103 Setup
            2.001 inb 103 Answered/Pickup
            2.010 inb 102 Disconnected/Pickup
            2.013 out 101 Answered
            5.001 out 101 Disconnected
            5.002 inb 103 Disconnected
            ",
        ],
    );
}

#[test]
fn a_message_that_was_left_after_a_transfer_shows_the_mailbox() {
    story(
        &[
            RINGS,
            ANSWERED,
            "
            2.000 BlindTransfer Transferer:b Transferee:a Extension=*99103 Result=Success IsExternal=Yes
            2.001 BridgeLeave b one
            2.002 Newexten a Dial(PJSIP/102,15,tT) exten=*99103
            2.003 Hangup b 16
            2.004 BridgeLeave a one
            7.000 HangupRequest a 16
            7.001 VarSet a Variable=VM_MESSAGEFILE Value=/var/spool/asterisk/voicemail/default/103/INBOX/msg0000
            7.002 Hangup a 16
            ",
        ],
        &[
            RINGS_TOLD,
            ANSWERED_TOLD,
            "
            2.003 inb 102 Disconnected/BlindTransfer
            7.001 inb 103 Setup
            7.001 inb 103 VoiceMail missed
            7.002 out 101 Disconnected
            7.002 inb 103 Disconnected missed
            ",
        ],
    );
}

#[test]
fn an_answered_leg_whose_phone_does_not_answer_requests_any_more_was_dropped() {
    story(
        &[
            RINGS,
            ANSWERED,
            "
            5.000 Hangup b 102 408
            5.001 Hangup a 16
            ",
        ],
        &[
            RINGS_TOLD,
            ANSWERED_TOLD,
            "
            5.000 inb 102 Disconnected/CallDropped
            5.001 out 101 Disconnected
            ",
        ],
    );
}

#[test]
fn who_is_consulted_by_a_code_and_does_not_answer_has_missed_the_call_of_who_talks() {
    story(
        &[
            RINGS,
            ANSWERED,
            "
            3.000 DTMFEnd b Digit=2
            3.000 Hold b
            5.000 Newchannel x Local/104@internal-0;1 of=a
            5.000 Newchannel y Local/104@internal-0;2 of=a state=4 number=102
            5.001 Newexten y Dial(PJSIP/104,15)
            5.002 BridgeEnter x two
            5.003 Newchannel d PJSIP/104 of=a
            5.004 DialBegin y>d DialString=104
            5.005 BridgeLeave b one
            5.006 BridgeEnter b two
            5.010 Newstate d 5
            10.000 BridgeLeave b two
            10.001 BridgeEnter b one
            10.002 Unhold b
            10.003 HangupRequest y 16
            10.004 Hangup x 16
            10.005 DialEnd y>d CANCEL
            10.006 Hangup y 16
            10.007 Hangup d 16
            12.000 HangupRequest a 16
            12.001 Hangup a 16
            12.002 Hangup b 16
            ",
        ],
        &[
            RINGS_TOLD,
            ANSWERED_TOLD,
            "
            5.004 inb 104 Setup
            5.010 inb 104 Proceeding
            10.007 inb 104 Disconnected/NoAnswer missed
            12.001 out 101 Disconnected
            12.002 inb 102 Disconnected
            ",
        ],
    );
}

#[test]
fn a_switch_that_calls_an_outside_number_first_has_one_party_for_it() {
    for (rings, answers) in [(true, true), (true, false), (false, true)] {
        let mut begins = "
            0.000 Newchannel a PJSIP/trunk number=<unknown>
            0.001 DialBegin >a DialString=+14155550188@trunk
        "
        .to_owned();
        let mut told = "
            0.001 inb +14155550188 Proceeding [RingOut Initiator]
        "
        .to_owned();
        if rings {
            begins += "0.300 Newstate a 5\n0.301 DialState >a RINGING\n";
        }
        if answers {
            begins += "
                4.000 Newstate a 6
                4.001 DialEnd >a ANSWER
                4.002 Newexten a Dial(PJSIP/102) exten=102
                4.003 Newchannel b PJSIP/102 of=a
                4.004 DialBegin a>b DialString=102
                4.020 Newstate b 5
                6.000 Newstate b 6
                6.001 DialEnd a>b ANSWER
                6.002 BridgeEnter b one
                6.002 BridgeEnter a one
                9.000 HangupRequest a 16
                9.001 Hangup a 16
                9.002 Hangup b 16
            ";
            told += "
                4.000 inb +14155550188 Answered
                4.004 inb 102 Setup [RingOut Target]
                4.020 inb 102 Proceeding
                6.000 inb 102 Answered
                9.001 inb +14155550188 Disconnected
                9.002 inb 102 Disconnected
            ";
        } else {
            begins += "30.000 DialEnd >a NOANSWER\n30.001 Hangup a 0\n";
            told += "30.001 inb +14155550188 Disconnected/NoAnswer\n";
        }
        story(&[&begins], &[&told]);
    }
}

#[test]
fn who_starts_a_call_and_does_not_answer_has_missed_nothing() {
    story(
        &["
            0.000 Newchannel a PJSIP/101 number=102
            0.001 DialBegin >a DialString=101
            0.020 Newstate a 5
            20.000 DialEnd >a NOANSWER
            20.001 Hangup a 0
        "],
        &["
            0.020 inb 101 Proceeding [RingOut Initiator]
            20.001 inb 101 Disconnected/NoAnswer
        "],
    );
}

/// A directory that names the room.
const ROOM: &str = r#"
[[account]]
id = 310001016
[[account.extension]]
number = "101"
[[account.extension]]
number = "102"
[[account.extension]]
number = "103"
[[account.extension]]
number = "800"
kind = "conference"
"#;

#[test]
fn who_is_called_into_a_room_is_in_it_with_who_has_dialled_it() {
    let dials = "
        1.000 Newchannel a PJSIP/101 Exten=800
        1.001 Newexten a ConfBridge(800)
        1.002 Newstate a 6
        1.003 ConfbridgeJoin a Conference=800
    ";
    let is_called = |at: u8| {
        // The room may be told of before the answer.
        format!(
            "
            {at}.100 Newchannel c PJSIP/103 number=103
            {at}.101 DialBegin >c DialString=103
            {at}.120 Newstate c 5
            {at}.900 ConfbridgeJoin c Conference=800
            {at}.901 Newstate c 6
            {at}.902 DialEnd >c ANSWER
            "
        )
    };
    let ends = "
        5.000 Hangup c 16
        6.000 Hangup a 16
    ";
    let told = |at: u8| {
        format!(
            "
            #NOW {at}.120 inb 103 Proceeding [RingOut Initiator]
            #NOW {at}.900 inb 103 Gone/Conference to #ROOM inb 103
            #ROOM {at}.900 inb 103 Answered [Conference]
            #ROOM 5.000 inb 103 Disconnected
            #ROOM 6.000 out 101 Disconnected
            "
        )
    };
    let after = told(2).replace("#NOW ", "#2 ").replace("to #ROOM", "to #1").replace("#ROOM ", "");
    asterisk(&[dials, &is_called(2), ends].concat())
        .with_directory(ROOM)
        .tells(&(after + "1.000 out 101 Setup [Conference]\n1.002 out 101 Answered\n"));
    let before = told(0).replace("#NOW ", "").replace("to #ROOM", "to #2").replace("#ROOM ", "#2 ");
    asterisk(&[&is_called(0), dials, ends].concat()).with_directory(ROOM).tells(
        &(before
            + "
            #2 1.000 out 101 Setup [Conference]
            #2 1.002 out 101 Answered
        "),
    );
}

#[test]
fn a_caller_who_is_transferred_into_a_room_is_in_it() {
    story(
        &[
            RINGS,
            ANSWERED,
            "
            2.000 BlindTransfer Transferer:b Transferee:a Extension=800 Result=Success IsExternal=Yes
            2.001 BridgeLeave b one
            2.002 Newexten a ConfBridge(800) exten=800
            2.003 Hangup b 16
            2.004 BridgeLeave a one
            2.010 ConfbridgeJoin a Conference=800
            7.000 HangupRequest a 16
            7.002 Hangup a 16
            ",
        ],
        &[
            RINGS_TOLD,
            ANSWERED_TOLD,
            "
            2.003 inb 102 Disconnected/BlindTransfer
            2.010 out 101 Gone/Conference to #2 out 101
            #2 2.010 out 101 Answered [Conference]
            #2 7.002 out 101 Disconnected
            ",
        ],
    );
}

#[test]
fn both_ends_of_a_call_that_software_sends_to_a_room_are_in_it() {
    story(
        &[
            RINGS,
            ANSWERED,
            "
            2.000 BridgeLeave a one
            2.000 BridgeLeave b one
            2.002 Newexten a ConfBridge(800) exten=800
            2.002 Newexten b ConfBridge(800) exten=800
            2.010 ConfbridgeJoin a Conference=800
            2.011 ConfbridgeJoin b Conference=800
            7.000 Hangup a 16
            8.000 Hangup b 16
            ",
        ],
        &[
            RINGS_TOLD,
            ANSWERED_TOLD,
            "
            2.010 out 101 Gone/Conference to #2 out 101
            2.011 inb 102 Gone/Conference to #2 inb 102
            #2 2.010 out 101 Answered [Conference]
            #2 2.011 inb 102 Answered [Conference]
            #2 7.000 out 101 Disconnected
            #2 8.000 inb 102 Disconnected
            ",
        ],
    );
}
