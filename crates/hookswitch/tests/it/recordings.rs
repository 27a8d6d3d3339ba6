//! Recorded calls through real PBXs, where the machine has them beside the checkout.

use std::path::Path;
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

#[test]
fn ordinary_calls_through_real_pbxs_are_told_exactly() {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let score = shared.join("tools/score_recordings.py");
    if !score.exists() {
        eprintln!("skipped: there are no recordings beside the checkout");
        return;
    }
    for (product, calls) in ORDINARY {
        for input in ["sip.pcap", "hep.jsonl"] {
            let output = Command::new("python3")
                .arg(&score)
                .arg(shared.join("recordings").join(product))
                .arg(env!("CARGO_BIN_EXE_hookswitch"))
                .args(["--input", input])
                .output()
                .expect("python3 is installed");
            let text = String::from_utf8_lossy(&output.stdout);
            assert!(text.contains("\"exact\""), "{text}{}", String::from_utf8_lossy(&output.stderr));
            for call in calls {
                let wrong = text.lines().any(|line| line.trim() == format!("NO {call}"));
                assert!(!wrong, "{product} {call} from {input}\n{text}");
            }
        }
    }
}
