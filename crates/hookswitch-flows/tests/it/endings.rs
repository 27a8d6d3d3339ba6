//! Whatever a capture stops at, and whatever is lost from it: some time after its last message nothing is
//! open any more, and every call was told to its end.

use std::time::Duration;

use hookswitch_core::directory::Directory;
use hookswitch_model::{ClockId, Event, InputRef, StatusCode, Timestamp};
use hookswitch_pipeline::Pipeline;
use hookswitch_signal::capture::{Captured, Reader, Transport};
use hookswitch_signal::sip::Message;

use crate::properties::FLOWS;
use hookswitch_flows::ladder::{ACCOUNT, Packet, ladder, pipeline_of_sip, ready};
use hookswitch_flows::size;

/// An unanswered call ends this long after its last message.
const UNANSWERED: Duration = Duration::from_secs(240);

/// A call that nothing has answered ends this long after its INVITE: 64 times T1, and the time that an end may
/// wait for the next try.
const UNHEARD: Duration = Duration::from_millis(32_500);

/// An answered call ends this long after its last message, and nobody remembers it an hour later.
const ANSWERED: Duration = Duration::from_secs(24 * 3600);
const FORGOTTEN: Duration = Duration::from_secs(26 * 3600);

/// The product without files.
struct Product {
    pipeline: Pipeline,
    last: Timestamp,
    events: Vec<Event>,
}

impl Product {
    fn new() -> Self {
        Self {
            pipeline: pipeline_of_sip(Directory::built_in(ACCOUNT)),
            last: Timestamp::default(),
            events: Vec::new(),
        }
    }

    fn take(&mut self, captured: &Captured<'_>, number: u64) {
        let Ok(message) = Message::parse(captured.payload) else { return };
        self.last = self.last.max(captured.time);
        let input = InputRef { source: 0, number };
        self.pipeline.handle_message(0, &message, captured, captured.time, input).expect("it was added");
        self.events.extend(ready(&mut self.pipeline));
    }

    fn take_packets(&mut self, packets: &[Packet]) {
        for (number, packet) in packets.iter().enumerate() {
            let captured = Captured {
                time: Timestamp::from_micros(packet.at_micros),
                transport: Transport::Udp,
                src: packet.src,
                dst: packet.dst,
                packet: number as u64 + 1,
                correlation: None,
                payload: &packet.payload,
            };
            self.take(&captured, number as u64 + 1);
        }
    }

    /// Lets time pass after the last message.
    fn wait(&mut self, time: Duration) {
        let now = self.last + time;
        self.pipeline.handle_time(ClockId::default(), now);
        self.events.extend(ready(&mut self.pipeline));
    }

    /// Sessions, timers and calls that are there.
    fn open(&self) -> (usize, usize, usize) {
        let timer = self.pipeline.poll_timeout(ClockId::default());
        let calls = self.pipeline.sources().sip_calls(0);
        (self.pipeline.open_sessions(), usize::from(timer.is_some()), calls)
    }

    /// Asserts that nothing is left after a time, and that every party was told to have ended.
    fn ends(&mut self, name: &str) {
        self.wait(FORGOTTEN);
        assert_eq!(self.open(), (0, 0, 0), "{name}: sessions, timers, calls");
        let ended =
            |event: &Event| matches!(event.party.status.code, StatusCode::Disconnected | StatusCode::Gone);
        for (at, event) in self.events.iter().enumerate() {
            let told = ended(event)
                || self.events[at..].iter().any(|later| later.party.id == event.party.id && ended(later));
            assert!(told, "{name}: {:?} has no end", event.party);
        }
    }
}

