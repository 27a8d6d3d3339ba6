//! A client of a server: logs in, and makes requests.

use std::path::Path;

use anyhow::{Context as _, anyhow};
use axum::body::Bytes;
use axum::http::{Method, Request, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http_body_util::{BodyExt as _, Full};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as Connections;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::Deserialize;
use serde_json::Value;
use tokio_rustls::rustls::ClientConfig;

use super::ANSWER_WITHIN;

/// Login and address of a server.
#[derive(Clone, Deserialize)]
pub(super) struct Login {
    pub(super) server: String,
    pub(super) client_id: String,
    pub(super) client_secret: String,
    pub(super) jwt: String,
}

impl Login {
    /// Reads what `hookswitch init --json` has printed; `server` is another address of it, if there is one.
    ///
    /// # Errors
    /// If the file is not that.
    pub(super) fn read(path: &Path, server: Option<&str>) -> anyhow::Result<Self> {
        let name = path.display();
        let text = std::fs::read_to_string(path).with_context(|| {
            format!("cannot read {name}; name the file that `hookswitch init --json` has printed")
        })?;
        let mut login: Self = serde_json::from_str(&text)
            .with_context(|| format!("{name} is not what `hookswitch init --json` has printed"))?;
        if let Some(server) = server {
            server.clone_into(&mut login.server);
        }
        Ok(login)
    }
}

/// Reason why a request did not succeed.
pub(super) enum Failure {
    /// Trying again may help.
    Lost(anyhow::Error),
    /// The token is good no longer.
    Token,
    /// The server does not do what it is asked for.
    Refused(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Lost(error.into())
    }
}

impl Failure {
    /// The sentence for whoever does not try again.
    pub(super) fn into_error(self) -> anyhow::Error {
        match self {
            Self::Lost(error) | Self::Refused(error) => error,
            Self::Token => anyhow!("the access token is good no longer; log in again"),
        }
    }
}

/// A client of one server.
pub(super) struct Client {
    pub(super) login: Login,
    connections: Connections<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

impl Client {
    /// A client that has not logged in.
    pub(super) fn new(login: Login, tls: ClientConfig) -> Self {
        let connector =
            HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().build();
        Self { login, connections: Connections::builder(TokioExecutor::new()).build(connector) }
    }

    /// Returns `true` if the server takes what comes in.
    pub(super) async fn is_ready(&self) -> bool {
        self.call("", Method::GET, "/readyz", String::new()).await.is_ok()
    }

    /// Trades the JWT for an access token.
    pub(super) async fn log_in(&self) -> Result<String, Failure> {
        let basic = STANDARD.encode(format!("{}:{}", self.login.client_id, self.login.client_secret));
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer")
            .append_pair("assertion", &self.login.jwt)
            .finish();
        let (authorization, form_type) = (format!("Basic {basic}"), "application/x-www-form-urlencoded");
        let answer = self.send(Method::POST, "/restapi/oauth/token", &authorization, form_type, form).await;
        let answer = answer.map_err(|failure| match failure {
            Failure::Token => Failure::Refused(anyhow!(
                "the server does not take this login; make another with hookswitch user create"
            )),
            other => other,
        })?;
        let token = answer["access_token"].as_str();
        Ok(token.context("the server gave no access token")?.to_owned())
    }

    /// Makes a request with an access token, and gives the JSON of the answer.
    pub(super) async fn call(
        &self,
        token: &str,
        method: Method,
        path: &str,
        body: String,
    ) -> Result<Value, Failure> {
        self.send(method, path, &format!("Bearer {token}"), "application/json", body).await
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        authorization: &str,
        content_type: &str,
        body: String,
    ) -> Result<Value, Failure> {
        let server = self.login.server.trim_end_matches('/');
        let request = Request::builder()
            .method(method)
            .uri(format!("{server}{path}"))
            .header(header::AUTHORIZATION, authorization)
            .header(header::CONTENT_TYPE, content_type)
            .body(Full::new(Bytes::from(body)));
        let request = request
            .map_err(|error| Failure::Refused(anyhow!("{server:?} is no address of a server: {error}")))?;
        let answer = tokio::time::timeout(ANSWER_WITHIN, self.connections.request(request)).await??;
        let status = answer.status();
        let body = answer.into_body().collect().await?.to_bytes();
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        match status.as_u16() {
            200..=299 => Ok(body),
            401 => Err(Failure::Token),
            429 | 500..=599 => Err(anyhow!("{path} was answered with {status}").into()),
            _ => {
                let message = [&body["error_description"], &body["message"]];
                let message = message.into_iter().find_map(Value::as_str).unwrap_or_default();
                Err(Failure::Refused(anyhow!("{path} was answered with {status}: {message}")))
            }
        }
    }
}
