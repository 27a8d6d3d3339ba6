use super::Params;
use super::text::trim;
use crate::byte_set::ByteSet;

/// Type of the body (RFC 3261 §20.15).
#[derive(Clone, Copy, Debug)]
pub struct ContentType<'a> {
    kind: &'a [u8],
    subtype: &'a [u8],
    params: Params<'a>,
}

impl<'a> ContentType<'a> {
    /// Reads `type/subtype;parameters`; white space may stand around the slash.
    pub fn parse(value: &'a [u8]) -> Option<Self> {
        let slash = NAME_STOP.find(value, 0);
        let (kind, rest) = (value.get(..slash)?, value.get(slash..)?.strip_prefix(b"/")?);
        let (subtype, params) = rest.split_at(PARAMS_START.find(rest, 0));
        let (kind, subtype) = (trim(kind), trim(subtype));
        (!kind.is_empty() && !subtype.is_empty()).then_some(Self {
            kind,
            subtype,
            params: Params::new(params),
        })
    }

    /// Gives the type as spelled, such as `application`.
    pub const fn kind(&self) -> &'a [u8] {
        self.kind
    }

    /// Gives the subtype as spelled, such as `sdp`.
    pub const fn subtype(&self) -> &'a [u8] {
        self.subtype
    }

    /// Compares type and subtype, in any case.
    pub fn is(&self, kind: &str, subtype: &str) -> bool {
        self.kind.eq_ignore_ascii_case(kind.as_bytes())
            && self.subtype.eq_ignore_ascii_case(subtype.as_bytes())
    }

    /// Finds a parameter by name, in any case.
    pub fn param(&self, name: &str) -> Option<&'a [u8]> {
        self.params.find(name)
    }
}

/// What ends the type, or the value before a subtype.
const NAME_STOP: ByteSet<2> = ByteSet::of(b"/;");

const PARAMS_START: ByteSet<1> = ByteSet::of(b";");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_read_with_its_parameters() {
        let value = ContentType::parse(b"Multipart / Mixed ; boundary=\"a b\"").unwrap();
        assert!(value.is("multipart", "mixed"));
        assert_eq!(value.param("boundary"), Some(&b"a b"[..]));
        assert!(ContentType::parse(b"sdp").is_none());
        assert!(ContentType::parse(b"/sdp").is_none());
    }
}
