//! Recorded calls through real PBXs, where the machine has them beside the checkout.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The recordings of ordinary calls.
const ORDINARY: [(&str, [&str; 6]); 2] = [
    (
        "asterisk",
        [
            "answered-internal",
            "answered-inbound-from-trunk",
            "busy",
            "caller-cancels",
            "hold-unhold",
            "ring-group",
        ],
    ),
    (
        "freeswitch",
        ["answered-internal", "inbound-from-trunk", "busy", "caller-cancels", "hold-unhold", "ring-group"],
    ),
];

/// The folder beside the checkout; none on most machines.
fn shared() -> Option<PathBuf> {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let there = shared.join("tools/score_recordings.py").exists();
    if !there {
        eprintln!("skipped: there are no recordings beside the checkout");
    }
    there.then_some(shared)
}

/// The directory that was written for a PBX.
fn directory(product: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/directories").join(format!("{product}.toml"))
}

#[test]
fn ordinary_calls_through_real_pbxs_are_told_exactly() {
    let Some(shared) = shared() else { return };
    for (product, calls) in ORDINARY {
        for input in ["sip.pcap", "hep.jsonl"] {
            for with_directory in [false, true] {
                let mut command = Command::new("python3");
                command
                    .arg(shared.join("tools/score_recordings.py"))
                    .arg(shared.join("recordings").join(product))
                    .arg(env!("CARGO_BIN_EXE_hookswitch"))
                    .args(["--input", input]);
                if with_directory {
                    command.arg("--directory").arg(directory(product));
                }
                let output = command.output().expect("python3 is installed");
                let text = String::from_utf8_lossy(&output.stdout);
                assert!(text.contains("\"exact\""), "{text}{}", String::from_utf8_lossy(&output.stderr));
                for call in calls {
                    let wrong = text.lines().any(|line| line.trim() == format!("NO {call}"));
                    assert!(!wrong, "{product} {call} from {input}, directory: {with_directory}\n{text}");
                }
            }
        }
    }
}

/// What SIP alone cannot show: that the switch records a call.
const SHOWN_BY_OTHERS: [&str; 2] = ["recorded-call", "record"];

#[test]
fn every_call_whose_story_sip_shows_is_told_exactly_with_a_directory() {
    let Some(shared) = shared() else { return };
    for product in ["asterisk", "freeswitch"] {
        for input in ["sip.pcap", "hep.jsonl"] {
            let output = Command::new("python3")
                .arg(shared.join("tools/score_recordings.py"))
                .arg(shared.join("recordings").join(product))
                .arg(env!("CARGO_BIN_EXE_hookswitch"))
                .args(["--input", input, "--directory"])
                .arg(directory(product))
                .output()
                .expect("python3 is installed");
            let text = String::from_utf8_lossy(&output.stdout);
            assert!(text.contains("\"exact\""), "{text}{}", String::from_utf8_lossy(&output.stderr));
            let wrong: Vec<&str> = text
                .lines()
                .filter_map(|line| line.strip_prefix("NO "))
                .filter(|call| !SHOWN_BY_OTHERS.contains(call))
                .collect();
            assert!(wrong.is_empty(), "{product} from {input}: {wrong:?}\n{text}");
        }
    }
}

#[test]
fn every_call_is_told_exactly_from_what_the_switch_says_alone_and_beside_its_sip() {
    let Some(shared) = shared() else { return };
    for (switch, input) in [("asterisk", "ami.log"), ("freeswitch", "esl.log")]
        .into_iter()
        .flat_map(|(switch, log)| ["", "+hep.jsonl", "+sip.pcap"].map(|sip| (switch, format!("{log}{sip}"))))
    {
        for with_directory in [false, true] {
            let mut command = Command::new("python3");
            command
                .arg(shared.join("tools/score_recordings.py"))
                .arg(shared.join("recordings").join(switch))
                .arg(env!("CARGO_BIN_EXE_hookswitch"))
                .args(["--input", &*input]);
            if with_directory {
                command.arg("--directory").arg(directory(switch));
            }
            let output = command.output().expect("python3 is installed");
            let text = String::from_utf8_lossy(&output.stdout);
            assert!(text.contains("\"exact\""), "{text}{}", String::from_utf8_lossy(&output.stderr));
            let wrong: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("NO ")).collect();
            assert!(wrong.is_empty(), "{input}, directory: {with_directory}: {wrong:?}\n{text}");
        }
    }
}

#[test]
fn each_sip_call_belongs_to_a_channel_and_nothing_is_left() {
    let Some(shared) = shared() else { return };
    let folders = |switch: &str| shared.join("recordings").join(switch).read_dir().expect("the recordings");
    for entry in folders("asterisk").chain(folders("freeswitch")).flatten() {
        let folder = entry.path();
        let log = ["ami.log", "esl.log"].map(|log| folder.join(log)).into_iter().find(|log| log.exists());
        let Some(log) = log else { continue };
        let output = Command::new(env!("CARGO_BIN_EXE_hookswitch"))
            .arg("replay")
            .args([&log, &folder.join("hep.jsonl")])
            .arg("--summary")
            .output()
            .expect("the program starts");
        let summary: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let switch = if log.ends_with("ami.log") { "asterisk" } else { "freeswitch" };
        let told = &summary[switch];
        let joined = |key: &str| told[key].as_u64().expect("a count");
        assert_eq!(
            joined("sip_calls"),
            joined("joined_by_call_id") + joined("joined_by_numbers"),
            "{folder:?} {told}"
        );
        assert_eq!(told["disagreements"], 0, "{folder:?} {told}");
        assert_eq!(told["channels_left"], 0, "{folder:?} {told}");
        assert_eq!(summary["open_sessions"], 0, "{folder:?}");
    }
}

#[test]
fn a_directory_shows_who_is_inside_and_who_is_outside() {
    let Some(shared) = shared() else { return };
    for (product, call, outside, inside) in [
        ("asterisk", "answered-inbound-from-trunk", ("+14155550123", "Olivia Outside"), ("102", "Bob Brown")),
        ("freeswitch", "inbound-from-trunk", ("+442079460123", "Peter Public"), ("1002", "Jonas Klein")),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_hookswitch"))
            .arg("replay")
            .arg(shared.join("recordings").join(product).join(call).join("sip.pcap"))
            .arg("--directory")
            .arg(directory(product))
            .output()
            .expect("the program starts");
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
