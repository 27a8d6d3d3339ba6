//! Calls to several devices, and to several people.

use hookswitch_flows::ladder::ladder;

#[test]
fn two_devices_of_one_person_are_one_party() {
    ladder(
        "
        0.000 alice > proxy INVITE 102
        0.010 proxy > bob INVITE 102@bob
        0.011 proxy > bob:5070 INVITE 102@bob:5070
        0.500 bob > proxy 180
        0.510 proxy > alice 180
        0.600 bob:5070 > proxy 180
        0.610 proxy > alice 180
        3.000 bob:5070 > proxy 200
        3.010 proxy > alice 200
        3.020 proxy > bob CANCEL
        3.030 bob > proxy 487 for=INVITE
        3.040 alice > bob:5070 ACK
        9.000 alice > bob:5070 BYE
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.010 inb 102 Setup
        0.500 inb 102 Proceeding
        0.510 out 101 Proceeding
        3.000 inb 102 Answered
        3.010 out 101 Answered
        9.000 out 101 Disconnected
        9.000 inb 102 Disconnected
        ",
    );
}

#[test]
fn one_busy_device_does_not_end_the_call_to_its_owner() {
    ladder(
        "
        0.000 alice > proxy INVITE 102
        0.010 proxy > bob INVITE 102@bob
        0.011 proxy > bob:5070 INVITE 102@bob:5070
        0.100 bob > proxy 486
        0.110 proxy > bob ACK
        0.600 bob:5070 > proxy 180
        0.610 proxy > alice 180
        3.000 bob:5070 > proxy 603
        3.010 proxy > alice 603
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.010 inb 102 Setup
        0.600 inb 102 Proceeding
        0.610 out 101 Proceeding
        3.000 inb 102 Disconnected/Rejected missed
        3.010 out 101 Disconnected/Rejected
        ",
    );
}

#[test]
fn who_declines_on_one_phone_has_declined_though_the_offer_is_taken_back_from_the_other() {
    // RFC 3261 §16.7, item 5: a proxy cancels what is pending when a 6xx comes.
    ladder(
        "
        0.000 alice > proxy INVITE 102
        0.010 proxy > bob INVITE 102@bob
        0.011 proxy > bob:5070 INVITE 102@bob:5070
        0.500 bob > proxy 180
        0.510 proxy > alice 180
        0.600 bob:5070 > proxy 180
        2.000 bob > proxy 603
        2.005 proxy > bob ACK
        2.010 proxy > bob:5070 CANCEL
        2.015 bob:5070 > proxy 200 for=CANCEL
        2.020 bob:5070 > proxy 487 for=INVITE
        2.030 proxy > alice 603
        2.040 alice > proxy ACK
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.010 inb 102 Setup
        0.500 inb 102 Proceeding
        0.510 out 101 Proceeding
        2.020 inb 102 Disconnected/Rejected missed
        2.030 out 101 Disconnected/Rejected
        ",
    );
}

#[test]
fn who_declines_on_one_phone_behind_a_switch_has_declined_and_a_mailbox_may_answer() {
    ladder(
        "
        0.000 alice > pbx INVITE 102
        0.010 pbx > bob INVITE 102@bob call=2 from=101 name=Alice
        0.011 pbx > bob:5070 INVITE 102@bob:5070 call=3 from=101 name=Alice
        0.500 bob > pbx 180 call=2
        0.510 pbx > alice 180
        0.600 bob:5070 > pbx 180 call=3
        2.000 bob:5070 > pbx 603 call=3
        2.005 pbx > bob:5070 ACK call=3
        2.010 pbx > bob CANCEL call=2
        2.015 bob > pbx 200 call=2 for=CANCEL
        2.020 bob > pbx 487 call=2 for=INVITE
        2.200 pbx > alice 200
        2.210 alice > pbx ACK
        9.000 alice > pbx BYE
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.010 inb 102 Setup
        0.500 inb 102 Proceeding
        0.510 out 101 Proceeding
        2.020 inb 102 Disconnected/Rejected missed
        2.200 out 101 Answered
        9.000 out 101 Disconnected
        ",
    );
}

