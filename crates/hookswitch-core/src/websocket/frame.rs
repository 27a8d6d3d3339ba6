//! Frames: compact JSON arrays of what a message is about and its body (contract websocket §2, §3).

use hookswitch_model::NotificationId;
use memchr::memmem;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

/// The usual length of a notification, so that its buffer need not grow.
const NOTIFICATION_BYTES: usize = 1792;

/// The usual length of what is a subscriber's own of it.
const BEGINNING_BYTES: usize = 640;

/// The longest message id that is sent back, in bytes.
const MESSAGE_ID_BYTES_MAX: usize = 256;

/// Text that clients take for the beginning of an answer in several parts.
const BOUNDARY: &str = ",--Boundary";

/// The same text in JSON, written otherwise. It can only stand within a string.
const BOUNDARY_ESCAPED: &str = r",\u002d-Boundary";

/// Writes what clients would take for something else in another way.
fn escape_boundary(text: String) -> String {
    match memmem::find(text.as_bytes(), BOUNDARY.as_bytes()) {
        None => text,
        Some(_) => text.replace(BOUNDARY, BOUNDARY_ESCAPED),
    }
}

/// The text of a notification, into which `envelope` writes the envelope as JSON; none if that is no text. This is
/// written for every subscriber of every event, so nothing is copied twice.
pub(super) fn notification(
    id: NotificationId,
    wsc: &Wsc,
    envelope: impl FnOnce(&mut Vec<u8>),
) -> Option<String> {
    let mut text = begin(id, wsc, NOTIFICATION_BYTES);
    envelope(&mut text);
    text.push(b']');
    String::from_utf8(text).ok().map(escape_boundary)
}

/// The same, of which `beginning` writes as much of the envelope as stands before what is shared.
pub(super) fn shared_notification(
    id: NotificationId,
    wsc: &Wsc,
    beginning: impl FnOnce(&mut Vec<u8>),
    SharedRest(rest): &SharedRest,
) -> Option<String> {
    let mut text = begin(id, wsc, BEGINNING_BYTES + rest.len());
    beginning(&mut text);
    let mut text = escape_boundary(String::from_utf8(text).ok()?);
    text.push_str(rest);
    text.push(']');
    Some(text)
}

/// Returns what stands before the envelope.
fn begin(id: NotificationId, wsc: &Wsc, capacity: usize) -> Vec<u8> {
    let mut text = Vec::with_capacity(capacity);
    let mut number = itoa::Buffer::new();
    let id = number.format(id.as_u64());
    let mut sequence = itoa::Buffer::new();
    let parts = [
        r#"[{"type":"ServerNotification","messageId":""#,
        id,
        r#"","status":200,"wsc":{"token":""#,
        &wsc.token,
        r#"","sequence":"#,
        sequence.format(wsc.sequence),
        r#"},"headers":{"RCRequestId":""#,
        id,
        r#""}},"#,
    ];
    for part in parts {
        text.extend_from_slice(part.as_bytes());
    }
    text
}

/// The end of the notifications of an event that all subscribers have in common, as it stands in frames. It is made
/// once for all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedRest(Box<str>);

impl SharedRest {
    /// Returns what `write` appends, as JSON; none if that is no text.
    pub fn of(write: impl FnOnce(&mut Vec<u8>)) -> Option<Self> {
        let mut text = Vec::with_capacity(NOTIFICATION_BYTES);
        write(&mut text);
        Some(Self(escape_boundary(String::from_utf8(text).ok()?).into_boxed_str()))
    }
}

/// The handle of a gateway session, by which a client can have what it has missed (contract websocket §5).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Wsc {
    /// Opaque; fit for a URL.
    pub token: String,
    /// Clients keep the token of the highest.
    pub sequence: u32,
}

/// Frame that a client sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ClientFrame {
    Heartbeat { message_id: String },
    Request(Request),
}

/// A request of the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Ticket that the answer is handed in with.
    pub ticket: Ticket,
    /// `GET`, `POST` and so on, as the client wrote it.
    pub method: String,
    /// As the client wrote it; may have a query of its own.
    pub path: String,
    /// Names and values beside those in the path, not encoded.
    pub query: Vec<(String, String)>,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// JSON.
    pub body: Option<String>,
}

