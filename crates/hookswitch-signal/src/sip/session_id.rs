use super::Params;
use super::text::trim;

/// The identifier that follows a call through back-to-back user agents (RFC 7989).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SessionId<'a> {
    /// The half the sender made: 32 hexadecimal digits; all zero when it has none.
    pub local: &'a [u8],
    /// The half its peer made, if the header names one. RFC 7329 knew only the first.
    pub remote: Option<&'a [u8]>,
}

impl<'a> SessionId<'a> {
    /// Reads the value; `None` unless both halves are 32 hexadecimal digits.
    pub fn parse(value: &'a [u8]) -> Option<Self> {
        let end = memchr::memchr(b';', value).unwrap_or(value.len());
        let local = trim(&value[..end]);
        let remote = Params::new(&value[end..]).find("remote");
        (is_uuid(local) && remote.is_none_or(is_uuid)).then_some(Self { local, remote })
    }

    /// Tells whether a half stands for none: all digits zero (RFC 7989 §5).
    pub fn is_nil(half: &[u8]) -> bool {
        half.iter().all(|&digit| digit == b'0')
    }
}

fn is_uuid(half: &[u8]) -> bool {
    half.len() == 32 && half.iter().all(u8::is_ascii_hexdigit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_halves_have_32_digits() {
        let id =
            SessionId::parse(b"0123456789abcdef0123456789abcdef ;remote=00000000000000000000000000000000")
                .unwrap();
        assert_eq!(id.local, b"0123456789abcdef0123456789abcdef");
        assert!(SessionId::is_nil(id.remote.unwrap()));
        assert!(SessionId::parse(b"0123456789abcdef0123456789abcdef").unwrap().remote.is_none());
        assert!(SessionId::parse(b"0123456789abcdef").is_none());
        assert!(SessionId::parse(b"0123456789abcdef0123456789abcdef;remote=1").is_none());
    }
}
