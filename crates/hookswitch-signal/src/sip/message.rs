use std::fmt;

use super::header_table::{HeaderTable, NamedRows};
use super::multipart;
use super::replaces::{DialogRef, DialogRefBuf};
use super::text::{decimal, seconds, trim, unquoted};
use super::values::Values;
use super::{
    CSeq, ContentType, Diversion, EventPackage, HeaderName, HistoryInfo, Layout, Malformed, NameAddr,
    Privacy, Reason, RecordingMetadata, RemotePartyId, Sdp, SessionExpires, SessionId, SipError, StartLine,
    SubscriptionState, UserToUser, Via, lossy,
};
use crate::byte_set::ByteSet;

/// One SIP message, request or response, in the bytes it arrived in (RFC 3261 §7).
///
/// What names its transaction and dialog (start line, top Via, From, To, Call-ID, CSeq) was read and
/// checked by [`Message::parse`]. Every other header is read when it is asked for; one that makes no
/// sense is then passed over, for who looks on is to hear of a call also if something beside it is wrong.
#[derive(Clone)]
pub struct Message<'a> {
    start_line: &'a [u8],
    start: StartLine<'a>,
    call_id: &'a [u8],
    cseq: CSeq<'a>,
    from: NameAddr<'a>,
    to: NameAddr<'a>,
    top_via: Via<'a>,
    contact: Contact<'a>,
    headers: HeaderTable<'a>,
    body: &'a [u8],
    is_cut: bool,
}

impl<'a> Message<'a> {
    /// Reads the message that a datagram holds; line ends before it are skipped.
    ///
    /// What follows the body that Content-Length announces is ignored, and without Content-Length
    /// the body is the rest (RFC 3261 §18.3). Of From, To, Call-ID and CSeq a second row is always refused.
    ///
    /// A message that ends before its Content-Length says so is used without its body, see
    /// [`Message::is_cut`]. So is a response that ends inside its header block, if what names its transaction is
    /// there; a request is refused then.
    ///
    /// # Errors
    /// Says what keeps the message from being understood in one way.
    pub fn parse(datagram: &'a [u8]) -> Result<Self, SipError> {
        Self::read_parts(datagram, HeaderTable::with_own(datagram, Layout::of(datagram)?))
    }

    /// Reads a message of which the layout is known, as [`Message::parse`] does.
    ///
    /// With the layout of another message it reads nothing sensible.
    ///
    /// # Errors
    /// Says what keeps the message from being understood in one way.
    pub fn read(datagram: &'a [u8], layout: &'a Layout) -> Result<Self, SipError> {
        Self::read_parts(datagram, HeaderTable::new(datagram, layout))
    }

    fn read_parts(datagram: &'a [u8], headers: HeaderTable<'a>) -> Result<Self, SipError> {
        let layout = headers.layout();
        let (line, is_open) = (layout.start_line(), layout.is_cut());
        let start_line = datagram.get(line.clone()).unwrap_or_default();
        let start = StartLine::parse(start_line, line.start)?;
        if is_open && matches!(start, StartLine::Request { .. }) {
            return Err(SipError::UnterminatedHeaders);
        }
        let rest = datagram.get(layout.body()..).unwrap_or_default();
        for name in [HeaderName::From, HeaderName::To, HeaderName::CallId, HeaderName::CSeq] {
            if headers.is_repeated(name) {
                return Err(SipError::RepeatedHeader { name });
            }
        }
        let top_via = check_vias(&headers)?;
        let from = mandatory(&headers, HeaderName::From, NameAddr::parse)?;
        let to = mandatory(&headers, HeaderName::To, NameAddr::parse)?;
        let call_id = mandatory(&headers, HeaderName::CallId, check_call_id)?;
        let cseq = mandatory(&headers, HeaderName::CSeq, CSeq::parse)?;
        if let StartLine::Request { method, .. } = start
            && method != cseq.method
        {
            return Err(SipError::MethodMismatch);
        }
        let contact = Contact::read(&headers);
        let body = announced_body(&headers, rest).filter(|_| !is_open);
        let (body, is_cut) = body.map_or((rest, true), |body| (body, false));
        Ok(Self { start_line, start, call_id, cseq, from, to, top_via, contact, headers, body, is_cut })
    }

