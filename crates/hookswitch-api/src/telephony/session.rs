//! `/restapi/v1.0/account/{accountId}/telephony/…` (contract call-control §3, §4).

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use hookswitch_model::{PartyId, TelephonySessionId};
use hookswitch_server::auth::Principal;
use hookswitch_server::rights::Action;

use super::calls::Call;
use super::control::{Key, Wanted};
use super::party::{PartyBody, Session};
use crate::request::{Content, Segments};
use crate::{Api, Problem, openapi};

/// Reads an id from a path: `s-` and 32 hexadecimal digits.
pub(super) fn session_id(text: &str) -> Option<TelephonySessionId> {
    digits(text.strip_prefix("s-")?).map(TelephonySessionId::new)
}

/// Reads an id from a path: `p-`, the digits of the session, `-` and a number.
pub(super) fn party_id(text: &str) -> Option<PartyId> {
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
pub(super) fn find(api: &Api, principal: &Principal, account: &str, session: &str) -> Result<Call, Problem> {
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

/// Calls a phone of the one who asks, and then a number.
#[utoipa::path(
    post, path = "/restapi/v1.0/account/{accountId}/telephony/call-out", tag = "Telephony",
    params(("accountId" = String, Path, description = "`~` or the id")),
    responses((status = 201), openapi::Refusals)
)]
pub(crate) async fn call_out(
    State(api): State<Api>,
    principal: Principal,
    Segments([account]): Segments<1>,
    key: Key,
    Content(bytes): Content,
) -> Result<Response, Problem> {
    let wanted = Wanted { api: &api, principal: &principal, account: &account, session: "", key };
    wanted.call_out(&bytes).await
}

/// Would open a conference: refused, for a phone system has rooms, and calls them by numbers.
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
    let may = api.account(&principal, Action::ControlCalls, &account);
    may.err().unwrap_or_else(|| {
        if !api.control.is_on() {
            return Problem::feature_off();
        }
        Problem::cannot(
            "A conference is a room of the phone system: call the number of the room from a phone",
        )
    })
}

/// Ends a session for all.
#[utoipa::path(
    delete, path = "/restapi/v1.0/account/{accountId}/telephony/sessions/{telephonySessionId}", tag = "Telephony",
    params(("accountId" = String, Path, description = "`~` or the id"), ("telephonySessionId" = String, Path, description = "Its id")),
    responses((status = 204), openapi::Refusals)
)]
pub(crate) async fn drop_session(
    State(api): State<Api>,
    principal: Principal,
    Segments([account, session]): Segments<2>,
    key: Key,
) -> Result<StatusCode, Problem> {
    let wanted = Wanted { api: &api, principal: &principal, account: &account, session: &session, key };
    wanted.drop_session().await
}

/// Listens to an agent who is in a session.
#[utoipa::path(
    post, path = "/restapi/v1.0/account/{accountId}/telephony/sessions/{telephonySessionId}/supervise",
    tag = "Telephony",
    params(("accountId" = String, Path, description = "`~` or the id"), ("telephonySessionId" = String, Path, description = "Its id")),
    responses((status = 201, body = PartyBody), openapi::Refusals)
)]
pub(crate) async fn supervise(
    State(api): State<Api>,
    principal: Principal,
    Segments([account, session]): Segments<2>,
    key: Key,
    Content(bytes): Content,
) -> Result<Response, Problem> {
    let wanted = Wanted { api: &api, principal: &principal, account: &account, session: &session, key };
    wanted.supervise(&bytes).await
}

/// Takes the far end of a party into a conference.
#[utoipa::path(
    post, path = "/restapi/v1.0/account/{accountId}/telephony/sessions/{telephonySessionId}/parties/bring-in",
    tag = "Telephony",
    params(("accountId" = String, Path, description = "`~` or the id"), ("telephonySessionId" = String, Path, description = "Its id")),
    responses((status = 201, body = PartyBody), openapi::Refusals)
)]
pub(crate) async fn bring_in(
    State(api): State<Api>,
    principal: Principal,
    Segments([account, session]): Segments<2>,
    key: Key,
    Content(bytes): Content,
) -> Result<Response, Problem> {
    let wanted = Wanted { api: &api, principal: &principal, account: &account, session: &session, key };
    wanted.bring_in(&bytes).await
}

/// Mutes a party, or not any more.
#[utoipa::path(
    patch, path = "/restapi/v1.0/account/{accountId}/telephony/sessions/{telephonySessionId}/parties/{partyId}",
    tag = "Telephony",
    params(
        ("accountId" = String, Path, description = "`~` or the id"),
        ("telephonySessionId" = String, Path, description = "The session"),
        ("partyId" = String, Path, description = "Its id"),
    ),
    responses((status = 200, body = PartyBody), openapi::Refusals)
)]
pub(crate) async fn update_party(
    State(api): State<Api>,
    principal: Principal,
    Segments([account, session, party]): Segments<3>,
    key: Key,
    Content(bytes): Content,
) -> Result<Response, Problem> {
    let wanted = Wanted { api: &api, principal: &principal, account: &account, session: &session, key };
    wanted.update_party(&party, &bytes).await
}

/// Takes a party out of its call.
#[utoipa::path(
    delete, path = "/restapi/v1.0/account/{accountId}/telephony/sessions/{telephonySessionId}/parties/{partyId}",
    tag = "Telephony",
    params(
        ("accountId" = String, Path, description = "`~` or the id"),
        ("telephonySessionId" = String, Path, description = "The session"),
        ("partyId" = String, Path, description = "Its id"),
    ),
    responses((status = 204), openapi::Refusals)
)]
pub(crate) async fn delete_party(
    State(api): State<Api>,
    principal: Principal,
    Segments([account, session, party]): Segments<3>,
    key: Key,
) -> Result<StatusCode, Problem> {
    let wanted = Wanted { api: &api, principal: &principal, account: &account, session: &session, key };
    wanted.delete_party(&party).await
}

/// Acts on a party.
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
    responses((status = 200, body = PartyBody), (status = 201), (status = 204), openapi::Refusals)
)]
pub(crate) async fn act(
    State(api): State<Api>,
    principal: Principal,
    Segments([account, session, party, operation]): Segments<4>,
    key: Key,
    Content(bytes): Content,
) -> Result<Response, Problem> {
    let wanted = Wanted { api: &api, principal: &principal, account: &account, session: &session, key };
    wanted.operate(&party, &operation, &bytes).await
}

/// Pauses a recording, or goes on with it.
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
    responses((status = 200), openapi::Refusals)
)]
pub(crate) async fn update_recording(
    State(api): State<Api>,
    principal: Principal,
    Segments([account, session, party, recording]): Segments<4>,
    key: Key,
    Content(bytes): Content,
) -> Result<Response, Problem> {
    let wanted = Wanted { api: &api, principal: &principal, account: &account, session: &session, key };
    wanted.update_recording(&party, &recording, &bytes).await
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
