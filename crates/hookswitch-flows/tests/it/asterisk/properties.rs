//! Properties of all that an Asterisk may tell.

use std::collections::BTreeMap;

use hookswitch_flows::asterisk::{Story, run};
use hookswitch_flows::properties;
use hookswitch_flows::told::properties::stories_of;

/// The stories of the tests beside this file.
fn stories() -> Vec<String> {
    let sources = [
        include_str!("calls.rs"),
        include_str!("moves.rs"),
        include_str!("services.rs"),
        include_str!("targets.rs"),
        include_str!("applications.rs"),
        include_str!("pipes.rs"),
    ];
    let constants: BTreeMap<&str, &str> = BTreeMap::from([
        ("RINGS", super::calls::RINGS),
        ("ANSWERED", super::calls::ANSWERED),
        ("ASKS", super::moves::ASKS),
        ("PARKS", super::moves::PARKS),
        ("QUEUES", super::services::QUEUES),
        ("MEMBERS", super::pipes::MEMBERS),
        ("MEMBER_ANSWERS", super::pipes::MEMBER_ANSWERS),
        ("GROUP", super::targets::GROUP),
        ("AGENTS", super::targets::AGENTS),
        ("ASKED", super::targets::ASKED),
    ]);
    stories_of(&sources, &constants, is_event, "Newchannel")
}

/// Returns `true` if a line of a test is an event of a story, and neither code nor what is told.
fn is_event(line: &str) -> bool {
    let mut words = line.split(' ');
    let time = words.next().is_some_and(|word| word.parse::<f64>().is_ok());
    time && words.next().is_some_and(|word| word.starts_with(char::is_uppercase)) && !line.contains('{')
}

properties!(Story, run, stories);
