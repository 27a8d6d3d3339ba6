//! Rules on which clients depend. Tests switch them off one by one, to see that what guards them notices; in a
//! release build nothing can.

/// Notifications wait for the pong that shows that the client listens.
pub(super) const BARRIER: &str = "barrier";

/// Rule: what a client has missed is sent when it comes back.
pub(super) const RECOVERY: &str = "recovery";

/// A client that wants to go on with a session is told what became of it.
pub(super) const RECOVERY_STATE: &str = "recovery_state";

/// Returns `true` if a rule holds.
pub(super) fn holds(rule: &str) -> bool {
    !cfg!(debug_assertions) || std::env::var("TEST_WITHOUT_RULE").as_deref() != Ok(rule)
}
