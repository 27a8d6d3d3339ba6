//! The WebSocket gateway: who may connect, what they hear of, and how a lost connection goes on
//! (contract websocket). What is said on one connection is decided in [`hookswitch_core::websocket`].
//!
//! A client is given, with every frame, a handle that says how far it has come. So what it has missed is read
//! from the event log and not from a buffer, after a crash of the server as well.

mod rule;
mod socket;
mod spans;
mod table;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::ws::WebSocket;
use axum::http::{HeaderName, HeaderValue, Method, Request as HttpRequest, StatusCode, Uri, header};
use hookswitch_core::subscription::{Owner, Subscription};
use hookswitch_core::websocket::{Connection, Limits, Recovery, Request, Wsc};
use hookswitch_model::{Logged, SubscriptionId};
use hookswitch_store::{Journal, Partition, Span, Store, StoreError};
use http_body_util::BodyExt as _;
use tokio::sync::{broadcast, watch};
use tower_service::Service as _;

pub use self::socket::limit;
use self::spans::Spans;
use self::table::{ActiveSubscription, Attached, Cut, Handle, Lost, Table};
use crate::Traffic;
use crate::auth::{OAuth, Principal, Problem, Scope};
use crate::call_changes::CallChanges;
use crate::clock;
use crate::cluster::Membership;
use crate::config::WebSocket as Settings;
use crate::secret::{self, Digest, Key};
use crate::subscriptions::{Delivery, StoredSubscription, Subscriptions};
use crate::telemetry::Metrics;

/// Purpose of the sealed texts that connections are opened with.
const TOKEN: &str = "websocket";

/// Number of events that are read from the log at once.
const READ_EVENTS: usize = 500;

/// Interval at which the spans that connections were sent are stored.
const WRITE_SPANS_EVERY: Duration = Duration::from_secs(5);

/// Time that a client waits that comes from another node, until this one's copy of the log is as far.
const FETCH_WITHIN: Duration = Duration::from_secs(5);

/// Interval at which lost connections are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// Since when the sequences of new sessions are counted: 2025-01-01, in seconds. One SDK reads them into 32 bits.
const SEQUENCE_EPOCH_SECS: i64 = 1_735_689_600;

/// The sequence at which a session begins now. Clients keep the handle of the highest, so those of a new session
/// must be above those of the sessions before.
fn first_sequence() -> u32 {
    u32::try_from(clock::wall().as_micros() / 1_000_000 - SEQUENCE_EPOCH_SECS).unwrap_or_default()
}

/// The longest token, in bytes.
const TOKEN_BYTES_MAX: usize = 512;

/// Caller of a request over a WebSocket.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The gateway session.
    pub session: u64,
    /// The grant on which the connection rests.
    pub grant: Arc<str>,
}

/// The answer to a request over a WebSocket.
pub struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    /// JSON.
    body: Option<String>,
}

/// A token to connect with (contract websocket §1).
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
#[schema(as = WebSocketToken)]
pub struct ConnectionToken {
    uri: String,
    ws_access_token: String,
    /// Seconds.
    expires_in: u64,
}

/// Purpose of a connection that was opened.
enum Opened {
    /// It is told why it is not served.
    Refused(Box<Connection>),
    Session {
        connection: Box<Connection>,
        attached: Attached,
        /// All events up to this position were sent, in this connection or before it.
        position: u64,
    },
}

/// A place among the connections of a login, which a stream of server-sent events holds.
pub struct StreamPlace {
    gateway: Arc<Gateway>,
    grant: Arc<str>,
}

impl Drop for StreamPlace {
    fn drop(&mut self) {
        self.gateway.table().end_stream(&self.grant);
    }
}

