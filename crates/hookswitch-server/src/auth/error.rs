//! Refusal of a request for a token (RFC 6749 §5.2, contract auth §6).

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hookswitch_store::StoreError;
use serde::Serialize;

/// An answer in the form of the token endpoint.
#[derive(Debug)]
pub struct Refusal {
    /// The status of HTTP.
    pub status: StatusCode,
    /// The word of RFC 6749 §5.2.
    pub error: &'static str,
    /// The code of contract auth §6.
    pub code: &'static str,
    /// A sentence for developers.
    pub description: String,
    pub(super) retry_after_seconds: Option<u64>,
}

#[derive(Serialize)]
struct Body<'a> {
    error: &'a str,
    error_description: &'a str,
    errors: [Detail<'a>; 1],
}

#[derive(Serialize)]
struct Detail<'a> {
    #[serde(rename = "errorCode")]
    code: &'a str,
    message: &'a str,
}

impl Refusal {
    /// A refusal in these words, at any time.
    pub fn new(
        status: StatusCode,
        error: &'static str,
        code: &'static str,
        description: impl Into<String>,
    ) -> Self {
        Self { status, error, code, description: description.into(), retry_after_seconds: None }
    }

    /// A parameter is missing or cannot be used.
    pub fn invalid_request(code: &'static str, description: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", code, description)
    }

    /// Makes the refusal of what should prove who the user is and does not.
    pub(super) fn invalid_grant(code: &'static str, description: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_grant", code, description)
    }

    /// The client is not who it says; one sentence for all causes, so that nothing can be learned.
    ///
    /// 401 only to a client that has used the header for it (RFC 6749 §5.2): SDKs repeat a request
    /// that gets one.
    pub(super) fn invalid_client(by_header: bool) -> Self {
        let status = if by_header { StatusCode::UNAUTHORIZED } else { StatusCode::BAD_REQUEST };
        let description =
            "The client is unknown, or its secret is wrong or missing; check client_id and secret";
        Self::new(status, "invalid_client", "OAU-146", description)
    }

    /// The application may not get tokens in this way.
    pub(super) fn unauthorized_client(code: &'static str, description: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "unauthorized_client", code, description)
    }

    /// Too many failures, or too many requests.
    pub fn too_many(code: &'static str, retry_after_seconds: u64) -> Self {
        let description = "There were too many attempts; wait as long as Retry-After says";
        let refusal = Self::new(StatusCode::TOO_MANY_REQUESTS, "invalid_request", code, description);
        Self { retry_after_seconds: Some(retry_after_seconds.max(1)), ..refusal }
    }

    /// The server cannot do it now.
    pub fn unavailable() -> Self {
        let description = "The server cannot do this now; its log says why; try again";
        let refusal =
            Self::new(StatusCode::SERVICE_UNAVAILABLE, "service_unavailable", "CMN-201", description);
        Self { retry_after_seconds: Some(1), ..refusal }
    }

    /// Returns `true` if the client, or who uses it, may be guessing.
    pub(super) fn is_guess(&self) -> bool {
        matches!(self.error, "invalid_client" | "invalid_grant") && self.status != StatusCode::FORBIDDEN
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "OAuth lookup failed");
        Self::unavailable()
    }
}

impl From<anyhow::Error> for Refusal {
    fn from(error: anyhow::Error) -> Self {
        tracing::error!("a token cannot be made: {error:#}");
        Self::unavailable()
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let detail = Detail { code: self.code, message: &self.description };
        let body = Body { error: self.error, error_description: &self.description, errors: [detail] };
        let mut response = (self.status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = self.retry_after_seconds {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"hookswitch\""));
        }
        response
    }
}
