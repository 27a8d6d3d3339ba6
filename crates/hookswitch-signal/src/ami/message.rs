//! One message, borrowed from its bytes: lines of `Key: Value`.

use std::fmt;

use crate::byte_set::ByteSet;
use crate::keywords::words;

/// The most lines of a message that are looked at.
const LINES_MAX: usize = 512;

/// Beginning of the line that names a variable.
const VARIABLE: &[u8] = b"Variable:";

words! {
    /// The events that say something about a call. All others are passed over.
    Kind {
        AgentCalled, AgentConnect, AttendedTransfer, BlindTransfer, BridgeEnter, BridgeLeave, ChanSpyStart,
        ConfbridgeJoin, ConfbridgeMute, ConfbridgeUnmute, CoreShowChannel, CoreShowChannelsComplete,
        DialBegin, DialEnd, DialState, DTMFEnd, FAXStatus, Hangup, HangupRequest, Hold, MixMonitorMute,
        MixMonitorStart, MixMonitorStop, Newchannel, Newexten, Newstate, ParkedCall, ParkedCallGiveUp,
        ParkedCallTimeOut, Pickup, QueueCallerJoin, QueueCallerLeave, QueueEntry, Shutdown, Unhold, UnParkedCall, VarSet,
    }
}

words! {
    /// The keys whose values are read.
    Key {
        Admin, AppData, Application, ApplicationData, BridgeId, BridgeType, BridgeUniqueid, CallerIDName,
        CallerIDNum, Cause, Channel, ChannelState, Conference, DestCallerIDName, DestCallerIDNum, DestChannel,
        DestChannelState, DestExten, DestLinkedid, DestType, DestUniqueid, DialStatus, DialString, Digit, Exten,
        Extension, Forward, IsExternal, Linkedid, Muted, Operation, OrigTransfererUniqueid, ParkeeUniqueid,
        ParkerDialString, Parkinglot, ParkingSpace, Queue, Result, RetrieverUniqueid, SecondTransfererUniqueid,
        SpyeeUniqueid, SpyerUniqueid, State, SwapUniqueid, TargetUniqueid, TechCause, TransfereeUniqueid,
        TransfererUniqueid, TransferTargetUniqueid,
        Uniqueid, Value, Variable,
    }
}

const KEYS: usize = Key::Variable as usize + 1;

/// One message of a manager connection: an event, a response, or the greeting.
#[derive(Clone, Copy)]
pub struct Message<'a> {
    bytes: &'a [u8],
    /// The key and value of the first line.
    first: (&'a [u8], &'a [u8]),
}

impl<'a> Message<'a> {
    /// Looks at a message: lines of `Key: Value`, however they end.
    pub fn new(bytes: &'a [u8]) -> Self {
        let first = Lines(bytes).next().unwrap_or_default();
        Self { bytes, first }
    }

    /// The name of the event, if it is one.
    pub fn event(&self) -> Option<&'a [u8]> {
        (self.first.0 == b"Event").then_some(self.first.1)
    }

    /// Returns what a response says, `Success` or `Error`, if it is one.
    pub fn response(&self) -> Option<&'a [u8]> {
        (self.first.0 == b"Response").then_some(self.first.1)
    }

    /// Returns `true` if it is something that the manager was asked for.
    pub(super) fn is_action(&self) -> bool {
        self.first.0 == b"Action"
    }

    /// Returns what it is, in a line: its event and the channel that it is about.
    pub fn title(&self) -> String {
        let (key, value) = self.first;
        let channel = self.value("Channel").or_else(|| self.value("DestChannel"));
        let words = [key, value, channel.unwrap_or_default()].map(String::from_utf8_lossy);
        format!("{}: {} {}", words[0], words[1], words[2]).trim_end().to_owned()
    }

    /// The first value of a key, exactly as it is spelled.
    pub fn value(&self, key: &str) -> Option<&'a [u8]> {
        Lines(self.bytes).take(LINES_MAX).find(|(name, _)| *name == key.as_bytes()).map(|(_, value)| value)
    }

    /// Returns `true` if a [`AmiTracker`](super::AmiTracker) has use for it; most of what a switch tells says nothing of
    /// calls.
    pub fn counts(&self) -> bool {
        match self.event() {
            Some(b"VarSet") => self.sets_variable(),
            Some(event) => Kind::read(event).is_some(),
            None => super::listing::begins(self) || super::action::counts(self),
        }
    }

    /// Returns `true` if a variable may be one that says something: a SIP Call-ID, or where a message was left.
    fn sets_variable(&self) -> bool {
        let Some(at) = memchr::memmem::find(self.bytes, VARIABLE) else { return false };
        let name = &self.bytes[at + VARIABLE.len()..];
        let name = &name[..memchr::memchr(b'\n', name).unwrap_or(name.len())];
        let name = name.trim_ascii();
        name.ends_with(b"CALLID") || name == b"VM_MESSAGEFILE"
    }

    /// The event, when it is one that says something about a call.
    pub(super) fn read(&self) -> Option<Event<'a>> {
        let kind = Kind::read(self.event()?)?;
        if kind == Kind::VarSet && !self.sets_variable() {
            return None; // nine of ten events are of variables that say nothing here
        }
        let mut values = [&b""[..]; KEYS];
        let mut seen = [false; KEYS];
        for (key, value) in Lines(self.bytes).take(LINES_MAX) {
            if let Some(key) = Key::read(key)
                && !std::mem::replace(&mut seen[key as usize], true)
            {
                values[key as usize] = value;
            }
        }
        Some(Event { kind, values })
    }
}