#[test]
fn who_sends_the_call_elsewhere_from_one_phone_has_not_missed_it_on_the_other() {
    ladder(
        "
        0.000 alice > pbx INVITE 102
        0.010 pbx > bob INVITE 102@bob call=2 from=101 name=Alice
        0.011 pbx > bob:5070 INVITE 102@bob:5070 call=3 from=101 name=Alice
        0.500 bob > pbx 180 call=2
        0.600 bob:5070 > pbx 180 call=3
        0.610 pbx > alice 180
        3.000 bob > pbx 302 call=2 | Contact: <sip:103@example.com>
        3.005 pbx > bob ACK call=2
        3.010 pbx > bob:5070 CANCEL call=3
        3.015 bob:5070 > pbx 487 call=3 for=INVITE
        3.050 pbx > carol INVITE 103@carol call=4 from=101 name=Alice
        3.500 carol > pbx 180 call=4
        5.000 carol > pbx 200 call=4
        5.010 pbx > alice 200
        5.020 alice > pbx ACK
        9.000 alice > pbx BYE
        9.020 pbx > carol BYE call=4
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.010 inb 102 Setup
        0.500 inb 102 Proceeding
        0.610 out 101 Proceeding
        3.015 inb 102 Disconnected/CallRedirected
        3.050 inb 103 Setup
        3.500 inb 103 Proceeding
        5.000 inb 103 Answered
        5.010 out 101 Answered
        9.000 out 101 Disconnected
        9.020 inb 103 Disconnected
        ",
    );
}

#[test]
fn who_is_busy_everywhere_by_one_phone_is_busy() {
    for (status, reason) in [("600", "TargetBusy"), ("486", "TargetBusy"), ("607", "Rejected")] {
        ladder(&format!(
            "
            0.000 alice > proxy INVITE 102
            0.010 proxy > bob INVITE 102@bob
            0.011 proxy > bob:5070 INVITE 102@bob:5070
            0.500 bob > proxy 180
            0.510 proxy > alice 180
            0.600 bob:5070 > proxy 180
            3.000 bob > proxy {status}
            3.005 proxy > bob ACK
            3.010 proxy > bob:5070 CANCEL
            3.015 bob:5070 > proxy 487 for=INVITE
            3.020 proxy > alice {status}
            "
        ))
        .tells(&format!(
            "
            0.000 out 101 Setup
            0.010 inb 102 Setup
            0.500 inb 102 Proceeding
            0.510 out 101 Proceeding
            3.015 inb 102 Disconnected/{reason} missed
            3.020 out 101 Disconnected/{reason}
            "
        ));
    }
}

#[test]
fn a_refusal_that_the_caller_hears_of_before_the_other_phone_is_cancelled_is_that_of_the_callee() {
    ladder(
        "
        0.000 alice > proxy INVITE 102
        0.010 proxy > bob INVITE 102@bob
        0.011 proxy > bob:5070 INVITE 102@bob:5070
        0.500 bob > proxy 180
        0.510 proxy > alice 180
        0.600 bob:5070 > proxy 180
        3.000 bob > proxy 603
        3.001 proxy > alice 603
        3.005 proxy > bob ACK
        3.010 proxy > bob:5070 CANCEL
        3.015 bob:5070 > proxy 487 for=INVITE
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.010 inb 102 Setup
        0.500 inb 102 Proceeding
        0.510 out 101 Proceeding
        3.001 inb 102 Disconnected/Rejected missed
        3.001 out 101 Disconnected/Rejected
        ",
    );
}

#[test]
fn who_declines_on_one_phone_and_lets_the_other_ring_has_not_answered() {
    ladder(
        "
        0.000 alice > pbx INVITE 102
        0.010 pbx > bob INVITE 102@bob call=2 from=101 name=Alice
        0.011 pbx > bob:5070 INVITE 102@bob:5070 call=3 from=101 name=Alice
        0.500 bob > pbx 180 call=2
        0.510 pbx > alice 180
        0.600 bob:5070 > pbx 180 call=3
        2.000 bob > pbx 603 call=2
        2.005 pbx > bob ACK call=2
        20.000 pbx > bob:5070 CANCEL call=3
        20.010 bob:5070 > pbx 487 call=3 for=INVITE
        20.020 pbx > alice 480
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.010 inb 102 Setup
        0.500 inb 102 Proceeding
        0.510 out 101 Proceeding
        20.010 inb 102 Disconnected/NoAnswer missed
        20.020 out 101 Disconnected/NoAnswer
        ",
    );
}

