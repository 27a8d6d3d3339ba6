//! The records of a pcap file (draft-ietf-opsawg-pcap).

use std::io::{self, Read};
use std::ops::Range;

use hookswitch_model::Timestamp;
use pcap_parser::{Linktype, PcapHeader, parse_pcap_header};

use super::input::{Input, RECORD_BYTES_MAX};
use super::warning::WarningKind;

/// One captured packet, as its place in the input.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) time: Timestamp,
    /// The `LINKTYPE_` number.
    pub(super) link: u16,
    pub(super) frame: Range<usize>,
}

/// Result of the next step over a file of packets.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Packet(Record),
    /// A packet that cannot be used; reading goes on.
    Damaged(WarningKind),
    /// The rest of the file cannot be used.
    Broken(WarningKind),
    End,
}

/// The number of a link type, of which files give more bits than it has.
pub(super) fn link_type(Linktype(bits): Linktype) -> u16 {
    let [low, high, ..] = bits.to_le_bytes();
    u16::from_le_bytes([low, high])
}

/// The bytes of the file header.
pub(super) const HEADER_BYTES: usize = 24;

/// A pcap file behind its header.
pub(super) struct Pcap {
    big_endian: bool,
    nanoseconds: bool,
    link: u16,
}

impl Pcap {
    /// Reads the header; `None` if it is another file.
    pub(super) fn new(header: &[u8]) -> Option<Self> {
        let (_, header): (_, PcapHeader) = parse_pcap_header(header).ok()?;
        if header.is_modified_format() {
            return None;
        }
        Some(Self {
            big_endian: header.is_bigendian(),
            nanoseconds: header.is_nanosecond_precision(),
            // The upper half tells the length of the frame check sequence.
            link: link_type(header.network),
        })
    }

    #[inline]
    pub(super) fn next<R: Read>(&self, input: &mut Input<R>) -> io::Result<Step> {
        if !input.fill(RECORD_HEADER_BYTES)? {
            let left = !input.bytes().is_empty();
            return Ok(if left { Step::Broken(WarningKind::Truncated) } else { Step::End });
        }
        let Some(header) = input.array::<RECORD_HEADER_BYTES>() else {
            return Ok(Step::End);
        };
        let seconds = self.u32([header[0], header[1], header[2], header[3]]);
        let fraction = self.u32([header[4], header[5], header[6], header[7]]);
        let claimed = self.u32([header[8], header[9], header[10], header[11]]);
        let length = claimed as usize;
        if length > RECORD_BYTES_MAX - RECORD_HEADER_BYTES {
            return Ok(Step::Broken(WarningKind::RecordLength { claimed }));
        }
        if !input.fill(RECORD_HEADER_BYTES + length)? {
            return Ok(Step::Broken(WarningKind::Truncated));
        }
        input.take(RECORD_HEADER_BYTES);
        let micros = if self.nanoseconds { fraction / 1000 } else { fraction };
        Ok(Step::Packet(Record {
            time: Timestamp::from_micros(i64::from(seconds) * 1_000_000 + i64::from(micros)),
            link: self.link,
            frame: input.take(length),
        }))
    }

    fn u32(&self, bytes: [u8; 4]) -> u32 {
        if self.big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
    }
}

const RECORD_HEADER_BYTES: usize = 16;
