//! A participant of a session, as the API shows it (contract events §2.1 to §2.4, §5, §6).

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::id::{AccountId, DeviceId, ExtensionId, PartyId, RecordingId, SessionId};

macro_rules! named {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name { $($(#[$vdoc])* $variant),+ }

        impl $name {
            /// All values, in the order of the contract.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word on the wire.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = UnknownWord;

            /// Reads the word on the wire, exactly as it is spelled.
            fn from_str(text: &str) -> Result<Self, UnknownWord> {
                Self::ALL.iter().copied().find(|value| value.as_str() == text).ok_or(UnknownWord)
            }
        }
    };
}

/// A word that is none of an enumeration's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnknownWord;

impl fmt::Display for UnknownWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a word that the API does not have here")
    }
}

impl std::error::Error for UnknownWord {}

named! {
    /// Direction of a party's leg, seen from the phone system: the caller's leg is `Outbound`,
    /// the leg to each target is `Inbound` (contract events §2.1).
    Direction {
        /// A leg to somebody who is called.
        Inbound = "Inbound",
        /// The leg of somebody who calls.
        Outbound = "Outbound",
    }
}

named! {
    /// Status code of a party (contract events §5).
    StatusCode {
        /// The call was accepted, or has reached the extension.
        Setup = "Setup",
        /// A device rings, or the network gave a provisional answer.
        Proceeding = "Proceeding",
        /// Media is up.
        Answered = "Answered",
        /// The leg ended. Terminal.
        Disconnected = "Disconnected",
        /// The party's media moved to another session. Terminal.
        Gone = "Gone",
        /// The party parked the call.
        Parked = "Parked",
        /// The party put the call on hold.
        Hold = "Hold",
        /// The mailbox took the call.
        VoiceMail = "VoiceMail",
        /// A fax is being received.
        FaxReceive = "FaxReceive",
        /// The mailbox took the call and the callee listens in.
        VoiceMailScreening = "VoiceMailScreening",
    }
}

impl StatusCode {
    /// Returns `true` if nothing can follow.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Disconnected | Self::Gone)
    }
}

named! {
    /// Reason of a party's status (contract events §6.1; the last three are in the SDKs only).
    Reason {
        /// Somebody else took the call, or this party took it.
        Pickup = "Pickup",
        /// The party supervises the call.
        Supervising = "Supervising",
        /// A supervisor took the call over.
        TakeOver = "TakeOver",
        /// A ring, queue or park timer ran out.
        Timeout = "Timeout",
        /// The party transferred the call without asking the target.
        BlindTransfer = "BlindTransfer",
        /// A legacy call controller transferred the call.
        RccTransfer = "RccTransfer",
        /// The party transferred the call after asking the target.
        AttendedTransfer = "AttendedTransfer",
        /// The caller chose in a menu.
        CallerInputRedirect = "CallerInputRedirect",
        /// The call moved to another device of the same person.
        CallFlip = "CallFlip",
        /// The call was parked at a location.
        ParkLocation = "ParkLocation",
        /// The party transferred the call by a feature code.
        DtmfTransfer = "DtmfTransfer",
        /// An agent of the queue answered.
        AgentAnswered = "AgentAnswered",
        /// The agent was lost.
        AgentDropped = "AgentDropped",
        /// The callee declined.
        Rejected = "Rejected",
        /// The caller gave up.
        Cancelled = "Cancelled",
        /// The phone system or the network failed.
        InternalError = "InternalError",
        /// Nobody answered.
        NoAnswer = "NoAnswer",
        /// The target was busy.
        TargetBusy = "TargetBusy",
        /// The number cannot be routed.
        InvalidNumber = "InvalidNumber",
        /// International calls are off.
        InternationalDisabled = "InternationalDisabled",
        /// The destination is on a block list.
        DestinationBlocked = "DestinationBlocked",
        /// The balance is empty.
        NotEnoughFunds = "NotEnoughFunds",
        /// The account has no such extension.
        NoSuchUser = "NoSuchUser",
        /// The call was forwarded.
        CallRedirected = "CallRedirected",
        /// The callee replied with a text.
        CallReplied = "CallReplied",
        /// The call ended as calls do; only when a reason is wanted.
        CallFinished = "CallFinished",
        /// The call was dropped by the phone system or on request.
        CallDropped = "CallDropped",
        /// The mailbox took the call.
        Voicemail = "Voicemail",
        /// The call was parked.
        CallPark = "CallPark",
        /// The call moved to another device.
        CallSwitch = "CallSwitch",
        /// The party's media moved to a conference.
        Conference = "Conference",
    }
}

