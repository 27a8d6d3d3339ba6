//! Transfers: without asking and after asking the target, from phone to phone, through proxies and
//! through a switch.

use hookswitch_flows::ladder::ladder;

#[test]
fn a_callee_transfers_the_caller_and_waits_for_the_answer() {
    // RFC 5589 §6.2: the transferrer leaves when the NOTIFY says 200.
    ladder(
        "
        0.000 alice > bob INVITE 102
        0.500 bob > alice 180
        3.000 bob > alice 200
        3.010 alice > bob ACK
        5.000 bob > alice REFER | Refer-To: <sip:103@{carol}> | Referred-By: <sip:102@example.com>
        5.010 alice > bob 202
        5.020 alice > bob NOTIFY frag=100
        5.030 bob > alice 200
        5.100 alice > carol INVITE 103 call=2 | Referred-By: <sip:102@example.com>
        5.600 carol > alice 180 call=2
        5.610 alice > bob NOTIFY frag=180
        5.620 bob > alice 200
        8.000 carol > alice 200 call=2
        8.010 alice > carol ACK call=2
        8.020 alice > bob NOTIFY frag=200
        8.030 bob > alice 200
        8.040 bob > alice BYE
        8.050 alice > bob 200
        12.000 alice > carol BYE call=2
        12.010 carol > alice 200 call=2
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
        5.100 inb 103 Setup
        5.600 inb 103 Proceeding
        8.000 inb 103 Answered
        8.040 inb 102 Disconnected/BlindTransfer
        12.000 out 101 Disconnected
        12.000 inb 103 Disconnected
        ",
    );
}

#[test]
fn a_caller_transfers_the_callee_and_nothing_says_by_whom() {
    // Without Referred-By the new call is known by who was asked to make it, and to whom.
    ladder(
        "
        0.000 alice > bob INVITE 102
        0.500 bob > alice 180
        3.000 bob > alice 200
        3.010 alice > bob ACK
        5.000 alice > bob REFER | Refer-To: <sip:103@{carol}>
        5.010 bob > alice 202
        5.020 bob > alice NOTIFY frag=100
        5.030 alice > bob 200
        5.040 alice > bob BYE
        5.050 bob > alice 200
        5.100 bob > carol INVITE 103 call=2
        5.600 carol > bob 180 call=2
        8.000 carol > bob 200 call=2
        8.010 bob > carol ACK call=2
        12.000 carol > bob BYE call=2
        12.010 bob > carol 200 call=2
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
        5.040 out 101 Disconnected/BlindTransfer
        5.100 inb 103 Setup
        5.600 inb 103 Proceeding
        8.000 inb 103 Answered
        12.000 inb 103 Disconnected
        12.000 inb 102 Disconnected
        ",
    );
}

#[test]
fn a_blind_transfer_through_a_proxy() {
    ladder(
        "
        0.000 alice > proxy INVITE 102
        0.010 proxy > bob INVITE 102@bob
        0.500 bob > proxy 180
        0.510 proxy > alice 180
        3.000 bob > proxy 200
        3.010 proxy > alice 200
        3.020 alice > proxy ACK
        3.030 proxy > bob ACK
        5.000 bob > proxy REFER | Refer-To: <sip:103@example.com> | Referred-By: <sip:102@example.com>
        5.005 proxy > alice REFER | Refer-To: <sip:103@example.com> | Referred-By: <sip:102@example.com>
        5.010 alice > proxy 202
        5.015 proxy > bob 202
        5.020 alice > proxy NOTIFY frag=100
        5.025 proxy > bob NOTIFY frag=100
        5.030 bob > proxy 200
        5.035 proxy > alice 200
        5.040 bob > proxy BYE
        5.045 proxy > alice BYE
        5.050 alice > proxy 200
        5.055 proxy > bob 200
        5.100 alice > proxy INVITE 103 call=2 | Referred-By: <sip:102@example.com>
        5.110 proxy > carol INVITE 103@carol call=2 | Referred-By: <sip:102@example.com>
        5.600 carol > proxy 180 call=2
        5.610 proxy > alice 180 call=2
        8.000 carol > proxy 200 call=2
        8.010 proxy > alice 200 call=2
        8.020 alice > proxy ACK call=2
        8.030 proxy > carol ACK call=2
        12.000 carol > proxy BYE call=2
        12.010 proxy > alice BYE call=2
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
        5.040 inb 102 Disconnected/BlindTransfer
        5.110 inb 103 Setup
        5.600 inb 103 Proceeding
        8.000 inb 103 Answered
        12.000 inb 103 Disconnected
        12.000 out 101 Disconnected
        ",
    );
}

#[test]
fn a_transfer_that_is_asked_for_outside_the_dialog_names_it() {
    // RFC 5589 §6.1: a REFER with a Call-ID of its own, and Target-Dialog (RFC 4538) says which call it is
    // about.
    ladder(
        "
        0.000 alice > bob INVITE 102
        0.500 bob > alice 180
        3.000 bob > alice 200
        3.010 alice > bob ACK
        5.000 bob > alice REFER 101@alice call=2 | Refer-To: <sip:103@{carol}> | Target-Dialog: {target=1@alice} | Require: tdialog
        5.010 alice > bob 202 call=2
        5.020 alice > bob NOTIFY call=2 frag=100
        5.030 bob > alice 200 call=2
        5.100 alice > carol INVITE 103 call=3
        5.600 carol > alice 180 call=3
        8.000 carol > alice 200 call=3
        8.010 alice > carol ACK call=3
        8.020 alice > bob NOTIFY call=2 frag=200
        8.030 bob > alice 200 call=2
        8.040 bob > alice BYE
        8.050 alice > bob 200
        12.000 alice > carol BYE call=3
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
        5.100 inb 103 Setup
        5.600 inb 103 Proceeding
        8.000 inb 103 Answered
        8.040 inb 102 Disconnected/BlindTransfer
        12.000 out 101 Disconnected
        12.000 inb 103 Disconnected
        ",
    );
}

#[test]
fn a_transfer_that_fails_gives_the_call_back() {
    // RFC 5589 §6.3.1: the NOTIFY says 486, and the transferrer takes the call off hold.
    ladder(
        "
        0.000 alice > bob INVITE 102
        0.500 bob > alice 180
        3.000 bob > alice 200
        3.010 alice > bob ACK
        5.000 bob > alice INVITE in=dialog sdp=sendonly
        5.010 alice > bob 200 sdp=recvonly
        5.020 bob > alice ACK
        6.000 bob > alice REFER | Refer-To: <sip:103@{carol}> | Referred-By: <sip:102@example.com>
        6.010 alice > bob 202
        6.020 alice > bob NOTIFY frag=100
        6.030 bob > alice 200
        6.100 alice > carol INVITE 103 call=2 | Referred-By: <sip:102@example.com>
        6.150 carol > alice 486 call=2
        6.160 alice > carol ACK call=2
        6.170 alice > bob NOTIFY frag=486
        6.180 bob > alice 200
        8.000 bob > alice INVITE in=dialog sdp=sendrecv
        8.010 alice > bob 200 sdp=sendrecv
        8.020 bob > alice ACK
        12.000 bob > alice BYE
        12.010 alice > bob 200
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
        5.010 inb 102 Hold
        6.100 inb 103 Setup
        6.150 inb 103 Disconnected/TargetBusy missed
        8.010 inb 102 Answered
        12.000 inb 102 Disconnected
        12.000 out 101 Disconnected
        ",
    );
}

#[test]
fn a_transfer_that_fails_when_the_transferrer_has_left_ends_the_call() {
    ladder(
        "
        0.000 alice > bob INVITE 102
        0.500 bob > alice 180
        3.000 bob > alice 200
        3.010 alice > bob ACK
        5.000 bob > alice REFER | Refer-To: <sip:103@{carol}>
        5.010 alice > bob 202
        5.040 bob > alice BYE
        5.050 alice > bob 200
        5.100 alice > carol INVITE 103 call=2
        5.600 carol > alice 180 call=2
        9.000 carol > alice 603 call=2
        9.010 alice > carol ACK call=2
        60.000 dave > pbx OPTIONS 100 call=9
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
        5.040 inb 102 Disconnected/BlindTransfer
        5.100 inb 103 Setup
        5.600 inb 103 Proceeding
        9.000 inb 103 Disconnected/Rejected missed
        9.000 out 101 Disconnected
        ",
    );
}

#[test]
fn a_transfer_that_the_other_refuses_changes_nothing() {
    ladder(
        "
        0.000 alice > bob INVITE 102
        0.500 bob > alice 180
        3.000 bob > alice 200
        3.010 alice > bob ACK
        5.000 bob > alice REFER | Refer-To: <sip:103@{carol}>
        5.010 alice > bob 603
        9.000 bob > alice BYE
        9.010 alice > bob 200
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
        9.000 inb 102 Disconnected
        9.000 out 101 Disconnected
        ",
    );
}