/// All gateway sessions, and what they work with.
pub struct Gateway {
    store: Store,
    changes: Arc<CallChanges>,
    oauth: Arc<OAuth>,
    subscriptions: Arc<Subscriptions>,
    metrics: Arc<Metrics>,
    key: Key,
    settings: Settings,
    uri: String,
    /// The resources, for requests over sockets.
    router: OnceLock<Router>,
    table: Mutex<Table>,
    spans: Spans,
    /// The name of this node; empty if the server is alone.
    node: String,
    cluster: Option<Arc<Membership>>,
    /// Nodes that are not there, whose sessions are, and since when.
    missing: Mutex<HashMap<String, Instant>>,
    stopping: watch::Sender<bool>,
}

impl Gateway {
    /// A gateway with the sessions that were there when the server stopped.
    pub fn new(
        (store, changes): (Store, Arc<CallChanges>),
        oauth: Arc<OAuth>,
        subscriptions: Arc<Subscriptions>,
        metrics: Arc<Metrics>,
        key: Key,
        settings: Settings,
        (public_url, cluster): (&str, Option<Arc<Membership>>),
    ) -> Arc<Self> {
        let node = cluster.as_ref().map_or_else(String::new, |cluster| cluster.name().to_owned());
        let mut table = Table::new(store.ends().events);
        let now = clock::now();
        for kept in subscriptions.of_sockets() {
            if let Delivery::WebSocket(socket) = &kept.delivery
                && socket.node == node
            {
                table.restore(socket.session, socket.grant.clone(), &kept.subscription, socket.start, now);
            }
        }
        // http becomes ws, and https wss.
        let uri = format!("ws{}/ws", public_url.strip_prefix("http").unwrap_or("://127.0.0.1"));
        Arc::new(Self {
            store,
            changes,
            oauth,
            subscriptions,
            metrics,
            key,
            settings,
            uri,
            router: OnceLock::new(),
            table: Mutex::new(table),
            spans: Spans::default(),
            node,
            cluster,
            missing: Mutex::default(),
            stopping: watch::Sender::new(false),
        })
    }