named! {
    /// Kind of session (contract events §2).
    Origin {
        /// An ordinary call.
        Call = "Call",
        /// The phone system rings the caller first.
        RingOut = "RingOut",
        /// The phone system rings the user's own devices.
        RingMe = "RingMe",
        /// A conference.
        Conference = "Conference",
        /// A greeting is recorded over the phone.
        GreetingsRecording = "GreetingsRecording",
        /// A call that verifies a number.
        VerificationCall = "VerificationCall",
        /// A test call.
        TestCall = "TestCall",
        /// A Zoom meeting.
        Zoom = "Zoom",
        /// A call made by the call-out request.
        CallOut = "CallOut",
    }
}

named! {
    /// The part a party has in a conference.
    ConferenceRole {
        /// Owns the conference.
        Host = "Host",
        /// Takes part.
        Participant = "Participant",
    }
}

named! {
    /// The part a party has in a RingOut or RingMe call.
    RingOutRole {
        /// Is rung first.
        Initiator = "Initiator",
        /// Is called then.
        Target = "Target",
    }
}

/// One side of a party's leg, as `from` and `to` show it (contract events §2.2).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// E.164 with `+` for outside numbers, the short number for extensions; absent when withheld.
    pub phone_number: Option<Arc<str>>,
    /// The number as it was sent, when `phone_number` is written otherwise. Not shown; filters match it.
    pub sent_number: Option<Arc<str>>,
    /// The display name, once known.
    pub name: Option<Arc<str>>,
    /// Set when this side is an extension of the account.
    pub extension: Option<ExtensionId>,
    /// Set when this side called from a device of the account.
    pub device: Option<DeviceId>,
}

/// Status of a party, with its reason (contract events §2.3).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Status of the party.
    pub code: StatusCode,
    /// Why, when there is a reason; a plain hang-up has none.
    pub reason: Option<Reason>,
    /// The park slot, when `Parked`; empty when the slot is not known.
    pub park_data: Option<Arc<str>>,
    /// Party that the media went to, when `Gone`.
    pub peer: Option<Box<Peer>>,
    /// Set if a mobile device could pick the call up: an extension that is called, in
    /// `Proceeding` and in its first `Answered` (contract events §2.3).
    pub mobile_pickup: bool,
}

/// The party in another session that a `Gone` party's media moved to (contract events §6.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// The decimal id of the other session.
    pub session: SessionId,
    /// The other party; its `telephonySessionId` is part of it.
    pub party: PartyId,
}

/// A recording on a party (contract events §6.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recording {
    /// Recording.
    pub id: RecordingId,
    /// Set if it runs; false while paused and after it stopped.
    pub active: bool,
}

/// The SIP dialog of a party, shown to filters with `sipData=true` (contract events §2.1).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SipData {
    /// The Call-ID.
    pub call_id: Arc<str>,
    /// The From tag of the request that created the dialog; empty where a switch names the Call-ID alone.
    pub from_tag: Arc<str>,
    /// The To tag, once a response has set it.
    pub to_tag: Option<Arc<str>>,
}

/// One participant of a session, as it stands after a change (contract events §2.1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Party {
    /// The account of the session, for outside parties too.
    pub account: AccountId,
    /// Set when the party is an extension of the account.
    pub extension: Option<ExtensionId>,
    /// Its id.
    pub id: PartyId,
    /// Direction: it calls or is called.
    pub direction: Direction,
    /// Called end of this leg.
    pub to: Arc<Endpoint>,
    /// Calling end of this leg.
    pub from: Arc<Endpoint>,
    /// Status of the party.
    pub status: Status,
    /// The park slot while parked.
    pub park: Option<Arc<str>>,
    /// Set if the call counts as missed by this party.
    pub missed_call: bool,
    /// Set if the party was left without a peer on request.
    pub stand_alone: bool,
    /// Set if the party was muted by the phone system.
    pub muted: bool,
    /// Its part in a conference.
    pub conference_role: Option<ConferenceRole>,
    /// Its part in a RingOut call.
    pub ring_out_role: Option<RingOutRole>,
    /// Set if an agent got this call from a queue.
    pub queue_call: bool,
    /// Recordings that were started on the party, in that order.
    pub recordings: Vec<Recording>,
    /// Its SIP dialog, when a SIP source showed it.
    pub sip: Option<Arc<SipData>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_the_contract_are_all_there_once() {
        assert_eq!(StatusCode::ALL.len(), 10);
        assert_eq!(Reason::ALL.len(), 28 + 3);
        for &reason in Reason::ALL {
            assert_eq!(reason.as_str().parse(), Ok(reason));
        }
        assert_eq!("Hangup".parse::<Reason>(), Err(UnknownWord));
    }
}
