//! `/openapi.json`: the API as a document, generated from the code.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::LazyLock;

use axum::http::header;
use axum::response::{Html, IntoResponse};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::digest;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ContentBuilder, OpenApi, Ref, RefOr, Response, ResponseBuilder};
use utoipa::{IntoParams, OpenApi as _, ToSchema};
use utoipa_axum::router::OpenApiRouter;

use super::html::Escaped;

/// The form of the token endpoint.
#[derive(Deserialize, ToSchema)]
#[expect(dead_code, reason = "it is described here, and read by oauth/form.rs")]
pub(super) struct TokenForm {
    /// `urn:ietf:params:oauth:grant-type:jwt-bearer`, `authorization_code`, `refresh_token` or `password`.
    grant_type: String,
    /// The JWT credential of a user.
    assertion: Option<String>,
    refresh_token: Option<String>,
    code: Option<String>,
    redirect_uri: Option<String>,
    code_verifier: Option<String>,
    username: Option<String>,
    password: Option<String>,
    extension: Option<String>,
    /// For clients without a secret; others send Basic authentication.
    client_id: Option<String>,
    client_secret: Option<String>,
    /// Permissions with spaces between them; all of the application without it.
    scope: Option<String>,
    /// Seconds; what cannot be is taken to the nearest that can.
    access_token_ttl: Option<String>,
    refresh_token_ttl: Option<String>,
    endpoint_id: Option<String>,
}

/// The form of revocation.
#[derive(Deserialize, ToSchema)]
#[expect(dead_code, reason = "it is described here, and read by oauth/form.rs")]
pub(super) struct RevokeForm {
    /// An access or a refresh token; its grant ends.
    token: String,
    client_id: Option<String>,
}

/// Signals that are posted; `docs/ingest.md` has their fields.
#[derive(Deserialize, ToSchema)]
#[expect(dead_code, reason = "it is described here, and read by ingest.rs")]
pub(super) struct SignalsBody {
    #[schema(value_type = Vec<Object>)]
    signals: Vec<Value>,
}

/// An object with nothing in it.
#[derive(Serialize, ToSchema)]
pub(super) struct Empty {}

/// Query of an application that asks for a log-in.
#[derive(Deserialize, IntoParams)]
#[expect(dead_code, reason = "it is described here, and read by oauth/form.rs")]
pub(super) struct AuthorizeQuery {
    /// `code`.
    response_type: String,
    client_id: String,
    /// One that is registered, letter by letter.
    redirect_uri: String,
    state: Option<String>,
    code_challenge: Option<String>,
    /// `S256` or `plain`.
    code_challenge_method: Option<String>,
}

/// Form of the log-in page.
#[derive(Deserialize, ToSchema)]
#[expect(dead_code, reason = "it is described here, and read by oauth/form.rs")]
pub(super) struct LoginForm {
    /// A phone number, an extension number, or both as `number*extension`.
    user: String,
    pass: String,
    /// `code`.
    response_type: String,
    client_id: String,
    redirect_uri: String,
    state: Option<String>,
    code_challenge: Option<String>,
    code_challenge_method: Option<String>,
}

/// An error of OAuth.
#[derive(Serialize, ToSchema)]
pub(super) struct OAuthError {
    /// The name of RFC 6749 §5.2.
    error: String,
    error_description: String,
    errors: Vec<ErrorDetail>,
}

/// An error elsewhere.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "the names are those of the wire")]
pub(super) struct Error {
    error_code: String,
    message: String,
    errors: Vec<ErrorDetail>,
    permission_name: Option<String>,
    parameter_name: Option<String>,
}

/// Details of an error.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ErrorDetail {
    /// `docs/errors.md` has a paragraph for each.
    error_code: String,
    message: String,
    permission_name: Option<String>,
    parameter_name: Option<String>,
    parameter_value: Option<String>,
}

/// Every answer but a good one.
pub(super) struct Refusals;

