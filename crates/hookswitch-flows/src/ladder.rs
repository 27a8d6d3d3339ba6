//! A call flow written as a ladder, in text, and the events that it must give.
//!
//! Each line is one message: a time in seconds, who sends, who receives, and the method or status.
//! The harness writes the real SIP message, with the Via stack, tags, CSeq and SDP that those hosts
//! would write, and sends it through the reader, the tracker and the session machine.
//!
//! ```text
//! 0.000 alice > proxy INVITE 102      an INVITE of a host that no INVITE has reached opens a call
//! 0.010 proxy > bob   INVITE 102@bob  one that an INVITE has reached passes it on
//! 1.000 bob > proxy   180             a response goes back the way of its request
//! ```
//!
//! `COPY` in the place of a method is the message before once more, as it is captured behind a translation of
//! addresses. Options follow as `name=value`:
//!
//! * who and where: `call` (a further Call-ID; `1/-b2b_1` continues that of call 1), `from` and `name` (who the
//!   From header shows), `to` (the To header's user), `tag` (the answering side's tag), `fresh` (another From
//!   tag from here on), `cseq`, `hidden` (only the top Via is shown),
//!   `hep` (the correlation id of the capture agent), `in` (in the dialog), `src` and `dst` (the hosts
//!   whose addresses are used, where somebody has moved)
//! * responses: `for` (the method that it answers), `again` (to a request that was answered already)
//! * SDP: `sdp` (`sendrecv`, `sendonly`, `recvonly`, `inactive`, `zero`, `t38`, `late`, `none`, `same`),
//!   `media` (the host whose media it describes, where that is not the sender)
//! * Contact: `contact` (its user), `features` (what follows it, such as `isfocus`)
//! * other bodies: `frag` (a sipfrag with this status, in a NOTIFY of a REFER), `dialog` (dialog
//!   information, as `early:1@bob`: call 1 as Bob has it)
//!
//! What follows `|` are further header lines, and what follows `||` is the body. In both,
//! `{bob}` is the address of Bob, and `{user=102}` the number 102; `{replaces=1@bob}` is the dialog of call 1 as Bob has it, in the
//! form of Replaces and Join; `{escaped=1@bob}` the same, escaped as in a URI; `{target=1@bob}` in
//! that of Target-Dialog; `{wrong=1@bob}` and `{misspelt=1@bob}` are Replaces with a letter of the tag or of the
//! Call-ID wrong; `{id=1@bob}` is its Call-ID.

mod writer;

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use hookswitch_core::directory::Directory;
use hookswitch_core::engine::Policy;
use hookswitch_model::{
    AccountId, ClockId, Direction, Event, InputRef, Origin, Party, StatusCode, Timestamp,
};
use hookswitch_pipeline::{Clocks, Pipeline};
use hookswitch_signal::capture::{Captured, Transport};
use hookswitch_signal::sip::Message;
use serde::Serialize;
use serde::de::DeserializeOwned;

use self::writer::{Setting, Writer};

/// 2023-11-14T22:13:20Z, when every ladder begins.
pub const START_MICROS: i64 = 1_700_000_000_000_000;

/// Account of the calls that no directory assigns.
pub const ACCOUNT: AccountId = AccountId::new(310_001_016);

/// One message on the wire.
#[derive(Clone, Debug)]
pub struct Packet {
    pub at_micros: i64,
    pub src: SocketAddr,
    pub dst: SocketAddr,
    pub correlation: Option<String>,
    pub payload: Vec<u8>,
}

/// A call flow.
pub struct Ladder {
    text: String,
    setting: Setting,
    /// The directory that tells whose the numbers are; none for the built-in one.
    directory: Option<&'static str>,
    pub packets: Vec<Packet>,
}

/// Names of the people in a ladder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum People {
    /// Alice is 101, Bob 102 and so on, all at `example.com`.
    #[default]
    Numbers,
    /// As in the examples of the RFCs: Alice is `alice@atlanta.example.com`.
    Names,
}

/// Reads a ladder; the people in it have the numbers that it says.
pub fn ladder(text: &str) -> Ladder {
    Ladder::in_world(text, 0)
}

