//! Targets of which one takes the call, or none does, whatever the switch sends to the others.

use hookswitch_flows::asterisk::asterisk;

/// 101 calls a group, and the phones of 102 and 103 ring.
pub(super) const GROUP: &str = "
    0.000 Newchannel a PJSIP/101 Exten=610
    0.002 Newexten a Dial(PJSIP/102&PJSIP/103,20)
    0.003 Newchannel b PJSIP/102 of=a
    0.004 Newchannel c PJSIP/103 of=a
    0.006 DialBegin a>b DialString=102
    0.007 DialBegin a>c DialString=103
    0.020 Newstate b 5
    0.021 DialState a>b RINGING
    0.022 Newstate c 5
    0.023 DialState a>c RINGING
";

const GROUP_TOLD: &str = "
    0.000 out 101 Setup
    0.006 inb 102 Setup
    0.007 inb 103 Setup
    0.020 inb 102 Proceeding
    0.021 out 101 Proceeding
    0.022 inb 103 Proceeding
";

/// Two agents of a queue ring.
pub(super) const AGENTS: &str = "
    0.000 Newchannel a PJSIP/101 Exten=620
    0.002 Newexten a Queue(support,C) exten=620
    0.003 Newstate a 6
    0.004 QueueCallerJoin a Queue=support
    0.005 Newchannel b PJSIP/102 of=a
    0.006 Newchannel c PJSIP/103 of=a
    0.007 DialBegin a>b DialString=102
    0.008 DialBegin a>c DialString=103
    0.020 Newstate b 5
    0.022 Newstate c 5
";

const AGENTS_TOLD: &str = "
    0.000 out 101 Setup
    0.003 out 101 Answered
    0.004 inb 620 Setup
    0.020 inb 102 Proceeding
    0.022 inb 103 Proceeding
";

/// The phone of 102 rings, and an outside phone that is to be asked whether it takes the call.
pub(super) const ASKED: &str = "
    0.000 Newchannel a PJSIP/101 Exten=610
    0.002 Newexten a Dial(PJSIP/102&PJSIP/+14155550188@trunk,20,U(confirm))
    0.003 Newchannel b PJSIP/102 of=a
    0.004 Newchannel c PJSIP/trunk of=a
    0.006 DialBegin a>b DialString=102
    0.007 DialBegin a>c DialString=+14155550188@trunk
    0.020 Newstate b 5
    0.022 Newstate c 5
    4.000 Newstate c 6
    4.001 Newexten c Read(GOTO,accept,1)
";

const ASKED_TOLD: &str = "
    0.000 out 101 Setup
    0.006 inb 102 Setup
    0.007 inb +14155550188 Proceeding
    0.020 inb 102 Proceeding
";

fn story(parts: &[&str], told: &[&str]) {
    asterisk(&parts.concat()).tells(&told.concat());
}

#[test]
fn a_caller_who_gives_up_is_missed_by_all_though_the_switch_says_that_another_answered() {
    story(
        &[
            GROUP,
            "
            8.000 HangupRequest a 127 487
            8.001 DialEnd a>b CANCEL
            8.002 Hangup b 26
            8.003 DialEnd a>c CANCEL
            8.004 Hangup c 26
            8.005 Hangup a 127 487
            ",
        ],
        &[
            GROUP_TOLD,
            "
            8.002 inb 102 Disconnected/Cancelled missed
            8.004 inb 103 Disconnected/Cancelled missed
            8.005 out 101 Disconnected
            ",
        ],
    );
}

#[test]
fn who_lost_is_told_without_a_reason_whatever_cause_the_switch_was_told_to_send() {
    for cause in ["26", "19", "16", "17", "0"] {
        let end = format!(
            "
            5.000 Newstate b 6
            5.001 DialEnd a>c CANCEL
            5.002 Hangup c {cause}
            5.003 DialEnd a>b ANSWER
            5.004 Newstate a 6
            5.005 BridgeEnter b one
            5.005 BridgeEnter a one
            9.000 HangupRequest a 16
            9.001 Hangup a 16
            9.002 Hangup b 16
            "
        );
        story(
            &[GROUP, &end],
            &[
                GROUP_TOLD,
                "
                5.000 inb 102 Answered
                5.002 inb 103 Disconnected
                5.004 out 101 Answered
                9.001 out 101 Disconnected
                9.002 inb 102 Disconnected
                ",
            ],
        );
    }
}

