//! Identities of caller and callee, read from a request.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use hookswitch_model::number::in_context;
use hookswitch_model::{Alias, Caller, Mailbox, SipData};

use crate::capture::Captured;
use crate::cause::of_status;
use crate::sip::{Message, NameAddr, Uri, lossy, percent_decode};

/// The port of SIP when none is written (RFC 3261 §19.1.2).
const SIP_PORT: u16 = 5060;

/// The longest body of which a fingerprint is taken; a session description of a phone is shorter.
const OFFER_BYTES_MAX: usize = 2_048;

/// The most digits of the number behind the word for a leg in a Call-ID.
const LEG_DIGITS_MAX: usize = 6;

/// Returns who calls: the identity that the network asserts, else what the phone says of itself.
pub(super) fn caller(message: &Message<'_>) -> Caller {
    let from = message.from();
    let remote = message
        .remote_party_ids()
        .find(|id| id.party().is_none_or(|party| party.eq_ignore_ascii_case(b"calling")));
    let asserted = message.asserted_identities().next().or(remote.map(|id| id.address));
    let remote_hides =
        remote.and_then(|id| id.privacy()).is_some_and(|privacy| !privacy.eq_ignore_ascii_case(b"off"));
    let withheld = remote_hides
        || message.privacy().is_some_and(|privacy| privacy.hides_identity())
        || is_anonymous(&from);
    let shown = [asserted, Some(from)];
    Caller {
        host: domain(&from.uri()),
        number: shown.iter().flatten().find_map(|id| number(&id.uri())),
        name: shown.iter().flatten().find_map(NameAddr::display_name).map(|name| Arc::from(&*name)),
        withheld,
    }
}

/// The number of a URI, with the context in which it is one (RFC 3966 §5.1.5), else its user; none for the
/// anonymous one.
pub(super) fn number(uri: &Uri<'_>) -> Option<Arc<str>> {
    let user = uri.number().or_else(|| uri.user_decoded())?;
    let user = user.split(';').next().unwrap_or_default().trim();
    if let Some(context) = uri.phone_context()
        && let Some(number) = in_context(user, &lossy(&percent_decode(context)))
    {
        return Some(Arc::from(number.as_str()));
    }
    (!user.is_empty() && !user.eq_ignore_ascii_case("anonymous")).then(|| Arc::from(user))
}

/// The host of a URI, when it is a domain and no address.
pub(super) fn domain(uri: &Uri<'_>) -> Option<Arc<str>> {
    let host = std::str::from_utf8(uri.host_unbracketed()).ok().filter(|host| !host.is_empty())?;
    host.parse::<IpAddr>().is_err().then(|| Arc::from(host.to_ascii_lowercase()))
}

fn is_anonymous(from: &NameAddr<'_>) -> bool {
    let uri = from.uri();
    uri.host().eq_ignore_ascii_case(b"anonymous.invalid")
        || uri.user().is_some_and(|user| user.eq_ignore_ascii_case(b"anonymous"))
}

/// Returns who is called by a request that goes to `target`, when the call was made to `to`.
///
/// A Request-URI that a location service filled in may carry a user part that only the phone
/// understands; then the To header names the person.
pub(super) fn callee(target: &Uri<'_>, to: &Uri<'_>) -> Arc<str> {
    let dialled = number(to);
    match (number(target), dialled) {
        (Some(target), Some(dialled)) if is_opaque(&target, &dialled) => dialled,
        (Some(target), _) => target,
        (None, Some(dialled)) => dialled,
        (None, None) => Arc::from(&*lossy(target.host())),
    }
}

/// Returns `true` if a user part is a contact's own, and not a number or a person's name.
fn is_opaque(target: &str, dialled: &str) -> bool {
    let is_number = |user: &str| user.chars().all(|c| c.is_ascii_digit() || matches!(c, '+' | '*' | '#'));
    !is_number(target)
        && (is_number(dialled)
            || target.len() > dialled.len()
                && target.get(..dialled.len()).is_some_and(|start| start.eq_ignore_ascii_case(dialled)))
}

