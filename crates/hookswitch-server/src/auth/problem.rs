//! Problem that a client is told of when it does not get what it asked for.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hookswitch_model::AccountId;
use serde::Serialize;

/// An answer that is not what was asked for: a status of 400 or above, a code that
/// `docs/errors.md` explains, and a sentence for the caller.
#[derive(Clone, Debug)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    /// The code of the whole answer, where it is another.
    outer_code: Option<&'static str>,
    message: Box<str>,
    retry_after_seconds: Option<u32>,
    /// The permission that is missing.
    permission: Option<&'static str>,
    /// The parameter that is wrong, and its value.
    parameter: Option<(&'static str, Box<str>)>,
}

/// The body (contract subscriptions §3).
#[derive(Serialize)]
struct Body<'a> {
    #[serde(rename = "errorCode")]
    code: &'a str,
    message: &'a str,
    errors: [Error<'a>; 1],
    #[serde(rename = "permissionName", skip_serializing_if = "Option::is_none")]
    permission: Option<&'a str>,
    #[serde(rename = "parameterName", skip_serializing_if = "Option::is_none")]
    parameter: Option<&'a str>,
}

#[derive(Serialize)]
struct Error<'a> {
    #[serde(rename = "errorCode")]
    code: &'a str,
    message: &'a str,
    #[serde(rename = "permissionName", skip_serializing_if = "Option::is_none")]
    permission: Option<&'a str>,
    #[serde(rename = "parameterName", skip_serializing_if = "Option::is_none")]
    parameter: Option<&'a str>,
    #[serde(rename = "parameterValue", skip_serializing_if = "Option::is_none")]
    value: Option<&'a str>,
}

