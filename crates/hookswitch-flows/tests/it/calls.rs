//! Ordinary calls from phone to phone: how they are answered, refused, given up and ended.

use hookswitch_flows::ladder::ladder;

#[test]
fn a_direct_call_is_told_from_ringing_to_the_hang_up() {
    ladder(
        "
        0.000 alice > bob INVITE 102
        0.010 bob > alice 100
        0.500 bob > alice 180
        3.000 bob > alice 200
        3.010 alice > bob ACK
        9.000 alice > bob BYE
        9.010 bob > alice 200
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
fn the_callee_may_hang_up_first() {
    ladder(
        "
        0.000 alice > bob INVITE 102
        0.500 bob > alice 180
        3.000 bob > alice 200
        3.010 alice > bob ACK
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
fn a_call_given_up_is_missed_by_the_callee_only() {
    ladder(
        "
        0.000 alice > bob INVITE 102
        0.500 bob > alice 180
        8.000 alice > bob CANCEL
        8.010 bob > alice 200 for=CANCEL
        8.020 bob > alice 487
        8.030 alice > bob ACK
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.000 inb 102 Setup
        0.500 inb 102 Proceeding
        0.500 out 101 Proceeding
        8.020 inb 102 Disconnected/Cancelled missed
        8.020 out 101 Disconnected
        ",
    );
}

#[test]
fn an_answer_that_crosses_a_cancel_wins() {
    ladder(
        "
        0.000 alice > bob INVITE 102
        0.500 bob > alice 180
        8.000 alice > bob CANCEL
        8.001 bob > alice 200 for=INVITE
        8.010 bob > alice 200 for=CANCEL
        8.020 alice > bob ACK
        8.030 alice > bob BYE
        8.040 bob > alice 200
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.000 inb 102 Setup
        0.500 inb 102 Proceeding
        0.500 out 101 Proceeding
        8.001 inb 102 Answered
        8.001 out 101 Answered
        8.030 out 101 Disconnected
        8.030 inb 102 Disconnected
        ",
    );
}

#[test]
fn a_call_given_up_before_it_rings_is_a_missed_call_too() {
    ladder(
        "
        0.000 alice > bob INVITE 102
        0.010 bob > alice 100
        2.000 alice > bob CANCEL
        2.010 bob > alice 200 for=CANCEL
        2.020 bob > alice 487
        2.030 alice > bob ACK
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.000 inb 102 Setup
        2.020 inb 102 Disconnected/Cancelled missed
        2.020 out 101 Disconnected
        ",
    );
}

/// Runs a call that is refused with a status, and gives the ends that are told.
fn refused(target: &str, refusal: &str) -> Vec<String> {
    let flow = ladder(&format!(
        "
        0.000 alice > bob INVITE {target}
        0.100 bob > alice {refusal}
        0.110 alice > bob ACK
        "
    ));
    let told = hookswitch_flows::ladder::written(&hookswitch_flows::ladder::run(&flow.packets));
    told.into_iter().filter(|line| line.contains("Disconnected")).collect()
}

#[test]
fn a_refusal_is_told_by_its_reason() {
    for (refusal, callee, caller) in [
        ("486", "TargetBusy missed", "TargetBusy"),
        ("600", "TargetBusy missed", "TargetBusy"),
        ("603", "Rejected missed", "Rejected"),
        ("480", "NoAnswer missed", "NoAnswer"),
        ("408", "NoAnswer missed", "NoAnswer"),
    ] {
        assert_eq!(
            refused("102", refusal),
            [format!("0.100 inb 102 Disconnected/{callee}"), format!("0.100 out 101 Disconnected/{caller}")],
            "{refusal}"
        );
    }
}

#[test]
fn a_call_that_reaches_nobody_ends_for_the_caller_alone() {
    for (target, refusal, caller) in [
        ("102", "404", "NoSuchUser"),
        ("102", "604", "NoSuchUser"),
        ("+14155550123", "404", "InvalidNumber"),
        ("+14155550123", "484", "InvalidNumber"),
        ("+14155550123", "410", "InvalidNumber"),
        ("+14155550123", "403", "DestinationBlocked"),
        ("+14155550123", "402", "NotEnoughFunds"),
        ("+14155550123", "500", "InternalError"),
        ("+14155550123", "503", "InternalError"),
    ] {
        assert_eq!(refused(target, refusal), [format!("0.100 out 101 Disconnected/{caller}")], "{refusal}");
    }
}

#[test]
fn the_cause_of_the_telephone_network_says_more_than_the_status() {
    for (refusal, caller) in [
        ("500 | Reason: Q.850;cause=1;text=\"Unallocated number\"", "InvalidNumber"),
        ("503 | Reason: Q.850;cause=17", "TargetBusy"),
        ("480 | Reason: Q.850;cause=19", "NoAnswer"),
    ] {
        let told = refused("+14155550123", refusal);
        assert_eq!(told.last(), Some(&format!("0.100 out 101 Disconnected/{caller}")), "{refusal}");
    }
}

#[test]
fn a_phone_that_rings_until_the_switch_gives_up_is_a_missed_call() {
    ladder(
        "
        0.000 alice > bob INVITE 102
        0.500 bob > alice 180
        60.000 bob > alice 480
        60.010 alice > bob ACK
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.000 inb 102 Setup
        0.500 inb 102 Proceeding
        0.500 out 101 Proceeding
        60.000 inb 102 Disconnected/NoAnswer missed
        60.000 out 101 Disconnected/NoAnswer
        ",
    );
}

#[test]
fn early_media_is_ringing_and_further_ringing_tells_nothing() {
    ladder(
        "
        0.000 alice > bob INVITE 102
        0.010 bob > alice 100
        0.500 bob > alice 183 sdp=sendrecv
        1.000 bob > alice 180
        2.000 bob > alice 183 sdp=sendrecv
        3.000 bob > alice 200
        3.010 alice > bob ACK
        5.000 bob > alice BYE
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
        5.000 inb 102 Disconnected
        5.000 out 101 Disconnected
        ",
    );
}

#[test]
fn credentials_are_asked_for_without_a_word_to_the_subscriber() {
    for status in ["401", "407"] {
        ladder(&format!(
            "
            0.000 alice > bob INVITE 102
            0.010 bob > alice {status}
            0.020 alice > bob ACK
            0.030 alice > bob INVITE 102
            0.500 bob > alice 180
            3.000 bob > alice 200
            3.010 alice > bob ACK
            5.000 alice > bob BYE
            "
        ))
        .tells(
            "
            0.000 out 101 Setup
            0.500 out 101 Proceeding
            3.000 out 101 Answered
            5.000 out 101 Disconnected
            ",
        );
    }
}

#[test]
fn a_session_timer_that_was_too_short_is_tried_again_as_the_same_call() {
    ladder(
        "
        0.000 alice > bob INVITE 102 | Session-Expires: 60
        0.010 bob > alice 422 | Min-SE: 1800
        0.020 alice > bob ACK
        0.030 alice > bob INVITE 102 | Session-Expires: 1800 | Min-SE: 1800
        0.500 bob > alice 180
        3.000 bob > alice 200
        3.010 alice > bob ACK
        5.000 alice > bob BYE
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.030 inb 102 Setup
        0.500 inb 102 Proceeding
        0.500 out 101 Proceeding
        3.000 inb 102 Answered
        3.000 out 101 Answered
        5.000 out 101 Disconnected
        5.000 inb 102 Disconnected
        ",
    );
}

#[test]
fn a_caller_without_credentials_is_refused() {
    ladder(
        "
        0.000 alice > proxy INVITE 102
        0.010 proxy > alice 407
        0.020 alice > proxy ACK
        0.030 alice > proxy INVITE 102
        0.040 proxy > alice 403
        0.050 alice > proxy ACK
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.040 out 101 Disconnected/DestinationBlocked
        ",
    );
}

#[test]
fn a_caller_that_gives_no_credentials_has_left() {
    ladder(
        "
        0.000 alice > proxy INVITE 102
        0.010 proxy > alice 407
        0.020 alice > proxy ACK
        60.000 carol > bob OPTIONS 102 call=2
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        32.010 out 101 Disconnected/NoAnswer
        ",
    );
}

#[test]
fn reliable_provisional_responses_updates_and_session_refreshes_tell_nothing() {
    ladder(
        "
        0.000 alice > bob INVITE 102 | Supported: 100rel, timer
        0.100 bob > alice 183 sdp=sendrecv | Require: 100rel | RSeq: 1
        0.110 alice > bob PRACK | RAck: 1 1 INVITE
        0.120 bob > alice 200 for=PRACK
        0.200 alice > bob UPDATE sdp=sendrecv
        0.210 bob > alice 200 for=UPDATE
        0.500 bob > alice 180 | Require: 100rel | RSeq: 2
        0.510 alice > bob PRACK | RAck: 2 1 INVITE
        0.520 bob > alice 200 for=PRACK
        3.000 bob > alice 200 for=INVITE sdp=none | Session-Expires: 1800;refresher=uac
        3.010 alice > bob ACK
        900.000 alice > bob UPDATE | Session-Expires: 1800;refresher=uac
        900.010 bob > alice 200 for=UPDATE sdp=none | Session-Expires: 1800;refresher=uac
        1800.000 alice > bob INVITE in=dialog sdp=same | Session-Expires: 1800;refresher=uac
        1800.010 bob > alice 200 for=INVITE sdp=same | Session-Expires: 1800;refresher=uac
        1800.020 alice > bob ACK
        2000.000 bob > alice BYE
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.000 inb 102 Setup
        0.100 inb 102 Proceeding
        0.100 out 101 Proceeding
        3.000 inb 102 Answered
        3.000 out 101 Answered
        2000.000 inb 102 Disconnected
        2000.000 out 101 Disconnected
        ",
    );
}

#[test]
fn a_session_whose_refresh_fails_to_come_is_lost() {
    ladder(
        "
        0.000 alice > bob INVITE 102
        0.500 bob > alice 180
        3.000 bob > alice 200 | Session-Expires: 1800;refresher=uac
        3.010 alice > bob ACK
        9000.000 carol > dave OPTIONS 104 call=2
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
        1835.000 inb 102 Disconnected/CallDropped
        1835.000 out 101 Disconnected/CallDropped
        ",
    );
}

#[test]
fn the_caller_may_leave_an_early_dialog_with_a_bye() {
    ladder(
        "
        0.000 alice > bob INVITE 102
        0.500 bob > alice 180
        4.000 alice > bob BYE
        4.010 bob > alice 200 for=BYE
        4.020 bob > alice 487 for=INVITE
        4.030 alice > bob ACK
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.000 inb 102 Setup
        0.500 inb 102 Proceeding
        0.500 out 101 Proceeding
        4.000 inb 102 Disconnected/Cancelled missed
        4.000 out 101 Disconnected
        ",
    );
}

#[test]
fn the_same_call_id_may_serve_a_second_call() {
    ladder(
        "
        0.000 alice > bob INVITE 102
        0.500 bob > alice 486
        0.510 alice > bob ACK
        9.000 alice > bob INVITE 102
        9.500 bob > alice 486
        9.510 alice > bob ACK
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.000 inb 102 Setup
        0.500 inb 102 Disconnected/TargetBusy missed
        0.500 out 101 Disconnected/TargetBusy
        #2 9.000 out 101 Setup
        #2 9.000 inb 102 Setup
        #2 9.500 inb 102 Disconnected/TargetBusy missed
        #2 9.500 out 101 Disconnected/TargetBusy
        ",
    );
}

#[test]
fn a_call_that_goes_on_at_the_end_of_the_capture_is_left_open() {
    ladder(
        "
        0.000 alice > bob INVITE 102
        0.500 bob > alice 180
        3.000 bob > alice 200
        3.010 alice > bob ACK
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
        ",
    );
}

#[test]
fn an_outside_caller_is_shown_with_number_and_name() {
    let flow = ladder(
        "
        0.000 trunk > bob INVITE 102 name=Pat_Doe
        0.500 bob > trunk 180
        3.000 bob > trunk 200
        3.010 trunk > bob ACK
        5.000 trunk > bob BYE
        ",
    );
    let events = hookswitch_flows::ladder::run(&flow.packets);
    for event in &events {
        assert_eq!(event.party.from.phone_number.as_deref(), Some("+14155550100"));
        assert_eq!(event.party.from.name.as_deref(), Some("Pat Doe"));
        assert_eq!(event.party.from.extension, None);
        assert!(event.party.to.extension.is_some());
    }
    assert_eq!(events.len(), 8);
}

#[test]
fn a_caller_who_withholds_the_number_is_shown_as_anonymous() {
    for invite in [
        "INVITE 102 from=anonymous name=Anonymous",
        "INVITE 102 | Privacy: id | P-Asserted-Identity: \"Pat\" <sip:+14155550100@example.com>",
        "INVITE 102 | Remote-Party-ID: \"Pat\" <sip:+14155550100@example.com>;party=calling;privacy=full",
    ] {
        let flow = ladder(&format!("0.000 trunk > bob {invite}\n0.500 bob > trunk 486"));
        for event in hookswitch_flows::ladder::run(&flow.packets) {
            assert_eq!(event.party.from.phone_number, None, "{invite}");
            assert_eq!(event.party.from.name.as_deref(), Some("Anonymous"), "{invite}");
        }
    }
}
