//! Calls that are answered, or are not.

use hookswitch_flows::freeswitch::freeswitch;

/// 101 calls 102, whose phone rings.
pub(super) const RINGS: &str = "
    0.000 create a 101>102
    0.001 state a RINGING
    0.002 execute a bridge(user/102@pbx.example.com)
    0.004 create b to=102 of=a number=101
    0.020 progress b
    0.021 progress a
";

pub(super) const RINGS_TOLD: &str = "
    0.000 out 101 Setup
    0.004 inb 102 Setup
    0.020 inb 102 Proceeding
    0.021 out 101 Proceeding
";

/// Both talk.
pub(super) const ANSWERED: &str = "
    1.000 answer b
    1.001 state b ACTIVE
    1.002 answer a
    1.003 state a ACTIVE
    1.004 bridge a b
";

pub(super) const ANSWERED_TOLD: &str = "
    1.000 inb 102 Answered
    1.002 out 101 Answered
";

pub(super) fn story(parts: &[&str], told: &[&str]) {
    freeswitch(&parts.concat()).tells(&told.concat());
}

#[test]
fn an_answered_call_ends_with_who_hangs_up_first_though_the_other_is_told_first_in_full() {
    story(
        &[
            RINGS,
            ANSWERED,
            "
            5.000 hangup a NORMAL_CLEARING
            5.001 hangup b NORMAL_CLEARING
            5.002 complete b NORMAL_CLEARING disposition=send_bye
            5.003 complete a NORMAL_CLEARING disposition=recv_bye
            ",
        ],
        &[
            RINGS_TOLD,
            ANSWERED_TOLD,
            "
            5.000 out 101 Disconnected
            5.001 inb 102 Disconnected
            ",
        ],
    );
}

