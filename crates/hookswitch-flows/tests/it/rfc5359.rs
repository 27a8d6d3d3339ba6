//! The services of RFC 5359 section 2, message by message.
//!
//! In the RFC, many end while people still talk; so do they here.

use hookswitch_flows::ladder::named;

#[test]
fn a_callee_who_holds_and_takes_the_call_back() {
    // RFC 5359 §2.1 Call Hold
    named(
        "
        0.000 alice > proxy INVITE bob@biloxi.example.com
        0.010 proxy > bob INVITE bob@bob
        0.015 proxy > alice 100
        0.500 bob > proxy 180
        0.510 proxy > alice 180
        3.000 bob > proxy 200
        3.010 proxy > alice 200 sdp=same media=bob
        3.020 alice > proxy ACK
        3.030 proxy > bob ACK
        5.000 bob > proxy INVITE sdp=sendonly features=+sip.rendering=\"no\"
        5.010 proxy > alice INVITE sdp=same media=bob features=+sip.rendering=\"no\"
        5.020 alice > proxy 200 sdp=recvonly
        5.030 proxy > bob 200 sdp=same media=alice
        5.040 bob > proxy ACK
        5.050 proxy > alice ACK
        8.000 bob > proxy INVITE sdp=sendrecv
        8.010 proxy > alice INVITE sdp=same media=bob
        8.020 alice > proxy 200
        8.030 proxy > bob 200 sdp=same media=alice
        8.040 bob > proxy ACK
        8.050 proxy > alice ACK
        9.000 alice > proxy BYE
        9.010 proxy > bob BYE
        9.020 bob > proxy 200
        9.030 proxy > alice 200
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
        5.020 inb bob Hold
        8.020 inb bob Answered
        9.000 out alice Disconnected
        9.000 inb bob Disconnected
        ",
    );
}

#[test]
fn a_callee_who_asks_somebody_during_a_hold() {
    // RFC 5359 §2.2 Consultation Hold
    named(
        "
        0.000 alice > proxy INVITE bob@biloxi.example.com
        0.010 proxy > bob INVITE bob@bob
        0.015 proxy > alice 100
        0.500 bob > proxy 180
        0.510 proxy > alice 180
        3.000 bob > proxy 200
        3.010 proxy > alice 200 sdp=same media=bob
        3.020 alice > proxy ACK
        3.030 proxy > bob ACK
        5.000 bob > proxy INVITE sdp=sendonly features=+sip.rendering=\"no\"
        5.010 proxy > alice INVITE sdp=same media=bob features=+sip.rendering=\"no\"
        5.020 alice > proxy 200 sdp=recvonly
        5.030 proxy > bob 200 sdp=same media=alice
        5.040 bob > proxy ACK
        5.050 proxy > alice ACK
        6.000 bob > proxy INVITE carol@chicago.example.com call=2
        6.010 proxy > carol INVITE carol@carol call=2
        6.015 proxy > bob 100 call=2
        6.500 carol > proxy 180 call=2
        6.510 proxy > bob 180 call=2
        8.000 carol > proxy 200 call=2
        8.010 proxy > bob 200 call=2 sdp=same media=carol
        8.020 bob > proxy ACK call=2
        8.030 proxy > carol ACK call=2
        12.000 bob > proxy BYE call=2
        12.010 proxy > carol BYE call=2
        12.020 carol > proxy 200 call=2
        12.030 proxy > bob 200 call=2
        13.000 bob > proxy INVITE sdp=sendrecv
        13.010 proxy > alice INVITE sdp=same media=bob
        13.020 alice > proxy 200
        13.030 proxy > bob 200 sdp=same media=alice
        13.040 bob > proxy ACK
        13.050 proxy > alice ACK
        15.000 alice > proxy BYE
        15.010 proxy > bob BYE
        15.020 bob > proxy 200
        15.030 proxy > alice 200
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
        5.020 inb bob Hold
        #2 6.000 out bob Setup
        #2 6.010 inb carol Setup
        #2 6.500 inb carol Proceeding
        #2 6.510 out bob Proceeding
        #2 8.000 inb carol Answered
        #2 8.010 out bob Answered
        #2 12.000 out bob Disconnected
        #2 12.000 inb carol Disconnected
        13.020 inb bob Answered
        15.000 out alice Disconnected
        15.000 inb bob Disconnected
        ",
    );
}

