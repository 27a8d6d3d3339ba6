//! Hold in all its forms: who holds, by which offer, and what is no hold.

use hookswitch_flows::ladder::{ladder, run, written};

/// An answered call from 101 to 102, then these messages; gives the events after the answer.
fn in_call(more: &str) -> Vec<String> {
    let flow = ladder(&format!(
        "
        0.000 alice > bob INVITE 102
        0.500 bob > alice 180
        1.000 bob > alice 200
        1.010 alice > bob ACK
        {more}
        "
    ));
    written(&run(&flow.packets)).split_off(6)
}

#[test]
fn the_caller_holds_and_takes_the_call_back() {
    for stop in ["sendonly", "inactive", "zero"] {
        let told = in_call(&format!(
            "
            5.000 alice > bob INVITE sdp={stop}
            5.010 bob > alice 200 sdp=recvonly
            5.020 alice > bob ACK
            8.000 alice > bob INVITE sdp=sendrecv
            8.010 bob > alice 200
            8.020 alice > bob ACK
            9.000 alice > bob BYE
            "
        ));
        assert_eq!(
            told,
            [
                "5.010 out 101 Hold",
                "8.010 out 101 Answered",
                "9.000 out 101 Disconnected",
                "9.000 inb 102 Disconnected",
            ],
            "{stop}"
        );
    }
}

#[test]
fn the_callee_holds() {
    let told = in_call(
        "
        5.000 bob > alice INVITE sdp=sendonly
        5.010 alice > bob 200 sdp=recvonly
        5.020 bob > alice ACK
        8.000 bob > alice INVITE sdp=sendrecv
        8.010 alice > bob 200
        8.020 bob > alice ACK
        ",
    );
    assert_eq!(told, ["5.010 inb 102 Hold", "8.010 inb 102 Answered"]);
}

#[test]
fn an_update_holds_as_well_as_a_new_invite() {
    let told = in_call(
        "
        5.000 alice > bob UPDATE sdp=sendonly
        5.010 bob > alice 200 sdp=recvonly
        8.000 alice > bob UPDATE sdp=sendrecv
        8.010 bob > alice 200
        ",
    );
    assert_eq!(told, ["5.010 out 101 Hold", "8.010 out 101 Answered"]);
}

#[test]
fn a_hold_that_is_refused_is_none() {
    for refusal in ["488", "491", "500"] {
        let told = in_call(&format!(
            "
            5.000 alice > bob INVITE sdp=sendonly
            5.010 bob > alice {refusal}
            5.020 alice > bob ACK
            9.000 bob > alice BYE
            "
        ));
        assert_eq!(told, ["9.000 inb 102 Disconnected", "9.000 out 101 Disconnected"], "{refusal}");
    }
}

#[test]
fn both_may_hold_at_once() {
    let told = in_call(
        "
        5.000 alice > bob INVITE sdp=sendonly
        5.010 bob > alice 200 sdp=recvonly
        5.020 alice > bob ACK
        6.000 bob > alice INVITE sdp=inactive
        6.010 alice > bob 200 sdp=inactive
        6.020 bob > alice ACK
        7.000 alice > bob INVITE sdp=recvonly
        7.010 bob > alice 200 sdp=inactive
        7.020 alice > bob ACK
        8.000 bob > alice INVITE sdp=sendrecv
        8.010 alice > bob 200
        8.020 bob > alice ACK
        ",
    );
    assert_eq!(
        told,
        ["5.010 out 101 Hold", "6.010 inb 102 Hold", "7.010 out 101 Answered", "8.010 inb 102 Answered"]
    );
}

#[test]
fn a_description_that_was_cut_is_no_hold_and_costs_no_call() {
    let flow = ladder(
        "
        0.000 alice > bob INVITE 102
        0.500 bob > alice 180
        1.000 bob > alice 200
        1.010 alice > bob ACK
        5.000 alice > bob INVITE sdp=inactive
        5.010 bob > alice 200 sdp=inactive
        5.020 alice > bob ACK
        9.000 alice > bob BYE
        ",
    );
    let whole = written(&run(&flow.packets));
    assert_eq!(whole.iter().filter(|event| event.ends_with("Hold")).count(), 1);
    let without_hold: Vec<_> = whole.into_iter().filter(|event| !event.ends_with("Hold")).collect();
    let all: Vec<_> = (0..flow.packets.len()).collect();
    // All that was said, the offer alone: then the answer must not be taken for one of Bob.
    for cut in [&all[..], &[4]] {
        let mut packets = flow.packets.clone();
        for &number in cut {
            let payload = &mut packets[number].payload;
            if !payload.ends_with(b"\r\n\r\n") {
                payload.truncate(payload.len() - 5);
            }
        }
        assert_eq!(written(&run(&packets)), without_hold, "{cut:?}");
    }
}