#[test]
fn a_switch_that_carries_out_the_transfer_of_the_callee() {
    // The REFER goes to the switch, and the switch calls the target in the name of the caller.
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
        5.000 bob > pbx REFER call=2 | Refer-To: <sip:103@{pbx}> | Referred-By: <sip:102@{bob}>
        5.010 pbx > bob 202 call=2
        5.020 pbx > carol INVITE 103@carol call=3 from=101 name=Alice
        5.030 pbx > alice UPDATE
        5.040 alice > pbx 200 for=UPDATE sdp=none
        5.500 carol > pbx 180 call=3
        5.510 pbx > bob NOTIFY call=2 frag=180
        5.520 bob > pbx 200 call=2
        5.530 pbx > bob NOTIFY call=2 frag=200
        5.540 bob > pbx 200 call=2
        5.550 bob > pbx BYE call=2
        5.560 pbx > bob 200 call=2
        8.000 carol > pbx 200 call=3
        8.010 pbx > carol ACK call=3
        12.000 carol > pbx BYE call=3
        12.010 pbx > carol 200 call=3
        12.020 pbx > alice BYE
        12.030 alice > pbx 200
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
        5.020 inb 103 Setup
        5.500 inb 103 Proceeding
        5.550 inb 102 Disconnected/BlindTransfer
        8.000 inb 103 Answered
        12.000 inb 103 Disconnected
        12.020 out 101 Disconnected
        ",
    );
}

#[test]
fn a_switch_that_carries_out_the_transfer_of_the_caller() {
    // The one who stays was called; the switch calls the target in his name.
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
        5.000 alice > pbx REFER | Refer-To: <sip:103@{pbx}> | Referred-By: <sip:101@{alice}>
        5.010 pbx > alice 202
        5.020 pbx > alice NOTIFY frag=100
        5.030 alice > pbx 200
        5.050 pbx > carol INVITE 103@carol call=3 from=102 name=Bob
        5.500 carol > pbx 180 call=3
        8.000 carol > pbx 200 call=3
        8.010 pbx > carol ACK call=3
        8.020 pbx > alice NOTIFY frag=200
        8.030 alice > pbx 200
        8.040 alice > pbx BYE
        8.050 pbx > alice 200
        12.000 bob > pbx BYE call=2
        12.010 pbx > bob 200 call=2
        12.020 pbx > carol BYE call=3
        12.030 carol > pbx 200 call=3
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
        5.050 inb 103 Setup
        5.500 inb 103 Proceeding
        8.000 inb 103 Answered
        8.040 out 101 Disconnected/BlindTransfer
        12.000 inb 102 Disconnected
        12.020 inb 103 Disconnected
        ",
    );
}

#[test]
fn a_switch_that_lets_the_transferrer_go_before_it_calls_the_target() {
    // The REFER is answered with 202 and the BYE follows at once, from both sides.
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
        5.000 bob > pbx REFER call=2 | Refer-To: <sip:103@{pbx}>
        5.010 pbx > bob 202 call=2
        5.011 pbx > bob NOTIFY call=2 frag=200
        5.012 bob > pbx 200 call=2
        5.020 bob > pbx BYE call=2
        5.030 pbx > bob BYE call=2
        5.031 bob > pbx 200 call=2
        5.032 pbx > bob 200 call=2
        5.040 pbx > carol INVITE 103@carol call=3 from=101 name=Alice
        5.500 carol > pbx 180 call=3
        8.000 carol > pbx 200 call=3
        8.010 pbx > carol ACK call=3
        12.000 alice > pbx BYE
        12.010 pbx > alice 200
        12.020 pbx > carol BYE call=3
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
        5.020 inb 102 Disconnected/BlindTransfer
        5.040 inb 103 Setup
        5.500 inb 103 Proceeding
        8.000 inb 103 Answered
        12.000 out 101 Disconnected
        12.020 inb 103 Disconnected
        ",
    );
}

#[test]
fn a_switch_that_calls_the_transferrer_back_when_the_target_is_busy() {
    // Who had left is called as anybody is, and is a new party.
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
        5.000 bob > pbx REFER call=2 | Refer-To: <sip:103@{pbx}>
        5.010 pbx > bob 202 call=2
        5.020 bob > pbx BYE call=2
        5.030 pbx > bob 200 call=2
        5.040 pbx > carol INVITE 103@carol call=3 from=101 name=Alice
        5.100 carol > pbx 486 call=3
        5.110 pbx > carol ACK call=3
        5.600 pbx > bob INVITE 102@bob call=4 from=101 name=Alice
        6.100 bob > pbx 180 call=4
        8.000 bob > pbx 200 call=4
        8.010 pbx > bob ACK call=4
        12.000 alice > pbx BYE
        12.010 pbx > alice 200
        12.020 pbx > bob BYE call=4
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
        5.020 inb 102 Disconnected/BlindTransfer
        5.040 inb 103 Setup
        5.100 inb 103 Disconnected/TargetBusy missed
        5.600 inb 102 Setup
        6.100 inb 102 Proceeding
        8.000 inb 102 Answered
        12.000 out 101 Disconnected
        12.020 inb 102 Disconnected
        ",
    );
}

#[test]
fn a_transfer_to_an_outside_number() {
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
        5.000 bob > pbx REFER call=2 | Refer-To: <sip:914155550123@{pbx}>
        5.010 pbx > bob 202 call=2
        5.020 bob > pbx BYE call=2
        5.030 pbx > bob 200 call=2
        5.040 pbx > trunk INVITE +14155550123@trunk call=3 from=101
        5.500 trunk > pbx 183 call=3
        8.000 trunk > pbx 200 call=3
        8.010 pbx > trunk ACK call=3
        12.000 trunk > pbx BYE call=3
        12.020 pbx > alice BYE
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
        5.020 inb 102 Disconnected/BlindTransfer
        5.040 inb +14155550123 Proceeding
        8.000 inb +14155550123 Answered
        12.000 inb +14155550123 Disconnected
        12.020 out 101 Disconnected
        ",
    );
}

#[test]
fn an_attended_transfer_by_who_called_both_is_complete_when_he_is_notified() {
    // Phone to phone. The NOTIFY with 200 comes before any BYE.
    ladder(
        "
        0.000 alice > bob INVITE 102
        0.500 bob > alice 180
        3.000 bob > alice 200
        3.010 alice > bob ACK
        5.000 alice > bob INVITE in=dialog sdp=sendonly
        5.010 bob > alice 200 sdp=recvonly
        5.020 alice > bob ACK
        6.000 alice > carol INVITE 103 call=2
        6.500 carol > alice 180 call=2
        8.000 carol > alice 200 call=2
        8.010 alice > carol ACK call=2
        10.000 alice > bob REFER | Refer-To: <sip:103@{carol}?Replaces={escaped=2@carol}&Require=replaces>
        10.010 bob > alice 202
        10.020 bob > alice NOTIFY frag=100
        10.030 alice > bob 200
        10.100 bob > carol INVITE 103@carol call=3 | Require: replaces | Replaces: {replaces=2@carol}
        10.110 carol > bob 200 call=3
        10.120 bob > carol ACK call=3
        10.130 bob > alice NOTIFY frag=200
        10.140 alice > bob 200
        10.150 carol > alice BYE call=2
        10.160 alice > carol 200 call=2
        10.170 alice > bob BYE
        10.180 bob > alice 200
        15.000 bob > carol BYE call=3
        15.010 carol > bob 200 call=3
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
        #2 6.000 out 101 Setup
        #2 6.000 inb 103 Setup
        #2 6.500 inb 103 Proceeding
        #2 6.500 out 101 Proceeding
        #2 8.000 inb 103 Answered
        #2 8.000 out 101 Answered
        10.130 out 101 Gone/AttendedTransfer to #2 out 101
        #2 10.130 out 101 Gone/AttendedTransfer to #1 out 101
        15.000 inb 102 Disconnected
        #2 15.000 inb 103 Disconnected
        ",
    );
}