#[test]
fn a_phone_that_declines_as_another_answers_has_declined() {
    story(
        &[
            GROUP,
            "
            5.000 Newstate b 6
            5.001 DialEnd a>c CANCEL
            5.002 Hangup c 17 486
            5.003 DialEnd a>b ANSWER
            5.004 Newstate a 6
            5.005 BridgeEnter b one
            5.005 BridgeEnter a one
            9.000 HangupRequest a 16
            9.001 Hangup a 16
            9.002 Hangup b 16
            ",
        ],
        &[
            GROUP_TOLD,
            "
            5.000 inb 102 Answered
            5.002 inb 103 Disconnected/TargetBusy
            5.004 out 101 Answered
            9.001 out 101 Disconnected
            9.002 inb 102 Disconnected
            ",
        ],
    );
}

#[test]
fn agents_whom_a_caller_leaves_have_missed_the_call_though_the_queue_says_that_another_answered() {
    story(
        &[
            AGENTS,
            "
            3.000 HangupRequest a
            3.001 DialEnd a>b CANCEL
            3.002 DialEnd a>c CANCEL
            3.003 QueueCallerAbandon a Queue=support
            3.004 QueueCallerLeave a Queue=support
            3.005 Hangup c 26
            3.006 Hangup b 26
            3.007 Hangup a 0
            ",
        ],
        &[
            AGENTS_TOLD,
            "
            3.004 inb 620 Disconnected/Cancelled missed
            3.005 inb 103 Disconnected/Cancelled missed
            3.006 inb 102 Disconnected/Cancelled missed
            3.007 out 101 Disconnected
            ",
        ],
    );
}

#[test]
fn agents_who_do_not_answer_in_time_have_missed_the_call_though_the_queue_says_that_another_answered() {
    story(
        &[
            AGENTS,
            "
            20.000 DialEnd a>b NOANSWER
            20.001 DialEnd a>b CANCEL
            20.002 Hangup b 26
            20.003 DialEnd a>c NOANSWER
            20.004 DialEnd a>c CANCEL
            20.005 Hangup c 26
            20.006 QueueCallerAbandon a Queue=support
            20.007 QueueCallerLeave a Queue=support
            20.008 Hangup a 16
            ",
        ],
        &[
            AGENTS_TOLD,
            "
            20.002 inb 102 Disconnected/NoAnswer missed
            20.005 inb 103 Disconnected/NoAnswer missed
            20.007 inb 620 Disconnected/Timeout missed
            20.008 out 101 Disconnected
            ",
        ],
    );
}

#[test]
fn a_queue_whose_call_somebody_picks_up_was_answered() {
    story(
        &[
            AGENTS,
            "
            3.000 Newchannel d PJSIP/104 Exten=**102
            3.001 Newexten d Pickup(102) exten=**102
            3.010 Pickup d Target:b
            3.011 Hangup b 26
            3.012 DialEnd a>d ANSWER
            3.013 Newstate d 6
            3.014 DialEnd a>c CANCEL
            3.015 Hangup c 26
            3.016 BridgeEnter d one
            3.016 BridgeEnter a one
            7.000 HangupRequest a
            7.001 QueueCallerLeave a
            7.002 Hangup a 16
            7.003 Hangup d 16
            ",
        ],
        &[
            AGENTS_TOLD,
            "
            3.000 inb 104 Setup
            3.010 inb 104 Answered/Pickup
            3.010 inb 620 Disconnected/AgentAnswered
            3.011 inb 102 Disconnected/Pickup
            3.015 inb 103 Disconnected/AgentAnswered
            7.002 out 101 Disconnected
            7.003 inb 104 Disconnected
            ",
        ],
    );
}

#[test]
fn who_picks_up_and_does_not_accept_has_not_answered() {
    story(
        &[
            ASKED,
            "
            9.000 Newstate b 6
            9.001 DialEnd a>c CONTINUE
            9.002 Hangup c 16
            9.003 DialEnd a>b ANSWER
            9.004 Newstate a 6
            9.005 BridgeEnter b one
            9.006 BridgeEnter a one
            12.000 Hangup b 16
            12.001 Hangup a 16
            ",
        ],
        &[
            ASKED_TOLD,
            "
            9.000 inb 102 Answered
            9.002 inb +14155550188 Disconnected
            9.004 out 101 Answered
            12.000 inb 102 Disconnected
            12.001 out 101 Disconnected
            ",
        ],
    );
}

