//! Messages on their way from a socket to the machine.

use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use hookswitch_model::Timestamp;
use hookswitch_signal::capture::Transport;

use super::access::Access;

/// The most messages and bytes that are handed over at once: what a sender of 150,000 messages a second
/// sends in a fifth of a second, while the machine waits for a slow sync.
const ITEMS_MAX: usize = 32 * 1024;
const BYTES_MAX: usize = 16 * 1024 * 1024;

/// Some messages that came in together.
#[derive(Default)]
pub struct Frames {
    /// By which access they came in.
    pub access: Arc<Access>,
    /// Time when they came in, by the clock of this machine.
    pub arrival: Timestamp,
    items: Vec<(Item, Option<Range<usize>>, Range<usize>)>,
    bytes: Vec<u8>,
}

/// Header of a frame beside its message.
#[derive(Clone, Copy, Debug)]
pub struct Item {
    /// The place of its source in the access.
    pub source: u16,
    /// Sender of the frame.
    pub from: IpAddr,
    /// The id that the capture agent gives itself (chunk 12), or 0.
    pub agent: u32,
    /// Time when the agent saw the message.
    pub time: Option<Timestamp>,
    pub transport: Transport,
    pub src: SocketAddr,
    pub dst: SocketAddr,
}

impl Frames {
    /// None yet of those that came in then.
    pub fn new(access: Arc<Access>, arrival: Timestamp) -> Self {
        Self { access, arrival, ..Self::default() }
    }

    pub(crate) fn push(&mut self, item: Item, correlation: Option<&[u8]>, payload: &[u8]) {
        let correlation = correlation.map(|id| self.append(id));
        let payload = self.append(payload);
        self.items.push((item, correlation, payload));
    }

    /// Returns `true` if no more fits.
    pub(crate) fn is_full(&self) -> bool {
        self.items.len() >= ITEMS_MAX || self.bytes.len() >= BYTES_MAX
    }

    /// Returns `true` if nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Each message with its correlation id.
    pub fn iter(&self) -> impl Iterator<Item = (&Item, Option<&[u8]>, &[u8])> {
        self.items.iter().map(|(item, correlation, payload)| {
            (item, correlation.clone().map(|range| &self.bytes[range]), &self.bytes[payload.clone()])
        })
    }

    /// The bytes of all messages.
    pub(crate) fn len_bytes(&self) -> usize {
        self.bytes.len()
    }

    fn append(&mut self, bytes: &[u8]) -> Range<usize> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        start..self.bytes.len()
    }
}

/// The batches of one listener. They go round: what the machine has not given back is not there to
/// be filled, so that no listener can fill the machine's memory.
pub(crate) struct Pool {
    used: Receiver<Frames>,
    back: Sender<Frames>,
}

impl Pool {
    /// A pool of so many batches.
    pub(crate) fn new(size: usize) -> Self {
        let (back, used) = channel();
        for _ in 0..size {
            back.send(Frames::default()).ok(); // the receiver is here
        }
        Self { used, back }
    }

    /// An empty batch, if one has come back.
    pub(crate) fn take(&mut self) -> Option<Frames> {
        let mut frames = self.used.try_recv().ok()?;
        frames.items.clear();
        frames.bytes.clear();
        Some(frames)
    }

    /// Returns where used batches come back.
    pub(crate) fn back(&self) -> Sender<Frames> {
        self.back.clone()
    }
}
