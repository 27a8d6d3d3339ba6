//! Sessions as the event log has them: those that a query asks for, and one with all that is known of it.

use std::str::FromStr;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{RawQuery, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use hookswitch_model::{AccountId, ExtensionId, Timestamp};
use hookswitch_store::{CallCursor, CallQuery, FoundCall, StoreError};
use serde::Serialize;
use tokio::sync::mpsc;
use utoipa::ToSchema;

use super::{Access, Reader, kept};
use crate::capture::{self, Capture};
use crate::explain::{
    COLUMNS, EVENTS_PAGE, Events, Explainer, SessionSummary, Story, Wanted, refine, session_id, unfinished,
    withhold,
};
use crate::request::Segments;
use crate::{Api, Problem, csv, openapi};

/// Number of sessions that a page has unless it is asked otherwise, and at most.
const PAGE: usize = 50;
const PAGE_MAX: usize = 200;

/// The longest text that is looked for, in characters.
const TEXT_CHARS_MAX: usize = 100;

/// Number of sessions that are read at once for a table.
const TABLE_PAGE: usize = 500;

/// Number of pieces of a table that wait for who reads it.
const TABLE_AHEAD: usize = 2;

/// A page of sessions.
#[derive(Serialize, ToSchema)]
pub(crate) struct Sessions {
    records: Vec<SessionSummary>,
    /// Value of `before` for the next page; there is none without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
    /// With `total=true`: how many sessions meet the query, on all pages.
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<u64>,
    /// With `total=true`: how many of them go on.
    #[serde(skip_serializing_if = "Option::is_none")]
    open: Option<u64>,
    /// Number of events that the index does not have yet, while it is made anew; absent else.
    #[serde(skip_serializing_if = "Option::is_none")]
    behind: Option<u64>,
}

/// Query of a list of sessions.
struct Query {
    limit: usize,
    before: Option<CallCursor>,
    with_total: bool,
    calls: CallQuery,
}

impl Query {
    /// Reads a query for what somebody may see.
    fn read(api: &Api, access: &Access, query: Option<&str>) -> Result<Self, Problem> {
        let mut read = Self { limit: PAGE, before: None, with_total: false, calls: CallQuery::default() };
        let mut extension = None;
        for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            if value.is_empty() {
                continue;
            }
            let Self { calls, .. } = &mut read;
            let party = &mut calls.party;
            match &*name {
                "limit" => {
                    let limit = value.parse().ok().filter(|limit| (1..=PAGE_MAX).contains(limit));
                    let wrong = || Problem::field("limit", format!("limit must be 1 to {PAGE_MAX}"));
                    read.limit = limit.ok_or_else(wrong)?;
                }
                "before" => {
                    let wrong =
                        |_| Problem::field("before", "before is not a cursor; give the `next` of a page");
                    read.before = Some(value.parse().map_err(wrong)?);
                }
                "total" => read.with_total = flag("total", &value)?,
                "text" => calls.text = Some(text("text", &value)?),
                "id" => calls.id = Some(text("id", &value)?),
                "callId" => calls.call_id = Some(text("callId", &value)?),
                "number" => calls.number = Some(text("number", &value)?),
                "name" => calls.name = Some(text("name", &value)?),
                "source" => calls.source = Some(text("source", &value)?),
                "extension" => extension = Some(text("extension", &value)?),
                "state" => match &*value {
                    "open" => calls.is_open = Some(true),
                    "ended" => calls.is_open = Some(false),
                    code => party.code = Some(word("state", code, "open, ended or a status code")?),
                },
                "reason" => party.reason = Some(word("reason", &value, "a reason of the API")?),
                "direction" => party.direction = Some(word("direction", &value, "Inbound or Outbound")?),
                "missed" => party.missed = Some(flag("missed", &value)?),
                "answered" => party.answered = Some(flag("answered", &value)?),
                "voiceMail" => party.voice_mail = Some(flag("voiceMail", &value)?),
                "recorded" => calls.recorded = Some(flag("recorded", &value)?),
                "from" => calls.from = Some(time("from", &value)?),
                "to" => calls.to = Some(time("to", &value)?),
                "accountId" => {
                    let id = value.parse().ok().map(AccountId::new);
                    let id = id.filter(|&id| access.sees(id));
                    calls.account = Some(id.ok_or_else(|| Problem::unknown("accountId", &value))?);
                }
                _ => {}
            }
        }
        read.calls.account = access.account.or(read.calls.account);
        if let Some(number) = extension {
            read.calls.party.extensions = Some(extensions(api, read.calls.account, &number));
        }
        Ok(read)
    }
}

