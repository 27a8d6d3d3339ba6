//! The calls that go on, as the event log tells them: what the resources of sessions are read from.
//!
//! It follows the log on its own, so that no reader is in the way of the machine, and shows nothing
//! that is not on disk.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use foldhash::fast::RandomState;
use hookswitch_model::{
    AccountId, ExtensionId, Logged, Party, PartyId, SessionFacts, TelephonySessionId, Timestamp,
};
use hookswitch_server::clock;
use hookswitch_store::Store;
use tokio::sync::watch;

use crate::Problem;

/// Time that a session stays readable after its last party has ended.
const LINGER: Duration = Duration::from_secs(60);

/// Time for which a session is kept of which nothing more is heard: what the machine remembers too.
const SILENCE_MAX: Duration = Duration::from_secs(24 * 3600);

/// Number of events that are read at once.
const EVENTS_AT_ONCE: usize = 1000;

/// Interval at which ended sessions are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// A session as it stands.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) facts: Arc<SessionFacts>,
    pub(crate) created: Timestamp,
    /// In the order in which they came, each with the time of its first event.
    pub(crate) parties: Vec<(Timestamp, Party)>,
    /// Time when it changed last, in signal time.
    pub(crate) changed: Timestamp,
    /// Number of events that it has, and the position of the last.
    pub(crate) events: usize,
    pub(crate) position: u64,
    /// Time when it was heard of last.
    heard: Instant,
}

impl Call {
    /// Returns `true` if all its parties have ended.
    pub(crate) fn is_over(&self) -> bool {
        self.parties.iter().all(|(_, party)| party.status.code.is_terminal())
    }

    /// Returns `true` if the extension takes or took part.
    pub(crate) fn has(&self, extension: ExtensionId) -> bool {
        self.parties.iter().any(|(_, party)| party.extension == Some(extension))
    }

    /// A party by its id.
    pub(crate) fn party(&self, id: PartyId) -> Option<&Party> {
        self.parties.iter().map(|(_, party)| party).find(|party| party.id == id)
    }
}

/// All sessions that go on or have just ended.
#[derive(Default)]
pub(crate) struct Calls {
    open: RwLock<Open>,
    caught_up: std::sync::atomic::AtomicBool,
    /// Point up to which the log is read.
    position: watch::Sender<u64>,
}

#[derive(Default)]
struct Open {
    sessions: HashMap<TelephonySessionId, Call, RandomState>,
    by_account: HashMap<AccountId, BTreeSet<TelephonySessionId>, RandomState>,
}

impl Open {
    fn apply(&mut self, Logged { event, position, .. }: &Logged, now: Instant) {
        let id = event.session.id;
        let call = self.sessions.entry(id).or_insert_with(|| {
            self.by_account.entry(event.session.account).or_default().insert(id);
            Call {
                facts: event.session.clone(),
                created: event.at,
                parties: Vec::new(),
                changed: event.at,
                events: 0,
                position: *position,
                heard: now,
            }
        });
        call.heard = now;
        call.changed = event.at;
        call.events += 1;
        call.position = *position;
        match call.parties.iter_mut().find(|(_, party)| party.id == event.party.id) {
            Some((_, party)) => *party = event.party.clone(),
            None => call.parties.push((event.at, event.party.clone())),
        }
    }

    fn sweep(&mut self, now: Instant) {
        let by_account = &mut self.by_account;
        self.sessions.retain(|id, call| {
            let age = now.saturating_duration_since(call.heard);
            let keep = age < if call.is_over() { LINGER } else { SILENCE_MAX };
            if !keep && let Some(ids) = by_account.get_mut(&call.facts.account) {
                ids.remove(id);
            }
            keep
        });
        by_account.retain(|_, ids| !ids.is_empty());
    }
}

