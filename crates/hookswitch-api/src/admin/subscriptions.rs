//! The subscriptions of all users and applications, and how they are doing.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use hookswitch_core::delivery::Outcome;
use hookswitch_core::subscription::SubscriptionStatus;
use hookswitch_model::{NotificationId, Timestamp};
use hookswitch_server::health::Health;
use hookswitch_server::subscriptions::{Delivery, StoredSubscription, parse_id};
use hookswitch_server::webhook::{attempt_outcome, masked};
use hookswitch_server::{clock, secret};
use hookswitch_store::AttemptOutcome;
use serde::Serialize;
use utoipa::ToSchema;

use super::access::{Access, Operator, Reader};
use super::{Records, kept};
use crate::request::Segments;
use crate::subscription::{
    DisabledFilterInfo, SuspendedData, disabled_filters, drop_subscription, expired, renew_kept,
    shown_filter, suspended_data,
};
use crate::{Api, Problem, openapi};

/// A subscription, as far as an operator needs to know: nothing of what its owner said in confidence.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AdminSubscription)]
pub(crate) struct SubscriptionBody {
    id: String,
    owner: OwnerBody,
    transport: &'static str,
    /// Of a webhook; what may be a secret in it is masked.
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    event_filters: Vec<String>,
    /// Those of them without effect, because the owner lacks the right.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    disabled_filters: Vec<DisabledFilterInfo>,
    /// `Active`, `Suspended`, `Blacklisted` or `Expired`.
    status: &'static str,
    /// Reason why it is suspended.
    #[serde(skip_serializing_if = "Option::is_none")]
    suspended_data: Option<SuspendedData>,
    /// Set if it hears of what its owner's role would not open to a new one; `rights.earlier_subscriptions` decides.
    keeps_earlier_rights: bool,
    creation_time: String,
    expiration_time: String,
    health: HealthBody,
}

/// Owner of a subscription.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = SubscriptionOwner)]
#[expect(clippy::struct_field_names, reason = "the names are those of the wire")]
struct OwnerBody {
    account_id: String,
    extension_id: String,
    client_id: String,
}

/// Health of a subscription.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = SubscriptionHealth)]
struct HealthBody {
    state: Condition,
    /// Notifications that are known to be due.
    lag_events: usize,
    /// Events of the log that were not looked at for it; it may hear of some of them.
    unread_events: u64,
    /// Time when the event came about that has waited longest.
    #[serde(skip_serializing_if = "Option::is_none")]
    oldest_waiting: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_success_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_failure: Option<FailureBody>,
    /// Attempts of the last hour that were taken.
    succeeded_last_hour: u64,
    /// Attempts of the last hour that failed.
    failed_last_hour: u64,
}

/// An attempt that failed, or why a receiver is left alone.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct FailureBody {
    time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    error: String,
}

/// Health of a subscription in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = SubscriptionState)]
enum Condition {
    /// The last attempt was taken, or a WebSocket is connected.
    Good,
    /// Nothing was sent since the server has started.
    Idle,
    /// The last attempt failed; it is tried again.
    Failing,
    /// More is due than is held in memory; it is read from the log as the receiver takes it.
    Behind,
    /// The WebSocket is not connected.
    Away,
    /// An operator has paused it, or its owner lacks the right.
    Suspended,
    /// It has failed for too long, and is left alone.
    Blacklisted,
    /// Its lifetime is over.
    Expired,
}

/// Outcome of a test.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TestBody {
    time: String,
    duration_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    /// `delivered`, `refused`, `timedOut`, `failed` or `gone`.
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// How the answer began.
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<String>,
    address: String,
}

