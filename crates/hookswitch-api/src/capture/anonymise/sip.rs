//! A SIP message, with what a reader of calls needs and nothing else.

use std::fmt::Write as _;

use super::Anonymiser;

/// Headers that say what a message is about and name nobody.
const KEPT: [&str; 14] = [
    "cseq",
    "max-forwards",
    "expires",
    "privacy",
    "event",
    "subscription-state",
    "session-expires",
    "min-se",
    "require",
    "supported",
    "allow",
    "rseq",
    "rack",
    "retry-after",
];

/// Headers with addresses.
const ADDRESSES: [&str; 15] = [
    "from",
    "to",
    "contact",
    "refer-to",
    "referred-by",
    "p-asserted-identity",
    "p-preferred-identity",
    "remote-party-id",
    "diversion",
    "history-info",
    "route",
    "record-route",
    "path",
    "p-associated-uri",
    "p-called-party-id",
];

/// Parameters whose values say how and not who.
const PLAIN: [&str; 24] = [
    "q",
    "expires",
    "privacy",
    "screen",
    "party",
    "counter",
    "index",
    "cause",
    "reason",
    "limit",
    "method",
    "lr",
    "isfocus",
    "transport",
    "user",
    "ttl",
    "ob",
    "refresher",
    "automaton",
    "rport",
    "early-only",
    "duration",
    "events",
    "id-type",
];

/// Parameters whose values are ids.
const IDS: [&str; 7] = ["tag", "branch", "to-tag", "from-tag", "gr", "+sip.instance", "epid"];

/// The short forms of headers (RFC 3261 §7.3.3 and others).
fn full(name: &str) -> &str {
    match name {
        "v" => "via",
        "f" => "from",
        "t" => "to",
        "i" => "call-id",
        "m" => "contact",
        "l" => "content-length",
        "c" => "content-type",
        "k" => "supported",
        "r" => "refer-to",
        "b" => "referred-by",
        "o" => "event",
        "x" => "session-expires",
        name => name,
    }
}

/// Writes a message anew.
pub(super) fn message(all: &mut Anonymiser, bytes: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(bytes);
    let end = text.find("\r\n\r\n").map(|at| (at, 4)).or_else(|| text.find("\n\n").map(|at| (at, 2)));
    let (head, body) = match end {
        Some((at, length)) => (&text[..at], &text[at + length..]),
        None => (&*text, ""),
    };
    let mut lines = head.split('\n').map(|line| line.trim_end_matches('\r'));
    let mut out = start_line(all, lines.next().unwrap_or_default());
    let mut headers: Vec<(String, String)> = Vec::new();
    for line in lines {
        if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = headers.last_mut() {
                value.push(' ');
                value.push_str(line.trim());
            }
        } else if let Some((name, value)) = line.split_once(':') {
            headers.push((name.trim().to_owned(), value.trim().to_owned()));
        }
    }
    let content_type = headers
        .iter()
        .find(|(name, _)| full(&name.to_ascii_lowercase()) == "content-type")
        .map(|(_, value)| value.to_ascii_lowercase());
    for (name, value) in &headers {
        if let Some(value) = header(all, &name.to_ascii_lowercase(), value) {
            let _ = write!(out, "\r\n{name}: {value}");
        }
    }
    let (kind, body) = content(all, content_type.as_deref().unwrap_or_default(), body);
    if let Some(kind) = kind {
        let _ = write!(out, "\r\nContent-Type: {kind}");
    }
    let _ = write!(out, "\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    out.into_bytes()
}

fn start_line(all: &mut Anonymiser, line: &str) -> String {
    let mut words = line.split_ascii_whitespace();
    let (first, second) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    if first.to_ascii_uppercase().starts_with("SIP/") {
        return format!("{first} {second} {}", phrase(second));
    }
    format!("{first} {} SIP/2.0", uri(all, second))
}