/// Belongs to one request, and to its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket {
    pub(super) message_id: String,
    /// Set if no notification may be sent before the answer.
    pub(super) holds: bool,
}

/// Reason why a frame of a client cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum FrameError {
    #[error("The frame is not a JSON array of one or two elements: {0}")]
    Json(String),
    #[error("The frame says nothing of its {0}; send it as a string")]
    Missing(&'static str),
    #[error("Frames of the type {0:?} are not taken; send ClientRequest or Heartbeat")]
    Type(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClientMeta {
    r#type: Option<String>,
    message_id: Option<String>,
    method: Option<String>,
    path: Option<String>,
    query: Option<serde_json::Map<String, serde_json::Value>>,
    headers: Option<serde_json::Map<String, serde_json::Value>>,
}

impl ClientFrame {
    /// Reads the text of a frame.
    ///
    /// # Errors
    /// Names what is wrong with it, and the message id if there is one.
    pub(super) fn read(text: &str) -> Result<Self, (FrameError, Option<String>)> {
        let json = |error: serde_json::Error| (FrameError::Json(error.to_string()), None);
        let elements: Vec<&RawValue> = serde_json::from_str(text).map_err(json)?;
        let (meta, body) = match *elements {
            [meta] => (meta, None),
            // One SDK sends an empty text where there is no body.
            [meta, body] => (meta, Some(body.get()).filter(|body| !matches!(*body, "\"\"" | "null"))),
            _ => return Err((FrameError::Json(format!("it has {} elements", elements.len())), None)),
        };
        let meta: ClientMeta = serde_json::from_str(meta.get()).map_err(json)?;
        let message_id = meta.message_id.filter(|id| id.len() <= MESSAGE_ID_BYTES_MAX);
        let Some(message_id) = message_id else { return Err((FrameError::Missing("messageId"), None)) };
        let kind = meta.r#type.unwrap_or_default();
        match &*kind {
            "Heartbeat" => Ok(Self::Heartbeat { message_id }),
            "ClientRequest" => {
                let (Some(method), Some(path)) = (meta.method, meta.path) else {
                    return Err((FrameError::Missing("method and path"), Some(message_id)));
                };
                let subscription = path.split('?').next().is_some_and(is_subscription);
                let holds = subscription && !matches!(&*method.to_ascii_uppercase(), "GET" | "DELETE");
                Ok(Self::Request(Request {
                    ticket: Ticket { message_id, holds },
                    method,
                    path,
                    query: pairs(meta.query),
                    headers: pairs(meta.headers),
                    body: body.map(str::to_owned),
                }))
            }
            _ => Err((FrameError::Type(kind), Some(message_id))),
        }
    }
}

/// Returns `true` if a path leads to the subscriptions.
fn is_subscription(path: &str) -> bool {
    path.strip_prefix("/restapi/v1.0/subscription")
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The members of an object as text; each element of a list is a pair of its own.
fn pairs(object: Option<serde_json::Map<String, serde_json::Value>>) -> Vec<(String, String)> {
    use serde_json::Value;
    let text = |value: Value| match value {
        Value::String(text) => Some(text),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    };
    let mut pairs = Vec::new();
    for (name, value) in object.unwrap_or_default() {
        match value {
            Value::Array(values) => {
                pairs.extend(values.into_iter().filter_map(text).map(|value| (name.clone(), value)));
            }
            value => pairs.extend(text(value).map(|value| (name, value))),
        }
    }
    pairs
}

/// Metadata of a frame of the server.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ServerMeta<'a> {
    pub(super) r#type: &'static str,
    pub(super) message_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) wsc: Option<&'a Wsc>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) headers: Option<Headers<'a>>,
}

/// Headers, as an object.
#[derive(Clone, Copy)]
pub(super) struct Headers<'a>(pub(super) &'a [(&'a str, &'a str)]);

impl Serialize for Headers<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().copied())
    }
}

