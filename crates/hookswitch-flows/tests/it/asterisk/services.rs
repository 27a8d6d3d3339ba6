//! Services of the switch itself: mailboxes, queues, menus, fax, conferences, supervision, recordings.

use super::calls::{ANSWERED, ANSWERED_TOLD, RINGS, RINGS_TOLD, story};
use hookswitch_flows::asterisk::asterisk;

#[test]
fn a_call_that_nobody_answers_goes_to_the_mailbox() {
    story(
        &[
            RINGS,
            "
            15.000 DialEnd a>b NOANSWER
            15.001 Hangup b 0
            15.002 Newexten a VoiceMail(102@default,us)
            15.003 Newstate a 6
            20.000 HangupRequest a
            20.001 MessageWaiting a Mailbox=102@default New=1
            20.002 Hangup a 0
            ",
        ],
        &[
            RINGS_TOLD,
            "
            15.002 inb 102 VoiceMail missed
            15.003 out 101 Answered
            20.002 out 101 Disconnected
            20.002 inb 102 Disconnected missed
            ",
        ],
    );
}

#[test]
fn the_owner_of_a_mailbox_may_listen_as_the_message_is_left() {
    asterisk(
        "
        0.000 Newchannel a PJSIP/101 Exten=102
        0.001 Newexten a VoiceMail(102@default,u)
        0.002 Newstate a 6
        2.000 Newchannel c PJSIP/102 Exten=*77
        2.001 Newexten c ChanSpy(PJSIP/101,q)
        2.002 Newstate c 6
        2.100 ChanSpyStart Spyer:c Spyee:a
        4.000 HangupRequest c
        4.001 ChanSpyStop Spyer:c Spyee:a
        4.002 Hangup c 0
        5.000 HangupRequest a
        5.001 Hangup a 0
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.001 inb 102 Setup
        0.001 inb 102 VoiceMail missed
        0.002 out 101 Answered
        #2 2.000 out 102 Setup
        #2 2.002 out 102 Answered
        2.100 inb 102 VoiceMailScreening missed
        #2 4.002 out 102 Disconnected
        5.001 out 101 Disconnected
        5.001 inb 102 Disconnected missed
        ",
    );
}

pub(super) const QUEUES: &str = "
    0.000 Newchannel a PJSIP/trunk Exten=+16505550120 number=+14155550123 name=Pat
    0.001 Newexten a Answer() exten=620
    0.002 Newstate a 6
    0.500 Newexten a Queue(support,tT,,,30)
    0.501 QueueCallerJoin a Queue=support Position=1 Count=1
    0.502 Newchannel b PJSIP/102 of=a
    0.503 AgentCalled a>b Queue=support Interface=PJSIP/102
    0.504 DialBegin a>b DialString=PJSIP/102
    0.505 Newchannel c PJSIP/103 of=a
    0.506 AgentCalled a>c Queue=support Interface=PJSIP/103
    0.507 DialBegin a>c DialString=PJSIP/103
    0.510 Newstate b 5
    0.511 DialState a>b RINGING
    0.512 Newstate c 5
    0.513 DialState a>c RINGING
";

const QUEUES_TOLD: &str = "
    0.000 out +14155550123 Setup
    0.002 out +14155550123 Answered
    0.501 inb 620 Setup
    0.510 inb 102 Proceeding
    0.512 inb 103 Proceeding
";

#[test]
fn an_agent_answers_for_the_queue() {
    // A cancelled dial is told twice.
    story(
        &[
            QUEUES,
            "
            3.000 Newstate c 6
            3.001 DialEnd a>c ANSWER
            3.002 DialEnd a>b CANCEL
            3.002 DialEnd a>b CANCEL
            3.003 QueueCallerLeave a Queue=support Position=1 Count=0
            3.004 AgentConnect a>c Queue=support HoldTime=2
            3.005 BridgeEnter c one
            3.006 BridgeEnter a one
            3.007 Hangup b 26
            6.000 HangupRequest a 16
            6.001 AgentComplete a>c Queue=support Reason=caller
            6.002 Hangup c 16
            6.003 Hangup a 16
            ",
        ],
        &[
            QUEUES_TOLD,
            "
            3.000 inb 103 Answered
            3.000 inb 620 Disconnected/AgentAnswered
            3.007 inb 102 Disconnected/AgentAnswered
            6.003 out +14155550123 Disconnected
            6.003 inb 103 Disconnected
            ",
        ],
    );
}

