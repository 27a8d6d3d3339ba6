//! INVITEs that get no response, or no final one: what is told, and when.

use hookswitch_flows::ladder::{ladder, run, written};

#[test]
fn a_cancel_that_no_487_follows_ends_the_call_in_its_time() {
    // RFC 3261 §9.1: after 64 T1 the transaction counts as cancelled.
    ladder(
        "
        0.000 alice > bob INVITE 102
        0.500 bob > alice 180
        6.000 alice > bob CANCEL
        6.010 bob > alice 200 for=CANCEL
        60.000 dave > pbx REGISTER
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.000 inb 102 Setup
        0.500 inb 102 Proceeding
        0.500 out 101 Proceeding
        38.000 inb 102 Disconnected/Cancelled missed
        38.000 out 101 Disconnected
        ",
    );
}

#[test]
fn a_phone_behind_a_switch_that_never_ends_its_cancelled_call() {
    // The caller's own leg ends as it should.
    ladder(
        "
        0.000 alice > pbx INVITE 102
        0.050 pbx > bob INVITE 102@bob call=2 from=101 name=Alice
        0.500 bob > pbx 180 call=2
        0.510 pbx > alice 180
        6.000 alice > pbx CANCEL
        6.010 pbx > alice 200 for=CANCEL
        6.015 pbx > bob CANCEL call=2
        6.020 pbx > alice 487 for=INVITE
        60.000 dave > pbx REGISTER
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.050 inb 102 Setup
        0.500 inb 102 Proceeding
        0.510 out 101 Proceeding
        6.020 inb 102 Disconnected/Cancelled missed
        6.020 out 101 Disconnected
        ",
    );
}

#[test]
fn a_cancel_that_crosses_the_answer_ends_nothing() {
    ladder(
        "
        0.000 alice > bob INVITE 102
        0.500 bob > alice 180
        6.000 alice > bob CANCEL
        6.010 bob > alice 200 for=INVITE
        6.020 alice > bob ACK
        60.000 alice > bob BYE
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.000 inb 102 Setup
        0.500 inb 102 Proceeding
        0.500 out 101 Proceeding
        6.010 inb 102 Answered
        6.010 out 101 Answered
        60.000 out 101 Disconnected
        60.000 inb 102 Disconnected
        ",
    );
}

#[test]
fn an_invite_that_nothing_ever_answers_ends_after_64_t1() {
    // RFC 3261 §17.1.1.2: Timer B.
    ladder(
        "
        0.000 alice > bob INVITE 102
        40.000 dave > pbx REGISTER
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.000 inb 102 Setup
        32.000 inb 102 Disconnected/NoAnswer missed
        32.000 out 101 Disconnected/NoAnswer
        ",
    );
}

#[test]
fn a_phone_that_says_nothing_is_given_up_when_the_proxy_turns_to_the_next() {
    // No CANCEL is sent where no response has come (RFC 3261 §9.1).
    ladder(
        "
        0.000 alice > proxy INVITE 340
        0.001 proxy > alice 100
        0.010 proxy > bob INVITE 102@bob
        2.400 proxy > carol INVITE 103@carol
        2.410 carol > proxy 180
        2.420 proxy > alice 180
        3.000 carol > proxy 200
        3.010 proxy > alice 200
        3.020 alice > carol ACK
        9.000 alice > carol BYE
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.010 inb 102 Setup
        2.400 inb 102 Disconnected/NoAnswer missed
        2.400 inb 103 Setup
        2.410 inb 103 Proceeding
        2.420 out 101 Proceeding
        3.000 inb 103 Answered
        3.010 out 101 Answered
        9.000 out 101 Disconnected
        9.000 inb 103 Disconnected
        ",
    );
}

#[test]
fn a_member_of_a_group_that_says_nothing_has_not_missed_what_another_answers() {
    ladder(
        "
        0.000 alice > proxy INVITE 600
        0.001 proxy > alice 100
        0.010 proxy > bob INVITE 102@bob
        0.011 proxy > carol INVITE 103@carol
        0.100 carol > proxy 180
        0.110 proxy > alice 180
        3.000 carol > proxy 200
        3.010 proxy > alice 200
        3.020 alice > carol ACK
        9.000 carol > alice BYE
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.010 inb 102 Setup
        0.011 inb 103 Setup
        0.100 inb 103 Proceeding
        0.110 out 101 Proceeding
        3.000 inb 103 Answered
        3.000 inb 102 Disconnected
        3.010 out 101 Answered
        9.000 inb 103 Disconnected
        9.000 out 101 Disconnected
        ",
    );
}

