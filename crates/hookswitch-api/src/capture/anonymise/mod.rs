//! Other names, numbers, hosts and addresses in place of those of a capture: each the same everywhere, and
//! nobody can tell which it was.
//!
//! What identifies people is collected first, from the places where it stands; then all texts are written
//! anew, so that what stands there once is replaced wherever it stands. Of SIP only what a reader of calls
//! needs is kept: other headers, other bodies and all that authenticates is left out.

pub(super) mod directory;
mod posted;
mod sip;

use std::collections::{BTreeMap, BTreeSet};
use std::hash::Hasher as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::Context as _;
use hookswitch_server::secret;
use hookswitch_signal::switch::Replacements;
use siphasher::sip128::{Hasher128 as _, SipHasher13};

use super::select::{Chosen, Kind, Message};

/// Number of digits of a number that are replaced: those of a subscriber. What stands before them is the plan.
const SUBSCRIBER_DIGITS: usize = 7;

/// The fewest digits of a number with a plan; shorter ones are numbers of a switch.
const NATIONAL_DIGITS_MIN: usize = 7;

/// Users and names that are nobody: also what the machine itself calls a conference, and what a FreeSWITCH
/// shows for no number.
const NOBODY: [&str; 11] = [
    "",
    "anonymous",
    "unknown",
    "unavailable",
    "restricted",
    "<unknown>",
    "s",
    "h",
    "invalid",
    "conference",
    "0000000000",
];

/// The replacements of one capture.
#[derive(Debug)]
pub(super) struct Anonymiser {
    /// Random, so that no replacement can be looked up.
    key: (u64, u64),
    /// All that was replaced while the texts were read first, and so must not be made.
    originals: BTreeSet<String>,
    /// Short numbers and the ends of long ones.
    numbers: BTreeMap<String, String>,
    names: BTreeMap<String, String>,
    /// Users, hosts, endpoints and ids, each whole.
    words: BTreeMap<String, String>,
    taken: BTreeSet<String>,
    /// Beginnings of the feature codes of the directory.
    codes: Vec<String>,
}

impl Anonymiser {
    /// Collects what is to be replaced in some inputs and a directory.
    ///
    /// # Errors
    /// If there are no random numbers, or the directory is none.
    pub(super) fn for_inputs(chosen: &Chosen, directory: Option<&str>) -> anyhow::Result<Self> {
        let key = secret::random::<16>().context("make a key")?;
        let (one, two) = key.split_at(8);
        let half = |bytes: &[u8]| bytes.try_into().map_or(0, u64::from_ne_bytes);
        Self::with_key((half(one), half(two)), chosen, directory)
    }

    fn with_key(key: (u64, u64), chosen: &Chosen, directory: Option<&str>) -> anyhow::Result<Self> {
        let mut first = Self::empty(key, BTreeSet::new(), directory);
        first.rewrite(chosen, directory)?;
        let originals: BTreeSet<String> =
            [first.numbers, first.names, first.words].into_iter().flat_map(BTreeMap::into_keys).collect();
        // The second time nothing is made that is there.
        let mut second = Self::empty(key, originals, directory);
        second.rewrite(chosen, directory)?;
        Ok(second)
    }

    fn empty(key: (u64, u64), originals: BTreeSet<String>, directory: Option<&str>) -> Self {
        Self {
            key,
            originals,
            numbers: BTreeMap::new(),
            names: BTreeMap::new(),
            words: BTreeMap::new(),
            taken: BTreeSet::new(),
            codes: directory.map(directory::codes).unwrap_or_default(),
        }
    }

    /// The inputs and the directory with all replaced.
    ///
    /// # Errors
    /// If one cannot be read.
    pub(super) fn apply(
        &self,
        chosen: &Chosen,
        directory: Option<&str>,
    ) -> anyhow::Result<(Chosen, Option<String>)> {
        let mut again = Self {
            key: self.key,
            originals: self.originals.clone(),
            numbers: self.numbers.clone(),
            names: self.names.clone(),
            words: self.words.clone(),
            taken: self.taken.clone(),
            codes: self.codes.clone(),
        };
        again.rewrite(chosen, directory)
    }

