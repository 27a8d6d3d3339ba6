//! Messages of the streams: batches of a partition, the beginning of an owner's term, and
//! changes of documents.
//!
//! A message begins with the version of its form and its kind. A form that changes gets a new version and
//! keeps its reader, because nodes of two versions share a log while they are upgraded one by one.

use std::collections::HashMap;

use hookswitch_model::Timestamp;
use serde::{Deserialize, Serialize};

use crate::batch::{Batch, EventRow, IngestId, InputRow};
use crate::partition::Partition;
use crate::record::{self, RecordError};
use crate::rows::Rows;
use crate::{Change, Ends, Expected, Journal};

/// The version of the forms below.
const VERSION: u8 = 1;

/// The bits of an event's position that count the events of a message; the sequence of the message stands
/// above them.
pub(super) const EVENT_BITS: u32 = 16;

/// The most events of a message.
pub(super) const EVENTS_MAX: usize = (1 << EVENT_BITS) - 1;

/// The position before the first event of a message.
pub(super) const fn events_start(sequence: u64) -> u64 {
    sequence << EVENT_BITS
}

/// Contents of a message of the log or of the documents.
pub(crate) enum Entry {
    /// Inputs of a partition, and all that followed from them.
    Batch(Batch),
    /// A node begins to own a partition.
    Term(Term),
    /// Changes of documents, made together.
    Changes(Changes),
    /// Rows of another store.
    Rows(Rows),
}

/// The beginning of an owner's term.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Term {
    pub partition: Partition,
    /// The name of the node.
    pub node: String,
}

/// Changes of documents, and who made them.
#[derive(Clone, Debug)]
pub(crate) struct Changes {
    /// Drawn for the message, so that its writer recognises it.
    pub id: u64,
    /// The last change before, as far as its writer knew.
    pub after: u64,
    pub all: Vec<Change>,
    /// Journal of what was done to deliver.
    pub journal: Journal,
}

