//! The gateway sessions: whose they are, what they hear of, and which connection has each.
//!
//! Events are offered in the order of the log. A connection that does not take them has its queue filled,
//! and reads from the log what found no room, so that what it costs is bounded and nothing is lost.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use foldhash::fast::RandomState;
use futures_util::FutureExt as _;
use futures_util::future::Fuse;
use hookswitch_core::audience::{Audience, Listener};
use hookswitch_core::filter::{Projection, Projections};
use hookswitch_core::notification::{SERVER_ID, Subscriber};
use hookswitch_core::subscription::Subscription;
use hookswitch_core::websocket::SharedRest;
use hookswitch_model::{CallChange, Event, Logged, SubscriptionId};
use tokio::sync::{mpsc, oneshot};

/// The most events that wait for a connection in memory: half a MiB of usual ones, and as much again of what
/// is written of them, both of which are shared.
pub(super) const QUEUE_EVENTS_MAX: usize = 512;

/// Subscription that a session hears of.
pub(super) struct ActiveSubscription {
    pub(super) id: SubscriptionId,
    /// It hears of events behind this position of the log.
    pub(super) start: u64,
    pub(super) subscription: Subscription,
    pub(super) subscriber: Subscriber,
}

/// An event that is due to a connection.
#[derive(Clone)]
pub(super) struct Queued {
    pub(super) subscription: SubscriptionId,
    pub(super) position: u64,
    /// The notifications of it, in their order.
    pub(super) projections: Projections,
    pub(super) event: Arc<Event>,
    pub(super) change: Option<Arc<CallChange>>,
    pub(super) rests: Arc<Rests>,
}

/// What the notifications of an event's party have in common for all subscribers, written when the first is sent:
/// without and with `sipData`.
#[derive(Default)]
pub(super) struct Rests([OnceLock<Option<SharedRest>>; 2]);

impl Rests {
    /// The one that a projection wants, which `write` appends if nobody has yet; none for the calls of extensions.
    pub(super) fn of(&self, projection: Projection, write: impl FnOnce(&mut Vec<u8>)) -> Option<&SharedRest> {
        let Projection::Session { sip_data } = projection else { return None };
        self.0[usize::from(sip_data)].get_or_init(|| SharedRest::of(write)).as_ref()
    }
}

impl Queued {
    /// An event with the notifications that a subscription receives of it, and what others receive like it.
    pub(super) fn new(
        subscription: SubscriptionId,
        logged: &Logged,
        projections: Projections,
        rests: Arc<Rests>,
    ) -> Self {
        let Logged { position, event, change, .. } = logged.clone();
        Self { subscription, position, projections, event, change, rests }
    }
}

/// Reason why a connection is closed by others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// Another connection has the session, or the token, now.
    Replaced,
    /// The login has ended.
    Revoked,
    /// The user, or the application, may hear of nothing any more.
    Denied,
    /// The server stops.
    Stopping,
}

/// A connection, as others see it.
struct Live {
    number: u64,
    /// Token by which the connection is known.
    token: [u8; 16],
    queue: mpsc::Sender<Queued>,
    cut: Option<oneshot::Sender<Cut>>,
    /// Set while it reads from the log, and not from its queue.
    behind: Arc<AtomicBool>,
    /// Set when the session hears of something else than the connection knows.
    retold: Arc<AtomicBool>,
}

struct Session {
    grant: Arc<str>,
    told: Option<Arc<ActiveSubscription>>,
    live: Option<Live>,
    /// Time when its connection was lost.
    left: Instant,
    /// Counts its connections; the handles that are given out name it.
    generation: u32,
    /// The last of which the client has shown that it knows it: older handles are good no longer.
    confirmed: u32,
}

impl Session {
    /// Lets its connection look up again what it hears of.
    fn retell(&self) {
        if let Some(live) = &self.live {
            live.retold.store(true, Ordering::Release);
        }
    }
}

/// Hold of a connection on its session.
pub(super) struct Attached {
    pub(super) session: u64,
    pub(super) number: u64,
    pub(super) generation: u32,
    pub(super) queue: mpsc::Receiver<Queued>,
    pub(super) cut: Fuse<oneshot::Receiver<Cut>>,
    pub(super) behind: Arc<AtomicBool>,
    pub(super) grant: Arc<str>,
    /// The sequence of its last handle: the next has a higher one.
    pub(super) sequence: u32,
    pub(super) told: Option<Arc<ActiveSubscription>>,
    /// Set when what it is told has changed: `told` is to be looked up again.
    pub(super) retold: Arc<AtomicBool>,
}

