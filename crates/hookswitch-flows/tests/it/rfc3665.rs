//! The call flows of RFC 3665 section 3, message by message. Its section 2 is about registrations,
//! of which there is nothing to tell.

use hookswitch_flows::ladder::named;

#[test]
fn a_call_from_phone_to_phone() {
    // RFC 3665 §3.1
    named(
        "
        0.000 alice > bob INVITE bob@biloxi.example.com
        0.500 bob > alice 180
        3.000 bob > alice 200
        3.010 alice > bob ACK
        9.000 bob > alice BYE
        9.010 alice > bob 200
        ",
    )
    .tells(
        "
        0.000 out alice Setup
        0.000 inb bob Setup
        0.500 inb bob Proceeding
        0.500 out alice Proceeding
        3.000 inb bob Answered
        3.000 out alice Answered
        9.000 inb bob Disconnected
        9.000 out alice Disconnected
        ",
    );
}

#[test]
fn a_call_through_two_proxies_of_which_the_first_asks_for_credentials() {
    // RFC 3665 §3.2
    named(
        "
        0.000 alice > proxy INVITE bob@biloxi.example.com
        0.005 proxy > alice 407 | Proxy-Authenticate: Digest realm=\"atlanta.example.com\"
        0.010 alice > proxy ACK
        0.020 alice > proxy INVITE bob@biloxi.example.com | Proxy-Authorization: Digest username=\"alice\"
        0.030 proxy > proxy2 INVITE
        0.035 proxy > alice 100
        0.040 proxy2 > bob INVITE bob@bob
        0.045 proxy2 > proxy 100
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
        0.000 out alice Setup
        0.040 inb bob Setup
        0.500 inb bob Proceeding
        0.510 out alice Proceeding
        3.000 inb bob Answered
        3.010 out alice Answered
        9.000 inb bob Disconnected
        9.000 out alice Disconnected
        ",
    );
}

#[test]
fn a_call_through_two_proxies_that_both_ask_for_credentials() {
    // RFC 3665 §3.3
    named(
        "
        0.000 alice > proxy INVITE bob@biloxi.example.com
        0.005 proxy > alice 407 | Proxy-Authenticate: Digest realm=\"atlanta.example.com\"
        0.010 alice > proxy ACK
        0.020 alice > proxy INVITE bob@biloxi.example.com | Proxy-Authorization: Digest realm=\"atlanta.example.com\"
        0.025 proxy > alice 100
        0.030 proxy > proxy2 INVITE
        0.035 proxy2 > proxy 407 | Proxy-Authenticate: Digest realm=\"biloxi.example.com\"
        0.040 proxy > proxy2 ACK
        0.045 proxy > alice 407 | Proxy-Authenticate: Digest realm=\"biloxi.example.com\"
        0.050 alice > proxy ACK
        0.060 alice > proxy INVITE bob@biloxi.example.com | Proxy-Authorization: Digest realm=\"biloxi.example.com\"
        0.065 proxy > alice 100
        0.070 proxy > proxy2 INVITE
        0.075 proxy2 > proxy 100
        0.080 proxy2 > bob INVITE bob@bob
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
        0.000 out alice Setup
        0.080 inb bob Setup
        0.500 inb bob Proceeding
        0.510 out alice Proceeding
        3.000 inb bob Answered
        3.010 out alice Answered
        9.000 inb bob Disconnected
        9.000 out alice Disconnected
        ",
    );
}

