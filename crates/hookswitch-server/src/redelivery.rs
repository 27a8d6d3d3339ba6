//! Redeliveries: events of the log that are sent again on request, beside the ordinary deliveries.
//!
//! Each is a document and, while it runs, a task. What it has sent is written down together with the
//! attempts, so that it goes on behind that after a restart.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use foldhash::fast::RandomState;
use hookswitch_core::delivery::Outcome;
use hookswitch_core::delivery::redelivery::{Schedule, Spacing, Step};
use hookswitch_core::filter::{EventFilter, Own, Projection};
use hookswitch_core::notification::{SERVER_ID, Subscriber};
use hookswitch_core::subscription::{Hearing, Owner, Subscription, SubscriptionStatus, Transport};
use hookswitch_model::{
    AccountId, Event, ExtensionId, Logged, SubscriptionId, TelephonySessionId, Timestamp,
};
use hookswitch_store::{
    Attempt, Change, Changed, DocumentUpdate, Expected, Journal, Partition, REDELIVERY, Reader, Store,
    StoreError,
};
use hyper::header::HeaderValue;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::call_changes::CallChanges;
use crate::clock;
use crate::scans::Scans;
use crate::secret::{self, Digest, Key};
use crate::subscriptions::{Delivery, StoredSubscription, Subscriptions, WebHook, parse_id};
use crate::webhook::{Endpoint, Sent, Webhooks, masked};

/// The most that run at once.
const RUNNING_MAX: usize = 16;

/// The most that are kept when they have ended.
const KEPT_MAX: usize = 1000;

/// The most events that are looked at to find those that are sent.
pub const SCANNED_MAX: u64 = 1_000_000;

/// Number of events that are read at once.
const EVENTS_AT_ONCE: usize = 200;

/// Interval at which progress is written at most: a crash sends again what was taken in this time.
const SAVE_EVERY: Duration = Duration::from_millis(20);

/// Time to wait after a read or a write that failed.
const PAUSE: Duration = Duration::from_millis(500);

/// State of a redelivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = RedeliveryState)]
pub enum JobState {
    /// It goes on.
    Running,
    /// All was taken.
    Done,
    /// An event was not taken after some attempts; it can be resumed there.
    Failed,
    /// Somebody has ended it; it can be resumed.
    Cancelled,
}

/// Selection of events that are sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Selection {
    /// The one at this position.
    Event(u64),
    /// All of a session.
    Session(String),
    /// All between two positions, these included.
    Range(u64, u64),
}

/// A redelivery as it is stored. Times are microseconds since 1970.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Job {
    /// The account of the events.
    pub account: u64,
    /// Subscription whose notifications are sent.
    pub subscription: Option<String>,
    /// Address that they go to, if not that of the subscription: encrypted by [`Redeliveries::seal`], or as earlier
    /// versions have stored it.
    pub address: Option<String>,
    /// The same for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shown_address: Option<String>,
    /// Filters of what is sent, without a subscription.
    pub filters: Vec<String>,
    /// Selection of events that are sent.
    pub selection: Selection,
    /// Set if the pauses between them are as they were.
    pub original_spacing: bool,
    /// Time when it was asked for.
    pub created: i64,
    /// Time when it ended.
    pub finished: Option<i64>,
    /// State of a redelivery.
    pub state: JobState,
    /// Findings when it was asked for.
    pub found: Found,
    /// All events up to this position were taken.
    pub position: u64,
    /// Attempts that were made.
    pub sent: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Events that their receiver has taken.
    pub delivered: u64,
    /// Reason why the last failed attempt did.
    pub last_error: Option<String>,
    /// The event at which it stopped.
    pub failed_event: Option<String>,
}

/// The events that a redelivery is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// Number of notifications.
    pub count: u64,
    /// Of how many sessions they are.
    pub sessions: u64,
    /// The first, with its position and its id.
    pub first: Option<(u64, String)>,
    /// The last, likewise.
    pub last: Option<(u64, String)>,
}

/// The id of an event.
pub fn event_id(event: &Event) -> String {
    format!("{}:{}", event.session.id, event.sequence)
}

/// Reason why a redelivery is not begun.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// Too many are under way.
    #[error("there are {RUNNING_MAX} redeliveries under way; wait for one, or cancel one")]
    TooMany,
    /// It has not stopped.
    #[error("the redelivery is under way or done; only one that has failed or was cancelled is resumed")]
    NotStopped,
    /// The store refuses.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// All redeliveries.
