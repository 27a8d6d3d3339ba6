//! Calls that are parked and retrieved. Which numbers are park places, a directory says.

use hookswitch_flows::ladder::ladder;

const DIRECTORY: &str = r#"
[[account]]
id = 310001016
[[account.extension]]
number = "101"
[[account.extension]]
number = "102"
[[account.extension]]
number = "103"
[[account.extension]]
number = "104"
[[account.extension]]
number = "105"
[[account.extension]]
number = "700"
kind = "park"
slots = ["701-709"]
[[account.extension]]
number = "6001"
kind = "park"
"#;

#[test]
fn a_call_that_is_transferred_to_a_park_place_and_retrieved_there() {
    // The directory names 6001 as a park place. Who retrieves the call has a session of her own.
    ladder(
        "
        0.000 alice > pbx INVITE 102
        0.050 pbx > bob INVITE 102@bob call=2 from=101 name=Alice
        0.500 bob > pbx 180 call=2
        0.510 pbx > alice 180
        3.000 bob > pbx 200 call=2
        3.010 pbx > bob ACK call=2
        3.020 pbx > alice 200
        3.030 alice > pbx ACK
        5.000 bob > pbx REFER call=2 | Refer-To: <sip:6001@{pbx}>
        5.010 pbx > bob 202 call=2
        5.020 pbx > bob NOTIFY call=2 frag=200
        5.030 bob > pbx 200 call=2
        5.040 bob > pbx BYE call=2
        5.050 pbx > bob 200 call=2
        20.000 carol > pbx INVITE 6001 call=3
        20.010 pbx > carol 100 call=3
        20.020 pbx > carol 200 call=3
        20.030 carol > pbx ACK call=3
        30.000 carol > pbx BYE call=3
        30.010 pbx > carol 200 call=3
        30.020 pbx > alice BYE
        30.030 alice > pbx 200
        ",
    )
    .with_directory(DIRECTORY)
    .tells(
        "
        0.000 out 101 Setup
        0.050 inb 102 Setup
        0.500 inb 102 Proceeding
        0.510 out 101 Proceeding
        3.000 inb 102 Answered
        3.020 out 101 Answered
        5.020 inb 102 Parked in 6001
        #2 20.000 out 103 Setup
        #2 20.020 out 103 Answered/Pickup
        20.020 inb 102 Gone/Pickup to #2 out 103
        #2 30.000 out 103 Disconnected
        30.020 out 101 Disconnected
        ",
    );
}

#[test]
fn a_caller_who_parks_the_callee() {
    ladder(
        "
        0.000 alice > pbx INVITE 102
        0.050 pbx > bob INVITE 102@bob call=2 from=101 name=Alice
        0.500 bob > pbx 180 call=2
        0.510 pbx > alice 180
        3.000 bob > pbx 200 call=2
        3.010 pbx > bob ACK call=2
        3.020 pbx > alice 200
        3.030 alice > pbx ACK
        5.000 alice > pbx REFER | Refer-To: <sip:6001@{pbx}>
        5.010 pbx > alice 202
        5.020 alice > pbx BYE
        5.030 pbx > alice 200
        20.000 alice > pbx INVITE 6001 call=3
        20.020 pbx > alice 200 call=3
        20.030 alice > pbx ACK call=3
        30.000 bob > pbx BYE call=2
        30.010 pbx > bob 200 call=2
        30.020 pbx > alice BYE call=3
        ",
    )
    .with_directory(DIRECTORY)
    .tells(
        "
        0.000 out 101 Setup
        0.050 inb 102 Setup
        0.500 inb 102 Proceeding
        0.510 out 101 Proceeding
        3.000 inb 102 Answered
        3.020 out 101 Answered
        5.020 out 101 Parked in 6001
        #2 20.000 out 101 Setup
        #2 20.020 out 101 Answered/Pickup
        20.020 out 101 Gone/Pickup to #2 out 101
        30.000 inb 102 Disconnected
        #2 30.020 out 101 Disconnected
        ",
    );
}