#[test]
fn a_proxy_that_is_out_of_service_is_passed_over() {
    // RFC 3665 §3.4: the INVITE is sent seven times to the first proxy, and then to the second.
    named(
        "
        0.000 alice > proxy INVITE bob@biloxi.example.com
        0.500 alice > proxy INVITE bob@biloxi.example.com cseq=1
        1.500 alice > proxy INVITE bob@biloxi.example.com cseq=1
        3.500 alice > proxy INVITE bob@biloxi.example.com cseq=1
        7.500 alice > proxy INVITE bob@biloxi.example.com cseq=1
        15.500 alice > proxy INVITE bob@biloxi.example.com cseq=1
        31.500 alice > proxy INVITE bob@biloxi.example.com cseq=1
        32.000 alice > proxy2 INVITE bob@biloxi.example.com
        32.005 proxy2 > alice 407 | Proxy-Authenticate: Digest realm=\"biloxi.example.com\"
        32.010 alice > proxy2 ACK
        32.020 alice > proxy2 INVITE bob@biloxi.example.com | Proxy-Authorization: Digest username=\"alice\"
        32.030 proxy2 > bob INVITE bob@bob
        32.035 proxy2 > alice 100
        32.500 bob > proxy2 180
        32.510 proxy2 > alice 180
        35.000 bob > proxy2 200
        35.010 proxy2 > alice 200
        35.020 alice > proxy2 ACK
        35.030 proxy2 > bob ACK
        40.000 bob > proxy2 BYE
        40.010 proxy2 > alice BYE
        40.020 alice > proxy2 200
        40.030 proxy2 > bob 200
        ",
    )
    .tells(
        "
        0.000 out alice Setup
        32.030 inb bob Setup
        32.500 inb bob Proceeding
        32.510 out alice Proceeding
        35.000 inb bob Answered
        35.010 out alice Answered
        40.000 inb bob Disconnected
        40.000 out alice Disconnected
        ",
    );
}

#[test]
fn a_call_through_an_application_level_gateway_that_rewrites_its_media() {
    // RFC 3665 §3.5: the gateway stays in the way of the dialog, and the proxy does not.
    named(
        "
        0.000 alice > alg INVITE bob@biloxi.example.com
        0.005 alg > alice 100
        0.010 alg > proxy2 INVITE
        0.020 proxy2 > bob INVITE bob@bob media=alg
        0.025 proxy2 > alg 100
        0.500 bob > proxy2 180
        0.505 proxy2 > alg 180
        0.510 alg > alice 180
        3.000 bob > proxy2 200
        3.005 proxy2 > alg 200 sdp=same media=bob
        3.010 alg > alice 200
        3.020 alice > alg ACK
        3.030 alg > bob ACK
        9.000 alice > alg BYE
        9.010 alg > bob BYE
        9.020 bob > alg 200
        9.030 alg > alice 200
        ",
    )
    .tells(
        "
        0.000 out alice Setup
        0.020 inb bob Setup
        0.500 inb bob Proceeding
        0.510 out alice Proceeding
        3.000 inb bob Answered
        3.010 out alice Answered
        9.000 out alice Disconnected
        9.000 inb bob Disconnected
        ",
    );
}

#[test]
fn a_call_that_a_redirect_server_sends_to_the_proxy_where_the_callee_is() {
    // RFC 3665 §3.6: the 302 names the same person at another place, and the offer comes late.
    named(
        "
        0.000 alice > redirect INVITE bob@biloxi.example.com sdp=late
        0.010 redirect > alice 302 | Contact: <sip:bob@chicago.example.com;transport=tcp>
        0.020 alice > redirect ACK
        0.030 alice > proxy3 INVITE bob@chicago.example.com sdp=late
        0.040 proxy3 > bob INVITE bob@bob sdp=late
        0.045 proxy3 > alice 100
        0.500 bob > proxy3 180
        0.510 proxy3 > alice 180
        3.000 bob > proxy3 200
        3.010 proxy3 > alice 200 sdp=same media=bob
        3.020 alice > proxy3 ACK sdp=sendrecv
        3.030 proxy3 > bob ACK sdp=same media=alice
        9.000 bob > proxy3 BYE
        9.010 proxy3 > alice BYE
        9.020 alice > proxy3 200
        9.030 proxy3 > bob 200
        ",
    )
    .tells(
        "
        0.000 out alice Setup
        0.040 inb bob Setup
        0.500 inb bob Proceeding
        0.510 out alice Proceeding
        3.000 inb bob Answered
        3.010 out alice Answered
        9.000 inb bob Disconnected
        9.000 out alice Disconnected
        ",
    );
}

#[test]
fn a_phone_that_changes_its_address_during_a_call_tells_nothing() {
    // RFC 3665 §3.7: from the re-INVITE on Bob is where another phone of this ladder would be.
    named(
        "
        0.000 alice > proxy2 INVITE bob@biloxi.example.com
        0.010 proxy2 > bob INVITE bob@bob
        0.015 proxy2 > alice 100
        0.500 bob > proxy2 180
        0.510 proxy2 > alice 180
        3.000 bob > proxy2 200
        3.010 proxy2 > alice 200 sdp=same media=bob
        3.020 alice > bob ACK
        5.000 bob > alice INVITE sdp=sendrecv media=bill src=bill | Contact: <sip:bob@{bill}>
        5.010 alice > bob 200 dst=bill
        5.020 bob > alice ACK src=bill
        9.000 alice > bob BYE dst=bill
        9.010 bob > alice 200 src=bill
        ",
    )
    .tells(
        "
        0.000 out alice Setup
        0.010 inb bob Setup
        0.500 inb bob Proceeding
        0.510 out alice Proceeding
        3.000 inb bob Answered
        3.010 out alice Answered
        9.000 out alice Disconnected
        9.000 inb bob Disconnected
        ",
    );
}