#[test]
fn who_accepts_has_answered_then_and_not_when_the_phone_was_picked_up() {
    story(
        &[
            ASKED,
            "
            9.000 DialEnd a>b CANCEL
            9.001 Hangup b 26
            9.003 DialEnd a>c ANSWER
            9.004 Newstate a 6
            9.005 BridgeEnter c one
            9.006 BridgeEnter a one
            12.000 Hangup c 16
            12.001 Hangup a 16
            ",
        ],
        &[
            ASKED_TOLD,
            "
            9.001 inb 102 Disconnected
            9.003 inb +14155550188 Answered
            9.004 out 101 Answered
            12.000 inb +14155550188 Disconnected
            12.001 out 101 Disconnected
            ",
        ],
    );
}

#[test]
fn an_extension_that_declines_to_accept_has_missed_the_call_that_the_caller_gives_up() {
    story(
        &["
            0.000 Newchannel a PJSIP/101 Exten=102
            0.002 Newexten a Dial(PJSIP/102,20,U(confirm))
            0.003 Newchannel b PJSIP/102 of=a
            0.006 DialBegin a>b DialString=102
            0.020 Newstate b 5
            4.000 Newstate b 6
            6.000 HangupRequest a 127 487
            6.001 DialEnd a>b CANCEL
            6.002 Hangup b 16
            6.003 Hangup a 127 487
            "],
        &["
            0.000 out 101 Setup
            0.006 inb 102 Setup
            0.020 inb 102 Proceeding
            6.002 inb 102 Disconnected/Cancelled missed
            6.003 out 101 Disconnected
            "],
    );
}

#[test]
fn who_hangs_up_when_asked_to_accept_has_missed_the_call() {
    // Asterisk says that the call was answered, and connects the two for an instant.
    story(
        &["
            0.000 Newchannel a PJSIP/101 Exten=103
            0.002 Newexten a Dial(PJSIP/103,20,U(confirm))
            0.003 Newchannel b PJSIP/103 of=a
            0.006 DialBegin a>b DialString=103
            0.020 Newstate b 5
            4.000 Newstate b 6
            6.000 HangupRequest b 16
            6.001 DialEnd a>b ANSWER
            6.002 Newstate a 6
            6.003 BridgeEnter b one
            6.004 BridgeLeave b one
            6.005 Hangup b 16
            6.006 Hangup a 16
            "],
        &["
            0.000 out 101 Setup
            0.006 inb 103 Setup
            0.020 inb 103 Proceeding
            6.002 out 101 Answered
            6.005 inb 103 Disconnected/NoAnswer missed
            6.006 out 101 Disconnected
            "],
    );
}

#[test]
fn the_members_of_a_group_have_missed_the_call_that_the_mailbox_of_another_takes() {
    story(
        &["
            0.000 Newchannel a PJSIP/101 Exten=690
            0.002 Newexten a Dial(PJSIP/102&PJSIP/103,4)
            0.003 Newchannel b PJSIP/102 of=a
            0.004 Newchannel c PJSIP/103 of=a
            0.006 DialBegin a>b DialString=102
            0.007 DialBegin a>c DialString=103
            0.020 Newstate b 5
            0.022 Newstate c 5
            4.000 DialEnd a>b NOANSWER
            4.001 DialEnd a>c NOANSWER
            4.002 Hangup b 0
            4.003 Newexten a VoiceMail(104@default,su)
            4.004 Newstate a 6
            4.005 Hangup c 0
            8.000 HangupRequest a
            8.001 Hangup a 0
            "],
        &["
            0.000 out 101 Setup
            0.006 inb 102 Setup
            0.007 inb 103 Setup
            0.020 inb 102 Proceeding
            0.022 inb 103 Proceeding
            4.002 inb 102 Disconnected/NoAnswer missed
            4.003 inb 104 Setup
            4.003 inb 104 VoiceMail missed
            4.004 out 101 Answered
            4.005 inb 103 Disconnected/NoAnswer missed
            8.001 out 101 Disconnected
            8.001 inb 104 Disconnected missed
            "],
    );
}
