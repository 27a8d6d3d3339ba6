//! Services of the switch itself: mailboxes, menus, queues, conferences, fax, supervision, recordings.

use hookswitch_core::directory::Directory;
use hookswitch_flows::freeswitch::{freeswitch, run};
use hookswitch_flows::ladder::written;

use super::calls::{ANSWERED, ANSWERED_TOLD, RINGS, RINGS_TOLD, story};

#[test]
fn the_mailbox_takes_a_call_that_nobody_answers() {
    story(
        &[
            RINGS,
            "
            3.000 hangup b NO_ANSWER
            3.001 complete b NO_ANSWER disposition=send_cancel
            3.002 answer a
            3.003 execute a sleep(1000)
            4.020 execute a voicemail(default_pbx.example.com_102)
            5.000 record a Record-File-Path=/vm/1.wav
            6.000 recorded a Record-File-Path=/vm/1.wav
            6.001 ends a NORMAL_CLEARING originate_disposition=NO_ANSWER disposition=recv_bye
            ",
        ],
        &[
            RINGS_TOLD,
            "
            3.002 out 101 Answered
            4.020 inb 102 VoiceMail missed
            6.001 out 101 Disconnected
            6.001 inb 102 Disconnected missed
            ",
        ],
    );
}

#[test]
fn a_mailbox_that_comes_late_without_a_word_of_it_is_called_anew() {
    story(
        &[
            RINGS,
            "
            3.000 hangup b NO_ANSWER
            3.001 complete b NO_ANSWER disposition=send_cancel
            3.002 answer a
            4.200 execute a voicemail(default_pbx.example.com_102)
            6.001 ends a NORMAL_CLEARING originate_disposition=NO_ANSWER disposition=recv_bye
            ",
        ],
        &[
            RINGS_TOLD,
            "
            3.002 out 101 Answered
            3.002 inb 102 Disconnected/NoAnswer missed
            4.200 inb 102 Setup
            4.200 inb 102 VoiceMail missed
            6.001 out 101 Disconnected
            6.001 inb 102 Disconnected missed
            ",
        ],
    );
}

