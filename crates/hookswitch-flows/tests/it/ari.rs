//! Recorded calls as the ARI of a real Asterisk tells them, each of them exactly but those that it cannot tell.

use hookswitch_core::directory::Directory;
use hookswitch_flows::ladder::{ACCOUNT, START_MICROS};
use hookswitch_flows::recordings::{self, Recording};
use hookswitch_flows::score;
use hookswitch_flows::told::{self, StoryResult};
use hookswitch_pipeline::Switch;
use hookswitch_signal::capture::{Reader, Transport};

/// Recordings that ARI cannot tell exactly, and why.
const UNTOLD: [(&str, &str); 0] = [];

#[test]
fn every_call_is_told_exactly_from_ari_alone_except_those_that_ari_cannot_tell() {
    let path = recordings::directory("asterisk");
    let text = std::fs::read_to_string(path).expect("the directory is there");
    let directory = Directory::parse(&text).expect("a directory");
    for (directory, save) in [(Directory::built_in(ACCOUNT), true), (directory, false)] {
        let mut differences = Vec::new();
        for recording in recordings::all("asterisk") {
            let events = told::run(&directory, Switch::Ari, &read(&recording), save);
            let told = score::sessions(&told::as_notifications(&events));
            let compared = told.and_then(|told| score::recording::compare(&recording.meta(), &told));
            let untold = UNTOLD.iter().find(|(name, _)| *name == recording.name);
            match (compared, untold) {
                (Err(difference), None) => differences.push(format!("{}\n{difference}", recording.name)),
                (Ok(()), Some((name, because))) => {
                    panic!("{name} is exact from ARI, though {because}; take it off the list");
                }
                _ => {}
            }
        }
        assert!(differences.is_empty(), "{}", differences.join("\n"));
    }
}

/// Returns what ARI has told, as if it began when all stories do.
fn read(recording: &Recording) -> Vec<StoryResult> {
    let file = recording.read("ari.jsonl");
    let mut reader = Reader::new(&*file).expect("it is a transcript");
    let mut told: Vec<StoryResult> = Vec::new();
    while reader.advance().expect("memory can be read") {
        let captured = reader.current().expect("there is one");
        assert_eq!(captured.transport, Transport::Switch(Switch::Ari));
        told.push(StoryResult { at_micros: captured.time.as_micros(), message: captured.payload.to_vec() });
    }
    let first = told.first().expect("it is not empty").at_micros;
    for told in &mut told {
        told.at_micros += START_MICROS - first;
    }
    told
}
