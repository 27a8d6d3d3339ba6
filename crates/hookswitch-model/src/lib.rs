//! The words Hookswitch is written in: what a source reports ([`Signal`]), what the API shows
//! ([`Party`]), and what is told to subscribers ([`Event`]).
//!
//! This crate depends on nothing of ours. It has no SIP, AMI or ESL types, no JSON names and no
//! transitions; all that it decides is what number a text is ([`number`]). Start at [`signal`], then read [`event`].

#![warn(clippy::iter_over_hash_type, reason = "the order of a hash map differs from run to run")]

pub mod event;
pub mod hash;
pub mod id;
pub mod link;
pub mod logged;
pub mod number;
pub mod party;
pub mod presence;
pub mod signal;
pub mod time;

pub use event::{Causes, Event, Note, Notes, Rule, SessionFacts};
pub use id::{
    AccountId, ActionId, DeviceId, ExtensionId, HexDigits, InputRef, LegId, NotificationId, PartyId,
    RecordingId, SessionId, SubscriptionId, TelephonySessionId,
};
pub use link::SwitchLink;
pub use logged::Logged;
pub use party::{
    ConferenceRole, Direction, Endpoint, Origin, Party, Peer, Reason, Recording, RingOutRole, SipData,
    Status, StatusCode,
};
pub use presence::{ActiveCall, CallChange};
pub use signal::{
    Alias, Caller, Cause, FarEnd, LegCreated, LegRelation, Mailbox, RecordingSession, Service, Signal,
    SignalKind, Transfer,
};
pub use time::{ClockId, Iso, Timestamp};
