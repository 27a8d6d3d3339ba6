//! Calls that are transferred, parked, picked up and moved to another phone.

use super::calls::{ANSWERED, ANSWERED_TOLD, RINGS, RINGS_TOLD, story};

/// 102 calls 103, to ask.
pub(super) const ASKS: &str = "
    2.000 Hold b
    3.000 Newchannel c PJSIP/102 Exten=103
    3.001 Newexten c Dial(PJSIP/103,15)
    3.002 Newchannel d PJSIP/103 of=c
    3.003 DialBegin c>d DialString=103
    3.010 Newstate d 5
    3.011 DialState c>d RINGING
";

const ASKS_TOLD: &str = "
    2.000 inb 102 Hold
    #2 3.000 out 102 Setup
    #2 3.003 inb 103 Setup
    #2 3.010 inb 103 Proceeding
    #2 3.011 out 102 Proceeding
";

#[test]
fn a_blind_transfer_is_told_before_the_new_target() {
    // The dialplan shows the old application once more before the new one.
    story(
        &[
            RINGS,
            ANSWERED,
            "
            3.000 Unhold b
            3.001 BlindTransfer Transferer:b Transferee:a Extension=103 IsExternal=Yes Result=Success
            3.002 BridgeLeave b one
            3.003 Hangup b 16
            3.004 Newexten a Dial(PJSIP/102,15,tT) exten=103
            3.005 BridgeLeave a one
            3.006 Newexten a Dial(PJSIP/103,15,tT)
            3.007 Newchannel c PJSIP/103 of=a
            3.008 DialBegin a>c DialString=103
            3.020 Newstate c 5
            3.021 DialState a>c RINGING
            4.000 Newstate c 6
            4.001 DialEnd a>c ANSWER
            4.002 BridgeEnter c two
            4.003 BridgeEnter a two
            6.000 HangupRequest c 16
            6.001 Hangup a 16
            6.002 Hangup c 16
            ",
        ],
        &[
            RINGS_TOLD,
            ANSWERED_TOLD,
            "
            3.003 inb 102 Disconnected/BlindTransfer
            3.008 inb 103 Setup
            3.020 inb 103 Proceeding
            4.000 inb 103 Answered
            6.002 inb 103 Disconnected
            6.002 out 101 Disconnected
            ",
        ],
    );
}

#[test]
fn a_blind_transfer_may_be_told_after_the_hang_up() {
    story(
        &[
            RINGS,
            ANSWERED,
            "
            3.000 BridgeLeave b one
            3.001 Hangup b 16
            3.003 BlindTransfer Transferer:b Transferee:a Extension=103 IsExternal=No Result=Success
            3.005 BridgeLeave a one
            3.007 Newchannel c PJSIP/103 of=a
            3.008 DialBegin a>c DialString=103
            3.020 Newstate c 5
            5.000 HangupRequest a 16
            5.001 DialEnd a>c CANCEL
            5.002 Hangup c 127 500
            5.003 Hangup a 16
            ",
        ],
        &[
            RINGS_TOLD,
            ANSWERED_TOLD,
            "
            3.001 inb 102 Disconnected/DtmfTransfer
            3.008 inb 103 Setup
            3.020 inb 103 Proceeding
            5.002 inb 103 Disconnected/Cancelled missed
            5.003 out 101 Disconnected
            ",
        ],
    );
}

#[test]
fn a_caller_who_transfers_leaves_the_callee_in_the_call() {
    story(
        &[
            RINGS,
            ANSWERED,
            "
            3.001 BlindTransfer Transferer:a Transferee:b Extension=103 IsExternal=Yes Result=Success
            3.002 BridgeLeave a one
            3.003 Hangup a 16
            3.004 Newexten b AppDial((Outgoing_Line)) exten=103
            3.005 BridgeLeave b one
            3.006 Newexten b Dial(PJSIP/103,15,tT)
            3.007 Newchannel c PJSIP/103 of=a
            3.008 DialBegin b>c DialString=103
            3.020 DialEnd b>c BUSY
            3.021 Hangup c 17 486
            3.030 Hangup b 17
            ",
        ],
        &[
            RINGS_TOLD,
            ANSWERED_TOLD,
            "
            3.003 out 101 Disconnected/BlindTransfer
            3.008 inb 103 Setup
            3.021 inb 103 Disconnected/TargetBusy missed
            3.030 inb 102 Disconnected
            ",
        ],
    );
}

