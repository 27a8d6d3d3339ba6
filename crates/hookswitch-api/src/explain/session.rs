//! A session in short: who takes part, and how it stands.

use std::sync::Arc;

use hookswitch_model::{
    Direction, Endpoint, Logged, Party, SessionFacts, StatusCode, TelephonySessionId, Timestamp,
};
use hookswitch_store::{Reader, StoreError};
use serde::Serialize;
use utoipa::ToSchema;

use super::EVENTS_PAGE;
use crate::telephony::Call;

/// Facts gathered from the events of a session.
#[derive(Default)]
struct Fold {
    facts: Option<Arc<SessionFacts>>,
    parties: Vec<Party>,
    start: Timestamp,
    last: Timestamp,
    count: usize,
    position: u64,
    /// The last sequence.
    after: u32,
}

impl Fold {
    fn add(&mut self, events: &[Logged]) {
        for logged in events {
            let event = &logged.event;
            if self.facts.is_none() {
                self.facts = Some(event.session.clone());
                self.start = event.at;
            }
            match self.parties.iter_mut().find(|known| known.id == event.party.id) {
                Some(known) => *known = event.party.clone(),
                None => self.parties.push(event.party.clone()),
            }
            self.last = event.at;
            self.count += 1;
            self.position = self.position.max(logged.position);
            self.after = event.sequence;
        }
    }

    fn summary(&self) -> Option<SessionSummary> {
        let parties: Vec<&Party> = self.parties.iter().collect();
        let times = (self.start, self.last);
        let facts = self.facts.as_ref()?;
        Some(SessionSummary::assemble(facts, &parties, times, self.count, self.position))
    }
}

/// A session in short.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SessionSummary {
    pub(crate) telephony_session_id: String,
    session_id: String,
    pub(crate) account_id: String,
    pub(crate) start_time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_time: Option<String>,
    is_open: bool,
    origin: String,
    parties: Vec<SessionParty>,
    /// Number of events that were told of it.
    events: usize,
    /// Position of the last one in the event log.
    last_position: u64,
    /// From its beginning to its end, rounded.
    #[serde(skip)]
    seconds: Option<u64>,
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
    /// The extension whose it is, if it is one of the directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    extension_id: Option<String>,
    /// Set if it got the call from a queue.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    queue_call: bool,
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
}

impl SessionSummary {
    /// Returns how a session stands after all its events, which are read in parts; none without any.
    pub(crate) fn read(reader: &Reader, id: TelephonySessionId) -> Result<Option<Self>, StoreError> {
        let mut fold = Fold::default();
        loop {
            let events = reader.events_of_after(id, fold.after, EVENTS_PAGE)?;
            fold.add(&events);
            if events.len() < EVENTS_PAGE {
                return Ok(fold.summary());
            }
        }
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
                    extension_id: party.extension.map(|id| id.to_string()),
                    queue_call: party.queue_call,
                })
                .collect(),
            events,
            last_position,
            seconds: (!is_open).then(|| (last.since(start).as_millis() as u64 + 500) / 1000),
        }
    }

    /// The session as a row of a table, whose columns are [`COLUMNS`].
    pub(crate) fn row(&self) -> [String; COLUMNS.len()] {
        let (from, to) = self.ends();
        let number =
            |side: Option<&Side>| side.and_then(|side| side.phone_number.clone()).unwrap_or_default();
        let name = |side: Option<&Side>| side.and_then(|side| side.name.clone()).unwrap_or_default();
        let missed = self.parties.iter().any(|party| party.missed_call);
        let reason = self.parties.iter().rev().find_map(|party| party.reason.clone());
        [
            self.start_time.clone(),
            self.end_time.clone().unwrap_or_default(),
            self.seconds.map_or_else(String::new, |seconds| seconds.to_string()),
            self.state().to_owned(),
            number(from),
            name(from),
            number(to),
            name(to),
            if missed { "yes" } else { "no" }.to_owned(),
            reason.unwrap_or_default(),
            self.events.to_string(),
            self.telephony_session_id.clone(),
        ]
    }

    /// The state in a word: that of the party that has come furthest.
    fn state(&self) -> &str {
        let has = |code: &str| self.parties.iter().any(|party| party.status_code == code);
        if !self.is_open {
            let missed = self.parties.iter().any(|party| party.missed_call);
            return if missed { "Missed" } else { "Disconnected" };
        }
        STATES.into_iter().map(StatusCode::as_str).find(|code| has(code)).unwrap_or("Setup")
    }

    /// Returns who calls whom.
    fn ends(&self) -> (Option<&Side>, Option<&Side>) {
        let is_outbound = |party: &&SessionParty| party.direction == Direction::Outbound.as_str();
        let is_there = |party: &&SessionParty| party.status_code != StatusCode::Disconnected.as_str();
        let caller = self.parties.iter().find(is_outbound).or(self.parties.first());
        let called = || self.parties.iter().filter(|party| !is_outbound(party));
        let called = called().find(is_there).or_else(|| called().next_back());
        (caller.map(|party| &party.from), called.or(caller).map(|party| &party.to))
    }
}

/// The states of an open session, that of the party that has come furthest first.
const STATES: [StatusCode; 8] = [
    StatusCode::Hold,
    StatusCode::Parked,
    StatusCode::Answered,
    StatusCode::VoiceMail,
    StatusCode::VoiceMailScreening,
    StatusCode::FaxReceive,
    StatusCode::Proceeding,
    StatusCode::Setup,
];

/// The columns of a table of sessions.
pub(crate) const COLUMNS: [&str; 12] = [
    "Start",
    "End",
    "Seconds",
    "State",
    "From number",
    "From name",
    "To number",
    "To name",
    "Missed",
    "Reason",
    "Events",
    "Telephony session id",
];
