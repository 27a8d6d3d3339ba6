use std::borrow::Cow;

/// Undoes percent-encoding (RFC 3261 §19.1.2); a `%` without two hexadecimal digits stays as it is.
///
/// Copies only when there is something to undo.
pub fn percent_decode(bytes: &[u8]) -> Cow<'_, [u8]> {
    let Some(first) = memchr::memchr(b'%', bytes) else {
        return Cow::Borrowed(bytes);
    };
    let mut decoded = Vec::with_capacity(bytes.len());
    decoded.extend_from_slice(&bytes[..first]);
    let mut rest = &bytes[first..];
    while let [byte, tail @ ..] = rest {
        rest = tail;
        if let (b'%', [high, low, after @ ..]) = (*byte, tail)
            && let (Some(high), Some(low)) = (hex(*high), hex(*low))
        {
            decoded.push(high << 4 | low);
            rest = after;
        } else {
            decoded.push(*byte);
        }
    }
    Cow::Owned(decoded)
}

const fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_become_bytes_and_half_escapes_stay() {
        assert_eq!(*percent_decode(b"a%40b%2"), *b"a@b%2");
        assert_eq!(*percent_decode(b"%Z%45%00%"), *b"%ZE\0%");
        assert!(matches!(percent_decode(b"plain"), Cow::Borrowed(b"plain")));
    }
}