/// The handle of a session, as its token says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Handle {
    pub(super) session: u64,
    pub(super) generation: u32,
    /// All events up to this position were sent when it was made.
    pub(super) position: u64,
}

/// Reason why a session cannot be gone on with (contract websocket §7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lost {
    /// It belongs to another login.
    Foreign,
    /// It is not there any more, or has no subscription.
    Empty,
}

impl Lost {
    pub(super) const fn code(self) -> &'static str {
        match self {
            Self::Foreign => "WSG-1003",
            Self::Empty => "WSG-1005",
        }
    }
}

/// State that the sessions of a login have in common.
#[derive(Default)]
struct Login {
    /// Number of connections that it has, streams of server-sent events among them.
    live: usize,
    /// The highest sequence of a handle that it was given.
    sequence: u32,
}

/// All gateway sessions.
pub(super) struct Table {
    sessions: HashMap<u64, Session, RandomState>,
    by_subscription: HashMap<SubscriptionId, u64, RandomState>,
    by_token: HashMap<[u8; 16], u64, RandomState>,
    audience: Audience,
    /// Events up to this position were offered.
    feed: u64,
    connections: u64,
    /// Number of connections that are open.
    live: usize,
    /// How many streams of server-sent events are.
    streams: usize,
    logins: HashMap<Arc<str>, Login, RandomState>,
    listeners: Vec<Listener>,
}

impl Table {
    /// Of a log that ends there.
    pub(super) fn new(feed: u64) -> Self {
        Self {
            sessions: HashMap::default(),
            by_subscription: HashMap::default(),
            by_token: HashMap::default(),
            audience: Audience::default(),
            feed,
            connections: 0,
            live: 0,
            streams: 0,
            logins: HashMap::default(),
            listeners: Vec::new(),
        }
    }

    pub(super) const fn feed(&self) -> u64 {
        self.feed
    }

    pub(super) const fn live(&self) -> usize {
        self.live
    }

    /// Returns the number of connections that are open, streams of server-sent events among them.
    pub(super) const fn open_count(&self) -> usize {
        self.live + self.streams
    }

    /// Counts a stream of server-sent events of a login.
    pub(super) fn begin_stream(&mut self, grant: Arc<str>) {
        self.streams += 1;
        self.logins.entry(grant).or_default().live += 1;
    }

    /// Notes that such a stream has ended.
    pub(super) fn end_stream(&mut self, grant: &str) {
        self.streams -= 1;
        if let Some(login) = self.logins.get_mut(grant) {
            login.live -= 1;
        }
    }

    pub(super) fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Returns `true` if any session hears of changes of the calls of extensions.
    pub(super) fn wants_changes(&self) -> bool {
        self.audience.wants_changes()
    }

    /// Returns how many sessions hear of something.
    pub(super) fn subscriptions(&self) -> usize {
        self.by_subscription.len()
    }

    /// Returns the number of connections that a login has.
    pub(super) fn live_of(&self, grant: &str) -> usize {
        self.logins.get(grant).map_or(0, |login| login.live)
    }

    /// Puts a session back that was there before the server stopped.
    pub(super) fn restore(
        &mut self,
        id: u64,
        grant: Arc<str>,
        subscription: &Subscription,
        start: u64,
        now: Instant,
    ) {
        let session = Session { grant, told: None, live: None, left: now, generation: 0, confirmed: 0 };
        self.sessions.insert(id, session);
        self.tell(id, subscription, start);
    }

    /// Returns `true` if a session is here.
    pub(super) fn has(&self, id: u64) -> bool {
        self.sessions.contains_key(&id)
    }

    /// Forgets a session with which another node goes on.
    pub(super) fn give_up(&mut self, id: u64) {
        self.cut(id, Cut::Replaced);
        self.forget(id);
    }

    /// Gives a connection a new session.
    pub(super) fn open(
        &mut self,
        id: u64,
        grant: Arc<str>,
        token: [u8; 16],
        (now, sequence): (Instant, u32),
    ) -> Attached {
        let session = Session { grant, told: None, live: None, left: now, generation: 0, confirmed: 0 };
        self.sessions.insert(id, session);
        self.attach(id, 1, token, sequence)
    }

    /// Gives a connection the session of a handle; what was sent after the handle was made is read from the log.
    pub(super) fn recover(
        &mut self,
        handle: Handle,
        grant: &str,
        token: [u8; 16],
        sequence: u32,
    ) -> Result<Attached, Lost> {
        let session = self.sessions.get(&handle.session).ok_or(Lost::Empty)?;
        if *session.grant != *grant {
            return Err(Lost::Foreign);
        }
        if session.told.is_none() || handle.generation < session.confirmed {
            return Err(Lost::Empty);
        }
        let generation = session.generation.max(handle.generation).saturating_add(1);
        let attached = self.attach(handle.session, generation, token, sequence);
        attached.behind.store(true, Ordering::Release);
        Ok(attached)
    }

