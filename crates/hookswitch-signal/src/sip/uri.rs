use std::borrow::Cow;
use std::fmt;

use super::{Malformed, lossy, percent_decode};
use crate::byte_set::ByteSet;

/// A SIP, SIPS or TEL URI and its parts; any other is kept as it is.
///
/// Two are equal when their bytes are, which is stricter than RFC 3261 §19.1.4.
#[derive(Clone, Copy)]
pub struct Uri<'a> {
    raw: &'a [u8],
    scheme: Scheme<'a>,
    user: Option<&'a [u8]>,
    host: &'a [u8],
    port: Option<u16>,
    params: &'a [u8],
    headers: &'a [u8],
}

/// Scheme of a URI, before its first colon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme<'a> {
    /// RFC 3261 §19.1.
    Sip,
    /// RFC 3261 §19.1, over TLS.
    Sips,
    /// A telephone number, RFC 3966.
    Tel,
    /// Any other, as spelled.
    Other(&'a [u8]),
}

impl<'a> Uri<'a> {
    /// Reads a URI that stands alone, without brackets or white space around it.
    ///
    /// # Errors
    /// Says where white space, a control byte, a bracket, an empty host or a bad port stands.
    pub fn parse(raw: &'a [u8]) -> Result<Self, Malformed> {
        match FORBIDDEN.find(raw, 0) {
            at if at < raw.len() => Err(Malformed { at }),
            _ => Self::parse_clean(raw),
        }
    }

    /// As [`Uri::parse`], of bytes that are known to hold none that is [`FORBIDDEN`].
    pub(super) fn parse_clean(raw: &'a [u8]) -> Result<Self, Malformed> {
        let (scheme, at) = split_scheme(raw)?;
        match scheme {
            Scheme::Sip | Scheme::Sips => Self::parse_sip(raw, scheme, at),
            Scheme::Tel => Self::parse_tel(raw, at),
            Scheme::Other(_) if at == raw.len() => Err(Malformed { at }),
            Scheme::Other(_) => {
                Ok(Self { raw, scheme, user: None, host: &[], port: None, params: &[], headers: &[] })
            }
        }
    }

