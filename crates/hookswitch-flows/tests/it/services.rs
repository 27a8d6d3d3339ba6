//! Services of a phone system besides connecting two: mailboxes, fax, menus, queues, click-to-call and
//! conferences.

use hookswitch_flows::ladder::ladder;

const DIRECTORY: &str = r#"
[[account]]
id = 310001016
country_code = "1"
[[account.extension]]
number = "101"
[[account.extension]]
number = "102"
mailbox = true
[[account.extension]]
number = "103"
[[account.extension]]
number = "610"
kind = "ring_group"
[[account.extension]]
number = "620"
kind = "queue"
numbers = ["+14155559062"]
[[account.extension]]
number = "7500"
kind = "menu"
numbers = ["+14155559075"]
[[account.extension]]
number = "4000"
kind = "voicemail"
[[account.extension]]
number = "800"
kind = "conference"
[[account.extension]]
number = "850"
kind = "fax"
numbers = ["+14155559085"]
"#;

#[test]
fn an_unanswered_call_that_goes_to_the_mailbox() {
    // RFC 4458: the Request-URI says for whom the message is, and why.
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
        15.050 pbx > mailbox INVITE voicemail@mail.example.com;target=sip:102%40example.com;cause=408 call=3 from=101 name=Alice to=102
        15.200 mailbox > pbx 200 call=3
        15.210 pbx > mailbox ACK call=3
        15.220 pbx > alice 200
        15.230 alice > pbx ACK
        25.000 alice > pbx BYE
        25.010 pbx > alice 200
        25.020 pbx > mailbox BYE call=3
        25.030 mailbox > pbx 200 call=3
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.050 inb 102 Setup
        0.500 inb 102 Proceeding
        0.510 out 101 Proceeding
        15.200 inb 102 VoiceMail missed
        15.220 out 101 Answered
        25.000 out 101 Disconnected
        25.020 inb 102 Disconnected missed
        ",
    );
}

#[test]
fn an_unanswered_call_that_goes_to_the_number_of_the_mailbox() {
    // The directory names 4000 as a mailbox, and Diversion (RFC 5806) says whose message it is.
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
        15.050 pbx > mailbox INVITE 4000@mailbox call=3 from=101 name=Alice | Diversion: <sip:102@{pbx}>;reason=no-answer
        15.200 mailbox > pbx 200 call=3
        15.210 pbx > mailbox ACK call=3
        15.220 pbx > alice 200
        15.230 alice > pbx ACK
        25.000 alice > pbx BYE
        25.010 pbx > alice 200
        25.020 pbx > mailbox BYE call=3
        25.030 mailbox > pbx 200 call=3
        ",
    )
    .with_directory(DIRECTORY)
    .tells(
        "
        0.000 out 101 Setup
        0.050 inb 102 Setup
        0.500 inb 102 Proceeding
        0.510 out 101 Proceeding
        15.200 inb 102 VoiceMail missed
        15.220 out 101 Answered
        25.000 out 101 Disconnected
        25.020 inb 102 Disconnected missed
        ",
    );
}

#[test]
fn a_busy_callee_whose_proxy_sends_the_caller_to_the_mailbox() {
    ladder(
        "
        0.000 alice > proxy INVITE 102
        0.010 proxy > bob INVITE 102@bob
        0.100 bob > proxy 486
        0.110 proxy > bob ACK
        0.130 proxy > mailbox INVITE voicemail@mail.example.com;target=sip:102%40example.com;cause=486
        0.300 mailbox > proxy 200
        0.310 proxy > alice 200
        0.320 alice > mailbox ACK
        9.000 alice > mailbox BYE
        9.010 mailbox > alice 200
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.010 inb 102 Setup
        0.300 inb 102 VoiceMail missed
        0.310 out 101 Answered
        9.000 out 101 Disconnected
        9.000 inb 102 Disconnected missed
        ",
    );
}

#[test]
fn a_call_that_goes_straight_to_the_mailbox() {
    // No phone of Bob's was called; the mailbox stands for him.
    ladder(
        "
        0.000 alice > pbx INVITE 102
        0.050 pbx > mailbox INVITE voicemail@mail.example.com;target=sip:102%40example.com;cause=302 call=2 from=101 name=Alice to=102
        0.200 mailbox > pbx 200 call=2
        0.210 pbx > mailbox ACK call=2
        0.220 pbx > alice 200
        0.230 alice > pbx ACK
        9.000 alice > pbx BYE
        9.010 pbx > alice 200
        9.020 pbx > mailbox BYE call=2
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.050 inb 102 Setup
        0.200 inb 102 VoiceMail missed
        0.220 out 101 Answered
        9.000 out 101 Disconnected
        9.020 inb 102 Disconnected missed
        ",
    );
}

