//! Calls that go on after their end was inferred.
//!
//! A party that has ended changes no more, so what goes on is a new session, found in progress (contract events
//! §11). Its id follows from that of the one before: [`TelephonySessionId::resumed`].

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hookswitch_model::{ClockId, LegId, SessionFacts, Signal, SignalKind, Timestamp};
use serde::{Deserialize, Serialize};

use super::Engine;
use super::opening::facts_of;
use crate::directory::Directory;
use crate::session::{Context, LiveParties, Session, SessionKey};

/// Time for which a call may go on after its end was inferred: as long as one without a session timer may be silent.
const RESUMED_WITHIN: Duration = Duration::from_secs(24 * 3600);

/// The most sessions whose ends were inferred that are remembered; the oldest give way.
const PRESUMED_OVER_MAX: usize = 10_000;

/// Sessions whose ends were inferred, for a time, in case that they go on.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct PresumedOver(BTreeMap<SessionKey, Box<Presumed>>);

/// Session whose end was inferred.
#[derive(Serialize, Deserialize)]
struct Presumed {
    session: Session,
    /// Its parties as they stood before.
    standing: Box<LiveParties>,
    clock: ClockId,
    /// Time when it is forgotten.
    until: Timestamp,
}

impl PresumedOver {
    /// Tests whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Goes by another directory from here on.
    pub(super) fn relink(&mut self, directory: &mut Directory) {
        for presumed in self.0.values_mut() {
            presumed.session.relink(directory.account(presumed.session.facts.account));
        }
    }
}

impl Engine {
    /// Remembers a session whose end was inferred; its legs still lead to it.
    pub(super) fn presume_over(
        &mut self,
        key: SessionKey,
        mut session: Session,
        clock: ClockId,
        standing: Box<LiveParties>,
    ) {
        session.revive_legs(&standing);
        let until = session.last_sign() + RESUMED_WITHIN;
        self.timers.insert((clock, until, key));
        self.presumed_over.0.insert(key, Box::new(Presumed { session, standing, clock, until }));
        if self.presumed_over.0.len() > PRESUMED_OVER_MAX
            && let Some((&oldest, _)) = self.presumed_over.0.first_key_value()
        {
            self.forget_presumed(oldest);
        }
    }

    /// Forgets a session whose end was inferred: it has not gone on.
    pub(super) fn forget_presumed(&mut self, key: SessionKey) {
        let Some(presumed) = self.presumed_over.0.remove(&key) else { return };
        self.timers.remove(&(presumed.clock, presumed.until, key));
        for leg in &presumed.session.legs {
            self.legs.remove(&leg.id);
        }
    }

    /// Opens the session of a call that goes on, as a signal of one of its legs shows, or one that offers it to a
    /// further target.
    pub(super) fn resume(&mut self, signal: &Signal) {
        let leg = match &signal.kind {
            SignalKind::Created(created) if !self.legs.contains_key(&signal.leg) => created.of,
            _ => Some(signal.leg),
        };
        let ctx = &Context::of(signal, self.policy);
        let Some((leg, &key)) = leg.and_then(|leg| Some((leg, self.legs.get(&leg)?))) else { return };
        let Some(presumed) = self.presumed_over.0.get_mut(&key) else { return };
        if ctx.account.is_some_and(|given| given != presumed.session.facts.account) {
            return;
        }
        match &signal.kind {
            SignalKind::Ended(_) | SignalKind::CancelSent => {
                if !presumed.session.ends_unseen(leg) {
                    self.forget_presumed(key);
                }
                return;
            }
            SignalKind::Note(_)
            | SignalKind::Dialog(_)
            | SignalKind::Named(_)
            | SignalKind::ServedBy(_)
            | SignalKind::AlsoAt(_) => {
                return;
            }
            _ => {}
        }
        let Some(presumed) = self.presumed_over.0.remove(&key) else { return };
        let Presumed { mut session, standing, clock, until } = *presumed;
        self.timers.remove(&(clock, until, key));
        let SessionFacts { account, id, origin, .. } = *session.facts;
        session.resume(Arc::new(facts_of(account, id.resumed(), origin)), *standing, ctx);
        let reached = session.caller_reached();
        let legs: Vec<LegId> = session.legs.iter().map(|leg| leg.id).collect();
        let key = self.insert(clock, session);
        self.legs.extend(legs.into_iter().map(|leg| (leg, key)));
        if let (Some(open), Some(reached)) = (self.sessions.get_mut(&key), reached) {
            self.joiner.add_host(account, reached.ip(), &open.session, key, &mut open.kept);
        }
    }
}
