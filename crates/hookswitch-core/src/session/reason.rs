//! The tables that turn a [`Cause`] into what the API shows: a [`Reason`], and whether the call
//! counts as missed (contract events §6.1, §6.3, §10).

use hookswitch_model::{Cause, Reason};

use crate::policy::MissedCallPolicy;

/// Party of a call that a cause is read for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// The caller, of a call to a number of the account.
    CallerInside,
    /// The caller, of a call to an outside number.
    CallerOutside,
    /// Somebody who is called.
    Callee,
}

/// A row for each cause: the reason shown on a called party, on the caller when the called number
/// belongs to the account, and on the caller when it does not.
///
/// Sources translate into causes by tables of their own (SIP status and Q.850 cause).
const REASONS: &[(Cause, [Option<Reason>; 3])] = {
    use Reason as R;
    &[
        (Cause::HungUp, [None, None, None]),
        (Cause::Cancelled, [Some(R::Cancelled), None, None]),
        (Cause::Withdrawn, [Some(R::NoAnswer), Some(R::NoAnswer), Some(R::NoAnswer)]),
        (Cause::AnsweredElsewhere, [None, None, None]),
        (Cause::NoAnswer, [Some(R::NoAnswer), Some(R::NoAnswer), Some(R::NoAnswer)]),
        (Cause::Busy, [Some(R::TargetBusy), Some(R::TargetBusy), Some(R::TargetBusy)]),
        (Cause::Rejected, [Some(R::Rejected), Some(R::Rejected), Some(R::Rejected)]),
        (Cause::Redirected, [Some(R::CallRedirected), Some(R::NoAnswer), Some(R::NoAnswer)]),
        (Cause::UnknownNumber, [Some(R::InvalidNumber), Some(R::NoSuchUser), Some(R::InvalidNumber)]),
        (Cause::Blocked, [Some(R::DestinationBlocked); 3]),
        (Cause::InternationalBarred, [Some(R::InternationalDisabled); 3]),
        (Cause::NoFunds, [Some(R::NotEnoughFunds); 3]),
        (Cause::Failed, [Some(R::InternalError); 3]),
        (Cause::Lost, [Some(R::CallDropped); 3]),
        (Cause::Unlisted, [None, None, None]),
        (Cause::SwitchLost, [Some(R::CallDropped); 3]),
        (Cause::Cleared, [None, None, None]),
    ]
};

/// The reason that a cause is shown as, if any.
pub(super) fn reason(cause: Cause, role: Role) -> Option<Reason> {
    if let Cause::Named(reason) = cause {
        return Some(reason);
    }
    let column = match role {
        Role::Callee => 0,
        Role::CallerInside => 1,
        Role::CallerOutside => 2,
    };
    REASONS.iter().find(|(row, _)| *row == cause).and_then(|(_, reasons)| reasons[column])
}

/// End of an unanswered call as a called extension sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unanswered {
    /// With a reason that makes a call missed, or in the mailbox.
    Missed,
    /// The same, by the target's own refusal while other members of its group still ring.
    RefusedInGroup,
    /// Because another member answered, or picked the call up.
    Elsewhere,
    /// For a reason that is not the callee's: the network failed, the call was forwarded.
    Other,
}

impl Unanswered {
    /// Tests whether a call that ended so is missed.
    pub(super) const fn is_missed(self, policy: MissedCallPolicy) -> bool {
        use MissedCallPolicy as Policy;
        match (policy, self) {
            (_, Self::Missed)
            | (Policy::AnsweredElsewhereIsMissed, Self::Elsewhere | Self::RefusedInGroup) => true,
            (_, Self::RefusedInGroup | Self::Elsewhere | Self::Other) => false,
        }
    }
}

/// The reasons that make an unanswered call a missed one (contract events §6.3).
pub(super) const MISSED_REASONS: &[Reason] = &[
    Reason::Cancelled,
    Reason::NoAnswer,
    Reason::TargetBusy,
    Reason::Rejected,
    Reason::Timeout,
    Reason::Voicemail,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_has_its_row_and_named_reasons_pass() {
        for cause in [
            Cause::HungUp,
            Cause::Cleared,
            Cause::Cancelled,
            Cause::Withdrawn,
            Cause::AnsweredElsewhere,
            Cause::NoAnswer,
            Cause::Busy,
            Cause::Rejected,
            Cause::Redirected,
            Cause::UnknownNumber,
            Cause::Blocked,
            Cause::InternationalBarred,
            Cause::NoFunds,
            Cause::Failed,
            Cause::Lost,
            Cause::Unlisted,
            Cause::SwitchLost,
        ] {
            assert_eq!(REASONS.iter().filter(|(row, _)| *row == cause).count(), 1, "{cause:?}");
        }
        for &named in Reason::ALL {
            assert_eq!(reason(Cause::Named(named), Role::Callee), Some(named));
        }
        assert_eq!(reason(Cause::UnknownNumber, Role::CallerInside), Some(Reason::NoSuchUser));
        assert_eq!(reason(Cause::UnknownNumber, Role::CallerOutside), Some(Reason::InvalidNumber));
    }

    #[test]
    fn a_call_answered_by_another_member_is_missed_under_one_policy_only() {
        assert!(!Unanswered::Elsewhere.is_missed(MissedCallPolicy::Standard));
        assert!(Unanswered::Elsewhere.is_missed(MissedCallPolicy::AnsweredElsewhereIsMissed));
        assert!(Unanswered::Missed.is_missed(MissedCallPolicy::Standard));
    }
}