#[test]
fn an_attended_transfer_may_name_the_call_without_brackets() {
    // Phone to phone. The NOTIFY with 200 comes before any BYE.
    ladder(
        "
        0.000 alice > bob INVITE 102
        0.500 bob > alice 180
        3.000 bob > alice 200
        3.010 alice > bob ACK
        5.000 alice > bob INVITE in=dialog sdp=sendonly
        5.010 bob > alice 200 sdp=recvonly
        5.020 alice > bob ACK
        6.000 alice > carol INVITE 103 call=2
        6.500 carol > alice 180 call=2
        8.000 carol > alice 200 call=2
        8.010 alice > carol ACK call=2
        10.000 alice > bob REFER | Refer-To: sip:103@{carol}?Replaces={escaped=2@carol}&Require=replaces
        10.010 bob > alice 202
        10.020 bob > alice NOTIFY frag=100
        10.030 alice > bob 200
        10.100 bob > carol INVITE 103@carol call=3 | Require: replaces | Replaces: {replaces=2@carol}
        10.110 carol > bob 200 call=3
        10.120 bob > carol ACK call=3
        10.130 bob > alice NOTIFY frag=200
        10.140 alice > bob 200
        10.150 carol > alice BYE call=2
        10.160 alice > carol 200 call=2
        10.170 alice > bob BYE
        10.180 bob > alice 200
        15.000 bob > carol BYE call=3
        15.010 carol > bob 200 call=3
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
        #2 6.000 out 101 Setup
        #2 6.000 inb 103 Setup
        #2 6.500 inb 103 Proceeding
        #2 6.500 out 101 Proceeding
        #2 8.000 inb 103 Answered
        #2 8.000 out 101 Answered
        10.130 out 101 Gone/AttendedTransfer to #2 out 101
        #2 10.130 out 101 Gone/AttendedTransfer to #1 out 101
        15.000 inb 102 Disconnected
        #2 15.000 inb 103 Disconnected
        ",
    );
}

#[test]
fn an_attended_transfer_by_who_was_called_by_both_is_complete_when_the_target_leaves_him() {
    // Phone to phone.
    ladder(
        "
        0.000 alice > bob INVITE 102
        0.500 bob > alice 180
        3.000 bob > alice 200
        3.010 alice > bob ACK
        5.000 bob > alice INVITE in=dialog sdp=sendonly
        5.010 alice > bob 200 sdp=recvonly
        5.020 bob > alice ACK
        6.000 carol > bob INVITE 102 call=2
        6.500 bob > carol 180 call=2
        8.000 bob > carol 200 call=2
        8.010 carol > bob ACK call=2
        10.000 bob > alice REFER | Refer-To: <sip:103@{carol}?Replaces={escaped=2@carol}&Require=replaces> | Referred-By: <sip:102@example.com>
        10.010 alice > bob 202
        10.100 alice > carol INVITE 103@carol call=3 | Require: replaces | Replaces: {replaces=2@carol} | Referred-By: <sip:102@example.com>
        10.110 carol > alice 200 call=3
        10.120 alice > carol ACK call=3
        10.130 carol > bob BYE call=2
        10.140 bob > carol 200 call=2
        10.150 alice > bob NOTIFY frag=200
        10.160 bob > alice 200
        10.170 bob > alice BYE
        10.180 alice > bob 200
        15.000 carol > alice BYE call=3
        15.010 alice > carol 200 call=3
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
        5.010 inb 102 Hold
        #2 6.000 out 103 Setup
        #2 6.000 inb 102 Setup
        #2 6.500 inb 102 Proceeding
        #2 6.500 out 103 Proceeding
        #2 8.000 inb 102 Answered
        #2 8.000 out 103 Answered
        10.130 inb 102 Gone/AttendedTransfer to #2 inb 102
        #2 10.130 inb 102 Gone/AttendedTransfer to #1 inb 102
        #2 15.000 out 103 Disconnected
        15.000 out 101 Disconnected
        ",
    );
}

#[test]
fn an_attended_transfer_by_who_called_one_and_was_called_by_the_other_is_complete_when_he_leaves() {
    // Phone to phone. He hangs up as soon as the REFER is accepted.
    ladder(
        "
        0.000 alice > bob INVITE 102
        0.500 bob > alice 180
        3.000 bob > alice 200
        3.010 alice > bob ACK
        5.000 alice > bob INVITE in=dialog sdp=sendonly
        5.010 bob > alice 200 sdp=recvonly
        5.020 alice > bob ACK
        6.000 carol > alice INVITE 101 call=2
        6.500 alice > carol 180 call=2
        8.000 alice > carol 200 call=2
        8.010 carol > alice ACK call=2
        10.000 alice > bob REFER | Refer-To: <sip:103@{carol}?Replaces={escaped=2@carol}&Require=replaces>
        10.010 bob > alice 202
        10.020 alice > bob BYE
        10.030 bob > alice 200
        10.100 bob > carol INVITE 103@carol call=3 | Require: replaces | Replaces: {replaces=2@carol}
        10.110 carol > bob 200 call=3
        10.120 bob > carol ACK call=3
        10.130 carol > alice BYE call=2
        10.140 alice > carol 200 call=2
        15.000 bob > carol BYE call=3
        15.010 carol > bob 200 call=3
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
        #2 6.000 out 103 Setup
        #2 6.000 inb 101 Setup
        #2 6.500 inb 101 Proceeding
        #2 6.500 out 103 Proceeding
        #2 8.000 inb 101 Answered
        #2 8.000 out 103 Answered
        10.020 out 101 Gone/AttendedTransfer to #2 inb 101
        #2 10.020 inb 101 Gone/AttendedTransfer to #1 out 101
        15.000 inb 102 Disconnected
        #2 15.000 out 103 Disconnected
        ",
    );
}

#[test]
fn an_attended_transfer_through_a_proxy() {
    ladder(
        "
        0.000 alice > proxy INVITE 102
        0.010 proxy > bob INVITE 102@bob
        0.500 bob > proxy 180
        0.510 proxy > alice 180
        3.000 bob > proxy 200
        3.010 proxy > alice 200
        3.020 alice > proxy ACK
        3.030 proxy > bob ACK
        5.000 bob > proxy INVITE in=dialog sdp=sendonly
        5.005 proxy > alice INVITE in=dialog sdp=same
        5.010 alice > proxy 200 sdp=recvonly
        5.015 proxy > bob 200 sdp=same
        5.020 bob > proxy ACK
        5.025 proxy > alice ACK
        6.000 bob > proxy INVITE 103 call=2
        6.010 proxy > carol INVITE 103@carol call=2
        6.500 carol > proxy 180 call=2
        6.510 proxy > bob 180 call=2
        8.000 carol > proxy 200 call=2
        8.010 proxy > bob 200 call=2
        8.020 bob > proxy ACK call=2
        8.030 proxy > carol ACK call=2
        10.000 bob > proxy REFER | Refer-To: <sip:103@{carol}?Replaces={escaped=2@carol}&Require=replaces> | Referred-By: <sip:102@example.com>
        10.005 proxy > alice REFER | Refer-To: <sip:103@{carol}?Replaces={escaped=2@carol}&Require=replaces> | Referred-By: <sip:102@example.com>
        10.010 alice > proxy 202
        10.015 proxy > bob 202
        10.100 alice > proxy INVITE 103@carol call=3 | Require: replaces | Replaces: {replaces=2@carol} | Referred-By: <sip:102@example.com>
        10.110 proxy > carol INVITE call=3 | Require: replaces | Replaces: {replaces=2@carol} | Referred-By: <sip:102@example.com>
        10.200 carol > proxy 200 call=3
        10.210 proxy > alice 200 call=3
        10.220 alice > proxy ACK call=3
        10.230 proxy > carol ACK call=3
        10.240 carol > proxy BYE call=2
        10.250 proxy > bob BYE call=2
        10.260 bob > proxy 200 call=2
        10.270 proxy > carol 200 call=2
        10.280 alice > proxy NOTIFY frag=200
        10.290 proxy > bob NOTIFY frag=200
        10.300 bob > proxy 200
        10.310 proxy > alice 200
        10.320 bob > proxy BYE
        10.330 proxy > alice BYE
        10.340 alice > proxy 200
        10.350 proxy > bob 200
        15.000 alice > proxy BYE call=3
        15.010 proxy > carol BYE call=3
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
        5.010 inb 102 Hold
        #2 6.000 out 102 Setup
        #2 6.010 inb 103 Setup
        #2 6.500 inb 103 Proceeding
        #2 6.510 out 102 Proceeding
        #2 8.000 inb 103 Answered
        #2 8.010 out 102 Answered
        10.240 inb 102 Gone/AttendedTransfer to #2 out 102
        #2 10.240 out 102 Gone/AttendedTransfer to #1 inb 102
        15.000 out 101 Disconnected
        #2 15.000 inb 103 Disconnected
        ",
    );
}

