//! Ends of parties, and ends that wait for their cause.

use std::time::Duration;

use hookswitch_model::{Cause, Direction, Reason, Rule, StatusCode, Timestamp};
use smallvec::SmallVec;

use super::attempt::GROUP_SPAN;
use super::moves::CrossSessionEffect;
use super::party::{Destination, PartyCertainty, PartyIntent, PartyState};
use super::phase::{PendingEnd, Step};
use super::reason::{self, Role};
use super::timer::Timer;
use super::{CALLER, CAUSE_WAIT, Context, LegRole, LiveParties, PartyIndex, RETRY_MAX, Session};
use crate::directory::Kind;
use crate::policy::Policy;

/// Decision about an end that was deferred.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Settled {
    /// Another target answered.
    AnsweredElsewhere,
    /// The caller's leg was answered, though no target had.
    CallerAnswered,
    /// The caller left; `elsewhere` where the caller says that another answered.
    CallerLeft { elsewhere: bool },
    /// The caller was refused.
    CallFailed,
    /// The call was offered to a further target.
    OfferedOn,
    /// Nothing came in time.
    InTime,
}

impl Session {
    /// A leg ended.
    pub(super) fn leg_ended(&mut self, leg: usize, cause: Cause, ctx: &Context) {
        self.legs[leg].ended = true;
        let decides = matches!(cause, Cause::Rejected | Cause::Busy | Cause::Redirected);
        self.legs[leg].decided = decides.then_some((ctx.at, cause));
        let LegRole::Party(party) = self.legs[leg].role else { return };
        // How it ended nobody saw; that it did is inferred.
        let inferred = match cause {
            Cause::Unlisted => Some((Cause::HungUp, Rule::NotListed)),
            Cause::SwitchLost if self.parties[party].was_answered() => Some((Cause::Lost, Rule::SwitchLost)),
            Cause::SwitchLost => Some((Cause::NoAnswer, Rule::SwitchLost)),
            _ => None,
        };
        let Some((cause, rule)) = inferred else {
            self.party_leg_ended(party, cause, ctx);
            return;
        };
        let known = self.queue.len();
        self.party_leg_ended(party, cause, ctx);
        self.queue.iter_mut().skip(known).for_each(|draft| draft.rule = rule);
    }

    /// A leg of a party ended.
    fn party_leg_ended(&mut self, party: PartyIndex, cause: Cause, ctx: &Context) {
        let is_live = self.parties[party].is_live();
        if let Some(moving) = self.parties[party].moving.as_mut().filter(|_| is_live) {
            moving.left_by = Some(ctx.input);
        }
        self.forget_refused_consultation(party, cause);
        let state = &self.parties[party];
        if !state.is_live() || state.party.status.code == StatusCode::Parked {
            // Who has parked a call keeps its place without a leg.
        } else if state.certainty == PartyCertainty::Unconfirmed && party != CALLER {
            self.target_ended(party, cause, ctx);
        } else if self.has_leg(party) {
            // The same person still rings, or talks, elsewhere.
        } else if state.moving.is_some() {
            self.mover_left(party, ctx);
        } else if state.was_answered() && !state.is_service() && self.was_left_by_mover(ctx) {
            self.timers.start(Timer::Transfer(party), ctx.at + RETRY_MAX);
        } else if party == CALLER {
            self.confirm_caller();
            self.caller_ended(cause, ctx);
        } else if state.party.direction == Direction::Inbound {
            self.target_ended(party, cause, ctx);
        } else {
            let cause = match state.intent.end_reason() {
                Some(reason) => Cause::Named(reason),
                None if state.was_answered() => after_answer(cause),
                None => cause,
            };
            self.end_party(party, cause, Rule::LegEnded, ctx);
        }
        self.sweep(ctx);
    }

    /// A call to the target of an attended transfer that is refused takes the transfer with it.
    fn forget_refused_consultation(&mut self, party: PartyIndex, cause: Cause) {
        let gives_up = matches!(
            cause,
            Cause::Cancelled | Cause::HungUp | Cause::Cleared | Cause::Withdrawn | Cause::Lost
        );
        if let Some((other, _)) = self.transfer_target(party)
            && !gives_up
            && !self.parties[party].was_answered()
        {
            self.parties[party].moving = None;
            self.effect = Some(Box::new(CrossSessionEffect::Failed { other }));
        }
    }

