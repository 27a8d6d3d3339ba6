//! What was done to deliver to a subscription: attempts by how and when they went, and how many there were.

use std::time::Duration;

use axum::Json;
use axum::extract::{RawQuery, State};
use hookswitch_model::Timestamp;
use hookswitch_server::clock;
use hookswitch_store::{
    Attempt, AttemptCounts, AttemptCursor, AttemptOutcome, AttemptQuery, CallIndex, FoundAttempt, StoreError,
};
use serde::Serialize;
use utoipa::ToSchema;

use super::sessions::{flag, time, word};
use super::subscriptions::find;
use super::{Reader, kept};
use crate::request::Segments;
use crate::{Api, Problem, openapi};

/// Number of attempts that a page has unless it is asked otherwise, and at most.
const PAGE: usize = 50;
const PAGE_MAX: usize = 200;

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// A page of attempts.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Attempts {
    records: Vec<AttemptBody>,
    /// Value of `before` for the next page; there is none without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
    /// Number of attempts that meet the query, on all pages.
    total: u64,
    /// All attempts of the last hour, whatever the query.
    last_hour: Totals,
    /// All attempts of the last day.
    last_day: Totals,
}

/// How attempts went.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Totals {
    delivered: u64,
    failed: u64,
    /// The longest time from an event to the answer of the receiver that took it.
    longest_lag_ms: u64,
}

impl Totals {
    const fn of(counts: AttemptCounts) -> Self {
        let AttemptCounts { delivered, failed, lag_max } = counts;
        Self { delivered, failed, longest_lag_ms: lag_max.as_millis() as u64 }
    }
}

/// An attempt to deliver a notification.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = SubscriptionAttempt)]
struct AttemptBody {
    time: String,
    /// The position of the event.
    event: u64,
    /// The call; absent if its events are gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    telephony_session_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sequence: Option<u32>,
    /// Counts the attempts for the event, from 1.
    attempt: u32,
    /// `delivered`, `refused`, `timedOut`, `failed` or `gone`.
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// How the answer began.
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<String>,
    duration_ms: u64,
    /// From the event to the end of the attempt.
    lag_ms: u64,
    /// The redelivery that it was made for.
    #[serde(skip_serializing_if = "Option::is_none")]
    redelivery: Option<String>,
}

impl AttemptBody {
    fn read(reader: &hookswitch_store::Reader, found: FoundAttempt) -> Result<Option<Self>, StoreError> {
        let Some(attempt) = reader.attempt(found.number)? else { return Ok(None) };
        let logged = reader.events_at(&[attempt.event])?;
        let event = logged.first().map(|logged| &logged.event);
        let Attempt { number, at, duration, outcome, status, error, answer, redelivery, .. } = attempt;
        Ok(Some(Self {
            time: at.to_string(),
            event: attempt.event,
            telephony_session_id: event.map(|event| event.session.id.to_string()),
            sequence: event.map(|event| event.sequence),
            attempt: number,
            outcome: outcome.as_str(),
            status,
            error: error.map(String::from),
            answer: (!answer.is_empty()).then(|| String::from_utf8_lossy(&answer).into_owned()),
            duration_ms: duration.as_millis() as u64,
            lag_ms: found.lag.as_millis() as u64,
            redelivery: redelivery.map(|id| id.to_string()),
        }))
    }
}

fn outcome(value: &str) -> Result<AttemptOutcome, Problem> {
    let known = AttemptOutcome::ALL.into_iter().find(|known| known.as_str() == value);
    let message = "outcome must be delivered, refused, timedOut, failed or gone";
    known.ok_or_else(|| Problem::field("outcome", message).about("outcome", value))
}

/// Lists the attempts to deliver to a subscription by webhook, the newest first, as far as their events are kept; with
/// how many there were in the last hour and the last day.
#[utoipa::path(get, path = "/admin/v1/subscriptions/{subscriptionId}/attempts", tag = "Console",
    security(("admin" = [])),
    params(("subscriptionId" = String, Path, description = "Its id"),
        ("limit" = Option<u16>, Query, description = "How many at most: 1 to 200, 50 without it"),
        ("before" = Option<String>, Query, description = "The `next` of the page before"),
        ("outcome" = Option<String>, Query, description = "`delivered`, `refused`, `timedOut`, `failed` or `gone`"),
        ("isFailed" = Option<bool>, Query, description = "Whether the receiver did not take it, for whatever reason"),
        ("status" = Option<u16>, Query, description = "The status of the answer"),
        ("lateSeconds" = Option<u32>, Query, description = "How long after the event it ended at the earliest"),
        ("from" = Option<String>, Query, description = "When it began at the earliest, ISO 8601"),
        ("to" = Option<String>, Query, description = "Before when it began, ISO 8601")),
    responses((status = 200, body = Attempts), openapi::Refusals))]
pub(crate) async fn list(
    State(api): State<Api>,
    Reader(access): Reader,
    Segments([id]): Segments<1>,
    RawQuery(query): RawQuery,
) -> Result<Json<Attempts>, Problem> {
    let subscription = find(&api, &access, &id)?.subscription.id;
    let mut wanted = AttemptQuery::of(subscription);
    let (mut limit, mut before): (usize, Option<AttemptCursor>) = (PAGE, None);
    for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        match &*name {
            _ if value.is_empty() => {}
            "limit" => {
                let given = value.parse().ok().filter(|limit| (1..=PAGE_MAX).contains(limit));
                let wrong = || Problem::field("limit", format!("limit must be 1 to {PAGE_MAX}"));
                limit = given.ok_or_else(wrong)?;
            }
            "before" => before = Some(word("before", &value, "the `next` of a page")?),
            "outcome" => wanted.outcome = Some(outcome(&value)?),
            "isFailed" => wanted.failed = Some(flag("isFailed", &value)?),
            "status" => wanted.status = Some(word("status", &value, "a status of HTTP")?),
            "lateSeconds" => {
                let seconds = word::<u32>("lateSeconds", &value, "a number of seconds")?;
                wanted.late = Some(Duration::from_secs(seconds.into()));
            }
            "from" => wanted.from = Some(time("from", &value)?),
            "to" => wanted.to = Some(time("to", &value)?),
            _ => {}
        }
    }
    let index = api.index.clone();
    let page = api.store.read_async(move |reader| {
        let mut found = index.find_attempts(&wanted, before, limit + 1)?;
        let has_more = found.len() > limit;
        found.truncate(limit);
        let next = found.last().filter(|_| has_more).map(|last| last.cursor.to_string());
        let read = found.into_iter().map(|found| AttemptBody::read(reader, found));
        let AttemptCounts { delivered, failed, .. } = index.count_attempts(&wanted)?;
        Ok(Attempts {
            records: read.filter_map(Result::transpose).collect::<Result<_, _>>()?,
            next,
            total: delivered + failed,
            last_hour: since(&index, subscription, HOUR)?,
            last_day: since(&index, subscription, DAY)?,
        })
    });
    Ok(Json(page.await.map_err(kept)?))
}

/// Returns how the attempts of the last time went.
fn since(
    index: &CallIndex,
    subscription: hookswitch_model::SubscriptionId,
    time: Duration,
) -> Result<Totals, StoreError> {
    let micros = i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
    let from = Timestamp::from_micros(clock::wall().as_micros().saturating_sub(micros));
    let query = AttemptQuery { from: Some(from), ..AttemptQuery::of(subscription) };
    Ok(Totals::of(index.count_attempts(&query)?))
}
