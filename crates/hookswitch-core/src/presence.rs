//! Presence: the calls of each extension, as the events of sessions tell them, and what their changes are called.
//!
//! All of it follows from the events in the order of the log, so it can be made again from there.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hookswitch_model::{
    AccountId, ActiveCall, CallChange, Direction, Event, ExtensionId, Reason, StatusCode,
};

/// The calls that go on, by extension.
#[derive(Debug, Default)]
pub struct ActiveCalls {
    of: HashMap<(AccountId, ExtensionId), Vec<ActiveCall>, RandomState>,
}

impl ActiveCalls {
    /// Takes the next event of the log, `sequence` being its position, and gives the change of the extension's calls;
    /// none if the party is no extension.
    pub fn apply(&mut self, event: &Arc<Event>, sequence: u64) -> Option<CallChange> {
        let party = &event.party;
        let key = (event.session.account, party.extension?);
        let calls = self.of.entry(key).or_default();
        let known = calls.iter().position(|call| call.event.party.id == party.id);
        let before = known.map(|index| calls[index].clone());
        let rings = party.direction == Direction::Inbound && party.status.code == StatusCode::Proceeding;
        let call = ActiveCall {
            event: event.clone(),
            since: before.as_ref().map_or(event.at, |before| before.since),
            rang: rings || before.as_ref().is_some_and(|before| before.rang),
        };
        let index = if let Some(index) = known {
            calls[index] = call;
            index
        } else {
            calls.push(call);
            calls.len() - 1
        };
        let after: Arc<[ActiveCall]> = calls.as_slice().into();
        if party.status.code.is_terminal() {
            calls.remove(index);
            if calls.is_empty() {
                self.of.remove(&key);
            }
        }
        Some(CallChange { sequence, before, calls: after })
    }

    /// Returns the number of extensions that have calls.
    pub fn len(&self) -> usize {
        self.of.len()
    }

    /// Returns `true` if nobody has a call.
    pub fn is_empty(&self) -> bool {
        self.of.is_empty()
    }
}

/// The word for a status in presence: it rings for both sides until the answer.
pub const fn telephony_status(code: StatusCode) -> &'static str {
    match code {
        StatusCode::Setup | StatusCode::Proceeding => RINGING,
        StatusCode::Hold => "OnHold",
        StatusCode::Parked => "ParkedCall",
        StatusCode::Disconnected | StatusCode::Gone => NO_CALL,
        StatusCode::Answered
        | StatusCode::VoiceMail
        | StatusCode::FaxReceive
        | StatusCode::VoiceMailScreening => "CallConnected",
    }
}

const RINGING: &str = "Ringing";
const NO_CALL: &str = "NoCall";

/// The words for the statuses of several calls together: of the telephony, and of the presence that it means.
pub fn statuses_of(codes: impl Iterator<Item = StatusCode>) -> (&'static str, &'static str) {
    /// The status of one call counts for all, the first of these that there is.
    const ORDER: [&str; 5] = ["CallConnected", "OnHold", "ParkedCall", RINGING, NO_CALL];
    let place = |code| ORDER.iter().position(|&status| status == telephony_status(code));
    let telephony = codes.filter_map(place).min().map_or(NO_CALL, |place| ORDER[place]);
    let is_free = telephony == RINGING || telephony == NO_CALL;
    (telephony, if is_free { "Available" } else { "Busy" })
}

/// A family of notifications about the calls of an extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// The presence has changed.
    Presence,
    /// A call was missed.
    MissedCalls,
    /// A device begins to ring.
    StartRing,
    /// It rings no more.
    StopRing,
    /// A call that rang was answered elsewhere.
    AnsweredElsewhere,
}

impl Family {
    /// All, in the order in which they are told of one event.
    pub const ALL: [Self; 5] =
        [Self::Presence, Self::MissedCalls, Self::StartRing, Self::StopRing, Self::AnsweredElsewhere];

