//! Calls that another phone takes: of a colleague (pickup), or of the same person (flip); and calls that
//! somebody joins.

use hookswitch_flows::ladder::ladder;

#[test]
fn a_switch_that_is_asked_for_a_ringing_call_with_replaces() {
    // RFC 3891 §6.1: the dialog that rings is the switch's own, so the INVITE goes to the switch.
    ladder(
        "
        0.000 alice > pbx INVITE 102
        0.050 pbx > bob INVITE 102@bob call=2 from=101 name=Alice
        0.500 bob > pbx 180 call=2
        0.510 pbx > alice 180
        4.000 carol > pbx INVITE 102 call=3 | Require: replaces | Replaces: {replaces=2@pbx};early-only
        4.010 pbx > carol 200 call=3
        4.015 carol > pbx ACK call=3
        4.020 pbx > alice 200
        4.025 alice > pbx ACK
        4.030 pbx > bob CANCEL call=2 | Reason: SIP;cause=200;text=\"Call completed elsewhere\"
        4.040 bob > pbx 200 call=2 for=CANCEL
        4.050 bob > pbx 487 call=2
        4.060 pbx > bob ACK call=2
        9.000 alice > pbx BYE
        9.010 pbx > alice 200
        9.020 pbx > carol BYE call=3
        9.030 carol > pbx 200 call=3
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.050 inb 102 Setup
        0.500 inb 102 Proceeding
        0.510 out 101 Proceeding
        4.000 inb 103 Setup
        4.010 inb 103 Answered/Pickup
        4.020 out 101 Answered
        4.050 inb 102 Disconnected/Pickup
        9.000 out 101 Disconnected
        9.020 inb 103 Disconnected
        ",
    );
}

#[test]
fn a_pickup_that_comes_too_late_is_no_missed_call() {
    // RFC 3891 §3: early-only, and the call was answered in the meantime.
    ladder(
        "
        0.000 alice > pbx INVITE 102
        0.050 pbx > bob INVITE 102@bob call=2 from=101 name=Alice
        0.500 bob > pbx 180 call=2
        0.510 pbx > alice 180
        4.000 bob > pbx 200 call=2
        4.010 pbx > alice 200
        4.020 carol > pbx INVITE 102 call=3 | Require: replaces | Replaces: {replaces=2@pbx};early-only
        4.030 pbx > carol 486 call=3
        4.040 carol > pbx ACK call=3
        9.000 alice > pbx BYE
        9.020 pbx > bob BYE call=2
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.050 inb 102 Setup
        0.500 inb 102 Proceeding
        0.510 out 101 Proceeding
        4.000 inb 102 Answered
        4.010 out 101 Answered
        4.020 inb 103 Setup
        4.030 inb 103 Disconnected
        9.000 out 101 Disconnected
        9.020 inb 102 Disconnected
        ",
    );
}

#[test]
fn a_ringing_call_that_is_picked_up_by_a_code() {
    // The switch answers the code, answers the caller, and takes the offer back. The code names the phone.
    ladder(
        "
        0.000 alice > pbx INVITE 102
        0.050 pbx > bob INVITE 102@bob call=2 from=101 name=Alice
        0.500 bob > pbx 180 call=2
        0.510 pbx > alice 180
        4.000 carol > pbx INVITE **102 call=3
        4.005 pbx > carol 100 call=3
        4.010 pbx > carol 200 call=3
        4.015 carol > pbx ACK call=3
        4.020 pbx > bob CANCEL call=2
        4.030 bob > pbx 200 call=2 for=CANCEL
        4.040 bob > pbx 487 call=2
        4.045 pbx > bob ACK call=2
        4.050 pbx > alice 200
        4.060 alice > pbx ACK
        9.000 alice > pbx BYE
        9.010 pbx > alice 200
        9.020 pbx > carol BYE call=3
        9.030 carol > pbx 200 call=3
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.050 inb 102 Setup
        0.500 inb 102 Proceeding
        0.510 out 101 Proceeding
        4.000 inb 103 Setup
        4.010 inb 103 Answered/Pickup
        4.040 inb 102 Disconnected/Pickup
        4.050 out 101 Answered
        9.000 out 101 Disconnected
        9.020 inb 103 Disconnected
        ",
    );
}

