//! An application as the tests play it: requests with tokens, and what the answers have in their heads.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::{Home, PATIENCE, Server};

pub(super) const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// An answer with its head.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) text: String,
    pub(super) body: Value,
}

impl Answer {
    /// The code of the first error, and the name of OAuth if there is one.
    pub(super) fn error(&self) -> (u16, &str, &str) {
        let code = self.body["errors"][0]["errorCode"].as_str().unwrap_or_default();
        (self.status, self.body["error"].as_str().unwrap_or_default(), code)
    }

    /// A text of the body.
    #[track_caller]
    pub(super) fn text(&self, key: &str) -> String {
        self.body[key].as_str().unwrap_or_else(|| panic!("no {key} in {self:?}")).to_owned()
    }
}

/// Sends a request on a connection of its own.
#[track_caller]
pub(super) fn exchange(
    to: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Answer {
    let mut stream = TcpStream::connect(to).expect("the server listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\n");
    for (name, value) in headers {
        head.extend([name, ": ", value, "\r\n"]);
    }
    head.extend(["Content-Length: ", &body.len().to_string(), "\r\n\r\n"]);
    stream.write_all(head.as_bytes()).expect("the head is sent");
    stream.write_all(body).ok(); // what is refused may not be read to its end
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, text) =
        answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer to {method} {path}"));
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).expect("a status");
    let headers = lines.filter_map(|line| line.split_once(": "));
    Answer {
        status: status.parse().expect("a number"),
        headers: headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect(),
        text: text.to_owned(),
        body: serde_json::from_str(text).unwrap_or_default(),
    }
}

/// A form, encoded.
pub(super) fn form(parameters: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish()
}

pub(super) fn basic(id: &str, secret: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")))
}

/// Posts a form as an application.
#[track_caller]
pub(super) fn post_form(
    to: SocketAddr,
    path: &str,
    authorization: Option<&str>,
    parameters: &[(&str, &str)],
) -> Answer {
    let mut headers = vec![("Content-Type", "application/x-www-form-urlencoded")];
    headers.extend(authorization.map(|value| ("Authorization", value)));
    exchange(to, "POST", path, &headers, form(parameters).as_bytes())
}

impl Server {
    pub(super) fn http(&self) -> SocketAddr {
        self.addresses["HTTP"]
    }

    /// Posts a form as an application.
    #[track_caller]
    pub(super) fn post_form(
        &self,
        path: &str,
        authorization: Option<&str>,
        parameters: &[(&str, &str)],
    ) -> Answer {
        post_form(self.http(), path, authorization, parameters)
    }

    /// Asks for tokens as the first application.
    #[track_caller]
    pub(super) fn ask(&self, home: &Home, parameters: &[(&str, &str)]) -> Answer {
        let authorization = basic(home.made("client_id"), home.made("client_secret"));
        self.post_form("/restapi/oauth/token", Some(&authorization), parameters)
    }

    /// Logs in as the first user, with the first application.
    #[track_caller]
    pub(super) fn log_in(&self, home: &Home) -> Answer {
        let answer = self.ask(home, &[("grant_type", JWT_BEARER), ("assertion", home.made("jwt"))]);
        assert_eq!(answer.status, 200, "{answer:?}");
        answer
    }

    /// Sends a request with a token.
    #[track_caller]
    pub(super) fn call(&self, token: &str, method: &str, path: &str, body: Option<&Value>) -> Answer {
        call(self.http(), token, method, path, body)
    }
}

/// Sends a request with a token.
#[track_caller]
pub(super) fn call(to: SocketAddr, token: &str, method: &str, path: &str, body: Option<&Value>) -> Answer {
    let bearer = format!("Bearer {token}");
    let mut headers = vec![("Authorization", &*bearer)];
    headers.extend(body.map(|_| ("Content-Type", "application/json")));
    let body = body.map(Value::to_string).unwrap_or_default();
    exchange(to, method, path, &headers, body.as_bytes())
}
