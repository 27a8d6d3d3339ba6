//! A directory that lists people and a trunk alone hides nothing of what the switch says itself.

use hookswitch_core::directory::Directory;
use hookswitch_flows::freeswitch::{freeswitch, run};
use hookswitch_flows::told::assert_told;

const PEOPLE: &str = r#"
[[account]]
id = 310001016
country_code = "1"
[[account.extension]]
number = "101"
[[account.extension]]
number = "102"
[[account.trunk]]
endpoints = ["external", "carrier"]
"#;

/// Asserts what is told of a call from outside.
#[track_caller]
fn tells(story: &str, expected: &str) {
    let directory = Directory::parse(PEOPLE).expect("a directory");
    assert_told(&run(&directory, &freeswitch(story).told, false), expected);
}

#[test]
fn a_fax_line_receives_a_fax() {
    tells(
        "
        0.000 create a +442079460123@external>+16465550150
        0.001 answer a
        1.000 execute a rxfax(/fax/1.tif) dest=801
        9.001 ends a NORMAL_CLEARING disposition=send_bye
        ",
        "
        0.000 out +442079460123 Setup
        0.001 out +442079460123 Answered
        1.000 inb 801 Setup
        1.000 inb 801 FaxReceive
        9.001 out +442079460123 Disconnected
        9.001 inb 801 Disconnected
        ",
    );
}

#[test]
fn a_menu_ends_with_the_choice_of_the_caller() {
    tells(
        "
        0.000 create a +442079460123@external>+16465550160
        0.001 answer a
        0.002 execute a ivr(reception) dest=750
        2.000 create b to=102 of=a
        2.020 progress b
        3.000 answer b
        3.001 bridge a b
        4.000 ends a NORMAL_CLEARING disposition=recv_bye
        4.001 ends b NORMAL_CLEARING disposition=send_bye
        ",
        "
        0.000 out +442079460123 Setup
        0.001 out +442079460123 Answered
        0.002 inb 750 Setup
        2.000 inb 750 Disconnected/CallerInputRedirect
        2.000 inb 102 Setup
        2.020 inb 102 Proceeding
        3.000 inb 102 Answered
        4.000 out +442079460123 Disconnected
        4.001 inb 102 Disconnected
        ",
    );
}

#[test]
fn a_queue_has_missed_a_call_that_no_agent_has_answered() {
    tells(
        "
        0.000 create a +442079460123@external>+16465550130
        0.001 answer a
        0.003 queue a CC-Action=member-queue-start CC-Queue=support@default CC-Member-Session-UUID=@a dest=710
        5.000 queue a CC-Action=member-queue-end CC-Cause=Cancel CC-Cancel-Reason=TIMEOUT CC-Member-Session-UUID=@a
        6.000 ends a NORMAL_CLEARING disposition=send_bye
        ",
        "
        0.000 out +442079460123 Setup
        0.001 out +442079460123 Answered
        0.003 inb +16465550130 Setup
        5.000 inb +16465550130 Disconnected/Timeout missed
        6.000 out +442079460123 Disconnected
        ",
    );
}

#[test]
fn a_mailbox_takes_a_message_whomever_it_belongs_to() {
    for script in [
        "voicemail(default_pbx.example.com_180)",
        "lua(app.lua_voicemail) voicemail_action=save voicemail_id=180",
    ] {
        tells(
            &format!(
                "
                0.000 create a +442079460123@external>+16465550180
                0.001 answer a
                0.002 execute a {script} dest=180
                9.001 ends a NORMAL_CLEARING disposition=recv_bye
                "
            ),
            "
            0.000 out +442079460123 Setup
            0.001 out +442079460123 Answered
            0.002 inb 180 Setup
            0.002 inb 180 VoiceMail missed
            9.001 out +442079460123 Disconnected
            9.001 inb 180 Disconnected missed
            ",
        );
    }
}

#[test]
fn a_room_and_a_slot_are_what_the_switch_says() {
    tells(
        "
        0.000 create a 101>102
        0.004 create b to=102 of=a number=101
        1.000 answer b
        1.002 answer a
        1.004 bridge a b
        3.000 hangup b NORMAL_CLEARING endpoint_disposition=BLIND_TRANSFER
        3.001 complete b NORMAL_CLEARING endpoint_disposition=BLIND_TRANSFER transfer_destination=blind:601 disposition=send_bye
        3.010 execute a valet_park(lot1_601)
        3.012 valet a Action=hold Valet-Extension=601
        5.000 create c 102>800
        5.001 answer c
        5.002 conference c Action=add-member Conference-Name=800-x
        6.000 ends c NORMAL_CLEARING disposition=recv_bye
        7.000 ends a NORMAL_CLEARING disposition=recv_bye
        ",
        "
        0.000 out 101 Setup
        0.004 inb 102 Setup
        1.000 inb 102 Answered
        1.002 out 101 Answered
        3.012 inb 102 Parked in 601
        #2 5.000 out 102 Setup
        #2 5.001 out 102 Answered
        #2 5.002 out 102 Gone/Conference to #3 out 102
        #3 5.002 out 102 Answered [Conference]
        #3 6.000 out 102 Disconnected
        7.000 out 101 Disconnected
        7.000 inb 102 Disconnected
        ",
    );
}
