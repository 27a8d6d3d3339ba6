//! Rights and OAuth 2.0: how applications get tokens for a user, and who is behind a token (RFC 6749, 7009,
//! 7523, 7636, 9700; contract auth).

mod application;
mod assertion;
mod code;
mod error;
mod form;
mod grant;
mod identity;
mod login;
mod principal;
mod problem;
mod scope;
mod throttle;
mod token;
mod turns;

use std::net::IpAddr;
use std::sync::{Arc, RwLock};

use axum::http::{HeaderMap, header};
use hookswitch_core::directory::Directory;
use hookswitch_model::ExtensionId;
use hookswitch_store::{Changed, DocumentUpdate, Store};
use tokio::sync::{Mutex, watch};

pub use self::application::{Application, CONSOLE, Claimed, ConsoleRole, Credential, GrantType, User, read};
pub use self::assertion::issue as issue_assertion;
pub use self::code::{Asked, Refused};
pub use self::error::Refusal;
pub use self::form::Form;
pub use self::grant::{Subject, TokenResponse};
pub use self::identity::Identity;
pub use self::principal::Principal;
pub use self::problem::Problem;
pub use self::scope::{Scope, Scopes, UnknownScope};
pub use self::throttle::{Allowance, Throttle, WINDOW};
use self::turns::Turns;
use crate::secret::{self, Key};
use crate::{clock, config, connection_limits};

/// The kind of documents of admin tokens; their ids are the digests of the tokens.
pub const ADMIN_TOKEN: &str = "admin_token";
/// The kind of documents of applications.
pub const APPLICATION: &str = "application";
/// The kind of documents of users.
pub const USER: &str = "user";
/// The kind of documents of JWT credentials.
pub const CREDENTIAL: &str = "jwt";

/// The most failures of a client, or of a user who logs in, from one address in a minute.
const FAILURES_MAX: u32 = 10;

/// The most failures from one address in a minute, whoever it says that it is.
const FAILURES_OF_HOST_MAX: u32 = 100;

/// The longest access token that is looked up, in bytes.
const TOKEN_BYTES_MAX: usize = 512;

/// The directory that holds; replaced as a whole when it is read again.
pub type People = Arc<RwLock<Arc<Directory>>>;

/// Services that OAuth needs beside the request.
pub struct OAuth {
    store: Store,
    key: Key,
    people: People,
    access_seconds: i64,
    refresh_seconds: i64,
    grant_seconds: i64,
    password_grant: bool,
    /// Tokens change one after the other, so that what one reads no other changes meanwhile.
    turn: Mutex<()>,
    checks: Turns,
    /// Of a secret that nobody knows: what is checked when there is no client or no user, so that
    /// the answer takes as long.
    nobody: String,
    failures: Throttle,
    failures_of_hosts: Throttle,
    /// Counts what may have ended a grant.
    ended: watch::Sender<u64>,
    /// Counts what may have changed the rights of users and applications.
    rights_changed: watch::Sender<u64>,
}

impl OAuth {
    /// As the configuration has it.
    ///
    /// # Errors
    /// If the operating system has no random bytes.
    pub fn new(store: Store, key: Key, people: People, config: &config::OAuth) -> anyhow::Result<Arc<Self>> {
        let seconds = |span: config::Span| i64::try_from(span.0.as_secs()).unwrap_or(i64::MAX);
        Ok(Arc::new(Self {
            store,
            key,
            people,
            access_seconds: seconds(config.access_token_life),
            refresh_seconds: seconds(config.refresh_token_life),
            grant_seconds: seconds(config.login_life),
            password_grant: config.password_grant,
            turn: Mutex::default(),
            // Half of the processors, so that guesses leave the others alone.
            checks: Turns::new(std::thread::available_parallelism().map_or(1, |all| (all.get() / 2).max(1))),
            nobody: secret::hash(&secret::token()?)?,
            failures: Throttle::new(FAILURES_MAX),
            failures_of_hosts: Throttle::new(FAILURES_OF_HOST_MAX),
            ended: watch::Sender::new(0),
            rights_changed: watch::Sender::new(0),
        }))
    }

    /// The JWT credential of a user, whose document is there.
    pub fn assertion(&self, extension: ExtensionId, id: &str, now: i64, expires: i64) -> String {
        assertion::issue(&self.key, extension, id, now, expires)
    }

    /// Told whenever grants may have ended, or other rights hold.
    pub fn follow_ends(&self) -> watch::Receiver<u64> {
        self.ended.subscribe()
    }