#[test]
fn a_switch_that_answers_itself_after_the_phone_has_rung() {
    // A mailbox inside the switch has no leg; SIP alone shows that nobody answered.
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
        15.040 pbx > alice 200
        15.050 alice > pbx ACK
        25.000 alice > pbx BYE
        25.010 pbx > alice 200
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.050 inb 102 Setup
        0.500 inb 102 Proceeding
        0.510 out 101 Proceeding
        15.020 inb 102 Disconnected/NoAnswer missed
        15.040 out 101 Answered
        25.000 out 101 Disconnected
        ",
    );
}

#[test]
fn a_mailbox_inside_the_switch() {
    // The same, and the directory says that Bob has a mailbox.
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
        15.040 pbx > alice 200
        15.050 alice > pbx ACK
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
        15.040 out 101 Answered
        15.040 inb 102 VoiceMail missed
        25.000 out 101 Disconnected
        25.000 inb 102 Disconnected missed
        ",
    );
}

#[test]
fn who_calls_a_mailbox_to_listen_has_missed_nothing() {
    // A number that the directory names as a mailbox is a party, and no person.
    ladder(
        "
        0.000 alice > pbx INVITE 4000
        0.010 pbx > alice 100
        0.020 pbx > alice 200
        0.030 alice > pbx ACK
        9.000 alice > pbx BYE
        9.010 pbx > alice 200
        ",
    )
    .with_directory(DIRECTORY)
    .tells(
        "
        0.000 out 101 Setup
        0.000 inb 4000 Setup
        0.020 inb 4000 VoiceMail
        0.020 out 101 Answered
        9.000 out 101 Disconnected
        9.000 inb 4000 Disconnected
        ",
    );
}

#[test]
fn a_fax_that_is_received_over_t38() {
    // ITU-T T.38 Annex D: the receiving side offers an image stream, and the fax starts when it is
    // accepted.
    ladder(
        "
        0.000 trunk > pbx INVITE +14155559002
        0.050 pbx > bob INVITE 102@bob call=2 from=+14155550100
        0.500 bob > pbx 180 call=2
        0.510 pbx > trunk 180
        3.000 bob > pbx 200 call=2
        3.010 pbx > bob ACK call=2
        3.020 pbx > trunk 200
        3.030 trunk > pbx ACK
        4.000 bob > pbx INVITE in=dialog call=2 sdp=t38
        4.010 pbx > trunk INVITE in=dialog sdp=t38
        4.100 trunk > pbx 200 sdp=t38
        4.110 pbx > trunk ACK
        4.120 pbx > bob 200 call=2 sdp=t38
        4.130 bob > pbx ACK call=2
        60.000 trunk > pbx BYE
        60.010 pbx > trunk 200
        60.020 pbx > bob BYE call=2
        60.030 bob > pbx 200 call=2
        ",
    )
    .tells(
        "
        0.000 out +14155550100 Setup
        0.050 inb 102 Setup
        0.500 inb 102 Proceeding
        0.510 out +14155550100 Proceeding
        3.000 inb 102 Answered
        3.020 out +14155550100 Answered
        4.120 inb 102 FaxReceive
        60.000 out +14155550100 Disconnected
        60.020 inb 102 Disconnected
        ",
    );
}

#[test]
fn a_fax_stream_that_is_refused_leaves_an_ordinary_call() {
    ladder(
        "
        0.000 trunk > pbx INVITE +14155559002
        0.050 pbx > bob INVITE 102@bob call=2 from=+14155550100
        0.500 bob > pbx 180 call=2
        0.510 pbx > trunk 180
        3.000 bob > pbx 200 call=2
        3.010 pbx > bob ACK call=2
        3.020 pbx > trunk 200
        3.030 trunk > pbx ACK
        4.000 bob > pbx INVITE in=dialog call=2 sdp=t38
        4.010 pbx > trunk INVITE in=dialog sdp=t38
        4.100 trunk > pbx 488
        4.110 pbx > trunk ACK
        4.120 pbx > bob 488 call=2
        4.130 bob > pbx ACK call=2
        60.000 trunk > pbx BYE
        60.020 pbx > bob BYE call=2
        ",
    )
    .tells(
        "
        0.000 out +14155550100 Setup
        0.050 inb 102 Setup
        0.500 inb 102 Proceeding
        0.510 out +14155550100 Proceeding
        3.000 inb 102 Answered
        3.020 out +14155550100 Answered
        60.000 out +14155550100 Disconnected
        60.020 inb 102 Disconnected
        ",
    );
}

