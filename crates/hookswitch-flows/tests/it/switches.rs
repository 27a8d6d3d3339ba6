//! Calls through back-to-back user agents: two SIP calls that are legs of one session.

use hookswitch_flows::ladder::{ladder, run, written};

#[test]
fn the_two_sip_calls_of_a_pbx_are_one_session() {
    ladder(
        "
        0.000 alice > pbx INVITE 102
        0.005 pbx > alice 401
        0.010 alice > pbx ACK
        0.020 alice > pbx INVITE 102
        0.025 pbx > alice 100
        0.050 pbx > bob INVITE 102@bob call=2 from=101 name=Alice
        0.060 bob > pbx 100 call=2
        0.500 bob > pbx 180 call=2
        0.510 pbx > alice 180
        3.000 bob > pbx 200 call=2
        3.010 pbx > bob ACK call=2
        3.020 pbx > alice 200
        3.030 alice > pbx ACK
        9.000 alice > pbx BYE
        9.010 pbx > alice 200
        9.020 pbx > bob BYE call=2
        9.030 bob > pbx 200 call=2
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.050 inb 102 Setup
        0.500 inb 102 Proceeding
        0.510 out 101 Proceeding
        3.000 inb 102 Answered
        3.020 out 101 Answered
        9.000 out 101 Disconnected
        9.020 inb 102 Disconnected
        ",
    );
}

#[test]
fn a_pbx_that_rings_before_it_calls_the_phone_is_not_taken_for_the_callee() {
    ladder(
        "
        0.000 alice > pbx INVITE 102
        0.010 pbx > alice 180
        0.050 pbx > bob INVITE 102@bob call=2 from=101 name=Alice
        0.500 bob > pbx 180 call=2
        3.000 bob > pbx 200 call=2
        3.020 pbx > alice 200
        9.000 bob > pbx BYE call=2
        9.020 pbx > alice BYE
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.010 out 101 Proceeding
        0.050 inb 102 Setup
        0.500 inb 102 Proceeding
        3.000 inb 102 Answered
        3.020 out 101 Answered
        9.000 inb 102 Disconnected
        9.020 out 101 Disconnected
        ",
    );
}

#[test]
fn a_busy_phone_behind_a_pbx() {
    ladder(
        "
        0.000 alice > pbx INVITE 102
        0.005 pbx > alice 100
        0.050 pbx > bob INVITE 102@bob call=2 from=101 name=Alice
        0.100 bob > pbx 486 call=2
        0.110 pbx > bob ACK call=2
        0.120 pbx > alice 486
        0.130 alice > pbx ACK
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.050 inb 102 Setup
        0.100 inb 102 Disconnected/TargetBusy missed
        0.120 out 101 Disconnected/TargetBusy
        ",
    );
}

#[test]
fn a_call_given_up_through_a_pbx() {
    ladder(
        "
        0.000 alice > pbx INVITE 102
        0.050 pbx > bob INVITE 102@bob call=2 from=101 name=Alice
        0.500 bob > pbx 180 call=2
        0.510 pbx > alice 180
        5.000 alice > pbx CANCEL
        5.001 pbx > alice 200 for=CANCEL
        5.002 pbx > alice 487
        5.003 alice > pbx ACK
        5.010 pbx > bob CANCEL call=2
        5.020 bob > pbx 200 for=CANCEL call=2
        5.030 bob > pbx 487 call=2
        5.040 pbx > bob ACK call=2
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.050 inb 102 Setup
        0.500 inb 102 Proceeding
        0.510 out 101 Proceeding
        5.002 inb 102 Disconnected/Cancelled missed
        5.002 out 101 Disconnected
        ",
    );
}

