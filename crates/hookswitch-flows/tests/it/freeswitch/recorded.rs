//! Recorded calls through a real FreeSWITCH: each is told exactly from its event socket, whatever the
//! directory lists.

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
    told::notifications(directory, Switch::FreeSwitch, &recording.read("esl.log"))
}

#[test]
fn every_recording_is_told_exactly_whatever_the_directory_lists() {
    let mut wrong = String::new();
    for (what, directory) in directories() {
        for recording in recordings::all("freeswitch") {
            let told = score::sessions(&replayed(&recording, &directory));
            if let Err(difference) = told.and_then(|told| score::recording::compare(&recording.meta(), &told))
            {
                wrong.push_str(&format!("{} with {what}\n{difference}", recording.name));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

/// Parties of which another number is shown than the recording says: what a supervisor has dialled, and who a room
/// has called before the call was in it.
const SHOWN_OTHERWISE: [(&str, &str); 2] =
    [("eavesdrop", "A3 to.phoneNumber"), ("conference-dials-out", "A2 from.phoneNumber")];

#[test]
fn every_recording_has_the_numbers_names_and_roles_that_were_there() {
    let mut wrong = String::new();
    for (what, directory) in directories() {
        for recording in recordings::all("freeswitch") {
            let told = score::sessions(&replayed(&recording, &directory)).expect("the sequences rise");
            for difference in score::recording::fields(&recording.meta(), &told) {
                let is_known =
                    |(name, what): &&(&str, &str)| *name == recording.name && difference.starts_with(what);
                if SHOWN_OTHERWISE.iter().any(|known| is_known(&known)) {
                    continue;
                }
                wrong.push_str(&format!("{} with {what}: {difference}\n", recording.name));
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
            told.push_str(&told::notifications(&directory, Switch::FreeSwitch, &bytes));
        }
        let told = score::sessions(&told);
        if let Err(difference) = told.and_then(|told| score::case::compare(&case.expected(), &told)) {
            panic!("{}\n{difference}", case.name);
        }
    }
}
