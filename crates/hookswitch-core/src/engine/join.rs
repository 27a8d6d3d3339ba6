//! Joining of calls into one session: how the legs of a back-to-back user agent are found to belong together.
//!
//! In this order: an id that both legs carry (HEP correlation, Session-ID of RFC 7989, icid-value of RFC 7315,
//! X-CID, a Call-ID that continues the other), a heuristic: the new call leaves the host that the caller's leg
//! had reached, its caller or its callee agrees with the caller's leg, and the caller still waits for somebody to
//! answer; and last, for switches of which one side has another address, both numbers and the moment.
//! Names are looked up in an index, so that joining does not slow down with the number of calls; how well a
//! call fits is told in `session/fit.rs`, and which of several it belongs to by [`decide`].

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use foldhash::fast::RandomState;
use hookswitch_model::{AccountId, Alias, LegCreated, Rule, Timestamp};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::Sessions;
use crate::directory::Account;
use crate::hash::IdHash;
use crate::number::NumberKey;
use crate::session::{CalleeFit, Fit, Session, SessionKey};

/// The most sessions that are looked at for one leg; more means that the number says nothing.
const CANDIDATES_MAX: usize = 64;

/// Open calls that show one number, from which on it is taken for that of a company: it names nobody.
const COMPANY_CALLS: usize = 3;

/// In place of the number of callers who withhold it.
const WITHHELD: &str = "anonymous";

/// The index of open sessions by what their legs can be joined on.
#[derive(Default, Serialize, Deserialize)]
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
/// by chance are told apart by [`Fit`].
type PlaceKey = u64;

impl Joiner {
    /// Finds the session that a new call belongs to, and the rule that says so.
    pub(crate) fn find(
        &self,
        owner: &Account,
        leg: &LegCreated,
        at: Timestamp,
        sessions: &Sessions,
        heuristic: bool,
    ) -> Joined {
        let account = owner.id();
        for alias in &leg.aliases {
            if let Some(&key) = self.by_alias.get(&alias_key(account, alias))
                && let Some(open) = sessions.get(&key)
                && (!matches!(alias, Alias::ChargingId(_)) || open.session.is_charged_with(leg))
            {
                return Joined::To(key, Rule::JoinedById);
            }
        }
        let Some(src) = owner.switch_address(leg.src).filter(|_| heuristic) else { return Joined::ToNone };
        let mut candidates = SmallVec::new();
        self.find_candidates(account, leg, src, at, sessions, &mut candidates);
        let mut elsewhere: SmallVec<[SocketAddr; 2]> = candidates
            .iter()
            .filter_map(|candidate| candidate.session.caller_reached())
            .filter(|reached| reached.ip() != src.ip())
            .collect();
        elsewhere.sort_unstable();
        elsewhere.dedup();
        for reached in elsewhere {
            // Of this switch another address is known: what waits there may be meant as well.
            let leg = LegCreated { src: Some(reached), ..leg.clone() };
            self.find_candidates(account, &leg, reached, at, sessions, &mut candidates);
        }
        match decide(&candidates) {
            Joined::ToNone => self.find_by_both_numbers(account, leg, at, sessions),
            decided => decided,
        }
    }

    /// Finds the sessions that a new call from this address may belong to.
    fn find_candidates<'a>(
        &self,
        account: AccountId,
        leg: &LegCreated,
        src: SocketAddr,
        at: Timestamp,
        sessions: &'a Sessions,
        candidates: &mut SmallVec<[Candidate<'a>; 2]>,
    ) {
        let withheld = leg.caller.withheld.then_some(WITHHELD);
        let own = [leg.caller.number.as_deref(), Some(&*leg.callee), withheld];
        let before = [leg.diverted_by.as_deref(), leg.called_first.as_deref()];
        for number in own.into_iter().chain(before).flatten() {
            let Some(keys) = self.by_place.get(&place_key(account, src.ip(), number)) else { continue };
            for &key in keys.iter().rev().take(CANDIDATES_MAX) {
                if candidates.iter().any(|candidate| candidate.key == key) {
                    continue;
                }
                let Some(session) = sessions.get(&key).map(|open| &open.session) else { continue };
                let fit = Fit::of(session, leg, at);
                candidates.extend(fit.map(|fit| Candidate { fit, key, session }));
            }
        }
    }

