//! Codes: a user has logged in at this server, and the application gets tokens for it once (RFC 6749 §4.1, with
//! the proof keys of RFC 7636).

use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hookswitch_store::{Change, Document, Expected, StoreError};
use serde::{Deserialize, Serialize};

use super::application::{Application, GrantType, User, read};
use super::form::Form;
use super::grant::{Subject, TokenRequest, TokenResponse, delete, digest, now, put};
use super::{OAuth, Refusal, USER};
use crate::secret::{self, Digest};

/// Life of a code, in seconds (contract auth §2).
const CODE_SECONDS: i64 = 60;

/// The most codes at once; beyond it nobody can log in until some have expired.
const CODES_MAX: usize = 10_000;

/// The kind of documents.
const CODE: &str = "authorization_code";

/// A code that was given out; the id of its document is its digest.
#[derive(Serialize, Deserialize)]
struct Code {
    client_id: String,
    redirect_uri: String,
    challenge: Option<Challenge>,
    /// Extension that has logged in.
    extension: String,
    credential: Option<String>,
    #[serde(default)]
    generation: String,
    #[serde(default)]
    password: Option<String>,
    /// Seconds since 1970.
    expires: i64,
    used: bool,
    /// The grant that it gave, once there is one.
    grant: Option<String>,
}

/// Challenge that the code verifier must fit (RFC 7636 §4.2).
#[derive(Clone, Serialize, Deserialize)]
struct Challenge {
    text: String,
    hashed: bool,
}

impl Challenge {
    /// Returns `true` if a verifier fits; takes the same time wherever it differs.
    fn fits(&self, verifier: &str) -> bool {
        let digest;
        let shown = if self.hashed {
            digest = URL_SAFE_NO_PAD.encode(ring::digest::digest(&ring::digest::SHA256, verifier.as_bytes()));
            &digest
        } else {
            verifier
        };
        Digest::of(shown.as_bytes()).is(&Digest::of(self.text.as_bytes()))
    }
}

/// A verifier or a plain challenge: 43 to 128 unreserved characters (RFC 7636 §4.1).
fn is_verifier(text: &str) -> bool {
    (43..=128).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
}

/// A request that may be answered at its redirect address.
pub struct Asked {
    client_id: String,
    /// The application that asks.
    pub application: Application,
    /// Address that it wants the answer at; one that it has registered.
    pub redirect_uri: String,
    /// State that it wants to have back with the answer.
    pub state: Option<String>,
    challenge: Option<Challenge>,
}

/// Reason why a request is not answered with a log-in page.
pub enum Refused {
    /// Told to the user, because the application or its address is not known.
    Here(StatusCode, String),
    /// Told to the application.
    There {
        /// Address that it wants the answer at.
        redirect_uri: String,
        /// State that it wants to have back with it.
        state: Option<String>,
        /// The word of RFC 6749 §4.1.2.1.
        error: &'static str,
        /// A sentence for developers.
        description: &'static str,
    },
}

impl Asked {
    /// Reads what an application asks for by a browser.
    ///
    /// # Errors
    /// What is wrong with it, and who is told.
    pub async fn read(oauth: &OAuth, form: &Form) -> Result<Self, Refused> {
        let here = |text: &str| Refused::Here(StatusCode::BAD_REQUEST, text.to_owned());
        let client_id = form.text("client_id").unwrap_or_default().to_owned();
        let id = client_id.clone();
        let application = oauth.store.read_async(move |reader| Application::find(reader, &id)).await;
        let application = application.map_err(|error| {
            tracing::error!(%error, "an application could not be looked up");
            Refused::Here(StatusCode::SERVICE_UNAVAILABLE, "The server cannot do this now; try again.".into())
        })?;
        let application = application.filter(|application| !application.disabled);
        let application = application.ok_or_else(|| here("The application is not known here."))?;
        let redirect_uri = form.text("redirect_uri").unwrap_or_default().to_owned();
        if application.is_console {
            return Err(here("The console has a page of its own to sign in, at /console/."));
        }
        if !application.redirect_uris.contains(&redirect_uri) {
            return Err(here("The application asks for an answer at an address that it has not registered."));
        }
        let state = form.text("state").map(str::to_owned);
        let there = |error, description| Refused::There {
            redirect_uri: redirect_uri.clone(),
            state: state.clone(),
            error,
            description,
        };
        if form.text("response_type") != Some("code") {
            return Err(there("unsupported_response_type", "response_type must be code"));
        }
        if !application.grants.contains(&GrantType::AuthorizationCode) {
            return Err(there("unauthorized_client", "The application may not use authorization_code"));
        }
        let hashed = match form.text("code_challenge_method") {
            None | Some("plain") => false,
            Some("S256") => true,
            Some(_) => return Err(there("invalid_request", "code_challenge_method must be S256 or plain")),
        };
        let challenge = form.text("code_challenge").map(|text| Challenge { text: text.to_owned(), hashed });
        match &challenge {
            None if application.secret.is_none() => {
                return Err(there(
                    "invalid_request",
                    "An application without a secret needs a code_challenge",
                ));
            }
            Some(challenge) if !is_verifier(&challenge.text) => {
                return Err(there(
                    "invalid_request",
                    "code_challenge must be 43 to 128 unreserved characters",
                ));
            }
            _ => {}
        }
        Ok(Self { client_id, application, redirect_uri, state, challenge })
    }
}

