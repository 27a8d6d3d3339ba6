//! Messages that somebody made up who knows the Call-ID of a call but not all of its tags, branches and
//! numbers: the call tells what it tells without them.

use std::collections::BTreeMap;

use hookswitch_signal::sip::Message;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRng, TestRunner};

use crate::properties::{FLOWS, notifications};
use hookswitch_flows::ladder::{Ladder, Packet, ladder, run, written};
use hookswitch_flows::size;

/// A call that is put on hold and taken back by a re-INVITE that passes two proxies.
const HELD: &str = "
    0.000 alice > proxy INVITE 102
    0.010 proxy > proxy2 INVITE
    0.020 proxy2 > bob INVITE 102@bob
    0.500 bob > proxy2 180
    0.505 proxy2 > proxy 180
    0.510 proxy > alice 180
    2.000 bob > proxy2 200
    2.005 proxy2 > proxy 200
    2.010 proxy > alice 200
    2.020 alice > bob ACK
    3.000 alice > proxy INVITE sdp=sendonly in=1
    3.010 proxy > bob INVITE sdp=same
    3.020 bob > proxy 200 sdp=recvonly
    3.030 proxy > alice 200 sdp=same
    3.040 alice > bob ACK
    4.000 alice > bob INVITE sdp=sendrecv
    4.010 bob > alice 200
    4.020 alice > bob ACK
    6.000 bob > alice BYE
    6.010 alice > bob 200
";

/// Identifying values of a message.
#[derive(Clone, Debug)]
struct Names {
    call_id: String,
    from_tag: String,
    to_tag: String,
    branch: String,
    cseq: u32,
}

impl Names {
    fn of(packet: &Packet) -> (Self, String, Option<u16>) {
        let message = Message::parse(&packet.payload).expect("a ladder writes valid messages");
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
        let cseq = message.cseq();
        let names = Self {
            call_id: text(message.call_id()),
            from_tag: text(message.from_tag().unwrap_or_default()),
            to_tag: text(message.to_tag().unwrap_or_default()),
            branch: text(message.top_via().branch().unwrap_or_default()),
            cseq: cseq.number,
        };
        (names, cseq.method.to_string(), message.start().status())
    }

    /// Writes a message with these names, which would hang up, withdraw or answer.
    fn write(&self, kind: Kind) -> Vec<u8> {
        let Self { call_id, from_tag, to_tag, branch, cseq } = self;
        let tag = |tag: &str| if tag.is_empty() { String::new() } else { format!(";tag={tag}") };
        let (start, method) = match kind {
            Kind::Bye => ("BYE sip:102@10.0.0.2 SIP/2.0", "BYE"),
            Kind::Cancel => ("CANCEL sip:102@10.0.0.2 SIP/2.0", "CANCEL"),
            Kind::Answer => ("SIP/2.0 200 OK", "INVITE"),
        };
        let body = match kind {
            Kind::Answer => {
                "v=0\r\no=- 6 6 IN IP4 10.0.0.66\r\nc=IN IP4 10.0.0.66\r\nm=audio 4000 RTP/AVP 0\r\na=sendonly\r\n"
            }
            _ => "",
        };
        format!(
            "{start}\r\nVia: SIP/2.0/UDP 10.0.0.66;branch={branch}\r\nFrom: <sip:101@example.com>{}\r\n\
             To: <sip:102@example.com>{}\r\nCall-ID: {call_id}\r\nCSeq: {cseq} {method}\r\nSession-Expires: 90\r\n\
             Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}",
            tag(from_tag),
            tag(to_tag),
            body.len()
        )
        .into_bytes()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Bye,
    Cancel,
    Answer,
}

/// Fault of a forged message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Wrong {
    FromTag,
    ToTag,
    Branch,
    CSeq,
}

const FORGERIES: [(Kind, Wrong); 9] = [
    (Kind::Bye, Wrong::FromTag),
    (Kind::Bye, Wrong::ToTag),
    (Kind::Bye, Wrong::CSeq),
    (Kind::Cancel, Wrong::FromTag),
    (Kind::Cancel, Wrong::Branch),
    (Kind::Cancel, Wrong::CSeq),
    (Kind::Answer, Wrong::FromTag),
    (Kind::Answer, Wrong::ToTag),
    (Kind::Answer, Wrong::Branch),
];

/// Something that is not `text`: made up, or near it.
fn other_than(text: &str, rng: &mut TestRng) -> String {
    let made_up = format!("{:08x}", rng.random::<u32>());
    let near = match rng.random_range(0..6) {
        0 => format!("{text}x"),
        1 => text.get(1..).unwrap_or_default().to_owned(),
        2 => text.get(..text.len().saturating_sub(1)).unwrap_or_default().to_owned(),
        3 => text.chars().rev().collect(),
        4 => String::new(),
        _ => made_up.clone(),
    };
    if near == text { made_up } else { near }
}

