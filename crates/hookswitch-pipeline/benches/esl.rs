//! Cost of the events of a FreeSWITCH's event socket, on one core: parsed alone, and parsed and applied up
//! to the events that are told.
//!
//! The calls are made up, in the form and length of a real switch's with only the events subscribed to that
//! count, as JSON. `make bench` runs it.

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
use hookswitch_signal::esl::{Frames, Message};

use self::told::{interleaved, report};

/// As in the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const CALLS: usize = 1_000;

/// Variables of a channel that say nothing here, so that an event is as long as a real one, some 6 KiB.
const VARIABLES: usize = 120;

/// Events per second that are aimed at.
const AIM: f64 = 100_000.0;

fn main() {
    let mut sequence = 0;
    let stream = interleaved((0..CALLS).map(call).collect(), |body, stream| {
        sequence += 1;
        let body = body.replacen('#', &sequence.to_string(), 1);
        let head = format!("Content-Length: {}\nContent-Type: text/event-json\n\n", body.len());
        stream.extend_from_slice(head.as_bytes());
        stream.extend_from_slice(body.as_bytes());
    });
    report("esl", AIM, &stream, cut, |message| Message::new(message).counts(), Switch::Esl);
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