impl Calls {
    /// Follows the event log until told to stop.
    pub(crate) async fn follow(self: Arc<Self>, store: Store, mut stop: watch::Receiver<bool>) {
        let mut end = store.follow_events();
        let mut position = 0;
        let mut swept = clock::now();
        loop {
            let read = store.events_after(position, EVENTS_AT_ONCE).await;
            let events = read.unwrap_or_else(|error| {
                tracing::error!(%error, "the event log cannot be read; the calls that are shown may be old");
                Vec::new()
            });
            let now = clock::now();
            if let Some(last) = events.last() {
                position = last.position;
                let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
                for logged in &events {
                    open.apply(logged, now);
                }
            }
            if now.saturating_duration_since(swept) >= SWEEP_EVERY {
                swept = now;
                self.open.write().unwrap_or_else(PoisonError::into_inner).sweep(now);
            }
            if events.len() == EVENTS_AT_ONCE {
                continue;
            }
            self.position.send_replace(position);
            self.caught_up.store(true, std::sync::atomic::Ordering::Release);
            tokio::select! {
                _ = tokio::time::timeout(SWEEP_EVERY, end.wait_for(|&end| end > position)) => {}
                _ = stop.wait_for(|&stop| stop) => return,
            }
        }
    }

    /// Returns how far the log is read, and a wait for more.
    pub(crate) fn position(&self) -> watch::Receiver<u64> {
        self.position.subscribe()
    }

    /// A session, whosever it is.
    ///
    /// # Errors
    /// 503 while the log is not read to its end.
    pub(crate) fn get(&self, id: TelephonySessionId) -> Result<Option<Call>, Problem> {
        Ok(self.read()?.sessions.get(&id).cloned())
    }

    /// Returns how many sessions of an account go on; of all accounts, if none is given.
    ///
    /// # Errors
    /// 503 while the log is not read to its end.
    pub(crate) fn count(&self, account: Option<AccountId>) -> Result<usize, Problem> {
        let open = self.read()?;
        let calls = open.sessions.values().filter(|call| !call.is_over());
        Ok(calls.filter(|call| account.is_none_or(|account| call.facts.account == account)).count())
    }

    /// The sessions that go on, of an account if one is given: the newest, so many at most.
    ///
    /// # Errors
    /// 503 while the log is not read to its end.
    pub(crate) fn open(&self, account: Option<AccountId>, limit: usize) -> Result<Vec<Call>, Problem> {
        let open = self.read()?;
        let calls = open.sessions.values().filter(|call| !call.is_over());
        let mut calls: Vec<&Call> =
            calls.filter(|call| account.is_none_or(|account| call.facts.account == account)).collect();
        calls.sort_unstable_by_key(|call| (std::cmp::Reverse(call.created), call.facts.id));
        calls.truncate(limit);
        Ok(calls.into_iter().cloned().collect())
    }

    /// A session of an account.
    ///
    /// # Errors
    /// 503 while the log is not read to its end.
    pub(crate) fn find(&self, account: AccountId, id: TelephonySessionId) -> Result<Option<Call>, Problem> {
        let open = self.read()?;
        Ok(open.sessions.get(&id).filter(|call| call.facts.account == account).cloned())
    }

    /// The sessions of an account that go on, of which the extension is part, if one is given.
    ///
    /// # Errors
    /// 503 while the log is not read to its end.
    pub(crate) fn of(
        &self,
        account: AccountId,
        extension: Option<ExtensionId>,
    ) -> Result<Vec<Call>, Problem> {
        let open = self.read()?;
        let ids = open.by_account.get(&account).into_iter().flatten();
        let calls = ids.filter_map(|id| open.sessions.get(id));
        let calls =
            calls.filter(|call| !call.is_over() && extension.is_none_or(|extension| call.has(extension)));
        Ok(calls.cloned().collect())
    }

    fn read(&self) -> Result<std::sync::RwLockReadGuard<'_, Open>, Problem> {
        if !self.caught_up.load(std::sync::atomic::Ordering::Acquire) {
            return Err(Problem::unavailable("The server has just started and reads its log; ask again"));
        }
        Ok(self.open.read().unwrap_or_else(PoisonError::into_inner))
    }
}
