//! What a live party does: it rings, answers, holds, is parked, recorded, muted.

use std::sync::Arc;

use hookswitch_model::{Cause, Direction, Reason, Rule, SignalKind, StatusCode};

use super::ends::Settled;
use super::moves::CrossSessionEffect;
use super::party::PartyCertainty;
use super::phase::Step;
use super::timer::Timer;
use super::{CALLER, CAUSE_WAIT, Context, PartyIndex, Purpose, Session};
use crate::directory::Kind;

impl Session {
    /// Ringing and answers of a leg of a party.
    pub(super) fn progress(&mut self, leg: usize, index: PartyIndex, kind: &SignalKind, ctx: &Context) {
        use StatusCode as S;
        let answered = matches!(kind, SignalKind::Answered { .. });
        if answered && self.answer_means(leg, index, ctx) {
            return;
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

    /// Ends the queue that an agent has answered for.
    fn agent_answered(&mut self, agent: PartyIndex, ctx: &Context) {
        if !self.parties[agent].party.queue_call {
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
            (SignalKind::Recording { id, active }, S::Setup | S::Proceeding) => {
                state.record(*id, *active); // shown from the answer on
                return;
            }
            (SignalKind::Recording { id, active }, S::Answered | S::Hold) => {
                state.party.status.mobile_pickup = false;
                state.record(*id, *active);
                Rule::Reported
            }
            _ => return, // not possible in this status, or nothing new
        };
        self.draft(index, rule, ctx);
    }
}
