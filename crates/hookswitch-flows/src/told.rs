//! Support for the tests of Asterisk and FreeSWITCH: what a switch tells goes through the product,
//! alone or beside its SIP.

pub mod properties;

use hookswitch_core::directory::Directory;
use hookswitch_core::engine::Policy;
use hookswitch_core::filter::Projection;
use hookswitch_core::notification::Subscriber;
use hookswitch_model::{ClockId, Event, ExtensionId, InputRef, SwitchLink, Timestamp};
use hookswitch_pipeline::{Pipeline, Switch, SwitchSource};
use hookswitch_signal::capture::Reader;
use hookswitch_signal::pairing::Counters;

use crate::ladder::{
    ACCOUNT, Ladder, Packet, START_MICROS, by_time, everything_ends, hold_together, lines, pipeline_of_sip,
    read_again, ready, send, side_by_side, written,
};

/// A message and when it came.
#[derive(Clone, Debug)]
pub struct StoryResult {
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

/// The number of the switch among the sources; that of its SIP is 0.
const SWITCH: u16 = 1;

fn pipeline(directory: Directory, switch: Switch) -> Pipeline {
    let mut pipeline = pipeline_of_sip(directory);
    let source = SwitchSource { switch, account: ACCOUNT, agents: Some("sip"), pairs_as: SWITCH };
    pipeline.sources_mut().add_switch(SWITCH, source);
    pipeline
}

/// Sends messages through the product, and checks what must hold whatever they are.
pub fn run(directory: &Directory, switch: Switch, told: &[StoryResult], save: bool) -> Vec<Event> {
    let mut pipeline = pipeline(directory.clone(), switch);
    let mut events = Vec::new();
    for (number, told) in (1..).zip(told) {
        tell(&mut pipeline, told, number);
        events.extend(ready(&mut pipeline));
        if save {
            pipeline = read_again(&pipeline);
            pipeline.set_rules(directory.clone(), Policy::default());
        }
    }
    pipeline.finish();
    events.extend(ready(&mut pipeline));
    let (counters, _) = pipeline.sources().switch_counters(SWITCH).expect("it was added");
    let sum = counters.applied + counters.passed_over + counters.repeated + counters.stray;
    assert_eq!(counters.messages, sum, "{counters:?}");
    hold_together(&events);
    // Every state has an end, here too.
    let mut ended = events.clone();
    for hours in 1..100 {
        let later = Timestamp::from_micros(START_MICROS + hours * 3_600_000_000);
        pipeline.handle_time(ClockId::default(), later);
        ended.extend(ready(&mut pipeline));
    }
    everything_ends(&mut pipeline, &ended);
    let sources = pipeline.sources();
    let left =
        (sources.switch_counters(SWITCH).map(|it| it.1), sources.pairing_counters(SWITCH).map(|it| it.1));
    assert_eq!(left, (Some(0), Some(0)), "channels, and SIP calls");
    events
}

fn tell(pipeline: &mut Pipeline, told: &StoryResult, number: u64) {
    let at = Timestamp::from_micros(told.at_micros);
    let input = InputRef { source: 0, number };
    pipeline.handle_switch(SWITCH, &told.message, at, input).expect("it was added");
}

/// Sends both through the product, in the order of time.
pub fn both(switch: Switch, told: &[StoryResult], sip: &Ladder) -> (Vec<Event>, Counters) {
    with_outages(switch, told, sip, &[])
}

/// The same, with a connection that is made and lost at some seconds. Time goes on for an hour after the last.
pub fn with_outages(
    switch: Switch,
    told: &[StoryResult],
    sip: &Ladder,
    links: &[(f64, SwitchLink)],
) -> (Vec<Event>, Counters) {
    enum Input<'a> {
        Link(SwitchLink),
        StoryResult(&'a StoryResult),
        Sip(&'a Packet),
    }
    let micros = |seconds: f64| START_MICROS + (seconds * 1e6).round() as i64;
    let mut inputs: Vec<(i64, Input<'_>)> =
        told.iter().map(|told| (told.at_micros, Input::StoryResult(told))).collect();
    inputs.extend(sip.packets.iter().map(|packet| (packet.at_micros, Input::Sip(packet))));
    inputs.extend(links.iter().map(|&(at, link)| (micros(at), Input::Link(link))));
    inputs.sort_by_key(|(at, _)| *at);
    let mut pipeline = pipeline(Directory::built_in(ACCOUNT), switch);
    let mut events = Vec::new();
    for (number, (at, input)) in (1..).zip(&inputs) {
        match input {
            Input::Link(link) => {
                let (at, input) = (Timestamp::from_micros(*at), InputRef { source: SWITCH, number });
                pipeline.handle_time(ClockId::default(), at);
                pipeline.handle_link(SWITCH, *link, at, input).expect("it was added");
            }
            Input::StoryResult(told) => tell(&mut pipeline, told, number),
            Input::Sip(packet) => send(&mut pipeline, packet, number),
        }
        events.extend(ready(&mut pipeline));
    }
    if let Some((last, _)) = inputs.last().filter(|_| !links.is_empty()) {
        pipeline.handle_time(ClockId::default(), Timestamp::from_micros(last + 3_600_000_000));
        events.extend(ready(&mut pipeline));
    }
    pipeline.finish();
    events.extend(ready(&mut pipeline));
    hold_together(&events);
    let (counters, _) = pipeline.sources().pairing_counters(SWITCH).expect("it was added");
    (events, counters)
}

/// Notifications of events, one a line, as `hookswitch replay` prints them.
pub fn as_notifications(events: &[Event]) -> String {
    let subscriber = Subscriber::of_replay(&[], ExtensionId::new(ACCOUNT.as_u64()));
    let mut lines = Vec::new();
    for event in events {
        subscriber.write(event, Projection::default(), event.at, &mut lines);
        lines.push(b'\n');
    }
    String::from_utf8(lines).expect("it is JSON")
}

/// Notifications of what a switch has told by a transcript, one a line, as `hookswitch replay` prints them.
pub fn notifications(directory: &Directory, switch: Switch, transcript: &[u8]) -> String {
    let mut pipeline = pipeline(directory.clone(), switch);
    let mut reader = Reader::new(transcript).expect("it is a transcript");
    let mut events = Vec::new();
    let mut number = 0;
    while reader.advance().expect("it can be read") {
        let captured = reader.current().expect("a message");
        number += 1;
        let input = InputRef { source: 0, number };
        pipeline.handle_switch(SWITCH, captured.payload, captured.time, input).expect("it was added");
        events.extend(ready(&mut pipeline));
    }
    pipeline.finish();
    events.extend(ready(&mut pipeline));
    as_notifications(&events)
}

#[track_caller]
pub fn assert_told(events: &[Event], expected: &str) {
    let expected = by_time(lines(expected).map(str::to_owned).collect());
    let told = by_time(written(events));
    assert!(told == expected, "\n{}", side_by_side(&expected, &told));
}
