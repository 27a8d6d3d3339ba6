use std::borrow::Cow;

use crate::byte_set::ByteSet;

/// Reads bytes as UTF-8; what is not becomes U+FFFD.
pub fn lossy(bytes: &[u8]) -> Cow<'_, str> {
    // The check of the whole is several times as fast as the search for damage.
    std::str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed)
}

/// Tells linear white space: blanks and the line ends of folded lines (RFC 3261 §7.3.1).
pub(super) const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// Cuts white space off both ends.
pub(super) fn trim(bytes: &[u8]) -> &[u8] {
    trim_end(trim_start(bytes))
}

/// Cuts white space off the start.
pub(super) fn trim_start(mut bytes: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = bytes
        && is_space(*first)
    {
        bytes = rest;
    }
    bytes
}

/// Cuts white space off the end.
pub(super) fn trim_end(mut bytes: &[u8]) -> &[u8] {
    while let [rest @ .., last] = bytes
        && is_space(*last)
    {
        bytes = rest;
    }
    bytes
}

/// Finds the first byte at or after `at` that is not white space; the length if there is none.
pub(super) fn skip_space(bytes: &[u8], mut at: usize) -> usize {
    while bytes.get(at).is_some_and(|&byte| is_space(byte)) {
        at += 1;
    }
    at
}

/// Finds the end of the quoted string that opens at `at`: the index after its closing quote.
///
/// A backslash takes the meaning off the byte that follows (RFC 3261 §25.1, quoted-pair).
pub(super) fn quoted_end(bytes: &[u8], at: usize) -> Option<usize> {
    let mut at = at + 1;
    loop {
        let found = QUOTED_STOP.find(bytes, at);
        match bytes.get(found)? {
            b'"' => return Some(found + 1),
            _ => at = found + 2,
        }
    }
}

/// End of a quoted string, or escape of the byte behind it.
const QUOTED_STOP: ByteSet<2> = ByteSet::of(b"\"\\");

/// Takes the quotes off a quoted string, leaving its escapes; other bytes come back as they are.
pub(super) fn unquoted(bytes: &[u8]) -> &[u8] {
    match bytes {
        [b'"', inner @ .., b'"'] => inner,
        _ => bytes,
    }
}

/// Reads what stands between quotes: escapes are undone, a fold becomes one blank, invalid UTF-8
/// becomes U+FFFD.
pub(super) fn unescaped(inner: &[u8]) -> Cow<'_, str> {
    if memchr::memchr3(b'\\', b'\n', b'\r', inner).is_none() {
        return lossy(inner);
    }
    let mut text = Vec::with_capacity(inner.len());
    let mut at = 0;
    while let Some(&byte) = inner.get(at) {
        match byte {
            b'\\' if at + 1 < inner.len() => {
                text.push(inner[at + 1]);
                at += 2;
            }
            b'\r' | b'\n' => {
                while text.last().is_some_and(|&last| is_space(last)) {
                    text.pop();
                }
                text.push(b' ');
                at = skip_space(inner, at);
            }
            _ => {
                text.push(byte);
                at += 1;
            }
        }
    }
    Cow::Owned(lossy(&text).into_owned())
}

/// Reads a number of digits only; what is beyond the range of the type becomes its end.
pub(super) fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, &digit| {
        digit.is_ascii_digit().then(|| number.saturating_mul(10).saturating_add(u64::from(digit - b'0')))
    })
}

/// Reads a number of seconds; as [`decimal`], with `u32` as the range.
pub(super) fn seconds(digits: &[u8]) -> Option<u32> {
    decimal(digits).map(|number| u32::try_from(number).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_beyond_the_range_is_its_end() {
        assert_eq!(decimal(b"99999999999999999999999999"), Some(u64::MAX));
        assert_eq!(seconds(b"4294967296"), Some(u32::MAX));
        assert_eq!(decimal(b"-1"), None);
        assert_eq!(decimal(b""), None);
    }

    #[test]
    fn a_quoted_string_ends_at_the_quote_that_is_not_escaped() {
        assert_eq!(quoted_end(br#""a\"b\\" x"#, 0), Some(8));
        assert_eq!(quoted_end(br#""open\"#, 0), None);
        assert_eq!(quoted_end(br#"""#, 0), None);
    }

    #[test]
    fn a_fold_inside_quotes_is_one_blank() {
        assert_eq!(unescaped(b"a \r\n\t b\\\"c"), "a b\"c");
    }
}
