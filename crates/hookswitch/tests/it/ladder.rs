//! A call flow written as a ladder, in text, and the events that it must give.
//!
//! Each line is one message: a time in seconds, who sends, who receives, and the method or status.
//! The harness writes the real SIP message, with the Via stack, tags, CSeq and SDP that those hosts
//! would write, and sends it through the reader, the tracker and the session machine.
//!
//! ```text
//! 0.000 alice > proxy INVITE 102      an INVITE of a host that no INVITE has reached opens a call
//! 0.010 proxy > bob   INVITE 102@bob  one that an INVITE has reached passes it on
//! 1.000 bob > proxy   180             a response goes back the way of its request
//! ```
//!
//! Options follow as `name=value`: `call` (a further Call-ID), `from` and `name` (who the From header
//! shows), `to` (the To header's user), `tag` (the answering side's tag), `sdp` (`sendrecv`,
//! `sendonly`, `recvonly`, `inactive`, `zero`, `late`, `none`, `same`), `for` (the method that a
//! response is to), `hidden` (only the top Via is shown), `hep` (the correlation id of the capture
//! agent), `in` (in the dialog). What follows `|` are further header lines.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use hookswitch_core::directory::Directory;
use hookswitch_core::engine::{Engine, Policy};
use hookswitch_model::{AccountId, ClockId, Direction, Event, InputRef, StatusCode, Timestamp};
use hookswitch_signal::capture::{Captured, Transport};
use hookswitch_signal::sip::Message;
use hookswitch_signal::tracker::Tracker;

/// 2023-11-14T22:13:20Z, when every ladder begins.
const START_MICROS: i64 = 1_700_000_000_000_000;

/// Whose the calls are that no directory assigns.
const ACCOUNT: AccountId = AccountId::new(310_001_016);

/// One message on the wire.
#[derive(Clone, Debug)]
pub(crate) struct Packet {
    pub(crate) at_micros: i64,
    src: SocketAddr,
    dst: SocketAddr,
    correlation: Option<String>,
    payload: Vec<u8>,
}

/// A call flow.
pub(crate) struct Ladder {
    text: String,
    pub(crate) packets: Vec<Packet>,
}

/// Reads a ladder; the people in it have the numbers that it says.
pub(crate) fn ladder(text: &str) -> Ladder {
    Ladder::in_world(text, 0)
}

impl Ladder {
    /// Reads a ladder in which From and To have this host.
    pub(crate) fn with_domain(text: &str, domain: &str) -> Self {
        Self::written_by(text, Writer { domain: Some(domain.to_owned()), ..Writer::default() })
    }

    /// Reads a ladder as it goes in a laboratory, where all hosts share one address and differ in
    /// their ports.
    fn in_laboratory(text: &str) -> Self {
        Self::written_by(text, Writer { laboratory: true, ..Writer::default() })
    }

    /// Reads a ladder as it would go between other people: each world has phones, numbers and
    /// Call-IDs of its own, and shares the proxies, the PBX and the trunk with the others.
    pub(crate) fn in_world(text: &str, world: u8) -> Self {
        Self::written_by(text, Writer { world, ..Writer::default() })
    }

    fn written_by(text: &str, mut writer: Writer) -> Self {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        Self { text: text.to_owned(), packets: lines.map(|line| writer.line(line)).collect() }
    }

    /// Asserts the events, written as [`written`] does; and that they stay the same when every message
    /// is sent twice, and where all hosts share one address.
    #[track_caller]
    pub(crate) fn tells(&self, expected: &str) {
        let expected: Vec<&str> = expected.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let events = run(&self.packets);
        let told = written(&events);
        assert!(told == expected, "\n{}", side_by_side(&expected, &told));
        let twice: Vec<Packet> =
            self.packets.iter().flat_map(|packet| [packet.clone(), packet.clone()]).collect();
        assert_eq!(written(&run(&twice)), expected, "with every message sent twice");
        let told = written(&run(&Self::in_laboratory(&self.text).packets));
        assert!(told == expected, "where all hosts share one address\n{}", side_by_side(&expected, &told));
    }
}