#[test]
fn a_fax_that_is_sent_to_an_outside_number_tells_nothing() {
    // Only an extension of the account can be told to receive a fax.
    ladder(
        "
        0.000 alice > pbx INVITE 914155550123
        0.050 pbx > trunk INVITE +14155550123@trunk call=2 from=+14155559001
        0.500 trunk > pbx 183 call=2
        0.510 pbx > alice 183
        3.000 trunk > pbx 200 call=2
        3.020 pbx > alice 200
        4.000 trunk > pbx INVITE in=dialog call=2 sdp=t38
        4.010 pbx > alice INVITE in=dialog sdp=t38
        4.100 alice > pbx 200 sdp=t38
        4.110 pbx > alice ACK
        4.120 pbx > trunk 200 call=2 sdp=t38
        4.130 trunk > pbx ACK call=2
        60.000 alice > pbx BYE
        60.020 pbx > trunk BYE call=2
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.050 inb +14155550123 Proceeding
        0.510 out 101 Proceeding
        3.000 inb +14155550123 Answered
        3.020 out 101 Answered
        60.000 out 101 Disconnected
        60.020 inb +14155550123 Disconnected
        ",
    );
}

#[test]
fn a_fax_line_that_the_directory_names() {
    // The switch receives the fax itself, in the audio; that it is one, only the directory knows.
    ladder(
        "
        0.000 trunk > pbx INVITE +14155559085
        0.010 pbx > trunk 100
        0.020 pbx > trunk 200
        0.030 trunk > pbx ACK
        60.000 trunk > pbx BYE
        60.010 pbx > trunk 200
        ",
    )
    .with_directory(DIRECTORY)
    .tells(
        "
        0.000 out +14155550100 Setup
        0.000 inb +14155559085 Setup
        0.020 inb +14155559085 FaxReceive
        0.020 out +14155550100 Answered
        60.000 out +14155550100 Disconnected
        60.000 inb +14155559085 Disconnected
        ",
    );
}

#[test]
fn a_menu_that_hands_the_caller_on() {
    // The directory names the number as a menu: a party from the beginning until the target is called.
    ladder(
        "
        0.000 trunk > pbx INVITE +14155559075
        0.010 pbx > trunk 100
        0.020 pbx > trunk 200
        0.030 trunk > pbx ACK
        8.000 pbx > carol INVITE 103@carol call=2 from=+14155550100
        8.500 carol > pbx 180 call=2
        11.000 carol > pbx 200 call=2
        11.010 pbx > carol ACK call=2
        20.000 trunk > pbx BYE
        20.010 pbx > trunk 200
        20.020 pbx > carol BYE call=2
        ",
    )
    .with_directory(DIRECTORY)
    .tells(
        "
        0.000 out +14155550100 Setup
        0.000 inb +14155559075 Setup
        0.020 out +14155550100 Answered
        8.000 inb +14155559075 Disconnected/CallerInputRedirect
        8.000 inb 103 Setup
        8.500 inb 103 Proceeding
        11.000 inb 103 Answered
        20.000 out +14155550100 Disconnected
        20.020 inb 103 Disconnected
        ",
    );
}

#[test]
fn a_caller_who_hangs_up_in_the_menu() {
    ladder(
        "
        0.000 trunk > pbx INVITE +14155559075
        0.020 pbx > trunk 200
        0.030 trunk > pbx ACK
        8.000 trunk > pbx BYE
        8.010 pbx > trunk 200
        ",
    )
    .with_directory(DIRECTORY)
    .tells(
        "
        0.000 out +14155550100 Setup
        0.000 inb +14155559075 Setup
        0.020 out +14155550100 Answered
        8.000 out +14155550100 Disconnected
        8.000 inb +14155559075 Disconnected
        ",
    );
}

#[test]
fn a_queue_whose_call_one_agent_answers() {
    // The directory names the number as a queue. Agents begin when they ring.
    ladder(
        "
        0.000 trunk > pbx INVITE +14155559062
        0.010 pbx > trunk 100
        0.020 pbx > trunk 200
        0.030 trunk > pbx ACK
        1.000 pbx > bob INVITE 102@bob call=2 from=+14155550100
        1.001 pbx > carol INVITE 103@carol call=3 from=+14155550100
        1.500 bob > pbx 180 call=2
        1.600 carol > pbx 180 call=3
        4.000 carol > pbx 200 call=3
        4.010 pbx > carol ACK call=3
        4.020 pbx > bob CANCEL call=2
        4.030 bob > pbx 200 call=2 for=CANCEL
        4.040 bob > pbx 487 call=2
        20.000 trunk > pbx BYE
        20.010 pbx > trunk 200
        20.020 pbx > carol BYE call=3
        ",
    )
    .with_directory(DIRECTORY)
    .tells(
        "
        0.000 out +14155550100 Setup
        0.000 inb +14155559062 Setup
        0.020 out +14155550100 Answered
        1.500 inb 102 Proceeding
        1.600 inb 103 Proceeding
        4.000 inb 103 Answered
        4.000 inb +14155559062 Disconnected/AgentAnswered
        4.040 inb 102 Disconnected/AgentAnswered
        20.000 out +14155550100 Disconnected
        20.020 inb 103 Disconnected
        ",
    );
}

