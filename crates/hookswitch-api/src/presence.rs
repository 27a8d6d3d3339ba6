//! Presence: who is in a call, and in which (contract call-control §5).

use axum::Json;
use axum::extract::{RawQuery, State};
use hookswitch_core::notification::connected_call_id;
use hookswitch_core::presence::{statuses_of, telephony_status};
use hookswitch_model::{Iso, Party, Timestamp};
use hookswitch_server::auth::Principal;
use hookswitch_server::rights::Action;
use serde::Serialize;
use utoipa::ToSchema;

use super::extensions::Person;
use super::list::{List, PageQuery};
use super::request::{Base, Segments};
use super::telephony::calls::Call;
use super::{Api, Problem, openapi};

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

/// Extension whose presence is shown.
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

impl ActiveCall {
    fn of(call: &Call, since: Timestamp, party: &Party, sip: bool) -> Self {
        let text = |text: &Option<std::sync::Arc<str>>| text.as_deref().map(str::to_owned);
        Self {
            id: connected_call_id(party).map_or_else(|| party.id.to_string(), str::to_owned),
            direction: party.direction.to_string(),
            from: text(&party.from.phone_number).unwrap_or_default(),
            to: text(&party.to.phone_number).unwrap_or_default(),
            from_name: text(&party.from.name),
            to_name: text(&party.to.name),
            telephony_status: telephony_status(party.status.code),
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
    fn of(base: &str, person: &Person, calls: &[Call], sip: bool) -> Self {
        let (mut active_calls, mut codes) = (Vec::new(), Vec::new());
        for call in calls {
            let own = call.parties.iter().filter(|(_, party)| party.extension == Some(person.id));
            let live = own.filter(|(_, party)| !party.status.code.is_terminal());
            for (since, party) in live {
                active_calls.push(ActiveCall::of(call, *since, party, sip));
                codes.push(party.status.code);
            }
        }
        let (telephony_status, presence_status) = statuses_of(codes.into_iter());
        Self {
            uri: format!("{}/presence", person.uri(base)),
            extension: PresenceExtension {
                id: person.id.as_u64(),
                uri: person.uri(base),
                extension_number: person.number.clone(),
            },
            presence_status,
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
    Base(base): Base,
    RawQuery(query): RawQuery,
    Segments([account, extension]): Segments<2>,
) -> Result<Json<Presence>, Problem> {
    let account = api.account(&principal, Action::ReadPresence, &account)?;
    let id = principal.extension(&extension)?;
    api.check(&principal, Action::ReadPresence, account, Some(id))?;
    let query = PageQuery::read(query.as_deref())?;
    let person = api.person(account, id).await?;
    let calls = api.calls.of(account, Some(id))?;
    Ok(Json(Presence::of(&base, &person, &calls, query.flag("sipData"))))
}

/// Reads the presence of all extensions of an account.
#[utoipa::path(
    get, path = "/restapi/v1.0/account/{accountId}/presence", tag = "Presence",
    params(
        ("accountId" = String, Path, description = "`~` or the id"),
        ("detailedTelephonyState" = Option<bool>, Query, description = "Accepted; the calls are always there"),
        ("sipData" = Option<bool>, Query, description = "Whether calls show their SIP dialog"),
        ("page" = Option<u32>, Query, minimum = 1, description = "From 1"),
        ("perPage" = Option<String>, Query, description = "From 1 to 1000, or `MAX`; 100 unless asked for"),
    ),
    responses((status = 200, body = List<Presence>), openapi::Refusals)
)]
pub(super) async fn account(
    State(api): State<Api>,
    principal: Principal,
    Base(base): Base,
    RawQuery(query): RawQuery,
    Segments([account]): Segments<1>,
) -> Result<Json<List<Presence>>, Problem> {
    let account = api.account(&principal, Action::ReadPresence, &account)?;
    api.check(&principal, Action::ReadPresence, account, None)?;
    let query = PageQuery::read(query.as_deref())?;
    let sip_data = query.flag("sipData");
    let calls = api.calls.of(account, None)?;
    let directory = api.directory();
    let listed = directory.accounts().find(|known| known.id() == account);
    let listed = listed.map(hookswitch_core::directory::Account::extensions).unwrap_or_default();
    let shown = listed.iter().skip(query.skipped()).take(query.per_page());
    let presence = |listed| Presence::of(&base, &Person::listed(account, listed), &calls, sip_data);
    let records = shown.map(presence).collect();
    let list = format!("{base}/restapi/v1.0/account/{account}/presence");
    Ok(Json(query.list(&list, records, listed.len())))
}
