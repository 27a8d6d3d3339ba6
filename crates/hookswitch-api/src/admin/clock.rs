//! The clock of the server, which tests move on so that they need not wait.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use hookswitch_server::clock;
use hookswitch_server::config::Span;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::access::Reader;
use super::{Admin, json};
use crate::request::Content;
use crate::{Api, Problem, openapi};

/// Total by which the clock may be moved on.
const AHEAD_MAX: Duration = Duration::from_secs(100 * 366 * 86_400);

/// The clock.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ClockBody {
    /// Time that it shows, ISO 8601.
    now: String,
    /// How far it was moved on.
    ahead_seconds: f64,
}

/// Amount by which the clock is moved on.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ClockMove)]
pub(crate) struct MoveEntry {
    /// A duration, such as `15m`, `24h` or `7d`.
    #[schema(value_type = String)]
    advance: Span,
}

fn shown() -> Json<ClockBody> {
    Json(ClockBody { now: clock::wall().to_string(), ahead_seconds: clock::ahead().as_secs_f64() })
}

/// Shows the clock.
#[utoipa::path(get, path = "/admin/v1/clock", tag = "Admin", security(("admin" = [])),
    responses((status = 200, body = ClockBody), openapi::Refusals))]
pub(crate) async fn read(_: Reader) -> Json<ClockBody> {
    shown()
}

/// Moves the clock on: lifetimes, reminders, retries, blacklisting, and the timers of calls. Only a server that was
/// started with --ephemeral does it.
#[utoipa::path(post, path = "/admin/v1/clock", tag = "Admin", security(("admin" = [])),
    request_body = MoveEntry, responses((status = 200, body = ClockBody), openapi::Refusals))]
pub(crate) async fn advance(
    State(api): State<Api>,
    _: Admin,
    content: Content,
) -> Result<Json<ClockBody>, Problem> {
    if !api.clock_moves {
        let message = "The clock of this server is that of its machine; `hookswitch serve --ephemeral` has one that can be \
                       moved on";
        return Err(Problem::conflict(message));
    }
    let MoveEntry { advance: Span(by) } = json(&content)?;
    if clock::ahead().saturating_add(by) > AHEAD_MAX {
        return Err(Problem::field("advance", "advance goes more than 100 years ahead"));
    }
    clock::advance(by);
    Ok(shown())
}
