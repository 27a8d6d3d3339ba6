//! Tests that what a source reports in so many words (park, mailbox, fax, mute, recording) becomes the status
//! and the fields of the contract, and what is not possible in a status changes nothing.

use std::sync::Arc;
use std::time::Duration;

use hookswitch_core::directory::Directory;
use hookswitch_core::engine::{Engine, MissedCallPolicy, Policy};
use hookswitch_core::filter::Projection;
use hookswitch_core::notification::Subscriber;
use hookswitch_model::{
    AccountId, Caller, Cause, ClockId, Direction, Event, ExtensionId, FarEnd, InputRef, LegCreated, LegId,
    Note, Reason, RecordingId, Signal, SignalKind, SipData, StatusCode, Timestamp,
};

const ANN: LegId = LegId::new(0, 1);
const BO: LegId = LegId::new(0, 2);
const CY: LegId = LegId::new(0, 3);

/// A machine, and signals to it that are a second apart.
struct Scenario {
    engine: Engine,
    seconds: u64,
    told: Vec<Event>,
}

impl Scenario {
    /// 101 calls 102, and the offer is on its way.
    fn offered(policy: Policy) -> Self {
        let engine = Engine::new(Directory::built_in(AccountId::new(310_001_016)), policy);
        let mut scenario = Self { engine, seconds: 0, told: Vec::new() };
        scenario.send(ANN, created(Direction::Outbound, None, "102"));
        scenario.send(BO, created(Direction::Inbound, Some(ANN), "102"));
        scenario
    }

    /// The same, and 102 has answered.
    fn answered() -> Self {
        let mut scenario = Self::offered(Policy::default());
        scenario.send(BO, SignalKind::Ringing { to_tag: None });
        scenario.send(BO, SignalKind::Answered { to_tag: Some(Arc::from("bo")) });
        scenario.send(ANN, SignalKind::Answered { to_tag: Some(Arc::from("bo")) });
        scenario.told.clear();
        scenario
    }

    fn send(&mut self, leg: LegId, kind: SignalKind) {
        self.seconds += 1;
        let at = Timestamp::from_micros(1_700_000_000_000_000) + Duration::from_secs(self.seconds);
        let input = InputRef { source: 0, number: self.seconds };
        self.engine.handle_signal(
            ClockId::default(),
            &Signal { at, account: AccountId::new(310_001_016), account_given: false, leg, input, kind },
        );
        while let Some(event) = self.engine.poll_event() {
            self.told.push(event);
        }
    }

    /// Asserts that a signal is told as one event with this status.
    #[track_caller]
    fn tells(&mut self, leg: LegId, kind: SignalKind, code: StatusCode) -> &Event {
        let before = self.told.len();
        self.send(leg, kind);
        assert_eq!(self.told.len(), before + 1, "one event");
        assert_eq!(self.told[before].party.status.code, code);
        &self.told[before]
    }

    /// Asserts that a signal is told as these events.
    #[track_caller]
    fn tells_each(&mut self, leg: LegId, kind: SignalKind, expected: &[(Direction, StatusCode)]) {
        let before = self.told.len();
        self.send(leg, kind);
        let told = self.told[before..].iter();
        let told: Vec<_> = told.map(|event| (event.party.direction, event.party.status.code)).collect();
        assert_eq!(told, expected);
    }

    /// Asserts that a signal tells nothing.
    #[track_caller]
    fn ignores(&mut self, leg: LegId, kind: SignalKind) {
        let before = self.told.len();
        self.send(leg, kind);
        assert_eq!(self.told.len(), before, "no event");
    }

    /// Lets time pass without a signal.
    fn pass(&mut self, time: Duration) {
        let now = Timestamp::from_micros(1_700_000_000_000_000) + Duration::from_secs(self.seconds) + time;
        self.engine.handle_time(ClockId::default(), now);
        while let Some(event) = self.engine.poll_event() {
            self.told.push(event);
        }
    }

