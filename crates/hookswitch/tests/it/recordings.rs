//! Recorded calls through real switches: each of them told exactly, from everything that watched it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use hookswitch_flows::recordings::{self, Recording};
use hookswitch_flows::score;

/// Switches and the file in which each has told of its own calls.
const SWITCHES: [(&str, &str); 2] = [("asterisk", "ami.log"), ("freeswitch", "esl.log")];

/// A recording that SIP alone does not show as it was.
struct Unshown {
    switch: &'static str,
    name: &'static str,
    /// A directory does not help.
    with_directory: bool,
    because: &'static str,
}

/// Recordings that cannot be told exactly from SIP alone; they are told so from what the switch says.
const UNSHOWN: [Unshown; 17] = [
    unshown(
        "asterisk",
        "fax-receive",
        "no directory says that 850 receives faxes, so its call looks like any other",
    ),
    unshown(
        "asterisk",
        "no-answer-to-voicemail",
        "no directory says that 102 has a mailbox, which the switch is itself",
    ),
    unshown("asterisk", "park-and-retrieve", "no directory says that 700 parks, and in which slots"),
    unshown("asterisk", "queue-call", "no directory says that 620 is a queue"),
    never_shown("asterisk", "recorded-call", "a switch that records sends nothing about it to the phones"),
    unshown("freeswitch", "callcenter-answered", "no directory says that 7100 is a queue"),
    never_shown("freeswitch", "conference-dials-out", "the leg by which a room calls somebody names no room"),
    never_shown("freeswitch", "confirm-no-key", "that a key is asked for is said in the audio alone"),
    never_shown(
        "freeswitch",
        "dtmf-consult-returned",
        "the keys that ask for a consultation are in the audio",
    ),
    never_shown("freeswitch", "eavesdrop-originate", "a switch that lets somebody listen says so to nobody"),
    unshown(
        "freeswitch",
        "fax-in",
        "no directory says that 8001 receives faxes, so its call looks like any other",
    ),
    unshown("freeswitch", "menu", "no directory says that 7500 is a menu"),
    unshown(
        "freeswitch",
        "no-answer-to-voicemail",
        "no directory says that 1002 has a mailbox, which the switch is itself",
    ),
    never_shown(
        "freeswitch",
        "originate-outside-first",
        "a switch that calls a carrier first looks like one that passes on a call",
    ),
    never_shown("freeswitch", "record", "a switch that records sends nothing about it to the phones"),
    unshown(
        "freeswitch",
        "script-mailbox",
        "no directory says that 1002 has a mailbox, which the switch is itself",
    ),
    unshown("freeswitch", "valet-park", "no directory says that 6000 parks, and in which slots"),
];

const fn unshown(switch: &'static str, name: &'static str, because: &'static str) -> Unshown {
    Unshown { switch, name, with_directory: false, because }
}

const fn never_shown(switch: &'static str, name: &'static str, because: &'static str) -> Unshown {
    Unshown { switch, name, with_directory: true, because }
}

#[test]
fn every_call_is_told_exactly_from_what_the_switch_says_alone_and_beside_its_sip() {
    for (switch, log) in SWITCHES {
        for files in [&[log][..], &[log, "hep.jsonl"], &[log, "sip.pcap"]] {
            for with_directory in [false, true] {
                let wrong = wrong(switch, files, with_directory);
                let texts: String = wrong.iter().map(|(_, difference)| difference.as_str()).collect();
                assert!(wrong.is_empty(), "{switch} {files:?}, directory: {with_directory}\n{texts}");
            }
        }
    }
}

#[test]
fn every_call_is_told_exactly_from_its_sip_except_those_that_sip_does_not_show() {
    for (switch, _) in SWITCHES {
        for file in ["sip.pcap", "hep.jsonl"] {
            for with_directory in [false, true] {
                let mut wrong = wrong(switch, &[file], with_directory);
                for unshown in UNSHOWN.iter().filter(|unshown| unshown.switch == switch) {
                    let place = wrong.iter().position(|(name, _)| name == unshown.name);
                    if unshown.with_directory || !with_directory {
                        let place = place.unwrap_or_else(|| {
                            panic!(
                                "{switch} {} is exact from {file}, though {}; take it off the list",
                                unshown.name, unshown.because
                            )
                        });
                        wrong.remove(place);
                    }
                }
                let texts: String = wrong.iter().map(|(_, difference)| difference.as_str()).collect();
                assert!(wrong.is_empty(), "{switch} {file}, directory: {with_directory}\n{texts}");
            }
        }
    }
}

