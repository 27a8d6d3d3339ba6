//! The SIP that phones and a switch say to each other: one dialog, its transactions, and their wire form.
//!
//! What it writes is whole: branches, tags, CSeq, Contact, Content-Length and SDP are those that real hosts
//! would send (RFC 3261, RFC 3264, RFC 3515). Nobody answers it; each side's part is written here.

use std::fmt::{self, Write as _};
use std::net::SocketAddr;
use std::time::Duration;

/// Time that the network and a host take for an answer that no person gives.
const HOP: Duration = Duration::from_millis(12);

/// Methods that the hosts support.
const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, REFER, NOTIFY";

/// Somebody that sends and receives SIP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Host(pub(super) SocketAddr);

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One message on its way.
#[derive(Clone, Debug)]
pub(super) struct Message {
    /// Time when it is sent, from the beginning of what it belongs to.
    pub(super) at: Duration,
    pub(super) src: Host,
    pub(super) dst: Host,
    pub(super) text: String,
}

/// Messages that are sent while time goes on.
pub(super) struct Wire<'a> {
    pub(super) at: Duration,
    pub(super) messages: Vec<Message>,
    random: &'a mut fastrand::Rng,
}

impl<'a> Wire<'a> {
    pub(super) fn new(random: &'a mut fastrand::Rng) -> Self {
        Self { at: Duration::ZERO, messages: Vec::new(), random }
    }

    /// Lets so many milliseconds pass, and up to a quarter more: people are not clocks.
    pub(super) fn pass(&mut self, millis: u64) {
        self.at += Duration::from_millis(millis + self.random.u64(..=millis / 4));
    }

    /// A word that is used once.
    fn token(&mut self) -> String {
        format!("{:016x}", self.random.u64(..))
    }

    fn send(&mut self, src: Host, dst: Host, text: String) {
        self.messages.push(Message { at: self.at, src, dst, text });
        self.at += HOP;
    }
}

/// The two ends of a dialog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// Sender of the INVITE.
    Caller,
    Callee,
}

/// One end of a dialog.
struct End {
    host: Host,
    /// Address in From or To, without the tag.
    name: String,
    tag: String,
    /// Address in its Contact.
    contact: String,
    cseq: u32,
    /// The session of its SDP and how often it was offered anew.
    sdp: (u32, u32),
}

/// Caller or callee.
pub(super) struct Party<'a> {
    pub(super) host: Host,
    /// The display name; empty for none.
    pub(super) name: &'a str,
    /// The address of record, as `101@harbour.example`.
    pub(super) address: &'a str,
    /// The user in the Contact; empty for none, as switches have it.
    pub(super) contact: &'a str,
}

/// A call between two hosts.
pub(super) struct Dialog {
    call_id: String,
    caller: End,
    callee: End,
    request_uri: String,
    /// The branch of the INVITE.
    branch: String,
    answered: bool,
}

impl Dialog {
    /// Sends an INVITE, and the 100 that answers it.
    pub(super) fn invite(
        wire: &mut Wire<'_>,
        caller: &Party<'_>,
        callee: &Party<'_>,
        request_uri: &str,
        more: &str,
    ) -> Self {
        let (mut caller, callee) = (End::new(wire, caller), End::new(wire, callee));
        caller.cseq = wire.random.u32(1..900);
        let mut dialog = Self {
            call_id: format!("{}@{}", wire.token(), caller.host.0.ip()),
            caller,
            callee,
            request_uri: request_uri.to_owned(),
            branch: branch(wire),
            answered: false,
        };
        let sdp = dialog.sdp(Side::Caller, "sendrecv");
        let cseq = dialog.caller.cseq;
        let branch = dialog.branch.clone();
        dialog.write_request(wire, Side::Caller, "INVITE", cseq, &branch, more, Some(&sdp));
        dialog.answer_with(wire, Side::Callee, "INVITE", cseq, &branch, "100 Trying", "", None);
        dialog
    }

    /// Says that it rings.
    pub(super) fn ring(&mut self, wire: &mut Wire<'_>) {
        self.respond(wire, "180 Ringing", None);
    }

    /// Answers, and is acknowledged.
    pub(super) fn answer(&mut self, wire: &mut Wire<'_>) {
        let sdp = self.sdp(Side::Callee, "sendrecv");
        self.respond(wire, "200 OK", Some(&sdp));
        self.answered = true;
        let branch = branch(wire);
        self.write_request(wire, Side::Caller, "ACK", self.caller.cseq, &branch, "", None);
    }

