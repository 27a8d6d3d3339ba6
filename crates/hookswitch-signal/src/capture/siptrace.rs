//! SIP messages in the log of a FreeSWITCH, as `sofia global siptrace on` writes them among its other lines:
//!
//! ```text
//! 2026-11-30 23:37:02.079242 90.00% [CONSOLE] sofia_presence.c:1621 Event Thread Started
//! recv 615 bytes from udp/[192.0.2.101]:5060 at 23:37:03.734053:
//! ------------------------------------------------------------------------
//! INVITE sip:102@pbx.example.com SIP/2.0
//! ...
//! ```
//!
//! The message has its line ends as LF and counts them as CRLF. The line before it has the time of the day alone, so
//! the day is that of the line before that has one. What `fs_cli` shows is indented by three spaces.

use std::io::{self, Read};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use hookswitch_model::Timestamp;

use super::Transport;
use super::input::Input;
use super::jsonl::{line_len, skip_line};

const DAY_MICROS: i64 = 86_400_000_000;

/// Indentation of what `fs_cli` shows.
const INDENT: &[u8] = b"   ";

/// The longest message that is read, in bytes; UDP carries none that is longer.
const MESSAGE_BYTES_MAX: usize = 65_535;

/// A message that was found, whose text is in [`SipTrace::message`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Traced {
    pub(super) time: Timestamp,
    pub(super) transport: Transport,
    pub(super) src: SocketAddr,
    pub(super) dst: SocketAddr,
}

/// Messages of a log, one after another.
#[derive(Default)]
pub(super) struct SipTrace {
    message: Vec<u8>,
    /// Time of the line before that has one, in microseconds since 1970.
    clock: Option<i64>,
}

/// The line before a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Head {
    received: bool,
    length: usize,
    transport: Transport,
    far_end: SocketAddr,
    /// Microseconds of the day.
    time_of_day: i64,
}

impl Head {
    fn read(line: &[u8]) -> Option<Self> {
        let line = std::str::from_utf8(line.trim_ascii()).ok()?;
        let words: Vec<&str> = line.split(' ').take(8).collect();
        let [way, length, "bytes", _, far_end, "at", time] = words[..] else { return None };
        let received = match way {
            "recv" => true,
            "send" => false,
            _ => return None,
        };
        let (protocol, address) = far_end.split_once('/')?;
        let transport = match protocol {
            "udp" => Transport::Udp,
            "tcp" | "tls" | "ws" | "wss" => Transport::Tcp,
            _ => return None,
        };
        let (host, port) = address.strip_prefix('[')?.split_once("]:")?;
        Some(Self {
            received,
            length: length.parse().ok().filter(|length| *length <= MESSAGE_BYTES_MAX)?,
            transport,
            far_end: SocketAddr::new(host.parse().ok()?, port.parse().ok()?),
            time_of_day: time_of_day(time.strip_suffix(':')?)?,
        })
    }
}

impl SipTrace {
    /// Returns `true` if a file that begins like this is such a log.
    pub(super) fn begins(start: &[u8]) -> bool {
        start.split(|&byte| byte == b'\n').any(|line| Head::read(line).is_some() || time_of(line).is_some())
    }

    pub(super) fn message(&self) -> &[u8] {
        &self.message
    }

    /// Steps to the next message; none at the end.
    pub(super) fn next<R: Read>(&mut self, input: &mut Input<R>) -> io::Result<Option<Traced>> {
        while input.fill(1)? {
            input.begin_record();
            let Some(length) = line_len(input)? else {
                skip_line(input)?;
                continue;
            };
            let place = input.take(length);
            input.take(1);
            let line = input.at(place);
            if let Some(time) = time_of(line) {
                self.clock = Some(time);
            } else if let Some(head) = Head::read(line) {
                self.read_message(&head, input)?;
                if !self.message.is_empty() {
                    return Ok(Some(self.traced(&head)));
                }
            }
        }
        Ok(None)
    }

    /// Reads the lines of a message, up to its length or to where something else begins.
    fn read_message<R: Read>(&mut self, head: &Head, input: &mut Input<R>) -> io::Result<()> {
        self.message.clear();
        let (mut is_indented, mut is_first) = (false, true);
        while self.message.len() < head.length && input.fill(1)? {
            let Some(length) = line_len(input)? else { return Ok(()) };
            let line = &input.bytes()[..length];
            if is_first {
                is_indented = line.starts_with(INDENT);
            } else if Head::read(line).is_some() || time_of(line).is_some() {
                return Ok(());
            }
            let text = if is_indented { line.strip_prefix(INDENT).unwrap_or(line) } else { line };
            let text = text.strip_suffix(b"\r").unwrap_or(text);
            if std::mem::take(&mut is_first) {
                if !text.starts_with(b"-----") {
                    return Ok(()); // no message follows
                }
            } else {
                self.message.extend_from_slice(text);
                self.message.extend_from_slice(b"\r\n");
            }
            input.take(length);
            input.take(1);
        }
        self.message.truncate(head.length);
        Ok(())
    }

    fn traced(&mut self, head: &Head) -> Traced {
        // The log does not say which of its own addresses a message has gone through.
        let own = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
        let (src, dst) = if head.received { (head.far_end, own) } else { (own, head.far_end) };
        Traced { time: self.time(head.time_of_day), transport: head.transport, src, dst }
    }