impl ServerMeta<'_> {
    /// The text of the frame, with a body that is JSON already.
    pub(super) fn frame(&self, body: Option<&str>) -> String {
        let mut text = String::with_capacity(256 + body.map_or(0, str::len));
        text.push('[');
        text.push_str(&serde_json::to_string(self).unwrap_or_default()); // texts and numbers are JSON
        if let Some(body) = body {
            text.push(',');
            text.push_str(body);
        }
        text.push(']');
        escape_boundary(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_every_sdk_are_read() {
        let heartbeat = r#"[{"type":"Heartbeat","messageId":"ByYz\/0+a"}]"#;
        assert_eq!(
            ClientFrame::read(heartbeat),
            Ok(ClientFrame::Heartbeat { message_id: "ByYz/0+a".to_owned() })
        );
        let text = r#"[{"type":"ClientRequest","messageId":"m/0","method":"POST","path":"/restapi/v1.0/subscription/","headers":{"X-User-Agent":"a/1"},"query":{"a":1,"b":["x","y"],"c":null}},{"eventFilters":["f"]}]"#;
        let Ok(ClientFrame::Request(request)) = ClientFrame::read(text) else { panic!("no request") };
        assert_eq!(request.ticket, Ticket { message_id: "m/0".into(), holds: true });
        assert_eq!(request.body.as_deref(), Some(r#"{"eventFilters":["f"]}"#));
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(request.query, [pair("a", "1"), pair("b", "x"), pair("b", "y")]);
        assert_eq!(request.headers, [pair("X-User-Agent", "a/1")]);
        let text = r#"[{"type":"ClientRequest","messageId":"m","method":"DELETE","path":"/restapi/v1.0/subscription/1"},""]"#;
        let Ok(ClientFrame::Request(request)) = ClientFrame::read(text) else { panic!("no request") };
        assert_eq!((request.ticket.holds, request.body), (false, None));
    }

    #[test]
    fn what_is_no_frame_is_refused_with_its_message_id_if_it_has_one() {
        for (text, id) in [
            ("", None),
            ("{}", None),
            ("[]", None),
            ("[1]", None),
            ("[{},{},{}]", None),
            (r#"[{"type":"Heartbeat"}]"#, None),
            (r#"[{"type":"Nonsense","messageId":"a"}]"#, Some("a")),
            (r#"[{"type":"ClientRequest","messageId":"a","method":"GET"}]"#, Some("a")),
        ] {
            let (_, found) = ClientFrame::read(text).expect_err(text);
            assert_eq!(found.as_deref(), id, "{text}");
        }
    }

    #[test]
    fn what_subscribers_share_makes_the_same_frame_as_what_is_written_for_one() {
        let wsc = Wsc { token: "abc".to_owned(), sequence: 7 };
        let id = NotificationId::new(42);
        for (beginning, rest) in [
            (r#"{"uuid":"42","body":{"sequence":"#, r#"3,"name":"Ann"}}"#),
            (r#"{"uuid":"42","body":{"sequence":"#, r#"3,"name":"a,--Boundary b,--Boundary"}}"#),
            (r#"{"uuid":"42,--Boundary","body":{"sequence":"#, r#"3,"name":"M\u00fcller"}}"#),
        ] {
            let whole = notification(id, &wsc, |out| {
                out.extend_from_slice(beginning.as_bytes());
                out.extend_from_slice(rest.as_bytes());
            });
            let shared = SharedRest::of(|out| out.extend_from_slice(rest.as_bytes())).expect("text");
            let written = |out: &mut Vec<u8>| out.extend_from_slice(beginning.as_bytes());
            assert_eq!(shared_notification(id, &wsc, written, &shared), whole);
        }
        assert_eq!(SharedRest::of(|out| out.push(0xff)), None, "no text");
    }

    #[test]
    fn nothing_in_a_frame_looks_like_an_answer_in_several_parts() {
        let meta = ServerMeta {
            r#type: "Heartbeat",
            message_id: "a,--Boundary",
            status: None,
            wsc: None,
            headers: None,
        };
        let text = meta.frame(Some(r#"{"name":"x,--Boundary"}"#));
        assert!(!text.contains(BOUNDARY), "{text}");
        let read: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(read[0]["messageId"], "a,--Boundary");
        assert_eq!(read[1]["name"], "x,--Boundary");
    }
}
