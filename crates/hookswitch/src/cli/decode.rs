//! `hookswitch decode`: every SIP message of captures, as the SIP reader reads it.

use std::borrow::Cow;
use std::fmt;
use std::io::Write;

use hookswitch_model::{Iso, Timestamp};
use hookswitch_server::escape;
use hookswitch_server::source::captures::CaptureFiles;
use hookswitch_signal::capture::{Captured, Transport};
use hookswitch_signal::sip::{Message, NameAddr, StartLine, lossy};
use serde::{Serialize, Serializer};

use super::{Captures, shows_progress, warn};

/// The arguments of the command.
#[derive(clap::Args)]
pub(super) struct Decode {
    #[command(flatten)]
    captures: Captures,
}

impl Decode {
    /// Prints one object a message.
    pub(super) fn run(self, out: &mut impl Write) -> anyhow::Result<()> {
        let mut files = CaptureFiles::open(&self.captures.files, shows_progress())?;
        while let Some((captured, _)) = files.next()? {
            if !captured.transport.is_sip() {
                continue;
            }
            let line = serde_json::to_string(&Line::new(&captured))?;
            writeln!(out, "{}", escape::json(&line))?;
        }
        files.done();
        warn(&files.warnings());
        Ok(())
    }
}

#[derive(Serialize)]
struct Line<'a> {
    #[serde(serialize_with = "micros")]
    time: Timestamp,
    transport: &'static str,
    src: String,
    dst: String,
    #[serde(flatten)]
    content: Content<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Content<'a> {
    Message(Box<Decoded<'a>>),
    Refused { error: String },
}

#[derive(Serialize)]
struct Decoded<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    call_id: Cow<'a, str>,
    from_tag: Option<Cow<'a, str>>,
    to_tag: Option<Cow<'a, str>>,
    cseq: u32,
    cseq_method: Cow<'a, str>,
    from: Cow<'a, str>,
    to: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_uri: Option<Cow<'a, str>>,
}

impl<'a> Line<'a> {
    fn new(captured: &Captured<'a>) -> Self {
        let content = match Message::parse(captured.payload) {
            Ok(message) => Content::Message(Box::new(Decoded::new(&message))),
            Err(error) => Content::Refused { error: error.to_string() },
        };
        Self {
            time: captured.time,
            transport: match captured.transport {
                Transport::Udp => "UDP",
                Transport::Tcp => "TCP",
                Transport::Switch(switch) => switch.adapter().words().protocol,
                Transport::Posted => "HTTP",
            },
            src: captured.src.to_string(),
            dst: captured.dst.to_string(),
            content,
        }
    }
}

impl<'a> Decoded<'a> {
    fn new(message: &Message<'a>) -> Self {
        let (method, status, request_uri) = match message.start() {
            StartLine::Request { method, uri } => {
                (Some(lossy_method(&method)), None, Some(lossy(uri.as_bytes())))
            }
            StartLine::Response { status, .. } => (None, Some(status), None),
        };
        let cseq = message.cseq();
        let address = |side: NameAddr<'a>| lossy(side.uri().as_bytes());
        Self {
            method,
            status,
            call_id: lossy(message.call_id()),
            from_tag: message.from_tag().map(lossy),
            to_tag: message.to_tag().map(lossy),
            cseq: cseq.number,
            cseq_method: lossy_method(&cseq.method),
            from: address(message.from()),
            to: address(message.to()),
            request_uri,
        }
    }
}

fn lossy_method<'a>(method: &impl fmt::Display) -> Cow<'a, str> {
    Cow::Owned(method.to_string())
}

/// ISO 8601 in UTC with microseconds, as captures have them.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn micros<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    let millis = Iso::new(*at);
    let rest = at.as_micros().rem_euclid(1000);
    serializer.collect_str(&format_args!("{}{rest:03}Z", millis.as_str().trim_end_matches('Z')))
}
