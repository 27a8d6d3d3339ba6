//! Transfers: REFER inside and outside of a dialog, the NOTIFYs that say how it goes (RFC 3515), and
//! the dialogs that requests name without being in them (RFC 3891, RFC 3911, RFC 4538).

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use foldhash::fast::RandomState;
use hookswitch_model::{LegId, Signal, SignalKind, Timestamp, Transfer};
use serde::{Deserialize, Serialize};

use super::call::Side;
use super::{Seen, SipTracker, identity, signal};
use crate::sip::{DialogRef, DialogRefBuf, Uri, percent_decode};

/// Time for which a REFER outside of a dialog is remembered: the transferor may follow the call that it asked
/// for until it is answered, which takes Timer C at most (RFC 3261 §16.6).
const REFERRAL_MAX: Duration = Duration::from_secs(300);

/// The most REFERs outside of a dialog that are remembered; a further one is passed over.
const REFERRALS_MAX: usize = 10_000;

/// The most calls among which one is looked for whose Call-ID differs by a letter.
const SIMILAR_CALLS_MAX: usize = 1_000;

/// The fewest letters of an identifier that may have one wrong.
const SIMILAR_LENGTH_MIN: usize = 6;

/// Returns how many letters differ of two identifiers, 0 or 1; none if it is more, or too much for so short a one.
fn letters_that_differ(one: &[u8], other: &[u8]) -> Option<u8> {
    if one == other {
        return Some(0);
    }
    let differ = one.iter().zip(other).filter(|(one, other)| one != other).take(2).count();
    (one.len() == other.len() && one.len() >= SIMILAR_LENGTH_MIN && differ == 1).then_some(1)
}

/// A transfer that was asked for.
#[derive(Serialize, Deserialize)]
pub(super) struct Referral {
    /// The leg of who asks.
    leg: LegId,
    /// The number of the REFER.
    cseq: u32,
    /// Transfer that is asked for; none once the other side took it on.
    asked: Option<Transfer>,
}

impl Referral {
    /// The other side has agreed to try.
    fn accepted(&mut self) -> Option<(LegId, SignalKind)> {
        self.asked.take().map(|asked| (self.leg, SignalKind::TransferAsked(Box::new(asked))))
    }
}

/// The REFERs outside of a dialog, by their Call-ID.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Referrals {
    by_call_id: HashMap<Box<[u8]>, Referral, RandomState>,
    order: VecDeque<(Timestamp, Box<[u8]>)>,
}

impl Referrals {
    fn add(&mut self, call_id: &[u8], referral: Referral, now: Timestamp) {
        if self.order.len() < REFERRALS_MAX && !self.by_call_id.contains_key(call_id) {
            self.by_call_id.insert(call_id.into(), referral);
            self.order.push_back((now, call_id.into()));
        }
    }

    pub(super) fn forget(&mut self, now: Timestamp) {
        while self.order.front().is_some_and(|(at, _)| *at + REFERRAL_MAX <= now) {
            if let Some((_, call_id)) = self.order.pop_front() {
                self.by_call_id.remove(&call_id);
            }
        }
    }
}

/// The dialog that an address in a text wants replaced.
fn offered_call(text: &[u8]) -> Option<DialogRefBuf> {
    let start = memchr::memmem::find(text, b"Replaces=")? + b"Replaces=".len();
    let rest = &text[start..];
    let end =
        rest.iter().position(|byte| matches!(byte, b'"' | b'\'' | b'<' | b'>' | b'&' | b' ' | b'\r' | b'\n'));
    DialogRefBuf::new(percent_decode(&rest[..end.unwrap_or(rest.len())]).into_owned())
}

impl SipTracker {
    /// The legs of the ends of a dialog that a request names: the recipient's, and its peer's.
    pub(super) fn legs_of(&self, named: &DialogRef<'_>) -> Option<(LegId, LegId)> {
        self.legs_of_dialog(self.named_dialog(named)?)
    }

    /// The same for a Replaces, which some phones write with the tags swapped or a letter wrong; recipients that
    /// look at the Call-ID alone take them all the same.
    pub(super) fn legs_of_replaced(
        &self,
        named: &DialogRef<'_>,
        recipient: SocketAddr,
    ) -> Option<(LegId, LegId)> {
        let (index, at, side) = self.similar_dialog(named)?;
        let hops = &self.calls[index].hops;
        let target = self.calls[index].dialogs[at].target;
        let caller_at = hops.iter().find(|hop| hop.first).map(|hop| hop.src);
        let callee_at = hops.iter().rfind(|hop| hop.target == target && !hop.relayed).map(|hop| hop.dst);
        // Where the request goes to one of the two phones, that is the recipient, whatever the tags say.
        let side = match (caller_at == Some(recipient), callee_at == Some(recipient)) {
            (true, false) => Side::Caller,
            (false, true) => Side::Callee,
            _ => side,
        };
        self.legs_of_dialog((index, at, side))
    }