#[test]
fn a_ringing_call_that_is_picked_up_by_the_code_of_the_group() {
    // Nothing in the code says which call; the one that is answered and taken back at that moment does.
    ladder(
        "
        0.000 alice > pbx INVITE 102
        0.050 pbx > bob INVITE 102@bob call=2 from=101 name=Alice
        0.500 bob > pbx 180 call=2
        0.510 pbx > alice 180
        1.000 dave > pbx INVITE 105 call=5
        1.050 pbx > bill INVITE 105@bill call=6 from=104 name=Dave
        1.500 bill > pbx 180 call=6
        1.510 pbx > dave 180 call=5
        4.000 carol > pbx INVITE *8 call=3
        4.010 pbx > carol 200 call=3
        4.015 carol > pbx ACK call=3
        4.020 pbx > alice 200
        4.025 alice > pbx ACK
        4.030 pbx > bob CANCEL call=2 | Reason: Q.850;cause=26
        4.040 bob > pbx 200 call=2 for=CANCEL
        4.050 bob > pbx 487 call=2
        4.060 pbx > bob ACK call=2
        6.000 dave > pbx CANCEL call=5
        6.010 pbx > dave 200 call=5 for=CANCEL
        6.020 pbx > dave 487 call=5
        6.030 pbx > bill CANCEL call=6
        6.040 bill > pbx 200 call=6 for=CANCEL
        6.050 bill > pbx 487 call=6
        9.000 carol > pbx BYE call=3
        9.010 pbx > carol 200 call=3
        9.020 pbx > alice BYE
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.050 inb 102 Setup
        0.500 inb 102 Proceeding
        0.510 out 101 Proceeding
        #2 1.000 out 104 Setup
        #2 1.050 inb 105 Setup
        #2 1.500 inb 105 Proceeding
        #2 1.510 out 104 Proceeding
        4.000 inb 103 Setup
        4.010 inb 103 Answered/Pickup
        4.020 out 101 Answered
        4.050 inb 102 Disconnected/Pickup
        #2 6.020 inb 105 Disconnected/Cancelled missed
        #2 6.020 out 104 Disconnected
        9.000 inb 103 Disconnected
        9.020 out 101 Disconnected
        ",
    );
}

#[test]
fn a_pickup_code_that_the_switch_answers_after_a_while_is_a_call_of_its_own_until_then() {
    // What is not known within 500 ms is told as it looks: a call of Carol's, which then goes over.
    ladder(
        "
        0.000 alice > pbx INVITE 102
        0.050 pbx > bob INVITE 102@bob call=2 from=101 name=Alice
        0.500 bob > pbx 180 call=2
        0.510 pbx > alice 180
        4.000 carol > pbx INVITE *8 call=3
        4.010 pbx > carol 100 call=3
        6.000 pbx > carol 200 call=3
        6.010 carol > pbx ACK call=3
        6.020 pbx > alice 200
        6.025 alice > pbx ACK
        6.030 pbx > bob CANCEL call=2
        6.040 bob > pbx 200 call=2 for=CANCEL
        6.050 bob > pbx 487 call=2
        6.060 pbx > bob ACK call=2
        9.000 alice > pbx BYE
        9.010 pbx > alice 200
        9.020 pbx > carol BYE call=3
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.050 inb 102 Setup
        0.500 inb 102 Proceeding
        0.510 out 101 Proceeding
        #2 4.000 out 103 Setup
        6.000 inb 103 Answered/Pickup
        #2 6.000 out 103 Gone/Pickup to #1 inb 103
        6.020 out 101 Answered
        6.050 inb 102 Disconnected/Pickup
        9.000 out 101 Disconnected
        9.020 inb 103 Disconnected
        ",
    );
}

#[test]
fn a_callee_who_takes_the_call_to_another_phone_of_his() {
    // RFC 3891: who replaces the dialog is the same person, so it is no pickup.
    ladder(
        "
        0.000 alice > bob INVITE 102
        0.500 bob > alice 180
        3.000 bob > alice 200
        3.010 alice > bob ACK
        9.000 bob:5070 > alice INVITE 101 call=2 from=102 name=Bob | Require: replaces | Replaces: {replaces=1@alice}
        9.010 alice > bob:5070 200 call=2
        9.020 bob:5070 > alice ACK call=2
        9.030 alice > bob BYE
        9.040 bob > alice 200
        15.000 bob:5070 > alice BYE call=2
        15.010 alice > bob:5070 200 call=2
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
        9.010 inb 102 Answered
        9.030 inb 102 Disconnected/CallFlip
        15.000 inb 102 Disconnected
        15.000 out 101 Disconnected
        ",
    );
}

