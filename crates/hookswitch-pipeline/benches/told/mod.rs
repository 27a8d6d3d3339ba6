//! Support for the benchmarks of switches: events of many calls beside each other, parsed alone, and
//! parsed and applied up to the events that are told.

use std::hint::black_box;
use std::time::{Duration, Instant};

use hookswitch_core::directory::Directory;
use hookswitch_core::engine::Policy;
use hookswitch_model::{AccountId, InputRef, Timestamp};
use hookswitch_pipeline::{Clocks, Pipeline, Switch, SwitchSource};

const RUNS: usize = 7;
const ACCOUNT: AccountId = AccountId::new(310_001_016);
const SWITCH: u16 = 1;

/// Calls that are open at once.
const OPEN: usize = 200;

/// Bytes that the connection brings at once.
const PIECE_BYTES: usize = 64 * 1024;

/// Gives the messages of a connection that brings some bytes at a time to a function, and counts them.
pub(crate) type Cut = fn(&mut dyn Iterator<Item = &[u8]>, &mut dyn FnMut(&[u8])) -> usize;

/// Prints how many events a second are parsed, and parsed and applied; `counts` looks at a message as a
/// connection does before it hands it on.
pub(crate) fn report(
    name: &str,
    aim: f64,
    stream: &[u8],
    cut: Cut,
    counts: fn(&[u8]) -> bool,
    switch: Switch,
) {
    let pieces = || stream.chunks(PIECE_BYTES);
    if std::env::args().any(|argument| argument == "--once") {
        // For profilers.
        println!("{} events told", apply(switch, |take| cut(&mut pieces(), take)));
        return;
    }
    let parse = || {
        cut(&mut pieces(), &mut |message| {
            black_box(counts(message));
        })
    };
    let count = parse();
    println!("{count} events, {} bytes, one core, median of {RUNS} runs", stream.len());
    let print = |what: &str, taken: Duration| {
        let rate = count as f64 / taken.as_secs_f64();
        println!("{name}: {what:22} {rate:10.0} events a second, {:4.1} times the aim", rate / aim);
    };
    print("parsed", time(parse));
    let apply = || apply(switch, |take| cut(&mut pieces(), take));
    println!("{} events told", apply());
    print("parsed and applied", time(apply));
}

/// The whole way, up to the events that are told.
fn apply(switch: Switch, messages: impl FnOnce(&mut dyn FnMut(&[u8])) -> usize) -> usize {
    let mut pipeline = Pipeline::new(Directory::built_in(ACCOUNT), Policy::default(), Clocks::One);
    let source = SwitchSource { switch, account: ACCOUNT, agents: None, pairs_as: SWITCH };
    pipeline.sources_mut().add_switch(SWITCH, source);
    let (mut number, mut told) = (0_i64, 0);
    messages(&mut |message| {
        number += 1;
        let at = Timestamp::from_micros(1_700_000_000_000_000 + number * 1000);
        let input = InputRef { source: 0, number: number.unsigned_abs() };
        pipeline.handle_switch(SWITCH, message, at, input).expect("it was added");
        while pipeline.poll_event().is_some() {
            told += 1;
        }
    });
    let channels = pipeline.sources().switch_counters(SWITCH).map(|(_, channels)| channels);
    assert_eq!((channels, pipeline.open_sessions()), (Some(0), 0), "all calls have ended");
    told
}

/// Returns what a switch says of calls beside each other; `write` puts a message into the stream.
pub(crate) fn interleaved(mut calls: Vec<Vec<String>>, mut write: impl FnMut(&str, &mut Vec<u8>)) -> Vec<u8> {
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
            write(&message, &mut stream);
            true
        });
    }
    stream
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
