//! A party as the machine keeps it.

use std::sync::Arc;
use std::time::Duration;

use hookswitch_model::{
    Cause, ConferenceRole, Direction, Endpoint, ExtensionId, InputRef, LegCreated, Notes, Origin, Party,
    Peer, Reason, Recording, RecordingId, RingOutRole, Rule, SessionFacts, Status, StatusCode, Timestamp,
};
use serde::{Deserialize, Serialize};

use super::phase::{Failure, PartyPhase, PendingEnd, Step};
use super::reason::{self, MISSED_REASONS, Role, Unanswered};
use super::{CALLER, Context, PartyIndex, SessionKey};
use crate::directory::{Kind, Resolved};
use crate::number::NumberKey;

/// Time that a phone may take to ring before a switch that turns to another has given it up: T1, after which its
/// INVITE is sent again (RFC 3261 §17.1.1.2).
const UNHEARD_MIN: Duration = Duration::from_millis(500);

/// A party and what the API does not show of it.
#[derive(Serialize, Deserialize)]
pub(super) struct PartyState {
    /// As it stands after the last change, told or waiting to be told.
    pub(super) party: Party,
    pub(super) certainty: PartyCertainty,
    /// The number in its id, given when its first event goes out; 0 before.
    pub(super) number: u32,
    pub(super) phase: PartyPhase,
    /// Time when it was offered the call.
    pub(super) offered: Timestamp,
    /// Its offer is being withdrawn, and nobody else had answered before.
    pub(super) is_recalled: bool,
    /// Its number is not complete, and more digits may come.
    pub(super) is_incomplete: bool,
    /// Its last leg was passed on by a proxy, and the next target may be the same person.
    pub(super) handed_over: bool,
    /// The party that calls it: the caller, or who was transferred to it.
    pub(super) called_by: PartyIndex,
    /// Targets that were offered the call together have the same round; a transfer begins a new one.
    pub(super) round: u8,
    /// Kind, as the directory says.
    pub(super) kind: Kind,
    /// How its call is being moved, once it asked for that.
    pub(super) moving: Option<Box<Moving>>,
    /// The party that takes its place, and what that makes of its end.
    pub(super) taken: Option<(PartyIndex, Reason)>,
    /// Notes on its sources.
    pub(super) notes: Notes,
    /// Intent of the party in the call.
    pub(super) intent: PartyIntent,
}

/// A call that is being moved by one of its parties.
#[derive(Serialize, Deserialize)]
pub(super) struct Moving {
    /// Where.
    pub(super) to: Destination,
    /// By a feature code, not by a request of the phone.
    pub(super) by_code: bool,
    /// Until when a call to the target belongs to it.
    pub(super) until: Timestamp,
    /// Input that ended the leg of who moved it.
    pub(super) left_by: Option<InputRef>,
}

/// Destination of a call that is moved.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) enum Destination {
    /// To a number, by its key (a blind transfer).
    Number(NumberKey),
    /// To a place where calls are parked; the slot, if it is known.
    Park(Option<Arc<str>>),
    /// To the far end of a call of the same party (an attended transfer).
    Call(PartyRef, Peer),
}

/// A party of some session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PartyRef {
    pub(crate) session: SessionKey,
    pub(crate) party: PartyIndex,
}

/// Certainty that somebody is at the far end; events of a party wait for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum PartyCertainty {
    /// The far end may be the callee, or a server that will pass the call on.
    Unconfirmed,
    /// The far end is a party.
    Confirmed,
    /// The far end was a server.
    Discarded,
}

/// Intent of a party in a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum PartyIntent {
    /// To talk to whom it calls, or who calls it.
    Talk,
    /// To take a call that was not offered to it, or that is parked.
    PickUp,
    /// To listen to, whisper to or barge in on another party.
    Supervise,
}

impl PartyIntent {
    /// The reason that the answer of the party has.
    pub(super) fn answer_reason(self) -> Option<Reason> {
        (self == Self::PickUp).then_some(Reason::Pickup)
    }

    /// The reason that the end of the party has, whatever its leg tells.
    pub(super) fn end_reason(self) -> Option<Reason> {
        (self == Self::Supervise).then_some(Reason::Supervising)
    }
}