#[test]
fn a_busy_phone_is_missed_and_says_why_the_call_failed() {
    story(
        &["
        0.000 create a 101>104
        0.004 create b to=104 of=a
        0.020 hangup b USER_BUSY disposition=recv_refuse
        0.021 complete b USER_BUSY disposition=recv_refuse term_status=486
        0.022 hangup a USER_BUSY originate_disposition=USER_BUSY
        0.023 complete a USER_BUSY originate_disposition=USER_BUSY disposition=send_refuse
        "],
        &["
        0.000 out 101 Setup
        0.004 inb 104 Setup
        0.020 inb 104 Disconnected/TargetBusy missed
        0.022 out 101 Disconnected/TargetBusy
        "],
    );
}

#[test]
fn a_declined_call_is_rejected() {
    story(
        &[
            RINGS,
            "
            2.000 hangup b CALL_REJECTED disposition=recv_refuse
            2.001 complete b CALL_REJECTED disposition=recv_refuse term_status=603
            2.002 hangup a CALL_REJECTED
            2.003 complete a CALL_REJECTED originate_disposition=CALL_REJECTED disposition=send_refuse
            ",
        ],
        &[
            RINGS_TOLD,
            "
            2.000 inb 102 Disconnected/Rejected missed
            2.002 out 101 Disconnected/Rejected
            ",
        ],
    );
}

#[test]
fn a_caller_who_gives_up_cancels_the_call() {
    story(
        &[
            RINGS,
            "
            2.000 hangup a ORIGINATOR_CANCEL disposition=recv_cancel
            2.020 hangup b ORIGINATOR_CANCEL
            2.021 complete a ORIGINATOR_CANCEL disposition=recv_cancel term_status=487
            2.030 complete b ORIGINATOR_CANCEL disposition=send_cancel
            ",
        ],
        &[
            RINGS_TOLD,
            "
            2.000 inb 102 Disconnected/Cancelled missed
            2.000 out 101 Disconnected
            ",
        ],
    );
}

#[test]
fn an_unanswered_call_ends_though_the_caller_s_own_cause_is_an_ordinary_one() {
    story(
        &[
            RINGS,
            "
            9.000 hangup b NO_ANSWER
            9.001 complete b NO_ANSWER disposition=send_cancel
            9.010 hangup a NORMAL_CLEARING originate_disposition=NO_ANSWER
            9.020 complete a NORMAL_CLEARING originate_disposition=NO_ANSWER disposition=send_refuse
            ",
        ],
        &[
            RINGS_TOLD,
            "
            9.000 inb 102 Disconnected/NoAnswer missed
            9.010 out 101 Disconnected/NoAnswer
            ",
        ],
    );
}

#[test]
fn a_number_that_nobody_has_and_a_phone_that_is_not_there_say_so() {
    for (cause, reason) in [
        ("NO_ROUTE_DESTINATION", "NoSuchUser"),
        ("SUBSCRIBER_ABSENT", "NoSuchUser"),
        ("USER_NOT_REGISTERED", "NoAnswer"),
        ("OUTGOING_CALL_BARRED", "DestinationBlocked"),
    ] {
        freeswitch(&format!(
            "
            0.000 create a 101>109
            0.010 hangup a {cause}
            0.020 complete a {cause} originate_disposition={cause} disposition=send_refuse
            "
        ))
        .tells(&format!(
            "
            0.000 out 101 Setup
            0.010 out 101 Disconnected/{reason}
            "
        ));
    }
}

#[test]
fn a_carrier_s_refusal_is_read_off_its_status() {
    for (cause, status, reason) in [
        ("CALL_REJECTED", 402, "NotEnoughFunds"),
        ("BEARERCAPABILITY_NOTAUTH", 403, "DestinationBlocked"),
        ("UNALLOCATED_NUMBER", 404, "InvalidNumber"),
        ("NORMAL_TEMPORARY_FAILURE", 503, "InternalError"),
    ] {
        freeswitch(&format!(
            "
            0.000 create a 101>+14155550123
            0.004 create b to=+14155550123 of=a
            0.050 hangup b {cause} disposition=recv_refuse
            0.051 complete b {cause} disposition=recv_refuse term_status={status}
            0.060 hangup a {cause}
            0.061 complete a {cause} disposition=send_refuse
            "
        ))
        .tells(&format!(
            "
            0.000 out 101 Setup
            0.004 inb +14155550123 Proceeding
            0.050 inb +14155550123 Disconnected/{reason}
            0.060 out 101 Disconnected/{reason}
            "
        ));
    }
}

#[test]
fn a_killed_call_is_dropped() {
    story(
        &[
            RINGS,
            ANSWERED,
            "
            5.000 hangup a MANAGER_REQUEST
            5.001 hangup b MANAGER_REQUEST
            5.002 complete a MANAGER_REQUEST disposition=send_bye
            5.003 complete b MANAGER_REQUEST disposition=send_bye
            ",
        ],
        &[
            RINGS_TOLD,
            ANSWERED_TOLD,
            "
            5.000 out 101 Disconnected/CallDropped
            5.001 inb 102 Disconnected/CallDropped
            ",
        ],
    );
}

#[test]
fn a_switch_that_comes_up_with_another_core_has_dropped_its_calls() {
    let mut text = [RINGS, ANSWERED].concat();
    text.push_str("8.000 create z 103>104 Core-UUID=two\n");
    let text = text.replacen("create a 101>102", "create a 101>102 Core-UUID=one", 1);
    freeswitch(&text).tells(
        "
        0.000 out 101 Setup
        0.004 inb 102 Setup
        0.020 inb 102 Proceeding
        0.021 out 101 Proceeding
        1.000 inb 102 Answered
        1.002 out 101 Answered
        8.000 out 101 Disconnected/CallDropped
        8.000 inb 102 Disconnected/CallDropped
        #2 8.000 out 103 Setup
        ",
    );
}

#[test]
fn of_a_group_those_that_lose_the_race_have_missed_nothing() {
    story(
        &["
        0.000 create a 101>200
        0.001 progress a
        0.004 create b to=102 of=a
        0.026 create c to=103 of=a
        0.030 progress b
        0.050 progress c
        2.000 answer c
        2.001 hangup b LOSE_RACE
        2.020 complete b LOSE_RACE disposition=send_cancel
        2.021 answer a
        2.022 bridge a c
        4.000 hangup c NORMAL_CLEARING
        4.001 complete c NORMAL_CLEARING disposition=recv_bye
        4.002 hangup a NORMAL_CLEARING
        4.003 complete a NORMAL_CLEARING disposition=send_bye
        "],
        &["
        0.000 out 101 Setup
        0.001 out 101 Proceeding
        0.004 inb 102 Setup
        0.026 inb 103 Setup
        0.030 inb 102 Proceeding
        0.050 inb 103 Proceeding
        2.000 inb 103 Answered
        2.001 inb 102 Disconnected
        2.021 out 101 Answered
        4.000 inb 103 Disconnected
        4.002 out 101 Disconnected
        "],
    );
}

#[test]
fn targets_that_nothing_ties_to_their_caller_are_found_by_the_dial_string() {
    story(
        &["
        0.000 create a 101>200
        0.002 execute a bridge(user/102:_:user/103)
        0.004 create b to=102 number=101
        0.005 create c to=103 number=101
        0.030 progress b
        0.031 progress c
        2.000 answer b
        2.001 answer a
        2.002 bridge a b
        2.003 hangup c LOSE_RACE
        2.004 complete c LOSE_RACE disposition=send_cancel
        4.000 ends a NORMAL_CLEARING disposition=recv_bye
        4.001 ends b NORMAL_CLEARING disposition=send_bye
        "],
        &["
        0.000 out 101 Setup
        0.004 inb 102 Setup
        0.005 inb 103 Setup
        0.030 inb 102 Proceeding
        0.031 inb 103 Proceeding
        2.000 inb 102 Answered
        2.001 out 101 Answered
        2.003 inb 103 Disconnected
        4.000 out 101 Disconnected
        4.001 inb 102 Disconnected
        "],
    );
}

#[test]
fn two_phones_of_one_person_are_one_party() {
    story(
        &["
        0.000 create a 101>102
        0.004 create b to=102 of=a
        0.005 create c to=102 of=a
        0.030 progress b
        0.031 progress c
        2.000 answer c
        2.001 hangup b LOSE_RACE
        2.002 complete b LOSE_RACE
        2.003 answer a
        2.004 bridge a c
        4.000 ends a NORMAL_CLEARING disposition=recv_bye
        4.001 ends c NORMAL_CLEARING disposition=send_bye
        "],
        &["
        0.000 out 101 Setup
        0.004 inb 102 Setup
        0.030 inb 102 Proceeding
        2.000 inb 102 Answered
        2.003 out 101 Answered
        4.000 out 101 Disconnected
        4.001 inb 102 Disconnected
        "],
    );
}

#[test]
fn a_phone_that_sends_the_call_elsewhere_has_redirected_it() {
    story(
        &["
        0.000 create a 101>102
        0.004 create b to=102 of=a
        0.020 hangup b REDIRECTION_TO_NEW_DESTINATION disposition=recv_refuse
        0.021 complete b REDIRECTION_TO_NEW_DESTINATION disposition=send_cancel
        0.022 execute a bridge(user/103) dest=103
        0.030 create c to=103 of=a
        0.050 progress c
        1.000 answer c
        1.001 answer a
        1.002 bridge a c
        2.000 ends c NORMAL_CLEARING disposition=recv_bye
        2.001 ends a NORMAL_CLEARING disposition=send_bye
        "],
        &["
        0.000 out 101 Setup
        0.004 inb 102 Setup
        0.020 inb 102 Disconnected/CallRedirected
        0.030 inb 103 Setup
        0.050 inb 103 Proceeding
        1.000 inb 103 Answered
        1.001 out 101 Answered
        2.000 inb 103 Disconnected
        2.001 out 101 Disconnected
        "],
    );
}

#[test]
fn hold_ends_when_the_channel_is_active_again_and_not_with_its_hang_up() {
    story(
        &[
            RINGS,
            ANSWERED,
            "
            2.000 state a HELD
            2.001 hold a
            3.000 state a UNHELD
            3.001 unhold a
            3.002 state a ACTIVE
            4.000 state b HELD
            4.001 hold b
            5.000 state b UNHELD
            5.001 unhold b
            5.002 hangup b NORMAL_CLEARING
            5.003 complete b NORMAL_CLEARING disposition=recv_bye
            5.004 hangup a NORMAL_CLEARING
            5.005 complete a NORMAL_CLEARING disposition=send_bye
            ",
        ],
        &[
            RINGS_TOLD,
            ANSWERED_TOLD,
            "
            2.000 out 101 Hold
            3.002 out 101 Answered
            4.000 inb 102 Hold
            5.002 inb 102 Disconnected
            5.004 out 101 Disconnected
            ",
        ],
    );
}

#[test]
fn a_hold_is_told_where_the_media_bypass_the_switch() {
    story(
        &[
            RINGS,
            ANSWERED,
            "
            2.000 state b HELD
            3.500 state b UNHELD
            4.000 state b HELD
            4.050 state b UNHELD
            4.080 state b HELD
            4.500 state b UNHELD
            5.000 state b HELD
            6.000 state b UNHELD
            6.001 hangup b NORMAL_CLEARING
            6.002 hangup a NORMAL_CLEARING
            6.003 complete b NORMAL_CLEARING disposition=recv_bye
            6.004 complete a NORMAL_CLEARING disposition=send_bye
            ",
        ],
        &[
            RINGS_TOLD,
            ANSWERED_TOLD,
            "
            2.000 inb 102 Hold
            3.500 inb 102 Answered
            4.000 inb 102 Hold
            4.050 inb 102 Answered
            4.080 inb 102 Hold
            4.500 inb 102 Answered
            5.000 inb 102 Hold
            6.001 inb 102 Disconnected
            6.002 out 101 Disconnected
            ",
        ],
    );
}

#[test]
fn what_is_called_by_a_command_rings_out() {
    story(
        &["
        0.000 create a to=101 number=102
        0.020 progress a
        1.000 answer a
        1.010 execute a bridge(user/102) dest=102
        1.011 create b to=102 of=a number=101
        1.030 progress b
        2.000 answer b
        2.010 bridge a b
        4.000 ends a NORMAL_CLEARING disposition=recv_bye
        4.001 ends b NORMAL_CLEARING disposition=send_bye
        "],
        &["
        0.020 inb 101 Proceeding [RingOut Initiator]
        1.000 inb 101 Answered
        1.011 inb 102 Setup [RingOut Target]
        1.030 inb 102 Proceeding
        2.000 inb 102 Answered
        4.000 inb 101 Disconnected
        4.001 inb 102 Disconnected
        "],
    );
}

#[test]
fn phones_that_are_called_one_after_another_have_each_missed_the_call() {
    story(
        &[
            RINGS,
            "
            3.000 hangup b NO_ANSWER
            3.001 complete b NO_ANSWER disposition=send_cancel
            3.010 create c to=103 of=a
            3.030 progress c
            6.000 hangup c ALLOTTED_TIMEOUT
            6.001 complete c ALLOTTED_TIMEOUT disposition=send_cancel
            6.010 hangup a NORMAL_CLEARING originate_disposition=ALLOTTED_TIMEOUT
            6.020 complete a NORMAL_CLEARING originate_disposition=ALLOTTED_TIMEOUT disposition=send_refuse
            ",
        ],
        &[
            RINGS_TOLD,
            "
            3.000 inb 102 Disconnected/NoAnswer missed
            3.010 inb 103 Setup
            3.030 inb 103 Proceeding
            6.000 inb 103 Disconnected/NoAnswer missed
            6.010 out 101 Disconnected/NoAnswer
            ",
        ],
    );
}

#[test]
fn a_caller_who_withholds_the_number_is_anonymous() {
    story(
        &["
        0.000 create a +442079460123@external>+16465550102 Caller-Privacy-Hide-Number=true
        0.004 create b to=102 of=a
        0.020 progress b
        1.000 ends a ORIGINATOR_CANCEL disposition=recv_cancel
        1.001 ends b ORIGINATOR_CANCEL disposition=send_cancel
        "],
        &["
        0.000 out Anonymous Setup
        0.004 inb 102 Setup
        0.020 inb 102 Proceeding
        1.000 inb 102 Disconnected/Cancelled missed
        1.000 out Anonymous Disconnected
        "],
    );
}

#[test]
fn a_switch_that_goes_down_drops_its_calls() {
    // Calls beside it would end with it.
    let goes_down = "shutdown";
    let story = format!(
        "{RINGS}{ANSWERED}
        5.000 hangup a SYSTEM_SHUTDOWN
        5.001 complete a SYSTEM_SHUTDOWN disposition=send_bye
        5.002 {goes_down} b
        "
    );
    freeswitch(&story).tells(&format!(
        "{RINGS_TOLD}{ANSWERED_TOLD}
        5.000 out 101 Disconnected/CallDropped
        5.002 inb 102 Disconnected/CallDropped
        "
    ));
}

/// 101 calls 102 and 103 through a loopback each.
const LOOPS: &str = "
    0.000 create a 101>110
    0.002 create l loopback/102-a of=a other_loopback_leg_uuid=@m
    0.003 create m loopback/102-b other_loopback_leg_uuid=@l
    0.004 create n loopback/103-a of=a other_loopback_leg_uuid=@o
    0.005 create o loopback/103-b other_loopback_leg_uuid=@n
    0.010 create b to=102 of=m number=101
    0.011 create c to=103 of=o number=101
    0.020 progress b
    0.021 progress c
";

const LOOPS_TOLD: &str = "
    0.000 out 101 Setup
    0.010 inb 102 Setup
    0.011 inb 103 Setup
    0.020 inb 102 Proceeding
    0.021 inb 103 Proceeding
";

#[test]
fn who_is_called_through_a_loopback_that_loses_has_missed_nothing() {
    story(
        &[
            LOOPS,
            "
            1.000 answer b
            1.001 answer l
            1.002 answer a
            1.003 hangup n LOSE_RACE
            1.004 hangup o ORIGINATOR_CANCEL
            1.005 hangup c ORIGINATOR_CANCEL
            1.006 complete n LOSE_RACE
            1.007 complete o ORIGINATOR_CANCEL
            1.008 complete c ORIGINATOR_CANCEL disposition=send_cancel
            1.010 bridge a l
            5.000 hangup a NORMAL_CLEARING
            5.001 hangup l NORMAL_CLEARING
            5.001 hangup m NORMAL_CLEARING
            5.002 complete a NORMAL_CLEARING disposition=recv_bye
            5.003 hangup b NORMAL_CLEARING
            5.004 complete b NORMAL_CLEARING disposition=send_bye
            5.005 complete l NORMAL_CLEARING
            5.006 complete m NORMAL_CLEARING
            ",
        ],
        &[
            LOOPS_TOLD,
            "
            1.000 inb 102 Answered
            1.002 out 101 Answered
            1.005 inb 103 Disconnected
            5.000 out 101 Disconnected
            5.003 inb 102 Disconnected
            ",
        ],
    );
}

#[test]
fn who_is_called_through_a_loopback_whose_caller_gives_up_has_missed_the_call() {
    story(
        &[
            LOOPS,
            "
            1.000 hangup a ORIGINATOR_CANCEL
            1.001 hangup l ORIGINATOR_CANCEL
            1.001 hangup n ORIGINATOR_CANCEL
            1.002 hangup b ORIGINATOR_CANCEL
            1.003 hangup c ORIGINATOR_CANCEL
            1.004 complete b ORIGINATOR_CANCEL disposition=send_cancel
            1.005 complete c ORIGINATOR_CANCEL disposition=send_cancel
            1.006 complete a ORIGINATOR_CANCEL disposition=recv_cancel
            1.007 ends l ORIGINATOR_CANCEL
            1.007 ends m ORIGINATOR_CANCEL
            1.007 ends n ORIGINATOR_CANCEL
            1.007 ends o ORIGINATOR_CANCEL
            ",
        ],
        &[
            LOOPS_TOLD,
            "
            1.002 inb 102 Disconnected/Cancelled missed
            1.003 inb 103 Disconnected/Cancelled missed
            1.003 out 101 Disconnected
            ",
        ],
    );
}

#[test]
fn a_phone_that_sends_the_call_to_a_foreign_host_has_forwarded_it() {
    story(
        &["
        0.000 create a 101>102
        0.004 create b to=102 of=a number=101
        0.100 progress b sip_redirected_to=<sip:+13125550188@192.0.2.9:5060>
        0.101 progress a
        1.000 answer b sip_redirected_to=<sip:+13125550188@192.0.2.9:5060>
        1.002 answer a
        1.004 bridge a b
        5.000 hangup b NORMAL_CLEARING
        5.001 complete b NORMAL_CLEARING disposition=recv_bye
        5.002 ends a NORMAL_CLEARING disposition=send_bye
        "],
        &["
        0.000 out 101 Setup
        0.004 inb 102 Setup
        0.100 inb 102 Disconnected/CallRedirected
        0.100 inb +13125550188 Proceeding
        0.101 out 101 Proceeding
        1.000 inb +13125550188 Answered
        1.002 out 101 Answered
        5.000 inb +13125550188 Disconnected
        5.002 out 101 Disconnected
        "],
    );
}

#[test]
fn a_phone_that_rang_may_send_the_call_to_somebody_who_does_not_answer() {
    story(
        &[
            RINGS,
            "
            2.000 progress b sip_redirected_to=<sip:104@192.0.2.9>
            9.000 hangup b NO_ANSWER
            9.001 complete b NO_ANSWER disposition=send_cancel
            9.500 ends a NORMAL_CLEARING originate_disposition=NO_ANSWER disposition=send_refuse
            ",
        ],
        &[
            RINGS_TOLD,
            "
            2.000 inb 102 Disconnected/CallRedirected
            2.000 inb 104 Setup
            2.000 inb 104 Proceeding
            9.000 inb 104 Disconnected/NoAnswer missed
            9.500 out 101 Disconnected/NoAnswer
            ",
        ],
    );
}

#[test]
fn a_caller_whose_group_nobody_has_answered_ends_with_the_reason_of_the_last_of_them() {
    // As in `enterprise-group-that-nobody-answers`: of `:_:` the caller's channel says `failure`.
    for (cause, reason) in
        [("NO_ANSWER", "NoAnswer"), ("USER_BUSY", "TargetBusy"), ("CALL_REJECTED", "Rejected")]
    {
        story(
            &[&format!(
                "
                0.000 create a 101>200
                0.002 execute a bridge(user/102:_:user/103)
                0.004 create b to=102 number=101
                0.005 create c to=103 number=101
                0.030 progress b
                0.031 progress c
                6.000 ends b NO_ANSWER disposition=send_cancel
                6.001 ends c {cause}
                6.020 hangup a NORMAL_CLEARING originate_disposition=failure
                6.021 complete a NORMAL_CLEARING originate_disposition=failure disposition=send_refuse
                "
            )],
            &[&format!(
                "
                0.000 out 101 Setup
                0.004 inb 102 Setup
                0.005 inb 103 Setup
                0.030 inb 102 Proceeding
                0.031 inb 103 Proceeding
                6.000 inb 102 Disconnected/NoAnswer missed
                6.001 inb 103 Disconnected/{reason} missed
                6.020 out 101 Disconnected/{reason}
                "
            )],
        );
    }
}

#[test]
fn a_phone_that_sends_the_call_to_somebody_who_refuses_it_has_forwarded_it() {
    // All that is said of where it was sent comes with the end.
    story(
        &["
        0.000 create a 101>102
        0.004 create b to=102 of=a number=101
        3.000 hangup b USER_BUSY sip_redirected_to=<sip:+13125550188@192.0.2.9:5060>
        3.001 complete b USER_BUSY term_status=486 disposition=recv_refuse sip_redirected_to=<sip:+13125550188@192.0.2.9:5060>
        3.100 ends a NORMAL_CLEARING originate_disposition=USER_BUSY disposition=send_refuse
        "],
        &["
        0.000 out 101 Setup
        0.004 inb 102 Setup
        3.000 inb 102 Disconnected/CallRedirected
        3.000 inb +13125550188 Proceeding
        3.000 inb +13125550188 Disconnected/TargetBusy
        3.100 out 101 Disconnected/TargetBusy
        "],
    );
}

#[test]
fn whom_the_switch_gives_up_behind_loopbacks_has_missed_a_call_that_was_not_answered() {
    // The loopbacks are gone before the phones, and the caller is told why the last of them did not take the call.
    story(
        &[
            LOOPS,
            "
            5.000 hangup c NO_ANSWER
            5.001 hangup o NORMAL_CLEARING
            5.002 hangup n NORMAL_CLEARING
            5.003 complete c NO_ANSWER disposition=send_cancel
            5.004 hangup b NO_ANSWER
            5.005 hangup m NORMAL_CLEARING
            5.006 hangup l NORMAL_CLEARING
            5.007 complete m NORMAL_CLEARING originate_disposition=NO_ANSWER
            5.008 complete b NO_ANSWER disposition=send_cancel
            5.009 complete n NORMAL_CLEARING
            5.010 complete o NORMAL_CLEARING originate_disposition=NO_ANSWER
            5.011 complete l NORMAL_CLEARING
            5.020 hangup a NORMAL_CLEARING
            5.021 complete a NORMAL_CLEARING originate_disposition=failure disposition=send_refuse
            ",
        ],
        &[
            LOOPS_TOLD,
            "
            5.004 inb 102 Disconnected/NoAnswer missed
            5.004 inb 103 Disconnected/NoAnswer missed
            5.020 out 101 Disconnected/NoAnswer
            ",
        ],
    );
}
