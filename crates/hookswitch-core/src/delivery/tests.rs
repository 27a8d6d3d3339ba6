//! The deliveries in virtual time: a log that grows, receivers that fail in every way, and a server that
//! is killed and started again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hookswitch_model::{
    AccountId, Causes, Direction, Endpoint, Event, ExtensionId, InputRef, Origin, Party, Rule, SessionFacts,
    SessionId, Status, StatusCode, TelephonySessionId,
};
use proptest::prelude::*;

use super::*;
use crate::filter::{EventFilter, Own, Projection};
use crate::presence::ActiveCalls;
use crate::subscription::{Hearing, Owner, Suspension, Transport};

const OWN: Own = Own { account: AccountId::new(1016), extension: ExtensionId::new(2016) };
const HOST: &str = "receiver.example:443";
const SESSIONS: &str = "/restapi/v1.0/account/~/telephony/sessions";

fn at(millis: u64) -> Timestamp {
    Timestamp::from_micros(millis.cast_signed() * 1000)
}

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn logged(position: u64, session: u64, sequence: u32, code: StatusCode, now: Timestamp) -> Logged {
    let id = TelephonySessionId::new(session.into());
    let side = Arc::new(Endpoint { phone_number: Some(Arc::from("+14155550101")), ..Endpoint::default() });
    let status = Status { code, reason: None, park_data: None, peer: None, mobile_pickup: false };
    let event = Event {
        session: Arc::new(SessionFacts {
            account: OWN.account,
            id,
            session_id: SessionId::new(session),
            origin: Origin::Call,
        }),
        sequence,
        at: now,
        party: Party {
            account: OWN.account,
            extension: Some(OWN.extension),
            id: id.party(1),
            direction: Direction::Inbound,
            to: side.clone(),
            from: side,
            status,
            park: None,
            missed_call: false,
            stand_alone: false,
            muted: false,
            conference_role: None,
            ring_out_role: None,
            queue_call: false,
            recordings: Vec::new(),
            sip: None,
        },
        rule: Rule::LegAnswered,
        notes: hookswitch_model::Notes::default(),
        causes: Causes::one(InputRef::default()),
    };
    Logged { position, arrival: now, event: Arc::new(event), change: None }
}

fn subscription(bits: u128, filters: &[&str], lifetime: u64) -> Subscription {
    let lifetime = secs(lifetime);
    Subscription {
        id: SubscriptionId::from_bits(bits),
        owner: Owner {
            account: OWN.account,
            extension: OWN.extension,
            client_id: "app".into(),
            generation: Box::default(),
        },
        transport: Transport::WebHook,
        filters: filters.iter().map(|text| EventFilter::parse(text, OWN).unwrap()).collect(),
        created: at(0),
        lifetime,
        expires: at(0) + lifetime,
        standing: SubscriptionStatus::Active,
        paused: None,
        hearing: Hearing::default(),
    }
}

fn status(status: u16) -> Outcome {
    Outcome::Response { status, retry_after: None }
}

/// Behaviour of a receiver: what it answers, how long that takes, and whether it has taken the
/// notification all the same.
type Behaviour = Box<dyn FnMut(Received) -> (Outcome, Duration)>;

/// Notification as it arrives at a receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Received {
    at: Timestamp,
    subscription: SubscriptionId,
    session: u64,
    sequence: u32,
    attempt: u32,
}

/// A server without IO: the log, the machine, and what is under way.
struct World {
    now: Timestamp,
    log: Vec<Logged>,
    sequences: BTreeMap<u64, u32>,
    machine: Deliveries,
    policy: Policy,
    /// Progress as it would be on disk.
    stored: BTreeMap<SubscriptionId, (Subscription, Progress)>,
    under_way: BTreeMap<(Timestamp, u64), (InFlight, Outcome)>,
    started: u64,
    random: u32,
    receiver: Behaviour,
    /// Address that the notifications of a subscription go to.
    host: Box<dyn Fn(SubscriptionId) -> String>,
    received: Vec<Received>,
    reminders: Vec<Timestamp>,
    validations: Vec<Timestamp>,
    /// Set if validations pass.
    valid: bool,
    changes: Vec<(Timestamp, Change)>,
    in_flight_most: usize,
}

impl World {
    fn new(policy: Policy, receiver: impl FnMut(Received) -> (Outcome, Duration) + 'static) -> Self {
        Self {
            now: at(0),
            log: Vec::new(),
            sequences: BTreeMap::new(),
            machine: Deliveries::new(policy.clone(), 0),
            policy,
            stored: BTreeMap::new(),
            under_way: BTreeMap::new(),
            started: 0,
            random: 20,
            receiver: Box::new(receiver),
            host: Box::new(|_| HOST.to_owned()),
            received: Vec::new(),
            reminders: Vec::new(),
            validations: Vec::new(),
            valid: false,
            changes: Vec::new(),
            in_flight_most: 0,
        }
    }

    fn subscribe(&mut self, subscription: Subscription) -> SubscriptionId {
        let id = subscription.id;
        let progress = Progress { read: self.machine.feed(), live: true, open: Vec::new() };
        self.stored.insert(id, (subscription.clone(), progress.clone()));
        self.machine.add(subscription, &(self.host)(id), progress, self.now);
        self.work();
        id
    }

