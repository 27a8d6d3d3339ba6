//! One WebSocket: carries out what [`Connection`] decides.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _};
use hookswitch_core::websocket::{Connection, Output, Request, Response, Ticket};
use hookswitch_model::Timestamp;
use hookswitch_store::Span;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::{Error as SocketError, error::CapacityError};

use super::table::{Attached, Cut, Queued};
use super::{Answer, Caller, Gateway, Opened};
use crate::Traffic;
use crate::clock;

/// The longest message of a client, in bytes.
const MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// The most that is read of a message with the headers of its fragments, in bytes.
const UNFINISHED_BYTES_MAX: u64 = 2 * MESSAGE_BYTES_MAX as u64;

/// The header of a frame of a client: two bytes and a mask.
const HEADER_BYTES: u64 = 6;

/// Bytes that a socket reads at once. There are many sockets, and most are idle.
const READ_BYTES: usize = 4 * 1024;

/// Bytes that are gathered before they are handed to the kernel; a socket with nothing to write has no such buffer.
const WRITE_BYTES: usize = 32 * 1024;

/// The most frames of a client in a second.
const FRAMES_PER_SECOND_MAX: u32 = 1000;

/// Time that the end of a connection may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Number of events that are taken from the queue, or read from the log, at once.
const AT_ONCE: usize = 64;

/// Reason why a connection ends.
enum End {
    /// Something is sent first, and then it is closed with a code.
    Close(u16, &'static str),
    /// There is nobody to whom anything could be sent.
    Gone,
}

impl From<axum::Error> for End {
    fn from(error: axum::Error) -> Self {
        match error.into_inner().downcast_ref() {
            Some(SocketError::Capacity(CapacityError::MessageTooLong { .. })) => {
                Self::Close(1009, "message too long")
            }
            Some(SocketError::Protocol(_)) => Self::Close(1002, "protocol error"),
            Some(SocketError::Utf8(_)) => Self::Close(1007, "no UTF-8"),
            _ => Self::Gone,
        }
    }
}

/// Sets how much a connection reads, gathers and accepts at once.
pub fn limit(upgrade: WebSocketUpgrade) -> WebSocketUpgrade {
    upgrade
        .read_buffer_size(READ_BYTES)
        .write_buffer_size(WRITE_BYTES)
        .max_write_buffer_size(4 * MESSAGE_BYTES_MAX)
        .max_message_size(MESSAGE_BYTES_MAX)
        .max_frame_size(MESSAGE_BYTES_MAX)
}

/// Serves a connection until it ends.
pub(super) async fn serve(
    gateway: Arc<Gateway>,
    (socket, traffic): (WebSocket, Option<Traffic>),
    opened: Opened,
) {
    match opened {
        Opened::Refused(connection) => refuse(socket, connection).await,
        Opened::Session { connection, attached, position } => {
            let (session, number) = (attached.session, attached.number);
            let served = Served::new(gateway.clone(), (socket, traffic), connection, attached, position);
            let sequence = served.run().await;
            gateway.detach(session, number, sequence);
        }
    }
}

/// Says why a connection is not served.
async fn refuse(mut socket: WebSocket, mut connection: Box<Connection>) {
    let say = async {
        while let Some(output) = connection.poll_output() {
            match output {
                Output::Text(text) => socket.send(Message::text(text)).await?,
                Output::Close(code, reason) => socket.send(close_frame(code, reason)).await?,
                Output::Ping(_) | Output::Request(_) => {}
            }
        }
        // The client closes too, or the end is not clean.
        while let Some(Ok(_)) = socket.next().await {}
        Ok::<_, axum::Error>(())
    };
    tokio::time::timeout(CLOSE_TIMEOUT, say).await.ok();
}

fn close_frame(code: u16, reason: &'static str) -> Message {
    Message::Close(Some(CloseFrame { code, reason: Utf8Bytes::from_static(reason) }))
}

/// The message that a client is sending: how much has come of it.
struct Unfinished {
    traffic: Option<Traffic>,
    /// The bytes of what came before it.
    accounted: u64,
}

impl Unfinished {
    fn new(traffic: Option<Traffic>) -> Self {
        let accounted = traffic.as_ref().map_or(0, Traffic::received);
        Self { traffic, accounted }
    }

    /// Returns `true` if there is more of it than any message has. A message of empty fragments has no length, and no end
    /// either.
    fn is_too_long(&self) -> bool {
        let received = self.traffic.as_ref().map_or(0, Traffic::received);
        received.saturating_sub(self.accounted) > UNFINISHED_BYTES_MAX
    }