/// The extensions of a number, and the one of this id.
fn extensions(api: &Api, account: Option<AccountId>, number: &str) -> Vec<ExtensionId> {
    let directory = api.directory();
    let accounts = directory.accounts().filter(|one| account.is_none_or(|account| account == one.id()));
    let of_number = accounts
        .flat_map(hookswitch_core::directory::Account::extensions)
        .filter(|one| one.number.as_deref() == Some(number))
        .map(|one| one.id);
    of_number.chain(number.parse().ok().map(ExtensionId::new)).collect()
}

fn text(field: &'static str, value: &str) -> Result<String, Problem> {
    if value.chars().count() > TEXT_CHARS_MAX {
        return Err(Problem::field(field, format!("{field} may have {TEXT_CHARS_MAX} characters at most")));
    }
    Ok(value.to_owned())
}

pub(super) fn word<T: FromStr>(field: &'static str, value: &str, what: &str) -> Result<T, Problem> {
    let wrong = |_| Problem::field(field, format!("{field} must be {what}")).about(field, value);
    value.parse().map_err(wrong)
}

pub(super) fn flag(field: &'static str, value: &str) -> Result<bool, Problem> {
    word(field, value, "true or false")
}

pub(super) fn time(field: &'static str, value: &str) -> Result<Timestamp, Problem> {
    let what = "a time in ISO 8601 with its offset from UTC, such as 2026-01-31T12:00:00.000Z";
    word::<jiff::Timestamp>(field, value, what).map(|at| Timestamp::from_micros(at.as_microsecond()))
}

/// The sessions of some calls that were found, as far as they are kept still.
fn summaries(
    reader: &hookswitch_store::Reader,
    found: &[FoundCall],
) -> Result<Vec<SessionSummary>, StoreError> {
    let read = found.iter().map(|found| SessionSummary::read(reader, found.id));
    read.filter_map(Result::transpose).collect()
}

/// Returns `true` if a query says that something is true.
pub(super) fn is_true(query: Option<&str>, wanted: &str) -> bool {
    let mut parts = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    parts.any(|(name, value)| name == wanted && value == "true")
}

/// Returns what a query says of the inputs.
pub(super) fn wanted(query: Option<&str>) -> Wanted {
    Wanted { raw: is_true(query, "raw"), all: is_true(query, "all") }
}

