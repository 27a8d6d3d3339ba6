//! Messages that are part of no call, or pretend to be.

use hookswitch_flows::ladder::{ladder, run, written};

#[test]
fn requests_that_set_up_no_call_tell_nothing() {
    ladder(
        "
        0.000 alice > proxy REGISTER sip:example.com call=a
        0.010 proxy > alice 401 call=a
        0.020 alice > proxy REGISTER sip:example.com call=a
        0.030 proxy > alice 200 call=a
        1.000 alice > bob OPTIONS 102 call=b
        1.010 bob > alice 200 call=b
        2.000 alice > proxy SUBSCRIBE 102 call=c | Event: dialog
        2.010 proxy > alice 200 call=c
        2.020 proxy > alice NOTIFY 101 call=d | Event: dialog | Subscription-State: active
        2.030 alice > proxy 200 call=d
        3.000 alice > bob MESSAGE 102 call=e
        3.010 bob > alice 200 call=e
        4.000 alice > bob INFO 102 call=f
        4.010 bob > alice 481 call=f
        5.000 alice > proxy PUBLISH 101 call=g | Event: presence
        5.010 proxy > alice 200 call=g
        ",
    )
    .tells("");
}

#[test]
fn a_call_that_was_up_before_the_capture_began_is_not_told() {
    let flow = ladder(
        "
        0.000 alice > bob INVITE 102
        0.500 bob > alice 180
        1.000 bob > alice 200
        1.010 alice > bob ACK
        5.000 alice > bob INVITE sdp=sendonly
        5.010 bob > alice 200
        9.000 alice > bob BYE
        ",
    );
    for first in 1..flow.packets.len() {
        assert_eq!(written(&run(&flow.packets[first..])), [""; 0], "from message {first} on");
    }
}

/// An answered call with a message in it that somebody else made up.
fn undisturbed(forged: &str) {
    ladder(&format!(
        "
        0.000 alice > bob INVITE 102
        0.500 bob > alice 180
        1.000 bob > alice 200
        1.010 alice > bob ACK
        {forged}
        9.000 alice > bob BYE
        "
    ))
    .tells(
        "
        0.000 out 101 Setup
        0.000 inb 102 Setup
        0.500 inb 102 Proceeding
        0.500 out 101 Proceeding
        1.000 inb 102 Answered
        1.000 out 101 Answered
        9.000 out 101 Disconnected
        9.000 inb 102 Disconnected
        ",
    );
}

#[test]
fn a_bye_with_another_tag_ends_nothing() {
    undisturbed("5.000 mallory > bob BYE 102 tag=guessed");
}

#[test]
fn a_bye_with_the_number_of_the_invite_ends_nothing() {
    undisturbed("5.000 alice > bob BYE 102 cseq=1");
}

#[test]
fn a_call_that_is_placed_again_in_the_same_instant_is_told_once() {
    ladder(
        "
        0.000 alice > bob INVITE 102
        0.000 bob > alice 486
        0.000 alice > bob ACK
        0.000 alice > bob INVITE 102
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.000 inb 102 Setup
        0.000 inb 102 Disconnected/TargetBusy missed
        0.000 out 101 Disconnected/TargetBusy
        ",
    );
}

#[test]
fn a_late_cancel_or_refusal_ends_nothing() {
    undisturbed("5.000 alice > bob CANCEL");
    undisturbed("5.000 bob > alice 486 again=1");
    undisturbed("5.000 bob > alice 180 again=1");
}

#[test]
fn a_bye_that_comes_twice_and_its_challenge_end_the_call_once() {
    ladder(
        "
        0.000 alice > bob INVITE 102
        0.500 bob > alice 180
        1.000 bob > alice 200
        1.010 alice > bob ACK
        9.000 alice > bob BYE
        9.010 bob > alice 407
        9.020 alice > bob BYE
        9.030 bob > alice 200
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.000 inb 102 Setup
        0.500 inb 102 Proceeding
        0.500 out 101 Proceeding
        1.000 inb 102 Answered
        1.000 out 101 Answered
        9.000 out 101 Disconnected
        9.000 inb 102 Disconnected
        ",
    );
}

#[test]
fn both_may_hang_up_at_the_same_time() {
    ladder(
        "
        0.000 alice > bob INVITE 102
        0.500 bob > alice 180
        1.000 bob > alice 200
        1.010 alice > bob ACK
        9.000 alice > bob BYE
        9.001 bob > alice BYE
        9.030 bob > alice 200
        9.031 alice > bob 200
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.000 inb 102 Setup
        0.500 inb 102 Proceeding
        0.500 out 101 Proceeding
        1.000 inb 102 Answered
        1.000 out 101 Answered
        9.000 out 101 Disconnected
        9.000 inb 102 Disconnected
        ",
    );
}
