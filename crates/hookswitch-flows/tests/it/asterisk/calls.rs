//! Calls that are answered, or are not.

use hookswitch_model::Direction;

use hookswitch_flows::asterisk::asterisk;

/// Two people, and a trunk by the name of its endpoint.
const NAMED_TRUNK: &str = r#"
[[account]]
id = 310001016
country_code = "1"
[[account.extension]]
number = "101"
name = "Ann Lee"
[[account.extension]]
number = "102"
name = "Bo Roy"
numbers = ["+16505550102"]
[[account.trunk]]
endpoints = ["trunk"]
"#;

/// 101 calls 102, whose phone rings.
pub(super) const RINGS: &str = "
    0.000 Newchannel a PJSIP/101 Exten=102
    0.002 Newexten a Dial(PJSIP/102,15,tT)
    0.004 Newchannel b PJSIP/102 of=a
    0.005 Newexten b AppDial((Outgoing_Line))
    0.006 DialBegin a>b DialString=102
    0.020 Newstate b 5
    0.021 DialState a>b RINGING
";

pub(super) const RINGS_TOLD: &str = "
    0.000 out 101 Setup
    0.006 inb 102 Setup
    0.020 inb 102 Proceeding
    0.021 out 101 Proceeding
";

/// Both are in a bridge.
pub(super) const ANSWERED: &str = "
    1.000 Newstate b 6
    1.001 DialEnd a>b ANSWER
    1.002 Newstate a 6
    1.003 BridgeEnter b one
    1.004 BridgeEnter a one
";

pub(super) const ANSWERED_TOLD: &str = "
    1.000 inb 102 Answered
    1.002 out 101 Answered
";

pub(super) fn story(parts: &[&str], told: &[&str]) {
    asterisk(&parts.concat()).tells(&told.concat());
}

#[test]
fn an_answered_call_ends_with_who_hangs_up_first_though_the_other_hang_up_is_told_first() {
    story(
        &[
            RINGS,
            ANSWERED,
            "
            5.000 HangupRequest a 16
            5.001 BridgeLeave a one
            5.002 BridgeLeave b one
            5.003 Hangup b 16
            5.004 Newexten a NoOp(bye) exten=h
            5.005 Hangup a 16
            ",
        ],
        &[
            RINGS_TOLD,
            ANSWERED_TOLD,
            "
            5.005 out 101 Disconnected
            5.005 inb 102 Disconnected
            ",
        ],
    );
}

#[test]
fn a_call_from_a_trunk_keeps_the_number_of_the_caller() {
    asterisk(
        "
        0.000 Newchannel a PJSIP/trunk Exten=+16505550102 number=+14155550123 name=Pat
        0.001 Newexten a Goto(internal,102,1) exten=+16505550102
        0.002 Newexten a Dial(PJSIP/102) exten=102
        0.004 Newchannel b PJSIP/102 of=a
        0.006 DialBegin a>b DialString=102
        0.020 Newstate b 5
        0.021 DialState a>b RINGING
        1.000 Newstate b 6
        1.002 Newstate a 6
        1.003 BridgeEnter b one
        1.004 BridgeEnter a one
        5.000 HangupRequest a 16
        5.001 Hangup a 16
        5.002 Hangup b 16
        ",
    )
    .tells(
        "
        0.000 out +14155550123 Setup
        0.006 inb 102 Setup
        0.020 inb 102 Proceeding
        0.021 out +14155550123 Proceeding
        1.000 inb 102 Answered
        1.002 out +14155550123 Answered
        5.001 out +14155550123 Disconnected
        5.002 inb 102 Disconnected
        ",
    );
}

#[test]
fn a_number_that_a_named_trunk_brings_is_found_in_the_directory() {
    let story = asterisk(
        "
        0.000 Newchannel a PJSIP/trunk Exten=+16505550102 number=+14155550123 name=Pat
        0.002 Newexten a Dial(PJSIP/102)
        0.004 Newchannel b PJSIP/102 of=a
        0.006 DialBegin a>b DialString=102
        0.020 DialState a>b RINGING
        2.000 Hangup a 16
        2.000 DialEnd a>b CANCEL
        2.000 Hangup b 16
        ",
    )
    .with_directory(NAMED_TRUNK);
    let events = story.events();
    let caller = &events[0].party;
    assert_eq!(caller.extension, None, "who calls by a trunk is outside");
    assert_eq!(caller.to.name.as_deref(), Some("Bo Roy"), "the number is Bo's");
    let bo = events.iter().find(|event| event.party.extension.is_some()).expect("Bo is called");
    assert_eq!(caller.to.extension, bo.party.extension);
    assert_eq!(bo.party.to.name.as_deref(), Some("Bo Roy"));
}

