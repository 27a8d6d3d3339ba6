//! Configuration: one file over the defaults, and the environment over both.
//!
//! `config/hookswitch.default.toml` is the documentation and the defaults in one, and compiled in.

mod layers;
mod switches;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use hookswitch_model::AccountId;
use hookswitch_store::{Durability, Engine, NatsSettings, Partition, StoreSettings};
use ipnet::IpNet;
use serde::{Deserialize, Deserializer};

pub use self::switches::{SwitchSection, SwitchSource, Switches};
use crate::secret::{Digest, Secret};

/// The defaults, with a comment for each.
pub const DEFAULTS: &str = include_str!("../../../../config/hookswitch.default.toml");

/// The account when nothing names one: a made-up one that the examples of this project use.
pub const ACCOUNT: AccountId = AccountId::new(310_001_016);

/// The filter when nothing names one.
pub const FILTER: &str = "/restapi/v1.0/account/~/telephony/sessions";

/// The name under which the holder of the admin token posts signals, which no ingest key may have: the ids and
/// legs of one name are those of one client.
pub const INGEST_ADMIN: &str = "admin";

/// All settings.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// HTTP, and how the server stops.
    pub server: Server,
    /// Messages of capture agents.
    pub hep: Hep,
    /// Connections to switches.
    #[serde(skip)]
    pub switches: Switches,
    /// Posted signals.
    pub ingest: Ingest,
    /// The logs and documents.
    pub store: Store,
    /// The NATS of a cluster.
    pub nats: Nats,
    /// This node among others.
    pub cluster: Cluster,
    /// Accounts and extensions.
    pub directory: Directory,
    /// Settings of the session machine that users choose.
    pub policy: PolicyTable,
    /// Delivery by webhook.
    pub webhooks: Webhooks,
    /// Delivery over WebSockets.
    pub websocket: WebSocket,
    /// The log on standard error.
    pub log: Log,
    /// How applications get tokens.
    pub oauth: OAuth,
    /// Limits on the requests of clients.
    pub limits: Limits,
    /// Rights to hear of and to read calls.
    pub rights: Rights,
}

/// Rights to hear of and to read calls.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rights {
    pub(crate) account_calls: AccountCalls,
    pub(crate) earlier_subscriptions: EarlierSubscriptions,
}

/// To whom the calls of a whole account are open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AccountCalls {
    Administrators,
    Everyone,
}

/// Treatment of subscriptions that were created before calls of the account took a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum EarlierSubscriptions {
    Keep,
    Close,
}

/// Ways in which applications get tokens, and the life of those.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OAuth {
    /// The file of the key from which all others are derived.
    pub key_file: PathBuf,
    pub(crate) access_token_life: Span,
    pub(crate) refresh_token_life: Span,
    pub(crate) login_life: Span,
    /// Set if users may give name and password to an application.
    pub password_grant: bool,
}

/// Limits on the requests of clients.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// The requests of an application for a user that are answered in a minute.
    pub requests_per_minute: u32,
    /// The actions on calls that a user may ask for in a minute.
    pub actions_per_minute: u32,
}

/// HTTP, and how the server stops.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// Address that it listens at.
    pub listen: SocketAddr,
    /// By which address clients reach it; empty for the one at which it listens.
    pub public_url: String,
    pub(crate) shutdown_grace: Span,
}

/// Messages of capture agents.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hep {
    /// Address of UDP and TCP.
    pub listen: Listen,
    /// Address of TLS.
    pub tls_listen: Listen,
    pub(crate) tls_certificate: PathBuf,
    pub(crate) tls_key: PathBuf,
    /// Bytes that the kernel holds of datagrams that are not read yet.
    pub receive_buffer_bytes: usize,
    /// The most connections at once.
    pub connections_max: usize,
    /// Senders that are let in; everybody if none is listed.
    pub source: Vec<HepSource>,
}

/// Sender of HEP that is let in.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HepSource {
    /// The name, unique among all sources.
    pub name: String,
    /// The addresses that it sends from; any without.
    #[serde(default)]
    pub addresses: Vec<AddressBlock>,
    /// The key that its frames must have (HEP chunk 14).
    pub key: Option<Secret>,
    /// The account of its calls.
    pub account: Option<Account>,
    /// Number of messages that a sender may send a second; the default if none is given.
    pub messages_per_second: Option<u32>,
}