impl PartyState {
    pub(super) fn new(
        facts: &SessionFacts,
        direction: Direction,
        extension: Option<ExtensionId>,
        from: Arc<Endpoint>,
        to: Arc<Endpoint>,
        leg: &LegCreated,
        ctx: &Context,
    ) -> Self {
        // An outside number that is called has no Setup (contract events §10).
        let code = match (direction, extension) {
            (Direction::Inbound, None) => StatusCode::Proceeding,
            _ => StatusCode::Setup,
        };
        Self {
            party: Party {
                account: facts.account,
                extension,
                id: facts.id.party(0),
                direction,
                to,
                from,
                status: Status { code, reason: None, park_data: None, peer: None, mobile_pickup: false },
                park: None,
                missed_call: false,
                stand_alone: false,
                muted: false,
                // Who owns the room does not show in a call to it.
                conference_role: (facts.origin == Origin::Conference).then_some(ConferenceRole::Participant),
                ring_out_role: leg.ring_out_role,
                queue_call: false,
                recordings: Vec::new(),
                sip: leg.sip.clone(),
            },
            certainty: PartyCertainty::Confirmed,
            number: 0,
            phase: PartyPhase::Unanswered,
            offered: ctx.at,
            is_recalled: false,
            is_incomplete: false,
            handed_over: false,
            called_by: CALLER,
            round: 0,
            kind: Kind::User,
            moving: None,
            taken: None,
            notes: Notes::default(),
            intent: PartyIntent::Talk,
        }
    }

    /// The rule by which it is answered.
    pub(super) fn answer_rule(&self) -> Rule {
        match self.intent {
            PartyIntent::PickUp => Rule::PickedUp,
            PartyIntent::Talk | PartyIntent::Supervise => Rule::LegAnswered,
        }
    }

    /// The same party, to be adopted by another session that answers it.
    pub(super) fn duplicate(&self) -> Self {
        Self {
            party: self.party.clone(),
            certainty: PartyCertainty::Confirmed,
            number: 0,
            phase: PartyPhase::Answered,
            moving: None,
            taken: None,
            intent: PartyIntent::Talk,
            ..*self
        }
    }

    /// Its own side of its leg.
    pub(super) fn side(&self) -> &Arc<Endpoint> {
        match self.party.direction {
            Direction::Outbound => &self.party.from,
            Direction::Inbound => &self.party.to,
        }
    }

    /// Returns `true` if it is somebody who talks, and not a service or a parked call.
    pub(super) fn talks(&self) -> bool {
        self.is_answered()
            && self.certainty == PartyCertainty::Confirmed
            && !self.is_service()
            && self.party.status.code != StatusCode::Parked
    }

    /// Returns `true` if it is a number that the switch itself answers.
    pub(super) fn is_service(&self) -> bool {
        matches!(self.kind, Kind::Menu | Kind::Queue | Kind::Voicemail | Kind::Fax)
    }

    /// Tests whether it has not left.
    pub(super) fn is_live(&self) -> bool {
        matches!(self.phase, PartyPhase::Unanswered | PartyPhase::Answered)
    }

    /// Tests whether it was answered and has not left.
    pub(super) fn is_answered(&self) -> bool {
        self.phase == PartyPhase::Answered
    }

    /// Tests whether it was answered, even if it has left.
    pub(super) fn was_answered(&self) -> bool {
        matches!(self.phase, PartyPhase::Answered | PartyPhase::Ended { answered: true, .. })
    }

    /// Its end, while that waits for its cause.
    pub(super) fn pending_end(&self) -> Option<PendingEnd> {
        match self.phase {
            PartyPhase::Ending(end) => Some(end),
            PartyPhase::Unanswered | PartyPhase::Answered | PartyPhase::Ended { .. } => None,
        }
    }

    /// Tests whether a phone has been offered the call for long, as far as its signalling shows, and has not rung.
    pub(super) fn is_unheard(&self, at: Timestamp) -> bool {
        self.is_live()
            && !self.was_answered()
            && self.certainty == PartyCertainty::Confirmed
            && self.party.direction == Direction::Inbound
            && self.party.status.code == StatusCode::Setup
            && !self.is_service()
            && self.pending_end().is_none()
            && at.since(self.offered) >= UNHEARD_MIN
    }