#[test]
fn a_short_number_that_is_dialled_into_a_named_trunk_is_outside() {
    let story = asterisk(
        "
        0.000 Newchannel a PJSIP/101 Exten=102
        0.002 Newexten a Dial(PJSIP/102@trunk)
        0.004 Newchannel b PJSIP/trunk of=a number=102
        0.006 DialBegin a>b DialString=102@trunk
        0.020 DialState a>b RINGING
        2.000 Hangup a 16
        2.000 DialEnd a>b CANCEL
        2.000 Hangup b 16
        ",
    )
    .with_directory(NAMED_TRUNK);
    let callees = || story.events().into_iter().filter(|event| event.party.direction == Direction::Inbound);
    assert!(callees().count() > 0);
    assert!(callees().all(|event| event.party.extension.is_none()), "it is not Bo's number there");
}

#[test]
fn a_call_through_a_trunk_goes_to_the_number_that_was_dialled_there() {
    // The caller's number has become the company's by then; who calls is known from the beginning.
    asterisk(
        "
        0.000 Newchannel a PJSIP/101 Exten=914155550123
        0.002 Newexten a Dial(PJSIP/+14155550123@trunk)
        0.004 Newchannel b PJSIP/trunk of=a number=914155550123
        0.006 DialBegin a>b DialString=+14155550123@trunk
        0.300 DialState a>b PROGRESS
        1.000 Newstate b 6
        1.002 Newstate a 6
        1.003 BridgeEnter b one
        1.004 BridgeEnter a one
        5.000 HangupRequest b 16
        5.001 Hangup b 16
        5.002 Hangup a 16
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.006 inb +14155550123 Proceeding
        0.300 out 101 Proceeding
        1.000 inb +14155550123 Answered
        1.002 out 101 Answered
        5.001 inb +14155550123 Disconnected
        5.002 out 101 Disconnected
        ",
    );
}

#[test]
fn a_caller_who_gives_up_is_missed() {
    story(
        &[
            RINGS,
            "
            2.000 HangupRequest a 127 487
            2.001 DialEnd a>b CANCEL
            2.002 Hangup b 127 500
            2.003 Hangup a 127 487
            ",
        ],
        &[
            RINGS_TOLD,
            "
            2.002 inb 102 Disconnected/Cancelled missed
            2.003 out 101 Disconnected
            ",
        ],
    );
}

#[test]
fn a_busy_phone_does_not_ring() {
    // The caller's phone confirms that it was refused; that is no hang-up of its own.
    asterisk(
        "
        0.000 Newchannel a PJSIP/101 Exten=102
        0.004 Newchannel b PJSIP/102 of=a
        0.006 DialBegin a>b DialString=102
        0.100 HangupRequest b 17 486
        0.101 DialEnd a>b BUSY
        0.102 Hangup b 17 486
        0.103 Newexten a Busy(3)
        0.104 HangupRequest a 17 486
        0.105 Hangup a 17 486
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.006 inb 102 Setup
        0.102 inb 102 Disconnected/TargetBusy missed
        0.105 out 101 Disconnected/TargetBusy
        ",
    );
}

#[test]
fn a_call_that_is_declined_is_not_unanswered_though_the_dial_says_so() {
    story(
        &[
            RINGS,
            "
            2.000 HangupRequest b 21 603
            2.001 DialEnd a>b NOANSWER
            2.002 Hangup b 21 603
            2.010 Hangup a 19 480
            ",
        ],
        &[
            RINGS_TOLD,
            "
            2.002 inb 102 Disconnected/Rejected missed
            2.010 out 101 Disconnected/Rejected
            ",
        ],
    );
}

