//! Tests of what front ends of FreeSWITCH do by scripts of theirs, and of agents who wait on the line.

use super::calls::{RINGS, RINGS_TOLD, story};

#[test]
fn a_mailbox_may_be_a_script() {
    for action in ["save", "leave"] {
        story(
            &[
                RINGS,
                &format!(
                    "
                    3.000 hangup b NO_ANSWER
                    3.001 complete b NO_ANSWER disposition=send_cancel
                    3.002 answer a
                    3.003 execute a sleep(1000)
                    4.100 execute a lua(app.lua_voicemail) voicemail_action={action} voicemail_id=102
                    5.000 record a Record-File-Path=/vm/1.wav
                    6.000 recorded a Record-File-Path=/vm/1.wav
                    6.001 ends a NORMAL_CLEARING originate_disposition=NO_ANSWER disposition=recv_bye
                    "
                ),
            ],
            &[
                RINGS_TOLD,
                "
                3.002 out 101 Answered
                4.100 inb 102 VoiceMail missed
                6.001 out 101 Disconnected
                6.001 inb 102 Disconnected missed
                ",
            ],
        );
    }
}

#[test]
fn a_mailbox_that_is_a_script_may_be_called_directly() {
    story(
        &["
        0.000 create a +442079460123@external>*99102
        0.001 answer a
        0.300 execute a lua(app.lua_voicemail) voicemail_action=save voicemail_id=102
        6.001 ends a NORMAL_CLEARING disposition=recv_bye
        "],
        &["
        0.000 out +442079460123 Setup
        0.001 out +442079460123 Answered
        0.300 inb 102 Setup
        0.300 inb 102 VoiceMail missed
        6.001 out +442079460123 Disconnected
        6.001 inb 102 Disconnected missed
        "],
    );
}

#[test]
fn who_listens_to_a_mailbox_that_is_a_script_calls_nobody_and_other_scripts_are_no_mailboxes() {
    for script in [
        "app.lua_voicemail) voicemail_action=check voicemail_id=102",
        "app.lua_voicemail)",
        "app.lua_ring_groups) voicemail_action=save voicemail_id=102",
        "voicemail) voicemail_action=save voicemail_id=102",
    ] {
        story(
            &[&format!(
                "
                0.000 create a 102>740
                0.001 answer a
                0.300 execute a lua({script}
                6.001 ends a NORMAL_CLEARING disposition=recv_bye
                "
            )],
            &["
            0.000 out 102 Setup
            0.001 out 102 Answered
            6.001 out 102 Disconnected
            "],
        );
    }
}

/// 103 waits on the line for calls, and 101 calls the queue.
const WAITS: &str = "
    0.000 create a 103>770
    0.001 answer a
    2.000 create b 101>710
    2.001 answer b
    2.002 queue b CC-Action=member-queue-start CC-Queue=standby@default CC-Member-Session-UUID=@b
    2.100 queue a CC-Action=bridge-agent-start CC-Agent=standby-103 CC-Agent-UUID=@a CC-Member-Session-UUID=@b
    2.120 bridge b a
";

const WAITS_TOLD: &str = "
    0.000 out 103 Setup
    0.001 out 103 Answered
    #2 2.000 out 101 Setup
    #2 2.001 out 101 Answered
    #2 2.002 inb 710 Setup
    #2 2.100 inb 103 Answered
    #2 2.100 inb 710 Disconnected/AgentAnswered
";

#[test]
fn an_agent_who_waits_on_the_line_is_a_party_of_each_call_and_goes_on_after_it() {
    story(
        &[
            WAITS,
            "
            6.000 ends b NORMAL_CLEARING disposition=recv_bye
            6.060 queue a CC-Action=bridge-agent-end CC-Agent-UUID=@a CC-Member-Session-UUID=@b
            6.061 queue b CC-Action=member-queue-end CC-Cause=Terminated CC-Member-Session-UUID=@b
            9.000 ends a NORMAL_CLEARING disposition=recv_bye
            ",
        ],
        &[
            WAITS_TOLD,
            "
            #2 6.000 out 101 Disconnected
            #2 6.000 inb 103 Disconnected
            9.000 out 103 Disconnected
            ",
        ],
    );
}

#[test]
fn an_agent_who_waits_on_the_line_takes_one_call_after_another() {
    story(
        &[
            WAITS,
            "
            6.000 ends b NORMAL_CLEARING disposition=recv_bye
            6.060 queue a CC-Action=bridge-agent-end CC-Agent-UUID=@a CC-Member-Session-UUID=@b
            7.000 create c 102>710
            7.001 answer c
            7.002 queue c CC-Action=member-queue-start CC-Queue=standby@default CC-Member-Session-UUID=@c
            7.100 queue a CC-Action=bridge-agent-start CC-Agent=standby-103 CC-Agent-UUID=@a CC-Member-Session-UUID=@c
            7.120 bridge c a
            8.000 queue a CC-Action=bridge-agent-end CC-Agent-UUID=@a CC-Member-Session-UUID=@c
            8.001 queue c CC-Action=member-queue-end CC-Cause=Terminated CC-Member-Session-UUID=@c
            8.002 ends c NORMAL_CLEARING disposition=send_bye
            9.000 ends a NORMAL_CLEARING disposition=recv_bye
            ",
        ],
        &[
            WAITS_TOLD,
            "
            #2 6.000 out 101 Disconnected
            #2 6.000 inb 103 Disconnected
            #3 7.000 out 102 Setup
            #3 7.001 out 102 Answered
            #3 7.002 inb 710 Setup
            #3 7.100 inb 103 Answered
            #3 7.100 inb 710 Disconnected/AgentAnswered
            #3 8.000 inb 103 Disconnected
            #3 8.002 out 102 Disconnected
            9.000 out 103 Disconnected
            ",
        ],
    );
}

#[test]
fn an_agent_who_waits_on_the_line_may_hang_up() {
    story(
        &[
            WAITS,
            "
            6.000 ends a NORMAL_CLEARING disposition=recv_bye
            6.020 ends b NORMAL_CLEARING disposition=send_bye
            6.061 queue b CC-Action=member-queue-end CC-Cause=Terminated CC-Member-Session-UUID=@b
            ",
        ],
        &[
            WAITS_TOLD,
            "
            6.000 out 103 Disconnected
            #2 6.000 inb 103 Disconnected
            #2 6.020 out 101 Disconnected
            ",
        ],
    );
}
