use std::fmt;

/// A header with a fixed place in the table of a message: the ones that are read, and all that have
/// a compact form.
///
/// Other headers are found by name with [`super::Message::header`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum HeaderName {
    /// RFC 3261 §20.42. Compact form `v`.
    Via,
    /// RFC 3261 §20.20. Compact form `f`.
    From,
    /// RFC 3261 §20.39. Compact form `t`.
    To,
    /// RFC 3261 §20.8. Compact form `i`.
    CallId,
    /// RFC 3261 §20.16.
    CSeq,
    /// RFC 3261 §20.22.
    MaxForwards,
    /// RFC 3261 §20.10. Compact form `m`.
    Contact,
    /// RFC 3261 §20.14. Compact form `l`.
    ContentLength,
    /// RFC 3261 §20.15. Compact form `c`.
    ContentType,
    /// RFC 3261 §20.12. Compact form `e`.
    ContentEncoding,
    /// RFC 3261 §20.17.
    Date,
    /// RFC 3261 §20.19.
    Expires,
    /// RFC 3261 §20.37. Compact form `k`.
    Supported,
    /// RFC 3261 §20.36. Compact form `s`.
    Subject,
    /// RFC 3261 §20.41.
    UserAgent,
    /// RFC 3261 §20.35.
    Server,
    /// RFC 3326.
    Reason,
    /// RFC 3891.
    Replaces,
    /// RFC 3911.
    Join,
    /// RFC 4538.
    TargetDialog,
    /// RFC 3515. Compact form `r`.
    ReferTo,
    /// RFC 3892. Compact form `b`.
    ReferredBy,
    /// RFC 3325.
    PAssertedIdentity,
    /// RFC 3325.
    PPreferredIdentity,
    /// draft-ietf-sip-privacy-04.
    RemotePartyId,
    /// RFC 3323.
    Privacy,
    /// RFC 8224. Compact form `y`.
    Identity,
    /// RFC 5806.
    Diversion,
    /// RFC 7044.
    HistoryInfo,
    /// RFC 7989.
    SessionId,
    /// RFC 7433.
    UserToUser,
    /// RFC 6665. Compact form `o`.
    Event,
    /// RFC 6665. Compact form `u`.
    AllowEvents,
    /// RFC 6665.
    SubscriptionState,
    /// RFC 4028. Compact form `x`.
    SessionExpires,
    /// RFC 3841. Compact form `a`.
    AcceptContact,
    /// RFC 3841. Compact form `j`.
    RejectContact,
    /// RFC 3841. Compact form `d`.
    RequestDisposition,
    /// RFC 3261 §20.4.
    AlertInfo,
    /// RFC 3261 §20.9.
    CallInfo,
    /// RFC 3261 §20.32.
    Require,
    /// RFC 7315 §4.6.
    PChargingVector,
    /// The Call-ID of the leg that a call comes from, as some switches write it.
    XCid,
}

impl HeaderName {
    /// Number of them.
    pub(super) const COUNT: usize = ALL.len();

    /// Recognises a name or its compact form, in upper or lower case (RFC 3261 §7.3.1, §7.3.3).
    pub fn recognise(name: &[u8]) -> Option<Self> {
        match name {
            [letter] => Self::from_compact(letter.to_ascii_lowercase()),
            // Nearly everybody spells them as the registry does.
            _ => Self::from_spelled(name).or_else(|| Self::from_full(name)),
        }
    }

