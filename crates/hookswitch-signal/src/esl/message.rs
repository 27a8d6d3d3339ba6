//! One message of an event socket: headers, and behind them a body that may be an event.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::object::{Members, Unusual, Value};
use crate::keywords::words;

/// The most lines of headers that are looked at.
const LINES_MAX: usize = 4096;

/// Mark of a channel whose own connection was lost: no FreeSWITCH says that.
const LOST: &[u8] = b"connection/lost";

/// The header that names the channel of a connection.
const CONTROLLED: &str = "Controlled-Session-UUID";

/// Writes what a [`EslTracker`](super::EslTracker) is told when the connection of a channel was lost before its end.
pub fn lost_channel(uuid: &str, out: &mut Vec<u8>) {
    let head = format!("Content-Type: connection/lost\n{CONTROLLED}: {uuid}\n\n");
    out.extend_from_slice(head.as_bytes());
}

/// Beginning of the values of a variable that was set several times, in plain events.
const ARRAY: &str = "ARRAY::";

words! {
    /// The events that say something about a call, by their names and, of CUSTOM ones, their subclasses. All
    /// others are passed over.
    Kind {
        Create = "CHANNEL_CREATE", Progress = "CHANNEL_PROGRESS", ProgressMedia = "CHANNEL_PROGRESS_MEDIA",
        Answer = "CHANNEL_ANSWER", Bridge = "CHANNEL_BRIDGE", Unbridge = "CHANNEL_UNBRIDGE",
        Hold = "CHANNEL_HOLD", CallState = "CHANNEL_CALLSTATE",
        Park = "CHANNEL_PARK", Unpark = "CHANNEL_UNPARK", Execute = "CHANNEL_EXECUTE",
        HangUp = "CHANNEL_HANGUP", HangUpComplete = "CHANNEL_HANGUP_COMPLETE", Destroy = "CHANNEL_DESTROY",
        RecordStart = "RECORD_START", RecordStop = "RECORD_STOP", MediaBugStart = "MEDIA_BUG_START",
        MediaBugStop = "MEDIA_BUG_STOP", Shutdown = "SHUTDOWN", ValetParking = "valet_parking::info",
        Fifo = "fifo::info", CallCenter = "callcenter::info", Conference = "conference::maintenance",
        MenuEnter = "menu::enter", FaxNegotiated = "spandsp::rxfaxnegociateresult",
        FaxPage = "spandsp::rxfaxpageresult", FaxDone = "spandsp::rxfaxresult", Data = "CHANNEL_DATA",
    }
}

words! {
    /// The headers and variables whose values are read.
    Key {
        Action = "Action", Application = "Application", ApplicationData = "Application-Data",
        AttXferResult = "variable_att_xfer_result", BridgeA = "Bridge-A-Unique-ID",
        BridgeB = "Bridge-B-Unique-ID", BridgeTo = "Bridge-To-UUID", CallDirection = "Call-Direction",
        CallState = "Channel-Call-State", CallerContext = "Caller-Context", CallerIdName = "Caller-Caller-ID-Name",
        CallerIdNumber = "Caller-Caller-ID-Number", CcAction = "CC-Action",
        CcCancelReason = "CC-Cancel-Reason", CcCause = "CC-Cause",
        CcMember = "CC-Member-Session-UUID", CcMemberVariable = "variable_cc_member_session_uuid",
        CcQueue = "CC-Queue", ChannelName = "Channel-Name", ConferenceName = "Conference-Name",
        CoreUuid = "Core-UUID", DestinationNumber = "Caller-Destination-Number",
        DialedDomain = "variable_dialed_domain", DialedUser = "variable_dialed_user",
        DomainName = "variable_domain_name", EndpointDisposition = "variable_endpoint_disposition",
        EffectiveName = "variable_effective_caller_id_name",
        EffectiveNumber = "variable_effective_caller_id_number", EventSequence = "Event-Sequence", FifoAction = "FIFO-Action",
        FifoBridge = "variable_fifo_bridge_uuid", FifoName = "FIFO-Name",
        ConfirmBy = "variable_group_confirm_key",
        GatewayName = "variable_sip_gateway_name", HangupCause = "Hangup-Cause",
        HangupDisposition = "variable_sip_hangup_disposition", HideNumber = "Caller-Privacy-Hide-Number",
        MediaBugFunction = "Media-Bug-Function", MediaBugTarget = "Media-Bug-Target",
        MemberType = "Member-Type", OriginateDisposition = "variable_originate_disposition",
        OriginatingLeg = "variable_originating_leg_uuid", Originator = "variable_originator",
        OtherLeg = "Other-Leg-Unique-ID", OtherLoopback = "variable_other_loopback_leg_uuid",
        PresenceId = "Channel-Presence-ID", ProfileName = "variable_sofia_profile_name",
        Q850 = "variable_hangup_cause_q850", RecordPath = "Record-File-Path",
        Recovered = "variable_recovered", RedirectedTo = "variable_sip_redirected_to",
        SipAuthUsername = "variable_sip_auth_username", SipCallId = "variable_sip_call_id",
        SipFromHost = "variable_sip_from_host", SipFromTag = "variable_sip_from_tag",
        SipToTag = "variable_sip_to_tag", SipToUser = "variable_sip_to_user",
        TermStatus = "variable_sip_term_status", TransferDestination = "variable_transfer_destination",
        TransferDisposition = "variable_transfer_disposition",
        TransferHistory = "variable_transfer_history", TransferTo = "variable_transfer_to",
        UniqueId = "Unique-ID", UserContext = "variable_user_context", UserName = "variable_user_name",
         ValetExtension = "Valet-Extension",
        VoicemailAction = "variable_voicemail_action", VoicemailId = "variable_voicemail_id",
        CcAgentUuid = "CC-Agent-UUID", Speak = "Speak",
    }
}

