//! The branches of one INVITE: hops that go on from one another, and several that one sender sends in parallel
//! or in series (RFC 3261 §16.6, §16.7).

use std::time::Duration;

use hookswitch_model::{Cause, LegId, Signal, SignalKind, Timestamp};

use super::call::{Call, Hop, HopState};
use super::{Seen, SipTracker, signal};
use crate::sip::Uri;

/// Time that an INVITE has waited for any response when its sender, who turns to another target, has given it
/// up: T1, after which it would be sent again (RFC 3261 §17.1.1.2).
const UNHEARD_MIN: Duration = Duration::from_millis(500);

/// Within this time a proxy sends the branches of a parallel fork.
const FORK_SPAN: Duration = Duration::from_millis(20);

impl Hop {
    /// Tests whether a further INVITE of the same sender is another branch, to another target, and not the same
    /// request to the next server (RFC 3263 §4.3), which may have its own host in the Request-URI.
    fn is_beside(&self, uri: &Uri<'_>, now: Timestamp) -> bool {
        if *self.request_uri == *uri.as_bytes() {
            return false;
        }
        let own = Uri::parse(&self.request_uri).ok();
        own.is_none_or(|own| own.user() != uri.user()) || now.since(self.sent) <= FORK_SPAN
    }
}

impl Call {
    /// The hop that an INVITE goes on from; none if the caller sent it.
    pub(super) fn parent_of(&self, seen: &Seen<'_, '_>) -> Option<usize> {
        let cseq = seen.message.cseq().number;
        let src = seen.captured.src;
        // A proxy keeps the Via of the hop before it below its own (RFC 3261 §16.6).
        let below = seen.message.vias().skip(1).find_map(|via| {
            let branch = via.unique_branch()?;
            self.hops.iter().rposition(|hop| *hop.branch == *branch)
        });
        // One that hides it still sends from where the hop before arrived.
        below.or_else(|| {
            self.hops.iter().rposition(|hop| {
                hop.cseq == cseq
                    && hop.dst.ip() == src.ip()
                    && hop.src != src
                    && hop.state < HopState::Answered
            })
        })
    }

    /// The hops that one sender has sent on for one request: those beside a further one from `parent`, or beside
    /// a further first one.
    fn beside<'a>(
        &'a mut self,
        parent: Option<usize>,
        cseq: u32,
        is_sender: impl Fn(&Hop) -> bool + 'a,
    ) -> impl Iterator<Item = &'a mut Hop> {
        self.hops.iter_mut().filter(move |hop| {
            hop.cseq == cseq && hop.parent == parent && (parent.is_some() || is_sender(hop))
        })
    }

    /// Gives up the hops beside one that was answered of which nothing was ever heard: a proxy cannot cancel
    /// them (RFC 3261 §9.1), and no response of theirs is awaited.
    pub(super) fn give_up_unheard_beside(&mut self, at: usize) -> Vec<LegId> {
        let answered = &self.hops[at];
        let (parent, cseq, src, dst) = (answered.parent, answered.cseq, answered.src, answered.dst);
        self.beside(parent, cseq, |hop| hop.has_sender(src, dst))
            .filter(|hop| hop.is_pending() && !hop.is_heard && !hop.relayed)
            .map(|hop| {
                hop.given_up = true;
                hop.target
            })
            .collect()
    }

    /// Gives up the last hops of which the final response has not come: the call is over.
    pub(super) fn give_up_pending(&mut self) -> Vec<LegId> {
        self.hops
            .iter_mut()
            .filter(|hop| hop.is_pending() && !hop.relayed)
            .map(|hop| {
                hop.given_up = true;
                hop.target
            })
            .collect()
    }

    /// The leg to who has answered behind a hop, where the answer was not seen on the last hop: it was lost, or
    /// comes later.
    pub(super) fn answerer_behind(&mut self, at: usize, to_tag: Option<&[u8]>) -> Option<LegId> {
        let dialog = self.dialogs.iter().position(|dialog| Some(&*dialog.tag) == to_tag)?;
        let bound = self.dialogs[dialog].target;
        let by_tag = self.hops.iter().position(|hop| hop.target == bound)?;
        let hop = if by_tag == at { self.only_pending_behind(at)? } else { by_tag };
        if !self.hops[hop].is_pending() {
            return None;
        }
        self.hops[hop].state = HopState::Answered;
        self.dialogs[dialog].target = self.hops[hop].target;
        Some(self.hops[hop].target)
    }

    /// The last hop behind a hop that alone may have been answered: it was not cancelled, and no other tag is
    /// known there.
    fn only_pending_behind(&self, at: usize) -> Option<usize> {
        let mut pending = self.hops.iter().enumerate().filter(|&(index, hop)| {
            hop.is_pending() && !hop.relayed && hop.cancelled.is_none() && self.is_behind(index, at)
        });
        let (only, hop) = pending.next().filter(|_| pending.next().is_none())?;
        self.dialogs.iter().all(|dialog| dialog.target != hop.target).then_some(only)
    }

    fn is_behind(&self, hop: usize, at: usize) -> bool {
        let mut before = std::iter::successors(self.hops[hop].parent, |&before| self.hops[before].parent);
        before.any(|before| before == at)
    }
}

impl SipTracker {
    /// Notes what a further INVITE of a call says of those before: their far ends pass it on, or its sender has
    /// turned from them. True if its sender has looked up where the target is.
    pub(super) fn turn_from_others(
        &mut self,
        seen: &Seen<'_, '_>,
        index: usize,
        parent: Option<usize>,
        uri: &Uri<'_>,
        out: &mut Vec<Signal>,
    ) -> bool {
        let account = self.account;
        let (src, dst, now) = (seen.captured.src, seen.captured.dst, seen.captured.time);
        let cseq = seen.message.cseq().number;
        let call = &mut self.calls[index];
        let mut is_looked_up = false;
        if let Some(parent) = parent {
            let parent = &mut call.hops[parent];
            is_looked_up = *parent.request_uri != *uri.as_bytes();
            if !parent.relayed {
                parent.relayed = true;
                out.push(signal(account, seen, parent.target, SignalKind::Relayed));
            }
        } else {
            for hop in call.hops.iter_mut().filter(|hop| hop.first && hop.is_pending() && !hop.relayed) {
                if hop.state == HopState::Trying && !(hop.cseq == cseq && hop.is_beside(uri, now)) {
                    // Nobody answered there, so the caller tries elsewhere.
                    hop.relayed = true;
                    hop.given_up = true;
                    out.push(signal(account, seen, hop.target, SignalKind::Relayed));
                }
            }
        }
        for hop in call.beside(parent, cseq, |hop| hop.has_sender(src, dst)) {
            if !hop.is_beside(uri, now) {
                continue;
            }
            is_looked_up = true;
            if hop.is_pending() && !hop.is_heard && !hop.relayed && now.since(hop.sent) >= UNHEARD_MIN {
                hop.given_up = true;
                out.push(signal(account, seen, hop.target, SignalKind::Ended(Cause::NoAnswer)));
            }
        }
        is_looked_up
    }
}
