//! Recording sessions (SIPREC, RFC 7866), which are no calls: they show on who is recorded.

use hookswitch_flows::ladder::ladder;

#[test]
fn a_switch_records_a_call_from_its_answer_on() {
    ladder(
        "
        0.000 alice > pbx INVITE 102
        0.050 pbx > bob INVITE 102 call=2 from=101 name=Alice
        0.500 bob > pbx 180 call=2
        0.510 pbx > alice 180
        5.000 bob > pbx 200 call=2
        5.010 pbx > bob ACK call=2
        5.020 pbx > alice 200
        5.030 alice > pbx ACK
        5.070 pbx > recorder INVITE recorder call=3 features=+sip.src | Require: siprec | Content-Type: application/rs-metadata+xml || <recording><participant><nameID aor='sip:{user=101}@example.com'/></participant><participant><nameID aor='sip:{user=102}@example.com'/></participant></recording>
        5.170 recorder > pbx 200 call=3 sdp=recvonly
        5.190 pbx > recorder ACK call=3
        20.000 alice > pbx BYE
        20.010 pbx > alice 200
        20.020 pbx > bob BYE call=2
        20.030 bob > pbx 200 call=2
        20.040 pbx > recorder BYE call=3
        20.050 recorder > pbx 200 call=3
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.050 inb 102 Setup
        0.500 inb 102 Proceeding
        0.510 out 101 Proceeding
        5.000 inb 102 Answered
        5.020 out 101 Answered
        5.170 out 101 Answered recorded
        5.170 inb 102 Answered recorded
        20.000 out 101 Disconnected recorded
        20.020 inb 102 Disconnected recorded
        ",
    );
}

#[test]
fn a_recorder_that_answers_while_the_phone_rings_answers_for_nobody() {
    ladder(
        "
        0.000 alice > pbx INVITE 102
        0.050 pbx > bob INVITE 102 call=2 from=101 name=Alice
        0.300 pbx > recorder INVITE recorder call=3 from=101 to=102 features=+sip.src | Require: siprec
        0.310 recorder > pbx 100 call=3
        0.400 recorder > pbx 200 call=3
        0.420 pbx > recorder ACK call=3
        0.500 bob > pbx 180 call=2
        0.510 pbx > alice 180
        5.000 bob > pbx 200 call=2
        5.010 pbx > bob ACK call=2
        5.020 pbx > alice 200
        5.030 alice > pbx ACK
        20.000 alice > pbx BYE
        20.020 pbx > bob BYE call=2
        20.040 pbx > recorder BYE call=3
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.050 inb 102 Setup
        0.500 inb 102 Proceeding recorded
        0.510 out 101 Proceeding recorded
        5.000 inb 102 Answered recorded
        5.020 out 101 Answered recorded
        20.000 out 101 Disconnected recorded
        20.020 inb 102 Disconnected recorded
        ",
    );
}

#[test]
fn a_recording_is_paused_and_ends_before_the_call() {
    // The recorder is found through a proxy, which asks the switch for credentials; the call is named by its Call-ID.
    ladder(
        "
        0.000 alice > pbx INVITE 102
        0.050 pbx > bob INVITE 102 call=2 from=101 name=Alice
        0.500 bob > pbx 180 call=2
        0.510 pbx > alice 180
        5.000 bob > pbx 200 call=2
        5.010 pbx > bob ACK call=2
        5.020 pbx > alice 200
        5.030 alice > pbx ACK
        6.000 pbx > proxy INVITE recorder call=3 | Contact: <sip:10.0.200.20:5060>;+sip.src | Content-Type: application/rs-metadata+xml || <recording><session><sipSessionID>{id=1@alice}</sipSessionID></session></recording>
        6.010 proxy > pbx 407 call=3
        6.020 pbx > proxy ACK call=3
        6.030 pbx > proxy INVITE recorder call=3 | Contact: <sip:10.0.200.20:5060>;+sip.src | Content-Type: application/rs-metadata+xml || <recording><session><sipSessionID>{id=1@alice}</sipSessionID></session></recording>
        6.040 proxy > recorder INVITE recorder@recorder call=3 | Contact: <sip:10.0.200.20:5060>;+sip.src | Content-Type: application/rs-metadata+xml || <recording><session><sipSessionID>{id=1@alice}</sipSessionID></session></recording>
        6.100 recorder > proxy 200 call=3 sdp=recvonly
        6.110 proxy > pbx 200 call=3 sdp=recvonly
        6.120 pbx > recorder ACK call=3
        8.000 pbx > recorder INVITE call=3 in=3 sdp=inactive
        8.010 recorder > pbx 200 call=3 sdp=inactive
        8.020 pbx > recorder ACK call=3
        12.000 pbx > recorder UPDATE call=3 in=3 sdp=sendonly
        12.010 recorder > pbx 200 call=3 sdp=recvonly
        15.000 recorder > pbx BYE call=3
        15.010 pbx > recorder 200 call=3
        20.000 alice > pbx BYE
        20.020 pbx > bob BYE call=2
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.050 inb 102 Setup
        0.500 inb 102 Proceeding
        0.510 out 101 Proceeding
        5.000 inb 102 Answered
        5.020 out 101 Answered
        6.100 out 101 Answered recorded
        6.100 inb 102 Answered recorded
        8.010 out 101 Answered
        8.010 inb 102 Answered
        12.010 out 101 Answered recorded
        12.010 inb 102 Answered recorded
        15.000 out 101 Answered
        15.000 inb 102 Answered
        20.000 out 101 Disconnected
        20.020 inb 102 Disconnected
        ",
    );
}