#[test]
fn the_end_of_the_dial_may_be_told_after_the_hang_up() {
    story(
        &[
            RINGS,
            "
            15.000 Hangup b 0
            15.003 DialEnd a>b NOANSWER
            15.010 Hangup a 19 480
            ",
        ],
        &[
            RINGS_TOLD,
            "
            15.000 inb 102 Disconnected/NoAnswer missed
            15.010 out 101 Disconnected/NoAnswer
            ",
        ],
    );
}

#[test]
fn a_carrier_that_fails_is_an_internal_error_and_a_number_that_it_does_not_know_is_invalid() {
    for (cause, status, dial, reason) in [
        ("34", "503", "CONGESTION", "InternalError"),
        ("1", "404", "NOANSWER", "InvalidNumber"),
        ("21", "403", "NOANSWER", "DestinationBlocked"),
        ("21", "402", "NOANSWER", "NotEnoughFunds"),
        ("20", "480", "CHANUNAVAIL", "NoAnswer"),
    ] {
        asterisk(&format!(
            "
            0.000 Newchannel a PJSIP/101 Exten=14155550123
            0.004 Newchannel b PJSIP/trunk of=a number=14155550123
            0.006 DialBegin a>b DialString=14155550123@trunk
            0.100 DialEnd a>b {dial}
            0.101 Hangup b {cause} {status}
            0.105 Hangup a 34 503
            "
        ))
        .tells(&format!(
            "
            0.000 out 101 Setup
            0.006 inb 14155550123 Proceeding
            0.101 inb 14155550123 Disconnected/{reason}
            0.105 out 101 Disconnected/{reason}
            "
        ));
    }
}

#[test]
fn a_phone_that_is_not_registered_is_not_called() {
    asterisk(
        "
        0.000 Newchannel a PJSIP/101 Exten=102
        0.002 Newexten a Dial(PJSIP/102,15)
        0.010 Hangup a 20 480
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.010 out 101 Disconnected/NoAnswer
        ",
    );
}

#[test]
fn of_a_ring_group_one_answers_and_nobody_has_missed_anything() {
    asterisk(
        "
        0.000 Newchannel a PJSIP/101 Exten=610
        0.002 Newexten a Dial(PJSIP/102&PJSIP/103&PJSIP/104,15)
        0.003 Newchannel b PJSIP/102 of=a
        0.003 Newchannel c PJSIP/103 of=a
        0.003 Newchannel d PJSIP/104 of=a
        0.006 DialBegin a>b DialString=102
        0.007 DialBegin a>c DialString=103
        0.008 DialBegin a>d DialString=104
        0.010 HangupRequest d 17 486
        0.011 DialEnd a>d BUSY
        0.012 Hangup d 17 486
        0.020 Newstate b 5
        0.021 DialState a>b RINGING
        0.022 Newstate c 5
        0.023 DialState a>c RINGING
        2.000 Newstate c 6
        2.001 DialEnd a>b CANCEL
        2.002 DialEnd a>c ANSWER
        2.003 Newstate a 6
        2.004 Hangup b 26
        2.005 BridgeEnter c one
        2.006 BridgeEnter a one
        4.000 HangupRequest a 16
        4.001 Hangup a 16
        4.002 Hangup c 16
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.006 inb 102 Setup
        0.007 inb 103 Setup
        0.008 inb 104 Setup
        0.012 inb 104 Disconnected/TargetBusy
        0.020 inb 102 Proceeding
        0.021 out 101 Proceeding
        0.022 inb 103 Proceeding
        2.000 inb 103 Answered
        2.003 out 101 Answered
        2.004 inb 102 Disconnected
        4.001 out 101 Disconnected
        4.002 inb 103 Disconnected
        ",
    );
}

