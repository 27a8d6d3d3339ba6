//! Support for the fuzz targets: a capture goes through the whole product, and what must hold
//! for every input is checked.

#[path = "../crates/hookswitch-signal/tests/hostile/reference.rs"]
pub mod reference;

use std::collections::HashMap;
use std::time::Duration;

use hookswitch_core::directory::Directory;
use hookswitch_core::engine::Policy;
use hookswitch_model::{AccountId, ClockId, InputRef, TelephonySessionId, Timestamp};
use hookswitch_pipeline::{Clocks, Pipeline, Switch, SwitchSource};
use hookswitch_signal::capture::Reader;
use hookswitch_signal::sip::Message;
use hookswitch_signal::tracker::REPEAT_MAX;
use hookswitch_signal::{ami, esl};

/// Account of the calls that are told of.
const ACCOUNT: AccountId = AccountId::new(310_001_016);

/// The sources: who sends SIP messages, and a switch that tells of its calls itself.
const SIP: u16 = 0;
const SWITCH: u16 = 1;

fn pipeline() -> Pipeline {
    let mut pipeline = Pipeline::new(Directory::built_in(ACCOUNT), Policy::default(), Clocks::One);
    pipeline.sources_mut().add_agent(SIP, "sip", ACCOUNT);
    pipeline
}

/// A capture has one clock.
const CLOCK: ClockId = ClockId(0);

/// Reads a capture to its end and gives its messages; the calls in them are tracked and told.
pub fn replay(capture: &[u8]) -> Vec<Vec<u8>> {
    let mut messages = Vec::new();
    let Ok(mut reader) = Reader::new(capture) else { return messages };
    let mut pipeline = pipeline();
    let mut told = Sequences::default();
    let mut last = Timestamp::default();
    while reader.advance().expect("memory can be read") {
        let captured = reader.current().expect("there is one");
        messages.push(captured.payload.to_vec());
        let Ok(message) = Message::parse(captured.payload) else { continue };
        let input = InputRef { source: 0, number: messages.len() as u64 };
        last = last.max(captured.time);
        pipeline.handle_message(SIP, &message, &captured, captured.time, input).expect("it was added");
        told.take(&mut pipeline, last);
    }
    assert_eq!(reader.counters().balance(), Ok(()));
    assert_eq!(reader.counters().messages, messages.len() as u64);
    let counters = pipeline.sources().tracker_counters(SIP);
    let sum =
        counters.retransmissions + counters.in_call + counters.no_call + counters.stray + counters.refused;
    assert_eq!(counters.messages, sum);
    pipeline.handle_time(CLOCK, last + LONGEST_SILENCE);
    told.take(&mut pipeline, last);
    assert_eq!((pipeline.open_sessions(), pipeline.poll_timeout(CLOCK)), (0, None), "every state has an end");
    assert_eq!(pipeline.sources().sip_calls(SIP), 0, "every call has an end");
    let counters = pipeline.engine_counters();
    assert_eq!(counters.signals, counters.applied + counters.without_leg + counters.refused);
    assert_eq!(counters.sessions, counters.closed);
    messages
}

/// The messages of a manager connection that brings these pieces.
pub fn manager_messages(pieces: &[&[u8]]) -> Vec<Vec<u8>> {
    let mut frames = ami::Frames::default();
    let mut messages = Vec::new();
    for piece in pieces {
        frames.push(piece);
        while let Some(message) = frames.next_message() {
            messages.push(message.to_vec());
        }
    }
    messages
}

/// The messages of an event socket that brings these pieces, of which the first answers a login.
pub fn event_socket_messages(pieces: &[&[u8]]) -> Vec<Vec<u8>> {
    let mut frames = esl::Frames::default();
    let mut messages: Vec<Vec<u8>> = Vec::new();
    for piece in pieces {
        frames.push(piece);
        loop {
            let is_first = messages.is_empty();
            let next = if is_first { frames.next_login_answer() } else { frames.next_message() };
            let Some(message) = next else { break };
            messages.push(message.to_vec());
        }
    }
    messages
}

/// Sends what comes on a connection of a switch through the product. The input is how many cuts there are,
/// the length of each piece, and the bytes; however they are cut, the `messages` are the same.
pub fn tell_connection(data: &[u8], messages: fn(&[&[u8]]) -> Vec<Vec<u8>>, switch: Switch) {
    let Some((&count, data)) = data.split_first() else { return };
    let (cuts, stream) = data.split_at(data.len().min(usize::from(count)));
    let mut rest = stream;
    let mut pieces = Vec::new();
    for cut in cuts {
        let (piece, behind) = rest.split_at(rest.len().min(usize::from(*cut)));
        pieces.push(piece);
        rest = behind;
    }
    pieces.push(rest);
    let whole = messages(&[stream]);
    assert_eq!(messages(&pieces), whole);
    tell_of_switch(switch, &whole);
}

