//! The published JSON: one event as a subscriber receives it (contract events §1 and §2).

use std::fmt::Write as _;

use hookswitch_model::{
    Endpoint, Event, ExtensionId, Iso, NotificationId, Party, SipData, SubscriptionId, Timestamp,
};
use serde::Serialize;

use crate::hash::IdHash;

/// The `serverId` of every event unless configured otherwise.
pub const SERVER_ID: &str = "10.0.0.1.TAM";

/// What the notifications of one subscription have in common.
#[derive(Clone, Debug)]
pub struct Subscriber {
    /// The subscription.
    pub subscription: SubscriptionId,
    /// The extension of the user who owns the subscription.
    pub owner: ExtensionId,
    /// The `serverId`: the private address of the serving node and `.TAM`.
    pub server_id: String,
    /// Whether parties carry their `sipData`.
    pub sip_data: bool,
}

impl Subscriber {
    /// The subscription of a replay: its id derives from the filters, in their order.
    pub fn of_replay(filters: &[String], owner: ExtensionId) -> Self {
        let hash =
            filters.iter().fold(IdHash::new("subscription"), |hash, filter| hash.part(filter.as_bytes()));
        Self {
            subscription: SubscriptionId::from_bits(hash.u128()),
            owner,
            server_id: SERVER_ID.to_owned(),
            sip_data: false,
        }
    }

    /// The `uuid` of the notification of an event: the same whenever it is sent.
    pub fn notification_id(&self, event: &Event) -> NotificationId {
        let hash = IdHash::new("notification")
            .part(&self.subscription.as_u128().to_be_bytes())
            .part(&event.session.id.as_u128().to_be_bytes())
            .number(u64::from(event.sequence));
        NotificationId::new((hash.u64() >> 1).max(1))
    }

    /// Appends the notification of an event as compact JSON, without a line end.
    #[expect(clippy::missing_panics_doc, reason = "writing to memory does not fail")]
    pub fn write(&self, event: &Event, sent: Timestamp, out: &mut Vec<u8>) {
        let text = Text::new(self, event);
        let (sent, at) = (Iso::new(sent), Iso::new(event.at));
        let notification = Notification::new(self, event, &text, &sent, &at);
        // Writing to memory does not fail, and every map key is a string.
        serde_json::to_writer(out, &notification).expect("a notification is JSON");
    }
}

/// The ids of a notification in their text forms, in one buffer.
struct Text {
    buffer: String,
    ends: [usize; IDS],
}

/// uuid, event, subscription, owner, session id, telephony session, account, extension, party,
/// device of `from`, extension of `from`, device of `to`, extension of `to`, pick-up number.
const IDS: usize = 14;

impl Text {
    fn new(subscriber: &Subscriber, event: &Event) -> Self {
        let mut text = Self { buffer: String::with_capacity(512), ends: [0; IDS] };
        let (session, party) = (&event.session, &event.party);
        let mut index = 0;
        let mut put = |write: &dyn Fn(&mut String) -> std::fmt::Result| {
            write(&mut text.buffer).expect("writing to a string does not fail");
            text.ends[index] = text.buffer.len();
            index += 1;
        };
        put(&|out| write!(out, "{}", subscriber.notification_id(event)));
        put(&|out| {
            write!(out, "/restapi/v1.0/account/{}", session.account)?;
            if let Some(extension) = party.extension {
                write!(out, "/extension/{extension}")?;
            }
            out.write_str("/telephony/sessions")
        });
        put(&|out| write!(out, "{}", subscriber.subscription));
        put(&|out| write!(out, "{}", subscriber.owner));
        put(&|out| write!(out, "{}", session.session_id));
        put(&|out| write!(out, "{}", session.id));
        put(&|out| write!(out, "{}", party.account));
        put(&|out| party.extension.map_or(Ok(()), |id| write!(out, "{id}")));
        put(&|out| write!(out, "{}", party.id));
        for side in [&party.from, &party.to] {
            put(&|out| side.device.map_or(Ok(()), |id| write!(out, "{id}")));
            put(&|out| side.extension.map_or(Ok(()), |id| write!(out, "{id}")));
        }
        put(&|out| {
            if party.status.mobile_pickup {
                let hash = IdHash::new("pickup")
                    .part(&session.id.as_u128().to_be_bytes())
                    .number(party.id.number.into());
                write!(out, "{}", 10_000_000_000_000 + hash.u64() % 90_000_000_000_000)?;
            }
            Ok(())
        });
        text
    }

    fn id(&self, index: usize) -> &str {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.buffer[start..self.ends[index]]
    }

    fn some(&self, index: usize) -> Option<&str> {
        Some(self.id(index)).filter(|id| !id.is_empty())
    }
}

