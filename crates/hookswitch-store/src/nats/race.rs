//! Refusals of messages that say where their subject must stand.

use std::error::Error;
use std::time::Duration;

use async_nats::jetstream::{self, ErrorCode};

/// Time to wait for a message that is under way before another is tried.
pub(super) const UNDER_WAY_PAUSE: Duration = Duration::from_millis(20);

/// A message that was refused because another of its subject was first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LostRace {
    /// The other is in the stream (code 10071).
    Written,
    /// The other is under way, and may yet come to nothing (code 10164, by servers of 2.11 or newer in a
    /// cluster). It may be an earlier message of the same writer.
    UnderWay,
}

impl LostRace {
    /// The race that an error of the client tells of, if it tells of one.
    ///
    /// The client knows one of the codes and calls the other unknown, so the answer of the server is looked
    /// for among the causes.
    pub(crate) fn of(error: &(dyn Error + 'static)) -> Option<Self> {
        let answer = anyhow::Chain::new(error).find_map(|cause| cause.downcast_ref::<jetstream::Error>())?;
        match answer.error_code() {
            ErrorCode::STREAM_WRONG_LAST_SEQUENCE => Some(Self::Written),
            ErrorCode::STREAM_WRONG_LAST_SEQUENCE_CONSTANT => Some(Self::UnderWay),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use async_nats::jetstream::context::{PublishError, PublishErrorKind};
    use async_nats::jetstream::kv::{CreateError, UpdateError};

    use super::*;

    /// Returns what the client makes of an answer of a server.
    fn refused(kind: PublishErrorKind, code: u64) -> PublishError {
        let answer = format!(r#"{{"code": 400, "err_code": {code}, "description": "wrong last sequence"}}"#);
        let answer: jetstream::Error = serde_json::from_str(&answer).expect("an answer");
        PublishError::with_source(kind, answer)
    }

    #[test]
    fn a_race_is_known_by_either_code_in_whatever_the_client_wraps_it() {
        for (kind, code, race) in [
            (PublishErrorKind::WrongLastSequence, 10071, Some(LostRace::Written)),
            (PublishErrorKind::Other, 10164, Some(LostRace::UnderWay)),
            (PublishErrorKind::Other, 10077, None),
        ] {
            assert_eq!(LostRace::of(&refused(kind, code)), race);
            let update = UpdateError::from(refused(kind, code));
            assert_eq!(LostRace::of(&update), race);
            assert_eq!(LostRace::of(&CreateError::from(update)), race);
        }
        assert_eq!(LostRace::of(&PublishError::new(PublishErrorKind::TimedOut)), None);
    }
}