#[test]
fn a_call_that_stops_anywhere_has_an_end() {
    let mut runs = 0;
    for flow in FLOWS {
        let packets = ladder(flow).packets;
        for length in 1..=packets.len() {
            let mut product = Product::new();
            product.take_packets(&packets[..length]);
            product.ends(&format!("{length} messages of {flow}"));
            runs += 1;
            // Without any one of its messages, too.
            for lost in 0..length {
                let mut left = packets[..length].to_vec();
                left.remove(lost);
                let mut product = Product::new();
                product.take_packets(&left);
                product.ends(&format!("{length} messages but the {lost}th of {flow}"));
                runs += 1;
            }
        }
    }
    println!(
        "{runs} captures: 0 sessions, 0 timers and 0 calls are left {} h after the last message",
        FORGOTTEN.as_secs() / 3600
    );
}

#[test]
fn each_state_has_its_time() {
    let call = "
        0.000 alice > bob INVITE 102
        0.500 bob > alice 180
        3.000 bob > alice 200
        3.010 alice > bob ACK
    ";
    let timed = call.replace("200", "200 | Session-Expires: 1800;refresher=uac");
    let soon = call.replace("200", "200 | Session-Expires: 1");
    let long = call.replace("200", "200 | Session-Expires: 4294967295");
    let half = Duration::from_secs(1800 + 32);
    let shortest = Duration::from_secs(90 + 32);
    for (name, text, messages, open) in [
        ("set up", call, 1, UNHEARD),
        ("ringing", call, 2, UNANSWERED),
        ("answered", call, 4, ANSWERED),
        ("answered with a session timer of half an hour", &timed, 3, half),
        ("answered with a session timer of a second", &soon, 3, shortest),
        ("answered with a session timer of 136 years", &long, 3, ANSWERED),
    ] {
        let mut product = Product::new();
        product.take_packets(&ladder(text).packets[..messages]);
        product.wait(open.checked_sub(Duration::from_secs(1)).expect("longer"));
        assert_eq!(product.pipeline.open_sessions(), 1, "{name}");
        product.wait(open);
        assert_eq!(product.pipeline.open_sessions(), 0, "{name}");
        product.ends(name);
        println!("{name:50} ends after {:6} s", open.as_secs());
    }
}

#[test]
fn a_flood_of_what_never_goes_on_leaves_nothing() {
    let mut product = Product::new();
    let count = size(10_000, 1_000_000);
    for number in 0..count {
        let (method, tag) =
            [("INVITE", ""), ("REGISTER", ""), ("OPTIONS", ""), ("BYE", ";tag=b"), ("CANCEL", "")]
                [number % 5];
        let text = format!(
            "{method} sip:102@10.0.0.2 SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK{number}\r\n\
             From: <sip:101@x>;tag={number}\r\nTo: <sip:102@x>{tag}\r\nCall-ID: {number}\r\nCSeq: 1 {method}\r\n\r\n"
        );
        let captured = Captured {
            time: Timestamp::from_micros(1_700_000_000_000_000) + Duration::from_micros(number as u64 * 50),
            transport: Transport::Udp,
            src: ([10, 0, 0, 1], 5060).into(),
            dst: ([10, 0, 0, 2], 5060).into(),
            packet: number as u64 + 1,
            correlation: None,
            payload: text.as_bytes(),
        };
        product.take(&captured, number as u64 + 1);
        product.events.clear();
    }
    let (sessions, _, calls) = product.open();
    assert_eq!((sessions, calls), (count / 5, count / 5));
    product.ends("a flood");
    println!("{count} requests of which {sessions} opened sessions: nothing is left of them");
}

#[test]
fn the_recorded_calls_leave_nothing() {
    let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../captures");
    let mut captures = 0;
    for entry in std::fs::read_dir(directory).expect("there are captures") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|extension| extension != "pcap") {
            continue;
        }
        let mut reader =
            Reader::new(std::fs::File::open(&path).expect("it can be opened")).expect("a capture");
        let mut product = Product::new();
        while reader.advance().expect("it can be read") {
            product.take(&reader.current().expect("there is one"), 1);
        }
        assert!(!product.events.is_empty());
        product.ends(&path.display().to_string());
        captures += 1;
    }
    assert!(captures >= 4);
}