#[test]
fn each_sip_call_belongs_to_a_channel_and_nothing_is_left() {
    for (switch, log) in SWITCHES {
        for recording in recordings::all(switch) {
            let output = replay(&recording, &[log, "hep.jsonl"], &["--summary"]);
            let summary: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
            let (told, name) = (&summary[switch], &recording.name);
            let joined = |key: &str| told[key].as_u64().expect("a count");
            assert_eq!(
                joined("sip_calls"),
                joined("joined_by_call_id") + joined("joined_by_numbers"),
                "{switch} {name} {told}"
            );
            // A phone that is asked to accept has answered by SIP, which the switch does not count.
            let disagreements = u64::from(name == "confirm-no-key");
            assert_eq!(joined("disagreements"), disagreements, "{switch} {name} {told}");
            assert_eq!(told["channels_left"], 0, "{switch} {name} {told}");
            assert_eq!(summary["open_sessions"], 0, "{switch} {name}");
        }
    }
}

#[test]
fn a_directory_shows_who_is_inside_and_who_is_outside() {
    for (switch, call, outside, inside) in [
        ("asterisk", "answered-inbound-from-trunk", ("+14155550123", "Olivia Outside"), ("102", "Bob Brown")),
        ("freeswitch", "inbound-from-trunk", ("+442079460123", "Peter Public"), ("1002", "Jonas Klein")),
    ] {
        let directory = recordings::directory(switch);
        let directory = ["--directory", directory.to_str().expect("UTF-8")];
        let output = replay(&Recording::named(switch, call), &["sip.pcap"], &directory);
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        assert_eq!(text.lines().count(), 8, "{text}");
        for line in text.lines() {
            let event: serde_json::Value = serde_json::from_str(line).expect("JSON");
            let party = &event["body"]["parties"][0];
            assert_eq!(
                (&party["from"]["phoneNumber"], &party["from"]["name"]),
                (&outside.0.into(), &outside.1.into())
            );
            assert!(party["from"].get("extensionId").is_none(), "{line}");
            if party["direction"] == "Inbound" {
                assert_eq!(
                    (&party["to"]["phoneNumber"], &party["to"]["name"]),
                    (&inside.0.into(), &inside.1.into())
                );
                assert!(party["extensionId"].is_string(), "{line}");
            }
        }
    }
}

/// The recordings of a switch that are not told exactly from these files, with the difference of each.
fn wrong(switch: &str, files: &[&str], with_directory: bool) -> Vec<(String, String)> {
    let directory = recordings::directory(switch);
    let mut options = vec!["--filter", "/restapi/v1.0/account/~/telephony/sessions"];
    if with_directory {
        options.extend(["--directory", directory.to_str().expect("UTF-8")]);
    }
    let mut wrong = Vec::new();
    for recording in recordings::all(switch) {
        let output = replay(&recording, files, &options);
        let told = score::sessions(std::str::from_utf8(&output.stdout).expect("UTF-8"));
        let compared = told.and_then(|told| score::recording::compare(&recording.meta(), &told));
        if let Err(difference) = compared {
            let difference = format!("{} {files:?}\n{difference}", recording.name);
            wrong.push((recording.name, difference));
        }
    }
    wrong
}

/// Replays files of a recording together.
fn replay(recording: &Recording, files: &[&str], options: &[&str]) -> Output {
    let unpacked = Path::new(env!("CARGO_TARGET_TMPDIR")).join("recordings");
    let files: Vec<PathBuf> = files.iter().map(|file| recording.unpack(file, &unpacked)).collect();
    let mut command = Command::new(env!("CARGO_BIN_EXE_hookswitch"));
    let output = command.arg("replay").args(&files).args(options).output().expect("the program starts");
    assert!(output.status.success(), "{}: {}", recording.name, String::from_utf8_lossy(&output.stderr));
    output
}