    /// The time that is nearest to that of the line before.
    fn time(&mut self, time_of_day: i64) -> Timestamp {
        let clock = self.clock.unwrap_or(time_of_day);
        let midnight = clock - clock.rem_euclid(DAY_MICROS);
        let days = [-DAY_MICROS, 0, DAY_MICROS].map(|day| midnight + day + time_of_day);
        let time = days.into_iter().min_by_key(|time| (time - clock).abs()).unwrap_or(clock);
        self.clock = Some(time);
        Timestamp::from_micros(time)
    }
}

/// Time of a line of the log, in microseconds since 1970 by its clock: `2026-11-30 23:37:02.079242`, with the id of a
/// channel before it or without.
fn time_of(line: &[u8]) -> Option<i64> {
    let line = std::str::from_utf8(line.get(..line.len().min(80))?).ok()?;
    let mut words = line.split(' ');
    let first = words.next()?;
    let day = if first.len() == 36 { words.next()? } else { first };
    let (date, time) = (day.as_bytes(), words.next()?);
    let is_day = date.len() == 10 && date[4] == b'-' && date[7] == b'-';
    let time_of_day = time_of_day(time).filter(|_| is_day && time.len() == 15)?;
    let midnight: jiff::Timestamp = format!("{day}T00:00:00Z").parse().ok()?;
    Some(midnight.as_microsecond() + time_of_day)
}

/// `23:37:02.079242` in microseconds.
fn time_of_day(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.')?;
    let mut parts =
        whole.split(':').map(|part| part.parse::<i64>().ok().filter(|value| part.len() == 2 && *value < 60));
    let (hours, minutes, seconds) = (parts.next()??, parts.next()??, parts.next()??);
    let is_whole = parts.next().is_none() && hours < 24 && fraction.len() == 6;
    let micros: i64 = fraction.parse().ok().filter(|micros| is_whole && *micros >= 0)?;
    Some(((hours * 60 + minutes) * 60 + seconds) * 1_000_000 + micros)
}

#[cfg(test)]
mod tests {
    use super::super::Reader;
    use super::*;

    const LOG: &str = "\
2026-11-30 23:59:58.019145 90.00% [CONSOLE] mod_voicemail.c:4068 Event Thread Started
recv 96 bytes from udp/[192.0.2.101]:5060 at 23:59:59.734053:
------------------------------------------------------------------------
OPTIONS sip:pbx.example.com SIP/2.0
Via: SIP/2.0/UDP 192.0.2.101:5060
Content-Length: 3

abc

7a58fbff-7fd6-4d36-9eda-0cb010053d85 2026-11-30 23:59:59.900000 86.67% [NOTICE] switch_channel.c:1143 New Channel
send 54 bytes to tcp/[2001:db8::1]:40000 at 00:00:00.000001:
   ------------------------------------------------------------------------
   SIP/2.0 200 OK
   Via: SIP/2.0/TCP 192.0.2.101
   X: y

   
";

    fn read(log: &str) -> Vec<(String, String, String, String)> {
        let mut reader = Reader::new(log.as_bytes()).expect("it is a log");
        let mut read = Vec::new();
        while reader.advance().expect("it can be read") {
            let message = reader.current().expect("a message");
            read.push((
                message.time.to_string(),
                message.src.to_string(),
                message.dst.to_string(),
                String::from_utf8_lossy(message.payload).into_owned(),
            ));
        }
        assert!(reader.counters().balance().is_ok(), "{:?}", reader.counters());
        read
    }

    #[test]
    fn messages_of_a_log_have_its_clock_and_the_far_end_even_past_midnight() {
        let read = read(LOG);
        assert_eq!(read.len(), 2, "{read:?}");
        let (time, src, dst, text) = &read[0];
        assert_eq!(
            (time.as_str(), src.as_str(), dst.as_str()),
            ("2026-11-30T23:59:59.734Z", "192.0.2.101:5060", "0.0.0.0:0")
        );
        assert!(text.starts_with("OPTIONS sip:pbx.example.com SIP/2.0\r\nVia: "), "{text:?}");
        assert!(text.ends_with("\r\n\r\nabc"), "{text:?}");
        let (time, src, dst, text) = &read[1];
        assert_eq!(
            (time.as_str(), src.as_str(), dst.as_str()),
            ("2026-12-01T00:00:00.000Z", "0.0.0.0:0", "[2001:db8::1]:40000")
        );
        assert_eq!(text, "SIP/2.0 200 OK\r\nVia: SIP/2.0/TCP 192.0.2.101\r\nX: y\r\n\r\n");
    }

    #[test]
    fn a_message_that_is_cut_ends_where_the_log_goes_on() {
        let log = LOG.replace("Content-Length: 3\n\nabc\n\n", "");
        let read = read(&log);
        assert_eq!(read.len(), 2);
        assert!(read[0].3.ends_with("192.0.2.101:5060\r\n"), "{:?}", read[0].3);
    }

    #[test]
    fn a_line_that_only_looks_like_the_one_before_a_message_is_none() {
        for line in [
            "recv 9 bytes from udp/[192.0.2.1]:5060",
            "recv 9 bytes from sctp/[192.0.2.1]:5060 at 10:00:00.000000:",
            "recv 70000 bytes from udp/[192.0.2.1]:5060 at 10:00:00.000000:",
            "recv 9 bytes from udp/192.0.2.1:5060 at 10:00:00.000000:",
            "recv 9 bytes from udp/[192.0.2.1]:5060 at 25:00:00.000000:",
            "recv 9 bytes from udp/[192.0.2.1]:5060 at 10:00:00:",
            "took 9 bytes from udp/[192.0.2.1]:5060 at 10:00:00.000000:",
        ] {
            assert_eq!(Head::read(line.as_bytes()), None, "{line}");
            assert!(!SipTrace::begins(line.as_bytes()));
        }
    }
}