#[test]
fn a_ring_group_of_a_pbx_that_one_member_answers() {
    ladder(
        "
        0.000 alice > pbx INVITE 600
        0.050 pbx > bob INVITE 102@bob call=2 from=101 name=Alice
        0.051 pbx > carol INVITE 103@carol call=3 from=101 name=Alice
        0.500 bob > pbx 180 call=2
        0.510 pbx > alice 180
        0.600 carol > pbx 180 call=3
        3.000 carol > pbx 200 call=3
        3.010 pbx > bob CANCEL call=2
        3.015 pbx > alice 200
        3.020 bob > pbx 200 for=CANCEL call=2
        3.030 bob > pbx 487 call=2
        9.000 alice > pbx BYE
        9.010 pbx > carol BYE call=3
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.050 inb 102 Setup
        0.051 inb 103 Setup
        0.500 inb 102 Proceeding
        0.510 out 101 Proceeding
        0.600 inb 103 Proceeding
        3.000 inb 103 Answered
        3.015 out 101 Answered
        3.030 inb 102 Disconnected
        9.000 out 101 Disconnected
        9.010 inb 103 Disconnected
        ",
    );
}

#[test]
fn a_call_from_the_trunk_to_an_extension() {
    ladder(
        "
        0.000 trunk > pbx INVITE +14155559000 name=Pat
        0.005 pbx > trunk 100
        0.050 pbx > bob INVITE 102@bob call=2 from=+14155550100 name=Pat
        0.500 bob > pbx 180 call=2
        0.510 pbx > trunk 180
        3.000 bob > pbx 200 call=2
        3.010 pbx > trunk 200
        9.000 trunk > pbx BYE
        9.010 pbx > bob BYE call=2
        ",
    )
    .tells(
        "
        0.000 out +14155550100 Setup
        0.050 inb 102 Setup
        0.500 inb 102 Proceeding
        0.510 out +14155550100 Proceeding
        3.000 inb 102 Answered
        3.010 out +14155550100 Answered
        9.000 out +14155550100 Disconnected
        9.010 inb 102 Disconnected
        ",
    );
}

#[test]
fn a_callee_outside_rings_from_the_moment_the_call_is_sent_out() {
    ladder(
        "
        0.000 alice > pbx INVITE 914155550123
        0.050 pbx > trunk INVITE +14155550123@trunk call=2 from=+14155559000
        0.500 trunk > pbx 183 call=2 sdp=sendrecv
        0.510 pbx > alice 183 sdp=sendrecv
        3.000 trunk > pbx 200 call=2
        3.010 pbx > alice 200
        9.000 trunk > pbx BYE call=2
        9.010 pbx > alice BYE
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.050 inb +14155550123 Proceeding
        0.510 out 101 Proceeding
        3.000 inb +14155550123 Answered
        3.010 out 101 Answered
        9.000 inb +14155550123 Disconnected
        9.010 out 101 Disconnected
        ",
    );
}

#[test]
fn a_common_id_joins_legs_that_nothing_else_joins() {
    for (first, second) in [
        (
            "| Session-ID: aaaabbbbccccddddeeeeffff00001111;remote=00000000000000000000000000000000",
            "| Session-ID: aaaabbbbccccddddeeeeffff00001111;remote=00000000000000000000000000000000",
        ),
        ("", "| X-CID: 1-0@example.com"),
        ("hep=one", "hep=one"),
    ] {
        ladder(&format!(
            "
            0.000 trunk > pbx INVITE +14155559000 {first}
            0.050 proxy > carol INVITE 103@carol call=2 from=777 {second}
            0.500 carol > proxy 180 call=2
            0.510 pbx > trunk 180
            3.000 carol > proxy 200 call=2
            3.010 pbx > trunk 200
            9.000 trunk > pbx BYE
            9.010 proxy > carol BYE call=2
            "
        ))
        .tells(
            "
            0.000 out +14155550100 Setup
            0.050 inb 103 Setup
            0.500 inb 103 Proceeding
            0.510 out +14155550100 Proceeding
            3.000 inb 103 Answered
            3.010 out +14155550100 Answered
            9.000 out +14155550100 Disconnected
            9.010 inb 103 Disconnected
            ",
        );
    }
}