#[test]
fn a_member_of_a_group_that_says_nothing_misses_the_call_that_the_caller_gives_up() {
    ladder(
        "
        0.000 alice > proxy INVITE 600
        0.001 proxy > alice 100
        0.010 proxy > bob INVITE 102@bob
        0.011 proxy > carol INVITE 103@carol
        0.100 carol > proxy 180
        0.110 proxy > alice 180
        3.000 alice > proxy CANCEL
        3.010 proxy > carol CANCEL
        3.020 carol > proxy 487 for=INVITE
        3.030 proxy > alice 487 for=INVITE
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.010 inb 102 Setup
        0.011 inb 103 Setup
        0.100 inb 103 Proceeding
        0.110 out 101 Proceeding
        3.020 inb 103 Disconnected/Cancelled missed
        3.030 inb 102 Disconnected/Cancelled missed
        3.030 out 101 Disconnected
        ",
    );
}

#[test]
fn a_phone_that_says_nothing_ends_after_64_t1_though_its_group_rings_on() {
    ladder(
        "
        0.000 alice > proxy INVITE 600
        0.001 proxy > alice 100
        0.010 proxy > bob INVITE 102@bob
        0.011 proxy > carol INVITE 103@carol
        0.100 carol > proxy 180
        0.110 proxy > alice 180
        50.000 carol > proxy 200
        50.010 proxy > alice 200
        60.000 carol > alice BYE
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.010 inb 102 Setup
        0.011 inb 103 Setup
        0.100 inb 103 Proceeding
        0.110 out 101 Proceeding
        32.010 inb 102 Disconnected/NoAnswer missed
        50.000 inb 103 Answered
        50.010 out 101 Answered
        60.000 inb 103 Disconnected
        60.000 out 101 Disconnected
        ",
    );
}

#[test]
fn the_phone_behind_a_switch_that_says_nothing() {
    ladder(
        "
        0.000 alice > pbx INVITE 102
        0.010 pbx > alice 100
        0.050 pbx > bob INVITE 102@bob call=2 from=101 name=Alice
        10.000 pbx > alice 480
        10.010 alice > pbx ACK
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.050 inb 102 Setup
        10.000 inb 102 Disconnected/NoAnswer missed
        10.000 out 101 Disconnected/NoAnswer
        ",
    );
}

#[test]
fn a_switch_says_of_each_call_that_it_was_completed_elsewhere() {
    // Believed only if somebody did answer (contract events §11).
    ladder(
        "
        0.000 trunk > pbx INVITE +14155559000
        0.010 pbx > bob INVITE 102@bob call=2 from=+14155550100
        0.012 pbx > carol INVITE 103@carol call=3 from=+14155550100
        0.100 bob > pbx 180 call=2
        0.110 carol > pbx 180 call=3
        0.120 pbx > trunk 180
        20.000 pbx > bob CANCEL call=2 | Reason: SIP;cause=200;text=\"Call completed elsewhere\"
        20.010 bob > pbx 487 call=2 for=INVITE
        20.011 pbx > carol CANCEL call=3 | Reason: SIP;cause=200;text=\"Call completed elsewhere\"
        20.020 carol > pbx 487 call=3 for=INVITE
        20.030 pbx > trunk 480
        ",
    )
    .tells(
        "
        0.000 out +14155550100 Setup
        0.010 inb 102 Setup
        0.012 inb 103 Setup
        0.100 inb 102 Proceeding
        0.110 inb 103 Proceeding
        0.120 out +14155550100 Proceeding
        20.010 inb 102 Disconnected/NoAnswer missed
        20.020 inb 103 Disconnected/NoAnswer missed
        20.030 out +14155550100 Disconnected/NoAnswer
        ",
    );
}

#[test]
fn a_switch_says_completed_elsewhere_when_the_caller_gave_up() {
    ladder(
        "
        0.000 trunk > pbx INVITE +14155559000
        0.010 pbx > bob INVITE 102@bob call=2 from=+14155550100
        0.100 bob > pbx 180 call=2
        0.120 pbx > trunk 180
        20.000 trunk > pbx CANCEL
        20.010 pbx > trunk 487 for=INVITE
        20.020 pbx > bob CANCEL call=2 | Reason: Q.850;cause=26
        20.030 bob > pbx 487 call=2 for=INVITE
        ",
    )
    .tells(
        "
        0.000 out +14155550100 Setup
        0.010 inb 102 Setup
        0.100 inb 102 Proceeding
        0.120 out +14155550100 Proceeding
        20.010 inb 102 Disconnected/Cancelled missed
        20.010 out +14155550100 Disconnected
        ",
    );
}