#[test]
fn a_caller_who_gives_up_as_one_phone_declines_has_given_up() {
    ladder(
        "
        0.000 alice > proxy INVITE 102
        0.010 proxy > bob INVITE 102@bob
        0.011 proxy > bob:5070 INVITE 102@bob:5070
        0.500 bob > proxy 180
        0.510 proxy > alice 180
        0.600 bob:5070 > proxy 180
        1.900 bob > proxy 603
        1.905 proxy > bob ACK
        2.000 alice > proxy CANCEL
        2.005 proxy > alice 200 for=CANCEL
        2.010 proxy > bob:5070 CANCEL
        2.015 bob:5070 > proxy 200 for=CANCEL
        2.020 bob:5070 > proxy 487 for=INVITE
        2.030 proxy > alice 487 for=INVITE
        2.040 alice > proxy ACK
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.010 inb 102 Setup
        0.500 inb 102 Proceeding
        0.510 out 101 Proceeding
        2.020 inb 102 Disconnected/Cancelled missed
        2.030 out 101 Disconnected
        ",
    );
}

#[test]
fn a_call_that_one_of_several_answers_is_not_missed_by_the_others() {
    for why in ["", "| Reason: SIP;cause=200;text=\"Call completed elsewhere\""] {
        ladder(&format!(
            "
            0.000 alice > proxy INVITE 600
            0.010 proxy > bob INVITE 102@bob
            0.011 proxy > carol INVITE 103@carol
            0.500 bob > proxy 180
            0.510 proxy > alice 180
            0.600 carol > proxy 180
            0.610 proxy > alice 180
            3.000 carol > proxy 200
            3.010 proxy > alice 200
            3.020 proxy > bob CANCEL {why}
            3.025 bob > proxy 200 for=CANCEL
            3.030 bob > proxy 487
            3.040 alice > carol ACK
            9.000 carol > alice BYE
            "
        ))
        .tells(
            "
            0.000 out 101 Setup
            0.010 inb 102 Setup
            0.011 inb 103 Setup
            0.500 inb 102 Proceeding
            0.510 out 101 Proceeding
            0.600 inb 103 Proceeding
            3.000 inb 103 Answered
            3.010 out 101 Answered
            3.030 inb 102 Disconnected
            9.000 inb 103 Disconnected
            9.000 out 101 Disconnected
            ",
        );
    }
}

#[test]
fn a_member_that_declines_does_not_miss_the_call_that_another_answers() {
    ladder(
        "
        0.000 alice > proxy INVITE 600
        0.010 proxy > bob INVITE 102@bob
        0.011 proxy > carol INVITE 103@carol
        0.500 bob > proxy 180
        0.510 proxy > alice 180
        0.600 carol > proxy 180
        2.000 bob > proxy 603
        2.010 proxy > bob ACK
        3.000 carol > proxy 200
        3.010 proxy > alice 200
        3.040 alice > carol ACK
        9.000 carol > alice BYE
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.010 inb 102 Setup
        0.011 inb 103 Setup
        0.500 inb 102 Proceeding
        0.510 out 101 Proceeding
        0.600 inb 103 Proceeding
        2.000 inb 102 Disconnected/Rejected
        3.000 inb 103 Answered
        3.010 out 101 Answered
        9.000 inb 103 Disconnected
        9.000 out 101 Disconnected
        ",
    );
}

#[test]
fn a_group_that_nobody_answers_is_missed_by_all() {
    ladder(
        "
        0.000 alice > proxy INVITE 600
        0.010 proxy > bob INVITE 102@bob
        0.011 proxy > carol INVITE 103@carol
        0.500 bob > proxy 180
        0.510 proxy > alice 180
        0.600 carol > proxy 180
        30.000 proxy > bob CANCEL
        30.001 proxy > carol CANCEL
        30.010 bob > proxy 487 for=INVITE
        30.020 carol > proxy 487 for=INVITE
        30.030 proxy > alice 480
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.010 inb 102 Setup
        0.011 inb 103 Setup
        0.500 inb 102 Proceeding
        0.510 out 101 Proceeding
        0.600 inb 103 Proceeding
        30.010 inb 102 Disconnected/NoAnswer missed
        30.020 inb 103 Disconnected/NoAnswer missed
        30.030 out 101 Disconnected/NoAnswer
        ",
    );
}