    /// Returns `true` if the party that moves the call has just left its peer behind by this signal.
    fn was_left_by_mover(&self, ctx: &Context) -> bool {
        let mut moves = self.parties.iter().filter_map(|state| state.moving.as_ref());
        moves.any(|moving| moving.left_by == Some(ctx.input))
    }

    /// Ends the parties that nobody holds any more: in a mailbox or parked, and their callers are gone.
    fn sweep(&mut self, ctx: &Context) {
        let left = |state: &PartyState| {
            state.is_live()
                && matches!(
                    state.party.status.code,
                    StatusCode::VoiceMail | StatusCode::VoiceMailScreening | StatusCode::Parked
                )
        };
        if self.parties.iter().any(|state| state.is_live() && !left(state)) {
            return;
        }
        for party in self.parties.indices() {
            if left(&self.parties[party]) && !self.has_leg(party) {
                self.end_party(party, Cause::HungUp, Rule::LegEnded, ctx);
            }
        }
    }

    /// The leg of a target ended.
    pub(super) fn target_ended(&mut self, index: PartyIndex, cause: Cause, ctx: &Context) {
        if self.parties[index].certainty == PartyCertainty::Unconfirmed {
            if self.is_callee(index, cause) {
                self.confirm(index);
            } else if cause == Cause::Redirected {
                return; // the caller may be sent to the same person elsewhere
            } else {
                self.discard_party(index);
                return;
            }
        }
        if self.has_leg(index) {
            return; // the same person still rings elsewhere
        }
        if let Some((_, reason)) = self.parties[index].taken {
            self.end_party(index, Cause::Named(reason), Rule::PlaceTaken, ctx);
            return;
        }
        let state = &self.parties[index];
        if state.intent == PartyIntent::PickUp && !state.was_answered() {
            // It wanted to take the call and could not, which nobody has missed.
            self.stays_with_whom_it_was(index);
            self.end_party(index, Cause::HungUp, Rule::LegEnded, ctx);
            return;
        }
        if state.kind == Kind::Queue && state.was_answered() {
            // Where no agent was called, agents may fetch their calls themselves; that is not seen here.
            let agents = self.parties.iter().any(|state| state.party.queue_call);
            let cause = match (cause, agents, self.parties[CALLER].is_live()) {
                (Cause::Named(_), ..) => cause,
                (_, false, _) => Cause::HungUp,
                (_, true, true) => Cause::NoAnswer,
                (_, true, false) => Cause::Cancelled,
            };
            self.end_party(index, cause, Rule::QueueLeft, ctx);
            return;
        }
        let in_mailbox =
            matches!(state.party.status.code, StatusCode::VoiceMail | StatusCode::VoiceMailScreening);
        if state.was_answered() || in_mailbox {
            let cause = after_answer(cause);
            self.end_party(index, cause, Rule::LegEnded, ctx);
            return;
        }
        let caller_left = !self.parties[state.called_by].is_live();
        // What a switch reports has no gaps: who has answered is known.
        let caller_answered = !self.reported && self.parties[state.called_by].was_answered();
        let answered = self.answered_by_another(index);
        match cause {
            // The offer was withdrawn for who was offered the call long after, and has answered since.
            Cause::Withdrawn if answered && !self.loses_to_another(index) => {
                self.end_party(index, Cause::NoAnswer, Rule::OfferWithdrawn, ctx);
            }
            Cause::Withdrawn if answered => {
                self.end_party(index, Cause::AnsweredElsewhere, Rule::AnsweredElsewhere, ctx);
            }
            // A switch may be told to say "elsewhere" of every offer that it takes back: it is believed of those
            // that were answered (contract events §11).
            Cause::AnsweredElsewhere if answered || (caller_left && caller_answered) => {
                self.end_party(index, cause, Rule::AnsweredElsewhere, ctx);
            }
            Cause::Withdrawn | Cause::AnsweredElsewhere if caller_left => {
                self.end_party(index, Cause::Cancelled, Rule::CallerGaveUp, ctx);
            }
            Cause::Cancelled => self.end_party(index, cause, Rule::CallerGaveUp, ctx),
            // Another target, or somebody who was not offered it, may have taken the call.
            Cause::AnsweredElsewhere | Cause::Withdrawn => {
                self.defer_end(index, cause, Rule::OfferWithdrawn, ctx);
            }
            Cause::Busy | Cause::Rejected | Cause::NoAnswer | Cause::Failed
                if self.others_ring(index) || caller_left =>
            {
                self.end_party(index, cause, Rule::TargetRefused, ctx);
            }
            Cause::Busy | Cause::Rejected | Cause::NoAnswer | Cause::Failed => {
                self.defer_end(index, cause, Rule::TargetRefused, ctx);
            }
            Cause::HungUp | Cause::Cleared => {
                self.end_party(index, Cause::NoAnswer, Rule::LegEnded, ctx);
            }
            _ => self.end_party(index, cause, Rule::TargetRefused, ctx),
        }
    }

