//! Grants: what a user has let an application do, and the tokens by which it does it.
//!
//! A grant is one family of tokens. The pair that follows a refresh token is derived from that token
//! with the key of the server, so that a refresh that is repeated gives the same pair although the
//! store holds digests alone.

use std::sync::Arc;

use hookswitch_model::{AccountId, ExtensionId};
use hookswitch_store::{Change, Expected, Reader, StoreError};
use serde::{Deserialize, Serialize};

use super::application::{Application, CONSOLE, Credential, User, read};
use super::{ADMIN_TOKEN, APPLICATION, CREDENTIAL, OAuth, Refusal, USER};
use crate::auth::{Principal, Problem, Scopes};
use crate::clock;
use crate::secret::{self, Digest};

/// The shortest and the longest that an access token may be asked for, in seconds (contract auth §1).
const ACCESS_SECONDS: (i64, i64) = (600, 3600);

/// The shortest that a refresh token may be asked for, in seconds.
const REFRESH_SECONDS_MIN: i64 = 600;

/// Time for which a session of the console goes on in which nothing is asked, in seconds: a working day with its breaks.
const CONSOLE_IDLE_SECONDS: i64 = 12 * 3600;

/// Time for which a refresh token may be repeated after its successor was used, in seconds.
const REPEAT_SECONDS_USED: i64 = 10;

/// Time for which a refresh token may be repeated while its successor is not used, in seconds.
const REPEAT_SECONDS_UNUSED: i64 = 3600;

/// The most refresh tokens of a grant that are stored. Those before them are known as of the grant by what stands in
/// them, and end it as every token that comes a second time.
const TOKENS_MAX: usize = 8;

/// Purpose of the sealed texts of refresh tokens.
const FAMILY: &str = "refresh token";

/// The most grants of a user and an application; one more ends the oldest.
const GRANTS_MAX: usize = 5;

/// The kinds of documents.
const GRANT: &str = "grant";
const ACCESS: &str = "access_token";
const REFRESH: &str = "refresh_token";
/// The ids of the grants of a user and an application.
const GRANTS_OF: &str = "grants_of";

/// Returns `true` if a grant may have ended by a change of such a document, or by its removal.
pub(super) fn may_end_by(kind: &str, gone: bool) -> bool {
    matches!(kind, APPLICATION | USER | CREDENTIAL | ADMIN_TOKEN) || kind == GRANT && gone
}

/// A grant as it is stored; the id of its document is the `session_id` of token answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Grant {
    account: AccountText,
    extension: String,
    client_id: String,
    scopes: Scopes,
    endpoint_id: String,
    /// The JWT credential that it rests on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    credential: Option<String>,
    /// The generation of the user whose it is.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    generation: String,
    /// The mark of the password that it rests on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    password: Option<String>,
    /// Time when it ends, however often it is refreshed; all times are seconds since 1970.
    ends: i64,
    /// The digests of its refresh tokens that have not expired, the oldest first.
    tokens: Vec<String>,
}

/// An account id as text, as JSON of the API has ids.
type AccountText = String;

/// An access token; the id of the document is its digest.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Access {
    grant: String,
    /// The digest of the refresh token that was made with it.
    refresh: String,
    expires: i64,
    used: bool,
}

/// A refresh token; the id of the document is its digest.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Refresh {
    grant: String,
    /// The digest of the access token that was made with it.
    access: String,
    expires: i64,
    access_seconds: i64,
    /// Time when it, or its access token, was used first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    used: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    replaced: Option<Replaced>,
}

/// Token that has replaced a refresh token, and the time.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Replaced {
    at: i64,
    /// The digest of the refresh token that follows.
    by: String,
}

/// Whom a grant is for, and what it rests on.
pub struct Subject {
    /// The id of the extension.
    pub extension: String,
    /// The user.
    pub user: User,
    /// The JWT credential that it rests on, if it rests on one.
    pub credential: Option<String>,
    /// The mark of the password that it rests on, if it rests on one.
    pub password: Option<String>,
}

