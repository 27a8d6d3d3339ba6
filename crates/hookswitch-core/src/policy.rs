//! Behaviour of the machine that users choose.

/// The most sessions that are open at once; beyond it the oldest unanswered call ends as
/// `CallDropped`, and if there is none, the new one is refused (reliability F3).
pub const SESSIONS_MAX: usize = 1_000_000;

/// Behaviour of the machine where users differ.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// Rule by which a call counts as missed.
    pub missed_calls: MissedCallPolicy,
    /// Set if an ordinary hang-up has the reason `CallFinished`; none by default, as recorded.
    pub explicit_reasons: bool,
    /// Set if legs without a common id are joined by the heuristic of host, numbers and time.
    pub join_by_numbers: bool,
    /// The most sessions that are open at once.
    pub sessions_max: usize,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            missed_calls: MissedCallPolicy::default(),
            explicit_reasons: false,
            join_by_numbers: true,
            sessions_max: SESSIONS_MAX,
        }
    }
}

/// Rule by which a party has missed a call. Users disagree about it more than about anything else, so it
/// is a named policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MissedCallPolicy {
    /// The contract's rule (§6.3): an extension that was called and never answered, unless another
    /// member of its group answered or can still answer.
    #[default]
    Standard,
    /// As `Standard`, and calls that another member answered are missed too.
    AnsweredElsewhereIsMissed,
}