#[test]
fn a_transfer_that_fails_changes_nothing() {
    story(
        &[
            RINGS,
            ANSWERED,
            "
            3.001 BlindTransfer Transferer:b Transferee:a Extension=199 IsExternal=Yes Result=Fail
            5.000 HangupRequest b 16
            5.001 Hangup b 16
            5.002 Hangup a 16
            ",
        ],
        &[
            RINGS_TOLD,
            ANSWERED_TOLD,
            "
            5.001 inb 102 Disconnected
            5.002 out 101 Disconnected
            ",
        ],
    );
}

#[test]
fn an_attended_transfer_takes_both_parties_of_who_transfers_away() {
    story(
        &[
            RINGS,
            ANSWERED,
            ASKS,
            "
            4.000 Newstate d 6
            4.001 DialEnd c>d ANSWER
            4.002 Newstate c 6
            4.003 BridgeEnter d two
            4.004 BridgeEnter c two
            5.000 Unhold b
            5.001 Unhold c
            5.002 BridgeLeave a one
            5.003 BridgeLeave c two
            5.004 BridgeEnter a two Swap=c
            5.005 Hangup c 16
            5.006 AttendedTransfer OrigTransferer:b SecondTransferer:c Transferee:a TransferTarget:d DestType=Bridge Result=Success
            5.007 BridgeLeave b one
            5.008 Hangup b 16
            7.000 HangupRequest a 16
            7.001 Hangup a 16
            7.002 Hangup d 16
            ",
        ],
        &[
            RINGS_TOLD,
            ANSWERED_TOLD,
            ASKS_TOLD,
            "
            #2 4.000 inb 103 Answered
            #2 4.002 out 102 Answered
            5.006 inb 102 Gone/AttendedTransfer to #2 out 102
            #2 5.006 out 102 Gone/AttendedTransfer to #1 inb 102
            7.001 out 101 Disconnected
            #2 7.002 inb 103 Disconnected
            ",
        ],
    );
}

#[test]
fn an_attended_transfer_may_be_completed_while_the_target_rings() {
    // The transferred party comes in the place of a channel that is not in a bridge, by way of a pipe.
    story(
        &[
            RINGS,
            ANSWERED,
            ASKS,
            "
            4.000 Unhold b
            4.001 Newchannel x Local/s@transfer-00000000;1 of=a
            4.001 Newchannel y Local/s@transfer-00000000;2 of=a state=4
            4.002 BridgeEnter x one Swap=b
            4.003 BridgeLeave b one
            4.004 Hangup c 16
            4.005 AttendedTransfer OrigTransferer:b SecondTransferer:c Transferee:a DestType=App DestApp=Dial Result=Success
            4.006 Hangup b 16
            5.000 Newstate d 6
            5.001 DialEnd y>d ANSWER
            5.002 BridgeEnter d two
            5.003 BridgeEnter y two
            5.004 BridgeEnter d one Swap=x
            5.005 Hangup x 16
            5.006 Hangup y 16
            7.000 HangupRequest d 16
            7.001 Hangup d 16
            7.002 Hangup a 16
            ",
        ],
        &[
            RINGS_TOLD,
            ANSWERED_TOLD,
            ASKS_TOLD,
            "
            4.005 inb 102 Gone/AttendedTransfer to #2 out 102
            #2 4.005 out 102 Gone/AttendedTransfer to #1 inb 102
            #2 5.000 inb 103 Answered
            #2 7.001 inb 103 Disconnected
            7.002 out 101 Disconnected
            ",
        ],
    );
}

