//! A call that goes on after its end was inferred from silence.

use std::collections::VecDeque;
use std::sync::Arc;

use hookswitch_model::{Direction, LegId, Party, Rule, SessionFacts, StatusCode, Timestamp};
use serde::{Deserialize, Serialize};

use super::party::PartyCertainty;
use super::phase::PartyPhase;
use super::timer::TimerTable;
use super::{Context, PartyIndex, Session};

/// The parties of a call as they stood before they were ended for want of a message.
#[derive(Serialize, Deserialize)]
pub(crate) struct LiveParties {
    /// Time when that was: the time of the last signal.
    at: Timestamp,
    parties: Vec<(PartyIndex, PartyPhase, Party)>,
    /// The legs that had not ended.
    legs: Vec<LegId>,
}

impl LiveParties {
    /// Returns the time when the parties stood so.
    pub(crate) fn at(&self) -> Timestamp {
        self.at
    }
}

impl Session {
    /// The parties that have not left, as they stand.
    pub(crate) fn standing(&self, at: Timestamp) -> LiveParties {
        let live = self.parties.enumerate().filter(|(_, state)| state.is_live());
        LiveParties {
            at,
            parties: live.map(|(index, state)| (index, state.phase, state.party.clone())).collect(),
            legs: self.legs.iter().filter(|leg| !leg.ended).map(|leg| leg.id).collect(),
        }
    }

    /// Takes the legs that were ended for want of a message for open again.
    pub(crate) fn revive_legs(&mut self, standing: &LiveParties) {
        for leg in &mut self.legs {
            leg.ended &= !standing.legs.contains(&leg.id);
        }
    }

    /// Returns the time when the last signal of the call came.
    pub(crate) fn last_sign(&self) -> Timestamp {
        self.last_sign
    }

    /// Notes the end of a leg of a call that was taken for over; says whether another leg may go on.
    pub(crate) fn ends_unseen(&mut self, id: LegId) -> bool {
        self.legs.iter_mut().filter(|leg| leg.id == id).for_each(|leg| leg.ended = true);
        self.legs.iter().any(|leg| !leg.ended)
    }

    /// Makes this the session of a call found in progress: those who were there are told anew, with their present
    /// status (contract events §11).
    pub(crate) fn resume(&mut self, facts: Arc<SessionFacts>, standing: LiveParties, ctx: &Context) {
        self.facts = facts;
        self.started = ctx.at;
        self.changed = ctx.at;
        self.told = Timestamp::from_micros(i64::MIN);
        self.sequence = 1;
        self.numbers = 0;
        self.queue = VecDeque::new();
        self.timers = TimerTable::default();
        self.retrieves = None;
        self.awaits = None;
        self.effect = None;
        let LiveParties { parties: mut standing, .. } = standing;
        // Of a party that was not clear yet nothing has shown since that it is one.
        standing.retain(|&(index, ..)| self.parties[index].certainty == PartyCertainty::Confirmed);
        for (index, phase, party) in standing {
            let state = &mut self.parties[index];
            let present = party.status.clone();
            state.party = party;
            state.phase = phase;
            state.number = 0;
            state.moving = None;
            state.taken = None;
            let first = match (state.party.direction, state.party.extension) {
                (Direction::Inbound, None) => StatusCode::Proceeding,
                (Direction::Inbound, Some(_)) if state.party.queue_call => StatusCode::Proceeding,
                _ => StatusCode::Setup,
            };
            let code = present.code;
            if code != first {
                state.enter(first, None);
                self.draft(index, Rule::WentOn, ctx);
            }
            self.parties[index].party.status = present;
            self.draft(index, Rule::WentOn, ctx);
        }
    }
}
