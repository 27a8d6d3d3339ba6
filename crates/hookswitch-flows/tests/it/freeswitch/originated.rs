//! Calls that the switch makes itself: whom it calls first, and what for.

use super::calls::{ANSWERED, ANSWERED_TOLD, RINGS, RINGS_TOLD, story};

#[test]
fn an_outside_number_that_is_called_first_is_one_party() {
    story(
        &["
        0.000 create a to=+13125550188 number=+16465550100
        0.020 progress a
        1.000 answer a
        1.010 execute a bridge(user/102) dest=102
        1.011 create b to=102 of=a number=+13125550188
        1.030 progress b
        2.000 answer b
        2.010 bridge a b
        4.000 ends a NORMAL_CLEARING disposition=recv_bye
        4.001 ends b NORMAL_CLEARING disposition=send_bye
        "],
        &["
        0.000 inb +13125550188 Proceeding [RingOut Initiator]
        1.000 inb +13125550188 Answered
        1.011 inb 102 Setup [RingOut Target]
        1.030 inb 102 Proceeding
        2.000 inb 102 Answered
        4.000 inb +13125550188 Disconnected
        4.001 inb 102 Disconnected
        "],
    );
}

#[test]
fn an_outside_number_that_does_not_answer_ends_the_call_alone() {
    story(
        &["
        0.000 create a to=+13125550188 number=+16465550100
        0.020 progress a
        9.000 hangup a NO_ANSWER
        9.001 complete a NO_ANSWER disposition=send_cancel
        "],
        &["
        0.000 inb +13125550188 Proceeding [RingOut Initiator]
        9.000 inb +13125550188 Disconnected/NoAnswer
        "],
    );
}

#[test]
fn who_is_called_first_and_does_not_take_the_call_has_missed_nothing() {
    for (cause, disposition, reason) in [
        ("NO_ANSWER", "send_cancel", "NoAnswer"),
        ("USER_BUSY", "recv_refuse term_status=486", "TargetBusy"),
        ("CALL_REJECTED", "recv_refuse term_status=603", "Rejected"),
    ] {
        story(
            &[&format!(
                "
                0.000 create a to=101 number=102
                0.020 progress a
                9.000 hangup a {cause}
                9.001 complete a {cause} disposition={disposition}
                "
            )],
            &[&format!(
                "
                0.020 inb 101 Proceeding [RingOut Initiator]
                9.000 inb 101 Disconnected/{reason}
                "
            )],
        );
    }
}

#[test]
fn whom_the_initiator_wants_and_does_not_reach_has_missed_the_call() {
    story(
        &["
        0.000 create a to=+13125550188 number=+16465550100
        1.000 answer a
        1.011 create b to=102 of=a number=+13125550188
        1.030 progress b
        4.000 hangup b NO_ANSWER
        4.001 complete b NO_ANSWER disposition=send_cancel
        4.600 ends a NORMAL_CLEARING originate_disposition=NO_ANSWER disposition=send_bye
        "],
        &["
        0.000 inb +13125550188 Proceeding [RingOut Initiator]
        1.000 inb +13125550188 Answered
        1.011 inb 102 Setup [RingOut Target]
        1.030 inb 102 Proceeding
        4.000 inb 102 Disconnected/NoAnswer missed
        4.600 inb +13125550188 Disconnected
        "],
    );
}

#[test]
fn a_supervisor_whom_the_switch_calls_is_a_further_party_that_ends() {
    story(
        &[
            RINGS,
            ANSWERED,
            "
            2.000 create c to=104
            2.020 progress c
            3.000 answer c
            3.010 execute c eavesdrop(@a)
            4.000 ends c NORMAL_CLEARING disposition=recv_bye
            5.000 ends a NORMAL_CLEARING disposition=recv_bye
            5.001 ends b NORMAL_CLEARING disposition=send_bye
            ",
        ],
        &[
            RINGS_TOLD,
            ANSWERED_TOLD,
            "
            #2 2.020 inb 104 Proceeding [RingOut Initiator]
            #2 3.000 inb 104 Answered
            3.010 out 104 Answered/Supervising
            #2 3.010 inb 104 Gone/Supervising to #1 out 104
            4.000 out 104 Disconnected/Supervising
            5.000 out 101 Disconnected
            5.001 inb 102 Disconnected
            ",
        ],
    );
}

#[test]
fn a_supervisor_may_stay_until_the_call_is_over() {
    story(
        &[
            RINGS,
            ANSWERED,
            "
            2.000 create c to=104
            3.000 answer c
            3.010 execute c eavesdrop(@b)
            5.000 ends a NORMAL_CLEARING disposition=recv_bye
            5.001 ends b NORMAL_CLEARING disposition=send_bye
            5.002 ends c NORMAL_CLEARING disposition=send_bye
            ",
        ],
        &[
            RINGS_TOLD,
            ANSWERED_TOLD,
            "
            #2 3.000 inb 104 Answered [RingOut Initiator]
            3.010 out 104 Answered/Supervising
            #2 3.010 inb 104 Gone/Supervising to #1 out 104
            5.000 out 101 Disconnected
            5.001 inb 102 Disconnected
            5.002 out 104 Disconnected/Supervising
            ",
        ],
    );
}

#[test]
fn a_click_to_call_through_a_loopback_is_one_session() {
    story(
        &["
        0.000 create l loopback/101-a other_loopback_leg_uuid=@m
        0.001 create m loopback/101-b other_loopback_leg_uuid=@l
        0.002 execute m bridge(user/101)
        0.004 create a to=101 of=m
        0.020 progress a
        1.000 answer a
        1.001 answer m
        1.002 answer l
        1.010 execute l bridge(user/102)
        1.011 create b to=102 of=l
        1.030 progress b
        2.000 answer b
        2.010 bridge l b
        4.000 ends b NORMAL_CLEARING disposition=recv_bye
        4.001 ends l NORMAL_CLEARING
        4.002 ends m NORMAL_CLEARING
        4.003 ends a NORMAL_CLEARING disposition=send_bye
        "],
        &["
        0.020 inb 101 Proceeding [RingOut Initiator]
        1.000 inb 101 Answered
        1.011 inb 102 Setup [RingOut Target]
        1.030 inb 102 Proceeding
        2.000 inb 102 Answered
        4.000 inb 102 Disconnected
        4.003 inb 101 Disconnected
        "],
    );
}