/// A message that nobody in the call has sent, after the first `seen` of its messages; `None` where
/// nothing of that kind would be wrong.
fn forge(packets: &[Packet], seen: usize, kind: Kind, wrong: Wrong, rng: &mut TestRng) -> Option<Packet> {
    let known: Vec<_> = packets[..seen].iter().map(|packet| (packet, Names::of(packet))).collect();
    let (packet, (mut names, method, status)) = known[rng.random_range(0..known.len())].clone();
    // Each kind follows a message whose names it would have, if it were real.
    match kind {
        Kind::Bye if names.to_tag.is_empty() => return None,
        Kind::Cancel | Kind::Answer if method != "INVITE" => return None,
        Kind::Cancel if status.is_some() => return None,
        _ => {}
    }
    let same_call = |other: &Names| other.call_id == names.call_id;
    match wrong {
        Wrong::FromTag => {
            let tag = other_than(&names.from_tag, rng);
            // The tags of both sides the other way round are a real request of the other side.
            if known.iter().any(|(_, (other, ..))| other.from_tag == tag || other.to_tag == tag) {
                return None;
            }
            names.from_tag = tag;
            names.cseq += rng.random_range(0..3);
        }
        Wrong::ToTag => {
            let answered = known.iter().any(|(_, (other, method, status))| {
                other.branch == names.branch
                    && method == "INVITE"
                    && status.is_some_and(|status| status >= 200)
            });
            // Until then any tag may be that of the one who answers.
            if kind == Kind::Answer && !answered {
                return None;
            }
            names.to_tag = other_than(&names.to_tag, rng);
            if names.to_tag.is_empty() || known.iter().any(|(_, (other, ..))| other.to_tag == names.to_tag) {
                return None;
            }
            names.cseq += if kind == Kind::Bye { rng.random_range(0..3) } else { 0 };
        }
        Wrong::Branch => {
            let branch = format!("z9hG4bK{}", other_than(names.branch.trim_start_matches("z9hG4bK"), rng));
            if known.iter().any(|(_, (other, ..))| other.branch == branch) {
                return None;
            }
            names.branch = branch;
        }
        Wrong::CSeq if kind == Kind::Bye => {
            // Of a side that has sent a request the next number is higher.
            let last = known
                .iter()
                .filter(|(_, (other, _, status))| {
                    same_call(other) && other.from_tag == names.from_tag && status.is_none()
                })
                .map(|(_, (other, ..))| other.cseq)
                .max()?;
            names.cseq = rng.random_range(0..=last);
        }
        Wrong::CSeq => {
            let cseq =
                [0, names.cseq + 1, names.cseq.wrapping_sub(1) >> 1, 0x7fff_ffff][rng.random_range(0..4)];
            if cseq == names.cseq {
                return None;
            }
            names.cseq = cseq;
        }
    }
    let mut forged = packet.clone();
    // As if it came from there, or from elsewhere.
    match rng.random_range(0..4) {
        0 | 1 => forged.src = "10.0.0.66:5060".parse().expect("an address"),
        2 => std::mem::swap(&mut forged.src, &mut forged.dst),
        _ => {}
    }
    forged.at_micros = packets[seen - 1].at_micros;
    forged.payload = names.write(kind);
    Some(forged)
}

#[test]
fn forged_messages_change_no_call() {
    let flows: Vec<Ladder> = FLOWS.iter().chain([&HELD]).map(|flow| ladder(flow)).collect();
    let genuine: Vec<_> = flows.iter().map(|flow| notifications(&run(&flow.packets))).collect();
    let mut runner = TestRunner::new_with_rng(
        Config::default(),
        TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha),
    );
    let rng = runner.rng();
    let count = size(1_000, 10_000);
    let mut counts: BTreeMap<(Kind, Wrong), usize> = BTreeMap::new();
    let mut changed = 0;
    while counts.values().sum::<usize>() < count {
        let at = rng.random_range(0..flows.len());
        let packets = &flows[at].packets;
        let seen = rng.random_range(1..packets.len());
        let (kind, wrong) = FORGERIES[rng.random_range(0..FORGERIES.len())];
        let Some(forged) = forge(packets, seen, kind, wrong, rng) else { continue };
        *counts.entry((kind, wrong)).or_default() += 1;
        let text = String::from_utf8_lossy(&forged.payload).into_owned();
        let mut packets = packets.clone();
        packets.insert(seen, forged);
        let events = run(&packets);
        if notifications(&events) != genuine[at] {
            changed += 1;
            if changed <= 3 {
                println!(
                    "{kind:?} with another {wrong:?} after {seen} messages:\n{text}\n{:#?}",
                    written(&events)
                );
            }
        }
    }
    println!("{count} forged messages: {changed} changed what was told");
    for ((kind, wrong), count) in &counts {
        println!("{count:7} {kind:?} with another {wrong:?}");
    }
    assert_eq!(changed, 0);
    assert_eq!(counts.len(), FORGERIES.len(), "every kind came up");
}

#[test]
fn tags_that_only_rang_leave_room_for_the_one_that_answers() {
    let flow = ladder(FLOWS[0]);
    let genuine = written(&run(&flow.packets));
    let ringing = flow.packets[1].clone();
    let text = String::from_utf8(ringing.payload.clone()).expect("text");
    let mut packets = flow.packets.clone();
    for number in 0..100 {
        let mut forged = ringing.clone();
        forged.payload = text.replace(";tag=bob", &format!(";tag=x{number}")).into();
        assert_ne!(forged.payload, ringing.payload);
        packets.insert(1, forged);
    }
    let told = written(&run(&packets));
    assert_eq!(told.last(), genuine.last(), "the call is seen to end");
    assert_eq!(told.len(), genuine.len());
}