const KEYS: usize = Key::ALL.len();

/// One message of an event socket: an event, a reply, or the greeting.
#[derive(Clone, Copy)]
pub struct Message<'a> {
    content_type: &'a [u8],
    head: &'a [u8],
    body: &'a [u8],
}

impl<'a> Message<'a> {
    /// Looks at a message: its headers, an empty line, and the body that `Content-Length` promises, or what
    /// there is of it.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self::split(bytes).0
    }

    /// The first message in `bytes`, and what is behind it.
    pub fn split(bytes: &'a [u8]) -> (Self, &'a [u8]) {
        let bytes = bytes.trim_ascii_start();
        let (head, rest) = split_head(bytes).unwrap_or((bytes, &[]));
        let length = content_length(head).unwrap_or(0).min(rest.len());
        let (body, rest) = rest.split_at(length);
        (Self { content_type: header(head, b"Content-Type").unwrap_or_default(), head, body }, rest)
    }

    /// Returns what it says it is, as `text/event-json` or `auth/request`.
    pub fn content_type(&self) -> &'a [u8] {
        self.content_type
    }

    /// The value of a header of its own; not of the event in it.
    pub fn header(&self, name: &str) -> Option<&'a [u8]> {
        header(self.head, name.as_bytes())
    }

    /// Returns what is behind the headers.
    pub fn body(&self) -> &'a [u8] {
        self.body
    }

    /// The value of a header or variable of the channel, in the answer to `connect` or another plain event.
    pub fn channel_data(&self, name: &str) -> Option<Cow<'a, str>> {
        let value = Lines(self.plain()?).take(LINES_MAX).find(|(key, _)| *key == name.as_bytes())?.1;
        Some(decoded(value))
    }

    /// Returns what a [`EslTracker`](super::EslTracker) reads of it: the names of headers and variables with their values,
    /// as they mean and not as they were written. None if it says nothing of a call.
    pub fn values_read(&self) -> Option<Vec<(&'static str, Cow<'a, str>)>> {
        let event = self.read()?;
        let name = Kind::TEXTS[event.kind as usize];
        let names = if name.contains("::") {
            vec![("Event-Name", Cow::Borrowed("CUSTOM")), ("Event-Subclass", Cow::Borrowed(name))]
        } else {
            vec![("Event-Name", Cow::Borrowed(name))]
        };
        let values = Key::TEXTS.into_iter().zip(event.values).filter(|(_, value)| !value.is_empty());
        Some(names.into_iter().chain(values).collect())
    }

    /// Returns `true` if a [`EslTracker`](super::EslTracker) has use for it; most of what a switch tells says nothing of calls.
    pub fn counts(&self) -> bool {
        self.kind().is_some()
    }

    /// Returns what it is, in a line: its event, and the channel that it is about.
    pub fn title(&self) -> String {
        let Some(values) = self.values() else {
            return String::from_utf8_lossy(self.content_type).into_owned();
        };
        let name = self.find("Event-Subclass").or_else(|| self.find("Event-Name")).unwrap_or_default();
        format!("{name} {}", values[Key::ChannelName as usize]).trim_end().to_owned()
    }

    /// The event, when it is one that says something about a call.
    pub(super) fn read(&self) -> Option<Event<'a>> {
        let kind = self.kind()?;
        Some(Event { kind, values: self.values()? })
    }

    fn is_json(&self) -> bool {
        self.content_type == b"text/event-json"
    }

    /// The lines of a plain event. The answer to `connect` is one too: its headers are those of a channel.
    fn plain(&self) -> Option<&'a [u8]> {
        match self.content_type {
            b"text/event-plain" => Some(self.body),
            b"command/reply" if self.head.starts_with(b"Event-Name: CHANNEL_DATA") => Some(self.head),
            _ => None,
        }
    }

    /// Returns `true` if it is said at the beginning of a connection, as it stands in a transcript.
    pub(super) fn begins_connection(&self) -> bool {
        let listens = |reply: &[u8]| reply.starts_with(b"+OK event listener enabled");
        self.content_type == b"auth/request"
            || self.content_type == b"command/reply" && self.header("Reply-Text").is_some_and(listens)
    }

    /// The channel whose own connection was lost, if it is what [`lost_channel`] has written.
    pub fn lost(&self) -> Option<Cow<'a, str>> {
        if self.content_type != LOST {
            return None;
        }
        self.header(CONTROLLED).map(String::from_utf8_lossy)
    }

    /// Tells by the name alone; no event says it twice.
    fn kind(&self) -> Option<Kind> {
        let name = self.find("Event-Name")?;
        if name == "CUSTOM" {
            return Kind::read(self.find("Event-Subclass")?.as_bytes());
        }
        Kind::read(name.as_bytes()).filter(|_| !name.contains("::"))
    }

    /// The value of a header of the event that is short and needs no decoding, as an id.
    pub fn find(&self, name: &str) -> Option<Cow<'a, str>> {
        if self.is_json() {
            let mut mark = [0; 32];
            let length = name.len() + 4;
            mark[0] = b'"';
            mark[1..=name.len()].copy_from_slice(name.as_bytes());
            mark[name.len() + 1..length].copy_from_slice(b"\":\"");
            let start = memchr::memmem::find(self.body, &mark[..length])? + length;
            let end = memchr::memchr(b'"', &self.body[start..])?;
            return Some(String::from_utf8_lossy(&self.body[start..start + end]));
        }
        self.channel_data(name)
    }

    fn values(&self) -> Option<Values<'a>> {
        if self.is_json() {
            if let Ok(read) = read_members(self.body) {
                return Some(read);
            }
            if let Ok(read) = read_json(self.body) {
                return Some(read);
            }
            // Names may be in other than UTF-8.
            let text = String::from_utf8_lossy(self.body);
            let read = read_json(text.as_bytes()).ok()?;
            return Some(read.map(|value| Cow::Owned(value.into_owned())));
        }
        let lines = self.plain()?;
        let mut values = [const { Cow::Borrowed("") }; KEYS];
        let mut seen = [false; KEYS];
        for (key, value) in Lines(lines).take(LINES_MAX) {
            if let Some(key) = Key::read(key)
                && !std::mem::replace(&mut seen[key as usize], true)
            {
                let value = decoded(value);
                values[key as usize] = match value.strip_prefix(ARRAY) {
                    Some(array) => {
                        Cow::Owned(array.rsplit_once("|:").map_or(array, |(_, last)| last).to_owned())
                    }
                    None => value,
                };
            }
        }
        Some(values)
    }
}

