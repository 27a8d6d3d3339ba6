//! The call log: what is said of a call when it is over, made from its events alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use hookswitch_model::{
    Direction, Event, ExtensionId, Party, PartyId, Reason, SessionFacts, StatusCode, Timestamp,
};

/// A call that is over, as an account or one of its extensions finds it in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallRecord {
    /// The session.
    pub session: Arc<SessionFacts>,
    /// The leg that stands for the call: the extension's own; of an account the one who calls from it, or else the
    /// first that was called in it.
    pub leg: CallLeg,
    /// How the call ended: of an account, the best that came of its legs.
    pub result: CallResult,
    /// All legs, in the order in which they began.
    pub legs: Vec<CallLeg>,
    /// The time of the last event.
    pub modified: Timestamp,
}

/// One party of a call that is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallLeg {
    /// The party as it ended.
    pub party: Party,
    /// Time when it began and ended, in signal time.
    pub started: Timestamp,
    /// Time when it ended.
    pub ended: Timestamp,
    /// Time when it was answered; none if it never was.
    pub answered: Option<Timestamp>,
    /// How it ended.
    pub result: CallResult,
    /// Set if it received a fax.
    pub is_fax: bool,
}

/// Result of a call, or of a leg of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CallResult {
    /// Called party that answered.
    Accepted,
    /// The call of who calls was answered.
    Connected,
    /// A fax was received.
    Received,
    /// The mailbox took the call.
    Voicemail,
    /// Nobody took it.
    Missed,
    /// Somebody else took it.
    AnsweredElsewhere,
    /// The called number was busy.
    Busy,
    /// Nobody answered.
    NoAnswer,
    /// It was declined.
    Rejected,
    /// There is no such number.
    WrongNumber,
    /// The destination is blocked.
    Blocked,
    /// International calls are off.
    InternationalDisabled,
    /// The balance is empty.
    NoCredit,
    /// The phone system or the network failed.
    Failed,
    /// It was hung up before anything came of it, or went on from a menu or a queue.
    HangUp,
}

impl CallResult {
    /// The word of the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "Accepted",
            Self::Connected => "Call connected",
            Self::Received => "Received",
            Self::Voicemail => "Voicemail",
            Self::Missed => "Missed",
            Self::AnsweredElsewhere => "Answered Elsewhere",
            Self::Busy => "Busy",
            Self::NoAnswer => "No Answer",
            Self::Rejected => "Rejected",
            Self::WrongNumber => "Wrong Number",
            Self::Blocked => "Blocked",
            Self::InternationalDisabled => "International Disabled",
            Self::NoCredit => "No Calling Credit",
            Self::Failed => "Call Failed",
            Self::HangUp => "Hang Up",
        }
    }

    /// The result of a leg by its last state and what it has been.
    fn of(leg: &Open) -> Self {
        let Open { party, rang, .. } = leg;
        let reason = party.status.reason;
        if leg.fax {
            return Self::Received;
        }
        if leg.voicemail {
            return Self::Voicemail;
        }
        if party.missed_call {
            return Self::Missed;
        }
        if leg.answered.is_some() {
            return if party.direction == Direction::Inbound { Self::Accepted } else { Self::Connected };
        }
        match reason {
            Some(Reason::TargetBusy) => Self::Busy,
            Some(Reason::NoAnswer | Reason::Timeout) => Self::NoAnswer,
            Some(Reason::Rejected) => Self::Rejected,
            Some(Reason::InvalidNumber | Reason::NoSuchUser) => Self::WrongNumber,
            Some(Reason::DestinationBlocked) => Self::Blocked,
            Some(Reason::InternationalDisabled) => Self::InternationalDisabled,
            Some(Reason::NotEnoughFunds) => Self::NoCredit,
            Some(Reason::InternalError | Reason::CallDropped) => Self::Failed,
            None | Some(Reason::AgentAnswered | Reason::Pickup)
                if *rang && party.direction == Direction::Inbound =>
            {
                Self::AnsweredElsewhere
            }
            _ => Self::HangUp,
        }
    }
}

impl CallLeg {
    /// The whole seconds from its beginning to its end.
    pub fn duration_secs(&self) -> u64 {
        self.ended.since(self.started).as_secs()
    }

    /// The action of the API that it was part of.
    pub const fn action(&self) -> &'static str {
        match self.party.status.reason {
            Some(
                Reason::BlindTransfer | Reason::AttendedTransfer | Reason::DtmfTransfer | Reason::RccTransfer,
            ) => "Transfer",
            Some(Reason::Pickup) => "Pickup",
            Some(Reason::Conference) => "Conference Call",
            Some(Reason::Supervising) => "Monitoring",
            _ if self.is_fax => "Incoming Fax",
            _ => "Phone Call",
        }
    }
}

/// One party while its events are read.
struct Open {
    party: Party,
    started: Timestamp,
    changed: Timestamp,
    answered: Option<Timestamp>,
    voicemail: bool,
    rang: bool,
    fax: bool,
}

