//! Dialogs of which one end is said not to be there, and calls whose ends were inferred too early.
//!
//! Who gets a 408 or 481 for a request in a dialog gives the dialog up (RFC 3261 §12.2.1.2), and mostly says so with
//! a BYE. Where none comes, the call is lost unless it shows that it goes on.

use hookswitch_flows::ladder::ladder;

#[test]
fn a_refresh_that_a_proxy_gives_up_loses_no_call_for_good() {
    ladder(
        "
        0.000 alice > proxy INVITE 102
        0.010 proxy > bob INVITE 102@bob
        0.500 bob > proxy 180
        0.510 proxy > alice 180
        3.000 bob > proxy 200
        3.010 proxy > alice 200
        3.020 alice > bob ACK
        600.000 alice > proxy INVITE in=dialog sdp=same
        600.005 proxy > bob INVITE in=dialog sdp=same
        632.010 proxy > alice 408 for=INVITE
        632.020 alice > proxy ACK
        700.000 bob > alice INFO
        700.010 alice > bob 200 for=INFO
        900.000 bob > alice BYE
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
        632.010 inb 102 Disconnected/CallDropped
        632.010 out 101 Disconnected/CallDropped
        #2 700.000 out 101 Setup
        #2 700.000 out 101 Answered
        #2 700.000 inb 102 Setup
        #2 700.000 inb 102 Answered
        #2 900.000 inb 102 Disconnected
        #2 900.000 out 101 Disconnected
        ",
    );
}

#[test]
fn an_update_that_is_not_known_ends_no_call_whose_next_offer_is_accepted() {
    ladder(
        "
        0.000 alice > bob INVITE 102
        0.500 bob > alice 180
        3.000 bob > alice 200
        3.010 alice > bob ACK
        600.000 alice > bob UPDATE
        600.010 bob > alice 481 for=UPDATE
        600.500 alice > bob INVITE in=dialog sdp=sendonly
        600.520 bob > alice 200 for=INVITE sdp=recvonly
        600.530 alice > bob ACK
        900.000 alice > bob BYE
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
        600.520 out 101 Hold
        900.000 out 101 Disconnected
        900.000 inb 102 Disconnected
        ",
    );
}

#[test]
fn a_dialog_that_is_not_known_and_hung_up_at_once_is_lost() {
    ladder(
        "
        0.000 alice > bob INVITE 102
        0.500 bob > alice 180
        3.000 bob > alice 200
        3.010 alice > bob ACK
        600.000 alice > bob INVITE in=dialog sdp=same
        600.010 bob > alice 481 for=INVITE
        600.020 alice > bob ACK
        600.050 alice > bob BYE
        600.060 bob > alice 481 for=BYE
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
        600.010 inb 102 Disconnected/CallDropped
        600.010 out 101 Disconnected/CallDropped
        ",
    );
}

#[test]
fn an_info_that_finds_no_dialog_shows_that_the_call_is_lost() {
    ladder(
        "
        0.000 alice > bob INVITE 102
        0.500 bob > alice 180
        3.000 bob > alice 200
        3.010 alice > bob ACK
        600.000 alice > bob INFO
        600.010 bob > alice 481 for=INFO
        5000.000 carol > dave OPTIONS 104 call=9
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
        600.010 inb 102 Disconnected/CallDropped
        600.010 out 101 Disconnected/CallDropped
        ",
    );
}

#[test]
fn a_phone_that_does_not_know_its_dialog_is_lost_behind_a_switch() {
    ladder(
        "
        0.000 alice > pbx INVITE 102
        0.050 pbx > bob INVITE 102@bob call=2 from=101 name=Alice
        0.500 bob > pbx 180 call=2
        0.510 pbx > alice 180
        3.000 bob > pbx 200 call=2
        3.010 pbx > alice 200
        3.020 alice > pbx ACK
        3.030 pbx > bob ACK call=2
        600.000 pbx > bob INVITE in=dialog sdp=same call=2
        600.010 bob > pbx 481 for=INVITE call=2
        600.011 pbx > bob ACK call=2
        600.020 pbx > alice BYE
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.050 inb 102 Setup
        0.500 inb 102 Proceeding
        0.510 out 101 Proceeding
        3.000 inb 102 Answered
        3.010 out 101 Answered
        600.020 out 101 Disconnected
        600.020 inb 102 Disconnected/CallDropped
        ",
    );
}

