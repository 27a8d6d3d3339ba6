use super::text::{decimal, is_space, skip_space};
use super::uri::{host_port, port_number, unbracketed};
use super::{Malformed, Params};

/// One hop a request took: who sent it, and where the response goes (RFC 3261 §20.42).
#[derive(Clone, Copy, Debug)]
pub struct Via<'a> {
    transport: &'a [u8],
    host: &'a [u8],
    port: Option<u16>,
    sent_by: &'a [u8],
    params: Params<'a>,
    branch: Option<&'a [u8]>,
}

impl<'a> Via<'a> {
    /// Reads one value, without a comma behind it.
    ///
    /// The transport may be any token; the protocol must be SIP/2.0, blanks and folds around its
    /// slashes allowed.
    pub fn parse(value: &'a [u8]) -> Result<Self, Malformed> {
        let at = protocol_end(value)?;
        let transport_end = value[at..]
            .iter()
            .position(|&byte| is_space(byte))
            .map(|length| at + length)
            .filter(|&end| end > at)
            .ok_or(Malformed { at })?;
        let host_start = skip_space(value, transport_end);
        let (host, port, end) = host_port(value, host_start)?;
        let (port, end) = if port.is_some() { (port, end) } else { spaced_port(value, end)? };
        let branch = Params::check(value, end, b"branch")?;
        Ok(Self {
            transport: &value[at..transport_end],
            host,
            port,
            sent_by: &value[host_start..end],
            params: Params::new(&value[end..]),
            branch,
        })
    }

    /// Gives the transport as spelled: `UDP`, `TCP`, `TLS`, `WS` and so on.
    pub const fn transport(&self) -> &'a [u8] {
        self.transport
    }

    /// Gives the sent-by as it stands: host, and port if it has one.
    pub const fn sent_by(&self) -> &'a [u8] {
        self.sent_by
    }

    /// Gives the host of the sent-by, an IPv6 address without its brackets.
    pub const fn host(&self) -> &'a [u8] {
        unbracketed(self.host)
    }

    /// Gives the port of the sent-by, if it names one.
    pub const fn port(&self) -> Option<u16> {
        self.port
    }

    /// Gives the branch; `None` when absent or empty, as RFC 2543 sends it.
    pub const fn branch(&self) -> Option<&'a [u8]> {
        self.branch
    }

    /// Gives the branch if it names the transaction by itself: the magic cookie and something behind
    /// it (RFC 3261 §8.1.1.7, §17.2.3).
    pub fn unique_branch(&self) -> Option<&'a [u8]> {
        const COOKIE: &[u8] = b"z9hG4bK";
        self.branch.filter(|branch| {
            branch.len() > COOKIE.len() && branch[..COOKIE.len()].eq_ignore_ascii_case(COOKIE)
        })
    }

    /// Gives the address the request came from (RFC 3261 §18.2.1), an IPv6 address without brackets,
    /// which it may be written with or without (RFC 5118 §4.5).
    pub fn received(&self) -> Option<&'a [u8]> {
        self.param("received").map(unbracketed).filter(|address| !address.is_empty())
    }

    /// Gives the port the request came from (RFC 3581); `None` when absent, not filled in or no port.
    pub fn rport(&self) -> Option<u16> {
        self.param("rport").and_then(decimal).and_then(|port| u16::try_from(port).ok())
    }

    /// Gives the parameters.
    pub const fn params(&self) -> Params<'a> {
        self.params
    }

    /// Finds a parameter by name, in any case; a flag has the empty value.
    pub fn param(&self, name: &str) -> Option<&'a [u8]> {
        self.params.find(name)
    }
}

/// Reads `SIP/2.0/`; gives where the transport starts.
fn protocol_end(value: &[u8]) -> Result<usize, Malformed> {
    if value.len() > 8 && value[..8].eq_ignore_ascii_case(b"SIP/2.0/") {
        return Ok(skip_space(value, 8));
    }
    let mut at = 0;
    for part in [&b"SIP"[..], b"/", b"2.0", b"/"] {
        at = skip_space(value, at);
        let end = at + part.len();
        if !value.get(at..end).is_some_and(|bytes| bytes.eq_ignore_ascii_case(part)) {
            return Err(Malformed { at });
        }
        at = end;
    }
    Ok(skip_space(value, at))
}

/// Reads a port with white space around its colon, which the grammar allows here and not in a URI.
///
/// `end` is where [`host_port`] stopped without a port: behind the host, or behind its colon.
fn spaced_port(value: &[u8], end: usize) -> Result<(Option<u16>, usize), Malformed> {
    let mut at = end;
    if !value[..end].ends_with(b":") {
        at = skip_space(value, end);
        if value.get(at) != Some(&b':') {
            return Ok((None, end));
        }
        at += 1;
    }
    let start = skip_space(value, at);
    port_number(value, start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_and_folds_may_stand_around_every_part() {
        let via = Via::parse(b"SIP  /  2.0\r\n /UDP\r\n   192.0.2.77 : 5070 ;\r\n branch = z9hG4bKq ; rport")
            .unwrap();
        assert_eq!(via.transport(), b"UDP");
        assert_eq!(via.host(), b"192.0.2.77");
        assert_eq!(via.port(), Some(5070));
        assert_eq!(via.branch(), Some(&b"z9hG4bKq"[..]));
        assert_eq!(via.rport(), None);
    }

    #[test]
    fn received_is_read_with_and_without_brackets() {
        for received in ["[2001:db8::77:9]", "2001:db8::77:9"] {
            let value =
                format!("SIP/2.0/TLS [2001:db8::5]:5061;received={received};rport=4011;branch=z9hG4bK");
            let via = Via::parse(value.as_bytes()).unwrap();
            assert_eq!(via.host(), b"2001:db8::5");
            assert_eq!(via.sent_by(), b"[2001:db8::5]:5061");
            assert_eq!(via.received(), Some(&b"2001:db8::77:9"[..]));
            assert_eq!(via.rport(), Some(4011));
            assert_eq!(via.branch(), Some(&b"z9hG4bK"[..]));
            assert_eq!(via.unique_branch(), None);
        }
    }

    #[test]
    fn damage_says_where_it_is() {
        for (value, at) in [
            ("SIP/2.0/UDP a.example;;", 22),
            ("SIP/3.0/UDP a.example", 4),
            ("SIP/2.0/UDP", 8),
            ("SIP/2.0/UDP ", 12),
            ("SIP/2.0/UDP a.example:99999", 22),
            ("SIP/2.0/UDP 2001:db8::1", 17),
            ("", 0),
        ] {
            assert_eq!(Via::parse(value.as_bytes()).unwrap_err(), Malformed { at }, "{value}");
        }
    }
}
