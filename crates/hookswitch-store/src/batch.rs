//! Some inputs and all that followed from them, to be written as one.

use std::ops::Range;
use std::sync::Arc;

use hookswitch_model::{Event, TelephonySessionId, Timestamp};

use super::Ends;
use super::partition::Partition;
use super::record::{self, Message, kind};

/// Some inputs and all that followed from them, to be written as one.
#[derive(Default)]
pub struct Batch {
    /// Partition of the inputs.
    pub(super) partition: Partition,
    /// Ends that the logs must have for the batch to follow.
    pub(super) after: Ends,
    /// The message by which the term of its writer began; 0 on a server alone.
    pub(super) term: u64,
    /// Point up to which the intake of the partition is taken with it, and behind which message it is read again; 0 if
    /// it has none.
    pub(super) taken: u64,
    pub(super) intake: u64,
    /// The bytes of all rows.
    pub(super) bytes: Vec<u8>,
    pub(super) inputs: Vec<InputRow>,
    pub(super) events: Vec<EventRow>,
    pub(super) ids: Vec<IngestId>,
    /// Senders that are told when the batch is on disk.
    pub(super) waiting: Vec<Acknowledge>,
}

/// Tells somebody that what was handed in is on disk. It is dropped when that will not be.
pub type Acknowledge = Box<dyn FnOnce() + Send>;

/// A row of the signal log.
pub(super) struct InputRow {
    pub(super) kind: u8,
    pub(super) source: u16,
    pub(super) at: Timestamp,
    /// Time when it came in, by the clock of this machine.
    pub(super) arrival: Timestamp,
    pub(super) place: Range<usize>,
    pub(super) body: Range<usize>,
}

/// A row of the event log.
pub(super) struct EventRow {
    pub(super) session: TelephonySessionId,
    pub(super) sequence: u32,
    pub(super) at: Timestamp,
    /// The positions of the inputs that caused it.
    pub(super) causes: Vec<u64>,
    pub(super) body: Range<usize>,
    pub(super) arrival: Timestamp,
    /// For those who follow the log, so that they need not read it.
    pub(super) event: Arc<Event>,
}

impl EventRow {
    /// The row of an event whose record stands at `body` in the bytes of its batch.
    pub(super) fn new(event: Event, arrival: Timestamp, body: Range<usize>) -> Self {
        Self {
            session: event.session.id,
            sequence: event.sequence,
            at: event.at,
            causes: event.causes.iter().map(|input| input.number).collect(),
            body,
            arrival,
            event: Arc::new(event),
        }
    }
}

/// The id that a client has given to a signal.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IngestId {
    /// Source.
    pub source: u16,
    /// The id, unique among those of its source.
    pub id: String,
    /// Position of the signal in the log.
    pub position: u64,
}

impl Batch {
    /// An empty batch that follows where the logs end.
    pub fn after(partition: Partition, after: Ends) -> Self {
        Self { partition, after, ..Self::default() }
    }

    /// An empty batch that follows this one.
    #[must_use]
    pub fn next(&self) -> Self {
        Self {
            partition: self.partition,
            after: self.ends(),
            taken: self.taken,
            intake: self.intake,
            ..Self::default()
        }
    }

    /// Returns where the logs end after the batch.
    pub fn ends(&self) -> Ends {
        Ends {
            signals: self.after.signals + self.inputs.len() as u64,
            events: self.after.events + self.events.len() as u64,
        }
    }

    /// Adds a batch that follows this one.
    pub(super) fn absorb(&mut self, mut next: Self) {
        debug_assert_eq!(next.after.signals, self.ends().signals, "it follows");
        let by = self.bytes.len();
        let moved = |range: Range<usize>| range.start + by..range.end + by;
        self.bytes.append(&mut next.bytes);
        self.inputs.extend(next.inputs.into_iter().map(|row| InputRow {
            place: moved(row.place),
            body: moved(row.body),
            ..row
        }));
        self.events.extend(next.events.into_iter().map(|row| EventRow { body: moved(row.body), ..row }));
        self.ids.append(&mut next.ids);
        self.waiting.append(&mut next.waiting);
        self.taken = self.taken.max(next.taken);
        self.intake = self.intake.max(next.intake);
    }

    /// Returns `true` if nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.inputs.is_empty() && self.waiting.is_empty()
    }

    /// The bytes in it.
    pub fn len_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Adds a message, and gives its position.
    pub fn add_message(&mut self, message: &Message<'_>, arrival: Timestamp) -> u64 {
        let start = self.bytes.len();
        message.write_place(&mut self.bytes);
        let middle = self.bytes.len();
        self.bytes.extend_from_slice(message.payload);
        let end = self.bytes.len();
        self.push(kind::MESSAGE, message.source, message.at, arrival, start..middle, middle..end)
    }

    /// Adds another input by its body, and gives its position.
    pub fn add_input(
        &mut self,
        kind: u8,
        source: u16,
        at: Timestamp,
        arrival: Timestamp,
        body: &[u8],
    ) -> u64 {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(body);
        self.push(kind, source, at, arrival, start..start, start..self.bytes.len())
    }

    fn push(
        &mut self,
        kind: u8,
        source: u16,
        at: Timestamp,
        arrival: Timestamp,
        place: Range<usize>,
        body: Range<usize>,
    ) -> u64 {
        self.inputs.push(InputRow { kind, source, at, arrival, place, body });
        self.ends().signals
    }

    /// Adds an event that followed.
    pub fn add_event(&mut self, event: Event, arrival: Timestamp) {
        let start = self.bytes.len();
        record::write_event(&event, &mut self.bytes);
        self.events.push(EventRow::new(event, arrival, start..self.bytes.len()));
    }

    /// Adds the id that a client has given to a signal of the batch.
    pub fn add_id(&mut self, id: IngestId) {
        self.ids.push(id);
    }

    /// The batch takes the intake of its partition up to the message `taken`, and it is read again behind
    /// `resume`.
    pub fn set_intake(&mut self, taken: u64, resume: u64) {
        self.taken = self.taken.max(taken);
        self.intake = self.intake.max(resume);
    }

    /// Tells somebody when the batch is on disk.
    pub fn add_waiting(&mut self, acknowledge: Acknowledge) {
        self.waiting.push(acknowledge);
    }
}