#[test]
fn a_late_offer_holds_when_it_is_answered() {
    let told = in_call(
        "
        5.000 alice > bob INVITE sdp=late
        5.010 bob > alice 200 sdp=sendrecv
        5.020 alice > bob ACK sdp=sendonly
        8.000 alice > bob INVITE sdp=late
        8.010 bob > alice 200 sdp=sendrecv
        8.020 alice > bob ACK sdp=sendrecv
        ",
    );
    assert_eq!(told, ["5.020 out 101 Hold", "8.020 out 101 Answered"]);
}

#[test]
fn the_answer_to_a_hold_is_no_hold_of_the_other_side() {
    let told = in_call(
        "
        5.000 alice > bob INVITE sdp=sendonly
        5.010 bob > alice 200 sdp=inactive
        5.020 alice > bob ACK
        ",
    );
    assert_eq!(told, ["5.010 out 101 Hold"]);
}

#[test]
fn who_hangs_up_while_holding_just_hangs_up() {
    let told = in_call(
        "
        5.000 bob > alice INVITE sdp=sendonly
        5.010 alice > bob 200 sdp=recvonly
        5.020 bob > alice ACK
        7.000 alice > bob BYE
        ",
    );
    assert_eq!(told, ["5.010 inb 102 Hold", "7.000 out 101 Disconnected", "7.000 inb 102 Disconnected"]);
}

#[test]
fn a_hold_seen_on_every_hop_is_told_once() {
    ladder(
        "
        0.000 alice > proxy INVITE 102
        0.010 proxy > bob INVITE 102@bob
        0.500 bob > proxy 180
        0.510 proxy > alice 180
        1.000 bob > proxy 200
        1.010 proxy > alice 200
        1.020 alice > proxy ACK
        1.030 proxy > bob ACK
        5.000 alice > proxy INVITE in=dialog sdp=sendonly
        5.010 proxy > bob INVITE in=dialog sdp=same
        5.020 bob > proxy 200 sdp=recvonly
        5.030 proxy > alice 200 sdp=same
        5.040 alice > proxy ACK
        5.050 proxy > bob ACK
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.010 inb 102 Setup
        0.500 inb 102 Proceeding
        0.510 out 101 Proceeding
        1.000 inb 102 Answered
        1.010 out 101 Answered
        5.020 out 101 Hold
        ",
    );
}

#[test]
fn who_is_held_and_says_that_nothing_is_sent_has_pressed_nothing() {
    for (offer, answer) in [
        ("6.000 alice > bob INVITE sdp=late", "6.010 bob > alice 200 sdp=inactive"),
        ("6.000 bob > alice INVITE sdp=inactive", "6.010 alice > bob 200 sdp=inactive"),
        ("6.000 bob > alice UPDATE sdp=inactive", "6.010 alice > bob 200 for=UPDATE sdp=inactive"),
    ] {
        let told = in_call(&format!(
            "
            5.000 alice > bob INVITE sdp=inactive
            5.010 bob > alice 200 sdp=inactive
            5.020 alice > bob ACK
            {offer}
            {answer}
            8.000 alice > bob INVITE sdp=sendrecv
            8.010 bob > alice 200 sdp=sendrecv
            "
        ));
        assert_eq!(told, ["5.010 out 101 Hold", "8.010 out 101 Answered"], "{offer}");
    }
}

#[test]
fn who_is_held_and_plays_music_holds_too() {
    let told = in_call(
        "
        5.000 alice > bob INVITE sdp=sendonly
        5.010 bob > alice 200 sdp=recvonly
        5.020 alice > bob ACK
        6.000 bob > alice INVITE sdp=sendonly
        6.010 alice > bob 200 sdp=recvonly
        6.020 bob > alice ACK
        ",
    );
    assert_eq!(told, ["5.010 out 101 Hold", "6.010 inb 102 Hold"]);
}

#[test]
fn of_two_offers_the_refused_one_changes_nothing() {
    let told = in_call(
        "
        5.000 alice > bob INVITE in=dialog sdp=sendonly
        5.100 alice > bob UPDATE sdp=sendrecv
        5.110 bob > alice 500 for=UPDATE
        5.200 bob > alice 200 for=INVITE sdp=recvonly
        5.210 alice > bob ACK
        6.000 bob > alice UPDATE sdp=sendonly
        6.001 alice > bob UPDATE sdp=sendrecv
        6.010 bob > alice 491 for=UPDATE
        6.011 alice > bob 491 for=UPDATE
        ",
    );
    assert_eq!(told, ["5.200 out 101 Hold"]);
}

