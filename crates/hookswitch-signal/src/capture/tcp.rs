//! Puts TCP streams back together (RFC 9293) and takes the messages out of them.
//!
//! Each direction is a stream of its own; of the other direction only the acknowledgements
//! matter, which prove that a missing segment was received and will not come again.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::ops::Range;
use std::time::Duration;

use hookswitch_model::Timestamp;

use super::counters::Counters;
use super::framing::{self, Front, MESSAGE_BYTES_MAX};
use super::hep;
use super::packet::Segment;
use super::sniff::{self, Sniff};
use super::websocket;

/// Streams followed at once, each direction one. A large SBC has some ten thousand connections
/// open; an idle stream takes some 300 bytes.
const STREAMS_MAX: usize = 32_768;

/// Bytes kept over all streams, so that a file of nothing but beginnings stays within memory.
const BYTES_MAX: usize = 16 << 20;

/// Bytes kept of one stream behind a hole, waiting for the hole to be filled.
const HELD_BYTES_MAX: usize = 64 * 1024;

/// Segments kept of one stream behind a hole; networks hardly reorder further.
const HELD_SEGMENTS_MAX: usize = 64;

/// Lead on the expected byte that a segment may have and still wait for what is between: a few
/// of the largest segments that offloading network cards hand up (64 KiB).
const AHEAD_BYTES_MAX: u32 = 256 * 1024;

/// Distance from the expected byte at which a segment still belongs to the stream, either way.
/// What lies further is another connection with the same ports, whose SYN was not captured.
const DISTANCE_BYTES_MAX: u32 = 4 << 20;

/// Time for which a hole may stay open, in capture time. A sender repeats a segment after 1 s (RFC 6298
/// §2.1) and again after 2 s.
const HOLE_PATIENCE: Duration = Duration::from_secs(4);

/// The port of SIP over TLS (RFC 3261 §19.1.2).
const SIPS_PORT: u16 = 5061;

/// Bytes that an empty buffer keeps, enough for most messages.
const IDLE_BUFFER_BYTES: usize = 2048;

/// The packet that something was learnt from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) packet: u64,
    pub(super) time: Timestamp,
}

/// Kind of unit found in a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Sip,
    Hep,
}

/// A message or frame, as its place in [`Streams`].
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) kind: Kind,
    pub(super) src: SocketAddr,
    pub(super) dst: SocketAddr,
    /// The packet that completed it.
    pub(super) seen: Seen,
    /// That packet is not the last one read, as others were waited for in vain.
    pub(super) released: bool,
    place: SegmentState,
    /// It came in several frames of a WebSocket, and was put together beside the stream.
    joined: bool,
    pub(super) bytes: Range<usize>,
}

/// A message as its place in its stream.
struct Taken {
    kind: Kind,
    joined: bool,
    bytes: Range<usize>,
    /// It ends early, as the rest was not captured.
    cut: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SegmentState {
    Retired,
    Open(usize),
}

type Direction = (SocketAddr, SocketAddr);

/// The streams of a capture.
#[derive(Default)]
pub(super) struct Streams {
    index: HashMap<Direction, usize>,
    open: Vec<Stream>,
    /// Streams that nothing is added to any more, with what can still be read from them.
    retired: VecDeque<Stream>,
    /// The streams that the last segment has touched.
    touched: VecDeque<usize>,
    /// Bytes kept in `open`.
    bytes: usize,
    tick: u64,
}

impl Streams {
    /// Takes a segment in. Call [`poll`](Self::poll) until it gives nothing before the next.
    pub(super) fn push(&mut self, segment: &Segment<'_>, seen: Seen, counters: &mut Counters) {
        counters.tcp_bytes += segment.payload.len() as u64;
        self.tick += 1;
        if self.open.len() >= STREAMS_MAX || self.bytes >= BYTES_MAX {
            self.evict(counters);
        }
        if let Some(acknowledged) = segment.acknowledged
            && let Some(&other) = self.index.get(&(segment.dst, segment.src))
            && self.open[other].acknowledge(acknowledged)
        {
            self.touched.push_back(other);
        }
        let direction = (segment.src, segment.dst);
        let at = match self.index.get(&direction) {
            Some(&at) => at,
            // Nothing is learnt from an acknowledgement alone.
            None if segment.payload.is_empty() && !segment.syn => return,
            None => {
                self.open.push(Stream::new(direction, segment));
                self.index.insert(direction, self.open.len() - 1);
                self.open.len() - 1
            }
        };
        let tick = self.tick;
        let stream = &mut self.open[at];
        if stream.is_another(segment) {
            let fresh = Stream::new(direction, segment);
            let old = std::mem::replace(stream, fresh);
            self.bytes -= old.counted;
            self.retired.push_back(old);
        }
        let stream = &mut self.open[at];
        stream.tick = tick;
        stream.push(segment, seen, counters);
        self.touched.push_back(at);
    }