    /// Returns what a party has decided on one of its phones so shortly before this that the switch has taken the offer back
    /// from the others for that: a 6xx cancels what is pending (RFC 3261 §16.7, item 5), and so may a redirection.
    fn decided_by(&self, party: PartyIndex, at: Timestamp) -> Option<Cause> {
        let legs = self.legs.iter().filter(|leg| leg.role == LegRole::Party(party));
        let decided = legs.filter_map(|leg| leg.decided);
        let in_time = |&(decided, _): &(Timestamp, Cause)| decided <= at && at <= decided + CAUSE_WAIT;
        decided.filter(in_time).max_by_key(|&(decided, _)| decided).map(|(_, cause)| cause)
    }

    /// The offer to a target is being withdrawn, though its end has not come.
    pub(super) fn recall(&mut self, leg: usize) {
        if let LegRole::Party(party) = self.legs[leg].role
            && !self.answered_by_another(party)
        {
            self.parties[party].is_recalled = true;
        }
    }

    /// Returns `true` if a far end of which nothing is known is the callee, judged by how its leg ended.
    fn is_callee(&self, index: PartyIndex, cause: Cause) -> bool {
        if self.timers.is_running(Timer::Confirmation(index)) {
            return true; // it rang, and nobody took the call on from there
        }
        let state = &self.parties[index];
        let is_called_by_switch =
            self.legs.iter().any(|leg| leg.role == LegRole::Party(index) && leg.called && !leg.of_party);
        (state.party.extension.is_some() || is_called_by_switch)
            && matches!(
                cause,
                Cause::Busy | Cause::Rejected | Cause::NoAnswer | Cause::Cancelled | Cause::Withdrawn
            )
    }

