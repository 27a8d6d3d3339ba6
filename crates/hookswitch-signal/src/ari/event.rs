//! One event, borrowed from its bytes where it can.

use std::borrow::Cow;

use serde::Deserialize;

/// The type of the message that the connection writes when it asks what goes on.
pub(super) const LISTING_BEGINS: &str = "ListingBegins";

/// The type of the message in which the connection writes the answers to that.
pub(super) const LISTING: &str = "Listing";

/// The types of events that say something about a call. All others are passed over.
const TYPES: [&str; 20] = [
    "BridgeAttendedTransfer",
    "BridgeBlindTransfer",
    "ChannelCallerId",
    "ChannelCreated",
    "ChannelDestroyed",
    "ChannelDialplan",
    "ChannelDtmfReceived",
    "ChannelEnteredBridge",
    "ChannelHangupRequest",
    "ChannelHold",
    "ChannelLeftBridge",
    "ChannelStateChange",
    "ChannelUnhold",
    "ChannelVarset",
    "Dial",
    "StasisEnd",
    "StasisStart",
    "ChannelConnectedLine",
    LISTING_BEGINS,
    LISTING,
];

/// A variable that says which recording runs.
pub(super) const RECORDING: &str = "MIXMONITOR_FILENAME";

/// An event with what may count of it; what it does not say is empty.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Event<'a> {
    #[serde(borrow, rename = "type")]
    pub(super) kind: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) channel: Option<Channel<'a>>,
    #[serde(borrow)]
    pub(super) caller: Option<Channel<'a>>,
    #[serde(borrow)]
    pub(super) peer: Option<Channel<'a>>,
    #[serde(borrow)]
    pub(super) dialstatus: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) dialstring: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) forward: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) bridge: Option<Bridge<'a>>,
    #[serde(borrow)]
    pub(super) dialplan_app: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) dialplan_app_data: Cow<'a, str>,
    pub(super) cause: u32,
    pub(super) tech_cause: u32,
    pub(super) soft: bool,
    #[serde(borrow)]
    pub(super) variable: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) value: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) digit: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) exten: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) result: Cow<'a, str>,
    pub(super) is_external: bool,
    #[serde(borrow)]
    pub(super) transferer_first_leg: Option<Channel<'a>>,
    #[serde(borrow)]
    pub(super) transferer_second_leg: Option<Channel<'a>>,
    #[serde(borrow)]
    pub(super) channels: Vec<Channel<'a>>,
    #[serde(borrow)]
    pub(super) bridges: Vec<Bridge<'a>>,
}

/// A channel as every event about it shows it.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Channel<'a> {
    #[serde(borrow)]
    pub(super) id: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) name: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) state: Cow<'a, str>,
    /// The SIP Call-ID, once it is known.
    #[serde(borrow)]
    pub(super) protocol_id: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) caller: Person<'a>,
    #[serde(borrow)]
    pub(super) connected: Person<'a>,
    #[serde(borrow)]
    pub(super) dialplan: Dialplan<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Person<'a> {
    #[serde(borrow)]
    pub(super) name: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) number: Cow<'a, str>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Dialplan<'a> {
    #[serde(borrow)]
    pub(super) exten: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) app_name: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) app_data: Cow<'a, str>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Bridge<'a> {
    #[serde(borrow)]
    pub(super) id: Cow<'a, str>,
    #[serde(borrow, rename = "bridge_class")]
    pub(super) class: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) creator: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) name: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) channels: Vec<Cow<'a, str>>,
}

impl<'a> Event<'a> {
    /// Reads an event if it says something about a call.
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        if !counts(bytes) {
            return None; // most are of variables and devices
        }
        serde_json::from_slice(bytes).ok().filter(|event: &Event<'_>| TYPES.contains(&&*event.kind))
    }
}

/// Returns `true` if an event may say something about a call, by its type and without reading the rest.
pub(super) fn counts(bytes: &[u8]) -> bool {
    let Some(kind) = kind(bytes) else { return false };
    match kind {
        "ChannelVarset" => [&b"CALLID"[..], RECORDING.as_bytes()]
            .into_iter()
            .any(|variable| memchr::memmem::find(bytes, variable).is_some()),
        kind => TYPES.contains(&kind),
    }
}

/// The type of an event: the first that stands there as one does, and that is one.
pub(super) fn kind(bytes: &[u8]) -> Option<&str> {
    let mut places = memchr::memmem::find_iter(bytes, b"\"type\"");
    places.find_map(|place| {
        let rest = bytes[place + 6..].trim_ascii_start().strip_prefix(b":")?.trim_ascii_start();
        let text = rest.strip_prefix(b"\"")?;
        let kind = std::str::from_utf8(&text[..memchr::memchr(b'"', text)?]).ok()?;
        (!kind.is_empty() && kind.bytes().all(|byte| byte.is_ascii_alphanumeric())).then_some(kind)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_read_with_what_it_says_and_without_what_nobody_asks_for() {
        let event = Event::read(
            br#"{"variable": "x", "type": "ChannelCreated", "channel": {"id": "1.0", "name": "PJSIP/101-1",
                "state": "Ring", "caller": {"name": "Ann \\\"A\\\" Lee", "number": "101"}, "creationtime": "x",
                "dialplan": {"exten": "102", "priority": 1}}, "asterisk_id": "y"}"#,
        );
        let event = event.expect("it is one");
        let channel = event.channel.expect("it has one");
        assert_eq!(
            (&*channel.id, &*channel.caller.name, &*channel.dialplan.exten),
            ("1.0", r#"Ann \"A\" Lee"#, "102")
        );
    }

    #[test]
    fn what_says_nothing_of_calls_is_no_event() {
        for bytes in [
            &br#"{"type": "DeviceStateChanged", "device_state": {"name": "PJSIP/101"}}"#[..],
            br#"{"type": "ChannelVarset", "variable": "RINGTIME", "value": "1"}"#,
            br#"{"type": 7}"#,
            br#"{"type": "ChannelCreated""#,
            b"[]",
            b"",
        ] {
            assert!(Event::read(bytes).is_none());
        }
    }
}
