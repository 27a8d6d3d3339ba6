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

    /// Adds a route, and the same with a slash at its end, which the document does not name.
    pub(super) fn route_with_slash(self, path: &str, methods: MethodRouter<Api>) -> Self {
        let mut routes = self.route(path, methods.clone());
        routes.router = routes.router.route(&format!("{path}/"), methods);
        routes
    }

    /// Adds those of others.
    pub(super) fn merge(mut self, other: Self) -> Self {
        self.paths.extend(other.paths);
        Self { router: self.router.merge(other.router), ..self }
    }
}