/// Signals that are posted.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ingest {
    /// The most signals of one request.
    pub signals_max: usize,
    /// The keys that may post.
    pub key: Vec<IngestKey>,
}

/// Key of somebody who may post signals.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IngestKey {
    /// The name, by which the ids and legs of its signals are told from those of others.
    pub name: String,
    /// The SHA-256 digest of the key.
    pub sha256: Digest,
    /// The only account that it posts into; any when there is none.
    pub account: Option<Account>,
}

/// The logs and documents.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Store {
    /// Engine of the log.
    pub engine: Engine,
    /// The data directory.
    pub directory: PathBuf,
    /// Durability before anything is answered.
    pub durability: Durability,
    /// Time for which inputs are kept.
    pub signals_kept: Span,
    /// Time for which events are kept.
    pub events_kept: Span,
    pub(crate) snapshot_every: Span,
}

/// Connection of a node to NATS, and the names in it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nats {
    /// Addresses, as `nats://HOST:4222`.
    pub servers: Vec<String>,
    /// A `.creds` file; empty for none.
    pub credentials: PathBuf,
    /// The certificate of the authority that has signed those of the servers, in PEM; empty for no TLS.
    pub tls_ca: PathBuf,
    /// Beginning of the names of streams, buckets and subjects.
    pub prefix: String,
    pub(crate) replicas: usize,
    /// Time that a connection may take.
    pub connect_timeout: Span,
    pub(crate) monitors: Vec<String>,
}

/// The nodes that share the work.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cluster {
    /// Name of this node; empty for the name of its host.
    pub node: String,
    /// Into how many partitions the sources are divided.
    pub partitions: u8,
    pub(crate) lease: Span,
    /// For each node.
    pub(crate) spool_bytes: u64,
}

impl Server {
    fn check(&self) -> anyhow::Result<()> {
        let url = &self.public_url;
        let is_address = url::Url::parse(url).is_ok_and(|url| {
            matches!(url.scheme(), "http" | "https")
                && url.has_host()
                && url.query().is_none()
                && url.fragment().is_none()
        });
        ensure!(
            url.is_empty() || is_address,
            "server.public_url is {url:?}; write the address by which clients reach the server with its scheme, such as \
             \"https://pbx.example\""
        );
        Ok(())
    }
}

impl Log {
    /// Names of levels; what has another name is a target, which has a level behind it.
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

    fn check(&self) -> anyhow::Result<()> {
        for part in self.level.split(',').map(str::trim) {
            let level = part.rsplit_once('=').map_or(part, |(_, level)| level);
            ensure!(
                Self::LEVELS.iter().any(|known| known.eq_ignore_ascii_case(level)),
                "log.level is {:?}, and {level:?} is no level; write error, warn, info, debug or trace, or filters as in \
                 \"info,hookswitch_server::source=debug\"",
                self.level
            );
        }
        Ok(())
    }
}

impl Webhooks {
    /// The defaults, with every address allowed: for a program that posts on behalf of whoever runs it.
    ///
    /// # Errors
    /// None but a mistake in the defaults.
    pub fn to_anywhere() -> anyhow::Result<Self> {
        let text = "[webhooks]\nallow = [\"0.0.0.0/0\", \"::/0\"]\n";
        Ok(Config::parse(text, "the settings of the program", std::iter::empty())?.webhooks)
    }
}

impl Nats {
    fn check(&self) -> anyhow::Result<()> {
        ensure!(!self.servers.is_empty(), "nats.servers is empty; give one at least, nats://HOST:4222");
        ensure!(
            !self.prefix.is_empty()
                && self.prefix.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')),
            "nats.prefix is {:?}; use letters, digits, - and _",
            self.prefix
        );
        ensure!(
            matches!(self.replicas, 1 | 3 | 5),
            "nats.replicas is {}; JetStream keeps 1, 3 or 5",
            self.replicas
        );
        Ok(())
    }
}

impl Cluster {
    fn check(&self) -> anyhow::Result<()> {
        let partitions = self.partitions;
        ensure!(
            (1..=Partition::COUNT_MAX).contains(&partitions),
            "cluster.partitions is {partitions}; give 1 to {}",
            Partition::COUNT_MAX
        );
        ensure!(
            (1..=60).contains(&self.lease.0.as_secs()),
            "cluster.lease is {:?}; give 1 s to 60 s, such as \"3s\"",
            self.lease.0
        );
        ensure!(
            self.node.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')),
            "cluster.node is {:?}; use letters, digits, - and _",
            self.node
        );
        Ok(())
    }

