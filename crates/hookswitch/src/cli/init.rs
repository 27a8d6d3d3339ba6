//! `hookswitch init`: a directory with all that a first start needs.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use hookswitch_core::directory::Directory;
use hookswitch_model::number::Country;
use hookswitch_model::{AccountId, ExtensionId};
use hookswitch_server::config::{Config, DEFAULTS};
use hookswitch_server::secret::{self, Key};
use hookswitch_store as store;
use serde::Serialize;

use super::credentials::{self, Credentials, Holder};

/// The extension of the first user.
const EXTENSION: &str = "101";

/// The arguments of the command.
#[derive(clap::Args)]
pub(super) struct Init {
    /// The directory to create; files that exist are kept
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// Country in which numbers are dialled, such as ES
    #[arg(long, value_name = "LETTERS", value_parser = country)]
    country: Option<Country>,
    /// Directory of the store [default: data in the directory]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Facts that a first user needs. The secrets are stored as digests and cannot be shown again.
#[derive(Serialize)]
pub(super) struct Made {
    #[serde(flatten)]
    pub(super) login: Credentials,
    pub(super) admin_token: String,
    /// The directory of the store in which they are good.
    #[serde(skip)]
    data: PathBuf,
}

impl Init {
    /// Makes the directory and prints what it has made.
    pub(super) fn run(self, out: &mut impl Write) -> anyhow::Result<()> {
        let directory = &self.directory;
        let made = make(directory, &people(self.country), self.data.as_deref())?;
        if self.json {
            serde_json::to_writer(&mut *out, &made)?;
            writeln!(out)?;
        } else {
            write_text(&made, directory, out)?;
        }
        Ok(())
    }
}

/// Makes a directory, or fills one in which nothing of the kind is; `people` is the directory file.
///
/// # Errors
/// If something is there already, or cannot be written.
pub(super) fn make(directory: &Path, people: &str, data: Option<&Path>) -> anyhow::Result<Made> {
    let name = directory.display();
    ensure!(
        !directory.join("hookswitch.toml").exists(),
        "{name} has a hookswitch.toml already, which stays as it is; to make new credentials for it:\n  \
         hookswitch token create --config {name}/hookswitch.toml\n  \
         hookswitch user create {EXTENSION} --admin --config {name}/hookswitch.toml\n\
         or name a new directory"
    );
    let data = data.map(std::path::absolute).transpose().context("--data names no directory")?;
    let inside = data.is_none().then_some("data");
    for file in ["directory.toml", "secret.key"].into_iter().chain(inside) {
        let there = directory.join(file).exists();
        ensure!(!there, "{name} has a {file} already; name a new directory, or use what is there");
    }
    let listed = Directory::parse(people).map_err(|error| anyhow::anyhow!("the directory, {error}"))?;
    let (account, number, extension) = first_user(&listed)?;
    let path = directory.join("hookswitch.toml");
    let text = configuration(data.as_deref())?;
    let config = Config::read(&text, &path)?;
    // With another secret.key its users would have to log in again, and its subscribers to subscribe again.
    ensure!(
        !store::is_there(&config.store.directory),
        "there is a store in {} already; make credentials for it with its own configuration, by `hookswitch token \
         create` and `hookswitch user create`, or name another directory with --data",
        config.store.directory.display()
    );
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .with_context(|| format!("cannot make the directory {name}"))?;
    write_private(&directory.join("directory.toml"), people.as_bytes())?;
    let key: [u8; 32] = secret::random()?;
    write_private(&directory.join("secret.key"), &key)?;
    write_private(&path, text.as_bytes())?;
    let holder = Holder { account, extension, number: &number };
    let (login, mut changes) =
        Credentials::make(&config, &Key::new(&key), &holder, "First application", "First user")?;
    let (admin_token, token) = credentials::admin_token("First administrator", "full")?;
    changes.extend([credentials::user(&holder, true), token]);
    store::amend(&config.store.directory, &changes)?;
    Ok(Made { login, admin_token, data: config.store.directory })
}

/// Returns who logs in first: extension 101 of the first account, or its first extension.
fn first_user(people: &Directory) -> anyhow::Result<(AccountId, Arc<str>, ExtensionId)> {
    let account = people.accounts().next().context("the directory has no account; give it one")?;
    let number = Arc::from(EXTENSION);
    if let Some(extension) = account.resolve(&number, None).extension {
        return Ok((account.id(), number, extension));
    }
    let first = account.extensions().iter().find_map(|listed| Some((listed.number.clone()?, listed.id)));
    let (number, extension) =
        first.context("the first account of the directory has no extension; give it one")?;
    Ok((account.id(), Arc::from(&*number), extension))
}

/// The configuration of a new directory: every setting with its default, as a comment.
fn configuration(data: Option<&Path>) -> anyhow::Result<String> {
    let head = "# Hookswitch. Every setting is below with its default; take the # away from what you change.\n\
                # docs/server.md tells more. `kill -HUP` reads sources, directory and policy again.\n\n";
    let mut text = head.to_owned();
    let data = data.map(|data| data.to_str().context("--data is no UTF-8; name another directory"));
    let data = data.transpose()?.map(|data| format!("directory = {}", toml_text(data)));
    let body = DEFAULTS.split_once("\n[server]").map_or(DEFAULTS, |(_, body)| body);
    for line in format!("[server]{body}").lines() {
        let own = match line {
            "file = \"\"" => "file = \"directory.toml\"".to_owned(),
            "directory = \"data\"" if data.is_some() => data.clone().unwrap_or_default(),
            setting if setting.is_empty() || setting.starts_with(['#', '[']) => setting.to_owned(),
            setting => format!("# {setting}"),
        };
        text.push_str(&own);
        text.push('\n');
    }
    Ok(text)
}

/// A string as TOML writes it; it is one that JSON has too.
fn toml_text(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Reads a country from its two letters.
fn country(letters: &str) -> Result<Country, String> {
    Country::find(letters).ok_or_else(|| "give two letters of ISO 3166-1, such as ES".to_owned())
}

/// The directory of a new server, in a country if it is known.
pub(super) fn people(country: Option<Country>) -> String {
    let Some(country) = country else { return DIRECTORY.to_owned() };
    let setting = format!("country = \"{}\" ", country.letters());
    DIRECTORY.replacen("# country = \"US\" ", &setting, 1)
}

/// The directory of a new server.
const DIRECTORY: &str = r#"# Who has which number. docs/directory.md shows every key.

[[account]]
id = 310001016
name = "My company"
# country = "US"                  # how numbers are dialled; then they are shown in E.164
# domains = ["pbx.example"]       # the SIP domains of the account

[[account.extension]]
number = "101"

[[account.extension]]
number = "102"

[[account.extension]]
number = "103"

[[account.extension]]
number = "104"

# [[account.trunk]]
# addresses = ["192.0.2.30"]      # where calls from and to outside go through
"#;

/// Writes a new file that only its owner can read.
fn write_private(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    let write = || OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?.write_all(content);
    write().with_context(|| format!("cannot write {}", path.display()))
}

fn write_text(made: &Made, directory: &Path, out: &mut impl Write) -> anyhow::Result<()> {
    let name = directory.display();
    writeln!(
        out,
        "Made {name}: hookswitch.toml, directory.toml and secret.key; the store is in {}.",
        made.data.display()
    )?;
    writeln!(
        out,
        "These are shown once; the server keeps digests, and these are good in that store alone.\n"
    )?;
    for (label, value) in made.login.rows().into_iter().chain([("admin_token", &*made.admin_token)]) {
        writeln!(out, "{label:<17} {value}")?;
    }
    writeln!(
        out,
        "\nStart it with: hookswitch serve --config {}",
        directory.join("hookswitch.toml").display()
    )?;
    Ok(())
}