#[test]
fn a_music_server_that_takes_the_place_of_who_holds_is_nobody() {
    // RFC 5359 §2.3 Music on Hold: until Bob takes Alice back from the server, he holds.
    named(
        "
        0.000 alice > bob INVITE bob@biloxi.example.com
        0.500 bob > alice 180
        3.000 bob > alice 200
        3.010 alice > bob ACK
        5.000 bob > alice INVITE sdp=sendonly features=+sip.rendering=\"no\"
        5.010 alice > bob 200 sdp=recvonly
        5.020 bob > alice ACK
        5.100 bob > music REFER music@server.example.com call=2 | Refer-To: <sip:a8342043f@atlanta.example.com;gr?Replaces={escaped=1@alice}&Require=replaces> | Referred-By: <sip:bob@biloxi.example.com>
        5.110 music > bob 202 call=2
        5.120 music > bob NOTIFY call=2 frag=100
        5.130 bob > music 200 call=2
        5.200 music > alice INVITE a8342043f@atlanta.example.com;gr call=3 features=automaton;+sip.byeless;+sip.rendering=\"no\" | Require: replaces | Replaces: {replaces=1@alice} | Referred-By: <sip:bob@biloxi.example.com>
        5.210 alice > music 200 call=3
        5.220 music > alice ACK call=3
        5.230 alice > bob BYE
        5.240 bob > alice 200
        5.250 music > bob NOTIFY call=2 frag=200
        5.260 bob > music 200 call=2
        20.000 bob > alice INVITE a8342043f@atlanta.example.com;gr call=4 | Require: replaces | Replaces: {replaces=3@alice}
        20.010 alice > bob 200 call=4
        20.020 bob > alice ACK call=4
        20.030 alice > music BYE call=3
        20.040 music > alice 200 call=3
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
        5.010 inb bob Hold
        20.010 inb bob Answered
        ",
    );
}

#[test]
fn a_callee_who_transfers_the_caller_and_leaves() {
    // RFC 5359 §2.4 Transfer - Unattended
    named(
        "
        0.000 bob > alice INVITE alice@atlanta.example.com
        0.500 alice > bob 180
        3.000 alice > bob 200
        3.010 bob > alice ACK
        5.000 alice > bob REFER | Refer-To: <sip:carol@chicago.example.com> | Referred-By: <sip:alice@atlanta.example.com>
        5.010 bob > alice 202
        5.020 bob > alice NOTIFY frag=100
        5.030 alice > bob 200
        5.040 alice > bob BYE
        5.050 bob > alice 200
        5.100 bob > carol INVITE carol@chicago.example.com call=2 | Referred-By: <sip:alice@atlanta.example.com>
        5.600 carol > bob 180 call=2
        8.000 carol > bob 200 call=2
        8.010 bob > carol ACK call=2
        8.020 bob > alice NOTIFY frag=200
        8.030 alice > bob 200
        ",
    )
    .tells(
        "
        0.000 out bob Setup
        0.000 inb alice Setup
        0.500 inb alice Proceeding
        0.500 out bob Proceeding
        3.000 inb alice Answered
        3.000 out bob Answered
        5.040 inb alice Disconnected/BlindTransfer
        5.100 inb carol Setup
        5.600 inb carol Proceeding
        8.000 inb carol Answered
        ",
    );
}

