//! One numbered change of a session.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::id::{AccountId, InputRef, SessionId, TelephonySessionId};
use crate::party::{Origin, Party};
use crate::time::Timestamp;

/// One change of one party of a session: what a notification tells (contract events §4).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Facts that are the same in every event of the session.
    pub session: Arc<SessionFacts>,
    /// Counts the changes of the session; 1 is its creation, which is not told.
    pub sequence: u32,
    /// Time when the change happened, in signal time.
    pub at: Timestamp,
    /// The party that changed, as it stands after the change.
    pub party: Party,
    /// The rule by which the change followed from its causes.
    pub rule: Rule,
    /// The inputs that caused the change.
    pub causes: Causes,
    /// Remarks on its sources, and the timer that brought the change about.
    pub notes: Notes,
}

/// Remark on the sources of a party or on the timer that brought an event about, for the explain record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Note {
    /// Its SIP dialog was found by the Call-ID.
    SipJoinedById,
    /// Its SIP dialog was found by the heuristic.
    SipJoinedByNumbers,
    /// Two sources contradict each other.
    SourcesDisagree,
    /// The confirmation timer of the session ran out.
    ConfirmationTimer,
    /// The end-cause timer ran out.
    EndCauseTimer,
    /// The retry timer ran out.
    RetryTimer,
    /// The transfer timer ran out.
    TransferTimer,
    /// The ring timer ran out.
    RingTimer,
    /// The silence timer ran out.
    SilenceTimer,
    /// The leave timer ran out.
    LeaveTimer,
    /// The timer for the final response to a cancelled INVITE ran out.
    FinalResponseTimer,
    /// The timer for any response to an INVITE ran out.
    ResponseTimer,
    /// The timer for the offer of a party that a hold by the switch follows from ran out.
    SwitchHoldTimer,
    /// The timer for a sign of life of a dialog that one end did not know any more ran out.
    DialogTimer,
}

impl Note {
    /// All notes: first of sources, then of timers.
    pub const ALL: &'static [Self] = &[
        Self::SipJoinedById,
        Self::SipJoinedByNumbers,
        Self::SourcesDisagree,
        Self::ConfirmationTimer,
        Self::EndCauseTimer,
        Self::RetryTimer,
        Self::TransferTimer,
        Self::RingTimer,
        Self::SilenceTimer,
        Self::LeaveTimer,
        Self::FinalResponseTimer,
        Self::ResponseTimer,
        Self::SwitchHoldTimer,
        Self::DialogTimer,
    ];

    /// The first note that names a timer; so many bits of [`Notes`] are for those of sources.
    const FIRST_TIMER: u8 = Self::ConfirmationTimer as u8;

    /// The number of the timer that the note names, from 1; 0 if it names none.
    const fn timer(self) -> u8 {
        (self as u8 + 1).saturating_sub(Self::FIRST_TIMER)
    }

    /// Tests whether the end of a leg that it is about was inferred by whoever follows the signalling.
    pub const fn is_of_inferred_end(self) -> bool {
        matches!(self, Self::FinalResponseTimer | Self::ResponseTimer | Self::DialogTimer)
    }

    /// The note in the words of a telephony engineer.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SipJoinedById => {
                "the SIP dialog belongs to this party by the Call-ID that the switch named"
            }
            Self::SipJoinedByNumbers => {
                "the SIP dialog belongs to this party by caller, dialled number, switch and moment (heuristic)"
            }
            Self::SourcesDisagree => {
                "the switch and its SIP contradict each other; what the switch says counts"
            }
            Self::ConfirmationTimer => {
                "confirmation timer: for 500 ms nothing showed that this far end is a server, or that a code took the call of another"
            }
            Self::EndCauseTimer => "end-cause timer: for 500 ms nothing told why this leg had ended",
            Self::RetryTimer => "retry timer: for 32 s the caller did not try again",
            Self::TransferTimer => "transfer timer: for 32 s the transferred party placed no call",
            Self::RingTimer => "ring timer: no sign of life for 240 s before an answer",
            Self::SilenceTimer => {
                "silence timer: no sign of life for as long as the session timer allows, or for 24 h without one"
            }
            Self::LeaveTimer => {
                "leave timer: for 500 ms after the transfer had succeeded, who asked for it did not hang up"
            }
            Self::FinalResponseTimer => {
                "final-response timer: for 32 s after the CANCEL no final response came (RFC 3261 §9.1) (inferred)"
            }
            Self::ResponseTimer => {
                "response timer: for 32 s nothing answered the INVITE (RFC 3261 §17.1.1.2) (inferred)"
            }
            Self::SwitchHoldTimer => {
                "switch-hold timer: for 500 ms nobody was seen to ask the switch for this hold"
            }
            Self::DialogTimer => {
                "dialog timer: for 32 s after a 408 or 481 nothing showed that the dialog goes on (RFC 3261 §12.2.1.2) (inferred)"
            }
        }
    }
}

