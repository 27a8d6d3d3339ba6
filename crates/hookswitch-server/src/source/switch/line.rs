//! One connection to a switch: what is sent, and the messages that come.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use hookswitch_signal::{ami, esl};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::feed::BUSY_PAUSE;
use super::{Feed, Talk};
use crate::clock;

/// How long an answer may take during the login.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// How often a sign of life is asked for, and how long none may come.
const ASK_EVERY: Duration = Duration::from_secs(15);
const SILENT_MAX: Duration = Duration::from_secs(50);

/// Bytes that are read at once at most. An Asterisk gives up a manager that does not read for 100 ms at a
/// time, and a FreeSWITCH loses events that find 100,000 waiting, so reading waits for nobody.
const READ_BYTES: usize = 256 * 1024;

/// A connection, plain or over TLS.
pub(crate) type Stream = Box<dyn AsyncReadWrite>;

/// What can be read and written.
pub(crate) trait AsyncReadWrite: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> AsyncReadWrite for T {}

/// Cuts what a connection brings into messages.
pub(crate) trait Frames: Default + Send {
    fn push(&mut self, bytes: &[u8]);
    fn next_message(&mut self) -> Option<&[u8]>;
}

impl Frames for ami::Frames {
    fn push(&mut self, bytes: &[u8]) {
        self.push(bytes);
    }

    fn next_message(&mut self) -> Option<&[u8]> {
        self.next_message()
    }
}

impl Frames for esl::Frames {
    fn push(&mut self, bytes: &[u8]) {
        self.push(bytes);
    }

    fn next_message(&mut self) -> Option<&[u8]> {
        self.next_message()
    }
}

/// One connection to a switch.
pub(crate) struct Line<F> {
    stream: Stream,
    frames: F,
}

impl<F: Frames> Line<F> {
    pub(crate) fn new(stream: Stream) -> Self {
        Self { stream, frames: F::default() }
    }

    /// Sends text as it is.
    ///
    /// # Errors
    /// If the connection has failed.
    pub(crate) async fn send(&mut self, text: &str) -> anyhow::Result<()> {
        self.stream.write_all(text.as_bytes()).await.context("the connection failed")
    }

    /// The next message that is meant, during the login; others are passed over.
    ///
    /// # Errors
    /// If it does not come in time.
    pub(crate) async fn answer(&mut self, is_meant: impl Fn(&[u8]) -> bool) -> anyhow::Result<Vec<u8>> {
        self.answer_as(F::next_message, is_meant).await
    }

    /// The same, where `next` says what a message is.
    ///
    /// # Errors
    /// If it does not come in time.
    pub(crate) async fn answer_as(
        &mut self,
        next: impl Fn(&mut F) -> Option<&[u8]>,
        is_meant: impl Fn(&[u8]) -> bool,
    ) -> anyhow::Result<Vec<u8>> {
        let waiting = async {
            let mut buffer = vec![0; 4096];
            loop {
                while let Some(message) = next(&mut self.frames) {
                    if is_meant(message) {
                        return Ok(message.to_vec());
                    }
                }
                let read = self.stream.read(&mut buffer).await.context("the connection failed")?;
                ensure!(read > 0, "the switch has closed the connection");
                self.frames.push(&buffer[..read]);
            }
        };
        timeout(ANSWER_TIMEOUT, waiting).await.context("the switch does not answer")?
    }

    /// Takes what comes until the connection ends.
    ///
    /// # Errors
    /// Why it has ended.
    pub(crate) async fn follow(
        &mut self,
        talk: &mut impl Talk<Frames = F>,
        feed: &mut Feed,
    ) -> anyhow::Result<()> {
        let mut buffer = vec![0; READ_BYTES];
        let mut heard = Instant::now();
        let mut ask_at = heard + ASK_EVERY;
        loop {
            let at = clock::wall();
            let mut ends = Ok(());
            while let Some(message) = self.frames.next_message() {
                ends = ends.and(feed.add(at, |out| talk.take(message, out)));
            }
            let waits = !feed.hand_over();
            ends?;
            let asks = talk.asks()?;
            if !asks.is_empty() {
                self.send(&asks).await?;
            }
            tokio::select! {
                read = self.stream.read(&mut buffer) => {
                    let read = read.context("the connection failed")?;
                    ensure!(read > 0, "the switch has closed the connection");
                    self.frames.push(&buffer[..read]);
                    heard = Instant::now();
                }
                () = sleep(BUSY_PAUSE), if waits => {}
                () = sleep_until(ask_at) => {
                    ensure!(heard.elapsed() < SILENT_MAX, "nothing was heard for {SILENT_MAX:?}");
                    talk.asks_for_life();
                    ask_at = Instant::now() + ASK_EVERY;
                }
            }
        }
    }
}
