use super::text::{decimal, skip_space, trim};
use super::{Malformed, Method};

/// The place of a request in its dialog, and the method it has (RFC 3261 §20.16).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CSeq<'a> {
    /// The sequence number, 0 to 2^31 - 1 (RFC 3261 §8.1.1.5).
    pub number: u32,
    /// The method of the request, in its responses as well.
    pub method: Method<'a>,
}

impl<'a> CSeq<'a> {
    /// Reads `number LWS method`.
    pub fn parse(value: &'a [u8]) -> Result<Self, Malformed> {
        let digits = value.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let number = decimal(&value[..digits])
            .and_then(|number| u32::try_from(number).ok())
            .filter(|&number| number < 1 << 31)
            .ok_or(Malformed { at: 0 })?;
        let at = skip_space(value, digits);
        if at == digits {
            return Err(Malformed { at });
        }
        let method = Method::parse(trim(&value[at..])).ok_or(Malformed { at })?;
        Ok(Self { number, method })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_ends_below_two_to_the_31() {
        assert_eq!(
            CSeq::parse(b"2147483647 INVITE"),
            Ok(CSeq { number: 2_147_483_647, method: Method::Invite })
        );
        assert!(CSeq::parse(b"2147483648 INVITE").is_err());
        assert!(CSeq::parse(b"36893488147419103232 INVITE").is_err());
        assert_eq!(CSeq::parse(b"0009\r\n  ACK").unwrap().number, 9);
        assert!(CSeq::parse(b"1INVITE").is_err());
        assert!(CSeq::parse(b"1 INVITE 2").is_err());
        assert!(CSeq::parse(b"").is_err());
    }
}
