//! Inputs on their way from those who send them to the machine.

mod access;
mod forwarded;
mod frames;

use std::sync::Arc;
use std::sync::mpsc::Sender;

use hookswitch_model::{SwitchLink, TelephonySessionId, Timestamp};
use hookswitch_signal::ingest::Posted;
use hookswitch_store::{Acknowledge, Sender as SourceSender, Settings};
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::sync::oneshot;

use crate::control::LocatedCall;

pub(crate) use self::access::{Access, Gate};
pub use self::forwarded::ForwardedInput;
pub use self::frames::Frames;
pub(crate) use self::frames::{Item, Pool};

/// Number of inputs that may wait for the machine; batches of messages are bounded by their listeners.
pub(crate) const INTAKE_AHEAD: usize = 256;

/// Input of the server.
pub enum Intake {
    /// Messages of capture agents, and where the batch goes back to.
    Frames(Frames, Sender<Frames>),
    /// Signals that a client has posted; accepted or refused as a whole.
    Posted(PostedBatch),
    /// Reports of a switch about its calls.
    Switch(SwitchBatch),
    /// Inputs that a node of a cluster was sent, and the sender who is told when they are on disk.
    ForwardedInput(Arc<ForwardedInput>, Acknowledge),
    /// The same, of another node; with it the intake is taken up to the message `taken`, and is read again
    /// behind `resume`.
    Forwarded {
        /// Inputs as they were handed over.
        carried: ForwardedInput,
        /// The message up to which the intake is taken.
        taken: u64,
        /// The message behind which it is read again.
        resume: u64,
    },
    /// A question about open calls, which changes nothing and is not logged.
    Asked(Question),
    /// The directory or the policy was read again.
    Settings(Box<Settings>),
    /// No more will come: what is in hand is stored, and the loop ends.
    Stop,
}

/// A question about open calls. Its answer is dropped by a node that does not have them.
pub enum Question {
    /// What are the parties of a call, and their channels?
    Call {
        /// Session of the call.
        session: TelephonySessionId,
        /// Told; nothing if the call is not open.
        answer: oneshot::Sender<Option<LocatedCall>>,
    },
    /// Which call is a channel of?
    Channel {
        /// The name of its source.
        source: String,
        /// The channel, as its switch names it.
        channel: String,
        /// Told; nothing if it is of none yet.
        answer: oneshot::Sender<Option<TelephonySessionId>>,
    },
}

/// Signals that a client has posted together.
pub struct PostedBatch {
    /// Sender.
    pub sender: SourceSender,
    /// Each as it was understood, and as it is logged.
    pub signals: Vec<(Posted, Box<RawValue>)>,
    /// Told once all of it is on disk; dropped if that will not be.
    pub accepted: oneshot::Sender<Accepted>,
}

/// Reports of a switch about its calls, on a connection.
pub struct SwitchBatch {
    /// Sender.
    pub sender: Arc<SourceSender>,
    /// State of the connection that changed before the messages: made, or lost.
    pub link: Option<SwitchLink>,
    /// The messages, one after the other.
    pub bytes: Vec<u8>,
    /// Time when each message came, and where it ends among the bytes.
    pub messages: Vec<(Timestamp, usize)>,
}

/// Counts of posted signals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Accepted {
    /// New ones.
    pub accepted: usize,
    /// Known ones, by their ids; they count once.
    pub repeated: usize,
}
