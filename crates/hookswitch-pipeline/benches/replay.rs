//! A replay on one thread, from the bytes of a capture to the JSON of its notifications, for profilers.
//!
//! `scripts/count-instructions` runs it under callgrind: each stage is a function of its own that is not inlined,
//! so that what it takes stands by its name. Without an argument (`cargo bench`) it does nothing.

#![expect(clippy::disallowed_methods, clippy::disallowed_macros, reason = "it reads a file and prints")]

use std::hint::black_box;

use hookswitch_core::directory::Directory;
use hookswitch_core::engine::{Engine, Policy};
use hookswitch_core::filter::Projection;
use hookswitch_core::notification::Subscriber;
use hookswitch_model::{AccountId, ClockId, ExtensionId, InputRef, Signal};
use hookswitch_pipeline::{Clocks, Pipeline, Sources};
use hookswitch_signal::capture::{Captured, Reader};
use hookswitch_signal::sip::{Layout, Message, SipError};

/// As in the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ACCOUNT: AccountId = AccountId::new(310_001_016);

fn main() {
    let Some(path) = std::env::args().nth(1).filter(|argument| !argument.starts_with('-')) else { return };
    let capture = std::fs::read(&path).expect("the capture can be read");
    let mut pipeline = Pipeline::new(Directory::built_in(ACCOUNT), Policy::default(), Clocks::One);
    pipeline.sources_mut().add_agent(0, "captures", ACCOUNT);
    let (mut sources, mut engine) = pipeline.into_halves();
    let subscriber = Subscriber::of_replay(&[], ExtensionId::new(1));
    let (mut signals, mut json) = (Vec::new(), Vec::with_capacity(2048));
    let (mut messages, mut events, mut bytes) = (0_u64, 0_u64, 0_u64);

    let mut reader = Reader::new(&*capture).expect("a capture");
    while stage_packets(&mut reader) {
        let captured = reader.current().expect("there is one");
        messages += 1;
        let input = InputRef { source: 0, number: messages };
        let Ok(layout) = stage_layout(captured.payload) else { continue };
        stage_sip(&captured, &layout, input, &mut sources, &mut signals);
        stage_machine(&captured, &mut signals, &mut engine);
        while let Some(event) = engine.poll_event() {
            json.clear();
            stage_json(&subscriber, &event, &mut json);
            events += 1;
            bytes += json.len() as u64;
        }
    }
    println!("{messages} messages, {events} events, {bytes} bytes of JSON");
}

#[inline(never)]
fn stage_packets(reader: &mut Reader<&[u8]>) -> bool {
    reader.advance().expect("memory can be read")
}

#[inline(never)]
fn stage_layout(payload: &[u8]) -> Result<Layout, SipError> {
    Layout::of(payload)
}

/// Reads a message and follows its call.
#[inline(never)]
fn stage_sip(
    captured: &Captured<'_>,
    layout: &Layout,
    input: InputRef,
    sources: &mut Sources,
    signals: &mut Vec<Signal>,
) {
    let Ok(message) = Message::read(captured.payload, layout) else { return };
    sources.handle_message(0, &message, captured, captured.time, input, signals).expect("it was added");
}

#[inline(never)]
fn stage_machine(captured: &Captured<'_>, signals: &mut Vec<Signal>, engine: &mut Engine) {
    if signals.is_empty() {
        engine.handle_time(ClockId::default(), captured.time);
    }
    for signal in signals.drain(..) {
        engine.handle_signal(ClockId::default(), &signal);
    }
}

#[inline(never)]
fn stage_json(subscriber: &Subscriber, event: &hookswitch_model::Event, json: &mut Vec<u8>) {
    subscriber.write(event, Projection::default(), event.at, json);
    black_box(&*json);
}