#[test]
fn an_attended_transfer_by_feature_code_has_one_channel_of_who_transfers() {
    // Asterisk calls the target by way of a pipe, which shows the number of who asks. The hold that it tells
    // of while the number is keyed nobody has pressed.
    story(
        &[
            RINGS,
            ANSWERED,
            "
            1.900 DTMFEnd b Digit=* Direction=Received
            2.000 DTMFEnd b Digit=2 Direction=Received
            2.001 Hold b
            3.000 Newchannel x Local/103@internal-00000003;1 of=a Exten=103
            3.000 Newchannel y Local/103@internal-00000003;2 of=a state=4 Exten=103 number=102
            3.001 Newexten y Dial(PJSIP/103)
            3.002 Newchannel c PJSIP/103 of=a
            3.003 DialBegin y>c DialString=103
            3.010 Newstate c 5
            4.000 Newstate c 6
            4.001 DialEnd y>c ANSWER
            4.002 BridgeEnter c three
            4.003 BridgeEnter y three
            4.004 BridgeEnter x two
            4.005 BridgeEnter b two
            6.000 Unhold b
            6.001 BridgeEnter x one Swap=b
            6.002 AttendedTransfer OrigTransferer:b SecondTransferer:b Transferee:a TransferTarget:x DestType=Bridge Result=Success
            6.003 BridgeLeave b two
            6.004 Hangup b 16
            6.005 BridgeEnter c one Swap=x
            6.006 Hangup x 16
            6.007 Hangup y 16
            8.000 HangupRequest a 16
            8.001 Hangup a 16
            8.002 Hangup c 16
            ",
        ],
        &[
            RINGS_TOLD,
            ANSWERED_TOLD,
            "
            3.003 inb 103 Setup
            3.010 inb 103 Proceeding
            4.000 inb 103 Answered
            6.004 inb 102 Disconnected/DtmfTransfer
            8.001 out 101 Disconnected
            8.002 inb 103 Disconnected
            ",
        ],
    );
}

#[test]
fn a_call_that_software_redirects_goes_on_with_its_new_target() {
    story(
        &[
            RINGS,
            ANSWERED,
            "
            3.000 BridgeLeave a one
            3.001 BridgeLeave b one
            3.002 Newexten a Dial(PJSIP/102,15,tT) exten=103
            3.003 Newexten a Dial(PJSIP/103,15,tT)
            3.004 Hangup b 16
            3.005 Newchannel c PJSIP/103 of=a
            3.006 DialBegin a>c DialString=103
            3.010 Newstate c 5
            4.000 Newstate c 6
            4.002 BridgeEnter c two
            4.003 BridgeEnter a two
            6.000 HangupRequest a 16
            6.001 Hangup a 16
            6.002 Hangup c 16
            ",
        ],
        &[
            RINGS_TOLD,
            ANSWERED_TOLD,
            "
            3.006 inb 103 Setup
            3.010 inb 103 Proceeding
            3.010 inb 102 Disconnected
            4.000 inb 103 Answered
            6.001 out 101 Disconnected
            6.002 inb 103 Disconnected
            ",
        ],
    );
}

pub(super) const PARKS: &str = "
    3.000 Unhold b
    3.001 ParkedCall Parkee:a ParkerDialString=PJSIP/102 Parkinglot=default ParkingSpace=701
    3.002 BlindTransfer Transferer:b Transferee:a Extension=700 IsExternal=Yes Result=Success
    3.003 BridgeLeave a one
    3.004 BridgeEnter a parking
    4.500 BridgeLeave b one
    4.501 Hangup b 16
";