#[test]
fn a_group_call_that_the_caller_gives_up_is_missed_by_all() {
    ladder(
        "
        0.000 alice > proxy INVITE 600
        0.010 proxy > bob INVITE 102@bob
        0.011 proxy > carol INVITE 103@carol
        0.500 bob > proxy 180
        0.510 proxy > alice 180
        0.600 carol > proxy 180
        5.000 alice > proxy CANCEL
        5.001 proxy > alice 200 for=CANCEL
        5.002 proxy > bob CANCEL
        5.003 proxy > carol CANCEL
        5.010 bob > proxy 487 for=INVITE
        5.020 carol > proxy 487 for=INVITE
        5.030 proxy > alice 487
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.010 inb 102 Setup
        0.011 inb 103 Setup
        0.500 inb 102 Proceeding
        0.510 out 101 Proceeding
        0.600 inb 103 Proceeding
        5.010 inb 102 Disconnected/Cancelled missed
        5.020 inb 103 Disconnected/Cancelled missed
        5.030 out 101 Disconnected
        ",
    );
}

#[test]
fn two_forks_that_both_answer_are_both_told() {
    ladder(
        "
        0.000 alice > proxy INVITE 600
        0.010 proxy > bob INVITE 102@bob
        0.011 proxy > carol INVITE 103@carol
        0.500 bob > proxy 180
        0.510 proxy > alice 180
        0.600 carol > proxy 180
        3.000 bob > proxy 200
        3.001 carol > proxy 200
        3.010 proxy > alice 200 tag=bob-0
        3.011 proxy > alice 200 tag=carol-0 again=1
        3.020 alice > bob ACK tag=bob-0
        3.021 alice > carol ACK tag=carol-0
        3.030 alice > carol BYE tag=carol-0
        9.000 alice > bob BYE tag=bob-0
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.010 inb 102 Setup
        0.011 inb 103 Setup
        0.500 inb 102 Proceeding
        0.510 out 101 Proceeding
        0.600 inb 103 Proceeding
        3.000 inb 102 Answered
        3.001 inb 103 Answered
        3.010 out 101 Answered
        3.030 inb 103 Disconnected
        9.000 out 101 Disconnected
        9.000 inb 102 Disconnected
        ",
    );
}

#[test]
fn two_phones_behind_one_hop_may_both_answer_and_one_is_hung_up() {
    ladder(
        "
        0.000 alice > proxy INVITE 102
        0.500 proxy > alice 180 tag=bob-0
        0.510 proxy > alice 180 tag=bob-1
        3.000 proxy > alice 200 tag=bob-0
        3.001 proxy > alice 200 tag=bob-1 again=1
        3.020 alice > proxy ACK tag=bob-0
        3.021 alice > proxy ACK tag=bob-1
        3.030 alice > proxy BYE tag=bob-1
        5.000 alice > proxy INVITE tag=bob-0 in=dialog sdp=sendonly
        5.010 proxy > alice 200 for=INVITE tag=bob-0 sdp=recvonly
        9.000 alice > proxy BYE tag=bob-0
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.000 inb 102 Setup
        0.500 inb 102 Proceeding
        0.500 out 101 Proceeding
        3.000 inb 102 Answered
        3.000 out 101 Answered
        5.010 out 101 Hold
        9.000 out 101 Disconnected
        9.000 inb 102 Disconnected
        ",
    );
}

#[test]
fn of_two_answers_behind_one_hop_the_first_may_be_the_one_that_is_hung_up() {
    ladder(
        "
        0.000 alice > proxy INVITE 102
        0.500 proxy > alice 180 tag=bob-0
        0.510 proxy > alice 180 tag=bob-1
        3.000 proxy > alice 200 tag=bob-0
        3.001 proxy > alice 200 tag=bob-1 again=1
        3.020 alice > proxy ACK tag=bob-0
        3.021 alice > proxy ACK tag=bob-1
        3.030 alice > proxy BYE tag=bob-0
        9.000 alice > proxy BYE tag=bob-1
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.000 inb 102 Setup
        0.500 inb 102 Proceeding
        0.500 out 101 Proceeding
        3.000 inb 102 Answered
        3.000 out 101 Answered
        9.000 out 101 Disconnected
        9.000 inb 102 Disconnected
        ",
    );
}

#[test]
fn a_member_that_declines_for_all_is_why_the_call_failed() {
    ladder(
        "
        0.000 alice > proxy INVITE 200
        0.010 proxy > bob INVITE 102@bob
        0.011 proxy > carol INVITE 103@carol
        0.500 bob > proxy 180
        0.510 proxy > alice 180
        0.600 carol > proxy 180
        2.000 bob > proxy 603
        2.005 proxy > bob ACK
        2.010 proxy > carol CANCEL
        2.015 carol > proxy 200 for=CANCEL
        2.020 carol > proxy 487 for=INVITE
        2.030 proxy > alice 603
        2.040 alice > proxy ACK
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.010 inb 102 Setup
        0.011 inb 103 Setup
        0.500 inb 102 Proceeding
        0.510 out 101 Proceeding
        0.600 inb 103 Proceeding
        2.000 inb 102 Disconnected/Rejected
        2.020 inb 103 Disconnected/NoAnswer missed
        2.030 out 101 Disconnected/Rejected
        ",
    );
}

