//! The messages of a file, one after another.

use std::io::{self, Read};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::Range;

use hookswitch_model::Timestamp;

use super::counters::Counters;
use super::exported::{self, Content};
use super::format::{CaptureError, Format};
use super::fragment::{Fragments, Joined};
use super::hep::{self, NoSip, Payload, Sip};
use super::input::Input;
use super::jsonl::Line;
use super::link::{self, Ip};
use super::packet::{self, Packet};
use super::pcap::{Record, Step};
use super::siptrace::Traced;
use super::sniff::{self, Sniff};
use super::tcp::{self, Found, Seen, Streams};
use super::text_log;
use super::transcript::{self, Entry};
use super::tunnel::{self, TUNNELS_MAX};
use super::unread::{Unread, UnreadCounts};
use super::warning::{WARNINGS_MAX, Warning, WarningKind, Warnings};
use super::{Captured, Transport, framing};
use crate::switch::Transcript;

/// Reads the messages of one capture, in the order of the file.
///
/// Memory does not depend on the file: a window of 2 MiB, and at most some 40 MiB of TCP streams.
///
/// ```
/// # use hookswitch_signal::capture::Reader;
/// # fn read(file: &[u8]) -> Result<(), Box<dyn std::error::Error>> {
/// let mut reader = Reader::new(file)?;
/// while reader.advance()? {
///     let message = reader.current().expect("advance has found one");
///     println!("{} {} -> {}", message.time, message.src, message.dst);
/// }
/// # Ok(())
/// # }
/// ```
pub struct Reader<R> {
    input: Input<R>,
    format: Format,
    streams: Streams,
    fragments: Fragments,
    inflated: Vec<u8>,
    counters: Counters,
    warnings: Warnings,
    unread: UnreadCounts,
    /// Link types that were warned of.
    links_unsupported: Vec<u16>,
    /// Set if compressed messages of a WebSocket were warned of.
    compression_warned: bool,
    /// The packet, frame or line last read.
    seen: Seen,
    ended: bool,
    current: Option<Current>,
    /// Message that follows the one last stepped to in the same piece of a stream.
    following: Option<Current>,
    /// The time of the message last yielded.
    yielded: Option<Timestamp>,
}

/// The message last stepped to.
#[derive(Clone)]
struct Current {
    time: Timestamp,
    transport: Transport,
    src: SocketAddr,
    dst: SocketAddr,
    packet: u64,
    source: Source,
    payload: Range<usize>,
    correlation: Option<Range<usize>>,
}

/// Place of a message's bytes.
#[derive(Clone)]
enum Source {
    Input,
    Line,
    Stream(Found),
    /// A datagram that came in pieces.
    Assembled,
    /// The payload of a HEP frame that was compressed.
    Inflated,
}

impl<R: Read> Reader<R> {
    /// Opens a capture: pcap or pcapng, HEPv3 frames one after another as on a HEP connection over
    /// TCP, JSON lines of datagrams, a transcript of the connection to a switch, or the log of a FreeSWITCH with its SIP.
    /// The format is told by the content.
    ///
    /// `input` is read in large pieces, so it needs no buffer of its own.
    ///
    /// # Errors
    /// If the file is none of these, or cannot be read.
    pub fn new(input: R) -> Result<Self, CaptureError> {
        let mut input = Input::new(input);
        let format = Format::detect(&mut input)?;
        Ok(Self {
            input,
            format,
            streams: Streams::default(),
            fragments: Fragments::default(),
            inflated: Vec::new(),
            counters: Counters::default(),
            warnings: Warnings::default(),
            unread: UnreadCounts::default(),
            links_unsupported: Vec::new(),
            compression_warned: false,
            seen: Seen { packet: 0, time: Timestamp::default() },
            ended: false,
            current: None,
            following: None,
            yielded: None,
        })
    }

