//! A source that names the account of a call is not contradicted by the directory, and reaches no call of
//! another account.

use std::sync::Arc;
use std::time::Duration;

use hookswitch_core::directory::Directory;
use hookswitch_core::engine::{Engine, Policy};
use hookswitch_model::{
    AccountId, Caller, Cause, ClockId, Direction, Event, FarEnd, InputRef, LegCreated, LegId, LegRelation,
    Signal, SignalKind, SipData, StatusCode, Timestamp, Transfer,
};

const NORTH: AccountId = AccountId::new(310_001_016);
const SOUTH: AccountId = AccountId::new(420_002_027);

const DIRECTORY: &str = r#"
[[account]]
id = 310001016
country_code = "1"
domains = ["north.example"]
[[account.extension]]
number = "101"
[[account.extension]]
number = "102"
[[account]]
id = 420002027
country_code = "1"
domains = ["south.example"]
[[account.extension]]
number = "101"
numbers = ["+14155550201"]
[[account.extension]]
number = "102"
[[account.trunk]]
addresses = ["192.0.2.2"]
"#;

/// A machine with two accounts, and signals to it that are a second apart.
struct Scenario {
    engine: Engine,
    seconds: u64,
}

impl Scenario {
    fn new() -> Self {
        let directory = Directory::parse(DIRECTORY).expect("a directory");
        Self { engine: Engine::new(directory, Policy::default()), seconds: 0 }
    }

    /// Returns what follows a signal.
    fn send(&mut self, account: AccountId, account_given: bool, leg: LegId, kind: SignalKind) -> Vec<Event> {
        self.seconds += 1;
        let at = Timestamp::from_micros(1_700_000_000_000_000) + Duration::from_secs(self.seconds);
        let input = InputRef { source: leg.source(), number: self.seconds };
        let signal = Signal { at, account, account_given, leg, input, kind };
        self.engine.handle_signal(ClockId(leg.source()), &signal);
        std::iter::from_fn(|| self.engine.poll_event()).collect()
    }

    /// The same of a source that names the account.
    fn tell(&mut self, account: AccountId, leg: LegId, kind: SignalKind) -> Vec<Event> {
        self.send(account, true, leg, kind)
    }

    /// 101 of an account calls 102, who is rung.
    fn rings(&mut self, account: AccountId, caller: LegId, target: LegId) {
        self.tell(account, caller, SignalKind::Created(Box::new(leg("102"))));
        self.tell(account, target, SignalKind::Created(Box::new(to(caller))));
        self.tell(account, target, SignalKind::Ringing { to_tag: None });
    }

    /// The same, and 102 answers.
    fn talk(&mut self, account: AccountId, caller: LegId, target: LegId) {
        self.rings(account, caller, target);
        self.tell(account, target, SignalKind::Answered { to_tag: None });
        self.tell(account, caller, SignalKind::Answered { to_tag: None });
    }
}

/// A leg of 101 who calls.
fn leg(callee: &str) -> LegCreated {
    LegCreated {
        direction: Direction::Outbound,
        of: None,
        caller: Caller { number: Some(Arc::from("101")), name: None, host: None, withheld: false },
        callee: Arc::from(callee),
        callee_name: None,
        callee_host: None,
        src: None,
        dst: None,
        sent_by: None,
        endpoint_domain: None,
        endpoint: None,
        agent: None,
        far_end: FarEnd::Endpoint,
        aliases: Vec::new(),
        sip: Some(Arc::new(SipData { call_id: Arc::from("c1"), from_tag: Arc::from("ann"), to_tag: None })),
        ring_out_role: None,
        service: None,
        from_queue: false,
        reported: false,
        found_running: false,
        sent_by_server: false,
        place: None,
        mailbox: None,
        diverted_by: None,
        called_first: None,
        offer: None,
        is_automaton: false,
    }
}

/// A leg to 102.
fn to(caller: LegId) -> LegCreated {
    LegCreated { direction: Direction::Inbound, of: Some(caller), sip: None, ..leg("102") }
}

/// A leg of 101 who calls and says where it belongs.
fn placed(place: LegRelation) -> LegCreated {
    LegCreated { place: Some(place), ..leg("102") }
}

