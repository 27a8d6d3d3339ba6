//! Arguments that every change of a session needs.

use std::ops::Deref;

use hookswitch_model::{AccountId, Causes, InputRef, LegCreated, LegId, Signal, Timestamp};

use super::timer::Timer;
use crate::policy::Policy;

/// Moment of a change, the input that tells of it, and the policy that holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Context {
    /// The policy that the change is judged by.
    pub(crate) policy: Policy,
    /// Moment of the change, in signal time.
    pub(crate) at: Timestamp,
    /// The input that tells of it.
    pub(crate) input: InputRef,
    /// The account that its source has given: no call of another account is found for it.
    pub(crate) account: Option<AccountId>,
    /// The timer that brings it about, if no signal does.
    pub(super) timer: Option<Timer>,
}

impl Context {
    /// The moment and input of a signal.
    pub(crate) fn of(signal: &Signal, policy: Policy) -> Self {
        let account = signal.account_given.then_some(signal.account);
        Self { policy, at: signal.at, input: signal.input, account, timer: None }
    }

    /// The cause of an event that follows from the input alone.
    pub(super) fn causes(&self) -> Causes {
        Causes::one(self.input)
    }
}

/// A leg that has come into being.
#[derive(Clone, Copy)]
pub(crate) struct NewLeg<'a> {
    /// The id that signals about it carry.
    pub(crate) id: LegId,
    /// Facts of its creation.
    pub(crate) created: &'a LegCreated,
}

impl Deref for NewLeg<'_> {
    type Target = LegCreated;

    fn deref(&self) -> &LegCreated {
        self.created
    }
}
