//! Accepts connections for the resources, within limits that a hostile client cannot exceed.

use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use socket2::SockRef;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// How long a client may take for the headers of a request.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// The most that the start line and the headers of a request may have, in bytes.
const HEADER_BYTES_MAX: usize = 16 * 1024;

/// The most headers of a request.
const HEADERS_MAX: usize = 100;

/// The most requests that a connection of HTTP/2 may have open at once.
const STREAMS_MAX: u32 = 100;

/// The most streams that a client of HTTP/2 may take back before the connection ends: the rapid
/// reset attack (CVE-2023-44487).
const RESETS_MAX: usize = 200;

/// What the kernel is asked to hold for a client that reads slowly; it takes twice as much. Without this
/// it holds some MiB for each.
const SEND_BUFFER_BYTES: usize = 256 * 1024;

/// How long to wait when no connection can be accepted: no file descriptors are left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until told to stop; then open requests may finish for so long.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
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
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|&stop| stop) => break,
        };
        let (stream, _) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        stream.set_nodelay(true).ok(); // slower without, and no worse
        SockRef::from(&stream).set_send_buffer_size(SEND_BUFFER_BYTES).ok(); // larger without
        let service = TowerToHyperService::new(router.clone());
        let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
        let connection = graceful.watch(connection.into_owned());
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended with an error");
            }
        });
    }
    drop(listener);
    if tokio::time::timeout(grace, graceful.shutdown()).await.is_err() {
        tracing::warn!("some requests did not finish in time and are cut off");
    }
}
