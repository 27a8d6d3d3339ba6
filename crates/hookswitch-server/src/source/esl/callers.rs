//! FreeSWITCHes that connect by themselves, once for each call (the dialplan application `socket`).

use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use hookswitch_signal::esl::{Frames, Message, lost_channel};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::sleep;

use super::command::{command, events};
use crate::clock;
use crate::config::{AddressBlock, EventFormat};
use crate::source::switch::{Feed, Line, Talk};
use crate::telemetry::Connections;

/// How long to wait when no connection can be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// For how many seconds what comes of a call is told after its hang-up.
const LINGER_SECONDS: &str = "10";

/// The headers that name the caller's channel in the events of its call.
const HEADERS: [&str; 5] = [
    "Unique-ID",
    "Other-Leg-Unique-ID",
    "Channel-Call-UUID",
    "CC-Member-Session-UUID",
    "variable_cc_member_session_uuid",
];

/// The variable that says where a call goes on in the dialplan.
const NEXT: &str = "variable_hookswitch_next";

/// A source that may connect.
pub(crate) struct Allowed {
    pub name: String,
    pub(crate) connects_from: Vec<AddressBlock>,
    pub format: EventFormat,
    pub(crate) feed: Feed,
}

/// The listener that FreeSWITCHes connect to.
pub(crate) struct Callers {
    allowed: RwLock<Vec<Allowed>>,
    counters: Arc<Connections>,
    open: AtomicUsize,
    connections_max: usize,
}

impl Callers {
    /// A listener on which nobody may connect yet, with so many connections at most.
    pub(crate) fn new(counters: Arc<Connections>, connections_max: usize) -> Arc<Self> {
        Arc::new(Self { allowed: RwLock::default(), counters, open: AtomicUsize::new(0), connections_max })
    }

    /// Lets these connect from here on, and nobody else. Connections that are open stay so.
    pub(crate) fn allow(&self, allowed: Vec<Allowed>) {
        if let Ok(mut current) = self.allowed.write() {
            *current = allowed;
        }
    }

    /// Accepts connections until told to stop.
    pub(crate) async fn serve(self: Arc<Self>, listener: TcpListener, mut stop: watch::Receiver<bool>) {
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = stop.wait_for(|&stop| stop) => return,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection of a FreeSWITCH");
                    sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let from = peer.ip().to_canonical();
            let Some((talk, feed)) = self.admit(from) else {
                self.counters.lost.inc();
                tracing::warn!(%from, "a FreeSWITCH may not connect, or there are too many connections; see connects_from");
                continue;
            };
            let (shared, mut stop) = (self.clone(), stop.clone());
            tokio::spawn(async move {
                tokio::select! {
                    () = shared.follow(stream, talk, feed) => {}
                    _ = stop.wait_for(|&stop| stop) => {}
                }
            });
        }
    }

    fn admit(&self, from: IpAddr) -> Option<(Caller, Feed)> {
        if self.open.load(Ordering::Relaxed) >= self.connections_max {
            return None;
        }
        let allowed = self.allowed.read().ok()?;
        let source =
            allowed.iter().find(|source| source.connects_from.iter().any(|block| block.contains(from)))?;
        let caller = Caller {
            source: source.name.clone(),
            format: source.format,
            begun: None,
            uuid: String::new(),
            is_down: false,
            asks_for_life: false,
        };
        Some((caller, source.feed.another()))
    }

    async fn follow(&self, stream: TcpStream, mut talk: Caller, mut feed: Feed) {
        let _open = Open::count(self);
        stream.set_nodelay(true).ok(); // it only makes the beginning slower
        let mut line = Line::new(Box::new(stream));
        let told = async {
            talk.log_in(&mut line).await?;
            let begun = talk.begun.take();
            feed.add(clock::wall(), |out| {
                out.extend(begun.unwrap_or_default());
                Ok(true)
            })?;
            line.follow(&mut talk, &mut feed).await
        };
        let ended = told.await;
        if talk.is_down {
            feed.flush().await;
            return;
        }
        let error = ended.err().map_or_else(String::new, |error| format!("{error:#}"));
        tracing::warn!(source = talk.source, error, "the connection of a call was lost before its end");
        self.counters.lost.inc();
        if !talk.uuid.is_empty() {
            let told = feed.add(clock::wall(), |out| {
                lost_channel(&talk.uuid, out);
                Ok(true)
            });
            if let Err(error) = told {
                tracing::error!("a call that was lost is not closed: {error:#}");
            }
            feed.flush().await;
        }
    }
}

