//! One connection to a switch, without IO: what is said on it, in which time, and what of it is for the tracker.

use std::fmt;
use std::time::Duration;

use hookswitch_model::ActionId;

use super::{Acted, Action, CannotAct, Inventory};

/// Time that an answer may take during the log-in.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Interval at which a sign of life is asked for, and how long none may come.
const PROBE_EVERY: Duration = Duration::from_secs(15);
const SILENT_MAX: Duration = Duration::from_secs(50);

/// Conversation with one switch in its own language: the log-in, the listing of what goes on, and what comes.
///
/// Does no IO and reads no clock. After each `handle_*`, drain [`SwitchProtocol::poll_event`], then
/// [`SwitchProtocol::poll_transmit`].
pub trait SwitchProtocol: Send {
    /// Request by which the connection is made a WebSocket, before all else; none if its bytes themselves are the
    /// conversation.
    fn upgrade(&self) -> Option<HttpRequest> {
        None
    }

    /// Takes the status with which that was answered; 101 where it was done (RFC 6455 §4.1).
    fn handle_upgrade(&mut self, _status: u16) {}

    /// Takes bytes that the connection has brought, however they are cut; of a WebSocket one message at a time.
    fn handle_input(&mut self, bytes: &[u8]);

    /// Gives the next thing that has happened; appends what of a message is for the tracker to `out`.
    ///
    /// # Errors
    /// If the switch refuses the log-in, is none, or says that the connection ends.
    fn poll_event(&mut self, out: &mut Vec<u8>) -> Result<Option<ProtocolEvent>, ProtocolError>;

    /// Gives the next thing to be sent.
    fn poll_transmit(&mut self) -> Option<Transmit>;

    /// Asks for a sign of life: nothing need have been heard for some time.
    fn probe(&mut self);

    /// Returns how soon after the last the next [`SwitchProtocol::probe`] is wanted; none: after the usual time.
    fn probe_after(&self) -> Option<Duration> {
        None
    }

    /// Returns `true` if all that was asked so far is answered.
    fn is_answered(&self) -> bool {
        true
    }

    /// Asks the switch for an action on a call; [`ProtocolEvent::Acted`] tells what it answers.
    ///
    /// # Errors
    /// If the switch cannot be asked for it; then nothing is sent.
    fn act(&mut self, _id: ActionId, _action: &Action) -> Result<(), CannotAct> {
        Err(CannotAct::new("This connection to the phone system cannot act on calls"))
    }

    /// Takes the answer to a request, or why there is none.
    fn handle_answer(&mut self, _request: &HttpRequest, _answer: Result<&[u8], &str>) {}

    /// Asks whether we may ask for actions on calls; what we may not comes as [`ProtocolEvent::Refused`].
    fn check_rights(&mut self) {}

    /// Notes that the connection has ended; appends what of that is for the tracker to `out`.
    fn handle_end(&mut self, _out: &mut Vec<u8>) -> ConnectionEnd {
        ConnectionEnd::Lost
    }
}

/// Something to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transmit {
    /// Bytes on the connection; on a WebSocket one message.
    Bytes(Vec<u8>),
    /// A ping of the WebSocket (RFC 6455 §5.5.2).
    Ping,
    /// A request on a connection of its own; see [`SwitchProtocol::handle_answer`].
    Request(HttpRequest),
}

/// Request to the web server of a switch, by GET.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpRequest {
    /// Path and query.
    pub target: String,
    /// Value of `Authorization`, which holds a password.
    pub authorization: String,
}

impl fmt::Debug for HttpRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HttpRequest").field(&self.target).finish()
    }
}

/// Something that has happened on a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProtocolEvent {
    /// The switch has let us in: what happens from here on is told.
    LoggedIn,
    /// A message for the tracker was appended.
    Message,
    /// A message said nothing of calls.
    PassedOver,
    /// The switch has said all that it has.
    Inventory(Box<Inventory>),
    /// The switch does not answer a question.
    Refused(Refusal),
    /// The switch has answered an action.
    Acted(ActionId, Acted),
}

/// A question that a switch does not answer, and what to do about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusal {
    /// Question; empty if the switch does not say.
    pub question: String,
    /// Text of the switch, without what it quotes.
    pub text: String,
    /// A sentence for operators; empty if it is of no consequence.
    pub hint: &'static str,
}

