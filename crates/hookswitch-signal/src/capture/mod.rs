//! Takes SIP messages out of captures, and what was written down of the connection to a switch.
//!
//! Start at [`Reader`]. A file is told by its content ; `pcap` and `pcapng` give its
//! packets, `link`, `tunnel`, `fragment` and `packet` what they carry, `exported` what Wireshark has taken out of them,
//! `tcp`, `framing` and `websocket` the messages of a stream,
//! [`hep`] and `jsonl` what a capture agent has sent, `transcript` what a switch has said of itself, `text_log` the SIP in the text log of a switch. `sniff` tells SIP from the rest.

mod counters;
mod exported;
#[cfg(test)]
mod fixture;
mod format;
mod fragment;
mod framing;
pub mod hep;
mod input;
mod jsonl;
mod link;
mod packet;
mod pcap;
mod pcap_file;
mod pcapng;
mod reader;
mod siptrace;
mod sniff;
mod tcp;
#[cfg(test)]
mod tests;
mod text_log;
mod transcript;
mod tunnel;
mod unread;
mod warning;
mod websocket;

use std::net::SocketAddr;

use hookswitch_model::Timestamp;

use crate::adapters::Switch;

pub use counters::Counters;
pub use format::CaptureError;
pub use pcap_file::PcapFile;
pub use reader::Reader;
pub use unread::Unread;
pub use warning::{Warning, WarningKind};

/// Transport of a message (RFC 3261 §18).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// One message a datagram.
    Udp,
    /// A stream, framed by Content-Length.
    Tcp,
    /// A connection to a switch that reports its own calls; the message is no SIP, but one for its tracker.
    Switch(Switch),
    /// The API for signals that are posted; the message is one for [`crate::ingest`].
    Posted,
}

impl Transport {
    /// Returns `true` if it carries SIP.
    pub const fn is_sip(self) -> bool {
        matches!(self, Self::Udp | Self::Tcp)
    }
}

/// One message as it was taken out of a capture: its bytes, and where they were seen.
///
/// Whether the bytes are a valid message is for [`crate::sip`] to say.
#[derive(Clone, Copy, Debug)]
pub struct Captured<'a> {
    /// Time when the message (its last segment) was seen.
    pub time: Timestamp,
    /// Transport that carried it.
    pub transport: Transport,
    /// The sender; no address on a manager connection.
    pub src: SocketAddr,
    /// The receiver; likewise.
    pub dst: SocketAddr,
    /// The number of the packet, frame or line in its file that completed the message, from 1.
    pub packet: u64,
    /// The HEP correlation chunk (type 17), if the capture agent sent one.
    pub correlation: Option<&'a [u8]>,
    /// The message.
    pub payload: &'a [u8],
}