/// Counts a connection as long as it is open.
struct Open<'a>(&'a Callers);

impl<'a> Open<'a> {
    fn count(callers: &'a Callers) -> Self {
        callers.open.fetch_add(1, Ordering::Relaxed);
        callers.counters.up.inc();
        Self(callers)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
        self.0.counters.up.dec();
    }
}

/// The connection of one call.
struct Caller {
    source: String,
    format: EventFormat,
    /// What the switch says of the channel at the beginning.
    begun: Option<Vec<u8>>,
    uuid: String,
    /// The channel has ended.
    is_down: bool,
    asks_for_life: bool,
}

fn is_reply(message: &[u8]) -> bool {
    Message::new(message).content_type() == b"command/reply"
}

impl Talk for Caller {
    type Frames = Frames;

    const SWITCH: &'static str = "call";
    const CONNECTION: &'static str = "connection of a call";

    async fn log_in(&mut self, line: &mut Line<Frames>) -> anyhow::Result<()> {
        line.send(&command(&["connect"])?).await?;
        let begun = line.answer(is_reply).await?;
        let channel = Message::new(&begun);
        let uuid =
            channel.channel_data("Unique-ID").context("what has connected is no call of a FreeSWITCH")?;
        ensure!(
            !uuid.is_empty() && !uuid.contains(char::is_whitespace),
            "the call that has connected has no id"
        );
        self.uuid = uuid.into_owned();
        let next = channel.channel_data(NEXT).map(std::borrow::Cow::into_owned);
        self.begun = Some(begun);
        let mut commands = vec![command(&["linger", LINGER_SECONDS])?];
        for header in HEADERS {
            commands.push(command(&["filter", header, &self.uuid])?);
        }
        commands.push(events(self.format.as_str())?);
        for command in commands {
            line.send(&command).await?;
            let answer = line.answer(is_reply).await?;
            let answer =
                String::from_utf8_lossy(Message::new(&answer).header("Reply-Text").unwrap_or_default())
                    .into_owned();
            let words = command.trim_end();
            ensure!(
                answer.starts_with("+OK"),
                "{words:?} is refused: {answer}; call `socket` with async full"
            );
        }
        // The call waits for what is said here, and goes on where its dialplan says.
        if let Some(next) = next.filter(|next| !next.is_empty()) {
            let lines = ["sendmsg", "call-command: execute", "execute-app-name: transfer"];
            let argument = command(&["execute-app-arg:", &next])?;
            line.send(&format!("{}\n{argument}", lines.join("\n"))).await?;
        }
        Ok(())
    }

    fn take(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> anyhow::Result<bool> {
        let message = Message::new(bytes);
        if message.content_type() == b"text/disconnect-notice" {
            if message.header("Content-Disposition") == Some(b"linger") {
                self.is_down = true;
                return Ok(false);
            }
            bail!("the switch says that it closes the connection");
        }
        if message.counts() {
            out.extend_from_slice(bytes);
            return Ok(true);
        }
        Ok(false)
    }

    fn asks(&mut self) -> anyhow::Result<String> {
        if std::mem::take(&mut self.asks_for_life) { command(&["getvar", "uuid"]) } else { Ok(String::new()) }
    }

    fn asks_for_life(&mut self) {
        self.asks_for_life = true;
    }
}
