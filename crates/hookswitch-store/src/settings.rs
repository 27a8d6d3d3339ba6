//! Settings of a store, as a server has them.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

/// Engine of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// In the data directory.
    Sqlite,
    /// In NATS JetStream, for several nodes; the data directory has a copy.
    Nats,
}

/// Durability of what is written before anything is answered or sent on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// All that the answer rests on, synced.
    Strict,
    /// Data that the operating system has taken; a crash of the machine may lose it.
    Relaxed,
}

/// Place of a store, and the way it is kept.
#[derive(Clone, Debug)]
pub struct StoreSettings {
    /// Engine of the log.
    pub engine: Engine,
    /// The data directory.
    pub directory: PathBuf,
    /// Durability before anything is answered.
    pub durability: Durability,
    /// Time for which inputs are kept.
    pub signals_kept: Duration,
    /// Time for which events are kept.
    pub events_kept: Duration,
    /// Into how many partitions a cluster divides its sources.
    pub partitions_of_cluster: u8,
    /// Time for which a lease of a partition is good that is not renewed.
    pub lease: Duration,
    /// The NATS of a cluster.
    pub nats: NatsSettings,
}

impl StoreSettings {
    /// Into how many partitions the work is divided; a server alone has one.
    pub const fn partitions(&self) -> u8 {
        match self.engine {
            Engine::Sqlite => 1,
            Engine::Nats => self.partitions_of_cluster,
        }
    }
}

/// Connection of a node to NATS, and the names in it.
#[derive(Clone, Debug)]
pub struct NatsSettings {
    /// Addresses, as `nats://HOST:4222`.
    pub servers: Vec<String>,
    /// A `.creds` file; empty for none.
    pub credentials: PathBuf,
    /// The certificate of the authority that has signed those of the servers, in PEM; empty for no TLS.
    pub tls_ca: PathBuf,
    /// Beginning of the names of streams, buckets and subjects.
    pub prefix: String,
    /// On how many servers each message is kept.
    pub replicas: usize,
    /// Time that a connection may take.
    pub connect_timeout: Duration,
    /// The monitoring endpoints of all servers, as `http://HOST:8222`.
    pub monitors: Vec<String>,
}