    /// Gives what the first line says.
    pub const fn start(&self) -> StartLine<'a> {
        self.start
    }

    /// Gives the first line as it stands, without its line end.
    pub const fn start_line(&self) -> &'a [u8] {
        self.start_line
    }

    /// Gives the Call-ID, which differs in upper and lower case (RFC 3261 §20.8).
    pub const fn call_id(&self) -> &'a [u8] {
        self.call_id
    }

    /// Gives the CSeq.
    pub const fn cseq(&self) -> CSeq<'a> {
        self.cseq
    }

    /// Gives the From of the request, in its responses as well.
    pub const fn from(&self) -> NameAddr<'a> {
        self.from
    }

    /// Gives the To of the request; responses add a tag.
    pub const fn to(&self) -> NameAddr<'a> {
        self.to
    }

    /// Gives the tag of From; `None` when absent, as RFC 2543 allowed.
    pub const fn from_tag(&self) -> Option<&'a [u8]> {
        self.from.tag()
    }

    /// Gives the tag of To; `None` in requests outside a dialog.
    pub const fn to_tag(&self) -> Option<&'a [u8]> {
        self.to.tag()
    }

    /// Gives the Via of the last sender of the request.
    pub const fn top_via(&self) -> Via<'a> {
        self.top_via
    }

    /// Gives every Via, the last sender first.
    pub fn vias(&self) -> impl Iterator<Item = Via<'a>> + use<'a> {
        self.values(HeaderName::Via).filter_map(|value| Via::parse(value).ok())
    }

    /// Counts the Vias, in rows and comma lists.
    pub fn via_count(&self) -> usize {
        self.values(HeaderName::Via).count()
    }

    /// Gives how many more hops a request may take, 0 to 255; a value out of range is as none
    /// (RFC 4475 §3.1.2.4).
    pub fn max_forwards(&self) -> Option<u32> {
        let hops = self.row(HeaderName::MaxForwards).and_then(seconds)?;
        Some(hops).filter(|&hops| hops <= 255)
    }

    /// Gives the first Contact that has an address; none if the first row is damaged.
    pub fn contact(&self) -> Option<NameAddr<'a>> {
        match self.contact {
            Contact::First(contact) => Some(contact),
            Contact::None => self.contacts().next(),
            Contact::Damaged => None,
        }
    }

    /// Gives every Contact that has an address; none if the first row is damaged.
    pub fn contacts(&self) -> impl Iterator<Item = NameAddr<'a>> + use<'a> {
        let is_damaged = matches!(self.contact, Contact::Damaged);
        self.addresses(HeaderName::Contact).filter(move |_| !is_damaged)
    }

    /// Tells whether the Contact is `*`, which takes all registrations back (RFC 3261 §10.2.2).
    pub fn contact_is_star(&self) -> bool {
        self.row(HeaderName::Contact) == Some(b"*")
    }

    /// Gives the reasons (RFC 3326).
    pub fn reasons(&self) -> impl Iterator<Item = Reason<'a>> + use<'a> {
        self.values(HeaderName::Reason).filter_map(Reason::parse)
    }

    /// Gives the dialog this INVITE takes the place of (RFC 3891).
    pub fn replaces(&self) -> Option<DialogRef<'a>> {
        self.dialog(HeaderName::Replaces)
    }

    /// Gives the dialog this INVITE joins (RFC 3911).
    pub fn join(&self) -> Option<DialogRef<'a>> {
        self.dialog(HeaderName::Join)
    }

    /// Gives the dialog that authorises this request (RFC 4538).
    pub fn target_dialog(&self) -> Option<DialogRef<'a>> {
        self.dialog(HeaderName::TargetDialog)
    }

    /// Gives whom to call instead (RFC 3515).
    ///
    /// Some write an address with headers without the brackets that it then needs (RFC 3261 §20.10); what
    /// they mean is clear.
    pub fn refer_to(&self) -> Option<NameAddr<'a>> {
        self.addresses(HeaderName::ReferTo)
            .next()
            .or_else(|| NameAddr::parse_bare_with_headers(self.row(HeaderName::ReferTo)?).ok())
    }

    /// Gives the dialog that the call asked for with Refer-To is to take the place of: the Replaces
    /// that its URI carries escaped (RFC 3891 §4). This makes a transfer an attended one.
    pub fn refer_to_replaces(&self) -> Option<DialogRefBuf> {
        self.refer_to()?.uri().header("Replaces").and_then(|value| DialogRefBuf::new(value.into_owned()))
    }

    /// Gives who asked for the call (RFC 3892).
    pub fn referred_by(&self) -> Option<NameAddr<'a>> {
        self.addresses(HeaderName::ReferredBy).next()
    }

    /// Gives who the network says the sender is: one SIP and one TEL URI at most (RFC 3325 §9.1).
    pub fn asserted_identities(&self) -> impl Iterator<Item = NameAddr<'a>> + use<'a> {
        self.addresses(HeaderName::PAssertedIdentity)
    }

    /// Gives which of its identities the sender wants to be shown (RFC 3325 §9.2).
    pub fn preferred_identity(&self) -> Option<NameAddr<'a>> {
        self.addresses(HeaderName::PPreferredIdentity).next()
    }

    /// Gives the first Remote-Party-ID.
    pub fn remote_party_id(&self) -> Option<RemotePartyId<'a>> {
        self.remote_party_ids().next()
    }

    /// Gives every Remote-Party-ID.
    pub fn remote_party_ids(&self) -> impl Iterator<Item = RemotePartyId<'a>> + use<'a> {
        self.addresses(HeaderName::RemotePartyId).map(|address| RemotePartyId { address })
    }

    /// Gives what the sender asks to be hidden (RFC 3323).
    pub fn privacy(&self) -> Option<Privacy<'a>> {
        self.row(HeaderName::Privacy).map(Privacy::new)
    }

    /// Gives who sent the call elsewhere, the last one first (RFC 5806).
    pub fn diversions(&self) -> impl Iterator<Item = Diversion<'a>> + use<'a> {
        self.addresses(HeaderName::Diversion).map(|address| Diversion { address })
    }

    /// Gives the way the request took, the first target first (RFC 7044).
    pub fn history_info(&self) -> impl Iterator<Item = HistoryInfo<'a>> + use<'a> {
        self.addresses(HeaderName::HistoryInfo).map(|address| HistoryInfo { address })
    }

    /// Gives the identifier that follows the call through back-to-back user agents (RFC 7989).
    pub fn session_id(&self) -> Option<SessionId<'a>> {
        self.row(HeaderName::SessionId).and_then(SessionId::parse)
    }

    /// Gives the data for the callee's application (RFC 7433).
    pub fn user_to_user(&self) -> Option<UserToUser<'a>> {
        self.values(HeaderName::UserToUser).find_map(UserToUser::parse)
    }

    /// Gives what a SUBSCRIBE or NOTIFY is about (RFC 6665).
    pub fn event(&self) -> Option<EventPackage<'a>> {
        self.row(HeaderName::Event).and_then(EventPackage::parse)
    }

    /// Gives how the subscription of a NOTIFY stands (RFC 6665).
    pub fn subscription_state(&self) -> Option<SubscriptionState<'a>> {
        self.row(HeaderName::SubscriptionState).and_then(SubscriptionState::parse)
    }

    /// Gives how long the session lives without being refreshed (RFC 4028).
    pub fn session_expires(&self) -> Option<SessionExpires> {
        self.row(HeaderName::SessionExpires).and_then(SessionExpires::parse)
    }

    /// Gives how long the message, registration or subscription holds, in seconds; what is beyond
    /// the range of `u32` is as none (RFC 4475 §3.1.2.4).
    pub fn expires(&self) -> Option<u32> {
        self.row(HeaderName::Expires).and_then(decimal).and_then(|seconds| u32::try_from(seconds).ok())
    }

    /// Gives what the body is; none if it is said twice in two ways.
    pub fn content_type(&self) -> Option<ContentType<'a>> {
        if has_two_meanings(&self.headers, HeaderName::ContentType) {
            return None;
        }
        self.row(HeaderName::ContentType).and_then(ContentType::parse)
    }

    /// Gives the program that sent the request.
    pub fn user_agent(&self) -> Option<&'a [u8]> {
        self.row(HeaderName::UserAgent)
    }

    /// Gives the program that sent the response.
    pub fn server(&self) -> Option<&'a [u8]> {
        self.row(HeaderName::Server)
    }

    /// Finds the first row of any header by its name, full or compact and in any case.
    ///
    /// The value has no white space around it; a folded one has line ends in it.
    pub fn header(&self, name: &str) -> Option<&'a [u8]> {
        self.headers(name).next()
    }

    /// Finds all rows of any header by its name, in order.
    pub fn headers<'n>(&self, name: &'n str) -> NamedRows<'a, 'n> {
        self.headers.named(name)
    }

    /// Gives the body, as long as Content-Length says; nothing if it is cut.
    pub const fn body(&self) -> &'a [u8] {
        if self.is_cut { b"" } else { self.body }
    }

    /// Tells whether the end of the message is missing, or nobody knows where it is: fewer bytes are there than
    /// Content-Length says, as when packets are captured up to a snap length; it makes no sense; or the header
    /// block of a response has no end.
    pub const fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// Gives the session description: the body, or the part of a multipart body that is one.
    ///
    /// `None` when absent or compressed, and when the message is cut: half a description does not say whether
    /// media is held.
    pub fn sdp(&self) -> Option<Sdp<'a>> {
        self.body_of_type("application", "sdp").map(Sdp::new)
    }

    /// Tells whether this is about a recording session (RFC 7866 §6): it requires `siprec`, its sender is the one
    /// who has calls recorded or who records them, or it carries the metadata of a recording.
    pub fn is_of_recording_session(&self) -> bool {
        let is_recorder = |contact: NameAddr<'_>| {
            contact.params().into_iter().any(|param| {
                param.name.eq_ignore_ascii_case(b"+sip.src") || param.name.eq_ignore_ascii_case(b"+sip.srs")
            })
        };
        self.contact().is_some_and(is_recorder)
            || self.values(HeaderName::Require).any(|tag| tag.eq_ignore_ascii_case(b"siprec"))
            || self.recording_metadata().is_some()
    }

    /// Gives what a recording session says of the call that it records (RFC 7865).
    pub fn recording_metadata(&self) -> Option<RecordingMetadata<'a>> {
        // Most bodies are session descriptions alone, and have no parts.
        let content_type =
            self.content_type().filter(|content_type| !content_type.is("application", "sdp"))?;
        let of_type = |subtype| multipart::find(content_type, self.body(), "application", subtype);
        let body = of_type("rs-metadata+xml").or_else(|| of_type("rs-metadata"))?;
        Some(RecordingMetadata::new(body))
    }

    /// Gives the name that the network charges the call by, which its legs have in common: the `icid-value` of
    /// P-Charging-Vector (RFC 7315 §4.6).
    pub fn charging_id(&self) -> Option<&'a [u8]> {
        let row = self.row(HeaderName::PChargingVector)?;
        let mut params = row.split(|&byte| byte == b';').filter_map(|param| {
            let equals = memchr::memchr(b'=', param)?;
            Some((trim(&param[..equals]), trim(&param[equals + 1..])))
        });
        let (_, value) = params.find(|(name, _)| name.eq_ignore_ascii_case(b"icid-value"))?;
        Some(unquoted(value)).filter(|value| !value.is_empty())
    }

    /// Gives how the call that a REFER asked for goes: the status in the `message/sipfrag` body of a
    /// NOTIFY (RFC 3515 §2.4.5), 100 to 699. Its first line is enough, also of a body that is cut.
    pub fn sipfrag_status(&self) -> Option<u16> {
        let fragment = self.find_body("message", "sipfrag")?;
        let line = match memchr::memchr(b'\n', fragment) {
            Some(end) => &fragment[..end],
            None if self.is_cut => return None,
            None => fragment,
        };
        StartLine::parse(super::text::trim(line), 0).ok()?.status()
    }

    /// Gives the body, or the first part of a multipart body, that is of a type; none if it is cut.
    pub fn body_of_type(&self, kind: &str, subtype: &str) -> Option<&'a [u8]> {
        if self.is_cut { None } else { self.find_body(kind, subtype) }
    }

    fn find_body(&self, kind: &str, subtype: &str) -> Option<&'a [u8]> {
        let content_type = self.content_type().filter(|_| !self.body.is_empty())?;
        match self.row(HeaderName::ContentEncoding) {
            Some(encoding) if !encoding.eq_ignore_ascii_case(b"identity") => None,
            _ => multipart::find(content_type, self.body, kind, subtype),
        }
    }

    /// Gives the first row of a header, unless it is empty.
    fn row(&self, name: HeaderName) -> Option<&'a [u8]> {
        self.headers.first(name).filter(|row| !row.is_empty())
    }

    fn values(&self, name: HeaderName) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.headers.rows(name).flat_map(Values::new).filter(|value| !value.is_empty())
    }

    fn addresses(&self, name: HeaderName) -> impl Iterator<Item = NameAddr<'a>> + use<'a> {
        self.values(name).filter_map(|value| NameAddr::parse(value).ok())
    }

    fn dialog(&self, name: HeaderName) -> Option<DialogRef<'a>> {
        self.row(name).and_then(|value| DialogRef::parse(name, value))
    }
}