pub struct Redeliveries {
    store: Store,
    changes: Arc<CallChanges>,
    scans: Scans,
    /// Encrypts addresses.
    key: Key,
    subscriptions: Arc<Subscriptions>,
    webhooks: Webhooks,
    /// Switches that end each that is under way; closed when it has ended.
    running: Mutex<HashMap<String, watch::Sender<bool>>>,
    /// The partitions whose accounts are served here, and what stops those.
    served: Mutex<HashMap<Partition, watch::Sender<bool>>>,
}

/// Whom notifications are for and what they are about.
struct Target {
    endpoint: Endpoint,
    /// Under whom attempts are written down.
    journalled: SubscriptionId,
    subscriber: Subscriber,
    /// What is sent of each event.
    subscription: Subscription,
}

impl Job {
    /// The subscription whose notifications are sent, as its owner may hear of events now; one for the whole account,
    /// with the job's own filters, if it is for nobody's.
    fn subscription(&self, kept: Option<&StoredSubscription>) -> Result<Subscription, String> {
        if let Some(kept) = kept {
            let subscription = &kept.subscription;
            if let Some(suspension) = &subscription.hearing.suspension {
                return Err(format!("the subscription is suspended: {}", suspension.reason));
            }
            if subscription.paused.is_some() {
                return Err("an operator has paused the subscription".to_owned());
            }
            return Ok(subscription.clone());
        }
        let account = AccountId::new(self.account);
        let own = Own { account, extension: ExtensionId::new(self.account) };
        let filters = self.filters.iter().map(|text| EventFilter::parse(text, own));
        let filters = filters.collect::<Result<_, _>>().map_err(|error| error.to_string())?;
        let created = Timestamp::from_micros(self.created);
        Ok(Subscription {
            id: SubscriptionId::from_bits(0),
            owner: Owner {
                account,
                extension: own.extension,
                client_id: Box::default(),
                generation: Box::default(),
            },
            transport: Transport::WebHook,
            filters,
            created,
            lifetime: Duration::MAX,
            expires: created,
            standing: SubscriptionStatus::Active,
            paused: None,
            hearing: Hearing { whole_account: true, ..Hearing::default() },
        })
    }

    /// The next events behind a position, those that are meant and others.
    fn read(&self, after: u64, reader: &Reader) -> Result<Vec<Logged>, StoreError> {
        match &self.selection {
            Selection::Event(position) => {
                if after >= *position {
                    Ok(Vec::new())
                } else {
                    reader.events_at(&[*position])
                }
            }
            Selection::Session(id) => {
                let Some(id) = TelephonySessionId::parse(id) else { return Ok(Vec::new()) };
                let mut events = reader.events_of(id)?;
                events.retain(|logged| logged.position > after);
                Ok(events)
            }
            Selection::Range(first, last) => {
                let mut events = reader.events_after(after.max(first.saturating_sub(1)), EVENTS_AT_ONCE)?;
                events.retain(|logged| logged.position <= *last);
                Ok(events)
            }
        }
    }

    fn change(&self, id: &str) -> Change {
        let content = serde_json::to_string(self).expect("a job is JSON");
        Change { kind: REDELIVERY.into(), id: id.to_owned(), expected: Expected::Any, content: Some(content) }
    }

    fn finish(&mut self, state: JobState) {
        self.state = state;
        self.finished = Some(clock::wall().as_micros());
    }
}

impl Redeliveries {
    /// The redeliveries of a store; those that were under way go on with [`Redeliveries::start`].
    pub fn new(
        (store, changes, scans): (Store, Arc<CallChanges>, Scans),
        key: Key,
        subscriptions: Arc<Subscriptions>,
        webhooks: Webhooks,
    ) -> Arc<Self> {
        let (running, served) = (Mutex::default(), Mutex::default());
        Arc::new(Self { store, changes, scans, key, subscriptions, webhooks, running, served })
    }

    /// An address as jobs have it: encrypted, because what stands in its path or query may be a secret.
    ///
    /// # Errors
    /// If the operating system has no random bytes.
    pub fn seal(&self, address: &str) -> anyhow::Result<String> {
        self.key.encrypt(address)
    }

    /// The address of a job, if it has one of its own that can be read.
    pub fn address_of(&self, job: &Job) -> Option<String> {
        let stored = job.address.as_deref()?;
        if stored.contains("://") { Some(stored.to_owned()) } else { self.key.decrypt(stored) }
    }