    const fn from_spelled(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"Via" => Self::Via,
            b"From" => Self::From,
            b"To" => Self::To,
            b"Call-ID" => Self::CallId,
            b"CSeq" => Self::CSeq,
            b"Max-Forwards" => Self::MaxForwards,
            b"Contact" => Self::Contact,
            b"Content-Length" => Self::ContentLength,
            b"Content-Type" => Self::ContentType,
            b"Content-Encoding" => Self::ContentEncoding,
            b"Date" => Self::Date,
            b"Expires" => Self::Expires,
            b"Supported" => Self::Supported,
            b"Subject" => Self::Subject,
            b"User-Agent" => Self::UserAgent,
            b"Server" => Self::Server,
            b"Reason" => Self::Reason,
            b"Replaces" => Self::Replaces,
            b"Join" => Self::Join,
            b"Target-Dialog" => Self::TargetDialog,
            b"Refer-To" => Self::ReferTo,
            b"Referred-By" => Self::ReferredBy,
            b"P-Asserted-Identity" => Self::PAssertedIdentity,
            b"P-Preferred-Identity" => Self::PPreferredIdentity,
            b"Remote-Party-ID" => Self::RemotePartyId,
            b"Privacy" => Self::Privacy,
            b"Identity" => Self::Identity,
            b"Diversion" => Self::Diversion,
            b"History-Info" => Self::HistoryInfo,
            b"Session-ID" => Self::SessionId,
            b"User-to-User" => Self::UserToUser,
            b"Event" => Self::Event,
            b"Allow-Events" => Self::AllowEvents,
            b"Subscription-State" => Self::SubscriptionState,
            b"Session-Expires" => Self::SessionExpires,
            b"Accept-Contact" => Self::AcceptContact,
            b"Reject-Contact" => Self::RejectContact,
            b"Request-Disposition" => Self::RequestDisposition,
            b"Alert-Info" => Self::AlertInfo,
            b"Call-Info" => Self::CallInfo,
            b"Require" => Self::Require,
            b"P-Charging-Vector" => Self::PChargingVector,
            b"X-CID" => Self::XCid,
            _ => return None,
        })
    }

    /// Gives the name in full, as the registry spells it.
    pub const fn as_str(self) -> &'static str {
        ALL[self as usize].1
    }

    const fn from_compact(letter: u8) -> Option<Self> {
        Some(match letter {
            b'v' => Self::Via,
            b'f' => Self::From,
            b't' => Self::To,
            b'i' => Self::CallId,
            b'm' => Self::Contact,
            b'l' => Self::ContentLength,
            b'c' => Self::ContentType,
            b'e' => Self::ContentEncoding,
            b'k' => Self::Supported,
            b's' => Self::Subject,
            b'r' => Self::ReferTo,
            b'b' => Self::ReferredBy,
            b'y' => Self::Identity,
            b'o' => Self::Event,
            b'u' => Self::AllowEvents,
            b'x' => Self::SessionExpires,
            b'a' => Self::AcceptContact,
            b'j' => Self::RejectContact,
            b'd' => Self::RequestDisposition,
            _ => return None,
        })
    }

    /// Compares with the few names that have the same length and first letter.
    fn from_full(name: &[u8]) -> Option<Self> {
        let first = name.first()?.to_ascii_lowercase();
        let candidates: &[Self] = match (name.len(), first) {
            (2, b't') => &[Self::To],
            (3, b'v') => &[Self::Via],
            (4, b'c') => &[Self::CSeq],
            (4, b'd') => &[Self::Date],
            (4, b'f') => &[Self::From],
            (4, b'j') => &[Self::Join],
            (5, b'e') => &[Self::Event],
            (5, b'x') => &[Self::XCid],
            (6, b'r') => &[Self::Reason],
            (6, b's') => &[Self::Server],
            (7, b'c') => &[Self::CallId, Self::Contact],
            (7, b'e') => &[Self::Expires],
            (7, b'p') => &[Self::Privacy],
            (7, b'r') => &[Self::Require],
            (7, b's') => &[Self::Subject],
            (8, b'i') => &[Self::Identity],
            (8, b'r') => &[Self::Replaces, Self::ReferTo],
            (9, b'c') => &[Self::CallInfo],
            (9, b'd') => &[Self::Diversion],
            (9, b's') => &[Self::Supported],
            (10, b'a') => &[Self::AlertInfo],
            (10, b's') => &[Self::SessionId],
            (10, b'u') => &[Self::UserAgent],
            (11, b'r') => &[Self::ReferredBy],
            (12, b'a') => &[Self::AllowEvents],
            (12, b'c') => &[Self::ContentType],
            (12, b'h') => &[Self::HistoryInfo],
            (12, b'm') => &[Self::MaxForwards],
            (12, b'u') => &[Self::UserToUser],
            (13, b't') => &[Self::TargetDialog],
            (14, b'a') => &[Self::AcceptContact],
            (14, b'c') => &[Self::ContentLength],
            (14, b'r') => &[Self::RejectContact],
            (15, b'r') => &[Self::RemotePartyId],
            (15, b's') => &[Self::SessionExpires],
            (16, b'c') => &[Self::ContentEncoding],
            (17, b'p') => &[Self::PChargingVector],
            (18, b's') => &[Self::SubscriptionState],
            (19, b'p') => &[Self::PAssertedIdentity],
            (19, b'r') => &[Self::RequestDisposition],
            (20, b'p') => &[Self::PPreferredIdentity],
            _ => return None,
        };
        candidates.iter().copied().find(|candidate| name.eq_ignore_ascii_case(candidate.as_str().as_bytes()))
    }
}

