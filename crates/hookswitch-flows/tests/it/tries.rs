//! Callers who are refused and try again, which is one call.

use hookswitch_flows::ladder::ladder;

#[test]
fn the_same_request_goes_to_the_next_server_after_a_503() {
    // RFC 3263 §4.3: another branch, and nothing else.
    ladder(
        "
        0.000 alice > proxy INVITE 102
        0.010 proxy > alice 503
        0.020 alice > proxy ACK
        0.050 alice > proxy2 INVITE 102 cseq=1
        0.060 proxy2 > alice 100
        0.550 proxy2 > alice 180
        3.050 proxy2 > alice 200
        3.070 alice > proxy2 ACK
        9.000 alice > proxy2 BYE
        9.020 proxy2 > alice 200
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.050 inb 102 Setup
        0.550 inb 102 Proceeding
        0.550 out 101 Proceeding
        3.050 inb 102 Answered
        3.050 out 101 Answered
        9.000 out 101 Disconnected
        9.000 inb 102 Disconnected
        ",
    );
}

#[test]
fn every_server_says_503_and_the_call_fails_when_the_last_did() {
    ladder(
        "
        0.000 alice > proxy INVITE 102
        0.010 proxy > alice 503
        0.020 alice > proxy ACK
        0.050 alice > proxy2 INVITE 102 cseq=1
        0.060 proxy2 > alice 503
        0.070 alice > proxy2 ACK
        0.100 alice > proxy3 INVITE 102 cseq=1
        0.110 proxy3 > alice 503
        0.120 alice > proxy3 ACK
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.110 out 101 Disconnected/InternalError
        ",
    );
}

#[test]
fn a_phone_that_offers_encryption_only_offers_plain_media_next() {
    // RFC 3261 §21.4.26 and §8.1.3.5: the same call with the next CSeq.
    ladder(
        "
        0.000 alice > pbx INVITE 102
        0.010 pbx > alice 100
        0.020 pbx > alice 488
        0.030 alice > pbx ACK
        0.080 alice > pbx INVITE 102
        0.090 pbx > alice 100
        0.100 pbx > bob INVITE 102@bob call=2 from=101 name=Alice
        0.500 bob > pbx 180 call=2
        0.580 pbx > alice 180
        3.000 bob > pbx 200 call=2
        3.080 pbx > alice 200
        3.100 alice > pbx ACK
        9.000 alice > pbx BYE
        9.020 pbx > bob BYE call=2
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.100 inb 102 Setup
        0.500 inb 102 Proceeding
        0.580 out 101 Proceeding
        3.000 inb 102 Answered
        3.080 out 101 Answered
        9.000 out 101 Disconnected
        9.020 inb 102 Disconnected
        ",
    );
}

#[test]
fn an_extension_that_is_not_supported_is_left_out_of_the_next_try() {
    ladder(
        "
        0.000 alice > proxy INVITE 102
        0.010 proxy > bob INVITE 102@bob
        0.020 bob > proxy 420
        0.025 proxy > bob ACK
        0.030 proxy > alice 420
        0.040 alice > proxy ACK
        0.100 alice > proxy INVITE 102
        0.110 proxy > bob INVITE 102@bob
        0.500 bob > proxy 180
        0.510 proxy > alice 180
        2.000 bob > proxy 486
        2.010 proxy > bob ACK
        2.020 proxy > alice 486
        2.030 alice > proxy ACK
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.010 inb 102 Setup
        0.500 inb 102 Proceeding
        0.510 out 101 Proceeding
        2.000 inb 102 Disconnected/TargetBusy missed
        2.020 out 101 Disconnected/TargetBusy
        ",
    );
}

#[test]
fn a_switch_tries_the_next_carrier_with_the_same_request() {
    // The switch's own leg: one party, whatever the first carrier said.
    ladder(
        "
        0.000 alice > pbx INVITE +14155550123
        0.010 pbx > trunk INVITE +14155550123@trunk call=2 from=101 name=Alice
        0.030 trunk > pbx 503 call=2
        0.040 pbx > trunk ACK call=2
        0.050 pbx > gateway INVITE +14155550123@gateway call=2 cseq=1
        0.500 gateway > pbx 183 call=2
        0.510 pbx > alice 183
        3.000 gateway > pbx 200 call=2
        3.010 pbx > alice 200
        9.000 alice > pbx BYE
        9.010 pbx > gateway BYE call=2
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.010 inb +14155550123 Proceeding
        0.510 out 101 Proceeding
        3.000 inb +14155550123 Answered
        3.010 out 101 Answered
        9.000 out 101 Disconnected
        9.010 inb +14155550123 Disconnected
        ",
    );
}

