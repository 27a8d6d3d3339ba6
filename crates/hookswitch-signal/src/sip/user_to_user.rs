use super::Params;
use super::text::{trim, unquoted};

/// Data that the caller's application hands to the callee's (RFC 7433).
#[derive(Clone, Copy, Debug)]
pub struct UserToUser<'a> {
    data: &'a [u8],
    params: Params<'a>,
}

impl<'a> UserToUser<'a> {
    /// Reads one value, without a comma behind it.
    pub fn parse(value: &'a [u8]) -> Option<Self> {
        let start = if value.first() == Some(&b'"') { super::text::quoted_end(value, 0)? } else { 0 };
        let end = memchr::memchr(b';', &value[start..]).map_or(value.len(), |length| start + length);
        let data = unquoted(trim(&value[..end]));
        (!data.is_empty()).then_some(Self { data, params: Params::new(&value[end..]) })
    }

    /// Gives the data as it stands, without quotes; what it means depends on the encoding.
    pub const fn data(&self) -> &'a [u8] {
        self.data
    }

    /// Gives the encoding, as spelled; `hex` when absent (RFC 7433 §4.1).
    pub fn encoding(&self) -> &'a [u8] {
        self.params.find("encoding").unwrap_or(b"hex")
    }

    /// Finds a parameter by name, in any case.
    pub fn param(&self, name: &str) -> Option<&'a [u8]> {
        self.params.find(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_hexadecimal_unless_it_says_otherwise() {
        let value = UserToUser::parse(b"00c81031;purpose=isdn-uui").unwrap();
        assert_eq!((value.data(), value.encoding()), (&b"00c81031"[..], &b"hex"[..]));
        let value = UserToUser::parse(b"\"a;b\" ;encoding=text").unwrap();
        assert_eq!((value.data(), value.encoding()), (&b"a;b"[..], &b"text"[..]));
    }
}
