//! SIP messages in the log of an Asterisk, as `pjsip set logger on` writes them among its other lines:
//!
//! ```text
//! [2026-11-30 23:37:48.113] VERBOSE[28762] res_pjsip_logger.c: <--- Received SIP request (354 bytes) from UDP:192.0.2.11:5060 --->
//! ACK sip:102@192.0.2.1 SIP/2.0
//! ...
//! ```
//!
//! The clock is that of the log. A log names the peer alone, so that its own side has one address for all messages.
//! The log of a FreeSWITCH is read by `siptrace`.

use std::io::{self, Read};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use hookswitch_model::Timestamp;
use jiff::civil::{Date, DateTime, Time};

use super::Transport;
use super::input::{Input, RECORD_BYTES_MAX};
use super::jsonl;

/// Address of the switch that has written the log, which does not say it.
const OWN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 5060);

/// The year of a log whose dates have none, as Asterisk writes them if `dateformat` is not set: one that has a
/// 29 February.
const NO_YEAR: i16 = 2000;

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Result of the next step over the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// A message, in [`TextLog::message`].
    Message {
        time: Timestamp,
        src: SocketAddr,
        dst: SocketAddr,
        transport: Transport,
    },
    /// A message whose head cannot be read, or a line that is longer than any.
    Damaged,
    End,
}

/// Head of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Head {
    peer: SocketAddr,
    transport: Transport,
    is_received: bool,
    length: usize,
}

/// The lines of a log, with the message of the last step.
#[derive(Default)]
pub(super) struct TextLog {
    message: Vec<u8>,
    /// The time of the last line that says one.
    time: Option<DateTime>,
    /// A head that ended the message before it.
    head: Option<Head>,
    /// The same, and it cannot be read.
    is_damaged: bool,
}

/// A head whose length or address cannot be read.
struct Unreadable;

impl TextLog {
    /// Returns `true` if a file that begins like this is such a log: by its second line at the latest.
    pub(super) fn begins(start: &[u8]) -> bool {
        let text = String::from_utf8_lossy(start);
        let mut lines = text.lines().map(plain).filter(|line| !line.is_empty()).take(2);
        lines.any(|line| is_head(&line) || Stamp::before(&line).is_some())
    }

    pub(super) fn message(&self) -> &[u8] {
        &self.message
    }

    /// Steps to the next message.
    pub(super) fn next<R: Read>(&mut self, input: &mut Input<R>) -> io::Result<Entry> {
        let head = loop {
            if let Some(head) = self.head.take() {
                break head;
            }
            if std::mem::take(&mut self.is_damaged) {
                return Ok(Entry::Damaged);
            }
            input.begin_record();
            let Some(line) = line(input)? else { return Ok(Entry::End) };
            let Line::Text(line) = line else { return Ok(Entry::Damaged) };
            match self.head_of(&plain(&line)) {
                Ok(Some(head)) => break head,
                Ok(None) => {}
                Err(Unreadable) => return Ok(Entry::Damaged),
            }
        };
        self.read_message(&head, input)?;
        let time = self.time.map_or_else(Timestamp::default, micros);
        let (src, dst) = if head.is_received { (head.peer, OWN) } else { (OWN, head.peer) };
        Ok(Entry::Message { time, src, dst, transport: head.transport })
    }

    /// Reads a line that may be a head, and notes its time.
    fn head_of(&mut self, line: &str) -> Result<Option<Head>, Unreadable> {
        if let Some(Stamp(at)) = Stamp::before(line) {
            self.time = Some(at);
        }
        if is_head(line) { Head::read(line).map(Some).ok_or(Unreadable) } else { Ok(None) }
    }

    /// Collects the lines of a message, with the line ends that it had.
    fn read_message<R: Read>(&mut self, head: &Head, input: &mut Input<R>) -> io::Result<()> {
        self.message.clear();
        while self.message.len() < head.length.min(RECORD_BYTES_MAX) {
            let Some(Line::Text(text)) = line(input)? else { break };
            let shown = plain(&text);
            // A line of the log within or behind a message ends it.
            match self.head_of(&shown) {
                Ok(None) => {}
                Ok(head) => {
                    self.head = head;
                    break;
                }
                Err(Unreadable) => {
                    self.is_damaged = true;
                    break;
                }
            }
            if Stamp::before(&shown).is_some() {
                break;
            }
            let bytes = text.strip_suffix(b"\r").unwrap_or(&text);
            if bytes.is_empty() && self.message.is_empty() {
                continue;
            }
            self.message.extend_from_slice(bytes);
            self.message.extend_from_slice(b"\r\n");
        }
        self.message.truncate(head.length);
        // The empty line behind the headers may have gone with what the log leaves out.
        if memchr::memmem::find(&self.message, b"\r\n\r\n").is_none() {
            while !self.message.ends_with(b"\r\n\r\n") {
                self.message.extend_from_slice(b"\r\n");
            }
        }
        Ok(())
    }
}