    /// The end of the path of its filters.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Presence => "presence",
            Self::MissedCalls => "missed-calls",
            Self::StartRing => "start-ring",
            Self::StopRing => "stop-ring",
            Self::AnsweredElsewhere => "telephony",
        }
    }

    /// Returns `true` if there are filters of it for a whole account.
    pub const fn is_of_accounts(self) -> bool {
        matches!(self, Self::Presence)
    }

    /// The `action` of its notifications; presence has none.
    pub const fn action(self) -> &'static str {
        match self {
            Self::Presence => "",
            Self::MissedCalls => "MissedCall",
            Self::StartRing => "StartRing",
            Self::StopRing => "StopRing",
            Self::AnsweredElsewhere => "call-answered-elsewhere",
        }
    }

    /// Returns `true` if an event that made this change is told in the family.
    pub fn tells(self, event: &Event, change: &CallChange) -> bool {
        let party = &event.party;
        let (code, before) = (party.status.code, change.status_before());
        let is_inbound = party.direction == Direction::Inbound;
        let rang = change.before.as_ref().is_some_and(|before| before.rang);
        let was_ringing = rang && before.is_some_and(|code| telephony_status(code) == RINGING);
        match self {
            Self::Presence => has_changed(event, change),
            Self::MissedCalls => {
                is_inbound
                    && party.missed_call
                    && code.is_terminal()
                    && !before.is_some_and(StatusCode::is_terminal)
            }
            Self::StartRing => is_inbound && !rang && code == StatusCode::Proceeding,
            Self::StopRing => is_inbound && was_ringing && telephony_status(code) != RINGING,
            Self::AnsweredElsewhere => {
                is_inbound
                    && was_ringing
                    && code == StatusCode::Disconnected
                    && !party.missed_call
                    && matches!(party.status.reason, None | Some(Reason::AgentAnswered | Reason::Pickup))
            }
        }
    }
}

/// Returns `true` if the presence shows something of an event: another status, number or name, or another dialog.
fn has_changed(event: &Event, change: &CallChange) -> bool {
    let shown = telephony_status(event.party.status.code);
    let Some(before) = &change.before else { return shown != NO_CALL };
    let old = &before.event.party;
    let new = &event.party;
    telephony_status(old.status.code) != shown
        || old.from != new.from
        || old.to != new.to
        || old.sip != new.sip
        || old.queue_call != new.queue_call
}

#[cfg(test)]
mod tests {
    use hookswitch_model::{
        Causes, Endpoint, InputRef, Notes, Origin, Party, Rule, SessionFacts, SessionId, Status,
        TelephonySessionId, Timestamp,
    };

    use super::*;

    const EXTENSION: ExtensionId = ExtensionId::new(2016);

    /// An event of the extension's party in a session.
    fn event(session: u128, sequence: u32, direction: Direction, code: StatusCode) -> Event {
        let id = TelephonySessionId::new(session);
        let account = AccountId::new(1016);
        Event {
            session: Arc::new(SessionFacts {
                account,
                id,
                session_id: SessionId::new(5000),
                origin: Origin::Call,
            }),
            sequence,
            at: Timestamp::from_micros(i64::from(sequence) * 1_000_000),
            party: Party {
                account,
                extension: Some(EXTENSION),
                id: id.party(2),
                direction,
                to: Arc::new(Endpoint::default()),
                from: Arc::new(Endpoint::default()),
                status: Status { code, reason: None, park_data: None, peer: None, mobile_pickup: false },
                park: None,
                missed_call: false,
                stand_alone: false,
                muted: false,
                conference_role: None,
                ring_out_role: None,
                queue_call: false,
                recordings: Vec::new(),
                sip: None,
            },
            rule: Rule::Reported,
            notes: Notes::default(),
            causes: Causes::one(InputRef::default()),
        }
    }