#[test]
fn a_call_whose_account_is_given_is_of_it_whatever_domain_address_or_number_is_in_it() {
    let south = Some(Arc::from("south.example"));
    let trunk = Some("192.0.2.2:5060".parse().expect("an address"));
    let caller = |number: &str, host| Caller { number: Some(Arc::from(number)), host, ..Caller::default() };
    for created in [
        LegCreated { callee_host: south.clone(), ..leg("102") },
        LegCreated { caller: caller("101", south), ..leg("102") },
        LegCreated { src: trunk, ..leg("102") },
        LegCreated { dst: trunk, ..leg("102") },
        leg("+14155550201"),
        LegCreated { caller: caller("+14155550201", None), ..leg("102") },
    ] {
        for (given, account) in [(true, NORTH), (false, SOUTH)] {
            let mut scenario = Scenario::new();
            let kind = SignalKind::Created(Box::new(created.clone()));
            let told = scenario.send(NORTH, given, LegId::new(1, 1), kind);
            let accounts: Vec<_> = told.iter().map(|event| event.session.account).collect();
            assert_eq!(accounts, [account], "{created:?}");
        }
    }
}

#[test]
fn who_names_an_account_reaches_no_call_of_another() {
    let leg_of = |number| LegId::new(1, number);
    // 1 talks with 2 in the south. In the north 3 talks with 4, 5 calls, and 6 rings.
    let (ann, bo, cy, di, ed, flo, new) =
        (leg_of(1), leg_of(2), leg_of(3), leg_of(4), leg_of(5), leg_of(6), leg_of(7));
    let created = |leg| SignalKind::Created(Box::new(leg));
    let transfer = |consulted| {
        let (to, to_host) = (Arc::from("102"), None);
        SignalKind::TransferAsked(Box::new(Transfer { to, to_host, consulted, by_code: false }))
    };
    let attempts: Vec<(LegId, SignalKind)> = vec![
        (ann, SignalKind::Ended(Cause::HungUp)),
        (bo, SignalKind::Ended(Cause::HungUp)),
        (ann, SignalKind::Held),
        (bo, SignalKind::Muted(true)),
        (bo, SignalKind::Parked { slot: None }),
        (ann, transfer(None)),
        (ann, transfer(Some(cy))),
        (cy, transfer(Some(ann))),
        (di, transfer(Some(bo))),
        (flo, SignalKind::PickedUp { by: ann }),
        (ann, SignalKind::Supervises { whom: cy }),
        (cy, SignalKind::Supervises { whom: ann }),
        (ann, SignalKind::Focus { room: Arc::from("3000"), owns: true }),
        (new, created(to(ann))),
        (new, created(placed(LegRelation::Replaces(bo)))),
        (new, created(placed(LegRelation::Joins(ann)))),
        (new, created(LegCreated { place: Some(LegRelation::SamePartyAs(bo)), ..to(ann) })),
    ];
    for (leg, kind) in attempts {
        let [mut untouched, mut scenario] = [(); 2].map(|()| {
            let mut scenario = Scenario::new();
            scenario.talk(SOUTH, ann, bo);
            scenario.talk(NORTH, cy, di);
            scenario.rings(NORTH, ed, flo);
            scenario
        });
        let text = format!("{leg:?} {kind:?}");
        let mut told = scenario.tell(NORTH, leg, kind);
        // What waits for an explanation is decided.
        told.extend(scenario.tell(NORTH, cy, SignalKind::Held));
        assert!(told.iter().all(|event| event.session.account == NORTH), "{text}: {told:?}");
        // The call of the south is as it was, and its own source reaches it.
        untouched.seconds = scenario.seconds;
        for (leg, kind, code) in [
            (bo, SignalKind::Held, StatusCode::Hold),
            (bo, SignalKind::Resumed, StatusCode::Answered),
            (ann, SignalKind::Ended(Cause::HungUp), StatusCode::Disconnected),
            (bo, SignalKind::Ended(Cause::HungUp), StatusCode::Disconnected),
        ] {
            let [told, expected] =
                [&mut scenario, &mut untouched].map(|of| of.tell(SOUTH, leg, kind.clone()));
            assert_eq!(expected.len(), 1, "{expected:?}");
            assert_eq!(expected[0].party.status.code, code);
            assert_eq!(told, expected, "{text}");
        }
    }
}

