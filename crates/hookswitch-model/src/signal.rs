//! One fact about one leg at one instant, in our words, whatever reported it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::event::Note;
use crate::id::{AccountId, InputRef, LegId, RecordingId};
use crate::party::{Direction, Reason, RingOutRole, SipData};
use crate::time::Timestamp;

/// One fact about one leg at one instant.
///
/// Sources translate what they see into signals; which parties and events follow is decided by the
/// session machine alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signal {
    /// Time when it happened.
    pub at: Timestamp,
    /// The account in which it happened, unless the directory knows better.
    pub account: AccountId,
    /// The source names the account for certain: the directory is not asked, and a call of another account is
    /// not touched.
    pub account_given: bool,
    /// The leg it is about.
    pub leg: LegId,
    /// The input that told it.
    pub input: InputRef,
    /// Event on the leg.
    pub kind: SignalKind,
}

/// Event on a leg.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SignalKind {
    /// The leg came into being.
    Created(Box<LegCreated>),
    /// The far end of a called leg asked for credentials, so it is a server; the caller will try
    /// again.
    Challenged,
    /// The far end of a called leg passed the call on, so it is a proxy.
    Relayed,
    /// The caller may be about to call again on this leg: elsewhere, or with other parameters (3xx, 422, 488,
    /// 503 and the like).
    TriedAgain,
    /// The far end of a called leg wants more digits (484), so it is a switch, and the caller may dial on.
    Incomplete,
    /// The target's device rings; on a caller's leg, ringing was reported to the caller.
    Ringing {
        /// The tag that the answering side chose, where the source shows it.
        to_tag: Option<Arc<str>>,
    },
    /// The offer on a called leg is being withdrawn, not because another target answered; the end follows.
    CancelSent,
    /// The leg was answered.
    Answered {
        /// The tag that the answering side chose, where the source shows it.
        to_tag: Option<Arc<str>>,
    },
    /// Automatic answer: no person is there; the other end plays music or an announcement, or parks
    /// calls (RFC 3840 `automaton`).
    Automaton,
    /// Answer by the focus of a conference (RFC 4579).
    Focus {
        /// The name of the conference.
        room: Arc<str>,
        /// The holder of the leg owns the conference.
        owns: bool,
    },
    /// The product name that the server at the far end of this leg gives itself.
    ServedBy(Arc<str>),
    /// The party at the end of this leg put the call on hold.
    Held,
    /// The party at the end of this leg took the call off hold.
    Resumed,
    /// The party at the end of this leg parked the call.
    Parked {
        /// Where, if known.
        slot: Option<Arc<str>>,
    },
    /// The holder of another leg, who was not offered the call, takes it from the party that rings here.
    PickedUp {
        /// The leg of who takes it.
        by: LegId,
    },
    /// The call that the party here has parked was not taken in time.
    ParkRanOut,
    /// The call that the party here has parked was taken by the holder of another leg.
    Retrieved {
        /// The leg of who takes it.
        by: LegId,
    },
    /// The holder of this leg listens to, whispers to or barges in on the party of another leg.
    Supervises {
        /// The leg of who is supervised.
        whom: LegId,
    },
    /// The mailbox of the called party took the call.
    SentToVoicemail,
    /// The called party listens to the message as it is left.
    Screened,
    /// A fax is being received on this leg.
    FaxStarted,
    /// The party at the end of this leg asked for its call to be moved, and the other side agreed to try.
    TransferAsked(Box<Transfer>),
    /// Outcome of the transfer that the party at the end of this leg asked for.
    TransferDone {
        /// Set if it succeeded; if not, the call is as it was before.
        succeeded: bool,
    },
    /// The phone system muted the party, or not any more.
    Muted(bool),
    /// A recording of the party runs, or is paused or has stopped.
    Recording {
        /// Recording.
        id: RecordingId,
        /// Set if it runs.
        active: bool,
    },
    /// The leg has another name, too.
    Named(Alias),
    /// Something to be said in the explanation of what is told of the leg.
    Note(Note),
    /// The SIP dialog of the leg, as another source than the leg's own shows it.
    Dialog(Arc<SipData>),
    /// The call goes on, though nothing else changes (a session refresh, RFC 4028 §7.4).
    Alive {
        /// Time for which the leg may be silent from here on; none: no session timer runs.
        within: Option<Duration>,
    },
    /// The leg ended.
    Ended(Cause),
    /// A recording session tells that a call is recorded, or is not any more; the leg is its own, and of no call.
    RecordingSession(Box<RecordingSession>),
    /// The far end of a called leg has another address as well: the same packet was seen with it, behind a
    /// translation of addresses.
    AlsoAt(SocketAddr),
}

