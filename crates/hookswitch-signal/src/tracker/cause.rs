//! Causes that a message of SIP names.

use hookswitch_model::Cause;

use crate::cause::{of_q850, of_status};
use crate::sip::Message;

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
