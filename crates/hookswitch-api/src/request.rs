//! The parts of a request as the resources take them.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, RawPathParams, Request};
use axum::http::Extensions;
use axum::http::request::Parts;
use hookswitch_model::{AccountId, ExtensionId};
use hookswitch_server::ClientAddress;
use hookswitch_server::auth::{Principal, Problem};
use hookswitch_server::rights::Action;
use hookswitch_server::websocket::Caller;

use super::{Api, body};

/// The longest body of a request that is no batch, in bytes.
const CONTENT_BYTES_MAX: usize = 1024 * 1024;

/// The longest form.
const FORM_BYTES_MAX: usize = 32 * 1024;

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

/// The address of the client that makes a request; of none that is known, 0.0.0.0.
pub(super) struct Client(pub(super) IpAddr);

impl<S: Send + Sync> FromRequestParts<S> for Client {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(client_address(&parts.extensions)))
    }
}

/// The address of the client that makes a request.
pub(super) fn client_address(extensions: &Extensions) -> IpAddr {
    extensions.get::<ClientAddress>().map_or(Ipv4Addr::UNSPECIFIED.into(), |client| client.0)
}

impl Api {
    /// The account that a path names, for an action in it that the one who asks may do to their own extension's.
    ///
    /// # Errors
    /// 403 with what is missing; 404 for any other account, whether it exists or not.
    pub(super) fn account(
        &self,
        principal: &Principal,
        action: Action,
        path: &str,
    ) -> Result<AccountId, Problem> {
        self.check(principal, action, principal.account, Some(principal.extension))?;
        principal.account(path)
    }

    /// Asks the table of rights whether the one who asks may do something to an extension's; to the whole account's,
    /// if none is given.
    ///
    /// # Errors
    /// 403 with what is missing.
    pub(super) fn check(
        &self,
        principal: &Principal,
        action: Action,
        account: AccountId,
        extension: Option<ExtensionId>,
    ) -> Result<(), Problem> {
        Ok(self.rights.may(&principal.identity(), action, account, extension)?)
    }
}

/// The body of a request that may have no credential but what stands in it: a form.
pub(super) struct FormBody(pub(super) Bytes);

impl<S: Send + Sync> FromRequest<S> for FormBody {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let (parts, incoming) = request.into_parts();
        body::read(&parts.headers, incoming, FORM_BYTES_MAX).await.map(Self)
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
