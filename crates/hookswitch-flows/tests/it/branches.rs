//! The branches of one INVITE, captured between the proxy that forks and the phones: the caller's leg is not
//! seen, or has another Call-ID.

use hookswitch_flows::ladder::ladder;

#[test]
fn a_proxy_calls_the_next_phone_when_the_first_is_busy() {
    // RFC 3261 §16.6: one Call-ID, From tag and CSeq from one sender, with another branch to another target.
    ladder(
        "
        0.000 proxy > bob INVITE 102@bob from=101 name=Alice | Via: SIP/2.0/UDP 10.9.9.9;branch=z9hG4bK-up
        0.010 bob > proxy 180
        0.300 bob > proxy 486
        0.301 proxy > bob ACK
        0.302 proxy > carol INVITE 103@carol cseq=1 | Via: SIP/2.0/UDP 10.9.9.9;branch=z9hG4bK-up
        0.310 carol > proxy 180
        0.900 carol > proxy 200
        0.910 proxy > carol ACK
        1.700 proxy > carol BYE
        1.710 carol > proxy 200
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.000 inb 102 Setup
        0.010 inb 102 Proceeding
        0.010 out 101 Proceeding
        0.300 inb 102 Disconnected/TargetBusy missed
        0.302 inb 103 Setup
        0.310 inb 103 Proceeding
        0.900 inb 103 Answered
        0.900 out 101 Answered
        1.700 out 101 Disconnected
        1.700 inb 103 Disconnected
        ",
    );
}

#[test]
fn a_proxy_calls_two_phones_at_once_and_one_answers() {
    ladder(
        "
        0.000 proxy > bob INVITE 102@bob from=101 name=Alice | Via: SIP/2.0/UDP 10.9.9.9;branch=z9hG4bK-up
        0.001 proxy > carol INVITE 103@carol cseq=1 | Via: SIP/2.0/UDP 10.9.9.9;branch=z9hG4bK-up
        0.100 bob > proxy 180
        0.120 carol > proxy 180
        2.000 carol > proxy 200
        2.010 proxy > bob CANCEL
        2.015 bob > proxy 200 for=CANCEL
        2.020 bob > proxy 487 for=INVITE
        2.030 proxy > carol ACK
        5.000 carol > proxy BYE
        5.010 proxy > carol 200
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.000 inb 102 Setup
        0.001 inb 103 Setup
        0.100 inb 102 Proceeding
        0.100 out 101 Proceeding
        0.120 inb 103 Proceeding
        2.000 inb 103 Answered
        2.000 out 101 Answered
        2.020 inb 102 Disconnected
        5.000 inb 103 Disconnected
        5.000 out 101 Disconnected
        ",
    );
}

#[test]
fn the_caller_of_a_fork_gives_up() {
    ladder(
        "
        0.000 proxy > bob INVITE 102@bob from=101 name=Alice | Via: SIP/2.0/UDP 10.9.9.9;branch=z9hG4bK-up
        0.001 proxy > carol INVITE 103@carol cseq=1 | Via: SIP/2.0/UDP 10.9.9.9;branch=z9hG4bK-up
        0.100 bob > proxy 180
        0.120 carol > proxy 180
        2.010 proxy > bob CANCEL
        2.012 proxy > carol CANCEL
        2.020 bob > proxy 487 for=INVITE
        2.025 carol > proxy 487 for=INVITE
        10.000 dave > pbx REGISTER
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.000 inb 102 Setup
        0.001 inb 103 Setup
        0.100 inb 102 Proceeding
        0.100 out 101 Proceeding
        0.120 inb 103 Proceeding
        2.020 inb 102 Disconnected/Cancelled missed
        2.025 inb 103 Disconnected/Cancelled missed
        2.025 out 101 Disconnected
        ",
    );
}

#[test]
fn a_proxy_calls_the_next_phone_when_nobody_has_answered_the_first() {
    ladder(
        "
        0.000 proxy > bob INVITE 102@bob from=101 name=Alice | Via: SIP/2.0/UDP 10.9.9.9;branch=z9hG4bK-up
        0.100 bob > proxy 180
        15.000 proxy > bob CANCEL
        15.010 bob > proxy 200 for=CANCEL
        15.020 bob > proxy 487 for=INVITE
        15.030 proxy > carol INVITE 103@carol cseq=1 | Via: SIP/2.0/UDP 10.9.9.9;branch=z9hG4bK-up
        15.200 carol > proxy 180
        18.000 carol > proxy 200
        18.100 proxy > carol ACK
        20.000 proxy > carol BYE
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.000 inb 102 Setup
        0.100 inb 102 Proceeding
        0.100 out 101 Proceeding
        15.020 inb 102 Disconnected/NoAnswer missed
        15.030 inb 103 Setup
        15.200 inb 103 Proceeding
        18.000 inb 103 Answered
        18.000 out 101 Answered
        20.000 out 101 Disconnected
        20.000 inb 103 Disconnected
        ",
    );
}