#[test]
fn a_refresh_that_times_out_behind_a_switch_ends_no_call_that_goes_on() {
    ladder(
        "
        0.000 alice > pbx INVITE 102
        0.050 pbx > bob INVITE 102@bob call=2 from=101 name=Alice
        0.500 bob > pbx 180 call=2
        0.510 pbx > alice 180
        3.000 bob > pbx 200 call=2
        3.010 pbx > alice 200
        3.020 alice > pbx ACK
        3.030 pbx > bob ACK call=2
        600.000 pbx > bob INVITE in=dialog sdp=same call=2
        632.010 bob > pbx 408 for=INVITE call=2
        632.020 pbx > bob ACK call=2
        650.000 bob > pbx INVITE in=dialog sdp=sendonly call=2
        650.010 pbx > bob 200 for=INVITE sdp=recvonly call=2
        650.020 bob > pbx ACK call=2
        900.000 bob > pbx BYE call=2
        900.010 pbx > alice BYE
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.050 inb 102 Setup
        0.500 inb 102 Proceeding
        0.510 out 101 Proceeding
        3.000 inb 102 Answered
        3.010 out 101 Answered
        650.010 inb 102 Hold
        900.000 inb 102 Disconnected
        900.010 out 101 Disconnected
        ",
    );
}

#[test]
fn a_call_that_was_given_up_for_lost_may_go_on_much_later() {
    ladder(
        "
        0.000 alice > bob INVITE 102
        0.500 bob > alice 180
        3.000 bob > alice 200
        3.010 alice > bob ACK
        600.000 alice > bob UPDATE
        632.000 bob > alice 408 for=UPDATE
        1500.000 bob > alice UPDATE
        1500.010 alice > bob 200 for=UPDATE
        1600.000 bob > alice BYE
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
        632.000 inb 102 Disconnected/CallDropped
        632.000 out 101 Disconnected/CallDropped
        #2 1500.000 out 101 Setup
        #2 1500.000 out 101 Answered
        #2 1500.000 inb 102 Setup
        #2 1500.000 inb 102 Answered
        #2 1600.000 inb 102 Disconnected
        #2 1600.000 out 101 Disconnected
        ",
    );
}

#[test]
fn an_answer_that_comes_when_nothing_was_heard_for_long_is_a_call_found_in_progress() {
    ladder(
        "
        0.000 alice > bob INVITE 102
        40.000 bob > alice 200
        40.010 alice > bob ACK
        60.000 alice > bob BYE
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.000 inb 102 Setup
        32.000 inb 102 Disconnected/NoAnswer missed
        32.000 out 101 Disconnected/NoAnswer
        #2 40.000 out 101 Setup
        #2 40.000 inb 102 Setup
        #2 40.000 inb 102 Answered
        #2 40.000 out 101 Answered
        #2 60.000 out 101 Disconnected
        #2 60.000 inb 102 Disconnected
        ",
    );
}

#[test]
fn ringing_that_is_seen_late_behind_a_proxy_is_a_call_found_in_progress() {
    ladder(
        "
        0.000 alice > proxy INVITE 102
        0.010 proxy > bob INVITE 102@bob
        35.000 bob > proxy 180
        35.010 proxy > alice 180
        40.000 bob > proxy 200
        40.010 proxy > alice 200
        40.020 alice > bob ACK
        60.000 alice > bob BYE
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.010 inb 102 Setup
        32.010 inb 102 Disconnected/NoAnswer missed
        32.010 out 101 Disconnected/NoAnswer
        #2 35.000 out 101 Setup
        #2 35.000 inb 102 Setup
        #2 35.000 inb 102 Proceeding
        #2 35.010 out 101 Proceeding
        #2 40.000 inb 102 Answered
        #2 40.010 out 101 Answered
        #2 60.000 out 101 Disconnected
        #2 60.000 inb 102 Disconnected
        ",
    );
}

#[test]
fn a_refusal_that_comes_when_nothing_was_heard_for_long_tells_nothing_more() {
    ladder(
        "
        0.000 alice > bob INVITE 102
        40.000 bob > alice 486
        40.010 alice > bob ACK
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
fn an_answer_long_after_the_cancel_is_a_call_found_in_progress() {
    ladder(
        "
        0.000 alice > bob INVITE 102
        0.500 bob > alice 180
        5.000 alice > bob CANCEL
        40.000 bob > alice 200 for=INVITE
        40.010 alice > bob ACK
        60.000 alice > bob BYE
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.000 inb 102 Setup
        0.500 inb 102 Proceeding
        0.500 out 101 Proceeding
        37.000 inb 102 Disconnected/Cancelled missed
        37.000 out 101 Disconnected
        #2 40.000 out 101 Setup
        #2 40.000 out 101 Proceeding
        #2 40.000 inb 102 Setup
        #2 40.000 inb 102 Proceeding
        #2 40.000 inb 102 Answered
        #2 40.000 out 101 Answered
        #2 60.000 out 101 Disconnected
        #2 60.000 inb 102 Disconnected
        ",
    );
}
