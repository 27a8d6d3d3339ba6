//! Access to a store that no server has open, or to a running server by its admin API.

use std::path::PathBuf;

use anyhow::{Context as _, anyhow, bail, ensure};
use axum::http::Method;
use hookswitch_core::directory::Directory;
use hookswitch_model::AccountId;
use hookswitch_server::auth::{ADMIN_TOKEN, CREDENTIAL, USER};
use hookswitch_server::config::Config;
use hookswitch_server::secret::Key;
use hookswitch_store::{self as store, Change, Document, Engine, Expected, Reader};
use serde_json::{Value, json};

use super::admin::{Admin, Asked};
use super::credentials::{self, Credentials, GRANTS, Holder, SCOPES};

/// Length of the part of a digest that names an admin token.
const TOKEN_ID_CHARS: usize = 16;

/// The application that is made for a user's programs.
const APPLICATION_NAME: &str = "Made by hookswitch user";

/// Person or program whose access is changed.
#[derive(clap::Args)]
pub(super) struct Of {
    /// The configuration of a server that does not run; its store is changed
    #[arg(long, value_name = "FILE", conflicts_with_all = ["login", "server"])]
    config: Option<PathBuf>,
    #[command(flatten)]
    asked: Asked,
}

/// Documents of access, wherever they are.
pub(super) enum Access {
    Offline(Box<Config>),
    Running(Box<Admin>),
}

/// An admin token, as lists show it.
pub(super) struct TokenRow {
    pub(super) id: String,
    pub(super) role: String,
    pub(super) label: String,
}

/// A user, as lists show them.
pub(super) struct UserRow {
    pub(super) extension_id: String,
    pub(super) number: String,
    pub(super) account: String,
    pub(super) admin: bool,
    pub(super) jwts: usize,
}

impl Of {
    /// Returns what the arguments name.
    ///
    /// # Errors
    /// If they name nothing, or a store that cannot be changed without its server.
    pub(super) fn open(&self) -> anyhow::Result<Access> {
        let Some(path) = &self.config else {
            let Some(admin) = self.asked.find()? else {
                bail!(
                    "nothing says whose access it is; give --config FILE of a server that does not run, or --server \
                     URL and --token TOKEN of one that does"
                )
            };
            return Ok(Access::Running(Box::new(admin)));
        };
        let config = Config::load(path)?;
        ensure!(
            config.store.engine == Engine::Sqlite,
            "{} has its documents in NATS; ask a running node, with --server URL and --token TOKEN",
            path.display()
        );
        Ok(Access::Offline(Box::new(config)))
    }
}

impl Access {
    /// Lists the admin tokens.
    pub(super) fn tokens(&self) -> anyhow::Result<Vec<TokenRow>> {
        let row = |id: &str, value: &Value| TokenRow {
            id: id.chars().take(TOKEN_ID_CHARS).collect(),
            role: value["role"].as_str().unwrap_or("full").to_owned(),
            label: text(&value["label"]),
        };
        match self {
            Self::Offline(config) => {
                let documents = documents(config, ADMIN_TOKEN)?;
                Ok(documents.iter().map(|document| row(&document.id, &content(document))).collect())
            }
            Self::Running(admin) => {
                let listed = admin.read("/admin/v1/tokens")?;
                Ok(records(&listed).iter().map(|token| row(&text(&token["id"]), token)).collect())
            }
        }
    }

    /// Makes an admin token.
    pub(super) fn create_token(&self, label: &str, role: &str) -> anyhow::Result<String> {
        match self {
            Self::Offline(config) => {
                let (token, change) = credentials::admin_token(label, role)?;
                amend(config, &[change])?;
                Ok(token)
            }
            Self::Running(admin) => {
                let made = admin.post("/admin/v1/tokens", &json!({"label": label, "role": role}))?;
                let token = made["token"].as_str();
                Ok(token.context("the server gave no token")?.to_owned())
            }
        }
    }