/// A set of [`Note`]s, at most one of them of a timer.
///
/// The lower three bits are notes of sources, the upper five the number of the timer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notes(u8);

impl Notes {
    /// The set with these bits, as [`Notes::bits`] gives them; others mean nothing.
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits)
    }

    /// The set as bits, to be stored.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Adds a note. What is known by an id is not by the heuristic, and one timer takes the place of another.
    pub fn add(&mut self, note: Note) {
        if note.timer() > 0 {
            let sources = self.0 & ((1 << Note::FIRST_TIMER) - 1);
            self.0 = sources | note.timer() << Note::FIRST_TIMER;
            return;
        }
        if note == Note::SipJoinedById {
            self.0 &= !(1 << Note::SipJoinedByNumbers as u8);
        }
        self.0 |= 1 << note as u8;
    }

    /// The notes, in their order.
    pub fn iter(self) -> impl Iterator<Item = Note> {
        Note::ALL.iter().copied().filter(move |&note| match note.timer() {
            0 => self.0 & 1 << note as u8 != 0,
            timer => self.0 >> Note::FIRST_TIMER == timer,
        })
    }
}

/// Facts that are the same in every event of a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionFacts {
    /// The account it belongs to.
    pub account: AccountId,
    /// Its id.
    pub id: TelephonySessionId,
    /// The decimal companion of its id.
    pub session_id: SessionId,
    /// Kind of session.
    pub origin: Origin,
}

/// The inputs that caused a change, in the order in which they came; nearly always one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Causes {
    first: InputRef,
    more: Vec<InputRef>,
}

impl Causes {
    /// A single cause.
    pub const fn one(input: InputRef) -> Self {
        Self { first: input, more: Vec::new() }
    }

    /// Adds a cause, once.
    pub fn add(&mut self, input: InputRef) {
        if self.first != input && !self.more.contains(&input) {
            self.more.push(input);
        }
    }

    /// The causes in the order in which they came.
    pub fn iter(&self) -> impl Iterator<Item = InputRef> + '_ {
        std::iter::once(self.first).chain(self.more.iter().copied())
    }
}

