use super::{Method, SipError, Uri};
use crate::byte_set::ByteSet;

/// The first line of a message (RFC 3261 §7.1, §7.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartLine<'a> {
    /// A request.
    Request {
        /// Method that is asked for.
        method: Method<'a>,
        /// Whom it is asked; a scheme that is not understood is kept raw.
        uri: Uri<'a>,
    },
    /// A response.
    Response {
        /// 100 to 699.
        status: u16,
        /// The reason phrase as it stands, possibly empty.
        reason: &'a [u8],
    },
}

impl<'a> StartLine<'a> {
    /// Reads the line without its line end; `offset` is where it starts in the datagram.
    pub(super) fn parse(line: &'a [u8], offset: usize) -> Result<Self, SipError> {
        if line.len() >= 4 && line[..4].eq_ignore_ascii_case(b"SIP/") {
            Self::parse_response(line, offset)
        } else {
            Self::parse_request(line, offset)
        }
    }

    /// Gives the status of a response, 100 to 699.
    pub const fn status(&self) -> Option<u16> {
        match *self {
            Self::Response { status, .. } => Some(status),
            Self::Request { .. } => None,
        }
    }

    fn parse_response(line: &'a [u8], offset: usize) -> Result<Self, SipError> {
        let space = BLANK.find(line, 0);
        if space == line.len() {
            return Err(SipError::BadStartLine { offset: offset + space });
        }
        check_version(&line[..space], offset)?;
        let start = space + 1;
        let end = BLANK.find(line, start);
        // The blank before an empty reason is easily lost on the way.
        let (status, reason) = (&line[start..end], line.get(end + 1..).unwrap_or_default());
        match *status {
            [a @ b'1'..=b'6', b @ b'0'..=b'9', c @ b'0'..=b'9'] => {
                let digit = |digit: u8| u16::from(digit - b'0');
                Ok(Self::Response { status: digit(a) * 100 + digit(b) * 10 + digit(c), reason })
            }
            _ => Err(SipError::BadStatus { offset: offset + start }),
        }
    }

    fn parse_request(line: &'a [u8], offset: usize) -> Result<Self, SipError> {
        let bad = |at: usize| SipError::BadStartLine { offset: offset + at };
        let first = BLANK.find(line, 0);
        if first == line.len() {
            return Err(bad(first));
        }
        let method = Method::parse(&line[..first]).ok_or_else(|| bad(0))?;
        let last = line
            .iter()
            .rposition(|&byte| byte == b' ')
            .filter(|&last| last > first + 1)
            .ok_or_else(|| bad(first + 1))?;
        if line[first + 1] == b' ' {
            return Err(bad(first + 1));
        }
        if last + 1 == line.len() || line[last - 1] == b' ' {
            return Err(bad(last));
        }
        check_version(&line[last + 1..], offset + last + 1)?;
        let start = first + 1;
        let uri = Uri::parse(&line[start..last])
            .map_err(|error| SipError::BadRequestUri { offset: offset + start + error.at })?;
        if !uri.headers().is_empty() {
            return Err(SipError::BadRequestUri { offset: offset + last - uri.headers().len() });
        }
        Ok(Self::Request { method, uri })
    }
}

const BLANK: ByteSet<1> = ByteSet::of(b" ");

fn check_version(version: &[u8], offset: usize) -> Result<(), SipError> {
    if version.eq_ignore_ascii_case(b"SIP/2.0") { Ok(()) } else { Err(SipError::BadVersion { offset }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_may_have_any_reason_or_none() {
        for (line, status, reason) in [
            ("SIP/2.0 180 Läutet hier", 180, "Läutet hier"),
            ("SIP/2.0 100 ", 100, ""),
            ("sip/2.0 699", 699, ""),
        ] {
            let expected = StartLine::Response { status, reason: reason.as_bytes() };
            assert_eq!(StartLine::parse(line.as_bytes(), 0), Ok(expected));
        }
        for line in
            ["SIP/2.0 99 x", "SIP/2.0 700 x", "SIP/2.0 4294967301 x", "SIP/2.0  200 x", "SIP/2.0 2OO x"]
        {
            assert_eq!(
                StartLine::parse(line.as_bytes(), 4),
                Err(SipError::BadStatus { offset: 12 }),
                "{line}"
            );
        }
    }

    #[test]
    fn a_request_has_one_blank_between_its_parts() {
        let bad = |offset| Err(SipError::BadStartLine { offset });
        assert_eq!(StartLine::parse(b"BYE  sip:a@b SIP/2.0", 0), bad(4));
        assert_eq!(StartLine::parse(b"BYE sip:a@b  SIP/2.0", 0), bad(12));
        assert_eq!(StartLine::parse(b"BYE sip:a@b SIP/2.0 ", 0), bad(19));
        assert_eq!(StartLine::parse(b"BYE sip:a@b", 0), bad(4));
        assert_eq!(StartLine::parse(b"BYE", 0), bad(3));
        assert_eq!(StartLine::parse(b"", 0), bad(0));
        assert_eq!(StartLine::parse(b"BYE sip:a@b SIP/4.0", 0), Err(SipError::BadVersion { offset: 12 }));
        assert_eq!(
            StartLine::parse(b"BYE sip:a@b; lr SIP/2.0", 0),
            Err(SipError::BadRequestUri { offset: 12 })
        );
    }
}