    /// Refuses with a status such as `486 Busy Here`, and is acknowledged.
    pub(super) fn refuse(&mut self, wire: &mut Wire<'_>, status: &str) {
        self.respond(wire, status, None);
        // The ACK of a refusal belongs to the INVITE (RFC 3261 §17.1.1.3).
        let branch = self.branch.clone();
        self.write_request(wire, Side::Caller, "ACK", self.caller.cseq, &branch, "", None);
    }

    /// Takes the INVITE back; `more` says why.
    pub(super) fn cancel(&mut self, wire: &mut Wire<'_>, more: &str) {
        let (cseq, branch) = (self.caller.cseq, self.branch.clone());
        self.write_request(wire, Side::Caller, "CANCEL", cseq, &branch, more, None);
        self.answer_with(wire, Side::Callee, "CANCEL", cseq, &branch, "200 OK", "", None);
        self.refuse(wire, "487 Request Terminated");
    }

    /// Hangs up.
    pub(super) fn bye(&mut self, wire: &mut Wire<'_>, by: Side) {
        self.exchange(wire, by, "BYE", "", None, "200 OK", None);
    }

    /// Offers the media anew, with this direction: `sendonly` holds the call, `sendrecv` takes it back.
    pub(super) fn offer(&mut self, wire: &mut Wire<'_>, by: Side, direction: &str) {
        let offer = self.sdp(by, direction);
        let answer = self.sdp(by.other(), if direction == "sendonly" { "recvonly" } else { "sendrecv" });
        let cseq = self.exchange(wire, by, "INVITE", "", Some(&offer), "200 OK", Some(&answer));
        let branch = branch(wire);
        self.write_request(wire, by, "ACK", cseq, &branch, "", None);
    }

    /// Asks the other side to call somebody.
    pub(super) fn refer(&mut self, wire: &mut Wire<'_>, by: Side, target: &str) {
        let who = &self.end(by).name;
        let more = format!("Refer-To: <{target}>\r\nReferred-By: {who}\r\n");
        self.exchange(wire, by, "REFER", &more, None, "202 Accepted", None);
    }

    /// Tells who asked for a transfer how it goes.
    pub(super) fn notify(&mut self, wire: &mut Wire<'_>, by: Side, status: &str) {
        let state = if status < "200" { "active;expires=60" } else { "terminated;reason=noresource" };
        let more = format!("Event: refer\r\nSubscription-State: {state}\r\n");
        let body = ("message/sipfrag;version=2.0".to_owned(), format!("SIP/2.0 {status}\r\n"));
        self.exchange(wire, by, "NOTIFY", &more, Some(&body), "200 OK", None);
    }

    /// The dialog as the parameter of a Refer-To names it, from the side of the callee.
    pub(super) fn replaces(&self) -> String {
        let id = self.call_id.replace('@', "%40");
        format!("Replaces={id}%3Bto-tag%3D{}%3Bfrom-tag%3D{}", self.callee.tag, self.caller.tag)
    }

    fn end(&self, side: Side) -> &End {
        match side {
            Side::Caller => &self.caller,
            Side::Callee => &self.callee,
        }
    }

    fn end_mut(&mut self, side: Side) -> &mut End {
        match side {
            Side::Caller => &mut self.caller,
            Side::Callee => &mut self.callee,
        }
    }

    /// A request within the dialog, and its answer; gives its CSeq.
    #[expect(clippy::too_many_arguments, reason = "a transaction has two messages")]
    fn exchange(
        &mut self,
        wire: &mut Wire<'_>,
        by: Side,
        method: &str,
        more: &str,
        body: Option<&Body>,
        status: &str,
        answer: Option<&Body>,
    ) -> u32 {
        self.end_mut(by).cseq += 1;
        let (cseq, branch) = (self.end(by).cseq, branch(wire));
        self.write_request(wire, by, method, cseq, &branch, more, body);
        self.answer_with(wire, by.other(), method, cseq, &branch, status, "", answer);
        cseq
    }

    /// A response to the INVITE.
    fn respond(&mut self, wire: &mut Wire<'_>, status: &str, body: Option<&Body>) {
        let branch = self.branch.clone();
        self.answer_with(wire, Side::Callee, "INVITE", self.caller.cseq, &branch, status, "", body);
    }