    /// Steps to the next message; false at the end of the file. A damaged file ends where it
    /// cannot be read on, with a [`Warning`].
    ///
    /// # Errors
    /// If the file cannot be read. There is nothing more then.
    pub fn advance(&mut self) -> io::Result<bool> {
        self.current = None;
        if let Some(following) = self.following.take() {
            self.counters.following += 1;
            return Ok(self.found_in_piece(following));
        }
        loop {
            if let Some(found) = self.streams.poll(&mut self.counters) {
                if self.found_in_stream(found) {
                    return Ok(true);
                }
            } else if self.ended {
                return Ok(false);
            } else {
                if self.counters.websocket_compressed > 0 && !self.compression_warned {
                    self.compression_warned = true;
                    self.warn(WarningKind::CompressedWebSocket);
                }
                let step = self.step();
                if step.is_err() {
                    self.ended = true;
                }
                if step? {
                    return Ok(true);
                }
            }
        }
    }

    /// The message last stepped to.
    pub fn current(&self) -> Option<Captured<'_>> {
        let current = self.current.as_ref()?;
        let source = self.source(&current.source);
        let bytes = |place: &Range<usize>| source.get(place.clone()).unwrap_or_default();
        Some(Captured {
            time: current.time,
            transport: current.transport,
            src: current.src,
            dst: current.dst,
            packet: current.packet,
            correlation: current.correlation.as_ref().map(bytes),
            payload: bytes(&current.payload),
        })
    }

    /// Returns `true` if it is a transcript of the connection to a switch.
    pub fn is_transcript(&self) -> bool {
        matches!(self.format, Format::Transcript(_))
    }

    /// Returns what was read so far, and what became of it.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Returns what is wrong with the file, in the order of the file; the first 64.
    pub fn warnings(&self) -> &[Warning] {
        self.warnings.as_slice()
    }

    /// Returns what the file holds and nobody has looked into, and how often; 32 kinds at most.
    pub fn unread(&self) -> impl Iterator<Item = (Unread, u64)> {
        let counters = &self.counters;
        let streams = [
            (Unread::CompressedWebSocket, counters.websocket_compressed),
            (Unread::Tls { sips: true }, counters.tls_sips_streams),
            (Unread::Tls { sips: false }, counters.tls_streams - counters.tls_sips_streams),
        ];
        self.unread.as_slice().iter().copied().chain(streams).filter(|(_, count)| *count > 0)
    }

    /// Reads one packet, frame or line. True if it is a message.
    #[inline]
    fn step(&mut self) -> io::Result<bool> {
        self.input.begin_record();
        let step = match &mut self.format {
            Format::Pcap(pcap) => pcap.next(&mut self.input)?,
            Format::PcapNg(pcapng) => pcapng.next(&mut self.input)?,
            Format::Hep => return self.step_frame(),
            Format::JsonLines(_) => return self.step_line(),
            Format::Transcript(_) => return self.step_entry(),
            Format::TextLog(_) => return self.step_log(),
            Format::SipTrace(_) => return self.step_trace(),
        };
        let kind = match step {
            Step::Packet(record) => {
                self.counters.packets += 1;
                self.seen = Seen { packet: self.seen.packet + 1, time: record.time };
                return Ok(self.packet(&record));
            }
            Step::Damaged(kind) => kind,
            Step::Broken(kind) => {
                self.end();
                kind
            }
            Step::End => {
                self.end();
                return Ok(false);
            }
        };
        self.damaged(kind);
        Ok(false)
    }

    fn damaged(&mut self, kind: WarningKind) {
        self.seen.packet += 1;
        self.counters.packets += 1;
        self.counters.damaged += 1;
        self.warn(kind);
    }

    fn warn(&mut self, kind: WarningKind) {
        self.warnings.push(&mut self.counters, self.input.record_offset(), kind);
    }

    fn end(&mut self) {
        self.ended = true;
        self.streams.finish();
    }

    #[inline]
    fn packet(&mut self, record: &Record) -> bool {
        self.link_frame(record.link, record.frame.clone())
    }

    /// Reads a frame of a link type, at a place in the window.
    #[inline]
    fn link_frame(&mut self, link: u16, place: Range<usize>) -> bool {
        let frame = self.input.at(place.clone());
        let ip = match link::ip(link, frame) {
            Ip::Packet(packet) => packet,
            Ip::Other(ethertype) => {
                self.counters.not_ip += 1;
                if let Some(ethertype) = ethertype {
                    self.unread.add(Unread::Ethertype(ethertype));
                }
                return false;
            }
            Ip::Cut => {
                self.counters.damaged += 1;
                return false;
            }
            Ip::Unsupported if link == exported::LINK => return self.exported(place),
            Ip::Unsupported => {
                self.unsupported_link(link);
                return false;
            }
        };
        let mut packet = packet::read(ip);
        for _ in 0..TUNNELS_MAX {
            let Packet::Tunnel(inner) = packet else { break };
            packet = packet::read(inner);
        }
        let Packet::Fragment(piece) = packet else {
            let into =
                Intake { streams: &mut self.streams, counters: &mut self.counters, unread: &mut self.unread };
            let received = receive(&packet, self.input.window(), into, self.seen);
            return self.received(received, Source::Input);
        };
        match self.fragments.push(&piece, self.seen.time) {
            Joined::Whole => self.assembled(piece.src, piece.dst, piece.protocol),
            joined => {
                self.counters.fragments += 1;
                self.counters.fragmented_void += u64::from(joined == Joined::Dropped);
                false
            }
        }
    }

    /// Reads what Wireshark has exported.
    #[cold]
    fn exported(&mut self, place: Range<usize>) -> bool {
        let window = self.input.window();
        let Some(pdu) = exported::parse(self.input.at(place)) else {
            self.counters.damaged += 1;
            return false;
        };
        let payload = match pdu.content() {
            Content::Sip(payload) => within(window, payload),
            Content::Ip(packet) => {
                let place = within(window, packet);
                return self.link_frame(link::RAW, place);
            }
            Content::Ethernet(frame) => {
                let place = within(window, frame);
                return self.link_frame(link::ETHERNET, place);
            }
            Content::Other => {
                self.counters.exported += 1;
                self.counters.exported_other += 1;
                self.unread.add(Unread::Exported);
                return false;
            }
        };
        let (Some(src), Some(dst)) = (pdu.src, pdu.dst) else {
            self.counters.damaged += 1;
            self.warn(WarningKind::ExportedWithoutAddress);
            return false;
        };
        let transport = if pdu.is_tcp { Transport::Tcp } else { Transport::Udp };
        self.counters.exported += 1;
        self.counters.exported_sip += 1;
        let current = Current {
            time: self.seen.time,
            transport,
            src,
            dst,
            packet: self.seen.packet,
            source: Source::Input,
            payload,
            correlation: None,
        };
        if transport == Transport::Tcp { self.found_in_piece(current) } else { self.found(current) }
    }

    /// Reads the datagram whose last piece has come.
    #[cold]
    fn assembled(&mut self, src: IpAddr, dst: IpAddr, protocol: u8) -> bool {
        let whole = self.fragments.whole();
        let mut packet = packet::transport(src, dst, protocol, whole, 0);
        for _ in 0..TUNNELS_MAX {
            let Packet::Tunnel(inner) = packet else { break };
            packet = packet::read(inner);
        }
        let into =
            Intake { streams: &mut self.streams, counters: &mut self.counters, unread: &mut self.unread };
        let received = receive(&packet, whole, into, self.seen);
        self.received(received, Source::Assembled)
    }

    #[inline]
    fn received(&mut self, received: Received, source: Source) -> bool {
        match received {
            Received::Sip { src, dst, place } => self.found(Current {
                time: self.seen.time,
                transport: Transport::Udp,
                src,
                dst,
                packet: self.seen.packet,
                source,
                payload: place,
                correlation: None,
            }),
            Received::Hep { place } => self.frame(source, place, self.seen),
            Received::Nothing => false,
        }
    }

    /// Reads one frame of a file of HEP frames.
    fn step_frame(&mut self) -> io::Result<bool> {
        if !self.input.fill(hep::HEADER_BYTES)? {
            if !self.input.bytes().is_empty() {
                self.damaged(WarningKind::Truncated);
            }
            self.end();
            return Ok(false);
        }
        let total = hep::frame_len(self.input.bytes()).map(usize::from);
        let Some(total) = total.filter(|&total| total >= hep::HEADER_BYTES) else {
            let skipped = self.skip_to_frame()?;
            self.damaged(WarningKind::NotHep { skipped });
            return Ok(false);
        };
        if !self.input.fill(total)? {
            self.damaged(WarningKind::Truncated);
            self.end();
            return Ok(false);
        }
        self.counters.packets += 1;
        self.counters.hep_bare += 1;
        let time = self.yielded.unwrap_or_default();
        self.seen = Seen { packet: self.seen.packet + 1, time };
        let place = self.input.take(total);
        Ok(self.frame(Source::Input, place, self.seen))
    }

    /// Steps over what is not a frame, at least one byte.
    fn skip_to_frame(&mut self) -> io::Result<u64> {
        let from = self.input.offset();
        self.input.take(1);
        while self.input.fill(hep::MAGIC.len())? {
            if let Some(at) = memchr::memmem::find(self.input.bytes(), hep::MAGIC) {
                self.input.take(at);
                return Ok(self.input.offset() - from);
            }
            // The magic may have begun in the last bytes.
            self.input.take(self.input.bytes().len() - (hep::MAGIC.len() - 1));
        }
        self.input.take(usize::MAX);
        Ok(self.input.offset() - from)
    }

    /// Reads one line of a file of JSON lines.
    fn step_line(&mut self) -> io::Result<bool> {
        let Format::JsonLines(lines) = &mut self.format else {
            return Ok(false);
        };
        let arrival = match lines.next(&mut self.input)? {
            Line::Datagram { arrival } => arrival,
            Line::Signal { time } => {
                let payload = 0..lines.datagram().len();
                self.counters.packets += 1;
                self.counters.posted += 1;
                self.seen = Seen { packet: self.seen.packet + 1, time };
                let nobody = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
                return Ok(self.found(Current {
                    time,
                    transport: Transport::Posted,
                    src: nobody,
                    dst: nobody,
                    packet: self.seen.packet,
                    source: Source::Line,
                    payload,
                    correlation: None,
                }));
            }
            Line::Damaged(kind) => {
                self.damaged(kind.into());
                return Ok(false);
            }
            Line::End => {
                self.end();
                return Ok(false);
            }
        };
        let place = 0..lines.datagram().len();
        let is_hep = hep::is_frame(lines.datagram());
        self.counters.packets += 1;
        self.counters.udp += 1;
        let time = arrival.or(self.yielded).unwrap_or_default();
        self.seen = Seen { packet: self.seen.packet + 1, time };
        if is_hep {
            self.counters.udp_hep += 1;
            return Ok(self.frame(Source::Line, place, self.seen));
        }
        self.counters.udp_other += 1;
        self.warnings.push(&mut self.counters, self.input.record_offset(), WarningKind::LineWithoutHep);
        Ok(false)
    }

    /// Reads one message of a log.
    fn step_trace(&mut self) -> io::Result<bool> {
        let Format::SipTrace(trace) = &mut self.format else { return Ok(false) };
        let Some(Traced { time, transport, src, dst }) = trace.next(&mut self.input)? else {
            self.end();
            return Ok(false);
        };
        let payload = 0..trace.message().len();
        self.counters.packets += 1;
        self.counters.exported += 1;
        self.counters.exported_sip += 1;
        self.seen = Seen { packet: self.seen.packet + 1, time };
        let (packet, source) = (self.seen.packet, Source::Line);
        Ok(self.found(Current { time, transport, src, dst, packet, source, payload, correlation: None }))
    }

    /// Reads one message of a transcript.
    fn step_entry(&mut self) -> io::Result<bool> {
        let Format::Transcript(switch) = self.format else { return Ok(false) };
        let entry = match switch.adapter().transcript() {
            Transcript::TimedMessages => transcript::next(&mut self.input)?,
            Transcript::TimedBlocks => transcript::next_block(&mut self.input)?,
            Transcript::JsonLines => transcript::next_line(&mut self.input)?,
        };
        match entry {
            Entry::Message { time, place } => {
                self.counters.packets += 1;
                self.counters.manager += 1;
                self.seen = Seen { packet: self.seen.packet + 1, time };
                let nobody = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
                Ok(self.found(Current {
                    time,
                    transport: Transport::Switch(switch),
                    src: nobody,
                    dst: nobody,
                    packet: self.seen.packet,
                    source: Source::Input,
                    payload: place,
                    correlation: None,
                }))
            }
            Entry::Damaged => {
                self.damaged(WarningKind::Transcript);
                Ok(false)
            }
            Entry::End => {
                self.end();
                Ok(false)
            }
        }
    }

    /// Reads one message of a text log.
    fn step_log(&mut self) -> io::Result<bool> {
        let Format::TextLog(log) = &mut self.format else { return Ok(false) };
        match log.next(&mut self.input)? {
            text_log::Entry::Message { time, src, dst, transport } => {
                let payload = 0..log.message().len();
                self.counters.packets += 1;
                self.counters.logged += 1;
                self.seen = Seen { packet: self.seen.packet + 1, time };
                Ok(self.found(Current {
                    time,
                    transport,
                    src,
                    dst,
                    packet: self.seen.packet,
                    source: Source::Line,
                    payload,
                    correlation: None,
                }))
            }
            text_log::Entry::Damaged => {
                self.damaged(WarningKind::LogLine);
                Ok(false)
            }
            text_log::Entry::End => {
                self.end();
                Ok(false)
            }
        }
    }

    fn found_in_stream(&mut self, found: Found) -> bool {
        let mut seen = found.seen;
        if found.released {
            // It was waited for behind a hole, while other messages went ahead.
            seen.time = self.yielded.map_or(seen.time, |yielded| yielded.max(seen.time));
        }
        let place = 0..found.bytes.len();
        match found.kind {
            tcp::Kind::Hep => self.frame(Source::Stream(found), place, seen),
            tcp::Kind::Sip => self.found(Current {
                time: seen.time,
                transport: Transport::Tcp,
                src: found.src,
                dst: found.dst,
                packet: seen.packet,
                source: Source::Stream(found),
                payload: place,
                correlation: None,
            }),
        }
    }

    /// Opens a HEP frame that `seen` has completed.
    fn frame(&mut self, source: Source, place: Range<usize>, seen: Seen) -> bool {
        let from = place.start;
        let bytes = self.source(&source).get(place).unwrap_or_default();
        let frame = match hep::parse(bytes) {
            Ok(frame) => frame,
            Err(error) => return self.damaged_frame(WarningKind::Hep(error)),
        };
        // What a compressed payload holds is put behind the source, and the correlation id with it.
        let mut unpacked = Vec::new();
        let Sip { src, dst, payload } = match hep::sip(&frame, &mut unpacked) {
            Ok(sip) => sip,
            Err(NoSip::OtherProtocol) => {
                self.counters.hep_not_sip += 1;
                return false;
            }
            Err(NoSip::Damaged(error)) => return self.damaged_frame(WarningKind::Hep(error)),
            Err(NoSip::WithoutAddress) => return self.damaged_frame(WarningKind::HepWithoutAddress),
        };
        let time = hep::time(frame.time, seen.time, self.yielded);
        let (transport, is_of_stream) = (frame.transport(), frame.is_of_stream());
        let place = |part: &[u8]| {
            let place = within(bytes, part);
            from + place.start..from + place.end
        };
        let length = payload.len();
        let plain = (!matches!(frame.payload, Payload::Compressed(_))).then(|| place(payload));
        let (source, payload, correlation) = if let Some(payload) = plain {
            (source, payload, frame.correlation.map(place))
        } else {
            let end = unpacked.len();
            unpacked.extend(frame.correlation.unwrap_or_default());
            let correlation = frame.correlation.map(|_| end..unpacked.len());
            self.inflated = unpacked;
            (Source::Inflated, end - length..end, correlation)
        };
        let current =
            Current { time, transport, src, dst, packet: seen.packet, payload, correlation, source };
        self.counters.hep_sip += 1;
        if is_of_stream { self.found_in_piece(current) } else { self.found(current) }
    }

    fn damaged_frame(&mut self, kind: WarningKind) -> bool {
        self.counters.hep_damaged += 1;
        self.warnings.push(&mut self.counters, self.input.record_offset(), kind);
        false
    }

    /// Steps to the first message of a piece of a stream; the next steps go to the others.
    fn found_in_piece(&mut self, mut current: Current) -> bool {
        let place = current.payload.clone();
        let piece = self.source(&current.source).get(place.clone()).unwrap_or_default();
        if let Some((end, next)) = framing::several(piece) {
            current.payload = place.start..place.start + end;
            self.following = Some(Current { payload: place.start + next..place.end, ..current.clone() });
        }
        self.found(current)
    }

    fn found(&mut self, current: Current) -> bool {
        self.counters.messages += 1;
        self.yielded = Some(current.time);
        self.current = Some(current);
        true
    }

    fn source(&self, source: &Source) -> &[u8] {
        match source {
            Source::Input => self.input.window(),
            Source::Line => match &self.format {
                Format::JsonLines(lines) => lines.datagram(),
                Format::TextLog(log) => log.message(),
                Format::SipTrace(trace) => trace.message(),
                _ => &[],
            },
            Source::Stream(found) => self.streams.bytes(found),
            Source::Assembled => self.fragments.whole(),
            Source::Inflated => &self.inflated,
        }
    }

    #[cold]
    fn unsupported_link(&mut self, link: u16) {
        self.counters.unsupported_links += 1;
        self.unread.add(Unread::Link(link));
        if !self.links_unsupported.contains(&link) && self.links_unsupported.len() < WARNINGS_MAX {
            self.links_unsupported.push(link);
            let kind = WarningKind::UnsupportedLink { link };
            self.warnings.push(&mut self.counters, self.input.record_offset(), kind);
        }
    }
}

