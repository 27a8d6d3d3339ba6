//! Presence: who is in a call, and in which (contract call-control §5).

use axum::Json;
use axum::extract::{RawQuery, State};
use hookswitch_model::{Direction, Iso, Party, StatusCode, Timestamp};
use hookswitch_server::auth::Principal;
use hookswitch_server::rights::Action;
use serde::Serialize;
use utoipa::ToSchema;

use super::people::Person;
use super::request::Segments;
use super::telephony::calls::Call;
use super::{Api, Problem, openapi};

/// The most records of a page, and how many there are when none are asked for.
const PAGE_MAX: usize = 1000;
const PAGE: usize = 100;

/// The presence of an extension.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "the names are those of the wire")]
pub(super) struct Presence {
    uri: String,
    extension: PresenceExtension,
    presence_status: &'static str,
    telephony_status: &'static str,
    user_status: &'static str,
    dnd_status: &'static str,
    allow_see_my_presence: bool,
    ring_on_monitored_call: bool,
    pick_up_calls_on_hold: bool,
    active_calls: Vec<ActiveCall>,
}

/// Whose presence it is.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct PresenceExtension {
    id: u64,
    uri: String,
    extension_number: String,
}

/// A call in which an extension takes part.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ActiveCall {
    id: String,
    direction: String,
    from: String,
    to: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    from_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to_name: Option<String>,
    telephony_status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sip_data: Option<ActiveSip>,
    session_id: String,
    start_time: String,
    party_id: String,
    telephony_session_id: String,
}

/// The SIP dialog of a call, when it was asked for.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ActiveSip {
    to_tag: String,
    from_tag: String,
    call_id: String,
}

/// The presence of the extensions of an account.
#[derive(Serialize, ToSchema)]
pub(super) struct AccountPresence {
    records: Vec<Presence>,
    paging: Paging,
}

/// Which records of how many.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Paging {
    page: usize,
    per_page: usize,
    total_pages: usize,
    total_elements: usize,
}

/// What a query asks for.
struct Query {
    sip_data: bool,
    page: usize,
    per_page: usize,
}

impl Query {
    fn read(query: Option<&str>) -> Result<Self, Problem> {
        let mut read = Self { sip_data: false, page: 1, per_page: PAGE };
        for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            let number =
                |field, max: usize| {
                    value.parse().ok().filter(|number| (1..=max).contains(number)).ok_or_else(|| {
                        Problem::field(field, format!("{field} must be a number from 1 to {max}"))
                    })
                };
            match &*name {
                "sipData" => read.sip_data = value == "true",
                "page" => read.page = number("page", 1_000_000)?,
                "perPage" => read.per_page = number("perPage", PAGE_MAX)?,
                _ => {} // SDKs send more than is used here
            }
        }
        Ok(read)
    }
}

/// What a status is called in presence.
const fn telephony_status(code: StatusCode, direction: Direction) -> &'static str {
    match code {
        StatusCode::Setup | StatusCode::Proceeding if matches!(direction, Direction::Inbound) => "Ringing",
        StatusCode::Hold => "OnHold",
        StatusCode::Parked => "ParkedCall",
        StatusCode::Disconnected | StatusCode::Gone => "NoCall",
        _ => "CallConnected",
    }
}

impl ActiveCall {
    fn of(call: &Call, since: Timestamp, party: &Party, sip: bool) -> Self {
        let text = |text: &Option<std::sync::Arc<str>>| text.as_deref().map(str::to_owned);
        Self {
            id: party.id.to_string(),
            direction: party.direction.to_string(),
            from: text(&party.from.phone_number).unwrap_or_default(),
            to: text(&party.to.phone_number).unwrap_or_default(),
            from_name: text(&party.from.name),
            to_name: text(&party.to.name),
            telephony_status: telephony_status(party.status.code, party.direction),
            sip_data: party.sip.as_ref().filter(|_| sip).map(|sip| ActiveSip {
                to_tag: sip.to_tag.as_deref().unwrap_or_default().to_owned(),
                from_tag: (*sip.from_tag).to_owned(),
                call_id: (*sip.call_id).to_owned(),
            }),
            session_id: call.facts.session_id.to_string(),
            start_time: Iso::new(since).as_str().to_owned(),
            party_id: party.id.to_string(),
            telephony_session_id: call.facts.id.to_string(),
        }
    }
}

