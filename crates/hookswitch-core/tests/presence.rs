//! Notifications of presence, as JSON.

use std::sync::Arc;

use hookswitch_core::filter::Projection;
use hookswitch_core::notification::{SERVER_ID, Subscriber};
use hookswitch_core::presence::{ActiveCalls, Family};
use hookswitch_model::{
    AccountId, CallChange, Causes, Direction, Endpoint, Event, ExtensionId, InputRef, Notes, Origin, Party,
    Rule, SessionFacts, SessionId, SipData, Status, StatusCode, SubscriptionId, TelephonySessionId,
    Timestamp,
};
use serde_json::{Value, json};

/// An event of extension 2016, called by +14155550101, in one of its sessions.
fn event(session: u64, sequence: u32, code: StatusCode) -> Arc<Event> {
    let (account, id) = (AccountId::new(1016), TelephonySessionId::new(session.into()));
    let extension = Some(ExtensionId::new(2016));
    Arc::new(Event {
        session: Arc::new(SessionFacts {
            account,
            id,
            session_id: SessionId::new(5000 + session),
            origin: Origin::Call,
        }),
        sequence,
        at: Timestamp::from_micros(i64::from(sequence) * 1_000_000),
        party: Party {
            account,
            extension,
            id: id.party(2),
            direction: Direction::Inbound,
            to: Arc::new(Endpoint {
                phone_number: Some("102".into()),
                name: Some("Bo \"B\" Roy".into()),
                extension,
                ..Endpoint::default()
            }),
            from: Arc::new(Endpoint { phone_number: Some("+14155550101".into()), ..Endpoint::default() }),
            status: Status { code, reason: None, park_data: None, peer: None, mobile_pickup: false },
            park: None,
            missed_call: false,
            stand_alone: false,
            muted: false,
            conference_role: None,
            ring_out_role: None,
            queue_call: false,
            recordings: Vec::new(),
            sip: Some(Arc::new(SipData {
                call_id: "c@x".into(),
                from_tag: "f".into(),
                to_tag: Some("t".into()),
            })),
        },
        rule: Rule::Reported,
        notes: Notes::default(),
        causes: Causes::one(InputRef::default()),
    })
}

fn written(event: &Event, change: &CallChange, projection: Projection) -> Value {
    let subscriber = Subscriber::new(SubscriptionId::from_bits(7), ExtensionId::new(9016), SERVER_ID);
    let mut out = Vec::new();
    subscriber.write_any((event, Some(change)), projection, Timestamp::from_micros(0), &mut out);
    let json: Value = serde_json::from_slice(&out).expect("JSON");
    let id = subscriber.id_of(event, projection).as_u64().to_string();
    assert_eq!(json["uuid"], id.as_str());
    json
}

const fn of(family: Family, of_account: bool, detailed: bool, sip_data: bool) -> Projection {
    Projection::Calls { family, of_account, detailed, sip_data }
}