#[test]
fn a_caller_leaves_the_queue() {
    story(
        &[
            QUEUES,
            "
            4.000 HangupRequest a 16
            4.001 DialEnd a>b CANCEL
            4.002 DialEnd a>c CANCEL
            4.003 QueueCallerAbandon a Queue=support HoldTime=3
            4.004 QueueCallerLeave a Queue=support Position=1 Count=0
            4.005 Hangup b 0
            4.006 Hangup c 0
            4.007 Hangup a 16
            ",
        ],
        &[
            QUEUES_TOLD,
            "
            4.004 inb 620 Disconnected/Cancelled missed
            4.005 inb 102 Disconnected/Cancelled missed
            4.006 inb 103 Disconnected/Cancelled missed
            4.007 out +14155550123 Disconnected
            ",
        ],
    );
}

#[test]
fn no_agent_answers_in_time() {
    // Asterisk says that the caller has abandoned the queue then, too.
    story(
        &[
            QUEUES,
            "
            10.000 DialEnd a>b NOANSWER
            10.001 DialEnd a>b CANCEL
            10.002 DialEnd a>c NOANSWER
            10.003 DialEnd a>c CANCEL
            10.004 AgentRingNoAnswer a>b Queue=support RingTime=9
            10.005 Hangup b 0
            10.006 Hangup c 0
            30.000 QueueCallerAbandon a Queue=support HoldTime=30
            30.001 QueueCallerLeave a Queue=support Position=1 Count=0
            30.002 Newexten a Hangup()
            30.003 Hangup a 16
            ",
        ],
        &[
            QUEUES_TOLD,
            "
            10.005 inb 102 Disconnected/NoAnswer missed
            10.006 inb 103 Disconnected/NoAnswer missed
            30.001 inb 620 Disconnected/Timeout missed
            30.003 out +14155550123 Disconnected
            ",
        ],
    );
}

#[test]
fn agents_behind_pipes_are_agents_and_a_queue_without_a_number_has_the_one_that_was_dialled() {
    asterisk(
        "
        0.000 Newchannel a PJSIP/trunk Exten=+16505550120 number=+14155550123 name=Pat
        0.002 Newstate a 6
        0.500 Newexten a Queue(support)
        0.501 QueueCallerJoin a Queue=support Position=1 Count=1
        0.502 Newchannel x Local/102@agents-00000000;1 of=a Exten=102
        0.502 Newchannel y Local/102@agents-00000000;2 of=a state=4 Exten=102 number=+14155550123
        0.503 AgentCalled a>x Queue=support Interface=Local/102@agents
        0.504 DialBegin a>x DialString=Local/102@agents
        0.505 Newexten y Dial(PJSIP/102)
        0.506 Newchannel b PJSIP/102 of=a
        0.507 DialBegin y>b DialString=102
        0.510 Newstate b 5
        3.000 Newstate b 6
        3.001 DialEnd y>b ANSWER
        3.002 DialEnd a>x ANSWER
        3.003 QueueCallerLeave a Queue=support Position=1 Count=0
        3.004 AgentConnect a>x Queue=support HoldTime=2
        3.005 BridgeEnter b one
        3.006 BridgeEnter y one
        3.007 BridgeEnter x two
        3.008 BridgeEnter a two
        3.009 BridgeEnter b two Swap=x
        6.000 HangupRequest a 16
        6.001 Hangup a 16
        6.002 Hangup b 16
        6.003 Hangup x 16
        6.004 Hangup y 16
        ",
    )
    .tells(
        "
        0.000 out +14155550123 Setup
        0.002 out +14155550123 Answered
        0.501 inb +16505550120 Setup
        0.510 inb 102 Proceeding
        3.000 inb 102 Answered
        3.000 inb +16505550120 Disconnected/AgentAnswered
        6.001 out +14155550123 Disconnected
        6.002 inb 102 Disconnected
        ",
    );
}

#[test]
fn a_menu_ends_when_the_caller_has_chosen() {
    asterisk(
        "
        0.000 Newchannel a PJSIP/101 Exten=650
        0.001 Newexten a Answer()
        0.002 Newstate a 6
        0.003 Newexten a BackGround(welcome) exten=s
        2.000 Newexten a WaitExten(5)
        4.000 DTMFEnd a Digit=1 Direction=Received
        4.001 Newexten a Dial(PJSIP/102) exten=1
        4.002 Newchannel b PJSIP/102 of=a
        4.003 DialBegin a>b DialString=102
        4.010 Newstate b 5
        5.000 HangupRequest a 16
        5.001 Hangup b 127 500
        5.002 Hangup a 16
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.002 out 101 Answered
        0.003 inb 650 Setup
        4.003 inb 650 Disconnected/CallerInputRedirect
        4.003 inb 102 Setup
        4.010 inb 102 Proceeding
        5.001 inb 102 Disconnected/Cancelled missed
        5.002 out 101 Disconnected
        ",
    );
}