    fn emit(&mut self, session: u64, code: StatusCode) {
        self.emit_of(session, code, OWN.extension);
    }

    /// The same of a party that is this extension.
    fn emit_of(&mut self, session: u64, code: StatusCode, extension: ExtensionId) {
        let sequence = self.sequences.entry(session).or_insert(1);
        *sequence += 1;
        let mut logged = logged(self.log.len() as u64 + 1, session, *sequence, code, self.now);
        let mut event = (*logged.event).clone();
        event.party.extension = Some(extension);
        logged.event = Arc::new(event);
        self.log.push(logged.clone());
        self.machine.handle_event(&logged, self.now);
        self.work();
    }

    /// Carries out all that is to be done.
    fn work(&mut self) {
        loop {
            let mut done = true;
            while let Some(work) = self.machine.poll_work(self.now) {
                done = false;
                match work {
                    Work::Notify(due) => self.send(due),
                    Work::Remind { due, .. } => self.reminders.push(due),
                    Work::Validate(id) => {
                        self.validations.push(self.now);
                        self.machine.handle_validation(id, self.valid, self.now);
                    }
                    Work::Read { subscription, wanted } => {
                        let end = self.log.len() as u64;
                        let (read, end) = match &wanted {
                            Wanted::At(positions) => {
                                let read = positions.iter().map(|&at| self.log[at as usize - 1].clone());
                                (read.collect::<Vec<_>>(), end)
                            }
                            Wanted::After(after) => {
                                let read: Vec<_> =
                                    self.log[*after as usize..].iter().take(300).cloned().collect();
                                let end = if read.len() < 300 { end } else { after + 300 };
                                (read, end)
                            }
                        };
                        self.machine.handle_read(subscription, &wanted, &read, end, self.now);
                    }
                }
            }
            while let Some(change) = self.machine.poll_change() {
                done = false;
                match &change {
                    Change::Status(id, standing) => {
                        if let Some((subscription, _)) = self.stored.get_mut(id) {
                            subscription.standing = standing.clone();
                        }
                    }
                    Change::Expired(id) => drop(self.stored.remove(id)),
                }
                self.changes.push((self.now, change));
            }
            if done {
                break;
            }
        }
        self.in_flight_most = self.in_flight_most.max(self.machine.in_flight());
    }

    fn send(&mut self, due: Due) {
        let event = self.log[due.position as usize - 1].event.clone();
        if let Some(held) = &due.event {
            assert_eq!(held, &event);
        }
        let received = Received {
            at: self.now,
            subscription: due.subscription,
            session: event.session.id.as_u128() as u64,
            sequence: event.sequence,
            attempt: due.attempt,
        };
        self.received.push(received);
        let (outcome, took) = (self.receiver)(received);
        self.started += 1;
        self.under_way.insert((self.now + took, self.started), (due.sent(), outcome));
    }

    /// Lets time pass to an instant.
    fn run_until(&mut self, end: Timestamp) {
        loop {
            let answered = self.under_way.keys().next().map(|&(at, _)| at);
            let next = self.machine.poll_timeout().into_iter().chain(answered).min().filter(|&at| at <= end);
            let Some(next) = next else { break };
            self.now = self.now.max(next);
            if answered == Some(next) {
                let (_, (attempt, outcome)) = self.under_way.pop_first().expect("one is under way");
                self.random = self.random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                self.machine.handle_outcome(attempt, &outcome, self.random, self.now);
            } else {
                self.machine.handle_time(self.now);
            }
            self.work();
        }
        self.now = end;
        self.machine.handle_time(end);
        self.work();
    }

    fn run_for(&mut self, time: Duration) {
        self.run_until(self.now + time);
    }

    /// Writes to disk what has changed.
    fn store(&mut self) {
        for (id, progress) in self.machine.take_progress() {
            self.stored.get_mut(&id).expect("it is stored").1 = progress;
        }
    }

    /// The server is killed and started again from what is on disk.
    fn crash(&mut self) {
        self.under_way.clear();
        let feed = self.log.len() as u64;
        self.machine = Deliveries::new(self.policy.clone(), feed);
        for (subscription, progress) in self.stored.values() {
            self.machine.add(subscription.clone(), &(self.host)(subscription.id), progress.clone(), self.now);
        }
        self.work();
    }

    fn check_balance(&self) {
        let Counters { matched, attempted, acknowledged, failed, expired, dropped } = self.machine.counters();
        assert_eq!(matched, acknowledged + expired + dropped + self.machine.pending() as u64);
        assert!(attempted >= acknowledged + failed);
        assert_eq!(self.machine.in_flight(), self.under_way.len());
    }
}

fn at_once(status_code: u16) -> impl FnMut(Received) -> (Outcome, Duration) {
    move |_| (status(status_code), Duration::from_millis(5))
}

