//! From what somebody wants done to a party to what its switch is asked, and by what it shows that it was done.

use std::sync::Arc;

use hookswitch_model::{Direction, Party, PartyId, RecordingId, StatusCode, TelephonySessionId};
use hookswitch_signal::switch::{Action, ChannelView, End, RecordingStep, Target, Then};
use serde::{Deserialize, Serialize};

/// What can be asked of a call, or of a party of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "operation", content = "with", rename_all = "snake_case")]
pub enum Operation {
    /// Ends the call for all.
    Drop,
    /// Takes the party out of the call.
    Delete,
    /// Declines a call that rings.
    Reject,
    /// Leaves a call of a queue to others.
    Ignore,
    /// Sends a call that rings elsewhere.
    Forward(Target),
    /// Moves a call elsewhere.
    Transfer(Target),
    /// Parks a call.
    Park,
    /// Puts a call on hold.
    Hold,
    /// Takes a call off hold.
    Unhold,
    /// Takes a call that rings.
    Answer,
    /// Mutes the party, or not any more.
    Mute(bool),
    /// Joins the far ends of two calls of one extension.
    Bridge(PartyId),
    /// Begins to record.
    Record,
    /// Pauses a recording, or goes on with it.
    PauseRecording {
        /// Recording.
        id: RecordingId,
        /// Set if it goes on.
        active: bool,
    },
    /// Moves the call to another phone of its own.
    Flip(Phone),
    /// Takes a call that rings or is parked, by a phone.
    PickUp(Phone),
    /// Listens to the party, by a phone.
    Supervise(Phone),
    /// Takes the far end of a party into the conference room.
    BringIn,
}

/// A phone that is called, by its SIP user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Phone {
    /// Its SIP user.
    pub user: String,
}

impl Operation {
    /// Its name.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Drop => "drop",
            Self::Delete => "delete",
            Self::Reject => "reject",
            Self::Ignore => "ignore",
            Self::Forward(_) => "forward",
            Self::Transfer(_) => "transfer",
            Self::Park => "park",
            Self::Hold => "hold",
            Self::Unhold => "unhold",
            Self::Answer => "answer",
            Self::Mute(true) => "mute",
            Self::Mute(false) => "unmute",
            Self::Bridge(_) => "bridge",
            Self::Record => "record",
            Self::PauseRecording { active: false, .. } => "pause recording",
            Self::PauseRecording { active: true, .. } => "resume recording",
            Self::Flip(_) => "flip",
            Self::PickUp(_) => "pickup",
            Self::Supervise(_) => "supervise",
            Self::BringIn => "bring in",
        }
    }
}

/// By what it shows that an action was carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// All parties of the session have ended.
    Over(TelephonySessionId),
    /// The party has left, or its mailbox has the call.
    Left(PartyId),
    /// The party stands so.
    Stands(PartyId, StatusCode),
    /// The party is muted, or not.
    Muted(PartyId, bool),
    /// A recording of the party runs, or not: one that is not among those that ran before, or this one.
    Recording {
        /// Of whom.
        party: PartyId,
        /// Set if it runs.
        active: bool,
        /// Which; none: a new one.
        id: Option<RecordingId>,
    },
    /// Somebody has come into the call who was not of it.
    Joined {
        /// Which call.
        session: TelephonySessionId,
        /// The newest party before.
        after: u32,
    },
    /// A call was placed: it is the one of this channel.
    Placed {
        /// The source whose channel it is.
        source: String,
        /// The channel.
        channel: String,
    },
}

/// A call as the machine has it, with the channels of its parties.
#[derive(Clone, Debug)]
pub struct LocatedCall {
    /// Those who have not left.
    pub parties: Vec<LocatedParty>,
}

/// A party and its channels.
#[derive(Clone, Debug)]
pub struct LocatedParty {
    /// As it stands.
    pub party: Party,
    /// Its channels; none if no switch tells of it.
    pub channels: Vec<LocatedChannel>,
}

/// A channel, and the source that tells of it.
#[derive(Clone, Debug)]
pub struct LocatedChannel {
    /// The name of the source.
    pub source: Arc<str>,
    /// The channel.
    pub view: ChannelView,
}

/// What a source is asked, and by what it shows that it was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    pub(crate) source: Arc<str>,
    pub(crate) action: Action,
    pub(crate) effect: Effect,
}

/// Why nothing is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotPlanned {
    /// There is no such party.
    NoParty,
    /// The party does not stand so that this could be done.
    WrongState,
    /// It cannot be done to this call; a sentence that says why.
    Cannot(String),
}

const SIP_ALONE: &str = "This call is known from its SIP messages alone: no connection to the phone system tells which \
                         channel it is, so nothing can be done to it";

