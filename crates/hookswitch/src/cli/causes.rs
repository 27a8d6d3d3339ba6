//! Causes that `replay --explain` adds to an event: the messages, and the rule.

use std::collections::HashMap;
use std::io::Write;

use hookswitch_model::{Event, InputRef, Note};
use serde::Serialize;

/// The messages of a replay, remembered so that events can name them.
pub(super) struct Messages {
    files: Vec<String>,
    /// Packet number and start line.
    known: HashMap<InputRef, (u64, Box<str>)>,
}

#[derive(Serialize)]
struct Explanation<'a> {
    rule: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<&'static str>,
    messages: Vec<Cause<'a>>,
}

#[derive(Serialize)]
struct Cause<'a> {
    file: &'a str,
    packet: u64,
    start_line: &'a str,
}

impl Messages {
    /// No messages yet, of the files with these names.
    pub(super) fn of(files: Vec<String>) -> Self {
        Self { files, known: HashMap::new() }
    }

    /// Remembers a message.
    pub(super) fn add(&mut self, input: InputRef, packet: u64, start_line: Box<str>) {
        self.known.insert(input, (packet, start_line));
    }

    /// Puts the explanation into a notification, as its last key `explain`.
    pub(super) fn write(&self, event: &Event, notification: &mut Vec<u8>) -> anyhow::Result<()> {
        let explanation = Explanation {
            rule: event.rule.as_str(),
            notes: event.notes.iter().map(Note::as_str).collect(),
            messages: self.causes(event).collect(),
        };
        let end = notification.pop();
        debug_assert_eq!(end, Some(b'}'), "a notification is one JSON object");
        notification.write_all(b",\"explain\":")?;
        serde_json::to_writer(&mut *notification, &explanation)?;
        notification.push(b'}');
        Ok(())
    }

    /// The explanation as lines of text.
    pub(super) fn lines(&self, event: &Event) -> Vec<String> {
        let causes = self.causes(event);
        let causes =
            causes.map(|cause| format!("{} packet {}: {}", cause.file, cause.packet, cause.start_line));
        let notes = event.notes.iter().map(|note| note.as_str().to_owned());
        std::iter::once(format!("because {}", event.rule)).chain(causes).chain(notes).collect()
    }

    fn causes(&self, event: &Event) -> impl Iterator<Item = Cause<'_>> {
        event.causes.iter().filter_map(|input| {
            let (packet, start_line) = self.known.get(&input)?;
            Some(Cause { file: &self.files[usize::from(input.source)], packet: *packet, start_line })
        })
    }
}