/// Request of a client about the tokens it wants.
#[derive(Default)]
pub(super) struct TokenRequest {
    pub(super) access_seconds: Option<i64>,
    pub(super) refresh_seconds: Option<i64>,
    pub scopes: Option<Scopes>,
    pub endpoint_id: Option<String>,
}

/// Response to a token request (contract auth §1).
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Token)]
pub struct TokenResponse {
    access_token: String,
    token_type: &'static str,
    /// Seconds.
    expires_in: i64,
    refresh_token: String,
    /// Seconds.
    refresh_token_expires_in: i64,
    /// The permissions that were granted, with spaces between them.
    #[schema(value_type = String)]
    scope: String,
    /// The extension of the user.
    owner_id: String,
    endpoint_id: String,
    session_id: String,
}

impl TokenResponse {
    /// The id of the grant.
    pub fn session_id(&self) -> &str {
        &self.session_id
    }
}

/// A pair of tokens, and when they expire.
struct Pair {
    access: String,
    refresh: String,
    access_seconds: i64,
    access_expires: i64,
    refresh_expires: i64,
}

pub(super) fn digest(token: &str) -> String {
    Digest::of(token.as_bytes()).to_string()
}

pub(super) fn now() -> i64 {
    clock::wall().as_micros() / 1_000_000
}

pub(super) fn put(kind: &'static str, id: &str, content: &impl Serialize) -> Change {
    let content = serde_json::to_string(content).expect("what is stored can be written");
    Change { kind: kind.into(), id: id.to_owned(), expected: Expected::Any, content: Some(content) }
}

pub(super) fn delete(kind: &'static str, id: &str) -> Change {
    Change { kind: kind.into(), id: id.to_owned(), expected: Expected::Any, content: None }
}

impl Pair {
    /// The documents of both tokens.
    fn documents(&self, grant: &str) -> [Change; 2] {
        let (access, refresh) = (digest(&self.access), digest(&self.refresh));
        let grant = grant.to_owned();
        [
            put(
                ACCESS,
                &access,
                &Access {
                    grant: grant.clone(),
                    refresh: refresh.clone(),
                    expires: self.access_expires,
                    used: false,
                },
            ),
            put(
                REFRESH,
                &refresh,
                &Refresh {
                    grant,
                    access,
                    expires: self.refresh_expires,
                    access_seconds: self.access_seconds,
                    used: None,
                    replaced: None,
                },
            ),
        ]
    }

    fn answer(self, grant: &Grant, id: String, now: i64) -> TokenResponse {
        TokenResponse {
            access_token: self.access,
            token_type: "bearer",
            expires_in: self.access_expires - now,
            refresh_token: self.refresh,
            refresh_token_expires_in: self.refresh_expires - now,
            scope: grant.scopes.to_string(),
            owner_id: grant.extension.clone(),
            endpoint_id: grant.endpoint_id.clone(),
            session_id: id,
        }
    }
}

impl OAuth {
    /// The lifetimes that a client gets: what it asks for, within what may be.
    fn lifetimes(&self, client_id: &str, wishes: &TokenRequest) -> (i64, i64) {
        let (access_max, mut refresh_max) = (self.access_seconds, self.refresh_seconds);
        if client_id == CONSOLE {
            refresh_max = refresh_max.min(CONSOLE_IDLE_SECONDS);
        }
        let within =
            |wish: Option<i64>, min: i64, max: i64| wish.map_or(max, |wish| wish.clamp(min.min(max), max));
        (
            within(wishes.access_seconds, ACCESS_SECONDS.0, access_max.min(ACCESS_SECONDS.1)),
            within(wishes.refresh_seconds, REFRESH_SECONDS_MIN, refresh_max),
        )
    }