impl LocatedCall {
    fn party(&self, id: PartyId) -> Result<&LocatedParty, NotPlanned> {
        self.parties.iter().find(|located| located.party.id == id).ok_or(NotPlanned::NoParty)
    }

    /// The channel that a party talks with: the switch names it, else it is that of the only other party.
    fn peer(&self, own: &LocatedParty) -> Result<String, NotPlanned> {
        if let Some(peer) = own.channels.iter().find_map(|channel| channel.view.peer.clone()) {
            return Ok(peer);
        }
        let mut others = self.parties.iter().filter(|other| other.party.id != own.party.id);
        let other = others.find_map(LocatedParty::channel).map(|channel| channel.view.id.clone());
        let others = self.parties.iter().filter(|other| other.party.id != own.party.id);
        let count = others.filter(|other| other.channel().is_some()).count();
        other.filter(|_| count == 1).ok_or_else(|| {
            NotPlanned::Cannot(
                "It does not show which channel of the phone system this party talks with".into(),
            )
        })
    }
}

impl LocatedParty {
    fn channel(&self) -> Option<&LocatedChannel> {
        self.channels.first()
    }

    fn own(&self) -> Result<&LocatedChannel, NotPlanned> {
        self.channel().ok_or_else(|| NotPlanned::Cannot(SIP_ALONE.into()))
    }

    /// Checks that the party stands in one of these ways.
    fn stands(&self, codes: &[StatusCode]) -> Result<(), NotPlanned> {
        if codes.contains(&self.party.status.code) { Ok(()) } else { Err(NotPlanned::WrongState) }
    }

    fn rings(&self) -> Result<(), NotPlanned> {
        if self.party.direction != Direction::Inbound {
            return Err(NotPlanned::WrongState);
        }
        self.stands(&[StatusCode::Setup, StatusCode::Proceeding])
    }
}

const TALKS: &[StatusCode] = &[StatusCode::Answered, StatusCode::Hold];

/// Plans what ends a call for all.
///
/// # Errors
/// If nobody is in it, or no switch tells of it.
pub fn plan_drop(call: &LocatedCall, session: TelephonySessionId) -> Result<Planned, NotPlanned> {
    let channels: Vec<&LocatedChannel> = call.parties.iter().filter_map(LocatedParty::channel).collect();
    let source = channels.first().ok_or_else(|| NotPlanned::Cannot(SIP_ALONE.into()))?.source.clone();
    let channels = channels.iter().filter(|channel| channel.source == source);
    let action = Action::HangUp {
        channels: channels.map(|channel| channel.view.id.clone()).collect(),
        end: End::Cleared,
    };
    Ok(Planned { source, action, effect: Effect::Over(session) })
}

