//! Parameters of a form or a query: each at most once, and what is empty was not given.

use axum::http::{HeaderMap, StatusCode, header};

use super::Refusal;

/// The parameters of a request.
#[derive(Default)]
pub struct Form(Vec<(String, String)>);

/// The most parameters; the published ones are fewer than thirty.
const PARAMETERS_MAX: usize = 64;

impl Form {
    /// Reads the body of a request.
    ///
    /// # Errors
    /// 415 for another content type, 400 for a parameter that is there twice.
    pub fn body(headers: &HeaderMap, body: &[u8]) -> Result<Self, Refusal> {
        let kind = headers.get(header::CONTENT_TYPE).map(|value| value.to_str().unwrap_or_default());
        let kind = kind.map(|kind| kind.split(';').next().unwrap_or_default().trim());
        if !kind.is_some_and(|kind| kind.eq_ignore_ascii_case("application/x-www-form-urlencoded")) {
            return Err(Refusal::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "invalid_request",
                "CMN-101",
                "The body must be a form: send Content-Type: application/x-www-form-urlencoded",
            ));
        }
        Self::parse(body)
    }

    /// Reads the query of a request.
    ///
    /// # Errors
    /// 400 for a parameter that is there twice.
    pub fn query(query: Option<&str>) -> Result<Self, Refusal> {
        Self::parse(query.unwrap_or_default().as_bytes())
    }

    fn parse(bytes: &[u8]) -> Result<Self, Refusal> {
        let mut form = Self::default();
        for (name, value) in form_urlencoded::parse(bytes) {
            if form.0.iter().any(|(known, _)| *known == name) || form.0.len() == PARAMETERS_MAX {
                let message = "A parameter is there twice, or there are too many; send each once";
                return Err(Refusal::invalid_request("OAU-111", message));
            }
            form.0.push((name.into_owned(), value.into_owned()));
        }
        Ok(form)
    }

    /// A parameter, unless it is absent or empty: SDKs send every parameter, unset ones empty.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, value)| known == name && !value.is_empty()).map(|(_, value)| &**value)
    }

    /// A parameter that must be there.
    ///
    /// # Errors
    /// 400 without it.
    pub fn required(&self, name: &str) -> Result<&str, Refusal> {
        self.text(name).ok_or_else(|| {
            Refusal::invalid_request(
                "CMN-101",
                format!("The parameter {name} is missing; add it to the form"),
            )
        })
    }

    /// A lifetime in seconds: what is no positive number is not given, because SDKs send `-1` and `NaN`.
    pub fn seconds(&self, name: &str) -> Option<i64> {
        self.text(name)?.parse().ok().filter(|&seconds| seconds > 0)
    }

    /// The first of these parameters that is there.
    pub fn any_of<'a>(&self, names: &[&'a str]) -> Option<&'a str> {
        names.iter().copied().find(|name| self.0.iter().any(|(known, _)| known == name))
    }

    /// All of them, in the order in which they came.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }
}
