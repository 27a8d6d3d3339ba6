//! Limits of connections, in all and of one host, so that none shuts others out.
//!
//! What connections take is counted against the descriptors that the process may have: some are kept for what the
//! server itself opens (webhooks, the store), and some for this machine's own address, from which an operator looks.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use foldhash::fast::RandomState;

use crate::clock;

/// Interval between warnings that connections are refused.
const SAY_EVERY: Duration = Duration::from_secs(60);

/// Number of connections that only this machine's own address may have, from which an operator looks.
const OWN_RESERVE: usize = 16;

/// The connections of a listener.
#[derive(Clone)]
pub(crate) struct ConnectionLimits(Arc<Shared>);

struct Shared {
    /// Purpose of the listener.
    what: &'static str,
    all_max: usize,
    per_host_max: usize,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    all: usize,
    hosts: HashMap<IpAddr, usize, RandomState>,
    /// Number of those that were refused since that was said, and when it was.
    refused: u64,
    said: Option<Instant>,
}

/// The place of one connection, for as long as it is open.
pub(crate) struct ConnectionPermit {
    limits: ConnectionLimits,
    host: IpAddr,
}

impl ConnectionLimits {
    /// For so many connections in all, of which one host may have so many.
    pub(crate) fn new(what: &'static str, all_max: usize, per_host_max: usize) -> Self {
        Self(Arc::new(Shared { what, all_max, per_host_max, open: Mutex::default() }))
    }

    /// A place for a connection of a host; none if there are too many.
    pub(crate) fn enter(&self, address: IpAddr) -> Option<ConnectionPermit> {
        let host = host(address);
        let mut open = self.0.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.hosts.get(&host).copied().unwrap_or_default();
        let is_own = [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()].contains(&host);
        let reserved = if is_own { 0 } else { OWN_RESERVE };
        let all_max = self.0.all_max.saturating_sub(reserved).max(1);
        if open.all >= all_max || count >= self.0.per_host_max {
            open.refused += 1;
            let now = clock::now();
            if open.said.is_none_or(|said| now.saturating_duration_since(said) >= SAY_EVERY) {
                open.said = Some(now);
                let refused = std::mem::take(&mut open.refused);
                let (what, of_host) = (self.0.what, count);
                tracing::warn!(%address, what, refused, open = open.all, of_host, "connections are refused: there are too many");
            }
            return None;
        }
        open.all += 1;
        *open.hosts.entry(host).or_default() += 1;
        Some(ConnectionPermit { limits: self.clone(), host })
    }

    /// Returns the number of those that are open.
    #[cfg(test)]
    fn open(&self) -> usize {
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner).all
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        let mut open = self.limits.0.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.all -= 1;
        if let Some(count) = open.hosts.get_mut(&self.host) {
            *count -= 1;
            if *count == 0 {
                open.hosts.remove(&self.host);
            }
        }
    }
}

/// The address by which a host is counted: of IPv6 the network of 64 bits, of which one host has all addresses.
pub(crate) fn host(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) if !address.is_loopback() => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn one_host_shuts_no_other_out_and_what_is_closed_makes_room() {
        let limits = ConnectionLimits::new("test", 100, 10);
        let mut places: Vec<ConnectionPermit> =
            (0..20).filter_map(|_| limits.enter(address("192.0.2.1"))).collect();
        assert_eq!(places.len(), 10);
        assert!(limits.enter(address("::ffff:192.0.2.1")).is_none(), "the same host");
        let other = limits.enter(address("192.0.2.2"));
        assert!(other.is_some());
        places.truncate(9);
        assert!(limits.enter(address("192.0.2.1")).is_some());
        drop((places, other));
        assert_eq!(limits.open(), 0);
        assert!(limits.0.open.lock().unwrap().hosts.is_empty());
    }

    #[test]
    fn a_network_of_ipv6_is_one_host() {
        let limits = ConnectionLimits::new("test", 100, 2);
        let places: Vec<_> =
            (1..9).filter_map(|n| limits.enter(address(&format!("2001:db8:0:1::{n}")))).collect();
        assert_eq!(places.len(), 2);
        assert!(limits.enter(address("2001:db8:0:2::1")).is_some());
    }

    #[test]
    fn many_hosts_leave_some_places_to_this_machine() {
        let limits = ConnectionLimits::new("test", 100, 10);
        let hosts = (0..200).map(|n| address(&format!("198.51.100.{n}")));
        let places: Vec<_> = hosts.filter_map(|host| limits.enter(host)).collect();
        assert_eq!(places.len(), 100 - OWN_RESERVE);
        assert!(limits.enter(address("127.0.0.1")).is_some());
    }
}