    fn served(&self) -> std::sync::MutexGuard<'_, HashMap<Partition, watch::Sender<bool>>> {
        self.served.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn partition(&self, job: &Job) -> Partition {
        Partition::of(AccountId::new(job.account), self.store.partitions())
    }

    /// Stops those of a partition; another node goes on with them.
    pub fn stop(&self, partition: Partition) {
        if let Some(stop) = self.served().remove(&partition) {
            stop.send_replace(true);
        }
    }

    /// Takes over what other nodes begin and cancel, until told to stop.
    pub async fn follow(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        let mut changed = self.store.follow_documents();
        while let Some(told) = changed.next_until(&mut stop).await {
            match told {
                DocumentUpdate::One(Changed { kind, id, .. }) if kind == REDELIVERY => {
                    self.take_over(id).await;
                }
                DocumentUpdate::One(_) => {}
                DocumentUpdate::Any => {
                    let all = self.store.read_async(|reader| reader.documents(REDELIVERY)).await;
                    for document in all.unwrap_or_default() {
                        self.take_over(document.id).await;
                    }
                }
            }
        }
    }

    /// Begins or ends one as the store has it.
    async fn take_over(self: &Arc<Self>, id: String) {
        let running = self.lock().get(&id).cloned();
        match (self.job(&id).await, running) {
            (Some(job), None) if job.state == JobState::Running => self.spawn(id, job),
            (Some(job), Some(running)) if job.state == JobState::Cancelled => {
                running.send_replace(true);
            }
            _ => {}
        }
    }

    /// One as the store has it, if that can be read.
    async fn job(&self, id: &str) -> Option<Job> {
        let key = id.to_owned();
        let found = self.store.read_async(move |reader| reader.document(REDELIVERY, &key)).await;
        serde_json::from_str(&found.ok()??.content).ok()
    }

    /// Goes on with what was under way for a partition, and serves it from now on.
    pub fn start(self: &Arc<Self>, partition: Partition) {
        self.served().insert(partition, watch::Sender::new(false));
        let documents = match self.store.read(|reader| reader.documents(REDELIVERY)) {
            Ok(documents) => documents,
            Err(error) => return tracing::error!(%error, "redeliveries do not go on"),
        };
        for document in documents {
            match serde_json::from_str::<Job>(&document.content) {
                Ok(job) if job.state == JobState::Running && self.partition(&job) == partition => {
                    self.spawn(document.id, job);
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::error!(redelivery.id = document.id, %error, "a redelivery cannot be read");
                }
            }
        }
    }

    /// Finds the events that a redelivery would be about.
    ///
    /// # Errors
    /// A sentence for who asks, or the store.
    pub async fn preview(&self, job: &Job) -> Result<Found, PreviewError> {
        let kept = self.kept(job)?;
        let subscription = job.subscription(kept.as_ref()).map_err(PreviewError::Said)?;
        let mut found = Found::default();
        let mut sessions: HashSet<TelephonySessionId, RandomState> = HashSet::default();
        let mut position = 0;
        loop {
            let _turn = self.scans.turn().await;
            let events = self.read(job, &subscription, position).await?;
            let Some(last) = events.last() else { break };
            position = last.position;
            for logged in &events {
                let Some(projections) = subscription.matching(logged) else { continue };
                let named = (logged.position, event_id(&logged.event));
                found.count += projections.len() as u64;
                sessions.insert(logged.event.session.id);
                found.first.get_or_insert_with(|| named.clone());
                found.last = Some(named);
            }
        }
        found.sessions = sessions.len() as u64;
        Ok(found)
    }

    /// Reads the next events of a job behind a position, with the changes of calls if its subscription hears of them.
    async fn read(
        &self,
        job: &Job,
        subscription: &Subscription,
        position: u64,
    ) -> Result<Vec<Logged>, StoreError> {
        let job = job.clone();
        let mut read = self.store.read_async(move |reader| job.read(position, reader)).await?;
        if subscription.wants_changes() {
            self.changes.attach(&mut read).await?;
        }
        Ok(read)
    }

    /// The subscription of a job.
    fn kept(&self, job: &Job) -> Result<Option<StoredSubscription>, PreviewError> {
        let Some(text) = &job.subscription else { return Ok(None) };
        let kept = parse_id(text).and_then(|id| self.subscriptions.get(id));
        kept.map(Some).ok_or_else(|| PreviewError::Said("the subscription is there no longer".to_owned()))
    }

