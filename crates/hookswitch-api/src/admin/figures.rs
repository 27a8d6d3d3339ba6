//! Calls and deliveries of the last hour, day or week, in equal spans.

use std::time::Duration;

use axum::Json;
use axum::extract::{RawQuery, State};
use hookswitch_model::Timestamp;
use hookswitch_server::clock;
use hookswitch_store::{FigureQuery, Figures};
use serde::Serialize;
use utoipa::ToSchema;

use super::subscriptions::find;
use super::{Reader, kept};
use crate::{Api, Problem, openapi};

/// Figures of some time, the oldest first.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FigureSeries {
    /// Length of a span.
    step_seconds: u64,
    records: Vec<FigurePoint>,
    /// How large the files of the store are now; shown to who sees all accounts.
    #[serde(skip_serializing_if = "Option::is_none")]
    store_bytes: Option<u64>,
}

/// Figures of a span.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct FigurePoint {
    /// Time when it began.
    time: String,
    /// Calls that began in it.
    calls: u64,
    /// Those of them that a party missed.
    missed: u64,
    /// Attempts to deliver by webhook that were taken.
    delivered: u64,
    /// Attempts that were not.
    failed: u64,
    /// How long after their events half, 95 % and 99 % of what was taken had been taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    lag_ms: Option<[u64; 3]>,
}

/// The length of a span and how many there are.
fn spans(span: &str) -> Result<(u64, usize), Problem> {
    match span {
        "hour" => Ok((60, 60)),
        "day" => Ok((15 * 60, 96)),
        "week" => Ok((2 * 3600, 84)),
        other => Err(Problem::field("span", "span must be hour, day or week").about("span", other)),
    }
}

/// Counts calls and deliveries of the last hour, day or week, of all subscriptions or one, from what is kept.
#[utoipa::path(get, path = "/admin/v1/figures", tag = "Console", security(("admin" = [])),
    params(("span" = Option<String>, Query, description = "`hour`, `day` or `week`; an hour without it"),
        ("subscriptionId" = Option<String>, Query, description = "Whose deliveries; those of all without it")),
    responses((status = 200, body = FigureSeries), openapi::Refusals))]
pub(crate) async fn read(
    State(api): State<Api>,
    Reader(access): Reader,
    RawQuery(query): RawQuery,
) -> Result<Json<FigureSeries>, Problem> {
    let (mut span, mut only) = ("hour".to_owned(), None);
    for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        match &*name {
            "span" if !value.is_empty() => span = value.into_owned(),
            "subscriptionId" if !value.is_empty() => only = Some(find(&api, &access, &value)?),
            _ => {}
        }
    }
    let (seconds, count) = spans(&span)?;
    let step = Duration::from_secs(seconds);
    let seen = match only {
        Some(one) => vec![one],
        None => api.subscriptions.all(),
    };
    let seen = seen.iter().filter(|kept| access.sees(kept.subscription.owner.account));
    // Spans begin at round times, so that one read again later has the same counts.
    let micros = step.as_micros() as i64;
    let end = (clock::wall().as_micros() / micros + 1) * micros;
    let from = end - micros * i64::try_from(count).unwrap_or_default();
    let wanted = FigureQuery {
        account: access.account,
        subscriptions: seen.map(|kept| kept.subscription.id).collect(),
        from: Timestamp::from_micros(from),
        step,
        count,
    };
    api.index.reach(api.store.ends().events).await;
    let index = api.index.clone();
    let figures = api.store.read_async(move |_| index.figures(&wanted)).await.map_err(kept)?;
    let point = |(number, figures): (i64, &Figures)| FigurePoint {
        time: Timestamp::from_micros(from + number * micros).to_string(),
        calls: figures.calls,
        missed: figures.missed,
        delivered: figures.delivered,
        failed: figures.failed,
        lag_ms: figures.lag.map(|lags| lags.map(|lag| lag.as_millis() as u64)),
    };
    Ok(Json(FigureSeries {
        step_seconds: seconds,
        records: (0..).zip(&figures).map(point).collect(),
        store_bytes: access.account.is_none().then(|| api.store.sizes().iter().map(|(_, bytes)| bytes).sum()),
    }))
}