    /// Makes a new grant and its first tokens.
    pub(super) async fn issue(
        &self,
        client_id: &str,
        application: &Application,
        subject: Subject,
        wishes: TokenRequest,
    ) -> Result<TokenResponse, Refusal> {
        let now = now();
        let (access_seconds, refresh_seconds) = self.lifetimes(client_id, &wishes);
        let ends = now + self.grant_seconds;
        let id = Digest::of(&secret::random::<32>()?).to_string()[..32].to_owned();
        let pair = Pair {
            access: secret::token()?,
            refresh: self.refresh_token(&id, &secret::token()?),
            access_seconds,
            access_expires: (now + access_seconds).min(ends),
            refresh_expires: (now + refresh_seconds).min(ends),
        };
        let scopes = wishes.scopes.map_or(application.scopes, |wished| wished.and(application.scopes));
        let grant = Grant {
            account: subject.user.account,
            generation: subject.user.generation,
            password: subject.password,
            extension: subject.extension,
            client_id: client_id.to_owned(),
            scopes,
            endpoint_id: wishes.endpoint_id.map_or_else(secret::token, Ok)?,
            credential: subject.credential,
            ends,
            tokens: vec![digest(&pair.refresh)],
        };
        let _turn = self.turn.lock().await;
        let whose = format!("{client_id} {}", grant.extension);
        let (mut ids, mut changes) = self.older(whose.clone(), now).await?;
        let ended = !changes.is_empty();
        ids.push(id.clone());
        changes.push(put(GRANTS_OF, &whose, &ids));
        changes.push(put(GRANT, &id, &grant));
        changes.extend(pair.documents(&id));
        self.store.change(changes).await?;
        if ended {
            self.tell_ended();
        }
        Ok(pair.answer(&grant, id, now))
    }

    /// The grants of a user and an application that go on beside a new one, and what ends the others.
    async fn older(&self, whose: String, now: i64) -> Result<(Vec<String>, Vec<Change>), StoreError> {
        self.store
            .read_async(move |reader| {
                let mut ids: Vec<String> = read(reader, GRANTS_OF, &whose)?.unwrap_or_default();
                let mut live = Vec::new();
                let mut changes = Vec::new();
                while ids.len() >= GRANTS_MAX {
                    changes.extend(end(reader, &ids.remove(0))?);
                }
                for id in ids {
                    let newest =
                        read::<Grant>(reader, GRANT, &id)?.and_then(|grant| grant.tokens.last().cloned());
                    let newest =
                        newest.map(|token| read::<Refresh>(reader, REFRESH, &token)).transpose()?.flatten();
                    if newest.is_some_and(|newest| newest.expires > now) {
                        live.push(id);
                    } else {
                        changes.extend(end(reader, &id)?);
                    }
                }
                Ok((live, changes))
            })
            .await
    }