    /// Takes an admin token back; the last of the role full stays.
    pub(super) fn revoke_token(&self, id: &str) -> anyhow::Result<()> {
        let config = match self {
            Self::Running(admin) => return admin.delete(&format!("/admin/v1/tokens/{id}")),
            Self::Offline(config) => config,
        };
        let documents = documents(config, ADMIN_TOKEN)?;
        let is_full = |document: &Document| content(document)["role"].as_str().unwrap_or("full") == "full";
        let found = documents.iter().find(|document| document.id.get(..TOKEN_ID_CHARS) == Some(id));
        let found = found.with_context(|| {
            format!("there is no admin token {id}; `hookswitch token list` shows the ids")
        })?;
        let full = documents.iter().filter(|document| is_full(document)).count();
        ensure!(
            !is_full(found) || full > 1,
            "{id} is the last admin token that may change anything; make another first"
        );
        amend(config, &[gone(ADMIN_TOKEN, found)])
    }

    /// Lists the users.
    pub(super) fn users(&self) -> anyhow::Result<Vec<UserRow>> {
        match self {
            Self::Offline(config) => {
                let credentials = documents(config, CREDENTIAL)?;
                let of = |id: &str| {
                    let is_of = |one: &&Document| content(one)["extension"].as_str() == Some(id);
                    credentials.iter().filter(is_of).count()
                };
                let row = |document: Document| {
                    let user = content(&document);
                    UserRow {
                        number: text(&user["extension_number"]),
                        account: text(&user["account"]),
                        admin: user["admin"] == true,
                        jwts: of(&document.id),
                        extension_id: document.id,
                    }
                };
                Ok(documents(config, USER)?.into_iter().map(row).collect())
            }
            Self::Running(admin) => {
                let listed = admin.read("/admin/v1/users")?;
                let row = |user: &Value| {
                    let extension_id = text(&user["extensionId"]);
                    let jwts = admin.read(&format!("/admin/v1/users/{extension_id}/jwts"))?;
                    Ok(UserRow {
                        number: text(&user["extensionNumber"]),
                        account: text(&user["accountId"]),
                        admin: user["admin"] == true,
                        jwts: records(&jwts).len(),
                        extension_id,
                    })
                };
                records(&listed).iter().map(row).collect()
            }
        }
    }

    /// Makes an extension a user unless it is one, and gives it an application and a JWT.
    pub(super) fn create_user(
        &self,
        number: &str,
        account: Option<AccountId>,
        admin: bool,
        label: &str,
    ) -> anyhow::Result<Credentials> {
        match self {
            Self::Offline(config) => create_offline(config, number, account, admin, label),
            Self::Running(running) => create_running(running, number, account, admin, label),
        }
    }

    /// Takes a user away, with all their JWTs.
    pub(super) fn remove_user(&self, number: &str, account: Option<AccountId>) -> anyhow::Result<()> {
        let account = account.map(|account| account.to_string());
        let mut found = self.users()?;
        found.retain(|user| {
            user.number == number && account.as_ref().is_none_or(|account| user.account == *account)
        });
        ensure!(found.len() < 2, "there are users {number} in several accounts; say which by --account ID");
        let user = found
            .pop()
            .with_context(|| format!("{number} is no user; `hookswitch user list` shows who is"))?;
        match self {
            Self::Running(admin) => admin.delete(&format!("/admin/v1/users/{}", user.extension_id)),
            Self::Offline(config) => {
                let mut changes = Vec::new();
                for document in documents(config, CREDENTIAL)? {
                    if content(&document)["extension"].as_str() == Some(&user.extension_id) {
                        changes.push(gone(CREDENTIAL, &document));
                    }
                }
                let document = documents(config, USER)?.into_iter().find(|one| one.id == user.extension_id);
                changes.extend(document.map(|document| gone(USER, &document)));
                amend(config, &changes)
            }
        }
    }
}

