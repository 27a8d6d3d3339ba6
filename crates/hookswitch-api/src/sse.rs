//! `/events`: notifications as they come, as server-sent events.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use hookswitch_core::notification::{SERVER_ID, Subscriber};
use hookswitch_core::subscription::{Hearing, Subscription, SubscriptionStatus, Transport};
use hookswitch_model::SubscriptionId;
use hookswitch_server::Traffic;
use hookswitch_server::auth::Principal;
use hookswitch_server::clock;
use hookswitch_server::secret::Digest;
use hookswitch_server::subscriptions::parse_id;
use hookswitch_server::websocket::StreamPlace;
use tokio::sync::mpsc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Api, Problem, openapi, subscription};

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Interval at which something is written when there are no events, so that a lost connection is noticed.
const QUIET_MAX: Duration = Duration::from_secs(15);

/// Time that the last word of a stream may wait for its reader.
const CLOSE_WITHIN: Duration = Duration::from_secs(2);

/// Time that an event may wait for its reader. A connection whose reader takes nothing ends before; one of HTTP/2 may
/// carry other streams that are read.
const TAKEN_WITHIN: Duration = Duration::from_secs(60);

/// Number of events that are read from the log at once.
const READ_EVENTS: usize = 100;

/// The resource of the stream.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(stream))
}

/// What an address of `/events` says.
#[derive(Default)]
struct Query {
    access_token: Option<String>,
    filters: Vec<String>,
    subscription: Option<String>,
    last_event: Option<String>,
}

impl Query {
    fn read(query: Option<&str>) -> Self {
        let mut read = Self::default();
        for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            let value = value.into_owned();
            match &*name {
                "access_token" => read.access_token = Some(value),
                "eventFilters" | "eventFilter" => read.filters.push(value),
                "subscriptionId" => read.subscription = Some(value),
                "lastEventId" => read.last_event = Some(value),
                _ => {}
            }
        }
        read
    }
}

/// Streams notifications as server-sent events. `Last-Event-ID` goes on behind an event, as long as the log keeps
/// what followed.
#[utoipa::path(get, path = "/events", tag = "WebSocket",
    params(("eventFilters" = Option<Vec<String>>, Query, description = "What to hear of; the account's sessions if none is given"),
        ("subscriptionId" = Option<String>, Query, description = "Hear what this subscription of your own hears"),
        ("access_token" = Option<String>, Query, description = "From /restapi/oauth/wstoken, for browsers"),
        ("lastEventId" = Option<String>, Query, description = "As the header Last-Event-ID")),
    responses((status = 200, description = "Events", content_type = "text/event-stream"), openapi::Refusals))]
pub(super) async fn stream(
    State(api): State<Api>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    traffic: Option<Extension<Traffic>>,
) -> Result<Response, Problem> {
    let query = Query::read(query.as_deref());
    let principal = match &query.access_token {
        Some(token) => api.gateway.authenticate(token).await?,
        None => api.oauth.authenticate(&headers).await?,
    };
    let last = match headers.get(LAST_EVENT_ID).map(HeaderValue::to_str) {
        Some(last) => Some(last.unwrap_or_default().to_owned()),
        None => query.last_event,
    };
    let end = api.store.ends().events;
    let position = match last.filter(|last| !last.is_empty()) {
        None => end,
        Some(last) => last.parse::<u64>().ok().filter(|&last| last <= end).ok_or_else(|| {
            Problem::field("Last-Event-ID", "Last-Event-ID is none of ours; send back the id of an event")
        })?,
    };
    let (id, filters) = if let Some(text) = &query.subscription {
        let own = parse_id(text).and_then(|id| api.subscriptions.find(id, &subscription::owner(&principal)));
        let own = own.filter(|kept| !kept.expired).ok_or_else(|| Problem::unknown("subscriptionId", text))?;
        (own.subscription.id, own.subscription.filters)
    } else {
        let mut texts = query.filters;
        if texts.is_empty() {
            texts.push("/restapi/v1.0/account/~/telephony/sessions".to_owned());
        }
        // The same filters of the same login are the same subscription, so that ids of notifications
        // stay what they are.
        let said = format!("events {} {} {texts:?}", principal.client_id, principal.extension);
        let id = SubscriptionId::from_bits(u128::from_be_bytes(Digest::of(said.as_bytes()).prefix()));
        (id, subscription::read_filters(&api, &principal, &texts, id)?)
    };
    let now = clock::steady();
    let transport = Transport::WebSocket;
    let lifetime = transport.lifetime(None);
    let mut subscription = Subscription {
        id,
        owner: subscription::owner(&principal),
        transport,
        filters,
        created: now,
        lifetime,
        expires: now + lifetime,
        standing: SubscriptionStatus::Active,
        paused: None,
        hearing: Hearing::default(),
    };
    if let Some(problem) = judge(&api, &principal, query.subscription.is_some(), &mut subscription) {
        return Err(problem);
    }
    let place = api.gateway.admit_stream(principal.grant.clone(), traffic.as_deref())?;
    let (sender, receiver) = mpsc::channel(READ_EVENTS);
    let is_own = query.subscription.is_some();
    let stream =
        Stream { api, grant: principal.grant, is_own, subscription, position, sender, _place: place };
    tokio::spawn(stream.run());
    let events = stream::unfold(receiver, async |mut receiver| {
        receiver.recv().await.map(|event| (Ok::<_, Infallible>(event), receiver))
    });
    let headers = [(header::CACHE_CONTROL, "no-store"), (HeaderName::from_static("x-accel-buffering"), "no")];
    Ok((headers, Sse::new(events)).into_response())
}