    /// Gives the whole URI as it stands in the message.
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.raw
    }

    /// Gives the scheme.
    pub const fn scheme(&self) -> Scheme<'a> {
        self.scheme
    }

    /// Gives the user part as it stands, without the password: with escapes, and with parameters
    /// such as `;phone-context`. Of a TEL URI, the number with its visual separators.
    ///
    /// `None` when it is absent or empty, and for other schemes.
    pub const fn user(&self) -> Option<&'a [u8]> {
        self.user
    }

    /// Gives the user part without its percent-encoding; invalid UTF-8 becomes U+FFFD.
    pub fn user_decoded(&self) -> Option<Cow<'a, str>> {
        self.user.map(|user| match percent_decode(user) {
            Cow::Borrowed(user) => lossy(user),
            Cow::Owned(user) => Cow::Owned(lossy(&user).into_owned()),
        })
    }

    /// Gives the user part as a number would be dialled: decoded, without the parameters that
    /// follow a `;` and without the visual separators `-` `.` `(` `)` (RFC 3966 §5.1.1).
    ///
    /// A user that is no number (anything but digits, `+`, `*`, `#`, `A` to `D`) is `None`.
    pub fn number(&self) -> Option<Cow<'a, str>> {
        let user = self.user?;
        if user.iter().all(u8::is_ascii_digit) {
            return std::str::from_utf8(user).ok().map(Cow::Borrowed);
        }
        let decoded = self.user_decoded()?;
        let separator = |c: char| matches!(c, '-' | '.' | '(' | ')' | ' ');
        let digits = decoded.split(';').next().unwrap_or_default();
        let is_number = digits.bytes().any(|byte| byte.is_ascii_digit() || matches!(byte, b'*' | b'#'))
            && digits.char_indices().all(|(at, c)| {
                matches!(c, '0'..='9' | '*' | '#' | 'A'..='D' | 'a'..='d')
                    || separator(c)
                    || (c == '+' && at == 0)
            });
        if !is_number {
            return None;
        }
        if digits.contains(separator) {
            return Some(Cow::Owned(digits.replace(separator, "")));
        }
        let length = digits.len();
        Some(match decoded {
            Cow::Borrowed(text) => Cow::Borrowed(&text[..length]),
            Cow::Owned(mut text) => {
                text.truncate(length);
                Cow::Owned(text)
            }
        })
    }

    /// Gives the host as it stands, an IPv6 address with its brackets. Empty for TEL and other schemes.
    pub const fn host(&self) -> &'a [u8] {
        self.host
    }

    /// Gives the host, an IPv6 address without its brackets.
    pub const fn host_unbracketed(&self) -> &'a [u8] {
        unbracketed(self.host)
    }

    /// Gives the port, if the URI names one.
    pub const fn port(&self) -> Option<u16> {
        self.port
    }

    /// Gives the parameters, as they stand.
    pub fn params(&self) -> impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)> + use<'a> {
        pairs(self.params, b';')
    }

    /// Finds a parameter by name, in any case; a flag has the empty value.
    pub fn param(&self, name: &str) -> Option<&'a [u8]> {
        find(self.params(), name)
    }

    /// Gives the phone-context of a local number (RFC 3966 §5.1.5), from a TEL URI or from the user
    /// part of a SIP URI that was made from one (RFC 3261 §19.1.6).
    pub fn phone_context(&self) -> Option<&'a [u8]> {
        let user = self.user.unwrap_or_default();
        let of_user = memchr::memchr(b';', user).map_or(&[][..], |at| &user[at + 1..]);
        self.param("phone-context").or_else(|| find(pairs(of_user, b';'), "phone-context"))
    }

    /// Gives the part behind the `?`, as it stands: headers for the request the URI will be used in.
    pub const fn headers(&self) -> &'a [u8] {
        self.headers
    }

    /// Finds one of those headers by name, in any case, and undoes its percent-encoding.
    pub fn header(&self, name: &str) -> Option<Cow<'a, [u8]>> {
        pairs(self.headers, b'&')
            .find(|(key, _)| percent_decode(key).eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| percent_decode(value.unwrap_or_default()))
    }

    fn parse_sip(raw: &'a [u8], scheme: Scheme<'a>, start: usize) -> Result<Self, Malformed> {
        // A raw `@` is allowed nowhere behind the user part, so the first one ends it.
        let user_end = USER_END.find(raw, start);
        let at_sign = if raw.get(user_end) == Some(&b':') { AT_SIGN.find(raw, user_end) } else { user_end };
        let (user, host_start) = if at_sign < raw.len() {
            (Some(&raw[start..user_end]).filter(|user| !user.is_empty()), at_sign + 1)
        } else {
            (None, start)
        };
        let (host, port, at) = host_port(raw, host_start)?;
        let rest = &raw[at..];
        if rest.is_empty() {
            return Ok(Self { raw, scheme, user, host, port, params: &[], headers: &[] });
        }
        let (params, headers) = match memchr::memchr(b'?', rest) {
            Some(mark) => (&rest[..mark], &rest[mark + 1..]),
            None => (rest, &[][..]),
        };
        let params = match params {
            [] => params,
            [b';', params @ ..] => params,
            _ => return Err(Malformed { at }),
        };
        Ok(Self { raw, scheme, user, host, port, params, headers })
    }

    fn parse_tel(raw: &'a [u8], start: usize) -> Result<Self, Malformed> {
        let rest = &raw[start..];
        let (number, params) = match memchr::memchr(b';', rest) {
            Some(semicolon) => (&rest[..semicolon], &rest[semicolon + 1..]),
            None => (rest, &[][..]),
        };
        if number.is_empty() {
            return Err(Malformed { at: start });
        }
        let (params, headers) = match memchr::memchr(b'?', params) {
            Some(mark) => (&params[..mark], &params[mark + 1..]),
            None => (params, &[][..]),
        };
        Ok(Self { raw, scheme: Scheme::Tel, user: Some(number), host: &[], port: None, params, headers })
    }
}