    /// The leg of the caller ended.
    fn caller_ended(&mut self, cause: Cause, ctx: &Context) {
        let initiator = self.parties[CALLER].party.direction == Direction::Inbound;
        if initiator && !self.parties[CALLER].was_answered() {
            // Of a RingOut call the initiator is called first, and may not come to the phone.
            let cause = match cause {
                Cause::Withdrawn | Cause::Cancelled | Cause::HungUp | Cause::Cleared => Cause::NoAnswer,
                other => other,
            };
            self.end_party(CALLER, cause, Rule::TargetRefused, ctx);
            return;
        }
        let elsewhere = cause == Cause::AnsweredElsewhere;
        let gave_up =
            elsewhere || matches!(cause, Cause::Cancelled | Cause::HungUp | Cause::Withdrawn | Cause::Lost);
        let settled = if gave_up { Settled::CallerLeft { elsewhere } } else { Settled::CallFailed };
        self.settle_waiting(settled, ctx);
        // Who was answered and hangs up leaves first; a target that still rings ends with its own leg.
        let leaves_first = gave_up && self.parties[CALLER].was_answered();
        for index in self.parties.other_indices() {
            let state = &self.parties[index];
            if !state.is_live()
                || (leaves_first && state.certainty == PartyCertainty::Confirmed && self.has_leg(index))
                || state.called_by != CALLER
                || state.was_answered()
                || state.party.direction == Direction::Outbound
                || state.party.status.code == StatusCode::VoiceMail
            {
                continue;
            }
            let (cause, rule) = if elsewhere {
                (Cause::AnsweredElsewhere, Rule::AnsweredElsewhere)
            } else if gave_up {
                (Cause::Cancelled, Rule::CallerGaveUp)
            } else {
                (self.decided_by(index, ctx.at).unwrap_or(Cause::NoAnswer), Rule::CallFailed)
            };
            if state.certainty == PartyCertainty::Unconfirmed {
                if !self.is_callee(index, cause) {
                    self.discard_party(index);
                    continue;
                }
                self.confirm(index);
            }
            self.end_party(index, cause, rule, ctx);
        }
        for index in self.parties.other_indices() {
            if self.parties[index].certainty == PartyCertainty::Unconfirmed && self.parties[index].is_live() {
                self.confirm(index);
            }
        }
        if let Some((_, reason)) = self.parties[CALLER].taken {
            self.end_party(CALLER, Cause::Named(reason), Rule::PlaceTaken, ctx);
            return;
        }
        if self.parties[CALLER].was_answered() || gave_up || cause == Cause::Cleared {
            self.end_party(CALLER, after_answer(cause), Rule::LegEnded, ctx);
            return;
        }
        // The last target that failed says why the call did; else the refusal itself.
        let last = self.parties.others().filter_map(PartyState::failure);
        let last = last.max_by_key(|failure| failure.at).map(|failure| failure.reason);
        let role = if self.dialled.internal { Role::CallerInside } else { Role::CallerOutside };
        let own = reason::reason(cause, role);
        // Who declines for all ends the call (RFC 3261 §16.7, item 5): the others have not failed by themselves.
        let decided = self.parties.others().filter_map(PartyState::failure).any(|failure| {
            Some(failure.reason) == own && failure.at <= ctx.at && ctx.at <= failure.at + CAUSE_WAIT
        });
        let reason = own.filter(|_| decided).or(last).or(own);
        self.parties[CALLER].leave(StatusCode::Disconnected, reason, None);
        self.draft(CALLER, Rule::CallFailed, ctx);
    }

    /// Tells the end of a party.
    pub(super) fn end_party(&mut self, index: PartyIndex, cause: Cause, rule: Rule, ctx: &Context) {
        let cause = match cause {
            Cause::AnsweredElsewhere if self.parties[index].party.queue_call => {
                Cause::Named(Reason::AgentAnswered)
            }
            other => other,
        };
        let in_group = self.others_ring(index);
        // Who has not taken the call has missed it, though a mailbox has it now.
        let is_taken_back = matches!(cause, Cause::Withdrawn | Cause::AnsweredElsewhere | Cause::Named(_));
        let elsewhere = self.loses_to_another(index) && (is_taken_back || self.somebody_talks(index));
        self.parties[index].finish(cause, in_group, elsewhere, ctx);
        self.timers.stop(Timer::Transfer(index));
        self.timers.stop(Timer::Leave(index));
        self.draft(index, rule, ctx);
    }

    /// Lets the end of a target wait for its cause, or for whether it belongs to a group.
    fn defer_end(&mut self, index: PartyIndex, cause: Cause, rule: Rule, ctx: &Context) {
        self.parties[index].step(Step::AwaitCause(PendingEnd { cause, at: ctx.at }));
        self.timers.start(Timer::EndCause(index), ctx.at + CAUSE_WAIT);
        self.draft(index, rule, ctx);
    }

    /// The caller was refused, and it is decided after [`CAUSE_WAIT`] whether the call ends or goes to another target:
    /// the ends of targets wait for that, as a caller who has given up is why they ended.
    pub(super) fn wait_for_caller(&mut self, ctx: &Context) {
        let until = ctx.at + CAUSE_WAIT + Duration::from_millis(1);
        for index in self.parties.other_indices() {
            if self.parties[index].pending_end().is_some() {
                self.timers.start(Timer::EndCause(index), until);
            }
        }
    }