    /// Begins a redelivery, and gives its id.
    ///
    /// # Errors
    /// If there are too many, or the store refuses.
    pub async fn begin(self: &Arc<Self>, job: Job) -> Result<String, JobError> {
        if self.lock().len() >= RUNNING_MAX {
            return Err(JobError::TooMany);
        }
        let random = secret::random().map_err(|error| StoreError::Failing(error.to_string().into()))?;
        let id = format!("{:016x}", u64::from_ne_bytes(random));
        let mut changes = vec![job.change(&id)];
        changes.extend(self.forget().await?);
        self.store.change(changes).await?;
        self.spawn(id.clone(), job);
        Ok(id)
    }

    /// The changes that forget those that have ended long ago, when there are many.
    async fn forget(&self) -> Result<Vec<Change>, StoreError> {
        let mut ended: Vec<(i64, String)> = self
            .store
            .read_async(|reader| reader.documents(REDELIVERY))
            .await?
            .into_iter()
            .filter_map(|document| {
                let job: Job = serde_json::from_str(&document.content).ok()?;
                (job.state != JobState::Running).then_some((job.created, document.id))
            })
            .collect();
        ended.sort();
        let many = ended.len().saturating_sub(KEPT_MAX);
        let gone = |(_, id)| Change { kind: REDELIVERY.into(), id, expected: Expected::Any, content: None };
        Ok(ended.into_iter().take(many).map(gone).collect())
    }

    /// Lets one go on that has failed or was cancelled.
    ///
    /// # Errors
    /// If it has not, or too many are under way.
    pub async fn resume(self: &Arc<Self>, id: &str, mut job: Job) -> Result<(), JobError> {
        let stopped = matches!(job.state, JobState::Failed | JobState::Cancelled);
        if !stopped || self.lock().contains_key(id) {
            return Err(JobError::NotStopped);
        }
        if self.lock().len() >= RUNNING_MAX {
            return Err(JobError::TooMany);
        }
        (job.state, job.finished, job.failed_event) = (JobState::Running, None, None);
        self.store.change(vec![job.change(id)]).await?;
        self.spawn(id.to_owned(), job);
        Ok(())
    }

    /// Ends one if it is under way, once its request has ended.
    pub async fn cancel(&self, id: &str) {
        let running = self.lock().get(id).cloned();
        if let Some(running) = running {
            running.send_replace(true);
            running.closed().await;
            return;
        }
        // Another node may have it under way; it finds this in the store.
        if let Some(mut job) = self.job(id).await.filter(|job| job.state == JobState::Running) {
            job.finish(JobState::Cancelled);
            if let Err(error) = self.store.change(vec![job.change(id)]).await {
                tracing::warn!(redelivery.id = id, %error, "it could not be cancelled");
            }
        }
    }

    /// Stops all, and waits for the requests that are under way: the server stops.
    pub async fn close(&self) {
        for (_, stop) in self.served().drain() {
            stop.send_replace(true);
        }
        let running: Vec<_> = self.lock().values().cloned().collect();
        for running in running {
            running.closed().await;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, watch::Sender<bool>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins one, if this node serves its account; else the node that does finds it in the store.
    fn spawn(self: &Arc<Self>, id: String, job: Job) {
        let Some(stop) = self.served().get(&self.partition(&job)).map(watch::Sender::subscribe) else {
            return;
        };
        let (cancel, cancelled) = watch::channel(false);
        match self.lock().entry(id.clone()) {
            Entry::Occupied(_) => return, // it was found in the store
            Entry::Vacant(entry) => entry.insert(cancel),
        };
        let all = self.clone();
        tokio::spawn(async move {
            let _ending = Ending { all: &all, id: &id, _cancelled: cancelled.clone() };
            all.run(&id, job, cancelled, stop).await;
        });
    }

    /// Sends what there is to send, until it is done, fails, or is ended.
    async fn run(&self, id: &str, job: Job, cancelled: watch::Receiver<bool>, stop: watch::Receiver<bool>) {
        let mut run = Run { all: self, id, job, journal: Vec::new(), saved: clock::now(), cancelled, stop };
        let end = match run.target() {
            Ok(target) => run.send_all(target).await,
            Err(error) => {
                run.job.last_error = Some(error);
                End::State(JobState::Failed)
            }
        };
        if let End::State(state) = end {
            run.job.finish(state);
            tracing::info!(
                redelivery.id = id,
                ?state,
                delivered = run.job.delivered,
                "a redelivery has ended"
            );
        }
        run.save(true).await;
    }
}

/// Takes one from those under way when it ends, also by a panic; who waits for that sees it then.
struct Ending<'a> {
    all: &'a Redeliveries,
    id: &'a str,
    _cancelled: watch::Receiver<bool>,
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.all.lock().remove(self.id);
    }
}