    /// The next message that the last segment has completed.
    pub(super) fn poll(&mut self, counters: &mut Counters) -> Option<Found> {
        while let Some(stream) = self.retired.front_mut() {
            if let Some(taken) = stream.next(true, counters) {
                return Some(stream.found(taken, SegmentState::Retired));
            }
            counters.tcp_skipped_bytes += (stream.unread().len() + stream.unjoined()) as u64;
            self.retired.pop_front();
        }
        while let Some(&at) = self.touched.front() {
            let stream = &mut self.open[at];
            if let Some(taken) = stream.next(false, counters) {
                return Some(stream.found(taken, SegmentState::Open(at)));
            }
            stream.patient = true;
            let size = stream.size();
            self.bytes = self.bytes - stream.counted + size;
            stream.counted = size;
            self.touched.pop_front();
        }
        None
    }

    /// Gives every stream up, at the end of the file, in the order they were last used.
    pub(super) fn finish(&mut self) {
        let mut open = std::mem::take(&mut self.open);
        self.index.clear();
        self.bytes = 0;
        open.sort_unstable_by_key(|stream| stream.tick);
        self.retired.extend(open);
    }

    /// The bytes of what was last polled.
    pub(super) fn bytes(&self, found: &Found) -> &[u8] {
        let stream = match found.place {
            SegmentState::Retired => self.retired.front(),
            SegmentState::Open(at) => self.open.get(at),
        };
        let kept = stream.map(|stream| if found.joined { &stream.joined } else { &stream.buffer });
        kept.and_then(|kept| kept.get(found.bytes.clone())).unwrap_or_default()
    }

    /// Gives up the quarter of the streams that was not used for longest, so that the search for
    /// it is paid by many.
    fn evict(&mut self, counters: &mut Counters) {
        self.open.sort_unstable_by_key(|stream| std::cmp::Reverse(stream.tick));
        let kept = self.open.len() - self.open.len().div_ceil(4);
        let evicted = self.open.split_off(kept);
        counters.tcp_evicted_streams += evicted.len() as u64;
        self.retired.extend(evicted.into_iter().rev());
        self.index.clear();
        self.bytes = 0;
        for (at, stream) in self.open.iter().enumerate() {
            self.index.insert(stream.direction, at);
            self.bytes += stream.counted;
        }
    }
}

/// One direction of one connection.
struct Stream {
    direction: Direction,
    /// Time when it was last used, in segments of the capture.
    tick: u64,
    /// The sequence number of the first byte.
    first: u32,
    /// The sequence number of the next byte to go into `buffer`.
    expected: u32,
    /// Bytes in order; those before `start` are read.
    buffer: Vec<u8>,
    start: usize,
    /// How much of the message at `start` is known not to end its header block.
    searched: usize,
    /// The length of the message at `start`, once it is known.
    wanted: usize,
    reading: Reading,
    /// Messages have come out of it, so what is missing from it is a loss.
    useful: bool,
    /// HEP frames have come out of it.
    hep: bool,
    /// TLS was seen in it.
    tls: bool,
    /// The message of a WebSocket that comes in several frames, as far as it has come, or the last one that did.
    joined: Vec<u8>,
    joining: Joining,
    /// Bytes that were sent behind those in `buffer` but not captured.
    cut: u32,
    /// Segments behind a hole, in order.
    held: VecDeque<Held>,
    held_bytes: usize,
    /// Set if the hole may still be filled.
    patient: bool,
    hole_since: Timestamp,
    /// A FIN or RST was seen.
    closed: bool,
    seen: Seen,
    /// The packet that brought the last bytes of `buffer`.
    appended: Seen,
    /// What is in `buffer` was released from behind a hole that was given up, so `seen` is older
    /// than the packet last read.
    released: bool,
    /// The bytes of this stream that [`Streams`] counts.
    counted: usize,
}

/// Kind of unit expected at the front of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    /// The next message, as the one before ended here, or the stream begins.
    Message,
    /// Perhaps a message: a line begins here, or a segment.
    Line,
    /// The rest of a line that is not the beginning of a message.
    Rest,
    /// The next frame of a WebSocket.
    Frame,
}