impl fmt::Debug for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", String::from_utf8_lossy(self.bytes))
    }
}

/// An event with the values that may count; what it does not say is empty.
pub(super) struct Event<'a> {
    pub(super) kind: Kind,
    values: [&'a [u8]; KEYS],
}

impl<'a> Event<'a> {
    pub(super) fn get(&self, key: Key) -> &'a [u8] {
        self.values[key as usize]
    }

    /// A decimal number; 0 if it is none.
    pub(super) fn number(&self, key: Key) -> u32 {
        std::str::from_utf8(self.get(key)).ok().and_then(|text| text.parse().ok()).unwrap_or(0)
    }

    /// Returns `true` if it says `Yes`.
    pub(super) fn says_yes(&self, key: Key) -> bool {
        self.get(key).eq_ignore_ascii_case(b"yes")
    }
}

/// Keys and values, line by line.
struct Lines<'a>(&'a [u8]);

impl<'a> Iterator for Lines<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        while !self.0.is_empty() {
            let (line, rest) = self.0.split_at(LINE_END.find(self.0, 0));
            self.0 = rest.get(1..).unwrap_or_default();
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let (key, value) = line.split_at(COLON.find(line, 0));
            let Some(value) = value.get(1..) else {
                if line.is_empty() {
                    continue;
                }
                return Some((line, b""));
            };
            return Some((key, value.strip_prefix(b" ").unwrap_or(value)));
        }
        None
    }
}

const LINE_END: ByteSet<1> = ByteSet::of(b"\n");

const COLON: ByteSet<1> = ByteSet::of(b":");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_they_are_whatever_bytes_they_hold() {
        let message = Message::new(
            b"Event: Newchannel\r\nChannel: PJSIP/101-1\r\nCallerIDName: \xff: a\rb\r\nExten:102\r\nExten: 103\r\nUniqueid: \r\n\r\n",
        );
        assert_eq!(message.event(), Some(&b"Newchannel"[..]));
        assert_eq!(message.value("Exten"), Some(&b"102"[..]));
        let event = message.read().expect("a known event");
        assert_eq!(event.kind, Kind::Newchannel);
        assert_eq!(event.get(Key::CallerIDName), b"\xff: a\rb");
        assert_eq!(event.get(Key::Exten), b"102");
        assert_eq!(event.get(Key::Uniqueid), b"");
        assert_eq!(event.get(Key::DestUniqueid), b"");
    }

    #[test]
    fn what_says_nothing_about_calls_is_no_event() {
        for text in [
            &b"Event: RTCPSent\r\nUniqueid: 1.1\r\n\r\n"[..],
            b"Event: VarSet\r\nUniqueid: 1.1\r\nVariable: RINGTIME\r\nValue: 1\r\n\r\n",
            b"Response: Success\r\nMessage: Authentication accepted\r\n\r\n",
            b"Asterisk Call Manager/11.0.0\r\n",
            b"\r\n\r\n",
            b"",
        ] {
            assert!(Message::new(text).read().is_none());
        }
        let message = Message::new(b"Response: Error\nMessage: Authentication failed\n");
        assert_eq!((message.response(), message.event()), (Some(&b"Error"[..]), None));
    }
}
