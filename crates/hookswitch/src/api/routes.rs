//! Routes with a list of their paths, so that a test can hold the document against them.

use axum::Router;
use axum::routing::MethodRouter;

use super::Api;

/// Some routes, and their paths.
#[derive(Default)]
pub(super) struct Routes {
    pub(super) router: Router<Api>,
    pub(super) paths: Vec<String>,
}

impl Routes {
    /// Adds a route.
    pub(super) fn route(mut self, path: &str, methods: MethodRouter<Api>) -> Self {
        self.paths.push(path.to_owned());
        Self { router: self.router.route(path, methods), ..self }
    }

    /// Adds those of others.
    pub(super) fn merge(mut self, other: Self) -> Self {
        self.paths.extend(other.paths);
        Self { router: self.router.merge(other.router), ..self }
    }
}
