//! What is said on a connection to an event socket.

use std::collections::VecDeque;

use anyhow::{bail, ensure};
use hookswitch_signal::esl::{Frames, Message, listing};

use super::command::{command, events};
use crate::config::EslSource;
use crate::shown;
use crate::source::switch::{Line, Talk};

/// Asked for a sign of life; answered by a number.
pub(super) const LIFE: &str = "uptime";

/// One connection to an event socket.
pub(super) struct Socket {
    config: EslSource,
    /// What is asked next.
    asks: Vec<String>,
    /// What was asked and is not answered yet, in this order.
    asked: VecDeque<String>,
    /// What goes on is asked for once more.
    again: bool,
}

impl Socket {
    pub(super) fn new(config: EslSource) -> Self {
        let asks = listing::QUESTIONS.map(str::to_owned).into();
        Self { config, asks, asked: VecDeque::new(), again: true }
    }

    /// An answer to what was asked: of the list of queues comes what is asked of each.
    fn answer(&mut self, message: &Message<'_>, out: &mut Vec<u8>) -> bool {
        let Some(question) = self.asked.pop_front() else { return false };
        let refused = message.body().starts_with(b"-");
        if refused || question == LIFE {
            if refused {
                let text = shown::without_quotations(String::from_utf8_lossy(message.body()).trim_end());
                tracing::debug!(
                    source = self.config.name,
                    question,
                    text,
                    "the event socket does not answer"
                );
            }
            return false;
        }
        if Some(&*question) == listing::QUESTIONS.last().copied() {
            self.asks.extend(listing::questions_of_queues(message));
            return false;
        }
        listing::named(&question, message, out);
        true
    }
}

fn is_reply(message: &[u8]) -> bool {
    matches!(Message::new(message).content_type(), b"command/reply" | b"text/rude-rejection")
}

fn reply(message: &Message<'_>) -> String {
    shown::without_quotations(&String::from_utf8_lossy(message.header("Reply-Text").unwrap_or_default()))
}

impl Talk for Socket {
    type Frames = Frames;

    const SWITCH: &'static str = "event socket";
    const CONNECTION: &'static str = "event socket connection";

    async fn log_in(&mut self, line: &mut Line<Frames>) -> anyhow::Result<()> {
        let EslSource { name, address, user, password, format, .. } = &self.config;
        let greeting = line.answer(|_| true).await?;
        match Message::new(&greeting).content_type() {
            b"auth/request" => {}
            b"text/rude-rejection" => bail!(
                "the event socket at {address} does not let this machine in; see apply-inbound-acl in \
                 event_socket.conf.xml"
            ),
            _ => bail!("what answers at {address} is no event socket of a FreeSWITCH"),
        }
        let password = password.as_ref().map_or("", |password| password.expose());
        let login = match user {
            Some(user) => command(&["userauth", &format!("{user}:{password}")])?,
            None => command(&["auth", password])?,
        };
        line.send(&login).await?;
        // What the user is allowed may be cut: see `next_login_answer`.
        let answer = line.answer_as(Frames::next_login_answer, is_reply).await?;
        let answer = reply(&Message::new(&answer));
        // Some repeat what they were told.
        let answer = if password.is_empty() { answer } else { answer.replace(password, "…") };
        ensure!(
            answer.starts_with("+OK"),
            "the event socket refuses the password of {name:?}: {answer}; compare it with event_socket.conf.xml, \
             or with esl-password of the user"
        );
        line.send(&events(format.as_str())?).await?;
        let answer = reply(&Message::new(&line.answer(is_reply).await?));
        ensure!(
            answer.starts_with("+OK"),
            "the event socket refuses to tell of calls: {answer}; see esl-allowed-events of the user"
        );
        Ok(())
    }

    fn take(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> anyhow::Result<bool> {
        let message = Message::new(bytes);
        match message.content_type() {
            b"api/response" => return Ok(self.answer(&message, out)),
            b"command/reply" => {
                // Nothing but questions is sent after the login. What the switch says of one may name who calls.
                let question = self.asked.pop_front().unwrap_or_default();
                tracing::warn!(
                    source = self.config.name,
                    question,
                    "the event socket refuses a question; esl-allowed-api of the user needs show, valet_info, \
                     conference, fifo, callcenter_config and uptime to be asked what goes on"
                );
            }
            b"text/disconnect-notice" => {
                let text = String::from_utf8_lossy(message.body());
                let text = shown::without_quotations(text.lines().next().unwrap_or_default());
                bail!("the event socket says that it closes: {text}");
            }
            _ => {}
        }
        if message.counts() {
            out.extend_from_slice(bytes);
            return Ok(true);
        }
        Ok(false)
    }

    fn asks(&mut self) -> anyhow::Result<String> {
        let mut text = String::new();
        for question in self.asks.drain(..) {
            // What the switch itself has named may be anything; what cannot be asked is not.
            if let Ok(asks) = command(&["api", &question]) {
                text.push_str(&asks);
                self.asked.push_back(question);
            }
        }
        Ok(text)
    }

    fn asks_for_life(&mut self) {
        if std::mem::take(&mut self.again) {
            self.asks.extend(listing::AGAIN.map(str::to_owned));
        } else {
            self.asks.push(LIFE.to_owned());
        }
    }
}