#[test]
fn every_phone_of_a_series_is_busy() {
    ladder(
        "
        0.000 proxy > bob INVITE 102@bob from=101 name=Alice | Via: SIP/2.0/UDP 10.9.9.9;branch=z9hG4bK-up
        0.010 bob > proxy 486
        0.011 proxy > bob ACK
        0.012 proxy > carol INVITE 103@carol cseq=1 | Via: SIP/2.0/UDP 10.9.9.9;branch=z9hG4bK-up
        0.020 carol > proxy 603
        0.021 proxy > carol ACK
        1.000 dave > pbx REGISTER
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.000 inb 102 Setup
        0.010 inb 102 Disconnected/TargetBusy missed
        0.012 inb 103 Setup
        0.020 inb 103 Disconnected/Rejected missed
        0.020 out 101 Disconnected/Rejected
        ",
    );
}

#[test]
fn a_masked_call_id_and_a_series_of_phones() {
    // Topology hiding: the phones see another Call-ID than the caller.
    ladder(
        "
        0.000 alice > proxy INVITE 300
        0.001 proxy > alice 100
        0.002 proxy > bob INVITE 102@bob call=2 from=101 name=Alice | Via: SIP/2.0/UDP 127.0.0.8;branch=z9hG4bK-m
        0.010 bob > proxy 180 call=2
        0.011 proxy > alice 180
        0.300 bob > proxy 486 call=2
        0.301 proxy > bob ACK call=2
        0.302 proxy > carol INVITE 103@carol call=2 cseq=1 | Via: SIP/2.0/UDP 127.0.0.8;branch=z9hG4bK-m
        0.310 carol > proxy 180 call=2
        0.900 carol > proxy 200 call=2
        0.910 proxy > alice 200
        1.700 alice > proxy BYE
        1.710 proxy > carol BYE call=2
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.002 inb 102 Setup
        0.010 inb 102 Proceeding
        0.011 out 101 Proceeding
        0.300 inb 102 Disconnected/TargetBusy missed
        0.302 inb 103 Setup
        0.310 inb 103 Proceeding
        0.900 inb 103 Answered
        0.910 out 101 Answered
        1.700 out 101 Disconnected
        1.710 inb 103 Disconnected
        ",
    );
}

#[test]
fn a_masked_call_id_without_a_second_via_and_phones_in_parallel() {
    ladder(
        "
        0.000 alice > proxy INVITE 300
        0.001 proxy > alice 100
        0.002 proxy > bob INVITE 102@bob call=2 from=101 name=Alice
        0.003 proxy > carol INVITE 103@carol call=2 cseq=1
        0.010 bob > proxy 180 call=2
        0.011 proxy > alice 180
        0.020 carol > proxy 180 call=2
        2.000 alice > proxy CANCEL
        2.001 proxy > alice 200 for=CANCEL
        2.002 proxy > bob CANCEL call=2
        2.003 proxy > carol CANCEL call=2
        2.010 bob > proxy 487 call=2 for=INVITE
        2.011 carol > proxy 487 call=2 for=INVITE
        2.012 proxy > alice 487 for=INVITE
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.002 inb 102 Setup
        0.003 inb 103 Setup
        0.010 inb 102 Proceeding
        0.011 out 101 Proceeding
        0.020 inb 103 Proceeding
        2.010 inb 102 Disconnected/Cancelled missed
        2.011 inb 103 Disconnected/Cancelled missed
        2.012 out 101 Disconnected
        ",
    );
}

#[test]
fn the_mailbox_is_called_before_the_phone_is_given_up() {
    // What is offered the call long after is no member of a group: the phone has missed it.
    for why in ["", " | Reason: SIP;cause=480"] {
        for answer in ["15.010 carol > proxy 200", "15.200 carol > proxy 200"] {
            let mut lines = vec![
                "0.000 alice > proxy INVITE 321".to_owned(),
                "0.010 proxy > bob INVITE 102@bob".to_owned(),
                "0.100 bob > proxy 180".to_owned(),
                "0.110 proxy > alice 180".to_owned(),
                "15.000 proxy > carol INVITE 800@carol".to_owned(),
                format!("15.001 proxy > bob CANCEL{why}"),
                answer.to_owned(),
                "15.020 bob > proxy 487 for=INVITE".to_owned(),
                "15.300 proxy > alice 200".to_owned(),
                "20.000 alice > carol BYE".to_owned(),
            ];
            lines.sort_by(|one, other| {
                let at = |line: &str| line.split(' ').next().and_then(|at| at.parse::<f64>().ok());
                at(one).partial_cmp(&at(other)).expect("times")
            });
            let told = hookswitch_flows::ladder::written(&ladder(&lines.join("\n")).events());
            assert!(
                told.iter().any(|line| line == "15.020 inb 102 Disconnected/NoAnswer missed"),
                "{why} {answer}: {told:#?}"
            );
        }
    }
}

