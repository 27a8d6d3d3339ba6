//! Which of many subscriptions hear of an event, without asking each.

use std::collections::HashMap;
use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hookswitch_model::{AccountId, Event, ExtensionId, StatusCode};
use smallvec::SmallVec;

use super::{EventFilter, TelephonyFilter, numbers};

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

/// What all filters in one place have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    account: AccountId,
    extension: Option<ExtensionId>,
    status: Option<StatusCode>,
    /// A hash of the phone number; 0 when none is asked for.
    number: u64,
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
    /// Whether one of the filters that the event passed asks for `sipData`.
    pub sip_data: bool,
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
    pub fn insert(&mut self, subscription: Id, filters: &[EventFilter]) {
        self.remove(subscription);
        let mut keys = SmallVec::new();
        for filter in filters {
            let EventFilter::TelephonySessions(filter) = filter else { continue };
            let number = filter.phone_number.as_deref().map_or(0, |number| self.number(number));
            let key =
                Key { account: filter.account, extension: filter.extension, status: filter.status, number };
            let entries = self.filters.entry(key).or_default();
            let at = entries.partition_point(|entry| entry.subscription <= subscription);
            entries.insert(at, Entry { subscription, filter: Box::new(filter.clone()) });
            self.with_number += usize::from(number != 0);
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
            self.with_number -= if key.number == 0 { 0 } else { last - first };
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
        let statuses = [None, Some(event.party.status.code)];
        let extension = event.party.extension;
        for extension in std::iter::once(None).chain(extension.map(Some)) {
            for status in statuses {
                let mut look = |number| self.look(Key { account, extension, status, number }, event, found);
                look(0);
                if self.with_number > 0 {
                    let mut seen = SmallVec::<[u64; 4]>::new();
                    for number in numbers(event).map(|number| self.number(number)) {
                        if !seen.contains(&number) {
                            seen.push(number);
                            look(number);
                        }
                    }
                }
            }
        }
        found.sort_unstable();
        // Of two with one id the later has the sipData.
        found.dedup_by(|later, earlier| {
            let same = later.subscription == earlier.subscription;
            earlier.sip_data |= same && later.sip_data;
            same
        });
    }

    fn look(&self, key: Key, event: &Event, found: &mut Vec<Match<Id>>) {
        let entries = self.filters.get(&key).into_iter().flatten();
        found.extend(
            entries
                .filter(|entry| entry.filter.failed(event).is_none())
                .map(|entry| Match { subscription: entry.subscription, sip_data: entry.filter.sip_data }),
        );
    }

    fn number(&self, number: &str) -> u64 {
        self.hasher.hash_one(number).max(1)
    }
}
