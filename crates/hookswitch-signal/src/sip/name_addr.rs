use std::borrow::Cow;

use super::params::Params;
use super::text::{quoted_end, skip_space, trim, unescaped, unquoted};
use super::uri::FORBIDDEN;
use super::{Malformed, Uri};
use crate::byte_set::ByteSet;

/// A URI with the name to show for it and the parameters of the header: what stands in From, To,
/// Contact and their like (RFC 3261 §20.10).
#[derive(Clone, Copy, Debug)]
pub struct NameAddr<'a> {
    /// As it stands, with its quotes if it has any.
    display: &'a [u8],
    uri: Uri<'a>,
    params: &'a [u8],
    tag: Option<&'a [u8]>,
}

impl<'a> NameAddr<'a> {
    /// Reads one value, without a comma behind it.
    ///
    /// A name without quotes may hold anything but commas, semicolons and brackets, since phones
    /// send whatever was typed into them. In a URI without brackets a `;` starts the parameters of
    /// the header and a `?` is refused, because it could belong to either (RFC 3261 §20).
    pub fn parse(value: &'a [u8]) -> Result<Self, Malformed> {
        let start = skip_space(value, 0);
        match find_bracket(value, start)? {
            Some(open) => Self::parse_bracketed(value, start, open),
            None => Self::parse_bare(value, start),
        }
    }

    /// Gives the name to show: without quotes and escapes, invalid UTF-8 replaced, trimmed.
    ///
    /// `None` when it is absent or empty.
    pub fn display_name(&self) -> Option<Cow<'a, str>> {
        let name = match unescaped(unquoted(self.display)) {
            Cow::Borrowed(name) => Cow::Borrowed(name.trim()),
            Cow::Owned(name) => Cow::Owned(name.trim().to_owned()),
        };
        Some(name).filter(|name| !name.is_empty())
    }

    /// Gives the name as it stands in the message, with its quotes and escapes; empty when absent.
    pub const fn display_name_raw(&self) -> &'a [u8] {
        self.display
    }

    /// Gives the URI.
    pub const fn uri(&self) -> Uri<'a> {
        self.uri
    }

    /// Gives the parameters of the header, which are not those of the URI.
    pub const fn params(&self) -> Params<'a> {
        Params::new(self.params)
    }

    /// Finds a parameter of the header by name, in any case; a flag has the empty value.
    pub fn param(&self, name: &str) -> Option<&'a [u8]> {
        self.params().find(name)
    }

    /// Gives the tag that tells one end of a dialog (RFC 3261 §19.3); `None` when absent or empty.
    pub const fn tag(&self) -> Option<&'a [u8]> {
        self.tag
    }

    fn parse_bracketed(value: &'a [u8], start: usize, open: usize) -> Result<Self, Malformed> {
        let inner = open + 1;
        let close = FORBIDDEN.find(value, inner);
        if value.get(close) != Some(&b'>') {
            let at = if value[inner..].contains(&b'>') { close } else { open };
            return Err(Malformed { at });
        }
        let uri = Uri::parse_clean(&value[inner..close]).map_err(|error| error.after(inner))?;
        Self::with_params(value, trim(&value[start..open]), uri, close + 1)
    }

    fn parse_bare(value: &'a [u8], start: usize) -> Result<Self, Malformed> {
        let end = BARE_END.find(value, start);
        if let Some(mark) = memchr::memchr(b'?', &value[start..end]) {
            return Err(Malformed { at: start + mark });
        }
        let uri = Uri::parse(&value[start..end]).map_err(|error| error.after(start))?;
        Self::with_params(value, &[], uri, end)
    }

    /// Reads a URI without brackets that takes up the whole value, with what stands behind its `?`.
    pub(super) fn parse_bare_with_headers(value: &'a [u8]) -> Result<Self, Malformed> {
        let value = trim(value);
        Uri::parse(value).map(|uri| Self { display: &[], uri, params: &[], tag: None })
    }

    fn with_params(value: &'a [u8], display: &'a [u8], uri: Uri<'a>, at: usize) -> Result<Self, Malformed> {
        let tag = Params::check(value, at, b"tag")?;
        Ok(Self { display, uri, params: &value[at..], tag })
    }
}

/// End of a URI without brackets.
const BARE_END: ByteSet<6> = ByteSet::of(b" \t\r\n;,");

/// Bytes that decide whether a name stands before the URI.
const NAME_STOP: ByteSet<4> = ByteSet::of(b"<\";,");

/// Finds the bracket that opens the URI, behind the name; `None` when the URI has none.
fn find_bracket(value: &[u8], start: usize) -> Result<Option<usize>, Malformed> {
    let mut at = start;
    loop {
        let stop = NAME_STOP.find(value, at);
        match value.get(stop) {
            Some(b'<') => return Ok(Some(stop)),
            // Quotes around the name, or around a part of it.
            Some(b'"') => at = quoted_end(value, stop).ok_or(Malformed { at: stop })?,
            // The end, a parameter or a further value: what came before must be a URI by itself.
            _ => return Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(value: &str) -> Option<String> {
        NameAddr::parse(value.as_bytes()).unwrap().display_name().map(Cow::into_owned)
    }

    #[test]
    fn names_are_shown_as_they_were_meant() {
        assert_eq!(name("\"Zoe \\\"Z\\\" Quill\" <sip:z@a.example>").as_deref(), Some("Zoe \"Z\" Quill"));
        assert_eq!(name("Zoë (Büro) O'Neil <sip:z@a.example>").as_deref(), Some("Zoë (Büro) O'Neil"));
        assert_eq!(name("\"  \" <sip:z@a.example>"), None);
        assert_eq!(name("<sip:z@a.example>"), None);
        assert_eq!(name("sip:z@a.example"), None);
        assert_eq!(name("\"a<b\"<sip:z@a.example>").as_deref(), Some("a<b"));
        assert_eq!(name("Zoe \"Z\" Quill <sip:z@a.example>").as_deref(), Some("Zoe \"Z\" Quill"));
        let bytes = NameAddr::parse(b"\"Zo\xeb\" <sip:z@a.example>").unwrap();
        assert_eq!(bytes.display_name().as_deref(), Some("Zo\u{fffd}"));
    }

    #[test]
    fn without_brackets_the_parameters_are_those_of_the_header() {
        let bare = NameAddr::parse(b"sip:z@a.example;user=phone;tag=9").unwrap();
        assert_eq!(bare.uri().as_bytes(), b"sip:z@a.example");
        assert_eq!(bare.uri().param("user"), None);
        assert_eq!(bare.param("user"), Some(&b"phone"[..]));
        assert_eq!(bare.tag(), Some(&b"9"[..]));
        let bracketed = NameAddr::parse(b"<sip:z@a.example;user=phone;tag=1>;tag=9").unwrap();
        assert_eq!(bracketed.uri().param("user"), Some(&b"phone"[..]));
        assert_eq!(bracketed.tag(), Some(&b"9"[..]));
    }

    #[test]
    fn structural_damage_says_where_it_is() {
        for (value, at) in [
            ("\"open <sip:z@a.example>", 0),
            ("<sip:z@a.example", 0),
            ("< sip:z@a.example >", 1),
            ("<sip:z@a.example>x", 17),
            ("Quill, Zoe <sip:z@a.example>", 5),
            ("sip:z@a.example?Route=x", 15),
            ("<sip:z@a.example>;;tag=1", 18),
            ("", 0),
            ("\"name\"", 0),
        ] {
            assert_eq!(NameAddr::parse(value.as_bytes()).unwrap_err(), Malformed { at }, "{value}");
        }
    }
}
