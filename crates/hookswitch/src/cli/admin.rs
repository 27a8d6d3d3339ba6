//! A server that a command asks with an admin token.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use axum::http::Method;
use hookswitch_server::webhook;
use serde::Deserialize;
use serde_json::Value;
use tokio::runtime::Runtime;

use super::client::{Client, Failure, Login};

/// Variable in which the admin token may stand.
pub(super) const ADMIN_TOKEN: &str = "HOOKSWITCH_ADMIN_TOKEN";

/// Server that is asked.
#[derive(clap::Args)]
pub(super) struct Asked {
    /// Use the server in the file that `hookswitch init --json` printed
    #[arg(long, value_name = "FILE")]
    login: Option<PathBuf>,
    /// Use the server at this address
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// Admin token
    #[arg(long, value_name = "TOKEN", env = ADMIN_TOKEN, hide_env_values = true, allow_hyphen_values = true)]
    token: Option<String>,
}

/// Part of a login that is used here.
#[derive(Deserialize)]
struct AdminLogin {
    server: String,
    admin_token: Option<String>,
}

/// A server, and the token to ask it with.
pub(super) struct Admin {
    client: Client,
    token: String,
    runtime: Runtime,
}

impl Asked {
    /// Returns what the arguments name; none if they do not say where to ask.
    pub(super) fn find(&self) -> anyhow::Result<Option<Admin>> {
        let login = self.login.as_deref().map(read_login).transpose()?;
        let server = self.server.clone().or_else(|| login.as_ref().map(|login| login.server.clone()));
        let token = self.token.clone().or_else(|| login.and_then(|login| login.admin_token));
        let (Some(server), Some(token)) = (server, token) else { return Ok(None) };
        let (client_id, client_secret, jwt) = Default::default();
        let login = Login { server, client_id, client_secret, jwt };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Some(Admin { client: Client::new(login, webhook::tls()?), token, runtime }))
    }

    /// Returns what the arguments name.
    pub(super) fn open(&self) -> anyhow::Result<Admin> {
        let Some(admin) = self.find()? else {
            bail!(
                "nothing says where to ask; give --login FILE, or --server URL and --token TOKEN \
                 (or {ADMIN_TOKEN})"
            )
        };
        Ok(admin)
    }
}

impl Admin {
    /// Reads a resource.
    pub(super) fn read(&self, path: &str) -> anyhow::Result<Value> {
        self.send(Method::GET, path, String::new())
    }

    /// Posts to a resource.
    pub(super) fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.call(Method::POST, path, body)
    }

    /// Takes a resource away.
    pub(super) fn delete(&self, path: &str) -> anyhow::Result<()> {
        self.send(Method::DELETE, path, String::new()).map(drop)
    }

    /// Sends a body to a resource.
    pub(super) fn call(&self, method: Method, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.send(method, path, body.to_string())
    }

    /// The address of the server.
    pub(super) fn server(&self) -> &str {
        &self.client.login.server
    }

    fn send(&self, method: Method, path: &str, body: String) -> anyhow::Result<Value> {
        let answer = self.runtime.block_on(self.client.call(&self.token, method, path, body));
        answer.map_err(|failure| match failure {
            Failure::Token => {
                anyhow!("the server does not take this admin token; make one with hookswitch token create")
            }
            other => other.into_error().context(format!("cannot ask {}", self.client.login.server)),
        })
    }
}

fn read_login(path: &Path) -> anyhow::Result<AdminLogin> {
    let name = path.display();
    let text = std::fs::read_to_string(path).with_context(|| {
        format!("cannot read {name}; name the file that `hookswitch init --json` has printed")
    })?;
    serde_json::from_str(&text)
        .with_context(|| format!("{name} is not what `hookswitch init --json` has printed"))
}
