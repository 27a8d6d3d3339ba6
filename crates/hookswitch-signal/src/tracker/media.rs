//! Changes of a dialog's session: offers and answers (RFC 3264) in re-INVITE, UPDATE and ACK.

use std::sync::Arc;
use std::time::Duration;

use hookswitch_model::{AccountId, Cause, InputRef, LegId, Note, Signal, SignalKind, Timestamp};

use super::call::{Call, Change, Dialog, Doubt, HopState, MediaState, Offer, Side};
use super::deadline::{Awaited, NEXT_TRY_MAX, RESPONSE_MAX};
use super::{Seen, SipTracker, finish, signal};
use crate::capture::Captured;
use crate::sip::{Media, MediaDirection, MediaKind, Message, Method, Sdp, SessionExpires, StartLine, lossy};

/// The shortest session timer, in seconds (RFC 4028 §4); less is a mistake, and ends no call.
const SESSION_EXPIRES_SECS_MIN: u32 = 90;

/// The longest session timer that is believed, in seconds: a call with one is not waited for longer
/// than a call without.
const SESSION_EXPIRES_SECS_MAX: u32 = 24 * 3600 - 32;

/// How long after its session timer a call may be silent: the BYE of whoever gives it up is sent again for
/// 64 times T1 (RFC 3261 §17.1.2.2, contract events §11).
const EXPIRY_GRACE: Duration = Duration::from_secs(32);

/// For how long a 2xx is sent again until its ACK is taken for lost: two or three of its copies may have crossed the
/// ACK, and each comes 4 s after the one before (RFC 3261 §13.3.1.4).
const UNACKNOWLEDGED_MIN: Duration = Duration::from_secs(16);

/// Interval at which a sign of life is passed on for a call without a session timer, which may be silent for a day.
const ALIVE_EVERY: Duration = Duration::from_secs(60);

impl SipTracker {
    /// A re-INVITE or UPDATE: the session may change.
    pub(super) fn change(&mut self, seen: &Seen<'_, '_>, out: &mut Vec<Signal>) {
        let Some((index, at, side)) = self.find_dialog(seen) else {
            self.counters.stray += 1;
            return;
        };
        let cseq = seen.message.cseq().number;
        let dialog = &mut self.calls[index].dialogs[at];
        let state = &mut dialog.sides[side as usize];
        self.counters.in_call += 1;
        let branch = seen.message.top_via().unique_branch().unwrap_or_default();
        if state.cseq.is_some_and(|last| cseq <= last) {
            // The next hop of a request that was seen, or an old one.
            if let Some(change) = dialog.change(side, cseq) {
                change.passes_on(branch);
            }
            return;
        }
        state.cseq = Some(cseq);
        let offer = match seen.message.sdp() {
            Some(sdp) => Offer::Made(media_state(&sdp)),
            // An offer that is cut is one, and nobody knows which.
            None if seen.message.is_cut() => Offer::Nothing,
            None if seen.message.cseq().method == Method::Invite => Offer::Expected,
            None => Offer::Nothing,
        };
        dialog.add_change(Change::new(side, cseq, branch, offer));
        if seen.message.cseq().method == Method::Invite && !dialog.answered {
            self.answered_unseen(seen, index, at, out);
        }
        self.alive(seen, (index, at, side), out);
    }

    /// A response to a re-INVITE or UPDATE.
    pub(super) fn changed(&mut self, seen: &Seen<'_, '_>, status: u16, out: &mut Vec<Signal>) {
        let Some((index, at, side)) = self.find_dialog(seen) else {
            self.counters.stray += 1;
            return;
        };
        self.counters.in_call += 1;
        let account = self.account;
        let call = &mut self.calls[index];
        let caller = call.caller;
        let dialog = &mut call.dialogs[at];
        let cseq = seen.message.cseq().number;
        let branch = seen.message.top_via().unique_branch().unwrap_or_default();
        let change = dialog.change(side, cseq).filter(|change| change.is_answered_by(branch));
        if let Some(change) = change.filter(|_| status >= 200) {
            let offer = change.take_offer();
            let first = !std::mem::replace(&mut change.accepted, status < 300);
            if matches!(status, 408 | 481) {
                self.doubt_dialog(seen, index, at, side);
                return;
            }
            if status < 300 && !dialog.ended {
                dialog.set_timer(seen.message.session_expires().map(silence_max), first);
                let answer = seen.message.sdp().as_ref().map(media_state);
                match (offer, answer) {
                    (Offer::Made(offered), answer) => {
                        apply(account, seen, caller, dialog, side, offered, out);
                        if answer.is_some() {
                            dialog.sides[side.peer() as usize].media = answer;
                        }
                    }
                    (Offer::Expected, Some(offered)) => {
                        apply(account, seen, caller, dialog, side.peer(), offered, out);
                        if let Some(change) = dialog.change(side, cseq) {
                            change.offer = Offer::InResponse(offered);
                        }
                    }
                    _ => {}
                }
            }
        }
        self.alive(seen, (index, at, side), out);
    }

