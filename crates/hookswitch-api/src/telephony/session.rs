//! `/restapi/v1.0/account/{accountId}/telephony/…` (contract call-control §3, §4).

use axum::Json;
use axum::extract::State;
use hookswitch_model::{PartyId, TelephonySessionId};
use hookswitch_server::auth::Principal;
use hookswitch_server::rights::Action;

use super::calls::Call;
use super::party::{PartyBody, Session};
use crate::request::Segments;
use crate::{Api, Problem, openapi};

/// Reads an id from a path: `s-` and 32 hexadecimal digits.
fn session_id(text: &str) -> Option<TelephonySessionId> {
    digits(text.strip_prefix("s-")?).map(TelephonySessionId::new)
}

/// Reads an id from a path: `p-`, the digits of the session, `-` and a number.
fn party_id(text: &str) -> Option<PartyId> {
    let (session, number) = text.strip_prefix("p-")?.split_once('-')?;
    Some(PartyId { session: TelephonySessionId::new(digits(session)?), number: number.parse().ok()? })
}

fn digits(text: &str) -> Option<u128> {
    let plain =
        text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    plain.then(|| u128::from_str_radix(text, 16).ok()).flatten()
}

/// The session that a path names, if the user may see it: an administrator sees all of the account,
/// others see those in which they take part.
fn find(api: &Api, principal: &Principal, account: &str, session: &str) -> Result<Call, Problem> {
    let account = api.account(principal, Action::ReadCalls, account)?;
    let unknown = || Problem::unknown("telephonySessionId", session);
    let call = api.calls.find(account, session_id(session).ok_or_else(unknown)?)?;
    let may_see_all = api.check(principal, Action::ReadCalls, account, None).is_ok();
    call.filter(|call| may_see_all || call.has(principal.extension)).ok_or_else(unknown)
}

/// Reads a session.
#[utoipa::path(
    get, path = "/restapi/v1.0/account/{accountId}/telephony/sessions/{telephonySessionId}", tag = "Telephony",
    params(("accountId" = String, Path, description = "`~` or the id"), ("telephonySessionId" = String, Path, description = "Its id")),
    responses((status = 200, body = Session), openapi::Refusals)
)]
pub(crate) async fn read(
    State(api): State<Api>,
    principal: Principal,
    Segments([account, session]): Segments<2>,
) -> Result<Json<Session>, Problem> {
    find(&api, &principal, &account, &session).map(|call| Json(Session::of(&call)))
}

/// Reads a party.
#[utoipa::path(
    get, path = "/restapi/v1.0/account/{accountId}/telephony/sessions/{telephonySessionId}/parties/{partyId}",
    tag = "Telephony",
    params(
        ("accountId" = String, Path, description = "`~` or the id"),
        ("telephonySessionId" = String, Path, description = "The session"),
        ("partyId" = String, Path, description = "Its id"),
    ),
    responses((status = 200, body = PartyBody), openapi::Refusals)
)]
pub(crate) async fn read_party(
    State(api): State<Api>,
    principal: Principal,
    Segments([account, session, party]): Segments<3>,
) -> Result<Json<PartyBody>, Problem> {
    let call = find(&api, &principal, &account, &session)?;
    let found = party_id(&party).and_then(|id| call.party(id));
    found.map(|party| Json(PartyBody::of(party))).ok_or_else(|| Problem::unknown("partyId", &party))
}

/// Refuses what would act on a call, to those who might do it.
fn refuse(api: &Api, principal: &Principal, account: &str) -> Problem {
    api.account(principal, Action::ControlCalls, account).err().unwrap_or_else(Problem::feature_off)
}

/// Would place a call; refused.
#[utoipa::path(
    post, path = "/restapi/v1.0/account/{accountId}/telephony/call-out", tag = "Telephony",
    params(("accountId" = String, Path, description = "`~` or the id")),
    responses(openapi::Refusals)
)]
pub(crate) async fn call_out(
    State(api): State<Api>,
    principal: Principal,
    Segments([account]): Segments<1>,
) -> Problem {
    refuse(&api, &principal, &account)
}

/// Would open a conference; refused.
#[utoipa::path(
    post, path = "/restapi/v1.0/account/{accountId}/telephony/conference", tag = "Telephony",
    params(("accountId" = String, Path, description = "`~` or the id")),
    responses(openapi::Refusals)
)]
pub(crate) async fn conference(
    State(api): State<Api>,
    principal: Principal,
    Segments([account]): Segments<1>,
) -> Problem {
    refuse(&api, &principal, &account)
}

/// Would end a session; refused.
#[utoipa::path(
    delete, path = "/restapi/v1.0/account/{accountId}/telephony/sessions/{telephonySessionId}", tag = "Telephony",
    params(("accountId" = String, Path, description = "`~` or the id"), ("telephonySessionId" = String, Path, description = "Its id")),
    responses(openapi::Refusals)
)]
pub(crate) async fn drop_session(
    State(api): State<Api>,
    principal: Principal,
    Segments([account, _]): Segments<2>,
) -> Problem {
    refuse(&api, &principal, &account)
}

