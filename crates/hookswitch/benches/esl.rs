//! What the events of a FreeSWITCH's event socket take, on one core: parsed alone, and parsed and applied up
//! to the events that are told.
//!
//! The calls are made up, in the form and length of a real switch's with only the events subscribed to that
//! count, as JSON. `make bench` runs it.

#![expect(clippy::cast_precision_loss, reason = "figures for people")]

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::{Duration, Instant};

use hookswitch_core::directory::Directory;
use hookswitch_core::engine::{Engine, Policy};
use hookswitch_model::{AccountId, ClockId, InputRef, Timestamp};
use hookswitch_signal::esl::{Follower, Frames, Message};
use hookswitch_signal::pairing::Pairing;

/// As in the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const RUNS: usize = 7;
const ACCOUNT: AccountId = AccountId::new(310_001_016);

/// Calls, of which so many are open at once.
const CALLS: usize = 1_000;
const OPEN: usize = 200;

/// Variables of a channel that say nothing here, so that an event is as long as a real one, some 6 KiB.
const VARIABLES: usize = 120;

/// Bytes that the connection brings at once.
const PIECE_BYTES: usize = 64 * 1024;

/// Events per second that are aimed at.
const AIM: f64 = 100_000.0;

fn main() {
    let stream = stream();
    let count = parse(&stream);
    println!("{count} events, {} bytes, {CALLS} calls, one core, median of {RUNS} runs", stream.len());
    let report = |name: &str, taken: Duration| {
        let rate = count as f64 / taken.as_secs_f64();
        println!("{name:28} {rate:10.0} events a second, {:4.1} times the aim", rate / AIM);
    };
    report("esl: parsed", time(|| parse(&stream)));
    let events = apply(&stream);
    println!("{events} events told");
    report("esl: parsed and applied", time(|| apply(&stream)));
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

/// What a FreeSWITCH says of many calls beside each other.
fn stream() -> Vec<u8> {
    let mut calls: Vec<Vec<String>> = (0..CALLS).map(call).collect();
    let mut open: Vec<std::vec::IntoIter<String>> = Vec::new();
    let (mut stream, mut sequence) = (Vec::new(), 0);
    while !calls.is_empty() || !open.is_empty() {
        while open.len() < OPEN
            && let Some(call) = calls.pop()
        {
            open.push(call.into_iter());
        }
        open.retain_mut(|call| {
            let Some(body) = call.next() else { return false };
            sequence += 1;
            let body = body.replacen('#', &sequence.to_string(), 1);
            let head = format!("Content-Length: {}\nContent-Type: text/event-json\n\n", body.len());
            stream.extend_from_slice(head.as_bytes());
            stream.extend_from_slice(body.as_bytes());
            true
        });
    }
    stream
}

/// The events of an answered call; `#` stands for the number of the event.
fn call(number: usize) -> Vec<String> {
    let (from, to) = (100 + (number * 2) % 900, 100 + (number * 2 + 1) % 900);
    let channel = |leg: usize| {
        let own = if leg == 0 { from } else { to };
        let mut text = String::new();
        for (key, value) in [
            ("Channel-Name", format!("sofia/internal/{own}@pbx.example.com")),
            ("Unique-ID", format!("{leg}{number:07}-0000-4000-8000-000000000000")),
            ("Call-Direction", if leg == 0 { "inbound" } else { "outbound" }.to_owned()),
            ("Channel-Presence-ID", format!("{own}@pbx.example.com")),
            ("Caller-Caller-ID-Number", from.to_string()),
            ("Caller-Caller-ID-Name", format!("Person {from}")),
            ("Caller-Destination-Number", to.to_string()),
            ("variable_sip_call_id", format!("call-{leg}-{number}")),
        ] {
            let _ = write!(text, ",\"{key}\":\"{value}\"");
        }
        if leg == 1 {
            let _ = write!(text, ",\"Other-Leg-Unique-ID\":\"0{number:07}-0000-4000-8000-000000000000\"");
        }
        for place in 0..VARIABLES {
            let _ = write!(text, ",\"variable_sip_recover_{place:03}\":\"<sip:{own}@192.0.2.7>\"");
        }
        text
    };
    let channels = [channel(0), channel(1)];
    let event = |name: &str, leg: usize, more: &str| {
        format!("{{\"Event-Name\":\"{name}\",\"Event-Sequence\":\"#\"{}{more}}}", channels[leg])
    };
    let bridge = format!(
        ",\"Bridge-A-Unique-ID\":\"0{number:07}-0000-4000-8000-000000000000\",\"Bridge-B-Unique-ID\":\"1{number:07}-0000-4000-8000-000000000000\""
    );
    let dial = ",\"Application\":\"bridge\",\"Application-Data\":\"user/102\"";
    let active = ",\"Channel-Call-State\":\"ACTIVE\"";
    let clears = ",\"Hangup-Cause\":\"NORMAL_CLEARING\",\"variable_sip_hangup_disposition\":\"recv_bye\"";
    vec![
        event("CHANNEL_CREATE", 0, ""),
        event("CHANNEL_CALLSTATE", 0, ",\"Channel-Call-State\":\"RINGING\""),
        event("CHANNEL_EXECUTE", 0, dial),
        event("CHANNEL_CREATE", 1, ""),
        event("CHANNEL_PROGRESS", 1, ""),
        event("CHANNEL_PROGRESS", 0, ""),
        event("CHANNEL_ANSWER", 1, ""),
        event("CHANNEL_CALLSTATE", 1, active),
        event("CHANNEL_ANSWER", 0, ""),
        event("CHANNEL_CALLSTATE", 0, active),
        event("CHANNEL_BRIDGE", 0, &bridge),
        event("CHANNEL_HANGUP", 0, clears),
        event("CHANNEL_HANGUP", 1, clears),
        event("CHANNEL_UNBRIDGE", 0, &bridge),
        event("CHANNEL_HANGUP_COMPLETE", 1, clears),
        event("CHANNEL_HANGUP_COMPLETE", 0, clears),
    ]
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
