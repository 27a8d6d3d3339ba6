//! Places: how many attempts are under way at once, and whose, so that receivers that do not answer cost only
//! themselves.
//!
//! An attempt holds one of the quick places until it is answered or has waited for [`QUICK`]; then it is slow,
//! and its place is free for others. A receiver whose last attempt came to nothing, or that has let several wait
//! since it last answered, is silent, and so are all receivers at a host that has let many wait: what is sent to them
//! is slow from its beginning, and a host, an owner and all together have few of those.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::RandomState;
use hookswitch_model::{SubscriptionId, Timestamp};

use super::attempt::Outcome;
use crate::subscription::Owner;

/// Time for which an attempt holds a quick place at most.
pub(super) const QUICK: Duration = Duration::from_millis(250);

/// How many times as many attempts as quick places may be under way in all.
const ALL_TIMES: usize = 8;

/// Part of the quick places that a host may hold when more than half of them are held. As many attempts may become
/// slow without an answer before a host is silent, and be slow there for silent receivers to begin others.
const HOST_PART: usize = 8;

/// Part of as many slow attempts as there are quick places that an owner may begin.
const OWNER_PART: usize = 2;

/// Whom the attempts of a subscription go to and for whom they are.
#[derive(Clone, Debug)]
pub(super) struct Peers {
    pub(super) host: Arc<str>,
    pub(super) owner: Arc<Owner>,
}

/// Number of attempts that may become slow without an answer before a receiver is silent.
const UNANSWERED_MAX: usize = 4;

/// Recent answers of a receiver.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Answers {
    /// Set if the last attempt came to nothing.
    failed: bool,
    /// How many attempts became slow since it last answered.
    unanswered: usize,
}

impl Answers {
    pub(super) fn handle_outcome(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Response { .. } => *self = Self::default(),
            Outcome::TimedOut | Outcome::Failed(_) => self.failed = true,
            Outcome::Missing => {}
        }
    }

    pub(super) fn handle_slow(&mut self) {
        self.unanswered += 1;
    }

    fn is_silent(self) -> bool {
        self.failed || self.unanswered >= UNANSWERED_MAX
    }
}

/// Decision whether an attempt may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// It may, if its subscription has fewer than so many under way.
    Quick {
        /// The most of one subscription.
        share: usize,
    },
    /// It may, as one of the slow.
    Slow,
    /// Not while its host holds as many quick places.
    HostQuickFull,
    /// Not while its host has as many slow ones.
    HostSlowFull,
    /// Not while there are as many slow ones.
    SlowFull,
    /// No attempt may.
    Full,
}

#[derive(Debug, Default)]
struct Host {
    quick: usize,
    slow: usize,
    /// How many attempts became slow since it last answered.
    unanswered: usize,
    /// Subscriptions that wait for one of its quick places.
    held_quick: VecDeque<SubscriptionId>,
    /// Subscriptions that wait for one of its slow attempts to end.
    held_slow: VecDeque<SubscriptionId>,
}

impl Host {
    fn is_of_no_note(&self) -> bool {
        self.quick + self.slow + self.held_quick.len() + self.held_slow.len() == 0
    }
}

#[derive(Debug)]
struct Attempt {
    subscription: SubscriptionId,
    peers: Peers,
    slow: bool,
}

/// The places of all attempts.
#[derive(Debug)]
pub(super) struct Places {
    /// Number of quick ones.
    quick_max: usize,
    quick: usize,
    slow: usize,
    /// Hosts that have attempts under way, are silent, or for which subscriptions wait.
    hosts: HashMap<Arc<str>, Host, RandomState>,
    /// The slow attempts of each owner that has any.
    owners: HashMap<Arc<Owner>, usize, RandomState>,
    under_way: HashMap<u64, Attempt, RandomState>,
    /// Those that began quick, by their begin; some are over.
    begun: VecDeque<(Timestamp, u64)>,
    /// Subscriptions that wait for a slow attempt to end.
    held: VecDeque<SubscriptionId>,
    last: u64,
}

impl Places {
    pub(super) fn new(quick_max: usize) -> Self {
        Self {
            quick_max,
            quick: 0,
            slow: 0,
            hosts: HashMap::default(),
            owners: HashMap::default(),
            under_way: HashMap::default(),
            begun: VecDeque::new(),
            held: VecDeque::new(),
            last: 0,
        }
    }

    /// Returns the number of attempts that are under way.
    pub(super) fn in_flight(&self) -> usize {
        self.under_way.len()
    }

    /// Returns `true` if an attempt at a receiver may begin that has answered so of late.
    pub(super) fn admission(&self, peers: &Peers, answers: Answers) -> Admission {
        if self.under_way.len() >= ALL_TIMES * self.quick_max {
            return Admission::Full;
        }
        let host_max = self.host_max();
        let [quick, slow, unanswered] =
            self.hosts.get(&peers.host).map_or([0; 3], |host| [host.quick, host.slow, host.unanswered]);
        if answers.is_silent() || unanswered >= host_max {
            let of_owner = self.owners.get(&peers.owner).copied().unwrap_or(0);
            return if slow >= host_max {
                Admission::HostSlowFull
            } else if self.slow >= self.quick_max || of_owner >= (self.quick_max / OWNER_PART).max(1) {
                Admission::SlowFull
            } else {
                Admission::Slow
            };
        }
        // With many receivers that take their time, the others still get their turn.
        let busy = self.quick >= self.quick_max / 2;
        if self.quick >= self.quick_max {
            Admission::Full
        } else if busy && quick >= host_max {
            Admission::HostQuickFull
        } else {
            Admission::Quick { share: if busy { 1 } else { usize::MAX } }
        }
    }

