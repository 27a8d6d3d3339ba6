//! The changes of the calls of extensions, made from the event log when somebody wants them.
//!
//! Nothing of them is stored: the same log gives the same changes. Who reads events hands them over, and gets with
//! each the change that it made. The log is followed once for all who read its end, and once more for those who
//! are behind.

use std::collections::VecDeque;
use std::sync::Arc;

use hookswitch_core::presence::ActiveCalls;
use hookswitch_model::{CallChange, Logged};
use hookswitch_store::{Store, StoreError};
use tokio::sync::Mutex;

/// Number of changes that are held, so that those who read the same events need not each follow the log: some 16 MiB.
const RECENT_MAX: usize = 65_536;

/// Number of places of the log that are followed at once.
const FOLDS_MAX: usize = 2;

/// Number of events that are read at once.
const EVENTS_AT_ONCE: usize = 1000;

/// The changes of the calls of extensions, along the event log.
pub struct CallChanges {
    store: Store,
    folds: Mutex<Vec<Fold>>,
}

/// The calls as they are at one place of the log.
#[derive(Default)]
struct Fold {
    calls: ActiveCalls,
    /// The log is followed up to here.
    position: u64,
    /// The last changes, in the order of their sequences, which are positions.
    recent: VecDeque<Arc<CallChange>>,
    /// Changes up to here are held no more.
    forgotten: u64,
}

impl Fold {
    fn take(&mut self, logged: &Logged) {
        self.position = logged.position;
        let Some(change) = self.calls.apply(&logged.event, logged.position) else { return };
        if self.recent.len() == RECENT_MAX
            && let Some(oldest) = self.recent.pop_front()
        {
            self.forgotten = oldest.sequence;
        }
        self.recent.push_back(Arc::new(change));
    }

    fn change_at(&self, position: u64) -> Option<Arc<CallChange>> {
        let index = self.recent.binary_search_by_key(&position, |change| change.sequence).ok()?;
        self.recent.get(index).cloned()
    }
}

impl CallChanges {
    /// The changes along the log of a store. It is read when the first are wanted.
    pub fn new(store: Store) -> Arc<Self> {
        Arc::new(Self { store, folds: Mutex::default() })
    }

    /// Gives each of some events, which stand in the order of the log, the change that it made.
    ///
    /// # Errors
    /// If the log cannot be read; the events are as they were then.
    pub async fn attach(&self, events: &mut [Logged]) -> Result<(), StoreError> {
        let (Some(first), Some(last)) = (events.first(), events.last()) else { return Ok(()) };
        let (first, last) = (first.position, last.position);
        let mut folds = self.folds.lock().await;
        let index = match folds.iter().position(|fold| fold.forgotten < first) {
            Some(index) => index,
            None if folds.len() < FOLDS_MAX => {
                folds.push(Fold::default());
                folds.len() - 1
            }
            // The one that is farther behind begins anew.
            None => {
                let behind = (0..folds.len()).min_by_key(|&index| folds[index].position).unwrap_or_default();
                folds[behind] = Fold::default();
                behind
            }
        };
        let fold = &mut folds[index];
        while fold.position < last {
            let read = self.store.events_after(fold.position, EVENTS_AT_ONCE).await?;
            if read.is_empty() {
                break;
            }
            // What is behind them may be wanted by others; the changes of these must still be held then.
            for logged in read.iter().take_while(|logged| logged.position <= last) {
                fold.take(logged);
            }
        }
        for logged in events {
            logged.change = fold.change_at(logged.position);
        }
        Ok(())
    }
}
