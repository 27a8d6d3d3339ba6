//! Ordinary calls from phone to phone: how they are answered, refused, given up and ended.

use hookswitch_flows::ladder::{Packet, ladder, run, written};

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
    let told = written(&run(&flow.packets));
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
    let events = run(&flow.packets);
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
        for event in run(&flow.packets) {
            assert_eq!(event.party.from.phone_number, None, "{invite}");
            assert_eq!(event.party.from.name.as_deref(), Some("Anonymous"), "{invite}");
        }
    }
}

#[test]
fn a_dialog_that_the_other_end_does_not_know_any_more_is_lost() {
    ladder(
        "
        0.000 alice > bob INVITE 102
        0.500 bob > alice 180
        3.000 bob > alice 200
        3.010 alice > bob ACK
        600.000 alice > bob INVITE in=dialog sdp=same
        600.010 bob > alice 481 for=INVITE
        600.020 alice > bob ACK
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
fn an_update_that_nobody_answers_shows_that_the_dialog_is_lost() {
    ladder(
        "
        0.000 alice > bob INVITE 102
        0.500 bob > alice 180
        3.000 bob > alice 200
        3.010 alice > bob ACK
        600.000 bob > alice UPDATE
        632.000 alice > bob 408 for=UPDATE
        632.050 bob > alice BYE
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
        ",
    );
}

#[test]
fn a_dialog_that_is_lost_behind_a_proxy_ends_once() {
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
        600.010 bob > proxy 481 for=INVITE
        600.015 proxy > alice 481 for=INVITE
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
        600.010 inb 102 Disconnected/CallDropped
        600.010 out 101 Disconnected/CallDropped
        ",
    );
}

#[test]
fn the_ack_of_an_answer_that_was_not_reported_tells_of_it() {
    ladder(
        "
        0.000 alice > bob INVITE 102
        0.500 bob > alice 180
        3.010 alice > bob ACK
        9.000 bob > alice BYE
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.000 inb 102 Setup
        0.500 inb 102 Proceeding
        0.500 out 101 Proceeding
        3.010 inb 102 Answered
        3.010 out 101 Answered
        9.000 inb 102 Disconnected
        9.000 out 101 Disconnected
        ",
    );
}

#[test]
fn an_answer_that_is_reported_after_the_end_was_acknowledged_in_time() {
    let told = |flow: &str| written(&run(&ladder(flow).packets));
    let in_order = "
        0.000 alice > bob INVITE 102
        0.500 bob > alice 180
        3.000 bob > alice 200
        3.010 alice > bob ACK
        9.000 alice > bob BYE
    ";
    let mut late = ladder(in_order).packets;
    let answer = late.remove(2);
    late.push(answer);
    let expected: Vec<String> =
        told(in_order).into_iter().map(|line| line.replace("3.000", "3.010")).collect();
    assert_eq!(written(&run(&late)), expected);
}

#[test]
fn the_ack_of_a_refusal_answers_nothing() {
    let told = written(&run(&ladder(
        "
        0.000 alice > bob INVITE 102
        0.500 bob > alice 180
        3.000 bob > alice 486
        3.010 alice > bob ACK
        ",
    )
    .packets));
    let mut lost = ladder(
        "
        0.000 alice > bob INVITE 102
        0.500 bob > alice 180
        3.000 bob > alice 486
        3.010 alice > bob ACK
        ",
    )
    .packets;
    lost.remove(2);
    assert_eq!(told.last().map(String::as_str), Some("3.000 out 101 Disconnected/TargetBusy"));
    assert!(written(&run(&lost)).iter().all(|line| !line.contains("Answered")), "the refusal was lost");
}

/// A call of a phone that writes no tag into From, as before RFC 3261.
fn without_tag(flow: &str) -> Vec<String> {
    let mut packets = ladder(flow).packets;
    let text = |packet: &Packet| String::from_utf8(packet.payload.clone()).expect("text");
    let invite = text(&packets[0]);
    let from = invite.lines().find(|line| line.starts_with("From:")).expect("it has one");
    let tag = &from[from.find(";tag=").expect("a tag")..];
    for packet in &mut packets {
        packet.payload = text(packet).replace(tag, "").into_bytes();
    }
    written(&run(&packets))
}

#[test]
fn a_caller_without_a_tag_has_a_dialog_like_any() {
    for (end, last) in [
        ("9.000 alice > bob BYE", ["9.000 out 101 Disconnected", "9.000 inb 102 Disconnected"]),
        ("9.000 bob > alice BYE", ["9.000 inb 102 Disconnected", "9.000 out 101 Disconnected"]),
    ] {
        for (hold, held) in [
            ("", None),
            ("5.000 bob > alice INVITE sdp=sendonly\n5.010 alice > bob 200 sdp=recvonly\n", Some("inb 102")),
            (
                "5.000 alice > bob INVITE in=dialog sdp=sendonly\n5.010 bob > alice 200 sdp=recvonly\n",
                Some("out 101"),
            ),
        ] {
            let told = without_tag(&format!(
                "
                0.000 alice > bob INVITE 102
                0.500 bob > alice 180
                3.000 bob > alice 200
                3.010 alice > bob ACK
                {hold}{end}
                "
            ));
            assert_eq!(told[told.len() - 2..], last, "{told:?}");
            let holds: Vec<&String> = told.iter().filter(|line| line.ends_with("Hold")).collect();
            let expected: Vec<String> = held.iter().map(|who| format!("5.010 {who} Hold")).collect();
            assert_eq!(holds, expected.iter().collect::<Vec<_>>(), "{told:?}");
        }
    }
}

/// A call as a host shows it that translates addresses and captures on all its interfaces: each packet to or
/// from Bob once with the address outside, and at once with the one inside.
fn captured_twice(flow: &str, inside_first: bool) -> Vec<String> {
    let bob = ladder("0.000 alice > bob INVITE 102").packets[0].dst;
    let there = "192.0.2.77:5062".parse().expect("an address");
    let inside = |address: std::net::SocketAddr| if address == bob { there } else { address };
    let mut packets = Vec::new();
    for packet in ladder(flow).packets {
        let other = Packet { src: inside(packet.src), dst: inside(packet.dst), ..packet.clone() };
        packets.extend(if inside_first { [other, packet] } else { [packet, other] });
    }
    written(&run(&packets))
}

#[test]
fn a_packet_that_is_seen_before_and_after_its_address_is_translated_counts_once() {
    for flow in [
        "
        0.000 alice > bob INVITE 102
        0.500 bob > alice 180
        3.000 bob > alice 200
        3.010 alice > bob ACK
        5.000 bob > alice INVITE sdp=sendonly
        5.010 alice > bob 200 sdp=recvonly
        5.020 bob > alice ACK
        9.000 bob > alice BYE
        9.010 alice > bob 200 for=BYE
        ",
        "
        0.000 alice > bob INVITE 102
        0.500 bob > alice 180
        3.000 alice > bob CANCEL
        3.010 bob > alice 200 for=CANCEL
        3.020 bob > alice 487 for=INVITE
        3.030 alice > bob ACK
        ",
        "
        0.000 alice > bob INVITE 102
        0.010 bob > alice 401
        0.020 alice > bob ACK
        0.030 alice > bob INVITE 102
        0.500 bob > alice 486
        0.510 alice > bob ACK
        ",
    ] {
        let once = written(&run(&ladder(flow).packets));
        assert_eq!(captured_twice(flow, false), once);
        assert_eq!(captured_twice(flow, true), once);
    }
}
