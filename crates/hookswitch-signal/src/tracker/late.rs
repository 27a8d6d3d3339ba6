//! Requests that are reported after their responses.
//!
//! A server with several workers reports a request once it has sent it; the response comes to another worker,
//! which reports it at once. So a response to an INVITE or UPDATE of which nothing is known waits a little for
//! its request, and what follows in its call waits behind it. All of it is then taken in the order of the
//! protocol.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use hookswitch_model::{InputRef, Signal, Timestamp};
use serde::{Deserialize, Serialize};

use super::call::Call;
use super::{Seen, SipTracker};
use crate::capture::{Captured, Transport};
use crate::sip::{Message, StartLine};

/// Time that a response waits for its request where nothing else is set.
pub const LATE_MAX: Duration = Duration::from_millis(100);

/// The most messages that wait, and the most bytes of them; further ones are taken as they come.
const HELD_MAX: usize = 4096;
const HELD_BYTES_MAX: usize = 16 << 20;

/// Messages that wait for a request, in the order in which they came.
#[derive(Serialize, Deserialize)]
pub(super) struct Late {
    held: VecDeque<Held>,
    bytes: usize,
    wait: Duration,
}

impl Default for Late {
    fn default() -> Self {
        Self { held: VecDeque::new(), bytes: 0, wait: LATE_MAX }
    }
}

/// A message that waits: for its request, or for those before it in its call.
#[derive(Serialize, Deserialize)]
struct Held {
    due: Timestamp,
    call_id: Box<[u8]>,
    is_request: bool,
    /// The branch of its top Via.
    branch: Option<Box<[u8]>>,
    input: InputRef,
    time: Timestamp,
    is_stream: bool,
    src: SocketAddr,
    dst: SocketAddr,
    packet: u64,
    correlation: Option<Box<[u8]>>,
    payload: Box<[u8]>,
}

impl Held {
    fn captured(&self) -> Captured<'_> {
        Captured {
            time: self.time,
            transport: if self.is_stream { Transport::Tcp } else { Transport::Udp },
            src: self.src,
            dst: self.dst,
            packet: self.packet,
            correlation: self.correlation.as_deref(),
            payload: &self.payload,
        }
    }
}

impl Late {
    /// Sets how long a response waits for its request; 0: not at all.
    pub(super) fn set_wait(&mut self, wait: Duration) {
        self.wait = wait;
    }

    /// Tests whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Returns the time when the first has waited long enough.
    pub(super) fn next(&self) -> Option<Timestamp> {
        self.held.front().map(|held| held.due)
    }

    /// Lets a message wait; false if there is no room, or if nothing is to wait.
    pub(super) fn hold(&mut self, message: &Message<'_>, captured: &Captured<'_>, input: InputRef) -> bool {
        let size = captured.payload.len();
        if self.wait.is_zero() || self.held.len() >= HELD_MAX || self.bytes + size > HELD_BYTES_MAX {
            return false;
        }
        self.bytes += size;
        self.held.push_back(Held {
            due: captured.time + self.wait,
            call_id: message.call_id().into(),
            is_request: matches!(message.start(), StartLine::Request { .. }),
            branch: message.top_via().unique_branch().map(Into::into),
            input,
            time: captured.time,
            is_stream: captured.transport == Transport::Tcp,
            src: captured.src,
            dst: captured.dst,
            packet: captured.packet,
            correlation: captured.correlation.map(Into::into),
            payload: captured.payload.into(),
        });
        true
    }

    /// Tests whether a message must wait behind others of its call: it is not the request that the first of
    /// them waits for.
    pub(super) fn comes_before(&self, message: &Message<'_>) -> bool {
        let call_id = message.call_id();
        let Some(first) = self.held.iter().find(|held| *held.call_id == *call_id) else { return false };
        let is_request = matches!(message.start(), StartLine::Request { .. });
        let branch = message.top_via().unique_branch().filter(|_| is_request);
        branch.is_none() || first.branch.as_deref() != branch
    }

