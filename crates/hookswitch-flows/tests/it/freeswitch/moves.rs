//! Calls that are moved: transferred, parked, picked up.

use super::calls::{ANSWERED, ANSWERED_TOLD, RINGS, RINGS_TOLD, story};

/// 103 rings, answers, and ends the call with 101.
pub(super) const GOES_ON: &str = "
    3.050 create c to=103 of=a
    3.070 progress c
    4.000 answer c
    4.001 bridge a c
    6.000 ends c NORMAL_CLEARING disposition=recv_bye
    6.001 ends a NORMAL_CLEARING disposition=send_bye
";

const GOES_ON_TOLD: &str = "
    3.050 inb 103 Setup
    3.070 inb 103 Proceeding
    4.000 inb 103 Answered
    6.000 inb 103 Disconnected
    6.001 out 101 Disconnected
";

#[test]
fn a_blind_transfer_is_read_off_the_variables_of_who_leaves() {
    story(
        &[
            RINGS,
            ANSWERED,
            "
            3.000 hangup b NORMAL_CLEARING endpoint_disposition=BLIND_TRANSFER
            3.020 complete b NORMAL_CLEARING endpoint_disposition=BLIND_TRANSFER transfer_to=blind:@a transfer_destination=blind:103 disposition=send_bye
            ",
            GOES_ON,
        ],
        &[RINGS_TOLD, ANSWERED_TOLD, "3.000 inb 102 Disconnected/BlindTransfer\n", GOES_ON_TOLD],
    );
}

#[test]
fn a_transfer_by_keys_is_one_by_code() {
    story(
        &[
            RINGS,
            ANSWERED,
            "
            3.000 execute b transfer(-bleg_103_XML_default)
            3.001 hangup b NORMAL_CLEARING
            3.020 complete b NORMAL_CLEARING endpoint_disposition=ANSWER disposition=send_bye
            ",
            GOES_ON,
        ],
        &[RINGS_TOLD, ANSWERED_TOLD, "3.001 inb 102 Disconnected/DtmfTransfer\n", GOES_ON_TOLD],
    );
}

#[test]
fn who_is_left_because_a_command_sent_the_call_elsewhere_is_told_so() {
    story(
        &[
            RINGS,
            ANSWERED,
            "
            3.000 hangup b NORMAL_CLEARING
            3.001 complete b NORMAL_CLEARING endpoint_disposition=ANSWER disposition=send_bye
            3.010 execute a bridge(user/103) dest=103
            ",
            GOES_ON,
        ],
        &[RINGS_TOLD, ANSWERED_TOLD, "3.000 inb 102 Disconnected/RccTransfer\n", GOES_ON_TOLD],
    );
}

/// 102 calls 103 on a second line.
pub(super) const CONSULTS: &str = "
    2.000 state b HELD
    2.001 hold b
    2.500 create x 102>103
    2.510 create y to=103 of=x
    2.530 progress y
    2.531 progress x
";

const CONSULTS_TOLD: &str = "
    2.000 inb 102 Hold
    #2 2.500 out 102 Setup
    #2 2.510 inb 103 Setup
    #2 2.530 inb 103 Proceeding
    #2 2.531 out 102 Proceeding
";

#[test]
fn in_an_attended_transfer_both_of_who_transfers_are_gone_and_are_not_taken_off_hold() {
    story(
        &[
            RINGS,
            ANSWERED,
            CONSULTS,
            "
            3.000 answer y
            3.001 answer x
            3.002 bridge x y
            4.000 hangup x NORMAL_CLEARING endpoint_disposition=ATTENDED_TRANSFER transfer_disposition=replaced
            4.001 state b UNHELD
            4.001 unhold b
            4.002 hangup b NORMAL_CLEARING transfer_to=att:@y transfer_disposition=recv_replace
            4.003 complete x NORMAL_CLEARING endpoint_disposition=ATTENDED_TRANSFER disposition=send_bye
            4.004 complete b NORMAL_CLEARING transfer_to=att:@y disposition=recv_bye
            4.020 bridge a y
            6.000 ends a NORMAL_CLEARING disposition=recv_bye
            6.001 ends y NORMAL_CLEARING disposition=send_bye
            ",
        ],
        &[
            RINGS_TOLD,
            ANSWERED_TOLD,
            CONSULTS_TOLD,
            "
            #2 3.000 inb 103 Answered
            #2 3.001 out 102 Answered
            4.002 inb 102 Gone/AttendedTransfer to #2 out 102
            #2 4.002 out 102 Gone/AttendedTransfer to #1 inb 102
            6.000 out 101 Disconnected
            #2 6.001 inb 103 Disconnected
            ",
        ],
    );
}

