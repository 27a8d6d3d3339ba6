//! `/restapi/oauth/authorize`: a user logs in at this server, and the application gets a code for it
//! (RFC 6749 §4.1, with the proof keys of RFC 7636).

use std::fmt::Write as _;

use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hookswitch_server::auth::{Asked, Form, Refusal, Refused};

use crate::Api;
use crate::html::Escaped;
use crate::request::{Client, FormBody};

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
        Err(why) => refused(why),
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
pub(crate) async fn submit(
    State(api): State<Api>,
    Client(from): Client,
    headers: HeaderMap,
    FormBody(body): FormBody,
) -> Response {
    let oauth = &api.oauth;
    let form = match Form::body(&headers, &body) {
        Ok(form) => form,
        Err(refusal) => return told(refusal.status, &refusal.description),
    };
    let asked = match Asked::read(oauth, &form).await {
        Ok(asked) => asked,
        Err(why) => return refused(why),
    };
    let (name, password) = (form.text("user").unwrap_or_default(), form.text("pass").unwrap_or_default());
    let subject = match oauth.log_in(name, None, password, &asked.application, from).await {
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

/// The answer to a request that gets no page to log in.
fn refused(refused: Refused) -> Response {
    match refused {
        Refused::Here(status, text) => told(status, &text),
        Refused::There { redirect_uri, state, error, description } => redirect(
            &redirect_uri,
            &[
                ("error", error),
                ("error_description", description),
                ("state", state.as_deref().unwrap_or_default()),
            ],
        ),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_may_lead_to_the_origin_of_the_application_alone() {
        assert_eq!(origin("https://app.example/a?b=c"), "https://app.example");
        assert_eq!(origin("com.example.app:/done"), "com.example.app:");
        assert_eq!(origin("https://a.example; script-src *"), "");
    }
}
