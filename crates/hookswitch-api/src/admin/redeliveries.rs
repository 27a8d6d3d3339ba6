//! Redeliveries: events that are sent again, to their subscription or to another address.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use hookswitch_core::filter::Own;
use hookswitch_model::{AccountId, ExtensionId, SubscriptionId, Timestamp};
use hookswitch_server::clock;
use hookswitch_server::redelivery::{Found, Job, JobError, JobState, PreviewError, SCANNED_MAX, Selection};
use hookswitch_server::subscriptions::{Delivery, parse_id};
use hookswitch_server::webhook::masked;
use hookswitch_store::{Log, REDELIVERY};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Access, Operator, Reader, json, kept};
use crate::explain::{Explainer, Named, Wanted, session_id};
use crate::request::{Content, Segments};
use crate::subscription::{check_address, parse_filters};
use crate::{Api, Problem, openapi};

/// Events to be sent again, with receiver and pace.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct RedeliveryRequest {
    /// Subscription whose notifications are sent, as its filters are.
    subscription_id: Option<String>,
    /// Address that they go to, if not that of the subscription; checked as any address of a webhook.
    address: Option<String>,
    /// Filters of what is sent to an address without a subscription; the account's sessions without it.
    event_filters: Option<Vec<String>>,
    /// One event: `telephonySessionId:sequence`, a position of the log, or the `uuid` of a notification.
    event_id: Option<String>,
    /// All events of a session.
    telephony_session_id: Option<String>,
    /// All events that came in from this time on (ISO 8601), up to `to`.
    from: Option<String>,
    to: Option<String>,
    /// The account whose events a time range is about, for an operator of several.
    account_id: Option<String>,
    #[serde(default)]
    spacing: SpacingBody,
    /// Only says how many there are.
    #[serde(default)]
    preview: bool,
}

/// The times between notifications.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Spacing)]
enum SpacingBody {
    /// The next follows when the one before was taken.
    #[default]
    None,
    /// As between their events, or longer.
    Original,
}

/// A redelivery, or what one would be.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Redelivery {
    /// Each request has it in its header `Hookswitch-Replay`. Missing in a preview.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    account_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    subscription_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    spacing: SpacingBody,
    /// `preview`, `running`, `done`, `failed` or `cancelled`.
    state: &'static str,
    /// Number of events when it was asked for, and of their sessions.
    count: u64,
    sessions: u64,
    /// The first and the last of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    first: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last: Option<String>,
    /// Attempts.
    sent: u64,
    /// Attempts that failed.
    failed: u64,
    /// Notifications that the receiver has taken.
    delivered: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_error: Option<String>,
    /// The event at which it has failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    failed_event_id: Option<String>,
    creation_time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_time: Option<String>,
}

/// All redeliveries that are kept.
#[derive(Serialize, ToSchema)]
pub(crate) struct Redeliveries {
    /// The newest first.
    records: Vec<Redelivery>,
}

impl Redelivery {
    fn of(id: Option<String>, job: Job) -> Self {
        let Found { count, sessions, first, last } = job.found;
        let state = match job.state {
            _ if id.is_none() => "preview",
            JobState::Running => "running",
            JobState::Done => "done",
            JobState::Failed => "failed",
            JobState::Cancelled => "cancelled",
        };
        let time = |micros| Timestamp::from_micros(micros).to_string();
        Self {
            id,
            account_id: job.account.to_string(),
            subscription_id: job.subscription,
            address: job.shown_address.or_else(|| job.address.as_deref().map(masked)),
            spacing: if job.original_spacing { SpacingBody::Original } else { SpacingBody::None },
            state,
            count,
            sessions,
            first: first.map(|(_, id)| id),
            last: last.map(|(_, id)| id),
            sent: job.sent,
            failed: job.failed,
            delivered: job.delivered,
            last_error: job.last_error,
            failed_event_id: job.failed_event,
            creation_time: time(job.created),
            end_time: job.finished.map(time),
        }
    }
}

/// Reads a time of ISO 8601.
fn time(field: &'static str, text: &str) -> Result<Timestamp, Problem> {
    let wrong = || {
        Problem::field(field, format!("{field} must be a time as 2026-11-24T02:51:20.602Z, with its zone"))
    };
    let at: jiff::Timestamp = text.parse().map_err(|_| wrong())?;
    Ok(Timestamp::from_micros(at.as_microsecond()))
}