/// Reads a ladder whose people are called as in the examples of the RFCs.
pub fn named(text: &str) -> Ladder {
    Ladder::in_setting(text, Setting { people: People::Names, ..Setting::default() })
}

impl Ladder {
    /// Reads a ladder in which From and To have this host.
    pub fn with_domain(text: &str, domain: &str) -> Self {
        Self::in_setting(text, Setting { domain: Some(domain.to_owned()), ..Setting::default() })
    }

    /// Reads a ladder as it would go between other people: each world has phones, numbers and
    /// Call-IDs of its own, and shares the proxies, the PBX and the trunk with the others.
    pub fn in_world(text: &str, world: u8) -> Self {
        Self::in_setting(text, Setting { world, ..Setting::default() })
    }

    fn in_setting(text: &str, setting: Setting) -> Self {
        let mut writer = Writer::new(setting.clone());
        let packets = lines(text).map(|line| writer.line(line)).collect();
        Self { text: text.to_owned(), setting, directory: None, packets }
    }

    /// Returns whose the numbers are, as a directory file says.
    #[must_use]
    pub fn with_directory(self, file: &'static str) -> Self {
        Self { directory: Some(file), ..self }
    }

    /// The same as it goes in a laboratory, where all hosts share one address and differ in their ports.
    fn in_laboratory(&self) -> Self {
        let setting = Setting { laboratory: true, ..self.setting.clone() };
        Self { directory: self.directory, ..Self::in_setting(&self.text, setting) }
    }

    /// Sends it through the product.
    pub fn events(&self) -> Vec<Event> {
        self.run(&self.packets)
    }

    pub fn run(&self, packets: &[Packet]) -> Vec<Event> {
        run_with(&self.directory(), packets)
    }

    fn directory(&self) -> Directory {
        match self.directory {
            Some(file) => Directory::parse(file).expect("a directory"),
            None => Directory::built_in(ACCOUNT),
        }
    }

    /// Asserts the events, written as [`written`] does and ordered by their times; and that they stay
    /// the same when every message is sent twice, and where all hosts share one address. Sessions are
    /// told beside each other: of what happens at one time, the order between sessions says nothing.
    #[track_caller]
    pub fn tells(&self, expected: &str) {
        let expected = by_time(lines(expected).map(str::to_owned).collect());
        let told = by_time(written(&self.events()));
        assert!(told == expected, "\n{}", side_by_side(&expected, &told));
        let twice: Vec<Packet> =
            self.packets.iter().flat_map(|packet| [packet.clone(), packet.clone()]).collect();
        let told = by_time(written(&self.run(&twice)));
        assert!(told == expected, "with every message sent twice\n{}", side_by_side(&expected, &told));
        let told = by_time(written(&drive(&self.directory(), &self.packets, Driving::SavedAndRead)));
        assert!(told == expected, "saved and read after each message\n{}", side_by_side(&expected, &told));
        let told = by_time(written(&self.in_laboratory().events()));
        assert!(told == expected, "where all hosts share one address\n{}", side_by_side(&expected, &told));
    }
}

/// Written events by their times, and those of one time by their sessions.
pub fn by_time(mut written: Vec<String>) -> Vec<String> {
    in_order(&mut written, |line| line);
    written
}

/// Orders what has a written event as [`by_time`] does.
pub fn in_order<T>(list: &mut [T], line: impl Fn(&T) -> &String) {
    list.sort_by_key(|element| {
        let line = line(element);
        let (session, rest) = match line.strip_prefix('#').and_then(|line| line.split_once(' ')) {
            Some((number, rest)) => (number.parse::<u32>().expect("a session"), rest),
            None => (1, line.as_str()),
        };
        let (seconds, rest) = rest.split_once('.').expect("seconds");
        let millis = rest.split(' ').next().unwrap_or_default();
        (seconds.parse::<u64>().expect("seconds"), millis.parse::<u64>().expect("milliseconds"), session)
    });
}

/// The lines of a ladder that say something.
pub fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("# "))
}

pub fn side_by_side(expected: &[String], told: &[String]) -> String {
    let mut text = format!("{:<50} | told\n", "expected");
    for row in 0..expected.len().max(told.len()) {
        let want = expected.get(row).map_or("", String::as_str);
        let got = told.get(row).map_or("", String::as_str);
        let mark = if want == got { ' ' } else { '!' };
        let _ = writeln!(text, "{mark}{want:<49} | {got}");
    }
    text
}