macro_rules! rules {
    ($($(#[$doc:meta])* $variant:ident = $text:literal),+ $(,)?) => {
        /// The rule by which an event followed from its causes, for the explain record.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum Rule { $($(#[$doc])* $variant),+ }

        impl Rule {
            /// All rules.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The name under which the rule is stored.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => stringify!($variant)),+ }
            }

            /// Returns `true` if the change was inferred: no source reported it.
            pub fn is_inferred(self) -> bool {
                self.as_str().ends_with("(inferred)")
            }

            /// The rule in the words of a telephony engineer.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }
    };
}

rules! {
    /// A caller's leg was created.
    CallSeen = "the call was seen for the first time (its first INVITE, or its channel)",
    /// A called leg was created.
    CallOffered = "the call was offered to this target",
    /// A called leg was offered by a back-to-back user agent, joined by an explicit id.
    JoinedById = "the call was offered to this target on a leg that carries the same id as the caller's leg (HEP correlation, Session-ID, icid-value, X-CID, or a Call-ID that continues the other)",
    /// A called leg was offered by a back-to-back user agent, joined by the heuristic.
    JoinedByNumbers = "the call was offered to this target on a leg that left the switch which the caller's leg had reached, and the numbers agree (heuristic)",
    /// A called leg was offered from another address of a back-to-back user agent, joined by the heuristic.
    JoinedByBothNumbers = "the call was offered to this target on a leg from another address, and of the open calls this one alone has both its numbers at this moment (heuristic)",
    /// A called leg was offered by a back-to-back user agent, joined by the heuristic, which is not sure.
    JoinedNotSurely = "the call was offered to this target on a leg that left the switch which the caller's leg had reached, and this call is one of several that fit, or fits by the moment alone (heuristic, not sure)",
    /// A caller's leg was created that may belong to one of several calls.
    JoinedToNone = "the first INVITE of the call was seen; several open calls fit it and nothing tells them apart, so that it was joined to none (heuristic, not sure)",
    /// A called leg rings.
    TargetRings = "the target's device rings (180 or 183, or the switch says so)",
    /// Ringing reached the caller.
    CallerHearsRinging = "ringing reached the caller (180 or 183, or the switch says so)",
    /// A leg was answered.
    LegAnswered = "this leg was answered (2xx, or the switch says so)",
    /// A party put the call on hold.
    HoldOffered = "the party's offer stopped its reception of media (sendonly, inactive or 0.0.0.0) and was accepted, or the switch says that it holds",
    /// A party took the call off hold.
    HoldEnded = "the party's offer started its reception of media again and was accepted, or the switch says so",
    /// The switch holds a call by itself.
    HeldBySwitch = "the switch stopped the media of who this party talks with, or started it again, by an offer that nobody had asked it for by SIP",
    /// A party hung up, or was hung up on.
    LegEnded = "this leg ended",
    /// The caller left before this target answered.
    CallerGaveUp = "the caller gave up before this target answered",
    /// Another target answered.
    AnsweredElsewhere = "another target answered",
    /// The offer was withdrawn and nobody else answered.
    OfferWithdrawn = "the switch withdrew the offer, and neither the caller had left nor had anybody answered",
    /// A target refused.
    TargetRefused = "the target refused with a final response",
    /// The whole call failed.
    CallFailed = "the caller got a final response that refuses the call",
    /// The number turned out to be a service of the switch.
    ServiceLeft = "the call went on from this number of the switch to a target",
    /// A challenge or redirection was not followed.
    NotTriedAgain = "the caller did not try again after the challenge or redirection (inferred)",
    /// No sign of life for too long before an answer.
    RingTimer = "no final response within the ring timer (inferred)",
    /// No sign of life for too long after an answer.
    LostLeg = "no sign of life from this leg for too long (inferred)",
    /// A call goes on whose end was inferred.
    WentOn = "messages came of a call whose end had been inferred from silence, so that it goes on as another session (inferred)",
    /// A table was full.
    TableFull = "a table of the session machine was full (inferred)",
    /// A called leg was offered because a transfer asked for it.
    TransferFollowed = "the call was moved to this target by a transfer that was accepted (REFER, RFC 3515)",
    /// A blind transfer succeeded, and who asked for it stays on the line.
    TransferSucceeded = "the transfer that this party asked for succeeded (a NOTIFY says 200, or the target answered), and its leg, which has not ended, leads to nobody",
    /// The switch moves a call by itself.
    MovedBySwitch = "the switch called this target with the session description of a party that talks, and in its name, though nobody had asked for it by SIP",
    /// Requester of a blind transfer left.
    TransferLeft = "this party asked for the transfer (REFER, or the switch says so), and its leg ended",
    /// An attended transfer is complete.
    TransferCompleted = "this party connected its two calls with each other (REFER with Replaces, RFC 3891, or the switch says so)",
    /// A transferred party placed no new call.
    TransferNotFollowed = "the party that was to be transferred placed no new call in time (inferred)",
    /// An INVITE takes a party's place.
    TakesPlace = "an INVITE with Replaces takes the place of another party (RFC 3891)",
    /// A party's place was taken.
    PlaceTaken = "another INVITE took this party's place with Replaces (RFC 3891)",
    /// Party that takes a call was answered.
    PickedUp = "this party took the call: its INVITE was answered with a 2xx",
    /// A call was taken by a feature code.
    PickedUpByCode = "the caller was answered while this target's offer was withdrawn, and at the same moment the switch answered a pickup code for it (inferred)",
    /// A call was taken, as the source says.
    PickedUpAsReported = "the source reported that this call was picked up",
    /// A party is supervised.
    Supervises = "the source reported that this party listens to, whispers to or barges in on another",
    /// An INVITE joins a call.
    JoinsCall = "an INVITE with Join enters the call (RFC 3911)",
    /// Somebody calls a conference room.
    ConferenceEntered = "somebody called a number that the directory names as a conference room",
    /// A call led to the focus of a conference.
    FocusReached = "the call leads to a conference (isfocus, RFC 4579, or the switch says so)",
    /// A call was parked.
    CallParked = "the party moved its call to a place where calls are parked",
    /// A parked call was taken.
    ParkRetrieved = "a call to the place where this call was parked was answered",
    /// A parked call came back.
    ParkRanOut = "the parked call was offered to who had parked it, or the switch says that its time ran out",
    /// The mailbox answered.
    MailboxAnswered = "the mailbox of this extension answered (RFC 4458, Diversion, the directory, or the switch says so)",
    /// The mailbox answered, by the directory.
    MailboxOfDirectory = "the switch took the offer back and answered the caller itself, and the directory says that the extension has a mailbox (inferred)",
    /// A fax number answered.
    FaxLineAnswered = "a number that the directory names as a fax line was answered",
    /// A fax began.
    FaxStarted = "T.38 was offered and accepted, or the source reported the fax",
    /// An agent of a queue answered.
    QueueAnswered = "an agent of the queue answered",
    /// Nobody answered for a queue.
    QueueLeft = "the caller left the queue before an agent answered",
    /// The first leg of a RingOut call.
    RingOutSeen = "the phone system called this party first, with no caller of its own",
    /// A call was found that was going on already.
    FoundRunning = "the switch, asked what goes on, named a call that had begun unseen (inferred)",
    /// A call that was known is not going on any more.
    NotListed = "the switch, asked what goes on, did not name this leg any more (inferred)",
    /// A recording session began, paused or ended.
    RecordingSession = "a recording session names this party or its call (SIPREC, RFC 7866)",
    /// The source reported the change itself.
    Reported = "the source reported this change",
    /// The switch of a call did not come back.
    SwitchLost = "the connection to the switch was lost, and was not made again within lost_after (inferred)",
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_of_sources_and_of_a_timer_are_kept_apart() {
        let sources = [Note::SipJoinedById, Note::SourcesDisagree];
        for &timer in &Note::ALL[usize::from(Note::FIRST_TIMER)..] {
            let mut notes = Notes::default();
            notes.add(Note::RingTimer);
            for note in [sources[0], sources[1], timer] {
                notes.add(note);
            }
            let read = Notes::from_bits(notes.bits());
            assert_eq!(read.iter().collect::<Vec<_>>(), [sources[0], sources[1], timer]);
        }
        assert_eq!(Notes::from_bits(0b101).iter().collect::<Vec<_>>(), sources);
    }
}