#[test]
fn a_callee_who_transfers_the_caller_after_asking_the_target() {
    // RFC 5359 §2.5 Transfer - Attended: complete when Carol, whose call with Bob was replaced, leaves him.
    named(
        "
        0.000 alice > bob INVITE bob@biloxi.example.com
        0.500 bob > alice 180
        3.000 bob > alice 200
        3.010 alice > bob ACK
        5.000 bob > alice INVITE sdp=sendonly features=+sip.rendering=\"no\"
        5.010 alice > bob 200 sdp=recvonly
        5.020 bob > alice ACK
        6.000 bob > carol INVITE carol@chicago.example.com call=2
        6.500 carol > bob 180 call=2
        8.000 carol > bob 200 call=2 | Contact: <sip:39itp34klkd@chicago.example.com;gr>
        8.010 bob > carol ACK call=2
        10.000 bob > carol INVITE call=2 sdp=sendonly features=+sip.rendering=\"no\"
        10.010 carol > bob 200 call=2 sdp=recvonly
        10.020 bob > carol ACK call=2
        10.100 bob > alice REFER | Refer-To: <sip:39itp34klkd@chicago.example.com;gr?Replaces={escaped=2@carol}&Require=replaces> | Referred-By: <sip:bob@biloxi.example.com>
        10.110 alice > bob 202
        10.120 alice > bob NOTIFY frag=100
        10.130 bob > alice 200
        10.200 alice > carol INVITE 39itp34klkd@chicago.example.com;gr call=3 | Require: replaces | Replaces: {replaces=2@carol} | Referred-By: <sip:bob@biloxi.example.com>
        10.210 carol > alice 200 call=3
        10.220 alice > carol ACK call=3
        10.230 carol > bob BYE call=2
        10.240 bob > carol 200 call=2
        10.250 alice > bob NOTIFY frag=200
        10.260 bob > alice 200
        10.270 bob > alice BYE
        10.280 alice > bob 200
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
        5.010 inb bob Hold
        #2 6.000 out bob Setup
        #2 6.000 inb carol Setup
        #2 6.500 inb carol Proceeding
        #2 6.500 out bob Proceeding
        #2 8.000 inb carol Answered
        #2 8.000 out bob Answered
        #2 10.010 out bob Hold
        10.230 inb bob Gone/AttendedTransfer to #2 out bob
        #2 10.230 out bob Gone/AttendedTransfer to #1 inb bob
        ",
    );
}

#[test]
fn a_call_that_another_takes_over_after_a_message() {
    // RFC 5359 §2.6 Transfer - Instant Messaging: the message offers Bob's call to Carol, who takes it.
    named(
        "
        0.000 alice > bob INVITE bob@biloxi.example.com
        0.500 bob > alice 180
        3.000 bob > alice 200
        3.010 alice > bob ACK
        5.000 bob > carol MESSAGE carol@chicago.example.com call=2 | Content-Type: text/html || <html>Do you take this? <a href=\"sip:a8342043f@atlanta.example.com;gr?Replaces={escaped=1@alice}&Require=replaces\">Alice</a></html>
        5.010 carol > bob 200 call=2
        9.000 carol > alice INVITE a8342043f@atlanta.example.com;gr call=3 | Require: replaces | Replaces: {replaces=1@alice}
        9.010 alice > carol 200 call=3
        9.020 carol > alice ACK call=3
        9.030 alice > bob BYE
        9.040 bob > alice 200
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
        9.000 inb carol Setup
        9.010 inb carol Answered
        9.030 inb bob Disconnected/BlindTransfer
        ",
    );
}

#[test]
fn a_proxy_that_forwards_all_calls_of_a_user_to_an_outside_number() {
    // RFC 5359 §2.7 Call Forwarding Unconditional: no leg was sent to Bob, so he is no party.
    named(
        "
        0.000 alice > proxy INVITE bob@biloxi.example.com
        0.005 proxy > alice 100
        0.010 proxy > alice 181
        0.020 proxy > gateway INVITE +19727293660@gateway
        0.500 gateway > proxy 180
        0.510 proxy > alice 180
        3.000 gateway > proxy 200
        3.010 proxy > alice 200 sdp=same media=gateway
        3.020 alice > proxy ACK
        3.030 proxy > gateway ACK
        9.000 alice > proxy BYE
        9.010 proxy > gateway BYE
        9.020 gateway > proxy 200
        9.030 proxy > alice 200
        ",
    )
    .tells(
        "
        0.000 out alice Setup
        0.020 inb +19727293660 Proceeding
        0.510 out alice Proceeding
        3.000 inb +19727293660 Answered
        3.010 out alice Answered
        9.000 out alice Disconnected
        9.000 inb +19727293660 Disconnected
        ",
    );
}

