//! Cost of the events of an Asterisk's manager, on one core: parsed alone, and parsed and applied up to
//! the events that are told.
//!
//! The calls are made up, in the proportions of a real PBX: of ten events one or two say something of a
//! call, and the rest are variables, RTCP reports and device states. `make bench` runs it.

#![expect(clippy::cast_precision_loss, reason = "figures for people")]
#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "a bench reads the clock and prints"
)]

mod told;

use std::fmt::Write as _;

use hookswitch_pipeline::Switch;
use hookswitch_signal::ami::{Frames, Message};

use self::told::{interleaved, report};

/// As in the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const CALLS: usize = 2_000;

/// Events per second that are aimed at.
const AIM: f64 = 200_000.0;

fn main() {
    let calls = (0..CALLS).map(call).collect();
    let stream = interleaved(calls, |message, stream| stream.extend_from_slice(message.as_bytes()));
    report("ami", AIM, &stream, cut, |message| Message::new(message).counts(), Switch::Ami);
}

fn cut(pieces: &mut dyn Iterator<Item = &[u8]>, take: &mut dyn FnMut(&[u8])) -> usize {
    let (mut frames, mut count) = (Frames::default(), 0);
    for piece in pieces {
        frames.push(piece);
        while let Some(message) = frames.next_message() {
            take(message);
            count += 1;
        }
    }
    count
}

/// The events of an answered call, as an Asterisk 22 writes them with all classes on.
fn call(number: usize) -> Vec<String> {
    let mut messages = Vec::new();
    let channel = |prefix: &str, leg: usize, state: u8| {
        let mut text = String::new();
        let extension = 100 + (number * 2 + leg) % 900;
        for (key, value) in [
            ("Channel", format!("PJSIP/{extension}-{:08x}", number * 2 + leg)),
            ("ChannelState", state.to_string()),
            ("ChannelStateDesc", "Up".to_owned()),
            ("CallerIDNum", extension.to_string()),
            ("CallerIDName", format!("Person {extension}")),
            ("ConnectedLineNum", "<unknown>".to_owned()),
            ("ConnectedLineName", "<unknown>".to_owned()),
            ("Language", "en".to_owned()),
            ("AccountCode", String::new()),
            ("Context", "internal".to_owned()),
            ("Exten", (100 + (number * 2 + 1) % 900).to_string()),
            ("Priority", "3".to_owned()),
            ("Uniqueid", format!("1700000000.{}", number * 2 + leg)),
            ("Linkedid", format!("1700000000.{}", number * 2)),
        ] {
            let _ = write!(text, "{prefix}{key}: {value}\r\n");
        }
        text
    };
    let mut event = |name: &str, fields: &[&str]| {
        messages.push(format!(
            "Event: {name}\r\nPrivilege: call,all\r\nTimestamp: 1700000000.123456\r\n{}\r\n",
            fields.concat()
        ));
    };
    let (ring, caller, down, rings, target) =
        (channel("", 0, 4), channel("", 0, 6), channel("Dest", 1, 0), channel("", 1, 5), channel("", 1, 6));
    let noise = |event: &mut dyn FnMut(&str, &[&str]), count: usize| {
        for place in 0..count {
            match place % 4 {
                0 | 1 => event("VarSet", &[&caller, "Variable: DIALEDTIME_MS\r\nValue: 3047\r\n"]),
                2 => event("RTCPReceived", &[&caller, "RTT: 0.0000\r\nMES: 88.1\r\nReportCount: 1\r\n"]),
                _ => event("DeviceStateChange", &["Device: PJSIP/102\r\nState: INUSE\r\n"]),
            }
        }
    };
    event("Newchannel", &[&ring]);
    event("Newexten", &[&ring, "Extension: 102\r\nApplication: Dial\r\nAppData: PJSIP/102,15,tT\r\n"]);
    noise(&mut event, 12);
    event("Newchannel", &[&channel("", 1, 0)]);
    event("DialBegin", &[&ring, &down, "DialString: 102\r\n"]);
    event("Newstate", &[&rings]);
    event("DialState", &[&ring, &down, "DialStatus: RINGING\r\n"]);
    noise(&mut event, 8);
    event("Newstate", &[&target]);
    event("DialEnd", &[&ring, &down, "DialStatus: ANSWER\r\n"]);
    event("Newstate", &[&caller]);
    let bridge = format!("BridgeUniqueid: b-{number}\r\nBridgeType: basic\r\nBridgeNumChannels: 2\r\n");
    event("BridgeEnter", &[&bridge, &target]);
    event("BridgeEnter", &[&bridge, &caller]);
    noise(&mut event, 24);
    event("HangupRequest", &[&caller, "Cause: 16\r\n"]);
    event("BridgeLeave", &[&bridge, &caller]);
    event("BridgeLeave", &[&bridge, &target]);
    noise(&mut event, 16);
    event("Hangup", &[&target, "Cause: 16\r\nCause-txt: Normal Clearing\r\n"]);
    event("Hangup", &[&caller, "Cause: 16\r\nCause-txt: Normal Clearing\r\n"]);
    messages
}