    fn legs_of_dialog(&self, (index, at, side): (usize, usize, Side)) -> Option<(LegId, LegId)> {
        let call = &self.calls[index];
        let dialog = &call.dialogs[at];
        if dialog.ended {
            return None;
        }
        let legs = (call.caller, dialog.target);
        Some(if side == Side::Caller { legs } else { (legs.1, legs.0) })
    }

    /// The dialog that a request names, and the side of its recipient.
    fn named_dialog(&self, named: &DialogRef<'_>) -> Option<(usize, usize, Side)> {
        let newest = *self.by_call_id.get(named.call_id)?;
        let (own, peer) = (named.to_tag.unwrap_or(b"0"), named.from_tag?);
        self.same_id(newest).find_map(|index| {
            let call = &self.calls[index];
            let (at, side) = call.dialog(own, peer)?;
            Some((index, at, side))
        })
    }

    /// The dialog that a request names, or the only one whose name differs by swapped tags or one letter.
    fn similar_dialog(&self, named: &DialogRef<'_>) -> Option<(usize, usize, Side)> {
        let swapped = DialogRef { to_tag: named.from_tag, from_tag: named.to_tag, ..*named };
        let exact = self.named_dialog(named).or_else(|| {
            let (index, at, side) = self.named_dialog(&swapped)?;
            Some((index, at, side.peer()))
        });
        if exact.is_some() {
            return exact;
        }
        let (own, peer) = (named.to_tag?, named.from_tag?);
        let mut found = None;
        let mut look_at = |index: usize| {
            let call = &self.calls[index];
            for (at, dialog) in call.dialogs.iter().enumerate().filter(|(_, dialog)| !dialog.ended) {
                let differ = |caller: &[u8], callee: &[u8]| {
                    letters_that_differ(&call.key, named.call_id)?
                        .checked_add(letters_that_differ(&call.caller_tag, caller)?)?
                        .checked_add(letters_that_differ(&dialog.tag, callee)?)
                };
                let side = match (differ(own, peer), differ(peer, own)) {
                    (Some(1), _) => Side::Caller,
                    (_, Some(1)) => Side::Callee,
                    _ => continue,
                };
                if found.replace((index, at, side)).is_some() {
                    return false; // it may be the one or the other
                }
            }
            true
        };
        let is_clear = match self.by_call_id.get(named.call_id) {
            Some(&newest) => self.same_id(newest).all(&mut look_at),
            None if self.calls.len() <= SIMILAR_CALLS_MAX => {
                self.calls.iter().map(|(index, _)| index).all(&mut look_at)
            }
            None => false,
        };
        found.filter(|_| is_clear)
    }

    /// A REFER: one end of a dialog asks the other to call elsewhere.
    pub(super) fn refer(&mut self, seen: &Seen<'_, '_>, uri: &Uri<'_>, out: &mut Vec<Signal>) {
        let cseq = seen.message.cseq().number;
        let Some((index, at, side)) = self.find_dialog(seen) else {
            self.refer_from_outside(seen, uri);
            return;
        };
        self.counters.in_call += 1;
        let asked = self.transfer(seen);
        self.alive(seen, (index, at, side), out);
        let call = &mut self.calls[index];
        let leg = if side == Side::Caller { call.caller } else { call.dialogs[at].target };
        let dialog = &mut call.dialogs[at];
        let state = &mut dialog.sides[side as usize];
        if dialog.ended || state.cseq.is_some_and(|last| cseq <= last) {
            return; // the next hop of a request that was seen, or an old one
        }
        state.cseq = Some(cseq);
        dialog.referral = asked.map(|asked| Box::new(Referral { leg, cseq, asked: Some(asked) }));
    }

    /// A REFER that is in no dialog: Target-Dialog names the one it is about (RFC 4538), or what it asks
    /// for takes the place of one that its sender is in, as when a call is parked.
    fn refer_from_outside(&mut self, seen: &Seen<'_, '_>, uri: &Uri<'_>) {
        self.counters.no_call += 1;
        let message = seen.message;
        let referral = if let Some(target) = message.target_dialog() {
            self.legs_of(&target).zip(self.transfer(seen)).map(|((_, sender), asked)| (sender, asked))
        } else if let Some(replaced) = message.refer_to_replaces() {
            let to = identity::callee(uri, &message.to().uri());
            let asked = Transfer { to, to_host: identity::domain(uri), consulted: None, by_code: false };
            self.legs_of(&replaced.dialog()).map(|(_, sender)| (sender, asked))
        } else {
            None
        };
        if let Some((leg, asked)) = referral {
            let referral = Referral { leg, cseq: message.cseq().number, asked: Some(asked) };
            self.referrals.add(message.call_id(), referral, seen.captured.time);
        }
    }

    /// A MESSAGE whose text offers one of the sender's calls to the recipient, by an address with Replaces:
    /// a transfer by instant message (RFC 5359 §2.6).
    pub(super) fn message(&mut self, seen: &Seen<'_, '_>, uri: &Uri<'_>) {
        self.counters.no_call += 1;
        let message = seen.message;
        let Some(replaced) = offered_call(message.body()) else { return };
        let Some((_, sender)) = self.legs_of(&replaced.dialog()) else { return };
        let to = identity::callee(uri, &message.to().uri());
        let asked = Transfer { to, to_host: identity::domain(uri), consulted: None, by_code: false };
        let referral = Referral { leg: sender, cseq: message.cseq().number, asked: Some(asked) };
        self.referrals.add(message.call_id(), referral, seen.captured.time);
    }

