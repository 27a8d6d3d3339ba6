//! Subscriptions: created with a handshake, listed, read, renewed and deleted by their owner (contract
//! subscriptions §2 and §3).

use std::collections::HashSet;

use axum::Json;
use axum::body::Body;
use axum::extract::{Extension, RawQuery, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use hookswitch_core::filter::{EventFilter, FilterError, Own};
use hookswitch_core::presence::Family;
use hookswitch_core::subscription::{
    Hearing, Owner, Subscription, SubscriptionStatus, Transport, check_reminders,
};
use hookswitch_model::{SubscriptionId, Timestamp};
use hookswitch_server::auth::{Principal, Problem};
use hookswitch_server::rights::{Action, Denied};
use hookswitch_server::subscriptions::{
    CreateError, Delivery, DeliveryError, Socket, StoredSubscription, WebHook, parse_id,
};
use hookswitch_server::webhook::{AddressError, Endpoint, HandshakeError};
use hookswitch_server::websocket::Caller;
use hookswitch_server::{clock, secret};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::list::{List, PageQuery};
use super::request::{Base, Segments};
use super::{Api, body, openapi};

/// The most filters of a subscription.
const FILTERS_MAX: usize = 1000;

/// The longest body, in bytes.
const BODY_BYTES_MAX: usize = 256 * 1024;

/// The longest token that is sent back with notifications, in bytes.
const TOKEN_BYTES_MAX: usize = 1024;

/// The resources; a slash at the end is let pass everywhere.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(read, update, delete))
        .routes(routes!(renew))
        .route("/restapi/v1.0/subscription/", get(list).post(create))
        .route("/restapi/v1.0/subscription/{subscriptionId}/", get(read).put(update).delete(delete))
        .route("/restapi/v1.0/subscription/{subscriptionId}/renew/", post(renew))
}

/// The body of a request to create or update. What is not named here is ignored.
#[derive(Debug, Default, ToSchema)]
#[schema(rename_all = "camelCase")]
pub(super) struct SubscriptionRequest {
    event_filters: Option<Vec<String>>,
    expires_in: Option<u64>,
    delivery_mode: Option<DeliveryModeRequest>,
}

#[derive(Debug, Default, ToSchema)]
#[schema(rename_all = "camelCase")]
pub(super) struct DeliveryModeRequest {
    transport_type: Option<String>,
    address: Option<String>,
    verification_token: Option<String>,
    validation_token: Option<String>,
    signing_secret: Option<String>,
}

/// A subscription as its owner sees it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct SubscriptionInfo {
    uri: String,
    id: String,
    creation_time: String,
    status: &'static str,
    event_filters: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    disabled_filters: Vec<DisabledFilterInfo>,
    expiration_time: String,
    expires_in: u64,
    delivery_mode: DeliveryMode,
    #[serde(skip_serializing_if = "Option::is_none")]
    blacklisted_data: Option<BlacklistedData>,
    #[serde(skip_serializing_if = "Option::is_none")]
    suspended_data: Option<SuspendedData>,
}

/// A filter without effect, and why.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DisabledFilter)]
pub(super) struct DisabledFilterInfo {
    filter: String,
    /// An error code, such as `SUB-412`.
    reason: &'static str,
    message: String,
}

/// Reason why nothing is sent, though the receiver works; it goes on where it was when the reason is gone.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct SuspendedData {
    /// Missing when a right is.
    #[serde(skip_serializing_if = "Option::is_none")]
    suspended_at: Option<String>,
    reason: String,
}

impl SuspendedData {
    /// The answer to who asks for what is suspended.
    pub(super) fn problem(&self) -> Problem {
        Problem::coded(StatusCode::FORBIDDEN, "SUB-412", self.reason.clone())
    }
}

impl Api {
    /// Returns why nothing is sent of a subscription at the moment, because of an operator or of a right.
    pub(super) fn why_suspended(&self, id: SubscriptionId) -> Option<String> {
        let found = self.subscriptions.get(id)?;
        Some(suspended_data(&found.subscription)?.reason)
    }
}

