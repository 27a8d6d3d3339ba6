//! The subscriptions as they are kept: in memory for those who ask, as documents for after a restart.
//!
//! A change is on disk before anybody hears of it, and the deliveries hear of it in the order in which
//! it was made.

mod owners;
mod stored;

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hookswitch_core::delivery::{Progress, Stage};
use hookswitch_core::filter::EventFilter;
use hookswitch_core::subscription::{Owner, Subscription, SubscriptionStatus, Transport};
use hookswitch_model::{SubscriptionId, TelephonySessionId, Timestamp};
use hookswitch_store::{Change, Changed, DocumentUpdate, Expected, PROGRESS, Partition, Store, StoreError};
use hyper::header::{HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use self::owners::Owners;
pub(crate) use self::stored::progress_change;
use self::stored::{ENDED, KeptProgress, Record, SUBSCRIPTION, progress_from, progress_of, read_kept};
pub use self::stored::{Stored, parse_id, stored};
use crate::clock;
use crate::health::Health;
use crate::rights::Rights;
use crate::secret::Key;
use crate::webhook::{AddressError, Endpoint, Guard, SigningKey, masked};

/// Time that it is known of a subscription that it has expired, or was deleted.
const EXPIRED_KEPT: Duration = Duration::from_secs(7 * 86_400);

/// Time to wait after the rights of subscribers could not be read.
const JUDGE_AGAIN: Duration = Duration::from_millis(200);

/// Number of changes of WebSockets by other nodes that may wait to be looked at.
const SOCKETS_MAX: usize = 1024;

/// The most deleted subscriptions that are known.
const ENDED_MAX: usize = 10_000;

/// A subscription with all that belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredSubscription {
    /// The subscription itself.
    pub subscription: Subscription,
    /// How it is told.
    pub delivery: Delivery,
    /// Set if its lifetime is over. It is kept for a while, so that its owner can be told.
    pub expired: bool,
    /// It hears of events behind this position of the log; 0 when that was not written down.
    pub start: u64,
    /// Behind this one its filters are those it has.
    pub filters_from: u64,
    /// Set if its filters are from before calls of the account took a role.
    pub is_earlier: bool,
    /// Set if it therefore hears of what it would not, if it were created now.
    pub keeps_earlier: bool,
}

/// Delivery of notifications to the subscriber.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Delivery {
    /// By requests to an address.
    WebHook(WebHook),
    /// Over a WebSocket.
    WebSocket(Socket),
}

/// The gateway session that hears of a subscription.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Socket {
    /// The session, as the gateway numbers them.
    pub session: u64,
    /// The grant on which it rests.
    pub grant: Arc<str>,
    /// It hears of events behind this position of the log.
    pub start: u64,
    /// The node of a cluster that has the session; empty if the server is alone.
    #[serde(default)]
    pub node: String,
}

/// Delivery settings of the subscriber, as they were given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebHook {
    /// The address that is posted to. What is in its path or query may be a secret: it is stored encrypted, and
    /// [`masked`] gives what others than its owner are shown.
    pub address: String,
    /// The header that repeats the subscriber's token, and the token.
    pub token: Option<(String, String)>,
    /// The secret of Standard Webhooks signatures.
    pub signing_secret: Option<String>,
}

/// Fault of a delivery that cannot be made as it was asked for.
#[derive(Debug, PartialEq, Eq)]
pub enum DeliveryError {
    /// The address cannot be used.
    Address(AddressError),
    /// The token is no header.
    Token,
    /// The secret is none.
    Secret,
}

impl WebHook {
    /// Returns what is needed to send.
    ///
    /// # Errors
    /// If the address, the token or the secret cannot be used.
    pub fn endpoint(&self, guard: &Guard) -> Result<Endpoint, DeliveryError> {
        let token = match &self.token {
            None => None,
            Some((name, token)) => {
                let name = HeaderName::try_from(name).map_err(|_| DeliveryError::Token)?;
                let mut token = HeaderValue::from_str(token).map_err(|_| DeliveryError::Token)?;
                token.set_sensitive(true);
                Some((name, token))
            }
        };
        let signing_key = self.signing_secret.as_deref().map(SigningKey::parse).transpose();
        Ok(Endpoint {
            url: guard.read(&self.address).map_err(DeliveryError::Address)?,
            address: masked(&self.address).into(),
            token,
            signing_key: signing_key.map_err(|_| DeliveryError::Secret)?,
            redelivery: None,
        })
    }
}

