//! Reports that come in another order than the messages were sent, as those of a server with several workers:
//! a request that it sends is reported, and stamped, after the response to it.

use std::collections::BTreeMap;

use hookswitch_flows::ladder::{Packet, by_time, ladder, run, written};
use hookswitch_flows::size;
use hookswitch_model::{Direction, Event, StatusCode};

#[test]
fn a_call_that_is_reported_in_order() {
    ladder(
        "
        0.000 alice > proxy INVITE 102
        0.001 proxy > alice 100
        0.012 proxy > bob INVITE 102@bob
        0.013 bob > proxy 180
        0.014 proxy > alice 180
        1.000 bob > proxy 200
        1.001 proxy > alice 200
        1.002 alice > proxy ACK
        1.003 proxy > bob ACK
        2.000 bob > proxy BYE
        2.001 proxy > alice BYE
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.012 inb 102 Setup
        0.013 inb 102 Proceeding
        0.014 out 101 Proceeding
        1.000 inb 102 Answered
        1.001 out 101 Answered
        2.000 inb 102 Disconnected
        2.000 out 101 Disconnected
        ",
    );
}

/// Tells of a ladder whose line `late`, from 0, is reported this many milliseconds later.
fn told_late(text: &str, late: usize, by: i64) -> Vec<String> {
    let mut packets = ladder(text).packets;
    packets[late].at_micros += by * 1000;
    packets.sort_by_key(|packet| packet.at_micros);
    by_time(written(&run(&packets)))
}

/// Tells of a ladder of which the line `lost`, from 0, is not reported.
fn told_without(text: &str, lost: usize) -> Vec<String> {
    let mut packets = ladder(text).packets;
    packets.remove(lost);
    by_time(written(&run(&packets)))
}

#[test]
fn a_phone_that_answers_before_its_invite_is_reported_has_answered() {
    let told = told_late(FLOWS[1], 2, 27);
    assert_eq!(
        told,
        [
            "0.000 out 101 Setup",
            "0.027 inb 102 Setup",
            "0.027 inb 102 Answered",
            "0.027 out 101 Answered",
            "1.001 out 101 Hold",
            "2.000 out 101 Disconnected",
            "2.000 inb 102 Disconnected",
        ]
    );
}

#[test]
fn a_phone_that_refuses_before_its_invite_is_reported_has_missed_the_call() {
    let told = told_late(FLOWS[2], 2, 20);
    assert_eq!(
        told,
        [
            "0.000 out 101 Setup",
            "0.020 inb 102 Setup",
            "0.020 inb 102 Disconnected/TargetBusy missed",
            "0.020 out 101 Disconnected/TargetBusy",
        ]
    );
}

#[test]
fn a_hold_that_is_reported_before_its_next_hop_is_told() {
    let told = told_late(FLOWS[1], 8, 20);
    assert!(told.iter().any(|line| line == "1.001 out 101 Hold"), "{told:#?}");
    assert_eq!(told.len(), 7, "{told:#?}");
}

#[test]
fn an_answer_is_told_of_who_gave_it_though_their_ringing_was_not_reported() {
    // The caller's 180 has the tag first; the dialog belongs to the last hop all the same.
    let told = told_without(FLOWS[0], 3);
    assert_eq!(told[told.len() - 2..], ["1.410 inb 102 Disconnected", "1.410 out 101 Disconnected"]);
    assert!(told.iter().any(|line| line == "0.604 inb 102 Answered"), "{told:#?}");
}

#[test]
fn an_answer_that_is_reported_at_one_hop_only_is_that_of_the_phone() {
    for lost in [vec![5], vec![5, 3]] {
        let mut packets = ladder(FLOWS[0]).packets;
        for lost in &lost {
            packets.remove(*lost);
        }
        let told = by_time(written(&run(&packets)));
        assert!(told.iter().any(|line| line == "0.605 inb 102 Answered"), "{told:#?}");
        assert_eq!(told[told.len() - 2..], ["1.410 inb 102 Disconnected", "1.410 out 101 Disconnected"]);
    }
}