impl SubscriptionBody {
    fn of(api: &Api, kept: &StoredSubscription, health: Option<&Health>) -> Self {
        let subscription = &kept.subscription;
        let id = subscription.id.to_string();
        let address = match &kept.delivery {
            Delivery::WebHook(webhook) => Some(masked(&webhook.address)),
            Delivery::WebSocket(_) => None,
        };
        Self {
            owner: OwnerBody {
                account_id: subscription.owner.account.to_string(),
                extension_id: subscription.owner.extension.to_string(),
                client_id: subscription.owner.client_id.to_string(),
            },
            transport: subscription.transport.as_str(),
            address,
            event_filters: subscription.filters.iter().map(|filter| shown_filter(filter, &id)).collect(),
            disabled_filters: disabled_filters(subscription),
            suspended_data: suspended_data(subscription),
            keeps_earlier_rights: kept.keeps_earlier,
            status: match subscription.standing {
                _ if kept.expired => "Expired",
                _ if subscription.is_withheld() => "Suspended",
                SubscriptionStatus::Active => "Active",
                SubscriptionStatus::Blacklisted(_) => "Blacklisted",
            },
            creation_time: subscription.created.to_string(),
            expiration_time: subscription.expires.to_string(),
            health: HealthBody::of(api, kept, health),
            id,
        }
    }
}

impl HealthBody {
    fn of(api: &Api, kept: &StoredSubscription, health: Option<&Health>) -> Self {
        let time = |at: Timestamp| at.to_string();
        let backlog = health.map(|health| health.backlog).unwrap_or_default();
        let outcomes = health.map(|health| health.outcomes.clone()).unwrap_or_default();
        let (succeeded_last_hour, failed_last_hour) = outcomes.last_hour(clock::wall());
        let blacklisting = match &kept.subscription.standing {
            SubscriptionStatus::Blacklisted(why) => {
                Some(FailureBody { time: time(why.since), status: None, error: why.reason.clone() })
            }
            SubscriptionStatus::Active => None,
        };
        let last_failure = outcomes.last_failure.map(|failure| FailureBody {
            time: time(failure.at),
            status: failure.status,
            error: failure.error,
        });
        Self {
            state: match &kept.delivery {
                _ if kept.expired => Condition::Expired,
                _ if kept.subscription.is_withheld() => Condition::Suspended,
                Delivery::WebSocket(socket) if api.gateway.is_connected(socket.session) => Condition::Good,
                Delivery::WebSocket(_) => Condition::Away,
                Delivery::WebHook(_) if blacklisting.is_some() => Condition::Blacklisted,
                Delivery::WebHook(_) if backlog.failing_since.is_some() => Condition::Failing,
                Delivery::WebHook(_) if backlog.unread > 0 => Condition::Behind,
                Delivery::WebHook(_) if outcomes.last_success.is_none() => Condition::Idle,
                Delivery::WebHook(_) => Condition::Good,
            },
            lag_events: backlog.pending,
            unread_events: backlog.unread,
            oldest_waiting: backlog.oldest.map(time),
            last_success_time: outcomes.last_success.map(time),
            last_failure: last_failure.or(blacklisting),
            succeeded_last_hour,
            failed_last_hour,
        }
    }
}

impl Condition {
    const ALL: [Self; 8] = [
        Self::Good,
        Self::Idle,
        Self::Failing,
        Self::Behind,
        Self::Away,
        Self::Suspended,
        Self::Blacklisted,
        Self::Expired,
    ];

    /// The word of the API.
    const fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Idle => "idle",
            Self::Failing => "failing",
            Self::Behind => "behind",
            Self::Away => "away",
            Self::Suspended => "suspended",
            Self::Blacklisted => "blacklisted",
            Self::Expired => "expired",
        }
    }
}