impl fmt::Debug for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.title())
    }
}

/// An event with the values that may count; what it does not say is empty.
pub(super) struct Event<'a> {
    pub(super) kind: Kind,
    values: Values<'a>,
}

impl Event<'_> {
    pub(super) fn get(&self, key: Key) -> &str {
        &self.values[key as usize]
    }

    /// A decimal number; 0 if it is none.
    pub(super) fn number(&self, key: Key) -> u64 {
        self.get(key).parse().unwrap_or(0)
    }

    /// The first of several that says something.
    pub(super) fn first<const N: usize>(&self, keys: [Key; N]) -> &str {
        keys.into_iter().map(|key| self.get(key)).find(|value| !value.is_empty()).unwrap_or_default()
    }
}

type Values<'a> = [Cow<'a, str>; KEYS];

/// Reads what FreeSWITCH writes, and looks closer only at what counts.
fn read_members(body: &[u8]) -> Result<Values<'_>, Unusual> {
    let mut values = [const { Cow::Borrowed("") }; KEYS];
    let mut seen = [false; KEYS];
    let mut members = Members::of(body).ok_or(Unusual)?;
    while let Some((name, value)) = members.next()? {
        if let Some(key) = Key::read(name)
            && !std::mem::replace(&mut seen[key as usize], true)
        {
            values[key as usize] = match value {
                Value::Plain(text) => Cow::Borrowed(std::str::from_utf8(text).map_err(|_| Unusual)?),
                Value::Json(json) => serde_json::from_slice::<Text<'_>>(json).map_err(|_| Unusual)?.0,
            };
        }
    }
    Ok(values)
}

