//! Conference rooms: whoever `add-member` names is in the room, however it came there.

use super::calls::{ANSWERED, ANSWERED_TOLD, RINGS, RINGS_TOLD, story};

#[test]
fn a_room_may_call_somebody_itself() {
    story(
        &["
        0.000 create a 101>800
        0.001 answer a
        0.002 conference a Action=add-member Conference-Name=800-x
        1.000 create b to=102 number=800
        1.020 progress b
        2.000 answer b
        2.010 conference b Action=add-member Conference-Name=800-x
        4.000 ends b NORMAL_CLEARING disposition=recv_bye
        5.000 ends a NORMAL_CLEARING disposition=recv_bye
        "],
        &["
        0.000 out 101 Setup
        0.001 out 101 Answered
        0.002 out 101 Gone/Conference to #2 out 101
        #2 0.002 out 101 Answered [Conference]
        #3 1.020 inb 102 Proceeding [RingOut Initiator]
        #3 2.000 inb 102 Answered
        #2 2.010 inb 102 Answered [Conference]
        #3 2.010 inb 102 Gone/Conference to #2 inb 102
        #2 4.000 inb 102 Disconnected
        #2 5.000 out 101 Disconnected
        "],
    );
}

#[test]
fn whom_the_room_does_not_reach_is_not_in_it() {
    story(
        &["
        0.000 create a 101>800
        0.001 answer a
        0.002 conference a Action=add-member Conference-Name=800-x
        1.000 create b to=102 number=800
        1.020 progress b
        4.000 ends b NO_ANSWER disposition=send_cancel
        5.000 ends a NORMAL_CLEARING disposition=recv_bye
        "],
        &["
        0.000 out 101 Setup
        0.001 out 101 Answered
        0.002 out 101 Gone/Conference to #2 out 101
        #2 0.002 out 101 Answered [Conference]
        #3 1.020 inb 102 Proceeding [RingOut Initiator]
        #3 4.000 inb 102 Disconnected/NoAnswer
        #2 5.000 out 101 Disconnected
        "],
    );
}

#[test]
fn who_is_transferred_to_a_room_is_in_it() {
    story(
        &[
            RINGS,
            ANSWERED,
            "
            3.000 hangup b NORMAL_CLEARING endpoint_disposition=BLIND_TRANSFER
            3.001 complete b NORMAL_CLEARING endpoint_disposition=BLIND_TRANSFER transfer_destination=blind:800 disposition=send_bye
            3.010 execute a conference(800-x@default) dest=800
            3.012 conference a Action=add-member Conference-Name=800-x
            5.000 ends a NORMAL_CLEARING disposition=recv_bye
            ",
        ],
        &[
            RINGS_TOLD,
            ANSWERED_TOLD,
            "
            3.000 inb 102 Disconnected/BlindTransfer
            3.012 out 101 Gone/Conference to #2 out 101
            #2 3.012 out 101 Answered [Conference]
            #2 5.000 out 101 Disconnected
            ",
        ],
    );
}

#[test]
fn both_ends_of_a_call_may_be_sent_to_a_room() {
    story(
        &[
            RINGS,
            ANSWERED,
            "
            3.010 execute b conference(800-x@default) dest=800
            3.012 conference b Action=add-member Conference-Name=800-x
            3.020 execute a conference(800-x@default) dest=800
            3.022 conference a Action=add-member Conference-Name=800-x Speak=false
            4.000 conference a Action=unmute-member Conference-Name=800-x Speak=true
            5.000 ends a NORMAL_CLEARING disposition=recv_bye
            6.000 ends b NORMAL_CLEARING disposition=recv_bye
            ",
        ],
        &[
            RINGS_TOLD,
            ANSWERED_TOLD,
            "
            3.012 inb 102 Gone/Conference to #2 inb 102
            #2 3.012 inb 102 Answered [Conference]
            3.022 out 101 Gone/Conference to #2 out 101
            #2 3.022 out 101 Answered [Conference]
            #2 3.022 out 101 Answered
            #2 4.000 out 101 Answered
            #2 5.000 out 101 Disconnected
            #2 6.000 inb 102 Disconnected
            ",
        ],
    );
}