/// End of a connection: expected or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionEnd {
    /// Its call is over.
    Expected,
    /// It was lost.
    Lost,
}

/// Reason why a connection is given up, as a sentence without its full stop.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ProtocolError(pub String);

/// One connection to a switch: a [`SwitchProtocol`] and the time that it has.
///
/// Times are those since the connection was made. After each `handle_*`, drain [`SwitchConnection::poll_event`],
/// then [`SwitchConnection::poll_transmit`], and come back no later than [`SwitchConnection::poll_timeout`].
pub struct SwitchConnection {
    protocol: Box<dyn SwitchProtocol>,
    is_up: bool,
    /// Time when something came last.
    heard: Duration,
    /// Time when an answer is missed, during the log-in; then when a sign of life is asked for.
    due: Duration,
}

impl SwitchConnection {
    /// A connection that was just made.
    pub fn new(protocol: Box<dyn SwitchProtocol>) -> Self {
        Self { protocol, is_up: false, heard: Duration::ZERO, due: ANSWER_TIMEOUT }
    }

    /// Returns `true` if the switch has let us in.
    pub const fn is_up(&self) -> bool {
        self.is_up
    }

    /// Returns `true` if all that was asked so far is answered.
    pub fn is_answered(&self) -> bool {
        self.protocol.is_answered()
    }

    /// Asks the switch for an action on a call; see [`SwitchProtocol::act`].
    ///
    /// # Errors
    /// If the switch cannot be asked for it, or has not let us in.
    pub fn act(&mut self, id: ActionId, action: &Action) -> Result<(), CannotAct> {
        if !self.is_up {
            return Err(CannotAct::new("The phone system has not let this server in yet"));
        }
        self.protocol.act(id, action)
    }

    /// Asks whether we may ask for actions on calls; see [`SwitchProtocol::check_rights`].
    pub fn check_rights(&mut self) {
        self.protocol.check_rights();
    }

    /// Request by which the connection is made a WebSocket; see [`SwitchProtocol::upgrade`].
    pub fn upgrade(&self) -> Option<HttpRequest> {
        self.protocol.upgrade()
    }

    /// Takes the status with which that was answered.
    pub fn handle_upgrade(&mut self, status: u16, now: Duration) {
        self.heard = now;
        self.protocol.handle_upgrade(status);
    }

    /// Takes the answer to a request, or why there is none.
    pub fn handle_answer(&mut self, request: &HttpRequest, answer: Result<&[u8], &str>) {
        self.protocol.handle_answer(request, answer);
    }

    /// Takes bytes that the connection has brought; none are a sign of life.
    pub fn handle_input(&mut self, bytes: &[u8], now: Duration) {
        self.heard = now;
        self.protocol.handle_input(bytes);
    }

    /// Gives the next thing that has happened; appends what of a message is for the tracker to `out`.
    ///
    /// # Errors
    /// As [`SwitchProtocol::poll_event`].
    pub fn poll_event(
        &mut self,
        out: &mut Vec<u8>,
        now: Duration,
    ) -> Result<Option<ProtocolEvent>, ProtocolError> {
        let event = self.protocol.poll_event(out)?;
        if event == Some(ProtocolEvent::LoggedIn) {
            self.is_up = true;
            self.due = now + self.probe_after();
        }
        Ok(event)
    }

    /// Gives the next thing to be sent.
    pub fn poll_transmit(&mut self, now: Duration) -> Option<Transmit> {
        let transmit = self.protocol.poll_transmit()?;
        if !self.is_up {
            self.due = now + ANSWER_TIMEOUT; // for the answer to this
        }
        Some(transmit)
    }

    /// Lets time pass.
    ///
    /// # Errors
    /// If the switch was silent for too long.
    pub fn handle_timeout(&mut self, now: Duration) -> Result<(), ProtocolError> {
        if now < self.due {
            return Ok(());
        }
        if !self.is_up {
            let what = if self.heard.is_zero() { "does not answer" } else { "does not answer the log-in" };
            return Err(ProtocolError(format!(
                "the switch {what}: nothing was heard for {ANSWER_TIMEOUT:?}; it may be starting"
            )));
        }
        if now.saturating_sub(self.heard) >= SILENT_MAX {
            return Err(ProtocolError(format!("nothing was heard for {SILENT_MAX:?}")));
        }
        self.protocol.probe();
        self.due = now + self.probe_after();
        Ok(())
    }

