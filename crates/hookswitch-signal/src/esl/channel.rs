//! One channel of the switch, as it is followed.

use std::sync::Arc;

use hookswitch_model::{Caller, Cause, LegId, RecordingId, SipData, Timestamp};
use serde::{Deserialize, Serialize};

use super::cause::HangupCause;
pub(super) use crate::switch::{Calling, Leg, Moment, Number, Queue, Service, ServiceKind};

/// Technologies of channels that lead to nobody: they are the switch's own.
const PLUMBING: [&str; 6] = ["loopback", "pickup", "error", "group", "null", "user"];

/// A channel, from its CHANNEL_CREATE to its CHANNEL_HANGUP_COMPLETE.
#[derive(Serialize, Deserialize)]
pub(super) struct Channel {
    pub(super) uuid: Box<str>,
    pub(super) name: Box<str>,
    /// It leads to nobody, but into the switch.
    pub(super) is_plumbing: bool,
    /// Its own end called the switch, and not the switch its end.
    pub(super) calls: bool,
    /// Name that the switch has for the phone or trunk.
    pub(super) endpoint: Option<Arc<str>>,
    /// It is a phone's, by the name of its user.
    pub(super) is_users: bool,
    /// The domain of the switch's directory that it belongs to; tenants have one each.
    pub(super) domain: Option<Arc<str>>,
    pub(super) caller: Caller,
    /// The number that was dialled first.
    pub(super) first_dialled: Arc<str>,
    /// The number that the dialplan is at.
    pub(super) dialled: Arc<str>,
    pub(super) begun: Moment,
    /// Leg as far as it is known.
    pub(super) leg: Leg,
    pub(super) answered: bool,
    /// Time when it was answered, if that is not told yet.
    pub(super) untold_answer: Option<Moment>,
    /// State of the confirmation: its holder has yet to accept the call by a key, or not.
    pub(super) confirmation: Confirmation,
    /// Caller.
    pub(super) called_by: Option<Calling>,
    /// For whom it was told of as called.
    pub(super) offered_for: Option<Number>,
    /// The other end of a loopback.
    pub(super) other_end: Option<Box<str>>,
    /// Party it talks with, or has talked with last.
    pub(super) peer: Option<Number>,
    pub(super) holds: bool,
    /// Time when it was taken off hold, if that may be for its end alone.
    pub(super) unheld: Option<Moment>,
    /// Its holder has moved the call, or another has taken it: what its end means is known.
    pub(super) moved: bool,
    /// Its holder asks by a feature code for an attended transfer.
    pub(super) consults: Option<Consultation>,
    /// Its side of an attended transfer whose other side is not known yet.
    pub(super) joins: Option<Joins>,
    /// The last entry of its transfer history.
    pub(super) history: Box<str>,
    /// Time when its call was sent elsewhere by somebody else, since it talked last.
    pub(super) sent: Option<Timestamp>,
    /// Time when it began to leave, counted over all channels.
    pub(super) left: Option<u64>,
    /// Report of its end, while that waits.
    pub(super) hung_up: Option<(HangupCause, Moment)>,
    /// Place where it is sent by a blind transfer of its holder's making (`transfer_to`, and the number).
    pub(super) transfers: Option<Arc<str>>,
    pub(super) service: Option<Service>,
    pub(super) queue: Option<Queue>,
    /// Call of a queue that its holder takes, who waits on the line for such calls.
    pub(super) standby: Option<Standby>,
    /// Time when it was sent to be parked, if it is not yet.
    pub(super) to_be_parked: Option<Moment>,
    /// Until when the dialplan pauses.
    pub(super) pauses_until: Option<Timestamp>,
    /// The targets that it calls in a way that does not tie them to it (`:_:`).
    pub(super) enterprise: Option<Box<str>>,
    pub(super) recordings: Vec<(u64, RecordingId)>,
    pub(super) recordings_begun: u32,
    pub(super) call_id_told: bool,
    /// Place where its phone has sent the call (302), if FreeSWITCH goes on with the same channel, and the leg there.
    pub(super) redirected: Option<(Box<str>, LegId)>,
    /// SIP dialog of its leg, as far as it was said.
    pub(super) sip: Option<Arc<SipData>>,
    pub(super) last_seen: Timestamp,
    /// It went on when it was first heard of.
    pub(super) found: bool,
    /// The channel that its call began with, when it was found.
    pub(super) found_of: Option<Box<str>>,
    /// It rang when it was found.
    pub(super) early: bool,
    /// It was heard of since the last list of channels, or is named by it.
    pub(super) listed: bool,
    /// It is known to be of the core that was heard of last, and not named by a list since.
    pub(super) is_of_core: bool,
    /// Since when it is missed, and the cause by which it ends if it does not come back.
    pub(super) missed: Option<(Moment, Cause)>,
    /// Its call was cancelled by plumbing that another target has won against.
    pub(super) lost_race: bool,
    /// Group (`pickup/…`) from whose place its call was taken, by whom is not known yet.
    pub(super) taken_from: Option<Box<str>>,
    /// Group whose call its holder takes, where that call is not known yet.
    pub(super) picks: Option<Box<str>>,
    /// Reason why the last target that it called did not take the call.
    pub(super) refused: Option<Cause>,
    /// It is in a conference.
    pub(super) in_room: bool,
    /// The switch has muted its holder.
    pub(super) muted: bool,
}

