//! Tests of pipes (`Local/…`): what happens on a half of one happens to who is in front of it.

use hookswitch_flows::asterisk::asterisk;

/// 101 calls a group whose members are called through pipes, and the phones of 102 and 103 ring.
pub(super) const MEMBERS: &str = "
    0.000 Newchannel a PJSIP/101 Exten=610
    0.002 Newexten a Dial(Local/102@internal&Local/103@internal,40)
    0.003 Newchannel x Local/102@internal-1;1 of=a number=102
    0.003 Newchannel y Local/102@internal-1;2 of=a state=4 number=101
    0.004 Newchannel v Local/103@internal-2;1 of=a number=103
    0.004 Newchannel w Local/103@internal-2;2 of=a state=4 number=101
    0.006 DialBegin a>x DialString=102@internal
    0.007 DialBegin a>v DialString=103@internal
    0.008 Newexten y Dial(PJSIP/102,15)
    0.008 Newexten w Dial(PJSIP/103,60)
    0.009 Newchannel b PJSIP/102 of=a
    0.010 Newchannel c PJSIP/103 of=a
    0.011 DialBegin y>b DialString=102
    0.012 DialBegin w>c DialString=103
    0.020 Newstate b 5
    0.021 Newstate c 5
";

const MEMBERS_TOLD: &str = "
    0.000 out 101 Setup
    0.011 inb 102 Setup
    0.012 inb 103 Setup
    0.020 inb 102 Proceeding
    0.021 inb 103 Proceeding
";

/// The caller hears a member through its pipe.
pub(super) const MEMBER_ANSWERS: &str = "
    5.000 Newstate b 6
    5.001 DialEnd y>b ANSWER
    5.002 BridgeEnter b inner
    5.002 BridgeEnter y inner
    5.003 DialEnd a>v CANCEL
    5.004 Hangup v 26
    5.005 DialEnd w>c CANCEL
    5.006 Hangup c 26
    5.007 Hangup w 26
    5.008 DialEnd a>x ANSWER
    5.009 Newstate a 6
    5.010 BridgeEnter x outer
    5.010 BridgeEnter a outer
";

const MEMBER_ANSWERS_TOLD: &str = "
    5.000 inb 102 Answered
    5.006 inb 103 Disconnected
    5.009 out 101 Answered
";

fn story(parts: &[&str], told: &[&str]) {
    asterisk(&parts.concat()).tells(&told.concat());
}

#[test]
fn the_mailbox_of_a_member_takes_the_call_of_a_group() {
    story(
        &[
            MEMBERS,
            "
            15.000 DialEnd y>b NOANSWER
            15.001 Hangup b 0
            15.002 Newexten y VoiceMail(102@default,u)
            15.003 Newstate y 6
            15.004 Newstate x 6
            15.005 DialEnd a>v CANCEL
            15.006 Hangup v 26
            15.007 DialEnd w>c CANCEL
            15.008 Hangup c 26
            15.009 Hangup w 26
            15.010 DialEnd a>x ANSWER
            15.011 Newstate a 6
            24.000 HangupRequest a 16
            24.001 Hangup x 16
            24.002 Hangup a 16
            24.003 Hangup y 16
            ",
        ],
        &[
            MEMBERS_TOLD,
            "
            15.002 inb 102 VoiceMail missed
            15.008 inb 103 Disconnected
            15.011 out 101 Answered
            24.002 out 101 Disconnected
            24.003 inb 102 Disconnected missed
            ",
        ],
    );
}

#[test]
fn a_member_whose_pipe_does_something_else_has_not_answered() {
    story(
        &[
            MEMBERS,
            "
            15.000 DialEnd y>b NOANSWER
            15.001 Hangup b 0
            15.002 Newexten y Hangup()
            15.003 Hangup y 16
            15.004 Hangup x 16
            20.000 HangupRequest a 127 487
            20.001 DialEnd a>v CANCEL
            20.002 DialEnd w>c CANCEL
            20.003 Hangup c 26
            20.004 Hangup w 26
            20.005 Hangup v 26
            20.006 Hangup a 127 487
            ",
        ],
        &[
            MEMBERS_TOLD,
            "
            15.001 inb 102 Disconnected/NoAnswer missed
            20.003 inb 103 Disconnected/Cancelled missed
            20.006 out 101 Disconnected
            ",
        ],
    );
}