#[test]
fn a_call_that_is_parked_by_one_number_and_retrieved_by_another() {
    // The directory says that 700 stands for the slots 701 to 709. Which of them the switch took, it says
    // in the audio alone; the retrieved call is the only one that is parked there.
    ladder(
        "
        0.000 alice > pbx INVITE 102
        0.050 pbx > bob INVITE 102@bob call=2 from=101 name=Alice
        0.500 bob > pbx 180 call=2
        0.510 pbx > alice 180
        3.000 bob > pbx 200 call=2
        3.010 pbx > bob ACK call=2
        3.020 pbx > alice 200
        3.030 alice > pbx ACK
        5.000 bob > pbx REFER call=2 | Refer-To: <sip:700@{pbx}>
        5.010 pbx > bob 202 call=2
        5.020 pbx > bob NOTIFY call=2 frag=200
        5.030 bob > pbx 200 call=2
        5.040 bob > pbx BYE call=2
        5.050 pbx > bob 200 call=2
        20.000 carol > pbx INVITE 701 call=3
        20.020 pbx > carol 200 call=3
        20.030 carol > pbx ACK call=3
        30.000 carol > pbx BYE call=3
        30.020 pbx > alice BYE
        ",
    )
    .with_directory(DIRECTORY)
    .tells(
        "
        0.000 out 101 Setup
        0.050 inb 102 Setup
        0.500 inb 102 Proceeding
        0.510 out 101 Proceeding
        3.000 inb 102 Answered
        3.020 out 101 Answered
        5.020 inb 102 Parked in an unknown slot
        #2 20.000 out 103 Setup
        #2 20.020 out 103 Answered/Pickup
        20.020 inb 102 Gone/Pickup to #2 out 103
        #2 30.000 out 103 Disconnected
        30.020 out 101 Disconnected
        ",
    );
}

#[test]
fn of_two_parked_calls_nobody_can_tell_which_is_retrieved_by_another_number() {
    // Rather no link than a wrong one: the parked party stays until the one who waits has gone.
    ladder(
        "
        0.000 alice > pbx INVITE 102
        0.050 pbx > bob INVITE 102@bob call=2 from=101 name=Alice
        0.500 bob > pbx 180 call=2
        0.510 pbx > alice 180
        3.000 bob > pbx 200 call=2
        3.010 pbx > bob ACK call=2
        3.020 pbx > alice 200
        3.030 alice > pbx ACK
        5.000 bob > pbx REFER call=2 | Refer-To: <sip:700@{pbx}>
        5.010 pbx > bob 202 call=2
        5.020 pbx > bob NOTIFY call=2 frag=200
        5.030 bob > pbx 200 call=2
        5.040 bob > pbx BYE call=2
        5.050 pbx > bob 200 call=2
        7.000 dave > pbx INVITE 105 call=5
        7.050 pbx > bill INVITE 105@bill call=6 from=104 name=Dave
        7.500 bill > pbx 180 call=6
        7.510 pbx > dave 180 call=5
        9.000 bill > pbx 200 call=6
        9.010 pbx > bill ACK call=6
        9.020 pbx > dave 200 call=5
        9.030 dave > pbx ACK call=5
        12.000 bill > pbx REFER call=6 | Refer-To: <sip:700@{pbx}>
        12.010 pbx > bill 202 call=6
        12.020 bill > pbx BYE call=6
        12.030 pbx > bill 200 call=6
        20.000 carol > pbx INVITE 701 call=3
        20.020 pbx > carol 200 call=3
        20.030 carol > pbx ACK call=3
        30.000 carol > pbx BYE call=3
        30.020 pbx > alice BYE
        40.000 dave > pbx BYE call=5
        ",
    )
    .with_directory(DIRECTORY)
    .tells(
        "
        0.000 out 101 Setup
        0.050 inb 102 Setup
        0.500 inb 102 Proceeding
        0.510 out 101 Proceeding
        3.000 inb 102 Answered
        3.020 out 101 Answered
        5.020 inb 102 Parked in an unknown slot
        #2 7.000 out 104 Setup
        #2 7.050 inb 105 Setup
        #2 7.500 inb 105 Proceeding
        #2 7.510 out 104 Proceeding
        #2 9.000 inb 105 Answered
        #2 9.020 out 104 Answered
        #2 12.020 inb 105 Parked in an unknown slot
        #3 20.000 out 103 Setup
        #3 20.020 out 103 Answered
        #3 30.000 out 103 Disconnected
        30.020 out 101 Disconnected
        30.020 inb 102 Disconnected
        #2 40.000 out 104 Disconnected
        #2 40.000 inb 105 Disconnected
        ",
    );
}

