use super::Params;
use super::text::{is_space, seconds};

/// Subject of a subscription (RFC 6665 §8.2.1), with its parameters.
#[derive(Clone, Copy, Debug)]
pub struct EventPackage<'a> {
    package: &'a [u8],
    params: Params<'a>,
}

impl<'a> EventPackage<'a> {
    /// Reads the value of an Event header.
    pub fn parse(value: &'a [u8]) -> Option<Self> {
        split(value).map(|(package, params)| Self { package, params })
    }

    /// Gives the package, such as `refer` or `dialog`, as spelled.
    pub const fn package(&self) -> &'a [u8] {
        self.package
    }

    /// Compares the package, in any case.
    pub fn is(&self, package: &str) -> bool {
        self.package.eq_ignore_ascii_case(package.as_bytes())
    }

    /// Gives the id; of `refer`, it is the CSeq number of the REFER (RFC 3515 §2.4.6).
    pub fn id(&self) -> Option<&'a [u8]> {
        self.params.find("id")
    }

    /// Finds a parameter by name, in any case.
    pub fn param(&self, name: &str) -> Option<&'a [u8]> {
        self.params.find(name)
    }
}

/// State of a subscription (RFC 6665 §8.2.3).
#[derive(Clone, Copy, Debug)]
pub struct SubscriptionState<'a> {
    state: &'a [u8],
    params: Params<'a>,
}

impl<'a> SubscriptionState<'a> {
    /// Reads the value of a Subscription-State header.
    pub fn parse(value: &'a [u8]) -> Option<Self> {
        split(value).map(|(state, params)| Self { state, params })
    }

    /// Gives the state: `active`, `pending` or `terminated`, as spelled.
    pub const fn state(&self) -> &'a [u8] {
        self.state
    }

    /// Tells whether no further NOTIFY comes.
    pub fn is_terminated(&self) -> bool {
        self.state.eq_ignore_ascii_case(b"terminated")
    }

    /// Gives why it ended, such as `noresource`.
    pub fn reason(&self) -> Option<&'a [u8]> {
        self.params.find("reason")
    }

    /// Gives how long it lasts, in seconds.
    pub fn expires(&self) -> Option<u32> {
        self.params.find("expires").and_then(seconds)
    }
}

/// Splits a token from the parameters behind it.
fn split(value: &[u8]) -> Option<(&[u8], Params<'_>)> {
    let end = value.iter().position(|&byte| byte == b';' || is_space(byte)).unwrap_or(value.len());
    let (token, params) = value.split_at(end);
    (!token.is_empty()).then_some((token, Params::new(params)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_and_states_are_read_with_their_parameters() {
        let event = EventPackage::parse(b"Refer ; id=93809823").unwrap();
        assert!(event.is("refer"));
        assert_eq!(event.id(), Some(&b"93809823"[..]));
        let state = SubscriptionState::parse(b"terminated;reason=noresource;expires=7").unwrap();
        assert!(state.is_terminated());
        assert_eq!(state.reason(), Some(&b"noresource"[..]));
        assert_eq!(state.expires(), Some(7));
        assert!(EventPackage::parse(b"").is_none());
    }
}