#[test]
fn a_proxy_that_goes_on_to_the_second_phone_when_the_first_is_busy() {
    // RFC 5359 §2.8 Call Forwarding - Busy: both phones are Bob's, so he is called all the time.
    named(
        "
        0.000 alice > proxy INVITE bob@biloxi.example.com
        0.010 proxy > bob INVITE bob@bob
        0.015 proxy > alice 100
        0.100 bob > proxy 486
        0.110 proxy > bob ACK
        0.120 proxy > alice 181
        0.130 proxy > bob:5070 INVITE bob@bob:5070
        0.500 bob:5070 > proxy 180
        0.510 proxy > alice 180
        3.000 bob:5070 > proxy 200
        3.010 proxy > alice 200 sdp=same media=bob:5070
        3.020 alice > proxy ACK
        3.030 proxy > bob:5070 ACK
        9.000 alice > proxy BYE
        9.010 proxy > bob:5070 BYE
        9.020 bob:5070 > proxy 200
        9.030 proxy > alice 200
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
fn a_proxy_that_goes_on_to_the_second_phone_when_nobody_answers_the_first() {
    // RFC 5359 §2.9 Call Forwarding - No Answer
    named(
        "
        0.000 alice > proxy INVITE bob@biloxi.example.com
        0.010 proxy > bob INVITE bob@bob
        0.015 proxy > alice 100
        0.500 bob > proxy 180
        0.510 proxy > alice 180
        15.000 proxy > bob CANCEL
        15.010 bob > proxy 200 for=CANCEL
        15.020 bob > proxy 487
        15.030 proxy > bob ACK
        15.035 proxy > alice 181
        15.040 proxy > bob:5070 INVITE bob@bob:5070
        15.500 bob:5070 > proxy 180
        15.510 proxy > alice 180
        18.000 bob:5070 > proxy 200
        18.010 proxy > alice 200 sdp=same media=bob:5070
        18.020 alice > proxy ACK
        18.030 proxy > bob:5070 ACK
        25.000 alice > proxy BYE
        25.010 proxy > bob:5070 BYE
        25.020 bob:5070 > proxy 200
        25.030 proxy > alice 200
        ",
    )
    .tells(
        "
        0.000 out alice Setup
        0.010 inb bob Setup
        0.500 inb bob Proceeding
        0.510 out alice Proceeding
        18.000 inb bob Answered
        18.010 out alice Answered
        25.000 out alice Disconnected
        25.000 inb bob Disconnected
        ",
    );
}

#[test]
fn a_callee_who_mixes_a_third_in_has_two_calls() {
    // RFC 5359 §2.10 3-Way Conference - Third Party Is Added: Bob's mixer is the focus of both dialogs,
    // and each is a call of his.
    named(
        "
        0.000 alice > bob INVITE bob@biloxi.example.com
        0.500 bob > alice 180
        3.000 bob > alice 200
        3.010 alice > bob ACK
        5.000 bob > alice INVITE sdp=sendrecv contact=bob-Mixer features=isfocus
        5.010 alice > bob 200
        5.020 bob > alice ACK
        6.000 bob > carol INVITE carol@chicago.example.com call=2 contact=bob-Mixer features=isfocus
        6.500 carol > bob 180 call=2
        8.000 carol > bob 200 call=2
        8.010 bob > carol ACK call=2
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
        #2 6.000 out bob Setup
        #2 6.000 inb carol Setup
        #2 6.500 inb carol Proceeding
        #2 6.500 out bob Proceeding
        #2 8.000 inb carol Answered
        #2 8.000 out bob Answered
        ",
    );
}

#[test]
fn a_third_who_joins_a_call() {
    // RFC 5359 §2.11 3-Way Conference - Third Party Joins: the Join header names the session.
    named(
        "
        0.000 alice > bob INVITE bob@biloxi.example.com
        0.500 bob > alice 180
        3.000 bob > alice 200
        3.010 alice > bob ACK
        6.000 carol > bob INVITE bob@biloxi.example.com call=2 | Join: {replaces=1@bob}
        6.100 bob > carol 180 call=2 contact=bob-Mixer features=isfocus
        6.200 bob > alice INVITE sdp=sendrecv contact=bob-Mixer features=isfocus
        6.210 alice > bob 200
        6.220 bob > alice ACK
        6.300 bob > carol 200 call=2 contact=bob-Mixer features=isfocus
        6.310 carol > bob ACK call=2
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
        6.000 out carol Setup
        6.100 out carol Proceeding
        6.300 out carol Answered
        ",
    );
}

#[test]
fn a_proxy_that_looks_for_somebody_on_one_phone_after_the_other() {
    // RFC 5359 §2.12 Find-Me: one person, whatever the first three phones say.
    named(
        "
        0.000 alice > proxy INVITE bob@biloxi.example.com
        0.010 proxy > bob INVITE bob@bob
        0.015 proxy > alice 100
        0.500 bob > proxy 180
        0.510 proxy > alice 180
        15.000 proxy > bob CANCEL
        15.010 bob > proxy 200 for=CANCEL
        15.020 bob > proxy 487
        15.030 proxy > bob ACK
        15.040 proxy > bob:5070 INVITE bob@bob:5070
        15.050 bob:5070 > proxy 480
        15.060 proxy > bob:5070 ACK
        15.070 proxy > bob:5080 INVITE bob@bob:5080
        15.080 bob:5080 > proxy 486
        15.090 proxy > bob:5080 ACK
        15.100 proxy > bob:5090 INVITE bob@bob:5090
        15.500 bob:5090 > proxy 180
        15.510 proxy > alice 180
        18.000 bob:5090 > proxy 200
        18.010 proxy > alice 200 sdp=same media=bob:5090
        18.020 alice > proxy ACK
        18.030 proxy > bob:5090 ACK
        25.000 bob:5090 > proxy BYE
        25.010 proxy > alice BYE
        25.020 alice > proxy 200
        25.030 proxy > bob:5090 200
        ",
    )
    .tells(
        "
        0.000 out alice Setup
        0.010 inb bob Setup
        0.500 inb bob Proceeding
        0.510 out alice Proceeding
        18.000 inb bob Answered
        18.010 out alice Answered
        25.000 inb bob Disconnected
        25.000 out alice Disconnected
        ",
    );
}

#[test]
fn a_caller_whom_the_callee_does_not_want_to_hear_and_who_hears_why() {
    // RFC 5359 §2.13 Incoming Call Screening: the phone points to its proxy, and the announcement is
    // played by a machine (automaton), which is nobody.
    named(
        "
        0.000 alice > bob INVITE bob@biloxi.example.com
        0.010 bob > alice 305 | Contact: <sip:{proxy}>
        0.020 alice > bob ACK
        0.030 alice > proxy INVITE bob@biloxi.example.com | Route: <sip:{proxy};lr>
        0.040 proxy > alice 407 | Proxy-Authenticate: Digest realm=\"example.com\"
        0.050 alice > proxy ACK
        0.060 alice > proxy INVITE bob@biloxi.example.com | Route: <sip:{proxy};lr> | Proxy-Authorization: Digest username=\"alice\"
        0.070 proxy > alice 403 | Error-Info: <sip:screen-fail-term-ann@announcement.example.com>
        0.080 alice > proxy ACK
        0.200 alice > announcement INVITE screen-fail-term-ann@announcement.example.com call=2
        0.210 announcement > alice 200 call=2 features=automaton;+sip.rendering=\"no\"
        0.220 alice > announcement ACK call=2
        8.000 announcement > alice BYE call=2
        8.010 alice > announcement 200 call=2
        ",
    )
    .tells(
        "
        0.000 out alice Setup
        0.070 out alice Disconnected/DestinationBlocked
        #2 0.200 out alice Setup
        #2 0.210 out alice Answered
        #2 8.000 out alice Disconnected
        ",
    );
}

#[test]
fn a_caller_who_may_not_call_this_number() {
    // RFC 5359 §2.14 Outgoing Call Screening
    named(
        "
        0.000 alice > proxy INVITE bob@biloxi.example.com
        0.010 proxy > alice 407 | Proxy-Authenticate: Digest realm=\"example.com\"
        0.020 alice > proxy ACK
        0.030 alice > proxy INVITE bob@biloxi.example.com | Proxy-Authorization: Digest username=\"alice\"
        0.040 proxy > alice 403 | Error-Info: <sip:screen-fail-orig-ann@announcement.example.com>
        0.050 alice > proxy ACK
        ",
    )
    .tells(
        "
        0.000 out alice Setup
        0.040 out alice Disconnected/DestinationBlocked
        ",
    );
}

#[test]
fn a_call_that_a_server_parks_and_another_retrieves() {
    // RFC 5359 §2.15 Call Park: as the music of §2.3, but Bob did not hold. No message names a slot.
    named(
        "
        0.000 alice > bob INVITE bob@biloxi.example.com
        0.500 bob > alice 180
        3.000 bob > alice 200
        3.010 alice > bob ACK
        5.000 bob > park REFER park@server.example.com call=2 | Refer-To: <sip:a8342043f@atlanta.example.com;gr?Replaces={escaped=1@alice}&Require=replaces> | Referred-By: <sip:bob@biloxi.example.com>
        5.010 park > bob 202 call=2
        5.020 park > bob NOTIFY call=2 frag=100
        5.030 bob > park 200 call=2
        5.100 park > alice INVITE a8342043f@atlanta.example.com;gr call=3 features=automaton;+sip.byeless;+sip.rendering=\"no\" | Require: replaces | Replaces: {replaces=1@alice} | Referred-By: <sip:bob@biloxi.example.com>
        5.110 alice > park 200 call=3
        5.120 park > alice ACK call=3
        5.130 alice > bob BYE
        5.140 bob > alice 200
        5.150 park > bob NOTIFY call=2 frag=200
        5.160 bob > park 200 call=2
        20.000 carol > park SUBSCRIBE park@server.example.com call=4 | Event: dialog | Expires: 0
        20.010 park > carol 200 call=4
        20.020 park > carol NOTIFY call=4 dialog=confirmed:3@park | Event: dialog | Subscription-State: terminated
        20.030 carol > park 200 call=4
        20.100 carol > alice INVITE a8342043f@atlanta.example.com;gr call=5 | Require: replaces | Replaces: {replaces=3@alice}
        20.110 alice > carol 200 call=5
        20.120 carol > alice ACK call=5
        20.130 alice > park BYE call=3
        20.140 park > alice 200 call=3
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
        5.110 inb bob Parked in an unknown slot
        #2 20.100 out carol Setup
        #2 20.110 out carol Answered/Pickup
        20.110 inb bob Gone/Pickup to #2 out carol
        ",
    );
}

#[test]
fn a_ringing_call_that_a_colleague_picks_up() {
    // RFC 5359 §2.16 Call Pickup
    named(
        "
        0.000 alice > bob INVITE bob@biloxi.example.com
        0.500 bob > alice 180
        4.000 bill > bob SUBSCRIBE bob@biloxi.example.com call=2 | Event: dialog | Expires: 0
        4.010 bob > bill 200 call=2
        4.020 bob > bill NOTIFY call=2 dialog=early:1@bob | Event: dialog | Subscription-State: terminated;reason=timeout
        4.030 bill > bob 200 call=2
        4.100 bill > alice INVITE a8342043f@atlanta.example.com;gr call=3 | Require: replaces | Replaces: {replaces=1@alice};early-only
        4.110 alice > bill 200 call=3
        4.120 alice > bob CANCEL
        4.130 bob > alice 200 for=CANCEL
        4.140 bob > alice 487
        4.150 alice > bob ACK
        4.160 bill > alice ACK call=3
        9.000 alice > bill BYE call=3
        9.010 bill > alice 200 call=3
        ",
    )
    .tells(
        "
        0.000 out alice Setup
        0.000 inb bob Setup
        0.500 inb bob Proceeding
        0.500 out alice Proceeding
        4.100 inb bill Setup
        4.110 out alice Answered
        4.110 inb bill Answered/Pickup
        4.140 inb bob Disconnected/Pickup
        9.000 out alice Disconnected
        9.000 inb bill Disconnected
        ",
    );
}

#[test]
fn a_phone_that_calls_again_when_the_callee_is_free() {
    // RFC 5359 §2.17 Automatic Redial: two calls, and of the subscription there is nothing to tell.
    named(
        "
        0.000 alice > bob INVITE bob@biloxi.example.com
        0.100 bob > alice 486
        0.110 alice > bob ACK
        0.200 alice > bob SUBSCRIBE bob@biloxi.example.com call=2 | Event: dialog
        0.210 bob > alice 200 call=2 | Expires: 60
        0.220 bob > alice NOTIFY call=2 | Event: dialog | Subscription-State: active;expires=59 | Content-Type: application/dialog-info+xml || <dialog-info><dialog id=\"1\"><state>confirmed</state></dialog></dialog-info>
        0.230 alice > bob 200 call=2
        30.000 bob > alice NOTIFY call=2 | Event: dialog | Subscription-State: active;expires=29 | Content-Type: application/dialog-info+xml || <dialog-info><dialog id=\"1\"><state>terminated</state></dialog></dialog-info>
        30.010 alice > bob 200 call=2
        31.000 alice > bob INVITE bob@biloxi.example.com call=3
        31.500 bob > alice 180 call=3
        33.000 bob > alice 200 call=3
        33.010 alice > bob ACK call=3
        33.100 bob > alice NOTIFY call=2 dialog=confirmed:3@bob | Event: dialog | Subscription-State: active;expires=26
        33.110 alice > bob 200 call=2
        33.200 alice > bob SUBSCRIBE call=2 | Event: dialog | Expires: 0
        33.210 bob > alice 200 call=2 | Expires: 0
        33.220 bob > alice NOTIFY call=2 dialog=confirmed:3@bob | Event: dialog | Subscription-State: terminated;reason=noresource
        33.230 alice > bob 200 call=2
        ",
    )
    .tells(
        "
        0.000 out alice Setup
        0.000 inb bob Setup
        0.100 inb bob Disconnected/TargetBusy missed
        0.100 out alice Disconnected/TargetBusy
        #2 31.000 out alice Setup
        #2 31.000 inb bob Setup
        #2 31.500 inb bob Proceeding
        #2 31.500 out alice Proceeding
        #2 33.000 inb bob Answered
        #2 33.000 out alice Answered
        ",
    );
}

#[test]
fn a_phone_that_is_told_to_call_by_a_computer() {
    // RFC 5359 §2.18 Click to Dial: nobody rang Bob, his phone calls as if he had dialled.
    named(
        "
        0.000 pc > bob REFER bob@biloxi.example.com | Refer-To: <sip:carol@chicago.example.com> | Refer-Sub: false
        0.010 bob > pc 202 | Refer-Sub: false
        0.100 bob > carol INVITE carol@chicago.example.com call=2 | Referred-By: <sip:pc.biloxi.example.com>
        0.600 carol > bob 180 call=2
        3.000 carol > bob 200 call=2
        3.010 bob > carol ACK call=2
        ",
    )
    .tells(
        "
        0.100 out bob Setup
        0.100 inb carol Setup
        0.600 inb carol Proceeding
        0.600 out bob Proceeding
        3.000 inb carol Answered
        3.000 out bob Answered
        ",
    );
}
