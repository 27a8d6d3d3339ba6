//! Webhooks: carrying a notification to an address, and reporting how that went.
//!
//! When to try again is decided in `hookswitch_core::delivery`. Connections are kept, redirects are
//! not followed, and no more of an answer is read than is needed.

mod address;
mod handshake;
mod signature;

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, UNIX_EPOCH};

use anyhow::Context as _;
use hookswitch_core::delivery::Outcome;
use hookswitch_model::{NotificationId, SubscriptionId, Timestamp};
use hookswitch_store::{self as store, Attempt, AttemptOutcome};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

pub use self::address::{AddressError, Guard, WebhookUrl, masked};
pub use self::handshake::HandshakeError;
pub(crate) use self::signature::SigningKey;
use crate::clock;
use crate::config::Webhooks as Settings;

/// Sender that a notification names. Receivers written for RingCentral may look for its name.
const USER_AGENT: &str = concat!("RingCentral-Webhook/8.3 (Hookswitch/", env!("CARGO_PKG_VERSION"), ")");

/// Mark of a notification that is sent again on request; its value is the id of the redelivery.
const REDELIVERY: HeaderName = HeaderName::from_static("hookswitch-replay");

/// The most of an answer that is read to keep its connection; a longer one ends it.
const ANSWER_BYTES_MAX: usize = 16 * 1024;

/// Idle connections to one host that are kept, and for how long. Many servers close theirs after 60 s.
const IDLE_MAX: usize = 64;
const IDLE_TIMEOUT: Duration = Duration::from_secs(50);

/// Address and protection of a subscription's notifications.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// The address, read and allowed.
    pub url: WebhookUrl,
    /// The same for people: what may be a secret in it is masked.
    pub address: Arc<str>,
    /// The header that mirrors what the subscriber has sent.
    pub token: Option<(HeaderName, HeaderValue)>,
    pub(crate) signing_key: Option<SigningKey>,
    /// The redelivery that a request is made for.
    pub redelivery: Option<HeaderValue>,
}

/// HTTP client for webhooks. Cheap to clone.
#[derive(Clone)]
pub struct Webhooks {
    client: Client<HttpsConnector<HttpConnector<CheckedNames>>, Full<Bytes>>,
    guard: Arc<Guard>,
    timeout: Duration,
    /// Set if this is for development: then nobody has to be kept from scanning ports.
    dev: bool,
}

/// Outcome of a request.
#[derive(Debug)]
pub struct Sent {
    /// How it went.
    pub outcome: Outcome,
    /// How the body of the answer began: [`store::ANSWER_BYTES_MAX`] at most.
    pub answer: Vec<u8>,
    /// Time when it began, by the clock of the server.
    pub at: Timestamp,
    /// Time from the request to the answer, or until it was given up.
    pub duration: Duration,
}

impl Sent {
    /// Returns what is written down of it, as the attempt of this number to tell a subscription of the event at a
    /// position.
    pub fn attempt(&self, event: u64, subscription: SubscriptionId, number: u32, to: &Endpoint) -> Attempt {
        let (status, error) = match &self.outcome {
            Outcome::Response { status, .. } => (Some(*status), None),
            Outcome::TimedOut => (None, None),
            Outcome::Failed(why) => (None, Some(why.as_str().into())),
            Outcome::Missing => (None, Some("the event is in the log no longer".into())),
        };
        Attempt {
            event,
            subscription,
            number,
            at: self.at,
            duration: self.duration,
            outcome: attempt_outcome(&self.outcome),
            status,
            error,
            answer: self.answer.clone(),
            address: to.address.clone(),
            redelivery: None,
        }
    }
}

/// Reads a body to its end, or until it is too long to go on, and keeps its beginning.
async fn drain(body: Incoming, beginning: &mut Vec<u8>) {
    let mut body = Limited::new(body, ANSWER_BYTES_MAX);
    while let Some(Ok(frame)) = body.frame().await {
        if let Some(data) = frame.data_ref() {
            let room = store::ANSWER_BYTES_MAX - beginning.len();
            beginning.extend_from_slice(&data[..data.len().min(room)]);
        }
    }
}