/// Confirmation by which a callee accepts a call (`group_confirm_key`), as in `confirm-no-key`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Confirmation {
    /// None is asked for, or it was given.
    None,
    /// It will be asked for at the answer.
    Asked,
    /// The phone was picked up, and the call not accepted yet.
    Awaited,
}

/// Attended transfer by a feature code (`att_xfer`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Consultation {
    /// Number that is called.
    pub(super) to: Arc<str>,
    /// Channel that waits meanwhile.
    pub(super) waits: Option<Number>,
}

/// Side of an attended transfer (REFER with Replaces) to a call that has no far end, as a queue's:
/// `transfer_disposition` without `transfer_to`, as in `attended-transfer-to-queue`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Joins {
    /// Channel whose far end is moved (`recv_replace`).
    Moves,
    /// Channel whose place the far end takes (`replaced`).
    Replaced,
}

/// Call of a queue at an agent who is not called for it (`uuid-standby`), as in `cc-standby`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Standby {
    /// Leg that stands for the agent in the call.
    pub(super) leg: LegId,
    /// Channel of the caller.
    pub(super) member: Number,
}

impl Channel {
    /// A channel of which nothing is known but its name, and whether it calls.
    pub(super) fn new(uuid: &str, name: &str, calls: bool, begun: Moment) -> Self {
        Self {
            uuid: uuid.into(),
            name: name.into(),
            is_plumbing: is_plumbing(name),
            calls,
            endpoint: None,
            is_users: false,
            domain: None,
            caller: Caller::default(),
            first_dialled: Arc::from(""),
            dialled: Arc::from(""),
            begun,
            leg: Leg::Untold,
            answered: false,
            untold_answer: None,
            confirmation: Confirmation::None,
            called_by: None,
            offered_for: None,
            other_end: None,
            peer: None,
            holds: false,
            unheld: None,
            moved: false,
            consults: None,
            joins: None,
            history: Box::from(""),
            sent: None,
            left: None,
            hung_up: None,
            transfers: None,
            service: None,
            queue: None,
            standby: None,
            to_be_parked: None,
            pauses_until: None,
            enterprise: None,
            recordings: Vec::new(),
            recordings_begun: 0,
            call_id_told: false,
            redirected: None,
            sip: None,
            last_seen: begun.at,
            found: false,
            found_of: None,
            early: false,
            listed: true,
            is_of_core: false,
            missed: None,
            lost_race: false,
            taken_from: None,
            picks: None,
            refused: None,
            in_room: false,
            muted: false,
        }
    }

    /// Returns `true` if its leg was told, and has not ended.
    pub(super) fn is_told(&self) -> bool {
        matches!(self.leg, Leg::Calling | Leg::Called)
    }

    /// Returns `true` if it is told and not about to end.
    pub(super) fn is_live(&self) -> bool {
        self.is_told() && self.hung_up.is_none()
    }
}

/// Returns `true` if a channel leads into the switch, by its name.
pub(super) fn is_plumbing(name: &str) -> bool {
    name.split_once('/').is_none_or(|(technology, _)| PLUMBING.contains(&technology))
}

/// Returns `true` if two may be of one domain; what has none may be of any.
pub(super) fn is_same_domain(one: Option<&str>, other: Option<&str>) -> bool {
    one.zip(other).is_none_or(|(one, other)| one.eq_ignore_ascii_case(other))
}
