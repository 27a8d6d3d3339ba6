//! A session in short: who takes part, and how it stands.

use hookswitch_model::{Endpoint, Logged, Party, SessionFacts, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

use crate::telephony::Call;

/// A session in short.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SessionSummary {
    pub(crate) telephony_session_id: String,
    session_id: String,
    account_id: String,
    pub(crate) start_time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_time: Option<String>,
    is_open: bool,
    origin: String,
    parties: Vec<SessionParty>,
    /// How many events were told of it.
    events: usize,
    /// Where the last one is in the event log.
    last_position: u64,
}

/// A party as it stands.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct SessionParty {
    id: String,
    direction: String,
    from: Side,
    to: Side,
    status_code: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    missed_call: bool,
}

/// One side of a leg.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Side {
    #[serde(skip_serializing_if = "Option::is_none")]
    phone_number: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    extension_id: Option<String>,
}

impl Side {
    fn of(endpoint: &Endpoint) -> Self {
        Self {
            phone_number: endpoint.phone_number.as_deref().map(str::to_owned),
            name: endpoint.name.as_deref().map(str::to_owned),
            extension_id: endpoint.extension.map(|id| id.to_string()),
        }
    }

    fn has(&self, text: &str) -> bool {
        [&self.phone_number, &self.name].into_iter().flatten().any(|own| own.to_lowercase().contains(text))
    }
}

impl SessionSummary {
    /// How a session stands after its events; none without any.
    pub(crate) fn of(events: &[Logged]) -> Option<Self> {
        let (first, last) = (events.first()?, events.last()?);
        let mut parties: Vec<&Party> = Vec::new();
        for logged in events {
            let party = &logged.event.party;
            match parties.iter_mut().find(|known| known.id == party.id) {
                Some(known) => *known = party,
                None => parties.push(party),
            }
        }
        let position = events.iter().map(|logged| logged.position).max().unwrap_or_default();
        let (start, end) = (first.event.at, last.event.at);
        Some(Self::assemble(&first.event.session, &parties, (start, end), events.len(), position))
    }

    /// A call as it stands.
    pub(crate) fn of_call(call: &Call) -> Self {
        let parties: Vec<&Party> = call.parties.iter().map(|(_, party)| party).collect();
        Self::assemble(&call.facts, &parties, (call.created, call.changed), call.events, call.position)
    }

    fn assemble(
        facts: &SessionFacts,
        parties: &[&Party],
        (start, last): (Timestamp, Timestamp),
        events: usize,
        last_position: u64,
    ) -> Self {
        let is_open = parties.iter().any(|party| !party.status.code.is_terminal());
        Self {
            telephony_session_id: facts.id.to_string(),
            session_id: facts.session_id.to_string(),
            account_id: facts.account.to_string(),
            start_time: start.to_string(),
            end_time: (!is_open).then(|| last.to_string()),
            is_open,
            origin: facts.origin.to_string(),
            parties: parties
                .iter()
                .map(|party| SessionParty {
                    id: party.id.to_string(),
                    direction: party.direction.to_string(),
                    from: Side::of(&party.from),
                    to: Side::of(&party.to),
                    status_code: party.status.code.to_string(),
                    reason: party.status.reason.map(|reason| reason.to_string()),
                    missed_call: party.missed_call,
                })
                .collect(),
            events,
            last_position,
        }
    }

    /// Whether a number, a name or an id holds a text in lower case.
    pub(super) fn has(&self, text: &str) -> bool {
        self.telephony_session_id.contains(text)
            || self.session_id.contains(text)
            || self.parties.iter().any(|party| party.from.has(text) || party.to.has(text))
    }
}