    /// Takes a message that was read. Control frames may come between the fragments of another.
    fn note(&mut self, message: &Message) {
        match message {
            Message::Ping(content) | Message::Pong(content) => {
                self.accounted += HEADER_BYTES + content.len() as u64;
            }
            Message::Text(_) | Message::Binary(_) | Message::Close(_) => {
                self.accounted = self.traffic.as_ref().map_or(0, Traffic::received);
            }
        }
    }
}

/// Waits for the next message of a client, as long as that does not go on for too long.
async fn next_frame(socket: &mut WebSocket, unfinished: &Unfinished) -> Next {
    poll_fn(|context| match socket.poll_next_unpin(context) {
        Poll::Ready(message) => Poll::Ready(Next::Frame(message)),
        Poll::Pending if unfinished.is_too_long() => Poll::Ready(Next::Unfinished),
        Poll::Pending => Poll::Pending,
    })
    .await
}

/// A connection that is served.
struct Served {
    gateway: Arc<Gateway>,
    socket: WebSocket,
    connection: Box<Connection>,
    attached: Attached,
    /// All events up to this position that the session hears of were sent.
    position: u64,
    answers: mpsc::UnboundedSender<(Ticket, Answer)>,
    answered: mpsc::UnboundedReceiver<(Ticket, Answer)>,
    /// The frames of this second of the client.
    frames: (Timestamp, u32),
    unfinished: Unfinished,
    confirmed: bool,
    /// Notifications that were written and are not counted yet.
    sent: Option<Span>,
}

/// Next event on a connection.
enum Next {
    Frame(Option<Result<Message, axum::Error>>),
    /// A message goes on for too long.
    Unfinished,
    Answer(Ticket, Answer),
    Events(usize),
    Read,
    Cut(Cut),
    Time,
}

impl Served {
    fn new(
        gateway: Arc<Gateway>,
        (socket, traffic): (WebSocket, Option<Traffic>),
        connection: Box<Connection>,
        attached: Attached,
        position: u64,
    ) -> Self {
        let (answers, answered) = mpsc::unbounded_channel();
        let frames = (clock::steady(), 0);
        Self {
            gateway,
            socket,
            connection,
            attached,
            position,
            answers,
            answered,
            frames,
            unfinished: Unfinished::new(traffic),
            confirmed: false,
            sent: None,
        }
    }

    /// Serves it to its end, and gives the sequence of its last handle.
    async fn run(mut self) -> u32 {
        let end = self.converse().await;
        self.gateway.note_sent(self.sent.take());
        if let End::Close(code, reason) = end {
            if let Some(traffic) = self.unfinished.traffic.as_ref().filter(|_| code != 1000) {
                traffic.linger();
            }
            let close = async {
                self.socket.send(close_frame(code, reason)).await?;
                while let Some(Ok(_)) = self.socket.next().await {}
                Ok::<_, axum::Error>(())
            };
            tokio::time::timeout(CLOSE_TIMEOUT, close).await.ok();
        }
        self.attached.sequence
    }

    /// Does what comes until it is over.
    async fn converse(&mut self) -> End {
        if self.attached.behind.load(Ordering::Acquire)
            && let Some(told) = self.attached.told.clone()
        {
            if let Err(end) = self.say().await {
                return end;
            }
            // Beyond what a recovery gives, only the newest are sent.
            self.position = self.gateway.recovery_start(&told, self.position.max(told.start)).await;
        }
        let mut events = Vec::with_capacity(0);
        let mut moves = clock::follow_moves();
        loop {
            moves.borrow_and_update();
            if let Err(end) = self.say().await {
                return end;
            }
            let wake = clock::instant_of(self.connection.poll_timeout());
            let may_notify = self.connection.may_notify();
            let behind = self.attached.behind.load(Ordering::Acquire);
            let next = tokio::select! {
                biased;
                cut = &mut self.attached.cut => Next::Cut(cut.unwrap_or(Cut::Stopping)),
                Some((ticket, answer)) = self.answered.recv() => Next::Answer(ticket, answer),
                next = next_frame(&mut self.socket, &self.unfinished) => next,
                count = self.attached.queue.recv_many(&mut events, AT_ONCE), if may_notify => Next::Events(count),
                () = std::future::ready(()), if may_notify && behind => Next::Read,
                _ = moves.changed() => Next::Time,
                () = tokio::time::sleep_until(wake.into()) => Next::Time,
            };
            let done = match next {
                Next::Frame(Some(Ok(message))) => self.take(message),
                Next::Unfinished => Err(End::Close(1008, "too many fragments")),
                Next::Frame(Some(Err(error))) => Err(error.into()),
                Next::Answer(ticket, answer) => {
                    self.answer(ticket, &answer);
                    Ok(())
                }
                Next::Frame(None) | Next::Events(0) => Err(End::Gone),
                Next::Events(_) => self.notify(&mut events).await,
                Next::Read => self.read().await,
                Next::Cut(why) => {
                    self.cut(why);
                    Ok(())
                }
                Next::Time => {
                    self.connection.handle_time(clock::steady());
                    Ok(())
                }
            };
            if let Err(end) = done {
                return end;
            }
        }
    }