    fn probe_after(&self) -> Duration {
        self.protocol.probe_after().unwrap_or(PROBE_EVERY).min(PROBE_EVERY)
    }

    /// Returns the time when [`SwitchConnection::handle_timeout`] wants to be called at the latest.
    pub const fn poll_timeout(&self) -> Duration {
        self.due
    }

    /// Notes that the connection has ended; see [`SwitchProtocol::handle_end`].
    pub fn handle_end(&mut self, out: &mut Vec<u8>) -> ConnectionEnd {
        self.protocol.handle_end(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lets in who has sent a word, and is asked for life with another.
    #[derive(Default)]
    struct Echo(Vec<u8>, Vec<Vec<u8>>);

    impl SwitchProtocol for Echo {
        fn handle_input(&mut self, bytes: &[u8]) {
            self.0.extend_from_slice(bytes);
        }

        fn poll_event(&mut self, out: &mut Vec<u8>) -> Result<Option<ProtocolEvent>, ProtocolError> {
            let input = std::mem::take(&mut self.0);
            Ok(match &*input {
                b"" => None,
                b"no" => return Err(ProtocolError("refused".to_owned())),
                b"yes" => Some(ProtocolEvent::LoggedIn),
                _ => {
                    out.extend_from_slice(&input);
                    Some(ProtocolEvent::Message)
                }
            })
        }

        fn poll_transmit(&mut self) -> Option<Transmit> {
            self.1.pop().map(Transmit::Bytes)
        }

        fn probe(&mut self) {
            self.1.push(b"ping".to_vec());
        }
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_switch_that_does_not_answer_during_the_log_in_is_given_up() {
        let mut connection = SwitchConnection::new(Box::new(Echo(Vec::new(), vec![b"hello".to_vec()])));
        assert_eq!(connection.handle_timeout(9 * SECOND), Ok(()));
        assert_eq!(connection.poll_transmit(9 * SECOND), Some(Transmit::Bytes(b"hello".to_vec())));
        assert_eq!(connection.poll_timeout(), 19 * SECOND, "each answer has its time");
        assert_eq!(connection.handle_timeout(18 * SECOND), Ok(()));
        let error = connection.handle_timeout(19 * SECOND).expect_err("it was silent");
        assert_eq!(
            error.to_string(),
            "the switch does not answer: nothing was heard for 10s; it may be starting"
        );
        let mut connection = SwitchConnection::new(Box::<Echo>::default());
        connection.handle_input(b"wait", SECOND);
        let error = connection.handle_timeout(10 * SECOND).expect_err("it does not go on");
        assert!(error.to_string().starts_with("the switch does not answer the log-in: "), "{error}");
    }

    #[test]
    fn a_switch_that_was_let_in_is_asked_for_life_and_given_up_when_it_is_silent() {
        let mut connection = SwitchConnection::new(Box::<Echo>::default());
        let mut out = Vec::new();
        connection.handle_input(b"yes", SECOND);
        assert_eq!(connection.poll_event(&mut out, SECOND), Ok(Some(ProtocolEvent::LoggedIn)));
        assert!(connection.is_up());
        for round in 1..=3 {
            let at = SECOND + round * PROBE_EVERY;
            assert_eq!((connection.poll_timeout(), connection.handle_timeout(at)), (at, Ok(())));
            assert_eq!(connection.poll_transmit(at), Some(Transmit::Bytes(b"ping".to_vec())));
        }
        connection.handle_input(b"event", 50 * SECOND);
        assert_eq!(connection.poll_event(&mut out, 50 * SECOND), Ok(Some(ProtocolEvent::Message)));
        assert_eq!(out, b"event");
        assert_eq!(connection.handle_timeout(99 * SECOND), Ok(()));
        assert!(connection.handle_timeout(114 * SECOND).is_err());
    }

    #[test]
    fn what_the_switch_refuses_ends_the_connection() {
        let mut connection = SwitchConnection::new(Box::<Echo>::default());
        connection.handle_input(b"no", SECOND);
        assert_eq!(connection.poll_event(&mut Vec::new(), SECOND), Err(ProtocolError("refused".to_owned())));
        assert_eq!(connection.handle_end(&mut Vec::new()), ConnectionEnd::Lost);
    }
}