impl Problem {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            outer_code: None,
            message: message.into().into(),
            retry_after_seconds: None,
            permission: None,
            parameter: None,
        }
    }

    /// An answer of one resource alone; the message names the fix.
    pub fn coded(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self::new(status, code, message)
    }

    /// Its status.
    pub fn status(&self) -> u16 {
        self.status.as_u16()
    }

    /// Its sentence.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The application was not granted a permission.
    pub(crate) fn scope_missing(permission: &'static str) -> Self {
        let message = format!("This action needs the [{permission}] application permission");
        let problem = Self::new(StatusCode::FORBIDDEN, "CMN-401", message);
        Self { outer_code: Some("InsufficientPermissions"), permission: Some(permission), ..problem }
    }

    /// The user does not have a permission.
    pub(crate) fn permission_missing(permission: &'static str) -> Self {
        let message = format!("This action needs the [{permission}] user permission");
        let problem = Self::new(StatusCode::FORBIDDEN, "CMN-408", message);
        Self { outer_code: Some("InsufficientPermissions"), permission: Some(permission), ..problem }
    }

    /// Only an administrator of the account may do it.
    pub fn admin_only() -> Self {
        let message = "Only an administrator of the account may see this";
        let problem = Self::new(StatusCode::FORBIDDEN, "CMN-402", message);
        Self { outer_code: Some("InsufficientPermissions"), ..problem }
    }

    /// A user whom the console is closed to.
    pub fn no_console() -> Self {
        let message = "Your account has no access to the console; an administrator of this server can give it, \
                       with the field console of your user";
        let problem = Self::new(StatusCode::FORBIDDEN, "CMN-402", message);
        Self { outer_code: Some("InsufficientPermissions"), ..problem }
    }

    /// Somebody who may only see wants to change something.
    pub fn read_only() -> Self {
        let message = "Your role is read-only; ask somebody whose role is full";
        let problem = Self::new(StatusCode::FORBIDDEN, "CMN-408", message);
        Self { outer_code: Some("InsufficientPermissions"), ..problem }
    }

    /// A user wants what takes an admin token.
    pub fn admin_token_only() -> Self {
        let message = "What concerns all accounts takes an admin token; sign in with one";
        let problem = Self::new(StatusCode::FORBIDDEN, "CMN-402", message);
        Self { outer_code: Some("InsufficientPermissions"), ..problem }
    }

    /// It belongs to another extension, and the user is no administrator.
    pub fn other_extension() -> Self {
        let message =
            "This belongs to another extension, and only an administrator of the account may see it";
        let problem = Self::new(StatusCode::FORBIDDEN, "CMN-404", message);
        Self { outer_code: Some("InsufficientPermissions"), ..problem }
    }

    /// It belongs to another extension, and even an administrator may not see it.
    pub fn own_extension_only() -> Self {
        let message = "This is for the extension itself alone, whatever the role; ask for ~";
        let problem = Self::new(StatusCode::FORBIDDEN, "CMN-404", message);
        Self { outer_code: Some("InsufficientPermissions"), ..problem }
    }

    /// An ingest key that is for one account posts a signal of another.
    pub fn other_account(index: usize, account: AccountId, only: AccountId) -> Self {
        let message = format!(
            "signals[{index}]: \"account\" is {account}, and this key posts for account {only} alone; leave \
             \"account\" out, or use the key of the other; none of the batch is accepted"
        );
        let problem = Self::new(StatusCode::FORBIDDEN, "CMN-404", message);
        Self { outer_code: Some("InsufficientPermissions"), ..problem }
    }

    /// Nothing has this id; the same for what belongs to another account.
    pub fn unknown(parameter: &'static str, value: &str) -> Self {
        let message = format!("Resource for parameter [{parameter}] is not found");
        let problem = Self::new(StatusCode::NOT_FOUND, "CMN-102", message);
        Self { parameter: Some((parameter, value.chars().take(100).collect())), ..problem }
    }

    /// A field cannot be used; the message names the fix.
    pub fn field(field: &'static str, message: impl Into<String>) -> Self {
        let problem = Self::new(StatusCode::BAD_REQUEST, "CMN-101", message);
        Self { parameter: Some((field, Box::default())), ..problem }
    }

    /// The same, about a field of the request and the value that it has.
    #[must_use]
    pub fn about(self, field: &'static str, value: &str) -> Self {
        Self { parameter: Some((field, value.chars().take(100).collect())), ..self }
    }

    /// An operation that this server does not do.
    pub fn feature_off() -> Self {
        let message = "This server observes the calls of this phone system and does not control them; an operator can change that with \
                       control = true";
        Self::new(StatusCode::FORBIDDEN, "CMN-109", message)
    }

    /// An operation that the phone system cannot do, or refuses; the reason is a sentence.
    pub fn cannot(reason: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "CMN-109", reason)
    }

    /// The call, or the party, does not stand so that this can be done (contract call-control §1).
    pub fn incorrect_state() -> Self {
        Self::new(StatusCode::CONFLICT, "TAS-102", "Incorrect State")
    }

    /// The phone system was asked, and has not shown in time that it was done.
    pub fn not_shown() -> Self {
        let message = "The phone system was asked for this and has not shown it in time; the events will tell whether \
                       it was done, and it is not repeated";
        Self::new(StatusCode::GATEWAY_TIMEOUT, "CMN-211", message)
    }

    /// Somebody else has changed the same thing meanwhile, or it is there already.
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "CMN-304", message)
    }

    /// The access token is not good; `code` says why.
    pub fn token(code: &'static str, message: impl Into<String>) -> Self {
        let problem = Self::new(StatusCode::UNAUTHORIZED, code, message);
        Self { outer_code: Some("TokenInvalid"), ..problem }
    }

    /// More requests than a minute may have.
    pub fn too_many(retry_after_seconds: u32) -> Self {
        let message = "Request rate exceeded; wait as long as Retry-After says";
        let problem = Self::new(StatusCode::TOO_MANY_REQUESTS, "CMN-301", message);
        Self { retry_after_seconds: Some(retry_after_seconds), ..problem }
    }

    /// There is nothing at this address.
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "CMN-120", "There is nothing at this address")
    }

    /// The resource does not have this method.
    pub fn method_not_allowed() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "CMN-120", "This resource does not have this method")
    }

    /// The server has failed.
    pub fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "CMN-203",
            "The server has failed on this request; its log says more",
        )
    }

    /// A body that is not what the resource takes.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "CMN-101", message)
    }

    /// A body that is no JSON.
    pub fn no_json(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "CMN-103", message)
    }

    /// A body that is longer than the resource takes.
    pub fn too_large(bytes_max: usize) -> Self {
        let message = format!("The body is longer than {bytes_max} bytes; send it in parts");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "CMN-101", message)
    }

    /// An address that is longer than any resource has.
    pub fn uri_too_long(bytes_max: usize) -> Self {
        let message = format!("The address is longer than {bytes_max} bytes");
        Self::new(StatusCode::URI_TOO_LONG, "CMN-101", message)
    }

    /// A body whose client stopped in the middle.
    pub fn cut_off() -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, "CMN-101", "The body did not arrive in time")
    }

    /// No token, or one that is not good here.
    pub fn unauthorized() -> Self {
        let message = "The token is missing or not good here; send it as Authorization: Bearer TOKEN";
        let problem = Self::new(StatusCode::UNAUTHORIZED, "OAU-129", message);
        Self { outer_code: Some("TokenInvalid"), ..problem }
    }

    /// Nothing can be accepted now.
    pub fn unavailable(message: impl Into<String>) -> Self {
        let problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, "CMN-201", message);
        Self { retry_after_seconds: Some(1), ..problem }
    }

    /// Its body, as JSON.
    pub fn body(&self) -> String {
        serde_json::to_string(&self.content()).unwrap_or_default() // texts are JSON
    }

    fn content(&self) -> Body<'_> {
        let (message, permission) = (&*self.message, self.permission);
        let parameter = self.parameter.as_ref().map(|(name, _)| *name);
        let value = self.parameter.as_ref().map(|(_, value)| &**value).filter(|value| !value.is_empty());
        let error = Error { code: self.code, message, permission, parameter, value };
        let code = self.outer_code.unwrap_or(self.code);
        Body { code, message, errors: [error], permission, parameter }
    }

    /// The answer.
    pub fn response(&self) -> Response {
        let mut response = (self.status, Json(self.content())).into_response();
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after_seconds {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        self.response()
    }
}
