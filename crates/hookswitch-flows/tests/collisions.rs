//! Call-IDs that were chosen to fall into one place of a table: finding a call takes as long as ever.
//!
//! In a process of its own, because it measures time.

use std::time::{Duration, Instant};

use hookswitch_core::directory::Directory;
use hookswitch_flows::ladder::{ACCOUNT, pipeline_of_sip, send_captured};
use hookswitch_model::Timestamp;
use hookswitch_pipeline::Pipeline;
use hookswitch_signal::capture::{Captured, Transport};

/// Number of calls that are looked up when time is measured.
const LOOKED_UP: usize = 500;

/// Allowance for measuring on a machine that does other things.
const TIMES_MAX: f64 = 2.0;

/// The hash of Java's strings and of many C programs: unkeyed, so that anybody can find what collides.
fn times_31(text: &str) -> u32 {
    text.bytes().fold(0, |hash: u32, byte| hash.wrapping_mul(31).wrapping_add(u32::from(byte)))
}

/// A Call-ID that has the same hash for every number.
fn colliding(number: usize) -> String {
    // "Aa" and "BB" have the same hash, and so has everything made of them.
    (0..20).map(|bit| if number >> bit & 1 == 0 { "Aa" } else { "BB" }).collect()
}

/// A Call-ID of the same length that nobody chose.
fn ordinary(number: usize) -> String {
    let spread = (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    format!("{spread:016x}{number:024}")
}

/// The product with so many calls in it, each with a Call-ID of its own.
struct Calls {
    pipeline: Pipeline,
    name: fn(usize) -> String,
    count: usize,
}

impl Calls {
    fn open(name: fn(usize) -> String, count: usize) -> Self {
        let pipeline = pipeline_of_sip(Directory::built_in(ACCOUNT));
        let mut calls = Self { pipeline, name, count };
        for number in 0..count {
            calls.take(&calls.message("INVITE sip:102@10.0.0.2 SIP/2.0", number));
        }
        let open = (calls.pipeline.sources().sip_calls(0), calls.pipeline.open_sessions());
        assert_eq!(open, (count, count));
        calls
    }

    fn message(&self, start: &str, number: usize) -> String {
        let call_id = (self.name)(number);
        // Other numbers than those of the calls before, so that nothing is joined.
        format!(
            "{start}\r\nVia: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK{number}\r\nFrom: <sip:4{number:07}@x>;tag=1\r\n\
             To: <sip:3{number:07}@x>;tag=\r\nCall-ID: {call_id}\r\nCSeq: 1 INVITE\r\n\r\n"
        )
        .replace(";tag=\r\n", if start.starts_with("SIP") { ";tag=2\r\n" } else { "\r\n" })
    }

    fn take(&mut self, text: &str) {
        let captured = Captured {
            time: Timestamp::from_micros(1_700_000_000_000_000),
            transport: Transport::Udp,
            src: ([10, 0, 0, 1], 5060).into(),
            dst: ([10, 0, 0, 2], 5060).into(),
            packet: 1,
            correlation: None,
            payload: text.as_bytes(),
        };
        send_captured(&mut self.pipeline, &captured, 1);
        while self.pipeline.poll_event().is_some() {}
    }

    /// Returns how long it takes to find calls and to tell that they ring; each may be asked once.
    #[expect(clippy::disallowed_methods, reason = "the test measures time")]
    fn look_up(&mut self, round: usize) -> Duration {
        let step = self.count / LOOKED_UP;
        let texts: Vec<String> = (0..LOOKED_UP)
            .map(|number| self.message("SIP/2.0 180 Ringing", number * step + round % step))
            .collect();
        let before = self.pipeline.sources().tracker_counters(0).in_call;
        let start = Instant::now();
        for text in &texts {
            self.take(text);
        }
        let taken = start.elapsed();
        assert_eq!(self.pipeline.sources().tracker_counters(0).in_call - before, LOOKED_UP as u64);
        taken
    }
}

#[test]
fn call_ids_that_collide_are_found_as_fast_as_others() {
    let full = std::env::var_os("HOOKSWITCH_TEST_SIZE").is_some_and(|size| size == "full");
    let count = if full { 1_000_000 } else { 20_000 };
    assert!((0..count).all(|number| times_31(&colliding(number)) == times_31(&colliding(0))));
    let mut calls = [Calls::open(colliding, count), Calls::open(ordinary, count)];
    let mut best = [Duration::MAX; 2];
    let rounds = count / LOOKED_UP;
    for round in 0..rounds.min(200) {
        for (best, calls) in best.iter_mut().zip(&mut calls) {
            *best = (*best).min(calls.look_up(round));
        }
    }
    let [ordinary, colliding] = best.map(|taken| taken.as_nanos() / LOOKED_UP as u128);
    let times = best[1].as_secs_f64() / best[0].as_secs_f64();
    println!(
        "{count} calls: {ordinary} ns to find one, {colliding} ns where all Call-IDs collide ({times:.2} times)"
    );
    assert!(times <= TIMES_MAX, "{times:.2} times as long");
}

#[test]
fn one_call_id_for_everything_is_followed_a_few_times() {
    let mut calls = Calls::open(ordinary, 1);
    for number in 0..20_000 {
        let text =
            calls.message("INVITE sip:102@10.0.0.2 SIP/2.0", 0).replace("tag=1", &format!("tag=x{number}"));
        calls.take(&text);
    }
    let counters = calls.pipeline.sources().tracker_counters(0);
    assert_eq!(counters.messages, 20_001);
    assert_eq!((calls.pipeline.sources().sip_calls(0) as u64, counters.refused), (16, 20_001 - 16));
}
