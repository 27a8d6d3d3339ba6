use super::text::{is_space, trim};
use super::{HeaderName, Params};

/// A dialog that a request names without being in it: Replaces (RFC 3891), Join (RFC 3911) or
/// Target-Dialog (RFC 4538).
///
/// The tags are as the recipient of the request sees them: `to_tag` is its own, `from_tag` that of
/// its peer. Target-Dialog calls them `local-tag` and `remote-tag`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DialogRef<'a> {
    /// The Call-ID of the dialog.
    pub call_id: &'a [u8],
    /// The recipient's own tag; `0` stands for none (RFC 3891 §3).
    pub to_tag: Option<&'a [u8]>,
    /// The tag of the recipient's peer.
    pub from_tag: Option<&'a [u8]>,
    /// Only a dialog that was not answered is meant; Replaces alone has it.
    pub early_only: bool,
}

impl<'a> DialogRef<'a> {
    /// Reads the value of the header `name`.
    pub fn parse(name: HeaderName, value: &'a [u8]) -> Option<Self> {
        let value = trim(value);
        let end = value.iter().position(|&byte| byte == b';' || is_space(byte)).unwrap_or(value.len());
        let (call_id, params) = value.split_at(end);
        if call_id.is_empty() {
            return None;
        }
        let (to, from) = match name {
            HeaderName::TargetDialog => ("local-tag", "remote-tag"),
            _ => ("to-tag", "from-tag"),
        };
        let params = Params::new(params);
        let tag = |name| params.find(name).filter(|tag| !tag.is_empty());
        Some(Self {
            call_id,
            to_tag: tag(to),
            from_tag: tag(from),
            early_only: params.find("early-only").is_some(),
        })
    }
}

/// A Replaces header that was escaped inside a URI, as a Refer-To carries it (RFC 3891 §4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DialogRefBuf(Vec<u8>);

impl DialogRefBuf {
    /// Takes the decoded value; `None` if it names no dialog.
    pub fn new(value: Vec<u8>) -> Option<Self> {
        let names_one = DialogRef::parse(HeaderName::Replaces, &value).is_some();
        names_one.then_some(Self(value))
    }

    /// Gives the dialog.
    pub fn dialog(&self) -> DialogRef<'_> {
        let none = DialogRef { call_id: &[], to_tag: None, from_tag: None, early_only: false };
        // `new` has read the same bytes, so that the empty one is never given.
        DialogRef::parse(HeaderName::Replaces, &self.0).unwrap_or(none)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_header_names_the_dialog_from_the_side_of_the_recipient() {
        let expected = DialogRef {
            call_id: b"c7@a.example",
            to_tag: Some(b"mine"),
            from_tag: Some(b"yours"),
            early_only: false,
        };
        let replaces = b"c7@a.example ;from-tag=yours\r\n ;to-tag=mine";
        assert_eq!(DialogRef::parse(HeaderName::Replaces, replaces), Some(expected));
        let target = b"c7@a.example;local-tag=mine;remote-tag=yours";
        assert_eq!(DialogRef::parse(HeaderName::TargetDialog, target), Some(expected));
        let early = DialogRef::parse(HeaderName::Replaces, b"c7;to-tag=0;from-tag=b;early-only").unwrap();
        assert!(early.early_only);
        assert_eq!(DialogRef::parse(HeaderName::Join, b";to-tag=a"), None);
        assert_eq!(DialogRefBuf::new(Vec::new()), None);
    }
}
