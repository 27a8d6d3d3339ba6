//! `hookswitch user`: who may log in, of a running server or of the store of one that does not run.

use std::io::Write;

use clap::Subcommand;
use hookswitch_model::AccountId;
use hookswitch_server::escape;
use serde::Serialize;

use super::access::Of;
use super::credentials::Credentials;

/// The arguments of the command.
#[derive(clap::Args)]
pub(super) struct User {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make an extension a user and print an application and a JWT for it; the secrets are shown only once
    ///
    /// If the extension is a user already, its earlier credentials stay valid.
    Create(Create),
    /// List the users with the number of their JWTs
    List(List),
    /// Remove a user with all their JWTs
    Remove(Remove),
}

#[derive(clap::Args)]
struct Create {
    /// The number of the extension, as the directory has it
    #[arg(value_name = "NUMBER")]
    number: String,
    #[command(flatten)]
    of: Of,
    /// The account of the extension [default: the first of the directory]
    #[arg(long, value_name = "ID", value_parser = account)]
    account: Option<AccountId>,
    /// Let the user see all calls of the account
    #[arg(long)]
    admin: bool,
    /// Create an admin token as well and print it with the others
    #[arg(long)]
    with_admin_token: bool,
    /// Purpose of the JWT and the token
    #[arg(long, value_name = "TEXT", default_value = "Created by hookswitch user")]
    label: String,
    /// Print one JSON object, which `listen` and `subscribe` take as --login
    #[arg(long)]
    json: bool,
}

/// User that was made.
#[derive(Serialize)]
struct Made {
    #[serde(flatten)]
    login: Credentials,
    #[serde(skip_serializing_if = "Option::is_none")]
    admin_token: Option<String>,
}

#[derive(clap::Args)]
struct List {
    #[command(flatten)]
    of: Of,
}

#[derive(clap::Args)]
struct Remove {
    /// The number of the extension
    #[arg(value_name = "NUMBER")]
    number: String,
    #[command(flatten)]
    of: Of,
    /// Account of the extension, if several accounts have the number
    #[arg(long, value_name = "ID", value_parser = account)]
    account: Option<AccountId>,
}

fn account(text: &str) -> Result<AccountId, String> {
    let id = text.parse().ok().filter(|&id: &u64| id > 0);
    id.map(AccountId::new).ok_or_else(|| "give the id of an account: decimal digits".to_owned())
}

impl User {
    /// Does what the arguments ask for.
    pub(super) fn run(&self, out: &mut impl Write) -> anyhow::Result<()> {
        match &self.command {
            Command::Create(create) => {
                let Create { number, account, admin, label, .. } = create;
                let access = create.of.open()?;
                let login = access.create_user(number, *account, *admin, label)?;
                let admin_token =
                    create.with_admin_token.then(|| access.create_token(label, "full")).transpose()?;
                if create.json {
                    serde_json::to_writer(&mut *out, &Made { login, admin_token })?;
                    writeln!(out)?;
                } else {
                    let token = admin_token.as_deref().map(|token| ("admin_token", token));
                    for (name, value) in login.rows().into_iter().chain(token) {
                        if !value.is_empty() {
                            writeln!(out, "{name:<17} {value}")?;
                        }
                    }
                }
            }
            Command::List(list) => {
                for user in list.of.open()?.users()? {
                    let may = if user.admin { "all calls" } else { "own calls" };
                    let (number, account) = (escape::plain(&user.number), escape::plain(&user.account));
                    writeln!(
                        out,
                        "{number:<8} account {account}  extension {}  {may}  {} JWT",
                        user.extension_id, user.jwts
                    )?;
                }
            }
            Command::Remove(remove) => {
                remove.of.open()?.remove_user(&remove.number, remove.account)?;
            }
        }
        Ok(())
    }
}
