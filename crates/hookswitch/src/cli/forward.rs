//! Notifications posted on, as the server would post them by webhook.

use anyhow::anyhow;
use hookswitch_core::delivery::Outcome;
use hookswitch_model::NotificationId;
use hookswitch_server::config::Webhooks as Settings;
use hookswitch_server::secret;
use hookswitch_server::subscriptions::{DeliveryError, WebHook};
use hookswitch_server::webhook::{Endpoint, Webhooks};
use serde_json::Value;

/// Address that notifications are posted on to.
#[derive(clap::Args)]
pub(super) struct Forward {
    /// Post each notification to this address, with the headers of a webhook; it is not repeated when that fails
    #[arg(long = "forward-to", value_name = "URL")]
    to: Option<String>,
    /// The secret to sign them with: whsec_ and 24 to 64 bytes in base64 [default: a new one, which is printed]
    #[arg(
        long,
        value_name = "SECRET",
        env = "HOOKSWITCH_SIGNING_SECRET",
        hide_env_values = true,
        requires = "to"
    )]
    signing_secret: Option<String>,
    /// Text sent with them in the header Verification-Token
    #[arg(long, value_name = "TEXT", requires = "to")]
    verification_token: Option<String>,
}

/// Posts notifications on.
pub(super) struct Forwarder {
    webhooks: Webhooks,
    endpoint: Endpoint,
}

impl Forward {
    /// Returns what posts them on, if they are to be.
    ///
    /// # Errors
    /// If the address or the secret cannot be used.
    pub(super) fn open(&self) -> anyhow::Result<Option<Forwarder>> {
        let Some(to) = &self.to else { return Ok(None) };
        let webhooks = Webhooks::new(&Settings::to_anywhere()?, true)?;
        let secret = if let Some(secret) = &self.signing_secret {
            secret.clone()
        } else {
            let secret = secret::signing_secret()?;
            eprintln!("hookswitch: notifications are signed with {secret}");
            secret
        };
        let token = self.verification_token.clone().map(|token| ("Verification-Token".to_owned(), token));
        let webhook = WebHook { address: to.clone(), token, signing_secret: Some(secret) };
        let endpoint = webhook.endpoint(webhooks.guard()).map_err(|error| match error {
            DeliveryError::Address(error) => anyhow!("{to} cannot be posted to: {error}"),
            DeliveryError::Token => {
                anyhow!("--verification-token is no text of a header; leave out line ends")
            }
            DeliveryError::Secret => {
                anyhow!("--signing-secret is none; give whsec_ and 24 to 64 random bytes in base64")
            }
        })?;
        Ok(Some(Forwarder { webhooks, endpoint }))
    }
}

impl Forwarder {
    /// Asks the receiver whether it wants to be told, as the server would; says so if it does not.
    pub(super) async fn ask(&self) {
        if let Err(error) = self.webhooks.validate(&self.endpoint.url).await {
            eprintln!(
                "hookswitch: warning: {} would be refused as the address of a subscription: {error}",
                self.endpoint.address
            );
        }
    }

    /// Posts a notification, and says so if it was not taken.
    pub(super) async fn post(&self, notification: &Value) {
        let uuid = notification["uuid"].as_str().unwrap_or_default();
        let Ok(id) = uuid.parse::<NotificationId>() else {
            eprintln!("hookswitch: warning: a notification has no uuid, and is not posted on");
            return;
        };
        let sent = self.webhooks.send(&self.endpoint, id, notification.to_string().into_bytes()).await;
        let why = match sent.outcome {
            Outcome::Response { status: 200..300, .. } => return,
            Outcome::Response { status, .. } => format!("it answers {status}"),
            outcome => outcome.reason(),
        };
        eprintln!("hookswitch: warning: {} did not take notification {uuid}: {why}", self.endpoint.address);
    }
}