#[test]
fn an_attended_transfer_may_complete_while_the_target_rings() {
    story(
        &[
            RINGS,
            ANSWERED,
            CONSULTS,
            "
            3.000 hangup b NORMAL_CLEARING transfer_to=satt:@x transfer_disposition=recv_replace
            3.001 complete b NORMAL_CLEARING transfer_to=satt:@x disposition=recv_bye
            3.010 execute a endless_playback(local_stream://moh)
            3.011 park a
            4.000 answer y
            4.001 unpark a
            4.002 hangup x NORMAL_CLEARING
            4.003 complete x NORMAL_CLEARING disposition=send_bye
            4.020 bridge a y
            6.000 ends a NORMAL_CLEARING disposition=recv_bye
            6.001 ends y NORMAL_CLEARING disposition=send_bye
            ",
        ],
        &[
            RINGS_TOLD,
            ANSWERED_TOLD,
            CONSULTS_TOLD,
            "
            3.000 inb 102 Gone/AttendedTransfer to #2 out 102
            #2 3.000 out 102 Gone/AttendedTransfer to #1 inb 102
            #2 4.000 inb 103 Answered
            6.000 out 101 Disconnected
            #2 6.001 inb 103 Disconnected
            ",
        ],
    );
}

#[test]
fn an_attended_transfer_by_keys_leaves_one_session() {
    story(
        &[
            RINGS,
            ANSWERED,
            "
            2.000 execute b att_xfer(user/103@pbx.example.com)
            2.010 create c to=103 of=b
            2.030 progress c
            3.000 answer c
            4.000 hangup b NORMAL_CLEARING att_xfer_result=success
            4.001 complete b NORMAL_CLEARING att_xfer_result=success disposition=recv_bye
            4.010 bridge a c
            6.000 ends c NORMAL_CLEARING disposition=recv_bye
            6.001 ends a NORMAL_CLEARING disposition=send_bye
            ",
        ],
        &[
            RINGS_TOLD,
            ANSWERED_TOLD,
            "
            2.010 inb 103 Setup
            2.030 inb 103 Proceeding
            3.000 inb 103 Answered
            4.000 inb 102 Disconnected/DtmfTransfer
            6.000 inb 103 Disconnected
            6.001 out 101 Disconnected
            ",
        ],
    );
}

#[test]
fn who_consults_by_keys_and_comes_back_has_transferred_nothing() {
    story(
        &[
            RINGS,
            ANSWERED,
            "
            2.000 execute b att_xfer(user/103@pbx.example.com)
            2.010 create c to=103 of=b
            2.030 progress c
            3.000 answer c
            3.010 bridge b c
            4.000 hangup c NORMAL_CLEARING
            4.001 complete c NORMAL_CLEARING disposition=recv_bye
            4.090 bridge b a
            6.000 hangup a NORMAL_CLEARING
            6.001 complete a NORMAL_CLEARING disposition=recv_bye
            6.020 hangup b NORMAL_CLEARING att_xfer_result=success
            6.021 complete b NORMAL_CLEARING att_xfer_result=success disposition=send_bye
            ",
        ],
        &[
            RINGS_TOLD,
            ANSWERED_TOLD,
            "
            2.010 inb 103 Setup
            2.030 inb 103 Proceeding
            3.000 inb 103 Answered
            4.000 inb 103 Disconnected
            6.000 out 101 Disconnected
            6.020 inb 102 Disconnected
            ",
        ],
    );
}

#[test]
fn who_consults_by_keys_and_is_left_by_the_first_has_transferred_nothing() {
    story(
        &[
            RINGS,
            ANSWERED,
            "
            2.000 execute b att_xfer(user/103@pbx.example.com)
            2.010 create c to=103 of=b
            3.000 answer c
            3.010 bridge b c
            4.000 hangup a NORMAL_CLEARING
            4.001 complete a NORMAL_CLEARING disposition=recv_bye
            6.000 hangup b NORMAL_CLEARING att_xfer_result=success
            6.001 complete b NORMAL_CLEARING att_xfer_result=success disposition=recv_bye
            6.010 ends c NORMAL_CLEARING disposition=send_bye
            ",
        ],
        &[
            RINGS_TOLD,
            ANSWERED_TOLD,
            "
            2.010 inb 103 Setup
            3.000 inb 103 Answered
            4.000 out 101 Disconnected
            6.000 inb 102 Disconnected
            6.010 inb 103 Disconnected
            ",
        ],
    );
}

/// 102 holds its call and calls 710, where no agent has answered yet.
const CONSULTS_QUEUE: &str = "
    2.000 state b HELD
    2.500 create c 102>710
    2.501 answer c
    2.502 queue c CC-Action=member-queue-start CC-Queue=support@default CC-Member-Session-UUID=@c
";

/// The order in which the two calls of who transfers end.
const LEAVES_QUEUE_FIRST: &str = "
    4.000 hangup c ATTENDED_TRANSFER transfer_disposition=replaced
    4.001 queue c CC-Action=member-queue-end CC-Cause=Cancel CC-Cancel-Reason=BREAK_OUT CC-Member-Session-UUID=@c
    4.001 complete c ATTENDED_TRANSFER transfer_disposition=replaced disposition=send_bye
    4.022 state b UNHELD
    4.023 hangup b NORMAL_CLEARING transfer_disposition=recv_replace
    4.025 complete b NORMAL_CLEARING transfer_disposition=recv_replace disposition=send_bye
";

const LEAVES_CALL_FIRST: &str = "
    4.000 state b UNHELD
    4.000 hangup b NORMAL_CLEARING transfer_disposition=recv_replace
    4.002 complete b NORMAL_CLEARING transfer_disposition=recv_replace disposition=send_bye
    4.020 hangup c ATTENDED_TRANSFER transfer_disposition=replaced
    4.021 complete c ATTENDED_TRANSFER transfer_disposition=replaced disposition=send_bye
    4.022 queue c CC-Action=member-queue-end CC-Cause=Cancel CC-Cancel-Reason=BREAK_OUT CC-Member-Session-UUID=@c
";

#[test]
fn in_an_attended_transfer_to_a_queue_both_of_who_transfers_are_gone_and_nobody_has_missed_it() {
    let queue_first = "
        #2 4.001 inb 710 Disconnected/AttendedTransfer
        4.023 inb 102 Gone/AttendedTransfer to #2 out 102
        #2 4.023 out 102 Gone/AttendedTransfer to #1 inb 102
    ";
    let call_first = "
        4.020 inb 102 Gone/AttendedTransfer to #2 out 102
        #2 4.020 out 102 Gone/AttendedTransfer to #1 inb 102
        #2 4.020 inb 710 Disconnected/AttendedTransfer
    ";
    for (leaves, left) in [(LEAVES_QUEUE_FIRST, queue_first), (LEAVES_CALL_FIRST, call_first)] {
        let enters = "
            4.030 execute a callcenter(support@default) dest=710
            4.031 queue a CC-Action=member-queue-start CC-Queue=support@default CC-Member-Session-UUID=@a
            5.000 create d to=103 cc_member_session_uuid=@a
            5.020 progress d
            6.000 answer d
            6.020 bridge a d
            8.000 ends a NORMAL_CLEARING disposition=recv_bye
            8.001 ends d NORMAL_CLEARING disposition=send_bye
        ";
        story(
            &[RINGS, ANSWERED, CONSULTS_QUEUE, leaves, enters],
            &[
                RINGS_TOLD,
                ANSWERED_TOLD,
                "
                2.000 inb 102 Hold
                #2 2.500 out 102 Setup
                #2 2.501 out 102 Answered
                #2 2.502 inb 710 Setup
                ",
                left,
                "
                4.031 inb 710 Setup
                5.020 inb 103 Proceeding
                6.000 inb 103 Answered
                6.000 inb 710 Disconnected/AgentAnswered
                8.000 out 101 Disconnected
                8.001 inb 103 Disconnected
                ",
            ],
        );
    }
}

#[test]
fn in_an_attended_transfer_to_a_room_both_of_who_transfers_are_gone() {
    story(
        &[
            RINGS,
            ANSWERED,
            "
            2.500 create c 102>800
            2.501 answer c
            2.502 conference c Action=add-member Conference-Name=800-x
            4.000 hangup c ATTENDED_TRANSFER transfer_disposition=replaced
            4.001 complete c ATTENDED_TRANSFER transfer_disposition=replaced disposition=send_bye
            4.023 hangup b NORMAL_CLEARING transfer_disposition=recv_replace
            4.025 complete b NORMAL_CLEARING transfer_disposition=recv_replace disposition=send_bye
            4.030 execute a conference(800-x@default) dest=800
            4.031 conference a Action=add-member Conference-Name=800-x
            8.000 ends a NORMAL_CLEARING disposition=recv_bye
            ",
        ],
        &[
            RINGS_TOLD,
            ANSWERED_TOLD,
            "
            #2 2.500 out 102 Setup
            #2 2.501 out 102 Answered
            #2 2.502 out 102 Gone/Conference to #3 out 102
            #3 2.502 out 102 Answered [Conference]
            4.023 inb 102 Gone/AttendedTransfer to #3 out 102
            #3 4.023 out 102 Gone/AttendedTransfer to #1 inb 102
            4.031 out 101 Gone/Conference to #4 out 101
            #4 4.031 out 101 Answered [Conference]
            #4 8.000 out 101 Disconnected
            ",
        ],
    );
}

#[test]
fn in_an_attended_transfer_to_a_slot_who_is_transferred_waits_there_until_fetched() {
    story(
        &[
            RINGS,
            ANSWERED,
            "
            2.500 create c 102>601
            2.501 answer c
            2.502 execute c valet_park(lot1_601)
            2.503 valet c Action=hold Valet-Extension=601
            4.000 hangup c ATTENDED_TRANSFER transfer_disposition=replaced
            4.001 valet c Action=exit Valet-Extension=601
            4.002 complete c ATTENDED_TRANSFER transfer_disposition=replaced disposition=send_bye
            4.023 hangup b NORMAL_CLEARING transfer_disposition=recv_replace
            4.025 complete b NORMAL_CLEARING transfer_disposition=recv_replace disposition=send_bye
            4.030 execute a valet_park(lot1_601) dest=601
            4.031 valet a Action=hold Valet-Extension=601
            6.000 create d 103>601
            6.001 answer d
            6.002 execute d valet_park(lot1_601)
            6.003 valet a Action=bridge Bridge-To-UUID=@d Valet-Extension=601
            6.010 valet a Action=exit Valet-Extension=601
            6.020 bridge a d
            8.000 ends d NORMAL_CLEARING disposition=recv_bye
            8.001 ends a NORMAL_CLEARING disposition=send_bye
            ",
        ],
        &[
            RINGS_TOLD,
            ANSWERED_TOLD,
            "
            #2 2.500 out 102 Setup
            #2 2.501 out 102 Answered
            #2 2.503 out 102 Parked in 601
            4.023 inb 102 Gone/AttendedTransfer to #2 out 102
            #2 4.023 out 102 Gone/AttendedTransfer to #1 inb 102
            4.031 out 101 Parked in 601
            #3 6.000 out 103 Setup
            #3 6.001 out 103 Answered
            6.003 out 101 Answered
            #3 8.000 out 103 Disconnected
            8.001 out 101 Disconnected
            ",
        ],
    );
}

/// 102 sends the call to slot 601.
pub(super) const PARKS: &str = "
    3.000 hangup b NORMAL_CLEARING endpoint_disposition=BLIND_TRANSFER
    3.001 complete b NORMAL_CLEARING endpoint_disposition=BLIND_TRANSFER transfer_destination=blind:601 disposition=send_bye
    3.010 execute a valet_park(lot1_601)
    3.012 valet a Action=hold Valet-Extension=601
";

#[test]
fn a_call_in_a_slot_is_parked_and_fetched() {
    story(
        &[
            RINGS,
            ANSWERED,
            PARKS,
            "
            5.000 create c 103>601
            5.001 answer c
            5.002 execute c valet_park(lot1_601)
            5.003 valet a Action=bridge Bridge-To-UUID=@c
            5.004 valet a Action=exit
            5.020 bridge a c
            7.000 ends c NORMAL_CLEARING disposition=recv_bye
            7.001 ends a NORMAL_CLEARING disposition=send_bye
            ",
        ],
        &[
            RINGS_TOLD,
            ANSWERED_TOLD,
            "
            3.012 inb 102 Parked in 601
            #2 5.000 out 103 Setup
            5.001 inb 102 Gone/Pickup to #2 out 103
            #2 5.001 out 103 Answered/Pickup
            #2 7.000 out 103 Disconnected
            7.001 out 101 Disconnected
            ",
        ],
    );
}

#[test]
fn a_slot_that_is_announced_first_is_told_when_it_is_known_and_time_may_run_out() {
    story(
        &[
            RINGS,
            ANSWERED,
            "
            3.000 hangup b NORMAL_CLEARING endpoint_disposition=BLIND_TRANSFER
            3.001 complete b NORMAL_CLEARING endpoint_disposition=BLIND_TRANSFER transfer_destination=blind:600 disposition=send_bye
            3.010 execute a valet_park(lot1_auto_in_601_609)
            5.012 valet a Action=hold Valet-Extension=602
            9.000 valet a Action=exit
            9.010 create d to=102 of=a
            9.030 progress d
            9.500 ends a NORMAL_CLEARING disposition=recv_bye
            9.501 ends d ORIGINATOR_CANCEL disposition=send_cancel
            ",
        ],
        &[
            RINGS_TOLD,
            ANSWERED_TOLD,
            "
            3.010 inb 102 Parked in an unknown slot
            5.012 inb 102 Parked in 602
            9.000 inb 102 Disconnected/Timeout
            9.010 inb 102 Setup
            9.030 inb 102 Proceeding
            9.500 out 101 Disconnected
            9.501 inb 102 Disconnected/Cancelled missed
            ",
        ],
    );
}

#[test]
fn who_is_parked_and_gives_up_ends_both() {
    story(
        &[
            RINGS,
            ANSWERED,
            PARKS,
            "
            5.000 hangup a NORMAL_CLEARING
            5.001 valet a Action=exit
            5.002 complete a NORMAL_CLEARING disposition=recv_bye
            ",
        ],
        &[
            RINGS_TOLD,
            ANSWERED_TOLD,
            "
            3.012 inb 102 Parked in 601
            5.000 out 101 Disconnected
            5.000 inb 102 Disconnected
            ",
        ],
    );
}

#[test]
fn a_call_that_a_command_parks_for_long_is_parked() {
    story(
        &[
            RINGS,
            ANSWERED,
            "
            3.000 hangup b NORMAL_CLEARING
            3.001 complete b NORMAL_CLEARING disposition=send_bye
            3.010 park a
            5.000 ends a NORMAL_CLEARING disposition=recv_bye
            ",
        ],
        &[
            RINGS_TOLD,
            ANSWERED_TOLD,
            "
            3.010 inb 102 Parked in an unknown slot
            5.000 out 101 Disconnected
            5.000 inb 102 Disconnected
            ",
        ],
    );
}

#[test]
fn a_call_that_rings_is_picked_up_by_code() {
    story(
        &[
            RINGS,
            "
            2.000 create c 103>**102
            2.001 answer c
            2.002 execute c intercept(@a)
            2.003 answer a
            2.004 hangup b PICKED_OFF
            2.005 complete b PICKED_OFF disposition=send_cancel
            2.020 bridge c a
            5.000 ends a NORMAL_CLEARING disposition=recv_bye
            5.500 ends c NORMAL_CLEARING disposition=send_bye
            ",
        ],
        &[
            RINGS_TOLD,
            "
            2.000 inb 103 Setup
            2.001 inb 103 Answered/Pickup
            2.003 out 101 Answered
            2.004 inb 102 Disconnected/Pickup
            5.000 out 101 Disconnected
            5.500 inb 103 Disconnected
            ",
        ],
    );
}

#[test]
fn a_call_of_a_group_is_picked_up() {
    story(
        &["
            0.000 create a 101>102
            0.004 create b to=102 of=a
            0.005 create p pickup/601 of=a
            0.020 progress b
            2.000 create c 103>*8
            2.001 answer c
            2.002 execute c pickup(601)
            2.004 hangup b LOSE_RACE
            2.005 complete b LOSE_RACE disposition=send_cancel
            2.006 ends p PICKED_OFF
            2.010 answer a
            2.020 bridge a c
            5.000 ends a NORMAL_CLEARING disposition=recv_bye
            5.500 ends c NORMAL_CLEARING disposition=send_bye
            "],
        &["
        0.000 out 101 Setup
        0.004 inb 102 Setup
        0.020 inb 102 Proceeding
        2.000 inb 103 Setup
        2.001 inb 103 Answered/Pickup
        2.004 inb 102 Disconnected/Pickup
        2.010 out 101 Answered
        5.000 out 101 Disconnected
        5.500 inb 103 Disconnected
        "],
    );
}

#[test]
fn a_call_of_a_group_is_picked_up_though_its_place_is_told_of_only_then() {
    // As in `picked-up-by-group`: no CHANNEL_CREATE of the place, and the taker asks for the call before.
    let place =
        "Unique-ID=@p Channel-Name=pickup/601@pbx.example.com Call-Direction=outbound Other-Leg-Unique-ID=@a";
    for (first, second) in [("2.003", "2.004"), ("2.004", "2.003")] {
        let story = format!(
            "
            0.000 create a 101>102
            0.004 create b to=102 of=a
            0.020 progress b
            2.000 create c 103>*8
            2.001 answer c
            2.002 execute c pickup(601@pbx.example.com)
            2.0025 answer p {place}
            {first} hangup p PICKED_OFF {place}
            {second} hangup b LOSE_RACE
            2.005 complete p PICKED_OFF {place}
            2.006 destroy p {place}
            2.007 answer a
            2.008 complete b LOSE_RACE disposition=send_cancel
            2.020 bridge a c
            5.000 ends a NORMAL_CLEARING disposition=recv_bye
            5.500 ends c NORMAL_CLEARING disposition=send_bye
            "
        );
        let told = format!(
            "
            0.000 out 101 Setup
            0.004 inb 102 Setup
            0.020 inb 102 Proceeding
            2.000 inb 103 Setup
            2.001 inb 103 Answered/Pickup
            {second} inb 102 Disconnected/Pickup
            2.007 out 101 Answered
            5.000 out 101 Disconnected
            5.500 inb 103 Disconnected
            "
        );
        self::story(&[&story], &[&told]);
    }
}

#[test]
fn a_call_of_a_group_is_picked_up_though_its_place_has_gone_before() {
    story(
        &["
            0.000 create a 101>102
            0.004 create b to=102 of=a
            0.005 create p pickup/601 of=a
            0.020 progress b
            2.000 create c 103>*8
            2.001 answer c
            2.002 hangup b LOSE_RACE
            2.003 complete b LOSE_RACE disposition=send_cancel
            2.003 ends p PICKED_OFF
            2.006 execute c pickup(601)
            2.010 answer a
            2.020 bridge a c
            5.000 ends a NORMAL_CLEARING disposition=recv_bye
            5.500 ends c NORMAL_CLEARING disposition=send_bye
            "],
        &["
        0.000 out 101 Setup
        0.004 inb 102 Setup
        0.020 inb 102 Proceeding
        2.000 inb 103 Setup
        2.001 inb 103 Answered/Pickup
        2.002 inb 102 Disconnected/Pickup
        2.010 out 101 Answered
        5.000 out 101 Disconnected
        5.500 inb 103 Disconnected
        "],
    );
}

#[test]
fn who_takes_the_call_to_another_device_of_the_same_person_flips_it() {
    story(
        &[
            RINGS,
            ANSWERED,
            "
            3.000 create c 102>*55
            3.001 answer c
            3.002 execute c intercept(@a)
            3.003 hangup b PICKED_OFF
            3.004 complete b PICKED_OFF disposition=send_bye
            3.020 bridge c a
            5.000 ends a NORMAL_CLEARING disposition=recv_bye
            5.500 ends c NORMAL_CLEARING disposition=send_bye
            ",
        ],
        &[
            RINGS_TOLD,
            ANSWERED_TOLD,
            "
            3.001 inb 102 Answered
            3.003 inb 102 Disconnected/CallFlip
            5.000 out 101 Disconnected
            5.500 inb 102 Disconnected
            ",
        ],
    );
}

#[test]
fn who_parks_a_call_by_a_transfer_has_done_so_however_long_the_switch_takes_to_park_it() {
    // As in `parked-and-fetched`, on a machine that is busy: the transferrer is gone before its peer is parked.
    for (executes, holds) in [("2.110", "2.130"), ("2.300", "2.450"), ("2.030", "2.400")] {
        story(
            &[&format!(
                "
                0.000 create a 101>102
                0.004 create b to=102 of=a
                0.020 progress b
                1.000 answer b
                1.002 answer a
                1.004 bridge a b
                2.000 hangup b NORMAL_CLEARING endpoint_disposition=BLIND_TRANSFER transfer_to=blind:@a transfer_destination=blind:6003
                2.010 complete b NORMAL_CLEARING disposition=send_bye endpoint_disposition=BLIND_TRANSFER transfer_to=blind:@a transfer_destination=blind:6003
                2.015 destroy b
                {executes} execute a valet_park(lot_6003)
                {holds} valet a Action=hold Valet-Extension=6003
                4.000 ends a NORMAL_CLEARING
                "
            )],
            &[&format!(
                "
                0.000 out 101 Setup
                0.004 inb 102 Setup
                0.020 inb 102 Proceeding
                1.000 inb 102 Answered
                1.002 out 101 Answered
                {holds} inb 102 Parked in 6003
                4.000 out 101 Disconnected
                4.000 inb 102 Disconnected
                "
            )],
        );
    }
}

#[test]
fn whom_somebody_consults_by_keys_who_hangs_up_meanwhile_has_missed_the_call() {
    // FreeSWITCH cancels the call to the target by a cause that says nothing of it.
    story(
        &[
            RINGS,
            ANSWERED,
            "
            2.000 execute b att_xfer(user/103@pbx.example.com)
            2.010 create c to=103 of=b
            2.030 progress c
            3.000 hangup b NORMAL_CLEARING
            3.001 complete b NORMAL_CLEARING originate_disposition=ORIGINATOR_CANCEL disposition=recv_bye
            3.010 hangup c DESTINATION_OUT_OF_ORDER
            3.011 hangup a ORIGINATOR_CANCEL
            3.020 complete a ORIGINATOR_CANCEL disposition=send_bye
            3.021 complete c DESTINATION_OUT_OF_ORDER disposition=send_cancel
            ",
        ],
        &[
            RINGS_TOLD,
            ANSWERED_TOLD,
            "
            2.010 inb 103 Setup
            2.030 inb 103 Proceeding
            3.000 inb 102 Disconnected
            3.011 out 101 Disconnected
            3.011 inb 103 Disconnected/Cancelled missed
            ",
        ],
    );
}

#[test]
fn whoever_dials_a_slot_by_a_code_or_with_a_word_before_it_fetches_the_call() {
    for dialled in ["*601", "park+601"] {
        let fetches = format!(
            "
            5.000 create c 103>{dialled}
            5.020 answer c
            5.022 execute c valet_park(lot1_601)
            5.023 valet a Action=bridge Bridge-To-UUID=@c
            5.024 valet a Action=exit
            5.040 bridge a c
            7.000 ends c NORMAL_CLEARING disposition=recv_bye
            7.001 ends a NORMAL_CLEARING disposition=send_bye
            "
        );
        story(
            &[RINGS, ANSWERED, PARKS, &fetches],
            &[
                RINGS_TOLD,
                ANSWERED_TOLD,
                "
                3.012 inb 102 Parked in 601
                #2 5.000 out 103 Setup
                5.020 inb 102 Gone/Pickup to #2 out 103
                #2 5.020 out 103 Answered/Pickup
                #2 7.000 out 103 Disconnected
                7.001 out 101 Disconnected
                ",
            ],
        );
    }
}
