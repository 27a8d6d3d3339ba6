//! Sessions as the event log has them: the newest, and one with all that is known of it.

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Reader, kept};
use crate::capture::{self, Capture};
use crate::explain::{
    EVENTS_PAGE, Events, Explainer, SessionSummary, Story, Wanted, refine, session_id, unfinished, withhold,
};
use crate::request::Segments;
use crate::{Api, Problem, openapi};

/// How many sessions a page has unless it is asked otherwise, and at most.
const PAGE: usize = 50;
const PAGE_MAX: usize = 200;

/// The longest text that is looked for, in characters.
const TEXT_CHARS_MAX: usize = 100;

/// A page of sessions.
#[derive(Serialize, ToSchema)]
pub(crate) struct Sessions {
    records: Vec<SessionSummary>,
    /// What `before` gives the next page with; there is none without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// What a query asks for.
struct Query {
    limit: usize,
    before: Option<i64>,
    text: Option<String>,
}

impl Query {
    fn read(query: Option<&str>) -> Result<Self, Problem> {
        let mut read = Self { limit: PAGE, before: None, text: None };
        for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            match &*name {
                "limit" => {
                    let limit = value.parse().ok().filter(|limit| (1..=PAGE_MAX).contains(limit));
                    let wrong = || Problem::field("limit", format!("limit must be 1 to {PAGE_MAX}"));
                    read.limit = limit.ok_or_else(wrong)?;
                }
                "before" if !value.is_empty() => {
                    let wrong = || Problem::field("before", "before is no cursor; give the `next` of a page");
                    read.before = Some(value.parse().map_err(|_| wrong())?);
                }
                "text" if !value.is_empty() => {
                    if value.chars().count() > TEXT_CHARS_MAX {
                        let message = format!("text may have {TEXT_CHARS_MAX} characters at most");
                        return Err(Problem::field("text", message));
                    }
                    read.text = Some(value.into_owned());
                }
                _ => {}
            }
        }
        Ok(read)
    }
}

/// Whether a query says that something is true.
pub(super) fn is_true(query: Option<&str>, wanted: &str) -> bool {
    let mut parts = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    parts.any(|(name, value)| name == wanted && value == "true")
}

/// What a query says of the inputs.
pub(super) fn wanted(query: Option<&str>) -> Wanted {
    Wanted { raw: is_true(query, "raw"), all: is_true(query, "all") }
}

/// Which events of a session a query asks for.
fn events_page(query: Option<&str>) -> Result<Events, Problem> {
    let mut page = Events::default();
    for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        match &*name {
            "after" if !value.is_empty() => {
                let wrong = || Problem::field("after", "after is no cursor; give the `next` of a page");
                page.after = value.parse().map_err(|_| wrong())?;
            }
            "limit" => {
                let limit = value.parse().ok().filter(|limit| (1..=EVENTS_PAGE).contains(limit));
                let wrong = || Problem::field("limit", format!("limit must be 1 to {EVENTS_PAGE}"));
                page.limit = limit.ok_or_else(wrong)?;
            }
            _ => {}
        }
    }
    Ok(page)
}

/// Lists sessions, the newest first, open ones and such as have ended.
#[utoipa::path(get, path = "/admin/v1/sessions", tag = "Admin", security(("admin" = [])),
    params(("limit" = Option<u16>, Query, description = "How many at most: 1 to 200, 50 without it"),
        ("before" = Option<String>, Query, description = "The `next` of the page before"),
        ("text" = Option<String>, Query, description = "Part of a number, a name or an id. A page may have fewer then, \
            or none, and a `next` all the same")),
    responses((status = 200, body = Sessions), openapi::Refusals))]
pub(crate) async fn list(
    State(api): State<Api>,
    Reader(access): Reader,
    RawQuery(query): RawQuery,
) -> Result<Json<Sessions>, Problem> {
    let Query { limit, before, text } = Query::read(query.as_deref())?;
    // To look for a text is to read many sessions.
    let _turn = if text.is_some() { Some(api.scans.turn().await) } else { None };
    let page = api.store.read_async(move |reader| {
        Explainer::sessions(reader, access.account, before, limit, text.as_deref())
    });
    let page = page.await.map_err(kept)?;
    Ok(Json(Sessions { records: page.records, next: page.next.map(|next| next.to_string()) }))
}