#[test]
fn a_switch_that_holds_a_call_by_itself_is_told_at_who_does_not_hear_the_music() {
    // An API asked for it, on Alice's behalf: Bob gets the music.
    ladder(
        "
        0.000 alice > pbx INVITE 102
        0.010 pbx > bob INVITE 102@bob call=2 from=101
        0.500 bob > pbx 180 call=2
        0.510 pbx > alice 180
        3.000 bob > pbx 200 call=2
        3.010 pbx > bob ACK call=2
        3.020 pbx > alice 200
        3.030 alice > pbx ACK
        10.000 pbx > bob INVITE in=dialog call=2 sdp=sendonly
        10.020 bob > pbx 200 for=INVITE call=2 sdp=recvonly
        10.030 pbx > bob ACK call=2
        20.000 pbx > bob INVITE in=dialog call=2 sdp=sendrecv
        20.020 bob > pbx 200 for=INVITE call=2
        20.030 pbx > bob ACK call=2
        30.000 alice > pbx BYE
        30.010 pbx > bob BYE call=2
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.010 inb 102 Setup
        0.500 inb 102 Proceeding
        0.510 out 101 Proceeding
        3.000 inb 102 Answered
        3.020 out 101 Answered
        10.020 out 101 Hold
        20.020 out 101 Answered
        30.000 out 101 Disconnected
        30.010 inb 102 Disconnected
        ",
    );
}

#[test]
fn a_switch_that_holds_the_caller_by_itself_holds_for_who_was_called() {
    ladder(
        "
        0.000 alice > pbx INVITE 102
        0.010 pbx > bob INVITE 102@bob call=2 from=101
        0.500 bob > pbx 180 call=2
        0.510 pbx > alice 180
        3.000 bob > pbx 200 call=2
        3.010 pbx > bob ACK call=2
        3.020 pbx > alice 200
        3.030 alice > pbx ACK
        10.000 pbx > alice INVITE in=dialog sdp=inactive
        10.020 alice > pbx 200 for=INVITE sdp=inactive
        10.030 pbx > alice ACK
        20.000 pbx > alice INVITE in=dialog sdp=sendrecv
        20.020 alice > pbx 200 for=INVITE
        20.030 pbx > alice ACK
        30.000 alice > pbx BYE
        30.010 pbx > bob BYE call=2
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.010 inb 102 Setup
        0.500 inb 102 Proceeding
        0.510 out 101 Proceeding
        3.000 inb 102 Answered
        3.020 out 101 Answered
        10.020 inb 102 Hold
        20.020 inb 102 Answered
        30.000 out 101 Disconnected
        30.010 inb 102 Disconnected
        ",
    );
}

#[test]
fn a_hold_that_the_switch_passes_on_before_it_answers_is_that_of_who_asked() {
    // Bob's side has accepted before Alice's has; music follows on Bob's side while she holds.
    ladder(
        "
        0.000 alice > pbx INVITE 102
        0.010 pbx > bob INVITE 102@bob call=2 from=101
        0.500 bob > pbx 180 call=2
        0.510 pbx > alice 180
        3.000 bob > pbx 200 call=2
        3.010 pbx > bob ACK call=2
        3.020 pbx > alice 200
        3.030 alice > pbx ACK
        10.000 alice > pbx INVITE in=dialog sdp=sendonly
        10.010 pbx > bob INVITE in=dialog call=2 sdp=sendonly
        10.020 bob > pbx 200 for=INVITE call=2 sdp=recvonly
        10.030 pbx > bob ACK call=2
        10.040 pbx > alice 200 for=INVITE sdp=recvonly
        10.050 alice > pbx ACK
        11.000 pbx > bob INVITE in=dialog call=2 sdp=sendrecv
        11.020 bob > pbx 200 for=INVITE call=2
        11.030 pbx > bob ACK call=2
        20.000 alice > pbx INVITE in=dialog sdp=sendrecv
        20.040 pbx > alice 200 for=INVITE
        20.050 alice > pbx ACK
        30.000 alice > pbx BYE
        30.010 pbx > bob BYE call=2
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.010 inb 102 Setup
        0.500 inb 102 Proceeding
        0.510 out 101 Proceeding
        3.000 inb 102 Answered
        3.020 out 101 Answered
        10.040 out 101 Hold
        20.040 out 101 Answered
        30.000 out 101 Disconnected
        30.010 inb 102 Disconnected
        ",
    );
}