#[test]
fn an_announcement_is_no_menu() {
    asterisk(
        "
        0.000 Newchannel a PJSIP/101 Exten=651
        0.002 Newstate a 6
        0.003 Newexten a BackGround(closed)
        4.000 Newexten a Hangup()
        4.001 Hangup a 16
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.002 out 101 Answered
        4.001 out 101 Disconnected
        ",
    );
}

#[test]
fn a_fax_comes_in() {
    asterisk(
        "
        0.000 Newchannel a PJSIP/trunk Exten=+16505550185 number=+14155550166
        0.001 Newexten a Goto(internal,850,1)
        0.002 Newexten a Goto(fax-in,s,1) exten=850
        0.003 Newexten a Answer() exten=s
        0.004 Newstate a 6
        0.005 Newexten a ReceiveFAX(/tmp/1.tif)
        0.006 FAXStatus a Operation=receive Status=FAX_Transmission_In_Progress
        9.000 ReceiveFAX a PagesTransferred=1
        9.001 Newexten a Hangup()
        9.002 Hangup a 16
        ",
    )
    .tells(
        "
        0.000 out +14155550166 Setup
        0.004 out +14155550166 Answered
        0.005 inb 850 Setup
        0.005 inb 850 FaxReceive
        9.001 inb 850 Disconnected
        9.002 out +14155550166 Disconnected
        ",
    );
}

#[test]
fn a_conference_is_one_session_and_its_owner_the_host() {
    let story = asterisk(
        "
        0.000 Newchannel a PJSIP/101 Exten=801
        0.001 Newstate a 6
        0.002 Newexten a ConfBridge(800,b,admin)
        0.003 ConfbridgeStart Conference=800
        0.004 BridgeEnter a room
        0.005 ConfbridgeJoin a Conference=800 Admin=Yes Muted=No
        1.000 Newchannel b PJSIP/102 Exten=800
        1.001 Newstate b 6
        1.002 Newexten b ConfBridge(800,b,user)
        1.003 BridgeEnter b room
        1.004 ConfbridgeJoin b Conference=800 Admin=No Muted=Yes
        2.000 ConfbridgeUnmute b Conference=800 Admin=No
        3.000 ConfbridgeMute b Conference=800 Admin=No
        9.000 HangupRequest b
        9.001 ConfbridgeLeave b Conference=800 Admin=No
        9.002 BridgeLeave b room
        9.003 Hangup b 16
        9.100 HangupRequest a
        9.101 Hangup a 16
        ",
    );
    story.tells(
        "
        0.000 out 101 Setup
        0.001 out 101 Answered
        0.005 out 101 Gone/Conference to #2 out 101
        #2 0.005 out 101 Answered [Conference]
        #3 1.000 out 102 Setup
        #3 1.001 out 102 Answered
        #3 1.004 out 102 Gone/Conference to #2 out 102
        #2 1.004 out 102 Answered [Conference]
        #2 1.004 out 102 Answered
        #2 2.000 out 102 Answered
        #2 3.000 out 102 Answered
        #2 9.003 out 102 Disconnected
        #2 9.101 out 101 Disconnected
        ",
    );
    let events = story.events();
    let room = events.iter().filter(|event| event.session.origin == hookswitch_model::Origin::Conference);
    let shown: Vec<String> = room
        .map(|event| {
            let role = event.party.conference_role.map_or("", hookswitch_model::ConferenceRole::as_str);
            let number = event.party.from.phone_number.as_deref().unwrap_or_default();
            format!("{number} {role} {}", event.party.muted)
        })
        .collect();
    assert_eq!(
        shown,
        [
            "101 Host false",
            "102 Participant false",
            "102 Participant true",
            "102 Participant false",
            "102 Participant true",
            "102 Participant true",
            "101 Host false"
        ]
    );
}

const ROOMS: &str = r#"
[[account]]
id = 310001016
[[account.extension]]
number = "101"
[[account.extension]]
number = "102"
[[account.extension]]
number = "800"
kind = "conference"
[[account.extension]]
number = "801"
kind = "conference"
"#;

#[test]
fn a_room_that_the_directory_knows_is_entered_at_once() {
    asterisk(
        "
        0.000 Newchannel a PJSIP/101 Exten=800
        0.001 Newstate a 6
        0.002 Newexten a ConfBridge(800,b,admin)
        0.005 ConfbridgeJoin a Conference=800 Admin=Yes Muted=No
        9.101 Hangup a 16
        ",
    )
    .with_directory(ROOMS)
    .tells(
        "
        0.000 out 101 Setup [Conference]
        0.001 out 101 Answered
        9.101 out 101 Disconnected
        ",
    );
}