    fn rewrite(
        &mut self,
        chosen: &Chosen,
        directory: Option<&str>,
    ) -> anyhow::Result<(Chosen, Option<String>)> {
        let mut written = Vec::with_capacity(chosen.0.len());
        for message in &chosen.0 {
            let (body, kind) = match &message.kind {
                Kind::Sip { agent, transport, src, dst, correlation } => {
                    let correlation =
                        correlation.as_deref().map(|id| self.word(&String::from_utf8_lossy(id)).into_bytes());
                    let (src, dst) = (self.socket(*src), self.socket(*dst));
                    let kind = Kind::Sip { agent: *agent, transport: *transport, src, dst, correlation };
                    (sip::message(self, &message.body), kind)
                }
                kind @ Kind::Switch(switch, _) => {
                    (switch.adapter().anonymise(&message.body, self), kind.clone())
                }
                Kind::Posted => (posted::signal(self, &message.body)?, Kind::Posted),
            };
            written.push(Message { at: message.at, body, kind });
        }
        let directory = directory.map(|text| directory::rewrite(self, text)).transpose()?;
        Ok((Chosen(written), directory))
    }

    fn hash(&self, what: &str, text: &str, round: u64) -> u128 {
        let mut hasher = SipHasher13::new_with_keys(self.key.0, self.key.1);
        hasher.write(what.as_bytes());
        hasher.write_u8(0xff);
        hasher.write(text.as_bytes());
        hasher.write_u64(round);
        hasher.finish128().as_u128()
    }

    /// A replacement that is none yet and no original, of those that `make` gives.
    fn fresh(&self, mut make: impl FnMut(u64) -> String) -> String {
        let good = |made: &String| !self.taken.contains(made) && !self.originals.contains(made);
        let made = (0..2000).map(&mut make).find(good);
        // A plan without a free number: one that is longer is free.
        made.unwrap_or_else(|| format!("{}{}", make(0), self.taken.len()))
    }

    /// So many digits, the first of them given if there are enough.
    fn digits(&mut self, text: &str, keep: usize) -> String {
        if let Some(known) = self.numbers.get(text) {
            return known.clone();
        }
        let (length, first) = (text.len(), &text[..keep]);
        let made = self.fresh(|round| {
            // A plan that is nearly full has room elsewhere.
            let first = if round < 500 { first } else { "" };
            let hash = self.hash("number", text, round);
            let rest = format!("{hash:039}");
            format!("{first}{}", &rest[rest.len() - (length - first.len())..])
        });
        self.taken.insert(made.clone());
        self.numbers.insert(text.to_owned(), made.clone());
        made
    }

    /// Another number of the same form: a code, a country and an area stay, the rest is replaced.
    fn number(&mut self, text: &str) -> String {
        let digits = text.strip_prefix('+').unwrap_or(text);
        let plus = if digits.len() < text.len() { "+" } else { "" };
        if digits.len() >= NATIONAL_DIGITS_MIN {
            let (plan, subscriber) = digits.split_at(digits.len() - SUBSCRIBER_DIGITS);
            return format!("{plus}{plan}{}", self.digits(subscriber, 0));
        }
        let keep = usize::from(digits.len() > 2);
        format!("{plus}{}", self.digits(digits, keep))
    }

    /// Another user: a number as a number, a code as a code, and any other as a word.
    fn user(&mut self, text: &str) -> String {
        if NOBODY.contains(&&*text.to_ascii_lowercase()) {
            return text.to_owned();
        }
        let is_number = |text: &str| {
            let digits = text.strip_prefix('+').unwrap_or(text);
            !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
        };
        if is_number(text) {
            return self.number(text);
        }
        let plain = text.trim_start_matches(['*', '#']);
        if plain.len() < text.len() {
            let code = self.code_len(text);
            // A code and whom it is about; a code alone is a service.
            for end in code..text.len() {
                let rest = &text[end..];
                if is_number(rest) && (self.numbers.contains_key(rest) || self.originals.contains(rest)) {
                    return format!("{}{}", &text[..end], self.number(rest));
                }
            }
            let rest = &text[code..];
            if is_number(rest) && rest.len() >= NATIONAL_DIGITS_MIN {
                return format!("{}{}", &text[..code], self.number(rest));
            }
            return text.to_owned();
        }
        self.word(text)
    }