#[test]
fn a_response_whose_request_is_never_reported_costs_its_call_nothing() {
    let told = told_without(FLOWS[2], 2);
    assert_eq!(
        told,
        [
            "0.000 out 101 Setup",
            "0.000 inb 102 Setup",
            "0.001 inb 102 Disconnected/TargetBusy missed",
            "0.001 out 101 Disconnected/TargetBusy",
        ]
    );
}

#[test]
fn a_masked_call_id_and_an_invite_that_is_reported_late() {
    // Of the phone's side nothing is known when its 200 comes.
    let text = "
        0.0000 alice > proxy INVITE 102
        0.0004 proxy > alice 100
        0.0006 proxy > bob INVITE 102@bob call=2 from=101 name=Alice
        0.0010 bob > proxy 200 call=2
        0.0012 proxy > alice 200
        0.0020 alice > proxy ACK
        0.0022 proxy > bob ACK call=2
        2.0000 alice > proxy BYE
        2.0002 proxy > bob BYE call=2
    ";
    let told = told_late(text, 2, 10);
    assert!(told.iter().any(|line| line.ends_with("inb 102 Answered")), "{told:#?}");
    assert!(told.iter().all(|line| !line.starts_with('#') && !line.contains("missed")), "{told:#?}");
}

/// Calls through a Kamailio, as quick as they are on one machine; each message at two hops.
const FLOWS: &[&str] = &[
    // Answered, and hung up by the callee.
    "
    0.0000 alice > proxy INVITE 102
    0.0004 proxy > alice 100
    0.0006 proxy > bob INVITE 102@bob
    0.0013 bob > proxy 180
    0.0015 proxy > alice 180
    0.6049 bob > proxy 200
    0.6052 proxy > alice 200
    0.6056 alice > proxy ACK
    0.6057 proxy > bob ACK
    1.4100 bob > proxy BYE
    1.4102 proxy > alice BYE
    1.4103 alice > proxy 200
    1.4104 proxy > bob 200
    ",
    // Answered at once, held by the caller, and hung up by them.
    "
    0.0000 alice > proxy INVITE 102
    0.0004 proxy > alice 100
    0.0006 proxy > bob INVITE 102@bob
    0.0010 bob > proxy 200
    0.0012 proxy > alice 200
    0.0020 alice > proxy ACK
    0.0022 proxy > bob ACK
    1.0000 alice > proxy INVITE sdp=sendonly
    1.0002 proxy > bob INVITE sdp=same
    1.0010 bob > proxy 200 sdp=recvonly
    1.0012 proxy > alice 200 sdp=same
    1.0020 alice > proxy ACK
    1.0022 proxy > bob ACK
    2.0000 alice > proxy BYE
    2.0002 proxy > bob BYE
    2.0006 bob > proxy 200
    2.0008 proxy > alice 200
    ",
    // Busy.
    "
    0.0000 alice > proxy INVITE 102
    0.0004 proxy > alice 100
    0.0006 proxy > bob INVITE 102@bob
    0.0010 bob > proxy 486
    0.0011 proxy > bob ACK
    0.0013 proxy > alice 486
    0.0020 alice > proxy ACK
    ",
    // The caller gives up.
    "
    0.0000 alice > proxy INVITE 102
    0.0004 proxy > alice 100
    0.0006 proxy > bob INVITE 102@bob
    0.0013 bob > proxy 180
    0.0015 proxy > alice 180
    0.9000 alice > proxy CANCEL
    0.9002 proxy > alice 200 for=CANCEL
    0.9003 proxy > bob CANCEL
    0.9006 bob > proxy 200 for=CANCEL
    0.9008 bob > proxy 487 for=INVITE
    0.9009 proxy > bob ACK
    0.9010 proxy > alice 487 for=INVITE
    0.9015 alice > proxy ACK
    ",
    // Two phones ring, and one answers.
    "
    0.0000 alice > proxy INVITE 600
    0.0004 proxy > alice 100
    0.0006 proxy > bob INVITE 102@bob
    0.0007 proxy > carol INVITE 103@carol
    0.0013 bob > proxy 180
    0.0014 carol > proxy 180
    0.0016 proxy > alice 180
    0.6049 carol > proxy 200
    0.6052 proxy > alice 200
    0.6053 proxy > bob CANCEL | Reason: SIP;cause=200;text=\"Call completed elsewhere\"
    0.6056 alice > proxy ACK
    0.6057 proxy > carol ACK
    0.6058 bob > proxy 200 for=CANCEL
    0.6059 bob > proxy 487 for=INVITE
    0.6060 proxy > bob ACK
    1.4100 alice > proxy BYE
    1.4102 proxy > carol BYE
    1.4103 carol > proxy 200
    1.4104 proxy > alice 200
    ",
    // One is busy, the next answers at once.
    "
    0.0000 alice > proxy INVITE 600
    0.0004 proxy > alice 100
    0.0006 proxy > bob INVITE 102@bob
    0.0013 bob > proxy 486
    0.0014 proxy > bob ACK
    0.0016 proxy > carol INVITE 103@carol
    0.0020 carol > proxy 180
    0.0022 proxy > alice 180
    0.6049 carol > proxy 200
    0.6052 proxy > alice 200
    0.6056 alice > proxy ACK
    0.6057 proxy > carol ACK
    1.4100 carol > proxy BYE
    1.4102 proxy > alice BYE
    1.4103 alice > proxy 200
    1.4104 proxy > carol 200
    ",
];

