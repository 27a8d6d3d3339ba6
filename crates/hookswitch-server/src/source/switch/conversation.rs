//! One connection to a switch: its bytes go to a [`SwitchConnection`], and what that has to say goes out.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use hookswitch_signal::switch::{ProtocolEvent, SwitchConnection, Transmit};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;
use tokio::time::{sleep, sleep_until};

use super::carrier::{self, Carrier, Upgraded};
use super::input_buffer::BUSY_PAUSE;
use super::{InputBuffer, SwitchEndpoint};
use crate::clock;
use crate::control::Placement;

/// Bytes that are read at once at most. An Asterisk gives up a manager that does not read for 100 ms at a
/// time, and a FreeSWITCH loses events that find 100,000 waiting, so reading waits for nobody.
const READ_BYTES: usize = 256 * 1024;

/// A connection, plain or over TLS.
pub(crate) type Stream = Box<dyn AsyncReadWrite>;

/// Byte stream that can be read and written.
pub(crate) trait AsyncReadWrite: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> AsyncReadWrite for T {}

/// Carries a connection out until it ends; `handle` is told what has happened but messages.
///
/// # Errors
/// Why it has ended.
pub(super) async fn follow(
    carrier: &mut Carrier,
    endpoint: Option<&Arc<SwitchEndpoint>>,
    connection: &mut SwitchConnection,
    (input, orders): (&mut InputBuffer, &mut Placement),
    mut handle: impl FnMut(ProtocolEvent, &mut InputBuffer) + Send,
) -> anyhow::Result<()> {
    let begun = clock::now();
    let since = || clock::now().saturating_duration_since(begun);
    let mut buffer = vec![0; READ_BYTES];
    let mut requests = JoinSet::new();
    loop {
        let taken = take_events(connection, (input, orders), since(), &mut handle);
        let waits = !input.hand_over();
        taken?;
        input.check()?;
        while let Some(transmit) = connection.poll_transmit(since()) {
            match transmit {
                Transmit::Bytes(bytes) => carrier.write(bytes).await?,
                Transmit::Ping => carrier.ping().await?,
                Transmit::Request(asked) => {
                    let endpoint =
                        endpoint.cloned().context("who has connected is asked nothing beside it")?;
                    requests.spawn(async move {
                        let answer = carrier::request(&endpoint, &asked).await;
                        (asked, answer)
                    });
                }
            }
        }
        tokio::select! {
            read = carrier.read(&mut buffer) => {
                let read = read.map_err(|error| cut_log_in(error, connection))?;
                connection.handle_input(&buffer[..read], since());
            }
            Some(answered) = requests.join_next() => {
                let (asked, answer) = answered.context("a request has failed")?;
                match answer {
                    Ok(body) => connection.handle_answer(&asked, Ok(&body)),
                    Err(error) => connection.handle_answer(&asked, Err(&format!("{error:#}"))),
                }
            }
            order = orders.next() => orders.carry_out(order, connection),
            () = sleep(BUSY_PAUSE), if waits => {}
            () = sleep_until((begun + connection.poll_timeout()).into()) => connection.handle_timeout(since())?,
        }
    }
}

/// Returns why a connection has ended; before the switch has let us in, its log-in was cut.
pub(super) fn cut_log_in(error: anyhow::Error, connection: &SwitchConnection) -> anyhow::Error {
    if connection.is_up() { error } else { error.context("the log-in was cut") }
}

/// Makes what carries a connection: a WebSocket, if the switch is to make it one.
///
/// # Errors
/// If the switch does not answer as it should.
pub(super) async fn carry(
    stream: Stream,
    endpoint: &SwitchEndpoint,
    connection: &mut SwitchConnection,
) -> anyhow::Result<Carrier> {
    let Some(request) = connection.upgrade() else { return Ok(Carrier::Bytes(stream)) };
    match Carrier::upgrade(stream, endpoint, &request).await? {
        Upgraded::Yes(carrier) => {
            connection.handle_upgrade(101, Duration::ZERO);
            Ok(carrier)
        }
        Upgraded::No(status) => {
            connection.handle_upgrade(status, Duration::ZERO);
            connection.poll_event(&mut Vec::new(), Duration::ZERO)?;
            bail!("the switch answers with {status}")
        }
    }
}

/// Takes all that has happened on a connection.
fn take_events(
    connection: &mut SwitchConnection,
    (input, orders): (&mut InputBuffer, &mut Placement),
    now: Duration,
    handle: &mut impl FnMut(ProtocolEvent, &mut InputBuffer),
) -> anyhow::Result<()> {
    let at = clock::wall();
    while let Some(event) = connection.poll_event(input.bytes(), now)? {
        match event {
            ProtocolEvent::Message => input.message(at),
            ProtocolEvent::PassedOver => input.pass_over(),
            ProtocolEvent::Acted(id, acted) => orders.answered(id, acted),
            ProtocolEvent::LoggedIn => {
                handle(ProtocolEvent::LoggedIn, input);
                orders.begin();
            }
            event => handle(event, input),
        }
    }
    Ok(())
}