impl utoipa::IntoResponses for Refusals {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let one = |description: &str| {
            let schema = Ref::from_schema_name("Error");
            let content = ContentBuilder::new().schema(Some(schema)).build();
            RefOr::T(
                ResponseBuilder::new().description(description).content("application/json", content).build(),
            )
        };
        BTreeMap::from([
            ("4XX".to_owned(), one("Refused, and why")),
            ("5XX".to_owned(), one("The server cannot do it now")),
        ])
    }
}

/// What stands in the document beside the resources.
#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Hookswitch",
        description = "Account Telephony Sessions from the call signalling that phone systems already emit."
    ),
    components(schemas(Error, ErrorDetail)),
    modifiers(&Security),
    security(("token" = [])),
)]
pub(super) struct Document;

/// Ways in which requests are authenticated.
struct Security;

impl utoipa::Modify for Security {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_default();
        for (name, scheme) in [
            ("token", HttpAuthScheme::Bearer),
            ("admin", HttpAuthScheme::Bearer),
            ("ingest", HttpAuthScheme::Bearer),
            ("client", HttpAuthScheme::Basic),
        ] {
            let scheme = HttpBuilder::new().scheme(scheme).build();
            components.add_security_scheme(name, SecurityScheme::Http(scheme));
        }
    }
}

/// The document, made once: each resource says its own part.
static DOCUMENT: LazyLock<OpenApi> = LazyLock::new(|| {
    let resources = super::operation().merge(super::platform());
    OpenApiRouter::with_openapi(Document::openapi()).merge(resources).into_openapi()
});

/// The document as JSON, made once.
static JSON: LazyLock<String> = LazyLock::new(|| DOCUMENT.to_json().unwrap_or_default());

/// Gives this document.
#[utoipa::path(get, path = "/openapi.json", tag = "Platform", security(()),
    responses((status = 200, description = "OpenAPI 3.1", body = Object)))]
pub(super) async fn document() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], JSON.as_str())
}

/// Shows this document to people.
#[utoipa::path(get, path = "/docs", tag = "Platform", security(()),
    responses((status = 200, content_type = "text/html", body = String)))]
pub(super) async fn page() -> impl IntoResponse {
    static PAGE: LazyLock<String> = LazyLock::new(|| render(&JSON));
    let policy = format!("default-src 'none'; style-src 'sha256-{}'; frame-ancestors 'none'", sha256(STYLE));
    ([(header::CONTENT_SECURITY_POLICY, policy)], Html(PAGE.as_str()))
}

fn sha256(text: &str) -> String {
    STANDARD.encode(digest::digest(&digest::SHA256, text.as_bytes()))
}

/// The style of the page; its digest is in the security policy.
const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:52rem;margin:2rem auto;padding:0 1rem}\
code{font:14px/1.4 ui-monospace,monospace}table{border-collapse:collapse}td,th{text-align:left;\
vertical-align:top;padding:.2rem .8rem .2rem 0}summary{cursor:pointer}details{margin:.3rem 0}\
b{display:inline-block;min-width:4rem}";