    #[track_caller]
    fn last_json(&self, sip_data: bool) -> serde_json::Value {
        let subscriber = Subscriber::of_replay(&[], ExtensionId::new(1));
        let event = self.told.last().expect("an event");
        let mut json = Vec::new();
        subscriber.write(event, Projection::Session { sip_data }, event.at, &mut json);
        serde_json::from_slice::<serde_json::Value>(&json).expect("JSON")["body"]["parties"][0].clone()
    }
}

fn created(direction: Direction, of: Option<LegId>, callee: &str) -> SignalKind {
    SignalKind::Created(Box::new(LegCreated {
        direction,
        of,
        caller: Caller {
            number: Some(Arc::from("101")),
            name: Some(Arc::from("Ann \"A\" Lee")),
            host: None,
            withheld: false,
        },
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
    }))
}

#[test]
fn a_parked_call_shows_where() {
    let mut scenario = Scenario::answered();
    scenario.tells(BO, SignalKind::Parked { slot: Some(Arc::from("*801")) }, StatusCode::Parked);
    let party = scenario.last_json(false);
    assert_eq!(party["status"]["parkData"], "*801");
    assert_eq!(party["park"]["id"], "*801");
    scenario.ignores(BO, SignalKind::Held);
    // Who parked the call keeps its place until the caller who waits leaves.
    scenario.ignores(BO, SignalKind::Ended(Cause::HungUp));
    scenario.tells_each(
        ANN,
        SignalKind::Ended(Cause::HungUp),
        &[(Direction::Outbound, StatusCode::Disconnected), (Direction::Inbound, StatusCode::Disconnected)],
    );
    assert_eq!(scenario.told.last().expect("an event").party.park, None);
}

#[test]
fn a_mailbox_takes_the_call_and_the_call_is_missed() {
    let mut scenario = Scenario::offered(Policy::default());
    scenario.send(BO, SignalKind::Ringing { to_tag: None });
    assert!(scenario.tells(BO, SignalKind::SentToVoicemail, StatusCode::VoiceMail).party.missed_call);
    scenario.tells(BO, SignalKind::Screened, StatusCode::VoiceMailScreening);
    scenario.ignores(BO, SignalKind::Screened);
    assert!(scenario.tells(BO, SignalKind::Ended(Cause::HungUp), StatusCode::Disconnected).party.missed_call);
    Scenario::answered().ignores(BO, SignalKind::SentToVoicemail);
}

#[test]
fn a_fax_is_received_by_the_called_extension() {
    let mut scenario = Scenario::answered();
    scenario.ignores(ANN, SignalKind::FaxStarted);
    scenario.tells(BO, SignalKind::FaxStarted, StatusCode::FaxReceive);
    let end = scenario.tells(BO, SignalKind::Ended(Cause::HungUp), StatusCode::Disconnected);
    assert!(!end.party.missed_call);
}

#[test]
fn muting_sends_the_present_status_again() {
    let mut scenario = Scenario::answered();
    assert!(scenario.tells(BO, SignalKind::Muted(true), StatusCode::Answered).party.muted);
    scenario.ignores(BO, SignalKind::Muted(true));
    assert!(!scenario.tells(BO, SignalKind::Muted(false), StatusCode::Answered).party.muted);
}

#[test]
fn a_recording_sends_the_present_status_again() {
    let id = RecordingId::new(77);
    let mut scenario = Scenario::answered();
    scenario.tells(BO, SignalKind::Held, StatusCode::Hold);
    scenario.tells(BO, SignalKind::Recording { id, active: true }, StatusCode::Hold);
    assert_eq!(scenario.last_json(false)["recordings"], serde_json::json!([{"id": "77", "active": true}]));
    scenario.tells(BO, SignalKind::Recording { id, active: false }, StatusCode::Hold);
    assert_eq!(scenario.last_json(false)["recordings"], serde_json::json!([{"id": "77", "active": false}]));
}

#[test]
fn sip_data_and_text_from_outside_are_written_as_json() {
    let mut scenario = Scenario::answered();
    scenario.send(BO, SignalKind::Held);
    let party = scenario.last_json(true);
    assert_eq!(party["sipData"], serde_json::json!({"toTag": "bo", "fromTag": "ann", "callId": "c1"}));
    assert_eq!(party["from"]["name"], "Ann \"A\" Lee");
    assert!(scenario.last_json(false).get("sipData").is_none());
}