    /// Finds the session of a call that leaves a switch at another address than the caller's leg had reached: the
    /// only one that has both numbers at this moment.
    fn find_by_both_numbers(
        &self,
        account: AccountId,
        leg: &LegCreated,
        at: Timestamp,
        sessions: &Sessions,
    ) -> Joined {
        let caller = leg.caller.number.as_deref();
        let keys = caller.and_then(|caller| self.by_place.get(&pair_key(account, caller, &leg.callee)));
        let Some(keys) = keys.filter(|keys| keys.len() <= CANDIDATES_MAX) else { return Joined::ToNone };
        let recent = |key: &&SessionKey| {
            let open = sessions.get(key).map(|open| &open.session);
            open.is_some_and(|session| session.has_both_numbers(leg, at))
        };
        let mut recent = keys.iter().filter(recent);
        let (Some(&key), None) = (recent.next(), recent.next()) else { return Joined::ToNone };
        let goes_on = sessions.get(&key).is_some_and(|open| open.session.may_go_on_elsewhere(leg, at));
        if goes_on { Joined::To(key, Rule::JoinedByBothNumbers) } else { Joined::ToNone }
    }

    /// The session that has this name.
    pub(crate) fn by_name(&self, account: AccountId, name: &Alias) -> Option<SessionKey> {
        self.by_alias.get(&alias_key(account, name)).copied()
    }

    /// The sessions of people: those of a host with any of these numbers, and those of two of them.
    pub(crate) fn by_people(
        &self,
        account: AccountId,
        host: IpAddr,
        numbers: &[Arc<str>],
    ) -> SmallVec<[SessionKey; 4]> {
        let places = numbers.iter().map(|number| place_key(account, host, number));
        let pairs = numbers.iter().flat_map(|one| {
            let others = numbers.iter().filter(move |other| *other != one);
            others.map(move |other| pair_key(account, one, other))
        });
        let found = places.chain(pairs).filter_map(|name| self.by_place.get(&name));
        found.filter(|keys| keys.len() <= CANDIDATES_MAX).flatten().copied().collect()
    }

    /// The only session whose caller a switch moves with a call that it places.
    pub(crate) fn moved_by(
        &self,
        owner: &Account,
        leg: &LegCreated,
        sessions: &Sessions,
    ) -> Option<SessionKey> {
        let (src, caller) = (owner.switch_address(leg.src)?, leg.caller.number.as_deref()?);
        let keys = self.by_place.get(&place_key(owner.id(), src.ip(), caller))?;
        let mut moved = keys
            .iter()
            .copied()
            .rev()
            .take(CANDIDATES_MAX)
            .filter(|key| sessions.get(key).is_some_and(|open| open.session.is_moved_by(leg)));
        let first = moved.next()?;
        moved.next().is_none().then_some(first)
    }

    /// The sessions that look like this one and reached the same host, and this one itself.
    pub(crate) fn twins(&self, session: &Session) -> &[SessionKey] {
        let account = session.facts.account;
        let host = session.caller_reached();
        let keys = host
            .and_then(|host| self.by_place.get(&place_key(account, host.ip(), &session.dialled.number)))
            .filter(|keys| keys.len() <= CANDIDATES_MAX);
        keys.map_or(&[], |keys| keys)
    }