#[test]
fn a_parked_call_is_fetched_from_its_slot() {
    story(
        &[
            RINGS,
            ANSWERED,
            PARKS,
            "
            6.000 Newchannel c PJSIP/103 Exten=701
            6.001 Newexten c ParkedCall(default,701)
            6.002 Newstate c 6
            6.005 UnParkedCall Parkee:a Retriever:c Parkinglot=default ParkingSpace=701
            6.006 BridgeLeave a parking
            6.007 BridgeEnter a two
            6.008 BridgeEnter c two
            9.000 HangupRequest c 16
            9.001 Hangup c 16
            9.002 Hangup a 16
            ",
        ],
        &[
            RINGS_TOLD,
            ANSWERED_TOLD,
            "
            3.001 inb 102 Parked in 701
            #2 6.000 out 103 Setup
            #2 6.002 out 103 Answered/Pickup
            6.002 inb 102 Gone/Pickup to #2 out 103
            #2 9.001 out 103 Disconnected
            9.002 out 101 Disconnected
            ",
        ],
    );
}

#[test]
fn the_transfer_to_the_parking_lot_may_be_told_before_the_parking() {
    story(
        &[
            RINGS,
            ANSWERED,
            "
            3.001 BlindTransfer Transferer:b Transferee:a Extension=700 IsExternal=Yes Result=Success
            3.002 ParkedCall Parkee:a ParkerDialString=PJSIP/102 Parkinglot=default ParkingSpace=702
            3.004 BridgeEnter a parking
            3.005 Hangup b 16
            8.000 ParkedCallGiveUp Parkee:a Parkinglot=default ParkingSpace=702
            8.001 Hangup a 16
            ",
        ],
        &[
            RINGS_TOLD,
            ANSWERED_TOLD,
            "
            3.002 inb 102 Parked in 702
            8.001 out 101 Disconnected
            8.001 inb 102 Disconnected
            ",
        ],
    );
}

#[test]
fn a_parked_call_that_nobody_fetches_rings_the_parker_again() {
    story(
        &[
            RINGS,
            ANSWERED,
            PARKS,
            "
            20.000 ParkedCallTimeOut Parkee:a ParkerDialString=PJSIP/102 Parkinglot=default ParkingSpace=701
            20.001 BridgeLeave a parking
            20.002 Newexten a Dial(PJSIP/102,30) exten=PJSIP_102
            20.003 Newchannel c PJSIP/102 of=a
            20.004 DialBegin a>c DialString=102
            20.020 Newstate c 5
            22.000 Newstate c 6
            22.001 DialEnd a>c ANSWER
            22.002 BridgeEnter c two
            22.003 BridgeEnter a two
            24.000 HangupRequest a 16
            24.001 Hangup a 16
            24.002 Hangup c 16
            ",
        ],
        &[
            RINGS_TOLD,
            ANSWERED_TOLD,
            "
            3.001 inb 102 Parked in 701
            20.000 inb 102 Disconnected/Timeout
            20.004 inb 102 Setup
            20.020 inb 102 Proceeding
            22.000 inb 102 Answered
            24.001 out 101 Disconnected
            24.002 inb 102 Disconnected
            ",
        ],
    );
}

#[test]
fn software_that_parks_a_call_parks_it_for_who_was_in_it() {
    // The dial string names the parked channel itself where software named nobody to ring.
    story(
        &[
            RINGS,
            ANSWERED,
            "
            3.001 ParkedCall Parkee:a ParkerDialString=PJSIP/101 Parkinglot=default ParkingSpace=701
            3.002 BridgeLeave a one
            3.003 BridgeEnter a parking
            3.004 BridgeLeave b one
            3.005 Hangup b 16
            6.000 ParkedCallGiveUp Parkee:a Parkinglot=default ParkingSpace=701
            6.001 Hangup a 16
            ",
        ],
        &[
            RINGS_TOLD,
            ANSWERED_TOLD,
            "
            3.001 inb 102 Parked in 701
            6.001 out 101 Disconnected
            6.001 inb 102 Disconnected
            ",
        ],
    );
}

