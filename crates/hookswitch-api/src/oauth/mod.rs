//! The resources of OAuth 2.0 (RFC 6749, 7009; contract auth); who may do what is decided by
//! [`hookswitch_server::auth`].

pub(super) mod authorize;
pub(super) mod revoke;
pub(super) mod token;

use axum::routing::{get, post};

use super::routes::Routes;

/// The resources.
pub(super) fn routes() -> Routes {
    Routes::default()
        .route("/restapi/oauth/token", post(token::post))
        .route("/restapi/oauth/revoke", post(revoke::post))
        .route("/restapi/oauth/authorize", get(authorize::show).post(authorize::submit))
}
