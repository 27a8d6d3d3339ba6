//! Changes of a dialog's session: offers and answers (RFC 3264) in re-INVITE, UPDATE and ACK.

use std::time::Duration;

use hookswitch_model::{AccountId, LegId, Signal, SignalKind};

use super::call::{Dialog, MediaState, Offer, Side};
use super::{Seen, Tracker, signal};
use crate::sip::{Method, Sdp, SessionExpires};

/// The shortest session timer, in seconds (RFC 4028 §4); less is a mistake, and ends no call.
const SESSION_EXPIRES_SECS_MIN: u32 = 90;

/// The longest session timer that is believed, in seconds: a call with one is not waited for longer
/// than a call without.
const SESSION_EXPIRES_SECS_MAX: u32 = 16 * 3600;

impl Tracker {
    /// A re-INVITE or UPDATE: the session may change.
    pub(super) fn change(&mut self, seen: &Seen<'_, '_>) {
        let Some((index, at, side)) = self.find_dialog(seen) else {
            self.counters.stray += 1;
            return;
        };
        let call = &mut self.calls[index];
        let cseq = seen.message.cseq().number;
        let dialog = &mut call.dialogs[at];
        let state = &mut dialog.sides[side as usize];
        self.counters.in_call += 1;
        let branch = seen.message.top_via().unique_branch().unwrap_or_default();
        if state.cseq.is_some_and(|last| cseq <= last) {
            // The next hop of a request that was seen, or an old one.
            if let Some(offer) = dialog.pending.as_mut().filter(|offer| offer.is(side, cseq)) {
                offer.passes_on(branch);
            }
            return;
        }
        state.cseq = Some(cseq);
        call.last_seen = seen.captured.time;
        let sdp = seen.message.sdp();
        let late = seen.message.cseq().method == Method::Invite;
        if sdp.is_some() || late {
            let media = sdp.as_ref().map(media_state);
            let branches = vec![branch.into()];
            dialog.pending = Some(Offer { side, cseq, branches, media, offered_by_peer: None });
        }
    }

    /// A response inside a dialog.
    pub(super) fn changed(&mut self, seen: &Seen<'_, '_>, status: u16, out: &mut Vec<Signal>) {
        let Some((index, at, side)) = self.find_dialog(seen) else {
            self.counters.stray += 1;
            return;
        };
        self.counters.in_call += 1;
        let account = self.account;
        let call = &mut self.calls[index];
        call.last_seen = seen.captured.time;
        let caller = call.caller;
        let dialog = &mut call.dialogs[at];
        let cseq = seen.message.cseq().number;
        let branch = seen.message.top_via().unique_branch().unwrap_or_default();
        let answers = |offer: &mut Offer| offer.is(side, cseq) && offer.is_answered_by(branch);
        let Some(offer) = dialog.pending.take_if(|offer| status >= 200 && answers(offer)) else {
            return;
        };
        if status >= 300 || dialog.ended {
            return;
        }
        let answer = seen.message.sdp().as_ref().map(media_state);
        match (offer.media, answer) {
            (Some(offered), answer) => {
                apply(account, seen, caller, dialog, side, offered, out);
                if answer.is_some() {
                    dialog.sides[side.peer() as usize].media = answer;
                }
            }
            (None, Some(offered)) => {
                apply(account, seen, caller, dialog, side.peer(), offered, out);
                dialog.pending = Some(Offer { offered_by_peer: Some(offered), ..offer });
            }
            (None, None) => {}
        }
        if let Some(timer) = seen.message.session_expires() {
            out.push(signal(account, seen, caller, SignalKind::Alive { within: silence_max(timer) }));
        }
    }

    /// An ACK: it may carry the answer to an offer in the response.
    pub(super) fn ack(&mut self, seen: &Seen<'_, '_>, out: &mut Vec<Signal>) {
        let Some((index, at, side)) = self.find_dialog(seen) else {
            // The ACK of a refusal has a tag that makes no dialog.
            self.in_dialog(seen);
            return;
        };
        self.counters.in_call += 1;
        let account = self.account;
        let call = &mut self.calls[index];
        let caller = call.caller;
        let dialog = &mut call.dialogs[at];
        let cseq = seen.message.cseq().number;
        dialog.confirmed |= dialog.answered && side == Side::Caller;
        let Some(offer) = dialog.pending.take_if(|offer| offer.is(side, cseq)) else { return };
        let answer = seen.message.sdp().as_ref().map(media_state);
        if let (Some(offered), Some(answer)) = (offer.offered_by_peer, answer) {
            if offered.stops {
                dialog.sides[side as usize].media = Some(answer); // it only agrees
            } else {
                apply(account, seen, caller, dialog, side, answer, out);
            }
        }
    }
}

/// How long a call with this session timer may be silent: half as long again as the timer says.
pub(super) fn silence_max(timer: SessionExpires) -> Duration {
    let seconds = timer.seconds.clamp(SESSION_EXPIRES_SECS_MIN, SESSION_EXPIRES_SECS_MAX);
    Duration::from_secs(u64::from(seconds)) * 3 / 2
}

pub(super) fn media_state(sdp: &Sdp<'_>) -> MediaState {
    let origin = sdp.origin();
    let version = origin.map_or(0, |origin| {
        origin.version.iter().fold(0u64, |sum, &byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)))
    });
    MediaState { version, stops: sdp.is_held_by_offerer(), fax: sdp.is_t38() }
}

/// Applies an offer that was accepted: its side may have put the call on hold, or taken it off.
fn apply(
    account: AccountId,
    seen: &Seen<'_, '_>,
    caller: LegId,
    dialog: &mut Dialog,
    side: Side,
    offered: MediaState,
    out: &mut Vec<Signal>,
) {
    let state = &mut dialog.sides[side as usize];
    // The same description again is a refresh of the session, not a change (RFC 4028 §7.4).
    let refresh = state.media == Some(offered);
    let fax_starts = offered.fax && state.media.is_none_or(|media| !media.fax);
    state.media = Some(offered);
    if fax_starts {
        out.push(signal(account, seen, dialog.target, SignalKind::FaxStarted));
    }
    if refresh || state.holds == offered.stops {
        return;
    }
    state.holds = offered.stops;
    let leg = if side == Side::Caller { caller } else { dialog.target };
    let kind = if offered.stops { SignalKind::Held } else { SignalKind::Resumed };
    out.push(signal(account, seen, leg, kind));
}
