//! Progress of a live party: it rings, answers, holds, is parked, recorded, muted.

use std::sync::Arc;

use hookswitch_model::{
    Cause, Direction, Reason, RecordingId, RecordingSession, Rule, SignalKind, StatusCode,
};
use smallvec::SmallVec;

use super::ends::Settled;
use super::moves::CrossSessionEffect;
use super::party::{PartyCertainty, PartyState};
use super::phase::Step;
use super::timer::Timer;
use super::{CALLER, CAUSE_WAIT, Context, LegRole, PartyIndex, Purpose, Session};
use crate::directory::Kind;
use crate::number::agree;

impl Session {
    /// Ringing and answers of a leg of a party.
    pub(super) fn progress(&mut self, leg: usize, index: PartyIndex, kind: &SignalKind, ctx: &Context) {
        use StatusCode as S;
        let answered = matches!(kind, SignalKind::Answered { .. });
        if answered && self.answer_means(leg, index, ctx) {
            return;
        }
        if answered {
            self.replacement_answered(leg, index, ctx);
        }
        let is_code = index == CALLER && self.dialled.is_code;
        let state = &mut self.parties[index];
        if !state.is_live() || self.legs[leg].purpose != Purpose::Talk {
            return;
        }
        let called = state.party.direction == Direction::Inbound;
        let (next, rule, to_tag) = match (kind, state.party.status.code) {
            (SignalKind::Answered { .. }, S::Setup | S::Proceeding) if state.kind == Kind::Voicemail => {
                self.mailbox_takes(index, Rule::MailboxAnswered, ctx);
                return;
            }
            (SignalKind::Answered { .. }, S::Setup | S::Proceeding) if state.kind == Kind::Fax => {
                state.step(Step::Answer);
                (S::FaxReceive, Rule::FaxLineAnswered, &None)
            }
            // A menu or queue has the caller from the first; that its switch answers changes nothing.
            (SignalKind::Answered { .. }, S::Setup) if state.is_service() => {
                state.step(Step::Answer);
                return;
            }
            (SignalKind::Ringing { .. }, S::Setup) if state.is_service() => return,
            (SignalKind::Ringing { to_tag }, S::Setup) => {
                (S::Proceeding, if called { Rule::TargetRings } else { Rule::CallerHearsRinging }, to_tag)
            }
            (SignalKind::Answered { to_tag }, S::Setup | S::Proceeding) => {
                (S::Answered, state.answer_rule(), to_tag)
            }
            (SignalKind::Ringing { .. }, S::Proceeding) if state.certainty == PartyCertainty::Unconfirmed => {
                self.timers.start_once(Timer::Confirmation(index), ctx.at + CAUSE_WAIT);
                return;
            }
            _ => return, // repeats, and a further target's ringing after the answer
        };
        if is_code && next == S::Answered {
            self.hold_back(index, ctx.at);
        } else if state.certainty == PartyCertainty::Unconfirmed {
            self.timers.start_once(Timer::Confirmation(index), ctx.at + CAUSE_WAIT);
        }
        let state = &mut self.parties[index];
        let reason = state.intent.answer_reason().filter(|_| next == S::Answered);
        state.enter(next, reason);
        state.set_to_tag(to_tag.as_ref());
        if next == S::Answered {
            state.step(Step::Answer);
            if index == CALLER {
                self.caller_answered(ctx);
            } else if called {
                if self.parties[index].certainty == PartyCertainty::Confirmed {
                    self.confirm_caller();
                }
                self.settle_waiting(Settled::AnsweredElsewhere, ctx);
            }
        }
        self.draft(index, rule, ctx);
        if next == S::Answered && index != CALLER {
            self.agent_answered(index, ctx);
            self.transfer_answered(index, ctx);
        }
    }

    /// The caller was answered: by a target, or by the switch itself.
    fn caller_answered(&mut self, ctx: &Context) {
        if self.parties.others().any(super::party::PartyState::talks) {
            self.settle_waiting(Settled::AnsweredElsewhere, ctx);
        } else {
            // The engine may know who took the call; see `caller_stays_alone`.
            self.answered_alone = true;
            if self.others_ring(CALLER) {
                self.hold_back(CALLER, ctx.at); // what becomes of them will tell by whom
            }
        }
        if let Some(parked) = self.retrieves.take() {
            self.effect = Some(Box::new(CrossSessionEffect::Retrieved { parked }));
        }
    }