#[test]
fn a_caller_who_leaves_the_queue() {
    // No agent answered, so the queue has missed the call as well.
    ladder(
        "
        0.000 trunk > pbx INVITE +14155559062
        0.010 pbx > trunk 100
        0.020 pbx > trunk 200
        0.030 trunk > pbx ACK
        1.000 pbx > bob INVITE 102@bob call=2 from=+14155550100
        1.001 pbx > carol INVITE 103@carol call=3 from=+14155550100
        1.500 bob > pbx 180 call=2
        1.600 carol > pbx 180 call=3
        6.000 trunk > pbx BYE
        6.010 pbx > trunk 200
        6.020 pbx > bob CANCEL call=2
        6.021 pbx > carol CANCEL call=3
        6.030 bob > pbx 200 call=2 for=CANCEL
        6.031 carol > pbx 200 call=3 for=CANCEL
        6.040 bob > pbx 487 call=2
        6.041 carol > pbx 487 call=3
        ",
    )
    .with_directory(DIRECTORY)
    .tells(
        "
        0.000 out +14155550100 Setup
        0.000 inb +14155559062 Setup
        0.020 out +14155550100 Answered
        1.500 inb 102 Proceeding
        1.600 inb 103 Proceeding
        6.000 out +14155550100 Disconnected
        6.000 inb +14155559062 Disconnected/Cancelled missed
        6.040 inb 102 Disconnected/Cancelled missed
        6.041 inb 103 Disconnected/Cancelled missed
        ",
    );
}

#[test]
fn a_switch_that_is_asked_to_connect_two_and_rings_the_first_in_his_own_name() {
    // Click-to-call: no call came in for this one, and the caller shown is the called person herself.
    ladder(
        "
        0.000 alice > pbx REGISTER sip:example.com call=reg from=101 to=101
        0.010 pbx > alice 401 call=reg
        0.020 alice > pbx REGISTER sip:example.com call=reg from=101 to=101
        0.030 pbx > alice 200 call=reg
        1.000 pbx > alice INVITE 101@alice from=101 name=Alice
        1.010 alice > pbx 100
        1.500 alice > pbx 180
        3.000 alice > pbx 200
        3.010 pbx > alice ACK
        3.020 pbx > bob INVITE 102@bob call=2 from=101 name=Alice
        3.500 bob > pbx 180 call=2
        3.510 pbx > alice UPDATE
        3.520 alice > pbx 200 for=UPDATE sdp=none
        6.000 bob > pbx 200 call=2
        6.010 pbx > bob ACK call=2
        12.000 bob > pbx BYE call=2
        12.010 pbx > bob 200 call=2
        12.020 pbx > alice BYE
        12.030 alice > pbx 200
        ",
    )
    .tells(
        "
        1.500 inb 101 Proceeding [RingOut Initiator]
        3.000 inb 101 Answered
        3.020 inb 102 Setup [RingOut Target]
        3.500 inb 102 Proceeding
        6.000 inb 102 Answered
        12.000 inb 102 Disconnected
        12.020 inb 101 Disconnected
        ",
    );
}

#[test]
fn third_party_call_control_with_one_offer() {
    // RFC 3725 §4.1 (flow I): the first INVITE has no offer, and the second has that of the first phone.
    ladder(
        "
        0.000 alice > pbx REGISTER sip:example.com call=reg from=101 to=101
        0.010 pbx > alice 401 call=reg
        0.020 alice > pbx REGISTER sip:example.com call=reg from=101 to=101
        0.030 pbx > alice 200 call=reg
        1.000 pbx > alice INVITE 101@alice from=102 name=Bob sdp=late
        1.500 alice > pbx 180
        3.000 alice > pbx 200
        3.020 pbx > bob INVITE 102@bob call=2 from=101 name=Alice media=alice
        3.500 bob > pbx 180 call=2
        6.000 bob > pbx 200 call=2
        6.010 pbx > bob ACK call=2
        6.020 pbx > alice ACK sdp=sendrecv media=bob
        12.000 alice > pbx BYE
        12.010 pbx > alice 200
        12.020 pbx > bob BYE call=2
        12.030 bob > pbx 200 call=2
        ",
    )
    .tells(
        "
        1.500 inb 101 Proceeding [RingOut Initiator]
        3.000 inb 101 Answered
        3.020 inb 102 Setup [RingOut Target]
        3.500 inb 102 Proceeding
        6.000 inb 102 Answered
        12.000 inb 101 Disconnected
        12.020 inb 102 Disconnected
        ",
    );
}

