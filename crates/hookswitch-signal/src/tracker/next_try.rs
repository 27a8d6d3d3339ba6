//! The next try of a caller who was refused, which is the same call: the same request to the next server
//! (RFC 3263 §4.3), a changed one with the next CSeq (RFC 3261 §8.1.3.5), more digits (RFC 3578), or one with
//! credentials that begins anew, with another From tag or Call-ID.

use std::time::Duration;

use hookswitch_model::{Cause, Direction, InputRef, LegId, Signal, SignalKind, Timestamp};
use serde::{Deserialize, Serialize};

use super::call::{Call, Hop};
use super::deadline::{Awaited, NEXT_DIGIT_MAX, NEXT_TRY_MAX, RESPONSE_MAX};
use super::{Seen, SipTracker, finish, signal};
use crate::sip::{Message, Uri};

/// Refusals that ask for another server or another form of the request, not for another callee (RFC 3261
/// §8.1.3.5, §21.4, §21.5; RFC 3263 §4.3; RFC 3329 §2.3.1; RFC 5626 §11.5; RFC 8224 §6.2).
const REPAIRABLE: &[u16] = &[
    406, 408, 413, 414, 415, 416, 417, 420, 421, 428, 430, 436, 437, 438, 488, 491, 493, 494, 500, 502, 503,
    504, 505, 513, 580, 606,
];

/// The longest nonce that is remembered, in bytes.
const NONCE_MAX: usize = 512;

/// Refusal of a caller's INVITE, after which the caller may try again.
#[derive(Serialize, Deserialize)]
pub(super) struct Refusal {
    pub(super) at: Timestamp,
    /// Until when the next INVITE is part of the same call.
    until: Timestamp,
    /// Cause that ends the caller's leg if none comes; where there is nothing, the session machine sees to it.
    pub(super) end: Option<(InputRef, Cause)>,
    /// The leg to a target that wants more digits.
    incomplete: Option<LegId>,
    /// The nonce of a challenge, by which the answer to it is known.
    nonce: Option<Box<[u8]>>,
}

impl Hop {
    /// Returns how long the next try may take after a final response; none if nobody would try again.
    fn next_try_within(&self, status: u16) -> Option<Duration> {
        match status {
            484 if self.cancelled.is_none() => Some(NEXT_DIGIT_MAX),
            // A proxy may have another target: the next branch of a fork in series (RFC 3261 §16.7).
            _ if self.is_forwarded => Some(NEXT_TRY_MAX),
            _ if self.cancelled.is_none() && REPAIRABLE.contains(&status) => Some(NEXT_TRY_MAX),
            _ => None,
        }
    }
}

impl Call {
    /// The first hop of the newest try.
    fn newest_try(&self) -> Option<&Hop> {
        self.hops.iter().rev().find(|hop| hop.first)
    }

    /// Tests whether the next try is awaited, and comes from the same sender.
    fn is_retried_by(&self, seen: &Seen<'_, '_>) -> bool {
        let (src, dst) = (seen.captured.src, seen.captured.dst);
        !self.over
            && self.refusal.as_ref().is_some_and(|refusal| refusal.until > seen.captured.time)
            && self.newest_try().is_some_and(|hop| hop.has_sender(src, dst))
    }

    /// Tests whether the caller was refused and has taken too long to try again.
    pub(super) fn has_lapsed(&self, now: Timestamp) -> bool {
        self.refusal.as_ref().is_some_and(|refusal| refusal.until <= now)
    }

    /// Tests whether a request is another branch of a first hop that has failed (RFC 3261 §16.6).
    pub(super) fn is_forked_by(&self, seen: &Seen<'_, '_>) -> bool {
        let cseq = seen.message.cseq().number;
        let (src, dst) = (seen.captured.src, seen.captured.dst);
        !self.answered
            && self.hops.iter().any(|hop| hop.first && hop.cseq == cseq && hop.has_sender(src, dst))
            && !self.hops.iter().any(|hop| hop.cseq > cseq)
    }
}

