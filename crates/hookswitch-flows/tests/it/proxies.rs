//! Calls through proxies, which show each message once for every hop.

use hookswitch_flows::ladder::ladder;

#[test]
fn a_call_through_one_proxy_is_told_where_its_messages_arrive() {
    ladder(
        "
        0.000 alice > proxy INVITE 102
        0.005 proxy > alice 100
        0.010 proxy > bob INVITE 102@bob
        0.020 bob > proxy 100
        0.500 bob > proxy 180
        0.510 proxy > alice 180
        3.000 bob > proxy 200
        3.010 proxy > alice 200
        3.020 alice > bob ACK
        9.000 alice > bob BYE
        9.010 bob > alice 200
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
        9.000 out 101 Disconnected
        9.000 inb 102 Disconnected
        ",
    );
}

#[test]
fn a_call_through_two_proxies_with_credentials_and_record_route() {
    ladder(
        "
        0.000 alice > proxy INVITE 102
        0.005 proxy > alice 407
        0.010 alice > proxy ACK
        0.020 alice > proxy INVITE 102
        0.025 proxy > alice 100
        0.030 proxy > proxy2 INVITE
        0.035 proxy2 > proxy 100
        0.040 proxy2 > bob INVITE 102@bob
        0.500 bob > proxy2 180
        0.505 proxy2 > proxy 180
        0.510 proxy > alice 180
        3.000 bob > proxy2 200
        3.005 proxy2 > proxy 200
        3.010 proxy > alice 200
        3.020 alice > proxy ACK
        3.025 proxy > proxy2 ACK
        3.030 proxy2 > bob ACK
        9.000 bob > proxy2 BYE
        9.005 proxy2 > proxy BYE
        9.010 proxy > alice BYE
        9.020 alice > proxy 200
        9.025 proxy > proxy2 200
        9.030 proxy2 > bob 200
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.040 inb 102 Setup
        0.500 inb 102 Proceeding
        0.510 out 101 Proceeding
        3.000 inb 102 Answered
        3.010 out 101 Answered
        9.000 inb 102 Disconnected
        9.000 out 101 Disconnected
        ",
    );
}

#[test]
fn a_proxy_that_gives_no_answer_is_passed_over() {
    ladder(
        "
        0.000 alice > proxy INVITE 102
        0.500 alice > proxy INVITE 102 cseq=1
        32.000 alice > proxy2 INVITE 102
        32.010 proxy2 > alice 100
        32.020 proxy2 > bob INVITE 102@bob
        32.500 bob > proxy2 180
        32.510 proxy2 > alice 180
        35.000 bob > proxy2 200
        35.010 proxy2 > alice 200
        35.020 alice > proxy2 ACK
        35.030 proxy2 > bob ACK
        40.000 bob > proxy2 BYE
        40.010 proxy2 > alice BYE
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        32.020 inb 102 Setup
        32.500 inb 102 Proceeding
        32.510 out 101 Proceeding
        35.000 inb 102 Answered
        35.010 out 101 Answered
        40.000 inb 102 Disconnected
        40.000 out 101 Disconnected
        ",
    );
}

#[test]
fn a_redirection_is_followed_as_the_same_call() {
    ladder(
        "
        0.000 alice > proxy INVITE 102
        0.010 proxy > alice 302 | Contact: <sip:102@10.0.200.11>
        0.020 alice > proxy ACK
        0.030 alice > proxy2 INVITE 102
        0.035 proxy2 > alice 100
        0.040 proxy2 > bob INVITE 102@bob
        0.500 bob > proxy2 180
        0.510 proxy2 > alice 180
        3.000 bob > proxy2 200
        3.010 proxy2 > alice 200
        3.020 alice > bob ACK
        9.000 alice > bob BYE
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.040 inb 102 Setup
        0.500 inb 102 Proceeding
        0.510 out 101 Proceeding
        3.000 inb 102 Answered
        3.010 out 101 Answered
        9.000 out 101 Disconnected
        9.000 inb 102 Disconnected
        ",
    );
}

