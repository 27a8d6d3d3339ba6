use std::borrow::Cow;

use super::text::{decimal, unescaped};
use super::{Params, lossy};

/// Reason why a request was sent or a session ended (RFC 3326).
#[derive(Clone, Copy, Debug)]
pub struct Reason<'a> {
    protocol: &'a [u8],
    params: Params<'a>,
}

impl<'a> Reason<'a> {
    /// Reads one value, without a comma behind it.
    pub fn parse(value: &'a [u8]) -> Option<Self> {
        let end =
            value.iter().position(|&byte| byte == b';' || super::text::is_space(byte)).unwrap_or(value.len());
        let (protocol, params) = value.split_at(end);
        (!protocol.is_empty()).then_some(Self { protocol, params: Params::new(params) })
    }

    /// Gives the protocol the cause belongs to, as spelled: `SIP`, `Q.850` or another.
    pub const fn protocol(&self) -> &'a [u8] {
        self.protocol
    }

    /// Tells whether the cause is a SIP status.
    pub fn is_sip(&self) -> bool {
        self.protocol.eq_ignore_ascii_case(b"SIP")
    }

    /// Tells whether the cause is an ISDN cause, 1 to 127.
    pub fn is_q850(&self) -> bool {
        self.protocol.eq_ignore_ascii_case(b"Q.850")
    }

    /// Gives the cause, if it is a number below 65,536.
    pub fn cause(&self) -> Option<u16> {
        self.params.find("cause").and_then(decimal).and_then(|cause| u16::try_from(cause).ok())
    }

    /// Gives the text, without quotes and escapes.
    pub fn text(&self) -> Option<Cow<'a, str>> {
        self.params.find("text").map(unescaped).filter(|text| !text.is_empty())
    }

    /// Finds a parameter by name, in any case; escapes are kept.
    pub fn param(&self, name: &str) -> Option<Cow<'a, str>> {
        self.params.find(name).map(lossy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protocol_cause_and_text_are_read() {
        let reason = Reason::parse(br#"Q.850 ;cause=16 ;text="Say \"bye\"""#).unwrap();
        assert!(reason.is_q850() && !reason.is_sip());
        assert_eq!(reason.cause(), Some(16));
        assert_eq!(reason.text().as_deref(), Some("Say \"bye\""));
        assert_eq!(Reason::parse(b"X;cause=99999").unwrap().cause(), None);
        assert!(Reason::parse(b"").is_none());
    }
}