fn side_by_side(expected: &[&str], told: &[String]) -> String {
    let mut text = format!("{:<50} | told\n", "expected");
    for row in 0..expected.len().max(told.len()) {
        let want = expected.get(row).copied().unwrap_or("");
        let got = told.get(row).map_or("", String::as_str);
        let mark = if want == got { ' ' } else { '!' };
        let _ = writeln!(text, "{mark}{want:<49} | {got}");
    }
    text
}

/// Sends packets through the product, and checks what must hold for every list of events.
pub(crate) fn run(packets: &[Packet]) -> Vec<Event> {
    run_with(Directory::built_in(ACCOUNT), packets)
}

/// The same with a directory.
pub(crate) fn run_with(directory: Directory, packets: &[Packet]) -> Vec<Event> {
    let mut tracker = Tracker::new(ACCOUNT, 0);
    let mut engine = Engine::new(directory, Policy::default());
    let mut signals = Vec::new();
    let mut events = Vec::new();
    for (number, packet) in packets.iter().enumerate() {
        let message = Message::parse(&packet.payload).unwrap_or_else(|error| {
            panic!("{error}: {}", String::from_utf8_lossy(&packet.payload));
        });
        let captured = Captured {
            time: Timestamp::from_micros(packet.at_micros),
            transport: Transport::Udp,
            src: packet.src,
            dst: packet.dst,
            packet: number as u64 + 1,
            correlation: packet.correlation.as_deref().map(str::as_bytes),
            payload: &packet.payload,
        };
        let input = InputRef { source: 0, number: number as u64 + 1 };
        engine.handle_time(ClockId::default(), captured.time);
        tracker.handle(&message, &captured, input, &mut signals);
        for signal in signals.drain(..) {
            engine.handle_signal(ClockId::default(), &signal);
        }
        events.extend(std::iter::from_fn(|| engine.poll_event()));
    }
    engine.finish();
    events.extend(std::iter::from_fn(|| engine.poll_event()));

    let counters = tracker.counters();
    let sum =
        counters.retransmissions + counters.in_call + counters.no_call + counters.stray + counters.refused;
    assert_eq!(counters.messages, sum, "{counters:?}");
    let counters = engine.counters();
    assert_eq!(counters.signals, counters.applied + counters.without_leg + counters.refused, "{counters:?}");
    assert_eq!(counters.sessions, counters.closed + engine.open_sessions() as u64, "{counters:?}");
    assert_eq!(counters.events, events.len() as u64);
    hold_together(&events);
    events
}

/// What holds for the events of every session, whatever happened (contract events §5).
fn hold_together(events: &[Event]) {
    let mut last = HashMap::new();
    let mut ended = HashMap::new();
    for event in events {
        let (sequence, at) = last.entry(event.session.id).or_insert((1, event.at));
        assert_eq!(event.sequence, *sequence + 1, "sequences have no gap");
        assert!(*at <= event.at, "time does not run back in a session");
        (*sequence, *at) = (event.sequence, event.at);
        let over = matches!(event.party.status.code, StatusCode::Disconnected | StatusCode::Gone);
        assert!(!ended.insert(event.party.id, over).unwrap_or(false), "a party that ended changes no more");
        assert_ne!(event.causes.iter().next(), Some(InputRef::default()), "an event has a cause");
    }
}

/// Each event on a line: seconds since the ladder's beginning, direction, party, status, and where
/// there is one the reason and `missed`. From the second session on, its number stands before.
pub(crate) fn written(events: &[Event]) -> Vec<String> {
    let mut sessions = Vec::new();
    events
        .iter()
        .map(|event| {
            let session = sessions.iter().position(|id| *id == event.session.id).unwrap_or_else(|| {
                sessions.push(event.session.id);
                sessions.len() - 1
            });
            let party = &event.party;
            let (direction, side) = match party.direction {
                Direction::Outbound => ("out", &party.from),
                Direction::Inbound => ("inb", &party.to),
            };
            let who = side.phone_number.as_deref().or(side.name.as_deref()).unwrap_or("-");
            let micros = event.at.as_micros() - START_MICROS;
            let mut line = String::new();
            if session > 0 {
                let _ = write!(line, "#{} ", session + 1);
            }
            let _ = write!(
                line,
                "{}.{:03} {direction} {who} {}",
                micros / 1_000_000,
                micros / 1000 % 1000,
                party.status.code
            );
            if let Some(reason) = party.status.reason {
                let _ = write!(line, "/{}", reason.as_str());
            }
            if party.missed_call {
                line.push_str(" missed");
            }
            line
        })
        .collect()
}