/// The mailbox that a Request-URI leads to (RFC 4458 §2): its `target` says whose, its `cause` why.
pub(super) fn mailbox(uri: &Uri<'_>) -> Option<Mailbox> {
    let target = uri.param("target")?;
    let target = percent_decode(target);
    let of = Uri::parse(&target).ok().and_then(|target| number(&target))?;
    let cause = uri.param("cause").and_then(|cause| std::str::from_utf8(cause).ok()?.parse().ok());
    Some(Mailbox { of, cause: cause.map(of_status) })
}

/// Returns who sent the call elsewhere last (RFC 5806 §4; RFC 7044 §4.1: the entry before the last).
pub(super) fn diverted_by(message: &Message<'_>) -> Option<Arc<str>> {
    if let Some(diversion) = message.diversions().next() {
        return number(&diversion.address.uri());
    }
    let mut before = None;
    let mut last = None;
    for entry in message.history_info() {
        before = last.replace(entry.address.uri());
    }
    number(&before?)
}

/// Returns who was called first, when the call was sent elsewhere more than once: the last Diversion (RFC 5806 §4), or the
/// first entry of History-Info (RFC 7044 §4.1).
pub(super) fn called_first(message: &Message<'_>) -> Option<Arc<str>> {
    if let Some(first) = message.diversions().skip(1).last() {
        return number(&first.address.uri());
    }
    let mut entries = message.history_info();
    let first = entries.next()?;
    entries.nth(1).and_then(|_| number(&first.address.uri()))
}

/// Fingerprint of the body of a request, as the session description that it offers.
pub(super) fn offer(message: &Message<'_>) -> Option<u64> {
    // FNV-1a: the same in every run.
    let mix = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    let body = Some(message.body()).filter(|body| !body.is_empty() && body.len() <= OFFER_BYTES_MAX)?;
    Some(body.iter().fold(0xcbf2_9ce4_8422_2325, mix))
}

/// Returns `true` if the sender says that no person is there (RFC 3840 §10.1), as servers for parking and music do.
pub(super) fn is_automaton(message: &Message<'_>) -> bool {
    let contact = message.contact();
    contact.is_some_and(|contact| {
        contact.param("automaton").is_some_and(|value| !value.eq_ignore_ascii_case(b"false"))
    })
}

/// The conference that the sender is the focus of (RFC 4579 §5.1): the address of its Contact.
pub(super) fn focus(message: &Message<'_>) -> Option<Arc<str>> {
    let contact = message.contact().filter(|contact| contact.param("isfocus").is_some())?;
    let uri = contact.uri();
    Some(Arc::from(format!("{}@{}", lossy(uri.user().unwrap_or_default()), lossy(uri.host()))))
}

/// The address that the sender of a request listens on, when it writes it as an IP address.
pub(super) fn sent_by(message: &Message<'_>) -> Option<SocketAddr> {
    let via = message.top_via();
    let host = std::str::from_utf8(via.host()).ok()?;
    let host: IpAddr = host.trim_start_matches('[').trim_end_matches(']').parse().ok()?;
    Some(SocketAddr::new(host, via.port().unwrap_or(SIP_PORT)))
}

/// The dialog that a request from the caller begins.
pub(super) fn sip_data(message: &Message<'_>) -> SipData {
    SipData {
        call_id: Arc::from(&*lossy(message.call_id())),
        from_tag: Arc::from(&*lossy(message.from_tag().unwrap_or_default())),
        to_tag: None,
    }
}