#[test]
fn a_reason_that_the_source_names_is_shown() {
    for &reason in Reason::ALL {
        let mut scenario = Scenario::answered();
        let end = scenario.tells(BO, SignalKind::Ended(Cause::Named(reason)), StatusCode::Disconnected);
        assert_eq!(end.party.status.reason, Some(reason));
    }
}

#[test]
fn a_leg_that_is_lost_is_dropped() {
    let mut scenario = Scenario::answered();
    let end = scenario.tells(BO, SignalKind::Ended(Cause::Lost), StatusCode::Disconnected);
    assert_eq!(end.party.status.reason, Some(Reason::CallDropped));
}

#[test]
fn who_misses_a_group_call_depends_on_the_policy() {
    for (missed_calls, missed) in
        [(MissedCallPolicy::Standard, false), (MissedCallPolicy::AnsweredElsewhereIsMissed, true)]
    {
        let mut scenario = Scenario::offered(Policy { missed_calls, ..Policy::default() });
        scenario.send(CY, created(Direction::Inbound, Some(ANN), "103"));
        scenario.send(CY, SignalKind::Answered { to_tag: None });
        let end = scenario.tells(BO, SignalKind::Ended(Cause::AnsweredElsewhere), StatusCode::Disconnected);
        assert_eq!((end.party.missed_call, end.party.status.reason), (missed, None));
    }
}

#[test]
fn an_ordinary_hang_up_has_a_reason_only_when_asked_for() {
    for (explicit_reasons, reason) in [(false, None), (true, Some(Reason::CallFinished))] {
        let mut scenario = Scenario::offered(Policy { explicit_reasons, ..Policy::default() });
        scenario.send(BO, SignalKind::Answered { to_tag: None });
        let end = scenario.tells(BO, SignalKind::Ended(Cause::HungUp), StatusCode::Disconnected);
        assert_eq!(end.party.status.reason, reason);
    }
}

#[test]
fn a_full_table_ends_the_oldest_unanswered_call_and_says_so() {
    let mut scenario = Scenario::offered(Policy { sessions_max: 1, ..Policy::default() });
    scenario.told.clear();
    scenario.send(CY, created(Direction::Outbound, None, "103"));
    let ends: Vec<_> =
        scenario.told.iter().map(|event| (event.party.status.code, event.party.status.reason)).collect();
    assert_eq!(
        ends,
        [
            (StatusCode::Disconnected, Some(Reason::CallDropped)),
            (StatusCode::Disconnected, Some(Reason::CallDropped)),
            (StatusCode::Setup, None),
        ]
    );
    let mut scenario = Scenario::answered();
    scenario.ignores(LegId::new(9, 9), SignalKind::Held);
    assert_eq!(scenario.engine.counters().without_leg, 1);
}

const DEE: LegId = LegId::new(0, 4);

#[test]
fn a_call_that_another_takes_is_told_in_the_session_of_the_call() {
    let mut scenario = Scenario::offered(Policy::default());
    scenario.send(BO, SignalKind::Ringing { to_tag: None });
    scenario.send(DEE, created(Direction::Outbound, None, "*8"));
    scenario.send(DEE, SignalKind::Answered { to_tag: None });
    scenario.told.clear();
    scenario.send(BO, SignalKind::PickedUp { by: DEE });
    scenario.send(ANN, SignalKind::Answered { to_tag: None });
    scenario.send(BO, SignalKind::Ended(Cause::Withdrawn));
    scenario.send(DEE, SignalKind::Ended(Cause::HungUp));
    let told: Vec<_> = scenario
        .told
        .iter()
        .map(|event| (event.party.id.number, event.party.status.code, event.party.status.reason))
        .collect();
    assert_eq!(
        told,
        [
            // In the session of the code, which was answered a second before.
            (1, StatusCode::Answered, None),
            (3, StatusCode::Answered, Some(Reason::Pickup)),
            (1, StatusCode::Gone, Some(Reason::Pickup)),
            (1, StatusCode::Answered, None),
            (2, StatusCode::Disconnected, Some(Reason::Pickup)),
            (3, StatusCode::Disconnected, None),
        ]
    );
}