    /// Carries out what the answer of a leg means that was not placed to talk; false if it was.
    fn answer_means(&mut self, leg: usize, index: PartyIndex, ctx: &Context) -> bool {
        match self.legs[leg].purpose {
            Purpose::Talk => return false,
            Purpose::Mailbox => self.mailbox_takes(index, Rule::MailboxAnswered, ctx),
            Purpose::Park => self.park(index, None, Rule::CallParked, ctx),
            Purpose::Music => {}
            Purpose::Resume => {
                let state = &mut self.parties[index];
                if state.is_live() && state.party.status.code == StatusCode::Hold {
                    state.enter(StatusCode::Answered, None);
                    self.draft(index, Rule::HoldEnded, ctx);
                }
            }
        }
        true
    }

    /// The mailbox of a called extension has taken the call.
    pub(super) fn mailbox_takes(&mut self, index: PartyIndex, rule: Rule, ctx: &Context) {
        let state = &mut self.parties[index];
        let able = matches!(state.party.status.code, StatusCode::Setup | StatusCode::Proceeding);
        if state.is_live() && able && state.party.extension.is_some() {
            self.confirm(index);
            let state = &mut self.parties[index];
            state.enter(StatusCode::VoiceMail, None);
            // Who calls a mailbox to listen to it has not been missed by anybody.
            state.party.missed_call = state.kind != Kind::Voicemail;
            self.draft(index, rule, ctx);
        }
    }

    /// Ends the queue that an agent has answered for, or whose call somebody has picked up.
    pub(super) fn agent_answered(&mut self, agent: PartyIndex, ctx: &Context) {
        let state = &self.parties[agent];
        if !state.party.queue_call && state.party.status.reason != Some(Reason::Pickup) {
            return;
        }
        for index in self.parties.other_indices() {
            let state = &self.parties[index];
            if state.kind == Kind::Queue && state.is_live() {
                let cause = Cause::Named(Reason::AgentAnswered);
                self.end_party(index, cause, Rule::QueueAnswered, ctx);
            }
        }
    }

    /// Changes that the source reports as such.
    pub(super) fn report(&mut self, index: PartyIndex, kind: &SignalKind, ctx: &Context) {
        use StatusCode as S;
        if matches!(kind, SignalKind::Held | SignalKind::Resumed) {
            self.holds_itself(index);
        }
        let state = &mut self.parties[index];
        if !state.is_live() {
            return;
        }
        let called_extension = state.party.direction == Direction::Inbound && state.party.extension.is_some();
        let rule = match (kind, state.party.status.code) {
            (SignalKind::Held, S::Answered) => {
                state.enter(S::Hold, None);
                Rule::HoldOffered
            }
            // Who waits in a slot without anybody having parked the call is fetched from there.
            (SignalKind::Resumed, S::Hold | S::Parked) => {
                state.enter(S::Answered, None);
                Rule::HoldEnded
            }
            (SignalKind::Parked { slot }, S::Answered | S::Hold | S::Parked) => {
                let slot: Option<Arc<str>> = slot.clone();
                self.park(index, slot, Rule::Reported, ctx);
                return;
            }
            (SignalKind::SentToVoicemail, S::Setup | S::Proceeding) if called_extension => {
                self.mailbox_takes(index, Rule::Reported, ctx);
                return;
            }
            (SignalKind::Screened, S::VoiceMail) => {
                state.enter(S::VoiceMailScreening, None);
                Rule::Reported
            }
            (SignalKind::FaxStarted, S::Setup | S::Proceeding | S::Answered) if called_extension => {
                state.enter(S::FaxReceive, None);
                state.step(Step::Answer);
                Rule::FaxStarted
            }
            (SignalKind::Muted(muted), _) if state.party.muted != *muted => {
                state.party.muted = *muted;
                Rule::Reported
            }
            (SignalKind::Recording { id, active }, _) => {
                self.record(index, *id, *active, Rule::Reported, ctx);
                return;
            }
            _ => return, // not possible in this status, or nothing new
        };
        self.draft(index, rule, ctx);
    }

    /// The switch stopped the media at the far end of one of its own legs, or started it again. Mostly that follows
    /// from an offer of the other party, which is told by that; else it is a hold on that one's behalf (an API, an
    /// operator).
    pub(super) fn switch_holds(&mut self, leg: usize, held: bool, ctx: &Context) {
        let Some(holder) = self.other_than_at(leg).filter(|_| !self.reported) else { return };
        let timer = Timer::SwitchHold(holder);
        let is_answered = self.parties[holder].party.status.code == StatusCode::Answered;
        if held && is_answered {
            self.legs[leg].holds = true;
            self.timers.start(timer, ctx.at + CAUSE_WAIT);
        } else if !held && std::mem::take(&mut self.legs[leg].holds) {
            let state = &mut self.parties[holder];
            if !self.timers.stop(timer) && state.party.status.code == StatusCode::Hold {
                state.enter(StatusCode::Answered, None);
                self.draft(holder, Rule::HeldBySwitch, ctx);
            }
        }
    }