impl CallRecord {
    /// Makes the record of a call from the events of its session, which are all of them and in their order; none if
    /// a party of it goes on, or the extension took no part.
    pub fn of<'a>(
        events: impl IntoIterator<Item = &'a Event>,
        extension: Option<ExtensionId>,
    ) -> Option<Self> {
        let mut open: BTreeMap<PartyId, Open> = BTreeMap::new();
        let (mut session, mut modified) = (None, None);
        for event in events {
            session.get_or_insert_with(|| event.session.clone());
            modified = Some(event.at);
            let code = event.party.status.code;
            let one = open.entry(event.party.id).or_insert_with(|| Open {
                party: event.party.clone(),
                started: event.at,
                changed: event.at,
                answered: None,
                voicemail: false,
                rang: false,
                fax: false,
            });
            one.party = event.party.clone();
            one.changed = event.at;
            if code == StatusCode::Answered {
                one.answered.get_or_insert(event.at);
            }
            one.voicemail |= matches!(code, StatusCode::VoiceMail | StatusCode::VoiceMailScreening);
            one.rang |= code == StatusCode::Proceeding;
            one.fax |= code == StatusCode::FaxReceive;
        }
        if open.values().any(|one| !one.party.status.code.is_terminal()) {
            return None;
        }
        let leg = |one: Open| CallLeg {
            result: CallResult::of(&one),
            started: one.started,
            ended: one.changed,
            answered: one.answered,
            is_fax: one.fax,
            party: one.party,
        };
        let legs: Vec<CallLeg> = open.into_values().map(leg).collect();
        let leg = standing_for(&legs, extension)?.clone();
        let same_side = legs.iter().filter(|one| {
            let is_of = match extension {
                Some(extension) => one.party.extension == Some(extension),
                None => one.party.extension.is_some(),
            };
            is_of && one.party.direction == leg.party.direction
        });
        // Who calls has one leg; of those who were called the best counts.
        let result = same_side.map(|one| one.result).min().unwrap_or(leg.result);
        Some(Self { session: session?, result, leg, legs, modified: modified? })
    }

    /// Returns `true` if something of it was recorded.
    pub fn is_recorded(&self) -> bool {
        self.legs.iter().any(|leg| !leg.party.recordings.is_empty())
    }
}

/// The leg that stands for a call.
fn standing_for(legs: &[CallLeg], extension: Option<ExtensionId>) -> Option<&CallLeg> {
    if let Some(extension) = extension {
        let own = || legs.iter().filter(|leg| leg.party.extension == Some(extension));
        return own().find(|leg| leg.answered.is_some()).or_else(|| own().next());
    }
    let inside = || legs.iter().filter(|leg| leg.party.extension.is_some());
    let caller = inside().find(|leg| leg.party.direction == Direction::Outbound);
    caller.or_else(|| inside().next()).or_else(|| legs.first())
}

#[cfg(test)]
mod tests {
    use hookswitch_model::{
        AccountId, Causes, Endpoint, InputRef, Notes, Origin, Rule, SessionId, Status, TelephonySessionId,
    };
    use proptest::prelude::*;

    use super::*;

    const CALLER: ExtensionId = ExtensionId::new(1016);
    const CALLED: ExtensionId = ExtensionId::new(2016);
    use StatusCode::{Answered, Disconnected, Proceeding, Setup, VoiceMail};

    /// Number of the party, extension, status, why, and whether the call is missed.
    type PartyRow = (u32, Option<ExtensionId>, StatusCode, Option<Reason>, bool);