#[test]
fn third_party_call_control_that_connects_the_media_afterwards() {
    // RFC 3725 §4.4 (flow IV): the first phone gets no media until the second has answered. It is no hold.
    ladder(
        "
        0.000 alice > pbx REGISTER sip:example.com call=reg from=101 to=101
        0.010 pbx > alice 401 call=reg
        0.020 alice > pbx REGISTER sip:example.com call=reg from=101 to=101
        0.030 pbx > alice 200 call=reg
        1.000 pbx > alice INVITE 101@alice from=102 name=Bob sdp=zero
        1.500 alice > pbx 180
        3.000 alice > pbx 200
        3.010 pbx > alice ACK
        3.020 pbx > bob INVITE 102@bob call=2 from=101 name=Alice sdp=late
        3.500 bob > pbx 180 call=2
        6.000 bob > pbx 200 call=2
        6.010 pbx > alice INVITE in=dialog sdp=sendrecv media=bob
        6.020 alice > pbx 200
        6.030 pbx > bob ACK call=2 sdp=sendrecv media=alice
        6.040 pbx > alice ACK
        12.000 alice > pbx BYE
        12.010 pbx > alice 200
        12.020 pbx > bob BYE call=2
        12.030 bob > pbx 200 call=2
        ",
    )
    .tells(
        "
        1.500 inb 101 Proceeding [RingOut Initiator]
        3.000 inb 101 Answered
        3.020 inb 102 Setup [RingOut Target]
        3.500 inb 102 Proceeding
        6.000 inb 102 Answered
        12.000 inb 101 Disconnected
        12.020 inb 102 Disconnected
        ",
    );
}

#[test]
fn a_click_to_call_whose_target_is_busy() {
    ladder(
        "
        0.000 alice > pbx REGISTER sip:example.com call=reg from=101 to=101
        0.010 pbx > alice 401 call=reg
        0.020 alice > pbx REGISTER sip:example.com call=reg from=101 to=101
        0.030 pbx > alice 200 call=reg
        1.000 pbx > alice INVITE 101@alice from=101 name=Alice
        1.500 alice > pbx 180
        3.000 alice > pbx 200
        3.010 pbx > alice ACK
        3.020 pbx > bob INVITE 102@bob call=2 from=101 name=Alice
        3.100 bob > pbx 486 call=2
        3.110 pbx > bob ACK call=2
        3.120 pbx > alice BYE
        3.130 alice > pbx 200
        ",
    )
    .tells(
        "
        1.500 inb 101 Proceeding [RingOut Initiator]
        3.000 inb 101 Answered
        3.020 inb 102 Setup [RingOut Target]
        3.100 inb 102 Disconnected/TargetBusy missed
        3.120 inb 101 Disconnected
        ",
    );
}

#[test]
fn a_click_to_call_that_the_first_does_not_answer() {
    ladder(
        "
        0.000 alice > pbx REGISTER sip:example.com call=reg from=101 to=101
        0.010 pbx > alice 401 call=reg
        0.020 alice > pbx REGISTER sip:example.com call=reg from=101 to=101
        0.030 pbx > alice 200 call=reg
        1.000 pbx > alice INVITE 101@alice from=101 name=Alice
        1.500 alice > pbx 180
        31.000 pbx > alice CANCEL
        31.010 alice > pbx 200 for=CANCEL
        31.020 alice > pbx 487
        31.030 pbx > alice ACK
        60.000 dave > pbx OPTIONS 100 call=9
        ",
    )
    .tells(
        "
        1.500 inb 101 Proceeding [RingOut Initiator]
        31.020 inb 101 Disconnected/NoAnswer
        ",
    );
}

#[test]
fn a_click_to_call_that_lets_the_phone_call() {
    // The switch rings the phone and then refers it to the target (RFC 3515); who transfers is nobody
    // here.
    ladder(
        "
        0.000 alice > pbx REGISTER sip:example.com call=reg from=101 to=101
        0.010 pbx > alice 401 call=reg
        0.020 alice > pbx REGISTER sip:example.com call=reg from=101 to=101
        0.030 pbx > alice 200 call=reg
        1.000 pbx > alice INVITE 101@alice from=101 name=Alice
        1.500 alice > pbx 180
        3.000 alice > pbx 200
        3.010 pbx > alice ACK
        3.020 pbx > alice REFER | Refer-To: <sip:102@{pbx}>
        3.030 alice > pbx 202
        3.040 alice > pbx NOTIFY frag=100
        3.050 pbx > alice 200
        3.100 alice > pbx INVITE 102 call=2
        3.110 pbx > bob INVITE 102@bob call=3 from=101 name=Alice
        3.500 bob > pbx 180 call=3
        3.510 pbx > alice 180 call=2
        6.000 bob > pbx 200 call=3
        6.010 pbx > bob ACK call=3
        6.020 pbx > alice 200 call=2
        6.030 alice > pbx ACK call=2
        6.040 alice > pbx NOTIFY frag=200
        6.050 pbx > alice 200
        6.060 pbx > alice BYE
        6.070 alice > pbx 200
        12.000 alice > pbx BYE call=2
        12.010 pbx > alice 200 call=2
        12.020 pbx > bob BYE call=3
        ",
    )
    .tells(
        "
        1.500 inb 101 Proceeding [RingOut Initiator]
        3.000 inb 101 Answered
        3.110 inb 102 Setup [RingOut Target]
        3.500 inb 102 Proceeding
        6.000 inb 102 Answered
        12.000 inb 101 Disconnected
        12.020 inb 102 Disconnected
        ",
    );
}