#[test]
fn a_call_half_a_second_after_a_failed_one_is_another() {
    // The next try of the same call comes at once; a person who dials again takes longer.
    ladder(
        "
        0.000 alice > proxy INVITE 102
        0.010 proxy > alice 503
        0.020 alice > proxy ACK
        0.600 alice > proxy2 INVITE 102
        0.700 proxy2 > alice 180
        2.000 proxy2 > alice 486
        2.010 alice > proxy2 ACK
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.010 out 101 Disconnected/InternalError
        #2 0.600 out 101 Setup
        #2 0.600 inb 102 Setup
        #2 0.700 inb 102 Proceeding
        #2 0.700 out 101 Proceeding
        #2 2.000 inb 102 Disconnected/TargetBusy missed
        #2 2.000 out 101 Disconnected/TargetBusy
        ",
    );
}

#[test]
fn each_digit_that_is_dialled_is_the_next_try_of_one_call() {
    // RFC 3578: 484 only asks for more digits.
    ladder(
        "
        0.000 alice > trunk INVITE 555
        0.030 trunk > alice 484
        0.040 alice > trunk ACK
        0.800 alice > trunk INVITE 5550
        0.830 trunk > alice 484
        0.840 alice > trunk ACK
        4.000 alice > trunk INVITE 5550123
        4.010 trunk > alice 100
        4.500 trunk > alice 180
        6.200 trunk > alice 200
        6.220 alice > trunk ACK
        15.200 alice > trunk BYE
        15.220 trunk > alice 200
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        4.000 inb 5550123 Proceeding
        4.500 out 101 Proceeding
        6.200 inb 5550123 Answered
        6.200 out 101 Answered
        15.200 out 101 Disconnected
        15.200 inb 5550123 Disconnected
        ",
    );
}

#[test]
fn a_phone_dials_its_switch_digit_by_digit() {
    ladder(
        "
        0.000 alice > pbx INVITE 1
        0.010 pbx > alice 484
        0.020 alice > pbx ACK
        1.000 alice > pbx INVITE 10
        1.010 pbx > alice 484
        1.020 alice > pbx ACK
        2.000 alice > pbx INVITE 102
        2.050 pbx > bob INVITE 102@bob call=2 from=101 name=Alice
        2.500 bob > pbx 180 call=2
        2.510 pbx > alice 180
        3.000 bob > pbx 200 call=2
        3.010 pbx > alice 200
        9.000 bob > pbx BYE call=2
        9.010 pbx > alice BYE
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        2.050 inb 102 Setup
        2.500 inb 102 Proceeding
        2.510 out 101 Proceeding
        3.000 inb 102 Answered
        3.010 out 101 Answered
        9.000 inb 102 Disconnected
        9.010 out 101 Disconnected
        ",
    );
}

#[test]
fn a_switch_passes_the_digits_on_as_they_come() {
    // The number grows on both legs, and the callee is one party.
    ladder(
        "
        0.000 alice > pbx INVITE +1415555
        0.020 pbx > trunk INVITE +1415555@trunk call=2 from=101 name=Alice
        0.040 trunk > pbx 484 call=2
        0.045 pbx > trunk ACK call=2
        0.050 pbx > alice 484
        0.060 alice > pbx ACK
        1.000 alice > pbx INVITE +14155550123
        1.020 pbx > trunk INVITE +14155550123@trunk call=2
        1.500 trunk > pbx 180 call=2
        1.510 pbx > alice 180
        3.000 trunk > pbx 200 call=2
        3.010 pbx > alice 200
        9.000 alice > pbx BYE
        9.010 pbx > trunk BYE call=2
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.020 inb +1415555 Proceeding
        1.510 out 101 Proceeding
        3.000 inb +14155550123 Answered
        3.010 out 101 Answered
        9.000 out 101 Disconnected
        9.010 inb +14155550123 Disconnected
        ",
    );
}

#[test]
fn a_number_that_stays_incomplete_is_told_when_no_digit_has_come() {
    ladder(
        "
        0.000 alice > trunk INVITE +1415555
        0.030 trunk > alice 484
        0.040 alice > trunk ACK
        20.000 dave > pbx REGISTER
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.030 out 101 Disconnected/InvalidNumber
        ",
    );
}

#[test]
fn the_credentials_come_with_another_from_tag() {
    ladder(
        "
        0.000 alice > pbx INVITE 102
        0.010 pbx > alice 407 | Proxy-Authenticate: Digest realm=\"x\", nonce=\"n1\"
        0.020 alice > pbx ACK
        0.050 alice > pbx INVITE 102 fresh=yes | Proxy-Authorization: Digest nonce=\"n1\"
        0.055 pbx > alice 100
        0.100 pbx > bob INVITE 102@bob call=2 from=101 name=Alice
        0.500 bob > pbx 180 call=2
        0.510 pbx > alice 180
        5.000 bob > pbx 200 call=2
        5.020 pbx > alice 200
        5.030 alice > pbx ACK
        20.000 alice > pbx BYE
        20.020 pbx > bob BYE call=2
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.100 inb 102 Setup
        0.500 inb 102 Proceeding
        0.510 out 101 Proceeding
        5.000 inb 102 Answered
        5.020 out 101 Answered
        20.000 out 101 Disconnected
        20.020 inb 102 Disconnected
        ",
    );
}

