//! Index of many subscriptions: which of them hear of an event, without asking each.

use std::collections::HashMap;
use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hookswitch_model::{AccountId, CallChange, Event, ExtensionId, StatusCode};
use smallvec::SmallVec;

use super::{CallsFilter, EventFilter, Projection, TelephonyFilter, numbers};

/// Filters of many subscriptions, found by account, extension, phone number and status.
///
/// An event is looked up under the few keys that a filter which passes it can have, so that matching
/// takes as long with a million subscriptions as with one.
#[derive(Debug, Default)]
pub struct FilterIndex<Id> {
    filters: HashMap<Key, SmallVec<[Entry<Id>; 1]>, RandomState>,
    /// Place where the filters of each subscription are.
    keys: HashMap<Id, SmallVec<[Key; 1]>, RandomState>,
    /// How many filters ask for a phone number; without one the numbers of an event are not looked up.
    with_number: usize,
    /// How many ask for changes of the calls of extensions.
    with_change: usize,
    hasher: RandomState,
}

/// Key that all filters in one bucket have in common: the rarest thing that they ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Key {
    Extension(AccountId, ExtensionId),
    /// A hash of the phone number.
    Number(AccountId, u64),
    Status(AccountId, StatusCode),
    Account(AccountId),
}

#[derive(Debug)]
struct Entry<Id> {
    subscription: Id,
    filter: Indexed,
}

/// A filter that events may pass.
#[derive(Debug)]
enum Indexed {
    Session(Box<TelephonyFilter>),
    Calls(Box<CallsFilter>),
}

impl Indexed {
    /// The notification that it asks for of an event; none if the event does not pass.
    fn projection_of(&self, event: &Event, change: Option<&CallChange>) -> Option<Projection> {
        match self {
            Self::Session(filter) => filter.failed(event).is_none().then(|| filter.projection()),
            Self::Calls(filter) => filter.failed(event, change).is_none().then(|| filter.projection()),
        }
    }
}

/// A subscription that hears of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Match<Id> {
    /// Subscription.
    pub subscription: Id,
    /// Projection of the event for it.
    pub projection: Projection,
}

impl<Id: Copy + Ord + std::hash::Hash> FilterIndex<Id> {
    /// An index without filters.
    pub fn new() -> Self {
        Self {
            filters: HashMap::default(),
            keys: HashMap::default(),
            with_number: 0,
            with_change: 0,
            hasher: RandomState::default(),
        }
    }

    /// Adds the filters of a subscription, in place of those it had.
    pub fn insert<'a>(&mut self, subscription: Id, filters: impl IntoIterator<Item = &'a EventFilter>) {
        self.remove(subscription);
        let mut keys = SmallVec::new();
        for filter in filters {
            let (key, filter) = match filter {
                EventFilter::TelephonySessions(filter) => {
                    (self.key(filter), Indexed::Session(Box::new(filter.clone())))
                }
                EventFilter::Calls(filter) => (calls_key(filter), Indexed::Calls(Box::new(filter.clone()))),
                EventFilter::Reminder { .. } | EventFilter::Other(_) => continue,
            };
            self.with_change += usize::from(matches!(filter, Indexed::Calls(_)));
            let entries = self.filters.entry(key).or_default();
            let at = entries.partition_point(|entry| entry.subscription <= subscription);
            entries.insert(at, Entry { subscription, filter });
            self.with_number += usize::from(matches!(key, Key::Number(..)));
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        self.keys.insert(subscription, keys);
    }

    /// Removes a subscription, if it is there.
    pub fn remove(&mut self, subscription: Id) {
        for key in self.keys.remove(&subscription).unwrap_or_default() {
            let Some(entries) = self.filters.get_mut(&key) else { continue };
            let first = entries.partition_point(|entry| entry.subscription < subscription);
            let last = entries.partition_point(|entry| entry.subscription <= subscription);
            let removed = entries.drain(first..last);
            self.with_change -= removed.filter(|entry| matches!(entry.filter, Indexed::Calls(_))).count();
            self.with_number -= if matches!(key, Key::Number(..)) { last - first } else { 0 };
            if entries.is_empty() {
                self.filters.remove(&key);
            }
        }
    }

    /// Returns the number of subscriptions.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Returns `true` if there are none.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Returns `true` if any filter asks for changes of the calls of extensions.
    pub fn wants_changes(&self) -> bool {
        self.with_change > 0
    }

    /// Appends the subscriptions that hear of an event, which made this change, to `found`, which is emptied first:
    /// each once for each notification, in the order of their ids.
    pub fn matches(&self, event: &Event, change: Option<&CallChange>, found: &mut Vec<Match<Id>>) {
        found.clear();
        let account = event.session.account;
        self.look(Key::Account(account), event, change, found);
        self.look(Key::Status(account, event.party.status.code), event, change, found);
        if let Some(extension) = event.party.extension {
            self.look(Key::Extension(account, extension), event, change, found);
        }
        if self.with_number > 0 {
            let mut seen = SmallVec::<[&str; 4]>::new();
            for number in numbers(event) {
                if !seen.contains(&number) {
                    seen.push(number);
                    self.look(Key::Number(account, self.hash(number)), event, change, found);
                }
            }
        }
        found.sort_unstable();
        found.dedup_by(|later, earlier| {
            let same =
                later.subscription == earlier.subscription && later.projection.is_like(earlier.projection);
            if same {
                earlier.projection = earlier.projection.union(later.projection);
            }
            same
        });
    }

    fn look(&self, key: Key, event: &Event, change: Option<&CallChange>, found: &mut Vec<Match<Id>>) {
        let entries = self.filters.get(&key).into_iter().flatten();
        found.extend(entries.filter_map(|entry| {
            let projection = entry.filter.projection_of(event, change)?;
            Some(Match { subscription: entry.subscription, projection })
        }));
    }

    fn key(&self, filter: &TelephonyFilter) -> Key {
        let account = filter.account;
        match (filter.extension, &filter.phone_number, filter.status) {
            (Some(extension), ..) => Key::Extension(account, extension),
            (None, Some(number), _) => Key::Number(account, self.hash(number)),
            (None, None, Some(status)) => Key::Status(account, status),
            (None, None, None) => Key::Account(account),
        }
    }

    fn hash(&self, number: &str) -> u64 {
        self.hasher.hash_one(number)
    }
}

fn calls_key(filter: &CallsFilter) -> Key {
    let account = filter.account;
    filter.extension.map_or(Key::Account(account), |extension| Key::Extension(account, extension))
}
