//! One SIP call: the INVITE transactions at each hop and the dialogs they created.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hookswitch_model::{Cause, LegId, Timestamp};
use serde::{Deserialize, Serialize};

use super::next_try::Refusal;
use super::referral::Referral;

/// The most dialogs of one call.
const DIALOGS_MAX: usize = 64;

/// The most hops of a request within a dialog; Max-Forwards is 70 at first (RFC 3261 §8.1.1.6).
const BRANCHES_MAX: usize = 70;

/// The most re-INVITEs and UPDATEs of a dialog that are remembered; either side has seldom more than one
/// under way (RFC 3261 §14.1).
const CHANGES_MAX: usize = 4;

/// All messages with one Call-ID and one From tag of the caller.
#[derive(Serialize, Deserialize)]
pub(super) struct Call {
    /// Tells apart the calls that use one Call-ID after the other.
    pub(super) number: u64,
    /// The Call-ID.
    pub(super) key: Arc<[u8]>,
    /// The call that used the Call-ID before it.
    pub(super) before: Option<usize>,
    /// The messages that came.
    pub(super) seen: Fingerprints,
    pub(super) caller_tag: Box<[u8]>,
    pub(super) opened: Timestamp,
    pub(super) caller: LegId,
    pub(super) hops: Vec<Hop>,
    pub(super) dialogs: Vec<Dialog>,
    /// The caller's leg has ended.
    pub(super) over: bool,
    /// It was told that the caller's leg has ended, as nothing came in time; if something comes later, it goes on.
    pub(super) is_presumed_over: bool,
    pub(super) answered: bool,
    /// The refusal after which the caller may try again.
    pub(super) refusal: Option<Box<Refusal>>,
    /// The session timer that was last passed on.
    pub(super) timer_told: Option<Duration>,
    pub(super) last_seen: Timestamp,
}

/// One INVITE transaction that creates dialogs (RFC 3261 §17), between two neighbours.
#[derive(Serialize, Deserialize)]
pub(super) struct Hop {
    /// The branch of its top Via; empty for a caller older than RFC 3261.
    pub(super) branch: Box<[u8]>,
    pub(super) src: SocketAddr,
    pub(super) dst: SocketAddr,
    pub(super) cseq: u32,
    pub(super) request_uri: Box<[u8]>,
    /// The leg to whoever is at `dst`.
    pub(super) target: LegId,
    /// The caller sent it, or whoever is the first that is seen to send it.
    pub(super) first: bool,
    /// The hop that it goes on from, by its place; none for a first one.
    pub(super) parent: Option<usize>,
    /// Time when its INVITE was sent.
    pub(super) sent: Timestamp,
    /// Its INVITE has come through a proxy.
    pub(super) is_forwarded: bool,
    /// The far end was seen passing it on.
    pub(super) relayed: bool,
    /// A response came, be it 100.
    pub(super) is_heard: bool,
    /// Its sender has turned to another server or target without waiting for a response.
    pub(super) given_up: bool,
    pub(super) state: HopState,
    /// Cause that the CANCEL gave, once one was seen.
    pub(super) cancelled: Option<Cause>,
}

impl Hop {
    /// Tests whether a final response may yet come.
    pub(super) fn is_pending(&self) -> bool {
        self.state < HopState::Answered && !self.given_up
    }

    /// Tests whether a request between these addresses has the same sender. Where hosts share an address,
    /// they differ in their ports; elsewhere each connection has a port of its own.
    pub(super) fn has_sender(&self, src: SocketAddr, dst: SocketAddr) -> bool {
        self.src == src || (self.src.ip() == src.ip() && src.ip() != dst.ip())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum HopState {
    Trying,
    Ringing,
    Answered,
    Failed,
}

/// One dialog (RFC 3261 §12), named by the tag of the answering side.
#[derive(Serialize, Deserialize)]
pub(super) struct Dialog {
    pub(super) tag: Box<[u8]>,
    pub(super) target: LegId,
    /// A response of 200 to 299 was seen.
    pub(super) answered: bool,
    /// It was the first of its transaction, or the caller has acknowledged it.
    pub(super) confirmed: bool,
    /// Time when its 2xx came, until the ACK does.
    pub(super) unacknowledged: Option<Timestamp>,
    pub(super) ended: bool,
    /// By [`Side`].
    pub(super) sides: [SideState; 2],
    /// The last of its re-INVITEs and UPDATEs, the newest last.
    changes: Vec<Change>,
    /// The session timer (RFC 4028), where one runs.
    timer: Option<Duration>,
    /// The transfer that was asked for in it, until it is known how it went.
    pub(super) referral: Option<Box<Referral>>,
    /// What puts in doubt that the other end is still there.
    pub(super) doubt: Option<Box<Doubt>>,
}

/// Reason to believe that one end of a dialog does not know it any more, or is not there (RFC 3261 §12.2.1.2).
#[derive(Serialize, Deserialize)]
pub(super) struct Doubt {
    /// Time when the dialog is lost, if it is.
    pub(super) since: Timestamp,
    /// The side of the other end.
    pub(super) side: Side,
    /// A 408 or 481 says so, and no ACK that is missing.
    pub(super) is_answer: bool,
    /// It was told that the dialog is lost.
    pub(super) is_told: bool,
}

/// End of a dialog that sent a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Side {
    Caller = 0,
    Callee = 1,
}

impl Side {
    pub(super) fn peer(self) -> Self {
        match self {
            Self::Caller => Self::Callee,
            Self::Callee => Self::Caller,
        }
    }
}

/// State of one end of a dialog.
#[derive(Clone, Copy, Default, Serialize, Deserialize)]
pub(super) struct SideState {
    /// The number of its last request.
    pub(super) cseq: Option<u32>,
    /// Its last session description.
    pub(super) media: Option<MediaState>,
    /// It put the call on hold.
    pub(super) holds: bool,
}

/// Facts of a session description that matter.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct MediaState {
    /// The version in its origin line, which changes with every change (RFC 3264 §8).
    pub(super) version: u64,
    /// It stops the peer's media: sendonly, inactive or the address 0.0.0.0.
    pub(super) stops: bool,
    /// It stops its own media as well: inactive.
    pub(super) is_silent: bool,
    /// It is for a fax (T.38).
    pub(super) fax: bool,
}

