//! Accepts connections for the resources, within limits that a hostile client cannot exceed.

use std::convert::Infallible;
use std::future::Future as _;
use std::io;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::http::{Request, Response};
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use prometheus_client::metrics::counter::Counter;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::Sleep;
use tower_service::Service as _;

use crate::clock;
use crate::connection_limits::{ConnectionLimits, ConnectionPermit};

/// Time that a client may take for its first bytes, and for the headers of a request.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// Time for which a connection may be open before its first request, and between two.
const FIRST_REQUEST_WITHIN: Duration = Duration::from_secs(20);
const IDLE_MAX: Duration = Duration::from_secs(120);

/// Time that a client may take nothing of what is written to it.
const STALL_MAX: Duration = Duration::from_secs(60);

/// Interval between checks whether a connection is idle.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// The most that the start line and the headers of a request may have, in bytes.
const HEADER_BYTES_MAX: usize = 16 * 1024;

/// The most headers of a request.
const HEADERS_MAX: usize = 100;

/// The most requests that a connection of HTTP/2 may have open at once.
const STREAMS_MAX: u32 = 100;

/// The most streams that a client of HTTP/2 may take back before the connection ends: the rapid
/// reset attack (CVE-2023-44487).
const RESETS_MAX: usize = 200;

/// Bytes that the kernel is asked to hold for a client that reads slowly; it takes twice as much. Without this
/// it holds some MiB for each.
const SEND_BUFFER_BYTES: usize = 256 * 1024;

/// Time to wait when no connection can be accepted: no file descriptors are left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Interval between warnings that none can be accepted.
const SAY_EVERY: Duration = Duration::from_secs(60);

/// How long, and for how many bytes, what a refused client still sends is read and thrown away, so that the answer
/// reaches it (RFC 9112 §9.6).
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Beginning of a connection of HTTP/2 (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Interval between checks whether more of a beginning has come.
const PEEK_EVERY: Duration = Duration::from_millis(50);

/// Times at which a connection of a silent peer is probed; one that has vanished is noticed so.
const KEEPALIVE: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(15));

/// The address from which a request came.
#[derive(Clone, Copy, Debug)]
pub struct ClientAddress(pub IpAddr);

/// The traffic of the connection on which a request came, for who keeps that open for long.
#[derive(Clone)]
pub struct Traffic(Arc<Activity>);

impl Traffic {
    /// Returns the number of bytes that the client has sent.
    pub(crate) fn received(&self) -> u64 {
        self.0.received.load(Ordering::Relaxed)
    }

    /// Lets the connection end when the client takes nothing for so long of what is written to it.
    pub fn give_up_after(&self, stall_max: Duration) {
        let millis = u64::try_from(stall_max.as_millis()).unwrap_or(u64::MAX);
        self.0.stall_max_ms.store(millis, Ordering::Relaxed);
    }

    /// Lets what the client still sends be read and thrown away for a while when the connection is closed, so that
    /// what was written last reaches it.
    pub(crate) fn linger(&self) {
        self.0.lingers.store(true, Ordering::Relaxed);
    }
}

/// Lets the kernel look whether a silent peer is still there.
pub(crate) fn keep_alive(stream: &TcpStream) {
    let (time, interval) = KEEPALIVE;
    let keepalive = TcpKeepalive::new().with_time(time).with_interval(interval).with_retries(4);
    SockRef::from(stream).set_tcp_keepalive(&keepalive).ok(); // it is noticed later without
}

/// Serves until told to stop; then open requests may finish for so long.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    (limits, refused): (ConnectionLimits, Counter),
    mut stop: watch::Receiver<bool>,
    grace: Duration,
) {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEADER_BYTES_MAX)
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(HEADER_BYTES_MAX as u32)
        .max_concurrent_streams(STREAMS_MAX)
        .max_pending_accept_reset_streams(RESETS_MAX)
        .max_local_error_reset_streams(RESETS_MAX)
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(20));
    let graceful = GracefulShutdown::new();
    let mut said: Option<Instant> = None;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|&stop| stop) => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                let now = clock::now();
                if said.is_none_or(|said| now.saturating_duration_since(said) >= SAY_EVERY) {
                    said = Some(now);
                    tracing::warn!(%error, "cannot accept connections");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Some(place) = limits.enter(peer.ip()) else {
            refused.inc();
            continue;
        };
        stream.set_nodelay(true).ok(); // slower without, and no worse
        SockRef::from(&stream).set_send_buffer_size(SEND_BUFFER_BYTES).ok(); // larger without
        keep_alive(&stream);
        let (builder, router, watcher) = (builder.clone(), router.clone(), graceful.watcher());
        let mut stopped = stop.clone();
        tokio::spawn(async move {
            let begun = tokio::select! {
                begun = tokio::time::timeout(HEADER_TIMEOUT, begins(&stream)) => begun,
                _ = stopped.wait_for(|&stop| stop) => return,
            };
            if !matches!(begun, Ok(Ok(()))) {
                return; // it has said nothing
            }
            let activity = Arc::new(Activity::new());
            let io =
                Io { stream, activity: activity.clone(), stalled: None, lingering: None, place: Some(place) };
            let client = ClientAddress(peer.ip().to_canonical());
            let service = {
                let activity = activity.clone();
                service_fn(move |request| answer(router.clone(), request, client, activity.clone()))
            };
            let connection = builder.serve_connection_with_upgrades(TokioIo::new(io), service);
            let mut connection = pin!(watcher.watch(connection.into_owned()));
            let ended = tokio::select! {
                ended = &mut connection => ended,
                () = activity.idle() => return,
            };
            if let Err(error) = ended {
                tracing::debug!(%error, "a connection ended with an error");
            }
        });
    }
    drop(listener);
    if tokio::time::timeout(grace, graceful.shutdown()).await.is_err() {
        tracing::warn!("some requests did not finish in time and are cut off");
    }
}

