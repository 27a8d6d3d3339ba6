//! The API as a document, held against the server that serves it.

use std::collections::BTreeSet;

use serde_json::Value;

use super::client::exchange;
use super::{Home, Server};

#[test]
fn each_path_of_the_document_has_the_methods_that_the_server_has() {
    let home = Home::new("document");
    let server = Server::start(&home);
    let document = exchange(server.http(), "GET", "/openapi.json", &[], b"");
    assert_eq!((document.status, &*document.headers["content-type"]), (200, "application/json"));
    let paths = document.body["paths"].as_object().expect("paths");
    assert!(paths.len() > 30, "{}", paths.len());
    for (path, methods) in paths {
        let documented: BTreeSet<String> =
            methods.as_object().expect("methods").keys().map(|method| method.to_uppercase()).collect();
        let filled = path.replace(['{', '}'], "");
        let answer = exchange(server.http(), "PURGE", &filled, &[], b"");
        assert_eq!(answer.status, 405, "{path}: {answer:?}");
        let allowed: BTreeSet<String> =
            answer.headers["allow"].split(',').map(|method| method.trim().to_owned()).collect();
        let allowed: BTreeSet<String> = allowed.into_iter().filter(|method| method != "HEAD").collect();
        assert_eq!(allowed, documented, "{path}");
    }
    let schemas = document.body["components"]["schemas"].as_object().expect("schemas");
    let text = document.text.replace("\\/", "/");
    for reference in text.split("\"#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap_or_default();
        assert!(schemas.contains_key(name), "{name} is referred to, and not there");
    }
    let page = exchange(server.http(), "GET", "/docs", &[], b"");
    assert_eq!((page.status, page.body), (200, Value::Null));
    assert!(page.headers["content-security-policy"].starts_with("default-src 'none'"));
}