#[test]
fn two_calls_through_one_pbx_at_the_same_time_are_two_sessions() {
    let flow = ladder(
        "
        0.000 alice > pbx INVITE 102
        0.010 carol > pbx INVITE 104 call=3
        0.050 pbx > dave INVITE 104@dave call=4 from=103 name=Carol
        0.060 pbx > bob INVITE 102@bob call=2 from=101 name=Alice
        0.500 bob > pbx 486 call=2
        0.510 pbx > alice 486
        0.600 dave > pbx 603 call=4
        0.610 pbx > carol 603 call=3
        ",
    );
    let mut told = written(&run(&flow.packets));
    told.sort_by_key(|line| line.starts_with('#'));
    assert_eq!(
        told,
        [
            "0.000 out 101 Setup",
            "0.060 inb 102 Setup",
            "0.500 inb 102 Disconnected/TargetBusy missed",
            "0.510 out 101 Disconnected/TargetBusy",
            "#2 0.010 out 103 Setup",
            "#2 0.050 inb 104 Setup",
            "#2 0.600 inb 104 Disconnected/Rejected missed",
            "#2 0.610 out 103 Disconnected/Rejected",
        ]
    );
}

#[test]
fn a_pbx_that_calls_on_its_own_account_joins_nobody() {
    ladder(
        "
        0.000 alice > pbx INVITE 102
        0.050 pbx > carol INVITE 103@carol call=2 from=777
        0.100 carol > pbx 486 call=2
        0.200 pbx > alice 603
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        #2 0.050 out 777 Setup
        #2 0.050 inb 103 Setup
        #2 0.100 inb 103 Disconnected/TargetBusy missed
        #2 0.100 out 777 Disconnected/TargetBusy
        0.000 inb 102 Setup
        0.200 inb 102 Disconnected/Rejected missed
        0.200 out 101 Disconnected/Rejected
        ",
    );
}

#[test]
fn a_pbx_that_forwards_after_no_answer() {
    ladder(
        "
        0.000 alice > pbx INVITE 102
        0.050 pbx > bob INVITE 102@bob call=2 from=101 name=Alice
        0.500 bob > pbx 180 call=2
        0.510 pbx > alice 180
        15.000 pbx > bob CANCEL call=2
        15.010 bob > pbx 200 for=CANCEL call=2
        15.020 bob > pbx 487 call=2
        15.050 pbx > carol INVITE 103@carol call=3 from=101 name=Alice
        15.500 carol > pbx 180 call=3
        18.000 carol > pbx 200 call=3
        18.010 pbx > alice 200
        20.000 carol > pbx BYE call=3
        20.010 pbx > alice BYE
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.050 inb 102 Setup
        0.500 inb 102 Proceeding
        0.510 out 101 Proceeding
        15.020 inb 102 Disconnected/NoAnswer missed
        15.050 inb 103 Setup
        15.500 inb 103 Proceeding
        18.000 inb 103 Answered
        18.010 out 101 Answered
        20.000 inb 103 Disconnected
        20.010 out 101 Disconnected
        ",
    );
}

/// Alice has registered with the PBX; then these messages.
fn with_registrations(more: &str) -> hookswitch_flows::ladder::Ladder {
    ladder(&format!(
        "
        0.000 alice > pbx REGISTER sip:example.com call=reg from=101 to=101
        0.010 pbx > alice 401 call=reg
        0.020 alice > pbx REGISTER sip:example.com call=reg from=101 to=101
        0.030 pbx > alice 200 call=reg
        {more}
        "
    ))
}

#[test]
fn a_number_that_the_switch_answers_itself_has_no_party() {
    for number in ["700", "*97"] {
        with_registrations(&format!(
            "
            1.000 alice > pbx INVITE {number}
            1.010 pbx > alice 100
            1.500 pbx > alice 200
            1.510 alice > pbx ACK
            9.000 alice > pbx BYE
            "
        ))
        .tells(
            "
            1.000 out 101 Setup
            1.500 out 101 Answered
            9.000 out 101 Disconnected
            ",
        );
    }
    // Neither has a number of the company that is called from outside.
    with_registrations(
        "
        1.000 trunk > pbx INVITE +14155559000
        1.010 pbx > trunk 100
        1.500 pbx > trunk 200
        1.510 trunk > pbx ACK
        9.000 trunk > pbx BYE
        ",
    )
    .tells(
        "
        1.000 out +14155550100 Setup
        1.500 out +14155550100 Answered
        9.000 out +14155550100 Disconnected
        ",
    );
}