impl fmt::Debug for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("start_line", &lossy(self.start_line))
            .field("call_id", &lossy(self.call_id))
            .finish_non_exhaustive()
    }
}

/// Reads a header that must be there.
fn mandatory<'a, T>(
    headers: &HeaderTable<'a>,
    name: HeaderName,
    parse: impl FnOnce(&'a [u8]) -> Result<T, Malformed>,
) -> Result<T, SipError> {
    let value = headers.first(name).ok_or_else(|| missing(headers, name))?;
    parse(value).map_err(|error| malformed(headers, name, error.at))
}

/// Returns what is wrong with a message that lacks a header: where its header block has no end, it may have been there.
fn missing(headers: &HeaderTable<'_>, name: HeaderName) -> SipError {
    if headers.layout().is_cut() { SipError::UnterminatedHeaders } else { SipError::MissingHeader { name } }
}

fn malformed(headers: &HeaderTable<'_>, name: HeaderName, at: usize) -> SipError {
    SipError::MalformedHeader { name, offset: headers.offset(name) + at }
}

/// Reads the first value of the first Via row; the others are of earlier hops.
fn check_vias<'a>(headers: &HeaderTable<'a>) -> Result<Via<'a>, SipError> {
    let name = HeaderName::Via;
    let row = headers.first(name).ok_or_else(|| missing(headers, name))?;
    let (at, value) = Values::new(row).next_at().ok_or_else(|| missing(headers, name))?;
    Via::parse(value).map_err(|error| malformed(headers, name, at + error.at))
}