/// Returns why nothing is sent to who reads a subscription, in the words in which it would be refused to them: a permission
/// that is missing is named, and so is a role.
pub(super) fn why_withheld(api: &Api, principal: &Principal, subscription: &Subscription) -> Option<Problem> {
    let why = suspended_data(subscription)?;
    if subscription.hearing.suspension.is_none() {
        return Some(why.problem());
    }
    let (account, extension) = (principal.account, Some(principal.extension));
    let action = Action::of(subscription.transport);
    let denied = api.rights.may(&principal.identity(), action, account, extension).map_err(Problem::from);
    let denied = denied.and_then(|()| check_filters(api, principal, &subscription.filters));
    Some(denied.err().unwrap_or_else(|| why.problem()))
}

/// Returns why nothing is sent of a subscription, because of an operator or of a right.
pub(super) fn suspended_data(subscription: &Subscription) -> Option<SuspendedData> {
    let lacks = subscription.hearing.suspension.as_ref();
    let lacks = lacks.map(|lacks| SuspendedData { suspended_at: None, reason: lacks.reason.to_string() });
    let paused = subscription.paused.map(|at| SuspendedData {
        suspended_at: Some(at.to_string()),
        reason: "An operator has paused it".to_owned(),
    });
    lacks.or(paused)
}

/// The filters of a subscription without effect.
pub(super) fn disabled_filters(subscription: &Subscription) -> Vec<DisabledFilterInfo> {
    let id = subscription.id.to_string();
    let disabled = subscription.hearing.disabled.iter();
    let info = |one: &hookswitch_core::subscription::DisabledFilter| {
        let filter = subscription.filters.get(one.index)?;
        Some(DisabledFilterInfo {
            filter: shown_filter(filter, &id),
            reason: one.code,
            message: one.message.to_string(),
        })
    };
    disabled.filter_map(info).collect()
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct DeliveryMode {
    transport_type: &'static str,
    encryption: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct BlacklistedData {
    blacklisted_at: String,
    reason: String,
}

impl SubscriptionInfo {
    fn of(kept: &StoredSubscription, api: &Api, now: Timestamp) -> Self {
        let subscription = &kept.subscription;
        let (status, blacklisted_data) = match &subscription.standing {
            SubscriptionStatus::Active => ("Active", None),
            SubscriptionStatus::Blacklisted(why) => {
                let blacklisted_at = why.since.to_string();
                ("Blacklisted", Some(BlacklistedData { blacklisted_at, reason: why.reason.clone() }))
            }
        };
        let suspended_data = suspended_data(subscription);
        let status = if suspended_data.is_some() { "Suspended" } else { status };
        let id = subscription.id.to_string();
        // Over a WebSocket the address is relative, and the lifetime begins anew all the time.
        let (base, address, expires) = match &kept.delivery {
            Delivery::WebHook(webhook) => {
                (&*api.public_url, Some(webhook.address.clone()), subscription.expires)
            }
            Delivery::WebSocket(_) => ("", None, now + subscription.lifetime),
        };
        let left = expires.since(now).as_secs();
        Self {
            uri: format!("{base}/restapi/v1.0/subscription/{id}"),
            creation_time: subscription.created.to_string(),
            status,
            event_filters: subscription.filters.iter().map(|filter| shown_filter(filter, &id)).collect(),
            disabled_filters: disabled_filters(subscription),
            expiration_time: expires.to_string(),
            expires_in: if address.is_some() { left } else { left.saturating_sub(1) },
            delivery_mode: DeliveryMode {
                transport_type: subscription.transport.as_str(),
                encryption: false,
                address,
            },
            blacklisted_data,
            suspended_data,
            id,
        }
    }
}

/// A subscription as an answer; the id of one over a WebSocket is a header as well (contract websocket §6).
pub(super) struct Shown(SubscriptionInfo);

impl IntoResponse for Shown {
    fn into_response(self) -> Response {
        const ID: HeaderName = HeaderName::from_static("wsg-subscriptionid");
        let over_socket = self.0.delivery_mode.transport_type == Transport::WebSocket.as_str();
        let id = HeaderValue::try_from(&self.0.id).ok().filter(|_| over_socket);
        let mut response = Json(self.0).into_response();
        if let Some(id) = id {
            response.headers_mut().insert(ID, id);
        }
        response
    }
}

/// A filter with ids in place of each `~`.
pub(super) fn shown_filter(filter: &EventFilter, id: &str) -> String {
    let text = filter.to_string();
    match filter {
        EventFilter::Reminder { .. } => text.replacen('~', id, 1),
        _ => text,
    }
}

/// Lists the subscriptions of the user with the application.
#[utoipa::path(get, path = "/restapi/v1.0/subscription", tag = "Subscriptions",
    params(("page" = Option<u32>, Query, minimum = 1, description = "From 1"),
        ("perPage" = Option<String>, Query, description = "From 1 to 1000, or `MAX`; 100 unless asked for")),
    responses((status = 200, body = List<SubscriptionInfo>), openapi::Refusals))]
