//! Properties of all that a FreeSWITCH may tell.

use std::collections::BTreeMap;

use hookswitch_flows::freeswitch::{Story, run};
use hookswitch_flows::properties;
use hookswitch_flows::told::properties::stories_of;

/// The stories of the tests beside this file.
fn stories() -> Vec<String> {
    let sources = [
        include_str!("calls.rs"),
        include_str!("confirmation.rs"),
        include_str!("moves.rs"),
        include_str!("originated.rs"),
        include_str!("rooms.rs"),
        include_str!("scripts.rs"),
        include_str!("services.rs"),
    ];
    let constants: BTreeMap<&str, &str> = BTreeMap::from([
        ("RINGS", super::calls::RINGS),
        ("ANSWERED", super::calls::ANSWERED),
        ("GOES_ON", super::moves::GOES_ON),
        ("CONSULTS", super::moves::CONSULTS),
        ("PARKS", super::moves::PARKS),
        ("QUEUES", super::services::QUEUES),
    ]);
    stories_of(&sources, &constants, is_event, " create ")
}

/// Returns `true` if a line of a test is an event of a story, and neither code nor what is told.
fn is_event(line: &str) -> bool {
    let mut words = line.split(' ');
    let time = words.next().is_some_and(|word| word.parse::<f64>().is_ok());
    time && words.next().is_some_and(|word| !matches!(word, "out" | "inb")) && !line.contains('{')
}

properties!(Story, run, stories);