#[test]
fn positions_that_have_no_event_are_passed() {
    let mut machine = Deliveries::new(Policy::default(), 3);
    machine.handle_end(7);
    assert_eq!(machine.feed(), 7, "else they would be looked for without end");
    machine.handle_end(5);
    assert_eq!(machine.feed(), 7, "it does not go back");
}

#[test]
fn events_of_a_session_go_one_after_the_other_and_sessions_beside_each_other() {
    let mut world = World::new(Policy::default(), |_| (status(200), secs(1)));
    world.subscribe(subscription(1, &[SESSIONS], 3600));
    for session in [1, 2, 3] {
        world.emit(session, StatusCode::Setup);
        world.emit(session, StatusCode::Answered);
    }
    assert_eq!(world.received.len(), 3, "one of each session");
    world.run_for(Duration::from_millis(1500));
    let sequences: Vec<_> = world.received.iter().map(|it| (it.session, it.sequence)).collect();
    assert_eq!(sequences, [(1, 2), (2, 2), (3, 2), (1, 3), (2, 3), (3, 3)]);
    world.run_for(secs(1));
    assert_eq!(world.machine.pending(), 0);
    world.check_balance();
}

#[test]
fn a_failing_event_holds_back_its_own_session_alone() {
    let mut world = World::new(Policy::default(), |it| {
        (
            status(if (it.session, it.sequence) == (1, 2) && it.attempt < 4 { 500 } else { 200 }),
            Duration::from_millis(5),
        )
    });
    world.subscribe(subscription(1, &[SESSIONS], 3600));
    for session in [1, 2] {
        for code in [StatusCode::Setup, StatusCode::Answered, StatusCode::Disconnected] {
            world.emit(session, code);
        }
    }
    world.run_for(Duration::from_millis(100));
    let healthy: Vec<u32> =
        world.received.iter().filter(|it| it.session == 2).map(|it| it.sequence).collect();
    assert_eq!(healthy, [2, 3, 4]);
    world.run_for(secs(20));
    let failing: Vec<u32> =
        world.received.iter().filter(|it| it.session == 1).map(|it| it.sequence).collect();
    assert_eq!(failing, [2, 2, 2, 2, 3, 4]);
}

#[expect(clippy::disallowed_macros, reason = "what was measured is printed")]
#[test]
fn failing_sessions_do_not_slow_the_others_down() {
    const SESSIONS_MADE: u64 = 2000;
    // How long notifications of well sessions are on their way, 99 of 100; every twentieth may be ill.
    let p99 = |ill: bool| {
        let mut world = World::new(Policy::default(), move |it| {
            let fails = ill && it.session % 20 == 0 && it.attempt < 4;
            (status(if fails { 500 } else { 200 }), Duration::from_millis(20))
        });
        world.subscribe(subscription(1, &[SESSIONS], 86_400));
        let mut emitted = BTreeMap::new();
        for code in [StatusCode::Setup, StatusCode::Answered, StatusCode::Disconnected] {
            for session in 0..SESSIONS_MADE {
                world.emit(session, code);
                emitted.insert((session, world.sequences[&session]), world.now);
                world.run_for(Duration::from_millis(2));
            }
        }
        // Ill ones that were left alone would look like a receiver that is down.
        for _ in 0..1000 {
            world.emit(1, StatusCode::Hold);
            emitted.insert((1, world.sequences[&1]), world.now);
            world.run_for(Duration::from_millis(100));
        }
        assert_eq!(world.machine.counters().acknowledged, 3 * SESSIONS_MADE + 1000);
        let healthy = world.received.iter().filter(|it| it.session % 20 != 0);
        let mut waits: Vec<Duration> =
            healthy.map(|it| it.at.since(emitted[&(it.session, it.sequence)])).collect();
        waits.sort_unstable();
        waits[waits.len() * 99 / 100] + Duration::from_millis(20)
    };
    let (well, ill) = (p99(false), p99(true));
    println!("p99 of well sessions, with the answer: {well:?}; beside ill ones: {ill:?}");
    assert!(ill <= well.mul_f64(1.2), "{ill:?} against {well:?}");
}

#[test]
fn it_can_be_asked_how_far_a_notification_has_come() {
    let id = SubscriptionId::from_bits(1);
    let mut machine = Deliveries::new(Policy::default(), 0);
    machine.add(
        subscription(1, &[SESSIONS], 1000),
        HOST,
        Progress { live: true, ..Progress::default() },
        at(0),
    );
    for (position, sequence) in [(1, 2), (2, 3)] {
        machine.handle_event(&logged(position, 1, sequence, StatusCode::Answered, at(0)), at(0));
    }
    let session = TelephonySessionId::new(1);
    let Some(Work::Notify(due)) = machine.poll_work(at(0)) else { panic!("a notification") };
    let stages =
        |machine: &Deliveries, now| [1, 2, 3].map(|position| machine.stage(id, session, position, now));
    // What is not in the log yet will have its turn.
    let (sending, queued) = (Some(Stage::Sending), Some(Stage::Queued));
    assert_eq!(stages(&machine, at(0)), [sending, queued, queued]);
    machine.handle_outcome(due.sent(), &status(500), 20, at(10));
    let waiting = Some(Stage::Waiting(at(1010)));
    assert_eq!(stages(&machine, at(10)), [waiting, queued, queued]);
    machine.handle_time(at(1010));
    let Some(Work::Notify(due)) = machine.poll_work(at(1010)) else { panic!("the second attempt") };
    machine.handle_outcome(due.sent(), &status(200), 0, at(1020));
    assert_eq!(stages(&machine, at(1020)), [None, queued, queued]);
    assert_eq!(machine.stage(SubscriptionId::from_bits(2), session, 1, at(1020)), None);
}