    /// Takes a message of the client.
    fn take(&mut self, message: Message) -> Result<(), End> {
        self.unfinished.note(&message);
        let now = clock::steady();
        let (since, count) = &mut self.frames;
        if now >= *since + Duration::from_secs(1) {
            (*since, *count) = (now, 0);
        }
        *count += 1;
        if *count > FRAMES_PER_SECOND_MAX {
            return Err(End::Close(1008, "too many frames"));
        }
        match message {
            Message::Text(text) => self.connection.handle_text(&text, now),
            Message::Ping(_) => self.connection.handle_ping(now), // the library answers
            Message::Pong(content) => {
                if let Ok(number) = <[u8; 8]>::try_from(&content[..]) {
                    self.connection.handle_pong(u64::from_be_bytes(number));
                    if !std::mem::replace(&mut self.confirmed, true) {
                        self.gateway.confirm(self.attached.session, self.attached.generation);
                    }
                }
            }
            Message::Binary(_) => return Err(End::Close(1003, "no binary messages")),
            Message::Close(_) => return Err(End::Close(1000, "")),
        }
        Ok(())
    }

    /// Sends and begins what the connection wants.
    async fn say(&mut self) -> Result<(), End> {
        let mut said = false;
        while let Some(output) = self.connection.poll_output() {
            match output {
                Output::Text(text) => self.feed(Message::text(text)).await?,
                Output::Ping(number) => {
                    self.feed(Message::Ping(Bytes::copy_from_slice(&number.to_be_bytes()))).await?;
                }
                Output::Request(request) => self.begin(request),
                Output::Close(code, reason) => {
                    self.flush().await?;
                    return Err(End::Close(code, reason));
                }
            }
            said = true;
        }
        if said { self.flush().await } else { Ok(()) }
    }

    /// Writes, unless the socket takes nothing for too long, or the connection is to be closed. How far it is
    /// behind does not count: what is too much for its queue it reads from the log.
    async fn feed(&mut self, message: Message) -> Result<(), End> {
        let ready = poll_fn(|context| self.socket.poll_ready_unpin(context)).now_or_never();
        if let Some(ready) = ready {
            ready?;
        } else {
            let slow_after = self.gateway.slow_after();
            tokio::select! {
                biased;
                ready = poll_fn(|context| self.socket.poll_ready_unpin(context)) => ready?,
                _ = &mut self.attached.cut => return Err(End::Gone),
                () = tokio::time::sleep(slow_after) => {
                    self.gateway.note_slow();
                    return Err(End::Gone);
                }
            }
        }
        Ok(self.socket.start_send_unpin(message)?)
    }

    async fn flush(&mut self) -> Result<(), End> {
        self.gateway.note_sent(self.sent.take());
        let slow_after = self.gateway.slow_after();
        tokio::select! {
            biased;
            done = self.socket.flush() => Ok(done?),
            _ = &mut self.attached.cut => Err(End::Gone),
            () = tokio::time::sleep(slow_after) => {
                self.gateway.note_slow();
                Err(End::Gone)
            }
        }
    }

    /// Lets a request be carried out beside this.
    fn begin(&self, request: Request) {
        let (gateway, answers) = (self.gateway.clone(), self.answers.clone());
        let caller = Caller { session: self.attached.session, grant: self.attached.grant.clone() };
        tokio::spawn(async move {
            let ticket = request.ticket.clone();
            let answer = gateway.carry_out(request, caller).await;
            answers.send((ticket, answer)).ok(); // the connection has ended
        });
    }

    fn answer(&mut self, ticket: Ticket, answer: &Answer) {
        self.attached.told = self.gateway.told(self.attached.session);
        if let Some(told) = &self.attached.told {
            self.position = self.position.max(told.start);
        }
        let wsc = self.gateway.wsc(&mut self.attached, self.position);
        let headers: Vec<(&str, &str)> =
            answer.headers.iter().map(|(name, value)| (&**name, &**value)).collect();
        let response = Response {
            status: answer.status,
            headers: &headers,
            body: answer.body.as_deref(),
            wsc: Some(&wsc),
        };
        self.connection.handle_response(ticket, &response, clock::steady());
    }