    /// Returns what this node is called: its name, or that of its host.
    pub fn name(&self) -> String {
        if !self.node.is_empty() {
            return self.node.clone();
        }
        let host = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
        let fit = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
        host.unwrap_or_else(|| "node".to_owned()).chars().map(fit).collect()
    }
}

/// Accounts and extensions.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Directory {
    /// The directory file; empty for the built-in directory.
    pub file: PathBuf,
    /// The account of calls that belong to no other; 0 for the first of the directory.
    pub account: u64,
}

/// Settings of the session machine that users choose.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyTable {
    pub(crate) missed_calls: MissedCalls,
    /// Set if events say reasons that clients may not know.
    pub explicit_reasons: bool,
    /// Set if legs may be joined because their numbers agree.
    pub join_by_numbers: bool,
    /// Time that a response may wait for its request, which was reported late.
    pub(crate) late_requests: Span,
    pub(crate) sessions_max: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum MissedCalls {
    Standard,
    AnsweredElsewhereIsMissed,
}

/// Delivery by webhook.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Webhooks {
    /// Time that a receiver may take to answer.
    pub timeout: Span,
    pub(crate) retry_waits: Vec<Span>,
    pub(crate) retry_after_max: Span,
    pub(crate) blacklist_after: Span,
    pub(crate) revalidate_every: Span,
    pub(crate) parallel_max: usize,
    /// The most requests under way at once.
    pub in_flight_max: usize,
    pub(crate) ringing_kept: Span,
    pub(crate) subscriptions_max: usize,
    pub(crate) nameservers: Vec<SocketAddr>,
    /// Networks of this site to which notifications may be posted, over http too.
    pub allow: Vec<AddressBlock>,
}

/// Delivery over WebSockets.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebSocket {
    pub(crate) recovery_time: Span,
    pub(crate) recovery_messages: usize,
    pub(crate) idle_timeout: Span,
    pub(crate) absolute_timeout: Span,
    pub(crate) ping_every: Span,
    pub(crate) pong_within: Span,
    pub(crate) slow_after: Span,
    pub(crate) token_life: Span,
    pub(crate) connections_per_login_max: usize,
    /// The most connections at once.
    pub connections_max: usize,
    pub(crate) requests_max: usize,
    /// The web origins from which browsers may connect.
    pub origins: Vec<String>,
}

/// The log on standard error.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    pub(crate) level: String,
    /// The form of its records.
    pub format: LogFormat,
}

/// The form of records of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object per line.
    Json,
}

impl Config {
    /// Reads a file over the defaults, and the environment over both.
    ///
    /// # Errors
    /// A sentence that names the file or variable, the key and the fix.
    pub fn load(path: &Path) -> anyhow::Result<Self> {
        let name = path.display();
        let text = std::fs::read_to_string(path).with_context(|| {
            format!("cannot read {name}; name a file that `hookswitch init` has written, or one like it")
        })?;
        Self::read(&text, path)
    }

