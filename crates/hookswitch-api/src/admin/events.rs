//! One event of the log, with what caused it and who was told.

use axum::Json;
use axum::extract::{RawQuery, State};

use super::sessions::wanted;
use super::{Reader, kept};
use crate::explain::{EventStory, Explainer, Named, refine, unfinished, withhold};
use crate::request::Segments;
use crate::{Api, Problem, openapi};

/// Tells why an event came about, and who was told.
#[utoipa::path(get, path = "/admin/v1/events/{eventId}", tag = "Admin", security(("admin" = [])),
    params(("eventId" = String, Path, description = "`telephonySessionId:sequence`, a position of the event log, or the \
            `uuid` of a notification"),
        ("raw" = Option<bool>, Query, description = "Whether inputs come with their bytes")),
    responses((status = 200, body = EventStory), openapi::Refusals))]
pub(crate) async fn read(
    State(api): State<Api>,
    Reader(access): Reader,
    Segments([id]): Segments<1>,
    RawQuery(query): RawQuery,
) -> Result<Json<EventStory>, Problem> {
    let unknown = || Problem::unknown("eventId", &id);
    let named = Named::parse(&id).ok_or_else(unknown)?;
    let wanted = wanted(query.as_deref());
    // What was sent just now is to be known.
    api.gateway.write_spans().await;
    let story = api
        .store
        .read_async(move |reader| Explainer::new(reader, access.account)?.event(named, wanted))
        .await;
    let mut story = story.map_err(kept)?.ok_or_else(unknown)?;
    let stages = api.subscriptions.stages(unfinished(&story.deliveries)).await;
    refine(&mut story.deliveries, &stages);
    withhold(&mut story.deliveries, |id| api.why_suspended(id));
    Ok(Json(story))
}
