//! What `replay --explain` adds to an event: the messages that caused it, and the rule.

use std::collections::HashMap;
use std::io::Write;

use hookswitch_model::{Event, InputRef};
use serde::Serialize;

use crate::source::captures::CaptureFiles;

/// The messages of a replay, remembered so that events can name them.
#[derive(Default)]
pub(super) struct Messages(HashMap<InputRef, (u64, Box<str>)>);

#[derive(Serialize)]
struct Explanation<'a> {
    rule: &'static str,
    messages: Vec<Cause<'a>>,
}

#[derive(Serialize)]
struct Cause<'a> {
    file: &'a str,
    packet: u64,
    start_line: &'a str,
}

impl Messages {
    /// Remembers a message.
    pub(super) fn add(&mut self, input: InputRef, packet: u64, start_line: &str) {
        self.0.insert(input, (packet, Box::from(start_line)));
    }

    /// Puts the explanation into a notification, as its last key `explain`.
    pub(super) fn write(
        &self,
        event: &Event,
        files: &CaptureFiles,
        notification: &mut Vec<u8>,
    ) -> anyhow::Result<()> {
        let cause = |input: InputRef| {
            let (packet, start_line) = self.0.get(&input)?;
            Some(Cause { file: files.name(input.source), packet: *packet, start_line })
        };
        let explanation = Explanation {
            rule: event.rule.as_str(),
            messages: event.causes.iter().filter_map(cause).collect(),
        };
        let end = notification.pop();
        debug_assert_eq!(end, Some(b'}'), "a notification is one JSON object");
        notification.write_all(b",\"explain\":")?;
        serde_json::to_writer(&mut *notification, &explanation)?;
        notification.push(b'}');
        Ok(())
    }

    /// The explanation as lines of text.
    pub(super) fn lines(&self, event: &Event, files: &CaptureFiles) -> Vec<String> {
        let mut lines = vec![format!("because {}", event.rule)];
        for (packet, start_line, source) in event
            .causes
            .iter()
            .filter_map(|input| self.0.get(&input).map(|(packet, line)| (packet, line, input.source)))
        {
            lines.push(format!("{} packet {packet}: {start_line}", files.name(source)));
        }
        lines
    }
}
