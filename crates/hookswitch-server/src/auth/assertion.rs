//! JWT user credentials: signed by this server, for this server, and by nothing that a JWT can say
//! about itself (RFC 7523 §3, RFC 8725).

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hookswitch_model::ExtensionId;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::secret::Key;

/// The longest JWT that is looked at, in bytes.
const BYTES_MAX: usize = 4096;

/// Difference between clocks that is allowed, in seconds.
const SKEW: i64 = 60;

/// The longest that a credential may be good for, in seconds.
const LIFETIME_MAX: i64 = 10 * 366 * 86_400;

/// Contents of a good credential.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Assertion {
    /// Extension that it is about.
    pub extension: ExtensionId,
    /// The document that must be there for it to be good.
    pub id: String,
}

/// Reason why a credential is not good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum AssertionError {
    #[error("The assertion is no JWT of three parts in base64url")]
    Form,
    #[error("The assertion has a header other than {{\"alg\":\"HS256\",\"typ\":\"JWT\"}}")]
    Header,
    #[error("The signature of the assertion is not that of this server")]
    Signature,
    #[error("A claim of the assertion is missing, doubled or of the wrong kind")]
    Claims,
    #[error("The assertion was made by or for another server")]
    Server,
    #[error("The assertion has expired, is not good yet, or says times that cannot be")]
    Time,
}

/// A JSON object without doubled names.
struct Object(BTreeMap<String, Value>);

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
                let mut members = BTreeMap::new();
                while let Some((name, value)) = map.next_entry()? {
                    if members.insert(name, value).is_some() {
                        return Err(serde::de::Error::custom("a name is there twice"));
                    }
                }
                Ok(Object(members))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

impl Object {
    /// Reads a part of a JWT.
    fn read(part: &str) -> Option<Self> {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str()
    }

    /// A time: a whole number of seconds since 1970.
    fn time(&self, name: &str) -> Result<Option<i64>, AssertionError> {
        match self.0.get(name) {
            None => Ok(None),
            Some(value) => value.as_i64().map(Some).ok_or(AssertionError::Claims),
        }
    }
}

/// Makes a credential; `now` and `expires` are seconds since 1970.
pub fn issue(key: &Key, extension: ExtensionId, id: &str, now: i64, expires: i64) -> String {
    let server = key.identity();
    let claims = serde_json::json!({
        "iss": &*server, "sub": extension.to_string(), "aud": &*server, "iat": now, "exp": expires, "jti": id,
    });
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT"}"#);
    let text = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
    let tag = key.sign_assertion(text.as_bytes());
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(tag))
}

/// Checks a credential at a time, in seconds since 1970.
///
/// # Errors
/// The first thing that is wrong with it; the signature is checked before any claim is read.
pub(super) fn check(key: &Key, jwt: &str, now: i64) -> Result<Assertion, AssertionError> {
    if jwt.len() > BYTES_MAX {
        return Err(AssertionError::Form);
    }
    let (text, tag) = jwt.rsplit_once('.').ok_or(AssertionError::Form)?;
    let (header, claims) = text.split_once('.').ok_or(AssertionError::Form)?;
    let header = Object::read(header).ok_or(AssertionError::Form)?;
    // The key has one algorithm, and is found by nothing in the header.
    let plain = header.0.keys().all(|name| name == "alg" || name == "typ");
    let kind = header.0.get("typ").is_none_or(|kind| kind == "JWT");
    if !plain || !kind || header.text("alg") != Some("HS256") {
        return Err(AssertionError::Header);
    }
    let tag = URL_SAFE_NO_PAD.decode(tag).map_err(|_| AssertionError::Form)?;
    if !key.has_signed_assertion(text.as_bytes(), &tag) {
        return Err(AssertionError::Signature);
    }
    let claims = Object::read(claims).ok_or(AssertionError::Claims)?;
    let server = key.identity();
    if claims.text("iss") != Some(&server) || claims.text("aud") != Some(&server) {
        return Err(AssertionError::Server);
    }
    let expires = claims.time("exp")?.ok_or(AssertionError::Claims)?;
    let issued = claims.time("iat")?.ok_or(AssertionError::Claims)?;
    let from = claims.time("nbf")?.unwrap_or(issued);
    let possible = (0..=now + SKEW).contains(&issued) && from <= now + SKEW && issued <= expires;
    if !possible || expires.saturating_add(SKEW) < now || expires.saturating_sub(issued) > LIFETIME_MAX {
        return Err(AssertionError::Time);
    }
    let extension = claims.text("sub").and_then(|sub| sub.parse().ok()).ok_or(AssertionError::Claims)?;
    let id = claims.text("jti").ok_or(AssertionError::Claims)?.to_owned();
    Ok(Assertion { extension, id })
}