/// A message that cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum WireError {
    #[error("a message of form {0}, which this Hookswitch does not know; start the newer one")]
    Form(u8),
    #[error("a message of kind {0}, which this Hookswitch does not know; start the newer one")]
    Kind(u8),
    #[error("a message of the stream is damaged")]
    Damaged(#[from] postcard::Error),
    #[error(transparent)]
    Record(#[from] RecordError),
}

const BATCH: u8 = 1;
const TERM: u8 = 2;
const CHANGES: u8 = 3;
const ROWS: u8 = 4;

#[derive(Serialize, Deserialize)]
struct BatchHead {
    partition: Partition,
    /// The message by which the term began in which it was written.
    term: u64,
    /// The position of the input before.
    after: u64,
    /// Point up to which the intake of the partition was taken, with this batch, and behind which message it is read again.
    taken: u64,
    intake: u64,
    inputs: Vec<InputRecord>,
    events: Vec<EventRecord>,
    ids: Vec<(u16, String, u64)>,
}

/// The ranges are of the bytes behind the head.
#[derive(Serialize, Deserialize)]
struct InputRecord {
    kind: u8,
    source: u16,
    at: i64,
    arrival: i64,
    place: (u32, u32),
    body: (u32, u32),
}

#[derive(Serialize, Deserialize)]
struct EventRecord {
    arrival: i64,
    body: (u32, u32),
}

#[derive(Serialize, Deserialize)]
struct ChangesRecord {
    id: u64,
    after: u64,
    changes: Vec<ChangeRecord>,
    journal: Journal,
}

#[derive(Serialize, Deserialize)]
struct ChangeRecord {
    kind: String,
    id: String,
    /// Set if it holds only if there is no such document yet.
    first: bool,
    content: Option<String>,
}

/// Writes a batch.
pub(super) fn write_batch(batch: &Batch) -> Vec<u8> {
    let range = |range: &std::ops::Range<usize>| (range.start as u32, range.end as u32);
    let head = BatchHead {
        partition: batch.partition,
        term: batch.term,
        after: batch.after.signals,
        taken: batch.taken,
        intake: batch.intake,
        inputs: batch
            .inputs
            .iter()
            .map(|row| InputRecord {
                kind: row.kind,
                source: row.source,
                at: row.at.as_micros(),
                arrival: row.arrival.as_micros(),
                place: range(&row.place),
                body: range(&row.body),
            })
            .collect(),
        events: batch
            .events
            .iter()
            .map(|row| EventRecord { arrival: row.arrival.as_micros(), body: range(&row.body) })
            .collect(),
        ids: batch.ids.iter().map(|id| (id.source, id.id.clone(), id.position)).collect(),
    };
    let mut out = written(BATCH, &head);
    out.extend_from_slice(&batch.bytes);
    out
}

/// Writes the beginning of a term.
pub(super) fn write_term(term: &Term) -> Vec<u8> {
    written(TERM, term)
}

/// Writes rows of another store.
pub(super) fn write_rows(rows: &Rows) -> Vec<u8> {
    let mut out = written(ROWS, rows);
    out.extend_from_slice(&rows.bytes);
    out
}

/// Writes changes of documents. What they expected was checked by who made them; that a document is not
/// there is checked again, because what a delivery has written of its progress comes by another stream.
pub(super) fn write_changes(id: u64, after: u64, changes: &[Change], journal: Journal) -> Vec<u8> {
    let record = |change: &Change| ChangeRecord {
        kind: change.kind.clone().into_owned(),
        id: change.id.clone(),
        first: change.expected == Expected::Absent,
        content: change.content.clone(),
    };
    let changes = changes.iter().map(record).collect();
    written(CHANGES, &ChangesRecord { id, after, changes, journal })
}

fn written(kind: u8, head: &impl Serialize) -> Vec<u8> {
    postcard::to_extend(head, vec![VERSION, kind]).expect("writing to memory does not fail")
}

/// Reads a message that stands at this sequence of its stream.
///
/// # Errors
/// If it is damaged, or of a newer form.
pub(super) fn read(message: &[u8], sequence: u64) -> Result<Entry, WireError> {
    let [version, kind, body @ ..] = message else {
        return Err(postcard::Error::DeserializeUnexpectedEnd.into());
    };
    if *version != VERSION {
        return Err(WireError::Form(*version));
    }
    match *kind {
        BATCH => read_batch(body, sequence).map(Entry::Batch),
        TERM => Ok(Entry::Term(postcard::from_bytes(body)?)),
        CHANGES => {
            let ChangesRecord { id, after, changes, journal } = postcard::from_bytes(body)?;
            let change = |record: ChangeRecord| Change {
                kind: record.kind.into(),
                id: record.id,
                expected: if record.first { Expected::Absent } else { Expected::Any },
                content: record.content,
            };
            let all = changes.into_iter().map(change).collect();
            Ok(Entry::Changes(Changes { id, after, all, journal }))
        }
        ROWS => {
            let (mut rows, bytes) = postcard::take_from_bytes::<Rows>(body)?;
            rows.bytes = bytes.to_vec();
            if !rows.is_whole() {
                return Err(postcard::Error::DeserializeBadEncoding.into());
            }
            Ok(Entry::Rows(rows))
        }
        other => Err(WireError::Kind(other)),
    }
}

fn read_batch(body: &[u8], sequence: u64) -> Result<Batch, WireError> {
    let (head, bytes): (BatchHead, _) = postcard::take_from_bytes(body)?;
    let range = |(start, end): (u32, u32)| {
        let range = start as usize..end as usize;
        bytes.get(range.clone()).map(|_| range).ok_or(postcard::Error::DeserializeBadEncoding)
    };
    if head.events.len() > EVENTS_MAX {
        return Err(postcard::Error::DeserializeBadEncoding.into());
    }
    let mut batch = Batch {
        partition: head.partition,
        after: Ends { signals: head.after, events: events_start(sequence) },
        term: head.term,
        taken: head.taken,
        intake: head.intake,
        ..Batch::default()
    };
    for row in head.inputs {
        batch.inputs.push(InputRow {
            kind: row.kind,
            source: row.source,
            at: Timestamp::from_micros(row.at),
            arrival: Timestamp::from_micros(row.arrival),
            place: range(row.place)?,
            body: range(row.body)?,
        });
    }
    for row in head.events {
        let body = range(row.body)?;
        let event = record::read_event(&bytes[body.clone()])?;
        batch.events.push(EventRow::new(event, Timestamp::from_micros(row.arrival), body));
    }
    batch.ids =
        head.ids.into_iter().map(|(source, id, position)| IngestId { source, id, position }).collect();
    batch.bytes = bytes.to_vec();
    Ok(batch)
}

/// Cuts a message into parts that are no longer than a message may be.
pub(super) fn parts(message: Vec<u8>, bytes_max: usize) -> Vec<bytes::Bytes> {
    let whole = bytes::Bytes::from(message);
    let starts = (0..whole.len()).step_by(bytes_max.max(1));
    starts.map(|start| whole.slice(start..(start + bytes_max.max(1)).min(whole.len()))).collect()
}

/// Puts the parts of one message together again.
#[derive(Debug, Default)]
struct Assembly {
    /// Of what they are.
    whole: String,
    parts: Vec<u8>,
    /// Number of parts that have come.
    come: u32,
}

impl Assembly {
    /// Takes part `number` of `count` of something, both from 1; gives the message when it is whole. Parts that
    /// nobody finished are dropped when another message begins.
    fn take(&mut self, whole: &str, number: u32, count: u32, part: &[u8]) -> Option<Vec<u8>> {
        if number == 1 {
            whole.clone_into(&mut self.whole);
            self.parts.clear();
            self.come = 0;
        }
        if number != self.come + 1 {
            // Its beginning is in the stream no longer.
            self.parts.clear();
            self.come = 0;
            return None;
        }
        self.parts.extend_from_slice(part);
        self.come = number;
        if number < count {
            return None;
        }
        self.come = 0;
        Some(std::mem::take(&mut self.parts))
    }
}

/// The most messages that are not whole; of more the oldest never will be.
const OPEN_MAX: usize = 64;

/// The messages of a stream of which some parts have come.
#[derive(Debug, Default)]
pub(super) struct Open(HashMap<String, (u64, Assembly)>);

impl Open {
    /// Takes part `number` of `count` of something, which stands at this sequence; gives it when it is whole.
    /// Of what has the same key one is open at a time.
    pub(super) fn take(
        &mut self,
        (key, whole): (&str, &str),
        sequence: u64,
        (number, count): (u32, u32),
        part: &[u8],
    ) -> Option<Vec<u8>> {
        if self.0.len() > OPEN_MAX
            && let Some((oldest, _)) = self.0.iter().min_by_key(|(_, (first, _))| *first)
        {
            // Its writer has ended in between.
            let oldest = oldest.clone();
            self.0.remove(&oldest);
        }
        if count == 1 {
            self.0.remove(key);
            return Some(part.to_vec());
        }
        if number == 1 {
            self.0.entry(key.to_owned()).or_default().0 = sequence;
        }
        // Its beginning is in the stream no longer, or another has begun since.
        let (_, assembly) = self.0.get_mut(key).filter(|(_, open)| number == 1 || open.whole == whole)?;
        let done = assembly.take(whole, number, count, part);
        if done.is_some() || number == count {
            self.0.remove(key);
        }
        done
    }

    /// Behind which message the stream is read again, so that nothing is missed; it was read up to `read`.
    pub(super) fn resume(&self, read: u64) -> u64 {
        self.0.values().map(|(first, _)| first - 1).min().unwrap_or(read)
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

/// Part `number` of `count`, as a header has it.
pub(super) fn write_part(number: usize, count: usize) -> String {
    format!("{number}/{count}")
}

/// Reads such a header; a message without one is whole.
pub(super) fn read_part(header: Option<&str>) -> Option<(u32, u32)> {
    let Some(header) = header else { return Some((1, 1)) };
    let (number, count) = header.split_once('/')?;
    Some((number.parse().ok()?, count.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes() -> Vec<Change> {
        let change = |id: &str, content: Option<&str>| Change {
            kind: "user".into(),
            id: id.to_owned(),
            expected: Expected::Absent,
            content: content.map(str::to_owned),
        };
        vec![change("101", Some(r#"{"admin":true}"#)), change("102", None)]
    }

    #[test]
    fn changes_are_read_as_they_were_written() {
        let written = write_changes(7, 6, &changes(), Journal::default());
        let Ok(Entry::Changes(read)) = read(&written, 1) else { panic!("they are changes") };
        assert_eq!((read.id, read.after), (7, 6));
        let texts = |changes: &[Change]| {
            changes
                .iter()
                .map(|change| format!("{} {} {:?}", change.kind, change.id, change.content))
                .collect::<Vec<_>>()
        };
        assert_eq!(texts(&read.all), texts(&changes()));
        assert!(read.all.iter().all(|change| change.expected == Expected::Absent));
    }

    #[test]
    fn messages_of_newer_versions_are_refused_with_the_mend() {
        let mut newer = write_term(&Term { partition: Partition::default(), node: "a".into() });
        newer[0] = 2;
        let refused = |message: &[u8]| read(message, 1).err().map(|error| error.to_string());
        assert!(refused(&newer).is_some_and(|error| error.contains("start the newer one")));
        newer[0] = VERSION;
        newer[1] = 99;
        assert!(refused(&newer).is_some_and(|error| error.contains("kind 99")));
        assert!(read(&[VERSION, BATCH, 1, 2, 3], 1).is_err());
        assert!(read(&[], 1).is_err());
    }

    #[test]
    fn a_stream_is_read_again_from_the_first_part_of_what_is_not_whole() {
        let mut open = Open::default();
        assert_eq!(open.take(("a", "a"), 5, (1, 2), b"a"), None);
        assert_eq!(open.take(("b", "b"), 6, (1, 2), b"b"), None);
        assert_eq!(open.take(("c", "c"), 7, (1, 1), b"c"), Some(b"c".to_vec()));
        assert_eq!(open.resume(7), 4);
        assert_eq!(open.take(("a", "a"), 8, (2, 2), b"A"), Some(b"aA".to_vec()));
        assert_eq!(open.resume(8), 5, "the other is not whole yet");
        assert_eq!(open.take(("b", "b"), 9, (2, 2), b"B"), Some(b"bB".to_vec()));
        assert_eq!(open.resume(9), 9);
        // Two that write to one subject at once.
        assert_eq!(open.take(("log", "x"), 10, (1, 2), b"x"), None);
        assert_eq!(open.take(("log", "y"), 11, (1, 2), b"y"), None);
        assert_eq!(open.take(("log", "x"), 12, (2, 2), b"X"), None, "another has begun since");
        assert_eq!(open.take(("log", "y"), 13, (2, 2), b"Y"), Some(b"yY".to_vec()));
        assert_eq!(open.resume(13), 13);
        for number in 14..200 {
            open.take((&number.to_string(), "x"), number, (1, 2), b"nobody goes on with it");
        }
        assert!(open.resume(200) > 100, "what never will be whole holds nothing up for ever");
    }

    #[test]
    fn parts_make_the_message_again_and_unfinished_ones_are_dropped() {
        let message: Vec<u8> = (0..=255).cycle().take(1000).collect();
        let cut = parts(message.clone(), 300);
        assert_eq!(cut.iter().map(bytes::Bytes::len).collect::<Vec<_>>(), [300, 300, 300, 100]);
        let mut assembly = Assembly::default();
        assert_eq!(assembly.take("w", 3, 4, &cut[2]), None, "its beginning is not there");
        assert_eq!(assembly.take("w", 1, 4, b"an owner that did not come further"), None);
        for (number, part) in (1..).zip(&cut[..3]) {
            assert_eq!(assembly.take("w", number, 4, part), None);
        }
        assert_eq!(assembly.take("w", 4, 4, &cut[3]), Some(message));
        assert_eq!(assembly.take("w", 1, 1, b"next"), Some(b"next".to_vec()));
        assert_eq!(read_part(Some(&write_part(2, 3))), Some((2, 3)));
        assert_eq!(
            (read_part(None), read_part(Some("x/3")), read_part(Some("3"))),
            (Some((1, 1)), None, None)
        );
    }
}