#[test]
fn a_phone_that_sends_its_call_elsewhere_has_forwarded_it() {
    // The pipe within the switch is nobody, and is optimised away.
    asterisk(
        "
        0.000 Newchannel a PJSIP/101 Exten=104
        0.002 Newexten a Dial(PJSIP/104,15)
        0.004 Newchannel b PJSIP/104 of=a
        0.006 DialBegin a>b DialString=104
        0.010 HangupRequest b 23 302
        0.011 Newchannel x Local/103@internal-00000000;1 of=a Exten=103
        0.011 Newchannel y Local/103@internal-00000000;2 of=a state=4 Exten=103 number=101
        0.012 LocalBridge LocalOne:x LocalTwo:y
        0.013 DialEnd a>b CANCEL Forward=103
        0.014 DialBegin a>x DialString=103@internal
        0.015 Newexten y Dial(PJSIP/103,15)
        0.016 Hangup b 23 302
        0.017 Newchannel c PJSIP/103 of=a
        0.018 DialBegin y>c DialString=103
        0.030 Newstate c 5
        0.031 Newstate x 5
        0.032 DialState y>c RINGING
        0.033 DialState a>x RINGING
        1.000 Newstate c 6
        1.001 DialEnd y>c ANSWER
        1.002 Newstate y 6
        1.003 BridgeEnter c one
        1.004 Newstate x 6
        1.005 DialEnd a>x ANSWER
        1.006 Newstate a 6
        1.007 BridgeEnter y one
        1.008 BridgeEnter x two
        1.009 BridgeEnter a two
        1.010 BridgeLeave c one
        1.011 BridgeLeave x two
        1.012 BridgeEnter c two Swap=x
        1.013 BridgeLeave y one
        1.014 Hangup y 16
        1.015 Hangup x 16
        3.000 HangupRequest c 16
        3.001 Hangup c 16
        3.002 Hangup a 16
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.006 inb 104 Setup
        0.013 inb 104 Disconnected/CallRedirected
        0.018 inb 103 Setup
        0.030 inb 103 Proceeding
        0.032 out 101 Proceeding
        1.000 inb 103 Answered
        1.006 out 101 Answered
        3.001 inb 103 Disconnected
        3.002 out 101 Disconnected
        ",
    );
}

#[test]
fn a_call_that_the_dialplan_forwards_has_no_leg_to_who_was_dialled() {
    asterisk(
        "
        0.000 Newchannel a PJSIP/101 Exten=104
        0.002 Newexten a Dial(Local/103@internal,15)
        0.003 Newchannel x Local/103@internal-00000001;1 of=a Exten=103
        0.003 Newchannel y Local/103@internal-00000001;2 of=a state=4 Exten=103 number=101
        0.005 Newexten y Dial(PJSIP/103,15)
        0.006 Newchannel c PJSIP/103 of=a
        # What the second end does may be told before the first was called.
        0.007 DialBegin y>c DialString=103
        0.008 DialBegin a>x DialString=103@internal
        0.030 Newstate c 5
        0.032 DialState y>c RINGING
        2.000 HangupRequest a 127 487
        2.001 DialEnd a>x CANCEL
        2.002 Hangup x 127
        2.003 DialEnd y>c CANCEL
        2.004 Hangup c 127 500
        2.005 Hangup y 127
        2.006 Hangup a 127 487
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.007 inb 103 Setup
        0.030 inb 103 Proceeding
        0.032 out 101 Proceeding
        2.004 inb 103 Disconnected/Cancelled missed
        2.006 out 101 Disconnected
        ",
    );
}

#[test]
fn a_click_to_call_rings_the_initiator_first() {
    asterisk(
        "
        0.000 Newchannel a PJSIP/101 state=0
        0.001 Newexten a AppDial2((Outgoing_Line))
        0.002 DialBegin >a DialString=101
        0.010 Newstate a 5
        0.011 DialState >a RINGING
        1.000 OriginateResponse a Response=Success Reason=4
        1.001 Newstate a 6
        1.002 DialEnd >a ANSWER
        1.003 Newexten a Dial(PJSIP/102,15) exten=102
        1.004 Newchannel b PJSIP/102 of=a
        1.005 Newstate b 5
        1.006 DialBegin a>b DialString=102
        1.007 DialState a>b RINGING
        2.000 Newstate b 6
        2.001 DialEnd a>b ANSWER
        2.002 BridgeEnter b one
        2.003 BridgeEnter a one
        4.000 HangupRequest b 16
        4.001 Hangup b 16
        4.002 Hangup a 16
        ",
    )
    .tells(
        "
        0.010 inb 101 Proceeding [RingOut Initiator]
        1.001 inb 101 Answered
        1.006 inb 102 Setup [RingOut Target]
        1.006 inb 102 Proceeding
        2.000 inb 102 Answered
        4.001 inb 102 Disconnected
        4.002 inb 101 Disconnected
        ",
    );
}

