use std::fmt;

use super::byte_set::ByteSet;
use super::header_table::{HeaderTable, NamedRows};
use super::multipart;
use super::replaces::{DialogRef, DialogRefBuf};
use super::text::{decimal, seconds};
use super::values::Values;
use super::{
    CSeq, ContentType, Diversion, EventPackage, HeaderName, HistoryInfo, Layout, Malformed, NameAddr,
    Privacy, Reason, RemotePartyId, Sdp, SessionExpires, SessionId, SipError, StartLine, SubscriptionState,
    UserToUser, Via, lossy,
};

/// One SIP message, request or response, in the bytes it arrived in (RFC 3261 §7).
///
/// What names its transaction and dialog (start line, top Via, From, To, Call-ID, CSeq) was read and
/// checked by [`Message::parse`]. Every other header is read when it is asked for; one that makes no
/// sense is then passed over.
#[derive(Clone)]
pub struct Message<'a> {
    start_line: &'a [u8],
    start: StartLine<'a>,
    call_id: &'a [u8],
    cseq: CSeq<'a>,
    from: NameAddr<'a>,
    to: NameAddr<'a>,
    top_via: Via<'a>,
    /// The first of the first Contact row.
    contact: Option<NameAddr<'a>>,
    headers: HeaderTable<'a>,
    body: &'a [u8],
}

impl<'a> Message<'a> {
    /// Reads the message that a datagram holds; line ends before it are skipped.
    ///
    /// What follows the body that Content-Length announces is ignored, and without Content-Length
    /// the body is the rest (RFC 3261 §18.3). Equal repetitions of Content-Length are let pass, as
    /// HTTP does it (RFC 9110 §8.6): they say one thing. Of From, To, Call-ID and CSeq a second row
    /// is always refused.
    ///
    /// # Errors
    /// Says what keeps the message from being understood in one way.
    pub fn parse(datagram: &'a [u8]) -> Result<Self, SipError> {
        Self::read(datagram, &Layout::of(datagram)?)
    }

    /// Reads a message of which the layout is known, as [`Message::parse`] does.
    ///
    /// With the layout of another message it reads nothing sensible.
    ///
    /// # Errors
    /// Says what keeps the message from being understood in one way.
    pub fn read(datagram: &'a [u8], layout: &Layout) -> Result<Self, SipError> {
        let line = layout.start_line();
        let start_line = datagram.get(line.clone()).unwrap_or_default();
        let start = StartLine::parse(start_line, line.start)?;
        let rest = datagram.get(layout.body()..).unwrap_or_default();
        let headers = HeaderTable::new(datagram, layout);
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
        let contact = check_contacts(&headers)?;
        check_single(&headers, HeaderName::MaxForwards)?;
        check_single(&headers, HeaderName::ContentType)?;
        check_date(&headers)?;
        let body = check_body(&headers, rest)?;
        Ok(Self { start_line, start, call_id, cseq, from, to, top_via, contact, headers, body })
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

    /// Gives the first Contact that has an address.
    pub fn contact(&self) -> Option<NameAddr<'a>> {
        self.contact.or_else(|| self.contacts().next())
    }

    /// Gives every Contact that has an address.
    pub fn contacts(&self) -> impl Iterator<Item = NameAddr<'a>> + use<'a> {
        self.addresses(HeaderName::Contact)
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

    /// Gives what the body is.
    pub fn content_type(&self) -> Option<ContentType<'a>> {
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

    /// Gives the body, as long as Content-Length says.
    pub const fn body(&self) -> &'a [u8] {
        self.body
    }

    /// Gives the session description: the body, or the part of a multipart body that is one.
    ///
    /// `None` when absent or compressed.
    pub fn sdp(&self) -> Option<Sdp<'a>> {
        self.body_of_type("application", "sdp").map(Sdp::new)
    }

    /// Gives how the call that a REFER asked for goes: the status in the `message/sipfrag` body of a
    /// NOTIFY (RFC 3515 §2.4.5), 100 to 699.
    pub fn sipfrag_status(&self) -> Option<u16> {
        let fragment = self.body_of_type("message", "sipfrag")?;
        let line = &fragment[..memchr::memchr(b'\n', fragment).unwrap_or(fragment.len())];
        StartLine::parse(super::text::trim(line), 0).ok()?.status()
    }

    /// Gives the body, or the first part of a multipart body, that is of a type.
    pub fn body_of_type(&self, kind: &str, subtype: &str) -> Option<&'a [u8]> {
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
    let value = headers.first(name).ok_or(SipError::MissingHeader { name })?;
    parse(value).map_err(|error| malformed(headers, name, error.at))
}

fn malformed(headers: &HeaderTable<'_>, name: HeaderName, at: usize) -> SipError {
    SipError::MalformedHeader { name, offset: headers.offset(name) + at }
}

/// Reads all values of the first Via row and gives the first of them.
fn check_vias<'a>(headers: &HeaderTable<'a>) -> Result<Via<'a>, SipError> {
    let name = HeaderName::Via;
    let row = headers.first(name).ok_or(SipError::MissingHeader { name })?;
    let mut values = Values::new(row);
    let mut top = None;
    while let Some((at, value)) = values.next_at() {
        let via = Via::parse(value).map_err(|error| malformed(headers, name, at + error.at))?;
        top.get_or_insert(via);
    }
    top.ok_or(SipError::MissingHeader { name })
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

/// Reads all values of the first Contact row and gives the first of them; a damaged one misleads
/// (RFC 4475 §3.1.2.1).
fn check_contacts<'a>(headers: &HeaderTable<'a>) -> Result<Option<NameAddr<'a>>, SipError> {
    let name = HeaderName::Contact;
    let Some(row) = headers.first(name).filter(|&row| !row.is_empty() && row != b"*") else {
        return Ok(None);
    };
    let mut values = Values::new(row);
    let mut first = None;
    while let Some((at, value)) = values.next_at() {
        let contact = NameAddr::parse(value).map_err(|error| malformed(headers, name, at + error.at))?;
        first.get_or_insert(contact);
    }
    Ok(first)
}

/// Refuses a header that is repeated with another value.
fn check_single(headers: &HeaderTable<'_>, name: HeaderName) -> Result<(), SipError> {
    let differs = headers.is_repeated(name) && headers.rows(name).any(|row| Some(row) != headers.first(name));
    if differs { Err(SipError::RepeatedHeader { name }) } else { Ok(()) }
}

/// Refuses a Date that is not in GMT, the only zone there is (RFC 3261 §20.17).
fn check_date(headers: &HeaderTable<'_>) -> Result<(), SipError> {
    let name = HeaderName::Date;
    match headers.first(name) {
        Some(date) if !date.is_empty() && !date.to_ascii_uppercase().ends_with(b"GMT") => {
            Err(malformed(headers, name, 0))
        }
        _ => Ok(()),
    }
}

/// Cuts the body to the length that is announced.
fn check_body<'a>(headers: &HeaderTable<'a>, rest: &'a [u8]) -> Result<&'a [u8], SipError> {
    let name = HeaderName::ContentLength;
    check_single(headers, name)?;
    let Some(value) = headers.first(name) else {
        return Ok(rest);
    };
    let declared = decimal(value).ok_or_else(|| malformed(headers, name, 0))?;
    let declared = usize::try_from(declared).unwrap_or(usize::MAX);
    rest.get(..declared).ok_or(SipError::ShortBody { declared, actual: rest.len() })
}