    /// Returns what a REFER asks for.
    fn transfer(&self, seen: &Seen<'_, '_>) -> Option<Transfer> {
        let message = seen.message;
        let target = message.refer_to()?.uri();
        let replaced = message.refer_to_replaces();
        let consulted = replaced.and_then(|replaced| self.consulted(&replaced.dialog(), seen.captured.src));
        let to =
            identity::number(&target).unwrap_or_else(|| crate::sip::lossy(target.host()).as_ref().into());
        Some(Transfer { to, to_host: identity::domain(&target), consulted, by_code: false })
    }

    /// The transferor's leg in the dialog that the new call is to take the place of.
    ///
    /// It is the end that sends from where the REFER came; where that does not tell, the tags do, as
    /// they stand for the one who will get the new call (RFC 3891 §3). Phones have been seen to swap them.
    fn consulted(&self, replaced: &DialogRef<'_>, transferor: SocketAddr) -> Option<LegId> {
        let (index, at, side) = self.similar_dialog(replaced)?;
        let call = &self.calls[index];
        let places = call.hops.iter().find(|hop| hop.first).map(|hop| (hop.src, hop.dst));
        let own = match places {
            Some((src, dst)) if src == transferor && dst != transferor => Side::Caller,
            Some((src, dst)) if dst == transferor && src != transferor => Side::Callee,
            _ => side.peer(),
        };
        Some(if own == Side::Caller { call.caller } else { call.dialogs[at].target })
    }

    /// A response to a REFER, or to a MESSAGE that offered a call.
    pub(super) fn referred(&mut self, seen: &Seen<'_, '_>, status: u16, out: &mut Vec<Signal>) {
        let cseq = seen.message.cseq().number;
        let in_dialog = self.find_dialog(seen);
        let referral = match in_dialog {
            Some((index, at, _)) => self.calls[index].dialogs[at].referral.as_deref_mut(),
            None => self.referrals.by_call_id.get_mut(seen.message.call_id()),
        };
        let told = match referral.filter(|referral| referral.cseq == cseq) {
            Some(referral) if (200..300).contains(&status) => referral.accepted(),
            Some(referral) if status >= 300 => {
                referral.asked = None;
                None
            }
            _ => None,
        };
        if let Some((leg, kind)) = told {
            out.push(signal(self.account, seen, leg, kind));
        }
        self.in_dialog(seen, out);
    }

    /// A NOTIFY: it may say how a transfer goes.
    pub(super) fn notify(&mut self, seen: &Seen<'_, '_>, out: &mut Vec<Signal>) {
        let status = seen.message.sipfrag_status().filter(|&status| status >= 200);
        if let Some(status) = status {
            let in_dialog = self.find_dialog(seen);
            let referral = match in_dialog {
                Some((index, at, _)) => self.calls[index].dialogs[at].referral.as_deref_mut(),
                None => self.referrals.by_call_id.get_mut(seen.message.call_id()),
            };
            if let Some(referral) = referral {
                // Who reports about it has taken it on, whether its response was seen or not.
                let done = SignalKind::TransferDone { succeeded: status < 300 };
                let told = [referral.accepted(), Some((referral.leg, done))];
                for (leg, kind) in told.into_iter().flatten() {
                    out.push(signal(self.account, seen, leg, kind));
                }
            }
            if let Some((index, at, _)) = in_dialog {
                self.calls[index].dialogs[at].referral = None;
            } else {
                self.referrals.by_call_id.remove(seen.message.call_id());
            }
        }
        self.in_dialog(seen, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_letter_of_a_long_identifier_may_be_wrong() {
        for (one, other, differ) in [
            (&b"as5f8d3a21"[..], &b"as5f8d3a21"[..], Some(0)),
            (b"as5f8d3a21", b"as5f8d3a22", Some(1)),
            (b"as5f8d3a21", b"bs5f8d3a22", None),
            (b"as5f8d3a21", b"as5f8d3a2", None),
            (b"t1", b"t2", None),
        ] {
            assert_eq!(letters_that_differ(one, other), differ, "{}", one.escape_ascii());
        }
    }

    #[test]
    fn transfers_that_come_and_go_take_no_more_room_than_others() {
        let mut referrals = Referrals::default();
        let start = Timestamp::from_micros(0);
        for number in 0..2 * REFERRALS_MAX {
            let call_id = number.to_be_bytes();
            referrals.add(&call_id, Referral { leg: LegId::new(0, 1), cseq: 1, asked: None }, start);
            referrals.by_call_id.remove(&call_id[..]);
        }
        assert_eq!(referrals.order.len(), REFERRALS_MAX);
        referrals.forget(start + REFERRAL_MAX);
        assert_eq!(referrals.order.len(), 0);
    }
}
