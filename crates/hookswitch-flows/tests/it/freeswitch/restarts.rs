//! A FreeSWITCH whose connection was lost or that was started again, and the lists that it answers with then.

use std::time::Duration;

use hookswitch_core::directory::Directory;
use hookswitch_flows::freeswitch::{answer, channels, connects, freeswitch, run};
use hookswitch_flows::ladder::{ACCOUNT, Ladder, ladder, written};
use hookswitch_flows::told::{SIP, StoryResult, assert_told, with_outages};
use hookswitch_model::{Event, SwitchLink};
use hookswitch_pipeline::Switch;

/// 101 calls 102 by the first core, and they talk.
const TALKS: &str = "
    0.000 create a 101>102 Core-UUID=one
    0.004 create b to=102 of=a number=101 Core-UUID=one
    0.020 progress b Core-UUID=one
    1.000 answer b Core-UUID=one
    1.002 answer a Core-UUID=one
    1.004 bridge a b Core-UUID=one
";

const TALKS_TOLD: &str = "
    0.000 out 101 Setup
    0.004 inb 102 Setup
    0.020 inb 102 Proceeding
    1.000 inb 102 Answered
    1.002 out 101 Answered
";

const CORE: &str = "global_getvar core_uuid";

const BOTH: &str = "
    a inbound 101 102 ACTIVE
    b outbound 102 102 ACTIVE a
";

/// The events of a story and what the switch answers beside it, in the order of time.
fn told(story: &str, answers: &[StoryResult]) -> Vec<Event> {
    let mut told = freeswitch(story).told;
    told.extend_from_slice(answers);
    told.sort_by_key(|told| told.at_micros);
    let (directory, saved) = (Directory::built_in(ACCOUNT), run(&Directory::built_in(ACCOUNT), &told, true));
    let events = run(&directory, &told, false);
    assert_eq!(events, saved, "saved and read after each message");
    events
}

#[test]
fn calls_that_the_next_core_does_not_recover_are_dropped_as_of_when_it_was_heard_of() {
    let by_question = told(TALKS, &[connects(5.0), answer(5.1, CORE, "two"), channels(5.2, "")]);
    assert_told(
        &by_question,
        &[TALKS_TOLD, "5.100 out 101 Disconnected/CallDropped\n5.100 inb 102 Disconnected/CallDropped"]
            .concat(),
    );
    // It may say nothing of its core before the list, and be known by its first event.
    let event = "9.000 create c 103>104 Core-UUID=two\n9.100 ends c ORIGINATOR_CANCEL Core-UUID=two";
    let by_event = told(&[TALKS, event].concat(), &[connects(5.0), channels(5.2, "")]);
    let dropped = by_event
        .iter()
        .filter(|event| event.party.status.reason.is_some_and(|reason| reason.as_str() == "CallDropped"));
    assert_eq!(dropped.count(), 2);
}

#[test]
fn calls_that_are_recovered_by_the_next_core_go_on_whenever_that_is_heard_of() {
    let ends = "
        19.000 ends a NORMAL_CLEARING Core-UUID=two
        19.000 ends b NORMAL_CLEARING Core-UUID=two
    ";
    let hangs_up = "19.000 out 101 Disconnected\n19.000 inb 102 Disconnected";
    // `sofia recover` may run before the first list, or after it.
    let listed = vec![connects(5.0), answer(5.1, CORE, "two"), channels(5.2, BOTH)];
    let recovered = "
        9.000 create a 101>102 Core-UUID=two
        9.001 create b to=102 number=101 Core-UUID=two
        9.002 bridge a b Core-UUID=two
    ";
    let empty = vec![connects(5.0), answer(5.1, CORE, "two"), channels(5.2, "")];
    let again = [empty.clone(), vec![channels(7.2, ""), channels(12.0, BOTH)]].concat();
    for (recovered, answers) in [("", listed), (recovered, empty), ("", again), (recovered, vec![])] {
        assert_told(&told(&[TALKS, recovered, ends].concat(), &answers), &[TALKS_TOLD, hangs_up].concat());
    }
}

#[test]
fn a_recovered_call_that_was_told_to_have_ended_is_one_that_was_found() {
    // As in `recovered-by-the-switch`: the callee's channel says nothing of who calls it, and is in no state.
    let recovers = "
        30.000 create b to=102 recovered=true Core-UUID=two Unique-ID=@b Channel-Call-State=DOWN
        30.001 create a 101>102 recovered=true Core-UUID=two Unique-ID=@a Channel-Call-State=ACTIVE
        30.100 bridge a b Core-UUID=two
        40.000 ends a NORMAL_CLEARING Core-UUID=two
        40.000 ends b NORMAL_CLEARING Core-UUID=two
    ";
    let found = "
        30.001 out 101 Setup
        30.001 out 101 Answered
        30.100 inb 102 Setup
        30.100 inb 102 Proceeding
        30.100 inb 102 Answered
        40.000 out 101 Disconnected
        40.000 inb 102 Disconnected
    ";
    let lost = "5.100 out 101 Disconnected/CallDropped\n5.100 inb 102 Disconnected/CallDropped\n";
    let answers = [connects(5.0), answer(5.1, CORE, "two"), channels(5.2, "")];
    let lines = found.lines().map(str::trim).filter(|line| !line.is_empty());
    let found_again = lines.map(|line| format!("#2 {line}")).collect::<Vec<_>>().join("\n");
    assert_told(&told(&[TALKS, recovers].concat(), &answers), &[TALKS_TOLD, lost, &found_again].concat());
    assert_told(&told(recovers, &[]), found);
}