#[test]
fn a_switch_that_stops_the_media_for_a_moment_holds_nothing() {
    ladder(
        "
        0.000 alice > pbx INVITE 102
        0.010 pbx > bob INVITE 102@bob call=2 from=101
        3.000 bob > pbx 200 call=2
        3.010 pbx > bob ACK call=2
        3.020 pbx > alice 200
        3.030 alice > pbx ACK
        10.000 pbx > bob INVITE in=dialog call=2 sdp=inactive
        10.020 bob > pbx 200 for=INVITE call=2 sdp=inactive
        10.030 pbx > bob ACK call=2
        10.200 pbx > bob INVITE in=dialog call=2 sdp=sendrecv
        10.220 bob > pbx 200 for=INVITE call=2
        10.230 pbx > bob ACK call=2
        30.000 alice > pbx BYE
        30.010 pbx > bob BYE call=2
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.010 inb 102 Setup
        3.000 inb 102 Answered
        3.020 out 101 Answered
        30.000 out 101 Disconnected
        30.010 inb 102 Disconnected
        ",
    );
}

#[test]
fn a_hold_by_update_and_a_late_offer_that_ends_it_through_a_proxy() {
    ladder(
        "
        0.000 alice > proxy INVITE 102
        0.010 proxy > bob INVITE 102@bob
        0.500 bob > proxy 180
        0.510 proxy > alice 180
        3.000 bob > proxy 200
        3.010 proxy > alice 200
        3.020 alice > bob ACK
        9.000 alice > proxy UPDATE sdp=sendonly
        9.001 proxy > bob UPDATE sdp=same
        9.010 bob > proxy 200 for=UPDATE sdp=recvonly
        9.011 proxy > alice 200 for=UPDATE sdp=same
        15.000 alice > proxy INVITE in=dialog sdp=late
        15.001 proxy > bob INVITE in=dialog sdp=late
        15.010 bob > proxy 200 for=INVITE sdp=sendrecv
        15.011 proxy > alice 200 for=INVITE sdp=same
        15.020 alice > proxy ACK sdp=sendrecv
        15.021 proxy > bob ACK sdp=same
        20.000 alice > proxy BYE
        20.001 proxy > bob BYE
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
        9.010 out 101 Hold
        15.020 out 101 Answered
        20.000 out 101 Disconnected
        20.000 inb 102 Disconnected
        ",
    );
}

#[test]
fn a_hold_by_the_answer_to_a_late_offer_through_a_proxy() {
    ladder(
        "
        0.000 alice > proxy INVITE 102
        0.010 proxy > bob INVITE 102@bob
        0.500 bob > proxy 180
        0.510 proxy > alice 180
        3.000 bob > proxy 200
        3.010 proxy > alice 200
        3.020 alice > bob ACK
        15.000 alice > proxy INVITE in=dialog sdp=late
        15.001 proxy > bob INVITE in=dialog sdp=late
        15.010 bob > proxy 200 for=INVITE sdp=sendrecv
        15.011 proxy > alice 200 for=INVITE sdp=same
        15.020 alice > proxy ACK sdp=sendonly
        15.021 proxy > bob ACK sdp=same
        20.000 alice > proxy BYE
        20.001 proxy > bob BYE
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
        15.020 out 101 Hold
        20.000 out 101 Disconnected
        20.000 inb 102 Disconnected
        ",
    );
}

#[test]
fn who_is_held_and_then_holds_with_inactive() {
    ladder(
        "
        0.000 alice > bob INVITE 102
        0.500 bob > alice 180
        3.000 bob > alice 200
        3.020 alice > bob ACK
        9.000 alice > bob INVITE in=dialog sdp=sendonly
        9.010 bob > alice 200 for=INVITE sdp=recvonly
        9.020 alice > bob ACK
        12.000 bob > alice INVITE in=dialog sdp=inactive
        12.010 alice > bob 200 for=INVITE sdp=inactive
        12.020 bob > alice ACK
        15.000 bob > alice INVITE in=dialog sdp=recvonly
        15.010 alice > bob 200 for=INVITE sdp=sendonly
        15.020 bob > alice ACK
        18.000 alice > bob INVITE in=dialog sdp=sendrecv
        18.010 bob > alice 200 for=INVITE sdp=sendrecv
        20.000 alice > bob BYE
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
        9.010 out 101 Hold
        12.010 inb 102 Hold
        15.010 inb 102 Answered
        18.010 out 101 Answered
        20.000 out 101 Disconnected
        20.000 inb 102 Disconnected
        ",
    );
}