#[test]
fn an_outside_number_behind_the_provider_of_the_caller_is_a_party() {
    with_registrations(
        "
        1.000 alice > pbx INVITE +14155550199
        1.010 pbx > alice 100
        1.500 pbx > alice 180
        4.000 pbx > alice 200
        4.510 alice > pbx ACK
        9.000 alice > pbx BYE
        ",
    )
    .tells(
        "
        1.000 out 101 Setup
        1.000 inb +14155550199 Proceeding
        1.500 out 101 Proceeding
        4.000 inb +14155550199 Answered
        4.000 out 101 Answered
        9.000 out 101 Disconnected
        9.000 inb +14155550199 Disconnected
        ",
    );
}

#[test]
fn a_switch_that_answers_before_it_calls_the_phone() {
    ladder(
        "
        0.000 trunk > pbx INVITE +14155559000
        0.010 pbx > trunk 100
        0.020 pbx > trunk 200
        0.030 trunk > pbx ACK
        0.100 pbx > bob INVITE 102@bob call=2 from=+14155550100
        0.500 bob > pbx 180 call=2
        3.000 bob > pbx 200 call=2
        9.000 bob > pbx BYE call=2
        9.010 pbx > trunk BYE
        ",
    )
    .tells(
        "
        0.000 out +14155550100 Setup
        0.020 out +14155550100 Answered
        0.100 inb 102 Setup
        0.500 inb 102 Proceeding
        3.000 inb 102 Answered
        9.000 inb 102 Disconnected
        9.010 out +14155550100 Disconnected
        ",
    );
}

#[test]
fn an_extension_that_does_not_exist_or_has_no_phone() {
    for (refusal, reason) in [("404", "NoSuchUser"), ("480", "NoAnswer"), ("503", "InternalError")] {
        with_registrations(&format!(
            "
            1.000 alice > pbx INVITE 199
            1.010 pbx > alice {refusal}
            1.020 alice > pbx ACK
            "
        ))
        .tells(&format!(
            "
            1.000 out 101 Setup
            1.010 out 101 Disconnected/{reason}
            "
        ));
    }
}

#[test]
fn a_phone_that_declines_is_told_as_such_even_if_the_switch_says_forbidden() {
    with_registrations(
        "
        1.000 alice > pbx INVITE 102
        1.050 pbx > bob INVITE 102@bob call=2 from=101 name=Alice
        1.500 bob > pbx 180 call=2
        1.510 pbx > alice 180
        3.000 bob > pbx 603 call=2
        3.010 pbx > bob ACK call=2
        3.020 pbx > alice 403 | Reason: Q.850;cause=21
        ",
    )
    .tells(
        "
        1.000 out 101 Setup
        1.050 inb 102 Setup
        1.500 inb 102 Proceeding
        1.510 out 101 Proceeding
        3.000 inb 102 Disconnected/Rejected missed
        3.020 out 101 Disconnected/Rejected
        ",
    );
}

#[test]
fn a_phone_that_does_not_react_at_all() {
    with_registrations(
        "
        1.000 alice > pbx INVITE 102
        1.010 pbx > alice 100
        1.050 pbx > bob INVITE 102@bob call=2 from=101 name=Alice
        33.050 pbx > alice 480
        33.060 alice > pbx ACK
        ",
    )
    .tells(
        "
        1.000 out 101 Setup
        1.050 inb 102 Setup
        33.050 inb 102 Disconnected/NoAnswer missed
        33.050 out 101 Disconnected/NoAnswer
        ",
    );
}

#[test]
fn a_phone_that_rings_until_the_switch_takes_the_call_away() {
    for (end, reason) in [("480", "NoAnswer"), ("603", "NoAnswer"), ("408", "NoAnswer")] {
        with_registrations(&format!(
            "
            1.000 alice > pbx INVITE 102
            1.050 pbx > bob INVITE 102@bob call=2 from=101 name=Alice
            1.500 bob > pbx 180 call=2
            1.510 pbx > alice 180
            21.000 pbx > bob CANCEL call=2
            21.010 bob > pbx 200 for=CANCEL call=2
            21.020 bob > pbx 487 call=2
            21.030 pbx > bob ACK call=2
            21.040 pbx > alice {end}
            "
        ))
        .tells(&format!(
            "
            1.000 out 101 Setup
            1.050 inb 102 Setup
            1.500 inb 102 Proceeding
            1.510 out 101 Proceeding
            21.020 inb 102 Disconnected/NoAnswer missed
            21.040 out 101 Disconnected/{reason}
            "
        ));
    }
}