#[test]
fn a_call_that_is_missing_in_the_list_of_the_same_core_has_ended_unseen() {
    let ended = "5.200 out 101 Disconnected\n5.200 inb 102 Disconnected";
    let knows = vec![connects(5.0), answer(5.1, CORE, "one"), channels(5.2, "")];
    let is_not_told = vec![connects(5.0), channels(5.2, "")];
    let event = "9.000 create c 103>104 Core-UUID=one\n9.100 ends c ORIGINATOR_CANCEL Core-UUID=one";
    for (event, answers) in [("", &knows), ("", &is_not_told), (event, &is_not_told)] {
        let mut events = told(&[TALKS, event].concat(), answers);
        events.retain(|event| event.party.from.phone_number.as_deref() != Some("103"));
        assert_told(&events, &[TALKS_TOLD, ended].concat());
    }
}

#[test]
fn a_list_that_is_behind_ends_no_call_that_has_just_begun() {
    let begins = "
        0.000 create a 101>102 Core-UUID=one
        0.004 create b to=102 of=a number=101 Core-UUID=one
        0.020 progress b Core-UUID=one
    ";
    let lists = vec![
        connects(0.1),
        answer(0.2, CORE, "one"),
        channels(0.3, ""),
        channels(2.3, "a inbound 101 102 ACTIVE\nb outbound 102 102 ACTIVE a"),
    ];
    let ends = "
        5.000 ends a NORMAL_CLEARING Core-UUID=one
        5.000 ends b NORMAL_CLEARING Core-UUID=one
    ";
    assert_told(
        &told(&[begins, ends].concat(), &lists),
        "
        0.000 out 101 Setup
        0.004 inb 102 Setup
        0.020 inb 102 Proceeding
        2.300 out 101 Answered
        2.300 inb 102 Answered
        5.000 out 101 Disconnected
        5.000 inb 102 Disconnected
        ",
    );
    // The next list ends what has ended meanwhile.
    let lists = vec![connects(0.1), answer(0.2, CORE, "one"), channels(0.3, ""), channels(2.3, "")];
    let events = told(begins, &lists);
    assert_eq!(
        events.last().map(|event| event.at.as_micros() % 10_000_000),
        events.last().map(|_| 2_300_000)
    );
}

#[test]
fn a_hold_that_an_event_has_told_counts_more_than_a_list_that_is_behind() {
    let holds = "
        5.150 hold a Core-UUID=one
        9.000 ends a NORMAL_CLEARING Core-UUID=one
        9.000 ends b NORMAL_CLEARING Core-UUID=one
    ";
    let answers = [connects(5.0), answer(5.1, CORE, "one"), channels(5.2, BOTH)];
    assert_told(
        &told(&[TALKS, holds].concat(), &answers),
        &[TALKS_TOLD, "5.150 out 101 Hold\n9.000 out 101 Disconnected\n9.000 inb 102 Disconnected"].concat(),
    );
}

#[test]
fn a_call_that_ended_while_the_list_was_written_is_not_found_in_it() {
    let events = told(
        "
        0.150 ends a NORMAL_CLEARING Unique-ID=@a
        1.000 ends c NORMAL_CLEARING Unique-ID=@c
        ",
        &[connects(0.0), channels(0.2, "a inbound 101 102 ACTIVE\nc inbound 103 104 ACTIVE")],
    );
    assert_told(&events, "0.200 out 103 Setup\n0.200 out 103 Answered\n1.000 out 103 Disconnected");
}

