//! Texts that Asterisk writes in place of numbers, names and channels.

use std::borrow::Cow;
use std::sync::Arc;

pub(super) use crate::switch::{is_dialled, is_short, text};

/// Technologies of channels that lead to nobody: they are the switch's own.
const INNER: [&str; 15] = [
    "AsyncGoto",
    "AudioSocket",
    "Bridge",
    "CBAnn",
    "CBRec",
    "Announcer",
    "Recorder",
    "Message",
    "Multicast",
    "MulticastRTP",
    "UnicastRTP",
    "Parked",
    "Snoop",
    "Surrogate",
    "MWI",
];

/// Technologies whose channels are named by lines and spans of cards and gateways.
const LINES: [&str; 9] = ["DAHDI", "Zap", "mISDN", "CAPI", "Khomp", "Dongle", "Quectel", "Vpb", "Console"];

/// A number; none if it stands for nothing, or for one that is not known.
pub(super) fn number(value: &[u8]) -> Option<Arc<str>> {
    let is_none = |word: &&str| value.eq_ignore_ascii_case(word.as_bytes());
    let unknown = ["s", "unknown", "unavailable"];
    text(value).filter(|_| !unknown.iter().any(is_none))
}

/// Returns `true` if a caller's number says that it is withheld.
pub(super) fn is_withheld(number: &str) -> bool {
    ["anonymous", "restricted", "private", "withheld"].iter().any(|word| number.eq_ignore_ascii_case(word))
}

/// A display name. Quotes and backslashes in it are escaped, once by SIP and once more by the
/// manager.
pub(super) fn name(value: &[u8]) -> Option<Arc<str>> {
    let text = text(value)?;
    if !text.contains('\\') {
        return Some(text);
    }
    Some(Arc::from(unescape(&unescape(&text))))
}

fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        match char {
            '\\' => plain.extend(chars.next()),
            _ => plain.push(char),
        }
    }
    plain
}

/// End that a channel leads to, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ChannelName<'a> {
    /// A phone or a trunk, as the switch calls it.
    Endpoint {
        /// The technology, such as `PJSIP`.
        technology: &'a str,
        /// Its name.
        name: &'a str,
    },
    /// One of the two ends of a pipe within the switch, `;1` or `;2`.
    Local {
        /// Name that both ends have in common.
        pipe: &'a str,
        /// Which end.
        second: bool,
    },
    /// Something of the switch's own.
    Inner,
}

impl<'a> ChannelName<'a> {
    /// Reads the name of a channel: `PJSIP/101-0000002a`, `Local/103@internal-00000000;1`.
    pub(super) fn of(channel: &'a str) -> Self {
        let Some((technology, rest)) = channel.split_once('/') else { return Self::Inner };
        if technology == "Local" {
            return match rest.rsplit_once(';') {
                Some((pipe, end)) => Self::Local { pipe, second: end == "2" },
                None => Self::Inner,
            };
        }
        if INNER.contains(&technology) {
            return Self::Inner;
        }
        let name = rest.rsplit_once('-').map_or(rest, |(name, _)| name);
        if LINES.contains(&technology) {
            // The number of a line is no phone number, and is told with its technology.
            let line = name.split('/').next().unwrap_or(name);
            let whole = &channel[..technology.len() + 1 + line.len()];
            return Self::Endpoint { technology, name: whole };
        }
        Self::Endpoint { technology, name }
    }
}

/// The number in a dial string that is called through a trunk: `14155550123@trunk`,
/// `trunk/14155550123`, `trunk/sip:14155550123@192.0.2.1`; with or without the technology before it.
pub(super) fn number_in<'a>(dial: &'a str, technology: &str, endpoint: &str) -> Option<&'a str> {
    let dial = dial.strip_prefix(technology).and_then(|rest| rest.strip_prefix('/')).unwrap_or(dial);
    let number = if let Some((_, number)) = dial.split_once('/') {
        let number = number.strip_prefix("sips:").or(number.strip_prefix("sip:")).unwrap_or(number);
        number.split(['@', ';']).next()?
    } else {
        let (number, at) = dial.rsplit_once('@')?;
        (at == endpoint).then_some(number)?
    };
    (is_dialled(number) && number != endpoint).then_some(number)
}

/// Bytes as text, for names that are looked into.
pub(super) fn lossy(value: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_lead_to_endpoints_or_into_the_switch() {
        let endpoint = |technology, name| ChannelName::Endpoint { technology, name };
        for (channel, place) in [
            ("PJSIP/101-0000002a", endpoint("PJSIP", "101")),
            ("SIP/my-trunk-00000001", endpoint("SIP", "my-trunk")),
            ("DAHDI/1-1", endpoint("DAHDI", "DAHDI/1")),
            ("DAHDI/i1/4155550123-2f", endpoint("DAHDI", "DAHDI/i1")),
            (
                "Local/103@internal-00000000;2",
                ChannelName::Local { pipe: "103@internal-00000000", second: true },
            ),
            ("CBAnn/800-00000001;1", ChannelName::Inner),
            ("odd", ChannelName::Inner),
            ("", ChannelName::Inner),
        ] {
            assert_eq!(ChannelName::of(channel), place, "{channel}");
        }
    }

    #[test]
    fn a_trunk_is_dialled_with_a_number() {
        for (dial, number) in [
            ("+14155550123@trunk", Some("+14155550123")),
            ("PJSIP/+14155550123@trunk", Some("+14155550123")),
            ("trunk/sip:+14155550123@192.0.2.1:5060", Some("+14155550123")),
            ("trunk/14155550123", Some("14155550123")),
            ("trunk", None),
            ("102", None),
            ("trunk/sip:x7a9@192.0.2.1", None),
            ("102@internal", None),
        ] {
            assert_eq!(number_in(dial, "PJSIP", "trunk"), number, "{dial}");
        }
    }

    #[test]
    fn names_are_unescaped_twice_and_unknown_ones_are_none() {
        assert_eq!(name(br#"Ann \\\"Big\\\" Lee"#).as_deref(), Some("Ann \"Big\" Lee"));
        assert_eq!(name("Zoë".as_bytes()).as_deref(), Some("Zoë"));
        assert_eq!(name(b"<unknown>"), None);
        assert_eq!(text(b""), None);
        assert_eq!(text(&[0xff; 300]).map(|text| text.len()), Some(255));
    }
}