/// The account of what is asked for, and which events.
async fn selection(
    api: &Api,
    access: &Access,
    asked: &RedeliveryRequest,
) -> Result<(AccountId, Selection), Problem> {
    let chosen = [asked.event_id.is_some(), asked.telephony_session_id.is_some(), asked.from.is_some()];
    if chosen.into_iter().filter(|&chosen| chosen).count() != 1 {
        let message = "Give one of eventId, telephonySessionId, and from with to";
        return Err(Problem::invalid(message));
    }
    let own = access.account;
    if let Some(text) = asked.event_id.clone() {
        let unknown = || Problem::unknown("eventId", &text);
        let named = Named::parse(&text).ok_or_else(unknown)?;
        let event = api.store.read_async(move |reader| {
            let story = Explainer::new(reader, own)?.event(named, Wanted::default())?;
            let Some(story) = story else { return Ok(None) };
            Ok(reader.events_at(&[story.event.position])?.into_iter().next())
        });
        let logged = event.await.map_err(kept)?.ok_or_else(unknown)?;
        return Ok((logged.event.session.account, Selection::Event(logged.position)));
    }
    if let Some(text) = &asked.telephony_session_id {
        let unknown = || Problem::unknown("telephonySessionId", text);
        let id = session_id(text).ok_or_else(unknown)?;
        let events = api.store.read_async(move |reader| reader.events_of(id)).await.map_err(kept)?;
        let account = events.first().map(|logged| logged.event.session.account);
        let account = account.filter(|&account| own.is_none_or(|own| own == account)).ok_or_else(unknown)?;
        return Ok((account, Selection::Session(text.clone())));
    }
    let from = time("from", asked.from.as_deref().unwrap_or_default())?;
    let to = asked.to.as_deref().map_or_else(|| Ok(clock::wall()), |text| time("to", text))?;
    if to < from {
        return Err(Problem::field("to", "to is before from"));
    }
    let account = if let Some(text) = &asked.account_id {
        let account: AccountId = text.parse().map_err(|_| Problem::unknown("accountId", text))?;
        if own.is_some_and(|own| own != account) {
            return Err(Problem::unknown("accountId", text));
        }
        account
    } else {
        let of_subscription = asked.subscription_id.as_deref().and_then(parse_id);
        let of_subscription = of_subscription.and_then(|id| api.subscriptions.get(id));
        let of_subscription = of_subscription.map(|kept| kept.subscription.owner.account);
        let directory = api.directory();
        let first = directory.accounts().next().map(hookswitch_core::directory::Account::id);
        own.or(of_subscription).or(first).ok_or_else(Problem::internal)?
    };
    let range = api.store.read_async(move |reader| {
        let first = reader.position_since(Log::Events, from)?;
        let behind = Timestamp::from_micros(to.as_micros().saturating_add(1));
        Ok((first, reader.position_since(Log::Events, behind)?.saturating_sub(1)))
    });
    let (first, last) = range.await.map_err(kept)?;
    if last.saturating_sub(first) >= SCANNED_MAX {
        let message =
            format!("There are more than {SCANNED_MAX} events between from and to; give a shorter time");
        return Err(Problem::field("from", message));
    }
    Ok((account, Selection::Range(first, last)))
}

/// Reads what is asked for, and checks all but the address.
async fn read_job(api: &Api, access: &Access, asked: &RedeliveryRequest) -> Result<Job, Problem> {
    if asked.subscription_id.is_none() && asked.address.is_none() {
        return Err(Problem::invalid(
            "Give subscriptionId, address, or both: whose notifications, and where to",
        ));
    }
    let (account, selection) = selection(api, access, asked).await?;
    if let Some(text) = &asked.subscription_id {
        let found = parse_id(text).and_then(|id| api.subscriptions.get(id));
        let found = found.filter(|found| found.subscription.owner.account == account);
        let found = found.ok_or_else(|| Problem::unknown("subscriptionId", text))?;
        if asked.event_filters.is_some() {
            let message = "A subscription has filters of its own; leave eventFilters out";
            return Err(Problem::field("eventFilters", message));
        }
        if asked.address.is_none() && matches!(found.delivery, Delivery::WebSocket(_)) {
            let message = "The subscription is for a WebSocket, which has no address; give address as well";
            return Err(Problem::field("subscriptionId", message));
        }
    }
    let filters = if asked.subscription_id.is_some() {
        Vec::new()
    } else {
        let texts = asked.event_filters.clone();
        let texts = texts.unwrap_or_else(|| vec!["/restapi/v1.0/account/~/telephony/sessions".to_owned()]);
        let own = Own { account, extension: ExtensionId::new(account.as_u64()) };
        let filters = parse_filters(api, own, &texts, SubscriptionId::from_bits(0))?;
        filters.iter().map(ToString::to_string).collect()
    };
    let sealed = asked.address.as_deref().map(|address| api.redeliveries.seal(address));
    let sealed = sealed.transpose().map_err(|_| Problem::internal())?;
    Ok(Job {
        account: account.as_u64(),
        subscription: asked.subscription_id.clone(),
        address: sealed,
        shown_address: asked.address.as_deref().map(masked),
        filters,
        selection,
        original_spacing: asked.spacing == SpacingBody::Original,
        created: clock::wall().as_micros(),
        finished: None,
        state: JobState::Running,
        found: Found::default(),
        position: 0,
        sent: 0,
        failed: 0,
        delivered: 0,
        last_error: None,
        failed_event: None,
    })
}