    /// The place of the request that a response waits for, where it waits itself.
    fn request_of(&self, response: &Held) -> Option<usize> {
        self.held.iter().position(|held| {
            held.is_request
                && *held.call_id == *response.call_id
                && held.branch.is_some()
                && held.branch == response.branch
        })
    }

    fn take(&mut self, place: usize) -> Option<Held> {
        let held = self.held.remove(place)?;
        self.bytes -= held.payload.len();
        Some(held)
    }

    fn put_back(&mut self, place: usize, held: Held) {
        self.bytes += held.payload.len();
        self.held.insert(place, held);
    }
}

impl SipTracker {
    /// Sets how long a response that is reported before its request waits for it; [`LATE_MAX`] by default, 0
    /// for not at all.
    pub fn set_late_wait(&mut self, wait: Duration) {
        self.late.set_wait(wait);
    }

    /// Takes what has waited long enough, and what waits behind it.
    pub(super) fn release_due(&mut self, now: Timestamp, out: &mut Vec<Signal>) {
        while self.late.next().is_some_and(|due| due <= now) {
            let Some(held) = self.late.take(0) else { return };
            self.take_held(&held, false, out);
            self.release(&held.call_id, now, out);
        }
    }

    /// Takes all that waits: nothing more will come.
    pub(super) fn release_all(&mut self, out: &mut Vec<Signal>) {
        while let Some(held) = self.late.take(0) {
            self.take_held(&held, false, out);
        }
    }

    /// Takes the messages of a call that have waited, as far as their requests are known now.
    pub(super) fn release(&mut self, call_id: &[u8], now: Timestamp, out: &mut Vec<Signal>) {
        while let Some(place) = self.late.held.iter().position(|held| *held.call_id == *call_id) {
            let Some(held) = self.late.take(place) else { return };
            let may_wait = held.due > now;
            if self.take_held(&held, may_wait, out) {
                continue;
            }
            let request = self.late.request_of(&held).and_then(|place| self.late.take(place));
            self.late.put_back(place, held);
            let Some(request) = request else { return };
            self.take_held(&request, false, out);
        }
    }

    /// Takes a message that has waited; false if it waits on.
    fn take_held(&mut self, held: &Held, may_wait: bool, out: &mut Vec<Signal>) -> bool {
        let captured = held.captured();
        let Ok(message) = Message::parse(&held.payload) else {
            self.counters.stray += 1; // it was understood when it came
            return true;
        };
        self.take(&message, &captured, held.input, may_wait, out)
    }

    /// Tests whether a response to an INVITE or UPDATE comes before its request.
    pub(super) fn is_before_request(&self, seen: &Seen<'_, '_>) -> bool {
        let branch = seen.message.top_via().unique_branch().unwrap_or_default();
        let cseq = seen.message.cseq().number;
        let is_known = self
            .find_dialog(seen)
            .is_some_and(|(index, at, side)| self.calls[index].dialogs[at].is_asked_by(side, cseq, branch));
        !is_known && self.expects_request(seen)
    }

    /// Tests whether the request of a response to an INVITE or UPDATE is likely to come: nothing is known of its
    /// SIP call, or the Vias below name the hop before it. Nobody else knows that, so that forged responses
    /// hold nothing up.
    fn expects_request(&self, seen: &Seen<'_, '_>) -> bool {
        let Some(newest) = seen.newest else { return true };
        let message = seen.message;
        let cseq = message.cseq().number;
        let tag = message.from_tag().unwrap_or_default();
        let dialog = self.find_dialog(seen);
        let mut below = message.vias().skip(1).filter_map(|via| via.unique_branch());
        below.any(|branch| {
            let is_hop = |call: &Call| {
                *call.caller_tag == *tag
                    && call.hops.iter().any(|hop| hop.cseq == cseq && *hop.branch == *branch)
            };
            self.same_id(newest).any(|index| is_hop(&self.calls[index]))
                || dialog.is_some_and(|(index, at, side)| {
                    self.calls[index].dialogs[at].is_asked_by(side, cseq, branch)
                })
        })
    }
}
