//! The inputs of a capture as files that `replay` reads.

use std::collections::BTreeMap;
use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hookswitch_signal::adapters::Switch;
use hookswitch_signal::capture::{Captured, PcapFile, hep};

use super::select::{Chosen, Kind};

/// The files, without those that would be empty. Of several switches each has its own.
///
/// # Errors
/// If a message is too long for a frame, or no JSON.
pub(super) fn write(chosen: &Chosen) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
    let (mut sip, mut posted) = (Vec::new(), Vec::new());
    let mut transcripts: BTreeMap<(Switch, u16), Vec<u8>> = BTreeMap::new();
    let mut frame = Vec::new();
    for message in &chosen.0 {
        let micros = message.at.as_micros();
        let seconds = format!("{}.{:06}", micros.div_euclid(1_000_000), micros.rem_euclid(1_000_000));
        match &message.kind {
            Kind::Sip { agent, transport, src, dst, correlation } => {
                let captured = Captured {
                    time: message.at,
                    transport: *transport,
                    src: *src,
                    dst: *dst,
                    packet: 0,
                    correlation: correlation.as_deref(),
                    payload: &message.body,
                };
                frame.clear();
                hep::write(&captured, u32::from(*agent), None, &mut frame)?;
                writeln!(sip, r#"{{"t": {seconds}, "b64": "{}"}}"#, STANDARD.encode(&frame))?;
            }
            Kind::Switch(switch, source) => {
                let transcript = transcripts.entry((*switch, *source)).or_default();
                switch.adapter().write_entry(message.at, &message.body, transcript);
            }
            Kind::Posted => {
                // On one line, however it was posted.
                let signal: serde_json::Value = serde_json::from_slice(&message.body)?;
                writeln!(posted, r#"{{"t": {seconds}, "signal": {signal}}}"#)?;
            }
        }
    }
    let mut files = vec![("hep.jsonl".to_owned(), sip)];
    let mut numbers = BTreeMap::new();
    for ((switch, _), bytes) in transcripts {
        let number = *numbers.entry(switch).and_modify(|number| *number += 1).or_insert(1_u32);
        let (name, extension) = transcript_name(switch);
        let name =
            if number == 1 { format!("{name}.{extension}") } else { format!("{name}-{number}.{extension}") };
        files.push((name, bytes));
    }
    files.push(("ingest.jsonl".to_owned(), posted));
    files.retain(|(_, bytes)| !bytes.is_empty());
    Ok(files)
}

/// The SIP among the inputs as a pcap file; none if there is none.
pub(super) fn pcap(chosen: &Chosen) -> Option<Vec<u8>> {
    let mut file = None;
    for message in &chosen.0 {
        if let Kind::Sip { transport, src, dst, .. } = &message.kind {
            file.get_or_insert_with(PcapFile::default).add(&Captured {
                time: message.at,
                transport: *transport,
                src: *src,
                dst: *dst,
                packet: 0,
                correlation: None,
                payload: &message.body,
            });
        }
    }
    file.map(PcapFile::into_bytes)
}

/// Returns what the transcripts of a kind of switch are called, and how their names end.
fn transcript_name(switch: Switch) -> (&'static str, &'static str) {
    (switch.adapter().name(), switch.adapter().transcript().extension())
}

/// Returns `true` if a file may have this name in a capture.
pub fn is_name(name: &str) -> bool {
    let is_transcript = |&switch: &Switch| {
        let (kind, extension) = transcript_name(switch);
        let Some(number) = name.strip_prefix(kind).and_then(|name| name.strip_suffix(extension)) else {
            return false;
        };
        let number = number.strip_suffix('.').map(|number| number.strip_prefix('-').ok_or(number));
        matches!(number, Some(Err(""))) || matches!(number, Some(Ok(number)) if number.parse::<u16>().is_ok())
    };
    ["hep.jsonl", "ingest.jsonl", "directory.toml", "expected.jsonl"].contains(&name)
        || Switch::ALL.iter().any(is_transcript)
}