impl PartialEq for Uri<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.raw == other.raw
    }
}

impl Eq for Uri<'_> {}

impl fmt::Debug for Uri<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Uri({})", lossy(self.raw))
    }
}

impl fmt::Display for Uri<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&lossy(self.raw))
    }
}

/// Reads `host` or `host:port` at `at`: the host, the port and where they end.
///
/// A name is any run of bytes that are no separators, because user agents are given odd ones; an
/// IPv6 address has brackets (RFC 5118 §4.2) and is not looked into, since some are written with one
/// colon too many (§4.10).
#[inline]
pub(super) fn host_port(raw: &[u8], start: usize) -> Result<(&[u8], Option<u16>, usize), Malformed> {
    let mut at = HOST_END.find(raw, start);
    if at == start {
        at = address_end(raw, start).ok_or(Malformed { at: start })?;
    }
    let host = &raw[start..at];
    if raw.get(at) != Some(&b':') {
        return Ok((host, None, at));
    }
    let (port, end) = port_number(raw, at + 1)?;
    Ok((host, port, end))
}

/// Finds the end of an IPv6 address in brackets.
#[cold]
fn address_end(raw: &[u8], start: usize) -> Option<usize> {
    let rest = raw.get(start..)?.strip_prefix(b"[")?;
    let length = memchr::memchr(b']', rest)?;
    let in_address = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b':' | b'.' | b'%');
    (length > 0 && rest[..length].iter().all(in_address)).then_some(start + length + 2)
}

/// Reads the digits at `start`, if there are any, as a port: the port and where they end.
#[inline]
pub(super) fn port_number(raw: &[u8], start: usize) -> Result<(Option<u16>, usize), Malformed> {
    let mut at = start;
    let mut number = 0_u32;
    while let Some(digit @ b'0'..=b'9') = raw.get(at) {
        // What is beyond the range stays so.
        number = (number * 10 + u32::from(digit - b'0')).min(u32::from(u16::MAX) + 1);
        at += 1;
    }
    match u16::try_from(number) {
        _ if at == start => Ok((None, at)),
        Ok(port) => Ok((Some(port), at)),
        Err(_) => Err(Malformed { at: start }),
    }
}

/// Takes the brackets off an IPv6 address.
pub(super) const fn unbracketed(host: &[u8]) -> &[u8] {
    match host {
        [b'[', address @ .., b']'] => address,
        _ => host,
    }
}

/// End of a URI's user part, or of its password.
const USER_END: ByteSet<2> = ByteSet::of(b"@:");

const AT_SIGN: ByteSet<1> = ByteSet::of(b"@");

/// End of a host that is no IPv6 address.
const HOST_END: ByteSet<11> = ByteSet::controls_and(b":;?@,/[]\"=&");

/// Bytes that stand in no URI: white space, controls and angle brackets.
pub(super) const FORBIDDEN: ByteSet<3> = ByteSet::controls_and(b"<>\x7f");

/// Splits off the scheme: what it is, and where the rest starts.
#[inline]
fn split_scheme(raw: &[u8]) -> Result<(Scheme<'_>, usize), Malformed> {
    if let [b's', b'i', b'p', b':', ..] = raw {
        return Ok((Scheme::Sip, 4));
    }
    if let [a, b, c, d, rest @ ..] = raw {
        match [a | 0x20, b | 0x20, c | 0x20, d | 0x20] {
            // `:` and 0x1a share their lower bits, so the colon is asked for by itself.
            [b's', b'i', b'p', _] if *d == b':' => return Ok((Scheme::Sip, 4)),
            [b't', b'e', b'l', _] if *d == b':' => return Ok((Scheme::Tel, 4)),
            [b's', b'i', b'p', b's'] if rest.first() == Some(&b':') => {
                return Ok((Scheme::Sips, 5));
            }
            _ => {}
        }
    }
    let mut at = 0;
    loop {
        match raw.get(at) {
            Some(b':') if at > 0 => return Ok((Scheme::Other(&raw[..at]), at + 1)),
            Some(byte) if byte.is_ascii_alphabetic() => {}
            Some(byte) if at > 0 && (byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b'.')) => {}
            _ => return Err(Malformed { at }),
        }
        at += 1;
    }
}

