//! One manager connection, from its greeting to its end.

use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use hookswitch_signal::ami::{Frames, Message};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::inventory::Inventory;
use super::login::{INVENTORY_ID, action, action_with_id, answer};
use crate::clock;
use crate::config::AmiSource;
use crate::run::{Intake, ManagerBatch};
use crate::shown;
use crate::store::record::Sender;
use crate::telemetry::Metrics;

/// How long an answer may take during the login.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// How often a sign of life is asked for, and how long none may come.
const PING_EVERY: Duration = Duration::from_secs(15);
const SILENT_MAX: Duration = Duration::from_secs(50);

/// Bytes that are read at once at most. Asterisk gives up a manager that does not read for 100 ms at a
/// time, so reading waits for nobody.
const READ_BYTES: usize = 256 * 1024;

/// The most bytes that wait for the machine; beyond, the connection is given up, and what goes on is asked
/// for anew.
const PENDING_BYTES_MAX: usize = 64 * 1024 * 1024;

/// How long to wait for a machine that is busy before it is asked again.
const BUSY_PAUSE: Duration = Duration::from_millis(2);

/// One manager connection, and what it has brought that the machine has not taken yet.
pub(super) struct Connection {
    sender: Arc<Sender>,
    intake: SyncSender<Intake>,
    metrics: Arc<Metrics>,
    frames: Frames,
    pending: ManagerBatch,
    was_up: bool,
    /// What the switch says of itself, while it is asked.
    inventory: Option<Inventory>,
    found: Box<dyn Fn(Inventory) + Send>,
}

impl Connection {
    /// `found` is told what the switch says of itself.
    pub(super) fn new(
        sender: Arc<Sender>,
        intake: SyncSender<Intake>,
        metrics: Arc<Metrics>,
        found: Box<dyn Fn(Inventory) + Send>,
    ) -> Self {
        let pending = empty(&sender);
        let frames = Frames::default();
        Self { sender, intake, metrics, frames, pending, was_up: false, inventory: None, found }
    }

    /// Whether a login was taken.
    pub(super) fn was_up(&self) -> bool {
        self.was_up
    }

    /// Tells the machine that the connection is lost, after all that it has brought.
    pub(super) async fn end(mut self) {
        if !self.was_up {
            return;
        }
        while !self.hand_over() {
            sleep(BUSY_PAUSE).await;
        }
        self.pending.link = Some(false);
        while !self.hand_over() {
            sleep(BUSY_PAUSE).await;
        }
    }

    /// Logs in and takes what comes until the connection ends.
    pub(super) async fn follow(
        &mut self,
        mut stream: impl AsyncRead + AsyncWrite + Unpin,
        config: &AmiSource,
    ) -> anyhow::Result<()> {
        self.log_in(&mut stream, config).await?;
        self.was_up = true;
        self.metrics.ami_connections.inc();
        self.pending.link = Some(true);
        tracing::info!(source = config.name, address = config.address, "logged in to the manager");
        self.inventory = config.fill_directory.then(Inventory::default);
        // What began or ended while nobody listened is asked for.
        for name in ["CoreShowChannels", "ParkedCalls", "QueueStatus"] {
            stream.write_all(action(name, &[])?.as_bytes()).await?;
        }
        if config.fill_directory {
            for name in Inventory::QUESTIONS {
                stream.write_all(action(name, &[])?.as_bytes()).await?;
            }
            // Answers come in the order of the questions: when this has come, all have.
            stream.write_all(action_with_id("Ping", INVENTORY_ID, &[])?.as_bytes()).await?;
        }
        let mut buffer = vec![0; READ_BYTES];
        let mut heard = Instant::now();
        let mut ping_at = heard + PING_EVERY;
        loop {
            self.take_messages();
            let waits = !self.hand_over();
            ensure!(
                self.pending.bytes.len() <= PENDING_BYTES_MAX,
                "the machine cannot keep up: {} bytes wait",
                self.pending.bytes.len()
            );
            tokio::select! {
                read = stream.read(&mut buffer) => {
                    let read = read.context("the connection failed")?;
                    ensure!(read > 0, "the manager has closed the connection");
                    self.frames.push(&buffer[..read]);
                    heard = Instant::now();
                }
                () = sleep(BUSY_PAUSE), if waits => {}
                () = sleep_until(ping_at) => {
                    ensure!(heard.elapsed() < SILENT_MAX, "nothing was heard for {SILENT_MAX:?}");
                    stream.write_all(action("Ping", &[])?.as_bytes()).await.context("the connection failed")?;
                    ping_at = Instant::now() + PING_EVERY;
                }
            }
        }
    }