/// Plans an operation on a party. `other` is the call of the party that [`Operation::Bridge`] names.
///
/// # Errors
/// Why nothing can be asked.
pub fn plan(
    call: &LocatedCall,
    id: PartyId,
    operation: &Operation,
    other: Option<&LocatedCall>,
) -> Result<Planned, NotPlanned> {
    let party = call.party(id)?;
    let newest = call.parties.iter().map(|located| located.party.id.number).max().unwrap_or(0);
    let joined = Effect::Joined { session: id.session, after: newest };
    // Who has parked a call has no channel; the parked one is the far end's.
    if party.party.status.code == StatusCode::Parked {
        let slot = party.party.park.as_deref().or(party.party.status.park_data.as_deref());
        return plan_parked(call, party, operation, slot);
    }
    let state = match operation {
        Operation::Reject
        | Operation::Ignore
        | Operation::Forward(_)
        | Operation::Answer
        | Operation::PickUp(_) => party.rings(),
        Operation::Hold => party.stands(&[StatusCode::Answered]),
        Operation::Unhold => party.stands(&[StatusCode::Hold]),
        Operation::Delete => Ok(()),
        Operation::Record | Operation::PauseRecording { .. } | Operation::Supervise(_) => {
            party.stands(&[StatusCode::Answered])
        }
        Operation::Transfer(_)
        | Operation::Park
        | Operation::Mute(_)
        | Operation::Bridge(_)
        | Operation::Flip(_)
        | Operation::BringIn => party.stands(TALKS),
        Operation::Drop => return plan_drop(call, id.session),
    };
    state?;
    let channel = party.own()?;
    let own = channel.view.id.clone();
    let hang_up = |end| Action::HangUp { channels: vec![own.clone()], end };
    let shows = || {
        let number = party.party.from.phone_number.as_deref().or(party.party.to.phone_number.as_deref());
        number.filter(|number| hookswitch_signal::switch::is_word(number)).unwrap_or("0").to_owned()
    };
    let call_phone = |phone: &Phone, then| Action::Call { device: phone.user.clone(), shows: shows(), then };
    let (action, effect) = match operation {
        Operation::Drop | Operation::Delete => (hang_up(End::Cleared), Effect::Left(id)),
        Operation::Reject => (hang_up(End::Rejected), Effect::Left(id)),
        Operation::Ignore => (hang_up(End::Passed), Effect::Left(id)),
        Operation::Forward(to) => {
            (Action::Forward { own, peer: call.peer(party)?, to: to.clone() }, Effect::Left(id))
        }
        Operation::Transfer(to) => {
            (Action::Transfer { own, peer: call.peer(party)?, to: to.clone() }, Effect::Left(id))
        }
        Operation::Park => {
            (Action::Park { own, peer: call.peer(party)? }, Effect::Stands(id, StatusCode::Parked))
        }
        Operation::Hold => (Action::Hold { own, on: true }, Effect::Stands(id, StatusCode::Hold)),
        Operation::Unhold => (Action::Hold { own, on: false }, Effect::Stands(id, StatusCode::Answered)),
        Operation::Answer => (Action::Answer { own }, Effect::Stands(id, StatusCode::Answered)),
        Operation::Mute(on) => (Action::Mute { own, on: *on }, Effect::Muted(id, *on)),
        Operation::Record => {
            if party.party.recordings.iter().any(|recording| recording.active) {
                return Err(NotPlanned::WrongState);
            }
            let effect = Effect::Recording { party: id, active: true, id: None };
            (Action::Record { own, step: RecordingStep::Start }, effect)
        }
        Operation::PauseRecording { id: recording, active } => {
            if !party.party.recordings.iter().any(|known| known.id == *recording) {
                return Err(NotPlanned::NoParty);
            }
            let step = if *active { RecordingStep::Resume } else { RecordingStep::Pause };
            let effect = Effect::Recording { party: id, active: *active, id: Some(*recording) };
            (Action::Record { own, step }, effect)
        }
        Operation::Bridge(with) => {
            let other_call = other.ok_or(NotPlanned::NoParty)?;
            let other = other_call.party(*with)?;
            other.stands(TALKS)?;
            if party.party.extension.is_none()
                || other.party.extension != party.party.extension
                || *with == id
            {
                return Err(NotPlanned::Cannot(
                    "Both parties must be of one extension, in calls of its own".into(),
                ));
            }
            if other.own()?.source != channel.source {
                return Err(NotPlanned::Cannot("The two calls are in different phone systems".into()));
            }
            let action = Action::Bridge {
                own,
                peer: call.peer(party)?,
                other_own: other.own()?.view.id.clone(),
                other_peer: other_call.peer(other)?,
            };
            (action, Effect::Left(id))
        }
        Operation::Flip(phone) => {
            let then = Then::Replace { peer: call.peer(party)?, own };
            (call_phone(phone, then), Effect::Left(id))
        }
        Operation::PickUp(phone) => (call_phone(phone, Then::PickUp(own)), Effect::Left(id)),
        Operation::Supervise(phone) => (call_phone(phone, Then::Listen(own)), joined),
        Operation::BringIn => (Action::Join { channel: call.peer(party)? }, Effect::Left(id)),
    };
    Ok(Planned { source: channel.source.clone(), action, effect })
}

/// Plans what can be done to a parked call.
fn plan_parked(
    call: &LocatedCall,
    party: &LocatedParty,
    operation: &Operation,
    slot: Option<&str>,
) -> Result<Planned, NotPlanned> {
    let others = call.parties.iter().filter(|other| other.party.id != party.party.id);
    let mut channels = others.filter_map(LocatedParty::channel);
    let parked = channels.next().ok_or_else(|| NotPlanned::Cannot(SIP_ALONE.into()))?;
    let source = parked.source.clone();
    let (action, effect) = match operation {
        Operation::Drop | Operation::Delete => {
            let channels = vec![parked.view.id.clone()];
            (Action::HangUp { channels, end: End::Cleared }, Effect::Left(party.party.id))
        }
        Operation::PickUp(phone) => {
            let slot = slot.filter(|slot| !slot.is_empty());
            let slot =
                slot.ok_or_else(|| NotPlanned::Cannot("It is not known where the call is parked".into()))?;
            let slot = slot.trim_start_matches('*').to_owned();
            let then = Then::Retrieve(slot.clone());
            (Action::Call { device: phone.user.clone(), shows: slot, then }, Effect::Left(party.party.id))
        }
        _ => return Err(NotPlanned::WrongState),
    };
    Ok(Planned { source, action, effect })
}