/// By how much a request that a worker sends is reported too late, and in which share.
const LATE_MICROS_MAX: i64 = 27_000;
const LATE_SHARE: f64 = 0.05;

/// The share of provisional responses that are lost.
const LOST_SHARE: f64 = 0.01;

/// Allowed difference: at most one call in so many.
const CALLS_PER_DIFFERENCE: usize = 10_000;

/// Returns what must be the same: of each party the statuses but for `Proceeding`, which a lost 180 costs, and whether
/// it has missed the call.
fn told(events: &[Event]) -> BTreeMap<(u8, String), Vec<String>> {
    let mut parties: BTreeMap<(u8, String), Vec<String>> = BTreeMap::new();
    for event in events {
        let party = &event.party;
        if party.status.code == StatusCode::Proceeding {
            continue;
        }
        let side = if party.direction == Direction::Outbound { &party.from } else { &party.to };
        let number = side.phone_number.as_deref().unwrap_or_default().to_owned();
        let status = format!("{:?} {:?} {}", party.status.code, party.status.reason, party.missed_call);
        parties.entry((party.direction as u8, number)).or_default().push(status);
    }
    parties
}

fn is_request_of_proxy(packet: &Packet, proxy: std::net::SocketAddr) -> bool {
    packet.src == proxy && !packet.payload.starts_with(b"SIP/2.0 ")
}

fn is_provisional(packet: &Packet) -> bool {
    packet.payload.starts_with(b"SIP/2.0 1")
}

#[test]
fn late_requests_and_lost_ringing_change_hardly_any_call() {
    let mut random = fastrand::Rng::with_seed(12);
    let flows: Vec<_> = FLOWS
        .iter()
        .map(|flow| {
            let packets = ladder(flow).packets;
            let in_order = told(&run(&packets));
            (packets, in_order)
        })
        .collect();
    let calls = size(6_000, 100_000);
    let (mut changed, mut differences) = (0, Vec::new());
    for number in 0..calls {
        let (packets, in_order) = &flows[number % flows.len()];
        let proxy = packets[0].dst;
        let mut reported = Vec::with_capacity(packets.len());
        let mut is_changed = false;
        for packet in packets {
            if is_provisional(packet) && random.f64() < LOST_SHARE {
                is_changed = true;
                continue;
            }
            let mut packet = packet.clone();
            if is_request_of_proxy(&packet, proxy) && random.f64() < LATE_SHARE {
                packet.at_micros += random.i64(1..=LATE_MICROS_MAX);
                is_changed = true;
            }
            reported.push(packet);
        }
        if !is_changed {
            continue;
        }
        changed += 1;
        reported.sort_by_key(|packet| packet.at_micros);
        let events = run(&reported);
        if told(&events) != *in_order {
            differences.push((number % flows.len(), written(&events)));
        }
    }
    println!("{calls} calls, {changed} of them reported otherwise: {} told otherwise", differences.len());
    assert!(changed > calls / 20, "{changed}");
    assert!(
        differences.len() <= calls / CALLS_PER_DIFFERENCE,
        "{} of {calls}: {:#?}",
        differences.len(),
        &differences[..differences.len().min(6)]
    );
}