#[test]
fn a_switch_joins_the_caller_of_the_transferrer_with_whom_he_called() {
    // The REFER names the switch's own end of the second call. Each of the two who stay keeps his session.
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
        5.000 bob > pbx INVITE in=dialog sdp=sendonly call=2
        5.010 pbx > bob 200 sdp=recvonly call=2
        5.020 bob > pbx ACK call=2
        6.000 bob > pbx INVITE 103 call=3
        6.050 pbx > carol INVITE 103@carol call=4 from=102 name=Bob
        6.500 carol > pbx 180 call=4
        6.510 pbx > bob 180 call=3
        8.000 carol > pbx 200 call=4
        8.010 pbx > carol ACK call=4
        8.020 pbx > bob 200 call=3
        8.030 bob > pbx ACK call=3
        10.000 bob > pbx REFER call=2 | Refer-To: <sip:103@{pbx}?Replaces={escaped=3@pbx}>
        10.010 pbx > bob 202 call=2
        10.020 pbx > alice UPDATE
        10.021 alice > pbx 200 for=UPDATE sdp=none
        10.030 pbx > bob NOTIFY call=2 frag=100
        10.031 bob > pbx 200 call=2
        10.040 pbx > bob NOTIFY call=2 frag=200
        10.041 bob > pbx 200 call=2
        10.050 pbx > bob BYE call=3
        10.060 bob > pbx BYE call=2
        10.070 pbx > bob 200 call=2
        10.080 bob > pbx 200 call=3
        15.000 alice > pbx BYE
        15.010 pbx > alice 200
        15.020 pbx > carol BYE call=4
        15.030 carol > pbx 200 call=4
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
        5.010 inb 102 Hold
        #2 6.000 out 102 Setup
        #2 6.050 inb 103 Setup
        #2 6.500 inb 103 Proceeding
        #2 6.510 out 102 Proceeding
        #2 8.000 inb 103 Answered
        #2 8.020 out 102 Answered
        10.040 inb 102 Gone/AttendedTransfer to #2 out 102
        #2 10.040 out 102 Gone/AttendedTransfer to #1 inb 102
        15.000 out 101 Disconnected
        #2 15.020 inb 103 Disconnected
        ",
    );
}

#[test]
fn a_switch_joins_two_whom_the_transferrer_called() {
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
        5.000 alice > pbx INVITE in=dialog sdp=sendonly
        5.010 pbx > alice 200 sdp=recvonly
        5.020 alice > pbx ACK
        6.000 alice > pbx INVITE 103 call=3
        6.050 pbx > carol INVITE 103@carol call=4 from=101 name=Alice
        6.500 carol > pbx 180 call=4
        6.510 pbx > alice 180 call=3
        8.000 carol > pbx 200 call=4
        8.010 pbx > carol ACK call=4
        8.020 pbx > alice 200 call=3
        8.030 alice > pbx ACK call=3
        10.000 alice > pbx REFER | Refer-To: <sip:103@{pbx}?Replaces={escaped=3@pbx}>
        10.010 pbx > alice 202
        10.020 pbx > bob UPDATE call=2
        10.021 bob > pbx 200 for=UPDATE sdp=none call=2
        10.030 pbx > alice NOTIFY frag=100
        10.031 alice > pbx 200
        10.040 pbx > alice NOTIFY frag=200
        10.041 alice > pbx 200
        10.050 pbx > alice BYE call=3
        10.060 alice > pbx BYE
        10.070 pbx > alice 200
        10.080 alice > pbx 200 call=3
        15.000 bob > pbx BYE call=2
        15.010 pbx > bob 200 call=2
        15.020 pbx > carol BYE call=4
        15.030 carol > pbx 200 call=4
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
        5.010 out 101 Hold
        #2 6.000 out 101 Setup
        #2 6.050 inb 103 Setup
        #2 6.500 inb 103 Proceeding
        #2 6.510 out 101 Proceeding
        #2 8.000 inb 103 Answered
        #2 8.020 out 101 Answered
        10.040 out 101 Gone/AttendedTransfer to #2 out 101
        #2 10.040 out 101 Gone/AttendedTransfer to #1 out 101
        15.000 inb 102 Disconnected
        #2 15.020 inb 103 Disconnected
        ",
    );
}

#[test]
fn a_switch_joins_two_who_called_the_transferrer() {
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
        5.000 bob > pbx INVITE in=dialog sdp=sendonly call=2
        5.010 pbx > bob 200 sdp=recvonly call=2
        5.020 bob > pbx ACK call=2
        6.000 carol > pbx INVITE 102 call=3
        6.050 pbx > bob INVITE 102@bob call=4 from=103 name=Carol
        6.500 bob > pbx 180 call=4
        6.510 pbx > carol 180 call=3
        8.000 bob > pbx 200 call=4
        8.010 pbx > bob ACK call=4
        8.020 pbx > carol 200 call=3
        8.030 carol > pbx ACK call=3
        10.000 bob > pbx REFER call=2 | Refer-To: <sip:103@{pbx}?Replaces={escaped=4@pbx}>
        10.010 pbx > bob 202 call=2
        10.020 pbx > alice UPDATE
        10.021 alice > pbx 200 for=UPDATE sdp=none
        10.030 pbx > bob NOTIFY call=2 frag=100
        10.031 bob > pbx 200 call=2
        10.040 pbx > bob NOTIFY call=2 frag=200
        10.041 bob > pbx 200 call=2
        10.050 pbx > bob BYE call=4
        10.060 bob > pbx BYE call=2
        10.070 pbx > bob 200 call=2
        10.080 bob > pbx 200 call=4
        15.000 alice > pbx BYE
        15.010 pbx > alice 200
        15.020 pbx > carol BYE call=3
        15.030 carol > pbx 200 call=3
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
        5.010 inb 102 Hold
        #2 6.000 out 103 Setup
        #2 6.050 inb 102 Setup
        #2 6.500 inb 102 Proceeding
        #2 6.510 out 103 Proceeding
        #2 8.000 inb 102 Answered
        #2 8.020 out 103 Answered
        10.040 inb 102 Gone/AttendedTransfer to #2 inb 102
        #2 10.040 inb 102 Gone/AttendedTransfer to #1 inb 102
        15.000 out 101 Disconnected
        #2 15.020 out 103 Disconnected
        ",
    );
}

#[test]
fn a_switch_joins_whom_the_transferrer_called_with_who_called_him() {
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
        5.000 alice > pbx INVITE in=dialog sdp=sendonly
        5.010 pbx > alice 200 sdp=recvonly
        5.020 alice > pbx ACK
        6.000 carol > pbx INVITE 101 call=3
        6.050 pbx > alice INVITE 101@alice call=4 from=103 name=Carol
        6.500 alice > pbx 180 call=4
        6.510 pbx > carol 180 call=3
        8.000 alice > pbx 200 call=4
        8.010 pbx > alice ACK call=4
        8.020 pbx > carol 200 call=3
        8.030 carol > pbx ACK call=3
        10.000 alice > pbx REFER | Refer-To: <sip:103@{pbx}?Replaces={escaped=4@pbx}>
        10.010 pbx > alice 202
        10.020 pbx > bob UPDATE call=2
        10.021 bob > pbx 200 for=UPDATE sdp=none call=2
        10.030 pbx > alice NOTIFY frag=100
        10.031 alice > pbx 200
        10.040 pbx > alice NOTIFY frag=200
        10.041 alice > pbx 200
        10.050 pbx > alice BYE call=4
        10.060 alice > pbx BYE
        10.070 pbx > alice 200
        10.080 alice > pbx 200 call=4
        15.000 bob > pbx BYE call=2
        15.010 pbx > bob 200 call=2
        15.020 pbx > carol BYE call=3
        15.030 carol > pbx 200 call=3
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
        5.010 out 101 Hold
        #2 6.000 out 103 Setup
        #2 6.050 inb 101 Setup
        #2 6.500 inb 101 Proceeding
        #2 6.510 out 103 Proceeding
        #2 8.000 inb 101 Answered
        #2 8.020 out 103 Answered
        10.040 out 101 Gone/AttendedTransfer to #2 inb 101
        #2 10.040 inb 101 Gone/AttendedTransfer to #1 out 101
        15.000 inb 102 Disconnected
        #2 15.020 out 103 Disconnected
        ",
    );
}