    /// The families that are told of each of some events.
    fn told(events: Vec<Event>) -> Vec<Vec<&'static str>> {
        let mut calls = ActiveCalls::default();
        let mut told = Vec::new();
        for (position, event) in (1..).zip(events) {
            let event = Arc::new(event);
            let change = calls.apply(&event, position).expect("the party is an extension");
            let of = Family::ALL.into_iter().filter(|family| family.tells(&event, &change));
            told.push(of.map(Family::path).collect());
        }
        assert!(calls.is_empty(), "what has ended is forgotten");
        told
    }

    fn story(direction: Direction, codes: &[StatusCode]) -> Vec<Event> {
        (2..).zip(codes).map(|(sequence, &code)| event(1, sequence, direction, code)).collect()
    }

    #[test]
    fn an_answered_call_rings_stops_and_is_told_once_for_each_change() {
        use StatusCode::{Answered, Disconnected, Hold, Proceeding, Setup};
        assert_eq!(
            told(story(Direction::Inbound, &[Setup, Proceeding, Answered, Answered, Hold, Disconnected])),
            [
                vec!["presence"],
                vec!["start-ring"],
                vec!["presence", "stop-ring"],
                vec![],
                vec!["presence"],
                vec!["presence"]
            ]
        );
    }

    #[test]
    fn who_calls_hears_no_ring_of_its_own() {
        use StatusCode::{Answered, Disconnected, Proceeding, Setup};
        assert_eq!(
            told(story(Direction::Outbound, &[Setup, Proceeding, Answered, Disconnected])),
            [vec!["presence"], vec![], vec!["presence"], vec!["presence"]]
        );
    }

    #[test]
    fn a_call_that_rang_is_missed_or_was_answered_elsewhere_and_a_forwarded_one_neither() {
        use StatusCode::{Disconnected, Proceeding, Setup, VoiceMail};
        let end = |missed: bool, reason: Option<Reason>, codes: &[StatusCode]| {
            let mut events = story(Direction::Inbound, codes);
            let last = events.last_mut().expect("an end");
            (last.party.missed_call, last.party.status.reason) = (missed, reason);
            told(events).pop().expect("an end")
        };
        let rang = [Setup, Proceeding, Disconnected];
        assert_eq!(end(true, Some(Reason::NoAnswer), &rang), ["presence", "missed-calls", "stop-ring"]);
        for reason in [None, Some(Reason::AgentAnswered), Some(Reason::Pickup)] {
            assert_eq!(end(false, reason, &rang), ["presence", "stop-ring", "telephony"], "{reason:?}");
        }
        assert_eq!(end(false, Some(Reason::CallRedirected), &rang), ["presence", "stop-ring"]);
        // A menu is left without a reason, and no phone has rung.
        assert_eq!(end(false, None, &[Setup, Disconnected]), ["presence"]);
        // Nothing rang, and the call is missed all the same.
        assert_eq!(end(true, Some(Reason::NoAnswer), &[Setup, Disconnected]), ["presence", "missed-calls"]);
        // The mailbox took it.
        assert_eq!(
            end(true, None, &[Setup, Proceeding, VoiceMail, Disconnected]),
            ["presence", "missed-calls"]
        );
    }

    #[test]
    fn the_calls_of_an_extension_are_those_of_all_its_sessions() {
        use StatusCode::{Answered, Disconnected, Proceeding};
        let mut calls = ActiveCalls::default();
        let mut apply = |session, sequence, code, position| {
            let event = Arc::new(event(session, sequence, Direction::Inbound, code));
            let change = calls.apply(&event, position).expect("an extension");
            let codes = change.calls.iter().map(|call| call.event.party.status.code);
            let (telephony, presence) = statuses_of(codes);
            (change.sequence, change.calls.len(), telephony, presence)
        };
        assert_eq!(apply(1, 2, Proceeding, 10), (10, 1, "Ringing", "Available"));
        assert_eq!(apply(1, 3, Answered, 11), (11, 1, "CallConnected", "Busy"));
        assert_eq!(apply(2, 2, Proceeding, 12), (12, 2, "CallConnected", "Busy"));
        assert_eq!(apply(1, 4, Disconnected, 13), (13, 2, "Ringing", "Available"));
        assert_eq!(apply(2, 3, Disconnected, 14), (14, 1, "NoCall", "Available"));
        assert!(calls.is_empty());
    }
}