#[test]
fn a_call_that_the_caller_gives_up_because_nobody_answers() {
    // RFC 3665 §3.8
    named(
        "
        0.000 alice > proxy INVITE bob@biloxi.example.com
        0.010 proxy > proxy2 INVITE
        0.015 proxy > alice 100
        0.020 proxy2 > bob INVITE bob@bob
        0.025 proxy2 > proxy 100
        0.500 bob > proxy2 180
        0.505 proxy2 > proxy 180
        0.510 proxy > alice 180
        9.000 alice > proxy CANCEL
        9.001 proxy > alice 200 for=CANCEL
        9.002 proxy > proxy2 CANCEL
        9.003 proxy2 > proxy 200 for=CANCEL
        9.004 proxy2 > bob CANCEL
        9.010 bob > proxy2 200 for=CANCEL
        9.020 bob > proxy2 487
        9.021 proxy2 > bob ACK
        9.030 proxy2 > proxy 487
        9.031 proxy > proxy2 ACK
        9.040 proxy > alice 487
        9.041 alice > proxy ACK
        ",
    )
    .tells(
        "
        0.000 out alice Setup
        0.020 inb bob Setup
        0.500 inb bob Proceeding
        0.510 out alice Proceeding
        9.020 inb bob Disconnected/Cancelled missed
        9.040 out alice Disconnected
        ",
    );
}

#[test]
fn a_phone_that_is_busy() {
    // RFC 3665 §3.9
    named(
        "
        0.000 alice > proxy INVITE bob@biloxi.example.com
        0.010 proxy > proxy2 INVITE
        0.015 proxy > alice 100
        0.020 proxy2 > bob INVITE bob@bob
        0.025 proxy2 > proxy 100
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
        0.000 out alice Setup
        0.020 inb bob Setup
        0.100 inb bob Disconnected/TargetBusy missed
        0.120 out alice Disconnected/TargetBusy
        ",
    );
}

#[test]
fn a_phone_that_gives_no_response() {
    // RFC 3665 §3.10: the second proxy sends its INVITE seven times and gives up.
    named(
        "
        0.000 alice > proxy INVITE bob@biloxi.example.com
        0.010 proxy > proxy2 INVITE
        0.015 proxy > alice 100
        0.020 proxy2 > bob INVITE bob@bob
        0.025 proxy2 > proxy 100
        32.020 proxy2 > proxy 480
        32.025 proxy > proxy2 ACK
        32.030 proxy > alice 480
        32.035 alice > proxy ACK
        ",
    )
    .tells(
        "
        0.000 out alice Setup
        0.020 inb bob Setup
        32.030 inb bob Disconnected/NoAnswer missed
        32.030 out alice Disconnected/NoAnswer
        ",
    );
}

#[test]
fn a_phone_whose_user_cannot_be_reached() {
    // RFC 3665 §3.11
    named(
        "
        0.000 alice > proxy INVITE bob@biloxi.example.com
        0.010 proxy > proxy2 INVITE
        0.015 proxy > alice 100
        0.020 proxy2 > bob INVITE bob@bob
        0.025 proxy2 > proxy 100
        0.500 bob > proxy2 180
        0.505 proxy2 > proxy 180
        0.510 proxy > alice 180
        4.000 bob > proxy2 480
        4.001 proxy2 > bob ACK
        4.010 proxy2 > proxy 480
        4.011 proxy > proxy2 ACK
        4.020 proxy > alice 480
        4.021 alice > proxy ACK
        ",
    )
    .tells(
        "
        0.000 out alice Setup
        0.020 inb bob Setup
        0.500 inb bob Proceeding
        0.510 out alice Proceeding
        4.000 inb bob Disconnected/NoAnswer missed
        4.020 out alice Disconnected/NoAnswer
        ",
    );
}