#[test]
fn a_switch_that_is_asked_on_the_second_call_to_join_it_with_the_first() {
    // The REFER may come in either of the two calls; the party of that call is told first.
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
        5.000 bob > pbx INVITE in=dialog sdp=sendonly call=2
        5.010 pbx > bob 200 sdp=recvonly call=2
        5.020 bob > pbx ACK call=2
        6.000 bob > pbx INVITE 103 call=3
        6.050 pbx > carol INVITE 103@carol call=4 from=102 name=Bob
        6.500 carol > pbx 180 call=4
        6.510 pbx > bob 180 call=3
        8.000 carol > pbx 200 call=4
        8.010 pbx > carol ACK call=4
        8.020 pbx > bob 200 call=3
        8.030 bob > pbx ACK call=3
        10.000 bob > pbx REFER call=3 | Refer-To: <sip:101@{pbx}?Replaces={escaped=2@pbx}>
        10.010 pbx > bob 202 call=3
        10.020 pbx > bob NOTIFY call=3 frag=200
        10.021 bob > pbx 200 call=3
        10.030 bob > pbx BYE call=3
        10.031 pbx > bob 200 call=3
        10.040 pbx > bob BYE call=2
        10.041 bob > pbx 200 call=2
        15.000 carol > pbx BYE call=4
        15.010 pbx > carol 200 call=4
        15.020 pbx > alice BYE
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
        5.010 inb 102 Hold
        #2 6.000 out 102 Setup
        #2 6.050 inb 103 Setup
        #2 6.500 inb 103 Proceeding
        #2 6.510 out 102 Proceeding
        #2 8.000 inb 103 Answered
        #2 8.020 out 102 Answered
        #2 10.020 out 102 Gone/AttendedTransfer to #1 inb 102
        10.020 inb 102 Gone/AttendedTransfer to #2 out 102
        #2 15.000 inb 103 Disconnected
        15.020 out 101 Disconnected
        ",
    );
}

#[test]
fn a_transfer_through_a_switch_while_the_target_still_rings() {
    // The target goes on ringing for the one who was transferred, and has missed nothing.
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
        5.000 bob > pbx INVITE in=dialog sdp=sendonly call=2
        5.010 pbx > bob 200 sdp=recvonly call=2
        5.020 bob > pbx ACK call=2
        6.000 bob > pbx INVITE 103 call=3
        6.050 pbx > carol INVITE 103@carol call=4 from=102 name=Bob
        6.500 carol > pbx 180 call=4
        6.510 pbx > bob 180 call=3
        8.000 bob > pbx REFER call=2 | Refer-To: <sip:103@{pbx}?Replaces={escaped=3@pbx}>
        8.010 pbx > bob 202 call=2
        8.020 pbx > bob NOTIFY call=2 frag=200
        8.030 bob > pbx 200 call=2
        8.040 pbx > bob 487 call=3
        8.050 bob > pbx ACK call=3
        8.060 bob > pbx BYE call=2
        8.070 pbx > bob 200 call=2
        11.000 carol > pbx 200 call=4
        11.010 pbx > carol ACK call=4
        15.000 alice > pbx BYE
        15.010 pbx > alice 200
        15.020 pbx > carol BYE call=4
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
        5.010 inb 102 Hold
        #2 6.000 out 102 Setup
        #2 6.050 inb 103 Setup
        #2 6.500 inb 103 Proceeding
        #2 6.510 out 102 Proceeding
        8.020 inb 102 Gone/AttendedTransfer to #2 out 102
        #2 8.020 out 102 Gone/AttendedTransfer to #1 inb 102
        #2 11.000 inb 103 Answered
        15.000 out 101 Disconnected
        #2 15.020 inb 103 Disconnected
        ",
    );
}

#[test]
fn a_phone_that_cannot_hand_over_a_ringing_call_gives_it_up_and_transfers_blindly() {
    // RFC 5589 §7.6: phone to phone, a dialog that only rings cannot be replaced.
    ladder(
        "
        0.000 alice > bob INVITE 102
        0.500 bob > alice 180
        3.000 bob > alice 200
        3.010 alice > bob ACK
        5.000 bob > alice INVITE in=dialog sdp=sendonly
        5.010 alice > bob 200 sdp=recvonly
        5.020 bob > alice ACK
        6.000 bob > carol INVITE 103 call=2
        6.500 carol > bob 180 call=2
        8.000 bob > carol CANCEL call=2
        8.010 carol > bob 200 call=2 for=CANCEL
        8.020 carol > bob 487 call=2
        8.030 bob > carol ACK call=2
        8.100 bob > alice REFER | Refer-To: <sip:103@{carol}> | Referred-By: <sip:102@example.com>
        8.110 alice > bob 202
        8.120 bob > alice BYE
        8.130 alice > bob 200
        8.200 alice > carol INVITE 103 call=3 | Referred-By: <sip:102@example.com>
        8.700 carol > alice 180 call=3
        11.000 carol > alice 200 call=3
        11.010 alice > carol ACK call=3
        15.000 alice > carol BYE call=3
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
        5.010 inb 102 Hold
        #2 6.000 out 102 Setup
        #2 6.000 inb 103 Setup
        #2 6.500 inb 103 Proceeding
        #2 6.500 out 102 Proceeding
        #2 8.020 inb 103 Disconnected/Cancelled missed
        #2 8.020 out 102 Disconnected
        8.120 inb 102 Disconnected/BlindTransfer
        8.200 inb 103 Setup
        8.700 inb 103 Proceeding
        11.000 inb 103 Answered
        15.000 out 101 Disconnected
        15.000 inb 103 Disconnected
        ",
    );
}

#[test]
fn an_attended_transfer_that_fails_leaves_both_calls_as_they_were() {
    ladder(
        "
        0.000 alice > bob INVITE 102
        0.500 bob > alice 180
        3.000 bob > alice 200
        3.010 alice > bob ACK
        5.000 bob > alice INVITE in=dialog sdp=sendonly
        5.010 alice > bob 200 sdp=recvonly
        5.020 bob > alice ACK
        6.000 bob > carol INVITE 103 call=2
        6.500 carol > bob 180 call=2
        8.000 carol > bob 200 call=2
        8.010 bob > carol ACK call=2
        10.000 bob > alice REFER | Refer-To: <sip:103@{carol}?Replaces={escaped=2@carol}>
        10.010 alice > bob 202
        10.100 alice > carol INVITE 103@carol call=3 | Replaces: {replaces=2@carol}
        10.110 carol > alice 603 call=3
        10.120 alice > carol ACK call=3
        10.130 alice > bob NOTIFY frag=603
        10.140 bob > alice 200
        12.000 bob > carol BYE call=2
        12.010 carol > bob 200 call=2
        13.000 bob > alice INVITE in=dialog sdp=sendrecv
        13.010 alice > bob 200 sdp=sendrecv
        13.020 bob > alice ACK
        15.000 alice > bob BYE
        15.010 bob > alice 200
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
        5.010 inb 102 Hold
        #2 6.000 out 102 Setup
        #2 6.000 inb 103 Setup
        #2 6.500 inb 103 Proceeding
        #2 6.500 out 102 Proceeding
        #2 8.000 inb 103 Answered
        #2 8.000 out 102 Answered
        #2 12.000 out 102 Disconnected
        #2 12.000 inb 103 Disconnected
        13.010 inb 102 Answered
        15.000 out 101 Disconnected
        15.000 inb 102 Disconnected
        ",
    );
}

#[test]
fn a_caller_who_transfers_the_callee_to_a_group_of_phones() {
    // The switch lets the transferrer go first, and then calls the phones that the number stands for.
    ladder(
        "
        0.000 alice > pbx INVITE 102
        0.050 pbx > bob INVITE 102@bob call=2 from=101 name=Alice
        0.500 bob > pbx 180 call=2
        0.510 pbx > alice 180
        3.000 bob > pbx 200 call=2
        3.020 pbx > alice 200
        5.000 alice > pbx REFER | Refer-To: <sip:610@{pbx}>
        5.010 pbx > alice 202
        5.020 pbx > alice NOTIFY frag=200
        5.030 alice > pbx BYE
        5.040 pbx > alice 200
        5.060 pbx > carol INVITE 103@carol call=3 from=102 name=Bob
        5.061 pbx > dave INVITE 104@dave call=4 from=102 name=Bob
        5.500 carol > pbx 180 call=3
        5.600 dave > pbx 180 call=4
        8.000 dave > pbx 200 call=4
        8.010 pbx > dave ACK call=4
        8.020 pbx > carol CANCEL call=3
        8.030 carol > pbx 487 call=3 for=INVITE
        20.000 bob > pbx BYE call=2
        20.020 pbx > dave BYE call=4
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
        5.030 out 101 Disconnected/BlindTransfer
        5.060 inb 103 Setup
        5.061 inb 104 Setup
        5.500 inb 103 Proceeding
        5.600 inb 104 Proceeding
        8.000 inb 104 Answered
        8.030 inb 103 Disconnected
        20.000 inb 102 Disconnected
        20.020 inb 104 Disconnected
        ",
    );
}