/// Takes any bytes but white space, since nothing but equality matters.
fn check_call_id(value: &[u8]) -> Result<&[u8], Malformed> {
    match CONTROLS.find(value, 0) {
        at if at < value.len() => Err(Malformed { at }),
        _ if value.is_empty() => Err(Malformed { at: 0 }),
        _ => Ok(value),
    }
}

const CONTROLS: ByteSet<0> = ByteSet::controls_and(b"");

/// Contents of the first Contact row.
#[derive(Clone, Copy)]
enum Contact<'a> {
    None,
    First(NameAddr<'a>),
    /// One of its values makes no sense, and so misleads about all of them (RFC 4475 §3.1.2.1).
    Damaged,
}

impl<'a> Contact<'a> {
    fn read(headers: &HeaderTable<'a>) -> Self {
        let Some(row) = headers.first(HeaderName::Contact).filter(|&row| !row.is_empty() && row != b"*")
        else {
            return Self::None;
        };
        let mut values = Values::new(row);
        let mut first = Self::None;
        while let Some((_, value)) = values.next_at() {
            match (NameAddr::parse(value), first) {
                (Err(_), _) => return Self::Damaged,
                (Ok(contact), Self::None) => first = Self::First(contact),
                (Ok(_), _) => {}
            }
        }
        first
    }
}