impl fmt::Display for HeaderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Every header and its name, in the order of the enum.
const ALL: [(HeaderName, &str); 43] = [
    (HeaderName::Via, "Via"),
    (HeaderName::From, "From"),
    (HeaderName::To, "To"),
    (HeaderName::CallId, "Call-ID"),
    (HeaderName::CSeq, "CSeq"),
    (HeaderName::MaxForwards, "Max-Forwards"),
    (HeaderName::Contact, "Contact"),
    (HeaderName::ContentLength, "Content-Length"),
    (HeaderName::ContentType, "Content-Type"),
    (HeaderName::ContentEncoding, "Content-Encoding"),
    (HeaderName::Date, "Date"),
    (HeaderName::Expires, "Expires"),
    (HeaderName::Supported, "Supported"),
    (HeaderName::Subject, "Subject"),
    (HeaderName::UserAgent, "User-Agent"),
    (HeaderName::Server, "Server"),
    (HeaderName::Reason, "Reason"),
    (HeaderName::Replaces, "Replaces"),
    (HeaderName::Join, "Join"),
    (HeaderName::TargetDialog, "Target-Dialog"),
    (HeaderName::ReferTo, "Refer-To"),
    (HeaderName::ReferredBy, "Referred-By"),
    (HeaderName::PAssertedIdentity, "P-Asserted-Identity"),
    (HeaderName::PPreferredIdentity, "P-Preferred-Identity"),
    (HeaderName::RemotePartyId, "Remote-Party-ID"),
    (HeaderName::Privacy, "Privacy"),
    (HeaderName::Identity, "Identity"),
    (HeaderName::Diversion, "Diversion"),
    (HeaderName::HistoryInfo, "History-Info"),
    (HeaderName::SessionId, "Session-ID"),
    (HeaderName::UserToUser, "User-to-User"),
    (HeaderName::Event, "Event"),
    (HeaderName::AllowEvents, "Allow-Events"),
    (HeaderName::SubscriptionState, "Subscription-State"),
    (HeaderName::SessionExpires, "Session-Expires"),
    (HeaderName::AcceptContact, "Accept-Contact"),
    (HeaderName::RejectContact, "Reject-Contact"),
    (HeaderName::RequestDisposition, "Request-Disposition"),
    (HeaderName::AlertInfo, "Alert-Info"),
    (HeaderName::CallInfo, "Call-Info"),
    (HeaderName::Require, "Require"),
    (HeaderName::PChargingVector, "P-Charging-Vector"),
    (HeaderName::XCid, "X-CID"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_recognised_in_any_case() {
        for (index, (header, name)) in ALL.into_iter().enumerate() {
            assert_eq!(header as usize, index);
            assert_eq!(HeaderName::recognise(name.as_bytes()), Some(header));
            assert_eq!(HeaderName::recognise(name.to_ascii_uppercase().as_bytes()), Some(header));
            assert_eq!(HeaderName::recognise(name.to_ascii_lowercase().as_bytes()), Some(header));
        }
        assert_eq!(HeaderName::recognise(b""), None);
        assert_eq!(HeaderName::recognise(b"X-Call"), None);
    }

    #[test]
    fn every_registered_compact_form_is_recognised() {
        for (letter, name) in [
            ("v", "Via"),
            ("f", "From"),
            ("t", "To"),
            ("i", "Call-ID"),
            ("m", "Contact"),
            ("l", "Content-Length"),
            ("c", "Content-Type"),
            ("e", "Content-Encoding"),
            ("k", "Supported"),
            ("s", "Subject"),
            ("r", "Refer-To"),
            ("b", "Referred-By"),
            ("y", "Identity"),
            ("o", "Event"),
            ("u", "Allow-Events"),
            ("x", "Session-Expires"),
            ("a", "Accept-Contact"),
            ("j", "Reject-Contact"),
            ("d", "Request-Disposition"),
        ] {
            assert_eq!(HeaderName::recognise(letter.as_bytes()).unwrap().as_str(), name);
            assert_eq!(HeaderName::recognise(letter.to_uppercase().as_bytes()).unwrap().as_str(), name);
        }
    }
}