#[test]
fn a_transferrer_who_sends_no_bye_is_out_when_the_notify_says_200() {
    // The switch clears the idle leg a minute later.
    ladder(
        "
        0.000 trunk > pbx INVITE +14155559102
        0.050 pbx > bob INVITE 102 call=2 from=+14155550100
        0.500 bob > pbx 180 call=2
        0.510 pbx > trunk 180
        5.000 bob > pbx 200 call=2
        5.010 pbx > bob ACK call=2
        5.020 pbx > trunk 200
        5.030 trunk > pbx ACK
        12.000 bob > pbx REFER call=2 | Refer-To: <sip:{user=103}@{pbx}>
        12.010 pbx > bob 202 call=2
        12.020 pbx > bob NOTIFY call=2 frag=100
        12.030 bob > pbx 200 call=2
        12.100 pbx > carol INVITE 103 call=3 from=+14155550100
        12.400 carol > pbx 180 call=3
        15.000 carol > pbx 200 call=3
        15.010 pbx > carol ACK call=3
        15.020 pbx > bob NOTIFY call=2 frag=200
        15.030 bob > pbx 200 call=2
        72.000 pbx > bob BYE call=2
        72.010 bob > pbx 200 call=2
        90.000 trunk > pbx BYE
        90.020 pbx > carol BYE call=3
        ",
    )
    .tells(
        "
        0.000 out +14155550100 Setup
        0.050 inb 102 Setup
        0.500 inb 102 Proceeding
        0.510 out +14155550100 Proceeding
        5.000 inb 102 Answered
        5.020 out +14155550100 Answered
        12.100 inb 103 Setup
        12.400 inb 103 Proceeding
        15.000 inb 103 Answered
        15.000 inb 102 Disconnected/BlindTransfer
        90.000 out +14155550100 Disconnected
        90.020 inb 103 Disconnected
        ",
    );
}

#[test]
fn a_transferrer_without_bye_is_out_before_the_target_answers_if_the_notify_says_so() {
    // As a switch does that reports success as soon as it has taken the call on.
    ladder(
        "
        0.000 alice > pbx INVITE 102
        0.050 pbx > bob INVITE 102 call=2 from=101
        0.500 bob > pbx 180 call=2
        5.000 bob > pbx 200 call=2
        5.020 pbx > alice 200
        12.000 alice > pbx REFER | Refer-To: <sip:{user=103}@{pbx}>
        12.010 pbx > alice 202
        12.020 pbx > alice NOTIFY frag=200
        12.030 alice > pbx 200
        12.100 pbx > carol INVITE 103 call=3 from=102
        12.400 carol > pbx 180 call=3
        15.000 carol > pbx 200 call=3
        30.000 bob > pbx BYE call=2
        30.020 pbx > carol BYE call=3
        40.000 pbx > alice BYE
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.050 inb 102 Setup
        0.500 inb 102 Proceeding
        5.000 inb 102 Answered
        5.020 out 101 Answered
        12.100 inb 103 Setup
        12.400 inb 103 Proceeding
        12.400 out 101 Disconnected/BlindTransfer
        15.000 inb 103 Answered
        30.000 inb 102 Disconnected
        30.020 inb 103 Disconnected
        ",
    );
}

#[test]
fn a_transferrer_without_bye_and_without_notify_is_out_when_the_target_answers() {
    // RFC 4488: norefersub; the transferred phone places the call itself.
    ladder(
        "
        0.000 alice > bob INVITE 102
        0.500 bob > alice 180
        3.000 bob > alice 200
        3.010 alice > bob ACK
        5.000 bob > alice REFER | Refer-To: <sip:103@{carol}> | Refer-Sub: false
        5.010 alice > bob 200 | Refer-Sub: false
        5.100 alice > carol INVITE 103 call=2
        5.600 carol > alice 180 call=2
        8.000 carol > alice 200 call=2
        8.010 alice > carol ACK call=2
        12.000 alice > carol BYE call=2
        12.010 carol > alice 200 call=2
        20.000 bob > alice BYE
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
        5.100 inb 103 Setup
        5.600 inb 103 Proceeding
        8.000 inb 103 Answered
        8.000 inb 102 Disconnected/BlindTransfer
        12.000 out 101 Disconnected
        12.000 inb 103 Disconnected
        ",
    );
}

#[test]
fn a_transfer_that_fails_leaves_the_transferrer_in_the_call_though_the_target_rang() {
    ladder(
        "
        0.000 alice > bob INVITE 102
        3.000 bob > alice 200
        3.010 alice > bob ACK
        5.000 bob > alice REFER | Refer-To: <sip:103@{carol}>
        5.010 alice > bob 202
        5.100 alice > carol INVITE 103 call=2
        5.600 carol > alice 180 call=2
        8.000 carol > alice 486 call=2
        8.010 alice > carol ACK call=2
        8.020 alice > bob NOTIFY frag=486
        8.030 bob > alice 200
        20.000 bob > alice BYE
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.000 inb 102 Setup
        3.000 inb 102 Answered
        3.000 out 101 Answered
        5.100 inb 103 Setup
        5.600 inb 103 Proceeding
        8.000 inb 103 Disconnected/TargetBusy missed
        20.000 inb 102 Disconnected
        20.000 out 101 Disconnected
        ",
    );
}

#[test]
fn the_phone_that_was_referred_calls_over_another_connection() {
    // Over TCP a phone may open a connection for each call; From is that of the transferred party.
    ladder(
        "
        0.000 alice:40001 > bob INVITE 102
        0.500 bob > alice:40001 180
        3.000 bob > alice:40001 200
        3.010 alice:40001 > bob ACK
        5.000 bob > alice:40001 REFER | Refer-To: <sip:{user=103}@{carol}> | Referred-By: <sip:102@example.com>
        5.010 alice:40001 > bob 202
        5.100 alice:40002 > carol INVITE 103 call=2 | Referred-By: <sip:102@example.com>
        5.600 carol > alice:40002 180 call=2
        8.000 carol > alice:40002 200 call=2
        8.010 alice:40002 > carol ACK call=2
        8.020 alice:40001 > bob NOTIFY frag=200
        8.040 bob > alice:40001 BYE
        12.000 alice:40002 > carol BYE call=2
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
        5.100 inb 103 Setup
        5.600 inb 103 Proceeding
        8.000 inb 103 Answered
        8.040 inb 102 Disconnected/BlindTransfer
        12.000 out 101 Disconnected
        12.000 inb 103 Disconnected
        ",
    );
}

#[test]
fn a_phone_behind_a_proxy_that_was_referred_calls_over_another_connection() {
    ladder(
        "
        0.000 alice:40001 > proxy INVITE 102
        0.010 proxy > bob:40003 INVITE 102@bob
        0.500 bob:40003 > proxy 180
        0.510 proxy > alice:40001 180
        3.000 bob:40003 > proxy 200
        3.010 proxy > alice:40001 200
        3.020 alice:40001 > proxy ACK
        3.030 proxy > bob:40003 ACK
        5.000 alice:40001 > proxy REFER | Refer-To: <sip:{user=103}@example.com>
        5.005 proxy > bob:40003 REFER | Refer-To: <sip:{user=103}@example.com>
        5.010 bob:40003 > proxy 202
        5.015 proxy > alice:40001 202
        5.020 alice:40001 > proxy BYE
        5.025 proxy > bob:40003 BYE
        5.100 bob:40004 > proxy INVITE 103 call=2
        5.110 proxy > carol INVITE 103@carol call=2
        5.600 carol > proxy 180 call=2
        5.610 proxy > bob:40004 180 call=2
        8.000 carol > proxy 200 call=2
        8.010 proxy > bob:40004 200 call=2
        12.000 carol > proxy BYE call=2
        12.010 proxy > bob:40004 BYE call=2
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
        5.020 out 101 Disconnected/BlindTransfer
        5.110 inb 103 Setup
        5.600 inb 103 Proceeding
        8.000 inb 103 Answered
        12.000 inb 103 Disconnected
        12.000 inb 102 Disconnected
        ",
    );
}

#[test]
fn somebody_else_on_the_host_of_a_transferred_phone_places_a_call_of_its_own() {
    // The same address, another number: a softphone beside the phone.
    ladder(
        "
        0.000 alice:40001 > bob INVITE 102
        3.000 bob > alice:40001 200
        3.010 alice:40001 > bob ACK
        5.000 bob > alice:40001 REFER | Refer-To: <sip:{user=103}@{carol}>
        5.010 alice:40001 > bob 202
        5.100 alice:40002 > carol INVITE 103 call=2 from=109 name=Nobody
        5.600 carol > alice:40002 180 call=2
        6.000 carol > alice:40002 486 call=2
        8.020 alice:40001 > bob NOTIFY frag=503
        9.000 bob > alice:40001 BYE
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.000 inb 102 Setup
        3.000 inb 102 Answered
        3.000 out 101 Answered
        #2 5.100 out 109 Setup
        #2 5.100 inb 103 Setup
        #2 5.600 inb 103 Proceeding
        #2 5.600 out 109 Proceeding
        #2 6.000 inb 103 Disconnected/TargetBusy missed
        #2 6.000 out 109 Disconnected/TargetBusy
        9.000 inb 102 Disconnected
        9.000 out 101 Disconnected
        ",
    );
}