    async fn log_in(
        &mut self,
        stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
        config: &AmiSource,
    ) -> anyhow::Result<()> {
        let greeting = self.answer(stream, |message| message.event().is_none()).await?;
        ensure!(
            greeting.starts_with(b"Asterisk Call Manager"),
            "what answers at {} is no manager of an Asterisk",
            config.address
        );
        let secret = config.secret.expose();
        let events = config.events.as_deref().unwrap_or("system,call,agent,dialplan,dtmf");
        let login = if config.plain_login {
            vec![("Username", &*config.user), ("Secret", secret), ("Events", events)]
        } else {
            let asked = action("Challenge", &[("AuthType", "MD5")])?;
            stream.write_all(asked.as_bytes()).await?;
            let response = self.answer(stream, |message| message.response().is_some()).await?;
            let Some(challenge) = Message::new(&response).value("Challenge").map(<[u8]>::to_vec) else {
                bail!("the manager gives no challenge; set plain_login = true for this source");
            };
            let key = answer(&challenge, secret);
            let login =
                [("AuthType", "MD5"), ("Username", &*config.user), ("Key", &*key), ("Events", events)];
            stream.write_all(action("Login", &login)?.as_bytes()).await?;
            return self.logged_in(stream, config).await;
        };
        stream.write_all(action("Login", &login)?.as_bytes()).await?;
        self.logged_in(stream, config).await
    }

    async fn logged_in(
        &mut self,
        stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
        config: &AmiSource,
    ) -> anyhow::Result<()> {
        let response = self.answer(stream, |message| message.response().is_some()).await?;
        let message = Message::new(&response);
        ensure!(
            message.response() == Some(b"Success"),
            "the manager refuses the login of {:?}: {}; compare user and secret with manager.conf",
            config.user,
            // Some repeat what they were told.
            said(&message).replace(config.secret.expose(), "…")
        );
        Ok(())
    }

    /// The next message that is meant, during the login; others are passed over.
    async fn answer(
        &mut self,
        stream: &mut (impl AsyncRead + Unpin),
        is_meant: impl Fn(&Message<'_>) -> bool,
    ) -> anyhow::Result<Vec<u8>> {
        let waiting = async {
            let mut buffer = vec![0; 4096];
            loop {
                while let Some(message) = self.frames.next_message() {
                    if is_meant(&Message::new(message)) {
                        return Ok(message.to_vec());
                    }
                }
                let read = stream.read(&mut buffer).await.context("the connection failed")?;
                ensure!(read > 0, "the manager has closed the connection");
                self.frames.push(&buffer[..read]);
            }
        };
        timeout(ANSWER_TIMEOUT, waiting).await.context("the manager does not answer")?
    }

    /// Puts the messages that count with what waits for the machine.
    fn take_messages(&mut self) {
        let at = clock::wall();
        let mut passed_over = 0;
        while let Some(bytes) = self.frames.next_message() {
            let message = Message::new(bytes);
            if message.counts() {
                self.pending.bytes.extend_from_slice(bytes);
                self.pending.messages.push((at, self.pending.bytes.len()));
                continue;
            }
            passed_over += 1;
            if let Some(inventory) = &mut self.inventory {
                if message.value("ActionID") == Some(INVENTORY_ID.as_bytes()) {
                    (self.found)(self.inventory.take().unwrap_or_default());
                    continue;
                }
                inventory.take(&message);
            }
            if message.response() == Some(b"Error") {
                tracing::warn!(
                    text = said(&message),
                    "the manager refuses an action; its user needs write = reporting to be asked what goes on, and write = \
                     reporting,system,call to be asked for its phones"
                );
            }
        }
        self.metrics.manager_messages.passed_over.inc_by(passed_over);
    }

    /// Gives the machine what waits for it; false if it is busy.
    fn hand_over(&mut self) -> bool {
        if self.pending.messages.is_empty() && self.pending.link.is_none() {
            return true;
        }
        let batch = std::mem::replace(&mut self.pending, empty(&self.sender));
        match self.intake.try_send(Intake::Manager(batch)) {
            Err(TrySendError::Full(Intake::Manager(batch))) => {
                self.pending = batch;
                false
            }
            // It was taken, or the server is stopping.
            _ => true,
        }
    }
}

/// What the manager says of an action, without what it quotes and without long numbers.
fn said(message: &Message<'_>) -> String {
    shown::without_quotations(&String::from_utf8_lossy(message.value("Message").unwrap_or_default()))
}

fn empty(sender: &Arc<Sender>) -> ManagerBatch {
    ManagerBatch { sender: sender.clone(), link: None, bytes: Vec::new(), messages: Vec::new() }
}
