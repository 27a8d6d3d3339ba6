use super::text::trim;
use super::{Malformed, NameAddr};

/// Caller or callee according to the network, in the words of
/// draft-ietf-sip-privacy-04 §5.1, which PBXs still send.
#[derive(Clone, Copy, Debug)]
pub struct RemotePartyId<'a> {
    /// Name, URI and parameters.
    pub address: NameAddr<'a>,
}

impl<'a> RemotePartyId<'a> {
    /// Reads one value, without a comma behind it.
    pub fn parse(value: &'a [u8]) -> Result<Self, Malformed> {
        NameAddr::parse(value).map(|address| Self { address })
    }

    /// Gives whom it describes: `calling` or `called`; absent means the sender.
    pub fn party(&self) -> Option<&'a [u8]> {
        self.address.param("party")
    }

    /// Gives what is to be hidden: `full`, `name`, `uri` or `off`, possibly with `-network` behind it.
    pub fn privacy(&self) -> Option<&'a [u8]> {
        self.address.param("privacy")
    }

    /// Tells whether the network vouches for it.
    pub fn is_screened(&self) -> bool {
        self.address.param("screen").is_some_and(|screen| screen.eq_ignore_ascii_case(b"yes"))
    }
}

/// Privacy that a caller asks for (RFC 3323 §4.2, RFC 3325 §9.3).
#[derive(Clone, Copy, Debug)]
pub struct Privacy<'a>(&'a [u8]);

impl<'a> Privacy<'a> {
    /// Takes the value of the header.
    pub const fn new(value: &'a [u8]) -> Self {
        Self(value)
    }

    /// Gives the tokens, as spelled; commas divide them as well as semicolons.
    pub fn tokens(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.0.split(|byte| matches!(byte, b';' | b',')).map(trim).filter(|token| !token.is_empty())
    }

    /// Finds a token, in any case.
    pub fn contains(&self, wanted: &str) -> bool {
        self.tokens().any(|token| token.eq_ignore_ascii_case(wanted.as_bytes()))
    }

    /// Tells whether the identity of the sender is to be hidden: `id`, `user` or `header` is asked for.
    pub fn hides_identity(&self) -> bool {
        ["id", "user", "header"].into_iter().any(|token| self.contains(token))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn privacy_tokens_are_divided_by_semicolons_or_commas() {
        assert!(Privacy::new(b"critical ; ID").hides_identity());
        assert!(!Privacy::new(b"none").hides_identity());
        assert_eq!(Privacy::new(b"user,id;;").tokens().count(), 2);
    }

    #[test]
    fn a_remote_party_says_who_vouches_for_it() {
        let id = RemotePartyId::parse(b"\"Vera\" <sip:7031@a.example>;party=calling;screen=yes;privacy=off")
            .unwrap();
        assert_eq!(id.party(), Some(&b"calling"[..]));
        assert_eq!(id.privacy(), Some(&b"off"[..]));
        assert!(id.is_screened());
    }
}
