//! Tells the format of a file by its first bytes.

use std::io::{self, Read};

use super::hep;
use super::input::Input;
use super::jsonl::JsonLines;
use super::pcap::{self, Pcap};
use super::pcapng::{self, PcapNg};
use super::text_log::TextLog;
use crate::switch::Switch;

/// Why a file cannot be read at all.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// The file is something else.
    #[error(
        "not a capture but {found}; pcap, pcapng, HEPv3 frames, JSON lines of datagrams or of posted signals, text logs with SIP \
         (pjsip set logger on, sofia global siptrace on), and transcripts of {} are understood",
        transcripts()
    )]
    NotACapture {
        /// What the file seems to be, with an article.
        found: &'static str,
    },
    /// The file cannot be read.
    #[error("the capture cannot be read")]
    Io(#[from] io::Error),
}

/// A format, ready to read what follows its header.
pub(super) enum Format {
    Pcap(Pcap),
    PcapNg(PcapNg),
    Hep,
    JsonLines(JsonLines),
    Transcript(Switch),
    TextLog(TextLog),
}

impl Format {
    pub(super) fn detect<R: Read>(input: &mut Input<R>) -> Result<Self, CaptureError> {
        input.fill(LOOKED_AT_BYTES)?;
        let start = &input.bytes()[..input.bytes().len().min(LOOKED_AT_BYTES)];
        if start.starts_with(&pcapng::SECTION_HEADER) {
            return Ok(Self::PcapNg(PcapNg::default()));
        }
        if start.starts_with(hep::MAGIC) {
            return Ok(Self::Hep);
        }
        if let Some(switch) = Switch::of_transcript(start) {
            return Ok(Self::Transcript(switch));
        }
        if TextLog::begins(start) {
            return Ok(Self::TextLog(TextLog::default()));
        }
        if start.trim_ascii_start().starts_with(b"{") {
            return Ok(Self::JsonLines(JsonLines::default()));
        }
        if let Some(pcap) = Pcap::new(start) {
            input.take(pcap::HEADER_BYTES);
            return Ok(Self::Pcap(pcap));
        }
        Err(CaptureError::NotACapture { found: name(start) })
    }
}

/// The transcripts that are understood, for people.
fn transcripts() -> String {
    let names: Vec<&str> = Switch::ALL.iter().map(|switch| switch.adapter().words().transcript).collect();
    match names.split_last() {
        Some((last, names)) if !names.is_empty() => format!("{} or {last}", names.join(", ")),
        _ => names.concat(),
    }
}

/// Enough for every header, and for some blank lines before JSON.
const LOOKED_AT_BYTES: usize = 512;

/// What a file that is not a capture seems to be.
fn name(start: &[u8]) -> &'static str {
    const KNOWN: [(&[u8], &str); 15] = [
        (b"\x1f\x8b", "a gzip file, which has to be decompressed first"),
        (b"\x28\xb5\x2f\xfd", "a Zstandard file, which has to be decompressed first"),
        (b"\xfd7zXZ\0", "an xz file, which has to be decompressed first"),
        (b"\x04\x22\x4d\x18", "an LZ4 file, which has to be decompressed first"),
        (b"BZh", "a bzip2 file, which has to be decompressed first"),
        (b"PK\x03\x04", "a zip archive, which has to be unpacked first"),
        (b"\xa1\xb2\xcd\x34", "a pcap file in the modified format of an old Linux libpcap"),
        (b"\x34\xcd\xb2\xa1", "a pcap file in the modified format of an old Linux libpcap"),
        (b"\xa1\xb2\xc3\xd4", "a pcap file cut inside its header"),
        (b"\xd4\xc3\xb2\xa1", "a pcap file cut inside its header"),
        (b"\xa1\xb2\x3c\x4d", "a pcap file cut inside its header"),
        (b"\x4d\x3c\xb2\xa1", "a pcap file cut inside its header"),
        (b"GMBU", "a Microsoft Network Monitor file"),
        (b"snoop\0", "a snoop file"),
        (b"[", "JSON that is not one object a line"),
    ];
    if start.is_empty() {
        return "an empty file";
    }
    let known = KNOWN.iter().find(|(magic, _)| start.starts_with(magic));
    match known {
        Some((_, name)) => name,
        None if start.iter().all(|&byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace()) => {
            "text of another kind"
        }
        None => "a file of another kind",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_a_capture_is_named() {
        for (bytes, found) in [
            (&b""[..], "an empty file"),
            (b"\x1f\x8b\x08", "a gzip file"),
            (b"INVITE sip:a@b SIP/2.0\r\n", "text of another kind"),
            (b"\xa1\xb2\xc3\xd4\0\x02", "cut inside its header"),
            (b"\x7fELF", "a file of another kind"),
        ] {
            let error = Format::detect(&mut Input::new(bytes)).err().unwrap().to_string();
            assert!(error.contains(found), "{error}");
        }
    }
}