    /// Takes the resources that requests over sockets go to.
    pub(crate) fn serve_requests_by(&self, router: Router) {
        self.router.set(router).ok(); // it is set once
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn limits(&self) -> Limits {
        let settings = &self.settings;
        Limits {
            idle: settings.idle_timeout.0,
            absolute: settings.absolute_timeout.0,
            ping_every: settings.ping_every.0,
            pong_within: settings.pong_within.0,
            barrier: if rule::holds(rule::BARRIER) { Limits::default().barrier } else { Duration::ZERO },
            requests_max: settings.requests_max,
            connections_max: settings.connections_per_login_max,
            recovery_messages: settings.recovery_messages,
            recovery: settings.recovery_time.0,
        }
    }

    /// The origins whose pages may connect.
    pub fn admits(&self, origin: &str) -> bool {
        let own = self.uri.strip_prefix("ws").and_then(|rest| rest.strip_suffix("/ws"));
        let own = own.map(|rest| format!("http{rest}")).and_then(|url| origin_of(&url));
        own.as_deref() == Some(origin)
            || self.settings.origins.iter().any(|allowed| allowed == "*" || allowed == origin)
    }

    /// Makes a token to connect with.
    ///
    /// # Errors
    /// 403 if the application may not have WebSockets.
    pub fn token(&self, principal: &Principal) -> Result<ConnectionToken, Problem> {
        principal.require(Scope::WebSocketsSubscription)?;
        let life = self.settings.token_life.0;
        let expires = (clock::wall() + life).as_micros() / 1_000_000;
        let random = secret::random::<20>().map_err(|_| Problem::internal())?;
        let content = [&expires.to_be_bytes()[..], &random, principal.grant.as_bytes()].concat();
        Ok(ConnectionToken {
            uri: self.uri.clone(),
            ws_access_token: self.key.seal(TOKEN, &content),
            expires_in: life.as_secs(),
        })
    }

    /// Returns who is behind a token to connect with.
    ///
    /// # Errors
    /// 401 if it is none, or has expired.
    pub async fn authenticate(&self, token: &str) -> Result<Principal, Problem> {
        let bad =
            || Problem::token("OAU-129", "The token is not one of /restapi/oauth/wstoken; get one there");
        if token.len() > TOKEN_BYTES_MAX {
            return Err(bad());
        }
        let content = self.key.unseal(TOKEN, token).ok_or_else(bad)?;
        let (expires, rest) = content.split_first_chunk::<8>().ok_or_else(bad)?;
        let grant = rest.get(20..).and_then(|grant| std::str::from_utf8(grant).ok()).ok_or_else(bad)?;
        if i64::from_be_bytes(*expires) <= clock::wall().as_micros() / 1_000_000 {
            return Err(Problem::token("OAU-128", "The token has expired; get another"));
        }
        self.oauth.of_grant(Arc::from(grant)).await
    }

    /// Serves a connection that was upgraded, with what its address says.
    pub async fn connect(
        self: Arc<Self>,
        (socket, traffic): (WebSocket, Option<Traffic>),
        token: Option<String>,
        wsc: Option<String>,
    ) {
        let opened = self.open(token, wsc).await;
        if let Some(traffic) = &traffic {
            // It is looked at here too, and counted.
            traffic.give_up_after(self.slow_after() * 2);
        }
        socket::serve(self, (socket, traffic), opened).await;
    }

    /// Lets a login read a stream of server-sent events, if it has not as many connections as it may, and lets the
    /// connection end when its client takes nothing for too long.
    ///
    /// # Errors
    /// 429 if the login has too many connections, 503 if the server has.
    pub fn admit_stream(
        self: &Arc<Self>,
        grant: Arc<str>,
        traffic: Option<&Traffic>,
    ) -> Result<StreamPlace, Problem> {
        let mut table = self.table();
        if table.open_count() >= self.settings.connections_max {
            self.metrics.sockets.refused.inc();
            return Err(Problem::unavailable(
                "The server has as many connections as it can; connect again later",
            ));
        }
        if table.live_of(&grant) >= self.settings.connections_per_login_max {
            self.metrics.sockets.refused.inc();
            let message = "The login has as many connections as one may; close one";
            return Err(Problem::coded(StatusCode::TOO_MANY_REQUESTS, "CMN-301", message));
        }
        table.begin_stream(grant.clone());
        if let Some(traffic) = traffic {
            traffic.give_up_after(self.slow_after());
        }
        Ok(StreamPlace { gateway: self.clone(), grant })
    }

    async fn open(&self, token: Option<String>, wsc: Option<String>) -> Opened {
        let now = clock::steady();
        let refuse = |code: &str, message: &str, close| {
            self.metrics.sockets.refused.inc();
            Opened::Refused(Box::new(Connection::refuse(&message_id(), code, message, close, now)))
        };
        let Some(token) = token.filter(|token| !token.is_empty()) else {
            return refuse(
                "WSG-401",
                "The address has no access_token; add the one of /restapi/oauth/wstoken",
                4400,
            );
        };
        let principal = match self.authenticate(&token).await {
            Ok(principal) => principal,
            Err(problem) => return refuse("WSG-401", problem.message(), 4401),
        };
        if let Err(problem) = principal.require(Scope::WebSocketsSubscription) {
            return refuse("WSG-401", problem.message(), 4401);
        }
        let grant = principal.grant;
        let digest = Digest::of(token.as_bytes()).prefix();
        let sequence = first_sequence();
        let handle = wsc.as_deref().map(|wsc| self.read_handle(wsc));
        let Ok(fresh) = secret::random::<8>() else {
            return refuse("WSG-500", "The server has no random numbers; connect again", 1011);
        };
        if let Some(Some(handle)) = &handle {
            self.fetch(handle).await;
        }
        let (attached, recovery) = {
            let mut table = self.table();
            if table.open_count() >= self.settings.connections_max {
                return refuse(
                    "CMN-201",
                    "The server has as many connections as it can; connect again later",
                    1013,
                );
            }
            if table.live_of(&grant) >= self.settings.connections_per_login_max {
                return refuse("CMN-301", "The login has as many connections as one may; close one", 1013);
            }
            let recovered = handle.map(|handle| {
                handle.ok_or(Lost::Empty).and_then(|handle| {
                    Ok((table.recover(handle, &grant, digest, sequence)?, handle.position))
                })
            });
            match recovered {
                Some(Ok((attached, position))) => ((attached, position), Some(Recovery::Successful)),
                other => {
                    let position = table.feed();
                    let attached =
                        table.open(u64::from_be_bytes(fresh), grant, digest, (clock::now(), sequence));
                    let lost = other.and_then(Result::err).map(|lost| Recovery::Failed(lost.code()));
                    ((attached, position), lost)
                }
            }
        };
        let (mut attached, position) = attached;
        self.count();
        match recovery {
            None => self.metrics.sockets.opened.inc(),
            Some(Recovery::Successful) => self.metrics.sockets.recovered.inc(),
            Some(Recovery::Failed(_)) => self.metrics.sockets.not_recovered.inc(),
        };
        let position = position.max(attached.told.as_ref().map_or(0, |told| told.start));
        let wsc = self.wsc(&mut attached, position);
        let recovery = recovery.filter(|_| rule::holds(rule::RECOVERY_STATE));
        let connection =
            Connection::open(self.limits(), &message_id(), &wsc, recovery, clock::wall(), clock::steady());
        Opened::Session { connection: Box::new(connection), attached, position }
    }

    /// Takes over the session of a handle that was made by another node, and waits until this node's copy
    /// of the log is as far as that was.
    async fn fetch(&self, handle: &Handle) {
        if self.cluster.is_none() {
            return;
        }
        if self.table().has(handle.session) {
            return;
        }
        let found = self.subscriptions.of_sockets().into_iter().find_map(|kept| match &kept.delivery {
            Delivery::WebSocket(socket) if socket.session == handle.session => {
                Some((kept.subscription, socket.clone()))
            }
            _ => None,
        });
        let Some((subscription, socket)) = found else { return };
        let mut events = self.store.follow_events();
        let known = events.wait_for(|&end| end >= handle.position);
        if tokio::time::timeout(FETCH_WITHIN, known).await.is_err() {
            return; // it is told that it cannot be gone on with
        }
        if let Err(error) = self.subscriptions.move_socket(subscription.id, &self.node).await {
            tracing::warn!(subscription.id = %subscription.id, %error, "a session of another node cannot be taken over");
            return;
        }
        let mut table = self.table();
        if !table.has(socket.session) {
            table.restore(socket.session, socket.grant, &subscription, socket.start, clock::now());
        }
    }

    /// Takes over what other nodes do with the sessions that this one has: they go on elsewhere, their
    /// subscriptions change, or are deleted.
    pub(crate) async fn follow_others(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        let mut changed = self.subscriptions.follow_sockets();
        loop {
            tokio::select! {
                changed = changed.recv() => match changed {
                    Ok((id, now)) => self.take_over(id, now),
                    Err(broadcast::error::RecvError::Lagged(_)) => self.take_over_all(),
                    Err(broadcast::error::RecvError::Closed) => return,
                },
                _ = stop.wait_for(|&stop| stop) => return,
            }
        }
    }

    /// Takes in all subscriptions as they are now: more have changed than were remembered.
    fn take_over_all(&self) {
        // In this order: one that is made meanwhile is known before it is told of.
        let told = self.table().told_of();
        let all = self.subscriptions.of_sockets();
        let known: HashSet<SubscriptionId> = all.iter().map(|kept| kept.subscription.id).collect();
        let gone = told.into_iter().filter(|id| !known.contains(id)).map(|id| (id, None));
        let there = all.into_iter().map(|kept| (kept.subscription.id, Some(kept)));
        gone.chain(there).for_each(|(id, now)| self.take_over(id, now));
    }

    fn take_over(&self, id: SubscriptionId, now: Option<StoredSubscription>) {
        let mut table = self.table();
        match now {
            Some(StoredSubscription { subscription, delivery: Delivery::WebSocket(socket), .. }) => {
                if socket.node == self.node {
                    table.update(&subscription);
                } else if table.has(socket.session) {
                    table.give_up(socket.session);
                }
            }
            Some(_) => {}
            None => table.unsubscribe(id),
        }
    }

    /// The subscriptions of sessions that nobody goes on with, because their node is gone for too long.
    fn orphans(&self, now: Instant) -> Vec<SubscriptionId> {
        let Some(cluster) = &self.cluster else { return Vec::new() };
        let view = cluster.view();
        let nodes = &view.nodes;
        let mut missing = self.missing.lock().unwrap_or_else(PoisonError::into_inner);
        missing.retain(|name, _| !nodes.contains_key(name));
        let mut orphans = Vec::new();
        for kept in self.subscriptions.of_sockets() {
            let Delivery::WebSocket(socket) = &kept.delivery else { continue };
            if nodes.contains_key(&socket.node) {
                continue;
            }
            let since = *missing.entry(socket.node.clone()).or_insert(now);
            let over = now.saturating_duration_since(since) > self.settings.recovery_time.0;
            let partition = Partition::of(kept.subscription.owner.account, self.store.partitions());
            if over && cluster.owns(partition) {
                orphans.push(kept.subscription.id);
            }
        }
        orphans
    }

    /// A handle that says how far a connection has come, with a sequence above those before.
    fn wsc(&self, attached: &mut Attached, position: u64) -> Wsc {
        let Attached { session, generation, .. } = *attached;
        let mut content = [0; 20];
        content[..8].copy_from_slice(&session.to_be_bytes());
        content[8..12].copy_from_slice(&generation.to_be_bytes());
        content[12..].copy_from_slice(&position.to_be_bytes());
        attached.sequence = attached.sequence.saturating_add(1);
        Wsc { token: self.key.mark(&content), sequence: attached.sequence }
    }

    fn read_handle(&self, token: &str) -> Option<Handle> {
        if token.len() > TOKEN_BYTES_MAX {
            return None;
        }
        let content = self.key.unmark(token)?;
        let (session, rest) = content.split_first_chunk()?;
        let (generation, rest) = rest.split_first_chunk()?;
        Some(Handle {
            session: u64::from_be_bytes(*session),
            generation: u32::from_be_bytes(*generation),
            position: u64::from_be_bytes(rest.try_into().ok()?),
        })
    }

    /// Follows the event log until told to stop, and looks after the sessions.
    pub async fn follow(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        let mut events = self.store.follow_events();
        let mut ends = self.oauth.follow_ends();
        let mut judged = self.subscriptions.follow_judgements();
        let mut sweep = tokio::time::interval(SWEEP_EVERY);
        sweep.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut write = tokio::time::interval(WRITE_SPANS_EVERY);
        write.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let end = *events.borrow_and_update();
            self.offer_until(end).await;
            let stopped = async { stop.wait_for(|&stop| stop).await.is_ok() };
            tokio::select! {
                biased;
                _ = stopped => break,
                changed = events.changed() => if changed.is_err() { break },
                _ = ends.changed() => self.end_grants().await,
                _ = judged.changed() => self.take_over_rights().await,
                _ = sweep.tick() => self.sweep().await,
                _ = write.tick() => self.write_spans().await,
            }
        }
        self.stopping.send_replace(true);
        self.table().cut_all(Cut::Stopping);
    }