#[test]
fn a_phone_has_its_own_calls_recorded_and_only_that_call_shows_it() {
    // Bob has two calls; the recording names the caller of the second.
    ladder(
        "
        0.000 alice > bob INVITE 102
        0.500 bob > alice 180
        2.000 bob > alice 200
        2.010 alice > bob ACK
        3.000 carol > bob INVITE 102 call=2
        3.500 bob > carol 180 call=2
        4.000 bob > alice INVITE in=1 sdp=sendonly
        4.010 alice > bob 200 sdp=recvonly
        4.020 bob > alice ACK
        5.000 bob > carol 200 call=2
        5.010 carol > bob ACK call=2
        6.000 bob > recorder INVITE recorder call=3 | Require: siprec | Content-Type: application/rs-metadata || <rs:recording><rs:nameID aor='sip:{user=102}@example.com'></rs:nameID><rs:nameID aor='sip:{user=103}@example.com'/></rs:recording>
        6.100 recorder > bob 200 call=3 sdp=recvonly
        6.120 bob > recorder ACK call=3
        9.000 carol > bob BYE call=2
        9.010 bob > recorder BYE call=3
        12.000 alice > bob BYE
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.000 inb 102 Setup
        0.500 inb 102 Proceeding
        0.500 out 101 Proceeding
        2.000 inb 102 Answered
        2.000 out 101 Answered
        #2 3.000 out 103 Setup
        #2 3.000 inb 102 Setup
        #2 3.500 inb 102 Proceeding
        #2 3.500 out 103 Proceeding
        4.010 inb 102 Hold
        #2 5.000 inb 102 Answered
        #2 5.000 out 103 Answered
        #2 6.100 out 103 Answered recorded
        #2 6.100 inb 102 Answered recorded
        #2 9.000 out 103 Disconnected recorded
        #2 9.000 inb 102 Disconnected recorded
        12.000 out 101 Disconnected
        12.000 inb 102 Disconnected
        ",
    );
}

#[test]
fn a_recording_of_a_call_that_is_not_seen_tells_nothing() {
    // The participants have calls, but none with each other.
    ladder(
        "
        0.000 alice > bob INVITE 102
        2.000 bob > alice 200
        2.010 alice > bob ACK
        3.000 pbx > recorder INVITE recorder call=3 features=+sip.src | Require: siprec | Content-Type: application/rs-metadata+xml || <recording><nameID aor='sip:{user=101}@example.com'/><nameID aor='sip:{user=104}@example.com'/></recording>
        3.100 recorder > pbx 200 call=3 sdp=recvonly
        3.120 pbx > recorder ACK call=3
        5.000 pbx > recorder BYE call=3
        9.000 alice > bob BYE
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.000 inb 102 Setup
        2.000 inb 102 Answered
        2.000 out 101 Answered
        9.000 out 101 Disconnected
        9.000 inb 102 Disconnected
        ",
    );
}