/// How all subscriptions of this node are doing, for its metrics.
pub(crate) struct SubscriptionStates {
    /// Number of those that are in each state.
    pub(crate) states: Vec<(&'static str, usize)>,
    /// Number of notifications that are due to each webhook that has some, the most first.
    pub(crate) pending: Vec<(String, usize)>,
    /// Time when the event came about that has waited longest.
    pub(crate) oldest: Option<Timestamp>,
}

impl SubscriptionStates {
    /// The states at this moment.
    pub(crate) async fn read(api: &Api) -> Self {
        let health = api.subscriptions.health().await;
        let all = api.subscriptions.all();
        let of =
            |kept: &StoredSubscription| HealthBody::of(api, kept, health.get(&kept.subscription.id)).state;
        let conditions: Vec<Condition> = all.iter().map(of).collect();
        let count = |state| conditions.iter().filter(|one| **one == state).count();
        let due = |kept: &StoredSubscription| {
            let backlog = &health.get(&kept.subscription.id)?.backlog;
            (backlog.pending > 0).then(|| (kept.subscription.id.to_string(), backlog.pending))
        };
        let mut pending: Vec<(String, usize)> = all.iter().filter_map(due).collect();
        pending.sort_unstable_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
        Self {
            states: Condition::ALL.map(|state| (state.as_str(), count(state))).into(),
            pending,
            oldest: all.iter().filter_map(|kept| health.get(&kept.subscription.id)?.backlog.oldest).min(),
        }
    }
}

/// A subscription that an access sees.
pub(super) fn find(api: &Api, access: &Access, id: &str) -> Result<StoredSubscription, Problem> {
    let found = parse_id(id).and_then(|id| api.subscriptions.get(id));
    let seen = found.filter(|kept| access.sees(kept.subscription.owner.account));
    seen.ok_or_else(|| Problem::unknown("subscriptionId", id))
}

/// Lists the subscriptions, the newest first.
#[utoipa::path(get, path = "/admin/v1/subscriptions", tag = "Console", security(("admin" = [])),
    responses((status = 200, body = Records<SubscriptionBody>), openapi::Refusals))]
pub(crate) async fn list(State(api): State<Api>, Reader(access): Reader) -> Json<Records<SubscriptionBody>> {
    let mut found = api.subscriptions.all();
    found.retain(|kept| access.sees(kept.subscription.owner.account));
    found.sort_by_key(|kept| std::cmp::Reverse((kept.subscription.created, kept.subscription.id)));
    let health = api.subscriptions.health().await;
    let body =
        |kept: &StoredSubscription| SubscriptionBody::of(&api, kept, health.get(&kept.subscription.id));
    Json(Records { records: found.iter().map(body).collect() })
}

/// Reads a subscription.
#[utoipa::path(get, path = "/admin/v1/subscriptions/{subscriptionId}", tag = "Console", security(("admin" = [])),
    params(("subscriptionId" = String, Path, description = "Its id")),
    responses((status = 200, body = SubscriptionBody), openapi::Refusals))]
pub(crate) async fn read(
    State(api): State<Api>,
    Reader(access): Reader,
    Segments([id]): Segments<1>,
) -> Result<Json<SubscriptionBody>, Problem> {
    let kept = find(&api, &access, &id)?;
    let health = api.subscriptions.health().await;
    Ok(Json(SubscriptionBody::of(&api, &kept, health.get(&kept.subscription.id))))
}

/// Renews a subscription for as long as it had; one that is blacklisted is validated first.
#[utoipa::path(post, path = "/admin/v1/subscriptions/{subscriptionId}/renew", tag = "Console", security(("admin" = [])),
    params(("subscriptionId" = String, Path, description = "Its id")),
    responses((status = 200, body = SubscriptionBody), openapi::Refusals))]
pub(crate) async fn renew(
    State(api): State<Api>,
    Operator(access): Operator,
    Segments([id]): Segments<1>,
) -> Result<Json<SubscriptionBody>, Problem> {
    let kept = find(&api, &access, &id)?;
    if kept.expired {
        return Err(expired());
    }
    let renewed = renew_kept(&api, &kept, None, None).await?;
    let health = api.subscriptions.health().await;
    Ok(Json(SubscriptionBody::of(&api, &renewed, health.get(&renewed.subscription.id))))
}

/// Pauses a subscription: nothing is sent, and what is due waits in the log, for as long as it lives.
#[utoipa::path(post, path = "/admin/v1/subscriptions/{subscriptionId}/pause", tag = "Console", security(("admin" = [])),
    params(("subscriptionId" = String, Path, description = "Its id")),
    responses((status = 200, body = SubscriptionBody), openapi::Refusals))]
pub(crate) async fn pause(
    State(api): State<Api>,
    Operator(access): Operator,
    Segments([id]): Segments<1>,
) -> Result<Json<SubscriptionBody>, Problem> {
    set_paused(&api, &access, &id, true).await
}

/// Lets a subscription go on where it was paused.
#[utoipa::path(post, path = "/admin/v1/subscriptions/{subscriptionId}/resume", tag = "Console", security(("admin" = [])),
    params(("subscriptionId" = String, Path, description = "Its id")),
    responses((status = 200, body = SubscriptionBody), openapi::Refusals))]
