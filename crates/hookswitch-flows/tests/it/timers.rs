//! Session timers (RFC 4028): what shows that a call goes on, and when silence means that it is lost.
//!
//! A call is ended for silence after the longest session timer of its hops and 32 s more (contract events
//! §11).

use hookswitch_flows::ladder::ladder;

#[test]
fn an_update_without_a_session_description_refreshes_the_call() {
    ladder(
        "
        0.000 alice > bob INVITE 102
        0.500 bob > alice 180
        3.000 bob > alice 200 | Session-Expires: 90;refresher=uac
        3.010 alice > bob ACK
        48.000 alice > bob UPDATE | Session-Expires: 90;refresher=uac
        48.010 bob > alice 200 for=UPDATE sdp=none | Session-Expires: 90;refresher=uac
        93.000 alice > bob UPDATE | Session-Expires: 90;refresher=uac
        93.010 bob > alice 200 for=UPDATE sdp=none | Session-Expires: 90;refresher=uac
        180.000 bob > alice UPDATE | Session-Expires: 90;refresher=uac
        180.010 alice > bob 200 for=UPDATE sdp=none | Session-Expires: 90;refresher=uac
        300.000 bob > alice BYE
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
        300.000 inb 102 Disconnected
        300.000 out 101 Disconnected
        ",
    );
}

#[test]
fn a_refresh_without_a_timer_in_its_answer_turns_the_timer_off() {
    ladder(
        "
        0.000 alice > bob INVITE 102
        0.500 bob > alice 180
        3.000 bob > alice 200 | Session-Expires: 90;refresher=uac
        3.010 alice > bob ACK
        48.000 alice > bob INVITE in=dialog sdp=same | Supported: timer
        48.010 bob > alice 200 for=INVITE sdp=same
        48.020 alice > bob ACK
        6000.000 alice > bob BYE
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
        6000.000 out 101 Disconnected
        6000.000 inb 102 Disconnected
        ",
    );
}

#[test]
fn the_answer_to_something_else_turns_no_timer_off() {
    ladder(
        "
        0.000 alice > bob INVITE 102
        0.500 bob > alice 180
        3.000 bob > alice 200 | Session-Expires: 90;refresher=uac
        3.010 alice > bob ACK
        48.000 alice > bob INFO
        48.010 bob > alice 200 for=INFO sdp=none
        900.000 carol > dave OPTIONS 104 call=2
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
        170.010 inb 102 Disconnected/CallDropped
        170.010 out 101 Disconnected/CallDropped
        ",
    );
}

#[test]
fn a_proxy_may_ask_for_a_timer_that_the_callee_does_not_know() {
    ladder(
        "
        0.000 alice > proxy INVITE 102
        0.010 proxy > bob INVITE 102@bob
        0.500 bob > proxy 180
        0.510 proxy > alice 180
        3.000 bob > proxy 200
        3.010 proxy > alice 200 | Session-Expires: 90;refresher=uac
        3.020 alice > bob ACK
        48.000 alice > proxy INVITE in=dialog sdp=same | Session-Expires: 90
        48.010 proxy > bob INVITE in=dialog sdp=same | Session-Expires: 90
        48.020 bob > proxy 200 for=INVITE sdp=same
        48.030 proxy > alice 200 for=INVITE sdp=same | Session-Expires: 90;refresher=uac
        48.040 alice > bob ACK
        900.000 carol > dave OPTIONS 104 call=2
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
        170.030 inb 102 Disconnected/CallDropped
        170.030 out 101 Disconnected/CallDropped
        ",
    );
}

#[test]
fn the_callee_may_refresh_through_a_proxy_that_asks_for_the_timer() {
    ladder(
        "
        0.000 alice > proxy INVITE 102
        0.010 proxy > bob INVITE 102@bob
        0.500 bob > proxy 180
        0.510 proxy > alice 180
        3.000 bob > proxy 200 | Session-Expires: 90;refresher=uas
        3.010 proxy > alice 200
        3.020 alice > bob ACK
        48.000 bob > proxy UPDATE | Session-Expires: 90
        48.010 proxy > alice UPDATE | Session-Expires: 90
        48.020 alice > proxy 200 for=UPDATE sdp=none
        48.030 proxy > bob 200 for=UPDATE sdp=none | Session-Expires: 90;refresher=uac
        160.000 bob > proxy UPDATE | Session-Expires: 90
        160.010 proxy > alice UPDATE | Session-Expires: 90
        160.020 alice > proxy 200 for=UPDATE sdp=none
        160.030 proxy > bob 200 for=UPDATE sdp=none | Session-Expires: 90;refresher=uac
        270.000 bob > proxy BYE
        270.010 proxy > alice BYE
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
        270.000 inb 102 Disconnected
        270.000 out 101 Disconnected
        ",
    );
}

