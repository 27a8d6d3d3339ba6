//! Which calls are legs of one session: how the legs of a back-to-back user agent are joined.
//!
//! In this order: an id that both legs carry (HEP correlation, Session-ID of RFC 7989, X-CID), and
//! last a heuristic: the new call leaves the host that the caller's leg had reached, its caller or
//! its callee agrees with the caller's leg, and the caller still waits for somebody to answer.
//! A name is looked up in an index, so that joining does not slow down with the number of calls.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::time::Duration;

use foldhash::fast::RandomState;
use hookswitch_model::{AccountId, Alias, LegCreated, Rule, Timestamp};
use smallvec::SmallVec;

use super::{Sender, Session};
use crate::engine::Sessions;
use crate::hash::IdHash;

/// How long after the caller's INVITE a leg may be joined when only the called number agrees.
pub(crate) const CALLEE_ONLY_WINDOW: Duration = Duration::from_secs(10);

/// The last digits of a number that are compared: enough to tell subscribers apart, few enough to
/// be the same with and without trunk, country and outside-line prefixes.
const COMPARED_DIGITS: usize = 7;

/// The most sessions that are looked at for one leg; more means that the number says nothing.
const CANDIDATES_MAX: usize = 64;

/// The key of a session in the engine.
pub(crate) type SessionKey = u64;

/// The index of open sessions by what their legs can be joined on.
#[derive(Default)]
pub(crate) struct Joiner {
    by_alias: HashMap<AliasKey, SessionKey, RandomState>,
    /// The sessions that wait for a call to a number, because a transfer asked for it.
    expected: HashMap<PlaceKey, SmallVec<[SessionKey; 1]>, RandomState>,
    /// The sessions of one place, the oldest first.
    by_place: HashMap<PlaceKey, SmallVec<[SessionKey; 2]>, RandomState>,
}

/// An account and an alias, as a hash that is wide enough to be unique.
type AliasKey = u128;

/// An account, a host that a call reached and a number of the call, as a hash; sessions that share it
/// by chance are told apart by [`likeness`].
type PlaceKey = u64;

impl Joiner {
    /// Finds the session that a new call belongs to, and the rule that says so.
    pub(crate) fn find(
        &self,
        account: AccountId,
        leg: &LegCreated,
        at: Timestamp,
        sessions: &Sessions,
        heuristic: bool,
    ) -> Option<(SessionKey, Rule)> {
        for alias in &leg.aliases {
            if let Some(&key) = self.by_alias.get(&alias_key(account, alias))
                && sessions.contains_key(&key)
            {
                return Some((key, Rule::JoinedById));
            }
        }
        let src = leg.src.filter(|_| heuristic)?;
        let mut best: Option<(u32, SessionKey)> = None;
        for number in [leg.caller.number.as_deref(), Some(&*leg.callee)].into_iter().flatten() {
            let Some(keys) = self.by_place.get(&place_key(account, src.ip(), number)) else { continue };
            for &key in keys.iter().rev().take(CANDIDATES_MAX) {
                let Some(session) = sessions.get(&key).map(|open| &open.session) else { continue };
                let Some(score) = likeness(session, leg, at) else { continue };
                // Of two that are alike the earlier one: a switch serves calls in their order.
                if best.is_none_or(|(most, earlier)| score > most || (score == most && key < earlier)) {
                    best = Some((score, key));
                }
            }
        }
        best.map(|(_, key)| (key, Rule::JoinedByNumbers))
    }

    /// Remembers that a transfer asked for a call to this number.
    pub(crate) fn expect(&mut self, account: AccountId, number: &str, key: SessionKey, kept: &mut Kept) {
        let name = expected_key(account, number);
        let keys = self.expected.entry(name).or_default();
        if !keys.contains(&key) && keys.len() < CANDIDATES_MAX {
            keys.push(key);
            kept.expected.push(name);
        }
    }

    /// The sessions in which a transfer to this number was asked for, the oldest first.
    pub(crate) fn expecting(&self, account: AccountId, number: &str) -> SmallVec<[SessionKey; 1]> {
        if self.expected.is_empty() {
            return SmallVec::new();
        }
        self.expected.get(&expected_key(account, number)).cloned().unwrap_or_default()
    }

    /// Remembers the names of a leg.
    pub(crate) fn add_aliases(
        &mut self,
        account: AccountId,
        aliases: &[Alias],
        key: SessionKey,
        kept: &mut Kept,
    ) {
        for alias in aliases {
            let name = alias_key(account, alias);
            if let Entry::Vacant(vacant) = self.by_alias.entry(name) {
                vacant.insert(key);
                kept.aliases.push(name);
            }
        }
    }

