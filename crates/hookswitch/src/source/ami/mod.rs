//! Manager connections to Asterisk: made, kept, and made again.

mod connection;
mod inventory;
mod login;

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use hookswitch_model::AccountId;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};

use self::connection::Connection;
pub(crate) use self::inventory::Inventory;
use crate::clock;
use crate::config::AmiSource;
use crate::run::Intake;
use crate::source::count::SourceCount;
use crate::store::record::Sender;
use crate::telemetry::Metrics;

/// How long it may take to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long to wait before the next attempt: at first, and at most. It doubles in between.
const RECONNECT_FIRST: Duration = Duration::from_millis(500);
const RECONNECT_MAX: Duration = Duration::from_secs(30);

/// A connection that has lasted so long begins anew with the first wait.
const LASTED: Duration = Duration::from_secs(60);

/// Told what a switch says of its own phones, mailboxes, queues and parking lots, and of whose account they are.
pub(crate) type Found = Arc<dyn Fn(&str, AccountId, Inventory) + Send + Sync>;

/// One Asterisk to which a manager connection is kept.
pub(crate) struct Switch {
    account: AccountId,
    found: Found,
    config: AmiSource,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    sender: Arc<Sender>,
    intake: SyncSender<Intake>,
    metrics: Arc<Metrics>,
    count: Arc<SourceCount>,
}

impl Switch {
    /// Prepares the connection of a configured source; `account` is whose its calls are when it says nothing.
    ///
    /// # Errors
    /// If the certificate of its authority cannot be used.
    pub(crate) fn new(
        config: AmiSource,
        account: AccountId,
        intake: SyncSender<Intake>,
        metrics: Arc<Metrics>,
        found: Found,
    ) -> anyhow::Result<Self> {
        let account = config.account.map_or(account, |account| account.0);
        let sender =
            Sender::Ami { name: config.name.clone(), account: account.as_u64(), hep: config.hep.clone() };
        let tls = config.tls_ca.as_deref().map(|ca| tls(ca, &config.address)).transpose()?;
        let count = metrics.sources.of("ami", &config.name, account);
        count.set_connected(false);
        Ok(Self { account, found, config, tls, sender: Arc::new(sender), intake, metrics, count })
    }

    /// Keeps the connection until told to stop.
    pub(crate) async fn run(self, mut stop: watch::Receiver<bool>) {
        let mut wait = RECONNECT_FIRST;
        loop {
            let begun = clock::now();
            let found = {
                let (name, account, found) = (self.config.name.clone(), self.account, self.found.clone());
                Box::new(move |inventory| found(&name, account, inventory))
            };
            let mut connection = Connection::new(
                self.sender.clone(),
                self.intake.clone(),
                self.metrics.clone(),
                self.count.clone(),
                found,
            );
            let ended = tokio::select! {
                ended = self.follow(&mut connection) => ended,
                _ = stop.wait_for(|&stop| stop) => return,
            };
            if connection.was_up() {
                self.metrics.ami_connections.dec();
                self.count.set_connected(false);
            }
            connection.end().await;
            if begun.elapsed() >= LASTED {
                wait = RECONNECT_FIRST;
            }
            let error = ended.err().map_or_else(String::new, |error| format!("{error:#}"));
            tracing::warn!(
                source = self.config.name,
                address = self.config.address,
                error,
                again_in_milliseconds = wait.as_millis() as u64,
                "there is no manager connection"
            );
            self.metrics.ami_connections_lost.inc();
            tokio::select! {
                () = sleep(wait) => {}
                _ = stop.wait_for(|&stop| stop) => return,
            }
            wait = (wait * 2).min(RECONNECT_MAX);
        }
    }

    async fn follow(&self, connection: &mut Connection) -> anyhow::Result<()> {
        let address = &self.config.address;
        let stream = timeout(CONNECT_TIMEOUT, TcpStream::connect(address))
            .await
            .with_context(|| format!("{address} does not answer"))?
            .with_context(|| format!("cannot connect to {address}"))?;
        stream.set_nodelay(true).ok(); // it only makes the login slower
        match &self.tls {
            None => connection.follow(stream, &self.config).await,
            Some((tls, name)) => {
                let stream = timeout(CONNECT_TIMEOUT, tls.connect(name.clone(), stream))
                    .await
                    .with_context(|| format!("{address} does not answer over TLS"))?
                    .with_context(|| format!("no TLS with {address}; compare its certificate with tls_ca"))?;
                connection.follow(stream, &self.config).await
            }
        }
    }
}

/// Trusts the authority of a file, for the host of an address.
fn tls(ca: &Path, address: &str) -> anyhow::Result<(TlsConnector, ServerName<'static>)> {
    let name = ca.display();
    let certificates = CertificateDer::pem_file_iter(ca)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .with_context(|| format!("cannot read tls_ca {name}; give a PEM file of the authority"))?;
    let mut roots = RootCertStore::empty();
    let (taken, _) = roots.add_parsable_certificates(certificates);
    ensure!(taken > 0, "tls_ca {name} holds no certificate; give a PEM file of the authority");
    let config = ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .context("no version of TLS can be used")?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let server = ServerName::try_from(host)
        .with_context(|| format!("{address} has no host that a certificate can name"))?;
    Ok((TlsConnector::from(Arc::new(config)), server))
}