#[test]
fn a_receiver_that_was_away_for_a_day_gets_all_of_it_in_order_and_once() {
    const DAY: u64 = 86_400;
    // Nobody answers from the first minute on.
    let mut world = World::new(Policy::default(), |it| {
        let away = (at(60_000)..at(DAY * 1000)).contains(&it.at);
        if away { (Outcome::TimedOut, secs(3)) } else { (status(200), Duration::from_millis(5)) }
    });
    let id = world.subscribe(subscription(1, &[SESSIONS], 7 * DAY));
    let codes = [StatusCode::Setup, StatusCode::Proceeding, StatusCode::Answered, StatusCode::Disconnected];
    let mut crashes = 0;
    for second in 0..DAY / 10 {
        world.emit(second / 4, codes[second as usize % 4]);
        world.run_for(secs(10));
        world.store();
        // Once an hour the server is killed.
        if second % 360 == 359 {
            world.crash();
            crashes += 1;
        }
    }
    let black = |change: &&(Timestamp, Change)| matches!(change.1, Change::Status(of, SubscriptionStatus::Blacklisted(_)) if of == id);
    assert_eq!((world.changes.iter().filter(black).count(), crashes), (1, 24));
    assert!(world.validations.len() >= 90, "every 15 minutes: {}", world.validations.len());
    world.valid = true;
    world.run_for(secs(3600));
    assert_eq!(world.machine.backlog(id), Some(Backlog::default()));
    let mut last = BTreeMap::new();
    let taken = world.received.iter().filter(|it| !(at(60_000)..at(DAY * 1000)).contains(&it.at));
    let mut count = 0;
    for it in taken {
        let before = last.insert(it.session, it.sequence).unwrap_or(1);
        assert_eq!(it.sequence, before + 1, "{it:?}");
        count += 1;
    }
    assert_eq!(count, DAY / 10);
    world.check_balance();
}

#[test]
fn a_receiver_that_fails_for_ten_minutes_is_blacklisted_and_goes_on_where_it_was() {
    let mut world = World::new(Policy::default(), at_once(500));
    let id = world.subscribe(subscription(1, &[SESSIONS], 86_400));
    world.emit(1, StatusCode::Setup);
    world.emit(1, StatusCode::Answered);
    world.run_until(at(599_000));
    assert_eq!(world.changes, []);
    world.run_until(at(601_000));
    let [(when, Change::Status(of, SubscriptionStatus::Blacklisted(why)))] = &world.changes[..] else {
        panic!("{:?}", world.changes)
    };
    assert_eq!((of, when.as_micros() / 1_000_000), (&id, 600));
    assert_eq!(why.reason, "Webhook response is not successful, code: [500], reason: [HTTP 500]");
    let attempts = world.received.len();
    assert!((9..=12).contains(&attempts), "{attempts}");

    // Nothing is sent, what happens is not lost, and every 15 minutes it is tried.
    for session in 2..4 {
        world.emit(session, StatusCode::Setup);
    }
    world.run_until(at(2_500_000));
    assert_eq!(world.received.len(), attempts);
    assert_eq!(world.validations.len(), 2);
    world.receiver = Box::new(at_once(200));
    world.valid = true;
    world.run_until(at(3_400_000));
    assert_eq!(
        world.changes.last().map(|(_, change)| change),
        Some(&Change::Status(id, SubscriptionStatus::Active))
    );
    let rest: Vec<_> = world.received[attempts..].iter().map(|it| (it.session, it.sequence)).collect();
    assert_eq!(rest.iter().copied().collect::<BTreeSet<_>>().len(), 4);
    assert_eq!(rest.iter().filter(|it| it.0 == 1).map(|it| it.1).collect::<Vec<_>>(), [2, 3]);
    world.check_balance();
}

#[test]
fn one_success_forgives_all_failures_before_it() {
    // Fails for nine minutes of each ten.
    let mut world = World::new(Policy::default(), |it| {
        let minute = it.at.as_micros() / 60_000_000 % 10;
        (status(if minute == 9 { 200 } else { 500 }), Duration::from_millis(5))
    });
    world.subscribe(subscription(1, &[SESSIONS], 86_400));
    for minute in 0..60 {
        world.emit(minute, StatusCode::Setup);
        world.run_for(secs(60));
    }
    assert_eq!(world.changes, []);
    assert_eq!(world.machine.pending(), 0);
}

