//! Tables from the words of SIP and of the network to a [`Cause`], which all trackers share.

use hookswitch_model::Cause;

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

/// Cause of a SIP status, 300 to 699.
pub(crate) fn of_status(status: u16) -> Cause {
    let row = STATUS_CAUSES.iter().find(|(first, last, _)| (*first..=*last).contains(&status));
    row.map_or(Cause::Failed, |&(_, _, cause)| cause)
}

/// Cause that a Q.850 value says by itself (ITU-T Q.850 §2.2.7); none when it says little.
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