pub(super) async fn list(
    State(api): State<Api>,
    principal: Principal,
    Base(base): Base,
    RawQuery(query): RawQuery,
) -> Result<Json<List<SubscriptionInfo>>, Problem> {
    let query = PageQuery::read(query.as_deref())?;
    let now = clock::steady();
    let found = api.subscriptions.of(&owner(&principal));
    let records = found.iter().map(|kept| SubscriptionInfo::of(kept, &api, now)).collect();
    Ok(Json(query.page_of(&format!("{base}/restapi/v1.0/subscription"), records)))
}

/// Creates a subscription, after a handshake with its address.
#[utoipa::path(post, path = "/restapi/v1.0/subscription", tag = "Subscriptions",
    request_body = SubscriptionRequest, responses((status = 200, body = SubscriptionInfo), openapi::Refusals))]
pub(super) async fn create(
    State(api): State<Api>,
    principal: Principal,
    caller: Option<Extension<Caller>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Shown, Problem> {
    let asked = read_body(&body::read(&headers, body, BODY_BYTES_MAX).await?)?;
    let delivery = asked.delivery_mode.unwrap_or_default();
    let transport = transport(delivery.transport_type.as_deref(), caller.is_some())?;
    api.check(&principal, Action::of(transport), principal.account, Some(principal.extension))?;
    let texts = asked.event_filters.unwrap_or_default();
    let id = secret::random().map(|bits| SubscriptionId::from_bits(u128::from_ne_bytes(bits)));
    let id = id.map_err(|_| Problem::internal())?;
    let filters = read_filters(&api, &principal, &texts, id)?;
    let lifetime = transport.lifetime(read_lifetime(asked.expires_in)?);
    check_reminders(&filters, lifetime)
        .map_err(|error| refused_filters((error.status(), error.code()), error.to_string()))?;
    let owner = owner(&principal);
    let session =
        caller.filter(|_| transport == Transport::WebSocket).map(|Extension(caller)| caller.session);
    let delivery = if let Some(session) = session {
        // A session has one subscription; the newest takes the place of another.
        if let Some(old) = api.gateway.subscription_of(session) {
            drop_subscription(&api, old).await?;
        }
        let start = api.store.ends().events;
        let node = api.gateway.node().to_owned();
        Delivery::WebSocket(Socket { session, grant: principal.grant.clone(), start, node })
    } else {
        let (webhook, endpoint) = read_delivery(&api, delivery).await?;
        let lost = lost_of(&api, &owner).await?;
        if !api.subscriptions.has_room(&owner, &lost) {
            return Err(limit(&api));
        }
        api.webhooks.validate(&endpoint.url).await.map_err(|error| refused_address(&error))?;
        Delivery::WebHook(webhook)
    };
    let created = clock::steady();
    let subscription = Subscription {
        id,
        owner,
        transport,
        filters,
        created,
        lifetime,
        expires: created + lifetime,
        standing: SubscriptionStatus::Active,
        paused: None,
        hearing: Hearing::default(),
    };
    let kept = StoredSubscription {
        subscription,
        delivery,
        expired: false,
        start: 0,
        filters_from: 0,
        is_earlier: false,
        keeps_earlier: false,
    };
    let lost = lost_of(&api, &kept.subscription.owner).await?;
    match api.subscriptions.create(kept, &lost).await {
        Ok(kept) if session.is_some_and(|session| !api.gateway.subscribe(session, &kept.subscription)) => {
            drop_subscription(&api, id).await?;
            Err(Problem::token("OAU-213", "The login has ended; log in again"))
        }
        Ok(kept) => Ok(Shown(SubscriptionInfo::of(&kept, &api, clock::steady()))),
        Err(CreateError::Limit) => Err(limit(&api)),
        Err(CreateError::Store(error)) => Err(Problem::unavailable(error.to_string())),
    }
}

/// Reads a subscription.
#[utoipa::path(get, path = "/restapi/v1.0/subscription/{subscriptionId}", tag = "Subscriptions",
    params(("subscriptionId" = String, Path, description = "Its id")),
    responses((status = 200, body = SubscriptionInfo), openapi::Refusals))]