/// Recording session: facts about the call that it records (SIPREC, RFC 7866).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordingSession {
    /// The recording.
    pub id: RecordingId,
    /// Set if it runs.
    pub active: bool,
    /// Names of the recorded call.
    pub of: Vec<Alias>,
    /// The numbers or users of those who are recorded.
    pub participants: Vec<Arc<str>>,
    /// Source of its messages: who records, or has it recorded.
    pub src: SocketAddr,
}

/// Facts of a leg when it comes into being.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LegCreated {
    /// `Outbound` for a caller's leg, `Inbound` for a leg to a target.
    pub direction: Direction,
    /// For a leg to a target: the caller's leg in the same SIP call.
    pub of: Option<LegId>,
    /// Caller.
    pub caller: Caller,
    /// Callee: the number or user, as it was dialled or addressed.
    pub callee: Arc<str>,
    /// The display name of who is called.
    pub callee_name: Option<Arc<str>>,
    /// The host of the callee's address, when it is a domain.
    pub callee_host: Option<Arc<str>>,
    /// Source address of the leg's messages.
    pub src: Option<SocketAddr>,
    /// Destination address of the leg's messages.
    pub dst: Option<SocketAddr>,
    /// The address that the sender says it listens on (RFC 3261 §18.1.1), if it is an IP address.
    pub sent_by: Option<SocketAddr>,
    /// Name that the switch has for the phone or trunk at the other end of the leg.
    pub endpoint: Option<Arc<str>>,
    /// The domain that the switch has that phone in, where it serves several tenants.
    pub endpoint_domain: Option<Arc<str>>,
    /// The product name that the sender gives itself.
    pub agent: Option<Arc<str>>,
    /// Far end of a leg to a target, as far as it is known.
    pub far_end: FarEnd,
    /// Other names of the call this leg belongs to.
    pub aliases: Vec<Alias>,
    /// The SIP dialog.
    pub sip: Option<Arc<SipData>>,
    /// The part in a RingOut call.
    pub ring_out_role: Option<RingOutRole>,
    /// Service that is called, when the source knows that it is no person.
    pub service: Option<Service>,
    /// The call comes out of a queue in which the caller waits.
    pub from_queue: bool,
    /// The switch itself reports the call, and all that happens to it: nothing need be guessed.
    pub reported: bool,
    /// The call was going on when its source was connected to, so that its beginning is not known.
    pub found_running: bool,
    /// The sender has no leg of its own in this call: it is a server that calls on somebody's behalf.
    pub sent_by_server: bool,
    /// Relation of the leg to an open call, when its source says so.
    pub place: Option<LegRelation>,
    /// Mailbox that the leg leads to, and the reason, when the request says so (RFC 4458).
    pub mailbox: Option<Mailbox>,
    /// Number that sent the call elsewhere last (Diversion, RFC 5806; History-Info, RFC 7044).
    pub diverted_by: Option<Arc<str>>,
    /// Number that was called first, when the call was sent elsewhere more than once.
    pub called_first: Option<Arc<str>>,
    /// Fingerprint of the session description that the sender offers.
    pub offer: Option<u64>,
    /// The sender says that no person is there: it parks calls or plays music (RFC 3840 `automaton`).
    pub is_automaton: bool,
}

