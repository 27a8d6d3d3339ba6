//! Calls that a phone, a proxy or a switch forwards: all of them, when the phone is busy, or when nobody
//! answers.

use hookswitch_flows::ladder::ladder;

#[test]
fn a_phone_behind_a_switch_that_redirects() {
    // The 302 goes to the switch, which calls the new target and says for whom (Diversion, RFC 5806).
    ladder(
        "
        0.000 alice > pbx INVITE 102
        0.005 pbx > alice 100
        0.050 pbx > bob INVITE 102@bob call=2 from=101 name=Alice
        0.100 bob > pbx 302 call=2 | Contact: <sip:103@{pbx}>
        0.110 pbx > bob ACK call=2
        0.120 pbx > alice 181
        0.130 pbx > carol INVITE 103@carol call=3 from=101 name=Alice | Diversion: <sip:102@{pbx}>;reason=unconditional
        0.500 carol > pbx 180 call=3
        0.510 pbx > alice 180
        3.000 carol > pbx 200 call=3
        3.010 pbx > carol ACK call=3
        3.020 pbx > alice 200
        3.030 alice > pbx ACK
        9.000 alice > pbx BYE
        9.010 pbx > alice 200
        9.020 pbx > carol BYE call=3
        9.030 carol > pbx 200 call=3
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.050 inb 102 Setup
        0.100 inb 102 Disconnected/CallRedirected
        0.130 inb 103 Setup
        0.500 inb 103 Proceeding
        0.510 out 101 Proceeding
        3.000 inb 103 Answered
        3.020 out 101 Answered
        9.000 out 101 Disconnected
        9.020 inb 103 Disconnected
        ",
    );
}