/// Sends the messages of a switch through the product; one comes every 20 ms.
fn tell_of_switch(switch: Switch, messages: &[Vec<u8>]) {
    let mut pipeline = pipeline();
    let source = SwitchSource { switch, account: ACCOUNT, agents: Some("sip"), pairs_as: SWITCH };
    pipeline.sources_mut().add_switch(SWITCH, source);
    let mut told = Sequences::default();
    let mut now = Timestamp::from_micros(1_700_000_000_000_000);
    for (number, message) in messages.iter().enumerate() {
        now = now + Duration::from_millis(20);
        let input = InputRef { source: 0, number: number as u64 + 1 };
        pipeline.handle_switch(SWITCH, message, now, input).expect("it was added");
        told.take(&mut pipeline, now);
    }
    let counters = pipeline.sources().switch_counters(SWITCH).map(|(counters, _)| counters);
    let counters = counters.expect("it was added");
    let sum = counters.applied + counters.passed_over + counters.repeated + counters.stray;
    assert_eq!(counters.messages, sum, "every message is counted once");
    for _ in 0..60 {
        now = now + Duration::from_secs(3600);
        pipeline.handle_time(CLOCK, now);
        told.take(&mut pipeline, now);
    }
    assert_eq!((pipeline.open_sessions(), pipeline.poll_timeout(CLOCK)), (0, None), "every state has an end");
    let sources = pipeline.sources();
    let left =
        (sources.switch_counters(SWITCH).map(|it| it.1), sources.pairing_counters(SWITCH).map(|it| it.1));
    assert_eq!(left, (Some(0), Some(0)), "every channel has an end");
}

/// Returns `true` if there is something in the TCP streams of a capture that is no message.
pub fn is_damaged(capture: &[u8]) -> bool {
    let Ok(mut reader) = Reader::new(capture) else { return true };
    while reader.advance().expect("memory can be read") {}
    reader.counters().tcp_skipped_bytes > 0
}

/// After this time without a message no call is open.
const LONGEST_SILENCE: Duration = Duration::from_secs(26 * 3600);

/// The number and time of the last event of each session.
#[derive(Default)]
struct Sequences(HashMap<TelephonySessionId, (u32, Timestamp)>);

impl Sequences {
    /// Takes the events that came about: their numbers have no gap, and their times do not run back.
    fn take(&mut self, pipeline: &mut Pipeline, latest: Timestamp) {
        while let Some(event) = pipeline.poll_event() {
            let (number, at) = self.0.entry(event.session.id).or_insert((1, event.at));
            if event.sequence == 2 && latest.since(event.at) >= REPEAT_MAX {
                // The same call once more, when time has run back so far that the first is forgotten.
                (*number, *at) = (1, event.at);
            }
            assert_eq!(event.sequence, *number + 1);
            assert!(event.at >= *at);
            (*number, *at) = (event.sequence, event.at);
        }
    }
}

/// Asks a message for everything that it can give.
pub fn ask(message: &Message<'_>) {
    message.vias().for_each(|via| _ = (via.received(), via.rport(), via.param("x")));
    message.contacts().for_each(|contact| _ = (contact.display_name(), contact.uri().user_decoded()));
    message.reasons().for_each(|reason| _ = reason.cause());
    message.asserted_identities().for_each(|id| _ = id.uri().number());
    message.remote_party_ids().for_each(|id| _ = (id.party(), id.privacy()));
    message.diversions().for_each(|_| ());
    message.history_info().for_each(|_| ());
    let _ = (message.replaces(), message.join(), message.target_dialog(), message.refer_to_replaces());
    let _ = (message.referred_by(), message.preferred_identity(), message.privacy(), message.session_id());
    let _ =
        (message.user_to_user(), message.event(), message.subscription_state(), message.session_expires());
    let _ = (message.expires(), message.max_forwards(), message.content_type(), message.sipfrag_status());
    let _ = (message.header("X-Any"), message.contact_is_star(), message.via_count());
    if let Some(sdp) = message.sdp() {
        let _ = (sdp.origin(), sdp.is_held_by_offerer());
    }
}

/// A pcap of raw IP packets that carry these segments of one TCP stream.
pub fn tcp_pcap(segments: &[&[u8]]) -> Vec<u8> {
    let mut sequence = 1_u32;
    let mut file = pcap_header();
    for segment in segments {
        let mut body = vec![0x13, 0xc4, 0x13, 0xce];
        body.extend(sequence.to_be_bytes());
        body.extend([0, 0, 0, 0, 0x50, 16, 0xff, 0xff, 0, 0, 0, 0]);
        body.extend(*segment);
        sequence = sequence.wrapping_add(segment.len() as u32);
        packet(&mut file, 6, &body);
    }
    file
}

/// A pcap of one raw IP packet with a UDP datagram.
pub fn udp_pcap(payload: &[u8]) -> Vec<u8> {
    let mut file = pcap_header();
    let payload = &payload[..payload.len().min(60_000)];
    let mut body = vec![0x13, 0xc4, 0x13, 0xce];
    body.extend((8 + payload.len() as u16).to_be_bytes());
    body.extend([0, 0]);
    body.extend(payload);
    packet(&mut file, 17, &body);
    file
}

fn pcap_header() -> Vec<u8> {
    let words: [u32; 6] = [0xa1b2_c3d4, 4 << 16 | 2, 0, 0, 262_144, 101];
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn packet(file: &mut Vec<u8>, protocol: u8, body: &[u8]) {
    let length = 20 + body.len() as u32;
    for word in [1_700_000_000, 0, length, length] {
        file.extend(word.to_le_bytes());
    }
    file.extend([0x45, 0]);
    file.extend((length as u16).to_be_bytes());
    file.extend([0, 0, 0x40, 0, 64, protocol, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2]);
    file.extend(body);
}
