//! What a live party does: it rings, answers, holds, is parked, recorded, muted.

use std::sync::Arc;

use hookswitch_model::{Cause, Causes, Direction, Reason, Rule, Signal, SignalKind, StatusCode};

use super::ends::Settled;
use super::moves::Crossing;
use super::party::Standing;
use super::{CALLER, CAUSE_WAIT, PartyIndex, Purpose, Session};
use crate::directory::Kind;
use crate::policy::Policy;

impl Session {
    /// Ringing and answers of a leg of a party.
    pub(super) fn progress(&mut self, leg: usize, index: PartyIndex, signal: &Signal, policy: &Policy) {
        use StatusCode as S;
        let answered = matches!(signal.kind, SignalKind::Answered { .. });
        if answered && self.answer_means(leg, index, signal) {
            return;
        }
        let is_code = index == CALLER && self.dialled.is_code;
        let state = &mut self.parties[index];
        if !state.is_live() || self.legs[leg].purpose != Purpose::Talk {
            return;
        }
        let called = state.party.direction == Direction::Inbound;
        let (next, rule, to_tag) = match (&signal.kind, state.party.status.code) {
            (SignalKind::Answered { .. }, S::Setup | S::Proceeding) if state.kind == Kind::Voicemail => {
                self.mailbox_takes(index, signal, Rule::MailboxAnswered);
                return;
            }
            (SignalKind::Answered { .. }, S::Setup | S::Proceeding) if state.kind == Kind::Fax => {
                state.answered = true;
                (S::FaxReceive, Rule::FaxLineAnswered, &None)
            }
            // A menu or queue has the caller from the first; that its switch answers changes nothing.
            (SignalKind::Answered { .. }, S::Setup) if state.is_service() => {
                state.answered = true;
                return;
            }
            (SignalKind::Ringing { .. }, S::Setup) if state.is_service() => return,
            (SignalKind::Ringing { to_tag }, S::Setup) => {
                (S::Proceeding, if called { Rule::TargetRings } else { Rule::CallerHearsRinging }, to_tag)
            }
            (SignalKind::Answered { to_tag }, S::Setup | S::Proceeding) => {
                (S::Answered, state.answer_rule(), to_tag)
            }
            (SignalKind::Ringing { .. }, S::Proceeding) if state.standing == Standing::Unknown => {
                state.decide_by.get_or_insert(signal.at + CAUSE_WAIT);
                return;
            }
            _ => return, // repeats, and a further target's ringing after the answer
        };
        if is_code && next == S::Answered {
            state.standing = Standing::Unknown;
            state.decide_by = Some(signal.at + CAUSE_WAIT);
        } else if state.standing == Standing::Unknown {
            state.decide_by.get_or_insert(signal.at + CAUSE_WAIT);
        }
        let reason = state.answers_with.filter(|_| next == S::Answered);
        state.enter(next, reason);
        state.set_to_tag(to_tag.as_ref());
        if next == S::Answered {
            state.answered = true;
            if index == CALLER {
                self.caller_answered(signal, policy);
            } else if called {
                if self.parties[index].standing == Standing::Endpoint {
                    self.tell_caller();
                }
                self.settle_waiting(signal, Settled::AnsweredElsewhere, policy);
            }
        }
        self.draft(index, signal.at, rule, Causes::one(signal.input));
        if next == S::Answered && index != CALLER {
            self.agent_answered(index, signal, policy);
        }
    }

    /// The caller was answered: by a target, or by the switch itself.
    fn caller_answered(&mut self, signal: &Signal, policy: &Policy) {
        if self.parties.others().any(super::party::PartyState::talks) {
            self.settle_waiting(signal, Settled::AnsweredElsewhere, policy);
        } else {
            // The engine may know who took the call; see `caller_stays_alone`.
            self.answered_alone = Some((signal.at, signal.input));
            if self.others_ring(CALLER) {
                self.hold_back(CALLER, signal.at); // what becomes of them will tell by whom
            }
        }
        if let Some(parked) = self.retrieves.take() {
            let causes = Causes::one(signal.input);
            self.crossing = Some(Box::new(Crossing::Retrieved { parked, at: signal.at, causes }));
        }
    }

    /// Carries out what the answer of a leg means that was not placed to talk; false if it was.
    fn answer_means(&mut self, leg: usize, index: PartyIndex, signal: &Signal) -> bool {
        match self.legs[leg].purpose {
            Purpose::Talk => return false,
            Purpose::Mailbox => self.mailbox_takes(index, signal, Rule::MailboxAnswered),
            Purpose::Park => self.park(index, None, signal, Rule::CallParked),
            Purpose::Music => {}
            Purpose::Resume => {
                let state = &mut self.parties[index];
                if state.is_live() && state.party.status.code == StatusCode::Hold {
                    state.enter(StatusCode::Answered, None);
                    self.draft(index, signal.at, Rule::HoldEnded, Causes::one(signal.input));
                }
            }
        }
        true
    }

    /// The mailbox of a called extension has taken the call.
    pub(super) fn mailbox_takes(&mut self, index: PartyIndex, signal: &Signal, rule: Rule) {
        let state = &mut self.parties[index];
        let able = matches!(state.party.status.code, StatusCode::Setup | StatusCode::Proceeding);
        if state.is_live() && able && state.party.extension.is_some() {
            state.standing = Standing::Endpoint;
            state.enter(StatusCode::VoiceMail, None);
            // Who calls a mailbox to listen to it has not been missed by anybody.
            state.party.missed_call = state.kind != Kind::Voicemail;
            self.draft(index, signal.at, rule, Causes::one(signal.input));
        }
    }

    /// Ends the queue that an agent has answered for.
    fn agent_answered(&mut self, agent: PartyIndex, signal: &Signal, policy: &Policy) {
        if !self.parties[agent].party.queue_call {
            return;
        }
        for index in self.parties.other_indices() {
            let state = &self.parties[index];
            if state.kind == Kind::Queue && state.is_live() {
                let cause = Cause::Named(Reason::AgentAnswered);
                let causes = Causes::one(signal.input);
                self.end_party(index, cause, signal.at, causes, Rule::QueueAnswered, policy);
            }
        }
    }

    /// Changes that the source reports as such.
    pub(super) fn report(&mut self, index: PartyIndex, signal: &Signal) {
        use StatusCode as S;
        let state = &mut self.parties[index];
        if !state.is_live() {
            return;
        }
        let called_extension = state.party.direction == Direction::Inbound && state.party.extension.is_some();
        let rule = match (&signal.kind, state.party.status.code) {
            (SignalKind::Held, S::Answered) => {
                state.enter(S::Hold, None);
                Rule::HoldOffered
            }
            (SignalKind::Resumed, S::Hold) => {
                state.enter(S::Answered, None);
                Rule::HoldEnded
            }
            (SignalKind::Parked { slot }, S::Answered | S::Hold | S::Parked) => {
                let slot: Option<Arc<str>> = slot.clone();
                self.park(index, slot, signal, Rule::Reported);
                return;
            }
            (SignalKind::SentToVoicemail, S::Setup | S::Proceeding) if called_extension => {
                self.mailbox_takes(index, signal, Rule::Reported);
                return;
            }
            (SignalKind::Screened, S::VoiceMail) => {
                state.enter(S::VoiceMailScreening, None);
                Rule::Reported
            }
            (SignalKind::FaxStarted, S::Setup | S::Proceeding | S::Answered) if called_extension => {
                state.enter(S::FaxReceive, None);
                state.answered = true;
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
        self.draft(index, signal.at, rule, Causes::one(signal.input));
    }
}