/// Message that the next frame of a WebSocket may continue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Joining {
    Nothing,
    /// The message in `joined`.
    Message,
    /// A message that is not read.
    Skipped,
}

/// Outcome of a frame of a WebSocket.
enum Framed {
    Message(Taken),
    Nothing,
    /// It has not come yet.
    Partial,
    /// It is no frame.
    Broken,
}

/// A segment behind a hole.
struct Held {
    sequence: u32,
    bytes: Vec<u8>,
    /// Bytes behind it that were not captured.
    cut: u32,
    seen: Seen,
}

impl Stream {
    fn new(direction: Direction, segment: &Segment<'_>) -> Self {
        let first = segment.sequence.wrapping_add(u32::from(segment.syn));
        Self {
            direction,
            tick: 0,
            first,
            expected: first,
            buffer: Vec::new(),
            start: 0,
            searched: 0,
            wanted: 0,
            reading: if segment.syn { Reading::Message } else { Reading::Line },
            useful: false,
            hep: false,
            tls: false,
            joined: Vec::new(),
            joining: Joining::Nothing,
            cut: 0,
            held: VecDeque::new(),
            held_bytes: 0,
            patient: true,
            hole_since: Timestamp::default(),
            closed: false,
            seen: Seen { packet: 0, time: Timestamp::default() },
            appended: Seen { packet: 0, time: Timestamp::default() },
            released: false,
            counted: 0,
        }
    }

    /// Returns `true` if the segment opens another connection with the same addresses and ports.
    fn is_another(&self, segment: &Segment<'_>) -> bool {
        if segment.syn {
            return self.closed || segment.sequence.wrapping_add(1) != self.first;
        }
        let behind = self.expected.wrapping_sub(segment.sequence);
        let ahead = behind.wrapping_neg();
        !segment.payload.is_empty() && behind.min(ahead) > DISTANCE_BYTES_MAX
    }

    fn push(&mut self, segment: &Segment<'_>, seen: Seen, counters: &mut Counters) {
        self.seen = seen;
        self.released = false;
        let sequence = segment.sequence.wrapping_add(u32::from(segment.syn));
        if !segment.payload.is_empty() {
            if is_tls(segment.payload) && !self.tls && !self.useful {
                self.tls = true;
                let sips = segment.src.port() == SIPS_PORT || segment.dst.port() == SIPS_PORT;
                counters.tls_streams += 1;
                counters.tls_sips_streams += u64::from(sips);
            }
            self.receive(sequence, segment.payload, segment.cut, counters);
        }
        self.closed |= segment.fin || segment.rst;
        if !self.held.is_empty() && (segment.rst || seen.time.since(self.hole_since) > HOLE_PATIENCE) {
            self.patient = false;
        }
    }

    fn receive(&mut self, sequence: u32, payload: &[u8], cut: u32, counters: &mut Counters) {
        let ahead = sequence.wrapping_sub(self.expected);
        if ahead == 0 || ahead >= 1 << 31 {
            self.append(sequence, payload, cut, counters);
            return;
        }
        let place = self.held.partition_point(|held| held.sequence.wrapping_sub(self.expected) < ahead);
        if let Some(same) = self.held.get(place)
            && same.sequence == sequence
            && same.bytes.len() >= payload.len()
        {
            counters.tcp_retransmitted_bytes += payload.len() as u64;
            return;
        }
        if self.held.is_empty() {
            self.hole_since = self.seen.time;
        }
        let held = Held { sequence, bytes: payload.to_vec(), cut, seen: self.seen };
        self.held_bytes += payload.len();
        self.held.insert(place, held);
        if self.held_bytes > HELD_BYTES_MAX || self.held.len() > HELD_SEGMENTS_MAX || ahead > AHEAD_BYTES_MAX
        {
            self.patient = false;
        }
    }