    /// Tells of a hold by the switch that nobody was seen to ask for.
    pub(super) fn switch_has_held(&mut self, holder: PartyIndex, ctx: &Context) {
        let is_held = self.legs.iter().any(|leg| leg.holds);
        let state = &mut self.parties[holder];
        let may_hold = state.is_answered() && state.moving.is_none();
        if is_held && may_hold && state.party.status.code == StatusCode::Answered {
            state.enter(StatusCode::Hold, None);
            self.draft(holder, Rule::HeldBySwitch, ctx);
        }
    }

    /// A party holds or resumes by an offer of its own: that the switch has passed on.
    fn holds_itself(&mut self, index: PartyIndex) {
        for leg in 0..self.legs.len() {
            if self.legs[leg].holds && self.other_than_at(leg) == Some(index) {
                self.legs[leg].holds = false;
            }
        }
    }

    /// Of the only two parties who talk, the one that is not at the far end of this leg of the switch.
    fn other_than_at(&self, leg: usize) -> Option<PartyIndex> {
        let own = &self.legs[leg];
        let at_far_end = if own.called {
            LegRole::Party(CALLER)
        } else {
            self.legs[leg + 1..].iter().find(|other| other.called && !other.of_party)?.role
        };
        let at_far_end = at_far_end.party()?;
        let mut talking = self
            .parties
            .enumerate()
            .filter(|(_, state)| state.is_answered() && state.certainty == PartyCertainty::Confirmed)
            .map(|(index, _)| index);
        let (one, other, None) = (talking.next()?, talking.next()?, talking.next()) else { return None };
        match (one == at_far_end, other == at_far_end) {
            (true, false) => Some(other),
            (false, true) => Some(one),
            _ => None,
        }
    }

    /// A recording of a party runs, or does not any more.
    pub(super) fn record(
        &mut self,
        index: PartyIndex,
        id: RecordingId,
        active: bool,
        rule: Rule,
        ctx: &Context,
    ) {
        let state = &mut self.parties[index];
        match state.party.status.code {
            _ if !state.is_live() => {}
            StatusCode::Setup | StatusCode::Proceeding => state.record(id, active), // shown from the answer on
            StatusCode::Answered | StatusCode::Hold => {
                state.party.status.mobile_pickup = false;
                state.record(id, active);
                self.draft(index, rule, ctx);
            }
            _ => {}
        }
    }

    /// Returns who of the session is recorded by a recording session: those that it names. None unless it names nobody
    /// else, or the session as a whole.
    pub(crate) fn recorded(&self, recording: &RecordingSession, is_named: bool) -> SmallVec<[PartyIndex; 2]> {
        let named = |number: &Arc<str>, state: &PartyState| {
            let side = state.side();
            let numbers = [&side.phone_number, &side.sent_number];
            let extension = self.account.resolve(number, None).extension;
            numbers.into_iter().flatten().any(|own| agree(own, number))
                || (extension.is_some() && extension == state.party.extension)
        };
        let who = |number: &Arc<str>| {
            self.parties
                .enumerate()
                .filter(|(_, state)| state.is_live())
                .find(|(_, state)| named(number, state))
        };
        let mut found = SmallVec::new();
        let mut all = true;
        for number in &recording.participants {
            match who(number) {
                Some((party, _)) if !found.contains(&party) => found.push(party),
                Some(_) => {}
                None => all = false,
            }
        }
        found.sort_unstable(); // the metadata has its own order
        match (is_named, all) {
            (true, _) if found.is_empty() => {
                self.parties.indices().filter(|&party| self.parties[party].is_live()).collect()
            }
            (true, _) | (false, true) => found,
            (false, false) => SmallVec::new(),
        }
    }

    /// Returns `true` if a party was recorded by this recording.
    pub(crate) fn has_recording(&self, id: RecordingId) -> bool {
        self.parties.iter().any(|state| state.party.recordings.iter().any(|known| known.id == id))
    }

    /// A recording session runs, or does not any more, that records these parties.
    pub(crate) fn recording_session(
        &mut self,
        parties: &[PartyIndex],
        recording: &RecordingSession,
        ctx: &Context,
    ) {
        self.touch(ctx);
        for &party in parties {
            self.record(party, recording.id, recording.active, Rule::RecordingSession, ctx);
        }
    }

    /// The parties whom this recording has recorded.
    pub(crate) fn with_recording(&self, id: RecordingId) -> SmallVec<[PartyIndex; 2]> {
        let recorded = |state: &PartyState| state.party.recordings.iter().any(|known| known.id == id);
        self.parties.enumerate().filter(|(_, state)| recorded(state)).map(|(party, _)| party).collect()
    }
}