#[test]
fn the_credentials_come_with_another_call_id() {
    // The nonce of the challenge says which call it is.
    ladder(
        "
        0.000 alice > pbx INVITE 102
        0.010 pbx > alice 401 | WWW-Authenticate: Digest realm=\"x\", nonce=\"n1\", qop=\"auth\"
        0.020 alice > pbx ACK
        0.050 alice > pbx INVITE 102 call=3 | Authorization: Digest username=\"101\", cnonce=\"z\", nonce=\"n1\"
        0.055 pbx > alice 100 call=3
        0.100 pbx > bob INVITE 102@bob call=2 from=101 name=Alice
        0.500 bob > pbx 180 call=2
        0.510 pbx > alice 180 call=3
        2.000 alice > pbx CANCEL call=3
        2.010 pbx > alice 200 call=3 for=CANCEL
        2.015 pbx > bob CANCEL call=2
        2.020 bob > pbx 487 call=2 for=INVITE
        2.030 pbx > alice 487 call=3 for=INVITE
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.100 inb 102 Setup
        0.500 inb 102 Proceeding
        0.510 out 101 Proceeding
        2.020 inb 102 Disconnected/Cancelled missed
        2.030 out 101 Disconnected
        ",
    );
}

#[test]
fn a_carrier_gets_the_credentials_in_a_call_with_another_call_id() {
    // On the leg of a switch.
    ladder(
        "
        0.000 alice > pbx INVITE +14155550123
        0.010 pbx > trunk INVITE +14155550123@trunk call=2 from=101 name=Alice
        0.030 trunk > pbx 407 call=2 | Proxy-Authenticate: Digest realm=\"x\", nonce=\"n2\"
        0.040 pbx > trunk ACK call=2
        0.060 pbx > trunk INVITE +14155550123@trunk call=3 from=101 name=Alice | Proxy-Authorization: Digest nonce=\"n2\"
        0.500 trunk > pbx 180 call=3
        0.510 pbx > alice 180
        3.000 trunk > pbx 200 call=3
        3.010 pbx > alice 200
        9.000 trunk > pbx BYE call=3
        9.010 pbx > alice BYE
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.010 inb +14155550123 Proceeding
        0.510 out 101 Proceeding
        3.000 inb +14155550123 Answered
        3.010 out 101 Answered
        9.000 inb +14155550123 Disconnected
        9.010 out 101 Disconnected
        ",
    );
}

#[test]
fn a_nonce_that_is_used_again_for_another_number_begins_another_call() {
    ladder(
        "
        0.000 alice > pbx INVITE 102
        0.010 pbx > alice 401 | WWW-Authenticate: Digest realm=\"x\", nonce=\"n1\"
        0.020 alice > pbx ACK
        3.000 alice > pbx INVITE 103 call=2 | Authorization: Digest nonce=\"n1\"
        3.500 pbx > alice 180 call=2
        5.000 pbx > alice 603 call=2
        40.000 dave > pbx REGISTER
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        32.010 out 101 Disconnected/NoAnswer
        #2 3.000 out 101 Setup
        #2 3.500 out 101 Proceeding
        #2 5.000 out 101 Disconnected/Rejected
        ",
    );
}

#[test]
fn the_credentials_come_with_the_to_tag_of_the_challenge() {
    ladder(
        "
        0.000 alice > pbx INVITE 102
        0.010 pbx > alice 407
        0.012 alice > pbx ACK
        0.020 alice > pbx INVITE 102 tag=pbx-0 | Proxy-Authorization: Digest nonce=\"x\"
        0.030 pbx > bob INVITE 102@bob call=2 from=101 name=Alice
        0.500 bob > pbx 180 call=2
        0.510 pbx > alice 180
        3.000 bob > pbx 200 call=2
        3.010 pbx > bob ACK call=2
        3.020 pbx > alice 200
        3.030 alice > pbx ACK
        9.000 alice > pbx BYE
        9.010 pbx > bob BYE call=2
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.030 inb 102 Setup
        0.500 inb 102 Proceeding
        0.510 out 101 Proceeding
        3.000 inb 102 Answered
        3.020 out 101 Answered
        9.000 out 101 Disconnected
        9.010 inb 102 Disconnected
        ",
    );
}
