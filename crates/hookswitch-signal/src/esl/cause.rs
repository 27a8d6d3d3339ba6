//! The table of what FreeSWITCH says about an end: its word for the cause, the SIP status behind it, and
//! which side it came from.

use hookswitch_model::Cause;
use serde::{Deserialize, Serialize};

use super::message::{Event, Key};
use crate::cause::{of_q850, of_status};

/// Names of causes at FreeSWITCH, and their meaning for a leg that was not answered.
const CAUSES: &[(&str, Cause)] = &[
    ("ORIGINATOR_CANCEL", Cause::Cancelled),
    ("NORMAL_CLEARING", Cause::Withdrawn),
    ("LOSE_RACE", Cause::AnsweredElsewhere),
    ("PICKED_OFF", Cause::AnsweredElsewhere),
    ("NO_ANSWER", Cause::NoAnswer),
    ("NO_USER_RESPONSE", Cause::NoAnswer),
    ("ALLOTTED_TIMEOUT", Cause::NoAnswer),
    ("PROGRESS_TIMEOUT", Cause::NoAnswer),
    ("USER_NOT_REGISTERED", Cause::NoAnswer),
    ("GATEWAY_DOWN", Cause::Failed),
    ("USER_BUSY", Cause::Busy),
    ("CALL_REJECTED", Cause::Rejected),
    ("USER_CHALLENGE", Cause::Rejected),
    ("DECLINE", Cause::Rejected),
    ("BUSY_EVERYWHERE", Cause::Busy),
    ("REDIRECTION_TO_NEW_DESTINATION", Cause::Redirected),
    ("NO_ROUTE_DESTINATION", Cause::UnknownNumber),
    ("NO_ROUTE_TRANSIT_NET", Cause::UnknownNumber),
    ("UNALLOCATED_NUMBER", Cause::UnknownNumber),
    ("INVALID_NUMBER_FORMAT", Cause::UnknownNumber),
    ("NUMBER_CHANGED", Cause::UnknownNumber),
    ("DOES_NOT_EXIST_ANYWHERE", Cause::UnknownNumber),
    ("SUBSCRIBER_ABSENT", Cause::UnknownNumber),
    ("OUTGOING_CALL_BARRED", Cause::Blocked),
    ("INCOMING_CALL_BARRED", Cause::Blocked),
    ("BEARERCAPABILITY_NOTAUTH", Cause::Blocked),
    ("FACILITY_NOT_SUBSCRIBED", Cause::Blocked),
    ("MANAGER_REQUEST", Cause::Lost),
    ("MEDIA_TIMEOUT", Cause::Lost),
    ("SYSTEM_SHUTDOWN", Cause::Lost),
    ("CRASH", Cause::Lost),
];

/// The statuses of SIP that say more than the word that FreeSWITCH has for them.
const STATUSES: &[u64] = &[402, 403, 404, 480, 484, 486, 503, 600, 603, 604, 607];

/// Facts about an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct HangupCause {
    /// Cause for a leg that was not answered.
    pub(super) unanswered: Cause,
    /// The phone itself has hung up or cancelled, and not the switch.
    pub(super) by_phone: bool,
    /// It was said how it went in full.
    pub(super) complete: bool,
}

impl HangupCause {
    /// Returns what an event says about an end; the full variables come with CHANNEL_HANGUP_COMPLETE.
    pub(super) fn read(event: &Event<'_>, complete: bool) -> Self {
        let word = event.get(Key::HangupCause);
        let disposition = event.get(Key::HangupDisposition);
        let status = event.number(Key::TermStatus);
        let refused = matches!(disposition, "recv_refuse" | "send_cancel") && STATUSES.contains(&status);
        let named = cause(word);
        let unanswered = match named {
            _ if refused && disposition == "recv_refuse" => of_status(status as u16),
            Some(Cause::Withdrawn) => {
                // The caller's leg says what became of those that it called.
                cause(event.get(Key::OriginateDisposition)).unwrap_or(Cause::Withdrawn)
            }
            Some(cause) => cause,
            // The switch has taken the call back, for a reason of its own.
            None if disposition == "send_cancel" => Cause::Withdrawn,
            None => {
                let number = u16::try_from(event.number(Key::Q850)).unwrap_or(0);
                of_q850(number).unwrap_or(Cause::Failed)
            }
        };
        let by_phone = disposition.starts_with("recv_");
        Self {
            unanswered: if disposition == "recv_cancel" { Cause::Cancelled } else { unanswered },
            by_phone,
            complete,
        }
    }

    /// Returns `true` if the leg was lost.
    pub(super) fn is_lost(self) -> bool {
        self.unanswered == Cause::Lost
    }
}

fn cause(word: &str) -> Option<Cause> {
    CAUSES.iter().find(|(row, _)| row.eq_ignore_ascii_case(word)).map(|&(_, cause)| cause)
}
