//! Scripts of the firm: one function for each kind of call, which lets people act and hosts answer.
//!
//! A switch stands between any two phones (a back-to-back user agent): `up` is the dialog of the caller
//! with it, `down` that of the switch with who is called.

use super::firm::{DOMAIN, MAILBOXES, PARKING, PBX, PICKUP, Person, SERVICE, TRUNK};
use super::sip::{Dialog, Party, Side, Wire};

/// A kind of call.
pub(super) struct Script {
    /// How many of the staff take part.
    pub(super) staff: usize,
    /// How many from outside.
    pub(super) outside: usize,
    /// Number of telephony sessions that it makes.
    pub(super) sessions: usize,
    /// Lets it happen, and says in a sentence what happens.
    pub(super) play: fn(&mut Wire<'_>, &Cast) -> String,
}

/// People of a call.
pub(super) struct Cast {
    pub(super) staff: Vec<Person>,
    pub(super) outside: Vec<Person>,
    /// The last digit of the slot in which a call is parked, from 1 to 9.
    pub(super) slot: u8,
}

/// All kinds of calls.
pub(super) const SCRIPTS: [Script; 11] = [
    Script { staff: 1, outside: 1, sessions: 1, play: answered },
    Script { staff: 2, outside: 0, sessions: 1, play: missed },
    Script { staff: 2, outside: 0, sessions: 1, play: busy },
    Script { staff: 2, outside: 0, sessions: 1, play: held },
    Script { staff: 1, outside: 1, sessions: 1, play: dialled_out },
    Script { staff: 2, outside: 1, sessions: 1, play: transferred_blind },
    Script { staff: 2, outside: 1, sessions: 2, play: transferred_attended },
    Script { staff: 2, outside: 1, sessions: 2, play: parked },
    Script { staff: 2, outside: 1, sessions: 1, play: picked_up },
    Script { staff: 1, outside: 1, sessions: 1, play: left_a_message },
    Script { staff: 2, outside: 1, sessions: 1, play: queued },
];

fn answered(wire: &mut Wire<'_>, cast: &Cast) -> String {
    let (caller, ann) = (&cast.outside[0], &cast.staff[0]);
    let (mut up, mut down) = connect(wire, caller, ann);
    wire.pass(6000);
    down.bye(wire, Side::Callee);
    up.bye(wire, Side::Callee);
    format!("{} calls {}, who answers", caller.name, ann.name)
}

fn missed(wire: &mut Wire<'_>, cast: &Cast) -> String {
    let (ann, bo) = (&cast.staff[0], &cast.staff[1]);
    let (mut up, mut down) = ring(wire, ann, bo);
    wire.pass(6000);
    up.cancel(wire, "");
    down.cancel(wire, "");
    format!("{} calls {} and gives up", ann.name, bo.name)
}

fn busy(wire: &mut Wire<'_>, cast: &Cast) -> String {
    let (ann, bo) = (&cast.staff[0], &cast.staff[1]);
    let mut up = dial(wire, ann, bo.number);
    let mut down = offer(wire, ann, bo);
    wire.pass(150);
    down.refuse(wire, "486 Busy Here");
    up.refuse(wire, "486 Busy Here");
    format!("{} calls {}, whose phone is busy", ann.name, bo.name)
}

fn held(wire: &mut Wire<'_>, cast: &Cast) -> String {
    let (ann, bo) = (&cast.staff[0], &cast.staff[1]);
    let (mut up, mut down) = connect(wire, ann, bo);
    wire.pass(3000);
    down.offer(wire, Side::Callee, "sendonly");
    wire.pass(4000);
    down.offer(wire, Side::Callee, "sendrecv");
    wire.pass(3000);
    up.bye(wire, Side::Caller);
    down.bye(wire, Side::Caller);
    format!("{} calls {}, who puts the call on hold for a moment", ann.name, bo.name)
}

fn dialled_out(wire: &mut Wire<'_>, cast: &Cast) -> String {
    let (ann, callee) = (&cast.staff[0], &cast.outside[0]);
    let mut up = dial(wire, ann, callee.number);
    let caller =
        Party { host: PBX, name: ann.name, address: &format!("{}@{DOMAIN}", ann.direct), contact: "" };
    let address = format!("{}@{}", callee.number, TRUNK.0.ip());
    let party = Party { host: TRUNK, name: "", address: &address, contact: callee.number };
    let mut down = Dialog::invite(wire, &caller, &party, &format!("sip:{}@{TRUNK}", callee.number), "");
    wire.pass(800);
    down.ring(wire);
    up.ring(wire);
    wire.pass(3000);
    down.answer(wire);
    up.answer(wire);
    wire.pass(7000);
    up.bye(wire, Side::Caller);
    down.bye(wire, Side::Caller);
    format!("{} calls {} outside", ann.name, callee.name)
}

fn transferred_blind(wire: &mut Wire<'_>, cast: &Cast) -> String {
    let (caller, ann, bo) = (&cast.outside[0], &cast.staff[0], &cast.staff[1]);
    let (mut up, mut down) = connect(wire, caller, ann);
    wire.pass(4000);
    down.refer(wire, Side::Callee, &format!("sip:{}@{DOMAIN}", bo.number));
    let mut target = offer(wire, caller, bo);
    wire.pass(300);
    target.ring(wire);
    down.notify(wire, Side::Caller, "180 Ringing");
    down.notify(wire, Side::Caller, "200 OK");
    down.bye(wire, Side::Callee);
    wire.pass(3000);
    target.answer(wire);
    wire.pass(6000);
    up.bye(wire, Side::Caller);
    target.bye(wire, Side::Caller);
    format!("{} calls {}, who transfers the call to {}", caller.name, ann.name, bo.name)
}

fn transferred_attended(wire: &mut Wire<'_>, cast: &Cast) -> String {
    let (caller, ann, bo) = (&cast.outside[0], &cast.staff[0], &cast.staff[1]);
    let (mut up, mut down) = connect(wire, caller, ann);
    wire.pass(3000);
    down.offer(wire, Side::Callee, "sendonly");
    wire.pass(1000);
    let (mut asked, mut target) = connect(wire, ann, bo);
    wire.pass(3000);
    down.refer(wire, Side::Callee, &format!("sip:{}@{DOMAIN}?{}", bo.number, asked.replaces()));
    down.notify(wire, Side::Caller, "100 Trying");
    down.notify(wire, Side::Caller, "200 OK");
    asked.bye(wire, Side::Callee);
    down.bye(wire, Side::Callee);
    wire.pass(6000);
    up.bye(wire, Side::Caller);
    target.bye(wire, Side::Caller);
    format!("{} calls {}, who asks {} first and then transfers the call", caller.name, ann.name, bo.name)
}

fn parked(wire: &mut Wire<'_>, cast: &Cast) -> String {
    let (caller, ann, bo) = (&cast.outside[0], &cast.staff[0], &cast.staff[1]);
    let slot = format!("{PARKING}{}", cast.slot);
    let (mut up, mut down) = connect(wire, caller, ann);
    wire.pass(3000);
    down.refer(wire, Side::Callee, &format!("sip:{slot}@{DOMAIN}"));
    down.notify(wire, Side::Caller, "200 OK");
    down.bye(wire, Side::Callee);
    wire.pass(5000);
    let mut retrieved = dial(wire, bo, &slot);
    retrieved.answer(wire);
    wire.pass(5000);
    retrieved.bye(wire, Side::Caller);
    up.bye(wire, Side::Callee);
    format!(
        "{} calls {}, who parks the call in {slot}, where {} retrieves it",
        caller.name, ann.name, bo.name
    )
}

fn picked_up(wire: &mut Wire<'_>, cast: &Cast) -> String {
    let (caller, ann, bo) = (&cast.outside[0], &cast.staff[0], &cast.staff[1]);
    let (mut up, mut down) = ring(wire, caller, ann);
    wire.pass(4000);
    let mut taken = dial(wire, bo, &format!("{PICKUP}{}", ann.number));
    taken.answer(wire);
    down.cancel(wire, "Reason: SIP;cause=200;text=\"Call completed elsewhere\"\r\n");
    up.answer(wire);
    wire.pass(5000);
    up.bye(wire, Side::Caller);
    taken.bye(wire, Side::Callee);
    format!("{} calls {}, whose phone rings until {} picks the call up", caller.name, ann.name, bo.name)
}

fn left_a_message(wire: &mut Wire<'_>, cast: &Cast) -> String {
    let (caller, ann) = (&cast.outside[0], &cast.staff[0]);
    let (mut up, mut down) = ring(wire, caller, ann);
    wire.pass(8000);
    down.cancel(wire, "");
    // The Request-URI says whose mailbox it is, and why (RFC 4458).
    let uri = format!("sip:voicemail@{MAILBOXES};target=sip:{}%40{DOMAIN};cause=408", ann.number);
    let address = format!("{}@{DOMAIN}", ann.number);
    let mailbox = Party { host: MAILBOXES, name: "", address: &address, contact: "voicemail" };
    let shown = address_shown(caller);
    let switch = Party { host: PBX, name: caller.name, address: &shown, contact: "" };
    let mut message = Dialog::invite(wire, &switch, &mailbox, &uri, "");
    message.answer(wire);
    up.answer(wire);
    wire.pass(6000);
    up.bye(wire, Side::Caller);
    message.bye(wire, Side::Caller);
    format!("{} calls {}, who does not answer, and leaves a message", caller.name, ann.name)
}

fn queued(wire: &mut Wire<'_>, cast: &Cast) -> String {
    let (caller, ann, bo) = (&cast.outside[0], &cast.staff[0], &cast.staff[1]);
    let mut up = dial(wire, caller, SERVICE.0);
    up.answer(wire);
    wire.pass(1500);
    let (mut first, mut second) = (offer(wire, caller, ann), offer(wire, caller, bo));
    wire.pass(300);
    first.ring(wire);
    second.ring(wire);
    wire.pass(3000);
    second.answer(wire);
    first.cancel(wire, "Reason: SIP;cause=200;text=\"Call completed elsewhere\"\r\n");
    wire.pass(7000);
    up.bye(wire, Side::Caller);
    second.bye(wire, Side::Caller);
    format!("{} calls the service queue, and {} answers", caller.name, bo.name)
}

/// A call that is answered.
fn connect(wire: &mut Wire<'_>, caller: &Person, callee: &Person) -> (Dialog, Dialog) {
    let (mut up, mut down) = ring(wire, caller, callee);
    wire.pass(2500);
    down.answer(wire);
    up.answer(wire);
    (up, down)
}

/// A call that rings.
fn ring(wire: &mut Wire<'_>, caller: &Person, callee: &Person) -> (Dialog, Dialog) {
    let number = if caller.host == TRUNK { callee.direct } else { callee.number };
    let mut up = dial(wire, caller, number);
    let mut down = offer(wire, caller, callee);
    wire.pass(300);
    down.ring(wire);
    up.ring(wire);
    (up, down)
}

/// Somebody calls a number of the firm, by the switch.
fn dial(wire: &mut Wire<'_>, caller: &Person, number: &str) -> Dialog {
    let host = if caller.host == TRUNK { PBX.0.ip().to_string() } else { DOMAIN.to_owned() };
    let (from, to) = match caller.host {
        TRUNK => (format!("{}@{}", caller.number, TRUNK.0.ip()), format!("{number}@{host}")),
        _ => (format!("{}@{DOMAIN}", caller.number), format!("{number}@{host}")),
    };
    let caller = Party { host: caller.host, name: caller.name, address: &from, contact: caller.number };
    let switch = Party { host: PBX, name: "", address: &to, contact: "" };
    let agent = if caller.host == TRUNK { "" } else { "User-Agent: Demo phone\r\n" };
    let dialog = Dialog::invite(wire, &caller, &switch, &format!("sip:{to}"), agent);
    wire.pass(20);
    dialog
}

/// The switch offers a call to the phone of somebody.
fn offer(wire: &mut Wire<'_>, caller: &Person, callee: &Person) -> Dialog {
    let (shown, address) = (address_shown(caller), format!("{}@{DOMAIN}", callee.number));
    let switch = Party { host: PBX, name: caller.name, address: &shown, contact: "" };
    let phone = Party { host: callee.host, name: "", address: &address, contact: callee.number };
    Dialog::invite(wire, &switch, &phone, &format!("sip:{}@{}", callee.number, callee.host), "")
}

/// Returns what the switch shows of a caller.
fn address_shown(caller: &Person) -> String {
    format!("{}@{DOMAIN}", caller.number)
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};
    use std::fmt::Write as _;