#[test]
fn who_supervises_is_a_further_party_of_the_call() {
    let mut scenario = Scenario::answered();
    scenario.send(DEE, created(Direction::Outbound, None, "200"));
    scenario.send(DEE, SignalKind::Answered { to_tag: None });
    scenario.told.clear();
    scenario.send(DEE, SignalKind::Supervises { whom: BO });
    let gone = scenario.told.iter().find(|event| event.party.status.code == StatusCode::Gone).expect("gone");
    let peer = gone.party.status.peer.as_ref().expect("a peer");
    assert_eq!((gone.party.status.reason, peer.party.number), (Some(Reason::Supervising), 3));
    scenario.tells(DEE, SignalKind::Ended(Cause::HungUp), StatusCode::Disconnected);
    assert_eq!(scenario.told.last().and_then(|event| event.party.status.reason), Some(Reason::Supervising));
    scenario.tells(BO, SignalKind::Ended(Cause::HungUp), StatusCode::Disconnected);
}

#[test]
fn a_parked_call_that_another_takes_ends_where_it_was_parked() {
    let mut scenario = Scenario::answered();
    scenario.send(BO, SignalKind::Parked { slot: Some(Arc::from("701")) });
    scenario.send(BO, SignalKind::Ended(Cause::HungUp));
    scenario.send(DEE, created(Direction::Outbound, None, "200"));
    scenario.told.clear();
    scenario.send(BO, SignalKind::Retrieved { by: DEE });
    scenario.send(DEE, SignalKind::Answered { to_tag: None });
    let told: Vec<_> =
        scenario.told.iter().map(|event| (event.party.status.code, event.party.status.reason)).collect();
    assert_eq!(
        told,
        [(StatusCode::Gone, Some(Reason::Pickup)), (StatusCode::Answered, Some(Reason::Pickup))]
    );
}

#[test]
fn a_full_table_ends_the_oldest_unanswered_call_and_refuses_when_all_are_answered() {
    let mut scenario = Scenario::answered();
    scenario.engine = Engine::new(
        Directory::built_in(AccountId::new(310_001_016)),
        Policy { sessions_max: 3, ..Policy::default() },
    );
    let call = |number: u64| LegId::new(0, 100 + number);
    for number in 0..5 {
        scenario.send(call(number), created(Direction::Outbound, None, "200"));
        if number == 0 {
            scenario.send(call(number), SignalKind::Answered { to_tag: None });
        }
    }
    // Of the first three one is answered; the other two made room.
    assert_eq!((scenario.engine.open_sessions(), scenario.engine.counters().refused), (3, 0));
    for number in [3, 4] {
        scenario.send(call(number), SignalKind::Answered { to_tag: None });
    }
    scenario.send(call(5), created(Direction::Outbound, None, "200"));
    scenario.send(call(6), created(Direction::Outbound, None, "200"));
    assert_eq!((scenario.engine.open_sessions(), scenario.engine.counters().refused), (3, 2));
}

#[test]
fn an_event_that_a_timer_brought_about_names_the_timer() {
    let notes = |scenario: &Scenario| -> Vec<Vec<Note>> {
        scenario.told.iter().map(|event| event.notes.iter().collect()).collect()
    };
    let mut scenario = Scenario::offered(Policy::default());
    scenario.told.clear();
    scenario.tells(BO, SignalKind::Ringing { to_tag: None }, StatusCode::Proceeding);
    scenario.send(BO, SignalKind::Ended(Cause::Busy));
    scenario.pass(Duration::from_millis(600));
    assert_eq!(notes(&scenario), [vec![], vec![Note::EndCauseTimer]]);

    let mut scenario = Scenario::offered(Policy::default());
    scenario.told.clear();
    scenario.pass(Duration::from_secs(240));
    assert_eq!(notes(&scenario), vec![vec![Note::RingTimer]; 2]);

    let mut scenario = Scenario::answered();
    scenario.pass(Duration::from_secs(24 * 3600));
    assert_eq!(notes(&scenario), vec![vec![Note::SilenceTimer]; 2]);
}
