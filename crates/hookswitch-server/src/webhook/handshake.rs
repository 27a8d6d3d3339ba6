//! The question to an address whether it wants notifications (contract subscriptions §4.1).

use std::error::Error;

use http_body_util::{BodyExt as _, Limited};
use hyper::Response;
use hyper::body::{Body as _, Incoming};
use hyper::header::{HeaderName, HeaderValue};
use tokio_rustls::rustls;

use super::{AddressError, WebhookUrl, Webhooks, cause, post};
use crate::{clock, secret};

/// Header of the question, which the answer repeats.
pub(super) const VALIDATION_TOKEN: HeaderName = HeaderName::from_static("validation-token");

/// The longest answer, head and body together.
const ANSWER_BYTES_MAX: u64 = 1024;

/// Reason why an address does not get notifications.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// The token did not come back.
    #[error(
        "The WebHook address answered without the Validation-Token header of the request; let it answer \
         with the same header and value"
    )]
    NotEchoed,
    /// There was no answer. Whether nobody listens, nothing comes back or we may not go there is not
    /// told, so that nobody can scan a network through us.
    #[error(
        "The WebHook address cannot be reached from here; its name must resolve to public addresses alone, \
         and it must answer a POST within {0} ms"
    )]
    Unreachable(u128),
    /// It answered with an error.
    #[error("The WebHook address answered the validation with HTTP status {0}; it must be 200")]
    Status(u16),
    /// The certificate is not good.
    #[error(
        "The certificate of the WebHook address is not valid; it must be of a known authority, for this \
         name, and sent with its intermediate certificates"
    )]
    Certificate,
    /// The answer is too long.
    #[error("The answer of the WebHook address to the validation has more than 1024 bytes with its headers")]
    TooLong,
}

impl HandshakeError {
    /// The error code of the API (contract subscriptions §3).
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotEchoed => "SUB-520",
            Self::Unreachable(_) => "SUB-521",
            Self::Status(_) => "SUB-522",
            Self::Certificate => "SUB-524",
            Self::TooLong => "SUB-525",
        }
    }
}

impl Webhooks {
    /// Asks an address whether it wants notifications.
    ///
    /// # Errors
    /// If it does not say so in the way that is asked for.
    pub async fn validate(&self, url: &WebhookUrl) -> Result<(), HandshakeError> {
        let deadline = (clock::now() + self.timeout).into();
        let outcome = tokio::time::timeout_at(deadline, self.ask(url)).await;
        let outcome = outcome.unwrap_or(Err(self.unreachable()));
        // How long a failure takes must not tell why it failed.
        if matches!(outcome, Err(HandshakeError::Unreachable(_))) && !self.dev {
            tokio::time::sleep_until(deadline).await;
        }
        outcome
    }

    async fn ask(&self, url: &WebhookUrl) -> Result<(), HandshakeError> {
        let unreachable = || self.unreachable();
        self.guard.check(url).await.map_err(|error: AddressError| {
            tracing::info!(%error, "a webhook address was refused");
            unreachable()
        })?;
        let token = secret::token().ok().and_then(|token| HeaderValue::from_str(&token).ok());
        let token = token.ok_or_else(unreachable)?;
        let mut request = post(url, Vec::new());
        request.headers_mut().insert(VALIDATION_TOKEN, token.clone());
        let response = self.client.request(request).await.map_err(|error| {
            tracing::info!(error = cause(&error), "a webhook address cannot be reached");
            if is_certificate_error(&error) { HandshakeError::Certificate } else { unreachable() }
        })?;
        let status = response.status().as_u16();
        if status != 200 {
            return Err(HandshakeError::Status(status));
        }
        let echoed = response.headers().get(VALIDATION_TOKEN) == Some(&token);
        measure(response, unreachable).await?;
        if echoed { Ok(()) } else { Err(HandshakeError::NotEchoed) }
    }
}

/// Reads an answer as far as it may go.
async fn measure(
    response: Response<Incoming>,
    unreachable: impl Fn() -> HandshakeError,
) -> Result<(), HandshakeError> {
    let status_line = "HTTP/1.1 200 OK\r\n\r\n".len();
    let lines =
        response.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len());
    let head = (status_line + lines.sum::<usize>()) as u64;
    let room = ANSWER_BYTES_MAX.checked_sub(head).ok_or(HandshakeError::TooLong)?;
    let body = response.into_body();
    if body.size_hint().lower() > room {
        return Err(HandshakeError::TooLong);
    }
    match Limited::new(body, usize::try_from(room).unwrap_or_default()).collect().await {
        Ok(_) => Ok(()),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => Err(HandshakeError::TooLong),
        Err(_) => Err(unreachable()),
    }
}

/// Returns `true` if a connection failed because of the certificate that was shown.
fn is_certificate_error(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(rustls::Error::InvalidCertificate(_)) = error.downcast_ref() {
            return true;
        }
        // What a reader of a stream fails with is wrapped in an error of the operating system, which
        // has it inside and not as its source; the client wraps that once more.
        next = match error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
            Some(inner) => Some(inner as &(dyn Error + 'static)),
            None => error.source(),
        };
    }
    false
}
