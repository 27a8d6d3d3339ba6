//! The inputs of a capture as files that `replay` reads.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hookswitch_signal::capture::{Captured, hep};
use hookswitch_signal::esl;

use super::select::{Chosen, Kind};

/// The files, without those that would be empty. Of several switches each has its own.
///
/// # Errors
/// If a message is too long for a frame, or no JSON.
pub(super) fn write(chosen: &Chosen) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
    let (mut sip, mut posted) = (Vec::new(), Vec::new());
    let [mut managers, mut sockets] = [const { BTreeMap::new() }; 2];
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
            Kind::Manager(source) => {
                let ami: &mut Vec<u8> = managers.entry(source).or_default();
                write!(ami, ";; {} {seconds}\r\n", message.at)?;
                ami.extend_from_slice(message.body.trim_ascii_end());
                ami.extend_from_slice(b"\r\n\r\n");
            }
            Kind::EventSocket(source) => {
                let esl: &mut Vec<u8> = sockets.entry(source).or_default();
                let body = text(&message.body);
                writeln!(esl, "=== {seconds} {} in {}", message.at, body.len())?;
                esl.extend_from_slice(&body);
                esl.push(b'\n');
            }
            Kind::Posted => {
                // On one line, however it was posted.
                let signal: serde_json::Value = serde_json::from_slice(&message.body)?;
                writeln!(posted, r#"{{"t": {seconds}, "signal": {signal}}}"#)?;
            }
        }
    }
    let mut files = vec![("hep.jsonl".to_owned(), sip)];
    for (kind, transcripts) in [("ami", managers), ("esl", sockets)] {
        files.extend((1..).zip(transcripts.into_values()).map(|(number, bytes)| {
            let name = if number == 1 { format!("{kind}.log") } else { format!("{kind}-{number}.log") };
            (name, bytes)
        }));
    }
    files.push(("ingest.jsonl".to_owned(), posted));
    files.retain(|(_, bytes)| !bytes.is_empty());
    Ok(files)
}

/// Whether a file may have this name in a capture.
pub fn is_name(name: &str) -> bool {
    let number = ["ami-", "esl-"].into_iter().find_map(|kind| name.strip_prefix(kind)?.strip_suffix(".log"));
    ["hep.jsonl", "ami.log", "esl.log", "ingest.jsonl", "directory.toml", "expected.jsonl"].contains(&name)
        || number.is_some_and(|number| number.parse::<u16>().is_ok())
}

/// A message of an event socket as it came. Where it is no text, it says how long it is as text, which is
/// what is read of it.
fn text(bytes: &[u8]) -> Cow<'_, [u8]> {
    let text = match String::from_utf8_lossy(bytes) {
        Cow::Borrowed(_) => return Cow::Borrowed(bytes),
        Cow::Owned(_) => esl::Message::new(bytes),
    };
    let body = String::from_utf8_lossy(text.body());
    let head = &bytes[..bytes.len() - text.body().len()];
    let mut made = Vec::new();
    for line in String::from_utf8_lossy(head).lines().filter(|line| !line.is_empty()) {
        let is_length = line.to_ascii_lowercase().starts_with("content-length:");
        let length = format!("Content-Length: {}", body.len());
        made.extend_from_slice(if is_length { length.as_bytes() } else { line.as_bytes() });
        made.push(b'\n');
    }
    made.push(b'\n');
    made.extend_from_slice(body.as_bytes());
    Cow::Owned(made)
}
