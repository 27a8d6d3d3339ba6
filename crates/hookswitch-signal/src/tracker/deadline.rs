//! Decisions about what has not come in time: the next try of a caller who was refused, the final
//! response to a cancelled INVITE, any response at all.

use std::collections::VecDeque;
use std::time::Duration;

use hookswitch_model::{Cause, InputRef, LegId, Note, Signal, SignalKind, Timestamp};
use serde::{Deserialize, Serialize};

use super::SipTracker;
use super::call::{Call, Hop, HopState};

/// Time that a caller who was refused may take to try again, and a proxy to try the next target, so that it is
/// the same call: as long as an end may wait for its cause (contract events §10).
pub(super) const NEXT_TRY_MAX: Duration = Duration::from_millis(500);

/// Time that who dials may take for the next digit when the number was not complete: the inter-digit timer of
/// ISDN, T302 of Q.931 §9.5.
pub(super) const NEXT_DIGIT_MAX: Duration = Duration::from_secs(15);

/// Time that a cancelled INVITE waits for its final response (RFC 3261 §9.1), and an INVITE for any response
/// (Timer B, §17.1.1.2): 64 times T1.
pub(super) const RESPONSE_MAX: Duration = Duration::from_secs(32);

/// Moments at which calls are looked at, in their order.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Deadlines(VecDeque<Deadline>);

/// Moment at which a call is looked at, and for what.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Deadline {
    due: Timestamp,
    /// Place and number of the call.
    call: (usize, u64),
    awaited: Awaited,
    /// The input that it follows from.
    input: InputRef,
}

/// Message that a call waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Awaited {
    /// The next INVITE of a caller who was refused.
    NextTry,
    /// Any response to the INVITE of a hop, by its place in the call.
    Response(usize),
    /// The final response to the cancelled INVITE of a hop.
    FinalResponse(usize),
    /// A sign of life in a dialog of which one end was said not to be there, by its place in the call.
    SignOfLife(usize),
}

impl Deadlines {
    /// Notes what a call waits for until a moment.
    pub(super) fn add(&mut self, due: Timestamp, call: (usize, u64), awaited: Awaited, input: InputRef) {
        let place = self.0.partition_point(|other| other.due <= due);
        self.0.insert(place, Deadline { due, call, awaited, input });
    }

    /// Returns the time when the first is due.
    pub(super) fn next(&self) -> Option<Timestamp> {
        self.0.front().map(|deadline| deadline.due)
    }
}

impl Call {
    /// Tests whether something that was awaited has not come.
    fn awaits(&self, awaited: Awaited) -> bool {
        match awaited {
            Awaited::NextTry => self.refusal.as_ref().is_some_and(|refusal| refusal.end.is_some()),
            Awaited::Response(hop) => {
                self.hops.get(hop).is_some_and(|hop| hop.is_pending() && !hop.is_heard && !hop.relayed)
            }
            Awaited::FinalResponse(hop) => self.hops.get(hop).is_some_and(Hop::is_pending),
            Awaited::SignOfLife(dialog) => self.dialogs.get(dialog).is_some_and(|dialog| {
                !dialog.ended && dialog.doubt.as_ref().is_some_and(|doubt| !doubt.is_told)
            }),
        }
    }

    /// Tests whether nothing can come of any INVITE of the call.
    fn is_without_hope(&self) -> bool {
        self.hops.iter().all(|hop| !hop.is_pending() || (hop.relayed && !hop.is_heard))
            && !self.hops.iter().any(|hop| hop.state == HopState::Answered)
    }
}

impl SipTracker {
    /// Ends what has waited in vain until now, and forgets the deadlines that were met.
    pub(super) fn handle_deadlines(&mut self, now: Timestamp, out: &mut Vec<Signal>) {
        while let Some(&deadline) = self.deadlines.0.front() {
            let (index, number) = deadline.call;
            let is_awaited = self.is_number(index, number) && self.calls[index].awaits(deadline.awaited);
            if is_awaited && deadline.due > now {
                return;
            }
            self.deadlines.0.pop_front();
            if is_awaited {
                self.handle_deadline(deadline, now, out);
            }
        }
    }

    fn handle_deadline(&mut self, deadline: Deadline, now: Timestamp, out: &mut Vec<Signal>) {
        let (index, _) = deadline.call;
        let account = self.account;
        let mut end = |at: Timestamp, leg: LegId, note: Note, cause: Cause| {
            for kind in [SignalKind::Note(note), SignalKind::Ended(cause)] {
                let input = deadline.input;
                out.push(Signal { at, account, account_given: false, leg, input, kind });
            }
        };
        let call = &mut self.calls[index];
        let caller = call.caller;
        match deadline.awaited {
            Awaited::NextTry => self.end_refused(index, now, out),
            Awaited::Response(at) => {
                let hop = &mut call.hops[at];
                let (ended, note) = (hop.sent + RESPONSE_MAX, Note::ResponseTimer);
                hop.given_up = true;
                end(ended, hop.target, note, hop.cancelled.unwrap_or(Cause::NoAnswer));
                let may_be_over = !call.over && !call.is_presumed_over && call.refusal.is_none();
                if may_be_over && call.is_without_hope() {
                    let was_cancelled = call.hops.iter().any(|hop| hop.first && hop.cancelled.is_some());
                    let cause = if was_cancelled { Cause::Cancelled } else { Cause::NoAnswer };
                    end(ended, caller, note, cause);
                    call.is_presumed_over = true;
                }
            }
            Awaited::FinalResponse(at) => {
                let hop = &mut call.hops[at];
                hop.given_up = true;
                let (first, note) = (hop.first, Note::FinalResponseTimer);
                if !hop.relayed {
                    end(deadline.due, hop.target, note, hop.cancelled.unwrap_or(Cause::Withdrawn));
                }
                if first && !call.over && !call.is_presumed_over && !call.goes_on_beside(at) {
                    end(deadline.due, caller, note, Cause::Cancelled);
                    call.is_presumed_over = true;
                }
            }
            Awaited::SignOfLife(at) => {
                let note = Some(Note::DialogTimer);
                self.lose_dialog(now, deadline.input, (index, at), note, out);
            }
        }
    }

    /// Ends the caller's leg of each call that waits for a next try, and each dialog that waits for a sign of life:
    /// nothing more will come.
    pub(super) fn end_all_awaited(&mut self, now: Timestamp, out: &mut Vec<Signal>) {
        for deadline in std::mem::take(&mut self.deadlines.0) {
            let (index, number) = deadline.call;
            if !self.is_number(index, number) || !self.calls[index].awaits(deadline.awaited) {
                continue;
            }
            match deadline.awaited {
                Awaited::NextTry => self.end_refused(index, now, out),
                Awaited::SignOfLife(at) => self.lose_dialog(now, deadline.input, (index, at), None, out),
                Awaited::Response(_) | Awaited::FinalResponse(_) => {}
            }
        }
    }
}