#[test]
fn two_phones_of_one_person_behind_a_pbx_are_one_party() {
    ladder(
        "
        0.000 alice > pbx INVITE 102
        0.050 pbx > bob INVITE 102@bob call=2 from=101 name=Alice
        0.051 pbx > bob:5070 INVITE 102@bob:5070 call=3 from=101 name=Alice
        0.500 bob > pbx 180 call=2
        0.510 pbx > alice 180
        0.600 bob:5070 > pbx 180 call=3
        3.000 bob:5070 > pbx 200 call=3
        3.010 pbx > bob CANCEL call=2
        3.015 pbx > alice 200
        3.030 bob > pbx 487 call=2 for=INVITE
        9.000 alice > pbx BYE
        9.010 pbx > bob:5070 BYE call=3
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.050 inb 102 Setup
        0.500 inb 102 Proceeding
        0.510 out 101 Proceeding
        3.000 inb 102 Answered
        3.015 out 101 Answered
        9.000 out 101 Disconnected
        9.010 inb 102 Disconnected
        ",
    );
}

#[test]
fn an_outside_number_that_the_network_refuses() {
    for (status, network_cause, reason) in [
        ("404", "", "InvalidNumber"),
        ("486", "", "TargetBusy"),
        ("503", "", "InternalError"),
        ("500", "| Reason: Q.850;cause=17", "TargetBusy"),
    ] {
        ladder(&format!(
            "
            0.000 alice > pbx INVITE 914155550123
            0.050 pbx > trunk INVITE +14155550123@trunk call=2 from=+14155559000
            0.500 trunk > pbx {status} call=2 {network_cause}
            0.520 pbx > alice {status} {network_cause}
            "
        ))
        .tells(&format!(
            "
            0.000 out 101 Setup
            0.050 inb +14155550123 Proceeding
            0.500 inb +14155550123 Disconnected/{reason}
            0.520 out 101 Disconnected/{reason}
            "
        ));
    }
}

#[test]
fn a_second_trunk_that_is_tried_after_the_first_failed_leads_to_the_same_callee() {
    ladder(
        "
        0.000 alice > pbx INVITE 914155550123
        0.050 pbx > trunk INVITE +14155550123@trunk call=2 from=+14155559000
        0.300 trunk > pbx 503 call=2
        0.310 pbx > trunk ACK call=2
        0.350 pbx > trunk:5080 INVITE +14155550123@trunk:5080 call=3 from=+14155559000
        0.500 trunk:5080 > pbx 183 call=3
        0.510 pbx > alice 183
        3.000 trunk:5080 > pbx 200 call=3
        3.010 pbx > alice 200
        9.000 alice > pbx BYE
        9.010 pbx > trunk:5080 BYE call=3
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.050 inb +14155550123 Proceeding
        0.510 out 101 Proceeding
        3.000 inb +14155550123 Answered
        3.010 out 101 Answered
        9.000 out 101 Disconnected
        9.010 inb +14155550123 Disconnected
        ",
    );
}

#[test]
fn two_calls_that_look_the_same_are_joined_in_their_order() {
    ladder(
        "
        0.000 trunk > pbx INVITE +14155559000 name=Pat
        0.004 trunk > pbx INVITE +14155559000 name=Pat call=3
        0.020 pbx > bob INVITE 102@bob call=2 from=+14155550100 name=Pat
        0.030 pbx > bob INVITE 102@bob call=4 from=+14155550100 name=Pat
        0.500 bob > pbx 180 call=2
        0.510 pbx > trunk 180
        3.000 bob > pbx 200 call=2
        3.010 pbx > trunk 200
        3.100 bob > pbx 486 call=4
        3.110 pbx > trunk 486 call=3
        9.000 trunk > pbx BYE
        9.010 pbx > bob BYE call=2
        ",
    )
    .tells(
        "
        0.000 out +14155550100 Setup
        #2 0.004 out +14155550100 Setup
        0.020 inb 102 Setup
        #2 0.030 inb 102 Setup
        0.500 inb 102 Proceeding
        0.510 out +14155550100 Proceeding
        3.000 inb 102 Answered
        3.010 out +14155550100 Answered
        #2 3.100 inb 102 Disconnected/TargetBusy missed
        #2 3.110 out +14155550100 Disconnected/TargetBusy
        9.000 out +14155550100 Disconnected
        9.010 inb 102 Disconnected
        ",
    );
}