/// Would supervise a session; refused.
#[utoipa::path(
    post, path = "/restapi/v1.0/account/{accountId}/telephony/sessions/{telephonySessionId}/supervise",
    tag = "Telephony",
    params(("accountId" = String, Path, description = "`~` or the id"), ("telephonySessionId" = String, Path, description = "Its id")),
    responses(openapi::Refusals)
)]
pub(crate) async fn supervise(
    State(api): State<Api>,
    principal: Principal,
    Segments([account, _]): Segments<2>,
) -> Problem {
    refuse(&api, &principal, &account)
}

/// Would bring a party into a conference; refused.
#[utoipa::path(
    post, path = "/restapi/v1.0/account/{accountId}/telephony/sessions/{telephonySessionId}/parties/bring-in",
    tag = "Telephony",
    params(("accountId" = String, Path, description = "`~` or the id"), ("telephonySessionId" = String, Path, description = "Its id")),
    responses(openapi::Refusals)
)]
pub(crate) async fn bring_in(
    State(api): State<Api>,
    principal: Principal,
    Segments([account, _]): Segments<2>,
) -> Problem {
    refuse(&api, &principal, &account)
}

/// Would change a party; refused.
#[utoipa::path(
    patch, path = "/restapi/v1.0/account/{accountId}/telephony/sessions/{telephonySessionId}/parties/{partyId}",
    tag = "Telephony",
    params(
        ("accountId" = String, Path, description = "`~` or the id"),
        ("telephonySessionId" = String, Path, description = "The session"),
        ("partyId" = String, Path, description = "Its id"),
    ),
    responses(openapi::Refusals)
)]
pub(crate) async fn update_party(
    State(api): State<Api>,
    principal: Principal,
    Segments([account, ..]): Segments<3>,
) -> Problem {
    refuse(&api, &principal, &account)
}

/// Would remove a party; refused.
#[utoipa::path(
    delete, path = "/restapi/v1.0/account/{accountId}/telephony/sessions/{telephonySessionId}/parties/{partyId}",
    tag = "Telephony",
    params(
        ("accountId" = String, Path, description = "`~` or the id"),
        ("telephonySessionId" = String, Path, description = "The session"),
        ("partyId" = String, Path, description = "Its id"),
    ),
    responses(openapi::Refusals)
)]
pub(crate) async fn delete_party(
    State(api): State<Api>,
    principal: Principal,
    Segments([account, ..]): Segments<3>,
) -> Problem {
    refuse(&api, &principal, &account)
}

/// What can be asked of a party.
const OPERATIONS: [&str; 14] = [
    "answer",
    "bridge",
    "flip",
    "forward",
    "hold",
    "ignore",
    "park",
    "pickup",
    "recordings",
    "reject",
    "reply",
    "supervise",
    "transfer",
    "unhold",
];

/// Would act on a party; refused.
#[utoipa::path(
    post,
    path = "/restapi/v1.0/account/{accountId}/telephony/sessions/{telephonySessionId}/parties/{partyId}/{operation}",
    tag = "Telephony",
    params(
        ("accountId" = String, Path, description = "`~` or the id"),
        ("telephonySessionId" = String, Path, description = "The session"),
        ("partyId" = String, Path, description = "The party"),
        ("operation" = String, Path, description = "`answer`, `bridge`, `flip`, `forward`, `hold`, `ignore`, `park`, `pickup`, \
                                     `recordings`, `reject`, `reply`, `supervise`, `transfer` or `unhold`"),
    ),
    responses(openapi::Refusals)
)]
pub(crate) async fn act(
    State(api): State<Api>,
    principal: Principal,
    Segments([account, _, _, operation]): Segments<4>,
) -> Problem {
    if OPERATIONS.contains(&&*operation) { refuse(&api, &principal, &account) } else { Problem::not_found() }
}

/// Would pause or resume a recording; refused.
#[utoipa::path(
    patch,
    path = "/restapi/v1.0/account/{accountId}/telephony/sessions/{telephonySessionId}/parties/{partyId}/recordings/{recordingId}",
    tag = "Telephony",
    params(
        ("accountId" = String, Path, description = "`~` or the id"),
        ("telephonySessionId" = String, Path, description = "The session"),
        ("partyId" = String, Path, description = "The party"),
        ("recordingId" = String, Path, description = "The recording"),
    ),
    responses(openapi::Refusals)
)]
pub(crate) async fn update_recording(
    State(api): State<Api>,
    principal: Principal,
    Segments([account, ..]): Segments<4>,
) -> Problem {
    refuse(&api, &principal, &account)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_as_they_are_written_and_not_otherwise() {
        let id = TelephonySessionId::new(0x0011_2233_4455_6677_8899_aabb_ccdd_eeff);
        assert_eq!(session_id(&id.to_string()), Some(id));
        assert_eq!(party_id(&id.party(7).to_string()), Some(id.party(7)));
        for wrong in
            ["", "s-", "00112233445566778899aabbccddeeff", "s-+0112233445566778899aabbccddeef", "s-AA"]
        {
            assert_eq!(session_id(wrong), None, "{wrong}");
        }
        for wrong in ["p-00112233445566778899aabbccddeeff", "p-00112233445566778899aabbccddeeff-x", "s-1-1"] {
            assert_eq!(party_id(wrong), None, "{wrong}");
        }
    }
}
