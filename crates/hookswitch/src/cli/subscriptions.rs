//! `hookswitch subscriptions`: who is told of what, and orders that pause, resume and delete.

use std::io::Write;

use anyhow::Context as _;
use clap::{Subcommand, ValueEnum};
use hookswitch_server::escape;
use serde::Deserialize;
use serde_json::json;

use super::admin::{Admin, Asked};
use super::cluster::write_table;
use super::explain::printable;

/// The arguments of the command.
#[derive(clap::Args)]
pub(super) struct Subscriptions {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List all subscriptions, the newest first
    List(List),
    /// Hold a subscription back: what is due to it waits in the log
    Pause(One),
    /// Let a subscription go on where it was paused
    Resume(One),
    /// Delete a subscription; what was due to it is dropped
    Delete(One),
}

#[derive(clap::Args)]
struct List {
    #[command(flatten)]
    asked: Asked,
    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(clap::Args)]
struct One {
    /// The id of the subscription, as `list` shows it
    id: String,
    #[command(flatten)]
    asked: Asked,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A table
    Text,
    /// One JSON object
    Json,
}

/// Answer of a server about its subscriptions.
#[derive(Deserialize)]
struct Said {
    records: Vec<Record>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    id: String,
    owner: Owner,
    transport: String,
    address: Option<String>,
    status: String,
    suspended_data: Option<Suspended>,
    #[serde(default)]
    keeps_earlier_rights: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Owner {
    account_id: String,
    extension_id: String,
}

#[derive(Deserialize)]
struct Suspended {
    reason: String,
}

impl Subscriptions {
    /// Does what the arguments ask for.
    pub(super) fn run(self, out: &mut impl Write) -> anyhow::Result<()> {
        match self.command {
            Command::List(list) => list.run(out),
            Command::Pause(one) => one.order(out, "/pause", "is paused"),
            Command::Resume(one) => one.order(out, "/resume", "goes on"),
            Command::Delete(one) => {
                let (admin, path) = one.open()?;
                admin.delete(&path)?;
                Ok(writeln!(out, "{} is deleted", escape::plain(&one.id))?)
            }
        }
    }
}

impl List {
    fn run(self, out: &mut impl Write) -> anyhow::Result<()> {
        let said = self.asked.open()?.read("/admin/v1/subscriptions")?;
        if self.format == Format::Json {
            return Ok(writeln!(out, "{}", printable(&said))?);
        }
        let said: Said = serde_json::from_value(said)
            .context("the server does not say what subscriptions are like; is it older?")?;
        let rows = said.records.into_iter().map(|one| {
            let why = one.suspended_data.map(|suspended| suspended.reason);
            let earlier =
                one.keeps_earlier_rights.then(|| "hears of the account without the role".to_owned());
            let to = one.address.unwrap_or(one.transport);
            let Owner { account_id, extension_id } = one.owner;
            [one.id, one.status, account_id, extension_id, to, why.or(earlier).unwrap_or_default()]
        });
        write_table(out, ["ID", "STATUS", "ACCOUNT", "EXTENSION", "TO", ""], rows.collect())
    }
}

impl One {
    fn open(&self) -> anyhow::Result<(Admin, String)> {
        let id: String = form_urlencoded::byte_serialize(self.id.as_bytes()).collect();
        Ok((self.asked.open()?, format!("/admin/v1/subscriptions/{id}")))
    }

    fn order(&self, out: &mut impl Write, order: &str, does: &str) -> anyhow::Result<()> {
        let (admin, path) = self.open()?;
        let said = admin.post(&format!("{path}{order}"), &json!({}))?;
        let status = said["status"].as_str().unwrap_or_default();
        Ok(writeln!(out, "{} {does}; it is {}", escape::plain(&self.id), escape::plain(status))?)
    }
}