#[test]
fn a_leg_that_may_belong_to_either_of_two_calls_is_joined_to_none() {
    // Both callers show the number of their company; one wants Bob, the other Carol.
    ladder(
        "
        0.000 trunk > pbx INVITE +14155559000 name=Pat
        0.004 trunk > pbx INVITE +14155559001 name=Pat call=3
        0.020 pbx > bob INVITE 102@bob call=2 from=+14155550100 name=Pat
        0.500 bob > pbx 486 call=2
        0.510 pbx > trunk 486
        0.600 pbx > trunk 404 call=3
        ",
    )
    .tells(
        "
        0.000 out +14155550100 Setup
        #2 0.004 out +14155550100 Setup
        #3 0.020 out +14155550100 Setup
        #3 0.020 inb 102 Setup
        #3 0.500 inb 102 Disconnected/TargetBusy missed
        #3 0.500 out +14155550100 Disconnected/TargetBusy
        0.510 out +14155550100 Disconnected/TargetBusy
        #2 0.600 out +14155550100 Disconnected/InvalidNumber
        ",
    );
}

#[test]
fn a_direct_number_that_ends_with_the_extension_tells_which_call_goes_on() {
    ladder(
        "
        0.000 trunk > pbx INVITE +14155559103 name=Pat
        0.004 trunk > pbx INVITE +14155559102 name=Pat call=3
        0.020 pbx > bob INVITE 102@bob call=2 from=+14155550100 name=Pat
        0.500 bob > pbx 486 call=2
        0.510 pbx > trunk 486 call=3
        0.600 pbx > trunk 404
        ",
    )
    .tells(
        "
        0.000 out +14155550100 Setup
        #2 0.004 out +14155550100 Setup
        #2 0.020 inb 102 Setup
        #2 0.500 inb 102 Disconnected/TargetBusy missed
        #2 0.510 out +14155550100 Disconnected/TargetBusy
        0.600 out +14155550100 Disconnected/InvalidNumber
        ",
    );
}

#[test]
fn a_caller_who_withholds_the_number_is_joined_by_the_moment() {
    ladder(
        "
        0.000 trunk > pbx INVITE +14155559000 from=anonymous name=Anonymous
        0.020 pbx > bob INVITE 102@bob call=2 from=anonymous name=Anonymous
        0.500 bob > pbx 486 call=2
        0.510 pbx > trunk 486
        ",
    )
    .tells(
        "
        0.000 out Anonymous Setup
        0.020 inb 102 Setup
        0.500 inb 102 Disconnected/TargetBusy missed
        0.510 out Anonymous Disconnected/TargetBusy
        ",
    );
}

#[test]
fn a_phone_that_rings_in_a_group_calls_that_group_itself() {
    ladder(
        "
        0.000 alice > pbx INVITE 600
        0.020 pbx > bob INVITE 102@bob call=2 from=101 name=Alice
        0.500 bob > pbx 180 call=2
        2.000 bob > pbx INVITE 600 call=3
        2.020 pbx > carol INVITE 103@carol call=4 from=102 name=Bob
        2.500 carol > pbx 486 call=4
        2.510 pbx > bob 486 call=3
        4.000 bob > pbx 486 call=2
        4.010 pbx > alice 486
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.020 inb 102 Setup
        0.500 inb 102 Proceeding
        #2 2.000 out 102 Setup
        #2 2.020 inb 103 Setup
        #2 2.500 inb 103 Disconnected/TargetBusy missed
        #2 2.510 out 102 Disconnected/TargetBusy
        4.000 inb 102 Disconnected/TargetBusy missed
        4.010 out 101 Disconnected/TargetBusy
        ",
    );
}

