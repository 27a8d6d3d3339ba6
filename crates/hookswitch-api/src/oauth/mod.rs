//! The resources of OAuth 2.0 (RFC 6749, 7009; contract auth); who may do what is decided by
//! [`hookswitch_server::auth`].

mod authorize;
mod revoke;
mod token;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;

/// The resources.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(token::post))
        .routes(routes!(revoke::post))
        .routes(routes!(authorize::show, authorize::submit))
}