    /// The same for a text that is to be written to a file.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn read(text: &str, path: &Path) -> anyhow::Result<Self> {
        let mut config = Self::parse(text, &path.display().to_string(), std::env::vars())?;
        let beside = path.parent().unwrap_or(Path::new(""));
        for path in [
            &mut config.hep.tls_certificate,
            &mut config.hep.tls_key,
            &mut config.store.directory,
            &mut config.directory.file,
            &mut config.oauth.key_file,
            &mut config.nats.credentials,
            &mut config.nats.tls_ca,
        ] {
            if !path.as_os_str().is_empty() {
                *path = beside.join(&*path);
            }
        }
        for ca in config.switches.sources_mut().filter_map(|source| source.tls_ca.as_mut()) {
            *ca = beside.join(&*ca);
        }
        Ok(config)
    }

    /// Into how many partitions the work is divided; a server alone has one.
    pub fn partitions(&self) -> u8 {
        self.store_settings().partitions()
    }

    /// Returns what the store is told of the settings.
    pub fn store_settings(&self) -> StoreSettings {
        let Nats { servers, credentials, tls_ca, prefix, replicas, connect_timeout, monitors } =
            self.nats.clone();
        let connect_timeout = connect_timeout.0;
        StoreSettings {
            engine: self.store.engine,
            directory: self.store.directory.clone(),
            durability: self.store.durability,
            signals_kept: self.store.signals_kept.0,
            events_kept: self.store.events_kept.0,
            partitions_of_cluster: self.cluster.partitions,
            lease: self.cluster.lease.0,
            nats: NatsSettings { servers, credentials, tls_ca, prefix, replicas, connect_timeout, monitors },
        }
    }

    /// Checks what would be written to the file.
    ///
    /// # Errors
    /// A sentence that names the key and the fix.
    pub fn check_text(text: &str) -> anyhow::Result<()> {
        Self::parse(text, "hookswitch.toml", std::env::vars()).map(drop)
    }

    /// Reads a text over the defaults, and variables over both.
    fn parse(
        text: &str,
        name: &str,
        variables: impl Iterator<Item = (String, String)>,
    ) -> anyhow::Result<Self> {
        let variables: Vec<(String, String)> = variables.collect();
        let merged = layers::merge(text, name, variables.iter().cloned())?;
        let typed = |mut merged: toml::Table| {
            let switches = Switches::take(&mut merged)?;
            let config: Self = toml::Value::Table(merged).try_into()?;
            Ok::<_, toml::de::Error>(Self { switches, ..config })
        };
        let config = match typed(merged.clone()) {
            Ok(config) => config,
            Err(error) => {
                let usable =
                    |table| typed(table).map(drop).map_err(|error| error.message().trim_end().to_owned());
                let blamed = layers::blame(&merged, text, name, &variables, usable);
                bail!(blamed.unwrap_or_else(|| format!("{name}: {}", error.message())))
            }
        };
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> anyhow::Result<()> {
        let mut names: Vec<&str> = self.hep.source.iter().map(|source| &*source.name).collect();
        names.extend(self.switches.sources().map(|(_, source)| &*source.name));
        names.extend(self.ingest.key.iter().map(|key| &*key.name));
        names.sort_unstable();
        for pair in names.windows(2) {
            ensure!(pair[0] != pair[1], "the name {:?} is used twice; give each source its own", pair[0]);
        }
        ensure!(
            self.ingest.key.iter().all(|key| key.name != INGEST_ADMIN),
            "an ingest key has the name {INGEST_ADMIN:?}, under which signals come in that are posted with the \
             admin token; give the key another"
        );
        self.switches.check()?;
        self.server.check()?;
        self.log.check()?;
        let tls = [&self.hep.tls_certificate, &self.hep.tls_key];
        ensure!(
            self.hep.tls_listen.0.is_none() || tls.iter().all(|path| !path.as_os_str().is_empty()),
            "hep.tls_listen is set without a certificate; set hep.tls_certificate and hep.tls_key too"
        );
        ensure!(
            self.store.events_kept.0 >= self.store.signals_kept.0,
            "store.events_kept is shorter than store.signals_kept; events live at least as long as signals"
        );
        let oauth = &self.oauth;
        ensure!(
            oauth.access_token_life.0 <= oauth.refresh_token_life.0
                && oauth.refresh_token_life.0 <= oauth.login_life.0,
            "the tokens outlive what they come from; let oauth.access_token_life be the shortest, then \
             oauth.refresh_token_life, then oauth.login_life"
        );
        ensure!(
            oauth.access_token_life.0.as_secs() > 0,
            "oauth.access_token_life is shorter than a second; write \"1h\""
        );
        self.nats.check()?;
        ensure!(
            self.store.engine == Engine::Sqlite
                || self.store.signals_kept.0 >= 2 * self.store.snapshot_every.0,
            "store.signals_kept is shorter than two of store.snapshot_every; the state of open calls is made from both"
        );
        self.cluster.check()?;
        ensure!(self.limits.requests_per_minute > 0, "limits.requests_per_minute is 0; allow one at least");
        ensure!(self.limits.actions_per_minute > 0, "limits.actions_per_minute is 0; allow one at least");
        let webhooks = &self.webhooks;
        ensure!(
            !webhooks.timeout.0.is_zero(),
            "webhooks.timeout is 0; give receivers some time, such as \"3s\""
        );
        ensure!(
            webhooks.retry_waits.iter().any(|wait| !wait.0.is_zero()),
            "webhooks.retry_waits has no wait; give one at least, such as [\"1s\"]"
        );
        ensure!(
            webhooks.parallel_max > 0 && webhooks.in_flight_max > 0,
            "webhooks.parallel_max and webhooks.in_flight_max allow no request; allow one at least"
        );
        let websocket = &self.websocket;
        ensure!(
            [
                &websocket.idle_timeout,
                &websocket.absolute_timeout,
                &websocket.ping_every,
                &websocket.pong_within
            ]
            .iter()
            .all(|span| !span.0.is_zero()),
            "a time of [websocket] is 0; leave it out for the default"
        );
        ensure!(
            websocket.token_life.0.as_secs() > 0,
            "websocket.token_life is shorter than a second; write \"10m\""
        );
        ensure!(websocket.requests_max > 0, "websocket.requests_max is 0; allow one at least");
        for monitor in &self.nats.monitors {
            ensure!(
                url::Url::parse(monitor).is_ok_and(|url| url.scheme() == "http" && url.has_host()),
                "{monitor:?} of nats.monitors is no address; write \"http://HOST:8222\""
            );
        }
        ensure!(
            self.policy.late_requests.0 <= Duration::from_secs(1),
            "policy.late_requests is more than 1s, which would hold up the events of calls; the default is 100ms"
        );
        ensure!(self.policy.sessions_max > 0, "policy.sessions_max is 0; allow one call at least");
        Ok(())
    }

    /// The address by which clients reach the server, which listens there, without a slash at its end.
    pub fn public_url(&self, listens: SocketAddr) -> String {
        match self.server.public_url.trim_end_matches('/') {
            "" => format!("http://{listens}"),
            url => url.to_owned(),
        }
    }
}

