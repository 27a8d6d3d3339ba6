//! Output of the demo, and what it tells of the calls.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal as _, Write};

use anyhow::Context as _;
use axum::http::StatusCode;
use hookswitch_server::escape;
use serde_json::Value;

use super::Format;
use crate::cli::rows::Rows;

/// Output on the terminal.
pub(super) struct Screen<'a, W> {
    format: Format,
    /// Set if rows have colours.
    coloured: bool,
    out: &'a mut W,
    rows: Rows,
    /// The calls that go on, by their sessions.
    calls: BTreeMap<String, Call>,
    /// Number of calls that have ended.
    ended: usize,
    pub(super) notifications: usize,
    /// Number of requests that the receiver has refused.
    refused: usize,
}

/// Events of a call so far.
#[derive(Default)]
struct Call {
    /// The last sequence: a notification that comes again is not printed again.
    sequence: u64,
    /// Its parties, and whether each has ended.
    parties: BTreeMap<String, bool>,
}

impl<'a, W: Write> Screen<'a, W> {
    pub(super) fn new(format: Format, out: &'a mut W) -> Self {
        let coloured = format == Format::Text && has_colours();
        let (rows, calls) = (Rows::default(), BTreeMap::new());
        Self { format, coloured, out, rows, calls, ended: 0, notifications: 0, refused: 0 }
    }

    /// Prints what is meant for people.
    pub(super) fn say(&mut self, text: &str) -> anyhow::Result<()> {
        if self.format == Format::Text {
            writeln!(self.out, "{text}")?;
            self.out.flush()?;
        }
        Ok(())
    }

    /// Says what happens in a call that begins.
    pub(super) fn begun(&mut self, title: &str) -> anyhow::Result<()> {
        let line = self.painted(BOLD, &format!("              {title}"));
        self.say(&line)
    }

    /// Says that the receiver has failed.
    pub(super) fn refused(&mut self, status: StatusCode) -> anyhow::Result<()> {
        self.refused += 1;
        let text = format!("              the receiver answers {}; the server tries again", status.as_u16());
        let line = self.painted(RED, &text);
        self.say(&line)
    }

    /// Prints a notification.
    pub(super) fn notification(&mut self, body: &[u8]) -> anyhow::Result<()> {
        let notification: Value = serde_json::from_slice(body).context("a notification is no JSON")?;
        let event = &notification["body"];
        let party = &event["parties"][0];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (session, code) = (text(&event["telephonySessionId"]), text(&party["status"]["code"]));
        let sequence = event["sequence"].as_u64().unwrap_or_default();
        let call = self.calls.entry(session.clone()).or_default();
        if sequence <= call.sequence {
            return Ok(());
        }
        call.sequence = sequence;
        call.parties.insert(text(&party["id"]), matches!(code.as_str(), "Disconnected" | "Gone"));
        if call.parties.values().all(|&ended| ended) {
            self.calls.remove(&session);
            self.ended += 1;
        }
        self.notifications += 1;
        match self.format {
            Format::Json => {
                writeln!(self.out, "{}", escape::json(&String::from_utf8_lossy(body)))?;
            }
            Format::Text => {
                let colour = if party["missedCall"] == true { RED } else { colour(&code) };
                let row = self.rows.row(&notification);
                writeln!(self.out, "{}", self.painted(colour, &row))?;
            }
        }
        self.out.flush()?;
        Ok(())
    }

    /// Returns `true` if so many calls have begun and ended.
    pub(super) fn calls_have_ended(&self, count: usize) -> bool {
        self.calls.is_empty() && self.ended >= count
    }

    /// The sentence at the end; `heard` is what came by the WebSocket.
    pub(super) fn last_line(&self, before: &str, heard: usize) -> String {
        format!(
            "{before}{} notifications of {} calls have arrived by webhook ({} attempts failed) and {heard} by WebSocket. \
             The server has stopped; nothing is left behind.",
            self.notifications,
            self.ended + self.calls.len(),
            self.refused
        )
    }

    fn painted(&self, colour: &str, text: &str) -> String {
        if self.coloured { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

const BOLD: &str = "1";
const RED: &str = "31";

/// The colour of a status.
fn colour(code: &str) -> &'static str {
    match code {
        "Proceeding" => "33",
        "Answered" => "32",
        "Hold" => "36",
        "Parked" => "35",
        "VoiceMail" => "34",
        _ => "2",
    }
}

/// Returns `true` if the output is a terminal of somebody who wants colours (no-color.org).
fn has_colours() -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
    io::stdout().is_terminal() && !refused && !dumb
}