    #[expect(clippy::too_many_arguments, reason = "a message has so many parts")]
    fn write_request(
        &self,
        wire: &mut Wire<'_>,
        by: Side,
        method: &str,
        cseq: u32,
        branch: &str,
        more: &str,
        body: Option<&Body>,
    ) {
        let (from, to) = (self.end(by), self.end(by.other()));
        // Until the call is answered requests go where the INVITE went (RFC 3261 §9.1, §12.2.1.1).
        let uri = if self.answered { &to.contact } else { &self.request_uri };
        // Only in a dialog does the other side have a tag, and in the ACK of a refusal.
        let tagged = self.answered || method == "ACK";
        let to_tag = if tagged { format!(";tag={}", to.tag) } else { String::new() };
        let mut text = format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {};branch={branch};rport\r\nMax-Forwards: 70\r\n\
             From: {};tag={}\r\nTo: {}{to_tag}\r\nCall-ID: {}\r\nCSeq: {cseq} {method}\r\n",
            from.host, from.name, from.tag, to.name, self.call_id
        );
        if matches!(method, "INVITE" | "REFER" | "NOTIFY") {
            let _ = write!(text, "Contact: <{}>\r\nAllow: {ALLOW}\r\n", from.contact);
        }
        text.push_str(more);
        finish(&mut text, body);
        wire.send(from.host, to.host, text);
    }

    #[expect(clippy::too_many_arguments, reason = "a message has so many parts")]
    fn answer_with(
        &self,
        wire: &mut Wire<'_>,
        by: Side,
        method: &str,
        cseq: u32,
        branch: &str,
        status: &str,
        more: &str,
        body: Option<&Body>,
    ) {
        let (own, asker) = (self.end(by), self.end(by.other()));
        let tag = if status.starts_with("100") { String::new() } else { format!(";tag={}", own.tag) };
        let mut text = format!(
            "SIP/2.0 {status}\r\nVia: SIP/2.0/UDP {};branch={branch};rport={};received={}\r\n\
             From: {};tag={}\r\nTo: {}{tag}\r\nCall-ID: {}\r\nCSeq: {cseq} {method}\r\n",
            asker.host,
            asker.host.0.port(),
            asker.host.0.ip(),
            asker.name,
            asker.tag,
            own.name,
            self.call_id
        );
        let tells = matches!(method, "INVITE" | "REFER") && !status.starts_with("100") && status < "300";
        if tells {
            let _ = write!(text, "Contact: <{}>\r\nAllow: {ALLOW}\r\n", own.contact);
        }
        text.push_str(more);
        finish(&mut text, body);
        wire.send(own.host, asker.host, text);
    }

    /// The SDP of a side, newer than the one before.
    fn sdp(&mut self, side: Side, direction: &str) -> Body {
        let end = self.end_mut(side);
        end.sdp.1 += 1;
        let ((session, version), ip) = (end.sdp, end.host.0.ip());
        let text = format!(
            "v=0\r\no=- {session} {version} IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\n\
             m=audio {} RTP/AVP 8 0 101\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\n\
             a=rtpmap:101 telephone-event/8000\r\na={direction}\r\n",
            10_000 + session % 20_000 * 2
        );
        ("application/sdp".to_owned(), text)
    }
}

impl Side {
    fn other(self) -> Self {
        match self {
            Self::Caller => Self::Callee,
            Self::Callee => Self::Caller,
        }
    }
}

impl End {
    fn new(wire: &mut Wire<'_>, party: &Party<'_>) -> Self {
        let name = match party.name {
            "" => format!("<sip:{}>", party.address),
            name => format!("\"{name}\" <sip:{}>", party.address),
        };
        let contact = match party.contact {
            "" => format!("sip:{}", party.host),
            user => format!("sip:{user}@{}", party.host),
        };
        let sdp = (wire.random.u32(1000..1_000_000), 0);
        Self { host: party.host, name, tag: wire.token(), contact, cseq: 0, sdp }
    }
}

/// A body and its type.
type Body = (String, String);

/// Ends the header lines, and adds the body.
fn finish(text: &mut String, body: Option<&Body>) {
    let (kind, content) = body.map_or(("", ""), |(kind, content)| (kind, content));
    if !kind.is_empty() {
        let _ = write!(text, "Content-Type: {kind}\r\n");
    }
    let _ = write!(text, "Content-Length: {}\r\n\r\n{content}", content.len());
}

/// The branch of a new transaction.
fn branch(wire: &mut Wire<'_>) -> String {
    format!("z9hG4bK{}", wire.token())
}
