//! HEP over TCP and TLS: frames one after the other on a connection.
//!
//! A connection waits when the machine is busy, so the agent does; nothing is dropped for that.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::sync::mpsc::{SyncSender, TrySendError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use hookswitch_signal::capture::hep;
use prometheus_client::metrics::counter::Counter;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::connection_limits::{self, ConnectionLimits, ConnectionPermit};
use crate::intake::{Frames, Gate, Intake, Pool};
use crate::telemetry::Metrics;
use crate::{clock, listener};

/// Time that a handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Time for which an agent may stop in the middle of a frame.
const FRAME_TIMEOUT: Duration = Duration::from_secs(30);

/// The connections of one host that may wait for their first frame for as long as they like; more have
/// [`FRAME_TIMEOUT`] for it.
const SILENT_MAX: usize = 4;

/// Batches of one connection that may be with the machine at once.
const BATCHES: usize = 2;

/// Time to wait for a machine that is busy before it is asked again.
const BUSY_PAUSE: Duration = Duration::from_millis(2);

/// Time to wait when no connection can be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Bytes that are read at once at most; more than the longest frame.
const READ_BYTES: usize = 128 * 1024;

/// State that all connections share.
pub(crate) struct Listener {
    gate: Mutex<Gate>,
    intake: SyncSender<Intake>,
    metrics: Arc<Metrics>,
    limits: ConnectionLimits,
    /// The connections of each host on which nothing has come yet.
    silent: Mutex<HashMap<IpAddr, usize>>,
}

impl Listener {
    /// Shares a gate among connections, of which there may be so many.
    pub(crate) fn new(
        gate: Gate,
        intake: SyncSender<Intake>,
        metrics: Arc<Metrics>,
        connections_max: usize,
    ) -> Arc<Self> {
        // One host leaves three quarters to others.
        let limits = ConnectionLimits::new("HEP", connections_max, (connections_max / 4).max(1));
        Arc::new(Self { gate: Mutex::new(gate), intake, metrics, limits, silent: Mutex::default() })
    }

    /// Accepts connections until told to stop.
    pub(crate) async fn serve(
        self: Arc<Self>,
        listener: TcpListener,
        tls: Option<TlsAcceptor>,
        stop: watch::Receiver<bool>,
    ) {
        let mut stopped = stop.clone();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = stopped.wait_for(|&stop| stop) => return,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a HEP connection");
                    sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let from = peer.ip().to_canonical();
            let place = if self.admits(from) { self.limits.enter(from) } else { None };
            let Some(place) = place else {
                self.metrics.connections_refused.inc();
                continue;
            };
            listener::keep_alive(&stream);
            let (shared, tls, mut stop) = (self.clone(), tls.clone(), stop.clone());
            tokio::spawn(async move {
                let _open = Open::count(&shared, place);
                let received = match tls {
                    None => &shared.metrics.frames_received.tcp,
                    Some(_) => &shared.metrics.frames_received.tls,
                };
                let follow = async {
                    match tls {
                        None => shared.follow(stream, from, received).await,
                        Some(tls) => {
                            let stream = timeout(HANDSHAKE_TIMEOUT, tls.accept(stream)).await??;
                            shared.follow(stream, from, received).await
                        }
                    }
                };
                let ended = tokio::select! {
                    ended = follow => ended,
                    _ = stop.wait_for(|&stop| stop) => Ok(()),
                };
                if let Err(error) = ended {
                    shared.metrics.connections_refused.inc();
                    tracing::debug!(%from, %error, "a HEP connection ended with an error");
                }
            });
        }
    }

    fn admits(&self, from: IpAddr) -> bool {
        let Ok(mut gate) = self.gate.lock() else { return false };
        gate.refresh();
        gate.admits(from)
    }

    /// Takes the frames of a connection until it ends.
    async fn follow(
        &self,
        mut stream: impl AsyncRead + Unpin,
        from: IpAddr,
        received: &Counter,
    ) -> io::Result<()> {
        let mut pool = Pool::new(BATCHES);
        let mut buffer = vec![0; READ_BYTES];
        let mut held = 0;
        let mut silent = Some(Silent::count(self, connection_limits::host(from)));
        loop {
            let read = stream.read(&mut buffer[held..]);
            // Between frames an agent may be silent for as long as it likes; before the first on some connections.
            let read = match (held, &silent) {
                (0, None) => read.await?,
                (0, Some(silent)) if silent.may_wait() => {
                    tokio::select! {
                        read = read => read?,
                        () = silent.crowded() => return Err(io::ErrorKind::TimedOut.into()),
                    }
                }
                _ => timeout(FRAME_TIMEOUT, read).await??,
            };
            if read == 0 {
                return match held {
                    0 => Ok(()),
                    _ => Err(io::ErrorKind::UnexpectedEof.into()),
                };
            }
            held += read;
            let taken = self.take(&buffer[..held], from, received, &mut pool).await?;
            if taken > 0 {
                silent = None;
            }
            buffer.copy_within(taken..held, 0);
            held -= taken;
        }
    }

    /// Takes the whole frames at the front of `bytes`, and gives their length.
    async fn take(
        &self,
        bytes: &[u8],
        from: IpAddr,
        received: &Counter,
        pool: &mut Pool,
    ) -> io::Result<usize> {
        let mut taken = 0;
        loop {
            let mut frames = self.empty(pool).await;
            let full = {
                let mut gate =
                    self.gate.lock().map_err(|_| io::Error::other("another connection has failed"))?;
                gate.refresh();
                frames.access = gate.access().clone();
                frames.arrival = clock::wall();
                let now = clock::now();
                loop {
                    let Some(length) = frame_len(&bytes[taken..])? else { break false };
                    if frames.is_full() {
                        break true;
                    }
                    received.inc();
                    gate.pass(&bytes[taken..taken + length], from, now, Some(&mut frames));
                    taken += length;
                }
            };
            self.hand_over(frames, pool).await?;
            if !full {
                return Ok(taken);
            }
        }
    }

    /// Waits for a batch that the machine has given back.
    async fn empty(&self, pool: &mut Pool) -> Frames {
        loop {
            match pool.take() {
                Some(frames) => return frames,
                None => sleep(BUSY_PAUSE).await,
            }
        }
    }

    async fn hand_over(&self, frames: Frames, pool: &mut Pool) -> io::Result<()> {
        if frames.is_empty() {
            pool.back().send(frames).ok(); // the pool is here
            return Ok(());
        }
        let mut intake = Intake::Frames(frames, pool.back());
        loop {
            match self.intake.try_send(intake) {
                Ok(()) => return Ok(()),
                Err(TrySendError::Full(back)) => intake = back,
                Err(TrySendError::Disconnected(_)) => return Err(io::Error::other("the server is stopping")),
            }
            sleep(BUSY_PAUSE).await;
        }
    }
}