fn read_json(body: &[u8]) -> serde_json::Result<Values<'_>> {
    let mut json = serde_json::Deserializer::from_slice(body);
    json.deserialize_map(Object)
}

/// A JSON object of strings, where a variable that was set several times is an array; the last one counts.
struct Object;

impl<'de> Visitor<'de> for Object {
    type Value = Values<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut values = [const { Cow::Borrowed("") }; KEYS];
        let mut seen = [false; KEYS];
        while let Some(MaybeKey(key)) = map.next_key()? {
            match key {
                Some(key) if !std::mem::replace(&mut seen[key as usize], true) => {
                    let Text(value) = map.next_value()?;
                    values[key as usize] = value;
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(values)
    }
}

struct MaybeKey(Option<Key>);

impl<'de> serde::Deserialize<'de> for MaybeKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Name;
        impl Visitor<'_> for Name {
            type Value = MaybeKey;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_str<E>(self, name: &str) -> Result<MaybeKey, E> {
                Ok(MaybeKey(Key::read(name.as_bytes())))
            }
        }
        deserializer.deserialize_str(Name)
    }
}

/// A string, or the last one of an array; anything else says nothing.
#[derive(Default)]
pub(super) struct Text<'a>(pub(super) Cow<'a, str>);

impl<'de: 'a, 'a> serde::Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Value;
        impl<'de> Visitor<'de> for Value {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }

            fn visit_bool<E>(self, value: bool) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(if value { "true" } else { "false" })))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(value.to_string())))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(value.to_string())))
            }

            fn visit_f64<E>(self, _: f64) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed("")))
            }

            fn visit_unit<E>(self) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed("")))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Text<'de>, A::Error> {
                let mut last = Text(Cow::Borrowed(""));
                while let Some(text) = seq.next_element()? {
                    last = text;
                }
                Ok(last)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Text<'de>, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Text(Cow::Borrowed("")))
            }
        }
        deserializer.deserialize_any(Value)
    }
}

/// Splits at the first empty line.
pub(super) fn split_head(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut from = 0;
    loop {
        let end = from + memchr::memchr(b'\n', &bytes[from..])? + 1;
        match bytes.get(end..)? {
            [b'\n', rest @ ..] | [b'\r', b'\n', rest @ ..] => return Some((&bytes[..end], rest)),
            _ => from = end,
        }
    }
}

/// Returns the number of bytes of body that the headers promise.
pub(super) fn content_length(head: &[u8]) -> Option<usize> {
    std::str::from_utf8(header(head, b"Content-Length")?).ok()?.trim().parse().ok()
}

fn header<'a>(head: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    Lines(head).take(LINES_MAX).find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

/// Names and values, line by line, up to an empty line.
struct Lines<'a>(&'a [u8]);

impl<'a> Iterator for Lines<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let end = memchr::memchr(b'\n', self.0).unwrap_or(self.0.len());
        let line = &self.0[..end];
        self.0 = self.0.get(end + 1..).unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            return None;
        }
        let colon = memchr::memchr(b':', line).unwrap_or(line.len());
        Some((&line[..colon], line.get(colon + 1..).unwrap_or_default().trim_ascii()))
    }
}