/// Waits until a connection has begun with something that is no part of the preface of HTTP/2, or all of it.
async fn begins(stream: &TcpStream) -> io::Result<()> {
    let mut bytes = [0; PREFACE.len()];
    loop {
        let count = stream.peek(&mut bytes).await?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if count == PREFACE.len() || !PREFACE.starts_with(&bytes[..count]) {
            return Ok(());
        }
        tokio::time::sleep(PEEK_EVERY).await;
    }
}

/// Answers a request, which counts as open until its answer is written.
async fn answer(
    mut router: Router,
    mut request: Request<Incoming>,
    client: ClientAddress,
    activity: Arc<Activity>,
) -> Result<Response<Body>, Infallible> {
    let open = Open::begin(activity.clone());
    request.extensions_mut().insert(client);
    request.extensions_mut().insert(Traffic(activity.clone()));
    let has_body = !request.body().is_end_stream();
    let response = router.call(request.map(Body::new)).await?;
    if has_body && response.status().as_u16() >= 400 {
        activity.lingers.store(true, Ordering::Relaxed);
    }
    Ok(response.map(|body| Body::new(Held { body, _open: open })))
}

/// Activity on a connection.
struct Activity {
    open: AtomicUsize,
    /// When a request was begun or ended last, and how many there were.
    last: Mutex<(Instant, u64)>,
    /// Set while a client may still send what nobody will read.
    lingers: AtomicBool,
    /// Number of bytes that have come.
    received: AtomicU64,
    /// Time that the client may take nothing, in milliseconds.
    stall_max_ms: AtomicU64,
}

impl Activity {
    fn new() -> Self {
        Self {
            open: AtomicUsize::new(0),
            last: Mutex::new((clock::now(), 0)),
            lingers: AtomicBool::new(false),
            received: AtomicU64::new(0),
            stall_max_ms: AtomicU64::new(STALL_MAX.as_millis() as u64),
        }
    }

    fn touch(&self, more: u64) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        *last = (clock::now(), last.1 + more);
    }

    /// Waits until nothing was asked for too long.
    async fn idle(&self) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let (since, requests) = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
            let idle_max = if requests == 0 { FIRST_REQUEST_WITHIN } else { IDLE_MAX };
            if self.open.load(Ordering::Relaxed) == 0 && since.elapsed() >= idle_max {
                return;
            }
        }
    }
}

/// A request that is being answered.
struct Open(Arc<Activity>);

impl Open {
    fn begin(activity: Arc<Activity>) -> Self {
        activity.open.fetch_add(1, Ordering::Relaxed);
        activity.touch(1);
        Self(activity)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
        self.0.touch(0);
    }
}

/// The body of an answer, with the request that is open as long as it is written.
struct Held {
    body: Body,
    _open: Open,
}

impl HttpBody for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A connection, which holds its place as long as it is open, whoever has it.
struct Io {
    stream: TcpStream,
    activity: Arc<Activity>,
    /// Set while the client takes nothing: until when it may.
    stalled: Option<Pin<Box<Sleep>>>,
    /// Set while what still comes is thrown away: until when, and how much it was.
    lingering: Option<(Pin<Box<Sleep>>, usize)>,
    /// Held until the connection is closed.
    place: Option<ConnectionPermit>,
}

impl Io {
    /// Ends a connection whose client takes nothing for too long.
    fn watch<T>(&mut self, context: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let stall_max = Duration::from_millis(self.activity.stall_max_ms.load(Ordering::Relaxed));
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(stall_max)));
        ready!(stalled.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl Drop for Io {
    fn drop(&mut self) {
        if self.lingering.is_some() || !self.activity.lingers.load(Ordering::Relaxed) {
            return;
        }
        let (Ok(stream), Ok(runtime)) = (SockRef::from(&self.stream).try_clone(), Handle::try_current())
        else {
            return; // the client may miss what was written last
        };
        let place = self.place.take();
        runtime.spawn(async move {
            let _place = place;
            tokio::time::timeout(LINGER, throw_away(stream.into())).await.ok();
        });
    }
}

/// Says that no more is written, and reads what still comes to its end.
async fn throw_away(stream: std::net::TcpStream) -> io::Result<()> {
    let mut stream = TcpStream::from_std(stream)?;
    stream.shutdown().await?;
    let (mut bytes, mut thrown) = ([0; 8 * 1024], 0);
    while thrown <= LINGER_BYTES_MAX {
        match stream.read(&mut bytes).await? {
            0 => break,
            count => thrown += count,
        }
    }
    Ok(())
}

impl AsyncRead for Io {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        let count = buffer.filled().len() - before;
        self.activity.received.fetch_add(count as u64, Ordering::Relaxed);
        read
    }
}

impl AsyncWrite for Io {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.watch(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.watch(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.lingering.is_none() {
            ready!(Pin::new(&mut this.stream).poll_shutdown(context))?;
            if !this.activity.lingers.load(Ordering::Relaxed) {
                return Poll::Ready(Ok(()));
            }
        }
        let (until, thrown) = this.lingering.get_or_insert_with(|| (Box::pin(tokio::time::sleep(LINGER)), 0));
        let mut bytes = [0; 8 * 1024];
        loop {
            if until.as_mut().poll(context).is_ready() || *thrown > LINGER_BYTES_MAX {
                return Poll::Ready(Ok(()));
            }
            let mut buffer = ReadBuf::new(&mut bytes);
            match ready!(Pin::new(&mut this.stream).poll_read(context, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => *thrown += buffer.filled().len(),
                _ => return Poll::Ready(Ok(())),
            }
        }
    }
}