    /// Learns from the other direction what was received. True if a hole is given up by that.
    fn acknowledge(&mut self, acknowledged: u32) -> bool {
        let Some(held) = self.held.front() else {
            return false;
        };
        let filled = acknowledged.wrapping_sub(held.sequence) < 1 << 31;
        if filled {
            self.patient = false;
        }
        filled
    }

    /// Adds bytes that begin at or before the expected one.
    fn append(&mut self, sequence: u32, payload: &[u8], cut: u32, counters: &mut Counters) {
        let known = self.expected.wrapping_sub(sequence) as usize;
        let fresh = payload.get(known..).unwrap_or_default();
        counters.tcp_retransmitted_bytes += (payload.len() - fresh.len()) as u64;
        if fresh.is_empty() {
            return;
        }
        if self.start == self.buffer.len() {
            self.buffer.clear();
            self.buffer.shrink_to(IDLE_BUFFER_BYTES);
        } else {
            self.buffer.drain(..self.start);
        }
        self.start = 0;
        if self.reading == Reading::Rest && self.buffer.is_empty() {
            // Senders put the beginning of a message at the beginning of a segment.
            self.reading = Reading::Line;
        }
        self.buffer.extend_from_slice(fresh);
        self.appended = self.seen;
        self.expected = self.expected.wrapping_add(fresh.len() as u32);
        self.cut = cut;
    }

    /// The next message or frame, as its place in `buffer`. Holes are waited for while there is
    /// patience; in a retired stream there is none.
    fn next(&mut self, retired: bool, counters: &mut Counters) -> Option<Taken> {
        loop {
            if let Some(taken) = self.read(counters) {
                return Some(taken);
            }
            if self.cut > 0 {
                if let Some(taken) = self.take_cut(counters) {
                    return Some(taken);
                }
                self.lose(self.expected.wrapping_add(self.cut), counters);
                self.cut = 0;
            }
            let ahead = self.held.front()?.sequence.wrapping_sub(self.expected);
            let hole = (1..1 << 31).contains(&ahead);
            if hole && self.patient && !retired {
                return None;
            }
            if hole && let Some(taken) = self.take_cut(counters) {
                return Some(taken);
            }
            let held = self.held.pop_front()?;
            self.held_bytes -= held.bytes.len();
            if hole {
                self.patient = true;
                self.hole_since = held.seen.time;
                self.released = true;
                self.lose(held.sequence, counters);
            }
            if self.released {
                self.seen = held.seen;
            }
            self.append(held.sequence, &held.bytes, held.cut, counters);
        }
    }

    /// The next message or frame that is complete in `buffer`.
    fn read(&mut self, counters: &mut Counters) -> Option<Taken> {
        loop {
            if self.reading == Reading::Frame {
                match self.frame(counters) {
                    Framed::Message(taken) => return Some(taken),
                    Framed::Nothing => continue,
                    Framed::Partial => return None,
                    Framed::Broken => {
                        self.drop_joined(counters);
                        self.start_anew(self.start);
                        self.reading = Reading::Line;
                    }
                }
            }
            if self.reading == Reading::Rest {
                let (skipped, found) = self.rest();
                counters.tcp_skipped_bytes += skipped as u64;
                self.start += skipped;
                if !found {
                    return None;
                }
                self.reading = Reading::Line;
            }
            self.skip_keep_alive(counters);
            let unread = &self.buffer[self.start..];
            if unread.is_empty() || unread.len() < self.wanted {
                return None;
            }
            let (kind, length) = match framing::front(unread, &mut self.searched) {
                Front::Unsure => return None,
                Front::Partial(length) => {
                    self.wanted = length;
                    return None;
                }
                Front::Other => {
                    self.reading = Reading::Rest;
                    self.searched = 0;
                    continue;
                }
                Front::Sip(length) => {
                    self.reading = Reading::Message;
                    counters.tcp_sip += 1;
                    (Kind::Sip, length)
                }
                Front::Unframed(length) => {
                    self.reading = Reading::Line;
                    counters.tcp_sip += 1;
                    (Kind::Sip, length)
                }
                Front::Handshake(length) => {
                    counters.tcp_framing_bytes += length as u64;
                    self.start_anew(self.start + length);
                    self.reading = Reading::Frame;
                    continue;
                }
                Front::WebFrame => {
                    self.reading = Reading::Frame;
                    continue;
                }
                Front::Hep(length) => {
                    self.reading = Reading::Message;
                    self.hep = true;
                    counters.tcp_hep += 1;
                    (Kind::Hep, length)
                }
            };
            let bytes = self.start..self.start + length;
            counters.tcp_message_bytes += length as u64;
            self.useful = true;
            self.start_anew(bytes.end);
            return Some(Taken { kind, joined: false, bytes, cut: false });
        }
    }