/// The names by which the legs of this call can be joined.
pub(super) fn aliases(message: &Message<'_>, seen: &Captured<'_>) -> Vec<Alias> {
    let mut aliases = vec![Alias::CallId(message.call_id().into())];
    if let Some(id) = message.header("X-CID").filter(|id| !id.is_empty()) {
        aliases.push(Alias::CallId(id.into()));
    }
    if let Some(id) = message.session_id().filter(|id| !crate::sip::SessionId::is_nil(id.local)) {
        aliases.push(Alias::SessionId(id.local.to_ascii_lowercase().into()));
    }
    if let Some(id) = seen.correlation.filter(|id| !id.is_empty() && *id != message.call_id()) {
        aliases.push(Alias::Correlation(id.into()));
        // Agents give the Call-ID of the other leg for it.
        aliases.push(Alias::OtherCallId(id.into()));
    }
    if let Some(id) = message.charging_id() {
        aliases.push(Alias::ChargingId(id.into()));
    }
    if let Some(id) = continued(message.call_id()) {
        aliases.push(Alias::OtherCallId(id));
    }
    aliases
}

/// The Call-ID that another one continues, as some switches name the legs that they place: behind it, or behind
/// its part before the `@`, stands the word for such a leg, and perhaps a number: `-b2b_1` (Sippy B2BUA), `_leg2`
/// (SEMS).
fn continued(call_id: &[u8]) -> Option<Box<[u8]>> {
    if let Some(continued) = without_leg(call_id) {
        return Some(continued.into());
    }
    let (local, host) = call_id.split_at(memchr::memchr(b'@', call_id)?);
    without_leg(local).map(|local| [local, host].concat().into())
}

/// A text without the word for a leg at its end.
fn without_leg(text: &[u8]) -> Option<&[u8]> {
    let is_separator = |byte: &u8| matches!(byte, b'-' | b'_' | b'.');
    let digits = text.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let mut rest = text.get(..text.len() - digits.min(LEG_DIGITS_MAX))?;
    if digits > 0 {
        rest = rest.split_last().filter(|(last, _)| is_separator(last)).map_or(rest, |(_, rest)| rest);
    }
    let words: [&[u8]; 4] = [b"b2b", b"b2bua", b"leg", b"bleg"];
    words.iter().find_map(|word| {
        let (start, end) = rest.split_at_checked(rest.len().checked_sub(word.len())?)?;
        let (separator, start) = start.split_last().filter(|_| end.eq_ignore_ascii_case(word))?;
        Some(start).filter(|start| is_separator(separator) && !start.is_empty())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_id_may_continue_that_of_the_other_leg() {
        for (call_id, other) in [
            ("57afcb3b@127.0.0.11-b2b_1", Some("57afcb3b@127.0.0.11")),
            ("57afcb3b@127.0.0.11-b2b_1-b2b_12", Some("57afcb3b@127.0.0.11-b2b_1")),
            ("57afcb3b-b2b_1@127.0.0.11", Some("57afcb3b@127.0.0.11")),
            ("57afcb3b_b2b", Some("57afcb3b")),
            ("57afcb3b_leg2", Some("57afcb3b")),
            ("57afcb3b.B2BUA-3@a.example", Some("57afcb3b@a.example")),
            ("57afcb3b@127.0.0.11", None),
            ("57afcb3bb2b_1", None),
            ("-b2b_1", None),
            ("b2b_1@127.0.0.11", None),
            ("12345", None),
            ("", None),
        ] {
            assert_eq!(continued(call_id.as_bytes()).as_deref(), other.map(str::as_bytes), "{call_id}");
        }
    }

    #[test]
    fn a_contact_of_the_phones_own_making_does_not_hide_the_person() {
        let uri = |text: &'static str| Uri::parse(text.as_bytes()).unwrap();
        for (target, to, who) in [
            ("sip:102@192.0.2.4:5062", "sip:102@pbx.example", "102"),
            ("sip:k7f2q@192.0.2.4:5062", "sip:102@pbx.example", "102"),
            ("sip:103@192.0.2.4", "sip:102@pbx.example", "103"),
            ("sip:bo-17f@192.0.2.4", "sip:bo@pbx.example", "bo"),
            ("sip:carol@192.0.2.4", "sip:bo@pbx.example", "carol"),
            ("sip:192.0.2.4", "sip:bo@pbx.example", "bo"),
            ("tel:+1-415-555-0123", "sip:x@pbx.example", "+14155550123"),
        ] {
            assert_eq!(&*callee(&uri(target), &uri(to)), who, "{target}");
        }
    }
}
