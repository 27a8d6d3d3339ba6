//! The tables that turn what SIP says about an end into a [`Cause`].

use hookswitch_model::Cause;

use crate::sip::Message;

/// SIP status codes of final responses that refuse a call (RFC 3261 §21 and the IANA registry);
/// the rows are inclusive ranges, the first that fits counts.
const STATUS_CAUSES: &[(u16, u16, Cause)] = &[
    (300, 399, Cause::Redirected),
    (402, 402, Cause::NoFunds),
    (401, 401, Cause::Blocked),
    (403, 403, Cause::Blocked),
    (407, 407, Cause::Blocked),
    (404, 404, Cause::UnknownNumber),
    (408, 408, Cause::NoAnswer),
    (410, 410, Cause::UnknownNumber),
    (416, 416, Cause::UnknownNumber),
    (433, 433, Cause::Rejected), // anonymity disallowed
    (480, 480, Cause::NoAnswer),
    (484, 485, Cause::UnknownNumber),
    (486, 486, Cause::Busy),
    (487, 487, Cause::Withdrawn),
    (600, 600, Cause::Busy),
    (603, 603, Cause::Rejected),
    (604, 604, Cause::UnknownNumber),
    (607, 608, Cause::Rejected),
];

/// Q.850 causes in a Reason header that say more than the status (RFC 3326, RFC 6432).
///
/// A cause that is not here (16, 31, 127 and the like) leaves it to the status.
const Q850_CAUSES: &[(u16, Cause)] = &[
    (1, Cause::UnknownNumber),
    (2, Cause::Failed),
    (3, Cause::UnknownNumber),
    (17, Cause::Busy),
    (18, Cause::NoAnswer),
    (19, Cause::NoAnswer),
    (20, Cause::NoAnswer),
    (21, Cause::Rejected),
    (22, Cause::UnknownNumber),
    (26, Cause::AnsweredElsewhere),
    (28, Cause::UnknownNumber),
    (34, Cause::Failed),
    (38, Cause::Failed),
    (41, Cause::Failed),
    (42, Cause::Failed),
    (52, Cause::Blocked),
    (54, Cause::Blocked),
    (102, Cause::NoAnswer),
];

/// The cause of a final response to an INVITE, 300 to 699.
pub(super) fn of_response(status: u16, message: &Message<'_>) -> Cause {
    // 486, 600, 603 and 607 say all there is to say; the network's words refine the others.
    let fixed = matches!(status, 486 | 600 | 603 | 607 | 487);
    let refined = message
        .reasons()
        .filter(|reason| !fixed && reason.is_q850())
        .find_map(|reason| of_q850(reason.cause()?));
    refined.unwrap_or_else(|| of_status(status))
}

/// The cause that a CANCEL names in its Reason headers; `Withdrawn` when it names none.
pub(super) fn of_cancel(message: &Message<'_>) -> Cause {
    message
        .reasons()
        .find_map(|reason| match reason.cause()? {
            // "Call completed elsewhere", RFC 3326 §2 and RFC 3261 §16.10.
            200..=299 | 600 | 603 if reason.is_sip() => Some(Cause::AnsweredElsewhere),
            487 if reason.is_sip() => Some(Cause::Cancelled),
            480 | 408 if reason.is_sip() => Some(Cause::NoAnswer),
            cause if reason.is_q850() => of_q850(cause),
            _ => None,
        })
        .unwrap_or(Cause::Withdrawn)
}

/// The cause of a SIP status.
pub(crate) fn of_status(status: u16) -> Cause {
    let row = STATUS_CAUSES.iter().find(|(first, last, _)| (*first..=*last).contains(&status));
    row.map_or(Cause::Failed, |&(_, _, cause)| cause)
}

/// What a Q.850 cause says by itself; none when it says little.
pub(crate) fn of_q850(cause: u16) -> Option<Cause> {
    Q850_CAUSES.iter().find(|(row, _)| *row == cause).map(|&(_, cause)| cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_has_a_cause() {
        for (status, cause) in [
            (302, Cause::Redirected),
            (402, Cause::NoFunds),
            (404, Cause::UnknownNumber),
            (480, Cause::NoAnswer),
            (486, Cause::Busy),
            (488, Cause::Failed),
            (503, Cause::Failed),
            (600, Cause::Busy),
            (603, Cause::Rejected),
        ] {
            assert_eq!(of_status(status), cause, "{status}");
        }
        assert_eq!(of_q850(17), Some(Cause::Busy));
        assert_eq!(of_q850(16), None);
    }
}
