//! The WebSocket gateway: what is said on one connection, and when (contract websocket).
//!
//! Does no IO and reads no clock: frames, pongs and time come in by `handle_*`, and what is to be sent
//! goes out by [`Connection::poll_output`]. Come back no later than [`Connection::poll_timeout`].
//!
//! The rule on which clients depend most is the barrier (contract websocket §5.1). A client learns the
//! id of its subscription, and listens, only some time after it has read the frame that says so. So a
//! ping follows such a frame, and notifications wait until its pong.

mod frame;

use std::collections::VecDeque;
use std::time::Duration;

use hookswitch_model::{Iso, NotificationId, Timestamp};
use serde::Serialize;

use self::frame::{ClientFrame, FrameError, Headers, ServerMeta};
pub use self::frame::{Request, SharedRest, Ticket, Wsc};

/// Limits of a connection. The defaults are those of the contract.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Time for which a client may be silent; pongs are no traffic.
    pub idle: Duration,
    /// Time that a connection may last.
    pub absolute: Duration,
    /// The time between two pings.
    pub ping_every: Duration,
    /// Time that a client has for a pong.
    pub pong_within: Duration,
    /// Time that notifications wait for the pong of a barrier that does not come.
    pub barrier: Duration,
    /// The most requests at once.
    pub requests_max: usize,
    /// The most connections of a gateway session; it is said to clients.
    pub connections_max: usize,
    /// The most notifications that are sent again after a connection was lost.
    pub recovery_messages: usize,
    /// For how long a lost connection can be recovered.
    pub recovery: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(1800),
            absolute: Duration::from_secs(86_400),
            ping_every: Duration::from_secs(30),
            pong_within: Duration::from_secs(10),
            barrier: Duration::from_secs(5),
            requests_max: 10,
            connections_max: 50,
            recovery_messages: 100,
            recovery: Duration::from_secs(180),
        }
    }
}

/// Outcome of a client's attempt to go on with a gateway session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// It goes on.
    Successful,
    /// It is gone; the connection has a new one. With an error code.
    Failed(&'static str),
}

/// Something to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Output {
    /// Send a text frame.
    Text(String),
    /// Send a ping with this number as its content.
    Ping(u64),
    /// Carry a request out, and tell [`Connection::handle_response`].
    Request(Request),
    /// Close the connection with this code.
    Close(u16, &'static str),
}

/// The answer to a request.
#[derive(Clone, Debug)]
pub struct Response<'a> {
    /// A standard status.
    pub status: u16,
    /// Names and values.
    pub headers: &'a [(&'a str, &'a str)],
    /// JSON; none without content.
    pub body: Option<&'a str>,
    /// The newest handle of the session.
    pub wsc: Option<&'a Wsc>,
}

/// One connection.
#[derive(Debug)]
pub struct Connection {
    limits: Limits,
    opened: Timestamp,
    /// Time when the client was last heard of.
    heard: Timestamp,
    next_ping: Timestamp,
    /// The number of the last ping.
    pings: u64,
    /// The oldest ping without a pong, and until when it is waited for.
    unanswered: Option<(u64, Timestamp)>,
    /// Notifications wait for the pong to this ping, or for this time.
    barrier: Option<(u64, Timestamp)>,
    /// Requests under way whose answers come before any notification.
    holding: usize,
    requests: usize,
    closed: bool,
    output: VecDeque<Output>,
}

impl Connection {
    /// A connection that was just opened; says what the client can count on.
    pub fn open(
        limits: Limits,
        message_id: &str,
        wsc: &Wsc,
        recovery: Option<Recovery>,
        created: Timestamp,
        now: Timestamp,
    ) -> Self {
        let mut connection = Self {
            limits,
            opened: now,
            heard: now,
            next_ping: now + limits.ping_every,
            pings: 0,
            unanswered: None,
            barrier: None,
            holding: 0,
            requests: 0,
            closed: false,
            output: VecDeque::new(),
        };
        connection.say_details(message_id, wsc, recovery, created);
        if recovery == Some(Recovery::Successful) {
            connection.raise_barrier(now);
        }
        connection
    }