#[test]
fn a_receiver_that_says_it_is_gone_is_left_alone_until_its_owner_renews() {
    let mut world = World::new(Policy::default(), at_once(410));
    let id = world.subscribe(subscription(1, &[SESSIONS], 864_000));
    world.emit(1, StatusCode::Setup);
    world.run_for(secs(7200));
    assert_eq!((world.received.len(), world.validations.len()), (1, 0));
    assert!(
        matches!(&world.changes[..], [(_, Change::Status(_, SubscriptionStatus::Blacklisted(it)))] if it.gone)
    );
    world.receiver = Box::new(at_once(200));
    world.machine.handle_validation(id, true, world.now);
    world.work();
    world.run_for(secs(1));
    assert_eq!(world.received.len(), 2);
    assert_eq!(world.machine.pending(), 0);
}

#[test]
fn a_receiver_gets_the_time_that_it_asks_for() {
    let asked = Outcome::Response { status: 503, retry_after: Some(secs(100)) };
    let mut world = World::new(Policy::default(), move |it| {
        (if it.attempt == 1 { asked.clone() } else { status(200) }, Duration::ZERO)
    });
    world.subscribe(subscription(1, &[SESSIONS], 3600));
    world.emit(1, StatusCode::Setup);
    world.run_for(secs(99));
    assert_eq!(world.received.len(), 1);
    world.run_for(secs(2));
    assert_eq!(world.received.len(), 2);
}

#[test]
fn ringing_is_given_up_when_it_is_old_and_the_end_of_a_call_is_not() {
    let policy = Policy { ringing_kept: Some(secs(10)), ..Policy::default() };
    let mut world = World::new(policy, |it| {
        (status(if it.at < at(60_000) { 500 } else { 200 }), Duration::from_millis(5))
    });
    world.subscribe(subscription(1, &[SESSIONS], 3600));
    for code in [StatusCode::Setup, StatusCode::Proceeding, StatusCode::Answered, StatusCode::Disconnected] {
        world.emit(1, code);
    }
    world.run_for(secs(300));
    let delivered: BTreeSet<u32> =
        world.received.iter().filter(|it| it.at >= at(60_000)).map(|it| it.sequence).collect();
    assert_eq!(delivered, [4, 5].into());
    assert_eq!(world.machine.counters().expired, 2);
    world.check_balance();
}

#[test]
fn a_dead_receiver_holds_a_bounded_part_of_the_log_and_gets_the_rest_when_it_is_back() {
    const EVENTS: u64 = 20_000;
    let mut world = World::new(Policy::default(), |it| {
        let dead = it.at < at(300_000);
        if dead { (Outcome::TimedOut, secs(3)) } else { (status(200), Duration::from_millis(5)) }
    });
    let id = world.subscribe(subscription(1, &[SESSIONS], 3600));
    let mut most = 0;
    for number in 0..EVENTS {
        world.emit(number / 4, StatusCode::Answered);
        world.run_for(Duration::from_millis(10));
        most = most.max(world.machine.queues[&id].bytes(900));
    }
    assert!(most <= 1024 * 1024, "{most} bytes");
    world.run_until(at(500_000));
    assert_eq!(world.machine.backlog(id), Some(Backlog::default()));
    let taken: BTreeSet<_> =
        world.received.iter().filter(|it| it.at >= at(300_000)).map(|it| (it.session, it.sequence)).collect();
    assert_eq!(taken.len() as u64, EVENTS);
    world.check_balance();
}

/// Returns how long the notifications of one healthy receiver take at most beside so many that never answer, with 25 calls a
/// second: once the others have shown themselves, and from the first.
fn slowest_beside(black_holes: u128, host: impl Fn(SubscriptionId) -> String + 'static) -> [Duration; 2] {
    let good = SubscriptionId::from_bits(1);
    let mut world = World::new(Policy::default(), move |it| {
        let answers = it.subscription == good;
        if answers { (status(200), Duration::from_millis(1)) } else { (Outcome::TimedOut, secs(3)) }
    });
    world.host = Box::new(host);
    for bits in 1..=black_holes + 1 {
        world.subscribe(subscription(bits, &[SESSIONS], 3600));
    }
    let mut slowest = [Duration::ZERO; 2];
    let mut emitted = Vec::new();
    for session in 0..250 {
        world.emit(session, StatusCode::Answered);
        emitted.push(world.now);
        world.run_for(Duration::from_millis(40));
    }
    world.run_for(secs(5));
    for (session, emitted) in (0..).zip(emitted) {
        let arrived = world.received.iter().find(|it| it.subscription == good && it.session == session);
        let took = arrived.expect("it arrives").at.since(emitted);
        slowest[1] = slowest[1].max(took);
        if emitted >= at(5_000) {
            slowest[0] = slowest[0].max(took);
        }
    }
    assert!(world.in_flight_most <= 8 * 512);
    world.check_balance();
    slowest
}

