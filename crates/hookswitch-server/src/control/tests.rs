//! What is planned for which party, without IO.

use std::sync::Arc;

use hookswitch_model::{
    AccountId, Direction, Endpoint, ExtensionId, Party, PartyId, Recording, RecordingId, Status, StatusCode,
    TelephonySessionId,
};
use hookswitch_signal::switch::{Action, ChannelView, End, RecordingStep, Target, Then};

use super::*;

const SESSION: TelephonySessionId = TelephonySessionId::new(7);

fn party(number: u32, direction: Direction, code: StatusCode, extension: Option<u64>) -> Party {
    Party {
        account: AccountId::new(1),
        extension: extension.map(ExtensionId::new),
        id: SESSION.party(number),
        direction,
        to: Arc::new(Endpoint::default()),
        from: Arc::new(Endpoint::default()),
        status: Status { code, reason: None, park_data: None, peer: None, mobile_pickup: false },
        park: None,
        missed_call: false,
        stand_alone: false,
        muted: false,
        conference_role: None,
        ring_out_role: None,
        queue_call: false,
        recordings: Vec::new(),
        sip: None,
    }
}

fn located(party: Party, channel: Option<&str>, peer: Option<&str>) -> LocatedParty {
    let channel = channel.map(|id| LocatedChannel {
        source: "pbx".into(),
        view: ChannelView { id: id.to_owned(), peer: peer.map(str::to_owned), is_up: true },
    });
    LocatedParty { party, channels: channel.into_iter().collect() }
}

/// A call of 101, on channel `a`, to 102, on channel `b`, who stands so.
fn call(code: StatusCode) -> LocatedCall {
    let caller = party(1, Direction::Outbound, StatusCode::Answered, Some(101));
    let callee = party(2, Direction::Inbound, code, Some(102));
    LocatedCall { parties: vec![located(caller, Some("a"), None), located(callee, Some("b"), None)] }
}

fn callee() -> PartyId {
    SESSION.party(2)
}

fn planned(code: StatusCode, operation: &Operation) -> Result<Action, NotPlanned> {
    plan(&call(code), callee(), operation, None).map(|planned| planned.action)
}

fn phone() -> Phone {
    Phone { user: "103".to_owned() }
}

fn everything() -> Vec<Operation> {
    let to = || Target::Number("103".to_owned());
    vec![
        Operation::Delete,
        Operation::Reject,
        Operation::Ignore,
        Operation::Forward(to()),
        Operation::Transfer(to()),
        Operation::Park,
        Operation::Hold,
        Operation::Unhold,
        Operation::Answer,
        Operation::Mute(true),
        Operation::Record,
        Operation::Flip(phone()),
        Operation::PickUp(phone()),
        Operation::Supervise(phone()),
        Operation::BringIn,
    ]
}

#[test]
fn an_operation_is_planned_for_a_party_that_stands_so_and_for_no_other() {
    let possible = |code| -> Vec<&'static str> {
        let all = everything();
        all.iter().filter(|one| planned(code, one).is_ok()).map(Operation::name).collect()
    };
    let rings = ["delete", "reject", "ignore", "forward", "answer", "pickup"];
    assert_eq!(possible(StatusCode::Setup), rings);
    assert_eq!(possible(StatusCode::Proceeding), rings);
    assert_eq!(
        possible(StatusCode::Answered),
        ["delete", "transfer", "park", "hold", "mute", "record", "flip", "supervise", "bring in"]
    );
    assert_eq!(
        possible(StatusCode::Hold),
        ["delete", "transfer", "park", "unhold", "mute", "flip", "bring in"]
    );
    for operation in everything() {
        let caller = plan(&call(StatusCode::Proceeding), SESSION.party(1), &operation, None);
        let rings = ["reject", "ignore", "forward", "answer", "pickup"].contains(&operation.name());
        assert_eq!(
            caller == Err(NotPlanned::WrongState),
            rings || operation.name() == "unhold",
            "{operation:?}"
        );
    }
}

#[test]
fn what_is_asked_names_the_channel_of_the_party_and_the_one_that_it_talks_with() {
    let (own, peer) = (|| "b".to_owned(), || "a".to_owned());
    let to = || Target::Number("103".to_owned());
    assert_eq!(
        planned(StatusCode::Setup, &Operation::Reject),
        Ok(Action::HangUp { channels: vec![own()], end: End::Rejected })
    );
    assert_eq!(
        planned(StatusCode::Setup, &Operation::Forward(to())),
        Ok(Action::Forward { own: own(), peer: peer(), to: to() })
    );
    assert_eq!(
        planned(StatusCode::Answered, &Operation::Transfer(to())),
        Ok(Action::Transfer { own: own(), peer: peer(), to: to() })
    );
    assert_eq!(
        planned(StatusCode::Answered, &Operation::Park),
        Ok(Action::Park { own: own(), peer: peer() })
    );
    assert_eq!(planned(StatusCode::Answered, &Operation::BringIn), Ok(Action::Join { channel: peer() }));
    let then = Then::Replace { own: own(), peer: peer() };
    let call_phone = |then| Action::Call { device: "103".to_owned(), shows: "0".to_owned(), then };
    assert_eq!(planned(StatusCode::Answered, &Operation::Flip(phone())), Ok(call_phone(then)));
    assert_eq!(planned(StatusCode::Setup, &Operation::PickUp(phone())), Ok(call_phone(Then::PickUp(own()))));
    let all = plan_drop(&call(StatusCode::Setup), SESSION).expect("it can be ended");
    assert_eq!(all.action, Action::HangUp { channels: vec![peer(), own()], end: End::Cleared });
    assert_eq!(all.effect, Effect::Over(SESSION));
}

