//! `hookswitch subscribe`: a subscription that is told by webhook.

use std::io::Write;
use std::path::PathBuf;

use axum::http::Method;
use hookswitch_server::config::FILTER;
use hookswitch_server::{escape, webhook};
use serde_json::json;

use super::client::{Client, Failure, Login};

/// The arguments of the command.
#[derive(clap::Args)]
pub(super) struct Subscribe {
    /// Address that notifications are posted to; the server verifies it first
    #[arg(long, value_name = "URL")]
    to: String,
    /// Credentials: the file that `hookswitch init --json` or `user create --json` printed
    #[arg(long, value_name = "FILE")]
    login: PathBuf,
    /// Address of the server [default: the one in the file]
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// An event filter; several are combined by "or"
    #[arg(long = "filter", value_name = "FILTER", default_value = FILTER)]
    filters: Vec<String>,
    /// Lifetime in seconds [default: the server's, 7 days]
    #[arg(long, value_name = "SECONDS")]
    expires_in: Option<u64>,
    /// A secret to sign notifications with: whsec_ and 24 to 64 bytes in base64
    #[arg(long, value_name = "SECRET", env = "HOOKSWITCH_SIGNING_SECRET", hide_env_values = true)]
    signing_secret: Option<String>,
    /// Text sent with each notification in the header Verification-Token
    #[arg(long, value_name = "TEXT")]
    verification_token: Option<String>,
}

impl Subscribe {
    /// Subscribes, and prints the subscription as the server shows it.
    pub(super) fn run(self, out: &mut impl Write) -> anyhow::Result<()> {
        let login = Login::read(&self.login, self.server.as_deref())?;
        let client = Client::new(login, webhook::tls()?);
        let mut delivery = json!({"transportType": "WebHook", "address": self.to});
        if let Some(secret) = self.signing_secret {
            delivery["signingSecret"] = secret.into();
        }
        if let Some(token) = self.verification_token {
            delivery["verificationToken"] = token.into();
        }
        let mut body = json!({"eventFilters": self.filters, "deliveryMode": delivery});
        if let Some(seconds) = self.expires_in {
            body["expiresIn"] = seconds.into();
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let made = runtime.block_on(async {
            let token = client.log_in().await?;
            client.call(&token, Method::POST, "/restapi/v1.0/subscription", body.to_string()).await
        });
        let made = made.map_err(Failure::into_error)?;
        writeln!(out, "{}", escape::json(&made.to_string()))?;
        Ok(())
    }
}
