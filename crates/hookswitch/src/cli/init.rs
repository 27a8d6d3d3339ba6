//! `hookswitch init`: a directory with all that a first start needs.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use hookswitch_core::directory::Directory;
use hookswitch_model::ExtensionId;
use hookswitch_model::number::Country;
use hookswitch_server::config::{ACCOUNT, Config, DEFAULTS};
use hookswitch_server::secret::{self, Digest, Key};
use hookswitch_server::{auth as oauth, clock};
use hookswitch_store::{self as store, Change, Expected};
use serde::Serialize;
use serde_json::json;

/// The extension of the first user.
const EXTENSION: &str = "101";

/// How long the first user's JWT is good for.
const JWT_SECONDS: i64 = 10 * 365 * 86_400;

/// What is granted to the first application.
const SCOPES: [&str; 6] = [
    "CallControl",
    "ReadAccounts",
    "ReadCallLog",
    "ReadPresence",
    "SubscriptionWebhook",
    "WebSocketsSubscription",
];

/// The arguments of the command.
#[derive(clap::Args)]
pub(super) struct Init {
    /// The directory to make; what is in it stays as it is
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// Country in which numbers are dialled, such as ES
    #[arg(long, value_name = "LETTERS", value_parser = country)]
    country: Option<Country>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// What a first user needs to know. The secrets are stored as digests and cannot be shown again.
#[derive(Serialize)]
pub(super) struct Made {
    server: String,
    hep: String,
    pub(super) client_id: String,
    pub(super) client_secret: String,
    pub(super) jwt: String,
    account_id: String,
    extension_id: String,
    extension_number: String,
    pub(super) admin_token: String,
}

impl Init {
    /// Makes the directory and prints what it has made.
    pub(super) fn run(self, out: &mut impl Write) -> anyhow::Result<()> {
        let directory = &self.directory;
        let made = make(directory, self.country)?;
        if self.json {
            serde_json::to_writer(&mut *out, &made)?;
            writeln!(out)?;
        } else {
            write_text(&made, directory, out)?;
        }
        Ok(())
    }
}

/// Makes a directory, or fills one in which nothing of the kind is.
///
/// # Errors
/// If something is there already, or cannot be written.
pub(super) fn make(directory: &Path, country: Option<Country>) -> anyhow::Result<Made> {
    let name = directory.display();
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .with_context(|| format!("cannot make the directory {name}"))?;
    for file in ["hookswitch.toml", "directory.toml", "secret.key", "data"] {
        let there = directory.join(file).exists();
        ensure!(!there, "{name} has a {file} already; name a new directory, or use what is there");
    }
    let people = people(country);
    write_private(&directory.join("directory.toml"), people.as_bytes())?;
    let people = Directory::parse(&people).map_err(|error| anyhow::anyhow!("directory.toml, {error}"))?;
    let extension = extension(&people).context("directory.toml has no extension 101")?;
    let key: [u8; 32] = secret::random()?;
    write_private(&directory.join("secret.key"), &key)?;
    let path = directory.join("hookswitch.toml");
    write_private(&path, configuration().as_bytes())?;
    let config = Config::load(&path)?;

    let server = config.public_url(config.server.listen);
    let (client_id, client_secret, admin_token) = (secret::token()?, secret::token()?, secret::token()?);
    let now = clock::wall().as_micros() / 1_000_000;
    let jwt_id = secret::token()?;
    let jwt = oauth::issue_assertion(&Key::new(&key), extension, &jwt_id, now, now + JWT_SECONDS);
    let change = |kind: &'static str, id: &str, content: serde_json::Value| Change {
        kind: kind.into(),
        id: id.to_owned(),
        expected: Expected::Absent,
        content: Some(content.to_string()),
    };
    let changes = [
        change(
            "application",
            &client_id,
            json!({
                "name": "First application",
                "account": ACCOUNT.to_string(),
                "secret": secret::hash(&client_secret)?,
                "grants": ["jwt-bearer", "authorization_code", "refresh_token"],
                "redirect_uris": [],
                "scopes": SCOPES,
            }),
        ),
        change(
            "user",
            &extension.to_string(),
            json!({
                "account": ACCOUNT.to_string(),
                "extension_number": EXTENSION,
                "admin": true,
            }),
        ),
        // A JWT is good as long as the document with its id is there.
        change(
            "jwt",
            &jwt_id,
            json!({"extension": extension.to_string(), "label": "made by init", "expires": now + JWT_SECONDS}),
        ),
        change(
            "admin_token",
            &Digest::of(admin_token.as_bytes()).to_string(),
            json!({"label": "made by init"}),
        ),
    ];
    store::initialize(&config.store.directory, &changes)?;
    Ok(Made {
        server,
        hep: config.hep.listen.0.map(|address| address.to_string()).unwrap_or_default(),
        client_id,
        client_secret,
        jwt,
        account_id: ACCOUNT.to_string(),
        extension_id: extension.to_string(),
        extension_number: EXTENSION.to_owned(),
        admin_token,
    })
}

fn extension(people: &Directory) -> Option<ExtensionId> {
    people.accounts().next()?.resolve(&EXTENSION.into(), None).extension
}

/// The configuration of a new directory: every setting with its default, as a comment.
fn configuration() -> String {
    let head = "# Hookswitch. Every setting is below with its default; take the # away from what you change.\n\
                # docs/server.md tells more. `kill -HUP` reads sources, directory and policy again.\n\n";
    let mut text = head.to_owned();
    let body = DEFAULTS.split_once("\n[server]").map_or(DEFAULTS, |(_, body)| body);
    for line in format!("[server]{body}").lines() {
        let own = match line {
            "file = \"\"" => "file = \"directory.toml\"".to_owned(),
            setting if setting.is_empty() || setting.starts_with(['#', '[']) => setting.to_owned(),
            setting => format!("# {setting}"),
        };
        text.push_str(&own);
        text.push('\n');
    }
    text
}

/// Reads a country from its two letters.
fn country(letters: &str) -> Result<Country, String> {
    Country::find(letters).ok_or_else(|| "give two letters of ISO 3166-1, such as ES".to_owned())
}

/// The directory of a new server, in a country if it is known.
fn people(country: Option<Country>) -> String {
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
    writeln!(out, "Made {name}: hookswitch.toml, directory.toml, secret.key and data.")?;
    writeln!(out, "These are shown once; the server keeps digests.\n")?;
    for (label, value) in [
        ("server", &made.server),
        ("hep", &made.hep),
        ("client_id", &made.client_id),
        ("client_secret", &made.client_secret),
        ("jwt", &made.jwt),
        ("account_id", &made.account_id),
        ("extension_id", &made.extension_id),
        ("extension_number", &made.extension_number),
        ("admin_token", &made.admin_token),
    ] {
        writeln!(out, "{label:<17} {value}")?;
    }
    writeln!(
        out,
        "\nStart it with: hookswitch serve --config {}",
        directory.join("hookswitch.toml").display()
    )?;
    Ok(())
}