    /// Offers the events up to this position.
    async fn offer_until(&self, end: u64) {
        loop {
            let feed = self.table().feed();
            if feed >= end {
                return;
            }
            let wants_changes = self.table().wants_changes();
            match self.read_with(feed, READ_EVENTS, wants_changes).await {
                Ok(read) if read.is_empty() => return,
                Ok(read) => {
                    let mut heard = 0;
                    let mut table = self.table();
                    if table.wants_changes() && !wants_changes {
                        continue; // somebody has subscribed to them meanwhile
                    }
                    for logged in &read {
                        heard += table.offer(logged);
                    }
                    drop(table);
                    self.metrics.socket_notifications.matched.inc_by(heard as u64);
                }
                Err(error) => {
                    tracing::warn!(%error, "the event log cannot be read");
                    tokio::time::sleep(SWEEP_EVERY).await;
                }
            }
        }
    }

    /// Closes the connections whose logins have ended.
    async fn end_grants(&self) {
        let grants = self.table().grants();
        for grant in grants {
            // A store that cannot be read ends nothing.
            if self.oauth.of_grant(grant.clone()).await.is_err_and(|problem| problem.status() == 401) {
                let ended = self.table().end_grant(&grant);
                self.delete(ended).await;
            }
        }
    }

    /// Takes over what the owners of subscriptions may hear of; who may hear of nothing is told so.
    async fn take_over_rights(&self) {
        let mut ended = Vec::new();
        {
            let mut table = self.table();
            for one in self.subscriptions.of_sockets() {
                if one.subscription.hearing.suspension.is_some() {
                    ended.extend(table.deny(one.subscription.id));
                } else {
                    table.update(&one.subscription);
                }
            }
        }
        self.delete(ended).await;
    }