/// Sends packets through the product, and checks what must hold for every list of events.
pub fn run(packets: &[Packet]) -> Vec<Event> {
    run_with(&Directory::built_in(ACCOUNT), packets)
}

/// The same with a directory.
pub fn run_with(directory: &Directory, packets: &[Packet]) -> Vec<Event> {
    drive(directory, packets, Driving::Through)
}

/// Way that packets take through the product.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Driving {
    Through,
    /// After each, the state is saved and read again, as by a server that was restarted.
    SavedAndRead,
}

/// Returns what was saved, read again.
pub fn read_again<T: Serialize + DeserializeOwned>(state: &T) -> T {
    let saved = postcard::to_stdvec(state).expect("the state can be saved");
    postcard::from_bytes(&saved).expect("what was saved can be read")
}

/// A pipeline with one clock and one source of SIP messages, of which the number is 0.
pub fn pipeline_of_sip(directory: Directory) -> Pipeline {
    let mut pipeline = Pipeline::new(directory, Policy::default(), Clocks::One);
    pipeline.sources_mut().add_agent(0, "sip", ACCOUNT);
    pipeline
}

/// The events that are ready.
pub fn ready(pipeline: &mut Pipeline) -> impl Iterator<Item = Event> {
    std::iter::from_fn(|| pipeline.poll_event())
}

/// Sends a packet through source 0 of a pipeline, as the input with this number.
pub fn send(pipeline: &mut Pipeline, packet: &Packet, number: u64) {
    let captured = Captured {
        time: Timestamp::from_micros(packet.at_micros),
        transport: Transport::Udp,
        src: packet.src,
        dst: packet.dst,
        packet: number,
        correlation: packet.correlation.as_deref().map(str::as_bytes),
        payload: &packet.payload,
    };
    send_captured(pipeline, &captured, number);
}

/// Sends a message that was captured through source 0 of a pipeline, as the input with this number.
pub fn send_captured(pipeline: &mut Pipeline, captured: &Captured<'_>, number: u64) {
    let message = Message::parse(captured.payload).unwrap_or_else(|error| {
        panic!("{error}: {}", String::from_utf8_lossy(captured.payload));
    });
    let input = InputRef { source: 0, number };
    pipeline.handle_message(0, &message, captured, captured.time, input).expect("it was added");
}

fn drive(directory: &Directory, packets: &[Packet], driving: Driving) -> Vec<Event> {
    let mut pipeline = pipeline_of_sip(directory.clone());
    let mut events = Vec::new();
    for (number, packet) in (1..).zip(packets) {
        send(&mut pipeline, packet, number);
        events.extend(ready(&mut pipeline));
        if driving == Driving::SavedAndRead {
            pipeline = read_again(&pipeline);
            pipeline.set_rules(directory.clone(), Policy::default());
        }
    }
    pipeline.finish();
    events.extend(ready(&mut pipeline));

    let counters = pipeline.sources().tracker_counters(0);
    let sum =
        counters.retransmissions + counters.in_call + counters.no_call + counters.stray + counters.refused;
    assert_eq!(counters.messages, sum, "{counters:?}");
    everything_holds(&pipeline, &events);
    hold_together(&events);
    everything_ends(&mut pipeline, &events);
    events
}

/// Checks that all that went through the machine is accounted for.
fn everything_holds(pipeline: &Pipeline, events: &[Event]) {
    let counters = pipeline.engine_counters();
    assert_eq!(counters.signals, counters.applied + counters.without_leg + counters.refused, "{counters:?}");
    assert_eq!(counters.sessions, counters.closed + pipeline.open_sessions() as u64, "{counters:?}");
    assert_eq!(counters.events, events.len() as u64);
}