#[test]
fn a_mailbox_behind_a_loopback_is_the_caller_s() {
    story(
        &["
        0.000 create a 101>102
        0.004 create b to=102 of=a
        0.020 hangup b USER_BUSY disposition=recv_refuse
        0.021 complete b USER_BUSY disposition=recv_refuse term_status=486
        0.030 create l loopback/voicemail-a of=a other_loopback_leg_uuid=@m
        0.031 create m loopback/voicemail-b other_loopback_leg_uuid=@l
        0.040 answer a
        0.050 bridge a l
        0.060 execute m voicemail(default_pbx.example.com_102)
        1.000 record m Record-File-Path=/vm/1.wav
        2.000 hangup a NORMAL_CLEARING
        2.001 complete a NORMAL_CLEARING disposition=recv_bye
        2.002 ends m ORIGINATOR_CANCEL
        2.003 ends l NORMAL_CLEARING
        "],
        &["
        0.000 out 101 Setup
        0.004 inb 102 Setup
        0.040 out 101 Answered
        0.060 inb 102 VoiceMail missed
        2.000 out 101 Disconnected
        2.000 inb 102 Disconnected missed
        "],
    );
}

#[test]
fn who_listens_to_a_mailbox_calls_nobody() {
    story(
        &["
        0.000 create a 101>740
        0.001 answer a
        0.002 execute a voicemail(check_default_pbx.example.com_101)
        2.000 ends a NORMAL_CLEARING disposition=recv_bye
        "],
        &["
        0.000 out 101 Setup
        0.001 out 101 Answered
        2.000 out 101 Disconnected
        "],
    );
}

#[test]
fn a_menu_ends_with_the_choice_of_the_caller() {
    story(
        &["
        0.000 create a +442079460123@external>+16465550160
        0.001 answer a
        0.002 execute a ivr(reception) dest=750
        0.003 menu a Menu-Name=reception
        2.000 create b to=103 of=a
        2.020 progress b
        3.000 answer b
        3.001 bridge a b
        4.000 ends a NORMAL_CLEARING disposition=recv_bye
        4.001 ends b NORMAL_CLEARING disposition=send_bye
        "],
        &["
        0.000 out +442079460123 Setup
        0.001 out +442079460123 Answered
        0.002 inb 750 Setup
        2.000 inb 750 Disconnected/CallerInputRedirect
        2.000 inb 103 Setup
        2.020 inb 103 Proceeding
        3.000 inb 103 Answered
        4.000 out +442079460123 Disconnected
        4.001 inb 103 Disconnected
        "],
    );
}

/// A call in a queue whose agents ring.
pub(super) const QUEUES: &str = "
    0.000 create a +442079460123@external>+16465550130
    0.001 answer a
    0.002 execute a callcenter(support) dest=710
    0.003 queue a CC-Action=member-queue-start CC-Queue=support@default CC-Member-Session-UUID=@a
    0.010 create b to=102 cc_member_session_uuid=@a
    0.011 create c to=103 cc_member_session_uuid=@a
    0.030 progress b
    0.031 progress c
";

pub(super) const QUEUES_TOLD: &str = "
    0.000 out +442079460123 Setup
    0.001 out +442079460123 Answered
    0.003 inb 710 Setup
    0.030 inb 102 Proceeding
    0.031 inb 103 Proceeding
";

#[test]
fn an_agent_answers_for_the_queue_and_the_others_have_missed_nothing() {
    story(
        &[
            QUEUES,
            "
            2.000 answer c
            2.001 hangup b LOSE_RACE
            2.002 queue a CC-Action=bridge-agent-start CC-Member-Session-UUID=@a
            2.003 complete b LOSE_RACE disposition=send_cancel
            2.020 bridge a c
            4.000 hangup a NORMAL_CLEARING
            4.001 hangup c NORMAL_CLEARING
            4.002 complete c NORMAL_CLEARING disposition=send_bye
            4.003 complete a NORMAL_CLEARING disposition=recv_bye
            4.004 queue a CC-Action=member-queue-end CC-Cause=Terminated CC-Member-Session-UUID=@a
            ",
        ],
        &[
            QUEUES_TOLD,
            "
            2.000 inb 103 Answered
            2.000 inb 710 Disconnected/AgentAnswered
            2.001 inb 102 Disconnected/AgentAnswered
            4.000 out +442079460123 Disconnected
            4.001 inb 103 Disconnected
            ",
        ],
    );
}

#[test]
fn a_caller_may_give_up_in_the_queue() {
    story(
        &[
            QUEUES,
            "
            2.000 hangup a NORMAL_CLEARING
            2.001 queue a CC-Action=member-queue-end CC-Cause=Cancel CC-Cancel-Reason=BREAK_OUT CC-Member-Session-UUID=@a
            2.002 ends b ORIGINATOR_CANCEL disposition=send_cancel
            2.003 ends c ORIGINATOR_CANCEL disposition=send_cancel
            2.004 complete a NORMAL_CLEARING disposition=recv_bye
            ",
        ],
        &[
            QUEUES_TOLD,
            "
            2.000 out +442079460123 Disconnected
            2.000 inb 710 Disconnected/Cancelled missed
            2.002 inb 102 Disconnected/Cancelled missed
            2.003 inb 103 Disconnected/Cancelled missed
            ",
        ],
    );
}

#[test]
fn a_caller_may_wait_too_long_in_the_queue() {
    story(
        &["
        0.000 create a 101>710
        0.001 answer a
        0.003 queue a CC-Action=member-queue-start CC-Queue=support@default CC-Member-Session-UUID=@a
        5.000 queue a CC-Action=member-queue-end CC-Cause=Cancel CC-Cancel-Reason=TIMEOUT CC-Member-Session-UUID=@a
        6.000 ends a NORMAL_CLEARING disposition=send_bye
        "],
        &["
        0.000 out 101 Setup
        0.001 out 101 Answered
        0.003 inb 710 Setup
        5.000 inb 710 Disconnected/Timeout missed
        6.000 out 101 Disconnected
        "],
    );
}

#[test]
fn an_agent_fetches_a_call_from_a_fifo() {
    story(
        &["
        0.000 create a 101>700
        0.001 answer a
        0.002 fifo a FIFO-Action=push FIFO-Name=sales@x
        2.000 create b 102>701
        2.001 answer b
        2.002 fifo a FIFO-Action=caller_pop FIFO-Name=sales@x
        2.003 fifo b FIFO-Action=consumer_pop FIFO-Caller-UUID=@a
        2.010 bridge b a
        4.000 ends a NORMAL_CLEARING disposition=recv_bye
        5.000 ends b NORMAL_CLEARING disposition=recv_bye
        "],
        &["
        0.000 out 101 Setup
        0.001 out 101 Answered
        0.002 inb 700 Setup
        #2 2.000 out 102 Setup
        #2 2.001 out 102 Answered
        2.002 inb 700 Disconnected/AgentAnswered
        4.000 out 101 Disconnected
        #2 5.000 out 102 Disconnected
        "],
    );
}

#[test]
fn a_room_has_members_who_may_be_muted() {
    story(
        &["
        0.000 create a 101>800
        0.001 answer a
        0.002 conference a Action=add-member Conference-Name=800-x
        1.000 create b 102>800
        1.001 answer b
        1.002 conference b Action=add-member Conference-Name=800-x
        2.000 conference b Action=mute-member Conference-Name=800-x
        3.000 conference b Action=unmute-member Conference-Name=800-x
        4.000 hangup b NORMAL_CLEARING
        4.001 conference b Action=del-member Conference-Name=800-x
        4.002 complete b NORMAL_CLEARING disposition=recv_bye
        5.000 ends a NORMAL_CLEARING disposition=recv_bye
        "],
        &["
        0.000 out 101 Setup
        0.001 out 101 Answered
        0.002 out 101 Gone/Conference to #2 out 101
        #2 0.002 out 101 Answered [Conference]
        #3 1.000 out 102 Setup
        #3 1.001 out 102 Answered
        #2 1.002 out 102 Answered [Conference]
        #3 1.002 out 102 Gone/Conference to #2 out 102
        #2 2.000 out 102 Answered
        #2 3.000 out 102 Answered
        #2 4.000 out 102 Disconnected
        #2 5.000 out 101 Disconnected
        "],
    );
}

#[test]
fn a_fax_is_received() {
    story(
        &["
        0.000 create a +442079460123@external>+16465550150
        0.001 answer a
        1.000 execute a rxfax(/fax/1.tif) dest=801
        9.000 fax a fax_success=1
        9.001 ends a NORMAL_CLEARING disposition=send_bye
        "],
        &["
        0.000 out +442079460123 Setup
        0.001 out +442079460123 Answered
        1.000 inb 801 Setup
        1.000 inb 801 FaxReceive
        9.001 out +442079460123 Disconnected
        9.001 inb 801 Disconnected
        "],
    );
}

#[test]
fn a_supervisor_is_a_further_party() {
    story(
        &[
            RINGS,
            ANSWERED,
            "
            2.000 create c 103>*33101
            2.001 answer c
            2.002 execute c eavesdrop(@a)
            4.000 ends c NORMAL_CLEARING disposition=recv_bye
            5.000 ends a NORMAL_CLEARING disposition=recv_bye
            5.001 ends b NORMAL_CLEARING disposition=send_bye
            ",
        ],
        &[
            RINGS_TOLD,
            ANSWERED_TOLD,
            "
            2.000 out 103 Setup
            2.002 out 103 Answered/Supervising
            4.000 out 103 Disconnected/Supervising
            5.000 out 101 Disconnected
            5.001 inb 102 Disconnected
            ",
        ],
    );
}

#[test]
fn a_supervisor_may_name_the_user_instead_of_the_call() {
    story(
        &[
            RINGS,
            ANSWERED,
            "
            2.000 create c 103>*34102
            2.001 answer c
            2.002 execute c userspy(102@pbx.example.com)
            4.000 ends c NORMAL_CLEARING disposition=recv_bye
            5.000 ends a NORMAL_CLEARING disposition=recv_bye
            5.001 ends b NORMAL_CLEARING disposition=send_bye
            ",
        ],
        &[
            RINGS_TOLD,
            ANSWERED_TOLD,
            "
            2.000 out 103 Setup
            2.002 out 103 Answered/Supervising
            4.000 out 103 Disconnected/Supervising
            5.000 out 101 Disconnected
            5.001 inb 102 Disconnected
            ",
        ],
    );
}

#[test]
fn a_recording_is_paused_while_it_is_masked() {
    story(
        &[
            RINGS,
            ANSWERED,
            "
            2.000 record a Record-File-Path=/rec/1.wav
            2.500 execute a record_session_mask(/rec/1.wav)
            2.600 execute a record_session_mask(/rec/2.wav)
            3.000 execute a record_session_unmask(/rec/1.wav)
            4.000 recorded a Record-File-Path=/rec/1.wav
            5.000 ends a NORMAL_CLEARING disposition=recv_bye
            5.001 ends b NORMAL_CLEARING disposition=send_bye
            ",
        ],
        &[
            RINGS_TOLD,
            ANSWERED_TOLD,
            "
            2.000 out 101 Answered recorded
            2.500 out 101 Answered
            3.000 out 101 Answered recorded
            4.000 out 101 Answered
            5.000 out 101 Disconnected
            5.001 inb 102 Disconnected
            ",
        ],
    );
}

#[test]
fn a_recording_shows_on_whom_it_is_made() {
    story(
        &[
            RINGS,
            ANSWERED,
            "
            2.000 record a Record-File-Path=/rec/1.wav
            3.000 recorded a Record-File-Path=/rec/1.wav
            4.000 bug b Media-Bug-Function=audio Media-Bug-Target=mute
            4.500 unbug b Media-Bug-Function=audio Media-Bug-Target=mute
            5.000 ends a NORMAL_CLEARING disposition=recv_bye
            5.001 ends b NORMAL_CLEARING disposition=send_bye
            ",
        ],
        &[
            RINGS_TOLD,
            ANSWERED_TOLD,
            "
            2.000 out 101 Answered recorded
            3.000 out 101 Answered
            4.000 inb 102 Answered
            4.500 inb 102 Answered
            5.000 out 101 Disconnected
            5.001 inb 102 Disconnected
            ",
        ],
    );
}

#[test]
fn an_agent_outside_rings_from_the_beginning() {
    story(
        &["
            0.000 create a 101>710
            0.001 answer a
            0.002 execute a callcenter(support) dest=710
            0.003 queue a CC-Action=member-queue-start CC-Queue=support@default CC-Member-Session-UUID=@a
            0.010 create b sofia/external/x Caller-Destination-Number=+13125550188 sip_gateway_name=carrier cc_member_session_uuid=@a
            0.030 progress b
            2.000 answer b
            2.002 queue a CC-Action=bridge-agent-start CC-Member-Session-UUID=@a
            2.020 bridge a b
            4.000 ends a NORMAL_CLEARING disposition=recv_bye
            4.001 ends b NORMAL_CLEARING disposition=send_bye
        "],
        &["
            0.000 out 101 Setup
            0.001 out 101 Answered
            0.003 inb 710 Setup
            0.010 inb 710 Proceeding
            2.000 inb 710 Answered
            2.000 inb 710 Disconnected/AgentAnswered
            4.000 out 101 Disconnected
            4.001 inb 710 Disconnected
        "],
    );
}

#[test]
fn a_number_that_asks_for_digits_is_a_menu_where_the_directory_says_so() {
    let asks = freeswitch(
        "
        0.000 create a 101>751
        0.001 answer a
        0.002 execute a play_and_get_digits(1_1_1_6000_#_choose.wav) dest=751
        2.000 create b to=103 of=a
        2.020 progress b
        3.000 answer b
        3.001 bridge a b
        4.000 ends a NORMAL_CLEARING disposition=recv_bye
        4.001 ends b NORMAL_CLEARING disposition=send_bye
        ",
    );
    for (kind, menu) in [("menu", 2), ("user", 0)] {
        let directory = format!(
            "[[account]]\nid = 310001016\n[[account.extension]]\nnumber = \"751\"\nkind = \"{kind}\"\n"
        );
        let events = run(&Directory::parse(&directory).expect("a directory"), &asks.told, false);
        let told = written(&events);
        let of_menu: Vec<&String> = told.iter().filter(|line| line.contains(" 751 ")).collect();
        assert_eq!(of_menu.len(), menu, "{kind}: {told:?}");
    }
}