    /// The length of the feature code that a text begins with.
    fn code_len(&self, text: &str) -> usize {
        let signs = text.len() - text.trim_start_matches(['*', '#']).len();
        let code = self.codes.iter().filter(|code| text.starts_with(&***code)).map(String::len).max();
        code.unwrap_or(signs).max(signs).min(text.len())
    }

    /// Another name; a number that stands for one stays a number.
    fn name(&mut self, text: &str) -> String {
        let trimmed = text.trim();
        let numeric = !trimmed.is_empty() && trimmed.bytes().all(|byte| b"+0123456789".contains(&byte));
        if numeric || NOBODY.contains(&&*trimmed.to_ascii_lowercase()) {
            return self.user(trimmed);
        }
        if let Some(known) = self.names.get(trimmed) {
            return known.clone();
        }
        let made = self.fresh(|round| format!("Person {}", letters(self.hash("name", trimmed, round), 4)));
        self.taken.insert(made.clone());
        self.names.insert(trimmed.to_owned(), made.clone());
        made
    }

    /// Another word in place of an id, a user, an endpoint.
    fn word(&mut self, text: &str) -> String {
        if text.is_empty() {
            return String::new();
        }
        if let Some(known) = self.words.get(text) {
            return known.clone();
        }
        let made = self.fresh(|round| letters(self.hash("word", text, round), 10));
        self.taken.insert(made.clone());
        self.words.insert(text.to_owned(), made.clone());
        made
    }

    /// Another 32 hexadecimal digits (RFC 7989).
    fn hex(&mut self, text: &str) -> String {
        if text.bytes().all(|byte| byte == b'0') {
            return text.to_owned(); // none yet
        }
        format!("{:032x}", self.hash("hex", text, 0))
    }

    /// Another host: an address as an address of the same networks, a name as a name.
    fn host(&mut self, text: &str) -> String {
        let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
        if let Ok(ip) = bare.parse::<IpAddr>() {
            let ip = self.ip(ip);
            return if bare.len() < text.len() || ip.is_ipv6() { format!("[{ip}]") } else { ip.to_string() };
        }
        if text.is_empty() || text.eq_ignore_ascii_case("anonymous.invalid") {
            return text.to_owned();
        }
        let key = text.to_ascii_lowercase();
        if let Some(known) = self.words.get(&key) {
            return known.clone();
        }
        let made = self.fresh(|round| format!("{}.invalid", letters(self.hash("host", &key, round), 8)));
        self.taken.insert(made.clone());
        self.words.insert(key, made.clone());
        made
    }

    /// A host with a port behind it, or without.
    fn host_port(&mut self, text: &str) -> String {
        if let Ok(socket) = text.parse::<SocketAddr>() {
            return self.socket(socket).to_string();
        }
        match text.rsplit_once(':') {
            Some((host, port))
                if !port.is_empty()
                    && port.bytes().all(|byte| byte.is_ascii_digit())
                    && text.parse::<Ipv6Addr>().is_err() =>
            {
                format!("{}:{port}", self.host(host))
            }
            _ => self.host(text),
        }
    }

    fn socket(&mut self, socket: SocketAddr) -> SocketAddr {
        SocketAddr::new(self.ip(socket.ip()), socket.port())
    }