/// Every state has an end: when nothing more is heard, no session, no call and no timer is left.
pub fn everything_ends(pipeline: &mut Pipeline, events: &[Event]) {
    let much_later = Timestamp::from_micros(START_MICROS) + Duration::from_secs(400 * 24 * 3600);
    pipeline.handle_time(ClockId::default(), much_later);
    let closing = ready(pipeline);
    let all: Vec<Event> = events.iter().cloned().chain(closing).collect();
    hold_together(&all);
    assert_eq!((pipeline.open_sessions(), pipeline.sources().sip_calls(0)), (0, 0));
    assert_eq!(pipeline.poll_timeout(ClockId::default()), None);
    let mut of_party = HashMap::new();
    for event in &all {
        of_party.insert(event.party.id, event.party.status.code);
    }
    assert!(of_party.values().all(|code| code.is_terminal()), "{of_party:?}");
}

/// Checks what holds for the events of every session, whatever happened (contract events §5).
pub fn hold_together(events: &[Event]) {
    let mut last = HashMap::new();
    let mut ended = HashMap::new();
    for event in events {
        let (sequence, at) = last.entry(event.session.id).or_insert((1, event.at));
        assert_eq!(event.sequence, *sequence + 1, "sequences have no gap");
        assert!(*at <= event.at, "time does not run back in a session");
        (*sequence, *at) = (event.sequence, event.at);
        let over = matches!(event.party.status.code, StatusCode::Disconnected | StatusCode::Gone);
        assert!(!ended.insert(event.party.id, over).unwrap_or(false), "a party that ended changes no more");
        assert_ne!(event.causes.iter().next(), Some(InputRef::default()), "an event has a cause");
    }
}

/// Each event on a line: seconds since the ladder's beginning, direction, party, status, and where
/// there is one the reason, the park slot, the party in another session that it went to, `recorded` while a
/// recording runs, and `missed`.
/// Sessions are numbered as they begin; from the second on, the number stands before. Where the session is no ordinary call, the
/// first line of each party says what it is.
pub fn written(events: &[Event]) -> Vec<String> {
    let mut sessions = Vec::new();
    let mut in_time: Vec<&Event> = events.iter().collect();
    in_time.sort_by_key(|event| event.at);
    for event in in_time {
        if !sessions.contains(&event.session.id) {
            sessions.push(event.session.id);
        }
    }
    let number = |id| sessions.iter().position(|&known| known == id).map_or(0, |at| at + 1);
    let mut seen = HashSet::new();
    events
        .iter()
        .map(|event| {
            let party = &event.party;
            let micros = event.at.as_micros() - START_MICROS;
            let mut line = String::new();
            if number(event.session.id) > 1 {
                let _ = write!(line, "#{} ", number(event.session.id));
            }
            let (seconds, millis) = (micros / 1_000_000, micros / 1000 % 1000);
            let _ = write!(line, "{seconds}.{millis:03} {} {}", who(party), party.status.code);
            if let Some(reason) = party.status.reason {
                let _ = write!(line, "/{}", reason.as_str());
            }
            if let Some(slot) = &party.status.park_data {
                let _ = write!(line, " in {}", if slot.is_empty() { "an unknown slot" } else { slot });
            }
            if let Some(peer) = &party.status.peer {
                let other = events.iter().find(|other| other.party.id == peer.party);
                let session = other.map_or(0, |other| number(other.session.id));
                let other = other.map_or("nobody".to_owned(), |other| who(&other.party));
                let _ = write!(line, " to #{session} {other}");
            }
            if party.recordings.iter().any(|recording| recording.active) {
                line.push_str(" recorded");
            }
            if party.missed_call {
                line.push_str(" missed");
            }
            if seen.insert(party.id) && event.session.origin != Origin::Call {
                let role = party.ring_out_role.map_or("", |role| role.as_str());
                let _ = write!(line, " [{}]", format!("{} {role}", event.session.origin.as_str()).trim());
            }
            line
        })
        .collect()
}

/// A party: its direction and the number or name of its side; of an extension that is shown with the number
/// that the caller dialled, the number by which the switch has called it.
fn who(party: &Party) -> String {
    let (direction, side) = match party.direction {
        Direction::Outbound => ("out", &party.from),
        Direction::Inbound => ("inb", &party.to),
    };
    let is_short = |number: &&str| number.len() < 7 && number.bytes().all(|byte| byte.is_ascii_digit());
    let called = side.sent_number.as_deref().filter(is_short).filter(|_| party.extension.is_some());
    let who = called.or(side.phone_number.as_deref()).or(side.name.as_deref()).unwrap_or("-");
    format!("{direction} {who}")
}