#[test]
fn a_proxy_moves_on_with_completed_elsewhere_though_nobody_has_answered() {
    ladder(
        "
        0.000 alice > proxy INVITE 600
        0.010 proxy > bob INVITE 102@bob
        0.100 bob > proxy 180
        0.110 proxy > alice 180
        10.000 proxy > bob CANCEL | Reason: SIP;cause=200;text=\"Call completed elsewhere\"
        10.010 bob > proxy 487 for=INVITE
        10.020 proxy > carol INVITE 103@carol
        10.100 carol > proxy 180
        12.000 carol > proxy 200
        12.010 proxy > alice 200
        20.000 alice > carol BYE
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.010 inb 102 Setup
        0.100 inb 102 Proceeding
        0.110 out 101 Proceeding
        10.010 inb 102 Disconnected/NoAnswer missed
        10.020 inb 103 Setup
        10.100 inb 103 Proceeding
        12.000 inb 103 Answered
        12.010 out 101 Answered
        20.000 out 101 Disconnected
        20.000 inb 103 Disconnected
        ",
    );
}

#[test]
fn who_cancels_and_says_completed_elsewhere_is_believed_where_the_caller_is_not_seen() {
    // Captured at the phone: the sender of the CANCEL is the switch, which knows.
    ladder(
        "
        0.000 pbx > bob INVITE 102@bob from=101 name=Alice
        0.100 bob > pbx 180
        3.000 pbx > bob CANCEL | Reason: SIP;cause=200;text=\"Call completed elsewhere\"
        3.010 bob > pbx 487 for=INVITE
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.000 inb 102 Setup
        0.100 inb 102 Proceeding
        0.100 out 101 Proceeding
        3.010 inb 102 Disconnected
        3.010 out 101 Disconnected
        ",
    );
}

#[test]
fn a_call_of_which_only_one_direction_was_captured_is_answered_by_its_ack() {
    // Neither 180 nor 200 is in the capture; the ACK of a 2xx has a branch of its own.
    let direct = ladder(
        "
        0.000 alice > bob INVITE 102
        0.500 bob > alice 180
        3.000 bob > alice 200
        3.010 alice > bob ACK
        20.000 alice > bob BYE
        20.010 bob > alice 200
        ",
    );
    let through_a_proxy = ladder(
        "
        0.000 alice > proxy INVITE 102
        0.000 proxy > bob INVITE 102@bob
        0.500 bob > proxy 180
        0.510 proxy > alice 180
        3.000 bob > proxy 200
        3.005 proxy > alice 200
        3.010 alice > proxy ACK
        3.010 proxy > bob ACK
        20.000 alice > proxy BYE
        20.005 proxy > bob BYE
        20.010 bob > proxy 200
        ",
    );
    for flow in [direct, through_a_proxy] {
        let mut packets = flow.packets;
        packets.retain(|packet| !packet.payload.starts_with(b"SIP/2.0"));
        let expected = [
            "0.000 out 101 Setup",
            "0.000 inb 102 Setup",
            "3.010 inb 102 Answered",
            "3.010 out 101 Answered",
            "20.000 out 101 Disconnected",
            "20.000 inb 102 Disconnected",
        ];
        assert_eq!(written(&run(&packets)), expected);
    }
}

#[test]
fn the_ack_of_a_refusal_that_was_not_captured_answers_nothing() {
    let mut packets = ladder(
        "
        0.000 alice > bob INVITE 102
        0.500 bob > alice 180
        3.000 bob > alice 486
        3.010 alice > bob ACK
        40.000 carol > dave OPTIONS 104 call=2
        ",
    )
    .packets;
    packets.retain(|packet| !packet.payload.starts_with(b"SIP/2.0"));
    let told = written(&run(&packets));
    assert!(!told.iter().any(|event| event.ends_with("Answered")), "{told:?}");
}

#[test]
fn an_answer_that_was_not_captured_is_nobodys_where_two_phones_may_have_given_it() {
    let mut packets = ladder(
        "
        0.000 alice > proxy INVITE 102
        0.010 proxy > bob INVITE 102@bob
        0.011 proxy > carol INVITE 103@carol
        0.500 carol > proxy 180
        3.000 carol > proxy 200
        3.005 proxy > alice 200
        3.010 alice > proxy ACK
        3.015 proxy > carol ACK
        ",
    )
    .packets;
    packets.retain(|packet| !packet.payload.starts_with(b"SIP/2.0"));
    let told = written(&run(&packets));
    assert!(!told.iter().any(|event| event.ends_with("Answered")), "{told:?}");
}