pub(super) async fn read(
    State(api): State<Api>,
    principal: Principal,
    Segments([id]): Segments<1>,
) -> Result<Shown, Problem> {
    let kept = find(&api, &principal, &id)?;
    Ok(Shown(SubscriptionInfo::of(&kept, &api, clock::steady())))
}

/// Gives a subscription other filters and another lifetime; whatever the body, it is renewed.
#[utoipa::path(put, path = "/restapi/v1.0/subscription/{subscriptionId}", tag = "Subscriptions",
    params(("subscriptionId" = String, Path, description = "Its id")),
    request_body = Option<SubscriptionRequest>, responses((status = 200, body = SubscriptionInfo), openapi::Refusals))]
pub(super) async fn update(
    State(api): State<Api>,
    principal: Principal,
    caller: Option<Extension<Caller>>,
    Segments([id]): Segments<1>,
    headers: HeaderMap,
    body: Body,
) -> Result<Shown, Problem> {
    let kept = find(&api, &principal, &id)?;
    check_caller(&kept, caller.as_deref())?;
    let body = body::read(&headers, body, BODY_BYTES_MAX).await?;
    let asked = if body.iter().all(u8::is_ascii_whitespace) {
        SubscriptionRequest::default()
    } else {
        read_body(&body)?
    };
    let filters = match &asked.event_filters {
        None => None,
        Some(texts) => Some(read_filters(&api, &principal, texts, kept.subscription.id)?),
    };
    let transport = kept.subscription.transport;
    let lifetime = read_lifetime(asked.expires_in)?.map(|secs| transport.lifetime(Some(secs)));
    check_reminders(
        filters.as_deref().unwrap_or(&kept.subscription.filters),
        lifetime.unwrap_or(kept.subscription.lifetime),
    )
    .map_err(|error| refused_filters((error.status(), error.code()), error.to_string()))?;
    renewed(&api, &kept, filters, lifetime).await
}

/// Renews a subscription for as long as it had.
#[utoipa::path(post, path = "/restapi/v1.0/subscription/{subscriptionId}/renew", tag = "Subscriptions",
    params(("subscriptionId" = String, Path, description = "Its id")),
    responses((status = 200, body = SubscriptionInfo), openapi::Refusals))]
pub(super) async fn renew(
    State(api): State<Api>,
    principal: Principal,
    caller: Option<Extension<Caller>>,
    Segments([id]): Segments<1>,
) -> Result<Shown, Problem> {
    let kept = find(&api, &principal, &id)?;
    check_caller(&kept, caller.as_deref())?;
    renewed(&api, &kept, None, None).await
}