impl SipTracker {
    /// The caller's INVITE was refused, and the next one is part of the same call if it comes in time: after a
    /// challenge or redirection, which the session machine waits for.
    pub(super) fn await_changed(&mut self, seen: &Seen<'_, '_>, index: usize) {
        let nonce = challenge(seen.message).map(Box::<[u8]>::from);
        let number = self.calls[index].number;
        if let Some(nonce) = &nonce {
            self.challenges.insert(nonce.clone(), (index, number));
        }
        self.set_refusal(seen, index, RESPONSE_MAX, None, nonce, None);
    }

    /// The caller's INVITE was refused: ends the leg, now or when no next try comes in time.
    pub(super) fn refuse(
        &mut self,
        seen: &Seen<'_, '_>,
        (index, at): (usize, usize),
        status: u16,
        cause: Cause,
        out: &mut Vec<Signal>,
    ) {
        let call = &mut self.calls[index];
        let caller = call.caller;
        let Some(within) = call.hops[at].next_try_within(status) else {
            out.push(signal(self.account, seen, caller, SignalKind::Ended(cause)));
            finish(&mut self.finished, index, call, seen.captured.time);
            return;
        };
        let incomplete = (within == NEXT_DIGIT_MAX).then_some(call.hops[at].target);
        let call = (index, call.number);
        out.push(signal(self.account, seen, caller, SignalKind::TriedAgain));
        self.deadlines.add(seen.captured.time + within, call, Awaited::NextTry, seen.input);
        self.set_refusal(seen, index, within, Some((seen.input, cause)), None, incomplete);
    }

    fn set_refusal(
        &mut self,
        seen: &Seen<'_, '_>,
        index: usize,
        within: Duration,
        end: Option<(InputRef, Cause)>,
        nonce: Option<Box<[u8]>>,
        incomplete: Option<LegId>,
    ) {
        self.clear_refusal(index);
        let at = seen.captured.time;
        let refusal = Refusal { at, until: at + within, end, incomplete, nonce };
        self.calls[index].refusal = Some(Box::new(refusal));
    }

    /// Forgets a refusal: the caller has tried again, or has left.
    pub(super) fn clear_refusal(&mut self, index: usize) -> Option<Box<Refusal>> {
        let refusal = self.calls[index].refusal.take()?;
        if let Some(nonce) = &refusal.nonce {
            self.challenges.remove(nonce);
        }
        Some(refusal)
    }

    /// Ends the leg of a caller who was refused and has not tried again, at the time of the refusal.
    pub(super) fn end_refused(&mut self, index: usize, now: Timestamp, out: &mut Vec<Signal>) {
        let Some(refusal) = self.clear_refusal(index) else { return };
        let Some((input, cause)) = refusal.end else { return };
        let call = &mut self.calls[index];
        let target = refusal.incomplete.map(|target| (target, Cause::UnknownNumber));
        for (leg, cause) in target.into_iter().chain([(call.caller, cause)]) {
            let (at, account, kind) = (refusal.at, self.account, SignalKind::Ended(cause));
            out.push(Signal { at, account, account_given: false, leg, input, kind });
        }
        finish(&mut self.finished, index, call, now);
    }

    /// Tests whether an INVITE is the next try of a caller who leaves the To tag of the refusal in it.
    pub(super) fn is_retried_with_tag(&self, seen: &Seen<'_, '_>) -> bool {
        let cseq = seen.message.cseq().number;
        let tag = seen.message.from_tag().unwrap_or_default();
        let retries = |call: &Call| {
            *call.caller_tag == *tag
                && call.dialogs.is_empty()
                && call.is_retried_by(seen)
                && call.newest_try().is_some_and(|hop| hop.cseq < cseq)
        };
        seen.newest.is_some() && self.find(seen, retries).is_some()
    }

    /// The call of an INVITE that tries again with another From tag, as some do with credentials; the call
    /// goes by the new tag from here on.
    pub(super) fn retried_with_another_tag(
        &mut self,
        seen: &Seen<'_, '_>,
        out: &mut Vec<Signal>,
    ) -> Option<usize> {
        let cseq = seen.message.cseq().number;
        let index = self.find(seen, |call| {
            call.is_retried_by(seen) && call.newest_try().is_some_and(|hop| hop.cseq < cseq)
        })?;
        let call = &mut self.calls[index];
        call.caller_tag = seen.message.from_tag().unwrap_or_default().into();
        let kind = SignalKind::Dialog(sip_data(seen.message));
        out.push(signal(self.account, seen, call.caller, kind));
        Some(index)
    }