#[test]
fn a_caller_who_takes_the_call_to_another_phone_of_hers() {
    // The new phone has the part of the old one: its party is Outbound, too.
    ladder(
        "
        0.000 alice > bob INVITE 102
        0.500 bob > alice 180
        3.000 bob > alice 200
        3.010 alice > bob ACK
        9.000 alice:5070 > bob INVITE 102 call=2 from=101 name=Alice | Require: replaces | Replaces: {replaces=1@bob}
        9.010 bob > alice:5070 200 call=2
        9.020 alice:5070 > bob ACK call=2
        9.030 bob > alice BYE
        9.040 alice > bob 200
        15.000 bob > alice:5070 BYE call=2
        15.010 alice:5070 > bob 200 call=2
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
        9.010 out 101 Answered
        9.030 out 101 Disconnected/CallFlip
        15.000 inb 102 Disconnected
        15.000 out 101 Disconnected
        ",
    );
}

#[test]
fn a_call_through_a_switch_that_is_taken_to_another_phone() {
    ladder(
        "
        0.000 alice > pbx INVITE 102
        0.050 pbx > bob INVITE 102@bob call=2 from=101 name=Alice
        0.500 bob > pbx 180 call=2
        0.510 pbx > alice 180
        3.000 bob > pbx 200 call=2
        3.010 pbx > bob ACK call=2
        3.020 pbx > alice 200
        3.030 alice > pbx ACK
        9.000 bob:5070 > pbx INVITE 101 call=3 from=102 name=Bob | Require: replaces | Replaces: {replaces=2@pbx}
        9.010 pbx > bob:5070 200 call=3
        9.020 bob:5070 > pbx ACK call=3
        9.030 pbx > bob BYE call=2
        9.040 bob > pbx 200 call=2
        15.000 alice > pbx BYE
        15.010 pbx > alice 200
        15.020 pbx > bob:5070 BYE call=3
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
        9.010 inb 102 Answered
        9.030 inb 102 Disconnected/CallFlip
        15.000 out 101 Disconnected
        15.020 inb 102 Disconnected
        ",
    );
}

#[test]
fn a_colleague_who_takes_over_an_answered_call_through_a_switch() {
    // As RFC 5359 §2.6: no transfer was asked for, so she took it.
    ladder(
        "
        0.000 alice > pbx INVITE 102
        0.050 pbx > bob INVITE 102@bob call=2 from=101 name=Alice
        0.500 bob > pbx 180 call=2
        0.510 pbx > alice 180
        3.000 bob > pbx 200 call=2
        3.010 pbx > bob ACK call=2
        3.020 pbx > alice 200
        3.030 alice > pbx ACK
        9.000 carol > pbx INVITE 101 call=3 | Require: replaces | Replaces: {replaces=2@pbx}
        9.010 pbx > carol 200 call=3
        9.020 carol > pbx ACK call=3
        9.030 pbx > bob BYE call=2
        9.040 bob > pbx 200 call=2
        15.000 alice > pbx BYE
        15.020 pbx > carol BYE call=3
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
        9.000 inb 103 Setup
        9.010 inb 103 Answered/Pickup
        9.030 inb 102 Disconnected/Pickup
        15.000 out 101 Disconnected
        15.020 inb 103 Disconnected
        ",
    );
}

#[test]
fn who_joins_a_call_may_leave_it_again() {
    // RFC 3911: the two whose call it was talk on.
    ladder(
        "
        0.000 alice > bob INVITE 102
        0.500 bob > alice 180
        3.000 bob > alice 200
        3.010 alice > bob ACK
        6.000 carol > bob INVITE 102 call=2 | Require: join | Join: {replaces=1@bob}
        6.100 bob > carol 200 call=2 contact=mixer features=isfocus
        6.110 carol > bob ACK call=2
        9.000 carol > bob BYE call=2
        9.010 bob > carol 200 call=2
        12.000 alice > bob BYE
        12.010 bob > alice 200
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
        6.000 out 103 Setup
        6.100 out 103 Answered
        9.000 out 103 Disconnected
        12.000 out 101 Disconnected
        12.000 inb 102 Disconnected
        ",
    );
}