    /// Another address; two of one network are in one network again, so that a directory's fit.
    fn ip(&mut self, ip: IpAddr) -> IpAddr {
        if ip.is_unspecified() {
            return ip; // a hold, or no address
        }
        let text = ip.to_string();
        if let Some(known) = self.words.get(&text) {
            return known.parse().unwrap_or(ip);
        }
        let made = (0..64)
            .map(|round| match ip {
                IpAddr::V4(ip) => {
                    IpAddr::V4(Ipv4Addr::from_bits(self.scramble(u128::from(ip.to_bits()), 32, round) as u32))
                }
                IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(self.scramble(ip.to_bits(), 128, round))),
            })
            .find(|made| !self.originals.contains(&made.to_string()) && !made.is_unspecified());
        let made = made.unwrap_or(ip);
        self.words.insert(text, made.to_string());
        made
    }

    /// Turns each bit by a hash of those before it (J. Xu et al., prefix-preserving anonymisation).
    fn scramble(&self, bits: u128, length: u32, round: u64) -> u128 {
        let mut made = 0;
        for index in 0..length {
            let place = length - 1 - index;
            let before = if index == 0 { 0 } else { bits >> (place + 1) };
            let turn = self.hash("bit", &format!("{index}/{before:x}"), round) & 1;
            made |= (((bits >> place) & 1) ^ turn) << place;
        }
        made
    }

    /// A text of no form that is known: what was collected elsewhere is replaced in it, and numbers are.
    fn free(&mut self, text: &str) -> String {
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"_+.".contains(&byte) || byte >= 0x80;
        let mut made = String::with_capacity(text.len());
        let mut rest = text;
        while !rest.is_empty() {
            let length = rest.bytes().take_while(|&byte| is_part(byte)).count();
            if length == 0 {
                let character = rest.chars().next().unwrap_or_default();
                made.push(character);
                rest = &rest[character.len_utf8()..];
                continue;
            }
            let (part, after) = rest.split_at(length);
            made.push_str(&self.part(part));
            rest = after;
        }
        made
    }

    fn part(&mut self, part: &str) -> String {
        let digits = part.strip_prefix('+').unwrap_or(part);
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        if let Some(known) = self.words.get(part).or_else(|| self.names.get(part)) {
            return known.clone();
        }
        if let Ok(ip) = part.parse::<IpAddr>() {
            return self.ip(ip).to_string();
        }
        let known = self.numbers.contains_key(digits) || self.originals.contains(digits);
        if is_number && (known || digits.len() >= NATIONAL_DIGITS_MIN) {
            return self.number(part);
        }
        part.to_owned()
    }

    /// Replaces a number that is shown.
    pub(super) fn shown_number(&self, text: &str) -> String {
        let digits = text.strip_prefix('+').unwrap_or(text);
        let plus = &text[..text.len() - digits.len()];
        if let Some(known) = self.numbers.get(digits) {
            return format!("{plus}{known}");
        }
        if text.starts_with(['*', '#']) {
            let ends = (self.code_len(text)..text.len()).filter(|&end| text.is_char_boundary(end));
            let known = ends.filter_map(|end| Some((end, self.numbers.get(&text[end..])?)));
            if let Some((end, known)) = known.min_by_key(|(end, _)| *end) {
                return format!("{}{known}", &text[..end]);
            }
        }
        let split = digits.is_char_boundary(digits.len().saturating_sub(SUBSCRIBER_DIGITS));
        if split && digits.len() >= SUBSCRIBER_DIGITS {
            let (plan, subscriber) = digits.split_at(digits.len() - SUBSCRIBER_DIGITS);
            if let Some(known) = self.numbers.get(subscriber) {
                return format!("{plus}{plan}{known}");
            }
        }
        self.words.get(text).cloned().unwrap_or_else(|| text.to_owned())
    }

    /// Replaces a name that is shown.
    pub(super) fn shown_name(&self, text: &str) -> String {
        self.names.get(text).cloned().unwrap_or_else(|| self.shown_number(text))
    }

    /// Returns the texts that must not be found any more in what is given.
    #[cfg(test)]
    fn originals(&self) -> impl Iterator<Item = &str> {
        self.originals.iter().map(String::as_str)
    }
}

impl Replacements for Anonymiser {
    fn user(&mut self, text: &str) -> String {
        self.user(text)
    }

    fn name(&mut self, text: &str) -> String {
        self.name(text)
    }

    fn word(&mut self, text: &str) -> String {
        self.word(text)
    }

    fn host(&mut self, text: &str) -> String {
        self.host(text)
    }

    fn host_port(&mut self, text: &str) -> String {
        self.host_port(text)
    }

    fn free(&mut self, text: &str) -> String {
        self.free(text)
    }

    fn ip(&mut self, ip: IpAddr) -> IpAddr {
        self.ip(ip)
    }

    fn is_original(&self, text: &str) -> bool {
        self.originals.contains(text)
    }
}

/// So many small letters.
fn letters(hash: u128, count: usize) -> String {
    let mut left = hash;
    let letter = |_| {
        let letter = char::from(b'a' + (left % 26) as u8);
        left /= 26;
        letter
    };
    (0..count).map(letter).collect()
}

#[cfg(test)]
mod tests;