/// A SIP call as its hosts know it.
#[derive(Default)]
struct Call {
    name: String,
    /// The host that opened it, and whom it called.
    caller: String,
    from: String,
    from_tag: String,
    to: String,
    invite_cseq: u32,
    /// Requests that are on their way or were answered, the newest last.
    transactions: Vec<Transaction>,
    /// Hosts that answer, and their tags, in the order in which they appeared.
    tags: Vec<(String, String)>,
    /// The tag of the dialog that was answered.
    dialog: Option<String>,
    /// CSeq and SDP version of each host.
    cseqs: HashMap<String, u32>,
    bodies: HashMap<String, (u32, &'static str)>,
}

#[derive(Clone)]
struct Transaction {
    from: String,
    to: String,
    method: String,
    cseq: u32,
    vias: Vec<String>,
    request_uri: String,
    /// The host that wrote the message, and not passed it on.
    origin: String,
    /// Who sent the request first: the From header is theirs.
    by: Party,
    tag: Option<String>,
    /// The tags that responses carried here, by status.
    seen: HashMap<String, String>,
    finished: bool,
}

/// The two sides of a call.
#[derive(Clone, PartialEq)]
enum Party {
    Caller,
    Callee(String),
}

#[derive(Default)]
struct Writer {
    world: u8,
    laboratory: bool,
    /// The host in From and To, where it is not `example.com`.
    domain: Option<String>,
    calls: HashMap<String, Call>,
    branches: u32,
}

struct Options<'a> {
    named: HashMap<&'a str, &'a str>,
    headers: Vec<&'a str>,
}

impl Writer {
    fn line(&mut self, line: &str) -> Packet {
        let (line, headers) = match line.split_once('|') {
            Some((line, headers)) => (line, headers.split('|').map(str::trim).collect()),
            None => (line, Vec::new()),
        };
        let mut words = Vec::new();
        let mut named = HashMap::new();
        for word in line.split_whitespace() {
            match word.split_once('=') {
                Some((name, value)) => drop(named.insert(name, value)),
                None => words.push(word),
            }
        }
        let [at, from, ">", to, what, rest @ ..] = words.as_slice() else {
            panic!("not a line of a ladder: {line}");
        };
        let options = Options { named, headers };
        let seconds: f64 = at.parse().expect("seconds");
        let payload = if what.bytes().all(|byte| byte.is_ascii_digit()) {
            self.response(from, to, what, &options)
        } else {
            self.request(from, to, what, rest.first().copied(), &options)
        };
        #[expect(clippy::cast_possible_truncation, reason = "a ladder lasts hours, not centuries")]
        let at_micros = START_MICROS + (seconds * 1e6).round() as i64;
        Packet {
            at_micros,
            src: self.address(from),
            dst: self.address(to),
            correlation: options.named.get("hep").map(|&id| id.to_owned()),
            payload,
        }
    }

