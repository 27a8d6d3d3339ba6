//! The inputs of a capture as files that `replay` reads.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hookswitch_signal::capture::{Captured, hep};

use super::select::{Chosen, Kind};

/// The files, without those that would be empty.
///
/// # Errors
/// If a message is too long for a frame, or no JSON.
pub(super) fn write(chosen: &Chosen) -> anyhow::Result<Vec<(&'static str, Vec<u8>)>> {
    let [mut sip, mut ami, mut posted] = [const { Vec::new() }; 3];
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
            Kind::Manager => {
                write!(ami, ";; {} {seconds}\r\n", message.at)?;
                ami.extend_from_slice(message.body.trim_ascii_end());
                ami.extend_from_slice(b"\r\n\r\n");
            }
            Kind::Posted => {
                // On one line, however it was posted.
                let signal: serde_json::Value = serde_json::from_slice(&message.body)?;
                writeln!(posted, r#"{{"t": {seconds}, "signal": {signal}}}"#)?;
            }
        }
    }
    let files = [("hep.jsonl", sip), ("ami.log", ami), ("ingest.jsonl", posted)];
    Ok(files.into_iter().filter(|(_, bytes)| !bytes.is_empty()).collect())
}