#[test]
fn a_switch_that_gives_up_a_phone_and_hangs_up_on_its_caller() {
    ladder(
        "
        0.000 alice > pbx INVITE 102
        0.010 pbx > alice 200
        0.020 alice > pbx ACK
        0.050 pbx > bob INVITE 102@bob call=2 from=101 name=Alice
        0.500 bob > pbx 180 call=2
        20.000 pbx > bob CANCEL call=2
        20.010 bob > pbx 200 for=CANCEL call=2
        20.020 bob > pbx 487 for=INVITE call=2
        20.030 pbx > alice BYE | Reason: Q.850;cause=19;text=\"NO_ANSWER\"
        20.040 alice > pbx 200 for=BYE
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.010 out 101 Answered
        0.050 inb 102 Setup
        0.500 inb 102 Proceeding
        20.020 inb 102 Disconnected/NoAnswer missed
        20.030 out 101 Disconnected
        ",
    );
}

#[test]
fn a_switch_that_hangs_up_on_its_caller_before_it_gives_up_the_phone() {
    ladder(
        "
        0.000 alice > pbx INVITE 102
        0.010 pbx > alice 200
        0.020 alice > pbx ACK
        0.050 pbx > bob INVITE 102@bob call=2 from=101 name=Alice
        0.500 bob > pbx 180 call=2
        20.000 pbx > alice BYE | Reason: Q.850;cause=19;text=\"NO_ANSWER\"
        20.005 alice > pbx 200 for=BYE
        20.010 pbx > bob CANCEL call=2
        20.015 bob > pbx 200 for=CANCEL call=2
        20.020 bob > pbx 487 for=INVITE call=2
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.010 out 101 Answered
        0.050 inb 102 Setup
        0.500 inb 102 Proceeding
        20.000 inb 102 Disconnected/NoAnswer missed
        20.000 out 101 Disconnected
        ",
    );
}

#[test]
fn a_switch_that_hangs_up_on_its_caller_without_a_reason() {
    ladder(
        "
        0.000 alice > pbx INVITE 102
        0.010 pbx > alice 200
        0.020 alice > pbx ACK
        0.050 pbx > bob INVITE 102@bob call=2 from=101 name=Alice
        0.500 bob > pbx 180 call=2
        20.000 pbx > bob CANCEL call=2
        20.010 bob > pbx 200 for=CANCEL call=2
        20.020 bob > pbx 487 for=INVITE call=2
        20.030 pbx > alice BYE
        20.040 alice > pbx 200 for=BYE
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.010 out 101 Answered
        0.050 inb 102 Setup
        0.500 inb 102 Proceeding
        20.020 inb 102 Disconnected/NoAnswer missed
        20.030 out 101 Disconnected
        ",
    );
}

#[test]
fn a_caller_who_was_answered_by_the_switch_gives_up_the_phone() {
    ladder(
        "
        0.000 alice > pbx INVITE 102
        0.010 pbx > alice 200
        0.020 alice > pbx ACK
        0.050 pbx > bob INVITE 102@bob call=2 from=101 name=Alice
        0.500 bob > pbx 180 call=2
        20.000 alice > pbx BYE
        20.005 pbx > alice 200 for=BYE
        20.010 pbx > bob CANCEL call=2
        20.020 bob > pbx 487 for=INVITE call=2
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.010 out 101 Answered
        0.050 inb 102 Setup
        0.500 inb 102 Proceeding
        20.000 out 101 Disconnected
        20.020 inb 102 Disconnected/Cancelled missed
        ",
    );
}

#[test]
fn an_answer_that_is_never_acknowledged_is_lost() {
    ladder(
        "
        0.000 alice > bob INVITE 102
        0.500 bob > alice 180
        3.000 bob > alice 200 sdp=same
        3.500 bob > alice 200 again=1 sdp=same
        4.500 bob > alice 200 again=1 sdp=same
        6.500 bob > alice 200 again=1 sdp=same
        10.500 bob > alice 200 again=1 sdp=same
        14.500 bob > alice 200 again=1 sdp=same
        18.500 bob > alice 200 again=1 sdp=same
        22.500 bob > alice 200 again=1 sdp=same
        26.500 bob > alice 200 again=1 sdp=same
        30.500 bob > alice 200 again=1 sdp=same
        34.500 bob > alice 200 again=1 sdp=same
        900.000 carol > dave OPTIONS 104 call=9
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
        35.000 inb 102 Disconnected/CallDropped
        35.000 out 101 Disconnected/CallDropped
        ",
    );
}