    /// Steps over one frame of a WebSocket. The mask is taken off in place, so a message that comes in one frame
    /// is not copied.
    fn frame(&mut self, counters: &mut Counters) -> Framed {
        let unread = self.unread();
        if unread.is_empty() || unread.len() < self.wanted {
            return Framed::Partial;
        }
        let head = match websocket::head(unread) {
            Ok(Some(head)) => head,
            Ok(None) => return Framed::Partial,
            Err(websocket::NoFrame) => return Framed::Broken,
        };
        let total = head.header_bytes + head.payload_bytes;
        if unread.len() < total {
            self.wanted = total;
            return Framed::Partial;
        }
        let payload = self.start + head.header_bytes..self.start + total;
        head.unmask(&mut self.buffer[payload.clone()]);
        self.start_anew(payload.end);
        counters.tcp_framing_bytes += head.header_bytes as u64;
        let length = payload.len() as u64;
        match head.kind {
            websocket::Kind::Control => {
                counters.tcp_framing_bytes += length;
                Framed::Nothing
            }
            websocket::Kind::Data => {
                self.drop_joined(counters);
                if head.compressed {
                    counters.websocket_compressed += 1;
                    counters.tcp_skipped_bytes += length;
                    self.joining = if head.last { Joining::Nothing } else { Joining::Skipped };
                    return Framed::Nothing;
                }
                if head.last {
                    return self.web_message(false, payload, counters);
                }
                self.joined.extend_from_slice(&self.buffer[payload]);
                self.joining = Joining::Message;
                Framed::Nothing
            }
            websocket::Kind::Continuation if self.joining == Joining::Message => {
                if self.joined.len() + payload.len() > MESSAGE_BYTES_MAX {
                    self.drop_joined(counters);
                    counters.tcp_skipped_bytes += length;
                    self.joining = if head.last { Joining::Nothing } else { Joining::Skipped };
                    return Framed::Nothing;
                }
                self.joined.extend_from_slice(&self.buffer[payload]);
                if head.last {
                    self.joining = Joining::Nothing;
                    return self.web_message(true, 0..self.joined.len(), counters);
                }
                Framed::Nothing
            }
            websocket::Kind::Continuation => {
                counters.tcp_skipped_bytes += length;
                if head.last {
                    self.joining = Joining::Nothing;
                }
                Framed::Nothing
            }
        }
    }

    /// Takes a whole message of a WebSocket, if it is one of SIP; then it needs no Content-Length (RFC 7118 §5).
    fn web_message(&mut self, joined: bool, place: Range<usize>, counters: &mut Counters) -> Framed {
        let bytes = &(if joined { &self.joined } else { &self.buffer })[place.clone()];
        let idle = sniff::keep_alive_len(bytes);
        let message = place.start + idle..place.end;
        counters.tcp_keep_alive_bytes += idle as u64;
        if sniff::start_line(&bytes[idle..]) != Sniff::Sip {
            counters.tcp_skipped_bytes += message.len() as u64;
            return Framed::Nothing;
        }
        counters.tcp_message_bytes += message.len() as u64;
        counters.tcp_sip += 1;
        self.useful = true;
        Framed::Message(Taken { kind: Kind::Sip, joined, bytes: message, cut: false })
    }