    use hookswitch_core::directory::Directory;
    use hookswitch_flows::ladder::{pipeline_of_sip, ready, send_captured};
    use hookswitch_model::{Direction, Event, StatusCode, Timestamp};
    use hookswitch_signal::capture::{Captured, Transport};

    use super::super::phones::{Phones, Step};
    use super::super::{firm, sip};
    use super::*;

    /// Sends messages through the product, and gives the events; nothing may be lost on the way.
    fn events_of<'a>(messages: impl Iterator<Item = &'a sip::Message>) -> Vec<Event> {
        let directory = Directory::parse(&firm::directory()).expect("a directory");
        let mut pipeline = pipeline_of_sip(directory);
        let mut events = Vec::new();
        for (number, message) in (1..).zip(messages) {
            let captured = Captured {
                time: Timestamp::from_micros(1_700_000_000_000_000) + message.at,
                transport: Transport::Udp,
                src: message.src.0,
                dst: message.dst.0,
                packet: number,
                correlation: None,
                payload: message.text.as_bytes(),
            };
            send_captured(&mut pipeline, &captured, number);
            events.extend(ready(&mut pipeline));
        }
        pipeline.finish();
        events.extend(ready(&mut pipeline));
        let counters = pipeline.sources().tracker_counters(0);
        let lost = (counters.stray, counters.refused, counters.retransmissions, counters.no_call);
        assert_eq!(lost, (0, 0, 0, 0), "{counters:?}");
        events
    }

    /// Each event on a line, sessions numbered as they begin.
    fn written(events: &[Event]) -> String {
        let directory = Directory::parse(&firm::directory()).expect("a directory");
        let agents = directory.accounts().next().expect("an account").extensions();
        let (mut text, mut sessions) = (String::new(), Vec::new());
        let mut in_time: Vec<&Event> = events.iter().collect();
        in_time.sort_by_key(|event| event.at);
        for event in in_time {
            if !sessions.contains(&event.session.id) {
                sessions.push(event.session.id);
            }
            let number = sessions.iter().position(|&known| known == event.session.id).expect("it is there");
            let party = &event.party;
            let side = if party.direction == Direction::Outbound { &party.from } else { &party.to };
            let who = side.name.as_deref().or(side.phone_number.as_deref()).unwrap_or("-");
            let _ = write!(text, "{} {who}", number + 1);
            // The leg of an agent shows the queue that calls.
            if party.queue_call
                && let Some(agent) = agents.iter().find(|agent| Some(agent.id) == party.extension)
            {
                let _ = write!(text, " at {}", agent.name.as_deref().unwrap_or("-"));
            }
            let _ = write!(text, ": {}", party.status.code);
            if let Some(reason) = party.status.reason {
                let _ = write!(text, "/{}", reason.as_str());
            }
            if let Some(slot) = &party.status.park_data {
                let _ = write!(text, " in {slot}");
            }
            text.push_str(if party.missed_call { " missed\n" } else { "\n" });
        }
        text
    }

    #[track_caller]
    fn tells(number: usize, expected: &str) {
        let script = &SCRIPTS[number];
        let cast = Cast {
            staff: firm::staff().into_iter().take(script.staff).collect(),
            outside: firm::outside().into_iter().take(script.outside).collect(),
            slot: 3,
        };
        let expected: String = expected
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .fold(String::new(), |text, line| text + line + "\n");
        for seed in 0..20 {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut wire = Wire::new(&mut random);
            (script.play)(&mut wire, &cast);
            let events = events_of(wire.messages.iter());
            let sessions: HashSet<_> = events.iter().map(|event| event.session.id).collect();
            assert_eq!(sessions.len(), script.sessions);
            let told = written(&events);
            assert!(told == expected, "told:\n{told}\nexpected:\n{expected}");
        }
    }

    #[test]
    fn an_answered_call() {
        tells(
            0,
            "
            1 Grace Hill: Setup
            1 Ann Lee: Setup
            1 Ann Lee: Proceeding
            1 Grace Hill: Proceeding
            1 Ann Lee: Answered
            1 Grace Hill: Answered
            1 Ann Lee: Disconnected
            1 Grace Hill: Disconnected
            ",
        );
    }

    #[test]
    fn a_missed_call() {
        tells(
            1,
            "
            1 Ann Lee: Setup
            1 Bo Roy: Setup
            1 Bo Roy: Proceeding
            1 Ann Lee: Proceeding
            1 Bo Roy: Disconnected/Cancelled missed
            1 Ann Lee: Disconnected
            ",
        );
    }

    #[test]
    fn a_busy_phone() {
        tells(
            2,
            "
            1 Ann Lee: Setup
            1 Bo Roy: Setup
            1 Bo Roy: Disconnected/TargetBusy missed
            1 Ann Lee: Disconnected/TargetBusy
            ",
        );
    }

    #[test]
    fn a_held_call() {
        tells(
            3,
            "
            1 Ann Lee: Setup
            1 Bo Roy: Setup
            1 Bo Roy: Proceeding
            1 Ann Lee: Proceeding
            1 Bo Roy: Answered
            1 Ann Lee: Answered
            1 Bo Roy: Hold
            1 Bo Roy: Answered
            1 Ann Lee: Disconnected
            1 Bo Roy: Disconnected
            ",
        );
    }

    #[test]
    fn a_call_to_outside() {
        tells(
            4,
            "
            1 Ann Lee: Setup
            1 +12125550147: Proceeding
            1 Ann Lee: Proceeding
            1 +12125550147: Answered
            1 Ann Lee: Answered
            1 Ann Lee: Disconnected
            1 +12125550147: Disconnected
            ",
        );
    }

    #[test]
    fn a_blind_transfer() {
        tells(
            5,
            "
            1 Grace Hill: Setup
            1 Ann Lee: Setup
            1 Ann Lee: Proceeding
            1 Grace Hill: Proceeding
            1 Ann Lee: Answered
            1 Grace Hill: Answered
            1 Bo Roy: Setup
            1 Bo Roy: Proceeding
            1 Ann Lee: Disconnected/BlindTransfer
            1 Bo Roy: Answered
            1 Grace Hill: Disconnected
            1 Bo Roy: Disconnected
            ",
        );
    }

    #[test]
    fn an_attended_transfer() {
        tells(
            6,
            "
            1 Grace Hill: Setup
            1 Ann Lee: Setup
            1 Ann Lee: Proceeding
            1 Grace Hill: Proceeding
            1 Ann Lee: Answered
            1 Grace Hill: Answered
            1 Ann Lee: Hold
            2 Ann Lee: Setup
            2 Bo Roy: Setup
            2 Bo Roy: Proceeding
            2 Ann Lee: Proceeding
            2 Bo Roy: Answered
            2 Ann Lee: Answered
            2 Ann Lee: Gone/AttendedTransfer
            1 Ann Lee: Gone/AttendedTransfer
            1 Grace Hill: Disconnected
            2 Bo Roy: Disconnected
            ",
        );
    }

    #[test]
    fn a_parked_call() {
        tells(
            7,
            "
            1 Grace Hill: Setup
            1 Ann Lee: Setup
            1 Ann Lee: Proceeding
            1 Grace Hill: Proceeding
            1 Ann Lee: Answered
            1 Grace Hill: Answered
            1 Ann Lee: Parked in 703
            2 Bo Roy: Setup
            1 Ann Lee: Gone/Pickup
            2 Bo Roy: Answered/Pickup
            2 Bo Roy: Disconnected
            1 Grace Hill: Disconnected
            ",
        );
    }

    #[test]
    fn a_pickup() {
        tells(
            8,
            "
            1 Grace Hill: Setup
            1 Ann Lee: Setup
            1 Ann Lee: Proceeding
            1 Grace Hill: Proceeding
            1 Bo Roy: Setup
            1 Bo Roy: Answered/Pickup
            1 Ann Lee: Disconnected/Pickup
            1 Grace Hill: Answered
            1 Grace Hill: Disconnected
            1 Bo Roy: Disconnected
            ",
        );
    }

    #[test]
    fn a_message_for_the_mailbox() {
        tells(
            9,
            "
            1 Grace Hill: Setup
            1 Ann Lee: Setup
            1 Ann Lee: Proceeding
            1 Grace Hill: Proceeding
            1 Ann Lee: VoiceMail missed
            1 Grace Hill: Answered
            1 Grace Hill: Disconnected
            1 Ann Lee: Disconnected missed
            ",
        );
    }

    #[test]
    fn a_call_to_the_queue() {
        tells(
            10,
            "
            1 Grace Hill: Setup
            1 Service: Setup
            1 Grace Hill: Answered
            1 Service at Ann Lee: Proceeding
            1 Service at Bo Roy: Proceeding
            1 Service at Bo Roy: Answered
            1 Service: Disconnected/AgentAnswered
            1 Service at Ann Lee: Disconnected/AgentAnswered
            1 Grace Hill: Disconnected
            1 Service at Bo Roy: Disconnected
            ",
        );
    }

    #[test]
    fn several_calls_at_once_are_told_as_each_alone() {
        for seed in 0..20 {
            let mut last = std::time::Duration::ZERO;
            let (mut begun, mut messages) = (0, Vec::new());
            for (at, step) in Phones::new(seed, true) {
                assert!(last <= at, "time does not run back");
                last = at;
                match step {
                    Step::Begin(_) => begun += 1,
                    Step::Send(message) => messages.push(message),
                }
            }
            assert_eq!(begun, SCRIPTS.len());
            let events = events_of(messages.iter());
            let sessions: HashSet<_> = events.iter().map(|event| event.session.id).collect();
            assert_eq!(sessions.len(), Phones::sessions_of_a_round(), "seed {seed}");
            let mut ended = HashMap::new();
            let mut statuses: HashMap<_, usize> = HashMap::new();
            for event in &events {
                let over = matches!(event.party.status.code, StatusCode::Disconnected | StatusCode::Gone);
                ended.insert(event.party.id, over);
                *statuses.entry(event.party.status.code.to_string()).or_default() += 1;
            }
            assert!(ended.values().all(|&over| over), "seed {seed}: every party ends");
            // As many as all the tables above have.
            for (status, count) in [
                ("Setup", 26),
                ("Proceeding", 23),
                ("Answered", 22),
                ("Hold", 2),
                ("Parked", 1),
                ("VoiceMail", 1),
                ("Gone", 3),
                ("Disconnected", 26),
            ] {
                assert_eq!(statuses.get(status), Some(&count), "seed {seed}: {status}");
            }
            assert_eq!(events.len(), 104, "seed {seed}");
        }
    }

    #[test]
    fn the_calls_of_a_seed_are_always_the_same_and_never_end() {
        let texts = |seed| -> Vec<String> {
            let steps = Phones::new(seed, false).take(2000);
            steps.map(|(at, step)| format!("{at:?} {step:?}")).collect()
        };
        assert_eq!(texts(1).len(), 2000);
        assert_eq!(texts(1), texts(1));
        assert_ne!(texts(1), texts(2));
    }
}