/// Address to listen at; none if the text is empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Listen(pub Option<SocketAddr>);

impl<'de> Deserialize<'de> for Listen {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.is_empty() {
            return Ok(Self(None));
        }
        text.parse().map(|address| Self(Some(address))).map_err(|_| {
            serde::de::Error::custom(format!(
                "{text:?} is no address to listen on; write it as \"127.0.0.1:9060\" or \"[::]:9060\""
            ))
        })
    }
}

/// An account id, positive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account(pub AccountId);

impl<'de> Deserialize<'de> for Account {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u64::deserialize(deserializer)? {
            0 => Err(serde::de::Error::custom("account 0 is none; give a positive number")),
            id => Ok(Self(AccountId::new(id))),
        }
    }
}

/// Some IP addresses: one, or all with the same first bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressBlock(IpNet);

impl AddressBlock {
    /// Returns `true` if an address is one of them.
    pub fn contains(self, address: IpAddr) -> bool {
        self.0.contains(&address)
    }
}

impl<'de> Deserialize<'de> for AddressBlock {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let block = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        block.map(Self).map_err(|_| {
            serde::de::Error::custom(format!(
                "{text:?} is no address; write it as \"192.0.2.10\" or \"192.0.2.0/24\""
            ))
        })
    }
}

/// A duration in the words of the file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Span(pub Duration);

impl Span {
    fn parse(text: &str) -> anyhow::Result<Self> {
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let Ok(number) = digits.parse::<u64>() else {
            bail!("{text:?} is no duration; write it as \"250ms\", \"30s\", \"10m\", \"24h\" or \"7d\"")
        };
        let seconds = match &text[digits.len()..] {
            "ms" => return Ok(Self(Duration::from_millis(number))),
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            "d" => 86_400,
            unit => bail!("{text:?} has the unit {unit:?}; the units are ms, s, m, h and d"),
        };
        let seconds = number.checked_mul(seconds).filter(|&seconds| seconds <= SPAN_SECONDS_MAX);
        seconds
            .map(|seconds| Self(Duration::from_secs(seconds)))
            .with_context(|| format!("{text:?} is longer than 100 years"))
    }
}

/// Longer durations are mistakes, and would overflow what is computed with them.
const SPAN_SECONDS_MAX: u64 = 100 * 366 * 86_400;

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
impl Config {
    /// The settings that a text gives.
    pub(crate) fn of_text(text: &str) -> Self {
        Self::parse(text, "hookswitch.toml", std::iter::empty()).expect("valid")
    }
}