#[test]
fn the_switch_says_whom_a_party_talks_with_before_the_parties_of_the_call_do() {
    let mut three = call(StatusCode::Answered);
    three.parties.push(located(
        party(3, Direction::Inbound, StatusCode::Proceeding, Some(103)),
        Some("c"),
        None,
    ));
    let transfer = Operation::Transfer(Target::Number("104".to_owned()));
    assert!(
        matches!(plan(&three, callee(), &transfer, None), Err(NotPlanned::Cannot(_))),
        "it may be either"
    );
    three.parties[1].channels[0].view.peer = Some("a".to_owned());
    let planned = plan(&three, callee(), &transfer, None).expect("it is known");
    assert!(matches!(planned.action, Action::Transfer { peer, .. } if peer == "a"));
}

#[test]
fn a_call_that_no_switch_tells_of_is_not_acted_on_and_the_answer_says_why() {
    let mut call = call(StatusCode::Answered);
    call.parties.iter_mut().for_each(|party| party.channels.clear());
    for operation in [Operation::Hold, Operation::Delete, Operation::Drop] {
        let refused = plan(&call, callee(), &operation, None);
        assert!(matches!(refused, Err(NotPlanned::Cannot(why)) if why.contains("SIP")), "{operation:?}");
    }
    assert_eq!(plan(&call, SESSION.party(9), &Operation::Hold, None), Err(NotPlanned::NoParty));
}

#[test]
fn a_parked_call_is_ended_or_fetched_by_the_channel_of_the_far_end() {
    let mut parked = call(StatusCode::Parked);
    parked.parties[1].channels.clear();
    parked.parties[1].party.status.park_data = Some("*701".into());
    let ends = plan(&parked, callee(), &Operation::Delete, None).expect("it can be ended");
    assert_eq!(ends.action, Action::HangUp { channels: vec!["a".to_owned()], end: End::Cleared });
    let fetched = plan(&parked, callee(), &Operation::PickUp(phone()), None).expect("it can be fetched");
    let then = Then::Retrieve("701".to_owned());
    assert_eq!(fetched.action, Action::Call { device: "103".to_owned(), shows: "701".to_owned(), then });
    assert_eq!(plan(&parked, callee(), &Operation::Hold, None), Err(NotPlanned::WrongState));
    parked.parties[1].party.status.park_data = Some("".into());
    assert!(matches!(plan(&parked, callee(), &Operation::PickUp(phone()), None), Err(NotPlanned::Cannot(_))));
}

#[test]
fn two_calls_are_joined_if_both_are_of_one_extension() {
    let bridge = Operation::Bridge(callee());
    let mut other = call(StatusCode::Hold);
    let own = plan(&call(StatusCode::Answered), SESSION.party(1), &bridge, Some(&other));
    assert!(matches!(own, Err(NotPlanned::Cannot(_))), "101 and 102");
    other.parties[1].party.extension = Some(ExtensionId::new(101));
    other.parties[1].channels[0].view.id = "d".to_owned();
    other.parties[0].channels[0].view.id = "c".to_owned();
    let joined =
        plan(&call(StatusCode::Answered), SESSION.party(1), &bridge, Some(&other)).expect("one extension");
    let [own, peer, other_own, other_peer] = ["a", "b", "d", "c"].map(str::to_owned);
    assert_eq!(joined.action, Action::Bridge { own, peer, other_own, other_peer });
    assert_eq!(plan(&call(StatusCode::Answered), SESSION.party(1), &bridge, None), Err(NotPlanned::NoParty));
}

#[test]
fn a_recording_is_begun_once_and_paused_by_its_id() {
    let mut recorded = call(StatusCode::Answered);
    recorded.parties[1].party.recordings.push(Recording { id: RecordingId::new(5), active: true });
    assert_eq!(plan(&recorded, callee(), &Operation::Record, None), Err(NotPlanned::WrongState));
    let pause = |id| Operation::PauseRecording { id: RecordingId::new(id), active: false };
    let planned = plan(&recorded, callee(), &pause(5), None).expect("it runs");
    assert_eq!(planned.action, Action::Record { own: "b".to_owned(), step: RecordingStep::Pause });
    assert_eq!(plan(&recorded, callee(), &pause(6), None), Err(NotPlanned::NoParty));
}
