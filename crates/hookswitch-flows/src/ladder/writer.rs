//! Writes the SIP messages of a ladder, as its hosts would.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::{Packet, People, START_MICROS};

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

impl Call {
    /// Its dialog as a host has it: the Call-ID, the host's own tag and that of its peer.
    fn dialog_of(&self, host: &str, world: u8) -> (String, &str, &str) {
        let id = call_id(&self.name, world);
        if host == self.caller {
            let peer = self.dialog.as_deref().or(self.tags.last().map(|(_, tag)| tag.as_str()));
            return (id, &self.from_tag, peer.unwrap_or_default());
        }
        let own = self.tags.iter().rfind(|(owner, _)| owner == host);
        let (_, own) = own.unwrap_or_else(|| panic!("{host} has no dialog in call {}", self.name));
        (id, own, &self.from_tag)
    }
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
    /// Sender of the request: the From header is theirs.
    by: Side,
    tag: Option<String>,
    /// The tags that responses carried here, by status.
    seen: HashMap<String, String>,
    finished: bool,
    refused: bool,
}

/// The two sides of a call.
#[derive(Clone, PartialEq)]
enum Side {
    Caller,
    Callee(String),
}

/// Hosts and people of a ladder.
#[derive(Clone, Debug, Default)]
pub(super) struct Setting {
    pub(super) world: u8,
    /// All hosts share one address.
    pub(super) laboratory: bool,
    pub(super) people: People,
    /// The host in From and To, where it is not `example.com`.
    pub(super) domain: Option<String>,
}

pub(super) struct Writer {
    setting: Setting,
    calls: HashMap<String, Call>,
    branches: u32,
    /// The message that was written last.
    last: Vec<u8>,
}

struct Options<'a> {
    named: HashMap<&'a str, &'a str>,
    headers: Vec<&'a str>,
    body: Option<&'a str>,
}

impl<'a> Options<'a> {
    fn get(&self, name: &str) -> Option<&'a str> {
        self.named.get(name).copied()
    }

    fn has(&self, name: &str) -> bool {
        self.named.contains_key(name)
    }

    fn has_header(&self, name: &str) -> bool {
        self.headers.iter().any(|header| header.split(':').next() == Some(name))
    }
}

/// Somebody in a ladder: SIP user, display name and domain.
struct Person {
    user: &'static str,
    name: &'static str,
    domain: &'static str,
}

impl Writer {
    pub(super) fn new(setting: Setting) -> Self {
        Self { setting, calls: HashMap::new(), branches: 0, last: Vec::new() }
    }

    pub(super) fn line(&mut self, line: &str) -> Packet {
        let (rest, body) = match line.split_once("||") {
            Some((rest, body)) => (rest, Some(body.trim())),
            None => (line, None),
        };
        let (words, headers) = match rest.split_once('|') {
            Some((words, headers)) => (words, headers.split('|').map(str::trim).collect()),
            None => (rest, Vec::new()),
        };
        let mut positional = Vec::new();
        let mut named = HashMap::new();
        for word in words.split_whitespace() {
            match word.split_once('=') {
                Some((name, value)) if is_option(name) => drop(named.insert(name, value)),
                _ => positional.push(word),
            }
        }
        let [at, from, ">", to, what, target @ ..] = positional.as_slice() else {
            panic!("not a line of a ladder: {line}");
        };
        let options = Options { named, headers, body };
        let seconds: f64 = at.parse().expect("seconds");
        let payload = if *what == "COPY" {
            self.last.clone()
        } else if what.bytes().all(|byte| byte.is_ascii_digit()) {
            self.response(from, to, what, &options)
        } else {
            self.request(from, to, what, target.first().copied(), &options)
        };
        self.last.clone_from(&payload);
        #[expect(clippy::cast_possible_truncation, reason = "a ladder lasts hours, not centuries")]
        let at_micros = START_MICROS + (seconds * 1e6).round() as i64;
        Packet {
            at_micros,
            src: self.address(options.get("src").unwrap_or(from)),
            dst: self.address(options.get("dst").unwrap_or(to)),
            correlation: options.get("hep").map(|id| self.filled_in(id, &Call::default())),
            payload,
        }
    }

