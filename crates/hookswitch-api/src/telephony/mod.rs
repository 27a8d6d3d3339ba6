//! Telephony sessions: read from the calls that go on, and acted on where an operator lets users do that.

mod active;
mod call_log;
pub(crate) mod calls;
mod control;
mod party;
pub(super) mod session;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) use self::calls::{Call, Calls};
pub(crate) use self::control::keep as keep_actions;
use super::Api;

/// The resources.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(active::of_extension))
        .routes(routes!(active::of_account))
        .routes(routes!(active::sessions))
        .routes(routes!(call_log::of_account))
        .routes(routes!(call_log::of_extension))
        .routes(routes!(call_log::one_of_account))
        .routes(routes!(call_log::one_of_extension))
        .routes(routes!(call_log::sync_of_account))
        .routes(routes!(call_log::sync_of_extension))
        .routes(routes!(session::call_out))
        .routes(routes!(session::conference))
        .routes(routes!(session::read, session::drop_session))
        .routes(routes!(session::supervise))
        .routes(routes!(session::bring_in))
        .routes(routes!(session::read_party, session::update_party, session::delete_party))
        .routes(routes!(session::act))
        .routes(routes!(session::update_recording))
}