#[test]
fn the_mailbox_behind_a_pipe_is_called_by_who_called_into_it() {
    story(
        &["
            0.000 Newchannel a PJSIP/101 Exten=102
            0.002 Newexten a Dial(Local/102@mailboxes)
            0.003 Newchannel x Local/102@mailboxes-1;1 of=a
            0.003 Newchannel y Local/102@mailboxes-1;2 of=a state=4 number=101
            0.006 DialBegin a>x DialString=102@mailboxes
            0.008 Newexten y VoiceMail(102@default,u)
            0.009 Newstate y 6
            0.010 DialEnd a>x ANSWER
            0.011 Newstate a 6
            9.000 Hangup y 16
            9.001 Hangup x 16
            9.002 Hangup a 16
        "],
        &["
            0.000 out 101 Setup
            0.008 inb 102 Setup
            0.008 inb 102 VoiceMail missed
            0.011 out 101 Answered
            9.000 inb 102 Disconnected missed
            9.002 out 101 Disconnected
        "],
    );
}

#[test]
fn a_hold_on_an_inner_half_is_of_who_is_in_front_of_it() {
    for half in ["x", "b"] {
        story(
            &[
                MEMBERS,
                MEMBER_ANSWERS,
                &format!(
                    "
                    8.000 Hold {half}
                    9.000 Unhold {half}
                    "
                ),
                "
                12.000 HangupRequest b 16
                12.001 Hangup b 16
                12.002 Hangup y 16
                12.003 Hangup x 16
                12.004 Hangup a 16
                ",
            ],
            &[
                MEMBERS_TOLD,
                MEMBER_ANSWERS_TOLD,
                "
                8.000 inb 102 Hold
                9.000 inb 102 Answered
                12.001 inb 102 Disconnected
                12.004 out 101 Disconnected
                ",
            ],
        );
    }
}

#[test]
fn a_recording_on_a_half_is_of_the_same_party_from_its_beginning_to_its_end() {
    // From before the member is called, on the half that has the caller in front of it; and of the other.
    for (half, whose) in [("y", "101"), ("x", "102")] {
        let begins = if half == "y" { "0.008" } else { "6.000" };
        let call = [MEMBERS, MEMBER_ANSWERS].concat();
        let (before, after) = if half == "y" {
            call.split_once("    0.009 Newchannel b").expect("the member is called")
        } else {
            (call.as_str(), "")
        };
        let after = if half == "y" { format!("    0.009 Newchannel b{after}") } else { String::new() };
        let story = asterisk(&format!(
            "{before}
            {begins} MixMonitorStart {half}
            {after}
            9.000 MixMonitorStop {half}
            12.000 Hangup b 16
            12.001 Hangup y 16
            12.002 Hangup x 16
            12.003 Hangup a 16
            "
        ));
        let events = story.events();
        let recorded: Vec<(String, bool)> = events
            .iter()
            .filter_map(|event| {
                let recording = event.party.recordings.first()?;
                let own = match event.party.direction {
                    hookswitch_model::Direction::Outbound => &event.party.from,
                    hookswitch_model::Direction::Inbound => &event.party.to,
                };
                Some((own.phone_number.as_deref()?.to_owned(), recording.active))
            })
            .collect();
        assert!(recorded.iter().all(|(number, _)| number == whose), "{half} {recorded:?}");
        let active: Vec<bool> = recorded.iter().map(|(_, active)| *active).collect();
        assert_eq!(active, [true, false, false], "{half}");
    }
}

#[test]
fn a_call_that_the_switch_makes_by_several_pipes_is_one_call() {
    let begins = "
        0.000 Newchannel x Local/101@internal-1;1
        0.000 Newchannel y Local/101@internal-1;2 of=x state=4
        0.001 DialBegin >x DialString=101@internal/n
        0.002 Newexten y Dial(Local/FMPR-101@internal)
        0.003 Newchannel v Local/FMPR-101@internal-2;1 of=x
        0.003 Newchannel w Local/FMPR-101@internal-2;2 of=x state=4
        0.004 DialBegin y>v DialString=FMPR-101@internal
        0.005 Newexten w Dial(PJSIP/101)
        0.006 Newchannel a PJSIP/101 of=x
        0.007 DialBegin w>a DialString=101
        0.020 Newstate a 5
        3.000 Newstate a 6
        3.001 DialEnd w>a ANSWER
        3.002 BridgeEnter a inner
        3.002 BridgeEnter w inner
        3.003 DialEnd y>v ANSWER
        3.004 BridgeEnter v outer
        3.004 BridgeEnter y outer
        3.005 DialEnd >x ANSWER
    ";
    let taken_out = "
        3.006 BridgeLeave a inner
        3.006 BridgeLeave v outer
        3.007 BridgeEnter a outer Swap=v
        3.008 BridgeLeave w inner
        3.009 Hangup v 16
        3.010 Hangup w 16
    ";
    for taken_out in [taken_out, ""] {
        let last = if taken_out.is_empty() { "9.006 Hangup v 16\n9.007 Hangup w 16\n" } else { "" };
        story(
            &[
                begins,
                taken_out,
                "
                3.020 Newexten x Dial(PJSIP/102) exten=102
                3.021 Newchannel b PJSIP/102 of=x
                3.022 DialBegin x>b DialString=102
                3.040 Newstate b 5
                6.000 Newstate b 6
                6.001 DialEnd x>b ANSWER
                6.002 BridgeEnter b talk
                6.002 BridgeEnter x talk
                9.000 HangupRequest b 16
                9.001 Hangup b 16
                9.002 Hangup x 16
                9.003 Hangup y 16
                9.004 Hangup a 16
                ",
                last,
            ],
            &["
                0.020 inb 101 Proceeding [RingOut Initiator]
                3.000 inb 101 Answered
                3.022 inb 102 Setup [RingOut Target]
                3.040 inb 102 Proceeding
                6.000 inb 102 Answered
                9.001 inb 102 Disconnected
                9.004 inb 101 Disconnected
            "],
        );
    }
}

#[test]
fn who_calls_through_a_pipe_that_is_taken_out_calls_the_phone_behind_it() {
    story(
        &[
            MEMBERS,
            MEMBER_ANSWERS,
            "
            5.020 BridgeEnter b outer Swap=x
            5.021 Hangup y 16
            5.022 Hangup x 16
            9.000 HangupRequest a 16
            9.001 Hangup a 16
            9.002 Hangup b 16
            ",
        ],
        &[
            MEMBERS_TOLD,
            MEMBER_ANSWERS_TOLD,
            "
            9.001 out 101 Disconnected
            9.002 inb 102 Disconnected
            ",
        ],
    );
}

#[test]
fn who_is_brought_into_a_room_by_a_pipe_is_in_it() {
    story(
        &["
            0.000 Newchannel x Local/103@internal-1;1
            0.000 Newchannel y Local/103@internal-1;2 of=x state=4
            0.001 DialBegin >x DialString=103@internal
            0.005 Newexten y Dial(PJSIP/103)
            0.006 Newchannel c PJSIP/103 of=x
            0.007 DialBegin y>c DialString=103
            0.020 Newstate c 5
            3.000 Newstate c 6
            3.001 DialEnd y>c ANSWER
            3.002 BridgeEnter c inner
            3.002 BridgeEnter y inner
            3.003 DialEnd >x ANSWER
            3.004 ConfbridgeJoin x Conference=800
            9.000 HangupRequest c 16
            9.001 Hangup c 16
            9.002 Hangup y 16
            9.003 Hangup x 16
        "],
        &["
            0.020 inb 103 Proceeding [RingOut Initiator]
            3.000 inb 103 Answered
            3.004 inb 103 Gone/Conference to #2 inb 103
            #2 3.004 inb 103 Answered [Conference]
            #2 9.001 inb 103 Disconnected
        "],
    );
}

#[test]
fn who_is_called_through_a_pipe_by_one_who_asks_has_answered_when_the_call_is_accepted() {
    for (accepted, told) in [
        (
            "
            7.000 DialEnd a>x ANSWER
            7.001 Newstate a 6
            7.002 BridgeEnter x outer
            7.003 BridgeEnter a outer
            9.000 HangupRequest a 16
            9.001 Hangup a 16
            9.002 Hangup b 16
            9.003 Hangup x 16
            9.004 Hangup y 16
            ",
            "
            7.000 inb 102 Answered
            7.001 out 101 Answered
            9.001 out 101 Disconnected
            9.002 inb 102 Disconnected
            ",
        ),
        (
            "
            7.000 DialEnd a>x CONTINUE
            7.001 Hangup x 16
            7.002 Newexten a Hangup()
            7.003 Hangup a 16
            7.004 Hangup b 16
            7.005 Hangup y 16
            ",
            "
            7.004 inb 102 Disconnected/NoAnswer missed
            7.004 out 101 Disconnected/NoAnswer
            ",
        ),
    ] {
        story(
            &[
                "
                0.000 Newchannel a PJSIP/101 Exten=610
                0.002 Newexten a Dial(Local/102@internal,40,tU(accept^s^1))
                0.003 Newchannel x Local/102@internal-1;1 of=a number=102
                0.003 Newchannel y Local/102@internal-1;2 of=a state=4 number=101
                0.006 DialBegin a>x DialString=102@internal
                0.008 Newexten y Dial(PJSIP/102,15)
                0.009 Newchannel b PJSIP/102 of=a
                0.011 DialBegin y>b DialString=102
                0.020 Newstate b 5
                3.000 Newstate b 6
                3.001 DialEnd y>b ANSWER
                3.002 BridgeEnter b inner
                3.003 BridgeEnter y inner
                3.004 Newstate x 6
                3.005 Newexten x Read(key,beep,1)
                ",
                accepted,
            ],
            &[
                "
                0.000 out 101 Setup
                0.011 inb 102 Setup
                0.020 inb 102 Proceeding
                ",
                told,
            ],
        );
    }
}

/// 101 calls 102, whom FollowMe looks for at 103; 103 picks up and hears who calls.
const FOLLOWED: &str = "
    0.000 Newchannel a PJSIP/101 Exten=670
    0.001 Newexten a FollowMe(102)
    0.002 Newstate a 6
    0.880 Newchannel x Local/103@internal-1;1 of=a
    0.881 Newchannel y Local/103@internal-1;2 of=a state=4
    0.882 DialBegin a>x DialString=103@internal/m
    0.883 Newexten y Dial(PJSIP/103,8)
    0.884 Newchannel b PJSIP/103 of=a
    0.885 DialBegin y>b DialString=103
    0.890 Newstate b 5
    1.600 Newstate b 6
    1.601 DialEnd y>b ANSWER
    1.602 Newstate y 6
    1.603 Newstate x 6
    1.604 DialEnd a>x ANSWER
    1.605 BridgeEnter b inner
    1.606 BridgeEnter y inner
";

const FOLLOWED_TOLD: &str = "
    0.000 out 101 Setup
    0.002 out 101 Answered
    0.885 inb 103 Setup
    0.890 inb 103 Proceeding
";

#[test]
fn who_is_followed_has_answered_when_the_call_is_accepted() {
    story(
        &[
            FOLLOWED,
            "
            4.837 DTMFEnd b Digit=1
            4.839 BridgeEnter x outer
            4.840 BridgeEnter a outer
            4.877 BridgeLeave a outer
            4.878 BridgeLeave y inner
            4.879 BridgeEnter a inner Swap=y
            4.880 Hangup x 16
            4.881 Hangup y 16
            7.650 HangupRequest a 16
            7.651 Hangup a 16
            7.653 Hangup b 16
            ",
        ],
        &[
            FOLLOWED_TOLD,
            "
            4.839 inb 103 Answered
            7.651 out 101 Disconnected
            7.653 inb 103 Disconnected
            ",
        ],
    );
}

#[test]
fn who_is_followed_and_declines_has_missed_the_call() {
    story(
        &[
            FOLLOWED,
            "
            4.797 DTMFEnd b Digit=2
            4.798 HangupRequest y 16
            4.798 Hangup x 16
            4.798 Newexten a Hangup()
            4.798 BridgeLeave y inner
            4.799 Hangup y 16
            4.800 Hangup a 16
            4.801 BridgeLeave b inner
            4.802 Hangup b 16
            ",
        ],
        &[
            FOLLOWED_TOLD,
            "
            4.800 out 101 Disconnected
            4.802 inb 103 Disconnected/NoAnswer missed
            ",
        ],
    );
}

#[test]
fn a_caller_who_gives_up_while_the_followed_is_asked_has_cancelled() {
    story(
        &[
            FOLLOWED,
            "
            3.000 HangupRequest a 16
            3.001 Hangup x 16
            3.002 Hangup a 16
            3.003 Hangup y 16
            3.004 Hangup b 16
            ",
        ],
        &[
            FOLLOWED_TOLD,
            "
            3.002 out 101 Disconnected
            3.004 inb 103 Disconnected/Cancelled missed
            ",
        ],
    );
}

/// 101 waits in a queue whose member is called through a pipe.
const QUEUED: &str = "
    0.000 Newchannel a PJSIP/101 Exten=620
    0.001 Newexten a Queue(support,,,,4)
    0.002 Newstate a 6
    0.003 QueueCallerJoin a Queue=support
    0.010 Newchannel x Local/102@agents-1;1 of=a number=102
    0.010 Newchannel y Local/102@agents-1;2 of=a state=4 number=101
    0.012 DialBegin a>x DialString=102@agents
    0.013 Newexten y Dial(PJSIP/102,20)
    0.014 Newchannel b PJSIP/102 of=a
    0.015 DialBegin y>b DialString=102
    0.020 Newstate b 5
";

#[test]
fn a_member_behind_a_pipe_whom_the_queue_gives_up_was_not_given_up_by_the_caller() {
    // How the queue's attempt went is said of the pipe; the attempt within it is taken back.
    story(
        &[
            QUEUED,
            "
            4.000 DialEnd a>x NOANSWER
            4.001 DialEnd a>x CANCEL
            4.002 Hangup x 0
            4.003 QueueCallerLeave a Queue=support
            4.004 Newexten a Hangup()
            4.005 DialEnd y>b CANCEL
            4.006 Hangup y 0
            4.007 Hangup b 16
            4.008 Hangup a 16
            ",
        ],
        &["
            0.000 out 101 Setup
            0.002 out 101 Answered
            0.003 inb 620 Setup
            0.020 inb 102 Proceeding
            4.003 inb 620 Disconnected/Timeout missed
            4.007 inb 102 Disconnected/NoAnswer missed
            4.008 out 101 Disconnected
        "],
    );
}

#[test]
fn who_was_called_first_through_a_pipe_and_waits_in_a_queue_is_there() {
    story(
        &["
            0.000 Newchannel x Local/+14155550123@internal-1;1 state=0 number=650 Exten=620
            0.001 Newchannel y Local/+14155550123@internal-1;2 of=x state=4
            0.002 DialBegin >x DialString=+14155550123@internal
            0.003 Newexten y Dial(PJSIP/+14155550123@trunk,30)
            0.004 Newchannel b PJSIP/trunk of=x
            0.005 DialBegin y>b DialString=+14155550123@trunk
            0.020 Newstate b 5
            1.000 Newstate b 6
            1.001 DialEnd y>b ANSWER
            1.002 BridgeEnter b inner
            1.003 BridgeEnter y inner
            1.004 Newstate x 6
            1.005 DialEnd >x ANSWER
            1.006 Newexten x Queue(support) exten=620
            1.007 QueueCallerJoin x Queue=support
            1.010 Newchannel c PJSIP/102 of=x
            1.011 DialBegin x>c DialString=102
            1.020 Newstate c 5
            2.000 Newstate c 6
            2.001 DialEnd x>c ANSWER
            2.002 AgentConnect x>c Queue=support
            2.003 QueueCallerLeave x Queue=support
            2.004 BridgeEnter c outer
            2.005 BridgeEnter x outer
            4.000 HangupRequest b 16
            4.001 Hangup b 16
            4.002 Hangup c 16
            4.003 Hangup x 16
            4.004 Hangup y 16
        "],
        &["
            0.005 inb +14155550123 Proceeding [RingOut Initiator]
            1.000 inb +14155550123 Answered
            1.007 inb 620 Setup [RingOut Target]
            1.020 inb 102 Proceeding [RingOut Target]
            2.000 inb 102 Answered
            2.000 inb 620 Disconnected/AgentAnswered
            4.002 inb 102 Disconnected
            4.002 inb +14155550123 Disconnected
        "],
    );
}
