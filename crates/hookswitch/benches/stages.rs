//! Cost of each stage of a replay, on one core, beside a count of newlines over the same bytes.
//!
//! `make bench` runs it on a generated capture. Each figure is the median of [`RUNS`] runs.

#![expect(clippy::cast_precision_loss, reason = "figures for people")]

use std::hint::black_box;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use hookswitch_core::directory::Directory;
use hookswitch_core::engine::Policy;
use hookswitch_core::filter::{EventFilter, FilterIndex, Own, Projection};
use hookswitch_core::notification::Subscriber;
use hookswitch_model::{AccountId, ClockId, Event, ExtensionId, InputRef, Signal, Timestamp};
use hookswitch_pipeline::{Clocks, Pipeline};
use hookswitch_signal::capture::{Captured, Reader};
use hookswitch_signal::sip::Message;

/// As in the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const RUNS: usize = 7;
const ACCOUNT: AccountId = AccountId::new(310_001_016);

/// Number of Call-IDs that the generated capture has.
const CALL_IDS: &str = "5000";

/// Calls that are open at once when memory is measured.
const OPEN_CALLS: usize = 200_000;

fn main() {
    let capture = capture();
    let messages = messages(&capture);
    let count = messages.len();
    println!("{count} messages, {} bytes, one core, median of {RUNS} runs", capture.len());

    let floor = time(|| memchr::memchr_iter(b'\n', &capture).count());
    let report = |name: &str, units: usize, unit: &str, taken: Duration| {
        let each = taken.as_nanos() as f64 / units as f64;
        let times = taken.as_secs_f64() / floor.as_secs_f64();
        println!("{name:28} {each:9.0} ns a {unit:12} {times:7.1} times the newlines");
    };
    report("newlines (memchr)", count, "message", floor);
    report("capture: packets", count, "message", time(|| read(&capture, |_| ())));

    let payloads: Vec<&[u8]> = messages.iter().map(|message| &*message.payload).collect();
    report(
        "sip: Message::parse",
        count,
        "message",
        time(|| payloads.iter().filter(|bytes| Message::parse(bytes).is_ok()).count()),
    );

    let parsed: Vec<Message<'_>> =
        payloads.iter().map(|bytes| Message::parse(bytes).expect("a message")).collect();
    report(
        "tracker: messages to signals",
        count,
        "message",
        time(|| {
            let mut count = 0;
            track(&messages, &parsed, |signals| count += signals.len());
            count
        }),
    );

    let mut signals: Vec<Signal> = Vec::new();
    track(&messages, &parsed, |some| signals.append(some));
    report(
        "machine: signals to events",
        signals.len(),
        "signal",
        time(|| {
            let mut count = 0;
            run(&signals, |_| count += 1);
            count
        }),
    );

    let mut events: Vec<Event> = Vec::new();
    run(&signals, |event| events.push(event));
    let subscriber = Subscriber::of_replay(&[], ExtensionId::new(1));
    let mut json = Vec::with_capacity(2048);
    report(
        "notification: JSON",
        events.len(),
        "event",
        time(|| {
            events
                .iter()
                .map(|event| {
                    json.clear();
                    subscriber.write(event, Projection::default(), event.at, &mut json);
                    json.len()
                })
                .sum::<usize>()
        }),
    );
    drop((parsed, signals));
    memory();
    filters(&events);
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

/// A message with its bytes.
struct Owned {
    meta: Captured<'static>,
    payload: Vec<u8>,
}

/// The generated capture, in memory.
fn capture() -> Vec<u8> {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench.pcap");
    let generator = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/generate-large-capture");
    let done =
        Command::new(generator).arg(&path).args(["--call-ids", CALL_IDS]).output().expect("python3 is there");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    std::fs::read(path).expect("the capture was written")
}

fn read(capture: &[u8], mut with: impl FnMut(&Captured<'_>)) -> usize {
    let mut reader = Reader::new(capture).expect("a capture");
    let mut count = 0;
    while reader.advance().expect("memory can be read") {
        with(&reader.current().expect("there is one"));
        count += 1;
    }
    count
}

fn messages(capture: &[u8]) -> Vec<Owned> {
    let mut messages = Vec::new();
    read(capture, |&Captured { time, transport, src, dst, packet, payload, .. }| {
        let meta = Captured { time, transport, src, dst, packet, correlation: None, payload: &[] };
        messages.push(Owned { meta, payload: payload.to_vec() });
    });
    messages
}

fn pipeline() -> Pipeline {
    let mut pipeline = Pipeline::new(Directory::built_in(ACCOUNT), Policy::default(), Clocks::One);
    pipeline.sources_mut().add_agent(0, "sip", ACCOUNT);
    pipeline
}

fn track(messages: &[Owned], parsed: &[Message<'_>], mut with: impl FnMut(&mut Vec<Signal>)) {
    let (mut sources, _) = pipeline().into_halves();
    let mut signals = Vec::new();
    for (number, (message, parsed)) in messages.iter().zip(parsed).enumerate() {
        let captured = Captured { payload: &message.payload, ..message.meta };
        let input = InputRef { source: 0, number: number as u64 + 1 };
        sources
            .handle_message(0, parsed, &captured, captured.time, input, &mut signals)
            .expect("it was added");
        with(&mut signals);
        signals.clear();
    }
}

fn run(signals: &[Signal], mut with: impl FnMut(Event)) {
    let (_, mut engine) = pipeline().into_halves();
    for signal in signals {
        engine.handle_signal(ClockId::default(), signal);
        while let Some(event) = engine.poll_event() {
            with(event);
        }
    }
    engine.finish();
    while let Some(event) = engine.poll_event() {
        with(event);
    }
}

/// Measures what it takes to find the subscriptions that hear of an event, among few and among many that do not.
fn filters(events: &[Event]) {
    let own = Own { account: ACCOUNT, extension: ExtensionId::new(1) };
    let filter = |text: &str| EventFilter::parse(text, own).expect("a filter");
    let mut first = None;
    for subscriptions in [1_u64, 1_000, 1_000_000] {
        let mut index = FilterIndex::new();
        for id in 0..subscriptions {
            // Each user hears of their own calls, and of a number of theirs.
            let extension = 2_000_000_000_000_000 + id;
            index.insert(
                id,
                &[
                    filter(&format!("/restapi/v1.0/account/~/extension/{extension}/telephony/sessions")),
                    filter(&format!("/restapi/v1.0/account/~/telephony/sessions?phoneNumber=%2B1999{id:07}")),
                ],
            );
        }
        let mut found = Vec::new();
        let taken = time(|| {
            events
                .iter()
                .map(|event| {
                    index.matches(event, None, &mut found);
                    found.len()
                })
                .sum::<usize>()
        });
        let nanos = taken.as_nanos() as f64 / events.len() as f64;
        let first = *first.get_or_insert(nanos);
        println!(
            "filters: {subscriptions:9} subscriptions {nanos:6.0} ns a event     {:8.2} times the first",
            nanos / first
        );
    }
}

/// Measures what an open call takes: the tracker's and the machine's part of it, as the process grows.
fn memory() {
    let mut pipeline = pipeline();
    let before = resident_bytes();
    for call in 0..OPEN_CALLS {
        let time = Timestamp::from_micros(1_700_000_000_000_000) + Duration::from_micros(call as u64 * 50);
        for (number, text) in answered(call).iter().enumerate() {
            let message = Message::parse(text.as_bytes()).expect("a message");
            let (phone, peer) =
                ("10.0.0.1:5060".parse().expect("an address"), "10.0.0.2:5060".parse().expect("an address"));
            let (src, dst) = if text.starts_with("SIP") { (peer, phone) } else { (phone, peer) };
            let transport = hookswitch_signal::capture::Transport::Udp;
            let captured = Captured {
                time,
                transport,
                src,
                dst,
                packet: 0,
                correlation: None,
                payload: text.as_bytes(),
            };
            let input = InputRef { source: 0, number: (call * 3 + number) as u64 };
            pipeline.handle_message(0, &message, &captured, time, input).expect("it was added");
        }
        while pipeline.poll_event().is_some() {}
    }
    assert_eq!(pipeline.open_sessions(), OPEN_CALLS);
    let grown = resident_bytes().saturating_sub(before);
    println!("memory of an open call       {:9} bytes ({OPEN_CALLS} open)", grown / OPEN_CALLS as u64);
}

/// The messages of a call that is answered: INVITE, 180 and 200, between two phones.
fn answered(call: usize) -> [String; 3] {
    let (caller, callee) = (1000 + call % 9000, 1000 + (call * 7) % 9000);
    let ids = format!(
        "Via: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK{call:010}\r\nFrom: \"Caller {caller}\" <sip:{caller}@pbx.example>;tag=f{call}\r\nCall-ID: {call:020}@10.0.0.1\r\nCSeq: 1 INVITE\r\n"
    );
    let response = |status: &str| {
        format!(
            "SIP/2.0 {status}\r\n{ids}To: <sip:{callee}@pbx.example>;tag=t{call}\r\nContent-Length: 0\r\n\r\n"
        )
    };
    [
        format!(
            "INVITE sip:{callee}@10.0.0.2 SIP/2.0\r\n{ids}To: <sip:{callee}@pbx.example>\r\nContent-Length: 0\r\n\r\n"
        ),
        response("180 Ringing"),
        response("200 OK"),
    ]
}

/// Returns how much memory the process holds (Linux).
fn resident_bytes() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    pages.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4096
}