/// Splits `name=value` pairs.
fn pairs(bytes: &[u8], separator: u8) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
    bytes.split(move |&byte| byte == separator).filter(|pair| !pair.is_empty()).map(|pair| {
        match memchr::memchr(b'=', pair) {
            Some(equals) => (&pair[..equals], Some(&pair[equals + 1..])),
            None => (pair, None),
        }
    })
}

fn find<'a>(mut pairs: impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)>, name: &str) -> Option<&'a [u8]> {
    pairs
        .find(|(key, _)| key.eq_ignore_ascii_case(name.as_bytes()))
        .map(|(_, value)| value.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(text: &str) -> Uri<'_> {
        Uri::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_sip_uri_has_a_user_a_host_and_a_port() {
        let all = uri("SIPS:nora:secret@[2001:db8::1]:5061;transport=tcp;lr?Subject=a%20b&X=");
        assert_eq!(all.scheme(), Scheme::Sips);
        assert_eq!(all.user(), Some(&b"nora"[..]));
        assert_eq!(all.host(), b"[2001:db8::1]");
        assert_eq!(all.port(), Some(5061));
        assert_eq!(all.param("Transport"), Some(&b"tcp"[..]));
        assert_eq!(all.param("lr"), Some(&b""[..]));
        assert_eq!(all.params().count(), 2);
        assert_eq!(all.header("subject").as_deref(), Some(&b"a b"[..]));
        assert_eq!(all.header("none"), None);
        let host = uri("sip:pbx.north.example");
        assert_eq!((host.user(), host.host(), host.port()), (None, &b"pbx.north.example"[..], None));
        assert_eq!(uri("sip:@x").user(), None);
    }

    #[test]
    fn a_tel_uri_has_a_number_and_a_context() {
        let tel = uri("tel:7031-(55).0;phone-context=+49-30;ext=2");
        assert_eq!(tel.user(), Some(&b"7031-(55).0"[..]));
        assert_eq!(tel.number().as_deref(), Some("7031550"));
        assert_eq!(tel.phone_context(), Some(&b"+49-30"[..]));
        assert_eq!(tel.host(), b"");
        let sip = uri("sip:+4930-555;phone-context=north@gate.example;user=phone");
        assert_eq!(sip.number().as_deref(), Some("+4930555"));
        assert_eq!(sip.phone_context(), Some(&b"north"[..]));
    }

    #[test]
    fn only_what_can_be_dialled_is_a_number() {
        for (text, number) in [
            ("sip:%2B49305@x", Some("+49305")),
            ("sip:*72@x", Some("*72")),
            ("sip:nora@x", None),
            ("sip:4+9@x", None),
            ("sip:-@x", None),
            ("sip:x", None),
        ] {
            assert_eq!(uri(text).number().as_deref(), number, "{text}");
        }
    }

    #[test]
    fn damage_says_where_it_is() {
        for (text, at) in [
            ("", 0),
            ("nora", 4),
            ("sip:", 4),
            ("sip:nora@", 9),
            ("sip:a@b c", 7),
            ("sip:a@b:99999", 8),
            ("sip:a@[::1", 6),
            ("sip:a@[]", 6),
            ("sip:a@b@c", 7),
            ("<sip:a@b>", 0),
            ("tel:", 4),
            ("urn:", 4),
            ("1a:b", 0),
        ] {
            assert_eq!(Uri::parse(text.as_bytes()), Err(Malformed { at }), "{text}");
        }
    }
}