#[test]
fn receivers_that_never_answer_take_no_turns_from_the_others() {
    let good = SubscriptionId::from_bits(1);
    let one_host = move |id| if id == good { "good:80".to_owned() } else { "dead:80".to_owned() };
    let own_hosts = |id: SubscriptionId| format!("{id}:80");
    let all_of_one = |_| HOST.to_owned();
    let millis = Duration::from_millis;
    for (black_holes, later, first) in [(200, millis(0), millis(0)), (5000, millis(0), millis(0))] {
        let [rest, all] = slowest_beside(black_holes, one_host);
        assert!(rest <= later && all <= first, "{black_holes} on one host: {rest:?}, at first {all:?}");
    }
    for (black_holes, later, first) in [(200, millis(0), millis(0)), (1000, millis(0), millis(250))] {
        let [rest, all] = slowest_beside(black_holes, own_hosts);
        assert!(
            rest <= later && all <= first,
            "{black_holes} on hosts of their own: {rest:?}, at first {all:?}"
        );
    }
    let [rest, _] = slowest_beside(200, all_of_one);
    assert!(rest <= millis(0), "beside it on its own host: {rest:?}");
}

#[test]
fn a_host_that_answers_slowly_is_sent_as_much_as_it_answers() {
    let mut world = World::new(Policy::default(), |_| (status(200), Duration::from_millis(600)));
    for bits in 1..=300 {
        world.subscribe(subscription(bits, &[SESSIONS], 3600));
    }
    for session in 0..10 {
        world.emit(session, StatusCode::Answered);
        world.run_for(secs(1));
    }
    let late = world.received.iter().filter(|it| it.at > at(1000 * it.session + 600)).count();
    assert_eq!((world.received.len(), late), (3000, 0), "all begin before the first of them was answered");
    world.check_balance();
}

#[test]
fn all_is_sent_to_a_host_that_answers_again() {
    let mut world = World::new(Policy::default(), move |it| {
        if it.at < at(60_000) {
            (Outcome::TimedOut, secs(3))
        } else {
            (status(200), Duration::from_millis(5))
        }
    });
    for bits in 1..=2000 {
        world.subscribe(subscription(bits, &[SESSIONS], 3600));
    }
    world.emit(1, StatusCode::Setup);
    world.emit(1, StatusCode::Answered);
    world.run_until(at(60_000));
    let silent = world.received.len();
    assert!(silent < 2500, "{silent} attempts at a host that does not answer");
    world.run_until(at(200_000));
    let taken: BTreeSet<_> = world
        .received
        .iter()
        .filter(|it| it.at >= at(60_000))
        .map(|it| (it.subscription, it.sequence))
        .collect();
    assert_eq!(taken.len(), 4000);
    assert_eq!(world.machine.pending(), 0);
    world.check_balance();
}

#[test]
fn a_subscription_ends_with_its_lifetime_after_reminders() {
    let reminders = "/restapi/v1.0/subscription/~?threshold=50&interval=20";
    let mut world = World::new(Policy::default(), at_once(500));
    let id = world.subscribe(subscription(1, &[SESSIONS, reminders], 100));
    world.emit(1, StatusCode::Setup);
    world.run_for(secs(99));
    assert_eq!(world.reminders, [at(50_000), at(70_000), at(90_000)]);
    assert_eq!(world.changes, []);
    world.run_for(secs(2));
    assert_eq!(world.changes, [(at(100_000), Change::Expired(id))]);
    assert_eq!(world.machine.counters().dropped, 1);
    world.check_balance();
}

#[test]
fn a_renewed_subscription_lives_on_and_other_filters_hold_from_then_on() {
    let mut world = World::new(Policy::default(), at_once(200));
    let mut one = subscription(1, &[SESSIONS], 100);
    world.subscribe(one.clone());
    world.run_for(secs(90));
    one.renew(world.now);
    one.filters = subscription(1, &[&format!("{SESSIONS}?statusCode=Disconnected")], 1).filters;
    world.machine.update(&one, world.now);
    world.run_for(secs(50));
    world.emit(1, StatusCode::Answered);
    world.emit(1, StatusCode::Disconnected);
    world.run_for(secs(1));
    assert_eq!(world.received.iter().map(|it| it.sequence).collect::<Vec<_>>(), [3]);
    world.run_for(secs(50));
    assert_eq!(world.changes.len(), 1);
}

#[test]
fn a_subscription_without_the_right_is_sent_nothing_and_goes_on_where_it_was() {
    let mut world = World::new(Policy::default(), at_once(200));
    let mut one = subscription(1, &[SESSIONS], 3600);
    world.subscribe(one.clone());
    world.emit(1, StatusCode::Setup);
    world.run_for(secs(1));
    assert_eq!(world.received.len(), 1);
    one.hearing.suspension = Some(Suspension { reason: "the user is disabled".into() });
    world.machine.update(&one, world.now);
    for sequence in 0..3 {
        world.emit(2 + sequence, StatusCode::Setup);
    }
    world.run_for(secs(60));
    assert_eq!(world.received.len(), 1, "nothing is sent meanwhile");
    one.hearing.suspension = None;
    one.paused = Some(world.now);
    world.machine.update(&one, world.now);
    world.emit(9, StatusCode::Setup);
    world.run_for(secs(60));
    assert_eq!(world.received.len(), 1, "nor while an operator has paused it");
    one.paused = None;
    world.machine.update(&one, world.now);
    world.run_for(secs(1));
    let sessions: Vec<u64> = world.received.iter().map(|received| received.session).collect();
    assert_eq!(sessions, [1, 2, 3, 4, 9]);
    world.check_balance();
}

