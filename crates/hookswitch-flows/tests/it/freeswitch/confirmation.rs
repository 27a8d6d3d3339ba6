//! Callees who must accept the call by a key (`group_confirm_key`): who picks up has not answered yet.

use super::calls::story;

/// 101 calls 110, where 102 and 103 ring and must confirm.
const RING: &str = "
    0.000 create a 101>110
    0.001 progress a
    0.004 create b to=102 of=a number=101 group_confirm_key=1
    0.005 create c to=103 of=a number=101 group_confirm_key=1
    0.020 progress b
    0.021 progress c
";

const RING_TOLD: &str = "
    0.000 out 101 Setup
    0.001 out 101 Proceeding
    0.004 inb 102 Setup
    0.005 inb 103 Setup
    0.020 inb 102 Proceeding
    0.021 inb 103 Proceeding
";

#[test]
fn who_picks_up_and_accepts_has_answered_when_the_call_is_connected() {
    story(
        &[
            RING,
            "
            1.000 answer c
            1.001 state c ACTIVE
            3.000 hangup b LOSE_RACE
            3.001 complete b LOSE_RACE disposition=send_cancel
            3.002 answer a
            3.003 bridge a c
            5.000 ends c NORMAL_CLEARING disposition=recv_bye
            5.001 ends a NORMAL_CLEARING disposition=send_bye
            ",
        ],
        &[
            RING_TOLD,
            "
            3.002 out 101 Answered
            3.003 inb 103 Answered
            3.003 inb 102 Disconnected
            5.000 inb 103 Disconnected
            5.001 out 101 Disconnected
            ",
        ],
    );
}

#[test]
fn who_picks_up_and_presses_nothing_has_missed_the_call() {
    story(
        &[
            RING,
            "
            1.000 answer c
            8.000 hangup b NO_ANSWER
            8.000 hangup c NO_ANSWER
            8.001 hangup a NORMAL_CLEARING originate_disposition=NO_ANSWER
            8.002 complete b NO_ANSWER disposition=send_cancel
            8.003 complete c NO_ANSWER disposition=send_bye
            8.004 complete a NORMAL_CLEARING originate_disposition=NO_ANSWER disposition=send_refuse
            ",
        ],
        &[
            RING_TOLD,
            "
            8.000 inb 102 Disconnected/NoAnswer missed
            8.000 inb 103 Disconnected/NoAnswer missed
            8.001 out 101 Disconnected/NoAnswer
            ",
        ],
    );
}

#[test]
fn who_picks_up_and_hangs_up_has_missed_the_call() {
    story(
        &["
        0.000 create a 101>110
        0.004 create b to=102 of=a number=101 group_confirm_key=exec
        0.020 progress b
        0.021 progress a
        4.000 answer b
        6.000 hangup b ORIGINATOR_CANCEL
        6.001 complete b ORIGINATOR_CANCEL disposition=recv_bye
        6.010 ends a NO_ANSWER originate_disposition=NO_ANSWER disposition=send_refuse
        "],
        &["
        0.000 out 101 Setup
        0.004 inb 102 Setup
        0.020 inb 102 Proceeding
        0.021 out 101 Proceeding
        6.000 inb 102 Disconnected/NoAnswer missed
        6.010 out 101 Disconnected/NoAnswer
        "],
    );
}

#[test]
fn a_caller_may_give_up_while_somebody_is_asked_to_accept() {
    story(
        &[
            RING,
            "
            1.000 answer b
            2.000 hangup a ORIGINATOR_CANCEL
            2.001 hangup b ORIGINATOR_CANCEL
            2.002 hangup c ORIGINATOR_CANCEL
            2.003 complete a ORIGINATOR_CANCEL disposition=recv_cancel
            2.004 complete b ORIGINATOR_CANCEL disposition=send_bye
            2.005 complete c ORIGINATOR_CANCEL disposition=send_cancel
            ",
        ],
        &[
            RING_TOLD,
            "
            2.000 inb 102 Disconnected/Cancelled missed
            2.000 inb 103 Disconnected/Cancelled missed
            2.000 out 101 Disconnected
            ",
        ],
    );
}

#[test]
fn an_agent_of_a_queue_may_have_to_accept_the_call() {
    story(
        &["
        0.000 create a +442079460123@external>+16465550130
        0.001 answer a
        0.003 queue a CC-Action=member-queue-start CC-Queue=support@default CC-Member-Session-UUID=@a
        0.010 create b to=102 cc_member_session_uuid=@a group_confirm_key=1
        0.030 progress b
        1.000 answer b
        3.000 queue b CC-Action=bridge-agent-start CC-Member-Session-UUID=@a CC-Agent-UUID=@b
        3.010 bridge a b
        5.000 ends a NORMAL_CLEARING disposition=recv_bye
        5.001 ends b NORMAL_CLEARING disposition=send_bye
        "],
        &["
        0.000 out +442079460123 Setup
        0.001 out +442079460123 Answered
        0.003 inb +16465550130 Setup
        0.030 inb 102 Proceeding
        3.010 inb 102 Answered
        3.010 inb +16465550130 Disconnected/AgentAnswered
        5.000 out +442079460123 Disconnected
        5.001 inb 102 Disconnected
        "],
    );
}