/// Takes the percent-encoding out of a value (`%20`); what is none stays as it is.
fn decoded(value: &[u8]) -> Cow<'_, str> {
    if memchr::memchr(b'%', value).is_none() {
        return String::from_utf8_lossy(value);
    }
    let mut plain = Vec::with_capacity(value.len());
    let mut rest = value;
    while let [byte, after @ ..] = rest {
        let digit = |at: usize| char::from(*after.get(at)?).to_digit(16);
        let pair = digit(0).zip(digit(1)).filter(|_| *byte == b'%');
        if let Some((high, low)) = pair {
            plain.push((high * 16 + low) as u8);
            rest = &after[2..];
        } else {
            plain.push(*byte);
            rest = after;
        }
    }
    Cow::Owned(String::from_utf8_lossy(&plain).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrap(content_type: &str, body: &[u8]) -> Vec<u8> {
        [format!("Content-Length: {}\nContent-Type: {content_type}\n\n", body.len()).as_bytes(), body]
            .concat()
    }

    #[test]
    fn json_events_are_read_with_arrays_and_names_that_are_said_twice() {
        let body = br#"{"Event-Name":"CHANNEL_CREATE","Unique-ID":"a","Caller-Caller-ID-Name":"Jos\u00e9 \"J\"","variable_transfer_history":["1:a:bl_xfer:1/d/XML","2:b:uuid_br:c"],"Unique-ID":"b","x":{"y":[1,null]},"Event-Sequence":7}"#;
        let bytes = wrap("text/event-json", body);
        let event = Message::new(&bytes).read().expect("a known event");
        assert_eq!(event.kind, Kind::Create);
        assert_eq!(event.get(Key::UniqueId), "a");
        assert_eq!(event.get(Key::CallerIdName), "José \"J\"");
        assert_eq!(event.get(Key::TransferHistory), "2:b:uuid_br:c");
        assert_eq!(event.number(Key::EventSequence), 7);
        assert_eq!(event.get(Key::OtherLeg), "");
    }

    #[test]
    fn plain_events_are_decoded_and_nest_a_body() {
        let body = b"Event-Name: CUSTOM\nEvent-Subclass: valet_parking%3A%3Ainfo\nValet-Extension: 60%300%zz%\nCaller-Caller-ID-Name: Jos%C3%A9%20%ff\nvariable_transfer_history: ARRAY::a|:b%7C\nContent-Length: 9\n\nUnique-ID: body";
        let bytes = wrap("text/event-plain", body);
        let event = Message::new(&bytes).read().expect("a known event");
        assert_eq!(event.kind, Kind::ValetParking);
        assert_eq!(event.get(Key::ValetExtension), "6000%zz%");
        assert_eq!(event.get(Key::CallerIdName), "José \u{fffd}");
        assert_eq!(event.get(Key::TransferHistory), "b|");
        assert_eq!(event.get(Key::UniqueId), "");
    }

    #[test]
    fn what_says_nothing_about_calls_is_no_event() {
        for (content_type, body) in [
            ("auth/request", &b""[..]),
            ("text/event-json", br#"{"Event-Name":"HEARTBEAT"}"#),
            ("text/event-json", br#"{"Event-Name":"CUSTOM","Event-Subclass":"sofia::register"}"#),
            ("text/event-json", br#"{"Event-Name":"valet_parking::info"}"#),
            ("text/event-json", br#"{"Event-Name":"CHANNEL_CREATE""#),
            ("text/event-json", b"\xff{"),
            ("text/disconnect-notice", b"Disconnected, goodbye.\n"),
            ("command/reply", b"Event-Name: CHANNEL_CREATE"),
        ] {
            assert!(Message::new(&wrap(content_type, body)).read().is_none(), "{content_type}");
        }
        let latin =
            wrap("text/event-json", b"{\"Event-Name\":\"CHANNEL_ANSWER\",\"Channel-Name\":\"Jos\xe9\"}");
        assert_eq!(Message::new(&latin).read().expect("read").get(Key::ChannelName), "Jos\u{fffd}");
    }

    #[test]
    fn several_messages_may_stand_in_one_block() {
        let two = [wrap("text/event-plain", b"A: 1\n\n"), b"\nContent-Type: x\n\n".to_vec(), b"Y".to_vec()]
            .concat();
        let (first, rest) = Message::split(&two);
        assert_eq!((first.content_type(), first.body()), (&b"text/event-plain"[..], &b"A: 1\n\n"[..]));
        let (second, rest) = Message::split(rest);
        assert_eq!((second.content_type(), rest), (&b"x"[..], &b"Y"[..]));
    }
}