/// The settings of webhooks that some lines of their section give.
#[cfg(test)]
pub(crate) fn webhooks_of(lines: &str) -> Webhooks {
    let text = format!("[webhooks]\n{lines}");
    Config::parse(&text, "hookswitch.toml", std::iter::empty()).expect("valid").webhooks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str, variables: &[(&str, &str)]) -> anyhow::Result<Config> {
        let variables = variables.iter().map(|&(name, value)| (name.to_owned(), value.to_owned()));
        Config::parse(text, "hookswitch.toml", variables)
    }

    #[track_caller]
    fn refused(text: &str, variables: &[(&str, &str)]) -> String {
        format!("{:#}", config(text, variables).expect_err("it is refused"))
    }

    #[test]
    fn an_empty_file_gives_the_defaults() {
        let config = config("", &[]).expect("the defaults are valid");
        assert_eq!(config.server.listen, "127.0.0.1:8080".parse().unwrap());
        assert_eq!(config.hep.listen.0, Some("127.0.0.1:9060".parse().unwrap()));
        assert_eq!(config.hep.tls_listen.0, None);
        assert_eq!(config.store.signals_kept.0, Duration::from_secs(24 * 3600));
        assert_eq!(config.store.durability, Durability::Strict);
        assert_eq!(config.public_url(config.server.listen), "http://127.0.0.1:8080");
    }

    #[test]
    fn the_file_goes_over_the_defaults_and_the_environment_over_both() {
        let text = "[store]\nsignals_kept = \"48h\"\nevents_kept = \"30d\"\n[server]\npublic_url = \"https://pbx.example/\"";
        let variables = [
            ("HOOKSWITCH_STORE__EVENTS_KEPT", "14d"),
            ("HOOKSWITCH_POLICY__EXPLICIT_REASONS", "true"),
            ("HOOKSWITCH_HEP__CONNECTIONS_MAX", "7"),
            ("HOOKSWITCH_LOG__LEVEL", "info,hookswitch=debug"),
            ("HOOKSWITCH_INGEST__KEY", &format!("[{{name = \"a\", sha256 = \"{}\"}}]", "0".repeat(64))),
            ("PATH", "/bin"),
        ];
        let config = config(text, &variables).expect("valid");
        assert_eq!(config.store.signals_kept.0, Duration::from_secs(48 * 3600));
        assert_eq!(config.store.events_kept.0, Duration::from_secs(14 * 86_400));
        assert!(config.policy.explicit_reasons);
        assert_eq!(config.hep.connections_max, 7);
        assert_eq!(config.log.level, "info,hookswitch=debug");
        assert_eq!(config.ingest.key[0].name, "a");
        assert_eq!(config.public_url(config.server.listen), "https://pbx.example");
    }

    #[test]
    fn an_unknown_key_is_refused_with_the_nearest_known_name() {
        for (text, variables, named) in [
            ("[stroe]\n", &[][..], "[stroe] is unknown; did you mean [store]?"),
            (
                "[store]\nsignal_kept = \"1h\"",
                &[],
                "store.signal_kept is unknown; did you mean signals_kept?",
            ),
            ("listen = 1", &[], "listen is unknown"),
            (
                "[[hep.source]]\nname = \"a\"\nadresses = []",
                &[],
                "hep.source.adresses is unknown; did you mean addresses?",
            ),
            ("", &[("HOOKSWITCH_STORE__SIGNALS", "1h")], "HOOKSWITCH_STORE__SIGNALS"),
            ("", &[("HOOKSWITCH_STORE__SIGNALS", "1h")], "did you mean signals_kept?"),
        ] {
            let error = refused(text, variables);
            assert!(error.contains(named), "{text:?}: {error}");
        }
    }

    #[test]
    fn a_value_that_cannot_be_used_is_refused_with_the_mend() {
        for (text, named) in [
            ("[store]\nsignals_kept = \"1 day\"", "\"24h\" or \"7d\""),
            ("[store]\nsignals_kept = \"8d\"", "store.events_kept is shorter"),
            ("[store]\ndurability = \"none\"", "unknown variant `none`"),
            ("[hep]\nlisten = \"9060\"", "\"127.0.0.1:9060\""),
            ("[hep]\ntls_listen = \"[::]:9061\"", "hep.tls_certificate"),
            ("[[hep.source]]\nname = \"a\"\naddresses = [\"pbx.example\"]", "\"192.0.2.0/24\""),
            ("[[hep.source]]\nname = \"a\"\n[[hep.source]]\nname = \"a\"", "used twice"),
            ("[[ingest.key]]\nname = \"a\"\nsha256 = \"12\"", "64 hexadecimal digits"),
            (
                "[[ingest.key]]\nname = \"admin\"\n\
                 sha256 = \"d0c04f4b1951e4aeaaec8223ed2039e542f3aae805a6fa7f6d794e5afff5d272\"",
                "give the key another",
            ),
            ("[[esl.source]]\nname = \"a\"\naddress = \"pbx:8021\"", "no password"),
            ("[[esl.source]]\nname = \"a\"\naddress = \"pbx\"\npassword = \"b\"", "\"192.0.2.10:8021\""),
            (
                "[[esl.source]]\nname = \"a\"\naddress = \"pbx:8021\"\npassword = \"b\\n\\napi shutdown\"",
                "hold a line end",
            ),
            ("[[esl.source]]\nname = \"a\"", "neither address nor connects_from"),
            ("[[esl.source]]\nname = \"a\"\nconnects_from = [\"192.0.2.10\"]", "esl.listen is not set"),
            (
                "[esl]\nlisten = \"127.0.0.1:8084\"\n[[esl.source]]\nname = \"a\"\naddress = \"pbx:8021\"\n\
                 password = \"b\"\nconnects_from = [\"192.0.2.10\"]",
                "leave one out",
            ),
            (
                "[[esl.source]]\nname = \"a\"\naddress = \"pbx:8021\"\npassword = \"b\"\nuser = \"me\"",
                "hookswitch@pbx.example.com",
            ),
            ("[store\n", "hookswitch.toml, line 1"),
            (
                "[server]\nlisten = \"8080\"",
                "hookswitch.toml, line 2: server.listen is \"8080\", which cannot be used",
            ),
            ("[server]\nlisten = \"8080\"", "the default is listen = \"127.0.0.1:8080\""),
            ("[hep]\n# many\nconnections_max = \"some\"", "line 3: hep.connections_max is \"some\""),
            ("[policy]\nexplicit_reasons = 1", "line 2: policy.explicit_reasons is 1, which cannot be used"),
            (
                "[store]\n\n[[hep.source]]\nname = \"a\"\nkey = 7\n",
                "hookswitch.toml, line 3: hep.source cannot be used",
            ),
            ("[server]\npublic_url = \"pbx.example\"", "\"https://pbx.example\""),
            ("[server]\npublic_url = \"localhost:8080\"", "server.public_url is \"localhost:8080\""),
            ("[log]\nlevel = \"loud\"", "\"loud\" is no level; write error, warn, info"),
            ("[log]\nlevel = \"info,hookswitch=verbose\"", "\"verbose\" is no level"),
            (
                "[server]\nlisten = \"[::]:1\"\n[hep]\n[server]\npublic_url = \"\"",
                "line 4: [server] is there already in line 1; put its keys below that one",
            ),
            (
                "[hep]\nlisten = \"\"\n[store]\ndirectory = \"a\"\ndirectory = \"b\"",
                "line 5: directory is there already in line 4; leave one of the two out",
            ),
            ("store = 7", "store is no section"),
        ] {
            let error = refused(text, &[]);
            assert!(error.contains(named), "{text:?}: {error}");
        }
    }

    #[test]
    fn a_variable_that_cannot_be_used_is_named_and_those_of_commands_are_no_settings() {
        let error = refused("", &[("HOOKSWITCH_SERVER__LISTEN", "8080")]);
        assert!(
            error.starts_with("the variable HOOKSWITCH_SERVER__LISTEN: server.listen is \"8080\", which"),
            "{error}"
        );
        let of_commands = [
            ("HOOKSWITCH_ADMIN_TOKEN", "a"),
            ("HOOKSWITCH_HEP_KEY", "b"),
            ("HOOKSWITCH_SIGNING_SECRET", "whsec_c"),
        ];
        assert!(config("", &of_commands).is_ok());
        assert!(refused("", &[("HOOKSWITCH_ADMIN_TOKENS", "a")]).contains("write HOOKSWITCH_SECTION__KEY"));
    }

    #[test]
    fn secrets_are_not_shown() {
        let config = config("[[hep.source]]\nname = \"a\"\nkey = \"hunter2\"", &[]).expect("valid");
        assert!(!format!("{config:?}").contains("hunter2"));
        let error = refused("[[hep.source]]\nname = 1\nkey = \"hunter2\"", &[]);
        assert!(!error.contains("hunter2"), "{error}");
    }
}
