//! A DNS server that answers as a test wants, and certificates for the names it gives.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ServerConfig, crypto};

use super::path;

/// A running DNS server.
pub(super) struct Resolver {
    pub(super) address: SocketAddr,
    asked: Arc<AtomicUsize>,
}

impl Resolver {
    /// Answers each question for an IPv4 address, by the name and how many were asked before; nothing of
    /// it may be kept (TTL 0). There are no other addresses.
    pub(super) fn new(answer: impl Fn(&str, usize) -> Vec<Ipv4Addr> + Send + 'static) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        let address = socket.local_addr().expect("an address");
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        thread::spawn(move || {
            let mut buffer = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut buffer) {
                let Some((name, kind, end)) = question(&buffer[..length]) else { continue };
                let found =
                    if kind == 1 { answer(&name, count.fetch_add(1, Ordering::Relaxed)) } else { vec![] };
                // The same id, an answer without error, the question as it was (RFC 1035 §4.1).
                let mut reply =
                    vec![buffer[0], buffer[1], 0x81, 0x80, 0, 1, 0, found.len() as u8, 0, 0, 0, 0];
                reply.extend(&buffer[12..end]);
                for address in found {
                    reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4]);
                    reply.extend(address.octets());
                }
                socket.send_to(&reply, from).ok();
            }
        });
        Self { address, asked }
    }

    /// Returns the number of questions.
    pub(super) fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

/// The name and the type that a query asks for, and where the question ends.
fn question(query: &[u8]) -> Option<(String, u16, usize)> {
    let mut at = 12;
    let mut labels = Vec::new();
    loop {
        let length = usize::from(*query.get(at)?);
        at += 1;
        if length == 0 {
            break;
        }
        labels.push(String::from_utf8_lossy(query.get(at..at + length)?).to_ascii_lowercase());
        at += length;
    }
    let kind = u16::from_be_bytes([*query.get(at)?, *query.get(at + 1)?]);
    Some((labels.join("."), kind, at + 4))
}

/// An authority that signs certificates.
pub(super) struct Authority {
    directory: PathBuf,
}

impl Authority {
    pub(super) fn new(directory: &Path) -> Self {
        let authority = Self { directory: directory.to_owned() };
        openssl(
            &["req", "-x509", "-subj", "/CN=Test authority", "-days", "2"],
            &["-keyout", path(&authority.file("ca.key")), "-out", path(&authority.certificate())],
        );
        authority
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// The certificate that clients trust.
    pub(super) fn certificate(&self) -> PathBuf {
        self.file("ca.pem")
    }

    /// A server with a certificate for a name, signed by the authority or by nobody.
    pub(super) fn server(&self, name: &str, signed: bool) -> Arc<ServerConfig> {
        let [certificate, key] = ["pem", "key"].map(|kind| self.file(&format!("{name}-{signed}.{kind}")));
        let (authority, authority_key) = (self.certificate(), self.file("ca.key"));
        let subject = format!("/CN={name}");
        let names = format!("subjectAltName=DNS:{name}");
        let signer: &[&str] =
            if signed { &["-CA", path(&authority), "-CAkey", path(&authority_key)] } else { &[] };
        let mut arguments = vec!["req", "-x509", "-subj", &subject, "-days", "2", "-addext", &names];
        arguments.extend(["-addext", "basicConstraints=critical,CA:FALSE"]);
        arguments.extend(signer);
        openssl(&arguments, &["-keyout", path(&key), "-out", path(&certificate)]);
        let chain = CertificateDer::pem_file_iter(&certificate).expect("it is there").map(Result::unwrap);
        let key = PrivateKeyDer::from_pem_file(&key).expect("it is there");
        let config = ServerConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("TLS 1.2 and 1.3")
            .with_no_client_auth()
            .with_single_cert(chain.collect(), key);
        Arc::new(config.expect("they belong together"))
    }
}

fn openssl(arguments: &[&str], files: &[&str]) {
    let made = Command::new("openssl")
        .args(arguments)
        .args(["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"])
        .args(files)
        .stderr(Stdio::null())
        .status();
    assert!(made.expect("openssl runs").success(), "openssl {arguments:?}");
}