#[test]
fn an_answer_that_is_never_acknowledged_and_hung_up_by_the_callee() {
    ladder(
        "
        0.000 alice > bob INVITE 102
        0.500 bob > alice 180
        3.000 bob > alice 200 sdp=same
        3.500 bob > alice 200 again=1 sdp=same
        35.000 bob > alice BYE
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
        35.000 inb 102 Disconnected
        35.000 out 101 Disconnected
        ",
    );
}

#[test]
fn a_switch_turns_from_a_phone_that_says_nothing_to_another() {
    ladder(
        "
        0.000 alice > pbx INVITE 102
        0.005 pbx > alice 100
        0.010 pbx > bob INVITE 102@bob call=2 from=101 name=Alice
        10.010 pbx > carol INVITE 103@carol call=3 from=101 name=Alice
        10.500 carol > pbx 180 call=3
        12.000 carol > pbx 200 call=3
        12.010 pbx > alice 200
        20.000 alice > pbx BYE
        20.010 pbx > carol BYE call=3
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.010 inb 102 Setup
        10.010 inb 102 Disconnected/NoAnswer missed
        10.010 inb 103 Setup
        10.500 inb 103 Proceeding
        12.000 inb 103 Answered
        12.010 out 101 Answered
        20.000 out 101 Disconnected
        20.010 inb 103 Disconnected
        ",
    );
}

#[test]
fn a_switch_turns_from_a_phone_that_says_nothing_to_a_mailbox() {
    ladder(
        "
        0.000 alice > pbx INVITE 102
        0.005 pbx > alice 100
        0.010 pbx > bob INVITE 102@bob call=2 from=101 name=Alice
        10.010 pbx > mailbox INVITE 500 call=3 from=101 name=Alice
        10.100 mailbox > pbx 200 call=3
        10.110 pbx > alice 200
        20.000 alice > pbx BYE
        20.010 pbx > mailbox BYE call=3
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.010 inb 102 Setup
        10.010 inb 102 Disconnected/NoAnswer missed
        10.010 inb 500 Setup
        10.100 inb 500 Answered
        10.110 out 101 Answered
        20.000 out 101 Disconnected
        20.010 inb 500 Disconnected
        ",
    );
}

#[test]
fn a_switch_gives_up_a_group_of_which_one_phone_says_nothing() {
    ladder(
        "
        0.000 trunk > pbx INVITE +14155550100 from=+14155550142
        0.010 pbx > bob INVITE 102@bob call=2 from=+14155550142
        0.011 pbx > carol INVITE 103@carol call=3 from=+14155550142
        0.500 carol > pbx 180 call=3
        0.510 pbx > trunk 180
        10.000 pbx > carol CANCEL call=3
        10.005 carol > pbx 487 for=INVITE call=3
        10.050 pbx > dave INVITE 104@dave call=4 from=+14155550142
        10.500 dave > pbx 180 call=4
        12.000 dave > pbx 200 call=4
        12.010 pbx > trunk 200
        20.000 trunk > pbx BYE
        20.010 pbx > dave BYE call=4
        ",
    )
    .tells(
        "
        0.000 out +14155550142 Setup
        0.010 inb 102 Setup
        0.011 inb 103 Setup
        0.500 inb 103 Proceeding
        0.510 out +14155550142 Proceeding
        10.005 inb 103 Disconnected/NoAnswer missed
        10.050 inb 102 Disconnected/NoAnswer missed
        10.050 inb 104 Setup
        10.500 inb 104 Proceeding
        12.000 inb 104 Answered
        12.010 out +14155550142 Answered
        20.000 out +14155550142 Disconnected
        20.010 inb 104 Disconnected
        ",
    );
}

#[test]
fn a_switch_refuses_the_caller_of_a_phone_that_says_nothing() {
    ladder(
        "
        0.000 alice > pbx INVITE 102
        0.005 pbx > alice 100
        0.010 pbx > bob INVITE 102@bob call=2 from=101 name=Alice
        10.000 pbx > alice 480
        10.005 alice > pbx ACK
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.010 inb 102 Setup
        10.000 inb 102 Disconnected/NoAnswer missed
        10.000 out 101 Disconnected/NoAnswer
        ",
    );
}