#[test]
fn a_conference_room_that_the_directory_names() {
    // One session for all who are in the room, and none of them is called.
    ladder(
        "
        0.000 alice > pbx INVITE 800
        0.020 pbx > alice 200
        0.030 alice > pbx ACK
        5.000 bob > pbx INVITE 800 call=2
        5.020 pbx > bob 200 call=2
        5.030 bob > pbx ACK call=2
        20.000 alice > pbx BYE
        20.010 pbx > alice 200
        30.000 bob > pbx BYE call=2
        30.010 pbx > bob 200 call=2
        ",
    )
    .with_directory(DIRECTORY)
    .tells(
        "
        0.000 out 101 Setup [Conference]
        0.020 out 101 Answered
        5.000 out 102 Setup [Conference]
        5.020 out 102 Answered
        20.000 out 101 Disconnected
        30.000 out 102 Disconnected
        ",
    );
}

#[test]
fn a_conference_that_only_the_focus_makes_known() {
    // RFC 4579 §5.1: isfocus in the answer, with one conference URI. Until then each is in a call of his
    // own, which goes over to the conference.
    ladder(
        "
        0.000 alice > focus INVITE 800
        0.020 focus > alice 200 contact=conf-7 features=isfocus
        0.030 alice > focus ACK
        5.000 bob > focus INVITE 800 call=2
        5.020 focus > bob 200 call=2 contact=conf-7 features=isfocus
        5.030 bob > focus ACK call=2
        20.000 alice > focus BYE
        20.010 focus > alice 200
        30.000 bob > focus BYE call=2
        30.010 focus > bob 200 call=2
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        #2 0.020 out 101 Answered [Conference]
        0.020 out 101 Gone/Conference to #2 out 101
        #3 5.000 out 102 Setup
        #2 5.020 out 102 Answered [Conference]
        #3 5.020 out 102 Gone/Conference to #2 out 102
        #2 20.000 out 101 Disconnected
        #2 30.000 out 102 Disconnected
        ",
    );
}

#[test]
fn somebody_whom_the_focus_calls_into_the_conference() {
    // RFC 4579 §5.5: a REFER to the focus brings a third in, and transfers nobody.
    ladder(
        "
        0.000 alice > pbx INVITE 800
        0.020 pbx > alice 200 contact=800 features=isfocus
        0.030 alice > pbx ACK
        5.000 bob > pbx INVITE 800 call=2
        5.020 pbx > bob 200 call=2 contact=800 features=isfocus
        5.030 bob > pbx ACK call=2
        8.000 bob > pbx REFER call=2 | Refer-To: <sip:103@example.com>
        8.010 pbx > bob 202 call=2
        8.020 pbx > bob NOTIFY call=2 frag=100
        8.030 bob > pbx 200 call=2
        8.100 pbx > carol INVITE 103@carol call=3 from=800 contact=800 features=isfocus
        8.500 carol > pbx 180 call=3
        11.000 carol > pbx 200 call=3
        11.010 pbx > carol ACK call=3
        11.020 pbx > bob NOTIFY call=2 frag=200
        11.030 bob > pbx 200 call=2
        20.000 bob > pbx BYE call=2
        20.010 pbx > bob 200 call=2
        25.000 alice > pbx BYE
        25.010 pbx > alice 200
        30.000 carol > pbx BYE call=3
        30.010 pbx > carol 200 call=3
        ",
    )
    .with_directory(DIRECTORY)
    .tells(
        "
        0.000 out 101 Setup [Conference]
        0.020 out 101 Answered
        5.000 out 102 Setup [Conference]
        5.020 out 102 Answered
        8.100 inb 103 Setup [Conference]
        8.500 inb 103 Proceeding
        11.000 inb 103 Answered
        20.000 out 102 Disconnected
        25.000 out 101 Disconnected
        30.000 inb 103 Disconnected
        ",
    );
}