    /// Lets a subscription wait for what it was refused for; one that is not silent itself comes before those that are.
    pub(super) fn hold(&mut self, admission: Admission, peers: &Peers, answers: Answers, id: SubscriptionId) {
        let held = match admission {
            Admission::HostQuickFull => &mut self.host(&peers.host).held_quick,
            Admission::HostSlowFull => &mut self.host(&peers.host).held_slow,
            Admission::SlowFull => &mut self.held,
            Admission::Quick { .. } | Admission::Slow | Admission::Full => return,
        };
        if answers.is_silent() || admission == Admission::HostQuickFull {
            held.push_back(id);
        } else {
            held.push_front(id);
        }
    }

    /// Takes that an attempt begins, and gives the number by which it ends.
    pub(super) fn begin(
        &mut self,
        subscription: SubscriptionId,
        peers: &Peers,
        slow: bool,
        now: Timestamp,
    ) -> u64 {
        self.last += 1;
        let host = self.host(&peers.host);
        if slow {
            host.slow += 1;
            self.slow += 1;
            *self.owners.entry(peers.owner.clone()).or_default() += 1;
        } else {
            host.quick += 1;
            self.quick += 1;
            self.begun.push_back((now, self.last));
        }
        self.under_way.insert(self.last, Attempt { subscription, peers: peers.clone(), slow });
        self.last
    }

    /// Takes that an attempt has ended, and how; `go_on` gets the subscriptions that need not wait any longer.
    pub(super) fn end(&mut self, number: u64, outcome: &Outcome, mut go_on: impl FnMut(SubscriptionId)) {
        let Some(Attempt { peers, slow, .. }) = self.under_way.remove(&number) else { return };
        let host_max = self.host_max();
        let Some(host) = self.hosts.get_mut(&peers.host) else { return };
        // The first that waits takes the place; nobody waits for places that nobody holds.
        if slow {
            host.slow -= 1;
            self.slow -= 1;
            if let Some(count) = self.owners.get_mut(&peers.owner) {
                *count -= 1;
                if *count == 0 {
                    self.owners.remove(&peers.owner);
                }
            }
            take(&mut host.held_slow, host.slow > 0, &mut go_on);
            take(&mut self.held, self.slow > 0, &mut go_on);
        } else {
            host.quick -= 1;
            self.quick -= 1;
            take(&mut host.held_quick, host.quick > 0, &mut go_on);
        }
        if matches!(outcome, Outcome::Response { .. }) {
            // Receivers that are not silent themselves need not wait any longer.
            if std::mem::take(&mut host.unanswered) >= host_max {
                take(&mut host.held_slow, false, &mut go_on);
            }
        }
        if host.is_of_no_note() && host.unanswered < host_max {
            self.hosts.remove(&peers.host);
        }
        while let Some((_, first)) = self.begun.front()
            && !self.under_way.contains_key(first)
        {
            self.begun.pop_front();
        }
    }

    /// Takes that time passes: attempts that have waited for long are slow, which `became_slow` is told of. `go_on` gets
    /// the subscriptions that need not wait any longer.
    pub(super) fn handle_time(
        &mut self,
        now: Timestamp,
        mut became_slow: impl FnMut(SubscriptionId),
        mut go_on: impl FnMut(SubscriptionId),
    ) {
        while let Some(&(begun, number)) = self.begun.front()
            && begun + QUICK <= now
        {
            self.begun.pop_front();
            let Some(attempt) = self.under_way.get_mut(&number) else { continue };
            attempt.slow = true;
            self.quick -= 1;
            self.slow += 1;
            *self.owners.entry(attempt.peers.owner.clone()).or_default() += 1;
            became_slow(attempt.subscription);
            if let Some(host) = self.hosts.get_mut(&attempt.peers.host) {
                host.quick -= 1;
                host.slow += 1;
                host.unanswered += 1;
                take(&mut host.held_quick, host.quick > 0, &mut go_on);
            }
        }
    }

    /// Returns the time when an attempt frees its quick place at the latest.
    pub(super) fn poll_timeout(&self) -> Option<Timestamp> {
        self.begun.front().map(|&(begun, _)| begun + QUICK)
    }

    /// Takes that a host has no subscription any longer, as far as can be seen here: it is forgotten if nothing is
    /// under way.
    pub(super) fn forget(&mut self, host: &str) {
        if self.hosts.get(host).is_some_and(Host::is_of_no_note) {
            self.hosts.remove(host);
        }
    }

    fn host_max(&self) -> usize {
        (self.quick_max / HOST_PART).max(1)
    }

    fn host(&mut self, name: &Arc<str>) -> &mut Host {
        self.hosts.entry(name.clone()).or_default()
    }
}

/// Takes the first that is held, or all if `one` is false.
fn take(held: &mut VecDeque<SubscriptionId>, one: bool, go_on: impl FnMut(SubscriptionId)) {
    let count = if one { held.len().min(1) } else { held.len() };
    held.drain(..count).for_each(go_on);
}