/// A line without its end.
enum Line {
    Text(Vec<u8>),
    TooLong,
}

/// Takes the next line; none at the end.
fn line<R: Read>(input: &mut Input<R>) -> io::Result<Option<Line>> {
    if !input.fill(1)? {
        return Ok(None);
    }
    let Some(length) = jsonl::line_len(input)? else {
        jsonl::skip_line(input)?;
        return Ok(Some(Line::TooLong));
    };
    let place = input.take(length);
    let text = input.at(place).to_vec();
    if input.fill(1)? {
        input.take(1);
    }
    Ok(Some(Line::Text(text)))
}

/// A line without the colours of a terminal.
fn plain(line: impl AsRef<[u8]>) -> String {
    let text = String::from_utf8_lossy(line.as_ref());
    let mut out = String::with_capacity(text.len());
    let mut rest = text.trim_end_matches(['\r', '\n']);
    while let Some((before, escape)) = rest.split_once('\u{1b}') {
        out.push_str(before);
        let end = escape.find(|c: char| c.is_ascii_alphabetic()).map_or(escape.len(), |end| end + 1);
        rest = &escape[end..];
    }
    out.push_str(rest);
    out
}

/// Returns `true` if a line is the head of a message.
fn is_head(line: &str) -> bool {
    parts(line).is_some()
}

/// `Received SIP request (354 bytes) from UDP:192.0.2.11:5060`, and whether it was received.
fn parts(line: &str) -> Option<(bool, &str)> {
    let (_, head) = line.split_once("<--- ")?;
    let head = head.trim_end().strip_suffix(" --->")?;
    if let Some(rest) = head.strip_prefix("Received SIP ") {
        return Some((true, rest));
    }
    head.strip_prefix("Transmitting SIP ").map(|rest| (false, rest))
}

impl Head {
    fn read(line: &str) -> Option<Self> {
        // `request (354 bytes) from UDP:192.0.2.11:5060`
        let (is_received, rest) = parts(line)?;
        let (_, rest) = rest.split_once('(')?;
        let (length, rest) = rest.split_once(" bytes)")?;
        let (_, place) = rest.trim_start().split_once(' ')?;
        let (protocol, peer) = place.split_once(':')?;
        Some(Self {
            peer: peer.parse().ok()?,
            transport: transport(protocol),
            is_received,
            length: length.trim().parse().ok()?,
        })
    }
}

fn transport(protocol: &str) -> Transport {
    if protocol.eq_ignore_ascii_case("udp") { Transport::Udp } else { Transport::Tcp }
}

/// The time that a line of a log begins with.
struct Stamp(DateTime);

impl Stamp {
    /// `[2026-11-30 23:37:48.113]`, or `[Nov 30 23:37:48]`.
    fn before(line: &str) -> Option<Self> {
        let (date, _) = line.trim_start().strip_prefix('[')?.split_once(']')?;
        date_time(date.trim()).map(Self)
    }
}

/// A date and a time; one without a year is of [`NO_YEAR`].
fn date_time(text: &str) -> Option<DateTime> {
    for format in ["%Y-%m-%d %H:%M:%S%.f %z", "%Y-%m-%d %H:%M:%S%.f%z", "%Y-%m-%dT%H:%M:%S%.f%z"] {
        if let Ok(at) = jiff::Timestamp::strptime(format, text) {
            return Some(at.to_zoned(jiff::tz::TimeZone::UTC).datetime());
        }
    }
    if let Ok(at) = text.trim_end_matches('Z').parse() {
        return Some(at);
    }
    let mut words = text.split_ascii_whitespace();
    let month = words.next()?;
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    let day = words.next()?.parse().ok()?;
    let time: Time = words.next()?.parse().ok()?;
    let date = Date::new(NO_YEAR, i8::try_from(month).ok()?, day).ok()?;
    Some(date.to_datetime(time))
}