    /// A connection that cannot be served, and says why before it closes.
    pub fn refuse(message_id: &str, code: &str, message: &str, close: u16, now: Timestamp) -> Self {
        let wsc = Wsc { token: String::new(), sequence: 0 };
        let mut connection = Self::open(Limits::default(), message_id, &wsc, None, now, now);
        connection.output.clear();
        connection.fail(message_id, code, message);
        connection.close(close, "refused");
        connection
    }

    fn say_details(&mut self, message_id: &str, wsc: &Wsc, recovery: Option<Recovery>, created: Timestamp) {
        /// Contract websocket §4.
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Details<'a> {
            creation_time: &'a str,
            max_connections_per_session: usize,
            recovery_buffer_size: usize,
            recovery_timeout: u64,
            idle_timeout: u64,
            absolute_timeout: u64,
            max_active_requests: usize,
            #[serde(skip_serializing_if = "Option::is_none")]
            recovery_state: Option<&'static str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            recovery_error_code: Option<&'static str>,
        }
        let created = Iso::new(created);
        let limits = self.limits;
        let details = Details {
            creation_time: std::str::from_utf8(created.as_bytes()).unwrap_or_default(),
            max_connections_per_session: limits.connections_max,
            recovery_buffer_size: limits.recovery_messages,
            recovery_timeout: limits.recovery.as_secs(),
            idle_timeout: limits.idle.as_secs(),
            absolute_timeout: limits.absolute.as_secs(),
            max_active_requests: limits.requests_max,
            recovery_state: recovery.map(|recovery| match recovery {
                Recovery::Successful => "Successful",
                Recovery::Failed(_) => "Failed",
            }),
            recovery_error_code: match recovery {
                Some(Recovery::Failed(code)) => Some(code),
                _ => None,
            },
        };
        let body = serde_json::to_string(&details).unwrap_or_default(); // texts and numbers are JSON
        let meta = ServerMeta {
            r#type: "ConnectionDetails",
            message_id,
            status: Some(200),
            wsc: Some(wsc),
            headers: Some(Headers(&[("RCRequestId", message_id)])),
        };
        self.output.push_back(Output::Text(meta.frame(Some(&body))));
    }

    /// Returns `true` if notifications may be sent now.
    pub const fn may_notify(&self) -> bool {
        self.barrier.is_none() && self.holding == 0 && !self.closed
    }

    /// The frame of a notification, into which `envelope` writes the envelope as JSON; none if that is not UTF-8.
    pub fn notification(
        id: NotificationId,
        wsc: &Wsc,
        envelope: impl FnOnce(&mut Vec<u8>),
    ) -> Option<String> {
        frame::notification(id, wsc, envelope)
    }

    /// The same frame, of which `beginning` writes as much of the envelope as stands before what is shared.
    pub fn shared_notification(
        id: NotificationId,
        wsc: &Wsc,
        beginning: impl FnOnce(&mut Vec<u8>),
        rest: &SharedRest,
    ) -> Option<String> {
        frame::shared_notification(id, wsc, beginning, rest)
    }

    /// Takes a text frame of the client.
    pub fn handle_text(&mut self, text: &str, now: Timestamp) {
        self.heard = now;
        match ClientFrame::read(text) {
            Ok(ClientFrame::Heartbeat { message_id }) => {
                let meta = ServerMeta {
                    r#type: "Heartbeat",
                    message_id: &message_id,
                    status: None,
                    wsc: None,
                    headers: None,
                };
                self.output.push_back(Output::Text(meta.frame(None)));
            }
            Ok(ClientFrame::Request(request)) if self.requests >= self.limits.requests_max => {
                let max = self.limits.requests_max;
                let message = format!("There are {max} requests under way; wait for an answer");
                let body = error_body("CMN-301", &message);
                let meta = ServerMeta {
                    r#type: "ClientRequest",
                    message_id: &request.ticket.message_id,
                    status: Some(429),
                    wsc: None,
                    headers: Some(Headers(&[])),
                };
                self.output.push_back(Output::Text(meta.frame(Some(&body))));
            }
            Ok(ClientFrame::Request(request)) => {
                self.requests += 1;
                self.holding += usize::from(request.ticket.holds);
                self.output.push_back(Output::Request(request));
            }
            Err((error, message_id)) => {
                let code = if matches!(error, FrameError::Json(_)) { "CMN-103" } else { "CMN-101" };
                self.fail(&message_id.unwrap_or_default(), code, &error.to_string());
            }
        }
    }

    /// Takes a ping of the client.
    pub const fn handle_ping(&mut self, now: Timestamp) {
        self.heard = now;
    }

    /// Takes a pong. A client may answer the last of several pings alone (RFC 6455 §5.5.3).
    pub fn handle_pong(&mut self, number: u64) {
        if number > self.pings {
            return;
        }
        self.unanswered.take_if(|(oldest, _)| *oldest <= number);
        self.barrier.take_if(|(awaited, _)| *awaited <= number);
    }

    /// Takes the answer to a request.
    #[expect(clippy::needless_pass_by_value, reason = "a request has one answer")]
    pub fn handle_response(&mut self, ticket: Ticket, response: &Response<'_>, now: Timestamp) {
        self.requests = self.requests.saturating_sub(1);
        self.holding = self.holding.saturating_sub(usize::from(ticket.holds));
        let meta = ServerMeta {
            r#type: "ClientRequest",
            message_id: &ticket.message_id,
            status: Some(response.status),
            wsc: response.wsc,
            headers: Some(Headers(response.headers)),
        };
        self.output.push_back(Output::Text(meta.frame(response.body)));
        if ticket.holds && (200..300).contains(&response.status) {
            self.raise_barrier(now);
        }
    }

    /// Does what is due by time.
    pub fn handle_time(&mut self, now: Timestamp) {
        if self.closed {
            return;
        }
        self.barrier.take_if(|(_, until)| *until <= now);
        if now >= self.opened + self.limits.absolute {
            self.fail("", "WSG-903", "The connection has lasted as long as one may; connect again");
            self.close(1000, "absolute timeout");
        } else if now >= self.heard + self.limits.idle {
            self.fail("", "WSG-902", "Nothing was heard from you for too long; connect again");
            self.close(1000, "idle timeout");
        } else if self.unanswered.is_some_and(|(_, until)| until <= now) {
            self.close(1008, "no pong");
        } else if now >= self.next_ping {
            self.ping(now);
        }
    }

    /// Returns what is to be done next.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.output.pop_front()
    }

    /// Returns the time when [`Connection::handle_time`] wants to be called at the latest.
    pub fn poll_timeout(&self) -> Timestamp {
        let ends = (self.opened + self.limits.absolute).min(self.heard + self.limits.idle);
        let mut next = ends.min(self.next_ping);
        for (_, until) in self.unanswered.iter().chain(&self.barrier) {
            next = next.min(*until);
        }
        next
    }

    /// Says what is wrong, and closes.
    pub fn end(&mut self, code: &str, message: &str, close: u16, reason: &'static str) {
        self.fail("", code, message);
        self.close(close, reason);
    }

    /// Closes.
    pub fn close(&mut self, code: u16, reason: &'static str) {
        if !std::mem::replace(&mut self.closed, true) {
            self.output.push_back(Output::Close(code, reason));
        }
    }

    fn fail(&mut self, message_id: &str, code: &str, message: &str) {
        if self.closed {
            return;
        }
        let meta = ServerMeta { r#type: "Error", message_id, status: None, wsc: None, headers: None };
        self.output.push_back(Output::Text(meta.frame(Some(&error_body(code, message)))));
    }

    fn raise_barrier(&mut self, now: Timestamp) {
        self.ping(now);
        self.barrier =
            Some((self.pings, now + self.limits.barrier)).filter(|_| !self.limits.barrier.is_zero());
    }

    fn ping(&mut self, now: Timestamp) {
        self.pings += 1;
        self.output.push_back(Output::Ping(self.pings));
        self.unanswered.get_or_insert((self.pings, now + self.limits.pong_within));
        self.next_ping = now + self.limits.ping_every;
    }
}

/// The body of an error (contract subscriptions §3).
fn error_body(code: &str, message: &str) -> String {
    let error = serde_json::json!({"errorCode": code, "message": message});
    let mut body = error.clone();
    body["errors"] = serde_json::json!([error]);
    body.to_string()
}

#[cfg(test)]
mod tests;
