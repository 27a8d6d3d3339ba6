//! Servers among the addresses, and who has an account there, as registrations and challenges tell.

use std::collections::HashMap;
use std::net::SocketAddr;

use foldhash::fast::RandomState;
use hookswitch_model::{FarEnd, Timestamp};
use serde::{Deserialize, Serialize};

use super::LEARNT_MAX;

/// The most servers, and the most clients of all of them, that are remembered.
const KNOWN_MAX: usize = 200_000;

/// Servers and their clients, each with the time when it was last seen to be so.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Servers {
    servers: HashMap<SocketAddr, Timestamp, RandomState>,
    clients: HashMap<(SocketAddr, SocketAddr), Timestamp, RandomState>,
}

impl Servers {
    /// Learns that `server` asked `client` for credentials, or took its registration.
    pub(super) fn learn(&mut self, server: SocketAddr, client: SocketAddr, now: Timestamp) {
        if self.clients.len() < KNOWN_MAX || self.clients.contains_key(&(server, client)) {
            self.servers.insert(server, now);
            self.clients.insert((server, client), now);
            // Either may use other ports as well, unless they share an address.
            if client.ip() != server.ip() {
                self.servers.insert(any_port(server), now);
                self.clients.insert((any_port(server), any_port(client)), now);
            }
        }
    }

    /// Forgets what was not seen for too long.
    #[expect(clippy::disallowed_methods, reason = "each is judged by itself")]
    pub(super) fn forget(&mut self, now: Timestamp) {
        self.servers.retain(|_, seen| *seen + LEARNT_MAX > now);
        self.clients.retain(|_, seen| *seen + LEARNT_MAX > now);
    }

    /// Returns `true` if `dst` has an account at the server `src`.
    pub(super) fn serves(&self, src: SocketAddr, dst: SocketAddr) -> bool {
        !self.clients.is_empty()
            && (self.clients.contains_key(&(src, dst))
                || self.clients.contains_key(&(any_port(src), any_port(dst))))
    }

    /// Returns what is known of `dst` when `src` sends a call there.
    pub(super) fn far_end(&self, src: SocketAddr, dst: SocketAddr) -> FarEnd {
        let (any_src, any_dst) = (any_port(src), any_port(dst));
        let known = |server| self.servers.contains_key(server);
        if !known(&dst) && (src.ip() == dst.ip() || !known(&any_dst)) {
            FarEnd::Unknown
        } else if self.clients.contains_key(&(dst, src)) || self.clients.contains_key(&(any_dst, any_src)) {
            FarEnd::Server
        } else {
            FarEnd::Switch
        }
    }
}

fn any_port(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip(), 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_remembered_for_a_day_after_it_was_seen_last() {
        let [server, client] = [1, 2].map(|host| SocketAddr::from(([192, 0, 2, host], 5060)));
        let mut servers = Servers::default();
        let start = Timestamp::from_micros(0);
        servers.learn(server, client, start);
        servers.learn(server, client, start + LEARNT_MAX / 2);
        servers.forget(start + LEARNT_MAX);
        assert_eq!(servers.far_end(client, server), FarEnd::Server);
        servers.forget(start + LEARNT_MAX / 2 + LEARNT_MAX);
        assert_eq!(servers.far_end(client, server), FarEnd::Unknown);
    }
}
