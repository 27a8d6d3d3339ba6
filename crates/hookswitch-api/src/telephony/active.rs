//! `active-calls` and the list of sessions: the calls that go on.

use axum::Json;
use axum::extract::{RawQuery, State};
use hookswitch_model::{Direction, Endpoint, ExtensionId, Iso, Party, StatusCode, Timestamp};
use hookswitch_server::auth::Principal;
use hookswitch_server::clock;
use hookswitch_server::rights::Action;
use serde::Serialize;
use utoipa::ToSchema;

use super::calls::Call;
use super::party::Session;
use crate::list::{List, PageQuery};
use crate::profile::{own_extension, whole_account};
use crate::request::{Base, Segments};
use crate::{Api, Problem, openapi};

/// A call that goes on, in the form of the call log.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ActiveCallRecord {
    id: String,
    session_id: String,
    telephony_session_id: String,
    party_id: String,
    start_time: String,
    /// Seconds until now.
    duration: u64,
    #[serde(rename = "type")]
    kind: &'static str,
    direction: String,
    /// `In Progress`.
    result: &'static str,
    from: Side,
    to: Side,
    #[serde(skip_serializing_if = "Option::is_none")]
    extension: Option<CallExtension>,
}

/// One side of a call.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Side {
    #[serde(skip_serializing_if = "Option::is_none")]
    phone_number: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    extension_number: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    extension_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
}

/// The extension whose call it is.
#[derive(Serialize, ToSchema)]
pub(super) struct CallExtension {
    id: u64,
    uri: String,
}

impl CallExtension {
    pub(super) fn of(base: &str, party: &Party) -> Option<Self> {
        let (account, id) = (party.account, party.extension?);
        let uri = format!("{base}/restapi/v1.0/account/{account}/extension/{id}");
        Some(Self { id: id.as_u64(), uri })
    }
}

impl Side {
    /// A number within the account is that of an extension.
    pub(super) fn of(side: &Endpoint) -> Self {
        let number = side.phone_number.as_deref().map(str::to_owned);
        let is_short =
            side.extension.is_some() && !number.as_deref().is_some_and(|number| number.starts_with('+'));
        let (extension_number, phone_number) = if is_short { (number, None) } else { (None, number) };
        Self {
            phone_number,
            extension_number,
            extension_id: side.extension.map(|id| id.to_string()),
            name: side.name.as_deref().map(str::to_owned),
        }
    }
}

impl ActiveCallRecord {
    fn of(base: &str, call: &Call, since: Timestamp, party: &Party, now: Timestamp) -> Self {
        Self {
            id: party.id.to_string(),
            session_id: call.facts.session_id.to_string(),
            telephony_session_id: call.facts.id.to_string(),
            party_id: party.id.to_string(),
            start_time: Iso::new(since).as_str().to_owned(),
            duration: now.since(since).as_secs(),
            kind: if party.status.code == StatusCode::FaxReceive { "Fax" } else { "Voice" },
            direction: party.direction.to_string(),
            result: "In Progress",
            from: Side::of(&party.from),
            to: Side::of(&party.to),
            extension: CallExtension::of(base, party),
        }
    }
}

/// The party that stands for a call: of an extension its own that goes on, of an account the one who calls from
/// it, or else the first that is called in it.
fn standing_for(call: &Call, extension: Option<ExtensionId>) -> Vec<&(Timestamp, Party)> {
    let live = |(_, party): &&(Timestamp, Party)| !party.status.code.is_terminal();
    if let Some(extension) = extension {
        return call
            .parties
            .iter()
            .filter(live)
            .filter(|(_, party)| party.extension == Some(extension))
            .collect();
    }
    let inside = || call.parties.iter().filter(|(_, party)| party.extension.is_some());
    let caller = inside().find(|(_, party)| party.direction == Direction::Outbound);
    let called = || inside().find(live).or_else(|| inside().next());
    caller.or_else(called).or_else(|| call.parties.first()).into_iter().collect()
}

/// Checks the values by which calls are chosen.
///
/// # Errors
/// Names the parameter, and what it may be.
pub(super) fn check_choice(query: &PageQuery) -> Result<(), Problem> {
    query.check_values("direction", ["Inbound", "Outbound"])?;
    query.check_values("type", ["Voice", "Fax"])
}

/// The records of some calls that a query asks for, the newest first.
fn records(
    (base, query): (&str, &PageQuery),
    calls: &[Call],
    extension: Option<ExtensionId>,
) -> Vec<ActiveCallRecord> {
    let now = clock::wall();
    let is_wanted = |name: &str, value: &str| {
        let mut wanted = query.values(name).peekable();
        wanted.peek().is_none() || wanted.any(|wanted| wanted.eq_ignore_ascii_case(value))
    };
    let mut found: Vec<ActiveCallRecord> = calls
        .iter()
        .flat_map(|call| {
            let parties = standing_for(call, extension).into_iter();
            parties.map(|(since, party)| ActiveCallRecord::of(base, call, *since, party, now))
        })
        .filter(|record| is_wanted("direction", &record.direction) && is_wanted("type", record.kind))
        .collect();
    found.sort_by(|one, other| (&other.start_time, &other.id).cmp(&(&one.start_time, &one.id)));
    found
}