    /// Sends notifications of events from the queue.
    async fn notify(&mut self, events: &mut Vec<Queued>) -> Result<(), End> {
        let now = clock::wall();
        for queued in events.drain(..) {
            self.notify_one(&queued, now).await?;
        }
        self.flush().await
    }

    async fn notify_one(&mut self, queued: &Queued, now: Timestamp) -> Result<(), End> {
        self.look_up();
        let Some(told) = self.attached.told.clone() else { return Ok(()) };
        // What was read from the log, or is for a subscription that was replaced, may still be queued.
        if queued.position <= self.position || queued.subscription != told.id {
            return Ok(());
        }
        // The right is that of this moment, and not of when it was queued.
        if !told.subscription.may_hear(&queued.event) {
            return Ok(());
        }
        let subscriber = &told.subscriber;
        let about = (&*queued.event, queued.change.as_deref());
        let mut count = 0;
        for (index, &projection) in queued.projections.iter().enumerate() {
            // Until the last of an event was sent, a handle leads before it: a recovery sends all of them.
            let is_last = index + 1 == queued.projections.len();
            self.position = self.position.max(queued.position - u64::from(!is_last));
            let wsc = self.gateway.wsc(&mut self.attached, self.position);
            let (event, id) = (&*queued.event, subscriber.id_of(&queued.event, projection));
            let rest = queued.rests.of(projection, |out| subscriber.write_rest(event, projection, out));
            let frame = if let Some(rest) = rest {
                let write = |out: &mut Vec<u8>| subscriber.write_beginning(event, now, out);
                Connection::shared_notification(id, &wsc, write, rest)
            } else {
                let write = |out: &mut Vec<u8>| subscriber.write_any(about, projection, now, out);
                Connection::notification(id, &wsc, write)
            };
            let Some(frame) = frame else { continue };
            self.feed(Message::text(frame)).await?;
            count += 1;
        }
        self.position = queued.position;
        if count == 0 {
            return Ok(());
        }
        let (connection, position) = (self.attached.number, queued.position);
        let sent = self.sent.get_or_insert(Span {
            subscription: told.id,
            connection,
            from: now,
            to: now,
            first: position,
            last: position,
            count: 0,
        });
        sent.last = position;
        sent.count += count;
        Ok(())
    }

    /// Looks up what the session hears of, if that has changed.
    fn look_up(&mut self) {
        if self.attached.retold.swap(false, Ordering::AcqRel) {
            self.attached.told = self.gateway.told(self.attached.session);
        }
    }

    /// Sends what is next in the log.
    async fn read(&mut self) -> Result<(), End> {
        // What is in the queue comes before what found no room in it.
        let now = clock::wall();
        let mut queued = Vec::new();
        while let Ok(next) = self.attached.queue.try_recv() {
            queued.push(next);
        }
        for next in &queued {
            self.notify_one(next, now).await?;
        }
        let Some(told) = self.attached.told.clone() else {
            let (session, number) = (self.attached.session, self.attached.number);
            self.gateway.catch_up(session, number, u64::MAX);
            return Ok(());
        };
        let Some(read) = self.gateway.read(&told, self.position, AT_ONCE).await else {
            return Err(End::Close(1011, "the event log cannot be read"));
        };
        for logged in &read {
            if let Some(projections) = told.subscription.matching(logged) {
                self.notify_one(&Queued::new(told.id, logged, projections, Arc::default()), now).await?;
            }
            self.position = self.position.max(logged.position);
        }
        self.flush().await?;
        if read.len() < AT_ONCE {
            self.gateway.catch_up(self.attached.session, self.attached.number, self.position);
        }
        Ok(())
    }

    fn cut(&mut self, why: Cut) {
        match why {
            Cut::Replaced => self.connection.close(1000, "another connection has taken over"),
            Cut::Revoked => {
                self.connection.end(
                    "WSG-401",
                    "The login has ended; log in again",
                    4401,
                    "the login has ended",
                );
            }
            Cut::Denied => {
                self.connection.end(
                    "WSG-401",
                    "The right to hear of calls was taken back; ask an administrator of this server",
                    4401,
                    "the right was taken back",
                );
            }
            Cut::Stopping => self.connection.close(1001, "the server stops"),
        }
    }
}