/// The usual phrase of a status: what a server says there may be anything.
fn phrase(status: &str) -> &'static str {
    match status {
        "100" => "Trying",
        "180" => "Ringing",
        "181" => "Call Is Being Forwarded",
        "182" => "Queued",
        "183" => "Session Progress",
        "200" => "OK",
        "202" => "Accepted",
        "302" => "Moved Temporarily",
        "401" => "Unauthorized",
        "403" => "Forbidden",
        "404" => "Not Found",
        "407" => "Proxy Authentication Required",
        "480" => "Temporarily Unavailable",
        "486" => "Busy Here",
        "487" => "Request Terminated",
        "603" => "Decline",
        _ => "Other",
    }
}

/// The value of a header; none if it is left out.
fn header(all: &mut Anonymiser, name: &str, value: &str) -> Option<String> {
    let name = full(name);
    if KEPT.contains(&name) {
        return Some(value.to_owned());
    }
    if ADDRESSES.contains(&name) {
        return Some(addresses(all, value));
    }
    Some(match name {
        "via" => split(value, ',').into_iter().map(|via| self::via(all, via)).collect::<Vec<_>>().join(", "),
        // X-CID joins legs; of other headers without a standard the names alone may tell whose they are.
        "call-id" | "user-to-user" | "x-cid" => all.word(value),
        "replaces" | "join" | "target-dialog" => dialog(all, value),
        "session-id" => session_id(all, value),
        "reason" => reason(value),
        // The product alone: versions and serial numbers are of somebody.
        "server" | "user-agent" => product(value),
        _ => return None,
    })
}

fn product(value: &str) -> String {
    let name: String = value.chars().take_while(char::is_ascii_alphabetic).take(20).collect();
    if name.is_empty() { "Product".to_owned() } else { name }
}

/// Protocol and cause; the text may be anything.
fn reason(value: &str) -> String {
    let parts = value.split(';').map(str::trim);
    let kept = parts.filter(|part| !part.to_ascii_lowercase().starts_with("text"));
    kept.collect::<Vec<_>>().join(";")
}

fn session_id(all: &mut Anonymiser, value: &str) -> String {
    let (own, rest) = value.split_once(';').unwrap_or((value, ""));
    let remote = rest.split(';').find_map(|part| part.trim().strip_prefix("remote="));
    let own = all.hex(own.trim());
    remote.map_or_else(|| own.clone(), |remote| format!("{own};remote={}", all.hex(remote.trim())))
}

/// A dialog (RFC 3891 §6.1).
fn dialog(all: &mut Anonymiser, value: &str) -> String {
    let (id, rest) = value.split_once(';').unwrap_or((value, ""));
    format!("{}{}", all.word(id.trim()), parameters(all, rest))
}

fn via(all: &mut Anonymiser, value: &str) -> String {
    let value = value.trim();
    let (sent, rest) = value.split_once(';').unwrap_or((value, ""));
    let (protocol, by) = sent.trim().rsplit_once([' ', '\t']).unwrap_or(("SIP/2.0/UDP", sent));
    let by = all.host_port(by.trim());
    let mut made = format!("{} {by}", protocol.trim());
    for part in rest.split(';').map(str::trim).filter(|part| !part.is_empty()) {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        match &*name.to_ascii_lowercase() {
            "received" | "maddr" => {
                let _ = write!(made, ";{name}={}", all.host(value));
            }
            // The cookie says that the branch is unique (RFC 3261 §8.1.1.7).
            "branch" => match value.strip_prefix("z9hG4bK") {
                Some(rest) => {
                    let _ = write!(made, ";branch=z9hG4bK{}", all.word(rest));
                }
                None => {
                    let _ = write!(made, ";branch={}", all.word(value));
                }
            },
            _ => made.push_str(&parameters(all, part)),
        }
    }
    made
}

/// Splits at a sign that stands neither in quotes nor in brackets.
fn split(text: &str, sign: char) -> Vec<&str> {
    let (mut parts, mut from, mut quoted, mut depth, mut escaped) = (Vec::new(), 0, false, 0_i32, false);
    for (at, character) in text.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '<' if !quoted => depth += 1,
            '>' if !quoted => depth -= 1,
            _ if character == sign && !quoted && depth <= 0 => {
                parts.push(&text[from..at]);
                from = at + character.len_utf8();
            }
            _ => {}
        }
    }
    parts.push(&text[from..]);
    parts
}