/// Returns `true` if a header is repeated with another value, so that its meaning is open.
fn has_two_meanings(headers: &HeaderTable<'_>, name: HeaderName) -> bool {
    headers.is_repeated(name) && headers.rows(name).any(|row| Some(row) != headers.first(name))
}

/// The body, as long as it is announced; none if fewer bytes are there, or its length is not known.
///
/// Equal repetitions of Content-Length are let pass, as HTTP does it (RFC 9110 §8.6): they say one thing.
fn announced_body<'a>(headers: &HeaderTable<'a>, rest: &'a [u8]) -> Option<&'a [u8]> {
    let Some(value) = headers.first(HeaderName::ContentLength) else {
        return Some(rest);
    };
    if has_two_meanings(headers, HeaderName::ContentLength) {
        return None;
    }
    let declared = usize::try_from(decimal(value)?).unwrap_or(usize::MAX);
    rest.get(..declared)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(headers: &str, body: &str) -> Vec<u8> {
        format!(
            "INVITE sip:102@a.example SIP/2.0\r\nVia: SIP/2.0/UDP a.example;branch=z9hG4bK1\r\n\
             From: <sip:101@a.example>;tag=1\r\nTo: <sip:102@a.example>\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\n\
             {headers}Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .into_bytes()
    }

    #[test]
    fn a_recording_session_shows_in_each_of_three_ways() {
        let parts = "--b\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n--b\r\nContent-Type: application/rs-metadata+xml\r\n\r\n<recording/>\r\n--b--\r\n";
        for (headers, body, is_recording) in [
            ("Require: timer, SIPREC\r\n", "", true),
            ("Require: timer\r\nRequire: siprec\r\n", "", true),
            ("Contact: <sip:a.example>;+sip.src\r\n", "", true),
            ("Contact: <sip:a.example>;+sip.srs\r\n", "", true),
            ("Content-Type: multipart/mixed;boundary=b\r\n", parts, true),
            ("Content-Type: application/rs-metadata\r\n", "<recording/>", true),
            ("Supported: siprec\r\nRequire: timer\r\n", "", false),
            ("Contact: <sip:a.example;+sip.src>\r\n", "", false),
            ("Content-Type: application/sdp\r\n", "v=0\r\n", false),
        ] {
            let bytes = with(headers, body);
            let message = Message::parse(&bytes).expect("a message");
            assert_eq!(message.is_of_recording_session(), is_recording, "{headers}");
        }
    }

    #[test]
    fn the_charging_id_is_found_among_the_parameters() {
        for (value, id) in [
            ("icid-value=\"pcv-77-1a\";orig-ioi=carrier.test", Some("pcv-77-1a")),
            ("orig-ioi=a ; ICID-Value = 1234bc9876e ;icid-generated-at=192.0.2.8", Some("1234bc9876e")),
            ("icid-value=\"\"", None),
            ("icid-generated-at=192.0.2.8", None),
        ] {
            let bytes = with(&format!("P-Charging-Vector: {value}\r\n"), "");
            let message = Message::parse(&bytes).expect("a message");
            assert_eq!(message.charging_id(), id.map(str::as_bytes), "{value}");
        }
    }
}