    /// Decides the ends that wait, by what came since.
    pub(super) fn settle_waiting(&mut self, settled: Settled, ctx: &Context) {
        for index in self.parties.other_indices() {
            let Some(waiting) = self.parties[index].pending_end() else { continue };
            if settled == Settled::CallerAnswered && waiting.cause == Cause::AnsweredElsewhere {
                continue; // who has taken the call is told of next
            }
            // What a switch says of an answer elsewhere is believed once there is one (contract events §11).
            let said_elsewhere = waiting.cause == Cause::AnsweredElsewhere;
            let withdrawn = said_elsewhere || waiting.cause == Cause::Withdrawn;
            let caller = self.parties[index].called_by;
            let caller_answered = !self.reported && self.parties[caller].was_answered();
            let answered =
                settled == Settled::AnsweredElsewhere && (said_elsewhere || self.is_answered_in_group(index));
            let (cause, rule) = match settled {
                Settled::CallerLeft { elsewhere }
                    if withdrawn && (elsewhere || (said_elsewhere && caller_answered)) =>
                {
                    (Cause::AnsweredElsewhere, Some(Rule::AnsweredElsewhere))
                }
                Settled::AnsweredElsewhere if withdrawn && answered => {
                    (Cause::AnsweredElsewhere, Some(Rule::AnsweredElsewhere))
                }
                Settled::CallerLeft { .. } if withdrawn => (Cause::Cancelled, Some(Rule::CallerGaveUp)),
                _ if withdrawn => match self.decided_by(index, waiting.at) {
                    Some(cause) => (cause, Some(Rule::TargetRefused)),
                    None => (Cause::NoAnswer, None),
                },
                // A further target that is offered the call after the refusal is the next, however soon.
                _ => (waiting.cause, None),
            };
            let elsewhere = answered;
            let ended = Context { at: waiting.at, ..*ctx };
            self.settle_one(index, cause, elsewhere, &ended);
            if let (Some(rule), Some(draft)) = (rule, self.last_draft(index)) {
                draft.rule = rule;
                draft.causes.add(ctx.input);
            }
        }
    }

    /// Decides the end of one party that waited, at the time of the end.
    pub(super) fn settle_one(&mut self, index: PartyIndex, cause: Cause, elsewhere: bool, ctx: &Context) {
        let state = &mut self.parties[index];
        self.timers.stop(Timer::EndCause(index));
        let cause = match cause {
            Cause::AnsweredElsewhere if state.party.queue_call => Cause::Named(Reason::AgentAnswered),
            other => other,
        };
        state.finish(cause, false, elsewhere, ctx);
        let after = state.party.clone();
        if let Some(draft) = self.last_draft(index) {
            draft.after = after;
            draft.timer = ctx.timer;
        }
    }

    pub(super) fn last_draft(&mut self, index: PartyIndex) -> Option<&mut Box<super::Draft>> {
        self.queue.iter_mut().rev().find(|draft| draft.party == index)
    }

    /// The caller was answered by the switch, and nobody is known to have taken the call: the mailbox of
    /// who was called last, if it has one, else an announcement or a menu.
    pub(crate) fn caller_stays_alone(&mut self, ctx: &Context) {
        if std::mem::take(&mut self.answered_alone) {
            self.mailbox_answers(ctx);
            self.settle_waiting(Settled::CallerAnswered, ctx);
        }
    }

    /// Gives the call to the mailbox of the last target, when the switch took the call back from it and
    /// the directory says that it has one.
    fn mailbox_answers(&mut self, ctx: &Context) {
        let waiting: SmallVec<[PartyIndex; 4]> = self
            .parties
            .other_indices()
            .filter(|&index| self.parties[index].pending_end().is_some())
            .collect();
        let dialled = self.dialled.extension;
        let is_dialled =
            |&&index: &&PartyIndex| dialled.is_some() && self.parties[index].party.extension == dialled;
        // Who was called as one of several was not asked for: the mailbox is not theirs.
        let alone = waiting.first().filter(|_| waiting.len() == 1);
        let Some(&index) = waiting.iter().rfind(is_dialled).or(alone) else { return };
        let state = &self.parties[index];
        if state.party.queue_call || self.dialled.kind == Kind::RingGroup {
            return;
        }
        let went = state.pending_end().is_some_and(|waiting| {
            matches!(waiting.cause, Cause::Withdrawn | Cause::NoAnswer | Cause::Busy | Cause::Rejected)
        });
        let has_mailbox = state.party.extension.is_some_and(|extension| self.account.has_mailbox(extension));
        if !went || !has_mailbox || !self.parties[CALLER].was_answered() || self.reported {
            return;
        }
        self.take_back_end(index);
        let state = &mut self.parties[index];
        state.enter(StatusCode::VoiceMail, None);
        state.party.missed_call = true;
        self.draft(index, Rule::MailboxOfDirectory, ctx);
    }

