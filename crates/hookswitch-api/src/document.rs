//! `/openapi.json`: the API as a document, generated from the code.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::LazyLock;

use axum::http::header;
use axum::response::{Html, IntoResponse};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::digest;
use serde_json::{Map, Value};
use utoipa::OpenApi as _;
use utoipa::openapi::OpenApi;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};

use super::oauth::authorize::Escaped;
use super::openapi::{Error, ErrorDetail};
use super::telephony::session;
use super::{admin, gateway, health, ingest, oauth, people, platform, presence, subscription};

/// The whole document.
#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Hookswitch",
        description = "Account Telephony Sessions from the call signalling that phone systems already emit."
    ),
    paths(
        platform::version,
        platform::status,
        platform::client_info,
        people::account,
        people::extension,
        people::devices,
        presence::account,
        presence::extension,
        session::read,
        session::drop_session,
        session::supervise,
        session::bring_in,
        session::read_party,
        session::update_party,
        session::delete_party,
        session::act,
        session::update_recording,
        session::call_out,
        session::conference,
        subscription::list,
        subscription::create,
        subscription::read,
        subscription::update,
        subscription::delete,
        subscription::renew,
        gateway::connect,
        gateway::stream,
        gateway::token,
        oauth::token::post,
        oauth::revoke::post,
        oauth::authorize::show,
        oauth::authorize::submit,
        admin::directory::accounts,
        admin::directory::add_account,
        admin::directory::account,
        admin::directory::replace_account,
        admin::directory::remove_account,
        admin::directory::extensions,
        admin::directory::add_extension,
        admin::directory::extension,
        admin::directory::replace_extension,
        admin::directory::remove_extension,
        admin::applications::list,
        admin::applications::add,
        admin::applications::read,
        admin::applications::replace,
        admin::applications::remove,
        admin::applications::renew_secret,
        admin::users::list,
        admin::users::read,
        admin::users::replace,
        admin::users::remove,
        admin::users::jwts,
        admin::users::add_jwt,
        admin::users::remove_jwt,
        admin::sources::list_sources,
        admin::sources::add,
        admin::sources::read,
        admin::sources::replace,
        admin::sources::remove,
        admin::status::me,
        admin::status::status,
        admin::cluster::read,
        admin::cluster::move_partition,
        admin::cluster::drain_node,
        admin::live::live,
        admin::subscriptions::list,
        admin::subscriptions::read,
        admin::subscriptions::test,
        admin::subscriptions::renew,
        admin::tokens::list,
        admin::tokens::add,
        admin::tokens::remove,
        admin::sessions::list,
        admin::sessions::read,
        admin::sessions::capture,
        admin::events::read,
        admin::filter_trials::run,
        admin::redeliveries::add,
        admin::redeliveries::list,
        admin::redeliveries::read,
        admin::redeliveries::cancel,
        admin::redeliveries::resume,
        ingest::post,
        health::alive,
        health::ready,
        health::metrics,
        document,
        page,
    ),
    components(schemas(Error, ErrorDetail)),
    modifiers(&Security),
    security(("token" = [])),
)]
pub(super) struct Document;

/// How requests say whose they are.
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

/// The document, made once.
static DOCUMENT: LazyLock<OpenApi> = LazyLock::new(Document::openapi);

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