#[test]
fn a_parked_call_that_comes_back() {
    // The parker rings again as a new party; the one that was parked ran out of time.
    ladder(
        "
        0.000 alice > pbx INVITE 102
        0.050 pbx > bob INVITE 102@bob call=2 from=101 name=Alice
        0.500 bob > pbx 180 call=2
        0.510 pbx > alice 180
        3.000 bob > pbx 200 call=2
        3.010 pbx > bob ACK call=2
        3.020 pbx > alice 200
        3.030 alice > pbx ACK
        5.000 bob > pbx REFER call=2 | Refer-To: <sip:6001@{pbx}>
        5.010 pbx > bob 202 call=2
        5.020 pbx > bob NOTIFY call=2 frag=200
        5.030 bob > pbx 200 call=2
        5.040 bob > pbx BYE call=2
        5.050 pbx > bob 200 call=2
        65.000 pbx > bob INVITE 102@bob call=4 from=101 name=Alice
        65.500 bob > pbx 180 call=4
        68.000 bob > pbx 200 call=4
        68.010 pbx > bob ACK call=4
        75.000 alice > pbx BYE
        75.010 pbx > alice 200
        75.020 pbx > bob BYE call=4
        ",
    )
    .with_directory(DIRECTORY)
    .tells(
        "
        0.000 out 101 Setup
        0.050 inb 102 Setup
        0.500 inb 102 Proceeding
        0.510 out 101 Proceeding
        3.000 inb 102 Answered
        3.020 out 101 Answered
        5.020 inb 102 Parked in 6001
        65.000 inb 102 Disconnected/Timeout
        65.000 inb 102 Setup
        65.500 inb 102 Proceeding
        68.000 inb 102 Answered
        75.000 out 101 Disconnected
        75.020 inb 102 Disconnected
        ",
    );
}

#[test]
fn who_waits_in_a_park_place_may_give_up() {
    ladder(
        "
        0.000 alice > pbx INVITE 102
        0.050 pbx > bob INVITE 102@bob call=2 from=101 name=Alice
        0.500 bob > pbx 180 call=2
        0.510 pbx > alice 180
        3.000 bob > pbx 200 call=2
        3.010 pbx > bob ACK call=2
        3.020 pbx > alice 200
        3.030 alice > pbx ACK
        5.000 bob > pbx REFER call=2 | Refer-To: <sip:6001@{pbx}>
        5.010 pbx > bob 202 call=2
        5.020 pbx > bob NOTIFY call=2 frag=200
        5.030 bob > pbx 200 call=2
        5.040 bob > pbx BYE call=2
        5.050 pbx > bob 200 call=2
        25.000 alice > pbx BYE
        25.010 pbx > alice 200
        ",
    )
    .with_directory(DIRECTORY)
    .tells(
        "
        0.000 out 101 Setup
        0.050 inb 102 Setup
        0.500 inb 102 Proceeding
        0.510 out 101 Proceeding
        3.000 inb 102 Answered
        3.020 out 101 Answered
        5.020 inb 102 Parked in 6001
        25.000 out 101 Disconnected
        25.000 inb 102 Disconnected
        ",
    );
}

#[test]
fn a_call_that_is_parked_after_asking_for_the_slot() {
    // An attended transfer to a park place: the call with the place just ends.
    ladder(
        "
        0.000 alice > pbx INVITE 102
        0.050 pbx > bob INVITE 102@bob call=2 from=101 name=Alice
        0.500 bob > pbx 180 call=2
        0.510 pbx > alice 180
        3.000 bob > pbx 200 call=2
        3.010 pbx > bob ACK call=2
        3.020 pbx > alice 200
        3.030 alice > pbx ACK
        5.000 bob > pbx INVITE 700 call=3
        5.020 pbx > bob 200 call=3
        5.030 bob > pbx ACK call=3
        9.000 bob > pbx REFER call=2 | Refer-To: <sip:700@{pbx}?Replaces={escaped=3@pbx}>
        9.010 pbx > bob 202 call=2
        9.020 pbx > bob NOTIFY call=2 frag=200
        9.030 bob > pbx 200 call=2
        9.040 pbx > bob BYE call=3
        9.050 bob > pbx BYE call=2
        25.000 alice > pbx BYE
        ",
    )
    .with_directory(DIRECTORY)
    .tells(
        "
        0.000 out 101 Setup
        0.050 inb 102 Setup
        0.500 inb 102 Proceeding
        0.510 out 101 Proceeding
        3.000 inb 102 Answered
        3.020 out 101 Answered
        #2 5.000 out 102 Setup
        #2 5.020 out 102 Answered
        9.020 inb 102 Parked in an unknown slot
        #2 9.040 out 102 Disconnected
        25.000 out 101 Disconnected
        25.000 inb 102 Disconnected
        ",
    );
}