/// Addresses with commas between them.
fn addresses(all: &mut Anonymiser, value: &str) -> String {
    split(value, ',').into_iter().map(|one| address(all, one.trim())).collect::<Vec<_>>().join(", ")
}

fn address(all: &mut Anonymiser, value: &str) -> String {
    if value == "*" {
        return value.to_owned();
    }
    let parts = split(value, ';');
    let (first, rest) = parts.split_first().map_or((value, &[][..]), |(first, rest)| (*first, rest));
    let rest = rest.join(";");
    let Some((name, bracketed)) = bracket(first) else {
        // Without brackets what follows belongs to the header (RFC 3261 §20.10).
        return format!("{}{}", uri(all, first.trim()), parameters(all, &rest));
    };
    let name = name.trim();
    let shown = name.strip_prefix('"').and_then(|name| name.strip_suffix('"')).unwrap_or(name);
    let shown = shown.replace("\\\"", "\"").replace("\\\\", "\\");
    let shown = if shown.is_empty() { String::new() } else { format!("\"{}\" ", all.name(&shown)) };
    format!("{shown}<{}>{}", uri(all, bracketed), parameters(all, &rest))
}

/// The text before a bracket that is not quoted, and what stands in the brackets.
fn bracket(text: &str) -> Option<(&str, &str)> {
    let (mut quoted, mut escaped) = (false, false);
    for (at, character) in text.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '<' if !quoted => {
                let inside = &text[at + 1..];
                return Some((&text[..at], inside.rfind('>').map_or(inside, |end| &inside[..end])));
            }
            _ => {}
        }
    }
    None
}

/// Parameters with a semicolon before each; those that nobody reads are left out.
fn parameters(all: &mut Anonymiser, text: &str) -> String {
    let mut made = String::new();
    for part in split(text, ';').into_iter().map(str::trim).filter(|part| !part.is_empty()) {
        let (name, value) = part.split_once('=').map_or((part, None), |(name, value)| (name, Some(value)));
        let key = name.trim().to_ascii_lowercase();
        let plain =
            |value: &str| value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.\"".contains(&byte));
        match value {
            None if PLAIN.contains(&&*key) => {
                let _ = write!(made, ";{name}");
            }
            Some(value) if PLAIN.contains(&&*key) && plain(value) => {
                let _ = write!(made, ";{name}={value}");
            }
            Some(value) if IDS.contains(&&*key) => {
                let _ = write!(made, ";{name}={}", all.word(value.trim_matches('"')));
            }
            Some(value) if key == "target" => {
                let target = decoded(value);
                let _ = write!(made, ";{name}={}", encoded(&uri(all, &target)));
            }
            Some(value) if key == "phone-context" => {
                let _ = write!(made, ";{name}={}", context(all, value));
            }
            _ => {}
        }
    }
    made
}

fn context(all: &mut Anonymiser, value: &str) -> String {
    if value.starts_with('+') { value.to_owned() } else { all.host(value) }
}

/// An address of SIP or of the telephone network.
fn uri(all: &mut Anonymiser, text: &str) -> String {
    let Some((scheme, rest)) = text.split_once(':') else { return all.host(text) };
    let lower = scheme.to_ascii_lowercase();
    let (rest, headers) = rest.split_once('?').unwrap_or((rest, ""));
    if lower == "tel" {
        let (number, parts) = rest.split_once(';').unwrap_or((rest, ""));
        return format!("{scheme}:{}{}", all.user(number), parameters(all, parts));
    }
    if lower != "sip" && lower != "sips" {
        return format!("{scheme}:{}", all.word(rest));
    }
    let (user, place) = match rest.rsplit_once('@') {
        Some((user, place)) => (Some(user), place),
        None => (None, rest),
    };
    let (place, parts) = place.split_once(';').unwrap_or((place, ""));
    let mut made = format!("{scheme}:");
    if let Some(user) = user {
        let (user, of_user) = user.split_once(';').unwrap_or((user, ""));
        let name = user.split(':').next().unwrap_or_default(); // a password may stand behind it
        let name = all.user(&decoded(name));
        let _ = write!(made, "{}{}@", encoded_user(&name), parameters(all, of_user));
    }
    made.push_str(&all.host_port(place));
    made.push_str(&parameters(all, parts));
    let mut sign = '?';
    for header in headers.split('&').filter(|header| !header.is_empty()) {
        let (name, value) = header.split_once('=').unwrap_or((header, ""));
        let value = decoded(value);
        let value = match &*name.to_ascii_lowercase() {
            "replaces" | "join" => dialog(all, &value),
            "reason" => reason(&value),
            "privacy" | "require" => value,
            _ => continue,
        };
        let _ = write!(made, "{sign}{name}={}", encoded(&value));
        sign = '&';
    }
    made
}

