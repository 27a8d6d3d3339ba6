//! Recorded calls through a real FreeSWITCH: each is told exactly from its event socket, whatever the
//! directory lists.

use std::fmt::Write as _;

use hookswitch_core::directory::Directory;
use hookswitch_flows::ladder::ACCOUNT;
use hookswitch_flows::recordings::{self, Recording};
use hookswitch_flows::{cases, score, told};
use hookswitch_pipeline::Switch;

/// People and a trunk, as a new user writes them: no queue, menu, fax line, mailbox, room or slot.
const PEOPLE: &str = r#"
[[account]]
id = 310001016
country_code = "1"
domains = ["pbx.example.com"]
[[account.extension]]
number = "1001"
name = "Ines Ortiz"
numbers = ["+16465550101"]
[[account.extension]]
number = "1002"
name = "Jonas Klein"
numbers = ["+16465550102"]
[[account.extension]]
number = "1003"
name = "Kavya Rao"
numbers = ["+16465550103"]
[[account.extension]]
number = "1004"
name = "José Núñez"
numbers = ["+16465550104"]
[[account.trunk]]
name = "Carrier"
endpoints = ["carrier", "external"]
"#;

fn directories() -> [(&'static str, Directory); 3] {
    let listed =
        std::fs::read_to_string(recordings::directory("freeswitch")).expect("the directory is there");
    [
        ("no directory", Directory::built_in(ACCOUNT)),
        ("people and a trunk", Directory::parse(PEOPLE).expect("a directory")),
        ("all that the switch has", Directory::parse(&listed).expect("a directory")),
    ]
}

fn replayed(recording: &Recording, directory: &Directory) -> String {
    told::notifications(directory, Switch::Esl, &recording.read("esl.log"))
}

#[test]
fn every_recording_is_told_exactly_whatever_the_directory_lists() {
    let mut wrong = Vec::new();
    for (what, directory) in directories() {
        for recording in recordings::all("freeswitch") {
            let told = score::sessions(&replayed(&recording, &directory));
            if let Err(difference) = told.and_then(|told| score::recording::compare(&recording.meta(), &told))
            {
                wrong.push(format!("{} with {what}\n{difference}", recording.name));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.concat());
}

#[test]
fn every_recording_has_the_numbers_names_and_roles_that_were_there() {
    let mut wrong = String::new();
    for (what, directory) in directories() {
        for recording in recordings::all("freeswitch") {
            let told = score::sessions(&replayed(&recording, &directory)).expect("the sequences rise");
            for difference in score::recording::fields(&recording.meta(), &told) {
                writeln!(wrong, "{} with {what}: {difference}", recording.name).expect("a text grows");
            }
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn every_case_of_an_event_socket_is_told_exactly() {
    for case in cases::all().iter().filter(|case| case.name.starts_with("switches/esl-")) {
        let directory = case.directory().map(|file| std::fs::read_to_string(file).expect("it can be read"));
        let directory = directory.map_or_else(
            || Directory::built_in(ACCOUNT),
            |text| Directory::parse(&text).unwrap_or_else(|error| panic!("{}: {error}", case.name)),
        );
        let mut told = String::new();
        for input in case.inputs() {
            let bytes = std::fs::read(input).expect("it can be read");
            told.push_str(&told::notifications(&directory, Switch::Esl, &bytes));
        }
        let told = score::sessions(&told);
        if let Err(difference) = told.and_then(|told| score::case::compare(&case.expected(), &told)) {
            panic!("{}\n{difference}", case.name);
        }
    }
}

/// Two connections, between which the FreeSWITCH was started again: the second call is known by the list alone
/// before the first event of the new core.
fn restarted() -> String {
    let case = cases::all().into_iter().find(|case| case.name == "switches/esl-found-after-restart");
    let input = case.expect("the case is there").inputs().remove(0);
    std::fs::read_to_string(input).expect("it can be read")
}

/// Blocks of a transcript that are kept, each with its line before it.
fn blocks(transcript: &str, is_kept: impl Fn(&str) -> bool) -> String {
    let starts: Vec<usize> = transcript.match_indices("=== ").map(|(at, _)| at).collect();
    let ends = starts.iter().skip(1).copied().chain([transcript.len()]);
    starts
        .iter()
        .zip(ends)
        .map(|(&start, end)| &transcript[start..end])
        .filter(|block| is_kept(block))
        .collect()
}

/// Codes and reasons of all statuses, in their order.
fn statuses(notifications: &str) -> Vec<String> {
    let status = |line: &str| {
        let told: serde_json::Value = serde_json::from_str(line).expect("JSON");
        let party = &told["body"]["parties"][0];
        let (direction, code) = (&party["direction"], &party["status"]["code"]);
        let reason =
            party["status"]["reason"].as_str().map_or_else(String::new, |reason| format!("/{reason}"));
        format!("{} {}{reason}", direction.as_str().expect("a word"), code.as_str().expect("a word"))
    };
    notifications.lines().map(status).collect()
}

fn told_of(transcript: &str) -> Vec<String> {
    let directory = Directory::built_in(ACCOUNT);
    statuses(&told::notifications(&directory, Switch::Esl, transcript.as_bytes()))
}

#[test]
fn a_call_that_the_new_list_does_not_name_is_dropped_and_the_other_goes_on() {
    let transcript = blocks(&restarted(), |block| {
        let is_of_first = block.contains("5f029ad5-") || block.contains("7046cc72-");
        !(is_of_first
            && (block.contains("HANGUP") || block.contains("DESTROY") || block.contains("UNBRIDGE")))
    });
    let told = told_of(&transcript);
    let ends: Vec<&str> =
        told.iter().map(String::as_str).filter(|line| line.contains("Disconnected")).collect();
    assert_eq!(ends.len(), 4, "{told:?}");
    assert_eq!(ends.iter().filter(|line| line.ends_with("CallDropped")).count(), 2, "{told:?}");
    assert_eq!(told.iter().filter(|line| line.ends_with("Hold")).count(), 2, "{told:?}");
}

#[test]
fn a_call_of_the_core_before_is_dropped_when_an_event_of_the_new_one_comes_without_a_list() {
    let transcript = blocks(&restarted(), |block| {
        let is_of_first = block.contains("5f029ad5-") || block.contains("7046cc72-");
        let ends = block.contains("HANGUP") || block.contains("DESTROY") || block.contains("UNBRIDGE");
        !(is_of_first && ends || block.contains("Answer-To"))
    });
    let told = told_of(&transcript);
    let dropped = told.iter().filter(|line| line.ends_with("Disconnected/CallDropped")).count();
    assert_eq!((dropped, told.len()), (2, 8), "{told:?}");
}