    /// The refusal by which it left, if it did.
    pub(super) fn failure(&self) -> Option<Failure> {
        match self.phase {
            PartyPhase::Ended { failure, .. } => failure,
            PartyPhase::Unanswered | PartyPhase::Answered | PartyPhase::Ending(_) => None,
        }
    }

    /// Goes to another phase, if the present one allows it.
    pub(super) fn step(&mut self, step: Step) {
        self.phase = self.phase.after(step);
    }

    /// Returns `true` if this is the same person as the one who is offered the call now.
    pub(super) fn is_person(&self, person: &Resolved) -> bool {
        match (self.party.extension, person.extension) {
            (Some(mine), Some(theirs)) => mine == theirs,
            // Each trunk may want an outside number written in its own way.
            (None, None) => {
                self.party.to.phone_number.as_deref().map(NumberKey::of)
                    == Some(NumberKey::of(&person.number))
            }
            _ => false,
        }
    }

    /// Goes to the next status.
    pub(super) fn enter(&mut self, code: StatusCode, reason: Option<Reason>) {
        let first_answer = code == StatusCode::Answered && !self.was_answered();
        let mobile_pickup = self.party.direction == Direction::Inbound
            && self.party.extension.is_some()
            && !self.party.queue_call // a call of a queue is answered where it rings (contract events §11)
            && (code == StatusCode::Proceeding || first_answer);
        if code != StatusCode::Parked {
            self.party.park = None;
        }
        self.party.status = Status { code, reason, park_data: None, peer: None, mobile_pickup };
    }

    /// Goes to its last status.
    pub(super) fn leave(&mut self, code: StatusCode, reason: Option<Reason>, failure: Option<Failure>) {
        self.enter(code, reason);
        self.step(Step::End(failure));
    }

    /// Ends with a cause; `in_group` when other members of its group still ring, `elsewhere` when
    /// another one answered.
    pub(super) fn finish(&mut self, cause: Cause, in_group: bool, elsewhere: bool, ctx: &Context) {
        let role = if self.party.direction == Direction::Inbound { Role::Callee } else { Role::CallerInside };
        let mut reason = reason::reason(cause, role);
        if reason.is_none() && ctx.policy.explicit_reasons {
            reason = Some(Reason::CallFinished);
        }
        let in_mailbox =
            matches!(self.party.status.code, StatusCode::VoiceMail | StatusCode::VoiceMailScreening);
        // A queue answers its callers itself; it has missed the call unless an agent answered.
        // Nobody has called who is called first by the phone system (contract events §11).
        let unanswered_extension = self.party.direction == Direction::Inbound
            && self.party.extension.is_some()
            && self.party.ring_out_role != Some(RingOutRole::Initiator)
            && (!self.was_answered() || self.kind == Kind::Queue);
        let how = match reason {
            _ if in_mailbox && self.kind == Kind::Voicemail => Unanswered::Other,
            _ if in_mailbox => Unanswered::Missed,
            _ if cause == Cause::AnsweredElsewhere => Unanswered::Elsewhere,
            Some(reason) if MISSED_REASONS.contains(&reason) && elsewhere => Unanswered::Elsewhere,
            Some(Reason::TargetBusy | Reason::Rejected) if in_group => Unanswered::RefusedInGroup,
            Some(reason) if MISSED_REASONS.contains(&reason) => Unanswered::Missed,
            _ => Unanswered::Other,
        };
        self.party.missed_call = unanswered_extension && how.is_missed(ctx.policy.missed_calls);
        let refuses = self.party.direction == Direction::Inbound && cause != Cause::Cancelled;
        let failure = reason.filter(|_| refuses).map(|reason| Failure { at: ctx.at, reason });
        self.leave(StatusCode::Disconnected, reason, failure);
    }

    /// Notes that a recording runs, or does not any more.
    pub(super) fn record(&mut self, id: RecordingId, active: bool) {
        match self.party.recordings.iter_mut().find(|recording| recording.id == id) {
            Some(recording) => recording.active = active,
            None => self.party.recordings.push(Recording { id, active }),
        }
    }

    pub(super) fn set_to_tag(&mut self, to_tag: Option<&Arc<str>>) {
        if let (Some(sip), Some(to_tag)) = (&mut self.party.sip, to_tag)
            && sip.to_tag.is_none()
        {
            Arc::make_mut(sip).to_tag = Some(to_tag.clone());
        }
    }
}