/// Looks what a stream may tell at this moment; gives why it may tell nothing. `is_own` says that it follows a
/// subscription, which has to be there.
fn judge(api: &Api, principal: &Principal, is_own: bool, subscription: &mut Subscription) -> Option<Problem> {
    if is_own {
        let found = api.subscriptions.find(subscription.id, &subscription.owner);
        let Some(found) = found.filter(|kept| !kept.expired) else {
            return Some(Problem::unknown("subscriptionId", &subscription.id.to_string()));
        };
        if let Some(problem) = subscription::why_withheld(api, principal, &found.subscription) {
            return Some(problem);
        }
        subscription.filters = found.subscription.filters;
    }
    subscription.hearing = api.rights.filtered(&principal.identity(), &subscription.filters, false).0;
    subscription::why_withheld(api, principal, subscription)
}

/// One stream of events, and how far it has come.
struct Stream {
    api: Api,
    grant: Arc<str>,
    /// Set if it follows a subscription of the user's own.
    is_own: bool,
    subscription: Subscription,
    position: u64,
    sender: mpsc::Sender<Event>,
    _place: StreamPlace,
}

impl Stream {
    /// Writes events as they come, no faster than they are read, for as long as the right lasts.
    async fn run(mut self) {
        let subscriber = Subscriber::new(self.subscription.id, self.subscription.owner.extension, SERVER_ID);
        let mut events = self.api.store.follow_events();
        let mut ends = self.api.oauth.follow_ends();
        let mut judged = self.api.subscriptions.follow_judgements();
        let mut stop = self.api.gateway.follow_stop();
        // So that the client knows that it hears.
        let hello = Event::default().comment(format!("subscription {}", self.subscription.id));
        if !self.send(hello).await {
            return;
        }
        // What was taken back since the request was let in.
        ends.mark_changed();
        let mut notification = Vec::new();
        loop {
            let changed = ends.has_changed().unwrap_or_default() || judged.has_changed().unwrap_or_default();
            if changed {
                ends.borrow_and_update();
                judged.borrow_and_update();
                if let Some(problem) = self.judge_again().await {
                    return self.close(&problem).await;
                }
            }
            let Ok(mut read) = self.api.store.events_after(self.position, READ_EVENTS).await else { return };
            if self.subscription.wants_changes() && self.api.changes.attach(&mut read).await.is_err() {
                return;
            }
            for logged in &read {
                if ends.has_changed().unwrap_or_default() || judged.has_changed().unwrap_or_default() {
                    break;
                }
                let about = (&*logged.event, logged.change.as_deref());
                let projections = self.subscription.matching(logged).unwrap_or_default();
                for (index, &projection) in projections.iter().enumerate() {
                    notification.clear();
                    subscriber.write_any(about, projection, clock::wall(), &mut notification);
                    // Until the last of an event was sent, the id leads before it.
                    let is_last = index + 1 == projections.len();
                    let behind = if is_last { logged.position } else { self.position };
                    let event = Event::default().id(behind.to_string());
                    let event = event.data(String::from_utf8_lossy(&notification));
                    if !self.send(event).await {
                        return;
                    }
                }
                self.position = logged.position;
            }
            if read.last().is_some_and(|last| last.position > self.position) || read.len() == READ_EVENTS {
                continue;
            }
            let position = self.position;
            let more = async { events.wait_for(|&end| end > position).await.is_ok() };
            let stopped = async { stop.wait_for(|&stop| stop).await.is_ok() };
            tokio::select! {
                waited = tokio::time::timeout(QUIET_MAX, more) => {
                    if waited.is_err() && !self.send(Event::default().comment("still here")).await {
                        return;
                    }
                }
                changed = ends.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    ends.mark_changed();
                }
                changed = judged.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    judged.mark_changed();
                }
                () = self.sender.closed() => return,
                _ = stopped => return,
            }
        }
    }

    /// Hands an event to the connection; gives whether there is somebody who takes it.
    async fn send(&self, event: Event) -> bool {
        let sent = tokio::time::timeout(TAKEN_WITHIN, self.sender.send(event)).await;
        sent.is_ok_and(|sent| sent.is_ok())
    }

    /// Looks again what it may tell; gives why it may tell nothing any more.
    async fn judge_again(&mut self) -> Option<Problem> {
        match self.api.oauth.of_grant(self.grant.clone()).await {
            Ok(principal) => judge(&self.api, &principal, self.is_own, &mut self.subscription),
            Err(problem) => Some(problem),
        }
    }

    /// Says why there is no more, as the last event.
    async fn close(&self, problem: &Problem) {
        let event = Event::default().event("error").data(problem.body());
        tokio::time::timeout(CLOSE_WITHIN, self.sender.send(event)).await.ok(); // who does not read misses it
    }
}