/// Command to the deliverers.
#[derive(Debug)]
pub enum Command {
    /// There is a subscription that goes on from there.
    Add(Box<StoredSubscription>, Progress),
    /// It has other filters, another lifetime or other rights, or was paused or resumed.
    Update(Subscription),
    /// It is gone; told back once nothing more is written about it.
    Remove(SubscriptionId, oneshot::Sender<()>),
    /// Its address was validated, and with what outcome.
    Validated(SubscriptionId, bool),
    /// Somebody asks how they all are doing.
    Health(oneshot::Sender<HashMap<SubscriptionId, Health>>),
    /// Somebody asks how far notifications have come: of whom, and of which events.
    Stages(Vec<(SubscriptionId, TelephonySessionId, u64)>, oneshot::Sender<Vec<Option<Stage>>>),
}

/// Reason why a subscription was not created.
#[derive(Debug)]
pub enum CreateError {
    /// The owner has as many as are allowed.
    Limit,
    /// The store refuses.
    Store(StoreError),
}

impl From<StoreError> for CreateError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// All subscriptions.
pub struct Subscriptions {
    store: Store,
    /// Encrypts what subscribers have said in confidence.
    key: Key,
    kept: Mutex<HashMap<SubscriptionId, StoredSubscription>>,
    /// Those that were deleted, and when, in that order.
    ended: Mutex<VecDeque<(Timestamp, String)>>,
    /// One change at a time, so that memory and disk see them in one order.
    changing: tokio::sync::Mutex<()>,
    /// The deliveries of the partitions that this node owns.
    deliveries: Mutex<BTreeMap<Partition, mpsc::UnboundedSender<Command>>>,
    /// Changes that other nodes make to subscriptions of WebSockets: as they are then, or none.
    sockets: broadcast::Sender<(SubscriptionId, Option<StoredSubscription>)>,
    per_owner_max: usize,
    rights: Rights,
    /// Counts how often it was looked what subscriptions may hear of, or one was paused or resumed.
    judged: watch::Sender<u64>,
}