#[test]
fn a_refresh_of_which_the_answers_are_not_captured_is_a_sign_of_life() {
    ladder(
        "
        0.000 alice > bob INVITE 102
        0.500 bob > alice 180
        3.000 bob > alice 200 | Session-Expires: 90;refresher=uac
        3.010 alice > bob ACK
        90.000 alice > bob UPDATE | Session-Expires: 90;refresher=uac
        180.000 alice > bob UPDATE | Session-Expires: 90;refresher=uac
        300.000 alice > bob BYE
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
        300.000 out 101 Disconnected
        300.000 inb 102 Disconnected
        ",
    );
}

#[test]
fn any_message_within_its_dialog_shows_that_a_call_goes_on() {
    ladder(
        "
        0.000 alice > bob INVITE 102
        0.500 bob > alice 180
        3.000 bob > alice 200 | Session-Expires: 90;refresher=uac
        3.010 alice > bob ACK
        100.000 bob > alice INFO
        100.010 alice > bob 200 for=INFO sdp=none
        200.000 alice > bob OPTIONS in=dialog
        200.010 bob > alice 200 for=OPTIONS sdp=none
        300.000 alice > bob BYE
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
        300.000 out 101 Disconnected
        300.000 inb 102 Disconnected
        ",
    );
}

#[test]
fn what_the_other_end_does_not_know_is_no_sign_of_life() {
    ladder(
        "
        0.000 alice > bob INVITE 102
        0.500 bob > alice 180
        3.000 bob > alice 200 | Session-Expires: 90;refresher=uac
        3.010 alice > bob ACK
        90.000 alice > bob NOTIFY | Event: refer | Subscription-State: active
        122.000 bob > alice 481 for=NOTIFY
        900.000 carol > dave OPTIONS 104 call=2
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
        212.000 inb 102 Disconnected/CallDropped
        212.000 out 101 Disconnected/CallDropped
        ",
    );
}

#[test]
fn the_longest_timer_of_the_legs_of_a_call_counts() {
    ladder(
        "
        0.000 alice > pbx INVITE 102
        0.050 pbx > bob INVITE 102@bob call=2 from=101 name=Alice
        0.500 bob > pbx 180 call=2
        0.510 pbx > alice 180
        3.000 bob > pbx 200 call=2 | Session-Expires: 1800;refresher=uac
        3.010 pbx > alice 200 | Session-Expires: 90;refresher=uas
        3.020 alice > pbx ACK
        3.030 pbx > bob ACK call=2
        60.000 pbx > alice UPDATE | Session-Expires: 90;refresher=uac
        60.010 alice > pbx 200 for=UPDATE sdp=none | Session-Expires: 90;refresher=uac
        9000.000 carol > dave OPTIONS 104 call=3
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
        1892.010 inb 102 Disconnected/CallDropped
        1892.010 out 101 Disconnected/CallDropped
        ",
    );
}

#[test]
fn a_leg_without_a_timer_ends_no_call_whose_other_leg_is_refreshed() {
    ladder(
        "
        0.000 alice > pbx INVITE 102
        0.050 pbx > bob INVITE 102@bob call=2 from=101 name=Alice
        0.500 bob > pbx 180 call=2
        0.510 pbx > alice 180
        3.000 bob > pbx 200 call=2
        3.010 pbx > alice 200 | Session-Expires: 90;refresher=uas
        3.020 alice > pbx ACK
        3.030 pbx > bob ACK call=2
        60.000 pbx > alice UPDATE | Session-Expires: 90;refresher=uac
        60.010 alice > pbx 200 for=UPDATE sdp=none | Session-Expires: 90;refresher=uac
        150.000 pbx > alice UPDATE | Session-Expires: 90;refresher=uac
        150.010 alice > pbx 200 for=UPDATE sdp=none | Session-Expires: 90;refresher=uac
        250.000 alice > pbx BYE
        250.010 pbx > bob BYE call=2
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
        250.000 out 101 Disconnected
        250.010 inb 102 Disconnected
        ",
    );
}