/// Renews a subscription, and shows it.
async fn renewed(
    api: &Api,
    kept: &StoredSubscription,
    filters: Option<Vec<EventFilter>>,
    lifetime: Option<std::time::Duration>,
) -> Result<Shown, Problem> {
    let renewed = renew_kept(api, kept, filters, lifetime).await?;
    Ok(Shown(SubscriptionInfo::of(&renewed, api, clock::steady())))
}

/// Renews a subscription; one that is blacklisted is validated, and goes on if that succeeds.
pub(super) async fn renew_kept(
    api: &Api,
    kept: &StoredSubscription,
    filters: Option<Vec<EventFilter>>,
    lifetime: Option<std::time::Duration>,
) -> Result<StoredSubscription, Problem> {
    let id = kept.subscription.id;
    let renewed = api.subscriptions.renew(id, filters, lifetime).await;
    let renewed = renewed.map_err(|error| Problem::unavailable(error.to_string()))?;
    let mut renewed = renewed.ok_or_else(expired)?;
    if renewed.subscription.transport == Transport::WebSocket {
        api.gateway.update(&renewed.subscription);
    }
    if renewed.subscription.is_blacklisted()
        && let Delivery::WebHook(webhook) = &renewed.delivery
        && let Ok(endpoint) = webhook.endpoint(api.webhooks.guard())
        && api.webhooks.validate(&endpoint.url).await.is_ok()
    {
        renewed.subscription.standing = SubscriptionStatus::Active;
        api.subscriptions.validated(id, true).await;
    }
    Ok(renewed)
}

/// Deletes a subscription.
#[utoipa::path(delete, path = "/restapi/v1.0/subscription/{subscriptionId}", tag = "Subscriptions",
    params(("subscriptionId" = String, Path, description = "Its id")),
    responses((status = 204, description = "Gone"), openapi::Refusals))]