#[test]
fn a_phone_is_given_up_for_the_mailbox_that_was_called_at_once() {
    ladder(
        "
        0.000 alice > proxy INVITE 321
        0.010 proxy > bob INVITE 102@bob
        0.100 bob > proxy 180
        0.110 proxy > alice 180
        15.000 proxy > mailbox INVITE 800@mailbox
        15.001 proxy > bob CANCEL
        15.010 bob > proxy 200 for=CANCEL
        15.020 bob > proxy 487 for=INVITE
        15.200 mailbox > proxy 200
        15.210 proxy > alice 200
        20.000 alice > mailbox BYE
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.010 inb 102 Setup
        0.100 inb 102 Proceeding
        0.110 out 101 Proceeding
        15.000 inb 800 Setup
        15.020 inb 102 Disconnected/NoAnswer missed
        15.200 inb 800 Answered
        15.210 out 101 Answered
        20.000 out 101 Disconnected
        20.000 inb 800 Disconnected
        ",
    );
}

#[test]
fn a_busy_member_and_a_caller_who_gives_up() {
    // RFC 3261 §16.7: which of 486 and 487 goes back is the proxy's choice; the caller sent CANCEL.
    ladder(
        "
        0.000 alice > proxy INVITE 200
        0.010 proxy > bob INVITE 102@bob
        0.011 proxy > carol INVITE 103@carol
        0.020 carol > proxy 180
        0.021 proxy > alice 180
        0.100 bob > proxy 486
        0.101 proxy > bob ACK
        1.200 alice > proxy CANCEL
        1.201 proxy > alice 200 for=CANCEL
        1.202 proxy > carol CANCEL
        1.205 carol > proxy 200 for=CANCEL
        1.210 carol > proxy 487 for=INVITE
        1.211 proxy > carol ACK
        1.220 proxy > alice 486 for=INVITE
        1.230 alice > proxy ACK
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.010 inb 102 Setup
        0.011 inb 103 Setup
        0.020 inb 103 Proceeding
        0.021 out 101 Proceeding
        0.100 inb 102 Disconnected/TargetBusy
        1.210 inb 103 Disconnected/Cancelled missed
        1.220 out 101 Disconnected
        ",
    );
}

#[test]
fn a_phone_that_is_cancelled_says_that_it_is_not_available() {
    ladder(
        "
        0.000 alice > bob INVITE 102
        0.100 bob > alice 180
        4.000 alice > bob CANCEL
        4.010 bob > alice 200 for=CANCEL
        4.020 bob > alice 480 for=INVITE
        4.030 alice > bob ACK
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.000 inb 102 Setup
        0.100 inb 102 Proceeding
        0.100 out 101 Proceeding
        4.020 inb 102 Disconnected/Cancelled missed
        4.020 out 101 Disconnected
        ",
    );
}

#[test]
fn a_caller_who_gives_up_behind_a_proxy_has_given_up_whatever_other_calls_do() {
    // The INVITE has passed a proxy before, so another branch could follow the 487 for half a second; a message of
    // another call within the last moments of that must not decide why the phone stopped.
    ladder(
        "
        0.000 alice > proxy INVITE 102 | Via: SIP/2.0/UDP 10.9.9.9;branch=z9hG4bK-up
        0.001 proxy > alice 100
        0.002 proxy > bob INVITE 102@bob
        0.010 bob > proxy 180
        0.011 proxy > alice 180
        2.000 alice > proxy CANCEL
        2.001 proxy > alice 200 for=CANCEL
        2.002 proxy > bob CANCEL
        2.003 bob > proxy 200 for=CANCEL
        2.004 bob > proxy 487 for=INVITE
        2.005 proxy > bob ACK
        2.020 proxy > alice 487 for=INVITE
        2.021 alice > proxy ACK
        2.510 carol > dave INVITE 104@dave call=9 from=103
        2.515 dave > carol 486 call=9
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.002 inb 102 Setup
        0.010 inb 102 Proceeding
        0.011 out 101 Proceeding
        2.004 inb 102 Disconnected/Cancelled missed
        2.020 out 101 Disconnected
        #2 2.510 out 103 Setup
        #2 2.510 inb 104 Setup
        #2 2.515 inb 104 Disconnected/TargetBusy missed
        #2 2.515 out 103 Disconnected/TargetBusy
        ",
    );
}
