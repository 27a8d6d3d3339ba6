//! What the events of an Asterisk's manager take, on one core: parsed alone, and parsed and applied up to
//! the events that are told.
//!
//! The calls are made up, in the proportions of a real PBX: of ten events one or two say something of a
//! call, and the rest are variables, RTCP reports and device states. `make bench` runs it.

#![expect(clippy::cast_precision_loss, reason = "figures for people")]

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::{Duration, Instant};

use hookswitch_core::directory::Directory;
use hookswitch_core::engine::{Engine, Policy};
use hookswitch_model::{AccountId, ClockId, InputRef, Timestamp};
use hookswitch_signal::ami::{Follower, Frames, Message};
use hookswitch_signal::pairing::Pairing;

/// As in the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const RUNS: usize = 7;
const ACCOUNT: AccountId = AccountId::new(310_001_016);

/// Calls, of which so many are open at once.
const CALLS: usize = 2_000;
const OPEN: usize = 200;

/// Bytes that the connection brings at once.
const PIECE_BYTES: usize = 64 * 1024;

/// Events per second that are aimed at.
const AIM: f64 = 200_000.0;

fn main() {
    let stream = stream();
    let count = parse(&stream);
    println!("{count} events, {} bytes, {CALLS} calls, one core, median of {RUNS} runs", stream.len());
    let report = |name: &str, taken: Duration| {
        let rate = count as f64 / taken.as_secs_f64();
        println!("{name:28} {rate:10.0} events a second, {:4.1} times the aim", rate / AIM);
    };
    report("ami: parsed", time(|| parse(&stream)));
    let events = apply(&stream);
    println!("{events} events told");
    report("ami: parsed and applied", time(|| apply(&stream)));
}

/// Cuts and looks at all messages, as a connection does before it hands them on.
fn parse(stream: &[u8]) -> usize {
    let mut frames = Frames::default();
    let mut count = 0;
    for piece in stream.chunks(PIECE_BYTES) {
        frames.push(piece);
        while let Some(message) = frames.next_message() {
            black_box(Message::new(message).counts());
            count += 1;
        }
    }
    count
}

/// The whole way, up to the events that are told.
fn apply(stream: &[u8]) -> usize {
    let (mut frames, mut follower) = (Frames::default(), Follower::new(ACCOUNT, 1));
    let (mut pairing, mut raw, mut signals) = (Pairing::default(), Vec::new(), Vec::new());
    let mut engine = Engine::new(Directory::built_in(ACCOUNT), Policy::default());
    let clock = ClockId::default();
    let (mut number, mut told) = (0, 0);
    for piece in stream.chunks(PIECE_BYTES) {
        frames.push(piece);
        while let Some(message) = frames.next_message() {
            number += 1;
            let at = Timestamp::from_micros(1_700_000_000_000_000 + number * 1000);
            let input = InputRef { source: 0, number: number.unsigned_abs() };
            follower.handle(message, at, input, &mut raw);
            pairing.handle_switch(raw.drain(..), &mut signals);
            for signal in signals.drain(..) {
                engine.handle_signal(clock, &signal);
            }
            engine.handle_time(clock, at);
            while engine.poll_event().is_some() {
                told += 1;
            }
        }
    }
    assert_eq!((follower.channels(), engine.open_sessions()), (0, 0), "all calls have ended");
    told
}

/// What an Asterisk says of many calls beside each other.
fn stream() -> Vec<u8> {
    let mut calls: Vec<Vec<String>> = (0..CALLS).map(call).collect();
    let mut open: Vec<std::vec::IntoIter<String>> = Vec::new();
    let mut stream = Vec::new();
    while !calls.is_empty() || !open.is_empty() {
        while open.len() < OPEN
            && let Some(call) = calls.pop()
        {
            open.push(call.into_iter());
        }
        open.retain_mut(|call| {
            let Some(message) = call.next() else { return false };
            stream.extend_from_slice(message.as_bytes());
            true
        });
    }
    stream
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

/// The median time of a piece of work.
fn time<T>(mut work: impl FnMut() -> T) -> Duration {
    let mut taken: Vec<Duration> = (0..RUNS)
        .map(|_| {
            #[expect(clippy::disallowed_methods, reason = "a bench reads the clock")]
            let start = Instant::now();
            black_box(work());
            start.elapsed()
        })
        .collect();
    taken.sort_unstable();
    taken[RUNS / 2]
}