#[test]
fn a_replaces_whose_tags_the_phone_has_swapped_names_the_call_if_it_was_accepted() {
    // In the INVITE alone; Carol looks at the Call-ID.
    ladder(
        "
        0.000 alice > bob INVITE 102
        0.500 bob > alice 180
        3.000 bob > alice 200
        3.010 alice > bob ACK
        6.000 bob > alice INVITE in=1 sdp=sendonly
        6.010 alice > bob 200 sdp=recvonly
        6.020 bob > alice ACK
        7.000 bob > carol INVITE 103 call=2
        7.500 carol > bob 180 call=2
        9.000 carol > bob 200 call=2
        9.010 bob > carol ACK call=2
        14.000 bob > alice REFER | Refer-To: <sip:103@{carol}?Replaces={escaped=2@carol}>
        14.010 alice > bob 202
        14.100 alice > carol INVITE 103 call=3 | Replaces: {replaces=2@bob}
        14.200 carol > alice 200 call=3
        14.210 alice > carol ACK call=3
        14.300 carol > bob BYE call=2
        14.310 bob > carol 200 call=2
        14.400 alice > bob NOTIFY frag=200
        14.410 bob > alice 200
        14.500 bob > alice BYE
        30.000 alice > carol BYE call=3
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
        6.010 inb 102 Hold
        #2 7.000 out 102 Setup
        #2 7.000 inb 103 Setup
        #2 7.500 inb 103 Proceeding
        #2 7.500 out 102 Proceeding
        #2 9.000 inb 103 Answered
        #2 9.000 out 102 Answered
        14.300 inb 102 Gone/AttendedTransfer to #2 out 102
        #2 14.300 out 102 Gone/AttendedTransfer to #1 inb 102
        30.000 out 101 Disconnected
        #2 30.000 inb 103 Disconnected
        ",
    );
}

#[test]
fn a_replaces_with_a_wrong_letter_in_a_tag_names_the_call_if_it_was_accepted() {
    // Carol looks at the Call-ID and one tag.
    ladder(
        "
        0.000 alice > bob INVITE 102
        0.500 bob > alice 180
        3.000 bob > alice 200
        3.010 alice > bob ACK
        6.000 bob > alice INVITE in=1 sdp=sendonly
        6.010 alice > bob 200 sdp=recvonly
        6.020 bob > alice ACK
        7.000 bob > carol INVITE 103 call=2
        7.500 carol > bob 180 call=2
        9.000 carol > bob 200 call=2
        9.010 bob > carol ACK call=2
        14.000 bob > alice REFER | Refer-To: <sip:103@{carol}?Replaces={escaped=2@carol}>
        14.010 alice > bob 202
        14.100 alice > carol INVITE 103 call=3 | Replaces: {wrong=2@carol}
        14.200 carol > alice 200 call=3
        14.210 alice > carol ACK call=3
        14.300 carol > bob BYE call=2
        14.310 bob > carol 200 call=2
        14.400 alice > bob NOTIFY frag=200
        14.410 bob > alice 200
        14.500 bob > alice BYE
        30.000 alice > carol BYE call=3
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
        6.010 inb 102 Hold
        #2 7.000 out 102 Setup
        #2 7.000 inb 103 Setup
        #2 7.500 inb 103 Proceeding
        #2 7.500 out 102 Proceeding
        #2 9.000 inb 103 Answered
        #2 9.000 out 102 Answered
        14.300 inb 102 Gone/AttendedTransfer to #2 out 102
        #2 14.300 out 102 Gone/AttendedTransfer to #1 inb 102
        30.000 out 101 Disconnected
        #2 30.000 inb 103 Disconnected
        ",
    );
}

#[test]
fn a_replaces_with_a_wrong_letter_in_the_call_id_names_the_call_if_it_was_accepted() {
    // Carol looks at the tags.
    ladder(
        "
        0.000 alice > bob INVITE 102
        0.500 bob > alice 180
        3.000 bob > alice 200
        3.010 alice > bob ACK
        6.000 bob > alice INVITE in=1 sdp=sendonly
        6.010 alice > bob 200 sdp=recvonly
        6.020 bob > alice ACK
        7.000 bob > carol INVITE 103 call=2
        7.500 carol > bob 180 call=2
        9.000 carol > bob 200 call=2
        9.010 bob > carol ACK call=2
        14.000 bob > alice REFER | Refer-To: <sip:103@{carol}?Replaces={escaped=2@carol}>
        14.010 alice > bob 202
        14.100 alice > carol INVITE 103 call=3 | Replaces: {misspelt=2@carol}
        14.200 carol > alice 200 call=3
        14.210 alice > carol ACK call=3
        14.300 carol > bob BYE call=2
        14.310 bob > carol 200 call=2
        14.400 alice > bob NOTIFY frag=200
        14.410 bob > alice 200
        14.500 bob > alice BYE
        30.000 alice > carol BYE call=3
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
        6.010 inb 102 Hold
        #2 7.000 out 102 Setup
        #2 7.000 inb 103 Setup
        #2 7.500 inb 103 Proceeding
        #2 7.500 out 102 Proceeding
        #2 9.000 inb 103 Answered
        #2 9.000 out 102 Answered
        14.300 inb 102 Gone/AttendedTransfer to #2 out 102
        #2 14.300 out 102 Gone/AttendedTransfer to #1 inb 102
        30.000 out 101 Disconnected
        #2 30.000 inb 103 Disconnected
        ",
    );
}

#[test]
fn a_replaces_with_a_wrong_letter_that_is_refused_moves_nobody() {
    ladder(
        "
        0.000 alice > bob INVITE 102
        3.000 bob > alice 200
        3.010 alice > bob ACK
        6.000 bob > alice INVITE in=1 sdp=sendonly
        6.010 alice > bob 200 sdp=recvonly
        6.020 bob > alice ACK
        7.000 bob > carol INVITE 103 call=2
        9.000 carol > bob 200 call=2
        9.010 bob > carol ACK call=2
        14.000 bob > alice REFER | Refer-To: <sip:{user=103}@{carol}?Replaces={escaped=2@carol}>
        14.010 alice > bob 202
        14.100 alice > carol INVITE 103 call=3 | Replaces: {wrong=2@carol}
        14.200 carol > alice 481 call=3
        14.210 alice > carol ACK call=3
        14.400 alice > bob NOTIFY frag=481
        14.410 bob > alice 200
        16.000 bob > alice INVITE in=1 sdp=sendrecv
        16.010 alice > bob 200
        16.020 bob > alice ACK
        20.000 bob > carol BYE call=2
        30.000 alice > bob BYE
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.000 inb 102 Setup
        3.000 inb 102 Answered
        3.000 out 101 Answered
        6.010 inb 102 Hold
        #2 7.000 out 102 Setup
        #2 7.000 inb 103 Setup
        #2 9.000 inb 103 Answered
        #2 9.000 out 102 Answered
        16.010 inb 102 Answered
        #2 20.000 out 102 Disconnected
        #2 20.000 inb 103 Disconnected
        30.000 out 101 Disconnected
        30.000 inb 102 Disconnected
        ",
    );
}

#[test]
fn a_switch_moves_a_call_by_itself_and_keeps_the_first_callee() {
    // By its API: no REFER, and 102 is left on the line. The description offered to 103 is that of 101.
    ladder(
        "
        0.000 alice > pbx INVITE 102
        0.010 pbx > bob INVITE 102 call=2 from=101 media=alice
        0.020 bob > pbx 180 call=2
        0.030 pbx > alice 180
        0.600 bob > pbx 200 call=2
        0.610 pbx > bob ACK call=2
        0.620 pbx > alice 200
        0.630 alice > pbx ACK
        5.500 pbx > carol INVITE 103 call=3 from=101 media=alice
        5.600 carol > pbx 180 call=3
        6.300 carol > pbx 200 call=3
        6.310 pbx > carol ACK call=3
        9.000 alice > pbx BYE
        9.010 pbx > carol BYE call=3
        9.020 pbx > bob BYE call=2
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.010 inb 102 Setup
        0.020 inb 102 Proceeding
        0.030 out 101 Proceeding
        0.600 inb 102 Answered
        0.620 out 101 Answered
        5.500 inb 103 Setup
        5.600 inb 103 Proceeding
        6.300 inb 103 Answered
        9.000 out 101 Disconnected
        9.010 inb 103 Disconnected
        9.020 inb 102 Disconnected
        ",
    );
}

