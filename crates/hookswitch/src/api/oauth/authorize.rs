//! `/restapi/oauth/authorize`: a user logs in at this server, and the application gets a code for it
//! (RFC 6749 §4.1, with the proof keys of RFC 7636).

use std::fmt::Write as _;

use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hookswitch_store::{Change, Document, Expected, StoreError};
use serde::{Deserialize, Serialize};

use super::application::{Application, GrantType, User, read};
use super::form::Form;
use super::grant::{Issued, Subject, Wishes, delete, digest, now, put};
use super::{OAuth, Refusal, USER};
use crate::api::Api;
use crate::api::request::Content;
use crate::secret::{self, Digest};

/// How long a code is good for, in seconds (contract auth §2).
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
    /// Who has logged in.
    extension: String,
    credential: Option<String>,
    /// Seconds since 1970.
    expires: i64,
    used: bool,
    /// The grant that it gave, once there is one.
    grant: Option<String>,
}

/// What the code verifier must fit (RFC 7636 §4.2).
#[derive(Clone, Serialize, Deserialize)]
struct Challenge {
    text: String,
    hashed: bool,
}

impl Challenge {
    /// Whether a verifier fits; takes the same time wherever it differs.
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
struct Asked {
    client_id: String,
    application: Application,
    redirect_uri: String,
    state: Option<String>,
    challenge: Option<Challenge>,
}

/// Why a request is not answered with a page to log in.
enum Refused {
    /// Told to the user, because the application or its address is not known.
    Here(StatusCode, String),
    /// Told to the application.
    There { redirect_uri: String, state: Option<String>, error: &'static str, description: &'static str },
}

impl Asked {
    async fn read(oauth: &OAuth, form: &Form) -> Result<Self, Refused> {
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
        let registered = if application.is_console {
            redirect_uri == oauth.console
        } else {
            application.redirect_uris.contains(&redirect_uri)
        };
        if !registered {
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
            Some(challenge) if application.is_console && !challenge.hashed => {
                return Err(there("invalid_request", "The console must send a code_challenge of S256"));
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

/// Shows the page to log in.
#[utoipa::path(
    get, path = "/restapi/oauth/authorize", tag = "OAuth",
    params(super::super::openapi::AuthorizeQuery),
    security(()),
    responses(
        (status = 200, description = "A page to log in", content_type = "text/html", body = String),
        (status = 302, description = "Refused, and the application is told at its redirect_uri"),
        (status = "4XX", description = "Refused", content_type = "text/html", body = String),
    )
)]
pub(crate) async fn show(State(api): State<Api>, RawQuery(query): RawQuery) -> Response {
    let form = match Form::query(query.as_deref()) {
        Ok(form) => form,
        Err(refusal) => return told(StatusCode::BAD_REQUEST, &refusal.description),
    };
    match Asked::read(&api.oauth, &form).await {
        Ok(asked) => page(&asked, &form, None),
        Err(refused) => refused.into_response(),
    }
}

/// Takes what was filled in.
#[utoipa::path(
    post, path = "/restapi/oauth/authorize", tag = "OAuth",
    request_body(content_type = "application/x-www-form-urlencoded", content = super::super::openapi::LoginForm),
    security(()),
    responses(
        (status = 302, description = "Logged in; the address has the code"),
        (status = "4XX", description = "Refused", content_type = "text/html", body = String),
    )
)]
pub(crate) async fn submit(State(api): State<Api>, headers: HeaderMap, Content(body): Content) -> Response {
    let oauth = &api.oauth;
    let form = match Form::body(&headers, &body) {
        Ok(form) => form,
        Err(refusal) => return told(refusal.status, &refusal.description),
    };
    let asked = match Asked::read(oauth, &form).await {
        Ok(asked) => asked,
        Err(refused) => return refused.into_response(),
    };
    let (name, password) = (form.text("user").unwrap_or_default(), form.text("pass").unwrap_or_default());
    let subject = match oauth.log_in(name, None, password, &asked.application).await {
        Ok(subject) => subject,
        Err(refusal) => return page(&asked, &form, Some(&refusal)),
    };
    let code = match oauth.give_code(&asked, &subject).await {
        Ok(code) => code,
        Err(refusal) => return page(&asked, &form, Some(&refusal)),
    };
    redirect(
        &asked.redirect_uri,
        &[("code", &code), ("state", asked.state.as_deref().unwrap_or_default()), ("expires_in", "60")],
    )
}

impl OAuth {
    /// Gives a code for a login; those that have expired are forgotten.
    async fn give_code(&self, asked: &Asked, subject: &Subject) -> Result<String, Refusal> {
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
        let (extension, credential) = (taken.extension, taken.credential);
        let whose = extension.clone();
        let user = self.store.read_async(move |reader| read::<User>(reader, USER, &whose)).await;
        let user = user.map_err(failed)?.ok_or_else(unknown)?;
        Ok(Subject { extension, user, credential })
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
        wishes: Wishes,
    ) -> Result<Issued, Refusal> {
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

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        match self {
            Self::Here(status, text) => told(status, &text),
            Self::There { redirect_uri, state, error, description } => redirect(
                &redirect_uri,
                &[
                    ("error", error),
                    ("error_description", description),
                    ("state", state.as_deref().unwrap_or_default()),
                ],
            ),
        }
    }
}

/// Sends the browser to the application, with what is not empty.
fn redirect(uri: &str, parameters: &[(&str, &str)]) -> Response {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(parameters.iter().filter(|(_, value)| !value.is_empty()));
    let mark = if uri.contains('?') { '&' } else { '?' };
    let address = format!("{uri}{mark}{}", query.finish());
    match HeaderValue::try_from(address) {
        Ok(address) => (StatusCode::FOUND, safe_headers(None), [(header::LOCATION, address)]).into_response(),
        Err(_) => told(StatusCode::BAD_REQUEST, "The address of the application cannot be used."),
    }
}

/// The style of the pages; its digest is in their security policy.
const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:22rem;margin:15vh auto;padding:0 1rem}\
label{display:block;margin:1rem 0 .25rem}input{font:inherit;width:100%;box-sizing:border-box;padding:.4rem}\
button{font:inherit;margin-top:1.5rem;padding:.5rem 2rem}p[role=alert]{color:#b00020}";

/// Headers that keep a page from being framed, kept, or made to load or run anything.
fn safe_headers(answered_at: Option<&str>) -> [(header::HeaderName, HeaderValue); 4] {
    let style = STANDARD.encode(ring::digest::digest(&ring::digest::SHA256, STYLE.as_bytes()));
    // Browsers apply form-action to where the answer redirects as well.
    let target = answered_at.map(origin).unwrap_or_default();
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{style}'; form-action 'self' {target}; \
         frame-ancestors 'none'; base-uri 'none'"
    );
    let policy = HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("default-src 'none'"));
    [
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    ]
}