#[test]
fn a_right_that_is_narrowed_holds_for_what_waits_already() {
    // The receiver is down, so that all waits.
    let mut world = World::new(Policy::default(), at_once(503));
    let mut one = subscription(1, &[SESSIONS], 3600);
    one.hearing.whole_account = true;
    world.subscribe(one.clone());
    world.emit(1, StatusCode::Setup);
    world.emit_of(2, StatusCode::Setup, ExtensionId::new(7));
    world.run_for(secs(1));
    one.hearing.whole_account = false;
    world.machine.update(&one, world.now);
    world.received.clear();
    world.receiver = Box::new(at_once(200));
    world.emit_of(3, StatusCode::Setup, ExtensionId::new(7));
    world.run_for(secs(60));
    let sessions: Vec<u64> = world.received.iter().map(|received| received.session).collect();
    assert_eq!(sessions, [1], "the own extension's alone");
    world.check_balance();
}

#[test]
fn what_the_log_has_no_longer_is_counted_and_holds_nobody_back() {
    let mut machine = Deliveries::new(Policy::default(), 10);
    let one = subscription(1, &[SESSIONS], 3600);
    let id = one.id;
    machine.add(one, HOST, Progress { read: 10, live: true, open: vec![3, 7] }, at(0));
    let Some(Work::Read { wanted, .. }) = machine.poll_work(at(0)) else { panic!("a read") };
    assert_eq!(wanted, Wanted::At(vec![3, 7]));
    machine.handle_read(id, &wanted, &[logged(7, 1, 2, StatusCode::Setup, at(0))], 10, at(0));
    assert_eq!(machine.counters().expired, 1);
    let Some(Work::Read { wanted, .. }) = machine.poll_work(at(0)) else { panic!("a read") };
    machine.handle_read(id, &wanted, &[], 10, at(0));
    let Some(Work::Notify(due)) = machine.poll_work(at(0)) else { panic!("a notification") };
    assert_eq!(due.position, 7);
    machine.handle_outcome(due.sent(), &Outcome::Missing, 0, at(1));
    assert_eq!(machine.backlog(id), Some(Backlog::default()));
    assert_eq!(machine.counters().expired, 2);
}

/// Returns what is sent now, each answered at once: its position and whether it is of calls.
fn sent(machine: &mut Deliveries, now: Timestamp) -> Vec<(u64, bool)> {
    let mut sent = Vec::new();
    while let Some(work) = machine.poll_work(now) {
        let Work::Notify(due) = work else { panic!("{work:?}") };
        sent.push((due.position, matches!(due.projection, Projection::Calls { .. })));
        machine.handle_outcome(due.sent(), &status(200), 0, now);
    }
    sent
}

#[test]
fn the_calls_of_an_extension_are_told_in_order_across_its_sessions() {
    let presence = "/restapi/v1.0/account/~/extension/~/presence";
    let mut machine = Deliveries::new(Policy::default(), 0);
    let one = subscription(1, &[SESSIONS, presence], 3600);
    let id = one.id;
    machine.add(one, "hook.example", Progress { read: 0, live: true, open: Vec::new() }, at(0));
    assert!(machine.wants_changes() && machine.wants_changes_for(id));
    let mut calls = ActiveCalls::default();
    let mut log = Vec::new();
    for (position, session) in [(1, 1), (2, 2)] {
        let mut logged = logged(position, session, 2, StatusCode::Setup, at(0));
        logged.change = calls.apply(&logged.event, position).map(Arc::new);
        machine.handle_event(&logged, at(0));
        log.push(logged);
    }
    // Both sessions at once; of the calls the second waits for the first.
    let mut under_way = Vec::new();
    while let Some(Work::Notify(due)) = machine.poll_work(at(0)) {
        under_way.push(due);
    }
    let of_calls = |due: &Due| matches!(due.projection, Projection::Calls { .. });
    assert_eq!(
        under_way.iter().map(|due| (due.position, of_calls(due))).collect::<Vec<_>>(),
        [(1, false), (1, true), (2, false)]
    );
    assert_eq!(machine.counters().matched, 4);
    for due in under_way {
        machine.handle_outcome(due.sent(), &status(200), 0, at(1));
    }
    assert_eq!(sent(&mut machine, at(1)), [(2, true)]);
    assert_eq!(machine.backlog(id), Some(Backlog::default()));
    assert_eq!(machine.counters().acknowledged, 4);

    // After a crash with an event of which one notification was taken, both are sent, from the log.
    let mut again = Deliveries::new(Policy::default(), 2);
    again.add(
        subscription(1, &[SESSIONS, presence], 3600),
        "hook.example",
        Progress { read: 2, live: true, open: vec![2] },
        at(2),
    );
    let Some(Work::Read { wanted, .. }) = again.poll_work(at(2)) else { panic!("a read") };
    again.handle_read(id, &wanted, &log[1..], 2, at(2));
    let Some(Work::Read { wanted, .. }) = again.poll_work(at(2)) else { panic!("a read") };
    again.handle_read(id, &wanted, &[], 2, at(2));
    assert_eq!(sent(&mut again, at(2)), [(2, false), (2, true)]);
    let counters = again.counters();
    assert_eq!((counters.matched, counters.acknowledged, again.pending()), (2, 2, 0));
}

