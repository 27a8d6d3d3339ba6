//! The parts of a request as the resources take them.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, RawPathParams, Request};
use axum::http::request::Parts;
use hookswitch_server::auth::{Principal, Problem};
use hookswitch_server::gateway::Caller;

use super::{Api, body};

/// The longest body of a request that is no batch, in bytes.
const CONTENT_BYTES_MAX: usize = 1024 * 1024;

/// The variable segments of a path, in their order.
pub(super) struct Segments<const N: usize>(pub(super) [String; N]);

impl<const N: usize, S: Send + Sync> FromRequestParts<S> for Segments<N> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let segments = RawPathParams::from_request_parts(parts, state).await;
        let segments = segments.map_err(|_| Problem::invalid("The address is not UTF-8, percent-encoded"))?;
        let segments: Vec<String> = segments.iter().map(|(_, value)| value.to_owned()).collect();
        segments.try_into().map(Self).map_err(|_| Problem::not_found())
    }
}

/// The text that the addresses in an answer begin with: where clients reach the server, and nothing over a
/// WebSocket, whose answers have paths (contract subscriptions §2.2).
pub(super) struct Base(pub(super) Arc<str>);

impl FromRequestParts<Api> for Base {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Infallible> {
        let over_socket = parts.extensions.get::<Caller>().is_some();
        Ok(Self(if over_socket { Arc::from("") } else { api.public_url.clone() }))
    }
}

/// The body of a request.
pub(super) struct Content(pub(super) Bytes);

impl<S: Send + Sync> FromRequest<S> for Content {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let (parts, incoming) = request.into_parts();
        body::read(&parts.headers, incoming, CONTENT_BYTES_MAX).await.map(Self)
    }
}

impl FromRequestParts<Api> for Principal {
    type Rejection = Problem;

    /// Takes who the limits were counted for; a request without a good token is refused.
    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        match parts.extensions.get::<Result<Self, Arc<Problem>>>() {
            Some(Ok(principal)) => Ok(principal.clone()),
            Some(Err(problem)) => Err((**problem).clone()),
            None => api.oauth.authenticate(&parts.headers).await,
        }
    }
}