// The shapes, in the recorded order of keys.

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Notification<'a> {
    uuid: &'a str,
    event: &'a str,
    timestamp: &'a str,
    subscription_id: &'a str,
    owner_id: &'a str,
    body: Body<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    sequence: u32,
    session_id: &'a str,
    telephony_session_id: &'a str,
    server_id: &'a str,
    event_time: &'a str,
    parties: [PartyJson<'a>; 1],
    origin: OriginJson,
}

#[derive(Serialize)]
struct OriginJson {
    #[serde(rename = "type")]
    kind: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PartyJson<'a> {
    account_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    extension_id: Option<&'a str>,
    id: &'a str,
    direction: &'static str,
    to: EndpointJson<'a>,
    from: EndpointJson<'a>,
    status: StatusJson<'a>,
    park: ParkJson<'a>,
    missed_call: bool,
    stand_alone: bool,
    muted: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    conference_role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ring_out_role: Option<&'static str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    queue_call: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    recordings: Vec<RecordingJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sip_data: Option<SipDataJson<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EndpointJson<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    phone_number: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    extension_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device_id: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StatusJson<'a> {
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    park_data: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    peer_id: Option<PeerJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mobile_pickup_data: Option<PickupJson<'a>>,
    rcc: bool,
}

#[derive(Serialize)]
struct ParkJson<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "the names of the API")]
struct PeerJson {
    session_id: String,
    telephony_session_id: String,
    party_id: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PickupJson<'a> {
    cc_mailboxes: [&'a str; 1],
    to: String,
    sid: &'a str,
    srv_lvl: &'static str,
    srv_lvl_ext: &'static str,
}

#[derive(Serialize)]
struct RecordingJson {
    id: String,
    active: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SipDataJson<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    to_tag: Option<&'a str>,
    from_tag: &'a str,
    call_id: &'a str,
}

impl<'a> Notification<'a> {
    fn new(subscriber: &'a Subscriber, event: &'a Event, text: &'a Text, sent: &'a Iso, at: &'a Iso) -> Self {
        let body = Body {
            sequence: event.sequence,
            session_id: text.id(4),
            telephony_session_id: text.id(5),
            server_id: &subscriber.server_id,
            event_time: at.as_str(),
            parties: [PartyJson::new(&event.party, text, subscriber.sip_data)],
            origin: OriginJson { kind: event.session.origin.as_str() },
        };
        Self {
            uuid: text.id(0),
            event: text.id(1),
            timestamp: sent.as_str(),
            subscription_id: text.id(2),
            owner_id: text.id(3),
            body,
        }
    }
}

impl<'a> PartyJson<'a> {
    fn new(party: &'a Party, text: &'a Text, sip_data: bool) -> Self {
        let status = &party.status;
        let pickup = text.some(13).map(|sid| PickupJson {
            cc_mailboxes: [text.id(7)],
            to: format!("#{sid}@sip.hookswitch.invalid:5060"),
            sid,
            srv_lvl: "-149699523",
            srv_lvl_ext: "406",
        });
        Self {
            account_id: text.id(6),
            extension_id: text.some(7),
            id: text.id(8),
            direction: party.direction.as_str(),
            to: EndpointJson::new(&party.to, text.some(12), text.some(11)),
            from: EndpointJson::new(&party.from, text.some(10), text.some(9)),
            status: StatusJson {
                code: status.code.as_str(),
                reason: status.reason.map(hookswitch_model::Reason::as_str),
                park_data: status.park_data.as_deref(),
                peer_id: status.peer.map(|peer| PeerJson {
                    session_id: peer.session.to_string(),
                    telephony_session_id: peer.party.session.to_string(),
                    party_id: peer.party.to_string(),
                }),
                mobile_pickup_data: pickup,
                rcc: false,
            },
            park: ParkJson { id: party.park.as_deref() },
            missed_call: party.missed_call,
            stand_alone: party.stand_alone,
            muted: party.muted,
            conference_role: party.conference_role.map(hookswitch_model::ConferenceRole::as_str),
            ring_out_role: party.ring_out_role.map(hookswitch_model::RingOutRole::as_str),
            queue_call: party.queue_call,
            recordings: party
                .recordings
                .iter()
                .map(|recording| RecordingJson { id: recording.id.to_string(), active: recording.active })
                .collect(),
            sip_data: party.sip.as_ref().filter(|_| sip_data).map(SipDataJson::new),
        }
    }
}

impl<'a> EndpointJson<'a> {
    fn new(endpoint: &'a Endpoint, extension_id: Option<&'a str>, device_id: Option<&'a str>) -> Self {
        Self {
            phone_number: endpoint.phone_number.as_deref(),
            name: endpoint.name.as_deref(),
            extension_id,
            device_id,
        }
    }
}

impl<'a> SipDataJson<'a> {
    fn new(sip: &'a SipData) -> Self {
        Self { to_tag: sip.to_tag.as_deref(), from_tag: &sip.from_tag, call_id: &sip.call_id }
    }
}