    /// Gives the pair that follows a refresh token (contract auth §3).
    pub(super) async fn refresh(
        &self,
        client_id: &str,
        token: &str,
        wishes: &TokenRequest,
    ) -> Result<TokenResponse, Refusal> {
        let unknown =
            || Refusal::invalid_grant("OAU-213", "The refresh token is not known here; log in again");
        let now = now();
        let _turn = self.turn.lock().await;
        let (key, client) = (digest(token), client_id.to_owned());
        let found = self.store.find({
            let key = key.clone();
            move |reader| {
                let Some(refresh) = read::<Refresh>(reader, REFRESH, &key)? else { return Ok(None) };
                let grant = read::<Grant>(reader, GRANT, &refresh.grant)?;
                let next = match &refresh.replaced {
                    Some(replaced) => read::<Refresh>(reader, REFRESH, &replaced.by)?,
                    None => None,
                };
                Ok(grant.filter(|grant| grant.client_id == *client).map(|grant| (refresh, grant, next)))
            }
        });
        let Some((refresh, mut grant, next)) = found.await? else {
            self.end_family(client_id, token).await?;
            return Err(unknown());
        };
        let id = refresh.grant.clone();
        if refresh.expires <= now {
            return Err(Refusal::invalid_grant("OAU-213", "The refresh token has expired; log in again"));
        }
        if let Some(replaced) = &refresh.replaced {
            let next = next.filter(|next| match next.used {
                Some(used) => now <= used + REPEAT_SECONDS_USED,
                None => now <= replaced.at + REPEAT_SECONDS_UNUSED,
            });
            let Some(next) = next else {
                // Two hold the token, and one of them may have stolen it (RFC 9700 §4.14.2).
                tracing::warn!(
                    client_id,
                    extension = grant.extension,
                    "a refresh token was used again; its grant ends"
                );
                self.end_grant(id).await?;
                return Err(Refusal::invalid_grant(
                    "OAU-211",
                    "The refresh token was used before; log in again",
                ));
            };
            let pair = Pair {
                access: self.key.token_after("access", token),
                refresh: self.refresh_token(&id, &self.key.token_after("refresh", token)),
                access_seconds: next.access_seconds,
                access_expires: (replaced.at + next.access_seconds).min(grant.ends),
                refresh_expires: next.expires,
            };
            return Ok(pair.answer(&grant, id, now));
        }
        self.check_subject(&grant).await?;
        let (access_seconds, refresh_seconds) = self.lifetimes(client_id, wishes);
        let pair = Pair {
            access: self.key.token_after("access", token),
            refresh: self.refresh_token(&id, &self.key.token_after("refresh", token)),
            access_seconds,
            access_expires: (now + access_seconds).min(grant.ends),
            refresh_expires: (now + refresh_seconds).min(grant.ends),
        };
        let by = digest(&pair.refresh);
        let mut changes = vec![delete(ACCESS, &refresh.access)];
        self.forget_expired(&mut grant, now, &mut changes).await?;
        grant.tokens.push(by.clone());
        let used = Some(refresh.used.unwrap_or(now));
        let replaced = Some(Replaced { at: now, by });
        changes.push(put(REFRESH, &key, &Refresh { used, replaced, ..refresh }));
        changes.push(put(GRANT, &id, &grant));
        changes.extend(pair.documents(&id));
        self.store.change(changes).await?;
        Ok(pair.answer(&grant, id, now))
    }

    /// A refresh token of a grant: nobody without the key can make one, and the grant can be read from it.
    fn refresh_token(&self, grant: &str, seed: &str) -> String {
        let random = Digest::of(seed.as_bytes()).prefix();
        self.key.seal(FAMILY, &[&random, grant.as_bytes()].concat())
    }

    /// Ends the grant of a refresh token that is not stored any more: it was used long ago, and two may hold it.
    async fn end_family(&self, client_id: &str, token: &str) -> Result<(), Refusal> {
        let content = self.key.unseal(FAMILY, token);
        let id = content.and_then(|content| String::from_utf8(content.get(16..)?.to_vec()).ok());
        let Some(id) = id else { return Ok(()) };
        let (key, client) = (id.clone(), client_id.to_owned());
        let grant = self.store.read_async(move |reader| read::<Grant>(reader, GRANT, &key)).await?;
        if let Some(grant) = grant.filter(|grant| grant.client_id == client) {
            let extension = grant.extension;
            tracing::warn!(client_id, extension, "an old refresh token was used again; its grant ends");
            self.end_grant(id).await?;
        }
        Ok(())
    }

    /// Drops the refresh tokens of a grant that nobody needs to be told from unknown ones any more.
    async fn forget_expired(
        &self,
        grant: &mut Grant,
        now: i64,
        changes: &mut Vec<Change>,
    ) -> Result<(), StoreError> {
        let tokens = grant.tokens.clone();
        let expired = self.store.read_async(move |reader| {
            let old = tokens.len().saturating_sub(TOKENS_MAX - 1);
            let mut expired: Vec<String> = tokens.iter().take(old).cloned().collect();
            for token in tokens.into_iter().skip(old) {
                match read::<Refresh>(reader, REFRESH, &token)? {
                    Some(refresh) if refresh.expires > now => break,
                    _ => expired.push(token),
                }
            }
            Ok(expired)
        });
        for token in expired.await? {
            changes.push(delete(REFRESH, &token));
            grant.tokens.retain(|other| *other != token);
        }
        Ok(())
    }

