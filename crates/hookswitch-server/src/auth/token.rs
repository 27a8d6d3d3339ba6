//! A grant of one kind or another becomes a pair of tokens.

use std::net::IpAddr;

use axum::Json;
use axum::http::header;
use axum::response::{IntoResponse, Response};

use super::application::{Application, Claimed, Credential, GrantType, User, read};
use super::form::Form;
use super::grant::{Subject, TokenRequest, TokenResponse};
use super::scope::Scopes;
use super::{OAuth, Refusal, assertion};
use crate::clock;

impl IntoResponse for TokenResponse {
    fn into_response(self) -> Response {
        ([(header::CACHE_CONTROL, "no-store"), (header::PRAGMA, "no-cache")], Json(self)).into_response()
    }
}

impl OAuth {
    /// Does what may be a guess, unless there were too many wrong ones from this address.
    pub async fn guarded<T>(
        &self,
        whose: &[&str],
        from: IpAddr,
        attempt: impl Future<Output = Result<T, Refusal>>,
    ) -> Result<T, Refusal> {
        self.check_failures(whose, from)?;
        let outcome = attempt.await;
        if outcome.as_ref().is_err_and(Refusal::is_guess)
            && let Some(wait) = self.note_failure(whose, from)
        {
            return Err(Refusal::too_many("OAU-147", wait.as_secs()));
        }
        outcome
    }

    /// Gives the tokens that a form asks for, to a client that says who it is, from an address.
    ///
    /// # Errors
    /// What is wrong with it.
    pub async fn grant(&self, claimed: Claimed, form: &Form, from: IpAddr) -> Result<TokenResponse, Refusal> {
        let (client_id, application) = claimed.prove(self, from).await?;
        let kind = match form.required("grant_type")? {
            "urn:ietf:params:oauth:grant-type:jwt-bearer" => GrantType::JwtBearer,
            "authorization_code" => GrantType::AuthorizationCode,
            "refresh_token" => GrantType::RefreshToken,
            "password" => GrantType::Password,
            _ => {
                let description = "This grant_type is not supported; docs/api.md lists those that are";
                return Err(Refusal::invalid_request("OAU-251", description));
            }
        };
        if !application.grants.contains(&kind) {
            let description = "The application may not use this grant_type; an administrator can allow it";
            return Err(Refusal::unauthorized_client("OAU-112", description));
        }
        let wishes = wishes(form);
        match kind {
            GrantType::JwtBearer => {
                let subject =
                    self.by_assertion(form.required("assertion")?, &client_id, &application).await?;
                self.issue(&client_id, &application, subject, wishes).await
            }
            GrantType::AuthorizationCode => self.by_code(&client_id, &application, form, wishes).await,
            GrantType::RefreshToken => {
                self.refresh(&client_id, form.required("refresh_token")?, &wishes).await
            }
            GrantType::Password => {
                let subject = self.by_password(form, &application, from).await?;
                self.issue(&client_id, &application, subject, wishes).await
            }
        }
    }

    async fn by_assertion(
        &self,
        jwt: &str,
        client_id: &str,
        application: &Application,
    ) -> Result<Subject, Refusal> {
        let now = clock::wall().as_micros() / 1_000_000;
        let assertion = assertion::check(&self.key, jwt, now)
            .map_err(|error| Refusal::invalid_grant("OAU-136", error.to_string()))?;
        let taken_back = || {
            let description = "The assertion was taken back, or is not for this application; make another";
            Refusal::invalid_grant("OAU-136", description)
        };
        let extension = assertion.extension.to_string();
        let (id, sub) = (assertion.id.clone(), extension.clone());
        let found = self.store.read_async(move |reader| {
            let credential = read::<Credential>(reader, super::CREDENTIAL, &id)?;
            Ok((credential, read::<User>(reader, super::USER, &sub)?))
        });
        let (credential, user) = found.await?;
        let credential = credential.filter(|credential| {
            let client = credential.client_id.as_deref().is_none_or(|only| only == client_id);
            client && credential.extension == extension && credential.expires > now
        });
        let user = user.filter(|user| !user.disabled && application.serves(&user.account));
        let (Some(credential), Some(user)) = (credential, user) else { return Err(taken_back()) };
        if credential.generation != user.generation {
            return Err(taken_back());
        }
        Ok(Subject { extension, user, credential: Some(assertion.id), password: None })
    }

    async fn by_password(
        &self,
        form: &Form,
        application: &Application,
        from: IpAddr,
    ) -> Result<Subject, Refusal> {
        if !self.password_grant {
            let description = "The password grant is off here; use jwt-bearer or authorization_code";
            return Err(Refusal::unauthorized_client("OAU-112", description));
        }
        let (username, password) = (form.required("username")?, form.required("password")?);
        self.log_in(username, form.text("extension"), password, application, from).await
    }
}

/// Returns what a form says about the tokens that it asks for.
pub(super) fn wishes(form: &Form) -> TokenRequest {
    TokenRequest {
        access_seconds: form.seconds("access_token_ttl"),
        refresh_seconds: form.seconds("refresh_token_ttl"),
        scopes: form.text("scope").map(Scopes::asked_for),
        endpoint_id: form.text("endpoint_id").map(|id| id.chars().take(ENDPOINT_CHARS_MAX).collect()),
    }
}

/// The longest `endpoint_id` that is kept.
const ENDPOINT_CHARS_MAX: usize = 128;