#[test]
fn a_caller_with_two_calls_of_which_the_second_goes_to_a_group() {
    ladder(
        "
        0.000 alice > pbx INVITE 102
        0.020 pbx > bob INVITE 102@bob call=2 from=101 name=Alice
        3.000 alice > pbx INVITE 600 call=3
        3.020 pbx > bob INVITE 102@bob call=4 from=101 name=Alice
        3.021 pbx > carol INVITE 103@carol call=5 from=101 name=Alice
        3.500 bob > pbx 486 call=4
        3.510 carol > pbx 486 call=5
        3.520 pbx > alice 486 call=3
        4.000 bob > pbx 486 call=2
        4.010 pbx > alice 486
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.020 inb 102 Setup
        #2 3.000 out 101 Setup
        #2 3.020 inb 102 Setup
        #2 3.021 inb 103 Setup
        #2 3.500 inb 102 Disconnected/TargetBusy
        #2 3.510 inb 103 Disconnected/TargetBusy missed
        #2 3.520 out 101 Disconnected/TargetBusy
        4.000 inb 102 Disconnected/TargetBusy missed
        4.010 out 101 Disconnected/TargetBusy
        ",
    );
}

#[test]
fn two_calls_of_one_instant_whose_legs_were_exchanged_are_put_right_by_their_answers() {
    // The switch has called the phone for the second call first. The one that is answered is the second.
    ladder(
        "
        0.000 trunk > pbx INVITE +14155559102
        0.002 trunk > pbx INVITE +14155559102 call=2
        0.020 pbx > bob INVITE 102 call=3 from=+14155550100
        0.025 pbx > bob INVITE 102 call=4 from=+14155550100
        0.500 bob > pbx 180 call=3
        0.510 pbx > trunk 180 call=2
        0.520 bob > pbx 180 call=4
        0.530 pbx > trunk 180
        5.000 bob > pbx 200 call=3
        5.010 pbx > bob ACK call=3
        5.020 pbx > trunk 200 call=2
        5.030 trunk > pbx ACK call=2
        10.000 trunk > pbx CANCEL
        10.010 pbx > trunk 487 for=INVITE
        10.020 pbx > bob CANCEL call=4
        10.030 bob > pbx 487 call=4 for=INVITE
        20.000 trunk > pbx BYE call=2
        20.020 pbx > bob BYE call=3
        ",
    )
    .tells(
        "
        0.000 out +14155550100 Setup
        #2 0.002 out +14155550100 Setup
        0.020 inb 102 Setup
        #2 0.025 inb 102 Setup
        0.500 inb 102 Proceeding
        #2 0.510 out +14155550100 Proceeding
        #2 0.520 inb 102 Proceeding
        0.530 out +14155550100 Proceeding
        5.000 inb 102 Answered
        5.020 out +14155550100 Answered
        #2 10.010 inb 102 Disconnected/Cancelled missed
        #2 10.010 out +14155550100 Disconnected
        20.000 out +14155550100 Disconnected
        20.020 inb 102 Disconnected
        ",
    );
}

#[test]
fn two_calls_of_one_instant_whose_legs_were_not_exchanged_stay_as_they_are() {
    ladder(
        "
        0.000 trunk > pbx INVITE +14155559102
        0.002 trunk > pbx INVITE +14155559102 call=2
        0.020 pbx > bob INVITE 102 call=3 from=+14155550100
        0.025 pbx > bob INVITE 102 call=4 from=+14155550100
        0.500 bob > pbx 180 call=3
        0.510 pbx > trunk 180
        0.520 bob > pbx 180 call=4
        0.530 pbx > trunk 180 call=2
        5.000 bob > pbx 200 call=4
        5.020 pbx > trunk 200 call=2
        5.300 bob > pbx 200 call=3
        5.320 pbx > trunk 200
        10.000 trunk > pbx BYE
        10.020 pbx > bob BYE call=3
        20.000 trunk > pbx BYE call=2
        20.020 pbx > bob BYE call=4
        ",
    )
    .tells(
        "
        0.000 out +14155550100 Setup
        #2 0.002 out +14155550100 Setup
        0.020 inb 102 Setup
        #2 0.025 inb 102 Setup
        0.500 inb 102 Proceeding
        0.510 out +14155550100 Proceeding
        #2 0.520 inb 102 Proceeding
        #2 0.530 out +14155550100 Proceeding
        #2 5.000 inb 102 Answered
        #2 5.020 out +14155550100 Answered
        5.300 inb 102 Answered
        5.320 out +14155550100 Answered
        10.000 out +14155550100 Disconnected
        10.020 inb 102 Disconnected
        #2 20.000 out +14155550100 Disconnected
        #2 20.020 inb 102 Disconnected
        ",
    );
}