    /// Checks that the user and the credential of a grant still are.
    async fn check_subject(&self, grant: &Grant) -> Result<(), Refusal> {
        let grant = grant.clone();
        let good = self.store.read_async(move |reader| {
            Ok(user_of(reader, &grant)?.is_some() && credential_is_good(reader, &grant)?)
        });
        if good.await? {
            return Ok(());
        }
        Err(Refusal::invalid_grant("OAU-211", "What the token rests on was taken back; log in again"))
    }

    /// Ends the grant of a token, access or refresh, if it is one of this client; else does nothing.
    pub async fn revoke(&self, client_id: &str, token: &str) -> Result<(), Refusal> {
        let (key, client) = (digest(token), client_id.to_owned());
        let _turn = self.turn.lock().await;
        let grant = self.store.read_async(move |reader| {
            let id = match read::<Access>(reader, ACCESS, &key)? {
                Some(access) => Some(access.grant),
                None => read::<Refresh>(reader, REFRESH, &key)?.map(|refresh| refresh.grant),
            };
            let Some(id) = id else { return Ok(None) };
            let grant = read::<Grant>(reader, GRANT, &id)?;
            Ok(grant.filter(|grant| grant.client_id == client).map(|_| id))
        });
        match grant.await? {
            Some(id) => Ok(self.end_grant(id).await?),
            None => Ok(()),
        }
    }

    /// Ends a grant by its id, with all its tokens.
    pub(super) async fn end_grant(&self, id: String) -> Result<(), StoreError> {
        let changes = self.store.read_async(move |reader| end(reader, &id)).await?;
        self.store.change(changes).await?;
        self.tell_ended();
        Ok(())
    }

    /// Returns who is behind an access token, at this moment.
    pub async fn holder(&self, token: &str) -> Result<Principal, Problem> {
        let key = digest(token);
        let now = now();
        let looked_up = {
            let key = key.clone();
            self.store.find(move |reader| holder(reader, &key, now)).await
        };
        let looked_up = looked_up.map_err(|error| {
            tracing::error!(%error, "an access token could not be looked up");
            Problem::internal()
        })?;
        let (principal, first_use) = looked_up.ok_or_else(unknown_token)??;
        if first_use {
            self.note_first_use(key, now).await;
        }
        Ok(principal)
    }

    /// Returns who is behind a grant, at this moment.
    ///
    /// # Errors
    /// 401 if it has ended.
    pub async fn of_grant(&self, id: Arc<str>) -> Result<Principal, Problem> {
        let found = self.store.read_async(move |reader| principal(reader, &id)).await;
        found.map_err(|error| {
            tracing::error!(%error, "a grant could not be looked up");
            Problem::internal()
        })?
    }

    /// Notes that an access token is in use, which shortens the life of the refresh token before it.
    async fn note_first_use(&self, key: String, now: i64) {
        let _turn = self.turn.lock().await;
        let changes = self.store.read_async(move |reader| {
            let Some(access) = read::<Access>(reader, ACCESS, &key)?.filter(|access| !access.used) else {
                return Ok(Vec::new());
            };
            let mut changes = Vec::new();
            if let Some(refresh) = read::<Refresh>(reader, REFRESH, &access.refresh)? {
                let used = refresh.used.or(Some(now));
                changes.push(put(REFRESH, &access.refresh, &Refresh { used, ..refresh }));
            }
            changes.push(put(ACCESS, &key, &Access { used: true, ..access }));
            Ok(changes)
        });
        let noted = match changes.await {
            Ok(changes) if changes.is_empty() => return,
            Ok(changes) => self.store.change(changes).await.map(drop),
            Err(error) => Err(error),
        };
        if let Err(error) = noted {
            // It is noted by the next use.
            tracing::warn!(%error, "the first use of a token could not be noted");
        }
    }
}