    /// Told whenever other rights may hold, of users or of applications.
    pub(crate) fn follow_rights(&self) -> watch::Receiver<u64> {
        self.rights_changed.subscribe()
    }

    /// Tells that a document of a kind was changed here: rights and grants may have rested on it.
    pub fn tell_changed(&self, kind: &str) {
        if matches!(kind, APPLICATION | USER) {
            self.rights_changed.send_modify(|count| *count += 1);
        }
        self.tell_ended();
    }

    /// Tells those who hold something open for a grant to look whether it still is.
    pub fn tell_ended(&self) {
        self.ended.send_modify(|count| *count += 1);
    }

    /// Looks at what other nodes change, until told to stop: a grant may have rested on it.
    pub async fn follow(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        let mut changed = self.store.follow_documents();
        while let Some(told) = changed.next_until(&mut stop).await {
            match told {
                DocumentUpdate::One(Changed { kind, gone, .. }) if grant::may_end_by(&kind, gone) => {
                    self.tell_changed(&kind);
                }
                DocumentUpdate::One(_) => {}
                DocumentUpdate::Any => self.tell_changed(USER),
            }
        }
    }

    /// Returns who is behind the access token of a request.
    ///
    /// # Errors
    /// 401 with what is wrong with it.
    pub async fn authenticate(&self, headers: &HeaderMap) -> Result<Principal, Problem> {
        let value = headers.get(header::AUTHORIZATION);
        let value = value.ok_or_else(|| {
            Problem::token("OAU-149", "The access token is missing; send it as Authorization: Bearer TOKEN")
        })?;
        let unreadable = || Problem::token("OAU-149", "The Authorization header is not Bearer TOKEN");
        let (scheme, token) =
            value.to_str().ok().and_then(|value| value.trim().split_once(' ')).ok_or_else(unreadable)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(Problem::token(
                "OAU-151",
                "The access token must be sent as Authorization: Bearer TOKEN",
            ));
        }
        let token = token.trim();
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte); // RFC 6750 §2.1
        if token.is_empty() || token.len() > TOKEN_BYTES_MAX || !token.bytes().all(is_token) {
            return Err(Problem::token("OAU-129", "The access token is corrupted; send it as it was issued"));
        }
        self.holder(token).await
    }

    /// Returns whether a secret is the one that was hashed; takes as long when there is none.
    ///
    /// # Errors
    /// 429 when there were too many wrong ones meanwhile, or too many wait.
    async fn verify(
        &self,
        whose: &[&str],
        from: IpAddr,
        secret: &str,
        hash: Option<String>,
    ) -> Result<bool, Refusal> {
        let host = connection_limits::host(from);
        let has_guessed =
            self.failures_of_hosts.look(&[&host.to_string()], clock::now()).remaining < FAILURES_OF_HOST_MAX;
        let turn = self.checks.take(host, has_guessed).await;
        let turn = turn.ok_or_else(|| Refusal::too_many("OAU-147", 1))?;
        // Who sends many guesses at once has them all here before the first is wrong.
        self.check_failures(whose, from)?;
        let there = hash.is_some();
        let hash = hash.unwrap_or_else(|| self.nobody.clone());
        let secret = secret.to_owned();
        let verified = tokio::task::spawn_blocking(move || {
            let _turn = turn; // also when nobody waits for the answer any more
            secret::verify(&secret, &hash)
        });
        Ok(verified.await.unwrap_or(false) && there)
    }

    /// Checks that there were not too many failures of somebody from an address, or from it in all. What comes from
    /// another address is not affected.
    fn check_failures(&self, whose: &[&str], from: IpAddr) -> Result<(), Refusal> {
        let (host, now) = (connection_limits::host(from).to_string(), clock::now());
        let whose: Vec<&str> = whose.iter().copied().chain([&*host]).collect();
        let of_one = self.failures.look(&whose, now).wait;
        match of_one.or_else(|| self.failures_of_hosts.look(&[&host], now).wait) {
            Some(wait) => Err(Refusal::too_many("OAU-147", wait.as_secs())),
            None => Ok(()),
        }
    }

    /// Counts a failure; gives how long to wait if it was one too many.
    fn note_failure(&self, whose: &[&str], from: IpAddr) -> Option<std::time::Duration> {
        let (host, now) = (connection_limits::host(from).to_string(), clock::now());
        let whose: Vec<&str> = whose.iter().copied().chain([&*host]).collect();
        self.failures_of_hosts.take(&[&host], now);
        self.failures.take(&whose, now).wait
    }
}