/// Lists the calls of an extension that go on.
#[utoipa::path(
    get, path = "/restapi/v1.0/account/{accountId}/extension/{extensionId}/active-calls", tag = "Telephony",
    params(
        ("accountId" = String, Path, description = "`~` or the id"),
        ("extensionId" = String, Path, description = "`~` or the id"),
        ("direction" = Option<Vec<String>>, Query, description = "`Inbound` or `Outbound`; both without it"),
        ("type" = Option<Vec<String>>, Query, description = "`Voice` or `Fax`; both without it"),
        ("page" = Option<u32>, Query, minimum = 1, description = "From 1"),
        ("perPage" = Option<String>, Query, description = "From 1 to 1000, or `MAX`; 100 unless asked for"),
    ),
    responses((status = 200, body = List<ActiveCallRecord>), openapi::Refusals)
)]
pub(crate) async fn of_extension(
    State(api): State<Api>,
    principal: Principal,
    Base(base): Base,
    RawQuery(query): RawQuery,
    Segments([account, extension]): Segments<2>,
) -> Result<Json<List<ActiveCallRecord>>, Problem> {
    let (account, id) = own_extension(&api, &principal, Action::ReadCallLog, (&account, &extension)).await?;
    let query = PageQuery::read(query.as_deref())?;
    check_choice(&query)?;
    let found = records((&base, &query), &api.calls.of(account, Some(id))?, Some(id));
    let list = format!("{base}/restapi/v1.0/account/{account}/extension/{id}/active-calls");
    Ok(Json(query.page_of(&list, found)))
}

/// Lists the calls of an account that go on.
#[utoipa::path(
    get, path = "/restapi/v1.0/account/{accountId}/active-calls", tag = "Telephony",
    params(
        ("accountId" = String, Path, description = "`~` or the id"),
        ("direction" = Option<Vec<String>>, Query, description = "`Inbound` or `Outbound`; both without it"),
        ("type" = Option<Vec<String>>, Query, description = "`Voice` or `Fax`; both without it"),
        ("page" = Option<u32>, Query, minimum = 1, description = "From 1"),
        ("perPage" = Option<String>, Query, description = "From 1 to 1000, or `MAX`; 100 unless asked for"),
    ),
    responses((status = 200, body = List<ActiveCallRecord>), openapi::Refusals)
)]
pub(crate) async fn of_account(
    State(api): State<Api>,
    principal: Principal,
    Base(base): Base,
    RawQuery(query): RawQuery,
    Segments([account]): Segments<1>,
) -> Result<Json<List<ActiveCallRecord>>, Problem> {
    let account = whole_account(&api, &principal, Action::ReadCallLog, &account)?;
    let query = PageQuery::read(query.as_deref())?;
    check_choice(&query)?;
    let found = records((&base, &query), &api.calls.of(account, None)?, None);
    Ok(Json(query.page_of(&format!("{base}/restapi/v1.0/account/{account}/active-calls"), found)))
}

/// Lists the sessions that go on: of the account for administrators, for others those in which they take part.
#[utoipa::path(
    get, path = "/restapi/v1.0/account/{accountId}/telephony/sessions", tag = "Telephony",
    params(
        ("accountId" = String, Path, description = "`~` or the id"),
        ("page" = Option<u32>, Query, minimum = 1, description = "From 1"),
        ("perPage" = Option<String>, Query, description = "From 1 to 1000, or `MAX`; 100 unless asked for"),
    ),
    responses((status = 200, body = List<Session>), openapi::Refusals)
)]
pub(crate) async fn sessions(
    State(api): State<Api>,
    principal: Principal,
    Base(base): Base,
    RawQuery(query): RawQuery,
    Segments([account]): Segments<1>,
) -> Result<Json<List<Session>>, Problem> {
    let account = api.account(&principal, Action::ReadCalls, &account)?;
    let query = PageQuery::read(query.as_deref())?;
    let sees_all = api.check(&principal, Action::ReadCalls, account, None).is_ok();
    let of = (!sees_all).then_some(principal.extension);
    let calls = api.calls.of(account, of)?;
    let sessions = calls.iter().map(Session::of).collect();
    let list = format!("{base}/restapi/v1.0/account/{account}/telephony/sessions");
    Ok(Json(query.page_of(&list, sessions)))
}