#[test]
fn a_conference_on_a_phone_is_two_calls_of_its_holder() {
    // RFC 4579 §5.4: Bob's phone is the focus of both dialogs.
    ladder(
        "
        0.000 alice > bob INVITE 102
        0.500 bob > alice 180
        3.000 bob > alice 200
        3.010 alice > bob ACK
        5.000 bob > alice INVITE in=dialog sdp=sendrecv contact=mixer features=isfocus
        5.010 alice > bob 200
        5.020 bob > alice ACK
        6.000 bob > carol INVITE 103 call=2 contact=mixer features=isfocus
        6.500 carol > bob 180 call=2
        8.000 carol > bob 200 call=2
        8.010 bob > carol ACK call=2
        20.000 bob > alice BYE
        20.010 alice > bob 200
        20.020 bob > carol BYE call=2
        20.030 carol > bob 200 call=2
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
        #2 6.000 out 102 Setup
        #2 6.000 inb 103 Setup
        #2 6.500 inb 103 Proceeding
        #2 6.500 out 102 Proceeding
        #2 8.000 inb 103 Answered
        #2 8.000 out 102 Answered
        20.000 inb 102 Disconnected
        20.000 out 101 Disconnected
        #2 20.020 out 102 Disconnected
        #2 20.020 inb 103 Disconnected
        ",
    );
}

#[test]
fn two_calls_that_a_phone_mixes_without_a_word_are_two_sessions() {
    // RFC 4579 appendix A: no message says that the three can hear each other.
    ladder(
        "
        0.000 alice > bob INVITE 102
        0.500 bob > alice 180
        3.000 bob > alice 200
        3.010 alice > bob ACK
        6.000 bob > carol INVITE 103 call=2
        6.500 carol > bob 180 call=2
        8.000 carol > bob 200 call=2
        8.010 bob > carol ACK call=2
        20.000 bob > alice BYE
        20.010 alice > bob 200
        20.020 bob > carol BYE call=2
        20.030 carol > bob 200 call=2
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
        #2 6.000 out 102 Setup
        #2 6.000 inb 103 Setup
        #2 6.500 inb 103 Proceeding
        #2 6.500 out 102 Proceeding
        #2 8.000 inb 103 Answered
        #2 8.000 out 102 Answered
        20.000 inb 102 Disconnected
        20.000 out 101 Disconnected
        #2 20.020 out 102 Disconnected
        #2 20.020 inb 103 Disconnected
        ",
    );
}

#[test]
fn a_queue_that_no_agent_answers_puts_none_into_a_mailbox() {
    // The queue has the caller from the first; 102 has a mailbox for calls of their own.
    ladder(
        "
        0.000 trunk > pbx INVITE +14155559062
        0.100 pbx > trunk 200
        0.110 trunk > pbx ACK
        0.200 pbx > bob INVITE 102 call=2 from=+14155550100
        0.500 bob > pbx 180 call=2
        15.000 pbx > bob CANCEL call=2
        15.010 bob > pbx 487 call=2 for=INVITE
        15.100 pbx > carol INVITE 103 call=3 from=+14155550100
        15.500 carol > pbx 180 call=3
        30.000 pbx > carol CANCEL call=3
        30.010 carol > pbx 487 call=3 for=INVITE
        32.000 pbx > bob INVITE 102 call=4 from=+14155550100
        32.500 bob > pbx 180 call=4
        47.000 pbx > bob CANCEL call=4
        47.010 bob > pbx 487 call=4 for=INVITE
        60.000 pbx > trunk BYE
        60.010 trunk > pbx 200
        ",
    )
    .with_directory(DIRECTORY)
    .tells(
        "
        0.000 out +14155550100 Setup
        0.000 inb +14155559062 Setup
        0.100 out +14155550100 Answered
        0.500 inb 102 Proceeding
        15.010 inb 102 Disconnected/NoAnswer missed
        15.500 inb 103 Proceeding
        30.010 inb 103 Disconnected/NoAnswer missed
        32.500 inb 102 Proceeding
        47.010 inb 102 Disconnected/NoAnswer missed
        60.000 inb +14155559062 Disconnected/NoAnswer missed
        60.000 out +14155550100 Disconnected
        ",
    );
}

#[test]
fn a_queue_that_answers_its_caller_itself_in_the_end_puts_no_agent_into_a_mailbox() {
    ladder(
        "
        0.000 trunk > pbx INVITE +14155559062
        0.100 pbx > trunk 180
        0.200 pbx > bob INVITE 102 call=2 from=+14155550100
        0.210 pbx > carol INVITE 103 call=3 from=+14155550100
        0.500 bob > pbx 180 call=2
        0.510 carol > pbx 180 call=3
        15.000 pbx > bob CANCEL call=2
        15.005 pbx > carol CANCEL call=3
        15.010 bob > pbx 487 call=2 for=INVITE
        15.015 carol > pbx 487 call=3 for=INVITE
        15.050 pbx > trunk 200
        15.060 trunk > pbx ACK
        40.000 trunk > pbx BYE
        40.010 pbx > trunk 200
        ",
    )
    .with_directory(DIRECTORY)
    .tells(
        "
        0.000 out +14155550100 Setup
        0.000 inb +14155559062 Setup
        0.100 out +14155550100 Proceeding
        0.500 inb 102 Proceeding
        0.510 inb 103 Proceeding
        15.010 inb 102 Disconnected/NoAnswer missed
        15.015 inb 103 Disconnected/NoAnswer missed
        15.050 out +14155550100 Answered
        40.000 out +14155550100 Disconnected
        40.000 inb +14155559062 Disconnected/Cancelled missed
        ",
    );
}