/// Outcome of a packet.
enum Received {
    Sip {
        src: SocketAddr,
        dst: SocketAddr,
        place: Range<usize>,
    },
    Hep {
        place: Range<usize>,
    },
    /// Nothing yet, or nothing at all.
    Nothing,
}

/// Destination of a packet's payload.
struct Intake<'a> {
    streams: &'a mut Streams,
    counters: &'a mut Counters,
    unread: &'a mut UnreadCounts,
}

/// Takes what a packet carries; places are those in `bytes`, which the packet is in.
#[inline]
fn receive(packet: &Packet<'_>, bytes: &[u8], into: Intake<'_>, seen: Seen) -> Received {
    let Intake { streams, counters, unread } = into;
    match packet {
        &Packet::Udp { src, dst, payload } => {
            counters.udp += 1;
            let payload = sniff::skip_keep_alive(payload);
            let place = || within(bytes, payload);
            if sniff::start_line(payload) == Sniff::Sip {
                counters.udp_sip += 1;
                return Received::Sip { src, dst, place: place() };
            }
            if hep::is_frame(payload) {
                counters.udp_hep += 1;
                return Received::Hep { place: place() };
            }
            counters.udp_other += 1;
            if tunnel::name(dst.port()).is_some() {
                unread.add(Unread::Tunnel(dst.port()));
            }
        }
        Packet::Tcp(segment) => {
            counters.tcp += 1;
            streams.push(segment, seen, counters);
        }
        // Packed deeper than anybody packs, or broken again inside.
        Packet::Tunnel(_) | Packet::Fragment(_) => {
            counters.other_protocols += 1;
            unread.add(Unread::Depth);
        }
        Packet::OtherProtocol(kind) => {
            counters.other_protocols += 1;
            unread.add(*kind);
        }
        Packet::Damaged => counters.damaged += 1,
    }
    Received::Nothing
}

/// Returns where a part of `bytes` stands in it.
fn within(bytes: &[u8], part: &[u8]) -> Range<usize> {
    let start = part.as_ptr().addr() - bytes.as_ptr().addr();
    start..start + part.len()
}