    /// Phones live in their world, everything else is shared. A name may say its port.
    fn address(&self, host: &str) -> SocketAddr {
        let (name, port) =
            host.split_once(':').map_or((host, 5060), |(name, port)| (name, port.parse().expect("a port")));
        let (net, last) = match name {
            "alice" => (self.world, 1),
            "bob" => (self.world, 2),
            "carol" => (self.world, 3),
            "dave" => (self.world, 4),
            "mallory" => (self.world, 66),
            "proxy" => (200, 10),
            "proxy2" => (200, 11),
            "proxy3" => (200, 12),
            "pbx" => (200, 20),
            "trunk" => (200, 30),
            _ => panic!("no host is called {name}"),
        };
        if self.laboratory {
            return SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port + 100 * u16::from(last));
        }
        SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, net, last)), port)
    }

    /// A number or user of this world.
    fn user(&self, user: &str) -> String {
        match user.as_bytes() {
            _ if self.world == 0 || user == "anonymous" => user.to_owned(),
            [b'+', ..] => format!("+1{}{}", 300 + u32::from(self.world), user.get(5..).unwrap_or_default()),
            [b'0'..=b'9', ..] => format!("{}{user}", self.world),
            _ => format!("{user}{}", self.world),
        }
    }

    fn owner(host: &str) -> (&'static str, &'static str) {
        match host.split(':').next().unwrap_or(host) {
            "alice" => ("101", "Alice"),
            "bob" => ("102", "Bob"),
            "carol" => ("103", "Carol"),
            "dave" => ("104", "Dave"),
            "trunk" => ("+14155550100", ""),
            _ => ("100", ""),
        }
    }

    fn via(&mut self, host: &str) -> String {
        self.branches += 1;
        format!("SIP/2.0/UDP {};branch=z9hG4bK-{}-{}", self.address(host), self.world, self.branches)
    }

    fn request(
        &mut self,
        from: &str,
        to: &str,
        method: &str,
        target: Option<&str>,
        options: &Options<'_>,
    ) -> Vec<u8> {
        let name = options.named.get("call").copied().unwrap_or("1").to_owned();
        let mut call = self.calls.remove(&name).unwrap_or_default();
        call.name.clone_from(&name);
        let address = self.address(to);
        let request_uri = target.map(|target| match target.split_once('@') {
            Some((user, host)) if host.contains('.') => format!("sip:{}@{host}", self.user(user)),
            Some((user, host)) => format!("sip:{}@{}", self.user(user), self.address(host)),
            None if target.contains(':') => target.to_owned(),
            None => format!("sip:{}@{}", self.user(target), address.ip()),
        });
        let arrived = call.transactions.iter().rposition(|known| {
            known.to == from && known.method == method && (method != "INVITE" || !known.finished)
        });
        let matches = |known: &Transaction| known.from == from && known.to == to && known.method == "INVITE";
        let invite = call.transactions.iter().rposition(matches);

        let mut sent = match (method, invite, arrived) {
            ("CANCEL", Some(invite), _) => {
                // The CANCEL of a hop is made there, from its INVITE (RFC 3261 §9.1).
                let known = &call.transactions[invite];
                let vias = known.vias.first().cloned().into_iter().collect();
                Transaction {
                    method: method.to_owned(),
                    vias,
                    seen: HashMap::new(),
                    finished: false,
                    ..known.clone()
                }
            }
            ("ACK", Some(invite), _) if call.transactions[invite].finished && call.dialog.is_none() => {
                let known = &call.transactions[invite];
                Transaction {
                    method: method.to_owned(),
                    tag: known.seen.values().last().cloned(),
                    ..known.clone()
                }
            }
            (_, _, Some(arrived)) => {
                let known = &call.transactions[arrived];
                let mut vias = vec![self.via(from)];
                vias.extend(known.vias.iter().cloned());
                Transaction {
                    from: from.to_owned(),
                    to: to.to_owned(),
                    vias,
                    request_uri: known.request_uri.clone(),
                    seen: HashMap::new(),
                    finished: false,
                    ..known.clone()
                }
            }
            _ => self.own_request(&mut call, from, to, method, request_uri.as_deref(), options),
        };
        if let Some(uri) = request_uri {
            sent.request_uri = uri;
        }
        if options.named.contains_key("hidden") {
            sent.vias.truncate(1);
        }
        if let Some(cseq) = options.named.get("cseq") {
            sent.cseq = cseq.parse().expect("a CSeq");
        }
        if let Some(tag) = options.named.get("tag") {
            sent.tag = Some((*tag).to_owned());
        }
        let default = if method == "INVITE" { "sendrecv" } else { "none" };
        let origin = match &sent.by {
            Party::Caller => call.caller.clone(),
            Party::Callee(tag) => tag.clone(),
        };
        let body = self.body(&mut call, &origin, from, options, default);
        let message = self.message(
            &format!("{} {} SIP/2.0", sent.method, sent.request_uri),
            &call,
            &sent,
            sent.tag.as_deref(),
            options,
            &body,
        );
        if !matches!(method, "ACK") {
            call.transactions.push(sent);
        }
        self.calls.insert(name, call);
        message
    }

    /// A request that begins at this host.
    fn own_request(
        &mut self,
        call: &mut Call,
        from: &str,
        to: &str,
        method: &str,
        request_uri: Option<&str>,
        options: &Options<'_>,
    ) -> Transaction {
        let uri = request_uri.map(str::to_owned);
        if call.caller.is_empty() {
            from.clone_into(&mut call.caller);
            let (number, display) = Self::owner(from);
            let number = options.named.get("from").copied().unwrap_or(number);
            let display = options.named.get("name").copied().unwrap_or(display).replace('_', " ");
            let domain = self.domain.as_deref().unwrap_or("example.com");
            let host = if number == "anonymous" { "anonymous.invalid" } else { domain };
            let number = self.user(number);
            call.from = match display.as_str() {
                "" => format!("<sip:{number}@{host}>"),
                _ => format!("\"{display}\" <sip:{number}@{host}>"),
            };
            call.from_tag = format!("from-{}-{}", self.world, call.name);
            let user = uri.as_deref().and_then(|uri| uri.strip_prefix("sip:")?.split('@').next());
            let user = options.named.get("to").map(|user| self.user(user)).or(user.map(str::to_owned));
            call.to = match (user, &uri) {
                (Some(user), _) => format!("<sip:{user}@{domain}>"),
                (None, Some(uri)) => format!("<{uri}>"),
                (None, None) => "<sip:example.com>".to_owned(),
            };
        }
        let own = call.tags.iter().find(|(host, _)| host == from).map(|(_, tag)| tag.clone());
        let by = match own {
            Some(tag) if from != call.caller => {
                Party::Callee(options.named.get("tag").map_or(tag, |&tag| tag.to_owned()))
            }
            _ => Party::Caller,
        };
        let in_dialog = method != "INVITE" || options.named.contains_key("in") || call.dialog.is_some();
        let tag = in_dialog
            .then(|| call.dialog.clone().or_else(|| call.tags.last().map(|(_, tag)| tag.clone())))
            .flatten();
        let side = if by == Party::Caller { "caller" } else { "callee" };
        let last = call.cseqs.entry(side.to_owned()).or_insert(0);
        let cseq = if method == "ACK" {
            *last
        } else {
            *last += 1;
            *last
        };
        if method == "INVITE" {
            call.invite_cseq = cseq;
        }
        Transaction {
            from: from.to_owned(),
            to: to.to_owned(),
            origin: from.to_owned(),
            method: method.to_owned(),
            cseq: if method == "ACK" { call.invite_cseq } else { cseq },
            vias: vec![self.via(from)],
            request_uri: uri.unwrap_or_else(|| format!("sip:contact@{}", self.address(to))),
            by,
            tag,
            seen: HashMap::new(),
            finished: false,
        }
    }

    fn response(&mut self, from: &str, to: &str, status: &str, options: &Options<'_>) -> Vec<u8> {
        let name = options.named.get("call").copied().unwrap_or("1").to_owned();
        let mut call = self.calls.remove(&name).unwrap_or_else(|| panic!("no call {name} to respond to"));
        let method = options.named.get("for").copied();
        let answers = |known: &Transaction| {
            known.from == to && known.to == from && method.is_none_or(|method| known.method == method)
        };
        let open = call
            .transactions
            .iter()
            .rposition(|known| answers(known) && (!known.finished || options.named.contains_key("again")));
        let at = open.unwrap_or_else(|| panic!("{from} has no request of {to} to answer with {status}"));
        // A response that was passed on keeps its tag.
        let method = call.transactions[at].method.clone();
        let passed = call.transactions.iter().rev().find_map(|known| {
            (known.from == from && known.method == method).then(|| known.seen.get(status).cloned()).flatten()
        });
        let tag = match (options.named.get("tag"), passed, &call.transactions[at].tag) {
            (Some(&tag), ..) => Some(tag.to_owned()),
            (None, Some(tag), _) => Some(tag),
            (None, None, Some(tag)) => Some(tag.clone()),
            _ if status == "100" => None,
            _ => Some(format!("{}-{}", from.replace(':', "-"), self.world)),
        };
        if let Some(tag) = &tag {
            if !call.tags.iter().any(|(_, known)| known == tag) {
                call.tags.push((from.to_owned(), tag.clone()));
            }
            call.transactions[at].seen.insert(status.to_owned(), tag.clone());
        }
        if !status.starts_with('1') {
            call.transactions[at].finished = true;
        }
        if status.starts_with('2') && method == "INVITE" {
            call.dialog.clone_from(&tag);
        }
        let mut sent = call.transactions[at].clone();
        let owner = call.tags.iter().find(|(_, known)| Some(known) == tag.as_ref());
        sent.origin = owner.map_or(from.to_owned(), |(host, _)| host.clone());
        let default = if status == "200" && matches!(method.as_str(), "INVITE" | "UPDATE") {
            "sendrecv"
        } else {
            "none"
        };
        let body = self.body(&mut call, tag.as_deref().unwrap_or(from), from, options, default);
        let message =
            self.message(&format!("SIP/2.0 {status} Status"), &call, &sent, tag.as_deref(), options, &body);
        self.calls.insert(name, call);
        message
    }

    fn body(
        &self,
        call: &mut Call,
        origin: &str,
        host: &str,
        options: &Options<'_>,
        default: &'static str,
    ) -> String {
        let (mut version, last) = call.bodies.get(origin).copied().unwrap_or((0, "sendrecv"));
        let wanted = match options.named.get("sdp").copied().unwrap_or(default) {
            "none" | "late" => return String::new(),
            "same" => last,
            "sendonly" => "sendonly",
            "recvonly" => "recvonly",
            "inactive" => "inactive",
            "zero" => "zero",
            "sendrecv" => "sendrecv",
            other => panic!("no sdp={other}"),
        };
        if options.named.get("sdp") != Some(&"same") {
            version += 1;
        }
        call.bodies.insert(origin.to_owned(), (version, wanted));
        let address = self.address(host).ip();
        let (connection, direction) =
            if wanted == "zero" { ("0.0.0.0".to_owned(), "sendrecv") } else { (address.to_string(), wanted) };
        format!(
            "v=0\r\no=- 42 {version} IN IP4 {address}\r\ns=-\r\nc=IN IP4 {connection}\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\na={direction}\r\n"
        )
    }

    fn message(
        &self,
        start: &str,
        call: &Call,
        sent: &Transaction,
        tag: Option<&str>,
        options: &Options<'_>,
        body: &str,
    ) -> Vec<u8> {
        let to = |tag: Option<&str>| tag.map_or(call.to.clone(), |tag| format!("{};tag={tag}", call.to));
        let (from, to) = match &sent.by {
            Party::Caller => (format!("{};tag={}", call.from, call.from_tag), to(tag)),
            Party::Callee(own) => (to(Some(own)), format!("{};tag={}", call.from, call.from_tag)),
        };
        let mut text = format!("{start}\r\n");
        for via in &sent.vias {
            let _ = write!(text, "Via: {via}\r\n");
        }
        let _ = write!(
            text,
            "Max-Forwards: 70\r\nFrom: {from}\r\nTo: {to}\r\nCall-ID: {}-{}@example.com\r\nCSeq: {} {}\r\n",
            call.name, self.world, sent.cseq, sent.method
        );
        let agent = if start.starts_with("SIP/2.0") { "Server" } else { "User-Agent" };
        let _ = write!(text, "{agent}: {}\r\n", sent.origin);
        for header in &options.headers {
            let _ = write!(text, "{}\r\n", header.replace("{bob}", &self.address("bob").to_string()));
        }
        if !body.is_empty() {
            text.push_str("Content-Type: application/sdp\r\n");
        }
        let _ = write!(text, "Content-Length: {}\r\n\r\n{body}", body.len());
        text.into_bytes()
    }
}