#[test]
fn a_change_of_calls_that_nobody_can_make_again_is_given_up_and_counted() {
    let mut machine = Deliveries::new(Policy::default(), 5);
    let one = subscription(1, &["/restapi/v1.0/account/~/extension/~/presence"], 3600);
    let id = one.id;
    machine.add(one, "hook.example", Progress { read: 5, live: true, open: vec![4] }, at(0));
    let Some(Work::Read { wanted, .. }) = machine.poll_work(at(0)) else { panic!("a read") };
    machine.handle_read(id, &wanted, &[logged(4, 1, 2, StatusCode::Setup, at(0))], 5, at(0));
    let counters = machine.counters();
    assert_eq!((counters.matched, counters.expired, machine.pending()), (1, 1, 0));
}

/// Step of a random run.
#[derive(Clone, Copy, Debug)]
enum Step {
    Emit { session: u64, answered: bool },
    Wait { millis: u64 },
    Store,
    Crash,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => (0..12_u64, any::<bool>()).prop_map(|(session, answered)| Step::Emit { session, answered }),
        3 => (0..5000_u64).prop_map(|millis| Step::Wait { millis }),
        1 => (0..900_000_u64).prop_map(|millis| Step::Wait { millis }),
        2 => Just(Step::Store),
        1 => Just(Step::Crash),
    ];
    proptest::collection::vec(step, 1..200)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever receivers answer and whenever the server is killed: every event that matched arrives at
    /// least once, none before its predecessor in the session, and nothing is sent again that was stored
    /// as acknowledged.
    #[test]
    fn every_event_arrives_in_order_at_least_once(steps in steps(), answers in proptest::collection::vec(0..10_u8, 1..64), parallel_max in 1..5_usize) {
        let mut turn = 0;
        let chaotic = move |_: Received| {
            turn += 1;
            match answers[turn % answers.len()] {
                0..5 => (status(200), Duration::from_millis(turn as u64 % 7 * 100)),
                5 | 6 => (status(500), Duration::from_millis(20)),
                7 => (Outcome::TimedOut, secs(3)),
                8 => (Outcome::Response { status: 429, retry_after: Some(secs(40)) }, Duration::ZERO),
                _ => (Outcome::Failed("Connection refused".into()), Duration::ZERO),
            }
        };
        let policy = Policy { parallel_max, in_flight_max: 6, ..Policy::default() };
        let mut world = World::new(policy, chaotic);
        world.valid = true;
        let all = world.subscribe(subscription(1, &[SESSIONS], 864_000));
        let answered = world.subscribe(subscription(2, &[&format!("{SESSIONS}?statusCode=Answered")], 864_000));
        for step in steps {
            match step {
                Step::Emit { session, answered } => {
                    world.emit(session, if answered { StatusCode::Answered } else { StatusCode::Hold });
                }
                Step::Wait { millis } => world.run_for(Duration::from_millis(millis)),
                Step::Store => world.store(),
                Step::Crash => {
                    // What was acknowledged and stored is sent no more.
                    world.store();
                    let open: BTreeMap<_, BTreeSet<u64>> = world
                        .stored
                        .iter()
                        .map(|(&id, (_, progress))| (id, progress.open.iter().copied().collect()))
                        .collect();
                    let reads: BTreeMap<_, u64> =
                        world.stored.iter().map(|(&id, (_, progress))| (id, progress.read)).collect();
                    let before = world.received.len();
                    world.crash();
                    for it in &world.received[before..] {
                        let position = world.log.iter().find(|logged| {
                            logged.event.session.id == TelephonySessionId::new(it.session.into())
                                && logged.event.sequence == it.sequence
                        });
                        let position = position.expect("it is in the log").position;
                        let known = open[&it.subscription].contains(&position) || position > reads[&it.subscription];
                        prop_assert!(known, "sent again after it was acknowledged");
                    }
                }
            }
            world.check_balance();
        }
        world.receiver = Box::new(at_once(200));
        world.run_for(secs(7200));
        for (id, hears) in [(all, false), (answered, true)] {
            prop_assert_eq!(world.machine.backlog(id), Some(Backlog::default()));
            let wanted: BTreeSet<(u64, u32)> = world
                .log
                .iter()
                .filter(|logged| !hears || logged.event.party.status.code == StatusCode::Answered)
                .map(|logged| (logged.event.session.id.as_u128() as u64, logged.event.sequence))
                .collect();
            let mut first = BTreeSet::new();
            for it in world.received.iter().filter(|it| it.subscription == id) {
                let before = wanted.range((it.session, 0)..(it.session, it.sequence));
                prop_assert!(before.into_iter().all(|one| first.contains(one)), "out of order: {:?}", it);
                first.insert((it.session, it.sequence));
            }
            prop_assert_eq!(first, wanted);
        }
        world.check_balance();
    }
}
