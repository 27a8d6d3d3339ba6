//! The table of what Asterisk says about an end: the cause of a Hangup, the SIP status behind it, and how
//! the attempt went that `Dial` made.

use hookswitch_model::Cause;
use serde::{Deserialize, Serialize};

use crate::cause::{of_q850, of_status};

/// The media of a leg has stopped, and its phone is not there any more.
const RTP_TIMEOUT: u32 = 44;

/// Nothing answers at the other end of a SIP leg.
const REQUEST_TIMEOUT: u32 = 408;

/// Another phone has answered, or the dialplan has the switch say so of every leg that it takes back.
const ANSWERED_ELSEWHERE: u32 = 26;

/// Cause that Asterisk writes where it does not know one, and in place of a call that was taken back.
const INTERWORKING: u32 = 127;

/// Outcome of an attempt to call somebody, by the `DialStatus` of its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum DialEnd {
    Busy,
    Cancelled,
    Congestion,
    NoAnswer,
    Unavailable,
}

impl DialEnd {
    pub(super) fn read(status: &[u8]) -> Option<Self> {
        Some(match status {
            b"BUSY" => Self::Busy,
            // A confirmation that was asked for and not given ends with CONTINUE.
            b"CANCEL" | b"ABORT" | b"CONTINUE" => Self::Cancelled,
            b"CONGESTION" => Self::Congestion,
            b"NOANSWER" => Self::NoAnswer,
            b"CHANUNAVAIL" => Self::Unavailable,
            _ => return None,
        })
    }

    const fn cause(self) -> Cause {
        match self {
            Self::Busy => Cause::Busy,
            Self::Cancelled => Cause::Withdrawn,
            Self::Congestion => Cause::Failed,
            Self::NoAnswer | Self::Unavailable => Cause::NoAnswer,
        }
    }
}

/// Contents of a Hangup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct HangupCause {
    /// Its `Cause`, in the words of Q.850.
    pub(super) cause: u32,
    /// Its `TechCause`, the SIP status.
    pub(super) status: u32,
}

impl HangupCause {
    /// Returns `true` if the leg was lost.
    pub(super) fn is_lost(self) -> bool {
        self.cause == RTP_TIMEOUT
    }

    /// Returns `true` if a leg was lost that had been answered: its phone does not answer requests within the call any more.
    pub(super) fn is_lost_within(self) -> bool {
        self.is_lost() || self.status == REQUEST_TIMEOUT
    }

    /// Returns what the hang-up itself says of a leg that was not answered; none if it says little.
    pub(super) fn cause(self) -> Option<Cause> {
        if self.is_lost() {
            return Some(Cause::Lost);
        }
        if self.cause == ANSWERED_ELSEWHERE {
            return Some(Cause::AnsweredElsewhere);
        }
        // 500 beside 127 is what a call has that was taken back.
        if self.is_refused() {
            return Some(of_status(self.status as u16));
        }
        of_q850(u16::try_from(self.cause).unwrap_or(0))
    }

    /// Returns `true` if the other end has refused the call itself, with a SIP status of its own.
    fn is_refused(self) -> bool {
        (300..700).contains(&self.status) && self.status != 487 && self.cause != INTERWORKING
    }

    /// Returns `true` if the switch may have been told to send it: the other end says nothing itself.
    pub(super) fn may_be_chosen(self) -> bool {
        !self.is_lost() && !self.is_refused()
    }

    /// Returns why a called leg ended before an answer; `dial` is how the attempt went, if that was said.
    ///
    /// The cause of a leg that the switch took back is what the dialplan has it send (option `c` or `Q` of
    /// Dial, option `C` of Queue), and says nothing of how the attempt went.
    pub(super) fn of_called(self, dial: Option<DialEnd>) -> Option<Cause> {
        match dial {
            Some(DialEnd::Cancelled) if self.may_be_chosen() => Some(Cause::Withdrawn),
            Some(DialEnd::NoAnswer) if self.cause == ANSWERED_ELSEWHERE => Some(Cause::NoAnswer),
            _ => self.cause().or(dial.map(DialEnd::cause)),
        }
    }

    /// Returns `true` if the caller took the call back.
    pub(super) fn is_cancel(self) -> bool {
        self.status == 487
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hang_up_tells_more_than_the_dial() {
        for (cause, status, dial, expected) in [
            (17, 486, Some(DialEnd::Busy), Some(Cause::Busy)),
            (21, 603, Some(DialEnd::NoAnswer), Some(Cause::Rejected)),
            (21, 403, Some(DialEnd::NoAnswer), Some(Cause::Blocked)),
            (1, 404, Some(DialEnd::NoAnswer), Some(Cause::UnknownNumber)),
            (23, 302, Some(DialEnd::Cancelled), Some(Cause::Redirected)),
            (26, 0, None, Some(Cause::AnsweredElsewhere)),
            (26, 0, Some(DialEnd::Cancelled), Some(Cause::Withdrawn)),
            (26, 0, Some(DialEnd::NoAnswer), Some(Cause::NoAnswer)),
            (19, 0, Some(DialEnd::Cancelled), Some(Cause::Withdrawn)),
            (17, 486, Some(DialEnd::Cancelled), Some(Cause::Busy)),
            (34, 503, Some(DialEnd::Congestion), Some(Cause::Failed)),
            (127, 500, Some(DialEnd::Cancelled), Some(Cause::Withdrawn)),
            (0, 0, Some(DialEnd::NoAnswer), Some(Cause::NoAnswer)),
            (20, 0, None, Some(Cause::NoAnswer)),
            (44, 0, None, Some(Cause::Lost)),
            (16, 0, None, None),
        ] {
            assert_eq!(HangupCause { cause, status }.of_called(dial), expected, "{cause} {status}");
        }
    }
}
