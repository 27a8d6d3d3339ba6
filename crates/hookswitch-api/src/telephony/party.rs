//! Sessions and parties as the resources show them (contract call-control §2).

use hookswitch_model::{DeviceId, Endpoint, ExtensionId, Iso, Party, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

use super::calls::Call;

/// A session.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "the names are those of the wire")]
pub(crate) struct Session {
    /// The `telephonySessionId`.
    id: String,
    session_id: String,
    origin: OriginBody,
    /// UTC, in whole seconds.
    creation_time: String,
    parties: Vec<PartyBody>,
}

/// Kind of session.
#[derive(Serialize, ToSchema)]
#[schema(as = Origin)]
struct OriginBody {
    #[serde(rename = "type")]
    kind: String,
}

/// A party.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Party)]
pub(crate) struct PartyBody {
    id: String,
    account_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    extension_id: Option<String>,
    direction: String,
    from: EndpointBody,
    to: EndpointBody,
    status: StatusBody,
    muted: bool,
    stand_alone: bool,
    missed_call: bool,
    park: Park,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<Owner>,
    #[serde(skip_serializing_if = "Option::is_none")]
    conference_role: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ring_out_role: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    recordings: Vec<RecordingBody>,
}

/// The extension whose party it is, in the older form.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Owner {
    account_id: String,
    extension_id: String,
}

/// One end of a leg.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Endpoint)]
struct EndpointBody {
    #[serde(skip_serializing_if = "Option::is_none")]
    phone_number: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    extension_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device_id: Option<String>,
}

/// Status of a party.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Status)]
struct StatusBody {
    code: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    park_data: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    peer_id: Option<PeerBody>,
    rcc: bool,
}

/// The party of another session to which the media has moved.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Peer)]
#[expect(clippy::struct_field_names, reason = "the names are those of the wire")]
struct PeerBody {
    session_id: String,
    telephony_session_id: String,
    party_id: String,
}

/// Slot where a call is parked.
#[derive(Serialize, ToSchema)]
struct Park {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
}

/// A recording.
#[derive(Serialize, ToSchema)]
#[schema(as = Recording)]
struct RecordingBody {
    id: String,
    active: bool,
}

impl Session {
    pub(super) fn of(call: &Call) -> Self {
        let facts = &call.facts;
        Self {
            id: facts.id.to_string(),
            session_id: facts.session_id.to_string(),
            origin: OriginBody { kind: facts.origin.to_string() },
            creation_time: seconds(call.created),
            parties: call.parties.iter().map(|(_, party)| PartyBody::of(party)).collect(),
        }
    }
}

impl PartyBody {
    pub(super) fn of(party: &Party) -> Self {
        let status = &party.status;
        let account_id = party.account.to_string();
        Self {
            id: party.id.to_string(),
            extension_id: party.extension.map(|id| id.to_string()),
            direction: party.direction.to_string(),
            from: EndpointBody::of(&party.from),
            to: EndpointBody::of(&party.to),
            status: StatusBody {
                code: status.code.to_string(),
                reason: status.reason.map(|reason| reason.to_string()),
                park_data: status.park_data.as_deref().map(str::to_owned),
                peer_id: status.peer.as_ref().map(|peer| PeerBody {
                    session_id: peer.session.to_string(),
                    telephony_session_id: peer.party.session.to_string(),
                    party_id: peer.party.to_string(),
                }),
                rcc: false,
            },
            muted: party.muted,
            stand_alone: party.stand_alone,
            missed_call: party.missed_call,
            park: Park { id: party.park.as_deref().map(str::to_owned) },
            owner: party
                .extension
                .map(|id| Owner { account_id: account_id.clone(), extension_id: id.to_string() }),
            conference_role: party.conference_role.map(|role| role.to_string()),
            ring_out_role: party.ring_out_role.map(|role| role.to_string()),
            recordings: party
                .recordings
                .iter()
                .map(|recording| RecordingBody { id: recording.id.to_string(), active: recording.active })
                .collect(),
            account_id,
        }
    }
}

impl EndpointBody {
    fn of(endpoint: &Endpoint) -> Self {
        Self {
            phone_number: endpoint.phone_number.as_deref().map(str::to_owned),
            name: endpoint.name.as_deref().map(str::to_owned),
            extension_id: endpoint.extension.as_ref().map(ExtensionId::to_string),
            device_id: endpoint.device.as_ref().map(DeviceId::to_string),
        }
    }
}

/// A time in whole seconds, as `2018-08-01T13:36:09Z`.
fn seconds(at: Timestamp) -> String {
    let iso = Iso::new(at);
    format!("{}Z", iso.as_str().split('.').next().unwrap_or_default())
}
