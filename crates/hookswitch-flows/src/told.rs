//! What the tests of Asterisk and FreeSWITCH have in common: what a switch tells goes through the product,
//! alone or beside its SIP.

pub mod properties;

use hookswitch_core::directory::Directory;
use hookswitch_core::engine::{Engine, Policy};
use hookswitch_model::{ClockId, Event, InputRef, Timestamp};
use hookswitch_signal::capture::{Captured, Transport};
use hookswitch_signal::pairing::{Counters, Pairing};
use hookswitch_signal::sip::Message;
use hookswitch_signal::switch::Follower;
use hookswitch_signal::tracker::Tracker;

use crate::ladder::{
    ACCOUNT, Ladder, START_MICROS, by_time, everything_ends, hold_together, lines, read_again, side_by_side,
    written,
};

/// A message and when it came.
#[derive(Clone, Debug)]
pub struct Told {
    pub at_micros: i64,
    pub message: Vec<u8>,
}

/// The SIP of a call of 101 to 102, who rings after 20 ms, answers after a second and talks for four.
pub const SIP: &str = "
    -0.020 alice > pbx INVITE 102
    -0.015 pbx > alice 401
    -0.014 alice > pbx ACK
    -0.010 alice > pbx INVITE 102
    0.005 pbx > bob INVITE 102@bob call=2 from=101 name=Alice
    0.019 bob > pbx 180 call=2
    0.021 pbx > alice 180
    0.999 bob > pbx 200 call=2
    1.000 pbx > bob ACK call=2
    1.001 pbx > alice 200
    1.002 alice > pbx ACK
    4.999 alice > pbx BYE
    5.000 pbx > alice 200
    5.001 pbx > bob BYE call=2
    5.002 bob > pbx 200 call=2
";

/// A text as it would be told of other people: 101 is 201, slot 701 is 711 and so on.
pub fn in_world(text: &str, world: u8) -> String {
    if world == 0 {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    let mut digits = String::new();
    for char in text.chars().chain(['\n']) {
        if char.is_ascii_digit() {
            digits.push(char);
            continue;
        }
        let moved = match digits.as_bytes() {
            [b'1', b'0', last @ b'1'..=b'9'] => format!("{}0{}", 1 + world, char::from(*last)),
            [first @ b'6'..=b'8', middle @ b'0'..=b'2', last] => {
                format!("{}{}{}", char::from(*first), char::from(*middle + 3 * world), char::from(*last))
            }
            _ => digits.clone(),
        };
        out.push_str(&moved);
        digits.clear();
        out.push(char);
    }
    out.pop();
    out
}

/// Sends messages through the product, and checks what must hold whatever they are.
pub fn run(directory: &Directory, mut follower: Follower, told: &[Told], save: bool) -> Vec<Event> {
    let clock = ClockId::default();
    let mut pairing = Pairing::default();
    let mut engine = Engine::new(directory.clone(), Policy::default());
    let (mut raw, mut signals, mut events) = (Vec::new(), Vec::new(), Vec::new());
    for (number, told) in told.iter().enumerate() {
        let at = Timestamp::from_micros(told.at_micros);
        let input = InputRef { source: 0, number: number as u64 + 1 };
        follower.handle(&told.message, at, input, &mut raw);
        pairing.handle_switch(raw.drain(..), &mut signals);
        for signal in signals.drain(..) {
            engine.handle_signal(clock, &signal);
        }
        engine.handle_time(clock, at);
        events.extend(std::iter::from_fn(|| engine.poll_event()));
        if save {
            follower = read_again(&follower);
            pairing = read_again(&pairing);
            engine = read_again(&engine);
            engine.set_rules(directory.clone(), Policy::default());
        }
    }
    follower.finish(&mut raw);
    pairing.handle_switch(raw.drain(..), &mut signals);
    pairing.finish(&mut signals);
    for signal in signals.drain(..) {
        engine.handle_signal(clock, &signal);
    }
    engine.finish();
    events.extend(std::iter::from_fn(|| engine.poll_event()));
    let counters = follower.counters();
    let sum = counters.applied + counters.passed_over + counters.repeated + counters.stray;
    assert_eq!(counters.messages, sum, "{counters:?}");
    hold_together(&events);
    everything_ends(&mut engine, &events);
    // Every state has an end, here too.
    for hours in 1..100 {
        let later = Timestamp::from_micros(START_MICROS + hours * 3_600_000_000);
        follower.handle_time(later, &mut raw);
        pairing.handle_time(later, &mut raw);
    }
    assert_eq!((follower.channels(), pairing.calls()), (0, 0));
    assert_eq!((follower.poll_timeout(), pairing.poll_timeout()), (None, None));
    events
}

/// Sends both through the product, in the order of time.
pub fn both(mut follower: Follower, told: &[Told], sip: &Ladder) -> (Vec<Event>, Counters) {
    enum Input<'a> {
        Told(&'a Told),
        Sip(usize),
    }
    let clock = ClockId::default();
    let mut inputs: Vec<(i64, Input<'_>)> =
        told.iter().map(|told| (told.at_micros, Input::Told(told))).collect();
    inputs
        .extend(sip.packets.iter().enumerate().map(|(place, packet)| (packet.at_micros, Input::Sip(place))));
    inputs.sort_by_key(|(at, _)| *at);
    let mut tracker = Tracker::new(ACCOUNT, 0);
    let mut pairing = Pairing::default();
    let mut engine = Engine::new(Directory::built_in(ACCOUNT), Policy::default());
    let (mut raw, mut signals, mut events) = (Vec::new(), Vec::new(), Vec::new());
    for (number, (at, input)) in inputs.iter().enumerate() {
        let at = Timestamp::from_micros(*at);
        let reference = InputRef { source: 0, number: number as u64 + 1 };
        match input {
            Input::Told(told) => {
                follower.handle(&told.message, at, reference, &mut raw);
                pairing.handle_switch(raw.drain(..), &mut signals);
            }
            Input::Sip(place) => {
                follower.handle_time(at, &mut raw);
                pairing.handle_switch(raw.drain(..), &mut signals);
                let packet = &sip.packets[*place];
                let message = Message::parse(&packet.payload).expect("SIP");
                let captured = Captured {
                    time: at,
                    transport: Transport::Udp,
                    src: packet.src,
                    dst: packet.dst,
                    packet: number as u64 + 1,
                    correlation: None,
                    payload: &packet.payload,
                };
                tracker.handle(&message, &captured, reference, &mut raw);
                pairing.handle_sip(raw.drain(..), at, &mut signals);
            }
        }
        pairing.handle_time(at, &mut signals);
        for signal in signals.drain(..) {
            engine.handle_signal(clock, &signal);
        }
        engine.handle_time(clock, at);
        events.extend(std::iter::from_fn(|| engine.poll_event()));
    }
    follower.finish(&mut raw);
    pairing.handle_switch(raw.drain(..), &mut signals);
    pairing.finish(&mut signals);
    for signal in signals.drain(..) {
        engine.handle_signal(clock, &signal);
    }
    engine.finish();
    events.extend(std::iter::from_fn(|| engine.poll_event()));
    hold_together(&events);
    (events, pairing.counters())
}

#[track_caller]
pub fn assert_told(events: &[Event], expected: &str) {
    let expected = by_time(lines(expected).map(str::to_owned).collect());
    let told = by_time(written(events));
    assert!(told == expected, "\n{}", side_by_side(&expected, &told));
}