    /// Gives up a message of which frames are missing.
    fn drop_joined(&mut self, counters: &mut Counters) {
        counters.tcp_skipped_bytes += self.unjoined() as u64;
        self.joining = Joining::Nothing;
        self.joined = Vec::new();
    }

    /// The bytes of a message of which frames are missing.
    fn unjoined(&self) -> usize {
        if self.joining == Joining::Message { self.joined.len() } else { 0 }
    }

    /// Takes the message at the front, of which the rest was not captured, if all of its header block was.
    fn take_cut(&mut self, counters: &mut Counters) -> Option<Taken> {
        let end = self.buffer.len();
        if self.reading == Reading::Frame {
            let head = websocket::head(self.unread()).ok()??;
            if head.kind != websocket::Kind::Data || head.compressed {
                return None;
            }
            let place = self.start + head.header_bytes..end;
            head.unmask(&mut self.buffer[place.clone()]);
            counters.tcp_framing_bytes += head.header_bytes as u64;
            self.drop_joined(counters);
            self.start_anew(place.start);
            // Without its mask it is no frame any more.
            self.reading = Reading::Line;
        }
        if self.reading == Reading::Rest || !framing::has_header_block(self.unread()) {
            return None;
        }
        let bytes = self.start..end;
        counters.tcp_sip += 1;
        counters.tcp_message_bytes += bytes.len() as u64;
        self.useful = true;
        self.start_anew(end);
        self.reading = Reading::Line;
        Some(Taken { kind: Kind::Sip, joined: false, bytes, cut: true })
    }

    /// Returns the number of bytes that are left of what is not a message, and whether something else follows.
    fn rest(&self) -> (usize, bool) {
        let unread = self.unread();
        let line = memchr::memchr(b'\n', unread).map(|at| at + 1);
        let frame = self.hep.then(|| memchr::memmem::find(unread.get(1..)?, hep::MAGIC)).flatten();
        match line.into_iter().chain(frame.map(|at| at + 1)).min() {
            Some(at) => (at, true),
            None => (unread.len(), false),
        }
    }

    fn skip_keep_alive(&mut self, counters: &mut Counters) {
        let idle = sniff::keep_alive_len(self.unread());
        if self.useful {
            counters.tcp_keep_alive_bytes += idle as u64;
        } else {
            counters.tcp_skipped_bytes += idle as u64;
        }
        self.start += idle;
    }

    /// Gives up the bytes before `sequence`.
    fn lose(&mut self, sequence: u32, counters: &mut Counters) {
        if self.useful || self.reading == Reading::Message {
            counters.tcp_gaps += 1;
            counters.tcp_missing_bytes += u64::from(sequence.wrapping_sub(self.expected));
        }
        self.skip_to(sequence, counters);
    }

    /// Goes on at `sequence`, with what has been begun cut short.
    fn skip_to(&mut self, sequence: u32, counters: &mut Counters) {
        counters.tcp_skipped_bytes += self.unread().len() as u64;
        self.drop_joined(counters);
        self.start_anew(self.buffer.len());
        self.expected = sequence;
        self.reading = Reading::Line;
    }

    fn start_anew(&mut self, start: usize) {
        self.start = start;
        self.searched = 0;
        self.wanted = 0;
    }

    fn unread(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    fn size(&self) -> usize {
        self.buffer.capacity() + self.joined.capacity() + self.held_bytes
    }

    fn found(&self, taken: Taken, place: SegmentState) -> Found {
        let (src, dst) = self.direction;
        let Taken { kind, joined, bytes, cut } = taken;
        let seen = if cut { self.appended } else { self.seen };
        Found { kind, src, dst, seen, released: self.released || cut, place, joined, bytes }
    }
}

/// Returns `true` if a segment begins with a record of TLS: a handshake, or data (RFC 8446 §5.1).
#[inline]
fn is_tls(payload: &[u8]) -> bool {
    matches!(payload, [0x16 | 0x17, 3, 0..=4, ..])
}