#[test]
fn a_supervisor_joins_the_call_that_is_listened_to() {
    for how in ["q", "qw", "qB"] {
        story(
            &[
                RINGS,
                ANSWERED,
                "
                3.000 Newchannel c PJSIP/103 Exten=*55102
                3.001 Newexten c Answer()
                3.002 Newstate c 6
                ",
                &format!("3.003 Newexten c ChanSpy(PJSIP/102,{how})"),
                "
                3.100 ChanSpyStart Spyer:c Spyee:b
                5.000 HangupRequest c
                5.001 ChanSpyStop Spyer:c Spyee:b
                5.002 Hangup c 0
                6.000 HangupRequest a 16
                6.001 Hangup a 16
                6.002 Hangup b 16
                ",
            ],
            &[
                RINGS_TOLD,
                ANSWERED_TOLD,
                "
                3.000 out 103 Setup
                3.100 out 103 Answered/Supervising
                5.002 out 103 Disconnected/Supervising
                6.001 out 101 Disconnected
                6.002 inb 102 Disconnected
                ",
            ],
        );
    }
}

#[test]
fn a_recording_is_started_paused_and_stopped() {
    let story = asterisk(
        &[
            RINGS,
            ANSWERED,
            "
            2.000 VarSet a Variable=MIXMONITOR_FILENAME Value=/tmp/1.wav
            2.001 MixMonitorStart a
            3.000 MixMonitorMute a Direction=both State=1
            4.000 MixMonitorMute a Direction=both State=0
            5.000 MixMonitorStop a
            6.000 HangupRequest a 16
            6.001 Hangup a 16
            6.002 Hangup b 16
            ",
        ]
        .concat(),
    );
    story.tells(
        &[
            RINGS_TOLD,
            ANSWERED_TOLD,
            "
            2.001 out 101 Answered recorded
            3.000 out 101 Answered
            4.000 out 101 Answered recorded
            5.000 out 101 Answered
            6.001 out 101 Disconnected
            6.002 inb 102 Disconnected
            ",
        ]
        .concat(),
    );
    let active: Vec<bool> = story
        .events()
        .iter()
        .filter(|event| event.party.recordings.len() == 1)
        .map(|event| event.party.recordings[0].active)
        .collect();
    assert_eq!(active, [true, false, true, false, false]);
}

#[test]
fn a_recording_that_begins_before_the_answer_shows_from_the_answer_on() {
    let story = asterisk(
        &[
            RINGS,
            "0.500 MixMonitorStart a",
            ANSWERED,
            "
            6.000 HangupRequest a 16
            6.001 Hangup a 16
            6.002 Hangup b 16
            ",
        ]
        .concat(),
    );
    let recorded: Vec<String> = story
        .events()
        .iter()
        .filter(|event| !event.party.recordings.is_empty())
        .map(|event| event.party.status.code.to_string())
        .collect();
    assert_eq!(recorded, ["Answered", "Disconnected"]);
}

/// A caller is asked for a digit, and sent to a phone.
const READS: &str = "
    0.000 Newchannel a PJSIP/101 Exten=751
    0.001 Newexten a Answer()
    0.002 Newstate a 6
    0.003 Newexten a Read(choice,choose,1)
    1.000 DTMFEnd a Digit=2
    1.001 Newexten a Dial(PJSIP/102,15)
    1.002 Newchannel b PJSIP/102 of=a
    1.003 DialBegin a>b DialString=102
    1.020 Newstate b 5
    2.000 Newstate b 6
    2.001 DialEnd a>b ANSWER
    4.000 HangupRequest a
    4.001 Hangup a 16
    4.002 Hangup b 16
";

#[test]
fn a_number_that_asks_for_digits_is_a_menu_where_the_directory_says_so() {
    asterisk(READS)
        .with_directory(
            r#"
            [[account]]
            id = 310001016
            [[account.extension]]
            number = "751"
            kind = "menu"
            [[account.extension]]
            number = "102"
            "#,
        )
        .tells(
            "
            0.000 out 101 Setup
            0.002 out 101 Answered
            0.003 inb 751 Setup
            1.003 inb 751 Disconnected/CallerInputRedirect
            1.003 inb 102 Setup
            1.020 inb 102 Proceeding
            2.000 inb 102 Answered
            4.001 out 101 Disconnected
            4.002 inb 102 Disconnected
            ",
        );
}

#[test]
fn a_number_that_asks_for_digits_is_nobody_where_nothing_says_that_it_is_a_menu() {
    story(
        &[READS],
        &["
            0.000 out 101 Setup
            0.002 out 101 Answered
            1.003 inb 102 Setup
            1.020 inb 102 Proceeding
            2.000 inb 102 Answered
            4.001 out 101 Disconnected
            4.002 inb 102 Disconnected
        "],
    );
}
