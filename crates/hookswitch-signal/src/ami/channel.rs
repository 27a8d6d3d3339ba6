//! One channel of the switch, as it is followed.

use std::sync::Arc;

use hookswitch_model::{Caller, RecordingId, Timestamp};
use serde::{Deserialize, Serialize};

use super::cause::{DialEnd, HangupCause};
pub(super) use crate::switch::{Calling, Leg, Moment, Number, Queue, Service, ServiceKind};

/// A channel, from its Newchannel to its Hangup.
#[derive(Serialize, Deserialize)]
pub(super) struct Channel {
    pub(super) uniqueid: Box<[u8]>,
    pub(super) linkedid: Box<[u8]>,
    pub(super) kind: ChannelKind,
    pub(super) state: State,
    /// The number that was dialled last on it, as far as the dialplan shows.
    pub(super) dialled: Option<Arc<str>>,
    /// The number that was dialled first.
    pub(super) first_dialled: Arc<str>,
    pub(super) caller: Caller,
    pub(super) begun: Moment,
    /// Leg as far as it is known.
    pub(super) leg: Leg,
    /// Time when it was answered, if that is not told yet. A called one is told of when its attempt has ended so: who
    /// has picked up may have yet to accept the call.
    pub(super) answered: Option<Moment>,
    /// Caller.
    pub(super) called_by: Option<Calling>,
    pub(super) dial_end: Option<DialEnd>,
    /// Number that sent the call here that it was to get.
    pub(super) diverted_by: Option<Arc<str>>,
    /// The target that has sent its last call elsewhere.
    pub(super) forwarder: Option<Arc<str>>,
    pub(super) bridge: Option<Box<[u8]>>,
    /// Party it talks with, or has talked with last.
    pub(super) peer: Option<Number>,
    pub(super) holds: bool,
    /// Time when its holder last pressed a key.
    pub(super) digit: Option<Timestamp>,
    /// Its own end has asked for the hang-up.
    pub(super) asked_to_hang_up: bool,
    /// Time when it began to leave, counted over all channels.
    pub(super) left: Option<u64>,
    /// It was transferred, parked or picked up: what its end means is known.
    pub(super) moved: bool,
    /// Numbers that may be called for it again: who has transferred it by a code and left, and to whom.
    pub(super) recalls: Vec<Arc<str>>,
    /// Whom it has called: who has answered, else the first.
    pub(super) called: Option<Number>,
    /// The targets that were told of as called for it.
    pub(super) targets: Vec<Number>,
    /// For whom it was told of as called.
    pub(super) offered_for: Option<Number>,
    /// Who calls it has asked for the end of the call.
    pub(super) is_given_up: bool,
    /// Whom it has called, who has picked up and not accepted the call yet.
    pub(super) picked_up: Option<Number>,
    /// Of the first end of a pipe: who was called through it has taken the call.
    pub(super) is_taken: bool,
    /// Whether the dialplan asks whom it calls now to accept the call.
    pub(super) asks: Asks,
    /// Contents of its Hangup, while that waits.
    pub(super) hung_up: Option<(HangupCause, Moment)>,
    pub(super) service: Option<Service>,
    pub(super) queue: Option<Queue>,
    /// Time when `Background` began to play, which may be a menu.
    pub(super) plays: Option<Moment>,
    /// The recording that runs on it, and on whom it is told.
    pub(super) recording: Option<(RecordingId, Number)>,
    pub(super) recordings: u32,
    /// Its SIP Call-ID, as the switch has named it.
    pub(super) call_id: Option<Box<[u8]>>,
    pub(super) last_seen: Timestamp,
    /// It went on when it was first heard of.
    pub(super) found: bool,
    /// Of a channel that was found: it is called, and does not call.
    pub(super) is_called: bool,
    /// It was named by the listing that is under way.
    pub(super) listed: bool,
}

/// Kind of channel: what it leads to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum ChannelKind {
    /// A phone or a trunk.
    Endpoint { technology: Box<str>, name: Arc<str> },
    /// The first or second end of a pipe.
    Local { pipe: Box<str>, second: bool },
}

/// Confirmation that an application asks those for whom it calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Asks {
    /// None: who picks up has taken the call.
    No,
    /// Before the attempt ends: options `U`, `M`, `P` and `p` of `Dial`.
    WithinDial,
    /// After it: `FollowMe`.
    AfterDial,
}

/// As Asterisk's `ChannelState`, where it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum State {
    /// Nothing was heard from it yet.
    Down,
    /// Its own end calls.
    Calls,
    /// Its phone rings.
    Rings,
    Up,
}

impl State {
    pub(super) fn read(number: &[u8]) -> Option<Self> {
        Some(match number {
            b"0" => Self::Down,
            b"4" => Self::Calls,
            b"5" => Self::Rings,
            b"6" => Self::Up,
            _ => return None,
        })
    }
}

impl Channel {
    /// The name of its phone or trunk.
    pub(super) fn endpoint(&self) -> Option<&Arc<str>> {
        match &self.kind {
            ChannelKind::Endpoint { name, .. } => Some(name),
            ChannelKind::Local { .. } => None,
        }
    }

    /// Returns `true` if its call was answered: who is called may have picked up and not accepted the call.
    pub(super) fn is_answered(&self) -> bool {
        self.state == State::Up && !(self.leg == Leg::Called && self.answered.is_some())
    }

    /// Returns `true` if its leg was told, and has not ended.
    pub(super) fn is_told(&self) -> bool {
        matches!(self.leg, Leg::Calling | Leg::Called)
    }
}