fn refused(error: JobError) -> Problem {
    match error {
        JobError::Store(error) => kept(error),
        error => {
            let mut message = error.to_string();
            if let Some(first) = message.get_mut(..1) {
                first.make_ascii_uppercase();
            }
            Problem::conflict(message)
        }
    }
}

/// Sends events again, or says how many there would be.
#[utoipa::path(post, path = "/admin/v1/redeliveries", tag = "Admin", security(("admin" = [])),
    request_body = RedeliveryRequest, responses((status = 200, body = Redelivery, description = "A preview"),
        (status = 201, body = Redelivery), openapi::Refusals))]
pub(crate) async fn add(
    State(api): State<Api>,
    Operator(access): Operator,
    content: Content,
) -> Result<(StatusCode, Json<Redelivery>), Problem> {
    let asked: RedeliveryRequest = json(&content)?;
    let mut job = read_job(&api, &access, &asked).await?;
    job.found = api.redeliveries.preview(&job).await.map_err(|error| match error {
        PreviewError::Said(message) => Problem::conflict(message),
        PreviewError::Store(error) => kept(error),
    })?;
    if asked.preview {
        return Ok((StatusCode::OK, Json(Redelivery::of(None, job))));
    }
    if job.found.count == 0 {
        return Err(Problem::conflict(
            "There is no such event that the filters let pass; a preview says so too",
        ));
    }
    if let Some(address) = &asked.address {
        check_address(&api, address).await?;
    }
    let id = api.redeliveries.begin(job.clone()).await.map_err(refused)?;
    Ok((StatusCode::CREATED, Json(Redelivery::of(Some(id), job))))
}

/// Lists the redeliveries, the newest first.
#[utoipa::path(get, path = "/admin/v1/redeliveries", tag = "Admin", security(("admin" = [])),
    responses((status = 200, body = Redeliveries), openapi::Refusals))]
pub(crate) async fn list(
    State(api): State<Api>,
    Reader(access): Reader,
) -> Result<Json<Redeliveries>, Problem> {
    let mut jobs = api.documents::<Job>(REDELIVERY).await?;
    jobs.retain(|(_, job)| access.account.is_none_or(|own| own.as_u64() == job.account));
    jobs.sort_by_key(|(id, job)| (std::cmp::Reverse(job.created), id.clone()));
    Ok(Json(Redeliveries {
        records: jobs.into_iter().map(|(id, job)| Redelivery::of(Some(id), job)).collect(),
    }))
}

async fn find(api: &Api, access: &Access, id: &str) -> Result<Job, Problem> {
    let found = api.document::<Job>(REDELIVERY, id).await?.map(|(_, job)| job);
    let found = found.filter(|job| access.account.is_none_or(|own| own.as_u64() == job.account));
    found.ok_or_else(|| Problem::unknown("redeliveryId", id))
}

/// Reads a redelivery.
#[utoipa::path(get, path = "/admin/v1/redeliveries/{redeliveryId}", tag = "Admin", security(("admin" = [])),
    params(("redeliveryId" = String, Path, description = "Its id")),
    responses((status = 200, body = Redelivery), openapi::Refusals))]
pub(crate) async fn read(
    State(api): State<Api>,
    Reader(access): Reader,
    Segments([id]): Segments<1>,
) -> Result<Json<Redelivery>, Problem> {
    let job = find(&api, &access, &id).await?;
    Ok(Json(Redelivery::of(Some(id), job)))
}

/// Ends a redelivery that is under way.
#[utoipa::path(delete, path = "/admin/v1/redeliveries/{redeliveryId}", tag = "Admin", security(("admin" = [])),
    params(("redeliveryId" = String, Path, description = "Its id")),
    responses((status = 200, body = Redelivery), openapi::Refusals))]
pub(crate) async fn cancel(
    State(api): State<Api>,
    Operator(access): Operator,
    Segments([id]): Segments<1>,
) -> Result<Json<Redelivery>, Problem> {
    find(&api, &access, &id).await?;
    api.redeliveries.cancel(&id).await;
    let job = find(&api, &access, &id).await?;
    Ok(Json(Redelivery::of(Some(id), job)))
}

/// Lets a redelivery go on that has failed or was cancelled, with the event at which it stopped.
#[utoipa::path(post, path = "/admin/v1/redeliveries/{redeliveryId}/resume", tag = "Admin", security(("admin" = [])),
    params(("redeliveryId" = String, Path, description = "Its id")),
    responses((status = 200, body = Redelivery), openapi::Refusals))]
pub(crate) async fn resume(
    State(api): State<Api>,
    Operator(access): Operator,
    Segments([id]): Segments<1>,
) -> Result<Json<Redelivery>, Problem> {
    let job = find(&api, &access, &id).await?;
    if let Some(address) = api.redeliveries.address_of(&job) {
        check_address(&api, &address).await?;
    }
    api.redeliveries.resume(&id, job).await.map_err(refused)?;
    let job = find(&api, &access, &id).await?;
    Ok(Json(Redelivery::of(Some(id), job)))
}
