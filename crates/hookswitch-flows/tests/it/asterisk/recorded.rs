//! Recorded calls through a real Asterisk: each is told exactly from its manager, in statuses and in fields.

use std::fmt::Write as _;

use hookswitch_core::directory::Directory;
use hookswitch_flows::ladder::ACCOUNT;
use hookswitch_flows::recordings::{self, Recording};
use hookswitch_flows::{cases, score, told};
use hookswitch_pipeline::Switch;

/// Folders of recordings: calls that watched from all sides, and set-ups that the manager told of.
const FOLDERS: [&str; 2] = ["asterisk", "asterisk-setups"];

fn directories(folder: &str) -> [(&'static str, Directory); 2] {
    let listed = std::fs::read_to_string(recordings::directory(folder)).expect("the directory is there");
    [
        ("no directory", Directory::built_in(ACCOUNT)),
        ("a directory", Directory::parse(&listed).expect("a directory")),
    ]
}

/// Returns what is told of each recording, with the recording and what else it was told with.
fn told_of_each(judge: impl Fn(&Recording, &[score::Session]) -> Vec<String>) -> String {
    let mut wrong = String::new();
    for folder in FOLDERS {
        for (what, directory) in directories(folder) {
            for recording in recordings::all(folder) {
                let told = told::notifications(&directory, Switch::Ami, &recording.read("ami.log"));
                let told =
                    score::sessions(&told).unwrap_or_else(|error| panic!("{}: {error}", recording.name));
                for difference in judge(&recording, &told) {
                    let _ = writeln!(wrong, "{} with {what}: {difference}", recording.name);
                }
            }
        }
    }
    wrong
}

#[test]
fn every_recording_is_told_exactly() {
    let wrong = told_of_each(|recording, told| {
        score::recording::compare(&recording.meta(), told).err().into_iter().collect()
    });
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn every_recording_has_the_numbers_names_and_roles_that_were_there() {
    let wrong = told_of_each(|recording, told| score::recording::fields(&recording.meta(), told));
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn every_case_of_a_manager_is_told_exactly() {
    let mut wrong = String::new();
    for case in cases::all().iter().filter(|case| case.name.starts_with("switches/ami-")) {
        let directory = case.directory().map(|file| std::fs::read_to_string(file).expect("it can be read"));
        let directory = directory.map_or_else(
            || Directory::built_in(ACCOUNT),
            |text| Directory::parse(&text).unwrap_or_else(|error| panic!("{}: {error}", case.name)),
        );
        let mut told = String::new();
        for input in case.inputs() {
            let bytes = std::fs::read(input).expect("it can be read");
            told.push_str(&told::notifications(&directory, Switch::Ami, &bytes));
        }
        let told = score::sessions(&told);
        if let Err(difference) = told.and_then(|told| score::case::compare(&case.expected(), &told)) {
            let _ = write!(wrong, "{}\n{difference}", case.name);
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}