#[test]
fn a_switch_moves_a_call_by_itself_and_hangs_up_on_the_first_callee() {
    ladder(
        "
        0.000 alice > pbx INVITE 102
        0.010 pbx > bob INVITE 102 call=2 from=101
        0.020 bob > pbx 180 call=2
        0.600 bob > pbx 200 call=2
        0.620 pbx > alice 200
        5.500 pbx > bob BYE call=2
        5.510 bob > pbx 200 call=2
        5.530 pbx > carol INVITE 103 call=3 from=101
        5.600 carol > pbx 180 call=3
        6.300 carol > pbx 200 call=3
        9.000 carol > pbx BYE call=3
        9.020 pbx > alice BYE
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.010 inb 102 Setup
        0.020 inb 102 Proceeding
        0.600 inb 102 Answered
        0.620 out 101 Answered
        5.500 inb 102 Disconnected
        5.530 inb 103 Setup
        5.600 inb 103 Proceeding
        6.300 inb 103 Answered
        9.000 inb 103 Disconnected
        9.020 out 101 Disconnected
        ",
    );
}

#[test]
fn a_target_that_the_switch_called_by_itself_and_that_is_busy_leaves_the_call_as_it_was() {
    ladder(
        "
        0.000 alice > pbx INVITE 102
        0.010 pbx > bob INVITE 102 call=2 from=101 media=alice
        0.600 bob > pbx 200 call=2
        0.620 pbx > alice 200
        5.500 pbx > carol INVITE 103 call=3 from=101 media=alice
        5.600 carol > pbx 486 call=3
        5.610 pbx > carol ACK call=3
        9.000 alice > pbx BYE
        9.020 pbx > bob BYE call=2
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.010 inb 102 Setup
        0.600 inb 102 Answered
        0.620 out 101 Answered
        5.500 inb 103 Setup
        5.600 inb 103 Disconnected/TargetBusy missed
        9.000 out 101 Disconnected
        9.020 inb 102 Disconnected
        ",
    );
}

#[test]
fn a_call_of_somebody_who_talks_that_has_media_of_its_own_is_another_call() {
    // A further device of 101, whose own leg is not seen.
    ladder(
        "
        0.000 alice > pbx INVITE 102
        0.010 pbx > bob INVITE 102 call=2 from=101 media=alice
        0.600 bob > pbx 200 call=2
        0.620 pbx > alice 200
        5.500 pbx > carol INVITE 103 call=3 from=101 sdp=late
        5.600 carol > pbx 180 call=3
        7.000 carol > pbx 486 call=3
        9.000 alice > pbx BYE
        9.020 pbx > bob BYE call=2
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.010 inb 102 Setup
        0.600 inb 102 Answered
        0.620 out 101 Answered
        #2 5.500 out 101 Setup
        #2 5.500 inb 103 Setup
        #2 5.600 inb 103 Proceeding
        #2 5.600 out 101 Proceeding
        #2 7.000 inb 103 Disconnected/TargetBusy missed
        #2 7.000 out 101 Disconnected/TargetBusy
        9.000 out 101 Disconnected
        9.020 inb 102 Disconnected
        ",
    );
}

#[test]
fn an_attended_transfer_without_a_bye_leaves_no_leg_behind() {
    ladder(
        "
        0.000 alice > bob INVITE 102
        0.500 bob > alice 180
        3.000 bob > alice 200
        3.010 alice > bob ACK
        10.000 bob > carol INVITE 103 call=2
        10.500 carol > bob 180 call=2
        12.000 carol > bob 200 call=2
        12.010 bob > carol ACK call=2
        15.000 bob > alice REFER | Refer-To: <sip:103@{carol}?Replaces={escaped=2@carol}>
        15.010 alice > bob 202 for=REFER
        15.050 alice > carol INVITE 103@carol call=3 | Replaces: {replaces=2@carol}
        15.100 carol > alice 200 call=3
        15.110 alice > carol ACK call=3
        15.120 alice > bob NOTIFY frag=200
        40.000 alice > carol BYE call=3
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
        #2 10.000 out 102 Setup
        #2 10.000 inb 103 Setup
        #2 10.500 inb 103 Proceeding
        #2 10.500 out 102 Proceeding
        #2 12.000 inb 103 Answered
        #2 12.000 out 102 Answered
        15.120 inb 102 Gone/AttendedTransfer to #2 out 102
        #2 15.120 out 102 Gone/AttendedTransfer to #1 inb 102
        40.000 out 101 Disconnected
        #2 40.000 inb 103 Disconnected
        ",
    );
}

#[test]
fn an_attended_transfer_after_which_only_the_target_hangs_up() {
    ladder(
        "
        0.000 alice > bob INVITE 102
        0.500 bob > alice 180
        3.000 bob > alice 200
        3.010 alice > bob ACK
        10.000 bob > carol INVITE 103 call=2
        10.500 carol > bob 180 call=2
        12.000 carol > bob 200 call=2
        12.010 bob > carol ACK call=2
        15.000 bob > alice REFER | Refer-To: <sip:103@{carol}?Replaces={escaped=2@carol}>
        15.010 alice > bob 202 for=REFER
        15.050 alice > carol INVITE 103@carol call=3 | Replaces: {replaces=2@carol}
        15.100 carol > alice 200 call=3
        15.110 alice > carol ACK call=3
        15.120 carol > bob BYE call=2
        40.000 alice > carol BYE call=3
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
        #2 10.000 out 102 Setup
        #2 10.000 inb 103 Setup
        #2 10.500 inb 103 Proceeding
        #2 10.500 out 102 Proceeding
        #2 12.000 inb 103 Answered
        #2 12.000 out 102 Answered
        15.120 inb 102 Gone/AttendedTransfer to #2 out 102
        #2 15.120 out 102 Gone/AttendedTransfer to #1 inb 102
        40.000 out 101 Disconnected
        #2 40.000 inb 103 Disconnected
        ",
    );
}

#[test]
fn an_attended_transfer_is_complete_when_the_target_has_answered() {
    ladder(
        "
        0.000 alice > bob INVITE 102
        0.500 bob > alice 180
        3.000 bob > alice 200
        3.010 alice > bob ACK
        10.000 bob > carol INVITE 103 call=2
        10.500 carol > bob 180 call=2
        12.000 carol > bob 200 call=2
        12.010 bob > carol ACK call=2
        15.000 bob > alice REFER | Refer-To: <sip:103@{carol}?Replaces={escaped=2@carol}>
        15.010 alice > bob 202 for=REFER
        15.050 alice > carol INVITE 103@carol call=3 | Replaces: {replaces=2@carol}
        15.100 carol > alice 200 call=3
        15.110 alice > carol ACK call=3
        40.000 alice > carol BYE call=3
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
        #2 10.000 out 102 Setup
        #2 10.000 inb 103 Setup
        #2 10.500 inb 103 Proceeding
        #2 10.500 out 102 Proceeding
        #2 12.000 inb 103 Answered
        #2 12.000 out 102 Answered
        15.100 inb 102 Gone/AttendedTransfer to #2 out 102
        #2 15.100 out 102 Gone/AttendedTransfer to #1 inb 102
        40.000 out 101 Disconnected
        #2 40.000 inb 103 Disconnected
        ",
    );
}

#[test]
fn an_attended_transfer_through_a_switch_without_a_bye() {
    ladder(
        "
        0.000 alice > pbx INVITE 102
        0.050 pbx > bob INVITE 102@bob call=2 from=101 name=Alice
        0.500 bob > pbx 180 call=2
        3.000 bob > pbx 200 call=2
        3.010 pbx > alice 200
        3.030 pbx > bob ACK call=2
        10.000 bob > pbx INVITE 103 call=3
        10.050 pbx > carol INVITE 103@carol call=4 from=102 name=Bob
        10.500 carol > pbx 180 call=4
        12.000 carol > pbx 200 call=4
        12.010 pbx > bob 200 call=3
        15.000 bob > pbx REFER call=2 | Refer-To: <sip:103@{pbx}?Replaces={escaped=3@pbx}>
        15.010 pbx > bob 202 for=REFER call=2
        15.120 pbx > bob NOTIFY frag=200 call=2
        40.000 alice > pbx BYE
        40.010 pbx > carol BYE call=4
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.050 inb 102 Setup
        0.500 inb 102 Proceeding
        3.000 inb 102 Answered
        3.010 out 101 Answered
        #2 10.000 out 102 Setup
        #2 10.050 inb 103 Setup
        #2 10.500 inb 103 Proceeding
        #2 12.000 inb 103 Answered
        #2 12.010 out 102 Answered
        15.120 inb 102 Gone/AttendedTransfer to #2 out 102
        #2 15.120 out 102 Gone/AttendedTransfer to #1 inb 102
        40.000 out 101 Disconnected
        #2 40.010 inb 103 Disconnected
        ",
    );
}