/// Returns which events of a session a query asks for.
fn events_page(query: Option<&str>) -> Result<Events, Problem> {
    let mut page = Events::default();
    for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        match &*name {
            "after" if !value.is_empty() => {
                let wrong = || Problem::field("after", "after is not a cursor; give the `next` of a page");
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

/// Lists sessions, the newest first, open ones and such as have ended: those that meet all that the query says. What it
/// says of parties is said of one and the same.
#[utoipa::path(get, path = "/admin/v1/sessions", tag = "Admin", security(("admin" = [])),
    params(("limit" = Option<u16>, Query, description = "How many at most: 1 to 200, 50 without it"),
        ("before" = Option<String>, Query, description = "The `next` of the page before"),
        ("total" = Option<bool>, Query, description = "Whether all are counted"),
        ("text" = Option<String>, Query, description = "Part of a number, a name or an id"),
        ("id" = Option<String>, Query, description = "A telephonySessionId or a sessionId, whole or part"),
        ("callId" = Option<String>, Query, description = "A SIP Call-ID, or how it begins"),
        ("number" = Option<String>, Query, description = "A number in any form; less than five digits are the whole of it"),
        ("name" = Option<String>, Query, description = "Part of a name"),
        ("extension" = Option<String>, Query, description = "The number of an extension, or its id"),
        ("state" = Option<String>, Query, description = "`open`, `ended`, or the status code of a party"),
        ("reason" = Option<String>, Query, description = "The reason of a party"),
        ("direction" = Option<String>, Query, description = "That of a party: `Inbound` or `Outbound`"),
        ("missed" = Option<bool>, Query, description = "Whether a party missed it"),
        ("answered" = Option<bool>, Query, description = "Whether a party was connected"),
        ("voiceMail" = Option<bool>, Query, description = "Whether a party reached a mailbox"),
        ("recorded" = Option<bool>, Query, description = "Whether something of it was recorded"),
        ("source" = Option<String>, Query, description = "The name of the source of one of its events"),
        ("accountId" = Option<String>, Query, description = "Whose"),
        ("from" = Option<String>, Query, description = "When it began at the earliest, ISO 8601"),
        ("to" = Option<String>, Query, description = "Before when it began, ISO 8601")),
    responses((status = 200, body = Sessions), openapi::Refusals))]
pub(crate) async fn list(
    State(api): State<Api>,
    Reader(access): Reader,
    RawQuery(query): RawQuery,
) -> Result<Json<Sessions>, Problem> {
    let Query { limit, before, with_total, calls } = Query::read(&api, &access, query.as_deref())?;
    let behind = api.index.reach(api.store.ends().events).await;
    let index = api.index.clone();
    let page = api.store.read_async(move |reader| {
        // One more tells whether there is a next page.
        let mut found = index.find(&calls, before, limit + 1)?;
        let has_more = found.len() > limit;
        found.truncate(limit);
        let counts = with_total.then(|| index.count(&calls)).transpose()?;
        Ok(Sessions {
            records: summaries(reader, &found)?,
            next: found.last().filter(|_| has_more).map(|last| last.cursor.to_string()),
            total: counts.map(|counts| counts.total),
            open: counts.map(|counts| counts.open),
            behind: (behind > 0).then_some(behind),
        })
    });
    Ok(Json(page.await.map_err(kept)?))
}

/// Gives all sessions that meet the query as a table for spreadsheets (RFC 4180), the newest first.
#[utoipa::path(get, path = "/admin/v1/sessions.csv", tag = "Admin", security(("admin" = [])),
    params(("text" = Option<String>, Query, description = "Part of a number, a name or an id"),
        ("id" = Option<String>, Query, description = "A telephonySessionId or a sessionId, whole or part"),
        ("callId" = Option<String>, Query, description = "A SIP Call-ID, or how it begins"),
        ("number" = Option<String>, Query, description = "A number in any form; less than five digits are the whole of it"),
        ("name" = Option<String>, Query, description = "Part of a name"),
        ("extension" = Option<String>, Query, description = "The number of an extension, or its id"),
        ("state" = Option<String>, Query, description = "`open`, `ended`, or the status code of a party"),
        ("reason" = Option<String>, Query, description = "The reason of a party"),
        ("direction" = Option<String>, Query, description = "That of a party: `Inbound` or `Outbound`"),
        ("missed" = Option<bool>, Query, description = "Whether a party missed it"),
        ("answered" = Option<bool>, Query, description = "Whether a party was connected"),
        ("voiceMail" = Option<bool>, Query, description = "Whether a party reached a mailbox"),
        ("recorded" = Option<bool>, Query, description = "Whether something of it was recorded"),
        ("source" = Option<String>, Query, description = "The name of the source of one of its events"),
        ("accountId" = Option<String>, Query, description = "Whose"),
        ("from" = Option<String>, Query, description = "When it began at the earliest, ISO 8601"),
        ("to" = Option<String>, Query, description = "Before when it began, ISO 8601")),
    responses((status = 200, content_type = "text/csv", body = String), openapi::Refusals))]
pub(crate) async fn table(
    State(api): State<Api>,
    Reader(access): Reader,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let Query { calls, .. } = Query::read(&api, &access, query.as_deref())?;
    if api.index.reach(api.store.ends().events).await > 0 {
        return Err(Problem::unavailable("The index of calls is being rebuilt; try again later".to_owned()));
    }
    let (sender, receiver) = mpsc::channel::<Result<Bytes, std::io::Error>>(TABLE_AHEAD);
    tokio::task::spawn_blocking(move || {
        if let Err(error) = write_table(&api, &calls, &sender) {
            tracing::error!(%error, "a table of calls ends before its end");
            // The connection is cut, so that nobody takes it for whole.
            sender.blocking_send(Err(std::io::Error::other(error))).ok();
        }
    });
    let pieces =
        stream::unfold(receiver, async |mut receiver| receiver.recv().await.map(|piece| (piece, receiver)));
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8; header=present"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"calls.csv\""),
        (header::CACHE_CONTROL, "no-store"),
    ];
    Ok((headers, Body::from_stream(pieces)).into_response())
}

/// Hands out a table piece by piece, until nobody reads it.
fn write_table(
    api: &Api,
    calls: &CallQuery,
    sender: &mpsc::Sender<Result<Bytes, std::io::Error>>,
) -> Result<(), StoreError> {
    let mut text = "\u{feff}".to_owned(); // or spreadsheets take it for another encoding
    csv::write_row(COLUMNS, &mut text);
    let mut after = None;
    loop {
        let found = api.index.find(calls, after, TABLE_PAGE)?;
        after = found.last().map(|last| last.cursor);
        for summary in api.store.read(|reader| summaries(reader, &found))? {
            csv::write_row(summary.row().iter().map(String::as_str), &mut text);
        }
        let is_read = sender.blocking_send(Ok(std::mem::take(&mut text).into())).is_ok();
        if !is_read || found.len() < TABLE_PAGE {
            return Ok(());
        }
    }
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