    /// Carries out what timers ask for that have run out, in the order in which they did. Gives the parties as they
    /// stood before they were ended for silence, if they were.
    pub(crate) fn handle_time(&mut self, now: Timestamp, policy: Policy) -> Option<Box<LiveParties>> {
        let mut stood = None;
        loop {
            let (at, timer) = self.next_timer();
            if at > now || self.is_over() {
                break;
            }
            self.timers.stop(timer);
            let ctx = Context { timer: Some(timer), ..self.context_at(self.last_sign, policy) };
            match timer {
                Timer::Confirmation(party) => self.confirmed_in_time(party, timer),
                Timer::EndCause(_) => self.settle_in_time(&ctx),
                Timer::Retry => self.end_all(Cause::NoAnswer, Rule::NotTriedAgain, &Context { at, ..ctx }),
                Timer::Transfer(party) => {
                    if self.parties[party].is_live() && !self.has_leg(party) {
                        self.end_party(party, Cause::HungUp, Rule::TransferNotFollowed, &ctx);
                    }
                }
                Timer::Leave(party) => {
                    // It is told at the time of the success.
                    let ctx = Context { at: at - CAUSE_WAIT, ..ctx };
                    if self.transfer_target(party).is_some() {
                        self.complete_transfer(party);
                    } else {
                        self.mover_stays(party, &ctx);
                    }
                }
                // It is told at the time of the hold.
                Timer::SwitchHold(holder) => {
                    self.switch_has_held(holder, &Context { at: at - CAUSE_WAIT, ..ctx });
                }
                Timer::Ring | Timer::Silence => {
                    let (cause, rule) = match timer {
                        Timer::Ring => (Cause::NoAnswer, Rule::RingTimer),
                        _ => (Cause::Lost, Rule::LostLeg),
                    };
                    let standing = self.standing(self.last_sign);
                    self.end_all(cause, rule, &Context { at, ..ctx });
                    stood = Some(Box::new(standing));
                    break; // nobody is left
                }
            }
        }
        self.flush_discarded();
        stood
    }

    /// Takes a far end for a party, as nothing has shown in time that it is a server, or that a code took
    /// another's call.
    fn confirmed_in_time(&mut self, party: PartyIndex, timer: Timer) {
        self.confirm(party);
        for draft in self.queue.iter_mut().filter(|draft| draft.party == party) {
            draft.timer.get_or_insert(timer);
        }
    }

    /// Decides the ends that wait, as nothing has told their causes in time.
    fn settle_in_time(&mut self, ctx: &Context) {
        if !self.parties.others().any(PartyState::talks) {
            self.mailbox_answers(ctx);
        }
        self.settle_waiting(Settled::InTime, ctx);
    }

    /// Decides all that waits: nothing more will be heard.
    pub(crate) fn decide_all(&mut self, policy: Policy) {
        for party in self.parties.indices() {
            if self.timers.is_running(Timer::Confirmation(party)) {
                self.confirm(party);
            }
        }
        if self.parties.iter().any(|state| state.pending_end().is_some()) {
            self.settle_in_time(&self.context_at(self.last_sign, policy));
        }
        self.flush_discarded();
    }

    /// A change that no signal tells: the last sign of life is what it is inferred from.
    pub(crate) fn context_at(&self, at: Timestamp, policy: Policy) -> Context {
        Context { policy, at, input: self.last_input, account: None, timer: None }
    }

    /// Ends every party that is left, targets first.
    pub(crate) fn end_all(&mut self, cause: Cause, rule: Rule, ctx: &Context) {
        self.settle_waiting(Settled::CallFailed, ctx);
        for index in self.parties.other_indices().chain([CALLER]) {
            if self.parties[index].certainty == PartyCertainty::Unconfirmed {
                if index == CALLER || (self.has_leg(index) && self.is_callee(index, cause)) {
                    self.confirm(index);
                } else {
                    self.discard_party(index);
                }
            }
            if self.parties[index].is_live() {
                let party_cause = match cause {
                    Cause::Lost if !self.parties[index].was_answered() => Cause::NoAnswer,
                    other => other,
                };
                self.end_party(index, party_cause, rule, ctx);
            }
        }
    }