#[test]
fn what_a_caller_claims_decides_nothing_against_the_trunk_it_comes_from() {
    let trunk = Some("192.0.2.2:5060".parse().expect("an address"));
    let north = || Some(Arc::from("north.example"));
    let claims =
        |number: &str| Caller { number: Some(Arc::from(number)), host: north(), ..Caller::default() };
    for created in [
        // From names the north; the trunk is one of the south.
        LegCreated { src: trunk, caller: claims("101"), ..leg("102") },
        LegCreated { src: trunk, caller: claims("+14155550101"), ..leg("+14155550201") },
        LegCreated {
            src: trunk,
            callee_host: Some(Arc::from("south.example")),
            caller: claims("101"),
            ..leg("102")
        },
    ] {
        let mut scenario = Scenario::new();
        let kind = SignalKind::Created(Box::new(created.clone()));
        let told = scenario.send(NORTH, false, LegId::new(1, 1), kind);
        let accounts: Vec<_> = told.iter().map(|event| event.session.account).collect();
        assert_eq!(accounts, [SOUTH], "{created:?}");
    }
    // Where no trunk tells, the domain does, and a call that goes out by a trunk is its caller's.
    for created in [
        LegCreated { caller: claims("101"), ..leg("102") },
        LegCreated { dst: trunk, caller: claims("101"), ..leg("102") },
    ] {
        let mut scenario = Scenario::new();
        let kind = SignalKind::Created(Box::new(created.clone()));
        let told = scenario.send(SOUTH, false, LegId::new(1, 1), kind);
        assert!(told.iter().all(|event| event.session.account == NORTH), "{told:?}");
    }
}

#[test]
fn the_leg_on_which_the_switch_repeats_a_claim_belongs_to_the_call_that_came_over_the_trunk() {
    let address = |text: &str| Some(text.parse().expect("an address"));
    let (trunk, switch, phone) =
        (address("192.0.2.2:5060"), address("192.0.2.9:5060"), address("192.0.2.77:5060"));
    let caller = || Caller {
        number: Some(Arc::from("+14155550999")),
        host: Some(Arc::from("north.example")),
        ..Caller::default()
    };
    let mut scenario = Scenario::new();
    let [calls, far, again, bo] = [1, 2, 3, 4].map(|number| LegId::new(1, number));
    let created = |leg| SignalKind::Created(Box::new(leg));
    let first = LegCreated { src: trunk, dst: switch, caller: caller(), ..leg("+14155550201") };
    let reached = LegCreated { direction: Direction::Inbound, of: Some(calls), sip: None, ..first.clone() };
    let sip = Some(Arc::new(SipData { call_id: Arc::from("c2"), from_tag: Arc::from("sw"), to_tag: None }));
    let second = LegCreated { src: switch, dst: phone, caller: caller(), sip, ..leg("101") };
    let second_far =
        LegCreated { direction: Direction::Inbound, of: Some(again), sip: None, ..second.clone() };
    let mut told = Vec::new();
    for (leg, kind) in [
        (calls, created(first)),
        (far, created(reached)),
        (again, created(second)),
        (bo, created(second_far)),
        (bo, SignalKind::Ringing { to_tag: None }),
        (far, SignalKind::Ringing { to_tag: None }),
        (bo, SignalKind::Answered { to_tag: None }),
        (far, SignalKind::Answered { to_tag: None }),
        (bo, SignalKind::Ended(Cause::HungUp)),
        (calls, SignalKind::Ended(Cause::HungUp)),
    ] {
        told.extend(scenario.send(NORTH, false, leg, kind));
    }
    let accounts: Vec<_> = told.iter().map(|event| event.session.account).collect();
    assert!(!accounts.is_empty() && accounts.iter().all(|&account| account == SOUTH), "{told:#?}");
    let sessions: std::collections::BTreeSet<_> = told.iter().map(|event| event.session.id).collect();
    assert_eq!(sessions.len(), 1, "{told:#?}");
}