impl Webhooks {
    /// The client of a configuration.
    ///
    /// # Errors
    /// If the resolver or the TLS client cannot be made.
    pub fn new(settings: &Settings, dev: bool) -> anyhow::Result<Self> {
        let guard = Arc::new(Guard::new(settings, dev)?);
        let mut connector = HttpConnector::new_with_resolver(CheckedNames(guard.clone()));
        connector.enforce_http(false);
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(settings.timeout.0));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls()?)
            .https_or_http()
            .enable_http1()
            .enable_http2()
            .wrap_connector(connector);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(IDLE_MAX)
            .http1_max_headers(100)
            .http1_max_buf_size(ANSWER_BYTES_MAX)
            .http2_keep_alive_interval(Duration::from_secs(10))
            .http2_keep_alive_timeout(settings.timeout.0)
            .build(connector);
        Ok(Self { client, guard, timeout: settings.timeout.0, dev })
    }

    /// Returns which addresses are allowed.
    pub fn guard(&self) -> &Guard {
        &self.guard
    }

    /// Returns what is said of an address that cannot be reached, for whatever reason.
    pub const fn unreachable(&self) -> HandshakeError {
        HandshakeError::Unreachable(self.timeout.as_millis())
    }

    /// Returns what is said of an address to which nothing is ever sent, after the time that silence takes: how long it takes
    /// must not tell why.
    pub async fn refuse(&self) -> HandshakeError {
        if !self.dev {
            tokio::time::sleep(self.timeout).await;
        }
        self.unreachable()
    }

    /// Sends a notification. What counts is the status, once it has come in time: of the body as much is
    /// read as lets the connection be used again, and its beginning is given back.
    pub async fn send(&self, to: &Endpoint, id: NotificationId, body: Vec<u8>) -> Sent {
        let (at, begun) = (clock::wall(), clock::now());
        let (outcome, answer) = self.exchange(to, id, body, (begun + self.timeout).into()).await;
        Sent { outcome, answer, at, duration: begun.elapsed() }
    }

    async fn exchange(
        &self,
        to: &Endpoint,
        id: NotificationId,
        body: Vec<u8>,
        deadline: tokio::time::Instant,
    ) -> (Outcome, Vec<u8>) {
        let attempt = async {
            self.guard.check(&to.url).await.map_err(|error| error.to_string())?;
            self.client.request(notification(to, id, body)).await.map_err(|error| cause(&error))
        };
        match tokio::time::timeout_at(deadline, attempt).await {
            Ok(Ok(response)) => {
                let (head, body) = response.into_parts();
                let retry_after = retry_after(&head.headers);
                let mut answer = Vec::new();
                if !body.is_end_stream() {
                    // It may be too long, too slow or cut off; then the connection ends with it.
                    tokio::time::timeout_at(deadline, drain(body, &mut answer)).await.ok();
                }
                (Outcome::Response { status: head.status.as_u16(), retry_after }, answer)
            }
            Ok(Err(cause)) => (Outcome::Failed(cause), Vec::new()),
            Err(_) => (Outcome::TimedOut, Vec::new()),
        }
    }
}

/// The request of a notification (contract subscriptions §4.2, Standard Webhooks 1.0).
fn notification(to: &Endpoint, id: NotificationId, body: Vec<u8>) -> Request<Full<Bytes>> {
    let mut signed = None;
    if let Some(key) = &to.signing_key {
        let (id, timestamp) = (id.to_string(), clock::wall().as_micros().div_euclid(1_000_000));
        let signature = key.sign(&id, timestamp, &body);
        signed = Some([
            ("webhook-id", id),
            ("webhook-timestamp", timestamp.to_string()),
            ("webhook-signature", signature),
        ]);
    }
    let mut request = post(&to.url, body);
    let headers = request.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=UTF-8"));
    // As the original sends it; receivers ignore it.
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("UTF-8"));
    if let Some((name, value)) = &to.token {
        headers.insert(name, value.clone());
    }
    if let Some(redelivery) = &to.redelivery {
        headers.insert(REDELIVERY, redelivery.clone());
    }
    for (name, value) in signed.into_iter().flatten() {
        let value = HeaderValue::from_str(&value).expect("digits and base64 are ASCII");
        headers.insert(HeaderName::from_static(name), value);
    }
    request
}

fn post(url: &WebhookUrl, body: Vec<u8>) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::new(Bytes::from(body)));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = url.uri().clone();
    let headers = request.headers_mut();
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
    request
}

/// Returns how long a receiver asks to be left alone: seconds, or a date (RFC 9110 §10.2.3).
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(text).ok()?.duration_since(UNIX_EPOCH).ok()?;
    let now = Duration::from_micros(clock::wall().as_micros().unsigned_abs());
    Some(date.saturating_sub(now))
}

/// The innermost cause of an error, which says most.
fn cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

/// TLS of version 1.2 and above, with the root certificates of the system.
pub fn tls() -> anyhow::Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        tracing::warn!(
            "the system has no root certificates, so no https webhook can be reached; install ca-certificates"
        );
    }
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .context("make a TLS client")?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

/// Resolves names to addresses that the guard has checked, and to nothing else.
#[derive(Clone)]
struct CheckedNames(Arc<Guard>);

impl tower_service::Service<Name> for CheckedNames {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = AddressError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let guard = self.0.clone();
        Box::pin(async move {
            let addresses = guard.resolve(name.as_str()).await?;
            // The port is that of the URL.
            Ok(addresses
                .into_iter()
                .map(|address| SocketAddr::new(address, 0))
                .collect::<Vec<_>>()
                .into_iter())
        })
    }
}
/// Returns how a request went, in the words of the journal.
pub const fn attempt_outcome(outcome: &Outcome) -> AttemptOutcome {
    match outcome {
        Outcome::Response { status: 200..300, .. } => AttemptOutcome::Delivered,
        Outcome::Response { status: 410, .. } => AttemptOutcome::Gone,
        Outcome::Response { .. } => AttemptOutcome::Refused,
        Outcome::TimedOut => AttemptOutcome::TimedOut,
        Outcome::Failed(_) | Outcome::Missing => AttemptOutcome::Failed,
    }
}