#[test]
fn a_phone_that_redirects_hands_the_call_to_the_next() {
    ladder(
        "
        0.000 alice > bob INVITE 102
        0.500 bob > alice 180
        1.000 bob > alice 302 | Contact: <sip:103@10.0.0.3>
        1.010 alice > bob ACK
        1.020 alice > carol INVITE 103
        1.500 carol > alice 180
        3.000 carol > alice 200
        3.010 alice > carol ACK
        9.000 alice > carol BYE
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.000 inb 102 Setup
        0.500 inb 102 Proceeding
        0.500 out 101 Proceeding
        1.000 inb 102 Disconnected/CallRedirected
        1.020 inb 103 Setup
        1.500 inb 103 Proceeding
        3.000 inb 103 Answered
        3.000 out 101 Answered
        9.000 out 101 Disconnected
        9.000 inb 103 Disconnected
        ",
    );
}

#[test]
fn a_call_given_up_through_two_proxies_ends_when_the_phone_says_so() {
    ladder(
        "
        0.000 alice > proxy INVITE 102
        0.010 proxy > proxy2 INVITE
        0.020 proxy2 > bob INVITE 102@bob
        0.500 bob > proxy2 180
        0.505 proxy2 > proxy 180
        0.510 proxy > alice 180
        5.000 alice > proxy CANCEL
        5.001 proxy > alice 200 for=CANCEL
        5.002 proxy > proxy2 CANCEL
        5.003 proxy2 > proxy 200 for=CANCEL
        5.004 proxy2 > bob CANCEL
        5.010 bob > proxy2 200 for=CANCEL
        5.020 bob > proxy2 487
        5.021 proxy2 > bob ACK
        5.030 proxy2 > proxy 487
        5.031 proxy > proxy2 ACK
        5.040 proxy > alice 487
        5.041 alice > proxy ACK
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.020 inb 102 Setup
        0.500 inb 102 Proceeding
        0.510 out 101 Proceeding
        5.020 inb 102 Disconnected/Cancelled missed
        5.040 out 101 Disconnected
        ",
    );
}

#[test]
fn a_busy_phone_behind_two_proxies() {
    ladder(
        "
        0.000 alice > proxy INVITE 102
        0.010 proxy > proxy2 INVITE
        0.020 proxy2 > bob INVITE 102@bob
        0.100 bob > proxy2 486
        0.101 proxy2 > bob ACK
        0.110 proxy2 > proxy 486
        0.111 proxy > proxy2 ACK
        0.120 proxy > alice 486
        0.121 alice > proxy ACK
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.020 inb 102 Setup
        0.100 inb 102 Disconnected/TargetBusy missed
        0.120 out 101 Disconnected/TargetBusy
        ",
    );
}

#[test]
fn a_phone_that_answers_nothing_is_a_missed_call() {
    // RFC 3665 §3.9: nothing comes from the phone, and the proxy gives up.
    ladder(
        "
        0.000 alice > proxy INVITE 102
        0.010 proxy > proxy2 INVITE
        0.015 proxy2 > proxy 100
        0.020 proxy2 > bob INVITE 102@bob
        32.020 proxy2 > proxy 408
        32.025 proxy > proxy2 ACK
        32.030 proxy > alice 408
        32.035 alice > proxy ACK
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.020 inb 102 Setup
        32.030 inb 102 Disconnected/NoAnswer missed
        32.030 out 101 Disconnected/NoAnswer
        ",
    );
}

#[test]
fn a_phone_that_is_not_registered_is_no_party_unless_it_is_an_extension() {
    ladder(
        "
        0.000 alice > proxy INVITE 102
        0.010 proxy > alice 480
        0.020 alice > proxy ACK
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.000 inb 102 Setup
        0.010 inb 102 Disconnected/NoAnswer missed
        0.010 out 101 Disconnected/NoAnswer
        ",
    );
    ladder(
        "
        0.000 alice > proxy INVITE +14155550199
        0.010 proxy > alice 480
        0.020 alice > proxy ACK
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.010 out 101 Disconnected/NoAnswer
        ",
    );
}