#[test]
fn a_bye_of_the_callee_tells_of_an_answer_that_was_not_reported() {
    ladder(
        "
        0.000 alice > bob INVITE 102
        0.500 bob > alice 180
        9.000 bob > alice BYE
        9.010 alice > bob 200 for=BYE
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.000 inb 102 Setup
        0.500 inb 102 Proceeding
        0.500 out 101 Proceeding
        9.000 inb 102 Answered
        9.000 out 101 Answered
        9.000 inb 102 Disconnected
        9.000 out 101 Disconnected
        ",
    );
}

#[test]
fn a_bye_of_the_callee_behind_a_switch_tells_of_an_answer_that_was_not_reported() {
    ladder(
        "
        0.000 alice > pbx INVITE 102
        0.050 pbx > bob INVITE 102@bob call=2 from=101 name=Alice
        0.500 bob > pbx 180 call=2
        0.510 pbx > alice 180
        3.010 pbx > alice 200
        3.020 alice > pbx ACK
        9.000 bob > pbx BYE call=2
        9.010 pbx > alice BYE
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.050 inb 102 Setup
        0.500 inb 102 Proceeding
        0.510 out 101 Proceeding
        3.010 out 101 Answered
        9.000 inb 102 Answered
        9.000 inb 102 Disconnected
        9.010 out 101 Disconnected
        ",
    );
}

#[test]
fn a_bye_of_the_switch_tells_the_caller_of_an_answer_that_was_not_reported() {
    ladder(
        "
        0.000 alice > pbx INVITE 102
        0.050 pbx > bob INVITE 102@bob call=2 from=101 name=Alice
        0.500 bob > pbx 180 call=2
        0.510 pbx > alice 180
        3.000 bob > pbx 200 call=2
        3.030 pbx > bob ACK call=2
        9.000 bob > pbx BYE call=2
        9.010 pbx > alice BYE
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.050 inb 102 Setup
        0.500 inb 102 Proceeding
        0.510 out 101 Proceeding
        3.000 inb 102 Answered
        9.000 inb 102 Disconnected
        9.010 out 101 Answered
        9.010 out 101 Disconnected
        ",
    );
}

#[test]
fn a_bye_of_the_callee_through_a_proxy_tells_of_an_answer_that_was_not_reported() {
    ladder(
        "
        0.000 alice > proxy INVITE 102
        0.010 proxy > bob INVITE 102@bob
        0.500 bob > proxy 180
        0.510 proxy > alice 180
        9.000 bob > proxy BYE
        9.010 proxy > alice BYE
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.010 inb 102 Setup
        0.500 inb 102 Proceeding
        0.510 out 101 Proceeding
        9.000 inb 102 Answered
        9.000 out 101 Answered
        9.000 inb 102 Disconnected
        9.000 out 101 Disconnected
        ",
    );
}

#[test]
fn a_re_invite_tells_of_an_answer_that_was_not_reported() {
    ladder(
        "
        0.000 alice > bob INVITE 102
        0.500 bob > alice 180
        9.000 alice > bob INVITE in=dialog sdp=sendonly
        9.010 bob > alice 200 for=INVITE sdp=recvonly
        20.000 alice > bob BYE
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.000 inb 102 Setup
        0.500 inb 102 Proceeding
        0.500 out 101 Proceeding
        9.000 inb 102 Answered
        9.000 out 101 Answered
        9.010 out 101 Hold
        20.000 out 101 Disconnected
        20.000 inb 102 Disconnected
        ",
    );
}