impl Subscriptions {
    /// Reads what is stored.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn load(store: Store, key: Key, per_owner_max: usize, rights: Rights) -> Result<Self, StoreError> {
        let kept = store.read(|reader| {
            let mut owners = Owners::of(reader, rights);
            let mut kept = HashMap::new();
            for document in reader.documents(SUBSCRIPTION)? {
                let Some(mut one) = read_kept(&document, &key) else { continue };
                one.judge(&mut owners)?;
                kept.insert(one.subscription.id, one);
            }
            Ok(kept)
        })?;
        for one in kept.values().filter(|one| one.keeps_earlier && !one.expired) {
            let owner = &one.subscription.owner;
            tracing::warn!(
                subscription.id = %one.subscription.id,
                account.id = %owner.account,
                extension.id = %owner.extension,
                client_id = %owner.client_id,
                "a subscription from before calls of the account took a role hears of them, though its user has none; \
                 it is kept: give the user the role, delete it, or set rights.earlier_subscriptions to \"close\""
            );
        }
        let ended = store.read(|reader| reader.documents(ENDED))?.into_iter().map(|document| {
            let at = Record::parse_shown(&document.content).and_then(|record| record.ended).unwrap_or(0);
            (Timestamp::from_micros(at), document.id)
        });
        let mut ended: Vec<_> = ended.collect();
        ended.sort();
        let (kept, ended) = (Mutex::new(kept), Mutex::new(ended.into()));
        let changing = tokio::sync::Mutex::new(());
        let (deliveries, sockets) = (Mutex::default(), broadcast::Sender::new(SOCKETS_MAX));
        let judged = watch::Sender::new(0);
        Ok(Self { store, key, kept, ended, changing, deliveries, sockets, per_owner_max, rights, judged })
    }

    /// Begins to deliver for a partition: gives what its deliveries listen to, which tells of all of its
    /// subscriptions first.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn begin(&self, partition: Partition) -> Result<mpsc::UnboundedReceiver<Command>, StoreError> {
        let _changing = self.changing.lock().await;
        let progress = self.store.read_async(KeptProgress::read).await?;
        let (commands, receiver) = mpsc::unbounded_channel();
        let here: Vec<StoredSubscription> = self
            .lock()
            .values()
            .filter(|one| is_delivered(one) && self.partition(&one.subscription) == partition)
            .cloned()
            .collect();
        for one in here {
            let known = progress.of(&one.subscription.id.to_string(), partition);
            let progress = known.unwrap_or_else(|| progress_from(one.start));
            commands.send(Command::Add(Box::new(one), progress)).ok(); // the receiver is here
        }
        self.deliveries().insert(partition, commands);
        Ok(receiver)
    }

    /// Tells the deliveries of a partition of nothing more.
    pub fn end(&self, partition: Partition) {
        self.deliveries().remove(&partition);
    }

    fn deliveries(&self) -> MutexGuard<'_, BTreeMap<Partition, mpsc::UnboundedSender<Command>>> {
        self.deliveries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn partition(&self, subscription: &Subscription) -> Partition {
        Partition::of(subscription.owner.account, self.store.partitions())
    }

    /// Tells the deliveries of a partition something, if this node owns it.
    fn tell(&self, partition: Partition, command: Command) -> bool {
        self.deliveries().get(&partition).is_some_and(|deliveries| deliveries.send(command).is_ok())
    }

    /// Takes over what other nodes change, until told to stop.
    pub async fn follow(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        let mut changed = self.store.follow_documents();
        while let Some(told) = changed.next_until(&mut stop).await {
            let ids = match told {
                DocumentUpdate::One(Changed { kind, id, .. }) if kind == SUBSCRIPTION => vec![id],
                DocumentUpdate::One(_) => continue,
                DocumentUpdate::Any => self.all_ids().await,
            };
            for id in ids {
                if let Err(error) = self.take_over(&id).await {
                    tracing::error!(subscription.id = id, %error, "a change made by another node cannot be read");
                }
            }
        }
    }

    /// Keeps what all hear of in step with the rights of their owners, until told to stop. `changed` tells when those
    /// may be others.
    pub async fn follow_rights(
        self: Arc<Self>,
        mut changed: watch::Receiver<u64>,
        mut stop: watch::Receiver<bool>,
    ) {
        loop {
            changed.borrow_and_update();
            let judged = self.judge_all().await;
            if let Err(error) = &judged {
                tracing::error!(%error, "the rights of subscribers cannot be read; it is tried again");
            }
            let again = async {
                if judged.is_ok() {
                    return changed.changed().await.is_ok();
                }
                tokio::time::sleep(JUDGE_AGAIN).await;
                true
            };
            tokio::select! {
                there = again => if !there { return },
                _ = stop.wait_for(|&stop| stop) => return,
            }
        }
    }

    /// Looks what each may hear of at this moment, and tells the deliveries where that has changed.
    async fn judge_all(&self) -> Result<(), StoreError> {
        let _changing = self.changing.lock().await;
        let asked: Vec<StoredSubscription> =
            self.lock().values().filter(|one| !one.expired).cloned().collect();
        let rights = self.rights;
        let judged = self.store.read_async(move |reader| {
            let mut owners = Owners::of(reader, rights);
            let mut changed = Vec::new();
            for mut one in asked {
                let before = (one.subscription.hearing.clone(), one.keeps_earlier);
                one.judge(&mut owners)?;
                if before != (one.subscription.hearing.clone(), one.keeps_earlier) {
                    changed.push(one);
                }
            }
            Ok(changed)
        });
        for one in judged.await? {
            let subscription = one.subscription.clone();
            let (id, reason) = (subscription.id, subscription.hearing.suspension.as_ref());
            let reason = reason.map(|suspension| &*suspension.reason);
            tracing::info!(subscription.id = %id, reason, "the rights of the owner of a subscription have changed");
            self.lock().insert(id, one);
            if subscription.transport == Transport::WebHook {
                self.tell(self.partition(&subscription), Command::Update(subscription));
            }
        }
        self.judged.send_modify(|count| *count += 1);
        Ok(())
    }

    /// Looks what one may hear of at this moment.
    async fn judge(&self, mut one: StoredSubscription) -> Result<StoredSubscription, StoreError> {
        let rights = self.rights;
        let judged = self.store.read_async(move |reader| {
            one.judge(&mut Owners::of(reader, rights))?;
            Ok(one)
        });
        judged.await
    }

    /// Told when it was looked what subscriptions may hear of, or one was paused or resumed.
    pub fn follow_judgements(&self) -> watch::Receiver<u64> {
        self.judged.subscribe()
    }

    /// Pauses a subscription, or lets it go on from where it was; gives it as it is then, and none if it is there no
    /// longer.
    ///
    /// # Errors
    /// If the store refuses.
    pub async fn set_paused(
        &self,
        id: SubscriptionId,
        paused: bool,
    ) -> Result<Option<StoredSubscription>, StoreError> {
        let _changing = self.changing.lock().await;
        let found = self.lock().get(&id).filter(|one| !one.expired).cloned();
        let Some(mut one) = found else { return Ok(None) };
        if one.subscription.paused.is_some() == paused {
            return Ok(Some(one));
        }
        one.subscription.paused = paused.then(clock::wall);
        self.store.change(vec![self.change(&one)?]).await?;
        self.lock().insert(id, one.clone());
        if one.subscription.transport == Transport::WebHook {
            self.tell(self.partition(&one.subscription), Command::Update(one.subscription.clone()));
        }
        self.judged.send_modify(|count| *count += 1);
        Ok(Some(one))
    }

    /// Told of what other nodes do with subscriptions of WebSockets.
    pub(crate) fn follow_sockets(&self) -> broadcast::Receiver<(SubscriptionId, Option<StoredSubscription>)> {
        self.sockets.subscribe()
    }

    /// Notes that another node has the session of a subscription now.
    ///
    /// # Errors
    /// If the store refuses.
    pub(crate) async fn move_socket(&self, id: SubscriptionId, node: &str) -> Result<(), StoreError> {
        let _changing = self.changing.lock().await;
        let found = self.lock().get(&id).cloned();
        let Some(mut one) = found else { return Ok(()) };
        if let Delivery::WebSocket(socket) = &mut one.delivery {
            node.clone_into(&mut socket.node);
        }
        self.store.change(vec![self.change(&one)?]).await?;
        self.lock().insert(id, one);
        Ok(())
    }

    /// The ids of all that are kept here or in the store.
    async fn all_ids(&self) -> Vec<String> {
        let stored = self.store.read_async(|reader| reader.documents(SUBSCRIPTION)).await.unwrap_or_default();
        let here = self.lock().keys().map(SubscriptionId::to_string).collect::<Vec<_>>();
        stored.into_iter().map(|document| document.id).chain(here).collect()
    }

    /// Takes one over as the store has it.
    async fn take_over(&self, id: &str) -> Result<(), StoreError> {
        let _changing = self.changing.lock().await;
        let key = id.to_owned();
        let (document, progress) = self
            .store
            .read_async(move |reader| Ok((reader.document(SUBSCRIPTION, &key)?, progress_of(reader, &key)?)))
            .await?;
        let Some(parsed) = parse_id(id) else { return Ok(()) };
        let before = self.lock().get(&parsed).cloned();
        let now = match document.and_then(|document| read_kept(&document, &self.key)) {
            Some(now) => Some(self.judge(now).await?),
            None => None,
        };
        let Some(now) = now else {
            if let Some(before) = before {
                self.lock().remove(&parsed);
                let (done, _) = oneshot::channel();
                self.tell(self.partition(&before.subscription), Command::Remove(parsed, done));
                self.sockets.send((parsed, None)).ok(); // there are none
            }
            return Ok(());
        };
        if before.as_ref() == Some(&now) {
            return Ok(());
        }
        self.lock().insert(parsed, now.clone());
        if now.subscription.transport == Transport::WebSocket {
            self.sockets.send((parsed, Some(now))).ok(); // there are none
            return Ok(());
        }
        let partition = self.partition(&now.subscription);
        let was_delivered = before.as_ref().is_some_and(is_delivered);
        match (was_delivered, is_delivered(&now)) {
            (false, true) => {
                let progress = progress.unwrap_or_else(|| progress_from(now.start));
                self.tell(partition, Command::Add(Box::new(now), progress));
            }
            (true, true) => {
                let is_active =
                    |kept: &StoredSubscription| kept.subscription.standing == SubscriptionStatus::Active;
                let revived = is_active(&now) && !before.as_ref().is_some_and(is_active);
                self.tell(partition, Command::Update(now.subscription));
                if revived {
                    self.tell(partition, Command::Validated(parsed, true));
                }
            }
            (true, false) => {
                let (done, _) = oneshot::channel();
                self.tell(partition, Command::Remove(parsed, done));
            }
            (false, false) => {}
        }
        Ok(())
    }

    /// The change that keeps a subscription as it is.
    fn change(&self, one: &StoredSubscription) -> Result<Change, StoreError> {
        let content =
            Record::of(one).text(&self.key).map_err(|error| StoreError::Failing(error.to_string().into()))?;
        let id = one.subscription.id.to_string();
        Ok(Change { kind: SUBSCRIPTION.into(), id, expected: Expected::Any, content: Some(content) })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SubscriptionId, StoredSubscription>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The most that an owner may have.
    pub const fn per_owner_max(&self) -> usize {
        self.per_owner_max
    }

    /// Returns `true` if the owner may have one more. Those of connections that are lost do not count.
    pub fn has_room(&self, owner: &Owner, lost: &HashSet<SubscriptionId>) -> bool {
        let counts = |kept: &StoredSubscription| {
            !kept.expired && kept.subscription.owner == *owner && !lost.contains(&kept.subscription.id)
        };
        self.lock().values().filter(|kept| counts(kept)).count() < self.per_owner_max
    }

    /// The subscriptions of an owner that live, in the order in which they were created.
    pub fn of(&self, owner: &Owner) -> Vec<StoredSubscription> {
        let mut found: Vec<StoredSubscription> = self
            .lock()
            .values()
            .filter(|kept| !kept.expired && kept.subscription.owner == *owner)
            .cloned()
            .collect();
        found.sort_by_key(|kept| (kept.subscription.created, kept.subscription.id));
        found
    }

    /// A subscription, if it is this owner's. It may have expired.
    pub fn find(&self, id: SubscriptionId, owner: &Owner) -> Option<StoredSubscription> {
        self.lock().get(&id).filter(|kept| kept.subscription.owner == *owner).cloned()
    }

    /// Adds a subscription, which hears of all events from now on. Those of the owner that are lost do not count
    /// among those that one may have.
    ///
    /// Gives it as it is then: with what its owner may hear of.
    ///
    /// # Errors
    /// If the owner has too many, or the store refuses.
    pub async fn create(
        &self,
        one: StoredSubscription,
        lost: &HashSet<SubscriptionId>,
    ) -> Result<StoredSubscription, CreateError> {
        let _changing = self.changing.lock().await;
        if !self.has_room(&one.subscription.owner, lost) {
            return Err(CreateError::Limit);
        }
        let mut one = self.judge(one).await?;
        let id = one.subscription.id;
        one.start = match &one.delivery {
            Delivery::WebSocket(socket) => socket.start,
            Delivery::WebHook(_) => self.store.ends().events,
        };
        one.filters_from = one.start;
        if one.subscription.transport == Transport::WebSocket {
            self.store.change(vec![self.change(&one)?]).await?;
            self.lock().insert(id, one.clone());
            return Ok(one);
        }
        let progress = progress_from(one.start);
        let changes = vec![self.change(&one)?, progress_change(id, &progress)];
        self.store.change(changes).await?;
        self.lock().insert(id, one.clone());
        self.tell(self.partition(&one.subscription), Command::Add(Box::new(one.clone()), progress));
        Ok(one)
    }

    /// The subscriptions that are told over WebSockets.
    pub(crate) fn of_sockets(&self) -> Vec<StoredSubscription> {
        let socket = |kept: &&StoredSubscription| kept.subscription.transport == Transport::WebSocket;
        self.lock().values().filter(socket).cloned().collect()
    }

    /// Changes a subscription of an owner: other filters and another lifetime if given; and it is renewed.
    /// Gives it as it is then; none if it is there no longer.
    ///
    /// # Errors
    /// If the store refuses.
    pub async fn renew(
        &self,
        id: SubscriptionId,
        filters: Option<Vec<EventFilter>>,
        lifetime: Option<Duration>,
    ) -> Result<Option<StoredSubscription>, StoreError> {
        let _changing = self.changing.lock().await;
        let found = self.lock().get(&id).filter(|kept| !kept.expired).cloned();
        let Some(mut one) = found else { return Ok(None) };
        if let Some(filters) = filters.filter(|filters| *filters != one.subscription.filters) {
            one.subscription.filters = filters;
            one.filters_from = self.store.ends().events;
            one.is_earlier = false;
            one = self.judge(one).await?;
        }
        if let Some(lifetime) = lifetime {
            one.subscription.lifetime = lifetime;
        }
        one.subscription.renew(clock::steady());
        self.store.change(vec![self.change(&one)?]).await?;
        self.lock().insert(id, one.clone());
        self.tell(self.partition(&one.subscription), Command::Update(one.subscription.clone()));
        Ok(Some(one))
    }

    /// All that are kept, those that have expired too.
    pub fn all(&self) -> Vec<StoredSubscription> {
        self.lock().values().cloned().collect()
    }

    /// A subscription by its id, whoever's it is. It may have expired.
    pub fn get(&self, id: SubscriptionId) -> Option<StoredSubscription> {
        self.lock().get(&id).cloned()
    }

    /// Returns how those are doing that this node tells by webhook.
    pub async fn health(&self) -> HashMap<SubscriptionId, Health> {
        let deliveries: Vec<_> = self.deliveries().values().cloned().collect();
        let mut all = HashMap::new();
        for deliveries in deliveries {
            let (asked, told) = oneshot::channel();
            deliveries.send(Command::Health(asked)).ok();
            all.extend(told.await.unwrap_or_default()); // the server stops
        }
        all
    }

    /// Returns how far the notifications of these events have come, by subscription, session and position; none for
    /// those that another node delivers.
    pub async fn stages(&self, asked: Vec<(SubscriptionId, TelephonySessionId, u64)>) -> Vec<Option<Stage>> {
        let mut stages = vec![None; asked.len()];
        let mut by_partition: BTreeMap<Partition, Vec<usize>> = BTreeMap::new();
        {
            let kept = self.lock();
            for (index, (id, ..)) in asked.iter().enumerate() {
                if let Some(one) = kept.get(id) {
                    by_partition.entry(self.partition(&one.subscription)).or_default().push(index);
                }
            }
        }
        for (partition, indices) in by_partition {
            let (answer, answered) = oneshot::channel();
            let ask = indices.iter().map(|&index| asked[index]).collect();
            self.tell(partition, Command::Stages(ask, answer));
            for (index, stage) in indices.into_iter().zip(answered.await.unwrap_or_default()) {
                stages[index] = stage;
            }
        }
        stages
    }

    /// Tells how a validation went that the owner has asked for.
    pub async fn validated(&self, id: SubscriptionId, passed: bool) {
        let Some(one) = self.get(id) else { return };
        if self.tell(self.partition(&one.subscription), Command::Validated(id, passed)) || !passed {
            return;
        }
        // The node that delivers finds it in the document.
        if let Err(error) = self.set_standing(id, SubscriptionStatus::Active).await {
            tracing::warn!(subscription.id = %id, %error, "the recovery of an address could not be stored");
        }
    }

    /// Removes a subscription; what was due to it is dropped.
    ///
    /// # Errors
    /// If the store refuses.
    pub async fn delete(&self, id: SubscriptionId) -> Result<(), StoreError> {
        let _changing = self.changing.lock().await;
        let (done, removed) = oneshot::channel();
        let found = self.lock().get(&id).cloned();
        if let Some(one) = &found {
            self.tell(self.partition(&one.subscription), Command::Remove(id, done));
            removed.await.ok(); // without deliveries nothing is written about it
        }
        let gone = |kind: &'static str, id: String| Change {
            kind: kind.into(),
            id,
            expected: Expected::Any,
            content: None,
        };
        let mut changes = vec![gone(SUBSCRIPTION, id.to_string()), gone(PROGRESS, id.to_string())];
        if let Some(one) = found {
            let now = clock::wall();
            changes.push(Change {
                kind: ENDED.into(),
                id: id.to_string(),
                expected: Expected::Any,
                content: Some(Record::of_ended(&one, now).text_shown()),
            });
            changes.extend(self.forget_ended(now, id).into_iter().map(|id| gone(ENDED, id)));
        }
        self.store.change(changes).await?;
        self.lock().remove(&id);
        Ok(())
    }

    /// Notes that one was deleted, and gives those that were long ago.
    fn forget_ended(&self, now: Timestamp, id: SubscriptionId) -> Vec<String> {
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        ended.push_back((now, id.to_string()));
        let mut forgotten = Vec::new();
        while let Some((at, _)) = ended.front()
            && (*at + EXPIRED_KEPT < now || ended.len() > ENDED_MAX)
        {
            forgotten.extend(ended.pop_front().map(|(_, id)| id));
        }
        forgotten
    }

    /// Keeps that a subscription was blacklisted, or is active again.
    pub(crate) async fn set_standing(
        &self,
        id: SubscriptionId,
        standing: SubscriptionStatus,
    ) -> Result<(), StoreError> {
        let _changing = self.changing.lock().await;
        let found = self.lock().get(&id).cloned();
        let Some(mut one) = found else { return Ok(()) };
        one.subscription.standing = standing;
        self.store.change(vec![self.change(&one)?]).await?;
        self.lock().insert(id, one);
        Ok(())
    }

    /// Keeps that a subscription has expired, and forgets those that have done so long ago.
    pub(crate) async fn set_expired(&self, id: SubscriptionId) -> Result<(), StoreError> {
        let _changing = self.changing.lock().await;
        let mut changes = Vec::new();
        let now = clock::steady();
        let forgotten: Vec<SubscriptionId> = {
            let mut kept = self.lock();
            if let Some(one) = kept.get_mut(&id) {
                one.expired = true;
                changes.push(self.change(one)?);
            }
            let old =
                |kept: &&StoredSubscription| kept.expired && kept.subscription.expires + EXPIRED_KEPT < now;
            kept.values().filter(old).map(|kept| kept.subscription.id).collect()
        };
        let gone = |kind: &'static str, id: SubscriptionId| Change {
            kind: kind.into(),
            id: id.to_string(),
            expected: Expected::Any,
            content: None,
        };
        changes.push(gone(PROGRESS, id));
        changes.extend(forgotten.iter().map(|&id| gone(SUBSCRIPTION, id)));
        self.store.change(changes).await?;
        let mut kept = self.lock();
        for id in forgotten {
            kept.remove(&id);
        }
        Ok(())
    }
}

impl StoredSubscription {
    /// Takes over what its owner may hear of.
    fn judge(&mut self, owners: &mut Owners<'_>) -> Result<(), StoreError> {
        (self.subscription.hearing, self.keeps_earlier) =
            owners.hearing(&self.subscription, self.is_earlier)?;
        Ok(())
    }
}

/// Returns `true` if notifications of it are sent by webhook.
fn is_delivered(one: &StoredSubscription) -> bool {
    !one.expired && one.subscription.transport == Transport::WebHook
}