#[test]
fn presence_lists_the_calls_of_the_extension_and_the_last_one_as_final() {
    let mut calls = ActiveCalls::default();
    calls.apply(&event(1, 2, StatusCode::Proceeding), 41);
    calls.apply(&event(1, 3, StatusCode::Answered), 42);
    let ended = event(2, 4, StatusCode::Disconnected);
    let change = calls.apply(&ended, 43).expect("an extension");
    let json = written(&ended, &change, of(Family::Presence, false, true, true));
    assert_eq!(
        json["event"],
        "/restapi/v1.0/account/1016/extension/2016/presence?detailedTelephonyState=true&sipData=true"
    );
    assert_eq!((&json["ownerId"], &json["timestamp"]), (&json!("9016"), &json!("1970-01-01T00:00:00.000Z")));
    let sip = json!({"callId": "c@x", "fromTag": "f", "toTag": "t"});
    let call = |session: u64, start: &str, status: &str| {
        let id = TelephonySessionId::new(session.into());
        json!({
            "id": "c@x", "direction": "Inbound", "from": "+14155550101", "to": "102", "toName": "Bo \"B\" Roy",
            "startTime": start, "telephonyStatus": status, "sipData": sip, "sessionId": (5000 + session).to_string(),
            "telephonySessionId": id.to_string(), "partyId": id.party(2).to_string(),
        })
    };
    let mut last = call(2, "1970-01-01T00:00:04.000Z", "NoCall");
    last["terminationType"] = json!("final");
    assert_eq!(
        json["body"],
        json!({
            "extensionId": "2016", "telephonyStatus": "CallConnected",
            "activeCalls": [call(1, "1970-01-01T00:00:02.000Z", "CallConnected"), last],
            "sequence": 43, "presenceStatus": "Busy", "userStatus": "Available", "dndStatus": "TakeAllCalls",
            "allowSeeMyPresence": true, "ringOnMonitoredCall": false, "pickUpCallsOnHold": false,
            "totalActiveCalls": 1,
        })
    );
}

#[test]
fn the_query_of_the_filter_decides_what_is_listed_and_stands_in_the_event() {
    let mut calls = ActiveCalls::default();
    let ringing = event(1, 2, StatusCode::Proceeding);
    let change = calls.apply(&ringing, 5).expect("an extension");
    let plain = written(&ringing, &change, of(Family::Presence, true, false, false));
    assert_eq!(plain["event"], "/restapi/v1.0/account/1016/presence");
    assert_eq!(plain["body"].get("activeCalls"), None);
    assert_eq!(
        (&plain["body"]["telephonyStatus"], &plain["body"]["presenceStatus"]),
        (&json!("Ringing"), &json!("Available"))
    );
    let detailed = written(&ringing, &change, of(Family::Presence, false, true, false));
    let active = &detailed["body"]["activeCalls"][0];
    assert_eq!(active.get("sipData"), None);
    assert_eq!(active["id"], active["partyId"], "the Call-ID stands for a connected call");
    assert!(
        detailed["event"]
            .as_str()
            .is_some_and(|event| event.ends_with("/presence?detailedTelephonyState=true"))
    );
    let ids = [&plain, &detailed].map(|json| json["uuid"].clone());
    assert_ne!(ids[0], ids[1], "one for the account and one for the extension");
}

#[test]
fn rings_and_missed_calls_say_whose_call_it_is() {
    let mut calls = ActiveCalls::default();
    let ringing = event(1, 2, StatusCode::Proceeding);
    let change = calls.apply(&ringing, 5).expect("an extension");
    let mut uuids = Vec::new();
    for (family, path, action) in [
        (Family::StartRing, "start-ring", "StartRing"),
        (Family::StopRing, "stop-ring", "StopRing"),
        (Family::MissedCalls, "missed-calls", "MissedCall"),
        (Family::AnsweredElsewhere, "telephony?action=call-answered-elsewhere", "call-answered-elsewhere"),
    ] {
        let json = written(&ringing, &change, of(family, false, false, false));
        assert_eq!(json["event"], format!("/restapi/v1.0/account/1016/extension/2016/{path}"));
        let mut body = json["body"].clone();
        let sid = body.as_object_mut().and_then(|body| body.remove("sid")).expect("sid");
        assert!(sid.as_str().is_some_and(|sid| sid.len() == 14), "{sid}");
        assert_eq!(
            body,
            json!({
                "extensionId": "2016", "action": action, "sessionId": "5001",
                "telephonySessionId": TelephonySessionId::new(1).to_string(), "serverId": SERVER_ID,
                "from": "+14155550101", "to": "102", "toName": "Bo \"B\" Roy",
            })
        );
        uuids.push(json["uuid"].as_str().expect("a text").to_owned());
    }
    uuids.sort();
    uuids.dedup();
    assert_eq!(uuids.len(), 4);
}
