use super::Malformed;
use super::text::{quoted_end, skip_space, unquoted};
use crate::byte_set::ByteSet;

/// The parameters of a header value: `;name=value;flag` (RFC 3261 §7.3.1).
#[derive(Clone, Copy, Debug, Default)]
pub struct Params<'a>(&'a [u8]);

/// One parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Param<'a> {
    /// The name, as spelled; upper and lower case are the same.
    pub name: &'a [u8],
    /// The value without the quotes around it, escapes kept; `None` for a flag.
    pub value: Option<&'a [u8]>,
}

impl<'a> Params<'a> {
    /// Starts at the first `;`; what does not follow the grammar ends the list.
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Walks the whole list, from `at` to the end of `bytes`, and gives the value of `wanted`, if
    /// there is one that is not empty.
    ///
    /// # Errors
    /// Says where an empty parameter, an open quote or anything but a parameter stands. One `;`
    /// at the end is let pass, because several phones send it.
    #[inline]
    pub(super) fn check(
        bytes: &'a [u8],
        mut at: usize,
        wanted: &[u8],
    ) -> Result<Option<&'a [u8]>, Malformed> {
        if let Some(value) = sole(bytes, at, wanted) {
            return Ok(Some(value));
        }
        let mut found = None;
        while let Some((param, next)) = next_param(bytes, at)? {
            if found.is_none() && param.name.eq_ignore_ascii_case(wanted) {
                found = param.value.filter(|value| !value.is_empty());
            }
            at = next;
        }
        Ok(found)
    }

    /// Finds a parameter by name, in any case; a flag has the empty value. The first of two with
    /// one name counts.
    pub fn find(self, name: &str) -> Option<&'a [u8]> {
        self.into_iter()
            .find(|param| param.name.eq_ignore_ascii_case(name.as_bytes()))
            .map(|param| param.value.unwrap_or_default())
    }
}

impl<'a> IntoIterator for Params<'a> {
    type Item = Param<'a>;
    type IntoIter = ParamIter<'a>;

    fn into_iter(self) -> ParamIter<'a> {
        ParamIter { bytes: self.0, at: 0 }
    }
}

/// Walks the parameters of a value, in order.
#[derive(Clone, Debug)]
pub struct ParamIter<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Iterator for ParamIter<'a> {
    type Item = Param<'a>;

    fn next(&mut self) -> Option<Param<'a>> {
        if let Ok(Some((param, next))) = next_param(self.bytes, self.at) {
            self.at = next;
            Some(param)
        } else {
            self.at = self.bytes.len();
            None
        }
    }
}

/// Gives the value of `wanted` if that is all there is, as the tag mostly is.
#[inline]
fn sole<'a>(bytes: &'a [u8], at: usize, wanted: &[u8]) -> Option<&'a [u8]> {
    let rest = bytes.get(at..)?.strip_prefix(b";")?.strip_prefix(wanted)?.strip_prefix(b"=")?;
    let start = bytes.len() - rest.len();
    (!rest.is_empty() && VALUE_END.find(bytes, start) == bytes.len()).then_some(rest)
}

/// Reads the parameter whose `;` is the next byte but white space, and where it ends.
///
/// Hardly anybody writes white space between the parts, so it is skipped only where it is met.
#[inline]
fn next_param(bytes: &[u8], mut at: usize) -> Result<Option<(Param<'_>, usize)>, Malformed> {
    if bytes.get(at) != Some(&b';') {
        at = skip_space(bytes, at);
        match bytes.get(at) {
            None => return Ok(None),
            Some(b';') => {}
            Some(_) => return Err(Malformed { at }),
        }
    }
    let mut start = at + 1;
    let mut end = NAME_END.find(bytes, start);
    if start == end {
        start = skip_space(bytes, start);
        if start == bytes.len() {
            return Ok(None);
        }
        end = NAME_END.find(bytes, start);
        if start == end {
            return Err(Malformed { at: start });
        }
    }
    let name = &bytes[start..end];
    let mut equals = end;
    if bytes.get(equals) != Some(&b'=') {
        equals = skip_space(bytes, end);
        if bytes.get(equals) != Some(&b'=') {
            return Ok(Some((Param { name, value: None }, equals)));
        }
    }
    let start = skip_space(bytes, equals + 1);
    let end = match bytes.get(start) {
        Some(b'"') => quoted_end(bytes, start).ok_or(Malformed { at: start })?,
        _ => VALUE_END.find(bytes, start),
    };
    Ok(Some((Param { name, value: Some(unquoted(&bytes[start..end])) }, end)))
}

/// End of a parameter's name.
const NAME_END: ByteSet<8> = ByteSet::of(b" \t\r\n;,\"=");

/// End of a parameter's value that is not quoted.
const VALUE_END: ByteSet<7> = ByteSet::of(b" \t\r\n;,\"");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_and_folds_around_separators_do_not_count() {
        let params = Params::new(b" ;\r\n tag = 98a ; lr; text=\"a;b, \\\"c\"");
        assert_eq!(params.find("TAG"), Some(&b"98a"[..]));
        assert_eq!(params.find("lr"), Some(&b""[..]));
        assert_eq!(params.find("text"), Some(&b"a;b, \\\"c"[..]));
        assert_eq!(params.find("none"), None);
    }

    #[test]
    fn empty_parameters_open_quotes_and_commas_are_damage() {
        assert_eq!(Params::check(b";tag=a;", 0, b"tag"), Ok(Some(&b"a"[..])));
        assert_eq!(Params::check(b";;tag=a", 0, b"tag"), Err(Malformed { at: 1 }));
        assert_eq!(Params::check(b";tag=a,b", 0, b"tag"), Err(Malformed { at: 6 }));
        assert_eq!(Params::check(b";t=\"a", 0, b"tag"), Err(Malformed { at: 3 }));
        assert_eq!(Params::check(b";tag=a b", 0, b"tag"), Err(Malformed { at: 7 }));
        assert_eq!(Params::check(b"x", 0, b"tag"), Err(Malformed { at: 0 }));
    }
}