    /// Remembers that the call of a session reached a host.
    pub(crate) fn add_host(
        &mut self,
        account: AccountId,
        host: IpAddr,
        session: &Session,
        key: SessionKey,
        kept: &mut Kept,
    ) {
        let caller = session.caller().phone_number.as_deref();
        for number in [caller, Some(&*session.dialled.number)].into_iter().flatten() {
            let name = place_key(account, host, number);
            if !kept.places.contains(&name) {
                let keys = self.by_place.entry(name).or_default();
                if let Err(at) = keys.binary_search(&key) {
                    keys.insert(at, key);
                }
                kept.places.push(name);
            }
        }
    }

    /// Forgets a session.
    pub(crate) fn remove(&mut self, key: SessionKey, kept: Kept) {
        for name in kept.aliases {
            self.by_alias.remove(&name);
        }
        for name in kept.expected {
            if let Some(keys) = self.expected.get_mut(&name) {
                keys.retain(|other| *other != key);
                if keys.is_empty() {
                    self.expected.remove(&name);
                }
            }
        }
        for name in kept.places {
            if let Some(keys) = self.by_place.get_mut(&name) {
                if let Ok(at) = keys.binary_search(&key) {
                    keys.remove(at);
                }
                if keys.is_empty() {
                    self.by_place.remove(&name);
                }
            }
        }
    }
}

/// What the index holds of one session.
#[derive(Default)]
pub(crate) struct Kept {
    aliases: SmallVec<[AliasKey; 1]>,
    places: SmallVec<[PlaceKey; 2]>,
    expected: Vec<PlaceKey>,
}

fn alias_key(account: AccountId, alias: &Alias) -> AliasKey {
    let (kind, id) = match alias {
        Alias::CallId(id) => ("Call-ID", id),
        Alias::SessionId(id) => ("Session-ID", id),
        Alias::Correlation(id) => ("correlation", id),
    };
    IdHash::new(kind).number(account.as_u64()).part(id).u128()
}

fn expected_key(account: AccountId, number: &str) -> PlaceKey {
    IdHash::new("expected").number(account.as_u64()).number(number_key(number)).u64()
}

fn place_key(account: AccountId, host: IpAddr, number: &str) -> PlaceKey {
    let hash = IdHash::new("place").number(account.as_u64()).number(number_key(number));
    match host {
        IpAddr::V4(host) => hash.part(&host.octets()).u64(),
        IpAddr::V6(host) => hash.part(&host.octets()).u64(),
    }
}

/// How well a new call fits a session; `None` if it cannot belong to it.
fn likeness(session: &Session, leg: &LegCreated, at: Timestamp) -> Option<u32> {
    let host = session.goes_on_from(&Sender::of(leg))?;
    let agrees = |mine: Option<&str>, theirs: Option<&str>| {
        mine.zip(theirs).is_some_and(|(mine, theirs)| number_key(mine) == number_key(theirs))
    };
    let caller = agrees(session.caller().phone_number.as_deref(), leg.caller.number.as_deref());
    let callee = agrees(Some(&session.dialled.number), Some(&leg.callee));
    let numbers = match (caller, callee) {
        (true, true) => 8,
        (true, false) => 5,
        (false, true) if at.since(session.started) <= CALLEE_ONLY_WINDOW => 4,
        _ => return None,
    };
    let name = session.caller().name.is_some() && session.caller().name == leg.caller.name;
    Some((numbers + host + u32::from(name)) * 2 + u32::from(!session.has_targets()))
}

/// A number reduced to what stays the same when switches rewrite it.
pub(crate) fn number_key(number: &str) -> u64 {
    let mut digits = [0u8; COMPARED_DIGITS];
    let mut count = 0;
    for byte in number.bytes().rev() {
        match byte {
            b'0'..=b'9' if count < COMPARED_DIGITS => {
                digits[count] = byte;
                count += 1;
            }
            b'0'..=b'9' | b'+' | b'-' | b'.' | b'(' | b')' | b' ' => {}
            _ => return IdHash::new("name").part(number.to_lowercase().as_bytes()).u64(),
        }
    }
    digits[..count].iter().fold(count as u64, |key, &digit| key << 8 | u64::from(digit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_do_not_matter_and_short_numbers_are_whole() {
        assert_eq!(number_key("+14155550123"), number_key("914155550123"));
        assert_eq!(number_key("+1 (415) 555-0123"), number_key("4155550123"));
        assert_ne!(number_key("101"), number_key("1101"));
        assert_eq!(number_key("Alice"), number_key("alice"));
        assert_ne!(number_key("alice"), number_key("alice2"));
    }
}