#[test]
fn a_ring_group_that_nobody_answers_puts_no_member_into_a_mailbox() {
    // The number that was called has a mailbox of its own, if any.
    ladder(
        "
        0.000 alice > pbx INVITE 610
        0.100 pbx > alice 180
        0.200 pbx > carol INVITE 103 call=2 from=101
        0.205 pbx > bob INVITE 102 call=3 from=101
        0.500 carol > pbx 180 call=2
        0.510 bob > pbx 180 call=3
        15.000 pbx > carol CANCEL call=2
        15.005 pbx > bob CANCEL call=3
        15.010 carol > pbx 487 call=2 for=INVITE
        15.015 bob > pbx 487 call=3 for=INVITE
        15.050 pbx > alice 200
        15.060 alice > pbx ACK
        40.000 alice > pbx BYE
        40.010 pbx > alice 200
        ",
    )
    .with_directory(DIRECTORY)
    .tells(
        "
        0.000 out 101 Setup
        0.100 out 101 Proceeding
        0.200 inb 103 Setup
        0.205 inb 102 Setup
        0.500 inb 103 Proceeding
        0.510 inb 102 Proceeding
        15.010 inb 103 Disconnected/NoAnswer missed
        15.015 inb 102 Disconnected/NoAnswer missed
        15.050 out 101 Answered
        40.000 out 101 Disconnected
        ",
    );
}

#[test]
fn several_phones_behind_a_number_that_nobody_knows_have_no_mailbox_for_it() {
    // A group that the directory does not name.
    ladder(
        "
        0.000 alice > pbx INVITE 699
        0.100 pbx > alice 180
        0.200 pbx > carol INVITE 103 call=2 from=101
        0.205 pbx > bob INVITE 102 call=3 from=101
        0.500 carol > pbx 180 call=2
        0.510 bob > pbx 180 call=3
        15.000 pbx > carol CANCEL call=2
        15.005 pbx > bob CANCEL call=3
        15.010 carol > pbx 487 call=2 for=INVITE
        15.015 bob > pbx 487 call=3 for=INVITE
        15.050 pbx > alice 200
        15.060 alice > pbx ACK
        40.000 alice > pbx BYE
        40.010 pbx > alice 200
        ",
    )
    .with_directory(DIRECTORY)
    .tells(
        "
        0.000 out 101 Setup
        0.100 out 101 Proceeding
        0.200 inb 103 Setup
        0.205 inb 102 Setup
        0.500 inb 103 Proceeding
        0.510 inb 102 Proceeding
        15.010 inb 103 Disconnected/NoAnswer missed
        15.015 inb 102 Disconnected/NoAnswer missed
        15.050 out 101 Answered
        40.000 out 101 Disconnected
        ",
    );
}

#[test]
fn an_agent_who_is_called_directly_still_has_a_mailbox() {
    // After the queue the same person is called by their own number, and the switch answers for them.
    ladder(
        "
        0.000 alice > pbx INVITE 620
        0.100 pbx > alice 200
        0.110 alice > pbx ACK
        0.200 pbx > bob INVITE 102 call=2 from=101
        0.500 bob > pbx 180 call=2
        5.000 alice > pbx BYE
        5.010 pbx > bob CANCEL call=2
        5.020 bob > pbx 487 call=2 for=INVITE
        6.000 alice > pbx INVITE 102 call=3
        6.100 pbx > bob INVITE 102 call=4 from=101
        6.500 bob > pbx 180 call=4
        6.510 pbx > alice 180 call=3
        20.000 pbx > bob CANCEL call=4
        20.010 bob > pbx 487 call=4 for=INVITE
        20.050 pbx > alice 200 call=3
        20.060 alice > pbx ACK call=3
        30.000 alice > pbx BYE call=3
        ",
    )
    .with_directory(DIRECTORY)
    .tells(
        "
        0.000 out 101 Setup
        0.000 inb 620 Setup
        0.100 out 101 Answered
        0.500 inb 102 Proceeding
        5.000 out 101 Disconnected
        5.000 inb 620 Disconnected/Cancelled missed
        5.020 inb 102 Disconnected/Cancelled missed
        #2 6.000 out 101 Setup
        #2 6.100 inb 102 Setup
        #2 6.500 inb 102 Proceeding
        #2 6.510 out 101 Proceeding
        #2 20.050 out 101 Answered
        #2 20.050 inb 102 VoiceMail missed
        #2 30.000 out 101 Disconnected
        #2 30.000 inb 102 Disconnected missed
        ",
    );
}