    /// A message inside a dialog shows that its call goes on; whoever waits for signs of life is told.
    pub(super) fn alive(
        &mut self,
        seen: &Seen<'_, '_>,
        (index, at, side): (usize, usize, Side),
        out: &mut Vec<Signal>,
    ) {
        if matches!(seen.message.start(), StartLine::Response { status: 408 | 481, .. }) {
            return; // the dialog is not known at the other end, or nobody is there (RFC 3261 §12.2.1.2)
        }
        let now = seen.captured.time;
        let call = &mut self.calls[index];
        let dialog = &mut call.dialogs[at];
        if let Some(doubt) = dialog.doubt.take_if(|doubt| doubt.is_dispelled_by(seen, side)) {
            call.is_presumed_over |= doubt.is_told;
        } else if dialog.doubt.is_some() {
            return;
        }
        let silent = now.since(call.last_seen);
        call.last_seen = now;
        let dialog = &call.dialogs[at];
        if dialog.answered && !dialog.ended {
            let within = call.timer();
            let goes_on = std::mem::take(&mut call.is_presumed_over);
            if goes_on || within.is_some() || call.timer_told.is_some() || silent >= ALIVE_EVERY {
                call.timer_told = within;
                out.push(signal(self.account, seen, call.caller, SignalKind::Alive { within }));
            }
        }
    }

    /// An ACK: it may carry the answer to an offer in the response.
    pub(super) fn ack(&mut self, seen: &Seen<'_, '_>, out: &mut Vec<Signal>) {
        let found = self.find_dialog(seen).or_else(|| self.find_unseen_dialog(seen));
        let Some((index, at, side)) = found else {
            // The ACK of a refusal has a tag that makes no dialog.
            self.in_dialog(seen, out);
            return;
        };
        self.counters.in_call += 1;
        let account = self.account;
        let call = &mut self.calls[index];
        let caller = call.caller;
        let dialog = &mut call.dialogs[at];
        let cseq = seen.message.cseq().number;
        if side == Side::Caller && !dialog.answered && call.is_acknowledged_by(seen, at) {
            self.answered_by_ack(seen, index, at, out);
            return;
        }
        let dialog = &mut call.dialogs[at];
        dialog.confirmed |= dialog.answered && side == Side::Caller;
        dialog.unacknowledged = None;
        if dialog.doubt.is_some() {
            self.alive(seen, (index, at, side), out);
        }
        let dialog = &mut self.calls[index].dialogs[at];
        let Some(change) = dialog.change(side, cseq) else { return };
        let offer = std::mem::replace(&mut change.offer, Offer::Nothing);
        let answer = seen.message.sdp().as_ref().map(media_state);
        if let (Offer::InResponse(offered), Some(answer)) = (offer, answer) {
            if offered.stops {
                dialog.sides[side as usize].media = Some(answer); // it only agrees
            } else {
                apply(account, seen, caller, dialog, side, answer, out);
            }
        }
    }
}

impl Call {
    /// Returns `true` if a request is the ACK of a 2xx to the caller's INVITE that created this dialog.
    fn is_acknowledged_by(&self, seen: &Seen<'_, '_>, at: usize) -> bool {
        !self.dialogs[at].ended && self.has_ack_of_answer(seen)
    }

    /// Returns `true` if a request is the ACK of a 2xx to the caller's INVITE, which has a branch of its own, while that
    /// of a refusal has the INVITE's (RFC 3261 §13.2.2.4, §17.1.1.3).
    fn has_ack_of_answer(&self, seen: &Seen<'_, '_>) -> bool {
        let cseq = seen.message.cseq().number;
        let Some(branch) = seen.message.top_via().unique_branch() else { return false };
        let mut hops = self.hops.iter().filter(|hop| hop.cseq == cseq && !hop.branch.is_empty());
        hops.clone().all(|hop| *hop.branch != *branch && hop.state < HopState::Answered)
            && hops.any(|hop| hop.first && hop.src.ip() == seen.captured.src.ip())
    }
}

