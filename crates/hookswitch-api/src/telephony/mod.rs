//! Telephony sessions: read from the calls that go on; what would act on them is refused.

pub(crate) mod calls;
mod party;
pub(super) mod session;

use axum::routing::{get, patch, post};

pub(crate) use self::calls::{Call, Calls};
use super::routes::Routes;

/// The resources.
pub(super) fn routes() -> Routes {
    const BASE: &str = "/restapi/v1.0/account/{accountId}/telephony";
    let at = |path: &str| format!("{BASE}{path}");
    let party = |path: &str| format!("{BASE}/sessions/{{telephonySessionId}}/parties/{{partyId}}{path}");
    Routes::default()
        .route(&at("/call-out"), post(session::call_out))
        .route(&at("/conference"), post(session::conference))
        .route(&at("/sessions/{telephonySessionId}"), get(session::read).delete(session::drop_session))
        .route(&at("/sessions/{telephonySessionId}/supervise"), post(session::supervise))
        .route(&at("/sessions/{telephonySessionId}/parties/bring-in"), post(session::bring_in))
        .route(
            &party(""),
            get(session::read_party).patch(session::update_party).delete(session::delete_party),
        )
        .route(&party("/{operation}"), post(session::act))
        .route(&party("/recordings/{recordingId}"), patch(session::update_recording))
}