#[test]
fn a_directed_pickup_has_a_dial_end_that_names_the_taker() {
    story(
        &[
            RINGS,
            "
            2.000 Newchannel c PJSIP/103 Exten=**102
            2.001 Newexten c Pickup(102@internal)
            2.002 Newstate c 6
            2.003 Pickup c Target:b
            2.004 Hangup b 26
            2.005 DialEnd a>c ANSWER
            2.006 Newstate a 6
            2.007 BridgeEnter c one
            2.008 BridgeEnter a one
            5.000 HangupRequest a 16
            5.001 Hangup c 16
            5.002 Hangup a 16
            ",
        ],
        &[
            RINGS_TOLD,
            "
            2.000 inb 103 Setup
            2.003 inb 103 Answered/Pickup
            2.004 inb 102 Disconnected/Pickup
            2.006 out 101 Answered
            5.002 out 101 Disconnected
            5.002 inb 103 Disconnected
            ",
        ],
    );
}

#[test]
fn a_group_pickup_is_not_missed_though_the_phone_was_hung_up_as_usual() {
    story(
        &[
            RINGS,
            "
            2.000 Newchannel c PJSIP/103 Exten=*8
            2.001 Newexten c Pickup()
            2.002 Newstate c 6
            2.003 Hangup b 16
            2.004 Pickup c Target:b
            2.005 DialEnd a>c ANSWER
            2.006 Newstate a 6
            2.007 BridgeEnter c one
            2.008 BridgeEnter a one
            5.000 HangupRequest c 16
            5.001 Hangup c 16
            5.002 Hangup a 16
            ",
        ],
        &[
            RINGS_TOLD,
            "
            2.000 inb 103 Setup
            2.004 inb 103 Answered/Pickup
            2.004 inb 102 Disconnected/Pickup
            2.006 out 101 Answered
            5.001 inb 103 Disconnected
            5.002 out 101 Disconnected
            ",
        ],
    );
}

#[test]
fn a_pickup_by_an_invite_with_replaces_has_no_dialplan() {
    story(
        &[
            RINGS,
            "
            2.000 Newchannel c PJSIP/103 Exten=102
            2.002 Newstate c 6
            2.003 Pickup c Target:b
            2.004 Hangup b 26
            2.005 DialEnd a>c ANSWER
            2.006 Newstate a 6
            2.007 BridgeEnter c one
            2.008 BridgeEnter a one
            5.000 HangupRequest c 16
            5.001 Hangup c 16
            5.002 Hangup a 16
            ",
        ],
        &[
            RINGS_TOLD,
            "
            2.000 inb 103 Setup
            2.002 inb 103 Answered/Pickup
            2.004 inb 102 Disconnected/Pickup
            2.006 out 101 Answered
            5.001 inb 103 Disconnected
            5.002 out 101 Disconnected
            ",
        ],
    );
}

#[test]
fn a_call_is_flipped_to_another_phone_of_the_same_person() {
    // The second phone takes the place of the first in the bridge, and nothing else is said.
    story(
        &[
            RINGS,
            ANSWERED,
            "
            3.000 Newchannel c PJSIP/102 Exten=101
            3.001 Newstate c 6
            3.002 BridgeEnter c one Swap=b
            3.003 Unhold c
            3.004 BridgeLeave b one
            3.005 Hangup b 16
            6.000 HangupRequest c 16
            6.001 Hangup c 16
            6.002 Hangup a 16
            ",
        ],
        &[
            RINGS_TOLD,
            ANSWERED_TOLD,
            "
            3.001 inb 102 Answered
            3.005 inb 102 Disconnected/CallFlip
            6.001 inb 102 Disconnected
            6.002 out 101 Disconnected
            ",
        ],
    );
}

#[test]
fn who_brings_three_together_by_a_code_stays_in_the_call() {
    story(
        &[
            RINGS,
            ANSWERED,
            "
            4.000 DTMFEnd b Digit=3
            4.001 AttendedTransfer OrigTransferer:b SecondTransferer:b Transferee:a DestType=Threeway Result=Success
            8.000 HangupRequest a
            8.001 Hangup a 16
            8.002 Hangup b 16
            ",
        ],
        &[
            RINGS_TOLD,
            ANSWERED_TOLD,
            "
            8.001 out 101 Disconnected
            8.002 inb 102 Disconnected
            ",
        ],
    );
}