#[test]
fn two_withheld_calls_of_one_instant_are_put_right_by_their_answers() {
    ladder(
        "
        0.000 trunk > pbx INVITE +14155559102 from=anonymous name=Anonymous | Privacy: id
        0.002 trunk > pbx INVITE +14155559102 call=2 from=anonymous name=Anonymous | Privacy: id
        0.020 pbx > bob INVITE +14155559102 call=3 from=anonymous name=Anonymous | Privacy: id
        0.025 pbx > bob INVITE +14155559102 call=4 from=anonymous name=Anonymous | Privacy: id
        0.500 bob > pbx 180 call=3
        0.520 bob > pbx 180 call=4
        5.000 bob > pbx 200 call=3
        5.020 pbx > trunk 200 call=2
        9.000 bob > pbx 486 call=4
        9.020 pbx > trunk 486
        20.000 trunk > pbx BYE call=2
        20.020 pbx > bob BYE call=3
        ",
    )
    .tells(
        "
        0.000 out Anonymous Setup
        #2 0.002 out Anonymous Setup
        0.020 inb +14155559102 Proceeding
        #2 0.025 inb +14155559102 Proceeding
        5.000 inb +14155559102 Answered
        5.020 out Anonymous Answered
        #2 9.000 inb +14155559102 Disconnected/TargetBusy
        #2 9.020 out Anonymous Disconnected/TargetBusy
        20.000 out Anonymous Disconnected
        20.020 inb +14155559102 Disconnected
        ",
    );
}

#[test]
fn a_group_behind_two_switches() {
    ladder(
        "
        0.000 trunk > sbc INVITE +14155550100 from=+14155550142
        0.030 sbc > pbx INVITE 14155550100 call=2 from=+14155550142
        0.050 pbx > bob INVITE 102@bob call=3 from=+14155550142
        0.051 pbx > carol INVITE 103@carol call=4 from=+14155550142
        0.500 bob > pbx 180 call=3
        0.505 pbx > sbc 180 call=2
        0.510 sbc > trunk 180
        0.600 carol > pbx 180 call=4
        3.000 bob > pbx 200 call=3
        3.005 pbx > carol CANCEL call=4
        3.007 pbx > sbc 200 call=2
        3.010 sbc > trunk 200
        3.015 carol > pbx 487 for=INVITE call=4
        9.000 bob > pbx BYE call=3
        9.010 pbx > sbc BYE call=2
        9.020 sbc > trunk BYE
        ",
    )
    .tells(
        "
        0.000 out +14155550142 Setup
        0.050 inb 102 Setup
        0.051 inb 103 Setup
        0.500 inb 102 Proceeding
        0.510 out +14155550142 Proceeding
        0.600 inb 103 Proceeding
        3.000 inb 102 Answered
        3.010 out +14155550142 Answered
        3.015 inb 103 Disconnected
        9.000 inb 102 Disconnected
        9.020 out +14155550142 Disconnected
        ",
    );
}

#[test]
fn a_queue_behind_a_border_controller() {
    ladder(
        "
        0.000 trunk > sbc INVITE +14155550100 from=+14155550142
        0.030 inside > pbx INVITE +14155550100 call=2 from=+14155550142
        0.100 pbx > inside 200 call=2
        0.110 sbc > trunk 200
        5.000 pbx > bob INVITE 102@bob call=3 from=+14155550142
        5.500 bob > pbx 180 call=3
        8.000 bob > pbx 200 call=3
        20.000 trunk > sbc BYE
        20.005 inside > pbx BYE call=2
        20.010 pbx > bob BYE call=3
        ",
    )
    .tells(
        "
        0.000 out +14155550142 Setup
        0.030 inb +14155550100 Proceeding
        0.100 inb +14155550100 Answered
        0.110 out +14155550142 Answered
        5.000 inb +14155550100 Disconnected/CallerInputRedirect
        5.000 inb 102 Setup
        5.500 inb 102 Proceeding
        8.000 inb 102 Answered
        20.000 out +14155550142 Disconnected
        20.010 inb 102 Disconnected
        ",
    );
}
