//! `replay --format text`: each call as a small table.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::Write;

use hookswitch_model::{Endpoint, Event, StatusCode, TelephonySessionId};
use hookswitch_server::escape;

/// The calls of a replay, in the order in which they began.
#[derive(Default)]
pub(super) struct Table {
    order: Vec<TelephonySessionId>,
    calls: HashMap<TelephonySessionId, Vec<Row>>,
}

struct Row {
    event: Event,
    explanation: Vec<String>,
}

impl Table {
    /// Adds an event, and the lines that explain it.
    pub(super) fn add(&mut self, event: Event, explanation: Vec<String>) {
        let id = event.session.id;
        let rows = self.calls.entry(id).or_insert_with(|| {
            self.order.push(id);
            Vec::new()
        });
        rows.push(Row { event, explanation });
    }

    /// Writes all calls.
    pub(super) fn write(&self, out: &mut impl Write) -> anyhow::Result<()> {
        for (index, id) in self.order.iter().enumerate() {
            if index > 0 {
                writeln!(out)?;
            }
            self.write_call(index + 1, &self.calls[id], out)?;
        }
        if self.order.is_empty() {
            writeln!(out, "no calls")?;
        }
        Ok(())
    }

    fn write_call(&self, number: usize, rows: &[Row], out: &mut impl Write) -> anyhow::Result<()> {
        let Some(first) = rows.first() else { return Ok(()) };
        let session = &first.event.session;
        writeln!(out, "{} {number} {} began {}", session.origin, session.id, first.event.at)?;
        let call_of = |id: &TelephonySessionId| Some(self.order.iter().position(|call| call == id)? + 1);
        let parties: Vec<String> = rows.iter().map(|row| party(&row.event)).collect();
        let width = parties.iter().map(|party| party.chars().count()).max().unwrap_or(0);
        for (row, party) in rows.iter().zip(&parties) {
            let event = &row.event;
            let since = event.at.as_micros() - first.event.at.as_micros();
            let seconds = format!("{}.{:03}", since / 1_000_000, since / 1000 % 1000);
            writeln!(
                out,
                "{:>5}  {seconds:>9} s  p{} {:<8}  {party:<width$}  {}",
                event.sequence,
                event.party.id.number,
                event.party.direction.as_str(),
                status(event, call_of),
            )?;
            for line in &row.explanation {
                writeln!(out, "                      {}", escape::plain(line))?;
            }
        }
        Ok(())
    }
}

/// The status of a party after an event, with what belongs to it.
fn status(event: &Event, call_of: impl Fn(&TelephonySessionId) -> Option<usize>) -> String {
    let status = &event.party.status;
    let mut text = status.code.to_string();
    if let Some(reason) = status.reason {
        let _ = write!(text, " {reason}");
    }
    match status.park_data.as_deref() {
        Some("") => text.push_str(", slot unknown"),
        Some(slot) => {
            let _ = write!(text, " in {}", escape::plain(slot));
        }
        None => {}
    }
    if let Some(peer) = &status.peer {
        match call_of(&peer.party.session) {
            Some(call) => {
                let _ = write!(text, " to call {call} p{}", peer.party.number);
            }
            None => {
                let _ = write!(text, " to {}", peer.party);
            }
        }
    }
    if event.party.missed_call && status.code != StatusCode::VoiceMail {
        text.push_str(" missed");
    }
    text
}

/// Returns whose party it is: the side of the leg that is the party itself.
fn party(event: &Event) -> String {
    let party = &event.party;
    let side = match party.direction {
        hookswitch_model::Direction::Outbound => &party.from,
        hookswitch_model::Direction::Inbound => &party.to,
    };
    let mut text = endpoint(side);
    if party.extension.is_none() {
        text.push_str(" (outside)");
    }
    text
}

/// Number and name.
fn endpoint(side: &Endpoint) -> String {
    let number = side.phone_number.as_deref();
    let text = match (number, side.name.as_deref()) {
        (Some(number), Some(name)) => format!("{number} {name}"),
        (Some(one), None) | (None, Some(one)) => one.to_owned(),
        (None, None) => "withheld".to_owned(),
    };
    escape::plain(&text).into_owned()
}