    /// `sequence` is the least that its handles may have.
    fn attach(&mut self, id: u64, generation: u32, token: [u8; 16], sequence: u32) -> Attached {
        // A token is good for one connection at a time, and a session too: the newest wins.
        if let Some(&other) = self.by_token.get(&token) {
            self.cut(other, Cut::Replaced);
        }
        self.cut(id, Cut::Replaced);
        self.connections += 1;
        let number = self.connections;
        let (queue, receiver) = mpsc::channel(QUEUE_EVENTS_MAX);
        let (cut, cut_receiver) = oneshot::channel();
        let behind = Arc::new(AtomicBool::new(false));
        let retold = Arc::new(AtomicBool::new(false));
        let live =
            Live { number, token, queue, cut: Some(cut), behind: behind.clone(), retold: retold.clone() };
        self.by_token.insert(token, id);
        let session = self.sessions.get_mut(&id).expect("the session was found or made");
        session.generation = generation;
        let login = self.logins.entry(session.grant.clone()).or_default();
        if session.live.replace(live).is_none() {
            self.live += 1;
            login.live += 1;
        }
        Attached {
            session: id,
            number,
            generation,
            queue: receiver,
            cut: cut_receiver.fuse(),
            behind,
            grant: session.grant.clone(),
            sequence: login.sequence.max(sequence),
            told: session.told.clone(),
            retold,
        }
    }