fn create_offline(
    config: &Config,
    number: &str,
    account: Option<AccountId>,
    admin: bool,
    label: &str,
) -> anyhow::Result<Credentials> {
    let settings = hookswitch_server::settings(config)?;
    let default = hookswitch_server::default_account(&settings);
    let wanted = account.unwrap_or(default);
    let directory = match &settings.directory {
        Some(text) => Directory::parse(text).map_err(|error| anyhow!("the directory, {error}"))?,
        None => Directory::built_in(default),
    };
    let found = directory.accounts().find(|one| one.id() == wanted);
    let found = found.with_context(|| format!("the directory has no account {wanted}"))?;
    let extension = found.resolve(&number.into(), None).extension.with_context(|| {
        format!("the directory has no extension {number} in account {wanted}; add it there first")
    })?;
    let holder = Holder { account: wanted, extension, number };
    let key = Key::load(&config.oauth.key_file)?;
    let (made, mut changes) = Credentials::make(config, &key, &holder, APPLICATION_NAME, label)?;
    let id = extension.to_string();
    match documents(config, USER)?.into_iter().find(|document| document.id == id) {
        None => changes.push(credentials::user(&holder, admin)),
        Some(document) if admin => {
            let mut user = content(&document);
            user["admin"] = true.into();
            changes.push(Change {
                kind: USER.into(),
                id,
                expected: Expected::Revision(document.revision),
                content: Some(user.to_string()),
            });
        }
        Some(_) => {}
    }
    amend(config, &changes)?;
    Ok(made)
}

fn create_running(
    running: &Admin,
    number: &str,
    account: Option<AccountId>,
    admin: bool,
    label: &str,
) -> anyhow::Result<Credentials> {
    let account_id = if let Some(account) = account {
        account.to_string()
    } else {
        let accounts = running.read("/admin/v1/accounts")?;
        let first = records(&accounts).first().map(|account| account["id"].to_string());
        first.context("the directory of the server has no account; add one first")?
    };
    let extension = running.read(&format!("/admin/v1/accounts/{account_id}/extensions/{number}"))?;
    let extension_id = extension["id"].to_string();
    let path = format!("/admin/v1/users/{extension_id}");
    let users = running.read("/admin/v1/users")?;
    match records(&users).iter().find(|user| user["extensionId"].as_str() == Some(&extension_id)) {
        None => {
            running.call(Method::PUT, &path, &json!({"accountId": account_id, "admin": admin}))?;
        }
        Some(user) if admin && user["admin"] != true => {
            let mut changed = json!({"accountId": account_id, "admin": true});
            for key in ["permissions", "disabled", "console"] {
                changed[key] = user[key].clone();
            }
            running.call(Method::PUT, &path, &changed)?;
        }
        Some(_) => {}
    }
    let application = json!({
        "name": APPLICATION_NAME, "accountId": account_id, "grants": GRANTS, "scopes": SCOPES,
    });
    let application = running.post("/admin/v1/applications", &application)?;
    let jwt = running.post(&format!("{path}/jwts"), &json!({"label": label}))?;
    Ok(Credentials {
        server: running.server().to_owned(),
        hep: String::new(),
        client_id: text(&application["clientId"]),
        client_secret: text(&application["clientSecret"]),
        jwt: text(&jwt["jwt"]),
        account_id,
        extension_id,
        extension_number: number.to_owned(),
    })
}

/// The documents of a kind; none of a store that is not there yet.
fn documents(config: &Config, kind: &str) -> anyhow::Result<Vec<Document>> {
    if !store::is_there(&config.store.directory) {
        return Ok(Vec::new());
    }
    Ok(Reader::of(&config.store.directory, config.partitions())?.documents(kind)?)
}

fn amend(config: &Config, changes: &[Change]) -> anyhow::Result<()> {
    store::amend(&config.store.directory, changes).context(
        "the store cannot be changed; of a running server give --server URL and --token TOKEN instead",
    )
}

fn gone(kind: &'static str, document: &Document) -> Change {
    let expected = Expected::Revision(document.revision);
    Change { kind: kind.into(), id: document.id.clone(), expected, content: None }
}

fn content(document: &Document) -> Value {
    serde_json::from_str(&document.content).unwrap_or_default()
}

fn records(list: &Value) -> &[Value] {
    list["records"].as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