/// The length of the whole frame at the front; none if more has to come.
///
/// # Errors
/// If it is no frame: nobody knows where the next one begins then.
fn frame_len(bytes: &[u8]) -> io::Result<Option<usize>> {
    let magic = &bytes[..bytes.len().min(hep::MAGIC.len())];
    let no_frame = || io::Error::new(io::ErrorKind::InvalidData, "the bytes are no HEP frame of version 3");
    if !hep::MAGIC.starts_with(magic) {
        return Err(no_frame());
    }
    match hep::frame_len(bytes).map(usize::from) {
        None => Ok(None),
        Some(length) if length < hep::HEADER_BYTES => Err(no_frame()),
        Some(length) => Ok((length <= bytes.len()).then_some(length)),
    }
}

/// Counts a connection as long as it is open.
struct Open<'a>(&'a Listener, #[expect(dead_code, reason = "it is held")] ConnectionPermit);

impl<'a> Open<'a> {
    fn count(listener: &'a Listener, place: ConnectionPermit) -> Self {
        listener.metrics.connections.inc();
        Self(listener, place)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.metrics.connections.dec();
    }
}

/// Counts a connection as long as nothing has come on it.
struct Silent<'a> {
    listener: &'a Listener,
    host: IpAddr,
}

impl<'a> Silent<'a> {
    fn count(listener: &'a Listener, host: IpAddr) -> Self {
        let one = Self { listener, host };
        *one.counts().entry(host).or_default() += 1;
        one
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.listener.silent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns `true` if its host has so few of them that they may wait: agents connect before there is a call.
    fn may_wait(&self) -> bool {
        self.counts().get(&self.host).is_none_or(|&count| count <= SILENT_MAX)
    }

    /// Waits until its host has too many of them.
    async fn crowded(&self) {
        while self.may_wait() {
            sleep(FRAME_TIMEOUT).await;
        }
    }
}

impl Drop for Silent<'_> {
    fn drop(&mut self) {
        let mut counts = self.counts();
        if let Some(count) = counts.get_mut(&self.host) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.host);
            }
        }
    }
}

/// Reads the certificate and the key for TLS.
///
/// # Errors
/// If a file cannot be read, or the key does not fit the certificate.
pub(crate) fn tls(certificate: &Path, key: &Path) -> anyhow::Result<TlsAcceptor> {
    let (certificate_name, key_name) = (certificate.display(), key.display());
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .with_context(|| {
        format!("cannot read hep.tls_certificate {certificate_name}; give a PEM file")
    })?;
    let key = PrivateKeyDer::from_pem_file(key)
        .with_context(|| format!("cannot read hep.tls_key {key_name}; give a PEM file with a private key"))?;
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key);
    let config = config.with_context(|| format!("{key_name} does not fit {certificate_name}"))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}