#[test]
fn a_proxy_that_tries_one_target_after_the_other() {
    ladder(
        "
        0.000 alice > proxy INVITE 102
        0.010 proxy > bob INVITE 102@bob
        0.500 bob > proxy 180
        0.510 proxy > alice 180
        15.000 proxy > bob CANCEL
        15.010 bob > proxy 200 for=CANCEL
        15.020 bob > proxy 487
        15.030 proxy > bob ACK
        15.040 proxy > carol INVITE 103@carol
        15.500 carol > proxy 180
        15.510 proxy > alice 180
        18.000 carol > proxy 200
        18.010 proxy > alice 200
        18.020 alice > carol ACK
        20.000 carol > alice BYE
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.010 inb 102 Setup
        0.500 inb 102 Proceeding
        0.510 out 101 Proceeding
        15.020 inb 102 Disconnected/NoAnswer missed
        15.040 inb 103 Setup
        15.500 inb 103 Proceeding
        18.000 inb 103 Answered
        18.010 out 101 Answered
        20.000 inb 103 Disconnected
        20.000 out 101 Disconnected
        ",
    );
}

#[test]
fn a_phone_that_registered_its_own_contact_keeps_its_extension() {
    ladder(
        "
        0.000 bob > proxy REGISTER sip:example.com call=reg from=102 to=102 | Contact: <sip:x7y2@{bob}>
        0.010 proxy > bob 200 call=reg | Contact: <sip:x7y2@{bob}>;expires=3600
        1.000 alice > proxy INVITE 900
        1.010 proxy > bob INVITE x7y2@bob
        1.100 bob > proxy 486
        1.110 proxy > alice 486
        ",
    )
    .tells(
        "
        1.000 out 101 Setup
        1.010 inb 102 Setup
        1.100 inb 102 Disconnected/TargetBusy missed
        1.110 out 101 Disconnected/TargetBusy
        ",
    );
}

#[test]
fn two_proxies_that_both_ask_for_credentials() {
    // RFC 3665 §3.3: three INVITEs, one call.
    ladder(
        "
        0.000 alice > proxy INVITE 102
        0.005 proxy > alice 407
        0.010 alice > proxy ACK
        0.020 alice > proxy INVITE 102
        0.025 proxy > alice 100
        0.030 proxy > proxy2 INVITE
        0.035 proxy2 > proxy 407
        0.040 proxy > proxy2 ACK
        0.045 proxy > alice 407
        0.050 alice > proxy ACK
        0.060 alice > proxy INVITE 102
        0.065 proxy > alice 100
        0.070 proxy > proxy2 INVITE
        0.075 proxy2 > proxy 100
        0.080 proxy2 > bob INVITE 102@bob
        0.500 bob > proxy2 180
        0.505 proxy2 > proxy 180
        0.510 proxy > alice 180
        3.000 bob > proxy2 200
        3.005 proxy2 > proxy 200
        3.010 proxy > alice 200
        9.000 bob > proxy2 BYE
        9.005 proxy2 > proxy BYE
        9.010 proxy > alice BYE
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.080 inb 102 Setup
        0.500 inb 102 Proceeding
        0.510 out 101 Proceeding
        3.000 inb 102 Answered
        3.010 out 101 Answered
        9.000 inb 102 Disconnected
        9.000 out 101 Disconnected
        ",
    );
}

#[test]
fn a_gateway_that_moves_the_media_of_an_answered_call_tells_nothing() {
    // RFC 3665 §3.7: a new INVITE because an address changed.
    ladder(
        "
        0.000 alice > proxy INVITE 102
        0.010 proxy > bob INVITE 102@bob
        0.500 bob > proxy 180
        0.510 proxy > alice 180
        1.000 bob > proxy 200 sdp=sendrecv
        1.010 proxy > alice 200 sdp=same
        1.020 alice > bob ACK
        5.000 bob > alice INVITE in=dialog sdp=sendrecv
        5.010 alice > bob 200 sdp=sendrecv
        5.020 bob > alice ACK
        9.000 bob > alice BYE
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
        9.000 inb 102 Disconnected
        9.000 out 101 Disconnected
        ",
    );
}

#[test]
fn a_proxy_that_hides_the_hops_before_it_is_a_proxy_all_the_same() {
    ladder(
        "
        0.000 alice > proxy INVITE 102
        0.010 proxy > bob INVITE 102@bob hidden=1
        0.500 bob > proxy 180
        0.510 proxy > alice 180
        1.000 bob > proxy 200
        1.010 proxy > alice 200
        9.000 bob > alice BYE
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
        9.000 inb 102 Disconnected
        9.000 out 101 Disconnected
        ",
    );
}