    /// Remembers that a transfer asked for a call to this number.
    pub(crate) fn expect(
        &mut self,
        account: AccountId,
        number: &str,
        key: SessionKey,
        kept: &mut IndexEntries,
    ) {
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
        kept: &mut IndexEntries,
    ) {
        for alias in aliases.iter().filter(|alias| !matches!(alias, Alias::OtherCallId(_))) {
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
        kept: &mut IndexEntries,
    ) {
        let withheld = session.withholds.then_some(WITHHELD);
        let numbers = session.numbers().chain(withheld).map(|number| place_key(account, host, number));
        let pair = session.caller_and_dialled().map(|(caller, dialled)| pair_key(account, caller, dialled));
        for name in numbers.chain(pair) {
            if !kept.places.contains(&name) {
                let keys = self.by_place.entry(name).or_default();
                if let Err(at) = keys.binary_search(&key) {
                    keys.insert(at, key);
                }
                kept.places.push(name);
            }
        }
    }

    /// Remembers whom a switch has called for a session, by a number that is not the one that was dialled.
    pub(crate) fn add_target(
        &mut self,
        account: AccountId,
        switch: IpAddr,
        number: &str,
        key: SessionKey,
        kept: &mut IndexEntries,
    ) {
        let name = place_key(account, switch, number);
        if !kept.places.contains(&name) {
            let keys = self.by_place.entry(name).or_default();
            if let Err(at) = keys.binary_search(&key) {
                keys.insert(at, key);
            }
            kept.places.push(name);
        }
    }

    /// Forgets a session.
    pub(crate) fn remove(&mut self, key: SessionKey, kept: IndexEntries) {
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

/// Entries of the index that lead to one session.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct IndexEntries {
    aliases: SmallVec<[AliasKey; 1]>,
    places: SmallVec<[PlaceKey; 2]>,
    expected: Vec<PlaceKey>,
}

fn alias_key(account: AccountId, alias: &Alias) -> AliasKey {
    let (kind, id) = match alias {
        Alias::CallId(id) | Alias::OtherCallId(id) => (IdHash::new("Call-ID"), id),
        Alias::SessionId(id) => (IdHash::new("Session-ID"), id),
        Alias::Correlation(id) => (IdHash::new("correlation"), id),
        Alias::Channel(id) => (IdHash::new("channel"), id),
        Alias::ChargingId(id) => (IdHash::new("charging id"), id),
    };
    kind.number(account.as_u64()).part(id).u128()
}

fn expected_key(account: AccountId, number: &str) -> PlaceKey {
    IdHash::new("expected").number(account.as_u64()).number(NumberKey::of(number).as_u64()).u64()
}

fn place_key(account: AccountId, host: IpAddr, number: &str) -> PlaceKey {
    let hash = IdHash::new("place").number(account.as_u64()).number(NumberKey::of(number).as_u64());
    match host {
        IpAddr::V4(host) => hash.part(&host.octets()).u64(),
        IpAddr::V6(host) => hash.part(&host.octets()).u64(),
    }
}

/// The key of the calls from one number to another, whatever host they reached.
fn pair_key(account: AccountId, caller: &str, callee: &str) -> PlaceKey {
    let hash = IdHash::new("pair").number(account.as_u64()).number(NumberKey::of(caller).as_u64());
    hash.number(NumberKey::of(callee).as_u64()).u64()
}

/// Outcome of the search for the session of a new call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Joined {
    /// It belongs to this session, by this rule.
    To(SessionKey, Rule),
    /// It may belong to one of several, and nothing tells to which.
    Unclear,
    /// It belongs to none that is known.
    ToNone,
}

/// A session that a new call may belong to.
struct Candidate<'a> {
    fit: Fit,
    key: SessionKey,
    session: &'a Session,
}

/// The session of a new call among those that it fits.
fn decide(candidates: &[Candidate<'_>]) -> Joined {
    let Some(fit) = candidates.iter().map(|candidate| candidate.fit).max() else { return Joined::ToNone };
    let mut best = candidates.iter().filter(|candidate| candidate.fit == fit);
    let Some(mut first) = best.next() else { return Joined::ToNone };
    for other in best {
        if !other.session.is_twin_of(first.session) {
            return Joined::Unclear;
        }
        if other.key < first.key {
            first = other; // a switch serves calls in their order
        }
    }
    let by_caller_alone = |other: &&Candidate<'_>| other.fit.is_by_caller_alone();
    if fit.is_by_caller_alone()
        && first.session.has_answered()
        && candidates.iter().filter(by_caller_alone).count() >= COMPANY_CALLS
    {
        return Joined::Unclear; // who waits in a queue may wait for long: the number tells one only from few others
    }
    let mut others = candidates.iter().filter(|other| other.key != first.key);
    if fit.is_without_number() {
        if !fit.is_expected || first.session.has_answered() {
            return Joined::ToNone; // who waits in a queue may wait for long: that is no moment
        }
        let fits_too =
            |other: &Candidate<'_>| other.fit.is_expected && !other.session.is_twin_of(first.session);
        if fit.callee == CalleeFit::Differs && others.clone().any(fits_too) {
            return Joined::Unclear; // the moment alone does not tell withheld calls apart
        }
    }
    let has_twin = others.any(|other| other.session.is_twin_of(first.session));
    let rule =
        if has_twin || fit.is_without_number() { Rule::JoinedNotSurely } else { Rule::JoinedByNumbers };
    Joined::To(first.key, rule)
}