pub(super) async fn delete(
    State(api): State<Api>,
    principal: Principal,
    Segments([id]): Segments<1>,
) -> Result<StatusCode, Problem> {
    let kept = find(&api, &principal, &id)?;
    drop_subscription(&api, kept.subscription.id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Deletes a subscription, whoever is told of it.
async fn lost_of(api: &Api, owner: &Owner) -> Result<HashSet<SubscriptionId>, Problem> {
    api.gateway.lost_of(owner).await.map_err(|error| Problem::unavailable(error.to_string()))
}

pub(super) async fn drop_subscription(api: &Api, id: SubscriptionId) -> Result<(), Problem> {
    api.gateway.unsubscribe(id);
    api.subscriptions.delete(id).await.map_err(|error| Problem::unavailable(error.to_string()))
}

/// Checks that a subscription over a WebSocket is changed over that WebSocket: elsewhere it is as unknown as one
/// that never was, since a client subscribes anew then, and on no other answer (contract subscriptions §2).
fn check_caller(kept: &StoredSubscription, caller: Option<&Caller>) -> Result<(), Problem> {
    match &kept.delivery {
        Delivery::WebSocket(socket) if caller.is_none_or(|caller| caller.session != socket.session) => {
            Err(Problem::unknown("subscriptionId", &kept.subscription.id.to_string()))
        }
        _ => Ok(()),
    }
}

pub(super) fn owner(principal: &Principal) -> Owner {
    Owner {
        account: principal.account,
        extension: principal.extension,
        client_id: (*principal.client_id).into(),
        generation: (*principal.generation).into(),
    }
}

/// A subscription of the one who asks; that of others is as unknown as one that never was.
fn find(api: &Api, principal: &Principal, id: &str) -> Result<StoredSubscription, Problem> {
    let found = parse_id(id).and_then(|id| api.subscriptions.find(id, &owner(principal)));
    let kept = found.ok_or_else(|| Problem::unknown("subscriptionId", id))?;
    if kept.expired { Err(expired()) } else { Ok(kept) }
}

/// Reads the body of a request, field by field, so that a field of another type is named.
fn read_body(body: &[u8]) -> Result<SubscriptionRequest, Problem> {
    let body: Value = serde_json::from_slice(body)
        .map_err(|error| Problem::no_json(format!("The body is not JSON: {error}")))?;
    let Value::Object(body) = body else {
        return Err(Problem::invalid("The body must be an object with eventFilters and deliveryMode"));
    };
    let get = |name| body.get(name).filter(|value| !value.is_null());
    let event_filters = get("eventFilters").map(|value| {
        let texts =
            value.as_array().and_then(|all| all.iter().map(|one| Some(one.as_str()?.to_owned())).collect());
        texts.ok_or_else(|| unfit("eventFilters", "an array of event filters, each a text", value))
    });
    let expires_in = get("expiresIn").map(|value| {
        // Some clients send what they were told, as a text.
        let secs = value.as_u64().or_else(|| value.as_str()?.parse().ok());
        secs.ok_or_else(|| unfit("expiresIn", "a number of seconds from 1 on", value))
    });
    let delivery_mode = get("deliveryMode").map(read_delivery_mode);
    Ok(SubscriptionRequest {
        event_filters: event_filters.transpose()?,
        expires_in: expires_in.transpose()?,
        delivery_mode: delivery_mode.transpose()?,
    })
}

fn read_delivery_mode(value: &Value) -> Result<DeliveryModeRequest, Problem> {
    let Value::Object(fields) = value else {
        return Err(unfit("deliveryMode", "an object with transportType and address", value));
    };
    let text = |field: &'static str| {
        let name = field.rsplit('.').next().unwrap_or_default();
        let value = fields.get(name).filter(|value| !value.is_null());
        let read =
            |value: &Value| value.as_str().map(str::to_owned).ok_or_else(|| unfit(field, "a text", value));
        value.map(read).transpose()
    };
    Ok(DeliveryModeRequest {
        transport_type: text("deliveryMode.transportType")?,
        address: text("deliveryMode.address")?,
        verification_token: text("deliveryMode.verificationToken")?,
        validation_token: text("deliveryMode.validationToken")?,
        signing_secret: text("deliveryMode.signingSecret")?,
    })
}

/// A field has a value of another type.
fn unfit(field: &'static str, expected: &str, value: &Value) -> Problem {
    Problem::field(field, format!("{field} must be {expected}")).about(field, &value.to_string())
}

fn transport(asked: Option<&str>, over_socket: bool) -> Result<Transport, Problem> {
    const FIELD: &str = "deliveryMode.transportType";
    match asked {
        Some(text) if text.eq_ignore_ascii_case("WebHook") => Ok(Transport::WebHook),
        Some(text) if over_socket && text.eq_ignore_ascii_case("WebSocket") => Ok(Transport::WebSocket),
        Some(text) if text.eq_ignore_ascii_case("WebSocket") => Err(Problem::field(
            FIELD,
            "Subscriptions of the transport WebSocket are created over the WebSocket itself; create them \
             there, or ask for WebHook",
        )),
        Some(text) => {
            let text: String = text.chars().take(50).collect();
            Err(Problem::field(FIELD, format!("The transport {text:?} is not served here; ask for WebHook")))
        }
        None => Err(Problem::field(FIELD, "deliveryMode.transportType is missing; give WebHook")),
    }
}

fn read_lifetime(asked_secs: Option<u64>) -> Result<Option<u64>, Problem> {
    match asked_secs {
        Some(0) => Err(Problem::field("expiresIn", "expiresIn is 0; give a number of seconds from 1 on")),
        asked => Ok(asked),
    }
}

/// Reads all filters, and names every one that is bad.
pub(super) fn read_filters(
    api: &Api,
    principal: &Principal,
    texts: &[String],
    id: SubscriptionId,
) -> Result<Vec<EventFilter>, Problem> {
    let own = Own { account: principal.account, extension: principal.extension };
    let filters = parse_filters(api, own, texts, id)?;
    check_filters(api, principal, &filters)?;
    Ok(filters)
}

/// Checks that a permission is missing for no filter, and that a role is not for all of them: those for which one is
/// are disabled while others remain.
fn check_filters(api: &Api, principal: &Principal, filters: &[EventFilter]) -> Result<(), Problem> {
    let who = principal.identity();
    let denied = |filter| Some((filter, api.rights.may_filter(&who, filter).err()?));
    let denied: Vec<(&EventFilter, Denied)> = filters.iter().filter_map(denied).collect();
    if let Some(&(_, permission)) = denied.iter().find(|(_, denied)| !denied.is_reach()) {
        return Err(permission.into());
    }
    let reminders = filters.iter().filter(|filter| matches!(filter, EventFilter::Reminder { .. })).count();
    match denied.first() {
        Some((filter, first)) if denied.len() + reminders == filters.len() => {
            let message = format!(
                "{}; ask for {}, or let an operator of this server make the user an administrator",
                first.sentence(),
                of_own_extension(filter)
            );
            Err(Problem::coded(StatusCode::FORBIDDEN, first.filter_code(), message))
        }
        _ => Ok(()),
    }
}

/// The filter for the same kind of events of one's own extension.
fn of_own_extension(filter: &EventFilter) -> String {
    let family = match filter {
        EventFilter::Calls(filter) => match filter.family() {
            family @ Family::AnsweredElsewhere => format!("{}?action={}", family.path(), family.action()),
            family => family.path().to_owned(),
        },
        EventFilter::TelephonySessions(_) | EventFilter::Reminder { .. } | EventFilter::Other(_) => {
            "telephony/sessions".to_owned()
        }
    };
    format!("/restapi/v1.0/account/~/extension/~/{family}")
}

/// The same, whatever the one who asks may do.
pub(super) fn parse_filters(
    api: &Api,
    own: Own,
    texts: &[String],
    id: SubscriptionId,
) -> Result<Vec<EventFilter>, Problem> {
    const FIELD: &str = "eventFilters";
    if texts.is_empty() {
        return Err(Problem::field(
            FIELD,
            "eventFilters is missing or empty; give one event filter at least",
        ));
    }
    if texts.len() > FILTERS_MAX {
        return Err(Problem::field(FIELD, format!("eventFilters has more than {FILTERS_MAX} event filters")));
    }
    let directory = api.directory();
    // A client may send back what it was shown.
    let own_id = format!("/subscription/{id}?");
    let mut filters = Vec::with_capacity(texts.len());
    let mut code = None;
    let mut complaints = Vec::new();
    let mut complain = |error: FilterError| {
        code.get_or_insert((error.status(), error.code()));
        complaints.push(error.to_string());
    };
    for text in texts {
        match EventFilter::parse(&text.replacen(&own_id, "/subscription/~?", 1), own) {
            Ok(filter) => match filter.check_extension(&directory, own.extension) {
                Ok(()) => filters.push(filter.in_directory(&directory)),
                Err(error) => complain(error),
            },
            Err(error) => complain(error),
        }
    }
    if let Some(code) = code {
        return Err(refused_filters(code, complaints.join("; ")));
    }
    Ok(filters)
}

fn refused_filters((status, code): (u16, &'static str), mut message: String) -> Problem {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    if let Some(first) = message.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    Problem::coded(status, code, message).about("eventFilters", "")
}

async fn read_delivery(api: &Api, asked: DeliveryModeRequest) -> Result<(WebHook, Endpoint), Problem> {
    const ADDRESS: &str = "deliveryMode.address";
    let Some(address) = asked.address else {
        return Err(Problem::field(
            ADDRESS,
            "deliveryMode.address is missing; give the https URL to post to",
        ));
    };
    // The header mirrors the field that the subscriber chose (contract subscriptions §4.3).
    let token = match (asked.verification_token, asked.validation_token) {
        (Some(token), _) => Some(("verification-token", token)),
        (None, Some(token)) => Some(("validation-token", token)),
        (None, None) => None,
    };
    let long = token.as_ref().is_some_and(|(_, token)| token.len() > TOKEN_BYTES_MAX);
    let delivery = WebHook {
        address,
        token: token.map(|(name, token)| (name.to_owned(), token)),
        signing_secret: asked.signing_secret,
    };
    let bad_token = || {
        let message = "deliveryMode.verificationToken must be at most 1024 characters that a header can have";
        Problem::field("deliveryMode.verificationToken", message)
    };
    if long {
        return Err(bad_token());
    }
    match delivery.endpoint(api.webhooks.guard()) {
        Ok(endpoint) => Ok((delivery, endpoint)),
        Err(DeliveryError::Address(AddressError::NotHttps)) => Err(Problem::coded(
            StatusCode::BAD_REQUEST,
            "SUB-523",
            "The WebHook address must use HTTPS; give one that begins with https://",
        )
        .about(ADDRESS, &delivery.address)),
        Err(DeliveryError::Address(AddressError::Invalid(why))) => {
            let message = format!("deliveryMode.address cannot be used: {why}; give an https URL to post to");
            Err(Problem::field(ADDRESS, message))
        }
        // Said in the words of an address where nobody answers, and as late.
        Err(DeliveryError::Address(AddressError::Forbidden | AddressError::Unresolved)) => {
            Err(refused_address(&api.webhooks.refuse().await))
        }
        Err(DeliveryError::Token) => Err(bad_token()),
        Err(DeliveryError::Secret) => Err(Problem::field(
            "deliveryMode.signingSecret",
            "deliveryMode.signingSecret cannot be used; give whsec_ and 24 to 64 random bytes in base64",
        )),
    }
}

/// Checks an address as that of a subscription, with the question whether it wants notifications.
///
/// # Errors
/// As creating a subscription with it.
pub(super) async fn check_address(api: &Api, address: &str) -> Result<(), Problem> {
    let asked = DeliveryModeRequest { address: Some(address.to_owned()), ..DeliveryModeRequest::default() };
    let (_, endpoint) = read_delivery(api, asked).await?;
    api.webhooks.validate(&endpoint.url).await.map_err(|error| refused_address(&error))
}

fn refused_address(error: &HandshakeError) -> Problem {
    Problem::coded(StatusCode::BAD_REQUEST, error.code(), error.to_string()).about("deliveryMode.address", "")
}

fn limit(api: &Api) -> Problem {
    let max = api.subscriptions.per_owner_max();
    let message =
        format!("There are {max} subscriptions of this user with this application; delete one first");
    Problem::coded(StatusCode::FORBIDDEN, "SUB-505", message)
}

pub(super) fn expired() -> Problem {
    let message = "The subscription has expired; create another";
    Problem::coded(StatusCode::NOT_FOUND, "SUB-507", message)
}

#[cfg(test)]
mod tests {
    use hookswitch_model::{AccountId, ExtensionId};

    use super::*;

    #[test]
    fn who_may_not_hear_of_others_is_told_the_filter_for_the_same_of_the_own_extension() {
        let own = Own { account: AccountId::new(1001), extension: ExtensionId::new(1102) };
        let account = "/restapi/v1.0/account/~";
        for (asked, family) in [
            ("telephony/sessions?statusCode=Answered", "telephony/sessions"),
            ("presence?detailedTelephonyState=true", "presence"),
            ("extension/1101/telephony/sessions", "telephony/sessions"),
            ("extension/1101/presence", "presence"),
            ("extension/1101/missed-calls", "missed-calls"),
            ("extension/1101/start-ring", "start-ring"),
            ("extension/1101/stop-ring", "stop-ring"),
            (
                "extension/1101/telephony?action=call-answered-elsewhere",
                "telephony?action=call-answered-elsewhere",
            ),
        ] {
            let filter = EventFilter::parse(&format!("{account}/{asked}"), own).expect(asked);
            let advice = of_own_extension(&filter);
            assert_eq!(advice, format!("{account}/extension/~/{family}"), "{asked}");
            let taken = EventFilter::parse(&advice, own).expect("a filter that can be asked for");
            assert!(!matches!(taken, EventFilter::Other(_)), "{advice} is told of nothing");
        }
    }
}
