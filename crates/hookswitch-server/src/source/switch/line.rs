//! One connection to a switch: its bytes go to a [`SwitchConnection`], and what that has to say goes out.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use hookswitch_signal::switch::{ProtocolEvent, SwitchConnection};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::{sleep, sleep_until};

use super::InputBuffer;
use super::feed::BUSY_PAUSE;
use crate::clock;

/// Bytes that are read at once at most. An Asterisk gives up a manager that does not read for 100 ms at a
/// time, and a FreeSWITCH loses events that find 100,000 waiting, so reading waits for nobody.
const READ_BYTES: usize = 256 * 1024;

/// A connection, plain or over TLS.
pub(crate) type Stream = Box<dyn AsyncReadWrite>;

/// What can be read and written.
pub(crate) trait AsyncReadWrite: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> AsyncReadWrite for T {}

/// Carries a connection out until it ends; `handle` is told what has happened but messages.
///
/// # Errors
/// Why it has ended.
pub(super) async fn follow(
    stream: &mut Stream,
    connection: &mut SwitchConnection,
    input: &mut InputBuffer,
    mut handle: impl FnMut(ProtocolEvent, &mut InputBuffer) + Send,
) -> anyhow::Result<()> {
    let begun = clock::now();
    let since = || clock::now().saturating_duration_since(begun);
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let taken = take_events(connection, input, since(), &mut handle);
        let waits = !input.hand_over();
        taken?;
        input.check()?;
        while let Some(bytes) = connection.poll_transmit(since()) {
            stream.write_all(&bytes).await.context("the connection failed")?;
        }
        tokio::select! {
            read = stream.read(&mut buffer) => {
                let read = read.context("the connection failed")?;
                ensure!(read > 0, "the switch has closed the connection");
                connection.handle_input(&buffer[..read], since());
            }
            () = sleep(BUSY_PAUSE), if waits => {}
            () = sleep_until((begun + connection.poll_timeout()).into()) => connection.handle_timeout(since())?,
        }
    }
}

/// Takes all that has happened on a connection.
fn take_events(
    connection: &mut SwitchConnection,
    input: &mut InputBuffer,
    now: Duration,
    handle: &mut impl FnMut(ProtocolEvent, &mut InputBuffer),
) -> anyhow::Result<()> {
    let at = clock::wall();
    while let Some(event) = connection.poll_event(input.bytes(), now)? {
        match event {
            ProtocolEvent::Message => input.message(at),
            ProtocolEvent::PassedOver => input.pass_over(),
            event => handle(event, input),
        }
    }
    Ok(())
}
