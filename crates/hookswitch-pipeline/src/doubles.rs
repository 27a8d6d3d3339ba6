//! Calls that come twice: an agent sees the SIP of a switch that tells of its calls itself, and nothing says that the
//! two belong together.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use hookswitch_model::number::NumberKey;
use hookswitch_model::{Direction, Signal, SignalKind, Timestamp};

/// How long before or after the switch its SIP may tell of a call.
const WINDOW: Duration = Duration::from_secs(2);

/// The most calls that are looked at for one that is the same, the latest.
const CALLS_MAX: usize = 64;

/// Watches for calls of one caller to one number at one moment, from an agent and from a switch.
///
/// It changes nothing that is told, so it is no part of a saved state.
#[derive(Default)]
pub(crate) struct Doubles {
    recent: VecDeque<Call>,
    /// The pairs of agent and switch that were found.
    found: BTreeSet<(u16, u16)>,
    /// Those of them that nobody has taken yet.
    untaken: Vec<(u16, u16)>,
}

struct Call {
    at: Timestamp,
    source: u16,
    is_switch: bool,
    caller: Arc<str>,
    callee: Arc<str>,
}

impl Doubles {
    /// Notes the calls that begin by these signals of a source, which came at `at` by the clock of the machine.
    pub(crate) fn note(&mut self, source: u16, is_switch: bool, signals: &[Signal], at: Timestamp) {
        for signal in signals {
            let SignalKind::Created(leg) = &signal.kind else { continue };
            let is_call =
                leg.direction == Direction::Outbound && !leg.found_running && !leg.callee.is_empty();
            let Some(caller) = leg.caller.number.clone().filter(|_| is_call) else { continue };
            while self.recent.len() >= CALLS_MAX
                || self.recent.front().is_some_and(|call| at.since(call.at) > WINDOW)
            {
                self.recent.pop_front();
            }
            let (caller_key, callee_key) = (NumberKey::of(&caller), NumberKey::of(&leg.callee));
            let same = self.recent.iter().find(|call| {
                call.is_switch != is_switch
                    && NumberKey::of(&call.caller) == caller_key
                    && NumberKey::of(&call.callee) == callee_key
            });
            if let Some(same) = same {
                let pair = if is_switch { (same.source, source) } else { (source, same.source) };
                if self.found.insert(pair) {
                    self.untaken.push(pair);
                }
            }
            let callee = leg.callee.clone();
            self.recent.push_back(Call { at, source, is_switch, caller, callee });
        }
    }

    /// Takes an agent and a switch of whose calls one came twice, each pair once.
    pub(crate) fn take(&mut self) -> Option<(u16, u16)> {
        self.untaken.pop()
    }
}