pub(crate) async fn resume(
    State(api): State<Api>,
    Operator(access): Operator,
    Segments([id]): Segments<1>,
) -> Result<Json<SubscriptionBody>, Problem> {
    set_paused(&api, &access, &id, false).await
}

async fn set_paused(
    api: &Api,
    access: &Access,
    id: &str,
    paused: bool,
) -> Result<Json<SubscriptionBody>, Problem> {
    let found = find(api, access, id)?;
    let now = api.subscriptions.set_paused(found.subscription.id, paused).await.map_err(kept)?;
    let now = now.ok_or_else(expired)?;
    tracing::info!(
        subscription.id = id,
        paused,
        by = access.name,
        "an operator has paused or resumed a subscription"
    );
    let health = api.subscriptions.health().await;
    Ok(Json(SubscriptionBody::of(api, &now, health.get(&now.subscription.id))))
}

/// Deletes a subscription, whoever's it is; what was due to it is dropped.
#[utoipa::path(delete, path = "/admin/v1/subscriptions/{subscriptionId}", tag = "Console", security(("admin" = [])),
    params(("subscriptionId" = String, Path, description = "Its id")),
    responses((status = 204, description = "Gone"), openapi::Refusals))]
pub(crate) async fn remove(
    State(api): State<Api>,
    Operator(access): Operator,
    Segments([id]): Segments<1>,
) -> Result<StatusCode, Problem> {
    let found = find(&api, &access, &id)?;
    drop_subscription(&api, found.subscription.id).await?;
    tracing::info!(subscription.id = id, by = access.name, "an operator has deleted a subscription");
    Ok(StatusCode::NO_CONTENT)
}

/// Sends a notification that tells of no call, as others are sent, and says how that went.
#[utoipa::path(post, path = "/admin/v1/subscriptions/{subscriptionId}/test", tag = "Console", security(("admin" = [])),
    params(("subscriptionId" = String, Path, description = "Its id")),
    responses((status = 200, body = TestBody), openapi::Refusals))]
pub(crate) async fn test(
    State(api): State<Api>,
    Operator(access): Operator,
    Segments([id]): Segments<1>,
) -> Result<Json<TestBody>, Problem> {
    let kept = find(&api, &access, &id)?;
    let Delivery::WebHook(webhook) = &kept.delivery else {
        return Err(Problem::field(
            "subscriptionId",
            "Only webhooks can be tested; a WebSocket is connected or not",
        ));
    };
    let unusable =
        || Problem::conflict("The address of the subscription is not allowed by this configuration");
    let endpoint = webhook.endpoint(api.webhooks.guard()).map_err(|_| unusable())?;
    let number = secret::random().map(u64::from_ne_bytes).map_err(|_| Problem::internal())?;
    let uuid = NotificationId::new((number >> 1).max(1));
    let time = clock::wall();
    let body = serde_json::json!({
        "uuid": uuid.to_string(),
        "event": format!("/restapi/v1.0/subscription/{id}/test"),
        "timestamp": time.to_string(),
        "subscriptionId": id,
        "ownerId": kept.subscription.owner.extension.to_string(),
        "body": {"message": "A test that an operator has asked for; it tells of no call"},
    });
    let sent = api.webhooks.send(&endpoint, uuid, body.to_string().into_bytes()).await;
    let duration_ms = u64::try_from(sent.duration.as_millis()).unwrap_or(u64::MAX);
    let outcome = attempt_outcome(&sent.outcome);
    let status = match sent.outcome {
        Outcome::Response { status, .. } => Some(status),
        _ => None,
    };
    let error = (outcome != AttemptOutcome::Delivered).then(|| sent.outcome.reason());
    let answer = (!sent.answer.is_empty()).then(|| String::from_utf8_lossy(&sent.answer).into_owned());
    let address = masked(&webhook.address);
    Ok(Json(TestBody {
        time: time.to_string(),
        duration_ms,
        status,
        outcome: outcome.as_str(),
        error,
        answer,
        address,
    }))
}