/// Reason why a redelivery cannot be previewed.
#[derive(Debug)]
pub enum PreviewError {
    /// Reason in a sentence for the user.
    Said(String),
    /// The store cannot be read.
    Store(StoreError),
}

impl From<StoreError> for PreviewError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Reason why a run ends.
enum End {
    State(JobState),
    /// The server stops; it goes on with the next.
    Stopping,
}

/// A redelivery under way.
struct Run<'a> {
    all: &'a Redeliveries,
    id: &'a str,
    job: Job,
    /// Attempts that are not written down.
    journal: Vec<Attempt>,
    saved: std::time::Instant,
    cancelled: watch::Receiver<bool>,
    stop: watch::Receiver<bool>,
}

impl Run<'_> {
    /// Whom it is for.
    fn target(&self) -> Result<Target, String> {
        let guard = self.all.webhooks.guard();
        let said = |error: PreviewError| match error {
            PreviewError::Said(said) => said,
            PreviewError::Store(error) => error.to_string(),
        };
        let kept = self.all.kept(&self.job).map_err(said)?;
        let own = SubscriptionId::from_bits(u128::from_be_bytes(Digest::of(self.id.as_bytes()).prefix()));
        let address = match &self.job.address {
            Some(_) => Some(
                self.all.address_of(&self.job).ok_or("its address was encrypted by another secret.key")?,
            ),
            None => None,
        };
        let webhook = match (&address, kept.as_ref().map(|kept| &kept.delivery)) {
            (Some(address), _) => WebHook { address: address.clone(), token: None, signing_secret: None },
            (None, Some(Delivery::WebHook(webhook))) => webhook.clone(),
            (None, _) => return Err("the subscription is for a WebSocket, which has no address".to_owned()),
        };
        let endpoint = webhook.endpoint(guard).map_err(|_| {
            format!("the address {} cannot be used by this configuration", masked(&webhook.address))
        })?;
        let owner = kept
            .as_ref()
            .map_or(ExtensionId::new(self.job.account), |kept| kept.subscription.owner.extension);
        let id = kept.as_ref().map_or(own, |kept| kept.subscription.id);
        Ok(Target {
            endpoint: Endpoint { redelivery: HeaderValue::from_str(self.id).ok(), ..endpoint },
            // To its own address it is the subscription's delivery; elsewhere it is not.
            journalled: if self.job.address.is_some() { own } else { id },
            subscriber: Subscriber::new(id, owner, SERVER_ID),
            subscription: self.job.subscription(kept.as_ref())?,
        })
    }

    async fn send_all(&mut self, mut target: Target) -> End {
        let spacing = if self.job.original_spacing { Spacing::Original } else { Spacing::None };
        let behind = self.last_taken().await;
        let mut schedule = Schedule::new(spacing, behind, clock::steady());
        let mut position = self.job.position;
        let mut ahead: VecDeque<Logged> = VecDeque::new();
        loop {
            let Some(logged) = ahead.pop_front() else {
                match self.all.read(&self.job, &target.subscription, position).await {
                    Ok(read) if read.is_empty() => return End::State(JobState::Done),
                    Ok(read) => ahead.extend(read),
                    Err(error) => {
                        tracing::warn!(redelivery.id = self.id, %error, "the event log cannot be read");
                        if let Some(end) = self.sleep_until(clock::steady() + PAUSE).await {
                            return end;
                        }
                    }
                }
                continue;
            };
            position = logged.position;
            // What its owner may hear of, now.
            match self.all.kept(&self.job).map(|kept| kept.map(|kept| self.job.subscription(Some(&kept)))) {
                Ok(None) => {}
                Ok(Some(Ok(subscription))) => target.subscription = subscription,
                Ok(Some(Err(said))) | Err(PreviewError::Said(said)) => {
                    self.job.last_error = Some(said);
                    return End::State(JobState::Failed);
                }
                Err(PreviewError::Store(error)) => {
                    self.job.last_error = Some(error.to_string());
                    return End::State(JobState::Failed);
                }
            }
            for projection in target.subscription.matching(&logged).unwrap_or_default() {
                if let Some(end) = self.send(&target, &mut schedule, (&logged, projection)).await {
                    return end;
                }
            }
            self.job.position = position;
            self.save(false).await;
        }
    }

    /// Returns the time when the last event happened that was taken before the server stopped.
    async fn last_taken(&self) -> Option<Timestamp> {
        let position = self.job.position;
        let read = self.all.store.read_async(move |reader| reader.events_at(&[position])).await;
        read.ok()?.first().map(|logged| logged.event.at)
    }

    /// Sends one until it is taken; gives why that will not be.
    async fn send(
        &mut self,
        target: &Target,
        schedule: &mut Schedule,
        (logged, projection): (&Logged, Projection),
    ) -> Option<End> {
        let at = logged.event.at;
        let mut due = schedule.due(at, clock::steady());
        loop {
            if let Some(end) = self.sleep_until(due).await {
                return Some(end);
            }
            let number = schedule.begin(at, clock::steady());
            let sent = self.post(target, (logged, projection), number).await;
            let random = secret::random().map_or(0, u32::from_ne_bytes);
            self.job.sent += 1;
            let step = schedule.handle_outcome(&sent.outcome, random, clock::steady());
            if step == Step::Taken {
                self.job.delivered += 1;
                return None;
            }
            self.job.failed += 1;
            self.job.last_error = Some(said(&sent.outcome));
            match step {
                Step::RetryAt(at) => due = at,
                Step::Taken | Step::Failed => {
                    self.job.failed_event = Some(event_id(&logged.event));
                    return Some(End::State(JobState::Failed));
                }
            }
            self.save(true).await;
        }
    }

    async fn post(
        &mut self,
        target: &Target,
        (logged, projection): (&Logged, Projection),
        number: u32,
    ) -> Sent {
        let subscriber = &target.subscriber;
        let mut body = Vec::new();
        let about = (&*logged.event, logged.change.as_deref());
        subscriber.write_any(about, projection, clock::wall(), &mut body);
        let id = subscriber.id_of(&logged.event, projection);
        let sent = self.all.webhooks.send(&target.endpoint, id, body).await;
        self.journal.push(Attempt {
            redelivery: Some(Arc::from(self.id)),
            ..sent.attempt(logged.position, target.journalled, number, &target.endpoint)
        });
        sent
    }

    /// Waits, unless it is ended meanwhile.
    async fn sleep_until(&mut self, at: Timestamp) -> Option<End> {
        let mut moves = clock::follow_moves();
        loop {
            moves.borrow_and_update();
            tokio::select! {
                biased;
                _ = self.stop.wait_for(|&stop| stop) => return Some(End::Stopping),
                _ = self.cancelled.wait_for(|&cancelled| cancelled) => {
                    return Some(End::State(JobState::Cancelled));
                }
                _ = moves.changed() => {}
                () = tokio::time::sleep_until(clock::instant_of(at).into()) => return None,
            }
        }
    }

    /// Writes how far it has come, however often it takes; not so often if it need not be now.
    async fn save(&mut self, now: bool) {
        while now || self.saved.elapsed() >= SAVE_EVERY {
            let journal = Journal { attempts: self.journal.clone(), spans: Vec::new() };
            match self.all.store.record(vec![self.job.change(self.id)], journal).await {
                Ok(()) => {
                    self.journal.clear();
                    self.saved = clock::now();
                    return;
                }
                Err(StoreError::Closed) => return,
                Err(error) => {
                    tracing::warn!(redelivery.id = self.id, %error, "how far a redelivery has come is not on disk");
                    tokio::time::sleep(PAUSE).await;
                    if *self.stop.borrow() {
                        return;
                    }
                }
            }
        }
    }
}

/// Returns how an attempt failed, for people.
fn said(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Response { status, .. } => format!("the receiver answered with HTTP status {status}"),
        Outcome::TimedOut => "the receiver did not answer in time".to_owned(),
        Outcome::Failed(why) => format!("the receiver cannot be reached: {why}"),
        Outcome::Missing => "the event is in the log no longer".to_owned(),
    }
}