impl SipTracker {
    /// The dialog of the ACK of a 2xx that has a tag of which no response was seen, as in a capture of one direction:
    /// that of the only target that may have answered.
    fn find_unseen_dialog(&mut self, seen: &Seen<'_, '_>) -> Option<(usize, usize, Side)> {
        let from_tag = seen.message.from_tag().unwrap_or_default();
        let to_tag = seen.message.to_tag().filter(|tag| !tag.is_empty())?;
        let index = self.find(seen, |call| {
            let is_open = !call.over && !call.dialogs.iter().any(|dialog| dialog.answered);
            is_open && *call.caller_tag == *from_tag && call.has_ack_of_answer(seen)
        })?;
        let call = &mut self.calls[index];
        let cseq = seen.message.cseq().number;
        let mut pending =
            (0..).zip(&call.hops).filter(|(_, hop)| hop.cseq == cseq && hop.is_pending() && !hop.relayed);
        let (hop, None) = (pending.next()?.0, pending.next()) else { return None };
        call.learn_dialog(to_tag, hop, cseq, true);
        let at = call.dialogs.iter().position(|dialog| *dialog.tag == *to_tag)?;
        Some((index, at, Side::Caller))
    }

    /// An ACK shows that a call was answered whose 2xx was not reported, or is reported later.
    fn answered_by_ack(&mut self, seen: &Seen<'_, '_>, index: usize, at: usize, out: &mut Vec<Signal>) {
        let call = &mut self.calls[index];
        call.answered = true;
        call.last_seen = seen.captured.time;
        let dialog = &mut call.dialogs[at];
        (dialog.answered, dialog.confirmed) = (true, true);
        let target = dialog.target;
        let cseq = seen.message.cseq().number;
        for hop in call.hops.iter_mut().filter(|hop| hop.cseq == cseq && (hop.first || hop.target == target))
        {
            hop.state = HopState::Answered;
        }
        let to_tag: Option<Arc<str>> = seen.message.to_tag().map(|tag| Arc::from(&*lossy(tag)));
        for leg in [target, call.caller] {
            let kind = SignalKind::Answered { to_tag: to_tag.clone() };
            out.push(signal(self.account, seen, leg, kind));
        }
    }

    /// A request of the caller or callee shows that a call was answered whose 2xx was not reported: a BYE of the
    /// callee, or a re-INVITE, which nobody sends before (RFC 3261 §14.1, §15).
    pub(super) fn answered_unseen(
        &mut self,
        seen: &Seen<'_, '_>,
        index: usize,
        at: usize,
        out: &mut Vec<Signal>,
    ) {
        let call = &mut self.calls[index];
        call.answered = true;
        let dialog = &mut call.dialogs[at];
        (dialog.answered, dialog.confirmed) = (true, true);
        let (target, tag) = (dialog.target, Arc::from(&*lossy(&dialog.tag)));
        let mut is_news = false;
        for hop in call.hops.iter_mut().filter(|hop| hop.first || hop.target == target) {
            if hop.is_pending() {
                hop.state = HopState::Answered;
                is_news = true;
            }
        }
        for leg in [target, call.caller].into_iter().filter(|_| is_news) {
            let kind = SignalKind::Answered { to_tag: Some(Arc::clone(&tag)) };
            out.push(signal(self.account, seen, leg, kind));
        }
    }

    /// One end of a dialog was said not to know it any more, or not to be there (RFC 3261 §12.2.1.2): it is lost
    /// unless a sign of life comes.
    pub(super) fn doubt_dialog(&mut self, seen: &Seen<'_, '_>, index: usize, at: usize, side: Side) {
        let since = seen.captured.time;
        let doubt = Doubt { since, side: side.peer(), is_answer: true, is_told: false };
        self.doubt(index, at, doubt, since + RESPONSE_MAX, seen.input);
    }

    fn doubt(&mut self, index: usize, at: usize, doubt: Doubt, until: Timestamp, input: InputRef) {
        let call = &mut self.calls[index];
        let number = call.number;
        let dialog = &mut call.dialogs[at];
        if dialog.confirmed && !dialog.ended && dialog.doubt.is_none() {
            dialog.doubt = Some(Box::new(doubt));
            self.deadlines.add(until, (index, number), Awaited::SignOfLife(at), input);
        }
    }

    /// A 2xx to an INVITE that is sent again for long: its ACK does not arrive, and the callee gives the call up when
    /// none has come for 64 times T1 (RFC 3261 §13.3.1.4).
    pub(super) fn repeated_answer(
        &mut self,
        newest: Option<usize>,
        message: &Message<'_>,
        captured: &Captured<'_>,
        input: InputRef,
    ) {
        let is_answer = matches!(message.start(), StartLine::Response { status: 200..=299, .. });
        if !is_answer || message.cseq().method != Method::Invite {
            return;
        }
        let (Some(newest), Some(tag)) = (newest, message.to_tag()) else { return };
        let from_tag = message.from_tag().unwrap_or_default();
        let found = self.same_id(newest).find_map(|index| {
            let (at, side) = self.calls[index].dialog(from_tag, tag)?;
            Some((index, at, side))
        });
        let Some((index, at, Side::Caller)) = found else { return };
        let Some(answered) = self.calls[index].dialogs[at].unacknowledged else { return };
        if answered + UNACKNOWLEDGED_MIN <= captured.time {
            let since = answered + RESPONSE_MAX;
            let doubt = Doubt { since, side: Side::Caller, is_answer: false, is_told: false };
            self.doubt(index, at, doubt, since + NEXT_TRY_MAX, input);
        }
    }