    /// Phones live in their world, everything else is shared. A name may say its port.
    fn address(&self, host: &str) -> SocketAddr {
        let (name, port) =
            host.split_once(':').map_or((host, 5060), |(name, port)| (name, port.parse().expect("a port")));
        let (net, last) = match name {
            "alice" => (self.setting.world, 1),
            "bob" => (self.setting.world, 2),
            "carol" => (self.setting.world, 3),
            "dave" => (self.setting.world, 4),
            "bill" => (self.setting.world, 5),
            "pc" => (self.setting.world, 6),
            "mallory" => (self.setting.world, 66),
            "proxy" => (200, 10),
            "proxy2" => (200, 11),
            "proxy3" => (200, 12),
            "redirect" => (200, 13),
            "alg" => (200, 14),
            "pbx" => (200, 20),
            "trunk" => (200, 30),
            "gateway" => (200, 31),
            "music" => (200, 40),
            "park" => (200, 41),
            "announcement" => (200, 42),
            "focus" => (200, 43),
            "mailbox" => (200, 44),
            "controller" => (200, 45),
            "recorder" => (200, 46),
            // The two sides of one session border controller.
            "sbc" => (200, 50),
            "inside" => (200, 51),
            _ => panic!("no host is called {name}"),
        };
        if self.setting.laboratory {
            return SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port + 100 * u16::from(last));
        }
        SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, net, last)), port)
    }

    /// A number or user of this world.
    fn user(&self, user: &str) -> String {
        match user.as_bytes() {
            _ if self.setting.world == 0 || user == "anonymous" => user.to_owned(),
            [b'+', ..] => {
                format!("+1{}{}", 300 + u32::from(self.setting.world), user.get(5..).unwrap_or_default())
            }
            [b'0'..=b'9', ..] => format!("{}{user}", self.setting.world),
            // A code, and behind it the number of this world.
            [b'*', ..] => {
                let number = user.trim_start_matches('*');
                format!("{}{}{number}", &user[..user.len() - number.len()], self.setting.world)
            }
            _ => format!("{user}{}", self.setting.world),
        }
    }

    fn person(&self, host: &str) -> Person {
        let host = host.split(':').next().unwrap_or(host);
        let (user, name, domain) = match (self.setting.people, host) {
            (People::Numbers, "alice") => ("101", "Alice", "example.com"),
            (People::Numbers, "bob") => ("102", "Bob", "example.com"),
            (People::Numbers, "carol") => ("103", "Carol", "example.com"),
            (People::Numbers, "dave") => ("104", "Dave", "example.com"),
            (People::Numbers, "bill") => ("105", "Bill", "example.com"),
            (People::Numbers, "trunk" | "gateway") => ("+14155550100", "", "example.com"),
            (People::Numbers, _) => ("100", "", "example.com"),
            (People::Names, "alice") => ("alice", "Alice", "atlanta.example.com"),
            (People::Names, "bob") => ("bob", "Bob", "biloxi.example.com"),
            (People::Names, "carol") => ("carol", "Carol", "chicago.example.com"),
            (People::Names, "bill") => ("bill", "Bill", "biloxi.example.com"),
            (People::Names, "music") => ("music", "Music Server", "server.example.com"),
            (People::Names, "park") => ("park", "Park Server", "server.example.com"),
            (People::Names, "pc") => ("", "", "pc.biloxi.example.com"),
            (People::Names, _) => ("", "", "example.com"),
        };
        Person { user, name, domain }
    }

    fn via(&mut self, host: &str) -> String {
        self.branches += 1;
        format!("SIP/2.0/UDP {};branch=z9hG4bK-{}-{}", self.address(host), self.setting.world, self.branches)
    }

    fn request_uri(&self, target: &str, to: &str) -> String {
        match target.split_once('@') {
            Some((user, host)) if host.contains('.') => format!("sip:{}@{host}", self.user(user)),
            Some((user, host)) => format!("sip:{}@{}", self.user(user), self.address(host)),
            None if target.contains(':') => target.to_owned(),
            None => format!("sip:{}@{}", self.user(target), self.address(to).ip()),
        }
    }

    fn request(
        &mut self,
        from: &str,
        to: &str,
        method: &str,
        target: Option<&str>,
        options: &Options<'_>,
    ) -> Vec<u8> {
        let name = options.get("call").unwrap_or("1").to_owned();
        let mut call = self.calls.remove(&name).unwrap_or_default();
        call.name.clone_from(&name);
        let request_uri = target.map(|target| self.request_uri(target, to));
        // What has arrived here and is not answered is passed on.
        let arrived = call.transactions.iter().rposition(|known| {
            known.to == from && known.method == method && (!known.finished || method == "ACK")
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
            ("ACK", Some(invite), _) if call.transactions[invite].refused => {
                // So is the ACK of a refusal (§17.1.1.3).
                let known = &call.transactions[invite];
                let refusal = known.seen.iter().filter(|(status, _)| status.as_str() >= "300");
                Transaction {
                    method: method.to_owned(),
                    tag: refusal.max_by_key(|(status, _)| *status).map(|(_, tag)| tag.clone()),
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
        if options.has("fresh") {
            call.from_tag.push_str("-next");
        }
        if options.has("hidden") {
            sent.vias.truncate(1);
        }
        if let Some(cseq) = options.get("cseq") {
            sent.cseq = cseq.parse().expect("a CSeq");
        }
        if let Some(tag) = options.get("tag") {
            sent.tag = Some(tag.to_owned());
        }
        let default = if method == "INVITE" { "sendrecv" } else { "none" };
        let origin = match &sent.by {
            Side::Caller => call.caller.clone(),
            Side::Callee(tag) => tag.clone(),
        };
        let sdp = self.sdp(&mut call, &origin, from, options, default);
        let message = self.message(
            &format!("{} {} SIP/2.0", sent.method, sent.request_uri),
            &call,
            &sent,
            sent.tag.as_deref(),
            options,
            sdp,
        );
        call.transactions.push(Transaction { finished: method == "ACK", ..sent });
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
            call.from = self.from(from, options);
            call.from_tag = format!("from-{}-{}", self.setting.world, call.name);
            call.to = self.to(uri.as_deref(), options);
        }
        let own = call.tags.iter().find(|(host, _)| host == from).map(|(_, tag)| tag.clone());
        let by = match own {
            Some(tag) if from != call.caller => Side::Callee(options.get("tag").map_or(tag, str::to_owned)),
            _ => Side::Caller,
        };
        let in_dialog = method != "INVITE" || options.has("in") || call.dialog.is_some();
        let tag = in_dialog
            .then(|| call.dialog.clone().or_else(|| call.tags.last().map(|(_, tag)| tag.clone())))
            .flatten();
        let side = if by == Side::Caller { "caller" } else { "callee" };
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
            refused: false,
        }
    }

    fn from(&self, host: &str, options: &Options<'_>) -> String {
        let person = self.person(host);
        let number = options.get("from").unwrap_or(person.user);
        let display = options.get("name").unwrap_or(person.name).replace('_', " ");
        let domain = match (number, &self.setting.domain) {
            ("anonymous", _) => "anonymous.invalid",
            (_, Some(domain)) => domain,
            (_, None) => person.domain,
        };
        let uri = match number.split_once('@') {
            Some((user, domain)) => format!("sip:{}@{domain}", self.user(user)),
            None if number.is_empty() => format!("sip:{domain}"),
            None => format!("sip:{}@{domain}", self.user(number)),
        };
        match display.as_str() {
            "" => format!("<{uri}>"),
            _ => format!("\"{display}\" <{uri}>"),
        }
    }

    fn to(&self, uri: Option<&str>, options: &Options<'_>) -> String {
        let domain = self.setting.domain.as_deref().unwrap_or("example.com");
        if let Some(to) = options.get("to") {
            return match to.split_once('@') {
                Some((user, domain)) => format!("<sip:{}@{domain}>", self.user(user)),
                None => format!("<sip:{}@{domain}>", self.user(to)),
            };
        }
        let Some(uri) = uri else { return "<sip:example.com>".to_owned() };
        match uri.strip_prefix("sip:").and_then(|uri| uri.split_once('@')) {
            Some((user, _)) if self.setting.people == People::Numbers => format!("<sip:{user}@{domain}>"),
            _ => format!("<{uri}>"),
        }
    }

    fn response(&mut self, from: &str, to: &str, status: &str, options: &Options<'_>) -> Vec<u8> {
        let name = options.get("call").unwrap_or("1").to_owned();
        let mut call = self.calls.remove(&name).unwrap_or_else(|| panic!("no call {name} to respond to"));
        let method = options.get("for");
        let answers = |known: &Transaction| {
            let wanted = method.map_or(known.method != "ACK", |method| known.method == method);
            known.from == to && known.to == from && wanted
        };
        let open = call
            .transactions
            .iter()
            .rposition(|known| answers(known) && (!known.finished || options.has("again")));
        let at = open.unwrap_or_else(|| panic!("{from} has no request of {to} to answer with {status}"));
        // A response that was passed on keeps its tag.
        let method = call.transactions[at].method.clone();
        let passed = call.transactions.iter().rev().find_map(|known| {
            (known.from == from && known.method == method).then(|| known.seen.get(status).cloned()).flatten()
        });
        let tag = match (options.get("tag"), passed, &call.transactions[at].tag) {
            (Some(tag), ..) => Some(tag.to_owned()),
            (None, Some(tag), _) => Some(tag),
            (None, None, Some(tag)) => Some(tag.clone()),
            _ if status == "100" => None,
            _ => Some(format!("{}-{}", from.replace(':', "-"), self.setting.world)),
        };
        if let Some(tag) = &tag {
            if !call.tags.iter().any(|(_, known)| known == tag) {
                call.tags.push((from.to_owned(), tag.clone()));
            }
            call.transactions[at].seen.insert(status.to_owned(), tag.clone());
        }
        if !status.starts_with('1') {
            call.transactions[at].finished = true;
            call.transactions[at].refused = !status.starts_with('2');
        }
        if status.starts_with('2') && method == "INVITE" {
            call.dialog.clone_from(&tag);
        }
        let mut sent = call.transactions[at].clone();
        let owner = call.tags.iter().find(|(_, known)| Some(known) == tag.as_ref());
        sent.origin = match &sent.by {
            Side::Caller => owner.map_or(from.to_owned(), |(host, _)| host.clone()),
            Side::Callee(_) => call.caller.clone(),
        };
        let default = if status == "200" && matches!(method.as_str(), "INVITE" | "UPDATE") {
            "sendrecv"
        } else {
            "none"
        };
        let sdp = self.sdp(&mut call, tag.as_deref().unwrap_or(from), from, options, default);
        let message =
            self.message(&format!("SIP/2.0 {status} Status"), &call, &sent, tag.as_deref(), options, sdp);
        self.calls.insert(name, call);
        message
    }

    fn sdp(
        &self,
        call: &mut Call,
        origin: &str,
        host: &str,
        options: &Options<'_>,
        default: &'static str,
    ) -> Option<String> {
        let (mut version, last) = call.bodies.get(origin).copied().unwrap_or((0, "sendrecv"));
        let wanted = match options.get("sdp").unwrap_or(default) {
            "none" | "late" => return None,
            "same" => last,
            "sendonly" => "sendonly",
            "recvonly" => "recvonly",
            "inactive" => "inactive",
            "zero" => "zero",
            "sendrecv" => "sendrecv",
            "t38" => "t38",
            other => panic!("no sdp={other}"),
        };
        if options.get("sdp") != Some("same") {
            version += 1;
        }
        call.bodies.insert(origin.to_owned(), (version, wanted));
        let address = self.address(options.get("media").unwrap_or(host)).ip();
        let connection = if wanted == "zero" { "0.0.0.0".to_owned() } else { address.to_string() };
        let media = match wanted {
            "t38" => "m=image 4002 udptl t38".to_owned(),
            "zero" => "m=audio 4000 RTP/AVP 0\r\na=sendrecv".to_owned(),
            direction => format!("m=audio 4000 RTP/AVP 0\r\na={direction}"),
        };
        Some(format!(
            "v=0\r\no=- 42 {version} IN IP4 {address}\r\ns=-\r\nc=IN IP4 {connection}\r\nt=0 0\r\n{media}\r\n"
        ))
    }

    fn message(
        &self,
        start: &str,
        call: &Call,
        sent: &Transaction,
        tag: Option<&str>,
        options: &Options<'_>,
        sdp: Option<String>,
    ) -> Vec<u8> {
        let to = |tag: Option<&str>| tag.map_or(call.to.clone(), |tag| format!("{};tag={tag}", call.to));
        let (from, to) = match &sent.by {
            Side::Caller => (format!("{};tag={}", call.from, call.from_tag), to(tag)),
            Side::Callee(own) => (to(Some(own)), format!("{};tag={}", call.from, call.from_tag)),
        };
        let mut text = format!("{start}\r\n");
        for via in &sent.vias {
            let _ = write!(text, "Via: {via}\r\n");
        }
        let _ = write!(
            text,
            "Max-Forwards: 70\r\nFrom: {from}\r\nTo: {to}\r\nCall-ID: {}\r\nCSeq: {} {}\r\n",
            call_id(&call.name, self.setting.world),
            sent.cseq,
            sent.method
        );
        let status = start.strip_prefix("SIP/2.0 ");
        let agent = if status.is_some() { "Server" } else { "User-Agent" };
        let _ = write!(text, "{agent}: {}\r\n", sent.origin);
        if has_contact(&sent.method, status) && !options.has_header("Contact") {
            let _ = write!(text, "Contact: {}\r\n", self.contact(&sent.origin, options));
        }
        for header in &options.headers {
            let _ = write!(text, "{}\r\n", self.filled_in(header, call));
        }
        let (kind, body) = self.body(call, options, sdp);
        if let Some(kind) = kind.filter(|_| !options.has_header("Content-Type")) {
            let _ = write!(text, "Content-Type: {kind}\r\n");
        }
        if let Some(status) = options.get("frag").filter(|_| !options.has_header("Event")) {
            let state = if status < "200" { "active;expires=60" } else { "terminated;reason=noresource" };
            let _ = write!(text, "Event: refer\r\nSubscription-State: {state}\r\n");
        }
        let _ = write!(text, "Content-Length: {}\r\n\r\n{body}", body.len());
        text.into_bytes()
    }

    fn contact(&self, host: &str, options: &Options<'_>) -> String {
        let user = options.get("contact").unwrap_or(self.person(host).user);
        let is_phone =
            matches!(host.split(':').next(), Some("alice" | "bob" | "carol" | "dave" | "bill" | "mallory"));
        let address = self.address(host);
        let features = options.get("features").map_or(String::new(), |features| format!(";{features}"));
        if options.has("contact") || (is_phone && !user.is_empty()) {
            return format!("<sip:{}@{address}>{features}", self.user(user));
        }
        format!("<sip:{address}>{features}")
    }

    /// The Content-Type and the body.
    fn body(
        &self,
        call: &Call,
        options: &Options<'_>,
        sdp: Option<String>,
    ) -> (Option<&'static str>, String) {
        if let Some(body) = options.body {
            return (Some("text/plain"), format!("{}\r\n", self.filled_in(body, call)));
        }
        if let Some(status) = options.get("frag") {
            return (Some("message/sipfrag;version=2.0"), format!("SIP/2.0 {status} Status\r\n"));
        }
        if let Some((state, dialog)) = options.get("dialog").and_then(|dialog| dialog.split_once(':')) {
            let (id, own, peer) = self.dialog(dialog, call);
            let info = format!(
                "<?xml version=\"1.0\"?>\r\n\
                 <dialog-info xmlns=\"urn:ietf:params:xml:ns:dialog-info\" version=\"0\" state=\"full\">\
                 <dialog id=\"1\" call-id=\"{id}\" local-tag=\"{own}\" remote-tag=\"{peer}\">\
                 <state>{state}</state></dialog></dialog-info>\r\n"
            );
            return (Some("application/dialog-info+xml"), info);
        }
        match sdp {
            Some(sdp) => (Some("application/sdp"), sdp),
            None => (None, String::new()),
        }
    }

    /// A text with what stands in braces replaced.
    fn filled_in(&self, text: &str, call: &Call) -> String {
        let mut filled = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}').expect("a closing brace");
            filled.push_str(before);
            let value = match name.split_once('=') {
                None => self.address(name).to_string(),
                Some(("user", user)) => self.user(user),
                Some((form, dialog)) => {
                    let (id, own, peer) = self.dialog(dialog, call);
                    match form {
                        "id" => id,
                        "wrong" => format!("{id};to-tag={}~;from-tag={peer}", &own[..own.len() - 1]),
                        "misspelt" => format!("~{};to-tag={own};from-tag={peer}", &id[1..]),
                        "replaces" => format!("{id};to-tag={own};from-tag={peer}"),
                        "escaped" => {
                            format!("{}%3Bto-tag%3D{own}%3Bfrom-tag%3D{peer}", id.replace('@', "%40"))
                        }
                        "target" => format!("{id};local-tag={own};remote-tag={peer}"),
                        other => panic!("no form of a dialog is called {other}"),
                    }
                }
            };
            filled.push_str(&value);
            rest = after;
        }
        filled.push_str(rest);
        filled
    }

    /// The dialog `1@bob`: call 1 as Bob has it. `call` is the one that is being written.
    fn dialog<'a>(&'a self, dialog: &str, call: &'a Call) -> (String, &'a str, &'a str) {
        let (name, host) = dialog.split_once('@').expect("a call and a host");
        let call = if name == call.name { call } else { &self.calls[name] };
        call.dialog_of(host, self.setting.world)
    }
}

/// Returns `true` if a word with this before its `=` is an option, and no URI with parameters.
fn is_option(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_lowercase())
}

/// The Call-ID of a call; that of `1/-b2b_1` is the one of call 1 with `-b2b_1` behind it.
fn call_id(name: &str, world: u8) -> String {
    let (name, behind) = name.split_once('/').unwrap_or((name, ""));
    format!("{name}-{world}@example.com{behind}")
}

/// Returns `true` if a message says where its sender can be reached (RFC 3261 §8.1.1.8, §12.1.1).
fn has_contact(method: &str, status: Option<&str>) -> bool {
    let creates_dialog = matches!(method, "INVITE" | "UPDATE" | "SUBSCRIBE" | "REFER");
    match status.map(|status| status.as_bytes()[0]) {
        None => creates_dialog || method == "NOTIFY",
        Some(b'1' | b'2') => creates_dialog && status.is_some_and(|status| !status.starts_with("100")),
        Some(_) => false,
    }
}
