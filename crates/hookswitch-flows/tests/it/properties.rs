//! Properties of every mixture of calls, not of one call.

use std::collections::HashMap;
use std::sync::LazyLock;

use hookswitch_core::filter::Projection;
use hookswitch_core::notification::Subscriber;
use hookswitch_model::{Event, ExtensionId, TelephonySessionId};
use proptest::prelude::*;

use crate::catalogue::ladders;
use hookswitch_flows::ladder::{Ladder, Packet, run, written};

/// Calls of different kinds; several go through the same proxies and the same PBX.
pub(crate) const FLOWS: &[&str] = &[
    "
    0.000 alice > bob INVITE 102
    0.500 bob > alice 180
    3.000 bob > alice 200
    3.010 alice > bob ACK
    4.000 bob > alice INVITE sdp=sendonly
    4.010 alice > bob 200 sdp=recvonly
    5.000 bob > alice BYE
    ",
    "
    0.000 alice > pbx INVITE 102
    0.005 pbx > alice 401
    0.010 alice > pbx ACK
    0.020 alice > pbx INVITE 102
    0.050 pbx > bob INVITE 102@bob call=2 from=101 name=Alice
    0.500 bob > pbx 180 call=2
    0.510 pbx > alice 180
    3.000 bob > pbx 200 call=2
    3.020 pbx > alice 200
    4.000 alice > pbx BYE
    4.020 pbx > bob BYE call=2
    ",
    "
    0.000 alice > pbx INVITE 600
    0.050 pbx > bob INVITE 102@bob call=2 from=101 name=Alice
    0.051 pbx > carol INVITE 103@carol call=3 from=101 name=Alice
    0.500 bob > pbx 180 call=2
    0.510 pbx > alice 180
    0.600 carol > pbx 180 call=3
    3.000 carol > pbx 200 call=3
    3.010 pbx > bob CANCEL call=2
    3.015 pbx > alice 200
    3.030 bob > pbx 487 call=2 for=INVITE
    ",
    "
    0.000 alice > proxy INVITE 102
    0.010 proxy > proxy2 INVITE
    0.020 proxy2 > bob INVITE 102@bob
    0.500 bob > proxy2 180
    0.505 proxy2 > proxy 180
    0.510 proxy > alice 180
    2.000 alice > proxy CANCEL
    2.002 proxy > proxy2 CANCEL
    2.004 proxy2 > bob CANCEL
    2.020 bob > proxy2 487 for=INVITE
    2.030 proxy2 > proxy 487 for=INVITE
    2.040 proxy > alice 487 for=INVITE
    ",
    "
    0.000 trunk > pbx INVITE +14155559000 name=Pat
    0.050 pbx > bob INVITE 102@bob call=2 from=+14155550100 name=Pat
    0.500 bob > pbx 486 call=2
    0.510 pbx > trunk 486
    ",
    "
    0.000 alice > proxy INVITE 600
    0.010 proxy > bob INVITE 102@bob
    0.011 proxy > carol INVITE 103@carol
    0.500 bob > proxy 180
    0.510 proxy > alice 180
    0.600 carol > proxy 180
    2.000 bob > proxy 603
    3.000 carol > proxy 200
    3.010 proxy > alice 200
    4.000 carol > alice BYE
    ",
    "
    0.000 alice > bob INVITE 102
    0.500 bob > alice 180
    1.000 bob > alice 200
    1.010 alice > bob ACK
    2.000 bob > alice REFER | Refer-To: <sip:{user=103}@{carol}>
    2.010 alice > bob 202
    2.020 bob > alice BYE
    2.030 alice > bob 200
    2.100 alice > carol INVITE 103 call=2
    2.500 carol > alice 180 call=2
    3.000 carol > alice 200 call=2
    3.010 alice > carol ACK call=2
    4.000 carol > alice BYE call=2
    ",
    "
    0.000 alice > pbx INVITE 102
    0.050 pbx > bob INVITE 102@bob call=2 from=101 name=Alice
    0.500 bob > pbx 180 call=2
    1.000 bob > pbx 200 call=2
    1.020 pbx > alice 200
    2.000 bob > pbx REFER call=2 | Refer-To: <sip:{user=103}@{pbx}>
    2.010 pbx > bob 202 call=2
    2.020 pbx > carol INVITE 103@carol call=3 from=101 name=Alice
    2.030 bob > pbx BYE call=2
    2.500 carol > pbx 180 call=3
    3.000 carol > pbx 200 call=3
    4.000 carol > pbx BYE call=3
    4.020 pbx > alice BYE
    ",
    "
    0.000 alice > pbx INVITE 102
    0.050 pbx > bob INVITE 102@bob call=2 from=101 name=Alice
    0.500 bob > pbx 180 call=2
    1.000 bob > pbx 200 call=2
    1.020 pbx > alice 200
    2.000 bob > pbx INVITE 103 call=3
    2.050 pbx > carol INVITE 103@carol call=4 from=102 name=Bob
    2.500 carol > pbx 180 call=4
    3.000 carol > pbx 200 call=4
    3.020 pbx > bob 200 call=3
    4.000 bob > pbx REFER call=2 | Refer-To: <sip:{user=103}@{pbx}?Replaces={escaped=3@pbx}>
    4.010 pbx > bob 202 call=2
    4.020 pbx > bob NOTIFY call=2 frag=200
    4.030 pbx > bob BYE call=3
    4.040 bob > pbx BYE call=2
    5.000 alice > pbx BYE
    5.020 pbx > carol BYE call=4
    ",
    "
    0.000 alice > pbx INVITE 102
    0.050 pbx > bob INVITE 102@bob call=2 from=101 name=Alice
    0.500 bob > pbx 180 call=2
    0.510 pbx > alice 180
    2.000 carol > pbx INVITE **102 call=3
    2.010 pbx > carol 200 call=3
    2.020 pbx > bob CANCEL call=2
    2.030 bob > pbx 487 call=2 for=INVITE
    2.040 pbx > alice 200
    4.000 alice > pbx BYE
    4.020 pbx > carol BYE call=3
    ",
    "
    0.000 alice > bob INVITE 102
    0.500 bob > alice 180
    1.000 bob > alice 200
    1.010 alice > bob ACK
    2.000 bob > park REFER park@server.example.com call=2 | Refer-To: <sip:{user=101}@{alice}?Replaces={escaped=1@alice}>
    2.010 park > bob 202 call=2
    2.100 park > alice INVITE 101@alice call=3 features=automaton | Replaces: {replaces=1@alice}
    2.110 alice > park 200 call=3
    2.130 alice > bob BYE
    2.150 park > bob NOTIFY call=2 frag=200
    4.000 carol > alice INVITE 101@alice call=4 | Replaces: {replaces=3@alice}
    4.010 alice > carol 200 call=4
    4.030 alice > park BYE call=3
    5.000 alice > carol BYE call=4
    ",
];