/// The time as if it were that of UTC: a log does not say its zone.
fn micros(at: DateTime) -> Timestamp {
    let zoned = at.to_zoned(jiff::tz::TimeZone::UTC);
    Timestamp::from_micros(zoned.map_or(0, |zoned| zoned.timestamp().as_microsecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(log: &str) -> Vec<(Entry, String)> {
        let mut input = Input::new(log.as_bytes());
        let mut lines = TextLog::default();
        let mut found = Vec::new();
        loop {
            let entry = lines.next(&mut input).expect("memory can be read");
            if entry == Entry::End {
                return found;
            }
            found.push((entry, String::from_utf8_lossy(lines.message()).into_owned()));
        }
    }

    const BYE: &str = "BYE sip:102@192.0.2.1 SIP/2.0\r\nCall-ID: 1\r\n\r\n";

    fn at(text: &str) -> Timestamp {
        micros(text.parse().expect("a time"))
    }

    fn received(time: &str) -> Entry {
        let src = "192.0.2.11:5060".parse().expect("an address");
        Entry::Message { time: at(time), src, dst: OWN, transport: Transport::Udp }
    }

    #[test]
    fn messages_of_an_asterisk_are_read_with_the_clock_of_the_log() {
        let length = BYE.len();
        let head = format!("<--- Received SIP request ({length} bytes) from UDP:192.0.2.11:5060 --->\n");
        for (stamp, time) in [
            ("2026-11-30 23:37:48.113", "2026-11-30T23:37:48.113"),
            ("2026-11-30 23:37:48", "2026-11-30T23:37:48"),
            ("2026-11-30T23:37:48.113+0100", "2026-11-30T22:37:48.113"),
            ("Nov 30 23:37:48", "2000-11-30T23:37:48"),
            ("Nov  3 23:37:48", "2000-11-03T23:37:48"),
        ] {
            for before in
                ["VERBOSE[28762] res_pjsip_logger.c: ", "VERBOSE[28762][C-00000001] res_pjsip_logger.c: "]
            {
                let log = format!(
                    "[{stamp}] NOTICE[1] loader.c: Loaded\n[{stamp}] {before}{head}{BYE}\n[{stamp}] VERBOSE[1] \
                     pbx.c: Executing [102@phones:1] Dial(\"PJSIP/101-1\", \"PJSIP/102\")\n"
                );
                assert!(TextLog::begins(log.as_bytes()), "{log}");
                assert_eq!(entries(&log), [(received(time), BYE.to_owned())], "{log}");
                // An editor has changed the line ends.
                assert_eq!(entries(&log.replace('\r', "")), [(received(time), BYE.to_owned())]);
                // It was copied from a terminal.
                let log = log.replace("VERBOSE", "\u{1b}[1;37mVERBOSE\u{1b}[0m");
                assert_eq!(entries(&log), [(received(time), BYE.to_owned())]);
            }
        }
    }

    #[test]
    fn messages_that_follow_each_other_are_told_apart() {
        let sent = "SIP/2.0 200 OK\r\nCall-ID: 1\r\nContent-Length: 5\r\n\r\nv=0\r\n";
        let log = format!(
            "[2026-11-30 23:37:48.113] VERBOSE[1] res_pjsip_logger.c: <--- Received SIP request ({} bytes) from \
             UDP:192.0.2.11:5060 --->\n{BYE}\n\
             [2026-11-30 23:37:48.114] VERBOSE[1] res_pjsip_logger.c: <--- Transmitting SIP response ({} bytes) to \
             TLS:[2001:db8::1]:5061 --->\n{sent}\n\n",
            BYE.len(),
            sent.len(),
        );
        let dst = "[2001:db8::1]:5061".parse().expect("an address");
        let time = at("2026-11-30T23:37:48.114");
        let answer = Entry::Message { time, src: OWN, dst, transport: Transport::Tcp };
        let first = (received("2026-11-30T23:37:48.113"), BYE.to_owned());
        assert_eq!(entries(&log), [first, (answer, sent.to_owned())]);
    }

    #[test]
    fn a_head_that_cannot_be_read_is_damaged_and_the_rest_is_read() {
        let log = format!(
            "[2026-11-30 23:37:48] VERBOSE[1] x.c: <--- Received SIP request (x bytes) from UDP:pbx --->\n{BYE}\n\
             [2026-11-30 23:37:48] VERBOSE[1] x.c: <--- Received SIP request ({} bytes) from UDP:192.0.2.11:5060 \
             --->\n{BYE}",
            BYE.len()
        );
        let found = entries(&log);
        assert_eq!(found[0].0, Entry::Damaged);
        assert_eq!(found[1..], [(received("2026-11-30T23:37:48"), BYE.to_owned())]);
        for other in ["[1, 2]", "{\"t\": 1}", "INVITE sip:a@b SIP/2.0\r\n", "", "a text\nof no kind\n"] {
            assert!(!TextLog::begins(other.as_bytes()), "{other}");
        }
    }
}
