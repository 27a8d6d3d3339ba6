use std::borrow::Cow;

use super::{Malformed, NameAddr};

/// Diverting party and reason (RFC 5806).
#[derive(Clone, Copy, Debug)]
pub struct Diversion<'a> {
    /// The target the call was taken away from.
    pub address: NameAddr<'a>,
}

impl<'a> Diversion<'a> {
    /// Reads one value, without a comma behind it.
    pub fn parse(value: &'a [u8]) -> Result<Self, Malformed> {
        NameAddr::parse(value).map(|address| Self { address })
    }

    /// Gives the reason: `user-busy`, `no-answer`, `unconditional`, `deflection` and so on, without quotes.
    pub fn reason(&self) -> Option<&'a [u8]> {
        self.address.param("reason")
    }
}

/// One step of the way a request took from target to target (RFC 7044).
#[derive(Clone, Copy, Debug)]
pub struct HistoryInfo<'a> {
    /// The target. Its URI carries Reason and Privacy as escaped headers.
    pub address: NameAddr<'a>,
}

impl<'a> HistoryInfo<'a> {
    /// Reads one value, without a comma behind it.
    pub fn parse(value: &'a [u8]) -> Result<Self, Malformed> {
        NameAddr::parse(value).map(|address| Self { address })
    }

    /// Gives the place in the tree of targets, such as `1.2.1`.
    pub fn index(&self) -> Option<&'a [u8]> {
        self.address.param("index")
    }

    /// Gives why the target was left, decoded; [`super::Reason::parse`] reads it.
    pub fn reason(&self) -> Option<Cow<'a, [u8]>> {
        self.address.uri().header("Reason")
    }

    /// Gives what is to be hidden, decoded; [`super::Privacy::new`] reads it.
    pub fn privacy(&self) -> Option<Cow<'a, [u8]>> {
        self.address.uri().header("Privacy")
    }

    /// Gives the cause of the retargeting from the URI (RFC 4458 §4), such as 486 for busy.
    pub fn cause(&self) -> Option<u16> {
        let cause = self.address.uri().param("cause")?;
        super::text::decimal(cause).and_then(|cause| u16::try_from(cause).ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::Reason;

    #[test]
    fn a_step_tells_why_the_target_was_left() {
        let value =
            b"<sip:7031@a.example?Reason=SIP%3Bcause%3D486%3Btext%3D%22Busy%22&Privacy=history>;index=1.1";
        let step = HistoryInfo::parse(value).unwrap();
        assert_eq!(step.index(), Some(&b"1.1"[..]));
        let reason = step.reason().unwrap();
        let reason = Reason::parse(&reason).unwrap();
        assert_eq!(reason.cause(), Some(486));
        assert_eq!(reason.text().as_deref(), Some("Busy"));
        assert_eq!(step.privacy().as_deref(), Some(&b"history"[..]));
    }

    #[test]
    fn a_diversion_has_a_reason() {
        let value = b"\"Vera\" <sip:7031@a.example>;reason=\"no-answer\";counter=1";
        assert_eq!(Diversion::parse(value).unwrap().reason(), Some(&b"no-answer"[..]));
    }
}
