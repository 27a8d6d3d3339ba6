//! Which of many subscriptions hear of an event, without asking each.

use std::collections::HashMap;
use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hookswitch_model::{AccountId, Event, ExtensionId, StatusCode};
use smallvec::SmallVec;

use super::{EventFilter, Projection, TelephonyFilter, numbers};

/// Filters of many subscriptions, found by account, extension, phone number and status.
///
/// An event is looked up under the few keys that a filter which passes it can have, so that matching
/// takes as long with a million subscriptions as with one.
#[derive(Debug, Default)]
pub struct FilterIndex<Id> {
    filters: HashMap<Key, SmallVec<[Entry<Id>; 1]>, RandomState>,
    /// Where the filters of each subscription are.
    keys: HashMap<Id, SmallVec<[Key; 1]>, RandomState>,
    /// How many filters ask for a phone number; without one the numbers of an event are not looked up.
    with_number: usize,
    hasher: RandomState,
}

/// What all filters in one place have in common: the rarest thing that they ask for.
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
    filter: Box<TelephonyFilter>,
}

/// A subscription that hears of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Match<Id> {
    /// Which one.
    pub subscription: Id,
    /// What it receives of the event.
    pub projection: Projection,
}

impl<Id: Copy + Ord + std::hash::Hash> FilterIndex<Id> {
    /// An index without filters.
    pub fn new() -> Self {
        Self {
            filters: HashMap::default(),
            keys: HashMap::default(),
            with_number: 0,
            hasher: RandomState::default(),
        }
    }

    /// Adds the filters of a subscription, in place of those it had.
    pub fn insert<'a>(&mut self, subscription: Id, filters: impl IntoIterator<Item = &'a EventFilter>) {
        self.remove(subscription);
        let mut keys = SmallVec::new();
        for filter in filters {
            let EventFilter::TelephonySessions(filter) = filter else { continue };
            let key = self.key(filter);
            let entries = self.filters.entry(key).or_default();
            let at = entries.partition_point(|entry| entry.subscription <= subscription);
            entries.insert(at, Entry { subscription, filter: Box::new(filter.clone()) });
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
            entries.drain(first..last);
            self.with_number -= if matches!(key, Key::Number(..)) { last - first } else { 0 };
            if entries.is_empty() {
                self.filters.remove(&key);
            }
        }
    }

    /// How many subscriptions there are.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Appends the subscriptions that hear of an event to `found`, which is emptied first: each once,
    /// in the order of their ids.
    pub fn matches(&self, event: &Event, found: &mut Vec<Match<Id>>) {
        found.clear();
        let account = event.session.account;
        self.look(Key::Account(account), event, found);
        self.look(Key::Status(account, event.party.status.code), event, found);
        if let Some(extension) = event.party.extension {
            self.look(Key::Extension(account, extension), event, found);
        }
        if self.with_number > 0 {
            let mut seen = SmallVec::<[&str; 4]>::new();
            for number in numbers(event) {
                if !seen.contains(&number) {
                    seen.push(number);
                    self.look(Key::Number(account, self.hash(number)), event, found);
                }
            }
        }
        found.sort_unstable();
        found.dedup_by(|later, earlier| {
            let same = later.subscription == earlier.subscription;
            if same {
                earlier.projection = earlier.projection.union(later.projection);
            }
            same
        });
    }

    fn look(&self, key: Key, event: &Event, found: &mut Vec<Match<Id>>) {
        let entries = self.filters.get(&key).into_iter().flatten();
        found.extend(
            entries.filter(|entry| entry.filter.failed(event).is_none()).map(|entry| Match {
                subscription: entry.subscription,
                projection: entry.filter.projection(),
            }),
        );
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
