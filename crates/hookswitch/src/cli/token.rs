//! `hookswitch token`: admin tokens, of a running server or of the store of one that does not run.

use std::io::Write;

use clap::{Subcommand, ValueEnum};
use hookswitch_server::escape;
use serde_json::json;

use super::access::Of;

/// The arguments of the command.
#[derive(clap::Args)]
pub(super) struct Token {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Create an admin token and print it; it is shown only once
    Create(Create),
    /// List the admin tokens by their ids
    List(List),
    /// Revoke an admin token
    Revoke(Revoke),
}

#[derive(clap::Args)]
struct Create {
    #[command(flatten)]
    of: Of,
    /// Owner or purpose
    #[arg(long, value_name = "TEXT", default_value = "Created by hookswitch token")]
    label: String,
    /// Rights of its holder
    #[arg(long, value_enum, default_value_t = Role::Full)]
    role: Role,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Role {
    /// See and change
    Full,
    /// See
    ReadOnly,
}

#[derive(clap::Args)]
struct List {
    #[command(flatten)]
    of: Of,
}

#[derive(clap::Args)]
struct Revoke {
    /// Its id, as `hookswitch token list` prints it
    #[arg(value_name = "ID")]
    id: String,
    #[command(flatten)]
    of: Of,
}

impl Token {
    /// Does what the arguments ask for.
    pub(super) fn run(&self, out: &mut impl Write) -> anyhow::Result<()> {
        match &self.command {
            Command::Create(create) => {
                let role = match create.role {
                    Role::Full => "full",
                    Role::ReadOnly => "read-only",
                };
                let token = create.of.open()?.create_token(&create.label, role)?;
                if create.json {
                    writeln!(out, "{}", json!({"admin_token": token}))?;
                } else {
                    writeln!(out, "{token}")?;
                }
            }
            Command::List(list) => {
                for token in list.of.open()?.tokens()? {
                    writeln!(out, "{}  {:<9}  {}", token.id, token.role, escape::plain(&token.label))?;
                }
            }
            Command::Revoke(revoke) => revoke.of.open()?.revoke_token(&revoke.id)?,
        }
        Ok(())
    }
}