    /// The call of an INVITE that answers a challenge with another Call-ID: it has the nonce, and calls the same
    /// number.
    fn retried_with_another_id(&self, seen: &Seen<'_, '_>, uri: &Uri<'_>) -> Option<usize> {
        if self.challenges.is_empty() || seen.newest.is_some() {
            return None;
        }
        let nonce = credentials(seen.message)?;
        let &(index, number) = self.challenges.get(nonce)?;
        let call = self.calls.get(index).filter(|call| call.number == number)?;
        let same_number = call.newest_try().is_some_and(|hop| *hop.request_uri == *uri.as_bytes());
        (same_number && call.is_retried_by(seen)).then_some(index)
    }

    /// Opens the SIP call of a next try with another Call-ID, as a further one of the same caller; false if the
    /// INVITE is none.
    pub(super) fn open_again(&mut self, seen: &Seen<'_, '_>, uri: &Uri<'_>, out: &mut Vec<Signal>) -> bool {
        let Some(old) = self.retried_with_another_id(seen, uri) else { return false };
        self.clear_refusal(old);
        let caller = self.calls[old].caller;
        finish(&mut self.finished, old, &mut self.calls[old], seen.captured.time);
        let target = self.next_leg();
        let far_end = self.servers.far_end(seen.captured.src, seen.captured.dst);
        let mut created = self.created(seen, uri, Direction::Inbound, Some(caller), far_end);
        created.aliases = super::identity::aliases(seen.message, seen.captured);
        out.push(signal(self.account, seen, caller, SignalKind::Dialog(sip_data(seen.message))));
        out.push(signal(self.account, seen, target, SignalKind::Created(Box::new(created))));
        self.insert(seen, uri, caller, target);
        true
    }
}

fn sip_data(message: &Message<'_>) -> std::sync::Arc<hookswitch_model::SipData> {
    std::sync::Arc::new(super::identity::sip_data(message))
}

/// The nonce of the first challenge of a response.
fn challenge<'a>(response: &Message<'a>) -> Option<&'a [u8]> {
    ["Proxy-Authenticate", "WWW-Authenticate"].iter().find_map(|name| nonce(response.header(name)?))
}

/// The nonce of the first credentials of a request.
fn credentials<'a>(request: &Message<'a>) -> Option<&'a [u8]> {
    ["Proxy-Authorization", "Authorization"].iter().find_map(|name| nonce(request.header(name)?))
}

/// The nonce in a challenge or in credentials (RFC 7616 §3.3), without its quotes.
fn nonce(value: &[u8]) -> Option<&[u8]> {
    let mut starts = memchr::memmem::find_iter(value, b"nonce=");
    let start = starts.find(|&start| {
        let before = start.checked_sub(1).map(|before| value[before]);
        before.is_none_or(|before| matches!(before, b' ' | b',' | b'\t'))
    })?;
    let rest = &value[start + b"nonce=".len()..];
    let nonce = match rest.strip_prefix(b"\"") {
        Some(quoted) => &quoted[..memchr::memchr(b'"', quoted)?],
        None => &rest[..memchr::memchr2(b',', b' ', rest).unwrap_or(rest.len())],
    };
    (!nonce.is_empty() && nonce.len() <= NONCE_MAX).then_some(nonce)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_is_found_and_a_cnonce_is_none() {
        let value = b"Digest username=\"101\", cnonce=\"x\", nonce=\"a,b=\", qop=auth";
        assert_eq!(nonce(value), Some(&b"a,b="[..]));
        assert_eq!(nonce(b"Digest realm=\"x\",nonce=abc, uri=\"sip:x\""), Some(&b"abc"[..]));
        assert_eq!(nonce(b"Digest cnonce=\"x\""), None);
        assert_eq!(nonce(b"Digest nonce=\"x"), None);
    }
}