    /// Tests whether a BYE follows from the answer that a dialog is not known any more.
    pub(super) fn is_given_up_after_doubt(&self, seen: &Seen<'_, '_>, index: usize, at: usize) -> bool {
        let doubt = self.calls[index].dialogs[at].doubt.as_ref();
        let doubt = doubt.filter(|doubt| doubt.is_answer && !doubt.is_told);
        doubt.is_some_and(|doubt| seen.captured.time <= doubt.since + NEXT_TRY_MAX)
    }

    /// Tells that a dialog is lost, at the time when that was said first; with a note it may go on all the same.
    pub(super) fn lose_dialog(
        &mut self,
        now: Timestamp,
        input: InputRef,
        (index, at): (usize, usize),
        note: Option<Note>,
        out: &mut Vec<Signal>,
    ) {
        let call = &mut self.calls[index];
        let dialog = &mut call.dialogs[at];
        let Some(doubt) = &mut dialog.doubt else { return };
        doubt.is_told = true;
        let since = doubt.since;
        dialog.ended |= note.is_none();
        if call.talks_in_another_dialog(at) {
            return;
        }
        let last = !call.talks_elsewhere(at);
        let legs = [Some(call.dialogs[at].target), last.then_some(call.caller)];
        for leg in legs.into_iter().flatten() {
            for kind in note.map(SignalKind::Note).into_iter().chain([SignalKind::Ended(Cause::Lost)]) {
                out.push(Signal { at: since, account: self.account, account_given: false, leg, input, kind });
            }
        }
        if last && note.is_none() {
            finish(&mut self.finished, index, call, now);
        }
    }
}

impl Doubt {
    /// Tests whether a message shows that the other end is there: it sends a request, or it has answered one.
    fn is_dispelled_by(&self, seen: &Seen<'_, '_>, side: Side) -> bool {
        match seen.message.start() {
            StartLine::Request { .. } => side == self.side,
            StartLine::Response { status, .. } => {
                side != self.side && matches!(status, 101..=299 | 488 | 491)
            }
        }
    }
}

/// Returns how long a call with this session timer may be silent.
pub(super) fn silence_max(timer: SessionExpires) -> Duration {
    let seconds = timer.seconds.clamp(SESSION_EXPIRES_SECS_MIN, SESSION_EXPIRES_SECS_MAX);
    Duration::from_secs(u64::from(seconds)) + EXPIRY_GRACE
}

pub(super) fn media_state(sdp: &Sdp<'_>) -> MediaState {
    let origin = sdp.origin();
    let version = origin.map_or(0, |origin| {
        origin.version.iter().fold(0u64, |sum, &byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)))
    });
    let (mut audio, mut fax) = (None, false);
    for media in sdp.media().filter(Media::is_active) {
        fax |= media.is_t38();
        audio = audio.or(Some(media).filter(|media| media.kind() == MediaKind::Audio));
    }
    let is_silent = audio.is_some_and(|audio| audio.direction() == MediaDirection::Inactive);
    let stops = audio.is_some_and(|audio| audio.is_held_by_offerer());
    MediaState { version, stops, is_silent, fax }
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
    let peer = dialog.sides[side.peer() as usize];
    let state = &mut dialog.sides[side as usize];
    let silent = [state.media, peer.media].into_iter().flatten().any(|media| media.is_silent);
    // The same description again is a refresh of the session, not a change (RFC 4028 §7.4).
    let refresh = state.media == Some(offered);
    let fax_starts = offered.fax && state.media.is_none_or(|media| !media.fax);
    state.media = Some(offered);
    if fax_starts {
        out.push(signal(account, seen, dialog.target, SignalKind::FaxStarted));
    }
    // Who was put on hold by `inactive` and says so too has pressed nothing. Who may still hear the peer's
    // music, and then says it, has (RFC 3264 §8.4).
    let only_agrees = peer.holds && offered.is_silent && silent;
    let holds = offered.stops && (state.holds || !only_agrees);
    if refresh || state.holds == holds {
        return;
    }
    state.holds = holds;
    let leg = if side == Side::Caller { caller } else { dialog.target };
    let kind = if holds { SignalKind::Held } else { SignalKind::Resumed };
    out.push(signal(account, seen, leg, kind));
}
