//! Messages on their way from the thread that reads files to the one that reads SIP.

use std::net::SocketAddr;
use std::ops::Range;

use hookswitch_model::{InputRef, Timestamp};
use hookswitch_signal::capture::{Captured, Transport};
use hookswitch_signal::sip::{Layout, Message, SipError};

/// Number of bytes of messages that a batch holds, about: few enough to stay in a core's own cache.
const BATCH_BYTES: usize = 96 * 1024;

/// Some messages with their bytes.
pub struct Batch {
    bytes: Vec<u8>,
    items: Vec<Item>,
}

/// A message, as [`Captured`], with places instead of bytes.
struct Item {
    input: InputRef,
    time: Timestamp,
    transport: Transport,
    src: SocketAddr,
    dst: SocketAddr,
    packet: u64,
    correlation: Option<Range<usize>>,
    payload: Range<usize>,
    /// None for what is no SIP.
    layout: Option<Result<Layout, SipError>>,
}

/// A message that was read as SIP.
pub type Read<'a> = Result<Message<'a>, SipError>;

impl Default for Batch {
    fn default() -> Self {
        Self { bytes: Vec::with_capacity(2 * BATCH_BYTES), items: Vec::with_capacity(BATCH_BYTES / 256) }
    }
}

impl Batch {
    /// Adds a message, and looks where its parts stand.
    pub fn push(&mut self, captured: &Captured<'_>, input: InputRef) {
        let correlation = captured.correlation.map(|id| self.append(id));
        let payload = self.append(captured.payload);
        let &Captured { time, transport, src, dst, packet, .. } = captured;
        let layout = transport.is_sip().then(|| Layout::of(captured.payload));
        self.items.push(Item { input, time, transport, src, dst, packet, correlation, payload, layout });
    }

    /// Returns `true` if it is time to hand the batch over.
    pub fn is_full(&self) -> bool {
        self.bytes.len() >= BATCH_BYTES
    }

    /// The messages, in the order in which they were added, each read as SIP; none for what is no SIP.
    pub fn iter(&self) -> impl Iterator<Item = (Captured<'_>, InputRef, Option<Read<'_>>)> {
        self.items.iter().map(|item| {
            let captured = Captured {
                time: item.time,
                transport: item.transport,
                src: item.src,
                dst: item.dst,
                packet: item.packet,
                correlation: item.correlation.clone().map(|range| &self.bytes[range]),
                payload: &self.bytes[item.payload.clone()],
            };
            let message = item.layout.as_ref().map(|layout| match layout {
                Ok(layout) => Message::read(captured.payload, layout),
                Err(error) => Err(*error),
            });
            (captured, item.input, message)
        })
    }

    /// Empties the batch and keeps its memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.items.clear();
    }

    fn append(&mut self, bytes: &[u8]) -> Range<usize> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        start..self.bytes.len()
    }
}