    /// Notes that a connection has ended. A session without a subscription is gone with it.
    pub(super) fn detach(&mut self, id: u64, number: u64, sequence: u32, now: Instant) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        if let Some(login) = self.logins.get_mut(&session.grant) {
            login.sequence = login.sequence.max(sequence);
        }
        let Some(live) = session.live.take_if(|live| live.number == number) else { return };
        self.live -= 1;
        if let Some(login) = self.logins.get_mut(&session.grant) {
            login.live -= 1;
        }
        session.left = now;
        if self.by_token.get(&live.token) == Some(&id) {
            self.by_token.remove(&live.token);
        }
        if session.told.is_none() {
            self.sessions.remove(&id);
        }
    }

    /// Notes that a client has read a handle of this generation.
    pub(super) fn confirm(&mut self, id: u64, generation: u32) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.confirmed = session.confirmed.max(generation);
        }
    }

    fn cut(&mut self, id: u64, why: Cut) {
        let live = self.sessions.get_mut(&id).and_then(|session| session.live.as_mut());
        if let Some(cut) = live.and_then(|live| live.cut.take()) {
            cut.send(why).ok(); // it has ended itself
        }
    }

    /// Closes all connections.
    pub(super) fn cut_all(&mut self, why: Cut) {
        for id in self.sessions.keys().copied().collect::<Vec<_>>() {
            self.cut(id, why);
        }
    }

    /// The logins that have sessions.
    pub(super) fn grants(&self) -> std::collections::BTreeSet<Arc<str>> {
        self.sessions.values().map(|session| session.grant.clone()).collect()
    }

    /// Closes the connections of a login that has ended, and gives the subscriptions that end with it.
    pub(super) fn end_grant(&mut self, grant: &str) -> Vec<SubscriptionId> {
        let of = |session: &Session| *session.grant == *grant;
        let ids: Vec<u64> =
            self.sessions.iter().filter(|(_, session)| of(session)).map(|(&id, _)| id).collect();
        let mut ended = Vec::new();
        for id in ids {
            self.cut(id, Cut::Revoked);
            ended.extend(self.forget(id));
        }
        ended
    }

    /// Returns what a session hears of.
    /// Whether a session has a connection.
    pub(super) fn is_connected(&self, id: u64) -> bool {
        self.sessions.get(&id).is_some_and(|session| session.live.is_some())
    }

    /// Returns the time when a session lost its connection; none while it has one.
    pub(super) fn lost_since(&self, id: u64) -> Option<Instant> {
        self.sessions.get(&id).filter(|session| session.live.is_none()).map(|session| session.left)
    }

    pub(super) fn told(&self, id: u64) -> Option<Arc<ActiveSubscription>> {
        self.sessions.get(&id)?.told.clone()
    }

    /// Lets a session hear of what a subscription is for, from now on, and gives from where; none if it has ended
    /// meanwhile.
    pub(super) fn subscribe(&mut self, id: u64, subscription: &Subscription) -> Option<u64> {
        let feed = self.feed;
        self.sessions.contains_key(&id).then(|| {
            self.tell(id, subscription, feed);
            feed
        })
    }

    fn tell(&mut self, id: u64, subscription: &Subscription, start: u64) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let owner = subscription.owner.extension;
        let subscriber = Subscriber::new(subscription.id, owner, SERVER_ID);
        let told =
            ActiveSubscription { id: subscription.id, start, subscription: subscription.clone(), subscriber };
        if let Some(old) = session.told.replace(Arc::new(told)) {
            self.audience.remove(old.id);
            self.by_subscription.remove(&old.id);
        }
        session.retell();
        self.audience.insert(subscription);
        self.by_subscription.insert(subscription.id, id);
    }

    /// Takes over other filters and other rights.
    pub(super) fn update(&mut self, subscription: &Subscription) {
        let Some(&id) = self.by_subscription.get(&subscription.id) else { return };
        let told = self.sessions.get(&id).and_then(|session| session.told.as_ref());
        if told.is_some_and(|told| told.subscription == *subscription) {
            return;
        }
        let start = told.map(|told| told.start);
        self.tell(id, subscription, start.unwrap_or(self.feed));
    }

    /// Closes the connection of a subscription whose owner may hear of nothing any more, and gives the subscription
    /// if it ends with that.
    pub(super) fn deny(&mut self, subscription: SubscriptionId) -> Option<SubscriptionId> {
        let id = *self.by_subscription.get(&subscription)?;
        self.cut(id, Cut::Denied);
        self.forget(id)
    }

    /// The subscriptions of which sessions are told.
    pub(super) fn told_of(&self) -> Vec<SubscriptionId> {
        self.by_subscription.keys().copied().collect()
    }

    /// Lets the session of a subscription hear of nothing any more.
    pub(super) fn unsubscribe(&mut self, subscription: SubscriptionId) {
        let Some(id) = self.by_subscription.remove(&subscription) else { return };
        self.audience.remove(subscription);
        let Some(session) = self.sessions.get_mut(&id) else { return };
        session.told.take_if(|told| told.id == subscription);
        session.retell();
        if session.live.is_none() {
            self.sessions.remove(&id);
        }
    }

    /// Removes a session, and gives its subscription.
    fn forget(&mut self, id: u64) -> Option<SubscriptionId> {
        let session = self.sessions.get_mut(&id)?;
        let told = session.told.take();
        session.retell();
        if session.live.is_none() {
            self.sessions.remove(&id);
        }
        let told = told?.id;
        self.audience.remove(told);
        self.by_subscription.remove(&told);
        Some(told)
    }

    /// Takes the next event of the log, and gives how many sessions hear of it.
    pub(super) fn offer(&mut self, logged: &Logged) -> usize {
        self.feed = logged.position;
        let mut listeners = std::mem::take(&mut self.listeners);
        self.audience.find(logged, &mut listeners);
        let (mut heard, rests) = (0, Arc::default());
        for Listener { subscription, projections } in listeners.drain(..) {
            heard += projections.len();
            let id = self.by_subscription.get(&subscription);
            let Some(session) = id.and_then(|id| self.sessions.get_mut(id)) else { continue };
            let Some(live) = &mut session.live else { continue };
            if live.behind.load(Ordering::Acquire) {
                continue;
            }
            let queued = Queued::new(subscription, logged, projections, Arc::clone(&rests));
            if live.queue.try_send(queued).is_err() {
                live.behind.store(true, Ordering::Release);
            }
        }
        self.listeners = listeners;
        heard
    }

    /// Lets a connection that has read the log up to a position go on with its queue, if that is all there is.
    pub(super) fn catch_up(&mut self, id: u64, number: u64, position: u64) -> bool {
        let live = self.sessions.get_mut(&id).and_then(|session| session.live.as_mut());
        let Some(live) = live.filter(|live| live.number == number) else { return false };
        if self.feed > position {
            return false;
        }
        live.behind.store(false, Ordering::Release);
        true
    }

    /// Removes the sessions whose connections were lost so long ago that they cannot be gone on with, and gives
    /// their subscriptions.
    pub(super) fn sweep(&mut self, now: Instant, recovery: Duration, sequence: u32) -> Vec<SubscriptionId> {
        // A login is forgotten when new sessions begin above all that it was given.
        self.logins.retain(|_, login| login.live > 0 || login.sequence >= sequence);
        let over = |session: &Session| {
            session.live.is_none() && now.saturating_duration_since(session.left) > recovery
        };
        let ids: Vec<u64> =
            self.sessions.iter().filter(|(_, session)| over(session)).map(|(&id, _)| id).collect();
        ids.into_iter().filter_map(|id| self.forget(id)).collect()
    }
}