#[test]
fn a_click_to_call_through_a_pipe_is_the_same() {
    asterisk(
        "
        0.000 Newchannel x Local/101@internal-00000002;1 state=0 Exten=101
        0.000 Newchannel y Local/101@internal-00000002;2 of=x state=4 Exten=101
        0.001 DialBegin >x DialString=101@internal
        0.002 Newexten y Dial(PJSIP/101)
        0.003 Newchannel a PJSIP/101 of=x
        0.004 DialBegin y>a DialString=101
        0.010 Newstate a 5
        1.000 Newstate a 6
        1.001 DialEnd y>a ANSWER
        1.002 Newstate y 6
        1.003 BridgeEnter a one
        1.004 BridgeEnter y one
        1.005 Newstate x 6
        1.006 DialEnd >x ANSWER
        1.007 Newexten x Dial(PJSIP/102)
        1.008 Newchannel b PJSIP/102 of=x
        1.009 DialBegin x>b DialString=102
        1.010 Newstate b 5
        2.000 Newstate b 6
        2.001 DialEnd x>b ANSWER
        2.002 BridgeEnter b two
        2.003 BridgeEnter x two
        2.004 BridgeEnter b one Swap=y
        2.005 Hangup y 16
        2.006 Hangup x 16
        4.000 HangupRequest a 16
        4.001 Hangup a 16
        4.002 Hangup b 16
        ",
    )
    .tells(
        "
        0.010 inb 101 Proceeding [RingOut Initiator]
        1.000 inb 101 Answered
        1.009 inb 102 Setup [RingOut Target]
        1.010 inb 102 Proceeding
        2.000 inb 102 Answered
        4.001 inb 101 Disconnected
        4.002 inb 102 Disconnected
        ",
    );
}

#[test]
fn a_phone_that_is_lost_drops_its_call() {
    story(
        &[
            RINGS,
            ANSWERED,
            "
            30.000 BridgeLeave b one
            30.001 Hangup b 44
            30.002 BridgeLeave a one
            30.003 Hangup a 16
            ",
        ],
        &[
            RINGS_TOLD,
            ANSWERED_TOLD,
            "
            30.001 inb 102 Disconnected/CallDropped
            30.003 out 101 Disconnected
            ",
        ],
    );
}

#[test]
fn hold_belongs_to_who_holds_and_a_resume_without_a_hold_is_nothing() {
    story(
        &[
            RINGS,
            ANSWERED,
            "
            2.000 Unhold b
            3.000 Hold b MusicClass=default
            3.001 MusicOnHoldStart a Class=default
            4.000 Unhold b
            4.001 MusicOnHoldStop a
            5.000 Hold a
            6.000 HangupRequest a 16
            6.001 Hangup a 16
            6.002 Hangup b 16
            ",
        ],
        &[
            RINGS_TOLD,
            ANSWERED_TOLD,
            "
            3.000 inb 102 Hold
            4.000 inb 102 Answered
            5.000 out 101 Hold
            6.001 out 101 Disconnected
            6.002 inb 102 Disconnected
            ",
        ],
    );
}

#[test]
fn a_switch_that_goes_down_takes_its_calls_with_it() {
    story(
        &[RINGS, ANSWERED, "9.000 Shutdown Shutdown=Uncleanly Restart=False"],
        &[
            RINGS_TOLD,
            ANSWERED_TOLD,
            "
            9.000 out 101 Disconnected/CallDropped
            9.000 inb 102 Disconnected/CallDropped
            ",
        ],
    );
}

#[test]
fn a_withheld_number_is_withheld() {
    asterisk(
        "
        0.000 Newchannel a PJSIP/trunk Exten=102 number=anonymous name=Anonymous
        0.004 Newchannel b PJSIP/102 of=a
        0.006 DialBegin a>b DialString=102
        0.020 Newstate b 5
        2.000 HangupRequest a 127 487
        2.002 Hangup b 127 500
        2.003 Hangup a 127 487
        ",
    )
    .tells(
        "
        0.000 out Anonymous Setup
        0.006 inb 102 Setup
        0.020 inb 102 Proceeding
        2.002 inb 102 Disconnected/Cancelled missed
        2.003 out Anonymous Disconnected
        ",
    );
}