/// Returns what ends a grant.
fn end(reader: &Reader, id: &str) -> Result<Vec<Change>, StoreError> {
    let mut changes = vec![delete(GRANT, id)];
    let Some(grant) = read::<Grant>(reader, GRANT, id)? else { return Ok(Vec::new()) };
    for token in &grant.tokens {
        if let Some(refresh) = read::<Refresh>(reader, REFRESH, token)? {
            if reader.document(ACCESS, &refresh.access)?.is_some() {
                changes.push(delete(ACCESS, &refresh.access));
            }
            changes.push(delete(REFRESH, token));
        }
    }
    let whose = format!("{} {}", grant.client_id, grant.extension);
    let mut ids: Vec<String> = read(reader, GRANTS_OF, &whose)?.unwrap_or_default();
    ids.retain(|other| other != id);
    changes.push(put(GRANTS_OF, &whose, &ids));
    Ok(changes)
}

/// The user of a grant, if it is still the one who was given it, and with the same password where it rests on that.
fn user_of(reader: &Reader, grant: &Grant) -> Result<Option<User>, StoreError> {
    let user = read::<User>(reader, super::USER, &grant.extension)?;
    Ok(user.filter(|user| {
        let same = user.generation == grant.generation && user.account == grant.account;
        same && !user.disabled && (grant.password.is_none() || grant.password == user.password_mark())
    }))
}

fn credential_is_good(reader: &Reader, grant: &Grant) -> Result<bool, StoreError> {
    let Some(id) = &grant.credential else { return Ok(true) };
    Ok(read::<Credential>(reader, super::CREDENTIAL, id)?.is_some())
}

fn unknown_token() -> Problem {
    Problem::token("OAU-213", "The access token is not known here; get another")
}

/// Holder of an access token, and `true` if it is used for the first time.
type Holder = Result<(Principal, bool), Problem>;

/// Returns who is behind the access token of this digest; none if it is not known.
fn holder(reader: &Reader, key: &str, now: i64) -> Result<Option<Holder>, StoreError> {
    let Some(access) = read::<Access>(reader, ACCESS, key)? else { return Ok(None) };
    if access.expires <= now {
        return Ok(Some(Err(Problem::token("OAU-128", "The access token has expired; refresh it"))));
    }
    let principal = principal(reader, &access.grant)?;
    Ok(Some(principal.map(|principal| (principal, !access.used))))
}

/// Returns who is behind a grant, at this moment.
fn principal(reader: &Reader, id: &str) -> Result<Result<Principal, Problem>, StoreError> {
    let unknown = || Ok(Err(unknown_token()));
    let Some(grant) = read::<Grant>(reader, GRANT, id)? else { return unknown() };
    let user = user_of(reader, &grant)?;
    let application = Application::find(reader, &grant.client_id)?;
    let application =
        application.filter(|application| !application.disabled && application.serves(&grant.account));
    let (Some(user), Some(application), true) = (user, application, credential_is_good(reader, &grant)?)
    else {
        return Ok(Err(Problem::token(
            "OAU-127",
            "What the access token rests on was taken back; log in again",
        )));
    };
    let (Ok(account), Ok(extension)) =
        (grant.account.parse::<AccountId>(), grant.extension.parse::<ExtensionId>())
    else {
        return unknown();
    };
    let principal = Principal {
        account,
        extension,
        client_id: Arc::from(grant.client_id),
        grant: Arc::from(id),
        scopes: grant.scopes.and(application.scopes),
        permissions: user.permissions,
        admin: user.admin,
        console: user.console_role(),
        extension_number: user.extension_number.into(),
        generation: user.generation.into(),
    };
    Ok(Ok(principal))
}