#[test]
fn a_member_of_a_group_of_a_switch_that_declines_for_all_is_why_the_call_failed() {
    ladder(
        "
        0.000 alice > pbx INVITE 200
        0.010 pbx > bob INVITE 102@bob call=2 from=101 name=Alice
        0.011 pbx > carol INVITE 103@carol call=3 from=101 name=Alice
        0.500 bob > pbx 180 call=2
        0.510 pbx > alice 180
        0.600 carol > pbx 180 call=3
        2.000 bob > pbx 603 call=2
        2.005 pbx > bob ACK call=2
        2.010 pbx > carol CANCEL call=3
        2.015 carol > pbx 200 for=CANCEL call=3
        2.020 carol > pbx 487 for=INVITE call=3
        2.030 pbx > alice 603
        2.040 alice > pbx ACK
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.010 inb 102 Setup
        0.011 inb 103 Setup
        0.500 inb 102 Proceeding
        0.510 out 101 Proceeding
        0.600 inb 103 Proceeding
        2.000 inb 102 Disconnected/Rejected
        2.020 inb 103 Disconnected/NoAnswer missed
        2.030 out 101 Disconnected/Rejected
        ",
    );
}

#[test]
fn a_member_that_is_busy_everywhere_is_why_the_call_failed() {
    ladder(
        "
        0.000 alice > proxy INVITE 200
        0.010 proxy > bob INVITE 102@bob
        0.011 proxy > carol INVITE 103@carol
        0.500 bob > proxy 180
        0.510 proxy > alice 180
        0.600 carol > proxy 180
        2.000 bob > proxy 600
        2.005 proxy > bob ACK
        2.010 proxy > carol CANCEL
        2.020 carol > proxy 487 for=INVITE
        2.030 proxy > alice 600
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.010 inb 102 Setup
        0.011 inb 103 Setup
        0.500 inb 102 Proceeding
        0.510 out 101 Proceeding
        0.600 inb 103 Proceeding
        2.000 inb 102 Disconnected/TargetBusy
        2.020 inb 103 Disconnected/NoAnswer missed
        2.030 out 101 Disconnected/TargetBusy
        ",
    );
}

#[test]
fn a_member_that_was_busy_long_before_is_not_why_the_call_failed() {
    ladder(
        "
        0.000 alice > proxy INVITE 200
        0.010 proxy > bob INVITE 102@bob
        0.011 proxy > carol INVITE 103@carol
        0.100 bob > proxy 486
        0.105 proxy > bob ACK
        0.600 carol > proxy 180
        0.610 proxy > alice 180
        30.010 proxy > carol CANCEL
        30.020 carol > proxy 487 for=INVITE
        30.030 proxy > alice 486
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.010 inb 102 Setup
        0.011 inb 103 Setup
        0.100 inb 102 Disconnected/TargetBusy
        0.600 inb 103 Proceeding
        0.610 out 101 Proceeding
        30.020 inb 103 Disconnected/NoAnswer missed
        30.030 out 101 Disconnected/NoAnswer
        ",
    );
}

#[test]
fn a_member_that_declines_for_all_is_why_the_call_failed_though_the_other_is_cancelled_later() {
    ladder(
        "
        0.000 alice > proxy INVITE 200
        0.010 proxy > bob INVITE 102@bob
        0.011 proxy > carol INVITE 103@carol
        0.500 bob > proxy 180
        0.510 proxy > alice 180
        0.600 carol > proxy 180
        2.000 bob > proxy 603
        2.005 proxy > bob ACK
        2.010 proxy > alice 603
        2.015 proxy > carol CANCEL
        2.020 carol > proxy 487 for=INVITE
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.010 inb 102 Setup
        0.011 inb 103 Setup
        0.500 inb 102 Proceeding
        0.510 out 101 Proceeding
        0.600 inb 103 Proceeding
        2.000 inb 102 Disconnected/Rejected
        2.010 inb 103 Disconnected/NoAnswer missed
        2.010 out 101 Disconnected/Rejected
        ",
    );
}
