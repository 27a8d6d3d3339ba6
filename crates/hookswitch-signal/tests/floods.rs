//! Messages that are all commas, folds or quotes: the time they take grows with their length alone.
//!
//! In a process of its own, because it measures time.

#![expect(
    clippy::disallowed_types,
    clippy::disallowed_macros,
    reason = "the test measures time and prints it"
)]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use hookswitch_model::{AccountId, InputRef, Timestamp};
use hookswitch_signal::capture::{Captured, Transport};
use hookswitch_signal::sip::Message;
use hookswitch_signal::tracker::SipTracker;

#[path = "hostile/touch.rs"]
mod touch;

use touch::touch;

/// Messages of about `bytes` bytes that make one construct as frequent as it can be.
fn floods(bytes: usize) -> Vec<(&'static str, Vec<u8>)> {
    const HEAD: &str = "INVITE sip:b@x SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@x>;tag=1\r\n\
        To: <sip:b@x>\r\nCall-ID: flood\r\nCSeq: 1 INVITE\r\n";
    let rows = |start: &str, unit: &str, end: &str| {
        format!("{HEAD}{start}{}{end}\r\n\r\n", unit.repeat(bytes / unit.len())).into_bytes()
    };
    let body = |head: &str, unit: &str, end: &str| {
        format!("{HEAD}{head}\r\n\r\n{}{end}", unit.repeat(bytes / unit.len())).into_bytes()
    };
    vec![
        ("folds", rows("X: a", "\r\n ", "a")),
        ("folds in a name", rows("Contact: \"a", "\r\n ", "\" <sip:a@x>")),
        ("empty rows", rows("", "v:\r\n", "X: y")),
        ("rows of vias", rows("", "v: SIP/2.0/UDP h\r\n", "X: y")),
        ("a list of vias", rows("Via: SIP/2.0/UDP h", ",SIP/2.0/UDP h", "")),
        ("commas", rows("P-Asserted-Identity: ", ",", "")),
        ("open quotes", rows("P-Asserted-Identity: ", ",\"", "")),
        ("quotes", rows("Contact: ", "\"\"", "<sip:a@x>")),
        ("backslashes", rows("Contact: \"", "\\\\", "\" <sip:a@x>")),
        ("open brackets", rows("Diversion: ", "<,", "")),
        ("parameters", rows("Contact: <sip:a@x>", ";a", "")),
        ("semicolons", rows("Reason: SIP", ";", "")),
        ("uri parameters", rows("Contact: <sip:a@x", ";a", ">")),
        ("uri headers", rows("History-Info: <sip:a@x?a=b", "&%41", ">")),
        ("at signs", rows("P-Asserted-Identity: <sip:", "@", ">")),
        ("colons", rows("X", ":", "")),
        ("letters without a colon", rows("", "x", "")),
        ("line ends", {
            let mut bytes = "\r\n".repeat(bytes / 2).into_bytes();
            bytes.extend(HEAD.as_bytes());
            bytes.extend(b"\r\n");
            bytes
        }),
        ("media", body("Content-Type: application/sdp", "m=a 1 x\n", "")),
        ("attributes and media", {
            let media = "m=a 1 x\n".repeat(bytes / 16);
            body("Content-Type: application/sdp", "a=b\n", &media)
        }),
        ("parts", body("Content-Type: multipart/mixed;boundary=b", "--b\n", "")),
        (
            "parts in parts",
            body("Content-Type: multipart/mixed;boundary=b", "--b\nc:multipart/mixed;boundary=b\n\n", ""),
        ),
    ]
}

/// The longest datagram. A build for debugging takes less, so that a run is over before the machine turns
/// to other work; what only shows in long messages, `make robustness` finds.
const LENGTH_BYTES: usize = if cfg!(debug_assertions) { 2 << 10 } else { 64 << 10 };

/// Time that a message of that length may take, built for release.
const TIME_MAX: Duration = Duration::from_millis(2);

/// Ratio that twice the length may take, against once: twice the time, and what a measurement may be off. A
/// quadratic step takes four times; a build for debugging shows no less.
const DOUBLING_MAX: f64 = if cfg!(debug_assertions) { 3.2 } else { 2.3 };

/// Times below this are all the same: what every message takes.
const TIME_MIN: Duration = Duration::from_micros(20);

#[test]
fn time_grows_with_the_length_alone() {
    println!(
        "{:26} {:>10} {:>10} {:>10} {:>9}",
        format!("{} KiB of", LENGTH_BYTES >> 10),
        "tracked",
        "touched",
        "newlines",
        "doubling"
    );
    let mut worst = Duration::ZERO;
    for ((name, half), (_, whole)) in floods(LENGTH_BYTES / 2).into_iter().zip(floods(LENGTH_BYTES)) {
        let newlines = best_time(|| memchr::memchr_iter(b'\n', &whole).count());
        // The best times of half the length and of all of it; rounds let other work on the machine pass.
        let (mut tracked, mut touched) = ([Duration::MAX; 2], [Duration::MAX; 2]);
        let mut most = f64::MAX;
        for _round in 0..20 {
            for (at, bytes) in [&half, &whole].into_iter().enumerate() {
                tracked[at] = tracked[at].min(best_time(|| track(bytes)));
                touched[at] = touched[at].min(best_time(|| touch_all(bytes)));
            }
            let times = |[short, long]: [Duration; 2]| long.as_secs_f64() / short.max(TIME_MIN).as_secs_f64();
            most = times(tracked).max(times(touched));
            if most <= DOUBLING_MAX {
                break;
            }
        }
        let ([_, tracked], [_, touched]) = (tracked, touched);
        println!("{name:26} {tracked:>10.1?} {touched:>10.1?} {newlines:>10.1?} {most:>9.2}");
        assert!(most <= DOUBLING_MAX, "{name}: twice the length takes {most:.2} times as long");
        worst = worst.max(tracked);
    }
    println!("the slowest to track takes {worst:.1?}");
    assert!(cfg!(debug_assertions) || worst <= TIME_MAX, "{worst:?} for one message");
}

/// Reads and tracks a message, as every message is.
fn track(bytes: &[u8]) -> usize {
    let Ok(message) = Message::parse(bytes) else { return 0 };
    let mut tracker = SipTracker::new(AccountId::new(1), 0);
    let mut signals = Vec::new();
    let captured = Captured {
        time: Timestamp::from_micros(1),
        transport: Transport::Udp,
        src: SocketAddr::from(([192, 0, 2, 1], 5060)),
        dst: SocketAddr::from(([192, 0, 2, 2], 5060)),
        packet: 1,
        correlation: None,
        payload: bytes,
    };
    tracker.handle(&message, &captured, InputRef { source: 0, number: 1 }, &mut signals);
    // What the tracker asks of answers and ends.
    let stops = message.sdp().is_some_and(|sdp| sdp.origin().is_none() && sdp.is_held_by_offerer());
    signals.len() + usize::from(stops) + message.reasons().count()
}

/// Reads a message and asks it for everything, much of it several times.
fn touch_all(bytes: &[u8]) -> usize {
    Message::parse(bytes).map_or(0, |message| touch(&message))
}

#[expect(clippy::disallowed_methods, reason = "the test measures time")]
fn best_time(work: impl Fn() -> usize) -> Duration {
    (0..7)
        .map(|_| {
            let start = Instant::now();
            std::hint::black_box(work());
            start.elapsed()
        })
        .min()
        .unwrap_or_default()
}
