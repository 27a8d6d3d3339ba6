//! Tests of events of one instant, on several channels, which may come in any order.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use hookswitch_flows::asterisk::asterisk;
use hookswitch_flows::ladder::written;

use super::calls::RINGS;
use super::targets::{AGENTS, GROUP};

/// An instant: what comes before it, the events in an order that was recorded, and what must come behind what: one
/// event names the place of another.
struct Instant {
    before: &'static str,
    events: &'static [&'static str],
    behind: &'static [(usize, usize)],
    after: &'static str,
    told: &'static [&'static str],
}

const CALL: &str = "9.000 HangupRequest a 16\n9.001 Hangup a 16\n9.002 Hangup b 16\n";

const INSTANTS: [Instant; 9] = [
    // The recording `caller-cancels`.
    Instant {
        before: RINGS,
        events: &["HangupRequest a 127 487", "DialEnd a>b CANCEL", "Hangup b 127 500", "Hangup a 127 487"],
        behind: &[(1, 0), (2, 0), (3, 0)],
        after: "",
        told: &["inb 102 Disconnected/Cancelled missed", "out 101 Disconnected"],
    },
    // `busy`.
    Instant {
        before: RINGS,
        events: &["DialEnd a>b BUSY", "Hangup b 17 486", "Hangup a 17 486"],
        behind: &[],
        after: "",
        told: &["inb 102 Disconnected/TargetBusy missed", "out 101 Disconnected/TargetBusy"],
    },
    // A phone that declines: `DialEnd` says NOANSWER.
    Instant {
        before: RINGS,
        events: &["DialEnd a>b NOANSWER", "Hangup b 21 603", "Hangup a 21 603"],
        behind: &[],
        after: "",
        told: &["inb 102 Disconnected/Rejected missed", "out 101 Disconnected/Rejected"],
    },
    // `no-answer-to-voicemail`, where the caller is hung up on.
    Instant {
        before: RINGS,
        events: &["DialEnd a>b NOANSWER", "Hangup b 0", "Hangup a 19"],
        behind: &[],
        after: "",
        told: &["inb 102 Disconnected/NoAnswer missed", "out 101 Disconnected/NoAnswer"],
    },
    // A carrier that fails.
    Instant {
        before: RINGS,
        events: &["DialEnd a>b CONGESTION", "Hangup b 34 503", "Hangup a 34 503"],
        behind: &[],
        after: "",
        told: &["inb 102 Disconnected/InternalError", "out 101 Disconnected/InternalError"],
    },
    // A carrier that does not know the number: `DialEnd` says NOANSWER.
    Instant {
        before: RINGS,
        events: &["DialEnd a>b NOANSWER", "Hangup b 1 404", "Hangup a 1 404"],
        behind: &[],
        after: "",
        told: &["inb 102 Disconnected/InvalidNumber", "out 101 Disconnected/InvalidNumber"],
    },
    // `ring-group`: one of two answers.
    Instant {
        before: GROUP,
        events: &["Newstate b 6", "DialEnd a>c CANCEL", "Hangup c 26", "DialEnd a>b ANSWER", "Newstate a 6"],
        behind: &[(1, 0), (2, 0), (3, 0), (4, 0)],
        after: CALL,
        told: &["inb 103 Disconnected", "inb 102 Disconnected", "out 101 Disconnected"],
    },
    // The caller of a group gives up, and all are told that another has answered.
    Instant {
        before: GROUP,
        events: &[
            "HangupRequest a 127 487",
            "DialEnd a>b CANCEL",
            "Hangup b 26",
            "DialEnd a>c CANCEL",
            "Hangup c 26",
            "Hangup a 127 487",
        ],
        behind: &[(1, 0), (2, 0), (3, 0), (4, 0), (5, 0)],
        after: "",
        told: &[
            "inb 102 Disconnected/Cancelled missed",
            "inb 103 Disconnected/Cancelled missed",
            "out 101 Disconnected",
        ],
    },
    // `queue-abandon-option-c`.
    Instant {
        before: AGENTS,
        events: &[
            "HangupRequest a",
            "DialEnd a>b CANCEL",
            "DialEnd a>c CANCEL",
            "QueueCallerLeave a",
            "Hangup c 26",
            "Hangup b 26",
            "Hangup a 0",
        ],
        behind: &[(1, 0), (2, 0), (3, 0), (4, 0), (5, 0), (6, 0), (6, 3)],
        after: "",
        told: &[
            "inb 102 Disconnected/Cancelled missed",
            "inb 103 Disconnected/Cancelled missed",
            "inb 620 Disconnected/Cancelled missed",
            "out 101 Disconnected",
        ],
    },
];

/// All orders of the numbers below a count.
fn orders(count: usize) -> Vec<Vec<usize>> {
    if count == 0 {
        return vec![Vec::new()];
    }
    let shorter = orders(count - 1);
    let longer = |order: &Vec<usize>, at: usize| {
        let mut order = order.clone();
        order.insert(at, count - 1);
        order
    };
    shorter.iter().flat_map(|order| (0..count).map(move |at| longer(order, at))).collect()
}

#[test]
fn any_order_of_the_events_of_an_instant_tells_the_same() {
    for (number, instant) in INSTANTS.iter().enumerate() {
        let expected: BTreeSet<String> = instant.told.iter().map(|line| (*line).to_owned()).collect();
        let place = |order: &[usize], event: usize| order.iter().position(|&other| other == event);
        let may_be = |order: &&Vec<usize>| {
            instant.behind.iter().all(|&(event, other)| place(order, event) > place(order, other))
        };
        let all = orders(instant.events.len());
        for order in all.iter().filter(may_be) {
            let mut events = String::new();
            for (at, &event) in order.iter().enumerate() {
                writeln!(events, "5.00{at} {}", instant.events[event]).expect("a text grows");
            }
            let story = asterisk(&[instant.before, &events, instant.after].concat());
            let ends: BTreeSet<String> = written(&story.events())
                .iter()
                .filter_map(|line| line.split_once(' ').map(|(_, what)| what.to_owned()))
                .filter(|what| what.contains("Disconnected"))
                .collect();
            assert_eq!(ends, expected, "instant {number} in the order\n{events}");
        }
    }
}