/// The origin of a web address; of another address its scheme.
fn origin(uri: &str) -> String {
    let (scheme, rest) = uri.split_once(':').unwrap_or((uri, ""));
    match rest.strip_prefix("//") {
        Some(rest) if scheme.starts_with("http") => {
            let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
            let plain = |c: char| c.is_ascii_alphanumeric() || ".-:[]".contains(c);
            if host.chars().all(plain) { format!("{scheme}://{host}") } else { String::new() }
        }
        _ if scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c)) => format!("{scheme}:"),
        _ => String::new(),
    }
}

/// The page to log in; what was asked for goes with the form.
fn page(asked: &Asked, form: &Form, refusal: Option<&Refusal>) -> Response {
    let name = Escaped(&asked.application.name).to_string();
    let mut body = format!("<h1>Log in</h1><p><b>{name}</b> asks for access to your calls.</p>");
    if let Some(refusal) = refusal {
        let _ = write!(body, "<p role=alert>{}</p>", Escaped(&refusal.description));
    }
    body.push_str("<form method=post action=\"/restapi/oauth/authorize\">");
    for (name, value) in form.iter().filter(|(name, _)| !matches!(*name, "user" | "pass")) {
        let _ = write!(body, "<input type=hidden name=\"{}\" value=\"{}\">", Escaped(name), Escaped(value));
    }
    let user = Escaped(form.text("user").unwrap_or_default()).to_string();
    let _ = write!(
        body,
        "<label for=user>Number or extension</label>\
         <input id=user name=user value=\"{user}\" autocomplete=username required>\
         <label for=pass>Password</label>\
         <input id=pass name=pass type=password autocomplete=current-password required>\
         <button>Log in</button></form>"
    );
    let status = match refusal {
        None => StatusCode::OK,
        Some(refusal) => refusal.status,
    };
    (status, safe_headers(Some(&asked.redirect_uri)), html(&body)).into_response()
}

fn told(status: StatusCode, text: &str) -> Response {
    (status, safe_headers(None), html(&format!("<h1>This did not work</h1><p>{}</p>", Escaped(text))))
        .into_response()
}

fn html(body: &str) -> Html<String> {
    Html(format!(
        "<!doctype html><html lang=en><meta charset=utf-8>\
         <meta name=viewport content=\"width=device-width\"><title>Hookswitch</title>\
         <style>{STYLE}</style>{body}"
    ))
}

/// A text that stands for itself in HTML, in an element or in a quoted attribute.
pub(crate) struct Escaped<'a>(pub(crate) &'a str);

impl std::fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
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

    #[test]
    fn nothing_in_a_name_becomes_markup() {
        assert_eq!(Escaped("<b a=\"'&\">").to_string(), "&lt;b a=&quot;&#39;&amp;&quot;&gt;");
    }

    #[test]
    fn a_form_may_lead_to_the_origin_of_the_application_alone() {
        assert_eq!(origin("https://app.example/a?b=c"), "https://app.example");
        assert_eq!(origin("com.example.app:/done"), "com.example.app:");
        assert_eq!(origin("https://a.example; script-src *"), "");
    }
}