/// Undoes percent-encoding.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let digits = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        if let Some(byte) = byte.filter(|_| *first == b'%') {
            bytes.push(byte);
            rest = &after[2..];
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn encoded(text: &str) -> String {
    percent(text, b"-_.!~*'()/[]$+")
}

fn encoded_user(text: &str) -> String {
    percent(text, b"-_.!~*'()&=+$,;?/")
}

fn percent(text: &str, plain: &[u8]) -> String {
    let mut made = String::with_capacity(text.len());
    for &byte in text.as_bytes() {
        if byte.is_ascii_alphanumeric() || plain.contains(&byte) {
            made.push(char::from(byte));
        } else {
            let _ = write!(made, "%{byte:02X}");
        }
    }
    made
}

/// A body: what is offered, or how a transfer goes. Others are left out.
fn content(all: &mut Anonymiser, kind: &str, body: &str) -> (Option<&'static str>, String) {
    if kind.starts_with("message/sipfrag") {
        let line = body.lines().next().unwrap_or_default();
        let status = line.split_ascii_whitespace().nth(1).unwrap_or_default();
        return (Some("message/sipfrag"), format!("SIP/2.0 {status} {}\r\n", phrase(status)));
    }
    let description = if kind.starts_with("application/sdp") {
        Some(body)
    } else if kind.starts_with("multipart/") {
        body.find("v=0").map(|at| &body[at..])
    } else {
        None
    };
    match description {
        Some(description) => (Some("application/sdp"), sdp(all, description)),
        None => (None, String::new()),
    }
}

/// Returns where media go and whether they flow (RFC 8866).
fn sdp(all: &mut Anonymiser, text: &str) -> String {
    let mut made = String::new();
    for line in text.lines().map(str::trim_end) {
        let Some((kind, value)) = line.split_once('=') else {
            // The end of a part of several.
            if line.starts_with("--") {
                break;
            }
            continue;
        };
        let value = match kind {
            "v" => "0".to_owned(),
            "s" => "-".to_owned(),
            "t" => "0 0".to_owned(),
            "o" => origin(all, value),
            "c" => connection(all, value),
            "m" => value.to_owned(),
            "a" if ["sendrecv", "sendonly", "recvonly", "inactive"].contains(&value) => value.to_owned(),
            "a" if value.starts_with("rtpmap:") || value.starts_with("T38FaxVersion:") => value.to_owned(),
            _ => continue,
        };
        let _ = write!(made, "{kind}={value}\r\n");
    }
    made
}

fn origin(all: &mut Anonymiser, value: &str) -> String {
    let words: Vec<&str> = value.split_ascii_whitespace().collect();
    let [_, id, version, net, kind, host] = words[..] else { return "- 0 0 IN IP4 0.0.0.0".to_owned() };
    // That a version is another is what counts (RFC 3264 §8).
    let id = all.hash("sdp", id, 0) % 10_000_000_000;
    let version = all.hash("sdp", version, 1) % 10_000_000_000;
    format!("- {id} {version} {net} {kind} {}", bare(all, host))
}

fn connection(all: &mut Anonymiser, value: &str) -> String {
    match value.split_ascii_whitespace().collect::<Vec<_>>()[..] {
        [net, kind, host] => {
            let host = host.split('/').next().unwrap_or_default();
            format!("{net} {kind} {}", bare(all, host))
        }
        _ => "IN IP4 0.0.0.0".to_owned(),
    }
}

/// A host without the brackets of a URI.
fn bare(all: &mut Anonymiser, host: &str) -> String {
    all.host(host).trim_matches(['[', ']']).to_owned()
}