#[test]
fn a_call_that_is_found_has_the_dialogs_that_were_asked_for() {
    let dialog = |at: f64, channel: &str, to: &str| {
        vec![
            answer(at, &format!("uuid_getvar @{channel} sip_call_id"), &format!("call-{channel}")),
            answer(at, &format!("uuid_getvar @{channel} sip_from_tag"), &format!("from-{channel}")),
            answer(at, &format!("uuid_getvar @{channel} sip_to_tag"), to),
        ]
    };
    let ends = "
        5.000 ends a NORMAL_CLEARING Unique-ID=@a
        5.000 ends b NORMAL_CLEARING Unique-ID=@b
    ";
    for (at, is_before) in [(0.1, true), (0.3, false)] {
        let lists = vec![connects(0.0), channels(0.2, BOTH)];
        let events = told(ends, &[lists, dialog(at, "a", "to-a"), dialog(0.4, "b", "_undef_")].concat());
        let shown = |direction: &str| {
            let last = events.iter().rev().find(|event| event.party.direction.as_str() == direction);
            last.and_then(|event| event.party.sip.clone()).expect("a dialog")
        };
        let (a, b) = (shown("Outbound"), shown("Inbound"));
        assert_eq!((&*a.call_id, &*a.from_tag, a.to_tag.as_deref()), ("call-a", "from-a", Some("to-a")));
        assert_eq!((&*b.call_id, &*b.from_tag, b.to_tag.as_deref()), ("call-b", "from-b", None));
        assert_eq!(events[0].party.sip.is_some(), is_before, "known before it is told");
    }
}

const LOST: SwitchLink = SwitchLink::Lost { lost_after: Some(Duration::from_secs(900)) };

#[test]
fn calls_of_a_freeswitch_that_does_not_come_back_end_as_lost_and_go_on_as_found_when_it_does() {
    let answers = [connects(2000.0), answer(2000.1, CORE, "one"), channels(2000.2, BOTH)];
    let ends = "
        2005.000 ends a NORMAL_CLEARING Core-UUID=one
        2005.000 ends b NORMAL_CLEARING Core-UUID=one
    ";
    let mut told = freeswitch(&[TALKS, ends].concat()).told;
    told.extend(answers);
    let links = [(-1.0, SwitchLink::Up), (10.0, LOST), (2000.0, SwitchLink::Up)];
    let (events, _) = with_outages(Switch::Esl, &told, &ladder(""), &links);
    let lost = "910.000 out 101 Disconnected/CallDropped\n910.000 inb 102 Disconnected/CallDropped\n";
    let found = "
        #2 2000.200 out 101 Setup
        #2 2000.200 out 101 Answered
        #2 2000.200 inb 102 Setup
        #2 2000.200 inb 102 Proceeding
        #2 2000.200 inb 102 Answered
        #2 2005.000 out 101 Disconnected
        #2 2005.000 inb 102 Disconnected
    ";
    assert_told(&events, &[TALKS_TOLD, lost, found].concat());
    // It comes back in time.
    let links = [(-1.0, SwitchLink::Up), (1500.0, LOST), (2000.0, SwitchLink::Up)];
    let (events, _) = with_outages(Switch::Esl, &told, &ladder(""), &links);
    assert_told(
        &events,
        &[TALKS_TOLD, "2005.000 out 101 Disconnected\n2005.000 inb 102 Disconnected"].concat(),
    );
}

/// [`SIP`] so many seconds later.
fn later(seconds: f64) -> Ladder {
    let line = |line: &str| {
        let (at, rest) = line.trim().split_once(' ')?;
        Some(format!("{:.3} {rest}\n", at.parse::<f64>().ok()? + seconds))
    };
    ladder(&SIP.lines().filter_map(line).collect::<Vec<_>>().concat())
}

#[test]
fn a_call_that_began_in_an_outage_is_told_once_by_the_dialogs_that_were_asked_for() {
    // The phones are known to the switch by other names and numbers than to SIP: the Call-IDs alone agree.
    let sip = later(10.0);
    let alone = with_outages(Switch::Esl, &[], &sip, &[(5.0, LOST)]).0;
    let call_id = |direction: &str| {
        let of = alone.iter().rev().find(|event| event.party.direction.as_str() == direction);
        of.and_then(|event| event.party.sip.clone()).expect("a dialog").call_id.to_string()
    };
    let (of_a, of_b) = (call_id("Outbound"), call_id("Inbound"));
    let dialogs = |at: f64| {
        [("a", &of_a), ("b", &of_b)].map(|(channel, call_id)| {
            [
                answer(at, &format!("uuid_getvar @{channel} sip_call_id"), call_id),
                answer(at, &format!("uuid_getvar @{channel} sip_from_tag"), "from"),
            ]
        })
    };
    let listed = channels(12.4, "a inbound desk-a 7001 ACTIVE a 55\nb outbound desk-b 7002 ACTIVE a 55");
    let mut told = freeswitch(
        "
        15.000 ends a NORMAL_CLEARING Core-UUID=one Unique-ID=@a
        15.001 ends b NORMAL_CLEARING Core-UUID=one Unique-ID=@b
        ",
    )
    .told;
    told.extend(dialogs(12.3).into_iter().flatten());
    told.push(listed);
    let links = [(-1.0, SwitchLink::Up), (5.0, LOST), (12.0, SwitchLink::Up)];
    let (events, _) = with_outages(Switch::Esl, &told, &sip, &links);
    assert_eq!(written(&events), written(&alone));
}
