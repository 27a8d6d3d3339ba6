//! What a client is told that asked for something it does not get.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// An answer that is not what was asked for: a status of 400 or above, a code that
/// `docs/errors.md` explains, and a sentence for the caller.
#[derive(Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    code: &'static str,
    /// The code of the whole answer, where it is another.
    outer_code: Option<&'static str>,
    message: String,
    retry_after_seconds: Option<u32>,
}

/// The body (contract subscriptions §3).
#[derive(Serialize)]
struct Body<'a> {
    #[serde(rename = "errorCode")]
    code: &'a str,
    message: &'a str,
    errors: [Error<'a>; 1],
}

#[derive(Serialize)]
struct Error<'a> {
    #[serde(rename = "errorCode")]
    code: &'a str,
    message: &'a str,
}

impl Problem {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, outer_code: None, message: message.into(), retry_after_seconds: None }
    }

    pub(crate) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "CMN-120", "There is nothing at this address")
    }

    pub(crate) fn method_not_allowed() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "CMN-120", "This resource does not have this method")
    }

    pub(crate) fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "CMN-203",
            "The server has failed on this request; its log says more",
        )
    }

    /// A body that is not what the resource takes.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "CMN-101", message)
    }

    /// A body that is no JSON.
    pub(crate) fn no_json(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "CMN-103", message)
    }

    /// A body that is longer than the resource takes.
    pub(crate) fn too_large(bytes_max: usize) -> Self {
        let message = format!("The body is longer than {bytes_max} bytes; send it in parts");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "CMN-101", message)
    }

    /// An address that is longer than any resource has.
    pub(crate) fn uri_too_long(bytes_max: usize) -> Self {
        let message = format!("The address is longer than {bytes_max} bytes");
        Self::new(StatusCode::URI_TOO_LONG, "CMN-101", message)
    }

    /// A body whose client stopped in the middle.
    pub(crate) fn cut_off() -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, "CMN-101", "The body did not arrive in time")
    }

    /// No token, or one that is not good here.
    pub(crate) fn unauthorized() -> Self {
        let message = "The token is missing or not good here; send it as Authorization: Bearer TOKEN";
        let problem = Self::new(StatusCode::UNAUTHORIZED, "OAU-129", message);
        Self { outer_code: Some("TokenInvalid"), ..problem }
    }

    /// Nothing can be accepted now.
    pub(crate) fn unavailable(message: impl Into<String>) -> Self {
        let problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, "CMN-201", message);
        Self { retry_after_seconds: Some(1), ..problem }
    }

    /// The answer.
    pub(crate) fn response(&self) -> Response {
        let error = Error { code: self.code, message: &self.message };
        let body =
            Body { code: self.outer_code.unwrap_or(self.code), message: &self.message, errors: [error] };
        let mut response = (self.status, Json(body)).into_response();
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after_seconds {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        self.response()
    }
}