    /// Writes down what connections were sent.
    pub async fn write_spans(&self) {
        let spans = self.spans.take();
        if spans.is_empty() {
            return;
        }
        let journal = Journal { attempts: Vec::new(), spans };
        if let Err(error) = self.store.record(Vec::new(), journal.clone()).await {
            tracing::warn!(%error, "what WebSockets were sent is not written down; it is tried again");
            self.spans.give_back(journal.spans);
        }
    }

    async fn sweep(&self) {
        let now = clock::now();
        let ended = self.table().sweep(now, self.settings.recovery_time.0, first_sequence());
        self.delete(ended).await;
        self.delete(self.orphans(now)).await;
        self.count();
    }

    /// Deletes the subscriptions of sessions that are gone.
    async fn delete(&self, ended: Vec<SubscriptionId>) {
        for id in ended {
            if let Err(error) = self.subscriptions.delete(id).await {
                tracing::warn!(subscription.id = %id, %error, "a subscription that has ended is still stored");
            }
        }
    }

    fn count(&self) {
        let table = self.table();
        self.metrics.sockets_open.set(i64::try_from(table.live()).unwrap_or(i64::MAX));
        self.metrics.gateway_sessions.set(i64::try_from(table.len()).unwrap_or(i64::MAX));
        self.metrics.gateway_subscriptions.set(i64::try_from(table.subscriptions()).unwrap_or(i64::MAX));
    }