/// A re-INVITE or UPDATE: it refreshes the session (RFC 4028 §7.4), and may change it (RFC 3264).
#[derive(Serialize, Deserialize)]
pub(super) struct Change {
    side: Side,
    cseq: u32,
    /// The branch of its request at each hop, which its answer carries there.
    branches: Vec<Box<[u8]>>,
    pub(super) offer: Offer,
    /// A response of 200 to 299 was seen at one hop.
    pub(super) accepted: bool,
}

/// The offer of a change.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(super) enum Offer {
    /// There is none, or it was answered.
    Nothing,
    /// It came with the request.
    Made(MediaState),
    /// It is expected in the response, and its answer in the ACK (RFC 3261 §14.1).
    Expected,
    /// The response brought it.
    InResponse(MediaState),
}

impl Change {
    pub(super) fn new(side: Side, cseq: u32, branch: &[u8], offer: Offer) -> Self {
        Self { side, cseq, branches: vec![branch.into()], offer, accepted: false }
    }

    /// Takes the offer that a final response answers; one that the response brought waits for the ACK.
    pub(super) fn take_offer(&mut self) -> Offer {
        match self.offer {
            Offer::InResponse(_) => Offer::Nothing,
            Offer::Nothing | Offer::Made(_) | Offer::Expected => {
                std::mem::replace(&mut self.offer, Offer::Nothing)
            }
        }
    }

    /// Notes another hop of the request.
    pub(super) fn passes_on(&mut self, branch: &[u8]) {
        if self.branches.len() < BRANCHES_MAX {
            self.branches.push(branch.into());
        }
    }

    /// Returns `true` if a response or ACK is part of it, by side and CSeq.
    pub(super) fn is(&self, side: Side, cseq: u32) -> bool {
        self.side == side && self.cseq == cseq
    }

    /// Returns `true` if a response with this branch answers it.
    pub(super) fn is_answered_by(&self, branch: &[u8]) -> bool {
        self.branches.iter().any(|known| **known == *branch)
    }
}

impl Dialog {
    /// The change that this side asked for with this CSeq.
    pub(super) fn change(&mut self, side: Side, cseq: u32) -> Option<&mut Change> {
        self.changes.iter_mut().find(|change| change.is(side, cseq))
    }

    /// Tests whether a change with this branch was asked for by this side with this CSeq.
    pub(super) fn is_asked_by(&self, side: Side, cseq: u32, branch: &[u8]) -> bool {
        self.changes.iter().any(|change| change.is(side, cseq) && change.is_answered_by(branch))
    }

    /// Notes a change; the oldest of too many goes, one that was accepted first.
    pub(super) fn add_change(&mut self, change: Change) {
        if self.changes.len() >= CHANGES_MAX {
            self.changes.remove(self.changes.iter().position(|old| old.accepted).unwrap_or(0));
        }
        self.changes.push(change);
    }

    /// Takes the session timer of a 2xx. Each hop has a copy, and a proxy may ask for a timer that the callee
    /// does not know (RFC 4028 §8.2), so of the copies of one answer the longest counts; the first copy of
    /// another begins anew, and one without turns the timer off (§7.2).
    pub(super) fn set_timer(&mut self, timer: Option<Duration>, another: bool) {
        self.timer = if another { timer } else { self.timer.max(timer) };
    }
}