#[test]
fn a_phone_that_redirects_to_another_phone_of_the_same_person() {
    // The 302 names the same user at another place: he is called all the time.
    ladder(
        "
        0.000 alice > bob INVITE 102
        0.100 bob > alice 302 | Contact: <sip:102@{bob:5070}>
        0.110 alice > bob ACK
        0.120 alice > bob:5070 INVITE 102
        0.500 bob:5070 > alice 180
        3.000 bob:5070 > alice 200
        3.010 alice > bob:5070 ACK
        9.000 bob:5070 > alice BYE
        9.010 alice > bob:5070 200
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
fn a_call_that_is_redirected_twice() {
    ladder(
        "
        0.000 alice > pbx INVITE 102
        0.050 pbx > bob INVITE 102@bob call=2 from=101 name=Alice
        0.100 bob > pbx 302 call=2 | Contact: <sip:103@{pbx}>
        0.110 pbx > bob ACK call=2
        0.130 pbx > carol INVITE 103@carol call=3 from=101 name=Alice | Diversion: <sip:102@{pbx}>;reason=unconditional
        0.180 carol > pbx 302 call=3 | Contact: <sip:914155550123@{pbx}>
        0.190 pbx > carol ACK call=3
        0.210 pbx > trunk INVITE +14155550123@trunk call=4 from=101 | Diversion: <sip:103@{pbx}>;reason=unconditional | Diversion: <sip:102@{pbx}>;reason=unconditional
        0.500 trunk > pbx 183 call=4
        0.510 pbx > alice 183
        3.000 trunk > pbx 200 call=4
        3.020 pbx > alice 200
        9.000 alice > pbx BYE
        9.020 pbx > trunk BYE call=4
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.050 inb 102 Setup
        0.100 inb 102 Disconnected/CallRedirected
        0.130 inb 103 Setup
        0.180 inb 103 Disconnected/CallRedirected
        0.210 inb +14155550123 Proceeding
        0.510 out 101 Proceeding
        3.000 inb +14155550123 Answered
        3.020 out 101 Answered
        9.000 out 101 Disconnected
        9.020 inb +14155550123 Disconnected
        ",
    );
}

#[test]
fn a_proxy_that_forwards_to_another_person() {
    // History-Info (RFC 7044) says for whom the call was; no leg was sent to him, so he is no party.
    ladder(
        "
        0.000 alice > proxy INVITE 102
        0.005 proxy > alice 100
        0.010 proxy > alice 181
        0.020 proxy > carol INVITE 103@carol | History-Info: <sip:102@example.com?Reason=SIP%3Bcause%3D302>;index=1 | History-Info: <sip:103@example.com>;index=1.1;mp=1
        0.500 carol > proxy 180
        0.510 proxy > alice 180
        3.000 carol > proxy 200
        3.010 proxy > alice 200
        3.020 alice > carol ACK
        9.000 carol > alice BYE
        9.010 alice > carol 200
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.020 inb 103 Setup
        0.500 inb 103 Proceeding
        0.510 out 101 Proceeding
        3.000 inb 103 Answered
        3.010 out 101 Answered
        9.000 inb 103 Disconnected
        9.000 out 101 Disconnected
        ",
    );
}

#[test]
fn a_switch_that_forwards_all_calls_of_a_user() {
    ladder(
        "
        0.000 alice > pbx INVITE 102
        0.010 pbx > alice 181
        0.050 pbx > carol INVITE 103@carol call=2 from=101 name=Alice | Diversion: <sip:102@{pbx}>;reason=unconditional;counter=1
        0.500 carol > pbx 180 call=2
        0.510 pbx > alice 180
        3.000 carol > pbx 200 call=2
        3.020 pbx > alice 200
        9.000 alice > pbx BYE
        9.020 pbx > carol BYE call=2
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.050 inb 103 Setup
        0.500 inb 103 Proceeding
        0.510 out 101 Proceeding
        3.000 inb 103 Answered
        3.020 out 101 Answered
        9.000 out 101 Disconnected
        9.020 inb 103 Disconnected
        ",
    );
}

#[test]
fn a_switch_that_forwards_when_the_phone_is_busy() {
    // Bob was tried and ends with his own reason; the Diversion header says that Carol is no member of a
    // group with him, so he missed the call.
    ladder(
        "
        0.000 alice > pbx INVITE 102
        0.050 pbx > bob INVITE 102@bob call=2 from=101 name=Alice
        0.100 bob > pbx 486 call=2
        0.110 pbx > bob ACK call=2
        0.120 pbx > alice 181
        0.130 pbx > carol INVITE 103@carol call=3 from=101 name=Alice | Diversion: <sip:102@{pbx}>;reason=user-busy;counter=1
        0.500 carol > pbx 180 call=3
        0.510 pbx > alice 180
        3.000 carol > pbx 200 call=3
        3.020 pbx > alice 200
        9.000 carol > pbx BYE call=3
        9.020 pbx > alice BYE
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.050 inb 102 Setup
        0.100 inb 102 Disconnected/TargetBusy missed
        0.130 inb 103 Setup
        0.500 inb 103 Proceeding
        0.510 out 101 Proceeding
        3.000 inb 103 Answered
        3.020 out 101 Answered
        9.000 inb 103 Disconnected
        9.020 out 101 Disconnected
        ",
    );
}

#[test]
fn a_switch_that_forwards_when_nobody_answers() {
    ladder(
        "
        0.000 alice > pbx INVITE 102
        0.050 pbx > bob INVITE 102@bob call=2 from=101 name=Alice
        0.500 bob > pbx 180 call=2
        0.510 pbx > alice 180
        15.000 pbx > bob CANCEL call=2
        15.010 bob > pbx 200 for=CANCEL call=2
        15.020 bob > pbx 487 call=2
        15.030 pbx > bob ACK call=2
        15.040 pbx > alice 181
        15.050 pbx > carol INVITE 103@carol call=3 from=101 name=Alice | Diversion: <sip:102@{pbx}>;reason=no-answer;counter=1
        15.500 carol > pbx 180 call=3
        18.000 carol > pbx 200 call=3
        18.020 pbx > alice 200
        25.000 alice > pbx BYE
        25.020 pbx > carol BYE call=3
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.050 inb 102 Setup
        0.500 inb 102 Proceeding
        0.510 out 101 Proceeding
        15.020 inb 102 Disconnected/NoAnswer missed
        15.050 inb 103 Setup
        15.500 inb 103 Proceeding
        18.000 inb 103 Answered
        18.020 out 101 Answered
        25.000 out 101 Disconnected
        25.020 inb 103 Disconnected
        ",
    );
}

#[test]
fn a_switch_that_calls_desk_phone_and_mobile_at_once() {
    // Find-me in parallel: the mobile is an outside number, and who answers there has not missed the call.
    ladder(
        "
        0.000 alice > pbx INVITE 102
        0.050 pbx > bob INVITE 102@bob call=2 from=101 name=Alice
        0.060 pbx > trunk INVITE +14155550123@trunk call=3 from=101 name=Alice | Diversion: <sip:102@{pbx}>;reason=follow-me
        0.500 bob > pbx 180 call=2
        0.510 pbx > alice 180
        1.500 trunk > pbx 183 call=3
        6.000 trunk > pbx 200 call=3
        6.010 pbx > bob CANCEL call=2 | Reason: SIP;cause=200;text=\"Call completed elsewhere\"
        6.020 pbx > alice 200
        6.030 bob > pbx 200 for=CANCEL call=2
        6.040 bob > pbx 487 call=2
        9.000 alice > pbx BYE
        9.020 pbx > trunk BYE call=3
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.050 inb 102 Setup
        0.060 inb +14155550123 Proceeding
        0.500 inb 102 Proceeding
        0.510 out 101 Proceeding
        6.000 inb +14155550123 Answered
        6.020 out 101 Answered
        6.040 inb 102 Disconnected
        9.000 out 101 Disconnected
        9.020 inb +14155550123 Disconnected
        ",
    );
}

#[test]
fn a_forwarded_call_from_outside_that_nobody_answers() {
    // Each target that was tried ends with its own reason, the caller with that of the last.
    ladder(
        "
        0.000 trunk > pbx INVITE +14155559002
        0.050 pbx > bob INVITE 102@bob call=2 from=+14155550100
        0.100 bob > pbx 486 call=2
        0.110 pbx > bob ACK call=2
        0.130 pbx > carol INVITE 103@carol call=3 from=+14155550100 | Diversion: <sip:102@{pbx}>;reason=user-busy
        0.500 carol > pbx 180 call=3
        0.510 pbx > trunk 180
        20.000 pbx > carol CANCEL call=3
        20.010 carol > pbx 200 call=3 for=CANCEL
        20.020 carol > pbx 487 call=3
        20.030 pbx > trunk 480
        20.040 trunk > pbx ACK
        ",
    )
    .tells(
        "
        0.000 out +14155550100 Setup
        0.050 inb 102 Setup
        0.100 inb 102 Disconnected/TargetBusy missed
        0.130 inb 103 Setup
        0.500 inb 103 Proceeding
        0.510 out +14155550100 Proceeding
        20.020 inb 103 Disconnected/NoAnswer missed
        20.030 out +14155550100 Disconnected/NoAnswer
        ",
    );
}

#[test]
fn a_switch_forwards_an_unanswered_call_and_shows_its_own_number() {
    // Of the caller nothing is left: the leg is known by who diverts it (RFC 5806), whose phone had rung.
    ladder(
        "
        0.000 trunk > pbx INVITE +14155559102
        0.050 pbx > bob INVITE 102 call=2 from=+14155550100
        0.500 bob > pbx 180 call=2
        0.510 pbx > trunk 180
        15.000 pbx > bob CANCEL call=2
        15.010 bob > pbx 487 call=2 for=INVITE
        15.300 pbx > trunk INVITE +14155551234 call=3 from=+14155559000 | Diversion: <sip:{user=102}@{pbx}>;reason=no-answer
        16.000 trunk > pbx 183 call=3
        20.000 trunk > pbx 200 call=3
        20.010 pbx > trunk ACK call=3
        20.020 pbx > trunk 200
        20.030 trunk > pbx ACK
        30.000 trunk > pbx BYE
        30.020 pbx > trunk BYE call=3
        ",
    )
    .tells(
        "
        0.000 out +14155550100 Setup
        0.050 inb 102 Setup
        0.500 inb 102 Proceeding
        0.510 out +14155550100 Proceeding
        15.010 inb 102 Disconnected/NoAnswer missed
        15.300 inb +14155551234 Proceeding
        20.000 inb +14155551234 Answered
        20.020 out +14155550100 Answered
        30.000 out +14155550100 Disconnected
        30.020 inb +14155551234 Disconnected
        ",
    );
}

#[test]
fn a_switch_forwards_at_once_and_its_history_says_from_where() {
    // RFC 7044: no phone was called at the number that was dialled.
    ladder(
        "
        0.000 trunk > pbx INVITE +14155559102
        0.030 pbx > gateway INVITE +14155551234 call=3 from=+14155559000 | History-Info: <sip:{user=+14155559102}@{pbx}>;index=1 | History-Info: <sip:{user=+14155551234}@{gateway}>;index=1.1
        1.000 gateway > pbx 180 call=3
        1.010 pbx > trunk 180
        5.000 gateway > pbx 200 call=3
        5.020 pbx > trunk 200
        9.000 gateway > pbx BYE call=3
        9.020 pbx > trunk BYE
        ",
    )
    .tells(
        "
        0.000 out +14155550100 Setup
        0.030 inb +14155551234 Proceeding
        1.010 out +14155550100 Proceeding
        5.000 inb +14155551234 Answered
        5.020 out +14155550100 Answered
        9.000 inb +14155551234 Disconnected
        9.020 out +14155550100 Disconnected
        ",
    );
}

#[test]
fn a_call_that_is_forwarded_twice_inside_the_switch_names_who_was_called_first() {
    ladder(
        "
        0.000 alice > pbx INVITE 102
        0.050 pbx > bob INVITE 102 call=2 from=101
        0.500 bob > pbx 180 call=2
        0.510 pbx > alice 180
        12.000 pbx > bob CANCEL call=2
        12.010 bob > pbx 487 call=2 for=INVITE
        12.200 pbx > trunk INVITE +14155551234 call=3 from=+14155559000 | Diversion: <sip:{user=103}@{pbx}>;reason=unconditional | Diversion: <sip:{user=102}@{pbx}>;reason=no-answer
        13.000 trunk > pbx 180 call=3
        15.000 alice > pbx CANCEL
        15.010 pbx > alice 487 for=INVITE
        15.020 pbx > trunk CANCEL call=3
        15.030 trunk > pbx 487 call=3 for=INVITE
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.050 inb 102 Setup
        0.500 inb 102 Proceeding
        0.510 out 101 Proceeding
        12.010 inb 102 Disconnected/NoAnswer missed
        12.200 inb +14155551234 Proceeding
        15.010 inb +14155551234 Disconnected/Cancelled
        15.010 out 101 Disconnected
        ",
    );
}

#[test]
fn a_diverted_call_is_not_joined_to_another_that_still_rings() {
    // Two people call 102; the first call is the one that is forwarded, and its leg could be either's.
    ladder(
        "
        0.000 alice > pbx INVITE 102
        0.050 pbx > bob INVITE 102 call=2 from=101
        0.500 bob > pbx 180 call=2
        5.000 carol > pbx INVITE 102 call=3
        5.050 pbx > bob INVITE 102 call=4 from=103
        5.500 bob > pbx 180 call=4
        12.000 pbx > bob CANCEL call=2
        12.010 bob > pbx 487 call=2 for=INVITE
        12.030 pbx > trunk INVITE +14155551234 call=5 from=+14155559000 | Diversion: <sip:{user=102}@{pbx}>;reason=no-answer
        13.000 trunk > pbx 180 call=5
        15.000 trunk > pbx 200 call=5
        15.020 pbx > alice 200
        18.000 carol > pbx CANCEL call=3
        18.010 pbx > carol 487 call=3 for=INVITE
        18.020 pbx > bob CANCEL call=4
        18.030 bob > pbx 487 call=4 for=INVITE
        30.000 alice > pbx BYE
        30.020 pbx > trunk BYE call=5
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.050 inb 102 Setup
        0.500 inb 102 Proceeding
        #2 5.000 out 103 Setup
        #2 5.050 inb 102 Setup
        #2 5.500 inb 102 Proceeding
        12.010 inb 102 Disconnected/NoAnswer missed
        12.030 inb +14155551234 Proceeding
        15.000 inb +14155551234 Answered
        15.020 out 101 Answered
        #2 18.010 inb 102 Disconnected/Cancelled missed
        #2 18.010 out 103 Disconnected
        30.000 out 101 Disconnected
        30.020 inb +14155551234 Disconnected
        ",
    );
}