    /// The name of this node; empty if the server is alone.
    pub fn node(&self) -> &str {
        &self.node
    }

    /// ActiveSubscription when the server stops.
    pub fn follow_stop(&self) -> watch::Receiver<bool> {
        self.stopping.subscribe()
    }

    /// Waits until all connections are closed, for so long at most.
    pub async fn close(&self, grace: Duration) {
        let closed = async {
            while self.table().live() > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(grace, closed).await.ok();
        self.write_spans().await;
    }

    /// Lets a session hear of what a subscription is for, in place of what it heard of before.
    pub fn subscribe(&self, session: u64, subscription: &Subscription) -> bool {
        let subscribed = self.table().subscribe(session, subscription).is_some();
        self.count();
        subscribed
    }

    /// The subscriptions of an owner whose connections are lost, and may come back. They do not count among those that
    /// one may have, so that a page that is loaded again and again can subscribe; of more than one may have, those that
    /// were lost first are given up.
    ///
    /// # Errors
    /// If the store refuses.
    pub async fn lost_of(&self, owner: &Owner) -> Result<HashSet<SubscriptionId>, StoreError> {
        let of_owner = self.subscriptions.of(owner);
        let mut lost: Vec<(Instant, SubscriptionId)> = {
            let table = self.table();
            let lost = |kept: StoredSubscription| match kept.delivery {
                Delivery::WebSocket(socket) if socket.node == self.node => {
                    Some((table.lost_since(socket.session)?, kept.subscription.id))
                }
                Delivery::WebSocket(_) | Delivery::WebHook(_) => None,
            };
            of_owner.into_iter().filter_map(lost).collect()
        };
        lost.sort_unstable();
        let too_many = lost.len().saturating_sub(self.subscriptions.per_owner_max());
        for (_, id) in lost.drain(..too_many) {
            self.unsubscribe(id);
            self.subscriptions.delete(id).await?;
        }
        Ok(lost.into_iter().map(|(_, id)| id).collect())
    }

    /// Returns `true` if a session has a connection.
    pub fn is_connected(&self, session: u64) -> bool {
        self.table().is_connected(session)
    }

    /// The subscription of a session.
    pub fn subscription_of(&self, session: u64) -> Option<SubscriptionId> {
        self.table().told(session).map(|told| told.id)
    }

    /// Takes over other filters of a subscription.
    pub fn update(&self, subscription: &Subscription) {
        self.table().update(subscription);
    }

    /// Lets nobody hear of a subscription any more.
    pub fn unsubscribe(&self, id: SubscriptionId) {
        self.table().unsubscribe(id);
        self.count();
    }

    fn told(&self, session: u64) -> Option<Arc<ActiveSubscription>> {
        self.table().told(session)
    }

    fn confirm(&self, session: u64, generation: u32) {
        self.table().confirm(session, generation);
    }

    fn detach(&self, session: u64, number: u64, sequence: u32) {
        self.table().detach(session, number, sequence, clock::now());
        self.spans.end(number);
        self.count();
    }

    fn catch_up(&self, session: u64, number: u64, position: u64) {
        self.table().catch_up(session, number, position);
    }

    fn slow_after(&self) -> Duration {
        self.settings.slow_after.0
    }

    fn note_slow(&self) {
        self.metrics.sockets.slow.inc();
    }

    fn note_sent(&self, sent: Option<Span>) {
        let Some(sent) = sent else { return };
        self.metrics.socket_notifications.sent.inc_by(sent.count);
        self.spans.note(sent);
    }

    /// Reads from the log, with the changes of calls if they are wanted.
    async fn read_with(&self, after: u64, limit: usize, changes: bool) -> Result<Vec<Logged>, StoreError> {
        let mut read = self.store.events_after(after, limit).await?;
        if changes {
            self.changes.attach(&mut read).await?;
        }
        Ok(read)
    }

    async fn read(&self, told: &ActiveSubscription, after: u64, limit: usize) -> Option<Vec<Logged>> {
        let read = self.read_with(after, limit, told.subscription.wants_changes()).await;
        read.inspect_err(|error| tracing::warn!(%error, "the event log cannot be read")).ok()
    }

    /// From where a session goes on that has missed what follows a position: as many notifications are sent
    /// again as are kept for a recovery, the newest.
    async fn recovery_start(&self, told: &ActiveSubscription, position: u64) -> u64 {
        let end = self.store.ends().events;
        if !rule::holds(rule::RECOVERY) {
            return end;
        }
        let mut newest: VecDeque<u64> = VecDeque::new();
        let (mut after, mut overflowed) = (position, 0_u64);
        let mut start = position;
        while after < end {
            let Some(read) = self.read(told, after, READ_EVENTS).await else { break };
            let Some(last) = read.last() else { break };
            after = last.position;
            for logged in read.iter().filter(|logged| told.subscription.matching(logged).is_some()) {
                newest.push_back(logged.position);
                if newest.len() > self.settings.recovery_messages
                    && let Some(oldest) = newest.pop_front()
                {
                    (start, overflowed) = (oldest, overflowed + 1);
                }
            }
        }
        self.metrics.socket_notifications.recovered.inc_by(newest.len() as u64);
        if overflowed > 0 {
            self.metrics.socket_notifications.overflowed.inc_by(overflowed);
            tracing::warn!(
                subscription.id = %told.id,
                overflowed,
                after = position,
                until = start,
                "a client was away for more notifications than websocket.recovery_messages; the oldest are not sent"
            );
        }
        start
    }

    /// Carries out a request that came over a WebSocket.
    async fn carry_out(&self, request: Request, caller: Caller) -> Answer {
        let Some(mut router) = self.router.get().cloned() else {
            return Answer::of(&Problem::unavailable("The server has just started; ask again"));
        };
        let made = match http_request(request, caller) {
            Ok(made) => made,
            Err(problem) => return Answer::of(&problem),
        };
        let Ok(response) = router.call(made).await;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        let text = String::from_utf8(body.into()).unwrap_or_default();
        let headers = parts.headers.iter();
        let headers = headers.filter_map(|(name, value)| {
            Some((shown_name(name)?.to_owned(), value.to_str().ok()?.to_owned()))
        });
        Answer {
            status: parts.status.as_u16(),
            headers: headers.collect(),
            // The body of every answer that has one is JSON.
            body: Some(text).filter(|text| !text.is_empty() && parts.status != StatusCode::NO_CONTENT),
        }
    }
}

impl Answer {
    fn of(problem: &Problem) -> Self {
        Self { status: problem.status(), headers: Vec::new(), body: Some(problem.body()) }
    }
}

/// The request of HTTP that says what a request over a WebSocket says.
fn http_request(request: Request, caller: Caller) -> Result<HttpRequest<Body>, Problem> {
    let Request { method, path, query, headers, body, .. } = request;
    let bad_path =
        || Problem::invalid("The path of the request cannot be used; give one that begins with /restapi/");
    let method = Method::from_bytes(method.to_ascii_uppercase().as_bytes())
        .map_err(|_| Problem::invalid("The method of the request is none; give GET, POST, PUT or DELETE"))?;
    if !path.starts_with("/restapi/") || path.starts_with("/restapi/oauth/") {
        return Err(bad_path());
    }
    let mut target = path;
    if !query.is_empty() {
        target.push(if target.contains('?') { '&' } else { '?' });
        target.push_str(&form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish());
    }
    let uri: Uri = target.parse().map_err(|_| bad_path())?;
    let mut made = HttpRequest::new(body.map_or_else(Body::empty, Body::from));
    *made.method_mut() = method;
    *made.uri_mut() = uri;
    for (name, value) in headers {
        let (Ok(name), Ok(value)) = (HeaderName::try_from(&name), HeaderValue::try_from(&value)) else {
            continue;
        };
        // Who asks is known, and how long the body is.
        if ![header::AUTHORIZATION, header::CONTENT_LENGTH, header::HOST, header::ORIGIN].contains(&name) {
            made.headers_mut().insert(name, value);
        }
    }
    made.headers_mut().entry(header::CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
    made.extensions_mut().insert(caller);
    Ok(made)
}

/// Returns how a header is written in answers over a WebSocket (contract websocket §6); none if it is not shown.
fn shown_name(name: &HeaderName) -> Option<&'static str> {
    Some(match name.as_str() {
        "content-type" => "Content-Type",
        "rcrequestid" => "RCRequestId",
        "retry-after" => "Retry-After",
        "routingkey" => "RoutingKey",
        "wsg-subscriptionid" => "WSG-SubscriptionId",
        "x-rate-limit-group" => "X-Rate-Limit-Group",
        "x-rate-limit-limit" => "X-Rate-Limit-Limit",
        "x-rate-limit-remaining" => "X-Rate-Limit-Remaining",
        "x-rate-limit-window" => "X-Rate-Limit-Window",
        _ => return None,
    })
}

/// The origin of an address, as browsers write it.
fn origin_of(url: &str) -> Option<String> {
    Some(url::Url::parse(url).ok()?.origin().ascii_serialization())
}

/// The message id of a frame that answers nothing: a UUID.
fn message_id() -> String {
    let bits = secret::random().map_or(0, u128::from_ne_bytes);
    SubscriptionId::from_bits(bits).to_string()
}