#[test]
fn a_number_that_the_directory_does_not_name_is_no_park_place() {
    // Without a directory the REFER to 6001 is a blind transfer to a number that the switch answers
    // itself.
    ladder(
        "
        0.000 alice > pbx INVITE 102
        0.005 pbx > alice 401
        0.010 alice > pbx ACK
        0.020 alice > pbx INVITE 102
        0.050 pbx > bob INVITE 102@bob call=2 from=101 name=Alice
        0.500 bob > pbx 180 call=2
        0.510 pbx > alice 180
        3.000 bob > pbx 200 call=2
        3.010 pbx > bob ACK call=2
        3.020 pbx > alice 200
        3.030 alice > pbx ACK
        5.000 bob > pbx REFER call=2 | Refer-To: <sip:6001@{pbx}>
        5.010 pbx > bob 202 call=2
        5.020 pbx > bob NOTIFY call=2 frag=200
        5.030 bob > pbx 200 call=2
        5.040 bob > pbx BYE call=2
        5.050 pbx > bob 200 call=2
        20.000 carol > pbx INVITE 6001 call=3
        20.020 pbx > carol 200 call=3
        30.000 carol > pbx BYE call=3
        30.020 pbx > alice BYE
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.050 inb 102 Setup
        0.500 inb 102 Proceeding
        0.510 out 101 Proceeding
        3.000 inb 102 Answered
        3.020 out 101 Answered
        5.040 inb 102 Disconnected/BlindTransfer
        #2 20.000 out 103 Setup
        #2 20.020 out 103 Answered
        #2 30.000 out 103 Disconnected
        30.020 out 101 Disconnected
        ",
    );
}

#[test]
fn who_parked_a_call_at_a_server_may_take_it_back() {
    // As RFC 5359 §2.15, with Bob himself in the place of Carol.
    ladder(
        "
        0.000 alice > bob INVITE 102
        0.500 bob > alice 180
        3.000 bob > alice 200
        3.010 alice > bob ACK
        5.000 bob > park REFER park@server.example.com call=2 | Refer-To: <sip:101@{alice}?Replaces={escaped=1@alice}&Require=replaces> | Referred-By: <sip:102@example.com>
        5.010 park > bob 202 call=2
        5.100 park > alice INVITE 101@alice call=3 features=automaton;+sip.byeless;+sip.rendering=\"no\" | Require: replaces | Replaces: {replaces=1@alice} | Referred-By: <sip:102@example.com>
        5.110 alice > park 200 call=3
        5.120 park > alice ACK call=3
        5.130 alice > bob BYE
        5.140 bob > alice 200
        5.150 park > bob NOTIFY call=2 frag=200
        5.160 bob > park 200 call=2
        20.000 bob > alice INVITE 101@alice call=4 | Require: replaces | Replaces: {replaces=3@alice}
        20.010 alice > bob 200 call=4
        20.020 bob > alice ACK call=4
        20.030 alice > park BYE call=3
        20.040 park > alice 200 call=3
        30.000 alice > bob BYE call=4
        30.010 bob > alice 200 call=4
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
        5.110 inb 102 Parked in an unknown slot
        #2 20.000 out 102 Setup
        #2 20.010 out 102 Answered/Pickup
        20.010 inb 102 Gone/Pickup to #2 out 102
        30.000 out 101 Disconnected
        #2 30.000 out 102 Disconnected
        ",
    );
}