    pub(super) fn others_ring(&self, index: PartyIndex) -> bool {
        let round = self.parties[index].round;
        self.parties.enumerate().any(|(other, state)| {
            other != CALLER
                && other != index
                && state.is_live()
                && !state.was_answered()
                && state.round == round
                && state.party.direction == Direction::Inbound
                && state.certainty == PartyCertainty::Confirmed
                && !state.is_service()
        })
    }

    /// Returns `true` if somebody else has answered who was offered the call with a party: by the same caller, in the
    /// same round.
    fn answered_by_another(&self, index: PartyIndex) -> bool {
        let in_mailbox = |state: &PartyState| {
            state.is_live()
                && state.kind != Kind::Voicemail
                && matches!(state.party.status.code, StatusCode::VoiceMail | StatusCode::VoiceMailScreening)
        };
        self.is_beside(index, |state| state.talks() || in_mailbox(state))
    }

    /// Tests whether somebody else talks who was offered the call with a party: by the same caller, in the same round.
    fn somebody_talks(&self, index: PartyIndex) -> bool {
        self.is_beside(index, PartyState::talks)
    }

    /// Tests whether a party stands so that was offered the call with another: by the same caller, in the same round.
    fn is_beside(&self, index: PartyIndex, stands: impl Fn(&PartyState) -> bool) -> bool {
        let (round, called_by) = (self.parties[index].round, self.parties[index].called_by);
        self.parties.enumerate().any(|(other, state)| {
            other != CALLER
                && other != index
                && stands(state)
                && state.round == round
                && state.called_by == called_by
                && state.party.direction == Direction::Inbound
        })
    }

    /// Tests whether another target has answered that this one has the call taken by: the offer was not being
    /// withdrawn before, or they are of one group.
    fn loses_to_another(&self, index: PartyIndex) -> bool {
        self.answered_by_another(index)
            && (!self.parties[index].is_recalled || self.is_answered_in_group(index))
    }

    /// Tests whether another target has answered that was offered the call together with this one, or before
    /// it; who is offered it long after is where the call went on to.
    fn is_answered_in_group(&self, index: PartyIndex) -> bool {
        let state = &self.parties[index];
        let until = state.offered + GROUP_SPAN;
        self.parties.enumerate().any(|(other, answerer)| {
            other != CALLER
                && other != index
                && answerer.is_answered()
                && answerer.round == state.round
                && answerer.party.direction == Direction::Inbound
                && answerer.offered <= until
        })
    }

    /// Tells what was held back of the caller: its code took nobody's call.
    pub(super) fn confirm_caller(&mut self) {
        if self.parties[CALLER].certainty == PartyCertainty::Unconfirmed {
            self.confirm(CALLER);
        }
    }

    /// Forgets that a party was about to take another's place.
    fn stays_with_whom_it_was(&mut self, taker: PartyIndex) {
        for state in &mut self.parties {
            if state.taken.is_some_and(|(place, _)| place == taker) {
                state.taken = None;
            }
        }
    }

    /// The leg of a party that had asked for its call to be moved ended.
    fn mover_left(&mut self, party: PartyIndex, ctx: &Context) {
        let Some(moving) = &self.parties[party].moving else { return };
        let (to, by_code) = (moving.to.clone(), moving.by_code);
        match to {
            Destination::Call(..) => self.complete_transfer(party),
            Destination::Park(slot) => self.park(party, slot, Rule::CallParked, ctx),
            Destination::Number(_) => {
                let reason = if by_code { Reason::DtmfTransfer } else { Reason::BlindTransfer };
                self.end_party(party, Cause::Named(reason), Rule::TransferLeft, ctx);
            }
        }
    }
}

/// The cause of an end after an answer: what refuses a call is then an ordinary hang-up.
fn after_answer(cause: Cause) -> Cause {
    match cause {
        Cause::Lost | Cause::Named(_) => cause,
        _ => Cause::HungUp,
    }
}