/// Service of the phone system that answers a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Service {
    /// A menu (IVR).
    Menu,
    /// A queue.
    Queue,
    /// A mailbox, or the number to listen to mailboxes.
    Voicemail,
    /// A fax machine.
    Fax,
}

/// Relation of a new leg to an open call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LegRelation {
    /// Its holder takes the place of who is at the end of this leg (RFC 3891).
    Replaces(LegId),
    /// Its holder joins the call of this leg (RFC 3911).
    Joins(LegId),
    /// It leads to who is at the end of this leg already.
    SamePartyAs(LegId),
}

/// A mailbox that a call goes to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mailbox {
    /// The number or user whose mailbox it is.
    pub of: Arc<str>,
    /// Reason why the call goes there; none when it was called directly.
    pub cause: Option<Cause>,
}

/// Target of a transfer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transfer {
    /// The number or user of the target, as it was asked for.
    pub to: Arc<str>,
    /// The host of the target's address, when it is a domain.
    pub to_host: Option<Arc<str>>,
    /// The same party's leg of the call whose far end is to take over (an attended transfer).
    pub consulted: Option<LegId>,
    /// It was asked for by a feature code.
    pub by_code: bool,
}

/// Caller, as far as the signalling tells.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caller {
    /// The number or user.
    pub number: Option<Arc<str>>,
    /// The display name.
    pub name: Option<Arc<str>>,
    /// The host of the caller's address, when it is a domain.
    pub host: Option<Arc<str>>,
    /// Set if number and name must not be shown (RFC 3323, RFC 3325 §7).
    pub withheld: bool,
}

/// Far end of a leg to a target, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FarEnd {
    /// It may be a phone or a server.
    Unknown,
    /// It is a server that the sender has an account with: its phone system or its provider.
    Server,
    /// It is the phone system of others than the sender, who calls in from outside.
    Switch,
    /// It is a phone or a trunk: the sender chose this address for this target.
    Endpoint,
}

/// A name under which several legs, of one source or of several, can be known to be one call.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Alias {
    /// A SIP Call-ID.
    CallId(Box<[u8]>),
    /// The Session-ID of the calling side (RFC 7989).
    SessionId(Box<[u8]>),
    /// A correlation id given by a capture agent.
    Correlation(Box<[u8]>),
    /// The id of a channel, as the switch names it.
    Channel(Box<[u8]>),
    /// The Call-ID of another leg, as this one says; it is no name of this leg.
    OtherCallId(Box<[u8]>),
    /// The name by which the network charges the call (RFC 7315); it counts where a number agrees, too.
    ChargingId(Box<[u8]>),
}

/// Cause of a leg's end, whatever protocol said so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Cause {
    /// Somebody hung up.
    HungUp,
    /// The caller gave up before an answer.
    Cancelled,
    /// The switch took the offer back, and did not say why.
    Withdrawn,
    /// The switch took the offer back because another target answered.
    AnsweredElsewhere,
    /// Nobody answered, or the phone cannot be reached.
    NoAnswer,
    /// Busy.
    Busy,
    /// Declined.
    Rejected,
    /// The target asked to be called elsewhere.
    Redirected,
    /// Nobody has this number.
    UnknownNumber,
    /// Calls to the destination are not allowed.
    Blocked,
    /// Calls abroad are not allowed.
    InternationalBarred,
    /// There is no money for the call.
    NoFunds,
    /// The network or a server failed.
    Failed,
    /// The leg was lost: no more media or signalling.
    Lost,
    /// The switch, asked what goes on, did not name the leg any more.
    Unlisted,
    /// The connection to the switch was lost, and was not made again within the time that its calls have.
    SwitchLost,
    /// The source names the reason itself.
    Named(Reason),
    /// The switch hung up on whoever is at the end of the leg.
    Cleared,
}
