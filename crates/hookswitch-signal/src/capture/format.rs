//! Tells the format of a file by its first bytes.

use std::io::{self, Read};

use super::hep;
use super::input::Input;
use super::jsonl::JsonLines;
use super::pcap::{self, Pcap};
use super::pcapng::{self, PcapNg};
use super::siptrace::SipTrace;
use super::text_log::TextLog;
use crate::adapters::Switch;

/// Reason why a file cannot be read at all.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// The file is something else.
    #[error(
        "not a capture but {found}; pcap, pcapng, HEPv3 frames, JSON lines of datagrams or of posted signals, logs of an \
         Asterisk or a FreeSWITCH with their SIP, and transcripts of {} are understood",
        transcripts()
    )]
    NotACapture {
        /// Format that the file seems to have, with an article.
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
    SipTrace(SipTrace),
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
        if SipTrace::begins(start) {
            return Ok(Self::SipTrace(SipTrace::default()));
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

/// Returns what a file that is not a capture seems to be.
fn name(start: &[u8]) -> &'static str {
    const KNOWN: [(&[u8], &str); 14] = [
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
    ];
    if start.is_empty() {
        return "an empty file";
    }
    let known = KNOWN.iter().find(|(magic, _)| start.starts_with(magic));
    match known {
        Some((_, name)) => name,
        None if start.iter().all(|&byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace()) => {
            text(start)
        }
        None => "a file of another kind",
    }
}

/// Returns what a text that is not understood seems to be.
fn text(start: &[u8]) -> &'static str {
    let has = |needle: &[u8]| start.windows(needle.len()).any(|window| window == needle);
    let levels: [&[u8]; 5] = [b"VERBOSE[", b"NOTICE[", b"WARNING[", b"ERROR[", b"DEBUG["];
    let freeswitch: [&[u8]; 5] = [b" [DEBUG] ", b" [INFO] ", b" [NOTICE] ", b" [WARNING] ", b" [ERR] "];
    let months: [&[u8]; 12] =
        [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];
    let is_sip = [&b"<--- "[..], b"---> "].iter().any(|mark| has(mark)) && has(b"SIP");
    if is_sip {
        "the text of an Asterisk's SIP debugging; capture the packets instead, with tcpdump -w"
    } else if start.starts_with(b"[") && levels.iter().any(|level| has(level)) {
        "the log of an Asterisk; its manager (AMI) tells of calls"
    } else if freeswitch.iter().any(|level| has(level)) {
        "the log of a FreeSWITCH; its event socket (ESL) tells of calls"
    } else if has(b" IP ") && has(b" > ") {
        "what tcpdump has printed; write packets to a file, with tcpdump -w"
    } else if months.iter().any(|month| start.starts_with(month)) {
        "a system log"
    } else if start.starts_with(b"[") {
        "JSON that is not one object a line"
    } else {
        "text of another kind"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_in_place_of_a_capture_is_named() {
        for (text, found) in [
            (
                "[Nov 30 22:00:00] VERBOSE[123][C-0001] pbx.c: Executing [102@phones:1] Dial\n",
                "the log of an Asterisk",
            ),
            ("[2026-11-30 22:00:00] NOTICE[7]: chan_pjsip.c: hello\n", "the log of an Asterisk"),
            (
                "<--- Received SIP request (1012 bytes) from UDP:10.0.0.7:5060 --->\n",
                "Asterisk's SIP debugging",
            ),
            ("2026-11-30 22:00:00.1 [NOTICE] switch_channel.c:1123 New Channel\n", "the log of a FreeSWITCH"),
            ("22:00:00.1 IP 10.0.0.7.5060 > 10.0.0.1.5060: SIP: INVITE sip:102@pbx SIP/2.0\n", "tcpdump -w"),
            ("Nov 30 22:00:00 pbx kamailio[9]: INFO: started\n", "a system log"),
            ("# A heading\n", "text of another kind"),
        ] {
            assert!(name(text.as_bytes()).contains(found), "{text}: {}", name(text.as_bytes()));
        }
    }

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
