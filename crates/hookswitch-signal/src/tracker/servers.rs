//! Which addresses are servers, and who has an account there, as registrations and challenges tell.

use std::collections::HashSet;
use std::net::SocketAddr;

use foldhash::fast::RandomState;
use hookswitch_model::FarEnd;

/// The most servers, and the most clients of all of them, that are remembered.
const KNOWN_MAX: usize = 200_000;

/// Servers and their clients.
#[derive(Default)]
pub(super) struct Servers {
    servers: HashSet<SocketAddr, RandomState>,
    clients: HashSet<(SocketAddr, SocketAddr), RandomState>,
}

impl Servers {
    /// Learns that `server` asked `client` for credentials, or took its registration.
    pub(super) fn learn(&mut self, server: SocketAddr, client: SocketAddr) {
        if self.clients.len() < KNOWN_MAX {
            self.servers.insert(server);
            self.clients.insert((server, client));
            // Either may use other ports as well, unless they share an address.
            if client.ip() != server.ip() {
                self.servers.insert(any_port(server));
                self.clients.insert((any_port(server), any_port(client)));
            }
        }
    }

    /// Whether `dst` has an account at the server `src`.
    pub(super) fn serves(&self, src: SocketAddr, dst: SocketAddr) -> bool {
        !self.clients.is_empty()
            && (self.clients.contains(&(src, dst)) || self.clients.contains(&(any_port(src), any_port(dst))))
    }

    /// What is known of `dst` when `src` sends a call there.
    pub(super) fn far_end(&self, src: SocketAddr, dst: SocketAddr) -> FarEnd {
        let (any_src, any_dst) = (any_port(src), any_port(dst));
        let known = |server| self.servers.contains(server);
        if !known(&dst) && (src.ip() == dst.ip() || !known(&any_dst)) {
            FarEnd::Unknown
        } else if self.clients.contains(&(dst, src)) || self.clients.contains(&(any_dst, any_src)) {
            FarEnd::Server
        } else {
            FarEnd::Switch
        }
    }
}

fn any_port(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip(), 0)
}