impl OAuth {
    /// Gives a code for a login; those that have expired are forgotten.
    ///
    /// # Errors
    /// If there are too many codes, or the store refuses.
    pub async fn give_code(&self, asked: &Asked, subject: &Subject) -> Result<String, Refusal> {
        let (code, now) = (secret::token()?, now());
        let known = self.store.read_async(|reader| reader.documents(CODE)).await?;
        let is_over = |document: &Document| {
            serde_json::from_str::<Code>(&document.content).map_or(true, |code| code.expires <= now)
        };
        let mut changes: Vec<Change> =
            known.iter().filter(|one| is_over(one)).map(|one| delete(CODE, &one.id)).collect();
        if known.len() - changes.len() >= CODES_MAX {
            return Err(Refusal::unavailable());
        }
        let entry = Code {
            client_id: asked.client_id.clone(),
            redirect_uri: asked.redirect_uri.clone(),
            challenge: asked.challenge.clone(),
            extension: subject.extension.clone(),
            credential: subject.credential.clone(),
            generation: subject.user.generation.clone(),
            password: subject.password.clone(),
            expires: now + CODE_SECONDS,
            used: false,
            grant: None,
        };
        changes.push(put(CODE, &digest(&code), &entry));
        self.store.change(changes).await?;
        Ok(code)
    }

    /// A code, with the revision of its document.
    async fn find_code(&self, id: &str) -> Result<Option<(u64, Code)>, StoreError> {
        let key = id.to_owned();
        let found = self.store.find(move |reader| reader.document(CODE, &key)).await?;
        let read = found
            .map(|document| serde_json::from_str(&document.content).map(|code| (document.revision, code)));
        Ok(read.transpose().map_err(hookswitch_store::RecordError::from)?)
    }

    /// Takes a code, once. A code that comes a second time gives the grant that it gave.
    async fn take_code(
        &self,
        code: &str,
        client_id: &str,
        form: &Form,
    ) -> Result<Subject, (Refusal, Option<String>)> {
        let refused = |code, description: &str| (Refusal::invalid_grant(code, description), None);
        let unknown = || refused("OAU-106", "The code is not known, was used, or has expired; log in again");
        let failed = |error: StoreError| (Refusal::from(error), None);
        let id = digest(code);
        let found = self.find_code(&id).await.map_err(failed)?;
        let found = found.filter(|(_, entry)| entry.client_id == client_id && entry.expires > now());
        let (revision, entry) = found.ok_or_else(unknown)?;
        if entry.used {
            return Err((unknown().0, entry.grant));
        }
        let taken = Code { used: true, ..entry };
        let change = Change { expected: Expected::Revision(revision), ..put(CODE, &id, &taken) };
        match self.store.change(vec![change]).await {
            Ok(_) => {}
            // Two had it at the same moment.
            Err(StoreError::Conflict { .. }) => return Err(unknown()),
            Err(error) => return Err(failed(error)),
        }
        if form.text("redirect_uri") != Some(&*taken.redirect_uri) {
            return Err(refused("OAU-109", "redirect_uri is another than at the login"));
        }
        let fits = match (&taken.challenge, form.text("code_verifier")) {
            (None, None) => true,
            (Some(challenge), Some(verifier)) => is_verifier(verifier) && challenge.fits(verifier),
            _ => false,
        };
        if !fits {
            return Err(refused("OAU-108", "code_verifier does not fit the code_challenge of the login"));
        }
        let (extension, credential, password) = (taken.extension, taken.credential, taken.password);
        let whose = extension.clone();
        let user = self.store.read_async(move |reader| read::<User>(reader, USER, &whose)).await;
        let user = user.map_err(failed)?.filter(|user| {
            let same = user.generation == taken.generation && !user.disabled;
            same && (password.is_none() || password == user.password_mark())
        });
        let user = user.ok_or_else(unknown)?;
        Ok(Subject { extension, user, credential, password })
    }

    /// Notes which grant a code has given.
    async fn note_grant_of_code(&self, code: &str, grant: &str) -> Result<(), Refusal> {
        let id = digest(code);
        if let Some((_, entry)) = self.find_code(&id).await? {
            let entry = Code { grant: Some(grant.to_owned()), ..entry };
            self.store.change(vec![put(CODE, &id, &entry)]).await?;
        }
        Ok(())
    }
}

impl OAuth {
    /// Gives the tokens of a code.
    pub(super) async fn by_code(
        &self,
        client_id: &str,
        application: &Application,
        form: &Form,
        wishes: TokenRequest,
    ) -> Result<TokenResponse, Refusal> {
        let code = form.required("code")?;
        let subject = match self.take_code(code, client_id, form).await {
            Ok(subject) => subject,
            Err((refusal, grant)) => {
                // Two had the code; what the first got is taken back (RFC 6749 §4.1.2).
                if let Some(grant) = grant {
                    let _turn = self.turn.lock().await;
                    self.end_grant(grant).await?;
                }
                return Err(refusal);
            }
        };
        let issued = self.issue(client_id, application, subject, wishes).await?;
        self.note_grant_of_code(code, issued.session_id()).await?;
        Ok(issued)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verifier_fits_the_challenge_of_the_standard() {
        // RFC 7636, appendix B.
        let challenge =
            Challenge { text: "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM".into(), hashed: true };
        assert!(challenge.fits("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"));
        assert!(!challenge.fits("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXK"));
    }
}
