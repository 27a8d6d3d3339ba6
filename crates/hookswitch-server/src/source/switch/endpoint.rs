//! Endpoint of a switch, and the way to connect to it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};

use super::Stream;

/// Time that it may take to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// An address of a switch.
pub(crate) struct SwitchEndpoint {
    /// The name of the source, for people.
    pub(super) name: String,
    pub(super) address: String,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

impl SwitchEndpoint {
    /// The address of a source; with the file of an authority, over TLS.
    ///
    /// # Errors
    /// If the certificate of the authority cannot be used.
    pub(crate) fn new(name: &str, address: &str, tls_ca: Option<&Path>) -> anyhow::Result<Self> {
        let tls = tls_ca.map(|ca| tls(ca, address)).transpose()?;
        Ok(Self { name: name.to_owned(), address: address.to_owned(), tls })
    }

    /// Connects.
    ///
    /// # Errors
    /// If nobody answers there, or not with a certificate that is trusted.
    pub(super) async fn connect(&self) -> anyhow::Result<Stream> {
        let address = &self.address;
        let stream = timeout(CONNECT_TIMEOUT, TcpStream::connect(address))
            .await
            .with_context(|| format!("{address} does not answer"))?
            .with_context(|| format!("cannot connect to {address}"))?;
        stream.set_nodelay(true).ok(); // it only makes the login slower
        let Some((tls, name)) = &self.tls else { return Ok(Box::new(stream)) };
        let stream = timeout(CONNECT_TIMEOUT, tls.connect(name.clone(), stream))
            .await
            .with_context(|| format!("{address} does not answer over TLS"))?
            .with_context(|| format!("no TLS with {address}; compare its certificate with tls_ca"))?;
        Ok(Box::new(stream))
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