    /// Events of a session.
    fn events(all: &[PartyRow]) -> Vec<Event> {
        let (account, id) = (AccountId::new(16), TelephonySessionId::new(1));
        let session =
            Arc::new(SessionFacts { account, id, session_id: SessionId::new(7), origin: Origin::Call });
        let event = |(sequence, &(number, extension, code, reason, missed_call)): (u32, &_)| Event {
            session: session.clone(),
            sequence,
            at: Timestamp::from_micros(i64::from(sequence) * 1_000_000),
            party: Party {
                account,
                extension,
                id: id.party(number),
                direction: if number == 1 { Direction::Outbound } else { Direction::Inbound },
                to: Arc::new(Endpoint::default()),
                from: Arc::new(Endpoint::default()),
                status: Status { code, reason, park_data: None, peer: None, mobile_pickup: false },
                park: None,
                missed_call,
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
        };
        (2..).zip(all).map(event).collect()
    }

    fn plain(number: u32, extension: Option<ExtensionId>, code: StatusCode) -> PartyRow {
        (number, extension, code, None, false)
    }

    fn result(events: &[Event], extension: Option<ExtensionId>) -> Option<CallResult> {
        CallRecord::of(events, extension).map(|record| record.result)
    }

    #[test]
    fn an_answered_call_is_connected_for_one_and_accepted_for_the_other() {
        let story = events(&[
            plain(1, Some(CALLER), Setup),
            plain(2, Some(CALLED), Proceeding),
            plain(2, Some(CALLED), Answered),
            plain(1, Some(CALLER), Answered),
            plain(2, Some(CALLED), Disconnected),
            plain(1, Some(CALLER), Disconnected),
        ]);
        assert_eq!(result(&story, None), Some(CallResult::Connected));
        assert_eq!(result(&story, Some(CALLER)), Some(CallResult::Connected));
        assert_eq!(result(&story, Some(CALLED)), Some(CallResult::Accepted));
        assert_eq!(result(&story, Some(ExtensionId::new(3))), None, "it took no part");
        assert_eq!(result(&story[..5], None), None, "the caller goes on");
        let record = CallRecord::of(&story, Some(CALLED)).expect("a record");
        assert_eq!((record.leg.duration_secs(), record.legs.len()), (3, 2));
        assert_eq!(record.leg.answered, Some(Timestamp::from_micros(4_000_000)));
        assert_eq!(record.modified, Timestamp::from_micros(7_000_000));
    }

    #[test]
    fn of_a_call_from_outside_the_best_that_came_of_it_counts() {
        let missed = |extension| (2, Some(extension), Disconnected, Some(Reason::NoAnswer), true);
        let alone = events(&[
            plain(1, None, Setup),
            plain(2, Some(CALLED), Proceeding),
            missed(CALLED),
            plain(1, None, Disconnected),
        ]);
        assert_eq!(
            (result(&alone, None), result(&alone, Some(CALLED))),
            (Some(CallResult::Missed), Some(CallResult::Missed))
        );
        let group = events(&[
            plain(1, None, Setup),
            plain(2, Some(CALLED), Proceeding),
            plain(3, Some(CALLER), Proceeding),
            plain(3, Some(CALLER), Answered),
            plain(2, Some(CALLED), Disconnected),
            plain(3, Some(CALLER), Disconnected),
            plain(1, None, Disconnected),
        ]);
        assert_eq!(result(&group, None), Some(CallResult::Accepted));
        assert_eq!(result(&group, Some(CALLED)), Some(CallResult::AnsweredElsewhere));
        let mailbox = events(&[
            plain(1, None, Setup),
            plain(2, Some(CALLED), Proceeding),
            (2, Some(CALLED), VoiceMail, None, true),
            (2, Some(CALLED), Disconnected, None, true),
            plain(1, None, Disconnected),
        ]);
        assert_eq!(result(&mailbox, None), Some(CallResult::Voicemail));
    }

    #[test]
    fn a_call_that_fails_says_how_and_a_transfer_is_named() {
        for (reason, expected) in [
            (Some(Reason::TargetBusy), CallResult::Busy),
            (Some(Reason::NoAnswer), CallResult::NoAnswer),
            (Some(Reason::NoSuchUser), CallResult::WrongNumber),
            (Some(Reason::NotEnoughFunds), CallResult::NoCredit),
            (Some(Reason::Cancelled), CallResult::HangUp),
            (None, CallResult::HangUp),
        ] {
            let story =
                events(&[plain(1, Some(CALLER), Setup), (1, Some(CALLER), Disconnected, reason, false)]);
            assert_eq!(result(&story, None), Some(expected), "{reason:?}");
        }
        let moved = events(&[
            plain(2, Some(CALLED), Answered),
            (2, Some(CALLED), Disconnected, Some(Reason::BlindTransfer), false),
        ]);
        let record = CallRecord::of(&moved, None).expect("a record");
        assert_eq!((record.leg.action(), record.result), ("Transfer", CallResult::Accepted));
    }

    fn stories() -> impl Strategy<Value = Vec<Event>> {
        let code = prop_oneof![
            Just(Setup),
            Just(Proceeding),
            Just(Answered),
            Just(VoiceMail),
            Just(StatusCode::Hold)
        ];
        let party = (prop::collection::vec(code, 1..5), any::<bool>(), any::<bool>());
        prop::collection::vec(party, 1..5).prop_map(|parties| {
            let mut all = Vec::new();
            for (number, (codes, inside, missed)) in (1..).zip(parties) {
                let extension = inside.then(|| ExtensionId::new(u64::from(number)));
                all.extend(codes.into_iter().map(|code| (number, extension, code, None, false)));
                all.push((number, extension, Disconnected, None, missed));
            }
            events(&all)
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// The log says answered, missed and mailbox as the events of the extension did, and how long it took.
        #[test]
        fn the_log_agrees_with_the_events_of_each_extension(story in stories()) {
            for extension in story.iter().filter_map(|event| event.party.extension) {
                let record = CallRecord::of(&story, Some(extension)).expect("all have ended");
                let own: Vec<&Event> = story.iter().filter(|event| event.party.extension == Some(extension)).collect();
                let has = |code| own.iter().any(|event| event.party.status.code == code);
                let missed = own.iter().any(|event| event.party.missed_call);
                prop_assert_eq!(record.leg.answered.is_some(), has(Answered));
                prop_assert_eq!(record.result == CallResult::Voicemail, has(VoiceMail));
                prop_assert_eq!(record.result == CallResult::Missed, missed && !has(VoiceMail));
                let (first, last) = (own[0].at, own[own.len() - 1].at);
                prop_assert_eq!(record.leg.duration_secs(), last.since(first).as_secs());
            }
        }
    }
}