/// Writes the document as a page that loads nothing.
fn render(json: &str) -> String {
    let document: Value = serde_json::from_str(json).unwrap_or_default();
    let text = |value: &Value| Escaped(value.as_str().unwrap_or_default()).to_string();
    let mut page = format!(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\">\
         <title>Hookswitch API</title><style>{STYLE}</style><h1>Hookswitch API</h1>\
         <p>{}</p><p><a href=\"/openapi.json\">openapi.json</a></p>",
        text(&document["info"]["description"])
    );
    let mut tags: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let none = Map::new();
    for (path, methods) in document["paths"].as_object().unwrap_or(&none) {
        for (method, operation) in methods.as_object().unwrap_or(&none) {
            let mut entry = format!(
                "<details><summary><b>{}</b> <code>{}</code> {}</summary>",
                Escaped(&method.to_uppercase()),
                Escaped(path),
                text(&operation["summary"])
            );
            entry.push_str("<table>");
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                let (name, place) = (text(&parameter["name"]), text(&parameter["in"]));
                let said = text(&parameter["description"]);
                let _ = write!(entry, "<tr><td><code>{name}</code><td>{place}<td>{said}");
            }
            for (kind, content) in operation["requestBody"]["content"].as_object().unwrap_or(&none) {
                let _ = write!(entry, "<tr><td>body<td>{}<td>{}", Escaped(kind), shape(&content["schema"]));
            }
            for (status, response) in operation["responses"].as_object().unwrap_or(&none) {
                let shapes = response["content"].as_object().unwrap_or(&none).values();
                let shapes: Vec<String> = shapes.map(|content| shape(&content["schema"])).collect();
                let said = text(&response["description"]);
                let _ = write!(entry, "<tr><td>{}<td>{}<td>{said}", Escaped(status), shapes.join(", "));
            }
            entry.push_str("</table></details>");
            let tag = operation["tags"][0].as_str().unwrap_or("Other").to_owned();
            tags.entry(tag).or_default().push(entry);
        }
    }
    for (tag, entries) in tags {
        let _ = write!(page, "<h2>{}</h2>{}", Escaped(&tag), entries.concat());
    }
    page.push_str("<h2>Shapes</h2>");
    for (name, schema) in document["components"]["schemas"].as_object().unwrap_or(&none) {
        let name = Escaped(name);
        let _ = write!(
            page,
            "<details id=\"{name}\"><summary><code>{name}</code> {}</summary><table>",
            text(&schema["description"])
        );
        for (field, of) in schema["properties"].as_object().unwrap_or(&none) {
            let _ = write!(
                page,
                "<tr><td><code>{}</code><td>{}<td>{}",
                Escaped(field),
                shape(of),
                text(&of["description"])
            );
        }
        page.push_str("</table></details>");
    }
    page
}

/// A schema in a word or two, with a link to what it refers to.
fn shape(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
        return format!("<a href=\"#{0}\">{0}</a>", Escaped(name));
    }
    let of = |key: &str| -> Option<String> {
        let parts = schema[key].as_array()?;
        Some(parts.iter().map(shape).filter(|part| part != "null").collect::<Vec<_>>().join(" or "))
    };
    if let Some(parts) = of("oneOf").or_else(|| of("anyOf")).or_else(|| of("allOf")) {
        return parts;
    }
    let kind = match &schema["type"] {
        Value::Array(kinds) => {
            kinds.iter().filter_map(Value::as_str).filter(|kind| *kind != "null").collect()
        }
        kind => vec![kind.as_str().unwrap_or("any")],
    };
    match kind.join(" or ").as_str() {
        "array" => format!("list of {}", shape(&schema["items"])),
        kind => Escaped(kind).to_string(),
    }
}

/// The paths of the document, in order.
#[cfg(test)]
pub(super) fn paths() -> Vec<String> {
    let mut paths: Vec<String> = DOCUMENT.paths.paths.keys().cloned().collect();
    paths.sort();
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_shows_every_operation_and_loads_nothing() {
        let page = render(&JSON);
        for path in paths() {
            assert!(page.contains(&format!("<code>{path}</code>")), "{path}");
        }
        for loading in ["<script", "<img", "<link", "src=", "@import", "url(", "http://", "https://"] {
            assert!(!page.contains(loading), "{loading}");
        }
    }

    #[test]
    fn every_operation_says_whose_token_it_takes_and_how_it_refuses() {
        let document: Value = serde_json::from_str(&JSON).expect("JSON");
        for (path, methods) in document["paths"].as_object().expect("paths") {
            for (method, operation) in methods.as_object().expect("methods") {
                let security = &operation["security"];
                let own = [
                    "/events",
                    "/restapi/oauth/wstoken",
                    "/restapi/v1.0/account",
                    "/restapi/v1.0/subscription",
                    "/restapi/v2/accounts",
                ];
                let own = own.iter().any(|begin| path.starts_with(begin));
                assert_eq!(security.is_null(), own, "{method} {path} {security}");
                let admin = security[0].get("admin").is_some();
                assert_eq!(admin, path.starts_with("/admin/"), "{method} {path}");
                if own || admin {
                    assert!(operation["responses"]["4XX"].is_object(), "{method} {path}");
                }
            }
        }
    }
}
