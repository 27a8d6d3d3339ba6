//! Faults of a file that is read nevertheless.

use std::fmt;

use super::counters::Counters;
use super::hep::HepError;

/// Warnings kept for each file; the first ones tell most.
pub(super) const WARNINGS_MAX: usize = 64;

/// One thing that is wrong with a capture, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// The byte of the file at which the record or line begins, from 0.
    pub offset: u64,
    /// Kind of fault.
    pub kind: WarningKind,
}

/// Kind of fault in a capture.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WarningKind {
    /// The file ends inside a record.
    Truncated,
    /// A record claims a length that cannot be.
    RecordLength {
        /// The length in bytes.
        claimed: u32,
    },
    /// A block of a pcapng contradicts itself.
    Block,
    /// A packet block has fewer bytes than its packet claims.
    PacketBlock,
    /// A packet names an interface that the file has not described.
    UnknownInterface {
        /// The number of the interface, from 0.
        interface: u32,
    },
    /// Packets of this link type are not understood; said once.
    UnsupportedLink {
        /// The number of the link type (`LINKTYPE_`).
        link: u16,
    },
    /// A HEP frame cannot be read.
    Hep(HepError),
    /// A HEP frame with a SIP message does not say who sent it to whom.
    HepWithoutAddress,
    /// An exported PDU that is a SIP message does not say who sent it to whom.
    ExportedWithoutAddress,
    /// Messages of a WebSocket are compressed; said once.
    CompressedWebSocket,
    /// Bytes between two HEP frames belong to neither.
    NotHep {
        /// Number of bytes that were skipped.
        skipped: u64,
    },
    /// A line is not a JSON object with a datagram in base64.
    Line,
    /// A line is longer than any datagram needs.
    LongLine,
    /// A message of a manager connection has no time, or is longer than any.
    Transcript,
    /// A line of a text log promises a SIP message, and does not say from or to whom, or a line is too long.
    LogLine,
    /// The datagram of a line is not a HEP frame, so that nobody knows who sent it to whom.
    LineWithoutHep,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at byte {}: ", self.offset)?;
        match &self.kind {
            WarningKind::Truncated => f.write_str("the file ends inside a record"),
            WarningKind::RecordLength { claimed } => {
                write!(f, "a record claims {claimed} bytes, which cannot be; the rest is not read")
            }
            WarningKind::Block => f.write_str("a pcapng block contradicts itself; the rest is not read"),
            WarningKind::PacketBlock => f.write_str("a packet claims more bytes than its block has"),
            WarningKind::UnknownInterface { interface } => {
                write!(f, "a packet of interface {interface}, which the file does not describe")
            }
            WarningKind::UnsupportedLink { link } => {
                write!(f, "packets of link type {link} are not understood and are skipped")
            }
            WarningKind::Hep(error) => write!(f, "{error}"),
            WarningKind::HepWithoutAddress => {
                f.write_str("a HEP frame lacks the address of the sender or receiver")
            }
            WarningKind::ExportedWithoutAddress => {
                f.write_str("an exported PDU lacks the address of the sender or receiver")
            }
            WarningKind::CompressedWebSocket => f.write_str(
                "messages of a WebSocket are compressed (permessage-deflate) and are skipped; turn that off \
                 where the WebSocket ends",
            ),
            WarningKind::NotHep { skipped } => {
                write!(f, "{skipped} bytes between HEP frames belong to none of them")
            }
            WarningKind::Line => {
                f.write_str("the line is not a JSON object with a datagram in base64 as \"b64\"")
            }
            WarningKind::LongLine => f.write_str("the line is longer than a datagram can be"),
            WarningKind::Transcript => {
                f.write_str("a message of the switch has no line with its time before it, or no end")
            }
            WarningKind::LogLine => f.write_str(
                "a line of the log promises a SIP message, and its length or address cannot be read, or it is too long",
            ),
            WarningKind::LineWithoutHep => f.write_str(
                "the datagram of the line is not a HEP frame, so its sender and receiver are unknown",
            ),
        }
    }
}

/// The first [`WARNINGS_MAX`] warnings.
#[derive(Default)]
pub(super) struct Warnings(Vec<Warning>);

impl Warnings {
    pub(super) fn push(&mut self, counters: &mut Counters, offset: u64, kind: WarningKind) {
        if self.0.len() < WARNINGS_MAX {
            self.0.push(Warning { offset, kind });
        } else {
            counters.warnings_dropped += 1;
        }
    }

    pub(super) fn as_slice(&self) -> &[Warning] {
        &self.0
    }
}