#[test]
fn a_call_that_goes_on_after_it_was_ended_for_silence_is_a_call_found_in_progress() {
    // The refreshes went by another way for a while.
    ladder(
        "
        0.000 alice > bob INVITE 102
        0.500 bob > alice 180
        3.000 bob > alice 200 | Session-Expires: 90;refresher=uac
        3.010 alice > bob ACK
        400.000 alice > bob UPDATE | Session-Expires: 90;refresher=uac
        400.010 bob > alice 200 for=UPDATE sdp=none | Session-Expires: 90;refresher=uac
        450.000 bob > alice INVITE in=dialog sdp=sendonly
        450.010 alice > bob 200 for=INVITE sdp=recvonly
        450.020 bob > alice ACK
        480.000 bob > alice BYE
        480.010 alice > bob 200
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
        125.000 inb 102 Disconnected/CallDropped
        125.000 out 101 Disconnected/CallDropped
        #2 400.000 out 101 Setup
        #2 400.000 out 101 Answered
        #2 400.000 inb 102 Setup
        #2 400.000 inb 102 Answered
        #2 450.010 inb 102 Hold
        #2 480.000 inb 102 Disconnected
        #2 480.000 out 101 Disconnected
        ",
    );
}

#[test]
fn the_end_of_a_call_that_was_ended_for_silence_is_told_once() {
    ladder(
        "
        0.000 alice > bob INVITE 102
        0.500 bob > alice 180
        3.000 bob > alice 200 | Session-Expires: 90;refresher=uac
        3.010 alice > bob ACK
        400.000 bob > alice BYE
        400.010 alice > bob 200
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
        125.000 inb 102 Disconnected/CallDropped
        125.000 out 101 Disconnected/CallDropped
        ",
    );
}

#[test]
fn a_call_that_stood_on_hold_goes_on_as_it_stood_and_may_be_lost_again() {
    ladder(
        "
        0.000 alice > pbx INVITE +14155559102
        0.010 pbx > trunk INVITE +14155559102 call=2 from=101
        1.000 trunk > pbx 180 call=2
        1.010 pbx > alice 180
        3.000 trunk > pbx 200 call=2 | Session-Expires: 90;refresher=uas
        3.010 pbx > trunk ACK call=2
        3.020 pbx > alice 200
        3.030 alice > pbx ACK
        9.000 alice > pbx INVITE in=dialog sdp=sendonly
        9.010 pbx > alice 200 for=INVITE sdp=recvonly
        9.020 alice > pbx ACK
        300.000 trunk > pbx UPDATE call=2 | Session-Expires: 90;refresher=uas
        300.010 pbx > trunk 200 for=UPDATE sdp=none call=2 | Session-Expires: 90;refresher=uas
        900.000 carol > dave OPTIONS 104 call=3
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.010 inb +14155559102 Proceeding
        1.010 out 101 Proceeding
        3.000 inb +14155559102 Answered
        3.020 out 101 Answered
        9.010 out 101 Hold
        131.010 inb +14155559102 Disconnected/CallDropped
        131.010 out 101 Disconnected/CallDropped
        #2 300.000 out 101 Setup
        #2 300.000 out 101 Hold
        #2 300.000 inb +14155559102 Proceeding
        #2 300.000 inb +14155559102 Answered
        #2 422.010 inb +14155559102 Disconnected/CallDropped
        #2 422.010 out 101 Disconnected/CallDropped
        ",
    );
}

#[test]
fn a_phone_that_rings_for_long_without_a_word_and_is_answered_is_a_call_found_in_progress() {
    // RFC 3261 §13.3.1.1 asks for a provisional response each minute; not every server sends them.
    ladder(
        "
        0.000 alice > bob INVITE 102
        0.500 bob > alice 180
        270.000 bob > alice 200
        270.010 alice > bob ACK
        300.000 alice > bob BYE
        300.010 bob > alice 200
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.000 inb 102 Setup
        0.500 inb 102 Proceeding
        0.500 out 101 Proceeding
        240.500 inb 102 Disconnected/NoAnswer missed
        240.500 out 101 Disconnected/NoAnswer
        #2 270.000 out 101 Setup
        #2 270.000 out 101 Proceeding
        #2 270.000 inb 102 Setup
        #2 270.000 inb 102 Proceeding
        #2 270.000 inb 102 Answered
        #2 270.000 out 101 Answered
        #2 300.000 out 101 Disconnected
        #2 300.000 inb 102 Disconnected
        ",
    );
}

#[test]
fn the_ids_of_both_sessions_of_a_call_that_went_on_lead_to_each_other() {
    let events = ladder(
        "
        0.000 alice > bob INVITE 102
        3.000 bob > alice 200 | Session-Expires: 90;refresher=uac
        3.010 alice > bob ACK
        400.000 alice > bob UPDATE | Session-Expires: 90;refresher=uac
        800.000 alice > bob UPDATE | Session-Expires: 90;refresher=uac
        ",
    )
    .events();
    let mut sessions: Vec<_> = events.iter().map(|event| event.session.id).collect();
    sessions.dedup();
    let [first, second, third] = sessions[..] else { panic!("{} sessions", sessions.len()) };
    assert_eq!([first.resumed(), second.resumed()], [second, third]);
    assert_eq!([second.resumed_from(), third.resumed_from()], [first, second]);
}