impl Call {
    /// Returns `true` if it is the call of this From tag that began at this instant.
    pub(super) fn is(&self, caller_tag: &[u8], opened: Timestamp) -> bool {
        self.opened == opened && *self.caller_tag == *caller_tag
    }

    /// The transaction that a request or response belongs to.
    pub(super) fn hop(&self, branch: &[u8], cseq: u32, src: SocketAddr, dst: SocketAddr) -> Option<usize> {
        self.hops.iter().position(|hop| {
            hop.cseq == cseq
                && *hop.branch == *branch
                && (!branch.is_empty() || (hop.src == src && hop.dst == dst))
        })
    }

    /// Tests whether the caller's call goes on though the INVITE of a first hop has failed: it is one of
    /// several branches of a fork, or the caller has sent another since.
    pub(super) fn goes_on_beside(&self, at: usize) -> bool {
        let failed = &self.hops[at];
        self.hops.iter().enumerate().any(|(index, hop)| {
            let is_live = hop.is_pending() || hop.state == HopState::Answered;
            index != at && hop.first && (hop.cseq > failed.cseq || (hop.cseq == failed.cseq && is_live))
        })
    }

    /// Notes a dialog that a response on a hop creates, with this To tag.
    pub(super) fn learn_dialog(&mut self, tag: &[u8], at: usize, cseq: u32, answered: bool) {
        let hop = &self.hops[at];
        let target = hop.target;
        if let Some(known) = self.dialogs.iter_mut().find(|dialog| *dialog.tag == *tag) {
            // Its first response on the last hop was lost, or comes later than on those before.
            if !hop.relayed && self.hops.iter().any(|hop| hop.target == known.target && hop.relayed) {
                known.target = target;
            }
            return;
        }
        if self.dialogs.len() >= DIALOGS_MAX {
            // An answer goes before tags that only rang.
            let early = self.dialogs.iter().position(|dialog| answered && !dialog.answered);
            let Some(early) = early else { return };
            self.dialogs.remove(early);
        }
        self.dialogs.reserve_exact(1); // nearly every call has one
        self.dialogs.push(Dialog {
            tag: tag.into(),
            target,
            answered: false,
            confirmed: false,
            unacknowledged: None,
            ended: false,
            sides: [SideState { cseq: Some(cseq), ..SideState::default() }, SideState::default()],
            changes: Vec::new(),
            timer: None,
            referral: None,
            doubt: None,
        });
    }

    /// The dialog between these tags, and the side that has `from_tag`.
    pub(super) fn dialog(&self, from_tag: &[u8], to_tag: &[u8]) -> Option<(usize, Side)> {
        let (side, tag) = if *self.caller_tag == *from_tag {
            (Side::Caller, to_tag)
        } else if *self.caller_tag == *to_tag {
            (Side::Callee, from_tag)
        } else {
            return None;
        };
        Some((self.dialogs.iter().position(|dialog| *dialog.tag == *tag)?, side))
    }

    /// The longest session timer of the dialogs that are in use, where any has one.
    pub(super) fn timer(&self) -> Option<Duration> {
        let used = self.dialogs.iter().filter(|dialog| dialog.answered && !dialog.ended);
        used.filter_map(|dialog| dialog.timer).max()
    }

    /// Returns `true` if another dialog than this one is in use.
    pub(super) fn talks_elsewhere(&self, but: usize) -> bool {
        self.others_in_use(but).next().is_some()
    }

    /// Returns `true` if another dialog with the same target is in use.
    pub(super) fn talks_in_another_dialog(&self, but: usize) -> bool {
        let target = self.dialogs[but].target;
        self.others_in_use(but).any(|dialog| dialog.target == target)
    }

    fn others_in_use(&self, but: usize) -> impl Iterator<Item = &Dialog> {
        let others = self.dialogs.iter().enumerate().filter(move |&(index, _)| index != but);
        others.map(|(_, dialog)| dialog).filter(|dialog| dialog.confirmed && !dialog.ended)
    }
}

/// The last messages of a call, to recognise them when they come again.
#[derive(Serialize, Deserialize)]
pub(super) struct Fingerprints {
    prints: Vec<u64>,
    /// The oldest, once there are as many as are kept.
    oldest: usize,
}

impl Fingerprints {
    /// More than a call sends in the time in which a message may be repeated.
    const KEPT_MAX: usize = 256;

    pub(super) fn of(first: u64) -> Self {
        Self { prints: vec![first], oldest: 0 }
    }

    pub(super) fn contains(&self, print: u64) -> bool {
        self.prints.contains(&print)
    }

    pub(super) fn add(&mut self, print: u64) {
        if self.prints.len() < Self::KEPT_MAX {
            self.prints.push(print);
        } else {
            self.prints[self.oldest] = print;
            self.oldest = (self.oldest + 1) % Self::KEPT_MAX;
        }
    }
}