/// Tells of a session why each event came about, and who was told.
#[utoipa::path(get, path = "/admin/v1/sessions/{telephonySessionId}", tag = "Admin", security(("admin" = [])),
    params(("telephonySessionId" = String, Path, description = "Its id"),
        ("raw" = Option<bool>, Query, description = "Whether inputs come with their bytes"),
        ("all" = Option<bool>, Query, description = "Whether the inputs of the call come that caused no event, too"),
        ("after" = Option<u32>, Query, description = "The `next` of the page before"),
        ("limit" = Option<u16>, Query, description = "How many events at most: 1 to 500, 500 without it")),
    responses((status = 200, body = Story), openapi::Refusals))]
pub(crate) async fn read(
    State(api): State<Api>,
    Reader(access): Reader,
    Segments([id]): Segments<1>,
    RawQuery(query): RawQuery,
) -> Result<Json<Story>, Problem> {
    let unknown = || Problem::unknown("telephonySessionId", &id);
    let session = session_id(&id).ok_or_else(unknown)?;
    let (wanted, page) = (wanted(query.as_deref()), events_page(query.as_deref())?);
    // What was sent just now is to be known.
    api.gateway.write_spans().await;
    let story = api
        .store
        .read_async(move |reader| Explainer::new(reader, access.account)?.session(session, wanted, page))
        .await;
    let mut story = story.map_err(kept)?.ok_or_else(unknown)?;
    let stages = api.subscriptions.stages(unfinished(&story.deliveries)).await;
    refine(&mut story.deliveries, &stages);
    withhold(&mut story.deliveries, |id| api.why_suspended(id));
    story.name_hosts(&api.directory());
    Ok(Json(story))
}

/// Gives the inputs of a session as files that `hookswitch replay` reads, with the directory and the events that
/// come out; or its SIP alone as a pcap file.
#[utoipa::path(get, path = "/admin/v1/sessions/{telephonySessionId}/capture", tag = "Admin", security(("admin" = [])),
    params(("telephonySessionId" = String, Path, description = "Its id"),
        ("anonymise" = Option<bool>, Query, description = "Whether names, numbers, hosts and addresses are replaced"),
        ("format" = Option<String>, Query, description = "`pcap` for a pcap file of the SIP of the session and those \
            linked with it")),
    responses((status = 200, description = "The files", content((Capture = "application/json"),
        (Vec<u8> = "application/vnd.tcpdump.pcap"))), openapi::Refusals))]
pub(crate) async fn capture(
    State(api): State<Api>,
    Reader(access): Reader,
    Segments([id]): Segments<1>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let unknown = || Problem::unknown("telephonySessionId", &id);
    let session = session_id(&id).ok_or_else(unknown)?;
    let anonymise = is_true(query.as_deref(), "anonymise");
    if access.account.is_some() && !anonymise {
        // The directory and what switches list name other accounts, too.
        return Err(Problem::admin_token_only());
    }
    let none = |error: anyhow::Error| Problem::conflict(format!("There is no capture: {error:#}"));
    let mut parts = form_urlencoded::parse(query.as_deref().unwrap_or_default().as_bytes());
    match parts.find(|(name, _)| name == "format").as_ref().map(|(_, format)| &**format) {
        None | Some("json") => {}
        Some("pcap") => {
            let made = api
                .store
                .read_async(move |reader| Ok(capture::pcap_of(reader, access.account, session, anonymise)));
            let bytes = made.await.map_err(kept)?.map_err(none)?.ok_or_else(unknown)?;
            return Ok(([(header::CONTENT_TYPE, "application/vnd.tcpdump.pcap")], bytes).into_response());
        }
        Some(_) => return Err(Problem::field("format", "format must be json or pcap")),
    }
    let made =
        api.store.read_async(move |reader| Ok(capture::of(reader, access.account, session, anonymise)));
    let made = made.await.map_err(kept)?.map_err(none)?;
    made.map(|capture| Json(capture).into_response()).ok_or_else(unknown)
}