impl Presence {
    /// The presence of somebody, who takes part in some of these calls.
    fn of(person: &Person, calls: &[Call], sip: bool) -> Self {
        let mut active_calls = Vec::new();
        for call in calls {
            let own = call.parties.iter().filter(|(_, party)| party.extension == Some(person.id));
            let live = own.filter(|(_, party)| !party.status.code.is_terminal());
            active_calls.extend(live.map(|(since, party)| ActiveCall::of(call, *since, party, sip)));
        }
        let status = ["CallConnected", "OnHold", "ParkedCall", "Ringing"];
        let is = |status: &str| active_calls.iter().any(|call| call.telephony_status == status);
        let telephony_status = status.into_iter().find(|status| is(status)).unwrap_or("NoCall");
        Self {
            uri: format!("{}/presence", person.uri()),
            extension: PresenceExtension {
                id: person.id.as_u64(),
                uri: person.uri(),
                extension_number: person.number.clone(),
            },
            presence_status: if active_calls.is_empty() { "Available" } else { "Busy" },
            telephony_status,
            user_status: "Available",
            dnd_status: "TakeAllCalls",
            allow_see_my_presence: true,
            ring_on_monitored_call: false,
            pick_up_calls_on_hold: false,
            active_calls,
        }
    }
}

/// Reads the presence of an extension.
#[utoipa::path(
    get, path = "/restapi/v1.0/account/{accountId}/extension/{extensionId}/presence", tag = "Presence",
    params(
        ("accountId" = String, Path, description = "`~` or the id"),
        ("extensionId" = String, Path, description = "`~` or the id"),
        ("detailedTelephonyState" = Option<bool>, Query, description = "Accepted; the calls are always there"),
        ("sipData" = Option<bool>, Query, description = "Whether calls show their SIP dialog"),
    ),
    responses((status = 200, body = Presence), openapi::Refusals)
)]
pub(super) async fn extension(
    State(api): State<Api>,
    principal: Principal,
    RawQuery(query): RawQuery,
    Segments([account, extension]): Segments<2>,
) -> Result<Json<Presence>, Problem> {
    let account = api.account(&principal, Action::ReadPresence, &account)?;
    let id = principal.extension(&extension)?;
    api.check(&principal, Action::ReadPresence, account, Some(id))?;
    let query = Query::read(query.as_deref())?;
    let person = api.person(account, id).await?;
    let calls = api.calls.of(account, Some(id))?;
    Ok(Json(Presence::of(&person, &calls, query.sip_data)))
}

/// Reads the presence of all extensions of an account.
#[utoipa::path(
    get, path = "/restapi/v1.0/account/{accountId}/presence", tag = "Presence",
    params(
        ("accountId" = String, Path, description = "`~` or the id"),
        ("detailedTelephonyState" = Option<bool>, Query, description = "Accepted; the calls are always there"),
        ("sipData" = Option<bool>, Query, description = "Whether calls show their SIP dialog"),
        ("page" = Option<u32>, Query, minimum = 1, description = "From 1"),
        ("perPage" = Option<u32>, Query, minimum = 1, maximum = 1000, description = "100 unless asked for"),
    ),
    responses((status = 200, body = AccountPresence), openapi::Refusals)
)]
pub(super) async fn account(
    State(api): State<Api>,
    principal: Principal,
    RawQuery(query): RawQuery,
    Segments([account]): Segments<1>,
) -> Result<Json<AccountPresence>, Problem> {
    let account = api.account(&principal, Action::ReadPresence, &account)?;
    api.check(&principal, Action::ReadPresence, account, None)?;
    let Query { sip_data, page, per_page } = Query::read(query.as_deref())?;
    let calls = api.calls.of(account, None)?;
    let directory = api.directory();
    let listed = directory.accounts().find(|known| known.id() == account);
    let listed = listed.map(hookswitch_core::directory::Account::extensions).unwrap_or_default();
    let shown = listed.iter().skip((page - 1) * per_page).take(per_page);
    let records =
        shown.map(|listed| Presence::of(&Person::listed(account, listed), &calls, sip_data)).collect();
    let total_elements = listed.len();
    let total_pages = total_elements.div_ceil(per_page).max(1);
    Ok(Json(AccountPresence { records, paging: Paging { page, per_page, total_pages, total_elements } }))
}
