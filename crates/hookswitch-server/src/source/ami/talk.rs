//! What is said on a manager connection.

use anyhow::{bail, ensure};
use hookswitch_signal::ami::{Frames, Message};

use super::inventory::Inventory;
use super::login::{INVENTORY_ID, action, action_with_id, answer};
use crate::config::AmiSource;
use crate::shown;
use crate::source::switch::{Line, Talk};

/// One manager connection.
pub(super) struct Manager {
    config: AmiSource,
    /// What is asked next.
    asks: Vec<&'static str>,
    /// What the switch says of itself, while it is asked.
    inventory: Option<Inventory>,
    asks_for_inventory: bool,
    found: Box<dyn Fn(Inventory) + Send + Sync>,
}

impl Manager {
    /// `found` is told what the switch says of itself.
    pub(super) fn new(config: AmiSource, found: Box<dyn Fn(Inventory) + Send + Sync>) -> Self {
        let fill = config.fill_directory;
        // What began or ended while nobody listened is asked for.
        let mut asks = vec!["CoreShowChannels", "ParkedCalls", "QueueStatus"];
        if fill {
            asks.extend(Inventory::QUESTIONS);
        }
        Self { config, asks, inventory: fill.then(Inventory::default), asks_for_inventory: fill, found }
    }

    async fn greeted(&self, line: &mut Line<Frames>) -> anyhow::Result<()> {
        let greeting = line.answer(|message| Message::new(message).event().is_none()).await?;
        ensure!(
            greeting.starts_with(b"Asterisk Call Manager"),
            "what answers at {} is no manager of an Asterisk",
            self.config.address
        );
        Ok(())
    }

    async fn logged_in(&self, line: &mut Line<Frames>) -> anyhow::Result<()> {
        let response = line.answer(is_response).await?;
        let message = Message::new(&response);
        ensure!(
            message.response() == Some(b"Success"),
            "the manager refuses the login of {:?}: {}; compare user and secret with manager.conf",
            self.config.user,
            // Some repeat what they were told.
            said(&message).replace(self.config.secret.expose(), "…")
        );
        Ok(())
    }
}

/// What the manager says of an action, without what it quotes and without long numbers.
fn said(message: &Message<'_>) -> String {
    shown::without_quotations(&String::from_utf8_lossy(message.value("Message").unwrap_or_default()))
}

fn is_response(message: &[u8]) -> bool {
    Message::new(message).response().is_some()
}

impl Talk for Manager {
    type Frames = Frames;

    const SWITCH: &'static str = "manager";
    const CONNECTION: &'static str = "manager connection";

    async fn log_in(&mut self, line: &mut Line<Frames>) -> anyhow::Result<()> {
        self.greeted(line).await?;
        let AmiSource { user, secret, .. } = &self.config;
        let events = self.config.events.as_deref().unwrap_or("system,call,agent,dialplan,dtmf");
        let login = if self.config.plain_login {
            let fields = [("Username", &**user), ("Secret", secret.expose()), ("Events", events)];
            action("Login", &fields)?
        } else {
            line.send(&action("Challenge", &[("AuthType", "MD5")])?).await?;
            let response = line.answer(is_response).await?;
            let Some(challenge) = Message::new(&response).value("Challenge") else {
                bail!("the manager gives no challenge; set plain_login = true for this source");
            };
            let key = answer(challenge, secret.expose());
            let fields = [("AuthType", "MD5"), ("Username", &**user), ("Key", &*key), ("Events", events)];
            action("Login", &fields)?
        };
        line.send(&login).await?;
        self.logged_in(line).await
    }

    fn take(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> anyhow::Result<bool> {
        let message = Message::new(bytes);
        if message.counts() {
            out.extend_from_slice(bytes);
            return Ok(true);
        }
        if let Some(inventory) = &mut self.inventory {
            if message.value("ActionID") == Some(INVENTORY_ID.as_bytes()) {
                (self.found)(self.inventory.take().unwrap_or_default());
                return Ok(false);
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
        Ok(false)
    }

    fn asks(&mut self) -> anyhow::Result<String> {
        let mut text = String::new();
        for name in self.asks.drain(..) {
            text.push_str(&action(name, &[])?);
        }
        if std::mem::take(&mut self.asks_for_inventory) {
            // Answers come in the order of the questions: when this has come, all have.
            text.push_str(&action_with_id("Ping", INVENTORY_ID, &[])?);
        }
        Ok(text)
    }

    fn asks_for_life(&mut self) {
        self.asks.push("Ping");
    }
}
