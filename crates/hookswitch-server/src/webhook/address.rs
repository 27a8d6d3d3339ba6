//! Addresses that a webhook may go to: public ones, so that nobody posts into our own network.
//!
//! An address is read as browsers read it, so that `0x7f.1` and `127.0.0.1` are one. A name is
//! resolved here, every record of it is checked, and the connection goes to what was checked. That is
//! done again before each attempt, because a name may come to mean another address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::Context as _;
use hickory_resolver::config::{NameServerConfig, ResolverConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::{TokioResolver, system_conf};
use hyper::Uri;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use url::{Host, Url};

use crate::config::{AddressBlock, Webhooks};
use crate::secret::Digest;

/// The longest address that is taken, in bytes.
const URL_BYTES_MAX: usize = 2048;

/// Time that a name may take to be resolved, within the time of an attempt.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(2);

/// IPv4 addresses that are no public hosts (IANA special-purpose registry, RFC 6890).
const NOT_PUBLIC_V4: [([u8; 4], u8); 18] = [
    ([0, 0, 0, 0], 8),       // this network
    ([10, 0, 0, 0], 8),      // private
    ([100, 64, 0, 0], 10),   // shared by carriers
    ([127, 0, 0, 0], 8),     // this host
    ([169, 254, 0, 0], 16),  // link-local, with the metadata of clouds
    ([172, 16, 0, 0], 12),   // private
    ([192, 0, 0, 0], 24),    // protocol assignments
    ([192, 0, 2, 0], 24),    // documentation
    ([192, 31, 196, 0], 24), // AS112
    ([192, 52, 193, 0], 24), // AMT
    ([192, 88, 99, 0], 24),  // 6to4 relays
    ([192, 168, 0, 0], 16),  // private
    ([192, 175, 48, 0], 24), // AS112
    ([198, 18, 0, 0], 15),   // benchmarks
    ([198, 51, 100, 0], 24), // documentation
    ([203, 0, 113, 0], 24),  // documentation
    ([224, 0, 0, 0], 4),     // multicast
    ([240, 0, 0, 0], 4),     // reserved, broadcast
];

/// The IPv6 addresses that are given out to public hosts.
const PUBLIC_V6: ([u16; 8], u8) = ([0x2000, 0, 0, 0, 0, 0, 0, 0], 3);

/// Among those, addresses that are not, or that lead to an IPv4 address inside.
const NOT_PUBLIC_V6: [([u16; 8], u8); 5] = [
    ([0x2001, 0, 0, 0, 0, 0, 0, 0], 23),         // protocol assignments, Teredo
    ([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32),     // documentation
    ([0x2002, 0, 0, 0, 0, 0, 0, 0], 16),         // 6to4
    ([0x2620, 0x4f, 0x8000, 0, 0, 0, 0, 0], 48), // AS112
    ([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20),         // documentation
];

/// Ports above 1023 that other protocols use, as browsers refuse them (WHATWG Fetch, port blocking).
const BLOCKED_PORTS: [u16; 19] = [
    1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679,
    6697, 10080,
];

/// Reason why nothing is sent to an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// It is no address of a webhook.
    #[error("{0}")]
    Invalid(&'static str),
    /// It is not HTTPS.
    #[error("the address begins with http://; use https://")]
    NotHttps,
    /// The name cannot be resolved.
    #[error("the name cannot be resolved")]
    Unresolved,
    /// It leads where nothing may go.
    #[error("the address is not public")]
    Forbidden,
}

/// An address that was read and is not known to be forbidden.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookUrl {
    host: Host<String>,
    port: u16,
    https: bool,
    uri: Uri,
}

impl WebhookUrl {
    /// For requests.
    pub fn uri(&self) -> &Uri {
        &self.uri
    }

    /// Its host and port, `host:port`: what all receivers there have in common.
    pub fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

/// Decides which addresses webhooks may go to.
#[derive(Clone)]
pub struct Guard {
    resolver: TokioResolver,
    /// Networks that are allowed though they are not public.
    allowed: Vec<AddressBlock>,
    /// For development: http, and addresses of this machine.
    dev: bool,
}

impl Guard {
    /// The guard of a configuration.
    ///
    /// # Errors
    /// If the resolver cannot be made.
    pub fn new(config: &Webhooks, dev: bool) -> anyhow::Result<Self> {
        let (servers, options) = if config.nameservers.is_empty() {
            system_conf::read_system_conf().map_or_else(
                |error| {
                    tracing::warn!(%error, "the system names no DNS servers; set webhooks.nameservers");
                    (Vec::new(), ResolverOpts::default())
                },
                |(system, options)| (system.name_servers().to_vec(), options),
            )
        } else {
            (config.nameservers.iter().map(name_server).collect(), ResolverOpts::default())
        };
        // Without a search list: a name means the same here and at whoever wrote it.
        let names = ResolverConfig::from_parts(None, Vec::new(), servers);
        let mut builder = TokioResolver::builder_with_config(names, TokioRuntimeProvider::default());
        *builder.options_mut() = options;
        builder.options_mut().timeout = LOOKUP_TIMEOUT / 2;
        builder.options_mut().attempts = 1;
        let resolver = builder.build().context("make a DNS resolver")?;
        Ok(Self { resolver, allowed: config.allow.clone(), dev })
    }

    /// Reads an address.
    ///
    /// # Errors
    /// If it is none, or one to which nothing is ever sent.
    pub fn read(&self, text: &str) -> Result<WebhookUrl, AddressError> {
        if text.len() > URL_BYTES_MAX {
            return Err(AddressError::Invalid("it is longer than 2048 bytes"));
        }
        // What browsers mend is where readers differ, and so where somebody is deceived.
        let authority = text.split_once("://").map(|(_, authority)| authority);
        if authority.is_none_or(|authority| authority.starts_with('/')) {
            return Err(AddressError::Invalid("it does not begin with https:// and a host"));
        }
        if text.contains(|c: char| c == '\\' || c.is_whitespace() || c.is_control()) {
            return Err(AddressError::Invalid("it has a backslash, a space or a control character in it"));
        }
        let url = Url::parse(text).map_err(|_| AddressError::Invalid("it is no URL"))?;
        let https = match url.scheme() {
            "https" => true,
            "http" if self.dev || !self.allowed.is_empty() => false,
            "http" => return Err(AddressError::NotHttps),
            _ => return Err(AddressError::Invalid("it does not begin with https://")),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(AddressError::Invalid("it has a user name or password in it"));
        }
        let host = url.host().ok_or(AddressError::Invalid("it names no host"))?.to_owned();
        let port = url.port_or_known_default().unwrap_or_default();
        let mut url = url;
        url.set_fragment(None);
        let uri = url.as_str().parse().map_err(|_| AddressError::Invalid("it is no URL"))?;
        let read = WebhookUrl { host, port, https, uri };
        let usable_port = matches!(port, 80 | 443) || (port > 1023 && !BLOCKED_PORTS.contains(&port));
        let address = match &read.host {
            Host::Ipv4(address) => Some(IpAddr::from(*address)),
            Host::Ipv6(address) => Some(IpAddr::from(*address)),
            Host::Domain(_) => None,
        };
        if !usable_port {
            tracing::info!(host = %read.host, port, "a webhook address was refused: the port is another protocol's");
            return Err(AddressError::Forbidden);
        }
        if address.is_some_and(|address| !https && !self.dev && !self.is_exempt(address)) {
            return Err(AddressError::NotHttps);
        }
        if address.is_some_and(|address| !self.permits(address)) {
            return Err(AddressError::Forbidden);
        }
        Ok(read)
    }

    /// Checks where an address leads to now; called before each attempt.
    ///
    /// # Errors
    /// If it leads nowhere, or to any address that is not allowed.
    pub async fn check(&self, url: &WebhookUrl) -> Result<(), AddressError> {
        let addresses = match &url.host {
            Host::Ipv4(address) => vec![IpAddr::from(*address)],
            Host::Ipv6(address) => vec![IpAddr::from(*address)],
            Host::Domain(name) => self.resolve(name).await?,
        };
        // Without TLS nothing leaves the machine and the networks that were named.
        let bare = addresses.iter().find(|&&address| !url.https && !self.is_exempt(address));
        if let Some(address) = bare {
            tracing::info!(
                host = %url.host,
                %address,
                "a webhook address was refused: http is for the networks of webhooks.allow alone"
            );
            return Err(AddressError::Forbidden);
        }
        if addresses.iter().all(|&address| self.permits(address)) {
            Ok(())
        } else {
            Err(AddressError::Forbidden)
        }
    }

    /// The addresses of a name, if all of them are allowed.
    ///
    /// # Errors
    /// If there are none, or one is not allowed.
    pub async fn resolve(&self, name: &str) -> Result<Vec<IpAddr>, AddressError> {
        let lookup = tokio::time::timeout(LOOKUP_TIMEOUT, self.resolver.lookup_ip(name)).await;
        let found = lookup.map_err(|_| AddressError::Unresolved)?.map_err(|error| {
            tracing::debug!(name, %error, "a name cannot be resolved");
            AddressError::Unresolved
        })?;
        let addresses: Vec<IpAddr> = found.iter().collect();
        if addresses.is_empty() {
            return Err(AddressError::Unresolved);
        }
        if addresses.iter().all(|&address| self.permits(address)) {
            Ok(addresses)
        } else {
            Err(AddressError::Forbidden)
        }
    }

    /// Returns `true` if anything may be sent to an address. If not, the log says by which rule: who asked is not told.
    fn permits(&self, address: IpAddr) -> bool {
        let Some(rule) = not_public(address).filter(|_| !self.is_exempt(address)) else { return true };
        tracing::info!(
            %address,
            %rule,
            "a webhook address was refused: it is not public; name its network in webhooks.allow if it is yours"
        );
        false
    }

    /// Returns `true` if an address is allowed though it is not public.
    fn is_exempt(&self, address: IpAddr) -> bool {
        self.allowed.iter().any(|block| block.contains(address)) || (self.dev && address.is_loopback())
    }
}

/// The longest word of a path that is shown: what is longer may be a key.
const WORD_CHARS_MAX: usize = 8;

/// An address for people: words of the path that could be a key, and the values of the query, are masked, and a few
/// digits of a digest tell one address from another.
pub fn masked(address: &str) -> String {
    let Some((scheme, rest)) = address.split_once("://") else { return "(an address)".to_owned() };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at(end);
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let path = rest.split(['?', '#']).next().unwrap_or_default();
    let is_word = |word: &str| {
        word.len() <= WORD_CHARS_MAX && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')
    };
    let shown: Vec<&str> = path.split('/').map(|word| if is_word(word) { word } else { "…" }).collect();
    let path = shown.join("/");
    if path == rest {
        return format!("{scheme}://{host}{path}");
    }
    let digest = Digest::of(address.as_bytes()).to_string();
    let query = if rest.contains('?') { "?…" } else { "" };
    format!("{scheme}://{host}{path}{query} ({})", &digest[..6])
}

fn name_server(address: &SocketAddr) -> NameServerConfig {
    let mut server = NameServerConfig::udp_and_tcp(address.ip());
    for connection in &mut server.connections {
        connection.port = address.port();
    }
    server
}

/// The network by which an address is not one of a host that everybody can reach; none if it is.
fn not_public(address: IpAddr) -> Option<IpNet> {
    let v4 = |&(address, prefix): &([u8; 4], u8)| Ipv4Net::new_assert(Ipv4Addr::from(address), prefix).into();
    let v6 =
        |&(address, prefix): &([u16; 8], u8)| Ipv6Net::new_assert(Ipv6Addr::from(address), prefix).into();
    let holds = |net: &IpNet| net.contains(&address);
    match address {
        IpAddr::V4(_) => NOT_PUBLIC_V4.iter().map(v4).find(holds),
        IpAddr::V6(_) if !holds(&v6(&PUBLIC_V6)) => Some(Ipv6Net::default().into()),
        IpAddr::V6(_) => NOT_PUBLIC_V6.iter().map(v6).find(holds),
    }
}

#[cfg(test)]
mod tests;