/// Returns what subscribers get of each session, byte for byte.
pub(crate) fn notifications(events: &[Event]) -> HashMap<TelephonySessionId, Vec<String>> {
    let filters = ["/restapi/v1.0/account/~/telephony/sessions".to_owned()];
    let subscriber = Subscriber::of_replay(&filters, ExtensionId::new(310_001_016));
    let mut of_session: HashMap<_, Vec<String>> = HashMap::new();
    for event in events {
        let mut line = Vec::new();
        subscriber.write(event, Projection::default(), event.at, &mut line);
        of_session.entry(event.session.id).or_default().push(String::from_utf8(line).expect("JSON is UTF-8"));
    }
    of_session
}

/// A flow between the people of a world, begun some time after the others.
fn call(flow: usize, world: u8, after_micros: i64) -> Vec<Packet> {
    let mut packets = Ladder::in_world(FLOWS[flow], world).packets;
    for packet in &mut packets {
        packet.at_micros += after_micros;
    }
    packets
}

#[test]
fn a_flow_tells_the_same_between_other_people() {
    let statuses = |world| {
        let told = FLOWS.iter().flat_map(|flow| written(&run(&Ladder::in_world(flow, world).packets)));
        let without_numbers =
            |word: &&str| !word.trim_start_matches(['+', '#']).chars().all(char::is_numeric);
        told.map(|line| line.split(' ').filter(without_numbers).collect::<Vec<_>>().join(" "))
            .collect::<Vec<_>>()
    };
    let of_the_first = statuses(0);
    assert!(of_the_first.iter().any(|line| line.contains("Gone/AttendedTransfer")), "{of_the_first:?}");
    assert!(of_the_first.iter().any(|line| line.contains("Gone/Pickup")), "{of_the_first:?}");
    assert_eq!(statuses(3), of_the_first);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn calls_that_run_at_the_same_time_tell_what_they_tell_alone(
        calls in prop::collection::vec((0..FLOWS.len(), 0i64..4_000_000), 2..12)
    ) {
        let mut together = Vec::new();
        let mut alone = HashMap::new();
        for (world, &(flow, after_micros)) in calls.iter().enumerate() {
            let packets = call(flow, world as u8 + 1, after_micros);
            alone.extend(notifications(&run(&packets)));
            together.extend(packets);
        }
        together.sort_by_key(|packet| packet.at_micros);
        let events = run(&together);
        prop_assert_eq!(&notifications(&events), &alone);
        prop_assert_eq!(notifications(&run(&together)), alone, "the same input gives the same bytes");
    }

    #[test]
    fn lost_repeated_and_reordered_messages_break_no_rule(
        flow in any::<prop::sample::Index>(),
        other in any::<prop::sample::Index>(),
        picks in prop::collection::vec(any::<prop::sample::Index>(), 0..80),
    ) {
        // Of one call flow of the catalogue, or of two between the same people.
        static LADDERS: LazyLock<Vec<Ladder>> = LazyLock::new(ladders);
        let flow = flow.get(&LADDERS);
        let mut packets = flow.packets.clone();
        if picks.len() > 40 {
            packets.extend(other.get(&LADDERS).packets.iter().cloned());
        }
        // `run` checks what must hold for any list of events.
        let mixed: Vec<Packet> = picks.iter().map(|pick| pick.get(&packets).clone()).collect();
        let mut in_time = mixed.clone();
        in_time.sort_by_key(|packet| packet.at_micros);
        flow.run(&in_time);
        // What comes out of order is seen when it comes.
        let mut late = mixed;
        let start = late.iter().map(|packet| packet.at_micros).min().unwrap_or_default();
        for (packet, at) in late.iter_mut().zip((start..).step_by(150_000)) {
            packet.at_micros = at;
        }
        flow.run(&late);
    }
}
